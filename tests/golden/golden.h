/* A model, a batch, the expected results, and the checks: shared by test_gpt2.c and oracle_model.c.
 *
 * Include tmpi.h first.  Everything runs on one rank, so no check needs an agreement.  An error is the largest absolute
 * difference over the largest absolute value of the tensor: small elements of a large tensor may be further off. */
#ifndef WABUN_GOLDEN_H
#define WABUN_GOLDEN_H

#include <string.h>

#include "wabun/checkpoint.h"
#include "wabun/train.h"

enum { GOLDEN_STEPS = 10, GOLDEN_RUNS = 8 };

typedef struct golden_run {
    char name[32];
    wb_optim_options_t optim;
    double losses[GOLDEN_STEPS + 1]; /* before each update, and after the last */
    double norms[GOLDEN_STEPS];      /* before clipping */
} golden_run_t;

typedef struct golden {
    wb_size_t size;
    int64_t B, T;
    int32_t *windows; /* [B, T + 1] */
    double loss;
    float *logits;          /* [B, T, V] */
    float *weights, *grads; /* blocks in the order of `params` */
    wb_layout_t layout;     /* one rank */
    wb_params_t *params;
    wb_segment_t *block; /* [params->n] */
    double *off;         /* [params->n], set by tests that use it: what gradients may be off by as a whole */
    golden_run_t runs[GOLDEN_RUNS];
    int nruns;
} golden_t;

/* Errors of one pass, relative; `where` names the worst gradient.  least, most: over all gradients, what they are off
 * by as a whole (the length of the error over that of the gradient) over what g->off allows. */
typedef struct golden_errors {
    double loss, logits, grads, least, most;
    char where[48];
} golden_errors_t;

/* Everything but the values: size, B and T are set. */
__attribute__ ((unused)) static void golden_alloc (golden_t *g) {
    T_STATUS (wb_layout_init (&g->layout, 1, 1, 1, 1, g->size.L, g->size.H, 0, 0), WB_OK);
    T_STATUS (wb_params_new (&g->params, &g->size, &g->layout), WB_OK);
    g->windows = wb_calloc ((size_t) (g->B * (g->T + 1)), sizeof *g->windows);
    g->logits = wb_calloc ((size_t) (g->B * g->T * g->size.V), sizeof *g->logits);
    g->weights = wb_calloc ((size_t) g->params->own, sizeof *g->weights);
    g->grads = wb_calloc ((size_t) g->params->own, sizeof *g->grads);
    g->block = wb_calloc ((size_t) g->params->n, sizeof *g->block);
    g->off = wb_calloc ((size_t) g->params->n, sizeof *g->off);
    for (int i = 0; i < g->params->n; i++) {
        const wb_param_t *p = &g->params->list[i];
        g->block[i] = (wb_segment_t){p, 0, wb_param_own (p), p->offset, p->offset, p->offset};
    }
}

__attribute__ ((unused)) static void golden_free (golden_t *g) {
    wb_params_destroy (g->params);
    wb_free (g->windows);
    wb_free (g->logits);
    wb_free (g->weights);
    wb_free (g->grads);
    wb_free (g->block);
    wb_free (g->off);
}

/* Read a file of exactly n numbers of 4 bytes. */
__attribute__ ((unused)) static void golden_read (void *out, int64_t n, const char *dir, const char *name) {
    char path[1024], *data = NULL;
    size_t bytes = 0;
    snprintf (path, sizeof path, "%s/%s", dir, name);
    if (T_STATUS (wb_file_read (&data, &bytes, path), WB_OK) &&
        T_OK (bytes == (size_t) n * 4, "%s has %zu bytes, wanted %lld", path, bytes, (long long) n * 4))
        memcpy (out, data, bytes);
    wb_free (data);
}

static inline double golden_relative (double got, double want) {
    double d = fabs (got - want) / fabs (want);
    return isfinite (d) ? d : INFINITY;
}

static inline double golden_error (const float *got, const float *want, int64_t n) {
    double worst = 0, max = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs ((double) got[i] - (double) want[i]);
        if (!(d <= worst)) worst = isfinite (d) ? d : INFINITY;
        if (fabs ((double) want[i]) > max) max = fabs ((double) want[i]);
    }
    return max > 0 ? worst / max : worst;
}

/* The length of an error over that of x. */
static inline double golden_off (const float *got, const float *want, int64_t n, const float *x, int64_t nx) {
    double off = 0, all = 0;
    for (int64_t i = 0; i < n; i++) off += ((double) got[i] - (double) want[i]) * ((double) got[i] - (double) want[i]);
    for (int64_t i = 0; i < nx; i++) all += (double) x[i] * (double) x[i];
    return sqrt (off / all);
}

