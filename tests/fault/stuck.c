/* Preloaded by tests: a file system that does not answer.  In the process of rank STUCK_RANK (any, where it is not
 * set), reads and writes of files whose path contains STUCK_PATH never return, as soon as the file STUCK_WHEN exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "own_rank.h"

static void wait_for_ever (int fd) {
    const char *want = getenv ("STUCK_RANK"), *path = getenv ("STUCK_PATH"), *when = getenv ("STUCK_WHEN");
    char link[64], name[1024];
    if (path == NULL || when == NULL || (want != NULL && atoi (want) != own_rank ())) return;
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink (link, name, sizeof name - 1);
    if (n < 0) return;
    name[n] = 0;
    while (strstr (name, path) != NULL && access (when, F_OK) == 0) sleep (1);
}

#define REAL(name, type) ((type) dlsym (RTLD_NEXT, name))

ssize_t pread64 (int fd, void *buf, size_t n, off64_t at) {
    wait_for_ever (fd);
    return REAL ("pread64", ssize_t (*) (int, void *, size_t, off64_t)) (fd, buf, n, at);
}
ssize_t pread (int fd, void *buf, size_t n, off_t at) { return pread64 (fd, buf, n, at); }

ssize_t pwrite64 (int fd, const void *buf, size_t n, off64_t at) {
    wait_for_ever (fd);
    return REAL ("pwrite64", ssize_t (*) (int, const void *, size_t, off64_t)) (fd, buf, n, at);
}
ssize_t pwrite (int fd, const void *buf, size_t n, off_t at) { return pwrite64 (fd, buf, n, at); }
