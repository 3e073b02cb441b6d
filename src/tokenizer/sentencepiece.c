/* SentencePiece: models of that library (*.model), unigram, BPE, words or characters, encoded by the library itself.
 *
 * Decoding is done here, piece by piece, so that text can be streamed, with the library's result: control pieces are
 * nothing, the unknown id is what the library shows for it, U+2581 is a space, and the space that the library put in
 * front of a text is taken away again (`trims` of tokenizer_priv.h).  Where it does that is found out by asking the
 * library to decode, since its settings cannot be read.
 *
 * The end of a text is <|endoftext|> if the model has such a piece, else </s>.  A text is encoded as a whole: the
 * library puts a space in front of it and folds spaces, so lines would get other ids.
 *
 * Not done here: training models, a denormaliser in a model, restricted vocabularies. */
#include "config.h"

#include <string.h>

#include "tokenizer/sentencepiece_shim.h"
#include "tokenizer/tokenizer_priv.h"

#define MODEL "spiece.model"

/* NULL: none, or no memory, which is the error record. */
static char *model_at (const wb_place_t *place) {
    char *name;
    if (wb_place_has (place, MODEL)) {
        if ((name = wb_strdup (MODEL)) == NULL) (void) WB_NOMEM ("vocabulary");
        return name;
    }
    if (wb_place_find (&name, place, "", ".model") == 1) return name;
    wb_free (name);
    return NULL;
}

static bool probe (const wb_place_t *place) {
    char *name = wb_place_has (place, MODEL) ? NULL : model_at (place);
    const bool found = name != NULL || wb_place_has (place, MODEL);
    wb_free (name);
    return found;
}

#ifdef HAVE_SENTENCEPIECE
#define SPACE "\xe2\x96\x81" /* U+2581 in pieces */
#define TEXT_MAX ((size_t) 1 << 30)

typedef struct model {
    wb_tokenizer_t base;
    wb_sp_t *sp;
    char *file; /* as it was, for saving */
    size_t file_bytes;
    wb_piece_t *pieces;
    wb_buf_t texts; /* of the pieces, one after the other */
} model_t;

static void destroy (wb_tokenizer_t *base) {
    model_t *t = (model_t *) base;
    if (t->sp != NULL) wb_sp_close (t->sp);
    wb_free (t->file);
    wb_free (t->pieces);
    wb_buf_fini (&t->texts);
    wb_free (t);
}

static int put_ids (void *ctx, const int32_t *ids, size_t n) {
    wb_ids_t *out = ctx;
    if (wb_ids_reserve (out, (int64_t) n) != WB_OK) return 1;
    if (n > 0) memcpy (out->data + out->len, ids, n * sizeof *ids);
    out->len += (int64_t) n;
    return 0;
}

static int put_text (void *ctx, const char *text, size_t n) { return wb_buf_put (ctx, text, n) != WB_OK; }

static wb_status encode (const wb_tokenizer_t *base, wb_ids_t *out, const char *text, size_t n, bool clean) {
    (void) clean;
    char error[WB_SP_ERROR];
    if (n == 0) return WB_OK;
    if (n > TEXT_MAX)
        return WB_FAIL (WB_EDATA, "a text of %zu bytes; SentencePiece takes texts of at most %zu: divide it", n,
                        TEXT_MAX);
    switch (wb_sp_encode (((const model_t *) base)->sp, put_ids, out, error, text, n)) {
    case WB_SP_OK: return WB_OK;
    case WB_SP_NOMEM: return WB_NOMEM ("text of %zu bytes", n);
    case WB_SP_BAD: break;
    }
    return WB_FAIL (WB_EDATA, "SentencePiece cannot encode a text of %zu bytes: %s", n, error);
}

static wb_piece_t piece (const wb_tokenizer_t *base, int32_t id) { return ((const model_t *) base)->pieces[id]; }

static int32_t find (const wb_tokenizer_t *base, const char *name) {
    return wb_sp_find (((const model_t *) base)->sp, name);
}

static const char *file (const wb_tokenizer_t *base, size_t *n, int i) {
    const model_t *t = (const model_t *) base;
    (void) i;
    *n = t->file_bytes;
    return t->file;
}

/* What the library makes of some ids, appended to `out`. */
static wb_status decode (const model_t *t, wb_buf_t *out, const int32_t *ids, size_t n) {
    char error[WB_SP_ERROR];
    switch (wb_sp_decode (t->sp, put_text, out, error, ids, n)) {
    case WB_SP_OK: return WB_OK;
    case WB_SP_NOMEM: return WB_NOMEM ("text buffer");
    case WB_SP_BAD: break;
    }
    return WB_FAIL (WB_EDATA, "SentencePiece cannot decode id %d: %s", (int) ids[0], error);
}

