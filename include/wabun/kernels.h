/* wabun - kernels: the arithmetic.  No MPI, no allocation, no globals, cannot fail.
 *
 * All matrices are row-major fp32 with contiguous rows unless a leading dimension is given.  `d` before a name is its
 * gradient.  "+=" in a comment means that the kernel adds to what is there.
 *
 * Every kernel but the matrix product is an entry of a table: one plain-C twin (wb_kern_ref, slow, in the order of the
 * formula, the oracle of the tests), and a table for each instruction set, all compiled from the same sources.  Kernels
 * use OpenMP threads themselves and must not be called from inside a parallel region.  Results do not depend on the
 * number of threads: work is cut into ranges of fixed size, rows, columns or blocks, each computed by one thread in one
 * order.
 */
#ifndef WABUN_KERNELS_H
#define WABUN_KERNELS_H

#include <wabun/base.h>
#include <wabun/panels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- matrix product and its libraries (gemm.c, the only file that calls CBLAS and oneDNN) ------------------------ */

/** C [m, n] = alpha op(A) op(B) + beta C, with op(A) [m, k], op(B) [k, n]; ta: A is stored [k, m]; tb: B is stored [n,
 * k]. lda, ldb, ldc: floats from one stored row to the next.  The library's threads.  2 m n k flop. */
void wb_gemm (float *C, const float *A, const float *B, int64_t m, int64_t n, int64_t k, int64_t ldc, int64_t lda,
              int64_t ldb, bool ta, bool tb, float alpha, float beta);

/** The library that multiplies: oneDNN if the build has it and wabun's own kernels are the AVX-512 ones, else BLAS; the
 * environment variable WABUN_GEMM=blas|onednn overrides this.  When oneDNN runs out of memory, BLAS multiplies. */
typedef enum wb_gemm_library { WB_GEMM_BLAS, WB_GEMM_ONEDNN } wb_gemm_library;
wb_gemm_library wb_gemm_library_get (void);
/** For tests and benches, while no product is running.  False: the build does not have it, nothing changed. */
bool wb_gemm_library_set (wb_gemm_library which);
const char *wb_gemm_library_name (wb_gemm_library which); /**< "blas", "onednn" */

/** What wb_gemm () is asked for, but for the numbers. */
typedef struct wb_gemm_shape {
    int64_t m, n, k;
    bool ta, tb;
} wb_gemm_shape_t;
enum { WB_GEMM_CHOICES = 32 };
/** Is the library a choice of its own: both are built, this processor has the instructions for oneDNN, WABUN_GEMM does
 * not name one? */
bool wb_gemm_is_free (void);
/** From now on `which` multiplies products of this shape instead of wb_gemm_library_get (); the first WB_GEMM_CHOICES
 * shapes count.  Before products run. */
void wb_gemm_choose (const wb_gemm_shape_t *shape, wb_gemm_library which);
/** Forget all shapes. */
void wb_gemm_choose_none (void);
/** Seconds of a product by a library, the best of a few within about 0.02 s, of matrices without gaps. C is
 * overwritten. */
double wb_gemm_seconds (wb_gemm_library which, const wb_gemm_shape_t *shape, float *C, const float *A, const float *B);

/** C [m, n] = op(A) op(B) + beta C of brain floats, otherwise as wb_gemm (): products are exact, sums fp32.  By the
 * instructions of wb_bf16_unit_get (), or by the plain twin, which unpacks blocks for wb_gemm (). */
void wb_gemm_bf16 (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                   int64_t lda, int64_t ldb, bool ta, bool tb, float beta);
/** What multiplies brain floats: the plain twin, which is slower than fp32; AVX-512 BF16, up to twice as fast as fp32,
 * through oneDNN; AMX, up to 16 times, by our own product.  A library that WABUN_GEMM names, or wb_gemm_library_set (),
 * multiplies brain floats, too: BLAS by the plain twin, oneDNN by what it has. */
typedef enum wb_bf16_unit { WB_BF16_PLAIN, WB_BF16_AVX512, WB_BF16_AMX } wb_bf16_unit;
wb_bf16_unit wb_bf16_unit_get (void);
const char *wb_bf16_unit_name (wb_bf16_unit unit); /**< "plain C", "AVX-512 BF16", "AMX" */

/** A matrix as a product reads it: brain floats where `half` is not NULL, else fp32. */
typedef struct wb_operand {
    const float *f;
    const uint16_t *half;
} wb_operand_t;
/** wb_gemm () or wb_gemm_bf16 () with alpha = 1; A and B are of one kind. */
void wb_gemm_of (float *C, wb_operand_t A, wb_operand_t B, int64_t m, int64_t n, int64_t k, int64_t ldc, int64_t lda,
                 int64_t ldb, bool ta, bool tb, float beta);

