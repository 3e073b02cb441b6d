/* Which marks of wikitext belong together: one pass with a stack of those that are open.
 *
 * A mark that closes one further down closes it, and those above it stay open: they are text.  Each mark is put on the
 * stack once and taken from it once.
 *
 * Not done here: what pairs mean (wiki.c). */
#include "config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "corpus/wiki.h"

/* Elements whose text goes with them, and the one whose text stays as it is. */
static const char *const elements[] = {"nowiki",   "ref",   "math",          "gallery",         "timeline",
                                       "imagemap", "score", "source",        "syntaxhighlight", "chem",
                                       "graph",    "hiero", "templatestyles"};
enum { ELEMENTS = sizeof elements / sizeof elements[0], OPENED = 3 };

typedef struct scan {
    wb_pairs_t *p;
    const char *s;
    size_t n, i;
    int64_t open[OPENED];                /* templates, tables, links on the stack */
    bool unending[ELEMENTS], no_comment; /* none ends any more */
} scan_t;

void wb_pairs_fini (wb_pairs_t *p) {
    wb_free (p->data);
    wb_free (p->open);
    *p = (wb_pairs_t){0};
}

static bool at (const scan_t *t, const char *what) {
    const size_t k = strlen (what);
    return t->n - t->i >= k && memcmp (t->s + t->i, what, k) == 0;
}

static wb_status put (scan_t *t, size_t to, wb_pair_kind kind) {
    wb_pairs_t *p = t->p;
    if (!WB_GROW (p->data, p->cap, p->len + 1)) return WB_NOMEM ("the marks of a page");
    p->data[p->len++] = (wb_pair_t){(int64_t) t->i, (int64_t) to, kind};
    return WB_OK;
}

static wb_status open (scan_t *t, size_t marks, wb_pair_kind kind) {
    wb_pairs_t *p = t->p;
    if (!WB_GROW (p->open, p->open_cap, p->nopen + 1)) return WB_NOMEM ("the marks of a page");
    p->open[p->nopen++] = p->len;
    t->open[kind]++;
    WB_TRY (put (t, 0, kind));
    t->i += marks;
    return WB_OK;
}

static void close (scan_t *t, size_t marks, wb_pair_kind kind) {
    wb_pairs_t *p = t->p;
    t->i += marks;
    while (t->open[kind] > 0) {
        wb_pair_t *top = &p->data[p->open[--p->nopen]];
        t->open[top->kind]--;
        if (top->kind != kind) continue;
        top->to = (int64_t) t->i;
        return;
    }
}

/* Where </name> ends after i; 0: there is none. */
static size_t element_end (const scan_t *t, size_t i, const char *name) {
    const size_t k = strlen (name);
    for (const char *p = t->s + i, *end = t->s + t->n; (p = memchr (p, '<', (size_t) (end - p))) != NULL; p++) {
        if ((size_t) (end - p) < k + 3) return 0;
        if (p[1] != '/' || strncasecmp (p + 2, name, k) != 0) continue;
        const char *gt = memchr (p, '>', (size_t) (end - p));
        return gt != NULL ? (size_t) (gt - t->s) + 1 : 0;
    }
    return 0;
}

/* At a <. */
static wb_status take_element (scan_t *t) {
    enum { TAG = 1000 };
    const char *s = t->s + t->i;
    const size_t left = t->n - t->i;
    if (at (t, "<!--") && !t->no_comment) {
        const char *end = memmem (s + 4, left - 4, "-->", 3);
        if (end != NULL) {
            WB_TRY (put (t, (size_t) (end - t->s) + 3, WB_PAIR_DROPPED));
            t->i = (size_t) (end - t->s) + 3;
            return WB_OK;
        }
        t->no_comment = true;
    }
    int e = 0;
    size_t k = 0;
    for (; e < ELEMENTS; e++) {
        k = strlen (elements[e]);
        if (left > k + 1 && strncasecmp (s + 1, elements[e], k) == 0 && !isalpha ((unsigned char) s[k + 1])) break;
    }
    const char *gt = e < ELEMENTS ? memchr (s, '>', left < TAG ? left : TAG) : NULL;
    if (gt == NULL) {
        t->i++;
        return WB_OK;
    }
    const size_t begin = (size_t) (gt - t->s) + 1;
    size_t end = gt[-1] == '/' ? begin : t->unending[e] ? 0 : element_end (t, begin, elements[e]);
    if (end == 0) {
        t->unending[e] = true;
        end = begin;
    }
    WB_TRY (put (t, end, e == 0 ? WB_PAIR_VERBATIM : WB_PAIR_DROPPED));
    t->i = end;
    return WB_OK;
}

/* Only blanks and marks of lists are before it on its line. */
static bool begins_line (const scan_t *t) {
    enum { INDENT = 20 };
    size_t i = t->i;
    while (i > 0 && t->i - i < INDENT && (t->s[i - 1] == ' ' || t->s[i - 1] == ':' || t->s[i - 1] == '*')) i--;
    return i == 0 || t->s[i - 1] == '\n';
}

static wb_status take (scan_t *t) {
    const char c = t->s[t->i];
    if (c == '<') return take_element (t);
    if (at (t, "{{{") && !at (t, "{{{{")) return open (t, 3, WB_PAIR_TEMPLATE);
    if (at (t, "{{")) return open (t, 2, WB_PAIR_TEMPLATE);
    if (at (t, "{|") && begins_line (t)) return open (t, 2, WB_PAIR_TABLE);
    if (at (t, "[[")) return open (t, 2, WB_PAIR_LINK);
    wb_pairs_t *p = t->p;
    const wb_pair_t *top = p->nopen > 0 ? &p->data[p->open[p->nopen - 1]] : NULL;
    const bool parameter = top != NULL && memcmp (t->s + top->from, "{{{", 3) == 0 && t->s[top->from + 3] != '{';
    if (at (t, "}}}") && parameter)
        close (t, 3, WB_PAIR_TEMPLATE);
    else if (at (t, "}}"))
        close (t, 2, WB_PAIR_TEMPLATE);
    else if (at (t, "|}") && !at (t, "|}}") && begins_line (t))
        close (t, 2, WB_PAIR_TABLE);
    else if (at (t, "]]"))
        close (t, 2, WB_PAIR_LINK);
    else
        t->i++;
    return WB_OK;
}

wb_status wb_pairs_find (wb_pairs_t *p, const char *s, size_t n) {
    scan_t t = {.p = p, .s = s, .n = n};
    p->len = p->nopen = 0;
    while (t.i < n) {
        const char c = s[t.i];
        if (c == '<' || c == '{' || c == '}' || c == '[' || c == ']' || c == '|')
            WB_TRY (take (&t));
        else
            t.i++;
    }
    return WB_OK;
}
