/* Wikitext of one page: templates, tables, references, pictures, categories out; the text of links, headings, lists
 * stays, a line each.  A section of which nothing is left loses its heading too.
 *
 * Not done here: expanding templates, so what they would have said is missing; magic words with arguments. */
#include "config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "corpus/extract.h"

/* Where the text of a link ends, and where to go on after it. */
typedef struct stop {
    size_t at, next;
} stop_t;

typedef struct page {
    wb_extractor_t *x;
    wb_buf_t *out, *line;
    const char *s;
    size_t n, i;
    int64_t pair;    /* the next one */
    wb_buf_t ends;   /* stop_t of the links and templates that are being read, the innermost last */
    int level;       /* of the line: a heading's, 0: none */
    wb_buf_t levels; /* heading_t: at the end of out, headings that wait for text */
} page_t;

typedef struct heading {
    int level;
    size_t from; /* of out */
} heading_t;

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static bool ends_in (const wb_buf_t *b, const char *with) {
    const size_t n = strlen (with);
    return b->len >= n && memcmp (b->data + b->len - n, with, n) == 0;
}

/* Brackets whose text was a template are empty now: （） and what stood between. */
static wb_status put (page_t *p, const char *s, size_t n) {
    static const char *const between[] = {"、", "，", "；", "：", " ", ",", ";", ":"};
    const bool wide = n >= 3 && memcmp (s, "）", 3) == 0, narrow = n >= 1 && *s == ')';
    wb_buf_t *b = p->line;
    if (wide || narrow) {
        const size_t before = b->len;
        for (size_t k = 0; k < sizeof between / sizeof between[0]; k++)
            if (ends_in (b, between[k])) {
                b->len -= strlen (between[k]);
                k = SIZE_MAX; /* from the first again */
            }
        if (ends_in (b, wide ? "（" : "(")) {
            b->len -= wide ? 3 : 1;
            return wb_buf_put (b, s + (wide ? 3 : 1), n - (wide ? 3 : 1));
        }
        b->len = before;
    }
    return wb_buf_put (b, s, n);
}

/* Headings that are not above this one have no text. */
static void drop_headings (page_t *p, int level) {
    heading_t h;
    while (p->levels.len >= sizeof h) {
        memcpy (&h, p->levels.data + p->levels.len - sizeof h, sizeof h);
        if (h.level < level) return;
        p->out->len = h.from;
        p->levels.len -= sizeof h;
    }
}

static wb_status end_line (page_t *p) {
    wb_buf_t *b = p->line;
    size_t from = 0;
    while (b->len > 0 && isspace ((unsigned char) b->data[b->len - 1])) b->len--;
    if (p->level > 0)
        while (b->len > 0 && (b->data[b->len - 1] == '=' || b->data[b->len - 1] == ' ')) b->len--;
    while (from < b->len && isspace ((unsigned char) b->data[from])) from++;
    if (p->level > 0) {
        drop_headings (p, p->level);
        const heading_t h = {p->level, p->out->len};
        WB_TRY (wb_buf_put (&p->levels, &h, sizeof h));
    } else if (from < b->len)
        wb_buf_clear (&p->levels);
    if (from < b->len) {
        WB_TRY (wb_buf_put (p->out, b->data + from, b->len - from));
        WB_TRY (wb_buf_put (p->out, "\n", 1));
    }
    wb_buf_clear (b);
    p->level = 0;
    return WB_OK;
}

/* Marks at the beginning of a line. */
static void begin_line (page_t *p) {
    const char *s = p->s;
    size_t i = p->i;
    if (i < p->n && s[i] == '=') {
        for (; i < p->n && s[i] == '=' && p->level < 6; i++) p->level++;
        const char *eol = memchr (s + i, '\n', p->n - i);
        size_t end = eol != NULL ? (size_t) (eol - s) : p->n;
        while (end > i && isspace ((unsigned char) s[end - 1])) end--;
        if (end == i || (s[end - 1] != '=' && s[end - 1] != '>' && s[end - 1] != '}')) p->level = 0, i = p->i;
    } else if (p->n - i >= 4 && memcmp (s + i, "----", 4) == 0)
        while (i < p->n && s[i] == '-') i++;
    else
        while (i < p->n && (strchr ("*#:; ", s[i]) != NULL && s[i] != 0)) i++;
    p->i = i;
}

/* ---- links ------------------------------------------------------------------------------------------------------ */

static bool begins (const char *s, size_t n, const char *with) {
    const size_t k = strlen (with);
    return n >= k && strncasecmp (s, with, k) == 0;
}

