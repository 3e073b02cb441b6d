/* plan: the model of a step's time, with made-up numbers, and layouts of ranks that do not exist. */
#include "config.h"

#include <string.h>

#include "plan/plan_priv.h"
#include "t.h"

static void near (const char *what, double got, double want) {
    T_OK (fabs (got - want) <= 1e-9 * (1 + fabs (want)), "%s: %.12g, not %.12g", what, got, want);
}

/* 1200 flop at 10 a second in 4 micro-batches: 120 s, 30 s each, 20 of them backward and 10 forward. */
static void check_time (void) {
    wb_plan_work_t w = {.flop = 1200, .micros = 4};
    wb_plan_time_t t = wb_plan_time (&w, 10, 2);
    near ("computing", t.compute, 120);
    near ("nothing sent", t.exposed, 0);
    w.idle = 0.25;
    near ("idle time", wb_plan_time (&w, 10, 2).compute, 160);
    w.traffic = (wb_traffic_t){.gradients = 40, .weights = 20};
    near ("just hidden", wb_plan_time (&w, 10, 2).exposed, 0);
    w.traffic = (wb_traffic_t){.gradients = 60, .weights = 50};
    near ("what the last backward and the first forward pass do not hide", wb_plan_time (&w, 10, 2).exposed, 10 + 15);
    w.micros = 1;
    near ("one micro-batch hides more", wb_plan_time (&w, 10, 2).exposed, 0);
    w.traffic = (wb_traffic_t){.tensor = 2, .pipeline = 4, .tied = 6, .muon = 8};
    t = wb_plan_time (&w, 10, 2);
    near ("what nothing hides", t.exposed, 10);
    near ("sum", t.total, 170);
}

static wb_step_options_t options (void) {
    wb_step_options_t o;
    wb_config_step_defaults (&o);
    o.size = (wb_size_t){.L = 4, .C = 64, .H = 4, .T = 32, .V = 256};
    o.T = 32;
    o.global_batch = 12;
    o.B = 0;
    return o;
}

static void check_layouts (void) {
    wb_step_options_t o = options ();
    wb_plan_machine_t m = {.threads = 1, .ranks_per_node = 1, .rate = 1e9, .link = 1e9, .memory = INFINITY};
    wb_plan_layouts_t l;
    /* data x pipeline x tensor of 8: 12 sequences are shared by 1, 2 or 4, and unevenly by 8; 4 heads and 4 layers
     * by 1, 2 or 4 */
    T_STATUS (wb_plan_layouts (&l, &m, &o, 8), WB_OK);
    T_OK (l.all == 8 && l.n == 8, "%d layouts of 8 ranks, not 8", l.all);
    for (int i = 0; i < l.n; i++) {
        const wb_plan_estimate_t *e = &l.best[i];
        T_OK (e->dp * e->pp * e->tp == 8 && e->B * e->micros * e->dp == (e->dp == 8 ? 16 : 12), "%d x %d x %d", e->dp,
              e->pp, e->tp);
        near ("places with a sequence", e->filled, e->dp == 8 ? 0.75 : 1);
        if (e->dp == 8) near ("the largest share decides", e->idle, 0.25);
        T_OK (i == 0 || e->time.total >= l.best[i - 1].time.total, "sorted by time");
        near ("tokens a second", e->tokens_per_s, 12 * 32 / e->time.total);
    }
    m.rate = 0;
    T_STATUS (wb_plan_layouts (&l, &m, &o, 8), WB_OK);
    T_OK (l.n == 8 && !(l.best[0].idle > 0) && !(l.best[0].time.total > 0), "no rate: no time, least idle first");
    m.memory = 1;
    T_STATUS (wb_plan_layouts (&l, &m, &o, 8), WB_OK);
    T_OK (l.n == 0 && l.all == 0, "nothing fits a byte");
    m.memory = INFINITY;
    T_STATUS (wb_plan_layouts (&l, &m, &o, 7), WB_OK);
    T_OK (l.n == 1 && l.best[0].dp == 7, "only sequences are shared by 7");
    T_STATUS (wb_plan_layouts (&l, &m, &o, 13), WB_OK);
    T_OK (l.n == 0, "12 sequences are not enough for 13");
    T_OK (wb_error_get ()->status == WB_OK, "layouts passed over leave no error");
}

static void nearest (int64_t ranks, int pp, int tp, int64_t below, int64_t above) {
    const wb_step_options_t o = options ();
    int64_t near_ranks[2];
    wb_plan_nearest (near_ranks, &o, ranks, pp, tp);
    T_OK (near_ranks[0] == below && near_ranks[1] == above, "%lld ranks, %d x %d: %lld or %lld, not %lld or %lld",
          (long long) ranks, pp, tp, (long long) near_ranks[0], (long long) near_ranks[1], (long long) below,
          (long long) above);
}

int main (void) {
    check_time ();
    check_layouts ();
    nearest (8, 1, 1, 7, 9);
    nearest (5, 2, 1, 4, 6);
    nearest (1, 2, 1, 0, 2);
    nearest (13, 1, 1, 12, 0);
    nearest (1000000, 2, 2, 48, 0);
    return T_DONE ();
}
