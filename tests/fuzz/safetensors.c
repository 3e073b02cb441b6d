/* safetensors: model.safetensors; or two files and the index that names them, a.safetensors and b.safetensors.  The
 * header is read, then the parameters of a tiny model are looked for and loaded. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "models.h"
#include "wabun/checkpoint.h"
#include "wabun/comm.h"
#include "wabun/model.h"

static const wb_size_t size = {1, 2, 1, 2, 3};
static wb_params_t *params;
static wb_comm_t *alone;
static float *weights;
static wb_segment_t *segments;

static void init (void) {
    wb_layout_t layout;
    FUZZ_MUST (wb_comm_alone (&alone));
    FUZZ_MUST (wb_layout_init (&layout, 1, 1, 1, 1, size.L, size.H, 0, 0));
    wb_layout_place (&layout, 0);
    FUZZ_MUST (wb_params_new (&params, &size, &layout));
    weights = wb_calloc ((size_t) params->own, sizeof *weights);
    segments = wb_calloc ((size_t) params->n, sizeof *segments);
    FUZZ_CHECK (weights != NULL && segments != NULL, "out of memory");
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        segments[i] = (wb_segment_t){.param = p, .count = wb_param_own (p), .flat = p->offset};
    }
}

static void check_header (const char *name, size_t n) {
    wb_st_t *st;
    if (!fuzz_ok (wb_st_read (&st, alone, name))) return;
    FUZZ_CHECK (st->bytes == (int64_t) n && st->n >= 0, "%d tensors in %lld bytes", st->n, (long long) st->bytes);
    for (int64_t i = 0, end = 0; i < st->n; i++) {
        const wb_st_tensor_t *t = &st->tensors[i];
        FUZZ_CHECK (t->begin >= end && t->begin <= t->end && t->end <= st->bytes, "%s: bytes %lld to %lld", t->name,
                    (long long) t->begin, (long long) t->end);
        FUZZ_CHECK (t->ndim >= 0 && t->ndim <= 8, "%s: %d dimensions", t->name, t->ndim);
        end = t->end;
    }
    wb_st_destroy (st);
}

static void load (const char *prefix) {
    const wb_ckpt_set_t set = {.file = "model.safetensors",
                               .prefix = prefix,
                               .data = weights,
                               .params = prefix[0] == 0 ? params->list : NULL,
                               .nparams = prefix[0] == 0 ? params->n : 0};
    (void) fuzz_ok (wb_ckpt_load (alone, ".", &set, segments, params->n));
}

static void run (const uint8_t *data, size_t n) {
    static const char *const names[] = {"a.safetensors", "b.safetensors", "model.safetensors.index.json"};
    fuzz_part_t part[3];
    const int parts = fuzz_split (part, 3, data, n);
    unlink ("model.safetensors");
    for (int i = 0; i < 3; i++) unlink (names[i]);
    for (int i = 0; i < parts; i++) fuzz_write (parts == 1 ? "model.safetensors" : names[i], part[i].data, part[i].n);
    check_header (parts == 1 ? "model.safetensors" : names[0], part[0].n);
    load ("");
    load ("exp_avg.");
}

void fuzz_put_safetensors (wb_buf_t *out, const wb_params_t *of, int first, int end, wb_dtype dtype) {
    wb_st_tensor_t t[64];
    char *header;
    size_t bytes;
    wb_buf_t b = {0};
    for (int i = first; i < end; i++) {
        const wb_param_t *p = &of->list[i];
        t[i - first] = (wb_st_tensor_t){.name = (char *) (uintptr_t) p->name, .dtype = dtype, .ndim = p->ndim};
        t[i - first].shape[0] = p->ndim == 2 ? p->rows : p->cols;
        t[i - first].shape[1] = p->cols;
    }
    FUZZ_MUST (wb_st_header (&header, &bytes, t, end - first));
    FUZZ_MUST (wb_buf_put (&b, header, bytes));
    while ((int64_t) b.len < t[end - first - 1].end) FUZZ_MUST (wb_buf_put (&b, "\0\0", 2));
    fuzz_join (out, b.data, b.len);
    wb_buf_fini (&b);
    wb_free (header);
}

static void seeds (void) {
    wb_buf_t b = {0};
    fuzz_put_safetensors (&b, params, 0, params->n, WB_F32);
    fuzz_seed ("fp32", b.data, b.len);
    wb_buf_fini (&b);
    fuzz_put_safetensors (&b, params, 0, params->n, WB_BF16);
    fuzz_seed ("bf16", b.data, b.len);
    wb_buf_fini (&b);
    fuzz_put_safetensors (&b, params, 0, 3, WB_F16);
    fuzz_put_safetensors (&b, params, 3, params->n, WB_F64);
    wb_buf_t index = {0};
    FUZZ_MUST (wb_buf_put (&index, "{\"weight_map\": {", 16));
    for (int i = 0; i < params->n; i++) {
        char *row =
            wb_format ("%s\"%s\": \"%c.safetensors\"", i > 0 ? ", " : "", params->list[i].name, i < 3 ? 'a' : 'b');
        FUZZ_MUST (wb_buf_put (&index, row, strlen (row)));
        wb_free (row);
    }
    FUZZ_MUST (wb_buf_put (&index, "}}", 2));
    fuzz_join (&b, index.data, index.len);
    fuzz_seed ("two", b.data, b.len);
    wb_buf_fini (&index);
    wb_buf_fini (&b);
}

const fuzz_harness_t fuzz_safetensors = {"safetensors", init, run, seeds};
