/* ja-bpe: the tokenizer of gpt2-japanese, id for id.
 *
 * Words have one or two characters and are matched greedily, the longest first; words that begin with '<' are tags of
 * any length.  Before that, spaces and line ends become tags, thousands of emoji and faces become twelve tags, and with
 * `clean` full-width forms are narrowed and the patterns of clean.c replaced.  What no word covers is written in byte
 * tokens, character by character.
 *
 * The original replaces emoji by one pass over the whole text for each key, in the order of the file, and that order
 * decides: an earlier key takes its characters away from the later ones.  Here all places of all keys are found in one
 * walk with a trie and then taken in that order, which is the same as long as no key can lie across a tag that was put
 * in.  This is checked on loading; with a vocabulary where one can, and only on text that has a key in it, the passes
 * are made.
 *
 * Text is worked off in pieces of some ten thousand characters that end at a line end, where nothing can lie across
 * its <BR>; that too is checked on loading.
 *
 * Not done here: building vocabularies, the patterns (clean.c). */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/tokenizer_priv.h"

#define PIECE ((size_t) 1 << 15) /* bytes of text at a time, and on to the next line end */
#define NO_CHAR 0x1fffffu        /* 21 bits, no code point */
#define MAX_IDS (1 << 22)        /* what a slot of the table has room for */

/* ---- a hash of 42-bit keys --------------------------------------------------------------------------------------- */

/* A slot holds key << 22 | value in one word: (two code points) -> id, (trie node, code point) -> node. */
typedef struct map {
    uint64_t *slot; /* 0: empty */
    size_t mask, used;
} map_t;

static inline uint64_t map_key (uint32_t a, uint32_t b) { return ((uint64_t) a << 21 | b) + 1; }

static inline size_t map_at (const map_t *m, uint64_t key) {
    return (size_t) (key * 0x9e3779b97f4a7c15u >> 32) & m->mask;
}

static inline int32_t map_get (const map_t *m, uint32_t a, uint32_t b) {
    const uint64_t key = map_key (a, b);
    for (size_t i = map_at (m, key);; i = (i + 1) & m->mask) {
        uint64_t x = m->slot[i];
        if (x >> 22 == key) return (int32_t) (x & (MAX_IDS - 1));
        if (x == 0) return -1;
    }
}

static wb_status map_put (map_t *m, uint32_t a, uint32_t b, int32_t value) {
    if (m->slot == NULL || 2 * (m->used + 1) > m->mask) {
        map_t old = *m;
        m->mask = old.slot != NULL ? 2 * old.mask + 1 : 255;
        m->slot = wb_calloc (m->mask + 1, sizeof *m->slot);
        if (m->slot == NULL) {
            *m = old;
            return WB_NOMEM ("vocabulary");
        }
        for (size_t k = 0; old.slot != NULL && k <= old.mask; k++) {
            if (old.slot[k] == 0) continue;
            size_t i = map_at (m, old.slot[k] >> 22);
            while (m->slot[i] != 0) i = (i + 1) & m->mask;
            m->slot[i] = old.slot[k];
        }
        wb_free (old.slot);
    }
    const uint64_t key = map_key (a, b);
    size_t i = map_at (m, key);
    while (m->slot[i] != 0 && m->slot[i] >> 22 != key) i = (i + 1) & m->mask;
    if (m->slot[i] == 0) m->used++;
    m->slot[i] = key << 22 | (uint64_t) value;
    return WB_OK;
}

/* A trie over code points; node 0 is its root. */
typedef struct trie {
    map_t next;
    int32_t *value; /* [nodes] -1: none ends here */
    int32_t nodes, cap;
} trie_t;

static wb_status trie_node (trie_t *t) {
    if (t->nodes == t->cap) {
        int32_t cap = t->cap > 0 ? 2 * t->cap : 256;
        int32_t *p = cap <= MAX_IDS / 2 ? wb_realloc (t->value, (size_t) cap * sizeof *p) : NULL;
        if (p == NULL) return WB_NOMEM ("vocabulary");
        t->value = p;
        t->cap = cap;
    }
    t->value[t->nodes++] = -1;
    return WB_OK;
}

