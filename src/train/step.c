/* One training step: the file to read first.
 *
 *   samples -> for each action of the schedule: receive / forward / send / receive / backward / send
 *           -> gradients summed over the data group, bucket by bucket, while the backward pass still runs
 *           -> verdict: {loss, tokens, |g|^2, bad, stop} over all ranks, the one agreement of a step
 *           -> clip, update the own pieces; weights go round the ring while the next step's forward pass runs
 *
 * All that can fail happens in wb_trainer_new(), which is collective and gives the same status on every rank.  A step
 * allocates nothing and checks nothing; what still may go wrong rides on the verdict, so that all ranks skip or stop at
 * the same step.
 *
 * Not here: what a run is made of besides steps (files, reports, checkpoints): cli/train.c. */
#include "config.h"

#include <math.h>
#include <string.h>
#include "wabun/train.h"

enum { TAG_FORWARD = 1, TAG_BACKWARD = 2 };

/* A message leaves from a slot's buffer; the slot may be used again once as many sends as `sent` says were waited for.
 */
typedef struct outbox {
    wb_link_t *link; /* NULL where there is no neighbour */
    int64_t begun, ended;
    int64_t *sent; /* [chunk * stride + slot]: number of the last send from there */
} outbox_t;

struct wb_trainer_impl {
    wb_stage_t *stage;
    wb_gradsync_t *sync;
    wb_schedule_t *schedule, *evaluation;
    int evaluation_micros;
    wb_muon_t *muon; /* NULL with other optimizers */
    wb_segment_t *block;
    int nblock;
    wb_segment_t *owned, *updated; /* gradsync's, with the places in our state */
    int nowned, nupdated;
    wb_arena_t *param, *batch;
    int32_t *ids, *tokens, *targets; /* [T + 1], [micros, B, T], [micros, B, T] */
    float *loss;                     /* [B, T] */
    int stride;                      /* most slots of a chunk */
    outbox_t forward, backward;
    wb_link_t *from_prev, *from_next;
};

/* ---- before: what would work, and how much memory it takes ------------------------------------------------------- */

static wb_status check_batch (const wb_step_options_t *o, int D, int P) {
    int64_t unit = o->B * D, below;

    if (o->B < 1 || o->global_batch < 1)
        return WB_FAIL (WB_EUSAGE, "parallel.micro_batch = %lld and train.global_batch = %lld must be at least 1",
                        (long long) o->B, (long long) o->global_batch);
    below = o->global_batch / unit * unit;
    if (o->T < 1 || o->T > o->size.T)
        return WB_FAIL (WB_EUSAGE, "train.sequence_length = %lld must lie between 1 and the model's context of %lld",
                        (long long) o->T, (long long) o->size.T);
    if (o->global_batch % unit != 0) {
        char less[64] = "";
        if (below > 0) snprintf (less, sizeof less, "%lld or ", (long long) below);
        return WB_FAIL (WB_EUSAGE,
                        "train.global_batch = %lld cannot be dealt evenly to %d data ranks in micro-batches of %lld: "
                        "set it to %s%lld, "
                        "or use another number of ranks",
                        (long long) o->global_batch, D, (long long) o->B, less, (long long) (below + unit));
    }
    if (o->chunks > 1 && o->global_batch / unit % P != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.interleave = %d wants the micro-batches of a rank (%lld) to be a multiple of "
                        "parallel.pipeline (%d): set "
                        "train.global_batch to a multiple of %lld",
                        o->chunks, (long long) (o->global_batch / unit), P, (long long) (unit * P));
    return WB_OK;
}