/* A picture, a category, the page in another language: it is not text. */
static bool is_aside (const char *s, size_t n) {
    static const char *const spaces[] = {"file:", "image:",    "media:",    "category:",  "ファイル:",
                                         "画像:", "メディア:", "カテゴリ:", "ファイル：", "画像："};
    while (n > 0 && *s == ' ') s++, n--;
    for (size_t k = 0; k < sizeof spaces / sizeof spaces[0]; k++)
        if (begins (s, n, spaces[k])) return true;
    size_t k = 0;
    while (k < n && ((s[k] >= 'a' && s[k] <= 'z') || s[k] == '-')) k++;
    return k >= 2 && k <= 12 && k < n && s[k] == ':';
}

static wb_status begin_link (page_t *p, const wb_pair_t *a) {
    enum { TARGET = 1000 };
    const size_t to = (size_t) a->to - 2, from = (size_t) a->from + 2;
    const stop_t stop = {to, to + 2};
    const char *s = p->s + from;
    const size_t n = to - from;
    if (is_aside (s, n)) {
        p->i = (size_t) a->to;
        return WB_OK;
    }
    const char *bar = memchr (s, '|', n < TARGET ? n : TARGET);
    p->i = bar != NULL ? (size_t) (bar - p->s) + 1 : from + (n > 0 && *s == ':');
    return wb_buf_put (&p->ends, &stop, sizeof stop);
}

/* Is this where the innermost of them ends? */
static bool ends_link (page_t *p) {
    stop_t stop;
    if (p->ends.len < sizeof stop) return false;
    memcpy (&stop, p->ends.data + p->ends.len - sizeof stop, sizeof stop);
    if (p->i < stop.at) return false;
    p->ends.len -= sizeof stop;
    if (p->i < stop.next) p->i = stop.next;
    return true;
}

/* [http://example.org/ text]: its text. */
static wb_status take_address (page_t *p) {
    enum { LONGEST = 2000 };
    const char *s = p->s + p->i;
    const size_t n = p->n - p->i < LONGEST ? p->n - p->i : LONGEST;
    size_t k = 1;
    const bool address = begins (s + 1, n - 1, "http") || begins (s + 1, n - 1, "//") || begins (s + 1, n - 1, "ftp:");
    while (address && k < n && s[k] != ' ' && s[k] != ']' && s[k] != '\n') k++;
    const char *close = address && k < n && s[k] == ' ' ? memchr (s + k, ']', n - k) : NULL;
    const bool bare = address && k < n && s[k] == ']';
    p->i += close != NULL || bare ? k + 1 : 1;
    if (close == NULL) return bare ? WB_OK : put (p, "[", 1);
    const size_t at = (size_t) (close - p->s);
    const stop_t stop = {at, at + 1};
    return wb_buf_put (&p->ends, &stop, sizeof stop);
}

/* ---- templates --------------------------------------------------------------------------------------------------- */

/* Those that stand for one of their arguments. */
static const struct {
    const char *name;
    int argument;
    bool last; /* it goes on to the end */
} spoken[] = {{"lang|", 2, true},  {"仮リンク|", 1, false}, {"ruby|", 1, false},
              {"ルビ|", 1, false}, {"読み仮名|", 1, false}, {"nowrap|", 1, true}};

static wb_status begin_template (page_t *p, const wb_pair_t *a) {
    const char *s = p->s + a->from + 2, *end = p->s + a->to - 2;
    size_t k = 0;
    while (k < sizeof spoken / sizeof spoken[0] && !begins (s, (size_t) (end - s), spoken[k].name)) k++;
    p->i = (size_t) a->to;
    if (k == sizeof spoken / sizeof spoken[0]) return WB_OK;
    const char *from = s, *to = NULL;
    for (int i = 0; i < spoken[k].argument && from != NULL; i++) {
        const char *bar = memchr (from, '|', (size_t) (end - from));
        from = bar != NULL ? bar + 1 : NULL;
    }
    if (from == NULL) return WB_OK;
    if (!spoken[k].last) to = memchr (from, '|', (size_t) (end - from));
    if (to == NULL) to = end;
    p->i = (size_t) (from - p->s);
    const stop_t stop = {(size_t) (to - p->s), (size_t) a->to};
    return wb_buf_put (&p->ends, &stop, sizeof stop);
}

/* ---- everything else -------------------------------------------------------------------------------------------- */

