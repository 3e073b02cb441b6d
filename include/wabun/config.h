/* wabun - config: the configuration of a run.
 *
 * Every option is one row in the table of the room that owns it (wb_ROOM_options[]: path, field, default, range, unit,
 * help); a configuration holds those rooms' structs.  Parser, --set, help, manual page and the resolved configuration
 * in the run directory all come from the rows.
 */
#ifndef WABUN_CONFIG_H
#define WABUN_CONFIG_H

#include <wabun/dataset.h>
#include <wabun/infer.h>
#include <wabun/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Are checkpoints written while the training goes on? */
typedef enum wb_background { WB_BACKGROUND_FALSE, WB_BACKGROUND_TRUE, WB_BACKGROUND_AUTO } wb_background;
extern const char *const wb_background_names[]; /**< of checkpoint.background, then NULL */

/** What happens around the steps: options run, checkpoint.*, validation.*, log.*, report.*
 * and sample.*.  For room run, which is
 * above this one. */
typedef struct wb_run_options {
    char *dir;         /**< the run directory */
    int64_t bad_steps; /**< bad steps that are skipped in a row: NaN, infinity, loss_rise */
    double spike_z;    /**< standard deviations above the mean of late that make a spike; 0: none */
    int64_t spike_window;
    bool spike_skip;
    int64_t rollback; /**< times that the run goes back to a checkpoint when numbers have gone bad */
    double loss_rise; /**< nats above the lowest mean that make a bad step; 0: none */
    int64_t checkpoint_every;
    int64_t checkpoint_failures; /**< saves that may fail in a row */
    wb_background checkpoint_background;
    int checkpoint_keep;                          /**< 0: all */
    bool checkpoint_best;                         /**< keep that of the lowest validation loss too */
    int64_t checkpoint_archive;                   /**< steps between those that are kept for ever, 0: none */
    int64_t validation_every, validation_samples; /**< samples (windows) used each time, 0: all */
    int64_t validation_patience; /**< validations in a row without a new lowest loss that end the run; 0: none do */
    int64_t log_every;
    bool tensorboard;                    /**< event files */
    char *openmetrics;                   /**< a file for node exporter; "": none */
    int64_t sample_every, sample_length; /**< generated text at intervals, 0: never; length in tokens */
    char *sample_context;
    bool watchdog; /**< look after the ranks at all */
    double watchdog_warn, watchdog_limit,
        watchdog_other; /**< seconds without progress: named; the end; outside steps */
} wb_run_options_t;

/** A whole configuration, resolved: defaults, then the file, then --set.  Strings and lists are owned by it. */
typedef struct wb_config {
    char *path; /**< where from; not part of the text below */
    int64_t seed;
    char *tokenizer; /**< NULL: not given */
    wb_model_options_t model;
    wb_data_options_t data;
    wb_parallel_options_t parallel;
    wb_step_options_t step; /**< without size and seed, and T as given: see wb_config_step_options() */
    wb_run_options_t run;
} wb_config_t;

/** Read `path` (libconfig), apply the `sets` ("train.steps=100"), check types and ranges, and what two options must be
 * to each other where that needs no ranks.  A preset's sizes are filled in; those of `base` and of the tokenizer stay
 * 0.  Errors: WB_EUSAGE with file:line (or "--set key"): syntax, unknown key with the nearest known one, wrong type,
 * out of range; WB_EIO.  Not collective: rank 0 reads, see wb_config_share. */
wb_status wb_config_new (wb_config_t **out, const char *path, const char *const *sets, int nsets) WB_NODISCARD;
void wb_config_destroy (wb_config_t *c); /**< NULL is allowed */
/** The resolved configuration as a libconfig file; freed by the caller with wb_free(). */
char *wb_config_text (const wb_config_t *c) WB_NODISCARD;
/** Print the table of options (name, unit, default, range, what it does); man: as a man page, else for `wabun help
 * train`. */
void wb_config_help (FILE *to, bool man);
/** Rank 0 reads, every rank gets the same configuration or the same error.  Collective over world. */
wb_status wb_config_share (wb_config_t **out, wb_comm_t *world, const char *path, const char *const *sets,
                           int nsets) WB_NODISCARD;

/** The model's size and tokenizer (NULL: none) of a configuration.  Not collective.  Errors: WB_EUSAGE, WB_EIO,
 * WB_EDATA. */
wb_status wb_config_size (wb_size_t *out, wb_tokenizer_t **tokenizer, const wb_config_t *c) WB_NODISCARD;
/** The options of a trainer for a model of this size. */
void wb_config_step_options (wb_step_options_t *out, const wb_config_t *c, const wb_size_t *size);
/** The defaults of those of a trainer's options that are in the table, without any configuration. */
void wb_config_step_defaults (wb_step_options_t *out);

/** What names a configuration on a command line: CFG and any number of --set KEY=VALUE; borrowed from argv. */
enum { WB_CONFIG_MAX_SETS = 256 };
typedef struct wb_config_args {
    const char *path; /**< NULL: not given */
    const char *sets[WB_CONFIG_MAX_SETS];
    int nsets;
} wb_config_args_t;
/** Is the argument --set or a file?  Then it is stored and *taken is true.  Errors: WB_EUSAGE: a second file, --set
 * without a value. */
wb_status wb_config_args_option (wb_config_args_t *a, wb_opts_t *o, bool *taken) WB_NODISCARD;

/** The configuration of a corpus, and its text in full. */
typedef struct wb_corpus_config {
    struct wb_corpus_options *options; /**< corpus.h */
    wb_buf_t text;
} wb_corpus_config_t;
/** As wb_config_share(), for `wabun corpus build`.  To be freed by _fini also after an error. */
wb_status wb_corpus_config_share (wb_corpus_config_t *out, wb_comm_t *world, const char *path, const char *const *sets,
                                  int nsets) WB_NODISCARD;
/** The defaults, without any configuration; nothing in it needs to be freed.  Errors: WB_ENOMEM. */
wb_status wb_corpus_config_defaults (struct wb_corpus_options *o) WB_NODISCARD;
void wb_corpus_config_fini (wb_corpus_config_t *c);
/** As wb_config_help(), of that configuration's options. */
void wb_corpus_config_help (FILE *to, bool man);

#ifdef __cplusplus
}
#endif
#endif
