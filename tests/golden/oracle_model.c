/* oracle_model DIR... - the same checks as test_gpt2.c on a directory of references in another form; a tool, not a
 * test:
 *
 *     make tests/golden/oracle_model && tests/golden/oracle_model DIR
 *     mpirun -n 4 tests/golden/oracle_model DIR        loss and gradients on the grids of 4 ranks
 *
 * DIR holds manifest.json {config: {n_vocab, n_ctx, n_embd, n_layer, n_head}, batch, loss, tensors: [{hf (Hugging Face
 * name), offset, count}], runs: {NAME: {args: {rule: torch|tf, wd, decay: none|all|2d, clip}, lr, beta1, beta2, eps,
 * losses[11], grad_norms_before_clip[10], weights_after}}}, and flat little-endian files: weights.f32, grads.f32,
 * logits.f32, weights after a run, tokens.i32, targets.i32.  Losses are those before each update and after the last,
 * always of the same batch.  Prints errors relative to the largest value of a tensor; the exit code tells whether all
 * are below 1e-4. */
#include "config.h"

#include <jansson.h>

#include "tmpi.h"
#include "golden.h"

#define TOLERANCE 1e-4

static wb_comm_t *world;

static double number (const json_t *o, const char *key) { return json_number_value (json_object_get (o, key)); }

/* A file with all parameters, one after the other as the manifest says. */
static void read_block (float *block, const golden_t *g, const json_t *tensors, const char *dir, const char *name) {
    float *all = wb_calloc ((size_t) wb_size_parameters (&g->size), sizeof *all);
    size_t i;
    const json_t *t;
    golden_read (all, wb_size_parameters (&g->size), dir, name);
    json_array_foreach (tensors, i, t) {
        const wb_param_t *p = wb_params_find (g->params, json_string_value (json_object_get (t, "hf")));
        if (T_OK (p != NULL && (double) wb_param_own (p) == number (t, "count"), "tensor %zu of %s", i, dir))
            memcpy (block + p->offset, all + (int64_t) number (t, "offset"), (size_t) wb_param_own (p) * sizeof *block);
    }
    wb_free (all);
}

static bool load_run (golden_run_t *run, const char *name, const json_t *o) {
    const json_t *args = json_object_get (o, "args");
    const char *decay = json_string_value (json_object_get (args, "decay"));
    bool tf = strcmp (json_string_value (json_object_get (args, "rule")), "tf") == 0;
    memset (run, 0, sizeof *run);
    snprintf (run->name, sizeof run->name, "%s", name);
    run->optim = (wb_optim_options_t){.kind = tf              ? WB_OPTIM_ADAM_TF1
                                              : decay != NULL ? WB_OPTIM_ADAMW
                                                              : WB_OPTIM_ADAM,
                                      .lr = number (o, "lr"),
                                      .beta1 = number (o, "beta1"),
                                      .beta2 = number (o, "beta2"),
                                      .eps = number (o, "eps"),
                                      .weight_decay = number (args, "wd"),
                                      .clip = number (args, "clip"),
                                      .decay = WB_DECAY_CONSTANT,
                                      .steps = GOLDEN_STEPS};
    for (size_t i = 0; i <= GOLDEN_STEPS; i++)
        run->losses[i] = json_number_value (json_array_get (json_object_get (o, "losses"), i));
    for (size_t i = 0; i < GOLDEN_STEPS; i++)
        run->norms[i] = json_number_value (json_array_get (json_object_get (o, "grad_norms_before_clip"), i));
    return decay == NULL || strcmp (decay, "all") != 0; /* wabun decays matrices only */
}

static void check_runs (golden_t *g, const json_t *root, const char *dir, const wb_kern_t *k) {
    const json_t *tensors = json_object_get (root, "tensors"), *o;
    float *after = wb_calloc ((size_t) g->params->own, sizeof *after);
    const char *name;
    double loss, norm, weights;
    json_object_foreach (json_object_get ((json_t *) root, "runs"), name, o) {
        golden_run_t run;
        if (!load_run (&run, name, o)) {
            printf ("  %-10s %-12s skipped: decay on vectors too is not offered\n", k->name, name);
            continue;
        }
        read_block (after, g, tensors, dir, json_string_value (json_object_get (o, "weights_after")));
        golden_train (&loss, &norm, &weights, g, &run, world, k, WB_RECOMPUTE_NONE, g->B, after);
        printf ("  %-10s %-12s losses %.1e, norms %.1e, weights after ten steps %.1e\n", k->name, name, loss, norm,
                weights);
        T_OK (loss < TOLERANCE && norm < TOLERANCE && weights < 10 * TOLERANCE, "%s: %s", dir, name);
    }
    wb_free (after);
}

