/* Encodings of text: which one it is, and conversion to UTF-8. */
#ifndef WABUN_CORPUS_CHARSET_H
#define WABUN_CORPUS_CHARSET_H

#include "wabun/base.h"

typedef enum wb_charset {
    WB_CHARSET_UTF8,
    WB_CHARSET_UTF16LE,
    WB_CHARSET_UTF16BE,
    WB_CHARSET_UTF32LE,
    WB_CHARSET_UTF32BE,
    WB_CHARSET_CP932,
    WB_CHARSET_EUC_JP,
    WB_CHARSET_ISO_2022_JP,
    WB_CHARSET_NAMED,   /* the one that the user gave */
    WB_CHARSET_UNKNOWN, /* none of these, or one cannot tell which */
    WB_CHARSETS
} wb_charset;

/* "CP932": what messages say and iconv takes. */
const char *wb_charset_name (wb_charset c);
/* The encoding of a text, or of its first n bytes: one that it is for certain, or WB_CHARSET_UNKNOWN.  seems, NULL
 * allowed: where it is unknown, the name that comes nearest, or "". */
wb_charset wb_charset_guess (const char *s, size_t n, char seems[32]);
/* Is a text, by its first n bytes, for certain in another encoding than `from`, which the user gave?  Then `seems` is
 * that one.  Escape sequences of ISO-2022-JP are well-formed UTF-8, and much is well-formed CP932. */
bool wb_charset_mistaken (const char *from, const char *s, size_t n, char seems[32]);
/* What iconv is given for a name that the user typed ("sjis" is CP932).  Errors: WB_EUSAGE where iconv has none such.
 */
wb_status wb_charset_find (const char **out, const char *name) WB_NODISCARD;
/* Append the text as UTF-8.  *stray: bytes that are none of that encoding; each becomes U+FFFD.  Errors: WB_EUSAGE this
 * system has no such conversion; WB_ENOMEM. */
wb_status wb_charset_convert (wb_buf_t *out, int64_t *stray, const char *from, const char *s, size_t n) WB_NODISCARD;

/* Bytes of a unit: 2 in UTF-16, 4 in UTF-32, else 1; big: its first byte is the highest. */
typedef struct wb_wide {
    int bytes;
    bool big;
} wb_wide_t;
wb_wide_t wb_charset_wide (wb_charset c);

/* Append well-formed UTF-8 of what nearly is: U+FFFD for what is not.  Errors: WB_ENOMEM. */
wb_status wb_charset_repair (wb_buf_t *out, const char *s, size_t n) WB_NODISCARD;
/* Line ends of s [n] in place: CRLF becomes LF, also CR CR LF, which files have that were converted twice; a CR alone
 * stays.  Returns how many bytes are left. */
size_t wb_fold_crlf (char *s, size_t n);

#endif
