/* Optimizers, on whatever pieces of the block this rank updates.
 *
 *   adamw     Adam with decoupled weight decay on matrices (Loshchilov and Hutter, arXiv:1711.05101)
 *   muon      Muon on the matrices of the blocks (muon.c), adamw on everything else
 *   adam      Adam as published: w -= lr m^ / (sqrt (v^) + eps); no decay
 *   adam-tf1  Adam as TensorFlow 1 has it (the original's): eps is added to sqrt (v), before the bias correction; no
 *             decay
 *   adagrad   accumulators start at 0.1, as TensorFlow 1's; no decay
 *   sgd       plain; no decay
 * All of Adam's forms are one kernel: the bias corrections fold into the step size and eps. */
#include "config.h"

#include <math.h>
#include "wabun/train.h"

int wb_optim_states (wb_optim_kind kind) { return kind == WB_OPTIM_SGD ? 0 : kind == WB_OPTIM_ADAGRAD ? 1 : 2; }

bool wb_optim_has_state (wb_optim_kind kind, int i, const wb_param_t *p) {
    return i < wb_optim_states (kind) && (i == 0 || kind != WB_OPTIM_MUON || p->cls != WB_CLASS_MATRIX);
}

const wb_optim_slot_t *wb_optim_slots (wb_optim_kind kind, int *n) {
    static const unsigned matrices = 1u << WB_CLASS_MATRIX, others = 1u << WB_CLASS_EMBED | 1u << WB_CLASS_VECTOR;
    static const wb_optim_slot_t adam[] = {{"exp_avg.", 0, 0}, {"exp_avg_sq.", 1, 0}};
    static const wb_optim_slot_t adagrad[] = {{"sum.", 0, 0}};
    static const wb_optim_slot_t muon[WB_OPTIM_MAX_SLOTS] = {
        {"momentum.", 0, matrices}, {"exp_avg.", 0, others}, {"exp_avg_sq.", 1, others}};

    *n = kind == WB_OPTIM_MUON ? 3 : wb_optim_states (kind);
    return kind == WB_OPTIM_MUON ? muon : kind == WB_OPTIM_ADAGRAD ? adagrad : adam;
}

double wb_optim_lr (const wb_optim_options_t *o, int64_t step) {
    double x;

    if (step <= o->warmup) return o->lr * (double) step / (double) o->warmup;
    if (o->decay == WB_DECAY_CONSTANT) return o->lr;
    if (step >= o->steps) return o->min_lr;
    x = (double) (step - o->warmup) / (double) (o->steps - o->warmup);
    if (o->decay == WB_DECAY_LINEAR) return o->lr + (o->min_lr - o->lr) * x;
    return o->min_lr + (o->lr - o->min_lr) * 0.5 * (1 + cos (acos (-1.0) * x));
}

void wb_optim_update (const wb_optim_options_t *o, const wb_kern_t *k, float *w, float *const state[2], const float *g,
                      const wb_segment_t *segments, int nsegments, int64_t step, double lr, double gscale) {
    float b1 = (float) o->beta1, b2 = (float) o->beta2, gs = (float) gscale;
    /* of the rounded betas, which the moments decay with: 1 - 0.999f is 1.3e-5 away from 1 - 0.999 */
    double c1 = 1 - pow ((double) b1, (double) step), c2 = 1 - pow ((double) b2, (double) step);
    float rate = (float) (lr * sqrt (c2) / c1);
    float eps = (float) (o->kind == WB_OPTIM_ADAM_TF1 ? o->eps : o->eps * sqrt (c2));

    for (int i = 0; i < nsegments; ++i) {
        const wb_segment_t *s = &segments[i];
        bool decays = s->param->decay && (o->kind == WB_OPTIM_ADAMW || o->kind == WB_OPTIM_MUON);
        float decay = decays ? (float) (lr * o->weight_decay) : 0;

        switch (o->kind) {
        case WB_OPTIM_MUON:
            if (s->param->cls == WB_CLASS_MATRIX) break; /* wb_muon_update() */
            /* fall through */
        case WB_OPTIM_ADAMW:
        case WB_OPTIM_ADAM:
        case WB_OPTIM_ADAM_TF1:
            k->adam (w + s->flat, state[0] + s->state, state[1] + s->state, g + s->flat, s->count, rate, b1, b2, eps,
                     decay, gs);
            break;
        case WB_OPTIM_ADAGRAD:
            k->adagrad (w + s->flat, state[0] + s->state, g + s->flat, s->count, (float) lr, (float) o->eps, decay, gs);
            break;
        case WB_OPTIM_SGD: k->sgd (w + s->flat, g + s->flat, s->count, (float) lr, decay, gs); break;
        }
    }
}
