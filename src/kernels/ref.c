/* The plain-C twins: every kernel in the order of its formula, sums in double.
 *
 * The oracle of the tests, and readable documentation of what the fast kernels compute.  No threads, no tricks, no
 * speed; only tests should use it.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels_priv.h"

static void embed_forward (float *out, const int32_t *tokens, const float *wte, const float *wpe, int64_t n, int64_t T,
                           int64_t C, int64_t v0, int64_t v1, int64_t pos0) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t t = tokens[i];
        for (int64_t c = 0; c < C; c++) {
            const float w = t >= v0 && t < v1 ? wte[(t - v0) * C + c] : 0.0f;
            out[i * C + c] = wpe != NULL ? w + wpe[(pos0 + i % T) * C + c] : w;
        }
    }
}

static void embed_backward (float *dwte, float *dwpe, const float *dout, const int32_t *tokens, int64_t n, int64_t T,
                            int64_t C, int64_t v0, int64_t v1) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t t = tokens[i];
        for (int64_t c = 0; c < C; c++) {
            if (t >= v0 && t < v1) dwte[(t - v0) * C + c] += dout[i * C + c];
            if (dwpe != NULL) dwpe[(i % T) * C + c] += dout[i * C + c];
        }
    }
}

static void layernorm_forward (float *out, float *mean, float *rstd, const float *x, const float *g, const float *b,
                               int64_t n, int64_t C) {
    for (int64_t i = 0; i < n; i++) {
        const float *xi = x + i * C;
        double m = 0, v = 0;
        for (int64_t c = 0; c < C; c++) m += (double) xi[c];
        m /= (double) C;
        for (int64_t c = 0; c < C; c++) v += ((double) xi[c] - m) * ((double) xi[c] - m);
        v /= (double) C;
        const double r = 1.0 / sqrt (v + (double) WB_RSTD_EPS);
        for (int64_t c = 0; c < C; c++)
            out[i * C + c] = (float) (((double) xi[c] - m) * r * (double) g[c] + (double) b[c]);
        if (mean != NULL) mean[i] = (float) m;
        if (rstd != NULL) rstd[i] = (float) r;
    }
}

static void layernorm_backward (float *dx, float *dg, float *db, const float *dout, const float *x, const float *mean,
                                const float *rstd, const float *g, int64_t n, int64_t C) {
    for (int64_t i = 0; i < n; i++) {
        const double m = (double) mean[i], r = (double) rstd[i];
        double s = 0, sx = 0; /* means of dn and dn xhat, dn = dout g */
        for (int64_t c = 0; c < C; c++) {
            const double dn = (double) dout[i * C + c] * (double) g[c];
            s += dn;
            sx += dn * ((double) x[i * C + c] - m) * r;
        }
        s /= (double) C;
        sx /= (double) C;
        for (int64_t c = 0; c < C; c++) {
            const double dn = (double) dout[i * C + c] * (double) g[c], xh = ((double) x[i * C + c] - m) * r;
            dx[i * C + c] += (float) ((dn - s - xh * sx) * r);
        }
    }
    for (int64_t c = 0; c < C && dg != NULL; c++) {
        double sg = 0, sb = 0;
        for (int64_t i = 0; i < n; i++) {
            sg += (double) dout[i * C + c] * ((double) x[i * C + c] - (double) mean[i]) * (double) rstd[i];
            sb += (double) dout[i * C + c];
        }
        dg[c] += (float) sg;
        db[c] += (float) sb;
    }
}

static void bias_add (float *y, const float *b, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) y[i * m + j] += b[j];
}

static void bias_backward (float *db, const float *dy, int64_t n, int64_t m) {
    for (int64_t j = 0; j < m; j++) {
        double s = 0;
        for (int64_t i = 0; i < n; i++) s += (double) dy[i * m + j];
        db[j] += (float) s;
    }
}

#define GELU_A 0.7978845608028654 /* sqrt (2 / pi) */
#define GELU_B 0.044715

static float gelu1 (float zf) {
    const double z = (double) zf;
    return (float) (0.5 * z * (1.0 + tanh (GELU_A * (z + GELU_B * z * z * z))));
}

static void bias_gelu_forward (float *out, float *z, const float *b, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < m; j++) {
            z[i * m + j] += b[j];
            out[i * m + j] = gelu1 (z[i * m + j]);
        }
    }
}

static void gelu_forward (float *out, const float *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = gelu1 (z[i]);
}

