/* LoRA adapters on disk: read, and added to the linears of the model they belong to.
 *
 * Merged, a model with an adapter is a model like any other, and costs no more.
 *
 * Not here: training them (model/lora.c), adapter_config.json (model). */
#include "config.h"

#include <string.h>

#include "wabun/infer.h"

struct wb_adapter {
    wb_adapter_config_t config;
    wb_params_t *params;
    float *values; /* of the adapters, from params->fixed on */
};

static wb_status load (wb_adapter_t *a, const char *dir) {
    wb_layout_t lo;
    WB_TRY (wb_adapter_config_read (&a->config, dir));
    const wb_size_t *s = &a->config.size;
    WB_TRY (wb_tuning_check (&a->config.tuning, s));
    WB_TRY (wb_layout_init (&lo, 1, 1, 1, 1, s->L, s->H, 0.0, 0.0));
    wb_layout_place (&lo, 0);
    WB_TRY (wb_params_new_tuned (&a->params, s, &lo, &a->config.tuning));
    const int n = a->params->n - a->params->nbase;
    const wb_param_t *first = a->params->list + a->params->nbase;
    wb_segment_t *segments = wb_calloc ((size_t) n + 1, sizeof *segments);
    a->values = wb_calloc ((size_t) (a->params->own - a->params->fixed) + 1, sizeof *a->values);
    wb_comm_t *alone = NULL;
    wb_status status = segments != NULL && a->values != NULL ? wb_comm_alone (&alone) : WB_NOMEM ("adapter %s", dir);
    for (int i = 0; i < n && status == WB_OK; i++)
        segments[i] = (wb_segment_t){
            .param = &first[i], .count = wb_param_own (&first[i]), .flat = first[i].offset - a->params->fixed};
    const wb_ckpt_set_t set = {.file = WB_ADAPTER_FILE, .prefix = WB_ADAPTER_PREFIX, .data = a->values};
    if (status == WB_OK) status = wb_ckpt_load (alone, dir, &set, segments, n);
    if (alone != NULL) wb_comm_destroy (alone);
    wb_free (segments);
    return status;
}

wb_status wb_adapter_open (wb_adapter_t **out, const char *dir) {
    *out = NULL;
    if (!wb_adapter_probe (dir)) return WB_OK;
    wb_adapter_t *a = wb_calloc (1, sizeof *a);
    const wb_status status = a != NULL ? load (a, dir) : WB_NOMEM ("adapter %s", dir);
    if (status == WB_OK)
        *out = a;
    else
        wb_adapter_destroy (a);
    return status;
}

void wb_adapter_destroy (wb_adapter_t *a) {
    if (a == NULL) return;
    wb_adapter_config_fini (&a->config);
    wb_params_destroy (a->params);
    wb_free (a->values);
    wb_free (a);
}

const char *wb_adapter_base (const wb_adapter_t *a) { return a->config.base; }

void wb_adapter_merge (const wb_adapter_t *a, float *W, const wb_param_t *p) {
    static const wb_role roles[WB_LINEARS] = {WB_ROLE_QKV_W, WB_ROLE_ATT_W, WB_ROLE_FC_W, WB_ROLE_PROJ_W};
    for (int i = 0; a != NULL && i < WB_LINEARS; i++) {
        if (p->role != roles[i]) continue;
        const wb_param_t *A = wb_params_adapter (a->params, p->layer, (wb_linear) i, 0),
                         *B = wb_params_adapter (a->params, p->layer, (wb_linear) i, 1);
        const int64_t fixed = a->params->fixed;
        if (A != NULL)
            wb_lora_merge (W, a->values + (A->offset - fixed), a->values + (B->offset - fixed), p->rows, p->cols,
                           a->config.tuning.rank, a->config.tuning.alpha);
    }
}
