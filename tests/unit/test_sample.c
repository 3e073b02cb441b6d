/* ways of drawing, each against a plain implementation of its source, on 10,000 made-up distributions */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"
#include "t.h"

enum { MADE = 10000, VMAX = 400, HMAX = 48, WAYS = 11 };

/* A made-up case. */
typedef struct made {
    wb_sampling_t s;
    float z[VMAX];
    int V, nhistory, written, forbid;
    int32_t history[HMAX];
} made_t;

static int serial;
static double uniform (void) { return wb_rng_uniform (18, 0, (uint64_t) serial++); }
static int below (int n) { return (int) (uniform () * n); }

static double between (double a, double b) { return a + (b - a) * uniform (); }

/* Case i: one way alone, or (every eleventh) all of them. */
static void make (made_t *m, int i) {
    const int way = i % WAYS;
    const bool all = way == WAYS - 1;
    memset (m, 0, sizeof *m);
    m->V = i % 50 == 0 ? VMAX : 2 + below (60);
    const double spread = between (0.2, 5.0);
    for (int v = 0; v < m->V; v++) {
        const double z = spread * wb_rng_normal (19, (uint64_t) i, (uint64_t) v) - 1.0;
        m->z[v] = (float) (i % 3 == 0 ? round (2 * z) / 2 : z); /* with equals among them */
    }
    m->nhistory = below (HMAX + 1);
    m->written = below (m->nhistory + 1);
    for (int k = 0; k < m->nhistory; k++) m->history[k] = below (m->V < 12 ? m->V : 12);
    m->forbid = i % 4 == 0 ? below (m->V) : -1;
    wb_sampling_t *s = &m->s;
    s->temperature = 1.0, s->seed = (uint64_t) i;
    if (way == 0 || all)
        for (s->nbias = 0; s->nbias < 5; s->nbias++)
            s->bias[s->nbias] = (wb_bias_t){below (m->V), (float) between (-8, 8)};
    if (way == 1 || all) s->repetition_penalty = between (0.7, 2.0);
    if (way == 2 || all) s->frequency_penalty = between (-1, 2);
    if (way == 3 || all) s->presence_penalty = between (-1, 2);
    if (way == 4 || all) s->no_repeat_ngram = 1 + below (4);
    if (way == 5 || all) s->temperature = between (0.1, 3.0);
    if (way == 6 || all) s->top_k = 1 + below (m->V + 3);
    if (way == 7 || all) s->typical_p = uniform ();
    if (way == 8 || all) s->top_p = uniform ();
    if (way == 9 || all) s->min_p = uniform () * uniform ();
}

/* ---- the plain implementation: probabilities p [V] in double, sorted lists, nothing shared with the program ------ */

/* One more id and what it is sorted by, the smaller first; of equals the lower id. */
typedef struct key {
    double by;
    int id;
} key_t_;
static int compare (const void *a, const void *b) {
    const key_t_ *x = a, *y = b;
    return x->by < y->by ? -1 : x->by > y->by ? 1 : x->id - y->id;
}

static bool close_call; /* a bound so near that rounding decides */

static void scale (double *p, int V) {
    double sum = 0;
    for (int v = 0; v < V; v++) sum += p[v];
    for (int v = 0; v < V && sum > 0; v++) p[v] /= sum;
}

/* Sort by key; keep the first until their p reaches `mass`, or `count` of them. */
static void keep_first (double *p, int V, const double *by, double mass, int count) {
    static key_t_ keys[VMAX];
    static double was[VMAX];
    int n = 0, kept = 0;
    double sum = 0;
    for (int v = 0; v < V; v++)
        if (p[v] > 0) keys[n++] = (key_t_){by[v], v};
    qsort (keys, (size_t) n, sizeof *keys, compare);
    memcpy (was, p, sizeof was);
    memset (p, 0, (size_t) V * sizeof *p);
    while (kept < n && kept < count && (kept == 0 || sum < mass)) {
        p[keys[kept].id] = was[keys[kept].id];
        sum += was[keys[kept++].id];
        if (mass < 1 && fabs (sum - mass) < 1e-6) close_call = true;
    }
    if (kept < n) {
        const double gap = keys[kept].by - keys[kept - 1].by;
        if (gap > 0 && gap < 1e-5 * (fabs (keys[kept].by) + 1e-3)) close_call = true;
    }
    scale (p, V);
}

