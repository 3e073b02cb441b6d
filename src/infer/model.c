/* A model directory loaded whole into one process.
 *
 * Not here: config.json (model), the files of tensors (checkpoint), what a tokenizer's files look like (tokenizer). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

/* What wb_model_load() gives: wb_model_t comes first, so that its address is this one's. */
typedef struct loaded {
    wb_model_t model;
    wb_arena_t *arena;  /* what the weights lie in; */
    wb_shared_t shared; /* or the file they are mapped from */
} loaded_t;

static wb_status load_weights (wb_model_t *m, const char *dir) {
    wb_segment_t *segments = wb_calloc ((size_t) m->params->n, sizeof *segments);
    if (segments == NULL) return WB_NOMEM ("model %s", dir);
    for (int i = 0; i < m->params->n; i++) {
        const wb_param_t *p = &m->params->list[i];
        segments[i] = (wb_segment_t){.param = p, .count = wb_param_own (p), .flat = p->offset};
    }
    const wb_ckpt_set_t set = {.file = "model.safetensors",
                               .prefix = "",
                               .data = m->weights,
                               .params = m->params->list,
                               .nparams = m->params->n};
    wb_comm_t *alone;
    wb_status status = wb_comm_alone (&alone);
    if (status == WB_OK) {
        status = wb_ckpt_load (alone, dir, &set, segments, m->params->n);
        wb_comm_destroy (alone);
    }
    wb_free (segments);
    return status;
}

/* All but the weights.  base: dir, or the model that dir is an adapter of. */
static wb_status load_rest (wb_model_t *m, const char *dir, const char *base, const char *tokenizer) {
    wb_layout_t layout;
    WB_TRY (wb_model_config_read (&m->size, base));
    if (tokenizer == NULL && wb_tokenizer_probe (dir)) tokenizer = dir;
    if (tokenizer == NULL && wb_tokenizer_probe (base)) tokenizer = base;
    if (tokenizer != NULL) WB_TRY (wb_tokenizer_new (&m->tokenizer, tokenizer));
    if (tokenizer != NULL && wb_tokenizer_size (m->tokenizer) > m->size.V)
        return WB_FAIL (WB_EDATA, "tokenizer %s has %d ids, model %s has %lld: they do not belong together", tokenizer,
                        (int) wb_tokenizer_size (m->tokenizer), dir, (long long) m->size.V);
    m->kern = wb_kern_get (wb_cpu_isa ());
    WB_TRY (wb_layout_init (&layout, 1, 1, 1, 1, m->size.L, m->size.H, 0.0, 0.0));
    wb_layout_place (&layout, 0);
    return wb_params_new (&m->params, &m->size, &layout);
}

/* adapter: NULL, or dir's. */
static wb_status load_with (loaded_t *at, const char *dir, const char *tokenizer, const wb_adapter_t *adapter) {
    wb_model_t *m = &at->model;
    const char *base = adapter != NULL ? wb_adapter_base (adapter) : dir;
    WB_TRY (load_rest (m, dir, base, tokenizer));
    WB_TRY (wb_arena_new (&at->arena, "weights", wb_align ((size_t) m->params->own * sizeof (float))));
    m->weights = wb_arena_floats (at->arena, m->params->own);
    WB_TRY (load_weights (m, base));
    for (int i = 0; adapter != NULL && i < m->params->n; i++)
        wb_adapter_merge (adapter, m->weights + m->params->list[i].offset, &m->params->list[i]);
    return WB_OK;
}

static wb_status load (loaded_t *at, const char *dir, const char *tokenizer) {
    wb_adapter_t *adapter;
    WB_TRY (wb_adapter_open (&adapter, dir));
    const wb_status status = load_with (at, dir, tokenizer, adapter);
    wb_adapter_destroy (adapter);
    return status;
}

wb_status wb_model_load (wb_model_t **out, const char *dir, const char *tokenizer) {
    *out = NULL;
    loaded_t *at = wb_calloc (1, sizeof *at);
    if (at == NULL) return WB_NOMEM ("model %s", dir);
    char *named = wb_dir_latest (dir);
    const wb_status status = named != NULL ? load (at, named, tokenizer) : WB_NOMEM ("model %s", dir);
    wb_free (named);
    if (status == WB_OK)
        *out = &at->model;
    else
        wb_model_destroy (&at->model);
    return status;
}

static wb_status map (loaded_t *at, const char *dir, const char *tokenizer, bool verify) {
    wb_model_t *m = &at->model;
    WB_TRY (load_rest (m, dir, dir, tokenizer));
    WB_TRY (wb_shared_map (&at->shared, dir, m->params->own, verify));
    m->weights = at->shared.floats;
    m->packed = true;
    return WB_OK;
}

wb_status wb_model_map (wb_model_t **out, const char *dir, const char *tokenizer, bool verify) {
    *out = NULL;
    loaded_t *at = wb_calloc (1, sizeof *at);
    char *named = wb_dir_latest (dir);
    wb_status status = at != NULL && named != NULL ? WB_OK : WB_NOMEM ("model %s", dir);
    if (status == WB_OK && !wb_adapter_probe (named)) status = map (at, named, tokenizer, verify);
    wb_free (named);
    if (status == WB_OK && at->shared.map != NULL)
        *out = &at->model;
    else
        wb_model_destroy (&at->model);
    return status;
}

wb_status wb_model_share (wb_model_t *m, const char *dir) {
    loaded_t *at = (loaded_t *) m;
    char *named = wb_dir_latest (dir);
    float *work = wb_malloc ((size_t) wb_weights_work_floats (&m->size) * sizeof *work);
    wb_status status = named != NULL && work != NULL ? WB_OK : WB_NOMEM ("model %s", dir);
    if (status == WB_OK) {
        wb_weights_arrange (m->weights, m->params, work, wb_panels_pack);
        m->packed = true;
        wb_free (work);
        work = NULL;
        status = wb_shared_make (&at->shared, named, m->weights, m->params->own);
    }
    if (status == WB_OK && at->shared.map != NULL) {
        m->weights = at->shared.floats;
        wb_arena_destroy (at->arena);
        at->arena = NULL;
    }
    wb_free (work);
    wb_free (named);
    return status;
}

void wb_model_destroy (wb_model_t *m) {
    if (m == NULL) return;
    loaded_t *at = (loaded_t *) m;
    wb_tokenizer_destroy (m->tokenizer);
    wb_params_destroy (m->params);
    wb_arena_destroy (at->arena);
    wb_shared_unmap (&at->shared);
    wb_free (at);
}
