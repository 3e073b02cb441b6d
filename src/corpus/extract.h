/* Forms: how text is taken out of a record.  A new one is a file and a row in extract.c. */
#ifndef WABUN_CORPUS_EXTRACT_H
#define WABUN_CORPUS_EXTRACT_H

#include <iconv.h>

#include "corpus/html.h"
#include "corpus/wiki.h"
#include "wabun/corpus.h"

struct wb_extractor {
    wb_extract_options_t o;
    wb_buf_t utf8;    /* the record's text, converted */
    wb_buf_t scratch; /* a form's own */
    iconv_t gaiji;    /* JIS X 0213, once it has been needed */
    bool has_gaiji;
    wb_html_t html;
    wb_pairs_t pairs;
};

/* Append the text of s [n], UTF-8, to d->text.  *got = false with a reason in *c: there is none.  Linear in n.  Errors:
 * WB_ENOMEM. */
typedef wb_status wb_form_fn (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s,
                              size_t n);
wb_form_fn wb_form_json, wb_form_aozora, wb_form_html, wb_form_wiki;

/* Why there is no document. */
void wb_refuse (wb_complaint_t *c, const char *kind, const char *fmt, ...) WB_PRINTF (3, 4);
/* Append the text s [n] by its form, which is not WB_FORM_AUTO. */
wb_status wb_extract_form (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, wb_form form,
                           const char *s, size_t n) WB_NODISCARD;

#endif
