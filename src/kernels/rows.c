/* The kernels of the residual stream, row by row: embedding, LayerNorm, biases, GELU.  Compiled once an instruction
 * set.
 *
 * GELU and its derivative are computed as z sigmoid (2 u): this keeps the relative, not only the absolute, accuracy for
 * negative z.
 *
 * Not here: elementwise kernels that know no rows (update.c). */
#include "config.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels/ranges.h"
#include "kernels/vmath.h"

/* ---- embedding --------------------------------------------------------------------------------------------------- */

void KERNEL (embed_forward) (float *out, const int32_t *tokens, const float *wte, const float *wpe, int64_t n,
                             int64_t T, int64_t C, int64_t v0, int64_t v1, int64_t pos0) {
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

void KERNEL (embed_backward) (float *dwte, float *dwpe, const float *dout, const int32_t *tokens, int64_t n, int64_t T,
                              int64_t C, int64_t v0, int64_t v1) {
    const int64_t w = wb_cut_slice (C, omp_get_max_threads ());
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

/* Two passes, for mean and variance: the row is in cache by then. */
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

void KERNEL (layernorm_forward) (float *out, float *mean, float *rstd, const float *x, const float *g, const float *b,
                                 int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= WB_PARALLEL_MIN_DEAR)
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

typedef struct layernorm_sums {
    const float *dout, *x, *mean, *rstd;
    int64_t C;
} layernorm_sums_t;

/* Of dg, then of db. */
static void layernorm_group (const void *job, float *restrict s, int64_t second, int64_t i0, int64_t i1, int64_t c,
                             int64_t k) {
    const layernorm_sums_t *t = job;
    float *restrict sb = s + second;
    memset (s, 0, (size_t) k * sizeof *s);
    memset (sb, 0, (size_t) k * sizeof *sb);
    for (int64_t i = i0; i < i1; i++) {
        const float *restrict dy = t->dout + i * t->C + c, *restrict xi = t->x + i * t->C + c;
        const float m = t->mean[i], r = t->rstd[i];
        for (int64_t j = 0; j < k; j++) {
            s[j] += dy[j] * ((xi[j] - m) * r);
            sb[j] += dy[j];
        }
    }
}

void KERNEL (layernorm_backward) (float *dx, float *dg, float *db, const float *dout, const float *x, const float *mean,
                                  const float *rstd, const float *g, int64_t n, int64_t C) {
    const layernorm_sums_t job = {dout, x, mean, rstd, C};
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) layernorm_dx_row (dx + i * C, dout + i * C, x + i * C, mean[i], rstd[i], g, C);
    if (dg != NULL) sum_rows ((float *const[]){dg, db}, 2, layernorm_group, &job, n, C);
}

/* ---- bias, GELU, residual ---------------------------------------------------------------------------------------- */

void KERNEL (bias_add) (float *y, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) add_row (y + i * m, b, m);
}

typedef struct bias_sums {
    const float *dy;
    int64_t m;
} bias_sums_t;

static void bias_group (const void *job, float *restrict s, int64_t second, int64_t i0, int64_t i1, int64_t c,
                        int64_t k) {
    const bias_sums_t *t = job;
    int64_t i = i0;
    (void) second;
    memset (s, 0, (size_t) k * sizeof *s);
    for (; i + 4 <= i1; i += 4) {
        const float *restrict y0 = t->dy + i * t->m + c, *restrict y1 = y0 + t->m;
        const float *restrict y2 = y1 + t->m, *restrict y3 = y2 + t->m;
        for (int64_t j = 0; j < k; j++) s[j] += (y0[j] + y1[j]) + (y2[j] + y3[j]);
    }
    for (; i < i1; i++) add_row (s, t->dy + i * t->m + c, k);
}

void KERNEL (bias_backward) (float *db, const float *dy, int64_t n, int64_t m) {
    sum_rows (&db, 1, bias_group, &(bias_sums_t){dy, m}, n, m);
}

static void gelu_range (float *out, const float *z, int64_t n) {
    for (int64_t i = 0; i < n; i += W) {
        prefetch_ahead (z + i);
        vstore_some (out + i, vgelu (vload_some (z + i, n - i, 0.0f)), n - i);
    }
}

void KERNEL (bias_gelu_forward) (float *out, float *z, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < m; j += W) {
            const int64_t k = m - j;
            prefetch_ahead (z + i * m + j);
            const vf x = vload_some (z + i * m + j, k, 0.0f) + vload_some (b + j, k, 0.0f);
            vstore_some (z + i * m + j, x, k);
            vstore_some (out + i * m + j, vgelu (x), k);
        }
    }
}

void KERNEL (gelu_forward) (float *out, const float *z, int64_t n) {
    IN_RANGES_FROM (WB_PARALLEL_MIN_DEAR, n, gelu_range (out + lo, z + lo, hi - lo));
}

typedef struct gelu_sums {
    float *dz;
    const float *dout, *z;
    int64_t m;
} gelu_sums_t;

/* db is summed while dz is computed. */
static void gelu_group (const void *job, float *s, int64_t second, int64_t i0, int64_t i1, int64_t c, int64_t k) {
    const gelu_sums_t *t = job;
    (void) second;
    for (int64_t j = 0; j < k; j += W) vstore (s + j, (vf){0});
    for (int64_t i = i0; i < i1; i++) {
        const float *zi = t->z + i * t->m + c, *di = t->dout + i * t->m + c;
        float *to = t->dz + i * t->m + c;
        for (int64_t j = 0; j < k; j += W) {
            __builtin_prefetch (zi + t->m + j);
            __builtin_prefetch (di + t->m + j);
            const vf d = vload_some (di + j, k - j, 0.0f) * vgelu_slope (vload_some (zi + j, k - j, 0.0f));
            vstore_some (to + j, d, k - j);
            vstore (s + j, vload (s + j) + d);
        }
    }
}

void KERNEL (gelu_backward) (float *dz, float *db, const float *dout, const float *z, int64_t n, int64_t m) {
    sum_rows (&db, 1, gelu_group, &(gelu_sums_t){dz, dout, z, m}, n, m);
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

void KERNEL (bias_residual) (float *out, const float *x, const float *y, const float *b, int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) residual_row (out + i * C, x + i * C, y + i * C, b, C);
}

void KERNEL (residual_layernorm) (float *out, float *mean, float *rstd, float *sum, const float *x, const float *y,
                                  const float *bias, const float *g, const float *b, int64_t n, int64_t C) {
#pragma omp parallel for schedule(static) if (n * C >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        residual_row (sum + i * C, x + i * C, y + i * C, bias, C);
        layernorm_row (out + i * C, mean + i, rstd + i, sum + i * C, g, b, C);
    }
}
