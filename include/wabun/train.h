/* wabun - train: from micro-batches to a trained model.  Read src/train/step.c first.
 *
 * - gradsync: gradients into the ring bucket by bucket while the backward pass still runs; weights round the ring
 * afterwards.
 * - optim: optimizers on the own pieces, learning rate.
 * - step: one training step, the only place where these meet.
 */
#ifndef WABUN_TRAIN_H
#define WABUN_TRAIN_H

#include <wabun/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizer (optim.c) ----------------------------------------------------------------------------------------- */

typedef enum wb_optim_kind {
    WB_OPTIM_ADAMW,
    WB_OPTIM_ADAM,
    WB_OPTIM_ADAM_TF1,
    WB_OPTIM_ADAGRAD,
    WB_OPTIM_SGD,
    WB_OPTIM_MUON
} wb_optim_kind;
typedef enum wb_decay_kind { WB_DECAY_COSINE, WB_DECAY_LINEAR, WB_DECAY_CONSTANT } wb_decay_kind;
/** What belongs to whom with zero = 1: by measured cost, a matrix to one data rank, or to as many as may share. */
typedef enum wb_muon_layout { WB_MUON_AUTO, WB_MUON_WHOLE, WB_MUON_GRID } wb_muon_layout;
/** Names of the three, in the order of the enums, then NULL (options.c). */
extern const char *const wb_optim_names[], *const wb_decay_names[], *const wb_muon_layout_names[];
typedef struct wb_optim_options {
    wb_optim_kind kind;
    double lr, min_lr, beta1, beta2, eps, weight_decay, clip; /**< clip 0: off */
    int64_t warmup, steps;
    wb_decay_kind decay;
    /* Muon, of the matrices; what is above holds for the rest, which AdamW updates, and lr and weight_decay for both */
    double muon_momentum;
    double muon_rms; /**< root mean square of an update, in learning rates */
    int muon_steps;  /**< of Newton-Schulz */
    bool muon_nesterov;
    bool muon_split_qkv; /**< query, key and value parts of c_attn are matrices of their own */
    wb_muon_layout muon_layout;
    int64_t muon_check; /**< steps between looks at the singular values of an update; 0: never */
} wb_optim_options_t;
/** Learning rate of step 1, 2, ...: linear warm-up over `warmup` steps, then the decay to min_lr at `steps`. */
double wb_optim_lr (const wb_optim_options_t *o, int64_t step);
/** Arrays of state an optimizer keeps: 0, 1 or 2. */
int wb_optim_states (wb_optim_kind kind);
/** Does array i hold something for this parameter?  Muon keeps one value for a weight of a matrix, two for the rest. */
bool wb_optim_has_state (wb_optim_kind kind, int i, const wb_param_t *p);
/** What checkpoints call the states: `prefix` before the names of the parameters of these classes (a set of 1 <<
 * wb_param_class, 0: all) is array `state`. */
typedef struct wb_optim_slot {
    const char *prefix; /**< "exp_avg.", "exp_avg_sq.", "sum.", "momentum." */
    int state;
    unsigned classes;
} wb_optim_slot_t;
enum { WB_OPTIM_MAX_SLOTS = 3 };
/** The slots of an optimizer; constant. */
const wb_optim_slot_t *wb_optim_slots (wb_optim_kind kind, int *n);
/** Update the pieces named by the segments: w, g are the rank's blocks; state[i] the i-th state, indexed by
 * segment.state. gscale multiplies every gradient (clipping).  step counts from 1.  WB_OPTIM_MUON: matrices are left
 * alone, wb_muon_update() does them. */
void wb_optim_update (const wb_optim_options_t *o, const wb_kern_t *k, float *w, float *const state[2], const float *g,
                      const wb_segment_t *segments, int nsegments, int64_t step, double lr, double gscale);

/* ---- Muon (muon.c) ----------------------------------------------------------------------------------------------- */

