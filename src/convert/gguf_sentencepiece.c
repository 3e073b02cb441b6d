/* A tokenizer of SentencePiece in GGUF, out of spiece.model.
 *
 * llama.cpp has two kinds for it.  "t5" is unigram, with the model's own normalisation; it has no fallback to bytes, so
 * that a character without a piece becomes the unknown id.  Pieces of ASCII bytes are given to it as ordinary pieces of
 * that character, dearer than any other: so the line end, which most models have as a byte only, is right.  "llama" is
 * BPE, without normalisation; it ends with an exception where a character has neither a piece nor its bytes, so models
 * without bytes are written as "t5" also, which shows their texts, but cuts them in other pieces.
 *
 * Format: sentencepiece_model.proto of https://github.com/google/sentencepiece; the types of pieces have the same
 * numbers there and here. */
#include "config.h"

#include <string.h>

#include "convert/gguf.h"
#include "convert/proto.h"

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, BYTE = 6 };
enum { UNIGRAM = 1, BPE = 2 };

typedef struct piece {
    const char *text;
    size_t n;
    float score;
    uint64_t type;
} piece_t;

typedef struct model {
    const char *data;
    size_t n;
    uint64_t kind;
    const unsigned char *charsmap; /* of the normalisation; NULL: none */
    size_t ncharsmap;
    bool prefix, folds, suffix; /* a space goes in front; spaces are folded; it goes to the end instead */
    int pieces, bytes;
    int64_t unknown; /* -1: none */
    float least;     /* score of an ordinary piece */
    bool one[128];   /* is there an ordinary piece of this character? */
} model_t;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool next_piece (piece_t *out, wb_proto_t *p) {
    wb_field_t f;
    while (wb_proto_next (p, &f)) {
        if (f.number != 1 || f.bytes == NULL) continue;
        wb_proto_t inner = wb_proto (f.bytes, f.n);
        *out = (piece_t){.text = "", .type = NORMAL};
        while (wb_proto_next (&inner, &f)) {
            const uint32_t bits = (uint32_t) f.value;
            if (f.number == 1 && f.bytes != NULL) out->text = (const char *) f.bytes, out->n = f.n;
            if (f.number == 2) memcpy (&out->score, &bits, sizeof bits);
            if (f.number == 3) out->type = f.value;
        }
        return true;
    }
    return false;
}

static void read_settings (model_t *m) {
    wb_proto_t p = wb_proto (m->data, m->n);
    wb_field_t f, inner;
    while (wb_proto_next (&p, &f)) {
        if (f.bytes == NULL || (f.number != 2 && f.number != 3)) continue;
        wb_proto_t spec = wb_proto (f.bytes, f.n);
        while (wb_proto_next (&spec, &inner)) {
            if (f.number == 2 && inner.number == 3) m->kind = inner.value;
            if (f.number == 2 && inner.number == 24) m->suffix = inner.value != 0;
            if (f.number == 3 && inner.number == 2) m->charsmap = inner.bytes, m->ncharsmap = inner.n;
            if (f.number == 3 && inner.number == 3) m->prefix = inner.value != 0;
            if (f.number == 3 && inner.number == 4) m->folds = inner.value != 0;
        }
    }
}

