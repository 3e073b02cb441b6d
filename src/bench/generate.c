/* wabun bench generate: how fast a model writes, against what memory and multiply-adds allow.
 *
 * Weights are random: the time does not depend on them.  A token needs every weight and, of its own text, every key and
 * value once; a batch reads the weights once for all its texts.  So the bound of a step is the larger of two times:
 * these bytes at the speed at which the same threads read the very memory the weights lie in, and the arithmetic at the
 * peak of multiply-adds.  How fast memory is changes with what neighbours on the same machine do, from one second to
 * the next: so the weights are read once after every step, and the median of these counts, as that of the steps does.
 * The peak is measured before and after each batch, the better one counts.
 *
 * Not done here: loading models, text. */
#include "config.h"

#include <math.h>

#include "bench/bench_priv.h"
#include "wabun/infer.h"

enum { MAX_BATCHES = 8, MAX_TOKENS = 100000, USUAL_TOKENS = 64 };

typedef struct plan {
    wb_size_t size;
    const char *preset;
    int64_t batch, prompt, tokens, threads;
    wb_weights_type weights;
    bool half_cache, json;
    int nthreads;
} plan_t;

/* One line of the table. */
typedef struct line {
    int64_t batch;
    wb_spread_t seconds;    /* of a step */
    double mean;            /* of the same seconds */
    double sampling;        /* of these, for drawing the ids */
    double bandwidth, peak; /* GB/s, GFLOP/s, as measured beside it; bandwidth of steps only */
    double bytes, flop;     /* of a step */
} line_t;

typedef struct rig {
    const plan_t *p;
    wb_comm_t *world;
    const wb_kern_t *kern;
    wb_arena_t *arena;
    wb_params_t *params;
    float *weights, *logits;
    size_t weight_bytes;
    int32_t *ids; /* prompt, then one for each text */
    wb_draw_t *draws;
    double *times, *sampling, *reading; /* of each step */
    void *work;
} rig_t;

static wb_status parse (void *options, int argc, char **argv) {
    plan_t *p = options;
    wb_bench_size_t size;
    wb_status status;
    wb_bench_size_begin (&size, "small");
    *p = (plan_t){.prompt = -1, .tokens = -1};
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_bench_is_size (&o, &size, &status))
            WB_TRY (status);
        else if (wb_opts_is (&o, "--batch"))
            WB_TRY (wb_opts_int (&o, &p->batch, 1, 4096));
        else if (wb_opts_is (&o, "--prompt"))
            WB_TRY (wb_opts_int (&o, &p->prompt, 1, 1 << 20));
        else if (wb_opts_is (&o, "--tokens"))
            WB_TRY (wb_opts_int (&o, &p->tokens, 1, MAX_TOKENS));
        else if (wb_opts_is (&o, "--weights"))
            WB_TRY (wb_weights_option (&p->weights, &o));
        else if (wb_opts_is (&o, "--cache"))
            WB_TRY (wb_cache_option (&p->half_cache, &o));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &p->threads, 0, 4096));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &p->json));
        else
            return wb_opts_unknown (&o);
    }
    wb_size_t *s = &p->size;
    WB_TRY (wb_bench_size_end (s, &p->preset, &size));
    const int64_t after = p->tokens > 0 ? p->tokens : 1;
    if (p->prompt < 0) p->prompt = s->T / 2 < s->T - after ? s->T / 2 : s->T - after;
    if (p->prompt < 1) p->prompt = 1;
    if (p->tokens < 0) p->tokens = s->T - p->prompt < USUAL_TOKENS ? s->T - p->prompt : USUAL_TOKENS;
    if (p->tokens < 1 || p->prompt + p->tokens > s->T)
        return WB_FAIL (WB_EUSAGE, "--prompt %lld and --tokens %lld do not fit into a context of %lld",
                        (long long) p->prompt, (long long) (p->tokens > 0 ? p->tokens : 1), (long long) s->T);
    return WB_OK;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* Where there are no such instructions: that of fp32. */