/* One more gradient, of parameter i, or this rank's part of it. */
static inline void golden_gradient (golden_errors_t *e, const golden_t *g, int i, const float *got, const float *want,
                                    int64_t n) {
    const wb_segment_t *s = &g->block[i];
    const double d = golden_error (got, want, n),
                 off = golden_off (got, want, n, g->grads + s->flat, s->count) / g->off[i];
    if (e->where[0] == 0 || off < e->least) e->least = off;
    if (!(off <= e->most)) e->most = off;
    if (e->where[0] != 0 && d <= e->grads) return;
    e->grads = d;
    snprintf (e->where, sizeof e->where, "%s", s->param->name);
}

/* ---- one stage on one rank ------------------------------------------------------------------------------------- */

typedef struct golden_machine {
    const golden_t *g;
    const wb_kern_t *k;
    wb_comm_t *self;
    wb_stage_t *stage;
    int64_t micro;   /* sequences of a micro-batch */
    int32_t *x, *y;  /* [B, T] */
    float *w, *dw;   /* blocks */
    float *state[2]; /* blocks */
    float *loss;     /* [micro, T] */
} golden_machine_t;

static bool golden_machine_new (golden_machine_t *m, const golden_t *g, wb_comm_t *world, const wb_kern_t *k,
                                wb_recompute recompute, int64_t micro, bool bf16) {
    wb_stage_options_t o = {.B = micro, .T = g->T, .chunks = 1, .slots = {1}, .recompute = recompute, .bf16 = bf16};
    size_t own = (size_t) g->params->own;
    memset (m, 0, sizeof *m);
    m->g = g;
    m->k = k;
    m->micro = micro;
    bool good = T_STATUS (wb_comm_split (&m->self, world, wb_comm_rank (world), 0), WB_OK) &&
                T_STATUS (wb_stage_new (&m->stage, &g->size, &g->layout, m->self, g->params, k, &o), WB_OK);
    m->x = wb_calloc ((size_t) (g->B * g->T), sizeof *m->x);
    m->y = wb_calloc ((size_t) (g->B * g->T), sizeof *m->y);
    m->w = wb_calloc (own, sizeof *m->w);
    m->dw = wb_calloc (own, sizeof *m->dw);
    for (int i = 0; i < 2; i++) m->state[i] = wb_calloc (own, sizeof *m->state[i]);
    m->loss = wb_calloc ((size_t) (micro * g->T), sizeof *m->loss);
    memcpy (m->w, g->weights, own * sizeof *m->w);
    for (int64_t i = 0; i < g->B * g->T; i++) {
        m->x[i] = g->windows[i / g->T * (g->T + 1) + i % g->T];
        m->y[i] = g->windows[i / g->T * (g->T + 1) + i % g->T + 1];
    }
    return good;
}

static void golden_machine_destroy (golden_machine_t *m) {
    wb_stage_destroy (m->stage);
    wb_comm_destroy (m->self);
    wb_free (m->x);
    wb_free (m->y);
    wb_free (m->w);
    wb_free (m->dw);
    wb_free (m->state[0]);
    wb_free (m->state[1]);
    wb_free (m->loss);
}

/* Mean loss; with `grads` also the gradient, in m->dw. */
static double golden_pass (golden_machine_t *m, bool grads) {
    const golden_t *g = m->g;
    int64_t n = m->micro * g->T, all = g->B * g->T;
    float *dw = grads ? m->dw : NULL;
    double sum = 0;
    memset (m->dw, 0, (size_t) g->params->own * sizeof *m->dw);
    for (int64_t i = 0; i < all; i += n) {
        wb_stage_forward (m->stage, m->loss, dw, m->w, m->x + i, m->y + i, 0, 0, (float) (1.0 / (double) all));
        if (grads) wb_stage_backward (m->stage, dw, m->w, m->x + i, 0, 0, false);
        for (int64_t j = 0; j < n; j++) sum += (double) m->loss[j];
    }
    return sum / (double) all;
}

/* logits [micro, T, V] of the last forward pass. */
static void golden_logits (const golden_machine_t *m, float *logits) {
    const wb_size_t *s = &m->g->size;
    const int64_t n = m->micro * m->g->T;
    const float *w = m->w, *g = w + wb_params_get (m->g->params, WB_ROLE_LNF_G, 0)->offset,
                *b = w + wb_params_get (m->g->params, WB_ROLE_LNF_B, 0)->offset,
                *wte = w + wb_params_get (m->g->params, WB_ROLE_WTE, 0)->offset;
    float *h = wb_calloc ((size_t) (n * s->C), sizeof *h);
    m->k->layernorm_forward (h, NULL, NULL, wb_stage_out (m->stage, 0, 0), g, b, n, s->C);
    wb_gemm (logits, h, wte, n, s->V, s->C, s->V, s->C, s->C, false, true, 1, 0);
    wb_free (h);
}

