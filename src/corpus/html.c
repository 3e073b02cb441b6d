/* HTML and XHTML as a list of blocks of text.
 *
 * A scanner of tags, not a tree: what matters is where blocks begin and end, which text is a link, and what is not for
 * reading.  It looks at each byte once, however broken the page; libxml2's parser takes time of the square of the depth
 * for end tags that nothing began, and its SAX half is slower.  Entities are libxml2's.
 *
 * Not done here: which blocks are the page's text (html_main.c); forms, pictures, frames, styles. */
#include "config.h"

#include <ctype.h>
#include <libxml/HTMLparser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "corpus/html.h"
#include "tokenizer/utf8.h"

enum kind { INLINE, BLOCK, HEADING, BREAK, SKIPPED, RAW, LINK, PRE, RUBY, RT, RP, RB };

/* Sorted by name. */
static const struct row {
    const char *name;
    enum kind kind;
} rows[] = {{"a", LINK},
            {"address", BLOCK},
            {"article", BLOCK},
            {"aside", SKIPPED},
            {"audio", SKIPPED},
            {"b", INLINE},
            {"blockquote", BLOCK},
            {"body", BLOCK},
            {"br", BREAK},
            {"button", SKIPPED},
            {"canvas", SKIPPED},
            {"caption", BLOCK},
            {"center", BLOCK},
            {"dd", BLOCK},
            {"details", BLOCK},
            {"dialog", SKIPPED},
            {"dir", BLOCK},
            {"div", BLOCK},
            {"dl", BLOCK},
            {"dt", BLOCK},
            {"em", INLINE},
            {"fieldset", BLOCK},
            {"figcaption", BLOCK},
            {"figure", BLOCK},
            {"footer", SKIPPED},
            {"form", BLOCK},
            {"h1", HEADING},
            {"h2", HEADING},
            {"h3", HEADING},
            {"h4", HEADING},
            {"h5", HEADING},
            {"h6", HEADING},
            {"header", BLOCK},
            {"hr", BLOCK},
            {"html", BLOCK},
            {"iframe", RAW},
            {"legend", BLOCK},
            {"li", BLOCK},
            {"main", BLOCK},
            {"math", SKIPPED},
            {"menu", BLOCK},
            {"nav", SKIPPED},
            {"noembed", RAW},
            {"noframes", RAW},
            {"noscript", RAW},
            {"object", SKIPPED},
            {"ol", BLOCK},
            {"option", BLOCK},
            {"p", BLOCK},
            {"pre", PRE},
            {"rb", RB},
            {"rp", RP},
            {"rt", RT},
            {"rtc", RT},
            {"ruby", RUBY},
            {"script", RAW},
            {"section", BLOCK},
            {"select", SKIPPED},
            {"span", INLINE},
            {"strong", INLINE},
            {"style", RAW},
            {"summary", BLOCK},
            {"svg", SKIPPED},
            {"table", BLOCK},
            {"tbody", BLOCK},
            {"td", BLOCK},
            {"template", SKIPPED},
            {"textarea", RAW},
            {"tfoot", BLOCK},
            {"th", BLOCK},
            {"thead", BLOCK},
            {"title", RAW},
            {"tr", BLOCK},
            {"ul", BLOCK},
            {"video", SKIPPED},
            {"xmp", RAW}};
enum { ROWS = sizeof rows / sizeof rows[0], NAME = 16 };

typedef struct scan {
    wb_html_t *h;
    const char *s, *end;
    bool keep_ruby;
    size_t from; /* of the block that is being filled */
    int64_t links;
    bool in_link, heading, space, newline;
    int pre, breaks;
    enum kind ruby;               /* RUBY, RT or RP: inside that; INLINE: none */
    const struct row *skip;       /* inside an element that is not for reading, and */
    int64_t depth;                /* how many of its name */
    const char *resume;           /* where to go on if it never ends */
    bool unending[ROWS];          /* elements that have been found never to end */
    bool no_quote[2], no_comment; /* none of these follow any more */
} scan_t;

typedef struct tag {
    const struct row *row; /* NULL: another one */
    bool end, link, hidden;
} tag_t;

