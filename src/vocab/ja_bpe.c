/* ja-bpe: a vocabulary in the form of gpt2-japanese's, ja-bpe.txt and emoji.json.
 *
 * Its words are characters and pairs of characters of one script; then come tags, twelve emoji, 256 bytes and
 * <|endoftext|>.  The original took its pairs from the 50,000 words of a SentencePiece model, so that none lies across
 * the border of a word; so do we.  Without words all pairs may be chosen, as in the original's second version.  Which
 * pairs and characters get the places: choose.c. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/utf8.h"
#include "vocab/vocab_priv.h"

static const char *const tags[] = {"<BR>", "<SP>", "<TAB>", "<URL>", "<EMAIL>", "<TEL>", "<DATE>", "<PRICE>"};
enum { TAGS = sizeof tags / sizeof tags[0], EMOJI = 12, FIXED = TAGS + EMOJI + 256 + 1 };
enum { WORDS = 16 << 20 }; /* bytes of text that words are found in: more takes long and changes little */

static wb_status put_words (wb_buf_t *b, const wb_choice_t *c, bool pairs) {
    for (int64_t i = 0; i < c->len; i++) {
        char word[9];
        if ((c->data[i].b != 0) != pairs) continue;
        size_t n = wb_utf8_put (word, c->data[i].a);
        if (pairs) n += wb_utf8_put (word + n, c->data[i].b);
        word[n++] = '\n';
        WB_TRY (wb_buf_put (b, word, n));
    }
    return WB_OK;
}

static wb_status put_numbered (wb_buf_t *b, const char *name, int from, int to) {
    char word[24];
    for (int i = from; i <= to; i++)
        WB_TRY (wb_buf_put (b, word, (size_t) snprintf (word, sizeof word, "<|%s%d|>\n", name, i)));
    return WB_OK;
}

static wb_status make_file (wb_buf_t *b, const wb_choice_t *c) {
    WB_TRY (put_words (b, c, true));
    WB_TRY (put_words (b, c, false));
    for (int i = 0; i < TAGS; i++) {
        WB_TRY (wb_buf_put (b, tags[i], strlen (tags[i])));
        WB_TRY (wb_buf_put (b, "\n", 1));
    }
    WB_TRY (put_numbered (b, "emoji", 1, EMOJI));
    WB_TRY (put_numbered (b, "byte", 0, 255));
    /* No line end after it: the original would make one more id of that. */
    return wb_buf_put (b, "<|endoftext|>", 13);
}

/* Both files, or neither. */
static wb_status write_files (const char *dir, const wb_buf_t *words, const wb_buf_t *emoji) {
    wb_writer_t w[2] = {{0}, {0}};
    char *path[2] = {wb_format ("%s/ja-bpe.txt", dir), wb_format ("%s/emoji.json", dir)};
    const wb_buf_t *const data[2] = {words, emoji};
    wb_status status = wb_dir_make (dir);
    for (int i = 0; i < 2 && status == WB_OK; i++) {
        status = path[i] != NULL ? wb_writer_begin (&w[i], path[i]) : WB_NOMEM ("a path");
        if (status == WB_OK) status = wb_writer_put (&w[i], data[i]->data, data[i]->len);
        if (status == WB_OK) status = wb_writer_sync (&w[i]);
    }
    for (int i = 0; i < 2 && status == WB_OK; i++) status = wb_writer_end (&w[i]);
    for (int i = 0; i < 2; i++) {
        wb_writer_cancel (&w[i]);
        wb_free (path[i]);
    }
    return status;
}

static wb_status choose (wb_choice_t *out, const wb_vocab_training_t *t, const wb_sample_t *s) {
    wb_counts_t counts = {0};
    wb_choice_t pairs = {0};
    const int64_t memory = wb_vocab_memory (&t->in), words = memory / 64 < WORDS ? memory / 64 : WORDS;
    wb_status status = t->no_words ? WB_OK : wb_sentencepiece_pairs (&pairs, s, words);
    if (status == WB_OK) status = wb_counts_make (&counts, s, memory / 2);
    if (status == WB_OK && counts.dropped > 0)
        wb_info ("runs seen %lld times or less were forgotten to keep to the memory: --memory",
                 (long long) counts.dropped / 16);
    if (status == WB_OK) status = wb_choose (out, &counts, t->no_words ? NULL : &pairs, t->size - FIXED);
    wb_choice_fini (&pairs);
    wb_counts_fini (&counts);
    return status;
}

static wb_status train (const wb_vocab_training_t *t, const wb_sample_t *s) {
    wb_choice_t c = {0};
    wb_buf_t words = {0}, emoji = {0};
    wb_status status = choose (&c, t, s);
    if (status == WB_OK) status = make_file (&words, &c);
    if (status == WB_OK) status = wb_emoji_json (&emoji);
    if (status == WB_OK) status = write_files (t->dir, &words, &emoji);
    if (status == WB_OK && c.len + FIXED < t->size)
        wb_warn ("%lld ids, not %lld: no other character or pair%s occurs twice in the text that was taken",
                 (long long) (c.len + FIXED), (long long) t->size,
                 t->no_words ? "" : " inside SentencePiece's words (--no-words or more --memory gives more)");
    wb_choice_fini (&c);
    wb_buf_fini (&words);
    wb_buf_fini (&emoji);
    return status;
}

const wb_vocab_kind_t wb_vocab_ja_bpe = {
    .name = "ja-bpe",
    .what = "characters and pairs, as gpt2-japanese",
    .min = 512,
    .max = 1000000,
    .per_byte = 8,
    .train = train,
};
