/* wabun bench step: a training step.
 *
 * Timed from a barrier to the last rank's end, on tokens drawn from the random numbers, so no file is needed.  The
 * limit is the peak of multiply-adds of the same threads on the same ranks at the same time (before and after, the
 * better one counts). */
#include "config.h"

#include <math.h>

#include "bench/bench_priv.h"

static bool random_sample (void *ctx, int32_t *ids, int64_t k) {
    const wb_step_options_t *o = ctx;
    const uint64_t stream = wb_rng_stream ("bench");
    for (int64_t i = 0; i <= o->T; i++)
        ids[i] = (int32_t) (wb_rng_u64 (o->seed, stream, (uint64_t) (k * (o->T + 1) + i)) % (uint64_t) o->size.V);
    return true;
}

enum phase { DATA, FORWARD, BACKWARD, WAIT, NEED, SYNC, UPDATE, TRANSFER, EXPOSED, PHASES };
static const char *const phase_names[PHASES] = {"data", "forward", "backward", "wait",   "need",
                                                "sync", "update",  "transfer", "exposed"};

struct result {
    double *seconds; /* of each step, until the last rank is done */
    double *tokens_per_s;
    double phase[PHASES];      /* seconds in a step, mean over steps and ranks */
    wb_profile_t profile;      /* likewise */
    wb_rank_record_t *room;    /* [ranks] */
    wb_rank_times_t times;     /* the ranks compared, mean over steps */
    double mean;               /* seconds in a step */
    double fma, bandwidth;     /* GFLOP/s and GB/s of all ranks together */
    double loss, rss, planned; /* planned: bytes of the rank that takes most */
    int64_t params;
};

static double peak_of_all (const wb_bench_t *b, wb_comm_t *world) {
    wb_comm_barrier (world);
    double peak = wb_kern_fma_peak (b->nthreads, 0.3);
    wb_comm_sum_f64 (world, &peak, 1);
    return peak;
}

/* Of all ranks at once.  The status is the same on every rank. */
static wb_status bandwidth_of_all (double *out, const wb_bench_t *b, wb_comm_t *world) {
    enum { FLOATS = 1 << 26 };
    wb_arena_t *arena = NULL;
    WB_TRY (wb_agree (world, wb_arena_new (&arena, "bandwidth", FLOATS * sizeof (float))));
    float *buf = wb_arena_floats (arena, FLOATS);
    wb_comm_barrier (world);
    *out = wb_kern_bandwidth (buf, FLOATS, b->nthreads, 0.3);
    wb_arena_destroy (arena);
    wb_comm_sum_f64 (world, out, 1);
    return WB_OK;
}

/* after - before of all ranks, for a step of one of them. */
static void profile_mean (wb_profile_t *out, const wb_profile_t *after, const wb_profile_t *before, double steps,
                          wb_comm_t *world) {
    double x[WB_PROFS * 4];
    for (int i = 0; i < WB_PROFS; i++) {
        x[4 * i] = after->of[i].calls - before->of[i].calls;
        x[4 * i + 1] = after->of[i].seconds - before->of[i].seconds;
        x[4 * i + 2] = after->of[i].flop - before->of[i].flop;
        x[4 * i + 3] = after->of[i].bytes - before->of[i].bytes;
    }
    wb_comm_sum_f64 (world, x, WB_PROFS * 4);
    const double a = 1 / (steps * wb_comm_size (world));
    for (int i = 0; i < WB_PROFS; i++)
        out->of[i] = (wb_tally_t){a * x[4 * i], a * x[4 * i + 1], a * x[4 * i + 2], a * x[4 * i + 3]};
}

/* Every rank's own seconds of a step, mean over steps, compared; and their mean over ranks. */
static void compare_ranks (struct result *r, const wb_bench_t *b, wb_step_result_t *sum, wb_comm_t *world) {
    double *const fields[] = {&sum->t_data,    &sum->t_forward, &sum->t_backward, &sum->t_wait,
                              &sum->t_need,    &sum->t_sync,    &sum->t_update,   &sum->t_transfer,
                              &sum->t_exposed, &sum->t_tensor,  &sum->t_total};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) *fields[i] /= (double) b->steps;
    wb_rank_times (&r->times, r->room, world, sum);
    for (int i = 0; i < PHASES; i++) r->phase[i] = *fields[i];
    wb_comm_sum_f64 (world, r->phase, PHASES);
    for (int i = 0; i < PHASES; i++) r->phase[i] /= b->ranks;
}

