/* What is none of the other containers: a text, which is one record, or several.
 *
 * A plain text has a document between lines that are exactly <|endoftext|>, as other programs write them.  A document
 * longer than max_text is cut after the first empty line behind a megabyte, or after any line behind two.  Markup
 * (HTML, wikitext) is one record, whatever its length.
 *
 * Memory: one document up to max_text.  Not done here: what the text is in (extract.c). */
#include "config.h"

#include <string.h>

#include "corpus/charset.h"
#include "corpus/containers.h"
#include "corpus/content.h"
#include "corpus/marks.h"

#define PIECE ((size_t) 1 << 20)
enum { START = 4096 };

typedef struct plain {
    bool markup, done, given;
    wb_wide_t unit;
    char charset[32]; /* as the beginning tells, for the pieces that do not tell it */
    int64_t number;   /* of the next document, from 1 */
    bool cuts;        /* the present one is longer than max_text */
} plain_t;

static bool plain_is (const wb_reader_t *r) {
    (void) r;
    return true;
}

/* Is it markup, by its first bytes?  Only ASCII matters for that. */
static wb_status find_form (wb_form *form, const char *s, size_t n, wb_charset c) {
    wb_buf_t text = {0};
    int64_t stray = 0;
    wb_status status = WB_OK;
    const bool wide = wb_charset_wide (c).bytes > 1;
    if (wide) status = wb_charset_convert (&text, &stray, wb_charset_name (c), s, n);
    if (status == WB_OK) *form = wide ? wb_content_form (text.data, text.len) : wb_content_form (s, n);
    wb_buf_fini (&text);
    return status;
}

static wb_status plain_open (wb_level_t *l) {
    wb_reader_t *r = l->r;
    plain_t *p = l->state = wb_calloc (1, sizeof *p);
    if (p == NULL) return WB_NOMEM ("reading %s", r->name);
    const char *s = wb_reader_bytes (r);
    const size_t n = wb_reader_have (r);
    const wb_charset c = wb_charset_guess (s, n, NULL);
    const int binary = wb_content_binary (s, n);
    wb_form form = r->c->o.form;
    p->unit = wb_charset_wide (c);
    if (form == WB_FORM_AUTO) WB_TRY (find_form (&form, s, n < START ? n : START, c));
    p->done = binary > 0;
    p->markup = form == WB_FORM_HTML || form == WB_FORM_WIKI;
    p->number = 1;
    if (c != WB_CHARSET_UTF8 && c != WB_CHARSET_UNKNOWN)
        snprintf (p->charset, sizeof p->charset, "%s", wb_charset_name (c));
    if (p->done) wb_reading_skip (r->c, "not text", r->name, "%s", wb_content_name (binary));
    return WB_OK;
}

static void plain_close (wb_level_t *l) { wb_free (l->state); }

/* Where the next document ends, and how many bytes there are until the one after it. */
typedef struct cut {
    size_t end, next;
    bool last; /* there is no more: neither end nor mark came before */
} cut_t;

/* The first line end of the layer from `from` on, *end bytes from here; none within max bytes: *end = 0. */
static wb_status find_line (wb_reader_t *r, size_t *end, wb_wide_t unit, size_t from, size_t max) {
    for (size_t searched = from;;) {
        const size_t have = wb_reader_have (r);
        *end = wb_line_end (wb_reader_bytes (r), searched, have, unit);
        if (*end > 0 || have > max || r->end || r->gap) return WB_OK;
        searched = have - have % (size_t) unit.bytes;
        WB_TRY (wb_reader_peek (r, have + 1));
    }
}

/* Is all of it blank? */
static bool is_blank (const char *s, size_t n) {
    while (n > 0 && (s[n - 1] == 0 || s[n - 1] == ' ' || (s[n - 1] >= '\t' && s[n - 1] <= '\r'))) n--;
    return n == 0;
}

