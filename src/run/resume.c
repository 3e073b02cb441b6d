/* Resuming a run: which checkpoint it goes on from, and whether that fits the configuration.
 *
 * "auto" takes the newest checkpoint that verifies and whose values are finite; damaged ones, those that cannot be
 * read, and those that hold NaN or infinity are passed over with a warning that names them, and set aside.  With a
 * directory, that one or an error.
 *
 * Not done here: what is in a checkpoint (save.c, state.c). */
#include "config.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/state.h"

/* The sizes must agree; with another number of heads all shapes are the same, but it is another model. */
static wb_status check_size (const wb_run_t *r, const char *dir) {
    const wb_size_t *want = &r->trainer->o.size;
    wb_size_t s;
    WB_TRY (wb_model_config_read (&s, dir));
    if (s.L == want->L && s.C == want->C && s.H == want->H && s.T == want->T && s.V == want->V) return WB_OK;
    return WB_FAIL (WB_EUSAGE,
                    "%s has %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld; the configuration says "
                    "%lld layers, width %lld, %lld heads, context %lld, vocabulary %lld: set it back, or set another "
                    "`run`",
                    dir, (long long) s.L, (long long) s.C, (long long) s.H, (long long) s.T, (long long) s.V,
                    (long long) want->L, (long long) want->C, (long long) want->H, (long long) want->T,
                    (long long) want->V);
}

/* Is `dir` the run's own checkpoint of this step?  One from elsewhere must be newer than all of the run's own: the next
 * start takes the newest. */
