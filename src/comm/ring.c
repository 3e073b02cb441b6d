/* The ring: reduce-scatter and all-gather of long fp32 vectors (Patarasuk and Yuan, JPDC 69, 2009).
 *
 * A vector is cut in P pieces, evenly or where the caller says.  In step s of a reduce-scatter, rank r sends piece
 * r-s-1 to rank r+1 and adds what rank r-1 sends, piece r-s-2, to its own; after P-1 steps it holds the sum of piece r.
 * An all-gather sends piece r-s and receives piece r-s-1 in place.  What is sent in a step is what came in the step
 * before, also where an all-reduce goes from the one to the other, so an operation is one list of steps.  Each piece
 * travels in chunks, and a chunk goes on as soon as it was received and added: chunk k+1 is on the wire while chunk k
 * is being added.  So a vector that belongs to one rank streams through the others towards it, in about the time of
 * sending it once.
 *
 * All operations together are one endless sequence of chunks to receive and one of chunks to send, in the same order on
 * all ranks.  Four cursors run along them: receives posted, receives done, sends posted, sends done.  At most WINDOW
 * chunks lie between two of them, which is all the memory there is.  The first sends of the next operation leave while
 * the last receives of this one are under way, unless the two share memory. Piece p is summed in the order p+1, p+2,
 * ..., p-1, p: it depends on the layout only.
 *
 * Not done here: hiding latency for short vectors (wb_comm_sum_f32 has the means), compression other than bf16, and
 * progress without wb_ring_poll(). */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "comm/comm_priv.h"

#define WINDOW 16    /* chunks in flight, each way */
#define NAP_NS 50000 /* the thread sleeps between polls */
#define SPINS 64     /* fruitless polls before the core is offered to others */
/* Floats of a 48 KiB message.  Open MPI sends up to 64 KiB over TCP at once; longer messages wait for the other side's
 * answer, and with 256 KiB a ring of four hosts on 1 Gbit/s reached a third of what the links allow. */
#define CHUNK_DEFAULT 12288

typedef struct op {
    float *x;
    int64_t n;
    const int64_t *bounds; /* [P + 1] where the pieces begin, borrowed; NULL: an even cut */
    bool scatter, gather;  /* reduce-scatter steps, then all-gather steps */
    bool alone;            /* shares memory with an operation before it: waits until those are finished */
} op_t;

/* The next chunk to do. */
typedef struct cursor {
    int64_t op; /* number of the operation since new */
    int step;
    int64_t chunk;
} cursor_t;

struct wb_ring {
    MPI_Comm mpi;
    bool own_mpi; /* a duplicate that destroy frees */
    int rank, size;
    int tag;
    wb_wire wire;
    wb_ring_ops_t ops;
    int64_t max_floats, chunk, slot; /* floats */
    int queue;                       /* operations there is room for */
    op_t *op;                        /* [queue], by number modulo queue */
    int64_t queued, finished;
    cursor_t recv_post, recv_done, send_post, send_done;
    int64_t recvs_posted, recvs_done, sends_posted, sends_done; /* messages, as the cursors count them */
    MPI_Request recv[WINDOW], send[WINDOW];
    char *recv_slot; /* [WINDOW][slot] of the wire's type: partial sums on their way into x */
    char *send_slot; /* the same; bf16 only, fp32 is sent from where it lies */
    int64_t bytes_sent;
    double waited;
    /* a thread that polls; lock is held by whoever moves the ring */
    bool threaded, leave;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* there is something to do, or the ring ends */
};

static size_t wire_size (wb_wire wire) { return wire == WB_WIRE_BF16 ? sizeof (uint16_t) : sizeof (float); }

static int64_t chunk_of (int64_t chunk_floats) {
    int64_t most = (int64_t) (WB_MESSAGE_MAX / sizeof (float));
    if (chunk_floats <= 0) return CHUNK_DEFAULT;
    return chunk_floats < most ? chunk_floats : most;
}

