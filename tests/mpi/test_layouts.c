/* ranks: 1 2 3 4, timeout: 900
 * Every layout of the ranks trains as one rank does: losses, norms, weights, optimizer state, evaluation
 *
 * What must come out is made in the same process by a trainer of its own on a group of one rank.  test_layouts_big.c
 * runs more layouts on more ranks (make bigcheck). */
#include "config.h"

#include <string.h>

#include "tmpi.h"
#include "wabun/train.h"

#ifndef BIG
#define BIG 0
#endif

enum { STEPS = 20, FEW = BIG ? STEPS : 6, EVALUATED = 31, MAX_REFERENCES = 40 };

static wb_comm_t *world, *self;
static wb_topo_t *self_topo;
static int ranks;
static double slowest;
static int layouts;

/* ---- data ------------------------------------------------------------------------------------------------------ */

/* Sample k: a walk over the vocabulary with a stride of its own and some noise; not easy, but not all chance. */
static wb_status sample (void *ctx, int32_t *ids, int64_t k) {
    const wb_step_options_t *o = ctx;
    uint64_t r = wb_rng_u64 (5, 1, (uint64_t) k);
    int64_t V = o->size.V, at = (int64_t) (r % (uint64_t) V), stride = 1 + (int64_t) (r >> 32) % 5;
    for (int64_t i = 0; i <= o->T; i++) {
        uint64_t noise = wb_rng_u64 (5, 2, (uint64_t) (k * (o->T + 1) + i));
        ids[i] = (int32_t) (noise % 8 == 0 ? (int64_t) (noise >> 8) % V : at);
        at = (at + stride) % V;
    }
    return WB_OK;
}

static wb_step_options_t options (int64_t L, int64_t H, int64_t global) {
    return (wb_step_options_t){.size = {L, H % 3 == 0 ? 48 : 32, H, 20, 101}, /* context 20, windows of 16 */
                               .B = 1,
                               .T = 16,
                               .global_batch = global,
                               .chunks = 1,
                               .schedule = WB_SCHEDULE_1F1B,
                               .zero = true,
                               .optim = {WB_OPTIM_ADAMW, 3e-3, 3e-4, 0.9, 0.95, 1e-8, 0.1, 1.0, 3, STEPS,
                                         WB_DECAY_COSINE, 0.95, 0.2, 5, true, true, 0, 0},
                               .seed = 42};
}

/* ---- a run and what it gives ------------------------------------------------------------------------------------ */

typedef struct result {
    double losses[STEPS], norms[STEPS], evaluated, one, tokens;
} result_t;

typedef struct reference {
    wb_trainer_t *t; /* after its run */
    result_t r;
} reference_t;

static reference_t references[MAX_REFERENCES];
static int nreferences;

/* As many steps as the learning rate is made for; false when some step went bad. */
static bool train (result_t *r, wb_trainer_t *t) {
    bool good = true;
    for (int step = 0; step < t->o.optim.steps; step++) {
        wb_step_result_t s;
        good = wb_trainer_step (t, &s, sample, &t->o, 0) == WB_OK && good;
        r->losses[step] = s.loss;
        r->norms[step] = s.grad_norm;
        good = good && !s.bad && !s.stop && t->step == step + 1;
    }
    good = wb_trainer_evaluate (t, &r->one, &r->tokens, sample, &t->o, 1) == WB_OK && good;
    good = good && r->tokens == (double) t->o.T;
    good = wb_trainer_evaluate (t, &r->evaluated, &r->tokens, sample, &t->o, EVALUATED) == WB_OK && good;
    return good && r->tokens == (double) (EVALUATED * t->o.T);
}

/* Who does it does not matter. */
static bool same_optimizer (const wb_optim_options_t *a, const wb_optim_options_t *b) {
    wb_optim_options_t c = *b;
    c.muon_layout = a->muon_layout;
    return memcmp (a, &c, sizeof c) == 0;
}

/* One rank's run of this model. */
static const reference_t *reference (const wb_step_options_t *o) {
    for (int i = 0; i < nreferences; i++) {
        const wb_step_options_t *p = &references[i].t->o;
        if (memcmp (&p->size, &o->size, sizeof p->size) == 0 && p->T == o->T && p->global_batch == o->global_batch &&
            p->precision == o->precision && same_optimizer (&p->optim, &o->optim))
            return &references[i];
    }
    WB_ASSERT (nreferences < MAX_REFERENCES);
    wb_step_options_t plain = options (o->size.L, o->size.H, o->global_batch);
    plain.size = o->size;
    plain.T = o->T;
    plain.optim = o->optim;
    plain.precision = o->precision;
    plain.B = o->global_batch;
    plain.zero = false; /* state of whole parameters */
    reference_t *ref = &references[nreferences++];
    T_STATUS (wb_trainer_new (&ref->t, self_topo, &plain), WB_OK);
    T_OK (train (&ref->r, ref->t), "the run on one rank goes well");
    int64_t n = o->optim.steps;
    if (o->global_batch >= 12) /* small batches differ by more */
        T_OK (ref->r.losses[n - 1] < (n < STEPS ? 1 : 0.98) * ref->r.losses[0], "one rank learns: loss %.4f -> %.4f",
              ref->r.losses[0], ref->r.losses[n - 1]);
    return ref;
}

