/* A library for LD_PRELOAD that lets the n-th call that changes files below a directory fail.
 *
 *   INJECT_DIR    absolute: calls for paths and open files below it are counted
 *   INJECT_AT     the number of the call that fails, from 1; 0: none does
 *   INJECT_ERRNO  with which error
 *   INJECT_ON     set: so do all calls after it
 *   INJECT_RANK   in the process of that rank only; 0 where there is no launcher
 *   INJECT_LOG    file that gets a line for each call that is counted
 *
 * Built and used by inject.sh.  A close() that fails closes all the same.  fsync() is counted and may fail, but does
 * nothing else: it takes most of the time, and what the power takes away is not looked at. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "own_rank.h"

static atomic_int calls;

static int number (const char *name) { return getenv (name) != NULL ? atoi (getenv (name)) : 0; }

static bool is_below (const char *path) {
    const char *dir = getenv ("INJECT_DIR");
    char full[8192], cwd[4096];
    if (dir == NULL || path == NULL || number ("INJECT_RANK") != own_rank ()) return false;
    if (path[0] == '/')
        snprintf (full, sizeof full, "%s", path);
    else if (getcwd (cwd, sizeof cwd) != NULL)
        snprintf (full, sizeof full, "%s/%s", cwd, path);
    else
        return false;
    return strncmp (full, dir, strlen (dir)) == 0;
}

static void note (const char *call, const char *path, int n) {
    const char *log = getenv ("INJECT_LOG");
    char line[8300];
    const int fd = log != NULL ? (int) syscall (SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (fd < 0) return;
    const int bytes = snprintf (line, sizeof line, "%d %s %s\n", n, call, path);
    (void) syscall (SYS_write, fd, line, bytes);
    (void) syscall (SYS_close, fd);
}

/* Is it this call's turn to fail? */
static bool fails (const char *call, const char *path) {
    const int before = errno, at = number ("INJECT_AT");
    if (!is_below (path)) return false;
    const int n = atomic_fetch_add (&calls, 1) + 1;
    note (call, path, n);
    errno = before;
    if (at == 0 || n < at || (n > at && getenv ("INJECT_ON") == NULL)) return false;
    errno = number ("INJECT_ERRNO");
    return true;
}

static bool fd_fails (const char *call, int fd) {
    char link[64], path[4096];
    const int before = errno;
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink (link, path, sizeof path - 1);
    errno = before;
    if (n <= 0) return false;
    path[n] = 0;
    return fails (call, path);
}

#define REAL(type, name, ...) ((type (*) (__VA_ARGS__)) dlsym (RTLD_NEXT, name))

#define OPEN(name)                                                               \
    int name (const char *path, int flags, ...) {                                \
        va_list ap;                                                              \
        va_start (ap, flags);                                                    \
        const mode_t mode = (flags & O_CREAT) != 0 ? va_arg (ap, mode_t) : 0;    \
        va_end (ap);                                                             \
        if ((flags & O_ACCMODE) != O_RDONLY && fails ("open", path)) return -1;  \
        return REAL (int, #name, const char *, int, mode_t) (path, flags, mode); \
    }
OPEN (open)
OPEN (open64)

#define FD(name, ret, args, list, ...)              \
    ret name args {                                 \
        if (fd_fails (#name, fd)) return -1;        \
        return REAL (ret, #name, __VA_ARGS__) list; \
    }
FD (write, ssize_t, (int fd, const void *p, size_t n), (fd, p, n), int, const void *, size_t)
FD (pwrite, ssize_t, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), int, const void *, size_t, off_t)
FD (pwrite64, ssize_t, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), int, const void *, size_t, off_t)
FD (fallocate, int, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), int, int, off_t, off_t)
FD (fallocate64, int, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), int, int, off_t, off_t)
FD (ftruncate, int, (int fd, off_t n), (fd, n), int, off_t)
FD (ftruncate64, int, (int fd, off_t n), (fd, n), int, off_t)

int fsync (int fd) { return fd_fails ("fsync", fd) ? -1 : 0; }

int close (int fd) { /* of what was only read nobody asks how it went */
    const bool written = (fcntl (fd, F_GETFL) & O_ACCMODE) != O_RDONLY, bad = written && fd_fails ("close", fd);
    const int error = errno, rc = REAL (int, "close", int) (fd);
    if (!bad) return rc;
    errno = error;
    return -1;
}

#define PATH(name, at, args, list, ...)             \
    int name args {                                 \
        if (fails (#name, at)) return -1;           \
        return REAL (int, #name, __VA_ARGS__) list; \
    }
PATH (rename, to, (const char *from, const char *to), (from, to), const char *, const char *)
PATH (renameat2, to, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), int,
      const char *, int, const char *, unsigned)
PATH (mkdir, path, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
PATH (link, to, (const char *from, const char *to), (from, to), const char *, const char *)
PATH (symlink, to, (const char *from, const char *to), (from, to), const char *, const char *)
PATH (truncate, path, (const char *path, off_t n), (path, n), const char *, off_t)
PATH (truncate64, path, (const char *path, off_t n), (path, n), const char *, off_t)
PATH (unlink, path, (const char *path), (path), const char *)
PATH (rmdir, path, (const char *path), (path), const char *)