/** Momentum, orthogonalised by Newton-Schulz (Jordan et al. 2024), for the matrices of the blocks; with decoupled decay
 * and the scale of Liu et al. (Moonlight, arXiv:2502.16982), so that AdamW's learning rate carries over:
 *   m = mu m + g;  u = g + mu m (Nesterov), or m;  w = (1 - lr decay) w - lr rms sqrt (max (rows, cols)) polar (u) */
typedef struct wb_muon wb_muon_t;
/** How the matrices are dealt to the data group: a bucket for each matrix, with what lies behind it in the block. */
typedef struct wb_deal {
    int dp, n;       /**< data ranks, buckets */
    int share[4];    /**< data ranks that share a matrix, for each of the four of a layer */
    int *first;      /**< [params] first data rank of a matrix's group */
    int64_t *begin;  /**< [n] falling; bucket i ends where bucket i - 1 begins, the first at the end of the block */
    int64_t *bounds; /**< [n][D + 1] floats from begin: piece d belongs to data rank d */
} wb_deal_t;
/** Deal by flop, the dearest matrix first: a function of its arguments.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_deal_new (wb_deal_t **out, const wb_optim_options_t *o, const wb_params_t *params, int D,
                       const int share[4]) WB_NODISCARD;
void wb_deal_destroy (wb_deal_t *deal); /**< NULL is fine */
/** The shares before anything is measured: those that are forced, or 1. */
void wb_muon_default_share (int share[4], const wb_optim_options_t *o, bool zero, int D);
/** Does this build have what such a layout needs?  Errors: WB_EUSAGE.  Not collective. */
wb_status wb_muon_check (const wb_optim_options_t *o, bool zero, int D, int T) WB_NODISCARD;

/** Grids, and with zero = 1 who does what: measured here, agreed over all ranks, or forced by o->muon_layout.
 * Collective over topo->world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_muon_new (wb_muon_t **out, const wb_topo_t *topo, const wb_optim_options_t *o, const wb_kern_t *k,
                       const wb_params_t *params, bool zero) WB_NODISCARD;
void wb_muon_destroy (wb_muon_t *m); /**< NULL is fine; collective */
/** NULL: every data rank does all. */
const wb_deal_t *wb_muon_deal (const wb_muon_t *m);
/** Form and milliseconds of each kind of matrix, in words; borrowed. */
const char *wb_muon_text (const wb_muon_t *m);
/** What this rank updates, and where its state lies.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_muon_segments (wb_muon_t *m, const wb_params_t *params, const wb_segment_t *segments,
                            int nsegments) WB_NODISCARD;
/** Bytes wb_muon_new() will keep, with the shares of wb_muon_default_share(). */
size_t wb_muon_bytes (const wb_optim_options_t *o, const wb_params_t *params, const wb_layout_t *lo, bool zero);
/** Flop of an update on this rank. */
double wb_muon_flops (const wb_muon_t *m);
typedef struct wb_gradsync wb_gradsync_t;
/** Update all matrices: w, g are the rank's blocks, momentum its state, indexed by segment.state.  g is used up.
 * gscale multiplies every gradient (clipping).  With a deal the weights of each matrix start round the data group as
 * soon as they are done; wb_gradsync_weights() waits for them.  Collective over topo->world. */
void wb_muon_update (wb_muon_t *m, float *w, float *momentum, float *g, double lr, double gscale, wb_gradsync_t *sync,
                     const wb_params_t *params);
/** Look at one matrix of each stage in the next update, another one each time (`turn` counts them); afterwards
 * wb_muon_seen() has the extremes over all ranks: least and most singular value, distance from 1 in the root mean
 * square. wb_muon_seen() is collective over topo->world. */
void wb_muon_look (wb_muon_t *m, int64_t turn);
void wb_muon_seen (wb_muon_t *m, double *least, double *most, double *rms);

/* ---- gradient synchronisation (gradsync.c) ----------------------------------------------------------------------- */

/** The block of a rank is cut in buckets; each bucket is reduce-scattered over the data group, so that piece d of every
 * bucket belongs to data rank d: those pieces are the rank's segments. */