static void add_step (wb_step_result_t *sum, const wb_step_result_t *step) {
    sum->t_data += step->t_data, sum->t_forward += step->t_forward, sum->t_backward += step->t_backward;
    sum->t_wait += step->t_wait, sum->t_need += step->t_need, sum->t_tensor += step->t_tensor;
    sum->t_sync += step->t_sync, sum->t_update += step->t_update, sum->t_total += step->t_total;
    sum->t_transfer += step->t_transfer, sum->t_exposed += step->t_exposed;
}

static wb_status measure (struct result *r, const wb_bench_t *b, wb_trainer_t *t, wb_comm_t *world) {
    wb_step_options_t o = b->o;
    wb_step_result_t step, sum = {0};
    wb_profile_t before = {0};
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
            before = *wb_trainer_profile (t);
            continue;
        }
        wb_log_progress ("step %lld of %lld: %.3f s", (long long) i + 1, (long long) b->steps, seconds);
        r->seconds[i] = seconds;
        r->mean += seconds / (double) b->steps;
        add_step (&sum, &step);
    }
    wb_log_progress ("%s", "");
    profile_mean (&r->profile, wb_trainer_profile (t), &before, (double) b->steps, world);
    compare_ranks (r, b, &sum, world);
    r->fma = fmax (r->fma, peak_of_all (b, world));
    r->loss = step.loss;
    r->params = t->params->total;
    r->rss = (double) wb_mem_rss_peak ();
    wb_comm_max_f64 (world, &r->rss, 1);
    wb_memory_t plan = {0};
    WB_TRY (wb_agree (world, wb_trainer_memory (&plan, &o, &t->layout)));
    r->planned = (double) plan.total;
    wb_comm_max_f64 (world, &r->planned, 1);
    const double tokens = (double) b->o.global_batch * (double) b->o.T;
    for (int64_t i = 0; i < b->steps; i++) r->tokens_per_s[i] = tokens / r->seconds[i];
    return WB_OK;
}

/* A kernel is measured against the limit that holds it: multiply-adds where it has any, else memory.  Rates and limits
 * are those of one rank, so that work which only some ranks do is judged alike. */
static double rate_of (const wb_tally_t *t) { return 1e-9 * (t->flop > 0 ? t->flop : t->bytes) / t->seconds; }
static double limit_of (const struct result *r, const wb_bench_t *b, const wb_tally_t *t) {
    return (t->flop > 0 ? r->fma : r->bandwidth) / b->ranks;
}

static json_t *profile_json (const struct result *r, const wb_bench_t *b) {
    json_t *list = json_array ();
    for (int i = 0; i < WB_PROFS; i++) {
        const wb_tally_t *t = &r->profile.of[i];
        if (t->seconds <= 0) continue;
        json_t *row = json_pack ("{s:s s:s s:f s:f s:f s:f s:f}", "kernel", wb_prof_name ((wb_prof) i), "phase",
                                 wb_phase_name (wb_prof_phase ((wb_prof) i)), "calls", t->calls, "seconds", t->seconds,
                                 "share", t->seconds / r->mean, "flop", t->flop, "bytes", t->bytes);
        if (t->flop + t->bytes > 0) json_object_set_new (row, "of_limit", json_real (rate_of (t) / limit_of (r, b, t)));
        json_array_append_new (list, row);
    }
    return list;
}

static void print_profile (const struct result *r, const wb_bench_t *b) {
    double rest = r->mean;
    printf ("\n%-17s%-15s%8s%10s%8s%12s%10s%10s\n", "kernel", "phase", "calls", "seconds", "share", "GFLOP/s", "GB/s",
            "of limit");
    for (int i = 0; i < WB_PROFS; i++) {
        const wb_tally_t *t = &r->profile.of[i];
        if (t->seconds <= 0) continue;
        rest -= t->seconds;
        printf ("%-17s%-15s%8.0f%10.4f%7.1f%%", wb_prof_name ((wb_prof) i), wb_phase_name (wb_prof_phase ((wb_prof) i)),
                t->calls, t->seconds, 100 * t->seconds / r->mean);
        if (t->flop > 0)
            printf ("%12.1f%10s%9.1f%%", rate_of (t), "", 100 * rate_of (t) / limit_of (r, b, t));
        else if (t->bytes > 0)
            printf ("%12s%10.1f%9.1f%%", "", rate_of (t), 100 * rate_of (t) / limit_of (r, b, t));
        putchar ('\n');
    }
    printf ("%-32s%8s%10.4f%7.1f%%\n", "rest", "", rest, 100 * rest / r->mean);
    printf ("limits of a rank: %.1f GFLOP/s, %.1f GB/s (y += a x over 256 MiB)\n", r->fma / b->ranks,
            r->bandwidth / b->ranks);
}

