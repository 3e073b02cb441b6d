/* ja-swe: the second encoder of gpt2-japanese's author (Japanese-BPEEncoder_V2), id for id.
 *
 * A line of the vocabulary is one id with several spellings between commas; decoding gives the first one.  Of the words
 * of one to three characters that begin at a place, the one with the smallest id is taken, not the longest; at a '<' a
 * tag goes first, the longest.  Signs and symbols that no word covers have an id for all of them before there are
 * bytes.
 *
 * Words are found by a walk through a trie of at most three steps (tags: as long as the longest), so time is linear.
 *
 * Not done here: what ja-bpe shares (ja_text.c, ja_load.c), building vocabularies. */
#include "config.h"

#include <string.h>

#include "tokenizer/ja.h"

#define WINDOW 3 /* characters of a word that is no tag */

typedef struct swe {
    wb_ja_t ja;
    int32_t start[0x10000]; /* node of the trie after this first character, -1: no word begins with it */
    int32_t kigou, u2000;
} swe_t;

/* What some tags stand for in decoded text: what they replace is gone. */
static const struct { const char *tag, *text; } shown[] = {{"<BLOCK>", "▀"}, {"<KIGOU>", "ǀ"}, {"<U2000U2BFF>", "‖"}};

static wb_status add_spelling (wb_ja_t *t, wb_ja_loading_t *l, int32_t id, const char *s, size_t n) {
    int32_t was;
    WB_TRY (wb_ja_cps (&l->cps, s, n));
    if (n == 0 || (l->cps.data[0] != '<' && l->cps.len > WINDOW))
        return WB_OK; /* the original does not find it either */
    if (wb_ja_crosses (&l->cps)) t->base.by_lines = false;
    return wb_trie_put (&t->tags, l->cps.data, l->cps.len, id, &was); /* the last line of a spelling counts */
}

static wb_status add (wb_ja_t *t, wb_ja_loading_t *l, int32_t id, const char *s, size_t n) {
    const char *comma = n > 1 ? memchr (s, ',', n) : NULL;
    const size_t first = comma != NULL ? (size_t) (comma - s) : n;
    WB_TRY (wb_ja_piece (t, l->path, id, s, first));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (first == strlen (shown[i].tag) && memcmp (s, shown[i].tag, first) == 0)
            t->pieces[id] = (wb_piece_t){.text = shown[i].text, .len = (int32_t) strlen (shown[i].text)};
    if (n == 1) return add_spelling (t, l, id, s, 1); /* perhaps a comma itself */
    for (const char *end = s + n;; s = comma + 1) {
        comma = memchr (s, ',', (size_t) (end - s));
        WB_TRY (add_spelling (t, l, id, s, (size_t) ((comma != NULL ? comma : end) - s)));
        if (comma == NULL) return WB_OK;
    }
}

/* The word at s[0..n): its id and length; -1: none. */
static inline int32_t find_word (const swe_t *t, const uint32_t *s, size_t n, size_t *length) {
    const wb_trie_t *words = &t->ja.tags;
    int32_t best = -1, node, tag = -1;
    const size_t window = s[0] == '<' ? n : n < WINDOW ? n : WINDOW;
    if (s[0] >= WB_RAW) return -1;
    node = s[0] < 0x10000 ? t->start[s[0]] : wb_map_get (&words->next, 0, s[0]);
    for (size_t k = 1; node >= 0; k++) {
        const int32_t id = words->value[node];
        if (id >= 0 && s[0] == '<' && k > 2)
            tag = id, *length = k;
        else if (id >= 0 && tag < 0 && (best < 0 || id <= best))
            best = id, *length = k;
        if (k == window || s[k] >= WB_RAW) break;
        node = wb_map_get (&words->next, (uint32_t) node, s[k]);
    }
    return tag >= 0 ? tag : best;
}

static wb_status put_words (const wb_ja_t *base, wb_ids_t *out, const wb_cps_t *text) {
    const swe_t *t = (const swe_t *) base;
    for (size_t i = 0; i < text->len;) {
        size_t length = 1;
        const uint32_t c = text->data[i];
        int32_t id = find_word (t, text->data + i, text->len - i, &length);
        if (id < 0 && ((c >= 0xa1 && c <= 0xbf) || (c >= 0x1c0 && c <= 0x1c3) || (c >= 0x2b9 && c <= 0x362)))
            id = t->kigou;
        if (id < 0 && c >= 0x2000 && c <= 0x2bff) id = t->u2000;
        i += length;
        if (id >= 0)
            WB_TRY (wb_ids_put (out, id));
        else
            WB_TRY (wb_ja_put_bytes (base, out, c));
    }
    return WB_OK;
}

