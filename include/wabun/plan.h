/* wabun - plan: memory, traffic, time and layouts of ranks that do not exist.  No MPI call.
 */
#ifndef WABUN_PLAN_H
#define WABUN_PLAN_H

#include <wabun/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wb_plan_args {
    const char *config;
    const char *const *sets; /**< [nsets] "key=value" */
    int nsets;
    int64_t ranks, threads; /**< 0: what the configuration asks for */
    int64_t ranks_per_node; /**< 0: one */
    double gflops;          /**< that a rank sustains; 0: not known, then no time is planned */
    const char *bench;      /**< instead of gflops: a file with the output of `wabun bench step --json`; NULL: none */
    double link;            /**< GB/s that a node sends; 0: 10 Gbit Ethernet is assumed */
    double memory;          /**< GiB of a rank; 0: no limit */
    bool json;
} wb_plan_args_t;
/** Print the plan to stdout.  Not collective.  Errors: those of wb_config_new() and of the trainer's layout, with the
 * nearest numbers of ranks that would work; WB_EIO, WB_EDATA of the bench's file; WB_ENOMEM. */
wb_status wb_plan (const wb_plan_args_t *a) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
