/* Saving a run: what goes into a checkpoint, and when.
 *
 * At its interval a save begins, and goes on in the background where there is memory for a copy of what is saved; each
 * step tells how many ranks are ready for its next phase.  The last save, and that of a run that is stopped, are waited
 * for.
 *
 * Not done here: state.json (state.c), writing the files (checkpoint), going on from them (resume.c). */
#include "config.h"

#include <string.h>

#include "run/state.h"

/* A checkpoint that could not be written: what there is instead, in the same words on every rank. */
static void tell_kept (const wb_run_t *r) {
    char kept[96];
    wb_error_t e = *wb_error_get ();
    const size_t used = strlen (e.text);
    if (e.status != WB_EIO) return;
    snprintf (e.text + used, sizeof e.text - used, "; %s", wb_run_kept (kept, r));
    wb_error_put (&e);
}

/* What fails once a checkpoint is complete costs no more than a word. */
static void tidied (wb_status status, const char *what) {
    if (status == WB_OK) return;
    wb_warn ("%s: %s; the checkpoints are whole, and it is tried again after the next save", what,
             wb_error_get ()->text);
    wb_error_clear ();
}

void wb_run_archive (const wb_run_t *r) {
    const wb_run_options_t *o = &r->config->run;
    if (o->checkpoint_archive > 0 && wb_comm_rank (r->world) == 0)
        tidied (wb_ckpt_archive (o->dir, o->checkpoint_archive), "checkpoint.archive");
}

/* ---- what is saved ----------------------------------------------------------------------------------------------- */

/* Rank 0, perhaps in the thread that saves. */
static wb_status write_tokenizer (void *ctx, const char *dir) {
    const wb_run_t *r = ctx;
    return wb_tokenizer_save (r->data.tokenizer, dir);
}

static void tidy_up (void *ctx) {
    const wb_run_t *r = ctx;
    const wb_run_options_t *o = &r->config->run;
    tidied (wb_ckpt_set_latest (o->dir, r->saving.step), "latest");
    if (r->saving.best) tidied (wb_ckpt_set_best (o->dir, r->saving.step), "best");
    wb_run_archive (r);
    tidied (wb_ckpt_prune (o->dir, o->checkpoint_keep), "old checkpoints");
}

typedef wb_status (*use_fn) (wb_run_t *r, const char *dir, const wb_ckpt_job_t *job);

/* Call `use` with the job of saving this step.  Collective over world; so must `use` be. */
static wb_status with_job (wb_run_t *r, use_fn use) {
    wb_trainer_t *t = r->trainer;
    wb_watch_enter (r->watch, WB_AREA_SAVE, t->step);
    wb_ckpt_set_t sets[1 + WB_OPTIM_MAX_SLOTS] = {wb_run_weights_set (t)};
    const char *extras[WB_TOKENIZER_MAX_FILES];
    int nslots;
    const wb_optim_slot_t *slots = wb_optim_slots (t->o.optim.kind, &nslots);
    wb_ckpt_job_t job = {.params = t->params->list,
                         .nparams = t->params->n,
                         .sets = sets,
                         .nsets = 1,
                         .ntexts = t->o.tuning.rank > 0 ? 3 : 2,
                         .extras = extras,
                         .extra = write_tokenizer,
                         .after = tidy_up,
                         .ctx = r};
    job.segments = wb_trainer_owned (t, &job.nsegments);
    for (int i = 0; i < nslots; i++) sets[job.nsets++] = wb_run_state_set (t, &slots[i]);
    const char *name;
    while (r->data.tokenizer != NULL && (name = wb_tokenizer_file (r->data.tokenizer, job.nextras)) != NULL)
        extras[job.nextras++] = name;
    char *dir = wb_ckpt_path (r->config->run.dir, t->step);
    char *config =
        wb_model_config_text (&t->o.size, r->data.tokenizer != NULL ? wb_tokenizer_eot (r->data.tokenizer) : -1);
    char *state = wb_comm_rank (r->world) == 0 ? wb_state_text (r) : wb_strdup (""); /* rank 0 writes it */
    char *adapter =
        t->o.tuning.rank > 0 ? wb_adapter_config_text (&t->o.tuning, &t->o.size, r->base.path) : wb_strdup ("");
    const wb_ckpt_text_t texts[] = {{"config.json", config}, {"state.json", state}, {"adapter_config.json", adapter}};
    job.texts = texts;
    wb_status status =
        dir != NULL && config != NULL && state != NULL && adapter != NULL ? WB_OK : WB_NOMEM ("a checkpoint");
    status = wb_agree (r->world, status);
    if (status == WB_OK) status = use (r, dir, &job);
    wb_free (dir);
    wb_free (config);
    wb_free (state);
    wb_free (adapter);
    return status;
}

/* ---- one save ---------------------------------------------------------------------------------------------------- */

static void begun (wb_run_t *r) {
    r->saving.step = r->trainer->step;
    r->saving.best = r->config->run.checkpoint_best && r->best.step == r->trainer->step;
    r->saving.tokens = r->tokens;
    r->saving.began = wb_now ();
    r->saving.blocked = 0;
}

/* A save has ended. */
static wb_status ended (wb_run_t *r, wb_status status) {
    if (status == WB_OK) {
        r->saved = r->saving.step;
        wb_run_log_save (r);
    } else {
        tell_kept (r);
    }
    wb_run_obeyed (r, WB_RUN_SAVE_FILE);
    return status;
}

