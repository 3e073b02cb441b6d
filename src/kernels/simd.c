/* The fast kernels: one source, compiled once an instruction set (WB_KERN_ISA = portable, avx2, avx512).
 *
 * The idea: a vector type as wide as the instruction set (GCC's vector extension) for what the vectoriser would not do
 * well - exponentials and the small matrix products of attention - and plain loops for the rest.
 *
 * Results do not depend on the number of threads: work is cut into ranges of fixed size, rows, columns or blocks of
 * queries, each computed by one thread in one order, whoever it is.  Nothing is allocated; what does not fit on the
 * stack comes in as work memory.  No BLAS here: attention multiplies its blocks itself, inside its parallel regions.
 *
 * Accuracy: exp within 2 ulp for x in [-87.33, 88.37], exactly 0 below -87.7, infinity above 88.38, NaN stays NaN.
 * gelu and its derivative are computed as z sigmoid (2 u): relative, not only absolute, accuracy for negative z.
 */
#include "config.h"

#include <math.h>
#include <omp.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/vec.h"

#define STR_(a) #a
#define STR(a) STR_ (a)

#if W == 16
#define NR 4 /* vectors across the register block of the matrix product */
#else
#define NR 2
#endif
#define MR 6 /* rows of the register block: MR NR sums + NR + 1 vectors fit in the registers */

/* Elements in a range of an elementwise kernel, and how many make threads worth starting. */
#define RANGE ((int64_t) 16384)
#define PARALLEL_MIN ((int64_t) 32768)

/* Run `call` for ranges lo .. hi - 1 that cover 0 .. n - 1; the cut depends on n only. */
#define IN_RANGES(n, call)                                                                                \
    do {                                                                                                  \
        const int64_t n_ = (n), ranges_ = (n_ + RANGE - 1) / RANGE;                                       \
        _Pragma ("omp parallel for schedule(static) if (n_ >= PARALLEL_MIN)") /* one range, one thread */ \
            for (int64_t r_ = 0; r_ < ranges_; r_++) {                                                    \
            const int64_t lo = r_ * RANGE, hi = min64 (n_, lo + RANGE);                                   \
            call;                                                                                         \
        }                                                                                                 \
    } while (0)

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

INLINE vf vset (float x) { return x - (vf){0}; }

/* The first k < W floats at p, `fill` in the other lanes. */
INLINE vf vload_part (const float *p, int64_t k, float fill) {
    vf v = vset (fill);
    for (int64_t i = 0; i < k; i++) v[i] = p[i];
    return v;
}
INLINE vf vload_some (const float *p, int64_t k, float fill) { return k >= W ? vload (p) : vload_part (p, k, fill); }
INLINE void vstore_some (float *p, vf v, int64_t k) {
    if (k >= W)
        vstore (p, v);
    else
        for (int64_t i = 0; i < k; i++) p[i] = v[i];
}

/* Streams of long arithmetic run ahead of the processor's own prefetcher. */
INLINE void ahead (const float *p) { __builtin_prefetch (p + 512); }

/* The larger one; b where either is NaN. */
INLINE vf vmax (vf a, vf b) {
#if defined(__AVX512F__)
    return _mm512_max_ps (a, b);
#elif defined(__AVX2__)
    return _mm256_max_ps (a, b);
#else
    const vu m = (vu) (a > b);
    return (vf) (((vu) a & m) | ((vu) b & ~m));
#endif
}
INLINE vf vmin (vf a, vf b) {
#if defined(__AVX512F__)
    return _mm512_min_ps (a, b);
#elif defined(__AVX2__)
    return _mm256_min_ps (a, b);
#else
    const vu m = (vu) (a < b);
    return (vf) (((vu) a & m) | ((vu) b & ~m));
#endif
}

/* Pairwise sum and maximum of the lanes. */
INLINE float vsum (vf v) {
    float a[W];
    vstore (a, v);
    for (int h = W / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) a[i] += a[i + h];
    return a[0];
}
INLINE float vmax_lanes (vf v) {
    float a[W];
    vstore (a, v);
    for (int h = W / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) a[i] = a[i] > a[i + h] ? a[i] : a[i + h];
    return a[0];
}

/* exp: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r (Cephes, expf), times 2^n by way of the exponent bits.
 * n = -127 makes the bits of 0, n = 128 those of infinity. */
INLINE vf vexp (vf x) {
    x = vmin (vset (89.0f), vmax (vset (-88.0f), x));
    const vf t = x * 1.44269504088896341f + 12582912.0f; /* 1.5 2^23: rounds, and leaves n in the low bits */
    const vf n = t - 12582912.0f;
    const vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * (vf) (((vu) t << 23) + (127u << 23));
}

void ISA_NAME (wb_simd_exp_) (float *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += W) vstore_some (out + i, vexp (vload_some (x + i, n - i, 0.0f)), n - i);
}

/* 2^(c x), c > 0, for the softmax of attention: no reduction by ln 2, a third fewer operations than exp, and c, which
 * is log2 e times the scale of the scores, comes free with the multiply-adds (where there are none, c x is rounded:
 * off by |c x| 2^-24).  A polynomial for |r| <= 1/2 (Cephes, exp2f).  0 where c x < -126.5, infinity from 127.5 on. */
INLINE vf vexp2 (vf x, float c) {
    x = vmin (vset (128.0f / c), vmax (vset (-127.0f / c), x));
    const vf t = c * x + 12582912.0f, n = t - 12582912.0f; /* as in vexp */
    const vf r = c * x - n;
    vf p = 1.535336188319500e-4f * r + 1.339887440266574e-3f;
    p = p * r + 9.618437357674640e-3f;
    p = p * r + 5.550332471162809e-2f;
    p = p * r + 2.402264791363012e-1f;
    p = p * r + 6.931472028550421e-1f;
    p = p * r + 1.0f;
    return p * (vf) (((vu) t << 23) + (127u << 23));
}

void ISA_NAME (wb_simd_exp2_) (float *out, const float *x, float c, int64_t n) {
    for (int64_t i = 0; i < n; i += W) vstore_some (out + i, vexp2 (vload_some (x + i, n - i, 0.0f), c), n - i);
}

/* ---- embedding --------------------------------------------------------------------------------------------------- */

static void embed_forward (float *out, const int32_t *tokens, const float *wte, const float *wpe, int64_t n, int64_t T,
                           int64_t C, int64_t v0, int64_t v1, int64_t pos0) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        const int64_t t = tokens[i];
        const bool mine = t >= v0 && t < v1;
        const float *e = mine ? wte + (t - v0) * C : NULL, *p = wpe != NULL ? wpe + (pos0 + i % T) * C : NULL;
        float *restrict o = out + i * C;
        if (e != NULL && p != NULL) {
            for (int64_t c = 0; c < C; c++) o[c] = e[c] + p[c];
        } else if (e != NULL || p != NULL) {
            memcpy (o, e != NULL ? e : p, (size_t) C * sizeof (float));
        } else {
            memset (o, 0, (size_t) C * sizeof (float));
        }
    }
}

/* Columns in a slice for the sums over rows: any multiple of 64 gives the same result. */
#define SLICE_MAX 1024
static int64_t slice_width (int64_t m) {
    const int64_t threads = omp_get_max_threads (), w = (m + threads * 64 - 1) / (threads * 64) * 64;
    return min64 (w, SLICE_MAX);
}

INLINE void add_row (float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void embed_backward (float *dwte, float *dwpe, const float *dout, const int32_t *tokens, int64_t n, int64_t T,
                            int64_t C, int64_t v0, int64_t v1) {
    const int64_t w = slice_width (C);
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t c = 0; c < C; c += w) {
        const int64_t k = min64 (w, C - c);
        for (int64_t i = 0; i < n; i++) {
            const int64_t t = tokens[i];
            if (t >= v0 && t < v1) add_row (dwte + (t - v0) * C + c, dout + i * C + c, k);
            if (dwpe != NULL) add_row (dwpe + (i % T) * C + c, dout + i * C + c, k);
        }
    }
}

