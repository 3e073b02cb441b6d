/* Aozora Bunko's text: ruby 《》 and ｜, notes ［＃…］, characters that its encoding lacks ※［＃…］, accents 〔e'〕,
 * the block in front and the colophon after the text.
 *
 * A character is named by its code point or by plane, row and cell of JIS X 0213, which iconv knows; one that is only
 * described becomes 〓, as in print.  A line that held nothing but notes is empty, and empty lines in a row are one.
 * See https://www.aozora.gr.jp/annotation/ and accent_separation.html there.
 *
 * Not done here: what notes say of the text (headings, emphasis, where the original is wrong): it stays as it is. */
#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/extract.h"
#include "tokenizer/utf8.h"

typedef struct scan {
    wb_extractor_t *x;
    wb_buf_t *out;
    const char *s, *end;  /* what is left */
    const char *plain;    /* from here on nothing has been put out yet */
    const char *eol;      /* of the line that s is in, once somebody asked */
    const char *unclosed; /* to there, the end of a line, no note is closed */
    const char *unpaired; /* nor a 〔 */
    const char *accents;  /* up to there accents are put together: the 〕, or NULL */
} scan_t;

static bool at (const scan_t *t, const char *what) {
    const size_t n = strlen (what);
    return (size_t) (t->end - t->s) >= n && memcmp (t->s, what, n) == 0;
}

static const char *find (const char *s, const char *end, const char *what) {
    return memmem (s, (size_t) (end - s), what, strlen (what));
}

static const char *line_end (const char *s, const char *end) {
    const char *p = memchr (s, '\n', (size_t) (end - s));
    return p != NULL ? p : end;
}

/* Each line is searched for its end once, however many marks are in it. */
static const char *eol (scan_t *t) {
    if (t->eol == NULL || t->s > t->eol) t->eol = line_end (t->s, t->end);
    return t->eol;
}

/* Put out what was passed over, and go on after n more bytes. */
static wb_status skip (scan_t *t, size_t n) {
    WB_TRY (wb_buf_put (t->out, t->plain, (size_t) (t->s - t->plain)));
    t->s += n;
    t->plain = t->s;
    return WB_OK;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* Plane, row and cell of JIS X 0213 as UTF-8: one character, or a letter with a mark; 0 bytes: there is none. */
static size_t jisx0213 (wb_extractor_t *x, char out[16], int plane, int row, int cell) {
    if (!x->has_gaiji) x->gaiji = iconv_open ("UTF-8", "EUC-JISX0213");
    x->has_gaiji = true;
    if (x->gaiji == (iconv_t) -1 || row < 1 || row > 94 || cell < 1 || cell > 94) return 0;
    char euc[3], *in = euc, *to = out;
    size_t n = 0, room = 16;
    if (plane == 2) euc[n++] = (char) 0x8f;
    euc[n++] = (char) (0xa0 + row);
    euc[n++] = (char) (0xa0 + cell);
    iconv (x->gaiji, NULL, NULL, NULL, NULL);
    if (iconv (x->gaiji, &in, &n, &to, &room) == (size_t) -1) return 0;
    iconv (x->gaiji, NULL, NULL, &to, &room); /* it waits for a mark after some letters */
    return 16 - room;
}

/* The character that a note, from s to end, names; 0 bytes: it only describes it. */
static size_t gaiji (wb_extractor_t *x, char out[16], const char *s, const char *end) {
    const char *u = find (s, end, "U+");
    if (u != NULL) {
        uint32_t c = 0;
        int digits = 0;
        for (u += 2; u < end && isxdigit ((unsigned char) *u) && digits < 6; u++, digits++)
            c = c << 4 | (uint32_t) (isdigit ((unsigned char) *u) ? *u - '0' : (*u | 32) - 'a' + 10);
        if (digits >= 4 && c >= 0xa0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff)) return wb_utf8_put (out, c);
    }
    for (const char *p = s; p + 4 < end; p++) {
        if ((*p != '1' && *p != '2') || p[1] != '-' || (p > s && (isdigit ((unsigned char) p[-1]) || p[-1] == '-')))
            continue;
        char *rest;
        const long row = strtol (p + 2, &rest, 10); /* the text ends in a 0 byte, or with a ］ before that */
        if (rest >= end || *rest != '-' || !isdigit ((unsigned char) rest[1])) continue;
        const long cell = strtol (rest + 1, &rest, 10);
        if (rest <= end && *rest != '-' && row < 95 && cell < 95)
            return jisx0213 (x, out, *p - '0', (int) row, (int) cell);
    }
    return 0;
}

