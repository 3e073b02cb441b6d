/* What the files of vocab share. */
#ifndef WABUN_VOCAB_PRIV_H
#define WABUN_VOCAB_PRIV_H

#include "vocab/counts.h"
#include "wabun/vocab.h"

/* A kind of vocabulary: one file, and a row in the table of train.c. */
typedef struct wb_vocab_kind {
    const char *name, *what;
    int64_t min, max; /* sizes */
    int64_t per_byte; /* bytes of memory that training takes for a byte of the sample */
    wb_status (*train) (const wb_vocab_training_t *t, const wb_sample_t *s);
} wb_vocab_kind_t;

extern const wb_vocab_kind_t wb_vocab_ja_bpe, wb_vocab_unigram, wb_vocab_bpe;

wb_status wb_vocab_sample (wb_sample_t *s, const wb_vocab_inputs_t *in, int64_t per_byte) WB_NODISCARD;
int64_t wb_vocab_memory (const wb_vocab_inputs_t *in);

/* ---- emoji.c ----------------------------------------------------------------------------------------------------- */

/* Is the character by itself an emoji? */
bool wb_emoji_is_key (uint32_t c);
/* Append the text of emoji.json. */
wb_status wb_emoji_json (wb_buf_t *b) WB_NODISCARD;

/* ---- choose.c ---------------------------------------------------------------------------------------------------- */

/* A word of the vocabulary: a character, or two. */
typedef struct wb_entry {
    uint32_t a, b; /* b == 0: a alone */
    int64_t saves; /* tokens that it saves in the sample, in 1/16 */
} wb_entry_t;

typedef struct wb_choice {
    wb_entry_t *data; /* characters and pairs, the most useful first */
    int64_t len, cap;
} wb_choice_t;
/* Candidates: characters of the sample and these pairs (pairs == NULL: all of its runs); out of them `size` or fewer.
 */
wb_status wb_choose (wb_choice_t *out, const wb_counts_t *c, const wb_choice_t *pairs, int64_t size) WB_NODISCARD;
/* All pairs inside runs of one script in a text, to what is there already. */
wb_status wb_choice_add (wb_choice_t *c, const char *text, size_t n) WB_NODISCARD;
void wb_choice_fini (wb_choice_t *c);

/* ---- sentencepiece.c --------------------------------------------------------------------------------------------- */

/* Pairs inside the 50,000 words of a SentencePiece model of at most `bytes` of the sample. */
wb_status wb_sentencepiece_pairs (wb_choice_t *out, const wb_sample_t *s, int64_t bytes) WB_NODISCARD;

#endif
