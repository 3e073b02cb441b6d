/* The ring: reduce-scatter and all-gather of long fp32 vectors (Patarasuk and Yuan, JPDC 69, 2009).
 *
 * A vector is cut into one piece per rank, evenly or where the caller says.  In step s of a reduce-scatter, rank r
 * sends piece r-s-1 to rank r+1 and adds what rank r-1 sends, piece r-s-2, to its own; after ranks-1 steps it holds the
 * sum of piece r.  An all-gather sends piece r-s and receives piece r-s-1 in place.  Each step sends what the step
 * before it received, also where an all-reduce changes from one to the other, so an operation is one list of steps.
 * Each piece travels in chunks, and a chunk is passed on as soon as it was received and added: chunk k+1 is on the wire
 * while chunk k is being added.  A vector that belongs to one rank therefore streams through the others towards it, in
 * about the time of sending it once.
 *
 * All operations together are one endless sequence of chunks to receive and one of chunks to send, in the same order on
 * all ranks.  Four cursors run along them: receives posted, receives done, sends posted, sends done.  At most
 * WB_RING_WINDOW chunks lie between two of them, which bounds the memory.  The first sends of the next operation leave
 * while the last receives of this one are under way, unless the two share memory.  Piece p is summed in the order p+1,
 * p+2, ..., p-1, p: the order depends on the layout only.
 *
 * Nodes with several ranks.  Let rank (a, l) be the l-th of node a.  Before the ring, the ranks of a node sum through
 * shared memory (ring_node.c): (a, l) sums the pieces of all (q, l).  Then these go round the ring of the l-th ranks,
 * where (a, l) ends with the sum of its own; and after a gather the node copies them out through shared memory.  The
 * shared memory works in the order of the ring: the pieces of node a-1 first, which the ring sends first, and their
 * chunks leave while the next ones are summed.
 *
 * Not done here: hiding latency for short vectors (wb_comm_sum_f32 does that), compression other than bf16, and
 * progress without wb_ring_poll(). */
#include "config.h"

#include <sched.h>

#include "comm/ring_priv.h"

/* ---- the two sequences ------------------------------------------------------------------------------------------ */

static size_t wire_size (wb_wire wire) { return wire == WB_WIRE_BF16 ? sizeof (uint16_t) : sizeof (float); }

static MPI_Datatype wire_type (wb_wire wire) { return wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T; }

static int steps_of (const wb_ring_t *r, const op_t *o) { return (o->scatter + o->gather) * (r->nodes - 1); }

/* Is this step one of adding (reduce-scatter), not of copying? */
static bool adds (const wb_ring_t *r, const op_t *o, int step) { return o->scatter && step < r->nodes - 1; }

/* Piece that is received in a step; the one that is sent in step s is received in step s - 1. */
static int piece_of (const wb_ring_t *r, const op_t *o, int step, bool sending) {
    int back = step + (sending ? 0 : 1) + (o->scatter ? 1 : 0);
    return ((r->node - back) % r->nodes + r->nodes) % r->nodes;
}

/* Chunk under the cursor: its address in x, and its floats. */
static float *chunk_at (const wb_ring_t *r, const cursor_t *c, bool sending, int64_t *count) {
    const op_t *o = wb_ring_op (r, c->op);
    int piece = piece_of (r, o, c->step, sending);
    int64_t first = c->chunk * r->chunk, left = wb_ring_count (r, o, piece) - first;
    *count = left < r->chunk ? left : r->chunk;
    return o->x + wb_ring_first (r, o, piece) + first;
}

/* Move the cursor over empty pieces and finished operations.  False at the end of the queue. */
static bool skip_empty (const wb_ring_t *r, cursor_t *c, bool sending) {
    while (c->op < r->queued) {
        const op_t *o = wb_ring_op (r, c->op);
        if (c->step == steps_of (r, o)) {
            *c = (cursor_t){.op = c->op + 1};
        } else if (c->chunk * r->chunk >= wb_ring_count (r, o, piece_of (r, o, c->step, sending))) {
            c->step++;
            c->chunk = 0;
        } else {
            return true;
        }
    }
    return false;
}

static int tag_of (const cursor_t *c) { return WB_TAG_RING + (int) (c->op & (WB_TAG_RINGS - 1)); }

static void *slot_at (const wb_ring_t *r, char *slots, int64_t message) {
    return slots + (size_t) (message % WB_RING_WINDOW) * wb_align ((size_t) r->slot * wire_size (r->wire));
}

