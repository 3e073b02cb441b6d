/* UTF-8: strict (no surrogates, no overlong forms, nothing above U+10FFFF), never past the end of what it is given.
 *
 * Malformed input is replaced as Unicode 6.3 (D93b) and Python's errors='replace' do it: one U+FFFD for each maximal
 * subpart, that is for the longest start of a character that could still have become one, or for one byte.
 *
 * Not done here: normalisation, widths, case. */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

/* Length of the character that starts with byte c, and the range of its second byte; 0: no character does. */
static unsigned lead (unsigned char c, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xbf;
    if (c < 0x80) return 1;
    if (c < 0xc2) return 0;
    if (c < 0xe0) return 2;
    if (c < 0xf0) {
        if (c == 0xe0) *low = 0xa0;
        if (c == 0xed) *high = 0x9f;
        return 3;
    }
    if (c > 0xf4) return 0;
    if (c == 0xf0) *low = 0x90;
    if (c == 0xf4) *high = 0x8f;
    return 4;
}

static uint32_t join (const unsigned char *p, unsigned n) {
    if (n == 1) return p[0];
    uint32_t c = p[0] & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) c = c << 6 | (p[i] & 0x3fu);
    return c;
}

uint32_t wb_utf8_get (const char *s, size_t n, size_t *length) {
    const unsigned char *p = (const unsigned char *) s;
    unsigned char low, high;
    unsigned want = lead (p[0], &low, &high);
    *length = 1;
    if (want == 0 || want > n) return WB_UTF8_NONE;
    for (unsigned i = 1; i < want; i++) {
        if (p[i] < low || p[i] > high) return WB_UTF8_NONE;
        low = 0x80;
        high = 0xbf;
    }
    *length = want;
    return join (p, want);
}

size_t wb_utf8_put (char out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char) (0x80 | (c & 0x3f));
    out[0] = (char) ((0xf00u >> n & 0xff) | c);
    return n;
}

bool wb_utf8_valid (const char *s, size_t n, size_t *at) {
    for (size_t i = 0, length; i < n; i += length)
        if (wb_utf8_get (s + i, n - i, &length) == WB_UTF8_NONE) {
            *at = i;
            return false;
        }
    return true;
}

static void append (wb_buf_t *b, const void *p, size_t n) {
    memcpy (b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
}

void wb_utf8_flush (wb_utf8_t *u, wb_buf_t *b) {
    for (unsigned i = 0; i < (u->each ? u->n : u->n > 0); i++) append (b, "\xef\xbf\xbd", 3);
    u->n = 0;
}

void wb_utf8_feed (wb_utf8_t *u, wb_buf_t *b, unsigned char c) {
    if (u->n > 0 && (c < u->low || c > u->high)) wb_utf8_flush (u, b); /* c starts anew */
    if (u->n == 0) {
        u->want = (unsigned char) lead (c, &u->low, &u->high);
        if (u->want == 0) {
            append (b, "\xef\xbf\xbd", 3);
            return;
        }
    } else {
        u->low = 0x80;
        u->high = 0xbf;
    }
    u->held[u->n++] = c;
    if (u->n < u->want) return;
    append (b, u->held, u->n);
    u->n = 0;
}

/* ---- code points ------------------------------------------------------------------------------------------------- */

wb_status wb_cps_reserve (wb_cps_t *v, size_t n) {
    if (n <= v->cap - v->len) return WB_OK;
    if (n > PTRDIFF_MAX / 16 - v->len) return WB_NOMEM ("text buffer");
    size_t cap = v->len + n;
    if (cap < 2 * v->cap) cap = 2 * v->cap;
    if (cap < 64) cap = 64;
    uint32_t *p = wb_realloc (v->data, cap * sizeof *p);
    if (p == NULL) return WB_NOMEM ("text buffer");
    v->data = p;
    v->cap = cap;
    return WB_OK;
}

wb_status wb_cps_put (wb_cps_t *v, const uint32_t *data, size_t n) {
    WB_TRY (wb_cps_reserve (v, n));
    if (n > 0) memcpy (v->data + v->len, data, n * sizeof *data);
    v->len += n;
    return WB_OK;
}

void wb_cps_fini (wb_cps_t *v) {
    wb_free (v->data);
    *v = (wb_cps_t){0};
}
