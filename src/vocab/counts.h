/* How often runs of one script, and characters, stand in the sample. */
#ifndef WABUN_VOCAB_COUNTS_H
#define WABUN_VOCAB_COUNTS_H

#include "vocab/sample.h"

typedef enum wb_script { WB_SCRIPT_NONE, WB_SCRIPT_KANJI, WB_SCRIPT_HIRAGANA, WB_SCRIPT_KATAKANA } wb_script;
wb_script wb_script_of (uint32_t c);

typedef struct wb_run {
    int64_t at;    /* of its characters, in chars */
    int64_t count; /* in 1/16 */
    uint32_t hash;
    int32_t len; /* 0: an empty slot */
} wb_run_t;

/* No pair lies across the border of two scripts, so ja-bpe encodes each run by itself: the runs are all that must be
 * known of a text. */
typedef struct wb_counts {
    wb_run_t *runs; /* a hash table */
    int64_t slots, used;
    uint32_t *chars;
    int64_t nchars, chars_cap;
    int64_t *one;    /* [0x110000] of a character, in 1/16 */
    int64_t bytes;   /* that the table may take */
    int64_t dropped; /* runs as rare as this were forgotten to keep to it, in 1/16 */
} wb_counts_t;

/* bytes: what the table may take; when it is full, the rarest runs are forgotten.  *c is zero; fini also after an
 * error. */
wb_status wb_counts_make (wb_counts_t *c, const wb_sample_t *s, int64_t bytes) WB_NODISCARD;
void wb_counts_fini (wb_counts_t *c);

#endif