/** Which BLAS this is; strings are borrowed from the BLAS or constant. */
typedef struct wb_blas_info {
    const char *config;    /**< e.g. "OpenBLAS 0.3.21 DYNAMIC_ARCH USE_OPENMP" */
    const char *core;      /**< kernel in use: "SkylakeX", "Prescott", ... */
    const char *want;      /**< what OPENBLAS_CORETYPE should be for this processor, NULL when `core` is good */
    const char *threading; /**< "OpenMP", "pthreads", "serial" */
    int threads;           /**< threads the BLAS will use */
} wb_blas_info_t;
void wb_blas_info (wb_blas_info_t *out);
/** With an OpenMP build of OpenBLAS this sets OpenMP's number of threads, and so that of the kernels, too. */
void wb_blas_threads_set (int threads);

/* ---- the table --------------------------------------------------------------------------------------------------- */

/** Positions in a block of the cache. */
#define WB_CACHE_BLOCK 64
/** Floats of a sequence's keys and values in one layer, T positions at most: [blocks][H][2][64, D]; in each block a
 * head's values follow its keys, so that attention reads it from end to end. */
int64_t wb_cache_floats (int64_t T, int64_t H, int64_t D);
/** A sequence in attention_cached: its n new positions, qkv [n, 3, H, D] to out [n, H, D]; the blocks of its cache,
 * each as wb_cache_floats() has them for one layer `at` floats from its beginning, which hold len - n positions before
 * the call and len after it; new position i attends to the first len - n + i + 1.  half: the cache holds brain floats,
 * in half as many floats of memory.  Several entries may have the same
 * blocks: all new positions are stored before any attends. */
typedef struct wb_cached {
    float *out;
    const float *qkv;
    float *const *blocks; /**< [len / WB_CACHE_BLOCK, rounded up] */
    int64_t at, n, len;
    bool half;
} wb_cached_t;
/** Floats of work space attention_cached needs for nseq sequences of up to T positions, threads = wb_kern_threads ().
 */
int64_t wb_cached_work_floats (int64_t T, int64_t H, int64_t D, int nseq, int threads);

