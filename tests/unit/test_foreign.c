/* models as other programs write them: names, several files, types, output layers, what is refused */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/infer.h"

enum { L = 2, C = 8, H = 2, T = 8, V = 257, EXTRA = 8 };

static const wb_size_t size = {L, C, H, T, V};
static wb_params_t *params;
static float *weights; /* all values fit into bf16 and fp16 */

static void make_weights (void) {
    wb_layout_t lo;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, L, H, 0, 0), WB_OK);
    wb_layout_place (&lo, 0);
    T_STATUS (wb_params_new (&params, &size, &lo), WB_OK);
    weights = wb_calloc ((size_t) params->own, sizeof *weights);
    for (int64_t i = 0; i < params->own; i++) weights[i] = (float) ((i * 37 % 127) - 63) / 64.0f;
}

/* ---- writing models -------------------------------------------------------------------------------------------- */

typedef struct extra {
    const char *name;
    int ndim;
    int64_t shape[4];
    const float *data; /* NULL: zeros */
} extra_t;

/* What is written: the parameters with `before` in front of their names, in `files` files, and the extra tensors. */
typedef struct model {
    const char *before;
    wb_dtype dtype;
    int files, without; /* without: the index of a parameter that is left out, -1: none */
    extra_t extra[EXTRA];
    const char *index; /* instead of the right text */
} model_t;

static void put (wb_buf_t *b, const float *x, int64_t n, wb_dtype dtype) {
    for (int64_t i = 0; i < n; i++) {
        const float value = x != NULL ? x[i] : 0.0f;
        const double wide = (double) value;
        uint32_t bits;
        uint16_t half;
        memcpy (&bits, &value, 4);
        half = (uint16_t) (bits >> 16);
        if (dtype == WB_F16) /* normal numbers of few digits only */
            half = (uint16_t) ((bits >> 16 & 0x8000u) | (value == 0.0f ? 0 : (bits >> 23 & 0xffu) - 112) << 10 |
                               (bits >> 13 & 0x3ffu));
        const void *data = dtype == WB_F32 ? (const void *) &value : dtype == WB_F64 ? (const void *) &wide : &half;
        T_STATUS (wb_buf_put (b, data, dtype == WB_F32 ? 4 : dtype == WB_F64 ? 8 : 2), WB_OK);
    }
}

static void write_file (const char *path, wb_st_tensor_t *tensors, const float *const *data, int n) {
    char *header;
    size_t bytes;
    wb_buf_t b = {0};
    T_STATUS (wb_st_header (&header, &bytes, tensors, n), WB_OK);
    T_STATUS (wb_buf_put (&b, header, bytes), WB_OK);
    for (int i = 0; i < n; i++) {
        int64_t all = 1;
        for (int k = 0; k < tensors[i].ndim; k++) all *= tensors[i].shape[k];
        put (&b, data[i], all, tensors[i].dtype);
    }
    T_STATUS (wb_file_write (path, b.data, b.len), WB_OK);
    wb_buf_fini (&b);
    wb_free (header);
}

