/* Sampling: from logits to an id.
 *
 * An id is a pure function of (logits, history, seed, text, place): no generator has a state, so the same seed gives
 * the same texts however they are put into batches.
 *
 * A way of choosing (top-k, top-p, ...) narrows the pool of candidates; another way is one function, a row in `ways`,
 * and a field of wb_sampling_t.  Candidates come out of a heap, most likely first, which costs O(V) for the heap and
 * log V for each id that is looked at (of the k ids only, with top-k).  A pool that no way has narrowed is drawn from
 * in the order of ids.
 *
 * Not here: what changes logits first (adjust.c), texts (generate.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"

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
    float *z; /* [V] work: logits that were adjusted, and other keys */
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

/* ---- ways of choosing (their sources: wb_sampling_t) ------------------------------------------------------------- */

static void keep_top_k (pool_t *q, const wb_sampling_t *s) {
    if (s->top_k <= 0 || s->top_k >= q->kept) return;
    narrow (q->c, q->n, s->top_k);
    q->n = q->kept = s->top_k;
    (void) nth (q, q->n - 1); /* sorts all */
}

/* A typical id is as surprising as the distribution is on average: | log p + entropy | is small.  A second pool has
 * that for its logits; what it keeps is the first one's anew. */
static void keep_typical (pool_t *q, const wb_sampling_t *s) {
    if (!(s->typical_p > 0.0 && s->typical_p < 1.0)) return;
    WB_ASSERT (q->kept == q->n);
    const double sum = total (q);
    double mean = 0.0; /* of log odds: the entropy is log (sum) - mean */
    for (int64_t i = 0; i < q->n; i++) {
        const double x = ((double) q->c[i].logit - (double) q->best) / q->temperature, p = exp (x);
        if (p > 0.0) mean += p / sum * x;
    }
    for (int64_t i = 0; i < q->n; i++) {
        candidate_t *c = &q->c[i];
        q->z[c->id] = c->logit;
        c->logit = (float) -fabs (((double) c->logit - (double) q->best) / q->temperature - mean);
    }
    q->heap = false, q->popped = 0;
    double reached = 0.0;
    int64_t kept = 0;
    while (kept < q->n && (kept == 0 || reached < s->typical_p * sum)) {
        const int32_t id = nth (q, kept++).id;
        reached += odds (q, (candidate_t){q->z[id], id});
    }
    memmove (q->c, q->c + q->n - kept, (size_t) kept * sizeof *q->c);
    for (int64_t i = 0; i < kept; i++) {
        q->c[i].logit = q->z[q->c[i].id];
        if (i == 0 || q->c[i].logit > q->best) q->best = q->c[i].logit;
    }
    q->n = q->kept = kept;
    q->heap = false, q->popped = 0;
}

static void keep_top_p (pool_t *q, const wb_sampling_t *s) {
    if (!(s->top_p > 0.0 && s->top_p < 1.0)) return;
    make_heap (q);
    const double enough = s->top_p * total (q);
    double sum = 0.0;
    int64_t kept = 0;
    while (kept < q->kept && (kept == 0 || sum < enough)) sum += odds (q, nth (q, kept++));
    q->kept = kept;
}

static void keep_min_p (pool_t *q, const wb_sampling_t *s) {
    if (!(s->min_p > 0.0)) return;
    int64_t kept = 1;
    while (kept < q->kept && odds (q, nth (q, kept)) >= s->min_p) kept++;
    q->kept = kept;
    make_heap (q);
}

/* In the order in which they are applied. */
static void (*const ways[]) (pool_t *q, const wb_sampling_t *s) = {keep_top_k, keep_typical, keep_top_p, keep_min_p};

/* ---- one id ---------------------------------------------------------------------------------------------------- */

size_t wb_sample_work_bytes (int64_t V) {
    return (size_t) V * (sizeof (candidate_t) + sizeof (float) + sizeof (int32_t));
}

/* Candidates in the order in which they are tried. */
static candidate_t candidate (pool_t *q, int64_t i) { return q->heap ? nth (q, i) : q->c[i]; }

