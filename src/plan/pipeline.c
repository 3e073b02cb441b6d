/* How long the stages of a pipeline wait for each other: the schedules of all stages, run against a clock.
 *
 * A forward pass of a chunk takes 1, a backward pass 2, a transfer nothing; a stage continues as soon as what it
 * receives has been computed.  Not here: stages that cost more than others (estimate.c), time on the network. */
#include "config.h"

#include "plan/plan_priv.h"

/* Maximum of micro-batches times chunks of all stages; further micro-batches are not simulated. */
#define MAX_WORK ((int64_t) 1 << 20)

typedef struct clocks {
    int pp, chunks, micros;
    wb_schedule_t **schedules; /* [pp] */
    int *next;                 /* [pp] next action of a stage */
    double *now;               /* [pp] */
    double *done;              /* [2][pp chunks][micros] when forward and backward are done, 0: not yet */
} clocks_t;

static double *done_at (const clocks_t *c, bool backward, int stage, int micro) {
    return &c->done[((int64_t) (backward ? c->pp * c->chunks : 0) + stage) * c->micros + micro];
}

/* Run stage p until it has to wait for another; false: it could not do a single action. */
static bool run_stage (clocks_t *c, int p) {
    const wb_schedule_t *s = c->schedules[p];
    const int start = c->next[p];
    for (; c->next[p] < s->n; c->next[p]++) {
        const wb_action_t *a = &s->actions[c->next[p]];
        const int stage = a->chunk * c->pp + p;
        double ready = 0;
        switch ((wb_op) a->op) {
        case WB_OP_RECV_FWD: ready = *done_at (c, false, stage - 1, a->micro); break;
        case WB_OP_RECV_BWD: ready = *done_at (c, true, stage + 1, a->micro); break;
        case WB_OP_FORWARD: *done_at (c, false, stage, a->micro) = c->now[p] += 1; continue;
        case WB_OP_BACKWARD: *done_at (c, true, stage, a->micro) = c->now[p] += 2; continue;
        case WB_OP_SEND_FWD:
        case WB_OP_SEND_BWD: continue;
        }
        if (ready <= 0) break;
        if (ready > c->now[p]) c->now[p] = ready;
    }
    return c->next[p] > start;
}

static wb_status new_clocks (clocks_t *c, const wb_step_options_t *o) {
    const size_t work = (size_t) c->pp * (size_t) c->chunks * (size_t) c->micros;
    c->schedules = wb_calloc ((size_t) c->pp, sizeof *c->schedules);
    c->next = wb_calloc ((size_t) c->pp, sizeof *c->next);
    c->now = wb_calloc ((size_t) c->pp, sizeof *c->now);
    c->done = wb_calloc (2 * work, sizeof *c->done);
    if (c->schedules == NULL || c->next == NULL || c->now == NULL || c->done == NULL)
        return WB_NOMEM ("the schedules of %d stages", c->pp);
    for (int p = 0; p < c->pp; p++)
        WB_TRY (wb_schedule_new (&c->schedules[p], o->schedule, c->pp, p, c->chunks, c->micros, 0));
    return WB_OK;
}

static void run_all (clocks_t *c) {
    for (bool moved = true; moved;) {
        moved = false;
        for (int p = 0; p < c->pp; p++) moved = run_stage (c, p) || moved;
    }
    for (int p = 0; p < c->pp; p++) WB_ASSERT (c->next[p] == c->schedules[p]->n);
}

wb_status wb_plan_idle (double *share, bool *exact, const wb_step_options_t *o, const wb_layout_t *lo) {
    clocks_t c = {.pp = lo->pp, .chunks = lo->chunks, .micros = wb_step_micro_batches (o, lo)};
    const int64_t max = MAX_WORK / (c.pp * c.chunks) / c.pp * c.pp;
    double end = 0;
    *exact = c.micros <= max;
    if (!*exact) c.micros = (int) max;
    wb_status status = new_clocks (&c, o);
    if (status == WB_OK) run_all (&c);
    for (int p = 0; p < c.pp && status == WB_OK; p++) end = c.now[p] > end ? c.now[p] : end;
    *share = status == WB_OK ? 1 - 3.0 * c.chunks * c.micros / end : 0;
    for (int p = 0; p < c.pp && c.schedules != NULL; p++) wb_schedule_destroy (c.schedules[p]);
    wb_free (c.schedules);
    wb_free (c.next);
    wb_free (c.now);
    wb_free (c.done);
    return status;
}
