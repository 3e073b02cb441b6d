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
 * Nodes with several ranks.  Say rank (a, l) is the l-th of node a.  Before the ring, the ranks of a node add up
 * through a window of shared memory (shm.c), (a, l) the pieces of all (q, l); then these go round the ring of the l-th
 * ranks, where (a, l) ends with the sum of its own; and after a gather they are spread through the window.  What the
 * window does comes in the order of the ring: the pieces of node a-1 first, which the ring sends first, and their
 * chunks leave while the next are added.  Window rounds are two more endless sequences, with four more cursors: shared
 * and added in front of the ring, offered and taken behind it.
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
/* Floats of a window's round, all ranks of the node together: 64 KiB up to 16 ranks, then 1 MiB over the ranks. */
#define BLOCK_MOST ((int64_t) 16384)
#define BLOCK_LEAST ((int64_t) 4096)

typedef struct op {
    float *x;
    int64_t n;
    const int64_t *bounds; /* [P + 1] where the pieces begin, borrowed; NULL: an even cut */
    bool scatter, gather;  /* reduce-scatter steps, then all-gather steps */
    bool alone;            /* shares memory with an operation before it: waits until those are finished */
} op_t;

/* The next chunk to do: of the ring, or a round of the window, whose steps are the nodes. */
typedef struct cursor {
    int64_t op; /* number of the operation since new */
    int step;
    int64_t chunk;
} cursor_t;

/* Which ranks of the group are where.  A flat ring is nodes of one rank each. */
typedef struct place {
    int nodes, locals, node, local;
    int *rank_of; /* [nodes][locals] rank in the group */
} place_t;

