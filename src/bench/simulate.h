/* bench: a team of threads that there need not be, whose work is counted instead of done.
 *
 * Work has one unit, flop: a byte of memory counts as `balance` of them.  All threads are equally fast, begin a region
 * together and end it with the last of them.  Starting threads and barriers cost nothing here; they are counted. */
#ifndef WABUN_BENCH_SIMULATE_H
#define WABUN_BENCH_SIMULATE_H

#include "bench/bench_priv.h"

enum { WB_SIM_THREADS = 1024, WB_SIM_KERNELS = 48 };

/* What a kernel adds up to.  serial, uneven: work that the other threads could have done while one alone worked, and
 * while the last ones of a region did. */
typedef struct wb_sim_kernel {
    const char *name;
    double calls, flop, work, serial, uneven;
} wb_sim_kernel_t;

typedef struct wb_sim {
    int threads;
    double balance;  /* flop that count as much as a byte */
    double times;    /* so often what follows happens */
    double barriers; /* regions, and barriers in them */
    wb_sim_kernel_t of[WB_SIM_KERNELS], *now;
    int kernels;
    double load[WB_SIM_THREADS]; /* since the last barrier */
} wb_sim_t;

void wb_sim_begin (wb_sim_t *s, int threads, double balance);
/* What follows is a call of this kernel (a constant name), which does so many multiplications and additions. */
void wb_sim_call (wb_sim_t *s, const char *name, double flop);
/* The larger of both limits. */
double wb_sim_cost (const wb_sim_t *s, double flop, double bytes);
/* One thread alone. */
void wb_sim_serial (wb_sim_t *s, double work);
/* A thread of a region; then the barrier of all. */
void wb_sim_give (wb_sim_t *s, int64_t thread, double work);
void wb_sim_barrier (wb_sim_t *s);
/* A region of `items` equal things by schedule (static); serial where `parallel` is false. */
void wb_sim_static (wb_sim_t *s, bool parallel, int64_t items, double each);
/* The next task of a region by schedule (dynamic): the thread with the least work so far takes it. */
void wb_sim_take (wb_sim_t *s, double work);
/* Sums over kernels; time: work of the busiest, region by region. */
wb_sim_kernel_t wb_sim_sum (const wb_sim_t *s);
double wb_sim_time (const wb_sim_t *s);

/* ---- what is counted (threads_work.c) ---------------------------------------------------------------------------- */

/* A step of training: `batch` sequences, `at_once` of them at a time. */
void wb_sim_train (wb_sim_t *s, const wb_size_t *z, const wb_params_t *params, int64_t batch, int64_t at_once);
/* A step of inference: a token each for so many texts, `behind` tokens long. */
void wb_sim_infer (wb_sim_t *s, const wb_size_t *z, int64_t texts, int64_t behind);

#endif
