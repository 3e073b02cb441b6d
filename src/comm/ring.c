/* Ring reduce-scatter, all-gather and all-reduce of large fp32 vectors (Patarasuk and Yuan, JPDC 69, 2009).
 *
 * One picture serves all three.  A rank sends a first piece of its own, and from then on hands on to the next rank what
 * it has received from the one before it: in the reduce-scatter steps after adding its own numbers, in the all-gather
 * steps as it is.  An all-reduce is the steps of the one followed by the steps of the other.  With r the own rank:
 *
 *     reduce-scatter   first piece r - 1, receives pieces r - 2, r - 3, ..., r         (P - 1 steps; ends with the own
 * piece) all-gather       first piece r,     receives pieces r - 1, r - 2, ..., r + 1     (P - 1 steps)
 *
 * Pieces travel in chunks, a few of them in flight, so that one chunk is added while others are under way.  Messages
 * between two neighbours never overtake each other, so one tag serves.  Piece q is always summed in the order q + 1, q
 * + 2, ..., q: same layout, same bits.
 *
 * Nothing moves but inside poll and end: Open MPI makes no progress by itself. */
#include "config.h"

#include <sched.h>
#include <string.h>

#include "comm_priv.h"

#define CHUNK_FLOATS ((int64_t) 64 << 10)
enum { WINDOW = 4, TAG = 1, SPINS = 64 };

typedef enum kind { REDUCE_SCATTER, ALL_GATHER, ALL_REDUCE } kind_t;

typedef struct op {
    kind_t kind;
    float *x;
    int64_t n;
} op_t;

/* A walk over the chunks of an operation's steps; step -1 is the first piece. */
typedef struct cursor {
    int step;
    int64_t at; /* floats into the piece */
} cursor_t;

struct wb_ring {
    wb_comm_t *group;
    MPI_Comm mpi;
    int P, r;
    wb_wire wire;
    wb_ring_ops_t ops;
    int64_t chunk;
    op_t *queue; /* [max_queue], a ring buffer */
    int max_queue;
    int64_t head, tail;
    /* the operation at the head */
    bool running;
    cursor_t post, take, give;                 /* receives posted, receives taken, sends posted */
    int64_t posted, taken, given, sent, first; /* chunks so far; chunks of the first piece */
    MPI_Request recvs[WINDOW], sends[WINDOW];
    void *in[WINDOW], *out[WINDOW]; /* scratch for chunks; out only with the bf16 wire */
    int64_t bytes_sent;
    double waited;
};

/* ---- steps, pieces, chunks --------------------------------------------------------------------------------------- */

static int steps_of (const wb_ring_t *g, const op_t *o) { return o->kind == ALL_REDUCE ? 2 * (g->P - 1) : g->P - 1; }

/* Does this step add (reduce-scatter), or only store? */
static bool adds (const wb_ring_t *g, const op_t *o, int step) {
    return o->kind == REDUCE_SCATTER || (o->kind == ALL_REDUCE && step < g->P - 1);
}

/* Piece of a step: what is received there; for step -1 the piece that is sent first. */
static int piece_of (const wb_ring_t *g, const op_t *o, int step) {
    int k;

    if (o->kind == ALL_GATHER)
        k = g->r - 1 - step;
    else if (step < g->P - 1)
        k = g->r - 2 - step;
    else
        k = g->r - 1 - (step - (g->P - 1));
    return ((k % g->P) + g->P) % g->P;
}

/* Go on to the next chunk that exists, up to (not including) step `end`; false at the end. */
static bool settle (const wb_ring_t *g, const op_t *o, cursor_t *c, int end) {
    while (c->step < end && c->at >= wb_split_count (o->n, g->P, piece_of (g, o, c->step))) {
        ++c->step;
        c->at = 0;
    }
    return c->step < end;
}