/* Largest difference of a piece of weights or state from one rank's, relative to the largest value there is.  The key
 * third of the attention's bias has no gradient but rounding, which Adam makes large: not compared.  want: the whole
 * parameter. */
static double piece_error (const wb_segment_t *s, const float *got, const reference_t *ref, const float *want) {
    const wb_param_t *p = s->param, *q = wb_params_find (ref->t->params, p->name);
    bool keys = strstr (p->name, "c_attn.bias") != NULL;
    double most = 0, worst = 0;
    int64_t global, run;
    for (int64_t i = 0; i < wb_param_own (q); i++) most = fmax (most, fabs ((double) want[i]));
    for (int64_t i = 0; i < s->count; i += run) {
        wb_param_run (p, &global, &run, s->first + i);
        if (run > s->count - i) run = s->count - i;
        if (keys && global / (p->cols / 3) == 1) continue;
        for (int64_t j = 0; j < run; j++) {
            double d = fabs ((double) got[i + j] - (double) want[global + j]);
            if (!(d <= worst)) worst = isfinite (d) ? d : INFINITY;
        }
    }
    return most > 0 ? worst / most : worst;
}

static double weights_error (wb_trainer_t *t, const reference_t *ref) {
    const float *mine = wb_trainer_weights (t), *one = wb_trainer_weights (ref->t);
    double worst = 0;
    int n;
    const wb_segment_t *s = wb_trainer_block (t, &n);
    for (int i = 0; i < n; i++) {
        const wb_param_t *q = wb_params_find (ref->t->params, s[i].param->name);
        worst = fmax (worst, piece_error (&s[i], mine + s[i].flat, ref, one + q->offset));
    }
    return worst;
}

/* Where one rank keeps array k of a parameter's state. */
static const float *state_of (const reference_t *ref, const wb_param_t *p, int k) {
    int n;
    const wb_segment_t *s = wb_trainer_updated (ref->t, &n);
    while (strcmp (s->param->name, p->name) != 0) s++;
    return ref->t->state[k] + s->state;
}

/* The pieces this rank updates, and those it writes to files. */
static double state_error (const wb_trainer_t *t, const reference_t *ref) {
    double worst = 0;
    for (int which = 0; which < 2; which++) {
        int n;
        const wb_segment_t *s = which == 0 ? wb_trainer_updated (t, &n) : wb_trainer_owned (t, &n);
        for (int k = 0; k < wb_optim_states (t->o.optim.kind); k++)
            for (int i = 0; i < n; i++)
                if (wb_optim_has_state (t->o.optim.kind, k, s[i].param))
                    worst =
                        fmax (worst, piece_error (&s[i], t->state[k] + s[i].state, ref, state_of (ref, s[i].param, k)));
    }
    return worst;
}

static double relative (double a, double b) {
    double d = fabs (a - b) / fabs (b);
    return isfinite (d) ? d : INFINITY;
}

static const char *name_of (const wb_topo_t *topo, const wb_step_options_t *o) {
    static const char *const recompute[] = {"none", "attention", "block"};
    static char text[160];
    snprintf (text, sizeof text, "L %d C %d H %d, %d x %d x %d%s v %d, B %d of %d, recompute %s%s%s%s%s",
              (int) o->size.L, (int) o->size.C, (int) o->size.H, topo->dp, topo->pp, topo->tp,
              o->schedule == WB_SCHEDULE_GPIPE ? " gpipe" : "", o->chunks, (int) o->B, (int) o->global_batch,
              recompute[o->recompute], o->sequence ? ", sequence" : "", o->zero ? "" : ", zero 0",
              o->wire == WB_WIRE_BF16 ? ", bf16" : "", o->precision != WB_PRECISION_FP32 ? ", products bf16" : "");
    return text;
}

/* Everything that is owned is owned once. */
static void check_owned (const wb_trainer_t *t, const char *name) {
    int n;
    const wb_segment_t *s = wb_trainer_owned (t, &n);
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += s[i].count;
    wb_comm_sum_i64 (world, &sum, 1);
    T_OK (sum == wb_size_parameters (&t->o.size), "%s: %lld of %lld parameters are owned", name, (long long) sum,
          (long long) wb_size_parameters (&t->o.size));
}

/* Weights that several ranks hold: the block over data, the tied embedding over both ends, what is not cut over tensor.
 */
static bool same_replicas (wb_trainer_t *t) {
    const float *w = wb_trainer_weights (t);
    const wb_param_t *wte = wb_params_get (t->params, WB_ROLE_WTE, 0);
    bool same = wb_same (t->topo->data, w, (size_t) t->params->own * sizeof (float), "weights") == WB_OK;
    if (t->topo->embed != NULL)
        same = wb_same (t->topo->embed, w + wte->offset, (size_t) wb_param_own (wte) * sizeof (float), wte->name) ==
                   WB_OK &&
               same;
    for (int i = 0; i < t->params->n; i++) {
        const wb_param_t *p = &t->params->list[i];
        if (p->offset < 0 || p->axis >= 0) continue;
        same = wb_same (t->topo->tensor, w + p->offset, (size_t) wb_param_own (p) * sizeof (float), p->name) == WB_OK &&
               same;
    }
    wb_error_clear ();
    return same;
}

