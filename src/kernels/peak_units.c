/* The limits of one thread that AVX-512 BF16 and VNNI set.  Compiled with these.
 *
 * Not here: those of fp32 and of memory (peak.c), threads and clocks (limits.c). */
#include "config.h"

#include "kernels/vec.h"

enum { CHAINS = 12 }; /* more than latency times ports, fewer than there are registers */

double ISA_NAME (wb_peak_bf16_) (int64_t rounds, float *sink) {
    __m512 s[CHAINS];
    const __m512bh a = (__m512bh) _mm512_set1_epi32 (0x3f7f3f7f), b = (__m512bh) _mm512_set1_ps (*sink + 0.001f);
#pragma GCC unroll 12
    for (int j = 0; j < CHAINS; j++) s[j] = _mm512_set1_ps ((float) j);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) s[j] = _mm512_dpbf16_ps (s[j], a, b);
    vf sum = {0};
    for (int j = 0; j < CHAINS; j++) sum += (vf) s[j];
    *sink = vsum (sum);
    return (double) rounds * CHAINS * W * 4;
}

double ISA_NAME (wb_peak_int8_) (int64_t rounds, float *sink) {
    __m512i s[CHAINS];
    const __m512i a = _mm512_set1_epi32 (0x01020304), b = (__m512i) _mm512_set1_ps (*sink + 0.001f);
#pragma GCC unroll 12
    for (int j = 0; j < CHAINS; j++) s[j] = _mm512_set1_epi32 (j);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) s[j] = _mm512_dpbusd_epi32 (s[j], a, b);
    __m512i sum = _mm512_setzero_si512 ();
    for (int j = 0; j < CHAINS; j++) sum = _mm512_xor_si512 (sum, s[j]);
    *sink = vsum ((vf) _mm512_and_si512 (sum, _mm512_set1_epi32 (0x3fffffff))); /* finite, whatever it is */
    return (double) rounds * CHAINS * W * 8;
}
