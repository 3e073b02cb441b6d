/* The files in which the tensors of a model are: one, or several with an index, as other programs write them.
 *
 * Format of the index: {"weight_map": {TENSOR: FILE}}, https://huggingface.co/docs/transformers/big_models.  Rank 0
 * reads it; each file's header goes to all ranks (safetensors.c), so that all come to the same result.
 *
 * Not done here: names (names.c), values (load.c). */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "checkpoint/source.h"
#include "wabun/json.h"

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* Is it a model in a form that is not read directly? */
static wb_status no_such_file (const char *dir, const char *file) {
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"};
    if (!wb_file_is_dir (dir)) return WB_FAIL (WB_EIO, "%s: no such directory", dir);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *other = wb_format ("%s/%s", dir, others[i]);
        const bool there = other != NULL && wb_file_exists (other);
        wb_free (other);
        if (there)
            return WB_FAIL (WB_EIO, "%s/%s: no such file, only %s: %s", dir, file, others[i],
                            i < 2 ? "wabun import makes a model of it" : "save the model as safetensors");
    }
    return WB_FAIL (WB_EIO, "%s/%s: no such file: %s is not a model directory, or its %s was not saved", dir, file, dir,
                    file);
}

/* Add a name of the index to the list, each followed by a 0 byte, unless it is there. */
static wb_status add_file (wb_buf_t *list, const char *dir, const char *index, const json_t *value) {
    const char *name = json_string_value (value);
    if (name == NULL || name[0] == 0 || name[0] == '.' || strchr (name, '/') != NULL)
        return WB_FAIL (WB_EDATA, "%s: \"weight_map\" must give the name of a file in this directory, not \"%.100s\"",
                        index, name != NULL ? name : "something else");
    for (size_t at = 0; at < list->len; at += strlen (list->data + at) + 1)
        if (strcmp (list->data + at, name) == 0) return WB_OK;
    char *path = wb_format ("%s/%s", dir, name);
    if (path == NULL) return WB_NOMEM ("the files of a model");
    const bool there = wb_file_exists (path);
    wb_free (path);
    if (!there)
        return WB_FAIL (WB_EIO, "%s/%s: no such file, but %s names it: the model is not complete", dir, name, index);
    return wb_buf_put (list, name, strlen (name) + 1);
}

static wb_status read_index (wb_buf_t *list, const char *dir, const char *index) {
    char *text;
    size_t n;
    json_error_t why;
    const char *tensor;
    json_t *file;
    WB_TRY (wb_file_read (&text, &n, index));
    const size_t skip = wb_bom (text, n);
    json_t *root = wb_json_load (text + skip, n - skip, 0, &why), *map = json_object_get (root, "weight_map");
    wb_status status = WB_OK;
    if (root == NULL)
        status = WB_FAIL (WB_EDATA, "%s:%d: not JSON: %.100s", index, why.line, why.text);
    else if (json_object_size (map) == 0)
        status = WB_FAIL (WB_EDATA, "%s: there is no \"weight_map\" with tensors in it", index);
    json_object_foreach (map, tensor, file) if (status == WB_OK) status = add_file (list, dir, index, file);
    json_decref (root);
    wb_free (text);
    return status;
}

/* Rank 0: the files of the model, each name followed by a 0 byte. */
static wb_status list_files (wb_buf_t *list, const char *dir, const char *file) {
    char *path = wb_format ("%s/%s", dir, file), *index = wb_format ("%s/%s.index.json", dir, file);
    wb_status status = path != NULL && index != NULL ? WB_OK : WB_NOMEM ("the files of a model");
    if (status == WB_OK && wb_file_exists (path))
        status = wb_buf_put (list, file, strlen (file) + 1);
    else if (status == WB_OK)
        status = wb_file_exists (index) ? read_index (list, dir, index) : no_such_file (dir, file);
    wb_free (path);
    wb_free (index);
    return status;
}

static wb_status share_list (wb_buf_t *list, wb_comm_t *c) {
    int64_t bytes = (int64_t) list->len;
    wb_comm_bcast (c, &bytes, sizeof bytes, 0);
    wb_status status = wb_comm_rank (c) != 0 ? wb_buf_reserve (list, (size_t) bytes) : WB_OK;
    WB_TRY (wb_agree (c, status));
    wb_comm_bcast (c, list->data, (size_t) bytes, 0);
    list->len = (size_t) bytes;
    return WB_OK;
}

static wb_status open_files (wb_source_t *s, wb_comm_t *c, const char *dir, const char *file, const wb_buf_t *list) {
    int n = 0;
    for (size_t at = 0; at < list->len; at += strlen (list->data + at) + 1) n++;
    const bool whole = n == 1 && strcmp (list->data, file) == 0;
    s->name = wb_format ("%s/%s%s", dir, file, whole ? "" : ".index.json");
    s->files = wb_calloc ((size_t) n, sizeof *s->files);
    WB_TRY (wb_agree (c, s->name != NULL && s->files != NULL ? WB_OK : WB_NOMEM ("the files of a model")));
    for (size_t at = 0; at < list->len; at += strlen (list->data + at) + 1) {
        wb_source_file_t *f = &s->files[s->nfiles++];
        f->path = wb_format ("%s/%s", dir, list->data + at);
        WB_TRY (wb_agree (c, f->path != NULL ? WB_OK : WB_NOMEM ("the files of a model")));
        WB_TRY (wb_st_read (&f->st, c, f->path));
        WB_TRY (wb_pfile_open (&f->file, c, f->path));
        s->tensors += f->st->n;
    }
    return WB_OK;
}

wb_status wb_source_open (wb_source_t *s, wb_comm_t *c, const char *dir, const char *file) {
    wb_buf_t list = {0};
    *s = (wb_source_t){0};
    wb_status status = wb_agree (c, wb_comm_rank (c) == 0 ? list_files (&list, dir, file) : WB_OK);
    if (status == WB_OK) status = share_list (&list, c);
    if (status == WB_OK) status = open_files (s, c, dir, file, &list);
    wb_buf_fini (&list);
    if (status == WB_OK) return WB_OK;
    const wb_status closed = wb_source_close (s);
    return status != WB_OK ? status : closed;
}

wb_status wb_source_close (wb_source_t *s) {
    wb_status status = WB_OK;
    for (int i = 0; i < s->nfiles; i++) {
        wb_source_file_t *f = &s->files[i];
        const wb_status closed = f->file != NULL ? wb_pfile_close (f->file) : WB_OK;
        if (status == WB_OK) status = closed;
        wb_st_destroy (f->st);
        wb_free (f->path);
    }
    wb_free (s->files);
    wb_free (s->name);
    *s = (wb_source_t){0};
    return status;
}
