/* The loop over steps, and what happens around a step: validation, samples, checkpoints, stopping.
 *
 * Order of a start: configuration -> grid -> lock -> data -> trainer -> resume -> report -> loop.  Every part is
 * collective and agreed, so an error of one rank is everybody's, and is printed once.
 *
 * Not done here: a step (train), and each of these parts. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/run_priv.h"
#include "run/signals.h"

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* The configuration's text; where the weights came from is a comment. */
static char *config_text (const wb_run_t *r) {
    char note[96], *text = wb_config_text (r->config), *all;
    if (text == NULL || r->config->model.base == NULL || r->base.path == NULL) return text;
    all = wb_format ("// model.base: %s\n%s", wb_run_base_text (note, &r->base), text);
    wb_free (text);
    return all;
}

/* The resolved configuration, in the run directory. */
static wb_status write_config (wb_run_t *r) {
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        char *path = wb_format ("%s/config.cfg", r->config->run.dir), *text = config_text (r);
        if (path == NULL || text == NULL) status = WB_NOMEM ("config.cfg");
        if (status == WB_OK) status = wb_file_write (path, text, strlen (text));
        wb_free (path);
        wb_free (text);
    }
    return wb_agree (r->world, status);
}

/* --resume none is refused in a run that has checkpoints: they would be pruned one by one. */
static wb_status check_fresh (wb_run_t *r) {
    int64_t step;
    int n = 0;
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        status = wb_ckpt_list (&step, &n, r->config->run.dir, 1);
        if (status == WB_OK && n > 0)
            status =
                WB_FAIL (WB_EUSAGE,
                         "%s already has checkpoints (newest: step %lld): leave out --resume none to go on from it, or "
                         "set another `run`",
                         r->config->run.dir, (long long) step);
    }
    return wb_agree (r->world, status);
}