/* Gives the value that was there in *was. */
static wb_status trie_put (trie_t *t, const uint32_t *key, size_t n, int32_t value, int32_t *was) {
    int32_t node = 0;
    if (t->nodes == 0) WB_TRY (trie_node (t));
    for (size_t i = 0; i < n; i++) {
        int32_t next = t->next.slot != NULL ? map_get (&t->next, (uint32_t) node, key[i]) : -1;
        if (next < 0) {
            next = t->nodes;
            WB_TRY (trie_node (t));
            WB_TRY (map_put (&t->next, (uint32_t) node, key[i], next));
        }
        node = next;
    }
    *was = t->value[node];
    t->value[node] = value;
    return WB_OK;
}

static void trie_fini (trie_t *t) {
    wb_free (t->next.slot);
    wb_free (t->value);
}

/* ---- the tokenizer --------------------------------------------------------------------------------------------- */

typedef struct emoji {
    uint32_t *key, *tag; /* both in one block, which `key` owns */
    size_t keylen, taglen;
} emoji_t;

typedef struct ja_bpe {
    wb_tokenizer_t base;
    char *words_file, *emoji_file; /* as they were, for saving */
    size_t words_bytes, emoji_bytes;
    json_t *json; /* holds the texts of emoji tokens */
    char *words;  /* line ends folded; holds the texts of the others */
    wb_piece_t *pieces;
    int32_t bytes[256]; /* ids of byte tokens, -1: none */
    int32_t *one;       /* [65536] ids of words of one character, -1: none */
    map_t pairs;        /* words of two, and (c, NO_CHAR) words of one above U+FFFF */
    trie_t tags;        /* words that begin with '<' */
    emoji_t *emoji;
    size_t nemoji;
    trie_t keys;            /* of emoji */
    uint8_t first[0x10000]; /* may a key begin with this character? Above: always */
    bool overlap;           /* some key can lie across some tag that was put in */
    wb_clean_t *clean;
} ja_bpe_t;

static const uint32_t sp_tag[] = {'<', 'S', 'P', '>'}, br_tag[] = {'<', 'B', 'R', '>'},
                      tab_tag[] = {'<', 'T', 'A', 'B', '>'};

/* ---- encoding -------------------------------------------------------------------------------------------------- */

/* Working space of one call. */
typedef struct work {
    wb_cps_t text, spare;
    uint64_t *hits; /* key << 40 | place */
    size_t nhits, hits_cap;
} work_t;

static inline uint32_t *copy (uint32_t *to, const uint32_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
    return to + n;
}

/* Text to code points: spaces and line ends become tags, dashes the long-vowel mark.  *maybe: a character that some
 * emoji key begins with is in it. */
static wb_status read_text (const ja_bpe_t *t, wb_cps_t *out, const char *s, size_t n, bool *maybe) {
    size_t blanks = 0;
    for (size_t i = 0; i < n; i++) blanks += (unsigned char) s[i] <= ' ';
    out->len = 0;
    /* A blank takes up to 5; U+3000, of 3 bytes, takes 4. */
    if (blanks > SIZE_MAX / 64 || n > SIZE_MAX / 64) return WB_NOMEM ("text buffer");
    WB_TRY (wb_cps_reserve (out, n + n / 3 + 4 * blanks + 8));
    uint32_t *p = out->data;
    unsigned any = 0;
    const unsigned char *u = (const unsigned char *) s;
    for (size_t i = 0; i < n;) {
        uint32_t c = u[i];
        if (c < 0x80) {
            i++;
            if (c > ' ') {
                any |= t->first[c];
                *p++ = c;
            } else if (c == ' ')
                p = copy (p, sp_tag, 4);
            else if (c == '\n' || c == '\r') {
                if (c == '\r' && i < n && s[i] == '\n') i++;
                p = copy (p, br_tag, 4);
            } else if (c == '\t')
                p = copy (p, tab_tag, 5);
            else {
                any |= t->first[c];
                *p++ = c;
            }
            continue;
        }
        /* U+1000 .. U+CFFF, nearly everything Japanese; the rest below */
        if (c >= 0xe1 && c <= 0xec && n - i >= 3 && (u[i + 1] & 0xc0) == 0x80 && (u[i + 2] & 0xc0) == 0x80) {
            c = (c & 0xf) << 12 | (u[i + 1] & 0x3fu) << 6 | (u[i + 2] & 0x3fu);
            i += 3;
            if (c == 0x3000) {
                p = copy (p, sp_tag, 4);
                continue;
            }
            if (c == 0x2014 || c == 0x2212) c = 0x30fc;
            any |= t->first[c];
            *p++ = c;
            continue;
        }
        size_t length;
        c = wb_utf8_get (s + i, n - i, &length);
        if (c == WB_UTF8_NONE) c = WB_RAW + u[i];
        i += length;
        any |= c < 0x10000 ? t->first[c] : 1;
        *p++ = c;
    }
    out->len = (size_t) (p - out->data);
    *maybe = any != 0;
    return WB_OK;
}