static wb_status check_order (const wb_run_t *r, bool *own, const char *dir, int64_t step) {
    char *path = wb_ckpt_path (r->config->run.dir, step);
    struct stat a, b;
    int64_t newest;
    int n = 0;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    *own =
        status == WB_OK && stat (path, &a) == 0 && stat (dir, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    if (status == WB_OK) status = wb_ckpt_list (&newest, &n, r->config->run.dir, 1);
    if (status == WB_OK && n > 0 && (*own ? newest > step : newest >= step))
        status = WB_FAIL (WB_EUSAGE,
                          "%s is of step %lld, but %s has a checkpoint of step %lld, which the next start would go on "
                          "from: move step %lld and later away first, or set another `run`",
                          dir, (long long) step, r->config->run.dir, (long long) newest,
                          (long long) (*own ? step + 1 : step));
    wb_free (path);
    return status;
}

/* A run does not become shorter. */
static wb_status check_steps (const wb_run_t *r, int64_t step, const char *dir) {
    const int64_t steps = r->config->step.optim.steps;
    if (step <= steps) return WB_OK;
    return WB_FAIL (
        WB_EUSAGE,
        "train.steps = %lld, but %s is of step %lld already: set train.steps higher to go on, or set another "
        "`run`",
        (long long) steps, dir, (long long) step);
}

/* Rank 0: what is there, and whether the run may go on from it.  *own: it is one of the run's. */
static wb_status read_state (const wb_run_t *r, wb_state_t *s, bool *own, const char *dir, bool chosen) {
    *own = true;
    WB_TRY (wb_state_read (s, dir));
    WB_TRY (check_size (r, dir));
    WB_TRY (wb_state_check (r, s, dir, chosen));
    WB_TRY (check_steps (r, s->step, dir));
    return chosen ? check_order (r, own, dir, s->step) : WB_OK;
}

/* Is this rank's part of the optimizer's state finite? */
static wb_status check_state (const wb_run_t *r, const char *dir, const wb_ckpt_set_t *set,
                              const wb_segment_t *segments, int n) {
    for (int i = 0; i < n; i++) {
        const wb_segment_t *g = &segments[i];
        if (set->classes != 0 && (set->classes >> g->param->cls & 1) == 0) continue;
        if (!isfinite (r->trainer->kern->sumsq (set->data + g->state, g->count)))
            return WB_FAIL (WB_EDATA, "%s/%s: tensor '%s%s' holds NaN or infinity", dir, set->file, set->prefix,
                            g->param->name);
    }
    return WB_OK;
}

/* Weights and optimizer.  Collective over world.  Errors: also WB_EDATA, of values that are not finite. */
static wb_status load (wb_run_t *r, const char *dir) {
    wb_trainer_t *t = r->trainer;
    int n, nslots;
    const wb_segment_t *updated = wb_trainer_updated (t, &n);
    const wb_optim_slot_t *slots = wb_optim_slots (t->o.optim.kind, &nslots);
    WB_TRY (wb_run_load_weights (r, dir));
    for (int i = 0; i < nslots; i++) {
        wb_ckpt_set_t set = wb_run_state_set (t, &slots[i]);
        WB_TRY (wb_ckpt_load (r->world, dir, &set, updated, n));
        WB_TRY (wb_agree (r->world, check_state (r, dir, &set, updated, n)));
    }
    return WB_OK;
}

/* Of LoRA the model first, which the checkpoint only names; once, for the run may go back later. */
static wb_status load_base (wb_run_t *r, const wb_state_t *s) {
    wb_run_base_t was = {0};
    if (r->trainer->o.tuning.rank == 0 || r->began > 0) return WB_OK;
    WB_TRY (wb_agree (r->world, wb_comm_rank (r->world) == 0 ? wb_state_base (&was, s) : WB_OK));
    const wb_status status = wb_run_base_again (r, &was);
    wb_free (was.path);
    return status;
}

/* The rest of resume_from(): s is that of rank 0. */
static wb_status resume_state (wb_run_t *r, wb_state_t *s, bool own, const char *dir) {
    bool root = wb_comm_rank (r->world) == 0;
    wb_comm_bcast (r->world, &s->step, sizeof s->step, 0);
    wb_comm_bcast (r->world, &s->tokens, sizeof s->tokens, 0);
    wb_comm_bcast (r->world, &s->spikes, sizeof s->spikes, 0);
    wb_comm_bcast (r->world, &s->bad_steps, sizeof s->bad_steps, 0);
    wb_comm_bcast (r->world, &s->rollbacks, sizeof s->rollbacks, 0);
    if (root && own) wb_state_read_best (&s->best, s->json, r);
    wb_comm_bcast (r->world, &s->best, sizeof s->best, 0);
    wb_comm_bcast (r->world, &s->global_batch, sizeof s->global_batch, 0);
    wb_comm_bcast (r->world, &own, sizeof own, 0);
    WB_TRY (load_base (r, s));
    WB_TRY (load (r, dir));
    r->trainer->step = s->step;
    r->tokens = s->tokens;
    r->spikes = s->spikes;
    r->bad_steps = s->bad_steps;
    r->rollbacks = s->rollbacks;
    r->best = s->best;
    if (s->global_batch > 0) wb_rollbacks_rebatch (&r->rollbacks, s->global_batch, r->trainer->o.global_batch);
    r->updated = s->step;
    r->saved = own ? s->step : -1;
    r->resumed = true;
    wb_info ("resuming from %s (step %lld)", dir, (long long) s->step);
    if (root && r->began <= 0) wb_state_compare (r, s, dir); /* once: the run may go back later */
    WB_TRY (wb_agree (r->world, root ? wb_state_keep (r, s) : WB_OK));
    return wb_run_base_share (r);
}

static wb_status resume_from (wb_run_t *r, const char *dir, bool chosen) {
    wb_state_t s = {.best = {.step = -1, .at = -1}};
    bool own = true;
    wb_status status = wb_comm_rank (r->world) == 0 ? read_state (r, &s, &own, dir, chosen) : WB_OK;
    status = wb_agree (r->world, status);
    if (status == WB_OK) status = resume_state (r, &s, own, dir);
    wb_state_fini (&s);
    return status;
}

/* The newest is steps[n - 1 - i]: no other is left. */
static wb_status none_left (wb_status status) {
    wb_error_t e = *wb_error_get ();
    const size_t used = strlen (e.text);
    snprintf (e.text + used, sizeof e.text - used, " (there is no older one; move it away to begin again)");
    wb_error_put (&e);
    return status;
}

static wb_status resume_verified (wb_run_t *r, int64_t step) {
    char *dir = wb_ckpt_path (r->config->run.dir, step);
    wb_status status = dir != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && wb_comm_rank (r->world) == 0) status = wb_ckpt_check_whole (dir);
    status = wb_agree (r->world, status);
    if (status == WB_OK) status = wb_ckpt_verify (r->world, dir);
    if (status == WB_OK) status = resume_from (r, dir, false);
    wb_free (dir);
    return status;
}

