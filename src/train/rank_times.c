/* Who waits for whom: the seconds of a step, compared over all ranks.
 *
 * Ranks are synchronised in every step by the verdict, so their steps take the same time, and a slow rank only shows in
 * the waiting of the others.  What identifies it is the time it computes.
 *
 * Not done here: why it is slow. */
#include "config.h"

#include <string.h>

#include "wabun/train.h"

typedef double value_fn (const wb_rank_record_t *r);
static double compute_of (const wb_rank_record_t *r) { return r->compute; }
static double rest_of (const wb_rank_record_t *r) { return r->rest; }
static double pace_of (const wb_rank_record_t *r) { return r->compute / r->micros; }

/* The k-th smallest value of the ranks. */
static double nth (const wb_rank_record_t *all, int ranks, int k, value_fn *value) {
    for (int i = 0; i < ranks; i++) {
        double x = value (&all[i]);
        int below = 0;
        for (int j = 0; j < ranks; j++) {
            double y = value (&all[j]);
            below += y < x || (y <= x && j < i);
        }
        if (below == k) return x;
    }
    return 0;
}

void wb_rank_times (wb_rank_times_t *out, wb_rank_record_t *records, wb_comm_t *world, const wb_step_result_t *s) {
    const int ranks = wb_comm_size (world);
    wb_rank_record_t mine = {
        .exposed = s->t_exposed, .transfer = s->t_transfer, .micros = s->micros > 0 ? s->micros : 1};
    double exposed = 0, transfer = 0;
    int most = 1;
    mine.compute = s->t_data + s->t_forward + s->t_backward + s->t_update - s->t_wait - s->t_need - s->t_tensor;
    mine.rest = s->t_total - mine.compute;
    snprintf (mine.host, sizeof mine.host, "%.63s", wb_comm_host ());
    wb_comm_all_gather (world, records, &mine, sizeof mine);

    memset (out, 0, sizeof *out);
    for (int i = 0; i < ranks; i++) {
        exposed += records[i].exposed;
        transfer += records[i].transfer;
        if (pace_of (&records[i]) > pace_of (&records[out->slowest])) out->slowest = i;
        if (records[i].micros > most) most = records[i].micros;
    }
    for (int k = 0; k < 3; k++) {
        int place = k == 0 ? 0 : k == 1 ? (ranks - 1) / 2 : ranks - 1;
        out->compute[k] = nth (records, ranks, place, compute_of);
        out->waiting[k] = nth (records, ranks, place, rest_of);
        out->pace[k] = nth (records, ranks, place, pace_of) * most;
    }
    out->exposed = out->waiting[0];
    for (int k = 0; k < 3; k++) out->waiting[k] -= out->exposed;
    out->hidden = transfer > 0 ? 1 - exposed / transfer : 0;
    memcpy (out->host, records[out->slowest].host, sizeof out->host);
}
