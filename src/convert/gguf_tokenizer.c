/* A tokenizer in GGUF: as llama.cpp's kind "rwkv", a greedy longest match over bytes; SentencePiece as its own kinds
 * (gguf_sentencepiece.c).
 *
 * Each token is a text with escapes.  No two may be the same, and of bytes the word wins: a byte that a word or a blank
 * stands for already has its own name as text, which no one writes.
 *
 * What the kind cannot: several spellings of one id.  U+3000, CR, CRLF, dashes and emoji of ja-bpe are such. */
#include "config.h"

#include <string.h>

#include "convert/gguf.h"
#include "convert/ja_bpe_files.h"

enum { NORMAL = 1, CONTROL = 3 };

static wb_status put_escaped (wb_buf_t *out, const wb_span_t *text) {
    for (size_t i = 0; i < text->n; i++) {
        const unsigned char c = (unsigned char) text->s[i];
        char escaped[8];
        if (c == '\\')
            snprintf (escaped, sizeof escaped, "\\\\");
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf (escaped, sizeof escaped, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < ' ' || c == 0x7f)
            snprintf (escaped, sizeof escaped, "\\x%02x", c);
        else
            snprintf (escaped, sizeof escaped, "%c", (char) c);
        WB_TRY (wb_buf_put (out, escaped, strlen (escaped)));
    }
    return WB_OK;
}

/* ---- texts of all tokens ----------------------------------------------------------------------------------------- */

typedef struct texts {
    char **list; /* [n] */
    int n;
    json_t *taken; /* a set of them */
} texts_t;

/* Give token id this text, or, where that is taken, its own name. */
static wb_status give (texts_t *t, int id, const char *text, const wb_span_t *name) {
    wb_buf_t own = {0};
    wb_status status = WB_OK;
    if (json_object_get (t->taken, text) != NULL) {
        status = put_escaped (&own, name);
        if (status == WB_OK && json_object_get (t->taken, own.data) != NULL)
            status = WB_FAIL (WB_EDATA, "token %d: its text is that of another one", id);
        text = own.data;
    }
    if (status == WB_OK) {
        t->list[id] = wb_strdup (text);
        if (t->list[id] == NULL || json_object_set_new (t->taken, text, json_true ()) != 0)
            status = WB_NOMEM ("vocabulary");
    }
    wb_buf_fini (&own);
    return status;
}

static wb_status give_byte (texts_t *t, int id, int byte, const wb_span_t *name) {
    char text[8];
    snprintf (text, sizeof text, "\\x%02x", byte);
    const char raw[2] = {(char) byte, 0};
    wb_buf_t plain = {0};
    wb_status status = put_escaped (&plain, &(wb_span_t){raw, 1});
    /* A word of this byte is written plainly. */
    if (status == WB_OK && json_object_get (t->taken, plain.data) != NULL)
        snprintf (text, sizeof text, "%s", plain.data);
    wb_buf_fini (&plain);
    return status == WB_OK ? give (t, id, text, name) : status;
}

static wb_status byte_texts (texts_t *t) {
    const wb_span_t eot = {WB_EOT, strlen (WB_EOT)};
    for (int id = 0; id < 256; id++) WB_TRY (give_byte (t, id, id, &eot));
    return give (t, 256, WB_EOT, &eot);
}

static wb_status ja_bpe_texts (texts_t *t, const wb_ja_bpe_files_t *f) {
    wb_buf_t text = {0};
    wb_status status = WB_OK;
    for (int id = 0; id < f->nwords && status == WB_OK; id++) {
        const wb_span_t face = wb_ja_bpe_face (f, id);
        if (wb_ja_bpe_byte (f, id) >= 0) continue;
        wb_buf_clear (&text);
        status = put_escaped (&text, face.s != NULL ? &face : &f->words[id]);
        if (status == WB_OK) status = give (t, id, text.len > 0 ? text.data : "", &f->words[id]);
    }
    wb_buf_fini (&text);
    for (int id = 0; id < f->nwords && status == WB_OK; id++)
        if (wb_ja_bpe_byte (f, id) >= 0) status = give_byte (t, id, wb_ja_bpe_byte (f, id), &f->words[id]);
    return status;
}

/* Of any other kind: what an id is in decoded text.  Bytes come last, words go before them. */
static wb_status piece_texts (texts_t *t, const wb_tokenizer_t *tokenizer) {
    wb_buf_t text = {0};
    wb_status status = WB_OK;
    const int n = wb_tokenizer_size (tokenizer), eot = wb_tokenizer_eot (tokenizer);
    for (int pass = 0; pass < 2; pass++)
        for (int id = 0; id < n && status == WB_OK; id++) {
            wb_span_t piece;
            char name[32];
            snprintf (name, sizeof name, "<|id%d|>", id);
            const wb_span_t own = {name, strlen (name)};
            status = wb_tokenizer_piece (tokenizer, &piece.s, &piece.n, id);
            const bool byte = status == WB_OK && piece.n == 1 && ((unsigned char) piece.s[0] & 0x80) != 0;
            if (status != WB_OK || byte != (pass == 1)) continue;
            wb_buf_clear (&text);
            status = put_escaped (&text, id == eot     ? &(wb_span_t){WB_EOT, strlen (WB_EOT)}
                                         : piece.n > 0 ? &piece
                                                       : &own);
            if (status == WB_OK && byte)
                status = give_byte (t, id, (unsigned char) piece.s[0], &own);
            else if (status == WB_OK)
                status = give (t, id, text.data, &own);
        }
    wb_buf_fini (&text);
    return status;
}

