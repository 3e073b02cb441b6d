/* The tokenizer `byte`: ids 0 .. 255 are the bytes, 256 is <|endoftext|>.
 *
 * It needs no file and knows every language; what it cannot do is be short.  Text is taken byte for byte: nothing is
 * cleaned or changed, and "<|endoftext|>" written in the text is 13 ordinary bytes. */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

static void destroy (wb_tokenizer_t *t) { wb_free (t); }

static wb_status encode (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean) {
    (void) t, (void) clean;
    if (n == 0) return WB_OK;
    if (n > INT64_MAX) return WB_NOMEM ("token buffer");
    WB_TRY (wb_ids_reserve (out, (int64_t) n));
    int32_t *p = out->data + out->len;
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char) text[i];
    out->len += (int64_t) n;
    return WB_OK;
}

static wb_piece_t piece (const wb_tokenizer_t *t, int32_t id) {
    if (id == t->eot) return (wb_piece_t){.text = WB_EOT_TEXT, .len = WB_EOT_LEN};
    return (wb_piece_t){.len = -1, .byte = (unsigned char) id};
}

static int32_t find (const wb_tokenizer_t *t, const char *name) {
    return strcmp (name, WB_EOT_TEXT) == 0 ? t->eot : -1;
}

static bool probe (const wb_place_t *place) { return !place->memory && strcmp (place->spec, "byte") == 0; }

static wb_status new_from (wb_tokenizer_t **out, const wb_place_t *place) {
    (void) place;
    *out = wb_malloc (sizeof **out);
    if (*out == NULL) return WB_NOMEM ("tokenizer");
    **out = (wb_tokenizer_t){.kind = &wb_tokenizer_byte, .size = 257, .eot = 256, .unknown = -1, .by_lines = true};
    return WB_OK;
}

const wb_tokenizer_kind_t wb_tokenizer_byte = {
    .name = "byte",
    .what = "byte",
    .probe = probe,
    .open = new_from,
    .destroy = destroy,
    .encode = encode,
    .piece = piece,
    .find = find,
};
