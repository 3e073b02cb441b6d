/* Saving a run: what goes into a checkpoint.
 *
 * Not done here: state.json (state.c), writing the files (checkpoint), going on from them (resume.c). */
#include "config.h"

#include <string.h>

#include "run/state.h"

/* Rank 0 writes the tokenizer's files into a scratch directory; the save copies them into the checkpoint. */
static wb_status collect_tokenizer (const wb_run_t *r, char *names[], int *n, const char *dir) {
    WB_TRY (wb_dir_make (dir));
    WB_TRY (wb_tokenizer_save (r->data.tokenizer, dir));
    for (int i = 0; wb_tokenizer_file (r->data.tokenizer, i) != NULL; i++) {
        char *path = wb_format ("%s/%s", dir, wb_tokenizer_file (r->data.tokenizer, i));
        if (path == NULL) return WB_NOMEM ("a checkpoint");
        names[(*n)++] = path;
    }
    return WB_OK;
}

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

wb_status wb_run_save (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    wb_watch_enter (r->watch, WB_AREA_SAVE, t->step);
    WB_TRY (wb_run_check_weights (r));
    wb_ckpt_set_t sets[1 + WB_OPTIM_MAX_SLOTS] = {{.file = WB_RUN_MODEL, .prefix = "", .data = wb_trainer_weights (t)}};
    int nslots, nsets = 1, ntexts = 0, ncopies = 0, rank = wb_comm_rank (r->world);
    const wb_optim_slot_t *slots = wb_optim_slots (t->o.optim.kind, &nslots);
    wb_ckpt_text_t texts[3];
    char *copies[WB_TOKENIZER_MAX_FILES], *dir = wb_ckpt_path (r->config->run.dir, t->step),
                                          *scratch = wb_format ("%s/" WB_RUN_SCRATCH, r->config->run.dir);
    char *config =
        wb_model_config_text (&t->o.size, r->data.tokenizer != NULL ? wb_tokenizer_eot (r->data.tokenizer) : -1);
    char *state = rank == 0 ? wb_state_text (r) : NULL; /* rank 0 writes it */
    wb_status status = WB_OK;
    wb_ckpt_job_t job = {0};
    for (int i = 0; i < nslots; i++) sets[nsets++] = wb_run_state_set (t, &slots[i]);
    if (dir == NULL || scratch == NULL || config == NULL || (rank == 0 && state == NULL))
        status = WB_NOMEM ("a checkpoint");
    texts[ntexts++] = (wb_ckpt_text_t){"config.json", config};
    texts[ntexts++] = (wb_ckpt_text_t){"state.json", state != NULL ? state : ""};
    if (status == WB_OK && rank == 0 && r->data.tokenizer != NULL)
        status = collect_tokenizer (r, copies, &ncopies, scratch);
    status = wb_agree (r->world, status);
    if (status == WB_OK) {
        job.params = t->params->list;
        job.nparams = t->params->n;
        job.segments = wb_trainer_owned (t, &job.nsegments);
        job.sets = sets;
        job.nsets = nsets;
        job.texts = texts;
        job.ntexts = ntexts;
        job.copies = (const char *const *) copies;
        job.ncopies = ncopies;
        status = wb_ckpt_save (r->world, dir, &job);
    }
    if (rank == 0) {
        if (status == WB_OK) {
            tidied (wb_ckpt_set_latest (r->config->run.dir, t->step), "latest");
            wb_run_archive (r);
            tidied (wb_ckpt_prune (r->config->run.dir, r->config->run.checkpoint_keep), "old checkpoints");
        }
        if (scratch != NULL && wb_file_is_dir (scratch) && wb_dir_remove (scratch) != WB_OK && status == WB_OK)
            wb_error_clear ();
    }
    status = wb_agree (r->world, status);
    if (status == WB_OK)
        r->saved = t->step;
    else
        tell_kept (r);
    for (int i = 0; i < ncopies; i++) wb_free (copies[i]);
    wb_free (dir);
    wb_free (scratch);
    wb_free (config);
    wb_free (state);
    return status;
}

/* A full disk or a server that is away for a while need not end a run: the checkpoint before is there. */
wb_status wb_run_save_due (wb_run_t *r) {
    const bool last = r->trainer->step >= r->config->step.optim.steps;
    const wb_status status = wb_run_save (r);
    if (status == WB_OK) r->failed_saves = 0;
    if (status != WB_EIO || last || ++r->failed_saves > r->config->run.checkpoint_failures) return status;
    wb_warn ("step %lld/%lld: no checkpoint: %s; the next one is tried at its time", (long long) r->trainer->step,
             (long long) r->config->step.optim.steps, wb_error_get ()->text);
    wb_error_clear ();
    return WB_OK;
}
