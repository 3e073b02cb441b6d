/* wabun - run: a training run around its steps: start, loop, signals, lock, save and resume, metrics.
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

#ifdef __cplusplus
}
#endif
#endif
