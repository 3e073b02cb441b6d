/* Muon: momentum of a matrix, orthogonalised.
 *
 *   m = mu m + g;   u = g + mu m (Nesterov), or m
 *   w = (1 - lr decay) w - lr rms sqrt (max (rows, cols)) polar (u)
 *
 * (Jordan et al. 2024; decay and scale: Liu et al., Moonlight, arXiv:2502.16982.)  An orthogonal matrix of r x n,
 * r <= n, has the root mean square 1 / sqrt (n), so the step has the root mean square rms lr, about that of AdamW,
 * whose learning rate carries over.
 *
 * A matrix that one rank owns is worked on where its gradient lies, which is used up.  One that several ranks share
 * lies on a grid of them, on which PBLAS multiplies, so nothing is gathered: its slab is copied and padded to the same
 * height on all ranks with zeros, which change nothing.  The parts of c_attn (queries, keys, values) are matrices of
 * their own, side by side in memory.  The weights of a matrix start round the data group when they are done, while the
 * next is computed.
 *
 * With train.precision = "bf16" the products of the iteration are of brain floats; momentum, update and weights stay
 * fp32.
 *
 * Not here: embeddings, LayerNorms and biases, which AdamW updates; the products (parallel/polar.c); who owns what
 * (muon_share.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "train/muon.h"

/* ---- before anything is allocated -------------------------------------------------------------------------------- */

static wb_status check (const wb_step_options_t *o, int dp, int tp) {
    if (wb_grid_possible ()) return WB_OK;
    if (tp > 1)
        return WB_FAIL (
            WB_EUSAGE,
            "train.optimizer = \"muon\" with parallel.tensor = %d needs ScaLAPACK, which this wabun was built "
            "without: install libscalapack-openmpi-dev and configure again, or set parallel.tensor = 1",
            tp);
    if (o->optim.muon_layout == WB_MUON_GRID && o->zero && dp > 1)
        return WB_FAIL (WB_EUSAGE,
                        "train.muon_layout = \"grid\" needs ScaLAPACK, which this wabun was built without: set "
                        "it to \"whole\"");
    return WB_OK;
}

static wb_status plan (wb_bucket_plan_t **out, const wb_step_options_t *o, const wb_params_t *params, int dp) {
    *out = NULL;
    if (!o->zero || dp == 1) return WB_OK;
    int share[WB_MUON_KINDS];
    wb_muon_shares_t *shares;
    wb_muon_default_share (share, &o->optim, o->zero, dp);
    WB_TRY (wb_muon_shares_new (&shares, &o->optim, params, dp, share));
    *out = shares->buckets;
    shares->buckets = NULL;
    wb_muon_shares_destroy (shares);
    return WB_OK;
}

static int64_t work_floats (const wb_optim_options_t *o, const wb_params_t *params, int tp,
                            const int share[WB_MUON_KINDS], bool bf16) {
    const wb_param_t *kinds[WB_MUON_KINDS];
    int64_t max = 0;
    wb_muon_find_kinds (kinds, params);
    for (int i = 0; i < WB_MUON_KINDS; i++) {
        const int64_t n = kinds[i] != NULL ? wb_muon_work_floats (o, kinds[i], tp, share[i], bf16) : 0;
        if (n > max) max = n;
    }
    return max;
}

static bool is_bf16 (const wb_step_options_t *o) { return o->precision != WB_PRECISION_FP32; }

static size_t bytes (const wb_step_options_t *o, const wb_params_t *params, const wb_layout_t *lo) {
    int share[WB_MUON_KINDS];
    wb_muon_default_share (share, &o->optim, o->zero, lo->dp);
    return (size_t) work_floats (&o->optim, params, lo->tp, share, is_bf16 (o)) * sizeof (float);
}

/* ---- new --------------------------------------------------------------------------------------------------------- */

const wb_grid_t *wb_muon_grid (const wb_muon_level_t *l, const wb_param_t *p) {
    return p->axis == 0 ? l->rows : l->cols;
}

static wb_status new_grids (wb_muon_level_t *l, int tp) {
    if (l->group == NULL) return WB_OK;
    WB_TRY (wb_grid_new (&l->cols, l->group, tp, l->share));
    return wb_grid_new (&l->rows, l->group, 1, tp * l->share);
}

/* A group of `share` data ranks for each size; data ranks that are left over have none. */
static wb_status new_levels (wb_muon_t *m, const wb_topo_t *topo, bool zero) {
    int sizes[WB_MUON_LEVELS], n = wb_muon_group_sizes (sizes, &m->o, zero, m->dp);
    for (int i = 0; i < n; i++) {
        wb_muon_level_t *l = &m->levels[m->nlevels++];
        l->share = sizes[i];
        if (m->tp * l->share == 1) continue;
        const int groups = m->dp / l->share, group = m->dp_rank / l->share;
        WB_TRY (wb_agree (m->world,
                          wb_comm_split (&l->group, m->world, group < groups ? topo->pp_rank * groups + group : -1,
                                         topo->tp_rank * l->share + m->dp_rank % l->share)));
        WB_TRY (wb_agree (m->world, new_grids (l, m->tp)));
    }
    return WB_OK;
}

