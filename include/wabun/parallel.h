/* wabun - parallel: who owns which slice of what, and the layers that are cut over the tensor group.
 *
 * Three cuts at once: the batch over dp data ranks, the layers over pp pipeline ranks (each may hold several chunks of
 * layers: pp x chunks virtual stages), each layer over tp tensor ranks (Shoeybi et al., arXiv:1909.08053).  A parameter
 * descriptor says how a tensor is cut; initialisation, checkpoints, optimizer sharding and the memory plan all go
 * through it.
 */
#ifndef WABUN_PARALLEL_H
#define WABUN_PARALLEL_H

#include <wabun/base.h>
#include <wabun/comm.h>
#include <wabun/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layout (layout.c): plain numbers, no groups, so that a planner can ask about any rank ----------------------- */

#define WB_MAX_STAGES 1024
#define WB_MAX_CHUNKS 16 /**< virtual stages of one rank */

/** Which ranks: options parallel.data, pipeline, tensor, threads of a configuration. */
typedef struct wb_parallel_options {
    int data; /**< 0: the ranks that are left over */
    int pipeline, tensor;
    int threads; /**< of a rank; 0: OMP_NUM_THREADS, or the cores of the node shared by its ranks */
} wb_parallel_options_t;
extern const wb_option_t wb_parallel_options[];

/** A grid, a place in it, and which layers each virtual stage holds.  Virtual stage c pp + p is chunk c of pipeline
 * rank p. */
typedef struct wb_layout {
    int dp, pp, tp;                   /**< ranks along data, pipeline, tensor */
    int dp_rank, pp_rank, tp_rank;    /**< own place */
    int chunks;                       /**< virtual stages (chunks) a rank holds: 1, or the interleave */
    int32_t first[WB_MAX_STAGES + 1]; /**< virtual stage s holds layers first[s] .. first[s + 1] - 1 */
} wb_layout_t;

/** Cut L layers over pp x chunks virtual stages, balanced by cost.  embed_cost, head_cost: what the first and the last
 * stage have to do beside their layers, in layers.  Errors: WB_EUSAGE for an impossible layout (heads or layers that do
 * not divide ...), naming the nearest layouts that would work.  Not collective: a function of its arguments only. */
wb_status wb_layout_init (wb_layout_t *out, int dp, int pp, int tp, int chunks, int64_t L, int64_t H, double embed_cost,
                          double head_cost) WB_NODISCARD;
/** Set the place to that of grid rank r = (dp_rank pp + pp_rank) tp + tp_rank. */
void wb_layout_place (wb_layout_t *lo, int r);
/** The virtual stage that holds layer l; 0 for the embeddings (l < 0), the last for the final LayerNorm. */
int wb_layout_stage_of (const wb_layout_t *lo, int64_t l);
/** First and last virtual stage: who holds embedding and loss. */
static inline bool wb_layout_has_embed (const wb_layout_t *lo) { return lo->pp_rank == 0; }
static inline bool wb_layout_has_head (const wb_layout_t *lo) { return lo->pp_rank == lo->pp - 1; }

/* ---- schedule (schedule.c) --------------------------------------------------------------------------------------- */

typedef enum wb_op {
    WB_OP_RECV_FWD, /**< activation from the previous virtual stage */
    WB_OP_FORWARD,
    WB_OP_SEND_FWD,
    WB_OP_RECV_BWD, /**< gradient from the next virtual stage */
    WB_OP_BACKWARD,
    WB_OP_SEND_BWD
} wb_op;
/** One action: op on micro-batch `micro` of `chunk`, whose activations lie in `slot`.  `last`: a backward after which
 * nothing is added to the gradients of this chunk, so they become final in it, layer by layer. */
typedef struct wb_action {
    int32_t op, chunk, micro, slot;
    int32_t after; /**< of a receive: it may be posted once so many actions are done, because its buffer is free then */
    bool last;
} wb_action_t;
typedef enum wb_schedule_kind { WB_SCHEDULE_GPIPE, WB_SCHEDULE_1F1B } wb_schedule_kind;
extern const char *const wb_schedule_names[]; /**< of parallel.schedule, then NULL */
typedef struct wb_schedule {
    wb_action_t *actions; /**< owned */
    int n;
    int slots[WB_MAX_CHUNKS]; /**< activations in flight in each chunk: as few as the order of actions allows */
} wb_schedule_t;
#define WB_SCHEDULE_FORWARD (WB_MAX_STAGES * WB_MAX_CHUNKS) /**< no virtual stage learns: validation */
/** Actions of pipeline rank pp_rank; 1F1B with several chunks is the interleaved schedule (Narayanan et al., SC'21),
 * which wants micros to be a multiple of pp.  learns: the first virtual stage that has parameters which learn, or
 * WB_SCHEDULE_FORWARD; those before it have no backward actions, and it sends no gradients to them.  Errors: WB_EUSAGE,
 * WB_ENOMEM.  Not collective. */
