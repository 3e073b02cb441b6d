/* One training step: the file to read first.
 *
 *   samples -> for each action of the schedule: receive / forward / send / receive / backward / send
 *           -> gradients summed over the data group, bucket by bucket, while the backward pass still runs
 *           -> verdict: {loss, tokens, |g|^2, bad, unread, stop} over all ranks, the one agreement of a step
 *           -> the caller's judge may hold the update back: from the verdict alone, so all ranks decide alike
 *           -> divide by the tokens that count, clip, update the own pieces; weights go round the ring while the next
 * step's forward pass runs
 *
 * A step allocates nothing and checks nothing; what may still go wrong rides on the verdict, so that all ranks skip or
 * stop at the same step.
 *
 * Not here: allocation (trainer.c), and what a run does around its steps: files, reports, checkpoints (src/run). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "train/train_priv.h"

/* ---- the parts of a step ----------------------------------------------------------------------------------------- */

/* Fill micro-batches with samples first .. first + n - 1.  Places that are left, samples that could not be read, and
 * tokens that are not to be learned get targets of -1, which are not counted.  The status is this rank's own. */
static wb_status load_batch (wb_trainer_t *t, wb_sample_fn sample, void *ctx, int64_t first, int64_t n, int micros) {
    struct wb_trainer_impl *impl = t->impl;
    const int64_t T = t->o.T, rows = micros * t->o.B;
    wb_status status = WB_OK;
    wb_doing_set (WB_DOING_READ);
    for (int64_t i = 0; i < rows; i++) {
        int32_t *x = impl->batch.tokens + i * T, *y = impl->batch.targets + i * T;
        const bool wanted = i < n && status == WB_OK;
        if (wanted) status = sample (ctx, impl->batch.ids, first + i);
        if (wanted && status == WB_OK) {
            for (int64_t k = 0; k < T; k++) {
                const int32_t id = impl->batch.ids[k], next = impl->batch.ids[k + 1];
                x[k] = id < 0 ? ~id : id;
                y[k] = next < 0 ? -1 : next;
            }
        } else {
            memset (x, 0, (size_t) T * sizeof *x);
            memset (y, 0xff, (size_t) T * sizeof *y);
        }
    }
    return status;
}

static void clear_gradients (wb_trainer_t *t) {
    const double start = wb_now ();
    const int64_t floats = t->params->own - t->params->fixed;
    wb_floats_clear (t->grads, floats);
    wb_profile_add (wb_stage_profile (t->impl->stage), WB_PROF_CLEAR, start, 0, 4 * (double) floats);
    wb_gradsync_begin (t->impl->sync, t->grads);
}

/* What a schedule adds up on this rank. */
typedef struct sums {
    double loss, tokens;      /* nats over the counted positions, and their number */
    double forward, backward; /* seconds */
} sums_t;

/* of [B]: the mean loss of each sequence by itself. */
static void add_losses (sums_t *sums, double *of, const float *loss, const int32_t *targets, int64_t B, int64_t T) {
    for (int64_t b = 0; b < B; b++, loss += T, targets += T) {
        double sum = 0, counted = 0;
        for (int64_t i = 0; i < T; i++)
            if (targets[i] >= 0) {
                sums->loss += (double) loss[i];
                sums->tokens += 1;
                sum += (double) loss[i];
                counted += 1;
            }
        of[b] = counted > 0 ? sum / counted : 0;
    }
}

static bool is_backward (wb_op op) { return op == WB_OP_BACKWARD || op == WB_OP_RECV_BWD || op == WB_OP_SEND_BWD; }

/* Run a schedule; dw NULL: forward only.  scale: 1 / tokens of the global batch. */
static void run_schedule (wb_trainer_t *t, sums_t *sums, float *dw, const wb_schedule_t *s, float scale) {
    struct wb_trainer_impl *impl = t->impl;
    wb_stage_refresh (impl->stage);
    const int64_t positions = t->o.B * t->o.T;
    const int head = wb_layout_has_head (&t->layout) ? t->layout.chunks - 1 : -1; /* the chunk that has the losses */
    wb_pipe_begin (&impl->pipe);
    for (int i = 0; i < s->n; i++) {
        const wb_action_t *a = &s->actions[i];
        const int32_t *x = impl->batch.tokens + a->micro * positions, *y = impl->batch.targets + a->micro * positions;
        const double start = wb_now ();
        wb_doing_set (is_backward ((wb_op) a->op) ? WB_DOING_BACKWARD : WB_DOING_FORWARD);
        wb_pipe_post (&impl->pipe, s, i);
        switch ((wb_op) a->op) {
        case WB_OP_FORWARD:
            wb_pipe_wait_slot (&impl->pipe, a->chunk, a->slot);
            wb_stage_forward (impl->stage, impl->batch.loss, dw, t->weights, x, y, a->chunk, a->slot, scale);
            if (a->chunk == head)
                add_losses (sums, impl->batch.losses + a->micro * t->o.B, impl->batch.loss, y, t->o.B, t->o.T);
            break;
        case WB_OP_BACKWARD: wb_stage_backward (impl->stage, dw, t->weights, x, a->chunk, a->slot, a->last); break;
        default: wb_pipe_transfer (&impl->pipe, (wb_op) a->op, a->chunk, a->slot);
        }
        const double seconds = wb_now () - start;
        if (is_backward ((wb_op) a->op))
            sums->backward += seconds;
        else
            sums->forward += seconds;
    }
    wb_pipe_end (&impl->pipe);
}