/* Places for sequences in the micro-batches of all data ranks, the empty ones included. */
static double places (const wb_trainer_t *t) {
    double sum = t->topo->pp_rank == 0 && t->topo->tp_rank == 0 ? (double) (t->micros * t->o.B) : 0;
    wb_comm_sum_f64 (world, &sum, 1);
    return sum;
}

/* The backward pass of all ranks together asks for the same products in any layout, once a step. */
static void check_profile (const wb_trainer_t *t, const char *name) {
    const wb_profile_t *p = wb_trainer_profile (t);
    const wb_size_t *z = &t->o.size;
    double C = (double) z->C, T = (double) t->o.T, sum[3] = {0}, seconds = 0;
    double sequences = places (t) * (double) t->o.optim.steps;
    double want[3] = {4 * 12 * C * C * (double) z->L * T * sequences, 5 * C * T * (T + 1) * (double) z->L * sequences,
                      4 * C * (double) z->V * T * sequences};
    for (int i = WB_PROF_QKV; i <= WB_PROF_FC2_DW; i += 3) sum[0] += p->of[i + 1].flop + p->of[i + 2].flop;
    sum[1] = p->of[WB_PROF_ATTENTION_BACK].flop;
    sum[2] = p->of[WB_PROF_HEAD_DX].flop + p->of[WB_PROF_HEAD_DW].flop;
    wb_comm_sum_f64 (world, sum, 3);
    for (int i = 0; i < 3; i++)
        T_OK (sum[i] == want[i], "%s: profile %d counts %.0f flop, not %.0f", name, i, sum[i], want[i]);
    for (int i = 0; i < WB_PROFS; i++) {
        T_OK (wb_prof_name ((wb_prof) i) != NULL && wb_phase_name (wb_prof_phase ((wb_prof) i)) != NULL &&
                  p->of[i].seconds >= 0,
              "%s: row %d of the profile", name, i);
        seconds += p->of[i].seconds;
    }
    for (int i = 0; i < WB_PHASES; i++) seconds -= wb_profile_seconds (p, (wb_phase) i);
    T_OK (fabs (seconds) < 1e-9, "%s: the phases are the whole profile but for %g s", name, seconds);
}

/* Train in this layout and compare; `out` (may be NULL) gets the result. */
static void check (result_t *out, int pp, int tp, const wb_step_options_t *o, double tolerance) {
    wb_topo_t *topo = NULL;
    wb_trainer_t *t = NULL;
    result_t r = {0};
    double start = wb_now (), loss = 0, norm = 0, drift[2];
    const reference_t *ref = reference (o);
    if (!T_STATUS (wb_topo_new (&topo, world, 0, pp, tp), WB_OK)) return;
    const char *name = name_of (topo, o);
    if (T_STATUS (wb_trainer_new (&t, topo, o), WB_OK)) {
        T_OK (train (&r, t), "%s: the run goes well", name);
        for (int i = 0; i < o->optim.steps; i++) {
            loss = fmax (loss, relative (r.losses[i], ref->r.losses[i]));
            norm = fmax (norm, relative (r.norms[i], ref->r.norms[i]));
        }
        T_OK (loss < tolerance, "%s: losses are off by %.1e", name, loss);
        T_OK (norm < 100 * tolerance, "%s: norms are off by %.1e", name, norm);
        T_OK (relative (r.evaluated, ref->r.evaluated) < tolerance && relative (r.one, ref->r.one) < tolerance,
              "%s: evaluation %.9g, not %.9g; one sample %.9g, not %.9g", name, r.evaluated, ref->r.evaluated, r.one,
              ref->r.one);
        drift[0] = weights_error (t, ref);
        drift[1] = state_error (t, ref);
        T_OK (drift[0] < 1000 * tolerance, "%s: weights are off by %.1e", name, drift[0]);
        T_OK (drift[1] < 1000 * tolerance, "%s: optimizer state is off by %.1e", name, drift[1]);
        check_owned (t, name);
        check_profile (t, name);
        T_OK (same_replicas (t), "%s: what several ranks hold has the same bits", name);
        wb_comm_max_f64 (world, drift, 2);
        if (getenv ("T_VERBOSE") != NULL && wb_comm_rank (world) == 0)
            printf ("%s: losses %.1e, norms %.1e, weights %.1e, state %.1e, %.2f s\n", name, loss, norm, drift[0],
                    drift[1], wb_now () - start);
        layouts++;
    }
    slowest = fmax (slowest, wb_now () - start);
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
    if (out != NULL) *out = r;
}

static bool same_bits (const result_t *a, const result_t *b) {
    return memcmp (a->losses, b->losses, sizeof a->losses) == 0 && memcmp (a->norms, b->norms, sizeof a->norms) == 0 &&
           a->evaluated == b->evaluated && a->one == b->one;
}

