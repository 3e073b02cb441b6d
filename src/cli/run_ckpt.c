/* Save and resume of a run: what goes into a checkpoint, and which one a run goes on from.
 *
 * state.json holds what is not a tensor: step, tokens, seed, optimizer.  It says nothing of ranks or of time, so that
 * the files of a checkpoint are the same bytes whatever layout wrote them.
 *
 * Resuming with "auto" takes the newest checkpoint that verifies; damaged ones are passed over with a warning that
 * names them. With a directory, that one or an error. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "cli/run.h"

#define MODEL_FILE "model.safetensors"
#define OPTIMIZER_FILE "optimizer.safetensors"

/* ---- save -------------------------------------------------------------------------------------------------------- */

static char *state_text (const wb_run_t *r) {
    const wb_config_t *c = r->config;

    return wb_format ("{\n  \"format\": 1,\n  \"step\": %lld,\n  \"global_batch\": %lld,\n  \"sequence_length\": "
                      "%lld,\n  \"tokens\": %.0f,\n"
                      "  \"seed\": %lld,\n  \"optimizer\": \"%s\"\n}\n",
                      (long long) r->trainer->step, (long long) c->global_batch, (long long) r->trainer->o.T, r->tokens,
                      (long long) c->seed, c->optimizer);
}

/* The tokenizer's files are made in the checkpoint by rank 0: their text comes from a scratch directory. */
static wb_status collect_tokenizer (const wb_run_t *r, char *names[], int *n, const char *dir) {
    static const char *const known[] = {"wabun-tokenizer.json", "ja-bpe.txt", "emoji.json"};

    WB_TRY (wb_dir_make (dir));
    WB_TRY (wb_tokenizer_save (r->data.tokenizer, dir));
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        char *path = wb_format ("%s/%s", dir, known[i]);
        if (path == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for a checkpoint");
        if (wb_file_exists (path))
            names[(*n)++] = path;
        else
            wb_free (path);
    }
    return WB_OK;
}

wb_status wb_run_save (wb_run_t *r) {
    wb_trainer_t *t = r->trainer;
    wb_ckpt_set_t sets[3] = {{MODEL_FILE, "", t->weights, false}};
    int nsets = 1, ntexts = 0, ncopies = 0, rank = wb_comm_rank (r->world);
    wb_ckpt_text_t texts[3];
    char *copies[4], *dir = wb_ckpt_path (r->config->run, t->step),
                     *scratch = wb_format ("%s/.tokenizer", r->config->run);
    char *config =
        wb_model_config_text (&t->o.size, r->data.tokenizer != NULL ? wb_tokenizer_eot (r->data.tokenizer) : -1);
    char *state = state_text (r);
    wb_status status = WB_OK;
    wb_ckpt_job_t job = {0};

    for (int i = 0; i < wb_optim_states (t->o.optim.kind); ++i)
        sets[nsets++] = (wb_ckpt_set_t){OPTIMIZER_FILE, wb_optim_state_name (t->o.optim.kind, i), t->state[i], true};
    if (dir == NULL || scratch == NULL || config == NULL || state == NULL)
        status = WB_FAIL (WB_ENOMEM, "out of memory for a checkpoint");
    texts[ntexts++] = (wb_ckpt_text_t){"config.json", config};
    texts[ntexts++] = (wb_ckpt_text_t){"state.json", state};
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
        if (status == WB_OK) status = wb_ckpt_set_latest (r->config->run, t->step);
        if (status == WB_OK) status = wb_ckpt_prune (r->config->run, (int) r->config->ckpt_keep);
        if (scratch != NULL && wb_file_is_dir (scratch) && wb_dir_remove (scratch) != WB_OK && status == WB_OK)
            wb_error_clear ();
    }
    status = wb_agree (r->world, status);
    if (status == WB_OK) r->saved = t->step;
    for (int i = 0; i < ncopies; ++i) wb_free (copies[i]);
    wb_free (dir);
    wb_free (scratch);
    wb_free (config);
    wb_free (state);
    return status;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

wb_status wb_run_load_weights (wb_run_t *r, const char *dir) {
    wb_ckpt_set_t set = {MODEL_FILE, "", r->trainer->weights, false};
    int n;
    const wb_segment_t *block = wb_trainer_block (r->trainer, &n);

    return wb_ckpt_load (r->world, dir, &set, block, n);
}

