/* Where a tokenizer is: a directory, a file in one, or files in memory that take a directory's part.
 *
 * The kinds ask for files by name and do not see the difference.  Not done here: which kind it is (kinds.c). */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

/* RUN/latest and RUN/best are files where there are no symbolic links. */
static bool is_link (const char *name) { return strcmp (name, "latest") == 0 || strcmp (name, "best") == 0; }

wb_status wb_place_init (wb_place_t *p, const char *spec) {
    *p = (wb_place_t){.spec = spec};
    if (wb_file_exists (spec) && !wb_file_is_dir (spec) && !is_link (wb_file_name (spec))) {
        p->owned = wb_file_dir (spec);
        p->file = wb_file_name (spec);
    } else
        p->owned = wb_dir_latest (spec);
    p->dir = p->owned;
    if (p->dir == NULL) return WB_NOMEM ("tokenizer");
    return WB_OK;
}

void wb_place_fini (wb_place_t *p) { wb_free (p->owned); }

static const wb_blob_t *blob_called (const wb_place_t *p, const char *name) {
    for (size_t i = 0; i < p->nblobs; i++)
        if (strcmp (p->blobs[i].name, name) == 0) return &p->blobs[i];
    return NULL;
}

char *wb_place_path (const wb_place_t *p, const char *name) {
    if (p->file != NULL && strcmp (p->file, name) == 0) return wb_strdup (p->spec);
    return wb_format ("%s/%s", p->memory ? p->spec : p->dir, name);
}

bool wb_place_has (const wb_place_t *p, const char *name) {
    if (p->memory) return blob_called (p, name) != NULL;
    if (p->file != NULL) return strcmp (p->file, name) == 0;
    return wb_file_is_in (p->dir, name);
}

static bool fits (const char *name, const char *prefix, const char *suffix) {
    const size_t n = strlen (name), a = strlen (prefix), b = strlen (suffix);
    return n >= a + b && memcmp (name, prefix, a) == 0 && memcmp (name + n - b, suffix, b) == 0;
}

int wb_place_find (char **name, const wb_place_t *p, const char *prefix, const char *suffix) {
    const char *first = NULL;
    int found = 0;
    wb_names_t names = {0};
    *name = NULL;
    if (p->memory) {
        for (size_t i = 0; i < p->nblobs; i++)
            if (fits (p->blobs[i].name, prefix, suffix) && found++ == 0) first = p->blobs[i].name;
    } else if (p->file != NULL) {
        if (fits (p->file, prefix, suffix)) first = p->file, found = 1;
    } else if (wb_file_is_dir (p->dir)) {
        if (wb_dir_list (&names, p->dir) != WB_OK) return -1;
        for (int64_t i = 0; i < names.len; i++)
            if (fits (names.data[i], prefix, suffix) && found++ == 0) first = names.data[i];
    }
    if (found > 0 && (*name = wb_strdup (first)) == NULL) {
        (void) WB_NOMEM ("tokenizer");
        found = -1;
    }
    wb_names_fini (&names);
    return found;
}

wb_status wb_place_read (char **data, size_t *bytes, const wb_place_t *p, const char *name) {
    *data = NULL;
    if (!p->memory) {
        char *path = wb_place_path (p, name);
        wb_status status = path != NULL ? wb_file_read (data, bytes, path) : WB_NOMEM ("tokenizer");
        wb_free (path);
        return status;
    }
    const wb_blob_t *blob = blob_called (p, name);
    if (blob == NULL) return WB_FAIL (WB_EIO, "%s: no file %s among those given", p->spec, name);
    wb_buf_t b = {0};
    WB_TRY (wb_buf_put (&b, blob->data, blob->bytes));
    *data = b.data;
    *bytes = b.len;
    return WB_OK;
}
