/* safetensors: 8 bytes little-endian length, a JSON header of that length, the tensors.
 *
 * Format: https://huggingface.co/docs/safetensors (read 2024).  A file may come from anywhere, so nothing in the header
 * is used before it is checked; after that all offsets and sizes can be trusted.  Rank 0 reads, the header's text goes
 * to all ranks, and each builds its own table from it.
 *
 * More liberal than the original: holes between tensors and bytes after the last one are accepted.  Not done here: the
 * tensors' values (load.c, save.c), several files (source.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"
#include "wabun/json.h"

#define HEADER_MAX 100000000 /* the original's limit */

static const struct {
    const char *name;
    int bytes;
    wb_dtype dtype;
} dtypes[] = {
    {"F32", 4, WB_F32},       {"F16", 2, WB_F16},    {"BF16", 2, WB_BF16},     {"F64", 8, WB_F64},
    {"I64", 8, WB_I64},       {"BOOL", 1, WB_OTHER}, {"U8", 1, WB_OTHER},      {"I8", 1, WB_OTHER},
    {"I16", 2, WB_OTHER},     {"U16", 2, WB_OTHER},  {"I32", 4, WB_OTHER},     {"U32", 4, WB_OTHER},
    {"U64", 8, WB_OTHER},     {"C64", 8, WB_OTHER},  {"F8_E5M2", 1, WB_OTHER}, {"F8_E4M3", 1, WB_OTHER},
    {"F8_E8M0", 1, WB_OTHER},
};
enum { NDTYPES = sizeof dtypes / sizeof dtypes[0] };

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* One tensor's entry.  data: byte of the file where all data begin; room: how many bytes follow. */
static wb_status take_tensor (wb_st_tensor_t *t, const char *path, const char *name, json_t *entry, int64_t data,
                              int64_t room) {
    json_t *dtype = json_object_get (entry, "dtype"), *shape = json_object_get (entry, "shape");
    json_t *offsets = json_object_get (entry, "data_offsets");
    t->name = wb_strdup (name);
    if (t->name == NULL) return WB_NOMEM ("checkpoint");
    if (!json_is_string (dtype) || !json_is_array (shape) || !json_is_array (offsets) ||
        json_array_size (offsets) != 2 || !json_is_integer (json_array_get (offsets, 0)) ||
        !json_is_integer (json_array_get (offsets, 1)))
        return WB_FAIL (WB_EDATA, "%s: bad header: tensor '%.100s' needs dtype, shape and data_offsets", path, name);
    int64_t size = -1;
    t->dtype = WB_OTHER;
    for (int i = 0; i < NDTYPES; i++) {
        if (strcmp (dtypes[i].name, json_string_value (dtype)) != 0) continue;
        t->dtype = dtypes[i].dtype;
        size = dtypes[i].bytes;
    }
    size_t ndim = json_array_size (shape);
    if (ndim > sizeof t->shape / sizeof t->shape[0])
        return WB_FAIL (WB_EDATA, "%s: bad header: tensor '%.100s' has %zu dimensions, more than 8", path, name, ndim);
    t->ndim = (int) ndim;
    bool good = true;
    for (int i = 0; i < t->ndim; i++) {
        json_t *n = json_array_get (shape, (size_t) i);
        t->shape[i] = json_is_integer (n) ? (int64_t) json_integer_value (n) : -1;
        if (t->shape[i] < 0) good = false;
        if (size >= 0 && t->shape[i] > 0 && size > INT64_MAX / t->shape[i]) good = false;
        if (good && size >= 0) size *= t->shape[i];
    }
    int64_t begin = json_integer_value (json_array_get (offsets, 0));
    int64_t end = json_integer_value (json_array_get (offsets, 1));
    if (!good || (size >= 0 && begin >= 0 && begin <= end && end - begin != size))
        return WB_FAIL (WB_EDATA, "%s: bad header: shape of tensor '%.100s' does not go with its %" PRId64 " bytes",
                        path, name, end >= begin && begin >= 0 ? end - begin : 0);
    if (begin < 0 || begin > end || end > room)
        return WB_FAIL (WB_EDATA,
                        "%s: tensor '%.100s' lies at bytes %" PRId64 " to %" PRId64 " of %" PRId64
                        ": the file was cut off, or its header is damaged",
                        path, name, begin, end, room);
    t->begin = data + begin;
    t->end = data + end;
    return WB_OK;
}