static void read_model (model_t *m, const char *data, size_t n) {
    piece_t piece;
    *m = (model_t){.data = data, .n = n, .kind = UNIGRAM, .prefix = true, .folds = true, .unknown = -1};
    read_settings (m);
    wb_proto_t p = wb_proto (data, n);
    for (; next_piece (&piece, &p); m->pieces++) {
        const bool plain = piece.type == NORMAL || piece.type == USER_DEFINED;
        if (plain && piece.n == 1) m->one[(unsigned char) piece.text[0] & 127] = true;
        if (piece.type == NORMAL && piece.score < m->least) m->least = piece.score;
        if (piece.type == UNKNOWN) m->unknown = m->pieces;
        m->bytes += piece.type == BYTE;
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* For "t5": a byte piece as the character that it is, with a score below all others. */
static void make_plain (piece_t *piece, char text[1], const model_t *m) {
    unsigned byte;
    char name[8];
    snprintf (name, sizeof name, "%.*s", piece->n < sizeof name ? (int) piece->n : 0, piece->text);
    if (piece->type != BYTE || sscanf (name, "<0x%2X>", &byte) != 1 || byte == 0 || byte > 127 || m->one[byte]) return;
    text[0] = (char) byte;
    *piece = (piece_t){.text = text, .n = 1, .score = m->least - 10.0f, .type = NORMAL};
}

typedef enum part { TEXTS, SCORES, TYPES } part_t;

/* One of the three arrays, of V ids: a model may have more of them than its tokenizer. */
static wb_status put_part (wb_buf_t *meta, uint64_t *keys, const model_t *m, int64_t V, bool plain, part_t part) {
    static const struct {
        const char *key;
        wb_gguf_value type;
    } parts[] = {[TEXTS] = {"tokenizer.ggml.tokens", WB_GGUF_STRING},
                 [SCORES] = {"tokenizer.ggml.scores", WB_GGUF_F32},
                 [TYPES] = {"tokenizer.ggml.token_type", WB_GGUF_I32}};
    wb_proto_t p = wb_proto (m->data, m->n);
    WB_TRY (wb_gguf_put_array (meta, keys, parts[part].key, parts[part].type, (uint64_t) V));
    for (int64_t id = 0; id < V; id++) {
        char unused[32], text[1];
        piece_t piece = {.text = unused, .type = CONTROL};
        if (!next_piece (&piece, &p)) piece.n = (size_t) snprintf (unused, sizeof unused, "<|unused%d|>", (int) id);
        if (plain) make_plain (&piece, text, m);
        const int32_t type = (int32_t) piece.type;
        if (part == TEXTS) WB_TRY (wb_gguf_put_string (meta, piece.text, piece.n));
        if (part == SCORES) WB_TRY (wb_buf_put (meta, &piece.score, sizeof piece.score));
        if (part == TYPES) WB_TRY (wb_buf_put (meta, &type, sizeof type));
    }
    return WB_OK;
}

static const char *note_of (const model_t *m, bool bpe) {
    if (m->suffix || (!bpe && m->kind != UNIGRAM))
        return "The tokenizer is of SentencePiece, of a kind that llama.cpp does not have: it shows its texts, but "
               "cuts "
               "a text in other pieces. Send ids.";
    if (!bpe && m->bytes == 0) return "The tokenizer is of SentencePiece, unigram: llama.cpp gives wabun's ids.";
    if (!bpe)
        return "The tokenizer is of SentencePiece, unigram: llama.cpp gives wabun's ids, but for characters without a "
               "piece, which become one unknown id instead of their bytes (ASCII is right). Whoever needs exact ids "
               "sends ids.";
    if (m->charsmap != NULL || m->folds)
        return "The tokenizer is of SentencePiece, BPE: llama.cpp gives wabun's ids if the text is normalised as the "
               "model does it (mostly NFKC) and has no two spaces in a row. Whoever needs exact ids sends ids.";
    return "The tokenizer is of SentencePiece, BPE: llama.cpp gives wabun's ids.";
}

wb_status wb_gguf_sentencepiece (wb_buf_t *meta, uint64_t *keys, const char **note, const char *data, size_t n,
                                 int32_t eot, int64_t V) {
    model_t m;
    read_model (&m, data, n);
    const bool bpe = m.kind == BPE && m.bytes == 256 && !m.suffix;
    *note = note_of (&m, bpe);
    WB_TRY (wb_gguf_put_text (meta, keys, "tokenizer.ggml.model", bpe ? "llama" : "t5"));
    for (part_t part = TEXTS; part <= TYPES; part++) WB_TRY (put_part (meta, keys, &m, V, !bpe, part));
    if (!bpe && m.ncharsmap > 0) {
        WB_TRY (wb_gguf_put_array (meta, keys, "tokenizer.ggml.precompiled_charsmap", WB_GGUF_U8, m.ncharsmap));
        WB_TRY (wb_buf_put (meta, m.charsmap, m.ncharsmap));
    }
    WB_TRY (wb_gguf_put_bool (meta, keys, "tokenizer.ggml.add_space_prefix", m.prefix));
    WB_TRY (wb_gguf_put_bool (meta, keys, "tokenizer.ggml.remove_extra_whitespaces", m.folds));
    WB_TRY (wb_gguf_put_bool (meta, keys, "tokenizer.ggml.add_eos_token", false));
    if (m.unknown >= 0) WB_TRY (wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.unknown_token_id", (uint32_t) m.unknown));
    return wb_gguf_put_u32 (meta, keys, "tokenizer.ggml.padding_token_id", (uint32_t) eot);
}
