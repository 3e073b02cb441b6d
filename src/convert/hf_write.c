/* A directory that Hugging Face's from_pretrained takes as it is.
 *
 * Layout of several files: https://huggingface.co/docs/transformers/big_models.  Names are those of the parameter
 * table, without "transformer." before them, as in OpenAI's own upload; transformers adds it.
 *
 * Not done here: the tokenizer's files (hf_tokenizer.c), the card (card.c). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/json.h"

#define PACK 65536 /* numbers converted at a time */

/* ---- tensors --------------------------------------------------------------------------------------------------- */

typedef struct shards {
    wb_weights_t *w;
    wb_number type;
    int n;
    int *of; /* [params->n] the file of each tensor */
} shards_t;

static int64_t tensor_bytes (const shards_t *s, int i) {
    const wb_param_t *p = &s->w->params->list[i];
    return p->rows * p->cols * wb_number_bytes (s->type);
}

static void divide (shards_t *s, int64_t most) {
    int64_t used = 0;
    s->n = 1;
    for (int i = 0; i < s->w->params->n; i++) {
        const int64_t bytes = tensor_bytes (s, i);
        if (used > 0 && bytes > most - used) s->n++, used = 0;
        used += bytes;
        s->of[i] = s->n - 1;
    }
}

static char *shard_name (const shards_t *s, int k) {
    if (s->n == 1) return wb_format ("model.safetensors");
    return wb_format ("model-%05d-of-%05d.safetensors", k + 1, s->n);
}

static wb_status put_tensor (wb_writer_t *out, const shards_t *s, const wb_param_t *p, float *values, char *packed) {
    WB_TRY (wb_weights_read (s->w, values, p));
    for (int64_t i = 0, n = p->rows * p->cols; i < n; i += PACK) {
        const int64_t m = n - i < PACK ? n - i : PACK;
        wb_numbers_pack (packed, values + i, m, s->type);
        WB_TRY (wb_writer_put (out, packed, (size_t) (m * wb_number_bytes (s->type))));
    }
    return WB_OK;
}

static wb_status put_shard (wb_writer_t *out, const shards_t *s, int k, float *values, char *packed) {
    static const wb_dtype dtypes[] = {WB_F32, WB_F16, WB_BF16};
    const wb_params_t *params = s->w->params;
    wb_st_tensor_t *tensors = wb_calloc ((size_t) params->n, sizeof *tensors);
    char *header = NULL;
    size_t bytes;
    int n = 0;
    if (tensors == NULL) return WB_NOMEM ("tensors");
    for (int i = 0; i < params->n; i++) {
        wb_param_t *p = &params->list[i];
        if (s->of[i] == k)
            tensors[n++] = (wb_st_tensor_t){.name = p->name,
                                            .dtype = dtypes[s->type],
                                            .ndim = p->ndim,
                                            .shape = {p->ndim == 2 ? p->rows : p->cols, p->cols}};
    }
    wb_status status = wb_st_header (&header, &bytes, tensors, n);
    if (status == WB_OK) status = wb_writer_put (out, header, bytes);
    for (int i = 0; i < params->n && status == WB_OK; i++)
        if (s->of[i] == k) status = put_tensor (out, s, &params->list[i], values, packed);
    wb_free (header);
    wb_free (tensors);
    return status;
}

static wb_status put_shards (const wb_outdir_t *d, const shards_t *s, float *values, char *packed) {
    for (int k = 0; k < s->n; k++) {
        wb_writer_t out = {0};
        char *name = shard_name (s, k), *path = name != NULL ? wb_format ("%s/%s", d->temp, name) : NULL;
        wb_status status = path != NULL ? wb_writer_begin (&out, path) : WB_NOMEM ("a path");
        if (status == WB_OK) status = put_shard (&out, s, k, values, packed);
        if (status == WB_OK) status = wb_writer_end (&out);
        wb_writer_cancel (&out);
        wb_free (name);
        wb_free (path);
        WB_TRY (status);
    }
    return WB_OK;
}

static wb_status put_index (const wb_outdir_t *d, const shards_t *s) {
    json_t *root = json_object (), *meta = json_object (), *map = json_object ();
    int64_t total = 0;
    bool good = json_object_set_new (root, "metadata", meta) == 0;
    good = json_object_set_new (root, "weight_map", map) == 0 && good;
    for (int i = 0; i < s->w->params->n && good; i++) {
        char *name = shard_name (s, s->of[i]);
        total += tensor_bytes (s, i);
        good = name != NULL && json_object_set_new (map, s->w->params->list[i].name, json_string (name)) == 0;
        wb_free (name);
    }
    good = json_object_set_new (meta, "total_size", json_integer (total)) == 0 && good;
    if (!good) json_decref (root);
    return wb_outdir_json (d, "model.safetensors.index.json", good ? root : NULL);
}

