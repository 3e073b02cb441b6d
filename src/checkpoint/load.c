/* Loading: every rank reads the pieces it holds out of whole tensors, whatever layout (or program) wrote them.
 *
 * Of a column-cut tensor a rank wants a little of each row.  Such runs are read together with the gaps between them, up
 * to a buffer's size, and picked out of it: reading too much is cheaper than many small reads.
 *
 * Not here: names other than GPT-2's (import), checksums (sums.c). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "checkpoint/checkpoint_priv.h"

#define BUFFER_BYTES ((int64_t) 8 << 20)
#define GAP_BYTES ((int64_t) 64 << 10) /* a longer gap is skipped */

/* ---- element types --------------------------------------------------------------------------------------------- */

static int64_t element_bytes (wb_dtype dtype) {
    switch (dtype) {
    case WB_F32: return 4;
    case WB_F16:
    case WB_BF16: return 2;
    case WB_F64: return 8;
    default: return 0;
    }
}

static float from_bits (uint32_t bits) {
    float x;
    memcpy (&x, &bits, sizeof x);
    return x;
}

static float from_f16 (uint16_t h) {
    uint32_t sign = (uint32_t) (h & 0x8000u) << 16, exponent = h >> 10 & 0x1fu, fraction = h & 0x3ffu;
    if (exponent == 0) { /* zero and subnormals: fraction times 2^-24 */
        float x = (float) fraction * 0x1p-24f;
        return sign != 0 ? -x : x;
    }
    /* 31 is infinity and NaN there, 255 here; otherwise the bias changes from 15 to 127. */
    return from_bits (sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 | fraction << 13);
}

static void widen (float *out, const char *from, int64_t n, wb_dtype dtype) {
    uint16_t h;
    double d;
    switch (dtype) {
    case WB_F16:
        for (int64_t i = 0; i < n; i++) {
            memcpy (&h, from + 2 * i, sizeof h);
            out[i] = from_f16 (h);
        }
        break;
    case WB_BF16:
        for (int64_t i = 0; i < n; i++) {
            memcpy (&h, from + 2 * i, sizeof h);
            out[i] = from_bits ((uint32_t) h << 16);
        }
        break;
    case WB_F64:
        for (int64_t i = 0; i < n; i++) {
            memcpy (&d, from + 8 * i, sizeof d);
            out[i] = (float) d;
        }
        break;
    default: memcpy (out, from, (size_t) n * sizeof *out);
    }
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* The run of g at element i of the segment, cut at its end. */
static int64_t run_at (const wb_segment_t *g, int64_t *global, int64_t i) {
    int64_t run;
    wb_param_run (g->param, global, &run, g->first + i);
    return run < g->count - i ? run : g->count - i;
}

static wb_status read_segment (wb_pfile_t *f, float *to, const wb_st_tensor_t *t, const wb_segment_t *g, char *buf) {
    int64_t size = element_bytes (t->dtype), most = BUFFER_BYTES / size, gap = GAP_BYTES / size;
    for (int64_t i = 0; i < g->count;) {
        int64_t low, at, n = run_at (g, &low, i);
        if (n > most) n = most;
        if (t->dtype == WB_F32 && n * size >= GAP_BYTES) { /* long enough to need no neighbours */
            WB_TRY (wb_pfile_read (f, to + i, (size_t) (n * size), t->begin + low * size));
            i += n;
            continue;
        }
        int64_t high = low + n, end = i + n;
        while (end < g->count) {
            n = run_at (g, &at, end);
            if (at - high > gap || at + n - low > most) break;
            high = at + n;
            end += n;
        }
        WB_TRY (wb_pfile_read (f, buf, (size_t) ((high - low) * size), t->begin + low * size));
        for (; i < end; i += n) {
            n = run_at (g, &at, i);
            if (n > end - i) n = end - i;
            widen (to + i, buf + (at - low) * size, n, t->dtype);
        }
    }
    return WB_OK;
}

/* "[300, 48]" */
static const char *shape_text (char buf[200], const int64_t *shape, int ndim) {
    size_t used = (size_t) snprintf (buf, 200, "[");
    for (int i = 0; i < ndim && i < 8; i++)
        used += (size_t) snprintf (buf + used, 200 - used, "%s%" PRId64, i > 0 ? ", " : "", shape[i]);
    snprintf (buf + used, 200 - used, "]");
    return buf;
}

/* The tensor of p, with the shape the table says. */
static wb_status find (const wb_st_tensor_t **out, const wb_st_t *st, const char *path, const char *prefix,
                       const wb_param_t *p) {
    char name[256], want[200], have[200];
    const int64_t two[2] = {p->rows, p->cols}, *shape = p->ndim == 1 ? two + 1 : two;
    int n = snprintf (name, sizeof name, "%s%s", prefix, p->name);
    WB_ASSERT (n > 0 && n < (int) sizeof name);
    const wb_st_tensor_t *t = *out = wb_st_find (st, name);
    shape_text (want, shape, p->ndim);
    if (t == NULL)
        return WB_FAIL (WB_EDATA,
                        "%s: no tensor '%s' %s among its %d; is it another kind of model, or has the configuration "
                        "(model.layers) other sizes?",
                        path, name, want, st->n);
    bool same = t->ndim == p->ndim;
    for (int i = 0; i < p->ndim && same; i++) same = t->shape[i] == shape[i];
    if (!same) {
        bool turned = t->ndim == 2 && p->ndim == 2 && t->shape[0] == p->cols && t->shape[1] == p->rows;
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' is %s there, but %s is wanted; %s", path, name,
                        shape_text (have, t->shape, t->ndim), want,
                        turned ? "it is transposed: wabun import can read other people's formats"
                               : "the configuration (model.*, the tokenizer's size) has other sizes than this model");
    }
    if (element_bytes (t->dtype) == 0)
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' is not of type F32, F16, BF16 or F64", path, name);
    return WB_OK;
}

