/* WARC and WET: what crawlers write.  ISO 28500; https://iipc.github.io/warc-specifications/
 *
 * Pages are in `response` records (an answer by HTTP), `resource` records (a file) and `conversion` records (its text,
 * WET).  What is no text, and answers other than 200, are told as skipped; requests, metadata and the like are not.
 * After bytes that are lost, or that make no sense, the next record is looked for.
 *
 * Not done here: revisit records, whose page is elsewhere; records in segments. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "corpus/containers.h"
#include "corpus/content.h"
#include "corpus/http.h"

#define HEADERS ((size_t) 1 << 16) /* bytes of a record's header, and of an answer's */

typedef struct warc {
    wb_buf_t spare;
} warc_t;

/* A record's header. */
typedef struct header {
    size_t bytes;
    int64_t length; /* of what follows; -1: not said */
    char kind[16];
    const char *uri; /* in the layer's bytes */
    size_t uri_bytes;
    wb_http_t http; /* its Content-Type */
} header_t;

static bool warc_is (const wb_reader_t *r) {
    const char *s = wb_reader_bytes (r);
    return wb_reader_have (r) >= 12 && memcmp (s, "WARC/", 5) == 0 && s[5] >= '0' && s[5] <= '9';
}

static wb_status warc_open (wb_level_t *l) {
    l->state = wb_calloc (1, sizeof (warc_t));
    return l->state != NULL ? WB_OK : WB_NOMEM ("reading %s", l->r->name);
}

static void warc_close (wb_level_t *l) {
    warc_t *w = l->state;
    if (w != NULL) wb_buf_fini (&w->spare);
    wb_free (w);
}

/* Where the header s [n] ends; 0: not in there. */
static size_t header_end (const char *s, size_t n) {
    const char *a = memmem (s, n < HEADERS ? n : HEADERS, "\r\n\r\n", 4);
    const char *b = memmem (s, a != NULL ? (size_t) (a - s) : n < HEADERS ? n : HEADERS, "\n\n", 2);
    return b != NULL ? (size_t) (b - s) + 2 : a != NULL ? (size_t) (a - s) + 4 : 0;
}

static void parse (header_t *h, const char *s) {
    for (const char *p = s, *end = s + h->bytes; p < end;) {
        const char *eol = memchr (p, '\n', (size_t) (end - p)), *value;
        const size_t bytes = (size_t) (eol - p); /* there is one */
        size_t n;
        if (wb_http_field (p, bytes, "WARC-Type", &value, &n))
            snprintf (h->kind, sizeof h->kind, "%.*s", (int) (n < 15 ? n : 15), value);
        else if (wb_http_field (p, bytes, "Content-Length", &value, &n) && n > 0 && n < 18)
            h->length = strtoll (value, NULL, 10);
        else if (wb_http_field (p, bytes, "Content-Type", &value, &n))
            wb_http_type (&h->http, value, n);
        else if (wb_http_field (p, bytes, "WARC-Target-URI", &value, &n)) {
            const bool angles = n > 2 && value[0] == '<' && value[n - 1] == '>';
            h->uri = value + angles;
            h->uri_bytes = n - 2 * (size_t) angles;
        }
        p = eol + 1;
    }
}

/* To the beginning of the next record; nothing is left: there is none. */
static wb_status find_record (wb_reader_t *r, bool complain) {
    for (;;) {
        WB_TRY (wb_reader_peek (r, 12));
        const size_t n = wb_reader_have (r);
        if (n < 12) {
            wb_reader_take (r, n);
            if (r->end) return WB_OK;
            wb_reader_resume (r);
            continue;
        }
        if (warc_is (r)) return WB_OK;
        const char *s = wb_reader_bytes (r), *p = memmem (s + 1, n - 1, "WARC/", 5);
        size_t blank = 0;
        while (blank < n && (s[blank] == '\r' || s[blank] == '\n')) blank++;
        if (blank == 0 && complain)
            wb_reading_skip (r->c, "broken", r->name, "bytes that are no record, before byte %lld of the text",
                             (long long) r->out);
        if (blank == 0) complain = false;
        wb_reader_take (r, blank > 0 ? blank : p != NULL ? (size_t) (p - s) : n - 5);
    }
}

/* "http://host:80/path" is of "host". */
static void host_of (const char **host, size_t *n, const char *uri, size_t bytes) {
    const char *s = memmem (uri, bytes, "://", 3), *end = uri + bytes;
    s = s != NULL ? s + 3 : uri;
    const char *p = s;
    while (p < end && *p != '/' && *p != '?' && *p != '#') {
        if (*p == '@') s = p + 1;
        p++;
    }
    const char *colon = memchr (s, ':', (size_t) (p - s));
    *host = s;
    *n = (size_t) ((colon != NULL ? colon : p) - s);
}

