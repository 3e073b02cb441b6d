/* The model a run starts from (model.base): which one that is, and its weights.
 *
 * A link such as OTHER/latest moves on.  So a run names the directory it led to, with step and checksum: in the
 * start-up report, in config.cfg and in its checkpoints.
 *
 * Not done here: the size and the tokenizer of the model (config). */
#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_priv.h"
#include "wabun/json.h"

/* ---- which one --------------------------------------------------------------------------------------------------- */

/* Step of state.json, hash of checksums.json; -1 and 0 where it has none, as models of others. */
static wb_status identify (wb_run_base_t *b) {
    char *state = wb_format ("%s/state.json", b->path), *sums = wb_format ("%s/checksums.json", b->path), *text = NULL;
    size_t bytes;
    wb_status status = state != NULL && sums != NULL ? WB_OK : WB_NOMEM ("model.base");
    json_t *j = state != NULL && wb_file_exists (state) ? wb_json_load_file (state, 0, NULL) : NULL;
    if (status == WB_OK) status = wb_json_status (j);
    const json_t *step = json_object_get (j, "step");
    b->step = json_is_integer (step) ? (int64_t) json_integer_value (step) : -1;
    b->sums = 0;
    if (status == WB_OK && wb_file_exists (sums)) {
        status = wb_file_read (&text, &bytes, sums);
        if (status == WB_OK) b->sums = wb_hash64 (text, bytes);
    }
    json_decref (j);
    wb_free (text);
    wb_free (state);
    wb_free (sums);
    return status;
}

/* Rank 0: the directory without links; a name that leads nowhere stays, for the message that will say so. */
static wb_status find (wb_run_base_t *b, const char *name) {
    char *dir = wb_dir_latest (name), *real = dir != NULL ? realpath (dir, NULL) : NULL;
    b->path = wb_strdup (real != NULL ? real : name);
    wb_free (dir);
    wb_free_foreign (real);
    if (b->path == NULL) return WB_NOMEM ("model.base");
    return identify (b);
}

/* Rank 0: a run whose base is its own checkpoint would go on from the newest one, with other data, and prune the rest.
 */
static wb_status check_elsewhere (const wb_run_t *r) {
    char *run = realpath (r->config->run.dir, NULL), *base = realpath (r->base.path, NULL);
    const size_t n = run != NULL ? strlen (run) : 0;
    const bool own = run != NULL && base != NULL && strncmp (base, run, n) == 0 && (base[n] == '/' || base[n] == 0);
    wb_free_foreign (run);
    wb_free_foreign (base);
    if (!own) return WB_OK;
    return WB_FAIL (WB_EUSAGE,
                    "model.base = \"%s\" is a checkpoint of this very run: set another `run` to train further from it, "
                    "or leave out model.base to go on with the run",
                    r->config->model.base);
}

wb_status wb_run_base_share (wb_run_t *r) {
    wb_run_base_t *b = &r->base;
    bool root = wb_comm_rank (r->world) == 0;
    int64_t bytes = b->path != NULL ? (int64_t) strlen (b->path) + 1 : 0;
    wb_comm_bcast (r->world, &bytes, sizeof bytes, 0);
    wb_comm_bcast (r->world, &b->step, sizeof b->step, 0);
    wb_comm_bcast (r->world, &b->sums, sizeof b->sums, 0);
    if (!root) wb_free (b->path);
    if (!root) b->path = bytes > 0 ? wb_malloc ((size_t) bytes) : NULL;
    WB_TRY (wb_agree (r->world, bytes == 0 || b->path != NULL ? WB_OK : WB_NOMEM ("model.base")));
    if (bytes == 0) return WB_OK;
    wb_comm_bcast (r->world, b->path, (size_t) bytes, 0);
    if (r->config->model.base == NULL) return WB_OK;
    char *copy = wb_strdup (b->path);
    WB_TRY (wb_agree (r->world, copy != NULL ? WB_OK : WB_NOMEM ("model.base")));
    wb_free (r->config->model.base);
    r->config->model.base = copy;
    return WB_OK;
}

wb_status wb_run_base_find (wb_run_t *r) {
    if (r->config->model.base == NULL) return WB_OK;
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) status = find (&r->base, r->config->model.base);
    if (wb_comm_rank (r->world) == 0 && status == WB_OK) status = check_elsewhere (r);
    WB_TRY (wb_agree (r->world, status));
    return wb_run_base_share (r);
}

