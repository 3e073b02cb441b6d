/* ja-bpe and ja-swe: reading a vocabulary, its words and emoji.json, and checking what the encoder's short cuts rest
 * on.
 *
 * Id i is line i + 1 of the file of words.  Whatever is wrong is named with file and line.
 *
 * Not done here: what a line says (ja_bpe.c, ja_swe.c). */
#include "config.h"

#include <string.h>

#include "tokenizer/ja.h"
#include "wabun/json.h"

static const uint32_t br_tag[] = {'<', 'B', 'R', '>'};

wb_status wb_ja_cps (wb_cps_t *out, const char *s, size_t n) {
    out->len = 0;
    WB_TRY (wb_cps_reserve (out, n));
    for (size_t i = 0, length; i < n; i += length) out->data[out->len++] = wb_utf8_get (s + i, n - i, &length);
    return WB_OK;
}

/* The number in PREFIX<number>|>, -1 when it is none. */
static int32_t number_in (const char *s, size_t n, size_t prefix) {
    int32_t x = 0;
    if (n <= prefix + 2 || n > prefix + 5) return -1;
    for (size_t i = prefix; i < n - 2; i++) {
        if (s[i] < '0' || s[i] > '9') return -1;
        x = 10 * x + (s[i] - '0');
    }
    return x;
}

static bool begins (const char *s, size_t n, const char *with) {
    size_t k = strlen (with);
    return n >= k && memcmp (s, with, k) == 0;
}

static bool is (const char *s, size_t n, const char *what) { return n == strlen (what) && memcmp (s, what, n) == 0; }

wb_status wb_ja_piece (wb_ja_t *t, const char *path, int32_t id, const char *s, size_t n) {
    const int line = (int) id + 1;
    const bool closed = n >= 2 && memcmp (s + n - 2, "|>", 2) == 0;
    wb_piece_t *p = &t->pieces[id];
    *p = (wb_piece_t){.text = s, .len = (int32_t) n};
    if (is (s, n, "<SP>"))
        *p = (wb_piece_t){.text = " ", .len = 1};
    else if (is (s, n, "<BR>"))
        *p = (wb_piece_t){.text = "\n", .len = 1};
    else if (is (s, n, "<TAB>"))
        *p = (wb_piece_t){.text = "\t", .len = 1};
    else if (closed && begins (s, n, "<|byte")) {
        int32_t byte = number_in (s, n, 6);
        if (byte < 0 || byte > 255)
            return WB_FAIL (WB_EDATA, "%s:%d: %.*s is not a byte token: <|byte0|> .. <|byte255|>", path, line, (int) n,
                            s);
        *p = (wb_piece_t){.len = -1, .byte = (unsigned char) byte};
    } else if (closed && begins (s, n, "<|emoji")) {
        char *name = wb_strndup (s, n);
        if (name == NULL) return WB_NOMEM ("%s", path);
        json_t *face = json_object_get (json_object_get (t->json, "emoji_inv"), name);
        wb_free (name);
        if (!json_is_string (face))
            return WB_FAIL (WB_EDATA, "%s:%d: %.*s has no entry in \"emoji_inv\" of emoji.json", path, line, (int) n,
                            s);
        *p = (wb_piece_t){.text = json_string_value (face), .len = (int32_t) json_string_length (face)};
    }
    return WB_OK;
}

bool wb_ja_crosses (const wb_cps_t *word) {
    for (size_t i = 1; i < word->len; i++)
        if (word->data[i] == '<') return true;
    return word->len > 4 && memcmp (word->data, br_tag, sizeof br_tag) == 0;
}

int32_t wb_ja_tag (const wb_ja_t *t, const char *tag) {
    int32_t node = t->tags.next.slot != NULL ? 0 : -1;
    for (size_t n = strlen (tag), k; n > 0 && node >= 0; tag += k, n -= k)
        node = wb_map_get (&t->tags.next, (uint32_t) node, wb_utf8_get (tag, n, &k) & WB_MAP_NO_CHAR);
    return node > 0 ? t->tags.value[node] : -1;
}

/* One line; the last may be empty. */
static wb_status add_line (wb_ja_t *t, wb_ja_loading_t *l, int32_t id, const char *s, size_t n) {
    size_t at;
    if (!wb_utf8_valid (s, n, &at))
        return WB_FAIL (WB_EDATA, "%s:%d: not UTF-8 at byte %zu of the line", l->path, (int) id + 1, at);
    if (n > 0) return t->form->add (t, l, id, s, n);
    if (id + 1 < t->base.size || id == 0) return WB_FAIL (WB_EDATA, "%s:%d: empty entry", l->path, (int) id + 1);
    /* a line end at the very end makes one more id, which nothing is encoded to */
    t->pieces[id] = (wb_piece_t){.text = "", .len = 0};
    return WB_OK;
}

