/* ranks: 1 2 3 4, timeout: 300
 * Fine-tuning: what is frozen keeps its bits, what learns learns as in a run of all parameters, on every layout alike
 *
 * What must come out is made in the same process by a trainer of its own on a group of one rank. */
#include "config.h"

#include <string.h>

#include "tmpi.h"
#include "wabun/train.h"

enum { STEPS = 4, EVALUATED = 13, L = 4 };

static wb_comm_t *world, *self;
static wb_topo_t *self_topo;
static int ranks;

/* A walk over the vocabulary; of some samples only the last tokens count, of every fifth none. */
static wb_status sample (void *ctx, int32_t *ids, int64_t k) {
    const wb_step_options_t *o = ctx;
    const int64_t V = o->size.V, stride = 1 + k % 5;
    for (int64_t i = 0; i <= o->T; i++) {
        const uint64_t noise = wb_rng_u64 (5, 2, (uint64_t) (k * (o->T + 1) + i));
        ids[i] = (int32_t) (noise % 8 == 0 ? (int64_t) (noise >> 8) % V : (k * 7 + i * stride) % V);
        if (k % 3 == 1 && i < o->T / 2 + k % 4) ids[i] = ~ids[i];
        if (k % 5 == 4) ids[i] = ids[i] < 0 ? ids[i] : ~ids[i];
    }
    return WB_OK;
}

static wb_step_options_t options (wb_optim_kind kind, wb_tuning_t tuning) {
    return (wb_step_options_t){.size = {L, 32, 4, 20, 101},
                               .B = 1,
                               .T = 16,
                               .global_batch = 12,
                               .chunks = 1,
                               .schedule = WB_SCHEDULE_1F1B,
                               .zero = true,
                               .optim = {kind, kind == WB_OPTIM_SGD ? 0.3 : 3e-3, 3e-4, 0.9, 0.95, 1e-8, 0.1,
                                         kind == WB_OPTIM_SGD ? 0 : 1.0, 1, STEPS, WB_DECAY_COSINE, 0.95, 0.2, 5, true,
                                         true, 0, 0},
                               .tuning = tuning,
                               .seed = 42};
}

typedef struct result {
    double losses[STEPS], norms[STEPS], evaluated, tokens;
} result_t;

static bool train (result_t *r, wb_trainer_t *t, int steps) {
    bool good = true;
    for (int step = 0; step < steps; step++) {
        wb_step_result_t s;
        good = wb_trainer_step (t, &s, sample, &t->o, 0) == WB_OK && good;
        r->losses[step] = s.loss;
        r->norms[step] = s.grad_norm;
        good = good && !s.bad && t->step == step + 1;
    }
    return wb_trainer_evaluate (t, &r->evaluated, &r->tokens, sample, &t->o, EVALUATED) == WB_OK && good;
}

static wb_trainer_t *trainer (const wb_topo_t *topo, const wb_step_options_t *o) {
    wb_trainer_t *t = NULL;
    T_STATUS (wb_trainer_new (&t, topo, o), WB_OK);
    return t;
}

/* ---- one rank, against a run of all parameters ------------------------------------------------------------------- */

/* A step of SGD by the whole gradient: what learns must have its bits, the rest those of before. */
static void test_last (int64_t layers) {
    const wb_step_options_t some = options (WB_OPTIM_SGD, (wb_tuning_t){.layers = layers}),
                            all = options (WB_OPTIM_SGD, (wb_tuning_t){0});
    wb_trainer_t *a = trainer (self_topo, &all), *b = trainer (self_topo, &some);
    result_t r, s;
    float *before = wb_calloc ((size_t) b->params->own, sizeof *before);
    memcpy (before, b->weights, (size_t) b->params->own * sizeof *before);
    T_OK (train (&r, a, 1) && train (&s, b, 1), "a step of the last %d layers", (int) layers);
    T_OK (r.losses[0] == s.losses[0] && s.norms[0] < r.norms[0], "loss %g, norm %g of %g", s.losses[0], s.norms[0],
          r.norms[0]);
    const float *wa = wb_trainer_weights (a), *wb = wb_trainer_weights (b);
    int learn = 0, changed = 0;
    int64_t floats = 0;
    for (int i = 0; i < b->params->n; i++) {
        const wb_param_t *p = &b->params->list[i], *q = &a->params->list[i];
        const size_t bytes = (size_t) wb_param_own (p) * sizeof *before;
        const float *want = p->frozen ? before + p->offset : wa + q->offset;
        T_OK (memcmp (wb + p->offset, want, bytes) == 0, "%s is %s", p->name, p->frozen ? "as before" : "updated");
        learn += !p->frozen;
        changed += memcmp (wb + p->offset, before + p->offset, bytes) != 0;
        floats += p->frozen ? 0 : wb_param_own (p);
    }
    T_OK (learn == 12 * layers + 2 && changed == learn, "%d parameters learn, %d changed", learn, changed);
    T_OK (b->params->own - b->params->fixed >= floats && b->params->own - b->params->fixed < floats + 16 * learn,
          "gradients of %lld floats", (long long) (b->params->own - b->params->fixed));
    wb_free (before);
    wb_trainer_destroy (a);
    wb_trainer_destroy (b);
}