static double bf16_peak (int threads, double seconds) {
    const double peak = wb_kern_bf16_peak (threads, seconds);
    return peak > 0 ? peak : wb_kern_fma_peak (threads, seconds);
}
static double int8_peak (int threads, double seconds) {
    const double peak = wb_kern_int8_peak (threads, seconds);
    return peak > 0 ? peak : wb_kern_fma_peak (threads, seconds);
}

/* What limits the arithmetic of products, and bytes of a number of a matrix, by type of the weights. */
static double (*const peak_of[]) (int threads, double seconds) = {wb_kern_fma_peak, bf16_peak, int8_peak};
static const double bytes_of_number[] = {4, 2, 1 + 2.0 / WB_INT8_BLOCK};

static double linears (const wb_size_t *s) { return 12.0 * (double) (s->L * s->C * s->C); }
static double tied (const wb_size_t *s) { return (double) (s->V * s->C); }

/* Steps of `batch` texts after a common prompt; the first two are not counted. */
static void measure_steps (rig_t *r, wb_infer_t *inf, line_t *l, int64_t batch) {
    const plan_t *p = r->p;
    const wb_size_t *s = &p->size;
    const wb_sampling_t how = {.temperature = 1.0, .top_k = 40, .seed = 1};
    enum { FIRST = 2 };
    int32_t *next = r->ids + p->prompt;
    int seqs[4096];
    int64_t ones[4096], steps = p->tokens;
    *l = (line_t){.batch = batch};
    wb_bench_peak (&l->peak, r->world, peak_of[p->weights], p->nthreads, 0.1);
    for (int b = 0; b < batch; b++) {
        if (b > 0) wb_infer_copy (inf, b, 0);
        wb_infer_own (inf, b); /* texts have keys and values of their own, which come from memory one by one */
        seqs[b] = b, ones[b] = 1, next[b] = (int32_t) (b % s->V);
    }
    for (int64_t i = -FIRST; i < steps; i++) {
        if (i <= 0)
            for (int b = 0; b < batch; b++) wb_infer_rewind (inf, b, p->prompt);
        const double start = wb_now ();
        wb_infer_push (inf, NULL, r->logits, next, seqs, ones, (int) batch);
        const double pushed = wb_now ();
        for (int b = 0; b < batch; b++)
            r->draws[b] = (wb_draw_t){.how = &how,
                                      .logits = r->logits + b * s->V,
                                      .forbid = -1,
                                      .stream = (uint64_t) b,
                                      .index = (uint64_t) i};
        wb_sample_ids (r->draws, (int) batch, s->V, r->work);
        for (int b = 0; b < batch; b++) next[b] = r->draws[b].id < 0 ? 0 : r->draws[b].id;
        const double end = wb_now (), read = wb_kern_read_bandwidth (
                                          r->weights, (int64_t) (r->weight_bytes / sizeof (float)), p->nthreads, 0.0);
        if (i < 0) continue;
        r->times[i] = end - start;
        r->sampling[i] = end - pushed;
        r->reading[i] = read;
    }
    l->mean = 0;
    for (int64_t i = 0; i < steps; i++) l->mean += r->times[i] / (double) steps;
    l->seconds = wb_bench_spread (r->times, steps);
    l->sampling = wb_bench_median (r->sampling, steps);
    l->bandwidth = wb_bench_median (r->reading, steps);
    const double positions = (double) p->prompt + 0.5 * (double) (steps + 1), texts = (double) batch;
    const double cached = 2.0 * (double) (s->L * s->C) * positions; /* keys and values of a text */
    l->bytes = (linears (s) + tied (s)) * bytes_of_number[p->weights] + texts * cached * (p->half_cache ? 2 : 4);
    l->flop = 2.0 * texts * (linears (s) + tied (s) + cached);
    wb_bench_peak (&l->peak, r->world, peak_of[p->weights], p->nthreads, 0.1);
}

