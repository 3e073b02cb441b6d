/* What a rank sends over the network in a step.
 *
 * Counted action by action in the schedule that the trainer would run, with the form of the ring (wb_ring_traffic):
 * gradients and weights round the data group, the tied embedding between first and last stage, the sums of the tensor
 * group, activations and their gradients between stages, and Muon's products on grids of ranks.
 *
 * Not counted: sums of a few floats (verdict, softmax, norms), messages of MPI itself, and what goes through shared
 * memory.  Muon's shares are those before anything is measured. */
#include "config.h"

#include "plan/plan_priv.h"

/* The form of a group's ring: nodes with the same number of its ranks each, or single ranks. */
typedef struct group {
    int nodes, locals;
} group_t;

/* Ranks first, first + stride, ..., `n` of them. */
static group_t group_of (int first, int stride, int n, int ranks_per_node) {
    int nodes = 0, locals = 0, before = -1, here = 0;
    bool even = true;
    for (int i = 0; i <= n; i++) {
        const int node = i < n ? (first + i * stride) / ranks_per_node : -2;
        if (node == before) {
            here++;
            continue;
        }
        if (nodes > 0) {
            if (nodes == 1) locals = here;
            even = even && here == locals;
        }
        nodes += i < n;
        before = node;
        here = 1;
    }
    return even ? (group_t){nodes, locals} : (group_t){n, 1};
}

/* Bytes of a reduce-scatter, or of an all-gather. */
static double pass (group_t g, double floats, wb_wire wire) {
    return wb_ring_traffic (g.nodes, g.locals, floats, wire);
}

static int rank_at (const wb_layout_t *lo, int dp_rank, int pp_rank, int tp_rank) {
    return (dp_rank * lo->pp + pp_rank) * lo->tp + tp_rank;
}

/* Gradients and weights, as gradsync.c moves them. */
static void data_traffic (wb_traffic_t *out, const wb_step_options_t *o, const wb_layout_t *lo,
                          const wb_params_t *params, int ranks_per_node) {
    const group_t data = group_of (rank_at (lo, 0, lo->pp_rank, lo->tp_rank), lo->pp * lo->tp, lo->dp, ranks_per_node);
    const bool tied = lo->pp > 1 && (wb_layout_has_embed (lo) || wb_layout_has_head (lo));
    const double own = (double) (params->own - params->fixed);
    const double wte = tied && params->fixed == 0 ? (double) wb_param_own (wb_params_get (params, WB_ROLE_WTE, 0)) : 0;
    out->gradients = pass (data, own, o->wire);
    if (o->zero)
        out->weights = pass (data, own, WB_WIRE_FP32);
    else
        out->gradients += pass (data, own - wte, o->wire) + pass (data, wte, WB_WIRE_FP32);
    if (wte > 0) {
        const group_t ends =
            group_of (rank_at (lo, lo->dp_rank, 0, lo->tp_rank), (lo->pp - 1) * lo->tp, 2, ranks_per_node);
        out->tied = 2 * pass (ends, wte / lo->dp, WB_WIRE_FP32);
    }
}

/* Reduce-scatters and all-gathers of an activation [B T, C] in a chunk's forward and backward pass; a sum is one of
 * each (block.c, stage.c). */
static int forward_passes (const wb_step_options_t *o, int layers, bool embed, bool head) {
    return 4 * layers + (o->sequence ? embed + 2 * head : 2 * embed + 2 * head);
}

static int backward_passes (const wb_step_options_t *o, int layers, bool embed) {
    static const int recomputed[][2] = {
        [WB_RECOMPUTE_NONE] = {0, 0}, [WB_RECOMPUTE_ATTENTION] = {0, 1}, [WB_RECOMPUTE_BLOCK] = {2, 3}};
    return layers * ((o->sequence ? 6 : 4) + recomputed[o->recompute][o->sequence]) + (o->sequence ? embed : 0);
}

static bool same_node (int a, int b, int ranks_per_node) { return a / ranks_per_node == b / ranks_per_node; }

