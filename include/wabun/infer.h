/* wabun - infer: a trained model in use: loading, sampling, generation, scores, vectors, the KV cache.
 *
 * None of this is collective but evaluation.  One process holds the whole model.
 */
#ifndef WABUN_INFER_H
#define WABUN_INFER_H

#include <wabun/checkpoint.h>
#include <wabun/corpus.h>
#include <wabun/dataset.h>
#include <wabun/kv_cache.h>
#include <wabun/model.h>
#include <wabun/sampling.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- models on disk (model.c) -------------------------------------------------------------------------------- */

/** A model loaded whole into one process for inference. */
typedef struct wb_model {
    wb_size_t size;
    wb_params_t *params;       /**< of a layout 1 x 1 x 1 */
    float *weights;            /**< [params->own] in fp32; else a block of another kind (src/infer/weights.c) */
    wb_infer_form_t form;      /**< of weights; in panels they may be read-only: see wb_model_map() */
    wb_tokenizer_t *tokenizer; /**< NULL when there is none */
    const wb_kern_t *kern;     /**< borrowed */
} wb_model_t;
/** Load dir (config.json, model.safetensors, tokenizer); of an adapter's directory the model that it belongs to, with
 * the adapter merged into it.
 * \param tokenizer  NULL: the directory's own, or none where it has none; else which (wb_tokenizer_new).
 * Errors: WB_EIO, WB_EDATA (also: the tokenizer has more ids than the model), WB_ENOMEM.  Not collective; needs no MPI.
 */
wb_status wb_model_load (wb_model_t **out, const char *dir, const char *tokenizer) WB_NODISCARD;
/** The same with its matrices rounded to a type, if that is not fp32; then they are panels, and there is never more of
 * them in fp32 than the largest. */
wb_status wb_model_load_as (wb_model_t **out, const char *dir, const char *tokenizer,
                            wb_weights_type type) WB_NODISCARD;
void wb_model_destroy (wb_model_t *m); /**< only what wb_model_load() or wb_model_map() gave; NULL is fine */

/** The file beside a model with its weights as inference uses them (share.c); with .bf16 or .int8 behind, in these.
 * Processes that map it have them in memory once.  It belongs to the files it was made from, by their sizes and times.
 */
#define WB_SHARED_FILE "weights.panels"
/** As wb_model_load(), with the weights mapped from dir's WB_SHARED_FILE.  *out = NULL where there is none that belongs
 * to the model as it is now.  \param verify  compare it with its checksum; one that differs does not count. Errors:
 * those of wb_model_load(). */
wb_status wb_model_map (wb_model_t **out, const char *dir, const char *tokenizer, wb_weights_type type,
                        bool verify) WB_NODISCARD;
/** Convert m's matrices to panels, write them to dir's WB_SHARED_FILE, and use that from now on.  m, which nobody uses
 * yet, comes from wb_model_load_as (dir).  Errors: WB_ENOMEM; WB_EIO: it cannot be written; m is fine, and is packed.
 */
wb_status wb_model_share (wb_model_t *m, const char *dir) WB_NODISCARD;

/* ---- adapters (adapter.c) ---------------------------------------------------------------------------------------- */

/** A LoRA adapter, in PEFT's layout. */
typedef struct wb_adapter wb_adapter_t;
/** *out = NULL where dir is none.  Errors: WB_EIO, WB_EDATA, WB_EUSAGE, WB_ENOMEM.  Not collective. */
wb_status wb_adapter_open (wb_adapter_t **out, const char *dir) WB_NODISCARD;
void wb_adapter_destroy (wb_adapter_t *a);           /**< NULL is fine */
const char *wb_adapter_base (const wb_adapter_t *a); /**< the model's directory; borrowed */
/** W = p and what the adapter (NULL: none) adds to it, p being a whole parameter of its model. */
void wb_adapter_merge (const wb_adapter_t *a, float *W, const wb_param_t *p);

/* ---- what commands that use a model share (args.c) -------------------------------------------------------------- */

/** --model, --tokenizer, --threads, --weights, --cache, --no-verify, --share, --from and --keep-garbled;
 * zero-initialised is empty; borrowed from argv. */
