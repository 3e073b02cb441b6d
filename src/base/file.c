/* Files: the loops around read() and write(), whole files, names.
 *
 * System calls move as much as they like and are interrupted by signals: all reading and writing of the program goes
 * through wb_fd_read() and wb_fd_write(), which go on until all is done.
 *
 * Not done here: files that appear at once and are written whole (writer.c), directories (dir.c), files that many ranks
 * write together (comm), formats. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base_priv.h"
#include "wabun/base.h"

#define CALL_MAX ((size_t) 1 << 30) /* bytes of one call: Linux moves at most 2^31 - 4096 */

ssize_t wb_fd_read_some (int fd, void *buf, size_t n, int64_t at) {
    ssize_t k;
    if (n > CALL_MAX) n = CALL_MAX;
    do k = at < 0 ? read (fd, buf, n) : pread (fd, buf, n, (off_t) at);
    while (k < 0 && errno == EINTR);
    return k;
}

int wb_fd_read (int fd, void *buf, size_t *got, size_t n, int64_t at) {
    *got = 0;
    while (*got < n) {
        ssize_t k = wb_fd_read_some (fd, (char *) buf + *got, n - *got, at < 0 ? at : at + (int64_t) *got);
        if (k < 0) return errno;
        if (k == 0) break;
        *got += (size_t) k;
    }
    return 0;
}

int wb_fd_write (int fd, const void *data, size_t n, int64_t at) {
    for (size_t done = 0; done < n;) {
        const char *p = (const char *) data + done;
        size_t some = n - done < CALL_MAX ? n - done : CALL_MAX;
        ssize_t k = at < 0 ? write (fd, p, some) : pwrite (fd, p, some, (off_t) (at + (int64_t) done));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return errno;
        if (k == 0) return ENOSPC;
        done += (size_t) k;
    }
    return 0;
}

/* ---- whole files ------------------------------------------------------------------------------------------------ */

static wb_status read_all (wb_buf_t *b, int fd, const char *path) {
    struct stat st;
    /* The size is a hint only: pipes and files in /proc have none. */
    size_t room = fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && st.st_size > 0 ? (size_t) st.st_size + 1 : 4096;
    for (size_t got;; room = b->len) {
        if (wb_buf_reserve (b, room) != WB_OK) return WB_ENOMEM;
        int error = wb_fd_read (fd, b->data + b->len, &got, room, -1);
        if (error != 0) return WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
        b->len += got;
        if (got < room) break;
    }
    b->data[b->len] = 0;
    return WB_OK;
}

wb_status wb_file_read (char **data, size_t *bytes, const char *path) {
    *data = NULL;
    *bytes = 0;
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    wb_buf_t b = {0};
    wb_status status = read_all (&b, fd, path);
    close (fd);
    if (status != WB_OK) {
        wb_buf_fini (&b);
        return status;
    }
    *data = b.data;
    *bytes = b.len;
    return WB_OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

bool wb_file_exists (const char *path) {
    struct stat st;
    return stat (path, &st) == 0;
}

bool wb_file_is_dir (const char *path) {
    struct stat st;
    return stat (path, &st) == 0 && S_ISDIR (st.st_mode);
}

bool wb_file_is_in (const char *dir, const char *name) {
    char path[4096];
    const int n = snprintf (path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t) n < sizeof path && wb_file_exists (path);
}

const char *wb_file_name (const char *path) {
    const char *slash = strrchr (path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *wb_file_dir (const char *path) {
    size_t n = (size_t) (wb_file_name (path) - path);
    if (n == 0) return wb_strdup (".");
    return wb_strndup (path, n > 1 ? n - 1 : 1);
}

char *wb_format (const char *fmt, ...) {
    va_list ap, again;
    va_start (ap, fmt);
    va_copy (again, ap);
    int n = vsnprintf (NULL, 0, fmt, ap);
    va_end (ap);
    char *s = n >= 0 ? wb_malloc ((size_t) n + 1) : NULL;
    if (s != NULL) vsnprintf (s, (size_t) n + 1, fmt, again);
    va_end (again);
    return s;
}

size_t wb_bom (const char *s, size_t n) { return n >= 3 && memcmp (s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; }
