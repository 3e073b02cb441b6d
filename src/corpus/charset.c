/* Encodings: which one a text is in, and conversion by iconv.
 *
 * Byte order marks, UTF-8, UTF-16 with line ends in it and ISO-2022-JP tell themselves.  CP932 (Shift_JIS) and EUC-JP
 * are told by what is valid in one and not in the other, and by the kana that Japanese text is full of.  Only that is
 * converted without being asked.  Where that does not decide, uchardet is asked if it was built in: CP932 and EUC-JP
 * are believed if the text is valid in them; any other answer is only a hint for the user.
 *
 * Not done here: text of several encodings in one file. */
#include "config.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#ifdef HAVE_UCHARDET
#include <uchardet.h>
#endif

#include "corpus/charset.h"
#include "tokenizer/utf8.h"
#include "wabun/text.h"

const char *wb_charset_name (wb_charset c) {
    static const char *const names[WB_CHARSETS] = {"UTF-8", "UTF-16LE", "UTF-16BE",    "UTF-32LE", "UTF-32BE",
                                                   "CP932", "EUC-JP",   "ISO-2022-JP", "",         ""};
    return names[c];
}

wb_wide_t wb_charset_wide (wb_charset c) {
    const int bytes = c == WB_CHARSET_UTF16LE || c == WB_CHARSET_UTF16BE   ? 2
                      : c == WB_CHARSET_UTF32LE || c == WB_CHARSET_UTF32BE ? 4
                                                                           : 1;
    return (wb_wide_t){bytes, c == WB_CHARSET_UTF16BE || c == WB_CHARSET_UTF32BE};
}

/* ---- guessing --------------------------------------------------------------------------------------------------- */

/* Characters of a text, if it is in an encoding. */
typedef struct scan {
    int64_t wide, kana, half, bad; /* two bytes; hiragana, katakana and 、。ー among them; half-width katakana; none */
} scan_t;

static bool in (unsigned char c, unsigned char low, unsigned char high) { return c >= low && c <= high; }

static scan_t scan_cp932 (const unsigned char *s, size_t n) {
    scan_t r = {0};
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x80) continue;
        if (in (s[i], 0xa1, 0xdf)) {
            r.half++;
            continue;
        }
        if (i + 1 == n) break; /* cut short */
        const unsigned char a = s[i], b = s[i + 1];
        if (!(in (a, 0x81, 0x9f) || in (a, 0xe0, 0xfc)) || !in (b, 0x40, 0xfc) || b == 0x7f) {
            r.bad++;
            continue;
        }
        r.wide++;
        r.kana += (a == 0x82 && in (b, 0x9f, 0xf1)) || (a == 0x83 && in (b, 0x40, 0x96)) ||
                  (a == 0x81 && (b == 0x41 || b == 0x42 || b == 0x5b));
        i++;
    }
    return r;
}

static scan_t scan_euc (const unsigned char *s, size_t n) {
    scan_t r = {0};
    for (size_t i = 0; i < n; i++) {
        if (s[i] < 0x80) continue;
        const size_t more = s[i] == 0x8f ? 2 : 1;
        if (i + more >= n) break;
        const unsigned char a = s[i], b = s[i + 1];
        if (a == 0x8e && in (b, 0xa1, 0xdf))
            r.half++;
        else if ((in (a, 0xa1, 0xfe) || a == 0x8f) && in (b, 0xa1, 0xfe) && in (s[i + more], 0xa1, 0xfe)) {
            r.wide++;
            r.kana += a == 0xa4 || a == 0xa5 || (a == 0xa1 && (b == 0xa2 || b == 0xa3 || b == 0xbc));
        } else {
            r.bad++;
            continue;
        }
        i += more;
    }
    return r;
}

/* Could it be that?  Half-width katakana are what EUC-JP looks like in CP932. */
static bool valid (const scan_t *r) { return r->wide > 0 && r->bad <= r->wide / 200 && r->half <= r->wide / 2; }
static bool japanese (const scan_t *r) { return valid (r) && r->kana >= r->wide / 5 && r->kana > 1; }