/* Floats of the longest message: all may be one piece. */
static int64_t slot_of (int64_t max_floats, int64_t chunk) {
    int64_t most = max_floats < chunk ? max_floats : chunk;
    return most > 0 ? most : 1;
}

static size_t slots_bytes (int64_t slot, wb_wire wire) { return WINDOW * wb_align ((size_t) slot * wire_size (wire)); }

size_t wb_ring_bytes (int P, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats) {
    size_t bytes = sizeof (wb_ring_t) + (size_t) max_queue * sizeof (op_t);
    if (P == 1) return bytes;
    size_t slots = slots_bytes (slot_of (max_floats, chunk_of (chunk_floats)), wire);
    return bytes + (wire == WB_WIRE_BF16 ? 2 : 1) * slots;
}

static void end_thread (wb_ring_t *r);

wb_status wb_ring_make (wb_ring_t **out, MPI_Comm mpi, int rank, int size, int64_t max_floats, int max_queue,
                        wb_wire wire, int64_t chunk_floats, const wb_ring_ops_t *ops) {
    wb_ring_t *r = wb_calloc (1, sizeof *r);
    *out = NULL;
    if (r == NULL) goto full;
    WB_ASSERT (max_floats >= 0 && max_queue >= 1);
    r->mpi = mpi;
    r->rank = rank;
    r->size = size;
    r->tag = WB_TAG_RING;
    r->wire = wire;
    if (ops != NULL) r->ops = *ops;
    r->max_floats = max_floats;
    r->chunk = chunk_of (chunk_floats);
    r->slot = slot_of (max_floats, r->chunk);
    r->queue = max_queue;
    for (int i = 0; i < WINDOW; i++) r->recv[i] = r->send[i] = MPI_REQUEST_NULL;
    r->op = wb_calloc ((size_t) max_queue, sizeof *r->op);
    if (r->op == NULL) goto full;
    if (size > 1) {
        r->recv_slot = wb_malloc (slots_bytes (r->slot, wire));
        if (r->recv_slot == NULL) goto full;
        if (wire == WB_WIRE_BF16) r->send_slot = wb_malloc (slots_bytes (r->slot, wire));
        if (wire == WB_WIRE_BF16 && r->send_slot == NULL) goto full;
    }
    *out = r;
    return WB_OK;
full:
    wb_ring_destroy (r);
    return WB_FAIL (WB_ENOMEM, "no memory for a ring of %d ranks (%zu bytes)", size,
                    wb_ring_bytes (size, max_floats, max_queue, wire, chunk_floats));
}

wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) {
    WB_ASSERT (ops != NULL || group->size == 1);
    wb_status st =
        wb_ring_make (out, MPI_COMM_NULL, group->rank, group->size, max_floats, max_queue, wire, chunk_floats, ops);
    st = wb_agree (group, st);
    if (st != WB_OK) {
        wb_ring_destroy (*out);
        *out = NULL;
        return st;
    }
    if (group->size > 1) {
        WB_MPI (MPI_Comm_dup (group->mpi, &(*out)->mpi));
        WB_MPI (MPI_Comm_set_errhandler ((*out)->mpi, MPI_ERRORS_RETURN));
        (*out)->own_mpi = true;
    }
    return WB_OK;
}

void wb_ring_destroy (wb_ring_t *r) {
    if (r == NULL) return;
    WB_ASSERT (r->finished == r->queued);
    end_thread (r);
    if (r->own_mpi) WB_MPI (MPI_Comm_free (&r->mpi));
    wb_free (r->recv_slot);
    wb_free (r->send_slot);
    wb_free (r->op);
    wb_free (r);
}

/* ---- the two sequences ------------------------------------------------------------------------------------------ */

static op_t *op_at (const wb_ring_t *r, int64_t number) { return &r->op[number % r->queue]; }

static int steps_of (const wb_ring_t *r, const op_t *o) { return (o->scatter + o->gather) * (r->size - 1); }

