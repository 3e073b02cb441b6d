/* Appending: a piece is in the file whole, or not at all.
 *
 * A write that stops half way (a full disk) is cut off again.  Where that fails as well, the next piece starts on a
 * line of its own, so that only the torn line is lost.  After an error the file is closed and the next piece opens it
 * again: a descriptor that went bad with a remounted file system does not stay bad.
 *
 * Not done here: fsync.  What a crash of the machine takes away is trimmed when the run resumes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/append.h"

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Drop the lines that are not kept.  A file whose end goes is cut, which needs no space; else it is written anew. */
static wb_status trim (const char *path, wb_append_keep_fn keep, void *ctx) {
    char *text;
    size_t bytes;
    WB_TRY (wb_file_read (&text, &bytes, path));
    char *to = text;
    bool gap = false, moved = false;
    for (char *line = text, *end; line < text + bytes; line = end) {
        end = memchr (line, '\n', (size_t) (text + bytes - line));
        if (end == NULL) break;
        end++;
        bool kept = true;
        const wb_status status = keep == NULL ? WB_OK : keep (&kept, ctx, line, (size_t) (end - line));
        if (status != WB_OK) {
            wb_free (text);
            return status;
        }
        if (!kept) {
            gap = true;
            continue;
        }
        moved = moved || gap;
        memmove (to, line, (size_t) (end - line));
        to += end - line;
    }
    wb_status status = WB_OK;
    if (moved)
        status = wb_file_write (path, text, (size_t) (to - text));
    else if (to < text + bytes && truncate (path, to - text) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
    wb_free (text);
    return status;
}

wb_status wb_append_open (wb_append_t *a, const char *run, const char *name, wb_append_keep_fn keep, void *ctx) {
    if (a->path == NULL) *a = (wb_append_t){wb_format ("%s/%s", run, name), -1, -1, a->binary};
    if (a->path == NULL) return WB_NOMEM ("%s", name);
    return wb_file_exists (a->path) ? trim (a->path, keep, ctx) : WB_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Open, take away what an earlier call left half written, or end that line.  0 or an errno. */
static int reopen (wb_append_t *a) {
    a->fd = open (a->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (a->fd < 0) return errno;
    struct stat st;
    if (fstat (a->fd, &st) != 0) return errno;
    if (a->good >= 0 && st.st_size > a->good && ftruncate (a->fd, a->good) == 0) st.st_size = a->good;
    if (a->binary && a->good >= 0 && st.st_size > a->good) return EIO;
    a->good = st.st_size;
    if (a->binary) return 0;
    char last = '\n';
    if (S_ISREG (st.st_mode) && a->good > 0 && pread (a->fd, &last, 1, a->good - 1) < 0) return errno;
    if (last == '\n') return 0;
    int error = wb_fd_write (a->fd, "\n", 1, -1);
    if (error == 0) a->good++;
    return error;
}

wb_status wb_append_put (wb_append_t *a, const char *data, size_t bytes) {
    int error = a->fd < 0 ? reopen (a) : 0;
    if (error == 0) {
        error = wb_fd_write (a->fd, data, bytes, -1);
        if (error == 0) a->good += (int64_t) bytes;
    }
    if (error == 0) return WB_OK;
    if (a->fd >= 0) {
        if (a->good >= 0 && ftruncate (a->fd, a->good) != 0) wb_debug ("%s: %s", a->path, strerror (errno));
        close (a->fd);
    }
    a->fd = -1;
    return WB_FAIL (WB_EIO, "%s: cannot write: %s", a->path, strerror (error));
}

wb_status wb_append_close (wb_append_t *a) {
    int error = a->fd >= 0 && close (a->fd) != 0 ? errno : 0;
    wb_status status = error == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot write: %s", a->path, strerror (error));
    wb_free (a->path);
    *a = (wb_append_t){NULL, -1, -1, a->binary};
    return status;
}
