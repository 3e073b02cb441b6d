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
    for (int i = 0; tokenizer == NULL && i < 2; i++) {
        bool found;
        WB_TRY (wb_tokenizer_probe (&found, i == 0 ? dir : base));
        if (found) tokenizer = i == 0 ? dir : base;
    }
    if (tokenizer != NULL) WB_TRY (wb_tokenizer_new (&m->tokenizer, tokenizer));
    if (tokenizer != NULL && wb_tokenizer_size (m->tokenizer) > m->size.V)
        return WB_FAIL (WB_EDATA, "tokenizer %s has %d ids, model %s has %lld: they do not belong together", tokenizer,
                        (int) wb_tokenizer_size (m->tokenizer), dir, (long long) m->size.V);
    m->kern = wb_kern_get (wb_cpu_isa ());
    WB_TRY (wb_layout_init (&layout, 1, 1, 1, 1, m->size.L, m->size.H, 0.0, 0.0));
    wb_layout_place (&layout, 0);
    return wb_params_new (&m->params, &m->size, &layout);
}

/* In fp32, the whole block at once.  adapter: NULL, or dir's. */
static wb_status load_block (wb_model_t *m, const char *base, const wb_adapter_t *adapter) {
    WB_TRY (load_weights (m, base));
    for (int i = 0; adapter != NULL && i < m->params->n; i++)
        wb_adapter_merge (adapter, m->weights + m->params->list[i].offset, &m->params->list[i]);
    return WB_OK;
}

/* Rounded, one parameter after the other, so that fp32 takes no more memory than the largest of them. */
static wb_status round_all (wb_model_t *m, wb_ckpt_reader_t *r, const wb_adapter_t *adapter, const size_t *at) {
    wb_status status = WB_OK;
    int64_t most = 0;
    for (int i = 0; i < m->params->n; i++) {
        const int64_t n = m->params->list[i].rows * m->params->list[i].cols;
        most = n > most ? n : most;
    }
    float *one = wb_malloc ((size_t) most * sizeof *one);
    if (one == NULL) return WB_NOMEM ("weights");
    for (int i = 0; status == WB_OK && i < m->params->n; i++) {
        const wb_param_t *p = &m->params->list[i];
        const wb_segment_t whole = {.param = p, .count = p->rows * p->cols};
        status = wb_ckpt_reader_read (r, one, &whole);
        if (status != WB_OK) break;
        if (adapter != NULL) wb_adapter_merge (adapter, one, p);
        wb_weights_round ((char *) m->weights + at[i], p, m->form.type, one);
    }
    wb_free (one);
    return status;
}

static wb_status load_rounded (wb_model_t *m, const char *base, const wb_adapter_t *adapter) {
    const wb_ckpt_set_t set = {
        .file = "model.safetensors", .prefix = "", .params = m->params->list, .nparams = m->params->n};
    wb_comm_t *alone;
    wb_ckpt_reader_t *reader;
    size_t *at = wb_calloc ((size_t) m->params->n, sizeof *at);
    if (at == NULL) return WB_NOMEM ("weights");
    wb_weights_place (at, m->params, m->form.type);
    wb_status status = wb_comm_alone (&alone);
    if (status == WB_OK) {
        status = wb_ckpt_reader_new (&reader, alone, base, &set);
        if (status == WB_OK) {
            status = round_all (m, reader, adapter, at);
            const wb_status closed = wb_ckpt_reader_destroy (reader);
            if (status == WB_OK) status = closed;
        }
        wb_comm_destroy (alone);
    }
    wb_free (at);
    return status;
}

/* adapter: NULL, or dir's. */
static wb_status load_with (loaded_t *at, const char *dir, const char *tokenizer, wb_weights_type type,
                            const wb_adapter_t *adapter) {
    wb_model_t *m = &at->model;
    const char *base = adapter != NULL ? wb_adapter_base (adapter) : dir;
    WB_TRY (load_rest (m, dir, base, tokenizer));
    m->form = (wb_infer_form_t){.panels = type != WB_WEIGHTS_FP32, .type = type};
    const size_t bytes = wb_weights_place (NULL, m->params, type);
    WB_TRY (wb_arena_new (&at->arena, "weights", wb_align (bytes)));
    m->weights = wb_arena_alloc (at->arena, bytes);
    return type == WB_WEIGHTS_FP32 ? load_block (m, base, adapter) : load_rounded (m, base, adapter);
}

static wb_status load (loaded_t *at, const char *dir, const char *tokenizer, wb_weights_type type) {
    wb_adapter_t *adapter;
    WB_TRY (wb_adapter_open (&adapter, dir));
    const wb_status status = load_with (at, dir, tokenizer, type, adapter);
    wb_adapter_destroy (adapter);
    return status;
}

wb_status wb_model_load_as (wb_model_t **out, const char *dir, const char *tokenizer, wb_weights_type type) {
    *out = NULL;
    loaded_t *at = wb_calloc (1, sizeof *at);
    if (at == NULL) return WB_NOMEM ("model %s", dir);
    char *named = wb_dir_latest (dir);
    const wb_status status = named != NULL ? load (at, named, tokenizer, type) : WB_NOMEM ("model %s", dir);
    wb_free (named);
    if (status == WB_OK)
        *out = &at->model;
    else
        wb_model_destroy (&at->model);
    return status;
}

wb_status wb_model_load (wb_model_t **out, const char *dir, const char *tokenizer) {
    return wb_model_load_as (out, dir, tokenizer, WB_WEIGHTS_FP32);
}

static wb_status map (loaded_t *at, const char *dir, const char *tokenizer, wb_weights_type type, bool verify) {
    wb_model_t *m = &at->model;
    WB_TRY (load_rest (m, dir, dir, tokenizer));
    WB_TRY (wb_shared_map (&at->shared, dir, type, wb_weights_place (NULL, m->params, type), verify));
    m->weights = at->shared.block;
    m->form = (wb_infer_form_t){.type = type, .panels = true};
    return WB_OK;
}

wb_status wb_model_map (wb_model_t **out, const char *dir, const char *tokenizer, wb_weights_type type, bool verify) {
    *out = NULL;
    loaded_t *at = wb_calloc (1, sizeof *at);
    char *named = wb_dir_latest (dir);
    wb_status status = at != NULL && named != NULL ? WB_OK : WB_NOMEM ("model %s", dir);
    if (status == WB_OK && !wb_adapter_probe (named)) status = map (at, named, tokenizer, type, verify);
    wb_free (named);
    if (status == WB_OK && at->shared.map != NULL)
        *out = &at->model;
    else
        wb_model_destroy (&at->model);
    return status;
}

static wb_status pack (wb_model_t *m) {
    if (m->form.panels) return WB_OK;
    float *work = wb_malloc ((size_t) wb_weights_work_floats (&m->size) * sizeof *work);
    if (work == NULL) return WB_NOMEM ("weights");
    wb_weights_arrange (m->weights, m->params, work, wb_panels_pack);
    m->form.panels = true;
    wb_free (work);
    return WB_OK;
}

wb_status wb_model_share (wb_model_t *m, const char *dir) {
    loaded_t *at = (loaded_t *) m;
    char *named = wb_dir_latest (dir);
    wb_status status = named != NULL ? pack (m) : WB_NOMEM ("model %s", dir);
    if (status == WB_OK)
        status = wb_shared_make (&at->shared, named, m->form.type, m->weights,
                                 wb_weights_place (NULL, m->params, m->form.type));
    if (status == WB_OK && at->shared.map != NULL) {
        m->weights = at->shared.block;
        wb_arena_destroy (at->arena);
        at->arena = NULL;
    }
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
