/* The blocks of text in a page: what the scanner (html.c) finds and the choice (html_main.c) takes from. */
#ifndef WABUN_CORPUS_HTML_H
#define WABUN_CORPUS_HTML_H

#include "wabun/base.h"

typedef enum { WB_BLOCK_BAD, WB_BLOCK_SHORT, WB_BLOCK_NEAR, WB_BLOCK_GOOD } wb_block_class;

typedef struct wb_block {
    size_t from, to; /* of the text */
    int64_t links;   /* characters that are links */
    bool heading, pre;
    wb_block_class kind;
} wb_block_t;

/* Zero-initialised is empty; kept between pages. */
typedef struct wb_html {
    wb_buf_t text;
    wb_block_t *block;
    int64_t len, cap;
} wb_html_t;
void wb_html_fini (wb_html_t *h);
/* The text of a page in UTF-8, block by block; scripts, menus marked as such and what is hidden are out.  Linear.
 * Errors: WB_ENOMEM. */
wb_status wb_html_scan (wb_html_t *h, const char *s, size_t n, bool keep_ruby) WB_NODISCARD;
/* Append the character that a reference (&amp; &#12354;) at s [n] stands for, s[0] == '&'; *used: its bytes, 1 where it
 * is none: then the & itself is appended. */
wb_status wb_html_reference (wb_buf_t *out, size_t *used, const char *s, size_t n) WB_NODISCARD;

#endif
