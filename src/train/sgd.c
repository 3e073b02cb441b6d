/* Plain stochastic gradient descent, no momentum and no decay: the simplest row of the table. */
#include "config.h"

#include "train/optim.h"

static void update (const wb_optim_piece_t *p) {
    p->k->sgd (p->w, p->g, p->n, (float) p->lr, p->decay, (float) p->gscale);
}

const wb_optimizer_t wb_optimizer_sgd = {.update = update};