static int by_value (const void *a, const void *b) {
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* Every place of every key. */
static wb_status find_emoji (const ja_bpe_t *t, work_t *w) {
    const uint32_t *s = w->text.data;
    const size_t n = w->text.len;
    w->nhits = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x10000 && t->first[s[i]] == 0) continue;
        int32_t node = 0;
        for (size_t k = i; k < n && s[k] < WB_RAW; k++) {
            node = map_get (&t->keys.next, (uint32_t) node, s[k]);
            if (node < 0) break;
            if (t->keys.value[node] < 0) continue;
            if (w->nhits == w->hits_cap) {
                size_t cap = w->hits_cap > 0 ? 2 * w->hits_cap : 64;
                uint64_t *p = wb_realloc (w->hits, cap * sizeof *p);
                if (p == NULL) return WB_NOMEM ("text buffer");
                w->hits = p;
                w->hits_cap = cap;
            }
            w->hits[w->nhits++] = (uint64_t) t->keys.value[node] << 40 | i;
        }
    }
    return WB_OK;
}

static void swap (work_t *w) {
    wb_cps_t x = w->text;
    w->text = w->spare;
    w->spare = x;
}

/* One pass for each key, as the original does it. */
static wb_status replace_by_passes (const ja_bpe_t *t, work_t *w) {
    for (size_t e = 0; e < t->nemoji; e++) {
        const emoji_t *m = &t->emoji[e];
        const uint32_t *s = w->text.data;
        size_t n = w->text.len, copied = 0;
        w->spare.len = 0;
        for (size_t i = 0; i + m->keylen <= n;) {
            if (s[i] != m->key[0] || memcmp (s + i, m->key, m->keylen * sizeof *s) != 0) {
                i++;
                continue;
            }
            WB_TRY (wb_cps_put (&w->spare, s + copied, i - copied));
            WB_TRY (wb_cps_put (&w->spare, m->tag, m->taglen));
            i = copied = i + m->keylen;
        }
        if (copied == 0) continue;
        WB_TRY (wb_cps_put (&w->spare, s + copied, n - copied));
        swap (w);
    }
    return WB_OK;
}

#define TAKEN 0x80000000u /* this character goes; with KEY: a key begins here, the rest is its number */
#define KEY 0x40000000u

