/* Pipeline schedules as lists of actions.
 *
 * First the order of the computations: GPipe (all forward, then all backward), 1F1B, or interleaved 1F1B.  Then each
 * computation gets its transfers and a slot: a forward takes the lowest free slot of its chunk, the backward frees it,
 * so the number of slots is what the order really needs.  A receive also learns how early it may be posted: a message
 * then moves while the receiver still computes, and its sender does not wait for a receiver that is busy.
 *
 * Sources: GPipe, arXiv:1811.06965; 1F1B and its interleaved form, Narayanan et al., SC'21 (arXiv:2104.04473). */
#include "config.h"

#include <string.h>

#include "wabun/parallel.h"

/* A place in a pipeline, and what goes through it. */
typedef struct pipeline {
    int pp, pp_rank, chunks, micros;
    int learns; /* the first virtual stage with a backward pass */
} pipeline_t;

/* ---- the order of the computations ------------------------------------------------------------------------------- */

typedef struct work {
    bool backward;
    int chunk, micro;
} work_t;

/* The k-th forward (or backward) of a rank: groups of pp micro-batches go through chunk after chunk. */
static work_t kth (const pipeline_t *p, int k, bool backward) {
    work_t w = {backward, 0, k};
    if (p->chunks > 1) {
        const int group = k / (p->pp * p->chunks), in = k % (p->pp * p->chunks);
        w = (work_t){backward, in / p->pp, group * p->pp + in % p->pp};
        if (backward) w.chunk = p->chunks - 1 - w.chunk;
    }
    WB_ASSERT (w.micro < p->micros);
    return w;
}

/* Forwards before the first backward. */
static int warm_up (const pipeline_t *p, wb_schedule_kind kind) {
    const int total = p->micros * p->chunks;
    int warm = p->pp - p->pp_rank - 1;
    if (p->chunks > 1) warm = p->micros == p->pp ? total : 2 * warm + (p->chunks - 1) * p->pp;
    return kind == WB_SCHEDULE_GPIPE || warm > total ? total : warm;
}

static int order_work (work_t *out, const pipeline_t *p, wb_schedule_kind kind) {
    const bool forward_only = p->learns >= p->pp * p->chunks;
    const int total = p->micros * p->chunks, warm = forward_only ? total : warm_up (p, kind);
    int n = 0;
    for (int k = 0; k < warm; k++) out[n++] = kth (p, k, false);
    for (int k = warm; k < total; k++) {
        out[n++] = kth (p, k, false);
        out[n++] = kth (p, k - warm, true);
    }
    for (int k = total - warm; k < total && !forward_only; k++) out[n++] = kth (p, k, true);
    return n;
}

/* ---- slots and transfers ----------------------------------------------------------------------------------------- */

/* A slot of a chunk. */
typedef struct slot {
    bool busy;
    int32_t used; /* actions up to and with the last computation in it */
} slot_t;

typedef struct slots {
    slot_t *slots;           /* [chunks][micros] */
    int32_t *slot_of;        /* [chunks][micros] slot of a micro-batch under way */
    int left[WB_MAX_CHUNKS]; /* backwards still to come */
} slots_t;

static void put (wb_schedule_t *s, wb_op op, const work_t *w, int slot, int32_t after, bool last) {
    s->actions[s->n++] = (wb_action_t){(int32_t) op, w->chunk, w->micro, slot, after, last};
}

static void put_forward (wb_schedule_t *s, slots_t *all, const pipeline_t *p, const work_t *w) {
    const int stage = w->chunk * p->pp + p->pp_rank;
    slot_t *slots = all->slots + w->chunk * p->micros;
    int slot = 0;
    while (slots[slot].busy) slot++;
    if (slot + 1 > s->slots[w->chunk]) s->slots[w->chunk] = slot + 1;
    all->slot_of[w->chunk * p->micros + w->micro] = slot;
    if (stage > 0) put (s, WB_OP_RECV_FWD, w, slot, slots[slot].used, false);
    put (s, WB_OP_FORWARD, w, slot, 0, false);
    slots[slot] = (slot_t){stage >= p->learns, s->n};
    if (stage < p->pp * p->chunks - 1) put (s, WB_OP_SEND_FWD, w, slot, 0, false);
}

static void put_backward (wb_schedule_t *s, slots_t *all, const pipeline_t *p, const work_t *w) {
    const int stage = w->chunk * p->pp + p->pp_rank, slot = all->slot_of[w->chunk * p->micros + w->micro];
    slot_t *at = &all->slots[w->chunk * p->micros + slot];
    if (stage < p->learns) return;
    if (stage < p->pp * p->chunks - 1) put (s, WB_OP_RECV_BWD, w, slot, at->used, false);
    put (s, WB_OP_BACKWARD, w, slot, 0, --all->left[w->chunk] == 0);
    *at = (slot_t){false, s->n};
    if (stage > p->learns) put (s, WB_OP_SEND_BWD, w, slot, 0, false);
}

wb_status wb_schedule_new (wb_schedule_t **out, wb_schedule_kind kind, int pp, int pp_rank, int chunks, int micros,
                           int learns) {
    const pipeline_t p = {pp, pp_rank, chunks, micros, learns};
    const size_t n = (size_t) micros * (size_t) chunks;
    *out = NULL;
    if (chunks > 1 && micros % pp != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.interleave = %d wants the micro-batches of a rank (%d) to be a multiple of "
                        "parallel.pipeline (%d)",
                        chunks, micros, pp);
    wb_schedule_t *s = wb_calloc (1, sizeof *s);
    work_t *work = wb_calloc (2 * n, sizeof *work);
    slots_t slots = {.slots = wb_calloc (n + 1, sizeof *slots.slots), .slot_of = wb_calloc (n, sizeof *slots.slot_of)};
    for (int c = 0; c < chunks; c++) slots.left[c] = micros;
    if (s != NULL) s->actions = wb_calloc (6 * n, sizeof *s->actions);
    const bool good = s != NULL && s->actions != NULL && work != NULL && slots.slots != NULL && slots.slot_of != NULL;
    if (good) {
        const int count = order_work (work, &p, kind);
        for (int i = 0; i < count; i++) {
            if (work[i].backward)
                put_backward (s, &slots, &p, &work[i]);
            else
                put_forward (s, &slots, &p, &work[i]);
        }
        *out = s;
    } else
        wb_schedule_destroy (s);
    wb_free (work);
    wb_free (slots.slots);
    wb_free (slots.slot_of);
    return good ? WB_OK : WB_NOMEM ("a schedule of %d micro-batches", micros);
}

void wb_schedule_destroy (wb_schedule_t *s) {
    if (s == NULL) return;
    wb_free (s->actions);
    wb_free (s);
}
