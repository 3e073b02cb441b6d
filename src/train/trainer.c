/* The trainer: everything a rank trains with, allocated before the first step.
 *
 * All that can fail happens in wb_trainer_new(), which is collective and gives the same status on every rank; a step
 * (step.c) allocates nothing.
 *
 * Not here: which options work (batch.c), and how much memory they take (memory_estimate.c). */
#include "config.h"

#include <string.h>

#include "train/train_priv.h"

/* ---- new --------------------------------------------------------------------------------------------------------- */

/* The whole block, a segment for each parameter. */
static wb_status new_block (wb_trainer_t *t) {
    struct wb_trainer_impl *impl = t->impl;
    impl->block = wb_calloc ((size_t) t->params->n, sizeof *impl->block);
    if (impl->block == NULL) return WB_NOMEM ("the list of parameters");
    for (int i = 0; i < t->params->n; i++) {
        const wb_param_t *p = &t->params->list[i];
        if (p->offset >= 0)
            impl->block[impl->nblock++] = (wb_segment_t){.param = p, .count = wb_param_own (p), .flat = p->offset};
    }
    return WB_OK;
}

/* Tables, which need no group: parameters and schedules.  Validation fills the pipeline with micro-batches where a step
 * has enough of them on every data rank, and all take part alike. */
static wb_status new_tables (wb_trainer_t *t, wb_stage_options_t *so) {
    struct wb_trainer_impl *impl = t->impl;
    const wb_layout_t *lo = &t->layout;
    WB_TRY (wb_params_new_tuned (&t->params, &t->o.size, lo, &t->o.tuning));
    WB_TRY (wb_trainer_schedule (&impl->schedule, so, &t->o, lo));
    wb_layout_t last = *lo; /* the data rank with the fewest */
    last.dp_rank = lo->dp - 1;
    const int fewest = wb_step_micro_batches (&t->o, &last);
    impl->evaluation_micros = fewest >= lo->pp ? lo->pp : fewest;
    WB_TRY (wb_schedule_new (&impl->evaluation, t->o.schedule, lo->pp, lo->pp_rank, lo->chunks, impl->evaluation_micros,
                             WB_SCHEDULE_FORWARD));
    return new_block (t);
}

/* The updated segment that holds s. */
static const wb_segment_t *updated_around (const struct wb_trainer_impl *impl, const wb_segment_t *s) {
    for (int i = 0; i < impl->nupdated; i++) {
        const wb_segment_t *u = &impl->updated[i];
        if (u->flat <= s->flat && s->flat + s->count <= u->flat + u->count) return u;
    }
    WB_ASSERT (!"what is owned and learns is updated");
    return NULL;
}

/* Places in the optimizer's states.  Parameters that have both arrays come first, so that one place in a segment holds
 * for both. */
static wb_status new_segments (wb_trainer_t *t) {
    struct wb_trainer_impl *impl = t->impl;
    const wb_optim_kind kind = t->o.optim.kind;
    const wb_segment_t *owned = wb_gradsync_owned (impl->sync, &impl->nowned),
                       *updated = wb_gradsync_updated (impl->sync, &impl->nupdated);
    impl->owned = wb_calloc ((size_t) impl->nowned + 1, sizeof *impl->owned);
    impl->updated = wb_calloc ((size_t) impl->nupdated + 1, sizeof *impl->updated);
    if (impl->owned == NULL || impl->updated == NULL) return WB_NOMEM ("the optimizer's tables");
    memcpy (impl->owned, owned, (size_t) impl->nowned * sizeof *owned);
    memcpy (impl->updated, updated, (size_t) impl->nupdated * sizeof *updated);
    int64_t end = 0;
    for (int last = 1; last >= 0; last--) { /* the last array that a parameter has a place in */
        for (int i = 0; i < impl->nupdated; i++) {
            wb_segment_t *s = &impl->updated[i];
            if (wb_optim_has_state (kind, 1, s->param) != (last == 1)) continue;
            s->state = end;
            end += (s->count + 15) / 16 * 16;
        }
        t->state_floats[last] = last < wb_optim_states (kind) ? end : 0;
    }
    for (int i = 0; i < impl->nowned; i++) {
        if (impl->owned[i].param->frozen) continue;
        const wb_segment_t *u = updated_around (impl, &impl->owned[i]);
        impl->owned[i].state = u->state + (impl->owned[i].flat - u->flat);
    }
    return WB_OK;
}

