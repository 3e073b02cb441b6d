/* Shares of n-grams: how much of a text is one pair of characters, or passages of ten characters that come twice.
 *
 * A long text has more of both than a short one of the same kind, so they are counted in blocks, in tables that stay in
 * the cache; the shares are means over the blocks.  Pairs of one hash are counted together (65,536 counters for 16,384
 * pairs), which can only make the share of the most frequent a little larger. */
#include "config.h"

#include <string.h>

#include "corpus/filters.h"

enum { BLOCK = 16384, N = 10, PAIRS = 1 << 16, SLOTS = 1 << 15 };
#define BASE UINT64_C (0x9e3779b97f4a7c15)

typedef struct tables {
    uint16_t pairs[PAIRS];
    uint32_t slots[SLOTS]; /* hash of a 10-gram, of which the lowest bit says that it came again; 0: free */
} tables_t;

static double top_pair (tables_t *t, const uint32_t *c, int64_t n) {
    unsigned top = 0;
    if (n < 2) return 0.0;
    memset (t->pairs, 0, sizeof t->pairs);
    for (int64_t i = 0; i + 1 < n; i++) {
        uint16_t *p = &t->pairs[(c[i] * 0x9e3779b1u ^ c[i + 1] * 0x85ebca77u) >> 16];
        if (++*p > top) top = *p;
    }
    return (double) top / (double) (n - 1);
}

static double repeated (tables_t *t, const uint32_t *c, int64_t n, uint64_t power) {
    int64_t all = 0, again = 0;
    uint64_t h = 0;
    if (n < N) return 0.0;
    memset (t->slots, 0, sizeof t->slots);
    for (int64_t i = 0; i < n; i++) {
        h = h * BASE + c[i] - (i >= N ? c[i - N] * power : 0);
        if (i + 1 < N) continue;
        const uint64_t mixed = (h ^ h >> 29) * UINT64_C (0xbf58476d1ce4e5b9);
        const uint32_t tag = (uint32_t) (mixed >> 32) | 2u, key = tag & ~1u;
        uint32_t at = (uint32_t) (mixed >> 12) & (SLOTS - 1);
        while (t->slots[at] != 0 && (t->slots[at] & ~1u) != key) at = (at + 1) & (SLOTS - 1);
        if (t->slots[at] == 0)
            t->slots[at] = key, all++;
        else if ((t->slots[at] & 1u) == 0)
            t->slots[at] |= 1u, again++;
    }
    return (double) again / (double) all;
}

wb_status wb_measure_ngrams (wb_measurer_t *x, wb_measures_t *m) {
    uint64_t power = 1;
    double top = 0, twice = 0;
    if (x->tables == NULL && (x->tables = wb_malloc (sizeof (tables_t))) == NULL) return WB_NOMEM ("tables of n-grams");
    for (int i = 0; i < N; i++) power *= BASE;
    for (int64_t at = 0; at < x->n; at += BLOCK) {
        const int64_t n = x->n - at < BLOCK ? x->n - at : BLOCK;
        top += top_pair (x->tables, x->chars + at, n) * (double) n;
        twice += repeated (x->tables, x->chars + at, n, power) * (double) n;
    }
    m->top_2gram = x->n > 0 ? top / (double) x->n : 0.0;
    m->repeated_10grams = x->n > 0 ? twice / (double) x->n : 0.0;
    return WB_OK;
}