wb_status wb_schedule_new (wb_schedule_t **out, wb_schedule_kind kind, int pp, int pp_rank, int chunks, int micros,
                           int learns) WB_NODISCARD;
void wb_schedule_destroy (wb_schedule_t *s);

/* ---- parameters as cut tensors (shard.c) ------------------------------------------------------------------------- */

typedef enum wb_param_class { WB_CLASS_EMBED, WB_CLASS_MATRIX, WB_CLASS_VECTOR, WB_CLASS_ADAPTER } wb_param_class;
#define WB_CLASSES_MODEL (1u << WB_CLASS_EMBED | 1u << WB_CLASS_MATRIX | 1u << WB_CLASS_VECTOR) /**< a set of them */
typedef enum wb_init_kind { WB_INIT_ZERO, WB_INIT_ONE, WB_INIT_NORMAL } wb_init_kind;

/** What a parameter does in the model, in file order.  Those from WB_ROLE_LN1_G to WB_ROLE_PROJ_B occur once a layer.
 */
typedef enum wb_role {
    WB_ROLE_NONE, /**< not a parameter of GPT-2 */
    WB_ROLE_WTE,  /**< token embedding, and the tied output */
    WB_ROLE_WPE,  /**< position embedding */
    WB_ROLE_LN1_G,
    WB_ROLE_LN1_B,
    WB_ROLE_QKV_W, /**< attn.c_attn */
    WB_ROLE_QKV_B,
    WB_ROLE_ATT_W, /**< attn.c_proj */
    WB_ROLE_ATT_B,
    WB_ROLE_LN2_G,
    WB_ROLE_LN2_B,
    WB_ROLE_FC_W, /**< mlp.c_fc */
    WB_ROLE_FC_B,
    WB_ROLE_PROJ_W, /**< mlp.c_proj */
    WB_ROLE_PROJ_B,
    WB_ROLE_LNF_G, /**< final LayerNorm */
    WB_ROLE_LNF_B,
    WB_ROLES,
    WB_ROLE_LORA_A = WB_ROLES, /**< of an adapter beside a linear: [rank, in], [out, rank] */
    WB_ROLE_LORA_B
} wb_role;

/** One parameter: what it is everywhere, and the slice this rank holds.  A vector is a matrix of one row. */
typedef struct wb_param {
    char name[48]; /**< Hugging Face GPT-2 name: "h.0.attn.c_attn.weight" */
    wb_role role;
    int ndim;           /**< as Hugging Face stores it: 1 or 2 */
    int64_t rows, cols; /**< global shape; linears are [in, out] (Conv1D) */
    int axis;  /**< cut over the tensor group along 0 (rows), 1 (columns), or -1: every tensor rank holds all */
    int parts; /**< the cut axis consists of `parts` equal parts, each cut alike (3 for q, k, v) */
    int layer; /**< 0 .. L-1; -1 embeddings; L final LayerNorm */
    wb_param_class cls;
    wb_init_kind init;
    double std;            /**< of WB_INIT_NORMAL */
    bool decay;            /**< weight decay applies (matrices) */
    bool sequence_partial; /**< with sequence parallelism its gradient is a partial sum over the tensor group */
    bool tensor_partial;   /**< its gradient is always one */
    bool frozen;           /**< does not learn: no gradient, no optimizer state, no update */
    /* this rank */
    int64_t own_rows, own_cols; /**< shape of the slice */
    int64_t row0, col0;         /**< first row, first column, inside each part */
    int64_t offset;             /**< floats from the start of the rank's block, -1: not held */
    bool primary; /**< of all holders with the same data place, this one counts it in norms and writes it to files */
} wb_param_t;

static inline int64_t wb_param_own (const wb_param_t *p) { return p->offset < 0 ? 0 : p->own_rows * p->own_cols; }
/** Element `i` of the own slice is element *global of the whole tensor, and the *run - 1 elements after it follow there
 * too. */
void wb_param_run (const wb_param_t *p, int64_t *global, int64_t *run, int64_t i);

/** A contiguous piece of a rank's own block: `count` floats from `first` inside the slice of `param`. */
typedef struct wb_segment {
    const wb_param_t *param; /**< borrowed */
    int64_t first, count;    /**< floats inside the parameter's slice */
    int64_t flat;            /**< floats from the start of the rank's block: param->offset + first */
    int64_t state;           /**< floats from the start of this rank's optimizer state */
    int64_t grad;            /**< floats from the start of its gradients, where the parameter learns */
} wb_segment_t;