static double floats_of (const wb_segment_t *s, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double) s[i].count;
    return sum;
}

static void finish_gradients (wb_trainer_t *t) {
    const double start = wb_now ();
    wb_doing_set (WB_DOING_GRADIENTS);
    wb_gradsync_end (t->impl->sync);
    wb_profile_add (wb_stage_profile (t->impl->stage), WB_PROF_SYNC, start, 0, 0);
}

/* The one agreement of a step. */
static void agree (wb_trainer_t *t, wb_verdict_t *v, const sums_t *sums) {
    struct wb_trainer_impl *impl = t->impl;
    wb_profile_t *profile = wb_stage_profile (impl->stage);
    double at = wb_now ();
    wb_doing_set (WB_DOING_VERDICT);
    v->gradsq = wb_gradsync_sumsq (impl->sync, t->grads);
    at = wb_profile_add (profile, WB_PROF_NORM, at, 0, 4 * floats_of (impl->owned, impl->nowned));
    if (t->topo->tp_rank == 0) { /* all tensor ranks have the same losses */
        v->loss = sums->loss;
        v->tokens = sums->tokens;
    }
    wb_verdict (t->topo->world, v);
    wb_profile_add (profile, WB_PROF_VERDICT, at, 0, 0);
}

/* Clip, update the own pieces, and start sending the new weights round the data group.  gscale: what makes the
 * gradients those of the mean loss. */
static void update (wb_trainer_t *t, wb_step_result_t *r, double gscale) {
    struct wb_trainer_impl *impl = t->impl;
    const wb_optim_options_t *o = &t->o.optim;
    wb_profile_t *profile = wb_stage_profile (impl->stage);
    const double clip = gscale * (o->clip > 0 && r->grad_norm > o->clip ? o->clip / (r->grad_norm + 1e-6) : 1);
    const int states = wb_optim_states (o->kind);
    double at = wb_now ();
    wb_doing_set (WB_DOING_UPDATE);
    t->step++;
    wb_optim_update (o, t->kern, t->weights, t->state, t->grads, impl->updated, impl->nupdated, t->step, r->lr, clip);
    at = wb_profile_add (profile, WB_PROF_OPTIMIZER, at, 0,
                         4 * floats_of (impl->updated, impl->nupdated) * (3 + 2 * states));
    if (impl->matrices != NULL) {
        const wb_matrix_optimizer_t *matrices = impl->optimizer->matrices;
        double checked[3] = {0, 0, 0};
        matrices->update (impl->matrices, checked, t->weights, t->state[0], t->grads, t->step, r->lr, clip, impl->sync);
        r->muon_min = checked[0], r->muon_max = checked[1], r->muon_rms = checked[2];
        at = wb_profile_add (profile, WB_PROF_MUON, at, matrices->flops (impl->matrices), 0);
    }
    wb_gradsync_gather_begin (impl->sync, t->weights, INT64_MAX);
    wb_profile_add (profile, WB_PROF_WEIGHTS, at, 0, 0);
}

/* ---- stopwatch --------------------------------------------------------------------------------------------------- */

/* Clocks that only run forward, read between the parts of a step: what a part took is the difference of two readings.
 */
typedef struct clocks {
    double now, pipeline, weights, tensor, gradients;
} clocks_t;

enum moment { BEGIN, LOADED, COMPUTED, SUMMED, AGREED, END, MOMENTS };

static clocks_t read_clocks (const wb_trainer_t *t) {
    const struct wb_trainer_impl *impl = t->impl;
    return (clocks_t){wb_now (), wb_pipe_seconds_waited (&impl->pipe), wb_gradsync_seconds_gather (impl->sync),
                      wb_stage_profile (impl->stage)->of[WB_PROF_TENSOR].seconds,
                      wb_gradsync_seconds_reduce (impl->sync)};
}