/* ---- layer normalisation ----------------------------------------------------------------------------------------- */

/* Two passes for mean and variance, the row being in cache. */
static void layernorm_row (float *restrict out, float *mean, float *rstd, const float *restrict x,
                           const float *restrict g, const float *restrict b, int64_t C) {
    const int64_t full = C / W * W, rest = C - full;
    vf s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t c = 0;
    for (; c + 4 * W <= full; c += 4 * W) {
        s0 += vload (x + c);
        s1 += vload (x + c + W);
        s2 += vload (x + c + 2 * W);
        s3 += vload (x + c + 3 * W);
    }
    for (; c < full; c += W) s0 += vload (x + c);
    if (rest > 0) s1 += vload_part (x + full, rest, 0.0f);
    const float m = vsum ((s0 + s1) + (s2 + s3)) / (float) C;
    s0 = s1 = s2 = s3 = (vf){0};
    for (c = 0; c + 4 * W <= full; c += 4 * W) {
        const vf d0 = vload (x + c) - m, d1 = vload (x + c + W) - m;
        const vf d2 = vload (x + c + 2 * W) - m, d3 = vload (x + c + 3 * W) - m;
        s0 += d0 * d0;
        s1 += d1 * d1;
        s2 += d2 * d2;
        s3 += d3 * d3;
    }
    for (; c < full; c += W) {
        const vf d = vload (x + c) - m;
        s0 += d * d;
    }
    if (rest > 0) {
        const vf d = vload_part (x + full, rest, m) - m;
        s1 += d * d;
    }
    const float r = 1.0f / sqrtf (vsum ((s0 + s1) + (s2 + s3)) / (float) C + WB_RSTD_EPS);
    for (c = 0; c < C; c++) out[c] = (x[c] - m) * r * g[c] + b[c];
    if (mean != NULL) *mean = m;
    if (rstd != NULL) *rstd = r;
}

static void layernorm_forward (float *out, float *mean, float *rstd, const float *x, const float *g, const float *b,
                               int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        layernorm_row (out + i * C, mean != NULL ? mean + i : NULL, rstd != NULL ? rstd + i : NULL, x + i * C, g, b, C);
}

static void layernorm_dx_row (float *restrict dx, const float *restrict dout, const float *restrict x, float m, float r,
                              const float *restrict g, int64_t C) {
    vf s0 = {0}, s1 = {0}, t0 = {0}, t1 = {0};
    int64_t c = 0;
    for (; c + 2 * W <= C; c += 2 * W) {
        const vf d0 = vload (dout + c) * vload (g + c), d1 = vload (dout + c + W) * vload (g + c + W);
        s0 += d0;
        s1 += d1;
        t0 += d0 * (vload (x + c) - m);
        t1 += d1 * (vload (x + c + W) - m);
    }
    for (; c < C; c += W) {
        const vf d = vload_some (dout + c, C - c, 0.0f) * vload_some (g + c, C - c, 0.0f);
        s0 += d;
        t0 += d * (vload_some (x + c, C - c, 0.0f) - m);
    }
    const float s = vsum (s0 + s1) / (float) C, t = vsum (t0 + t1) / (float) C * r * r;
    for (c = 0; c < C; c++) dx[c] += (dout[c] * g[c] - s - (x[c] - m) * t) * r;
}

/* Rows summed before they are added to the total: keeps the rounding of long sums small. */
#define ROWS 128

static void layernorm_backward (float *dx, float *dg, float *db, const float *dout, const float *x, const float *mean,
                                const float *rstd, const float *g, int64_t n, int64_t C) {
    const int64_t w = slice_width (C);
#pragma omp parallel if (n * C >= PARALLEL_MIN)
    {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < n; i++) layernorm_dx_row (dx + i * C, dout + i * C, x + i * C, mean[i], rstd[i], g, C);
#pragma omp for schedule(static)
        for (int64_t c = 0; c < C; c += w) {
            const int64_t k = min64 (w, C - c);
            for (int64_t i0 = 0; i0 < n; i0 += ROWS) {
                float sg[SLICE_MAX], sb[SLICE_MAX];
                memset (sg, 0, (size_t) k * sizeof (float));
                memset (sb, 0, (size_t) k * sizeof (float));
                for (int64_t i = i0; i < min64 (n, i0 + ROWS); i++) {
                    const float *restrict dy = dout + i * C + c, *restrict xi = x + i * C + c;
                    const float m = mean[i], r = rstd[i];
                    for (int64_t j = 0; j < k; j++) {
                        sg[j] += dy[j] * ((xi[j] - m) * r);
                        sb[j] += dy[j];
                    }
                }
                add_row (dg + c, sg, k);
                add_row (db + c, sb, k);
            }
        }
    }
}

/* ---- bias, gelu, residual ---------------------------------------------------------------------------------------- */

static void bias_add (float *y, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) add_row (y + i * m, b, m);
}

static void bias_backward (float *db, const float *dy, int64_t n, int64_t m) {
    const int64_t w = slice_width (m);
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t c = 0; c < m; c += w) {
        const int64_t k = min64 (w, m - c);
        for (int64_t i0 = 0; i0 < n; i0 += ROWS) {
            float s[SLICE_MAX];
            const int64_t i1 = min64 (n, i0 + ROWS);
            int64_t i = i0;
            memset (s, 0, (size_t) k * sizeof (float));
            for (; i + 4 <= i1; i += 4) {
                const float *restrict y0 = dy + i * m + c, *restrict y1 = y0 + m;
                const float *restrict y2 = y1 + m, *restrict y3 = y2 + m;
                for (int64_t j = 0; j < k; j++) s[j] += (y0[j] + y1[j]) + (y2[j] + y3[j]);
            }
            for (; i < i1; i++) add_row (s, dy + i * m + c, k);
            add_row (db + c, s, k);
        }
    }
}

#define GELU_2A 1.5957691216057308f /* 2 sqrt (2 / pi) */
#define GELU_B 0.044715f

/* exp (-2 u), u = sqrt (2 / pi) (z + 0.044715 z^3): 1/2 (1 + tanh u) = 1 / (1 + exp (-2 u)). */
INLINE vf vexp_2u (vf z) { return vexp (-GELU_2A * (z + GELU_B * z * z * z)); }
INLINE vf vgelu (vf z) { return z / (1.0f + vexp_2u (z)); }

static void gelu_range (float *out, const float *z, int64_t n) {
    for (int64_t i = 0; i < n; i += W) {
        ahead (z + i);
        vstore_some (out + i, vgelu (vload_some (z + i, n - i, 0.0f)), n - i);
    }
}

static void bias_gelu_forward (float *out, float *z, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < m; j += W) {
            const int64_t k = m - j;
            ahead (z + i * m + j);
            const vf x = vload_some (z + i * m + j, k, 0.0f) + vload_some (b + j, k, 0.0f);
            vstore_some (z + i * m + j, x, k);
            vstore_some (out + i * m + j, vgelu (x), k);
        }
    }
}

static void gelu_forward (float *out, const float *z, int64_t n) {
    IN_RANGES (n, gelu_range (out + lo, z + lo, hi - lo));
}

/* gelu' = s + z s (1 - s) 2 u', s = 1 / (1 + e), 1 - s = e s without cancellation (e may be infinite). */
INLINE vf vgelu_slope (vf x) {
    const vf e = vexp_2u (x), s = 1.0f / (1.0f + e);
    return s + x * s * (vmin (vset (1e30f), e) * s) * (GELU_2A + (3.0f * GELU_2A * GELU_B) * x * x);
}

