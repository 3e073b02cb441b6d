/* Units of records: what packed files, archives and WARCs hold, read in order by the rank in whose part of the inputs
 * the file begins, and encoded by all its threads.
 *
 * A unit is about a megabyte of records.  Markup is taken as text, and counted: taking it out is `wabun corpus build`.
 *
 * Not done here: sharing one such file among ranks. */
#include "config.h"

#include <string.h>

#include "corpus/content.h"
#include "dataset/encode.h"

enum { RECORDS = 1024 }; /* of a unit */

/* A record of a unit: its bytes and then its name are in the unit's stream, each with a 0 byte after it. */
typedef struct part {
    size_t at, bytes, name;
    wb_form form;
    char charset[32];
} part_t;

/* ---- taking ----------------------------------------------------------------------------------------------------- */

static void complain (void *encoder, const wb_complaint_t *c) {
    const wb_encoder_t *j = encoder;
    wb_note (&j->filling->left, "%s: %s: %s", c->name, c->kind, c->text);
}

static wb_status put_record (wb_unit_t *u, const wb_record_t *r) {
    part_t p = {.at = u->stream.len, .bytes = r->bytes.len, .form = r->form};
    memcpy (p.charset, r->charset, sizeof p.charset);
    WB_TRY (wb_buf_put (&u->stream, r->bytes.data, r->bytes.len));
    WB_TRY (wb_buf_put (&u->stream, "", 1));
    p.name = u->stream.len;
    WB_TRY (wb_buf_put (&u->stream, r->name.data, r->name.len));
    WB_TRY (wb_buf_put (&u->stream, "", 1));
    return wb_buf_put (&u->parts, &p, sizeof p);
}

wb_status wb_encoder_take_records (wb_encoder_t *j, wb_unit_t *u) {
    bool more = true;
    u->records = true;
    u->lines = u->whole = u->last = false;
    j->filling = u;
    if (j->records == NULL) WB_TRY (wb_records_open (&j->records, u->in->path, NULL, complain, j));
    u->from = wb_records_read (j->records);
    for (int i = 0; i < RECORDS && more && (int64_t) u->stream.len < WB_UNIT; i++) {
        WB_TRY (wb_records_next (j->records, &j->record, &more));
        if (more) WB_TRY (put_record (u, &j->record));
    }
    u->to = wb_records_read (j->records);
    u->last = !more;
    if (more) return WB_OK;
    wb_records_close (j->records);
    j->records = NULL;
    return WB_OK;
}

wb_status wb_encoder_begin_records (wb_encoder_t *j, wb_unit_t *u) {
    wb_buf_t begun = u->stream;
    u->stream = (wb_buf_t){0};
    j->filling = u;
    return wb_records_stream (&j->records, u->in->path, j->fd, &begun, NULL, complain, j);
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

/* What is UTF-8, or another encoding that tells itself, and not what --from says, is converted without an error. */
static bool mistaken (const wb_encoder_t *j, wb_unit_t *u, const wb_record_t *r) {
    char seems[32];
    const size_t n = r->bytes.len;
    if (j->from == NULL || !wb_charset_mistaken (j->from, r->bytes.data, n < WB_HASHED ? n : WB_HASHED, seems))
        return false;
    wb_note (&u->garbled, "%.300s is %s, not %s: leave out --from, or give --from %s", r->name.data, seems, j->from,
             seems);
    u->garbled_bytes += (int64_t) n;
    return true;
}

/* The text of a record in own->document; *got = false: it is none, which has been noted. */
static wb_status take_text (const wb_encoder_t *j, wb_unit_t *u, wb_encoder_own_t *own, wb_record_t *r, bool *got) {
    wb_complaint_t c;
    const wb_form form = r->form;
    u->json += form == WB_FORM_JSON;
    if (form != WB_FORM_JSON) r->form = WB_FORM_TEXT;
    const bool wrong = form != WB_FORM_JSON && mistaken (j, u, r);
    WB_TRY (wb_extract (own->extractor, &own->document, got, &c, r));
    wb_buf_t *text = &own->document.text;
    if (!*got && strcmp (c.kind, "empty") == 0)
        u->skipped++;
    else if (!*got && form == WB_FORM_JSON)
        wb_note (&u->bad_records, "%.300s: %s", c.name, c.text);
    else if (!*got) {
        if (!wrong) {
            wb_note (&u->garbled, "%.300s is not %s: what it holds becomes bytes, not words", c.name,
                     j->from != NULL ? j->from : "UTF-8");
            u->garbled_bytes += (int64_t) r->bytes.len;
        }
        *got = true;
        wb_buf_clear (text);
        WB_TRY (wb_buf_put (text, r->bytes.data, r->bytes.len));
    }
    if (*got && form == WB_FORM_JSON) u->line_markup[wb_content_markup (text->data, text->len)]++;
    if (*got && form != WB_FORM_JSON) {
        const wb_form seen = wb_content_markup (text->data, text->len);
        u->markup[form == WB_FORM_AUTO || form == WB_FORM_TEXT ? seen : form]++;
    }
    return WB_OK;
}

wb_status wb_encoder_work_records (const wb_encoder_t *j, wb_unit_t *u, wb_encoder_own_t *own) {
    const wb_extract_options_t o = {.from = j->from, .text_field = j->e->field, .keep_crlf = j->e->keep_crlf};
    if (own->extractor == NULL) WB_TRY (wb_extractor_new (&own->extractor, &o));
    for (size_t at = 0; at < u->parts.len; at += sizeof (part_t)) {
        part_t p;
        bool got;
        memcpy (&p, u->parts.data + at, sizeof p);
        char *s = u->stream.data, *name = s + p.name;
        wb_record_t r = {.bytes = {.data = s + p.at, .len = p.bytes}, .name = {.data = name, .len = strlen (name)}};
        r.form = p.form;
        memcpy (r.charset, p.charset, sizeof r.charset);
        WB_TRY (take_text (j, u, own, &r, &got));
        if (got) WB_TRY (wb_encoder_document (j, u, own->document.text.data, own->document.text.len));
        if (u->bad_records.n > 0 && j->e->bad_lines == WB_BAD_LINES_STOP) break;
    }
    return WB_OK;
}
