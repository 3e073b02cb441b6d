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

    const size_t mpi =
        ranks > 1 ? 11 * MiB + (size_t) ranks * (MiB / 16) : 8 * MiB; /* of one: where mpirun starts it */
    return 8 * MiB + products + mpi + 8 * MiB * (size_t) threads;
}

wb_status wb_trainer_schedule (wb_schedule_t **out, wb_stage_options_t *so, const wb_step_options_t *o,
                               const wb_layout_t *lo) {
    const int micros = wb_step_micro_batches (o, lo);
    const int learns = wb_layout_stage_of (lo, wb_tuning_first (&o->tuning, &o->size));
    WB_TRY (wb_schedule_new (out, o->schedule, lo->pp, lo->pp_rank, lo->chunks, micros, learns));
    *so = (wb_stage_options_t){.B = o->B,
                               .T = o->T,
                               .chunks = lo->chunks,
                               .recompute = o->recompute,
                               .sequence = o->sequence,
                               .bf16 = o->precision != WB_PRECISION_FP32,
                               .tuning = o->tuning};
    memcpy (so->slots, (*out)->slots, sizeof so->slots);
    return WB_OK;
}

void wb_batch_carve (wb_batch_t *out, wb_arena_t *arena, const wb_step_options_t *o, int micros) {
    const size_t tokens = (size_t) (o->B * o->T);
    out->ids = wb_arena_alloc (arena, (size_t) (o->T + 1) * sizeof *out->ids);
    out->tokens = wb_arena_alloc (arena, (size_t) micros * tokens * sizeof *out->tokens);
    out->targets = wb_arena_alloc (arena, (size_t) micros * tokens * sizeof *out->targets);
    out->loss = wb_arena_alloc (arena, tokens * sizeof *out->loss);
    out->losses = wb_arena_alloc (arena, (size_t) micros * (size_t) o->B * sizeof *out->losses);
}

/* Floats of optimizer state of floats begin .. end - 1 of the block. */
static int64_t state_of_range (const wb_params_t *params, wb_optim_kind kind, int64_t begin, int64_t end) {
    int64_t n = 0;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if (p->offset < 0) continue;
        const int64_t a = p->offset > begin ? p->offset : begin,
                      b = p->offset + wb_param_own (p) < end ? p->offset + wb_param_own (p) : end;
        for (int state = 0; a < b && state < wb_optim_states (kind); state++)
            if (wb_optim_has_state (kind, state, p)) n += b - a;
    }
    return n;
}

/* Bytes of optimizer state of the rank at lo's place: its pieces of the planned buckets, and its share of the rest. */
static size_t state_bytes (const wb_step_options_t *o, const wb_params_t *params, const wb_layout_t *lo,
                           const wb_bucket_plan_t *plan) {
    int64_t floats = 0, end = params->own; /* what is frozen has no state */
    for (int i = 0; plan != NULL && i < plan->n; i++) {
        const int64_t *bounds = plan->bounds + i * (plan->dp + 1) + lo->dp_rank;
        floats += state_of_range (params, o->optim.kind, plan->begin[i] + bounds[0], plan->begin[i] + bounds[1]);
        end = plan->begin[i];
    }
    floats += state_of_range (params, o->optim.kind, 0, end) / (o->zero ? lo->dp : 1);
    return (size_t) floats * sizeof (float);
}

static void add_up (wb_memory_t *out, const wb_step_options_t *o, const wb_layout_t *lo, const wb_params_t *params,
                    const wb_stage_options_t *so, const wb_bucket_plan_t *plan) {
    const wb_matrix_optimizer_t *matrices = wb_optimizer_of (o->optim.kind)->matrices;
    wb_arena_t batch = wb_arena_counting ();
    wb_batch_t none;
    wb_batch_carve (&none, &batch, o, wb_step_micro_batches (o, lo));
    out->parameters = (size_t) params->own * sizeof (float);
    out->gradients = (size_t) (params->own - params->fixed) * sizeof (float);
    out->optimizer = state_bytes (o, params, lo, plan);
    wb_stage_bytes (&out->activations, &out->work, &o->size, lo, so);
    if (matrices != NULL) out->work += matrices->bytes (o, params, lo);
    out->work += wb_arena_used (&batch);
    out->communication = wb_gradsync_bytes (lo, params, o->bucket_floats, o->wire, plan);
    out->total = out->parameters + out->gradients + out->optimizer + out->activations + out->work + out->communication;
}

wb_status wb_trainer_memory (wb_memory_t *out, const wb_step_options_t *o, const wb_layout_t *lo) {
    const wb_matrix_optimizer_t *matrices = wb_optimizer_of (o->optim.kind)->matrices;
    wb_params_t *params;
    wb_schedule_t *schedule = NULL;
    wb_stage_options_t so;
    wb_bucket_plan_t *plan = NULL;
    *out = (wb_memory_t){0};
    WB_TRY (wb_params_new_tuned (&params, &o->size, lo, &o->tuning));
    wb_status status = wb_trainer_schedule (&schedule, &so, o, lo);
    if (status == WB_OK && matrices != NULL) status = matrices->plan (&plan, o, params, lo->dp);
    if (status == WB_OK) add_up (out, o, lo, params, &so, plan);
    wb_bucket_plan_destroy (plan);
    wb_schedule_destroy (schedule);
    wb_params_destroy (params);
    return status;
}

size_t wb_trainer_copy_bytes (const wb_memory_t *m, const wb_step_options_t *o, int dp) {
    const size_t weights = o->tuning.rank > 0 ? m->gradients : m->parameters; /* of LoRA only adapters are saved */
    return weights / (size_t) dp + m->optimizer / (size_t) (o->zero ? 1 : dp);
}

/* Weights and gradients alone are checked first: a model far too large would take long to plan. */
wb_status wb_trainer_check_memory (const wb_topo_t *topo, const wb_step_options_t *o, const wb_layout_t *lo) {
    const double each = wb_tuning_first (&o->tuning, &o->size) < 0 ? 8 : 4; /* what is frozen has no gradients */
    const double min = each * (double) wb_size_parameters (&o->size) / (lo->pp * lo->tp),
                 have = (double) wb_mem_free ();
    char a[32], b[32];
    wb_status status = WB_OK;
    if (min > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the model's weights%s alone want %s of a rank, %s has %s free: cut the model over more ranks "
            "(parallel.pipeline, parallel.tensor)",
            each > 4 ? " and gradients" : "", wb_format_bytes (a, min), wb_comm_host (), wb_format_bytes (b, have));
    WB_TRY (wb_agree (topo->world, status));

    wb_memory_t m = {0};
    WB_TRY (wb_agree (topo->world, wb_trainer_memory (&m, o, lo)));
    const int ranks = wb_comm_size (topo->node);
    double sum = (double) m.total;
    wb_comm_sum_f64 (topo->node, &sum, 1);
    if (sum > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the %d rank%s on %s want%s %s together, %s are free: use more nodes, fewer ranks on a node, a smaller "
            "parallel.micro_batch or parallel.recompute (wabun plan shows what each takes)",
            ranks, wb_plural (ranks), wb_comm_host (), ranks == 1 ? "s" : "", wb_format_bytes (a, sum),
            wb_format_bytes (b, have));
    return wb_agree (topo->world, status);
}
