/* inference and sampling: every way of pushing gives the same result; draws follow the distribution */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/infer.h"
#include "wabun/kv_cache.h"

enum { L = 3, C = 48, H = 4, D = C / H, T = 32, V = 257 };

static const wb_size_t size = {L, C, H, T, V};
static wb_params_t *params;
static float *weights;

static void make_weights (void) {
    wb_layout_t lo;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, L, H, 0, 0), WB_OK);
    wb_layout_place (&lo, 0);
    T_STATUS (wb_params_new (&params, &size, &lo), WB_OK);
    weights = wb_calloc ((size_t) params->own, sizeof *weights);
    /* Larger than a fresh model's, with biases and gains, so that anything left out shows. */
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        const double std = p->ndim == 2 ? 0.25 : 0.1;
        wb_rng_fill_normal (weights + p->offset, p->rows * p->cols, std, 5, wb_rng_stream (p->name), 0);
        if (p->init == WB_INIT_ONE)
            for (int64_t j = 0; j < p->cols; j++) weights[p->offset + j] += 1.0f;
    }
}

/* ---- the model in plain double --------------------------------------------------------------------------------- */

static const float *get (int l, const char *name) {
    char full[64];
    if (l < 0)
        snprintf (full, sizeof full, "%s", name);
    else
        snprintf (full, sizeof full, "h.%d.%s", l, name);
    const wb_param_t *p = wb_params_find (params, full);
    WB_ASSERT (p != NULL);
    return weights + p->offset;
}

static void norm (double *y, const double *x, const float *g, const float *b) {
    double mean = 0, var = 0;
    for (int i = 0; i < C; i++) mean += x[i] / C;
    for (int i = 0; i < C; i++) var += (x[i] - mean) * (x[i] - mean) / C;
    for (int i = 0; i < C; i++) y[i] = (x[i] - mean) / sqrt (var + 1e-5) * g[i] + b[i];
}

static void linear (double *y, const double *x, const float *A, const float *b, int k, int m) {
    for (int j = 0; j < m; j++) {
        y[j] = b[j];
        for (int i = 0; i < k; i++) y[j] += x[i] * A[i * m + j];
    }
}

/* hidden [n, C], logits [n, V] of all positions. */
static void plain (float *hidden, float *logits, const int32_t *ids, int n) {
    static double x[T][C], qkv[L][T][3 * C], y[C], att[C], wide[4 * C];
    const float *wte = get (-1, "wte.weight"), *wpe = get (-1, "wpe.weight");
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < C; i++) x[t][i] = (double) wte[ids[t] * C + i] + (double) wpe[t * C + i];
        for (int l = 0; l < L; l++) {
            norm (y, x[t], get (l, "ln_1.weight"), get (l, "ln_1.bias"));
            linear (qkv[l][t], y, get (l, "attn.c_attn.weight"), get (l, "attn.c_attn.bias"), C, 3 * C);
            for (int h = 0; h < H; h++) {
                double score[T], sum = 0;
                for (int s = 0; s <= t; s++) {
                    score[s] = 0;
                    for (int d = 0; d < D; d++) score[s] += qkv[l][t][h * D + d] * qkv[l][s][C + h * D + d];
                    sum += score[s] = exp (score[s] / sqrt (D));
                }
                for (int d = 0; d < D; d++) {
                    att[h * D + d] = 0;
                    for (int s = 0; s <= t; s++) att[h * D + d] += score[s] / sum * qkv[l][s][2 * C + h * D + d];
                }
            }
            linear (y, att, get (l, "attn.c_proj.weight"), get (l, "attn.c_proj.bias"), C, C);
            for (int i = 0; i < C; i++) x[t][i] += y[i];
            norm (y, x[t], get (l, "ln_2.weight"), get (l, "ln_2.bias"));
            linear (wide, y, get (l, "mlp.c_fc.weight"), get (l, "mlp.c_fc.bias"), C, 4 * C);
            for (int i = 0; i < 4 * C; i++) {
                const double z = wide[i];
                wide[i] = z / 2 * (1 + tanh (0.7978845608028654 * (z + 0.044715 * z * z * z)));
            }
            linear (y, wide, get (l, "mlp.c_proj.weight"), get (l, "mlp.c_proj.bias"), 4 * C, C);
            for (int i = 0; i < C; i++) x[t][i] += y[i];
        }
        norm (y, x[t], get (-1, "ln_f.weight"), get (-1, "ln_f.bias"));
        for (int i = 0; i < C; i++) hidden[t * C + i] = (float) y[i];
        for (int v = 0; v < V; v++) {
            double z = 0;
            for (int i = 0; i < C; i++) z += y[i] * (double) wte[v * C + i];
            logits[t * V + v] = (float) z;
        }
    }
}