/* Share of the gradients' way, from the first bucket's start to the last one's end, that the backward pass hides. */
static double hidden (const struct result *r) {
    return r->phase[TRANSFER] > 0 ? 1 - r->phase[EXPOSED] / r->phase[TRANSFER] : 0;
}

/* The names of metrics.jsonl. */
static json_t *ranks_json (const wb_rank_times_t *t) {
    char slowest[96];
    snprintf (slowest, sizeof slowest, "%d@%s", t->slowest, t->host);
    return json_pack ("{s:[f f f] s:[f f f] s:f s:f s:s}", "compute", t->compute[0], t->compute[1], t->compute[2],
                      "waiting", t->waiting[0], t->waiting[1], t->waiting[2], "exposed", t->exposed, "hidden",
                      t->hidden, "slowest", slowest);
}

static void print_ranks (const wb_rank_times_t *t) {
    printf ("%-16s%9s%9s%9s\n", "over the ranks", "least", "median", "most");
    printf ("  %-14s%9.4f%9.4f%9.4f   slowest: rank %d on %s\n", "compute", t->compute[0], t->compute[1], t->compute[2],
            t->slowest, t->host);
    printf ("  %-14s%9.4f%9.4f%9.4f\n", "waiting", t->waiting[0], t->waiting[1], t->waiting[2]);
    printf ("  %-14s%9.4f           (communication that nothing hides)\n", "exposed", t->exposed);
}

static wb_status report_step (struct result *r, const wb_bench_t *b) {
    const wb_size_t *s = &b->o.size;
    json_t *steps = json_array (), *phases = json_object ();
    for (int64_t i = 0; i < b->steps; i++) json_array_append_new (steps, json_real (r->seconds[i]));
    for (int i = 0; i < PHASES; i++) json_object_set_new (phases, phase_names[i], json_real (r->phase[i]));
    for (int i = 0; i < WB_PHASES; i++)
        if (i != WB_PHASE_UPDATE) /* above: with the exchange of weights */
            json_object_set_new (phases, wb_phase_name ((wb_phase) i),
                                 json_real (wb_profile_seconds (&r->profile, (wb_phase) i)));
    json_object_set_new (phases, "hidden", json_real (hidden (r)));
    const double rate = wb_bench_median (r->tokens_per_s, b->steps), least = r->tokens_per_s[0],
                 most = r->tokens_per_s[b->steps - 1];
    const double gflops = rate * wb_size_flops (s, b->o.T) * 1e-9, mfu = gflops / r->fma;
    const char *isa = wb_isa_name (wb_cpu_isa ());
    if (b->json)
        return wb_bench_print_json (json_pack (
            "{s:s s:s s:I s:I s:I s:I s:I s:i s:i s:I s:I s:f s:f s:f s:f s:f s:f s:f s:f s:I s:I s:s s:s s:s s:s? s:s "
            "s:s "
            "s:s s:o s:o s:o s:o}",
            "bench", "step", "preset", b->preset, "params", (json_int_t) r->params, "vocab", (json_int_t) s->V, "batch",
            (json_int_t) b->o.global_batch, "micro_batch", (json_int_t) b->o.B, "context", (json_int_t) b->o.T,
            "threads", b->nthreads, "ranks", b->ranks, "pipeline", (json_int_t) b->pipeline, "tensor",
            (json_int_t) b->tensor, "tokens_per_s", rate, "tokens_per_s_min", least, "tokens_per_s_max", most, "gflops",
            gflops, "fma_peak_gflops", r->fma, "mfu", mfu, "bandwidth_gbs", r->bandwidth, "loss", r->loss,
            "peak_rss_bytes", (json_int_t) r->rss, "planned_bytes", (json_int_t) r->planned, "blas", b->blas.config,
            "gemm", wb_gemm_library_name (wb_gemm_library_get ()), "blas_core", b->blas.core, "retuned_from",
            wb_retuned_from (), "blas_threading", b->blas.threading, "isa", isa, "cpu", wb_cpu_name (), "phases",
            phases, "over_ranks", ranks_json (&r->times), "profile", profile_json (r, b), "steps", steps));
    json_decref (steps);
    json_decref (phases);

    char count[32], bytes[32], planned[32];
    printf ("model       %s: %s parameters, %lld layers x %lld x %lld heads, context %lld, vocabulary %lld\n",
            b->preset, wb_format_count (count, r->params), (long long) s->L, (long long) s->C, (long long) s->H,
            (long long) s->T, (long long) s->V);
    printf ("layout      %d ranks x %d threads: pipeline %lld, tensor %lld\n", b->ranks, b->nthreads,
            (long long) b->pipeline, (long long) b->tensor);
    printf ("batch       %lld sequences, %lld at once\n", (long long) b->o.global_batch, (long long) b->o.B);
    printf ("processor   %s, kernels %s; products by %s; BLAS %s (%s)%s\n", wb_cpu_name (), isa,
            wb_gemm_library_name (wb_gemm_library_get ()), b->blas.core, b->blas.threading, wb_retuned_note ());
    printf ("memory      %s, the largest rank; %s planned\n\n", wb_format_bytes (bytes, r->rss),
            wb_format_bytes (planned, r->planned));
    printf ("tokens/s    %10.1f   (median of %lld steps; %.1f to %.1f)\n", rate, (long long) b->steps, least, most);
    printf ("GFLOP/s     %10.1f\n", gflops);
    printf ("peak        %10.1f   (multiply-adds of all ranks, measured)\n", r->fma);
    printf ("MFU         %9.1f%%\n\n", 100 * mfu);
    printf ("seconds a step, mean of the ranks\n");
    for (int i = 0; i < PHASES; i++) printf ("  %-14s%9.4f\n", phase_names[i], r->phase[i]);
    printf ("by what was done\n");
    for (int i = 0; i < WB_PHASES; i++) {
        const double seconds = wb_profile_seconds (&r->profile, (wb_phase) i);
        printf ("  %-14s%9.4f%8.1f%%\n", wb_phase_name ((wb_phase) i), seconds, 100 * seconds / r->mean);
    }
    if (b->ranks > 1) print_ranks (&r->times);
    if (r->phase[TRANSFER] > 0)
        printf ("gradients: %.1f%% of their way within the backward pass (1 - exposed / transfer)\n", 100 * hidden (r));
    if (b->profile) print_profile (r, b);
    if (b->pipeline > 1) {
        double P = (double) b->pipeline, M = wb_step_micro_batches (&b->o, b->ranks / (int) (b->pipeline * b->tensor));
        printf ("\nidle in the pipeline: %.1f%% of forward and backward; (P - 1) / (v M + P - 1) = %.1f%%\n",
                100 * r->phase[WAIT] / (r->phase[FORWARD] + r->phase[BACKWARD]),
                100 * (P - 1) / (b->o.chunks * M + P - 1));
    }
    return WB_OK;
}

