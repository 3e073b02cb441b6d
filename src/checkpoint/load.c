/* Loading: every rank reads the pieces it holds out of whole tensors, whatever layout (or program) wrote them.
 *
 * Of a tensor cut by columns a rank needs a little of each row.  Such runs are read together with the gaps between
 * them, up to the size of a buffer, and copied out of it: reading too much is cheaper than many small reads.
 *
 * Not done here: where tensors are and what they are called (source.c), checksums (checksums.c). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "checkpoint/source.h"

#define BUFFER_BYTES ((int64_t) 8 << 20)
#define GAP_BYTES ((int64_t) 64 << 10) /* a longer gap is skipped */

/* ---- element types --------------------------------------------------------------------------------------------- */

int64_t wb_st_element_bytes (wb_dtype dtype) {
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

void wb_st_widen (float *out, const char *from, int64_t n, wb_dtype dtype) {
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
    int64_t size = wb_st_element_bytes (t->dtype), max = BUFFER_BYTES / size, gap = GAP_BYTES / size;
    for (int64_t i = 0; i < g->count;) {
        int64_t low, at, n = run_at (g, &low, i);
        if (n > max) n = max;
        if (t->dtype == WB_F32 && n * size >= GAP_BYTES) { /* long enough to need no neighbours */
            WB_TRY (wb_pfile_read (f, to + i, (size_t) (n * size), t->begin + low * size));
            i += n;
            continue;
        }
        int64_t high = low + n, end = i + n;
        while (end < g->count) {
            n = run_at (g, &at, end);
            if (at - high > gap || at + n - low > max) break;
            high = at + n;
            end += n;
        }
        WB_TRY (wb_pfile_read (f, buf, (size_t) ((high - low) * size), t->begin + low * size));
        for (; i < end; i += n) {
            n = run_at (g, &at, i);
            if (n > end - i) n = end - i;
            wb_st_widen (to + i, buf + (at - low) * size, n, t->dtype);
        }
    }
    return WB_OK;
}

/* Check that every tensor needed is there: on all ranks, before any of them overwrites anything. */
static wb_status check_all (wb_source_t *s, const wb_comm_t *world, const wb_ckpt_set_t *set,
                            const wb_segment_t *segments, int n) {
    const wb_st_tensor_t *t;
    wb_source_file_t *file;
    WB_TRY (wb_source_names (s, set, segments, n));
    for (int i = 0; i < n; i++) {
        if (!wb_ckpt_in_set (set, segments[i].param)) continue;
        if (i > 0 && segments[i].param == segments[i - 1].param) continue;
        WB_TRY (wb_source_find (&t, &file, s, segments[i].param));
    }
    return wb_source_check_head (s, set, wb_comm_rank (world), wb_comm_size (world));
}

struct wb_ckpt_reader {
    wb_source_t source;
    char *buf;
    /* of the parameter that was read last */
    const wb_param_t *param;
    const wb_st_tensor_t *tensor;
    wb_source_file_t *file;
};

static wb_status open_reader (wb_ckpt_reader_t **out, wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set,
                              const wb_segment_t *segments, int nsegments) {
    wb_ckpt_reader_t *r = wb_calloc (1, sizeof *r);
    char *buf = wb_malloc ((size_t) BUFFER_BYTES);
    wb_status status = wb_agree (world, r != NULL && buf != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
    if (status == WB_OK) {
        r->buf = buf;
        status = wb_source_open (&r->source, world, dir, set->file);
    }
    if (status != WB_OK) {
        wb_free (r);
        wb_free (buf);
        return status;
    }
    status = wb_agree (world, check_all (&r->source, world, set, segments, nsegments));
    if (status == WB_OK)
        *out = r;
    else
        wb_ckpt_reader_destroy (r);
    return status;
}

wb_status wb_ckpt_reader_new (wb_ckpt_reader_t **out, wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set) {
    *out = NULL;
    wb_segment_t *all = wb_calloc ((size_t) set->nparams + 1, sizeof *all);
    wb_status status = wb_agree (world, all != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
    for (int i = 0; all != NULL && i < set->nparams; i++) all[i].param = &set->params[i];
    if (status == WB_OK) status = open_reader (out, world, dir, set, all, set->nparams);
    wb_free (all);
    return status;
}

wb_dtype wb_ckpt_reader_dtype (const wb_ckpt_reader_t *r, const wb_param_t *p) {
    const wb_st_tensor_t *t;
    wb_source_file_t *file;
    return wb_source_find (&t, &file, &r->source, p) == WB_OK ? t->dtype : WB_OTHER;
}

wb_status wb_ckpt_reader_read (wb_ckpt_reader_t *r, float *to, const wb_segment_t *g) {
    if (r->param != g->param) WB_TRY (wb_source_find (&r->tensor, &r->file, &r->source, g->param));
    r->param = g->param;
    return read_segment (r->file->file, to, r->tensor, g, r->buf);
}

wb_status wb_ckpt_reader_destroy (wb_ckpt_reader_t *r) {
    if (r == NULL) return WB_OK;
    const wb_status closed = wb_source_close (&r->source);
    wb_free (r->buf);
    wb_free (r);
    return closed;
}

wb_status wb_ckpt_load (wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set, const wb_segment_t *segments,
                        int nsegments) {
    wb_ckpt_reader_t *r;
    wb_status mine = WB_OK;
    WB_TRY (open_reader (&r, world, dir, set, segments, nsegments));
    for (int i = 0; i < nsegments && mine == WB_OK; i++) {
        const wb_segment_t *g = &segments[i];
        if (!wb_ckpt_in_set (set, g->param)) continue;
        mine = wb_ckpt_reader_read (r, set->data + (set->by_state ? g->state : g->flat), g);
    }
    const wb_status closed = wb_ckpt_reader_destroy (r);
    return wb_agree (world, mine != WB_OK ? mine : closed);
}
