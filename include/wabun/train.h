/* wabun - train: from micro-batches to a trained model.  Read src/train/step.c first.
 *
 * Here is what others call: options, the trainer, a step.  Inside are the exchange of gradients and weights
 * (train/gradsync.h), the table of optimizers (train/optim.h) and Muon (train/muon.h).
 */
#ifndef WABUN_TRAIN_H
#define WABUN_TRAIN_H

#include <wabun/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizers and learning rates (optim.c, rate.c) ------------------------------------------------------------ */

typedef enum wb_optim_kind {
    WB_OPTIM_ADAMW,
    WB_OPTIM_ADAM,
    WB_OPTIM_ADAM_TF1,
    WB_OPTIM_ADAGRAD,
    WB_OPTIM_SGD,
    WB_OPTIM_MUON,
    WB_OPTIMS
} wb_optim_kind;
typedef enum wb_decay_kind { WB_DECAY_COSINE, WB_DECAY_LINEAR, WB_DECAY_CONSTANT, WB_DECAYS } wb_decay_kind;
/** How many data ranks own a matrix with zero = 1: chosen by measured time; one; as many as can share it. */
typedef enum wb_muon_layout { WB_MUON_AUTO, WB_MUON_WHOLE, WB_MUON_GRID } wb_muon_layout;
/** Names of the three, in the order of the enums, then NULL: values in a configuration. */
extern const char *const wb_optim_names[], *const wb_decay_names[], *const wb_muon_layout_names[];
typedef struct wb_optim_options {
    wb_optim_kind kind;
    double lr, min_lr, beta1, beta2, eps, weight_decay, clip; /**< clip 0: off */
    int64_t warmup, steps;
    wb_decay_kind decay;
    /* Muon, for the matrices; AdamW updates the rest by the options above; lr and weight_decay hold for both */
    double muon_momentum;
    double muon_rms; /**< root mean square of an update, in learning rates */
    int muon_steps;  /**< of Newton-Schulz */
    bool muon_nesterov;
    bool muon_split_qkv; /**< query, key and value parts of c_attn are matrices of their own */
    wb_muon_layout muon_layout;
    int64_t muon_check; /**< steps between checks of the singular values of an update; 0: never */
} wb_optim_options_t;
/** Learning rate of step 1, 2, ...: linear warm-up over `warmup` steps, then the decay to min_lr at `steps`. */
double wb_optim_lr (const wb_optim_options_t *o, int64_t step);
/** Arrays of state an optimizer keeps: 0, 1 or 2. */
int wb_optim_states (wb_optim_kind kind);
/** Does that array of state hold values for this parameter?  Muon keeps one for a weight of a matrix, two for others;
 * of what is frozen there is none. */
bool wb_optim_has_state (wb_optim_kind kind, int state, const wb_param_t *p);
/** An array of state and its name in checkpoints: `prefix` before the names of the parameters of these classes (a set
 * of 1 << wb_param_class, 0: all). */
typedef struct wb_optim_slot {
    const char *prefix; /**< "exp_avg.", "exp_avg_sq.", "sum.", "momentum." */
    int state;
    unsigned classes;
} wb_optim_slot_t;
enum { WB_OPTIM_MAX_SLOTS = 3 };
/** The slots of an optimizer; constant. */
const wb_optim_slot_t *wb_optim_slots (wb_optim_kind kind, int *n);
/** Update the pieces named by the segments, element by element: w is the rank's block, g its gradients, indexed by
 * segment.grad; state[i] the i-th array of state, indexed by segment.state.  gscale multiplies every gradient
 * (clipping).  step counts from 1.  Optimizers that update matrices as a whole (Muon) leave those alone here. */
void wb_optim_update (const wb_optim_options_t *o, const wb_kern_t *k, float *w, float *const state[2], const float *g,
                      const wb_segment_t *segments, int nsegments, int64_t step, double lr, double gscale);

/* ---- a step (step.c) --------------------------------------------------------------------------------------------- */