/* All that may be drawn.  0, or an id < 0 that says what is wrong. */
static int32_t choose (pool_t *q, const wb_draw_t *d, int64_t V, void *work) {
    const wb_sampling_t *s = d->how;
    *q = (pool_t){.c = work, .temperature = s->temperature};
    q->z = (float *) (q->c + V);
    if (!collect (q, d->logits, V, d->forbid)) return -1;
    if (q->n == 0) return d->forbid >= 0 && d->forbid < V && isfinite (d->logits[d->forbid]) ? -2 : -1;
    if (wb_sampling_adjusts (s)) {
        memcpy (q->z, d->logits, (size_t) V * sizeof *q->z);
        wb_sample_adjust (q->z, d, V, (int32_t *) (q->z + V));
        q->n = 0;
        if (!collect (q, q->z, V, d->forbid)) return -1;
    }
    if (q->n == 0) return -2;
    candidate_t best = q->c[0];
    for (int64_t i = 1; i < q->n; i++)
        if (before (q->c[i], best)) best = q->c[i];
    q->best = best.logit;
    if (s->temperature > 0.0) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) ways[i](q, s);
    } else {
        q->c[0] = best;
        q->n = q->kept = 1;
        q->temperature = 1.0;
    }
    return 0;
}

/* The log-probabilities that were asked for, of the softmax of the logits as they are. */
static void tell (const wb_draw_t *d, int64_t V) {
    const float *z = d->logits;
    wb_likely_t *top = d->likely + 1;
    int n = 0;
    double sum = 0.0;
    float max = -INFINITY;
    for (int64_t i = 0; i < V; i++) {
        if (z[i] > max) max = z[i];
        if (d->nlikely == 0 || (n == d->nlikely && !(z[i] > top[n - 1].logprob))) continue;
        if (n < d->nlikely) n++;
        int at = n - 1;
        for (; at > 0 && z[i] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (wb_likely_t){(int32_t) i, z[i]};
    }
    for (int64_t i = 0; i < V; i++) sum += exp ((double) z[i] - (double) max);
    const double all = (double) max + log (sum);
    for (int i = 0; i < d->nlikely; i++) /* fewer ids than were asked for: -1 */
        top[i] =
            i < n ? (wb_likely_t){top[i].id, (float) ((double) top[i].logprob - all)} : (wb_likely_t){-1, -INFINITY};
    d->likely[0] = (wb_likely_t){d->id, d->id >= 0 ? (float) ((double) z[d->id] - all) : 0.0f};
}

void wb_sample_id (wb_draw_t *d, int64_t V, void *work) {
    pool_t q;
    d->id = choose (&q, d, V, work);
    if (d->id == 0) {
        const double at = wb_rng_uniform (d->how->seed, d->stream, d->index) * total (&q);
        double passed = 0.0;
        candidate_t best = q.c[0], c;
        bool found = false;
        for (int64_t i = 0; i < q.kept && !found; i++) {
            c = candidate (&q, i);
            if (before (c, best)) best = c;
            passed += odds (&q, c);
            found = passed > at;
        }
        d->id = found ? c.id : best.id; /* rounding only */
    }
    if (d->likely != NULL && d->id != -1) tell (d, V);
}

int64_t wb_sample_choice (wb_likely_t *out, const wb_draw_t *d, int64_t V, void *work) {
    pool_t q;
    const int32_t wrong = choose (&q, d, V, work);
    if (wrong < 0) return wrong;
    const double sum = total (&q);
    for (int64_t i = 0; i < q.kept; i++) {
        const candidate_t c = candidate (&q, i);
        out[i] = (wb_likely_t){c.id, (float) log (odds (&q, c) / sum)};
    }
    return q.kept;
}

void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, void *work) {
    const size_t bytes = wb_sample_work_bytes (V);
#pragma omp parallel for schedule(static) if (n > 1)
    for (int i = 0; i < n; i++) wb_sample_id (&draws[i], V, (char *) work + (size_t) i * bytes);
}
