/* wabun - config: one table of options, and the configuration of a run.
 *
 * Every option has a name, a unit, a default and a range in ONE table (src/config/config.c), which the parser, the
 * help, the manual page and the resolved configuration in the run directory all come from.
 */
#ifndef WABUN_CONFIG_H
#define WABUN_CONFIG_H

#include <wabun/dataset.h>
#include <wabun/infer.h>
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

/** The model's size and tokenizer (NULL: none) of a configuration.  Not collective.  Errors: WB_EUSAGE, WB_EIO,
 * WB_EDATA. */
wb_status wb_config_size (wb_size_t *out, wb_tokenizer_t **tokenizer, const wb_config_t *c) WB_NODISCARD;
/** The options of a trainer. */
void wb_config_step_options (wb_step_options_t *out, const wb_config_t *c, const wb_size_t *size);

#ifdef __cplusplus
}
#endif
#endif
