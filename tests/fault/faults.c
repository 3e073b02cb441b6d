/* Faults on order: linked into tests/fault/wabun-faults, which is wabun but for this, with the linker's --wrap.
 *
 * Every call that wabun itself makes of the functions below comes here first; calls of libraries among themselves do
 * not.  Calls are counted by kind, in each process, and one of them fails as the system might make it fail.
 *
 *   WABUN_FAULT=KIND:N[+][@RANK]   the N-th call of a kind fails, from 1; with + all from then on; in the process of
 *                                  that rank (0)
 *   WABUN_FAULT=@RANK              none fails
 *   WABUN_FAULT_LOG=FILE           gets the line "KIND N STACK CALL [ADDRESS...]" of the call that failed, and where
 * none is to fail, of all; STACK is a number for the calls that led there, the addresses follow where it is new.  And
 * "leak ..." from any rank that ends with blocks of heap.
 *
 * Kinds: alloc (heap, maps, and what jansson takes), open, read, write (all that changes a file's contents, and its
 * close), sync, name (rename, link, unlink, mkdir ...), thread, agree (a rank brings an error to wb_agree); walk.sh
 * walks over all of these.  mpi (faults_mpi.c; mpi.sh walks over it). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"
#include "own_rank.h"
#include "wabun/comm.h"

static const char *const names[KINDS] = {"alloc", "open", "read", "write", "sync", "name", "thread", "agree", "mpi"};
static const int errors[KINDS] = {ENOMEM, EIO, EIO, ENOSPC, EIO, EIO, EAGAIN, 0, 0};

static struct {
    bool asked, on; /* on: this rank counts */
    int kind;       /* the one that fails, or -1 */
    long at;
    bool from_then_on;
    const char *log;
} order = {.kind = -1};
static atomic_long calls[KINDS];
static atomic_long values, streams, folders; /* of jansson, fopen() and opendir(): not given back yet */

/* ---- the order -------------------------------------------------------------------------------------------------- */

__attribute__ ((constructor)) static void read_order (void) {
    const char *s = getenv ("WABUN_FAULT"), *at = s != NULL ? strchr (s, '@') : NULL,
               *colon = s != NULL ? strchr (s, ':') : NULL;
    order.log = getenv ("WABUN_FAULT_LOG");
    order.on = (s != NULL || order.log != NULL) && own_rank () == (at != NULL ? atoi (at + 1) : 0);
    if (!order.on) return;
    for (int k = 0; colon != NULL && k < KINDS; k++)
        if (strlen (names[k]) == (size_t) (colon - s) && strncmp (names[k], s, (size_t) (colon - s)) == 0)
            order.kind = k;
    if (colon != NULL) {
        char *end;
        order.at = strtol (colon + 1, &end, 10);
        order.from_then_on = *end == '+';
        if (order.kind < 0 || order.at < 1) {
            fprintf (stderr, "WABUN_FAULT=%s is not KIND:N[+][@RANK]\n", s);
            _exit (99);
        }
    }
}

/* ---- where ------------------------------------------------------------------------------------------------------ */

extern char __executable_start, etext;
#define DEPTH 48
#define STACKS 65536
static _Atomic uint64_t stacks[STACKS];

static bool is_new (uint64_t hash) {
    for (uint64_t i = hash;; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong (&stacks[i % STACKS], &none, hash)) return true;
        if (none == hash) return false;
    }
}

