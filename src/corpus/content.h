/* What bytes are, by their beginning. */
#ifndef WABUN_CORPUS_CONTENT_H
#define WABUN_CORPUS_CONTENT_H

#include "wabun/corpus.h"

/* "a JPEG picture", "binary data"; NULL: text, in whatever encoding. */
const char *wb_content_binary (const char *s, size_t n);
/* The form of a text in UTF-8: WB_FORM_HTML, WB_FORM_WIKI (also a dump's XML), WB_FORM_AOZORA, or WB_FORM_TEXT. */
wb_form wb_content_form (const char *s, size_t n);

#endif