static wb_status put_tensors (const wb_outdir_t *d, wb_weights_t *w, wb_number type, int64_t shard) {
    shards_t s = {.w = w, .type = type};
    int64_t most = 0;
    for (int i = 0; i < w->params->n; i++) {
        const int64_t n = w->params->list[i].rows * w->params->list[i].cols;
        if (n > most) most = n;
    }
    s.of = wb_calloc ((size_t) w->params->n, sizeof *s.of);
    float *values = wb_malloc ((size_t) most * sizeof *values);
    char *packed = wb_malloc (PACK * sizeof (float));
    wb_status status = s.of != NULL && values != NULL && packed != NULL ? WB_OK : WB_NOMEM ("a tensor");
    if (status == WB_OK) divide (&s, shard);
    if (status == WB_OK) status = put_shards (d, &s, values, packed);
    if (status == WB_OK && s.n > 1) status = put_index (d, &s);
    wb_free (s.of);
    wb_free (values);
    wb_free (packed);
    return status;
}

/* ---- the directory --------------------------------------------------------------------------------------------- */

static wb_status put_config (const wb_outdir_t *d, const wb_weights_t *w, wb_number type) {
    static const char *const names[] = {"float32", "float16", "bfloat16"};
    char *text = wb_model_config_text (&w->size, w->tokenizer != NULL ? wb_tokenizer_eot (w->tokenizer) : -1);
    json_t *config = text != NULL ? wb_json_load (text, strlen (text), 0, NULL) : NULL;
    wb_free (text);
    if (json_object_set_new (config, "torch_dtype", json_string (names[type])) != 0) {
        json_decref (config);
        return WB_NOMEM ("config.json");
    }
    return wb_outdir_json (d, "config.json", config);
}

wb_status wb_hf_model (const wb_outdir_t *d, wb_weights_t *w, wb_number type, int64_t shard) {
    WB_TRY (put_tensors (d, w, type, shard));
    if (w->tokenizer != NULL) WB_TRY (wb_tokenizer_save (w->tokenizer, d->temp));
    WB_TRY (wb_chat_files (d, w->directory));
    return put_config (d, w, type);
}

static wb_status put_generation (const wb_outdir_t *d, const wb_tokenizer_t *t) {
    json_t *j = json_object ();
    bool good = json_object_set_new (j, "_from_model_config", json_true ()) == 0;
    const char *const ends[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    for (int i = 0; i < 3 && t != NULL; i++)
        good = json_object_set_new (j, ends[i], json_integer (wb_tokenizer_eot (t))) == 0 && good;
    good = json_object_set_new (j, "do_sample", json_true ()) == 0 && good;
    good = json_object_set_new (j, "top_k", json_integer (40)) == 0 && good;
    if (!good) json_decref (j);
    return wb_outdir_json (d, "generation_config.json", good ? j : NULL);
}

static wb_status write_dir (const wb_outdir_t *d, const wb_export_t *x, wb_weights_t *w) {
    wb_buf_t card = {0};
    const char *note = "The model had no tokenizer that wabun knows.";
    WB_TRY (wb_hf_model (d, w, x->type, x->shard));
    WB_TRY (put_generation (d, w->tokenizer));
    if (w->tokenizer != NULL) WB_TRY (wb_hf_tokenizer (d, &note, w->tokenizer, w->size.T, x->clean));
    wb_status status = wb_card (&card, x, w, note);
    if (status == WB_OK) status = wb_outdir_text (d, "README.md", card.data, card.len);
    wb_buf_fini (&card);
    if (status == WB_OK) wb_info ("%s: %s", x->out, note);
    return status;
}

wb_status wb_hf_write (const wb_export_t *x, wb_weights_t *w) {
    wb_outdir_t d = {0};
    if (x->clean && w->tokenizer == NULL)
        return WB_FAIL (WB_EUSAGE, "--clean is for models of ja-bpe and ja-swe: %s has no tokenizer that wabun knows",
                        x->from);
    if (x->clean && !wb_hf_cleans (w->tokenizer))
        return WB_FAIL (WB_EUSAGE, "--clean is for models of ja-bpe and ja-swe: the tokenizer of %s is %s", x->from,
                        wb_tokenizer_kind (w->tokenizer));
    wb_status status = wb_outdir_begin (&d, x->out);
    if (status == WB_OK) status = write_dir (&d, x, w);
    if (status == WB_OK) status = wb_outdir_end (&d);
    wb_outdir_cancel (&d);
    return status;
}
