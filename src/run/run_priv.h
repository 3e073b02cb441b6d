/* What the parts of a training run share.
 *
 *   run.c         start, the loop over steps
 *   signals.c     requests to stop
 *   data.c        tokenizer, token files, loaders
 *   lock.c        one run at a time in a run directory
 *   owner.c       the same, for file systems without common locks
 *   guards.c      what would make it fail later: other files on some ranks, disk, time
 *   base_model.c  model.base: the model it starts from
 *   best.c        the validation with the lowest loss
 *   save.c        checkpoints of the run
 *   triggers.c    files in the run directory that ask for something
 *   health.c      numbers that go bad or stand out: steps that are skipped, weights that are not saved
 *   spikes.c      how far a step's numbers are above those of late
 *   windows.c     which texts a step read
 *   rollback.c, left_out.c   back to a checkpoint, without the steps that went bad
 *   resume.c      which checkpoint to go on from, and whether it fits
 *   state.c       state.json: settings and data of a checkpoint, and what has changed since
 *   state_health.c   its numbers so far
 *   verify.c      are its checkpoints whole?
 *   history.c     history.jsonl: starts and ends
 *   watchdog.c    ranks that hang (watch.h)
 *   status.c      how does a run go, by its files?  (status.h)
 *   summary.c     start-up report, memory
 *   metrics_columns.c  columns of the metrics, progress, samples of text
 */
#ifndef WABUN_RUN_PRIV_H
#define WABUN_RUN_PRIV_H

#include "wabun/launch.h"
#include "wabun/report.h"
#include "wabun/run.h"

#include "run/rollback.h"
#include "run/spikes.h"

/* ---- data.c ------------------------------------------------------------------------------------------------------ */

/* What a rank reads from: everything here is the same on all ranks. */
typedef struct wb_run_data {
    wb_tokenizer_t *tokenizer; /* NULL: token files and a vocabulary size were given */
    wb_size_t size;
    wb_tokens_t **files; /* [nfiles] */
    int nfiles;
    int64_t *bytes; /* wb_tokens_identity() of them, on rank 0 */
    uint64_t *hashes;
    wb_loader_t *train;
    wb_tokens_t *valid_file;
    wb_loader_t *valid;           /* NULL: no validation */
    int64_t valid_samples;        /* used each time */
    double valid_bytes;           /* bytes of text of their targets, 0 = not known */
    double train_bytes_per_token; /* 0 = not known */
} wb_run_data_t;

/* Open everything the configuration names and check every id.  Collective over world; errors agreed. */
wb_status wb_run_data_open (wb_run_data_t *out, wb_comm_t *world, const wb_config_t *c) WB_NODISCARD;
void wb_run_data_close (wb_run_data_t *d);
/* What wb_run_sample reads from.  A rank that reads sample k reads k + `ahead` next time, which is prefetched. */
typedef struct wb_run_reader {
    const wb_loader_t *loader;
    int64_t ahead, n; /* only samples k < n are read */
} wb_run_reader_t;
/* wb_sample_fn; ctx is a reader. */
wb_status wb_run_sample (void *reader, int32_t *ids, int64_t k);

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* What summary.c measures, for what is reported later. */
typedef struct wb_run_limits {
    double peak;    /* FMA peak of all ranks, GFLOP/s */
    double planned; /* bytes a rank takes at most, by the plan */
} wb_run_limits_t;

/* What metrics_columns.c keeps. */
typedef struct wb_run_log {
    wb_metrics_t *metrics;   /* rank 0 */
    bool no_sample;          /* the last text could not be made */
    double save, validation; /* seconds without steps, the last time; 0: not known yet */
    wb_progress_t progress;
    wb_slow_rank_t slow;     /* rank 0 */
    wb_rank_record_t *ranks; /* [ranks] work space of wb_rank_times() */
} wb_run_log_t;

/* The model whose weights the run began with. */
typedef struct wb_run_base {
    char *path;    /* owned; NULL: none, or not known */
    int64_t step;  /* -1: not a checkpoint of a run */
    uint64_t sums; /* XXH64 of its checksums.json, 0: it has none */
} wb_run_base_t;

