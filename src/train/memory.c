/* What a rank will hold, in bytes, before anything is allocated: asked by the planner for ranks that do not exist, and
 * by the trainer before it begins.
 *
 * The sizes come from the functions that the parts allocate by.  Not here: the memory of data files, which are mapped.
 */
#include "config.h"

#include <string.h>

#include "train/train_priv.h"

/* Megabytes as measured on x86-64 with Open MPI 4.1, OpenBLAS 0.3.21 and oneDNN 2.6, whose copies of panels grow with
 * the matrices; what MPI holds for each peer is a high guess. */
size_t wb_trainer_overhead (int ranks, int threads, int64_t width) {
    const size_t MiB = (size_t) 1 << 20;
    const size_t products = wb_gemm_library_get () == WB_GEMM_ONEDNN ? 3 * MiB + (size_t) width * (MiB / 36) : 0;

    return 8 * MiB + products + (ranks > 1 ? 11 * MiB + (size_t) ranks * (MiB / 16) : 0) + 8 * MiB * (size_t) threads;
}

wb_status wb_trainer_schedule (wb_schedule_t **out, wb_stage_options_t *so, const wb_step_options_t *o,
                               const wb_layout_t *lo) {
    const int micros = wb_step_micro_batches (o, lo->dp);
    WB_TRY (wb_schedule_new (out, o->schedule, lo->pp, lo->pp_rank, lo->chunks, micros, false));
    *so = (wb_stage_options_t){
        .B = o->B, .T = o->T, .chunks = lo->chunks, .recompute = o->recompute, .sequence = o->sequence};
    memcpy (so->slots, (*out)->slots, sizeof so->slots);
    return WB_OK;
}

size_t wb_trainer_batch_bytes (const wb_step_options_t *o, int micros) {
    const size_t tokens = (size_t) (o->B * o->T);
    return wb_align ((size_t) (o->T + 1) * 4) + 2 * wb_align ((size_t) micros * tokens * 4) + wb_align (tokens * 4);
}

/* Floats of optimizer state array i for the whole block. */
static int64_t state_of_block (const wb_params_t *params, wb_optim_kind kind, int i) {
    int64_t n = 0;
    for (int j = 0; j < params->n; j++)
        if (wb_optim_has_state (kind, i, &params->list[j])) n += (wb_param_own (&params->list[j]) + 15) / 16 * 16;
    return n;
}

/* Bytes of optimizer state of the rank at lo's place. */
static size_t state_bytes (const wb_step_options_t *o, const wb_params_t *params, const wb_layout_t *lo,
                           const wb_deal_t *deal) {
    int64_t floats = 0, end = params->own;

    if (deal == NULL) {
        for (int i = 0; i < 2; i++) floats += state_of_block (params, o->optim.kind, i) / (o->zero ? lo->dp : 1);
        return (size_t) floats * sizeof (float);
    }
    for (int i = 0; i < deal->n; end = deal->begin[i++]) {
        const int64_t *bounds = deal->bounds + i * (deal->dp + 1);
        const wb_param_t *p = params->list;

        while (p->offset != deal->begin[i]) p++;
        floats += bounds[lo->dp_rank + 1] - bounds[lo->dp_rank];
        if (bounds[lo->dp_rank + 1] == end - p->offset &&
            bounds[lo->dp_rank] < bounds[lo->dp_rank + 1]) /* vectors, with two states */
            floats += end - p->offset - wb_param_own (p);
    }
    return (size_t) (floats + 2 * end / lo->dp) * sizeof (float);
}

wb_status wb_trainer_memory (wb_memory_t *out, const wb_step_options_t *o, const wb_layout_t *lo) {
    wb_params_t *params;
    wb_schedule_t *schedule = NULL;
    wb_stage_options_t so;
    wb_status status;
    wb_deal_t *deal = NULL;
    int share[4];
    size_t work;

    memset (out, 0, sizeof *out);
    WB_TRY (wb_params_new (&params, &o->size, lo));
    status = wb_trainer_schedule (&schedule, &so, o, lo);
    if (status == WB_OK && o->optim.kind == WB_OPTIM_MUON && o->zero && lo->dp > 1) {
        wb_muon_default_share (share, &o->optim, o->zero, lo->dp);
        status = wb_deal_new (&deal, &o->optim, params, lo->dp, share);
    }
    if (status == WB_OK) {
        size_t block = (size_t) params->own * sizeof (float);
        out->parameters = block;
        out->gradients = block;
        out->optimizer = state_bytes (o, params, lo, deal);
        wb_stage_bytes (&out->activations, &work, &o->size, lo, &so);
        if (o->optim.kind == WB_OPTIM_MUON) work += wb_muon_bytes (&o->optim, params, lo, o->zero);
        out->work = work + wb_trainer_batch_bytes (o, wb_step_micro_batches (o, lo->dp));
        out->communication = wb_gradsync_bytes (lo, params, o->bucket_floats, o->wire, deal);
        out->total =
            out->parameters + out->gradients + out->optimizer + out->activations + out->work + out->communication;
    }
    wb_deal_destroy (deal);
    wb_schedule_destroy (schedule);
    wb_params_destroy (params);
    return status;
}

/* Weights and gradients alone are checked first: a model far too large would take long to plan. */
wb_status wb_trainer_check_memory (const wb_topo_t *topo, const wb_step_options_t *o, const wb_layout_t *lo) {
    const double min = 8.0 * (double) wb_size_parameters (&o->size) / (lo->pp * lo->tp), have = (double) wb_mem_free ();
    char a[32], b[32];
    wb_status status = WB_OK;
    if (min > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the model's weights and gradients alone want %s of a rank, %s has %s free: cut the model over more ranks "
            "(parallel.pipeline, parallel.tensor)",
            wb_format_bytes (a, min), wb_comm_host (topo->world), wb_format_bytes (b, have));
    WB_TRY (wb_agree (topo->world, status));

    wb_memory_t m = {0};
    WB_TRY (wb_agree (topo->world, wb_trainer_memory (&m, o, lo)));
    double sum = (double) m.total;
    wb_comm_sum_f64 (topo->node, &sum, 1);
    if (sum > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the %d ranks on %s want %s together, %s are free: use more nodes, fewer ranks on a node, a smaller "
            "parallel.micro_batch or parallel.recompute (wabun plan shows what each takes)",
            wb_comm_size (topo->node), wb_comm_host (topo->world), wb_format_bytes (a, sum), wb_format_bytes (b, have));
    return wb_agree (topo->world, status);
}