static void put (const char *line, size_t length) {
    const int fd = (int) syscall (SYS_openat, AT_FDCWD, order.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return;
    (void) syscall (SYS_write, fd, line, length);
    (void) syscall (SYS_close, fd);
}

/* Of any rank, when it ends. */
__attribute__ ((destructor)) static void tell_leaks (void) {
    char line[160];
    const long left[] = {(long) wb_mem_balance (), values, streams, folders};
    if (order.log == NULL || (left[0] == 0 && left[1] == 0 && left[2] == 0 && left[3] == 0)) return;
    put (line, (size_t) snprintf (line, sizeof line,
                                  "leak %ld blocks, %zu bytes; %ld of jansson; %ld streams, %ld directories\n", left[0],
                                  wb_mem_now (), left[1], left[2], left[3]));
}

static void note (int kind, const char *call, long n) {
    void *frames[DEPTH];
    char line[DEPTH * 12 + 64];
    const int depth = backtrace (frames, DEPTH);
    uint64_t hash = 14695981039346656037u + (uint64_t) kind;
    for (int i = 2; i < depth; i++) { /* without note() and fails() */
        const char *p = frames[i];
        if (p < &__executable_start || p >= &etext) continue;
        hash = (hash ^ (uint64_t) (p - &__executable_start)) * 1099511628211u;
    }
    hash |= 1;
    int length = snprintf (line, sizeof line, "%s %ld %016llx %s", names[kind], n, (unsigned long long) hash, call);
    if (order.kind >= 0 || is_new (hash))
        for (int i = 2; i < depth; i++) {
            const char *p = frames[i];
            if (p < &__executable_start || p >= &etext) continue;
            length += snprintf (line + length, sizeof line - (size_t) length, " %lx",
                                (unsigned long) (p - &__executable_start - 1));
        }
    line[length++] = '\n';
    put (line, (size_t) length);
}

__attribute__ ((noinline)) bool fails (int kind, const char *call) {
    if (!order.on) return false;
    const int before = errno;
    const long n = atomic_fetch_add (&calls[kind], 1) + 1;
    const bool turn = kind == order.kind && (n == order.at || (n > order.at && order.from_then_on));
    if (order.log != NULL && (order.kind < 0 || (turn && n == order.at))) note (kind, call, n);
    errno = turn ? errors[kind] : before;
    return turn;
}

/* ---- the calls -------------------------------------------------------------------------------------------------- */

#define WRAP(kind, bad, ret, name, args, list) \
    ret __real_##name args;                    \
    ret __wrap_##name args;                    \
    ret __wrap_##name args { return fails (kind, #name) ? bad : __real_##name list; }

WRAP (ALLOC, NULL, void *, malloc, (size_t n), (n))
WRAP (ALLOC, NULL, void *, calloc, (size_t n, size_t bytes), (n, bytes))
WRAP (ALLOC, NULL, void *, realloc, (void *p, size_t n), (p, n))
WRAP (ALLOC, ENOMEM, int, posix_memalign, (void **p, size_t align, size_t n), (p, align, n))
WRAP (ALLOC, MAP_FAILED, void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at),
      (p, n, prot, flags, fd, at))
FILE *__real_fmemopen (void *p, size_t n, const char *mode);
FILE *__wrap_fmemopen (void *p, size_t n, const char *mode);
FILE *__wrap_fmemopen (void *p, size_t n, const char *mode) {
    FILE *f = fails (ALLOC, "fmemopen") ? NULL : __real_fmemopen (p, n, mode);
    if (f != NULL) atomic_fetch_add (&streams, 1);
    return f;
}

/* What jansson has and gives back, which goes on to the functions that the program set.  The blocks are known by their
 * addresses, since what json_dumps() returns goes back by wb_free_foreign(), with blocks of others. */
#define KNOWN (1 << 20)
static _Atomic uintptr_t known[KNOWN]; /* 1: was used */
static json_malloc_t take;
static json_free_t give;

static void forget (const void *p) {
    const uintptr_t x = (uintptr_t) p;
    for (size_t i = 0; p != NULL && i < KNOWN; i++) {
        const uintptr_t is = known[(x / 16 + i) % KNOWN];
        if (is == x) {
            known[(x / 16 + i) % KNOWN] = 1;
            atomic_fetch_sub (&values, 1);
        }
        if (is == x || is == 0) return;
    }
}
static void *counted_take (size_t bytes) {
    void *p = take (bytes);
    const uintptr_t x = (uintptr_t) p;
    for (size_t i = 0; p != NULL && i < KNOWN; i++) {
        uintptr_t is = known[(x / 16 + i) % KNOWN];
        if (is > 1 || !atomic_compare_exchange_strong (&known[(x / 16 + i) % KNOWN], &is, x)) continue;
        atomic_fetch_add (&values, 1);
        break;
    }
    return p;
}
static void counted_give (void *p) {
    forget (p);
    give (p);
}
void __real_wb_free_foreign (void *p);
void __wrap_wb_free_foreign (void *p);
void __wrap_wb_free_foreign (void *p) {
    forget (p);
    __real_wb_free_foreign (p);
}
void __real_json_set_alloc_funcs (json_malloc_t m, json_free_t f);
void __wrap_json_set_alloc_funcs (json_malloc_t m, json_free_t f);
void __wrap_json_set_alloc_funcs (json_malloc_t m, json_free_t f) {
    take = m, give = f;
    __real_json_set_alloc_funcs (counted_take, counted_give);
}