static const char *write_model (const model_t *m) {
    enum { MOST = 64 };
    static char names[MOST][128];
    static const char config[] = "\xef\xbb\xbf{\"n_layer\": 2, \"n_embd\": 8, \"n_head\": 2, \"n_positions\": 8, "
                                 "\"vocab_size\": 257}";
    wb_st_tensor_t tensors[MOST];
    const float *data[MOST];
    char path[512], index[MOST * 160] = "\xef\xbb\xbf{\"metadata\": {}, \"weight_map\": {";
    static char dir[400];
    int n = 0;
    snprintf (dir, sizeof dir, "%s", t_tmp ("foreign"));
    T_STATUS (wb_dir_remove (dir), WB_OK);
    T_STATUS (wb_dir_make (dir), WB_OK);
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if (i == m->without) continue;
        snprintf (names[n], sizeof names[n], "%s%s", m->before, p->name);
        tensors[n] = (wb_st_tensor_t){.name = names[n], .dtype = m->dtype, .ndim = p->ndim};
        tensors[n].shape[0] = p->ndim == 2 ? p->rows : p->cols;
        tensors[n].shape[1] = p->cols;
        data[n++] = weights + p->offset;
    }
    for (const extra_t *e = m->extra; e->name != NULL; e++) {
        snprintf (names[n], sizeof names[n], "%s", e->name);
        tensors[n] = (wb_st_tensor_t){.name = names[n], .dtype = m->dtype, .ndim = e->ndim};
        memcpy (tensors[n].shape, e->shape, sizeof e->shape);
        data[n++] = e->data;
    }
    for (int f = 0; f < m->files; f++) {
        const int first = n * f / m->files, end = n * (f + 1) / m->files;
        char name[64] = "model.safetensors";
        if (m->files > 1) snprintf (name, sizeof name, "model-%05d-of-%05d.safetensors", f + 1, m->files);
        for (int i = first; i < end; i++)
            snprintf (index + strlen (index), sizeof index - strlen (index), "%s\"%s\": \"%s\"", i > 0 ? ", " : "",
                      names[i], name);
        snprintf (path, sizeof path, "%s/%s", dir, name);
        write_file (path, tensors + first, data + first, end - first);
    }
    strcat (index, "}}");
    snprintf (path, sizeof path, "%s/model.safetensors.index.json", dir);
    const char *text = m->index != NULL ? m->index : index;
    if (m->files > 1) T_STATUS (wb_file_write (path, text, strlen (text)), WB_OK);
    snprintf (path, sizeof path, "%s/config.json", dir);
    T_STATUS (wb_file_write (path, config, sizeof config - 1), WB_OK);
    return dir;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static void loads (const char *what, const model_t *m) {
    wb_model_t *got;
    if (!T_OK (wb_model_load (&got, write_model (m), "byte") == WB_OK, "%s: %s", what, wb_error_get ()->text)) {
        wb_error_clear ();
        return;
    }
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        T_OK (memcmp (got->weights + p->offset, weights + p->offset, (size_t) (p->rows * p->cols) * sizeof (float)) ==
                  0,
              "%s: %s", what, p->name);
    }
    wb_model_destroy (got);
}

static void refused (const char *what, const model_t *m, wb_status want, const char *message) {
    wb_model_t *got;
    const wb_status status = wb_model_load (&got, write_model (m), "byte");
    T_OK (status == want && strstr (wb_error_get ()->text, message) != NULL, "%s: %d, %s", what, (int) status,
          wb_error_get ()->text);
    wb_error_clear ();
    wb_model_destroy (got);
}

static void test_names (void) {
    static const char *const before[] = {"", "transformer.", "model.", "module.transformer.", "_orig_mod.transformer."};
    const extra_t buffer = {"transformer.h.1.attn.bias", 4, {1, 1, T, T}, NULL},
                  masked = {"transformer.h.1.attn.masked_bias", 1, {1}, NULL},
                  other = {"v_head.summary.weight", 2, {1, C}, NULL},
                  layer = {"transformer.h.2.ln_1.weight", 1, {C}, NULL};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        loads (before[i], &(model_t){before[i], WB_F32, 1, -1, {{0}}, NULL});
        loads (before[i], &(model_t){before[i], WB_F32, 3, -1, {{0}}, NULL});
    }
    loads ("fp16", &(model_t){"", WB_F16, 1, -1, {{0}}, NULL});
    loads ("bf16", &(model_t){"transformer.", WB_BF16, 2, -1, {{0}}, NULL});
    loads ("fp64", &(model_t){"", WB_F64, 1, -1, {{0}}, NULL});
    loads ("buffers", &(model_t){"transformer.", WB_F32, 1, -1, {buffer, masked}, NULL});
    loads ("another tensor", &(model_t){"transformer.", WB_F32, 2, -1, {buffer, other}, NULL});
    refused ("a layer too many", &(model_t){"transformer.", WB_F32, 1, -1, {layer}, NULL}, WB_EDATA,
             "belongs to a layer that the model, with 2 layers, does not have");
    refused ("a tensor too few", &(model_t){"model.", WB_F32, 1, 5, {{0}}, NULL}, WB_EDATA,
             "no tensor 'model.h.0.attn.c_attn.bias' [24] among its 27; nearest are 'model.h.1.attn.c_attn.bias' and ");
    refused ("another name", &(model_t){"x-", WB_F32, 1, -1, {{0}}, NULL}, WB_EDATA, "no tensor 'wte.weight' [257, 8]");

    /* A second whole model beside it. */
    extra_t all[EXTRA] = {{0}};
    all[0] = (extra_t){"b.wte.weight", 2, {V, C}, NULL};
    loads ("a part of another model", &(model_t){"a.", WB_F32, 1, -1, {all[0]}, NULL});
}

