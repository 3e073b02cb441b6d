/* Products by panels of 8-bit numbers.  Compiled once an instruction set, and once more with AVX-512 VNNI.
 *
 * A unit is a block of 32 rows of A with a scale for each column, as in Q8_0 of ggml.  x is rounded block by block, so
 * the sum over a block is one of integers, and the same on every processor:
 *     sum q_x q_A = sum q_x (q_A + 128) - 128 sum q_x;
 * stored is q_A + 128, since VPDPBUSD multiplies bytes without sign by bytes with one, and the last term is of x alone.
 *
 * Not here: how the work is cut (panel.c), the layout (pack.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "kernels/panel.h"

#if W == 16
#define ROWS 6
#elif W == 8
#define ROWS 2
#else
#define ROWS 1
#endif
enum { QUADS = WB_INT8_BLOCK / 4, SCALES = WB_PANEL * sizeof (uint16_t), X_BYTES = WB_INT8_PACKED };
/* Vectors of columns at once. */
#define VECS (ALL < 2 ? ALL : 2)

typedef int32_t vi __attribute__ ((vector_size (W * 4)));
typedef int8_t vb __attribute__ ((vector_size (W)));

/* ---- x ----------------------------------------------------------------------------------------------------------- */

/* The nearest integers, of ties the even ones. */
INLINE vi nearest (vf x) {
#if defined(__AVX512F__)
    return (vi) _mm512_cvtps_epi32 ((__m512) x);
#elif defined(__AVX2__)
    return (vi) _mm256_cvtps_epi32 ((__m256) x);
#else
    vi n;
    for (int i = 0; i < W; i++) n[i] = (int32_t) lrintf (x[i]);
    return n;
#endif
}

/* Wraps. */
INLINE int32_t sum_of (vi v) {
#if defined(__AVX512F__)
    const __m256i h =
        _mm256_add_epi32 (_mm512_castsi512_si256 ((__m512i) v), _mm512_extracti64x4_epi64 ((__m512i) v, 1));
    __m128i q = _mm_add_epi32 (_mm256_castsi256_si128 (h), _mm256_extracti128_si256 (h, 1));
    q = _mm_add_epi32 (q, _mm_shuffle_epi32 (q, 0x4e));
    return _mm_cvtsi128_si32 (_mm_add_epi32 (q, _mm_shuffle_epi32 (q, 0xb1)));
#else
    uint32_t sum = 0;
    for (int i = 0; i < W; i++) sum += (uint32_t) v[i];
    return (int32_t) sum;
#endif
}

/* A block of a row: bytes [QUADS][rows][4], its scale, and -128 times their sum. */
INLINE void round_block (const float *x, int64_t n, char *q, int64_t rows, float *scale, int32_t *offset) {
    float v[WB_INT8_BLOCK] = {0};
    char bytes[WB_INT8_BLOCK];
    vf most = {0}, bad = {0};
    vi sum = {0};
    memcpy (v, x, (size_t) n * sizeof *v);
    for (int i = 0; i < WB_INT8_BLOCK; i += W) {
        const vf a = vload (v + i);
        most = vmax (vmax (a, -a), most);
        bad += a - a; /* NaN where it is not finite */
    }
    const float all = vmax_lanes (most), by = all > 1e-30f ? 127.0f / all : 0.0f;
    for (int i = 0; i < WB_INT8_BLOCK; i += W) {
        const vi k = nearest (vload (v + i) * vset (by));
        const vb b = __builtin_convertvector(k, vb);
        memcpy (bytes + i, &b, sizeof b);
        sum += k;
    }
    *offset = (int32_t) ((uint32_t) sum_of (sum) * (uint32_t) -128); /* wraps where a number was not finite */
    for (int i = 0; i < QUADS; i++) memcpy (q + i * 4 * rows, bytes + 4 * i, 4);
    *scale = all / 127.0f + vsum (bad);
}

