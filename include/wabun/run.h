/* wabun - run: a training run around its steps: start, loop, signals, lock, save and resume, metrics; what others ask
 * about its directory: how it goes, whether its checkpoints are whole.
 */
#ifndef WABUN_RUN_H
#define WABUN_RUN_H

#include <wabun/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wb_run_args {
    const char *config;      /**< file; borrowed */
    const char *resume;      /**< "auto", "none" or a directory; borrowed */
    const char *const *sets; /**< [nsets] "key=value"; borrowed */
    int nsets;
    bool accept; /**< go on although token files have changed since the checkpoint */
} wb_run_args_t;
/** Train: starts and ends the world.  Collective over all processes; the status is agreed.  Errors: those of every room
 * below; WB_ESTOP after a signal. */
wb_status wb_run_train (const wb_run_args_t *a) WB_NODISCARD;

/** Read the configuration as wb_run_train() would, and print its run directory on the standard output.  Not collective.
 * Errors: those of wb_config_new(). */
wb_status wb_run_check (const wb_run_args_t *a) WB_NODISCARD;

/** Print on the standard output what is wrong with a model directory, a checkpoint, or all checkpoints of a run, one
 * line each, and one for each that is good.  Not collective; one process, its threads; reads every byte once.  Errors:
 * WB_EDATA something is wrong, WB_EUSAGE there is no model and no checkpoint, WB_EIO, WB_ENOMEM. */
wb_status wb_run_verify (const char *path) WB_NODISCARD;
/** What is asked about a run. */
typedef enum wb_run_answer {
    WB_RUN_TEXT,
    WB_RUN_JSON,
    WB_RUN_AGAIN /**< the status alone is the answer of a job script's question: start it again? */
} wb_run_answer;
/** Print on the standard output how a run goes: state, step, loss, speed, time left, starts and how they ended, newest
 * checkpoint.  WB_RUN_AGAIN prints nothing: WB_OK all is done, WB_ESTOP another start is worth it, else what the last
 * one ended with, or WB_ESTUCK after three starts of one job that left no newer checkpoint; the reason is the error's
 * text.  Not collective; reads files only, a few hundred KB of them, and works while the run goes on.  Errors:
 * WB_EIO no such directory, WB_EUSAGE it is no run, WB_ENOMEM. */
wb_status wb_run_status (const char *run, wb_run_answer answer) WB_NODISCARD;
/** Does a process train in this directory now?  By its lock, as wb_run_status() tells it.  Not collective; reads files
 * only.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_run_is_running (bool *is, const char *run) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
