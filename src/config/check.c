/* What two options must be to each other, as far as it needs no ranks, and values that follow from others.
 *
 * Not here: sizes of model.base and of the tokenizer (resolve.c), layouts (wb_trainer_layout). */
#include "config.h"

#include <math.h>

#include "config/config_priv.h"

#define TOGETHER(cond, ...) \
    if (!(cond)) return WB_FAIL (WB_EUSAGE, __VA_ARGS__)

static wb_status check_model (wb_config_t *c) {
    const char *f = c->path;
    const wb_model_options_t *m = &c->model;
    wb_size_t *s = &c->model.size;
    TOGETHER (m->preset < 0 || m->base == NULL,
              "%s: `model.preset` and `model.base` exclude each other: a base brings its sizes", f);
    if (m->preset >= 0) {
        wb_size_t preset = {0};
        WB_TRY (wb_size_preset (&preset, wb_preset_names[m->preset]));
        if (s->L == 0) s->L = preset.L;
        if (s->C == 0) s->C = preset.C;
        if (s->H == 0) s->H = preset.H;
        if (s->T == 0) s->T = preset.T;
    }
    if (m->base != NULL) return WB_OK;
    TOGETHER (
        s->L + s->C + s->H + s->T > 0,
        "%s: what model? Give `model.preset` (tiny, small, medium, large, xl), or `model.layers`, `width`, `heads` "
        "and `context`, or `model.base`",
        f);
    const char *missing = s->L == 0 ? "layers" : s->C == 0 ? "width" : s->H == 0 ? "heads" : "context";
    TOGETHER (s->L > 0 && s->C > 0 && s->H > 0 && s->T > 0,
              "%s: `model.%s` is missing: without a preset or base all four sizes are needed", f, missing);
    TOGETHER (s->C % s->H == 0, "%s: `model.width` = %lld is not a multiple of `model.heads` = %lld", f,
              (long long) s->C, (long long) s->H);
    TOGETHER (c->tokenizer != NULL || s->V > 0,
              "%s: how large is the vocabulary? Give `tokenizer` or `model.vocab_size`", f);
    return WB_OK;
}

static wb_status check_step (wb_config_t *c) {
    const char *f = c->path;
    wb_step_options_t *o = &c->step;
    TOGETHER (c->model.size.T == 0 || o->T <= c->model.size.T,
              "%s: `train.sequence_length` = %lld is longer than `model.context` = %lld", f, (long long) o->T,
              (long long) c->model.size.T);
    if (isnan (o->optim.min_lr)) o->optim.min_lr = o->optim.lr / 10;
    TOGETHER (o->optim.min_lr <= o->optim.lr, "%s: `train.min_lr` = %g is above `train.lr` = %g", f, o->optim.min_lr,
              o->optim.lr);
    TOGETHER (o->B == 0 || o->global_batch % o->B == 0,
              "%s: `train.global_batch` = %lld is not a multiple of `parallel.micro_batch` = %lld", f,
              (long long) o->global_batch, (long long) o->B);
    TOGETHER (o->chunks == 1 || c->parallel.pipeline > 1,
              "%s: `parallel.interleave` = %d needs `parallel.pipeline` above 1", f, o->chunks);
    TOGETHER (o->chunks == 1 || o->schedule == WB_SCHEDULE_1F1B,
              "%s: `parallel.interleave` = %d needs `parallel.schedule` = \"%s\"", f, o->chunks,
              wb_schedule_names[WB_SCHEDULE_1F1B]);
    return WB_OK;
}

wb_status wb_config_check (wb_config_t *c) {
    const char *f = c->path;
    TOGETHER (c->run.dir != NULL, "%s: `run` is missing: name a directory for the run, as in run = \"runs/small\";", f);
    TOGETHER (c->data.train.n > 0, "%s: `data.train` is missing: name a token file (wabun encode makes them)", f);
    WB_TRY (check_model (c));
    WB_TRY (check_step (c));
    const bool validates = c->data.validation != NULL && c->run.validation_every > 0;
    TOGETHER (validates || !c->run.checkpoint_best,
              "%s: `checkpoint.keep_best` needs `data.validation`, and `validation.every` above 0", f);
    TOGETHER (validates || c->run.validation_patience == 0,
              "%s: `validation.patience` = %lld needs `data.validation`, and `validation.every` above 0", f,
              (long long) c->run.validation_patience);
    TOGETHER (c->run.sample_every == 0 || c->tokenizer != NULL || c->model.base != NULL,
              "%s: `sample.every` = %lld needs a `tokenizer` to write text", f, (long long) c->run.sample_every);
    return WB_OK;
}
