/* JSON objects over any number of lines: one, several, or lists of them, one record each, as a .json file has them.
 *
 * Only braces, brackets and strings are looked at here; what is in an object is seen when it becomes a document.
 * Memory: one object.
 *
 * Not done here: texts deeper in an object. */
#include "config.h"

#include <string.h>

#include "corpus/charset.h"
#include "corpus/containers.h"
#include "corpus/values.h"
#include "tokenizer/utf8.h"

/* On the way through an object. */
typedef struct scan {
    int64_t depth;
    bool text, escape; /* in a string, after a backslash in it */
} scan_t;

/* Go on through s [n]; returns how many bytes are done with: all, or up to the end of the object or string, which is
 * there where *end is true. */
static size_t scan (scan_t *x, const char *s, size_t n, bool *end) {
    *end = false;
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (x->escape)
            x->escape = false;
        else if (x->text)
            x->text = c != '"', x->escape = c == '\\';
        else if (c == '"')
            x->text = true;
        else if (c == '{' || c == '[')
            x->depth++;
        else if (c == '}' || c == ']')
            x->depth--;
        if (x->depth > 0 || x->text) continue;
        *end = true;
        return i + 1;
    }
    return n;
}

static size_t blanks (const char *s, size_t n) {
    size_t i = 0;
    while (i < n && (s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r'))) i++;
    return i;
}

/* ---- is it that? ------------------------------------------------------------------------------------------------- */

/* `{"key":`, with blanks. */
static bool begins_object (const char *s, size_t n) {
    if (n == 0 || s[0] != '{') return false;
    scan_t x = {0};
    bool end;
    size_t i = 1 + blanks (s + 1, n - 1);
    if (i == n || s[i] != '"') return false;
    i += scan (&x, s + i, n - i, &end);
    i += blanks (s + i, n - i);
    return i < n && s[i] == ':';
}

bool wb_values_begin (const char *s, size_t n, bool named, size_t *first) {
    size_t at = wb_bom (s, n), unused;
    if (first == NULL) first = &unused;
    at += blanks (s + at, n - at);
    *first = n;
    if (at == n || (s[at] != '{' && s[at] != '[')) return false;
    if (s[at] == '{') {
        *first = at;
        return named || begins_object (s + at, n - at);
    }
    while (at < n && s[at] == '[') at++, at += blanks (s + at, n - at);
    if (at < n && s[at] == '{') *first = at;
    return named || begins_object (s + at, n - at);
}

bool wb_values_have_key (const char *s, size_t n, const char *key) {
    const size_t k = strlen (key);
    bool end;
    if (n == 0 || s[0] != '{') return false;
    scan_t all = {0};
    n = scan (&all, s, n, &end);
    for (size_t i = 1; i < n;) {
        scan_t x = {0};
        i += blanks (s + i, n - i);
        const size_t from = i;
        if (i == n || s[i] != '"') return false;
        i += scan (&x, s + i, n - i, &end);
        const bool same = end && i - from == k + 2 && memcmp (s + from + 1, key, k) == 0;
        i += blanks (s + i, n - i);
        if (i == n || s[i] != ':') return false;
        if (same) return true;
        x = (scan_t){0};
        for (i++; i < n && (x.depth > 0 || x.text || (s[i] != ',' && s[i] != '}'));) i += scan (&x, s + i, 1, &end);
        i++;
    }
    return false;
}

/* ---- the container ----------------------------------------------------------------------------------------------- */

typedef struct values {
    int64_t number; /* of the next object, from 1 */
    bool told;      /* of what is no object */
} values_t;

static bool values_is (const wb_reader_t *r) {
    if (r->c->o.form == WB_FORM_TEXT) return false;
    return wb_values_begin (wb_reader_bytes (r), wb_reader_have (r), wb_reader_named (r, ".json"), NULL);
}

static wb_status values_open (wb_level_t *l) {
    values_t *v = l->state = wb_calloc (1, sizeof *v);
    if (v == NULL) return WB_NOMEM ("reading %s", l->r->name);
    v->number = 1;
    wb_reader_take (l->r, wb_bom (wb_reader_bytes (l->r), wb_reader_have (l->r)));
    return WB_OK;
}

static void values_close (wb_level_t *l) { wb_free (l->state); }

/* To the next object: between them are commas and brackets, and what is none is told of once. */
static wb_status find_object (wb_reader_t *r, values_t *v, bool *found) {
    scan_t x = {0};
    for (*found = false;;) {
        WB_TRY (wb_reader_peek (r, 1));
        const char *s = wb_reader_bytes (r);
        const size_t n = wb_reader_have (r);
        size_t i = 0;
        bool other = false, end;
        while (i < n && !(s[i] == '{' && !x.text)) {
            other = other || (!x.text && strchr ("[], \t\r\n\v\f", s[i]) == NULL) || x.text;
            if (x.text || s[i] == '"')
                i += scan (&x, s + i, 1, &end);
            else
                i++;
        }
        if (other && !v->told) {
            v->told = true;
            wb_reading_skip (r->c, "no text field", r->name, "JSON that is no object, before object %lld",
                             (long long) v->number);
        }
        wb_reader_take (r, i);
        *found = i < n;
        if (i < n || r->end || r->gap) return WB_OK;
    }
}

/* Have the object that begins here: *n bytes.  *n = 0: it is too long, or not there to its end, which has been told. */
static wb_status have_object (wb_reader_t *r, values_t *v, size_t *n) {
    const size_t max = (size_t) r->c->o.max_bytes;
    bool end = false, told = false;
    scan_t x = {0};
    for (*n = 0; !end;) {
        if (wb_reader_have (r) == *n) WB_TRY (wb_reader_peek (r, *n + 1));
        const size_t have = wb_reader_have (r);
        if (have == *n) break;
        *n += scan (&x, wb_reader_bytes (r) + *n, have - *n, &end);
        if (*n <= max && !told) continue;
        if (!told)
            wb_reading_skip (r->c, "too long", r->name, "object %lld: more than %lld bytes", (long long) v->number,
                             (long long) max);
        told = true;
        wb_reader_take (r, *n);
        *n = 0;
    }
    if (end) return WB_OK;
    if (!r->broken && !told)
        wb_reading_skip (r->c, "truncated", r->name, "it breaks off in object %lld", (long long) v->number);
    wb_reader_take (r, wb_reader_have (r));
    *n = 0;
    return WB_OK;
}

static wb_status values_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    wb_reader_t *r = l->r;
    values_t *v = l->state;
    (void) inner;
    for (*step = WB_STEP_END;; v->number++) {
        bool found;
        size_t n;
        WB_TRY (find_object (r, v, &found));
        if (!found) return WB_OK;
        WB_TRY (have_object (r, v, &n));
        if (n == 0) continue;
        char place[32];
        const int k = snprintf (place, sizeof place, ":%lld", (long long) v->number++);
        rec->form = WB_FORM_JSON;
        *step = WB_STEP_RECORD;
        wb_status status = wb_record_set (&rec->bytes, wb_reader_bytes (r), n);
        if (status == WB_OK) status = wb_buf_put (&rec->name, place, (size_t) k);
        wb_reader_take (r, n);
        return status;
    }
}

const wb_container_t wb_container_values = {"JSON", values_is, values_open, values_next, values_close, false};