static void check (const char *dir) {
    static const char *const modes[] = {"none", "attention", "block"};
    char path[1024];
    json_error_t error;
    golden_t g = {0};
    snprintf (path, sizeof path, "%s/manifest.json", dir);
    json_t *root = json_load_file (path, 0, &error);
    if (!T_OK (root != NULL, "%s: %s", path, error.text)) return;
    const json_t *config = json_object_get (root, "config"), *tensors = json_object_get (root, "tensors");
    g.size = (wb_size_t){(int64_t) number (config, "n_layer"), (int64_t) number (config, "n_embd"),
                         (int64_t) number (config, "n_head"), (int64_t) number (config, "n_ctx"),
                         (int64_t) number (config, "n_vocab")};
    g.B = (int64_t) number (root, "batch");
    g.T = g.size.T;
    g.loss = number (root, "loss");
    golden_alloc (&g);
    int64_t n = g.B * g.T;
    int32_t *x = wb_calloc ((size_t) n, sizeof *x), *y = wb_calloc ((size_t) n, sizeof *y);
    golden_read (x, n, dir, "tokens.i32");
    golden_read (y, n, dir, "targets.i32");
    for (int64_t i = 0; i < n; i++) {
        g.windows[i / g.T * (g.T + 1) + i % g.T] = x[i];
        g.windows[i / g.T * (g.T + 1) + i % g.T + 1] = y[i];
    }
    golden_read (g.logits, n * g.size.V, dir, "logits.f32");
    read_block (g.weights, &g, tensors, dir, "weights.f32");
    read_block (g.grads, &g, tensors, dir, "grads.f32");
    printf ("%s: %lld parameters, loss %.9f\n", dir, (long long) wb_size_parameters (&g.size), g.loss);
    for (int P = 1, ranks = wb_comm_size (world); ranks > 1 && P <= ranks; P++) {
        golden_errors_t e;
        if (ranks % P != 0 || g.size.L < P || g.size.H % (ranks / P) != 0) continue;
        golden_grid (&e, &g, world, &(golden_grid_options_t){.pp = P, .tp = ranks / P, .B = 1});
        if (wb_comm_rank (world) == 0)
            printf ("  grid 1 x %d x %d: loss %.1e, gradients %.1e (%s)\n", P, ranks / P, e.loss, e.grads, e.where);
        T_OK (e.loss < TOLERANCE && e.grads < TOLERANCE, "%s: grid 1 x %d x %d", dir, P, ranks / P);
    }
    for (int isa = -1; isa <= (int) wb_cpu_isa () && wb_comm_size (world) == 1; isa++) {
        const wb_kern_t *k = isa < 0 ? wb_kern_ref () : wb_kern_get ((wb_isa) isa);
        for (int mode = 0; mode < 3; mode++) {
            golden_errors_t e;
            golden_compare (&e, &g, world, k, (wb_recompute) mode, g.B, false);
            printf ("  %-10s recompute %-10s loss %.1e, logits %.1e, gradients %.1e (%s)\n", k->name, modes[mode],
                    e.loss, e.logits, e.grads, e.where);
            T_OK (e.loss < TOLERANCE && e.logits < TOLERANCE && e.grads < TOLERANCE, "%s: %s", dir, k->name);
        }
        check_runs (&g, root, dir, k);
    }
    wb_free (x);
    wb_free (y);
    json_decref (root);
    golden_free (&g);
}

int main (int argc, char **argv) {
    world = T_BEGIN ();
    if (argc < 2) fprintf (stderr, "usage: oracle_model DIR...\n");
    for (int i = 1; i < argc; i++) check (argv[i]);
    return T_END ();
}