static wb_status read_words (wb_ja_t *t, const char *path) {
    /* Line ends fold as Python's text mode folds them. */
    size_t n = 0;
    int64_t lines = 1;
    t->words = wb_malloc (t->words_bytes + 1);
    if (t->words == NULL) return WB_NOMEM ("%s", path);
    for (size_t i = 0; i < t->words_bytes; i++) {
        char c = t->words_file[i];
        if (c == '\r' && i + 1 < t->words_bytes && t->words_file[i + 1] == '\n') continue;
        if (c == '\r') c = '\n';
        lines += c == '\n';
        t->words[n++] = c;
    }
    t->words[n] = 0;
    if (lines >= WB_MAP_MAX_VALUE)
        return WB_FAIL (WB_EDATA, "%s: %lld entries, at most %d can be", path, (long long) lines, WB_MAP_MAX_VALUE - 1);
    t->base.size = (int32_t) lines;
    t->pieces = wb_calloc ((size_t) lines, sizeof *t->pieces);
    if (t->pieces == NULL) return WB_NOMEM ("%s", path);
    wb_ja_loading_t l = {.path = path};
    wb_status status = WB_OK;
    const char *s = t->words, *end = t->words + n;
    for (int32_t id = 0; id < t->base.size && status == WB_OK; id++) {
        const char *stop = memchr (s, '\n', (size_t) (end - s));
        size_t len = (size_t) ((stop != NULL ? stop : end) - s);
        status = add_line (t, &l, id, s, len);
        s += len + 1;
    }
    wb_cps_fini (&l.cps);
    wb_trie_fini (&l.seen);
    return status;
}

static wb_status check_words (wb_ja_t *t, const char *path) {
    const int last = (int) t->base.size;
    t->base.eot = wb_ja_tag (t, WB_EOT_TEXT);
    if (t->base.eot < 0) return WB_FAIL (WB_EDATA, "%s:%d: no entry " WB_EOT_TEXT " in the file", path, last);
    for (const char *const *tag = t->form->needed; *tag != NULL; tag++)
        if (wb_ja_tag (t, *tag) < 0) return WB_FAIL (WB_EDATA, "%s:%d: no entry %s in the file", path, last, *tag);
    for (int b = 0; b < 256; b++) {
        char name[24];
        snprintf (name, sizeof name, "<|byte%d|>", b);
        t->bytes[b] = wb_ja_tag (t, name);
        if (t->bytes[b] < 0 && b <= 0xf4 && b != 0xc0 && b != 0xc1) /* a byte of which UTF-8 is made */
            return WB_FAIL (WB_EDATA, "%s:%d: no entry %s in the file", path, last, name);
    }
    return WB_OK;
}

/* Can `key` share characters with a `tag` that stands in the text? */
static bool can_overlap (const uint32_t *key, size_t k, const uint32_t *tag, size_t n) {
    if (n == 0) return true;
    bool common = false;
    for (size_t i = 0; i < k && !common; i++)
        for (size_t j = 0; j < n && !common; j++) common = key[i] == tag[j];
    if (!common) return false;
    /* The key begins at place `at` of the tag; negative: before it. */
    for (ptrdiff_t at = 1 - (ptrdiff_t) k; at < (ptrdiff_t) n; at++) {
        ptrdiff_t from = at < 0 ? 0 : at, to = at + (ptrdiff_t) k < (ptrdiff_t) n ? at + (ptrdiff_t) k : (ptrdiff_t) n;
        ptrdiff_t i = from;
        while (i < to && tag[i] == key[i - at]) i++;
        if (i == to) return true;
    }
    return false;
}

/* Line of the first place where a key stands in emoji.json as written, for messages; 0 when escapes hide it. */
static int line_of (const char *file, size_t n, const char *key) {
    size_t k = strlen (key);
    int line = 1;
    for (size_t i = 0; i + k + 2 <= n; i++) {
        if (file[i] == '\n') line++;
        if (file[i] == '"' && file[i + k + 1] == '"' && memcmp (file + i + 1, key, k) == 0) return line;
    }
    return 0;
}