static void test_head (void) {
    const float *wte = weights + params->list[0].offset;
    static float changed[V * C];
    memcpy (changed, wte, sizeof changed);
    changed[V * C - 1] += 0.5f;
    const extra_t same = {"lm_head.weight", 2, {V, C}, wte}, differs = {"lm_head.weight", 2, {V, C}, changed},
                  inside = {"module.lm_head.weight", 2, {V, C}, wte}, longer = {"lm_head.weight", 2, {V + 1, C}, NULL};
    loads ("an equal output layer", &(model_t){"transformer.", WB_F32, 1, -1, {same}, NULL});
    loads ("an equal output layer in fp16", &(model_t){"transformer.", WB_F16, 3, -1, {same}, NULL});
    loads ("an equal output layer inside", &(model_t){"module.transformer.", WB_F32, 2, -1, {inside}, NULL});
    loads ("an output layer alone", &(model_t){"transformer.", WB_F32, 1, 0, {same}, NULL});
    refused ("another output layer", &(model_t){"transformer.", WB_F32, 1, -1, {differs}, NULL}, WB_EDATA,
             "'lm_head.weight' is not equal to 'transformer.wte.weight'");
    refused ("another size", &(model_t){"transformer.", WB_F32, 1, -1, {longer}, NULL}, WB_EDATA, "another shape");
    refused ("two alone", &(model_t){"transformer.", WB_F32, 1, 0, {same, inside}, NULL}, WB_EDATA, "and no embedding");
}

static void test_index (void) {
    static const struct {
        const char *text, *message;
        wb_status status;
    } cases[] = {
        {"[", "not JSON", WB_EDATA},
        {"{}", "no \"weight_map\"", WB_EDATA},
        {"{\"weight_map\": {}}", "no \"weight_map\"", WB_EDATA},
        {"{\"weight_map\": {\"a\": 3}}", "must give the name of a file", WB_EDATA},
        {"{\"weight_map\": {\"a\": \"../b\"}}", "must give the name of a file", WB_EDATA},
        {"{\"weight_map\": {\"a\": \"gone\"}}", "gone: no such file, but", WB_EIO},
        {"{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}", "no tensor 'h.1.ln_1.weight'", WB_EDATA},
        {"{\"weight_map\": {\"a\": \"config.json\"}}", "not a safetensors file", WB_EDATA}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused (cases[i].text, &(model_t){"", WB_F32, 2, -1, {{0}}, cases[i].text}, cases[i].status, cases[i].message);
    const extra_t twice = {"wte.weight", 2, {V, C}, NULL};
    refused ("a tensor in two files", &(model_t){"", WB_F32, 2, -1, {twice}, NULL}, WB_EDATA, "'wte.weight' is in ");
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, true);
    make_weights ();
    test_names ();
    test_head ();
    test_index ();
    wb_params_destroy (params);
    wb_free (weights);
    return T_DONE ();
}