/* best.c: the lowest of the validations so far; all is the same on every rank. */
typedef struct wb_run_best {
    double loss;
    int64_t step;  /* that it was after; -1: none yet */
    int64_t since; /* validations after it */
    int64_t at;    /* step of the last validation; -1: none yet */
} wb_run_best_t;

struct wb_watch; /* watchdog.c */
struct wb_owner; /* owner.c */

/* save.c: the save that is under way, or was last. */
typedef struct wb_run_saving {
    wb_saver_t *saver; /* NULL: in the foreground */
    int64_t step;
    bool best;                     /* it is RUN/best then */
    double tokens, began, blocked; /* blocked: seconds in which no step went on */
    double copy, bytes;            /* bytes of the copy, of the rank with most; of the tensors' files */
    char why[96];                  /* in the foreground */
    bool told;
} wb_run_saving_t;

typedef struct wb_run {
    wb_comm_t *world;
    wb_topo_t *topo;
    wb_config_t *config;
    wb_run_data_t data;
    wb_trainer_t *trainer;
    int threads;
    double tokens;                   /* seen since step 0 */
    int64_t saved;                   /* step of the newest checkpoint of this run, -1: none */
    int64_t bad_steps, failed_saves; /* in a row */
    wb_spikes_t spikes;              /* the losses of late, and what they say of the last step */
    wb_spike_verdict_t verdict;
    int64_t updated; /* the last step that was done; -1: none */
    wb_run_best_t best;
    wb_steps_t bad; /* when numbers went bad: the steps that are to blame, and what is said of it */
    char bad_text[256];
    wb_rollbacks_t rollbacks;
    bool save_pending;  /* a checkpoint is due: asked for, among bad steps, or the best so far */
    double weights_rms; /* root mean square of the weights when the run began, 0: not known yet */
    bool accept;        /* token files that have changed are fine */
    bool resumed;       /* weights and step are those of a checkpoint */
    char *state;        /* state.json of the checkpoint it was resumed from, rank 0; NULL: none; owned */
    int64_t state_step;
    wb_run_saving_t saving;
    double looked;   /* triggers.c: wb_now () when rank 0 last looked */
    unsigned asked;  /* WB_TELL_SAVE, WB_TELL_STOP: by a file, rank 0 */
    int64_t first;   /* step the loop began at */
    double began;    /* wb_now () then */
    bool in_history; /* its start is written */
    bool history_told;
    wb_error_t history_error; /* why a line of history.jsonl could not be written; rank 0 */
    int lock;                 /* lock.c: descriptor of the locked file, rank 0; -1: none */
    wb_run_base_t base;
    wb_run_limits_t limits;
    wb_run_log_t log;
    struct wb_watch *watch; /* NULL: none */
    struct wb_owner *owner; /* rank 0 */
    double timed;           /* wb_now () after the first step; of guards.c */
} wb_run_t;

/* ---- lock.c ------------------------------------------------------------------------------------------------------ */

/* What older releases made there while they saved. */
#define WB_RUN_SCRATCH ".tokenizer"

/* Make the run directory, lock it and clear away what a killed run left half written.  Collective over world.  Errors:
 * WB_EIO, also when another run holds it; agreed. */
wb_status wb_run_lock (wb_run_t *r) WB_NODISCARD;
void wb_run_unlock (wb_run_t *r); /* not collective */

/* ---- owner.c ----------------------------------------------------------------------------------------------------- */

typedef struct wb_owner wb_owner_t;
/* Take over the record of who writes in `run`, and keep it up.  locked: RUN/.lock is held; else it is waited for
 * others that start at the same moment.  *out is to be dropped also after an error.  Not collective.  Errors: WB_EIO
 * another run is alive; WB_ENOMEM. */
wb_status wb_owner_take (wb_owner_t **out, const char *run, bool locked) WB_NODISCARD;
void wb_owner_drop (wb_owner_t *o); /* NULL is fine */
/* Does a process of another host keep the record up? */
bool wb_owner_is_elsewhere (const char *run);

/* ---- guards.c ---------------------------------------------------------------------------------------------------- */

/* Were all ranks started with the same arguments?  Collective over world.  Errors: WB_EUSAGE, agreed. */
wb_status wb_run_check_arguments (wb_run_t *r, const wb_run_args_t *a) WB_NODISCARD;
/* Do all nodes see the same token files?  Collective over world.  Errors: WB_EUSAGE, WB_EIO, agreed.  Cost: each node
 * reads the indices. */