/* The patterns; then lines and blocks become tags, one for each run. */
static wb_status clean (const wb_ja_t *t, wb_cps_t *text, wb_cps_t *spare) {
    static const uint32_t block[] = {'<', 'B', 'L', 'O', 'C', 'K', '>'};
    const size_t n = sizeof block / sizeof *block;
    WB_TRY (wb_clean_run (t->clean, text, spare));
    spare->len = 0;
    size_t from = 0, tags = 0, end = SIZE_MAX; /* end: of the last tag */
    for (size_t i = 0, length; i < text->len; i += length) {
        const uint32_t c = text->data[i];
        const bool written = c == '<' && text->len - i >= n && memcmp (text->data + i, block, sizeof block) == 0;
        length = written ? n : 1;
        if (!written && (c < 0x2500 || c > 0x259f)) continue;
        WB_TRY (wb_cps_put (spare, text->data + from, i - from));
        if (i != end) WB_TRY (wb_cps_put (spare, block, n));
        from = end = i + length;
        tags++;
    }
    if (tags == 0) return WB_OK;
    WB_TRY (wb_cps_put (spare, text->data + from, text->len - from));
    wb_cps_t swapped = *text;
    *text = *spare;
    *spare = swapped;
    return WB_OK;
}

static const char *const needed[] = {"<SP>", "<BR>", "<TAB>", "<KIGOU>", "<U2000U2BFF>", NULL};
static const wb_ja_form_t form = {
    .add = add, .clean = clean, .put_words = put_words, .needed = needed, .other_dates = true};

static void destroy (wb_tokenizer_t *base) {
    wb_ja_fini ((wb_ja_t *) base);
    wb_free (base);
}

static int32_t find (const wb_tokenizer_t *base, const char *name) { return wb_ja_tag ((const wb_ja_t *) base, name); }

static bool probe (const wb_place_t *place) {
    char *name;
    const bool found = wb_place_find (&name, place, "ja-swe", ".txt") != 0;
    wb_free (name);
    return found;
}

static wb_status load (swe_t *t, const wb_place_t *place) {
    char *name;
    const int found = wb_place_find (&name, place, "ja-swe", ".txt");
    wb_status status = WB_OK;
    if (found < 0)
        status = WB_NOMEM ("vocabulary");
    else if (found == 0)
        status = WB_FAIL (WB_EIO, "%s: no file ja-swe*.txt there", place->spec);
    else if (found > 1)
        status = WB_FAIL (WB_EUSAGE, "%s: %d files ja-swe*.txt; say which one: %s/%s", place->spec, found, place->spec,
                          name);
    if (status == WB_OK) status = wb_ja_load (&t->ja, place, name);
    wb_free (name);
    if (status != WB_OK) return status;
    t->kigou = wb_ja_tag (&t->ja, "<KIGOU>");
    t->u2000 = wb_ja_tag (&t->ja, "<U2000U2BFF>");
    for (uint32_t c = 0; c < 0x10000; c++) t->start[c] = wb_map_get (&t->ja.tags.next, 0, c);
    return WB_OK;
}

static wb_status new_from (wb_tokenizer_t **out, const wb_place_t *place) {
    swe_t *t = wb_calloc (1, sizeof *t);
    if (t == NULL) return WB_NOMEM ("vocabulary");
    t->ja.base.kind = &wb_tokenizer_ja_swe;
    t->ja.base.unknown = -1;
    t->ja.form = &form;
    const wb_status status = load (t, place);
    if (status == WB_OK)
        *out = &t->ja.base;
    else
        destroy (&t->ja.base);
    return status;
}

const wb_tokenizer_kind_t wb_tokenizer_ja_swe = {
    .name = "ja-swe",
    .what = "a directory with ja-swe*.txt and emoji.json, or that ja-swe*.txt",
    .files = {"ja-swe.txt", "emoji.json"},
    .probe = probe,
    .open = new_from,
    .destroy = destroy,
    .encode = wb_ja_encode,
    .piece = wb_ja_piece_of,
    .find = find,
    .file = wb_ja_file,
};
