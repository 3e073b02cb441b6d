/* Muon: who owns which matrix.
 *
 * With zero = 1 a matrix belongs to a group of `share` data ranks, which hold slabs of its rows; together with the
 * tensor ranks, which hold its columns (or rows) anyway, they are a grid.  Matrices are assigned to the groups by flop,
 * the largest first, each to the group with the least so far; flop do not change from run to run, so neither does the
 * assignment.
 *
 * Not here: how large the groups are (muon_measure.c). */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/muon.h"

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

bool wb_muon_is_matrix (const wb_param_t *p) { return p->cls == WB_CLASS_MATRIX && p->offset >= 0 && !p->frozen; }

int wb_muon_kind (const wb_param_t *p) {
    switch (p->role) {
    case WB_ROLE_QKV_W: return 0;
    case WB_ROLE_ATT_W: return 1;
    case WB_ROLE_FC_W: return 2;
    case WB_ROLE_PROJ_W: return 3;
    default: WB_ASSERT (!"a matrix of a layer"); return 0;
    }
}

void wb_muon_find_kinds (const wb_param_t *kinds[WB_MUON_KINDS], const wb_params_t *params) {
    memset (kinds, 0, WB_MUON_KINDS * sizeof *kinds);
    for (int i = params->n - 1; i >= 0; i--)
        if (wb_muon_is_matrix (&params->list[i])) kinds[wb_muon_kind (&params->list[i])] = &params->list[i];
}

int wb_muon_parts (const wb_optim_options_t *o, const wb_param_t *p) { return o->muon_split_qkv ? p->parts : 1; }

wb_blocks_t wb_muon_blocks (const wb_optim_options_t *o, const wb_param_t *p, int tp, int share) {
    const int64_t mb = p->own_cols / wb_muon_parts (o, p), nb = (p->own_rows + share - 1) / share;
    return p->axis == 0 ? (wb_blocks_t){mb, nb * tp * share, mb, nb} : (wb_blocks_t){mb * tp, nb * share, mb, nb};
}

/* On a grid: the block twice and the square of the smaller side twice. */
int64_t wb_muon_work_floats (const wb_optim_options_t *o, const wb_param_t *p, int tp, int share, bool bf16) {
    const wb_blocks_t b = wb_muon_blocks (o, p, tp, share);
    if (tp * share == 1) return wb_polar_work_floats (p->own_rows, b.row_block, p->own_cols, bf16);
    const int64_t r = b.rows < b.cols ? b.rows : b.cols, rows = b.rows / b.row_block, cols = b.cols / b.col_block;
    return 2 * (b.row_block * b.col_block + 16) + 2 * (((r + rows - 1) / rows) * ((r + cols - 1) / cols) + 16);
}

double wb_muon_flops_of (const wb_optim_options_t *o, const wb_param_t *p) {
    const int parts = wb_muon_parts (o, p);
    return parts * wb_polar_flops (p->rows, p->cols / parts, o->muon_steps);
}

/* ---- assigning --------------------------------------------------------------------------------------------------- */

wb_status wb_muon_scratch_init (wb_muon_scratch_t *s, const wb_params_t *params, int dp) {
    *s = (wb_muon_scratch_t){wb_calloc ((size_t) dp, sizeof *s->flops), wb_calloc ((size_t) dp, sizeof *s->seconds),
                             wb_calloc ((size_t) params->n, sizeof *s->order)};
    if (s->flops != NULL && s->seconds != NULL && s->order != NULL) return WB_OK;
    wb_muon_scratch_fini (s);
    return WB_NOMEM ("assigning matrices to ranks");
}

void wb_muon_scratch_fini (wb_muon_scratch_t *s) {
    wb_free (s->flops);
    wb_free (s->seconds);
    wb_free (s->order);
    *s = (wb_muon_scratch_t){NULL, NULL, NULL};
}

