/* Which blocks of a page are its text: by length, share of links and what Japanese sentences look like, and by the
 * blocks around; in the manner of jusText (J. Pomikálek, Removing Boilerplate and Duplicate Content from Web Corpora,
 * 2011), whose lists of frequent words are kana here, and blanks in languages that write them.
 *
 * A long block of sentences is good; one that is mostly links is bad; what is short is as its neighbours are.
 *
 * Not done here: models of any kind; the title. */
#include "config.h"

#include <string.h>

#include "corpus/extract.h"
#include "corpus/html.h"

enum { LONG = 70, MIDDLE = 25, HEADING_REACH = 200, FEW = 60 };

typedef struct measure {
    int64_t characters, kana, blanks, ends; /* ends: of sentences */
    bool closes;                            /* the last character ends a sentence */
} measure_t;

static measure_t measure (const char *s, size_t n) {
    measure_t m = {0};
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char) s[i];
        if ((c & 0xc0) == 0x80) continue;
        m.characters++;
        m.blanks += c == ' ';
        bool end = c == '!' || c == '?' || (c == '.' && (i + 1 == n || s[i + 1] == ' ' || s[i + 1] == '\n'));
        if (i + 2 < n && c == 0xe3) {
            const unsigned char d = (unsigned char) s[i + 1], e = (unsigned char) s[i + 2];
            m.kana += d >= 0x81 && d <= 0x83;
            end = d == 0x80 && (e == 0x82 || e == 0x8d); /* 。」 */
        } else if (i + 2 < n && c == 0xef && (unsigned char) s[i + 1] == 0xbc) {
            const unsigned char e = (unsigned char) s[i + 2];
            end = e == 0x81 || e == 0x9f || e == 0x8e; /* ！？． */
        }
        m.ends += end;
        m.closes = end || (m.closes && (c == ' ' || c == '\n'));
    }
    return m;
}

/* By itself. */
static wb_block_class classify (const wb_block_t *b, const char *text) {
    const char *s = text + b->from;
    const size_t n = b->to - b->from;
    const measure_t m = measure (s, n);
    const bool language = m.kana * 100 >= m.characters * 15 || m.blanks * 100 >= m.characters * 10;
    if (b->links * 2 > m.characters) return WB_BLOCK_BAD;
    if (memmem (s, n, "©", strlen ("©")) != NULL || (m.characters < 200 && memmem (s, n, "Copyright", 9) != NULL))
        return WB_BLOCK_BAD;
    if (b->pre) return m.characters < MIDDLE ? WB_BLOCK_SHORT : WB_BLOCK_NEAR;
    if (m.characters < MIDDLE && !(m.closes && m.characters >= 10 && language))
        return b->links > 0 ? WB_BLOCK_BAD : WB_BLOCK_SHORT;
    if (!language) return m.characters < LONG ? WB_BLOCK_SHORT : WB_BLOCK_BAD;
    if (m.characters >= LONG && m.ends > 0 && b->links * 5 < m.characters) return WB_BLOCK_GOOD;
    return m.ends > 0 || m.characters >= LONG ? WB_BLOCK_NEAR : WB_BLOCK_SHORT;
}

/* The class of the nearest block that is not short, before (step -1) or after each block. */
static void look_around (wb_block_class *around, const wb_html_t *h, bool solid_only, int step) {
    wb_block_class last = WB_BLOCK_BAD;
    for (int64_t k = 0; k < h->len; k++) {
        const int64_t i = step < 0 ? k : h->len - 1 - k;
        const wb_block_class c = h->block[i].kind;
        around[i] = last;
        if (c == WB_BLOCK_GOOD || c == WB_BLOCK_BAD || (c == WB_BLOCK_NEAR && !solid_only)) last = c;
    }
}

/* What is near good is good unless both sides are bad; what is short is good between good ones. */
static void settle (wb_html_t *h, wb_block_class *before, wb_block_class *after) {
    look_around (before, h, true, -1);
    look_around (after, h, true, 1);
    for (int64_t i = 0; i < h->len; i++)
        if (h->block[i].kind == WB_BLOCK_NEAR)
            h->block[i].kind = before[i] == WB_BLOCK_BAD && after[i] == WB_BLOCK_BAD ? WB_BLOCK_BAD : WB_BLOCK_GOOD;
    look_around (before, h, true, -1);
    look_around (after, h, true, 1);
    int64_t reach = HEADING_REACH + 1; /* bytes to the next good block that is no heading */
    for (int64_t i = h->len - 1; i >= 0; i--) {
        wb_block_t *b = &h->block[i];
        const bool both = before[i] == WB_BLOCK_GOOD && after[i] == WB_BLOCK_GOOD;
        if (b->kind == WB_BLOCK_SHORT)
            b->kind = both || (b->heading && reach <= HEADING_REACH) ? WB_BLOCK_GOOD : WB_BLOCK_BAD;
        if (b->kind == WB_BLOCK_GOOD && !b->heading)
            reach = 0;
        else if (reach <= HEADING_REACH)
            reach += (int64_t) (b->to - b->from);
    }
}

/* No block is good by itself: those that nearly are, or all that is not bad if there is enough of it. */
static void make_do (wb_html_t *h) {
    int64_t near = 0, bytes = 0;
    for (int64_t i = 0; i < h->len; i++) {
        const wb_block_t *b = &h->block[i];
        if (b->kind == WB_BLOCK_GOOD) return;
        near += b->kind == WB_BLOCK_NEAR;
        if (b->kind != WB_BLOCK_BAD) bytes += (int64_t) (b->to - b->from);
    }
    for (int64_t i = 0; i < h->len; i++)
        if (h->block[i].kind == WB_BLOCK_NEAR || (near == 0 && h->block[i].kind == WB_BLOCK_SHORT && bytes >= 3 * FEW))
            h->block[i].kind = WB_BLOCK_GOOD;
}

static wb_status choose (wb_html_t *h) {
    wb_block_class *around = wb_calloc ((size_t) h->len + 1, 2 * sizeof *around);
    if (around == NULL) return WB_NOMEM ("the blocks of a page");
    for (int64_t i = 0; i < h->len; i++) h->block[i].kind = classify (&h->block[i], h->text.data);
    make_do (h);
    settle (h, around, around + h->len);
    wb_free (around);
    return WB_OK;
}

wb_status wb_form_html (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s, size_t n) {
    wb_html_t *h = &x->html;
    WB_TRY (wb_html_scan (h, s, n, x->o.keep_ruby));
    WB_TRY (choose (h));
    *got = false;
    for (int64_t i = 0; i < h->len; i++) {
        const wb_block_t *b = &h->block[i];
        if (b->kind != WB_BLOCK_GOOD) continue;
        WB_TRY (wb_buf_put (&d->text, h->text.data + b->from, b->to - b->from));
        WB_TRY (wb_buf_put (&d->text, "\n", 1));
        *got = true;
    }
    if (!*got) wb_refuse (c, "no main text", "%lld blocks of text, none of them a text", (long long) h->len);
    return WB_OK;
}