typedef struct wb_step_result {
    double loss;      /**< mean loss in nats per token that counts over the global batch; 0: none does */
    double grad_norm; /**< before clipping */
    double lr;
    bool bad;    /**< NaN or infinity somewhere: nothing was updated */
    bool held;   /**< the trainer's judge was against it: nothing was updated */
    bool unread; /**< some rank could not read its batch: nothing was updated */
    bool stop;   /**< some rank was asked to stop */
    int micros;  /**< micro-batches of this rank */
    bool save;   /**< some rank was asked to save */
    int ready;   /**< ranks whose part of a save is done */
    /** Seconds on this rank.  wait: part of forward and backward, spent waiting for neighbours in the pipeline (the
     * bubble); need: part of forward, spent waiting for weights updated in the previous step; tensor: part of forward
     * and backward, in the tensor group; sync: after the schedule, waiting for gradients, and the verdict. */
    double t_data, t_forward, t_backward, t_wait, t_need, t_tensor, t_sync, t_update, t_total;
    /** Gradients: seconds from the first bucket's start until the last one was reduced, and the part of it after the
     * backward pass.  1 - exposed / transfer is what the backward pass hides. */
    double t_transfer, t_exposed;
    /** Singular values of an update by Muon: minimum, maximum, root mean square distance from 1; 0 in steps in which
     * none were checked. */
    double muon_min, muon_max, muon_rms;
} wb_step_result_t;

/** What the products of linears and output multiply.  BF16 wants a processor with instructions for it;
 * BF16_ANYWHERE does not, and computes the same, slowly, where there are none. */
typedef enum wb_precision { WB_PRECISION_FP32, WB_PRECISION_BF16, WB_PRECISION_BF16_ANYWHERE } wb_precision;
extern const char *const wb_precision_names[]; /**< of train.precision, then NULL */

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
    wb_tuning_t tuning;
    wb_precision precision;
    bool measure_products; /**< see wb_trainer_choose_products() */
    uint64_t seed;
    int64_t bucket_floats; /**< 0 = default */
} wb_step_options_t;
/** Options train.* and parallel.* of a configuration, of this struct (options.c). */
extern const wb_option_t wb_train_options[];
/** Micro-batches in a step of the data rank at lo's place; data rank 0 has the most.  Data ranks have shares of the
 * global batch that differ by at most one sequence (wb_split_count()).  Places that no sequence is left for stay empty:
 * in the last micro-batch, and in the last round of interleaved stages. */
int wb_step_micro_batches (const wb_step_options_t *o, const wb_layout_t *lo);

/** Called in each step whose numbers are finite, with loss, gradient norm and rate of all ranks, before anything is
 * updated.  False: nothing is.  It must decide alike on all ranks: by what it is given, and by what is the same
 * everywhere. */
typedef bool (*wb_judge_fn) (void *ctx, const wb_step_result_t *step);

/** Everything a rank trains with: weights, gradients, optimizer state, activations.  Fields are for reading; weights
 * after a step through wb_trainer_weights(); step and judge are for the caller to set. */
typedef struct wb_trainer {
    const wb_topo_t *topo; /**< borrowed */
    wb_layout_t layout;
    wb_params_t *params;
    const wb_kern_t *kern; /**< borrowed */
    wb_step_options_t o;
    float *weights;  /**< [params->own] */
    float *grads;    /**< [params->own - params->fixed] */
    float *state[2]; /**< [state_floats[i]], NULL where the optimizer has no such state */
    int64_t state_floats[2];
    int64_t step;         /**< steps done; set it when resuming */
    int64_t first, share; /**< first of this rank's sequences in the global batch, and how many there are */
    int micros;           /**< micro-batches of this rank in a step */
    wb_judge_fn judge;    /**< NULL: every step with finite numbers is done */
    void *judge_ctx;      /**< borrowed */
    struct wb_trainer_impl *impl;
} wb_trainer_t;

/** What a rank holds, in bytes, before anything is allocated. */
typedef struct wb_memory {
    size_t parameters, gradients, optimizer, activations, work, communication, total;
} wb_memory_t;

/** Bytes of a rank that the trainer does not allocate itself: program, MPI library, buffers of BLAS and oneDNN.  An
 * estimate from measurements: with wb_trainer_memory() within a few percent of the real peak, except for toy models. */