wb_status wb_trainer_layout (wb_layout_t *out, const wb_step_options_t *o, int D, int P, int T) {
    const wb_size_t *s = &o->size;
    double layer = 12.0 * (double) s->C + (double) o->T, head = (double) s->V / layer;

    WB_TRY (wb_size_check (s));
    WB_TRY (wb_layout_init (out, D, P, T, o->chunks, s->L, s->H, 0.05, head));
    WB_TRY (check_batch (o, D, P));
    if (s->V < T)
        return WB_FAIL (WB_EUSAGE, "parallel.tensor = %d is more than the vocabulary of %lld", T, (long long) s->V);
    if (o->sequence && o->B * o->T % T != 0)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.sequence_parallel wants the %lld positions of a micro-batch to be a multiple of "
                        "parallel.tensor = %d",
                        (long long) (o->B * o->T), T);
    return o->optim.kind == WB_OPTIM_MUON ? wb_muon_check (&o->optim, o->zero, D, T) : WB_OK;
}

wb_status wb_trainer_settle (wb_step_options_t *o, int D, int P, int T, int threads, double room) {
    const double GiB = (double) (1 << 30);
    int64_t share = o->global_batch / D, most;
    wb_layout_t lo;
    wb_memory_t m;

    if (o->B != 0) return WB_OK;
    o->B = 1;
    WB_TRY (wb_trainer_layout (&lo, o, D, P, T));
    if (P > 1) return WB_OK;
    most = 2048 * (int64_t) threads < 8192 ? 2048 * (int64_t) threads : 8192;
    for (int64_t B = most / o->T < share ? most / o->T : share; B > 1; --B) {
        if (share % B != 0) continue;
        o->B = B;
        WB_TRY (wb_trainer_layout (&lo, o, D, P, T));
        WB_TRY (wb_trainer_memory (&m, o, &lo));
        if ((double) m.activations <= 1.5 * GiB * threads && (double) m.total <= room) return WB_OK;
    }
    o->B = 1;
    return WB_OK;
}

wb_status wb_trainer_settle_all (wb_step_options_t *o, const wb_topo_t *topo, int threads) {
    double least[2] = {threads, (double) wb_mem_free () / wb_comm_size (topo->node)};

    wb_comm_min_f64 (topo->world, least, 2);
    return wb_agree (topo->world, wb_trainer_settle (o, topo->dp, topo->pp, topo->tp, (int) least[0], least[1]));
}

/* Floats of optimizer state array i for the whole block. */
static int64_t state_of_block (const wb_params_t *params, wb_optim_kind kind, int i) {
    int64_t n = 0;

    for (int j = 0; j < params->n; ++j)
        if (wb_optim_has_state (kind, i, &params->list[j])) n += (wb_param_own (&params->list[j]) + 15) / 16 * 16;
    return n;
}

static wb_status new_schedule (wb_schedule_t **out, wb_stage_options_t *so, const wb_step_options_t *o,
                               const wb_layout_t *lo) {
    int micros = (int) (o->global_batch / (o->B * lo->dp));

    WB_TRY (wb_schedule_new (out, o->schedule, lo->pp, lo->pp_rank, lo->chunks, micros, false));
    memset (so, 0, sizeof *so);
    so->B = o->B;
    so->T = o->T;
    so->chunks = lo->chunks;
    memcpy (so->slots, (*out)->slots, sizeof so->slots);
    so->recompute = o->recompute;
    so->sequence = o->sequence;
    return WB_OK;
}

static size_t batch_bytes (const wb_step_options_t *o, int micros) {
    size_t tokens = (size_t) (o->B * o->T);

    return wb_align ((size_t) (o->T + 1) * 4) + 2 * wb_align ((size_t) micros * tokens * 4) + wb_align (tokens * 4);
}