/* The tokenizer's files, written beside the output, to be read back from there. */
static wb_status save_beside (wb_outdir_t *d, const wb_tokenizer_t *tokenizer, const char *out) {
    char *beside = wb_format ("%s.vocabulary", out);
    wb_status status = beside != NULL ? wb_outdir_begin (d, beside) : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = wb_tokenizer_save (tokenizer, d->temp);
    wb_free (beside);
    return status;
}

static wb_status ja_bpe (texts_t *t, const wb_tokenizer_t *tokenizer, const char *out) {
    wb_ja_bpe_files_t f = {0};
    wb_outdir_t d = {0};
    wb_status status = save_beside (&d, tokenizer, out);
    if (status == WB_OK) status = wb_ja_bpe_files_read (&f, d.temp);
    if (status == WB_OK) status = ja_bpe_texts (t, &f);
    wb_ja_bpe_files_fini (&f);
    wb_outdir_cancel (&d);
    return status;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static wb_status put_texts (wb_buf_t *meta, uint64_t *keys, const texts_t *t, int32_t eot) {
    WB_TRY (wb_gguf_put_text (meta, keys, "tokenizer.ggml.model", "rwkv"));
    WB_TRY (wb_gguf_put_array (meta, keys, "tokenizer.ggml.tokens", WB_GGUF_STRING, (uint64_t) t->n));
    for (int id = 0; id < t->n; id++) WB_TRY (wb_gguf_put_string (meta, t->list[id], strlen (t->list[id])));
    WB_TRY (wb_gguf_put_array (meta, keys, "tokenizer.ggml.token_type", WB_GGUF_I32, (uint64_t) t->n));
    for (int id = 0; id < t->n; id++) {
        const int32_t type = id == eot ? CONTROL : NORMAL;
        WB_TRY (wb_buf_put (meta, &type, sizeof type));
    }
    return WB_OK;
}

/* A model may have more ids than its tokenizer. */
static wb_status pad (texts_t *t, int first) {
    const wb_span_t none = {"", 0};
    char text[32];
    for (int id = first; id < t->n; id++) {
        snprintf (text, sizeof text, "<|unused%d|>", id);
        WB_TRY (give (t, id, text, &none));
    }
    return WB_OK;
}

static const struct {
    const char *kind, *note; /* kind NULL: any other */
} notes[] = {
    {"byte",
     "The tokenizer is byte: llama.cpp gives wabun's ids, except that <|endoftext|> spelled out in a text becomes "
     "the end token."},
    {"ja-bpe",
     "The tokenizer is ja-bpe: llama.cpp gives wabun's ids if in the text U+3000 is a blank, CR and CRLF are LF, "
     "and U+2014 and U+2212 are U+30FC. Of emoji it knows one spelling each, and <|byteN|> spelled out stays "
     "text. Whoever needs exact ids sends ids."},
    {NULL,
     "llama.cpp does not have this kind of tokenizer: it shows its texts, but takes the longest word for a text, which "
     "gives other ids. Send ids."},
};

/* As llama.cpp's kind "rwkv". */
static wb_status put_words (wb_buf_t *meta, uint64_t *keys, const char **note, const wb_export_t *x,
                            const wb_tokenizer_t *tokenizer, int64_t V) {
    const char *kind = wb_tokenizer_kind (tokenizer);
    int row = 0;
    while (notes[row].kind != NULL && strcmp (notes[row].kind, kind) != 0) row++;
    texts_t t = {.n = (int) V, .list = wb_calloc ((size_t) V, sizeof *t.list), .taken = json_object ()};
    wb_status status = t.list != NULL && t.taken != NULL ? WB_OK : WB_NOMEM ("vocabulary");
    if (status == WB_OK)
        status = row == 0 ? byte_texts (&t) : row == 1 ? ja_bpe (&t, tokenizer, x->out) : piece_texts (&t, tokenizer);
    if (status == WB_OK) status = pad (&t, wb_tokenizer_size (tokenizer));
    if (status == WB_OK) status = put_texts (meta, keys, &t, wb_tokenizer_eot (tokenizer));
    *note = notes[row].note;
    for (int id = 0; t.list != NULL && id < t.n; id++) wb_free (t.list[id]);
    wb_free (t.list);
    json_decref (t.taken);
    return status;
}

static wb_status put_sentencepiece (wb_buf_t *meta, uint64_t *keys, const char **note, const wb_export_t *x,
                                    const wb_tokenizer_t *tokenizer, int64_t V) {
    wb_outdir_t d = {0};
    char *path = NULL, *data = NULL;
    size_t n;
    wb_status status = save_beside (&d, tokenizer, x->out);
    if (status == WB_OK) {
        path = wb_format ("%s/spiece.model", d.temp);
        status = path != NULL ? wb_file_read (&data, &n, path) : WB_NOMEM ("spiece.model");
    }
    if (status == WB_OK) status = wb_gguf_sentencepiece (meta, keys, note, data, n, wb_tokenizer_eot (tokenizer), V);
    wb_outdir_cancel (&d);
    wb_free (path);
    wb_free (data);
    return status;
}

wb_status wb_gguf_tokenizer (wb_buf_t *meta, uint64_t *keys, const char **note, const wb_export_t *x,
                             const wb_tokenizer_t *tokenizer, int64_t V) {
    const char *kind = wb_tokenizer_kind (tokenizer);
    const uint32_t eot = (uint32_t) wb_tokenizer_eot (tokenizer);
    WB_TRY (wb_gguf_put_text (meta, keys, "wabun.tokenizer", kind));
    WB_TRY ((strcmp (kind, "sentencepiece") == 0 ? put_sentencepiece : put_words) (meta, keys, note, x, tokenizer, V));
    WB_TRY (wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.bos_token_id", eot));
    WB_TRY (wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.eos_token_id", eot));
    return wb_gguf_put_bool (meta, keys, "tokenizer.ggml.add_bos_token", false);
}
