/* Reading a line of metrics.jsonl.
 *
 * Runs have millions of lines, nearly all of one plain form: names and texts without escapes, numbers of at most 19
 * digits, objects and lists of these.  That form is read in one pass, a tenth of the time that building a tree takes. A
 * line of any other form, or broken, goes to jansson, whose judgement counts.
 *
 * A number m * 10^e with m up to 2^53 and e within 22 is exact as one product or quotient of doubles (Clinger, How to
 * read floating point numbers accurately, 1990); others go to jansson too.
 *
 * Not done here: what a record means (run_files.c). */
#include "config.h"

#include <string.h>

#include "report/record.h"
#include "wabun/json.h"

static void name_value (wb_record_t *r, const char *name, size_t n, double x) {
    if (r->n == WB_RECORD_VALUES) return;
    struct wb_record_value *v = &r->values[r->n++];
    if (n >= sizeof v->name) n = sizeof v->name - 1;
    memcpy (v->name, name, n);
    v->name[n] = 0;
    v->x = x;
}

/* ---- the plain form ---------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *at, *end;
    wb_record_t *r;
    char name[WB_RECORD_NAME]; /* of what is being read */
} reader_t;

static char next (reader_t *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r')) s->at++;
    return s->at < s->end ? *s->at : 0;
}
static bool take (reader_t *s, char c) {
    if (next (s) != c) return false;
    s->at++;
    return true;
}
static bool is_digit (const reader_t *s) { return s->at < s->end && *s->at >= '0' && *s->at <= '9'; }

/* Digits onto *m; how many, or -1: none, or too many for 64 bits. */
static int take_digits (reader_t *s, uint64_t *m) {
    const char *from = s->at;
    for (; is_digit (s); s->at++) {
        if (*m > (UINT64_MAX - 9) / 10) return -1;
        *m = *m * 10 + (uint64_t) (*s->at - '0');
    }
    return s->at > from ? (int) (s->at - from) : -1;
}

static bool take_exponent (reader_t *s, int *e) {
    uint64_t x = 0;
    if (s->at == s->end || (*s->at != 'e' && *s->at != 'E')) return true;
    s->at++;
    const bool minus = s->at < s->end && *s->at == '-';
    if (s->at < s->end && (*s->at == '-' || *s->at == '+')) s->at++;
    if (take_digits (s, &x) < 0 || x > 400) return false;
    *e += minus ? -(int) x : (int) x;
    return true;
}

static bool take_number (reader_t *s, double *x) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t m = 0;
    int e = 0;
    const bool minus = s->at < s->end && *s->at == '-';
    if (minus) s->at++;
    const bool zero = s->at < s->end && *s->at == '0';
    const int whole = take_digits (s, &m);
    if (whole < 0 || (zero && whole > 1)) return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        e = -take_digits (s, &m);
        if (e > 0) return false;
    }
    if (!take_exponent (s, &e) || m > (uint64_t) 1 << 53 || e < -22 || e > 22) return false;
    *x = e < 0 ? (double) m / tens[-e] : (double) m * tens[e];
    if (minus) *x = -*x;
    return true;
}

/* A text without escapes, in ASCII; *text is within the line. */
static bool take_text (reader_t *s, const char **text, size_t *n) {
    if (!take (s, '"')) return false;
    *text = s->at;
    while (s->at < s->end && *s->at != '"' && *s->at != '\\' && *s->at >= ' ' && *s->at < 127) s->at++;
    *n = (size_t) (s->at - *text);
    return s->at < s->end && *s->at++ == '"';
}

/* Nothing else of JSON is in a record; jansson takes it. */
static bool take_value (reader_t *s, size_t name, int depth);

static bool take_object (reader_t *s, size_t name, int depth) {
    const char *key;
    size_t n;
    if (!take (s, '{')) return false;
    if (take (s, '}')) return true;
    do {
        const size_t dot = name > 0;
        if (!take_text (s, &key, &n) || name + dot + n >= sizeof s->name || !take (s, ':')) return false;
        if (dot > 0) s->name[name] = '.';
        memcpy (s->name + name + dot, key, n);
        if (!take_value (s, name + dot + n, depth)) return false;
    } while (take (s, ','));
    return take (s, '}');
}

static bool take_list (reader_t *s, size_t name, int depth) {
    if (!take (s, '[')) return false;
    if (take (s, ']')) return true;
    for (int i = 0; i < 100; i++) {
        if (name + 3 >= sizeof s->name) return false;
        size_t n = name;
        s->name[n++] = '.';
        if (i >= 10) s->name[n++] = (char) ('0' + i / 10);
        s->name[n++] = (char) ('0' + i % 10);
        if (!take_value (s, n, depth)) return false;
        if (!take (s, ',')) return take (s, ']');
    }
    return false;
}

static bool take_value (reader_t *s, size_t name, int depth) {
    const char *text;
    size_t n;
    double x;
    const char c = next (s);
    if (c == '"') return take_text (s, &text, &n);
    if (c == '{') return depth < 4 && take_object (s, name, depth + 1);
    if (c == '[') return depth < 4 && take_list (s, name, depth + 1);
    if (!take_number (s, &x)) return false;
    name_value (s->r, s->name, name, x);
    return true;
}

/* ---- any form ---------------------------------------------------------------------------------------------------- */

static void walk (wb_record_t *r, const char *name, const json_t *v) {
    char below[WB_RECORD_NAME];
    const char *key;
    const json_t *x;
    size_t i;
    if (json_is_number (v)) name_value (r, name, strlen (name), json_number_value (v));
    json_object_foreach ((json_t *) (uintptr_t) v, key, x) {
        snprintf (below, sizeof below, "%s%s%s", name, name[0] != 0 ? "." : "", key);
        walk (r, below, x);
    }
    json_array_foreach (v, i, x) {
        snprintf (below, sizeof below, "%s.%zu", name, i);
        walk (r, below, x);
    }
}

bool wb_record_read_any (wb_record_t *r, const char *line, size_t n) {
    json_t *j = wb_json_load (line, n, 0, NULL);
    const bool is = json_is_object (j);
    r->n = 0;
    if (is) walk (r, "", j);
    json_decref (j);
    return is;
}

bool wb_record_read (wb_record_t *r, const char *line, size_t n) {
    reader_t s = {.at = line, .end = line + n, .r = r};
    r->n = 0;
    if (take_object (&s, 0, 0) && next (&s) == 0 && s.at == s.end) return true;
    return wb_record_read_any (r, line, n);
}

double wb_record_get (const wb_record_t *r, const char *name, double none) {
    for (int i = 0; i < r->n; i++)
        if (strcmp (r->values[i].name, name) == 0) return r->values[i].x;
    return none;
}
