/* Clock, checksum and numbers as people read them.
 *
 * Not done here: time zones and dates. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>
#include <xxhash.h>

#include "wabun/base.h"

uint64_t wb_hash64 (const void *p, size_t bytes) { return XXH64 (p, bytes, 0); }

double wb_now (void) {
    struct timespec t;
    clock_gettime (CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

const char *wb_format_seconds (char buf[32], double s) {
    if (!isfinite (s) || fabs (s) > 1e12)
        snprintf (buf, 32, "?");
    else if (s < 0)
        snprintf (buf, 32, "%.1f s", s);
    else if (s < 0.0995)
        snprintf (buf, 32, "%.3g ms", 1e3 * s);
    else if (s < 59.95)
        snprintf (buf, 32, "%.1f s", s);
    else if (s < 3599.5) {
        int64_t t = (int64_t) (s + 0.5);
        snprintf (buf, 32, "%" PRId64 " min %02" PRId64 " s", t / 60, t % 60);
    } else if (s < 86400 - 30) {
        int64_t t = (int64_t) (s / 60 + 0.5);
        snprintf (buf, 32, "%" PRId64 " h %02" PRId64 " min", t / 60, t % 60);
    } else {
        int64_t t = (int64_t) (s / 3600 + 0.5);
        snprintf (buf, 32, "%" PRId64 " d %02" PRId64 " h", t / 24, t % 24);
    }
    return buf;
}

const char *wb_format_bytes (char buf[32], double bytes) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int u = 0;
    while (u < 6 && fabs (bytes) >= 1023.5) bytes /= 1024, u++;
    snprintf (buf, 32, u > 0 && fabs (bytes) < 9.95 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
    return buf;
}

const char *wb_format_count (char buf[32], int64_t n) {
    char digits[24];
    int len = snprintf (digits, sizeof digits, "%" PRIu64, n < 0 ? -(uint64_t) n : (uint64_t) n), at = 0;
    if (n < 0) buf[at++] = '-';
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = 0;
    return buf;
}