struct wb_ring {
    MPI_Comm mpi;
    bool own_mpi;   /* a duplicate that destroy frees */
    int P;          /* ranks of the group */
    int rank, size; /* of the ring that this rank is in: the nodes */
    int local, locals;
    int *rank_of; /* [size][locals] rank in the group */
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
    /* inside the node; NULL in a flat ring */
    wb_shm_t *shm;
    MPI_Comm node;
    wb_part_t *part; /* [locals] of one round */
    int64_t block;   /* floats of a round */
    cursor_t share, add, offer, take;
    char form[96];
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

/* Floats of a round, with what padding takes.  The same on every rank, so nothing that ranks may see differently. */
static int64_t block_of (int locals) {
    int64_t floats = BLOCK_MOST * 16 / locals;
    floats = floats > BLOCK_MOST ? BLOCK_MOST : floats < BLOCK_LEAST ? BLOCK_LEAST : floats;
    return (floats + (int64_t) locals * WB_PART_PAD + WB_PART_PAD - 1) / WB_PART_PAD * WB_PART_PAD;
}

size_t wb_ring_window_bytes (int P) { return P > 1 ? wb_shm_bytes (block_of (P)) : 0; }

size_t wb_ring_bytes (int P, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats) {
    size_t bytes = sizeof (wb_ring_t) + (size_t) max_queue * sizeof (op_t) + (size_t) P * sizeof (int);
    if (P == 1) return bytes;
    size_t slots = slots_bytes (slot_of (max_floats, chunk_of (chunk_floats)), wire);
    return bytes + (wire == WB_WIRE_BF16 ? 2 : 1) * slots + (size_t) P * sizeof (wb_part_t) + wb_ring_window_bytes (P);
}

static void end_thread (wb_ring_t *r);

/* A ring at its place, on a communicator of the nodes: allocation only.  Takes over what the place holds. */
static wb_status make (wb_ring_t **out, MPI_Comm mpi, const place_t *at, int64_t max_floats, int max_queue,
                       wb_wire wire, int64_t chunk_floats, const wb_ring_ops_t *ops) {
    wb_ring_t *r = wb_calloc (1, sizeof *r);
    const int P = at->nodes * at->locals;
    *out = NULL;
    if (r == NULL) goto full;
    WB_ASSERT (max_floats >= 0 && max_queue >= 1);
    r->mpi = mpi;
    r->node = MPI_COMM_NULL;
    r->P = P;
    r->rank = at->node;
    r->size = at->nodes;
    r->local = at->local;
    r->locals = at->locals;
    r->rank_of = at->rank_of;
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
    if (r->locals > 1) {
        r->block = block_of (r->locals);
        r->part = wb_calloc ((size_t) r->locals, sizeof *r->part);
        if (r->part == NULL) goto full;
    }
    if (r->size > 1) {
        r->recv_slot = wb_malloc (slots_bytes (r->slot, wire));
        if (r->recv_slot == NULL) goto full;
        if (wire == WB_WIRE_BF16) r->send_slot = wb_malloc (slots_bytes (r->slot, wire));
        if (wire == WB_WIRE_BF16 && r->send_slot == NULL) goto full;
    }
    if (P == 1)
        snprintf (r->form, sizeof r->form, "one rank");
    else if (r->locals == 1)
        snprintf (r->form, sizeof r->form, "flat ring");
    else if (r->size == 1)
        snprintf (r->form, sizeof r->form, "shared memory");
    else
        snprintf (r->form, sizeof r->form, "shared memory in nodes of %d, rings between %d of them", r->locals,
                  r->size);
    *out = r;
    return WB_OK;
full:
    if (r == NULL)
        wb_free (at->rank_of);
    else
        wb_ring_destroy (r);
    return WB_FAIL (WB_ENOMEM, "no memory for a ring of %d ranks (%zu bytes)", P,
                    wb_ring_bytes (P, max_floats, max_queue, wire, chunk_floats));
}

/* Every rank a node of its own. */
static wb_status place_flat (place_t *at, int rank, int size) {
    *at = (place_t){.nodes = size, .locals = 1, .node = rank};
    at->rank_of = wb_malloc ((size_t) size * sizeof *at->rank_of);
    if (at->rank_of == NULL) return WB_FAIL (WB_ENOMEM, "no memory for a ring of %d ranks", size);
    for (int q = 0; q < size; q++) at->rank_of[q] = q;
    return WB_OK;
}

wb_status wb_ring_make (wb_ring_t **out, MPI_Comm mpi, int rank, int size, int64_t max_floats, int max_queue,
                        wb_wire wire, int64_t chunk_floats, const wb_ring_ops_t *ops) {
    place_t at;
    *out = NULL;
    WB_TRY (place_flat (&at, rank, size));
    return make (out, mpi, &at, max_floats, max_queue, wire, chunk_floats, ops);
}

/* Places by node, where they all have the same number of ranks, else flat.  first [size]: the lowest rank of each
 * rank's node.  The same on every rank. */
static void place_by_node (place_t *at, const int *first, int rank, int size) {
    int nodes = 0, locals = 0;
    for (int r = 0; r < size; r++) nodes += first[r] == r, locals += first[r] == first[0];
    for (int f = 0; f < size; f++) {
        int n = 0;
        for (int r = 0; r < size; r++) n += first[r] == f;
        if (n != 0 && n != locals) return;
    }
    at->nodes = nodes;
    at->locals = locals;
    for (int f = 0, a = 0; f < size; f++) {
        if (first[f] != f) continue;
        for (int r = f, l = 0; l < locals; r++) {
            if (first[r] != f) continue;
            if (r == rank) at->node = a, at->local = l;
            at->rank_of[a * locals + l++] = r;
        }
        a++;
    }
}

/* The place in the group, with the communicator and the window of the node; a flat ring where there is none to be had.
 * Collective over group; agreed. */
static wb_status settle_in (place_t *at, MPI_Comm *node, wb_shm_t **shm, wb_comm_t *group) {
    int leader = group->rank;
    *node = MPI_COMM_NULL;
    *shm = NULL;
    wb_status st = place_flat (at, group->rank, group->size);
    int *first = wb_malloc ((size_t) group->size * sizeof *first);
    if (st == WB_OK && first == NULL) st = WB_FAIL (WB_ENOMEM, "no memory for a ring of %d ranks", group->size);
    st = wb_agree (group, st);
    if (st == WB_OK && group->size > 1) st = wb_node_split (node, group);
    if (st == WB_OK && group->size > 1) {
        WB_MPI (MPI_Bcast (&leader, 1, MPI_INT, 0, *node));
        wb_comm_all_gather (group, first, &leader, sizeof leader);
        place_by_node (at, first, group->rank, group->size);
    }
    if (at->locals > 1) {
        wb_status got = wb_shm_new (shm, *node, block_of (at->locals));
        int64_t none = got != WB_OK;
        wb_comm_max_i64 (group, &none, 1);
        if (none > 0) {
            wb_debug ("a flat ring in place of shared memory");
            wb_error_clear ();
            wb_shm_destroy (*shm);
            *shm = NULL;
            wb_free (at->rank_of);
            st = wb_agree (group, place_flat (at, group->rank, group->size));
        }
    }
    if (*shm == NULL && *node != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (node));
    wb_free (first);
    return st;
}

wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) {
    place_t at;
    MPI_Comm node;
    wb_shm_t *shm;
    WB_ASSERT (ops != NULL || group->size == 1);
    *out = NULL;
    wb_status st = settle_in (&at, &node, &shm, group);
    if (st != WB_OK)
        wb_free (at.rank_of);
    else
        st = wb_agree (group, make (out, MPI_COMM_NULL, &at, max_floats, max_queue, wire, chunk_floats, ops));
    if (st != WB_OK) {
        wb_shm_destroy (shm);
        if (node != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&node));
        wb_ring_destroy (*out);
        *out = NULL;
        return st;
    }
    (*out)->shm = shm;
    (*out)->node = node;
    if (at.nodes > 1) { /* for at.locals = 1, a duplicate */
        WB_MPI (MPI_Comm_split (group->mpi, at.local, at.node, &(*out)->mpi));
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
    wb_shm_destroy (r->shm);
    if (r->shm != NULL) WB_MPI (MPI_Comm_free (&r->node));
    wb_free (r->part);
    wb_free (r->rank_of);
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

/* First float of the piece of a rank of the group; P gives n. */
static int64_t rank_first (const wb_ring_t *r, const op_t *o, int rank) {
    return o->bounds != NULL ? o->bounds[rank] : wb_split_first (o->n, r->P, rank);
}

static int64_t rank_count (const wb_ring_t *r, const op_t *o, int rank) {
    return rank_first (r, o, rank + 1) - rank_first (r, o, rank);
}

/* The pieces of this rank's ring are those of its fellows on the other nodes. */
static int64_t first_of (const wb_ring_t *r, const op_t *o, int piece) {
    return rank_first (r, o, r->rank_of[piece * r->locals + r->local]);
}

static int64_t count_of (const wb_ring_t *r, const op_t *o, int piece) {
    return rank_count (r, o, r->rank_of[piece * r->locals + r->local]);
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

/* ---- the window -------------------------------------------------------------------------------------------------- */

/* The node whose pieces a step takes through the window: in front of the ring (down) they go in the order in which the
 * ring sends them, behind it in the order in which it receives. */
static int node_of (const wb_ring_t *r, int step, bool down) {
    return (r->rank - step - (down ? 1 : 0) + 2 * r->size) % r->size;
}

/* Rounds that the pieces of a node take; none when all are empty. */
static int64_t rounds_of (const wb_ring_t *r, const op_t *o, int node) {
    const int64_t room = r->block - (int64_t) r->locals * WB_PART_PAD;
    int64_t sum = 0;
    for (int l = 0; l < r->locals; l++) sum += rank_count (r, o, r->rank_of[node * r->locals + l]);
    return (sum + room - 1) / room;
}

/* The parts of a round: each piece is cut evenly. */
static const wb_part_t *parts_of (const wb_ring_t *r, const op_t *o, int node, int64_t round) {
    const int64_t rounds = rounds_of (r, o, node);
    int64_t at = 0;
    for (int l = 0; l < r->locals; l++) {
        int rank = r->rank_of[node * r->locals + l];
        int64_t n = rank_count (r, o, rank), from = n * round / rounds, to = n * (round + 1) / rounds;
        r->part[l] = (wb_part_t){rank_first (r, o, rank) + from, to - from, at};
        at += (to - from + WB_PART_PAD - 1) / WB_PART_PAD * WB_PART_PAD;
    }
    return r->part;
}

/* Walk over empty pieces and operations that have no such part.  False at the end of the queue. */
static bool settle_round (const wb_ring_t *r, cursor_t *c, bool down) {
    while (c->op < r->queued) {
        const op_t *o = op_at (r, c->op);
        if (!(down ? o->scatter : o->gather) || c->step == r->size) {
            *c = (cursor_t){.op = c->op + 1};
        } else if (c->chunk >= rounds_of (r, o, node_of (r, c->step, down))) {
            c->step++;
            c->chunk = 0;
        } else {
            return true;
        }
    }
    return false;
}

/* Floats of the own piece that the cursor has left behind in a step, when each of its chunks has `chunk`. */
static int64_t behind (const cursor_t *c, int64_t op, int step, int64_t chunk) {
    if (c->op != op) return c->op > op ? INT64_MAX : 0;
    return c->step != step ? (c->step > step ? INT64_MAX : 0) : c->chunk * chunk;
}

/* Has the node added up so much of the piece that the ring takes in a step?  `floats` from the piece's first. */
static bool added (const wb_ring_t *r, int64_t op, int step, int64_t floats) {
    const cursor_t *c = &r->add;
    if (r->shm == NULL || behind (c, op, step, 0) > 0) return true;
    if (c->op != op || c->step != step) return false;
    int node = node_of (r, step, true);
    const op_t *o = op_at (r, op);
    int64_t rounds = rounds_of (r, o, node);
    return rounds == 0 || count_of (r, o, node) * c->chunk / rounds >= floats;
}

/* Has so much of the piece that is offered in a step come round the ring, or been there? */
static bool arrived (const wb_ring_t *r, int64_t op, int step, int64_t floats) {
    const op_t *o = op_at (r, op);
    int before = o->scatter ? r->size - 1 : 0; /* steps of the ring that add */
    if (r->size == 1) return !o->scatter || added (r, op, 0, floats);
    if (step == 0 && r->wire == WB_WIRE_BF16) return behind (&r->send_post, op, before, r->chunk) >= floats;
    return before + step == 0 || behind (&r->recv_done, op, before + step - 1, r->chunk) >= floats;
}

static bool share (wb_ring_t *r) {
    cursor_t *c = &r->share;
    if (!settle_round (r, c, true) || !may_start (r, c)) return false;
    const op_t *o = op_at (r, c->op);
    if (!wb_shm_share (r->shm, o->x, parts_of (r, o, node_of (r, c->step, true), c->chunk))) return false;
    c->chunk++;
    return true;
}

static bool add_shared (wb_ring_t *r) {
    cursor_t *c = &r->add;
    /* not before the own floats are shared: then x may be written to */
    if (!settle_round (r, c, true) || !past (&r->share, c->op, c->step, c->chunk)) return false;
    const op_t *o = op_at (r, c->op);
    if (!wb_shm_add (r->shm, o->x, parts_of (r, o, node_of (r, c->step, true), c->chunk), r->ops.add)) return false;
    c->chunk++;
    settle_round (r, c, true);
    return true;
}

static bool offer (wb_ring_t *r) {
    cursor_t *c = &r->offer;
    if (!settle_round (r, c, false) || !may_start (r, c)) return false;
    const op_t *o = op_at (r, c->op);
    int node = node_of (r, c->step, false);
    const wb_part_t *part = parts_of (r, o, node, c->chunk), *own = &part[r->local];
    if (!arrived (r, c->op, c->step, own->first + own->count - first_of (r, o, node))) return false;
    if (!wb_shm_offer (r->shm, o->x, part)) return false;
    c->chunk++;
    return true;
}

static bool take (wb_ring_t *r) {
    cursor_t *c = &r->take;
    if (!settle_round (r, c, false) || !may_start (r, c)) return false;
    const op_t *o = op_at (r, c->op);
    if (!wb_shm_take (r->shm, o->x, parts_of (r, o, node_of (r, c->step, false), c->chunk))) return false;
    c->chunk++;
    settle_round (r, c, false);
    return true;
}

/* ---- the four cursors of the ring -------------------------------------------------------------------------------- */

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
    if (c->step == 0 && o->scatter && !added (r, c->op, 0, c->chunk * r->chunk + n)) return false;
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
    bool adding = adds (r, op_at (r, c->op), c->step);
    int done = 0, count;
    int64_t n;
    float *x = chunk_at (r, c, false, &n);
    if (adding && !added (r, c->op, c->step + 1, c->chunk * r->chunk + n)) return false;
    MPI_Status got;
    WB_MPI (MPI_Test (&r->recv[r->recvs_done % WINDOW], &done, &got));
    if (!done) return false;
    WB_MPI (MPI_Get_count (&got, r->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T, &count));
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

/* Operations that are finished on this rank. */
static int64_t finished (const wb_ring_t *r) {
    const cursor_t *c[] = {&r->recv_done, &r->send_done, &r->add, &r->take};
    int64_t least = INT64_MAX;
    for (int i = 0; i < (r->shm != NULL ? 4 : 2); i++)
        if (c[i]->op < least) least = c[i]->op;
    return least;
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
        if (r->shm != NULL) {
            if (share (r)) moved = true;
            if (add_shared (r)) moved = true;
            if (offer (r)) moved = true;
            if (take (r)) moved = true;
        }
        int64_t now = finished (r);
        if (now > r->finished) r->finished = now, moved = true;
        any = any || moved;
    }
    if (!any && r->shm != NULL && r->finished < r->queued) {
        /* The window needs no MPI, but a rank that we wait for may be waiting for a message of ours to move. */
        int flag;
        WB_MPI (MPI_Iprobe (MPI_ANY_SOURCE, WB_TAG_RING, r->node, &flag, MPI_STATUS_IGNORE));
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
    if (r->P == 1 || r->threaded || !wb_world_threads ()) return WB_OK;
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
    WB_ASSERT (bounds == NULL || (bounds[0] == 0 && bounds[r->P] == n));
    if (r->P == 1) {
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
const char *wb_ring_form (const wb_ring_t *r) { return r->form; }
