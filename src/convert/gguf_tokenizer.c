/* A tokenizer in GGUF: as llama.cpp's kind "rwkv", a greedy longest match over bytes.
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

/* Its files are read back from where the tokenizer writes them. */
static wb_status ja_bpe (texts_t *t, const wb_tokenizer_t *tokenizer, const char *out) {
    wb_ja_bpe_files_t f = {0};
    wb_outdir_t d = {0};
    char *beside = wb_format ("%s.vocabulary", out);
    wb_status status = beside != NULL ? wb_outdir_begin (&d, beside) : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = wb_tokenizer_save (tokenizer, d.temp);
    if (status == WB_OK) status = wb_ja_bpe_files_read (&f, d.temp);
    if (status == WB_OK) status = ja_bpe_texts (t, &f);
    wb_ja_bpe_files_fini (&f);
    wb_outdir_cancel (&d);
    wb_free (beside);
    return status;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static wb_status put_texts (wb_buf_t *meta, uint64_t *keys, const texts_t *t, const char *kind, int32_t eot) {
    WB_TRY (wb_gguf_put_text (meta, keys, "wabun.tokenizer", kind));
    WB_TRY (wb_gguf_put_text (meta, keys, "tokenizer.ggml.model", "rwkv"));
    WB_TRY (wb_gguf_put_array (meta, keys, "tokenizer.ggml.tokens", WB_GGUF_STRING, (uint64_t) t->n));
    for (int id = 0; id < t->n; id++) WB_TRY (wb_gguf_put_string (meta, t->list[id], strlen (t->list[id])));
    WB_TRY (wb_gguf_put_array (meta, keys, "tokenizer.ggml.token_type", WB_GGUF_I32, (uint64_t) t->n));
    for (int id = 0; id < t->n; id++) {
        const int32_t type = id == eot ? CONTROL : NORMAL;
        WB_TRY (wb_buf_put (meta, &type, sizeof type));
    }
    WB_TRY (wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.bos_token_id", (uint32_t) eot));
    WB_TRY (wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.eos_token_id", (uint32_t) eot));
    return wb_gguf_put_bool (meta, keys, "tokenizer.ggml.add_bos_token", false);
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

wb_status wb_gguf_tokenizer (wb_buf_t *meta, uint64_t *keys, const char **note, const wb_export_t *x,
                             const wb_tokenizer_t *tokenizer, int64_t V) {
    const bool bytes = strcmp (wb_tokenizer_kind (tokenizer), "byte") == 0;
    texts_t t = {.n = (int) V};
    if (!bytes && strcmp (wb_tokenizer_kind (tokenizer), "ja-bpe") != 0) return WB_OK;
    t.list = wb_calloc ((size_t) V, sizeof *t.list);
    t.taken = json_object ();
    wb_status status = t.list != NULL && t.taken != NULL ? WB_OK : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = bytes ? byte_texts (&t) : ja_bpe (&t, tokenizer, x->out);
    if (status == WB_OK) status = pad (&t, wb_tokenizer_size (tokenizer));
    if (status == WB_OK)
        status = put_texts (meta, keys, &t, wb_tokenizer_kind (tokenizer), wb_tokenizer_eot (tokenizer));
    if (status == WB_OK)
        *note = bytes ? "The tokenizer is byte: llama.cpp gives wabun's ids, except that <|endoftext|> spelled out in "
                        "a text becomes the end token."
                      : "The tokenizer is ja-bpe: llama.cpp gives wabun's ids if in the text U+3000 is a blank, CR and "
                        "CRLF are LF, and U+2014 and U+2212 are U+30FC. Of emoji it knows one spelling each, and "
                        "<|byteN|> spelled out stays text. Whoever needs exact ids sends ids.";
    for (int id = 0; t.list != NULL && id < t.n; id++) wb_free (t.list[id]);
    wb_free (t.list);
    json_decref (t.taken);
    return status;
}
