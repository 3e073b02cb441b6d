/* wabun - infer: a trained model in use: loading, sampling, generation, scores, vectors, the KV cache.
 *
 * None of this is collective.  One process holds the whole model.
 */
#ifndef WABUN_INFER_H
#define WABUN_INFER_H

#include <wabun/checkpoint.h>
#include <wabun/corpus.h>
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

/* ---- what commands that use a model share (args.c) -------------------------------------------------------------- */

/** --model, --tokenizer, --threads, --no-verify, --from and --keep-garbled; zero-initialised is empty; borrowed from
 * argv. */
typedef struct wb_model_args {
    const char *model, *tokenizer;
    int64_t threads;        /**< 0: OMP_NUM_THREADS, or the cores */
    bool no_verify;         /**< load it without a look at its checksums */
    wb_text_options_t text; /**< how texts given to the model are read */
} wb_model_args_t;
/** The next argument that is none of these, which are stored.  False: there are no more, or *status is an error
 * (WB_EUSAGE). */
bool wb_model_args_next (wb_model_args_t *a, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** wb_opts_unknown(), which for an argument that is no option also says how the model is given and what `others` says:
 * how the rest is; NULL: the command takes one such argument. */
wb_status wb_model_args_unknown (const wb_model_args_t *a, wb_opts_t *o, const char *others) WB_NODISCARD;
/** Set threads, compare the checksums where there are any, load the model with a tokenizer.  The caller destroys it.
 * Errors: WB_EUSAGE when no model is named, WB_EDATA when there is no tokenizer or a file is damaged, and those of
 * wb_model_load(). */
wb_status wb_model_open (wb_model_t **out, const wb_model_args_t *a, const char *command) WB_NODISCARD;

/** The ids of a context given as text, or as a file ("-": the standard input) whose last newline does not count; both
 * NULL: none.  Appended to ids.  Errors: WB_EIO, and those of wb_text_read(). */
wb_status wb_context_read (wb_ids_t *ids, const wb_tokenizer_t *t, const char *context, const char *file,
                           const wb_text_options_t *o) WB_NODISCARD;

/** A text and where it comes from, for messages; all borrowed. */
typedef struct wb_text {
    const char *bytes; /**< [n], UTF-8 or nearly */
    size_t n;
    const char *source; /**< a file, an option, ... */
    int64_t line;       /**< 0: source is enough */
} wb_text_t;
/** Give the lines of a file ("-": the standard input) to put(), one by one; run() is called at the end, and whenever
 * the next line would have to be waited for, so that whoever writes a line into a pipe gets its answer; also before an
 * error of reading.  Errors: those of wb_text_lines_next(), put() and run(), which end it. */
wb_status wb_lines_each (const char *path, const wb_text_options_t *o,
                         wb_status (*put) (void *ctx, const wb_text_t *text), wb_status (*run) (void *ctx),
                         void *ctx) WB_NODISCARD;

/* ---- sampling (sample.c) ----------------------------------------------------------------------------------------- */

typedef struct wb_sampling {
    double temperature; /**< > 0; 0 = always the most likely, of equals the lowest id */
    int64_t top_k;      /**< 0: off */
    double top_p;       /**< 0 and 1: off */
    uint64_t seed;
} wb_sampling_t;
/** Is the argument --top-k, --top-p or --temperature?  Then it is stored, and *status is WB_OK or WB_EUSAGE (args.c).
 */
bool wb_sampling_option (wb_sampling_t *s, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** The seed asked for; < 0: one from the clock, which a message names (args.c). */
void wb_sampling_seed (wb_sampling_t *s, int64_t asked);
/** Draw an id from logits [V] by (seed, stream, index), at the temperature: first top-k, then top-p of what is left
 * (the fewest of the most likely ids that make up p; Holtzman et al., arXiv:1904.09751).  -1: a logit is NaN or
 * +infinity, or nothing can be drawn.  forbid (>= 0): this id is never drawn.  work: wb_sample_work_bytes (V), aligned
 * for a double.  Cost O(V). */
int32_t wb_sample_id (const float *logits, int64_t V, const wb_sampling_t *s, int32_t forbid, uint64_t stream,
                      uint64_t index, void *work);
typedef struct wb_draw {
    const float *logits; /**< [V] */
    int32_t forbid, id;  /**< id: the result */
    uint64_t stream, index;
} wb_draw_t;
/** Draw for n texts, shared among threads: each as by wb_sample_id.  work: n times wb_sample_work_bytes (V). */
void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, const wb_sampling_t *s, void *work);
size_t wb_sample_work_bytes (int64_t V);

/* ---- generation (generate.c) ------------------------------------------------------------------------------------- */

/** Called with each new id of a text, then once with -1.  Another status than WB_OK stops all texts. */
typedef wb_status (*wb_emit_fn) (void *ctx, int64_t sample, int32_t id);
/** Texts to be written.  A text ends before <|endoftext|>, which is not emitted, or after max_length tokens. */
typedef struct wb_generation {
    wb_sampling_t sampling;
    const int32_t *context; /**< [ncontext] what the texts begin with; not emitted; borrowed */
    int64_t ncontext;       /**< 0: <|endoftext|> alone; of more than the model's positions the last ones are used */
    int64_t min_length;     /**< tokens before <|endoftext|> may be drawn */
    int64_t max_length;
    int64_t samples;
    int batch; /**< texts at a time, 0: as many as are efficient; changes speed and memory, not the texts (but for
                    rounding) */
    wb_emit_fn emit;
    void *ctx;
} wb_generation_t;
/** What `wabun generate` does without options. */
#define WB_GENERATION_DEFAULT \
    { .sampling = {.temperature = 1.0, .top_k = 40}, .samples = 1, .max_length = 500 }
/** Is the argument --num-generate, --min-length, --max-length or one of wb_sampling_option()?  As there (args.c). */
bool wb_generation_option (wb_generation_t *g, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** WB_EUSAGE when the lengths contradict each other (args.c). */
wb_status wb_generation_check (const wb_generation_t *g) WB_NODISCARD;
/** Write texts: token i of text s is drawn by (seed, stream s, index i).  When the model's positions are full, the
 * later half of them is pushed again and the text goes on.  m must have its tokenizer.  Not collective.  Errors:
 * WB_ENUMERIC (a logit is NaN or infinite), WB_ENOMEM; what emit returned. */
wb_status wb_generate (const wb_model_t *m, const wb_generation_t *g) WB_NODISCARD;
/** A text for the training report: at most `tokens` ids after `context` ("" or NULL: <|endoftext|>; its end, where it
 * has more tokens than the model positions); appended to out.  m's weights are in their usual layout again when it
 * returns, as after wb_generate().  Errors as there. */
wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) WB_NODISCARD;

/* ---- texts from ids (texts.c) ----------------------------------------------------------------------------------- */

/** A piece [n] of a text, ending between two characters; end: the last one of this text, which may be empty.  The bytes
 * are valid during the call.  Another status than WB_OK ends the writing. */
typedef wb_status (*wb_piece_fn) (void *ctx, int64_t sample, const char *text, size_t n, bool end);
/** Turns what wb_generate() emits into text. */
typedef struct wb_texts wb_texts_t;
/** \param t  borrowed, as is ctx;  samples: texts there will be;  stream: hand on pieces as they are drawn, of all
 * texts in the order of their ids; else whole texts, text 0 first.  Errors: WB_ENOMEM. */
wb_status wb_texts_new (wb_texts_t **out, const wb_tokenizer_t *t, int64_t samples, bool stream, wb_piece_fn put,
                        void *ctx) WB_NODISCARD;
void wb_texts_destroy (wb_texts_t *t); /**< NULL is fine */
/** The next id of a text, -1: its end.  Errors: WB_ENOMEM, and those of put. */
wb_status wb_texts_put (wb_texts_t *t, int64_t sample, int32_t id) WB_NODISCARD;
/** After generation was stopped: hand on the texts that were begun, as far as they came. */
wb_status wb_texts_finish (wb_texts_t *t) WB_NODISCARD;

/* ---- scores (score.c) -------------------------------------------------------------------------------------------- */

/** A text with the log-probabilities of its tokens, valid during the call. */
typedef struct wb_scored {
    wb_text_t text;       /**< as it was put; the bytes are a copy */
    const int32_t *ids;   /**< [n] <|endoftext|>, the text, perhaps <|endoftext|> */
    const float *logprob; /**< [n] of ids[i] given ids[0 .. i - 1], in nats; [0] is not set */
    int64_t n;
    double total; /**< sum of logprob[1 .. n - 1] */
} wb_scored_t;
typedef wb_status (*wb_scored_fn) (void *ctx, const wb_scored_t *result);
/** Scores texts, many at a time; results come in the order of the texts.  A text longer than the model's positions is
 * scored by windows that overlap by half. */
typedef struct wb_scorer wb_scorer_t;
/** \param m  borrowed, with a tokenizer; its weights are in another layout until destroy (as in wb_infer_new), and
 * nobody else may use it.  end: count the <|endoftext|> after a text.  Errors: WB_ENOMEM. */
wb_status wb_scorer_new (wb_scorer_t **out, const wb_model_t *m, bool end, wb_scored_fn emit, void *ctx) WB_NODISCARD;
void wb_scorer_destroy (wb_scorer_t *s); /**< NULL is fine; texts that wait are dropped */
/** Add a text; its bytes are copied, its source is borrowed until its result was emitted.  May emit.  Errors:
 * WB_ENOMEM, WB_ENUMERIC (NaN or infinity), those of emit; after one of them only destroy is allowed. */
wb_status wb_scorer_put (wb_scorer_t *s, const wb_text_t *text) WB_NODISCARD;
/** Emit the results of all texts that wait.  Errors as in wb_scorer_put(). */
wb_status wb_scorer_run (wb_scorer_t *s) WB_NODISCARD;

/* ---- vectors (vector.c) ------------------------------------------------------------------------------------------ */

/** vector [C], valid during the call: the state after the final LayerNorm at the last position of a text.  NULL: the
 * text was empty and has none. */
typedef wb_status (*wb_vector_fn) (void *ctx, const float *vector);
/** Vectors of texts, many at a time, in the order of the texts; of a text longer than the model's positions the end
 * counts, with a warning. */
typedef struct wb_vectors wb_vectors_t;
/** As wb_scorer_new(), wb_scorer_destroy(), wb_scorer_put() and wb_scorer_run(). */
wb_status wb_vectors_new (wb_vectors_t **out, const wb_model_t *m, wb_vector_fn emit, void *ctx) WB_NODISCARD;
void wb_vectors_destroy (wb_vectors_t *v);
wb_status wb_vectors_put (wb_vectors_t *v, const wb_text_t *text) WB_NODISCARD;
wb_status wb_vectors_run (wb_vectors_t *v) WB_NODISCARD;

/* ---- printed for people (print_texts.c, print_scores.c, print_vectors.c, interrupt.c) ---------------------------- */

/** What `wabun generate` writes; all borrowed. */
typedef struct wb_print_texts {
    wb_generation_t generation;         /**< but for the context, emit and ctx */
    const char *context, *context_file; /**< as wb_context_read() */
    const char *output;                 /**< a file; NULL: the standard output */
    int64_t seed;                       /**< < 0: one from the clock, which is told */
} wb_print_texts_t;
/** Open the model, write texts, with a line of ======== between two.  Ctrl-C prints what there is and ends the program
 * as an interrupted one ends.  Errors: those of wb_model_open(), wb_context_read() and wb_generate(); WB_EIO. */
wb_status wb_print_texts (const wb_print_texts_t *p, const wb_model_args_t *model) WB_NODISCARD;
/** Open the model, print text, tab, log-probability (nats) of each line of a file ("-": the standard input).  tokens:
 * before that the same of each of its tokens; end: count the <|endoftext|> after a text.  Errors: as above. */
wb_status wb_print_scores (const char *file, const wb_model_args_t *model, bool tokens, bool end) WB_NODISCARD;
/** Open the model, print the vector of `text`, or where that is NULL of each line of `file`, as JSON lists; of an empty
 * line null.  Errors: as above. */
wb_status wb_print_vectors (const char *text, const char *file, const wb_model_args_t *model) WB_NODISCARD;

/** From now on Ctrl-C sets a flag; the third one ends the program. */
void wb_interrupt_begin (void);
bool wb_interrupted (void);
/** Ctrl-C is as before; if there was one and status is WB_OK, the program ends as an interrupted one ends. */
void wb_interrupt_end (wb_status status);

/* ---- inference with a KV cache (kv_cache.c) ---------------------------------------------------------------------- */

/** One process, whole model, B sequences of at most s->T positions.  Not collective. */
typedef struct wb_infer wb_infer_t;
/** \param weights  block of a 1 x 1 x 1 layout, borrowed.  Its matrices are converted to panels; destroy restores them.
 * Until then nobody else may use it, and the number of threads must not be raised.  \param B  sequences held at once;
 * max_rows: new positions in one call, of all sequences together.  Errors: WB_ENOMEM. */
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
/** Append counts[i] tokens to sequence seqs[i], i = 0 .. nseq - 1; the tokens of a sequence follow those of the one
 * before.  All rows go through the linears as one batch.  hidden [rows, C] (may be NULL): output of the final LayerNorm
 * for every new position; logits [nseq, V] (may be NULL): of the last new position of each sequence.  Lengths must stay
 * <= T. */
void wb_infer_push (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const int *seqs,
                    const int64_t *counts, int nseq);
/** Log-probability (nats) of targets [n] after hidden [n, C]; logits are computed in blocks, never n V at once; a
 * target < 0 gives 0. */
void wb_infer_logprobs (wb_infer_t *inf, float *logprob, const float *hidden, const int32_t *targets, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
