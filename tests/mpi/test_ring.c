/* ranks: 1 2 3 4 5 6 8 */
/* The ring against sums that each rank computes for itself in the ring's order of additions: bit for bit.  One machine
 * stands for many nodes: WABUN_NODE_RANKS ranks each. */
#include "config.h"

#include <string.h>

#include "comm/ring_priv.h"
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
/* Nodes of the group: N with L ranks each.  Rank i of the group is rank l_of[i] of node a_of[i]. */
enum { MOST_RANKS = 64 };
static int N, L, a_of[MOST_RANKS], l_of[MOST_RANKS], rank_of[MOST_RANKS][MOST_RANKS];
static bool thread; /* rings get a thread that polls */

/* A world of nodes of k ranks, and a group of all of them: rank i of the group is rank world_rank[i] of the world. */
static void nodes_of (int k, const int *world_rank) {
    char text[16];
    int lead[MOST_RANKS], many[MOST_RANKS] = {0}, least = P, most = 0; /* nodes by their lowest rank of the group */
    snprintf (text, sizeof text, "%d", k);
    setenv ("WABUN_NODE_RANKS", text, 1);
    N = 0;
    for (int i = 0; i < P; i++) {
        int a = 0;
        while (a < N && world_rank[lead[a]] / k != world_rank[i] / k) a++;
        if (a == N) lead[N++] = i;
        a_of[i] = a;
        l_of[i] = many[a]++;
        rank_of[a][l_of[i]] = i;
    }
    for (int a = 0; a < N; a++) {
        least = many[a] < least ? many[a] : least;
        most = many[a] > most ? many[a] : most;
    }
    L = most;
    if (least == most) return;
    N = P, L = 1; /* unequal: a flat ring */
    for (int i = 0; i < P; i++) a_of[i] = i, l_of[i] = 0, rank_of[i][0] = i;
}

static float value (int r, int64_t i, int salt) {
    return (float) (wb_rng_uniform (11, (uint64_t) (r + 100 * salt), (uint64_t) i) - 0.5);
}

/* The sum inside node a for its l-th rank: l + l+1 + ... + l-1. */
static float in_node (int a, int l, int64_t i, int salt) {
    float sum = value (rank_of[a][l], i, salt);
    for (int k = 1; k < L; k++) sum += value (rank_of[a][(l + k) % L], i, salt);
    return sum;
}

/* Element i of a piece owned by rank l of node a: nodes a + 1, a + 2, ..., a, each hop rounded when the wire is bf16.
 */
