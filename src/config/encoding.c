/* Characters of a configuration that are not what they look like.
 *
 * A configuration written with a Japanese keyboard may be in another encoding, or have full-width spaces, digits and
 * quotation marks where libconfig wants ASCII; its "syntax error" would not tell.  Inside quotes and comments every
 * character of UTF-8 is welcome.
 *
 * Not here: conversion; the user is told what to do. */
#include "config.h"

#include <string.h>

#include "config/source.h"
#include "tokenizer/utf8.h"

/* ---- the encoding of a file -------------------------------------------------------------------------------------- */

static bool between (unsigned char c, unsigned low, unsigned high) { return c >= low && c <= high; }

/* Could the whole text be Shift_JIS, or EUC-JP? */
static bool is_shift_jis (const unsigned char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x80 || between (s[i], 0xa1, 0xdf)) continue;
        if (!between (s[i], 0x81, 0x9f) && !between (s[i], 0xe0, 0xfc)) return false;
        if (++i == n || !between (s[i], 0x40, 0xfc) || s[i] == 0x7f) return false;
    }
    return true;
}

static bool is_euc_jp (const unsigned char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x80) continue;
        size_t more = s[i] == 0x8f ? 2 : 1;
        if (s[i] != 0x8e && s[i] != 0x8f && !between (s[i], 0xa1, 0xfe)) return false;
        for (; more > 0; more--)
            if (++i == n || !between (s[i], 0xa1, 0xfe)) return false;
    }
    return true;
}

static int line_of (const char *text, const char *at) {
    int line = 1;
    for (; text < at; text++) line += *text == '\n';
    return line;
}

wb_status wb_encoding_check (const char *text, size_t bytes, const char *path) {
    const unsigned char *u = (const unsigned char *) text;
    const char *zero = memchr (text, 0, bytes), *bad = NULL;
    if (bytes >= 2 && ((u[0] == 0xff && u[1] == 0xfe) || (u[0] == 0xfe && u[1] == 0xff)))
        return WB_FAIL (WB_EUSAGE, "%s:1: the file is in UTF-16: save it as UTF-8", path);
    if (zero != NULL)
        return WB_FAIL (WB_EUSAGE, "%s:%d: byte %zu is 0: this is not a configuration", path, line_of (text, zero),
                        (size_t) (zero - text));
    for (size_t i = 0, n = 0; i < bytes && bad == NULL; i += n) {
        if (wb_utf8_get (text + i, bytes - i, &n) == WB_UTF8_NONE) bad = text + i;
        if (u[i] == 0x1b && i + 1 < bytes && (u[i + 1] == '$' || u[i + 1] == '('))
            return WB_FAIL (WB_EUSAGE, "%s:%d: the file is in ISO-2022-JP: save it as UTF-8", path,
                            line_of (text, text + i));
    }
    if (bad == NULL) return WB_OK;
    const char *what = is_euc_jp (u, bytes) ? "EUC-JP" : is_shift_jis (u, bytes) ? "Shift_JIS" : NULL;
    if (what != NULL)
        return WB_FAIL (WB_EUSAGE, "%s:%d: the file looks like %s: save it as UTF-8, or iconv -f %s -t UTF-8 %s >NEW",
                        path, line_of (text, bad), what, what[0] == 'S' ? "CP932" : what, path);
    return WB_FAIL (WB_EUSAGE, "%s:%d: byte 0x%02x is not UTF-8: save the file as UTF-8", path, line_of (text, bad),
                    (unsigned char) *bad);
}

/* ---- characters outside quotes ----------------------------------------------------------------------------------- */

/* What is typed instead of it: a character, 0: nothing, -1: not one that looks like ASCII. */
static int meant (uint32_t c) {
    static const struct {
        uint32_t first, last;
        int ascii;
    } alike[] = {{0xa0, 0xa0, ' '},     {0x2000, 0x200a, ' '}, {0x200b, 0x200d, 0},   {0x2010, 0x2015, '-'},
                 {0x2018, 0x201f, '"'}, {0x2032, 0x2036, '"'}, {0x202f, 0x202f, ' '}, {0x2212, 0x2212, '-'},
                 {0x3000, 0x3000, ' '}, {0x3001, 0x3001, ','}, {0x3002, 0x3002, ';'}, {0x300c, 0x300f, '"'},
                 {0x301d, 0x301f, '"'}, {0x30fc, 0x30fc, '-'}, {0xfeff, 0xfeff, 0},   {0xff07, 0xff07, '"'},
                 {0xff61, 0xff61, ';'}, {0xff62, 0xff63, '"'}, {0xff64, 0xff64, ','}, {0xff70, 0xff70, '-'}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        if (c >= alike[i].first && c <= alike[i].last) return alike[i].ascii;
    return c >= 0xff01 && c <= 0xff5e ? (int) (c - 0xff00 + 0x20) : -1;
}

wb_status wb_encoding_refuse (const char *s, size_t bytes, const char *where) {
    size_t n;
    const uint32_t c = wb_utf8_get (s, bytes, &n);
    const int ascii = meant (c);
    if (ascii == 0) return WB_FAIL (WB_EUSAGE, "%s: an invisible character (U+%04X): remove it", where, (unsigned) c);
    if (ascii == ' ')
        return WB_FAIL (WB_EUSAGE, "%s: `%.*s` (U+%04X) is not a plain space: type ` ` instead", where, (int) n, s,
                        (unsigned) c);
    if (ascii > 0)
        return WB_FAIL (WB_EUSAGE, "%s: `%.*s` (U+%04X) is not `%c`: type `%c` instead", where, (int) n, s,
                        (unsigned) c, ascii, ascii);
    return WB_FAIL (WB_EUSAGE, "%s: `%.*s` (U+%04X) is outside quotes: write texts as \"...\"", where, (int) n, s,
                    (unsigned) c);
}

size_t wb_encoding_quote (const char *s, size_t bytes) {
    size_t n = 0;
    if ((unsigned char) *s < 0x80) return 0;
    const uint32_t c = wb_utf8_get (s, bytes, &n);
    return (c >= 0x201c && c <= 0x201f) || (c >= 0x301d && c <= 0x301f) || c == 0xff02 ? n : 0;
}
