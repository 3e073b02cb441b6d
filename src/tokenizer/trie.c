/* A hash of two code points, and a trie over code points (trie.h).
 *
 * Open addressing with linear probing, at most half full.  The trie is a hash (node, code point) -> node.  Nothing is
 * ever removed. */
#include "config.h"

#include "tokenizer/trie.h"

wb_status wb_map_put (wb_map_t *m, uint32_t a, uint32_t b, int32_t value) {
    if (m->slot == NULL || 2 * (m->used + 1) > m->mask) {
        wb_map_t old = *m;
        m->mask = old.slot != NULL ? 2 * old.mask + 1 : 255;
        m->slot = wb_calloc (m->mask + 1, sizeof *m->slot);
        if (m->slot == NULL) {
            *m = old;
            return WB_NOMEM ("vocabulary");
        }
        for (size_t k = 0; old.slot != NULL && k <= old.mask; k++) {
            if (old.slot[k] == 0) continue;
            size_t i = wb_map_at (m, old.slot[k] >> 22);
            while (m->slot[i] != 0) i = (i + 1) & m->mask;
            m->slot[i] = old.slot[k];
        }
        wb_free (old.slot);
    }
    const uint64_t key = wb_map_key (a, b);
    size_t i = wb_map_at (m, key);
    while (m->slot[i] != 0 && m->slot[i] >> 22 != key) i = (i + 1) & m->mask;
    if (m->slot[i] == 0) m->used++;
    m->slot[i] = key << 22 | (uint64_t) value;
    return WB_OK;
}

static wb_status add_node (wb_trie_t *t) {
    if (t->nodes == t->cap) {
        int32_t cap = t->cap > 0 ? 2 * t->cap : 256;
        int32_t *p = cap <= WB_MAP_MAX_VALUE / 2 ? wb_realloc (t->value, (size_t) cap * sizeof *p) : NULL;
        if (p == NULL) return WB_NOMEM ("vocabulary");
        t->value = p;
        t->cap = cap;
    }
    t->value[t->nodes++] = -1;
    return WB_OK;
}

wb_status wb_trie_put (wb_trie_t *t, const uint32_t *key, size_t n, int32_t value, int32_t *was) {
    int32_t node = 0;
    if (t->nodes == 0) WB_TRY (add_node (t));
    for (size_t i = 0; i < n; i++) {
        int32_t next = t->next.slot != NULL ? wb_map_get (&t->next, (uint32_t) node, key[i]) : -1;
        if (next < 0) {
            next = t->nodes;
            WB_TRY (add_node (t));
            WB_TRY (wb_map_put (&t->next, (uint32_t) node, key[i], next));
        }
        node = next;
    }
    *was = t->value[node];
    t->value[node] = value;
    return WB_OK;
}

void wb_trie_fini (wb_trie_t *t) {
    wb_free (t->next.slot);
    wb_free (t->value);
}
