/* Files: whole files in, whole files out.
 *
 * What is written appears under its name complete or not at all: it goes to a temporary name in the same directory, is
 * synced and renamed.  A full disk leaves the old file as it was and no rubbish.  The temporary name is taken with
 * O_EXCL, so ranks and machines that write to one shared directory do not meet.
 *
 * Not done here: files that many ranks write together (comm), formats. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wabun/base.h"

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

/* ---- reading --------------------------------------------------------------------------------------------------- */

wb_status wb_file_read (char **data, size_t *bytes, const char *path) {
    *data = NULL;
    *bytes = 0;
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    struct stat st;
    /* The size is a hint only: pipes and /proc have none. */
    size_t room = fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && st.st_size > 0 ? (size_t) st.st_size + 1 : 4096;
    size_t n = 0;
    char *p = wb_malloc (room);
    wb_status status = p != NULL ? WB_OK : WB_NOMEM ("%s", path);
    while (status == WB_OK) {
        if (n + 1 >= room) { /* one byte is kept for the final 0 */
            char more;
            ssize_t k = read (fd, &more, 1);
            if (k == 0) break;
            if (k < 0 && errno == EINTR) continue;
            if (k < 0) {
                status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (errno));
                break;
            }
            char *q = room <= SIZE_MAX / 2 ? wb_realloc (p, 2 * room) : NULL;
            if (q == NULL) {
                status = WB_NOMEM ("%s", path);
                break;
            }
            p = q;
            room *= 2;
            p[n++] = more;
        }
        ssize_t k = read (fd, p + n, room - n - 1);
        if (k == 0) break;
        if (k > 0)
            n += (size_t) k;
        else if (errno != EINTR)
            status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (errno));
    }
    close (fd);
    if (status != WB_OK) {
        wb_free (p);
        return status;
    }
    p[n] = 0;
    *data = p;
    *bytes = n;
    return WB_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* A new file beside `path`; *temp is freed by finish(). */
static wb_status begin (int *fd, char **temp, const char *path) {
    for (unsigned k = 0; k < 10000; k++) {
        *temp = wb_format ("%s.tmp-%ld-%u", path, (long) getpid (), k);
        if (*temp == NULL) return WB_NOMEM ("%s", path);
        *fd = open (*temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0) return WB_OK;
        wb_free (*temp);
        if (errno != EEXIST) break;
    }
    *temp = NULL;
    return WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
}

/* 0 or an errno. */
static int put (int fd, const char *p, size_t bytes) {
    while (bytes > 0) {
        ssize_t k = write (fd, p, bytes < (size_t) 1 << 30 ? bytes : (size_t) 1 << 30);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return errno;
        if (k == 0) return ENOSPC;
        p += k;
        bytes -= (size_t) k;
    }
    return 0;
}

/* Sync, close and rename, or, when something went wrong, remove what was written. */
static wb_status finish (int fd, char *temp, const char *path, int error) {
    if (error == 0 && fsync (fd) != 0 && errno != EINVAL && errno != ENOTSUP) error = errno;
    if (close (fd) != 0 && error == 0) error = errno;
    if (error == 0 && rename (temp, path) != 0) error = errno;
    if (error != 0) unlink (temp);
    wb_free (temp);
    return error == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (error));
}

wb_status wb_file_write (const char *path, const void *data, size_t bytes) {
    int fd;
    char *temp;
    WB_TRY (begin (&fd, &temp, path));
    return finish (fd, temp, path, put (fd, data, bytes));
}

wb_status wb_file_copy (const char *to, const char *from) {
    int in = open (from, O_RDONLY | O_CLOEXEC), fd;
    if (in < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", from, strerror (errno));
    const size_t room = (size_t) 1 << 20;
    char *temp, *buf = wb_malloc (room);
    wb_status status = buf != NULL ? begin (&fd, &temp, to) : WB_NOMEM ("%s", to);
    if (status == WB_OK) {
        int error = 0, bad_read = 0;
        while (error == 0) {
            ssize_t k = read (in, buf, room);
            if (k == 0) break;
            if (k > 0)
                error = put (fd, buf, (size_t) k);
            else if (errno != EINTR)
                error = bad_read = errno;
        }
        if (bad_read != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", from, strerror (bad_read));
        wb_status end = finish (fd, temp, to, error);
        if (status == WB_OK) status = end;
    }
    wb_free (buf);
    close (in);
    return status;
}

/* ---- names and directories ------------------------------------------------------------------------------------- */

bool wb_file_exists (const char *path) {
    struct stat st;
    return stat (path, &st) == 0;
}

bool wb_file_is_dir (const char *path) {
    struct stat st;
    return stat (path, &st) == 0 && S_ISDIR (st.st_mode);
}

wb_status wb_dir_make (const char *path) {
    char *p = wb_strdup (path);
    if (p == NULL) return WB_NOMEM ("%s", path);
    wb_status status = WB_OK;
    for (char *q = p;;) {
        while (*q == '/') q++;
        while (*q != 0 && *q != '/') q++;
        char behind = *q;
        *q = 0;
        /* Several ranks may make the same directory: that it is there is what counts. */
        if (p[0] != 0 && mkdir (p, 0777) != 0 && !wb_file_is_dir (p)) {
            status = WB_FAIL (WB_EIO, "%s: cannot make the directory: %s", p, strerror (errno));
            break;
        }
        if (behind == 0) break;
        *q = behind;
    }
    wb_free (p);
    return status;
}

static int remove_one (const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void) st, (void) ftw;
    int bad = type == FTW_DP ? rmdir (path) : unlink (path);
    if (bad == 0 || errno == ENOENT) return 0;
    (void) WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
    return 1;
}

wb_status wb_dir_remove (const char *path) {
    struct stat st;
    if (lstat (path, &st) != 0 && errno == ENOENT) return WB_OK;
    int bad = nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (bad == 0) return WB_OK;
    return bad > 0 ? WB_EIO : WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
}

wb_status wb_dir_sync (const char *path) {
    int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    int error = fsync (fd) != 0 ? errno : 0;
    close (fd);
    /* Some file systems cannot sync a directory; there is nothing to be done about it then. */
    if (error != 0 && error != EINVAL && error != ENOTSUP)
        return WB_FAIL (WB_EIO, "%s: cannot sync: %s", path, strerror (error));
    return WB_OK;
}
