/* plan: what its files share.
 *
 *   plan.c      the command: layout, memory, and what is printed
 *   traffic.c   what a rank sends in a step
 *   pipeline.c  how long stages wait for each other */
#ifndef WABUN_PLAN_PRIV_H
#define WABUN_PLAN_PRIV_H

#include "wabun/plan.h"

/* Bytes that a rank sends over the network in a step. */
typedef struct wb_traffic {
    double gradients, weights, /* round the data group */
        tied,                  /* the embedding's gradients between first and last stage */
        tensor, pipeline, muon, total;
} wb_traffic_t;
/* Of the rank at lo's place, where so many neighbouring ranks share a node, within which nothing is sent.  Not
 * collective.  Errors: WB_ENOMEM. */
wb_status wb_plan_traffic (wb_traffic_t *out, const wb_step_options_t *o, const wb_layout_t *lo,
                           int ranks_per_node) WB_NODISCARD;

/* Share of a step in which a stage waits, where all cost the same and a backward pass takes twice as long as a forward
 * pass; *exact = false: at most, for not all micro-batches were counted.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_plan_idle (double *share, bool *exact, const wb_step_options_t *o, const wb_layout_t *lo) WB_NODISCARD;

#endif