/* libmicrohttpd, where there is one: it frees itself what it is given so (MHD_RESPMEM_MUST_FREE). */
#define MUST_FREE 1
void *__real_MHD_create_response_from_buffer (size_t n, void *p, int mode) __attribute__ ((weak));
void *__wrap_MHD_create_response_from_buffer (size_t n, void *p, int mode);
void *__wrap_MHD_create_response_from_buffer (size_t n, void *p, int mode) {
    void *r = fails (ALLOC, "MHD_create_response") ? NULL : __real_MHD_create_response_from_buffer (n, p, mode);
    if (r != NULL && mode == MUST_FREE) forget (p);
    return r;
}
typedef ssize_t reader_t (void *ctx, uint64_t at, char *p, size_t n);
typedef void reader_fini_t (void *ctx);
void *__real_MHD_create_response_from_callback (uint64_t n, size_t block, reader_t *reader, void *ctx,
                                                reader_fini_t *fini) __attribute__ ((weak));
WRAP (ALLOC, NULL, void *, MHD_create_response_from_callback,
      (uint64_t n, size_t block, reader_t *reader, void *ctx, reader_fini_t *fini), (n, block, reader, ctx, fini))

/* operator new of C++, where there is C++ */
void *__real__Znwm (size_t n) __attribute__ ((weak));
void *__wrap__Znwm (size_t n);
void _ZSt17__throw_bad_allocv (void) __attribute__ ((weak, noreturn));
void *__wrap__Znwm (size_t n) {
    if (fails (ALLOC, "new")) _ZSt17__throw_bad_allocv ();
    return __real__Znwm (n);
}

