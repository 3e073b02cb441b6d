/* wabun bench: how fast, and how fast it could be.
 *
 * The table of benches, and what they share: options that describe a model, medians, JSON.
 *
 * Not done here: other programs (tests/bench), kernels one by one (tests/bench/bench_kern.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

static const struct bench_entry {
    const char *name, *line;
    wb_status (*run) (int argc, char **argv);
} benches[] = {
    {"step", "training steps on random tokens, under mpirun on all ranks: tokens a second and MFU", wb_bench_step},
    {"gemm", "the matrix products of a step, one by one", wb_bench_gemm},
    {"muon", "what Muon adds to a step, in each form the layout of ranks allows", wb_bench_muon},
    {"ring", "sums over ranks: our ring, MPI_Allreduce, and what the links allow", wb_bench_ring},
    {"generate", "writing, with random weights: tokens a second, share of the memory's bandwidth", wb_bench_generate},
    {"encode", "text to tokens: MB a second, with and without clean, on one thread and on all", wb_bench_encode},
};
enum { BENCHES = sizeof benches / sizeof *benches };

bool wb_bench_at (int i, const char **name, const char **line) {
    if (i < 0 || i >= BENCHES) return false;
    *name = benches[i].name, *line = benches[i].line;
    return true;
}

wb_status wb_cmd_bench (int argc, char **argv) {
    const char *names[BENCHES];
    char list[256] = "";
    for (int i = 0; i < BENCHES; i++) {
        names[i] = benches[i].name;
        if (argc > 1 && strcmp (argv[1], benches[i].name) == 0) return benches[i].run (argc - 1, argv + 1);
        snprintf (list + strlen (list), sizeof list - strlen (list), "%s%s",
                  i == 0            ? ""
                  : i + 1 < BENCHES ? ", "
                                    : " and ",
                  benches[i].name);
    }
    if (argc < 2) {
        puts ("wabun bench NAME [option]...");
        for (int i = 0; i < BENCHES; i++) printf ("  %-10s%s\n", benches[i].name, benches[i].line);
        puts ("`wabun help bench` has the options.");
        return WB_OK;
    }
    if (argv[1][0] == '-') return WB_FAIL (WB_EUSAGE, "the name of the bench comes first: there are %s", list);
    const char *near = wb_nearest (argv[1], names, BENCHES);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "there is no bench `%s`: did you mean %s?", argv[1], near);
    return WB_FAIL (WB_EUSAGE, "there is no bench `%s`: there are %s", argv[1], list);
}

/* ---- a model on the command line --------------------------------------------------------------------------------- */

static wb_status choose (wb_opts_t *o, int *out, const char *path) {
    const char *option = o->arg, *text = NULL;
    WB_TRY (wb_opts_text (o, &text));
    *out = wb_config_choice (path, text);
    if (*out >= 0) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%.*s knows no `%s`; `wabun help train` has the choices of %s",
                    (int) strcspn (option, "="), option, text, path);
}

