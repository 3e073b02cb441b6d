/* Softmax and cross-entropy over a shard of the vocabulary, row by row.  Compiled once an instruction set.
 *
 * Three passes, because maxima and sums of the shards are combined over ranks in between (parallel/vocab.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "kernels/ranges.h"
#include "kernels/vmath.h"

void KERNEL (xent_max) (float *mx, const float *logits, int64_t n, int64_t V, int64_t ld) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        const float *x = logits + i * ld;
        vf m0 = vset (-INFINITY), m1 = m0;
        int64_t j = 0;
        for (; j + 2 * W <= V; j += 2 * W) {
            m0 = vmax (vload (x + j), m0);
            m1 = vmax (vload (x + j + W), m1);
        }
        for (; j < V; j += W) m0 = vmax (vload_some (x + j, V - j, -INFINITY), m0);
        mx[i] = vmax_lanes (vmax (m0, m1));
    }
}

void KERNEL (xent_sum) (float *sum, float *hit, const float *logits, const float *mx, const int32_t *targets, int64_t n,
                        int64_t V, int64_t ld, int64_t v0) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        const float *x = logits + i * ld, m = mx[i];
        const int64_t t = targets[i] < 0 ? -1 : targets[i] - v0;
        double total = 0;
        for (int64_t j0 = 0; j0 < V; j0 += 1024) { /* short sums in float, their sum in double */
            const int64_t j1 = min64 (V, j0 + 1024);
            vf s0 = {0}, s1 = {0};
            int64_t j = j0;
            for (; j + 2 * W <= j1; j += 2 * W) {
                prefetch_ahead (x + j);
                prefetch_ahead (x + j + W);
                s0 += vexp (vload (x + j) - m);
                s1 += vexp (vload (x + j + W) - m);
            }
            for (; j < j1; j += W) s0 += vexp (vload_some (x + j, j1 - j, -INFINITY) - m);
            total += (double) vsum (s0 + s1);
        }
        sum[i] = (float) total;
        hit[i] = t >= 0 && t < V ? x[t] : 0.0f;
    }
}

void KERNEL (xent_backward) (float *logits, const float *mx, const float *sum, const int32_t *targets, int64_t n,
                             int64_t V, int64_t ld, int64_t v0, float scale) {
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        float *x = logits + i * ld;
        if (targets[i] < 0) {
            memset (x, 0, (size_t) V * sizeof (float));
            continue;
        }
        const int64_t t = targets[i] - v0;
        const float m = mx[i], a = scale / sum[i];
        for (int64_t j = 0; j < V; j += W) {
            prefetch_ahead (x + j);
            vstore_some (x + j, vexp (vload_some (x + j, V - j, 0.0f) - m) * a, V - j);
        }
        if (t >= 0 && t < V) x[t] -= scale;
    }
}