/* Bytes of optimizer state of the rank at lo's place. */
static size_t state_bytes (const wb_step_options_t *o, const wb_params_t *params, const wb_layout_t *lo,
                           const wb_deal_t *deal) {
    int64_t floats = 0, end = params->own;

    if (deal == NULL) {
        for (int i = 0; i < 2; ++i) floats += state_of_block (params, o->optim.kind, i) / (o->zero ? lo->dp : 1);
        return (size_t) floats * sizeof (float);
    }
    for (int i = 0; i < deal->n; end = deal->begin[i++]) {
        const int64_t *bounds = deal->bounds + i * (deal->dp + 1);
        const wb_param_t *p = params->list;

        while (p->offset != deal->begin[i]) ++p;
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
    status = new_schedule (&schedule, &so, o, lo);
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
        out->work = work + batch_bytes (o, (int) (o->global_batch / (o->B * lo->dp)));
        out->communication = wb_gradsync_bytes (lo, params, o->bucket_floats, o->wire, deal);
        out->total =
            out->parameters + out->gradients + out->optimizer + out->activations + out->work + out->communication;
    }
    wb_deal_destroy (deal);
    wb_schedule_destroy (schedule);
    wb_params_destroy (params);
    return status;
}

/* ---- new and destroy --------------------------------------------------------------------------------------------- */

static wb_status new_outbox (outbox_t *box, wb_comm_t *pipe, int peer, int tag, int depth) {
    box->sent = wb_calloc ((size_t) depth, sizeof *box->sent);
    if (box->sent == NULL) return WB_NOMEM ("pipeline links");
    return wb_link_new (&box->link, pipe, peer, tag, depth);
}

static wb_status new_links (wb_trainer_t *t) {
    struct wb_trainer_impl *m = t->impl;
    wb_comm_t *pipe = t->topo->pipe;
    int P = t->topo->pp, p = t->topo->pp_rank, next = (p + 1) % P, prev = (p + P - 1) % P, depth;

    if (P == 1) return WB_OK;
    depth = t->layout.chunks * m->stride + 2;
    WB_TRY (new_outbox (&m->forward, pipe, next, TAG_FORWARD, depth));
    WB_TRY (new_outbox (&m->backward, pipe, prev, TAG_BACKWARD, depth));
    WB_TRY (wb_link_new (&m->from_prev, pipe, prev, TAG_FORWARD, depth));
    return wb_link_new (&m->from_next, pipe, next, TAG_BACKWARD, depth);
}

/* Local part: tables and memory. */
static wb_status new_local (wb_trainer_t *t, wb_stage_options_t *so) {
    struct wb_trainer_impl *m = t->impl;
    int P = t->layout.pp;

    WB_TRY (wb_params_new (&t->params, &t->o.size, &t->layout));
    WB_TRY (new_schedule (&m->schedule, so, &t->o, &t->layout));
    for (int c = 0; c < t->layout.chunks; ++c)
        if (so->slots[c] > m->stride) m->stride = so->slots[c];
    /* validation: a pipeline full of micro-batches when there are enough of them */
    m->evaluation_micros = t->micros >= P ? P : t->micros;
    WB_TRY (wb_schedule_new (&m->evaluation, t->o.schedule, P, t->layout.pp_rank, t->layout.chunks,
                             m->evaluation_micros, true));
    m->block = wb_calloc ((size_t) t->params->n, sizeof *m->block);
    if (m->block == NULL) return WB_NOMEM ("the list of parameters");
    for (int i = 0; i < t->params->n; ++i) {
        const wb_param_t *p = &t->params->list[i];
        if (p->offset < 0) continue;
        m->block[m->nblock++] = (wb_segment_t){p, 0, wb_param_own (p), p->offset, p->offset};
    }
    return WB_OK;
}

/* The optimizer's states hold what is updated here, in that order; parameters of which an array holds nothing come
 * last, so that one place in a segment does for both. */