static float ordered (int owner, int64_t i, int salt, wb_wire wire) {
    int a = a_of[owner], l = l_of[owner];
    float sum = in_node ((a + 1) % N, l, i, salt);
    for (int k = 2; k <= N; k++) {
        if (wire == WB_WIRE_BF16) sum = widen (narrow (sum));
        sum = in_node ((a + k) % N, l, i, salt) + sum;
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
        if (rounded && N > 1) want = widen (narrow (want));
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

static bool new_ring (wb_ring_t **ring, wb_comm_t *group, int64_t n, int queue, wb_wire wire, int64_t chunk) {
    return T_STATUS (wb_ring_new (ring, group, n, queue, wire, chunk, &ops), WB_OK) &&
           (!thread || T_STATUS (wb_ring_thread (*ring), WB_OK));
}

static void one_size (wb_comm_t *world, int64_t n, int64_t chunk, wb_wire wire) {
    wb_ring_t *ring;
    float *x = wb_malloc ((size_t) (n + 2) * sizeof *x);
    if (!new_ring (&ring, world, n, 2, wire, chunk)) return;
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
    T_OK (wb_ring_begun (ring) == 3 && wb_ring_poll (ring), "three operations, and nothing is left to do");
    double sent = (double) (wb_ring_bytes_sent (ring) - before), size = wire == WB_WIRE_BF16 ? 2.0 : 4.0;
    double want = 2 * wb_ring_traffic (N, P / N, (double) n, wire);
    T_OK (fabs (sent - want) <= 2.0 * (N - 1) * size, "%g bytes sent, expected about %g", sent, want);
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
    if (!new_ring (&ring, world, 30000, ROOM, wire, 512)) return;
    for (int round = 0; round < 2; round++) {
        float *v = round == 0 ? x : y;
        for (int k = 0; k < OPS; k++) fill (v + first[k], size[k], k);
        for (int k = 0; k < OPS; k++) {
            if (k >= ROOM && k % 2 == 0) wb_ring_wait (ring, wb_ring_begun (ring) - ROOM); /* else begin waits */
            if (k % 3 == 0)
                wb_ring_reduce_scatter_begin (ring, v + first[k], size[k], NULL);
            else
                wb_ring_all_reduce_begin (ring, v + first[k], size[k], NULL);
            /* Ranks get out of step with each other. */
            uint64_t polls = wb_rng_u64 ((uint64_t) (rank + round), 5, (uint64_t) k) % 20;
            for (uint64_t i = 0; i < polls; i++) wb_ring_poll (ring);
        }
        wb_ring_end (ring);
        T_OK (wb_ring_begun (ring) == OPS * (round + 1) && wb_ring_poll (ring), "all are finished");
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
    if (!new_ring (&ring, world, MOST + 100000 * rank, ROOM, wire, 700)) return;
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
    enum { M = 5000 };
    wb_ring_t *a, *b;
    if (!new_ring (&a, world, M, 1, WB_WIRE_FP32, 100)) return;
    if (!new_ring (&b, world, M, 1, WB_WIRE_FP32, 100)) return;
    float *x = wb_malloc (M * sizeof *x), *y = wb_malloc (M * sizeof *y), *z = wb_malloc (10000 * sizeof *z);
    fill (x, M, 1);
    fill (y, M, 2);
    for (int i = 0; i < 10000; i++) z[i] = 1.0F;
    if (rank % 2 == 0) wb_ring_all_reduce_begin (a, x, M, NULL);
    wb_ring_all_reduce_begin (b, y, M, NULL);
    if (rank % 2 == 1) wb_ring_all_reduce_begin (a, x, M, NULL);
    wb_comm_sum_f32 (world, z, 10000);
    wb_ring_poll (b);
    wb_comm_sum_f32 (world, z, 10);
    while (wb_ring_poll (a) + wb_ring_poll (b) < 2) {} /* both each time */
    T_OK (all_sums (x, M, 1, WB_WIRE_FP32) && all_sums (y, M, 2, WB_WIRE_FP32), "two rings side by side");
    T_OK (z[0] == (float) (P * P) && z[9999] == (float) P, "and a sum between");
    wb_ring_destroy (a);
    wb_ring_destroy (b);
    wb_free (x);
    wb_free (y);
    wb_free (z);
}

/* After the end nothing is left to do, also while the ring's own thread holds the lock. */
static void at_rest (wb_comm_t *world) {
    wb_ring_t *ring;
    float x[3];
    fill (x, 3, 1);
    thread = true;
    bool made = new_ring (&ring, world, 3, 1, WB_WIRE_FP32, 0);
    thread = false;
    if (!made) return;
    wb_ring_all_reduce_begin (ring, x, 3, NULL);
    wb_ring_end (ring);
    wb_ring_lock (ring);
    T_OK (wb_ring_poll (ring), "a poll after the end needs no lock");
    wb_ring_unlock (ring);
    wb_ring_destroy (ring);
}

/* Is it the ring that these nodes should give? */
static void form (wb_comm_t *group) {
    char want[96] = "one rank";
    wb_ring_t *ring;
    if (P > 1) snprintf (want, sizeof want, "flat ring");
    if (L > 1) snprintf (want, sizeof want, "shared memory");
    if (L > 1 && N > 1) snprintf (want, sizeof want, "shared memory in nodes of %d, rings between %d of them", L, N);
    size_t before = wb_mem_now ();
    if (!new_ring (&ring, group, 1 << 20, 5, WB_WIRE_BF16, 0)) return;
    size_t held = wb_mem_now () - before, most = wb_ring_bytes (P, 1 << 20, 5, WB_WIRE_BF16, 0);
    T_OK (held <= most, "%zu bytes held of %zu", held, most);
    T_OK (strcmp (wb_ring_form (ring), want) == 0, "%s, expected %s", wb_ring_form (ring), want);
    wb_ring_destroy (ring);
}

static void sizes (wb_comm_t *world, wb_wire wire, bool many) {
    const int64_t size[] = {0, 1, P - 1, P, P + 1, 2 * P + 1, 97, 1009, 65537};
    for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
        if (many && size[s] < 2000) one_size (world, size[s], 1, wire);
        one_size (world, size[s], 13 + 100 * (int64_t) s, wire);
        if (many) one_size (world, size[s], 0, wire);
    }
    for (uint64_t k = 0; k < (many ? 6 : 2); k++)
        one_size (world, (int64_t) (wb_rng_u64 (1, 2, k) % 5000), (int64_t) (wb_rng_u64 (1, 3, k) % 700), wire);
    one_size (world, 1000000, 0, wire);
}

/* All of it on nodes of k ranks; then in a group whose ranks go round the nodes, or backwards. */
static void on_nodes (wb_comm_t *world, int k) {
    int order[MOST_RANKS];
    for (int i = 0; i < P; i++) order[i] = i;
    nodes_of (k, order);
    form (world);
    for (int w = 0; w < 2; w++) {
        wb_wire wire = w == 0 ? WB_WIRE_FP32 : WB_WIRE_BF16;
        sizes (world, wire, k == 1 || k == P);
        queue (world, wire);
        uneven (world, wire);
    }
    side_by_side (world);
    at_rest (world);
    const int own = rank;
    for (int back = 0; back < 2 && L > 1; back++) {
        wb_comm_t *group;
        for (int i = 0, at = 0; !back && i < k; i++)
            for (int r = i; r < P; r += k) order[at++] = r;
        for (int i = 0; back && i < P; i++) order[i] = P - 1 - i;
        int key = 0;
        while (order[key] != own) key++;
        if (!T_STATUS (wb_comm_split (&group, world, 0, key), WB_OK)) return;
        rank = wb_comm_rank (group);
        nodes_of (k, order);
        form (group);
        one_size (group, 100003, 0, WB_WIRE_BF16);
        uneven (group, WB_WIRE_FP32);
        thread = true;
        queue (group, back ? WB_WIRE_BF16 : WB_WIRE_FP32);
        thread = false;
        wb_comm_destroy (group);
        rank = own;
    }
}

static void pretended (wb_comm_t *world) {
    const char *const bad[] = {"0", "-1", "two", ""};
    wb_comm_t *node;
    wb_ring_t *ring;
    setenv ("WABUN_NODE_RANKS", "2", 1);
    if (!T_STATUS (wb_comm_split_node (&node, world), WB_OK)) return;
    T_OK (wb_comm_size (node) == (rank == P - 1 && P % 2 == 1 ? 1 : 2) && wb_comm_rank (node) == rank % 2,
          "nodes of two");
    wb_comm_destroy (node);
    for (size_t i = 0; P > 1 && i < sizeof bad / sizeof bad[0]; i++) {
        setenv ("WABUN_NODE_RANKS", bad[i], 1);
        T_STATUS (wb_comm_split_node (&node, world), WB_EUSAGE);
        T_STATUS (wb_ring_new (&ring, world, 100, 1, WB_WIRE_FP32, 0, &ops), WB_EUSAGE);
        T_OK (ring == NULL, "no ring");
    }
}

int main (void) {
    setenv ("WABUN_COMM_THREAD", "1", 1);
    wb_comm_t *world = T_BEGIN ();
    P = wb_comm_size (world);
    rank = wb_comm_rank (world);
    for (int k = 1; k <= P && k <= 4; k++) on_nodes (world, k);
    if (P > 4) on_nodes (world, P);
    pretended (world);
    wb_ring_wait (NULL, 3); /* as poll and end: a rank without a ring has nothing to do */
    wb_ring_end (NULL);
    T_OK (wb_ring_poll (NULL), "no ring is a finished one");
    T_OK (wb_ring_bytes (4, 1 << 28, 8, WB_WIRE_FP32, 0) < 3 << 20, "a ring takes a few chunks, whatever it sums");
    return T_END ();
}