static int by_cost (const void *a, const void *b) {
    const wb_muon_load_t *x = a, *y = b;
    if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static double max_of (const double *x, int n) {
    double max = 0;
    for (int i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

/* First rank of the group of `share` ranks with the least flop, the first of equals. */
static int least_loaded (const double *flops, int dp, int share) {
    int best = 0;
    for (int group = share; group + share <= dp; group += share)
        if (max_of (flops + group, share) < max_of (flops + best, share)) best = group;
    return best;
}

double wb_muon_assign (int *first, wb_muon_scratch_t *scratch, const wb_optim_options_t *o, const wb_params_t *params,
                       int dp, const int share[WB_MUON_KINDS], const double *seconds) {
    wb_muon_load_t *order = scratch->order;
    int n = 0;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if (wb_muon_is_matrix (p)) order[n++] = (wb_muon_load_t){wb_muon_flops_of (o, p) / share[wb_muon_kind (p)], i};
    }
    qsort (order, (size_t) n, sizeof *order, by_cost);
    memset (scratch->flops, 0, (size_t) dp * sizeof *scratch->flops);
    memset (scratch->seconds, 0, (size_t) dp * sizeof *scratch->seconds);
    for (int i = 0; i < n; i++) {
        const int kind = wb_muon_kind (&params->list[order[i].at]), ranks = share[kind];
        const int group = least_loaded (scratch->flops, dp, ranks);
        const double flops = max_of (scratch->flops + group, ranks), late = max_of (scratch->seconds + group, ranks);
        for (int d = group; d < group + ranks; d++) { /* they work together, so they wait for the latest */
            scratch->flops[d] = flops + order[i].cost;
            scratch->seconds[d] = late + (seconds != NULL ? seconds[kind] : 0);
        }
        if (first != NULL) first[order[i].at] = group;
    }
    return max_of (scratch->seconds, dp);
}

/* ---- shares ------------------------------------------------------------------------------------------------------ */

static int by_offset (const void *a, const void *b) {
    const wb_param_t *x = *(const wb_param_t *const *) a, *y = *(const wb_param_t *const *) b;
    return x->offset > y->offset ? -1 : x->offset < y->offset;
}

/* Rows of a matrix go to the ranks of its group; what follows it in the block, to the last of them. */
static void cut_buckets (wb_muon_shares_t *s, const wb_params_t *params, const wb_param_t **sorted) {
    wb_bucket_plan_t *plan = s->buckets;
    int64_t end = params->own;
    for (int i = 0; i < params->n; i++)
        if (wb_muon_is_matrix (&params->list[i])) sorted[plan->n++] = &params->list[i];
    qsort (sorted, (size_t) plan->n, sizeof *sorted, by_offset);
    for (int i = 0; i < plan->n; i++) {
        const wb_param_t *p = sorted[i];
        const int ranks = s->share[wb_muon_kind (p)], first = s->first[p - params->list];
        int64_t *bounds = plan->bounds + i * (plan->dp + 1);
        plan->begin[i] = p->offset;
        for (int d = 0; d <= plan->dp; d++) {
            if (d <= first)
                bounds[d] = 0;
            else if (d < first + ranks)
                bounds[d] = wb_split_first (p->own_rows, ranks, d - first) * p->own_cols;
            else
                bounds[d] = end - p->offset;
        }
        end = p->offset;
    }
}

static wb_bucket_plan_t *new_plan (size_t n, int dp) {
    wb_bucket_plan_t *plan = wb_calloc (1, sizeof *plan);
    if (plan == NULL) return NULL;
    plan->dp = dp;
    plan->begin = wb_calloc (n, sizeof *plan->begin);
    plan->bounds = wb_calloc (n * (size_t) (dp + 1), sizeof *plan->bounds);
    if (plan->begin != NULL && plan->bounds != NULL) return plan;
    wb_bucket_plan_destroy (plan);
    return NULL;
}

wb_status wb_muon_shares_new (wb_muon_shares_t **out, const wb_optim_options_t *o, const wb_params_t *params, int dp,
                              const int share[WB_MUON_KINDS]) {
    const size_t n = (size_t) params->n;
    *out = NULL;
    wb_muon_scratch_t scratch;
    WB_TRY (wb_muon_scratch_init (&scratch, params, dp));
    const wb_param_t **sorted = wb_calloc (n, sizeof *sorted);
    wb_muon_shares_t *s = wb_calloc (1, sizeof *s);
    if (s != NULL) {
        memcpy (s->share, share, sizeof s->share);
        s->first = wb_calloc (n, sizeof *s->first);
        s->buckets = new_plan (n, dp);
    }
    const bool good = sorted != NULL && s != NULL && s->first != NULL && s->buckets != NULL;
    if (good) {
        wb_muon_assign (s->first, &scratch, o, params, dp, share, NULL);
        cut_buckets (s, params, sorted);
        *out = s;
    } else
        wb_muon_shares_destroy (s);
    wb_muon_scratch_fini (&scratch);
    wb_free (sorted);
    return good ? WB_OK : WB_NOMEM ("assigning matrices to ranks");
}

void wb_muon_shares_destroy (wb_muon_shares_t *s) {
    if (s == NULL) return;
    wb_bucket_plan_destroy (s->buckets);
    wb_free (s->first);
    wb_free (s);
}

/* Powers of two up to 16, and all of a few. */
int wb_muon_group_sizes (int sizes[WB_MUON_LEVELS], const wb_optim_options_t *o, bool zero, int dp) {
    int n = 0;
    sizes[n++] = 1;
    if (!zero || dp == 1 || o->muon_layout == WB_MUON_WHOLE || !wb_grid_possible ()) return n;
    for (int i = 2; i <= dp && i <= 16; i *= 2) sizes[n++] = i;
    if (dp <= 16 && sizes[n - 1] < dp) sizes[n++] = dp;
    return n;
}

void wb_muon_default_share (int share[WB_MUON_KINDS], const wb_optim_options_t *o, bool zero, int dp) {
    int sizes[WB_MUON_LEVELS], n = wb_muon_group_sizes (sizes, o, zero, dp);
    for (int i = 0; i < WB_MUON_KINDS; i++) share[i] = o->muon_layout == WB_MUON_GRID ? sizes[n - 1] : 1;
}
