/* infer: what the files of this room share.  Not installed. */
#ifndef WABUN_INFER_PRIV_H
#define WABUN_INFER_PRIV_H

#include "wabun/infer.h"

enum { WB_BATCH_MAX = 32 };

/** Sequences that go through the model together, each from its own beginning: scores and vectors (batch.c). */
typedef struct wb_batch {
    const wb_model_t *m; /**< borrowed */
    wb_infer_t *inf;     /**< NULL before wb_batch_room () */
    int max_B;           /**< sequences, when memory allows */
    int B;               /**< sequences there is room for */
    int64_t T, max_rows; /**< positions of a sequence, and of all together */
    float *hidden;       /**< [max_rows, C] states after the final LayerNorm, from wb_batch_push () */
    int32_t *ids;        /**< [max_rows] the sequences, one after the other */
    float *values;       /**< [max_rows] for the caller's use */
    int n;               /**< sequences held */
    int64_t rows;        /**< their positions */
    int64_t counts[WB_BATCH_MAX];
} wb_batch_t;

/** \param max_B  at most WB_BATCH_MAX */
void wb_batch_init (wb_batch_t *b, const wb_model_t *m, int max_B);
void wb_batch_fini (wb_batch_t *b);
/** Make room for sequences of `need` <= the model's T positions; b must hold none.  Errors: WB_ENOMEM. */
wb_status wb_batch_room (wb_batch_t *b, int64_t need) WB_NODISCARD;
/** Is there room for one more sequence? */
bool wb_batch_fits (const wb_batch_t *b, int64_t count);
/** Add a sequence, which must fit. */
void wb_batch_add (wb_batch_t *b, const int32_t *ids, int64_t count);
/** Run the model over all that was added. */
void wb_batch_push (wb_batch_t *b);
/** Forget the sequences. */
void wb_batch_clear (wb_batch_t *b);

/** Does anything of it change logits before the choice is narrowed?  (adjust.c) */
bool wb_sampling_adjusts (const wb_sampling_t *s);
/** z [V]: the draw's logits, changed in place; -infinity: forbidden.  count [V]: work. */
void wb_sample_adjust (float *z, const wb_draw_t *d, int64_t V, int32_t *count);
/** All ids that d can come to, with their log-probabilities, into out [V], in the order in which they are tried;
 * returns how many, or what wb_draw_t.id says of a failure.  For tests.  (sample.c) */
int64_t wb_sample_choice (wb_likely_t *out, const wb_draw_t *d, int64_t V, void *work);

/** "FILE:LINE", or the source alone. */
const char *wb_text_place (char buf[256], const wb_text_t *text);

#endif