/* ---- inference ------------------------------------------------------------------------------------------------- */

enum { N = 3 };
static int32_t ids[N][T];
static const int lengths[N] = {T, 17, 9};
static float hidden[N][T * C], logits[N][T * V];

static void make_ids (void) {
    for (int b = 0; b < N; b++) {
        for (int i = 0; i < T; i++) ids[b][i] = (int32_t) (wb_rng_u64 (9, (uint64_t) b, (uint64_t) i) % V);
        plain (hidden[b], logits[b], ids[b], lengths[b]);
    }
}

static void test_push (const wb_kern_t *k) {
    wb_infer_t *inf;
    static float h[N * T * C], z[N * V];
    T_STATUS (wb_infer_new (&inf, &size, params, weights, (wb_infer_form_t){0}, k, N, 0, N * T), WB_OK);

    /* In one go. */
    for (int b = 0; b < N; b++) {
        const int64_t n = lengths[b];
        wb_infer_push (inf, h, z, ids[b], &b, &n, 1);
        T_OK (wb_infer_length (inf, b) == n, "length");
        T_NEAR (h, hidden[b], n * C, 1e-4, 1e-4);
        T_NEAR (z, logits[b] + (n - 1) * V, V, 1e-4, 1e-4);
        wb_infer_rewind (inf, b, 0);
    }
    /* Token by token. */
    for (int b = 0; b < N; b++) {
        const int64_t one = 1;
        for (int i = 0; i < lengths[b]; i++) {
            wb_infer_push (inf, h, z, ids[b] + i, &b, &one, 1);
            T_NEAR (h, hidden[b] + i * C, C, 1e-4, 1e-4);
            T_NEAR (z, logits[b] + i * V, V, 1e-4, 1e-4);
        }
        wb_infer_rewind (inf, b, 0);
    }
    /* Ragged: uneven pieces of several sequences, in changing order. */
    int64_t at[N] = {0};
    for (int round = 0;; round++) {
        int32_t tokens[N * T];
        int seqs[N], n = 0;
        int64_t counts[N], rows = 0;
        for (int i = 0; i < N; i++) {
            const int b = (i + round) % N;
            const int64_t left = lengths[b] - at[b];
            int64_t some = 1 + (round * 5 + b * 3) % 11;
            if (some > left) some = left;
            if (some == 0) continue;
            memcpy (tokens + rows, ids[b] + at[b], (size_t) some * sizeof *tokens);
            seqs[n] = b, counts[n++] = some, rows += some;
        }
        if (n == 0) break;
        wb_infer_push (inf, round % 3 != 1 ? h : NULL, round % 2 == 0 ? z : NULL, tokens, seqs, counts, n);
        rows = 0;
        for (int i = 0; i < n; i++) {
            const int b = seqs[i];
            if (round % 3 != 1) T_NEAR (h + rows * C, hidden[b] + at[b] * C, counts[i] * C, 1e-4, 1e-4);
            rows += counts[i], at[b] += counts[i];
            if (round % 2 == 0) T_NEAR (z + i * V, logits[b] + (at[b] - 1) * V, V, 1e-4, 1e-4);
        }
    }
    wb_infer_destroy (inf);
}