/* The pair that begins here, if it is closed. */
static wb_status take_pair (page_t *p, bool *taken) {
    const wb_pairs_t *all = &p->x->pairs;
    while (p->pair < all->len && (size_t) all->data[p->pair].from < p->i) p->pair++;
    *taken = p->pair < all->len && (size_t) all->data[p->pair].from == p->i && all->data[p->pair].to > 0;
    if (!*taken) return WB_OK;
    const wb_pair_t *a = &all->data[p->pair++];
    if (a->kind == WB_PAIR_LINK) return begin_link (p, a);
    if (a->kind == WB_PAIR_TEMPLATE) return begin_template (p, a);
    if (a->kind == WB_PAIR_VERBATIM) {
        const char *gt = memchr (p->s + a->from, '>', (size_t) (a->to - a->from));
        const char *end = p->s + a->to - strlen ("</nowiki>");
        if (gt != NULL && gt + 1 < end) WB_TRY (put (p, gt + 1, (size_t) (end - gt - 1)));
    }
    p->i = (size_t) a->to;
    return WB_OK;
}

/* <br> ends a line; other tags only go. */
static wb_status take_tag (page_t *p) {
    enum { LONGEST = 500 };
    const char *s = p->s + p->i;
    const size_t n = p->n - p->i < LONGEST ? p->n - p->i : LONGEST;
    const char *gt = n > 1 && (isalpha ((unsigned char) s[1]) || s[1] == '/') ? memchr (s, '>', n) : NULL;
    if (gt == NULL) {
        p->i++;
        return put (p, "<", 1);
    }
    p->i += (size_t) (gt - s) + 1;
    return begins (s + 1, n - 1, "br") ? end_line (p) : WB_OK;
}

static wb_status take (page_t *p) {
    const char *s = p->s + p->i;
    const size_t left = p->n - p->i;
    size_t k = 0;
    bool taken;
    WB_TRY (take_pair (p, &taken));
    if (taken || ends_link (p)) return WB_OK;
    switch (*s) {
    case '\n':
        WB_TRY (end_line (p));
        p->i++;
        begin_line (p);
        return WB_OK;
    case '\'':
        while (k < left && s[k] == '\'') k++;
        p->i += k;
        return k == 1 ? put (p, "'", 1) : WB_OK;
    case '&':
        WB_TRY (wb_html_reference (p->line, &k, s, left));
        p->i += k;
        return WB_OK;
    case '<': return take_tag (p);
    case '[': return take_address (p);
    case '_':
        if (left > 4 && s[1] == '_' && isupper ((unsigned char) s[2])) {
            for (k = 2; k < left && k < 40 && isupper ((unsigned char) s[k]);) k++;
            if (k + 1 < left && s[k] == '_' && s[k + 1] == '_') {
                p->i += k + 2;
                return WB_OK;
            }
        }
        break;
    case ']':
    case '{':
    case '}':
        if (left > 1 && s[1] == *s) { /* marks that are not paired */
            p->i += 2;
            return WB_OK;
        }
        break;
    default: break;
    }
    p->i++;
    return put (p, s, 1);
}

/* Text without marks, in one go. */
static wb_status take_plain (page_t *p) {
    static const bool mark[256] = {
        ['\n'] = true, ['\''] = true, ['&'] = true, ['<'] = true, ['['] = true, ['_'] = true,
        [']'] = true,  ['{'] = true,  ['}'] = true, ['|'] = true, [')'] = true, [0xef] = true};
    const char *s = p->s;
    size_t i = p->i;
    while (i < p->n && !mark[(unsigned char) s[i]]) i++;
    const size_t n = i - p->i;
    if (n > 0) WB_TRY (put (p, s + p->i, n));
    p->i = i;
    if (i < p->n && (unsigned char) s[i] == 0xef && p->n - i >= 3) {
        p->i += 3;
        return put (p, s + i, 3);
    }
    return p->i < p->n ? take (p) : WB_OK;
}

static bool is_redirect (const char *s, size_t n) {
    while (n > 0 && isspace ((unsigned char) *s)) s++, n--;
    return begins (s, n, "#redirect") || begins (s, n, "#転送") || begins (s, n, "＃転送");
}

wb_status wb_form_wiki (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s, size_t n) {
    *got = !is_redirect (s, n);
    if (!*got) {
        wb_refuse (c, "", "a redirect");
        return WB_OK;
    }
    page_t p = {.x = x, .out = &d->text, .line = &x->scratch, .s = s, .n = n};
    wb_buf_clear (p.line);
    wb_status status = wb_buf_reserve (p.out, n);
    if (status == WB_OK) status = wb_pairs_find (&x->pairs, s, n);
    if (status == WB_OK) begin_line (&p);
    while (p.i < n && status == WB_OK) status = take_plain (&p);
    if (status == WB_OK) status = end_line (&p);
    if (status == WB_OK) drop_headings (&p, 0);
    wb_buf_fini (&p.ends);
    wb_buf_fini (&p.levels);
    return status != WB_OK ? status : wb_buf_put (p.out, "", 0);
}
