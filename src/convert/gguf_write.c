/* GGUF, the files of llama.cpp: writing one, of the architecture gpt2.
 *
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3.  Linears lie transposed, [out, in].  As
 * llama.cpp's own converter does it: vectors and positions remain fp32, and so do names, rounding and blocks of Q8_0.
 *
 * Of Q4_K the embedding is Q8_0, since it is the output layer as well, where errors cost most (llama.cpp takes Q6_K);
 * rows that are not of whole blocks of 256 are Q8_0, too (llama.cpp: Q5_0), and those not of 32 are F16.
 *
 * Left out: output.weight.  llama.cpp of 2025-03 and later takes the embedding for it.
 *
 * Not done here: the tokenizer (gguf_tokenizer.c), reading (gguf_read.c). */
#include "config.h"

#include <string.h>

#include "convert/gguf.h"

#define COLUMNS 64 /* of a linear transposed at a time */

/* ---- types and names (shared with gguf_read.c) ------------------------------------------------------------------- */

static const wb_gguf_type_t types[] = {
    {0, "f32", 1, 4, WB_NUMBER_F32},     {1, "f16", 1, 2, WB_NUMBER_F16},        {30, "bf16", 1, 2, WB_NUMBER_BF16},
    {8, "q8_0", 32, 34, WB_NUMBER_Q8_0}, {2, "q4_0", 32, 18, WB_NUMBERS},        {3, "q4_1", 32, 20, WB_NUMBERS},
    {6, "q5_0", 32, 22, WB_NUMBERS},     {7, "q5_1", 32, 24, WB_NUMBERS},        {10, "q2_k", 256, 84, WB_NUMBERS},
    {11, "q3_k", 256, 110, WB_NUMBERS},  {12, "q4_k", 256, 144, WB_NUMBER_Q4_K}, {13, "q5_k", 256, 176, WB_NUMBERS},
    {14, "q6_k", 256, 210, WB_NUMBERS},  {28, "f64", 1, 8, WB_NUMBERS},
};

const wb_gguf_type_t *wb_gguf_type_of (uint32_t number) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number) return &types[i];
    return NULL;
}

const wb_gguf_type_t *wb_gguf_type_as (wb_number as) {
    size_t i = 0;
    while (types[i].as != as) i++;
    return &types[i];
}