/* ---- data ranks only -------------------------------------------------------------------------------------------- */

static void test_data (void) {
    wb_step_options_t o = options (4, 4, ranks > 6 ? 24 : 12);
    result_t first, second, whole;
    check (&first, 1, 1, &o, 1e-5);
    check (&second, 1, 1, &o, 1e-5);
    T_OK (same_bits (&first, &second), "the same layout gives the same bits again");
    o.zero = false;
    check (&whole, 1, 1, &o, 1e-5);
    T_OK (same_bits (&first, &whole), "zero = 0 and zero = 1 give the same bits");
    for (int mode = 1; mode < 3; mode++) {
        o.recompute = (wb_recompute) mode;
        check (&second, 1, 1, &o, 1e-5);
        T_OK (same_bits (&first, &second), "what is made again has the same bits");
    }
    o.recompute = WB_RECOMPUTE_NONE;
    o.bucket_floats = 1000;
    check (&whole, 1, 1, &o, 1e-5);
    o.zero = true;
    check (&second, 1, 1, &o, 1e-5);
    T_OK (same_bits (&second, &whole), "zero = 0 and zero = 1 give the same bits with small buckets");
    for (o.B = 2; o.B <= o.global_batch / ranks; o.B++) /* accumulation over fewer micro-batches */
        if (o.global_batch % (o.B * ranks) == 0) check (NULL, 1, 1, &o, 1e-5);
    o.B = 1;
    o.wire = WB_WIRE_BF16;
    if (ranks > 1) check (NULL, 1, 1, &o, 2e-2);
    o.zero = false;
    if (ranks > 1) check (NULL, 1, 1, &o, 2e-2);
}

/* The other optimizers, and their states in slices. */
static void test_optimizers (void) {
    for (int kind = WB_OPTIM_ADAM; kind <= WB_OPTIM_SGD; kind++) {
        wb_step_options_t o = options (4, 4, ranks > 6 ? 24 : 12);
        o.optim.kind = (wb_optim_kind) kind;
        if (kind >= WB_OPTIM_ADAGRAD) o.optim.lr = kind == WB_OPTIM_SGD ? 0.5 : 0.1;
        check (NULL, 1, 1, &o, 1e-5);
    }
}

/* Muon: matrices of one rank, or shared on grids of data and tensor ranks; the same whatever the form. */
static void test_muon (int pp, int tp) {
    int dp = ranks / (pp * tp);
    wb_step_options_t o = options (pp == 6 ? 6 : 4, tp % 3 == 0 ? 6 : 4, 12);
    result_t first, second;
    o.optim.kind = WB_OPTIM_MUON;
    if (12 % dp != 0 || (tp > 1 && !wb_grid_possible ())) return;
    o.optim.muon_layout = WB_MUON_WHOLE;
    check (&first, pp, tp, &o, 1e-4);
    check (&second, pp, tp, &o, 1e-4);
    T_OK (same_bits (&first, &second), "the same layout gives the same bits again");
    if (dp > 1 && wb_grid_possible ()) {
        o.optim.muon_layout = WB_MUON_GRID;
        check (NULL, pp, tp, &o, 1e-4);
        o.wire = WB_WIRE_BF16;
        check (NULL, pp, tp, &o, 2e-2);
        o.wire = WB_WIRE_FP32;
    }
    o.optim.muon_layout = WB_MUON_AUTO;
    o.optim.steps = FEW;
    check (NULL, pp, tp, &o, 1e-4);
    o.zero = false;
    o.optim.muon_split_qkv = o.optim.muon_nesterov = false;
    o.recompute = WB_RECOMPUTE_BLOCK;
    o.bucket_floats = 1000;
    check (NULL, pp, tp, &o, 1e-4);
}

/* ---- pipelines and tensor groups -------------------------------------------------------------------------------- */

static void test_grid (int pp, int tp) {
    int dp = ranks / (pp * tp);
    wb_step_options_t o = options (pp == 6 ? 6 : 4, tp % 3 == 0 ? 6 : tp > 4 ? 8 : 4, 12), seq = o;
    if (12 % dp != 0) return;
    result_t first, second;
    check (&first, pp, tp, &o, 1e-4);
    check (&second, pp, tp, &o, 1e-4);
    T_OK (same_bits (&first, &second), "the same layout gives the same bits again");
    seq.optim.steps = o.optim.steps = FEW;
    o.schedule = WB_SCHEDULE_GPIPE;
    o.recompute = WB_RECOMPUTE_BLOCK;
    o.zero = false;
    check (NULL, pp, tp, &o, 1e-4);
    o.schedule = WB_SCHEDULE_1F1B;
    o.recompute = WB_RECOMPUTE_ATTENTION;
    o.bucket_floats = 1000;
    o.B = 12 / dp % 2 == 0 ? 2 : 1;
    check (NULL, pp, tp, &o, 1e-4);
    if (tp > 1) { /* positions are cut too: 48 of a micro-batch can be cut in 2, 3, 4, 6 and 8 */
        seq.sequence = true;
        seq.B = 12 / dp % 3 == 0 ? 3 : 1;
        if (seq.B * seq.T % tp != 0) return;
        for (int mode = 0; mode < 3; mode++) {
            seq.recompute = (wb_recompute) mode;
            check (NULL, pp, tp, &seq, 1e-4);
        }
        seq.zero = false;
        check (NULL, pp, tp, &seq, 1e-4);
    }
    if (dp > 1) {
        o.wire = WB_WIRE_BF16;
        check (NULL, pp, tp, &o, 2e-2);
    }
}