static wb_status new_memory (wb_muon_t *m, const int share[WB_MUON_KINDS], bool zero) {
    int n = 0;
    for (int i = 0; i < m->params->n; i++) {
        const wb_param_t *p = &m->params->list[i];
        if (wb_muon_is_matrix (p)) n += p->parts;
    }
    m->slabs = wb_calloc ((size_t) n + 1, sizeof *m->slabs);
    m->work = wb_malloc ((size_t) work_floats (&m->o, m->params, m->tp, share, m->bf16) * sizeof (float) + 1);
    if (m->slabs == NULL || m->work == NULL) return WB_NOMEM ("Muon");
    return zero && m->dp > 1 ? wb_muon_shares_new (&m->shares, &m->o, m->params, m->dp, share) : WB_OK;
}

static void destroy (void *self) {
    wb_muon_t *m = self;
    if (m == NULL) return;
    for (int i = 0; i < m->nlevels; i++) {
        wb_grid_destroy (m->levels[i].cols);
        wb_grid_destroy (m->levels[i].rows);
        wb_comm_destroy (m->levels[i].group);
    }
    wb_muon_shares_destroy (m->shares);
    wb_free (m->slabs);
    wb_free (m->work);
    wb_free (m->check_work);
    wb_free (m);
}

static wb_status new (void **self, const wb_topo_t *topo, const wb_step_options_t *o, const wb_kern_t *k,
                      const wb_params_t *params) {
    wb_muon_t *m = wb_calloc (1, sizeof *m);
    *self = NULL;
    wb_status status = wb_agree (topo->world, m != NULL ? WB_OK : WB_NOMEM ("Muon"));
    if (status != WB_OK) {
        destroy (m);
        return status;
    }
    m->o = o->optim;
    m->bf16 = is_bf16 (o);
    m->k = k;
    m->params = params;
    m->world = topo->world;
    m->dp = topo->dp;
    m->tp = topo->tp;
    m->dp_rank = topo->dp_rank;
    int share[WB_MUON_KINDS];
    wb_muon_default_share (share, &m->o, o->zero, m->dp);
    status = new_levels (m, topo, o->zero);
    if (status == WB_OK && m->nlevels > 1 && m->o.muon_layout == WB_MUON_AUTO) status = wb_muon_choose (share, m);
    if (status == WB_OK) status = wb_agree (topo->world, new_memory (m, share, o->zero));
    if (status != WB_OK) {
        destroy (m);
        return status;
    }
    wb_muon_describe (m, share);
    *self = m;
    return WB_OK;
}

static const wb_bucket_plan_t *buckets (const void *self) {
    const wb_muon_t *m = self;
    return m->shares != NULL ? m->shares->buckets : NULL;
}

static const char *text (const void *self) { return ((const wb_muon_t *) self)->text; }

/* ---- slabs ------------------------------------------------------------------------------------------------------- */

/* Add this rank's slab of matrix p, a slab for each part.  `s` is the segment that holds its momentum, or NULL when the
 * rank owns no rows; such a rank still takes part in the grid's products. */
static void add_slabs (wb_muon_t *m, const wb_param_t *p, const wb_segment_t *s) {
    const int parts = wb_muon_parts (&m->o, p);
    int64_t rows = p->own_rows, row0 = 0, cols = p->own_cols / parts;
    int share = 1, l = 0;
    if (m->shares != NULL) {
        const int at = m->dp_rank - m->shares->first[p - m->params->list];
        share = m->shares->share[wb_muon_kind (p)];
        if (at < 0 || at >= share) return;
        rows = wb_split_count (p->own_rows, share, at);
        row0 = wb_split_first (p->own_rows, share, at);
    }
    while (m->levels[l].share != share) l++;
    WB_ASSERT (rows == 0 || (s != NULL && s->first == row0 * p->own_cols && s->count == rows * p->own_cols));
    for (int i = 0; i < parts; i++)
        m->slabs[m->nslabs++] = (wb_muon_slab_t){.p = p,
                                                 .rows = rows,
                                                 .cols = cols,
                                                 .ld = p->own_cols,
                                                 .flat = p->offset + row0 * p->own_cols + i * cols,
                                                 .state = s != NULL ? s->state + i * cols : 0,
                                                 .grid = wb_muon_grid (&m->levels[l], p),
                                                 .blocks = wb_muon_blocks (&m->o, p, m->tp, share)};
}

static wb_status segments (void *self, const wb_segment_t *list, int n) {
    wb_muon_t *m = self;
    m->nslabs = 0;
    for (int i = 0; i < m->params->n; i++) {
        const wb_param_t *p = &m->params->list[i];
        if (!wb_muon_is_matrix (p)) continue;
        const wb_segment_t *s = NULL;
        for (int j = 0; j < n; j++)
            if (list[j].param == p) s = &list[j];
        add_slabs (m, p, s);
    }
    return m->o.muon_check > 0 ? wb_muon_check_new (m) : WB_OK;
}

