/* Optimizers, inside.  One is a row: a file that defines it, and a line in the table of optim.c. */
#ifndef WABUN_TRAIN_OPTIM_H
#define WABUN_TRAIN_OPTIM_H

#include "train/gradsync.h"

/* A piece of a parameter, to be updated element by element. */
typedef struct wb_optim_piece {
    const wb_optim_options_t *o;
    const wb_kern_t *k;
    float *w, *state[2]; /* of the piece; state NULL where the optimizer has none */
    const float *g;
    int64_t n;
    int64_t step; /* from 1 */
    double lr, gscale;
    float decay; /* learning rate times weight decay, 0 where nothing decays */
} wb_optim_piece_t;

/* What an optimizer provides that updates a matrix as a whole.  `self` is what new made. */
typedef struct wb_matrix_optimizer {
    /* Does this build have what such a layout needs?  Errors: WB_EUSAGE. */
    wb_status (*check) (const wb_step_options_t *o, int dp, int tp);
    /* Who owns the matrices, as far as it is known without measuring (for the memory plan); NULL: everybody updates
     * all. Errors: WB_ENOMEM. */
    wb_status (*plan) (wb_bucket_plan_t **out, const wb_step_options_t *o, const wb_params_t *params, int dp);
    /* Bytes that new will keep, by the same plan. */
    size_t (*bytes) (const wb_step_options_t *o, const wb_params_t *params, const wb_layout_t *lo);
    /* Collective over topo->world.  Errors: WB_ENOMEM, agreed. */
    wb_status (*new) (void **self, const wb_topo_t *topo, const wb_step_options_t *o, const wb_kern_t *k,
                      const wb_params_t *params);
    void (*destroy) (void *self); /* collective */
    /* Who owns the matrices; NULL: every data rank updates all.  Borrowed. */
    const wb_bucket_plan_t *(*buckets) (const void *self);
    /* What this rank updates, and where its state lies; before the first update.  Not collective.  Errors: WB_ENOMEM.
     */
    wb_status (*segments) (void *self, const wb_segment_t *segments, int nsegments);
    /* Update all matrices; w, g are the rank's blocks, state its array 0, indexed by segment.state; g is used up.  The
     * weights of each matrix may start round the data group when they are done.  checked: minimum, maximum and root
     * mean square distance from 1 of the singular values of one update, untouched in steps that check none.  Collective
     * over topo->world. */
    void (*update) (void *self, double checked[3], float *w, float *state, float *g, int64_t step, double lr,
                    double gscale, wb_gradsync_t *sync);
    double (*flops) (const void *self);     /* of an update on this rank */
    const char *(*text) (const void *self); /* how the matrices are shared, in words; borrowed */
} wb_matrix_optimizer_t;

typedef struct wb_optimizer {
    const wb_optim_slot_t *slots;
    int nslots;
    float initial; /* value of the states before the first step */
    bool decays;   /* decoupled weight decay, on the parameters that decay */
    void (*update) (const wb_optim_piece_t *p);
    const wb_matrix_optimizer_t *matrices; /* NULL: update() takes matrices as everything else */
} wb_optimizer_t;

extern const wb_optimizer_t wb_optimizer_adamw, wb_optimizer_adam, wb_optimizer_adam_tf1; /* adam.c */
extern const wb_optimizer_t wb_optimizer_adagrad, wb_optimizer_sgd, wb_optimizer_muon;    /* files of their names */

/* The row of an optimizer. */
const wb_optimizer_t *wb_optimizer_of (wb_optim_kind kind);
/* AdamW's update, for optimizers that leave embeddings and vectors to it. */
void wb_adam_update (const wb_optim_piece_t *p);

#endif
