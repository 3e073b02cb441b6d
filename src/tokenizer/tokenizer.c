/* Tokenizers: what all kinds share, decoding above all.
 *
 * Every id stands for a raw byte or for a piece of text; a run of bytes is decoded as UTF-8, and whatever is not
 * finished when text follows, or at the end, becomes U+FFFD.  Some kinds take a space from the beginning of a text. The
 * streaming decoder is the same code with its state kept between calls, so both give the same text.
 *
 * Not done here: which kind a name means (kinds.c). */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

void wb_tokenizer_destroy (wb_tokenizer_t *t) {
    if (t != NULL) t->kind->destroy (t);
}

bool wb_tokenizer_by_lines (const wb_tokenizer_t *t) { return t->by_lines; }

int32_t wb_tokenizer_size (const wb_tokenizer_t *t) { return t->size; }
int32_t wb_tokenizer_eot (const wb_tokenizer_t *t) { return t->eot; }
const char *wb_tokenizer_kind (const wb_tokenizer_t *t) { return t->kind->name; }

static wb_status outside (const wb_tokenizer_t *t, int32_t id) {
    return WB_FAIL (WB_EDATA, "id %d is not in the vocabulary, which has 0 .. %d", (int) id, (int) t->size - 1);
}

int32_t wb_tokenizer_id_bytes (const wb_tokenizer_t *t, int32_t id) {
    if (id < 0 || id >= t->size || id == t->eot) return 0;
    wb_piece_t p = t->kind->piece (t, id);
    return p.len >= 0 ? p.len : 1;
}

/* Every byte, for ids that are one. */
#define ROW(x) \
    x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7, x + 8, x + 9, x + 10, x + 11, x + 12, x + 13, x + 14, x + 15
static const unsigned char every[256] = {ROW (0x00), ROW (0x10), ROW (0x20), ROW (0x30), ROW (0x40), ROW (0x50),
                                         ROW (0x60), ROW (0x70), ROW (0x80), ROW (0x90), ROW (0xa0), ROW (0xb0),
                                         ROW (0xc0), ROW (0xd0), ROW (0xe0), ROW (0xf0)};

wb_status wb_tokenizer_piece (const wb_tokenizer_t *t, const char **bytes, size_t *n, int32_t id) {
    if (id < 0 || id >= t->size) return outside (t, id);
    const wb_piece_t p = t->kind->piece (t, id);
    *bytes = p.len >= 0 ? p.text : (const char *) &every[p.byte];
    *n = p.len >= 0 ? (size_t) p.len : 1;
    return WB_OK;
}

/* ---- encoding and decoding ------------------------------------------------------------------------------------- */

wb_status wb_tokenizer_encode (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean) {
    return t->kind->encode (t, out, text, n, clean);
}

/* Where in a text decoding is. */
typedef struct decoder {
    wb_utf8_t u;
    bool trimmed, begun; /* a space has been taken away; there is text */
} decoder_t;

static decoder_t decoder_begin (const wb_tokenizer_t *t) { return (decoder_t){.u = {.each = t->each_byte}}; }

/* Append the text that id completes. */
static wb_status decode_one (const wb_tokenizer_t *t, decoder_t *d, wb_buf_t *out, int32_t id) {
    wb_piece_t p = t->kind->piece (t, id);
    WB_TRY (wb_buf_reserve (out, (size_t) (p.len > 0 ? p.len : 0) + 16));
    if (p.len < 0) {
        d->begun = true;
        wb_utf8_feed (&d->u, out, p.byte);
        return WB_OK;
    }
    wb_utf8_flush (&d->u, out);
    if (t->trims != WB_TRIM_NONE && !d->begun && p.len > 0 && p.text[0] == ' ' && id != t->unknown &&
        (t->trims == WB_TRIM_ALL || !d->trimmed)) {
        p.text++, p.len--;
        d->trimmed = true;
    }
    d->begun = d->begun || p.len > 0;
    memcpy (out->data + out->len, p.text, (size_t) p.len);
    out->len += (size_t) p.len;
    out->data[out->len] = 0;
    return WB_OK;
}

static wb_status decoder_end (const wb_tokenizer_t *t, decoder_t *d, wb_buf_t *out) {
    WB_TRY (wb_buf_reserve (out, 9));
    wb_utf8_flush (&d->u, out);
    *d = decoder_begin (t);
    return WB_OK;
}

wb_status wb_tokenizer_decode (const wb_tokenizer_t *t, wb_buf_t *out, const int32_t *ids, int64_t n) {
    decoder_t d = decoder_begin (t);
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= t->size)
            return WB_FAIL (WB_EDATA, "id %d at position %lld is not in the vocabulary, which has 0 .. %d",
                            (int) ids[i], (long long) i, (int) t->size - 1);
        WB_TRY (decode_one (t, &d, out, ids[i]));
    }
    return decoder_end (t, &d, out);
}

struct wb_stream {
    const wb_tokenizer_t *t;
    decoder_t d;
};

wb_status wb_stream_new (wb_stream_t **out, const wb_tokenizer_t *t) {
    *out = wb_malloc (sizeof **out);
    if (*out == NULL) return WB_NOMEM ("streaming decoder");
    **out = (wb_stream_t){.t = t, .d = decoder_begin (t)};
    return WB_OK;
}

void wb_stream_destroy (wb_stream_t *s) { wb_free (s); }

wb_status wb_stream_put (wb_stream_t *s, wb_buf_t *out, int32_t id, bool flush) {
    if (id >= s->t->size) return outside (s->t, id);
    if (id >= 0) WB_TRY (decode_one (s->t, &s->d, out, id));
    return id < 0 || flush ? decoder_end (s->t, &s->d, out) : WB_OK;
}