/* Resume from the newest checkpoint that is good: steps[*good]; -1: there are none.  Only damage makes it go back, what
 * cannot be read, and bad numbers: where the configuration does not fit the newest checkpoint, it does not fit older
 * ones either.  Collective over world. */
static wb_status resume_good (wb_run_t *r, int *good, const int64_t *steps, int n) {
    *good = -1;
    for (int i = 0; i < n; i++) {
        const wb_status status = resume_verified (r, steps[i]);
        if (status == WB_OK) {
            *good = i;
            return WB_OK;
        }
        if (status != WB_EDATA && status != WB_EIO) return status;
        if (i == n - 1) return none_left (status);
        wb_warn ("%s; going back to the checkpoint before it", wb_error_get ()->text);
        wb_error_clear ();
    }
    return WB_OK;
}

/* Everything of the run that has the name of a checkpoint, newest first, on all ranks; whole or not, so that what is
 * not is said.  Empty directories are nobody's.  The caller frees *steps.  Collective over world. */
static wb_status list_named (wb_run_t *r, int64_t **steps, int *n) {
    const bool root = wb_comm_rank (r->world) == 0;
    wb_status status = root ? wb_ckpt_list_named (steps, n, r->config->run.dir) : WB_OK;
    int used = 0;
    for (int i = 0; root && i < *n && status == WB_OK; i++) {
        char *dir = wb_ckpt_path (r->config->run.dir, (*steps)[i]);
        if (dir == NULL) status = WB_NOMEM ("checkpoint");
        if (dir != NULL && rmdir (dir) != 0) (*steps)[used++] = (*steps)[i];
        wb_free (dir);
    }
    *n = used;
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, n, sizeof *n, 0);
    if (!root) *steps = wb_malloc ((size_t) (*n + 1) * sizeof **steps);
    WB_TRY (wb_agree (r->world, *steps != NULL ? WB_OK : *n > 0 ? WB_NOMEM ("checkpoint") : WB_OK));
    if (*n > 0) wb_comm_bcast (r->world, *steps, (size_t) *n * sizeof **steps, 0);
    return WB_OK;
}

/* Rank 0: damaged checkpoints must neither be `latest` nor count among those that are kept, or pruning would remove the
 * good ones.  What is resumed is `latest`, also where a kill came between the save and its link. */
static wb_status set_aside (const wb_run_t *r, const int64_t *steps, int damaged) {
    for (int i = 0; i < damaged; i++) WB_TRY (wb_ckpt_set_aside (r->config->run.dir, steps[i]));
    return wb_ckpt_set_latest (r->config->run.dir, steps[damaged]);
}

static wb_status resume_listed (wb_run_t *r, const int64_t *steps, int n) {
    int good;
    WB_TRY (resume_good (r, &good, steps, n));
    if (good < 0) return WB_OK;
    WB_TRY (wb_agree (r->world, wb_comm_rank (r->world) == 0 ? set_aside (r, steps, good) : WB_OK));
    wb_run_archive (r);
    return WB_OK;
}

static wb_status resume_newest (wb_run_t *r) {
    int64_t *steps = NULL;
    int n = 0;
    wb_status status = list_named (r, &steps, &n);
    if (status == WB_OK) status = resume_listed (r, steps, n);
    wb_free (steps);
    return status;
}

wb_status wb_run_resume (wb_run_t *r, const char *resume) {
    if (strcmp (resume, "auto") == 0) return resume_newest (r);
    char *dir = wb_dir_latest (resume);
    wb_status status = wb_agree (r->world, dir != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
    if (status == WB_OK) status = wb_ckpt_verify (r->world, dir);
    if (status == WB_OK) status = resume_from (r, dir, true);
    wb_free (dir);
    return status;
}
