/* The text of a configuration, prepared for libconfig (source.c). */
#ifndef WABUN_CONFIG_SOURCE_H
#define WABUN_CONFIG_SOURCE_H

#include "wabun/base.h"

#define WB_SOURCE_WHERE 512 /* bytes of "FILE:LINE" */

/* Where a line of the text comes from. */
typedef struct wb_source_line {
    int file, line;
} wb_source_line_t;
typedef struct wb_source {
    wb_buf_t text;
    wb_buf_t lines; /* wb_source_line_t of each line of text */
    char **files;   /* [nfiles] */
    int nfiles;
    bool one_line;                           /* it is not a file: places have no line */
    char suspect[8], where[WB_SOURCE_WHERE]; /* a character that a syntax error may be due to, and its place */
} wb_source_t;

/* Read a file's text into a source that is all zero: included files in their places, encoding and numbers checked.
 * Errors: WB_EUSAGE with file:line; WB_EIO: an included file cannot be read; WB_ENOMEM. */
wb_status wb_source_read (wb_source_t *s, const char *text, size_t bytes, const char *path) WB_NODISCARD;
void wb_source_fini (wb_source_t *s);
/* "FILE:LINE" of line `line` (from 1) of the text. */
const char *wb_source_where (char buf[WB_SOURCE_WHERE], const wb_source_t *s, unsigned line);
/* Is there a bracket that does not match?  What is wrong with it, and where it stands, into `what` (brackets.c). */
bool wb_source_bracket (char *what, size_t bytes, const wb_source_t *s);

/* Is the text UTF-8, without characters that look like others (encoding.c)?  WB_EUSAGE with file:line, what to do. */
wb_status wb_encoding_check (const char *text, size_t bytes, const char *path) WB_NODISCARD;
/* The character at `s`, which is not ASCII and is outside quotes, is refused; where: "FILE:LINE". */
wb_status wb_encoding_refuse (const char *s, size_t bytes, const char *where) WB_NODISCARD;
/* Is there a quotation mark at `s` that is typed for the ASCII one?  Its bytes, 0: no. */
size_t wb_encoding_quote (const char *s, size_t bytes);

#endif
