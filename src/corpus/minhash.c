/* MinHash (Broder, SEQUENCES 1997) of n-grams of characters.
 *
 * An n-gram becomes 32 bits x; permutation i is (x ^ mix[i]) * mul[i], mul odd, which has an inverse.  The minimum over
 * all n-grams is taken permutation by permutation over a block of n-grams that stays in the first cache, so the inner
 * loop is one of vectors.  Of each minimum 16 bits are kept: unequal ones agree in them one time in 65,536.
 *
 * Not done here: which texts are compared (pairs.c). */
#include "config.h"

#include <string.h>

#include "corpus/filters.h"

enum { BLOCK = 2048 };
#define BASE UINT64_C (0x9e3779b97f4a7c15)

void wb_minhash_init (wb_minhash_t *h, int k, int ngram) {
    h->k = k;
    h->ngram = ngram;
    for (int i = 0; i < k; i++) {
        const uint64_t r = wb_rng_u64 (1, wb_rng_stream ("minhash"), (uint64_t) i);
        h->mul[i] = (uint32_t) r | 1u;
        h->mix[i] = (uint32_t) (r >> 32);
    }
}

/* least [k] becomes the minimum of itself and of all of x [n]. */
__attribute__ ((always_inline)) static inline void block (uint32_t *restrict least, const wb_minhash_t *h,
                                                          const uint32_t *restrict x, int n) {
    for (int i = 0; i < h->k; i++) {
        const uint32_t mul = h->mul[i], mix = h->mix[i];
        uint32_t m = least[i];
#pragma omp simd reduction(min : m)
        for (int j = 0; j < n; j++) {
            const uint32_t y = (x[j] ^ mix) * mul;
            m = y < m ? y : m;
        }
        least[i] = m;
    }
}

static void block_portable (uint32_t *least, const wb_minhash_t *h, const uint32_t *x, int n) {
    block (least, h, x, n);
}
#if defined __x86_64__ && defined __GNUC__
#ifdef __clang__ /* does not know it */
#define WIDE ""
#else
#define WIDE ",prefer-vector-width=512"
#endif
__attribute__ ((target ("avx2"))) static void block_avx2 (uint32_t *least, const wb_minhash_t *h, const uint32_t *x,
                                                          int n) {
    block (least, h, x, n);
}
__attribute__ ((target ("avx512f,avx512bw,avx512vl,avx512dq" WIDE))) static void block_avx512 (uint32_t *least,
                                                                                               const wb_minhash_t *h,
                                                                                               const uint32_t *x,
                                                                                               int n) {
    block (least, h, x, n);
}
#else
#define block_avx2 block_portable
#define block_avx512 block_portable
#endif

void wb_minhash_sign (const wb_minhash_t *h, uint16_t *sig, const uint32_t *chars, int64_t n) {
    uint32_t least[WB_MINHASH_MAX], x[BLOCK];
    const wb_isa isa = wb_cpu_isa ();
    const int ngram = n < h->ngram ? (int) n : h->ngram;
    uint64_t power = 1, r = 0;
    int have = 0;
    memset (least, 0xff, sizeof least);
    for (int i = 0; i < ngram; i++) power *= BASE;
    for (int64_t i = 0; i < n; i++) {
        r = r * BASE + chars[i] + 1 - (i >= ngram ? (chars[i - ngram] + UINT64_C (1)) * power : 0);
        if (i + 1 < ngram) continue;
        x[have++] = (uint32_t) ((r ^ r >> 31) * UINT64_C (0x94d049bb133111eb) >> 32);
        if (have < BLOCK && i + 1 < n) continue;
        (isa == WB_ISA_AVX512 ? block_avx512 : isa == WB_ISA_AVX2 ? block_avx2 : block_portable) (least, h, x, have);
        have = 0;
    }
    for (int i = 0; i < h->k; i++) sig[i] = (uint16_t) (least[i] * 0x9e3779b1u >> 16);
}

double wb_minhash_same (const uint16_t *a, const uint16_t *b, int k) {
    int same = 0;
    for (int i = 0; i < k; i++) same += a[i] == b[i];
    return k > 0 ? (double) same / k : 0.0;
}