static float *chunk_at (const wb_ring_t *g, const op_t *o, const cursor_t *c, int *count) {
    int piece = piece_of (g, o, c->step);
    int64_t left = wb_split_count (o->n, g->P, piece) - c->at;

    *count = (int) (left < g->chunk ? left : g->chunk);
    return o->x + wb_split_first (o->n, g->P, piece) + c->at;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static void start (wb_ring_t *g) {
    const op_t *o = &g->queue[g->head % g->max_queue];
    int64_t n = wb_split_count (o->n, g->P, piece_of (g, o, -1));

    g->running = true;
    g->post = g->take = (cursor_t){0, 0};
    g->give = (cursor_t){-1, 0};
    g->posted = g->taken = g->given = g->sent = 0;
    g->first = (n + g->chunk - 1) / g->chunk;
}

/* Post receives while there is room. */
static void post_receives (wb_ring_t *g, const op_t *o) {
    while (g->posted - g->taken < WINDOW && settle (g, o, &g->post, steps_of (g, o))) {
        int n, slot = (int) (g->posted % WINDOW), prev = (g->r + g->P - 1) % g->P;
        float *x = chunk_at (g, o, &g->post, &n);
        bool direct = g->wire == WB_WIRE_FP32 && !adds (g, o, g->post.step);

        WB_MPI (MPI_Irecv (direct ? (void *) x : g->in[slot], n, g->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T,
                           prev, TAG, g->mpi, &g->recvs[slot]));
        g->post.at += n;
        ++g->posted;
    }
}

/* Take receives that have come, in order. */
static bool take_receives (wb_ring_t *g, const op_t *o) {
    bool moved = false;
    int came = 1;

    while (g->taken < g->posted) {
        int n, slot = (int) (g->taken % WINDOW);
        float *x;

        WB_MPI (MPI_Test (&g->recvs[slot], &came, MPI_STATUS_IGNORE));
        if (!came) break;
        settle (g, o, &g->take, steps_of (g, o));
        x = chunk_at (g, o, &g->take, &n);
        if (adds (g, o, g->take.step)) {
            if (g->wire == WB_WIRE_FP32)
                g->ops.add (x, g->in[slot], n);
            else
                g->ops.bf16_add (x, g->in[slot], n);
        } else if (g->wire != WB_WIRE_FP32) {
            g->ops.bf16_unpack (x, g->in[slot], n);
        }
        g->take.at += n;
        ++g->taken;
        moved = true;
    }
    return moved;
}

static bool give_sends (wb_ring_t *g, const op_t *o) {
    bool moved = false;
    int gone = 1;

    while (g->sent < g->given) {
        WB_MPI (MPI_Test (&g->sends[g->sent % WINDOW], &gone, MPI_STATUS_IGNORE));
        if (!gone) break;
        ++g->sent;
        moved = true;
    }
    while (g->given - g->sent < WINDOW && settle (g, o, &g->give, steps_of (g, o) - 1) &&
           (g->given < g->first || g->given - g->first < g->taken)) {
        int n, slot = (int) (g->given % WINDOW), next = (g->r + 1) % g->P;
        float *x = chunk_at (g, o, &g->give, &n);
        void *from = x;

        if (g->wire != WB_WIRE_FP32) {
            from = g->out[slot];
            g->ops.bf16_pack (from, x, n);
            /* the owner keeps what the others get */
            if (piece_of (g, o, g->give.step) == g->r) g->ops.bf16_unpack (x, from, n);
        }
        WB_MPI (MPI_Isend (from, n, g->wire == WB_WIRE_FP32 ? MPI_FLOAT : MPI_UINT16_T, next, TAG, g->mpi,
                           &g->sends[slot]));
        g->bytes_sent += n * (g->wire == WB_WIRE_FP32 ? 4 : 2);
        g->give.at += n;
        ++g->given;
        moved = true;
    }
    return moved;
}

/* One round; true when something moved. */
static bool progress (wb_ring_t *g) {
    const op_t *o;
    bool moved;

    if (g->head == g->tail) return false;
    o = &g->queue[g->head % g->max_queue];
    if (!g->running) start (g);
    post_receives (g, o);
    moved = take_receives (g, o);
    moved |= give_sends (g, o);
    post_receives (g, o);
    if (!settle (g, o, &g->take, steps_of (g, o)) && !settle (g, o, &g->give, steps_of (g, o) - 1) &&
        g->sent == g->given) {
        g->running = false;
        ++g->head;
        moved = true;
    }
    return moved;
}

bool wb_ring_poll (wb_ring_t *g) {
    if (g == NULL || g->P == 1) return true;
    while (progress (g)) {}
    return g->head == g->tail;
}

void wb_ring_end (wb_ring_t *g) {
    double since;
    int idle = 0;

    if (g == NULL || g->P == 1 || g->head == g->tail) return;
    since = wb_now ();
    while (g->head != g->tail) {
        if (progress (g))
            idle = 0;
        else if (++idle > SPINS)
            sched_yield (); /* more ranks than cores: let the neighbour run */
    }
    g->waited += wb_now () - since;
}

/* ---- queue ------------------------------------------------------------------------------------------------------- */

static void enqueue (wb_ring_t *g, kind_t kind, float *x, int64_t n) {
    if (g->P == 1) {
        ++g->head;
        ++g->tail;
        return;
    }
    while (g->tail - g->head == g->max_queue) progress (g);
    g->queue[g->tail % g->max_queue] = (op_t){kind, x, n};
    ++g->tail;
    progress (g);
}

void wb_ring_reduce_scatter_begin (wb_ring_t *g, float *x, int64_t n) { enqueue (g, REDUCE_SCATTER, x, n); }
void wb_ring_all_gather_begin (wb_ring_t *g, float *x, int64_t n) { enqueue (g, ALL_GATHER, x, n); }
void wb_ring_all_reduce_begin (wb_ring_t *g, float *x, int64_t n) { enqueue (g, ALL_REDUCE, x, n); }
int64_t wb_ring_finished (const wb_ring_t *g) { return g->head; }
int64_t wb_ring_bytes_sent (const wb_ring_t *g) { return g->bytes_sent; }
double wb_ring_seconds_waited (const wb_ring_t *g) { return g->waited; }

/* ---- new, destroy ------------------------------------------------------------------------------------------------ */

static int64_t chunk_of (int P, int64_t max_floats, int64_t chunk_floats) {
    int64_t chunk = chunk_floats > 0 ? chunk_floats : CHUNK_FLOATS, piece = max_floats / P + 1;

    return chunk < piece ? chunk : piece;
}

static size_t scratch_bytes (int P, int64_t max_floats, wb_wire wire, int64_t chunk_floats) {
    size_t chunk = wb_align ((size_t) chunk_of (P, max_floats, chunk_floats) * (wire == WB_WIRE_FP32 ? 4 : 2));

    return chunk * WINDOW * (wire == WB_WIRE_FP32 ? 1 : 2);
}

size_t wb_ring_bytes (int P, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats) {
    if (P == 1) return sizeof (wb_ring_t);
    return sizeof (wb_ring_t) + (size_t) max_queue * sizeof (op_t) + scratch_bytes (P, max_floats, wire, chunk_floats);
}

wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) {
    wb_ring_t *g = wb_calloc (1, sizeof *g);
    wb_status status;
    char *scratch = NULL;

    *out = NULL;
    if (g != NULL) {
        g->group = group;
        g->mpi = MPI_COMM_NULL;
        g->P = wb_comm_size (group);
        g->r = wb_comm_rank (group);
        g->wire = wire;
        g->ops = *ops;
        g->max_queue = max_queue;
        g->chunk = chunk_of (g->P, max_floats, chunk_floats);
        if (g->P > 1) {
            size_t one =
                scratch_bytes (g->P, max_floats, wire, chunk_floats) / (wire == WB_WIRE_FP32 ? WINDOW : 2 * WINDOW);
            g->queue = wb_calloc ((size_t) max_queue, sizeof *g->queue);
            scratch = wb_malloc (scratch_bytes (g->P, max_floats, wire, chunk_floats));
            for (int i = 0; i < WINDOW && scratch != NULL; ++i) {
                g->in[i] = scratch + (size_t) i * one;
                g->out[i] = wire == WB_WIRE_FP32 ? NULL : scratch + (size_t) (WINDOW + i) * one;
            }
        }
    }
    status = g == NULL || (g->P > 1 && (g->queue == NULL || scratch == NULL))
                 ? WB_FAIL (WB_ENOMEM, "out of memory for a ring")
                 : WB_OK;
    status = wb_agree (group, status);
    if (status != WB_OK) {
        if (g != NULL && g->in[0] == NULL) wb_free (scratch);
        wb_ring_destroy (g);
        return status;
    }
    if (g->P > 1) {
        WB_MPI (MPI_Comm_dup (group->mpi, &g->mpi));
        MPI_Comm_set_errhandler (g->mpi, MPI_ERRORS_RETURN);
    }
    *out = g;
    return WB_OK;
}

void wb_ring_destroy (wb_ring_t *g) {
    if (g == NULL) return;
    if (g->mpi != MPI_COMM_NULL) MPI_Comm_free (&g->mpi);
    wb_free (g->queue);
    wb_free (g->in[0]);
    wb_free (g);
}
