/* ranks: 1 2 3 4 5 8 */
/* The ring against sums that each rank computes for itself in the ring's order of additions: bit for bit. */
#include "config.h"

#include <string.h>

#include "tmpi.h"

static void add (float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
static float widen (uint16_t h) {
    uint32_t u = (uint32_t) h << 16;
    float f;
    memcpy (&f, &u, sizeof f);
    return f;
}
static uint16_t narrow (float f) {
    uint32_t u;
    memcpy (&u, &f, sizeof u);
    return (uint16_t) ((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
static void pack (uint16_t *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = narrow (x[i]);
}
static void unpack (float *out, const uint16_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = widen (x[i]);
}
static void add16 (float *y, const uint16_t *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += widen (x[i]);
}
static const wb_ring_ops_t ops = {.add = add, .bf16_pack = pack, .bf16_unpack = unpack, .bf16_add = add16};

static int P, rank;

static float value (int r, int64_t i, int salt) {
    return (float) (wb_rng_uniform (11, (uint64_t) (r + 100 * salt), (uint64_t) i) - 0.5);
}

/* Element i of a piece owned by `owner`: owner + 1, owner + 2, ..., owner, each hop rounded when the wire is bf16. */
static float ordered (int owner, int64_t i, int salt, wb_wire wire) {
    float sum = value ((owner + 1) % P, i, salt);
    for (int k = 2; k <= P; k++) {
        if (wire == WB_WIRE_BF16) sum = widen (narrow (sum));
        sum = value ((owner + k) % P, i, salt) + sum;
    }
    return sum;
}

static void fill (float *x, int64_t n, int salt) {
    for (int64_t i = 0; i < n; i++) x[i] = value (rank, i, salt);
}

/* Are elements of the piece of `owner` the sum (rounded: as the others get it)? */
static bool is_sum_at (const float *x, int64_t n, const int64_t *bounds, int owner, int salt, wb_wire wire,
                       bool rounded) {
    int64_t first = bounds != NULL ? bounds[owner] : wb_split_first (n, P, owner);
    int64_t end = bounds != NULL ? bounds[owner + 1] : wb_split_first (n, P, owner + 1);
    for (int64_t i = first; i < end; i++) {
        float want = ordered (owner, i, salt, wire);
        if (rounded && P > 1) want = widen (narrow (want));
        if (memcmp (&x[i], &want, sizeof want) != 0) {
            fprintf (stderr, "rank %d: [%lld of %lld] is %.9g, expected %.9g\n", rank, (long long) i, (long long) n,
                     (double) x[i], (double) want);
            return false;
        }
    }
    return true;
}

static bool is_sum (const float *x, int64_t n, int owner, int salt, wb_wire wire, bool rounded) {
    return is_sum_at (x, n, NULL, owner, salt, wire, rounded);
}

static bool all_sums_at (const float *x, int64_t n, const int64_t *bounds, int salt, wb_wire wire) {
    for (int q = 0; q < P; q++) {
        if (!is_sum_at (x, n, bounds, q, salt, wire, wire == WB_WIRE_BF16)) return false;
    }
    return true;
}

static bool all_sums (const float *x, int64_t n, int salt, wb_wire wire) {
    return all_sums_at (x, n, NULL, salt, wire);
}

static void one_size (wb_comm_t *world, int64_t n, int64_t chunk, wb_wire wire) {
    wb_ring_t *ring;
    float *x = wb_malloc ((size_t) (n + 2) * sizeof *x);
    if (!T_STATUS (wb_ring_new (&ring, world, n, 2, wire, chunk, &ops), WB_OK)) return;
    const char *name = wire == WB_WIRE_BF16 ? "bf16" : "fp32";
    x[0] = x[n + 1] = -77.0F; /* nothing outside is touched */
    fill (x + 1, n, 1);
    wb_ring_reduce_scatter_begin (ring, x + 1, n, NULL);
    wb_ring_end (ring);
    T_OK (is_sum (x + 1, n, rank, 1, wire, false), "%s: reduce-scatter of %lld in chunks of %lld", name, (long long) n,
          (long long) chunk);
    wb_ring_all_gather_begin (ring, x + 1, n, NULL);
    wb_ring_end (ring);
    T_OK (all_sums (x + 1, n, 1, wire), "%s: all-gather of %lld", name, (long long) n);
    fill (x + 1, n, 2);
    int64_t before = wb_ring_bytes_sent (ring);
    wb_ring_all_reduce_begin (ring, x + 1, n, NULL);
    while (!wb_ring_poll (ring)) {}
    T_OK (all_sums (x + 1, n, 2, wire), "%s: all-reduce of %lld", name, (long long) n);
    T_OK (x[0] == -77.0F && x[n + 1] == -77.0F, "nothing outside is touched");
    T_OK (wb_ring_finished (ring) == 3 && wb_ring_seconds_waited (ring) >= 0.0, "three operations finished");
    double sent = (double) (wb_ring_bytes_sent (ring) - before), size = wire == WB_WIRE_BF16 ? 2.0 : 4.0;
    double want = 2.0 * (P - 1) / P * (double) n * size;
    T_OK (fabs (sent - want) <= 2.0 * (P - 1) * size, "%g bytes sent, expected about %g", sent, want);
    wb_ring_destroy (ring);
    wb_free (x);
}

/* Many operations of many sizes in the queue, polled at odd moments, the second time in another rhythm: same bits. */
static void queue (wb_comm_t *world, wb_wire wire) {
    enum { OPS = 40, ROOM = 6 };
    wb_ring_t *ring;
    int64_t size[OPS], first[OPS + 1];
    first[0] = 0;
    for (int k = 0; k < OPS; k++) {
        size[k] = k % 9 == 0 ? k / 9 : (int64_t) (wb_rng_uniform (3, 1, (uint64_t) k) * (k % 4 == 0 ? 30000 : 700));
        first[k + 1] = first[k] + size[k];
    }
    float *x = wb_malloc ((size_t) first[OPS] * sizeof *x), *y = wb_malloc ((size_t) first[OPS] * sizeof *y);
    if (!T_STATUS (wb_ring_new (&ring, world, 30000, ROOM, wire, 512, &ops), WB_OK)) return;
    for (int round = 0; round < 2; round++) {
        float *v = round == 0 ? x : y;
        int64_t done = wb_ring_finished (ring);
        for (int k = 0; k < OPS; k++) fill (v + first[k], size[k], k);
        for (int k = 0; k < OPS; k++) {
            while (k - (wb_ring_finished (ring) - done) >= ROOM) wb_ring_poll (ring);
            if (k % 3 == 0)
                wb_ring_reduce_scatter_begin (ring, v + first[k], size[k], NULL);
            else
                wb_ring_all_reduce_begin (ring, v + first[k], size[k], NULL);
            /* Ranks get out of step with each other. */
            uint64_t polls = wb_rng_u64 ((uint64_t) (rank + round), 5, (uint64_t) k) % 20;
            for (uint64_t i = 0; i < polls; i++) wb_ring_poll (ring);
        }
        wb_ring_end (ring);
        T_OK (wb_ring_finished (ring) - done == OPS && wb_ring_poll (ring), "all are finished");
    }
    bool ok = true, same = true;
    for (int k = 0; k < OPS; k++) {
        int64_t from = k % 3 == 0 ? wb_split_first (size[k], P, rank) : 0;
        int64_t n = k % 3 == 0 ? wb_split_count (size[k], P, rank) : size[k];
        ok = ok && (k % 3 == 0 ? is_sum (x + first[k], size[k], rank, k, wire, false)
                               : all_sums (x + first[k], size[k], k, wire));
        same = same && memcmp (x + first[k] + from, y + first[k] + from, (size_t) n * sizeof *x) == 0;
    }
    T_OK (ok, "a full queue gives ordered sums");
    T_OK (same, "and the same bits again");

    /* Operations on the same memory, queued at once: each begins when the one before it is over. */
    fill (x, 20000, 99);
    wb_ring_reduce_scatter_begin (ring, x, 20000, NULL);
    wb_ring_all_gather_begin (ring, x, 20000, NULL);
    wb_ring_all_reduce_begin (ring, x, 1000, NULL);
    wb_ring_end (ring);
    for (int64_t i = 0; i < 20000; i++)
        y[i] = ordered ((int) (i * P / 20000), i, 99, WB_WIRE_FP32) * (i < 1000 ? (float) P : 1.0F);
    T_NEAR (x, y, 20000, wire == WB_WIRE_BF16 ? 0.02 : 1e-5, wire == WB_WIRE_BF16 ? 0.02 * P : 1e-5);
    wb_ring_destroy (ring);
    wb_free (x);
    wb_free (y);
}

/* Pieces of any size, many of them empty, and vectors that belong to one rank; queued together, in both forms. */
static void uneven (wb_comm_t *world, wb_wire wire) {
    enum { OPS = 24, ROOM = 5, MOST = 20000 };
    wb_ring_t *ring;
    int64_t *bounds = wb_calloc ((size_t) OPS * (size_t) (P + 1), sizeof *bounds);
    float *x = wb_malloc ((size_t) OPS * MOST * sizeof *x);
    if (!T_STATUS (wb_ring_new (&ring, world, MOST, ROOM, wire, 700, &ops), WB_OK)) return;
    for (int k = 0; k < OPS; k++) {
        int64_t *b = bounds + k * (P + 1), n = k % 5 == 4 ? k % 7 : (int64_t) (wb_rng_u64 (7, 1, (uint64_t) k) % MOST);
        for (int q = 1; q < P; q++) {
            double cut = wb_rng_uniform (8, (uint64_t) k, (uint64_t) q) * 1.6 - 0.3; /* many fall off the ends */
            b[q] = k % 3 == 0 ? (q > k % P ? n : 0) : (int64_t) (fmin (fmax (cut, 0), 1) * (double) n);
            for (int i = q; i > 1 && b[i - 1] > b[i]; i--) {
                int64_t t = b[i];
                b[i] = b[i - 1];
                b[i - 1] = t;
            }
        }
        b[P] = n;
        fill (x + k * MOST, n, k);
    }
    for (int k = 0; k < OPS; k++) {
        const int64_t *b = bounds + k * (P + 1);
        if (k % 2 == 0)
            wb_ring_reduce_scatter_begin (ring, x + k * MOST, b[P], b);
        else
            wb_ring_all_reduce_begin (ring, x + k * MOST, b[P], b);
        for (uint64_t i = wb_rng_u64 ((uint64_t) rank, 6, (uint64_t) k) % 20; i > 0; i--) wb_ring_poll (ring);
    }
    wb_ring_end (ring);
    bool scattered = true, gathered = true;
    for (int k = 0; k < OPS; k++) {
        const int64_t *b = bounds + k * (P + 1);
        if (k % 2 == 0)
            scattered = scattered && is_sum_at (x + k * MOST, b[P], b, rank, k, wire, false);
        else
            gathered = gathered && all_sums_at (x + k * MOST, b[P], b, k, wire);
    }
    T_OK (scattered, "reduce-scatter by bounds gives each owner its sum");
    T_OK (gathered, "all-reduce by bounds gives all of them to all");
    for (int k = 0; k < OPS; k += 2)
        wb_ring_all_gather_begin (ring, x + k * MOST, bounds[k * (P + 1) + P], bounds + k * (P + 1));
    wb_ring_end (ring);
    for (int k = 0; k < OPS; k += 2)
        gathered = gathered && all_sums_at (x + k * MOST, bounds[k * (P + 1) + P], bounds + k * (P + 1), k, wire);
    T_OK (gathered, "and so does an all-gather");
    wb_ring_destroy (ring);
    wb_free (x);
    wb_free (bounds);
}

/* Two rings on one group, and the group's own collectives between: no message goes astray. */
static void side_by_side (wb_comm_t *world) {
    enum { N = 5000 };
    wb_ring_t *a, *b;
    if (!T_STATUS (wb_ring_new (&a, world, N, 1, WB_WIRE_FP32, 100, &ops), WB_OK)) return;
    if (!T_STATUS (wb_ring_new (&b, world, N, 1, WB_WIRE_FP32, 100, &ops), WB_OK)) return;
    float *x = wb_malloc (N * sizeof *x), *y = wb_malloc (N * sizeof *y), *z = wb_malloc (10000 * sizeof *z);
    fill (x, N, 1);
    fill (y, N, 2);
    for (int i = 0; i < 10000; i++) z[i] = 1.0F;
    if (rank % 2 == 0) wb_ring_all_reduce_begin (a, x, N, NULL);
    wb_ring_all_reduce_begin (b, y, N, NULL);
    if (rank % 2 == 1) wb_ring_all_reduce_begin (a, x, N, NULL);
    wb_comm_sum_f32 (world, z, 10000);
    wb_ring_poll (b);
    wb_comm_sum_f32 (world, z, 10);
    while (!wb_ring_poll (a) | !wb_ring_poll (b)) {}
    T_OK (all_sums (x, N, 1, WB_WIRE_FP32) && all_sums (y, N, 2, WB_WIRE_FP32), "two rings side by side");
    T_OK (z[0] == (float) (P * P) && z[9999] == (float) P, "and a sum between");
    wb_ring_destroy (a);
    wb_ring_destroy (b);
    wb_free (x);
    wb_free (y);
    wb_free (z);
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    P = wb_comm_size (world);
    rank = wb_comm_rank (world);
    const int64_t sizes[] = {0, 1, P - 1, P, P + 1, 2 * P + 1, 97, 1009, 65537};
    for (int w = 0; w < 2; w++) {
        wb_wire wire = w == 0 ? WB_WIRE_FP32 : WB_WIRE_BF16;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            if (sizes[s] < 2000) one_size (world, sizes[s], 1, wire);
            one_size (world, sizes[s], 13 + 100 * (int64_t) s, wire);
            one_size (world, sizes[s], 0, wire);
        }
        for (uint64_t k = 0; k < 6; k++)
            one_size (world, (int64_t) (wb_rng_u64 (1, 2, k) % 5000), (int64_t) (wb_rng_u64 (1, 3, k) % 700), wire);
        one_size (world, 1000000, 0, wire);
        queue (world, wire);
        uneven (world, wire);
    }
    side_by_side (world);
    T_OK (wb_ring_bytes (4, 1 << 28, 8, WB_WIRE_FP32, 0) < 2 << 20, "a ring takes a few chunks, whatever it sums");
    return T_END ();
}
