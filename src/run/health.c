/* The health of a run's numbers: steps that are skipped or stand out, and weights that are not fit to be saved.
 *
 * A step whose loss or gradient is NaN or infinite has changed nothing on any rank.  It is skipped, as if its batch did
 * not exist, until there are too many in a row: then the weights are to blame, not the text.
 *
 * An update can ruin weights though loss and gradients are finite.  Saved, they would become the newest checkpoint, and
 * good ones would be pruned for them.  So they are looked at before they are saved: a pass over memory.
 *
 * A loss or a gradient norm far above what it was of late is reported, and skipped where that is wanted.
 *
 * Not done here: what is a spike (spikes.c), which texts a batch is made of (windows.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/history.h"
#include "run/windows.h"

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

bool wb_run_judge (void *run, const wb_step_result_t *s) {
    wb_run_t *r = run;
    const wb_run_options_t *o = &r->config->run;
    const wb_spike_options_t how = {o->spike_z, o->spike_window, o->loss_rise, o->spike_skip ? o->bad_steps : 0};
    wb_spikes_judge (&r->spikes, &r->verdict, &how, s->loss, s->grad_norm);
    return !r->verdict.hold;
}

static json_t *number (double x) { return isfinite (x) ? json_real (x) : json_null (); }

/* A step, for messages. */
typedef struct news {
    const char *kind;    /* "bad", "spike" */
    const char *done;    /* what became of it */
    int64_t step, first; /* its number, its first sample */
    char windows[WB_WINDOWS_TEXT];
} news_t;

/* The windows that a message names: those with NaN, of a spike those with the highest losses, else the first ones.
 * Returns what they are.  Collective over world. */
static const char *name_windows (news_t *n, const wb_run_t *r, bool bad) {
    wb_trainer_t *t = r->trainer;
    wb_sequence_loss_t worst[NAMED];
    int64_t infinite, ks[NAMED];
    int count = wb_trainer_worst (t, worst, NAMED, &infinite);
    const bool some = bad ? infinite > 0 && infinite < t->o.global_batch : true;
    for (int i = 0; i < count; i++) ks[i] = n->first + (some ? worst[i].sequence : i);
    if (some && bad && infinite < count) count = (int) infinite;
    if (!bad && count > NAMED / 2) count = NAMED / 2;
    wb_run_windows_text (n->windows, r, ks, count);
    if (count < t->o.global_batch && (!some || !bad || infinite > count))
        strncat (n->windows, ", ...", sizeof n->windows - strlen (n->windows) - 1);
    return !some ? "windows" : bad ? "not finite in windows" : "highest loss in windows";
}

static void put_history (wb_run_t *r, const wb_step_result_t *s, const news_t *n) {
    json_t *j = wb_run_event_new (n->kind, n->step);
    json_object_set_new (j, "loss", number (s->loss));
    json_object_set_new (j, "grad_norm", number (s->grad_norm));
    json_object_set_new (j, "skipped", json_boolean (s->bad || s->held));
    if (!s->bad)
        json_object_set_new (j, "z", json_pack ("[f,f]", r->verdict.z[WB_SPIKE_LOSS], r->verdict.z[WB_SPIKE_NORM]));
    json_object_set_new (j, "named", json_string (n->windows));
    json_object_set_new (j, "windows", wb_run_windows_json (r, n->first, r->trainer->o.global_batch));
    wb_run_event_put (r, j);
}

/* One line of the log, of metrics.jsonl and of history.jsonl, which has all windows.  Collective over world. */
static void tell (wb_run_t *r, const wb_step_result_t *s, const char *kind, const char *done) {
    const wb_trainer_t *t = r->trainer;
    const wb_spike_verdict_t *v = &r->verdict;
    const bool counted = !s->bad && !s->held;
    news_t n = {.kind = kind, .done = done, .step = t->step + !counted};
    char above[2][64] = {"", ""};
    n.first = (n.step - 1) * t->o.global_batch;
    const char *what = name_windows (&n, r, s->bad);
    for (int i = 0; i < WB_SPIKE_VALUES && !s->bad && !v->rise; i++)
        if (v->z[i] > r->config->run.spike_z)
            snprintf (above[i], sizeof above[i], " (%.1f standard deviations above %.4g)", v->z[i], v->mean[i]);
    if (!s->bad && v->rise) snprintf (above[0], sizeof above[0], " (its lowest mean was %.4g)", v->lowest);
    wb_warn ("step %lld/%lld: %sloss %g%s, gradient norm %g%s: %s; %s %s", (long long) n.step,
             (long long) r->config->step.optim.steps, strcmp (kind, "spike") == 0 ? "spike: " : "", plain (s->loss),
             above[0], plain (s->grad_norm), above[1], done, what, n.windows);
    wb_run_log_health (r, s, n.step, kind, n.windows);
    if (wb_comm_rank (r->world) == 0) put_history (r, s, &n);
}

static wb_status went_bad (const wb_run_t *r) {
    char kept[96];
    return WB_FAIL (WB_ENUMERIC, "%s; %s; %s with a lower train.lr, a longer train.warmup or a smaller train.clip",
                    r->bad_text, wb_run_kept (kept, r), what_then (r));
}

wb_status wb_run_skip (wb_run_t *r, const wb_step_result_t *s) {
    wb_trainer_t *t = r->trainer;
    const bool bad = s->bad || r->verdict.rise;
    r->bad_steps = bad ? r->bad_steps + 1 : 0;
    if (bad && r->bad_steps > r->config->run.bad_steps) {
        tell (r, s, "bad", "one too many");
        r->bad = (wb_steps_t){t->step + 1 - r->bad_steps, t->step + 1}; /* the first one met the update before it */
        snprintf (r->bad_text, sizeof r->bad_text, "step %lld: loss %g, gradient norm %g: the numbers went bad%s",
                  (long long) t->step + 1, plain (s->loss), plain (s->grad_norm),
                  r->bad_steps > 1 ? ", in more than train.bad_steps in a row" : "");
        return went_bad (r);
    }
    tell (r, s, bad ? "bad" : "spike", "skipped");
    wb_trainer_skip (t);
    return WB_OK;
}

void wb_run_spike (wb_run_t *r, const wb_step_result_t *s) {
    r->bad_steps = 0;
    if (r->verdict.first) tell (r, s, "spike", "done all the same");
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

wb_status wb_run_check_weights (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    int n;
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
    r->bad = (wb_steps_t){r->saved + 1, t->step};
    snprintf (
        r->bad_text, sizeof r->bad_text,
        "step %lld: the weights have gone bad (root mean square %g, at the start %g; of the optimizer's state %s)",
        (long long) t->step, plain (rms), r->weights_rms, isfinite (sums[2]) ? "finite" : "infinite or NaN");
    return went_bad (r);
}
