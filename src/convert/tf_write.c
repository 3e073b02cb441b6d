/* Writing a checkpoint of gpt2-japanese: DIR/model-STEP.index and .data-00000-of-00001, hparams.json and `checkpoint`,
 * by which TensorFlow finds the newest.
 *
 * Names and shapes as in OpenAI's own files: linears [1, in, out] (convolutions of one position). */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tf.h"

const char *wb_tf_name (char buf[64], const wb_param_t *p) {
    static const char *const names[WB_ROLES] = {
        [WB_ROLE_WTE] = "wte",
        [WB_ROLE_WPE] = "wpe",
        [WB_ROLE_LN1_G] = "ln_1/g",
        [WB_ROLE_LN1_B] = "ln_1/b",
        [WB_ROLE_QKV_W] = "attn/c_attn/w",
        [WB_ROLE_QKV_B] = "attn/c_attn/b",
        [WB_ROLE_ATT_W] = "attn/c_proj/w",
        [WB_ROLE_ATT_B] = "attn/c_proj/b",
        [WB_ROLE_LN2_G] = "ln_2/g",
        [WB_ROLE_LN2_B] = "ln_2/b",
        [WB_ROLE_FC_W] = "mlp/c_fc/w",
        [WB_ROLE_FC_B] = "mlp/c_fc/b",
        [WB_ROLE_PROJ_W] = "mlp/c_proj/w",
        [WB_ROLE_PROJ_B] = "mlp/c_proj/b",
        [WB_ROLE_LNF_G] = "ln_f/g",
        [WB_ROLE_LNF_B] = "ln_f/b",
    };
    if (p->role >= WB_ROLE_LN1_G && p->role <= WB_ROLE_PROJ_B)
        snprintf (buf, 64, "model/h%d/%s", p->layer, names[p->role]);
    else
        snprintf (buf, 64, "model/%s", names[p->role]);
    return buf;
}

typedef struct named {
    char name[64];
    const wb_param_t *p;
} named_t;

static int by_name (const void *a, const void *b) {
    return strcmp (((const named_t *) a)->name, ((const named_t *) b)->name);
}

static wb_bundle_tensor_t entry_of (named_t *one) {
    const wb_param_t *p = one->p;
    wb_bundle_tensor_t t = {.name = one->name, .type = 1, .ndim = 1, .shape = {p->cols}};
    if (p->role == WB_ROLE_WTE || p->role == WB_ROLE_WPE)
        t = (wb_bundle_tensor_t){.name = one->name, .type = 1, .ndim = 2, .shape = {p->rows, p->cols}};
    else if (p->ndim == 2)
        t = (wb_bundle_tensor_t){.name = one->name, .type = 1, .ndim = 3, .shape = {1, p->rows, p->cols}};
    t.bytes = p->rows * p->cols * (int64_t) sizeof (float);
    return t;
}

/* The data, and what the index says of them. */
static wb_status put_tensors (wb_sstable_t *index, wb_writer_t *out, wb_weights_t *w, named_t *names, float *values) {
    int64_t at = 0;
    WB_TRY (wb_bundle_put_header (index));
    for (int i = 0; i < w->params->n; i++) {
        wb_bundle_tensor_t t = entry_of (&names[i]);
        WB_TRY (wb_weights_read (w, values, names[i].p));
        WB_TRY (wb_writer_put (out, values, (size_t) t.bytes));
        t.at = at;
        t.crc = wb_crc32c_mask (wb_crc32c (0, values, (size_t) t.bytes));
        WB_TRY (wb_bundle_put (index, &t));
        at += t.bytes;
    }
    return WB_OK;
}

static wb_status put_data (wb_sstable_t *index, const wb_outdir_t *d, const char *base, wb_weights_t *w) {
    wb_writer_t out = {0};
    int64_t most = 0;
    named_t *names = wb_calloc ((size_t) w->params->n, sizeof *names);
    char *path = wb_format ("%s/%s.data-00000-of-00001", d->temp, base);
    for (int i = 0; i < w->params->n && names != NULL; i++) {
        const wb_param_t *p = &w->params->list[i];
        names[i].p = p;
        wb_tf_name (names[i].name, p);
        if (p->rows * p->cols > most) most = p->rows * p->cols;
    }
    float *values = wb_malloc ((size_t) most * sizeof *values);
    wb_status status = names != NULL && path != NULL && values != NULL ? WB_OK : WB_NOMEM ("a tensor");
    if (status == WB_OK) qsort (names, (size_t) w->params->n, sizeof *names, by_name);
    if (status == WB_OK) status = wb_writer_begin (&out, path);
    if (status == WB_OK) status = put_tensors (index, &out, w, names, values);
    if (status == WB_OK) status = wb_writer_end (&out);
    wb_writer_cancel (&out);
    wb_free (values);
    wb_free (names);
    wb_free (path);
    return status;
}

static wb_status put_index (wb_sstable_t *index, const wb_outdir_t *d, const char *base) {
    wb_buf_t file = {0};
    char *name = wb_format ("%s.index", base);
    wb_status status = name != NULL ? wb_sstable_end (index, &file) : WB_NOMEM ("the index");
    if (status == WB_OK) status = wb_outdir_text (d, name, file.data, file.len);
    wb_buf_fini (&file);
    wb_free (name);
    return status;
}

static wb_status put_texts (const wb_outdir_t *d, const char *base, const wb_weights_t *w) {
    const wb_size_t *s = &w->size;
    char text[512];
    const int n =
        snprintf (text, sizeof text, "model_checkpoint_path: \"%s\"\nall_model_checkpoint_paths: \"%s\"\n", base, base);
    WB_TRY (wb_outdir_text (d, "checkpoint", text, (size_t) n));
    if (w->tokenizer != NULL) WB_TRY (wb_tokenizer_save (w->tokenizer, d->temp));
    return wb_outdir_json (d, "hparams.json",
                           json_pack ("{s:I, s:I, s:I, s:I, s:I}", "n_vocab", (json_int_t) s->V, "n_ctx",
                                      (json_int_t) s->T, "n_embd", (json_int_t) s->C, "n_head", (json_int_t) s->H,
                                      "n_layer", (json_int_t) s->L));
}

/* model-STEP, as the original's training names them. */
static wb_status base_name (char base[64], const wb_weights_t *w) {
    json_t *facts = json_object ();
    const wb_status status = w->directory != NULL ? wb_training_facts (facts, w->directory) : WB_OK;
    if (status == WB_OK)
        snprintf (base, 64, "model-%lld", (long long) json_integer_value (json_object_get (facts, "step")));
    json_decref (facts);
    return status;
}

wb_status wb_tf_write (const wb_export_t *x, wb_weights_t *w) {
    wb_outdir_t d = {0};
    wb_sstable_t index = {0};
    char base[64];
    WB_TRY (base_name (base, w));
    wb_status status = wb_outdir_begin (&d, x->out);
    if (status == WB_OK) status = put_data (&index, &d, base, w);
    if (status == WB_OK) status = put_index (&index, &d, base);
    if (status == WB_OK) status = put_texts (&d, base, w);
    if (status == WB_OK) status = wb_outdir_end (&d);
    wb_outdir_cancel (&d);
    wb_sstable_fini (&index);
    return status;
}
