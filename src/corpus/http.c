/* Answers by HTTP/1 as crawlers keep them: status, type, chunks, gzip and deflate.
 *
 * Not done here: brotli and zstd bodies, which crawlers do not ask for; HTTP/2. */
#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "corpus/http.h"

bool wb_http_field (const char *line, size_t bytes, const char *name, const char **value, size_t *n) {
    const size_t k = strlen (name);
    if (bytes <= k || line[k] != ':' || strncasecmp (line, name, k) != 0) return false;
    const char *s = line + k + 1, *end = line + bytes;
    while (s < end && isspace ((unsigned char) *s)) s++;
    while (end > s && isspace ((unsigned char) end[-1])) end--;
    *value = s;
    *n = (size_t) (end - s);
    return true;
}

/* Lower case, cut to the room. */
static void copy (char *to, size_t room, const char *s, size_t n) {
    if (n >= room) n = room - 1;
    for (size_t i = 0; i < n; i++) to[i] = (char) tolower ((unsigned char) s[i]);
    to[n] = 0;
}

void wb_http_type (wb_http_t *h, const char *value, size_t n) {
    const char *semicolon = memchr (value, ';', n);
    size_t k = semicolon != NULL ? (size_t) (semicolon - value) : n;
    const char *p = value + k, *end = value + n;
    while (k > 0 && isspace ((unsigned char) value[k - 1])) k--;
    copy (h->type, sizeof h->type, value, k);
    for (; p + 8 < end; p++) {
        if (strncasecmp (p, "charset=", 8) != 0) continue;
        for (p += 8; p < end && (*p == '"' || *p == '\''); p++) continue;
        const char *from = p;
        while (p < end && (isalnum ((unsigned char) *p) || strchr ("-_:.", *p) != NULL)) p++;
        copy (h->charset, sizeof h->charset, from, (size_t) (p - from));
        return;
    }
}

void wb_http_parse (wb_http_t *h, const char *s, size_t n) {
    *h = (wb_http_t){0};
    if (n < 12 || strncasecmp (s, "HTTP/", 5) != 0) return;
    const char *blank = memchr (s, ' ', 12);
    if (blank == NULL) return;
    const char *p = s, *end = s + n;
    h->status = atoi (blank + 1); /* the text ends in a 0 byte */
    while (p < end) {
        const char *eol = memchr (p, '\n', (size_t) (end - p)), *value;
        const char *next = eol != NULL ? eol + 1 : end;
        const size_t bytes = (size_t) ((eol != NULL ? eol : end) - p);
        size_t k;
        if (bytes == 0 || (bytes == 1 && *p == '\r')) {
            p = next;
            break;
        }
        if (wb_http_field (p, bytes, "Content-Type", &value, &k)) wb_http_type (h, value, k);
        if (wb_http_field (p, bytes, "Content-Encoding", &value, &k)) copy (h->encoding, sizeof h->encoding, value, k);
        if (wb_http_field (p, bytes, "Transfer-Encoding", &value, &k))
            h->chunked = k >= 7 && strncasecmp (value + k - 7, "chunked", 7) == 0;
        p = next;
    }
    h->body = (size_t) (p - s);
}

/* Put the chunks together; *good = false: these are none.  A body that breaks off is as much as there is of it. */
static wb_status unchunk (wb_buf_t *out, bool *good, const char *s, size_t n) {
    const char *p = s, *end = s + n;
    *good = false;
    while (p < end) {
        size_t size = 0;
        int digits = 0;
        for (; p < end && isxdigit ((unsigned char) *p) && digits < 9; p++, digits++)
            size = size * 16 + (size_t) (isdigit ((unsigned char) *p) ? *p - '0' : (*p | 32) - 'a' + 10);
        const char *eol = memchr (p, '\n', (size_t) (end - p));
        if (digits == 0 || eol == NULL || (*p != '\r' && *p != '\n' && *p != ';' && *p != ' ')) return WB_OK;
        *good = true;
        if (size == 0) return WB_OK;
        p = eol + 1;
        if (size > (size_t) (end - p)) size = (size_t) (end - p);
        WB_TRY (wb_buf_put (out, p, size));
        p += size;
        if (p < end && *p == '\r') p++;
        if (p < end && *p == '\n') p++;
    }
    return WB_OK;
}

/* bits: zlib's window.  *good = false: it is not packed like that. */
static wb_status inflate_all (wb_buf_t *out, bool *good, const char *s, size_t n, int bits, size_t max) {
    enum { ROOM = 1 << 16 };
    z_stream z = {.next_in = (unsigned char *) (uintptr_t) s, .avail_in = (uInt) n};
    *good = false;
    if (inflateInit2 (&z, bits) != Z_OK) return WB_NOMEM ("unpacking a page");
    int code = Z_OK;
    wb_status status = WB_OK;
    wb_buf_clear (out);
    while (code == Z_OK && out->len <= max && status == WB_OK) {
        status = wb_buf_reserve (out, ROOM);
        if (status != WB_OK) break;
        z.next_out = (unsigned char *) out->data + out->len;
        z.avail_out = ROOM;
        code = inflate (&z, Z_NO_FLUSH);
        out->len += ROOM - z.avail_out;
        out->data[out->len] = 0;
    }
    inflateEnd (&z);
    *good = code == Z_STREAM_END || out->len > 0;
    return status;
}

/* s [n] into out, which it is not in; what breaks off is as much as there is of it. */
static wb_status unpack (wb_buf_t *out, const char **fault, const char *encoding, const char *s, size_t n, size_t max) {
    bool good = false;
    wb_buf_clear (out);
    const bool gzip = strcmp (encoding, "gzip") == 0 || strcmp (encoding, "x-gzip") == 0;
    if (gzip && n > 2 && memcmp (s, "\x1f\x8b", 2) == 0) WB_TRY (inflate_all (out, &good, s, n, 15 + 16, max));
    if (strcmp (encoding, "deflate") == 0) {
        WB_TRY (inflate_all (out, &good, s, n, 15, max));
        if (!good && n > 0 && *s != '<') WB_TRY (inflate_all (out, &good, s, n, -15, max)); /* as some servers do */
    }
    const bool plain =
        gzip || encoding[0] == 0 || strcmp (encoding, "deflate") == 0 || strcmp (encoding, "identity") == 0;
    if (good || !plain) {
        if (!plain) *fault = "an encoding of HTTP that is not known";
        return WB_OK;
    }
    wb_buf_clear (out);
    return wb_buf_put (out, s, n);
}

wb_status wb_http_body (wb_buf_t *out, const char **fault, wb_buf_t *spare, const wb_http_t *h, const char *s, size_t n,
                        size_t max) {
    bool chunks = false;
    *fault = NULL;
    s += h->body;
    n -= h->body;
    wb_buf_clear (spare);
    if (h->chunked) WB_TRY (unchunk (spare, &chunks, s, n));
    if (chunks) s = spare->data, n = spare->len;
    WB_TRY (unpack (out, fault, h->encoding, s != NULL ? s : "", n, max));
    if (out->len > max) *fault = "too many bytes, unpacked";
    return WB_OK;
}
