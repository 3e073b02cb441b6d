/* Rows whose results are brain floats: what products take, and what is kept for the backward pass.  Compiled once an
 * instruction set.
 *
 * Each does in one pass what a kernel of rows.c and conversions do in several: the rows are in cache, and memory sees
 * half of the bytes.
 *
 * Not here: conversions by themselves (update.c). */
#include "config.h"

#include "kernels/ranges.h"
#include "kernels/vmath.h"

/* Elements that are worked on at once, in first-level cache. */
#define PIECE ((int64_t) 512)

void KERNEL (bias_add_half) (float *y, uint16_t *half, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j += PIECE) {
            const int64_t k = min64 (PIECE, m - j), at = i * m + j;
            add_row (y + at, b + j, k);
            bf16_pack_row (half + at, y + at, k);
            bf16_unpack_row (y + at, half + at, k);
        }
}

/* g = gelu (z) of k elements, z being brain floats already. */
static void gelu_piece (uint16_t *g, const uint16_t *z, int64_t k) {
    float t[PIECE];
    bf16_unpack_row (t, z, k);
    for (int64_t i = 0; i < k; i += W) vstore_some (t + i, vgelu (vload_some (t + i, k - i, 0.0f)), k - i);
    bf16_pack_row (g, t, k);
}

void KERNEL (bias_gelu_half) (uint16_t *g, uint16_t *half, const float *z, const float *b, int64_t n, int64_t m) {
#pragma omp parallel for schedule(static) if (n * m >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j += PIECE) {
            const int64_t k = min64 (PIECE, m - j), at = i * m + j;
            float t[PIECE];
            for (int64_t c = 0; c < k; c++) t[c] = z[at + c] + b[j + c];
            bf16_pack_row (half + at, t, k);
            gelu_piece (g + at, half + at, k);
        }
}

static void gelu_range (uint16_t *g, const uint16_t *z, int64_t n) {
    for (int64_t i = 0; i < n; i += PIECE) gelu_piece (g + i, z + i, min64 (PIECE, n - i));
}

void KERNEL (gelu_half) (uint16_t *g, const uint16_t *z, int64_t n) {
    IN_RANGES (n, gelu_range (g + lo, z + lo, hi - lo));
}

typedef struct half_sums {
    float *dz;
    uint16_t *half;
    const float *dout;
    const uint16_t *z;
    int64_t m;
} half_sums_t;

static void half_group (const void *job, float *s, int64_t second, int64_t i0, int64_t i1, int64_t c, int64_t k) {
    const half_sums_t *a = job;
    float t[WB_SLICE_MAX];
    (void) second;
    for (int64_t j = 0; j < k; j += W) vstore (s + j, (vf){0});
    for (int64_t i = i0; i < i1; i++) {
        const int64_t at = i * a->m + c;
        bf16_unpack_row (t, a->z + at, k);
        for (int64_t j = 0; j < k; j += W) {
            __builtin_prefetch (a->z + at + a->m + j);
            __builtin_prefetch (a->dout + at + a->m + j);
            const vf d = vload_some (a->dout + at + j, k - j, 0.0f) * vgelu_slope (vload_some (t + j, k - j, 0.0f));
            vstore_some (t + j, d, k - j);
            vstore (s + j, vload (s + j) + d);
        }
        bf16_pack_row (a->half + at, t, k);
        if (a->dz != NULL) memcpy (a->dz + at, t, (size_t) k * sizeof *t);
    }
}

void KERNEL (gelu_backward_half) (float *dz, uint16_t *half, float *db, const float *dout, const uint16_t *z, int64_t n,
                                  int64_t m) {
    sum_rows (&db, 1, half_group, &(half_sums_t){dz, half, dout, z, m}, n, m);
}
