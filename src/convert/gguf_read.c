/* GGUF, the files of llama.cpp: looking at one, and reading models of the architecture gpt2.
 *
 * Of the metadata numbers and short texts are kept, of arrays (a vocabulary) type and length.
 *
 * Not done here: 4-bit kinds and others that come without a reader; they are named, and refused. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "convert/cursor.h"
#include "convert/gguf.h"
#include "wabun/json.h"

#define TEXT_MAX 4096 /* bytes of a text that is kept */
#define NAME_MAX_BYTES 256
#define ROWS_BYTES ((int64_t) 1 << 20) /* read at a time */

typedef struct tensor {
    char name[NAME_MAX_BYTES + 1];
    int64_t shape[4]; /* innermost first */
    int ndim;
    uint32_t type;
    int64_t at, bytes; /* bytes: -1 of a type that is not known */
} tensor_t;

typedef struct gguf {
    wb_weights_t base;
    wb_cursor_file_t *file;
    json_t *meta;
    tensor_t *tensors;
    int64_t n, ntypes;
    char *raw; /* [ROWS_BYTES + a row] */
    float *row;
} gguf_t;

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static wb_status take_text (wb_cursor_file_t *c, char *out, size_t most, const char *what) {
    uint64_t n;
    WB_TRY (wb_cursor_take (c, &n, sizeof n, what));
    const size_t kept = n < most ? (size_t) n : most;
    if (n > (uint64_t) (c->bytes - c->at)) return wb_cursor_skip (c, n, what);
    WB_TRY (wb_cursor_take (c, out, kept, what));
    out[kept] = 0;
    return wb_cursor_skip (c, n - kept, what);
}

/* Bytes of a number; 0: no number. */
static size_t number_bytes (uint32_t type) {
    static const size_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes / sizeof *bytes ? bytes[type] : 0;
}

static wb_status take_number (wb_cursor_file_t *c, json_t **out, uint32_t type) {
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } x = {0};
    WB_TRY (wb_cursor_take (c, &x, number_bytes (type), "a value"));
    const double real = type == WB_GGUF_F32 ? (double) x.f32 : type == WB_GGUF_F64 ? x.f64 : (double) x.u64;
    switch (type) {
    case WB_GGUF_U8: *out = json_integer (x.u8); break;
    case WB_GGUF_I8: *out = json_integer (x.i8); break;
    case WB_GGUF_U16: *out = json_integer (x.u16); break;
    case WB_GGUF_I16: *out = json_integer (x.i16); break;
    case WB_GGUF_U32: *out = json_integer (x.u32); break;
    case WB_GGUF_I32: *out = json_integer (x.i32); break;
    case WB_GGUF_I64: *out = json_integer (x.i64); break;
    case WB_GGUF_BOOL: *out = json_boolean (x.u8 != 0); break;
    case WB_GGUF_U64:
        if (x.u64 <= INT64_MAX) {
            *out = json_integer ((json_int_t) x.u64);
            break;
        }
        /* fall through */
    default: *out = isfinite (real) ? json_real (real) : json_string ("not finite");
    }
    return *out != NULL ? WB_OK : WB_NOMEM ("metadata");
}

static wb_status take_array (wb_cursor_file_t *c, json_t **out) {
    uint32_t type;
    uint64_t n;
    WB_TRY (wb_cursor_take (c, &type, sizeof type, "an array"));
    WB_TRY (wb_cursor_take (c, &n, sizeof n, "an array"));
    if (type == WB_GGUF_STRING) {
        char one[1];
        for (uint64_t i = 0; i < n; i++) WB_TRY (take_text (c, one, 0, "an array of texts"));
    } else if (number_bytes (type) > 0) {
        if (n > UINT64_MAX / 8) n = UINT64_MAX / 8;
        WB_TRY (wb_cursor_skip (c, n * number_bytes (type), "an array"));
    } else
        return WB_FAIL (WB_EDATA, "%s: byte %" PRId64 ": an array of values of type %" PRIu32, c->path, c->at, type);
    *out = json_pack ("{s:I}", "values", (json_int_t) n);
    return *out != NULL ? WB_OK : WB_NOMEM ("metadata");
}

static wb_status take_value (wb_cursor_file_t *c, json_t **out) {
    uint32_t type;
    WB_TRY (wb_cursor_take (c, &type, sizeof type, "a value"));
    if (type == WB_GGUF_ARRAY) return take_array (c, out);
    if (type != WB_GGUF_STRING && number_bytes (type) > 0) return take_number (c, out, type);
    if (type != WB_GGUF_STRING)
        return WB_FAIL (WB_EDATA, "%s: byte %" PRId64 ": a value of type %" PRIu32, c->path, c->at - 4, type);
    char text[TEXT_MAX + 1];
    WB_TRY (take_text (c, text, TEXT_MAX, "a text"));
    *out = wb_json_utf8 (text);
    return *out != NULL ? WB_OK : WB_NOMEM ("metadata");
}