static wb_status new_memory (wb_trainer_t *t) {
    struct wb_trainer_impl *impl = t->impl;
    const size_t block = wb_align ((size_t) t->params->own * sizeof (float));
    const size_t grads = wb_align ((size_t) (t->params->own - t->params->fixed) * sizeof (float));
    size_t state[2];
    for (int i = 0; i < 2; i++) state[i] = wb_align ((size_t) t->state_floats[i] * sizeof (float));
    WB_TRY (wb_arena_new (&impl->param_arena, "parameters", block + grads + state[0] + state[1]));
    t->weights = wb_arena_alloc (impl->param_arena, block);
    t->grads = wb_arena_alloc (impl->param_arena, grads);
    for (int i = 0; i < wb_optim_states (t->o.optim.kind); i++)
        t->state[i] = wb_arena_alloc (impl->param_arena, state[i]);
    wb_arena_seal (impl->param_arena);

    wb_arena_t count = wb_arena_counting ();
    wb_batch_carve (&impl->batch, &count, &t->o, t->micros);
    WB_TRY (wb_arena_new (&impl->batch_arena, "batch", wb_arena_used (&count)));
    wb_batch_carve (&impl->batch, impl->batch_arena, &t->o, t->micros);
    wb_arena_seal (impl->batch_arena);
    return WB_OK;
}

/* Where an optimizer does not begin from zeros. */
static void init_state (wb_trainer_t *t) {
    const float initial = t->impl->optimizer->initial;
    for (int i = 0; i < 2 && initial != 0; i++)
        for (int64_t j = 0; j < t->state_floats[i]; j++) t->state[i][j] = initial;
}

static wb_status new_pipe (wb_trainer_t *t) {
    struct wb_trainer_impl *impl = t->impl;
    int slots = 0;
    for (int c = 0; c < t->layout.chunks; c++)
        if (impl->schedule->slots[c] > slots) slots = impl->schedule->slots[c];
    return wb_pipe_init (&impl->pipe, t->topo, impl->stage, wb_stage_rows (impl->stage) * t->o.size.C, t->layout.chunks,
                         slots);
}

/* The stage's hooks. */
static void poll (void *ctx) {
    struct wb_trainer_impl *impl = ctx;
    wb_gradsync_poll (impl->sync);
    wb_pipe_poll (&impl->pipe);
}

static void need (void *ctx, int64_t begin, int64_t end) {
    struct wb_trainer_impl *impl = ctx;
    wb_gradsync_gather_wait (impl->sync, begin, end);
}

static void final (void *ctx, int64_t begin) {
    struct wb_trainer_impl *impl = ctx;
    wb_gradsync_final (impl->sync, begin);
}

static wb_status fill (wb_trainer_t *t) {
    struct wb_trainer_impl *impl = t->impl;
    wb_comm_t *world = t->topo->world;
    wb_stage_options_t so;

    WB_TRY (wb_agree (world, new_tables (t, &so)));
    const wb_matrix_optimizer_t *matrices = impl->optimizer->matrices;
    if (matrices != NULL) WB_TRY (matrices->new (&impl->matrices, t->topo, &t->o, t->kern, t->params));
    WB_TRY (wb_gradsync_new (&impl->sync, t->topo, t->params, t->kern, t->o.bucket_floats,
                             t->o.zero && t->topo->dp > 1 /* one rank has the whole */, t->o.sequence, t->o.wire,
                             matrices != NULL ? matrices->buckets (impl->matrices) : NULL));
    so.hooks = (wb_stage_hooks_t){poll, need, final, impl};
    WB_TRY (wb_agree (world, new_segments (t)));
    WB_TRY (wb_agree (world, new_memory (t)));
    if (matrices != NULL) WB_TRY (wb_agree (world, matrices->segments (impl->matrices, impl->updated, impl->nupdated)));
    WB_TRY (wb_agree (world,
                      wb_stage_new (&impl->stage, &t->o.size, &t->layout, t->topo->tensor, t->params, t->kern, &so)));
    WB_TRY (wb_agree (world, new_pipe (t)));
    wb_ring_warn (world); /* all rings are made */
    wb_params_init (t->params, t->weights, t->o.seed);
    init_state (t);
    return WB_OK;
}

