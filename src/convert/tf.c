/* Checkpoints of TensorFlow with a GPT-2 of gpt2-japanese or OpenAI: looking at one, and reading the model.
 *
 * A directory with hparams.json and PREFIX.index, PREFIX.data-0000K-of-0000N; which PREFIX, the file `checkpoint` says,
 * or there is one only.  Checksums of tensors are compared while they are read.  What the optimizer had is left out.
 *
 * Not done here: writing (tf_write.c), checkpoints of TensorFlow before 2017 (version 1). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/tf.h"
#include "wabun/json.h"

#define PIECE ((int64_t) 1 << 16) /* numbers read at a time */

typedef struct tf {
    wb_weights_t base;
    char *prefix; /* path without .index */
    wb_bundle_t bundle;
    wb_cursor_file_t *shard; /* the one that was read last */
    int64_t shard_number;
    char *raw; /* [PIECE] of 8 bytes */
} tf_t;

/* ---- which checkpoint -------------------------------------------------------------------------------------------- */

/* The only *.index of a directory; NULL: none, or several. */
static wb_status only_index (char **prefix, const char *dir) {
    wb_names_t names = {0};
    wb_status status = wb_dir_list (&names, dir);
    const char *found = NULL;
    int n = 0;
    for (int64_t i = 0; i < names.len && status == WB_OK; i++)
        if (wb_ends_with (names.data[i], ".index")) found = names.data[i], n++;
    *prefix = NULL;
    if (status == WB_OK && n == 1) {
        *prefix = wb_format ("%s/%.*s", dir, (int) strlen (found) - 6, found);
        if (*prefix == NULL) status = WB_NOMEM ("%s", dir);
    }
    wb_names_fini (&names);
    return status;
}

/* The newest, of DIR/checkpoint; a name with a path is one of another machine, of which the last part counts. */
static wb_status newest (char **prefix, const char *dir) {
    static const char key[] = "model_checkpoint_path: \"";
    char *path = wb_format ("%s/checkpoint", dir), *text = NULL;
    size_t n;
    wb_status status = path != NULL ? wb_file_read (&text, &n, path) : WB_NOMEM ("%s", dir);
    *prefix = NULL;
    char *from = status == WB_OK ? strstr (text, key) : NULL,
         *end = from != NULL ? strchr (from + sizeof key - 1, '"') : NULL;
    if (status == WB_OK && end == NULL)
        status = WB_FAIL (WB_EDATA, "%s: there is no model_checkpoint_path in it", path);
    if (status == WB_OK) {
        *end = 0;
        *prefix = wb_format ("%s/%s", dir, wb_file_name (from + sizeof key - 1));
        if (*prefix == NULL) status = WB_NOMEM ("%s", dir);
    }
    wb_free (path);
    wb_free (text);
    return status;
}

static wb_status find_prefix (char **prefix, const char *path) {
    *prefix = NULL;
    if (!wb_file_is_dir (path)) {
        *prefix = wb_strndup (path, wb_ends_with (path, ".index") ? strlen (path) - 6 : strlen (path));
        return *prefix != NULL ? WB_OK : WB_NOMEM ("%s", path);
    }
    if (wb_file_is_in (path, "checkpoint")) return newest (prefix, path);
    WB_TRY (only_index (prefix, path));
    if (*prefix != NULL) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%s: there are several checkpoints in it: name one, PREFIX.index", path);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static wb_status open_shard (tf_t *t, int64_t number) {
    if (t->shard != NULL && t->shard_number == number) return WB_OK;
    wb_cursor_close (t->shard);
    t->shard = NULL;
    char *path = wb_format ("%s.data-%05" PRId64 "-of-%05" PRId64, t->prefix, number, t->bundle.shards);
    const wb_status status = path != NULL ? wb_cursor_open (&t->shard, path) : WB_NOMEM ("%s", t->prefix);
    t->shard_number = number;
    wb_free (path);
    return status;
}

/* Linears may have a dimension of 1 before theirs. */
static bool same_shape (const wb_bundle_tensor_t *is, const wb_param_t *p) {
    const int64_t *shape = is->shape;
    int ndim = is->ndim;
    if (ndim == p->ndim + 1 && shape[0] == 1) shape++, ndim--;
    return ndim == p->ndim && shape[ndim - 1] == p->cols && (ndim == 1 || shape[0] == p->rows);
}

