/* Memory: the counted heap and the arenas.
 *
 * Every block of the heap carries a header with its size, so that what is held can be told at any time and a leak or a
 * pointer from elsewhere is noticed.  An arena is one block carved from the front: the plan of a run sizes it, *_new
 * functions carve it, sealing forbids more, so a training step cannot allocate.  Large arenas ask for huge pages, which
 * spare the matrix kernels most of their TLB misses.
 *
 * Not done here: how many bytes anything needs (each module's _bytes functions), limits of a job (the planner). */
#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "wabun/base.h"

#define HUGE_PAGE ((size_t) 2 << 20)
#define LIVE 0x77616275u /* "wabu": the header is ours and the block is held */
#define DEAD 0xdeadb10cu

typedef struct header {
    size_t bytes;
    uint32_t mark;
    uint32_t pad;
} header_t;
_Static_assert(sizeof (header_t) == 16, "blocks keep malloc's alignment of 16");

static _Atomic int64_t blocks;
static _Atomic size_t held, peak;

static void count (size_t bytes) {
    atomic_fetch_add (&blocks, 1);
    size_t now = atomic_fetch_add (&held, bytes) + bytes;
    size_t most = atomic_load (&peak);
    while (now > most && !atomic_compare_exchange_weak (&peak, &most, now)) {}
}

static void uncount (size_t bytes) {
    atomic_fetch_sub (&blocks, 1);
    atomic_fetch_sub (&held, bytes);
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
    count (bytes);
    return h + 1;
}

void *wb_calloc (size_t n, size_t bytes) {
    size_t all;
    if (__builtin_mul_overflow (n, bytes, &all) || all > PTRDIFF_MAX - sizeof (header_t)) return NULL;
    header_t *h = calloc (1, sizeof *h + all);
    if (h == NULL) return NULL;
    *h = (header_t){.bytes = all, .mark = LIVE};
    count (all);
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
    uncount (before);
    count (bytes);
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
    uncount (h->bytes);
    h->mark = DEAD;
    free (h);
}

void wb_free_foreign (void *p) { free (p); }

int64_t wb_mem_balance (void) { return atomic_load (&blocks); }
size_t wb_mem_now (void) { return atomic_load (&held); }
size_t wb_mem_peak (void) { return atomic_load (&peak); }

size_t wb_mem_rss_peak (void) {
    struct rusage u;
    if (getrusage (RUSAGE_SELF, &u) != 0) return 0;
    return (size_t) u.ru_maxrss * 1024;
}

/* ---- arenas ---------------------------------------------------------------------------------------------------- */

struct wb_arena {
    char name[32];
    char *base;
    size_t size, used;
    size_t marks; /* not yet released: between mark and release carving is allowed even when sealed */
    bool sealed;
};

/* What the system could still give, SIZE_MAX where it does not tell.  Linux promises more memory than there is and
 * kills the process that uses it; asking first gives an error that can be read instead. */
size_t wb_mem_free (void) {
    FILE *f = fopen ("/proc/meminfo", "re");
    if (f == NULL) return SIZE_MAX;
    char line[128];
    size_t kib = 0;
    bool found = false;
    while (!found && fgets (line, sizeof line, f) != NULL) found = sscanf (line, "MemAvailable: %zu kB", &kib) == 1;
    fclose (f);
    return found ? kib * 1024 : SIZE_MAX;
}

wb_status wb_arena_new (wb_arena_t **out, const char *name, size_t bytes) {
    char need[32], have[32];
    *out = NULL;
    wb_format_bytes (need, (double) bytes);
    if (bytes >= HUGE_PAGE && bytes > wb_mem_free ())
        return WB_FAIL (WB_ENOMEM,
                        "memory for %s: %s needed, %s free on this machine; use more ranks, a smaller "
                        "parallel.micro_batch or parallel.recompute",
                        name, need, wb_format_bytes (have, (double) wb_mem_free ()));
    wb_arena_t *a = wb_calloc (1, sizeof *a);
    if (a == NULL) return WB_FAIL (WB_ENOMEM, "memory for %s: out of memory", name);
    snprintf (a->name, sizeof a->name, "%s", name);
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : WB_ALIGN;
    a->size = wb_align (bytes);
    if (a->size < bytes || posix_memalign ((void **) &a->base, align, a->size > 0 ? a->size : WB_ALIGN) != 0) {
        wb_free (a);
        return WB_FAIL (WB_ENOMEM, "memory for %s: %s needed, and the system gives no more", name, need);
    }
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE) (void) madvise (a->base, a->size & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
#endif
    /* The team touches the pages in the order in which it will use them: NUMA places each near its thread. */
    int64_t pages = (int64_t) ((a->size + HUGE_PAGE - 1) / HUGE_PAGE);
#pragma omp parallel for schedule(static) if (pages > 8)
    for (int64_t i = 0; i < pages; i++) {
        size_t at = (size_t) i * HUGE_PAGE;
        memset (a->base + at, 0, a->size - at < HUGE_PAGE ? a->size - at : HUGE_PAGE);
    }
    count (a->size);
    *out = a;
    return WB_OK;
}

void wb_arena_destroy (wb_arena_t *a) {
    if (a == NULL) return;
    uncount (a->size);
    free (a->base);
    wb_free (a);
}

void *wb_arena_alloc (wb_arena_t *a, size_t bytes) {
    size_t take = wb_align (bytes);
    if (a->sealed && a->marks == 0) wb_abort (__FILE__, __LINE__, "arena %s: allocation after sealing", a->name);
    if (take < bytes || take > a->size - a->used)
        wb_abort (__FILE__, __LINE__, "arena %s: %zu bytes asked for, %zu of %zu left", a->name, bytes,
                  a->size - a->used, a->size);
    void *p = a->base + a->used;
    a->used += take;
    return p;
}

float *wb_arena_floats (wb_arena_t *a, int64_t n) {
    WB_ASSERT (n >= 0 && (uint64_t) n <= PTRDIFF_MAX / sizeof (float));
    return wb_arena_alloc (a, (size_t) n * sizeof (float));
}

void wb_arena_seal (wb_arena_t *a) { a->sealed = true; }

size_t wb_arena_mark (wb_arena_t *a) {
    a->marks++;
    return a->used;
}

void wb_arena_release (wb_arena_t *a, size_t mark) {
    WB_ASSERT (a->marks > 0 && mark <= a->used);
    a->marks--;
    a->used = mark;
}

size_t wb_arena_used (const wb_arena_t *a) { return a->used; }
size_t wb_arena_size (const wb_arena_t *a) { return a->size; }

#ifdef WB_DEBUG
__attribute__ ((destructor)) static void tell_leaks (void) {
    int64_t left = wb_mem_balance ();
    if (left != 0)
        fprintf (stderr, "wabun: debug: %lld blocks, %zu bytes never freed\n", (long long) left, wb_mem_now ());
}
#endif