/* The tokens that do not count: the mean is over the others, and nothing is learned from them. */
static void test_counted (void) {
    const wb_step_options_t o = options (WB_OPTIM_SGD, (wb_tuning_t){0});
    wb_trainer_t *t = trainer (self_topo, &o);
    double sum = 0, tokens = 0;
    wb_step_result_t s;
    for (int64_t k = 0; k < o.global_batch; k++) {
        int32_t ids[32];
        (void) sample ((void *) (uintptr_t) &o, ids, k);
        for (int64_t i = 1; i <= o.T; i++) tokens += ids[i] >= 0;
    }
    T_STATUS (wb_trainer_evaluate (t, &sum, &s.loss, sample, &t->o, o.global_batch), WB_OK);
    T_OK (s.loss == tokens && tokens < (double) (o.global_batch * o.T), "%g tokens count, not %g", s.loss, tokens);
    T_STATUS (wb_trainer_step (t, &s, sample, &t->o, 0), WB_OK);
    T_OK (fabs (s.loss - sum / tokens) < 1e-6 * s.loss, "the loss %g is the mean %g of what counts", s.loss,
          sum / tokens);
    wb_trainer_destroy (t);
}

/* A linear W [in, out] of a trainer. */
static const wb_param_t *linear_of (const wb_trainer_t *t, int64_t l, wb_linear which) {
    static const wb_role roles[] = {WB_ROLE_QKV_W, WB_ROLE_ATT_W, WB_ROLE_FC_W, WB_ROLE_PROJ_W};
    return wb_params_get (t->params, roles[which], l);
}

/* The first step of an adapter whose B is zero: A stays, and B becomes - lr s (A dW)^T, dW being the gradient of the
 * linear in a run of all parameters. */
static void test_first_step (void) {
    const wb_step_options_t all = options (WB_OPTIM_SGD, (wb_tuning_t){0}),
                            some = options (WB_OPTIM_SGD, (wb_tuning_t){.rank = 3, .alpha = 6});
    wb_trainer_t *a = trainer (self_topo, &all), *b = trainer (self_topo, &some);
    float *before = wb_calloc ((size_t) a->params->own, sizeof *before);
    result_t r, s;
    memcpy (before, a->weights, (size_t) a->params->own * sizeof *before);
    T_OK (train (&r, a, 1) && train (&s, b, 1) && r.losses[0] == s.losses[0], "a first step: loss %g", s.losses[0]);
    double worst = 0, most = 0;
    for (int64_t l = 0; l < L; l++)
        for (int k = 0; k < WB_LINEARS; k++) {
            const wb_param_t *W = linear_of (a, l, k), *A = wb_params_adapter (b->params, l, k, 0),
                             *B = wb_params_adapter (b->params, l, k, 1);
            for (int64_t out = 0; out < W->cols; out++)
                for (int64_t i = 0; i < 3; i++) {
                    double want = 0;
                    for (int64_t in = 0; in < W->rows; in++) {
                        const int64_t at = W->offset + in * W->cols + out;
                        want += 2.0 * (double) b->weights[A->offset + i * W->rows + in] *
                                ((double) a->weights[at] - (double) before[at]);
                    }
                    worst = fmax (worst, fabs (want - (double) b->weights[B->offset + out * 3 + i]));
                    most = fmax (most, fabs (want));
                }
        }
    T_OK (most > 1e-6 && worst < 1e-3 * most, "B is off by %g of %g", worst, most);
    wb_free (before);
    wb_trainer_destroy (a);
    wb_trainer_destroy (b);
}