typedef struct wb_kern {
    const char *name; /**< "ref", "portable", "avx2", "avx512" */

    /** out [n, C] = wte [tokens[i] - v0] (0 where the token lies outside v0 .. v1 - 1: another rank owns it)
     *  + wpe [pos0 + i % T] (nothing added when wpe is NULL).  n = B T rows, T positions each. */
    void (*embed_forward) (float *out, const int32_t *tokens, const float *wte, const float *wpe, int64_t n, int64_t T,
                           int64_t C, int64_t v0, int64_t v1, int64_t pos0);
    /** dwte [v1 - v0, C] += scatter of dout [n, C]; dwpe [T, C] += sums over the batch (skipped when NULL). */
    void (*embed_backward) (float *dwte, float *dwpe, const float *dout, const int32_t *tokens, int64_t n, int64_t T,
                            int64_t C, int64_t v0, int64_t v1);

    /** out [n, C] = (x - mean) rstd g + b over each row, rstd = 1 / sqrt (var + 1e-5), var biased; mean, rstd [n] are
     * kept for the backward pass (may be NULL).  Ba et al., arXiv:1607.06450. */
    void (*layernorm_forward) (float *out, float *mean, float *rstd, const float *x, const float *g, const float *b,
                               int64_t n, int64_t C);
    /** dx [n, C] += ..., dg [C] +=, db [C] +=.  dx must not alias dout. */
    void (*layernorm_backward) (float *dx, float *dg, float *db, const float *dout, const float *x, const float *mean,
                                const float *rstd, const float *g, int64_t n, int64_t C);

    /** y [n, m] += b [m] on each row. */
    void (*bias_add) (float *y, const float *b, int64_t n, int64_t m);
    /** db [m] += column sums of dy [n, m]. */
    void (*bias_backward) (float *db, const float *dy, int64_t n, int64_t m);
    /** z [n, m] += b; out = gelu (z), gelu (z) = z/2 (1 + tanh (sqrt (2/pi) (z + 0.044715 z^3))).  Hendrycks and
     * Gimpel, arXiv:1606.08415. z is kept for the backward pass. */
    void (*bias_gelu_forward) (float *out, float *z, const float *b, int64_t n, int64_t m);
    /** out [n] = gelu (z): to recompute the activation in the backward pass. */
    void (*gelu_forward) (float *out, const float *z, int64_t n);
    /** dz [n, m] = dout gelu' (z); db [m] += column sums of dz.  dz may be dout. */
    void (*gelu_backward) (float *dz, float *db, const float *dout, const float *z, int64_t n, int64_t m);
    /** y [n, m] += b, rounded to brain floats; half [n, m]: these. */
    void (*bias_add_half) (float *y, uint16_t *half, const float *b, int64_t n, int64_t m);
    /** half [n, m] = z + b as brain floats, kept for the backward pass; g = gelu of these, as brain floats. */
    void (*bias_gelu_half) (uint16_t *g, uint16_t *half, const float *z, const float *b, int64_t n, int64_t m);
    /** g [n] = gelu (z), both brain floats: to recompute the activation. */
    void (*gelu_half) (uint16_t *g, const uint16_t *z, int64_t n);
    /** gelu_backward of brain floats z; half [n, m] = dz as brain floats; dz may be dout, or NULL: not wanted. */
    void (*gelu_backward_half) (float *dz, uint16_t *half, float *db, const float *dout, const uint16_t *z, int64_t n,
                                int64_t m);
    /** out [n, C] = x + y + b (b NULL: x + y); out may be x or y. */
    void (*bias_residual) (float *out, const float *x, const float *y, const float *b, int64_t n, int64_t C);
    /** sum [n, C] = x + y + bias, and out, mean, rstd = LayerNorm of sum with g, b, while its rows are in cache: the
     * same bits as bias_residual and layernorm_forward one after the other.  sum may be x or y. */
    void (*residual_layernorm) (float *out, float *mean, float *rstd, float *sum, const float *x, const float *y,
                                const float *bias, const float *g, const float *b, int64_t n, int64_t C);

    /** Causal self-attention, scores never leave the cache (Dao et al., arXiv:2205.14135).  qkv [B, T, 3, H, D]: a row
     * holds the queries of all heads, then the keys, then the values; out [B, T, H, D]; lse [B, H, T] = log sum exp of
     * the scaled scores, for the backward pass.  Scale 1 / sqrt (D).  Blocks above the diagonal are skipped. work:
     * wb_attention_work_floats (T, D, threads) floats, threads = wb_kern_threads (). */
    void (*attention_forward) (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                               int64_t D);
    /** dqkv (overwritten, same layout as qkv) from dout; out and lse are those of the forward pass. */
    void (*attention_backward) (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                float *work, int64_t B, int64_t T, int64_t H, int64_t D);
    /** Inference: stores keys and values of the new positions of some sequences in their caches, then lets the
     * positions attend to these.  A sequence's result does not depend on the others, and where its new positions lie in
     * one block of the cache from its beginning on, that of a position does not depend on how many follow it (more than
     * one position, and one alone, are two ways of computing).  work: wb_cached_work_floats floats. */
    void (*attention_cached) (const wb_cached_t *seqs, float *work, int nseq, int64_t H, int64_t D);

    /** mx [n] = row maxima of logits [n, V] (leading dimension ld). */
    void (*xent_max) (float *mx, const float *logits, int64_t n, int64_t V, int64_t ld);
    /** sum [n] = sum_j exp (logits_j - mx); hit [n] = logit of the target where targets[i] - v0 lies in 0 .. V-1, else
     * 0. loss_i = log sum_i + mx_i - hit_i after the sums over the vocabulary shards. targets[i] < 0: not counted, hit
     * 0. */
    void (*xent_sum) (float *sum, float *hit, const float *logits, const float *mx, const int32_t *targets, int64_t n,
                      int64_t V, int64_t ld, int64_t v0);
    /** logits (in place) = scale (exp (logits - mx) / sum - [j = target - v0]); rows with target < 0 become 0. */
    void (*xent_backward) (float *logits, const float *mx, const float *sum, const int32_t *targets, int64_t n,
                           int64_t V, int64_t ld, int64_t v0, float scale);

    /** y [n] += x [n]. */
    void (*add) (float *y, const float *x, int64_t n);
    /** x [n] *= a. */
    void (*scale) (float *x, float a, int64_t n);
    /** sum of squares in double; blocks of a fixed size are added in order. NaN and infinity pass through. */
    double (*sumsq) (const float *x, int64_t n);
    /** Brain floats: round to nearest even; NaN stays NaN. */
    void (*bf16_pack) (uint16_t *out, const float *x, int64_t n);
    void (*bf16_unpack) (float *out, const uint16_t *x, int64_t n);
    void (*bf16_add) (float *y, const uint16_t *x, int64_t n); /**< y += x */
    /** Rounded as by bf16_pack, but left as fp32: operands for a product that knows fp32 only.  out must not alias x.
     */
    void (*bf16_round) (float *out, const float *x, int64_t n);

    /** One pass of Adam (Kingma and Ba, arXiv:1412.6980) with decoupled decay (Loshchilov and Hutter,
     * arXiv:1711.05101): g' = gscale g; w *= 1 - decay; m = b1 m + (1 - b1) g'; v = b2 v + (1 - b2) g'^2; w -= step m /
     * (sqrt (v) + eps). The caller folds the bias corrections into step and eps. */
    void (*adam) (float *w, float *m, float *v, const float *g, int64_t n, float step, float b1, float b2, float eps,
                  float decay, float gscale);
    /** h += g'^2; w *= 1 - decay; w -= step g' / (sqrt (h) + eps).  Duchi et al., JMLR 12 (2011). */
    void (*adagrad) (float *w, float *h, const float *g, int64_t n, float step, float eps, float decay, float gscale);
    /** w *= 1 - decay; w -= step g'. */
    void (*sgd) (float *w, const float *g, int64_t n, float step, float decay, float gscale);
    /** Momentum: m = mu m + g'; u = m, or with nesterov g' + mu m (Sutskever et al., ICML 2013).  u may be g. */
    void (*momentum) (float *u, float *m, const float *g, int64_t n, float mu, float gscale, bool nesterov);

    /** Inference's product: y [m, n] = (add: y) + b + x [m, k] A, A [k, n] in panels; b may be NULL.  A is read once,
     * from end to end.  A row of y does not depend on the other rows, nor on their number: one position at a time gives
     * the same bits as all at once.  packed: wb_panels_packed_bytes (A.type, m, k) of work space, may be NULL for one
     * row and fp32.  2 m n k flop. */
    void (*panel_linear) (float *y, const float *x, wb_matrix_t A, const float *b, void *packed, int64_t m, int64_t n,
                          int64_t k, bool add);
} wb_kern_t;
/** The table of an instruction set (the portable one if this build has no other). */
const wb_kern_t *wb_kern_get (wb_isa isa);
/** The plain-C twin. */
const wb_kern_t *wb_kern_ref (void);
/** OpenMP threads a kernel will use. */
int wb_kern_threads (void);
void wb_kern_threads_set (int threads);
/** x [n] = 0, and to [n] = from, by all threads. */
void wb_floats_clear (float *x, int64_t n);
void wb_floats_copy (float *to, const float *from, int64_t n);
/** Floats of work space the attention kernels need: per thread 4 T D and some blocks, D rounded up to 16. */
int64_t wb_attention_work_floats (int64_t T, int64_t D, int threads);

