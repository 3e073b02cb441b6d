/* Resuming a run: which checkpoint it goes on from, and whether that fits the configuration.
 *
 * "auto" takes the newest checkpoint that verifies; damaged ones are passed over with a warning that names them.  With
 * a directory, that one or an error.
 *
 * Not done here: what is in a checkpoint (save.c). */
#include "config.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "run/run_priv.h"

/* Another number of heads has the same shapes and is another model. */
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

/* What state.json says. */
typedef struct state {
    int64_t step, seed, batch; /* seed, batch -1: not said */
    double tokens;
    char *optimizer;
} state_t;

static int64_t whole_number (const json_t *j, const char *key) {
    const json_t *x = json_object_get (j, key);
    return json_is_integer (x) ? (int64_t) json_integer_value (x) : -1;
}

static wb_status parse_state (state_t *s, const char *path, const char *text, size_t bytes) {
    json_error_t e;
    json_t *j = json_loadb (text, bytes, 0, &e);
    const json_t *tokens = json_object_get (j, "tokens");
    const char *optimizer = json_string_value (json_object_get (j, "optimizer"));
    wb_status status = WB_OK;
    s->step = whole_number (j, "step");
    s->seed = whole_number (j, "seed");
    s->batch = whole_number (j, "global_batch");
    s->tokens = json_number_value (tokens);
    if (j == NULL)
        status = WB_FAIL (WB_EDATA, "%s:%d: %s", path, e.line, e.text);
    else if (s->step < 0 || !json_is_number (tokens) || optimizer == NULL)
        status = WB_FAIL (WB_EDATA, "%s: lacks one of step, tokens and optimizer", path);
    else if ((s->optimizer = wb_strdup (optimizer)) == NULL)
        status = WB_NOMEM ("checkpoint");
    json_decref (j);
    return status;
}

/* Does it go on from there?  What only changes the order of the data is a warning. */
static wb_status check_state (const wb_run_t *r, const state_t *s, const char *dir) {
    const wb_config_t *c = r->config;
    WB_TRY (check_size (r, dir));
    if (strcmp (s->optimizer, c->optimizer) != 0)
        return WB_FAIL (WB_EUSAGE,
                        "%s was trained with %s, the configuration says %s: set train.optimizer = \"%s\", or start a "
                        "new run from the weights with model.base = \"%s\"",
                        dir, s->optimizer, c->optimizer, s->optimizer, dir);
    if (s->seed >= 0 && s->seed != c->seed)
        wb_warn ("%s was trained with seed %lld, not %lld: the order of the data changes here", dir,
                 (long long) s->seed, (long long) c->seed);
    if (s->batch >= 0 && s->batch != c->global_batch)
        wb_warn ("%s was trained with global_batch %lld, not %lld: samples may be seen twice or left out", dir,
                 (long long) s->batch, (long long) c->global_batch);
    return WB_OK;
}

static wb_status read_state (wb_run_t *r, state_t *s, const char *dir) {
    char *path = wb_format ("%s/state.json", dir), *text = NULL;
    size_t bytes;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && wb_file_is_dir (dir) && !wb_file_exists (path))
        status = WB_FAIL (WB_EUSAGE,
                          "%s is a model, but no checkpoint of a run (no state.json): start from its weights with "
                          "model.base = \"%s\"",
                          dir, dir);
    if (status == WB_OK) status = wb_file_read (&text, &bytes, path);
    if (status == WB_OK) status = parse_state (s, path, text, bytes);
    if (status == WB_OK) status = check_state (r, s, dir);
    wb_free (s->optimizer);
    s->optimizer = NULL;
    wb_free (text);
    wb_free (path);
    return status;
}

/* Is `dir` the run's own checkpoint of this step?  One from elsewhere must not be older than what the run has: the next
 * start would take that. */