/* ---- the four cursors of the ring -------------------------------------------------------------------------------- */

static bool post_recv (wb_ring_t *r) {
    cursor_t *c = &r->recv_post;
    if (!skip_empty (r, c, false) || r->recvs_posted - r->recvs_done == WB_RING_WINDOW || !wb_ring_may_start (r, c))
        return false;
    const op_t *o = wb_ring_op (r, c->op);
    bool adding = adds (r, o, c->step);
    /* An all-reduce gathers into a piece it has sent before: not before that message has left. */
    if (!adding && o->scatter && !wb_cursor_past (&r->send_done, c->op, c->step - (r->nodes - 1), c->chunk))
        return false;
    int64_t n;
    void *to = chunk_at (r, c, false, &n);
    bool direct = !adding && r->wire == WB_WIRE_FP32;
    if (!direct) to = slot_at (r, r->recv_slot, r->recvs_posted);
    WB_MPI (MPI_Irecv (to, (int) n, wire_type (r->wire), (r->node + r->nodes - 1) % r->nodes, tag_of (c), r->mpi,
                       &r->recv[r->recvs_posted % WB_RING_WINDOW]));
    r->recvs_posted++;
    c->chunk++;
    return true;
}

static bool post_send (wb_ring_t *r) {
    cursor_t *c = &r->send_post;
    if (!skip_empty (r, c, true) || r->sends_posted - r->sends_done == WB_RING_WINDOW || !wb_ring_may_start (r, c))
        return false;
    if (c->step > 0 && !wb_cursor_past (&r->recv_done, c->op, c->step - 1, c->chunk)) return false;
    const op_t *o = wb_ring_op (r, c->op);
    int64_t n;
    float *x = chunk_at (r, c, true, &n);
    if (c->step == 0 && o->scatter && !wb_ring_node_summed (r, c->op, 0, c->chunk * r->chunk + n)) return false;
    const void *from = x;
    if (r->wire == WB_WIRE_BF16) {
        uint16_t *packed = slot_at (r, r->send_slot, r->sends_posted);
        r->ops.bf16_pack (packed, x, n);
        /* The owner keeps what the others will get. */
        if (o->gather && c->step == (o->scatter ? r->nodes - 1 : 0)) r->ops.bf16_unpack (x, packed, n);
        from = packed;
    }
    WB_MPI (MPI_Isend (from, (int) n, wire_type (r->wire), (r->node + 1) % r->nodes, tag_of (c), r->mpi,
                       &r->send[r->sends_posted % WB_RING_WINDOW]));
    r->bytes_sent += n * (int64_t) wire_size (r->wire);
    r->sends_posted++;
    c->chunk++;
    return true;
}

/* The oldest receive, when it is complete: add it, or copy it to its place. */
static bool finish_recv (wb_ring_t *r) {
    cursor_t *c = &r->recv_done;
    if (!skip_empty (r, c, false) || r->recvs_done == r->recvs_posted) return false;
    bool adding = adds (r, wb_ring_op (r, c->op), c->step);
    int done = 0, count;
    int64_t n;
    float *x = chunk_at (r, c, false, &n);
    if (adding && !wb_ring_node_summed (r, c->op, c->step + 1, c->chunk * r->chunk + n)) return false;
    MPI_Status got;
    WB_MPI (MPI_Test (&r->recv[r->recvs_done % WB_RING_WINDOW], &done, &got));
    if (!done) return false;
    WB_MPI (MPI_Get_count (&got, wire_type (r->wire), &count));
    WB_ASSERT (count == n); /* or the ranks queued different operations */
    const void *slot = slot_at (r, r->recv_slot, r->recvs_done);
    if (adding && r->wire == WB_WIRE_FP32)
        r->ops.add (x, slot, n);
    else if (adding)
        r->ops.bf16_add (x, slot, n);
    else if (r->wire == WB_WIRE_BF16)
        r->ops.bf16_unpack (x, slot, n);
    r->recvs_done++;
    c->chunk++;
    skip_empty (r, c, false);
    return true;
}

static bool finish_send (wb_ring_t *r) {
    cursor_t *c = &r->send_done;
    if (!skip_empty (r, c, true) || r->sends_done == r->sends_posted) return false;
    int done = 0;
    WB_MPI (MPI_Test (&r->send[r->sends_done % WB_RING_WINDOW], &done, MPI_STATUS_IGNORE));
    if (!done) return false;
    r->sends_done++;
    c->chunk++;
    skip_empty (r, c, true);
    return true;
}

