/* Gradient synchronisation, inside: gradients summed over the data group, weights gathered from their owners.
 *
 * The block of a rank is cut in buckets.  Each bucket is reduce-scattered over the data group, so that piece d of every
 * bucket belongs to data rank d: those pieces are the rank's segments. */
#ifndef WABUN_TRAIN_GRADSYNC_H
#define WABUN_TRAIN_GRADSYNC_H

#include "wabun/train.h"

/* Buckets whose borders an optimizer decides, at the end of the block; what lies before them is cut evenly. */
typedef struct wb_bucket_plan {
    int dp, n;       /* data ranks, buckets */
    int64_t *begin;  /* [n] falling; bucket i ends where bucket i - 1 begins, the first at the end of the block */
    int64_t *bounds; /* [n][dp + 1] floats from begin: piece d belongs to data rank d */
} wb_bucket_plan_t;
void wb_bucket_plan_destroy (wb_bucket_plan_t *plan); /* NULL is fine */

typedef struct wb_gradsync wb_gradsync_t;

/* \param bucket_floats  0 = default.  zero: shard the optimizer (ZeRO-1, Rajbhandari et al., arXiv:1910.02054).
 * \param plan  NULL: every bucket is cut evenly; copied.  Collective over topo->world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_gradsync_new (wb_gradsync_t **out, const wb_topo_t *topo, const wb_params_t *params, const wb_kern_t *k,
                           int64_t bucket_floats, bool zero, bool sequence, wb_wire wire,
                           const wb_bucket_plan_t *plan) WB_NODISCARD;
void wb_gradsync_destroy (wb_gradsync_t *g); /* NULL is fine; collective over topo->world */
/* Bytes that new will allocate at lo's place. */
size_t wb_gradsync_bytes (const wb_layout_t *lo, const wb_params_t *params, int64_t bucket_floats, wb_wire wire,
                          const wb_bucket_plan_t *plan);
/* The pieces this rank writes to checkpoints and, where they learn, counts in norms: disjoint over all ranks, together
 * every parameter once.  Borrowed. */
const wb_segment_t *wb_gradsync_owned (const wb_gradsync_t *g, int *n);
/* The pieces this rank updates: with zero its share (replicas of tied and uncut tensors included), else the whole
 * block.  Borrowed. */
const wb_segment_t *wb_gradsync_updated (const wb_gradsync_t *g, int *n);

/* Gradients of a step: begin names their block (from params->fixed on); final says that they are final from float
 * `begin` on, so that buckets which lie wholly there start; end waits until all are reduced, tied embedding and partial
 * gradients included. Collective over topo->world, in the order of the buckets. */
void wb_gradsync_begin (wb_gradsync_t *g, float *grads);
void wb_gradsync_final (wb_gradsync_t *g, int64_t begin);
void wb_gradsync_end (wb_gradsync_t *g);
/* Sum of squares of the owned pieces. */
double wb_gradsync_sumsq (const wb_gradsync_t *g, const float *grads);

/* Updated weights, sent to the data group by those who updated them; nothing happens without zero.  gather_begin starts
 * the buckets that begin at or before float `end` and have not started since the last wb_gradsync_begin(), in the order
 * in which the forward pass reads them.  Until they are waited for nobody writes to them.  gather_wait waits for those
 * with floats begin .. end - 1; gather_end for all.  Collective over the data group. */
void wb_gradsync_gather_begin (wb_gradsync_t *g, float *weights, int64_t end);
void wb_gradsync_gather_wait (wb_gradsync_t *g, int64_t begin, int64_t end);
void wb_gradsync_gather_end (wb_gradsync_t *g);

/* Let the rings progress; takes a void pointer because it serves as a callback. */
void wb_gradsync_poll (void *g);
/* Seconds since new: waited for weights; and, of gradients, from the start of a step's first bucket until the last one
 * was reduced. */
double wb_gradsync_seconds_gather (const wb_gradsync_t *g);
double wb_gradsync_seconds_reduce (const wb_gradsync_t *g);

#endif
