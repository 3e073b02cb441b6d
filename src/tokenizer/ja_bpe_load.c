/* ja-bpe: reading a vocabulary, ja-bpe.txt and emoji.json, and checking what the encoder's short cuts rest on.
 *
 * Id i is line i + 1 of ja-bpe.txt.  Whatever is wrong is named with file and line. */
#include "config.h"

#include <string.h>

#include "tokenizer/ja_bpe.h"

static const uint32_t br_tag[] = {'<', 'B', 'R', '>'};

static wb_status to_cps (wb_cps_t *out, const char *s, size_t n) {
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

/* What word `id` stands for in decoded text. */
static wb_status make_piece (wb_ja_bpe_t *t, const char *path, int32_t id, const char *s, size_t n) {
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
        char plain[16];
        int k = snprintf (plain, sizeof plain, "<|byte%d|>", (int) byte);
        if ((size_t) k == n) t->bytes[byte] = id; /* with leading zeros it is decoded, but never written */
    } else if (closed && begins (s, n, "<|emoji")) {
        char *name = wb_strndup (s, n);
        if (name == NULL) return WB_NOMEM ("%s", path);
        json_t *face = json_object_get (json_object_get (t->json, "emoji_inv"), name);
        wb_free (name);
        if (!json_is_string (face))
            return WB_FAIL (WB_EDATA, "%s:%d: %.*s has no entry in \"emoji_inv\" of emoji.json", path, line, (int) n,
                            s);
        *p = (wb_piece_t){.text = json_string_value (face), .len = (int32_t) json_string_length (face)};
    } else if (is (s, n, WB_EOT_TEXT))
        t->base.eot = id;
    return WB_OK;
}

static wb_status add_word (wb_ja_bpe_t *t, const char *path, int32_t id, const char *s, size_t n, wb_cps_t *cps,
                           wb_trie_t *seen) {
    size_t at;
    int32_t was;
    const int line = (int) id + 1;
    if (!wb_utf8_valid (s, n, &at))
        return WB_FAIL (WB_EDATA, "%s:%d: not UTF-8 at byte %zu of the line", path, line, at);
    WB_TRY (to_cps (cps, s, n));
    WB_TRY (wb_trie_put (seen, cps->data, cps->len, id, &was));
    if (was >= 0)
        return WB_FAIL (WB_EDATA, "%s:%d: duplicate entry: %.*s stands in line %d already", path, line, (int) n, s,
                        (int) was + 1);
    WB_TRY (make_piece (t, path, id, s, n));
    if (cps->data[0] == '<') {
        /* Something may lie across a <BR>. */
        for (size_t i = 1; i < cps->len; i++)
            if (cps->data[i] == '<') t->base.by_lines = false;
        if (n > 4 && begins (s, n, "<BR>")) t->base.by_lines = false;
        return wb_trie_put (&t->tags, cps->data, cps->len, id, &was);
    }
    if (cps->len == 2) {
        if (cps->data[1] == '<') t->base.by_lines = false;
        return wb_map_put (&t->pairs, cps->data[0], cps->data[1], id);
    }
    if (cps->len > 2) return WB_OK; /* never found by the original either: it looks at two characters */
    if (cps->data[0] >= 0x10000) return wb_map_put (&t->pairs, cps->data[0], WB_MAP_NO_CHAR, id);
    t->one[cps->data[0]] = id;
    return WB_OK;
}

static wb_status read_words (wb_ja_bpe_t *t, const char *path) {
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
    t->one = wb_malloc (0x10000 * sizeof *t->one);
    if (t->pieces == NULL || t->one == NULL) return WB_NOMEM ("%s", path);
    for (int i = 0; i < 0x10000; i++) t->one[i] = -1;
    wb_cps_t cps = {0};
    wb_trie_t seen = {0};
    wb_status status = WB_OK;
    const char *s = t->words, *end = t->words + n;
    for (int32_t id = 0; id < t->base.size && status == WB_OK; id++) {
        const char *stop = memchr (s, '\n', (size_t) (end - s));
        size_t len = (size_t) ((stop != NULL ? stop : end) - s);
        if (len > 0)
            status = add_word (t, path, id, s, len, &cps, &seen);
        else if (id + 1 < t->base.size || id == 0)
            status = WB_FAIL (WB_EDATA, "%s:%d: empty entry", path, (int) id + 1);
        else /* a line end at the very end makes one more id, which nothing is encoded to */
            t->pieces[id] = (wb_piece_t){.text = "", .len = 0};
        s += len + 1;
    }
    wb_cps_fini (&cps);
    wb_trie_fini (&seen);
    return status;
}