static const struct {
    char mark;
    const char *letters, *composed;
} accents[] = {{'`', "AEIOUaeiou", "ÀÈÌÒÙàèìòù"},
               {'\'', "AEIOUYCLNRSZaeiouyclnrsz", "ÁÉÍÓÚÝĆĹŃŔŚŹáéíóúýćĺńŕśź"},
               {'^', "AEIOUCGHJSaeioucghjs", "ÂÊÎÔÛĈĜĤĴŜâêîôûĉĝĥĵŝ"},
               {'~', "ANOano", "ÃÑÕãñõ"},
               {':', "AEIOUaeiouy", "ÄËÏÖÜäëïöüÿ"},
               {'&', "AUasu", "ÅŮåßů"},
               {',', "CSTcst", "ÇŞŢçşţ"},
               {'_', "AEIOUaeiou", "ĀĒĪŌŪāēīōū"},
               {'/', "DHILOdhilo", "ĐĦƗŁØđħɨłø"}};

/* The letter and mark at s, which is after a 〔: bytes of both, 0: none; *to, *n: what they are together. */
static size_t accent (const char **to, size_t *n, const char *s, const char *end) {
    static const char *const ligatures[][2] = {{"AE&", "Æ"}, {"ae&", "æ"}, {"OE&", "Œ"},
                                               {"oe&", "œ"}, {"!@", "¡"},  {"?@", "¿"}};
    for (size_t i = 0; i < sizeof ligatures / sizeof ligatures[0]; i++) {
        const size_t k = strlen (ligatures[i][0]);
        if ((size_t) (end - s) < k || memcmp (s, ligatures[i][0], k) != 0) continue;
        *to = ligatures[i][1];
        *n = strlen (*to);
        return k;
    }
    if (end - s < 2 || !isalpha ((unsigned char) s[0])) return 0;
    for (size_t i = 0; i < sizeof accents / sizeof accents[0]; i++) {
        if (accents[i].mark != s[1]) continue;
        const char *letter = strchr (accents[i].letters, s[0]);
        if (letter == NULL) return 0;
        const bool vowel = strchr ("AEIOUYaeiouy", s[0]) != NULL;
        if (s[1] == '\'' && !vowel && end - s > 2 && strchr ("aeiouyh", s[2]) != NULL) return 0; /* l'amour */
        if (s[1] == '\'' && (s[0] | 32) == 'u' && (s[-1] | 32) == 'q') return 0;                 /* qu'on */
        if (s[1] == ',' && end - s > 2 && s[2] == ' ') return 0;                                 /* a comma */
        const char *c = accents[i].composed;
        for (const char *p = accents[i].letters; p < letter; p++) c += 2;
        *to = c;
        *n = 2; /* all of them have two bytes */
        return 2;
    }
    return 0;
}

/* Has the text from s to end a letter with a mark? */
static bool has_accents (const char *s, const char *end) {
    const char *unused;
    size_t n;
    for (; s < end; s++)
        if (accent (&unused, &n, s, end) > 0) return true;
    return false;
}

/* ---- marks ------------------------------------------------------------------------------------------------------- */

/* A note, ［＃…］ with others in it: where it ends, after its ］; NULL: not on this line. */
static const char *note_end (scan_t *t, const char *s) {
    if (s < t->unclosed) return NULL;
    const char *end = eol (t);
    int depth = 0;
    for (const char *p = s; p + 2 < end; p++) {
        if ((unsigned char) p[0] != 0xef || (unsigned char) p[1] != 0xbc) continue;
        const unsigned char c = (unsigned char) p[2];
        depth += c == 0xbb ? 1 : c == 0xbd ? -1 : 0; /* ［ ］ */
        if (depth == 0 && c == 0xbd) return p + 3;
    }
    t->unclosed = end;
    return NULL;
}

static wb_status take_note (scan_t *t, bool is_gaiji) {
    const char *s = t->s + (is_gaiji ? strlen ("※") : 0), *end = note_end (t, s);
    if (end == NULL) {
        t->s += 3;
        return WB_OK;
    }
    char c[16];
    const size_t n = is_gaiji ? gaiji (t->x, c, s + strlen ("［＃"), end - strlen ("］")) : 0;
    WB_TRY (skip (t, (size_t) (end - t->s)));
    if (!is_gaiji) return WB_OK;
    return n > 0 ? wb_buf_put (t->out, c, n) : wb_buf_put (t->out, "〓", strlen ("〓"));
}

/* 《…》 after what it belongs to; other 《》 are quotation marks. */
static wb_status take_ruby (scan_t *t) {
    enum { LONGEST = 300 };
    const char *before = t->s, *p = t->s + 3;
    const char *limit = t->end - p > LONGEST ? p + LONGEST : t->end, *end = find (p, limit, "》");
    const bool begins = before == t->plain ? t->out->len == 0 || t->out->data[t->out->len - 1] == '\n'
                                           : before[-1] == '\n' || before[-1] == ' ';
    if (end == NULL || begins || memchr (p, '\n', (size_t) (end - p)) != NULL) {
        t->s += 3;
        return WB_OK;
    }
    return skip (t, (size_t) (end - t->s) + 3);
}