/* By columns, as every sum over rows: dz is added up while it is made. */
static void gelu_backward (float *dz, float *db, const float *dout, const float *z, int64_t n, int64_t m) {
    const int64_t w = slice_width (m);
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t c = 0; c < m; c += w) {
        const int64_t k = min64 (w, m - c);
        for (int64_t i0 = 0; i0 < n; i0 += ROWS) {
            float s[SLICE_MAX] = {0};
            for (int64_t i = i0; i < min64 (n, i0 + ROWS); i++) {
                const float *zi = z + i * m + c, *di = dout + i * m + c;
                float *to = dz + i * m + c;
                for (int64_t j = 0; j < k; j += W) {
                    __builtin_prefetch (zi + m + j);
                    __builtin_prefetch (di + m + j);
                    const vf d = vload_some (di + j, k - j, 0.0f) * vgelu_slope (vload_some (zi + j, k - j, 0.0f));
                    vstore_some (to + j, d, k - j);
                    vstore (s + j, vload (s + j) + d);
                }
            }
            add_row (db + c, s, k);
        }
    }
}

INLINE void residual_row (float *o, const float *x, const float *y, const float *b, int64_t C) {
    if (b != NULL) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) o[c] = x[c] + y[c] + b[c];
    } else {
#pragma omp simd
        for (int64_t c = 0; c < C; c++) o[c] = x[c] + y[c];
    }
}

static void bias_residual (float *out, const float *x, const float *y, const float *b, int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) residual_row (out + i * C, x + i * C, y + i * C, b, C);
}

static void residual_layernorm (float *out, float *mean, float *rstd, float *sum, const float *x, const float *y,
                                const float *bias, const float *g, const float *b, int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        residual_row (sum + i * C, x + i * C, y + i * C, bias, C);
        layernorm_row (out + i * C, mean + i, rstd + i, sum + i * C, g, b, C);
    }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* The register block: C [rows, vecs W] = (add ? C fade : 0) + A B over k; A's element (r, j) is a [r ars + j acs], B's
 * row j is contiguous, fade [vecs W] is a factor of each column (NULL: 1).  rows and vecs are constants where it is
 * called. */
INLINE void block_product (float *restrict c, int64_t ldc, const float *restrict a, int64_t ars, int64_t acs,
                           const float *restrict b, int64_t ldb, int64_t k, bool add, const float *fade, const int rows,
                           const int vecs) {
    vf s[MR][NR];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) s[r][v] = (vf){0};
    for (int64_t j = 0; j < k; j++) {
        vf bv[NR];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) bv[v] = vload (b + j * ldb + v * W);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vf ar = vset (a[r * ars + j * acs]);
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) s[r][v] += ar * bv[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            float *p = c + r * ldc + v * W;
            if (fade != NULL)
                vstore (p, vload (p) * vload (fade + v * W) + s[r][v]);
            else
                vstore (p, add ? vload (p) + s[r][v] : s[r][v]);
        }
}

/* All rows of a panel `vecs` vectors wide. */
INLINE void panel_product (float *c, int64_t ldc, const float *a, int64_t ars, int64_t acs, const float *b, int64_t ldb,
                           int64_t m, int64_t k, bool add, const float *fade, const int vecs) {
    int64_t i = 0;
    for (; i + MR <= m; i += MR)
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, MR, vecs);
    if (i + 4 <= m) {
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 4, vecs);
        i += 4;
    }
    if (i + 2 <= m) {
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 2, vecs);
        i += 2;
    }
    if (i < m) block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 1, vecs);
}

/* C [m, n] = (add ? C fade : 0) + A [m, k] B [k, n], n a multiple of W; A with any strides; fade [n] or NULL. */
static __attribute__ ((noinline)) void product (float *c, int64_t ldc, const float *a, int64_t ars, int64_t acs,
                                                const float *b, int64_t ldb, int64_t m, int64_t n, int64_t k, bool add,
                                                const float *fade) {
    int64_t j = 0;
#define PANEL(vecs)                                                                                             \
    do {                                                                                                        \
        panel_product (c + j, ldc, a, ars, acs, b + j, ldb, m, k, add, fade != NULL ? fade + j : NULL, (vecs)); \
        j += (vecs) *W;                                                                                         \
    } while (0)
    while (j + NR * W <= n) PANEL (NR);
#if NR == 4
    if (j + 3 * W <= n) PANEL (3);
    if (j + 2 * W <= n) PANEL (2);
#endif
    while (j < n) PANEL (1);
#undef PANEL
}

#define BQ WB_ATT_Q
#define BK WB_ATT_K
_Static_assert(BK == WB_CACHE_BLOCK, "a block of keys is a block of the cache");

/* The lanes of a and b in turn: the first half of them, the second half. */
#if W == 16
#define INTERLEAVE_LO(a, b) SHUFFLE (a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HI(a, b) SHUFFLE (a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif W == 8
#define INTERLEAVE_LO(a, b) SHUFFLE (a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HI(a, b) SHUFFLE (a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LO(a, b) SHUFFLE (a, b, 0, 4, 1, 5)
#define INTERLEAVE_HI(a, b) SHUFFLE (a, b, 2, 6, 3, 7)
#endif

/* W vectors as a matrix, transposed: log2 W perfect shuffles. */
INLINE void transpose (vf m[W]) {
#pragma GCC unroll 4
    for (int stage = 1; stage < W; stage *= 2) {
        vf t[W];
#pragma GCC unroll 16
        for (int i = 0; i < W / 2; i++) {
            t[2 * i] = INTERLEAVE_LO (m[i], m[i + W / 2]);
            t[2 * i + 1] = INTERLEAVE_HI (m[i], m[i + W / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < W; i++) m[i] = t[i];
    }
}

/* to [D, BQ] = (from [nq, D])^T, lanes from nq on are 0. */
static void pack_lanes (float *restrict to, const float *restrict from, int64_t ld, int64_t nq, int64_t D) {
    if (nq < BQ) memset (to, 0, (size_t) (D * BQ) * sizeof (float));
    int64_t i = 0;
    for (; i + W <= nq; i += W) {
        int64_t d = 0;
        for (; d + W <= D; d += W) {
            vf m[W];
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) m[j] = vload (from + (i + j) * ld + d);
            transpose (m);
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) vstore (to + (d + j) * BQ + i, m[j]);
        }
        for (; d < D; d++)
            for (int j = 0; j < W; j++) to[d * BQ + i + j] = from[(i + j) * ld + d];
    }
    for (; i < nq; i++)
        for (int64_t d = 0; d < D; d++) to[d * BQ + i] = from[i * ld + d];
}

/* to [nq, D], rows ld apart = (from [D, BQ])^T, row i times a [i]. */
static void unpack_lanes (float *restrict to, int64_t ld, const float *restrict from, const float *restrict a,
                          int64_t nq, int64_t D) {
    int64_t i = 0;
    for (; i + W <= nq; i += W) {
        const vf s = vload (a + i);
        int64_t d = 0;
        for (; d + W <= D; d += W) {
            vf m[W];
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) m[j] = s * vload (from + (d + j) * BQ + i);
            transpose (m);
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) vstore (to + (i + j) * ld + d, m[j]);
        }
        for (; d < D; d++)
            for (int j = 0; j < W; j++) to[(i + j) * ld + d] = from[d * BQ + i + j] * a[i + j];
    }
    for (; i < nq; i++)
        for (int64_t d = 0; d < D; d++) to[i * ld + d] = from[d * BQ + i] * a[i];
}

