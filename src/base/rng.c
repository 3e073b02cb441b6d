/* Random numbers without state: each is a function of (seed, stream, index), through Philox4x32-10 (Salmon, Moraes,
 * Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11).  Any rank can draw any element, so a model
 * comes out the same on every layout of ranks, and shuffling needs no memory.
 *
 * The normals must be the same bits on every machine as well.  The logarithm and the cosine of a C library are not:
 * glibc picks another version where the processor fuses multiply and add.  Ours below use only + - * / and sqrt, which
 * IEEE 754 fixes, and the build forbids fusing (-ffp-contract=off).
 *
 * Not done here: cryptography, speed records (about 20 million normals a second and core). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/base.h"

/* ---- Philox4x32-10 --------------------------------------------------------------------------------------------- */

static inline void philox (uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t) 0xD2511F53u * c0, b = (uint64_t) 0xCD9E8D57u * c2;
        c0 = (uint32_t) (b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t) (a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t) b;
        c3 = (uint32_t) a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void wb_philox (uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) { philox (out, counter, key); }

/* Two words of 64 bits for (seed, stream, index). */
static inline void draw (uint64_t out[2], uint64_t seed, uint64_t stream, uint64_t index) {
    const uint32_t counter[4] = {(uint32_t) index, (uint32_t) (index >> 32), (uint32_t) stream,
                                 (uint32_t) (stream >> 32)};
    const uint32_t key[2] = {(uint32_t) seed, (uint32_t) (seed >> 32)};
    uint32_t w[4];
    philox (w, counter, key);
    out[0] = w[0] | (uint64_t) w[1] << 32;
    out[1] = w[2] | (uint64_t) w[3] << 32;
}

uint64_t wb_rng_u64 (uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t w[2];
    draw (w, seed, stream, index);
    return w[0];
}

double wb_rng_uniform (uint64_t seed, uint64_t stream, uint64_t index) {
    return (double) (wb_rng_u64 (seed, stream, index) >> 11) * 0x1p-53;
}

uint64_t wb_rng_stream (const char *name) { return wb_hash64 (name, strlen (name)); }

/* ---- normals --------------------------------------------------------------------------------------------------- */

/* log x for a normal x > 0, within two units in the last place: x = 2^e m with m near 1, log m = 2 artanh s with
 * s = (m-1)/(m+1), as a series.  The bits of the double are taken apart directly. */
static inline double log_portable (double x) {
    uint64_t bits;
    memcpy (&bits, &x, sizeof bits);
    int e = (int) (bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t) 1023 << 52;
    double m;
    memcpy (&m, &bits, sizeof m); /* [1, 2) */
    if (m > 1.4142135623730951) m *= 0.5, e++;
    double s = (m - 1.0) / (m + 1.0), z = s * s, sum = 1.0 / 23.0;
    sum = sum * z + 1.0 / 21.0;
    sum = sum * z + 1.0 / 19.0;
    sum = sum * z + 1.0 / 17.0;
    sum = sum * z + 1.0 / 15.0;
    sum = sum * z + 1.0 / 13.0;
    sum = sum * z + 1.0 / 11.0;
    sum = sum * z + 1.0 / 9.0;
    sum = sum * z + 1.0 / 7.0;
    sum = sum * z + 1.0 / 5.0;
    sum = sum * z + 1.0 / 3.0;
    return e * 0.6931471805599453 + (2.0 * s + 2.0 * s * z * sum);
}

/* cos (2 pi u), u in [0, 1): the quadrant is exact because u is a multiple of 2^-53; Taylor's series on 0 .. pi/4. */
static inline double cos_turns (double u) {
    double t = u * 4.0;
    int q = (int) t;
    double r = t - q;                       /* in quarter turns, exact */
    bool sine = (q & 1) != 0;               /* cos (x + pi/2) = -sin x */
    if (r > 0.5) r = 1.0 - r, sine = !sine; /* sin (pi/2 - x) = cos x */
    double x = r * 1.5707963267948966, z = x * x, y;
    if (sine) {
        y = -1.0 / 1307674368000.0 + z / 355687428096000.0;
        y = 1.0 / 6227020800.0 + z * y;
        y = -1.0 / 39916800.0 + z * y;
        y = 1.0 / 362880.0 + z * y;
        y = -1.0 / 5040.0 + z * y;
        y = 1.0 / 120.0 + z * y;
        y = -1.0 / 6.0 + z * y;
        y = x + x * z * y;
    } else {
        y = -1.0 / 87178291200.0 + z / 20922789888000.0;
        y = 1.0 / 479001600.0 + z * y;
        y = -1.0 / 3628800.0 + z * y;
        y = 1.0 / 40320.0 + z * y;
        y = -1.0 / 720.0 + z * y;
        y = 1.0 / 24.0 + z * y;
        y = -1.0 / 2.0 + z * y;
        y = 1.0 + z * y;
    }
    return q == 1 || q == 2 ? -y : y;
}

static inline double normal (uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t w[2];
    draw (w, seed, stream, index);
    /* Box and Muller 1958: sqrt (-2 log u) cos (2 pi v), u in (0, 1], v in [0, 1). */
    double u = (double) ((w[0] >> 11) + 1) * 0x1p-53, v = (double) (w[1] >> 11) * 0x1p-53;
    return sqrt (-2.0 * log_portable (u)) * cos_turns (v);
}

double wb_rng_normal (uint64_t seed, uint64_t stream, uint64_t index) { return normal (seed, stream, index); }

void wb_rng_fill_normal (float *out, int64_t n, double std, uint64_t seed, uint64_t stream, int64_t first) {
#pragma omp parallel for schedule(static) if (n > 4096)
    for (int64_t i = 0; i < n; i++) out[i] = (float) (std * normal (seed, stream, (uint64_t) (first + i)));
}

/* ---- permutation ----------------------------------------------------------------------------------------------- */

/* A Feistel network over 2b bits, 4^b >= n, is a permutation whatever its round function; walking on from values >= n
 * until one falls below n makes it a permutation of 0 .. n-1 (Black and Rogaway, "Ciphers with arbitrary finite
 * domains", CT-RSA 2002).  4^b < 4 n, so fewer than four walks are expected. */
int64_t wb_rng_permute (int64_t i, int64_t n, uint64_t seed, uint64_t stream) {
    WB_ASSERT (i >= 0 && i < n);
    int b = 0;
    while (b < 31 && (int64_t) 1 << (2 * b) < n) b++;
    if (((int64_t) 1 << (2 * b)) < n) b = 32;
    if (b == 0) return 0;
    const uint32_t mask = b == 32 ? UINT32_MAX : ((uint32_t) 1 << b) - 1;
    const uint32_t key[2] = {(uint32_t) seed, (uint32_t) (seed >> 32)};
    uint64_t x = (uint64_t) i;
    do {
        uint32_t left = (uint32_t) (x >> b) & mask, right = (uint32_t) x & mask;
        for (uint32_t round = 0; round < 8; round++) {
            const uint32_t counter[4] = {right, (uint32_t) b << 8 | round, (uint32_t) stream,
                                         (uint32_t) (stream >> 32)};
            uint32_t f[4];
            philox (f, counter, key);
            uint32_t next = left ^ (f[0] & mask);
            left = right;
            right = next;
        }
        x = (uint64_t) left << b | right;
    } while (x >= (uint64_t) n);
    return (int64_t) x;
}
