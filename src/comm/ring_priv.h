/* What the files of the ring share: its queue of operations, its cursors, and who calls whom.
 *
 *   ring.c         the queue, the cursors of the ring between nodes, begin / poll / end
 *   ring_node.c    the cursors of the shared memory inside a node
 *   ring_place.c   which rank is where, memory, new and destroy
 *   ring_thread.c  a thread that polls */
#ifndef WABUN_COMM_RING_PRIV_H
#define WABUN_COMM_RING_PRIV_H

#include <pthread.h>

#include "comm/comm_priv.h"

#define WB_RING_WINDOW 16 /* chunks in flight, each way */

typedef struct op {
    float *x;
    int64_t n;
    const int64_t *bounds; /* [ranks + 1] where the pieces begin, borrowed; NULL: an even cut */
    bool scatter, gather;  /* reduce-scatter steps, then all-gather steps */
    bool exclusive;        /* overlaps the memory of an earlier operation: starts when all earlier ones are finished */
} op_t;

/* The next chunk of the ring to do, or the next round of the shared memory, whose steps are the nodes. */
typedef struct cursor {
    int64_t op; /* number of the operation since new */
    int step;
    int64_t chunk;
} cursor_t;

struct wb_ring {
    MPI_Comm mpi;      /* of this rank's ring, owned; MPI_COMM_NULL with one node */
    int ranks;         /* of the group */
    int node, nodes;   /* rank and size of this rank's ring */
    int local, locals; /* this rank in its node, and ranks of a node; 0 and 1 in a flat ring */
    int *rank_of;      /* [nodes][locals] rank in the group */
    wb_wire wire;
    wb_ring_ops_t ops;
    int64_t max_floats, chunk, slot; /* floats */
    int queue;                       /* operations there is room for */
    op_t *op;                        /* [queue], by number modulo queue */
    int64_t queued, finished;
    int64_t seen; /* `finished` as the caller's thread last saw it; only that thread reads and writes it */
    cursor_t recv_post, recv_done, send_post, send_done;
    int64_t recvs_posted, recvs_done, sends_posted, sends_done; /* messages, as the cursors count them */
    MPI_Request recv[WB_RING_WINDOW], send[WB_RING_WINDOW];
    char *recv_slot; /* [WB_RING_WINDOW][slot] of the wire's type: partial sums on their way into x */
    char *send_slot; /* the same; bf16 only, fp32 is sent from where it lies */
    /* inside the node; NULL in a flat ring */
    wb_shm_t *shm;
    MPI_Comm node_mpi;
    wb_part_t *part; /* [locals] of one round */
    int64_t block;   /* floats of a round */
    cursor_t put_parts, add_parts, put_result, get_results;
    char form[96];
    int64_t bytes_sent;
    /* a thread that polls; the lock is held by whoever moves the ring */
    bool threaded, leave;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* there is something to do, or the ring ends */
};

static inline op_t *wb_ring_op (const wb_ring_t *r, int64_t number) { return &r->op[number % r->queue]; }

/* First float of the piece of a rank of the group; `ranks` gives n. */
static inline int64_t wb_ring_rank_first (const wb_ring_t *r, const op_t *o, int rank) {
    return o->bounds != NULL ? o->bounds[rank] : wb_split_first (o->n, r->ranks, rank);
}

static inline int64_t wb_ring_rank_count (const wb_ring_t *r, const op_t *o, int rank) {
    return wb_ring_rank_first (r, o, rank + 1) - wb_ring_rank_first (r, o, rank);
}

/* The pieces of this rank's ring: those of the ranks with the same `local` in each node. */
static inline int64_t wb_ring_first (const wb_ring_t *r, const op_t *o, int node) {
    return wb_ring_rank_first (r, o, r->rank_of[node * r->locals + r->local]);
}

static inline int64_t wb_ring_count (const wb_ring_t *r, const op_t *o, int node) {
    return wb_ring_rank_count (r, o, r->rank_of[node * r->locals + r->local]);
}

/* May the operation under this cursor start? */
static inline bool wb_ring_may_start (const wb_ring_t *r, const cursor_t *c) {
    return !wb_ring_op (r, c->op)->exclusive || r->finished >= c->op;
}

/* Is the cursor past this chunk? */
static inline bool wb_cursor_past (const cursor_t *c, int64_t op, int step, int64_t chunk) {
    if (c->op != op) return c->op > op;
    return c->step != step ? c->step > step : c->chunk > chunk;
}

/* How many floats of its piece the cursor has passed in this step, at `chunk` floats per chunk. */
static inline int64_t wb_cursor_floats (const cursor_t *c, int64_t op, int step, int64_t chunk) {
    if (c->op != op) return c->op > op ? INT64_MAX : 0;
    return c->step != step ? (c->step > step ? INT64_MAX : 0) : c->chunk * chunk;
}

/* ---- ring.c ------------------------------------------------------------------------------------------------------ */

/* Move whatever can be moved; false when nothing could.  The caller holds the lock. */
bool wb_ring_progress (wb_ring_t *r);

/* ---- ring_node.c ------------------------------------------------------------------------------------------------- */

/* Floats of a round, with the padding of its parts: the same on every rank, so it depends on `locals` only. */
int64_t wb_ring_block (int locals);
/* Move the four cursors of the shared memory by at most one round each; false when none could move. */
bool wb_ring_node_progress (wb_ring_t *r);
/* Has the node summed the first `floats` of the piece that the ring takes in this step?  True in a flat ring. */
bool wb_ring_node_summed (const wb_ring_t *r, int64_t op, int step, int64_t floats);

/* ---- ring_thread.c ----------------------------------------------------------------------------------------------- */

void wb_ring_thread_stop (wb_ring_t *r); /* nothing happens where there is none */

static inline void wb_ring_lock (wb_ring_t *r) {
    if (r->threaded) pthread_mutex_lock (&r->lock);
}

static inline void wb_ring_unlock (wb_ring_t *r) {
    if (r->threaded) pthread_mutex_unlock (&r->lock);
}

#endif