/* Logits, loss and gradients against what they must be. */
__attribute__ ((unused)) static void golden_compare (golden_errors_t *e, const golden_t *g, wb_comm_t *world,
                                                     const wb_kern_t *k, wb_recompute recompute, int64_t micro,
                                                     bool bf16) {
    golden_machine_t m;
    memset (e, 0, sizeof *e);
    if (golden_machine_new (&m, g, world, k, recompute, micro, bf16)) {
        e->loss = golden_relative (golden_pass (&m, true), g->loss);
        for (int i = 0; i < g->params->n; i++) {
            const wb_segment_t *s = &g->block[i];
            golden_gradient (e, g, i, m.dw + s->flat, g->grads + s->flat, s->count);
        }
        float *logits = wb_calloc ((size_t) (micro * g->T * g->size.V), sizeof *logits);
        for (int64_t b = 0; b < g->B; b += micro) {
            wb_stage_forward (m.stage, m.loss, NULL, m.w, m.x + b * g->T, m.y + b * g->T, 0, 0, 0);
            golden_logits (&m, logits);
            double d = golden_error (logits, g->logits + b * g->T * g->size.V, micro * g->T * g->size.V);
            if (d > e->logits) e->logits = d;
        }
        wb_free (logits);
    }
    golden_machine_destroy (&m);
}

/* Ten updates by hand; the largest relative errors of losses and norms.  With `after` (a block, may be NULL) also that
 * of the weights at the end, without the key third of the attention's bias: its gradient is nothing but rounding. */
__attribute__ ((unused)) static void golden_train (double *loss, double *norm, double *weights, const golden_t *g,
                                                   const golden_run_t *run, wb_comm_t *world, const wb_kern_t *k,
                                                   wb_recompute recompute, int64_t micro, const float *after) {
    const wb_optim_options_t *o = &run->optim;
    golden_machine_t m;
    *loss = *norm = *weights = 0;
    if (golden_machine_new (&m, g, world, k, recompute, micro, false)) {
        if (o->kind == WB_OPTIM_ADAGRAD)
            for (int64_t i = 0; i < g->params->own; i++) m.state[0][i] = 0.1f;
        for (int step = 1; step <= GOLDEN_STEPS + 1; step++) {
            double d = golden_relative (golden_pass (&m, step <= GOLDEN_STEPS), run->losses[step - 1]), sum = 0;
            if (d > *loss) *loss = d;
            if (step > GOLDEN_STEPS) break;
            for (int i = 0; i < g->params->n; i++) sum += k->sumsq (m.dw + g->block[i].flat, g->block[i].count);
            d = golden_relative (sqrt (sum), run->norms[step - 1]);
            if (d > *norm) *norm = d;
            wb_optim_update (o, k, m.w, m.state, m.dw, g->block, g->params->n, step, wb_optim_lr (o, step),
                             o->clip > 0 && sqrt (sum) > o->clip ? o->clip / (sqrt (sum) + 1e-6) : 1);
        }
        for (int i = 0; i < g->params->n && after != NULL; i++) {
            const wb_segment_t *s = &g->block[i];
            int64_t C = g->size.C, skip = strstr (s->param->name, "c_attn.bias") != NULL ? C : 0;
            double d = golden_error (m.w + s->flat, after + s->flat, skip > 0 ? skip : s->count);
            if (d > *weights) *weights = d;
            if (skip > 0) d = golden_error (m.w + s->flat + 2 * skip, after + s->flat + 2 * skip, skip);
            if (d > *weights) *weights = d;
        }
    }
    golden_machine_destroy (&m);
}

/* ---- the trainer, as a run uses it ------------------------------------------------------------------------------ */

/* The same B windows again and again. */
__attribute__ ((unused)) static wb_status golden_sample (void *ctx, int32_t *ids, int64_t k) {
    const golden_t *g = ctx;
    memcpy (ids, g->windows + k % g->B * (g->T + 1), (size_t) (g->T + 1) * sizeof *ids);
    return WB_OK;
}