static void pack (const job_t *t, int64_t from, int64_t to) {
    for (int64_t g = 0; g < t->groups; g++) {
        const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0;
        for (int64_t u = from; u < to; u++) {
            char *out = t->packed + (i0 * t->units + u * rows) * X_BYTES;
            float *scale = (float *) (void *) (out + rows * WB_INT8_BLOCK);
            int32_t *offset = (int32_t *) (void *) (scale + rows);
            for (int64_t i = 0; i < rows; i++)
                round_block (t->x + (i0 + i) * t->k + u * WB_INT8_BLOCK,
                             min64 (WB_INT8_BLOCK, t->k - u * WB_INT8_BLOCK), out + 4 * i, rows, scale + i, offset + i);
        }
    }
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* s += in each lane the sum of four bytes of a, without sign, times four of x. */
INLINE vi multiply (vi s, vi a, vi x) {
#if defined(__AVX512VNNI__)
    return (vi) _mm512_dpbusd_epi32 ((__m512i) s, (__m512i) a, (__m512i) x);
#elif defined(__AVX512BW__)
    const __m512i x0 = _mm512_srai_epi16 (_mm512_slli_epi16 ((__m512i) x, 8), 8),
                  x1 = _mm512_srai_epi16 ((__m512i) x, 8);
    const __m512i a0 = _mm512_and_si512 ((__m512i) a, _mm512_set1_epi16 (255)), a1 = _mm512_srli_epi16 ((__m512i) a, 8);
    return s + (vi) _mm512_madd_epi16 (a0, x0) + (vi) _mm512_madd_epi16 (a1, x1);
#elif defined(__AVX2__)
    const __m256i x0 = _mm256_srai_epi16 (_mm256_slli_epi16 ((__m256i) x, 8), 8),
                  x1 = _mm256_srai_epi16 ((__m256i) x, 8);
    const __m256i a0 = _mm256_and_si256 ((__m256i) a, _mm256_set1_epi16 (255)), a1 = _mm256_srli_epi16 ((__m256i) a, 8);
    return s + (vi) _mm256_madd_epi16 (a0, x0) + (vi) _mm256_madd_epi16 (a1, x1);
#else
    s += (a & 255) * (x << 24 >> 24);
    s += (a >> 8 & 255) * (x << 16 >> 24);
    s += (a >> 16 & 255) * (x << 8 >> 24);
    return s + (a >> 24 & 255) * (x >> 24);
#endif
}

INLINE vi load (const void *p) { return (vi) vload (p); }
INLINE int32_t word (const char *p) {
    int32_t x;
    memcpy (&x, p, sizeof x);
    return x;
}

/* A block of A, for columns j .. j + vecs W - 1, is multiplied by a block of x and added to the sums. */
INLINE void block (vf *s, const char *a, const char *x, const int j, const int rows, const int vecs) {
    vi n[ROWS * VECS];
    vf scale[VECS];
    const char *xs = x + rows * WB_INT8_BLOCK, *xo = xs + rows * 4;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) n[i * vecs + v] = word (xo + 4 * i) - (vi){0};
#pragma GCC unroll 8
    for (int q = 0; q < QUADS; q++) {
        vi w[VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) w[v] = load (a + SCALES + (q * WB_PANEL + j + v * W) * 4);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const vi xi = word (x + (q * rows + i) * 4) - (vi){0};
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) n[i * vecs + v] = multiply (n[i * vecs + v], w[v], xi);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) scale[v] = vload_half ((const uint16_t *) (const void *) a + j + v * W);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        float f;
        memcpy (&f, xs + 4 * i, sizeof f);
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            s[i * vecs + v] += __builtin_convertvector(n[i * vecs + v], vf) * (scale[v] * vset (f));
    }
}

INLINE void tile (const piece_t *p, const int j, const int rows, const int vecs) {
    vf s[ROWS * VECS];
    const char *a = p->a, *x = p->x, *ask = j == 0 ? p->ask : NULL;
#pragma GCC unroll 24
    for (int i = 0; i < rows * vecs; i++) s[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t q = 0; q < p->units; q++, a += SCALES + WB_PANEL * WB_INT8_BLOCK, x += rows * X_BYTES) {
        prefetch (&ask, q, p->between, SCALES + WB_PANEL * WB_INT8_BLOCK);
        block (s, a, x, j, rows, vecs);
    }
    settle (p, s, j, rows, vecs);
}

INLINE void tiles (const piece_t *p, const int rows) {
#pragma GCC unroll 1
    for (int j = 0; j < WB_PANEL; j += VECS * W) tile (p, j, rows, VECS);
}

static void wide (const piece_t *p, int64_t rows) {
    switch (rows) {
        ROWS_ARE (1);
#if ROWS > 1
        ROWS_ARE (2);
#endif
#if ROWS > 2
        ROWS_ARE (3);
        ROWS_ARE (4);
        ROWS_ARE (5);
        ROWS_ARE (6);
#endif
    default: WB_ASSERT (false);
    }
}

const form_t ISA_NAME (wb_panel_int8_) = {.rows = ROWS,
                                          .chunk = 16,
                                          .a_bytes = SCALES + WB_PANEL * WB_INT8_BLOCK,
                                          .x_bytes = X_BYTES,
                                          .padded = true,
                                          .pack = pack,
                                          .wide = wide};
