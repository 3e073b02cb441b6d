/* beam and contrastive search, each against a plain implementation of its source, on 10,000 made-up models; a beam that
 * holds everything finds the likeliest of all texts */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/search.h"
#include "t.h"

enum { MADE = 10000, VMAX = 30, CMAX = 12, LMAX = 12, PMAX = 10, ALL = WB_SEARCH_MAX * VMAX, EOT = 0 };

/* A made-up model: logits and states are random numbers that the ids so far choose. */
typedef struct made {
    wb_sampling_t how;
    int V, C, T, nprompt, min, max, texts, likely;
    int32_t prompt[PMAX];
    uint64_t seed;
    double spread;
} made_t;

/* A text after its prompt. */
typedef struct text {
    int32_t ids[LMAX + 1];
    int n, end;
    double value;
} text_t;

static uint64_t hash_of (const made_t *m, const int32_t *ids, int n) {
    uint64_t h = m->seed;
    for (int i = 0; i < n; i++) h = wb_rng_u64 (h, 3, (uint64_t) ids[i]);
    return h;
}

static void logits_of (float *z, const made_t *m, const text_t *t) {
    for (int v = 0; v < m->V; v++)
        z[v] = (float) (m->spread * wb_rng_normal (hash_of (m, t->ids, t->n), 1, (uint64_t) v)) - (v == EOT ? 1 : 0);
}

/* After n ids of prompt and text. */
static void state_of (float *x, const made_t *m, const int32_t *ids, int n) {
    for (int c = 0; c < m->C; c++) x[c] = (float) wb_rng_normal (hash_of (m, ids, n), 2, (uint64_t) c) + 0.5f;
}

/* Prompt and text, as one. */
static int joined (int32_t *out, const made_t *m, const text_t *t) {
    memcpy (out, m->prompt, sizeof m->prompt);
    memcpy (out + m->nprompt, t->ids, (size_t) t->n * sizeof *out);
    return m->nprompt + t->n;
}

static int below (int n) {
    static uint64_t serial;
    return (int) (wb_rng_u64 (31, 0, serial++) % (uint64_t) n);
}

static void make (made_t *m, int i, bool beams) {
    memset (m, 0, sizeof *m);
    m->seed = (uint64_t) i * 2 + beams;
    m->V = 2 + below (VMAX - 1);
    m->C = 1 + below (CMAX);
    m->nprompt = 1 + below (PMAX);
    m->T = below (4) == 0 ? 4 : 64;
    m->max = 1 + below (LMAX);
    m->min = below (3) == 0 ? below (m->max) : 0;
    m->spread = 0.3 + 0.7 * below (5);
    m->likely = below (3) - 1;
    for (int p = 0; p < m->nprompt; p++) m->prompt[p] = below (m->V);
    wb_sampling_t *s = &m->how;
    if (beams) {
        static const double penalties[] = {1.0, 0.0, 0.6, 2.0, -0.5};
        s->search.beams = 1 + below (below (8) == 0 ? 20 : 5);
        s->search.length_penalty = penalties[below (5)];
        m->texts = 1 + below ((int) s->search.beams);
    } else {
        s->search.candidates = 1 + below (8);
        s->search.penalty_alpha = 0.05 + 0.1 * below (10);
        m->texts = 1;
    }
    if (below (4) == 0) s->bias[s->nbias++] = (wb_bias_t){below (m->V), (float) (below (9) - 4)};
    if (below (4) == 0) s->no_repeat_ngram = 1 + below (3);
}

/* ---- the program's ----------------------------------------------------------------------------------------------- */

static wb_search_t *start (const made_t *m) {
    wb_search_t *s;
    const wb_search_setup_t setup = {.how = &m->how,
                                     .prompt = m->prompt,
                                     .nprompt = m->nprompt,
                                     .texts = m->texts,
                                     .min_length = m->min,
                                     .max_length = m->max,
                                     .V = m->V,
                                     .row = m->V,
                                     .C = m->C,
                                     .T = m->T,
                                     .eot = EOT,
                                     .likely = m->likely};
    T_STATUS (wb_search_new (&s, &setup), WB_OK);
    float x[CMAX];
    for (int i = 0; i < m->nprompt && wb_search_wants_states (s); i++) {
        state_of (x, m, m->prompt, i + 1);
        wb_search_past (s, i, x);
    }
    return s;
}