/** attention_forward and attention_backward with products of brain floats and fp32 sums, of qkv whose numbers are brain
 * floats: probabilities and gradients are rounded for the products.  By AMX; false: it is not what multiplies brain
 * floats, or the sizes do not suit it, and nothing was done.  What suits: D is 32, 64, .. 256, and its copies, of whole
 * blocks of 64 positions, fit into the work space, which is that of the fp32 kernels (any multiple of 64; with D = 64
 * all from 145 on). That depends on D and T only, so both functions say the same. */
bool wb_attention_forward_bf16 (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                                int64_t D);
bool wb_attention_backward_bf16 (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                 float *work, int64_t B, int64_t T, int64_t H, int64_t D);

/* ---- limits (limits.c) ------------------------------------------------------------------------------------------- */

/** Peak of fused multiply-adds of this process, `threads` threads at once, measured for about `seconds`: GFLOP/s
 * (fp32).  The limit that every other figure is compared with. */
double wb_kern_fma_peak (int threads, double seconds);
/** The same of brain floats with fp32 sums by AMX, or else AVX-512 BF16; 0: the processor or this build has neither.
 */
double wb_kern_bf16_peak (int threads, double seconds);
/** The same of bytes with integer sums by AVX-512 VNNI: 1e9 operations a second; 0: there is none. */
double wb_kern_int8_peak (int threads, double seconds);
/** How fast `threads` threads at once read p [n], each a part of its own from end to end, measured for about `seconds`:
 * GB/s.  The limit of work that must read this memory: pass the same memory, so that it is as near (cache, NUMA domain)
 * as for the work compared with it.  From about four times the last-level cache on it is the memory's bandwidth. */
double wb_kern_read_bandwidth (const float *p, int64_t n, int threads, double seconds);