/* This rank's own answer. */
static wb_status check_precision (const wb_step_options_t *o) {
    if (o->precision != WB_PRECISION_BF16 || wb_bf16_unit_get () != WB_BF16_PLAIN) return WB_OK;
    return WB_FAIL (
        WB_EUSAGE,
        "train.precision = \"bf16\": %s on %s multiplies bf16 slower than fp32 (kernels %s, products by %s; "
        "fast are AMX, and AVX-512 BF16 through oneDNN): set it to \"fp32\", or to \"bf16-anywhere\" for "
        "the same numbers, slowly",
        wb_cpu_name (), wb_comm_host (), wb_isa_name (wb_cpu_isa ()), wb_gemm_library_name (wb_gemm_library_get ()));
}

wb_status wb_trainer_new (wb_trainer_t **out, const wb_topo_t *topo, const wb_step_options_t *o) {
    wb_layout_t lo;
    *out = NULL;
    WB_TRY (wb_agree (topo->world, wb_trainer_layout (&lo, o, topo->dp, topo->pp, topo->tp)));
    WB_TRY (wb_agree (topo->world, check_precision (o)));
    lo.dp_rank = topo->dp_rank;
    lo.pp_rank = topo->pp_rank;
    lo.tp_rank = topo->tp_rank;
    WB_TRY (wb_trainer_check_memory (topo, o, &lo));
    wb_trainer_t *t = wb_calloc (1, sizeof *t);
    if (t != NULL) t->impl = wb_calloc (1, sizeof *t->impl);
    wb_status status = wb_agree (topo->world, t != NULL && t->impl != NULL ? WB_OK : WB_NOMEM ("the trainer"));
    if (status == WB_OK) {
        t->topo = topo;
        t->layout = lo;
        t->o = *o;
        t->impl->optimizer = wb_optimizer_of (o->optim.kind);
        t->kern = wb_kern_get (wb_cpu_isa ());
        t->share = wb_split_count (o->global_batch, lo.dp, lo.dp_rank);
        t->first = wb_split_first (o->global_batch, lo.dp, lo.dp_rank);
        t->micros = wb_step_micro_batches (o, &lo);
        status = fill (t);
    }
    if (status != WB_OK) {
        wb_trainer_destroy (t);
        return status;
    }
    *out = t;
    return WB_OK;
}

void wb_trainer_destroy (wb_trainer_t *t) {
    if (t == NULL) return;
    struct wb_trainer_impl *impl = t->impl;
    if (impl != NULL) {
        wb_pipe_fini (&impl->pipe);
        wb_stage_destroy (impl->stage);
        wb_gradsync_destroy (impl->sync);
        if (impl->matrices != NULL) impl->optimizer->matrices->destroy (impl->matrices);
        wb_schedule_destroy (impl->schedule);
        wb_schedule_destroy (impl->evaluation);
        wb_arena_destroy (impl->param_arena);
        wb_arena_destroy (impl->batch_arena);
        wb_free (impl->block);
        wb_free (impl->owned);
        wb_free (impl->updated);
    }
    wb_params_destroy (t->params);
    wb_free (impl);
    wb_free (t);
}

/* ---- what others ask for ----------------------------------------------------------------------------------------- */

float *wb_trainer_weights (wb_trainer_t *t) {
    wb_gradsync_gather_end (t->impl->sync);
    return t->weights;
}

const wb_segment_t *wb_trainer_owned (const wb_trainer_t *t, int *n) {
    *n = t->impl->nowned;
    return t->impl->owned;
}

const wb_segment_t *wb_trainer_updated (const wb_trainer_t *t, int *n) {
    *n = t->impl->nupdated;
    return t->impl->updated;
}

const wb_segment_t *wb_trainer_block (const wb_trainer_t *t, int *n) {
    *n = t->impl->nblock;
    return t->impl->block;
}

const char *wb_trainer_muon (const wb_trainer_t *t) {
    const struct wb_trainer_impl *impl = t->impl;
    return impl->matrices != NULL ? impl->optimizer->matrices->text (impl->matrices) : NULL;
}

const wb_profile_t *wb_trainer_profile (const wb_trainer_t *t) { return wb_stage_profile (t->impl->stage); }

int64_t wb_trainer_round (const wb_trainer_t *t) { return t->o.B * t->topo->dp * t->impl->evaluation_micros; }