static wb_status check_words (wb_ja_bpe_t *t, const char *path) {
    static const char *const needed[] = {"<SP>", "<BR>", "<TAB>"};
    if (t->base.eot < 0)
        return WB_FAIL (WB_EDATA, "%s:%d: no entry " WB_EOT_TEXT " in the file", path, (int) t->base.size);
    for (size_t i = 0; i < 3; i++) {
        int32_t node = 0;
        for (const char *s = needed[i]; *s != 0 && node >= 0; s++)
            node = wb_map_get (&t->tags.next, (uint32_t) node, (unsigned char) *s);
        if (node < 0 || t->tags.value[node] < 0)
            return WB_FAIL (WB_EDATA, "%s:%d: no entry %s in the file", path, (int) t->base.size, needed[i]);
    }
    for (int b = 0; b <= 0xf4; b++) /* all bytes of which UTF-8 is made */
        if (t->bytes[b] < 0 && b != 0xc0 && b != 0xc1)
            return WB_FAIL (WB_EDATA, "%s:%d: no entry <|byte%d|> in the file", path, (int) t->base.size, b);
    /* Lookups then need not ask whether there is a table. */
    if (t->pairs.slot == NULL) WB_TRY (wb_map_put (&t->pairs, WB_MAP_NO_CHAR, 0, 0));
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

static wb_status read_emoji (wb_ja_bpe_t *t, const char *path) {
    json_error_t at;
    t->json = json_loadb (t->emoji_file, t->emoji_bytes, 0, &at);
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
        status = to_cps (&cps, key, k);
        if (status != WB_OK) break;
        e->keylen = cps.len;
        memcpy (e->key, cps.data, cps.len * sizeof *e->key);
        if (e->key[0] < 0x10000) t->first[e->key[0]] = 1;
        e->tag = e->key + e->keylen;
        status = wb_trie_put (&t->keys, e->key, e->keylen, (int32_t) t->nemoji - 1, &was);
        if (status == WB_OK) status = to_cps (&cps, json_string_value (tag), n);
        if (status != WB_OK) break;
        e->taglen = cps.len;
        memcpy (e->tag, cps.data, cps.len * sizeof *e->tag);
    }
    wb_cps_fini (&cps);
    return status;
}

/* Which short cuts are exact with these keys and tags? */
static void check_emoji (wb_ja_bpe_t *t) {
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

wb_status wb_ja_bpe_load (wb_ja_bpe_t *t, const char *dir) {
    t->base.eot = -1;
    t->base.by_lines = true; /* until something can lie across a <BR> */
    for (int i = 0; i < 256; i++) t->bytes[i] = -1;
    char *words = wb_format ("%s/ja-bpe.txt", dir), *emoji = wb_format ("%s/emoji.json", dir);
    wb_status status = words != NULL && emoji != NULL ? WB_OK : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = wb_file_read (&t->words_file, &t->words_bytes, words);
    if (status == WB_OK) status = wb_file_read (&t->emoji_file, &t->emoji_bytes, emoji);
    if (status == WB_OK) status = read_emoji (t, emoji);
    if (status == WB_OK) status = read_words (t, words);
    if (status == WB_OK) status = check_words (t, words);
    if (status == WB_OK) status = wb_clean_new (&t->clean);
    if (status == WB_OK) check_emoji (t);
    wb_free (words);
    wb_free (emoji);
    return status;
}

void wb_ja_bpe_fini (wb_ja_bpe_t *t) {
    for (size_t i = 0; i < t->nemoji; i++) wb_free (t->emoji[i].key);
    wb_free (t->emoji);
    wb_free (t->words_file);
    wb_free (t->emoji_file);
    wb_free (t->words);
    wb_free (t->pieces);
    wb_free (t->one);
    wb_free (t->pairs.slot);
    wb_trie_fini (&t->tags);
    wb_trie_fini (&t->keys);
    json_decref (t->json);
    wb_clean_destroy (t->clean);
}