/* to [nq, Dp] = a from [nq, D], columns from D on are 0. */
static void pack_rows (float *restrict to, int64_t Dp, const float *restrict from, int64_t ld, int64_t nq, int64_t D,
                       float a) {
    for (int64_t i = 0; i < nq; i++) {
        for (int64_t d = 0; d < D; d++) to[i * Dp + d] = a * from[i * ld + d];
        for (int64_t d = D; d < Dp; d++) to[i * Dp + d] = 0.0f;
    }
}

/* On the diagonal a block is worked on in steps of STEP keys, and in as few lanes as see any of them: the first lane
 * that key k0 + r asks for, and the keys that lane i has been given then. */
#define STEP WB_ATT_PAD
INLINE int64_t first_lane (int64_t q0, int64_t k0, int64_t r) {
    const int64_t i = k0 + r - q0;
    return r > 0 && i > 0 ? i / STEP * STEP : 0; /* the first step is done in all lanes */
}
INLINE int64_t keys_given (int64_t q0, int64_t k0, int64_t nk, int64_t i) {
    const int64_t r = q0 - k0 + i / STEP * STEP + STEP;
    return min64 (nk, r > STEP ? (r + STEP - 1) / STEP * STEP : STEP);
}
/* Does some query not see some key? */
INLINE bool on_diagonal (int64_t q0, int64_t k0, int64_t nk) { return k0 + nk - 1 > q0; }

/* S [nk, BQ] = A Q^T, A [nk, D] being the keys k0 .. (or their values), Q [D, BQ] the queries q0 .. . */
static void meet (float *s, const float *k, int64_t ldk, const float *qt, int64_t q0, int64_t k0, int64_t nk,
                  int64_t D) {
    if (!on_diagonal (q0, k0, nk)) {
        product (s, BQ, k, ldk, 1, qt, BQ, nk, BQ, D, false, NULL);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) {
        const int64_t i = first_lane (q0, k0, r);
        product (s + r * BQ + i, BQ, k + r * ldk, ldk, 1, qt + i, BQ, min64 (STEP, nk - r), BQ - i, D, false, NULL);
    }
}

/* The scores: minus infinity where the key comes after the query. */
static void scores (float *s, const float *k, int64_t ldk, const float *qt, int64_t q0, int64_t k0, int64_t nk,
                    int64_t D) {
    meet (s, k, ldk, qt, q0, k0, nk, D);
    for (int64_t r = q0 > k0 ? q0 - k0 : 0; r < nk; r++)
        for (int64_t i = first_lane (q0, k0, r / STEP * STEP); i < k0 + r - q0; i++) s[r * BQ + i] = -INFINITY;
}

/* O [D, BQ] = (add ? O fade : 0) + A^T P: A [nk, D], P [nk, BQ] as scores () leaves it. */
static void weigh (float *o, const float *a, int64_t lda, const float *p, int64_t q0, int64_t k0, int64_t nk, int64_t D,
                   bool add, const float *fade) {
    if (!on_diagonal (q0, k0, nk)) {
        product (o, BQ, a, 1, lda, p, BQ, D, BQ, nk, add, fade);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) { /* the first step fades or clears all lanes */
        const int64_t i = first_lane (q0, k0, r);
        product (o + i, BQ, a + r * lda, 1, lda, p + r * BQ + i, BQ, D, BQ - i, min64 (STEP, nk - r), add || r > 0,
                 r == 0 ? fade : NULL);
    }
}

/* dA [nk, Dp] += P G: P [nk, BQ] as scores () leaves it, G [nq, Dp]. */
static void spread (float *da, const float *p, const float *g, int64_t q0, int64_t nq, int64_t k0, int64_t nk,
                    int64_t Dp) {
    if (!on_diagonal (q0, k0, nk)) {
        product (da, Dp, p, BQ, 1, g, Dp, nk, Dp, nq, true, NULL);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) {
        const int64_t i = first_lane (q0, k0, r);
        product (da + r * Dp, Dp, p + r * BQ + i, BQ, 1, g + i * Dp, Dp, min64 (STEP, nk - r), Dp, nq - i, true, NULL);
    }
}

/* Scores are S = Q K^T, without the scale: in exp ((S - m) / sqrt D), what is rounded before the difference costs
 * 2^-24 |S| / sqrt D of every probability, what is rounded after it 2^-24 of the difference.  The factor for vexp2: */
INLINE float softmax_factor (int64_t D) { return (float) (1.44269504088896341 / sqrt ((double) D)); }

/* P = 2^(c (S - m)) in place over n keys of W lanes, m and the sum carried on; fade: what older sums shrink by. */
INLINE void softmax_lanes (float *s, float *mx, float *sum, float *fade, int64_t n, float c) {
    const vf old = vload (mx);
    vf m0 = old, m1 = old, m2 = old, m3 = old, sum0 = {0}, sum1 = {0};
    int64_t r = 0;
    for (; r + 4 <= n; r += 4) {
        m0 = vmax (vload (s + r * BQ), m0);
        m1 = vmax (vload (s + (r + 1) * BQ), m1);
        m2 = vmax (vload (s + (r + 2) * BQ), m2);
        m3 = vmax (vload (s + (r + 3) * BQ), m3);
    }
    for (; r < n; r++) m0 = vmax (vload (s + r * BQ), m0);
    m0 = vmax (vmax (m0, m1), vmax (m2, m3));
    for (r = 0; r + 2 <= n; r += 2) {
        const vf p0 = vexp2 (vload (s + r * BQ) - m0, c), p1 = vexp2 (vload (s + (r + 1) * BQ) - m0, c);
        vstore (s + r * BQ, p0);
        vstore (s + (r + 1) * BQ, p1);
        sum0 += p0;
        sum1 += p1;
    }
    if (r < n) {
        const vf p0 = vexp2 (vload (s + r * BQ) - m0, c);
        vstore (s + r * BQ, p0);
        sum0 += p0;
    }
    const vf a = vexp2 (old - m0, c);
    vstore (fade, a);
    vstore (mx, m0);
    vstore (sum, vload (sum) * a + (sum0 + sum1));
}

/* One block of queries against all the keys they see.  Queries are the lanes: scores lie as S [key, query], the sum as
 * O [D, query], so that maxima and sums run down the lanes and K and V are read where they are, a scalar at a time.
 * q [nq, D] are positions q0 ..; a block of keys lies `step` floats behind the one before; work: 2 D BQ + BK BQ
 * floats; lse [nq] may be NULL. */