static int by_place (const void *a, const void *b) {
    const wb_st_tensor_t *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp (x->name, y->name);
}

static wb_status parse (wb_st_t **out, const char *path, const char *text, size_t length, int64_t bytes) {
    json_error_t why;
    json_t *root = wb_json_load (text, length, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return WB_FAIL (WB_EDATA, "%s: not a safetensors file: its header is not JSON (byte %d: %.100s)", path,
                        8 + why.position, why.text);
    wb_status status = WB_OK;
    wb_st_t *s = wb_calloc (1, sizeof *s);
    size_t n = json_object_size (root); /* 0 when it is something else */
    if (s != NULL) s->tensors = wb_calloc (n + 1, sizeof *s->tensors);
    if (s == NULL || s->tensors == NULL)
        status = WB_NOMEM ("checkpoint");
    else if (!json_is_object (root))
        status = WB_FAIL (WB_EDATA, "%s: not a safetensors file: its header is not a JSON object", path);
    if (status == WB_OK) {
        const char *name;
        json_t *entry;
        int64_t data = 8 + (int64_t) length;
        s->bytes = bytes;
        json_object_foreach (root, name, entry) {
            if (strcmp (name, "__metadata__") == 0) continue;
            status = take_tensor (&s->tensors[s->n++], path, name, entry, data, bytes - data);
            if (status != WB_OK) break;
        }
    }
    json_decref (root);
    if (status == WB_OK) {
        qsort (s->tensors, (size_t) s->n, sizeof *s->tensors, by_place);
        for (int i = 1; i < s->n && status == WB_OK; i++)
            if (s->tensors[i].begin < s->tensors[i - 1].end)
                status = WB_FAIL (WB_EDATA, "%s: bad header: tensors '%.100s' and '%.100s' overlap", path,
                                  s->tensors[i - 1].name, s->tensors[i].name);
    }
    if (status != WB_OK) {
        wb_st_destroy (s);
        s = NULL;
    }
    *out = s;
    return status;
}

/* The header's text, and the size of the file. */
static wb_status read_text (char **text, uint64_t *length, int64_t *bytes, const char *path) {
    *text = NULL;
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    struct stat st;
    wb_status status = WB_OK;
    int error = fstat (fd, &st) != 0 ? errno : 0;
    if (error == 0 && !S_ISREG (st.st_mode))
        status = WB_FAIL (WB_EDATA, "%s: not a safetensors file: not a regular file", path);
    else if (error == 0) {
        *bytes = st.st_size;
        size_t got;
        error = wb_fd_read (fd, length, &got, 8, 0);
        if (got < 8) *length = 0;
        if (error == 0 && (*length < 2 || *length > HEADER_MAX || (int64_t) *length > *bytes - 8)) {
            status = WB_FAIL (WB_EDATA, "%s: not a safetensors file, or cut off: %" PRId64 " bytes, header of %" PRIu64,
                              path, *bytes, *length);
        } else if (error == 0) {
            *text = wb_malloc (*length);
            if (*text == NULL)
                status = WB_NOMEM ("checkpoint");
            else
                error = wb_fd_read (fd, *text, &got, *length, 8);
            if (status == WB_OK && error == 0 && got < *length)
                status = WB_FAIL (WB_EIO, "%s: cannot read: it became shorter", path);
        }
    }
    if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
    close (fd);
    return status;
}

wb_status wb_st_read (wb_st_t **out, wb_comm_t *c, const char *path) {
    struct {
        uint64_t length;
        int64_t bytes;
    } size = {0, 0};
    char *text = NULL;
    wb_status status = WB_OK;
    bool root = wb_comm_rank (c) == 0;
    *out = NULL;
    if (root) {
        status = read_text (&text, &size.length, &size.bytes, path);
        if (status == WB_OK) status = parse (out, path, text, size.length, size.bytes);
    }
    status = wb_agree (c, status);
    if (status == WB_OK && wb_comm_size (c) > 1) {
        wb_comm_bcast (c, &size, sizeof size, 0);
        if (!root) {
            text = wb_malloc (size.length);
            if (text == NULL) status = WB_NOMEM ("checkpoint");
        }
        status = wb_agree (c, status);
        if (status == WB_OK) {
            wb_comm_bcast (c, text, size.length, 0);
            if (!root) status = parse (out, path, text, size.length, size.bytes);
            status = wb_agree (c, status);
        }
    }
    wb_free (text);
    if (status != WB_OK) {
        wb_st_destroy (*out);
        *out = NULL;
    }
    return status;
}

void wb_st_destroy (wb_st_t *s) {
    if (s == NULL) return;
    for (int i = 0; s->tensors != NULL && i < s->n; i++) wb_free (s->tensors[i].name);
    wb_free (s->tensors);
    wb_free (s);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* json_object and json_array own what they are given, also when adding it fails, so one check at the end is enough. */
static bool describe (json_t *root, wb_st_tensor_t *t, int64_t *at) {
    int which = 0;
    while (which < NDTYPES && (dtypes[which].dtype != t->dtype || t->dtype == WB_OTHER)) which++;
    WB_ASSERT (which < NDTYPES && t->ndim >= 0 && t->ndim <= 8);
    WB_ASSERT (json_object_get (root, t->name) == NULL);
    int64_t size = dtypes[which].bytes;
    json_t *entry = json_object (), *shape = json_array (), *offsets = json_array ();
    bool good = true;
    for (int i = 0; i < t->ndim; i++) {
        size *= t->shape[i];
        good = json_array_append_new (shape, json_integer (t->shape[i])) == 0 && good;
    }
    t->begin = *at;
    t->end = *at += size;
    good = json_array_append_new (offsets, json_integer (t->begin)) == 0 && good;
    good = json_array_append_new (offsets, json_integer (t->end)) == 0 && good;
    good = json_object_set_new (entry, "dtype", json_string (dtypes[which].name)) == 0 && good;
    good = json_object_set_new (entry, "shape", shape) == 0 && good;
    good = json_object_set_new (entry, "data_offsets", offsets) == 0 && good;
    return json_object_set_new (root, t->name, entry) == 0 && good;
}

wb_status wb_st_header (char **header, size_t *bytes, wb_st_tensor_t *tensors, int n) {
    int64_t at = 0;
    json_t *root = json_object (), *meta = json_object ();
    *header = NULL;
    *bytes = 0;
    bool good = json_object_set_new (meta, "format", json_string ("pt")) == 0;
    good = json_object_set_new (root, "__metadata__", meta) == 0 && good;
    for (int i = 0; i < n && good; i++) good = describe (root, &tensors[i], &at);
    char *text = good ? json_dumps (root, JSON_COMPACT) : NULL;
    json_decref (root);
    size_t length = text != NULL ? strlen (text) : 0;
    uint64_t padded = (length + 7) / 8 * 8;
    if (text != NULL) *header = wb_malloc (8 + padded);
    if (*header == NULL) {
        wb_free_foreign (text);
        return WB_NOMEM ("checkpoint");
    }
    memcpy (*header, &padded, 8);
    memcpy (*header + 8, text, length);
    memset (*header + 8 + length, ' ', padded - length);
    wb_free_foreign (text);
    *bytes = 8 + padded;
    for (int i = 0; i < n; i++) {
        tensors[i].begin += (int64_t) *bytes;
        tensors[i].end += (int64_t) *bytes;
    }
    return WB_OK;
}