int __real_open (const char *path, int flags, ...);
int __wrap_open (const char *path, int flags, ...);
int __wrap_open (const char *path, int flags, ...) {
    va_list ap;
    va_start (ap, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg (ap, mode_t) : 0;
    va_end (ap);
    return fails (OPEN, "open") ? -1 : __real_open (path, flags, mode);
}
FILE *__real_fopen (const char *path, const char *mode);
FILE *__wrap_fopen (const char *path, const char *mode);
FILE *__wrap_fopen (const char *path, const char *mode) {
    FILE *f = fails (OPEN, "fopen") ? NULL : __real_fopen (path, mode);
    if (f != NULL) atomic_fetch_add (&streams, 1);
    return f;
}
DIR *__real_opendir (const char *path);
DIR *__wrap_opendir (const char *path);
DIR *__wrap_opendir (const char *path) {
    DIR *d = fails (OPEN, "opendir") ? NULL : __real_opendir (path);
    if (d != NULL) atomic_fetch_add (&folders, 1);
    return d;
}
int __real_closedir (DIR *d);
int __wrap_closedir (DIR *d);
int __wrap_closedir (DIR *d) {
    atomic_fetch_sub (&folders, 1);
    return __real_closedir (d);
}
WRAP (OPEN, -1, int, mkstemp, (char *path), (path))
WRAP (OPEN, NULL, char *, mkdtemp, (char *path), (path))

WRAP (READ, -1, ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP (READ, -1, ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP (READ, NULL, struct dirent *, readdir, (DIR * d), (d))

WRAP (WRITE, -1, ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP (WRITE, -1, ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP (WRITE, -1, int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP (WRITE, -1, int, ftruncate, (int fd, off_t n), (fd, n))
WRAP (WRITE, -1, int, truncate, (const char *path, off_t n), (path, n))

WRAP (SYNC, -1, int, fsync, (int fd), (fd))

WRAP (NAME, -1, int, rename, (const char *from, const char *to), (from, to))
WRAP (NAME, -1, int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
      (a, from, b, to, flags))
WRAP (NAME, -1, int, link, (const char *from, const char *to), (from, to))
WRAP (NAME, -1, int, symlink, (const char *from, const char *to), (from, to))
WRAP (NAME, -1, int, unlink, (const char *path), (path))
WRAP (NAME, -1, int, remove, (const char *path), (path))
WRAP (NAME, -1, int, rmdir, (const char *path), (path))
WRAP (NAME, -1, int, mkdir, (const char *path, mode_t mode), (path, mode))

WRAP (THREAD, EAGAIN, int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*f) (void *), void *x),
      (t, a, f, x))

/* What was only read closes as it is.  A close that fails closes all the same. */
int __real_close (int fd);
int __wrap_close (int fd);
int __wrap_close (int fd) {
    const int mode = fcntl (fd, F_GETFL);
    const bool bad = mode != -1 && (mode & O_ACCMODE) != O_RDONLY && fails (WRITE, "close");
    const int error = errno, rc = __real_close (fd);
    if (!bad) return rc;
    errno = error;
    return -1;
}

/* ---- streams: one that failed says so in ferror() as well -------------------------------------------------------- */

static bool stream_fails (FILE *f, int kind, const char *call) {
    if (f == stderr || !fails (kind, call)) return false;
#ifdef __GLIBC__
    f->_flags |= 0x20; /* _IO_ERR_SEEN */
#endif
    return true;
}

#define STREAM(kind, bad, f, ret, name, args, list) \
    ret __real_##name args;                         \
    ret __wrap_##name args;                         \
    ret __wrap_##name args { return stream_fails (f, kind, #name) ? bad : __real_##name list; }

STREAM (READ, 0, f, size_t, fread, (void *p, size_t n, size_t k, FILE *f), (p, n, k, f))
STREAM (READ, NULL, f, char *, fgets, (char *p, int n, FILE *f), (p, n, f))
STREAM (WRITE, 0, f, size_t, fwrite, (const void *p, size_t n, size_t k, FILE *f), (p, n, k, f))
STREAM (WRITE, EOF, f, int, fputs, (const char *s, FILE *f), (s, f))
STREAM (WRITE, EOF, f, int, fputc, (int c, FILE *f), (c, f))
STREAM (WRITE, EOF, f, int, putc, (int c, FILE *f), (c, f))
STREAM (WRITE, EOF, stdout, int, puts, (const char *s), (s))
STREAM (WRITE, EOF, stdout, int, putchar, (int c), (c))

int __wrap_printf (const char *fmt, ...);
int __wrap_printf (const char *fmt, ...) {
    if (stream_fails (stdout, WRITE, "printf")) return -1;
    va_list ap;
    va_start (ap, fmt);
    const int n = vprintf (fmt, ap);
    va_end (ap);
    return n;
}
int __wrap_fprintf (FILE *f, const char *fmt, ...);
int __wrap_fprintf (FILE *f, const char *fmt, ...) {
    if (stream_fails (f, WRITE, "fprintf")) return -1;
    va_list ap;
    va_start (ap, fmt);
    const int n = vfprintf (f, fmt, ap);
    va_end (ap);
    return n;
}
int __real_fflush (FILE *f);
int __wrap_fflush (FILE *f);
int __wrap_fflush (FILE *f) { return f != NULL && stream_fails (f, WRITE, "fflush") ? EOF : __real_fflush (f); }
int __real_fclose (FILE *f);
int __wrap_fclose (FILE *f);
int __wrap_fclose (FILE *f) {
    const int fd = fileno (f), mode = fd >= 0 ? fcntl (fd, F_GETFL) : -1;
    const bool bad = mode != -1 && (mode & O_ACCMODE) != O_RDONLY && fails (WRITE, "fclose");
    if (f != stdin && f != stdout && f != stderr) atomic_fetch_sub (&streams, 1);
    const int rc = __real_fclose (f);
    if (bad) errno = errors[WRITE];
    return bad ? EOF : rc;
}

/* ---- ranks ------------------------------------------------------------------------------------------------------- */

wb_status __real_wb_agree (wb_comm_t *c, wb_status mine);
wb_status __wrap_wb_agree (wb_comm_t *c, wb_status mine);
wb_status __wrap_wb_agree (wb_comm_t *c, wb_status mine) {
    if (fails (AGREE, "wb_agree") && mine == WB_OK) mine = WB_FAIL (WB_EIO, "a fault of this rank on order");
    return __real_wb_agree (c, mine);
}