/* ---- tensor-parallel layers (linear.c, vocab.c) ------------------------------------------------------------------ */

/** What a layer needs to know of its tensor group.  With `sequence`, the residual stream is cut over rows: a rank holds
 * n / ranks rows of it; reductions become reduce-scatters and all-gathers (Korthikanti et al., arXiv:2205.05198).  A
 * group of one makes no calls. */
typedef struct wb_tensor {
    wb_comm_t *group; /**< borrowed */
    wb_ring_t *ring;  /**< owned; NULL in a group of one */
    bool sequence;
    int ranks, rank;
    const wb_kern_t *k;    /**< borrowed */
    wb_profile_t *profile; /**< borrowed; where the head's kernels are counted; NULL: nowhere */
} wb_tensor_t;
/** \param max_floats  largest activation [n, C] to be reduced.  Collective over group.  Errors: WB_ENOMEM. */
wb_status wb_tensor_init (wb_tensor_t *out, wb_comm_t *group, const wb_kern_t *k, int64_t max_floats,
                          bool sequence) WB_NODISCARD;
void wb_tensor_fini (wb_tensor_t *tp);
/** own [n / ranks, C] -> the whole [n, C]: returns `own` itself without sequence parallelism, else fills and returns
 * `full`.  Collective over the group. */
const float *wb_tensor_gather (wb_tensor_t *tp, float *full, const float *own, int64_t n, int64_t C);
/** Sum partial [n, C] over the group, in place: returns the rows this rank holds of the sum (a pointer into `partial`).
 * Collective over the group. */
float *wb_tensor_reduce (wb_tensor_t *tp, float *partial, int64_t n, int64_t C);

/** Y [n, m] = X [n, k] A [k, m], one product for both cuts (column: m is the own share; row: k is the own share and Y
 * partial). */
void wb_linear_forward (float *Y, wb_operand_t X, wb_operand_t A, int64_t n, int64_t k, int64_t m);
/** dX [n, k] = dY A^T. */
void wb_linear_dx (float *dX, wb_operand_t dY, wb_operand_t A, int64_t n, int64_t k, int64_t m);
/** dA [k, m] += X^T dY. */
void wb_linear_dw (float *dA, wb_operand_t dY, wb_operand_t X, int64_t n, int64_t k, int64_t m);

/** Loss of n rows with the vocabulary cut over the group (wb_split_first/count of V), logits in blocks of rows so that
 * n V is never stored. \param dh     [n, C] partial gradient of h over the vocabulary shards, overwritten; NULL: loss
 * only. \param dwte   [own share of V, C] += ; used when dh is given; NULL: frozen \param loss   per row loss in nats
 * [n] (0 where the target is < 0), the same on all ranks of the group \param h      [n, C] whole rows;  wte [own share
 * of V, C]; targets [n], in 0 .. V - 1 \param work   wb_head_work_floats () floats \param scale  factor of the
 * gradient: 1 / tokens of the global batch Collective over the group.  6 n C V / ranks flop (2 without gradient). */
void wb_head_loss (wb_tensor_t *tp, float *dh, float *dwte, float *loss, wb_operand_t h, wb_operand_t wte,
                   const int32_t *targets, float *work, int64_t n, int64_t C, int64_t V, float scale);
/** Rows of a block of logits, of n rows: the same on all ranks of the group, whose shards may differ by one row. */
int64_t wb_head_rows (int64_t n, int64_t V, int ranks);
/** half: h and wte are brain floats; the gradients of the logits then are too, for the products. */
int64_t wb_head_work_floats (int64_t n, int64_t V, int ranks, int rank, bool half);

/* ---- grids of ranks (pblas.c) ------------------------------------------------------------------------------------ */

/** A grid of rows x cols ranks, on which matrices lie in blocks: BLACS, PBLAS and ScaLAPACK under plain names. */
typedef struct wb_grid wb_grid_t;
/** A matrix in blocks of row_block x col_block, block-cyclic over the grid, the first on rank (0, 0).  What a rank
 * holds lies column by column without gaps: a row-major slice is its transpose. */
typedef struct wb_blocks {
    int64_t rows, cols, row_block, col_block;
} wb_blocks_t;
/** Was this wabun built with ScaLAPACK? */
bool wb_grid_possible (void);
/** Rank i of the group is at row i / cols, column i % cols of the grid.  \param group  more than one rank; borrowed.
 * Collective over group.  Errors: WB_ENOMEM; WB_EUSAGE: no ScaLAPACK. */
