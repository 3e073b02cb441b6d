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

#endif