static double flops (const void *self) {
    const wb_muon_t *m = self;
    double sum = 0;
    for (int i = 0; i < m->nslabs; i++) {
        const wb_muon_slab_t *s = &m->slabs[i];
        int rows = 1, cols = 1, row, col;
        if (s->grid != NULL) wb_grid_place (s->grid, &rows, &cols, &row, &col);
        sum += wb_muon_flops_of (&m->o, s->p) / wb_muon_parts (&m->o, s->p) / (rows * cols);
    }
    return sum;
}

/* ---- an update --------------------------------------------------------------------------------------------------- */

static void update_slab (wb_muon_t *m, const wb_muon_slab_t *s, float *w, float *momentum, float *g, double lr,
                         double gscale, bool checked, wb_gradsync_t *sync) {
    const wb_kern_t *k = m->k;
    const bool together = s->ld == s->cols; /* rows follow each other without gaps: one stretch of memory */
    const int64_t stretches = together ? 1 : s->rows, n = together ? s->rows * s->cols : s->cols;
    const double rows = (double) s->p->rows, cols = (double) s->p->cols / wb_muon_parts (&m->o, s->p);
    const wb_polar_how_t how = {m->o.muon_steps, m->bf16, wb_gradsync_poll, sync};
    int64_t ld = s->grid != NULL ? s->cols : s->ld;
    float *x = s->grid != NULL ? m->work : g;
    for (int64_t i = 0; i < stretches; i++)
        k->momentum (x + i * ld, momentum + i * s->ld, g + i * s->ld, n, (float) m->o.muon_momentum, (float) gscale,
                     m->o.muon_nesterov);
    if (s->grid != NULL) {
        const int64_t block = s->blocks.row_block * s->blocks.col_block, filled = s->rows * s->cols;
        memset (x + filled, 0, (size_t) (block - filled) * sizeof *x);
        x = wb_polar_grid (k, s->grid, x, m->work + (block + 15) / 16 * 16, &s->blocks, &how);
    } else
        x = wb_polar (k, &ld, x, m->work, s->rows, s->cols, ld, &how);
    if (checked) wb_muon_check_slab (m, s, x, ld);
    for (int64_t i = 0; i < stretches; i++)
        k->sgd (w + i * s->ld, x + i * ld, n, (float) (lr * m->o.muon_rms * sqrt (rows > cols ? rows : cols)),
                (float) (lr * m->o.weight_decay), 1);
}

/* One matrix of each stage is checked, a different one each time; of a c_attn its first part. */
static void update (void *self, double checked[3], float *w, float *state, float *g, int64_t step, double lr,
                    double gscale, wb_gradsync_t *sync) {
    wb_muon_t *m = self;
    const bool checks = m->o.muon_check > 0 && step % m->o.muon_check == 0;
    int matrices = 0, at = 0, next = 0;
    for (int i = 0; i < m->params->n; i++) matrices += wb_muon_is_matrix (&m->params->list[i]);
    if (checks) wb_muon_check_begin (m);
    for (int i = 0; i < m->params->n; i++) { /* the same order on every rank */
        const wb_param_t *p = &m->params->list[i];
        if (!wb_muon_is_matrix (p)) continue;
        bool check_this = checks && at++ == step / m->o.muon_check % matrices;
        for (; next < m->nslabs && m->slabs[next].p == p; next++) {
            const wb_muon_slab_t *s = &m->slabs[next];
            update_slab (m, s, w + s->flat, state + s->state, g + s->flat - m->params->fixed, lr, gscale, check_this,
                         sync);
            check_this = false;
        }
        if (m->shares != NULL) wb_gradsync_gather_begin (sync, w, p->offset);
    }
    if (checks) wb_muon_check_end (m, checked);
}

/* ---- the row ----------------------------------------------------------------------------------------------------- */

enum { MATRICES = 1 << WB_CLASS_MATRIX, OTHERS = 1 << WB_CLASS_EMBED | 1 << WB_CLASS_VECTOR };

static const wb_optim_slot_t slots[WB_OPTIM_MAX_SLOTS] = {
    {"momentum.", 0, MATRICES}, {"exp_avg.", 0, OTHERS}, {"exp_avg_sq.", 1, OTHERS}};

static const wb_matrix_optimizer_t matrices = {
    .check = check,
    .plan = plan,
    .bytes = bytes,
    .new = new,
    .destroy = destroy,
    .buckets = buckets,
    .segments = segments,
    .update = update,
    .flops = flops,
    .text = text,
};

const wb_optimizer_t wb_optimizer_muon = {
    .slots = slots, .nslots = 3, .decays = true, .update = wb_adam_update, .matrices = &matrices};
