/* Which batches and layouts work, and which micro-batch is best: decided before anything is allocated.
 *
 * Functions of their arguments only, so that every rank, and the planner without ranks, comes to the same answer.
 *
 * Not here: how layers and heads are cut (parallel/layout.c), and bytes (memory_estimate.c). */
#include "config.h"

#include "train/train_priv.h"

static wb_status check_batch (const wb_step_options_t *o, int dp, int pp) {
    if (o->B < 1 || o->global_batch < 1)
        return WB_FAIL (WB_EUSAGE, "parallel.micro_batch = %lld and train.global_batch = %lld must be at least 1",
                        (long long) o->B, (long long) o->global_batch);
    if (o->T < 1 || o->T > o->size.T)
        return WB_FAIL (WB_EUSAGE, "train.sequence_length = %lld must lie between 1 and the model's context of %lld",
                        (long long) o->T, (long long) o->size.T);
    const int64_t unit = o->B * dp, below = o->global_batch / unit * unit;
    if (o->global_batch % unit != 0) {
        char less[64] = "";
        if (below > 0) snprintf (less, sizeof less, "%lld or ", (long long) below);
        return WB_FAIL (WB_EUSAGE,
                        "train.global_batch = %lld cannot be divided evenly among %d data ranks in micro-batches of "
                        "%lld: set it to %s%lld, or use another number of ranks",
                        (long long) o->global_batch, dp, (long long) o->B, less, (long long) (below + unit));
    }
    const int micros = wb_step_micro_batches (o, dp);
    if (o->chunks > 1 && micros % pp != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.interleave = %d wants the micro-batches of a rank (%d) to be a multiple of "
                        "parallel.pipeline (%d): set train.global_batch to a multiple of %lld",
                        o->chunks, micros, pp, (long long) (unit * pp));
    return WB_OK;
}

wb_status wb_trainer_layout (wb_layout_t *out, const wb_step_options_t *o, int dp, int pp, int tp) {
    const wb_size_t *s = &o->size;
    WB_TRY (wb_size_check (s));
    const double layer = 12.0 * (double) s->C + (double) o->T, head = (double) s->V / layer;
    WB_TRY (wb_layout_init (out, dp, pp, tp, o->chunks, s->L, s->H, 0.05, head));
    WB_TRY (check_batch (o, dp, pp));
    if (s->V < tp)
        return WB_FAIL (WB_EUSAGE, "parallel.tensor = %d is more than the vocabulary of %lld", tp, (long long) s->V);
    if (o->sequence && o->B * o->T % tp != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.sequence_parallel wants the %lld positions of a micro-batch to be a multiple of "
                        "parallel.tensor = %d",
                        (long long) (o->B * o->T), tp);
    const wb_matrix_optimizer_t *matrices = wb_optimizer_of (o->optim.kind)->matrices;
    return matrices != NULL ? matrices->check (&o->optim, o->zero, dp, tp) : WB_OK;
}

/* Does a micro-batch of o->B sequences leave the rank within its memory? */
static wb_status fits (bool *out, const wb_step_options_t *o, int dp, int pp, int tp, int threads, double bytes) {
    const double GiB = (double) (1 << 30);
    wb_layout_t lo;
    wb_memory_t m;
    WB_TRY (wb_trainer_layout (&lo, o, dp, pp, tp));
    WB_TRY (wb_trainer_memory (&m, o, &lo));
    *out = (double) m.activations <= 1.5 * GiB * threads && (double) m.total <= bytes;
    return WB_OK;
}

wb_status wb_trainer_choose_micro_batch (wb_step_options_t *o, int dp, int pp, int tp, int threads, double bytes) {
    if (o->B != 0) return WB_OK;
    wb_layout_t lo;
    o->B = 1;
    WB_TRY (wb_trainer_layout (&lo, o, dp, pp, tp));
    if (pp > 1) return WB_OK;
    const int64_t positions = 2048 * (int64_t) threads < 8192 ? 2048 * (int64_t) threads : 8192;
    const int64_t share = o->global_batch / dp, max = positions / o->T < share ? positions / o->T : share;
    for (o->B = max; o->B > 1; o->B--) {
        bool good = false;
        if (share % o->B == 0) WB_TRY (fits (&good, o, dp, pp, tp, threads, bytes));
        if (good) return WB_OK;
    }
    o->B = 1;
    return WB_OK;
}

wb_status wb_trainer_choose_micro_batch_all (wb_step_options_t *o, const wb_topo_t *topo, int threads) {
    double min[2] = {threads, (double) wb_mem_free () / wb_comm_size (topo->node)};
    wb_comm_min_f64 (topo->world, min, 2);
    return wb_agree (topo->world,
                     wb_trainer_choose_micro_batch (o, topo->dp, topo->pp, topo->tp, (int) min[0], min[1]));
}
