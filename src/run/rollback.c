/* Back to a checkpoint: train.rollback.
 *
 * Too many bad steps in a row, or ruined weights: the run goes on from its newest checkpoint, in the same process, and
 * leaves out the batches that led there, as if they did not exist.
 *
 *   - first the bad steps and the one before them, whose update the first of them met; of ruined weights, which show
 *     only when they are saved, all steps since the checkpoint
 *   - the second time from the same checkpoint everything up to the bad step
 *   - where nothing was done since the checkpoint, its weights are to blame: it is set aside, and the one before it is
 *     taken, without its last step
 *
 * What is left out, and how often the run went back, is written into the checkpoint at once.  So a run that is killed
 * and resumed goes the same way.
 *
 * Not done here: judging numbers (health.c, spikes.c), loading (resume.c). */
#include "config.h"

#include <string.h>

#include "run/history.h"
#include "run/windows.h"

/* Where to, and what then. */
typedef struct way {
    int64_t from;   /* checkpoint that was the newest */
    bool poisoned;  /* it is set aside */
    int64_t target; /* step of the checkpoint that is gone back to */
    wb_steps_t out;
} way_t;

/* The run's checkpoint before step `before`, -1: none.  Collective over world. */
static wb_status find_older (wb_run_t *r, int64_t *step, int64_t before) {
    int64_t *steps = NULL;
    int n = 0;
    wb_status status = WB_OK;
    *step = -1;
    if (wb_comm_rank (r->world) == 0) status = wb_ckpt_list_named (&steps, &n, r->config->run.dir);
    for (int i = n - 1; i >= 0 && status == WB_OK; i--)
        if (steps[i] < before) *step = steps[i];
    wb_free (steps);
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, step, sizeof *step, 0);
    return WB_OK;
}

/* The error stays, with a word of why it is the end. */
static wb_status give_up (const char *why) {
    wb_error_t e = *wb_error_get ();
    const size_t used = strlen (e.text);
    snprintf (e.text + used, sizeof e.text - used, "%s", why);
    wb_error_put (&e);
    return WB_ENUMERIC;
}

/* Collective over world.  Errors: WB_ENUMERIC there is no way back. */
static wb_status choose (wb_run_t *r, way_t *w) {
    const wb_rollbacks_t *b = &r->rollbacks;
    char used_up[96];
    snprintf (used_up, sizeof used_up, "; all of train.rollback = %lld have been used up",
              (long long) r->config->run.rollback);
    if (r->config->run.rollback == 0) return WB_ENUMERIC;
    if (r->saved < 0) return give_up ("; there is no checkpoint for train.rollback");
    if (b->count >= r->config->run.rollback) return give_up (used_up);
    *w = (way_t){.from = r->saved, .target = r->saved, .poisoned = r->updated <= r->saved, .out = r->bad};
    if (w->poisoned) {
        wb_error_t e;
        wb_error_take (&e);
        WB_TRY (find_older (r, &w->target, w->from));
        wb_error_put (&e);
        if (w->target < 0) return give_up ("; train.rollback finds no checkpoint before it");
        w->out.first = w->from;
    } else if ((b->count > 0 && b->to == w->from) || w->out.first <= w->from) {
        w->out.first = w->from + 1;
    }
    return WB_OK;
}

static wb_status set_aside (const wb_run_t *r, const way_t *w) {
    if (!w->poisoned || wb_comm_rank (r->world) != 0) return WB_OK;
    WB_TRY (wb_ckpt_set_aside (r->config->run.dir, w->from));
    return wb_ckpt_set_latest (r->config->run.dir, w->target);
}

static void put_history (wb_run_t *r, const way_t *w) {
    const int64_t G = r->trainer->o.global_batch;
    if (wb_comm_rank (r->world) != 0) return;
    json_t *j = wb_run_event_new ("rollback", w->out.last);
    json_object_set_new (j, "to", json_integer (r->trainer->step));
    json_object_set_new (j, "count", json_integer (r->rollbacks.count));
    json_object_set_new (j, "why", json_string (r->bad_text));
    json_object_set_new (j, "left_out", json_pack ("[I,I]", (json_int_t) w->out.first, (json_int_t) w->out.last));
    json_object_set_new (j, "windows",
                         wb_run_windows_json (r, (w->out.first - 1) * G, (w->out.last - w->out.first + 1) * G));
    wb_run_event_put (r, j);
}

/* The checkpoint again, with what is left out.  A full disk costs no more than that. */
static wb_status save (wb_run_t *r) {
    wb_free (r->state);
    r->state = NULL;
    const wb_status status = wb_run_save (r);
    if (status != WB_EIO) return status;
    wb_warn ("%s; the steps that are left out are written with the next checkpoint", wb_error_get ()->text);
    wb_error_clear ();
    return WB_OK;
}

/* A save that is under way ends first: it may be the checkpoint to go back to.  The error stays. */
static wb_status end_save (wb_run_t *r) {
    wb_error_t e;
    wb_error_take (&e);
    WB_TRY (wb_run_save_wait (r));
    wb_error_put (&e);
    return WB_OK;
}

static wb_status go_back (wb_run_t *r) {
    way_t w;
    WB_TRY (end_save (r));
    WB_TRY (choose (r, &w));
    wb_error_clear ();
    wb_rollbacks_t b = r->rollbacks;
    wb_warn (
        "%s: going back to a checkpoint (%lld of train.rollback = %lld); the batches of steps %lld to %lld are left "
        "out from now on",
        r->bad_text, (long long) b.count + 1, (long long) r->config->run.rollback, (long long) w.out.first,
        (long long) w.out.last);
    WB_TRY (wb_agree (r->world, set_aside (r, &w)));
    WB_TRY (wb_run_resume (r, "auto"));
    b.count++;
    b.to = r->trainer->step;
    wb_rollbacks_leave_out (&b, w.out);
    r->rollbacks = b;
    r->bad_steps = 0;
    put_history (r, &w);
    WB_TRY (wb_run_log_back (r));
    return save (r);
}

wb_status wb_run_rollback (wb_run_t *r) {
    wb_status status = WB_ENUMERIC;
    while (status == WB_ENUMERIC) {
        const int64_t before = r->rollbacks.count;
        status = go_back (r);
        if (r->rollbacks.count == before) break;
    }
    return status;
}

bool wb_run_leaves_out (const wb_run_t *r, int64_t step) {
    const wb_steps_t *out = wb_rollbacks_find (&r->rollbacks, step);
    if (out != NULL && step == out->first)
        wb_info ("steps %lld to %lld are left out, as train.rollback has it", (long long) out->first,
                 (long long) out->last);
    return out != NULL;
}
