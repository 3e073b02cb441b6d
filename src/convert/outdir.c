/* An output directory that appears under its name complete or not at all. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert_priv.h"

/* Nothing, or an empty directory, which goes. */
static wb_status make_way (const char *path) {
    struct stat st;
    if (lstat (path, &st) != 0 && errno == ENOENT) return WB_OK;
    if (rmdir (path) == 0) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%s: is there already; remove it, or name another place", path);
}

wb_status wb_outdir_begin (wb_outdir_t *d, const char *path) {
    size_t n = strlen (path);
    while (n > 1 && path[n - 1] == '/') n--;
    *d = (wb_outdir_t){.path = wb_strndup (path, n)};
    if (d->path == NULL) return WB_NOMEM ("%s", path);
    WB_TRY (make_way (d->path));
    char *parent = wb_file_dir (d->path);
    wb_status status = parent != NULL ? wb_dir_make (parent) : WB_NOMEM ("%s", path);
    wb_free (parent);
    WB_TRY (status);
    char *temp = wb_format ("%s.%ld.tmp", d->path, (long) getpid ());
    if (temp == NULL) return WB_NOMEM ("%s", path);
    if (mkdir (temp, 0777) != 0) {
        status = WB_FAIL (WB_EIO, "%s: cannot make this directory: %s", temp, strerror (errno));
        wb_free (temp);
        return status;
    }
    d->temp = temp;
    return WB_OK;
}

static void fini (wb_outdir_t *d) {
    wb_free (d->path);
    wb_free (d->temp);
    *d = (wb_outdir_t){0};
}

wb_status wb_outdir_end (wb_outdir_t *d) {
    WB_TRY (wb_dir_sync (d->temp));
    WB_TRY (make_way (d->path));
    if (rename (d->temp, d->path) != 0)
        return WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", d->temp, d->path, strerror (errno));
    char *parent = wb_file_dir (d->path);
    const wb_status status = parent != NULL ? wb_dir_sync (parent) : WB_NOMEM ("%s", d->path);
    wb_free (parent);
    fini (d);
    return status;
}

void wb_outdir_cancel (wb_outdir_t *d) {
    if (d->temp != NULL) {
        wb_error_t before;
        wb_error_take (&before);
        if (wb_dir_remove (d->temp) != WB_OK) wb_warn ("%s: left over", d->temp);
        wb_error_put (&before);
    }
    fini (d);
}

wb_status wb_outdir_text (const wb_outdir_t *d, const char *name, const char *text, size_t n) {
    char *path = wb_format ("%s/%s", d->temp, name);
    const wb_status status = path != NULL ? wb_file_write (path, text, n) : WB_NOMEM ("%s", name);
    wb_free (path);
    return status;
}

wb_status wb_outdir_json (const wb_outdir_t *d, const char *name, json_t *value) {
    char *text = value != NULL ? json_dumps (value, JSON_INDENT (2)) : NULL;
    json_decref (value);
    if (text == NULL) return WB_NOMEM ("%s", name);
    const wb_status status = wb_outdir_text (d, name, text, strlen (text));
    wb_free_foreign (text);
    return status;
}