void wb_html_fini (wb_html_t *h) {
    wb_buf_fini (&h->text);
    wb_free (h->block);
    *h = (wb_html_t){0};
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static wb_status end_block (scan_t *t) {
    wb_html_t *h = t->h;
    wb_buf_t *b = &h->text;
    while (b->len > t->from && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '\n')) b->len--;
    while (t->from < b->len && b->data[t->from] == '\n') t->from++; /* in front of what is preformatted */
    if (b->len > t->from) {
        if (!WB_GROW (h->block, h->cap, h->len + 1)) return WB_NOMEM ("the blocks of a page");
        h->block[h->len++] = (wb_block_t){t->from, b->len, t->links, t->heading, t->pre > 0, WB_BLOCK_BAD};
    }
    t->from = b->len;
    t->links = 0;
    t->space = t->newline = false;
    t->breaks = 0;
    return WB_OK;
}

/* Text without marks.  Blanks become one, none where a line ends between two wide characters. */
static wb_status put (scan_t *t, const char *s, size_t n) {
    wb_buf_t *b = &t->h->text;
    if (t->skip != NULL || (t->ruby == RT && !t->keep_ruby) || t->ruby == RP) return WB_OK;
    WB_TRY (wb_buf_reserve (b, 2 * n + 2));
    char *to = b->data + b->len;
    int64_t characters = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char) s[i];
        if (c <= ' ' && (c == ' ' || (c >= '\t' && c <= '\r')) && t->pre == 0) {
            t->newline = t->newline || c == '\n' || c == '\r';
            t->space = true;
            continue;
        }
        if (c == 0 || c == '\r') continue;
        const bool first = to == b->data + t->from;
        if (t->space && !first && to[-1] != '\n' && !(t->newline && c >= 0x80 && (unsigned char) to[-1] >= 0x80))
            *to++ = ' ';
        t->space = t->newline = false;
        t->breaks = 0;
        *to++ = (char) c;
        characters += (c & 0xc0) != 0x80;
    }
    b->len = (size_t) (to - b->data);
    *to = 0;
    if (t->in_link) t->links += characters;
    return WB_OK;
}

wb_status wb_html_reference (wb_buf_t *out, size_t *used, const char *s, size_t n) {
    enum { LONGEST = 32 };
    size_t i = 1;
    uint32_t c = 0;
    *used = 1;
    if (n > LONGEST) n = LONGEST;
    if (n > 2 && s[1] == '#') {
        const bool hex = s[2] == 'x' || s[2] == 'X';
        for (i = hex ? 3 : 2; i < n && isxdigit ((unsigned char) s[i]) && (hex || isdigit ((unsigned char) s[i])); i++)
            if (c < 0x200000)
                c = c * (hex ? 16 : 10) +
                    (uint32_t) (isdigit ((unsigned char) s[i]) ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
        if (i == (hex ? 3u : 2u)) return wb_buf_put (out, "&", 1);
        if (c < 0x20 && c != '\n' && c != '\t') c = ' ';
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || (c >= 0x7f && c < 0xa0)) c = 0xfffd;
    } else {
        char name[LONGEST + 1];
        while (i < n && isalnum ((unsigned char) s[i])) i++;
        memcpy (name, s + 1, i - 1);
        name[i - 1] = 0;
        const htmlEntityDesc *e = i > 1 ? htmlEntityLookup ((const xmlChar *) name) : NULL;
        if (e == NULL && strcmp (name, "apos") != 0) return wb_buf_put (out, "&", 1);
        c = e != NULL ? e->value : '\'';
    }
    if (c == 0xa0) c = ' ';
    *used = i + (i < n && s[i] == ';');
    char utf8[4];
    return wb_buf_put (out, utf8, wb_utf8_put (utf8, c));
}

/* Text up to the next tag. */
static wb_status take_text (scan_t *t) {
    const char *lt = memchr (t->s, '<', (size_t) (t->end - t->s)), *to = lt != NULL ? lt : t->end;
    while (t->s < to) {
        const char *amp = memchr (t->s, '&', (size_t) (to - t->s)), *plain = amp != NULL ? amp : to;
        WB_TRY (put (t, t->s, (size_t) (plain - t->s)));
        t->s = plain;
        if (amp == NULL) break;
        char room[8];
        wb_buf_t c = {.data = room, .cap = sizeof room}; /* never more than it holds */
        size_t used;
        WB_TRY (wb_html_reference (&c, &used, t->s, (size_t) (to - t->s)));
        WB_TRY (put (t, c.data, c.len));
        t->s += used;
    }
    return WB_OK;
}