static double log_sum_of (const float *z, int n, double max) {
    double sum = 0;
    for (int v = 0; v < n; v++) sum += exp ((double) z[v] - max);
    return log (sum);
}

static void put (wb_search_t *s, const made_t *m, int i, const text_t *t) {
    int32_t all[PMAX + LMAX + 1];
    float z[VMAX] = {0}, x[CMAX];
    logits_of (z, m, t);
    state_of (x, m, all, joined (all, m, t));
    wb_search_put (s, i, z, 0.0f, (float) log_sum_of (z, m->V, 0.0), x);
}

static void run (text_t *out, const made_t *m) {
    static text_t now[WB_SEARCH_MAX], next[WB_SEARCH_MAX];
    const wb_search_move_t *moves;
    wb_search_t *s = start (m);
    int n = 1, steps = 0;
    memset (now, 0, sizeof now);
    do {
        for (int i = n; i-- > 0;) { /* in whatever order */
            T_OK (!wb_search_ready (s), "ready before the last is put");
            put (s, m, i, &now[i]);
        }
        n = wb_search_step (s, &moves);
        for (int i = 0; i < n; i++) {
            next[i] = now[moves[i].from];
            next[i].ids[next[i].n++] = moves[i].id;
        }
        memcpy (now, next, sizeof now);
    } while (n > 0 && T_OK (steps++ <= LMAX, "it goes on and on"));
    for (int i = 0; i < m->texts; i++) {
        const int32_t *list;
        wb_end end;
        out[i].n = (int) wb_search_found (s, i, &list, &end);
        out[i].end = (int) end;
        for (int k = 0; k < out[i].n; k++) {
            const wb_search_token_t *t = wb_search_token (s, list[k]);
            text_t before = out[i];
            float z[VMAX] = {0};
            before.n = k;
            logits_of (z, m, &before);
            out[i].ids[k] = t->id;
            if (m->likely >= 0)
                T_OK (fabs ((double) (t->logprob - z[t->id]) + log_sum_of (z, m->V, 0.0)) < 1e-4,
                      "log-probability of a token");
            int likely;
            const wb_likely_t *l = wb_search_likely (s, list[k], &likely);
            for (int v = 0; v < m->V && likely > 0; v++) T_OK (z[v] <= z[l[0].id], "the most likely is another");
        }
    }
    wb_search_destroy (s);
}

/* ---- plain implementations --------------------------------------------------------------------------------------- */

/* log p of every id after a text; -infinity: it must not come. */
static void log_p (double *out, const made_t *m, const text_t *t) {
    int32_t all[PMAX + LMAX + 2];
    float z[VMAX] = {0};
    double sum = 0;
    const int N = (int) m->how.no_repeat_ngram, n = joined (all, m, t) + 1;
    logits_of (z, m, t);
    for (int v = 0; v < m->V; v++) {
        out[v] = (double) z[v];
        for (int i = 0; i < m->how.nbias; i++)
            if (m->how.bias[i].id == v) out[v] = (double) (z[v] + m->how.bias[i].add);
        all[n - 1] = v;
        for (int i = 0; N > 0 && n >= N && i < n - N; i++)
            if (memcmp (all + i, all + n - N, (size_t) N * sizeof *all) == 0) out[v] = -INFINITY;
        if (v == EOT && t->n < m->min) out[v] = -INFINITY;
        sum += exp (out[v]);
    }
    for (int v = 0; v < m->V; v++) out[v] -= log (sum);
}

static int by_value (const void *a, const void *b) {
    const text_t *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : 0;
}

static bool close_call; /* values so near that rounding decides */

static void sort (text_t *list, int n) {
    qsort (list, (size_t) n, sizeof *list, by_value);
    for (int i = 1; i < n; i++)
        if (list[i - 1].value - list[i].value < 1e-9) close_call = true;
}

/* Texts that have ended, ranked. */
typedef struct pile {
    text_t list[ALL];
    int n;
} pile_t;

