/* MediaWiki's XML dumps: the articles in them, as wikitext, by libxml2's reader, which keeps one page at a time.
 * https://www.mediawiki.org/wiki/Help:Export
 *
 * Other name spaces than that of articles (talk, templates, files ...) and redirects are passed over.  libxml2's own
 * limits hold (10 MB a text, which MediaWiki does not allow either), so memory is bounded.
 *
 * Not done here: wikitext itself (wiki.c); earlier revisions: of several the last is taken. */
#include "config.h"

#include <libxml/xmlreader.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/containers.h"
#include "corpus/xml.h"

enum field { OTHER, TITLE, NS, MODEL, TEXT, FIELDS };

typedef struct dump {
    xmlTextReaderPtr xml;
    wb_reader_t *r;
    wb_status status; /* of the layer below */
    wb_buf_t field[FIELDS];
    enum field now;
    bool redirect;
    char error[200];
} dump_t;

static bool dump_is (const wb_reader_t *r) {
    const char *s = wb_reader_bytes (r);
    const size_t n = wb_reader_have (r) < 1024 ? wb_reader_have (r) : 1024;
    return memmem (s, n, "<mediawiki", 10) != NULL && memmem (s, n, "/export-", 8) != NULL;
}

/* ---- what libxml2 calls ------------------------------------------------------------------------------------------ */

static int dump_read (void *ctx, char *to, int room) {
    dump_t *d = ctx;
    d->status = wb_reader_peek (d->r, 1);
    if (d->status != WB_OK) return -1;
    const size_t have = wb_reader_have (d->r), n = have < (size_t) room ? have : (size_t) room;
    memcpy (to, wb_reader_bytes (d->r), n);
    wb_reader_take (d->r, n);
    return (int) n;
}

static void dump_error (void *ctx, xmlErrorPtr e) {
    dump_t *d = ctx;
    if (d->error[0] != 0 || e == NULL || e->level < XML_ERR_ERROR) return;
    snprintf (d->error, sizeof d->error, "line %d: %.150s", e->line, e->message != NULL ? e->message : "XML");
    d->error[strcspn (d->error, "\n")] = 0;
}

static wb_status dump_open (wb_level_t *l) {
    dump_t *d = l->state = wb_calloc (1, sizeof *d);
    if (d == NULL) return WB_NOMEM ("reading %s", l->r->name);
    wb_xml_init ();
    d->r = l->r;
    d->xml = xmlReaderForIO (dump_read, NULL, d, NULL, NULL, XML_PARSE_NONET | XML_PARSE_COMPACT);
    if (d->xml == NULL) return WB_NOMEM ("reading %s", l->r->name);
    xmlTextReaderSetStructuredErrorHandler (d->xml, dump_error, d);
    return WB_OK;
}

static void dump_close (wb_level_t *l) {
    dump_t *d = l->state;
    if (d == NULL) return;
    xmlFreeTextReader (d->xml);
    for (int i = 0; i < FIELDS; i++) wb_buf_fini (&d->field[i]);
    wb_free (d);
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static bool named (dump_t *d, const char *name) {
    const xmlChar *x = xmlTextReaderConstLocalName (d->xml);
    return x != NULL && strcmp ((const char *) x, name) == 0;
}

static void begin_element (dump_t *d) {
    static const char *const names[FIELDS] = {"", "title", "ns", "model", "text"};
    d->now = OTHER;
    if (named (d, "page")) {
        d->redirect = false;
        for (int i = 0; i < FIELDS; i++) wb_buf_clear (&d->field[i]);
    } else if (named (d, "redirect"))
        d->redirect = true;
    for (enum field f = TITLE; f < FIELDS; f++)
        if (named (d, names[f])) {
            wb_buf_clear (&d->field[f]);
            if (!xmlTextReaderIsEmptyElement (d->xml)) d->now = f;
        }
}

/* One step of the reader; *page: a page has ended. */
static wb_status take_node (dump_t *d, bool *page) {
    const int type = xmlTextReaderNodeType (d->xml);
    *page = false;
    if (type == XML_READER_TYPE_ELEMENT) begin_element (d);
    if (type == XML_READER_TYPE_END_ELEMENT) {
        d->now = OTHER;
        *page = named (d, "page");
    }
    const bool text = type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA ||
                      type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE || type == XML_READER_TYPE_WHITESPACE;
    if (!text || d->now == OTHER) return WB_OK;
    const char *s = (const char *) xmlTextReaderConstValue (d->xml);
    return s != NULL ? wb_buf_put (&d->field[d->now], s, strlen (s)) : WB_OK;
}

static bool is_article (const dump_t *d) {
    const char *ns = d->field[NS].data, *model = d->field[MODEL].data;
    return !d->redirect && (ns == NULL || ns[0] == 0 || strcmp (ns, "0") == 0) &&
           (model == NULL || model[0] == 0 || strcmp (model, "wikitext") == 0) && d->field[TEXT].len > 0;
}

static wb_status dump_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    dump_t *d = l->state;
    (void) inner;
    for (;;) {
        bool page;
        const int more = xmlTextReaderRead (d->xml);
        WB_TRY (d->status);
        *step = WB_STEP_END;
        if (more < 0)
            wb_reading_skip (l->r->c, l->r->broken || wb_reader_have (l->r) == 0 ? "truncated" : "broken", l->r->name,
                             "not XML any more, %s", d->error);
        if (more <= 0) return WB_OK;
        WB_TRY (take_node (d, &page));
        if (!page) continue;
        if (is_article (d)) break;
        l->r->c->number++;
    }
    *step = WB_STEP_RECORD;
    rec->form = l->r->c->o.form == WB_FORM_AUTO ? WB_FORM_WIKI : l->r->c->o.form;
    snprintf (rec->charset, sizeof rec->charset, "utf-8"); /* libxml2 has seen to it */
    WB_TRY (wb_buf_put (&rec->name, ":", 1));
    WB_TRY (wb_buf_put (&rec->name, d->field[TITLE].data, d->field[TITLE].len));
    return wb_record_set (&rec->bytes, d->field[TEXT].data, d->field[TEXT].len);
}

const wb_container_t wb_container_dump = {"MediaWiki dump", dump_is, dump_open, dump_next, dump_close, false};
