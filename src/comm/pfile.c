/* One file, many ranks: POSIX calls at explicit offsets on a shared file system.
 *
 * Rank 0 creates the file with its whole size, so that a full disk is noticed before anything is written; then every
 * rank opens it.  A failed transfer is remembered: whoever does not look at a write's status gets it from close, which
 * all ranks agree on. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm_priv.h"

struct wb_pfile {
    wb_comm_t *group;
    int fd;
    bool writing;
    int64_t bytes;
    wb_status status;
    char *path;
};

static wb_status fail (const wb_pfile_t *f, const char *what) {
    if (errno == ENOSPC || errno == EDQUOT)
        return WB_FAIL (WB_EIO, "%s: %s: %s; free some space, what was there before is untouched", f->path, what,
                        strerror (errno));
    return WB_FAIL (WB_EIO, "%s: %s: %s", f->path, what, strerror (errno));
}

static wb_status reserve (wb_pfile_t *f) {
    int code;

    f->fd = open (f->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) return fail (f, "cannot create");
    if (ftruncate (f->fd, f->bytes) != 0) return fail (f, "cannot set its size");
    if (f->bytes == 0) return WB_OK;
    code = fallocate (f->fd, 0, 0, f->bytes) == 0 ? 0 : errno;
    if (code == 0 || code == EOPNOTSUPP || code == ENOSYS || code == EINVAL) return WB_OK;
    errno = code;
    return fail (f, "cannot reserve its space");
}

static wb_status open_old (wb_pfile_t *f) {
    struct stat s;

    f->fd = open (f->path, (f->writing ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (f->fd < 0) return fail (f, "cannot open");
    if (fstat (f->fd, &s) != 0) return fail (f, "cannot look at it");
    if (!S_ISREG (s.st_mode)) return WB_FAIL (WB_EIO, "%s: is not a file", f->path);
    f->bytes = s.st_size;
    return WB_OK;
}

static void drop (wb_pfile_t *f) {
    if (f == NULL) return;
    if (f->fd >= 0) close (f->fd);
    wb_free (f->path);
    wb_free (f);
}

static wb_status new_file (wb_pfile_t **out, wb_comm_t *c, const char *path, int64_t bytes, bool writing) {
    wb_pfile_t *f = wb_calloc (1, sizeof *f);
    wb_status status = WB_OK;

    *out = NULL;
    if (f != NULL) {
        f->fd = -1;
        f->group = c;
        f->writing = writing;
        f->bytes = bytes;
        f->path = wb_strdup (path);
    }
    if (f == NULL || f->path == NULL) status = WB_FAIL (WB_ENOMEM, "out of memory for a file");
    if (writing && status == WB_OK && c->rank == 0) status = reserve (f);
    if (writing) status = wb_agree (c, status);
    if (status == WB_OK && f->fd < 0) status = open_old (f);
    status = wb_agree (c, status);
    if (status != WB_OK) {
        drop (f);
        return status;
    }
    *out = f;
    return WB_OK;
}

wb_status wb_pfile_create (wb_pfile_t **out, wb_comm_t *c, const char *path, int64_t bytes) {
    return new_file (out, c, path, bytes, true);
}

wb_status wb_pfile_open (wb_pfile_t **out, wb_comm_t *c, const char *path) { return new_file (out, c, path, 0, false); }

static wb_status remember (wb_pfile_t *f, wb_status status) {
    if (f->status == WB_OK) f->status = status;
    return status;
}

wb_status wb_pfile_write (wb_pfile_t *f, const void *data, size_t bytes, int64_t offset) {
    const char *p = data;

    while (bytes > 0) {
        ssize_t n = pwrite (f->fd, p, bytes, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = ENOSPC;
            return remember (f, fail (f, "cannot write"));
        }
        p += n;
        offset += n;
        bytes -= (size_t) n;
    }
    return WB_OK;
}

wb_status wb_pfile_read (wb_pfile_t *f, void *data, size_t bytes, int64_t offset) {
    char *p = data;

    while (bytes > 0) {
        ssize_t n = pread (f->fd, p, bytes, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return remember (f, fail (f, "cannot read"));
        if (n == 0) return remember (f, WB_FAIL (WB_EIO, "%s: ends at byte %lld", f->path, (long long) offset));
        p += n;
        offset += n;
        bytes -= (size_t) n;
    }
    return WB_OK;
}

int64_t wb_pfile_size (const wb_pfile_t *f) { return f->bytes; }

wb_status wb_pfile_close (wb_pfile_t *f) {
    wb_comm_t *c = f->group;
    wb_status status = f->status;

    if (f->writing && status == WB_OK && fsync (f->fd) != 0) status = fail (f, "cannot write to the disk");
    if (close (f->fd) != 0 && status == WB_OK && f->writing) status = fail (f, "cannot close");
    f->fd = -1;
    drop (f);
    return wb_agree (c, status);
}