/* Is this step one of adding (reduce-scatter), not of copying? */
static bool adds (const wb_ring_t *r, const op_t *o, int step) { return o->scatter && step < r->size - 1; }

/* Piece that is received in a step; the one that is sent in step s is received in step s - 1. */
static int piece_of (const wb_ring_t *r, const op_t *o, int step, bool sending) {
    int back = step + (sending ? 0 : 1) + (o->scatter ? 1 : 0);
    return ((r->rank - back) % r->size + r->size) % r->size;
}

/* First float of a piece; piece P gives n. */
static int64_t first_of (const wb_ring_t *r, const op_t *o, int piece) {
    return o->bounds != NULL ? o->bounds[piece] : wb_split_first (o->n, r->size, piece);
}

static int64_t count_of (const wb_ring_t *r, const op_t *o, int piece) {
    return first_of (r, o, piece + 1) - first_of (r, o, piece);
}

/* Chunk under the cursor: where it lies in x, and its floats. */
static float *chunk_at (const wb_ring_t *r, const cursor_t *c, bool sending, int64_t *count) {
    const op_t *o = op_at (r, c->op);
    int piece = piece_of (r, o, c->step, sending);
    int64_t first = c->chunk * r->chunk, left = count_of (r, o, piece) - first;
    *count = left < r->chunk ? left : r->chunk;
    return o->x + first_of (r, o, piece) + first;
}

/* Walk over what is empty (pieces of short vectors, the end of an operation).  False at the end of the queue. */
static bool settle (const wb_ring_t *r, cursor_t *c, bool sending) {
    while (c->op < r->queued) {
        const op_t *o = op_at (r, c->op);
        if (c->step == steps_of (r, o)) {
            *c = (cursor_t){.op = c->op + 1};
        } else if (c->chunk * r->chunk >= count_of (r, o, piece_of (r, o, c->step, sending))) {
            c->step++;
            c->chunk = 0;
        } else {
            return true;
        }
    }
    return false;
}

/* Is the cursor past this chunk? */
static bool past (const cursor_t *c, int64_t op, int step, int64_t chunk) {
    if (c->op != op) return c->op > op;
    return c->step != step ? c->step > step : c->chunk > chunk;
}

static bool may_start (const wb_ring_t *r, const cursor_t *c) {
    return !op_at (r, c->op)->alone || r->finished >= c->op;
}

static int tag_of (const wb_ring_t *r, const cursor_t *c) { return r->tag + (int) (c->op & (WB_TAG_RINGS - 1)); }

static void *slot_at (const wb_ring_t *r, char *slots, int64_t message) {
    return slots + (size_t) (message % WINDOW) * wb_align ((size_t) r->slot * wire_size (r->wire));
}

/* ---- the four cursors ------------------------------------------------------------------------------------------- */

static bool post_recv (wb_ring_t *r) {
    cursor_t *c = &r->recv_post;
    if (!settle (r, c, false) || r->recvs_posted - r->recvs_done == WINDOW || !may_start (r, c)) return false;
    const op_t *o = op_at (r, c->op);
    bool adding = adds (r, o, c->step);
    /* An all-reduce gathers over a piece it has sent before: not before that message has left. */
    if (!adding && o->scatter && !past (&r->send_done, c->op, c->step - (r->size - 1), c->chunk)) return false;
    int64_t n;
    void *to = chunk_at (r, c, false, &n);
    bool direct = !adding && r->wire == WB_WIRE_FP32;
    if (!direct) to = slot_at (r, r->recv_slot, r->recvs_posted);
    WB_MPI (MPI_Irecv (to, (int) n, r->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T,
                       (r->rank + r->size - 1) % r->size, tag_of (r, c), r->mpi, &r->recv[r->recvs_posted % WINDOW]));
    r->recvs_posted++;
    c->chunk++;
    return true;
}

