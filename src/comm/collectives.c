/* Small collectives, and sums of fp32 vectors that wait for their result.
 *
 * Small all-reduces are our own recursive doubling (Rabenseifner, "Optimization of collective reduction operations",
 * ICCS 2004, section 2): the partner with the lower rank is always the left operand, so all ranks compute the same tree
 * and hold the same bits, run after run, whatever algorithm the MPI library would choose.  Long fp32 vectors take a
 * plain ring of blocking messages.
 *
 * Not done here: vectors worth overlapping with arithmetic (ring.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "comm/comm_priv.h"

void wb_comm_barrier (wb_comm_t *c) {
    if (c->size > 1) wb_mpi_barrier (c->mpi);
}

/* The bytes in messages of at most WB_MESSAGE_MAX. */
#define IN_CHUNKS(p, bytes, len)                                                                    \
    for (size_t at_ = 0, len;                                                                       \
         at_ < (bytes) && (len = (bytes) -at_ < WB_MESSAGE_MAX ? (bytes) -at_ : WB_MESSAGE_MAX, 1); \
         at_ += len, (p) += len)

void wb_comm_bcast (wb_comm_t *c, void *data, size_t bytes, int root) {
    char *p = data;
    if (c->size == 1) return;
    IN_CHUNKS (p, bytes, len) wb_mpi_bcast (p, (int) len, root, c->mpi);
}

void wb_comm_all_gather (wb_comm_t *c, void *all, const void *mine, size_t bytes) {
    char *to = (char *) all;
    char *own = to + bytes * (size_t) c->rank;
    if (bytes == 0) return;
    if (own != (const char *) mine) memmove (own, mine, bytes);
    if (c->size == 1) return;
    if (bytes <= WB_MESSAGE_MAX / (size_t) c->size) {
        MPI_Request request;
        WB_MPI (MPI_Iallgather (MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, (int) bytes, MPI_BYTE, c->mpi, &request));
        wb_mpi_wait (&request, MPI_STATUS_IGNORE);
        return;
    }
    for (int r = 0; r < c->size; r++) wb_comm_bcast (c, to + bytes * (size_t) r, bytes, r);
}

/* Send to one rank while receiving from another, or the same. */
static void exchange (wb_comm_t *c, const void *out, int sends, int to, void *in, int recvs, int from) {
    MPI_Request send, recv;
    WB_MPI (MPI_Irecv (in, recvs, MPI_BYTE, from, WB_TAG_SUM, c->mpi, &recv));
    WB_MPI (MPI_Isend (out, sends, MPI_BYTE, to, WB_TAG_SUM, c->mpi, &send));
    wb_mpi_wait (&recv, MPI_STATUS_IGNORE);
    wb_mpi_wait (&send, MPI_STATUS_IGNORE);
}

/* y = a op b, n elements; y may be a or b. */
typedef void op_fn (void *y, const void *a, const void *b, int64_t n);

#define OP(name, type, expr)                                                 \
    static void name (void *y_, const void *a_, const void *b_, int64_t n) { \
        type *y = y_;                                                        \
        const type *aa = a_, *bb = b_;                                       \
        for (int64_t i = 0; i < n; i++) {                                    \
            type a = aa[i], b = bb[i];                                       \
            y[i] = (expr);                                                   \
        }                                                                    \
    }
/* A NaN wins in maxima and minima, so that whoever checks the result finds it. */
OP (sum_f64, double, a + b)
OP (max_f64, double, a > b || isnan (a) ? a : b)
OP (min_f64, double, a < b || isnan (a) ? a : b)
OP (sum_i64, int64_t, a + b)
OP (max_i64, int64_t, a > b ? a : b)
OP (sum_f32, float, a + b)
OP (max_f32, float, a > b || isnan (a) ? a : b)

/* ---- short vectors: recursive doubling --------------------------------------------------------------------------- */

/* x = op over the ranks in the order of a fixed tree; at most WB_SCRATCH_BYTES.  When the number of ranks is not a
 * power of two, the first 2 (ranks - 2^k) ranks combine in pairs, and the even one of each pair goes on. */