/** \param bucket_floats  0 = default.  zero: shard the optimizer (ZeRO-1, Rajbhandari et al., arXiv:1910.02054).
 * \param deal  who owns the matrices; NULL: every bucket is cut evenly.  Collective over topo->world.  Errors:
 * WB_ENOMEM. */
wb_status wb_gradsync_new (wb_gradsync_t **out, const wb_topo_t *topo, const wb_params_t *params, const wb_kern_t *k,
                           int64_t bucket_floats, bool zero, bool sequence, wb_wire wire,
                           const wb_deal_t *deal) WB_NODISCARD;
void wb_gradsync_destroy (wb_gradsync_t *g);
size_t wb_gradsync_bytes (const wb_layout_t *lo, const wb_params_t *params, int64_t bucket_floats, wb_wire wire,
                          const wb_deal_t *deal);
/** The pieces this rank writes to checkpoints and counts in norms: over all ranks disjoint, together every parameter
 * once. */
const wb_segment_t *wb_gradsync_owned (const wb_gradsync_t *g, int *n);
/** The pieces this rank updates: zero: its share (replicas of tied and uncut tensors included); else the whole block.
 */
const wb_segment_t *wb_gradsync_updated (const wb_gradsync_t *g, int *n);
/** The gradients are final from float `begin` of the block on: start the buckets that lie wholly there. */
void wb_gradsync_final (wb_gradsync_t *g, int64_t begin);
/** Name the gradient block of this step and start a new round. */
void wb_gradsync_begin (wb_gradsync_t *g, float *grads);
void wb_gradsync_poll (void *g); /**< let the ring progress; `void`, as it serves as a callback */
/** All buckets reduced; tied embedding and partial gradients summed.  Collective over topo->world. */
void wb_gradsync_end (wb_gradsync_t *g);
/** Sum of squares of the owned pieces. */
double wb_gradsync_sumsq (const wb_gradsync_t *g, const float *grads);
/** The same ahead of wb_gradsync_weights(), of the buckets that begin at or before `end`: what lies there is updated.
 */
void wb_gradsync_give (wb_gradsync_t *g, float *weights, int64_t end);
/** Start giving the updated weights to the data group, in the order in which the forward pass reads them (zero only).
 * They are there once wb_gradsync_need or wb_gradsync_settle say so; until then nobody writes to them.  Collective over
 * the data group. */
void wb_gradsync_weights (wb_gradsync_t *g, float *weights);
/** Wait for the weights of floats begin .. end - 1 of the block. */
void wb_gradsync_need (wb_gradsync_t *g, int64_t begin, int64_t end);
/** Wait for all of it.  Collective over the data group. */
void wb_gradsync_settle (wb_gradsync_t *g);
/** Seconds since new: waited for weights in need and settle; and from the start of a step's first bucket until its last
 * one was there, of gradients. */
double wb_gradsync_seconds_need (const wb_gradsync_t *g);
double wb_gradsync_seconds_gradients (const wb_gradsync_t *g);

/* ---- a step (step.c) --------------------------------------------------------------------------------------------- */

typedef struct wb_step_result {
    double loss;      /**< mean loss in nats per token over the global batch */
    double grad_norm; /**< before clipping */
    double lr;
    bool bad;    /**< NaN or infinity somewhere: nothing was updated */
    bool unread; /**< some rank could not read its batch: nothing was updated */
    bool stop;   /**< some rank was asked to stop */
    /** Seconds on this rank.  wait: part of forward and backward, spent waiting for neighbours in the pipeline (the
     * bubble); need: part of forward, spent waiting for weights that the step before has updated; tensor: part of
     * forward and backward, in the tensor group; sync: behind the schedule, waiting for gradients, and the verdict. */
    double t_data, t_forward, t_backward, t_wait, t_need, t_tensor, t_sync, t_update, t_total;
    /** Gradients: seconds from the first bucket's start until the last one was there, and the part of it behind the
     * backward pass.  1 - exposed / transfer is what the backward pass hides. */
    double t_transfer, t_exposed;
    double muon_min, muon_max, muon_rms; /**< singular values of an update: least, most, root mean square distance from
                                          * 1; 0 in steps in which nobody looked */
} wb_step_result_t;

