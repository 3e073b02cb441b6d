/* wabun - model: GPT-2.  Sizes, config.json, THE parameter table, one pipeline stage.
 *
 * The mathematics of gpt2-japanese (and of GPT-2): learned positions, pre-LayerNorm (eps 1e-5), GELU by tanh, causal
 * attention with scale 1/sqrt(D), output tied to wte, no dropout.
 *
 * With bf16, the products of the linears and of the output take brain floats: copies of the weights, made when these
 * have changed, activations and gradients.  What the backward pass needs of linears, attention and GELU is kept in bf16
 * only: 36 bytes a position and channel instead of 64.  Sums, the residual stream, LayerNorm, the arithmetic of
 * attention and GELU, loss, adapters, weights and their gradients are fp32.
 */
#ifndef WABUN_MODEL_H
#define WABUN_MODEL_H

#include <wabun/parallel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sizes (size.c) ---------------------------------------------------------------------------------------------- */

typedef struct wb_size {
    int64_t L, C, H, T, V; /**< layers, width, heads, context (positions), vocabulary */
} wb_size_t;
extern const char *const wb_preset_names[]; /**< tiny, small, medium, large, xl, then NULL */
/** The sizes of a preset; V is left alone.  Errors: WB_EUSAGE, naming the presets. */
wb_status wb_size_preset (wb_size_t *out, const char *name) WB_NODISCARD;
/** Errors: WB_EUSAGE, with what is wrong (C not a multiple of H, ...) and what would do. */
wb_status wb_size_check (const wb_size_t *s) WB_NODISCARD;
int64_t wb_size_parameters (const wb_size_t *s);
/** flop of forward and backward for one token of a window of T positions: 6 x (parameters of the linears and of the
 * tied output) + 6 L C (T + 1) for causal attention (scores and values, half the square). */
double wb_size_flops (const wb_size_t *s, int64_t T);

/** What the model is: options model.* of a configuration. */
typedef struct wb_model_options {
    int preset;     /**< index in wb_preset_names, -1: none */
    char *base;     /**< directory of the model to start from, NULL: none */
    wb_size_t size; /**< 0: from preset, base or tokenizer */
} wb_model_options_t;
extern const wb_option_t wb_model_options[];

/* ---- what learns (size.c) ---------------------------------------------------------------------------------------- */

/** Fine-tuning: which parameters learn; zeros: all.  Options finetune.* of a configuration. */
typedef struct wb_tuning {
    int64_t layers; /**< the last so many layers and the final LayerNorm; 0: all, and the embeddings */
    int64_t rank;   /**< above 0: only adapters of this rank learn, in those layers (LoRA) */
    double alpha;   /**< what adapters add is multiplied by alpha / rank */
    char *targets;  /**< which linears have adapters: names, separated by commas; NULL: all; borrowed */
} wb_tuning_t;
/** The linears of a layer, in the order of a forward pass. */
typedef enum wb_linear { WB_LINEAR_QKV, WB_LINEAR_ATT, WB_LINEAR_FC, WB_LINEAR_PROJ, WB_LINEARS } wb_linear;
const char *wb_linear_name (wb_linear l); /**< as PEFT's target_modules: "c_attn", "attn.c_proj", ... */
/** The linears that have adapters, a set of 1 << wb_linear.  Errors: WB_EUSAGE, naming those there are. */
wb_status wb_tuning_targets (unsigned *out, const wb_tuning_t *t) WB_NODISCARD;
/** W [in, out] += alpha / rank (B A)^T: the linear with its adapter in it (lora.c). */
void wb_lora_merge (float *W, const float *A, const float *B, int64_t in, int64_t out, int64_t rank, double alpha);
/** The lowest layer with parameters that learn, as in wb_param_t: the backward pass ends there. */
int64_t wb_tuning_first (const wb_tuning_t *t, const wb_size_t *s);
/** Errors: WB_EUSAGE, naming what would do. */
wb_status wb_tuning_check (const wb_tuning_t *t, const wb_size_t *s) WB_NODISCARD;
/** wb_size_flops() without what is not computed for parameters that do not learn. */
double wb_tuning_flops (const wb_tuning_t *t, const wb_size_t *s, int64_t T);

/* ---- the parameter table (parameter_table.c) --------------------------------------------------------------------- */