static bool post_send (wb_ring_t *r) {
    cursor_t *c = &r->send_post;
    if (!settle (r, c, true) || r->sends_posted - r->sends_done == WINDOW || !may_start (r, c)) return false;
    if (c->step > 0 && !past (&r->recv_done, c->op, c->step - 1, c->chunk)) return false;
    const op_t *o = op_at (r, c->op);
    int64_t n;
    float *x = chunk_at (r, c, true, &n);
    const void *from = x;
    if (r->wire == WB_WIRE_BF16) {
        uint16_t *packed = slot_at (r, r->send_slot, r->sends_posted);
        r->ops.bf16_pack (packed, x, n);
        /* The owner keeps what the others will get. */
        if (o->gather && c->step == (o->scatter ? r->size - 1 : 0)) r->ops.bf16_unpack (x, packed, n);
        from = packed;
    }
    WB_MPI (MPI_Isend (from, (int) n, r->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T, (r->rank + 1) % r->size,
                       tag_of (r, c), r->mpi, &r->send[r->sends_posted % WINDOW]));
    r->bytes_sent += n * (int64_t) wire_size (r->wire);
    r->sends_posted++;
    c->chunk++;
    return true;
}

/* The oldest receive, when it has come: add it, or put it where it belongs. */
static bool finish_recv (wb_ring_t *r) {
    cursor_t *c = &r->recv_done;
    if (!settle (r, c, false) || r->recvs_done == r->recvs_posted) return false;
    int done = 0, count;
    MPI_Status got;
    WB_MPI (MPI_Test (&r->recv[r->recvs_done % WINDOW], &done, &got));
    if (!done) return false;
    int64_t n;
    float *x = chunk_at (r, c, false, &n);
    WB_MPI (MPI_Get_count (&got, r->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T, &count));
    WB_ASSERT (count == n); /* or the ranks queued different operations */
    const void *slot = slot_at (r, r->recv_slot, r->recvs_done);
    bool adding = adds (r, op_at (r, c->op), c->step);
    if (adding && r->wire == WB_WIRE_FP32)
        r->ops.add (x, slot, n);
    else if (adding)
        r->ops.bf16_add (x, slot, n);
    else if (r->wire == WB_WIRE_BF16)
        r->ops.bf16_unpack (x, slot, n);
    r->recvs_done++;
    c->chunk++;
    settle (r, c, false);
    return true;
}

static bool finish_send (wb_ring_t *r) {
    cursor_t *c = &r->send_done;
    if (!settle (r, c, true) || r->sends_done == r->sends_posted) return false;
    int done = 0;
    WB_MPI (MPI_Test (&r->send[r->sends_done % WINDOW], &done, MPI_STATUS_IGNORE));
    if (!done) return false;
    r->sends_done++;
    c->chunk++;
    settle (r, c, true);
    return true;
}

/* Moves what can be moved; false when nothing could. */
static bool progress (wb_ring_t *r) {
    bool moved = r->finished < r->queued, any = false;
    while (moved) {
        moved = false;
        while (post_recv (r)) moved = true;
        while (post_send (r)) moved = true;
        if (finish_recv (r)) moved = true;
        if (finish_send (r)) moved = true;
        int64_t finished = r->recv_done.op < r->send_done.op ? r->recv_done.op : r->send_done.op;
        if (finished > r->finished) r->finished = finished, moved = true;
        any = any || moved;
    }
    return any;
}

/* ---- a thread that polls ----------------------------------------------------------------------------------------- */

static void lock (wb_ring_t *r) {
    if (r->threaded) pthread_mutex_lock (&r->lock);
}

static void unlock (wb_ring_t *r) {
    if (r->threaded) pthread_mutex_unlock (&r->lock);
}