typedef struct wb_step_options {
    wb_size_t size;
    int64_t B;            /**< micro-batch, sequences; 0: wb_trainer_choose_micro_batch() */
    int64_t T;            /**< positions of a sequence, <= size.T */
    int64_t global_batch; /**< sequences */
    int chunks;           /**< virtual stages of a rank: parallel.interleave */
    wb_schedule_kind schedule;
    wb_recompute recompute;
    bool sequence, zero;
    wb_wire wire;
    wb_optim_options_t optim;
    uint64_t seed;
    int64_t bucket_floats; /**< 0 = default */
} wb_step_options_t;
/** Options train.* and parallel.* of a configuration, of this struct (options.c). */
extern const wb_option_t wb_train_options[];
/** Micro-batches of a data rank in a step; exact for options that wb_trainer_layout() accepts. */
static inline int wb_step_micro_batches (const wb_step_options_t *o, int dp) {
    return (int) (o->global_batch / (o->B * dp));
}

/** Everything a rank trains with: weights, gradients, optimizer state, activations.  Fields are for reading; weights
 * after a step by wb_trainer_weights. */
typedef struct wb_trainer {
    const wb_topo_t *topo; /**< borrowed */
    wb_layout_t layout;
    wb_params_t *params;
    const wb_kern_t *kern; /**< borrowed */
    wb_step_options_t o;
    float *weights, *grads; /**< [params->own] */
    float *state[2];        /**< [state_floats[i]], NULL where the optimizer has no such state */
    int64_t state_floats[2];
    int64_t step; /**< steps done; set it when resuming */
    int micros;   /**< micro-batches of this rank in a step */
    struct wb_trainer_impl *impl;
} wb_trainer_t;

/** What a rank holds, in bytes, before anything is allocated. */
typedef struct wb_memory {
    size_t parameters, gradients, optimizer, activations, work, communication, total;
} wb_memory_t;

/** Bytes of a rank that no table of the trainer knows: program, MPI library, buffers of BLAS and oneDNN.  An estimate
 * from measurements: with wb_trainer_memory() it meets the real peak within a few percent for all but toy models. */
size_t wb_trainer_overhead (int ranks, int threads, int64_t width);
/** Choose the micro-batch where o->B is 0; else do nothing.  With a pipeline, whose bubble shrinks with their
 * number: 1. Else the largest divisor of a data rank's sequences with which products are tall enough and no taller
 * (2,048 positions a thread, 8,192 in all: `wabun bench step --micro-batch` shows what it brings), activations take at
 * most 1.5 GiB a thread, and the whole rank at most `bytes` (INFINITY: not known).  Not collective: the same answer for
 * the same arguments.  Errors: as wb_trainer_layout and wb_trainer_memory. */
wb_status wb_trainer_choose_micro_batch (wb_step_options_t *o, int dp, int pp, int tp, int threads,
                                         double bytes) WB_NODISCARD;
/** The same with the minimum over all ranks of `threads` and of the free memory.  Collective over topo->world. */
wb_status wb_trainer_choose_micro_batch_all (wb_step_options_t *o, const wb_topo_t *topo, int threads) WB_NODISCARD;
/** The layout of a grid for these options: refuses what cannot work, before anything is allocated (batch, heads,
 * layers, positions that do not divide), naming what would.  Not collective: the same answer everywhere.  Errors:
 * WB_EUSAGE. */
