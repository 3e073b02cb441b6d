/* Snapshots for keeps: RUN/archive/step-00010000 has the files of that checkpoint under second names.
 *
 * Hard links cost no space as long as the checkpoint itself is there, and the files outlive it.  Where a file system
 * has no links, or the archive is on another one, the files are copied.  As with a checkpoint, a temporary name and a
 * rename: a snapshot is whole or not there.
 *
 * Not done here: removing snapshots.  That is their owner's. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"

int (*wb_ckpt_link) (const char *from, const char *to) = link;

static wb_status link_file (const char *to_dir, const char *from_dir, const char *name) {
    char *to = wb_format ("%s/%s", to_dir, name), *from = wb_format ("%s/%s", from_dir, name);
    struct stat st;
    wb_status status = to != NULL && from != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && stat (from, &st) == 0 && S_ISREG (st.st_mode) && wb_ckpt_link (from, to) != 0)
        status = errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EACCES || errno == EROFS
                     ? WB_FAIL (WB_EIO, "%s: cannot make the link: %s", to, strerror (errno))
                     : wb_file_copy (to, from);
    wb_free (to);
    wb_free (from);
    return status;
}

static wb_status link_all (const char *temp, const char *from) {
    wb_names_t names;
    WB_TRY (wb_dir_remove (temp));
    WB_TRY (wb_dir_make (temp));
    WB_TRY (wb_dir_list (&names, from));
    wb_status status = WB_OK;
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) status = link_file (temp, from, names.data[i]);
    wb_names_fini (&names);
    return status == WB_OK ? wb_dir_sync (temp) : status;
}

static wb_status archive (const char *archive_dir, const char *run, int64_t step) {
    char *to = wb_ckpt_path (archive_dir, step), *from = wb_ckpt_path (run, step),
         *temp = to != NULL ? wb_format ("%s.tmp", to) : NULL;
    wb_status status = temp != NULL && from != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && !wb_file_exists (to)) {
        status = link_all (temp, from);
        if (status == WB_OK && rename (temp, to) != 0)
            status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", temp, to, strerror (errno));
        if (status == WB_OK) status = wb_dir_sync (archive_dir);
        if (status != WB_OK) {
            wb_error_t e;
            wb_error_take (&e);
            if (wb_dir_remove (temp) != WB_OK) wb_error_clear (); /* the next start removes it */
            wb_error_put (&e);
        }
    }
    wb_free (to);
    wb_free (from);
    wb_free (temp);
    return status;
}

wb_status wb_ckpt_archive (const char *run, int64_t every) {
    enum { MAX = 1024 };
    int64_t steps[MAX];
    int n = 0;
    WB_TRY (wb_ckpt_list (steps, &n, run, MAX));
    char *dir = wb_format ("%s/archive", run);
    wb_status status = dir != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    for (int i = n - 1; i >= 0 && status == WB_OK; i--) {
        if (steps[i] == 0 || steps[i] % every != 0) continue;
        status = wb_dir_make (dir);
        if (status == WB_OK) status = archive (dir, run, steps[i]);
    }
    wb_free (dir);
    return status;
}
