/* A team of threads whose work is counted. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "bench/simulate.h"

void wb_sim_begin (wb_sim_t *s, int threads, double balance) {
    WB_ASSERT (threads > 0 && threads <= WB_SIM_THREADS);
    memset (s, 0, sizeof *s);
    s->threads = threads, s->balance = balance, s->times = 1;
}

void wb_sim_call (wb_sim_t *s, const char *name, double flop) {
    int i = 0;
    while (i < s->kernels && strcmp (s->of[i].name, name) != 0) i++;
    WB_ASSERT (i < WB_SIM_KERNELS);
    if (i == s->kernels) s->of[s->kernels++] = (wb_sim_kernel_t){.name = name};
    s->now = &s->of[i];
    s->now->calls += s->times;
    s->now->flop += s->times * flop;
}

double wb_sim_cost (const wb_sim_t *s, double flop, double bytes) { return fmax (flop, s->balance * bytes); }

void wb_sim_serial (wb_sim_t *s, double work) {
    s->now->work += s->times * work;
    s->now->serial += s->times * work * (s->threads - 1);
}

void wb_sim_give (wb_sim_t *s, int64_t thread, double work) {
    WB_ASSERT (thread >= 0 && thread < s->threads);
    s->load[thread] += work;
}

void wb_sim_barrier (wb_sim_t *s) {
    double most = 0, sum = 0;
    for (int i = 0; i < s->threads; i++) most = fmax (most, s->load[i]), sum += s->load[i];
    memset (s->load, 0, (size_t) s->threads * sizeof *s->load);
    s->now->work += s->times * sum;
    s->now->uneven += s->times * (most * s->threads - sum);
    s->barriers += s->times;
}

void wb_sim_static (wb_sim_t *s, bool parallel, int64_t items, double each) {
    if (!parallel) {
        wb_sim_serial (s, (double) items * each);
        return;
    }
    for (int i = 0; i < s->threads; i++)
        wb_sim_give (s, i, (double) (items / s->threads + (i < items % s->threads ? 1 : 0)) * each);
    wb_sim_barrier (s);
}

void wb_sim_take (wb_sim_t *s, double work) {
    int least = 0;
    for (int i = 1; i < s->threads; i++)
        if (s->load[i] < s->load[least]) least = i;
    s->load[least] += work;
}

wb_sim_kernel_t wb_sim_sum (const wb_sim_t *s) {
    wb_sim_kernel_t sum = {.name = "all"};
    for (const wb_sim_kernel_t *k = s->of; k < s->of + s->kernels; k++) {
        sum.calls += k->calls, sum.flop += k->flop, sum.work += k->work;
        sum.serial += k->serial, sum.uneven += k->uneven;
    }
    return sum;
}

double wb_sim_time (const wb_sim_t *s) {
    const wb_sim_kernel_t sum = wb_sim_sum (s);
    return (sum.work + sum.serial + sum.uneven) / s->threads;
}
