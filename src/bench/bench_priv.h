/* bench: what the benches share.  Not installed.
 *
 * A bench is one file with one row, wb_bench_NAME, which the table of bench.c lists.  Every figure is a median of
 * repeats and comes with its limit, measured in the same run; --json prints the same as one object on one line. */
#ifndef WABUN_BENCH_PRIV_H
#define WABUN_BENCH_PRIV_H

#include <jansson.h>

#include "wabun/bench.h"
#include "wabun/config.h"
#include "wabun/launch.h"

typedef struct wb_bench_row {
    const char *name, *line;
    bool alone;                                                /**< refuses more than one rank */
    size_t bytes;                                              /**< of its options, which start as zeros */
    wb_status (*parse) (void *options, int argc, char **argv); /**< argv[0]: its name; before the world begins */
    wb_status (*run) (void *options, wb_comm_t *world);        /**< measures and reports; its status is agreed */
} wb_bench_row_t;
extern const wb_bench_row_t wb_bench_step, wb_bench_gemm, wb_bench_muon, wb_bench_ring, wb_bench_generate,
    wb_bench_encode, wb_bench_corpus, wb_bench_serve, wb_bench_threads_row;

enum { WB_BENCH_MAX_STEPS = 10000 };

/** --preset, --layers, --width, --heads, --context and --vocab: a preset, and what of it is given one by one. */
typedef struct wb_bench_size {
    const char *preset;
    wb_size_t own; /**< 0: the preset's */
} wb_bench_size_t;
void wb_bench_size_begin (wb_bench_size_t *s, const char *preset);
/** Is the option at hand one of these?  Then *status tells whether its value is good (WB_EUSAGE). */
bool wb_bench_is_size (wb_opts_t *o, wb_bench_size_t *s, wb_status *status);
/** The size, and the name of its preset, "own" when the model's form was given.  Errors: WB_EUSAGE. */
wb_status wb_bench_size_end (wb_size_t *out, const char **preset, const wb_bench_size_t *s) WB_NODISCARD;

/** The value of the option at hand, one of these names, as its index.  Errors: WB_EUSAGE, with the names. */
wb_status wb_bench_choice (wb_opts_t *o, int *out, const char *const *names) WB_NODISCARD;

/** A model and how it is run: what the command line of a bench says. */
typedef struct wb_bench {
    wb_step_options_t o;
    int64_t batch, steps, threads, pipeline, tensor;
    const char *preset; /**< "own" when sizes were given one by one */
    bool json, profile; /**< profile: of bench step only */
    /* found out by the bench */
    int nthreads, ranks;
    wb_blas_info_t blas;
} wb_bench_t;
/** Read --preset, --layers, ..., --json.  Errors: WB_EUSAGE. */
wb_status wb_bench_parse (wb_bench_t *b, int argc, char **argv) WB_NODISCARD;
/** Fill in what depends on the ranks, after the threads were set: ranks, BLAS, global and micro-batch; warns of what is
 * slow. Collective over topo->world.  Errors: agreed. */
wb_status wb_bench_complete (wb_bench_t *b, const wb_topo_t *topo) WB_NODISCARD;

/* ---- what benches measure with (bench.c) ------------------------------------------------------------------------- */

/** Set the threads of a rank, 0 = cores / ranks.  Collective over world.  Errors: agreed. */
wb_status wb_bench_threads (int *threads, wb_comm_t *world, int64_t asked) WB_NODISCARD;
/** Raise *peak to what all ranks together reach now (GFLOP/s) by wb_kern_fma_peak or wb_kern_bf16_peak.  Collective
 * over world. */
void wb_bench_peak (double *peak, wb_comm_t *world, double (*measure) (int, double), int threads, double seconds);
/** Sample k of random tokens: a wb_sample_fn whose context is the wb_step_options_t. */
wb_status wb_bench_sample (void *options, int32_t *ids, int64_t k);

/* ---- figures and reports (report.c) ------------------------------------------------------------------------------ */

typedef struct wb_spread {
    double median, min, max;
} wb_spread_t;
/** Of n > 0 values, which are sorted. */
wb_spread_t wb_bench_spread (double *x, int64_t n);
double wb_bench_median (double *x, int64_t n);
/** work a second. */
wb_spread_t wb_bench_rate (double work, wb_spread_t seconds);

/** Add a field to an object.  *object becomes NULL when there is no memory; takes the value. */
void wb_bench_put (json_t **object, const char *name, json_t *value);
void wb_bench_put_text (json_t **object, const char *name, const char *text); /**< NULL: null */
void wb_bench_put_count (json_t **object, const char *name, int64_t n);
void wb_bench_put_number (json_t **object, const char *name, double x); /**< not finite: null */
/** Likewise for a list. */
void wb_bench_append (json_t **list, json_t *row);
/** NAME, NAME_min and NAME_max. */
void wb_bench_put_spread (json_t **object, const char *name, wb_spread_t s);
/** Print a report as one line and free it; NULL stands for a lack of memory.  Errors: WB_ENOMEM. */
wb_status wb_bench_print_json (json_t *object) WB_NODISCARD;
/** The line "model ..." of a table. */
void wb_bench_print_model (const wb_size_t *s, const char *preset, int64_t params);

#endif