/* ---- tags ------------------------------------------------------------------------------------------------------- */

static int by_name (const void *key, const void *row) { return strcmp (key, ((const struct row *) row)->name); }

/* The value of an attribute that hides its element? */
static bool hides (const char *name, size_t k, const char *value, size_t n) {
    if (k == 6 && strncasecmp (name, "hidden", 6) == 0) return true;
    if (k == 4 && strncasecmp (name, "role", 4) == 0) return n == 10 && strncasecmp (value, "navigation", 10) == 0;
    if (k != 5 || strncasecmp (name, "style", 5) != 0) return false;
    const char *p = memmem (value, n, "display", 7);
    if (p == NULL) return false;
    for (p += 7; p < value + n && (*p == ':' || *p == ' '); p++) continue;
    return value + n - p >= 4 && memcmp (p, "none", 4) == 0;
}

/* An attribute's value at p: where it ends. */
static const char *value_end (scan_t *t, const char *p, const char **value, size_t *n) {
    const char q = *p;
    if (q == '"' || q == '\'') {
        const char *end = t->no_quote[q == '"'] ? NULL : memchr (p + 1, q, (size_t) (t->end - p - 1));
        t->no_quote[q == '"'] = end == NULL;
        if (end != NULL) {
            *value = p + 1;
            *n = (size_t) (end - p - 1);
            return end + 1;
        }
    }
    *value = p;
    while (p < t->end && *p != '>' && !isspace ((unsigned char) *p)) p++;
    *n = (size_t) (p - *value);
    return p;
}

/* After the name of a tag, to after its end. */
static const char *take_attributes (scan_t *t, tag_t *tag, const char *p) {
    while (p < t->end && *p != '>') {
        if (isspace ((unsigned char) *p) || *p == '/') {
            p++;
            continue;
        }
        const char *name = p, *value = "";
        size_t n = 0;
        for (p++; p < t->end && *p != '=' && *p != '>' && *p != '/' && !isspace ((unsigned char) *p);) p++;
        const size_t k = (size_t) (p - name);
        while (p < t->end && isspace ((unsigned char) *p)) p++;
        if (p < t->end && *p == '=') {
            for (p++; p < t->end && isspace ((unsigned char) *p);) p++;
            if (p < t->end) p = value_end (t, p, &value, &n);
        }
        tag->link = tag->link || (k == 4 && strncasecmp (name, "href", 4) == 0);
        tag->hidden = tag->hidden || hides (name, k, value, n);
    }
    return p < t->end ? p + 1 : p;
}

/* After <script>: to its end tag; without one all the rest is script, but not title. */
static void skip_raw (scan_t *t, const struct row *row) {
    const char *name = row->name;
    const size_t k = strlen (name);
    bool *unending = &t->unending[row - rows];
    if (*unending) return;
    for (const char *p = t->s; (p = memchr (p, '<', (size_t) (t->end - p))) != NULL; p++) {
        if ((size_t) (t->end - p) < k + 2) break;
        if (p[1] != '/' || strncasecmp (p + 2, name, k) != 0) continue;
        const char *gt = memchr (p, '>', (size_t) (t->end - p));
        t->s = gt != NULL ? gt + 1 : t->end;
        return;
    }
    *unending = true;
    if (strcmp (name, "script") == 0 || strcmp (name, "style") == 0) t->s = t->end;
}

static wb_status take_ruby (scan_t *t, enum kind kind, bool end) {
    const enum kind before = t->ruby;
    t->ruby = kind == RUBY ? (end ? INLINE : RUBY) : kind == RB || end ? RUBY : kind;
    if (!t->keep_ruby || t->skip != NULL) return WB_OK;
    const enum kind after = t->ruby;
    t->ruby = RUBY; /* so that marks are put */
    wb_status status = WB_OK;
    if (before == RT && after != RT) status = put (t, "》", strlen ("》"));
    if (status == WB_OK && kind == RUBY && !end) status = put (t, "｜", strlen ("｜"));
    if (status == WB_OK && after == RT && before != RT) status = put (t, "《", strlen ("《"));
    t->ruby = after;
    return status;
}

