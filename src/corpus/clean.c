/* Cleaning: what no model should learn from goes.
 *
 * One pass copies runs of good bytes and looks only at the few lead bytes that something bad may begin with.  A second
 * one, on request, folds widths; NFKC is utf8proc's.
 *
 * Not done here: what to do with URLs and telephone numbers (wabun encode --clean). */
#include "config.h"

#include <string.h>
#include <utf8proc.h>

#include "corpus/filters.h"
#include "tokenizer/utf8.h"

/* A byte that begins nothing that may have to go, no blank and no end of a line. */
static bool is_plain (unsigned char c) {
    return c > ' ' && c != 0x7f && c != 0xc2 && c != 0xe2 && c != 0xe3 && c != 0xef;
}
/* Any character of U+3000 ... U+3FFF but the blank. */
static bool is_kana (const char *s, size_t n) {
    return (unsigned char) s[0] == 0xe3 && n >= 3 && ((unsigned char) s[1] != 0x80 || (unsigned char) s[2] != 0x80);
}

typedef enum { STAYS, GOES, ENDS_LINE, IS_BLANK } what_t;

/* Is U+200D between two emoji, which it joins?  Before it: four bytes, or U+FE0F; after it: four bytes, or a symbol
 * from U+2190 on.  Nothing of these goes itself, so the answer is the same in a text that is clean already. */
static bool joins (const char *before, size_t nbefore, const char *after, size_t nafter) {
    const bool emoji =
        (nbefore >= 4 && (before[-4] & 0xf8) == 0xf0) || (nbefore >= 3 && memcmp (before - 3, "\xef\xb8\x8f", 3) == 0);
    if (!emoji || nafter < 2) return false;
    const unsigned char lead = (unsigned char) after[0];
    return (lead & 0xf8) == 0xf0 || (lead == 0xe2 && (unsigned char) after[1] >= 0x86);
}

static what_t what_is (uint32_t c, const char *before, size_t nbefore, const char *after, size_t nafter) {
    if (c == '\n' || c == '\r' || c == 0x0b || c == 0x0c || c == 0x85 || c == 0x2028 || c == 0x2029) return ENDS_LINE;
    if (c == ' ' || c == '\t' || c == 0x3000) return IS_BLANK;
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0xfeff) return GOES;
    if (c == 0x200d) return joins (before, nbefore, after, nafter) ? STAYS : GOES;
    if ((c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f)) return GOES;
    if ((c >= 0xfff9 && c <= 0xfffb) || c == 0xfffe || c == 0xffff) return GOES;
    return STAYS;
}

/* Where blanks began that may turn out to be at the end of a line, and how many lines have just ended. */
typedef struct state {
    size_t text; /* bytes of out up to the last character that is no blank */
    int ends;    /* line ends after it */
} state_t;

static wb_status end_line (wb_buf_t *out, state_t *s, size_t start) {
    out->len = s->text + (size_t) s->ends;
    if (s->ends < 2 && s->text > start) {
        WB_TRY (wb_buf_put (out, "\n", 1));
        s->ends++;
    }
    return WB_OK;
}

static wb_status scrub (wb_buf_t *out, const char *s, size_t n) {
    bool plain[256];
    const size_t start = out->len;
    state_t st = {start, 0};
    for (int i = 0; i < 256; i++) plain[i] = is_plain ((unsigned char) i);
    WB_TRY (wb_buf_reserve (out, n));
    for (size_t i = 0; i < n;) {
        size_t run = i, length = 1;
        while (run < n && (plain[(unsigned char) s[run]] || is_kana (s + run, n - run))) run++;
        if (run > i) {
            WB_TRY (wb_buf_put (out, s + i, run - i));
            st = (state_t){out->len, 0};
            i = run;
            continue;
        }
        const uint32_t c = wb_utf8_get (s + i, n - i, &length);
        const what_t what = c == WB_UTF8_NONE ? GOES : what_is (c, s + i, i, s + i + length, n - i - length);
        if (what == ENDS_LINE) {
            WB_TRY (end_line (out, &st, start));
            if (c == '\r' && i + 1 < n && s[i + 1] == '\n') length = 2;
        } else if (what != GOES) {
            WB_TRY (wb_buf_put (out, s + i, length));
            if (what == STAYS) st = (state_t){out->len, 0};
        }
        i += length;
    }
    out->len = st.text + (st.ends > 0 && st.text > start);
    return wb_buf_reserve (out, 0);
}