static void gelu_backward (float *dz, float *db, const float *dout, const float *z, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n * m; i++) {
        const double x = (double) z[i], t = tanh (GELU_A * (x + GELU_B * x * x * x));
        const double d = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_A * (1.0 + 3.0 * GELU_B * x * x);
        dz[i] = (float) ((double) dout[i] * d);
    }
    if (db != NULL) bias_backward (db, dz, n, m);
}

static float bf16_to_float (uint16_t h) {
    const uint32_t u = (uint32_t) h << 16;
    float f;
    memcpy (&f, &u, sizeof f);
    return f;
}

static void bf16_pack (uint16_t *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy (&u, x + i, sizeof u);
        if (isnan (x[i]))
            out[i] = (uint16_t) (u >> 16 | 0x40); /* a quiet NaN of the same sign */
        else
            out[i] = (uint16_t) ((u + 0x7fff + (u >> 16 & 1)) >> 16);
    }
}

static void bf16_unpack (float *out, const uint16_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bf16_to_float (x[i]);
}

/* Brain floats of single values. */
static uint16_t to_bf16 (float x) {
    uint16_t h;
    bf16_pack (&h, &x, 1);
    return h;
}

static void bias_add_half (float *y, uint16_t *half, const float *b, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n * m; i++) half[i] = to_bf16 (y[i] + b[i % m]), y[i] = bf16_to_float (half[i]);
}

static void gelu_half (uint16_t *g, const uint16_t *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) g[i] = to_bf16 (gelu1 (bf16_to_float (z[i])));
}

static void bias_gelu_half (uint16_t *g, uint16_t *half, const float *z, const float *b, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n * m; i++) half[i] = to_bf16 (z[i] + b[i % m]);
    gelu_half (g, half, n * m);
}

static void gelu_backward_half (float *dz, uint16_t *half, float *db, const float *dout, const uint16_t *z, int64_t n,
                                int64_t m) {
    for (int64_t j = 0; j < m; j++) {
        double s = 0;
        for (int64_t i = j; i < n * m; i += m) {
            const float zi = bf16_to_float (z[i]);
            float d;
            gelu_backward (&d, NULL, &dout[i], &zi, 1, 1);
            s += (double) d;
            half[i] = to_bf16 (d);
            if (dz != NULL) dz[i] = d;
        }
        if (db != NULL) db[j] += (float) s;
    }
}

static void bias_residual (float *out, const float *x, const float *y, const float *b, int64_t n, int64_t C) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < C; c++) {
            const float s = x[i * C + c] + y[i * C + c];
            out[i * C + c] = b != NULL ? s + b[c] : s;
        }
    }
}

static void residual_layernorm (float *out, float *mean, float *rstd, float *sum, const float *x, const float *y,
                                const float *bias, const float *g, const float *b, int64_t n, int64_t C) {
    bias_residual (sum, x, y, bias, n, C);
    layernorm_forward (out, mean, rstd, sum, g, b, n, C);
}

/* Scaled score of query q and key k. */
static double score (const float *q, const float *k, int64_t D) {
    double s = 0;
    for (int64_t d = 0; d < D; d++) s += (double) q[d] * (double) k[d];
    return s / sqrt ((double) D);
}

/* Keys of one head, and their values so many floats later: rows ld apart, or in the blocks of a cache. */
typedef struct ref_keys {
    const float *k;
    float *const *blocks;         /* not NULL: instead, from `at` on */
    int64_t at, head, ld, values; /* head: of the block's numbers, where those of the head begin */
    bool half;
} ref_keys_t;

/* Number i of the keys and values from position j on. */
static double key (const ref_keys_t *c, int64_t j, int64_t i) {
    const int64_t at = j % WB_CACHE_BLOCK * c->ld + i;
    float x;
    if (c->blocks == NULL) return (double) c->k[j * c->ld + i];
    const float *block = c->blocks[j / WB_CACHE_BLOCK] + c->at;
    if (!c->half) return (double) block[c->head + at];
    bf16_unpack (&x, (const uint16_t *) (const void *) block + c->head + at, 1);
    return (double) x;
}

static double key_score (const float *q, const ref_keys_t *c, int64_t j, int64_t D) {
    double s = 0;
    for (int64_t d = 0; d < D; d++) s += (double) q[d] * key (c, j, d);
    return s / sqrt ((double) D);
}

/* One query over `len` keys: out [D]; returns log sum exp.  32 outputs at a time, so that their sums in double fit on
 * the stack. */