/* Products of brain floats.  The same products are rounded in every layout, but their sums are not: a value that lies
 * between two brain floats may go either way, and is 2^-8 off then.  Adam makes such differences of small gradients as
 * large as its steps: weights are compared by SGD. */
#define BF16 5e-3
static void test_bf16 (int pp, int tp) {
    wb_step_options_t o = options (4, tp % 3 == 0 ? 6 : 4, 12);
    result_t first, second;
    o.precision = WB_PRECISION_BF16_ANYWHERE;
    if (pp > 4 || 12 % (ranks / (pp * tp)) != 0) return;
    check (&first, pp, tp, &o, BF16);
    for (int mode = 1; mode < 3; mode++) {
        o.recompute = (wb_recompute) mode;
        check (&second, pp, tp, &o, BF16);
        T_OK (same_bits (&first, &second), "what is made again in bf16 has the same bits");
    }
    o.sequence = tp > 1 && o.T % tp == 0;
    o.zero = false;
    if (o.sequence) check (NULL, pp, tp, &o, BF16);
    o.recompute = WB_RECOMPUTE_NONE;
    if (o.sequence) check (NULL, pp, tp, &o, BF16);
    o.optim.kind = WB_OPTIM_SGD;
    o.optim.lr = 0.5;
    check (NULL, pp, tp, &o, BF16 / 2);
}

/* Muon with products of brain floats, whole and on grids.  Values that are rounded the other way go on from product to
 * product: within five steps of its iteration two layouts are as far apart as the rounding, 2^-8 for each of its
 * fifteen roundings at most, of an update. */
static void test_muon_bf16 (int pp, int tp) {
    const int dp = ranks / (pp * tp);
    wb_step_options_t o = options (4, tp % 3 == 0 ? 6 : 4, 12);
    result_t first, second;
    o.precision = WB_PRECISION_BF16_ANYWHERE;
    o.optim.kind = WB_OPTIM_MUON;
    if (pp > 4 || 12 % dp != 0 || (tp > 1 && !wb_grid_possible ())) return;
    o.optim.muon_layout = WB_MUON_WHOLE;
    check (&first, pp, tp, &o, BF16);
    check (&second, pp, tp, &o, BF16);
    T_OK (same_bits (&first, &second), "the same layout gives the same bits again");
    if (dp > 1 && wb_grid_possible ()) {
        o.optim.muon_layout = WB_MUON_GRID;
        check (NULL, pp, tp, &o, BF16);
    }
    o.optim.muon_layout = WB_MUON_AUTO;
    o.zero = false;
    check (NULL, pp, tp, &o, BF16);
}

/* Virtual stages: two (and three) chunks of layers a rank. */
static void test_interleaved (int pp, int tp) {
    int dp = ranks / (pp * tp);
    for (int chunks = 2; chunks <= (pp == 2 ? 3 : 2); chunks++)
        for (int gpipe = 0; gpipe < 2; gpipe++) {
            wb_step_options_t o = options (pp == 4 ? 8 : 6, tp == 3 ? 6 : 4, 12);
            o.optim.steps = FEW;
            o.chunks = chunks;
            o.schedule = gpipe ? WB_SCHEDULE_GPIPE : WB_SCHEDULE_1F1B;
            o.recompute = gpipe ? WB_RECOMPUTE_BLOCK : WB_RECOMPUTE_NONE;
            o.sequence = tp > 1;
            o.bucket_floats = gpipe ? 0 : 3000;
            o.zero = chunks == 2;
            if (12 % (dp * pp) == 0 && o.B * o.T % tp == 0) check (NULL, pp, tp, &o, 1e-4);
        }
}

/* A batch that the data ranks do not divide: some have a sequence more, places may stay empty. */
static void test_uneven (int pp, int tp) {
    const int dp = ranks / (pp * tp);
    const int64_t batches[] = {dp + 1, 2 * dp + 1, 3 * dp - 1};
    for (int i = 0; i < 3 && dp > 1; i++) {
        wb_step_options_t o = options (pp * 2 > 4 ? pp * 2 : 4, tp % 3 == 0 ? 6 : 4, batches[i]);
        o.optim.steps = FEW;
        result_t first, whole;
        check (&first, pp, tp, &o, 1e-4);
        o.zero = false;
        check (&whole, pp, tp, &o, 1e-4);
        T_OK (same_bits (&first, &whole), "zero = 0 and zero = 1 give the same bits with uneven shares");
        o.zero = true;
        o.B = 2; /* the last micro-batch of some ranks is not full */
        o.sequence = tp > 1;
        o.recompute = i == 1 ? WB_RECOMPUTE_BLOCK : WB_RECOMPUTE_ATTENTION;
        o.schedule = i == 1 ? WB_SCHEDULE_GPIPE : WB_SCHEDULE_1F1B;
        check (NULL, pp, tp, &o, 1e-4);
        o.schedule = WB_SCHEDULE_1F1B;
        o.B = 1;
        o.chunks = pp > 1 && (batches[i] + dp - 1) / dp >= pp ? 2 : 1; /* the last round of stages is not full */
        if (o.chunks > 1) check (NULL, pp, tp, &o, 1e-4);
        o.chunks = 1;
        o.sequence = false;
        o.optim.kind = WB_OPTIM_MUON;
        if (tp == 1 || wb_grid_possible ()) check (NULL, pp, tp, &o, 1e-4);
    }
}

