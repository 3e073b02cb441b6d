/* pipeline schedules: complete, in order, matched between neighbours, no deadlock, bubbles as published
 */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/train.h"

enum { MAX_PP = 6, MAX_CHUNKS = 3, MAX_MICROS = 24 };

typedef struct grid {
    wb_schedule_kind kind;
    int pp, chunks, micros;
    bool forward_only;
    wb_schedule_t *s[MAX_PP];
} grid_t;

static const char *name_of (const grid_t *g, int p) {
    static char text[120];
    snprintf (text, sizeof text, "%s%s, rank %d of %d, %d chunks, %d micro-batches",
              g->kind == WB_SCHEDULE_GPIPE ? "gpipe" : "1f1b", g->forward_only ? ", forward only" : "", p, g->pp,
              g->chunks, g->micros);
    return text;
}

static int stage_of (const grid_t *g, int p, int chunk) { return chunk * g->pp + p; }

/* ---- one rank ---------------------------------------------------------------------------------------------------- */

/* Everything once and in order, transfers beside their computation, no slot twice, `last` where it belongs. */
static void check_rank (const grid_t *g, int p) {
    const wb_schedule_t *s = g->s[p];
    int slot_of[MAX_CHUNKS][MAX_MICROS], done[MAX_CHUNKS] = {0}, most[MAX_CHUNKS] = {0}, now = 0, peak = 0,
                                         stages = g->pp * g->chunks;
    bool forward[MAX_CHUNKS][MAX_MICROS] = {{0}}, backward[MAX_CHUNKS][MAX_MICROS] = {{0}},
         busy[MAX_CHUNKS][MAX_MICROS] = {{0}}, good = true;
    int forwards = 0, backwards = 0, transfers = 0, used[MAX_CHUNKS][MAX_MICROS] = {{0}};
    for (int i = 0; i < s->n; i++) {
        const wb_action_t *a = &s->actions[i], *before = i > 0 ? a - 1 : a, *after = i + 1 < s->n ? a + 1 : a;
        bool in_range = a->chunk >= 0 && a->chunk < g->chunks && a->micro >= 0 && a->micro < g->micros &&
                        a->slot >= 0 && a->slot < s->slots[a->chunk];
        if (!T_OK (in_range, "%s: action %d: chunk %d, micro %d, slot %d", name_of (g, p), i, a->chunk, a->micro,
                   a->slot))
            return;
        int c = a->chunk, m = a->micro, stage = stage_of (g, p, c);
#define BESIDE(x, o) ((x)->op == (o) && (x)->chunk == c && (x)->micro == m && (x)->slot == a->slot)
        switch ((wb_op) a->op) {
        case WB_OP_FORWARD:
            good = good && !forward[c][m] && !busy[c][a->slot];
            good = good && (stage == 0 || BESIDE (before, WB_OP_RECV_FWD));
            good = good && (stage == stages - 1 || BESIDE (after, WB_OP_SEND_FWD));
            forward[c][m] = true;
            busy[c][a->slot] = !g->forward_only;
            slot_of[c][m] = a->slot;
            if (a->slot + 1 > most[c]) most[c] = a->slot + 1;
            if (++now > peak) peak = now;
            forwards++;
            used[c][a->slot] = i + 1;
            break;
        case WB_OP_BACKWARD:
            good = good && forward[c][m] && !backward[c][m] && busy[c][a->slot] && slot_of[c][m] == a->slot;
            good = good && (stage == 0 || BESIDE (after, WB_OP_SEND_BWD));
            good = good && (stage == stages - 1 || BESIDE (before, WB_OP_RECV_BWD));
            good = good && a->last == (++done[c] == g->micros);
            /* gradients leave from the end of the block: later chunks must be final first */
            for (int later = c + 1; later < g->chunks && a->last; later++) good = good && done[later] == g->micros;
            backward[c][m] = true;
            busy[c][a->slot] = false;
            now--;
            backwards++;
            used[c][a->slot] = i + 1;
            break;
        case WB_OP_RECV_FWD:
        case WB_OP_RECV_BWD: /* posted when nothing uses its slot any more, and not later */
            good = good && a->after == used[c][a->slot];
            transfers++;
            break;
        default: transfers++; break;
        }
        if (a->op != WB_OP_BACKWARD) good = good && !a->last;
    }
    int want = g->micros * g->chunks, ends = (p == 0) + (p == g->pp - 1);
    T_OK (good, "%s: order", name_of (g, p));
    T_OK (forwards == want && backwards == (g->forward_only ? 0 : want), "%s: %d forwards, %d backwards",
          name_of (g, p), forwards, backwards);
    T_OK (transfers == (2 * want - ends * g->micros) * (g->forward_only ? 1 : 2), "%s: %d transfers", name_of (g, p),
          transfers);
    for (int c = 0; c < g->chunks; c++)
        T_OK (s->slots[c] == most[c], "%s: %d slots of chunk %d, %d used", name_of (g, p), s->slots[c], c, most[c]);
    if (g->forward_only) {
        T_OK (s->slots[0] == 1, "%s: one slot is enough", name_of (g, p));
    } else if (g->kind == WB_SCHEDULE_GPIPE) {
        T_OK (peak == want, "%s: %d in flight", name_of (g, p), peak);
    } else if (g->chunks == 1) {
        int fewest = g->micros < g->pp - p ? g->micros : g->pp - p;
        T_OK (peak == fewest && s->slots[0] == fewest, "%s: %d in flight in %d slots, wanted %d", name_of (g, p), peak,
              s->slots[0], fewest);
    } else {
        int warm = g->micros == g->pp ? want : (g->pp - p - 1) * 2 + (g->chunks - 1) * g->pp + 1;
        T_OK (peak <= (warm < want ? warm : want), "%s: %d in flight, wanted at most %d", name_of (g, p), peak, warm);
    }
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* What rank p sends to the next virtual stages is what they wait for, in that order; backward alike. */
static void check_links (const grid_t *g, int p) {
    for (int backward = 0; backward < (g->forward_only ? 1 : 2); backward++) {
        int peer = (p + (backward ? g->pp - 1 : 1)) % g->pp, i = 0, j = 0;
        bool good = true;
        for (;;) {
            const wb_schedule_t *from = g->s[p], *to = g->s[peer];
            while (i < from->n && from->actions[i].op != (backward ? WB_OP_SEND_BWD : WB_OP_SEND_FWD)) i++;
            while (j < to->n && to->actions[j].op != (backward ? WB_OP_RECV_BWD : WB_OP_RECV_FWD)) j++;
            if (i == from->n || j == to->n) {
                good = good && i == from->n && j == to->n;
                break;
            }
            int sent = stage_of (g, p, from->actions[i].chunk), got = stage_of (g, peer, to->actions[j].chunk);
            good = good && got == sent + (backward ? -1 : 1) && from->actions[i].micro == to->actions[j].micro;
            i++, j++;
        }
        T_OK (good, "%s: what it sends %s is what rank %d receives", name_of (g, p), backward ? "back" : "on", peer);
    }
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

typedef struct machine {
    int at;        /* next action */
    int posted[2]; /* place in the list up to which receives are posted: activations, gradients */
    double time;
    double busy;
    /* messages about micro-batch m from chunk c, activations and gradients; < 0: not yet */
    double out[2][MAX_CHUNKS][MAX_MICROS];   /* when it was sent */
    double taken[2][MAX_CHUNKS][MAX_MICROS]; /* when its receiver had posted for it */
    int held[2][MAX_CHUNKS][MAX_MICROS];     /* micro-batch whose message last left this slot, + 1; 0: none */
} machine_t;

/* A buffer may be written again when the last message from it is received: nothing is buffered on the way. */
static bool free_slot (machine_t *m, const wb_action_t *a, int dir, double *when) {
    int last = m->held[dir][a->chunk][a->slot] - 1;
    if (last < 0) return true;
    if (m->taken[dir][a->chunk][last] < 0) return false;
    *when = fmax (*when, m->taken[dir][a->chunk][last]);
    return true;
}

/* Post the receives that can be posted before the next action of rank p. */
static void post (const grid_t *g, machine_t *all, int p) {
    machine_t *m = &all[p];
    for (int dir = 0; dir < 2; dir++)
        for (; m->posted[dir] < g->s[p]->n; m->posted[dir]++) {
            const wb_action_t *a = &g->s[p]->actions[m->posted[dir]];
            if (a->op != (dir ? WB_OP_RECV_BWD : WB_OP_RECV_FWD)) continue;
            if (a->after > m->at) break;
            int from = stage_of (g, p, a->chunk) + (dir ? 1 : -1);
            all[from % g->pp].taken[dir][from / g->pp][a->micro] = m->time;
        }
}

/* Do the next action of rank p if it can be done; the rules of the trainer (step.c), transfers take no time. */
static bool advance (const grid_t *g, machine_t *all, int p, const double cost[2]) {
    machine_t *m = &all[p];
    const wb_action_t *a = &g->s[p]->actions[m->at];
    double when = m->time;
    if (m->at == g->s[p]->n) return false;
    int c = a->chunk, stage = stage_of (g, p, c);
    post (g, all, p);
    switch ((wb_op) a->op) {
    case WB_OP_FORWARD:
        if (!free_slot (m, a, 0, &when) || !free_slot (m, a, 1, &when)) return false;
        when += cost[0];
        m->busy += cost[0];
        break;
    case WB_OP_BACKWARD:
        when += cost[1];
        m->busy += cost[1];
        break;
    case WB_OP_SEND_FWD:
    case WB_OP_SEND_BWD: {
        int dir = a->op == WB_OP_SEND_BWD;
        m->out[dir][c][a->micro] = when;
        m->held[dir][c][a->slot] = a->micro + 1;
        break;
    }
    case WB_OP_RECV_FWD:
    case WB_OP_RECV_BWD: {
        int dir = a->op == WB_OP_RECV_BWD, from = stage + (dir ? 1 : -1);
        double out = all[from % g->pp].out[dir][from / g->pp][a->micro];
        if (out < 0) return false;
        when = fmax (when, out);
        break;
    }
    }
    m->time = when;
    m->at++;
    return true;
}

/* All ranks to their end; the share of their time that they wait. */
static void check_time (const grid_t *g, double forward, double backward) {
    machine_t *all = wb_calloc ((size_t) g->pp, sizeof *all);
    const double cost[2] = {forward, backward};
    bool moved = true, ended = true;
    double end = 0, waited = 0;
    for (int p = 0; p < g->pp; p++)
        for (int dir = 0; dir < 2; dir++)
            for (int c = 0; c < MAX_CHUNKS; c++)
                for (int m = 0; m < MAX_MICROS; m++) all[p].out[dir][c][m] = all[p].taken[dir][c][m] = -1;
    while (moved) {
        moved = false;
        for (int p = 0; p < g->pp; p++)
            while (advance (g, all, p, cost)) moved = true;
    }
    for (int p = 0; p < g->pp; p++) {
        ended = ended && all[p].at == g->s[p]->n;
        end = fmax (end, all[p].time);
    }
    if (T_OK (ended, "%s: comes to its end", name_of (g, 0))) {
        for (int p = 0; p < g->pp; p++) waited += (end - all[p].busy) / end / g->pp;
        double want = (double) (g->pp - 1) / (g->chunks * g->micros + g->pp - 1);
        if (g->chunks > 1 &&
            g->kind == WB_SCHEDULE_GPIPE) /* all forward first: chunks still shorten the way in and out */
            T_OK (waited < want + 1e-9, "%s: %.4f of the time is waited, at most %.4f", name_of (g, 0), waited, want);
        else
            T_OK (fabs (waited - want) < 1e-9, "%s: %.4f of the time is waited, not %.4f", name_of (g, 0), waited,
                  want);
    }
    wb_free (all);
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static void test_all (void) {
    static const int micros[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20, 24};
    for (int kind = WB_SCHEDULE_GPIPE; kind <= WB_SCHEDULE_1F1B; kind++)
        for (int pp = 1; pp <= MAX_PP; pp++)
            for (int chunks = 1; chunks <= (pp > 1 ? MAX_CHUNKS : 1); chunks++)
                for (size_t i = 0; i < sizeof micros / sizeof *micros; i++)
                    for (int forward_only = 0; forward_only < 2; forward_only++) {
                        grid_t g = {(wb_schedule_kind) kind, pp, chunks, micros[i], forward_only, {NULL}};
                        bool made = true;
                        if (chunks > 1 && g.micros % pp != 0) continue;
                        for (int p = 0; p < pp; p++)
                            made = made && T_STATUS (wb_schedule_new (&g.s[p], g.kind, pp, p, chunks, g.micros,
                                                                      g.forward_only ? WB_SCHEDULE_FORWARD : 0),
                                                     WB_OK);
                        for (int p = 0; p < pp && made; p++) check_rank (&g, p);
                        for (int p = 0; p < pp && made; p++) check_links (&g, p);
                        if (made) check_time (&g, 1, forward_only ? 0 : 1);
                        if (made && !forward_only) check_time (&g, 1, 2);
                        for (int p = 0; p < pp; p++) wb_schedule_destroy (g.s[p]);
                    }
}

/* One schedule in full, as people read it. */
static void test_words (void) {
    static const char *const names[] = {"recvF", "F", "sendF", "recvB", "B", "sendB"};
    wb_schedule_t *s;
    char text[256] = "";
    T_STATUS (wb_schedule_new (&s, WB_SCHEDULE_1F1B, 2, 0, 1, 3, 0), WB_OK);
    for (int i = 0; i < s->n; i++) {
        size_t n = strlen (text);
        const wb_action_t *a = &s->actions[i];
        snprintf (text + n, sizeof text - n, "%s%s%d.%d", n > 0 ? " " : "", names[a->op], a->chunk, a->micro);
    }
    const char *want = "F0.0 sendF0.0 F0.1 sendF0.1 recvB0.0 B0.0 F0.2 sendF0.2 recvB0.1 B0.1 recvB0.2 B0.2";
    T_OK (strcmp (text, want) == 0, "in words: %s", text);
    wb_schedule_destroy (s);
}

static void test_refusal (void) {
    wb_schedule_t *s;
    T_OK (wb_schedule_new (&s, WB_SCHEDULE_1F1B, 4, 0, 2, 6, 0) == WB_EUSAGE && s == NULL &&
              strstr (wb_error_get ()->text, "micro-batches of a rank (6)") != NULL &&
              strstr (wb_error_get ()->text, "a multiple of parallel.pipeline (4)") != NULL,
          "refused: %s", wb_error_get ()->text);
    wb_error_clear ();
}

int main (void) {
    test_all ();
    test_words ();
    test_refusal ();
    return T_DONE ();
}