static wb_status take_metadata (gguf_t *g, uint64_t keys) {
    char key[NAME_MAX_BYTES + 1];
    const int64_t before = wb_json_lacks ();
    g->meta = json_object ();
    for (uint64_t i = 0; i < keys; i++) {
        json_t *value = NULL;
        WB_TRY (take_text (g->file, key, NAME_MAX_BYTES, "a key"));
        WB_TRY (take_value (g->file, &value));
        const bool taken = json_object_set_new (g->meta, key, value) == 0;
        WB_TRY (wb_json_since (before, "metadata"));
        if (!taken)
            return WB_FAIL (WB_EDATA, "%s: byte %" PRId64 ": a key that is not UTF-8", g->file->path, g->file->at);
    }
    return WB_OK;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static wb_status take_tensor (gguf_t *g, tensor_t *t) {
    wb_cursor_file_t *c = g->file;
    uint32_t ndim;
    uint64_t at;
    int64_t n = 1;
    WB_TRY (take_text (c, t->name, NAME_MAX_BYTES, "the name of a tensor"));
    WB_TRY (wb_cursor_take (c, &ndim, sizeof ndim, "a tensor"));
    if (ndim < 1 || ndim > 4)
        return WB_FAIL (WB_EDATA, "%s: tensor '%.100s' has %" PRIu32 " dimensions", c->path, t->name, ndim);
    t->ndim = (int) ndim;
    WB_TRY (wb_cursor_take (c, t->shape, ndim * sizeof *t->shape, "a tensor"));
    for (uint32_t k = 0; k < ndim; k++)
        if (t->shape[k] < 1 || __builtin_mul_overflow (n, t->shape[k], &n) || n > INT64_MAX / 8)
            return WB_FAIL (WB_EDATA, "%s: tensor '%.100s' has an impossible size", c->path, t->name);
    WB_TRY (wb_cursor_take (c, &t->type, sizeof t->type, "a tensor"));
    WB_TRY (wb_cursor_take (c, &at, sizeof at, "a tensor"));
    const wb_gguf_type_t *type = wb_gguf_type_of (t->type);
    if (type != NULL && t->shape[0] % type->block != 0)
        return WB_FAIL (WB_EDATA, "%s: tensor '%.100s': rows of %" PRId64 " are not of whole blocks of %s", c->path,
                        t->name, t->shape[0], type->name);
    t->bytes = type != NULL ? n / type->block * type->bytes : -1;
    if (at > (uint64_t) c->bytes) /* before anything is added to it */
        return WB_FAIL (WB_EDATA,
                        "%s: tensor '%.100s' begins at byte %" PRIu64 " of %" PRId64
                        ": the file was cut off, or is damaged",
                        c->path, t->name, at, c->bytes);
    t->at = (int64_t) at;
    return WB_OK;
}

/* Offsets count from the first byte of tensors, which is aligned. */
static wb_status place_tensors (gguf_t *g) {
    const json_t *given = json_object_get (g->meta, "general.alignment");
    const int64_t align = given != NULL ? json_integer_value (given) : WB_GGUF_ALIGN, bytes = g->file->bytes;
    if (align < 1 || align > 1 << 20 || (align & (align - 1)) != 0)
        return WB_FAIL (WB_EDATA, "%s: general.alignment must be a power of two", g->file->path);
    const int64_t data = (g->file->at + align - 1) / align * align;
    for (int64_t i = 0; i < g->n; i++) {
        tensor_t *t = &g->tensors[i];
        t->at += data;
        if (t->at % align != 0) return WB_FAIL (WB_EDATA, "%s: tensor '%.100s' is not aligned", g->file->path, t->name);
        if (t->at > bytes || (t->bytes >= 0 && t->bytes > bytes - t->at))
            return WB_FAIL (WB_EDATA,
                            "%s: tensor '%.100s' has %" PRId64 " bytes from byte %" PRId64 " of %" PRId64
                            ": the file was cut off, or is damaged",
                            g->file->path, t->name, t->bytes, t->at, bytes);
    }
    return WB_OK;
}

static wb_status read_header (gguf_t *g) {
    struct {
        char magic[4];
        uint32_t version;
        uint64_t tensors, keys;
    } head;
    wb_cursor_file_t *c = g->file;
    WB_TRY (wb_cursor_take (c, &head, sizeof head, "the header"));
    if (head.version != 2 && head.version != 3)
        return WB_FAIL (WB_EDATA, "%s: version %" PRIu32 " of GGUF; 2 and 3 are known", c->path, head.version);
    /* A tensor takes 8 + 4 + 8 + 4 + 8 bytes of the file at least, a key 8 + 4 + 1. */
    if (head.tensors > (uint64_t) c->bytes / 32 || head.keys > (uint64_t) c->bytes / 13)
        return WB_FAIL (WB_EDATA,
                        "%s: %" PRIu64 " tensors and %" PRIu64 " keys, more than its %" PRId64 " bytes can hold",
                        c->path, head.tensors, head.keys, c->bytes);
    WB_TRY (take_metadata (g, head.keys));
    g->tensors = wb_calloc ((size_t) head.tensors + 1, sizeof *g->tensors);
    if (g->tensors == NULL) return WB_NOMEM ("%s", c->path);
    for (; g->n < (int64_t) head.tensors; g->n++) WB_TRY (take_tensor (g, &g->tensors[g->n]));
    return place_tensors (g);
}

static const tensor_t *find (const gguf_t *g, const char *name) {
    for (int64_t i = 0; i < g->n; i++)
        if (strcmp (g->tensors[i].name, name) == 0) return &g->tensors[i];
    return NULL;
}

/* ---- a model ----------------------------------------------------------------------------------------------------- */

static wb_status take_size (int64_t *out, const gguf_t *g, const char *key, int64_t most) {
    const json_t *value = json_object_get (g->meta, key);
    *out = json_integer_value (value);
    if (json_is_integer (value) && *out >= 1 && *out <= most) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: \"%s\" must be a whole number from 1 to %" PRId64, g->file->path, key, most);
}

