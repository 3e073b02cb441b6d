/* ja-bpe and ja-swe: text made ready for words, and the frame of encoding.
 *
 * Spaces and line ends become tags, thousands of emoji and faces become twelve tags, and with `clean` what clean.c
 * finds.  What no word covers is written in byte tokens, character by character.
 *
 * The original replaces emoji by one pass over the whole text for each key, in the order of the file, and that order
 * decides: an earlier key takes its characters away from later ones.  Here one walk with a trie finds all places of all
 * keys, which are then replaced in that order.  The result is the same as long as no key can overlap a tag that was
 * inserted.  This is checked on loading; if a key can, texts that contain keys are processed in passes as well.
 *
 * Text is processed in pieces of some ten thousand characters that end at a line end, if nothing can lie across its
 * <BR>; that too is checked on loading.
 *
 * Not done here: words (ja_bpe.c, ja_swe.c), reading vocabularies (ja_load.c), the patterns (clean.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/ja.h"

#define PIECE ((size_t) 1 << 15) /* bytes of text at a time, and on to the next line end */

static const uint32_t sp_tag[] = {'<', 'S', 'P', '>'}, br_tag[] = {'<', 'B', 'R', '>'},
                      tab_tag[] = {'<', 'T', 'A', 'B', '>'};

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
static wb_status read_text (const wb_ja_t *t, wb_cps_t *out, const char *s, size_t n, bool *maybe) {
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
static wb_status find_emoji (const wb_ja_t *t, work_t *w) {
    const uint32_t *s = w->text.data;
    const size_t n = w->text.len;
    w->nhits = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x10000 && t->first[s[i]] == 0) continue;
        int32_t node = 0;
        for (size_t k = i; k < n && s[k] < WB_RAW; k++) {
            node = wb_map_get (&t->keys.next, (uint32_t) node, s[k]);
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
static wb_status replace_by_passes (const wb_ja_t *t, work_t *w) {
    for (size_t e = 0; e < t->nemoji; e++) {
        const wb_emoji_t *m = &t->emoji[e];
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

static wb_status replace_emoji (const wb_ja_t *t, work_t *w) {
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
        const wb_emoji_t *m = &t->emoji[s[i] & (KEY - 1)];
        WB_TRY (wb_cps_put (&w->spare, m->tag, m->taglen));
    }
    swap (w);
    return WB_OK;
}

wb_status wb_ja_put_bytes (const wb_ja_t *t, wb_ids_t *out, uint32_t c) {
    char s[4] = "\xef\xbf\xbd";
    size_t n = 3;
    if (c >= WB_RAW && t->bytes[c - WB_RAW] >= 0) return wb_ids_put (out, t->bytes[c - WB_RAW]);
    if (c < WB_RAW) n = wb_utf8_put (s, c);
    for (size_t i = 0; i < n; i++) WB_TRY (wb_ids_put (out, t->bytes[(unsigned char) s[i]]));
    return WB_OK;
}

static wb_status encode_piece (const wb_ja_t *t, wb_ids_t *out, work_t *w, const char *s, size_t n, bool clean) {
    bool maybe = false;
    WB_TRY (read_text (t, &w->text, s, n, &maybe));
    if (maybe && t->nemoji > 0) WB_TRY (replace_emoji (t, w));
    if (clean) WB_TRY (t->form->clean (t, &w->text, &w->spare));
    return t->form->put_words (t, out, &w->text);
}

wb_status wb_ja_encode (const wb_tokenizer_t *base, wb_ids_t *out, const char *text, size_t n, bool clean) {
    const wb_ja_t *t = (const wb_ja_t *) base;
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

wb_piece_t wb_ja_piece_of (const wb_tokenizer_t *base, int32_t id) { return ((const wb_ja_t *) base)->pieces[id]; }

const char *wb_ja_file (const wb_tokenizer_t *base, size_t *n, int i) {
    const wb_ja_t *t = (const wb_ja_t *) base;
    *n = i == 0 ? t->words_bytes : t->emoji_bytes;
    return i == 0 ? t->words_file : t->emoji_file;
}
