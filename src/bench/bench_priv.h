/* bench: what the benches share.  Not installed.
 *
 * A bench is one file with one function `wb_status wb_bench_NAME (int argc, char **argv)`, argv[0] being its name, and
 * a line in the table of bench.c.  It starts and ends the world itself.  Every figure is a median of repeats and comes
 * with its limit, measured in the same run; --json prints the same as one object on one line. */
#ifndef WABUN_BENCH_PRIV_H
#define WABUN_BENCH_PRIV_H

#include <jansson.h>

#include "wabun/bench.h"
#include "wabun/config.h"
#include "wabun/launch.h"

wb_status wb_bench_step (int argc, char **argv) WB_NODISCARD;
wb_status wb_bench_gemm (int argc, char **argv) WB_NODISCARD;
wb_status wb_bench_ring (int argc, char **argv) WB_NODISCARD;
wb_status wb_bench_muon (int argc, char **argv) WB_NODISCARD;
wb_status wb_bench_generate (int argc, char **argv) WB_NODISCARD;
wb_status wb_bench_encode (int argc, char **argv) WB_NODISCARD;

enum { WB_BENCH_MOST_STEPS = 10000 };

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

/** Once threads are set: ranks, BLAS, global and micro-batch.  Collective over topo->world.  Errors: agreed. */
wb_status wb_bench_settle (wb_bench_t *b, const wb_topo_t *topo) WB_NODISCARD;

/** Median of n > 0 values, which are sorted. */
double wb_bench_median (double *x, int64_t n);
/** Print a report as one line and free it; NULL stands for a lack of memory.  Errors: WB_ENOMEM. */
wb_status wb_bench_print_json (json_t *object) WB_NODISCARD;

#endif
