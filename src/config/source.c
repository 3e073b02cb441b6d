/* The text that libconfig parses: all files of a configuration in one, safe to be given to it.
 *
 * libconfig 1.5 reads whole numbers without L as 32 bits and lets them wrap, reads an included directory by ending the
 * process, and names no place where an include fails.  So this walk over the tokens comes first: it writes every whole
 * number in a form that is read as 64 bits, puts included files in the place of their @include, drops comments, and
 * remembers for each line where it came from.  libconfig never opens a file.
 *
 * Not here: what the tokens mean, or whether they make sense (libconfig, parse.c). */
#include "config.h"

#include "config/source.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 10 };

/* A file being walked over. */
typedef struct walk {
    wb_source_t *out;
    const struct walk *outer; /* the file that includes this one */
    const char *path, *p, *end, *line_start;
    int file, line, depth;
    char where[WB_SOURCE_WHERE];
} walk_t;

static const char *here (walk_t *w) {
    if (w->out->one_line)
        snprintf (w->where, sizeof w->where, "%.480s", w->path);
    else
        snprintf (w->where, sizeof w->where, "%.480s:%d", w->path, w->line);
    return w->where;
}

static wb_status emit (walk_t *w, const char *s, size_t n) { return wb_buf_put (&w->out->text, s, n); }

/* The output's next line comes from the line the walk is at. */
static wb_status begin_line (walk_t *w) {
    const wb_source_line_t at = {w->file, w->line};
    return wb_buf_put (&w->out->lines, &at, sizeof at);
}

/* At a line feed of the input. */
static wb_status next_line (walk_t *w) {
    w->p++;
    w->line++;
    w->line_start = w->p;
    WB_TRY (emit (w, "\n", 1));
    return begin_line (w);
}

static size_t left (const walk_t *w) { return (size_t) (w->end - w->p); }
static bool starts (const walk_t *w, const char *s) {
    return left (w) >= strlen (s) && memcmp (w->p, s, strlen (s)) == 0;
}

