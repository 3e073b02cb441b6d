/* Vectors of floats as wide as the instruction set that this is compiled for: what simd.c and panel.c share.
 *
 * By GCC's vector extension, which clang has too; the few operations it does not know are where they are used. */
#ifndef WB_KERN_VEC_H
#define WB_KERN_VEC_H

#include "kernels/kernels_priv.h"

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_ (a, b)
#define ISA_NAME(stem) CAT (stem, WB_KERN_ISA)

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

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector (a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle (a, b, (vu){__VA_ARGS__})
#endif

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
