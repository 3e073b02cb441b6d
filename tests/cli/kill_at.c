/* Ends the program with a signal when it opens a file, for tests/cli/corpus.sh (LD_PRELOAD), so that a test hits a
 * certain phase of its work.
 *
 *   KILL_AT      part of the file's name; without it nothing happens
 *   KILL_NTH     at the n-th such file, from 1
 *   KILL_SIGNAL  its number, 9 if there is none */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int number (const char *name, int otherwise) {
    const char *s = getenv (name);
    return s != NULL ? atoi (s) : otherwise;
}

static void look (const char *path, int writes) {
    static int seen;
    const char *at = getenv ("KILL_AT");
    if (at == NULL || !writes || path == NULL || strstr (path, at) == NULL) return;
    if (__atomic_add_fetch (&seen, 1, __ATOMIC_RELAXED) != number ("KILL_NTH", 1)) return;
    kill (getpid (), number ("KILL_SIGNAL", SIGKILL));
}

#define OPEN(NAME)                                                            \
    int NAME (const char *path, int flags, ...) {                             \
        static int (*next) (const char *, int, ...);                          \
        va_list ap;                                                           \
        va_start (ap, flags);                                                 \
        const mode_t mode = (flags & O_CREAT) != 0 ? va_arg (ap, mode_t) : 0; \
        va_end (ap);                                                          \
        if (next == NULL) *(void **) &next = dlsym (RTLD_NEXT, #NAME);        \
        look (path, (flags & (O_WRONLY | O_RDWR)) != 0);                      \
        return next (path, flags, mode);                                      \
    }
#define FOPEN(NAME)                                                    \
    FILE *NAME (const char *path, const char *mode) {                  \
        static FILE *(*next) (const char *, const char *);             \
        if (next == NULL) *(void **) &next = dlsym (RTLD_NEXT, #NAME); \
        look (path, strpbrk (mode, "wa+") != NULL);                    \
        return next (path, mode);                                      \
    }

int open (const char *path, int flags, ...);
int open64 (const char *path, int flags, ...);
FILE *fopen64 (const char *path, const char *mode);
OPEN (open)
OPEN (open64)
FOPEN (fopen)
FOPEN (fopen64)