/* With the adapters merged into its linears, a plain model computes the same. */
static void test_merge (void) {
    wb_tuning_t tuning = {.rank = 4, .alpha = 8, .layers = 3, .targets = (char *) (uintptr_t) "c_attn, c_proj"};
    const wb_step_options_t all = options (WB_OPTIM_ADAMW, (wb_tuning_t){0}), some = options (WB_OPTIM_ADAMW, tuning);
    wb_trainer_t *a = trainer (self_topo, &all), *b = trainer (self_topo, &some);
    result_t r, s;
    int merged = 0;
    T_OK (train (&r, a, 0) && train (&s, b, STEPS), "adapters are trained");
    T_OK (fabs (s.evaluated / r.evaluated - 1) > 1e-3, "and change the loss from %g to %g", r.evaluated, s.evaluated);
    for (int64_t l = 0; l < L; l++)
        for (int k = 0; k < WB_LINEARS; k++) {
            const wb_param_t *W = linear_of (a, l, k), *A = wb_params_adapter (b->params, l, k, 0),
                             *B = wb_params_adapter (b->params, l, k, 1);
            T_OK ((A != NULL) == (l > 0 && k != WB_LINEAR_FC) && (A == NULL) == (B == NULL),
                  "adapters where they belong");
            if (A == NULL) continue;
            wb_lora_merge (a->weights + W->offset, b->weights + A->offset, b->weights + B->offset, W->rows, W->cols, 4,
                           8);
            merged++;
        }
    T_OK (train (&r, a, 0) && fabs (r.evaluated / s.evaluated - 1) < 1e-6, "%d merged: %.9g, beside the model %.9g",
          merged, r.evaluated, s.evaluated);
    wb_trainer_destroy (a);
    wb_trainer_destroy (b);
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

/* Largest difference from one rank's weights, relative to the largest weight; of what is frozen any is too much. */
static double weights_error (wb_trainer_t *t, wb_trainer_t *one) {
    const float *mine = wb_trainer_weights (t), *want = wb_trainer_weights (one);
    double worst = 0;
    for (int i = 0; i < t->params->n; i++) {
        const wb_param_t *p = &t->params->list[i], *q = &one->params->list[i];
        const bool keys = p->role == WB_ROLE_QKV_B; /* no gradient but rounding, which Adam makes large */
        double most = 1e-30, off = 0;
        int64_t global, run;
        for (int64_t k = 0; k < wb_param_own (q); k++) most = fmax (most, fabs ((double) want[q->offset + k]));
        for (int64_t k = 0; k < wb_param_own (p); k += run) {
            wb_param_run (p, &global, &run, k);
            for (int64_t j = 0; j < run && !(keys && !p->frozen); j++)
                off = fmax (off, fabs ((double) mine[p->offset + k + j] - (double) want[q->offset + global + j]));
        }
        worst = fmax (worst, p->frozen && off > 0 ? INFINITY : off / most);
    }
    return worst;
}

/* What is written to files is everything once, and no state is kept of what is frozen. */
static void check_pieces (const wb_trainer_t *t, const char *name) {
    int64_t sum[2] = {0, 0}, all = 0, learn = 0;
    int n;
    const wb_segment_t *s = wb_trainer_owned (t, &n);
    for (int i = 0; i < n; i++) sum[0] += s[i].count;
    s = wb_trainer_updated (t, &n);
    for (int i = 0; i < n; i++) sum[1] += s[i].param->frozen ? 1000000000 : s[i].param->primary ? s[i].count : 0;
    wb_comm_sum_i64 (world, sum, 2);
    for (int i = 0; i < t->params->n; i++) {
        const wb_param_t *p = &t->params->list[i];
        all += p->rows * p->cols;
        learn += p->frozen ? 0 : p->rows * p->cols;
    }
    T_OK (sum[0] == all, "%s: %lld of %lld parameters are owned", name, (long long) sum[0], (long long) all);
    T_OK (sum[1] == learn * (t->o.zero ? 1 : t->topo->dp), "%s: %lld parameters are updated, not %lld", name,
          (long long) sum[1], (long long) learn);
}

static void check (int pp, int tp, const wb_step_options_t *o) {
    wb_topo_t *topo = NULL;
    char name[96];
    result_t r = {0}, want = {0};
    wb_step_options_t plain = options (o->optim.kind, o->tuning);
    plain.B = plain.global_batch;
    plain.zero = false;
    plain.precision = o->precision;
    const double loose = o->precision != WB_PRECISION_FP32 ? 500 : 1; /* a brain float may be rounded either way */
    wb_trainer_t *one = trainer (self_topo, &plain), *t;
    T_OK (train (&want, one, STEPS), "the run on one rank");
    if (!T_STATUS (wb_topo_new (&topo, world, 0, pp, tp), WB_OK)) return;
    snprintf (name, sizeof name, "layers %d, rank %d, %d x %d x %d v %d%s%s", (int) o->tuning.layers,
              (int) o->tuning.rank, topo->dp, pp, tp, o->chunks, o->sequence ? ", sequence" : "",
              o->precision != WB_PRECISION_FP32 ? ", bf16"
              : o->zero                         ? ""
                                                : ", zero 0");
    t = trainer (topo, o);
    if (t != NULL) {
        double off = 0, norm = 0;
        T_OK (train (&r, t, STEPS), "%s: the run", name);
        for (int i = 0; i < STEPS; i++) {
            off = fmax (off, fabs (r.losses[i] / want.losses[i] - 1));
            norm = fmax (norm, fabs (r.norms[i] / want.norms[i] - 1));
        }
        T_OK (off < 1e-5 * loose, "%s: losses are off by %.1e", name, off);
        T_OK (norm < 1e-3 * loose, "%s: norms are off by %.1e", name, norm);
        T_OK (r.tokens == want.tokens && fabs (r.evaluated / want.evaluated - 1) < 1e-5 * loose,
              "%s: evaluation %g, not %g", name, r.evaluated, want.evaluated);
        off = weights_error (t, one);
        T_OK (off < 1e-2 * loose, "%s: weights are off by %.1e", name, off);
        check_pieces (t, name);
    }
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
    wb_trainer_destroy (one);
}

static void test_layouts (wb_tuning_t tuning) {
    for (int pp = 1; pp <= ranks; pp++)
        for (int tp = 1; tp <= ranks / pp; tp++) {
            wb_step_options_t o = options (WB_OPTIM_ADAMW, tuning);
            if (ranks % (pp * tp) != 0 || o.size.H % tp != 0 || pp > L) continue;
            check (pp, tp, &o);
            o.sequence = tp > 1;
            o.recompute = WB_RECOMPUTE_ATTENTION;
            o.zero = false;
            check (pp, tp, &o);
            o.sequence = false;
            o.recompute = WB_RECOMPUTE_BLOCK;
            o.bucket_floats = 1000;
            o.chunks = pp == 2 ? 2 : 1;
            if (12 / (ranks / pp / tp) % pp == 0) check (pp, tp, &o);
            o.chunks = 1;
            o.precision = WB_PRECISION_BF16_ANYWHERE;
            check (pp, tp, &o);
            o.recompute = WB_RECOMPUTE_NONE;
            o.sequence = tp > 1;
            check (pp, tp, &o);
        }
}

int main (void) {
    world = T_BEGIN ();
    ranks = wb_comm_size (world);
    T_STATUS (wb_comm_split (&self, world, wb_comm_rank (world), 0), WB_OK);
    T_STATUS (wb_topo_new (&self_topo, self, 1, 1, 1), WB_OK);
    if (ranks == 1) {
        for (int layers = 1; layers <= L; layers++) test_last (layers);
        test_counted ();
        test_first_step ();
        test_merge ();
        wb_trainer_t *t = NULL;
        const wb_step_options_t o = options (WB_OPTIM_SGD, (wb_tuning_t){.layers = L + 1});
        T_OK (wb_trainer_new (&t, self_topo, &o) == WB_EUSAGE && t == NULL, "more layers than there are");
        wb_error_clear ();
    }
    test_layouts ((wb_tuning_t){.layers = 1});
    test_layouts ((wb_tuning_t){.layers = 3});
    test_layouts ((wb_tuning_t){.rank = 4, .alpha = 8});
    test_layouts (
        (wb_tuning_t){.rank = 2, .alpha = 8, .layers = 2, .targets = (char *) (uintptr_t) "c_attn,mlp.c_proj"});
    wb_topo_destroy (self_topo);
    wb_comm_destroy (self);
    return T_END ();
}
