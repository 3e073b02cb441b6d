/* Blocks of keys and values: who uses which, and which beginnings of texts are known.
 *
 * A block holds WB_CACHE_BLOCK positions of all layers.  Several sequences may use one; the last one to leave it makes
 * it free.  A full block of a prompt gets a name, the serial number of the block before it and its own ids, by which
 * another text with the same beginning finds it.  A free block keeps its name and what it holds until it is needed:
 * the one that has been free for longest is taken first, those without a name before all others (Kwon et al.,
 * arXiv:2309.06180, share and free blocks in this way).  Serial numbers are never used again, so a name cannot come to
 * mean another beginning.
 *
 * Not here: what the blocks hold (kv_cache.c). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

enum { NONE = -1 };

typedef struct block {
    int32_t users;
    int32_t before, after; /* in the free list, while it is free */
    int32_t next;          /* in its bucket, while it has a name */
    uint64_t serial;       /* 0: no name */
    uint64_t parent;       /* serial of the block before it, 0: it is the first of a text */
    int32_t ids[WB_CACHE_BLOCK];
} block_t;

struct wb_pool {
    int64_t n, nfree, buckets;
    int32_t first, last; /* of the free list */
    uint64_t serial;     /* given out last */
    block_t *list;       /* [n] */
    int32_t *bucket;     /* [buckets] first block of each */
};

static int64_t buckets_of (int64_t n) { return 2 * n + 1; }

static void carve (wb_pool_t *b, wb_arena_t *a, int64_t n) {
    b->list = wb_arena_alloc (a, (size_t) n * sizeof *b->list);
    b->bucket = wb_arena_alloc (a, (size_t) buckets_of (n) * sizeof *b->bucket);
}

/* ---- the free list ----------------------------------------------------------------------------------------------- */

static void unlink_free (wb_pool_t *b, int32_t i) {
    block_t *x = &b->list[i];
    *(x->before == NONE ? &b->first : &b->list[x->before].after) = x->after;
    *(x->after == NONE ? &b->last : &b->list[x->after].before) = x->before;
    b->nfree--;
}

static void link_free (wb_pool_t *b, int32_t i, bool first) {
    block_t *x = &b->list[i];
    x->before = first ? NONE : b->last;
    x->after = first ? b->first : NONE;
    *(x->before == NONE ? &b->first : &b->list[x->before].after) = i;
    *(x->after == NONE ? &b->last : &b->list[x->after].before) = i;
    b->nfree++;
}

wb_pool_t *wb_pool_carve (wb_arena_t *a, int64_t n) {
    wb_pool_t *b = wb_arena_alloc (a, sizeof *b), count;
    carve (b != NULL ? b : &count, a, n);
    return b;
}

void wb_pool_init (wb_pool_t *b, int64_t n) {
    b->n = n;
    b->buckets = buckets_of (n);
    b->first = b->last = NONE;
    for (int64_t i = 0; i < b->buckets; i++) b->bucket[i] = NONE;
    for (int64_t i = 0; i < n; i++) link_free (b, (int32_t) i, false);
}

int64_t wb_pool_free (const wb_pool_t *b) { return b->nfree; }

/* ---- names ------------------------------------------------------------------------------------------------------- */

static int32_t *bucket_of (const wb_pool_t *b, uint64_t parent, const int32_t *ids) {
    const uint64_t h = wb_hash64 (ids, WB_CACHE_BLOCK * sizeof *ids) ^ parent * 0x9e3779b97f4a7c15u;
    return &b->bucket[(h ^ h >> 32) % (uint64_t) b->buckets];
}

int32_t wb_pool_find (const wb_pool_t *b, uint64_t parent, const int32_t *ids) {
    int32_t i = *bucket_of (b, parent, ids);
    for (; i != NONE; i = b->list[i].next)
        if (b->list[i].parent == parent && memcmp (b->list[i].ids, ids, sizeof b->list[i].ids) == 0) break;
    return i;
}

void wb_pool_name (wb_pool_t *b, int32_t i, uint64_t parent, const int32_t *ids) {
    block_t *x = &b->list[i];
    int32_t *at = bucket_of (b, parent, ids);
    WB_ASSERT (x->serial == 0);
    x->serial = ++b->serial;
    x->parent = parent;
    memcpy (x->ids, ids, sizeof x->ids);
    x->next = *at;
    *at = i;
}

void wb_pool_unname (wb_pool_t *b, int32_t i) {
    block_t *x = &b->list[i];
    if (x->serial == 0) return;
    int32_t *at = bucket_of (b, x->parent, x->ids);
    while (*at != i) at = &b->list[*at].next;
    *at = x->next;
    x->serial = 0;
}

uint64_t wb_pool_serial (const wb_pool_t *b, int32_t i) { return b->list[i].serial; }

/* ---- users ------------------------------------------------------------------------------------------------------- */

int32_t wb_pool_take (wb_pool_t *b) {
    const int32_t i = b->first;
    WB_ASSERT (i != NONE); /* the caller has counted */
    unlink_free (b, i);
    wb_pool_unname (b, i);
    b->list[i].users = 1;
    return i;
}

void wb_pool_share (wb_pool_t *b, int32_t i) {
    if (b->list[i].users++ == 0) unlink_free (b, i);
}

void wb_pool_drop (wb_pool_t *b, int32_t i) {
    WB_ASSERT (b->list[i].users > 0);
    if (--b->list[i].users == 0) link_free (b, i, b->list[i].serial == 0);
}

int wb_pool_users (const wb_pool_t *b, int32_t i) { return b->list[i].users; }
