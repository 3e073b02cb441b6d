/* Muon, inside: what its files share.
 *
 *   muon.c          the update
 *   muon_share.c    who owns which matrix
 *   muon_measure.c  which form is fastest on this machine
 *   muon_check.c    singular values of an update
 */
#ifndef WABUN_TRAIN_MUON_H
#define WABUN_TRAIN_MUON_H

#include "train/optim.h"

enum { WB_MUON_KINDS = 4, WB_MUON_LEVELS = 8 }; /* matrices of a layer; group sizes that are tried */

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

bool wb_muon_is_matrix (const wb_param_t *p); /* held by this rank */
/* Which of the four of a layer. */
int wb_muon_kind (const wb_param_t *p);
/* One matrix of each kind that is held, else NULL. */
void wb_muon_find_kinds (const wb_param_t *kinds[WB_MUON_KINDS], const wb_params_t *params);
/* Matrices that p is made of: 3 where queries, keys and values are updated apart. */
int wb_muon_parts (const wb_optim_options_t *o, const wb_param_t *p);
/* One of them on a grid of tp tensor ranks and `share` data ranks, each with one block. */
wb_blocks_t wb_muon_blocks (const wb_optim_options_t *o, const wb_param_t *p, int tp, int share);
/* Work floats for one of them in that form, beside the matrix itself, with products of bf16 or fp32; flop of p's
 * update. */
int64_t wb_muon_work_floats (const wb_optim_options_t *o, const wb_param_t *p, int tp, int share, bool bf16);
double wb_muon_flops_of (const wb_optim_options_t *o, const wb_param_t *p);

/* ---- who owns which matrix (muon_share.c) ------------------------------------------------------------------------ */

/* A bucket for each matrix, with what follows it in the block up to the next one. */
typedef struct wb_muon_shares {
    wb_bucket_plan_t *buckets;
    int share[WB_MUON_KINDS]; /* data ranks that share a matrix, by kind */
    int *first;               /* [params->n] first data rank of a matrix's group */
} wb_muon_shares_t;
/* Assign the matrices to groups of data ranks, by flop: a function of its arguments.  Not collective.  Errors:
 * WB_ENOMEM. */
wb_status wb_muon_shares_new (wb_muon_shares_t **out, const wb_optim_options_t *o, const wb_params_t *params, int dp,
                              const int share[WB_MUON_KINDS]) WB_NODISCARD;
void wb_muon_shares_destroy (wb_muon_shares_t *s); /* NULL is fine */
/* Group sizes worth trying, rising; returns how many. */
int wb_muon_group_sizes (int sizes[WB_MUON_LEVELS], const wb_optim_options_t *o, bool zero, int dp);
/* The shares before anything is measured: the largest where the grid is forced, else 1. */
void wb_muon_default_share (int share[WB_MUON_KINDS], const wb_optim_options_t *o, bool zero, int dp);

/* Room for assigning. */
typedef struct wb_muon_load {
    double cost;
    int at;
} wb_muon_load_t;
typedef struct wb_muon_scratch {
    double *flops, *seconds; /* [dp] of each data rank so far */
    wb_muon_load_t *order;   /* [params->n] */
} wb_muon_scratch_t;
wb_status wb_muon_scratch_init (wb_muon_scratch_t *out, const wb_params_t *params, int dp) WB_NODISCARD;
void wb_muon_scratch_fini (wb_muon_scratch_t *s);
/* first [params->n], may be NULL.  Returns the seconds of the busiest rank when a matrix of kind i takes seconds[i];
 * seconds NULL: 0. */
double wb_muon_assign (int *first, wb_muon_scratch_t *scratch, const wb_optim_options_t *o, const wb_params_t *params,
                       int dp, const int share[WB_MUON_KINDS], const double *seconds);

/* ---- Muon of a rank ---------------------------------------------------------------------------------------------- */

/* A number of data ranks that share a matrix, and this rank's grids for it. */
typedef struct wb_muon_level {
    int share;
    wb_comm_t *group;
    wb_grid_t *cols,
        *rows; /* tp x share for a matrix cut by columns, 1 x (tp share) for one cut by rows; NULL: whole */
} wb_muon_level_t;

/* A matrix, or a part of one, as it lies in the block. */
typedef struct wb_muon_slab {
    const wb_param_t *p;
    int64_t rows, cols, ld, flat, state; /* rows of this rank's slab, perhaps 0 */
    const wb_grid_t *grid;               /* NULL: whole */
    wb_blocks_t blocks;
} wb_muon_slab_t;

typedef struct wb_muon {
    wb_optim_options_t o;
    bool bf16; /* products of brain floats */
    const wb_kern_t *k;
    const wb_params_t *params;
    wb_comm_t *world;
    int dp, tp, dp_rank;
    wb_muon_level_t levels[WB_MUON_LEVELS];
    int nlevels;
    wb_muon_shares_t *shares; /* NULL: every data rank updates all */
    wb_muon_slab_t *slabs;
    int nslabs;
    float *work;
    /* muon_check.c */
    float *check_work;
    int64_t square_floats, svd_floats; /* of check_work */
    double extremes[3];                /* - minimum, maximum, root mean square */
    /* muon_measure.c */
    double seconds[WB_MUON_KINDS][WB_MUON_LEVELS]; /* of one matrix; 0: not measured */
    char text[512];
} wb_muon_t;

const wb_grid_t *wb_muon_grid (const wb_muon_level_t *l, const wb_param_t *p);

/* Measure each form of each kind of matrix and choose the shares with which the busiest rank ends first.  Collective
 * over topo->world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_muon_choose (int share[WB_MUON_KINDS], wb_muon_t *m) WB_NODISCARD;
/* Write into m->text what was chosen, and what was measured. */
void wb_muon_describe (wb_muon_t *m, const int share[WB_MUON_KINDS]);

/* Work space for checking this rank's slabs.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_muon_check_new (wb_muon_t *m) WB_NODISCARD;
void wb_muon_check_begin (wb_muon_t *m);
/* The singular values of a finished factor x, rows `ld` apart.  Collective over the slab's grid. */
void wb_muon_check_slab (wb_muon_t *m, const wb_muon_slab_t *s, const float *x, int64_t ld);
/* Minimum, maximum and root mean square distance from 1 over all ranks; 0 where nothing was checked.  Collective over
 * the world. */
void wb_muon_check_end (wb_muon_t *m, double out[3]);

#endif