static void attend_block (float *out, int64_t ldo, float *lse, const float *q, int64_t ldq, const float *k,
                          const float *v, int64_t ldk, int64_t step, int64_t q0, int64_t nq, int64_t D, float *work) {
    float *qt = work, *ot = qt + D * BQ, *s = ot + D * BQ;
    float mx[BQ], sum[BQ], fade[BQ];
    const float c = softmax_factor (D);
    pack_lanes (qt, q, ldq, nq, D);
    for (int i = 0; i < BQ; i++) {
        mx[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
        const int64_t nk = min64 (BK, q0 + nq - k0);
        scores (s, k + k0 / BK * step, ldk, qt, q0, k0, nk, D);
        for (int i = 0; i < BQ; i += W) softmax_lanes (s + i, mx + i, sum + i, fade + i, keys_given (q0, k0, nk, i), c);
        weigh (ot, v + k0 / BK * step, ldk, s, q0, k0, nk, D, k0 > 0, k0 > 0 ? fade : NULL);
    }
    for (int i = 0; i < BQ; i++) fade[i] = 1.0f / sum[i];
    unpack_lanes (out, ldo, ot, fade, nq, D);
    if (lse != NULL)
        for (int64_t i = 0; i < nq; i++) lse[i] = (float) ((double) mx[i] / sqrt ((double) D) + (double) logf (sum[i]));
}

/* Keys and values of a head side by side, rows of D floats.  In qkv their rows lie a multiple of 1 KiB apart, where
 * they crowd in a few sets of the cache; a copy costs 1/64 of the work of one block of queries. */
static void pack_keys (float *restrict k, float *restrict v, const float *restrict from, int64_t ld, int64_t step,
                       int64_t T, int64_t D) {
    for (int64_t t = 0; t < T; t++) {
        for (int64_t d = 0; d < D; d += 16) {
            __builtin_prefetch (from + (t + 16) * ld + d);
            __builtin_prefetch (from + (t + 16) * ld + step + d);
        }
        memcpy (k + t * D, from + t * ld, (size_t) D * sizeof (float));
        memcpy (v + t * D, from + t * ld + step, (size_t) D * sizeof (float));
    }
}

/* A task is every `groups`-th block of queries of one head, from the last one down, so that tasks are alike in length.
 * Blocks do not know of each other: the number of groups, chosen to feed all threads, does not show in the result. */
static void attention_forward (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                               int64_t D) {
    const int64_t ld = 3 * H * D, blocks = (T + BQ - 1) / BQ, per_thread = wb_att_thread_floats (T, D);
    const int64_t threads = omp_get_max_threads (), wanted = threads > 1 ? (4 * threads + B * H - 1) / (B * H) : 1;
    const int64_t groups = min64 (wanted, blocks);
#pragma omp parallel for schedule(dynamic) if (B * H * groups > 1)
    for (int64_t task = 0; task < B * H * groups; task++) {
        const int64_t bh = task % (B * H), b = bh / H, h = bh % H, last = blocks - 1 - task / (B * H);
        const float *q = qkv + b * T * ld + h * D;
        float *k = work + omp_get_thread_num () * per_thread, *v = k + T * D, *w = v + T * D;
        pack_keys (k, v, q + H * D, ld, H * D, min64 (T, (last + 1) * BQ), D);
        for (int64_t block = last; block >= 0; block -= groups) {
            const int64_t q0 = block * BQ;
            attend_block (out + ((b * T + q0) * H + h) * D, H * D, lse + bh * T + q0, q + q0 * ld, ld, k, v, D, BK * D,
                          q0, min64 (BQ, T - q0), D, w);
        }
    }
}

/* What one thread holds for the backward pass of a block of queries and a block of keys. */
typedef struct backward {
    float *qt, *gt, *dqt; /* [D, BQ] queries, dO and dQ as lanes */
    float *qr, *gr;       /* [BQ, Dp] queries (scaled) and dO as rows */
    float *p, *ds;        /* [BK, BQ] */
    float *more;          /* what is left of the work memory: 4 T Dp floats */
    float *lse, *delta;   /* [BQ], lse in units of the scores: times sqrt D */
    int64_t D, Dp, ld, ldo;
} backward_t;

static void backward_begin (backward_t *w, float *work, float *lanes, int64_t H, int64_t D) {
    const int64_t Dp = wb_att_pad (D);
    *w = (backward_t){.qt = work, .D = D, .Dp = Dp, .ld = 3 * H * D, .ldo = H * D, .lse = lanes, .delta = lanes + BQ};
    w->gt = w->qt + Dp * BQ;
    w->dqt = w->gt + Dp * BQ;
    w->p = w->dqt + Dp * BQ;
    w->ds = w->p + BK * BQ;
    w->qr = w->ds + BK * BQ;
    w->gr = w->qr + BQ * Dp;
    w->more = w->gr + BQ * Dp;
}

/* Pack the queries q [nq, D], their dO and delta = rowsum (dO O); rows: for dK and dV, too. */
static void backward_queries (backward_t *w, const float *q, const float *g, const float *o, const float *lse,
                              int64_t nq, bool rows) {
    const int64_t D = w->D, ldo = w->ldo;
    const float scale = 1.0f / sqrtf ((float) D);
    pack_lanes (w->qt, q, w->ld, nq, D);
    pack_lanes (w->gt, g, ldo, nq, D);
    if (rows) {
        pack_rows (w->qr, w->Dp, q, w->ld, nq, D, scale);
        pack_rows (w->gr, w->Dp, g, ldo, nq, D, 1.0f);
    }
    for (int64_t i = 0; i < BQ; i++) {
        vf sum = {0};
        for (int64_t d = 0; i < nq && d < D; d += W)
            sum += vload_some (g + i * ldo + d, D - d, 0.0f) * vload_some (o + i * ldo + d, D - d, 0.0f);
        w->delta[i] = vsum (sum);
        w->lse[i] = i < nq ? (float) ((double) lse[i] * sqrt ((double) D)) : 0.0f;
    }
}

/* P = exp (S / sqrt D - lse) and dS = P (dP - delta), S = Q K^T, dP = dO V^T, of one block of keys k, v [nk, D]. */
static void backward_scores (backward_t *w, const float *k, const float *v, int64_t q0, int64_t k0, int64_t nk) {
    const float c = softmax_factor (w->D);
    scores (w->p, k, w->D, w->qt, q0, k0, nk, w->D);
    meet (w->ds, v, w->D, w->gt, q0, k0, nk, w->D);
    for (int i = 0; i < BQ; i += W) {
        const vf l = vload (w->lse + i), dl = vload (w->delta + i);
        const int64_t n = on_diagonal (q0, k0, nk) ? keys_given (q0, k0, nk, i) : nk;
        float *pi = w->p + i, *di = w->ds + i;
        int64_t r = 0;
        for (; r + 2 <= n; r += 2) {
            const vf p0 = vexp2 (vload (pi + r * BQ) - l, c), p1 = vexp2 (vload (pi + (r + 1) * BQ) - l, c);
            vstore (pi + r * BQ, p0);
            vstore (pi + (r + 1) * BQ, p1);
            vstore (di + r * BQ, p0 * (vload (di + r * BQ) - dl));
            vstore (di + (r + 1) * BQ, p1 * (vload (di + (r + 1) * BQ) - dl));
        }
        if (r < n) {
            const vf p0 = vexp2 (vload (pi + r * BQ) - l, c);
            vstore (pi + r * BQ, p0);
            vstore (di + r * BQ, p0 * (vload (di + r * BQ) - dl));
        }
    }
}

static void backward_dq (const backward_t *w, float *dq, int64_t nq) {
    float back[BQ];
    for (int i = 0; i < BQ; i++) back[i] = 1.0f / sqrtf ((float) w->D);
    unpack_lanes (dq, w->ld, w->dqt, back, nq, w->D);
}

static void copy_rows (float *to, int64_t ldt, const float *from, int64_t ldf, int64_t n, int64_t D) {
    for (int64_t i = 0; i < n; i++) memcpy (to + i * ldt, from + i * ldf, (size_t) D * sizeof (float));
}

/* One head: for each block of queries, P again from lse, then with S = Q K^T, O = P V, delta = rowsum (dO O)
 *   dV += P^T dO,  dP = dO V^T,  dS = P (dP - delta),  dQ = dS K,  dK += dS^T Q   (Dao et al., appendix B.4). */
static void backward_head (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                           float *work, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t Dp = w.Dp, Tp = wb_att_pad (T);
    float *dk = w.more, *dv = dk + Tp * Dp, *k = dv + Tp * Dp, *v = k + Tp * Dp;
    pack_keys (k, v, q + H * D, w.ld, H * D, T, D);
    memset (dk, 0, (size_t) (2 * Tp * Dp) * sizeof (float));
    for (int64_t q0 = 0; q0 < T; q0 += BQ) {
        const int64_t nq = min64 (BQ, T - q0);
        backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, true);
        for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
            const int64_t nk = min64 (BK, q0 + nq - k0);
            backward_scores (&w, k + k0 * D, v + k0 * D, q0, k0, nk);
            weigh (w.dqt, k + k0 * D, D, w.ds, q0, k0, nk, D, k0 > 0, NULL);
            spread (dv + k0 * Dp, w.p, w.gr, q0, nq, k0, nk, Dp);
            spread (dk + k0 * Dp, w.ds, w.qr, q0, nq, k0, nk, Dp);
        }
        backward_dq (&w, dq + q0 * w.ld, nq);
    }
    copy_rows (dq + H * D, w.ld, dk, Dp, T, D);
    copy_rows (dq + 2 * H * D, w.ld, dv, Dp, T, D);
}

