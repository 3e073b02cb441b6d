/* How fast, and how fast it could be.
 *
 * The table of benches, and what they share: options that describe a model, medians, JSON.
 *
 * Not done here: other programs (tests/bench), kernels one by one (tests/bench/bench_kernels.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench_priv.h"

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

wb_status wb_bench_run (int argc, char **argv) {
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

void wb_bench_size_begin (wb_bench_size_t *s, const char *preset) {
    *s = (wb_bench_size_t){.preset = preset, .own = {.V = 20573}};
}

bool wb_bench_is_size (wb_opts_t *o, wb_bench_size_t *s, wb_status *status) {
    const struct {
        const char *name;
        int64_t *to, least, most;
    } sizes[] = {{"--layers", &s->own.L, 1, 4096},
                 {"--width", &s->own.C, 1, 1 << 17},
                 {"--heads", &s->own.H, 1, 4096},
                 {"--context", &s->own.T, 1, 1 << 20},
                 {"--vocab", &s->own.V, 2, 1 << 26}};
    if (wb_opts_is (o, "--preset")) {
        *status = wb_opts_text (o, &s->preset);
        return true;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!wb_opts_is (o, sizes[i].name)) continue;
        *status = wb_opts_int (o, sizes[i].to, sizes[i].least, sizes[i].most);
        return true;
    }
    return false;
}

wb_status wb_bench_size_end (wb_size_t *out, const char **preset, const wb_bench_size_t *s) {
    WB_TRY (wb_size_preset (out, s->preset));
    *preset = s->own.L + s->own.C + s->own.H > 0 ? "own" : s->preset;
    if (s->own.L > 0) out->L = s->own.L;
    if (s->own.C > 0) out->C = s->own.C;
    if (s->own.H > 0) out->H = s->own.H;
    if (s->own.T > 0) out->T = s->own.T;
    out->V = s->own.V;
    return wb_size_check (out);
}

wb_status wb_bench_parse (wb_bench_t *b, int argc, char **argv) {
    wb_bench_size_t size;
    wb_status status;
    int64_t zero = 1, chunks = 1, seed = 1;
    int wire = 0, recompute = 0;
    *b = (wb_bench_t){.steps = 3, .pipeline = 1, .tensor = 1};
    wb_bench_size_begin (&size, "tiny");
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_bench_is_size (&o, &size, &status))
            WB_TRY (status);
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
    WB_TRY (wb_bench_size_end (s, &b->preset, &size));
    b->o.T = s->T;
    b->o.chunks = (int) chunks;
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
    return WB_OK;
}

wb_status wb_bench_settle (wb_bench_t *b, const wb_topo_t *topo) {
    b->ranks = wb_comm_size (topo->world);
    b->o.global_batch = b->batch > 0 ? b->batch : topo->dp * (b->o.B > 0 ? b->o.B : 1);
    wb_blas_info (&b->blas);
    return wb_trainer_choose_micro_batch_all (&b->o, topo, b->nthreads);
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
    if (text == NULL) return WB_NOMEM ("the report");
    puts (text);
    wb_free_foreign (text);
    return WB_OK;
}
