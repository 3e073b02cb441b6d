/* A hash of two code points, and a trie over code points: what ja-bpe looks up. */
#ifndef WABUN_TOKENIZER_TRIE_H
#define WABUN_TOKENIZER_TRIE_H

#include "tokenizer/tokenizer_priv.h"

#define WB_MAP_NO_CHAR 0x1fffffu   /* 21 bits, not a code point */
#define WB_MAP_MAX_VALUE (1 << 22) /* what a slot of the table has room for */

/* A slot holds key << 22 | value in one word: (two code points) -> id, (trie node, code point) -> node. */
typedef struct wb_map {
    uint64_t *slot; /* 0: empty */
    size_t mask, used;
} wb_map_t;

static inline uint64_t wb_map_key (uint32_t a, uint32_t b) { return ((uint64_t) a << 21 | b) + 1; }

static inline size_t wb_map_at (const wb_map_t *m, uint64_t key) {
    return (size_t) (key * 0x9e3779b97f4a7c15u >> 32) & m->mask;
}

static inline int32_t wb_map_get (const wb_map_t *m, uint32_t a, uint32_t b) {
    const uint64_t key = wb_map_key (a, b);
    for (size_t i = wb_map_at (m, key);; i = (i + 1) & m->mask) {
        uint64_t x = m->slot[i];
        if (x >> 22 == key) return (int32_t) (x & (WB_MAP_MAX_VALUE - 1));
        if (x == 0) return -1;
    }
}

/* Set the value (below WB_MAP_MAX_VALUE) of (a, b).  Errors: WB_ENOMEM; the map stays as it was. */
wb_status wb_map_put (wb_map_t *m, uint32_t a, uint32_t b, int32_t value) WB_NODISCARD;

/* A trie over code points; node 0 is its root. */
typedef struct wb_trie {
    wb_map_t next;
    int32_t *value; /* [nodes] -1: none ends here */
    int32_t nodes, cap;
} wb_trie_t;

/* Set the value of a key of n code points; *was is the one it had, -1: none.  Errors: WB_ENOMEM. */
wb_status wb_trie_put (wb_trie_t *t, const uint32_t *key, size_t n, int32_t value, int32_t *was) WB_NODISCARD;
void wb_trie_fini (wb_trie_t *t);

#endif