/* ---- folding ----------------------------------------------------------------------------------------------------- */

/* Full-width forms of U+FF61 ... U+FF9F. */
static const uint16_t wide[] = {0x3002, 0x300c, 0x300d, 0x3001, 0x30fb, 0x30f2, 0x30a1, 0x30a3, 0x30a5, 0x30a7, 0x30a9,
                                0x30e3, 0x30e5, 0x30e7, 0x30c3, 0x30fc, 0x30a2, 0x30a4, 0x30a6, 0x30a8, 0x30aa, 0x30ab,
                                0x30ad, 0x30af, 0x30b1, 0x30b3, 0x30b5, 0x30b7, 0x30b9, 0x30bb, 0x30bd, 0x30bf, 0x30c1,
                                0x30c4, 0x30c6, 0x30c8, 0x30ca, 0x30cb, 0x30cc, 0x30cd, 0x30ce, 0x30cf, 0x30d2, 0x30d5,
                                0x30d8, 0x30db, 0x30de, 0x30df, 0x30e0, 0x30e1, 0x30e2, 0x30e4, 0x30e6, 0x30e8, 0x30e9,
                                0x30ea, 0x30eb, 0x30ec, 0x30ed, 0x30ef, 0x30f3, 0x309b, 0x309c};

/* The kana c with the mark that follows it, 0: it takes none. */
static uint32_t with_mark (uint32_t c, bool round) {
    const bool ha = c >= 0x30cf && c <= 0x30db && (c - 0x30cf) % 3 == 0;
    if (round) return ha ? c + 2 : 0;
    if (c == 0x30a6) return 0x30f4;
    if (ha || (c >= 0x30ab && c <= 0x30c1 && (c & 1) == 1) || c == 0x30c4 || c == 0x30c6 || c == 0x30c8) return c + 1;
    return c == 0x30ef ? 0x30f7 : c == 0x30f2 ? 0x30fa : 0;
}

static wb_status fold (wb_buf_t *out, const char *s, size_t n, const wb_clean_options_t *o) {
    WB_TRY (wb_buf_reserve (out, n));
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c = wb_utf8_get (s + i, n - i, &length);
        char bytes[4];
        if (o->fold_ascii && c >= 0xff01 && c <= 0xff5e) c -= 0xfee0;
        if (o->fold_ascii && c == 0x3000) c = ' ';
        if (o->fold_kana && c >= 0xff61 && c <= 0xff9f) {
            const unsigned char *next = (const unsigned char *) s + i + length;
            c = wide[c - 0xff61];
            if (n - i - length >= 3 && next[0] == 0xef && next[1] == 0xbe && (next[2] == 0x9e || next[2] == 0x9f)) {
                const uint32_t marked = with_mark (c, next[2] == 0x9f);
                if (marked != 0) c = marked, length += 3;
            }
        }
        if (c == WB_UTF8_NONE) continue;
        WB_TRY (wb_buf_put (out, bytes, wb_utf8_put (bytes, c)));
    }
    return WB_OK;
}

static wb_status normalize (wb_buf_t *out, const char *s, size_t n) {
    utf8proc_uint8_t *to = NULL;
    const utf8proc_ssize_t bytes = utf8proc_map ((const utf8proc_uint8_t *) s, (utf8proc_ssize_t) n, &to,
                                                 UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    if (bytes < 0) return bytes == UTF8PROC_ERROR_NOMEM ? WB_NOMEM ("a text") : wb_buf_put (out, s, n);
    const wb_status status = wb_buf_put (out, to, (size_t) bytes);
    wb_free_foreign (to);
    return status;
}

/* What goes goes first: a mark may stand after its kana only then, and would join it in the next cleaning.  And again
 * afterwards: NFKC makes blanks of other characters. */
wb_status wb_clean_text (wb_buf_t *out, const char *s, size_t n, const wb_clean_options_t *o) {
    if (!o->nfkc && !o->fold_kana && !o->fold_ascii) return scrub (out, s, n);
    wb_buf_t plain = {0}, t = {0};
    wb_status status = scrub (&plain, s, n);
    if (status == WB_OK) status = o->nfkc ? normalize (&t, plain.data, plain.len) : fold (&t, plain.data, plain.len, o);
    if (status == WB_OK) status = scrub (out, t.data != NULL ? t.data : "", t.len);
    wb_buf_fini (&plain);
    wb_buf_fini (&t);
    return status;
}
