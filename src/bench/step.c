/* wabun bench step: a training step.
 *
 * Timed from a barrier to the last rank's end, on tokens drawn from the random numbers, so no file is needed.  The
 * limit is the peak of multiply-adds of the same threads on the same ranks at the same time (before and after, the
 * better one counts). */
#include "config.h"

#include <string.h>

#include "bench/bench_priv.h"

enum phase { DATA, FORWARD, BACKWARD, WAIT, NEED, SYNC, UPDATE, TRANSFER, EXPOSED, PHASES };
static const char *const phase_names[PHASES] = {"data", "forward", "backward", "wait",   "need",
                                                "sync", "update",  "transfer", "exposed"};

typedef struct result {
    double *seconds;           /* [steps] of each step, until the last rank is done */
    wb_spread_t rate;          /* tokens a second */
    double phase[PHASES];      /* seconds in a step, mean over steps and ranks */
    wb_profile_t profile;      /* likewise */
    wb_rank_record_t *room;    /* [ranks] */
    wb_rank_times_t times;     /* the ranks compared, mean over steps */
    double mean;               /* seconds in a step */
    double fma, bandwidth;     /* GFLOP/s and GB/s of all ranks together */
    double bf16;               /* GFLOP/s likewise; 0: products are of fp32, or there are no instructions */
    double loss, rss, planned; /* planned: bytes, the maximum over the ranks */
    int64_t params;
} result_t;

/* Memory of all ranks at the same time.  The status is agreed. */
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

