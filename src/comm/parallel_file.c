/* One file, many ranks: POSIX reads and writes at each rank's own offsets.
 *
 * Rank 0 creates the file and reserves its space, so that a full disk is noticed before the first byte is
 * written; then every rank opens it.  The first failure after that is remembered and agreed on when the file is closed.
 *
 * Not done here: MPI-IO (its collective buffering gains nothing for large slices, and its errors say less); locks,
 * because ranks write disjoint ranges; temporary names and renaming (checkpoint does that). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "comm/comm_priv.h"

#define IO_MAX ((size_t) 1 << 30) /* bytes in one call: Linux moves at most 2^31 - 4096 */
#define WRITE_BACK ((int64_t) 8 << 20)
#define VISIBLE_SECONDS 10.0 /* how long a network file system may hide a new file from other nodes */

struct wb_pfile {
    wb_comm_t *comm; /* borrowed */
    int fd;
    bool writable, wrote, gently;
    int64_t bytes;
    int64_t from, to, before, end; /* gently: written now; on its way to disk */
    wb_error_t error;              /* the first failure since the file was opened */
    char path[];
};

static wb_status fail_errno (const wb_pfile_t *f, const char *what) {
    int err = errno;
    const char *advice = err == ENOSPC || err == EDQUOT ? "; free some space or write somewhere else"
                         : err == ENOENT                ? "; is it on a file system that all nodes share?"
                                                        : "";
    return WB_FAIL (WB_EIO, "%s: %s on %s: %s%s", f->path, what, wb_comm_host (), strerror (err), advice);
}

