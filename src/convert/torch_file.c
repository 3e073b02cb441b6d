/* A file as torch.save() writes it since PyTorch 1.6: a zip in which data.pkl says which tensors there are (pickle.c),
 * and the numbers of each storage are an entry data/N, stored.
 *
 * Not done here: files of PyTorch before 1.6, big-endian ones. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/torch.h"

/* "archive/data/0" has a storage "0", after the name of the archive. */
static const char *inside (const wb_zip_entry_t *e) {
    const char *slash = strchr (e->name, '/');
    return slash != NULL ? slash + 1 : e->name;
}

static wb_status read_entry (wb_buf_t *out, wb_torch_file_t *f, const wb_zip_entry_t *e, int64_t most) {
    if (e->bytes > most)
        return WB_FAIL (WB_EDATA, "%s: '%s' of %" PRId64 " bytes; at most %" PRId64 " are read", f->path, e->name,
                        e->bytes, most);
    wb_unzip_t *u = wb_malloc (sizeof *u);
    if (u == NULL) return WB_NOMEM ("%s", f->path);
    wb_status status = wb_buf_reserve (out, (size_t) e->bytes);
    if (status == WB_OK) {
        status = wb_unzip_begin (u, &f->zip, e);
        if (status == WB_OK) status = wb_unzip_take (u, out->data, (size_t) e->bytes);
        status = wb_unzip_end (u, status);
    }
    out->len = (size_t) e->bytes;
    wb_free (u);
    return status;
}

static wb_status add_storage (wb_torch_file_t *f, const wb_zip_entry_t *e, const char *name) {
    if (!WB_GROW (f->storages, f->cap, f->nstorages + 1)) return WB_NOMEM ("%s", f->path);
    wb_torch_storage_t *s = &f->storages[f->nstorages++];
    *s = (wb_torch_storage_t){.bytes = e->bytes};
    if (strlen (name) >= sizeof s->name) return WB_FAIL (WB_EDATA, "%s: an odd name '%.100s'", f->path, e->name);
    memcpy (s->name, name, strlen (name));
    if (e->method != WB_ZIP_STORED)
        return WB_FAIL (WB_EDATA, "%s: '%s' is deflated, which PyTorch does not do: save the model again", f->path,
                        e->name);
    return wb_zip_data (&f->zip, &s->at, e);
}

static wb_status take_entry (wb_torch_file_t *f, const wb_zip_entry_t *e, bool *pickled) {
    const char *name = inside (e);
    wb_buf_t text = {0};
    wb_status status = WB_OK;
    if (strncmp (name, "data/", 5) == 0) return add_storage (f, e, name + 5);
    if (strcmp (name, "data.pkl") == 0 && !*pickled) {
        status = read_entry (&text, f, e, (int64_t) WB_PICKLE_BYTES);
        if (status == WB_OK) status = wb_pickle_read (&f->pickle, f->path, text.data, text.len);
        *pickled = true;
    } else if (strcmp (name, "byteorder") == 0) {
        status = read_entry (&text, f, e, 16);
        if (status == WB_OK && (text.len < 6 || memcmp (text.data, "little", 6) != 0))
            status = WB_FAIL (WB_EDATA, "%s: its numbers are not little-endian", f->path);
    }
    wb_buf_fini (&text);
    return status;
}

static int compare_storages (const void *a, const void *b) {
    return strcmp (((const wb_torch_storage_t *) a)->name, ((const wb_torch_storage_t *) b)->name);
}

static wb_status open_zip (wb_torch_file_t *f) {
    char head[4] = {0};
    bool pickled = false, more;
    wb_cursor_file_t *c;
    WB_TRY (wb_cursor_open (&c, f->path));
    wb_status status = c->bytes >= 4 ? wb_cursor_read (c, head, 4, 0) : WB_OK;
    wb_cursor_close (c);
    WB_TRY (status);
    if (memcmp (head, "PK\3\4", 4) != 0)
        return WB_FAIL (WB_EDATA,
                        "%s: not a zip file: torch.save() writes one since PyTorch 1.6; an older file can be loaded "
                        "with PyTorch and saved again",
                        f->path);
    WB_TRY (wb_zip_open (&f->zip, f->path));
    wb_zip_entry_t e;
    while (true) {
        WB_TRY (wb_zip_next (&f->zip, &e, &more));
        if (!more) break;
        WB_TRY (take_entry (f, &e, &pickled));
    }
    if (!pickled) return WB_FAIL (WB_EDATA, "%s: a zip file, but not of PyTorch: there is no data.pkl", f->path);
    if (f->nstorages > 0) qsort (f->storages, (size_t) f->nstorages, sizeof *f->storages, compare_storages);
    return WB_OK;
}

const wb_torch_storage_t *wb_torch_storage (const wb_torch_file_t *f, const char *name) {
    int64_t low = 0, high = f->nstorages;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int order = strcmp (f->storages[middle].name, name);
        if (order == 0) return &f->storages[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* All numbers that tensors lead to are there. */
static wb_status check_storages (const wb_torch_file_t *f) {
    for (int64_t i = 0; i < f->pickle.n; i++) {
        const wb_pickle_tensor_t *t = &f->pickle.list[i];
        const wb_torch_storage_t *s = wb_torch_storage (f, t->storage);
        if (s == NULL && t->last < 0) continue;
        if (s == NULL)
            return WB_FAIL (WB_EDATA, "%s: the numbers of tensor '%.100s' are missing: cut off or damaged", f->path,
                            t->name);
        if (t->numbers != s->bytes / t->element || s->bytes % t->element != 0)
            return WB_FAIL (WB_EDATA,
                            "%s: tensor '%.100s': %" PRId64 " numbers in %" PRId64 " bytes: cut off or damaged",
                            f->path, t->name, t->numbers, s->bytes);
    }
    return WB_OK;
}

wb_status wb_torch_file_open (wb_torch_file_t *f) {
    WB_TRY (open_zip (f));
    return check_storages (f);
}

void wb_torch_file_close (wb_torch_file_t *f) {
    if (f->zip.file != NULL) wb_zip_close (&f->zip);
    wb_pickle_fini (&f->pickle);
    wb_free (f->storages);
    wb_free (f->path);
    *f = (wb_torch_file_t){0};
}
