/* Making a ring: which rank is where, the memory, the communicators.
 *
 * Where every node has the same number of the group's ranks, more than one, a rank is in the ring of the ranks with the
 * same place in their nodes; else all ranks are in one flat ring, as if each had a node of its own. */
#include "config.h"

#include "comm/ring_priv.h"

/* Floats of a 48 KiB message.  Open MPI sends up to 64 KiB over TCP at once; longer messages wait for the receiver's
 * answer, and with 256 KiB a ring of four hosts on 1 Gbit/s reached a third of what the links allow. */
#define CHUNK_DEFAULT 12288

/* Which ranks of the group are where, and this rank's place.  A flat ring is nodes of one rank each. */
typedef struct place {
    int nodes, locals, node, local;
    int *rank_of; /* [nodes][locals] rank in the group */
} place_t;

/* What a ring is made with. */
typedef struct plan {
    int64_t max_floats, chunk_floats;
    int queue;
    wb_wire wire;
    const wb_ring_ops_t *ops;
} plan_t;

/* Why the last ring that had to do without shared memory has none; status WB_OK: there is no such ring. */
static wb_error_t flat_why;

void wb_ring_warn (wb_comm_t *world) {
    if (flat_why.status != WB_OK) wb_error_put (&flat_why);
    if (wb_agree (world, (wb_status) flat_why.status) != WB_OK) {
        const wb_error_t *e = wb_error_get ();
        wb_warn ("the ranks of a node share no memory (rank %d: %s): they sum by messages, which is slower and rounds "
                 "in another order",
                 (int) e->rank, e->text);
        wb_error_clear ();
    }
    flat_why.status = WB_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int64_t chunk_of (int64_t chunk_floats) {
    const int64_t max = (int64_t) (WB_MESSAGE_MAX / sizeof (float));
    if (chunk_floats <= 0) return CHUNK_DEFAULT;
    return chunk_floats < max ? chunk_floats : max;
}

/* Floats of the longest message: the vector may be one piece. */
static int64_t slot_of (int64_t max_floats, int64_t chunk) {
    int64_t floats = max_floats < chunk ? max_floats : chunk;
    return floats > 0 ? floats : 1;
}

static size_t slots_bytes (int64_t slot, wb_wire wire) {
    const size_t size = wire == WB_WIRE_BF16 ? sizeof (uint16_t) : sizeof (float);
    return WB_RING_WINDOW * wb_align ((size_t) slot * size);
}

size_t wb_ring_window_bytes (int ranks) { return ranks > 1 ? wb_shm_bytes (wb_ring_block (ranks)) : 0; }

size_t wb_ring_bytes (int ranks, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats) {
    size_t bytes = sizeof (wb_ring_t) + (size_t) max_queue * sizeof (op_t) + (size_t) ranks * sizeof (int);
    if (ranks == 1) return bytes;
    size_t slots = slots_bytes (slot_of (max_floats, chunk_of (chunk_floats)), wire);
    return bytes + (wire == WB_WIRE_BF16 ? 2 : 1) * slots + (size_t) ranks * sizeof (wb_part_t) +
           wb_ring_window_bytes (ranks);
}

/* Fields and memory of a ring at its place; takes over rank_of only when it succeeds. */
static wb_status allocate (wb_ring_t **out, const place_t *at, const plan_t *plan) {
    const int ranks = at->nodes * at->locals;
    wb_ring_t *r = *out = wb_calloc (1, sizeof *r);
    if (r == NULL) return WB_NOMEM ("a ring of %d ranks", ranks);
    *r = (wb_ring_t){.mpi = MPI_COMM_NULL,
                     .node_mpi = MPI_COMM_NULL,
                     .ranks = ranks,
                     .node = at->node,
                     .nodes = at->nodes,
                     .local = at->local,
                     .locals = at->locals,
                     .wire = plan->wire,
                     .max_floats = plan->max_floats,
                     .chunk = chunk_of (plan->chunk_floats),
                     .queue = plan->queue};
    if (plan->ops != NULL) r->ops = *plan->ops;
    r->slot = slot_of (r->max_floats, r->chunk);
    for (int i = 0; i < WB_RING_WINDOW; i++) r->recv[i] = r->send[i] = MPI_REQUEST_NULL;
    r->op = wb_calloc ((size_t) r->queue, sizeof *r->op);
    bool full = r->op == NULL;
    if (r->locals > 1) {
        r->block = wb_ring_block (r->locals);
        r->part = wb_calloc ((size_t) r->locals, sizeof *r->part);
        full = full || r->part == NULL;
    }
    if (r->nodes > 1) {
        r->recv_slot = wb_malloc (slots_bytes (r->slot, r->wire));
        full = full || r->recv_slot == NULL;
        if (r->wire == WB_WIRE_BF16) r->send_slot = wb_malloc (slots_bytes (r->slot, r->wire));
        full = full || (r->wire == WB_WIRE_BF16 && r->send_slot == NULL);
    }
    if (!full) {
        r->rank_of = at->rank_of;
        return WB_OK;
    }
    wb_ring_destroy (r);
    *out = NULL;
    return WB_NOMEM ("a ring of %d ranks (%zu bytes)", ranks,
                     wb_ring_bytes (ranks, plan->max_floats, plan->queue, plan->wire, plan->chunk_floats));
}

static void describe (wb_ring_t *r) {
    if (r->ranks == 1)
        snprintf (r->form, sizeof r->form, "one rank");
    else if (r->locals == 1)
        snprintf (r->form, sizeof r->form, "flat ring");
    else if (r->nodes == 1)
        snprintf (r->form, sizeof r->form, "shared memory");
    else
        snprintf (r->form, sizeof r->form, "shared memory in nodes of %d, rings between %d of them", r->locals,
                  r->nodes);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* Every rank a node of its own.  at->rank_of [size] is there. */
static void place_flat (place_t *at, int rank, int size) {
    at->nodes = size;
    at->locals = 1;
    at->node = rank;
    at->local = 0;
    for (int r = 0; r < size; r++) at->rank_of[r] = r;
}

/* Ranks of the node whose lowest rank is `first_rank`. */
static int count_node (const int *first, int size, int first_rank) {
    int n = 0;
    for (int r = 0; r < size; r++) n += first[r] == first_rank;
    return n;
}

/* Places by node where they all have the same number of ranks; else the place stays.  first [size]: the lowest rank of
 * each rank's node.  The same on every rank. */
static void place_by_node (place_t *at, const int *first, int rank, int size) {
    const int locals = count_node (first, size, first[0]);
    int nodes = 0;
    for (int r = 0; r < size; r++) {
        if (first[r] != r) continue;
        if (count_node (first, size, r) != locals) return;
        nodes++;
    }
    at->nodes = nodes;
    at->locals = locals;
    for (int f = 0, node = 0; f < size; f++) {
        if (first[f] != f) continue;
        for (int r = f, local = 0; local < locals; r++) {
            if (first[r] != f) continue;
            if (r == rank) at->node = node, at->local = local;
            at->rank_of[node * locals + local++] = r;
        }
        node++;
    }
}

/* Find this rank's place, with the communicator and the shared memory of its node; a flat ring where there is no shared
 * memory.  first, at->rank_of [size].  Collective over the group (size > 1); agreed. */
static wb_status find_place (place_t *at, MPI_Comm *node_mpi, wb_shm_t **shm, int *first, wb_comm_t *group) {
    int lowest = group->rank;
    WB_TRY (wb_node_split (node_mpi, group));
    wb_mpi_bcast (&lowest, sizeof lowest, 0, *node_mpi);
    wb_comm_all_gather (group, first, &lowest, sizeof lowest);
    place_by_node (at, first, group->rank, group->size);
    if (at->locals > 1) {
        if (wb_agree (group, wb_shm_new (shm, *node_mpi, wb_ring_block (at->locals))) != WB_OK) {
            wb_error_take (&flat_why);
            wb_shm_destroy (*shm);
            *shm = NULL;
            place_flat (at, group->rank, group->size);
        }
    }
    if (*shm == NULL) WB_MPI (MPI_Comm_free (node_mpi)); /* leaves MPI_COMM_NULL */
    return WB_OK;
}

/* ---- new, destroy ------------------------------------------------------------------------------------------------ */

wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) {
    const plan_t plan = {max_floats, chunk_floats, max_queue, wire, ops};
    const size_t ints = (size_t) group->size * sizeof (int);
    MPI_Comm node_mpi = MPI_COMM_NULL;
    wb_shm_t *shm = NULL;
    *out = NULL;
    WB_ASSERT ((ops != NULL || group->size == 1) && max_floats >= 0 && max_queue >= 1);
    place_t at = {.rank_of = wb_malloc (ints)};
    int *first = wb_malloc (ints);
    wb_status st = at.rank_of != NULL && first != NULL ? WB_OK : WB_NOMEM ("a ring of %d ranks", group->size);
    st = wb_agree (group, st);
    if (st == WB_OK) {
        place_flat (&at, group->rank, group->size);
        if (group->size > 1) st = find_place (&at, &node_mpi, &shm, first, group);
    }
    if (st == WB_OK) {
        wb_status mine = allocate (out, &at, &plan);
        if (mine == WB_OK) at.rank_of = NULL; /* the ring has it */
        st = wb_agree (group, mine);
    }
    wb_free (first);
    wb_free (at.rank_of);
    if (st != WB_OK) {
        wb_shm_destroy (shm);
        if (node_mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&node_mpi));
        wb_ring_destroy (*out);
        *out = NULL;
        return st;
    }
    wb_ring_t *r = *out;
    r->shm = shm;
    r->node_mpi = node_mpi;
    describe (r);
    if (r->nodes > 1) { /* in a flat ring, a duplicate */
        WB_MPI (MPI_Comm_split (group->mpi, r->local, r->node, &r->mpi));
        WB_MPI (MPI_Comm_set_errhandler (r->mpi, MPI_ERRORS_RETURN));
    }
    return WB_OK;
}

void wb_ring_destroy (wb_ring_t *r) {
    if (r == NULL) return;
    wb_ring_thread_stop (r);
    WB_ASSERT (r->finished == r->queued);
    if (r->mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&r->mpi));
    wb_shm_destroy (r->shm);
    if (r->node_mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&r->node_mpi));
    wb_free (r->part);
    wb_free (r->rank_of);
    wb_free (r->recv_slot);
    wb_free (r->send_slot);
    wb_free (r->op);
    wb_free (r);
}