wb_status wb_trainer_layout (wb_layout_t *out, const wb_step_options_t *o, int dp, int pp, int tp) WB_NODISCARD;
/** Bytes of the rank at lo's place.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_trainer_memory (wb_memory_t *out, const wb_step_options_t *o, const wb_layout_t *lo) WB_NODISCARD;
/** Allocate everything; weights are drawn from the seed.  Collective over topo->world.  Errors: WB_EUSAGE, WB_ENOMEM;
 * agreed. */
wb_status wb_trainer_new (wb_trainer_t **out, const wb_topo_t *topo, const wb_step_options_t *o) WB_NODISCARD;
void wb_trainer_destroy (wb_trainer_t *t);

/** Where samples come from: fill ids [T + 1] of sample k.  Errors: what could not be read, with file and place. */
typedef wb_status (*wb_sample_fn) (void *ctx, int32_t *ids, int64_t k);
/** One step on samples step * global_batch ... of `sample`, after which step is one higher.  `stop`: this rank was
 * asked to stop; all ranks learn of it in the same step.  A step whose numbers went bad changes nothing and is not
 * counted; that is no error, out->bad tells.  Collective over topo->world.  Allocates nothing.  Errors: of `sample` on
 * any rank, agreed; nothing is changed then, and the step can be repeated. */
wb_status wb_trainer_step (wb_trainer_t *t, wb_step_result_t *out, wb_sample_fn sample, void *ctx,
                           bool stop) WB_NODISCARD;
/** The weights [params->own], all there: a step leaves them on their way round the data group, and whoever reads or
 * writes them outside of steps comes through here.  Collective over the data group. */
float *wb_trainer_weights (wb_trainer_t *t);
/** Sum of losses (nats) and number of tokens over samples 0 .. n - 1; weights are unchanged.  Apart from rounding the
 * same in all layouts.  Collective over topo->world.  Errors: of `sample` on any rank, agreed; the sums are 0 then. */
wb_status wb_trainer_evaluate (wb_trainer_t *t, double *loss_sum, double *tokens, wb_sample_fn sample, void *ctx,
                               int64_t n) WB_NODISCARD;
/** How many samples all ranks together take at a time there: a rank that reads k reads k + this next time. */
int64_t wb_trainer_round (const wb_trainer_t *t);
/** The pieces this rank writes to checkpoints; those whose state it updates and so must load; the whole block by
 * parameter (weights to load). */
const wb_segment_t *wb_trainer_owned (const wb_trainer_t *t, int *n);
/** How Muon's matrices are shared, in words; NULL with another optimizer; borrowed. */
const char *wb_trainer_muon (const wb_trainer_t *t);
const wb_segment_t *wb_trainer_updated (const wb_trainer_t *t, int *n);
const wb_segment_t *wb_trainer_block (const wb_trainer_t *t, int *n);
/** What the steps took since new, kernel by kernel, on this rank. */
const wb_profile_t *wb_trainer_profile (const wb_trainer_t *t);

/* ---- who waits for whom (ranks.c) -------------------------------------------------------------------------------- */

/** What one rank did in a step. */
typedef struct wb_rank_record {
    double compute, rest, exposed, transfer;
    char host[64];
} wb_rank_record_t;
/** A step over all ranks, in seconds.  Minimum, median and maximum over the ranks: compute: reading, arithmetic and
 * update; waiting: for other ranks.  What a rank does not compute it communicates or waits; the rank that does so least
 * waits for nobody, so its share is the communication nothing hides (exposed), and what others have beyond it is
 * waiting.  hidden: 1 - (gradients behind the backward pass) / (gradients from the first bucket's start to the last
 * one's end), sums over ranks; 0 where no gradients travel. */
typedef struct wb_rank_times {
    double compute[3], waiting[3], exposed, hidden;
    int slowest; /**< the rank that computes longest */
    char host[64];
} wb_rank_times_t;
/** \param room  [size of world].  One small all-gather: call it where a step is logged, not in every step.  Collective
 * over world. */
void wb_rank_times (wb_rank_times_t *out, wb_rank_record_t *room, wb_comm_t *world, const wb_step_result_t *step);

#ifdef __cplusplus
}
#endif
#endif
