/* Writing HTML: the first error stays, and nothing is written after it. */
#ifndef WABUN_REPORT_HTML_H
#define WABUN_REPORT_HTML_H

#include "wabun/report.h"

/* Zero-initialised is empty; out is owned. */
typedef struct wb_html {
    wb_buf_t out;
    wb_status status;
} wb_html_t;

void wb_html_raw (wb_html_t *h, const char *s);                           /* as it is */
void wb_html_print (wb_html_t *h, const char *fmt, ...) WB_PRINTF (2, 3); /* as it is, 400 bytes at most */
void wb_html_text (wb_html_t *h, const char *s);                          /* escaped; NULL: nothing */
void wb_html_text_n (wb_html_t *h, const char *s, size_t n);
/* A label in both languages; the page shows that of its root element (report.css). */
void wb_html_said (wb_html_t *h, const char *en, const char *ja);
/* A table: its head of labels, each {English, Japanese}, one that begins with '#' is of a column of numbers; NULL ends
 * them.  Caption: what it is a table of. */
void wb_html_table (wb_html_t *h, const char *const caption[2], const char *const (*labels)[2]);
void wb_html_table_end (wb_html_t *h);
void wb_html_cell (wb_html_t *h, const char *s);
void wb_html_cell_print (wb_html_t *h, const char *fmt, ...) WB_PRINTF (2, 3); /* of a number; "" is an empty one */
/* A string of JSON within a script element: of no character that could end it. */
void wb_html_json (wb_html_t *h, const char *s);

#endif