typedef struct wb_params {
    wb_param_t *list; /**< owned; all parameters of the model, in file order: by layer, in a layer by role */
    int n;
    int nbase;     /**< without the adapters, which are the last of the list */
    int64_t own;   /**< floats of this rank's block */
    int64_t fixed; /**< floats before the first parameter that learns: the block of gradients begins there */
    int64_t total; /**< parameters of the model */
    int64_t learn; /**< those that learn */
} wb_params_t;
/** The table for a place in a layout.  A rank's block holds its parameters in this order: wte, wpe, then chunk by chunk
 * the layers, ln_f.  The backward pass finishes them from the end, so what is final is always a tail of the block.
 * Errors: WB_ENOMEM.  Not collective. */
wb_status wb_params_new (wb_params_t **out, const wb_size_t *s, const wb_layout_t *lo) WB_NODISCARD;
/** The same for fine-tuning: what does not learn is frozen, and lies before all that learns. */
wb_status wb_params_new_tuned (wb_params_t **out, const wb_size_t *s, const wb_layout_t *lo,
                               const wb_tuning_t *tuning) WB_NODISCARD;
void wb_params_destroy (wb_params_t *p);
/** The parameter with a role, of layer l where it is a layer's (else l is ignored).  Never NULL; its offset is -1 when
 * this rank does not hold it. */
const wb_param_t *wb_params_get (const wb_params_t *p, wb_role role, int64_t l);
/** A (which = 0) or B (1) of the adapter of a linear, NULL: it has none. */
const wb_param_t *wb_params_adapter (const wb_params_t *p, int64_t l, wb_linear linear, int which);
/** By name, NULL when there is none. */
const wb_param_t *wb_params_find (const wb_params_t *p, const char *name);
/** Values of the own slices from (seed, name, global index): the same model on any layout. */
void wb_params_init (const wb_params_t *p, float *block, uint64_t seed);

/** An adapter's A and B: floats from the start of the block; -1: there is none. */
typedef struct wb_lora {
    int64_t a, b;
} wb_lora_t;
/** Where a layer's parameters lie in the rank's block: floats from its start. */
typedef struct wb_layer_offsets {
    int64_t ln1_g, ln1_b, qkv_w, qkv_b, att_w, att_b, ln2_g, ln2_b, fc_w, fc_b, proj_w, proj_b;
    int64_t begin, end; /**< the layer's part of the block: all from begin on is final after its backward pass */
    int64_t fixed;      /**< float of the block at which the gradients begin */
    wb_lora_t lora[WB_LINEARS];
    int64_t learn_begin, learn_end; /**< what learns of it: all, its adapters, or (both 0) nothing */
} wb_layer_offsets_t;
/** Of layer l, which this rank holds. */
void wb_layer_offsets (wb_layer_offsets_t *out, const wb_params_t *p, int64_t l);

/* ---- one pipeline stage (stage.c, block.c) ----------------------------------------------------------------------- */

/** What the backward pass recomputes instead of keeping: nothing; the inputs of linears and the attention (keeps 6 of
 * 16 floats a position and channel); the whole block (keeps its input only). */
typedef enum wb_recompute { WB_RECOMPUTE_NONE, WB_RECOMPUTE_ATTENTION, WB_RECOMPUTE_BLOCK } wb_recompute;
extern const char *const wb_recompute_names[]; /**< of parallel.recompute, then NULL */

/** What a stage calls back while it computes; each may be NULL. */
typedef struct wb_stage_hooks {
    /** Between kernels, so that communication progresses while the arithmetic runs; must not block. */
    void (*poll) (void *ctx);
    /** Before a forward pass reads floats begin .. end - 1 of the parameter block: waits until they are there. */
    void (*need) (void *ctx, int64_t begin, int64_t end);
    /** In the last backward pass of a step: the gradient block is final from float `begin` to its end. */
    void (*final) (void *ctx, int64_t begin);
    void *ctx; /**< of all of them */
} wb_stage_hooks_t;

typedef struct wb_stage_options {
    int64_t B, T;             /**< sequences and positions of a micro-batch */
    int chunks;               /**< as in the layout */
    int slots[WB_MAX_CHUNKS]; /**< micro-batches in flight in each chunk, from the schedule */
    wb_recompute recompute;
    bool sequence; /**< sequence parallelism */
    bool bf16;     /**< products of linears and output of brain floats, with fp32 sums */
    wb_tuning_t tuning;
    wb_stage_hooks_t hooks;
} wb_stage_options_t;

