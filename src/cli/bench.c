/* wabun bench: how fast, and how fast it could be.
 *
 * Every figure comes with its limit, measured in the same run: the peak of multiply-adds of the same threads on the
 * same ranks at the same time (before and after, the better one counts).  A step is timed from a barrier to the last
 * rank's end, on tokens drawn from the random numbers, so no file is needed.
 *
 * Not done here: other programs (tests/bench), kernels one by one (tests/bench/bench_kern.c). */
#include "config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/run.h"

enum { MOST_STEPS = 10000 };

struct bench {
    wb_step_options_t o;
    int64_t batch, steps, threads, pipeline, tensor;
    const char *preset;
    bool json;
    /* found out */
    int nthreads, ranks;
    wb_blas_info_t blas;
};

/* ---- command line ---------------------------------------------------------------------------------------------- */

static wb_status choose (wb_opts_t *o, int *out, const char *path) {
    const char *option = o->arg, *text = NULL;
    WB_TRY (wb_opts_text (o, &text));
    *out = wb_config_choice (path, text);
    if (*out >= 0) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%.*s knows no `%s`; `wabun help train` has the choices of %s",
                    (int) strcspn (option, "="), option, text, path);
}

static wb_status parse (struct bench *b, const char **what, int argc, char **argv) {
    wb_size_t own = {0}; /* sizes given one by one */
    int64_t zero = 1, chunks = 1, seed = 1;
    int wire = 0, recompute = 0;
    *what = NULL;
    *b = (struct bench){.steps = 3, .pipeline = 1, .tensor = 1, .preset = "tiny", .o = {.B = 1}};
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
            WB_TRY (wb_opts_int (&o, &b->o.B, 1, 65536));
        else if (wb_opts_is (&o, "--steps"))
            WB_TRY (wb_opts_int (&o, &b->steps, 1, MOST_STEPS));
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
        else if (wb_opts_is_file (&o) && *what == NULL)
            *what = o.arg;
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
                                      .steps = MOST_STEPS + 1,
                                      .decay = WB_DECAY_CONSTANT};
    return wb_size_check (s);
}

