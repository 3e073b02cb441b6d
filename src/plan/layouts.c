/* The layouts of a number of ranks, compared, and numbers of ranks that can share a batch.
 *
 * Every cut into data x pipeline x tensor ranks is tried, with the micro-batch that the trainer would choose.  Not
 * tried: other schedules, recomputation, numbers of threads. */
#include "config.h"

#include <math.h>

#include "plan/plan_priv.h"

wb_status wb_plan_layout (wb_layout_t *lo, wb_step_options_t *o, const wb_plan_machine_t *m, int dp, int pp, int tp) {
    const double program = (double) wb_trainer_overhead (dp * pp * tp, m->threads, o->size.C);
    WB_TRY (wb_trainer_choose_micro_batch (o, dp, pp, tp, m->threads, m->memory - program));
    return wb_trainer_layout (lo, o, dp, pp, tp);
}

static bool better (const wb_plan_estimate_t *a, const wb_plan_estimate_t *b) {
    const double x[] = {a->time.total, floor (1000 * a->idle + 0.5), a->traffic, a->bytes};
    const double y[] = {b->time.total, floor (1000 * b->idle + 0.5), b->traffic, b->bytes};
    for (int i = 0; i < 4; i++)
        if (x[i] < y[i] || x[i] > y[i]) return x[i] < y[i];
    return false;
}

static void insert (wb_plan_layouts_t *l, const wb_plan_estimate_t *e) {
    int at = l->n < WB_PLAN_LAYOUTS ? l->n++ : WB_PLAN_LAYOUTS;
    l->all++;
    for (; at > 0 && better (e, &l->best[at - 1]); at--)
        if (at < WB_PLAN_LAYOUTS) l->best[at] = l->best[at - 1];
    if (at < WB_PLAN_LAYOUTS) l->best[at] = *e;
}

/* A layout that cannot work is passed over. */
static wb_status try_layout (wb_plan_layouts_t *l, const wb_plan_machine_t *m, const wb_step_options_t *options, int dp,
                             int pp, int tp) {
    wb_step_options_t o = *options;
    wb_layout_t lo;
    wb_plan_estimate_t e;
    const wb_status status = wb_plan_layout (&lo, &o, m, dp, pp, tp);
    if (status == WB_EUSAGE) {
        wb_error_clear ();
        return WB_OK;
    }
    WB_TRY (status);
    WB_TRY (wb_plan_estimate (&e, NULL, m, &o, &lo));
    if (e.bytes <= m->memory) insert (l, &e);
    return WB_OK;
}

wb_status wb_plan_layouts (wb_plan_layouts_t *out, const wb_plan_machine_t *m, const wb_step_options_t *o, int ranks) {
    *out = (wb_plan_layouts_t){0};
    for (int tp = 1; tp <= ranks && tp <= o->size.H; tp++)
        for (int pp = 1; ranks % tp == 0 && pp <= ranks / tp && pp <= o->size.L; pp++)
            if (ranks / tp % pp == 0) WB_TRY (try_layout (out, m, o, ranks / tp / pp, pp, tp));
    return WB_OK;
}

bool wb_plan_deals (const wb_step_options_t *o, int64_t dp, int pp) {
    const int64_t B = o->B > 0 ? o->B : 1, share = dp > 0 ? (o->global_batch + dp - 1) / dp : 0;
    return dp > 0 && dp <= o->global_batch && B <= share && (o->chunks == 1 || (share + B - 1) / B >= pp);
}

void wb_plan_nearest (int64_t near[2], const wb_step_options_t *o, int64_t ranks, int pp, int tp) {
    const int64_t model = (int64_t) pp * tp;
    int64_t below = (ranks - 1) / model, above = ranks / model + 1;
    if (below > o->global_batch) below = o->global_batch;
    while (below > 0 && !wb_plan_deals (o, below, pp)) below--;
    while (above <= o->global_batch && !wb_plan_deals (o, above, pp)) above++;
    near[0] = below * model;
    near[1] = above <= o->global_batch ? above * model : 0;
}