typedef struct wb_model_args {
    const char *model, *tokenizer;
    int64_t threads;         /**< 0: OMP_NUM_THREADS, or the cores */
    wb_weights_type weights; /**< what its matrices are rounded to */
    bool half_cache;         /**< keys and values are brain floats */
    bool no_verify;          /**< load it without a look at its checksums */
    bool share;              /**< map its weights from WB_SHARED_FILE, which is made if need be */
    wb_text_options_t text;  /**< how texts given to the model are read */
} wb_model_args_t;
/** The values of --weights and --cache.  Errors: WB_EUSAGE. */
wb_status wb_weights_option (wb_weights_type *out, wb_opts_t *o) WB_NODISCARD;
wb_status wb_cache_option (bool *half, wb_opts_t *o) WB_NODISCARD;
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

/* ---- generation (generate.c) ------------------------------------------------------------------------------------- */

/** Called with each new id of a text, then once with -1.  Another status than WB_OK stops all texts. */
typedef wb_status (*wb_emit_fn) (void *ctx, int64_t sample, int32_t id);
typedef struct wb_texts wb_texts_t; /* below */
#define WB_STOPS_MAX 16
/** Texts to be written.  A text ends before <|endoftext|>, which is not emitted, or after max_length tokens. */
typedef struct wb_generation {
    wb_sampling_t sampling;
    const int32_t *context; /**< [ncontext] what the texts begin with; not emitted; borrowed */
    int64_t ncontext;       /**< 0: <|endoftext|> alone; of more than the model's positions the last ones are used */
    int64_t min_length;     /**< tokens before <|endoftext|> may be drawn */
    int64_t max_length;
    int64_t samples;
    int batch; /**< texts at a time, 0: as many as are efficient; changes speed and memory, not the texts */
    const char *stop[WB_STOPS_MAX]; /**< a text ends before these, where `texts` is given; not empty; borrowed */
    int nstop;
    bool logprobs;        /**< of each id, and of this many of the most likely ones, for `texts` */
    int64_t top_logprobs; /**< <= WB_LIKELY_MAX */
    wb_texts_t *texts;    /**< gets every id before emit does; NULL: none */
    wb_emit_fn emit;      /**< NULL: none */
    void *ctx;
} wb_generation_t;
/** What `wabun generate` does without options. */
#define WB_GENERATION_DEFAULT                                                                              \
    {                                                                                                      \
        .sampling = {.temperature = 1.0, .top_k = 40, .search = {.length_penalty = 1.0, .candidates = 4}}, \
        .samples = 1, .max_length = 500                                                                    \
    }
/** Help of the options that wb_generation_option() takes. */
#define WB_GENERATION_HELP                                                                                 \
    "  --num-generate N     texts to write (default 1)\n"                                                  \
    "  --min-length N       tokens before the text may end (default 0)\n"                                  \
    "  --max-length N       tokens at most (default 500)\n"                                                \
    "  --stop TEXT          end before this; may be given more than once\n"                                \
    "  --logprobs N         lines of JSON: the text, its tokens with their log-probabilities, and the N\n" \
    "                       most likely ones in place of each\n" WB_SAMPLING_HELP
/** Is the argument one of WB_GENERATION_HELP?  As wb_sampling_option() (args.c). */
bool wb_generation_option (wb_generation_t *g, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** WB_EUSAGE when the lengths contradict each other, or there is something against a search (args.c). */
wb_status wb_generation_check (const wb_generation_t *g) WB_NODISCARD;
/** Write texts: token i of text s is drawn by (seed, stream s, index i), or they are what a search finds.  When the
 * model's positions are full, the later half of them is pushed again and the text goes on.  m must have its tokenizer.
 * Not collective.  Errors: WB_ENUMERIC (a logit is NaN or infinite), WB_ENOMEM; what emit returned. */
wb_status wb_generate (const wb_model_t *m, const wb_generation_t *g) WB_NODISCARD;
/** The texts of n >= 1 generations together: each has those it has alone, sooner. */
wb_status wb_generate_all (const wb_model_t *m, const wb_generation_t *list, int64_t n) WB_NODISCARD;
/** A text for the training report: at most `tokens` ids after `context` ("" or NULL: <|endoftext|>; its end, where it
 * has more tokens than the model positions); appended to out.  m's weights are in their usual layout again when it
 * returns, as after wb_generate().  Errors as there. */
wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) WB_NODISCARD;