static wb_status check_order (const wb_run_t *r, bool *own, const char *dir, int64_t step) {
    char *path = wb_ckpt_path (r->config->run, step);
    struct stat a, b;
    int64_t newest;
    int n = 0;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    *own =
        status == WB_OK && stat (path, &a) == 0 && stat (dir, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    if (status == WB_OK) status = wb_ckpt_list (&newest, &n, r->config->run, 1);
    if (status == WB_OK && n > 0 && (*own ? newest > step : newest >= step))
        status =
            WB_FAIL (WB_EUSAGE,
                     "%s is of step %lld, but %s has a checkpoint of step %lld, which the next start would go on "
                     "from: move step %lld and later away first, or set another `run`",
                     dir, (long long) step, r->config->run, (long long) newest, (long long) (*own ? step + 1 : step));
    wb_free (path);
    return status;
}

static wb_status resume_from (wb_run_t *r, const char *dir, bool chosen) {
    wb_trainer_t *t = r->trainer;
    state_t s = {0};
    bool own = true;
    int n, nslots;
    const wb_segment_t *updated = wb_trainer_updated (t, &n);
    const wb_optim_slot_t *slots = wb_optim_slots (t->o.optim.kind, &nslots);
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        status = read_state (r, &s, dir);
        if (status == WB_OK && chosen) status = check_order (r, &own, dir, s.step);
    }
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, &s.step, sizeof s.step, 0);
    wb_comm_bcast (r->world, &s.tokens, sizeof s.tokens, 0);
    wb_comm_bcast (r->world, &own, sizeof own, 0);
    WB_TRY (wb_run_load_weights (r, dir));
    for (int i = 0; i < nslots; i++) {
        wb_ckpt_set_t set = {WB_RUN_OPTIMIZER, slots[i].prefix, t->state[slots[i].state], true, slots[i].classes, 0};
        WB_TRY (wb_ckpt_load (r->world, dir, &set, updated, n));
    }
    t->step = s.step;
    r->tokens = s.tokens;
    r->saved = own ? s.step : -1;
    r->resumed = true;
    wb_info ("resuming from %s (step %lld)", dir, (long long) s.step);
    return WB_OK;
}

/* The newest checkpoint that verifies: number *good of steps, -1: there are none.  Only damage makes it go back: a
 * configuration that does not fit the newest fits the older ones no better.  Collective over world. */
static wb_status find_good (wb_run_t *r, int *good, const int64_t *steps, int n) {
    *good = -1;
    for (int i = 0; i < n; i++) {
        char *dir = wb_ckpt_path (r->config->run, steps[i]);
        wb_status status = wb_agree (r->world, dir != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
        if (status == WB_OK) status = wb_ckpt_verify (r->world, dir);
        wb_free (dir);
        if (status == WB_OK) {
            *good = i;
            return WB_OK;
        }
        if (status != WB_EDATA || i == n - 1) return status;
        wb_warn ("%s; going back to the checkpoint before it", wb_error_get ()->text);
        wb_error_clear ();
    }
    return WB_OK;
}

/* Rank 0: damaged checkpoints must neither be `latest` nor count among those that are kept, or pruning would remove the
 * good ones. */
static wb_status set_aside (const wb_run_t *r, const int64_t *steps, int damaged) {
    for (int i = 0; i < damaged; i++) WB_TRY (wb_ckpt_set_aside (r->config->run, steps[i]));
    return damaged > 0 ? wb_ckpt_set_latest (r->config->run, steps[damaged]) : WB_OK;
}

static wb_status resume_newest (wb_run_t *r) {
    enum { MAX = 64 };
    int64_t steps[MAX];
    int n = 0, good;
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) status = wb_ckpt_list (steps, &n, r->config->run, MAX);
    WB_TRY (wb_agree (r->world, status));
    wb_comm_bcast (r->world, &n, sizeof n, 0);
    wb_comm_bcast (r->world, steps, sizeof steps, 0);
    WB_TRY (find_good (r, &good, steps, n));
    if (good < 0) return WB_OK;
    char *dir = wb_ckpt_path (r->config->run, steps[good]);
    status = wb_agree (r->world, dir != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
    if (status == WB_OK) status = resume_from (r, dir, false);
    wb_free (dir);
    WB_TRY (status);
    return wb_agree (r->world, wb_comm_rank (r->world) == 0 ? set_aside (r, steps, good) : WB_OK);
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