static double attend (float *out, const float *q, const ref_keys_t *c, int64_t len, int64_t D) {
    double mx = -INFINITY, sum = 0;
    for (int64_t j = 0; j < len; j++) mx = fmax (mx, key_score (q, c, j, D));
    for (int64_t j = 0; j < len; j++) sum += exp (key_score (q, c, j, D) - mx);
    const double lse = mx + log (sum);
    for (int64_t d0 = 0; d0 < D; d0 += 32) {
        double acc[32] = {0};
        const int64_t nd = D - d0 < 32 ? D - d0 : 32;
        for (int64_t j = 0; j < len; j++) {
            const double p = exp (key_score (q, c, j, D) - lse);
            for (int64_t d = 0; d < nd; d++) acc[d] += p * key (c, j, c->values + d0 + d);
        }
        for (int64_t d = 0; d < nd; d++) out[d0 + d] = (float) acc[d];
    }
    return lse;
}

static void attention_forward (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                               int64_t D) {
    (void) work;
    const int64_t ld = 3 * H * D;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < H; h++) {
            const float *q = qkv + b * T * ld + h * D;
            const ref_keys_t keys = {.k = q + H * D, .ld = ld, .values = H * D};
            for (int64_t t = 0; t < T; t++)
                lse[(b * H + h) * T + t] =
                    (float) attend (out + ((b * T + t) * H + h) * D, q + t * ld, &keys, t + 1, D);
        }
    }
}

static void attention_backward (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                float *work, int64_t B, int64_t T, int64_t H, int64_t D) {
    (void) work;
    const int64_t ld = 3 * H * D;
    const double scale = 1.0 / sqrt ((double) D);
    memset (dqkv, 0, (size_t) (B * T * ld) * sizeof (float));
    for (int64_t b = 0; b < B; b++) {
        for (int64_t h = 0; h < H; h++) {
            const float *q = qkv + b * T * ld + h * D, *k = q + H * D, *v = k + H * D;
            float *dq = dqkv + b * T * ld + h * D, *dk = dq + H * D, *dv = dk + H * D;
            for (int64_t t = 0; t < T; t++) {
                const float *g = dout + ((b * T + t) * H + h) * D, *o = out + ((b * T + t) * H + h) * D;
                double delta = 0; /* sum_j P_j dP_j */
                for (int64_t d = 0; d < D; d++) delta += (double) g[d] * (double) o[d];
                for (int64_t j = 0; j <= t; j++) {
                    const double p = exp (score (q + t * ld, k + j * ld, D) - (double) lse[(b * H + h) * T + t]);
                    double dp = 0;
                    for (int64_t d = 0; d < D; d++) dp += (double) g[d] * (double) v[j * ld + d];
                    const double ds = p * (dp - delta) * scale;
                    for (int64_t d = 0; d < D; d++) {
                        dq[t * ld + d] += (float) (ds * (double) k[j * ld + d]);
                        dk[j * ld + d] += (float) (ds * (double) q[t * ld + d]);
                        dv[j * ld + d] += (float) (p * (double) g[d]);
                    }
                }
            }
        }
    }
}

static void store_keys (const wb_cached_t *c, int64_t H, int64_t D) {
    const int64_t values = WB_CACHE_BLOCK * D;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t h = 0; h < H; h++) {
            const int64_t t = c->len - c->n + i;
            const float *q = c->qkv + (i * 3 * H + h) * D;
            float *block = c->blocks[t / WB_CACHE_BLOCK] + c->at;
            uint16_t *half = (uint16_t *) (void *) block;
            const int64_t at = h * 2 * values + t % WB_CACHE_BLOCK * D;
            if (c->half) {
                bf16_pack (half + at, q + H * D, D);
                bf16_pack (half + at + values, q + 2 * H * D, D);
            } else {
                memcpy (block + at, q + H * D, (size_t) D * sizeof (float));
                memcpy (block + at + values, q + 2 * H * D, (size_t) D * sizeof (float));
            }
        }
}

static void attention_cached (const wb_cached_t *seqs, float *work, int nseq, int64_t H, int64_t D) {
    const int64_t values = WB_CACHE_BLOCK * D;
    (void) work;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) store_keys (c, H, D);
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++)
        for (int64_t h = 0; h < H; h++) {
            const ref_keys_t keys = {
                .blocks = c->blocks, .at = c->at, .head = h * 2 * values, .ld = D, .values = values, .half = c->half};
            for (int64_t i = 0; i < c->n; i++)
                (void) attend (c->out + (i * H + h) * D, c->qkv + (i * 3 * H + h) * D, &keys, c->len - c->n + i + 1, D);
        }
}