/* Messages that MPI does not send eagerly, sums that go round the ring, buckets of many chunks. */
static void test_large (int pp, int tp) {
    int dp = ranks / (pp * tp);
    for (int kind = 0; kind < 2; kind++) {
        wb_step_options_t o = options (4, tp == 3 ? 3 : 4, ranks % 3 == 0 ? 12 : 16);
        o.size.C = tp == 3 ? 132 : 128;
        o.size.T = 80;
        o.size.V = 2001;
        o.T = 72;
        o.B = 2;
        o.optim.steps = 2;
        o.chunks = pp == 2 && kind == 1 ? 2 : 1;
        o.schedule = kind == 0 ? WB_SCHEDULE_1F1B : WB_SCHEDULE_GPIPE;
        o.sequence = kind == 1;
        o.zero = kind == 0;
        o.bucket_floats = kind == 0 ? 0 : 300000;
        if (o.global_batch % (o.B * dp) == 0 && (o.chunks == 1 || o.global_batch / (o.B * dp) % pp == 0))
            check (NULL, pp, tp, &o, 1e-4);
    }
}

/* All of it with all of it; slow. */
static void test_products (int pp, int tp) {
    int dp = ranks / (pp * tp);
    for (int bits = 0; bits < 64; bits++)
        for (int mode = 0; mode < 3; mode++) {
            wb_step_options_t o = options (pp == 4 && (bits & 1) ? 8 : 6, tp % 3 == 0 ? 6 : 4, 12);
            o.chunks = bits & 1 ? 2 : 1;
            o.schedule = bits & 2 ? WB_SCHEDULE_GPIPE : WB_SCHEDULE_1F1B;
            o.sequence = bits & 4;
            o.zero = bits & 8;
            o.bucket_floats = bits & 16 ? 2500 : 0;
            o.B = bits & 32 ? 2 : 1;
            o.recompute = (wb_recompute) mode;
            if (12 % (o.B * dp) != 0 || (o.sequence && (tp == 1 || o.B * o.T % tp != 0))) continue;
            if (o.chunks > 1 && (pp == 1 || o.chunks * pp > o.size.L || 12 / (o.B * dp) % pp != 0)) continue;
            if (o.size.H % tp == 0 && pp <= o.size.L) check (NULL, pp, tp, &o, 1e-4);
        }
}

/* ---- what may go wrong in a step, and what a trainer takes ------------------------------------------------------- */

/* Sample `missing` or a later one cannot be read, everywhere or by one rank. */
typedef struct broken {
    const wb_step_options_t *o;
    int64_t missing; /* -1: all can be read */
    int rank;        /* -1: every rank */
} broken_t;

static wb_status broken_sample (void *ctx, int32_t *ids, int64_t k) {
    broken_t *b = ctx;
    int rank = wb_comm_rank (world);
    if (b->missing >= 0 && k >= b->missing && (b->rank < 0 || b->rank == rank))
        return WB_FAIL (WB_EIO, "corpus.bin: sample %lld cannot be read by rank %d", (long long) k, rank);
    return sample ((void *) b->o, ids, k);
}

/* Every rank has the record of the lowest rank that could not read, and nothing is printed twice. */
static void check_record (wb_status status, int rank, const char *what) {
    const wb_error_t *e = wb_error_get ();
    char by[32];
    snprintf (by, sizeof by, "by rank %d", rank < 0 ? 0 : rank);
    T_OK (status == WB_EIO && e->status == WB_EIO && strstr (e->text, "corpus.bin: sample ") != NULL &&
              strstr (e->text, by) != NULL && wb_same (world, e->text, strlen (e->text), "record") == WB_OK,
          "%s: rank %d cannot read, the status is %d: %s", what, rank, (int) status, e->text);
    wb_error_clear ();
}