/* The prompt of one text, from nothing to the logits of what follows. */
static void measure_prompt (rig_t *r, wb_infer_t *inf, line_t *l) {
    enum { TIMES = 5 };
    const plan_t *p = r->p;
    const wb_size_t *s = &p->size;
    const int64_t n = p->prompt;
    const int seq = 0;
    double x[TIMES];
    *l = (line_t){.batch = n};
    wb_bench_peak (&l->peak, r->world, peak_of[p->weights], p->nthreads, 0.1);
    for (int i = -1; i < TIMES; i++) {
        wb_infer_rewind (inf, 0, 0);
        const double start = wb_now ();
        wb_infer_push (inf, NULL, r->logits, r->ids, &seq, &n, 1);
        if (i >= 0) x[i] = wb_now () - start;
    }
    l->seconds = wb_bench_spread (x, TIMES);
    l->flop = 2.0 * (double) n * (linears (s) + (double) (s->L * s->C * (n + 1))) + 2.0 * tied (s);
    wb_bench_peak (&l->peak, r->world, peak_of[p->weights], p->nthreads, 0.1);
}

/* The seconds that memory and arithmetic need at least. */
static double by_memory (const line_t *l) { return l->bytes / l->bandwidth * 1e-9; }
static double by_arithmetic (const line_t *l) { return l->flop / l->peak * 1e-9; }

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static double bound (const line_t *l) { return fmax (by_memory (l), by_arithmetic (l)); }
static double rate (const line_t *l) { return (double) l->batch / l->seconds.median; }

static json_t *json_of (const line_t *l, bool step) {
    const double seconds = l->seconds.median;
    json_t *o = json_object ();
    wb_bench_put_count (&o, step ? "batch" : "tokens", l->batch);
    wb_bench_put_number (&o, "tokens_per_s", rate (l));
    wb_bench_put_spread (&o, "ms", (wb_spread_t){1e3 * seconds, 1e3 * l->seconds.min, 1e3 * l->seconds.max});
    wb_bench_put_number (&o, "fma_peak_gflops", l->peak);
    wb_bench_put_number (&o, "flop", l->flop);
    wb_bench_put_number (&o, "of_peak", by_arithmetic (l) / seconds);
    if (!step) return o;
    wb_bench_put_number (&o, "tokens_per_s_mean", (double) l->batch / l->mean);
    wb_bench_put_number (&o, "ms_sampling", 1e3 * l->sampling);
    wb_bench_put_number (&o, "read_gbps", l->bandwidth);
    wb_bench_put_number (&o, "bytes", l->bytes);
    wb_bench_put_number (&o, "of_bandwidth", by_memory (l) / seconds);
    wb_bench_put_number (&o, "of_bound", bound (l) / seconds);
    return o;
}

static wb_status report_json (const plan_t *p, const line_t *prompt, const line_t *lines, int n, int64_t params) {
    wb_blas_info_t blas;
    json_t *list = json_array (), *o = json_object ();
    wb_blas_info (&blas);
    for (int i = 0; i < n; i++) wb_bench_append (&list, json_of (&lines[i], true));
    wb_bench_put_text (&o, "bench", "generate");
    wb_bench_put_text (&o, "preset", p->preset);
    wb_bench_put_count (&o, "params", params);
    wb_bench_put_count (&o, "vocab", p->size.V);
    wb_bench_put_text (&o, "weights", wb_weights_names[p->weights]);
    wb_bench_put_text (&o, "cache", p->half_cache ? "bf16" : "fp32");
    wb_bench_put_count (&o, "prompt", p->prompt);
    wb_bench_put_count (&o, "tokens", p->tokens);
    wb_bench_put_count (&o, "threads", p->nthreads);
    wb_bench_put_text (&o, "isa", wb_isa_name (wb_cpu_isa ()));
    wb_bench_put_text (&o, "blas_core", blas.core);
    wb_bench_put_text (&o, "retuned_from", wb_retuned_from ());
    wb_bench_put_text (&o, "cpu", wb_cpu_name ());
    wb_bench_put_number (&o, "tokens_per_s", rate (&lines[0]));
    wb_bench_put_number (&o, "of_bound", bound (&lines[0]) / lines[0].seconds.median);
    wb_bench_put (&o, "prompt_processing", json_of (prompt, false));
    wb_bench_put (&o, "batches", list);
    return wb_bench_print_json (o);
}

