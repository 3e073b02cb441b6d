/* Sampling: from logits to an id.
 *
 * An id is a pure function of (logits, seed, text, place): no generator has a state, so the same seed gives the same
 * texts however they are put into batches.
 *
 * A way of choosing (top-k, top-p, min-p) narrows the pool of candidates to its most likely ones; another way is one
 * function, a row in `ways`, and a field of wb_sampling_t.  Candidates come out of a heap, most likely first, which
 * costs O(V) for the heap and log V for each id that is looked at (of the k ids only, with top-k).  A pool that no way
 * has narrowed is drawn from in the order of ids.
 *
 * Not here: texts (generate.c), penalties for ids that were used before. */
#include "config.h"

#include <math.h>

#include "wabun/infer.h"

/* ---- candidates -------------------------------------------------------------------------------------------------- */

typedef struct candidate {
    float logit;
    int32_t id;
} candidate_t;

static inline bool before (candidate_t a, candidate_t b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Place i of a heap whose top is the most likely, or with `min_top` the least likely. */
static inline void sift (candidate_t *heap, int64_t n, int64_t i, bool min_top) {
    const candidate_t c = heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before (heap[child + 1], heap[child]) != min_top) child++;
        if (before (heap[child], c) == min_top) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = c;
}

/* Move the most likely of the heap's n to its end, place n - 1. */
static void pop (candidate_t *heap, int64_t n) {
    const candidate_t top = heap[0];
    heap[0] = heap[n - 1];
    sift (heap, n - 1, 0, false);
    heap[n - 1] = top;
}

/* Move the k < n most likely of n to the front, in no order. */
static void narrow (candidate_t *c, int64_t n, int64_t k) {
    for (int64_t i = k / 2; i-- > 0;) sift (c, k, i, true);
    for (int64_t i = k; i < n; i++)
        if (before (c[i], c[0])) {
            c[0] = c[i];
            sift (c, k, 0, true);
        }
}

/* Candidates of one draw.  The `popped` most likely are sorted at the end of c [n]: nth () finds them. */
typedef struct pool {
    candidate_t *c;
    int64_t n, popped;
    int64_t kept; /* how many of the most likely may be drawn */
    bool heap;    /* c [n - popped] is a heap */
    float best;   /* logit of the most likely */
    double temperature;
} pool_t;

/* Ids that can be drawn.  False: a logit is NaN or +infinity. */
static bool collect (pool_t *q, const float *logits, int64_t V, int32_t forbid) {
    for (int64_t i = 0; i < V; i++) {
        if (isnan (logits[i]) || logits[i] == INFINITY) return false;
        if (i != forbid && logits[i] != -INFINITY) q->c[q->n++] = (candidate_t){logits[i], (int32_t) i};
    }
    q->kept = q->n;
    return true;
}

/* Odds of a candidate against the most likely one. */
static double odds (const pool_t *q, candidate_t c) {
    return exp (((double) c.logit - (double) q->best) / q->temperature);
}

static void make_heap (pool_t *q) {
    for (int64_t i = q->n / 2; !q->heap && i-- > 0;) sift (q->c, q->n, i, false);
    q->heap = true;
}

/* The i-th most likely, from 0. */
static candidate_t nth (pool_t *q, int64_t i) {
    make_heap (q);
    for (; q->popped <= i; q->popped++) pop (q->c, q->n - q->popped);
    return q->c[q->n - 1 - i];
}

/* Sum of the odds of what is kept. */
static double total (pool_t *q) {
    const int64_t sorted = q->kept < q->n ? q->kept : q->popped;
    double sum = 0.0;
    for (int64_t i = 0; i < sorted; i++) sum += odds (q, nth (q, i));
    for (int64_t i = 0; i < q->kept - sorted; i++) sum += odds (q, q->c[i]);
    return sum;
}

/* ---- ways of choosing -------------------------------------------------------------------------------------------- */

/* The k most likely (Fan et al., arXiv:1805.04833). */
static void keep_top_k (pool_t *q, const wb_sampling_t *s) {
    if (s->top_k <= 0 || s->top_k >= q->kept) return;
    narrow (q->c, q->n, s->top_k);
    q->n = q->kept = s->top_k;
    (void) nth (q, q->n - 1); /* sorts all */
}

/* The fewest of the most likely that make up p (Holtzman et al., arXiv:1904.09751). */
static void keep_top_p (pool_t *q, const wb_sampling_t *s) {
    if (!(s->top_p > 0.0 && s->top_p < 1.0)) return;
    make_heap (q);
    const double enough = s->top_p * total (q);
    double sum = 0.0;
    int64_t kept = 0;
    while (kept < q->kept && (kept == 0 || sum < enough)) sum += odds (q, nth (q, kept++));
    q->kept = kept;
}

/* Those at least so likely, measured by the most likely one (Nguyen et al., arXiv:2407.01082). */
static void keep_min_p (pool_t *q, const wb_sampling_t *s) {
    int64_t kept = 1;
    if (!(s->min_p > 0.0)) return;
    while (kept < q->kept && odds (q, nth (q, kept)) >= s->min_p) kept++;
    q->kept = kept;
}

/* In the order in which they are applied. */
static void (*const ways[]) (pool_t *q, const wb_sampling_t *s) = {keep_top_k, keep_top_p, keep_min_p};

/* ---- one id ---------------------------------------------------------------------------------------------------- */

size_t wb_sample_work_bytes (int64_t V) { return (size_t) V * sizeof (candidate_t); }

int32_t wb_sample_id (const float *logits, int64_t V, const wb_sampling_t *s, int32_t forbid, uint64_t stream,
                      uint64_t index, void *work) {
    pool_t q = {.c = work, .temperature = s->temperature};
    if (!collect (&q, logits, V, forbid) || q.n == 0) return -1;
    candidate_t best = q.c[0];
    for (int64_t i = 1; i < q.n; i++)
        if (before (q.c[i], best)) best = q.c[i];
    if (!(s->temperature > 0.0)) return best.id;

    q.best = best.logit;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) ways[i](&q, s);
    const double at = wb_rng_uniform (s->seed, stream, index) * total (&q);
    const bool by_id = !q.heap;
    double passed = 0.0;
    for (int64_t i = 0; i < q.kept; i++) {
        const candidate_t c = by_id ? q.c[i] : nth (&q, i);
        passed += odds (&q, c);
        if (passed > at) return c.id;
    }
    return best.id; /* rounding only */
}

void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, void *work) {
    const size_t bytes = wb_sample_work_bytes (V);
#pragma omp parallel for schedule(static) if (n > 1)
    for (int i = 0; i < n; i++) {
        wb_draw_t *d = &draws[i];
        d->id = wb_sample_id (d->logits, V, d->how, d->forbid, d->stream, d->index, (char *) work + (size_t) i * bytes);
    }
}