static bool seen (const int32_t *ids, int n, int id) {
    for (int i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static void adjust (double *z, const made_t *m) {
    const wb_sampling_t *s = &m->s;
    for (int v = 0; v < m->V; v++) {
        for (int i = 0; i < s->nbias; i++)
            if (s->bias[i].id == v) z[v] += (double) s->bias[i].add;
        if (s->repetition_penalty > 0 && seen (m->history, m->nhistory, v))
            z[v] = z[v] > 0 ? z[v] / s->repetition_penalty : z[v] * s->repetition_penalty;
        for (int i = m->nhistory - m->written; i < m->nhistory; i++)
            if (m->history[i] == v) z[v] -= s->frequency_penalty;
        if (seen (m->history + m->nhistory - m->written, m->written, v)) z[v] -= s->presence_penalty;
    }
    const int N = (int) s->no_repeat_ngram;
    for (int v = 0; v < m->V && N > 0; v++) { /* would the text with v at its end have an n-gram twice? */
        int32_t text[HMAX + 1];
        memcpy (text, m->history, sizeof m->history);
        const int n = m->nhistory + 1;
        text[n - 1] = v;
        bool twice = false;
        for (int i = 0; n >= N && i < n - N; i++) {
            bool same = true;
            for (int k = 0; k < N; k++) same = same && text[i + k] == text[n - N + k];
            twice = twice || same;
        }
        if (twice) z[v] = -INFINITY;
    }
}

static void plain (double *p, const made_t *m) {
    static double z[VMAX], by[VMAX];
    const wb_sampling_t *s = &m->s;
    double max = -INFINITY, entropy = 0;
    close_call = false;
    for (int v = 0; v < m->V; v++) z[v] = (double) m->z[v];
    adjust (z, m);
    if (m->forbid >= 0) z[m->forbid] = -INFINITY;
    for (int v = 0; v < m->V; v++) max = fmax (max, z[v]);
    for (int v = 0; v < m->V; v++) p[v] = isfinite (max) ? exp ((z[v] - max) / s->temperature) : 0;
    scale (p, m->V);
    for (int v = 0; v < m->V; v++) by[v] = -z[v];
    if (s->top_k > 0) keep_first (p, m->V, by, 2, (int) s->top_k);
    if (s->typical_p > 0 && s->typical_p < 1) {
        static double off[VMAX];
        for (int v = 0; v < m->V; v++) entropy -= p[v] > 0 ? p[v] * log (p[v]) : 0;
        for (int v = 0; v < m->V; v++) off[v] = p[v] > 0 ? fabs (-log (p[v]) - entropy) : 0;
        keep_first (p, m->V, off, s->typical_p, VMAX);
    }
    if (s->top_p > 0 && s->top_p < 1) keep_first (p, m->V, by, s->top_p, VMAX);
    max = 0;
    for (int v = 0; v < m->V; v++) max = fmax (max, p[v]);
    for (int v = 0; v < m->V; v++) {
        if (p[v] > 0 && fabs (p[v] / max / s->min_p - 1) < 1e-6) close_call = true;
        if (p[v] < s->min_p * max) p[v] = 0;
    }
    scale (p, m->V);
}

/* ---- the two together -------------------------------------------------------------------------------------------- */

static char work[VMAX * 16];

/* The id drawn is where the cumulated probabilities of the choice pass the draw's number. */
static void check_draw (const made_t *m, wb_draw_t *d, const wb_likely_t *choice, int64_t n, int i) {
    const double at = wb_rng_uniform (m->s.seed, d->stream, d->index);
    double sum = 0, distance = 1;
    int64_t k = -1;
    for (int64_t j = 0; j < n; j++) {
        sum += exp ((double) choice[j].logprob);
        distance = fmin (distance, fabs (sum - at));
        if (k < 0 && sum > at) k = j;
    }
    wb_sample_id (d, m->V, work);
    if (distance > 1e-5 && k >= 0) T_OK (d->id == choice[k].id, "case %d: %d was drawn", i, (int) d->id);
}

/* Log-probabilities are those of the logits as they came. */
static void check_likely (const made_t *m, const wb_draw_t *d, int i) {
    double sum = 0;
    for (int v = 0; v < m->V; v++) sum += exp ((double) m->z[v]);
    bool good =
        d->likely[0].id == d->id && fabs ((double) d->likely[0].logprob - (double) m->z[d->id] + log (sum)) < 1e-4;
    for (int k = 0; k < d->nlikely; k++) {
        int best = -1; /* of those that are not in the list yet */
        for (int v = 0; v < m->V; v++) {
            bool listed = false;
            for (int j = 0; j < k; j++) listed = listed || d->likely[1 + j].id == v;
            if (!listed && (best < 0 || m->z[v] > m->z[best])) best = v;
        }
        good = good && d->likely[1 + k].id == best;
        if (best >= 0) good = good && fabs ((double) d->likely[1 + k].logprob - (double) m->z[best] + log (sum)) < 1e-4;
    }
    T_OK (good, "case %d: log-probabilities", i);
}

static void test_made (void) {
    static made_t m;
    static double want[VMAX], got[VMAX];
    static wb_likely_t choice[VMAX], likely[6];
    int skipped = 0, narrowed[WAYS] = {0};
    for (int i = 0; i < MADE; i++) {
        make (&m, i);
        wb_draw_t d = {.how = &m.s,
                       .logits = m.z,
                       .history = m.history,
                       .nhistory = m.nhistory,
                       .written = m.written,
                       .forbid = m.forbid,
                       .stream = 3,
                       .index = 7,
                       .likely = likely,
                       .nlikely = i % 6};
        plain (want, &m);
        const int64_t n = wb_sample_choice (choice, &d, m.V, work);
        int wanted = 0;
        for (int v = 0; v < m.V; v++) wanted += want[v] > 0;
        narrowed[i % WAYS] += wanted < m.V;
        if (wanted == 0) {
            T_OK (n == -2, "case %d: nothing is left, not %d", i, (int) n);
            continue;
        }
        if (close_call) {
            skipped++;
            continue;
        }
        memset (got, 0, sizeof got);
        for (int64_t k = 0; k < n; k++) got[choice[k].id] = exp ((double) choice[k].logprob);
        T_OK (n == wanted, "case %d: %d ids, not %d", i, (int) n, wanted);
        T_NEAR (got, want, m.V, 1e-4, 1e-6);
        check_draw (&m, &d, choice, n, i);
        check_likely (&m, &d, i);
    }
    T_OK (skipped < MADE / 100, "%d cases too close to call", skipped);
    for (int w = 4; w < WAYS; w++)
        if (w != 5) T_OK (narrowed[w] > MADE / WAYS / 4, "way %d left out something in %d cases", w, narrowed[w]);
}

int main (void) {
    T_OK (wb_sample_work_bytes (VMAX) <= sizeof work, "work");
    test_made ();
    return T_DONE ();
}
