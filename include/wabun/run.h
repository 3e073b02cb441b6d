/* wabun - run: configuration, and what a person sees of a run.
 *
 * Every option has a name, a unit, a default and a range in ONE table (src/cli/config.c), which the parser, the help,
 * the manual page and the resolved configuration in the run directory all come from.
 */
#ifndef WABUN_RUN_H
#define WABUN_RUN_H

#include <wabun/ckpt.h>
#include <wabun/text.h>
#include <wabun/train.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WB_MAX_DATA 64

/** A whole configuration, resolved: defaults, then the file, then --set.  Strings are owned by the configuration. */
typedef struct wb_config {
    /* where from */
    char *path; /**< not part of the text below */
    /* top level */
    char *run;
    int64_t seed;
    char *tokenizer; /**< NULL: left out */
    /* model */
    char *preset, *base;                               /**< NULL: not given */
    int64_t layers, width, heads, context, vocab_size; /**< 0: from preset, base or tokenizer */
    /* data */
    struct {
        char *tokens;
        double weight;
    } train[WB_MAX_DATA];
    int ntrain;
    char *validation; /**< NULL: none */
    bool shuffle;
    /* parallel */
    int64_t data, pipeline, tensor, zero, micro_batch, interleave, threads;
    char *recompute, *wire, *schedule;
    bool sequence_parallel;
    /* train */
    int64_t global_batch, steps, warmup, sequence_length; /**< sequence_length 0: the model's context */
    char *optimizer, *decay;
    double lr, min_lr, beta1, beta2, eps, weight_decay, clip;
    double muon_momentum, muon_rms;
    int64_t muon_steps, muon_check;
    bool muon_nesterov, muon_split_qkv;
    char *muon_layout;
    /* checkpoint, validation, log, sample */
    int64_t ckpt_every, ckpt_keep;
    int64_t valid_every, valid_samples; /**< samples (windows) used each time, 0 = all */
    int64_t log_every;
    int64_t sample_every, sample_length; /**< generated text at intervals, 0 = never; length in tokens */
    char *sample_context;
} wb_config_t;

/** Read `path` (libconfig), apply the `sets` ("train.steps=100"), check types and ranges, and what two options must be
 * to each other where that needs no ranks.  A preset's sizes are filled in; those of `base` and of the tokenizer stay
 * 0. Errors: WB_EUSAGE with file:line (or "--set key"): syntax, unknown key with the nearest known one, wrong type, out
 * of range; WB_EIO.  Not collective: rank 0 reads, see wb_config_share. */
wb_status wb_config_new (wb_config_t **out, const char *path, const char *const *sets, int nsets) WB_NODISCARD;
void wb_config_destroy (wb_config_t *c);
/** The resolved configuration as a libconfig file; freed by the caller with wb_free(). */
char *wb_config_text (const wb_config_t *c) WB_NODISCARD;
/** Number of the value of an option with choices: the value of its enum (train.optimizer: wb_optim_kind, train.decay:
 * wb_decay_kind, parallel.recompute: wb_recompute, .wire: wb_wire, .schedule: wb_schedule_kind); -1: none of them, or
 * NULL. */
int wb_config_choice (const char *path, const char *value);
/** Print the table of options (name, unit, default, range, what it does); man: as a man page, else for `wabun help
 * train`. */
void wb_config_help (FILE *to, bool man);
/** Rank 0 reads, every rank gets the same configuration or the same error.  Collective over world. */
wb_status wb_config_share (wb_config_t **out, wb_comm_t *world, const char *path, const char *const *sets,
                           int nsets) WB_NODISCARD;

/* ---- models on disk (model_dir.c) -------------------------------------------------------------------------------- */

/** A model loaded whole into one process for inference. */
typedef struct wb_model {
    wb_size_t size;
    wb_params_t *params;       /**< of a layout 1 x 1 x 1 */
    float *weights;            /**< [params->own] */
    wb_tokenizer_t *tokenizer; /**< NULL when there is none */
    const wb_kern_t *kern;     /**< borrowed */
} wb_model_t;
/** Read config.json of a Hugging Face GPT-2 directory.  Errors: WB_EIO; WB_EDATA: something is missing, makes no sense,
 * or is a model wabun does not compute (another activation function, epsilon, inner width ...): what, and what would
 * do. */
wb_status wb_model_config_read (wb_size_t *out, const char *dir) WB_NODISCARD;
/** The config.json of a size, which Hugging Face's transformers loads; eot < 0: no end token.  NULL when out of memory;
 * freed by the caller with wb_free(). */
char *wb_model_config_text (const wb_size_t *s, int32_t eot) WB_NODISCARD;
/** Load dir (config.json, model.safetensors, tokenizer).
 * \param tokenizer  NULL: the directory's own, or none where it has none; else which (wb_tokenizer_new).
 * Errors: WB_EIO, WB_EDATA (also: the tokenizer has more ids than the model), WB_ENOMEM.  Not collective; needs no MPI.
 */
wb_status wb_model_load (wb_model_t **out, const char *dir, const char *tokenizer) WB_NODISCARD;
void wb_model_destroy (wb_model_t *m); /**< only what wb_model_load() gave; NULL is fine */

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

#ifdef __cplusplus
}
#endif
#endif
