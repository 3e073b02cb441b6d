/* Pipeline schedules as lists of actions.
 *
 * First the order of the computations: GPipe (all forward, then all backward), 1F1B, or interleaved 1F1B.  Then each
 * computation is given its transfers and a slot: a forward takes the lowest free slot of its chunk, the backward frees
 * it, so the number of slots is what the order really needs.  A receive also learns how early it may be posted: a
 * message then moves while the receiver still computes, and its sender never waits for a receiver who is busy.  The
 * trainer runs the list, the planner counts it, a test prints it.
 *
 * Sources: GPipe, arXiv:1811.06965; 1F1B and its interleaved form, Narayanan et al., SC'21 (arXiv:2104.04473). */
#include "config.h"

#include <string.h>
#include "wabun/parallel.h"

typedef struct work {
    bool backward;
    int chunk, micro;
} work_t;

/* The k-th forward (or backward) of a rank: groups of P micro-batches go through chunk after chunk. */
static work_t kth (int k, bool backward, int P, int v, int M) {
    work_t w;

    if (v == 1) {
        w = (work_t){backward, 0, k};
    } else {
        int group = k / (P * v), in = k % (P * v);
        w = (work_t){backward, in / P, group * P + in % P};
        if (backward) w.chunk = v - 1 - w.chunk;
    }
    WB_ASSERT (w.micro < M);
    return w;
}

static int order_work (work_t *out, wb_schedule_kind kind, int P, int p, int v, int M, bool forward_only) {
    int total = M * v, n = 0, warm;

    if (forward_only) {
        for (int k = 0; k < total; ++k) out[n++] = kth (k, false, P, v, M);
        return n;
    }
    if (kind == WB_SCHEDULE_GPIPE)
        warm = total;
    else if (v == 1)
        warm = P - p - 1;
    else
        warm = M == P ? total : (P - p - 1) * 2 + (v - 1) * P;
    if (warm > total) warm = total;
    for (int k = 0; k < warm; ++k) out[n++] = kth (k, false, P, v, M);
    for (int k = warm; k < total; ++k) {
        out[n++] = kth (k, false, P, v, M);
        out[n++] = kth (k - warm, true, P, v, M);
    }
    for (int k = total - warm; k < total; ++k) out[n++] = kth (k, true, P, v, M);
    return n;
}

static void put (wb_schedule_t *s, wb_op op, const work_t *w, int slot, int32_t after, bool last) {
    s->actions[s->n++] = (wb_action_t){(int32_t) op, w->chunk, w->micro, slot, after, last};
}

/* Slots and transfers.  Scratch: slot_of[chunk * M + micro], busy[chunk * M + slot], and used[chunk * M + slot]: the
 * actions up to and with the last computation in that slot. */
static void lay_out (wb_schedule_t *s, const work_t *work, int n, int P, int p, int v, int M, bool forward_only,
                     int32_t *slot_of, int32_t *used, bool *busy) {
    int stages = P * v, left[WB_MAX_CHUNKS];

    for (int c = 0; c < v; ++c) left[c] = M;
    for (int i = 0; i < n; ++i) {
        const work_t *w = &work[i];
        int stage = w->chunk * P + p, slot = 0, at;

        if (w->backward)
            slot = slot_of[w->chunk * M + w->micro];
        else
            while (busy[w->chunk * M + slot]) ++slot;
        at = w->chunk * M + slot;
        if (!w->backward) {
            if (slot + 1 > s->slots[w->chunk]) s->slots[w->chunk] = slot + 1;
            busy[at] = !forward_only;
            slot_of[w->chunk * M + w->micro] = slot;
            if (stage > 0) put (s, WB_OP_RECV_FWD, w, slot, used[at], false);
            put (s, WB_OP_FORWARD, w, slot, 0, false);
            used[at] = s->n;
            if (stage < stages - 1) put (s, WB_OP_SEND_FWD, w, slot, 0, false);
        } else {
            if (stage < stages - 1) put (s, WB_OP_RECV_BWD, w, slot, used[at], false);
            put (s, WB_OP_BACKWARD, w, slot, 0, --left[w->chunk] == 0);
            used[at] = s->n;
            if (stage > 0) put (s, WB_OP_SEND_BWD, w, slot, 0, false);
            busy[at] = false;
        }
    }
}

wb_status wb_schedule_new (wb_schedule_t **out, wb_schedule_kind kind, int P, int p, int v, int M, bool forward_only) {
    wb_schedule_t *s;
    work_t *work;
    int32_t *slot_of;
    bool *busy;
    size_t n = (size_t) M * (size_t) v;

    *out = NULL;
    if (v > 1 && M % P != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.interleave = %d wants the micro-batches of a rank (%d) to be a multiple of "
                        "parallel.pipeline (%d)",
                        v, M, P);
    s = wb_calloc (1, sizeof *s);
    work = wb_calloc (2 * n, sizeof *work);
    slot_of = wb_calloc (2 * n, sizeof *slot_of);
    busy = wb_calloc (n + 1, sizeof *busy);
    if (s != NULL) s->actions = wb_calloc (6 * n, sizeof *s->actions);
    if (s == NULL || s->actions == NULL || work == NULL || slot_of == NULL || busy == NULL) {
        wb_schedule_destroy (s);
        s = NULL;
    } else {
        int count = order_work (work, kind, P, p, v, M, forward_only);
        lay_out (s, work, count, P, p, v, M, forward_only, slot_of, slot_of + n, busy);
    }
    wb_free (work);
    wb_free (slot_of);
    wb_free (busy);
    if (s == NULL) return WB_NOMEM ("a schedule of %d micro-batches", M);
    *out = s;
    return WB_OK;
}

void wb_schedule_destroy (wb_schedule_t *s) {
    if (s == NULL) return;
    wb_free (s->actions);
    wb_free (s);
}

void wb_schedule_print (const wb_schedule_t *s, FILE *to) {
    static const char *const names[] = {"recvF", "F", "sendF", "recvB", "B", "sendB"};

    for (int i = 0; i < s->n; ++i) {
        const wb_action_t *a = &s->actions[i];
        fprintf (to, "%s%s%d.%d", i > 0 ? " " : "", names[a->op], a->chunk, a->micro);
    }
    fputc ('\n', to);
}
