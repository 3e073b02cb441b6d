/* Documents: a record's bytes become UTF-8, and its form takes the text out of them.
 *
 * Not done here: the forms, one file each; cleaning and choosing among documents. */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "corpus/charset.h"
#include "corpus/content.h"
#include "corpus/extract.h"
#include "tokenizer/utf8.h"

void wb_document_clear (wb_document_t *d) {
    wb_buf_t *all[] = {&d->text, &d->id, &d->site, &d->genre, &d->source, &d->licence};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) wb_buf_clear (all[i]);
}

void wb_document_fini (wb_document_t *d) {
    wb_buf_t *all[] = {&d->text, &d->id, &d->site, &d->genre, &d->source, &d->licence};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) wb_buf_fini (all[i]);
}

void wb_refuse (wb_complaint_t *c, const char *kind, const char *fmt, ...) {
    va_list ap;
    snprintf (c->kind, sizeof c->kind, "%s", kind);
    va_start (ap, fmt);
    vsnprintf (c->text, sizeof c->text, fmt, ap);
    va_end (ap);
}

wb_status wb_extractor_new (wb_extractor_t **out, const wb_extract_options_t *o) {
    const char *from = o != NULL ? o->from : NULL;
    if (from != NULL) WB_TRY (wb_charset_find (&from, from));
    wb_extractor_t *x = wb_calloc (1, sizeof *x);
    if (x == NULL) return WB_NOMEM ("an extractor");
    if (o != NULL) x->o = *o;
    x->o.from = from;
    *out = x;
    return WB_OK;
}

void wb_extractor_destroy (wb_extractor_t *x) {
    if (x == NULL) return;
    wb_buf_fini (&x->utf8);
    wb_buf_fini (&x->scratch);
    if (x->has_gaiji && x->gaiji != (iconv_t) -1) iconv_close (x->gaiji);
    wb_free (x);
}

/* ---- encodings -------------------------------------------------------------------------------------------------- */

/* Well-formed UTF-8 of what nearly is. */
static wb_status repair (wb_buf_t *out, const char *s, size_t n) {
    wb_utf8_t u = {0};
    for (size_t i = 0; i < n; i++) {
        if (out->cap - (int64_t) out->len < 16) WB_TRY (wb_buf_reserve (out, n - i + 64));
        wb_utf8_feed (&u, out, (unsigned char) s[i]);
    }
    WB_TRY (wb_buf_reserve (out, 8));
    wb_utf8_flush (&u, out);
    return WB_OK;
}

/* Convert from `name` into x->utf8; *good = false: too much of it is not in that encoding. */
static wb_status convert (wb_extractor_t *x, bool *good, const char *name, const char *s, size_t n) {
    int64_t stray = 0;
    const bool utf8 = strcasecmp (name, "UTF-8") == 0;
    wb_buf_clear (&x->utf8);
    if (utf8) {
        stray = wb_text_stray (s, n);
        WB_TRY (repair (&x->utf8, s, n));
    } else
        WB_TRY (wb_charset_convert (&x->utf8, &stray, name, s, n));
    *good = !wb_charset_garbled (stray, (int64_t) (utf8 ? n : n / 2));
    return WB_OK;
}

/* The record's text as UTF-8, *s [*n]: the record's own bytes, or x->utf8. */
static wb_status to_utf8 (wb_extractor_t *x, const char **s, size_t *n, bool *got, wb_complaint_t *c,
                          const wb_record_t *r) {
    const char *bytes = *s = r->bytes.data, *said = x->o.from != NULL ? x->o.from : r->charset;
    const size_t size = *n = r->bytes.len;
    size_t at;
    char seems[32] = "";
    const char *name = said;
    *got = true;
    const bool escapes = memchr (bytes, 0x1b, size) != NULL; /* ISO-2022-JP, whatever a header says */
    if (said[0] == 0 || strcasecmp (said, "utf-8") == 0) {
        if (!escapes && wb_utf8_valid (bytes, size, &at)) return WB_OK;
        if (escapes && x->o.from == NULL) said = "";
    }
    wb_error_t before;
    wb_error_take (&before);
    if (said[0] != 0 && wb_charset_find (&name, said) == WB_OK) {
        WB_TRY (convert (x, got, name, bytes, size));
    } else
        *got = false;
    wb_error_put (&before); /* a page may name any encoding */
    if (!*got && x->o.from == NULL) {
        const wb_charset found = wb_charset_guess (bytes, size, seems);
        if (found != WB_CHARSET_UNKNOWN) WB_TRY (convert (x, got, wb_charset_name (found), bytes, size));
    }
    *s = x->utf8.data;
    *n = x->utf8.len;
    if (!*got)
        wb_refuse (c, "not UTF-8", "and not in an encoding that can be told%s%s", seems[0] != 0 ? "; perhaps " : "",
                   seems);
    return WB_OK;
}

/* ---- text and forms --------------------------------------------------------------------------------------------- */

/* Append s [n]; CRLF becomes LF. */
static wb_status put_lines (wb_buf_t *out, const char *s, size_t n, bool keep_crlf) {
    size_t done = 0;
    WB_TRY (wb_buf_reserve (out, n));
    while (done < n && !keep_crlf) {
        const char *cr = memchr (s + done, '\r', n - done);
        if (cr == NULL || cr + 1 == s + n) break;
        const size_t to = (size_t) (cr - s);
        WB_TRY (wb_buf_put (out, s + done, to - done + (cr[1] != '\n')));
        done = to + 1;
    }
    return wb_buf_put (out, s + done, n - done);
}

static wb_status form_text (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s,
                            size_t n) {
    (void) c;
    *got = true;
    return put_lines (&d->text, s, n, x->o.keep_crlf);
}

static wb_form_fn *const forms[WB_FORMS] = {
    [WB_FORM_TEXT] = form_text, [WB_FORM_AOZORA] = wb_form_aozora, [WB_FORM_JSON] = wb_form_json};

wb_status wb_extract_form (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, wb_form form,
                           const char *s, size_t n) {
    const size_t mark = wb_bom (s, n);
    wb_form_fn *f = forms[form] != NULL ? forms[form] : form_text;
    return f (x, d, got, c, s + mark, n - mark);
}

wb_status wb_extract (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const wb_record_t *r) {
    const char *s;
    size_t n;
    wb_form form = r->form;
    wb_document_clear (d);
    *c = (wb_complaint_t){.kind = ""};
    snprintf (c->name, sizeof c->name, "%s", r->name.data != NULL ? r->name.data : "");
    *got = false;
    WB_TRY (wb_buf_put (&d->id, r->name.data, r->name.len));
    WB_TRY (wb_buf_put (&d->site, r->site.data, r->site.len));
    if (r->bytes.len == 0) {
        wb_refuse (c, "empty", "no bytes");
        return WB_OK;
    }
    WB_TRY (to_utf8 (x, &s, &n, got, c, r));
    if (!*got) return WB_OK;
    if (form == WB_FORM_AUTO) form = wb_content_form (s, n);
    WB_TRY (wb_extract_form (x, d, got, c, form, s, n));
    if (*got && d->text.len == 0) {
        *got = false;
        wb_refuse (c, "empty", "no text in it");
    }
    return WB_OK;
}