static wb_status find_param (const wb_bundle_tensor_t **out, const tf_t *t, const wb_param_t *p) {
    char name[64];
    const wb_bundle_tensor_t *is = *out = wb_bundle_find (&t->bundle, wb_tf_name (name, p));
    if (is == NULL)
        return WB_FAIL (WB_EDATA, "%s.index: no tensor '%s' among its %" PRId64, t->prefix, name, t->bundle.n);
    if (!same_shape (is, p))
        return WB_FAIL (WB_EDATA, "%s.index: tensor '%s' has another size than hparams.json says", t->prefix, name);
    if (wb_bundle_dtype (is->type) == WB_OTHER)
        return WB_FAIL (WB_EDATA, "%s.index: tensor '%s' is not of floating-point numbers", t->prefix, name);
    return WB_OK;
}

static wb_status read_tensor (wb_weights_t *w, float *out, const wb_param_t *p) {
    tf_t *t = (tf_t *) w;
    const wb_bundle_tensor_t *is;
    uint32_t crc = 0;
    WB_TRY (find_param (&is, t, p));
    WB_TRY (open_shard (t, is->shard));
    const wb_dtype dtype = wb_bundle_dtype (is->type);
    const int64_t n = p->rows * p->cols, size = wb_st_element_bytes (dtype);
    if (is->bytes > t->shard->bytes || is->at > t->shard->bytes - is->bytes)
        return WB_FAIL (
            WB_EDATA, "%s: tensor '%s' has %" PRId64 " bytes from byte %" PRId64 " of %" PRId64 ": cut off or damaged",
            t->shard->path, is->name, is->bytes, is->at, t->shard->bytes);
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t m = n - i < PIECE ? n - i : PIECE;
        WB_TRY (wb_cursor_read (t->shard, t->raw, (size_t) (m * size), is->at + i * size));
        crc = wb_crc32c (crc, t->raw, (size_t) (m * size));
        wb_st_widen (out + i, t->raw, m, dtype);
    }
    if (wb_crc32c_mask (crc) == is->crc) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: tensor '%s' does not have its checksum: damaged", t->shard->path, is->name);
}

/* ---- a model ----------------------------------------------------------------------------------------------------- */

static wb_status take_size (int64_t *out, const json_t *j, const char *key, int64_t most, const char *dir) {
    const json_t *value = json_object_get (j, key);
    *out = json_integer_value (value);
    if (json_is_integer (value) && *out >= 1 && *out <= most) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s/hparams.json: \"%s\" must be a whole number from 1 to %" PRId64, dir, key, most);
}

/* The vocabulary is that of the embedding: in hparams.json it is a padded one sometimes, or 0. */
static wb_status take_sizes (wb_size_t *s, const tf_t *t, const json_t *j) {
    const char *dir = t->base.directory;
    const wb_bundle_tensor_t *wte = wb_bundle_find (&t->bundle, "model/wte");
    WB_TRY (take_size (&s->T, j, "n_ctx", 1 << 20, dir));
    WB_TRY (take_size (&s->C, j, "n_embd", 1 << 17, dir));
    WB_TRY (take_size (&s->H, j, "n_head", 1 << 17, dir));
    WB_TRY (take_size (&s->L, j, "n_layer", 4096, dir));
    if (wte == NULL) return WB_FAIL (WB_EDATA, "%s.index: no tensor 'model/wte': not a GPT-2", t->prefix);
    s->V = wte->ndim == 2 ? wte->shape[0] : 0;
    if (s->V < 2 || s->V > 1 << 26 || s->C % s->H != 0 || s->L > t->bundle.n)
        return WB_FAIL (WB_EDATA,
                        "%s/hparams.json: impossible sizes: %" PRId64 " layers, width %" PRId64 ", %" PRId64 " heads",
                        dir, s->L, s->C, s->H);
    return WB_OK;
}

static wb_status read_size (wb_size_t *s, const tf_t *t) {
    json_error_t why;
    char *path = wb_format ("%s/hparams.json", t->base.directory);
    if (path == NULL) return WB_NOMEM ("%s", t->base.directory);
    wb_status status = WB_OK;
    *s = (wb_size_t){0};
    if (!wb_file_exists (path))
        status = WB_FAIL (WB_EDATA, "%s: no such file: without it nobody knows how many heads the model has", path);
    json_t *j = status == WB_OK ? wb_json_load_file (path, 0, &why) : NULL;
    if (status == WB_OK && j == NULL) status = WB_FAIL (WB_EDATA, "%s:%d: not JSON: %.100s", path, why.line, why.text);
    if (status == WB_OK) status = take_sizes (s, t, j);
    json_decref (j);
    wb_free (path);
    return status;
}

/* A layer too many: the model would compute something else. */
static wb_status check_layers (const tf_t *t) {
    for (int64_t i = 0; i < t->bundle.n; i++) {
        long long layer;
        if (sscanf (t->bundle.list[i].name, "model/h%lld/", &layer) == 1 && layer >= t->base.size.L)
            return WB_FAIL (WB_EDATA, "%s.index: tensor '%s' belongs to a layer that hparams.json does not have",
                            t->prefix, t->bundle.list[i].name);
    }
    return WB_OK;
}

