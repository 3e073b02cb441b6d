/* A directory that appears under its name at once: written as dir.tmp, then renamed.
 *
 * What was there before is exchanged with it where the system can do that, else it steps aside as dir.old; a save that
 * was killed between those two renames is put right by the next one.
 *
 * Not done here: what is in it (save.c). */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/save.h"

static bool is_empty_dir (const char *path) {
    DIR *d = opendir (path);
    if (d == NULL) return false;
    bool empty = true;
    for (const struct dirent *e; empty && (e = readdir (d)) != NULL;)
        empty = strcmp (e->d_name, ".") == 0 || strcmp (e->d_name, "..") == 0;
    closedir (d);
    return empty;
}

wb_status wb_place_begin (const char *dir, const char *temp) {
    struct stat st;
    char *aside = wb_format ("%s.old", dir), *sums = wb_format ("%s/" WB_SUMS_FILE, dir);
    wb_status status = aside != NULL && sums != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    /* An earlier save was killed between its two renames: put the old checkpoint back. */
    if (status == WB_OK && lstat (dir, &st) != 0 && wb_file_is_dir (aside) && rename (aside, dir) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", aside, dir, strerror (errno));
    if (status == WB_OK && lstat (dir, &st) == 0 &&
        !(S_ISDIR (st.st_mode) && (wb_file_exists (sums) || is_empty_dir (dir))))
        status = WB_FAIL (WB_EUSAGE,
                          "%s: exists and is not a checkpoint of wabun; remove it, or name another directory", dir);
    if (status == WB_OK) status = wb_dir_remove (temp);
    if (status == WB_OK) status = wb_dir_make (temp);
    wb_free (aside);
    wb_free (sums);
    return status;
}

static wb_status rename_to (const char *to, const char *from) {
    if (rename (from, to) == 0) return WB_OK;
    return WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", from, to, strerror (errno));
}

static wb_status sync_parent (const char *path) {
    char *parent = wb_file_dir (path);
    wb_status status = parent != NULL ? wb_dir_sync (parent) : WB_NOMEM ("checkpoint");
    wb_free (parent);
    return status;
}

/* What cannot be removed now is removed by the next save or prune. */
void wb_place_remove (const char *path) {
    wb_error_t before;
    wb_error_take (&before);
    if (wb_dir_remove (path) != WB_OK) wb_warn ("%s: left over", path);
    wb_error_put (&before);
}

/* The old dir is removed after that; when this fails the new one is no worse. */
wb_status wb_place_end (const char *dir, const char *temp) {
    struct stat st;
    WB_TRY (wb_dir_sync (temp));
    if (lstat (dir, &st) != 0) {
        WB_TRY (rename_to (dir, temp));
        return sync_parent (dir);
    }
#ifdef RENAME_EXCHANGE
    if (renameat2 (AT_FDCWD, temp, AT_FDCWD, dir, RENAME_EXCHANGE) == 0) {
        WB_TRY (sync_parent (dir));
        wb_place_remove (temp);
        return WB_OK;
    }
#endif
    char *aside = wb_format ("%s.old", dir);
    wb_status status = aside != NULL ? wb_dir_remove (aside) : WB_NOMEM ("checkpoint");
    if (status == WB_OK) status = rename_to (aside, dir);
    if (status == WB_OK) {
        status = rename_to (dir, temp);
        if (status != WB_OK && rename (aside, dir) != 0)
            wb_warn ("%s: is now called %s: %s", dir, aside, strerror (errno));
    }
    if (status == WB_OK) status = sync_parent (dir);
    if (status == WB_OK) wb_place_remove (aside);
    wb_free (aside);
    return status;
}
