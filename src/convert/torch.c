/* Models as torch.save() writes them: pytorch_model.bin, one or several with an index, or any .bin, .pt, .pth, with
 * config.json beside it.
 *
 * Tensors may share a storage, and lie in it with any strides.
 *
 * Names as checkpoint/names.c has them: something may stand before all of them, an output layer must equal the
 * embedding, or stands for it.
 *
 * Not done here: a single file (torch_file.c), writing. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/torch.h"
#include "wabun/json.h"

#define PIECE ((int64_t) 1 << 16) /* numbers read at a time */

typedef struct torch {
    wb_weights_t base;
    wb_torch_file_t *files;
    int64_t nfiles, cap, tensors;
    char prefix[128];
    char *raw; /* [PIECE] numbers of 8 bytes, then as many gathered */
    float *wide;
} torch_t;

/* ---- files ------------------------------------------------------------------------------------------------------- */

static wb_status add_file (torch_t *t, const char *dir, const char *name) {
    if (!WB_GROW (t->files, t->cap, t->nfiles + 1)) return WB_NOMEM ("%s", dir);
    wb_torch_file_t *f = &t->files[t->nfiles++];
    *f = (wb_torch_file_t){.path = wb_format ("%s/%s", dir, name)};
    if (f->path == NULL) return WB_NOMEM ("%s", dir);
    WB_TRY (wb_torch_file_open (f));
    t->tensors += f->pickle.n;
    return WB_OK;
}