const char *wb_run_base_text (char buf[96], const wb_run_base_t *b) {
    char step[32] = "", sums[48] = "no checksums";
    if (b->step >= 0) snprintf (step, sizeof step, "step %lld, ", (long long) b->step);
    if (b->sums != 0) snprintf (sums, sizeof sums, "checksums.json has XXH64 %016" PRIx64, b->sums);
    snprintf (buf, 96, "%s%s", step, sums);
    return buf;
}

/* ---- its weights ------------------------------------------------------------------------------------------------- */

/* The first weight of this rank that is NaN or infinite. */
static wb_status check_finite (const wb_run_t *r, const char *dir) {
    int n;
    const wb_segment_t *block = wb_trainer_block (r->trainer, &n);
    const float *weights = r->trainer->weights;
    for (int k = 0; k < n; k++) {
        const wb_segment_t *g = &block[k];
        for (int64_t i = 0; i < g->count; i++) {
            if (isfinite (weights[g->flat + i])) continue;
            int64_t at, run;
            wb_param_run (g->param, &at, &run, g->first + i);
            return WB_FAIL (WB_EDATA,
                            "%s/" WB_RUN_MODEL ": tensor '%s' holds %s at [%lld, %lld]: such a model cannot be trained "
                            "or used; take one from before its numbers went bad",
                            dir, g->param->name, isnan (weights[g->flat + i]) ? "NaN" : "infinity",
                            (long long) (at / g->param->cols), (long long) (at % g->param->cols));
        }
    }
    return WB_OK;
}

/* The whole model; what else the trainer holds are adapters. */
static wb_status load_model (wb_run_t *r, const char *dir) {
    const wb_ckpt_set_t set = {.file = WB_RUN_MODEL,
                               .prefix = "",
                               .data = wb_trainer_weights (r->trainer),
                               .classes = WB_CLASSES_MODEL,
                               .params = r->trainer->params->list,
                               .nparams = r->trainer->params->nbase};
    int n;
    const wb_segment_t *block = wb_trainer_block (r->trainer, &n);
    WB_TRY (wb_ckpt_load (r->world, dir, &set, block, n));
    return wb_agree (r->world, check_finite (r, dir));
}

wb_status wb_run_load_weights (wb_run_t *r, const char *dir) {
    if (r->trainer->o.tuning.rank == 0) return load_model (r, dir);
    const wb_ckpt_set_t set = wb_run_weights_set (r->trainer);
    int n;
    const wb_segment_t *block = wb_trainer_block (r->trainer, &n);
    WB_TRY (wb_ckpt_load (r->world, dir, &set, block, n));
    return wb_agree (r->world, check_finite (r, dir));
}

wb_status wb_run_base_load (wb_run_t *r) {
    wb_status status = WB_OK;
    if (wb_adapter_probe (r->base.path))
        status = WB_FAIL (
            WB_EUSAGE,
            "model.base = \"%s\" is an adapter, not a model: make one of both with `wabun export %s --to hf -o "
            "DIR`, and name that",
            r->base.path, r->base.path);
    WB_TRY (wb_agree (r->world, status));
    WB_TRY (wb_ckpt_verify (r->world, r->base.path));
    return load_model (r, r->base.path);
}

wb_status wb_run_base_again (wb_run_t *r, const wb_run_base_t *was) {
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        wb_run_base_t now = {.step = -1};
        const bool moved = r->base.path != NULL && r->base.sums != 0 && r->base.sums == was->sums;
        if (was->path == NULL)
            status = WB_FAIL (WB_EDATA, "the checkpoint does not say which model its adapters belong to");
        if (status == WB_OK) status = find (&now, moved ? r->base.path : was->path);
        if (status == WB_OK && now.sums != was->sums)
            status = WB_FAIL (WB_EUSAGE,
                              "%s is not the model any more beside which the adapters were trained (its checksums.json "
                              "has changed): put it back, or set another `run`",
                              now.path);
        wb_free (r->base.path);
        r->base = now;
    }
    WB_TRY (wb_agree (r->world, status));
    WB_TRY (wb_run_base_share (r));
    return wb_run_base_load (r);
}