/* after - before: the mean over ranks, for one step. */
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
static void compare_ranks (result_t *r, const wb_bench_t *b, wb_step_result_t *sum, wb_comm_t *world) {
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

static void measure_peaks (result_t *r, const wb_bench_t *b, wb_comm_t *world) {
    wb_bench_peak (&r->fma, world, wb_kern_fma_peak, b->nthreads, 0.3);
    if (b->o.precision != WB_PRECISION_FP32) wb_bench_peak (&r->bf16, world, wb_kern_bf16_peak, b->nthreads, 0.3);
}

/* What MFU is a share of: the peak of the products. */
static double peak_of (const result_t *r) { return r->bf16 > 0 ? r->bf16 : r->fma; }

static wb_status measure (result_t *r, const wb_bench_t *b, wb_trainer_t *t, wb_comm_t *world) {
    wb_step_options_t o = b->o;
    wb_step_result_t step, sum = {0};
    wb_profile_t before = {0};
    measure_peaks (r, b, world);
    for (int64_t i = -1; i < b->steps; i++) {
        wb_comm_barrier (world);
        const double start = wb_now ();
        WB_TRY (wb_trainer_step (t, &step, wb_bench_sample, &o, 0));
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
    measure_peaks (r, b, world);
    r->loss = step.loss;
    r->params = t->params->total;
    r->rss = (double) wb_mem_rss_peak ();
    wb_comm_max_f64 (world, &r->rss, 1);
    wb_memory_t plan = {0};
    WB_TRY (wb_agree (world, wb_trainer_memory (&plan, &o, &t->layout)));
    r->planned = (double) plan.total;
    wb_comm_max_f64 (world, &r->planned, 1);
    return WB_OK;
}

/* A kernel is measured against the limit that holds it: multiply-adds where it has any, else memory.  Rates and limits
 * are those of one rank, so that work which only some ranks do is judged alike. */
static double rate_of (const wb_tally_t *t) { return 1e-9 * (t->flop > 0 ? t->flop : t->bytes) / t->seconds; }
static double limit_of (const result_t *r, const wb_bench_t *b, wb_prof which) {
    const bool of_bf16 = which <= WB_PROF_FC2_DW || (which >= WB_PROF_HEAD && which <= WB_PROF_HEAD_DW);
    return (r->profile.of[which].flop <= 0 ? r->bandwidth : of_bf16 ? peak_of (r) : r->fma) / b->ranks;
}

static json_t *profile_json (const result_t *r, const wb_bench_t *b) {
    json_t *list = json_array ();
    for (int i = 0; i < WB_PROFS; i++) {
        const wb_tally_t *t = &r->profile.of[i];
        if (t->seconds <= 0) continue;
        json_t *row = json_object ();
        wb_bench_put_text (&row, "kernel", wb_prof_name ((wb_prof) i));
        wb_bench_put_text (&row, "phase", wb_phase_name (wb_prof_phase ((wb_prof) i)));
        wb_bench_put_number (&row, "calls", t->calls);
        wb_bench_put_number (&row, "seconds", t->seconds);
        wb_bench_put_number (&row, "share", t->seconds / r->mean);
        wb_bench_put_number (&row, "flop", t->flop);
        wb_bench_put_number (&row, "bytes", t->bytes);
        if (t->flop + t->bytes > 0) wb_bench_put_number (&row, "of_limit", rate_of (t) / limit_of (r, b, (wb_prof) i));
        wb_bench_append (&list, row);
    }
    return list;
}

static void print_profile (const result_t *r, const wb_bench_t *b) {
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
            printf ("%12.1f%10s%9.1f%%", rate_of (t), "", 100 * rate_of (t) / limit_of (r, b, (wb_prof) i));
        else if (t->bytes > 0)
            printf ("%12s%10.1f%9.1f%%", "", rate_of (t), 100 * rate_of (t) / limit_of (r, b, (wb_prof) i));
        putchar ('\n');
    }
    printf ("%-32s%8s%10.4f%7.1f%%\n", "rest", "", rest, 100 * rest / r->mean);
    printf ("limits of a rank: %.1f GFLOP/s", r->fma / b->ranks);
    if (r->bf16 > 0) printf (", of bf16 %.1f", r->bf16 / b->ranks);
    printf (", %.1f GB/s (y += a x over 256 MiB)\n", r->bandwidth / b->ranks);
}

/* Share of the gradients' way, from the first bucket's start to the last one's end, that the backward pass hides. */
static double hidden (const result_t *r) {
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
    printf ("%-16s%9s%9s%9s\n", "over the ranks", "min", "median", "max");
    printf ("  %-14s%9.4f%9.4f%9.4f   slowest: rank %d on %s\n", "compute", t->compute[0], t->compute[1], t->compute[2],
            t->slowest, t->host);
    printf ("  %-14s%9.4f%9.4f%9.4f\n", "waiting", t->waiting[0], t->waiting[1], t->waiting[2]);
    printf ("  %-14s%9.4f           (communication that nothing hides)\n", "exposed", t->exposed);
}

static double gflops (const result_t *r, const wb_bench_t *b) {
    return r->rate.median * wb_size_flops (&b->o.size, b->o.T) * 1e-9;
}

static json_t *phases_json (const result_t *r) {
    json_t *phases = json_object ();
    for (int i = 0; i < PHASES; i++) wb_bench_put_number (&phases, phase_names[i], r->phase[i]);
    for (int i = 0; i < WB_PHASES; i++)
        if (i != WB_PHASE_UPDATE) /* above: with the exchange of weights */
            wb_bench_put_number (&phases, wb_phase_name ((wb_phase) i), wb_profile_seconds (&r->profile, (wb_phase) i));
    wb_bench_put_number (&phases, "hidden", hidden (r));
    return phases;
}

static wb_status report_json (const result_t *r, const wb_bench_t *b) {
    json_t *o = json_object (), *steps = json_array ();
    for (int64_t i = 0; i < b->steps; i++) wb_bench_append (&steps, json_real (r->seconds[i]));
    wb_bench_put_text (&o, "bench", "step");
    wb_bench_put_text (&o, "preset", b->preset);
    wb_bench_put_count (&o, "params", r->params);
    wb_bench_put_count (&o, "vocab", b->o.size.V);
    wb_bench_put_count (&o, "batch", b->o.global_batch);
    wb_bench_put_count (&o, "micro_batch", b->o.B);
    wb_bench_put_count (&o, "context", b->o.T);
    wb_bench_put_count (&o, "threads", b->nthreads);
    wb_bench_put_count (&o, "ranks", b->ranks);
    wb_bench_put_count (&o, "pipeline", b->pipeline);
    wb_bench_put_count (&o, "tensor", b->tensor);
    wb_bench_put_spread (&o, "tokens_per_s", r->rate);
    wb_bench_put_number (&o, "gflops", gflops (r, b));
    wb_bench_put_number (&o, "fma_peak_gflops", r->fma);
    if (r->bf16 > 0) wb_bench_put_number (&o, "bf16_peak_gflops", r->bf16);
    wb_bench_put_number (&o, "mfu", gflops (r, b) / peak_of (r));
    wb_bench_put_text (&o, "precision", b->o.precision == WB_PRECISION_FP32 ? "fp32" : "bf16");
    wb_bench_put_text (&o, "bf16_unit", wb_bf16_unit_name (wb_bf16_unit_get ()));
    wb_bench_put_number (&o, "bandwidth_gbs", r->bandwidth);
    wb_bench_put_number (&o, "loss", r->loss);
    wb_bench_put_count (&o, "peak_rss_bytes", (int64_t) r->rss);
    wb_bench_put_count (&o, "planned_bytes", (int64_t) r->planned);
    wb_bench_put_text (&o, "blas", b->blas.config);
    wb_bench_put_text (&o, "gemm", wb_gemm_library_name (wb_gemm_library_get ()));
    wb_bench_put_text (&o, "blas_core", b->blas.core);
    wb_bench_put_text (&o, "retuned_from", wb_retuned_from ());
    wb_bench_put_text (&o, "blas_threading", b->blas.threading);
    wb_bench_put_text (&o, "isa", wb_isa_name (wb_cpu_isa ()));
    wb_bench_put_text (&o, "cpu", wb_cpu_name ());
    wb_bench_put (&o, "phases", phases_json (r));
    wb_bench_put (&o, "over_ranks", ranks_json (&r->times));
    wb_bench_put (&o, "profile", profile_json (r, b));
    wb_bench_put (&o, "steps", steps);
    return wb_bench_print_json (o);
}

/* The idle share of a pipeline, and what it should be for p stages, m micro-batches and v chunks of layers. */
static void print_idle (const result_t *r, const wb_bench_t *b) {
    const double p = (double) b->pipeline, v = b->o.chunks;
    const double m = (double) (b->o.global_batch * b->pipeline * b->tensor / (b->o.B * b->ranks));
    printf ("\nidle in the pipeline: %.1f%% of forward and backward; (p - 1) / (v m + p - 1) = %.1f%%\n",
            100 * r->phase[WAIT] / (r->phase[FORWARD] + r->phase[BACKWARD]), 100 * (p - 1) / (v * m + p - 1));
}

static void print_seconds (const result_t *r) {
    printf ("seconds a step, mean of the ranks\n");
    for (int i = 0; i < PHASES; i++) printf ("  %-14s%9.4f\n", phase_names[i], r->phase[i]);
    printf ("by what was done\n");
    for (int i = 0; i < WB_PHASES; i++) {
        const double seconds = wb_profile_seconds (&r->profile, (wb_phase) i);
        printf ("  %-14s%9.4f%8.1f%%\n", wb_phase_name ((wb_phase) i), seconds, 100 * seconds / r->mean);
    }
}

static void print_table (const result_t *r, const wb_bench_t *b) {
    char bytes[32], planned[32];
    wb_bench_print_model (&b->o.size, b->preset, r->params);
    printf ("layout      %d rank%s x %d thread%s: pipeline %lld, tensor %lld\n", b->ranks, wb_plural (b->ranks),
            b->nthreads, wb_plural (b->nthreads), (long long) b->pipeline, (long long) b->tensor);
    printf ("batch       %lld sequence%s, %lld at once\n", (long long) b->o.global_batch, wb_plural (b->o.global_batch),
            (long long) b->o.B);
    printf ("processor   %s, kernels %s; products by %s; BLAS %s (%s)%s\n", wb_cpu_name (), wb_isa_name (wb_cpu_isa ()),
            wb_gemm_library_name (wb_gemm_library_get ()), b->blas.core, b->blas.threading, wb_retuned_note ());
    if (b->o.precision != WB_PRECISION_FP32)
        printf ("precision   bf16 products with fp32 sums, by %s\n", wb_bf16_unit_name (wb_bf16_unit_get ()));
    printf ("memory      %s, the largest rank; %s planned\n\n", wb_format_bytes (bytes, r->rss),
            wb_format_bytes (planned, r->planned));
    printf ("tokens/s    %10.1f   (median of %lld step%s; %.1f to %.1f)\n", r->rate.median, (long long) b->steps,
            wb_plural (b->steps), r->rate.min, r->rate.max);
    printf ("GFLOP/s     %10.1f   (a rank %.1f: what wabun plan --gflops wants)\n", gflops (r, b),
            gflops (r, b) / b->ranks);
    printf ("peak        %10.1f   (multiply-adds%s of all ranks, measured)\n", peak_of (r),
            r->bf16 > 0 ? " of bf16" : "");
    printf ("MFU         %9.1f%%\n\n", 100 * gflops (r, b) / peak_of (r));
    print_seconds (r);
    if (b->ranks > 1) print_ranks (&r->times);
    if (r->phase[TRANSFER] > 0)
        printf ("gradients: %.1f%% of their way within the backward pass (1 - exposed / transfer)\n", 100 * hidden (r));
    if (b->profile) print_profile (r, b);
    if (b->pipeline > 1) print_idle (r, b);
}

static wb_status report (result_t *r, const wb_bench_t *b) {
    const double tokens = (double) b->o.global_batch * (double) b->o.T;
    double *sorted = wb_malloc ((size_t) b->steps * sizeof *sorted); /* JSON gives them as they were measured */
    if (sorted == NULL) return WB_NOMEM ("%lld steps", (long long) b->steps);
    memcpy (sorted, r->seconds, (size_t) b->steps * sizeof *sorted);
    r->rate = wb_bench_rate (tokens, wb_bench_spread (sorted, b->steps));
    wb_free (sorted);
    if (b->json) return report_json (r, b);
    print_table (r, b);
    return WB_OK;
}

/* ---- the bench --------------------------------------------------------------------------------------------------- */

static wb_status parse (void *options, int argc, char **argv) { return wb_bench_parse (options, argc, argv); }

static wb_status measure_and_report (result_t *r, wb_bench_t *b, const wb_topo_t *topo) {
    wb_comm_t *world = topo->world;
    wb_trainer_t *t = NULL;
    wb_product_t products[WB_PRODUCTS];
    wb_status status = wb_bench_complete (b, topo);
    b->o.measure_products = true;
    if (status == WB_OK) status = wb_trainer_new (&t, topo, &b->o);
    if (status == WB_OK) (void) wb_trainer_choose_products (t, products);
    if (status == WB_OK) status = measure (r, b, t, world);
    wb_trainer_destroy (t);
    if (status == WB_OK) status = bandwidth_of_all (&r->bandwidth, b, world);
    if (status == WB_OK && wb_comm_rank (world) == 0) status = report (r, b);
    return wb_agree (world, status);
}

static wb_status run (void *options, wb_comm_t *world) {
    wb_bench_t *b = options;
    wb_topo_t *topo;
    result_t r = {.seconds = wb_calloc ((size_t) b->steps, sizeof *r.seconds),
                  .room = wb_calloc ((size_t) wb_comm_size (world), sizeof *r.room)};
    wb_status status = r.seconds != NULL && r.room != NULL ? WB_OK : WB_NOMEM ("the times of steps");
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_bench_threads (&b->nthreads, world, b->threads);
    if (status == WB_OK) status = wb_topo_new (&topo, world, 0, wb_int (b->pipeline), wb_int (b->tensor));
    if (status == WB_OK) {
        status = measure_and_report (&r, b, topo);
        wb_topo_destroy (topo);
    }
    wb_free (r.seconds);
    wb_free (r.room);
    return status;
}

const wb_bench_row_t wb_bench_step = {
    .name = "step",
    .line = "training steps on random tokens, under mpirun on all ranks: tokens a second and MFU",
    .bytes = sizeof (wb_bench_t),
    .parse = parse,
    .run = run,
};
