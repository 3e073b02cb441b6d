/* A tokenizer's files for Hugging Face's programs: one row a kind of tokenizer.
 *
 * `byte` is a byte-level BPE without merges.  Its <|endoftext|> is no added token of tokenizer.json, so that text which
 * spells it out stays text, as in wabun; tokenizer_config.json makes it the end token.
 *
 * `ja-bpe` has a tokenizer.json (hf_ja_bpe.c), which AutoTokenizer takes, and a class in Python, which it takes where
 * its user trusts code of a model.  `ja-swe` and SentencePiece have the class alone. */
#include "config.h"

#include <string.h>

#include "convert/ja_bpe_files.h"
#include "convert/proto.h"

/* ---- bytes as letters, as GPT-2 writes them -------------------------------------------------------------------- */

static bool is_plain (int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

void wb_byte_letter (char out[4], int byte) {
    int c = byte;
    if (!is_plain (byte)) {
        c = 256;
        for (int b = 0; b < byte; b++) c += !is_plain (b);
    }
    size_t n = 0;
    if (c < 0x80)
        out[n++] = (char) c;
    else {
        out[n++] = (char) (0xc0 | c >> 6);
        out[n++] = (char) (0x80 | (c & 0x3f));
    }
    out[n] = 0;
}

/* ---- byte ------------------------------------------------------------------------------------------------------ */

static wb_status byte_json (const wb_outdir_t *d) {
    json_t *vocab = json_object ();
    bool good = vocab != NULL;
    for (int b = 0; b < 256; b++) {
        char name[4];
        wb_byte_letter (name, b);
        good = good && json_object_set_new (vocab, name, json_integer (b)) == 0;
    }
    good = good && json_object_set_new (vocab, WB_EOT, json_integer (256)) == 0;
    if (!good) json_decref (vocab);
    json_t *j =
        !good ? NULL
              : json_pack ("{s:s, s:n, s:n, s:[], s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:b, s:b, s:b}, "
                           "s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:o, s:[]}}",
                           "version", "1.0", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                           "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex", 0,
                           "post_processor", "decoder", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
                           "use_regex", 0, "model", "type", "BPE", "dropout", "unk_token", "continuing_subword_prefix",
                           "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "vocab", vocab, "merges");
    return wb_outdir_json (d, "tokenizer.json", j);
}

static wb_status byte_files (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T, bool clean) {
    (void) t;
    (void) clean;
    WB_TRY (byte_json (d));
    return wb_outdir_json (d, "tokenizer_config.json",
                           json_pack ("{s:s, s:s, s:s, s:s, s:I, s:b, s:b}", "tokenizer_class",
                                      "PreTrainedTokenizerFast", "bos_token", WB_EOT, "eos_token", WB_EOT, "pad_token",
                                      WB_EOT, "model_max_length", (json_int_t) T, "clean_up_tokenization_spaces", 0,
                                      "split_special_tokens", 1));
}

/* ---- ja-bpe ---------------------------------------------------------------------------------------------------- */

static const unsigned char python[] = {
#include "src/convert/tokenization_wabun.inc"
};

/* tokenizer_config.json; j is taken over. */
static wb_status put_config (const wb_outdir_t *d, json_t *j, bool clean) {
    if (clean && json_object_set_new (j, "clean", json_true ()) != 0) {
        json_decref (j);
        j = NULL;
    }
    return wb_outdir_json (d, "tokenizer_config.json", j);
}

/* A class of tokenization_wabun.py alone; which class, and the piece that ends a text. */
static wb_status class_files (const wb_outdir_t *d, int64_t T, const char *name, const char *eot, bool clean) {
    char *class = wb_format ("tokenization_wabun.%s", name);
    if (class == NULL) return WB_NOMEM ("tokenizer_config.json");
    json_t *j =
        json_pack ("{s:s, s:{s:[s,n]}, s:s, s:s, s:s, s:I, s:b, s:b}", "tokenizer_class", name, "auto_map",
                   "AutoTokenizer", class, "bos_token", eot, "eos_token", eot, "pad_token", eot, "model_max_length",
                   (json_int_t) T, "clean_up_tokenization_spaces", 0, "split_special_tokens", 1);
    wb_free (class);
    WB_TRY (put_config (d, j, clean));
    return wb_outdir_text (d, "tokenization_wabun.py", (const char *) python, sizeof python);
}

static wb_status ja_swe_files (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T, bool clean) {
    (void) t;
    return class_files (d, T, "WabunSweTokenizer", WB_EOT, clean);
}

static wb_status ja_bpe_config (const wb_outdir_t *d, int64_t T, bool json, bool clean) {
    return put_config (d,
                       json_pack ("{s:s, s:{s:[s,n]}, s:s, s:s, s:s, s:I, s:b}", "tokenizer_class",
                                  json ? "PreTrainedTokenizerFast" : "WabunTokenizer", "auto_map", "AutoTokenizer",
                                  "tokenization_wabun.WabunTokenizer", "bos_token", WB_EOT, "eos_token", WB_EOT,
                                  "pad_token", WB_EOT, "model_max_length", (json_int_t) T,
                                  "clean_up_tokenization_spaces", 0),
                       clean);
}

static wb_status ja_bpe_files (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T, bool clean) {
    (void) t;
    wb_ja_bpe_files_t f;
    json_t *j = NULL;
    wb_status status = wb_ja_bpe_files_read (&f, d->temp);
    const bool exact = !f.overlap;
    if (status == WB_OK && exact) status = wb_hf_ja_bpe (&j, &f, clean);
    if (status == WB_OK && exact) status = wb_outdir_json (d, "tokenizer.json", j);
    if (status == WB_OK && !exact)
        wb_warn ("emoji.json: a key can lie across a tag: no tokenizer.json can give the same ids");
    wb_ja_bpe_files_fini (&f);
    if (status == WB_OK) status = wb_outdir_text (d, "tokenization_wabun.py", (const char *) python, sizeof python);
    return status == WB_OK ? ja_bpe_config (d, T, exact, clean) : status;
}

/* ---- SentencePiece --------------------------------------------------------------------------------------------- */

/* The name of a piece: ModelProto {pieces = 1: {piece = 1}} has them in order.  Freed by the caller; NULL: none. */
static char *piece_name (const char *data, size_t n, int32_t id) {
    wb_proto_t model = wb_proto (data, n);
    wb_field_t f, name;
    int32_t at = 0;
    while (wb_proto_next (&model, &f)) {
        if (f.number != 1 || f.bytes == NULL || at++ != id) continue;
        wb_proto_t piece = wb_proto (f.bytes, f.n);
        while (wb_proto_next (&piece, &name))
            if (name.number == 1 && name.bytes != NULL) return wb_strndup ((const char *) name.bytes, name.n);
    }
    return NULL;
}

static wb_status sentencepiece_files (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T, bool clean) {
    (void) clean;
    char *path = wb_format ("%s/spiece.model", d->temp), *data = NULL;
    size_t n;
    wb_status status = path != NULL ? wb_file_read (&data, &n, path) : WB_NOMEM ("spiece.model");
    if (status == WB_OK) {
        char *eot = piece_name (data, n, wb_tokenizer_eot (t));
        status = class_files (d, T, "WabunSentencePieceTokenizer", eot != NULL ? eot : WB_EOT, false);
        wb_free (eot);
    }
    wb_free (data);
    wb_free (path);
    return status;
}

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

/* clean: the note where it cleans; NULL: it never does. */
static const struct {
    const char *kind, *note, *clean;
    wb_status (*put) (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T, bool clean);
} kinds[] = {
    {"byte",
     "The tokenizer is byte: tokenizer.json gives exactly wabun's ids, 0 to 255 for bytes and 256 for `" WB_EOT "`.",
     NULL, byte_files},
    {"ja-bpe",
     "The tokenizer is ja-bpe: tokenizer.json gives wabun's ids, and so does tokenization_wabun.py "
     "(trust_remote_code=True), which is faster. Neither cleans (--clean), but the class does with clean=True.",
     "The tokenizer is ja-bpe: tokenizer.json gives the ids of --clean (tags for URLs, addresses, telephone numbers, "
     "dates and prices), and so does tokenization_wabun.py (trust_remote_code=True), which is faster; the class gives "
     "those without it with clean=False.",
     ja_bpe_files},
    {"ja-swe",
     "The tokenizer is ja-swe: tokenization_wabun.py (trust_remote_code=True) gives exactly wabun's ids, those "
     "of --clean with clean=True.",
     "The tokenizer is ja-swe: tokenization_wabun.py (trust_remote_code=True) gives exactly wabun's ids of --clean "
     "(tags for URLs, addresses, telephone numbers, dates and prices), those without it with clean=False.",
     ja_swe_files},
    {"sentencepiece",
     "The tokenizer is of SentencePiece: tokenization_wabun.py (trust_remote_code=True), which calls the Python module "
     "sentencepiece, gives exactly wabun's ids; spiece.model is for every program that takes such models.",
     NULL, sentencepiece_files},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static size_t kind_of (const wb_tokenizer_t *t) {
    size_t i = 0;
    while (i < KINDS && strcmp (kinds[i].kind, wb_tokenizer_kind (t)) != 0) i++;
    return i;
}

bool wb_hf_cleans (const wb_tokenizer_t *t) {
    const size_t i = kind_of (t);
    return i < KINDS && kinds[i].clean != NULL;
}

wb_status wb_hf_tokenizer (const wb_outdir_t *d, const char **note, const wb_tokenizer_t *t, int64_t T, bool clean) {
    const size_t i = kind_of (t);
    *note = "The tokenizer is there in wabun's form only: Hugging Face's programs have none that gives its ids.";
    if (i == KINDS) return WB_OK;
    *note = clean ? kinds[i].clean : kinds[i].note;
    return kinds[i].put (d, t, T, clean);
}
