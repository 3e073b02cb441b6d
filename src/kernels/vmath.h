/* Exponentials of vectors.
 *
 * Accuracy of exp: within 2 ulp for x in [-87.33, 88.37], exactly 0 below -87.7, infinity above 88.38, NaN stays NaN.
 */
#ifndef WABUN_KERNELS_VMATH_H
#define WABUN_KERNELS_VMATH_H

#include "kernels/vec.h"

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

/* 2^(c x), c > 0, for the softmax of attention: no reduction by ln 2, a third fewer operations than exp, and c, which
 * is log2 e times the scale of the scores, costs nothing in a multiply-add (without multiply-adds c x is rounded, an
 * error of |c x| 2^-24).  A polynomial for |r| <= 1/2 (Cephes, exp2f).  0 where c x < -126.5, infinity from 127.5 on.
 */
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

/* ---- GELU -------------------------------------------------------------------------------------------------------- */

#define GELU_2A 1.5957691216057308f /* 2 sqrt (2 / pi) */
#define GELU_B 0.044715f

/* exp (-2 u), u = sqrt (2 / pi) (z + 0.044715 z^3): 1/2 (1 + tanh u) = 1 / (1 + exp (-2 u)). */
INLINE vf vexp_2u (vf z) { return vexp (-GELU_2A * (z + GELU_B * z * z * z)); }
INLINE vf vgelu (vf z) { return z / (1.0f + vexp_2u (z)); }

/* gelu' = s + z s (1 - s) 2 u', s = 1 / (1 + e), 1 - s = e s without cancellation (e may be infinite). */
INLINE vf vgelu_slope (vf x) {
    const vf e = vexp_2u (x), s = 1.0f / (1.0f + e);
    return s + x * s * (vmin (vset (1e30f), e) * s) * (GELU_2A + (3.0f * GELU_2A * GELU_B) * x * x);
}

#endif
