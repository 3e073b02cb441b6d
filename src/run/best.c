/* The validation with the lowest loss of a run: checkpoint.keep_best keeps its checkpoint and points RUN/best at it,
 * validation.patience ends the run when so many validations in a row were no better.
 *
 * What is known of it is in state.json, so a run that goes on from there decides as one that was not interrupted; of
 * other validation data than before nothing is known.  Losses are the same on every rank, and so is what is decided.
 *
 * Not done here: the validation itself, and the save (run.c, save.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/state.h"

static bool wanted (const wb_run_t *r) {
    return r->data.valid != NULL && (r->config->run.validation_patience > 0 || r->config->run.checkpoint_best);
}

void wb_run_best_take (wb_run_t *r, double loss) {
    wb_run_best_t *b = &r->best;
    b->at = r->trainer->step;
    if (isfinite (loss) && (b->step < 0 || loss < b->loss)) {
        b->loss = loss;
        b->step = b->at;
        b->since = 0;
        r->save_pending = r->save_pending || (r->config->run.checkpoint_best && b->step > 0 && b->step > r->saved);
    } else
        b->since++;
}

bool wb_run_best_missed (const wb_run_t *r) {
    const int64_t every = r->config->run.validation_every, step = r->trainer->step;
    return wanted (r) && r->best.at < step && (step == 0 || (every > 0 && step % every == 0));
}

bool wb_run_best_over (const wb_run_t *r) {
    const int64_t patience = r->config->run.validation_patience;
    return r->data.valid != NULL && patience > 0 && r->best.since >= patience;
}

wb_status wb_run_best_link (const wb_run_t *r, int64_t step) {
    if (!r->config->run.checkpoint_best || r->best.step != step || step <= 0) return WB_OK;
    return wb_ckpt_set_best (r->config->run.dir, step);
}

const char *wb_run_best_text (char buf[WB_BEST_TEXT], const wb_run_t *r) {
    const wb_run_best_t *b = &r->best;
    char where[WB_BEST_TEXT / 2] = "";
    if (r->config->run.checkpoint_best && b->step > 0)
        snprintf (where, sizeof where, ": %.200s/best", r->config->run.dir);
    else if (b->step == 0)
        snprintf (where, sizeof where, ": the model that the run began with");
    snprintf (buf, WB_BEST_TEXT, "the lowest validation loss was %.4f at step %lld%s", b->loss, (long long) b->step,
              where);
    return buf;
}

json_t *wb_state_best (const wb_run_t *r) {
    const wb_run_best_t *b = &r->best;
    if (r->data.valid == NULL || b->at < 0) return json_null ();
    return json_pack ("{s:s, s:I, s:I, s:f, s:I, s:I}", "tokens", wb_tokens_path (r->data.valid_file), "samples",
                      (json_int_t) r->data.valid_samples, "step", (json_int_t) b->at, "lowest", b->loss, "lowest_step",
                      (json_int_t) b->step, "since", (json_int_t) b->since);
}

void wb_state_read_best (wb_run_best_t *b, const json_t *state, const wb_run_t *r) {
    const json_t *j = json_object_get (state, "validation");
    const char *tokens = json_string_value (json_object_get (j, "tokens"));
    *b = (wb_run_best_t){.step = -1, .at = -1};
    if (tokens == NULL || r->data.valid == NULL || strcmp (tokens, wb_tokens_path (r->data.valid_file)) != 0 ||
        json_integer_value (json_object_get (j, "samples")) != r->data.valid_samples)
        return;
    b->at = json_integer_value (json_object_get (j, "step"));
    b->loss = json_number_value (json_object_get (j, "lowest"));
    b->step = json_integer_value (json_object_get (j, "lowest_step"));
    b->since = json_integer_value (json_object_get (j, "since"));
}