static wb_status open_index (tf_t *t, const char *path) {
    WB_TRY (find_prefix (&t->prefix, path));
    t->base.directory = wb_file_dir (t->prefix);
    t->raw = wb_malloc ((size_t) PIECE * 8);
    char *index = wb_format ("%s.index", t->prefix);
    wb_status status = t->base.directory != NULL && t->raw != NULL && index != NULL ? WB_OK : WB_NOMEM ("%s", path);
    if (status == WB_OK) status = wb_bundle_read (&t->bundle, index);
    wb_free (index);
    return status;
}

static wb_status open_into (tf_t *t, const char *path) {
    wb_size_t size;
    WB_TRY (open_index (t, path));
    WB_TRY (read_size (&size, t));
    WB_TRY (wb_weights_init (&t->base, &size));
    WB_TRY (check_layers (t));
    for (int i = 0; i < t->base.params->n; i++) {
        const wb_bundle_tensor_t *is;
        WB_TRY (find_param (&is, t, &t->base.params->list[i]));
    }
    bool found;
    WB_TRY (wb_tokenizer_probe (&found, t->base.directory));
    return found ? wb_tokenizer_new (&t->base.tokenizer, t->base.directory) : WB_OK;
}

static void close_files (wb_weights_t *w) {
    tf_t *t = (tf_t *) w;
    wb_cursor_close (t->shard);
    wb_bundle_fini (&t->bundle);
    wb_free (t->prefix);
    wb_free (t->raw);
}

static wb_status new (tf_t **out, const char *path) {
    *out = wb_calloc (1, sizeof **out);
    if (*out == NULL) return WB_NOMEM ("%s", path);
    (*out)->base.read = read_tensor;
    (*out)->base.close = close_files;
    return WB_OK;
}

static wb_status open_model (wb_weights_t **out, const char *path) {
    tf_t *t = NULL;
    WB_TRY (new (&t, path));
    const wb_status status = open_into (t, path);
    if (status == WB_OK)
        *out = &t->base;
    else
        wb_weights_close (&t->base);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static wb_status file_facts (json_t *facts, tf_t *t, const char *path) {
    wb_size_t size;
    char type[32];
    WB_TRY (open_index (t, path));
    WB_TRY (wb_fact_text (facts, "checkpoint", "%s", wb_file_name (t->prefix)));
    if (wb_file_is_in (t->base.directory, "hparams.json") && wb_bundle_find (&t->bundle, "model/wte") != NULL) {
        WB_TRY (read_size (&size, t));
        WB_TRY (wb_fact_size (facts, &size));
    }
    WB_TRY (wb_fact_int (facts, "files of numbers", t->bundle.shards));
    WB_TRY (wb_fact_int (facts, "tensors", t->bundle.n));
    json_t *list = wb_fact_list (facts, "tensor");
    if (list == NULL) return WB_NOMEM ("facts");
    for (int64_t i = 0; i < t->bundle.n; i++) {
        const wb_bundle_tensor_t *one = &t->bundle.list[i];
        const wb_dtype dtype = wb_bundle_dtype (one->type);
        snprintf (type, sizeof type, "type %d of TensorFlow", one->type);
        WB_TRY (
            wb_fact_tensor (list, one->name, dtype != WB_OTHER ? wb_dtype_name (dtype) : type, one->shape, one->ndim));
    }
    return WB_OK;
}

static wb_status inspect (json_t *facts, const char *path) {
    tf_t *t = NULL;
    WB_TRY (new (&t, path));
    const wb_status status = file_facts (facts, t, path);
    wb_weights_close (&t->base);
    return status;
}

static bool probe (const wb_look_t *look) {
    char *prefix = NULL;
    if (!look->directory) return wb_ends_with (look->name, ".index");
    if (wb_file_is_in (look->path, "config.json") || wb_file_is_in (look->path, "latest")) return false;
    if (wb_file_is_in (look->path, "checkpoint") && wb_file_is_in (look->path, "hparams.json")) return true;
    if (only_index (&prefix, look->path) != WB_OK) wb_error_clear ();
    const bool there = prefix != NULL;
    wb_free (prefix);
    return there || wb_file_is_in (look->path, "hparams.json");
}

const wb_format_t wb_format_tf = {
    .name = "tf",
    .what = "a checkpoint of gpt2-japanese (TensorFlow)",
    .opened_by = "gpt2-japanese",
    .keeps = "all weights, bit for bit, and wabun's tokenizer files; not the training",
    .types = 1u << WB_NUMBER_F32,
    .probe = probe,
    .inspect = inspect,
    .open = open_model,
    .write = wb_tf_write,
};
