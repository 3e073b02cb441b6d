/* What follows from a configuration: the model's size (of preset, base and vocabulary) and the options of a trainer. */
#include "config.h"

#include "config/config_priv.h"

/* Sizes given beside model.base must be its own. */
static wb_status check_base (const wb_size_t *base, const wb_config_t *c) {
    const wb_size_t *s = &c->model.size;
    const struct {
        const char *name;
        int64_t given, has;
    } sizes[] = {{"layers", s->L, base->L},
                 {"width", s->C, base->C},
                 {"heads", s->H, base->H},
                 {"context", s->T, base->T},
                 {"vocab_size", s->V, base->V}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].given > 0 && sizes[i].given != sizes[i].has)
            return WB_FAIL (WB_EUSAGE, "%s: `model.%s` = %lld, but `model.base` = %s has %lld: leave it out", c->path,
                            sizes[i].name, (long long) sizes[i].given, c->model.base, (long long) sizes[i].has);
    return WB_OK;
}

/* The model's size; its vocabulary is given, or that of the base or of the tokenizer. */
static wb_status find_size (wb_size_t *s, const wb_tokenizer_t *tokenizer, const wb_config_t *c) {
    const int ids = tokenizer != NULL ? wb_tokenizer_size (tokenizer) : 0;
    const char *base = c->model.base;
    *s = c->model.size;
    if (base != NULL) {
        WB_TRY (wb_model_config_read (s, base));
        WB_TRY (check_base (s, c));
        if (ids > s->V)
            return WB_FAIL (WB_EUSAGE, "the tokenizer has %d ids, the model %s only %lld: they do not belong together",
                            ids, base, (long long) s->V);
    } else if (s->V == 0) {
        s->V = ids;
    } else if (s->V < ids) {
        return WB_FAIL (WB_EUSAGE, "model.vocab_size = %lld is less than the tokenizer's %d ids: leave it out",
                        (long long) s->V, ids);
    }
    return wb_size_check (s);
}

/* The model knows its own ids: another tokenizer would give them another meaning. */
static wb_status check_tokenizer (const wb_tokenizer_t *t, const wb_config_t *c) {
    wb_tokenizer_identity_t own, its;
    wb_tokenizer_t *base;
    char text[2][WB_TOKENIZER_IDENTITY];
    bool found;
    if (c->tokenizer == NULL || c->model.base == NULL) return WB_OK;
    WB_TRY (wb_tokenizer_probe (&found, c->model.base));
    if (!found) return WB_OK;
    WB_TRY (wb_tokenizer_new (&base, c->model.base));
    wb_tokenizer_identify (&own, t);
    wb_tokenizer_identify (&its, base);
    wb_tokenizer_destroy (base);
    if (wb_tokenizer_same (&own, &its)) return WB_OK;
    return WB_FAIL (
        WB_EUSAGE,
        "%s: `tokenizer` = \"%s\" is %s, but `model.base` = \"%s\" has its own, %s: leave `tokenizer` out, and "
        "encode the text with --tokenizer %s",
        c->path, c->tokenizer, wb_tokenizer_identity_text (text[0], &own), c->model.base,
        wb_tokenizer_identity_text (text[1], &its), c->model.base);
}

wb_status wb_config_size (wb_size_t *out, wb_tokenizer_t **tokenizer, const wb_config_t *c) {
    const char *spec = c->tokenizer;
    *tokenizer = NULL;
    /* A base model may come without tokenizer, but a damaged one is an error. */
    bool found = false;
    if (spec == NULL && c->model.base != NULL) WB_TRY (wb_tokenizer_probe (&found, c->model.base));
    if (found) spec = c->model.base;
    if (spec != NULL) WB_TRY (wb_tokenizer_new (tokenizer, spec));
    WB_TRY (check_tokenizer (*tokenizer, c));
    return find_size (out, *tokenizer, c);
}

void wb_config_step_options (wb_step_options_t *out, const wb_config_t *c, const wb_size_t *size) {
    *out = c->step;
    out->size = *size;
    out->seed = (uint64_t) c->seed;
    if (out->T == 0) out->T = size->T;
}

void wb_config_step_defaults (wb_step_options_t *out) {
    wb_config_t c = {0};
    wb_row_t r;
    for (int i = 0; wb_row_at (&r, i); i++) {
        if (r.base != offsetof (wb_config_t, step) || !wb_option_has_default (r.o)) continue;
        const wb_status status = wb_config_put_text (&c, &r, r.o->fallback, r.o->path);
        WB_ASSERT (status == WB_OK); /* the table's own defaults; numbers and choices need no memory */
    }
    c.step.optim.min_lr = c.step.optim.lr / 10;
    *out = c.step;
}
