/* Elementwise kernels: sums, bf16, and one pass of each optimizer.  Compiled once an instruction set.
 *
 * Plain loops for the compiler's vectoriser. */
#include "config.h"

#include <math.h>

#include "kernels/ranges.h"

void KERNEL (add) (float *y, const float *x, int64_t n) { IN_RANGES (n, add_row (y + lo, x + lo, hi - lo)); }

static void scale_range (float *x, float a, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= a;
}
void KERNEL (scale) (float *x, float a, int64_t n) { IN_RANGES (n, scale_range (x + lo, a, hi - lo)); }

#define SUM_BLOCK WB_SUM_BLOCK
#define SUM_BLOCKS 512 /* sums of blocks kept on the stack at once */

/* Always 16 partial sums, whatever the width of a vector: the same bits from every instruction set. */
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

double KERNEL (sumsq) (const float *x, int64_t n) {
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

/* ---- brain floats ------------------------------------------------------------------------------------------------ */

void KERNEL (bf16_pack) (uint16_t *out, const float *x, int64_t n) {
    IN_RANGES (n, bf16_pack_row (out + lo, x + lo, hi - lo));
}

void KERNEL (bf16_unpack) (float *out, const uint16_t *x, int64_t n) {
    IN_RANGES (n, bf16_unpack_row (out + lo, x + lo, hi - lo));
}

static void bf16_add_range (float *restrict y, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += bits_float ((uint32_t) x[i] << 16);
}
void KERNEL (bf16_add) (float *y, const uint16_t *x, int64_t n) {
    IN_RANGES (n, bf16_add_range (y + lo, x + lo, hi - lo));
}

static void bf16_round_range (float *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bits_float ((uint32_t) half_of (x[i]) << 16);
}
void KERNEL (bf16_round) (float *out, const float *x, int64_t n) {
    IN_RANGES (n, bf16_round_range (out + lo, x + lo, hi - lo));
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
void KERNEL (adam) (float *w, float *m, float *v, const float *g, int64_t n, float step, float b1, float b2, float eps,
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
void KERNEL (adagrad) (float *w, float *h, const float *g, int64_t n, float step, float eps, float decay,
                       float gscale) {
    IN_RANGES (n, adagrad_range (w + lo, h + lo, g + lo, hi - lo, step, eps, decay, gscale));
}

static void sgd_range (float *restrict w, const float *restrict g, int64_t n, float step, float decay, float gscale) {
    const float keep = 1.0f - decay;
    for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - step * (gscale * g[i]);
}
void KERNEL (sgd) (float *w, const float *g, int64_t n, float step, float decay, float gscale) {
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
void KERNEL (momentum) (float *u, float *m, const float *g, int64_t n, float mu, float gscale, bool nesterov) {
    IN_RANGES (n, momentum_range (u + lo, m + lo, g + lo, hi - lo, mu, gscale, nesterov));
}
