/* A tokenizer's files for Hugging Face's programs: one row a kind of tokenizer.
 *
 * `byte` is a byte-level BPE without merges.  Its <|endoftext|> is no added token of tokenizer.json, so that text which
 * spells it out stays text, as in wabun; tokenizer_config.json makes it the end token. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"

#define EOT "<|endoftext|>"

/* ---- bytes as letters, as GPT-2 writes them -------------------------------------------------------------------- */

static bool is_plain (int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

/* The letter of a byte in UTF-8, 0-terminated: printable ones stand for themselves, the others for U+0100 and on. */
static void letter (char out[4], int byte) {
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
        letter (name, b);
        good = good && json_object_set_new (vocab, name, json_integer (b)) == 0;
    }
    good = good && json_object_set_new (vocab, EOT, json_integer (256)) == 0;
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

static wb_status byte_files (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T) {
    (void) t;
    WB_TRY (byte_json (d));
    return wb_outdir_json (d, "tokenizer_config.json",
                           json_pack ("{s:s, s:s, s:s, s:s, s:I, s:b, s:b}", "tokenizer_class",
                                      "PreTrainedTokenizerFast", "bos_token", EOT, "eos_token", EOT, "pad_token", EOT,
                                      "model_max_length", (json_int_t) T, "clean_up_tokenization_spaces", 0,
                                      "split_special_tokens", 1));
}

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *kind, *note;
    wb_status (*put) (const wb_outdir_t *d, const wb_tokenizer_t *t, int64_t T);
} kinds[] = {
    {"byte",
     "The tokenizer is byte: tokenizer.json gives exactly wabun's ids, 0 to 255 for bytes and 256 for `" EOT "`.",
     byte_files},
};

wb_status wb_hf_tokenizer (const wb_outdir_t *d, const char **note, const wb_tokenizer_t *t, int64_t T) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp (kinds[i].kind, wb_tokenizer_kind (t)) != 0) continue;
        *note = kinds[i].note;
        return kinds[i].put (d, t, T);
    }
    *note = "The tokenizer is there in wabun's form only: Hugging Face's programs have none that gives its ids.";
    return WB_OK;
}