static wb_status read_size (wb_size_t *s, const gguf_t *g) {
    const char *path = g->file->path, *kind = json_string_value (json_object_get (g->meta, "general.architecture"));
    const json_t *epsilon = json_object_get (g->meta, "gpt2.attention.layer_norm_epsilon");
    const tensor_t *wte = find (g, "token_embd.weight");
    int64_t inner;
    if (kind == NULL || strcmp (kind, "gpt2") != 0)
        return WB_FAIL (WB_EDATA, "%s: a model of the architecture \"%.60s\"; wabun computes gpt2 only", path,
                        kind != NULL ? kind : "unknown");
    WB_TRY (take_size (&s->T, g, "gpt2.context_length", 1 << 20));
    WB_TRY (take_size (&s->C, g, "gpt2.embedding_length", 1 << 17));
    WB_TRY (take_size (&s->L, g, "gpt2.block_count", 4096));
    WB_TRY (take_size (&s->H, g, "gpt2.attention.head_count", 1 << 17));
    WB_TRY (take_size (&inner, g, "gpt2.feed_forward_length", 1 << 20));
    if (s->C % s->H != 0 || inner != 4 * s->C)
        return WB_FAIL (WB_EDATA,
                        "%s: width %" PRId64 ", %" PRId64 " heads, inner width %" PRId64
                        ": not a GPT-2 that wabun computes",
                        path, s->C, s->H, inner);
    if (epsilon != NULL && fabs (json_number_value (epsilon) - 1e-5) > 1e-9)
        return WB_FAIL (WB_EDATA, "%s: layer_norm_epsilon is %g: wabun computes with 1e-05 only", path,
                        json_number_value (epsilon));
    if (wte == NULL) return WB_FAIL (WB_EDATA, "%s: there is no tensor 'token_embd.weight'", path);
    s->V = wte->ndim == 2 ? wte->shape[1] : 0;
    if (s->V < 2 || s->V > 1 << 26)
        return WB_FAIL (WB_EDATA, "%s: tensor 'token_embd.weight' has an impossible size", path);
    return WB_OK;
}

/* The tensor of p, of the right size and of a type that is read. */
static wb_status find_param (const tensor_t **out, bool *transposed, const gguf_t *g, const wb_param_t *p) {
    char name[64];
    wb_gguf_name (name, transposed, p);
    const tensor_t *t = find (g, name);
    if (t == NULL) return WB_FAIL (WB_EDATA, "%s: no tensor '%s' among its %" PRId64, g->file->path, name, g->n);
    const int64_t cols = *transposed ? p->rows : p->cols, rows = *transposed ? p->cols : p->rows;
    if (t->shape[0] != cols || (p->ndim == 2 ? t->ndim != 2 || t->shape[1] != rows : t->ndim != 1))
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' has another size than the metadata say", g->file->path, name);
    const wb_gguf_type_t *type = wb_gguf_type_of (t->type);
    if (type == NULL || type->as == WB_NUMBERS)
        return WB_FAIL (
            WB_EDATA, "%s: tensor '%s' is of type %s, which wabun does not read; f32, f16, bf16, q8_0 and q4_k it does",
            g->file->path, name, type != NULL ? type->name : "unknown");
    *out = t;
    return WB_OK;
}

