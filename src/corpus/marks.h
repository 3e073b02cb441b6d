/* Lines of a text, in units of any width, and the one that separates documents in plain text: <|endoftext|>. */
#ifndef WABUN_CORPUS_MARKS_H
#define WABUN_CORPUS_MARKS_H

#include "corpus/charset.h"

/* Where the first line ends that does so behind `from`, of s [n]: the place after its LF.  0: there is none.  `from` is
 * where a unit begins. */
size_t wb_line_end (const char *s, size_t from, size_t n, wb_wide_t unit);
/* Is a line, s [n] with or without its end, exactly <|endoftext|>? */
bool wb_line_is_mark (const char *s, size_t n, wb_wide_t unit);
/* The next line of s [n] that is the mark, in units of a byte; s begins with a line.  *line: where it begins, n: there
 * is none; returns where the text after it begins. */
size_t wb_find_mark (const char *s, size_t *line, size_t from, size_t n);

#endif