wb_status wb_run_check_tokens (wb_run_t *r) WB_NODISCARD;
/* Warn where Slurm granted more tasks than there are ranks.  Not collective. */
void wb_run_check_tasks (const wb_run_t *r);
/* Is there space for the next checkpoint?  Where there is not for all that will be there at a time, a warning.
 * Collective over world.  Errors: WB_EIO, agreed.  Quotas are not seen. */
wb_status wb_run_check_disk (wb_run_t *r) WB_NODISCARD;
/* After a step: when the time of a step is known, warn where the job's end (wb_launcher_end()) comes before the next
 * checkpoint.  Not collective. */
void wb_run_check_time (wb_run_t *r);

/* ---- history.c --------------------------------------------------------------------------------------------------- */

#define WB_RUN_HISTORY "history.jsonl"

/* The run directory is locked; the first step is about to begin; and how it all ended, which does nothing where the
 * lock was not taken.  Rank 0 writes; with WB_EHUNG whoever calls it, for rank 0 may be the one that hangs.  What
 * cannot be written is one warning in a run, none where the run ends with an error of the same kind. */
void wb_run_history_start (wb_run_t *r);
void wb_run_history_began (wb_run_t *r);
void wb_run_history_end (wb_run_t *r, wb_status status);

/* Is RUN/.lock held by a run?  1, 0; -1: not known, for the file system has no locks (lock.c).  Not collective. */
int wb_run_is_locked (const char *run);

/* ---- watchdog.c -------------------------------------------------------------------------------------------------- */

typedef struct wb_watch wb_watch_t;
/* What a run is at; all ranks change it together, at the same place of the program. */
typedef enum wb_area {
    WB_AREA_START,
    WB_AREA_LOAD,
    WB_AREA_STEP,
    WB_AREA_VALIDATION,
    WB_AREA_SAVE,
    WB_AREA_SAMPLE,
    WB_AREA_END,
    WB_AREAS
} wb_area;

/* Watch over r from now on; *out = NULL where watchdog.enabled is false, which all functions below take.  Collective
 * over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_watch_new (wb_watch_t **out, wb_run_t *r) WB_NODISCARD;
void wb_watch_destroy (wb_watch_t *w); /* not collective */
/* From now on the run is at this, for this step.  Not collective, but see wb_area. */
void wb_watch_enter (wb_watch_t *w, wb_area area, int64_t step);
/* A step is done and took so long. */
void wb_watch_stepped (wb_watch_t *w, double seconds);
/* A rank on this machine whose process is gone, or one elsewhere that does not answer any more; -1: none is known, or
 * there is no watchdog.  May be called by a signal handler. */
int wb_watch_gone (void);

/* ---- best.c ------------------------------------------------------------------------------------------------------ */

/* A validation gave this loss. */
void wb_run_best_take (wb_run_t *r, double loss);
/* Is a validation due at the step that the run goes on from, which was stopped before it? */
bool wb_run_best_missed (const wb_run_t *r);
/* Has validation.patience run out? */
bool wb_run_best_over (const wb_run_t *r);
/* Rank 0: the checkpoint of this step is there; RUN/best where it is the best.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_run_best_link (const wb_run_t *r, int64_t step) WB_NODISCARD;
/* "the lowest validation loss was 3.1234 at step 200: RUN/best" */
enum { WB_BEST_TEXT = 512 };
const char *wb_run_best_text (char buf[WB_BEST_TEXT], const wb_run_t *r);

/* ---- save.c ------------------------------------------------------------------------------------------------------ */

#define WB_RUN_MODEL "model.safetensors"
#define WB_RUN_OPTIMIZER "optimizer.safetensors"

/* Decide whether saves go on in the background, and get the memory.  Collective over world.  Errors: WB_ENOMEM. */
wb_status wb_run_save_prepare (wb_run_t *r) WB_NODISCARD;
/* Save step trainer->step now, point `latest` at it, prune; a save that is under way is waited for first.  Collective
 * over world.  Errors: WB_EIO, WB_ENUMERIC, agreed. */
wb_status wb_run_save (wb_run_t *r) WB_NODISCARD;
/* Wait for the save that is under way, if there is one: before weights are changed by other means than a step, and at
 * the end.  Collective over world.  Errors: as wb_run_save_due(). */
