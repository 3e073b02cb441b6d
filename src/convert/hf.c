/* Directories of Hugging Face, those of others and wabun's own checkpoints: looking at them, reading them.
 *
 * Not done here: names and shards of the tensors (checkpoint), writing (hf_write.c). */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/infer.h"

/* A run is let in, for the message that names its newest model. */
static bool probe (const wb_look_t *look) {
    return look->directory && (wb_file_is_in (look->path, "config.json") || wb_file_is_in (look->path, "latest") ||
                               wb_file_is_in (look->path, "adapter_config.json"));
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

typedef struct hf {
    wb_weights_t base;
    wb_comm_t *alone;
    wb_ckpt_reader_t *reader;
    wb_adapter_t *adapter; /* what is merged into it; NULL: nothing */
} hf_t;

static wb_status read_tensor (wb_weights_t *w, float *out, const wb_param_t *p) {
    const wb_segment_t all = {.param = p, .count = p->rows * p->cols};
    const hf_t *h = (const hf_t *) w;
    WB_TRY (wb_ckpt_reader_read (h->reader, out, &all));
    wb_adapter_merge (h->adapter, out, p);
    return WB_OK;
}

static void close_reader (wb_weights_t *w) {
    hf_t *h = (hf_t *) w;
    wb_ckpt_reader_destroy (h->reader); /* a failed read was an error already */
    wb_comm_destroy (h->alone);
    wb_adapter_destroy (h->adapter);
}

static wb_status open_into (hf_t *h, const char *dir) {
    wb_size_t size;
    WB_TRY (wb_adapter_open (&h->adapter, dir));
    const char *from = h->adapter != NULL ? wb_adapter_base (h->adapter) : dir;
    WB_TRY (wb_model_config_read (&size, from));
    WB_TRY (wb_weights_init (&h->base, &size));
    h->base.directory = wb_strdup (dir);
    if (h->base.directory == NULL) return WB_NOMEM ("model %s", dir);
    bool found;
    WB_TRY (wb_tokenizer_probe (&found, dir));
    if (found) WB_TRY (wb_tokenizer_new (&h->base.tokenizer, dir));
    const wb_ckpt_set_t set = {
        .file = "model.safetensors", .prefix = "", .params = h->base.params->list, .nparams = h->base.params->n};
    WB_TRY (wb_comm_alone (&h->alone));
    return wb_ckpt_reader_new (&h->reader, h->alone, from, &set);
}

static wb_status open_dir (wb_weights_t **out, const char *dir) {
    hf_t *h = wb_calloc (1, sizeof *h);
    if (h == NULL) return WB_NOMEM ("model %s", dir);
    h->base.read = read_tensor;
    h->base.close = close_reader;
    const wb_status status = open_into (h, dir);
    if (status == WB_OK)
        *out = &h->base;
    else
        wb_weights_close (&h->base);
    return status;
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

static wb_status tokenizer_facts (json_t *facts, const wb_weights_t *w) {
    static const char *const others[] = {"tokenizer.json", "spiece.model", "vocab.json", "vocab.txt"};
    if (w->tokenizer != NULL)
        return wb_fact_text (facts, "tokenizer", "%s, %d ids", wb_tokenizer_kind (w->tokenizer),
                             (int) wb_tokenizer_size (w->tokenizer));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (wb_file_is_in (w->directory, others[i]))
            return wb_fact_text (facts, "tokenizer", "%s, which wabun cannot use", others[i]);
    return wb_fact (facts, "tokenizer", json_null ());
}

/* Of a checkpoint of wabun all blocks are read and compared. */
static wb_status checksum_facts (json_t *facts, const hf_t *h) {
    if (!wb_file_is_in (h->base.directory, "checksums.json")) return wb_fact (facts, "checksums", json_null ());
    wb_error_t error = {0};
    const wb_status status = wb_ckpt_verify (h->alone, h->base.directory);
    if (status != WB_OK && status != WB_EDATA) return status;
    if (status != WB_OK) wb_error_take (&error);
    if (error.status != WB_OK) return wb_fact_text (facts, "checksums", "bad: %s", error.text);
    return wb_fact_text (facts, "checksums", "good");
}

static wb_status file_facts (json_t *facts, const char *dir) {
    wb_names_t names = {0};
    wb_status status = wb_dir_list (&names, dir);
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        char *path = wb_format ("%s/%s", dir, names.data[i]);
        status = path != NULL ? WB_OK : WB_NOMEM ("%s", dir);
        if (status == WB_OK && !wb_file_is_dir (path)) status = wb_fact_file (facts, path);
        wb_free (path);
    }
    wb_names_fini (&names);
    return status;
}

static wb_status model_facts (json_t *facts, const hf_t *h) {
    const char *dir = h->base.directory;
    const wb_dtype dtype = wb_ckpt_reader_dtype (h->reader, wb_params_get (h->base.params, WB_ROLE_QKV_W, 0));
    if (wb_file_is_in (dir, "checksums.json")) WB_TRY (wb_fact_text (facts, "format", "a checkpoint of wabun"));
    if (h->adapter != NULL) WB_TRY (wb_fact_text (facts, "adapter", "of %s", wb_adapter_base (h->adapter)));
    WB_TRY (wb_fact_size (facts, &h->base.size));
    WB_TRY (wb_fact_text (facts, "numbers", "%s", wb_dtype_name (dtype)));
    WB_TRY (tokenizer_facts (facts, &h->base));
    WB_TRY (wb_training_facts (facts, dir));
    WB_TRY (checksum_facts (facts, h));
    return file_facts (facts, dir);
}

static wb_status inspect (json_t *facts, const char *dir) {
    wb_weights_t *w;
    WB_TRY (open_dir (&w, dir));
    const wb_status status = model_facts (facts, (const hf_t *) w);
    wb_weights_close (w);
    return status;
}

const wb_format_t wb_format_hf = {
    .name = "hf",
    .what = "a model directory of Hugging Face or wabun",
    .opened_by = "from_pretrained of Hugging Face's transformers",
    .keeps = "all weights, in fp32 bit for bit, and the tokenizer; the optimizer's state is left out",
    .types = 1u << WB_NUMBER_F32 | 1u << WB_NUMBER_F16 | 1u << WB_NUMBER_BF16,
    .probe = probe,
    .inspect = inspect,
    .open = open_dir,
    .write = wb_hf_write,
    .cleans = true,
};