/* ｜ before a ruby on its line. */
static wb_status take_bar (scan_t *t) {
    enum { LONGEST = 300 };
    const char *p = t->s + 3, *limit = t->end - p > LONGEST ? p + LONGEST : t->end;
    const char *end = find (p, limit, "《");
    if (end != NULL && memchr (p, '\n', (size_t) (end - p)) == NULL) return skip (t, 3);
    t->s += 3;
    return WB_OK;
}

static wb_status take_bracket (scan_t *t) {
    const char *end = t->s >= t->unpaired ? find (t->s, eol (t), "〕") : NULL;
    if (end == NULL) t->unpaired = eol (t);
    if (t->accents == NULL && end != NULL && has_accents (t->s, end)) {
        t->accents = end;
        return skip (t, 3);
    }
    t->s += 3;
    return WB_OK;
}

static wb_status take_accent (scan_t *t) {
    const char *to;
    size_t n;
    if (t->s == t->accents) {
        t->accents = NULL;
        return skip (t, 3);
    }
    const size_t k = accent (&to, &n, t->s, t->accents);
    if (k == 0) {
        t->s++;
        return WB_OK;
    }
    WB_TRY (skip (t, k));
    return wb_buf_put (t->out, to, n);
}

static wb_status take (scan_t *t) {
    const unsigned char c = (unsigned char) *t->s;
    if (t->accents != NULL && t->s > t->accents) t->accents = NULL; /* a note has swallowed the 〕 */
    if (t->accents != NULL && (c < 0x80 || t->s == t->accents)) return take_accent (t);
    if (c == 0xe2 && at (t, "※［＃")) return take_note (t, true);
    if (c == 0xef && at (t, "［＃")) return take_note (t, false);
    if (c == 0xef && at (t, "｜") && !t->x->o.keep_ruby) return take_bar (t);
    if (c == 0xe3 && at (t, "《") && !t->x->o.keep_ruby) return take_ruby (t);
    if (c == 0xe3 && at (t, "〔")) return take_bracket (t);
    t->s++;
    return WB_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool is_rule (const char *s, const char *end) {
    int n = 0;
    while (s < end && *s == '-') s++, n++;
    return n >= 20 && (s == end || *s == '\n' || *s == '\r');
}

/* The text begins after the block of explanations between two rules. */
static const char *find_body (const char *s, const char *end) {
    enum { LINES = 100 };
    int rules = 0;
    const char *p = s, *first = NULL;
    for (int i = 0; i < LINES && p < end; i++) {
        const char *next = line_end (p, end);
        if (next < end) next++;
        if (is_rule (p, end) && ++rules == 1) first = p;
        p = next;
        if (rules == 2) return find (first, p, "【テキスト中に現れる記号") != NULL ? p : s;
    }
    return s;
}

/* It ends before the colophon, a line that begins with 底本： after an empty one. */
static const char *find_end (const char *s, const char *end) {
    const char *body = find (s, end, "［＃本文終わり］");
    if (body != NULL) end = body;
    for (const char *p = s; (p = find (p, end, "底本：")) != NULL; p++) {
        const char *b = p;
        while (b > s && b[-1] == '\r') b--;
        if (b == s || b[-1] != '\n') continue;
        for (b--; b > s && b[-1] == '\r';) b--;
        if (b == s || b[-1] == '\n') return p;
    }
    return end;
}

/* Copy lines: CRLF becomes LF, several empty ones become one, none at the ends. */
static wb_status put_lines (wb_buf_t *out, const char *s, size_t n) {
    const char *end = s + n;
    bool empty = false;
    const size_t start = out->len;
    WB_TRY (wb_buf_reserve (out, n + 1));
    for (const char *p = s; p < end;) {
        const char *to = line_end (p, end), *next = to < end ? to + 1 : to;
        while (to > p && (to[-1] == '\r' || to[-1] == ' ' || to[-1] == '\t')) to--;
        if (to > p) {
            if (empty && out->len > start) WB_TRY (wb_buf_put (out, "\n", 1));
            WB_TRY (wb_buf_put (out, p, (size_t) (to - p)));
            WB_TRY (wb_buf_put (out, "\n", 1));
        }
        empty = to == p;
        p = next;
    }
    return WB_OK;
}

wb_status wb_form_aozora (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s, size_t n) {
    const char *end = find_end (s, s + n), *body = find_body (s, end);
    wb_buf_clear (&x->scratch);
    scan_t t = {.x = x, .out = &x->scratch, .s = body, .end = end, .plain = body, .unclosed = body, .unpaired = body};
    (void) c;
    *got = true;
    WB_TRY (wb_buf_reserve (t.out, (size_t) (end - body)));
    while (t.s < end) WB_TRY (take (&t));
    WB_TRY (skip (&t, 0));
    return put_lines (&d->text, x->scratch.data, x->scratch.len);
}
