/* Measuring: one pass over a text for what the filters ask, which leaves its characters for n-grams and its lines for
 * what repeats.
 *
 * Every character of the first plane has a class in a table.  Not done here: n-grams (ngrams.c), bounds (filters.c). */
#include "config.h"

#include <string.h>

#include "corpus/filters.h"
#include "tokenizer/utf8.h"

enum { HIRAGANA = 1, KATAKANA = 2, KANJI = 4, STOP = 8, DIGIT = 16, BRACKET = 32, SPACE = 64, END = 128 };
enum {
    SHORT_LINE = 10,
    NEAR = 16384 /* characters within which a line counts as repeated: a book has more than a page */
};

static bool is_one_of (uint32_t c, const uint16_t *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == c) return true;
    return false;
}
#define ONE_OF(c, list) is_one_of (c, list, sizeof list / sizeof list[0])

static unsigned char class_of (uint32_t c) {
    static const uint16_t stops[] = {0x3001, 0x3002, 0xff0c, 0xff0e, 0xff01, 0xff1f};
    static const uint16_t ends[] = {0x3002, 0xff0e, 0xff01, 0xff1f, '!',    '?', '.',
                                    0x2026, 0x2025, 0x300d, 0x300f, 0xff09, ')', 0xff61};
    static const uint16_t brackets[] = {'(',    ')',    '[',    ']',    '{',    '}',    '<',    '>',
                                        0xff08, 0xff09, 0xff3b, 0xff3d, 0xff5b, 0xff5d, 0xff1c, 0xff1e,
                                        0x3008, 0x3009, 0x300a, 0x300b, 0x3010, 0x3011, 0x3014, 0x3015};
    static const uint16_t spaces[] = {' ', '\t', '\n', '\r', 0xa0, 0x3000};
    unsigned char k = 0;
    if (c >= 0x3041 && c <= 0x3096) k |= HIRAGANA;
    if ((c >= 0x30a1 && c <= 0x30fa) || (c >= 0xff66 && c <= 0xff9d)) k |= KATAKANA;
    if ((c >= 0x3400 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) || c == 0x3005 || c == 0x3007 || c == 0x303b)
        k |= KANJI;
    if (ONE_OF (c, stops)) k |= STOP;
    if ((c >= '0' && c <= '9') || (c >= 0xff10 && c <= 0xff19)) k |= DIGIT;
    if (ONE_OF (c, brackets)) k |= BRACKET;
    if (ONE_OF (c, spaces) || (c >= 0x2000 && c <= 0x200a)) k |= SPACE;
    if (ONE_OF (c, ends)) k |= END;
    return k;
}

/* The same for all threads; filled by the first that asks. */
static const unsigned char *classes (void) {
    static unsigned char table[1 << 16];
    static int ready;
    int is;
#pragma omp atomic read acquire
    is = ready;
    if (is) return table;
#pragma omp critical(wb_measure_classes)
    if (!ready) {
        for (uint32_t c = 0; c < 1 << 16; c++) table[c] = class_of (c);
#pragma omp atomic write release
        ready = 1;
    }
    return table;
}

uint64_t wb_line_hash (const char *s, size_t n) { return wb_hash64 (s, n) | 1; }

/* Sums of a text while it is read. */
typedef struct sums {
    int64_t japanese, hiragana, katakana, brackets, digits;
    int64_t sentences, in_sentences, open, ellipses; /* open: characters of the sentence that is being read */
    int64_t lines, ends, shorts, repeated, repeated_chars;
    uint32_t last;
} sums_t;

static void end_sentence (sums_t *t) {
    if (t->open == 0) return;
    t->sentences++;
    t->in_sentences += t->open;
    t->ellipses += t->last == 0x2026 || t->last == 0x2025 || t->last == 0x30fb;
    t->open = 0;
}

/* A line of `chars` characters, s [n] with its blanks. */
static void end_line (wb_measurer_t *x, sums_t *t, const char *s, size_t n, int64_t chars, unsigned char last) {
    end_sentence (t);
    if (chars == 0) return;
    t->lines++;
    t->ends += (last & END) != 0;
    t->shorts += chars < SHORT_LINE && (last & END) == 0;
    const uint64_t hash = wb_line_hash (s, n);
    uint64_t at = hash & (uint64_t) (x->seen_cap - 1);
    while (x->seen[at].line != 0 && x->seen[at].line != hash) at = (at + 1) & (uint64_t) (x->seen_cap - 1);
    if (x->seen[at].line == 0) x->lines[x->nlines++] = hash;
    if (x->seen[at].line != 0 && x->n - x->seen[at].place <= NEAR) {
        t->repeated++;
        t->repeated_chars += chars;
    }
    x->seen[at] = (wb_seen_line_t){hash, x->n};
}