static void xent_max (float *mx, const float *logits, int64_t n, int64_t V, int64_t ld) {
    for (int64_t i = 0; i < n; i++) {
        float m = -INFINITY;
        for (int64_t j = 0; j < V; j++)
            if (logits[i * ld + j] > m) m = logits[i * ld + j];
        mx[i] = m;
    }
}

static void xent_sum (float *sum, float *hit, const float *logits, const float *mx, const int32_t *targets, int64_t n,
                      int64_t V, int64_t ld, int64_t v0) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t t = targets[i] < 0 ? -1 : targets[i] - v0;
        double s = 0;
        for (int64_t j = 0; j < V; j++) s += exp ((double) logits[i * ld + j] - (double) mx[i]);
        sum[i] = (float) s;
        hit[i] = t >= 0 && t < V ? logits[i * ld + t] : 0.0f;
    }
}

static void xent_backward (float *logits, const float *mx, const float *sum, const int32_t *targets, int64_t n,
                           int64_t V, int64_t ld, int64_t v0, float scale) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < V; j++) {
            const double p = exp ((double) logits[i * ld + j] - (double) mx[i]) / (double) sum[i];
            const double hot = j == targets[i] - v0 ? 1.0 : 0.0;
            logits[i * ld + j] = targets[i] < 0 ? 0.0f : (float) ((double) scale * (p - hot));
        }
    }
}

static void add (float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void scale (float *x, float a, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= a;
}

static double sumsq (const float *x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double) x[i] * (double) x[i];
    return s;
}

static void bf16_round (float *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bf16_to_float (to_bf16 (x[i]));
}

static void bf16_add (float *y, const uint16_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += bf16_to_float (x[i]);
}

static void adam (float *w, float *m, float *v, const float *g, int64_t n, float step, float b1, float b2, float eps,
                  float decay, float gscale) {
    for (int64_t i = 0; i < n; i++) {
        const float gi = gscale * g[i];
        m[i] = b1 * m[i] + (1.0f - b1) * gi;
        v[i] = b2 * v[i] + (1.0f - b2) * gi * gi;
        w[i] = w[i] * (1.0f - decay) - step * m[i] / (sqrtf (v[i]) + eps);
    }
}

static void adagrad (float *w, float *h, const float *g, int64_t n, float step, float eps, float decay, float gscale) {
    for (int64_t i = 0; i < n; i++) {
        const float gi = gscale * g[i];
        h[i] += gi * gi;
        w[i] = w[i] * (1.0f - decay) - step * gi / (sqrtf (h[i]) + eps);
    }
}

static void sgd (float *w, const float *g, int64_t n, float step, float decay, float gscale) {
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * (1.0f - decay) - step * (gscale * g[i]);
}

/* A block of x [n] as the product by a type rounds it. */
static void panel_round (float out[WB_INT8_BLOCK], const float *x, int64_t n, wb_weights_type type) {
    float most = 0;
    for (int64_t i = 0; i < n; i++) most = fmaxf (most, fabsf (x[i]));
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        out[i] = x[i];
        if (type == WB_WEIGHTS_INT8) out[i] = most > 1e-30f ? rintf (x[i] * (127.0f / most)) * (most / 127.0f) : 0;
        if (type != WB_WEIGHTS_BF16) continue;
        bf16_pack (&half, x + i, 1);
        bf16_unpack (out + i, &half, 1);
    }
}

static void panel_linear (float *y, const float *x, wb_matrix_t A, const float *b, void *packed, int64_t m, int64_t n,
                          int64_t k, bool add) {
    (void) packed;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = (add ? (double) y[i * n + j] : 0) + (b != NULL ? (double) b[j] : 0);
            for (int64_t from = 0; from < k; from += WB_INT8_BLOCK) {
                const int64_t rows = k - from < WB_INT8_BLOCK ? k - from : WB_INT8_BLOCK;
                float v[WB_INT8_BLOCK];
                panel_round (v, x + i * k + from, rows, A.type);
                for (int64_t r = 0; r < rows; r++)
                    s += (double) v[r] * (double) wb_panels_number (A, from + r, j, k, n);
            }
            y[i * n + j] = (float) s;
        }
}

static void momentum (float *u, float *m, const float *g, int64_t n, float mu, float gscale, bool nesterov) {
    for (int64_t i = 0; i < n; i++) {
        float scaled = gscale * g[i];
        m[i] = mu * m[i] + scaled;
        u[i] = nesterov ? scaled + mu * m[i] : m[i];
    }
}

#define ENTRY(entry) .entry = entry,
const wb_kern_t *wb_kern_ref (void) {
    static const wb_kern_t table = {.name = "ref", WB_KERNELS (ENTRY)};
    return &table;
}