/* A rank that cannot read stops all of them, in a step and in an evaluation; when it can again, all goes on. */
static void test_unread (int pp, int tp) {
    wb_step_options_t o = options (pp > 4 ? 6 : 4, 4, 12);
    wb_topo_t *topo = NULL;
    wb_trainer_t *t = NULL;
    if (12 % (ranks / (pp * tp)) != 0 || !T_STATUS (wb_topo_new (&topo, world, 0, pp, tp), WB_OK)) return;
    if (!T_STATUS (wb_trainer_new (&t, topo, &o), WB_OK)) {
        wb_topo_destroy (topo);
        return;
    }
    size_t bytes = (size_t) t->params->own * sizeof (float);
    float *before = wb_malloc (bytes);
    wb_step_result_t r;
    double loss, tokens, want;
    broken_t b = {&o, -1, -1};
    T_STATUS (wb_trainer_step (t, &r, broken_sample, &b, 0), WB_OK);
    T_STATUS (wb_trainer_evaluate (t, &want, &tokens, broken_sample, &b, EVALUATED), WB_OK);
    memcpy (before, wb_trainer_weights (t), bytes);
    for (int rank = -1; rank < ranks; rank++) {
        b = (broken_t){&o, 12, rank};
        wb_status status = wb_trainer_step (t, &r, broken_sample, &b, 0);
        check_record (status, rank, "step");
        T_OK (r.unread && !r.bad && !r.stop && t->step == 1, "a failed read is not bad numbers, and no step");
        T_OK (memcmp (before, wb_trainer_weights (t), bytes) == 0, "and nothing is updated");
        b.missing = 0; /* whatever the first round of this rank is */
        check_record (wb_trainer_evaluate (t, &loss, &tokens, broken_sample, &b, EVALUATED), rank, "evaluation");
        T_OK (loss == 0 && tokens == 0, "no sums of what was not read");
    }
    b.missing = -1;
    T_STATUS (wb_trainer_evaluate (t, &loss, &tokens, broken_sample, &b, EVALUATED), WB_OK);
    T_OK (loss == want, "an evaluation can be repeated");
    T_STATUS (wb_trainer_step (t, &r, broken_sample, &b, 0), WB_OK);
    T_OK (!r.unread && t->step == 2, "and the step can be repeated");
    wb_free (before);
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
}

/* Bad numbers, a request to stop: all ranks know it at once, and bad numbers update nothing. */
static void test_verdict (int pp, int tp) {
    wb_step_options_t o = options (pp > 4 ? 6 : 4, 4, 12);
    wb_topo_t *topo = NULL;
    wb_trainer_t *t = NULL;
    wb_step_result_t r;
    if (12 % (ranks / (pp * tp)) != 0 || !T_STATUS (wb_topo_new (&topo, world, 0, pp, tp), WB_OK)) return;
    if (T_STATUS (wb_trainer_new (&t, topo, &o), WB_OK)) {
        size_t bytes = (size_t) t->params->own * sizeof (float), held = wb_mem_now ();
        float *before = wb_malloc (bytes);
        T_STATUS (wb_trainer_step (t, &r, sample, &o, wb_comm_rank (world) == ranks - 1 ? WB_TELL_STOP : 0), WB_OK);
        T_OK (r.stop && !r.bad && t->step == 1, "one rank's wish to stop reaches all");
        memcpy (before, wb_trainer_weights (t), bytes);
        if (wb_comm_rank (world) == ranks - 1) t->weights[t->params->own / 2] = NAN;
        T_STATUS (wb_trainer_step (t, &r, sample, &o, 0), WB_OK);
        T_OK (r.bad && !r.unread && t->step == 1, "NaN is known everywhere");
        if (wb_comm_rank (world) == ranks - 1) t->weights[t->params->own / 2] = before[t->params->own / 2];
        T_OK (memcmp (before, wb_trainer_weights (t), bytes) == 0, "and nothing is updated");
        T_STATUS (wb_trainer_step (t, &r, sample, &o, 0), WB_OK);
        T_OK (!r.bad && t->step == 2 && isfinite (r.loss), "and once it is gone, training goes on");
        wb_trainer_skip (t);
        T_STATUS (wb_trainer_step (t, &r, sample, &o, 0), WB_OK);
        T_OK (!r.bad && t->step == 4 && isfinite (r.loss) && same_replicas (t), "also with the batch after it");
        wb_free (before);
        T_OK (wb_mem_now () == held, "steps hold no memory");
    }
    wb_trainer_destroy (t);
    wb_topo_destroy (topo);
}