/* ---- texts from ids (stop.c, texts.c) ---------------------------------------------------------------------------- */

/** Where a text ends that comes piece by piece: before the first of these strings to be complete, of several complete
 * at one byte the longest.  Zero-initialised but for strings [n] (not empty; borrowed) it begins. */
typedef struct wb_stop {
    const char *const *strings;
    int n;
    wb_buf_t held; /**< may be the beginning of one */
    bool hit;      /**< the text has ended */
} wb_stop_t;
/** Append text [n], which ends between two characters, to out, but for what must wait or comes after a hit; end:
 * nothing more comes.  Errors: WB_ENOMEM. */
wb_status wb_stop_put (wb_stop_t *stop, wb_buf_t *out, const char *text, size_t n, bool end) WB_NODISCARD;
void wb_stop_fini (wb_stop_t *stop);

/** A piece [n] of a text, ending between two characters; end: the last one of this text, which may be empty.  The bytes
 * are valid during the call.  Another status than WB_OK ends the writing. */
typedef wb_status (*wb_piece_fn) (void *ctx, int64_t sample, const char *text, size_t n, bool end);
/** Turns ids into text.
 * \param t  borrowed, as are ctx and g: how many texts, stop strings, log-probabilities;  stream: hand on pieces as
 * they are drawn, of all texts in the order of their ids; else, and with log-probabilities always, whole texts, text 0
 * first. With log-probabilities a text is a line of JSON, {"text": ..., "tokens": [{"id": ..., "text": what it
 * completes, "logprob": ..., "top": [{"id", "text", "logprob"}]}]}; stop strings are among the tokens.  Errors:
 * WB_ENOMEM. */
wb_status wb_texts_new (wb_texts_t **out, const wb_tokenizer_t *t, const wb_generation_t *g, bool stream,
                        wb_piece_fn put, void *ctx) WB_NODISCARD;
void wb_texts_destroy (wb_texts_t *t); /**< NULL is fine */
/** The next id of a text, -1: its end; likely: as wb_draw_t's, where log-probabilities are wanted.  Errors: WB_ENOMEM,
 * and those of put. */
wb_status wb_texts_put (wb_texts_t *t, int64_t sample, int32_t id, const wb_likely_t *likely) WB_NODISCARD;
/** Has a stop string come?  Then its end is to be put. */
bool wb_texts_ended (const wb_texts_t *t, int64_t sample);
/** After generation was stopped: hand on the texts that were begun, as far as they came. */
wb_status wb_texts_finish (wb_texts_t *t) WB_NODISCARD;

/* ---- scores (score.c) -------------------------------------------------------------------------------------------- */

/** A text with the log-probabilities of its tokens, valid during the call. */
typedef struct wb_scored {
    wb_text_t text;       /**< as it was put; the bytes are a copy */
    const int32_t *ids;   /**< [n] <|endoftext|>, the text, perhaps <|endoftext|> */
    const float *logprob; /**< [n] of ids[i] given ids[0 .. i - 1], in nats; [0] is not set */
    const float *most;    /**< [n] of the most likely id in the place of ids[i], likewise */
    int64_t n;
    double total; /**< sum of logprob[1 .. n - 1] */
} wb_scored_t;
typedef wb_status (*wb_scored_fn) (void *ctx, const wb_scored_t *result);
/** Scores texts, many at a time; results come in the order of the texts.  A text longer than the model's positions is
 * scored by windows that overlap: each but the first scores its last `stride` tokens, half the positions by default. */
typedef struct wb_scorer wb_scorer_t;
/** \param m  borrowed, with a tokenizer; its weights are in another layout until destroy (as in wb_infer_new), and
 * nobody else may use it.  end: count the <|endoftext|> after a text.  Errors: WB_ENOMEM. */