static bool is_jis (const char *s, size_t n) {
    bool escape = false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char) s[i] >= 0x80) return false;
        if (s[i] == 0x1b && i + 2 < n && s[i + 1] == '$' && (s[i + 2] == 'B' || s[i + 2] == '@')) escape = true;
    }
    return escape;
}

/* UTF-16 without a mark: line ends and blanks have a 0 byte, and nearly all else is kana, ideographs or ASCII. */
static bool is_utf16 (const unsigned char *s, size_t n, size_t high) {
    int64_t good = 0, ascii = 0;
    const int64_t all = (int64_t) n / 2;
    for (size_t i = 0; i + 1 < n; i += 2) {
        const unsigned char h = s[i + high], l = s[i + 1 - high];
        const bool plain = h == 0 && (in (l, 0x20, 0x7e) || in (l, 0x09, 0x0d));
        ascii += plain;
        good += plain || h == 0x30 || in (h, 0x4e, 0x9f) || h == 0xff;
    }
    return ascii > 0 && good >= all - all / 20;
}

static wb_charset ask_library (const char *s, size_t n, const scan_t *sjis, const scan_t *euc, char seems[32]) {
    seems[0] = 0;
#ifdef HAVE_UCHARDET
    uchardet_t u = uchardet_new ();
    if (u == NULL) return WB_CHARSET_UNKNOWN;
    if (uchardet_handle_data (u, s, n) == 0) uchardet_data_end (u);
    snprintf (seems, 32, "%s", uchardet_get_charset (u));
    uchardet_delete (u);
    if (strcasecmp (seems, "SHIFT_JIS") == 0) snprintf (seems, 32, "CP932");
    if (strcmp (seems, "CP932") == 0 && valid (sjis) && sjis->wide >= 20) return WB_CHARSET_CP932;
    if (strcasecmp (seems, "EUC-JP") == 0 && valid (euc) && euc->wide >= 20) return WB_CHARSET_EUC_JP;
    if (strcasecmp (seems, "UTF-8") == 0 || strcasecmp (seems, "ASCII") == 0) seems[0] = 0;
#else
    (void) s, (void) n;
#endif
    const bool western = strncasecmp (seems, "WINDOWS-12", 10) == 0 || strncasecmp (seems, "ISO-8859", 8) == 0;
    if ((seems[0] == 0 || western) && (valid (sjis) || valid (euc)))
        snprintf (seems, 32, "%s", valid (sjis) ? "CP932" : "EUC-JP");
    return WB_CHARSET_UNKNOWN;
}

wb_charset wb_charset_guess (const char *s, size_t n, char seems[32]) {
    const unsigned char *u = (const unsigned char *) s;
    char unused[32];
    if (seems == NULL) seems = unused;
    seems[0] = 0;
    if (wb_bom (s, n) > 0) return WB_CHARSET_UTF8;
    if (n >= 4 && memcmp (s, "\xff\xfe\0\0", 4) == 0) return WB_CHARSET_UTF32LE;
    if (n >= 4 && memcmp (s, "\0\0\xfe\xff", 4) == 0) return WB_CHARSET_UTF32BE;
    if (n >= 2 && memcmp (s, "\xff\xfe", 2) == 0) return WB_CHARSET_UTF16LE;
    if (n >= 2 && memcmp (s, "\xfe\xff", 2) == 0) return WB_CHARSET_UTF16BE;
    if (is_jis (s, n)) return WB_CHARSET_ISO_2022_JP;
    const int64_t stray = wb_text_stray (s, n);
    int64_t high = 0;
    for (size_t i = 0; i < n; i++) high += u[i] >= 0x80;
    if (!wb_text_garbled (stray, (int64_t) n) && (stray <= 1 || stray <= high / 10)) return WB_CHARSET_UTF8;
    if (is_utf16 (u, n, 1)) return WB_CHARSET_UTF16LE;
    if (is_utf16 (u, n, 0)) return WB_CHARSET_UTF16BE;
    const scan_t sjis = scan_cp932 (u, n), euc = scan_euc (u, n);
    if (japanese (&sjis) && (!japanese (&euc) || sjis.kana > euc.kana)) return WB_CHARSET_CP932;
    if (japanese (&euc)) return WB_CHARSET_EUC_JP;
    return ask_library (s, n, &sjis, &euc, seems);
}