wb_status wb_bench_parse (wb_bench_t *b, int argc, char **argv) {
    wb_size_t own = {0}; /* sizes given one by one */
    int64_t zero = 1, chunks = 1, seed = 1;
    int wire = 0, recompute = 0;
    *b = (wb_bench_t){.steps = 3, .pipeline = 1, .tensor = 1, .preset = "tiny"};
    own.V = 20573;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--preset"))
            WB_TRY (wb_opts_text (&o, &b->preset));
        else if (wb_opts_is (&o, "--layers"))
            WB_TRY (wb_opts_int (&o, &own.L, 1, 4096));
        else if (wb_opts_is (&o, "--width"))
            WB_TRY (wb_opts_int (&o, &own.C, 1, 1 << 17));
        else if (wb_opts_is (&o, "--heads"))
            WB_TRY (wb_opts_int (&o, &own.H, 1, 4096));
        else if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_int (&o, &own.T, 1, 1 << 20));
        else if (wb_opts_is (&o, "--vocab"))
            WB_TRY (wb_opts_int (&o, &own.V, 2, 1 << 26));
        else if (wb_opts_is (&o, "--batch"))
            WB_TRY (wb_opts_int (&o, &b->batch, 1, 1 << 24));
        else if (wb_opts_is (&o, "--micro-batch"))
            WB_TRY (wb_opts_int (&o, &b->o.B, 0, 65536));
        else if (wb_opts_is (&o, "--steps"))
            WB_TRY (wb_opts_int (&o, &b->steps, 1, WB_BENCH_MOST_STEPS));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &b->threads, 0, 4096));
        else if (wb_opts_is (&o, "--pipeline"))
            WB_TRY (wb_opts_int (&o, &b->pipeline, 1, WB_MAX_STAGES));
        else if (wb_opts_is (&o, "--tensor"))
            WB_TRY (wb_opts_int (&o, &b->tensor, 1, 4096));
        else if (wb_opts_is (&o, "--interleave"))
            WB_TRY (wb_opts_int (&o, &chunks, 1, WB_MAX_CHUNKS));
        else if (wb_opts_is (&o, "--zero"))
            WB_TRY (wb_opts_int (&o, &zero, 0, 1));
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--wire"))
            WB_TRY (choose (&o, &wire, "parallel.wire"));
        else if (wb_opts_is (&o, "--recompute"))
            WB_TRY (choose (&o, &recompute, "parallel.recompute"));
        else if (wb_opts_is (&o, "--sequence-parallel"))
            WB_TRY (wb_opts_flag (&o, &b->o.sequence));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &b->json));
        else if (strcmp (argv[0], "step") == 0 && wb_opts_is (&o, "--profile"))
            WB_TRY (wb_opts_flag (&o, &b->profile));
        else
            return wb_opts_unknown (&o);
    }
    wb_size_t *s = &b->o.size;
    WB_TRY (wb_size_preset (s, b->preset));
    if (own.L + own.C + own.H > 0) b->preset = "own";
    if (own.L > 0) s->L = own.L;
    if (own.C > 0) s->C = own.C;
    if (own.H > 0) s->H = own.H;
    if (own.T > 0) s->T = own.T;
    s->V = own.V;
    b->o.T = s->T;
    b->o.v = (int) chunks;
    b->o.schedule = WB_SCHEDULE_1F1B;
    b->o.recompute = (wb_recompute) recompute;
    b->o.zero = zero != 0;
    b->o.wire = (wb_wire) wire;
    b->o.seed = (uint64_t) seed;
    b->o.optim = (wb_optim_options_t){.kind = WB_OPTIM_ADAMW,
                                      .lr = 1e-4,
                                      .min_lr = 1e-5,
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .eps = 1e-8,
                                      .weight_decay = 0.1,
                                      .clip = 1,
                                      .steps = WB_BENCH_MOST_STEPS + 1,
                                      .decay = WB_DECAY_CONSTANT};
    return wb_size_check (s);
}

wb_status wb_bench_settle (wb_bench_t *b, const wb_topo_t *topo) {
    b->ranks = wb_comm_size (topo->world);
    b->o.global_batch = b->batch > 0 ? b->batch : topo->D * (b->o.B > 0 ? b->o.B : 1);
    wb_blas_info (&b->blas);
    return wb_trainer_settle_all (&b->o, topo, b->nthreads);
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static int by_size (const void *a, const void *b) {
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

double wb_bench_median (double *x, int64_t n) {
    qsort (x, (size_t) n, sizeof *x, by_size);
    return n % 2 != 0 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

wb_status wb_bench_print_json (json_t *object) {
    char *text = object != NULL ? json_dumps (object, JSON_REAL_PRECISION (7) | JSON_COMPACT) : NULL;
    json_decref (object);
    if (text == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for the report");
    puts (text);
    wb_free_foreign (text);
    return WB_OK;
}