wb_status wb_scorer_new (wb_scorer_t **out, const wb_model_t *m, bool end, wb_scored_fn emit, void *ctx) WB_NODISCARD;
/** Errors: WB_EUSAGE: it is not 1 .. T. */
wb_status wb_scorer_stride (wb_scorer_t *s, int64_t stride) WB_NODISCARD;
/** From now on tell how far it is, as what (the caller's, kept), of `bytes` of text to come: every five seconds. */
void wb_scorer_tell (wb_scorer_t *s, const char *what, int64_t bytes);
void wb_scorer_destroy (wb_scorer_t *s); /**< NULL is fine; texts that wait are dropped */
/** Add a text; its bytes are copied, its source is borrowed until its result was emitted.  May emit.  Errors:
 * WB_ENOMEM, WB_ENUMERIC (NaN or infinity), those of emit; after one of them only destroy is allowed. */
wb_status wb_scorer_put (wb_scorer_t *s, const wb_text_t *text) WB_NODISCARD;
/** The same with ids [n], not NULL, instead of the text's; copied. */
wb_status wb_scorer_put_ids (wb_scorer_t *s, const wb_text_t *text, const int32_t *ids, int64_t n) WB_NODISCARD;
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

/* ---- printed for people (print_texts.c, print_scores.c, print_vectors.c) ----------------------------------------- */

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
/** What `wabun write` does; all borrowed. */
typedef struct wb_write_loop {
    wb_generation_t generation; /**< of a stretch; but for the context, texts, emit and ctx */
    const char *file;           /**< the text: read if it is there, saved at the end; NULL: none */
    int64_t seed; /**< of the first stretch, the next has one more; < 0: one from the clock, which is told */
} wb_write_loop_t;
/** Open the model, then take lines from the standard input until it ends: text, an empty line for the model's turn, or
 * a command (write_loop.c).  What fails beside the writing (an editor, a save) is a warning.  Errors: as above. */
wb_status wb_write_loop (const wb_write_loop_t *w, const wb_model_args_t *model) WB_NODISCARD;
/** Open the model, print text, tab, log-probability (nats) of each line of a file ("-": the standard input).  tokens:
 * before that the same of each of its tokens; end: count the <|endoftext|> after a text; digits: significant ones of a
 * number.  Errors: as above. */
wb_status wb_print_scores (const char *file, const wb_model_args_t *model, bool tokens, bool end,
                           int digits) WB_NODISCARD;
/** Open the model, print the vector of `text`, or where that is NULL of each line of `file`, as JSON lists; of an empty
 * line null.  Errors: as above. */
wb_status wb_print_vectors (const char *text, const char *file, const wb_model_args_t *model) WB_NODISCARD;

/* ---- evaluation (eval.c) ----------------------------------------------------------------------------------------- */

#define WB_EVAL_RESAMPLES 2000
/** Text that models have not seen.  Zero-initialised but for models and texts is the default; all borrowed. */
typedef struct wb_eval {
    char **models; /**< [nmodels] */
    int nmodels;
    char **texts; /**< [ntexts] as wb_dataset_documents() takes them */
    int ntexts;
    const char *choices;    /**< a file of lines of JSON, as wb_dataset_questions() takes it; NULL: none */
    wb_bad_lines bad_lines; /**< of it */
    const char *grid;       /**< a configuration of a sampling grid, of one model, and nothing else; NULL: none */
    const char *tokenizer;  /**< NULL: each model's own */
    int64_t stride;         /**< 0: half a model's positions */
    int64_t threads;        /**< of a rank; 0: as OMP_NUM_THREADS or the cores say */
    bool exclude_end;       /**< do not count <|endoftext|> after a document */
    wb_weights_type weights;
    bool half_cache, json, no_verify;
    uint64_t seed; /**< of the bootstrap */
} wb_eval_t;
/** From a command line: models, then options and texts, which are moved to the front of argv (eval_args.c).  Errors:
 * WB_EUSAGE. */