/* The same cut smaller: dQ of one block of queries, dK and dV of one block of keys.  S and dP are made twice, 7
 * products instead of 5; the sums run in the same order, to the same bits. */
static void backward_query_block (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                                  float *work, int64_t q0, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t nq = min64 (BQ, T - q0);
    float *k = w.more, *v = k + BK * D;
    backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, false);
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
        const int64_t nk = min64 (BK, q0 + nq - k0);
        pack_keys (k, v, q + k0 * w.ld + H * D, w.ld, H * D, nk, D);
        backward_scores (&w, k, v, q0, k0, nk);
        weigh (w.dqt, k, D, w.ds, q0, k0, nk, D, k0 > 0, NULL);
    }
    backward_dq (&w, dq + q0 * w.ld, nq);
}
static void backward_key_block (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                                float *work, int64_t k0, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t n = min64 (BK, T - k0), Dp = w.Dp;
    float *dk = w.more, *dv = dk + n * Dp, *k = dv + n * Dp, *v = k + n * D;
    pack_keys (k, v, q + k0 * w.ld + H * D, w.ld, H * D, n, D);
    memset (dk, 0, (size_t) (2 * n * Dp) * sizeof (float));
    for (int64_t q0 = k0; q0 < T; q0 += BQ) { /* blocks of queries and of keys begin at the same positions */
        const int64_t nq = min64 (BQ, T - q0), nk = min64 (BK, q0 + nq - k0);
        backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, true);
        backward_scores (&w, k, v, q0, k0, nk);
        spread (dv, w.p, w.gr, q0, nq, k0, nk, Dp);
        spread (dk, w.ds, w.qr, q0, nq, k0, nk, Dp);
    }
    copy_rows (dq + k0 * w.ld + H * D, w.ld, dk, Dp, n, D);
    copy_rows (dq + k0 * w.ld + 2 * H * D, w.ld, dv, Dp, n, D);
}

/* A head a thread, or blocks of heads where that leaves too many threads idle.  The same bits either way. */
static void attention_backward (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                float *work, int64_t B, int64_t T, int64_t H, int64_t D) {
    const int64_t per_thread = wb_att_thread_floats (T, D), ld = 3 * H * D, heads = B * H;
    const int64_t threads = omp_get_max_threads (), blocks = (T + BQ - 1) / BQ;
    const bool cut = BQ == BK && blocks > 1 && 7 * heads < 5 * threads * ((heads + threads - 1) / threads);
    const int64_t tasks = cut ? 2 * blocks * heads : heads;
#pragma omp parallel for schedule(dynamic) if (tasks > 1)
    for (int64_t task = 0; task < tasks; task++) { /* the longest first */
        const int64_t bh = task % heads, b = bh / H, h = bh % H, at = b * T * ld + h * D, ato = b * T * H * D + h * D;
        const int64_t part = task / heads, block = part / 2;
        float *dq = dqkv + at, *mine = work + omp_get_thread_num () * per_thread;
        const float *g = dout + ato, *o = out + ato, *l = lse + bh * T, *q = qkv + at;
        if (!cut)
            backward_head (dq, g, o, l, q, mine, T, H, D);
        else if (part % 2 == 0)
            backward_key_block (dq, g, o, l, q, mine, block * BK, T, H, D);
        else
            backward_query_block (dq, g, o, l, q, mine, (blocks - 1 - block) * BQ, T, H, D);
    }
}

/* ---- attention to a cache ---------------------------------------------------------------------------------------- */

/* Keys of head h in the block of the cache that holds position t; behind them, CACHED_VALUES on, the values. */
static int64_t cached_at (int64_t t, int64_t h, int64_t H, int64_t D) {
    return (t / WB_CACHE_BLOCK * H + h) * 2 * WB_CACHE_BLOCK * D;
}
#define CACHED_VALUES(D) (WB_CACHE_BLOCK * (D))

/* New keys and values into the cache; threads take positions in turn. */
static void remember (const wb_cached_t *seqs, int nseq, int64_t H, int64_t D, int me, int threads) {
    int64_t row = 0;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++)
        for (int64_t i = 0; i < c->n; i++, row++) {
            if (row % threads != me) continue;
            const int64_t t = c->len - c->n + i;
            for (int64_t h = 0; h < H; h++) {
                const float *k = c->qkv + i * 3 * H * D + (H + h) * D, *v = k + H * D;
                float *to = c->cache + cached_at (t, h, H, D) + t % WB_CACHE_BLOCK * D;
                memcpy (to, k, (size_t) D * sizeof (float));
                memcpy (to + CACHED_VALUES (D), v, (size_t) D * sizeof (float));
            }
        }
}

/* Sums of a row of k times q: vecs vectors, or D floats where vecs is 0. */
INLINE vf key_sums (const float *q, const float *k, int64_t D, const int vecs) {
    vf t = {0};
    int64_t d = 0;
#pragma GCC unroll 8
    for (; d < vecs * W; d += W) t += vload (q + d) * vload (k + d);
    for (; d + W <= D; d += W) t += vload (q + d) * vload (k + d);
    if (vecs == 0 && d < D) t += vload_part (q + d, D - d, 0.0f) * vload_part (k + d, D - d, 0.0f);
    return t;
}

/* s [n rounded up to W] = k q, k [n, D], -infinity behind; their maximum.  Rows one after the other, in the order in
 * which they lie; nothing is asked for ahead, which only takes the place of what the processor fetches by itself. */
INLINE float key_scores (float *s, const float *q, const float *k, int64_t n, int64_t D, const int vecs) {
    vf most = vset (-INFINITY), t[W];
    for (int64_t r = 0; r < n; r += W) {
#pragma GCC unroll 1
        for (int64_t i = 0; i < W; i++) t[i] = r + i < n ? key_sums (q, k + (r + i) * D, D, vecs) : vset (-INFINITY);
        const vf sums = vsums (t);
        vstore (s + r, sums);
        most = vmax (sums, most);
    }
    return vmax_lanes (most);
}

/* o [vecs W] = p v over rows of v [n, vecs W], D apart. */
INLINE void add_values (float *o, const float *p, const float *v, int64_t n, int64_t D, const int vecs) {
    vf a[8];
#pragma GCC unroll 8
    for (int i = 0; i < vecs; i++) a[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t r = 0; r < n; r++) {
        const vf pr = vset (p[r]);
#pragma GCC unroll 8
        for (int i = 0; i < vecs; i++) a[i] += pr * vload (v + r * D + i * W);
    }
#pragma GCC unroll 8
    for (int i = 0; i < vecs; i++) vstore (o + i * W, a[i]);
}

/* What a query gets from n keys and values of a block: their greatest score, the sum of their weights relative to it,
 * and the weighted sum of values [D]. */
typedef struct share {
    float most, sum, *values;
} share_t;

static share_t share_at (float *work, int64_t i, int64_t D) {
    float *p = work + i * wb_att_share_floats (D);
    return (share_t){.most = p[D], .sum = p[D + 1], .values = p};
}

