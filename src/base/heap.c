/* The counted heap.
 *
 * Every block carries a header with its size, so that the bytes held are known at any time and a leak or a pointer from
 * elsewhere is noticed.
 *
 * Not done here: arenas (arena.c), how many bytes anything needs (each module's _bytes functions). */
#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/base_priv.h"
#include "wabun/base.h"

#define LIVE 0x77616275u /* "wabu": the header is ours and the block is in use */
#define DEAD 0xdeadb10cu

typedef struct header {
    size_t bytes;
    uint32_t mark;
    uint32_t pad;
} header_t;
_Static_assert(sizeof (header_t) == 16, "blocks keep malloc's alignment of 16");

static _Atomic int64_t blocks;
static _Atomic size_t held;

void wb_heap_count (size_t bytes) {
    atomic_fetch_add (&blocks, 1);
    atomic_fetch_add (&held, bytes);
}

void wb_heap_uncount (size_t bytes) {
    atomic_fetch_sub (&blocks, 1);
    atomic_fetch_sub (&held, bytes);
}

void wb_heap_few_pools (void) {
#ifdef M_ARENA_MAX
    (void) mallopt (M_ARENA_MAX, 2);
#endif
}

static header_t *header_of (void *p) {
    header_t *h = (header_t *) p - 1;
    if (h->mark != LIVE)
        wb_abort (__FILE__, __LINE__, "broken invariant: a pointer that %s",
                  h->mark == DEAD ? "was freed before" : "is not from wb_malloc()");
    return h;
}

void *wb_malloc (size_t bytes) {
    if (bytes > PTRDIFF_MAX - sizeof (header_t)) return NULL;
    header_t *h = malloc (sizeof *h + bytes);
    if (h == NULL) return NULL;
    *h = (header_t){.bytes = bytes, .mark = LIVE};
    wb_heap_count (bytes);
    return h + 1;
}

void *wb_calloc (size_t n, size_t bytes) {
    size_t all;
    if (__builtin_mul_overflow (n, bytes, &all) || all > PTRDIFF_MAX - sizeof (header_t)) return NULL;
    header_t *h = calloc (1, sizeof *h + all);
    if (h == NULL) return NULL;
    *h = (header_t){.bytes = all, .mark = LIVE};
    wb_heap_count (all);
    return h + 1;
}

void *wb_realloc (void *p, size_t bytes) {
    if (p == NULL) return wb_malloc (bytes);
    if (bytes > PTRDIFF_MAX - sizeof (header_t)) return NULL;
    header_t *h = header_of (p);
    size_t before = h->bytes;
    h = realloc (h, sizeof *h + bytes);
    if (h == NULL) return NULL;
    h->bytes = bytes;
    wb_heap_uncount (before);
    wb_heap_count (bytes);
    return h + 1;
}

char *wb_strndup (const char *s, size_t n) {
    n = strnlen (s, n);
    char *copy = wb_malloc (n + 1);
    if (copy == NULL) return NULL;
    memcpy (copy, s, n);
    copy[n] = 0;
    return copy;
}

char *wb_strdup (const char *s) { return wb_strndup (s, strlen (s)); }

void wb_free (void *p) {
    if (p == NULL) return;
    header_t *h = header_of (p);
    wb_heap_uncount (h->bytes);
    h->mark = DEAD;
    free (h);
}

void wb_free_foreign (void *p) { free (p); }

int64_t wb_mem_balance (void) { return atomic_load (&blocks); }
size_t wb_mem_now (void) { return atomic_load (&held); }

size_t wb_mem_rss_peak (void) {
    struct rusage u;
    if (getrusage (RUSAGE_SELF, &u) != 0) return 0;
    return (size_t) u.ru_maxrss * 1024;
}