static void lay (pile_t *p, const made_t *m, text_t t, int tokens, wb_end end) {
    t.value /= pow (tokens, m->how.search.length_penalty);
    t.end = (int) end;
    p->list[p->n++] = t;
    sort (p->list, p->n);
    if (p->n > m->how.search.beams) p->n--;
}

/* Beam search with its hypotheses written out: extend all, sort, ending ones of the first N leave, N go on. */
static int plain_beams (text_t *out, const made_t *m) {
    static text_t beams[WB_SEARCH_MAX], longer[ALL];
    static pile_t done;
    const int N = (int) m->how.search.beams;
    int n = 1;
    done.n = 0;
    memset (beams, 0, sizeof beams);
    for (int length = 1; length <= m->max; length++) {
        int all = 0, kept = 0;
        for (int b = 0; b < n; b++) {
            double p[VMAX];
            bool some = false;
            log_p (p, m, &beams[b]);
            for (int v = 0; v < m->V; v++) {
                if (!(p[v] > -INFINITY)) continue;
                some = true;
                longer[all] = beams[b];
                longer[all].ids[longer[all].n++] = v;
                longer[all++].value += p[v];
            }
            if (!some) lay (&done, m, beams[b], length > 1 ? length - 1 : 1, WB_END_TEXT);
        }
        sort (longer, all);
        for (int i = 0; i < all && i < 2 * N && kept < N; i++) {
            text_t *t = &longer[i];
            if (t->ids[t->n - 1] != EOT) {
                beams[kept++] = *t;
            } else if (i < N) {
                t->n--;
                lay (&done, m, *t, length, WB_END_TEXT);
            }
        }
        n = kept;
        for (int b = 0; b < n && length == m->max; b++) lay (&done, m, beams[b], length, WB_END_LENGTH);
        if (n == 0) break;
        const double might = beams[0].value / pow (length, m->how.search.length_penalty);
        if (done.n == N && done.list[N - 1].value >= might) break;
    }
    for (int i = 0; i < m->texts; i++) {
        memset (&out[i], 0, sizeof out[i]);
        if (i < done.n) out[i] = done.list[i];
    }
    return done.n;
}

static double cosine (const float *x, const float *y, int n) {
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < n; i++) {
        xy += (double) x[i] * (double) y[i];
        xx += (double) x[i] * (double) x[i];
        yy += (double) y[i] * (double) y[i];
    }
    return xy / sqrt (xx * yy);
}