/* The lanes run along D. */
static void attend_one (float *share, const float *q, const float *k, int64_t n, int64_t D) {
    const float *v = k + CACHED_VALUES (D), c = softmax_factor (D);
    float s[WB_CACHE_BLOCK];
    const float most = D == 4 * W   ? key_scores (s, q, k, n, D, 4)
                       : D == 8 * W ? key_scores (s, q, k, n, D, 8)
                                    : key_scores (s, q, k, n, D, 0);
    vf sum = {0};
    for (int64_t r = 0; r < n; r += W) {
        const vf p = vexp2 (vload (s + r) - most, c);
        vstore (s + r, p);
        sum += p;
    }
    int64_t d = 0;
    for (; d + 8 * W <= D; d += 8 * W) add_values (share + d, s, v + d, n, D, 8);
    for (; d + 4 * W <= D; d += 4 * W) add_values (share + d, s, v + d, n, D, 4);
    for (; d + W <= D; d += W) add_values (share + d, s, v + d, n, D, 1);
    if (d < D) {
        vf a = {0};
        for (int64_t r = 0; r < n; r++) a += s[r] * vload_part (v + r * D + d, D - d, 0.0f);
        vstore_some (share + d, a, D - d);
    }
    share[D] = most;
    share[D + 1] = vsum (sum);
}

/* The shares of a query in the order of the blocks, `apart` shares from one to the next. */
static void merge_shares (float *restrict out, float *work, int64_t blocks, int64_t apart, int64_t D) {
    const float c = softmax_factor (D);
    float most = share_at (work, 0, D).most, sum = 0.0f;
    for (int64_t b = 1; b < blocks; b++) most = fmaxf (most, share_at (work, b * apart, D).most);
    for (int64_t b = 0; b < blocks; b++) {
        const share_t s = share_at (work, b * apart, D);
        const float a = vexp2 (vset (s.most - most), c)[0];
        sum += a * s.sum;
        for (int64_t d = 0; d < D; d++) out[d] = (b > 0 ? out[d] : 0.0f) + a * s.values[d];
    }
    for (int64_t d = 0; d < D; d++) out[d] /= sum;
}

static int64_t blocks_of (const wb_cached_t *c) { return (c->len + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK; }

/* Sequences with one new position, block by block: a thread takes pieces that lie one behind the other. */
static void attend_singles (const wb_cached_t *seqs, float *shares, int nseq, int64_t H, int64_t D, int me,
                            int threads) {
    int64_t blocks = 0, at = 0;
    for (int i = 0; i < nseq; i++) blocks += seqs[i].n == 1 ? blocks_of (&seqs[i]) : 0;
    const int64_t cuts = blocks > 0 ? min64 (H, (4 * threads + blocks - 1) / blocks) : 1; /* of the heads of a block */
    const int64_t lo = blocks * cuts * me / threads, hi = blocks * cuts * (me + 1) / threads;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
        if (c->n != 1) continue;
        for (int64_t b = 0; b < blocks_of (c); b++, at++) {
            const int64_t t = b * WB_CACHE_BLOCK, n = min64 (WB_CACHE_BLOCK, c->len - t);
            for (int64_t cut = 0; cut < cuts; cut++) {
                if (at * cuts + cut < lo || at * cuts + cut >= hi) continue;
                for (int64_t h = H * cut / cuts; h < H * (cut + 1) / cuts; h++)
                    attend_one (shares + (at * H + h) * wb_att_share_floats (D), c->qkv + h * D,
                                c->cache + cached_at (t, h, H, D), n, D);
            }
        }
    }
}

static void finish_singles (const wb_cached_t *seqs, float *shares, int nseq, int64_t H, int64_t D, int me,
                            int threads) {
    int64_t at = 0, task = 0;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
        if (c->n != 1) continue;
        for (int64_t h = 0; h < H; h++, task++)
            if (task % threads == me)
                merge_shares (c->out + h * D, shares + (at * H + h) * wb_att_share_floats (D), blocks_of (c), H, D);
        at += blocks_of (c);
    }
}

static void attention_cached (const wb_cached_t *seqs, float *work, int nseq, int64_t H, int64_t D) {
    const int64_t per_thread = wb_att_thread_floats (0, D);
    float *shares = work + omp_get_max_threads () * per_thread;
    int64_t scores = 0;
    bool singles = false;
    for (int i = 0; i < nseq; i++) {
        scores += seqs[i].n * seqs[i].len;
        singles = singles || seqs[i].n == 1;
    }
#pragma omp parallel if (scores * H * D >= PARALLEL_MIN)
    {
        const int me = omp_get_thread_num (), threads = omp_get_num_threads ();
        remember (seqs, nseq, H, D, me, threads);
#pragma omp barrier
        attend_singles (seqs, shares, nseq, H, D, me, threads);
        for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
            const int64_t blocks = c->n > 1 ? (c->n + BQ - 1) / BQ : 0;
#pragma omp for schedule(dynamic) nowait
            for (int64_t task = 0; task < H * blocks; task++) { /* the longest first */
                const int64_t h = task % H, i = (blocks - 1 - task / H) * BQ;
                const float *k = c->cache + h * 2 * CACHED_VALUES (D);
                attend_block (c->out + (i * H + h) * D, H * D, NULL, c->qkv + (i * 3 * H + h) * D, 3 * H * D, k,
                              k + CACHED_VALUES (D), D, H * 2 * CACHED_VALUES (D), c->len - c->n + i,
                              min64 (BQ, c->n - i), D, work + me * per_thread);
            }
        }
        if (singles) {
#pragma omp barrier
            finish_singles (seqs, shares, nseq, H, D, me, threads);
        }
    }
}

/* ---- cross entropy ----------------------------------------------------------------------------------------------- */

static void xent_max (float *mx, const float *logits, int64_t n, int64_t V, int64_t ld) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        const float *x = logits + i * ld;
        vf m0 = vset (-INFINITY), m1 = m0;
        int64_t j = 0;
        for (; j + 2 * W <= V; j += 2 * W) {
            m0 = vmax (vload (x + j), m0);
            m1 = vmax (vload (x + j + W), m1);
        }
        for (; j < V; j += W) m0 = vmax (vload_some (x + j, V - j, -INFINITY), m0);
        mx[i] = vmax_lanes (vmax (m0, m1));
    }
}

static void xent_sum (float *sum, float *hit, const float *logits, const float *mx, const int32_t *targets, int64_t n,
                      int64_t V, int64_t ld, int64_t v0) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        const float *x = logits + i * ld, m = mx[i];
        const int64_t t = targets[i] < 0 ? -1 : targets[i] - v0;
        double total = 0;
        for (int64_t j0 = 0; j0 < V; j0 += 1024) { /* short sums in float, their sum in double */
            const int64_t j1 = min64 (V, j0 + 1024);
            vf s0 = {0}, s1 = {0};
            int64_t j = j0;
            for (; j + 2 * W <= j1; j += 2 * W) {
                ahead (x + j);
                ahead (x + j + W);
                s0 += vexp (vload (x + j) - m);
                s1 += vexp (vload (x + j + W) - m);
            }
            for (; j < j1; j += W) s0 += vexp (vload_some (x + j, j1 - j, -INFINITY) - m);
            total += (double) vsum (s0 + s1);
        }
        sum[i] = (float) total;
        hit[i] = t >= 0 && t < V ? x[t] : 0.0f;
    }
}

static void xent_backward (float *logits, const float *mx, const float *sum, const int32_t *targets, int64_t n,
                           int64_t V, int64_t ld, int64_t v0, float scale) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        float *x = logits + i * ld;
        if (targets[i] < 0) {
            memset (x, 0, (size_t) V * sizeof (float));
            continue;
        }
        const int64_t t = targets[i] - v0;
        const float m = mx[i], a = scale / sum[i];
        for (int64_t j = 0; j < V; j += W) {
            ahead (x + j);
            vstore_some (x + j, vexp (vload_some (x + j, V - j, 0.0f) - m) * a, V - j);
        }
        if (t >= 0 && t < V) x[t] -= scale;
    }
}

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

