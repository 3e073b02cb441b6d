/* The weights of a model as inference uses them: where each parameter lies in the block, and its matrices in panels.
 *
 * In fp32 the block is that of the model room, its matrices row by row until they are packed in place.  In 16 and 8
 * bits a number it is another one: the parameters in the same order, each from a multiple of WB_ALIGN bytes on, the
 * matrices rounded, all else fp32.
 *
 * Not here: the layout of a panel (kernels/pack.c), files (model.c, share.c). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

/* How a parameter is stored outside of inference, if it is one of the matrices that are multiplied by. */
static bool is_matrix (const wb_param_t *p, wb_panels *form, int64_t *k, int64_t *n) {
    const bool wte = p->role == WB_ROLE_WTE;
    *form = wte ? WB_PANELS_OF_COLUMNS : WB_PANELS_OF_ROWS;
    *k = wte ? p->cols : p->rows;
    *n = wte ? p->rows : p->cols;
    return wte || p->cls == WB_CLASS_MATRIX;
}

static size_t bytes_of (const wb_param_t *p, wb_weights_type type) {
    wb_panels form;
    int64_t k, n;
    if (type != WB_WEIGHTS_FP32 && is_matrix (p, &form, &k, &n)) return wb_align (wb_panels_bytes (type, k, n));
    return (size_t) (p->rows * p->cols) * sizeof (float);
}

size_t wb_weights_place (size_t *at, const wb_params_t *params, wb_weights_type type) {
    size_t total = 0;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if (at != NULL) at[i] = type == WB_WEIGHTS_FP32 ? (size_t) p->offset * sizeof (float) : total;
        total += wb_align (bytes_of (p, type));
    }
    return type == WB_WEIGHTS_FP32 ? (size_t) params->own * sizeof (float) : total;
}

void wb_weights_round (void *to, const wb_param_t *p, wb_weights_type type, const float *from) {
    wb_panels form;
    int64_t k, n;
    if (is_matrix (p, &form, &k, &n))
        wb_panels_round (to, type, from, form, k, n);
    else
        memcpy (to, from, bytes_of (p, type));
}

int64_t wb_weights_work_floats (const wb_size_t *s) {
    const int64_t a = wb_panels_work_floats (WB_PANELS_OF_ROWS, s->C, 4 * s->C),
                  b = wb_panels_work_floats (WB_PANELS_OF_COLUMNS, s->C, s->V);
    return a > b ? a : b;
}

void wb_weights_arrange (float *weights, const wb_params_t *params, float *work,
                         void (*how) (float *A, wb_panels form, float *work, int64_t k, int64_t n)) {
    wb_panels form;
    int64_t k, n;
    for (const wb_param_t *p = params->list; p < params->list + params->n; p++)
        if (is_matrix (p, &form, &k, &n)) how (weights + p->offset, form, work, k, n);
}
