/* ranks: 1 3 - the model and its optimizers against golden files that another program wrote
 * (make_gpt2.py): logits, loss, every gradient, ten steps of each optimizer; every kernel table, every recomputation.
 */
#include "config.h"

#include <jansson.h>

#include "tmpi.h"
#include "golden.h"

/* Measured: loss 3e-7, logits 1e-6, gradients 2e-6, norms 3e-6. */
#define TOLERANCE 1e-5

static const char *const modes[] = {"none", "attention", "block"};
static wb_comm_t *world;

static double number (const json_t *o, const char *key) { return json_number_value (json_object_get (o, key)); }

static void load_run (golden_run_t *run, const json_t *o) {
    static const char *const kinds[] = {"adamw", "adam", "adam-tf1", "adagrad", "sgd"};
    const char *kind = json_string_value (json_object_get (o, "optimizer"));
    const char *decay = json_string_value (json_object_get (o, "decay"));
    memset (run, 0, sizeof *run);
    snprintf (run->name, sizeof run->name, "%s%s", kind, decay != NULL ? ", lr decays" : "");
    for (int i = 0; i < 5; i++)
        if (strcmp (kind, kinds[i]) == 0) run->optim.kind = (wb_optim_kind) i;
    run->optim.decay = decay == NULL                   ? WB_DECAY_CONSTANT
                       : strcmp (decay, "cosine") == 0 ? WB_DECAY_COSINE
                                                       : WB_DECAY_LINEAR;
    run->optim.lr = number (o, "lr");
    run->optim.min_lr = number (o, "min_lr");
    run->optim.beta1 = number (o, "beta1");
    run->optim.beta2 = number (o, "beta2");
    run->optim.eps = number (o, "eps");
    run->optim.weight_decay = number (o, "weight_decay");
    run->optim.clip = number (o, "clip");
    run->optim.warmup = (int64_t) number (o, "warmup");
    run->optim.steps = GOLDEN_STEPS;
    for (size_t i = 0; i <= GOLDEN_STEPS; i++)
        run->losses[i] = json_number_value (json_array_get (json_object_get (o, "losses"), i));
    for (size_t i = 0; i < GOLDEN_STEPS; i++)
        run->norms[i] = json_number_value (json_array_get (json_object_get (o, "grad_norms"), i));
}

static bool load (golden_t *g, const char *dir) {
    char path[1024];
    json_error_t error;
    snprintf (path, sizeof path, "%s/golden.json", dir);
    json_t *root = json_load_file (path, 0, &error);
    memset (g, 0, sizeof *g);
    if (!T_OK (root != NULL, "%s: %s", path, error.text)) return false;
    const json_t *model = json_object_get (root, "model"), *windows = json_object_get (root, "windows");
    const json_t *runs = json_object_get (root, "runs");
    g->size = (wb_size_t){(int64_t) number (model, "layers"), (int64_t) number (model, "width"),
                          (int64_t) number (model, "heads"), (int64_t) number (model, "context"),
                          (int64_t) number (model, "vocab_size")};
    g->B = (int64_t) json_array_size (windows);
    g->T = (int64_t) json_array_size (json_array_get (windows, 0)) - 1;
    golden_alloc (g);
    g->loss = number (root, "loss");
    for (int64_t i = 0; i < g->B * (g->T + 1); i++)
        g->windows[i] = (int32_t) json_integer_value (
            json_array_get (json_array_get (windows, (size_t) (i / (g->T + 1))), (size_t) (i % (g->T + 1))));
    g->nruns = (int) json_array_size (runs);
    for (int i = 0; i < g->nruns; i++) load_run (&g->runs[i], json_array_get (runs, (size_t) i));
    json_decref (root);
    golden_read (g->logits, g->B * g->T * g->size.V, dir, "logits.f32");
    wb_ckpt_set_t weights = {.file = "model.safetensors", .prefix = "", .data = g->weights};
    wb_ckpt_set_t grads = {.file = "grads.safetensors", .prefix = "", .data = g->grads};
    bool good = T_STATUS (wb_ckpt_load (world, dir, &weights, g->block, g->params->n), WB_OK) &&
                T_STATUS (wb_ckpt_load (world, dir, &grads, g->block, g->params->n), WB_OK);
    return good && T_OK (g->nruns > 0 && g->nruns <= GOLDEN_RUNS, "%d runs", g->nruns);
}