/* A config.json with fewer layers than the file would load, and compute another model. */
static wb_status check_layers (const wb_st_t *st, const char *path, int64_t layers) {
    static const char front[] = "transformer.";
    for (int i = 0; i < st->n && layers > 0; i++) {
        const char *name = st->tensors[i].name;
        long long layer;
        if (strncmp (name, front, sizeof front - 1) == 0) name += sizeof front - 1;
        if (sscanf (name, "h.%lld.", &layer) == 1 && layer >= layers)
            return WB_FAIL (WB_EDATA, "%s: tensor '%s' is of a layer that the model, with %lld layers, does not have",
                            path, st->tensors[i].name, (long long) layers);
    }
    return WB_OK;
}

/* Whether all that is wanted is there; all ranks are asked before any of them overwrites anything. */
static wb_status check_all (const wb_pfile_t *f, const wb_st_t *st, const char *path, const wb_ckpt_set_t *set,
                            const wb_segment_t *segments, int n) {
    const wb_st_tensor_t *t;
    WB_TRY (check_layers (st, path, set->layers));
    for (int i = 0; i < n; i++) {
        if (!wb_ckpt_in_set (set, segments[i].param)) continue;
        if (i > 0 && segments[i].param == segments[i - 1].param) continue;
        WB_TRY (find (&t, st, path, set->prefix, segments[i].param));
        if (t->end > wb_pfile_size (f)) return WB_FAIL (WB_EDATA, "%s: became shorter while it was read", path);
    }
    return WB_OK;
}

static wb_status read_all (wb_pfile_t *f, const wb_st_t *st, const char *path, const wb_ckpt_set_t *set,
                           const wb_segment_t *segments, int n, char *buf) {
    const wb_st_tensor_t *t = NULL;
    for (int i = 0; i < n; i++) {
        const wb_segment_t *g = &segments[i];
        if (!wb_ckpt_in_set (set, g->param)) continue;
        if (i == 0 || g->param != g[-1].param) WB_TRY (find (&t, st, path, set->prefix, g->param));
        WB_TRY (read_segment (f, set->data + (set->by_state ? g->state : g->flat), t, g, buf));
    }
    return WB_OK;
}

/* Rank 0: is it a model in a form that is not read directly? */
static wb_status look (const char *dir, const char *path, const char *file) {
    static const char *const others[] = {"model.safetensors.index.json", "pytorch_model.bin", "tf_model.h5"};
    if (wb_file_exists (path)) return WB_OK;
    if (!wb_file_is_dir (dir)) return WB_FAIL (WB_EIO, "%s: no such directory", dir);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *other = wb_format ("%s/%s", dir, others[i]);
        bool there = other != NULL && wb_file_exists (other);
        wb_free (other);
        if (there)
            return WB_FAIL (WB_EIO, "%s: no such file, only %s: save the model as one safetensors file", path,
                            others[i]);
    }
    return WB_FAIL (WB_EIO, "%s: no such file: %s is no model directory, or its %s was not saved", path, dir, file);
}

wb_status wb_ckpt_load (wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set, const wb_segment_t *segments,
                        int nsegments) {
    wb_st_t *st = NULL;
    wb_pfile_t *f = NULL;
    char *path = wb_format ("%s/%s", dir, set->file);
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && wb_comm_rank (world) == 0) status = look (dir, path, set->file);
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_st_read (&st, world, path);
    if (status == WB_OK) status = wb_pfile_open (&f, world, path);
    if (status == WB_OK) {
        char *buf = wb_malloc ((size_t) BUFFER_BYTES);
        wb_status mine = buf != NULL ? check_all (f, st, path, set, segments, nsegments) : WB_NOMEM ("checkpoint");
        mine = wb_agree (world, mine);
        if (mine == WB_OK) mine = read_all (f, st, path, set, segments, nsegments, buf);
        wb_free (buf);
        status = wb_pfile_close (f);
        status = wb_agree (world, mine != WB_OK ? mine : status);
    }
    wb_st_destroy (st);
    wb_free (path);
    return status;
}
