/* Speed of the ring and of wb_comm_sum_f32 over sizes.  Bus bandwidth = 2 (P-1)/P bytes / time, per rank, in MB/s.
 *     mpirun -np P bench_ring [CHUNK_FLOATS] [LARGEST_FLOATS]
 * One line a size: floats, seconds (best of several) and bandwidth of the ring's all-reduce with the fp32 and the bf16
 * wire, and of wb_comm_sum_f32. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tmpi.h"

static void add (float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
static void pack (uint16_t *out, const float *x, int64_t n) {
    const uint32_t *u = (const void *) x;
    for (int64_t i = 0; i < n; i++) out[i] = (uint16_t) ((u[i] + 0x7FFF + (u[i] >> 16 & 1)) >> 16);
}
static void unpack (float *out, const uint16_t *x, int64_t n) {
    uint32_t *u = (void *) out;
    for (int64_t i = 0; i < n; i++) u[i] = (uint32_t) x[i] << 16;
}
static void add16 (float *y, const uint16_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = (uint32_t) x[i] << 16;
        float f;
        memcpy (&f, &u, sizeof f);
        y[i] += f;
    }
}

static double time_ring (wb_comm_t *world, wb_ring_t *ring, float *x, int64_t n) {
    double best = 1e30;
    for (int k = 0; k < 9; k++) {
        wb_comm_barrier (world);
        double t = wb_now ();
        if (ring != NULL) {
            wb_ring_all_reduce_begin (ring, x, n, NULL);
            wb_ring_end (ring);
        } else {
            wb_comm_sum_f32 (world, x, n);
        }
        t = wb_now () - t;
        wb_comm_max_f64 (world, &t, 1);
        if (t < best) best = t;
    }
    return best;
}

int main (int argc, char **argv) {
    wb_comm_t *world = T_BEGIN ();
    const wb_ring_ops_t ops = {add, pack, unpack, add16};
    int64_t chunk = argc > 1 ? atoll (argv[1]) : 0, most = argc > 2 ? atoll (argv[2]) : 1 << 24;
    int P = wb_comm_size (world);
    wb_ring_t *ring[3] = {NULL, NULL, NULL};
    for (int w = 0; w < 2; w++) T_STATUS (wb_ring_new (&ring[w], world, most, 1, (wb_wire) w, chunk, &ops), WB_OK);
    float *x = wb_calloc ((size_t) most, sizeof *x);
    if (T_RANK == 0) printf ("%10s  %28s  %28s  %28s\n", "floats", "ring fp32", "ring bf16 (fp32 bytes)", "sum_f32");
    for (int64_t n = 64; n <= most; n *= 4) {
        char line[256] = "";
        for (int w = 0; w < 3; w++) {
            double t = time_ring (world, ring[w], x, n);
            size_t used = strlen (line);
            snprintf (line + used, sizeof line - used, "  %10.1f us  %8.1f MB/s", t * 1e6,
                      2.0 * (P - 1) / P * (double) n * 4.0 / t * 1e-6);
        }
        if (T_RANK == 0) printf ("%10lld  %s\n", (long long) n, line);
    }
    wb_ring_destroy (ring[0]);
    wb_ring_destroy (ring[1]);
    wb_free (x);
    return T_END ();
}