static void add (float *y, const float *x, int64_t n) { IN_RANGES (n, add_row (y + lo, x + lo, hi - lo)); }

static void scale_range (float *x, float a, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= a;
}
static void scale (float *x, float a, int64_t n) { IN_RANGES (n, scale_range (x + lo, a, hi - lo)); }

#define SUM_BLOCK 8192 /* elements whose squares one thread adds */
#define SUM_BLOCKS 512 /* sums that wait for their turn on the stack */

/* 16 sums side by side, whatever the width of a vector: the same bits from every instruction set. */
static double sumsq_block (const float *restrict x, int64_t n) {
    double s[16] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) s[j] += (double) x[i + j] * (double) x[i + j];
    for (; i < n; i++) rest += (double) x[i] * (double) x[i];
    for (int h = 8; h > 0; h /= 2)
        for (int j = 0; j < h; j++) s[j] += s[j + h];
    return s[0] + rest;
}

static double sumsq (const float *x, int64_t n) {
    double part[SUM_BLOCKS], total = 0;
    for (int64_t at = 0; at < n; at += (int64_t) SUM_BLOCK * SUM_BLOCKS) {
        const int64_t here = min64 (n - at, (int64_t) SUM_BLOCK * SUM_BLOCKS),
                      blocks = (here + SUM_BLOCK - 1) / SUM_BLOCK;
#pragma omp parallel for schedule(static) if (here >= PARALLEL_MIN)
        for (int64_t b = 0; b < blocks; b++)
            part[b] = sumsq_block (x + at + b * SUM_BLOCK, min64 (SUM_BLOCK, here - b * SUM_BLOCK));
        for (int64_t b = 0; b < blocks; b++) total += part[b];
    }
    return total;
}

INLINE uint32_t float_bits (float f) {
    uint32_t u;
    memcpy (&u, &f, sizeof u);
    return u;
}
INLINE float bits_float (uint32_t u) {
    float f;
    memcpy (&f, &u, sizeof f);
    return f;
}

static void bf16_pack_range (uint16_t *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = float_bits (x[i]), even = u + 0x7fff + (u >> 16 & 1);
        out[i] = (uint16_t) (((u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : even) >> 16);
    }
}
static void bf16_pack (uint16_t *out, const float *x, int64_t n) {
    IN_RANGES (n, bf16_pack_range (out + lo, x + lo, hi - lo));
}

static void bf16_unpack_range (float *restrict out, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bits_float ((uint32_t) x[i] << 16);
}
static void bf16_unpack (float *out, const uint16_t *x, int64_t n) {
    IN_RANGES (n, bf16_unpack_range (out + lo, x + lo, hi - lo));
}

static void bf16_add_range (float *restrict y, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += bits_float ((uint32_t) x[i] << 16);
}
static void bf16_add (float *y, const uint16_t *x, int64_t n) {
    IN_RANGES (n, bf16_add_range (y + lo, x + lo, hi - lo));
}

/* ---- optimizers -------------------------------------------------------------------------------------------------- */

static void adam_range (float *restrict w, float *restrict m, float *restrict v, const float *restrict g, int64_t n,
                        float step, float b1, float b2, float eps, float decay, float gscale) {
    const float keep = 1.0f - decay, c1 = 1.0f - b1, c2 = 1.0f - b2;
    for (int64_t i = 0; i < n; i++) {
        const float gi = gscale * g[i];
        m[i] = b1 * m[i] + c1 * gi;
        v[i] = b2 * v[i] + c2 * (gi * gi);
        w[i] = keep * w[i] - step * (m[i] / (sqrtf (v[i]) + eps));
    }
}
static void adam (float *w, float *m, float *v, const float *g, int64_t n, float step, float b1, float b2, float eps,
                  float decay, float gscale) {
    IN_RANGES (n, adam_range (w + lo, m + lo, v + lo, g + lo, hi - lo, step, b1, b2, eps, decay, gscale));
}

static void adagrad_range (float *restrict w, float *restrict h, const float *restrict g, int64_t n, float step,
                           float eps, float decay, float gscale) {
    const float keep = 1.0f - decay;
    for (int64_t i = 0; i < n; i++) {
        const float gi = gscale * g[i];
        h[i] += gi * gi;
        w[i] = keep * w[i] - step * (gi / (sqrtf (h[i]) + eps));
    }
}
static void adagrad (float *w, float *h, const float *g, int64_t n, float step, float eps, float decay, float gscale) {
    IN_RANGES (n, adagrad_range (w + lo, h + lo, g + lo, hi - lo, step, eps, decay, gscale));
}

static void sgd_range (float *restrict w, const float *restrict g, int64_t n, float step, float decay, float gscale) {
    const float keep = 1.0f - decay;
    for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - step * (gscale * g[i]);
}
static void sgd (float *w, const float *g, int64_t n, float step, float decay, float gscale) {
    IN_RANGES (n, sgd_range (w + lo, g + lo, hi - lo, step, decay, gscale));
}

/* No restrict: u may be g. */
static void momentum_range (float *u, float *restrict m, const float *g, int64_t n, float mu, float gscale,
                            bool nesterov) {
    const float ahead = nesterov ? mu : 1.0f, now = nesterov ? gscale : 0.0f;
    for (int64_t i = 0; i < n; i++) {
        const float gi = g[i], mi = mu * m[i] + gscale * gi;
        m[i] = mi;
        u[i] = now * gi + ahead * mi;
    }
}
static void momentum (float *u, float *m, const float *g, int64_t n, float mu, float gscale, bool nesterov) {
    IN_RANGES (n, momentum_range (u + lo, m + lo, g + lo, hi - lo, mu, gscale, nesterov));
}

/* ---- the peak ---------------------------------------------------------------------------------------------------- */

/* Twelve independent chains: more than latency times ports (4 x 2), fewer than the registers. */
double ISA_NAME (wb_simd_fma_) (int64_t rounds, float *sink) {
    vf s0 = vset (0.0f), s1 = vset (0.1f), s2 = vset (0.2f), s3 = vset (0.3f), s4 = vset (0.4f), s5 = vset (0.5f);
    vf s6 = vset (0.6f), s7 = vset (0.7f), s8 = vset (0.8f), s9 = vset (0.9f), sa = vset (1.0f), sb = vset (1.1f);
    const vf a = vset (0.999f), b = vset (*sink + 0.001f);
    for (int64_t i = 0; i < rounds; i++) {
        s0 = s0 * a + b;
        s1 = s1 * a + b;
        s2 = s2 * a + b;
        s3 = s3 * a + b;
        s4 = s4 * a + b;
        s5 = s5 * a + b;
        s6 = s6 * a + b;
        s7 = s7 * a + b;
        s8 = s8 * a + b;
        s9 = s9 * a + b;
        sa = sa * a + b;
        sb = sb * a + b;
    }
    *sink = vsum (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + ((s8 + s9) + (sa + sb)));
    return (double) rounds * 12 * W * 2;
}

const wb_kern_t ISA_NAME (wb_kern_table_) = {
    STR (WB_KERN_ISA),
    embed_forward,
    embed_backward,
    layernorm_forward,
    layernorm_backward,
    bias_add,
    bias_backward,
    bias_gelu_forward,
    gelu_forward,
    gelu_backward,
    bias_residual,
    residual_layernorm,
    attention_forward,
    attention_backward,
    attention_cached,
    xent_max,
    xent_sum,
    xent_backward,
    add,
    scale,
    sumsq,
    bf16_pack,
    bf16_unpack,
    bf16_add,
    adam,
    adagrad,
    sgd,
    momentum,
    ISA_NAME (wb_panel_linear_),
};
