/* wabun - plan: memory and traffic of ranks that do not exist.  No MPI call.
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
} wb_plan_args_t;
/** Print the plan to stdout.  Not collective.  Errors: those of wb_config_new() and of the trainer's layout. */
wb_status wb_plan (const wb_plan_args_t *a) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
