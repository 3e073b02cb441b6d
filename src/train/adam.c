/* Adam in three forms, which are one kernel: the bias corrections fold into the step size and eps.
 *
 *   adamw     decoupled weight decay on matrices (Loshchilov and Hutter, arXiv:1711.05101)
 *   adam      as published (Kingma and Ba, arXiv:1412.6980): w -= lr m^ / (sqrt (v^) + eps)
 *   adam_tf1  as TensorFlow 1 has it: eps is added to sqrt (v), before the bias correction */
#include "config.h"

#include <math.h>

#include "train/optim.h"

static void update (const wb_optim_piece_t *p, bool tf1) {
    const float b1 = (float) p->o->beta1, b2 = (float) p->o->beta2;
    /* of the rounded betas, which the moments decay with: 1 - 0.999f is 1.3e-5 away from 1 - 0.999 */
    const double c1 = 1 - pow ((double) b1, (double) p->step), c2 = 1 - pow ((double) b2, (double) p->step);
    const float rate = (float) (p->lr * sqrt (c2) / c1), eps = (float) (tf1 ? p->o->eps : p->o->eps * sqrt (c2));
    p->k->adam (p->w, p->state[0], p->state[1], p->g, p->n, rate, b1, b2, eps, p->decay, (float) p->gscale);
}

void wb_adam_update (const wb_optim_piece_t *p) { update (p, false); }
static void update_tf1 (const wb_optim_piece_t *p) { update (p, true); }

static const wb_optim_slot_t slots[] = {{"exp_avg.", 0, 0}, {"exp_avg_sq.", 1, 0}};

const wb_optimizer_t wb_optimizer_adamw = {.slots = slots, .nslots = 2, .decays = true, .update = wb_adam_update};
const wb_optimizer_t wb_optimizer_adam = {.slots = slots, .nslots = 2, .update = wb_adam_update};
const wb_optimizer_t wb_optimizer_adam_tf1 = {.slots = slots, .nslots = 2, .update = update_tf1};