size_t wb_trainer_overhead (int ranks, int threads, int64_t width);
/** Bytes of the copy that saving in the background takes of a rank at most (wb_ckpt_copy_bytes()), of its memory `m`:
 * its share of the parameters and of the optimizer's state, which is cut already with zero.  Not collective. */
size_t wb_trainer_copy_bytes (const wb_memory_t *m, const wb_step_options_t *o, int dp);
/** Choose the micro-batch where o->B is 0; else do nothing.  With a pipeline, whose bubble shrinks with their
 * number: 1. Else the largest divisor of the largest share of a data rank with which products are tall enough and no
 * taller (2,048 positions a thread, 8,192 in all: `wabun bench step --micro-batch` shows what it brings), activations
 * take at most 1.5 GiB a thread, and the whole rank at most `bytes` (INFINITY: not known).  Not collective: the same
 * answer for the same arguments.  Errors: as wb_trainer_layout and wb_trainer_memory. */
wb_status wb_trainer_choose_micro_batch (wb_step_options_t *o, int dp, int pp, int tp, int threads,
                                         double bytes) WB_NODISCARD;
/** The same with the minimum over all ranks of `threads` and of the free memory.  Collective over topo->world. */
wb_status wb_trainer_choose_micro_batch_all (wb_step_options_t *o, const wb_topo_t *topo, int threads) WB_NODISCARD;
/** The layout of a grid for these options.  Refuses what cannot work (heads, layers, positions that do not divide; data
 * ranks without a sequence) before anything is allocated, naming what would.  Not collective: the same answer
 * everywhere.  Errors: WB_EUSAGE. */
wb_status wb_trainer_layout (wb_layout_t *out, const wb_step_options_t *o, int dp, int pp, int tp) WB_NODISCARD;
/** Bytes of the rank at lo's place.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_trainer_memory (wb_memory_t *out, const wb_step_options_t *o, const wb_layout_t *lo) WB_NODISCARD;
/** Allocate everything; weights are drawn from the seed.  Collective over topo->world.  Errors: WB_EUSAGE, also of a
 * processor on any node that has nothing for WB_PRECISION_BF16; WB_ENOMEM; agreed. */
wb_status wb_trainer_new (wb_trainer_t **out, const wb_topo_t *topo, const wb_step_options_t *o) WB_NODISCARD;
void wb_trainer_destroy (wb_trainer_t *t);

/** Where samples come from: fill ids [T + 1] of sample k; a token that is read, but whose loss does not count, as ~id.
 * Errors: what could not be read, with file and place. */
typedef wb_status (*wb_sample_fn) (void *ctx, int32_t *ids, int64_t k);
/** What a rank tells all others in a step: a set of these. */
enum { WB_TELL_STOP = 1, WB_TELL_SAVE = 2, WB_TELL_READY = 4 };
/** One step on samples step * global_batch ... of `sample`, after which step is one higher.  `tell`: this rank was
 * asked to stop or to save, its part of a save is done; all ranks learn of it in the same step.  A step whose numbers
 * went bad changes nothing and is not counted; that is no error, out->bad tells.  Collective over topo->world.
 * Allocates nothing.  Errors: of `sample` on any rank, agreed; nothing is changed then, and the step can be repeated.
 */
wb_status wb_trainer_step (wb_trainer_t *t, wb_step_result_t *out, wb_sample_fn sample, void *ctx,
                           unsigned tell) WB_NODISCARD;
/** The weights [params->own], complete: after a step they are still on their way round the data group, so code that
 * reads or writes them between steps must get them here.  Collective over the data group. */
float *wb_trainer_weights (wb_trainer_t *t);
/** After a step with bad numbers or one that was held back, which changed nothing, or instead of a step: go on with the
 * batch after it.  Not collective, but all ranks do it. */
void wb_trainer_skip (wb_trainer_t *t);
/** A sequence of a global batch, and its mean loss in nats per token. */
typedef struct wb_sequence_loss {
    int64_t sequence;
    double loss;
} wb_sequence_loss_t;
/** The n (at most) sequences of the last step with the highest losses, the highest first; NaN counts as infinity.
 * Returns how many there are, the same on all ranks; *infinite (may be NULL): how many of the whole batch are infinite.
 * Once after a step, which it may follow whatever came of it.  Collective over topo->world: a few small messages for
 * each, so not for every step. */
