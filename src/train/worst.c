/* The sequences of a step with the highest losses, over all ranks: what a message about a step can name.
 *
 * They are found one after the other, each by two small maxima over the ranks, so it takes no memory.  Only the ranks
 * with the head know losses, and of a tensor group all know the same. */
#include "config.h"

#include <float.h>
#include <math.h>

#include "train/train_priv.h"

#define TAKEN (-1.0)

/* NaN and infinity compare as the largest number. */
static double rank_of (double loss) { return isfinite (loss) ? loss : DBL_MAX; }

int wb_trainer_worst (wb_trainer_t *t, wb_sequence_loss_t *out, int n, int64_t *infinite) {
    double *losses = t->impl->batch.losses;
    const int64_t mine = wb_layout_has_head (&t->layout) && t->topo->tp_rank == 0 ? t->share : 0;
    int64_t bad = 0;
    int found = 0;
    for (int64_t i = 0; i < mine; i++) bad += !isfinite (losses[i]);
    wb_comm_sum_i64 (t->topo->world, &bad, 1);
    if (infinite != NULL) *infinite = bad;
    for (; found < n && found < t->o.global_batch; found++) {
        int64_t at = -1;
        for (int64_t i = 0; i < mine; i++)
            if (at < 0 || rank_of (losses[i]) > rank_of (losses[at])) at = i;
        const double own = at >= 0 ? rank_of (losses[at]) : TAKEN;
        double top = own;
        wb_comm_max_f64 (t->topo->world, &top, 1);
        if (top < 0) break;
        int64_t first = own >= top ? -(t->first + at) : INT64_MIN; /* of equals the first in the batch */
        wb_comm_max_i64 (t->topo->world, &first, 1);
        if (own >= top && first == -(t->first + at)) losses[at] = TAKEN;
        out[found] = (wb_sequence_loss_t){-first, top < DBL_MAX ? top : (double) INFINITY};
    }
    return found;
}
