/* Arenas: one block each, allocated from the front.
 *
 * The plan of a run sizes them, *_new functions take their memory from them, and sealing forbids more, so a training
 * step cannot allocate.  Large arenas ask for huge pages, which avoid most TLB misses of the matrix kernels.  A
 * counting arena runs the same code without memory, to learn the size.
 *
 * Not done here: limits of a job (the planner). */
#include "config.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base_priv.h"
#include "wabun/base.h"

#define HUGE_PAGE ((size_t) 2 << 20)

int wb_spread (int64_t i, int threads) {
    int step = (int) (0.618 * threads + 0.5), a, b;
    for (;; step++) { /* with no divisor in common */
        for (a = threads, b = step; b > 0;) {
            const int rest = a % b;
            a = b, b = rest;
        }
        if (a == 1) return (int) (i % threads * step % threads);
    }
}

/* Untouched is what malloc() takes from the system and not from memory that was used before: 32 MiB and more. */
static wb_status make (wb_arena_t **out, const char *name, size_t bytes, bool touch) {
    char need[32], have[32];
    *out = NULL;
    wb_format_bytes (need, (double) bytes);
    if (bytes >= HUGE_PAGE && bytes > wb_mem_free ())
        return WB_FAIL (WB_ENOMEM,
                        "memory for %s: %s needed, %s free on this machine; use more ranks, a smaller "
                        "parallel.micro_batch or parallel.recompute",
                        name, need, wb_format_bytes (have, (double) wb_mem_free ()));
    wb_arena_t *a = wb_calloc (1, sizeof *a);
    if (a == NULL) return WB_NOMEM ("%s", name);
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
    /* NUMA places a page near the thread that touches it first.  What a kernel works on is a small part of an arena,
     * and all threads work on it together, each at another place every time: so neighbouring pages belong to threads
     * that are far from each other, and no kernel waits for the memory of one domain. */
    int64_t pages = touch || a->size < 32 * HUGE_PAGE ? (int64_t) ((a->size + HUGE_PAGE - 1) / HUGE_PAGE) : 0;
#pragma omp parallel if (pages > 8)
    {
        const int threads = omp_get_num_threads (), me = omp_get_thread_num ();
        for (int64_t i = 0; i < pages; i++) {
            size_t at = (size_t) i * HUGE_PAGE;
            if (wb_spread (i, threads) == me)
                memset (a->base + at, 0, a->size - at < HUGE_PAGE ? a->size - at : HUGE_PAGE);
        }
    }
    wb_heap_count (a->size);
    *out = a;
    return WB_OK;
}

wb_status wb_arena_new (wb_arena_t **out, const char *name, size_t bytes) { return make (out, name, bytes, true); }
wb_status wb_arena_new_slowly (wb_arena_t **out, const char *name, size_t bytes) {
    return make (out, name, bytes, false);
}

void wb_arena_destroy (wb_arena_t *a) {
    if (a == NULL) return;
    wb_heap_uncount (a->size);
    free (a->base);
    wb_free (a);
}

wb_arena_t wb_arena_counting (void) { return (wb_arena_t){.name = "counting", .size = SIZE_MAX}; }

void *wb_arena_alloc (wb_arena_t *a, size_t bytes) {
    size_t take = wb_align (bytes);
    if (a->sealed) wb_abort (__FILE__, __LINE__, "arena %s: allocation after sealing", a->name);
    if (take < bytes || take > a->size - a->used)
        wb_abort (__FILE__, __LINE__, "arena %s: %zu bytes asked for, %zu of %zu left", a->name, bytes,
                  a->size - a->used, a->size);
    void *p = a->base != NULL ? a->base + a->used : NULL;
    a->used += take;
    return p;
}

float *wb_arena_floats (wb_arena_t *a, int64_t n) {
    WB_ASSERT (n >= 0 && (uint64_t) n <= PTRDIFF_MAX / sizeof (float));
    return wb_arena_alloc (a, (size_t) n * sizeof (float));
}

void wb_arena_seal (wb_arena_t *a) { a->sealed = true; }

size_t wb_arena_used (const wb_arena_t *a) { return a->used; }
