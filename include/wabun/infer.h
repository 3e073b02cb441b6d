/* wabun - infer: a trained model in use: the KV cache, sampling, generation.
 */
#ifndef WABUN_INFER_H
#define WABUN_INFER_H

#include <wabun/checkpoint.h>
#include <wabun/dataset.h>
#include <wabun/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- models on disk (model.c) -------------------------------------------------------------------------------- */

/** A model loaded whole into one process for inference. */
typedef struct wb_model {
    wb_size_t size;
    wb_params_t *params;       /**< of a layout 1 x 1 x 1 */
    float *weights;            /**< [params->own] */
    wb_tokenizer_t *tokenizer; /**< NULL when there is none */
    const wb_kern_t *kern;     /**< borrowed */
} wb_model_t;
/** Load dir (config.json, model.safetensors, tokenizer).
 * \param tokenizer  NULL: the directory's own, or none where it has none; else which (wb_tokenizer_new).
 * Errors: WB_EIO, WB_EDATA (also: the tokenizer has more ids than the model), WB_ENOMEM.  Not collective; needs no MPI.
 */
wb_status wb_model_load (wb_model_t **out, const char *dir, const char *tokenizer) WB_NODISCARD;
void wb_model_destroy (wb_model_t *m); /**< only what wb_model_load() gave; NULL is fine */

/* ---- opening a model from a command line (open.c) ---------------------------------------------------------------- */

/** What every command that uses a model takes. */
typedef struct wb_using {
    const char *model, *tokenizer;
    int64_t threads; /**< 0: OMP_NUM_THREADS, or the cores */
} wb_using_t;
/** Is the argument --model, --tokenizer or --threads?  *taken says so; errors as wb_opts_*. */
wb_status wb_using_option (wb_using_t *u, wb_opts_t *o, bool *taken) WB_NODISCARD;
/** Set threads, load the model with a tokenizer.  Errors: WB_EUSAGE when no model is named, WB_EDATA when there is no
 * tokenizer, and those of wb_model_load(). */
wb_status wb_using_open (wb_model_t **out, const wb_using_t *u, const char *command) WB_NODISCARD;

/* ---- sampling (sample.c) ----------------------------------------------------------------------------------------- */

typedef struct wb_sampling {
    double temperature; /**< > 0; 0 = always the most likely, of equals the lowest id */
    int64_t top_k;      /**< 0: off */
    double top_p;       /**< 0 and 1: off */
    uint64_t seed;
} wb_sampling_t;
/** Draw an id from logits [V] by (seed, stream, index), at the temperature: first top-k, then top-p of what is left
 * (the fewest of the most likely ids that make up p; Holtzman et al., arXiv:1904.09751).  -1: a logit is NaN or
 * +infinity, or nothing can be drawn.  forbid (>= 0): this id is never drawn.  work: wb_sample_work_bytes (V), aligned
 * for a double.  Cost O(V). */
int32_t wb_sample_id (const float *logits, int64_t V, const wb_sampling_t *s, int32_t forbid, uint64_t stream,
                      uint64_t index, void *work);
/** Ids of some texts at once, threads sharing them: each as by wb_sample_id.  work: n wb_sample_work_bytes bytes. */
typedef struct wb_draw {
    const float *logits; /**< [V] */
    int32_t forbid, id;  /**< id: the result */
    uint64_t stream, index;
} wb_draw_t;
void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, const wb_sampling_t *s, void *work);
size_t wb_sample_work_bytes (int64_t V);

/** Told each new id of a text, and -1 once when the text is complete; false: stop all. */
typedef bool (*wb_emit_fn) (void *ctx, int64_t sample, int32_t id);
/** Texts to be written.  A text ends before <|endoftext|> (which is not told) or after max_length tokens. */
typedef struct wb_generation {
    wb_sampling_t sampling;
    const int32_t *context; /**< [ncontext] what the texts begin with; not told again; borrowed */
    int64_t ncontext;       /**< 0: <|endoftext|> alone; of more than the model's positions the last ones are used */
    int64_t min_length;     /**< tokens before <|endoftext|> may be drawn */
    int64_t max_length;     /**< tokens at most */
    int64_t samples;
    int batch; /**< texts at a time, 0 = 16: changes speed and memory, not the texts (but for rounding) */
    wb_emit_fn emit;
    void *ctx;
} wb_generation_t;
/** Write texts: token i of text s is drawn by (seed, stream s, index i).  When the model's positions are full, the
 * later half of them is pushed again and the text goes on.  m must have its tokenizer.  Not collective. Errors:
 * WB_ENUMERIC (the logits are no numbers), WB_ENOMEM. */
wb_status wb_generate (const wb_model_t *m, const wb_generation_t *g) WB_NODISCARD;
/** A text for the training report: at most `tokens` ids after `context` ("" or NULL: <|endoftext|>; its end, where it
 * has more tokens than the model positions); appended to out.  m's weights are back as they were behind it, as behind
 * wb_generate().  Errors as there. */
wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) WB_NODISCARD;

/* ---- inference with a KV cache (infer.c) ------------------------------------------------------------------------- */

/** One process, whole model, B sequences of at most s->T positions.  Not collective. */
typedef struct wb_infer wb_infer_t;
/** \param weights  block of a 1 x 1 x 1 layout, borrowed: its matrices lie in panels until destroy, which puts them
 * back; nobody else may use it so long, nor may the number of threads grow.  \param B sequences held at once; max_rows:
 * most new positions in one call, all sequences together.  Errors: WB_ENOMEM. */
wb_status wb_infer_new (wb_infer_t **out, const wb_size_t *s, const wb_params_t *params, float *weights,
                        const wb_kern_t *k, int B, int64_t max_rows) WB_NODISCARD;
void wb_infer_destroy (wb_infer_t *inf);
size_t wb_infer_bytes (const wb_size_t *s, int B, int64_t max_rows);
/** Positions sequence b holds. */
int64_t wb_infer_length (const wb_infer_t *inf, int b);
/** Forget all but the first `length` positions of sequence b. */
void wb_infer_rewind (wb_infer_t *inf, int b, int64_t length);
/** Sequence `to` becomes a copy of sequence `from` (a prompt is processed once for all samples). */
void wb_infer_copy (wb_infer_t *inf, int to, int from);
/** Append counts[i] tokens to sequence seqs[i], i = 0 .. nseq - 1; tokens lie one sequence after the other.  All rows
 * go through the linears as one batch.  hidden [rows, C] (may be NULL): state behind the final LayerNorm of every new
 * position; logits [nseq, V] (may be NULL): of the last new position of each sequence.  Lengths must stay <= T. */
void wb_infer_push (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const int *seqs,
                    const int64_t *counts, int nseq);
/** Log-probability (nats) of targets [n] after hidden [n, C]: logits in blocks, never n V; target < 0 gives 0. */
void wb_infer_logprobs (wb_infer_t *inf, float *logprob, const float *hidden, const int32_t *targets, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