/* Which of the encodings that tell themselves a name is of; 0: another. */
static int family (const char *name) {
    static const struct {
        const char *part;
        int family;
    } all[] = {{"UTF8", '8'},   {"UTF-8", '8'}, {"UTF16", 'w'}, {"UTF-16", 'w'}, {"UTF32", 'w'},
               {"UTF-32", 'w'}, {"UCS", 'w'},   {"EUC", 'e'},   {"2022", 'j'},   {"932", 's'},
               {"31J", 's'},    {"SJIS", 's'},  {"SHIFT", 's'}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcasestr (name, all[i].part) != NULL) return all[i].family;
    return 0;
}

bool wb_charset_mistaken (const char *from, const char *s, size_t n, char seems[32]) {
    const int asked = family (from);
    bool plain = true;
    char unused[32];
    for (size_t i = 0; i < n && plain; i++) plain = (unsigned char) s[i] < 0x80 && s[i] != 0x1b;
    if (asked == 0 || (plain && asked != 'w')) return false;
    const wb_charset c = wb_charset_guess (s, n, unused);
    if (c == WB_CHARSET_UNKNOWN || family (wb_charset_name (c)) == asked) return false;
    if (asked == 'w' && c == WB_CHARSET_UTF8 && memchr (s, 0, n) != NULL) return false;
    snprintf (seems, 32, "%s", wb_charset_name (c));
    return true;
}

/* ---- converting ------------------------------------------------------------------------------------------------- */

wb_status wb_charset_find (const char **out, const char *name) {
    static const char *const sjis[] = {"shift_jis", "shift-jis", "sjis",  "x-sjis",
                                       "shiftjis",  "cp932",     "ms932", "windows-31j"};
    *out = name;
    for (size_t i = 0; i < sizeof sjis / sizeof sjis[0]; i++)
        if (strcasecmp (name, sjis[i]) == 0) *out = "CP932"; /* what files that are called Shift_JIS hold */
    if (strcasecmp (name, "x-euc-jp") == 0) *out = "EUC-JP";
    const iconv_t c = iconv_open ("UTF-8", *out);
    if (c == (iconv_t) -1 || name[0] == 0)
        return WB_FAIL (WB_EUSAGE,
                        "`%s` is an encoding that iconv does not know; auto, utf-8, cp932, euc-jp, iso-2022-jp and "
                        "utf-16 are some that it does (iconv -l)",
                        name);
    iconv_close (c);
    return WB_OK;
}

/* Bytes of the character at s[at], which could not be converted. */
static size_t stray_bytes (const char *from, const char *s, size_t at, size_t n) {
    const unsigned char a = (unsigned char) s[at], b = at + 1 < n ? (unsigned char) s[at + 1] : 0;
    if (strncasecmp (from, "UTF-16", 6) == 0) return 2;
    if (strncasecmp (from, "UTF-32", 6) == 0) return 4;
    if (strcmp (from, "CP932") == 0) return (in (a, 0x81, 0x9f) || in (a, 0xe0, 0xfc)) && b >= 0x40 ? 2 : 1;
    if (strncasecmp (from, "EUC", 3) == 0) return a >= 0xa1 && b >= 0xa1 ? 2 : 1;
    if (strncasecmp (from, "ISO-2022-JP", 11) != 0 || s[at] == 0x1b) return 1;
    while (at > 0 && s[at] != 0x1b) at--; /* the escape sequence that it follows */
    return s[at] == 0x1b && s[at + 1] == '$' ? 2 : 1;
}