/* The page in a record's block, s [n], into rec; *got = false: it has been told why not. */
static wb_status take_page (wb_level_t *l, wb_record_t *rec, bool *got, const header_t *h, const char *s, size_t n) {
    warc_t *w = l->state;
    wb_reading_t *c = l->r->c;
    const bool answer = strcmp (h->kind, "response") == 0, text = strcmp (h->kind, "conversion") == 0;
    wb_http_t http = h->http;
    const char *name = rec->name.data, *fault = NULL;
    *got = false;
    if (answer) wb_http_parse (&http, s, n);
    const bool html = strcmp (http.type, "text/html") == 0 || strcmp (http.type, "application/xhtml+xml") == 0;
    if (answer && http.status != 200)
        wb_reading_skip (c, "not 200", name, "status %d", http.status);
    else if (!html && strcmp (http.type, "text/plain") != 0 && http.type[0] != 0)
        wb_reading_skip (c, "not text", name, "%s", http.type);
    else {
        WB_TRY (wb_http_body (&rec->bytes, &fault, &w->spare, &http, s, n, (size_t) c->o.max_bytes));
        if (fault == NULL) fault = wb_content_name (wb_content_binary (rec->bytes.data, rec->bytes.len));
        if (fault != NULL) wb_reading_skip (c, "not text", name, "%s", fault);
        *got = fault == NULL;
    }
    const bool said = c->o.form != WB_FORM_AUTO && c->o.form != WB_FORM_JSON;
    rec->form = said ? c->o.form : html ? WB_FORM_HTML : text ? WB_FORM_TEXT : WB_FORM_AUTO;
    snprintf (rec->charset, sizeof rec->charset, "%s", text && http.charset[0] == 0 ? "utf-8" : http.charset);
    return WB_OK;
}

/* Is it a page, and not what a crawler says of itself? */
static bool is_page (const header_t *h) {
    const bool web = h->uri_bytes > 4 && (strncasecmp (h->uri, "http", 4) == 0 || strncasecmp (h->uri, "file", 4) == 0);
    const bool robots = h->uri_bytes > 11 && memcmp (h->uri + h->uri_bytes - 11, "/robots.txt", 11) == 0;
    if (!web || robots) return false;
    if (strcmp (h->kind, "response") == 0) return strcmp (h->http.type, "application/http") == 0;
    return strcmp (h->kind, "conversion") == 0 || strcmp (h->kind, "resource") == 0;
}

/* The block of a record that is wanted. */
static wb_status take_block (wb_level_t *l, wb_record_t *rec, bool *got, const header_t *h) {
    wb_reader_t *r = l->r;
    const char *host;
    size_t n;
    *got = false;
    WB_TRY (wb_reader_peek (r, (size_t) h->length + 2));
    const size_t have = wb_reader_have (r), length = (size_t) h->length;
    /* Line ends follow; anything else is what a broken member of gzip gave in place of the rest. */
    const char *after = have >= length + 2 ? wb_reader_bytes (r) + length : r->gap ? "?" : "\n";
    if (have < length || (*after != '\r' && *after != '\n')) {
        wb_reading_skip (r->c, have < length && !r->gap ? "truncated" : "broken", rec->name.data,
                         "its %lld bytes are not all there", (long long) h->length);
        wb_reader_take (r, have < length ? have : length);
        return WB_OK;
    }
    host_of (&host, &n, rec->name.data, rec->name.len);
    WB_TRY (wb_record_set (&rec->site, host, n));
    WB_TRY (take_page (l, rec, got, h, wb_reader_bytes (r), length));
    wb_reader_take (r, length);
    return WB_OK;
}

static wb_status warc_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    wb_reader_t *r = l->r;
    bool complain = true;
    (void) inner;
    *step = WB_STEP_END;
    for (bool got = false; !got;) {
        header_t h = {.length = -1, .uri = ""};
        WB_TRY (find_record (r, complain));
        complain = true;
        if (wb_reader_have (r) == 0) return WB_OK;
        WB_TRY (wb_reader_peek (r, HEADERS));
        h.bytes = header_end (wb_reader_bytes (r), wb_reader_have (r));
        if (h.bytes > 0) parse (&h, wb_reader_bytes (r));
        if (h.length < 0) {
            wb_reading_skip (r->c, "broken", r->name, "a record without an end to its header, or without its length");
            wb_reader_take (r, 5);
            complain = false;
            continue;
        }
        WB_TRY (wb_record_set (&rec->name, h.uri, h.uri_bytes));
        const bool page = is_page (&h), small = h.length <= r->c->o.max_bytes;
        wb_reader_take (r, h.bytes);
        if (page && !small) wb_reading_skip (r->c, "too long", rec->name.data, "%lld bytes", (long long) h.length);
        int64_t skipped;
        if (page && small)
            WB_TRY (take_block (l, rec, &got, &h));
        else
            WB_TRY (wb_reader_skip (r, &skipped, h.length));
    }
    *step = WB_STEP_RECORD;
    return WB_OK;
}

const wb_container_t wb_container_warc = {"WARC", warc_is, warc_open, warc_next, warc_close, false};