/* Leave a line that is too long. */
static wb_status skip_line (wb_reader_t *r, wb_wide_t unit, size_t max) {
    wb_reading_skip (r->c, "too long", r->name, "a line of more than %lld bytes", (long long) max);
    for (;;) {
        size_t end;
        WB_TRY (find_line (r, &end, unit, 0, PIECE));
        const size_t have = wb_reader_have (r), whole = have - have % (size_t) unit.bytes;
        const bool last = end == 0 && (r->end || r->gap);
        wb_reader_take (r, end > 0 ? end : last ? have : whole);
        if (end > 0 || last) return WB_OK;
    }
}

/* Where the document ends that begins here. */
static wb_status find_end (wb_reader_t *r, plain_t *p, cut_t *c) {
    const size_t max = (size_t) r->c->o.max_bytes;
    const size_t whole = r->c->o.max_text < r->c->o.max_bytes ? (size_t) r->c->o.max_text : max;
    const size_t piece = PIECE < whole / 4 ? PIECE : whole / 4;
    for (size_t line = 0, end;; line = end) {
        WB_TRY (find_line (r, &end, p->unit, line, max));
        const char *s = wb_reader_bytes (r);
        const size_t have = wb_reader_have (r), to = end > 0 ? end : have;
        const bool last = end == 0 && have <= max;
        *c = (cut_t){line, line, last};
        if ((end > 0 || last) && wb_line_is_mark (s + line, to - line, p->unit)) {
            *c = (cut_t){line, to, false};
            return WB_OK;
        }
        if (end == 0 || end > max) return WB_OK;
        if (!p->cuts && end > whole) { /* too long for one: from its beginning, in pieces */
            p->cuts = true;
            end = 0;
            continue;
        }
        *c = (cut_t){end, end, false};
        if (p->cuts && (end >= 2 * piece || (end >= piece && is_blank (s + line, end - line)))) return WB_OK;
    }
}

/* A record of the next n bytes. */
static wb_status give (wb_reader_t *r, plain_t *p, wb_record_t *rec, size_t n, bool only) {
    p->given = true;
    rec->form = r->c->o.form;
    if (!only) {
        char place[32];
        const int k = snprintf (place, sizeof place, ":%lld", (long long) p->number);
        WB_TRY (wb_buf_put (&rec->name, place, (size_t) k));
        memcpy (rec->charset, p->charset, sizeof rec->charset);
    }
    return wb_record_set (&rec->bytes, wb_reader_bytes (r), n);
}

/* All that is left of the layer as one record. */
static wb_status give_rest (wb_reader_t *r, plain_t *p, wb_step *step, wb_record_t *rec) {
    const size_t max = (size_t) r->c->o.max_bytes;
    WB_TRY (wb_reader_peek (r, max + 1));
    const size_t n = wb_reader_have (r);
    p->done = true;
    if (r->broken) return WB_OK;
    if (n > max) {
        wb_reading_skip (r->c, "too long", r->name, "more than %lld bytes", (long long) max);
        return WB_OK;
    }
    if (p->given && is_blank (wb_reader_bytes (r), n)) return WB_OK;
    *step = WB_STEP_RECORD;
    return give (r, p, rec, n, p->number == 1);
}

static wb_status plain_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    wb_reader_t *r = l->r;
    plain_t *p = l->state;
    const size_t max = (size_t) r->c->o.max_bytes;
    (void) inner;
    for (*step = WB_STEP_END; !p->done;) {
        cut_t c = {.last = true};
        if (!p->markup) WB_TRY (find_end (r, p, &c));
        if (c.last) return give_rest (r, p, step, rec);
        const bool marked = c.next > c.end;
        if (c.end == 0 && !marked) {
            WB_TRY (skip_line (r, p->unit, max));
            p->number++;
            p->given = p->cuts = true;
            continue;
        }
        wb_status status = WB_OK;
        if (!is_blank (wb_reader_bytes (r), c.end)) {
            *step = WB_STEP_RECORD;
            status = give (r, p, rec, c.end, false);
        }
        p->number++;
        if (marked) p->cuts = false;
        wb_reader_take (r, c.next);
        if (status != WB_OK || *step == WB_STEP_RECORD) return status;
    }
    return WB_OK;
}

const wb_container_t wb_container_plain = {"a file", plain_is, plain_open, plain_next, plain_close, false};