static void test_copy (const wb_kern_t *k) {
    wb_infer_t *inf;
    static float h[T * C], z[N * V];
    int seq = 0;
    int64_t n = 12;
    T_STATUS (wb_infer_new (&inf, &size, params, weights, (wb_infer_form_t){0}, k, N, 0, T), WB_OK);
    wb_infer_push (inf, NULL, NULL, ids[0], &seq, &n, 1);
    wb_infer_copy (inf, 2, 0);
    wb_infer_copy (inf, 1, 2);
    T_OK (wb_infer_length (inf, 2) == 12 && wb_infer_length (inf, 1) == 12, "length of a copy");
    /* Sequence 1 continues differently; 0 and 2 must not change. */
    int32_t other[3] = {1, 2, 3};
    seq = 1, n = 3;
    wb_infer_push (inf, NULL, z, other, &seq, &n, 1);
    seq = 2, n = T - 12;
    wb_infer_push (inf, h, z, ids[0] + 12, &seq, &n, 1);
    T_NEAR (h, hidden[0] + 12 * C, n * C, 1e-4, 1e-4);
    /* Back to before the fork, then the same as the others. */
    wb_infer_rewind (inf, 1, 7);
    seq = 1, n = T - 7;
    wb_infer_push (inf, h, z, ids[0] + 7, &seq, &n, 1);
    T_NEAR (h, hidden[0] + 7 * C, n * C, 1e-4, 1e-4);
    T_NEAR (z, logits[0] + (T - 1) * V, V, 1e-4, 1e-4);
    wb_infer_destroy (inf);
}

static void test_logprobs (const wb_kern_t *k) {
    enum { ROWS = 3 * T };
    wb_infer_t *inf;
    static float found[ROWS], want[ROWS], most[ROWS], best[ROWS], many[ROWS * C];
    int32_t targets[ROWS];
    T_STATUS (wb_infer_new (&inf, &size, params, weights, (wb_infer_form_t){0}, k, 1, 0, T), WB_OK);
    for (int i = 0; i < ROWS; i++) {
        const float *z = logits[0] + (i % T) * V;
        double sum = 0, max = -INFINITY;
        memcpy (many + i * C, hidden[0] + (i % T) * C, C * sizeof (float));
        targets[i] = i % 7 == 3 ? -1 : (i * 31) % V;
        for (int v = 0; v < V; v++) sum += exp ((double) z[v]), max = fmax (max, (double) z[v]);
        best[i] = (float) (max - log (sum));
        want[i] = targets[i] < 0 ? 0.0f : (float) ((double) z[targets[i]] - log (sum));
    }
    wb_infer_logprobs (inf, found, most, many, targets, ROWS);
    T_NEAR (found, want, ROWS, 1e-4, 1e-4);
    T_NEAR (most, best, ROWS, 1e-4, 1e-4);
    wb_infer_destroy (inf);
}

/* ---- one id ---------------------------------------------------------------------------------------------------- */

enum { VS = 12, DRAWS = 20000 };
static const float odd[VS] = {0.5f, 2.0f, -1.0f, 1.9f, 0.0f, 2.0f, -3.0f, 1.0f, 0.9f, -0.5f, 1.5f, 0.1f};
/* By likelihood, of equals the lower id first: 1 5 3 10 7 8 0 11 4 9 2 6. */
static const int rank_of[VS] = {6, 0, 10, 2, 8, 1, 11, 4, 5, 9, 3, 7};

static int32_t draw (const float *z, int64_t n, const wb_sampling_t *s, int32_t forbid, uint64_t stream, uint64_t index,
                     void *work) {
    wb_draw_t d = {.how = s, .logits = z, .forbid = forbid, .stream = stream, .index = index};
    wb_sample_id (&d, n, work);
    return d.id;
}