wb_status wb_eval_options (wb_eval_t *e, int argc, char **argv) WB_NODISCARD;
#define WB_EVAL_HELP                                                                                                 \
    "  MODEL             checkpoints, or any Hugging Face GPT-2 directories\n"                                       \
    "  --text FILE...    text the models have not seen, of any form that wabun corpus build reads: files and\n"      \
    "                    directories. A genre is what lines of JSON say (as shards of a corpus do), else a FILE\n"   \
    "  --choices FILE    lines of JSON {\"context\": TEXT, \"choices\": [TEXT, ...], \"answer\": 0}; a cloze\n"      \
    "                    has \"after\": TEXT as well, what comes behind the blank\n"                                 \
    "  --bad-lines X     of that file: stop or skip, as wabun encode does\n"                                         \
    "  --sampling-grid CFG  texts of one MODEL drawn in many ways, measured: see below\n"                            \
    "  --stride N        of a document longer than the context each window but the first scores its last N\n"        \
    "                    tokens: less is slower and leaves them more context (default: half the context)\n"          \
    "  --exclude-end     do not count <|endoftext|> after a document\n"                                              \
    "  --tokenizer T     instead of the models' own\n"                                                               \
    "  --json            one object of JSON instead of tables\n"                                                     \
    "  --seed S          of the bootstrap (default 1)\n"                                                             \
    "  --threads N       threads of a rank (default: OMP_NUM_THREADS, or cores / ranks)\n"                           \
    "  --weights T       fp32, bf16 or int8, as in wabun generate; also --cache T\n"                                 \
    "  --no-verify       do not compare models with their checksums.json\n"                                          \
    "\n"                                                                                                             \
    "Bits are of all tokens of a document and of the <|endoftext|> after it, given <|endoftext|> and what is\n"      \
    "before them. Per byte (UTF-8) and per character of the text as it is read, models of any tokenizers can be\n"   \
    "compared; per token they cannot. A word is a run of kanji, of hiragana, of katakana, or of letters and\n"       \
    "digits; any other character that is no blank is one by itself. 95 % intervals, also of the difference from\n"   \
    "the first model, are from 2000 samples of the documents with replacement: they say how far other texts of\n"    \
    "this kind could differ, and need some twenty documents to be of use. Ranks share the documents; the results\n"  \
    "are the same on any number of them.\n"                                                                          \
    "\n"                                                                                                             \
    "ECE is the expected calibration error: how far the share of tokens, or of answers, that the model finds the\n"  \
    "most likely and that are right is from the probability it gives them, in 15 bins of that probability, the\n"    \
    "mean over all. 0 is best; of few tokens or questions it is too high. --json has the bins.\n"                    \
    "\n"                                                                                                             \
    "A sampling grid is a file such as\n"                                                                            \
    "    text = \"valid.txt\";  context_length = [32, 128];  top_k = [0, 40];  top_p = [0.0, 0.9];\n"                \
    "    temperature = 1.0;  documents = 100;  samples = 1;  length = 128;  seed = 1;\n"                             \
    "(defaults but for text: 128, 40, 0, 1, 100, 1, 128, 1), and any other way to draw, the same in all rows, by\n"  \
    "the name that wabun generate has for it (no_repeat_ngram = 3; penalty_alpha = 0.6;). After the first tokens\n"  \
    "of documents texts are drawn in every way. Told of them, and of the text people wrote there and of another\n"   \
    "document's: the share of 4-grams of tokens that came before, of 2-grams that are different, bits per byte by\n" \
    "the model itself, the cosine of the vectors of context and text, and the energy distance of the vectors of\n"   \
    "all texts from people's, each with half a 95 % interval; --json has differences from people's text.\n"
/** Print for each genre, and for all of them, what each model needs for the documents: bits per byte and per
 * character of their text, perplexity per token and per word (runs of one script), with a 95 % interval of the bits
 * per byte, and of their difference from the first model's (documents are drawn with replacement).  The bits are of
 * all tokens but the first <|endoftext|>.  And of questions, in how many the right answer is the choice of the
 * highest log-probability, and of the highest one a byte.  Of both the expected calibration error.  The same on any
 * number of ranks.  Collective over world.  Errors, agreed: WB_EUSAGE, WB_EIO, WB_EDATA (no text; those of
 * wb_model_open()), WB_ENUMERIC, WB_ENOMEM. */
wb_status wb_eval (wb_comm_t *world, const wb_eval_t *e) WB_NODISCARD;

/* ---- Ctrl-C (interrupt.c) ---------------------------------------------------------------------------------------- */

/** From now on Ctrl-C sets a flag; the third one ends the program. */
void wb_interrupt_begin (void);
bool wb_interrupted (void);
void wb_interrupt_forget (void); /**< as if there had been none */
/** Ctrl-C is as before; if there was one and status is WB_OK, the program ends as an interrupted one ends. */
void wb_interrupt_end (wb_status status);

#ifdef __cplusplus
}
#endif
#endif