static void memory_of_grid (int pp, int tp) {
    for (int kind = 0; kind < (tp > 1 && !wb_grid_possible () ? 6 : 8); kind++) {
        wb_step_options_t o = options (4, 4, 12);
        wb_topo_t *topo = NULL;
        wb_trainer_t *t = NULL;
        wb_memory_t plan;
        wb_layout_t layout;
        o.size = (wb_size_t){4, 96, tp == 3 ? 3 : 4, 64, 1001};
        o.T = 48;
        o.recompute = (wb_recompute) (kind % 3);
        o.zero = kind % 2 == 0;
        o.sequence = kind > 2;
        o.precision = kind >= 3 && kind != 6 ? WB_PRECISION_BF16_ANYWHERE : WB_PRECISION_FP32;
        o.wire = kind == 5 ? WB_WIRE_BF16 : WB_WIRE_FP32;
        o.optim.kind = kind >= 6 ? WB_OPTIM_MUON : kind == 4 ? WB_OPTIM_SGD : WB_OPTIM_ADAMW;
        o.optim.muon_layout = WB_MUON_WHOLE;
        if (12 % (ranks / (pp * tp)) != 0 || !T_STATUS (wb_topo_new (&topo, world, 0, pp, tp), WB_OK)) return;
        size_t before = wb_mem_now ();
        T_STATUS (wb_trainer_layout (&layout, &o, topo->dp, pp, tp), WB_OK);
        wb_layout_place (&layout, (topo->dp_rank * pp + topo->pp_rank) * tp + topo->tp_rank);
        T_STATUS (wb_trainer_memory (&plan, &o, &layout), WB_OK);
        T_OK (wb_mem_now () == before, "planning holds no memory");
        if (T_STATUS (wb_trainer_new (&t, topo, &o), WB_OK)) {
            double held = (double) (wb_mem_now () - before), planned = (double) plan.total;
            /* Windows are planned for every ring, and a flat one has none. */
            planned -= (double) (wb_ring_window_bytes (topo->dp) * (o.wire == WB_WIRE_BF16 ? 2 : 1) +
                                 wb_ring_window_bytes (tp) + (topo->embed != NULL ? wb_ring_window_bytes (2) : 0));
            T_OK (fabs (held - planned) < 0.03 * held, "%s: %.0f bytes planned, %.0f held", name_of (topo, &o), planned,
                  held);
        }
        wb_trainer_destroy (t);
        wb_topo_destroy (topo);
    }
}

/* The plan against what is really held; larger, so that tables do not count.  Every rank is taken for a node, for with
 * flat rings all that is planned is our own memory, but the windows. */
static void test_memory (int pp, int tp) {
    const char *nodes = getenv ("WABUN_NODE_RANKS");
    char *before_us = nodes != NULL ? wb_format ("%s", nodes) : NULL;
    setenv ("WABUN_NODE_RANKS", "1", 1);
    memory_of_grid (pp, tp);
    if (before_us != NULL)
        setenv ("WABUN_NODE_RANKS", before_us, 1);
    else
        unsetenv ("WABUN_NODE_RANKS");
    wb_free (before_us);
}

/* ---- main ------------------------------------------------------------------------------------------------------- */

/* Who waits for whom: the last rank computes longest, rank 0 waits least of the others' time for the network. */
static void straggler (void) {
    int n = wb_comm_size (world), r = wb_comm_rank (world);
    wb_rank_record_t *records = wb_calloc ((size_t) n, sizeof *records);
    wb_step_result_t s = {.t_forward = 2, .t_backward = 3, .t_wait = 1, .t_update = r == n - 1 ? 3 : 1, .t_total = 10};
    wb_rank_times_t out;
    s.t_transfer = 4;
    s.t_exposed = 1;
    wb_rank_times (&out, records, world, &s);
    double least = n > 1 ? 5 : 7, most = 7;
    T_OK (out.compute[0] == least && out.compute[2] == most, "compute %g to %g", out.compute[0], out.compute[2]);
    T_OK (out.compute[1] == least, "the median is %g", out.compute[1]); /* of two the lower one */
    T_OK (out.slowest == n - 1 && out.host[0] != 0, "rank %d on %s is the slowest", out.slowest, out.host);
    T_OK (out.exposed == 10 - most && out.waiting[0] == 0 && out.waiting[2] == most - least, "the others wait for it");
    T_OK (fabs (out.hidden - 0.75) < 1e-12, "%g hidden", out.hidden);
    wb_free (records);
}

int main (void) {
    world = T_BEGIN ();
    straggler ();
    ranks = wb_comm_size (world);
    T_STATUS (wb_comm_split (&self, world, wb_comm_rank (world), 0), WB_OK);
    T_STATUS (wb_topo_new (&self_topo, self, 1, 1, 1), WB_OK);
    test_data ();
    test_optimizers ();
    for (int pp = 1; pp <= ranks; pp++)
        for (int tp = 1; tp <= ranks / pp; tp++) {
            if (ranks % (pp * tp) != 0 || pp > 6 || tp > 8) continue;
            if (tp != 3 && tp <= 4) test_verdict (pp, tp);
            if (tp != 3 && tp <= 4) test_unread (pp, tp);
            if (pp <= 4 && tp <= 4) test_memory (pp, tp);
            if (pp <= 4 && tp <= 4) test_large (pp, tp);
            if (pp <= 4 && tp <= 4) test_muon (pp, tp);
            if (pp <= 4 && tp <= 4) test_bf16 (pp, tp);
            if (pp <= 4 && tp <= 4) test_muon_bf16 (pp, tp);
            if (pp <= 4 && tp <= 4) test_uneven (pp, tp);
            if (pp * tp == 1) continue;
            test_grid (pp, tp);
            if (pp > 1 && pp <= 4 && tp <= 4) test_interleaved (pp, tp);
            if (BIG) test_products (pp, tp);
        }
    for (int i = 0; i < nreferences; i++) wb_trainer_destroy (references[i].t);
    wb_topo_destroy (self_topo);
    wb_comm_destroy (self);
    if (wb_comm_rank (world) == 0) printf ("%d layouts, the slowest %.2f s\n", layouts, slowest);
    return T_END ();
}