static void note_times (wb_trainer_t *t, wb_step_result_t *r, const sums_t *sums, const clocks_t at[MOMENTS]) {
    wb_profile_t *profile = wb_stage_profile (t->impl->stage);
    r->t_data = at[LOADED].now - at[BEGIN].now;
    r->t_forward = sums->forward;
    r->t_backward = sums->backward;
    r->t_wait = at[COMPUTED].pipeline - at[LOADED].pipeline;
    r->t_need = at[COMPUTED].weights - at[LOADED].weights;
    r->t_tensor = at[COMPUTED].tensor - at[LOADED].tensor;
    r->t_sync = at[AGREED].now - at[COMPUTED].now;
    r->t_update = at[END].now - at[AGREED].now;
    r->t_total = at[END].now - at[BEGIN].now;
    r->t_transfer = at[SUMMED].gradients - at[LOADED].gradients;
    r->t_exposed = r->t_transfer > 0 ? at[SUMMED].now - at[COMPUTED].now : 0;
    profile->of[WB_PROF_PIPELINE].seconds += r->t_wait;
    profile->of[WB_PROF_WEIGHTS].seconds += r->t_need;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

wb_status wb_trainer_step (wb_trainer_t *t, wb_step_result_t *r, wb_sample_fn sample, void *ctx, unsigned tell) {
    const double tokens = (double) t->o.global_batch * (double) t->o.T;
    wb_verdict_t v = {.stop = (tell & WB_TELL_STOP) != 0 ? 1 : 0,
                      .save = (tell & WB_TELL_SAVE) != 0 ? 1 : 0,
                      .ready = (tell & WB_TELL_READY) != 0 ? 1 : 0};
    sums_t sums = {0};
    clocks_t at[MOMENTS];

    at[BEGIN] = read_clocks (t);
    wb_status status = load_batch (t, sample, ctx, t->step * t->o.global_batch + t->first, t->share, t->micros);
    v.unread = status != WB_OK ? 1 : 0;
    clear_gradients (t);
    at[LOADED] = read_clocks (t);
    run_schedule (t, &sums, t->grads, t->impl->schedule, (float) (1 / tokens));
    at[COMPUTED] = read_clocks (t);
    finish_gradients (t);
    at[SUMMED] = read_clocks (t);
    agree (t, &v, &sums);
    at[AGREED] = read_clocks (t);

    /* How many tokens count is known only now; where all do, it is 1. */
    const double gscale = v.tokens > 0 ? tokens / v.tokens : 1;
    *r = (wb_step_result_t){.loss = v.tokens > 0 ? v.loss / v.tokens : 0,
                            .grad_norm = sqrt (v.gradsq) * gscale,
                            .lr = wb_optim_lr (&t->o.optim, t->step + 1),
                            .bad = v.bad > 0,
                            .micros = t->micros,
                            .unread = v.unread > 0,
                            .stop = v.stop > 0,
                            .save = v.save > 0,
                            .ready = (int) v.ready};
    r->held = !r->bad && !r->unread && t->judge != NULL && !t->judge (t->judge_ctx, r);
    if (!r->bad && !r->unread && !r->held) update (t, r, gscale);
    at[END] = read_clocks (t);
    note_times (t, r, &sums, at);
    return r->unread ? wb_agree (t->topo->world, status) : WB_OK;
}

void wb_trainer_skip (wb_trainer_t *t) { t->step++; }

/* A rank that cannot read goes on with empty batches, for the others need it in the pipeline. */
wb_status wb_trainer_evaluate (wb_trainer_t *t, double *loss_sum, double *tokens, wb_sample_fn sample, void *ctx,
                               int64_t n) {
    const int64_t round = wb_trainer_round (t), mine = round / t->topo->dp * t->topo->dp_rank;
    const bool counts = t->topo->tp_rank == 0; /* all tensor ranks have the same losses */
    wb_status status = WB_OK;
    sums_t sums = {0};
    for (int64_t first = 0; first < n; first += round) {
        const int64_t left = status == WB_OK ? n - first - mine : 0;
        const wb_status read = load_batch (t, sample, ctx, first + mine, left, t->impl->evaluation_micros);
        if (read != WB_OK) status = read;
        run_schedule (t, &sums, NULL, t->impl->evaluation, 0);
    }
    double all[3] = {counts ? sums.loss : 0, counts ? sums.tokens : 0, status != WB_OK ? 1 : 0};
    wb_comm_sum_f64 (t->topo->world, all, 3);
    const bool unread = all[2] > 0;
    *loss_sum = unread ? 0 : all[0];
    *tokens = unread ? 0 : all[1];
    return unread ? wb_agree (t->topo->world, status) : WB_OK;
}