static void tree_block (wb_comm_t *c, void *x, int64_t n, size_t size, op_fn *op) {
    const int bytes = (int) ((size_t) n * size), rank = c->rank;
    int power = 1;
    while (power <= c->size / 2) power *= 2;
    const int rest = c->size - power, place = rank < 2 * rest ? rank / 2 : rank - rest;
    if (rank < 2 * rest && rank % 2 == 1) {
        wb_mpi_send (x, bytes, rank - 1, WB_TAG_SUM, c->mpi);
        wb_mpi_recv (x, bytes, rank - 1, WB_TAG_SUM, c->mpi);
        return;
    }
    if (rank < 2 * rest) {
        wb_mpi_recv (c->scratch, bytes, rank + 1, WB_TAG_SUM, c->mpi);
        op (x, x, c->scratch, n);
    }
    for (int bit = 1; bit < power; bit *= 2) {
        int other = place ^ bit, peer = other < rest ? 2 * other : other + rest;
        exchange (c, x, bytes, peer, c->scratch, bytes, peer);
        if (other > place)
            op (x, x, c->scratch, n);
        else
            op (x, c->scratch, x, n);
    }
    if (rank < 2 * rest) wb_mpi_send (x, bytes, rank + 1, WB_TAG_SUM, c->mpi);
}

static void reduce_tree (wb_comm_t *c, void *x, int64_t n, size_t size, op_fn *op) {
    if (c->size == 1) return;
    const int64_t max = (int64_t) (WB_SCRATCH_BYTES / size);
    for (int64_t at = 0; at < n; at += max)
        tree_block (c, (char *) x + (size_t) at * size, n - at < max ? n - at : max, size, op);
}

/* ---- long vectors: a ring ---------------------------------------------------------------------------------------- */

/* Send piece `out` of x to the next rank while piece `in` comes from the previous one, in messages of what scratch
 * holds; op NULL: the piece is copied. */
static void pass_pieces (wb_comm_t *c, float *x, int64_t n, int out, int in, op_fn *op) {
    const int64_t max = WB_SUM_SHORT, longest = wb_split_count (n, c->size, 0);
    const int64_t sends = wb_split_count (n, c->size, out), recvs = wb_split_count (n, c->size, in);
    const int next = (c->rank + 1) % c->size, previous = (c->rank + c->size - 1) % c->size;
    float *to = x + wb_split_first (n, c->size, out), *from = x + wb_split_first (n, c->size, in);
    for (int64_t at = 0; at < longest;
         at += max) { /* the same number of messages on every rank; the last may be empty */
        int64_t send = sends - at < max ? sends - at : max, recv = recvs - at < max ? recvs - at : max;
        exchange (c, to + at, (int) send * (int) sizeof *x, next, op != NULL ? c->scratch : from + at,
                  (int) recv * (int) sizeof *x, previous);
        if (op != NULL) op (from + at, from + at, c->scratch, recv);
    }
}

/* Reduce-scatter, then all-gather, as in ring.c and in its order of additions. */
static void reduce_ring (wb_comm_t *c, float *x, int64_t n, op_fn *op) {
    const int ranks = c->size;
    for (int s = 0; s < ranks - 1; s++)
        pass_pieces (c, x, n, (c->rank - s - 1 + 2 * ranks) % ranks, (c->rank - s - 2 + 2 * ranks) % ranks, op);
    for (int s = 0; s < ranks - 1; s++)
        pass_pieces (c, x, n, (c->rank - s + ranks) % ranks, (c->rank - s - 1 + ranks) % ranks, NULL);
}

void wb_comm_sum_f64 (wb_comm_t *c, double *x, int n) { reduce_tree (c, x, n, sizeof *x, sum_f64); }
void wb_comm_max_f64 (wb_comm_t *c, double *x, int n) { reduce_tree (c, x, n, sizeof *x, max_f64); }
void wb_comm_min_f64 (wb_comm_t *c, double *x, int n) { reduce_tree (c, x, n, sizeof *x, min_f64); }
void wb_comm_sum_i64 (wb_comm_t *c, int64_t *x, int n) { reduce_tree (c, x, n, sizeof *x, sum_i64); }
void wb_comm_max_i64 (wb_comm_t *c, int64_t *x, int n) { reduce_tree (c, x, n, sizeof *x, max_i64); }

void wb_comm_sum_f32 (wb_comm_t *c, float *x, int64_t n) {
    if (c->size > 1 && n > WB_SUM_SHORT)
        reduce_ring (c, x, n, sum_f32);
    else
        reduce_tree (c, x, n, sizeof *x, sum_f32);
}

void wb_comm_max_f32 (wb_comm_t *c, float *x, int64_t n) {
    if (c->size > 1 && n > WB_SUM_SHORT)
        reduce_ring (c, x, n, max_f32);
    else
        reduce_tree (c, x, n, sizeof *x, max_f32);
}