/* What products of brain floats may do to each gradient: g->off, the length of its error over its own.
 *
 * A brain float has 8 bits of significand.  Rounding to nearest is off by a part of 2^-8 at most and, as all offsets up
 * to that are as likely, by u = 2^-8 / sqrt (3) at most as the root of mean squares.  How far that moves a gradient
 * depends on the model: a score of attention that is 10 and off by a part of u changes its probability by a part of 10
 * u. So it is measured, in fp32: one factor of every linear and of the output, the matrix, is moved by random parts, u
 * times a normal, and the root of mean squares over 16 draws is s, what rounding one factor of all of them does, in the
 * forward pass and through the matrices in the backward pass.  To first order it does the same to round the other
 * factor; what comes out (q, k, v and z are kept in bf16); the gradient that goes back through the matrix.  These are
 * four errors, independent of each other, whose squares add up.  The gradient of a matrix is a product of two rounded
 * factors by itself, 2 u^2:  off^2 = 4 s^2 + 2 u^2.  The fp32 sums of n terms add n 2^-24, which is nothing beside it.
 */
static void derive_bf16 (golden_t *g) {
    enum { DRAWS = 16 };
    const double u = ldexp (1, -8) / sqrt (3);
    golden_machine_t m;
    for (int draw = 0; draw < DRAWS; draw++) {
        const wb_kern_t *k = wb_kern_get (wb_cpu_isa ());
        if (golden_machine_new (&m, g, world, k, WB_RECOMPUTE_NONE, g->B, false)) {
            for (int i = 0; i < g->params->n; i++) {
                const wb_segment_t *s = &g->block[i];
                if (s->param->rows == 1 || strcmp (s->param->name, "wpe.weight") == 0) continue;
                for (int64_t j = 0; j < s->count; j++)
                    m.w[s->flat + j] *= (float) (1 + u * wb_rng_normal ((uint64_t) draw, (uint64_t) i, (uint64_t) j));
            }
            golden_pass (&m, true);
            for (int i = 0; i < g->params->n; i++) {
                const wb_segment_t *s = &g->block[i];
                const float *want = g->grads + s->flat;
                const double off = golden_off (m.dw + s->flat, want, s->count, want, s->count);
                g->off[i] += off * off / DRAWS;
            }
        }
        golden_machine_destroy (&m);
    }
    for (int i = 0; i < g->params->n; i++) g->off[i] = sqrt (4 * g->off[i] + 2 * u * u);
}

/* No gradient is off by more than twice that, since so few numbers scatter; none by less than a twentieth, which would
 * not be bf16 (fp32 is at 2e-4).  Loss and logits: 21 roundings a layer and 6 in the output, and five times the root of
 * mean squares for the largest of many. */
static void check_bf16 (const golden_t *g, const golden_errors_t *e, const char *what) {
    const double bound = 5 * ldexp (1, -8) / sqrt (3) * sqrt (21 * (double) g->size.L + 6);
    printf ("%s: loss %.1e, logits %.1e, not %.1e; gradients are off by %.2f to %.2f of what is expected\n", what,
            e->loss, e->logits, bound, e->least, e->most);
    T_OK (e->loss < bound && e->logits < bound, "%s: loss %.1e, logits %.1e, not %.1e", what, e->loss, e->logits,
          bound);
    T_OK (e->most < 2 && e->least > 0.05, "%s: gradients are off by %.2f to %.2f of what is expected", what, e->least,
          e->most);
}

/* By each library, on one rank. */
static void test_bf16 (const char *variant, const golden_t *g) {
    const wb_gemm_library was = wb_gemm_library_get ();
    for (int i = WB_GEMM_BLAS; i <= WB_GEMM_ONEDNN; i++)
        for (int mode = 0; mode < 3 && wb_gemm_library_set ((wb_gemm_library) i); mode++)
            for (int64_t micro = 1; micro <= g->B; micro += g->B - 1) {
                golden_errors_t e;
                char what[96];
                golden_compare (&e, g, world, wb_kern_get (wb_cpu_isa ()), (wb_recompute) mode, micro, true);
                snprintf (what, sizeof what, "%s, bf16 by %s, recompute %s, micro-batch %d", variant,
                          wb_bf16_unit_name (wb_bf16_unit_get ()), modes[mode], (int) micro);
                check_bf16 (g, &e, what);
            }
    wb_gemm_library_set (was);
}

