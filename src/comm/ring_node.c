/* The ring inside a node: sums and copies through shared memory (shm.c).
 *
 * A vector passes through the shared memory in rounds; a step is one node's pieces.  Rounds are two more endless
 * sequences, with four more cursors.  Before the ring: put_parts (this rank's floats of the others' parts), add_parts
 * (what the others put of this rank's part, added to its own).  After the ring: put_result (this rank's finished part),
 * get_results (the others' finished parts).  On one node this is all there is.
 *
 * Not done here: levels inside a node (sockets). */
#include "config.h"

#include "comm/ring_priv.h"

/* Floats of a round, all ranks of the node together: 64 KiB up to 16 ranks, then 1 MiB divided by the ranks. */
#define BLOCK_MAX ((int64_t) 16384)
#define BLOCK_MIN ((int64_t) 4096)

int64_t wb_ring_block (int locals) {
    int64_t floats = BLOCK_MAX * 16 / locals;
    floats = floats > BLOCK_MAX ? BLOCK_MAX : floats < BLOCK_MIN ? BLOCK_MIN : floats;
    return (floats + (int64_t) locals * WB_PART_PAD + WB_PART_PAD - 1) / WB_PART_PAD * WB_PART_PAD;
}

/* The node whose pieces a step handles: before the ring in the order in which the ring sends them, after it in the
 * order in which it receives them. */
static int node_of (const wb_ring_t *r, int step, bool before) {
    return (r->node - step - (before ? 1 : 0) + 2 * r->nodes) % r->nodes;
}

/* Rounds that the pieces of a node take; none when all are empty. */
static int64_t rounds_of (const wb_ring_t *r, const op_t *o, int node) {
    const int64_t floats = r->block - (int64_t) r->locals * WB_PART_PAD;
    int64_t sum = 0;
    for (int l = 0; l < r->locals; l++) sum += wb_ring_rank_count (r, o, r->rank_of[node * r->locals + l]);
    return (sum + floats - 1) / floats;
}

/* The parts of the round under a cursor: each piece is cut evenly. */
static const wb_part_t *parts_of (const wb_ring_t *r, const op_t *o, int node, int64_t round) {
    const int64_t rounds = rounds_of (r, o, node);
    int64_t at = 0;
    for (int l = 0; l < r->locals; l++) {
        int rank = r->rank_of[node * r->locals + l];
        int64_t n = wb_ring_rank_count (r, o, rank), from = n * round / rounds, to = n * (round + 1) / rounds;
        r->part[l] = (wb_part_t){wb_ring_rank_first (r, o, rank) + from, to - from, at};
        at += (to - from + WB_PART_PAD - 1) / WB_PART_PAD * WB_PART_PAD;
    }
    return r->part;
}

/* Move the cursor over empty pieces and operations without this half.  False at the end of the queue. */
static bool skip_empty (const wb_ring_t *r, cursor_t *c, bool before) {
    while (c->op < r->queued) {
        const op_t *o = wb_ring_op (r, c->op);
        if (!(before ? o->scatter : o->gather) || c->step == r->nodes) {
            *c = (cursor_t){.op = c->op + 1};
        } else if (c->chunk >= rounds_of (r, o, node_of (r, c->step, before))) {
            c->step++;
            c->chunk = 0;
        } else {
            return true;
        }
    }
    return false;
}

bool wb_ring_node_summed (const wb_ring_t *r, int64_t op, int step, int64_t floats) {
    const cursor_t *c = &r->add_parts;
    if (r->shm == NULL || wb_cursor_floats (c, op, step, 0) > 0) return true;
    if (c->op != op || c->step != step) return false;
    int node = node_of (r, step, true);
    const op_t *o = wb_ring_op (r, op);
    int64_t rounds = rounds_of (r, o, node);
    return rounds == 0 || wb_ring_count (r, o, node) * c->chunk / rounds >= floats;
}

/* Are the first `floats` of the piece that this step hands out final on this rank? */
static bool is_final (const wb_ring_t *r, int64_t op, int step, int64_t floats) {
    const op_t *o = wb_ring_op (r, op);
    int adding = o->scatter ? r->nodes - 1 : 0; /* steps of the ring that add */
    if (r->nodes == 1) return !o->scatter || wb_ring_node_summed (r, op, 0, floats);
    /* The own piece is rounded when it is sent. */
    if (step == 0 && r->wire == WB_WIRE_BF16) return wb_cursor_floats (&r->send_post, op, adding, r->chunk) >= floats;
    return adding + step == 0 || wb_cursor_floats (&r->recv_done, op, adding + step - 1, r->chunk) >= floats;
}

static bool put_parts (wb_ring_t *r) {
    cursor_t *c = &r->put_parts;
    if (!skip_empty (r, c, true) || !wb_ring_may_start (r, c)) return false;
    const op_t *o = wb_ring_op (r, c->op);
    if (!wb_shm_put_parts (r->shm, o->x, parts_of (r, o, node_of (r, c->step, true), c->chunk))) return false;
    c->chunk++;
    return true;
}

static bool add_parts (wb_ring_t *r) {
    cursor_t *c = &r->add_parts;
    /* x may be written to only when this rank's floats of the round are in shared memory */
    if (!skip_empty (r, c, true) || !wb_cursor_past (&r->put_parts, c->op, c->step, c->chunk)) return false;
    const op_t *o = wb_ring_op (r, c->op);
    if (!wb_shm_add_parts (r->shm, o->x, parts_of (r, o, node_of (r, c->step, true), c->chunk), r->ops.add))
        return false;
    c->chunk++;
    skip_empty (r, c, true);
    return true;
}

static bool put_result (wb_ring_t *r) {
    cursor_t *c = &r->put_result;
    if (!skip_empty (r, c, false) || !wb_ring_may_start (r, c)) return false;
    const op_t *o = wb_ring_op (r, c->op);
    int node = node_of (r, c->step, false);
    const wb_part_t *part = parts_of (r, o, node, c->chunk), *own = &part[r->local];
    if (!is_final (r, c->op, c->step, own->first + own->count - wb_ring_first (r, o, node))) return false;
    if (!wb_shm_put_result (r->shm, o->x, part)) return false;
    c->chunk++;
    return true;
}

static bool get_results (wb_ring_t *r) {
    cursor_t *c = &r->get_results;
    if (!skip_empty (r, c, false) || !wb_ring_may_start (r, c)) return false;
    const op_t *o = wb_ring_op (r, c->op);
    if (!wb_shm_get_results (r->shm, o->x, parts_of (r, o, node_of (r, c->step, false), c->chunk))) return false;
    c->chunk++;
    skip_empty (r, c, false);
    return true;
}

bool wb_ring_node_progress (wb_ring_t *r) {
    bool moved = put_parts (r);
    if (add_parts (r)) moved = true;
    if (put_result (r)) moved = true;
    if (get_results (r)) moved = true;
    return moved;
}
