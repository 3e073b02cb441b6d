/* A sample of documents in memory, whatever the size of the corpus. */
#ifndef WABUN_VOCAB_SAMPLE_H
#define WABUN_VOCAB_SAMPLE_H

#include "wabun/corpus.h"

typedef struct wb_sample_options {
    char *const *inputs; /* files and directories */
    int ninputs;
    const char *const *weights; /* "GENRE=WEIGHT" */
    int nweights;
    uint64_t seed;
    int64_t bytes; /* of text, at most */
} wb_sample_options_t;

/* A piece of a document, cut at a line end where the document is long. */
typedef struct wb_sample_text {
    char *text;
    size_t bytes;
    int genre;
    uint64_t key; /* hash of (seed, text): the texts with the lowest keys are the sample */
} wb_sample_text_t;

/* A heap, the highest key at [0]. */
typedef struct wb_sample_pool {
    wb_sample_text_t *data;
    int64_t len, cap, bytes;
    uint64_t limit; /* keys from here on have been left out */
    double weight;
} wb_sample_pool_t;

enum { WB_SAMPLE_GENRES = 64, WB_SAMPLE_NAME = 64 };
typedef struct wb_sample {
    char genre[WB_SAMPLE_GENRES][WB_SAMPLE_NAME];
    int64_t read[WB_SAMPLE_GENRES], kept[WB_SAMPLE_GENRES]; /* bytes */
    double weight[WB_SAMPLE_GENRES];                        /* 0: none was given */
    int32_t times[WB_SAMPLE_GENRES];                        /* what a text of the genre counts, in 1/16 */
    int genres;
    bool weighted;
    wb_sample_pool_t pool[WB_SAMPLE_GENRES]; /* without weights only [0] */
    wb_sample_text_t *texts;                 /* [len], sorted by key */
    int64_t len, bytes;
    int64_t left_out; /* records that are no text */
    wb_complaint_t first;
} wb_sample_t;

/* Read the inputs once and keep at most `bytes` of their text.  Which texts: those with the lowest hash of (seed,
 * text), so neither names nor the order of reading decide.  With weights every genre is held to its share while there
 * is more than fits, and counts so often that the shares are as asked for.  *s is zero; fini also after an error.
 * Errors: WB_EUSAGE, WB_EIO, WB_ENOMEM, WB_EDATA no text at all. */
wb_status wb_sample_read (wb_sample_t *s, const wb_sample_options_t *o) WB_NODISCARD;
void wb_sample_fini (wb_sample_t *s);

#endif