/* The quotation mark at `quote` in the string that begins at `where`; the first one stays. */
static void suspect_quote (wb_source_t *s, const char *where, const char *quote) {
    if (s->suspect[0] != 0) return;
    snprintf (s->where, sizeof s->where, "%s", where);
    snprintf (s->suspect, sizeof s->suspect, "%.*s", (int) wb_encoding_quote (quote, 4), quote);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void skip_line (walk_t *w) {
    while (w->p < w->end && *w->p != '\n') w->p++;
}

static wb_status block_comment (walk_t *w) {
    here (w);
    WB_TRY (emit (w, " ", 1));
    for (w->p += 2; w->p < w->end; w->p++) {
        if (starts (w, "*/")) {
            w->p += 2;
            return WB_OK;
        }
        if (*w->p == '\n') {
            WB_TRY (next_line (w));
            w->p--;
        }
    }
    return WB_FAIL (WB_EUSAGE, "%s: the comment /* that begins here does not end: `*/` is missing", w->where);
}

/* A string goes through as it is.  One that goes on after the end of its line, with a quotation mark of another script
 * in it, was probably meant to end there: that is remembered for the case of a syntax error. */
static wb_status string (walk_t *w) {
    char begun[WB_SOURCE_WHERE];
    const char *quote = NULL;
    snprintf (begun, sizeof begun, "%s", here (w));
    WB_TRY (emit (w, w->p++, 1));
    while (w->p < w->end) {
        if (*w->p == '\n') {
            if (quote != NULL) suspect_quote (w->out, begun, quote);
            quote = NULL;
            WB_TRY (next_line (w));
            continue;
        }
        const size_t n = wb_encoding_quote (w->p, left (w));
        if (n > 0) quote = w->p;
        if (*w->p == '\\' && left (w) > 1 && w->p[1] != '\n')
            WB_TRY (emit (w, w->p++, 1));
        else if (*w->p == '"')
            return emit (w, w->p++, 1);
        WB_TRY (emit (w, w->p++, 1));
    }
    if (quote != NULL) suspect_quote (w->out, begun, quote);
    if (w->out->suspect[0] != 0) return wb_encoding_refuse (w->out->suspect, strlen (w->out->suspect), w->out->where);
    return WB_FAIL (WB_EUSAGE, "%s: the string that begins here does not end: a \" is missing", begun);
}

static wb_status name (walk_t *w) {
    const char *start = w->p;
    while (w->p < w->end && (isalnum ((unsigned char) *w->p) || strchr ("-_*", *w->p) != NULL)) w->p++;
    return emit (w, start, (size_t) (w->p - start));
}

static void skip_digits (walk_t *w) {
    while (w->p < w->end && isdigit ((unsigned char) *w->p)) w->p++;
}

/* Skips a fraction and an exponent; were there any? */
static bool skip_fraction (walk_t *w) {
    const char *start = w->p;
    if (w->p < w->end && *w->p == '.') {
        w->p++;
        skip_digits (w);
    }
    const char *e = w->p;
    if (left (w) > 1 && (*e == 'e' || *e == 'E')) {
        w->p += e[1] == '+' || e[1] == '-' ? 2 : 1;
        const char *digits = w->p;
        skip_digits (w);
        if (w->p == digits) w->p = e; /* libconfig will stumble over it */
    }
    return w->p > start;
}

/* A number, its digits from `digits`; whole ones are written anew, in decimal, with an L where 32 bits do not do. */
static wb_status number (walk_t *w) {
    const char *start = w->p;
    char copy[64], text[32];
    int base = 10;
    if (*w->p == '+' || *w->p == '-') w->p++;
    if (w->p == start && left (w) > 2 && *w->p == '0' && (w->p[1] == 'x' || w->p[1] == 'X') &&
        isxdigit ((unsigned char) w->p[2])) {
        base = 16;
        for (w->p += 2; w->p < w->end && isxdigit ((unsigned char) *w->p);) w->p++;
    } else {
        const char *digits = w->p;
        skip_digits (w);
        const bool whole = w->p > digits, fraction = skip_fraction (w);
        if (!whole && !(fraction && w->p > digits + 1)) {
            if (fraction) return WB_FAIL (WB_EUSAGE, "%s: a point without digits is not a number", here (w));
            w->p = start + 1; /* a sign */
            return emit (w, start, 1);
        }
        if (fraction) return emit (w, start, (size_t) (w->p - start));
    }
    const size_t n = (size_t) (w->p - start);
    for (int i = 0; i < 2 && w->p < w->end && *w->p == 'L'; i++) w->p++;
    snprintf (copy, sizeof copy, "%.*s", (int) (n < sizeof copy ? n : sizeof copy - 1), start);
    errno = 0;
    const long long x = strtoll (copy, NULL, base);
    if (errno != 0 || n >= sizeof copy)
        return WB_FAIL (WB_EUSAGE, "%s: %.60s does not fit into 64 bits", here (w), copy);
    snprintf (text, sizeof text, "%lld%s", x, x > INT32_MAX || x < INT32_MIN ? "L" : "");
    return emit (w, text, strlen (text));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static wb_status walk_file (wb_source_t *out, const walk_t *outer, const char *text, size_t bytes, const char *path);

/* An error of reading an included file is told with the place of its @include. */
static wb_status read_included (walk_t *w, char **text, size_t *bytes, const char *path) {
    const char *at = here (w);
    if (w->depth == MAX_DEPTH)
        return WB_FAIL (WB_EUSAGE, "%s: @include: files include each other more than %d deep", at, MAX_DEPTH);
    for (const walk_t *o = w; o != NULL; o = o->outer)
        if (strcmp (o->path, path) == 0) return WB_FAIL (WB_EUSAGE, "%s: @include: %s includes itself", at, path);
    if (!wb_file_exists (path)) return WB_FAIL (WB_EIO, "%s: @include: there is no file %s", at, path);
    if (wb_file_is_dir (path)) return WB_FAIL (WB_EIO, "%s: @include: %s is a directory", at, path);
    wb_status status = wb_file_read (text, bytes, path);
    if (status != WB_EIO) return status;
    char why[WB_ERROR_TEXT];
    snprintf (why, sizeof why, "%s", wb_error_get ()->text);
    wb_error_clear ();
    return WB_FAIL (WB_EIO, "%s: @include: %s", at, why);
}

/* @include "FILE" at the start of a line; anything else that begins with @ is left to libconfig. */
static wb_status include (walk_t *w, bool *done) {
    wb_buf_t path = {0};
    const char *p = w->p + strlen ("@include"), *start = p;
    while (p < w->end && (*p == ' ' || *p == '\t')) p++;
    *done = p > start && p < w->end && *p == '"';
    if (!*done) return WB_OK;
    wb_status status = wb_buf_put (&path, "", 0);
    for (p++; status == WB_OK && p < w->end && *p != '"' && *p != '\n'; p++) {
        if (*p == '\\' && w->end - p > 1 && p[1] != '\n') p++;
        status = wb_buf_put (&path, p, 1);
    }
    if (status == WB_OK && (p == w->end || *p != '"'))
        status = WB_FAIL (WB_EUSAGE, "%s: @include: the name of the file does not end: a \" is missing", here (w));
    char *text = NULL;
    size_t bytes = 0;
    if (status == WB_OK) status = read_included (w, &text, &bytes, path.data);
    if (status == WB_OK) {
        w->p = p + 1;
        status = walk_file (w->out, w, text, bytes, path.data);
    }
    wb_free (text);
    wb_buf_fini (&path);
    WB_TRY (status);
    WB_TRY (emit (w, "\n", 1)); /* what follows on the line comes from here again */
    return begin_line (w);
}

static bool at_line_start (const walk_t *w) {
    for (const char *p = w->line_start; p < w->p; p++)
        if (*p != ' ' && *p != '\t') return false;
    return true;
}

static wb_status token (walk_t *w) {
    const unsigned char c = (unsigned char) *w->p;
    if (c == '\n') return next_line (w);
    if (c == '#' || starts (w, "//")) {
        skip_line (w);
        return WB_OK;
    }
    if (starts (w, "/*")) return block_comment (w);
    if (c == '"') return string (w);
    if (c >= 0x80) return wb_encoding_refuse (w->p, left (w), here (w));
    if (isalpha (c) || c == '*') return name (w);
    if (isdigit (c) || c == '+' || c == '-' || c == '.') return number (w);
    if (starts (w, "@include") && at_line_start (w) && !w->out->one_line) {
        bool done;
        WB_TRY (include (w, &done));
        if (done) return WB_OK;
    }
    return emit (w, w->p++, 1);
}

static wb_status walk_file (wb_source_t *out, const walk_t *outer, const char *text, size_t bytes, const char *path) {
    walk_t w = {.out = out, .outer = outer, .path = path, .p = text, .end = text + bytes, .line = 1};
    w.depth = outer != NULL ? outer->depth + 1 : 0;
    WB_TRY (wb_encoding_check (text, bytes, path));
    w.p += wb_bom (text, bytes);
    w.line_start = w.p;
    char **files = wb_realloc (out->files, (size_t) (out->nfiles + 1) * sizeof *files);
    if (files == NULL) return WB_NOMEM ("the configuration");
    out->files = files;
    w.file = out->nfiles;
    if ((files[w.file] = wb_strdup (path)) == NULL) return WB_NOMEM ("the configuration");
    out->nfiles++;
    if (outer != NULL) WB_TRY (emit (&w, "\n", 1));
    WB_TRY (begin_line (&w));
    while (w.p < w.end) WB_TRY (token (&w));
    return WB_OK;
}

wb_status wb_source_read (wb_source_t *s, const char *text, size_t bytes, const char *path) {
    WB_TRY (wb_buf_reserve (&s->text, bytes + 1));
    return walk_file (s, NULL, text, bytes, path);
}

void wb_source_fini (wb_source_t *s) {
    for (int i = 0; i < s->nfiles; i++) wb_free (s->files[i]);
    wb_free (s->files);
    wb_buf_fini (&s->text);
    wb_buf_fini (&s->lines);
}

const char *wb_source_where (char buf[WB_SOURCE_WHERE], const wb_source_t *s, unsigned line) {
    const size_t n = s->lines.len / sizeof (wb_source_line_t);
    wb_source_line_t at;
    size_t i = line > 0 ? line - 1 : 0;
    if (i >= n) i = n - 1;
    memcpy (&at, s->lines.data + i * sizeof at, sizeof at);
    if (s->one_line)
        snprintf (buf, WB_SOURCE_WHERE, "%.480s", s->files[at.file]);
    else
        snprintf (buf, WB_SOURCE_WHERE, "%.480s:%d", s->files[at.file], at.line);
    return buf;
}