/* Draws follow the softmax of the allowed ids at the temperature, and no other id is drawn. */
static void test_draws (double temperature, int64_t top_k, double top_p, int32_t forbid, int want_kept) {
    const wb_sampling_t s = {.temperature = temperature, .top_k = top_k, .top_p = top_p, .seed = 77};
    char work[VS * 16];
    int count[VS] = {0};
    double p[VS], sum = 0, chi = 0;
    int kept = 0;
    for (int i = 0; i < VS; i++) {
        int place = rank_of[i] - (forbid >= 0 && rank_of[forbid] < rank_of[i]);
        p[i] = i != forbid && place < want_kept ? exp ((double) odd[i] / temperature) : 0;
        sum += p[i];
    }
    for (int n = 0; n < DRAWS; n++) {
        int32_t id = draw (odd, VS, &s, forbid, 3, (uint64_t) n, work);
        if (!T_OK (id >= 0 && id < VS, "id %d", (int) id)) return;
        count[id]++;
    }
    for (int i = 0; i < VS; i++) {
        kept += count[i] > 0;
        double want = p[i] / sum * DRAWS;
        if (want > 0) chi += (count[i] - want) * (count[i] - want) / want;
        T_OK (want > 0 || count[i] == 0, "id %d was drawn %d times", i, count[i]);
    }
    T_OK (kept == want_kept, "temperature %g top_k %d top_p %g forbid %d: %d ids, not %d", temperature, (int) top_k,
          top_p, (int) forbid, kept, want_kept);
    T_OK (chi < 40, "temperature %g top_k %d top_p %g forbid %d: chi square %g", temperature, (int) top_k, top_p,
          (int) forbid, chi);
}

/* How many of the `max` most likely ids make up the share p of these. */
static int nucleus (double temperature, int max, double p) {
    double total = 0, sum = 0, odds[VS];
    for (int i = 0; i < VS; i++) odds[rank_of[i]] = exp ((double) odd[i] / temperature);
    for (int r = 0; r < max; r++) total += odds[r];
    for (int r = 0; r < max; r++)
        if ((sum += odds[r]) >= p * total) return r + 1;
    return max;
}