/* Everything between the start and the end of the world.  The status is the same on every rank. */
static wb_status bench_step (wb_bench_t *b, wb_comm_t *world) {
    wb_topo_t *topo;
    wb_trainer_t *t = NULL;
    struct result r = {.seconds = wb_calloc ((size_t) b->steps, sizeof (double)),
                       .tokens_per_s = wb_calloc ((size_t) b->steps, sizeof (double)),
                       .room = wb_calloc ((size_t) wb_comm_size (world), sizeof *r.room)};
    bool all = r.seconds != NULL && r.tokens_per_s != NULL && r.room != NULL;
    wb_status status = all ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory");
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_comm_threads (&b->nthreads, world, b->threads);
    wb_kern_threads_set (b->nthreads);
    if (status == WB_OK) status = wb_topo_new (&topo, world, 0, wb_int (b->pipeline), wb_int (b->tensor));
    if (status == WB_OK) {
        status = wb_bench_settle (b, topo);
        if (status == WB_OK) status = wb_trainer_new (&t, topo, &b->o);
        if (status == WB_OK) status = measure (&r, b, t, world);
        wb_trainer_destroy (t);
        if (status == WB_OK) status = bandwidth_of_all (&r.bandwidth, b, world);
        if (status == WB_OK && wb_comm_rank (world) == 0) status = report_step (&r, b);
        status = wb_agree (world, status);
        wb_topo_destroy (topo);
    }
    wb_free (r.seconds);
    wb_free (r.tokens_per_s);
    wb_free (r.room);
    return status;
}

wb_status wb_bench_step (int argc, char **argv) {
    wb_bench_t b;
    wb_comm_t *world;
    WB_TRY (wb_bench_parse (&b, argc, argv));
    WB_TRY (wb_world_new (&world));
    wb_status status = bench_step (&b, world);
    wb_world_destroy (world);
    return status;
}
