/* Which characters and pairs are worth their places: what is used, not what is seen.
 *
 * The encoder takes a pair wherever it can, from left to right, so of overlapping pairs only some are ever used, and
 * how often depends on all the others.  So: encode the runs with all candidates, leave out a quarter of them, those
 * that save the fewest tokens, and again, until as many are left as there are places (the way of unigram models: Kudo,
 * ACL 2018).
 *
 * A pair saves a token each time it is used.  A character saves its bytes but one, each time it stands outside of a
 * pair; that it stands in pairs counts an eighth, since other texts have other pairs. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/trie.h"
#include "vocab/vocab_priv.h"

typedef struct choosing {
    const wb_counts_t *counts;
    wb_map_t at; /* pair -> its place in pairs */
    wb_choice_t pairs, chars;

} choosing_t;

void wb_choice_fini (wb_choice_t *c) {
    wb_free (c->data);
    *c = (wb_choice_t){0};
}

static wb_status put (wb_choice_t *c, uint32_t a, uint32_t b, int64_t saves) {
    if (!WB_GROW (c->data, c->cap, c->len + 1)) return WB_NOMEM ("words of a vocabulary");
    c->data[c->len++] = (wb_entry_t){a, b, saves};
    return WB_OK;
}

wb_status wb_choice_add (wb_choice_t *c, const char *text, size_t n) {
    uint32_t last = 0;
    for (size_t i = 0, length; i < n; i += length) {
        const uint32_t x = wb_utf8_get (text + i, n - i, &length);
        const wb_script script = x == WB_UTF8_NONE ? WB_SCRIPT_NONE : wb_script_of (x);
        if (last != 0 && script != WB_SCRIPT_NONE && wb_script_of (last) == script) WB_TRY (put (c, last, x, 0));
        last = script != WB_SCRIPT_NONE ? x : 0;
    }
    return WB_OK;
}