static void print_table (const plan_t *p, const line_t *prompt, const line_t *lines, int n, int64_t params) {
    wb_blas_info_t blas;
    wb_blas_info (&blas);
    wb_bench_print_model (&p->size, p->preset, params);
    printf ("processor   %s, kernels %s; BLAS %s (%s)%s; %d thread%s\n\n", wb_cpu_name (), wb_isa_name (wb_cpu_isa ()),
            blas.core, blas.threading, wb_retuned_note (), p->nthreads, wb_plural (p->nthreads));
    printf ("prompt      %lld tokens in %.1f ms (%.1f to %.1f): %.0f tokens/s, %.1f%% of the peak of %.1f GFLOP/s\n\n",
            (long long) prompt->batch, 1e3 * prompt->seconds.median, 1e3 * prompt->seconds.min,
            1e3 * prompt->seconds.max, rate (prompt), 100 * by_arithmetic (prompt) / prompt->seconds.median,
            prompt->peak);
    printf (
        "weights in %s, keys and values in %s; a step of one token for each text, after %lld; median of %lld, spread\n",
        wb_weights_names[p->weights], p->half_cache ? "bf16" : "fp32", (long long) p->prompt, (long long) p->tokens);
    printf ("%6s%10s%9s%9s%9s%10s%10s%9s%9s%9s\n", "batch", "tokens/s", "ms", "min", "max", "sampling", "read GB/s",
            "of it", "of peak", "of bound");
    for (int i = 0; i < n; i++) {
        const line_t *l = &lines[i];
        const double seconds = l->seconds.median;
        printf ("%6lld%10.1f%9.2f%9.2f%9.2f%10.3f%10.1f%8.1f%%%8.1f%%%8.1f%%\n", (long long) l->batch, rate (l),
                1e3 * seconds, 1e3 * l->seconds.min, 1e3 * l->seconds.max, 1e3 * l->sampling, l->bandwidth,
                100 * by_memory (l) / seconds, 100 * by_arithmetic (l) / seconds, 100 * bound (l) / seconds);
    }
}

/* ---- the bench --------------------------------------------------------------------------------------------------- */

static wb_status round_weights (rig_t *r) {
    const wb_weights_type type = r->p->weights;
    wb_arena_t *arena;
    WB_TRY (wb_arena_new (&arena, "weights", wb_weights_place (NULL, r->params, type)));
    size_t *at = wb_calloc ((size_t) r->params->n, sizeof *at), bytes = wb_weights_place (at, r->params, type);
    float *to = wb_arena_alloc (arena, bytes);
    for (int i = 0; at != NULL && i < r->params->n; i++)
        wb_weights_round ((char *) to + at[i], &r->params->list[i], type, r->weights + r->params->list[i].offset);
    wb_arena_destroy (r->arena);
    r->arena = arena;
    r->weights = to;
    const wb_status status = at != NULL ? WB_OK : WB_NOMEM ("weights");
    wb_free (at);
    return status;
}

