/* How long a step would wait for its batch, and how fast a token file is checked.
 *
 * usage: bench_read PREFIX [SEQUENCES [T]]
 * The file is removed from the system's memory before each cold measurement (posix_fadvise), the windows are random
 * ones, and "asked for" means wb_loader_prefetch() 50 ms before.  Medians of 21 batches, 3 checks.  A disk that is
 * itself in the memory of another machine is faster than a disk. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "wabun/dataset.h"

enum { BATCHES = 21, CHECKS = 3 };

static void die (void) {
    wb_error_print ();
    exit (1);
}

/* Remove the .bin from the system's memory; returns its size. */
static double evict (const char *prefix) {
    char *path = wb_format ("%s.bin", prefix);
    const int fd = path != NULL ? open (path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || fdatasync (fd) != 0 || posix_fadvise (fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        fprintf (stderr, "bench_read: %s.bin cannot be removed from memory\n", prefix);
        exit (1);
    }
    const double bytes = (double) lseek (fd, 0, SEEK_END);
    close (fd);
    wb_free (path);
    return bytes;
}

static int by_size (const void *a, const void *b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void report (const char *what, double *seconds, int n, double bytes) {
    qsort (seconds, (size_t) n, sizeof *seconds, by_size);
    printf ("%-24s %10.3f ms  (%.3f to %.3f)", what, 1e3 * seconds[n / 2], 1e3 * seconds[0], 1e3 * seconds[n - 1]);
    if (bytes > 0) printf ("  %.2f GB/s", 1e-9 * bytes / seconds[n / 2]);
    printf ("\n");
}

int main (int argc, char **argv) {
    static const char *const names[] = {"batch, cold", "batch, asked for", "batch, in memory"};
    const int64_t B = argc > 2 ? atoll (argv[2]) : 8, T = argc > 3 ? atoll (argv[3]) : 1024;
    double seconds[BATCHES];
    if (argc < 2 || B < 1 || T < 1) {
        fprintf (stderr, "usage: bench_read PREFIX [SEQUENCES [T]]\n");
        return 2;
    }
    wb_log_init (WB_LOG_WARN, true);
    int32_t *ids = wb_malloc ((size_t) (T + 1) * sizeof *ids);
    if (ids == NULL) return 1;
    wb_tokens_t *f;
    for (int how = 0; how < 3; how++) {
        for (int b = 0; b < BATCHES; b++) {
            if (how < 2) (void) evict (argv[1]);
            if (wb_tokens_open (&f, argv[1]) != WB_OK) die ();
            wb_loader_t *loader;
            const wb_loader_part_t part = {f, 1.0};
            if (wb_loader_new (&loader, &part, 1, T, 1, true) != WB_OK) die ();
            for (int64_t k = 0; how == 1 && k < B; k++) wb_loader_prefetch (loader, b * B + k);
            if (how == 1) (void) nanosleep (&(struct timespec){.tv_nsec = 50000000}, NULL);
            for (int64_t k = 0; how == 2 && k < B; k++)
                if (wb_loader_sample (loader, ids, b * B + k) != WB_OK) die ();
            const double start = wb_now ();
            for (int64_t k = 0; k < B; k++)
                if (wb_loader_sample (loader, ids, b * B + k) != WB_OK) die ();
            seconds[b] = wb_now () - start;
            wb_loader_destroy (loader);
            wb_tokens_close (f);
        }
        report (names[how], seconds, BATCHES, 0);
    }
    double bytes = 0;
    for (int warm = 0; warm < 2; warm++) {
        for (int i = 0; i < CHECKS; i++) {
            if (!warm) bytes = evict (argv[1]);
            if (wb_tokens_open (&f, argv[1]) != WB_OK) die ();
            const double start = wb_now ();
            if (wb_tokens_check (f, INT32_MAX, 0, 1) != WB_OK) die ();
            seconds[i] = wb_now () - start;
            wb_tokens_close (f);
        }
        report (warm ? "check, in memory" : "check, cold", seconds, CHECKS, bytes);
    }
    wb_free (ids);
    return 0;
}