static int open_file (const char *path, int flags) {
    int fd;
    do fd = open (path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Set the size of the file, and reserve its blocks where the file system supports it. */
static int reserve (int fd, int64_t bytes) {
    int rc;
    if (bytes == 0) return 0;
#ifdef __linux__
    do rc = fallocate (fd, 0, 0, (off_t) bytes);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return rc;
#endif
    do rc = ftruncate (fd, (off_t) bytes);
    while (rc != 0 && errno == EINTR);
    return rc;
}

static void free_file (wb_pfile_t *f) {
    if (f == NULL) return;
    if (f->fd >= 0) close (f->fd);
    wb_free (f);
}

/* An object of this process alone. */
static wb_status new_alone (wb_pfile_t **out, const char *path, int64_t bytes) {
    const size_t n = strlen (path) + 1;
    wb_pfile_t *f = *out = wb_calloc (1, sizeof *f + n);
    if (f == NULL) return WB_NOMEM ("opening %s", path);
    f->fd = -1;
    f->writable = true;
    f->bytes = bytes;
    memcpy (f->path, path, n);
    return WB_OK;
}

static wb_status create (wb_pfile_t *f) {
    char text[160], size[32];
    struct stat st;
    f->fd = open_file (f->path, O_RDWR | O_CREAT | O_TRUNC);
    if (f->fd < 0) return fail_errno (f, "cannot create");
    if (fstat (f->fd, &st) == 0 && !S_ISREG (st.st_mode))
        return WB_FAIL (WB_EIO, "%s: cannot create: what is there is not a regular file", f->path);
    if (reserve (f->fd, f->bytes) == 0) return WB_OK;
    int err = errno;
    unlink (f->path);
    errno = err;
    snprintf (text, sizeof text, "cannot reserve %lld bytes (%s)", (long long) f->bytes,
              wb_format_bytes (size, (double) f->bytes));
    return fail_errno (f, text);
}

wb_status wb_pfile_make (const char *path, int64_t bytes) {
    wb_pfile_t *f;
    WB_TRY (new_alone (&f, path, bytes));
    wb_status st = create (f);
    if (st == WB_OK && close (f->fd) != 0 && errno != EINTR) st = fail_errno (f, "cannot close");
    if (st == WB_OK) f->fd = -1;
    free_file (f);
    return st;
}

/* Open what another rank has just created. */
static wb_status open_created (wb_pfile_t *f) {
    double start = wb_now ();
    while ((f->fd = open_file (f->path, O_RDWR)) < 0) {
        if ((errno != ENOENT && errno != ESTALE) || wb_now () - start > VISIBLE_SECONDS)
            return fail_errno (f, "cannot open the file that rank 0 created");
        nanosleep (&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    }
    return WB_OK;
}

static wb_status open_existing (wb_pfile_t *f) {
    struct stat st;
    f->fd = open_file (f->path, O_RDONLY);
    if (f->fd < 0 || fstat (f->fd, &st) != 0) return fail_errno (f, "cannot open");
    if (!S_ISREG (st.st_mode)) return WB_FAIL (WB_EIO, "%s: cannot open: it is not a regular file", f->path);
    f->bytes = st.st_size;
    return WB_OK;
}

/* The object, on every rank or on none; agreed. */
static wb_status new_file (wb_pfile_t **out, wb_comm_t *c, const char *path, bool writable) {
    size_t n = strlen (path) + 1;
    wb_pfile_t *f = *out = wb_calloc (1, sizeof *f + n);
    wb_status st = wb_agree (c, f == NULL ? WB_NOMEM ("opening %s", path) : WB_OK);
    if (f != NULL) {
        f->comm = c;
        f->fd = -1;
        f->writable = writable;
        memcpy (f->path, path, n);
    }
    if (st == WB_OK) return WB_OK;
    free_file (f);
    *out = NULL;
    return st;
}

wb_status wb_pfile_create (wb_pfile_t **out, wb_comm_t *c, const char *path, int64_t bytes) {
    WB_ASSERT (bytes >= 0);
    WB_TRY (new_file (out, c, path, true));
    wb_pfile_t *f = *out;
    f->bytes = bytes;
    wb_status st = wb_agree (c, wb_comm_rank (c) == 0 ? create (f) : WB_OK);
    if (st == WB_OK) st = wb_agree (c, wb_comm_rank (c) != 0 ? open_created (f) : WB_OK);
    if (st == WB_OK) return WB_OK;
    free_file (f);
    *out = NULL;
    return st;
}

wb_status wb_pfile_open (wb_pfile_t **out, wb_comm_t *c, const char *path) {
    WB_TRY (new_file (out, c, path, false));
    wb_pfile_t *f = *out;
    wb_status st = wb_agree (c, open_existing (f));
    if (st == WB_OK) {
        /* A path longer than the record is truncated in the record as well. */
        char what[WB_ERROR_TEXT];
        snprintf (what, sizeof what, "%s: its size", path);
        st = wb_same (c, &f->bytes, sizeof f->bytes, what);
    }
    if (st == WB_OK) return WB_OK;
    free_file (f);
    *out = NULL;
    return st;
}

wb_status wb_pfile_open_made (wb_pfile_t **out, const char *path, int64_t bytes) {
    WB_TRY (new_alone (out, path, bytes));
    const wb_status st = open_created (*out);
    if (st == WB_OK) return WB_OK;
    free_file (*out);
    *out = NULL;
    return st;
}

/* Remember the first failure; close agrees on it with the other ranks. */
static wb_status remember (wb_pfile_t *f, wb_status st) {
    if (st != WB_OK && f->error.status == WB_OK) {
        f->error = *wb_error_get ();
        f->error.status = st;
    }
    return st;
}

void wb_pfile_gently (wb_pfile_t *f) { f->gently = true; }

/* Start what was written on its way to disk, and wait for what was started before. */
static void write_back (wb_pfile_t *f, int64_t offset, int64_t bytes) {
    if (f->to == 0 || offset < f->from) f->from = offset;
    if (offset + bytes > f->to) f->to = offset + bytes;
    if (f->to - f->from < WRITE_BACK) return;
#ifdef SYNC_FILE_RANGE_WRITE
    (void) sync_file_range (f->fd, f->from, f->to - f->from, SYNC_FILE_RANGE_WRITE);
    if (f->end > f->before) (void) sync_file_range (f->fd, f->before, f->end - f->before, SYNC_FILE_RANGE_WAIT_BEFORE);
#endif
    f->before = f->from, f->end = f->to;
    f->from = f->to = 0;
}

wb_status wb_pfile_write (wb_pfile_t *f, const void *data, size_t bytes, int64_t offset) {
    const char *p = data;
    WB_ASSERT (f->writable && offset >= 0 && (int64_t) bytes <= f->bytes - offset);
    f->wrote = f->wrote || bytes > 0;
    const int64_t first = offset;
    while (bytes > 0) {
        ssize_t n = pwrite (f->fd, p, bytes < IO_MAX ? bytes : IO_MAX, (off_t) offset);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO;
        if (n <= 0) return remember (f, fail_errno (f, "cannot write"));
        wb_beat ();
        p += n;
        offset += n;
        bytes -= (size_t) n;
    }
    if (f->gently) write_back (f, first, offset - first);
    return WB_OK;
}

wb_status wb_pfile_read (wb_pfile_t *f, void *data, size_t bytes, int64_t offset) {
    char *p = data;
    WB_ASSERT (offset >= 0);
    while (bytes > 0) {
        ssize_t n = pread (f->fd, p, bytes < IO_MAX ? bytes : IO_MAX, (off_t) offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return remember (f, fail_errno (f, "cannot read"));
        if (n == 0)
            return remember (f,
                             WB_FAIL (WB_EDATA, "%s: ends before byte %lld, %zu more were expected: is it cut short?",
                                      f->path, (long long) offset + 1, bytes));
        wb_beat ();
        p += n;
        offset += n;
        bytes -= (size_t) n;
    }
    return WB_OK;
}

int64_t wb_pfile_size (const wb_pfile_t *f) { return f->bytes; }

wb_status wb_pfile_end (wb_pfile_t *f) {
    if (f->wrote || (f->writable && (f->comm == NULL || wb_comm_rank (f->comm) == 0))) {
        int rc;
        do rc = fsync (f->fd);
        while (rc != 0 && errno == EINTR);
        if (rc != 0 && errno != EINVAL) remember (f, fail_errno (f, "cannot write to disk"));
    }
    int rc = close (f->fd);
    f->fd = -1;
    if (rc != 0 && errno != EINTR) remember (f, fail_errno (f, "cannot close"));
    wb_status st = (wb_status) f->error.status;
    if (st != WB_OK) wb_error_put (&f->error);
    free_file (f);
    return st;
}

wb_status wb_pfile_close (wb_pfile_t *f) {
    if (f == NULL) return WB_OK;
    wb_comm_t *c = f->comm;
    return wb_agree (c, wb_pfile_end (f));
}