/* A full disk or a server that is away for a while need not end a run: the checkpoint before is there. */
static wb_status tolerate (wb_run_t *r, wb_status status) {
    if (status == WB_OK) r->failed_saves = 0;
    if (status != WB_EIO || ++r->failed_saves > r->config->run.checkpoint_failures) return status;
    wb_warn ("step %lld/%lld: no checkpoint: %s; the next one is tried at its time", (long long) r->saving.step,
             (long long) r->config->step.optim.steps, wb_error_get ()->text);
    wb_error_clear ();
    return WB_OK;
}

static wb_status save_now (wb_run_t *r, const char *dir, const wb_ckpt_job_t *job) {
    const wb_status status = wb_ckpt_save (r->world, dir, job);
    r->saving.blocked = wb_now () - r->saving.began;
    return status;
}

static wb_status save_in_background (wb_run_t *r, const char *dir, const wb_ckpt_job_t *job) {
    const wb_status status = wb_saver_begin (r->saving.saver, dir, job);
    r->saving.blocked = wb_now () - r->saving.began;
    return status;
}

wb_status wb_run_save_wait (wb_run_t *r) {
    if (!wb_saver_busy (r->saving.saver)) return WB_OK;
    wb_watch_enter (r->watch, WB_AREA_SAVE, r->saving.step);
    const double start = wb_now ();
    const wb_status status = wb_saver_end (r->saving.saver);
    r->saving.blocked += wb_now () - start;
    return tolerate (r, ended (r, status));
}

int64_t wb_run_save_newest (const wb_run_t *r) { return wb_saver_busy (r->saving.saver) ? r->saving.step : r->saved; }

wb_status wb_run_save (wb_run_t *r) {
    const bool begun_already = wb_saver_busy (r->saving.saver) && r->saving.step == r->trainer->step;
    WB_TRY (wb_run_save_wait (r));
    if (begun_already && r->saved == r->trainer->step) return WB_OK;
    WB_TRY (wb_run_check_weights (r));
    begun (r);
    return ended (r, with_job (r, save_now));
}

wb_status wb_run_save_due (wb_run_t *r) {
    const bool last = r->trainer->step >= r->config->step.optim.steps;
    if (last) return wb_run_save (r);
    if (r->saving.saver == NULL) return tolerate (r, wb_run_save (r));
    if (wb_saver_busy (r->saving.saver) && !r->saving.told) {
        r->saving.told = true;
        wb_info ("step %lld/%lld  the checkpoint of step %lld is still being written, and is waited for: a larger "
                 "checkpoint.every would leave it time",
                 (long long) r->trainer->step, (long long) r->config->step.optim.steps, (long long) r->saving.step);
    }
    WB_TRY (wb_run_save_wait (r));
    WB_TRY (wb_run_check_weights (r));
    begun (r);
    return with_job (r, save_in_background);
}

wb_status wb_run_save_poll (wb_run_t *r, int ready) {
    bool done;
    if (!wb_saver_busy (r->saving.saver) || ready < wb_comm_size (r->world)) return WB_OK;
    const double start = wb_now ();
    const wb_status status = wb_saver_poll (r->saving.saver, &done);
    r->saving.blocked += wb_now () - start;
    return done ? tolerate (r, ended (r, status)) : WB_OK;
}

/* ---- in the background, or not ----------------------------------------------------------------------------------- */

/* Of a processor that the thread takes: all of one that nobody computes on; otherwise little, for OpenMP's threads wait
 * for the slowest of them. */
static double share_of_thread (const wb_run_t *r) {
    return wb_cpu_cores () > wb_comm_size (r->topo->node) * r->threads ? 1 : 0.04;
}

static wb_status prepare (wb_run_t *r, const char *dir, const wb_ckpt_job_t *job) {
    (void) dir;
    double wanted = (double) wb_ckpt_copy_bytes (job), lack, all;
    char a[32], b[32];
    const double most = wanted, have = (double) wb_mem_free ();
    r->saving.copy = most;
    r->saving.bytes = most;
    wb_comm_max_f64 (r->world, &r->saving.copy, 1);
    wb_comm_sum_f64 (r->world, &r->saving.bytes, 1);
    if (r->config->run.checkpoint_background == WB_BACKGROUND_FALSE) return WB_OK;
    wb_comm_sum_f64 (r->topo->node, &wanted, 1);
    lack = 1.1 * wanted > have ? wanted : 0;
    wb_comm_max_f64 (r->world, &lack, 1);
    all = have;
    wb_comm_min_f64 (r->world, &all, 1);
    if (lack > 0 && r->config->run.checkpoint_background == WB_BACKGROUND_AUTO) {
        snprintf (r->saving.why, sizeof r->saving.why, ": the copy would take %s of a node, %s are free",
                  wb_format_bytes (a, lack), wb_format_bytes (b, all));
        return WB_OK;
    }
    double share = share_of_thread (r);
    wb_comm_min_f64 (r->world, &share, 1);
    return wb_saver_new (&r->saving.saver, r->world, job, share);
}

wb_status wb_run_save_prepare (wb_run_t *r) { return with_job (r, prepare); }
