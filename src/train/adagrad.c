/* AdaGrad (Duchi et al., JMLR 12, 2011), with accumulators that start at 0.1 as TensorFlow 1's do; no decay. */
#include "config.h"

#include "train/optim.h"

static void update (const wb_optim_piece_t *p) {
    p->k->adagrad (p->w, p->state[0], p->g, p->n, (float) p->lr, (float) p->o->eps, p->decay, (float) p->gscale);
}

static const wb_optim_slot_t slots[] = {{"sum.", 0, 0}};

const wb_optimizer_t wb_optimizer_adagrad = {.slots = slots, .nslots = 1, .initial = 0.1f, .update = update};