static wb_status rig_make (rig_t *r, int64_t max_batch) {
    const plan_t *p = r->p;
    const wb_size_t *s = &p->size;
    wb_layout_t lo;
    WB_TRY (wb_layout_init (&lo, 1, 1, 1, 1, s->L, s->H, 0, 0));
    wb_layout_place (&lo, 0);
    WB_TRY (wb_params_new (&r->params, s, &lo));
    WB_TRY (wb_arena_new (&r->arena, "weights", wb_align ((size_t) r->params->own * sizeof (float))));
    r->weights = wb_arena_floats (r->arena, r->params->own);
    wb_params_init (r->params, r->weights, 1);
    if (p->weights != WB_WEIGHTS_FP32) WB_TRY (round_weights (r));
    r->weight_bytes = wb_weights_place (NULL, r->params, p->weights);
    r->kern = wb_kern_get (wb_cpu_isa ());
    r->logits = wb_malloc ((size_t) (max_batch * s->V) * sizeof (float));
    r->ids = wb_malloc ((size_t) (p->prompt + max_batch) * sizeof *r->ids);
    r->times = wb_malloc ((size_t) p->tokens * sizeof (double));
    r->sampling = wb_malloc ((size_t) p->tokens * sizeof (double));
    r->reading = wb_malloc ((size_t) p->tokens * sizeof (double));
    r->draws = wb_malloc ((size_t) max_batch * sizeof *r->draws);
    r->work = wb_malloc ((size_t) max_batch * wb_sample_work_bytes (s->V));
    if (r->logits == NULL || r->ids == NULL || r->times == NULL || r->sampling == NULL || r->reading == NULL ||
        r->draws == NULL || r->work == NULL)
        return WB_NOMEM ("the logits of %lld texts", (long long) max_batch);
    for (int64_t i = 0; i < p->prompt; i++)
        r->ids[i] = (int32_t) (wb_rng_u64 (1, wb_rng_stream ("bench"), (uint64_t) i) % (uint64_t) s->V);
    return WB_OK;
}

static void rig_fini (rig_t *r) {
    wb_free (r->work);
    wb_free (r->draws);
    wb_free (r->reading);
    wb_free (r->sampling);
    wb_free (r->times);
    wb_free (r->ids);
    wb_free (r->logits);
    wb_arena_destroy (r->arena);
    wb_params_destroy (r->params);
}

static wb_status run (void *options, wb_comm_t *world) {
    plan_t *p = options;
    static const int64_t usual[] = {1, 2, 4, 8, 16, 32};
    const int n = p->batch > 0 ? 1 : (int) (sizeof usual / sizeof *usual);
    const int64_t *batches = p->batch > 0 ? &p->batch : usual, max_batch = batches[n - 1];
    wb_size_t short_of = p->size; /* no more positions in the cache than are used */
    short_of.T = p->prompt + p->tokens;
    rig_t r = {.p = p, .world = world};
    wb_infer_t *inf = NULL;
    line_t prompt, lines[MAX_BATCHES];
    WB_TRY (wb_bench_threads (&p->nthreads, world, p->threads));
    wb_slow_warn ();
    wb_status status = rig_make (&r, max_batch);
    if (status == WB_OK)
        status = wb_infer_new (&inf, &short_of, r.params, r.weights,
                               (wb_infer_form_t){p->weights != WB_WEIGHTS_FP32, p->weights, p->half_cache}, r.kern,
                               (int) max_batch, 0, p->prompt > max_batch ? p->prompt : max_batch);
    if (status == WB_OK) {
        measure_prompt (&r, inf, &prompt);
        for (int i = 0; i < n; i++) {
            wb_log_progress ("batch %lld", (long long) batches[i]);
            measure_steps (&r, inf, &lines[i], batches[i]);
        }
        wb_log_progress ("%s", "");
        if (p->json)
            status = report_json (p, &prompt, lines, n, r.params->total);
        else
            print_table (p, &prompt, lines, n, r.params->total);
    }
    wb_infer_destroy (inf);
    rig_fini (&r);
    return status;
}

const wb_bench_row_t wb_bench_generate = {
    .name = "generate",
    .line = "writing, with random weights: tokens a second, share of the memory's bandwidth",
    .alone = true,
    .bytes = sizeof (plan_t),
    .parse = parse,
    .run = run,
};