typedef struct wb_stage wb_stage_t;
/** Bytes of activations and of work space of a stage.  Not collective. */
void wb_stage_bytes (size_t *act, size_t *work, const wb_size_t *s, const wb_layout_t *lo, const wb_stage_options_t *o);
/** tensor_group, params and k are borrowed.  Collective over the tensor group.  Errors: WB_ENOMEM. */
wb_status wb_stage_new (wb_stage_t **out, const wb_size_t *s, const wb_layout_t *lo, wb_comm_t *tensor_group,
                        const wb_params_t *params, const wb_kern_t *k, const wb_stage_options_t *o) WB_NODISCARD;
void wb_stage_destroy (wb_stage_t *st);
/** Input and output of a chunk, for a slot: the residual stream [rows, C], rows = wb_stage_rows ().  The embedding
 * fills the input of chunk 0 of stage 0, the link fills the others before forward. */
float *wb_stage_in (wb_stage_t *st, int chunk, int slot);
float *wb_stage_out (wb_stage_t *st, int chunk, int slot);
/** Before backward the gradient of the output (filled by the link, except on the last virtual stage), after it that of
 * the input. */
float *wb_stage_grad (wb_stage_t *st, int chunk, int slot);
int64_t wb_stage_rows (const wb_stage_t *st);
/** The weights may have changed: with bf16 they are copied again when next used. */
void wb_stage_refresh (wb_stage_t *st);

/** Forward of one micro-batch through a chunk.  Collective over the tensor group; allocates nothing, cannot fail.
 * \param w        the rank's parameter block;  dw its gradients, from params->fixed on (the head adds to dwte here);
 *                 NULL: no gradients
 * \param tokens   [B, T], used on the first virtual stage;  targets [B, T], used on the last, < 0 = not counted
 * \param loss     [B, T] loss in nats of each position, written on the last virtual stage; else untouched
 * \param scale    1 / tokens of the global batch */
void wb_stage_forward (wb_stage_t *st, float *loss, float *dw, const float *w, const int32_t *tokens,
                       const int32_t *targets, int chunk, int slot, float scale);
/** Backward, down to the first layer that learns; dw += .  tokens as in forward.  last: nothing is added to this
 * chunk's gradients afterwards, so hooks.final is called after each layer. */
void wb_stage_backward (wb_stage_t *st, float *dw, const float *w, const int32_t *tokens, int chunk, int slot,
                        bool last);

/** Times of the stage's kernels since new.  Callers may add what they do around it: the profile of a step is one table.
 */
wb_profile_t *wb_stage_profile (wb_stage_t *st);

/* ---- config.json (config_json.c) --------------------------------------------------------------------------------- */

/** Read config.json of a Hugging Face GPT-2 directory.  Errors: WB_EIO; WB_EDATA, with what would do: something is
 * missing, is invalid, or describes a model that wabun does not compute (another activation function, epsilon, inner
 * width ...). */
wb_status wb_model_config_read (wb_size_t *out, const char *dir) WB_NODISCARD;
/** config.json of a size, as Hugging Face's transformers loads it; eot < 0: no end token.  NULL when out of memory;
 * freed by the caller with wb_free(). */
char *wb_model_config_text (const wb_size_t *s, int32_t eot) WB_NODISCARD;

/* ---- adapters on disk (adapter_config.c) ------------------------------------------------------------------------- */

#define WB_ADAPTER_FILE "adapter_model.safetensors"
#define WB_ADAPTER_PREFIX "base_model.model.transformer." /**< before the table's names in it */
/** adapter_config.json of PEFT. */
typedef struct wb_adapter_config {
    char *base; /**< the model's directory */
    wb_size_t size;
    wb_tuning_t tuning; /**< targets is owned */
} wb_adapter_config_t;
/** Is dir an adapter, not a model? */
bool wb_adapter_probe (const char *dir);
/** Read it, and the size of the model it belongs to.  Errors: WB_EIO that model is not there; WB_EDATA not LoRA, or
 * LoRA with something that is not computed here. */
wb_status wb_adapter_config_read (wb_adapter_config_t *out, const char *dir) WB_NODISCARD;
void wb_adapter_config_fini (wb_adapter_config_t *c);
/** Its text.  NULL when out of memory; freed by the caller with wb_free(). */
char *wb_adapter_config_text (const wb_tuning_t *t, const wb_size_t *s, const char *base) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
