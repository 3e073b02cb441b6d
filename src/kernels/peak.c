/* The limits of one thread: multiply-adds in registers, and reading memory.  Compiled once an instruction set.
 *
 * Not here: threads and clocks (limits.c), 16 and 8 bits (peak_units.c). */
#include "config.h"

#include "kernels/vec.h"

/* Twelve independent chains: more than latency times ports (4 x 2), fewer than there are registers. */
double ISA_NAME (wb_peak_fma_) (int64_t rounds, float *sink) {
    vf s0 = vset (0.0f), s1 = vset (0.1f), s2 = vset (0.2f), s3 = vset (0.3f), s4 = vset (0.4f), s5 = vset (0.5f);
    vf s6 = vset (0.6f), s7 = vset (0.7f), s8 = vset (0.8f), s9 = vset (0.9f), sa = vset (1.0f), sb = vset (1.1f);
    const vf a = vset (0.999f), b = vset (*sink + 0.001f);
    for (int64_t i = 0; i < rounds; i++) {
        s0 = s0 * a + b;
        s1 = s1 * a + b;
        s2 = s2 * a + b;
        s3 = s3 * a + b;
        s4 = s4 * a + b;
        s5 = s5 * a + b;
        s6 = s6 * a + b;
        s7 = s7 * a + b;
        s8 = s8 * a + b;
        s9 = s9 * a + b;
        sa = sa * a + b;
        sb = sb * a + b;
    }
    *sink = vsum (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + ((s8 + s9) + (sa + sb)));
    return (double) rounds * 12 * W * 2;
}

/* A sum, so that the compiler cannot leave the reads out; in eight parts, so that the additions never limit the speed.
 */
float ISA_NAME (wb_peak_read_) (const float *p, int64_t n) {
    vf s[8] = {{0}};
    float rest = 0;
    int64_t i = 0;
    for (; i + 8 * W <= n; i += 8 * W)
        for (int v = 0; v < 8; v++) s[v] += vload (p + i + v * W);
    for (; i < n; i++) rest += p[i];
    const vf sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    for (i = 0; i < W; i++) rest += sum[i];
    return rest;
}
