/* Products by panels of brain floats.  Compiled once an instruction set, and once more with AVX-512 BF16.
 *
 * A unit is two rows of A: of each column the two numbers lie beside each other, as VDPBF16PS multiplies them.  x is
 * rounded to brain floats, so that the result is the same kind of rounding on every processor; sums are fp32.
 *
 * Not here: how the work is cut (panel.c), the layout (pack.c). */
#include "config.h"

#include <string.h>

#include "kernels/panel.h"
#include "kernels/ranges.h"

#if defined(__AVX512BF16__)
#define X_ROWS 12
#define SUMS 24
#elif W == 16
#define X_ROWS 8
#define SUMS 16
#else
#define X_ROWS 4
#define SUMS 8
#endif
#define VECS(rows) ((rows) *ALL <= SUMS ? ALL : (rows) *ALL / 2 <= SUMS ? ALL / 2 : ALL / 4)

_Static_assert(X_ROWS *VECS (X_ROWS) <= SUMS, "the sums fit in the registers");

static void pack (const job_t *t, int64_t from, int64_t to) {
    for (int64_t g = 0; g < t->groups; g++) {
        const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0;
        float *out = (float *) (void *) t->packed + i0 * t->units; /* two brain floats each */
        for (int64_t u = from; u < to; u += W) {
            const int64_t some = min64 (2 * W, t->k - 2 * u), units = min64 (W, to - u);
            vf m[W];
            for (int64_t i0s = 0; i0s < rows; i0s += W) {
                for (int64_t i = 0; i < W; i++) {
                    uint16_t half[2 * W] = {0};
                    if (i0s + i < rows) bf16_pack_row (half, t->x + (i0 + i0s + i) * t->k + 2 * u, some);
                    memcpy (&m[i], half, sizeof half);
                }
                if (rows <= W && units == W) {
                    put_columns (out, m, u, to, rows);
                } else {
                    for (int64_t i = 0; i < min64 (W, rows - i0s); i++)
                        for (int64_t j = 0; j < units; j++) out[(u + j) * rows + i0s + i] = m[i][j];
                }
            }
        }
    }
}

/* s += the products of two numbers in each lane of a with those of x. */
INLINE vf multiply (vf s, vu a, vu x) {
#if defined(__AVX512BF16__)
    return (vf) _mm512_dpbf16_ps ((__m512) s, (__m512bh) a, (__m512bh) x);
#else
    s += (vf) (a << 16) * (vf) (x << 16);
    return s + (vf) (a & 0xffff0000) * (vf) (x & 0xffff0000);
#endif
}

/* `rows` rows, `vecs` vectors of columns from column j on. */
INLINE void tile (const piece_t *p, const int j, const int rows, const int vecs) {
    vf s[SUMS];
    const uint32_t *a = (const uint32_t *) (const void *) p->a + j, *x = (const uint32_t *) (const void *) p->x;
    const char *ask = j == 0 ? p->ask : NULL;
#pragma GCC unroll 24
    for (int i = 0; i < rows * vecs; i++) s[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t q = 0; q < p->units; q++, a += WB_PANEL, x += rows) {
        vu w[ALL];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) w[v] = (vu) vload ((const float *) (const void *) (a + v * W));
        prefetch (&ask, q, p->between, WB_PANEL * sizeof *a);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vu xi = x[i] - (vu){0};
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) s[i * vecs + v] = multiply (s[i * vecs + v], w[v], xi);
        }
    }
    settle (p, s, j, rows, vecs);
}

INLINE void tiles (const piece_t *p, const int rows) {
    const int vecs = VECS (rows);
#pragma GCC unroll 1
    for (int j = 0; j < WB_PANEL; j += vecs * W) tile (p, j, rows, vecs);
}

static void wide (const piece_t *p, int64_t rows) {
    switch (rows) {
        ROWS_ARE (1);
        ROWS_ARE (2);
        ROWS_ARE (3);
        ROWS_ARE (4);
#if X_ROWS > 4
        ROWS_ARE (5);
        ROWS_ARE (6);
        ROWS_ARE (7);
        ROWS_ARE (8);
#endif
#if X_ROWS > 8
        ROWS_ARE (9);
        ROWS_ARE (10);
        ROWS_ARE (11);
        ROWS_ARE (12);
#endif
    default: WB_ASSERT (false);
    }
}

const form_t ISA_NAME (wb_panel_bf16_) = {.rows = X_ROWS,
                                          .chunk = 256,
                                          .a_bytes = WB_PANEL * 2 * sizeof (uint16_t),
                                          .x_bytes = 2 * sizeof (uint16_t),
                                          .padded = true,
                                          .pack = pack,
                                          .wide = wide};