wb_status wb_charset_repair (wb_buf_t *out, const char *s, size_t n) {
    wb_utf8_t u = {0};
    for (size_t i = 0; i < n; i++) {
        if (out->cap - (int64_t) out->len < 16) WB_TRY (wb_buf_reserve (out, n - i + 64));
        wb_utf8_feed (&u, out, (unsigned char) s[i]);
    }
    WB_TRY (wb_buf_reserve (out, 8));
    wb_utf8_flush (&u, out);
    return WB_OK;
}

/* iconv gives what it takes for UTF-8: characters above U+10FFFF too, for some encodings. */
static wb_status check (wb_buf_t *out, int64_t *stray, size_t start) {
    size_t at;
    WB_TRY (wb_buf_put (out, "", 0));
    if (wb_utf8_valid (out->data + start, out->len - start, &at)) return WB_OK;
    wb_buf_t good = {0};
    wb_status status = wb_charset_repair (&good, out->data + start + at, out->len - start - at);
    out->len = start + at;
    if (status == WB_OK) status = wb_buf_put (out, good.data, good.len);
    wb_buf_fini (&good);
    (*stray)++;
    return status;
}

wb_status wb_charset_convert (wb_buf_t *out, int64_t *stray, const char *from, const char *s, size_t n) {
    const bool euc = strcasecmp (from, "EUC-JP") == 0;
    iconv_t c = iconv_open ("UTF-8", euc ? "EUC-JP-MS" : from); /* with the characters that Windows added */
    if (c == (iconv_t) -1 && euc) c = iconv_open ("UTF-8", from);
    if (c == (iconv_t) -1)
        return WB_FAIL (WB_EUSAGE, "iconv of this system has no %s (glibc-gconv-extra on Fedora); convert elsewhere",
                        from);
    wb_status status = WB_OK;
    const size_t start = out->len;
    for (size_t at = 0; at < n && status == WB_OK;) {
        status = wb_buf_reserve (out, (n - at) + (n - at) / 2 + 64);
        if (status != WB_OK) break;
        char *i = (char *) (uintptr_t) (s + at), *o = out->data + out->len;
        size_t i_left = n - at, o_left = (size_t) out->cap - out->len - 1;
        const size_t r = iconv (c, &i, &i_left, &o, &o_left);
        int error = r == (size_t) -1 ? errno : 0;
        if (error == E2BIG && i_left == n - at) { /* glibc's SHIFT_JISX0213 writes on for ever after some bytes */
            iconv (c, NULL, NULL, NULL, NULL);
            error = EILSEQ;
        } else
            out->len = (size_t) (o - out->data);
        at = n - i_left;
        if (error != EILSEQ && error != EINVAL) continue;
        const size_t skip = error == EINVAL ? n - at : stray_bytes (from, s, at, n);
        status = wb_buf_put (out, "\xef\xbf\xbd", 3);
        at += skip < n - at ? skip : n - at;
        (*stray)++;
    }
    iconv_close (c);
    return status != WB_OK ? status : check (out, stray, start);
}

size_t wb_fold_crlf (char *s, size_t n) {
    const char *from = n > 0 ? memchr (s, '\r', n) : NULL, *end = s + n;
    if (from == NULL) return n;
    size_t to = (size_t) (from - s);
    while (from < end) {
        const char *last = from; /* after a run of CR, or of anything else */
        if (*from == '\r') {
            while (last < end && *last == '\r') last++;
        } else {
            last = memchr (from, '\r', (size_t) (end - from));
            if (last == NULL) last = end;
        }
        const size_t k = (size_t) (last - from);
        if (*from != '\r' || last == end || *last != '\n') {
            memmove (s + to, from, k);
            to += k;
        }
        from = last;
    }
    return to;
}