/* What the actions of the schedule send. */
static wb_status step_traffic (wb_traffic_t *out, const wb_step_options_t *o, const wb_layout_t *lo,
                               int ranks_per_node) {
    const group_t tensor = group_of (rank_at (lo, lo->dp_rank, lo->pp_rank, 0), 1, lo->tp, ranks_per_node);
    const double floats = (double) (o->B * o->T * o->size.C), sum = pass (tensor, floats, WB_WIRE_FP32);
    const double message = 4 * floats / (o->sequence ? lo->tp : 1);
    const int me = rank_at (lo, lo->dp_rank, lo->pp_rank, lo->tp_rank);
    const int next = rank_at (lo, lo->dp_rank, (lo->pp_rank + 1) % lo->pp, lo->tp_rank);
    const int previous = rank_at (lo, lo->dp_rank, (lo->pp_rank + lo->pp - 1) % lo->pp, lo->tp_rank);
    wb_schedule_t *s;
    const int64_t first = wb_tuning_first (&o->tuning, &o->size);
    WB_TRY (wb_schedule_new (&s, o->schedule, lo->pp, lo->pp_rank, lo->chunks, wb_step_micro_batches (o, lo),
                             wb_layout_stage_of (lo, first)));
    for (int i = 0; i < s->n; i++) {
        const wb_action_t *a = &s->actions[i];
        const int stage = a->chunk * lo->pp + lo->pp_rank, layers = lo->first[stage + 1] - lo->first[stage];
        const bool embed = stage == 0, head = stage == lo->pp * lo->chunks - 1;
        const int learn = first > lo->first[stage] ? (int) (lo->first[stage + 1] - first) : layers;
        switch ((wb_op) a->op) {
        case WB_OP_FORWARD: out->tensor += sum * forward_passes (o, layers, embed, head); break;
        case WB_OP_BACKWARD: out->tensor += sum * backward_passes (o, learn, embed && first < 0); break;
        case WB_OP_SEND_FWD: out->pipeline += same_node (me, next, ranks_per_node) ? 0 : message; break;
        case WB_OP_SEND_BWD: out->pipeline += same_node (me, previous, ranks_per_node) ? 0 : message; break;
        case WB_OP_RECV_FWD:
        case WB_OP_RECV_BWD: break;
        }
    }
    wb_schedule_destroy (s);
    return WB_OK;
}

/* Matrices on a grid: each of an iteration's three products moves about the square of the smaller side. */
static double muon_traffic (const wb_step_options_t *o, const wb_layout_t *lo, const wb_params_t *params,
                            int ranks_per_node) {
    const int share = o->zero && o->optim.muon_layout == WB_MUON_GRID ? lo->dp : 1;
    const group_t data = group_of (rank_at (lo, 0, lo->pp_rank, 0), lo->pp * lo->tp, share, ranks_per_node);
    const group_t tensor = group_of (rank_at (lo, 0, lo->pp_rank, 0), 1, lo->tp, ranks_per_node);
    double floats = 0;
    if (o->optim.kind != WB_OPTIM_MUON || share * lo->tp == 1 || data.nodes * tensor.nodes == 1) return 0;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        const int parts = o->optim.muon_split_qkv ? p->parts : 1;
        const int64_t cols = p->cols / parts, side = p->rows < cols ? p->rows : cols;
        if (p->cls == WB_CLASS_MATRIX && p->offset >= 0 && !p->frozen)
            floats += 3.0 * o->optim.muon_steps * parts * (double) side * (double) side;
    }
    return 4 * floats * (o->zero ? (double) share / lo->dp : 1);
}

wb_status wb_plan_traffic (wb_traffic_t *out, const wb_step_options_t *o, const wb_layout_t *lo, int ranks_per_node) {
    wb_params_t *params;
    *out = (wb_traffic_t){0};
    WB_TRY (wb_params_new_tuned (&params, &o->size, lo, &o->tuning));
    data_traffic (out, o, lo, params, ranks_per_node);
    out->muon = muon_traffic (o, lo, params, ranks_per_node);
    wb_params_destroy (params);
    WB_TRY (step_traffic (out, o, lo, ranks_per_node));
    out->total = out->gradients + out->weights + out->tied + out->tensor + out->pipeline + out->muon;
    return WB_OK;
}