static wb_status replace_emoji (const ja_bpe_t *t, work_t *w) {
    WB_TRY (find_emoji (t, w));
    if (w->nhits == 0) return WB_OK;
    if (t->overlap || w->text.len >> 40 != 0) return replace_by_passes (t, w);
    qsort (w->hits, w->nhits, sizeof *w->hits, by_value);
    uint32_t *s = w->text.data;
    for (size_t h = 0; h < w->nhits; h++) {
        const size_t e = (size_t) (w->hits[h] >> 40), at = (size_t) (w->hits[h] & (((uint64_t) 1 << 40) - 1));
        const size_t len = t->emoji[e].keylen;
        size_t k = 0;
        while (k < len && (s[at + k] & TAKEN) == 0) k++;
        if (k < len) continue;
        for (k = 0; k < len; k++) s[at + k] = TAKEN;
        s[at] = TAKEN | KEY | (uint32_t) e;
    }
    w->spare.len = 0;
    size_t from = 0;
    for (size_t i = 0; i <= w->text.len; i++) {
        if (i < w->text.len && (s[i] & TAKEN) == 0) continue;
        WB_TRY (wb_cps_put (&w->spare, s + from, i - from));
        from = i + 1;
        if (i == w->text.len || (s[i] & KEY) == 0) continue;
        const emoji_t *m = &t->emoji[s[i] & (KEY - 1)];
        WB_TRY (wb_cps_put (&w->spare, m->tag, m->taglen));
    }
    swap (w);
    return WB_OK;
}

static wb_status put_bytes (const ja_bpe_t *t, wb_ids_t *out, uint32_t c) {
    char s[4] = "\xef\xbf\xbd";
    size_t n = 3;
    if (c >= WB_RAW && t->bytes[c - WB_RAW] >= 0) return wb_ids_put (out, t->bytes[c - WB_RAW]);
    if (c < WB_RAW) n = wb_utf8_put (s, c);
    for (size_t i = 0; i < n; i++) WB_TRY (wb_ids_put (out, t->bytes[(unsigned char) s[i]]));
    return WB_OK;
}

static wb_status put_words (const ja_bpe_t *t, wb_ids_t *out, const wb_cps_t *text) {
    const uint32_t *s = text->data;
    const size_t n = text->len;
    for (size_t i = 0; i < n;) {
        const uint32_t c = s[i];
        int32_t id = -1;
        size_t len = 1;
        if (c == '<') {
            int32_t node = 0;
            for (size_t k = i; k < n; k++) {
                node = map_get (&t->tags.next, (uint32_t) node, s[k] < WB_RAW ? s[k] : NO_CHAR);
                if (node < 0) break;
                if (t->tags.value[node] >= 0) id = t->tags.value[node], len = k + 1 - i;
            }
        } else if (c < WB_RAW) {
            if (i + 1 < n && s[i + 1] < WB_RAW) id = map_get (&t->pairs, c, s[i + 1]);
            if (id >= 0)
                len = 2;
            else
                id = c < 0x10000 ? t->one[c] : map_get (&t->pairs, c, NO_CHAR);
        }
        i += len;
        if (id < 0)
            WB_TRY (put_bytes (t, out, c));
        else if (out->len < out->cap)
            out->data[out->len++] = id;
        else
            WB_TRY (wb_ids_put (out, id));
    }
    return WB_OK;
}

static wb_status encode_piece (const ja_bpe_t *t, wb_ids_t *out, work_t *w, const char *s, size_t n, bool clean) {
    bool maybe = false;
    WB_TRY (read_text (t, &w->text, s, n, &maybe));
    if (maybe && t->nemoji > 0) WB_TRY (replace_emoji (t, w));
    if (clean) {
        uint32_t *p = w->text.data;
        for (size_t i = 0; i < w->text.len; i++) {
            if (p[i] - 0xff01 <= 0xff5e - 0xff01) p[i] -= 0xff01 - 0x21;
            if (p[i] == 0x3000) p[i] = ' '; /* none is left but what an emoji's tag may hold */
        }
        WB_TRY (wb_clean_run (t->clean, &w->text, &w->spare));
    }
    return put_words (t, out, &w->text);
}

