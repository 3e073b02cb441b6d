/* The health of a run's numbers: steps that are skipped, and weights that are not fit to be saved.
 *
 * A step whose loss or gradient is NaN or infinite has changed nothing on any rank.  It is skipped, as if its batch did
 * not exist, until there are too many in a row: then the weights are to blame, not the text.
 *
 * An update can ruin weights though loss and gradients are finite.  Saved, they would become the newest checkpoint, and
 * good ones would be pruned for them.  So they are looked at before they are saved: a pass over memory.
 *
 * Not done here: finding out which sequence of a batch was to blame. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/run_priv.h"

/* Weights whose root mean square has grown to so many times what it was are taken for ruined. */
#define GROWTH 1000.0
#define NAMED 6 /* windows of a skipped batch that are named */

/* Drop the sign of a NaN, which printf would show. */
static double plain (double x) { return isnan (x) ? (double) NAN : x; }

const char *wb_run_kept (char buf[96], const wb_run_t *r) {
    if (r->saved < 0) return "no checkpoint was written yet";
    snprintf (buf, 96, "the checkpoint of step %lld is kept", (long long) r->saved);
    return buf;
}

/* "go on from it": what to do with it. */
static const char *what_then (const wb_run_t *r) { return r->saved < 0 ? "start again" : "go on from it"; }

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* The windows of the batch that follows step `step`, the first few: "17, 4093 of tok/general, 5 of tok/novel, ..." */
static void name_windows (char *buf, size_t bytes, const wb_run_t *r, int64_t step) {
    const int64_t batch = r->trainer->o.global_batch, shown = batch < NAMED ? batch : NAMED;
    size_t at = 0;
    buf[0] = 0;
    for (int64_t i = 0; i < shown && at + 1 < bytes; i++) {
        int part, next;
        int64_t window, ignored;
        wb_loader_where (r->data.train, &part, &window, step * batch + i);
        at += (size_t) snprintf (buf + at, bytes - at, "%s%lld", i > 0 ? ", " : "", (long long) window);
        if (i + 1 < shown) wb_loader_where (r->data.train, &next, &ignored, step * batch + i + 1);
        if ((i + 1 == shown || next != part) && at + 1 < bytes)
            at += (size_t) snprintf (buf + at, bytes - at, " of %s", wb_tokens_path (r->data.files[part]));
    }
    if (shown < batch && at + 1 < bytes) snprintf (buf + at, bytes - at, ", ...");
}

wb_status wb_run_skip (wb_run_t *r, const wb_step_result_t *s) {
    wb_trainer_t *t = r->trainer;
    char kept[96], windows[512];
    if (++r->bad_steps > r->config->run.bad_steps)
        return WB_FAIL (WB_ENUMERIC,
                        "step %lld: loss %g, gradient norm %g: the numbers went bad%s; %s; %s with a lower "
                        "train.lr, a longer train.warmup or a smaller train.clip",
                        (long long) t->step + 1, plain (s->loss), plain (s->grad_norm),
                        r->bad_steps > 1 ? ", in more than train.bad_steps in a row" : "", wb_run_kept (kept, r),
                        what_then (r));
    name_windows (windows, sizeof windows, r, t->step);
    wb_warn ("step %lld/%lld: loss %g, gradient norm %g: skipped; windows %s", (long long) t->step + 1,
             (long long) r->config->step.optim.steps, plain (s->loss), plain (s->grad_norm), windows);
    wb_trainer_skip (t);
    return WB_OK;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

wb_status wb_run_check_weights (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    int n;
    char kept[96];
    const wb_segment_t *owned = wb_trainer_owned (t, &n);
    const float *weights = wb_trainer_weights (t);
    double sums[3] = {0, 0, 0}; /* squares of the weights, their number, squares of the optimizer's state */
    for (int i = 0; i < n; i++) {
        sums[0] += t->kern->sumsq (weights + owned[i].flat, owned[i].count);
        sums[1] += (double) owned[i].count;
    }
    for (int i = 0; i < 2; i++)
        if (t->state[i] != NULL) sums[2] += t->kern->sumsq (t->state[i], t->state_floats[i]);
    wb_comm_sum_f64 (r->world, sums, 3);
    const double rms = sqrt (sums[0] / sums[1]);
    if (isfinite (rms) && isfinite (sums[2]) && (r->weights_rms <= 0 || rms <= GROWTH * r->weights_rms)) {
        if (r->weights_rms <= 0) r->weights_rms = rms;
        return WB_OK;
    }
    return WB_FAIL (WB_ENUMERIC,
                    "step %lld: the weights have gone bad (root mean square %g, at the start %g; of the optimizer's "
                    "state %s), so they are not saved; %s; %s with a lower train.lr, a longer train.warmup or a "
                    "smaller train.clip",
                    (long long) t->step, plain (rms), r->weights_rms, isfinite (sums[2]) ? "finite" : "infinite or NaN",
                    wb_run_kept (kept, r), what_then (r));
}
