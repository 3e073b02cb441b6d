/* Models of llm.c: https://github.com/karpathy/llm.c, as its train_gpt2.py writes and its train_gpt2.c reads them.
 *
 * 256 words of 32 bits, of which eight are used, then all tensors without names, kind by kind, those of all layers one
 * after the other.  Linears lie transposed, [out, in].  The embedding has zeros after its last row, up to a multiple of
 * 128 rows.  Version 3 is fp32, version 5 bf16.
 *
 * Not done here: tokens (llmc_tokens.c), versions without padding of before June 2024, tokenizers. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/cursor.h"
#include "convert/llmc.h"

#define MAGIC 20240326
#define PADDING 128               /* of the vocabulary: a multiple of it */
#define COLUMNS 64                /* of a linear turned at a time */
#define PIECE ((int64_t) 1 << 16) /* numbers read at a time, or a row */

/* ---- where tensors lie ------------------------------------------------------------------------------------------- */

static const struct {
    wb_role role;
    bool turned;
} order[] = {
    {WB_ROLE_WTE, false},   {WB_ROLE_WPE, false},    {WB_ROLE_LN1_G, false}, {WB_ROLE_LN1_B, false},
    {WB_ROLE_QKV_W, true},  {WB_ROLE_QKV_B, false},  {WB_ROLE_ATT_W, true},  {WB_ROLE_ATT_B, false},
    {WB_ROLE_LN2_G, false}, {WB_ROLE_LN2_B, false},  {WB_ROLE_FC_W, true},   {WB_ROLE_FC_B, false},
    {WB_ROLE_PROJ_W, true}, {WB_ROLE_PROJ_B, false}, {WB_ROLE_LNF_G, false}, {WB_ROLE_LNF_B, false},
};
#define KINDS (sizeof order / sizeof *order)

static bool of_layer (wb_role role) { return role >= WB_ROLE_LN1_G && role <= WB_ROLE_PROJ_B; }

static int64_t padded (int64_t V) { return (V + PADDING - 1) / PADDING * PADDING; }