static wb_status line_break (scan_t *t) {
    wb_buf_t *b = &t->h->text;
    if (t->skip != NULL) return WB_OK;
    if (++t->breaks >= 2) return end_block (t);
    t->space = t->newline = false;
    while (b->len > t->from && b->data[b->len - 1] == ' ') b->len--;
    return b->len > t->from && b->data[b->len - 1] != '\n' ? wb_buf_put (b, "\n", 1) : WB_OK;
}

/* An element that is not for reading begins, unless it never ends. */
static bool begin_skip (scan_t *t, const tag_t *tag) {
    const enum kind kind = tag->row->kind;
    const bool can = kind == SKIPPED || kind == INLINE || kind == BLOCK || kind == LINK || kind == HEADING;
    if (tag->end || !can || (kind != SKIPPED && !tag->hidden)) return false;
    if (t->unending[tag->row - rows] || strcmp (tag->row->name, "body") == 0 || strcmp (tag->row->name, "html") == 0 ||
        strcmp (tag->row->name, "hr") == 0)
        return false;
    t->skip = tag->row;
    t->depth = 1;
    t->resume = t->s;
    return true;
}

static wb_status apply (scan_t *t, const tag_t *tag) {
    const enum kind kind = tag->row->kind;
    if (t->skip != NULL) {
        if (tag->row == t->skip && (t->depth += tag->end ? -1 : 1) == 0) t->skip = NULL;
        if (kind == RAW && !tag->end) skip_raw (t, tag->row);
        return WB_OK;
    }
    if (kind != INLINE && kind != LINK && kind < RUBY && kind != BREAK && kind != RAW) {
        WB_TRY (end_block (t));
        t->heading = kind == HEADING && !tag->end;
    }
    if (begin_skip (t, tag)) return WB_OK;
    if (kind == RAW && !tag->end) skip_raw (t, tag->row);
    if (kind == LINK) t->in_link = !tag->end && tag->link;
    if (kind == BREAK) return line_break (t);
    if (kind == PRE) t->pre = !tag->end;
    return kind >= RUBY ? take_ruby (t, kind, tag->end) : WB_OK;
}

/* Comments, declarations, processing instructions. */
static void skip_declaration (scan_t *t) {
    const size_t n = (size_t) (t->end - t->s);
    const bool comment = n > 4 && memcmp (t->s, "<!--", 4) == 0 && !t->no_comment;
    const char *end = comment ? memmem (t->s + 2, n - 2, "-->", 3) : NULL;
    if (comment && end == NULL) t->no_comment = true;
    if (end != NULL) {
        t->s = end + 3;
        return;
    }
    end = memchr (t->s, '>', n);
    t->s = end != NULL ? end + 1 : t->end;
}

/* At a <. */
static wb_status take_tag (scan_t *t) {
    const char *p = t->s + 1;
    tag_t tag = {.row = NULL};
    if (p < t->end && (*p == '!' || *p == '?')) {
        skip_declaration (t);
        return WB_OK;
    }
    tag.end = p < t->end && *p == '/';
    p += tag.end;
    if (p >= t->end || !isalpha ((unsigned char) *p)) { /* no tag */
        t->s++;
        return put (t, "<", 1);
    }
    char name[NAME];
    size_t k = 0;
    for (; p < t->end && !isspace ((unsigned char) *p) && *p != '>' && *p != '/'; p++, k++)
        if (k < NAME - 1) name[k] = (char) tolower ((unsigned char) *p);
    name[k < NAME ? k : 0] = 0;
    tag.row = bsearch (name, rows, ROWS, sizeof rows[0], by_name);
    t->s = take_attributes (t, &tag, p);
    return tag.row != NULL ? apply (t, &tag) : WB_OK;
}

wb_status wb_html_scan (wb_html_t *h, const char *s, size_t n, bool keep_ruby) {
    scan_t t = {.h = h, .s = s, .end = s + n, .keep_ruby = keep_ruby};
    wb_buf_clear (&h->text);
    h->len = 0;
    WB_TRY (wb_buf_reserve (&h->text, n / 2 + 64));
    for (;;) {
        while (t.s < t.end) {
            WB_TRY (take_text (&t));
            if (t.s < t.end) WB_TRY (take_tag (&t));
        }
        if (t.skip == NULL) break;
        t.unending[t.skip - rows] = true; /* once more without leaving it out */
        t.s = t.resume;
        t.skip = NULL;
    }
    return end_block (&t);
}