static wb_status start (wb_run_t *r, const wb_run_args_t *a) {
    wb_step_options_t o;
    wb_layout_t lo;
    const wb_config_t *c;
    WB_TRY (wb_config_share (&r->config, r->world, a->config, a->sets, a->nsets));
    c = r->config;
    WB_TRY (wb_run_check_arguments (r, a));
    wb_run_check_tasks (r);
    WB_TRY (wb_watch_new (&r->watch, r));
    WB_TRY (wb_comm_threads (&r->threads, r->world, c->parallel.threads));
    wb_kern_threads_set (r->threads);
    wb_blas_threads_set (r->threads);
    WB_TRY (wb_topo_new (&r->topo, r->world, c->parallel.data, c->parallel.pipeline, c->parallel.tensor));
    WB_TRY (wb_run_base_find (r));
    WB_TRY (wb_run_lock (r));
    wb_run_history_start (r);
    WB_TRY (wb_run_data_open (&r->data, r->world, c));
    WB_TRY (wb_run_check_tokens (r));
    wb_config_step_options (&o, c, &r->data.size);
    WB_TRY (wb_trainer_choose_micro_batch_all (&o, r->topo, r->threads));
    WB_TRY (wb_agree (r->world, wb_trainer_layout (&lo, &o, r->topo->dp, r->topo->pp, r->topo->tp)));
    if (strcmp (a->resume, "none") == 0) WB_TRY (check_fresh (r));
    WB_TRY (wb_trainer_new (&r->trainer, r->topo, &o));
    r->trainer->judge = wb_run_judge;
    r->trainer->judge_ctx = r;
    wb_watch_enter (r->watch, WB_AREA_LOAD, 0);
    if (strcmp (a->resume, "none") != 0) WB_TRY (wb_run_resume (r, a->resume));
    if (c->model.base == NULL && !r->resumed && wb_tuning_first (&o.tuning, &o.size) >= 0)
        return WB_FAIL (WB_EUSAGE,
                        "finetune: what is frozen needs weights: name the model to start from as model.base");
    if (c->model.base != NULL && !r->resumed) WB_TRY (wb_run_base_load (r));
    wb_status status = wb_run_check_weights (r);
    if (status == WB_ENUMERIC) status = wb_run_rollback (r);
    WB_TRY (status);
    wb_watch_enter (r->watch, WB_AREA_START, 0);
    WB_TRY (wb_run_check_disk (r));
    if (r->trainer->step < c->step.optim.steps || r->saved != r->trainer->step) WB_TRY (write_config (r));
    return wb_run_log_open (r);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* A validation file that cannot be read any more costs the validation, not the training. */
static void validate (wb_run_t *r) {
    double sum, tokens, start = wb_now ();
    if (r->data.valid == NULL) return;
    wb_watch_enter (r->watch, WB_AREA_VALIDATION, r->trainer->step);
    wb_run_reader_t reader = {r->data.valid, wb_trainer_round (r->trainer), r->data.valid_samples};
    if (wb_trainer_evaluate (r->trainer, &sum, &tokens, wb_run_sample, &reader, r->data.valid_samples) == WB_OK) {
        wb_run_log_valid (r, sum, tokens, wb_now () - start);
        wb_run_best_take (r, sum / tokens);
        return;
    }
    wb_warn ("step %lld/%lld: no validation: %s", (long long) r->trainer->step, (long long) r->config->step.optim.steps,
             wb_error_get ()->text);
    wb_error_clear ();
}

/* Text by the model as it is now, where one rank holds the whole of it.  Not collective but for the weights: rank 0
 * writes, the others go on and wait for it in the next step.  A text is decoration: what goes wrong is a warning. */
static void write_sample (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    if (!wb_run_writes_samples (r)) return;
    wb_watch_enter (r->watch, WB_AREA_SAMPLE, r->trainer->step);
    wb_model_t m = {.size = t->o.size,
                    .params = t->params,
                    .weights = wb_trainer_weights (t),
                    .tokenizer = r->data.tokenizer,
                    .kern = t->kern};
    const wb_sampling_t how = {
        .temperature = 1.0, .top_k = 40, .seed = (uint64_t) r->config->seed + (uint64_t) t->step};
    if (wb_comm_rank (r->world) != 0) return;
    wb_buf_t text = {0};
    wb_status status = wb_sample_text (&text, &m, r->config->run.sample_context, r->config->run.sample_length, &how);
    if (status == WB_OK)
        wb_run_log_sample (r, text.data != NULL ? text.data : "");
    else
        wb_run_log_no_sample (r);
    wb_buf_fini (&text);
}

static bool due (int64_t every, int64_t step) { return every > 0 && step % every == 0; }

/* A batch could not be read.  The weights are those of the step before, so nothing that was trained need be lost. */
static wb_status no_batch (wb_run_t *r, wb_status status) {
    wb_error_t e;
    wb_error_take (&e);
    if (r->saved != r->trainer->step && r->trainer->step > 0 && wb_run_save (r) != WB_OK) {
        wb_warn ("%s", wb_error_get ()->text);
        wb_error_clear ();
    }
    size_t used = strlen (e.text);
    if (r->saved >= 0)
        snprintf (e.text + used, sizeof e.text - used,
                  "; the checkpoint of step %lld is written: run the same command again when it can be read",
                  (long long) r->saved);
    wb_error_put (&e);
    return status;
}

static wb_status stop (wb_run_t *r) {
    if (r->saved != r->trainer->step) WB_TRY (wb_run_save (r));
    wb_run_obeyed (r, WB_RUN_STOP_FILE);
    return WB_FAIL (
        WB_ESTOP, "stopped on request at step %lld of %lld, checkpoint written: run the same command again to continue",
        (long long) r->trainer->step, (long long) r->config->step.optim.steps);
}

/* After a step, whatever came of it, what is due at its number.  Among bad steps there may be no good weights, and a
 * checkpoint of which nothing is new would only push an older one out: those wait. */
static wb_status what_is_due (wb_run_t *r) {
    const wb_run_options_t *every = &r->config->run;
    const int64_t step = r->trainer->step;
    const bool last = step == r->config->step.optim.steps;
    r->save_pending = r->save_pending || due (every->checkpoint_every, step) || due (every->checkpoint_archive, step);
    if (r->bad_steps > 0 && !last) return WB_OK;
    if (due (every->validation_every, step) || last) validate (r);
    if (last || (r->save_pending && r->updated > wb_run_save_newest (r))) {
        WB_TRY (wb_run_save_due (r));
        r->save_pending = false;
    }
    if (due (every->sample_every, step)) write_sample (r);
    return WB_OK;
}

static wb_status one_step (wb_run_t *r, wb_run_reader_t *reader) {
    wb_trainer_t *t = r->trainer;
    wb_step_result_t s;
    if (wb_run_leaves_out (r, t->step + 1)) {
        wb_trainer_skip (t);
        return what_is_due (r);
    }
    wb_watch_enter (r->watch, WB_AREA_STEP, t->step + 1);
    const wb_status status = wb_trainer_step (t, &s, wb_run_sample, reader, wb_run_tell (r));
    if (status != WB_OK) return no_batch (r, status);
    wb_watch_stepped (r->watch, s.t_total);
    WB_TRY (wb_run_save_poll (r, s.ready));
    r->save_pending = r->save_pending || s.save;
    if (s.bad || s.held) {
        WB_TRY (wb_run_skip (r, &s));
        return what_is_due (r);
    }
    r->updated = t->step;
    wb_run_spike (r, &s);
    r->tokens += (double) t->o.global_batch * (double) t->o.T;
    wb_run_log_step (r, &s);
    wb_run_check_time (r);
    if (s.stop && t->step < r->config->step.optim.steps) return stop (r);
    return what_is_due (r);
}

/* validation.patience has run out: the next start finds that in the checkpoint. */
static wb_status early (wb_run_t *r) {
    char best[WB_BEST_TEXT];
    wb_info ("step %lld/%lld  %lld validations in a row were no better, so the run ends: %s",
             (long long) r->trainer->step, (long long) r->config->step.optim.steps, (long long) r->best.since,
             wb_run_best_text (best, r));
    return wb_run_save_newest (r) < r->trainer->step ? wb_run_save (r) : WB_OK;
}

static wb_status loop (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    int64_t steps = r->config->step.optim.steps;
    wb_run_reader_t reader = {r->data.train, t->o.global_batch, steps * t->o.global_batch};
    for (int64_t i = 0; i < t->share; i++) /* the first batch is read during the validation */
        wb_loader_prefetch (r->data.train, t->step * t->o.global_batch + t->first + i);
    r->began = wb_now ();
    r->first = t->step;
    wb_run_history_began (r);
    if (t->step == 0 || wb_run_best_missed (r)) validate (r);
    if (r->saved == t->step && wb_comm_rank (r->world) == 0 && wb_run_best_link (r, t->step) != WB_OK) {
        wb_warn ("%s", wb_error_get ()->text);
        wb_error_clear ();
    }
    wb_signals_started ();
    while (t->step < steps && !wb_run_best_over (r)) {
        wb_status status = one_step (r, &reader);
        if (status == WB_ENUMERIC) status = wb_run_rollback (r);
        WB_TRY (status);
    }
    return t->step < steps ? early (r) : WB_OK;
}

/* Whatever ended the loop, a save that is under way is not thrown away. */
static wb_status finish_save (wb_run_t *r, wb_status status) {
    wb_error_t e;
    wb_error_take (&e);
    const wb_status waited = wb_run_save_wait (r);
    if (status == WB_OK) return waited;
    if (waited != WB_OK) wb_warn ("%s", wb_error_get ()->text);
    wb_error_clear ();
    wb_error_put (&e);
    return status;
}

static wb_status run (wb_run_t *r, const wb_run_args_t *a) {
    char time[32], quoted[WB_ERROR_TEXT], *latest;
    WB_TRY (start (r, a));
    if (r->trainer->step >= r->config->step.optim.steps) {
        if (r->saved != r->trainer->step) WB_TRY (wb_run_save (r)); /* resumed from elsewhere */
        wb_info ("%s is done: %lld of %lld steps; set train.steps higher to go on", r->config->run.dir,
                 (long long) r->trainer->step, (long long) r->config->step.optim.steps);
        return WB_OK;
    }
    if (wb_run_best_over (r)) {
        char best[WB_BEST_TEXT];
        wb_info ("%s is done: %lld validations in a row were no better, %s; set validation.patience higher to go on",
                 r->config->run.dir, (long long) r->best.since, wb_run_best_text (best, r));
        return WB_OK;
    }
    WB_TRY (wb_run_save_prepare (r));
    WB_TRY (wb_run_summary (r));
    WB_TRY (finish_save (r, loop (r)));
    wb_run_memory_report (r);
    latest =
        wb_format ("%s/%s", r->config->run.dir, r->config->run.checkpoint_best && r->best.step > 0 ? "best" : "latest");
    wb_info ("done: %lld steps in %s, loss %.4f; try: wabun generate --model %s --context '...'",
             (long long) (r->trainer->step - r->first), wb_format_seconds (time, wb_now () - r->began),
             r->log.progress.loss,
             wb_shell_quote (quoted, sizeof quoted, latest != NULL ? latest : r->config->run.dir));
    wb_free (latest);
    return WB_OK;
}

wb_status wb_run_train (const wb_run_args_t *a) {
    wb_run_t r;
    wb_status status;
    memset (&r, 0, sizeof r);
    r.saved = r.updated = r.lock = -1;
    r.best.step = r.best.at = -1;
    r.accept = a->accept;
    wb_signals_catch ();
    status = wb_world_new (&r.world);
    if (status == WB_OK) {
        status = wb_agree (r.world, run (&r, a));
        wb_watch_enter (r.watch, WB_AREA_END, 0);
        wb_run_history_end (&r, status);
        wb_run_log_close (&r);
        wb_run_unlock (&r);
        wb_saver_destroy (r.saving.saver);
        wb_trainer_destroy (r.trainer);
        wb_run_data_close (&r.data);
        if (r.topo != NULL) wb_topo_destroy (r.topo);
        if (r.config != NULL) wb_config_destroy (r.config);
        wb_free (r.base.path);
        wb_free (r.state);
    }
    wb_signals_over (); /* a launcher sends SIGTERM to those that still speak when the first one has ended */
    wb_world_destroy (r.world);
    wb_watch_destroy (r.watch);
    return status;
}

wb_status wb_run_check (const wb_run_args_t *a) {
    wb_config_t *c;
    WB_TRY (wb_config_new (&c, a->config, a->sets, a->nsets));
    printf ("%s\n", c->run.dir);
    wb_config_destroy (c);
    return wb_flush (stdout, "standard output");
}