wb_status wb_run_save_wait (wb_run_t *r) WB_NODISCARD;
/* Step of the newest checkpoint, the one under way included; -1: none. */
int64_t wb_run_save_newest (const wb_run_t *r);
/* After a step that so many ranks were WB_TELL_READY in.  Collective over world.  Errors: as wb_run_save_due(). */
wb_status wb_run_save_poll (wb_run_t *r, int ready) WB_NODISCARD;
/* Rank 0: make the snapshots that are missing.  What fails is a warning. */
void wb_run_archive (const wb_run_t *r);
/* The same at its interval, in the background where that was prepared: where it cannot be written, up to
 * checkpoint.failures times in a row, and it is not the last one, that is a warning. */
wb_status wb_run_save_due (wb_run_t *r) WB_NODISCARD;

/* ---- triggers.c -------------------------------------------------------------------------------------------------- */

#define WB_RUN_SAVE_FILE "SAVE"
#define WB_RUN_STOP_FILE "STOP"

/* What this rank has to tell the others in the next step: signals, files in the run directory, its part of a save. */
unsigned wb_run_tell (wb_run_t *r);
/* What the file asks for was done: rank 0 removes it, if it was it that asked. */
void wb_run_obeyed (wb_run_t *r, const char *name);

/* ---- health.c ---------------------------------------------------------------------------------------------------- */

/* wb_judge_fn; ctx is the run.  Sets r->verdict. */
bool wb_run_judge (void *run, const wb_step_result_t *s);
/* A step whose numbers are bad, or that was held back: go on with the next batch, and warn; after train.bad_steps bad
 * ones in a row an error.  Collective over world.  Errors: WB_ENUMERIC. */
wb_status wb_run_skip (wb_run_t *r, const wb_step_result_t *s) WB_NODISCARD;
/* After a step that was done: was it a spike?  Then say so, once until it is over.  Collective over world. */
void wb_run_spike (wb_run_t *r, const wb_step_result_t *s);
/* Are weights and optimizer state finite, and the weights of the size they had at the first call?  Collective over
 * world.  Errors: WB_ENUMERIC.  Cost: reads both once. */
wb_status wb_run_check_weights (wb_run_t *r) WB_NODISCARD;
/* "the checkpoint of step 10 is kept", or that there is none yet: the only thing that messages may promise. */
const char *wb_run_kept (char buf[96], const wb_run_t *r);

/* ---- rollback.c -------------------------------------------------------------------------------------------------- */

/* The error is that numbers went bad (r->bad): go back to a checkpoint, if train.rollback allows it, and leave out what
 * led there.  Then the loop goes on after r->trainer->step.  Collective over world.  Errors: WB_ENUMERIC, the one there
 * was, with a word of why nothing could be done; those of wb_run_resume() and wb_run_save(). */
wb_status wb_run_rollback (wb_run_t *r) WB_NODISCARD;
/* Is this step left out?  Says so at the first of a range. */
bool wb_run_leaves_out (const wb_run_t *r, int64_t step);

/* ---- resume.c ---------------------------------------------------------------------------------------------------- */

/* Load weights, optimizer and step: from `resume` "auto" (newest good checkpoint of the run, or none) or a directory.
 * A checkpoint from elsewhere is refused where the run has its own of that step or later: the next run would go on from
 * those.  r->saved tells whether it is one of the run.  Collective over world.  Errors: WB_EIO, WB_EDATA, WB_EUSAGE
 * (also: token files that have changed, unless r->accept); agreed. */
wb_status wb_run_resume (wb_run_t *r, const char *resume) WB_NODISCARD;

/* The optimizer state of one slot as a set of tensors. */
static inline wb_ckpt_set_t wb_run_state_set (const wb_trainer_t *t, const wb_optim_slot_t *slot) {
    return (wb_ckpt_set_t){.file = WB_RUN_OPTIMIZER,
                           .prefix = slot->prefix,
                           .data = t->state[slot->state],
                           .by_state = true,
                           .classes = slot->classes};
}

