/* Models of SentencePiece from the sample: as vocabularies, and as the words that ja-bpe takes its pairs from.
 *
 * Settings: text as it is (no normalisation, no space in front, none folded), bytes for what the pieces lack, no piece
 * across scripts, characters that make up 99.95 % of the text, <|endoftext|> as the end.  So every text comes back byte
 * for byte.  The trainer adds up the sums of its threads, and the last bits decide which pieces stay; its number of
 * threads is therefore the same everywhere. */
#include "config.h"

#include <string.h>

#include "vocab/vocab_priv.h"

#ifdef HAVE_SENTENCEPIECE_TRAIN
#include "vocab/sentencepiece_trainer.h"

enum { LINE = 4000 }; /* bytes of a sentence; the library leaves longer ones out */

typedef struct feeding {
    const wb_sample_t *sample;
    int64_t text;
    size_t at;     /* in it */
    int32_t times; /* that the line is still to be given */
    const char *line;
    size_t bytes;
    int64_t left; /* bytes of text that may still be read */
    wb_buf_t model;
} feeding_t;

static bool next_line (feeding_t *f) {
    while (f->text < f->sample->len && f->left > 0) {
        const wb_sample_text_t *t = &f->sample->texts[f->text];
        if (f->at >= t->bytes) {
            f->text++;
            f->at = 0;
            continue;
        }
        const char *s = t->text + f->at, *end = memchr (s, '\n', t->bytes - f->at);
        size_t n = end != NULL ? (size_t) (end - s) : t->bytes - f->at;
        f->at += n + (end != NULL);
        if (n > LINE) { /* between characters */
            f->at -= n + (end != NULL);
            for (n = LINE; n > LINE - 4 && (s[n] & 0xc0) == 0x80; n--) {}
            f->at += n;
        }
        f->left -= (int64_t) n;
        f->line = s;
        f->bytes = n;
        f->times = (f->sample->times[t->genre] + 8) / 16;
        if (n > 0) return true;
    }
    return false;
}

static bool next (void *ctx, const char **text, size_t *n) {
    feeding_t *f = ctx;
    if (f->times == 0 && !next_line (f)) return false;
    f->times--;
    *text = f->line;
    *n = f->bytes;
    return true;
}

static int put_model (void *ctx, const char *model, size_t n) {
    return wb_buf_put (&((feeding_t *) ctx)->model, model, n) != WB_OK;
}

/* A model of about `size` pieces, at most `bytes` of text; *model is the caller's. */
static wb_status make_model (wb_buf_t *model, const wb_sample_t *s, const char *type, int64_t size, bool exact,
                             int64_t bytes) {
    char number[24], error[WB_SP_ERROR], text[32], count[32];
    snprintf (number, sizeof number, "%lld", (long long) size);
    const char *const settings[] = {
        "model_type",
        type,
        "vocab_size",
        number,
        "hard_vocab_limit",
        exact ? "true" : "false",
        "character_coverage",
        "0.9995",
        "byte_fallback",
        exact ? "true" : "false",
        "normalization_rule_name",
        "identity",
        "add_dummy_prefix",
        "false",
        "remove_extra_whitespaces",
        "false",
        "unk_id",
        "0",
        "eos_id",
        "1",
        "bos_id",
        "-1",
        "pad_id",
        "-1",
        "eos_piece",
        "<|endoftext|>",
        "max_sentence_length",
        "8192",
        "num_threads",
        "4",
        "minloglevel",
        "2",
        NULL,
    };
    feeding_t f = {.sample = s, .left = bytes};
    const wb_sp_trainer_t trainer = {settings, next, put_model, &f};
    wb_info ("SentencePiece, %s, %s pieces from %s of text: about a minute for 8 MiB", type,
             wb_format_count (count, size), wb_format_bytes (text, (double) (s->bytes < bytes ? s->bytes : bytes)));
    const wb_sp_status done = wb_sp_train (&trainer, error);
    if (done == WB_SP_OK) {
        *model = f.model;
        return WB_OK;
    }
    wb_buf_fini (&f.model);
    if (done == WB_SP_NOMEM) return WB_NOMEM ("a model of SentencePiece; --memory makes its sample smaller");
    /* It names its own options; ours is --size. */
    const char *bound = strstr (error, "value <= "), *needed = strstr (error, "required_chars. ");
    long long n = 0, own = 0;
    if (bound != NULL && sscanf (bound, "value <= %lld", &n) == 1)
        return WB_FAIL (WB_EDATA, "this text gives at most %lld pieces, not %s: --size %lld, or more text", n, count,
                        n);
    if (needed != NULL && sscanf (needed, "required_chars. %lld vs %lld", &own, &n) == 2)
        return WB_FAIL (WB_EDATA, "--size %lld is too small: the characters of this text alone are %lld", own, n);
    return WB_FAIL (WB_EDATA, "SentencePiece cannot make a model of %s pieces from this text: %s",
                    wb_format_count (count, size), error);
}

wb_status wb_sentencepiece_pairs (wb_choice_t *out, const wb_sample_t *s, int64_t bytes) {
    wb_buf_t model = {0};
    char error[WB_SP_ERROR];
    WB_TRY (make_model (&model, s, "unigram", 50000, false, bytes));
    wb_sp_t *words;
    wb_sp_status opened = wb_sp_open (&words, error, model.data, model.len);
    wb_buf_fini (&model);
    if (opened != WB_SP_OK) return opened == WB_SP_NOMEM ? WB_NOMEM ("a model") : WB_FAIL (WB_EDATA, "%s", error);
    wb_status status = WB_OK;
    for (int32_t id = 0; id < wb_sp_size (words) && status == WB_OK; id++) {
        const char *piece;
        size_t n;
        if (wb_sp_piece (words, &piece, &n, id) == WB_SP_TEXT) status = wb_choice_add (out, piece, n);
    }
    wb_sp_close (words);
    return status;
}

static wb_status train (const wb_vocab_training_t *t, const wb_sample_t *s) {
    wb_buf_t model = {0};
    char *path = wb_format ("%s/spiece.model", t->dir);
    wb_status status = path == NULL ? WB_NOMEM ("a path") : make_model (&model, s, t->kind, t->size, true, INT64_MAX);
    if (status == WB_OK) status = wb_dir_make (t->dir);
    if (status == WB_OK) status = wb_file_write (path, model.data, model.len);
    wb_buf_fini (&model);
    wb_free (path);
    return status;
}

#else

static const char none[] = "this wabun was built without SentencePiece (libsentencepiece-dev, then ./configure again)";

wb_status wb_sentencepiece_pairs (wb_choice_t *out, const wb_sample_t *s, int64_t bytes) {
    (void) out, (void) s, (void) bytes;
    return WB_FAIL (WB_EUSAGE, "ja-bpe takes its pairs from words, but %s; --no-words chooses them by frequency alone",
                    none);
}

static wb_status train (const wb_vocab_training_t *t, const wb_sample_t *s) {
    (void) s;
    return WB_FAIL (WB_EUSAGE, "--kind %s: %s", t->kind, none);
}
#endif

const wb_vocab_kind_t wb_vocab_unigram = {
    .name = "unigram",
    .what = "a unigram model of SentencePiece",
    .min = 300,
    .max = 1000000,
    .per_byte = 32,
    .train = train,
};

const wb_vocab_kind_t wb_vocab_bpe = {
    .name = "bpe",
    .what = "a BPE model of SentencePiece",
    .min = 300,
    .max = 1000000,
    .per_byte = 64,
    .train = train,
};
