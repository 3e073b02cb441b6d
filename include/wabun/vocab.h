/* wabun - vocab: vocabularies from documents, and vocabularies compared.
 */
#ifndef WABUN_VOCAB_H
#define WABUN_VOCAB_H

#include <wabun/corpus.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What both commands read: files, directories, shards of a corpus.  The genre of a text is what a line of JSON says,
 * else the name of the input it came from. */
typedef struct wb_vocab_inputs {
    char *const *paths;
    int npaths;
    const char *const *weights; /**< "GENRE=WEIGHT": shares of the genres in what is counted; none: as they are */
    int nweights;
    uint64_t seed;  /**< chooses the texts where there are more than fit */
    int64_t memory; /**< bytes that the command may take, about; 0: 2 GiB */
} wb_vocab_inputs_t;
enum { WB_VOCAB_WEIGHTS = 64 }; /**< of genres, at most */
/** Is the argument --seed, --memory, --weight or an input?  Then it is stored and *taken is true (args.c).  weights:
 * in->weights, [WB_VOCAB_WEIGHTS]; inputs are moved to the front of o's arguments, argv[1 ...], which in->paths is. */
wb_status wb_vocab_inputs_option (wb_vocab_inputs_t *in, const char **weights, wb_opts_t *o, bool *taken) WB_NODISCARD;

/* ---- training (train.c; a file a kind) --------------------------------------------------------------------------- */

typedef struct wb_vocab_training {
    const char *kind; /**< a name of wb_vocab_kind() */
    const char *dir;  /**< where the files go; made */
    int64_t size;     /**< ids */
    bool no_words;    /**< ja-bpe: any pair of one script, not only those inside SentencePiece's words */
    bool force;       /**< replace a vocabulary that another command made */
    wb_vocab_inputs_t in;
} wb_vocab_training_t;
/** Make a vocabulary that wb_tokenizer_new (dir) opens.  The same files for the same texts, seed and memory, on any
 * number of threads.  DIR/wabun-vocab.json says by which command.  Not collective.  Errors: WB_EUSAGE (also: dir has a
 * vocabulary of another command), WB_EIO, WB_ENOMEM, WB_EDATA no text. */
wb_status wb_vocab_train (const wb_vocab_training_t *t) WB_NODISCARD;
/** Name of the i-th kind and what it is; NULL after the last. */
const char *wb_vocab_kind (int i, const char **what);

/* ---- comparing (compare.c, print.c, page.c) ---------------------------------------------------------------------- */

typedef struct wb_vocab_comparison {
    const char *const *tokenizers; /**< as wb_tokenizer_new() takes them */
    int ntokenizers;
    bool clean;       /**< encode with tags for URLs, dates ... */
    bool json;        /**< print an object instead of a table */
    const char *page; /**< also a page of HTML that needs no other file; NULL: none */
    wb_vocab_inputs_t in;
} wb_vocab_comparison_t;
/** What tokenizers make of the same text, by genre: a table on the standard output.  One thread, whose speed it says.
 * Not collective.  Errors: as wb_vocab_train(). */
wb_status wb_vocab_compare (const wb_vocab_comparison_t *c) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
