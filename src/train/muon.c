/* Muon: momentum of a matrix, orthogonalised.
 *
 *   m = mu m + g;   u = g + mu m (Nesterov), or m
 *   w = (1 - lr decay) w - lr rms sqrt (max (rows, cols)) polar (u)
 *
 * (Jordan et al. 2024; decay and scale: Liu et al., arXiv:2502.16982.)  An orthogonal matrix of r x n, r <= n, has the
 * root mean square 1 / sqrt (n), so the step has the root mean square rms lr, about that of AdamW, whose learning rate
 * carries over.
 *
 * The parts of c_attn (queries, keys, values) are matrices of their own, side by side in memory.  The gradient block is
 * used up: what an update is made of lies in its place.
 *
 * Not here: embeddings, LayerNorms and biases, which AdamW updates (optim.c), and the product itself (par/polar.c). */
#include "config.h"

#include <math.h>
#include <wabun/train.h>

/* A matrix, or a part of one, as it lies in the block. */
typedef struct unit {
    int64_t rows, cols, ld, flat, state;
} unit_t;

struct wb_muon {
    wb_optim_options_t o;
    const wb_kern_t *k;
    unit_t *units;
    int nunits;
    float *work;
};

static int parts_of (const wb_optim_options_t *o, const wb_param_t *p) { return o->muon_split_qkv ? p->parts : 1; }

static int64_t work_floats (const wb_optim_options_t *o, const wb_params_t *params) {
    int64_t most = 0;

    for (int i = 0; i < params->n; ++i) {
        const wb_param_t *p = &params->list[i];
        int64_t n;

        if (p->cls != WB_CLASS_MATRIX || p->offset < 0) continue;
        n = wb_polar_work_floats (p->own_rows, p->own_cols / parts_of (o, p));
        if (n > most) most = n;
    }
    return most;
}

size_t wb_muon_bytes (const wb_optim_options_t *o, const wb_params_t *params) {
    return (size_t) work_floats (o, params) * sizeof (float);
}

static wb_status fill (wb_muon_t *m, const wb_segment_t *segments, int nsegments) {
    int64_t most = 0;

    for (int i = 0; i < nsegments; ++i) {
        const wb_segment_t *s = &segments[i];
        const wb_param_t *p = s->param;
        int parts = parts_of (&m->o, p);
        int64_t cols = p->own_cols / parts, n = wb_polar_work_floats (p->own_rows, cols);

        if (p->cls != WB_CLASS_MATRIX) continue;
        WB_ASSERT (s->first == 0 && s->count == wb_param_own (p));
        if (n > most) most = n;
        for (int j = 0; j < parts; ++j)
            m->units[m->nunits++] = (unit_t){p->own_rows, cols, p->own_cols, s->flat + j * cols, s->state + j * cols};
    }
    m->work = wb_malloc ((size_t) most * sizeof (float) + 1);
    return m->work != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory for Muon");
}

wb_status wb_muon_new (wb_muon_t **out, const wb_optim_options_t *o, const wb_kern_t *k, const wb_segment_t *segments,
                       int nsegments) {
    wb_muon_t *m = wb_calloc (1, sizeof *m);
    wb_status status = WB_OK;
    int n = 0;

    *out = NULL;
    for (int i = 0; i < nsegments; ++i) n += segments[i].param->parts;
    if (m != NULL) m->units = wb_calloc ((size_t) n + 1, sizeof *m->units);
    if (m == NULL || m->units == NULL) status = WB_FAIL (WB_ENOMEM, "out of memory for Muon");
    if (status == WB_OK) {
        m->o = *o;
        m->k = k;
        status = fill (m, segments, nsegments);
    }
    if (status != WB_OK) {
        wb_muon_destroy (m);
        return status;
    }
    *out = m;
    return WB_OK;
}

void wb_muon_destroy (wb_muon_t *m) {
    if (m == NULL) return;
    wb_free (m->units);
    wb_free (m->work);
    wb_free (m);
}

double wb_muon_flops (const wb_muon_t *m) {
    double sum = 0;

    for (int i = 0; i < m->nunits; ++i) sum += wb_polar_flops (m->units[i].rows, m->units[i].cols, m->o.muon_steps);
    return sum;
}

static void update (wb_muon_t *m, const unit_t *u, float *w, float *momentum, float *g, double lr, double gscale) {
    const wb_kern_t *k = m->k;
    bool whole = u->ld == u->cols;
    int64_t stretches = whole ? 1 : u->rows, n = whole ? u->rows * u->cols : u->cols, ld;
    double larger = (double) (u->rows > u->cols ? u->rows : u->cols);
    float *x;

    for (int64_t i = 0; i < stretches; ++i)
        k->momentum (g + i * u->ld, momentum + i * u->ld, g + i * u->ld, n, (float) m->o.muon_momentum, (float) gscale,
                     m->o.muon_nesterov);
    x = wb_polar (k, &ld, g, m->work, u->rows, u->cols, u->ld, m->o.muon_steps);
    for (int64_t i = 0; i < stretches; ++i)
        k->sgd (w + i * u->ld, x + i * ld, n, (float) (lr * m->o.muon_rms * sqrt (larger)),
                (float) (lr * m->o.weight_decay), 1);
}

void wb_muon_update (wb_muon_t *m, float *w, float *momentum, float *g, double lr, double gscale) {
    for (int i = 0; i < m->nunits; ++i) {
        const unit_t *u = &m->units[i];
        update (m, u, w + u->flat, momentum + u->state, g + u->flat, lr, gscale);
    }
}