static wb_status encode (const wb_tokenizer_t *base, wb_ids_t *out, const char *text, size_t n, bool clean) {
    const ja_bpe_t *t = (const ja_bpe_t *) base;
    work_t w = {0};
    wb_status status = WB_OK;
    while (n > 0 && status == WB_OK) {
        size_t k = n;
        if (n > PIECE && t->base.by_lines) {
            const char *end = memchr (text + PIECE, '\n', n - PIECE);
            if (end != NULL) k = (size_t) (end - text) + 1;
        }
        status = encode_piece (t, out, &w, text, k, clean);
        text += k;
        n -= k;
    }
    wb_cps_fini (&w.text);
    wb_cps_fini (&w.spare);
    wb_free (w.hits);
    return status;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

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
static wb_status make_piece (ja_bpe_t *t, const char *path, int32_t id, const char *s, size_t n) {
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

static wb_status add_word (ja_bpe_t *t, const char *path, int32_t id, const char *s, size_t n, wb_cps_t *cps,
                           trie_t *seen) {
    size_t at;
    int32_t was;
    const int line = (int) id + 1;
    if (!wb_utf8_valid (s, n, &at))
        return WB_FAIL (WB_EDATA, "%s:%d: not UTF-8 at byte %zu of the line", path, line, at);
    WB_TRY (to_cps (cps, s, n));
    WB_TRY (trie_put (seen, cps->data, cps->len, id, &was));
    if (was >= 0)
        return WB_FAIL (WB_EDATA, "%s:%d: duplicate entry: %.*s stands in line %d already", path, line, (int) n, s,
                        (int) was + 1);
    WB_TRY (make_piece (t, path, id, s, n));
    if (cps->data[0] == '<') {
        /* Something may lie across a <BR>. */
        for (size_t i = 1; i < cps->len; i++)
            if (cps->data[i] == '<') t->base.by_lines = false;
        if (n > 4 && begins (s, n, "<BR>")) t->base.by_lines = false;
        return trie_put (&t->tags, cps->data, cps->len, id, &was);
    }
    if (cps->len == 2) {
        if (cps->data[1] == '<') t->base.by_lines = false;
        return map_put (&t->pairs, cps->data[0], cps->data[1], id);
    }
    if (cps->len > 2) return WB_OK; /* never found by the original either: it looks at two characters */
    if (cps->data[0] >= 0x10000) return map_put (&t->pairs, cps->data[0], NO_CHAR, id);
    t->one[cps->data[0]] = id;
    return WB_OK;
}

static wb_status read_words (ja_bpe_t *t, const char *path) {
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
    if (lines >= MAX_IDS)
        return WB_FAIL (WB_EDATA, "%s: %lld entries, at most %d can be", path, (long long) lines, MAX_IDS - 1);
    t->base.size = (int32_t) lines;
    t->pieces = wb_calloc ((size_t) lines, sizeof *t->pieces);
    t->one = wb_malloc (0x10000 * sizeof *t->one);
    if (t->pieces == NULL || t->one == NULL) return WB_NOMEM ("%s", path);
    for (int i = 0; i < 0x10000; i++) t->one[i] = -1;
    wb_cps_t cps = {0};
    trie_t seen = {0};
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
    trie_fini (&seen);
    return status;
}

static wb_status check_words (ja_bpe_t *t, const char *path) {
    static const char *const needed[] = {"<SP>", "<BR>", "<TAB>"};
    if (t->base.eot < 0)
        return WB_FAIL (WB_EDATA, "%s:%d: no entry " WB_EOT_TEXT " in the file", path, (int) t->base.size);
    for (size_t i = 0; i < 3; i++) {
        int32_t node = 0;
        for (const char *s = needed[i]; *s != 0 && node >= 0; s++)
            node = map_get (&t->tags.next, (uint32_t) node, (unsigned char) *s);
        if (node < 0 || t->tags.value[node] < 0)
            return WB_FAIL (WB_EDATA, "%s:%d: no entry %s in the file", path, (int) t->base.size, needed[i]);
    }
    for (int b = 0; b <= 0xf4; b++) /* all bytes of which UTF-8 is made */
        if (t->bytes[b] < 0 && b != 0xc0 && b != 0xc1)
            return WB_FAIL (WB_EDATA, "%s:%d: no entry <|byte%d|> in the file", path, (int) t->base.size, b);
    /* Lookups then need not ask whether there is a table. */
    if (t->pairs.slot == NULL) WB_TRY (map_put (&t->pairs, NO_CHAR, 0, 0));
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

static wb_status read_emoji (ja_bpe_t *t, const char *path) {
    json_error_t at;
    t->json = json_loadb (t->emoji_file, t->emoji_bytes, 0, &at);
    if (t->json == NULL) return WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
    json_t *map = json_object_get (t->json, "emoji"), *back = json_object_get (t->json, "emoji_inv");
    if (!json_is_object (map)) return WB_FAIL (WB_EDATA, "%s:1: no object \"emoji\" in the file", path);
    if (!json_is_object (back)) return WB_FAIL (WB_EDATA, "%s:1: no object \"emoji_inv\" in the file", path);
    t->emoji = wb_calloc (json_object_size (map) + 1, sizeof *t->emoji);
    if (t->emoji == NULL) return WB_NOMEM ("%s", path);
    if (json_object_size (map) >= MAX_IDS) return WB_FAIL (WB_EDATA, "%s: too many emoji", path);
    const char *key;
    json_t *tag;
    wb_cps_t cps = {0};
    wb_status status = WB_OK;
    json_object_foreach (map, key, tag) { /* in the order of the file */
        emoji_t *e = &t->emoji[t->nemoji];
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
        status = trie_put (&t->keys, e->key, e->keylen, (int32_t) t->nemoji - 1, &was);
        if (status == WB_OK) status = to_cps (&cps, json_string_value (tag), n);
        if (status != WB_OK) break;
        e->taglen = cps.len;
        memcpy (e->tag, cps.data, cps.len * sizeof *e->tag);
    }
    wb_cps_fini (&cps);
    return status;
}

/* Which short cuts are exact with these keys and tags? */
static void check_emoji (ja_bpe_t *t) {
    const emoji_t *done[64]; /* tags looked at already: there are few */
    size_t ndone = 0;
    for (size_t i = 0; i < t->nemoji && !t->overlap; i++) {
        const emoji_t *e = &t->emoji[i];
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

static void destroy (wb_tokenizer_t *base) {
    ja_bpe_t *t = (ja_bpe_t *) base;
    for (size_t i = 0; i < t->nemoji; i++) wb_free (t->emoji[i].key);
    wb_free (t->emoji);
    wb_free (t->words_file);
    wb_free (t->emoji_file);
    wb_free (t->words);
    wb_free (t->pieces);
    wb_free (t->one);
    wb_free (t->pairs.slot);
    trie_fini (&t->tags);
    trie_fini (&t->keys);
    json_decref (t->json);
    wb_clean_destroy (t->clean);
    wb_free (t);
}

static wb_piece_t piece (const wb_tokenizer_t *base, int32_t id) { return ((const ja_bpe_t *) base)->pieces[id]; }

static wb_status save_file (const char *dir, const char *name, const void *data, size_t n) {
    char *path = wb_format ("%s/%s", dir, name);
    if (path == NULL) return WB_NOMEM ("vocabulary");
    wb_status status = wb_file_write (path, data, n);
    wb_free (path);
    return status;
}

static wb_status save (const wb_tokenizer_t *base, const char *dir) {
    const ja_bpe_t *t = (const ja_bpe_t *) base;
    WB_TRY (save_file (dir, "ja-bpe.txt", t->words_file, t->words_bytes));
    return save_file (dir, "emoji.json", t->emoji_file, t->emoji_bytes);
}

wb_status wb_ja_bpe_new (wb_tokenizer_t **out, const char *dir) {
    static const wb_tokenizer_ops_t ops = {"ja-bpe", destroy, encode, piece, save};
    *out = NULL;
    ja_bpe_t *t = wb_calloc (1, sizeof *t);
    if (t == NULL) return WB_NOMEM ("vocabulary");
    t->base = (wb_tokenizer_t){.ops = &ops, .eot = -1, .by_lines = true}; /* until something can lie across a <BR> */
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
    if (status != WB_OK) {
        destroy (&t->base);
        return status;
    }
    *out = &t->base;
    return WB_OK;
}