/* Numbers before those of p; *turned: they lie transposed. */
static int64_t numbers_before (bool *turned, const wb_params_t *params, const wb_param_t *p, int64_t rows) {
    int64_t n = 0;
    for (size_t k = 0; k < KINDS; k++) {
        const wb_param_t *first = wb_params_get (params, order[k].role, 0);
        const int64_t size = (order[k].role == WB_ROLE_WTE ? rows : first->rows) * first->cols;
        *turned = order[k].turned;
        if (order[k].role == p->role) return n + (of_layer (p->role) ? p->layer * size : 0);
        n += size * (of_layer (order[k].role) ? wb_params_get (params, WB_ROLE_LNF_G, 0)->layer : 1);
    }
    return n;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct llmc {
    wb_weights_t base;
    wb_cursor_file_t *file;
    wb_size_t size;
    int64_t rows; /* of the embedding in the file */
    wb_number type;
    char *raw;
    float *row;
} llmc_t;

static wb_status read_tensor (wb_weights_t *w, float *out, const wb_param_t *p) {
    llmc_t *m = (llmc_t *) w;
    bool turned;
    const int64_t size = wb_number_bytes (m->type);
    const int64_t at = WB_LLMC_HEADER + size * numbers_before (&turned, w->params, p, m->rows);
    const int64_t cols = turned ? p->rows : p->cols, rows = turned ? p->cols : p->rows;
    const int64_t most = PIECE / cols > 0 ? PIECE / cols : 1;
    for (int64_t r = 0; r < rows; r += most) {
        const int64_t n = rows - r < most ? rows - r : most;
        WB_TRY (wb_cursor_read (m->file, m->raw, (size_t) (n * cols * size), at + r * cols * size));
        if (!turned) wb_numbers_unpack (out + r * cols, m->raw, n * cols, m->type);
        for (int64_t i = 0; turned && i < n; i++) {
            wb_numbers_unpack (m->row, m->raw + i * cols * size, cols, m->type);
            for (int64_t k = 0; k < cols; k++) out[k * rows + r + i] = m->row[k];
        }
    }
    return WB_OK;
}

static wb_status read_header (llmc_t *m) {
    int32_t h[WB_LLMC_HEADER / 4];
    const char *path = m->file->path;
    WB_TRY (wb_cursor_take (m->file, h, sizeof h, "the header"));
    if (h[1] != 3 && h[1] != 5)
        return WB_FAIL (WB_EDATA, "%s: version %" PRId32 " of llm.c's models; 3 (fp32) and 5 (bf16) are known", path,
                        h[1]);
    const wb_size_t s = {.T = h[2], .V = h[3], .L = h[4], .H = h[5], .C = h[6]};
    m->size = s;
    m->rows = h[7];
    m->type = h[1] == 3 ? WB_NUMBER_F32 : WB_NUMBER_BF16;
    if (s.T < 1 || s.T > 1 << 20 || s.V < 2 || s.V > 1 << 26 || s.L < 1 || s.L > 4096 || s.H < 1 || s.C < 1 ||
        s.C > 1 << 17 || s.C % s.H != 0 || m->rows < s.V || m->rows > 1 << 26)
        return WB_FAIL (WB_EDATA, "%s: its header has impossible sizes", path);
    const int64_t layer = 12 * s.C * s.C + 13 * s.C;
    const int64_t want = WB_LLMC_HEADER + wb_number_bytes (m->type) * ((m->rows + s.T + 2) * s.C + s.L * layer);
    if (m->file->bytes != want)
        return WB_FAIL (WB_EDATA, "%s: has %" PRId64 " bytes, its header tells of %" PRId64 ": cut off or damaged",
                        path, m->file->bytes, want);
    return WB_OK;
}

static void close_file (wb_weights_t *w) {
    llmc_t *m = (llmc_t *) w;
    wb_cursor_close (m->file);
    wb_free (m->raw);
    wb_free (m->row);
}

static wb_status open_header (llmc_t **out, const char *path) {
    llmc_t *m = wb_calloc (1, sizeof *m);
    if (m == NULL) return WB_NOMEM ("%s", path);
    m->base.read = read_tensor;
    m->base.close = close_file;
    wb_status status = wb_cursor_open (&m->file, path);
    if (status == WB_OK) status = read_header (m);
    if (status != WB_OK) wb_weights_close (&m->base);
    *out = status == WB_OK ? m : NULL;
    return status;
}

static wb_status open_file (wb_weights_t **out, const char *path) {
    llmc_t *m = NULL;
    WB_TRY (open_header (&m, path));
    const int64_t row = 4 * m->size.C;
    wb_status status = wb_weights_init (&m->base, &m->size);
    m->raw = wb_malloc ((size_t) (PIECE + row) * sizeof (float));
    m->row = wb_malloc ((size_t) row * sizeof *m->row);
    if (status == WB_OK && (m->raw == NULL || m->row == NULL)) status = WB_NOMEM ("%s", path);
    if (status == WB_OK)
        *out = &m->base;
    else
        wb_weights_close (&m->base);
    return status;
}

static wb_status inspect (json_t *facts, const char *path) {
    llmc_t *m = NULL;
    WB_TRY (open_header (&m, path));
    wb_status status = wb_fact_int (facts, "bytes", m->file->bytes);
    if (status == WB_OK) status = wb_fact_size (facts, &m->size);
    if (status == WB_OK) status = wb_fact_int (facts, "padded to", m->rows);
    if (status == WB_OK) status = wb_fact_text (facts, "numbers", "%s", wb_number_names[m->type]);
    wb_weights_close (&m->base);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct work {
    float *values, *turned;
    char *packed;
} work_t;

static wb_status put_numbers (wb_writer_t *out, const work_t *k, const float *x, int64_t n, wb_number type) {
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t m = n - i < PIECE ? n - i : PIECE;
        wb_numbers_pack (k->packed, x + i, m, type);
        WB_TRY (wb_writer_put (out, k->packed, (size_t) (m * wb_number_bytes (type))));
    }
    return WB_OK;
}

static wb_status put_tensor (wb_writer_t *out, wb_weights_t *w, const work_t *k, const wb_param_t *p, bool turned,
                             wb_number type) {
    WB_TRY (wb_weights_read (w, k->values, p));
    if (!turned) return put_numbers (out, k, k->values, p->rows * p->cols, type);
    for (int64_t c = 0; c < p->cols; c += COLUMNS) {
        const int64_t n = p->cols - c < COLUMNS ? p->cols - c : COLUMNS;
        for (int64_t r = 0; r < p->rows; r++)
            for (int64_t i = 0; i < n; i++) k->turned[i * p->rows + r] = k->values[r * p->cols + c + i];
        WB_TRY (put_numbers (out, k, k->turned, n * p->rows, type));
    }
    return WB_OK;
}

static wb_status put_header (wb_writer_t *out, const wb_size_t *s, wb_number type) {
    int32_t h[WB_LLMC_HEADER / 4] = {MAGIC, type == WB_NUMBER_F32 ? 3 : 5};
    const int64_t sizes[] = {s->T, s->V, s->L, s->H, s->C, padded (s->V)};
    for (int i = 0; i < 6; i++) h[2 + i] = (int32_t) sizes[i];
    return wb_writer_put (out, h, sizeof h);
}

static wb_status put_all (wb_writer_t *out, wb_weights_t *w, const work_t *k, wb_number type) {
    const wb_size_t *s = &w->size;
    WB_TRY (put_header (out, s, type));
    for (size_t i = 0; i < KINDS; i++) {
        const int64_t layers = of_layer (order[i].role) ? s->L : 1;
        for (int64_t l = 0; l < layers; l++)
            WB_TRY (put_tensor (out, w, k, wb_params_get (w->params, order[i].role, l), order[i].turned, type));
        if (order[i].role != WB_ROLE_WTE) continue;
        memset (k->turned, 0, (size_t) s->C * sizeof (float));
        for (int64_t r = s->V; r < padded (s->V); r++) WB_TRY (put_numbers (out, k, k->turned, s->C, type));
    }
    return WB_OK;
}

static wb_status write_file (const wb_export_t *x, wb_weights_t *w) {
    wb_writer_t out = {0};
    int64_t most = 0;
    WB_TRY (wb_export_new (x));
    for (int i = 0; i < w->params->n; i++) {
        const int64_t n = w->params->list[i].rows * w->params->list[i].cols;
        if (n > most) most = n;
    }
    work_t k = {.values = wb_malloc ((size_t) most * sizeof *k.values),
                .turned = wb_malloc ((size_t) (COLUMNS * 4 * w->size.C) * sizeof *k.turned),
                .packed = wb_malloc ((size_t) PIECE * sizeof (float))};
    wb_status status = k.values != NULL && k.turned != NULL && k.packed != NULL ? WB_OK : WB_NOMEM ("a tensor");
    if (status == WB_OK) status = wb_writer_begin (&out, x->out);
    if (status == WB_OK) status = put_all (&out, w, &k, x->type);
    if (status == WB_OK) status = wb_writer_end (&out);
    wb_writer_cancel (&out);
    wb_free (k.values);
    wb_free (k.turned);
    wb_free (k.packed);
    if (status == WB_OK && w->tokenizer != NULL)
        wb_info ("%s: the tokenizer is not in it: give llm.c ids (wabun export PREFIX --to llmc)", x->out);
    return status;
}

static bool probe (const wb_look_t *look) {
    int32_t magic;
    if (look->directory || look->nhead < 8) return false;
    memcpy (&magic, look->head, sizeof magic);
    return magic == MAGIC;
}

const wb_format_t wb_format_llmc = {
    .name = "llmc",
    .what = "a model of llm.c",
    .opened_by = "train_gpt2 of llm.c",
    .keeps = "all weights, in f32 bit for bit; neither tokenizer nor training",
    .types = 1u << WB_NUMBER_F32 | 1u << WB_NUMBER_BF16,
    .probe = probe,
    .inspect = inspect,
    .open = open_file,
    .write = write_file,
};
