/* Tokenizers: which kind a name means, and what all kinds share, decoding above all.
 *
 * Every id stands for a raw byte or for a piece of text; a run of bytes is decoded as UTF-8, and whatever is not
 * finished when text follows, or at the end, becomes U+FFFD.  The streaming decoder is the same code with its state
 * kept between calls, so both give the same text.
 *
 * A directory says its kind in wabun-tokenizer.json; without one, ja-bpe.txt beside emoji.json says it. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "tokenizer/tokenizer_priv.h"

#define TAG_FILE "wabun-tokenizer.json"
#define KINDS                                                                                     \
    "kinds known: byte; a directory with ja-bpe.txt and emoji.json; a model directory of wabun, " \
    "which carries its tokenizer"

/* ---- which kind ------------------------------------------------------------------------------------------------ */

static wb_status of_kind (wb_tokenizer_t **out, const char *kind, const char *dir, const char *where) {
    if (strcmp (kind, "byte") == 0) return wb_byte_new (out);
    if (strcmp (kind, "ja-bpe") == 0) return wb_ja_bpe_new (out, dir);
    return WB_FAIL (WB_EUSAGE, "%s: a tokenizer of kind \"%s\" is not known; " KINDS, where, kind);
}

static wb_status from_tag (wb_tokenizer_t **out, const char *dir, const char *path) {
    char *data;
    size_t n;
    WB_TRY (wb_file_read (&data, &n, path));
    json_error_t at;
    json_t *tag = json_loadb (data, n, 0, &at);
    wb_free (data);
    if (tag == NULL) return WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
    const char *kind = json_string_value (json_object_get (tag, "kind"));
    wb_status status =
        kind != NULL ? of_kind (out, kind, dir, path) : WB_FAIL (WB_EDATA, "%s: no string \"kind\" in it", path);
    json_decref (tag);
    return status;
}

wb_status wb_tokenizer_new (wb_tokenizer_t **out, const char *spec) {
    *out = NULL;
    if (strcmp (spec, "byte") == 0) return wb_byte_new (out);
    if (!wb_file_exists (spec))
        return WB_FAIL (WB_EIO, "tokenizer %s: no such file or directory; " KINDS, spec[0] != 0 ? spec : "\"\"");
    if (!wb_file_is_dir (spec))
        return WB_FAIL (WB_EUSAGE, "tokenizer %s: this kind of file is not known; " KINDS, spec);
    char *tag = wb_format ("%s/" TAG_FILE, spec), *words = wb_format ("%s/ja-bpe.txt", spec);
    wb_status status = tag != NULL && words != NULL ? WB_OK : WB_NOMEM ("tokenizer");
    if (status == WB_OK) {
        if (wb_file_exists (tag))
            status = from_tag (out, spec, tag);
        else if (wb_file_exists (words))
            status = wb_ja_bpe_new (out, spec);
        else
            status = WB_FAIL (WB_EUSAGE, "tokenizer %s: no tokenizer in this directory; " KINDS, spec);
    }
    wb_free (tag);
    wb_free (words);
    return status;
}

void wb_tokenizer_destroy (wb_tokenizer_t *t) {
    if (t != NULL) t->ops->destroy (t);
}

wb_status wb_tokenizer_save (const wb_tokenizer_t *t, const char *dir) {
    WB_TRY (t->ops->save (t, dir));
    char text[64], *path = wb_format ("%s/" TAG_FILE, dir);
    if (path == NULL) return WB_NOMEM ("tokenizer");
    int n = snprintf (text, sizeof text, "{\"kind\": \"%s\"}\n", t->ops->kind);
    wb_status status = wb_file_write (path, text, (size_t) n);
    wb_free (path);
    return status;
}

bool wb_tokenizer_by_lines (const wb_tokenizer_t *t) { return t->by_lines; }

int32_t wb_tokenizer_size (const wb_tokenizer_t *t) { return t->size; }
int32_t wb_tokenizer_eot (const wb_tokenizer_t *t) { return t->eot; }
const char *wb_tokenizer_kind (const wb_tokenizer_t *t) { return t->ops->kind; }

int32_t wb_tokenizer_id_bytes (const wb_tokenizer_t *t, int32_t id) {
    if (id < 0 || id >= t->size || id == t->eot) return 0;
    wb_piece_t p = t->ops->piece (t, id);
    return p.len >= 0 ? p.len : 1;
}

/* ---- encoding and decoding ------------------------------------------------------------------------------------- */

wb_status wb_tokenizer_encode (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean) {
    return t->ops->encode (t, out, text, n, clean);
}

/* Append the text that id completes. */
static wb_status decode_one (const wb_tokenizer_t *t, wb_utf8_t *u, wb_buf_t *out, int32_t id) {
    wb_piece_t p = t->ops->piece (t, id);
    WB_TRY (wb_buf_reserve (out, (size_t) (p.len > 0 ? p.len : 0) + 8));
    if (p.len < 0) {
        wb_utf8_feed (u, out, p.byte);
        return WB_OK;
    }
    wb_utf8_flush (u, out);
    memcpy (out->data + out->len, p.text, (size_t) p.len);
    out->len += (size_t) p.len;
    out->data[out->len] = 0;
    return WB_OK;
}

wb_status wb_tokenizer_decode (const wb_tokenizer_t *t, wb_buf_t *out, const int32_t *ids, int64_t n) {
    wb_utf8_t u = {0};
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= t->size)
            return WB_FAIL (WB_EDATA, "id %d at position %lld is not in the vocabulary, which has 0 .. %d",
                            (int) ids[i], (long long) i, (int) t->size - 1);
        WB_TRY (decode_one (t, &u, out, ids[i]));
    }
    WB_TRY (wb_buf_reserve (out, 3));
    wb_utf8_flush (&u, out);
    return WB_OK;
}

struct wb_stream {
    const wb_tokenizer_t *t;
    wb_utf8_t u;
};

wb_status wb_stream_new (wb_stream_t **out, const wb_tokenizer_t *t) {
    *out = wb_malloc (sizeof **out);
    if (*out == NULL) return WB_NOMEM ("streaming decoder");
    **out = (wb_stream_t){.t = t};
    return WB_OK;
}

void wb_stream_destroy (wb_stream_t *s) { wb_free (s); }

wb_status wb_stream_put (wb_stream_t *s, wb_buf_t *out, int32_t id, bool flush) {
    if (id >= s->t->size)
        return WB_FAIL (WB_EDATA, "id %d is not in the vocabulary, which has 0 .. %d", (int) id, (int) s->t->size - 1);
    if (id >= 0) WB_TRY (decode_one (s->t, &s->u, out, id));
    if (id >= 0 && !flush) return WB_OK;
    WB_TRY (wb_buf_reserve (out, 3));
    wb_utf8_flush (&s->u, out);
    return WB_OK;
}
