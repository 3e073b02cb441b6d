/* How fast, and how fast it could be.
 *
 * The table of benches, the way each is run, and a model on the command line.
 *
 * Not done here: figures and reports (report.c), other programs (tests/bench), kernels one by one
 * (tests/bench/bench_kernels.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "bench/bench_priv.h"

static const wb_bench_row_t *const benches[] = {
    &wb_bench_step,   &wb_bench_gemm,   &wb_bench_muon,  &wb_bench_ring,        &wb_bench_generate,
    &wb_bench_encode, &wb_bench_corpus, &wb_bench_serve, &wb_bench_threads_row,
};
enum { BENCHES = sizeof benches / sizeof *benches };

bool wb_bench_at (int i, const char **name, const char **line) {
    if (i < 0 || i >= BENCHES) return false;
    *name = benches[i]->name, *line = benches[i]->line;
    return true;
}

static wb_status list_benches (void) {
    puts ("wabun bench NAME [option]...");
    for (int i = 0; i < BENCHES; i++) printf ("  %-10s%s\n", benches[i]->name, benches[i]->line);
    puts ("`wabun help bench` has the options.");
    return WB_OK;
}

/* No bench has this name. */
static wb_status unknown (const char *name) {
    const char *names[BENCHES];
    char list[256] = "";
    for (int i = 0; i < BENCHES; i++) {
        const char *between = i == 0 ? "" : i + 1 < BENCHES ? ", " : " and ";
        names[i] = benches[i]->name;
        snprintf (list + strlen (list), sizeof list - strlen (list), "%s%s", between, names[i]);
    }
    if (name[0] == '-') return WB_FAIL (WB_EUSAGE, "the name of the bench comes first: there are %s", list);
    const char *near = wb_nearest (name, names, BENCHES);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "there is no bench `%s`: did you mean %s?", name, near);
    return WB_FAIL (WB_EUSAGE, "there is no bench `%s`: there are %s", name, list);
}

/* Options before the world, so that a wrong one is told at once. */
static wb_status run_bench (const wb_bench_row_t *row, void *options, int argc, char **argv) {
    wb_comm_t *world;
    WB_TRY (row->parse (options, argc, argv));
    WB_TRY (wb_world_new (&world));
    const wb_status status =
        row->alone && wb_comm_size (world) > 1
            ? WB_FAIL (WB_EUSAGE, "bench %s measures one process: run it without mpirun", row->name)
            : row->run (options, world);
    wb_world_destroy (world);
    return status;
}

wb_status wb_bench_run (int argc, char **argv) {
    const wb_bench_row_t *row = NULL;
    if (argc < 2) return list_benches ();
    for (int i = 0; i < BENCHES; i++)
        if (strcmp (argv[1], benches[i]->name) == 0) row = benches[i];
    if (row == NULL) return unknown (argv[1]);
    void *options = wb_calloc (1, row->bytes);
    if (options == NULL) return WB_NOMEM ("bench %s", row->name);
    const wb_status status = run_bench (row, options, argc - 1, argv + 1);
    wb_free (options);
    return status;
}

/* ---- what benches measure with ----------------------------------------------------------------------------------- */

wb_status wb_bench_threads (int *threads, wb_comm_t *world, int64_t asked) {
    WB_TRY (wb_comm_threads (threads, world, asked));
    wb_kern_threads_set (*threads);
    return WB_OK;
}

void wb_bench_peak (double *peak, wb_comm_t *world, double (*measure) (int, double), int threads, double seconds) {
    wb_comm_barrier (world);
    double now = measure (threads, seconds);
    wb_comm_sum_f64 (world, &now, 1);
    *peak = fmax (*peak, now);
}

wb_status wb_bench_sample (void *options, int32_t *ids, int64_t k) {
    const wb_step_options_t *o = options;
    const uint64_t stream = wb_rng_stream ("bench");
    for (int64_t i = 0; i <= o->T; i++)
        ids[i] = (int32_t) (wb_rng_u64 (o->seed, stream, (uint64_t) (k * (o->T + 1) + i)) % (uint64_t) o->size.V);
    return WB_OK;
}

/* ---- a model on the command line --------------------------------------------------------------------------------- */

wb_status wb_bench_choice (wb_opts_t *o, int *out, const char *const *names) {
    const char *option = o->arg, *text = NULL;
    char list[96];
    WB_TRY (wb_opts_text (o, &text));
    *out = wb_choice (names, text);
    if (*out >= 0) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%.*s `%s` is not one of %s", (int) strcspn (option, "="), option, text,
                    wb_choice_list (list, sizeof list, names));
}

void wb_bench_size_begin (wb_bench_size_t *s, const char *preset) {
    *s = (wb_bench_size_t){.preset = preset, .own = {.V = 20573}};
}

bool wb_bench_is_size (wb_opts_t *o, wb_bench_size_t *s, wb_status *status) {
    const struct {
        const char *name;
        int64_t *to, min, max;
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
        *status = wb_opts_int (o, sizes[i].to, sizes[i].min, sizes[i].max);
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

/* The configuration's defaults, but with a small, constant rate: the tokens are random. */
static void set_defaults (wb_step_options_t *o) {
    wb_config_step_defaults (o);
    o->optim.lr = 1e-4;
    o->optim.min_lr = 1e-5;
    o->optim.warmup = 0;
    o->optim.decay = WB_DECAY_CONSTANT;
    o->optim.steps = WB_BENCH_MAX_STEPS + 1;
}

wb_status wb_bench_parse (wb_bench_t *b, int argc, char **argv) {
    wb_bench_size_t size;
    wb_status status;
    *b = (wb_bench_t){.steps = 3, .pipeline = 1, .tensor = 1};
    set_defaults (&b->o);
    int64_t zero = b->o.zero, chunks = b->o.chunks, seed = 1;
    int wire = (int) b->o.wire, recompute = (int) b->o.recompute, precision = (int) b->o.precision;
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
            WB_TRY (wb_opts_int (&o, &b->steps, 1, WB_BENCH_MAX_STEPS));
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
            WB_TRY (wb_bench_choice (&o, &wire, wb_wire_names));
        else if (wb_opts_is (&o, "--recompute"))
            WB_TRY (wb_bench_choice (&o, &recompute, wb_recompute_names));
        else if (strcmp (argv[0], "gemm") != 0 && wb_opts_is (&o, "--precision"))
            WB_TRY (wb_bench_choice (&o, &precision, wb_precision_names));
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
    b->o.recompute = (wb_recompute) recompute;
    b->o.zero = zero != 0;
    b->o.wire = (wb_wire) wire;
    b->o.precision = (wb_precision) precision;
    b->o.seed = (uint64_t) seed;
    return WB_OK;
}

wb_status wb_bench_complete (wb_bench_t *b, const wb_topo_t *topo) {
    b->ranks = wb_comm_size (topo->world);
    b->o.global_batch = b->batch > 0 ? b->batch : topo->dp * (b->o.B > 0 ? b->o.B : 1);
    wb_blas_info (&b->blas);
    WB_TRY (wb_trainer_choose_micro_batch_all (&b->o, topo, b->nthreads));
    wb_slow_warn ();
    if (wb_wait_note ()[0] != 0 && wb_comm_rank (topo->world) == 0) wb_info ("%s", wb_wait_note ());
    return WB_OK;
}