static void test_sample (void) {
    char work[VS * 16];
    T_OK (wb_sample_work_bytes (VS) <= sizeof work, "work");
    test_draws (1.0, 0, 0.0, -1, VS);
    test_draws (1.0, VS + 5, 1.0, -1, VS);
    test_draws (0.7, 0, 0.0, 1, VS - 1);
    test_draws (1.0, 1, 0.0, -1, 1);
    test_draws (1.0, 2, 0.0, -1, 2);
    test_draws (2.0, 5, 0.0, -1, 5);
    test_draws (1.0, 3, 0.0, 5, 3);
    test_draws (1.0, 0, 0.6, -1, nucleus (1.0, VS, 0.6));
    test_draws (0.5, 0, 0.9, -1, nucleus (0.5, VS, 0.9));
    test_draws (1.0, 0, 1e-9, -1, 1);
    test_draws (1.0, 6, 0.85, -1, nucleus (1.0, 6, 0.85));
    T_OK (nucleus (1.0, 6, 0.85) < nucleus (1.0, VS, 0.85), "top-p is of what top-k left");

    wb_sampling_t s = {.seed = 1};
    T_OK (draw (odd, VS, &s, -1, 0, 0, work) == 1, "argmax, the lower of equals");
    T_OK (draw (odd, VS, &s, 1, 0, 0, work) == 5, "argmax, without the forbidden one");
    s.top_k = 3, s.top_p = 0.5;
    T_OK (draw (odd, VS, &s, -1, 0, 9, work) == 1, "argmax with top-k and top-p");
    s = (wb_sampling_t){.temperature = 1e-30, .seed = 1};
    T_OK (draw (odd + 2, 3, &s, -1, 0, 0, work) == 1, "almost no temperature");

    float bad[VS];
    memcpy (bad, odd, sizeof bad);
    bad[4] = NAN;
    T_OK (draw (bad, VS, &s, -1, 0, 0, work) == -1, "NaN");
    bad[4] = INFINITY;
    T_OK (draw (bad, VS, &s, -1, 0, 0, work) == -1, "infinity");
    bad[4] = -INFINITY;
    s = (wb_sampling_t){.temperature = 1.0, .seed = 1};
    for (int n = 0; n < 1000; n++) T_OK (draw (bad, VS, &s, -1, 0, (uint64_t) n, work) != 4, "-infinity");
    for (int i = 0; i < VS; i++) bad[i] = -INFINITY;
    T_OK (draw (bad, VS, &s, -1, 0, 0, work) == -1, "nothing to draw");
    bad[3] = 1e30f, bad[7] = -1e30f;
    T_OK (draw (bad, VS, &s, -1, 0, 0, work) == 3, "far apart");
    T_OK (draw (bad, VS, &s, 3, 0, 0, work) == 7, "the only one left");
    bad[7] = -INFINITY;
    T_OK (draw (bad, VS, &s, 3, 0, 0, work) == -2, "none left");

    s = (wb_sampling_t){.temperature = 1.0, .top_k = 4, .top_p = 0.9, .seed = 123};
    int differ = 0;
    for (int n = 0; n < 100; n++) {
        int32_t a = draw (odd, VS, &s, -1, 5, (uint64_t) n, work);
        T_OK (a == draw (odd, VS, &s, -1, 5, (uint64_t) n, work), "a pure function");
        differ += a != draw (odd, VS, &s, -1, 6, (uint64_t) n, work);
    }
    T_OK (differ > 20, "streams differ");
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

enum { TEXTS = 21, LONGEST = 100, EOT = 256 };
typedef struct book {
    int32_t ids[TEXTS][LONGEST];
    int n[TEXTS], ends[TEXTS], told, stop_after;
} book_t;

static wb_status write_down (void *ctx, int64_t sample, int32_t id) {
    book_t *b = ctx;
    if (!T_OK (sample >= 0 && sample < TEXTS && b->n[sample] < LONGEST, "text %d", (int) sample)) return WB_ESTOP;
    T_OK (b->ends[sample] == 0, "told after the end");
    if (id < 0)
        b->ends[sample]++;
    else
        b->ids[sample][b->n[sample]++] = id;
    return ++b->told != b->stop_after ? WB_OK : WB_ESTOP;
}

static void test_generate (const wb_kern_t *k) {
    wb_model_t m = {.size = size, .params = params, .weights = weights, .kern = k};
    static book_t a, b, c;
    memset (&a, 0, sizeof a), memset (&b, 0, sizeof b);
    T_STATUS (wb_tokenizer_new (&m.tokenizer, "byte"), WB_OK);
    wb_generation_t g = {.sampling = {.temperature = 1.0, .top_k = 40, .top_p = 0.95, .seed = 42},
                         .context = ids[1],
                         .ncontext = 5,
                         .max_length = 60,
                         .samples = TEXTS,
                         .emit = write_down,
                         .ctx = &a};
    T_STATUS (wb_generate (&m, &g), WB_OK);
    g.batch = 3, g.ctx = &b;
    T_STATUS (wb_generate (&m, &g), WB_OK);
    T_OK (memcmp (a.ids, b.ids, sizeof a.ids) == 0 && memcmp (a.n, b.n, sizeof a.n) == 0, "batches change nothing");
    bool same = true;
    for (int i = 0; i < TEXTS; i++) {
        T_OK (a.ends[i] == 1, "text %d ended %d times", i, a.ends[i]);
        same = same && memcmp (a.ids[i], a.ids[0], sizeof a.ids[0]) == 0;
    }
    T_OK (!same, "texts differ");

    /* <|endoftext|> made likely: min_length holds it back, and what was drawn before is the same with and without. */
    float *end_row = weights + wb_params_find (params, "wte.weight")->offset + EOT * C;
    const float *mean = hidden[0] + 3 * C;
    float kept[C];
    memcpy (kept, end_row, sizeof kept);
    for (int i = 0; i < C; i++) end_row[i] += 0.05f * mean[i];
    memset (&a, 0, sizeof a), memset (&b, 0, sizeof b);
    g.batch = 0, g.ctx = &a, g.sampling.top_k = 0, g.sampling.top_p = 0;
    T_STATUS (wb_generate (&m, &g), WB_OK);
    g.min_length = 20, g.ctx = &b;
    T_STATUS (wb_generate (&m, &g), WB_OK);
    int shorter = 0;
    for (int i = 0; i < TEXTS; i++) {
        shorter += a.n[i] < 20;
        T_OK (b.n[i] >= 20 && b.n[i] <= 60, "text %d has %d tokens", i, b.n[i]);
        for (int j = 0; j < b.n[i]; j++) T_OK (b.ids[i][j] != EOT, "no end inside");
    }
    T_OK (shorter > 0, "some texts end early");
    memcpy (end_row, kept, sizeof kept);

    /* Beyond the model's positions, against the plain model: when full, the later half is pushed again. */
    static float h1[T * C], z1[T * V];
    int32_t window[T];
    int n = 5, length = 0;
    memcpy (window, ids[1], 5 * sizeof *window);
    memset (&a, 0, sizeof a);
    g = (wb_generation_t){.sampling = {.seed = 1},
                          .context = ids[1],
                          .ncontext = 5,
                          .min_length = 80,
                          .max_length = 80,
                          .samples = 2,
                          .emit = write_down,
                          .ctx = &a};
    T_STATUS (wb_generate (&m, &g), WB_OK);
    T_OK (a.n[0] == 80 && a.n[1] == 80, "%d and %d tokens", a.n[0], a.n[1]);
    for (; length < 80; length++) {
        plain (h1, z1, window, n);
        int best = 0;
        for (int v = 1; v < V - 1; v++)
            if (z1[(n - 1) * V + v] > z1[(n - 1) * V + best]) best = v;
        if (!T_OK (a.ids[0][length] == best && a.ids[1][length] == best, "token %d is %d, not %d", length,
                   (int) a.ids[0][length], best))
            break;
        if (n == T) memmove (window, window + T / 2, T / 2 * sizeof *window), n = T / 2;
        window[n++] = best;
    }
    /* A context longer than the positions: its last part. */
    int32_t longer[T + 9];
    memcpy (longer, ids[0], 9 * sizeof *longer);
    memcpy (longer + 9, ids[0], T * sizeof *longer);
    memset (&a, 0, sizeof a), memset (&b, 0, sizeof b);
    g.min_length = g.max_length = 10;
    g.samples = 1, g.context = longer, g.ncontext = T + 9;
    T_STATUS (wb_generate (&m, &g), WB_OK);
    g.context = ids[0], g.ncontext = T, g.ctx = &b;
    T_STATUS (wb_generate (&m, &g), WB_OK);
    T_OK (memcmp (a.ids, b.ids, sizeof a.ids) == 0, "the last part of a long context");

    /* Stopped. */
    memset (&c, 0, sizeof c);
    c.stop_after = 4;
    g.samples = TEXTS, g.ctx = &c;
    T_STATUS (wb_generate (&m, &g), WB_ESTOP);
    T_OK (c.told == 4, "told %d times after it said stop", c.told);
    /* Bad numbers. */
    float *b0 = weights + wb_params_find (params, "ln_f.bias")->offset, was = *b0;
    *b0 = NAN;
    memset (&c, 0, sizeof c);
    T_STATUS (wb_generate (&m, &g), WB_ENUMERIC);
    *b0 = was;

    wb_buf_t text = {0}, again = {0};
    const wb_sampling_t s = {.temperature = 0.8, .top_k = 10, .seed = 6};
    T_STATUS (wb_sample_text (&text, &m, "日本", 40, &s), WB_OK);
    T_STATUS (wb_sample_text (&again, &m, "日本", 40, &s), WB_OK);
    T_OK (text.len > 0 && text.len == again.len && memcmp (text.data, again.data, text.len) == 0,
          "a text for the report");
    T_STATUS (wb_sample_text (&again, &m, NULL, 10, &s), WB_OK);
    wb_buf_fini (&text);
    wb_buf_fini (&again);
    wb_tokenizer_destroy (m.tokenizer);
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, true);
    make_weights ();
    make_ids ();
    float *kept = wb_malloc ((size_t) params->own * sizeof (float));
    if (kept == NULL) return 1;
    memcpy (kept, weights, (size_t) params->own * sizeof (float));
    const wb_kern_t *kerns[2] = {wb_kern_ref (), wb_kern_get (wb_cpu_isa ())};
    for (int i = 0; i < 2; i++) {
        test_push (kerns[i]);
        test_copy (kerns[i]);
        test_logprobs (kerns[i]);
        test_generate (kerns[i]);
    }
    T_OK (memcmp (weights, kept, (size_t) params->own * sizeof (float)) == 0,
          "inference gives the weights back as they were");
    wb_free (kept);
    test_sample ();
    wb_params_destroy (params);
    wb_free (weights);
    return T_DONE ();
}
