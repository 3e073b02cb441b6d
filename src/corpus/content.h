/* What bytes are, by their beginning. */
#ifndef WABUN_CORPUS_CONTENT_H
#define WABUN_CORPUS_CONTENT_H

#include "wabun/corpus.h"

/* 0: text, in whatever encoding; else what it is, by a number below 64 that wb_content_name() knows. */
int wb_content_binary (const char *s, size_t n);
/* "a JPEG picture", "binary data"; NULL for 0. */
const char *wb_content_name (int binary);
/* Is it packed, an archive, or a WARC: does it have to be opened as records (wb_records_open())? */
bool wb_content_packed (const char *s, size_t n);
/* The form of a text in UTF-8: WB_FORM_HTML, WB_FORM_WIKI (also a dump's XML), WB_FORM_AOZORA, or WB_FORM_TEXT. */
wb_form wb_content_form (const char *s, size_t n);
/* The same of a text that ought to be plain, by its beginning: also WB_FORM_HTML and WB_FORM_WIKI of pieces of pages,
 * where several of their marks are in it. */
wb_form wb_content_markup (const char *s, size_t n);
/* "HTML": what a message calls the markup of a form; NULL: it has none. */
const char *wb_content_markup_name (wb_form form);
/* A warning of texts that have markup, which is taken as text, where that is more than one in a hundred: a few may be
 * about markup.  count: texts by what wb_content_markup() says; such: one of each, or NULL; where: "source 1, PATH: "
 * or ""; cure: what takes the markup of FORM out, as in "FORM = ". */
void wb_content_markup_warn (const int64_t count[WB_FORMS], const char *const such[WB_FORMS], const char *where,
                             const char *cure);

#endif
