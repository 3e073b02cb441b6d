/* Lines of JSON, one record each; what a line holds is looked at when it becomes a document.
 *
 * Not done here: objects that go over several lines (values.c). */
#include "config.h"

#include <string.h>

#include "corpus/containers.h"
#include "corpus/jsonl.h"
#include "corpus/values.h"

enum { FIRST = 1 << 16 }; /* bytes of a first line that is believed */

/* Is the first line, or its beginning, an object?  Where the user says that it is JSON, it need not be a good one; any
 * other form is that of the texts in the lines. */
static bool lines_is (const wb_reader_t *r) {
    const bool said = r->c->o.form == WB_FORM_JSON;
    if (r->c->o.form == WB_FORM_TEXT) return false;
    if (wb_reader_named (r, ".jsonl") || wb_reader_named (r, ".ndjson")) return true;
    const char *s = wb_reader_bytes (r);
    size_t n = wb_reader_have (r), mark = wb_bom (s, n);
    const char *end = memchr (s, '\n', n);
    const size_t line = wb_jsonl_trim (s, end != NULL ? (size_t) (end - s) : n);
    const bool goes_on = line > 0 && strchr ("{[,:", s[line - 1]) != NULL;
    if (said && !(goes_on && wb_values_begin (s, n, true, NULL))) return true;
    s += mark, n -= mark;
    if (n == 0 || s[0] != '{') return false;
    if (end == NULL && n >= FIRST) return n > 1 && (s[1] == '"' || s[1] == ' ');
    wb_jsonl_complaint_t unused;
    json_t *object = wb_jsonl_parse (s, line - mark, true, &unused);
    const bool is_object = json_is_object (object);
    json_decref (object);
    return is_object;
}

/* The number of the next line, from 1. */
typedef struct lines {
    int64_t number;
} lines_t;

static wb_status lines_open (wb_level_t *l) {
    lines_t *s = l->state = wb_calloc (1, sizeof *s);
    if (s == NULL) return WB_NOMEM ("reading %s", l->r->name);
    s->number = 1;
    WB_TRY (wb_reader_peek (l->r, 3));
    wb_reader_take (l->r, wb_bom (wb_reader_bytes (l->r), wb_reader_have (l->r)));
    return WB_OK;
}

static void lines_close (wb_level_t *l) { wb_free (l->state); }

/* Leave the rest of a line that is too long. */
static wb_status skip_line (wb_reader_t *r) {
    for (;;) {
        WB_TRY (wb_reader_peek (r, 1));
        const size_t n = wb_reader_have (r);
        if (n == 0) return WB_OK;
        const char *s = wb_reader_bytes (r), *end = memchr (s, '\n', n);
        wb_reader_take (r, end != NULL ? (size_t) (end - s) + 1 : n);
        if (end != NULL) return WB_OK;
    }
}

/* Have a whole line: *n bytes, with its end.  *n = 0: none, it is too long, lost, or there are no more. */
static wb_status have_line (wb_reader_t *r, size_t *n, size_t max) {
    for (size_t searched = 0;;) {
        WB_TRY (wb_reader_peek (r, searched + 1));
        const char *s = wb_reader_bytes (r);
        const size_t have = wb_reader_have (r);
        const char *end = have > searched ? memchr (s + searched, '\n', have - searched) : NULL;
        *n = end != NULL ? (size_t) (end - s) + 1 : have;
        if (end == NULL && (r->gap || (r->end && r->broken))) {
            wb_reader_take (r, have);
            wb_reader_resume (r);
            *n = 0;
            return r->end ? WB_OK : skip_line (r); /* it begins within a line */
        }
        if (*n > max) *n = 0;
        if (end != NULL || have > max || r->end) return WB_OK;
        searched = have;
    }
}

static wb_status lines_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    wb_reader_t *r = l->r;
    lines_t *lines = l->state;
    (void) inner;
    for (;;) {
        WB_TRY (wb_reader_peek (r, 1));
        *step = WB_STEP_END;
        if (wb_reader_have (r) == 0 && r->end) return WB_OK;
        const int64_t number = lines->number++;
        size_t n;
        WB_TRY (have_line (r, &n, (size_t) r->c->o.max_bytes));
        if (n == 0 && wb_reader_have (r) > (size_t) r->c->o.max_bytes) {
            wb_reading_skip (r->c, "too long", r->name, "line %lld: more than %lld bytes", (long long) number,
                             (long long) r->c->o.max_bytes);
            WB_TRY (skip_line (r));
        }
        const size_t text = n > 0 ? wb_jsonl_trim (wb_reader_bytes (r), n) : 0;
        wb_status status = WB_OK;
        if (text > 0) {
            char place[32];
            const int k = snprintf (place, sizeof place, ":%lld", (long long) number);
            rec->form = WB_FORM_JSON;
            *step = WB_STEP_RECORD;
            status = wb_record_set (&rec->bytes, wb_reader_bytes (r), text);
            if (status == WB_OK) status = wb_buf_put (&rec->name, place, (size_t) k);
        }
        wb_reader_take (r, n);
        if (text > 0 || status != WB_OK) return status;
    }
}

const wb_container_t wb_container_lines = {"lines of JSON", lines_is, lines_open, lines_next, lines_close, false};