static wb_status new_segments (wb_trainer_t *t) {
    struct wb_trainer_impl *m = t->impl;
    wb_optim_kind kind = t->o.optim.kind;
    const wb_segment_t *owned = wb_gradsync_owned (m->sync, &m->nowned),
                       *updated = wb_gradsync_updated (m->sync, &m->nupdated);
    int64_t end = 0;

    m->owned = wb_calloc ((size_t) m->nowned + 1, sizeof *m->owned);
    m->updated = wb_calloc ((size_t) m->nupdated + 1, sizeof *m->updated);
    if (m->owned == NULL || m->updated == NULL) return WB_NOMEM ("the optimizer's tables");
    memcpy (m->owned, owned, (size_t) m->nowned * sizeof *owned);
    memcpy (m->updated, updated, (size_t) m->nupdated * sizeof *updated);
    for (int both = 1; both >= 0; --both) {
        for (int i = 0; i < m->nupdated; ++i) {
            wb_segment_t *s = &m->updated[i];
            if (wb_optim_has_state (kind, 1, s->param) != (both == 1)) continue;
            s->state = end;
            end += (s->count + 15) / 16 * 16;
        }
        t->state_floats[both] = end;
    }
    for (int i = 0; i < 2; ++i)
        if (i >= wb_optim_states (kind)) t->state_floats[i] = 0;
    for (int i = 0, j = 0; i < m->nowned; ++i) { /* each lies in one that is updated */
        wb_segment_t *s = &m->owned[i];
        for (int tries = 0;
             !(m->updated[j].flat <= s->flat && s->flat + s->count <= m->updated[j].flat + m->updated[j].count);
             ++tries) {
            WB_ASSERT (tries < m->nupdated);
            j = (j + 1) % m->nupdated;
        }
        s->state = m->updated[j].state + (s->flat - m->updated[j].flat);
    }
    return WB_OK;
}

static wb_status new_memory (wb_trainer_t *t) {
    struct wb_trainer_impl *m = t->impl;
    size_t block = wb_align ((size_t) t->params->own * sizeof (float)), tokens = (size_t) (t->o.B * t->o.T), state[2];

    for (int i = 0; i < 2; ++i) state[i] = wb_align ((size_t) t->state_floats[i] * sizeof (float));
    WB_TRY (wb_arena_new (&m->param, "parameters", 2 * block + state[0] + state[1]));
    t->weights = wb_arena_alloc (m->param, block);
    t->grads = wb_arena_alloc (m->param, block);
    for (int i = 0; i < wb_optim_states (t->o.optim.kind); ++i) t->state[i] = wb_arena_alloc (m->param, state[i]);
    WB_TRY (wb_arena_new (&m->batch, "batch", batch_bytes (&t->o, t->micros)));
    m->ids = wb_arena_alloc (m->batch, (size_t) (t->o.T + 1) * sizeof *m->ids);
    m->tokens = wb_arena_alloc (m->batch, (size_t) t->micros * tokens * sizeof *m->tokens);
    m->targets = wb_arena_alloc (m->batch, (size_t) t->micros * tokens * sizeof *m->targets);
    m->loss = wb_arena_alloc (m->batch, tokens * sizeof *m->loss);
    wb_arena_seal (m->param);
    wb_arena_seal (m->batch);
    if (t->o.optim.kind == WB_OPTIM_ADAGRAD)
        for (int64_t i = 0; i < t->state_floats[0]; ++i) t->state[0][i] = 0.1f;
    return WB_OK;
}

/* Let messages and gradients move; a wb_poll_fn. */
static void poll (void *ctx) {
    struct wb_trainer_impl *m = ctx;

    wb_gradsync_poll (m->sync);
    if (m->from_prev == NULL) return;
    wb_link_poll (m->from_prev);
    wb_link_poll (m->from_next);
    wb_link_poll (m->forward.link);
    wb_link_poll (m->backward.link);
}

