/* Which batches and layouts work, and which micro-batch is best: decided before anything is allocated.
 *
 * Functions of their arguments only, so that every rank, and the planner without ranks, comes to the same answer.
 *
 * Not here: how layers and heads are cut (parallel/layout.c), and bytes (memory_estimate.c). */
#include "config.h"

#include "train/train_priv.h"

int wb_step_micro_batches (const wb_step_options_t *o, const wb_layout_t *lo) {
    const int64_t share = wb_split_count (o->global_batch, lo->dp, lo->dp_rank), n = (share + o->B - 1) / o->B;
    return (int) (lo->chunks > 1 ? (n + lo->pp - 1) / lo->pp * lo->pp : n);
}

/* The micro-batches of a rank are places for sequences, and what has no sequence costs the same time.  Few may stay
 * empty; a batch that is too small for its ranks, its micro-batches or its interleaved stages is a mistake. */
static wb_status check_batch (const wb_step_options_t *o, int dp, int pp) {
    if (o->B < 1 || o->global_batch < 1)
        return WB_FAIL (WB_EUSAGE, "parallel.micro_batch = %lld and train.global_batch = %lld must be at least 1",
                        (long long) o->B, (long long) o->global_batch);
    if (o->T < 1 || o->T > o->size.T)
        return WB_FAIL (WB_EUSAGE, "train.sequence_length = %lld must lie between 1 and the model's context of %lld",
                        (long long) o->T, (long long) o->size.T);
    const int64_t share = wb_split_count (o->global_batch, dp, 0);
    if (o->global_batch < dp)
        return WB_FAIL (WB_EUSAGE,
                        "train.global_batch = %lld leaves some of %d data ranks without a sequence: set it to %d or "
                        "more, or use fewer ranks",
                        (long long) o->global_batch, dp, dp);
    if (o->B > share)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.micro_batch = %lld is more than the %lld of train.global_batch = %lld sequences that "
                        "one of %d data ranks has: set it to at most %lld",
                        (long long) o->B, (long long) share, (long long) o->global_batch, dp, (long long) share);
    const int64_t micros = (share + o->B - 1) / o->B;
    if (o->chunks > 1 && micros < pp)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.interleave = %d wants at least as many micro-batches of a data rank (%lld) as there "
                        "are stages (parallel.pipeline = %d): set train.global_batch to %lld or more",
                        o->chunks, (long long) micros, pp, (long long) (o->B * dp * pp));
    return WB_OK;
}

wb_status wb_trainer_layout (wb_layout_t *out, const wb_step_options_t *o, int dp, int pp, int tp) {
    const wb_size_t *s = &o->size;
    WB_TRY (wb_size_check (s));
    WB_TRY (wb_tuning_check (&o->tuning, s));
    if (o->tuning.rank > 0 && o->optim.kind == WB_OPTIM_MUON)
        return WB_FAIL (
            WB_EUSAGE,
            "finetune.lora_rank: adapters are no matrices for train.optimizer = \"muon\": set it to \"adamw\"");
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
    return matrices != NULL ? matrices->check (o, dp, tp) : WB_OK;
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
    const int64_t share = wb_split_count (o->global_batch, dp, 0);
    const int64_t max = positions / o->T < share ? positions / o->T : share;
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