int wb_trainer_worst (wb_trainer_t *t, wb_sequence_loss_t *out, int n, int64_t *infinite);
/** Sum of losses (nats) and number of tokens that count over samples 0 .. n - 1; weights are unchanged.  Apart from
 * rounding the same in all layouts.  Collective over topo->world.  Errors: of `sample` on any rank, agreed; the sums
 * are 0 then. */
wb_status wb_trainer_evaluate (wb_trainer_t *t, double *loss_sum, double *tokens, wb_sample_fn sample, void *ctx,
                               int64_t n) WB_NODISCARD;
/** Samples that all ranks together read at a time in an evaluation: a rank that reads k reads k + this next time. */
int64_t wb_trainer_round (const wb_trainer_t *t);
/** The pieces this rank writes to checkpoints.  Borrowed. */
const wb_segment_t *wb_trainer_owned (const wb_trainer_t *t, int *n);
/** The pieces it updates, whose state it must load.  Borrowed. */
const wb_segment_t *wb_trainer_updated (const wb_trainer_t *t, int *n);
/** The whole block by parameter: weights to load.  Borrowed. */
const wb_segment_t *wb_trainer_block (const wb_trainer_t *t, int *n);
/** How Muon's matrices are shared, in words; NULL with another optimizer.  Borrowed. */
const char *wb_trainer_muon (const wb_trainer_t *t);
/** Seconds, calls and flop since new, kernel by kernel, on this rank.  Borrowed. */
const wb_profile_t *wb_trainer_profile (const wb_trainer_t *t);

/* ---- which library multiplies (products.c) ----------------------------------------------------------------------- */

enum { WB_PRODUCTS = 15 };
/** A product of a step. */
typedef struct wb_product {
    const char *name;      /**< "qkv", "qkv dx", "qkv dw", ..., "head dw"; constant */
    wb_gemm_shape_t shape; /**< on this rank; m = 0: it is not there, or too small to be measured */
    double seconds[2];     /**< by wb_gemm_library, means over the ranks; of fewer rows where it is large */
    wb_gemm_library which;
} wb_product_t;
/** The products of a step, all to be multiplied by wb_gemm_library_get (). */
void wb_trainer_products (wb_product_t out[WB_PRODUCTS], const wb_trainer_t *t);
/** Time each by both libraries, on all ranks at once, and take BLAS where it is faster by a tenth; alike on all ranks.
 * Contents of gradients are lost.  Does nothing unless wb_gemm_is_free () everywhere, in fp32, and measure_products is
 * set. Returns whether anything was measured.  About a second.  Collective over topo->world. */
bool wb_trainer_choose_products (wb_trainer_t *t, wb_product_t products[WB_PRODUCTS]);

/* ---- who waits for whom (rank_times.c) --------------------------------------------------------------------------- */

/** What one rank did in a step. */
typedef struct wb_rank_record {
    double compute, rest, exposed, transfer;
    int micros; /**< micro-batches */
    char host[64];
} wb_rank_record_t;
/** A step over all ranks, in seconds.  compute, waiting: minimum, median and maximum over the ranks of reading,
 * arithmetic and update, and of waiting for other ranks.  While a rank does not compute it communicates or waits; the
 * rank with the least of that waits for nobody, so its part is the communication that nothing hides (exposed), and what
 * others have beyond it is waiting.  hidden: 1 - (gradients after the backward pass) / (gradients from the first
 * bucket's start to the last one's end), sums over ranks; 0 where no gradients travel. */
typedef struct wb_rank_times {
    double compute[3], waiting[3], exposed, hidden;
    double pace[3]; /**< as compute, if all ranks had as many micro-batches as the one with the most */
    int slowest;    /**< the rank that computes longest, by pace */
    char host[64];
} wb_rank_times_t;
/** \param records  [size of world], scratch.  One small all-gather: call it where a step is logged, not in every step.
 * Collective over world. */
void wb_rank_times (wb_rank_times_t *out, wb_rank_record_t *records, wb_comm_t *world, const wb_step_result_t *step);

#ifdef __cplusplus
}
#endif
#endif