/* The tensors of a checkpoint that are weights: the model, or of LoRA its adapters. */
static inline wb_ckpt_set_t wb_run_weights_set (wb_trainer_t *t) {
    const bool lora = t->o.tuning.rank > 0;
    return (wb_ckpt_set_t){.file = lora ? WB_ADAPTER_FILE : WB_RUN_MODEL,
                           .prefix = lora ? WB_ADAPTER_PREFIX : "",
                           .data = wb_trainer_weights (t),
                           .classes = lora ? 1u << WB_CLASS_ADAPTER : 0};
}

/* ---- base_model.c ------------------------------------------------------------------------------------------------ */

/* Which model model.base names: r->base, and config->base is its path without links; nothing without model.base.
 * Collective over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_run_base_find (wb_run_t *r) WB_NODISCARD;
/* The model beside which the adapters of a checkpoint were trained, `was` on rank 0: the one of the configuration where
 * it is the same, else at its path; its weights are loaded.  Collective over world.  Errors: WB_EUSAGE it has changed;
 * as wb_run_base_load(). */
wb_status wb_run_base_again (wb_run_t *r, const wb_run_base_t *was) WB_NODISCARD;
/* Every rank gets rank 0's r->base, and config->base its path where the configuration names a base.  Collective over
 * world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_run_base_share (wb_run_t *r) WB_NODISCARD;
/* "step 20, checksums.json has XXH64 0123456789abcdef" into buf. */
const char *wb_run_base_text (char buf[96], const wb_run_base_t *b);
/* Verify it and load its weights.  Collective over world.  Errors: those of wb_ckpt_verify(), wb_run_load_weights(). */
wb_status wb_run_base_load (wb_run_t *r) WB_NODISCARD;
/* Weights only, from a model directory.  Collective over world.  Errors: those of wb_ckpt_load(); WB_EDATA a weight is
 * NaN or infinite: tensor and place. */
wb_status wb_run_load_weights (wb_run_t *r, const char *dir) WB_NODISCARD;

/* ---- products.c -------------------------------------------------------------------------------------------------- */

/* Choose the library of each product of a step: as RUN/products.json says, if it is of this processor and these
 * shapes, so that a run that goes on multiplies as before; else by measuring, and write that file.  text: the choice in
 * words, empty if there was none.  Collective over world. */
void wb_run_choose_products (wb_run_t *r, char text[WB_ERROR_TEXT]);

/* ---- summary.c --------------------------------------------------------------------------------------------------- */

/* Start-up report.  Collective over world (it gathers memory, hosts and threads). */
wb_status wb_run_summary (wb_run_t *r) WB_NODISCARD;
/* Peak of this rank while all of them measure, GFLOP/s.  limits.peak, that of all ranks, never falls: other programs
 * can only make a processor look slower than it is.  Collective over world. */
double wb_run_measure_peak (wb_run_t *r);
/* Floating-point operations of a token. */
double wb_run_token_flops (const wb_run_t *r);
/* Are texts written while it trains?  Where they are asked for, and a rank holds the whole model. */
bool wb_run_writes_samples (const wb_run_t *r);
/* At the end: peak of memory over ranks against the plan.  Collective over world. */
void wb_run_memory_report (wb_run_t *r);

/* ---- metrics_columns.c ------------------------------------------------------------------------------------------- */

/* Open the metrics, which go on after trainer->step.  Collective over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_run_log_open (wb_run_t *r) WB_NODISCARD;
void wb_run_log_close (wb_run_t *r);
/* After a step: progress; at log intervals metrics too.  Collective over world. */
void wb_run_log_step (wb_run_t *r, const wb_step_result_t *s);
/* The run went back to trainer->step: what later steps have left in the metrics goes.  Nothing before they are open.
 * Collective over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_run_log_back (wb_run_t *r) WB_NODISCARD;
/* A spike, or a step that was skipped: kind "bad" or "spike". */
void wb_run_log_health (wb_run_t *r, const wb_step_result_t *s, int64_t step, const char *kind, const char *windows);
/* After a validation: loss in nats per token. */
void wb_run_log_valid (wb_run_t *r, double loss_sum, double tokens, double seconds);
/* After a save, which r->saving describes. */
void wb_run_log_save (wb_run_t *r);
/* What the model wrote at this step. */
void wb_run_log_sample (wb_run_t *r, const char *text);
/* Turn the error that left this step without a text into a warning, once until a text is written again. */
void wb_run_log_no_sample (wb_run_t *r);

#endif
