/* wabun - kv_cache: a model in use, position by position: inference with a cache of keys and values (kv_cache.c,
 * blocks.c).
 *
 * One process, the whole model.  Not collective.
 */
#ifndef WABUN_KV_CACHE_H
#define WABUN_KV_CACHE_H

#include <wabun/kernels.h>
#include <wabun/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** B sequences of at most s->T positions. */
typedef struct wb_infer wb_infer_t;
/** How the weights of a model are given, and what its cache holds. */
typedef struct wb_infer_form {
    bool panels;          /**< matrices are panels, and stay so: the block may be read by others, and is not written */
    wb_weights_type type; /**< of the matrices; fp32 unless they are panels */
    bool half_cache;      /**< keys and values are brain floats */
} wb_infer_form_t;
/** Bytes of a block of weights of a 1 x 1 x 1 layout; at [params->n] (NULL: not wanted): where in it each begins.  In
 * fp32 that is where the model room has them. */
size_t wb_weights_place (size_t *at, const wb_params_t *params, wb_weights_type type);
/** A parameter into its place in a block of a type that is not fp32. */
void wb_weights_round (void *to, const wb_param_t *p, wb_weights_type type, const float *from);
/** \param weights  block of a 1 x 1 x 1 layout, borrowed.  Matrices that are no panels become such; destroy restores
 * them.  Until then nobody else may use it, and the number of threads must not be raised.  \param B  sequences held at
 * once; blocks: of WB_CACHE_BLOCK positions for the keys and values of all sequences, 0: as many as they can need;
 * max_rows: new positions in one call, of all sequences together.  Errors: WB_ENOMEM. */
wb_status wb_infer_new (wb_infer_t **out, const wb_size_t *s, const wb_params_t *params, float *weights,
                        wb_infer_form_t form, const wb_kern_t *k, int B, int64_t blocks, int64_t max_rows) WB_NODISCARD;
void wb_infer_destroy (wb_infer_t *inf);
/** The same, but the weights stay as they are: they are of no further use. */
void wb_infer_discard (wb_infer_t *inf);
/** With keys and values in fp32; of weights of any form, at most. */
size_t wb_infer_bytes (const wb_size_t *s, int B, int64_t blocks, int64_t max_rows);
/** Positions sequence b holds. */
int64_t wb_infer_length (const wb_infer_t *inf, int b);
/** Forget all but the first `length` positions of sequence b. */
void wb_infer_rewind (wb_infer_t *inf, int b, int64_t length);
/** Sequence `to` becomes a copy of sequence `from` (a prompt is processed once for all samples).  They share their
 * blocks; what is pushed to one does not change the other. */
void wb_infer_copy (wb_infer_t *inf, int to, int from);
/** Sequence b shares no block any more (for measurements).  There must be free blocks for it. */
void wb_infer_own (wb_infer_t *inf, int b);
/** Blocks in all; those that are free; how many of these pushing n more positions to sequence b takes. */
int64_t wb_infer_blocks (const wb_infer_t *inf);
int64_t wb_infer_blocks_free (const wb_infer_t *inf);
int64_t wb_infer_blocks_need (const wb_infer_t *inf, int b, int64_t n);
/** Known beginnings.  The positions from .. n - 1 of sequence b, which came from ids [n] and were pushed in pieces that
 * begin with a block, may be used by other sequences, as far as they fill blocks; all before `from` must have been
 * named already.  Sequence b may come to share the blocks of one that holds the same. */
void wb_infer_name (wb_infer_t *inf, int b, const int32_t *ids, int64_t from, int64_t n);
/** Sequence b goes on with blocks that are known to hold the next of ids [n], as far as there are any; returns its new
 * length. */
int64_t wb_infer_attach (wb_infer_t *inf, int b, const int32_t *ids, int64_t n);

/** n tokens to be appended to a sequence. */
typedef struct wb_piece {
    int seq;
    int64_t n;
    bool singly; /**< each position with the bits it has when it is pushed alone: of all pieces together at most B + 64
                      such positions */
    bool logits; /**< those of the last position are wanted */
} wb_piece_t;
/** Append pieces, each to another sequence; the tokens of a piece follow those of the one before.  All rows go through
 * the linears as one batch.  hidden [rows, C] (may be NULL): output of the final LayerNorm for every new position;
 * logits [wanted, V] (may be NULL).  Lengths must stay <= T, and there must be enough free blocks.  Bits: see the
 * opening of kv_cache.c. */
void wb_infer_run (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const wb_piece_t *pieces,
                   int n);
/** The same with counts[i] tokens for sequence seqs[i], i = 0 .. nseq - 1, and logits of each. */
void wb_infer_push (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const int *seqs,
                    const int64_t *counts, int nseq);
/** logits [n, V] after hidden [n, C], n <= max_rows. */
void wb_infer_logits (wb_infer_t *inf, float *logits, const float *hidden, int64_t n);
/** Log-probability (nats) of targets [n] after hidden [n, C], and of the most likely ids (most: NULL: not wanted);
 * logits are computed in blocks, never n V at once; a target < 0 gives 0. */
void wb_infer_logprobs (wb_infer_t *inf, float *logprob, float *most, const float *hidden, const int32_t *targets,
                        int64_t n);

#ifdef __cplusplus
}
#endif
#endif
