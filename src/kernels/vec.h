/* Vectors of floats as wide as the instruction set that this is compiled for.
 *
 * By GCC's vector extension, which clang has too; intrinsics only where the extension has no operation. */
#ifndef WABUN_KERNELS_VEC_H
#define WABUN_KERNELS_VEC_H

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/isa.h"

#if defined(__AVX512F__)
#define W 16 /* floats in a vector */
#elif defined(__AVX2__)
#define W 8
#else
#define W 4
#endif

#define INLINE static inline __attribute__ ((always_inline))

typedef float vf __attribute__ ((vector_size (W * 4)));
typedef float vfu __attribute__ ((vector_size (W * 4), aligned (4), may_alias)); /* in memory, anywhere */
typedef uint32_t vu __attribute__ ((vector_size (W * 4)));

INLINE int64_t min64 (int64_t a, int64_t b) { return a < b ? a : b; }
INLINE vf vload (const float *p) { return *(const vfu *) p; }
INLINE void vstore (float *p, vf v) { *(vfu *) p = v; }
/* Brain floats. */
INLINE vf vload_half (const uint16_t *p) {
#if defined(__AVX512F__)
    return (vf) _mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm256_loadu_si256 ((const __m256i *) (const void *) p)), 16);
#elif defined(__AVX2__)
    return (vf) _mm256_slli_epi32 (_mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const __m128i *) (const void *) p)), 16);
#else
    vu u;
    for (int i = 0; i < W; i++) u[i] = (uint32_t) p[i] << 16;
    return (vf) u;
#endif
}
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

/* For streams with much arithmetic an element: the processor's own prefetcher does not look far enough ahead there. */
INLINE void prefetch_ahead (const float *p) { __builtin_prefetch (p + 512); }

/* The larger of each lane; b where either is NaN. */
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

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector (a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle (a, b, (vu){__VA_ARGS__})
#endif

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

/* Sums over the lanes of W vectors at once: their halves, then the halves of these, ... */
#define FIRST(l, h) ((l) / (W / 2) * W + (l) % (W / 2) / (h) *2 * (h) + (l) % (h))
#define SECOND(l, h) (FIRST (l, h) + (h))
#if W == 16
#define LANES(f, h)                                                                                                \
    f (0, h), f (1, h), f (2, h), f (3, h), f (4, h), f (5, h), f (6, h), f (7, h), f (8, h), f (9, h), f (10, h), \
        f (11, h), f (12, h), f (13, h), f (14, h), f (15, h)
#elif W == 8
#define LANES(f, h) f (0, h), f (1, h), f (2, h), f (3, h), f (4, h), f (5, h), f (6, h), f (7, h)
#else
#define LANES(f, h) f (0, h), f (1, h), f (2, h), f (3, h)
#endif
#define FOLD(h)                                                 \
    _Pragma ("GCC unroll 8") for (int i = 0; i < h; i++) s[i] = \
        SHUFFLE (s[2 * i], s[2 * i + 1], LANES (FIRST, h)) + SHUFFLE (s[2 * i], s[2 * i + 1], LANES (SECOND, h))
INLINE vf vsums (vf s[W]) {
#if W == 16
    FOLD (8);
#endif
#if W >= 8
    FOLD (4);
#endif
    FOLD (2);
    FOLD (1);
    return s[0];
}

#endif