static wb_status read_piece (model_t *t, const char *path, int32_t id) {
    const char *s;
    size_t n;
    wb_piece_t *p = &t->pieces[id];
    const wb_sp_kind kind = wb_sp_piece (t->sp, &s, &n, id);
    const size_t from = t->texts.len;
    unsigned byte;
    char name[8];
    if (kind == WB_SP_BYTE) {
        snprintf (name, sizeof name, "%.*s", n < sizeof name ? (int) n : 0, s);
        if (sscanf (name, "<0x%2X>", &byte) != 1)
            return WB_FAIL (WB_EDATA, "%s: id %d is a byte called %.*s", path, (int) id, (int) n, s);
        *p = (wb_piece_t){.len = -1, .byte = (unsigned char) byte};
        return WB_OK;
    }
    if (kind == WB_SP_UNKNOWN) {
        t->base.unknown = id;
        WB_TRY (decode (t, &t->texts, &id, 1));
    }
    for (size_t i = 0; kind == WB_SP_TEXT && i < n;) {
        const bool space = n - i >= 3 && memcmp (s + i, SPACE, 3) == 0;
        WB_TRY (wb_buf_put (&t->texts, space ? " " : s + i, 1));
        i += space ? 3 : 1;
    }
    const size_t length = t->texts.len - from;
    size_t at;
    if (length > INT32_MAX) return WB_FAIL (WB_EDATA, "%s: id %d is too long", path, (int) id);
    if (length > 0 && !wb_utf8_valid (t->texts.data + from, length, &at))
        return WB_FAIL (WB_EDATA, "%s: the piece of id %d is not UTF-8", path, (int) id);
    *p = (wb_piece_t){.len = (int32_t) length};
    return WB_OK;
}

/* Does the library take away the space that a text begins with, and all of them? */
static wb_status find_trims (model_t *t) {
    int32_t blank = -1, word = -1; /* a piece that is a space; one that begins with a space */
    for (int32_t id = 0; id < t->base.size && (blank < 0 || word < 0); id++) {
        const wb_piece_t *p = &t->pieces[id];
        if (p->len < 1 || p->text[0] != ' ') continue;
        const char *s;
        size_t n;
        if (wb_sp_piece (t->sp, &s, &n, id) != WB_SP_TEXT) continue;
        if (p->len == 1)
            blank = id;
        else
            word = id;
    }
    wb_buf_t text = {0};
    wb_status status = WB_OK;
    const int32_t first = blank >= 0 ? blank : word, twice[] = {first, first};
    if (first >= 0) {
        status = decode (t, &text, twice, 2);
        const size_t full = 2 * (size_t) t->pieces[first].len;
        if (status == WB_OK && text.len < full) t->base.trims = text.len < full - 1 ? WB_TRIM_ALL : WB_TRIM_ONE;
    }
    wb_buf_fini (&text);
    return status;
}

static wb_status load (model_t *t, const wb_place_t *place, const char *name, const char *path) {
    char error[WB_SP_ERROR];
    WB_TRY (wb_place_read (&t->file, &t->file_bytes, place, name));
    switch (wb_sp_open (&t->sp, error, t->file, t->file_bytes)) {
    case WB_SP_OK: break;
    case WB_SP_NOMEM: return WB_NOMEM ("%s", path);
    case WB_SP_BAD: return WB_FAIL (WB_EDATA, "%s: no SentencePiece model, or a damaged one: %s", path, error);
    }
    t->base.size = wb_sp_size (t->sp);
    if (t->base.size <= 0) return WB_FAIL (WB_EDATA, "%s: a model without pieces", path);
    t->base.eot = wb_sp_find (t->sp, WB_EOT_TEXT);
    if (t->base.eot < 0) t->base.eot = wb_sp_eos (t->sp);
    if (t->base.eot < 0)
        return WB_FAIL (WB_EDATA, "%s: no end of text: the model needs </s> (--eos_id) or " WB_EOT_TEXT, path);
    t->pieces = wb_calloc ((size_t) t->base.size, sizeof *t->pieces);
    if (t->pieces == NULL) return WB_NOMEM ("%s", path);
    for (int32_t id = 0; id < t->base.size; id++) WB_TRY (read_piece (t, path, id));
    WB_TRY (wb_buf_reserve (&t->texts, 0));
    const char *s = t->texts.data;
    for (int32_t id = 0; id < t->base.size; id++)
        if (t->pieces[id].len >= 0) t->pieces[id].text = s, s += t->pieces[id].len;
    return find_trims (t);
}

static wb_status new_from (wb_tokenizer_t **out, const wb_place_t *place) {
    model_t *t = wb_calloc (1, sizeof *t);
    if (t == NULL) return WB_NOMEM ("vocabulary");
    t->base = (wb_tokenizer_t){.kind = &wb_tokenizer_sentencepiece, .unknown = -1, .each_byte = true};
    char *name = model_at (place), *path = name != NULL ? wb_place_path (place, name) : NULL;
    if (name != NULL && path == NULL) (void) WB_NOMEM ("vocabulary");
    wb_status status =
        path != NULL ? load (t, place, name, path) : WB_FAIL (WB_EIO, "%s: no " MODEL " there", place->spec);
    wb_free (name);
    wb_free (path);
    if (status == WB_OK)
        *out = &t->base;
    else
        destroy (&t->base);
    return status;
}

#else

static wb_status new_from (wb_tokenizer_t **out, const wb_place_t *place) {
    (void) out;
    return WB_FAIL (WB_EUSAGE,
                    "tokenizer %s: this wabun was built without SentencePiece; install it (Debian: "
                    "libsentencepiece-dev), then configure and make again",
                    place->spec);
}
#endif

const wb_tokenizer_kind_t wb_tokenizer_sentencepiece = {
    .name = "sentencepiece",
    .what = "a SentencePiece *.model",
    .files = {MODEL},
    .probe = probe,
    .open = new_from,
#ifdef HAVE_SENTENCEPIECE
    .destroy = destroy,
    .encode = encode,
    .piece = piece,
    .find = find,
    .file = file,
#endif
};