/* The same gradients from ranks that hold slices: over data, pipeline and tensor, there with positions cut as well. */
static void test_grids (const char *variant) {
    static const golden_grid_options_t grids[] = {{.pp = 1, .tp = 1, .B = 1},
                                                  {.pp = 3, .tp = 1, .B = 1},
                                                  {.pp = 1, .tp = 3, .B = 1},
                                                  {.pp = 1, .tp = 3, .B = 3, .sequence = true}};
    char dir[64];
    golden_t g;
    golden_errors_t e;
    snprintf (dir, sizeof dir, "tests/golden/gpt2/%s", variant);
    const bool good = load (&g, t_src (dir));
    if (good) derive_bf16 (&g);
    for (int i = 0; i < 4 && good; i++)
        for (int mode = 0; mode < 3; mode++) {
            golden_grid_options_t o = grids[i];
            char what[96];
            o.recompute = (wb_recompute) mode;
            snprintf (what, sizeof what, "%s, grid %d x %d x %d%s, recompute %s", variant, 3 / (o.pp * o.tp), o.pp,
                      o.tp, o.sequence ? ", sequence" : "", modes[mode]);
            golden_grid (&e, &g, world, &o);
            T_OK (e.loss < TOLERANCE && e.grads < TOLERANCE, "%s: loss %.1e, gradients %.1e (%s)", what, e.loss,
                  e.grads, e.where);
            o.precision = WB_PRECISION_BF16_ANYWHERE;
            golden_grid (&e, &g, world, &o);
            check_bf16 (&g, &e, what);
        }
    golden_free (&g);
}

static void test (const char *variant) {
    const wb_kern_t *kerns[4] = {wb_kern_ref ()};
    int nkerns = 1;
    char dir[64];
    golden_t g;
    double loss, norm, weights;
    snprintf (dir, sizeof dir, "tests/golden/gpt2/%s", variant);
    for (int i = WB_ISA_PORTABLE; i <= (int) wb_cpu_isa (); i++) kerns[nkerns++] = wb_kern_get ((wb_isa) i);
    if (load (&g, t_src (dir))) {
        for (int i = 0; i < nkerns; i++)
            for (int mode = 0; mode < 3; mode++)
                for (int64_t micro = 1; micro <= g.B; micro += g.B - 1) {
                    golden_errors_t e;
                    golden_compare (&e, &g, world, kerns[i], (wb_recompute) mode, micro, false);
                    T_OK (e.loss < TOLERANCE && e.logits < TOLERANCE && e.grads < TOLERANCE,
                          "%s, %s, recompute %s, micro-batch %lld: loss %.1e, logits %.1e, gradients %.1e (%s)",
                          variant, kerns[i]->name, modes[mode], (long long) micro, e.loss, e.logits, e.grads, e.where);
                    if (mode == 0 && micro == g.B)
                        printf ("%s, %s: errors of loss %.1e, logits %.1e, gradients %.1e (%s)\n", variant,
                                kerns[i]->name, e.loss, e.logits, e.grads, e.where);
                }
        derive_bf16 (&g);
        test_bf16 (variant, &g);
        for (int i = 0; i < nkerns; i++)
            for (int r = 0; r < g.nruns; r++) {
                golden_train (&loss, &norm, &weights, &g, &g.runs[r], world, kerns[i], (wb_recompute) (r % 3), g.B,
                              NULL);
                T_OK (loss < TOLERANCE && norm < TOLERANCE, "%s, %s, %s: losses %.1e, norms %.1e", variant,
                      kerns[i]->name, g.runs[r].name, loss, norm);
                if (i == nkerns - 1)
                    printf ("%s, %s, %s: errors of losses %.1e, norms %.1e\n", variant, kerns[i]->name, g.runs[r].name,
                            loss, norm);
            }
        for (int r = 0; r < g.nruns; r++)
            for (int64_t micro = 1; micro <= g.B; micro += g.B - 1) {
                golden_trainer (&loss, &norm, &g, &g.runs[r], world, (wb_recompute) (r % 3), micro);
                T_OK (loss < TOLERANCE && norm < TOLERANCE,
                      "%s, trainer, %s, micro-batch %lld: losses %.1e, norms %.1e", variant, g.runs[r].name,
                      (long long) micro, loss, norm);
            }
    }
    golden_free (&g);
}

int main (void) {
    world = T_BEGIN ();
    void (*check) (const char *) = wb_comm_size (world) == 1 ? test : test_grids;
    check ("init");
    check ("stress");
    return T_END ();
}