static void *poll_for_ever (void *arg) {
    wb_ring_t *r = arg;
    const struct timespec nap = {.tv_nsec = NAP_NS};
    pthread_mutex_lock (&r->lock);
    while (!r->leave) {
        if (r->finished == r->queued) {
            pthread_cond_wait (&r->wake, &r->lock);
            continue;
        }
        progress (r);
        pthread_mutex_unlock (&r->lock);
        nanosleep (&nap, NULL);
        pthread_mutex_lock (&r->lock);
    }
    pthread_mutex_unlock (&r->lock);
    return NULL;
}

wb_status wb_ring_thread (wb_ring_t *r) {
    int rc;
    if (r->size == 1 || r->threaded || !wb_world_threads ()) return WB_OK;
    pthread_mutex_init (&r->lock, NULL);
    pthread_cond_init (&r->wake, NULL);
    rc = pthread_create (&r->thread, NULL, poll_for_ever, r);
    r->threaded = rc == 0;
    if (rc == 0) return WB_OK;
    pthread_cond_destroy (&r->wake);
    pthread_mutex_destroy (&r->lock);
    return WB_FAIL (WB_ENOMEM, "cannot start a thread for the ring: %s", strerror (rc));
}

static void end_thread (wb_ring_t *r) {
    if (!r->threaded) return;
    lock (r);
    r->leave = true;
    pthread_cond_signal (&r->wake);
    unlock (r);
    pthread_join (r->thread, NULL);
    pthread_cond_destroy (&r->wake);
    pthread_mutex_destroy (&r->lock);
    r->threaded = false;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

bool wb_ring_poll (wb_ring_t *r) {
    if (r == NULL) return true;
    if (r->threaded && pthread_mutex_trylock (&r->lock) != 0) return false; /* the thread is at it */
    progress (r);
    bool done = r->finished == r->queued;
    unlock (r);
    return done;
}

/* Until at least `many` operations are finished.  Where there are more ranks than cores, the others need this one. */
static void wait_for (wb_ring_t *r, int64_t many) {
    if (r->finished >= many) return;
    double start = wb_now ();
    for (int idle = 0; r->finished < many;) {
        idle = progress (r) ? 0 : idle + 1;
        if (idle > SPINS) sched_yield ();
    }
    r->waited += wb_now () - start;
}

void wb_ring_wait (wb_ring_t *r, int64_t k) {
    lock (r);
    progress (r);
    wait_for (r, k + 1);
    unlock (r);
}

void wb_ring_end (wb_ring_t *r) {
    if (r != NULL) wb_ring_wait (r, r->queued - 1);
}

static void begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds, bool scatter, bool gather) {
    WB_ASSERT (n >= 0 && n <= r->max_floats);
    WB_ASSERT (bounds == NULL || (bounds[0] == 0 && bounds[r->size] == n));
    if (r->size == 1) {
        r->queued++;
        r->finished++;
        return;
    }
    lock (r);
    wait_for (r, r->queued - r->queue + 1);
    bool alone = false;
    for (int64_t k = r->finished; k < r->queued; k++) {
        const op_t *o = op_at (r, k);
        if (x < o->x + o->n && o->x < x + n) alone = true;
    }
    *op_at (r, r->queued) =
        (op_t){.x = x, .n = n, .bounds = bounds, .scatter = scatter, .gather = gather, .alone = alone};
    r->queued++;
    progress (r);
    if (r->threaded) pthread_cond_signal (&r->wake);
    unlock (r);
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

void wb_ring_reduce_now (wb_ring_t *r, float *x, int64_t n, void (*add) (float *y, const float *x, int64_t n)) {
    r->ops.add = add;
    begin (r, x, n, NULL, true, true);
    wb_ring_end (r);
}

int64_t wb_ring_begun (const wb_ring_t *r) { return r->queued; }
int64_t wb_ring_finished (const wb_ring_t *r) { return r->finished; }
int64_t wb_ring_bytes_sent (const wb_ring_t *r) { return r->bytes_sent; }
double wb_ring_seconds_waited (const wb_ring_t *r) { return r->waited; }
const char *wb_ring_form (const wb_ring_t *r) { return r->size > 1 ? "flat ring" : "one rank"; }
