/* UTF-8 (utf8.c), for every room that reads text. */
#ifndef WABUN_TOKENIZER_UTF8_H
#define WABUN_TOKENIZER_UTF8_H

#include "wabun/base.h"

#define WB_UTF8_NONE 0xffffffffu
/* Code point at s[0..n), n > 0, and its length; a malformed byte gives WB_UTF8_NONE and length 1. */
uint32_t wb_utf8_get (const char *s, size_t n, size_t *length);
/* Bytes of code point c (valid) into out; returns how many. */
size_t wb_utf8_put (char out[4], uint32_t c);
/* Is s[0..n) well-formed?  *at: where it first is not. */
bool wb_utf8_valid (const char *s, size_t n, size_t *at);

/* Byte-wise decoder: what is not finished yet is held.  Zero-initialised is empty. */
typedef struct wb_utf8 {
    unsigned char held[4];
    unsigned char n, want, low, high; /* bytes held, wanted in all, range of the next one */
    bool each;                        /* U+FFFD for each byte that is held, not one for all */
} wb_utf8_t;
/* Append what byte c completes; at most 3 + 4 bytes (9 + 4 with `each`) are put into b, for which room must be there.
 */
void wb_utf8_feed (wb_utf8_t *u, wb_buf_t *b, unsigned char c);
/* Append what is held, as U+FFFD: at most 3 bytes, 9 with `each`. */
void wb_utf8_flush (wb_utf8_t *u, wb_buf_t *b);

#endif