/* Equation 5 of the paper as it is written, over all that is kept of the past. */
static void plain_contrast (text_t *t, const made_t *m) {
    const double alpha = m->how.search.penalty_alpha;
    memset (t, 0, sizeof *t);
    while (t->n < m->max) {
        double p[VMAX];
        text_t tried[VMAX];
        int n = 0, best = -1;
        double most = -INFINITY;
        log_p (p, m, t);
        for (int v = 0; v < m->V; v++)
            if (p[v] > -INFINITY) {
                tried[n] = *t;
                tried[n].value = p[v];
                tried[n].ids[tried[n].n++] = v;
                n++;
            }
        sort (tried, n);
        for (int i = 0; i < n && i < m->how.search.candidates; i++) {
            int32_t all[PMAX + LMAX + 1];
            float x[CMAX], y[CMAX];
            const int length = joined (all, m, &tried[i]);
            double closest = -INFINITY;
            state_of (x, m, all, length);
            for (int j = length - 1; j > 0 && j > length - 1 - m->T; j--) {
                state_of (y, m, all, j);
                closest = fmax (closest, cosine (x, y, m->C));
            }
            const double score = (1 - alpha) * exp (tried[i].value) - alpha * closest;
            if (fabs (score - most) < 1e-5) close_call = true; /* states are of single precision */
            if (score > most) most = score, best = i;
        }
        t->end = WB_END_TEXT;
        if (best < 0 || tried[best].ids[t->n] == EOT) return;
        *t = tried[best];
    }
    t->end = WB_END_LENGTH;
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static bool same (const text_t *a, const text_t *b) {
    return a->n == b->n && a->end == b->end && memcmp (a->ids, b->ids, (size_t) a->n * sizeof *a->ids) == 0;
}

static void test_made (bool beams) {
    int unclear = 0, ended = 0, full = 0, several = 0;
    static text_t got[WB_SEARCH_MAX], want[WB_SEARCH_MAX];
    for (int i = 0; i < MADE; i++) {
        made_t m;
        make (&m, i, beams);
        close_call = false;
        memset (got, 0, sizeof got);
        run (got, &m);
        if (beams)
            several += plain_beams (want, &m) > 1;
        else
            plain_contrast (want, &m);
        if (close_call) {
            unclear++;
            continue;
        }
        for (int t = 0; t < m.texts; t++)
            T_OK (same (&got[t], &want[t]), "%s %d, text %d of %d: %d tokens, not %d", beams ? "beams" : "contrast", i,
                  t, m.texts, got[t].n, want[t].n);
        ended += got[0].end == WB_END_TEXT, full += got[0].end == WB_END_LENGTH;
    }
    T_OK (unclear < MADE / 50, "%d of %d are unclear", unclear, MADE);
    T_OK (ended > MADE / 20 && full > MADE / 20, "%d ended, %d were full", ended, full);
    T_OK (!beams || several > MADE / 4, "%d with several texts", several);
}

/* The likeliest of all texts. */
static void likeliest (text_t *best, const made_t *m, const text_t *t) {
    double p[VMAX];
    log_p (p, m, t);
    for (int v = 0; v < m->V; v++) {
        text_t longer = *t;
        longer.value += p[v];
        if (v != EOT) longer.ids[longer.n++] = v;
        longer.end = v == EOT ? WB_END_TEXT : WB_END_LENGTH;
        if (v != EOT && longer.n < m->max)
            likeliest (best, m, &longer);
        else if (longer.value > best->value)
            *best = longer;
    }
}

static void test_everything (void) {
    for (int i = 0; i < 300; i++) {
        made_t m = {
            .V = 3, .C = 1, .T = 1, .nprompt = 1, .max = 1 + i % 5, .texts = 1, .seed = (uint64_t) i, .spread = 2};
        m.how.search.beams = WB_SEARCH_MAX;
        text_t got = {0}, best = {.value = -INFINITY};
        run (&got, &m);
        likeliest (&best, &m, &(text_t){0});
        T_OK (same (&got, &best), "model %d: a text of %d tokens, not of %d", i, got.n, best.n);
    }
}

/* What cannot be. */
static void test_numbers (void) {
    for (int beams = 0; beams < 2; beams++)
        for (int bad = 0; bad < 3; bad++) {
            made_t m = {.V = 5, .C = 2, .T = 4, .nprompt = 1, .max = 3, .texts = 1, .likely = -1};
            const wb_search_move_t *moves;
            const int32_t *list;
            wb_end end;
            float z[5] = {1, 2, 3, 4, 5}, x[2] = {1, 1};
            m.how.search = (wb_searching_t){.beams = beams * 2, .penalty_alpha = 0.5, .candidates = 2};
            z[3] = bad == 0 ? NAN : INFINITY;
            for (int v = 0; v < 5 && bad == 2; v++) z[v] = -INFINITY;
            wb_search_t *s = start (&m);
            wb_search_put (s, 0, z, 0, 0, x);
            T_OK (wb_search_step (s, &moves) == 0 && wb_search_found (s, 0, &list, &end) == 0 && end == WB_END_NUMBERS,
                  "bad numbers are found");
            wb_search_destroy (s);
        }
    const wb_searching_t none = {0}, both = {.beams = 2, .penalty_alpha = 0.1, .candidates = 4},
                         wide = {.beams = 2, .candidates = 4}, one = {.penalty_alpha = 0.1, .candidates = 4};
    T_OK (wb_search_width (&none) == 0 && wb_search_width (&wide) == 2 && wb_search_width (&one) == 4, "widths");
    T_OK (wb_search_refusal (&none, 9) == NULL && wb_search_refusal (&wide, 2) == NULL &&
              wb_search_refusal (&one, 1) == NULL,
          "what is possible");
    T_OK (wb_search_refusal (&both, 1) != NULL && wb_search_refusal (&wide, 3) != NULL &&
              wb_search_refusal (&one, 2) != NULL,
          "what is not");
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, true);
    test_made (true);
    test_made (false);
    test_everything ();
    test_numbers ();
    return T_DONE ();
}