static wb_status read_tensor (wb_weights_t *w, float *out, const wb_param_t *p) {
    gguf_t *g = (gguf_t *) w;
    const tensor_t *t;
    bool transposed;
    WB_TRY (find_param (&t, &transposed, g, p));
    const wb_gguf_type_t *type = wb_gguf_type_of (t->type);
    const int64_t cols = t->shape[0], rows = t->ndim == 2 ? t->shape[1] : 1, bytes = cols / type->block * type->bytes;
    const int64_t most = ROWS_BYTES / bytes > 0 ? ROWS_BYTES / bytes : 1;
    for (int64_t r = 0; r < rows; r += most) {
        const int64_t n = rows - r < most ? rows - r : most;
        WB_TRY (wb_cursor_read (g->file, g->raw, (size_t) (n * bytes), t->at + r * bytes));
        for (int64_t i = 0; i < n; i++) {
            float *to = transposed ? g->row : out + (r + i) * cols;
            wb_numbers_unpack (to, g->raw + i * bytes, cols, type->as);
            for (int64_t k = 0; transposed && k < cols; k++) out[k * rows + r + i] = to[k];
        }
    }
    return WB_OK;
}

/* An output layer of its own must be the embedding, byte for byte. */
static wb_status check_head (gguf_t *g) {
    const tensor_t *wte = find (g, "token_embd.weight"), *head = find (g, "output.weight");
    char *other = head != NULL ? wb_malloc ((size_t) ROWS_BYTES) : NULL;
    if (head == NULL) return WB_OK;
    wb_status status = other != NULL ? WB_OK : WB_NOMEM ("a tensor");
    bool same = head->type == wte->type && head->bytes == wte->bytes;
    for (int64_t at = 0; at < wte->bytes && same && status == WB_OK; at += ROWS_BYTES) {
        const size_t n = (size_t) (wte->bytes - at < ROWS_BYTES ? wte->bytes - at : ROWS_BYTES);
        status = wb_cursor_read (g->file, g->raw, n, wte->at + at);
        if (status == WB_OK) status = wb_cursor_read (g->file, other, n, head->at + at);
        same = status == WB_OK && memcmp (g->raw, other, n) == 0;
    }
    wb_free (other);
    if (status == WB_OK && !same)
        status =
            WB_FAIL (WB_EDATA, "%s: 'output.weight' differs from 'token_embd.weight': wabun computes with one for both",
                     g->file->path);
    return status;
}

/* The tokenizer that wabun's own exports of `byte` have; of others the file holds what llama.cpp needs, which is less.
 */
static wb_status take_tokenizer (gguf_t *g) {
    const char *kind = json_string_value (json_object_get (g->meta, "wabun.tokenizer"));
    if (kind != NULL && strcmp (kind, "byte") == 0 && g->base.size.V >= 257)
        return wb_tokenizer_new (&g->base.tokenizer, kind);
    if (json_object_get (g->meta, "tokenizer.ggml.model") != NULL)
        g->base.lost = "its tokenizer cannot be taken from a GGUF file: the model has none; import it again with "
                       "--tokenizer DIR, where the vocabulary or the model lies that it was made with";
    return WB_OK;
}

static wb_status open_model (gguf_t *g) {
    wb_size_t size = {0};
    WB_TRY (read_size (&size, g));
    /* So many tensors there must be: the table is not made for what a header claims. */
    if (size.L > g->n)
        return WB_FAIL (WB_EDATA, "%s: %" PRId64 " layers, but %" PRId64 " tensors", g->file->path, size.L, g->n);
    WB_TRY (wb_weights_init (&g->base, &size));
    g->raw = wb_malloc ((size_t) (ROWS_BYTES + 16 * size.C));
    g->row = wb_malloc ((size_t) (4 * size.C) * sizeof *g->row);
    if (g->raw == NULL || g->row == NULL) return WB_NOMEM ("%s", g->file->path);
    for (int i = 0; i < g->base.params->n; i++) {
        const tensor_t *t;
        bool transposed;
        WB_TRY (find_param (&t, &transposed, g, &g->base.params->list[i]));
    }
    WB_TRY (check_head (g));
    return take_tokenizer (g);
}

