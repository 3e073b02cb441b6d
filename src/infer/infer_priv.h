/* infer: what the files of this room share.  Not installed. */
#ifndef WABUN_INFER_PRIV_H
#define WABUN_INFER_PRIV_H

#include "wabun/infer.h"
#include "wabun/kv_cache.h"

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
    float *values;       /**< [2 max_rows] for the caller's use */
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
/** The n most likely of logits [V] into out, most likely first, of equals the lower id; returns how many there are.
 * (engine_draw.c) */
int wb_most_likely (wb_likely_t *out, const float *logits, int64_t V, int n);
/** All ids that d can come to, with their log-probabilities, into out [V], in the order in which they are tried;
 * returns how many, or what wb_draw_t.id says of a failure.  For tests.  (sample.c) */
int64_t wb_sample_choice (wb_likely_t *out, const wb_draw_t *d, int64_t V, void *work);

/* ---- weights (weights.c, share.c) -------------------------------------------------------------------------------- */

/** All matrices of a block in fp32 into panels (wb_panels_pack), or back; work [wb_weights_work_floats()]. */
void wb_weights_arrange (float *weights, const wb_params_t *params, float *work,
                         void (*how) (float *A, wb_panels form, float *work, int64_t k, int64_t n));
int64_t wb_weights_work_floats (const wb_size_t *s);

/** A mapped WB_SHARED_FILE; zero-initialised: none. */
typedef struct wb_shared {
    void *map;
    size_t bytes;
    float *block; /**< of weights, in panels; may not be written */
} wb_shared_t;
/** Map dir's file, if it belongs to the model that is there now; else none.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_shared_map (wb_shared_t *out, const char *dir, wb_weights_type type, size_t bytes,
                         bool verify) WB_NODISCARD;
void wb_shared_unmap (wb_shared_t *s);
/** Write a block of weights in panels, unless another process has just done so, and map it.  Errors: WB_EIO, WB_ENOMEM.
 */
wb_status wb_shared_make (wb_shared_t *out, const char *dir, wb_weights_type type, const void *weights,
                          size_t bytes) WB_NODISCARD;

/* ---- blocks of keys and values (blocks.c) ----------------------------------------------------------------------- */

typedef struct wb_pool wb_pool_t;
/** Room for n blocks' books in an arena, which may only be counting; wb_pool_init() makes all free. */
wb_pool_t *wb_pool_carve (wb_arena_t *a, int64_t n);
void wb_pool_init (wb_pool_t *b, int64_t n);
int64_t wb_pool_free (const wb_pool_t *b);
/** A free block, of which there must be one, for one user. */
int32_t wb_pool_take (wb_pool_t *b);
/** One user more, or less, of block i. */
void wb_pool_share (wb_pool_t *b, int32_t i);
void wb_pool_drop (wb_pool_t *b, int32_t i);
int wb_pool_users (const wb_pool_t *b, int32_t i);
/** The block that holds ids [WB_CACHE_BLOCK] after the block with the serial number `parent` (0: at the beginning of a
 * text); -1: none. */
int32_t wb_pool_find (const wb_pool_t *b, uint64_t parent, const int32_t *ids);
/** From now on block i, which has no name, is found by these. */
void wb_pool_name (wb_pool_t *b, int32_t i, uint64_t parent, const int32_t *ids);
/** It is going to hold something else. */
void wb_pool_unname (wb_pool_t *b, int32_t i);
uint64_t wb_pool_serial (const wb_pool_t *b, int32_t i); /**< 0: no name */

/** "FILE:LINE", or the source alone. */
const char *wb_text_place (char buf[256], const wb_text_t *text);

#endif