/** Bandwidth of the memory for this process: y += a x over buf [floats], which should be larger than the caches (its
 * contents are lost), `threads` threads at once; counts two reads and a write of 4 bytes an element.  Best of the
 * passes within about `seconds`: GB/s (1e9 bytes).  The limit of everything that is not bound by multiply-adds. */
double wb_kern_bandwidth (float *buf, int64_t floats, int threads, double seconds);

/* ---- the profile of a step (profile.c) ---------------------------------------------------------------------------
 *
 * One table for everything that is timed in a training step, so that all rooms from the tensor-parallel layers to the
 * trainer add to the same sums; therefore it also has rows for what only higher rooms do. */

/** Groups by which the seconds of a step are summed. */
typedef enum wb_phase {
    WB_PHASE_LINEAR,      /**< matrix products of the blocks */
    WB_PHASE_ATTENTION,   /**< scores, softmax, values */
    WB_PHASE_ELEMENTWISE, /**< LayerNorm, GELU, biases, residual, embedding */
    WB_PHASE_HEAD,        /**< logits, their softmax and gradients */
    WB_PHASE_UPDATE,      /**< gradients cleared, their norm, the optimizer */
    WB_PHASE_COMM,        /**< messages started, progressed and waited for */
    WB_PHASES
} wb_phase;

/** What is timed in a step, kernel by kernel. */
typedef enum wb_prof {
    WB_PROF_QKV,
    WB_PROF_QKV_DX,
    WB_PROF_QKV_DW,
    WB_PROF_PROJ, /**< c_proj of the attention */
    WB_PROF_PROJ_DX,
    WB_PROF_PROJ_DW,
    WB_PROF_FC,
    WB_PROF_FC_DX,
    WB_PROF_FC_DW,
    WB_PROF_FC2, /**< c_proj of the MLP */
    WB_PROF_FC2_DX,
    WB_PROF_FC2_DW,
    WB_PROF_LORA, /**< adapters */
    WB_PROF_LORA_BACK,
    WB_PROF_ATTENTION,
    WB_PROF_ATTENTION_BACK,
    WB_PROF_EMBED,
    WB_PROF_EMBED_BACK,
    WB_PROF_LAYERNORM,
    WB_PROF_LAYERNORM_BACK,
    WB_PROF_BIAS,
    WB_PROF_BIAS_BACK,
    WB_PROF_GELU,
    WB_PROF_GELU_BACK,
    WB_PROF_RESIDUAL,
    WB_PROF_PACK, /**< operands of products made brain floats */
    WB_PROF_HEAD,
    WB_PROF_HEAD_DX,
    WB_PROF_HEAD_DW,
    WB_PROF_SOFTMAX,
    WB_PROF_CLEAR,
    WB_PROF_NORM,
    WB_PROF_OPTIMIZER,
    WB_PROF_MUON,     /**< matrices that Muon updates */
    WB_PROF_TENSOR,   /**< sums and gathers within the tensor group */
    WB_PROF_POLL,     /**< progress of messages between kernels, start of gradient buckets */
    WB_PROF_PIPELINE, /**< waiting for neighbours */
    WB_PROF_SYNC,     /**< after the backward pass: waiting for gradients that did not overlap with it */
    WB_PROF_VERDICT,  /**< the agreement of a step: waiting for the slowest rank */
    WB_PROF_WEIGHTS,  /**< all-gather of the weights over the data group */
    WB_PROFS
} wb_prof;

/** Sums since the profile was cleared.  flop and bytes are those of the formula, not of the kernel: inputs read once,
 * outputs written once. */
typedef struct wb_tally {
    double calls, seconds, flop, bytes;
} wb_tally_t;
typedef struct wb_profile {
    wb_tally_t of[WB_PROFS]; /**< by wb_prof */
} wb_profile_t;

/** "qkv dx", "attention", ...; constant. */
const char *wb_prof_name (wb_prof which);
wb_phase wb_prof_phase (wb_prof which);
/** "linear", "attention", ...; constant. */
const char *wb_phase_name (wb_phase phase);
/** Seconds of a phase. */
double wb_profile_seconds (const wb_profile_t *p, wb_phase phase);
/** Add one call that began at `start` (wb_now ()); p may be NULL.  Returns now. */
static inline double wb_profile_add (wb_profile_t *p, wb_prof which, double start, double flop, double bytes) {
    const double now = wb_now ();
    if (p != NULL) {
        wb_tally_t *t = &p->of[which];
        t->calls += 1;
        t->seconds += now - start;
        t->flop += flop;
        t->bytes += bytes;
        wb_beat_kernel (wb_prof_name (which));
    }
    return now;
}

#ifdef __cplusplus
}
#endif
#endif
