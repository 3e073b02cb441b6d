/* A file that appears under its name complete or not at all.
 *
 * It is written under a temporary name in the same directory, synced and renamed, and the directory is synced.  A full
 * disk leaves the old file as it was and no rubbish.  The temporary name is opened with O_EXCL, so ranks and machines
 * that write to one shared directory never use the same one. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/base_priv.h"
#include "wabun/base.h"

static wb_status failed (const wb_writer_t *w, int error) {
    return WB_FAIL (WB_EIO, "%s: cannot write: %s", w->path, strerror (error));
}

wb_status wb_writer_begin (wb_writer_t *w, const char *path) {
    *w = (wb_writer_t){.path = wb_strdup (path), .fd = -1, .place = -1};
    if (w->path == NULL) return WB_NOMEM ("%s", path);
    for (unsigned k = 0; k < 10000 && w->fd < 0; k++) {
        wb_free (w->temp);
        w->temp = wb_format ("%s.tmp-%s-%ld-%u", path, wb_temp_host (), (long) getpid (), k);
        if (w->temp == NULL) {
            wb_writer_cancel (w);
            return WB_NOMEM ("%s", path);
        }
        w->fd = open (w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST) break;
    }
    if (w->fd >= 0) {
        w->place = wb_temp_add (w->temp);
        return WB_OK;
    }
    wb_status status = failed (w, errno);
    wb_free (w->temp); /* not ours: cancelling must not remove it */
    w->temp = NULL;
    wb_writer_cancel (w);
    return status;
}

wb_status wb_writer_put (wb_writer_t *w, const void *data, size_t n) {
    int error = wb_fd_write (w->fd, data, n, -1);
    return error == 0 ? WB_OK : failed (w, error);
}

wb_status wb_writer_sync (wb_writer_t *w) {
    if (w->fd < 0) return WB_OK;
    /* Some file systems cannot sync; then nothing can be done about it. */
    int error = fsync (w->fd) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
    if (close (w->fd) != 0 && error == 0) error = errno;
    w->fd = -1;
    return error == 0 ? WB_OK : failed (w, error);
}

static wb_status into_place (wb_writer_t *w) {
    WB_TRY (wb_writer_sync (w));
    char *dir = wb_file_dir (w->path);
    if (dir == NULL) return WB_NOMEM ("%s", w->path);
    wb_status status = rename (w->temp, w->path) == 0 ? WB_OK : failed (w, errno);
    if (status == WB_OK) {
        wb_temp_drop (w->place);
        w->place = -1;
        wb_free (w->temp);
        w->temp = NULL;
        status = wb_dir_sync (dir);
    }
    wb_free (dir);
    return status;
}

wb_status wb_writer_end (wb_writer_t *w) {
    wb_status status = into_place (w);
    wb_writer_cancel (w); /* once renamed, the file has no temporary name left to remove */
    return status;
}

void wb_writer_cancel (wb_writer_t *w) {
    if (w->path == NULL) return;
    if (w->fd >= 0) close (w->fd);
    if (w->temp != NULL) unlink (w->temp);
    wb_temp_drop (w->place);
    wb_free (w->temp);
    wb_free (w->path);
    *w = (wb_writer_t){.fd = -1, .place = -1};
}

/* ---- whole files ------------------------------------------------------------------------------------------------ */

wb_status wb_file_write (const char *path, const void *data, size_t bytes) {
    wb_writer_t w;
    WB_TRY (wb_writer_begin (&w, path));
    wb_status status = wb_writer_put (&w, data, bytes);
    if (status == WB_OK) status = wb_writer_end (&w);
    wb_writer_cancel (&w);
    return status;
}

static wb_status copy (wb_writer_t *to, int fd, const char *from) {
    const size_t room = (size_t) 1 << 20;
    char *buf = wb_malloc (room);
    if (buf == NULL) return WB_NOMEM ("%s", to->path);
    wb_status status = WB_OK;
    for (size_t got = room; got == room && status == WB_OK;) {
        int error = wb_fd_read (fd, buf, &got, room, -1);
        if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", from, strerror (error));
        if (status == WB_OK) status = wb_writer_put (to, buf, got);
    }
    wb_free (buf);
    return status;
}

wb_status wb_file_copy (const char *to, const char *from) {
    int fd = open (from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", from, strerror (errno));
    wb_writer_t w;
    wb_status status = wb_writer_begin (&w, to);
    if (status == WB_OK) status = copy (&w, fd, from);
    if (status == WB_OK) status = wb_writer_end (&w);
    wb_writer_cancel (&w);
    close (fd);
    return status;
}