static wb_status fill (wb_trainer_t *t) {
    struct wb_trainer_impl *m = t->impl;
    wb_comm_t *world = t->topo->world;
    wb_stage_options_t so;

    WB_TRY (wb_agree (world, new_local (t, &so)));
    if (t->o.optim.kind == WB_OPTIM_MUON)
        WB_TRY (wb_muon_new (&m->muon, t->topo, &t->o.optim, t->kern, t->params, t->o.zero));
    WB_TRY (wb_gradsync_new (&m->sync, t->topo, t->params, t->kern, t->o.bucket_floats,
                             t->o.zero && t->topo->dp > 1 /* one rank has the whole */, t->o.sequence, t->o.wire,
                             m->muon != NULL ? wb_muon_deal (m->muon) : NULL));
    so.poll = poll;
    so.poll_ctx = m;
    so.need = wb_gradsync_need;
    so.need_ctx = m->sync;
    WB_TRY (wb_agree (world, new_segments (t)));
    WB_TRY (wb_agree (world, new_memory (t)));
    if (t->o.optim.kind == WB_OPTIM_MUON)
        WB_TRY (wb_agree (world, wb_muon_segments (m->muon, t->params, m->updated, m->nupdated)));
    WB_TRY (
        wb_agree (world, wb_stage_new (&m->stage, &t->o.size, &t->layout, t->topo->tensor, t->params, t->kern, &so)));
    WB_TRY (wb_agree (world, new_links (t)));
    wb_params_init (t->params, t->weights, t->o.seed);
    return WB_OK;
}

/* Does the node have what its ranks will allocate?  Weights and gradients alone are looked at first: a model beyond all
 * measure would take long to plan. */
static wb_status check_memory (const wb_topo_t *topo, const wb_step_options_t *o, const wb_layout_t *lo) {
    double least = 8.0 * (double) wb_size_parameters (&o->size) / (lo->pp * lo->tp), sum,
           have = (double) wb_mem_free ();
    char a[32], b[32];
    wb_memory_t m = {0};
    wb_status status = WB_OK;

    if (least > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the model's weights and gradients alone want %s of a rank, %s has %s free: cut the model over more ranks "
            "(parallel.pipeline, parallel.tensor)",
            wb_format_bytes (a, least), wb_comm_host (topo->world), wb_format_bytes (b, have));
    WB_TRY (wb_agree (topo->world, status));
    WB_TRY (wb_agree (topo->world, wb_trainer_memory (&m, o, lo)));
    sum = (double) m.total;
    wb_comm_sum_f64 (topo->node, &sum, 1);
    if (sum > have)
        status = WB_FAIL (
            WB_ENOMEM,
            "the %d ranks on %s want %s together, %s are free: use more nodes, fewer ranks on a node, a smaller "
            "parallel.micro_batch or parallel.recompute (wabun plan shows what each takes)",
            wb_comm_size (topo->node), wb_comm_host (topo->world), wb_format_bytes (a, sum), wb_format_bytes (b, have));
    return wb_agree (topo->world, status);
}

