/* Messages to the neighbours in the pipeline: activations to the next stage, their gradients to the previous one.
 *
 * Messages go straight from and to the stage's buffers.  A receive is posted as soon as the schedule says that its
 * buffer is free, long before it is waited for.  A buffer that a message leaves from may be overwritten once that
 * message was waited for; that is noted by counting messages.
 *
 * Not here: the order of the messages, which is the schedule's (parallel/schedule.c). */
#include "config.h"

#include "train/train_priv.h"

enum { TAG_FORWARD = 1, TAG_BACKWARD = 2 };

static wb_status new_direction (wb_direction_t *d, wb_comm_t *pipe, int to, int from, int tag, int buffers) {
    const int depth = buffers + 2;
    d->sent = wb_calloc ((size_t) depth, sizeof *d->sent);
    if (d->sent == NULL) return WB_NOMEM ("pipeline links");
    WB_TRY (wb_link_new (&d->out, pipe, to, tag, depth));
    return wb_link_new (&d->in, pipe, from, tag, depth);
}

wb_status wb_pipe_init (wb_pipe_t *p, const wb_topo_t *topo, wb_stage_t *stage, int64_t floats, int chunks, int slots) {
    *p = (wb_pipe_t){.stage = stage, .slots = slots, .floats = floats};
    if (topo->pp == 1) return WB_OK;
    const int next = (topo->pp_rank + 1) % topo->pp, prev = (topo->pp_rank + topo->pp - 1) % topo->pp;
    WB_TRY (new_direction (&p->forward, topo->pipe, next, prev, TAG_FORWARD, chunks * slots));
    return new_direction (&p->backward, topo->pipe, prev, next, TAG_BACKWARD, chunks * slots);
}

static void free_direction (wb_direction_t *d) {
    wb_link_destroy (d->out);
    wb_link_destroy (d->in);
    wb_free (d->sent);
}

void wb_pipe_fini (wb_pipe_t *p) {
    free_direction (&p->forward);
    free_direction (&p->backward);
}

void wb_pipe_poll (wb_pipe_t *p) {
    if (p->forward.in == NULL) return;
    wb_link_poll (p->forward.in);
    wb_link_poll (p->backward.in);
    wb_link_poll (p->forward.out);
    wb_link_poll (p->backward.out);
}

void wb_pipe_begin (wb_pipe_t *p) { p->forward.posted = p->backward.posted = 0; }

/* Receives of one direction, in the order of the schedule. */
static void post (wb_pipe_t *p, wb_direction_t *d, wb_op receive, const wb_schedule_t *s, int done) {
    for (; d->posted < s->n; d->posted++) {
        const wb_action_t *a = &s->actions[d->posted];
        if ((wb_op) a->op != receive) continue;
        if (a->after > done) return;
        float *to = receive == WB_OP_RECV_FWD ? wb_stage_in (p->stage, a->chunk, a->slot)
                                              : wb_stage_grad (p->stage, a->chunk, a->slot);
        wb_link_recv_begin (d->in, to, p->floats);
    }
}

void wb_pipe_post (wb_pipe_t *p, const wb_schedule_t *s, int done) {
    post (p, &p->forward, WB_OP_RECV_FWD, s, done);
    post (p, &p->backward, WB_OP_RECV_BWD, s, done);
}

static void send (wb_pipe_t *p, wb_direction_t *d, const float *x, int buffer) {
    wb_link_send_begin (d->out, x, p->floats);
    d->sent[buffer] = ++d->begun;
}

void wb_pipe_transfer (wb_pipe_t *p, wb_op op, int chunk, int slot) {
    const int buffer = chunk * p->slots + slot;
    switch (op) {
    case WB_OP_RECV_FWD: wb_link_recv_end (p->forward.in); break;
    case WB_OP_SEND_FWD: send (p, &p->forward, wb_stage_out (p->stage, chunk, slot), buffer); break;
    case WB_OP_RECV_BWD: wb_link_recv_end (p->backward.in); break;
    case WB_OP_SEND_BWD: send (p, &p->backward, wb_stage_grad (p->stage, chunk, slot), buffer); break;
    default: WB_ASSERT (!"a transfer");
    }
}

/* Wait for messages 1 .. n. */
static void wait_sent (wb_direction_t *d, int64_t n) {
    for (; d->ended < n; d->ended++) wb_link_send_end (d->out);
}

void wb_pipe_wait_slot (wb_pipe_t *p, int chunk, int slot) {
    if (p->forward.out == NULL) return;
    wait_sent (&p->forward, p->forward.sent[chunk * p->slots + slot]);
    wait_sent (&p->backward, p->backward.sent[chunk * p->slots + slot]);
}

void wb_pipe_end (wb_pipe_t *p) {
    wait_sent (&p->forward, p->forward.begun);
    wait_sent (&p->backward, p->backward.begun);
}

double wb_pipe_seconds_waited (const wb_pipe_t *p) {
    if (p->forward.in == NULL) return 0;
    return wb_link_seconds_waited (p->forward.in) + wb_link_seconds_waited (p->backward.in) +
           wb_link_seconds_waited (p->forward.out) + wb_link_seconds_waited (p->backward.out);
}