const char *wb_gguf_name (char buf[64], bool *transposed, const wb_param_t *p) {
    static const struct {
        const char *name;
        bool transposed;
    } names[WB_ROLES] = {
        [WB_ROLE_WTE] = {"token_embd.weight", false},    [WB_ROLE_WPE] = {"position_embd.weight", false},
        [WB_ROLE_LN1_G] = {"attn_norm.weight", false},   [WB_ROLE_LN1_B] = {"attn_norm.bias", false},
        [WB_ROLE_QKV_W] = {"attn_qkv.weight", true},     [WB_ROLE_QKV_B] = {"attn_qkv.bias", false},
        [WB_ROLE_ATT_W] = {"attn_output.weight", true},  [WB_ROLE_ATT_B] = {"attn_output.bias", false},
        [WB_ROLE_LN2_G] = {"ffn_norm.weight", false},    [WB_ROLE_LN2_B] = {"ffn_norm.bias", false},
        [WB_ROLE_FC_W] = {"ffn_up.weight", true},        [WB_ROLE_FC_B] = {"ffn_up.bias", false},
        [WB_ROLE_PROJ_W] = {"ffn_down.weight", true},    [WB_ROLE_PROJ_B] = {"ffn_down.bias", false},
        [WB_ROLE_LNF_G] = {"output_norm.weight", false}, [WB_ROLE_LNF_B] = {"output_norm.bias", false},
    };
    const bool of_layer = p->role >= WB_ROLE_LN1_G && p->role <= WB_ROLE_PROJ_B;
    *transposed = names[p->role].transposed;
    if (of_layer)
        snprintf (buf, 64, "blk.%d.%s", p->layer, names[p->role].name);
    else
        snprintf (buf, 64, "%s", names[p->role].name);
    return buf;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static wb_status put_u32 (wb_buf_t *b, uint32_t x) { return wb_buf_put (b, &x, sizeof x); }
static wb_status put_u64 (wb_buf_t *b, uint64_t x) { return wb_buf_put (b, &x, sizeof x); }

wb_status wb_gguf_put_string (wb_buf_t *b, const char *s, size_t n) {
    WB_TRY (put_u64 (b, n));
    return n > 0 ? wb_buf_put (b, s, n) : WB_OK;
}

static wb_status put_key (wb_buf_t *b, uint64_t *keys, const char *key, wb_gguf_value type) {
    ++*keys;
    WB_TRY (wb_gguf_put_string (b, key, strlen (key)));
    return put_u32 (b, type);
}

wb_status wb_gguf_put_text (wb_buf_t *b, uint64_t *keys, const char *key, const char *value) {
    WB_TRY (put_key (b, keys, key, WB_GGUF_STRING));
    return wb_gguf_put_string (b, value, strlen (value));
}

wb_status wb_gguf_put_u32 (wb_buf_t *b, uint64_t *keys, const char *key, uint32_t value) {
    WB_TRY (put_key (b, keys, key, WB_GGUF_U32));
    return put_u32 (b, value);
}

wb_status wb_gguf_put_bool (wb_buf_t *b, uint64_t *keys, const char *key, bool value) {
    const char byte = value ? 1 : 0;
    WB_TRY (put_key (b, keys, key, WB_GGUF_BOOL));
    return wb_buf_put (b, &byte, 1);
}

wb_status wb_gguf_put_array (wb_buf_t *b, uint64_t *keys, const char *key, wb_gguf_value type, uint64_t n) {
    WB_TRY (put_key (b, keys, key, WB_GGUF_ARRAY));
    WB_TRY (put_u32 (b, type));
    return put_u64 (b, n);
}

static wb_status put_metadata (wb_buf_t *b, uint64_t *keys, const char **note, const wb_export_t *x,
                               const wb_weights_t *w) {
    static const uint32_t file_types[] = {0, 1, 32, 7, 14}; /* ALL_F32, MOSTLY_F16, _BF16, _Q8_0, _Q4_K_S */
    const wb_size_t *s = &w->size;
    const float epsilon = 1e-5f;
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {{"gpt2.context_length", s->T},          {"gpt2.embedding_length", s->C},
                 {"gpt2.feed_forward_length", 4 * s->C}, {"gpt2.block_count", s->L},
                 {"gpt2.attention.head_count", s->H},    {"gpt2.vocab_size", s->V}};
    wb_buf_t tokenizer = {0};
    char *name = wb_strdup (wb_file_name (x->out));
    if (name == NULL) return WB_NOMEM ("%s", x->out);
    if (wb_ends_with (name, ".gguf")) name[strlen (name) - 5] = 0;
    wb_status status = wb_gguf_put_text (b, keys, "general.architecture", "gpt2");
    if (status == WB_OK) status = wb_gguf_put_text (b, keys, "general.type", "model");
    if (status == WB_OK) status = wb_gguf_put_text (b, keys, "general.name", name);
    if (status == WB_OK) status = wb_gguf_put_u32 (b, keys, "general.file_type", file_types[x->type]);
    if (status == WB_OK) status = wb_gguf_put_u32 (b, keys, "general.quantization_version", 2);
    if (status == WB_OK) status = wb_gguf_put_array (b, keys, "general.languages", WB_GGUF_STRING, 1);
    if (status == WB_OK) status = wb_gguf_put_string (b, "ja", 2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == WB_OK; i++)
        status = wb_gguf_put_u32 (b, keys, sizes[i].key, (uint32_t) sizes[i].value);
    if (status == WB_OK) status = put_key (b, keys, "gpt2.attention.layer_norm_epsilon", WB_GGUF_F32);
    if (status == WB_OK) status = wb_buf_put (b, &epsilon, sizeof epsilon);
    if (status == WB_OK && w->tokenizer != NULL)
        status = wb_gguf_tokenizer (&tokenizer, keys, note, x, w->tokenizer, w->size.V);
    if (status == WB_OK) status = wb_gguf_put_text (b, keys, "general.description", *note);
    if (status == WB_OK && tokenizer.len > 0) status = wb_buf_put (b, tokenizer.data, tokenizer.len);
    wb_buf_fini (&tokenizer);
    wb_free (name);
    return status;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* How a tensor lies in the file: rows of `cols` numbers. */
typedef struct tensor {
    const wb_param_t *p;
    const wb_gguf_type_t *type;
    bool transposed;
    int64_t rows, cols;
} tensor_t;

static tensor_t tensor_of (const wb_param_t *p, wb_number type, char name[64]) {
    tensor_t t = {.p = p};
    wb_gguf_name (name, &t.transposed, p);
    t.rows = t.transposed ? p->cols : p->rows;
    t.cols = t.transposed ? p->rows : p->cols;
    if (type == WB_NUMBER_Q4_K && p->role == WB_ROLE_WTE) type = WB_NUMBER_Q8_0;
    t.type = wb_gguf_type_as (p->ndim == 1 || p->role == WB_ROLE_WPE ? WB_NUMBER_F32 : type);
    if (type == WB_NUMBER_Q4_K && t.cols % t.type->block != 0) t.type = wb_gguf_type_as (WB_NUMBER_Q8_0);
    if (t.cols % t.type->block != 0) t.type = wb_gguf_type_as (WB_NUMBER_F16);
    return t;
}

static int64_t row_bytes (const tensor_t *t) { return t->cols / t->type->block * t->type->bytes; }
static int64_t padded (int64_t n) { return (n + WB_GGUF_ALIGN - 1) / WB_GGUF_ALIGN * WB_GGUF_ALIGN; }

static wb_status put_header (wb_buf_t *out, const char **note, const wb_export_t *x, const wb_weights_t *w) {
    wb_buf_t meta = {0};
    uint64_t keys = 0;
    int64_t at = 0;
    wb_status status = put_metadata (&meta, &keys, note, x, w);
    if (status == WB_OK) status = wb_buf_put (out, WB_GGUF_MAGIC, 4);
    if (status == WB_OK) status = put_u32 (out, 3);
    if (status == WB_OK) status = put_u64 (out, (uint64_t) w->params->n);
    if (status == WB_OK) status = put_u64 (out, keys);
    if (status == WB_OK) status = wb_buf_put (out, meta.data, meta.len);
    wb_buf_fini (&meta);
    for (int i = 0; i < w->params->n && status == WB_OK; i++) {
        char name[64];
        const wb_param_t *p = &w->params->list[i];
        const tensor_t t = tensor_of (p, x->type, name);
        status = wb_gguf_put_string (out, name, strlen (name));
        if (status == WB_OK) status = put_u32 (out, (uint32_t) p->ndim);
        if (status == WB_OK) status = put_u64 (out, (uint64_t) t.cols);
        if (status == WB_OK && p->ndim == 2) status = put_u64 (out, (uint64_t) t.rows);
        if (status == WB_OK) status = put_u32 (out, t.type->number);
        if (status == WB_OK) status = put_u64 (out, (uint64_t) at);
        at += padded (t.rows * row_bytes (&t));
    }
    static const char zeros[WB_GGUF_ALIGN];
    const size_t more = (size_t) (padded ((int64_t) out->len) - (int64_t) out->len);
    return status == WB_OK && more > 0 ? wb_buf_put (out, zeros, more) : status;
}

/* Rows first .. first + n - 1 of the file, n <= COLUMNS, out of values [rows, cols] of the table. */
static const float *take_rows (float *work, const tensor_t *t, const float *values, int64_t first, int64_t n) {
    if (!t->transposed) return values + first * t->cols;
    for (int64_t i = 0; i < t->cols; i++)
        for (int64_t j = 0; j < n; j++) work[j * t->cols + i] = values[i * t->rows + first + j];
    return work;
}

static wb_status put_tensor (wb_writer_t *out, wb_weights_t *w, const tensor_t *t, float *values, float *work,
                             char *packed) {
    static const char zeros[WB_GGUF_ALIGN];
    const int64_t bytes = t->rows * row_bytes (t);
    WB_TRY (wb_weights_read (w, values, t->p));
    for (int64_t r = 0; r < t->rows; r += COLUMNS) {
        const int64_t n = t->rows - r < COLUMNS ? t->rows - r : COLUMNS;
        wb_numbers_pack (packed, take_rows (work, t, values, r, n), n * t->cols, t->type->as);
        WB_TRY (wb_writer_put (out, packed, (size_t) (n * row_bytes (t))));
    }
    return wb_writer_put (out, zeros, (size_t) (padded (bytes) - bytes));
}

static wb_status put_file (wb_writer_t *out, const char **note, const wb_export_t *x, wb_weights_t *w) {
    int64_t most = 0, widest = 0;
    wb_buf_t header = {0};
    for (int i = 0; i < w->params->n; i++) {
        const wb_param_t *p = &w->params->list[i];
        if (p->rows * p->cols > most) most = p->rows * p->cols;
        if (p->rows > widest && p->role != WB_ROLE_WTE && p->role != WB_ROLE_WPE) widest = p->rows;
        if (p->role == WB_ROLE_WTE && p->cols > widest) widest = p->cols;
    }
    float *values = wb_malloc ((size_t) most * sizeof *values);
    float *work = wb_malloc ((size_t) (COLUMNS * widest) * sizeof *work);
    char *packed = wb_malloc ((size_t) (COLUMNS * 4 * w->size.C) * sizeof (float));
    wb_status status = values != NULL && work != NULL && packed != NULL
                           ? WB_OK
                           : WB_NOMEM ("a tensor of %lld numbers", (long long) most);
    if (status == WB_OK) status = put_header (&header, note, x, w);
    if (status == WB_OK) status = wb_writer_put (out, header.data, header.len);
    for (int i = 0; i < w->params->n && status == WB_OK; i++) {
        char name[64];
        const tensor_t t = tensor_of (&w->params->list[i], x->type, name);
        status = put_tensor (out, w, &t, values, work, packed);
    }
    wb_buf_fini (&header);
    wb_free (values);
    wb_free (work);
    wb_free (packed);
    return status;
}

/* Matrices of layers whose rows do not fit the blocks asked for. */
static void tell_others (const wb_export_t *x, const wb_weights_t *w) {
    char name[64];
    int n = 0;
    for (int i = 0; i < w->params->n; i++) {
        const wb_param_t *p = &w->params->list[i];
        const bool matrix = p->ndim == 2 && p->role != WB_ROLE_WTE && p->role != WB_ROLE_WPE;
        n += matrix && tensor_of (p, x->type, name).type->as != x->type;
    }
    if (n > 0)
        wb_info ("%s: %d tensor%s as q8_0 or f16, since rows are not of whole blocks of %s", x->out, n, wb_plural (n),
                 wb_number_names[x->type]);
}

wb_status wb_gguf_write (const wb_export_t *x, wb_weights_t *w) {
    wb_writer_t out = {0};
    const char *note = "There is no tokenizer in this file, so llama.cpp does not load it: give the model one first "
                       "(wabun import MODEL --tokenizer T -o OTHER).";
    WB_TRY (wb_export_new (x));
    wb_status status = wb_writer_begin (&out, x->out);
    if (status == WB_OK) status = put_file (&out, &note, x, w);
    if (status == WB_OK) status = wb_writer_end (&out);
    wb_writer_cancel (&out);
    if (status == WB_OK) tell_others (x, w);
    if (status == WB_OK) wb_info ("%s: %s", x->out, note);
    return status;
}