wb_status wb_trainer_new (wb_trainer_t **out, const wb_topo_t *topo, const wb_step_options_t *o) {
    wb_trainer_t *t = NULL;
    wb_layout_t lo;
    wb_status status;

    *out = NULL;
    WB_TRY (wb_agree (topo->world, wb_trainer_layout (&lo, o, topo->dp, topo->pp, topo->tp)));
    lo.dp_rank = topo->dp_rank;
    lo.pp_rank = topo->pp_rank;
    lo.tp_rank = topo->tp_rank;
    WB_TRY (check_memory (topo, o, &lo));
    t = wb_calloc (1, sizeof *t);
    if (t != NULL) t->impl = wb_calloc (1, sizeof *t->impl);
    status = t != NULL && t->impl != NULL ? WB_OK : WB_NOMEM ("the trainer");
    status = wb_agree (topo->world, status);
    if (status == WB_OK) {
        t->topo = topo;
        t->layout = lo;
        t->o = *o;
        t->kern = wb_kern_get (wb_cpu_isa ());
        t->micros = (int) (o->global_batch / (o->B * lo.dp));
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
    struct wb_trainer_impl *m;

    if (t == NULL) return;
    m = t->impl;
    if (m != NULL) {
        wb_link_destroy (m->forward.link);
        wb_link_destroy (m->backward.link);
        wb_link_destroy (m->from_prev);
        wb_link_destroy (m->from_next);
        wb_free (m->forward.sent);
        wb_free (m->backward.sent);
        wb_stage_destroy (m->stage);
        wb_gradsync_destroy (m->sync);
        wb_muon_destroy (m->muon);
        wb_schedule_destroy (m->schedule);
        wb_schedule_destroy (m->evaluation);
        wb_arena_destroy (m->param);
        wb_arena_destroy (m->batch);
        wb_free (m->block);
        wb_free (m->owned);
        wb_free (m->updated);
    }
    wb_params_destroy (t->params);
    wb_free (m);
    wb_free (t);
}

const wb_segment_t *wb_trainer_owned (const wb_trainer_t *t, int *n) {
    *n = t->impl->nowned;
    return t->impl->owned;
}

const char *wb_trainer_muon (const wb_trainer_t *t) {
    return t->impl->muon != NULL ? wb_muon_text (t->impl->muon) : NULL;
}

const wb_segment_t *wb_trainer_updated (const wb_trainer_t *t, int *n) {
    *n = t->impl->nupdated;
    return t->impl->updated;
}

const wb_profile_t *wb_trainer_profile (const wb_trainer_t *t) { return wb_stage_profile (t->impl->stage); }

const wb_segment_t *wb_trainer_block (const wb_trainer_t *t, int *n) {
    *n = t->impl->nblock;
    return t->impl->block;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Fill micro-batches with this rank's samples: sequence i of the batch is sample first + i; beyond `n` samples nothing
 * counts. */
static bool load_batch (wb_trainer_t *t, wb_sample_fn sample, void *ctx, int64_t first, int64_t n, int micros) {
    struct wb_trainer_impl *m = t->impl;
    int64_t T = t->o.T, rows = micros * t->o.B, mine = rows * t->topo->dp_rank;
    bool good = true;

    for (int64_t i = 0; i < rows; ++i) {
        int32_t *x = m->tokens + i * T, *y = m->targets + i * T;

        if (mine + i < n && sample (ctx, m->ids, first + mine + i)) {
            memcpy (x, m->ids, (size_t) T * sizeof *x);
            memcpy (y, m->ids + 1, (size_t) T * sizeof *y);
            continue;
        }
        if (mine + i < n) good = false;
        memset (x, 0, (size_t) T * sizeof *x);
        memset (y, 0xff, (size_t) T * sizeof *y); /* -1: not counted */
    }
    return good;
}

/* The slot's last message must have left before its buffer is written again. */
static void wait_for_slot (outbox_t *box, int at) {
    if (box->link == NULL) return;
    for (; box->ended < box->sent[at]; ++box->ended) wb_link_send_end (box->link);
}

static void send (outbox_t *box, int at, const float *x, int64_t n) {
    wb_link_send_begin (box->link, x, n);
    box->sent[at] = ++box->begun;
}

/* Post the receives whose buffers are free once `done` actions are done, in the order of the list: `next` are the
 * places in it up to which activations and gradients are posted. */
static void post_receives (wb_trainer_t *t, const wb_schedule_t *s, int next[2], int done, int64_t n) {
    struct wb_trainer_impl *m = t->impl;

    for (int back = 0; back < 2; ++back)
        for (; next[back] < s->n; ++next[back]) {
            const wb_action_t *a = &s->actions[next[back]];
            if (a->op != (back ? WB_OP_RECV_BWD : WB_OP_RECV_FWD)) continue;
            if (a->after > done) break;
            if (back)
                wb_link_recv_begin (m->from_next, wb_stage_grad (m->stage, a->chunk, a->slot), n);
            else
                wb_link_recv_begin (m->from_prev, wb_stage_in (m->stage, a->chunk, a->slot), n);
        }
}

/* Run a schedule; dw NULL: forward only.  Adds to *loss, the sum over the counted positions of this rank. */
static void run_schedule (wb_trainer_t *t, const wb_schedule_t *s, float *dw, float scale, double *loss, double *tokens,
                          wb_step_result_t *r) {
    struct wb_trainer_impl *m = t->impl;
    int64_t n = wb_stage_rows (m->stage) * t->o.size.C, positions = t->o.B * t->o.T;
    bool head = wb_layout_has_head (&t->layout);
    int posted[2] = {0, 0};

    for (int i = 0; i < s->n; ++i) {
        const wb_action_t *a = &s->actions[i];
        const int32_t *x = m->tokens + a->micro * positions, *y = m->targets + a->micro * positions;
        int at = a->chunk * m->stride + a->slot;
        double start = wb_now ();

        post_receives (t, s, posted, i, n);
        switch (a->op) {
        case WB_OP_RECV_FWD: wb_link_recv_end (m->from_prev); break;
        case WB_OP_FORWARD:
            wait_for_slot (&m->forward, at);
            wait_for_slot (&m->backward, at);
            wb_stage_forward (m->stage, m->loss, dw, t->weights, x, y, a->chunk, a->slot, scale);
            if (head && a->chunk == t->layout.chunks - 1)
                for (int64_t j = 0; j < positions; ++j)
                    if (y[j] >= 0) {
                        *loss += (double) m->loss[j];
                        *tokens += 1;
                    }
            break;
        case WB_OP_SEND_FWD: send (&m->forward, at, wb_stage_out (m->stage, a->chunk, a->slot), n); break;
        case WB_OP_RECV_BWD: wb_link_recv_end (m->from_next); break;
        case WB_OP_BACKWARD:
            wb_stage_backward (m->stage, dw, t->weights, x, a->chunk, a->slot, a->last ? wb_gradsync_final : NULL,
                               m->sync);
            break;
        case WB_OP_SEND_BWD: send (&m->backward, at, wb_stage_grad (m->stage, a->chunk, a->slot), n); break;
        default: WB_ASSERT (!"a known action");
        }
        *(a->op == WB_OP_BACKWARD || a->op == WB_OP_RECV_BWD || a->op == WB_OP_SEND_BWD ? &r->t_backward
                                                                                        : &r->t_forward) +=
            wb_now () - start;
    }
    for (; m->forward.ended < m->forward.begun; ++m->forward.ended) wb_link_send_end (m->forward.link);
    for (; m->backward.ended < m->backward.begun; ++m->backward.ended) wb_link_send_end (m->backward.link);
}

/* Seconds spent waiting for neighbours in the pipeline since new. */
static double waited (const struct wb_trainer_impl *m) {
    if (m->from_prev == NULL) return 0;
    return wb_link_seconds_waited (m->from_prev) + wb_link_seconds_waited (m->from_next) +
           wb_link_seconds_waited (m->forward.link) + wb_link_seconds_waited (m->backward.link);
}

static double floats_of (const wb_segment_t *s, int n) {
    double sum = 0;

    for (int i = 0; i < n; ++i) sum += (double) s[i].count;
    return sum;
}

float *wb_trainer_weights (wb_trainer_t *t) {
    wb_gradsync_settle (t->impl->sync);
    return t->weights;
}

void wb_trainer_step (wb_trainer_t *t, wb_step_result_t *r, wb_sample_fn sample, void *ctx, bool stop) {
    struct wb_trainer_impl *m = t->impl;
    const wb_optim_options_t *oo = &t->o.optim;
    double tokens = (double) t->o.global_batch * (double) t->o.T, clip, t0 = wb_now (), t1, t2, t3;
    wb_verdict_t v = {0};
    double at;
    wb_profile_t *profile = wb_stage_profile (m->stage);
    int states = wb_optim_states (oo->kind);

    memset (r, 0, sizeof *r);
    v.bad = load_batch (t, sample, ctx, t->step * t->o.global_batch, t->o.global_batch, t->micros) ? 0 : 1;
    v.stop = stop ? 1 : 0;
    at = wb_now ();
    memset (t->grads, 0, (size_t) t->params->own * sizeof (float));
    wb_profile_add (profile, WB_PROF_CLEAR, at, 0, 4 * (double) t->params->own);
    wb_gradsync_begin (m->sync, t->grads);
    r->t_wait = -waited (m);
    r->t_need = -wb_gradsync_seconds_need (m->sync);
    r->t_transfer = -wb_gradsync_seconds_gradients (m->sync);
    r->t_tensor = -profile->of[WB_PROF_TENSOR].seconds;
    t1 = wb_now ();
    run_schedule (t, m->schedule, t->grads, (float) (1 / tokens), &v.loss, &v.tokens, r);
    t2 = wb_now ();
    r->t_wait += waited (m);
    r->t_need += wb_gradsync_seconds_need (m->sync);
    r->t_tensor += profile->of[WB_PROF_TENSOR].seconds;
    profile->of[WB_PROF_PIPELINE].seconds += r->t_wait;
    wb_gradsync_end (m->sync);
    at = wb_profile_add (profile, WB_PROF_SYNC, t2, 0, 0);
    r->t_transfer += wb_gradsync_seconds_gradients (m->sync);
    r->t_exposed = r->t_transfer > 0 ? at - t2 : 0;
    profile->of[WB_PROF_WEIGHTS].seconds += r->t_need;
    v.gradsq = wb_gradsync_sumsq (m->sync, t->grads);
    at = wb_profile_add (profile, WB_PROF_NORM, at, 0, 4 * floats_of (m->owned, m->nowned));
    if (t->topo->tp_rank != 0) v.loss = v.tokens = 0; /* every tensor rank has the same loss */
    wb_verdict (t->topo->world, &v);
    t3 = wb_profile_add (profile, WB_PROF_VERDICT, at, 0, 0);

    r->loss = v.loss / v.tokens;
    r->grad_norm = sqrt (v.gradsq);
    r->lr = wb_optim_lr (oo, t->step + 1);
    r->bad = v.bad > 0;
    r->stop = v.stop > 0;
    if (!r->bad) {
        clip = oo->clip > 0 && r->grad_norm > oo->clip ? oo->clip / (r->grad_norm + 1e-6) : 1;
        ++t->step;
        wb_optim_update (oo, t->kern, t->weights, t->state, t->grads, m->updated, m->nupdated, t->step, r->lr, clip);
        at = wb_profile_add (profile, WB_PROF_OPTIMIZER, t3, 0,
                             4 * floats_of (m->updated, m->nupdated) * (3 + 2 * states));
        if (m->muon != NULL) {
            bool looks = oo->muon_check > 0 && t->step % oo->muon_check == 0;
            if (looks) wb_muon_look (m->muon, t->step / oo->muon_check);
            wb_muon_update (m->muon, t->weights, t->state[0], t->grads, r->lr, clip, m->sync, t->params);
            if (looks) wb_muon_seen (m->muon, &r->muon_min, &r->muon_max, &r->muon_rms);
            at = wb_profile_add (profile, WB_PROF_MUON, at, wb_muon_flops (m->muon), 0);
        }
        wb_gradsync_weights (m->sync, t->weights);
        wb_profile_add (profile, WB_PROF_WEIGHTS, at, 0, 0);
    }
    r->t_data = t1 - t0;
    r->t_sync = t3 - t2;
    r->t_update = wb_now () - t3;
    r->t_total = wb_now () - t0;
}

int64_t wb_trainer_round (const wb_trainer_t *t) { return t->o.B * t->topo->dp * t->impl->evaluation_micros; }

void wb_trainer_evaluate (wb_trainer_t *t, double *loss_sum, double *tokens, wb_sample_fn sample, void *ctx,
                          int64_t n) {
    struct wb_trainer_impl *m = t->impl;
    int64_t round = wb_trainer_round (t);
    wb_step_result_t times = {0};
    double sums[2] = {0, 0};

    for (int64_t first = 0; first < n; first += round) {
        load_batch (t, sample, ctx, first, n - first, m->evaluation_micros);
        run_schedule (t, m->evaluation, NULL, 0, &sums[0], &sums[1], &times);
    }
    if (t->topo->tp_rank != 0) sums[0] = sums[1] = 0;
    wb_comm_sum_f64 (t->topo->world, sums, 2);
    *loss_sum = sums[0];
    *tokens = sums[1];
}
