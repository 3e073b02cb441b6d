/* ja-bpe: the tokenizer of gpt2-japanese, id for id.
 *
 * Words have one or two characters and are matched greedily, the longest first; words that begin with '<' are tags of
 * any length.  `clean` narrows full-width forms before it looks for patterns.
 *
 * Not done here: what ja-swe shares (ja_text.c, ja_load.c), building vocabularies. */
#include "config.h"

#include <string.h>

#include "tokenizer/ja.h"

typedef struct bpe {
    wb_ja_t ja;
    int32_t one[0x10000]; /* ids of words of one character, -1: none */
    wb_map_t pairs;       /* words of two, and (c, WB_MAP_NO_CHAR) words of one above U+FFFF */
} bpe_t;

static wb_status add (wb_ja_t *base, wb_ja_loading_t *l, int32_t id, const char *s, size_t n) {
    bpe_t *t = (bpe_t *) base;
    int32_t was;
    WB_TRY (wb_ja_cps (&l->cps, s, n));
    const uint32_t *c = l->cps.data;
    WB_TRY (wb_trie_put (&l->seen, c, l->cps.len, id, &was));
    if (was >= 0)
        return WB_FAIL (WB_EDATA, "%s:%d: duplicate entry: %.*s stands in line %d already", l->path, (int) id + 1,
                        (int) n, s, (int) was + 1);
    WB_TRY (wb_ja_piece (base, l->path, id, s, n));
    if (c[0] != '<' && l->cps.len > 2) return WB_OK; /* never found by the original: it looks at two characters */
    if (wb_ja_crosses (&l->cps)) base->base.by_lines = false;
    if (c[0] == '<') return wb_trie_put (&base->tags, c, l->cps.len, id, &was);
    if (l->cps.len == 2) return wb_map_put (&t->pairs, c[0], c[1], id);
    if (c[0] >= 0x10000) return wb_map_put (&t->pairs, c[0], WB_MAP_NO_CHAR, id);
    t->one[c[0]] = id;
    return WB_OK;
}

static wb_status put_words (const wb_ja_t *base, wb_ids_t *out, const wb_cps_t *text) {
    const bpe_t *t = (const bpe_t *) base;
    const uint32_t *s = text->data;
    const size_t n = text->len;
    for (size_t i = 0; i < n;) {
        const uint32_t c = s[i];
        int32_t id = -1;
        size_t len = 1;
        if (c == '<') {
            int32_t node = 0;
            for (size_t k = i; k < n; k++) {
                node = wb_map_get (&base->tags.next, (uint32_t) node, s[k] < WB_RAW ? s[k] : WB_MAP_NO_CHAR);
                if (node < 0) break;
                if (base->tags.value[node] >= 0) id = base->tags.value[node], len = k + 1 - i;
            }
        } else if (c < WB_RAW) {
            if (i + 1 < n && s[i + 1] < WB_RAW) id = wb_map_get (&t->pairs, c, s[i + 1]);
            if (id >= 0)
                len = 2;
            else
                id = c < 0x10000 ? t->one[c] : wb_map_get (&t->pairs, c, WB_MAP_NO_CHAR);
        }
        i += len;
        if (id < 0)
            WB_TRY (wb_ja_put_bytes (base, out, c));
        else if (out->len < out->cap)
            out->data[out->len++] = id;
        else
            WB_TRY (wb_ids_put (out, id));
    }
    return WB_OK;
}

static wb_status clean (const wb_ja_t *t, wb_cps_t *text, wb_cps_t *spare) {
    uint32_t *p = text->data;
    for (size_t i = 0; i < text->len; i++) {
        if (p[i] - 0xff01 <= 0xff5e - 0xff01) p[i] -= 0xff01 - 0x21;
        if (p[i] == 0x3000) p[i] = ' '; /* none is left but what an emoji's tag may hold */
    }
    return wb_clean_run (t->clean, text, spare);
}

static const char *const needed[] = {"<SP>", "<BR>", "<TAB>", NULL};
static const wb_ja_form_t form = {.add = add, .clean = clean, .put_words = put_words, .needed = needed};

static void destroy (wb_tokenizer_t *base) {
    bpe_t *t = (bpe_t *) base;
    wb_ja_fini (&t->ja);
    wb_free (t->pairs.slot);
    wb_free (t);
}

static int32_t find (const wb_tokenizer_t *base, const char *name) {
    const bpe_t *t = (const bpe_t *) base;
    const size_t n = strlen (name);
    size_t at, first, second;
    if (name[0] == '<') return wb_ja_tag (&t->ja, name);
    if (n == 0 || !wb_utf8_valid (name, n, &at)) return -1;
    const uint32_t c = wb_utf8_get (name, n, &first);
    if (first == n) return c < 0x10000 ? t->one[c] : wb_map_get (&t->pairs, c, WB_MAP_NO_CHAR);
    const uint32_t d = wb_utf8_get (name + first, n - first, &second);
    return first + second == n ? wb_map_get (&t->pairs, c, d) : -1;
}

static bool probe (const wb_place_t *place) { return wb_place_has (place, "ja-bpe.txt"); }

static wb_status new_from (wb_tokenizer_t **out, const wb_place_t *place) {
    bpe_t *t = wb_calloc (1, sizeof *t);
    if (t == NULL) return WB_NOMEM ("vocabulary");
    t->ja.base.kind = &wb_tokenizer_ja_bpe;
    t->ja.base.unknown = -1;
    t->ja.form = &form;
    for (int i = 0; i < 0x10000; i++) t->one[i] = -1;
    wb_status status = wb_map_put (&t->pairs, WB_MAP_NO_CHAR, 0, 0); /* lookups need not ask whether there is a table */
    if (status == WB_OK) status = wb_ja_load (&t->ja, place, "ja-bpe.txt");
    if (status == WB_OK)
        *out = &t->ja.base;
    else
        destroy (&t->ja.base);
    return status;
}

const wb_tokenizer_kind_t wb_tokenizer_ja_bpe = {
    .name = "ja-bpe",
    .what = "a directory with ja-bpe.txt and emoji.json",
    .files = {"ja-bpe.txt", "emoji.json"},
    .probe = probe,
    .open = new_from,
    .destroy = destroy,
    .encode = wb_ja_encode,
    .piece = wb_ja_piece_of,
    .find = find,
    .file = wb_ja_file,
};