static void close_file (wb_weights_t *w) {
    gguf_t *g = (gguf_t *) w;
    wb_cursor_close (g->file);
    json_decref (g->meta);
    wb_free (g->tensors);
    wb_free (g->raw);
    wb_free (g->row);
}

static wb_status open_header (gguf_t **out, const char *path) {
    gguf_t *g = wb_calloc (1, sizeof *g);
    if (g == NULL) return WB_NOMEM ("%s", path);
    g->base.read = read_tensor;
    g->base.close = close_file;
    wb_status status = wb_cursor_open (&g->file, path);
    if (status == WB_OK) status = read_header (g);
    if (status != WB_OK) wb_weights_close (&g->base);
    *out = status == WB_OK ? g : NULL;
    return status;
}

static wb_status open_file (wb_weights_t **out, const char *path) {
    gguf_t *g;
    WB_TRY (open_header (&g, path));
    const wb_status status = open_model (g);
    if (status == WB_OK)
        *out = &g->base;
    else
        wb_weights_close (&g->base);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* Types of tensors, with how many there are of each. */
static wb_status type_facts (json_t *facts, const gguf_t *g) {
    char text[256] = "";
    for (int64_t i = 0; i < g->n; i++) {
        int64_t same = 0, before = 0;
        for (int64_t k = 0; k < g->n; k++)
            if (g->tensors[k].type == g->tensors[i].type) same++, before += k < i;
        const wb_gguf_type_t *type = wb_gguf_type_of (g->tensors[i].type);
        const size_t used = strlen (text);
        if (before == 0)
            snprintf (text + used, sizeof text - used, "%s%s (%lld)", used > 0 ? ", " : "",
                      type != NULL ? type->name : "unknown", (long long) same);
    }
    return wb_fact_text (facts, "numbers", "%s", text);
}

static wb_status file_facts (json_t *facts, const gguf_t *g) {
    wb_size_t size = {0};
    const char *kind = json_string_value (json_object_get (g->meta, "general.architecture"));
    const char *tokenizer = json_string_value (json_object_get (g->meta, "tokenizer.ggml.model"));
    const json_t *tokens = json_object_get (json_object_get (g->meta, "tokenizer.ggml.tokens"), "values");
    WB_TRY (wb_fact_int (facts, "bytes", g->file->bytes));
    WB_TRY (wb_fact_text (facts, "architecture", "%s", kind != NULL ? kind : "unknown"));
    if (kind != NULL && strcmp (kind, "gpt2") == 0) {
        WB_TRY (read_size (&size, g));
        WB_TRY (wb_fact_size (facts, &size));
    }
    WB_TRY (type_facts (facts, g));
    if (tokenizer != NULL)
        WB_TRY (
            wb_fact_text (facts, "tokenizer", "%.60s, %lld ids", tokenizer, (long long) json_integer_value (tokens)));
    WB_TRY (wb_fact (facts, "metadata", json_incref (g->meta)));
    WB_TRY (wb_fact_int (facts, "tensors", g->n));
    json_t *list = wb_fact_list (facts, "tensor");
    if (list == NULL) return WB_NOMEM ("facts");
    for (int64_t i = 0; i < g->n; i++) {
        const tensor_t *t = &g->tensors[i];
        const wb_gguf_type_t *type = wb_gguf_type_of (t->type);
        WB_TRY (wb_fact_tensor (list, t->name, type != NULL ? type->name : "unknown", t->shape, t->ndim));
    }
    return WB_OK;
}

static wb_status inspect (json_t *facts, const char *path) {
    gguf_t *g;
    WB_TRY (open_header (&g, path));
    const wb_status status = file_facts (facts, g);
    wb_weights_close (&g->base);
    return status;
}

static bool probe (const wb_look_t *look) {
    return !look->directory && look->nhead >= 4 && memcmp (look->head, WB_GGUF_MAGIC, 4) == 0;
}

const wb_format_t wb_format_gguf = {
    .name = "gguf",
    .what = "a GGUF file of llama.cpp",
    .opened_by = "llama.cpp and what is built on it",
    .keeps = "all weights, in f32 bit for bit; of the tokenizer what llama.cpp can do; not the training",
    .types =
        1u << WB_NUMBER_F32 | 1u << WB_NUMBER_F16 | 1u << WB_NUMBER_BF16 | 1u << WB_NUMBER_Q8_0 | 1u << WB_NUMBER_Q4_K,
    .probe = probe,
    .inspect = inspect,
    .open = open_file,
    .write = wb_gguf_write,
};