/* What state.json says, checked against this run. */
static wb_status read_state (wb_run_t *r, int64_t *step, double *tokens, const char *dir) {
    char *path = wb_format ("%s/state.json", dir), *text = NULL;
    size_t bytes;
    json_error_t e;
    json_t *j = NULL;
    const char *optimizer;
    wb_status status = path != NULL ? wb_file_read (&text, &bytes, path) : WB_FAIL (WB_ENOMEM, "out of memory");

    if (status == WB_OK && (j = json_loadb (text, bytes, 0, &e)) == NULL)
        status = WB_FAIL (WB_EDATA, "%s:%d: %s", path, e.line, e.text);
    if (status == WB_OK &&
        (!json_is_integer (json_object_get (j, "step")) || !json_is_number (json_object_get (j, "tokens")) ||
         (optimizer = json_string_value (json_object_get (j, "optimizer"))) == NULL))
        status = WB_FAIL (WB_EDATA, "%s: lacks one of step, tokens and optimizer", path);
    if (status == WB_OK && strcmp (optimizer, r->config->optimizer) != 0)
        status = WB_FAIL (WB_EUSAGE,
                          "%s was trained with %s, the configuration says %s: set train.optimizer = \"%s\", or start a "
                          "new run from the "
                          "weights with model.base = \"%s\"",
                          dir, optimizer, r->config->optimizer, optimizer, dir);
    if (status == WB_OK) {
        json_t *seed = json_object_get (j, "seed"), *batch = json_object_get (j, "global_batch");
        *step = json_integer_value (json_object_get (j, "step"));
        *tokens = json_number_value (json_object_get (j, "tokens"));
        if (json_is_integer (seed) && json_integer_value (seed) != r->config->seed)
            wb_warn ("%s was trained with seed %lld, not %lld: the order of the data changes here", dir,
                     (long long) json_integer_value (seed), (long long) r->config->seed);
        if (json_is_integer (batch) && json_integer_value (batch) != r->config->global_batch)
            wb_warn ("%s was trained with global_batch %lld, not %lld: samples may be seen twice or left out", dir,
                     (long long) json_integer_value (batch), (long long) r->config->global_batch);
    }
    json_decref (j);
    wb_free (text);
    wb_free (path);
    return status;
}

static wb_status resume_from (wb_run_t *r, const char *dir) {
    wb_trainer_t *t = r->trainer;
    int64_t step = 0;
    double tokens = 0;
    int n;
    const wb_segment_t *updated = wb_trainer_updated (t, &n);
    wb_status status = WB_OK;

    if (wb_comm_rank (r->world) == 0) status = read_state (r, &step, &tokens, dir);
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, &step, sizeof step, 0);
    wb_comm_bcast (r->world, &tokens, sizeof tokens, 0);
    WB_TRY (wb_run_load_weights (r, dir));
    for (int i = 0; i < wb_optim_states (t->o.optim.kind); ++i) {
        wb_ckpt_set_t set = {OPTIMIZER_FILE, wb_optim_state_name (t->o.optim.kind, i), t->state[i], true};
        WB_TRY (wb_ckpt_load (r->world, dir, &set, updated, n));
    }
    t->step = step;
    r->tokens = tokens;
    r->saved = step;
    wb_info ("resuming from %s (step %lld)", dir, (long long) step);
    return WB_OK;
}

wb_status wb_run_resume (wb_run_t *r, const char *resume) {
    enum { MOST = 64 };
    int64_t steps[MOST];
    int n = 0;
    wb_status status = WB_OK;

    if (strcmp (resume, "auto") != 0) {
        WB_TRY (wb_ckpt_verify (r->world, resume));
        return resume_from (r, resume);
    }
    if (wb_comm_rank (r->world) == 0) status = wb_ckpt_list (steps, &n, r->config->run, MOST);
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, &n, sizeof n, 0);
    wb_comm_bcast (r->world, steps, sizeof steps, 0);
    for (int i = 0; i < n; ++i) {
        char *dir = wb_ckpt_path (r->config->run, steps[i]);

        if (dir == NULL) return WB_FAIL (WB_ENOMEM, "out of memory");
        status = wb_ckpt_verify (r->world, dir);
        if (status == WB_OK) status = resume_from (r, dir);
        wb_free (dir);
        if (status != WB_EDATA || i == n - 1) return status;
        wb_warn ("%s; going back to the checkpoint before it", wb_error_get ()->text);
        wb_error_clear ();
    }
    return WB_OK;
}
