/* One safetensors file, as inspect tells it: its header is read, its tensors are not. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"

static bool probe (const wb_look_t *look) {
    return !look->directory && look->nhead > 8 && look->head[8] == '{' && wb_ends_with (look->name, ".safetensors");
}

static wb_status tensor_facts (json_t *facts, const wb_st_t *st) {
    int64_t values = 0;
    for (int i = 0; i < st->n; i++) {
        int64_t n = 1; /* no overflow: the file has so many bytes, but where one dimension is 0 */
        for (int k = 0; k < st->tensors[i].ndim; k++)
            if (__builtin_mul_overflow (n, st->tensors[i].shape[k], &n)) n = 0;
        values += n;
    }
    WB_TRY (wb_fact_int (facts, "tensors", st->n));
    WB_TRY (wb_fact_int (facts, "values", values));
    json_t *list = wb_fact_list (facts, "tensor");
    for (int i = 0; list != NULL && i < st->n; i++) {
        const wb_st_tensor_t *t = &st->tensors[i];
        WB_TRY (wb_fact_tensor (list, t->name, wb_dtype_name (t->dtype), t->shape, t->ndim));
    }
    return list != NULL ? WB_OK : WB_NOMEM ("facts");
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_comm_t *alone;
    wb_st_t *st = NULL;
    WB_TRY (wb_comm_alone (&alone));
    wb_status status = wb_st_read (&st, alone, path);
    wb_comm_destroy (alone);
    if (status == WB_OK) status = wb_fact_int (facts, "bytes", st->bytes);
    if (status == WB_OK) status = tensor_facts (facts, st);
    wb_st_destroy (st);
    return status;
}

const wb_format_t wb_format_safetensors = {
    .name = "safetensors",
    .what = "a safetensors file",
    .probe = probe,
    .inspect = inspect,
};