/* Room for a text of n bytes. */
static wb_status make_room (wb_measurer_t *x, const char *s, size_t n) {
    int64_t lines = 2, seen = 16;
    for (const char *at = s; (at = memchr (at, '\n', n - (size_t) (at - s))) != NULL; at++) lines++;
    while (seen < 2 * lines) seen *= 2;
    if (!WB_GROW (x->chars, x->cap, (int64_t) n + 1) || !WB_GROW (x->lines, x->lines_cap, lines))
        return WB_NOMEM ("a text");
    if (seen > x->seen_cap) {
        wb_free (x->seen);
        x->seen = wb_malloc ((size_t) seen * sizeof *x->seen);
        if (x->seen == NULL) x->seen_cap = 0;
        if (x->seen == NULL) return WB_NOMEM ("a text");
    }
    x->seen_cap = seen;
    memset (x->seen, 0, (size_t) seen * sizeof *x->seen);
    return WB_OK;
}

static inline uint32_t next_char (const char *s, size_t n, size_t *length) {
    const unsigned char *u = (const unsigned char *) s;
    if (u[0] < 0x80) {
        *length = 1;
        return u[0];
    }
    if (n >= 3 && (u[0] & 0xf0) == 0xe0) { /* the text is well-formed */
        *length = 3;
        return (uint32_t) (u[0] & 0x0f) << 12 | (uint32_t) (u[1] & 0x3f) << 6 | (u[2] & 0x3f);
    }
    return wb_utf8_get (s, n, length);
}

static void read_text (wb_measurer_t *x, sums_t *t, const char *s, size_t n) {
    const unsigned char *class = classes ();
    size_t from = 0;
    int64_t before = 0;
    unsigned char last = 0;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c = next_char (s + i, n - i, &length);
        const unsigned char k = c < 1 << 16 ? class[c] : c - 0x20000 < 0x20000 ? KANJI : 0;
        if (c == '\n') {
            end_line (x, t, s + from, i - from, x->n - before, last);
            from = i + 1, before = x->n;
        }
        if ((k & SPACE) != 0) continue;
        t->japanese += (k & (HIRAGANA | KATAKANA | KANJI | STOP)) != 0;
        t->hiragana += (k & HIRAGANA) != 0;
        t->katakana += (k & KATAKANA) != 0;
        t->brackets += (k & BRACKET) != 0;
        t->digits += (k & DIGIT) != 0;
        t->open++;
        t->last = c;
        last = k;
        if (c == 0x3002 || c == 0xff0e || c == 0xff01 || c == 0xff1f || c == '!' || c == '?') end_sentence (t);
        if (c >= 0xff01 && c <= 0xff5e) c -= 0xfee0;
        if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
        x->chars[x->n++] = c;
    }
    end_line (x, t, s + from, n - from, x->n - before, last);
}

static double share (int64_t a, int64_t b) { return b > 0 ? (double) a / (double) b : 0.0; }

wb_status wb_measure (wb_measurer_t *x, wb_measures_t *m, const char *s, size_t n, const wb_words_t *words) {
    sums_t t = {0};
    x->n = x->nlines = 0;
    WB_TRY (make_room (x, s, n));
    read_text (x, &t, s, n);
    *m = (wb_measures_t){
        .chars = (double) x->n,
        .hiragana = share (t.hiragana, t.japanese),
        .katakana = share (t.katakana, t.japanese),
        .japanese = share (t.japanese, x->n),
        .brackets = share (t.brackets, x->n),
        .digits = share (t.digits, x->n),
        .sentence = share (t.in_sentences, t.sentences),
        .ellipses = share (t.ellipses, t.sentences),
        .ends = share (t.ends, t.lines),
        .short_lines = share (t.shorts, t.lines),
        .repeated_lines = share (t.repeated, t.lines),
        .repeated_in_chars = share (t.repeated_chars, x->n),
        .words = (double) wb_words_count (words, s, n),
    };
    return wb_measure_ngrams (x, m);
}

void wb_measurer_fini (wb_measurer_t *x) {
    wb_free (x->chars);
    wb_free (x->lines);
    wb_free (x->seen);
    wb_free (x->tables);
    *x = (wb_measurer_t){0};
}