/* The same ten updates through wb_trainer_step; 1 rank. */
__attribute__ ((unused)) static void golden_trainer (double *loss, double *norm, golden_t *g, const golden_run_t *run,
                                                     wb_comm_t *world, wb_recompute recompute, int64_t micro) {
    wb_step_options_t o = {.size = g->size,
                           .B = micro,
                           .T = g->T,
                           .global_batch = g->B,
                           .chunks = 1,
                           .schedule = WB_SCHEDULE_1F1B,
                           .recompute = recompute,
                           .zero = true,
                           .optim = run->optim,
                           .seed = 1};
    wb_topo_t *topo = NULL;
    wb_trainer_t *t = NULL;
    double got, tokens;
    *loss = *norm = INFINITY;
    if (!T_STATUS (wb_topo_new (&topo, world, 1, 1, 1), WB_OK)) return;
    if (T_STATUS (wb_trainer_new (&t, topo, &o), WB_OK)) {
        *loss = *norm = 0;
        memcpy (t->weights, g->weights, (size_t) g->params->own * sizeof *t->weights);
        for (int step = 0; step < GOLDEN_STEPS; step++) {
            wb_step_result_t r;
            T_STATUS (wb_trainer_step (t, &r, golden_sample, g, false), WB_OK);
            double dl = golden_relative (r.loss, run->losses[step]),
                   dn = golden_relative (r.grad_norm, run->norms[step]);
            if (dl > *loss) *loss = dl;
            if (dn > *norm) *norm = dn;
            T_OK (!r.bad && !r.stop && t->step == step + 1, "step %d: bad %d, stop %d", step, r.bad, r.stop);
        }
        T_STATUS (wb_trainer_evaluate (t, &got, &tokens, golden_sample, g, g->B), WB_OK);
        double d = golden_relative (got / tokens, run->losses[GOLDEN_STEPS]);
        if (d > *loss) *loss = d;
    }
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
}

/* How golden_grid() cuts a step: data ranks are the rest.  B: sequences of a micro-batch. */
typedef struct golden_grid_options {
    int pp, tp;
    int64_t B;
    bool sequence;
    wb_recompute recompute;
    wb_precision precision;
} golden_grid_options_t;

/* Loss and gradients on a grid data x pp x tp of all ranks: largest relative errors over all ranks. */
__attribute__ ((unused)) static void golden_grid (golden_errors_t *e, golden_t *g, wb_comm_t *world,
                                                  const golden_grid_options_t *grid) {
    wb_step_options_t o = {.size = g->size,
                           .B = grid->B,
                           .T = g->T,
                           .global_batch = g->B,
                           .chunks = 1,
                           .schedule = WB_SCHEDULE_1F1B,
                           .sequence = grid->sequence,
                           .recompute = grid->recompute,
                           .precision = grid->precision,
                           .optim = {.kind = WB_OPTIM_SGD, .decay = WB_DECAY_CONSTANT, .steps = 1},
                           .seed = 1};
    const int dp = wb_comm_size (world) / (grid->pp * grid->tp);
    wb_topo_t *topo = NULL;
    wb_trainer_t *t = NULL;
    wb_step_result_t r;
    memset (e, 0, sizeof *e);
    if (!T_STATUS (wb_topo_new (&topo, world, dp, grid->pp, grid->tp), WB_OK)) return;
    if (T_STATUS (wb_trainer_new (&t, topo, &o), WB_OK)) {
        float *want = wb_calloc ((size_t) t->params->own, sizeof *want);
        int64_t global, run;
        for (int i = 0; i < t->params->n; i++) {
            const wb_param_t *p = &t->params->list[i];
            const int64_t from = wb_params_find (g->params, p->name)->offset;
            for (int64_t j = 0; j < wb_param_own (p); j += run) {
                wb_param_run (p, &global, &run, j);
                memcpy (t->weights + p->offset + j, g->weights + from + global, (size_t) run * sizeof *want);
                memcpy (want + p->offset + j, g->grads + from + global, (size_t) run * sizeof *want);
            }
        }
        T_STATUS (wb_trainer_step (t, &r, golden_sample, g, false), WB_OK); /* rate 0: the gradients stay */
        e->loss = golden_relative (r.loss, g->loss);
        for (int i = 0; i < t->params->n; i++) {
            const wb_param_t *p = &t->params->list[i];
            if (p->offset < 0) continue;
            golden_gradient (e, g, (int) (wb_params_find (g->params, p->name) - g->params->list), t->grads + p->offset,
                             want + p->offset, wb_param_own (p));
        }
        wb_comm_max_f64 (world, &e->grads, 1);
        wb_comm_max_f64 (world, &e->most, 1);
        wb_free (want);
    }
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
}

#endif