static wb_status read_emoji (wb_ja_t *t, const char *path) {
    json_error_t at;
    t->json = wb_json_load (t->emoji_file, t->emoji_bytes, 0, &at);
    if (t->json == NULL && at.text[0] == 0) return WB_NOMEM ("%s", path);
    if (t->json == NULL) return WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
    json_t *map = json_object_get (t->json, "emoji"), *back = json_object_get (t->json, "emoji_inv");
    if (!json_is_object (map)) return WB_FAIL (WB_EDATA, "%s:1: no object \"emoji\" in the file", path);
    if (!json_is_object (back)) return WB_FAIL (WB_EDATA, "%s:1: no object \"emoji_inv\" in the file", path);
    t->emoji = wb_calloc (json_object_size (map) + 1, sizeof *t->emoji);
    if (t->emoji == NULL) return WB_NOMEM ("%s", path);
    if (json_object_size (map) >= WB_MAP_MAX_VALUE) return WB_FAIL (WB_EDATA, "%s: too many emoji", path);
    const char *key;
    json_t *tag;
    wb_cps_t cps = {0};
    wb_status status = WB_OK;
    json_object_foreach (map, key, tag) { /* in the order of the file */
        wb_emoji_t *e = &t->emoji[t->nemoji];
        int32_t was;
        if (!json_is_string (tag) || key[0] == 0) {
            status = WB_FAIL (WB_EDATA, "%s:%d: emoji \"%s\": %s", path, line_of (t->emoji_file, t->emoji_bytes, key),
                              key, key[0] == 0 ? "an empty key" : "its tag is not a string");
            break;
        }
        size_t k = strlen (key), n = json_string_length (tag);
        e->key = wb_malloc ((k + n) * sizeof *e->key);
        if (e->key == NULL) {
            status = WB_NOMEM ("%s", path);
            break;
        }
        t->nemoji++;
        status = wb_ja_cps (&cps, key, k);
        if (status != WB_OK) break;
        e->keylen = cps.len;
        memcpy (e->key, cps.data, cps.len * sizeof *e->key);
        if (e->key[0] < 0x10000) t->first[e->key[0]] = 1;
        e->tag = e->key + e->keylen;
        status = wb_trie_put (&t->keys, e->key, e->keylen, (int32_t) t->nemoji - 1, &was);
        if (status == WB_OK) status = wb_ja_cps (&cps, json_string_value (tag), n);
        if (status != WB_OK) break;
        e->taglen = cps.len;
        memcpy (e->tag, cps.data, cps.len * sizeof *e->tag);
    }
    wb_cps_fini (&cps);
    return status;
}

/* Which short cuts are exact with these keys and tags? */
static void check_emoji (wb_ja_t *t) {
    const wb_emoji_t *done[64]; /* tags looked at already: there are few */
    size_t ndone = 0;
    for (size_t i = 0; i < t->nemoji && !t->overlap; i++) {
        const wb_emoji_t *e = &t->emoji[i];
        bool known = false;
        for (size_t d = 0; d < ndone && !known; d++)
            known = done[d]->taglen == e->taglen && memcmp (done[d]->tag, e->tag, e->taglen * sizeof *e->tag) == 0;
        if (known) continue;
        if (ndone < sizeof done / sizeof done[0]) done[ndone++] = e;
        for (size_t k = 0; k < t->nemoji && !t->overlap; k++)
            t->overlap = can_overlap (t->emoji[k].key, t->emoji[k].keylen, e->tag, e->taglen);
    }
    for (size_t k = 0; k < t->nemoji && t->base.by_lines; k++)
        t->base.by_lines = !t->overlap && !can_overlap (t->emoji[k].key, t->emoji[k].keylen, br_tag, 4);
}

wb_status wb_ja_load (wb_ja_t *t, const wb_place_t *place, const char *words_file) {
    t->base.by_lines = true; /* until something can lie across a <BR> */
    char *words = wb_place_path (place, words_file), *emoji = wb_place_path (place, "emoji.json");
    wb_status status = words != NULL && emoji != NULL ? WB_OK : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = wb_place_read (&t->words_file, &t->words_bytes, place, words_file);
    if (status == WB_OK) status = wb_place_read (&t->emoji_file, &t->emoji_bytes, place, "emoji.json");
    if (status == WB_OK) status = read_emoji (t, emoji);
    if (status == WB_OK) status = read_words (t, words);
    if (status == WB_OK) status = check_words (t, words);
    if (status == WB_OK) status = wb_clean_new (&t->clean, t->form->other_dates);
    if (status == WB_OK) check_emoji (t);
    wb_free (words);
    wb_free (emoji);
    return status;
}

void wb_ja_fini (wb_ja_t *t) {
    for (size_t i = 0; i < t->nemoji; i++) wb_free (t->emoji[i].key);
    wb_free (t->emoji);
    wb_free (t->words_file);
    wb_free (t->emoji_file);
    wb_free (t->words);
    wb_free (t->pieces);
    wb_trie_fini (&t->tags);
    wb_trie_fini (&t->keys);
    json_decref (t->json);
    wb_clean_destroy (t->clean);
}
