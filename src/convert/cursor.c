/* Reading a file that may hold anything: every read is checked against its end, so no number in it leads outside. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/cursor.h"

wb_status wb_cursor_open (wb_cursor_file_t **out, const char *path) {
    struct stat st;
    *out = NULL;
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode)) {
        close (fd);
        return WB_FAIL (WB_EIO, "%s: not a regular file", path);
    }
    wb_cursor_file_t *c = wb_calloc (1, sizeof *c);
    char *copy = wb_strdup (path);
    if (c == NULL || copy == NULL) {
        wb_free (c);
        wb_free (copy);
        close (fd);
        return WB_NOMEM ("%s", path);
    }
    c->path = copy;
    c->fd = fd;
    c->bytes = st.st_size;
    *out = c;
    return WB_OK;
}

void wb_cursor_close (wb_cursor_file_t *c) {
    if (c == NULL) return;
    close (c->fd);
    wb_free (c->path);
    wb_free (c);
}

wb_status wb_cursor_read (wb_cursor_file_t *c, void *out, size_t n, int64_t at) {
    size_t got;
    const int error = wb_fd_read (c->fd, out, &got, n, at);
    if (error == 0 && got == n) return WB_OK;
    return WB_FAIL (WB_EIO, "%s: cannot read at byte %" PRId64 ": %s", c->path, at + (int64_t) got,
                    error != 0 ? strerror (error) : "it became shorter");
}

static wb_status cut_off (const wb_cursor_file_t *c, uint64_t n, const char *what) {
    return WB_FAIL (WB_EDATA, "%s: cut off or damaged: %s, %" PRIu64 " bytes from byte %" PRId64 ", of %" PRId64,
                    c->path, what, n, c->at, c->bytes);
}

wb_status wb_cursor_take (wb_cursor_file_t *c, void *out, size_t n, const char *what) {
    char *to = out;
    if (n > (uint64_t) (c->bytes - c->at)) return cut_off (c, n, what);
    while (n > 0) {
        if (c->at < c->from || c->at >= c->from + (int64_t) c->have) {
            const int64_t left = c->bytes - c->at;
            const size_t more = left < (int64_t) sizeof c->buf ? (size_t) left : sizeof c->buf;
            c->have = 0;
            WB_TRY (wb_cursor_read (c, c->buf, more, c->at));
            c->from = c->at;
            c->have = more;
        }
        const size_t used = (size_t) (c->at - c->from), part = c->have - used < n ? c->have - used : n;
        memcpy (to, c->buf + used, part);
        to += part;
        n -= part;
        c->at += (int64_t) part;
    }
    return WB_OK;
}

wb_status wb_cursor_skip (wb_cursor_file_t *c, uint64_t n, const char *what) {
    if (n > (uint64_t) (c->bytes - c->at)) return cut_off (c, n, what);
    c->at += (int64_t) n;
    return WB_OK;
}
