/* Documents: a record's bytes become UTF-8, and its form takes the text out of them.
 *
 * Not done here: the forms, one file each; cleaning and choosing among documents. */
#include "config.h"

#include <ctype.h>
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
    wb_html_fini (&x->html);
    wb_pairs_fini (&x->pairs);
    if (x->has_gaiji && x->gaiji != (iconv_t) -1) iconv_close (x->gaiji);
    wb_free (x);
}

/* ---- encodings -------------------------------------------------------------------------------------------------- */

/* Convert from `name` into x->utf8; *good = false: too much of it is not in that encoding. */
static wb_status convert (wb_extractor_t *x, bool *good, const char *name, const char *s, size_t n) {
    int64_t stray = 0;
    const bool utf8 = strcasecmp (name, "UTF-8") == 0;
    wb_buf_clear (&x->utf8);
    if (utf8) {
        stray = wb_text_stray (s, n);
        WB_TRY (wb_charset_repair (&x->utf8, s, n));
    } else
        WB_TRY (wb_charset_convert (&x->utf8, &stray, name, s, n));
    *good = !wb_text_garbled (stray, (int64_t) (utf8 ? n : n / 2));
    return WB_OK;
}

/* What a page or XML says of its encoding in its beginning, into name. */
static void said_inside (char name[32], const char *s, size_t n) {
    enum { START = 4096 };
    name[0] = 0;
    if (n > START) n = START;
    const char *end = s + n, *xml = n > 5 && memcmp (s, "<?xml", 5) == 0 ? memmem (s, n, "encoding=", 9) : NULL;
    const char *gt = memchr (s, '>', n), *p = xml != NULL && gt != NULL && xml < gt ? xml + 9 : NULL;
    for (const char *m = s; p == NULL && (m = memchr (m, '<', (size_t) (end - m))) != NULL; m++) {
        if (end - m < 5 || strncasecmp (m, "<meta", 5) != 0) continue;
        gt = memchr (m, '>', (size_t) (end - m));
        for (const char *k = m; k != NULL && gt != NULL && k + 8 < gt && p == NULL; k++)
            if (strncasecmp (k, "charset=", 8) == 0) p = k + 8;
    }
    while (p != NULL && p < end && (*p == '"' || *p == '\'' || *p == ' ')) p++;
    size_t k = 0;
    while (p != NULL && p + k < end && k < 31 && (isalnum ((unsigned char) p[k]) || strchr ("-_:.", p[k]) != NULL)) k++;
    if (k > 0) snprintf (name, 32, "%.*s", (int) k, p);
}

/* Convert from an encoding that somebody named; *good = false: it is not in that, or there is none such. */
static wb_status convert_said (wb_extractor_t *x, bool *good, const char *said, const char *s, size_t n) {
    wb_error_t before;
    const char *name;
    *good = false;
    if (said[0] == 0) return WB_OK;
    wb_error_take (&before);
    const bool known = wb_charset_find (&name, said) == WB_OK;
    wb_error_clear (); /* a page may name any encoding */
    wb_error_put (&before);
    return known ? convert (x, good, name, s, n) : WB_OK;
}

/* Is it UTF-8, whatever it says of itself? */
static bool is_utf8 (const char *s, size_t n) {
    size_t at;
    return memchr (s, 0x1b, n) == NULL && memchr (s, 0, n) == NULL && wb_utf8_valid (s, n, &at);
}

/* The record's text as UTF-8, *s [*n]: the record's own bytes, or x->utf8. */
static wb_status to_utf8 (wb_extractor_t *x, const char **s, size_t *n, bool *got, wb_complaint_t *c,
                          const wb_record_t *r) {
    const char *bytes = *s = r->bytes.data;
    const size_t size = *n = r->bytes.len;
    char seems[32] = "", inside[32] = "";
    *got = true;
    if (x->o.from == NULL && is_utf8 (bytes, size)) return WB_OK;
    const bool escapes = memchr (bytes, 0x1b, size) != NULL; /* ISO-2022-JP, whatever is said */
    if (x->o.from != NULL)
        WB_TRY (convert_said (x, got, x->o.from, bytes, size));
    else {
        *got = false;
        if (!escapes) WB_TRY (convert_said (x, got, r->charset, bytes, size));
        if (!*got && !escapes) {
            said_inside (inside, bytes, size);
            WB_TRY (convert_said (x, got, inside, bytes, size));
        }
        const wb_charset found = *got ? WB_CHARSET_UNKNOWN : wb_charset_guess (bytes, size, seems);
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

static wb_status form_text (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s,
                            size_t n) {
    (void) x;
    (void) c;
    *got = true;
    return wb_buf_put (&d->text, s, n);
}

static wb_form_fn *const forms[WB_FORMS] = {[WB_FORM_TEXT] = form_text,
                                            [WB_FORM_AOZORA] = wb_form_aozora,
                                            [WB_FORM_HTML] = wb_form_html,
                                            [WB_FORM_WIKI] = wb_form_wiki,
                                            [WB_FORM_JSON] = wb_form_json};

wb_status wb_extract_form (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, wb_form form,
                           const char *s, size_t n) {
    const size_t mark = wb_bom (s, n);
    wb_form_fn *f = forms[form] != NULL ? forms[form] : form_text;
    d->form = form;
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
    if (*got && !x->o.keep_crlf && d->text.len > 0) { /* here: what a form takes out may bring CR and LF together */
        d->text.len = wb_fold_crlf (d->text.data, d->text.len);
        d->text.data[d->text.len] = 0;
    }
    if (*got && d->text.len == 0) {
        *got = false;
        wb_refuse (c, "empty", "no text in it");
    }
    return WB_OK;
}