wb_status wb_grid_new (wb_grid_t **out, wb_comm_t *group, int rows, int cols) WB_NODISCARD;
void wb_grid_destroy (wb_grid_t *g); /**< NULL is fine; collective over its group, as all below that compute */
wb_comm_t *wb_grid_group (const wb_grid_t *g);
void wb_grid_place (const wb_grid_t *g, int *rows, int *cols, int *row, int *col);
/** Of n rows or columns in blocks, those held at place `at` of `of`; floats of a matrix this rank holds. */
int64_t wb_blocks_held (int64_t n, int64_t block, int at, int of);
int64_t wb_grid_floats (const wb_grid_t *g, const wb_blocks_t *b);
/** C = alpha op(A) op(B) + beta C (psgemm). */
void wb_grid_gemm (const wb_grid_t *g, float *C, const wb_blocks_t *c, const float *A, const wb_blocks_t *a,
                   const float *B, const wb_blocks_t *b, bool ta, bool tb, float alpha, float beta);
/** C += x I.  Not collective. */
void wb_grid_add_diagonal (const wb_grid_t *g, float *C, const wb_blocks_t *c, float x);
/** A = U diag (s) VT (psgesvd), singular values falling; A is overwritten; U and VT may both be NULL.  Blocks must be
 * square.  work: wb_grid_svd_floats().  False: it did not converge. */
bool wb_grid_svd (const wb_grid_t *g, float *s, float *U, const wb_blocks_t *u, float *VT, const wb_blocks_t *vt,
                  float *A, const wb_blocks_t *a, float *work, int64_t floats);
int64_t wb_grid_svd_floats (const wb_grid_t *g, const wb_blocks_t *a, const wb_blocks_t *u, const wb_blocks_t *vt);
/** Eigenvalues [n], rising, of a symmetric G [n, n] of one rank (ssyevd); G is overwritten; work [2 n + 1].  False: it
 * did not converge.  Not collective. */
bool wb_symmetric_values (float *values, float *G, float *work, int64_t n);

/* ---- polar factors (polar.c) ------------------------------------------------------------------------------------- */

/** Coefficients of the quintic: s <- a s + b s^3 + c s^5 (Jordan et al., Muon, 2024). */
#define WB_POLAR_A 3.4445f
#define WB_POLAR_B (-4.7750f)
#define WB_POLAR_C 2.0315f
/** How a factor is made. */
typedef struct wb_polar_how {
    int steps;             /**< of Newton-Schulz */
    bool bf16;             /**< products of brain floats with fp32 sums; what is added to them is fp32 */
    void (*poll) (void *); /**< may be NULL: called between products, with ctx */
    void *ctx;
} wb_polar_how_t;
/** Nearly the polar factor U V^T of X = U S V^T by Newton-Schulz: singular values go to about 0.7 .. 1.2.
 * \param x     [rows, cols], rows `ld` floats apart; overwritten
 * \param work  wb_polar_work_floats ()
 * Returns where the factor lies, x or work, rows *ldout floats apart.  A matrix of zeros gives zeros.  Cost:
 * wb_polar_flops (). */
float *wb_polar (const wb_kern_t *k, int64_t *ldout, float *x, float *work, int64_t rows, int64_t cols, int64_t ld,
                 const wb_polar_how_t *how);
int64_t wb_polar_work_floats (int64_t rows, int64_t cols, int64_t ld, bool bf16);
double wb_polar_flops (int64_t rows, int64_t cols, int steps);
/** The same of a matrix on a grid, each rank holding one block: rows and cols are the blocks times the grid; a smaller
 * matrix is padded with zeros, which change nothing.  PBLAS multiplies fp32 only, so with bf16 its operands are rounded
 * to brain floats: the same products, no faster.
 * \param x     this rank's block, column by column (row-major transposed); overwritten
 * \param work  wb_polar_grid_floats (), x not included.  Returns where the factor lies.  Collective over the grid.
 * Each product moves about rows of G times columns of G floats a rank. */
float *wb_polar_grid (const wb_kern_t *k, const wb_grid_t *g, float *x, float *work, const wb_blocks_t *b,
                      const wb_polar_how_t *how);
int64_t wb_polar_grid_floats (const wb_grid_t *g, const wb_blocks_t *b);
/** Sum of squares, and x / sqrt (sumsq) in place, of a matrix whose rows are `ld` floats apart. */
double wb_polar_sumsq (const wb_kern_t *k, const float *x, int64_t rows, int64_t cols, int64_t ld);
void wb_polar_scale (const wb_kern_t *k, float *x, double sumsq, int64_t rows, int64_t cols, int64_t ld);

#ifdef __cplusplus
}
#endif
#endif
