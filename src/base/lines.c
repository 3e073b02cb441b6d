/* Lines of a file, as they arrive: the reader of a pipe gets what is there, computes, and comes back, so that a program
 * at the other end that waits for each answer gets it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/base_priv.h"
#include "wabun/base.h"

wb_status wb_lines_open (wb_lines_t *l, const char *path) {
    *l = (wb_lines_t){.name = path};
    if (strcmp (path, "-") == 0) {
        l->name = "standard input";
        return WB_OK;
    }
    l->fd = open (path, O_RDONLY | O_CLOEXEC);
    return l->fd >= 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
}

void wb_lines_close (wb_lines_t *l) {
    if (l->fd > 0) close (l->fd);
    wb_buf_fini (&l->buf);
    l->fd = -1;
}

static wb_status read_more (wb_lines_t *l) {
    char block[65536];
    ssize_t k = wb_fd_read_some (l->fd, block, sizeof block, -1);
    if (k < 0) return WB_FAIL (WB_EIO, "%s: cannot read: %s", l->name, strerror (errno));
    if (k == 0) l->end = true;
    if (l->at > 0) { /* the line returned last is no longer valid */
        memmove (l->buf.data, l->buf.data + l->at, l->buf.len - l->at);
        l->buf.len -= l->at;
        l->at = 0;
    }
    return k > 0 ? wb_buf_put (&l->buf, block, (size_t) k) : WB_OK;
}

wb_status wb_lines_next (wb_lines_t *l, const char **text, size_t *n, bool wait) {
    size_t searched = 0; /* bytes known to hold no newline */
    *text = NULL;
    *n = 0;
    for (;;) {
        const char *line = l->buf.data != NULL ? l->buf.data + l->at : "";
        const size_t left = l->buf.len - l->at;
        const char *end = left > searched ? memchr (line + searched, '\n', left - searched) : NULL;
        if (end != NULL || (l->end && left > 0)) {
            const size_t bytes = end != NULL ? (size_t) (end - line) : left;
            l->at += bytes + (end != NULL);
            l->number++;
            *text = line;
            *n = bytes > 0 && line[bytes - 1] == '\r' ? bytes - 1 : bytes;
            return WB_OK;
        }
        if (l->end) return WB_OK;
        struct pollfd ready = {.fd = l->fd, .events = POLLIN};
        if (!wait && poll (&ready, 1, 0) == 0) return WB_OK;
        searched = left;
        WB_TRY (read_more (l));
    }
}

wb_status wb_flush (FILE *f, const char *name) {
    const int before = errno; /* of the caller's own write, which may have failed already */
    errno = 0;
    if (fflush (f) == 0 && !ferror (f)) return WB_OK;
    if (errno == 0) errno = before;
    if (errno == EPIPE && f == stdout) return WB_FAIL (WB_ECLOSED, "%s: nobody reads it any more", name);
    return WB_FAIL (WB_EIO, "%s: cannot write%s%s", name, errno != 0 ? ": " : "", errno != 0 ? strerror (errno) : "");
}

wb_status wb_write (FILE *f, const char *name, const void *data, size_t n) {
    return n == 0 || fwrite (data, 1, n, f) == n ? WB_OK : wb_flush (f, name);
}