/* Operations that are finished on this rank. */
static int64_t count_finished (const wb_ring_t *r) {
    const cursor_t *c[] = {&r->recv_done, &r->send_done, &r->add_parts, &r->get_results};
    int64_t min = INT64_MAX;
    for (int i = 0; i < (r->shm != NULL ? 4 : 2); i++)
        if (c[i]->op < min) min = c[i]->op;
    return min;
}

bool wb_ring_progress (wb_ring_t *r) {
    bool moved = r->finished < r->queued, any = false;
    while (moved) {
        moved = false;
        while (post_recv (r)) moved = true;
        while (post_send (r)) moved = true;
        if (finish_recv (r)) moved = true;
        if (finish_send (r)) moved = true;
        if (r->shm != NULL && wb_ring_node_progress (r)) moved = true;
        int64_t now = count_finished (r);
        if (now > r->finished) r->finished = now, moved = true;
        any = any || moved;
    }
    if (!any && r->shm != NULL && r->finished < r->queued) {
        /* Shared memory needs no MPI, but the rank we wait for may be waiting for a message of ours to move. */
        int flag;
        WB_MPI (MPI_Iprobe (MPI_ANY_SOURCE, WB_TAG_RING, r->node_mpi, &flag, MPI_STATUS_IGNORE));
    }
    return any;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

bool wb_ring_poll (wb_ring_t *r) {
    if (r == NULL || r->seen == r->queued) return true;
    if (r->threaded && pthread_mutex_trylock (&r->lock) != 0) return false; /* the thread is polling */
    wb_ring_progress (r);
    r->seen = r->finished;
    wb_ring_unlock (r);
    return r->seen == r->queued;
}

/* Poll until at least `count` operations are finished.  Where there are more ranks than cores, the others need this
 * core.  The caller holds the lock. */
static void wait_for (wb_ring_t *r, int64_t count) {
    wb_wait_begin ();
    for (int idle = 0; r->finished < count;) {
        idle = wb_ring_progress (r) ? 0 : idle + 1;
        if (idle > WB_SPINS) sched_yield ();
        if (idle == 0) wb_beat ();
    }
    r->seen = r->finished;
    wb_wait_end ();
}

void wb_ring_wait (wb_ring_t *r, int64_t k) {
    if (r == NULL) return;
    wb_ring_lock (r);
    wb_ring_progress (r);
    wait_for (r, k + 1);
    wb_ring_unlock (r);
}

void wb_ring_end (wb_ring_t *r) {
    if (r != NULL) wb_ring_wait (r, r->queued - 1);
}

static void begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds, bool scatter, bool gather) {
    WB_ASSERT (n >= 0 && n <= r->max_floats);
    WB_ASSERT (bounds == NULL || (bounds[0] == 0 && bounds[r->ranks] == n));
    if (r->ranks == 1) {
        r->seen = r->finished = ++r->queued;
        return;
    }
    wb_ring_lock (r);
    wait_for (r, r->queued - r->queue + 1);
    bool exclusive = false;
    for (int64_t k = r->finished; k < r->queued; k++) {
        const op_t *o = wb_ring_op (r, k);
        if (x < o->x + o->n && o->x < x + n) exclusive = true;
    }
    *wb_ring_op (r, r->queued) =
        (op_t){.x = x, .n = n, .bounds = bounds, .scatter = scatter, .gather = gather, .exclusive = exclusive};
    r->queued++;
    wb_ring_progress (r);
    if (r->threaded) pthread_cond_signal (&r->wake);
    wb_ring_unlock (r);
}

void wb_ring_reduce_scatter_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds) {
    begin (r, x, n, bounds, true, false);
}
void wb_ring_all_gather_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds) {
    begin (r, x, n, bounds, false, true);
}
void wb_ring_all_reduce_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds) {
    begin (r, x, n, bounds, true, true);
}

/* Only the thread that begins operations changes `queued`, so it may read it without the lock. */
int64_t wb_ring_begun (const wb_ring_t *r) { return r->queued; }

int64_t wb_ring_bytes_sent (wb_ring_t *r) {
    wb_ring_lock (r);
    int64_t bytes = r->bytes_sent;
    wb_ring_unlock (r);
    return bytes;
}

const char *wb_ring_form (const wb_ring_t *r) { return r->form; }
