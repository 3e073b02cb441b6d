/* What a tokenizer makes of a text (compare.c), and how it is shown (print.c, page.c). */
#ifndef WABUN_VOCAB_COMPARE_H
#define WABUN_VOCAB_COMPARE_H

#include "vocab/vocab_priv.h"
#include "wabun/text.h"

/* Of one tokenizer and one genre. */
typedef struct wb_measures {
    int64_t bytes, chars, tokens, byte_tokens;
    int64_t used;         /* ids that occur */
    int64_t words, whole; /* words that are one token, of those whose borders could be told */
    double seconds;
} wb_measures_t;

typedef struct wb_measured {
    const char *spec, *kind;
    int32_t size;
    wb_measures_t genre[WB_SAMPLE_GENRES], all;
} wb_measured_t;

typedef struct wb_comparison {
    const wb_sample_t *sample;
    wb_measured_t *tokenizers;
    int ntokenizers;
} wb_comparison_t;

/* The numbers that are shown, from what was measured. */
typedef struct wb_column {
    const char *name, *title, *unit; /* of the object, of the table, and of both axes */
    const char *format;
    double (*value) (const wb_measured_t *t, const wb_measures_t *m);
} wb_column_t;
extern const wb_column_t wb_vocab_columns[]; /* then a NULL name */

void wb_comparison_print (const wb_comparison_t *c);
wb_status wb_comparison_json (const wb_comparison_t *c) WB_NODISCARD;
wb_status wb_comparison_page (const wb_comparison_t *c, const char *path) WB_NODISCARD;

#endif