static wb_status add_indexed (torch_t *t, const char *dir, const char *index) {
    json_error_t why;
    const char *tensor;
    json_t *value, *root = wb_json_load_file (index, 0, &why), *map = json_object_get (root, "weight_map");
    wb_status status = WB_OK;
    if (json_object_size (map) == 0)
        status = WB_FAIL (WB_EDATA, "%s: there is no \"weight_map\" with tensors in it", index);
    json_object_foreach (map, tensor, value) {
        const char *name = json_string_value (value);
        bool known = false;
        if (status != WB_OK) break;
        if (name == NULL || name[0] == 0 || name[0] == '.' || strchr (name, '/') != NULL) {
            status = WB_FAIL (WB_EDATA, "%s: \"weight_map\" must give the names of files in this directory", index);
            break;
        }
        for (int64_t i = 0; i < t->nfiles && !known; i++) known = strcmp (wb_file_name (t->files[i].path), name) == 0;
        if (!known) status = add_file (t, dir, name);
    }
    json_decref (root);
    return status;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

typedef struct place {
    const wb_torch_file_t *file;
    const wb_pickle_tensor_t *tensor;
} place_t;

/* Of a name that is there twice the last counts, as in Python. */
static bool lookup (place_t *out, const torch_t *t, const char *before, const char *name) {
    const size_t n = strlen (before);
    *out = (place_t){0};
    for (int64_t k = 0; k < t->nfiles; k++)
        for (int64_t i = 0; i < t->files[k].pickle.n; i++) {
            const wb_pickle_tensor_t *one = &t->files[k].pickle.list[i];
            if (strncmp (one->name, before, n) == 0 && strcmp (one->name + n, name) == 0)
                *out = (place_t){&t->files[k], one};
        }
    return out->tensor != NULL;
}

/* The only tensor that is called `name`, or something with a point before it. */
static wb_status find_ending (place_t *out, const torch_t *t, const char *name) {
    const size_t m = strlen (name);
    *out = (place_t){0};
    for (int64_t k = 0; k < t->nfiles; k++)
        for (int64_t i = 0; i < t->files[k].pickle.n; i++) {
            const wb_pickle_tensor_t *one = &t->files[k].pickle.list[i];
            const size_t n = strlen (one->name);
            if (n < m || strcmp (one->name + n - m, name) != 0 || (n > m && one->name[n - m - 1] != '.')) continue;
            if (out->tensor != NULL && strcmp (out->tensor->name, one->name) != 0)
                return WB_FAIL (WB_EDATA, "%s: there are '%.100s' and '%.100s': two models?", t->files[k].path,
                                out->tensor->name, one->name);
            *out = (place_t){&t->files[k], one};
        }
    return WB_OK;
}

static wb_status choose_prefix (torch_t *t) {
    static const char *const usual[] = {"", "transformer."}, name[] = "wpe.weight";
    place_t at;
    for (int i = 0; i < 2; i++)
        if (lookup (&at, t, usual[i], name)) {
            snprintf (t->prefix, sizeof t->prefix, "%s", usual[i]);
            return WB_OK;
        }
    WB_TRY (find_ending (&at, t, name));
    if (at.tensor == NULL)
        return WB_FAIL (WB_EDATA, "%s: no tensor 'wpe.weight' among its %" PRId64 ": not a GPT-2", t->files[0].path,
                        t->tensors);
    const size_t n = strlen (at.tensor->name) - strlen (name);
    if (n >= sizeof t->prefix) return WB_FAIL (WB_EDATA, "%s: too long a name", at.file->path);
    snprintf (t->prefix, sizeof t->prefix, "%.*s", (int) n, at.tensor->name);
    return WB_OK;
}

/* The tensor of p, of the right shape and of a type that is read. */
static wb_status find_param (place_t *out, const torch_t *t, const wb_param_t *p) {
    if (!lookup (out, t, t->prefix, p->name) && p->role == WB_ROLE_WTE) WB_TRY (find_ending (out, t, "lm_head.weight"));
    if (out->tensor == NULL)
        return WB_FAIL (WB_EDATA, "%s: no tensor '%s%s' among its %" PRId64, t->files[0].path, t->prefix, p->name,
                        t->tensors);
    const wb_pickle_tensor_t *is = out->tensor;
    if (is->ndim != p->ndim || is->shape[p->ndim - 1] != p->cols || (p->ndim == 2 && is->shape[0] != p->rows))
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' has another size than config.json says", out->file->path, is->name);
    if (is->dtype == WB_OTHER)
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' is not of floating-point numbers", out->file->path, is->name);
    return WB_OK;
}

/* A layer too many: the model would compute something else. */
static wb_status check_layers (const torch_t *t) {
    const size_t n = strlen (t->prefix);
    for (int64_t k = 0; k < t->nfiles; k++)
        for (int64_t i = 0; i < t->files[k].pickle.n; i++) {
            const char *name = t->files[k].pickle.list[i].name;
            long long layer;
            if (strncmp (name, t->prefix, n) == 0 && sscanf (name + n, "h.%lld.", &layer) == 1 &&
                layer >= t->base.size.L)
                return WB_FAIL (WB_EDATA, "%s: tensor '%s' belongs to a layer that config.json does not have",
                                t->files[k].path, name);
        }
    return WB_OK;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* n numbers, `stride` apart in the storage, from number `first` on: to out, `step` apart. */
static wb_status read_line (torch_t *t, float *out, int64_t step, const place_t *at, int64_t first, int64_t stride,
                            int64_t n) {
    const int64_t size = at->tensor->element, from = wb_torch_storage (at->file, at->tensor->storage)->at;
    char *packed = t->raw + PIECE * 8;
    int64_t most = stride > 0 ? (PIECE - 1) / stride + 1 : PIECE;
    for (int64_t i = 0; i < n; i += most) {
        const int64_t m = n - i < most ? n - i : most, span = (m - 1) * stride + 1;
        WB_TRY (
            wb_cursor_read (at->file->zip.file, t->raw, (size_t) (span * size), from + (first + i * stride) * size));
        const char *numbers = stride == 1 ? t->raw : packed;
        for (int64_t k = 0; stride != 1 && k < m; k++)
            memcpy (packed + k * size, t->raw + k * stride * size, (size_t) size);
        float *to = step == 1 ? out + i : t->wide;
        wb_st_widen (to, numbers, m, at->tensor->dtype);
        for (int64_t k = 0; step != 1 && k < m; k++) out[(i + k) * step] = to[k];
    }
    return WB_OK;
}

/* Along the dimension in which numbers lie closer together. */
static wb_status read_place (torch_t *t, float *out, const place_t *at, int64_t rows, int64_t cols) {
    const wb_pickle_tensor_t *is = at->tensor;
    const int64_t down = is->ndim == 2 ? is->stride[0] : 0, along = is->stride[is->ndim - 1];
    if (along == 1 && (down == cols || rows == 1)) return read_line (t, out, 1, at, is->first, 1, rows * cols);
    if (rows > 1 && down < along) {
        for (int64_t c = 0; c < cols; c++) WB_TRY (read_line (t, out + c, cols, at, is->first + c * along, down, rows));
        return WB_OK;
    }
    for (int64_t r = 0; r < rows; r++) WB_TRY (read_line (t, out + r * cols, 1, at, is->first + r * down, along, cols));
    return WB_OK;
}

static wb_status read_tensor (wb_weights_t *w, float *out, const wb_param_t *p) {
    torch_t *t = (torch_t *) w;
    place_t at;
    WB_TRY (find_param (&at, t, p));
    return read_place (t, out, &at, p->rows, p->cols);
}

static bool same_place (const place_t *a, const place_t *b) {
    return a->file == b->file && strcmp (a->tensor->storage, b->tensor->storage) == 0 &&
           a->tensor->first == b->tensor->first && a->tensor->stride[0] == b->tensor->stride[0] &&
           a->tensor->stride[1] == b->tensor->stride[1];
}

/* An output layer beside the embedding must equal it. */
static wb_status check_head (torch_t *t, const wb_param_t *p) {
    place_t wte, head;
    WB_TRY (find_param (&wte, t, p));
    WB_TRY (find_ending (&head, t, "lm_head.weight"));
    if (head.tensor == NULL || head.tensor == wte.tensor) return WB_OK;
    const wb_pickle_tensor_t *a = wte.tensor, *b = head.tensor;
    bool same = b->ndim == 2 && a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1] && b->dtype != WB_OTHER;
    if (same && same_place (&wte, &head)) return WB_OK;
    float *x = wb_malloc ((size_t) (2 * p->cols) * sizeof *x);
    wb_status status = x != NULL ? WB_OK : WB_NOMEM ("a tensor");
    for (int64_t r = 0; r < p->rows && same && status == WB_OK; r++) {
        status = read_line (t, x, 1, &wte, a->first + r * a->stride[0], a->stride[1], p->cols);
        if (status == WB_OK)
            status = read_line (t, x + p->cols, 1, &head, b->first + r * b->stride[0], b->stride[1], p->cols);
        same = status == WB_OK && memcmp (x, x + p->cols, (size_t) p->cols * sizeof *x) == 0;
    }
    wb_free (x);
    if (status == WB_OK && !same)
        status = WB_FAIL (WB_EDATA,
                          "%s: tensor '%s' is not equal to '%s': wabun computes only models whose output is tied to "
                          "their embedding",
                          head.file->path, b->name, a->name);
    return status;
}

/* ---- a model ----------------------------------------------------------------------------------------------------- */

#define WHOLE "pytorch_model.bin"
#define INDEX "pytorch_model.bin.index.json"

static wb_status add_files (torch_t *t, const char *path) {
    if (!wb_file_is_dir (path)) return add_file (t, t->base.directory, wb_file_name (path));
    if (wb_file_is_in (path, WHOLE)) return add_file (t, path, WHOLE);
    char *index = wb_format ("%s/" INDEX, path);
    const wb_status status = index != NULL ? add_indexed (t, path, index) : WB_NOMEM ("%s", path);
    wb_free (index);
    return status;
}

static wb_status open_into (torch_t *t, const char *path) {
    wb_size_t size;
    t->base.directory = wb_file_is_dir (path) ? wb_strdup (path) : wb_file_dir (path);
    if (t->base.directory == NULL) return WB_NOMEM ("%s", path);
    WB_TRY (add_files (t, path));
    if (!wb_file_is_in (t->base.directory, "config.json"))
        return WB_FAIL (WB_EDATA, "%s: without a config.json beside it nobody knows how many heads the model has",
                        path);
    WB_TRY (wb_model_config_read (&size, t->base.directory));
    if (size.L > t->tensors)
        return WB_FAIL (WB_EDATA, "%s: %" PRId64 " layers, but %" PRId64 " tensors", path, size.L, t->tensors);
    WB_TRY (wb_weights_init (&t->base, &size));
    t->raw = wb_malloc ((size_t) PIECE * 16);
    t->wide = wb_malloc ((size_t) PIECE * sizeof *t->wide);
    if (t->raw == NULL || t->wide == NULL) return WB_NOMEM ("%s", path);
    WB_TRY (choose_prefix (t));
    WB_TRY (check_layers (t));
    for (int i = 0; i < t->base.params->n; i++) {
        place_t at;
        WB_TRY (find_param (&at, t, &t->base.params->list[i]));
    }
    WB_TRY (check_head (t, wb_params_get (t->base.params, WB_ROLE_WTE, 0)));
    bool found;
    WB_TRY (wb_tokenizer_probe (&found, t->base.directory));
    return found ? wb_tokenizer_new (&t->base.tokenizer, t->base.directory) : WB_OK;
}

static void close_files (wb_weights_t *w) {
    torch_t *t = (torch_t *) w;
    for (int64_t i = 0; i < t->nfiles; i++) wb_torch_file_close (&t->files[i]);
    wb_free (t->files);
    wb_free (t->raw);
    wb_free (t->wide);
}

static wb_status new (torch_t **out, const char *path) {
    *out = wb_calloc (1, sizeof **out);
    if (*out == NULL) return WB_NOMEM ("%s", path);
    (*out)->base.read = read_tensor;
    (*out)->base.close = close_files;
    return WB_OK;
}

static wb_status open_model (wb_weights_t **out, const char *path) {
    torch_t *t;
    WB_TRY (new (&t, path));
    const wb_status status = open_into (t, path);
    if (status == WB_OK)
        *out = &t->base;
    else
        wb_weights_close (&t->base);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static wb_status file_facts (json_t *facts, torch_t *t, const char *path) {
    wb_size_t size;
    t->base.directory = wb_file_is_dir (path) ? wb_strdup (path) : wb_file_dir (path);
    if (t->base.directory == NULL) return WB_NOMEM ("%s", path);
    WB_TRY (add_files (t, path));
    if (wb_file_is_in (t->base.directory, "config.json")) {
        WB_TRY (wb_model_config_read (&size, t->base.directory));
        WB_TRY (wb_fact_size (facts, &size));
    }
    WB_TRY (wb_fact_int (facts, "tensors", t->tensors));
    for (int64_t k = 0; k < t->nfiles; k++) WB_TRY (wb_fact_file (facts, t->files[k].path));
    json_t *list = wb_fact_list (facts, "tensor");
    if (list == NULL) return WB_NOMEM ("facts");
    for (int64_t k = 0; k < t->nfiles; k++)
        for (int64_t i = 0; i < t->files[k].pickle.n; i++) {
            const wb_pickle_tensor_t *one = &t->files[k].pickle.list[i];
            WB_TRY (wb_fact_tensor (list, one->name, wb_dtype_name (one->dtype), one->shape, one->ndim));
        }
    return WB_OK;
}

static wb_status inspect (json_t *facts, const char *path) {
    torch_t *t;
    WB_TRY (new (&t, path));
    const wb_status status = file_facts (facts, t, path);
    wb_weights_close (&t->base);
    return status;
}

/* A zip whose first entry is a pickle; or what is called so and is a zip or an old pickle. */
static bool probe (const wb_look_t *look) {
    static const char *const ends[] = {".bin", ".pt", ".pth", ".ckpt"};
    const unsigned char *head = look->head;
    if (look->directory)
        return !wb_file_is_in (look->path, "model.safetensors") &&
               !wb_file_is_in (look->path, "model.safetensors.index.json") &&
               (wb_file_is_in (look->path, WHOLE) || wb_file_is_in (look->path, INDEX));
    const bool zip = look->nhead >= 30 && memcmp (head, "PK\3\4", 4) == 0;
    const size_t name = zip ? (size_t) head[26] | (size_t) head[27] << 8 : 0;
    if (zip && name >= 9 && 30 + name <= look->nhead && memcmp (head + 30 + name - 9, "/data.pkl", 9) == 0) return true;
    const bool pickle = look->nhead >= 3 && head[0] == 0x80 && head[1] <= 5;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if ((zip || pickle) && wb_ends_with (look->name, ends[i])) return true;
    return false;
}

const wb_format_t wb_format_torch = {
    .name = "torch",
    .what = "a model of PyTorch (pytorch_model.bin)",
    .keeps = "all weights; fp16 and bf16 are widened, fp64 is rounded; the tokenizer where wabun knows its files",
    .probe = probe,
    .inspect = inspect,
    .open = open_model,
};
