/* plan: what its files share.
 *
 *   plan.c      the command: from the configuration to a report
 *   estimate.c  one layout: memory, traffic, idle share, and the model of a step's time
 *   layouts.c   the layouts of a number of ranks, compared; numbers of ranks that work
 *   traffic.c   what a rank sends in a step
 *   pipeline.c  how long stages wait for each other
 *   rate.c      the speed of a rank from the output of a bench
 *   print.c     the report as text
 *   json.c      the report as JSON */
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
 * pass; *exact = false: an upper bound, because not all micro-batches were simulated.  Not collective.  Errors:
 * WB_ENOMEM. */
wb_status wb_plan_idle (double *share, bool *exact, const wb_step_options_t *o, const wb_layout_t *lo) WB_NODISCARD;

/* ---- time (estimate.c) ------------------------------------------------------------------------------------------- */

/* The machine: what is given or assumed of it. */
typedef struct wb_plan_machine {
    int threads, ranks_per_node;
    double rate;   /* FLOP/s that a rank sustains; 0: not known */
    double link;   /* bytes a second between nodes, of a node */
    double memory; /* bytes of a rank; INFINITY: no limit */
} wb_plan_machine_t;

/* A step of a rank. */
typedef struct wb_plan_work {
    double flop; /* with what is recomputed; mean of the stages; of the data rank with the largest share */
    double idle; /* share of the compute time in which a rank waits for other stages */
    int micros;  /* micro-batches */
    wb_traffic_t traffic;
} wb_plan_work_t;
/* Seconds of a step: computing, with the pipeline's idle time; communication that nothing hides; their sum. */
typedef struct wb_plan_time {
    double compute, exposed, total;
} wb_plan_time_t;
/* The model of time.  rate: FLOP/s of a rank; link: bytes a second that a rank can send. */
wb_plan_time_t wb_plan_time (const wb_plan_work_t *w, double rate, double link);

/* ---- a layout and others (estimate.c, layouts.c) ----------------------------------------------------------------- */

typedef struct wb_plan_stage {
    wb_memory_t memory;
    wb_traffic_t traffic;
    double flop;
} wb_plan_stage_t;

/* A layout in numbers; bytes, traffic: the maximum over its stages. */
typedef struct wb_plan_estimate {
    int dp, pp, tp, micros;
    int64_t B;
    double program;      /* bytes of a rank for program, MPI and BLAS */
    double bytes;        /* of a rank, program included */
    double copy;         /* more, while checkpoints are saved in the background */
    double filled;       /* share of the places in all data ranks' micro-batches that have a sequence, the others being
                          * filled up to the largest */
    double idle;         /* share of the step's compute time in which a rank waits or computes nothing of use: by the
                          * pipeline, unequal stages and unequal shares of the batch */
    double bubble;       /* that of equal stages */
    bool exact;          /* of bubble: wb_plan_idle () */
    double traffic;      /* bytes sent in a step */
    wb_plan_time_t time; /* zeros where the rate is not known */
    double tokens_per_s;
} wb_plan_estimate_t;
/* Numbers of a layout that the trainer accepts.  lo's pipeline place is used and ends at 0.
 * \param stages  [lo->pp], or NULL.  Errors: WB_ENOMEM. */
wb_status wb_plan_estimate (wb_plan_estimate_t *out, wb_plan_stage_t *stages, const wb_plan_machine_t *m,
                            const wb_step_options_t *o, wb_layout_t *lo) WB_NODISCARD;
/* Choose the micro-batch (where o->B is 0) and the layout, as the trainer does.  Errors: WB_EUSAGE, WB_ENOMEM. */
wb_status wb_plan_layout (wb_layout_t *lo, wb_step_options_t *o, const wb_plan_machine_t *m, int dp, int pp,
                          int tp) WB_NODISCARD;

enum { WB_PLAN_LAYOUTS = 10 };
typedef struct wb_plan_layouts {
    wb_plan_estimate_t best[WB_PLAN_LAYOUTS];
    int n, all; /* rows of best; layouts that work and fit */
} wb_plan_layouts_t;
/* The layouts of so many ranks that the trainer accepts and that fit the memory, the best first: by time, or where the
 * rate is not known by idle share (in steps of 0.1 %), traffic and memory.  Everything but the grid and a micro-batch
 * of 0 is as in o.  Errors: WB_ENOMEM. */
wb_status wb_plan_layouts (wb_plan_layouts_t *out, const wb_plan_machine_t *m, const wb_step_options_t *o,
                           int ranks) WB_NODISCARD;
/* Is the batch large enough for dp data ranks, their micro-batches and interleaved stages? */
bool wb_plan_deals (const wb_step_options_t *o, int64_t dp, int pp);
/* The nearest numbers of ranks below and above for which that holds; 0: there is none. */
void wb_plan_nearest (int64_t near[2], const wb_step_options_t *o, int64_t ranks, int pp, int tp);

/* ---- the report -------------------------------------------------------------------------------------------------- */

/* What is known of `wabun bench step --json`. */
typedef struct wb_plan_bench {
    double gflops, mfu; /* of a rank; mfu 0: not in the file */
    int threads;
    bool bf16; /* precision of its products */
} wb_plan_bench_t;
/* Errors: WB_EIO, WB_EDATA with the file's name, WB_ENOMEM. */
wb_status wb_plan_bench_read (wb_plan_bench_t *out, const char *path) WB_NODISCARD;

/* Everything a report says. */
typedef struct wb_plan {
    const wb_plan_args_t *args;
    wb_config_t *config;
    wb_tokenizer_t *tokenizer;
    char *missing_tokenizer; /* owned; NULL: it is there, or none is named */
    bool assumed;            /* the size of the vocabulary */
    wb_step_options_t o;
    wb_layout_t lo;
    int ranks, nodes;
    wb_plan_machine_t machine;
    wb_plan_bench_t bench;
    wb_plan_stage_t *stages; /* [lo.pp], owned */
    wb_plan_estimate_t own;  /* of the layout of the configuration */
    wb_plan_layouts_t layouts;
    double flop; /* of the run, as the model counts them */
} wb_plan_t;
void wb_plan_print (const wb_plan_t *p);
/* Errors: WB_ENOMEM. */
wb_status wb_plan_print_json (const wb_plan_t *p) WB_NODISCARD;

#endif