static int by_size (const void *a, const void *b) {
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* Of n > 0 values, which are sorted. */
static double median (double *x, int64_t n) {
    qsort (x, (size_t) n, sizeof *x, by_size);
    return n % 2 != 0 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static wb_status print_json (json_t *object) {
    char *text = object != NULL ? json_dumps (object, JSON_REAL_PRECISION (7) | JSON_COMPACT) : NULL;
    json_decref (object);
    if (text == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for the report");
    puts (text);
    wb_free_foreign (text);
    return WB_OK;
}

/* ---- step ------------------------------------------------------------------------------------------------------ */

static bool random_sample (void *ctx, int32_t *ids, int64_t k) {
    const wb_step_options_t *o = ctx;
    const uint64_t stream = wb_rng_stream ("bench");
    for (int64_t i = 0; i <= o->T; i++)
        ids[i] = (int32_t) (wb_rng_u64 (o->seed, stream, (uint64_t) (k * (o->T + 1) + i)) % (uint64_t) o->size.V);
    return true;
}

enum phase { DATA, FORWARD, BACKWARD, WAIT, SYNC, UPDATE, ATTENTION, LINEAR, ELEMENTWISE, HEAD, TENSOR, PHASES };
static const char *const phase_names[PHASES] = {"data",      "forward", "backward",    "wait", "sync",       "update",
                                                "attention", "linear",  "elementwise", "head", "tensor_comm"};

struct result {
    double *seconds; /* of each step, until the last rank is done */
    double *tokens_per_s;
    double phase[PHASES]; /* seconds in a step, mean over steps and ranks */
    double fma, loss, rss;
    int64_t params;
};

static double peak_of_all (const struct bench *b, wb_comm_t *world) {
    wb_comm_barrier (world);
    double peak = wb_kern_fma_peak (b->nthreads, 0.3);
    wb_comm_sum_f64 (world, &peak, 1);
    return peak;
}

static wb_status measure (struct result *r, const struct bench *b, wb_trainer_t *t, wb_comm_t *world) {
    wb_step_options_t o = b->o;
    wb_step_result_t step;
    wb_stage_times_t before = {0};
    r->fma = peak_of_all (b, world);
    for (int64_t i = -1; i < b->steps; i++) {
        wb_comm_barrier (world);
        const double start = wb_now ();
        wb_trainer_step (t, &step, random_sample, &o, false);
        double seconds = wb_now () - start;
        /* The verdict of a step is the same on every rank. */
        if (step.bad) return WB_FAIL (WB_ENUMERIC, "numbers went bad in step %lld", (long long) i + 2);
        wb_comm_max_f64 (world, &seconds, 1);
        if (i < 0) {
            before = *wb_trainer_times (t);
            continue;
        }
        wb_log_progress ("step %lld of %lld: %.3f s", (long long) i + 1, (long long) b->steps, seconds);
        r->seconds[i] = seconds;
        r->phase[DATA] += step.t_data, r->phase[FORWARD] += step.t_forward, r->phase[BACKWARD] += step.t_backward;
        r->phase[WAIT] += step.t_wait, r->phase[SYNC] += step.t_sync, r->phase[UPDATE] += step.t_update;
    }
    wb_log_progress ("%s", "");
    const wb_stage_times_t *after = wb_trainer_times (t);
    r->phase[ATTENTION] = after->attention - before.attention, r->phase[LINEAR] = after->linear - before.linear;
    r->phase[ELEMENTWISE] = after->elementwise - before.elementwise, r->phase[HEAD] = after->head - before.head;
    r->phase[TENSOR] = after->tensor_comm - before.tensor_comm;
    wb_comm_sum_f64 (world, r->phase, PHASES);
    for (int i = 0; i < PHASES; i++) r->phase[i] /= (double) b->steps * b->ranks;
    r->fma = fmax (r->fma, peak_of_all (b, world));
    r->loss = step.loss;
    r->params = t->params->total;
    r->rss = (double) wb_mem_rss_peak ();
    wb_comm_max_f64 (world, &r->rss, 1);
    const double tokens = (double) b->o.global_batch * (double) b->o.T;
    for (int64_t i = 0; i < b->steps; i++) r->tokens_per_s[i] = tokens / r->seconds[i];
    return WB_OK;
}

static wb_status report_step (struct result *r, const struct bench *b) {
    const wb_size_t *s = &b->o.size;
    json_t *steps = json_array (), *phases = json_object ();
    for (int64_t i = 0; i < b->steps; i++) json_array_append_new (steps, json_real (r->seconds[i]));
    for (int i = 0; i < PHASES; i++) json_object_set_new (phases, phase_names[i], json_real (r->phase[i]));
    const double rate = median (r->tokens_per_s, b->steps), least = r->tokens_per_s[0],
                 most = r->tokens_per_s[b->steps - 1];
    const double gflops = rate * wb_size_flops (s, b->o.T) * 1e-9, mfu = gflops / r->fma;
    const char *isa = wb_isa_name (wb_cpu_isa ());
    if (b->json)
        return print_json (json_pack (
            "{s:s s:s s:I s:I s:I s:I s:I s:i s:i s:I s:I s:f s:f s:f s:f s:f s:f s:f s:I s:s s:s s:s s:s s:s s:o s:o}",
            "bench", "step", "preset", b->preset, "params", (json_int_t) r->params, "vocab", (json_int_t) s->V, "batch",
            (json_int_t) b->o.global_batch, "micro_batch", (json_int_t) b->o.B, "context", (json_int_t) b->o.T,
            "threads", b->nthreads, "ranks", b->ranks, "pipeline", (json_int_t) b->pipeline, "tensor",
            (json_int_t) b->tensor, "tokens_per_s", rate, "tokens_per_s_min", least, "tokens_per_s_max", most, "gflops",
            gflops, "fma_peak_gflops", r->fma, "mfu", mfu, "loss", r->loss, "peak_rss_bytes", (json_int_t) r->rss,
            "blas", b->blas.config, "blas_core", b->blas.core, "blas_threading", b->blas.threading, "isa", isa, "cpu",
            wb_cpu_name (), "phases", phases, "steps", steps));
    json_decref (steps);
    json_decref (phases);

    char count[32], bytes[32];
    printf ("model       %s: %s parameters, %lld layers x %lld x %lld heads, context %lld, vocabulary %lld\n",
            b->preset, wb_format_count (count, r->params), (long long) s->L, (long long) s->C, (long long) s->H,
            (long long) s->T, (long long) s->V);
    printf ("layout      %d ranks x %d threads: pipeline %lld, tensor %lld\n", b->ranks, b->nthreads,
            (long long) b->pipeline, (long long) b->tensor);
    printf ("batch       %lld sequences, %lld at once\n", (long long) b->o.global_batch, (long long) b->o.B);
    printf ("processor   %s, kernels %s; BLAS %s (%s)\n", wb_cpu_name (), isa, b->blas.core, b->blas.threading);
    printf ("memory      %s, the largest rank\n\n", wb_format_bytes (bytes, r->rss));
    printf ("tokens/s    %10.1f   (median of %lld steps; %.1f to %.1f)\n", rate, (long long) b->steps, least, most);
    printf ("GFLOP/s     %10.1f\n", gflops);
    printf ("peak        %10.1f   (multiply-adds of all ranks, measured)\n", r->fma);
    printf ("MFU         %9.1f%%\n\n", 100 * mfu);
    printf ("seconds a step, mean of the ranks\n");
    for (int i = 0; i < PHASES; i++) {
        if (i == ATTENTION) printf ("of forward and backward\n");
        printf ("  %-12s%9.4f\n", phase_names[i], r->phase[i]);
    }
    if (b->pipeline > 1) {
        double P = (double) b->pipeline,
               M = (double) (b->o.global_batch * b->pipeline * b->tensor / (b->o.B * b->ranks));
        printf ("\nidle in the pipeline: %.1f%% of forward and backward; (P - 1) / (v M + P - 1) = %.1f%%\n",
                100 * r->phase[WAIT] / (r->phase[FORWARD] + r->phase[BACKWARD]), 100 * (P - 1) / (b->o.v * M + P - 1));
    }
    return WB_OK;
}

/* Everything between the start and the end of the world.  The status is the same on every rank. */
static wb_status bench_step (struct bench *b, wb_comm_t *world) {
    wb_topo_t *topo;
    wb_trainer_t *t = NULL;
    struct result r = {.seconds = wb_calloc ((size_t) b->steps, sizeof (double)),
                       .tokens_per_s = wb_calloc ((size_t) b->steps, sizeof (double))};
    wb_status status = r.seconds != NULL && r.tokens_per_s != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory");
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_threads_set (&b->nthreads, world, b->threads);
    if (status == WB_OK) status = wb_topo_new (&topo, world, 0, wb_int (b->pipeline), wb_int (b->tensor));
    if (status == WB_OK) {
        b->ranks = wb_comm_size (world);
        b->o.global_batch = b->batch > 0 ? b->batch : topo->D * b->o.B;
        wb_blas_info (&b->blas);
        status = wb_trainer_new (&t, topo, &b->o);
        if (status == WB_OK) status = measure (&r, b, t, world);
        if (status == WB_OK && wb_comm_rank (world) == 0) status = report_step (&r, b);
        status = wb_agree (world, status);
        wb_trainer_destroy (t);
        wb_topo_destroy (topo);
    }
    wb_free (r.seconds);
    wb_free (r.tokens_per_s);
    return status;
}

/* ---- gemm ------------------------------------------------------------------------------------------------------ */

struct shape {
    const char *name;
    int64_t m, n, k;
    bool ta, tb;
};

/* Median seconds of a product, repeated for about 0.3 s. */
static double time_gemm (const struct shape *s, float *C, const float *A, const float *B) {
    enum { MOST = 101 };
    double x[MOST], start = wb_now ();
    int n = 0;
    while (n < MOST && (n < 4 || wb_now () - start < 0.3)) {
        double begin = wb_now ();
        wb_gemm (C, A, B, s->m, s->n, s->k, s->n, s->ta ? s->m : s->k, s->tb ? s->k : s->n, s->ta, s->tb, 1, 0);
        x[n++] = wb_now () - begin;
    }
    return median (x + 1, n - 1); /* the first one touches the pages */
}

static wb_status bench_gemm (struct bench *b, wb_comm_t *world) {
    const wb_size_t *z = &b->o.size;
    const int64_t M = b->o.B * b->o.T, C = z->C, V = z->V;
    const struct shape shapes[] = {
        {"qkv forward", M, 3 * C, C, false, false}, {"qkv dx", M, C, 3 * C, false, true},
        {"qkv dw", C, 3 * C, M, true, false},       {"proj forward", M, C, C, false, false},
        {"proj dx", M, C, C, false, true},          {"proj dw", C, C, M, true, false},
        {"fc forward", M, 4 * C, C, false, false},  {"fc dx", M, C, 4 * C, false, true},
        {"fc dw", C, 4 * C, M, true, false},        {"fc2 forward", M, C, 4 * C, false, false},
        {"fc2 dx", M, 4 * C, C, false, true},       {"fc2 dw", 4 * C, C, M, true, false},
        {"head forward", M, V, C, false, true},     {"head dx", M, C, V, false, false},
        {"head dw", V, C, M, true, false},
    };
    enum { N = sizeof shapes / sizeof *shapes };
    int64_t most = 0;
    for (int i = 0; i < N; i++) {
        const struct shape *s = &shapes[i];
        most = s->m * s->n > most ? s->m * s->n : most;
        most = s->m * s->k > most ? s->m * s->k : most;
        most = s->n * s->k > most ? s->n * s->k : most;
    }
    wb_arena_t *arena;
    WB_TRY (wb_threads_set (&b->nthreads, world, b->threads));
    wb_blas_info (&b->blas);
    WB_TRY (wb_arena_new (&arena, "gemm", 3 * wb_align ((size_t) most * sizeof (float))));
    float *x[3];
    for (int i = 0; i < 3; i++) {
        x[i] = wb_arena_floats (arena, most);
        for (int64_t j = 0; j < most; j++) x[i][j] = (float) (j % 7 - 3) * 0.125f;
    }
    double peak = wb_kern_fma_peak (b->nthreads, 0.3), seconds[N];
    for (int i = 0; i < N; i++) seconds[i] = time_gemm (&shapes[i], x[0], x[1], x[2]);
    peak = fmax (peak, wb_kern_fma_peak (b->nthreads, 0.3));
    wb_arena_destroy (arena);

    json_t *list = b->json ? json_array () : NULL;
    if (!b->json) {
        printf ("%s, %d threads; BLAS %s (%s); peak %.1f GFLOP/s\n\n", wb_cpu_name (), b->nthreads, b->blas.core,
                b->blas.threading, peak);
        printf ("%-14s%8s%8s%8s%12s%9s\n", "product", "m", "n", "k", "GFLOP/s", "of peak");
    }
    for (int i = 0; i < N; i++) {
        const struct shape *s = &shapes[i];
        double gflops = 2e-9 * (double) s->m * (double) s->n * (double) s->k / seconds[i];
        if (b->json)
            json_array_append_new (list, json_pack ("{s:s s:I s:I s:I s:f}", "name", s->name, "m", (json_int_t) s->m,
                                                    "n", (json_int_t) s->n, "k", (json_int_t) s->k, "gflops", gflops));
        else
            printf ("%-14s%8lld%8lld%8lld%12.1f%8.1f%%\n", s->name, (long long) s->m, (long long) s->n,
                    (long long) s->k, gflops, 100 * gflops / peak);
    }
    if (!b->json) return WB_OK;
    return print_json (json_pack ("{s:s s:s s:i s:f s:s s:s s:o}", "bench", "gemm", "preset", b->preset, "threads",
                                  b->nthreads, "fma_peak_gflops", peak, "blas_core", b->blas.core, "cpu",
                                  wb_cpu_name (), "products", list));
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

wb_status wb_cmd_bench (int argc, char **argv) {
    struct bench b;
    const char *what;
    WB_TRY (parse (&b, &what, argc, argv));
    if (what == NULL) return WB_FAIL (WB_EUSAGE, "what is to be measured? There are step and gemm");
    if (strcmp (what, "step") != 0 && strcmp (what, "gemm") != 0)
        return WB_FAIL (WB_EUSAGE, "there is no bench `%s`, only step and gemm", what);
    const bool step = strcmp (what, "step") == 0;
    wb_comm_t *world;
    WB_TRY (wb_world_new (&world));
    wb_status status;
    if (!step && wb_comm_size (world) > 1)
        status = WB_FAIL (WB_EUSAGE, "bench gemm measures one process: run it without mpirun");
    else
        status = step ? bench_step (&b, world) : bench_gemm (&b, world);
    wb_world_destroy (world);
    return status;
}