static int by_value (const void *x, const void *y) {
    const wb_entry_t *a = x, *b = y;
    if (a->saves != b->saves) return a->saves < b->saves ? 1 : -1;
    if (a->a != b->a) return a->a > b->a ? 1 : -1;
    return (a->b > b->b) - (a->b < b->b);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

/* How often each pair stands in the runs, overlapping ones too; new ones are put unless they were given. */
static wb_status count_pairs (choosing_t *c, bool given) {
    const wb_counts_t *n = c->counts;
    for (int64_t i = 0; i < n->slots; i++) {
        const uint32_t *s = n->chars + n->runs[i].at;
        for (int32_t k = 0; k + 1 < n->runs[i].len; k++) {
            int32_t at = c->at.slot != NULL ? wb_map_get (&c->at, s[k], s[k + 1]) : -1;
            if (at < 0) {
                if (given || c->pairs.len + 1 >= WB_MAP_MAX_VALUE) continue;
                at = (int32_t) c->pairs.len;
                WB_TRY (wb_map_put (&c->at, s[k], s[k + 1], at));
                WB_TRY (put (&c->pairs, s[k], s[k + 1], 0));
            }
            c->pairs.data[at].saves += n->runs[i].count;
        }
    }
    return WB_OK;
}

static wb_status index_pairs (choosing_t *c) {
    wb_free (c->at.slot);
    c->at = (wb_map_t){0};
    for (int64_t i = 0; i < c->pairs.len; i++)
        WB_TRY (wb_map_put (&c->at, c->pairs.data[i].a, c->pairs.data[i].b, (int32_t) i));
    return WB_OK;
}

static wb_status set_candidates (choosing_t *c, const wb_choice_t *given) {
    for (int64_t i = 0; given != NULL && i < given->len && c->pairs.len + 1 < WB_MAP_MAX_VALUE; i++) {
        const wb_entry_t *e = &given->data[i];
        if (c->at.slot != NULL && wb_map_get (&c->at, e->a, e->b) >= 0) continue;
        WB_TRY (wb_map_put (&c->at, e->a, e->b, (int32_t) c->pairs.len));
        WB_TRY (put (&c->pairs, e->a, e->b, 0));
    }
    WB_TRY (count_pairs (c, given != NULL));
    for (uint32_t x = 0x21; x < 0x110000; x++)
        if (c->counts->one[x] > 0 && x != 0x3000 && !wb_emoji_is_key (x)) WB_TRY (put (&c->chars, x, 0, 0));
    return WB_OK;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* Encode all runs with the pairs that are left. */
static void use (choosing_t *c) {
    const wb_counts_t *n = c->counts;
    for (int64_t i = 0; i < c->pairs.len; i++) c->pairs.data[i].saves = 0;
    for (int64_t i = 0; i < n->slots && c->at.slot != NULL; i++) {
        const uint32_t *s = n->chars + n->runs[i].at;
        for (int32_t k = 0; k + 1 < n->runs[i].len; k++) {
            const int32_t at = wb_map_get (&c->at, s[k], s[k + 1]);
            if (at < 0) continue;
            c->pairs.data[at].saves += n->runs[i].count;
            k++;
        }
    }
}

static void value_chars (choosing_t *c, int64_t *alone) {
    memcpy (alone, c->counts->one, 0x110000 * sizeof *alone);
    for (int64_t i = 0; i < c->pairs.len; i++) {
        alone[c->pairs.data[i].a] -= c->pairs.data[i].saves;
        alone[c->pairs.data[i].b] -= c->pairs.data[i].saves;
    }
    for (int64_t i = 0; i < c->chars.len; i++) {
        wb_entry_t *e = &c->chars.data[i];
        char bytes[4];
        const int64_t n = (int64_t) wb_utf8_put (bytes, e->a), all = c->counts->one[e->a];
        const int64_t left = alone[e->a] > 0 ? alone[e->a] : 0; /* at first, of overlapping pairs, it is less than 0 */
        e->saves = (n > 2 ? n - 1 : 1) * (left + (all - left) / 8);
    }
}

/* The best `size` of both stay, of what is used at all.  A pair that is left out is so for good; a character comes back
 * when pairs with it have gone. */
static wb_status cut (choosing_t *c, wb_choice_t *all, int64_t size) {
    all->len = 0;
    for (int64_t i = 0; i < c->pairs.len + c->chars.len; i++) {
        const wb_entry_t *e = i < c->pairs.len ? &c->pairs.data[i] : &c->chars.data[i - c->pairs.len];
        if (e->saves > 16) WB_TRY (put (all, e->a, e->b, e->saves));
    }
    qsort (all->data, (size_t) all->len, sizeof *all->data, by_value);
    if (all->len > size) all->len = size;
    c->pairs.len = 0;
    for (int64_t i = 0; i < all->len; i++)
        if (all->data[i].b != 0) c->pairs.data[c->pairs.len++] = all->data[i];
    return index_pairs (c);
}

static wb_status rounds (choosing_t *c, wb_choice_t *all, int64_t *alone, int64_t size) {
    bool last = false;
    value_chars (c, alone);
    for (int64_t keep = 4 * size;; keep -= keep / 4) {
        if (keep < size) keep = size;
        WB_TRY (cut (c, all, keep));
        use (c);
        value_chars (c, alone);
        if (last) return cut (c, all, size); /* in the order of the values as they are in the end */
        last = keep == size;
    }
}

wb_status wb_choose (wb_choice_t *out, const wb_counts_t *counts, const wb_choice_t *pairs, int64_t size) {
    choosing_t c = {.counts = counts};
    wb_choice_t all = {0};
    int64_t *alone = wb_malloc (0x110000 * sizeof *alone);
    wb_status status = alone == NULL ? WB_NOMEM ("counts of characters") : set_candidates (&c, pairs);
    if (status == WB_OK) status = rounds (&c, &all, alone, size);
    wb_free (alone);
    wb_free (c.at.slot);
    wb_choice_fini (&c.pairs);
    wb_choice_fini (&c.chars);
    if (status == WB_OK)
        *out = all;
    else
        wb_choice_fini (&all);
    return status;
}
