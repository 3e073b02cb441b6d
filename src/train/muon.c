/* Muon: momentum of a matrix, orthogonalised.
 *
 *   m = mu m + g;   u = g + mu m (Nesterov), or m
 *   w = (1 - lr decay) w - lr rms sqrt (max (rows, cols)) polar (u)
 *
 * (Jordan et al. 2024; decay and scale: Liu et al., arXiv:2502.16982.)  An orthogonal matrix of r x n, r <= n, has the
 * root mean square 1 / sqrt (n), so the step has the root mean square rms lr, about that of AdamW, whose learning rate
 * carries over.
 *
 * Who does it: with zero = 1 a matrix belongs to `share` data ranks, which hold slabs of its rows; together with the
 * tensor ranks, which hold its columns (or rows) anyway, they are a grid on which PBLAS multiplies, and nothing is
 * gathered.  share = 1 without tensor ranks: one rank has the whole and needs no grid.  A share is chosen for each kind
 * of matrix from times measured at the start, maxima over all ranks, so that all decide alike.  The matrices are then
 * dealt, the dearest first, to whoever has least to do; that goes by flop, so it does not change from run to run.  The
 * weights of a matrix start round the data group as soon as it is done, while the next is computed.
 *
 * The parts of c_attn (queries, keys, values) are matrices of their own, side by side in memory.  A whole matrix is
 * worked on where its gradient lies, which is used up; a shared one is copied, its slabs filled up to the same height
 * with zeros, which change nothing.
 *
 * Not here: embeddings, LayerNorms and biases, which AdamW updates (optim.c), and the products (par/polar.c).  It does
 * not begin before the step's verdict: clipping mixes all gradients' lengths into the momentum. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "wabun/train.h"

enum { MOST_LEVELS = 8, KINDS = 4 };

/* A number of data ranks that share a matrix, and this rank's grids for it. */
typedef struct level {
    int q;
    wb_comm_t *group;
    wb_grid_t *cols, *flat; /* T x q for a matrix cut by columns, 1 x T q for one cut by rows; NULL where q T = 1 */
} level_t;

/* A matrix, or a part of one, as it lies in the block. */
typedef struct unit {
    const wb_param_t *p;
    int64_t rows, cols, ld, flat, state; /* rows of this rank's slab, perhaps 0 */
    const wb_grid_t *grid;               /* NULL: whole */
    wb_blocks_t blocks;
} unit_t;

struct wb_muon {
    wb_optim_options_t o;
    const wb_kern_t *k;
    int D, T, d;
    level_t levels[MOST_LEVELS];
    int nlevels;
    wb_deal_t *deal; /* NULL: every data rank does all */
    unit_t *units;
    int nunits;
    float *work;
    float *eyes;            /* what looking at shared matrices takes */
    int64_t eyes_floats[2]; /* of the square, of psgesvd's work */
    wb_comm_t *world;
    int64_t turn;                       /* the matrix to look at in this update, -1: none */
    double seen[3];                     /* - least, most, root mean square */
    double seconds[KINDS][MOST_LEVELS]; /* of one matrix, measured; 0: not */
    char text[512];
};

/* ---- kinds of matrices ------------------------------------------------------------------------------------------- */

static int parts_of (const wb_optim_options_t *o, const wb_param_t *p) { return o->muon_split_qkv ? p->parts : 1; }

static bool is_matrix (const wb_param_t *p) { return p->cls == WB_CLASS_MATRIX && p->offset >= 0; }

/* The four matrices of a layer, in the order of the table. */
static int kind_of (const wb_params_t *params, const wb_param_t *p) {
    int kind = 0;

    for (const wb_param_t *q = p - 1; q >= params->list && q->layer == p->layer; --q)
        if (q->cls == WB_CLASS_MATRIX) ++kind;
    WB_ASSERT (kind < KINDS);
    return kind;
}

/* One matrix of each kind that is held. */
static void find_kinds (const wb_param_t *kinds[KINDS], const wb_params_t *params) {
    memset (kinds, 0, KINDS * sizeof *kinds);
    for (int i = params->n - 1; i >= 0; --i)
        if (is_matrix (&params->list[i])) kinds[kind_of (params, &params->list[i])] = &params->list[i];
}

/* A part of p on a grid with q data ranks. */
static wb_blocks_t blocks_of (const wb_optim_options_t *o, const wb_param_t *p, int T, int q) {
    int64_t mb = p->own_cols / parts_of (o, p), nb = (p->own_rows + q - 1) / q;

    return p->axis == 0 ? (wb_blocks_t){mb, nb * T * q, mb, nb} : (wb_blocks_t){mb * T, nb * q, mb, nb};
}

/* Work floats for it: its block twice and the square of the smaller side twice; or as polar.c says for a whole one. */
static int64_t work_of (const wb_optim_options_t *o, const wb_param_t *p, int T, int q) {
    wb_blocks_t b = blocks_of (o, p, T, q);
    int64_t r = b.rows < b.cols ? b.rows : b.cols, gr = b.rows / b.row_block, gc = b.cols / b.col_block;

    if (T * q == 1) return wb_polar_work_floats (p->own_rows, b.row_block);
    return 2 * (b.row_block * b.col_block + 16) + 2 * (((r + gr - 1) / gr) * ((r + gc - 1) / gc) + 16);
}

static double flops_of (const wb_optim_options_t *o, const wb_param_t *p) {
    int parts = parts_of (o, p);

    return parts * wb_polar_flops (p->rows, p->cols / parts, o->muon_steps);
}

static int64_t work_floats (const wb_optim_options_t *o, const wb_params_t *params, int T, const int share[KINDS]) {
    const wb_param_t *kinds[KINDS];
    int64_t most = 0;

    find_kinds (kinds, params);
    for (int i = 0; i < KINDS; ++i) {
        int64_t n = kinds[i] != NULL ? work_of (o, kinds[i], T, share[i]) : 0;
        if (n > most) most = n;
    }
    return most;
}

/* ---- dealing ----------------------------------------------------------------------------------------------------- */

typedef struct load {
    double cost;
    int at;
} load_t;

static int by_cost (const void *a, const void *b) {
    const load_t *x = a, *y = b;

    if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* First data rank of each matrix's group (first [params->n]; NULL: not wanted).  Returns the seconds of the busiest
 * rank when a matrix of kind i takes seconds[i]; NULL: 0.  loads [2 D], order [params->n]. */
static double deal_out (int *first, const wb_optim_options_t *o, const wb_params_t *params, int D,
                        const int share[KINDS], const double *seconds, double *loads, load_t *order) {
    double *flops = loads, *busy = loads + D, most = 0;
    int n = 0;

    for (int i = 0; i < params->n; ++i)
        if (is_matrix (&params->list[i]))
            order[n++] = (load_t){flops_of (o, &params->list[i]) / share[kind_of (params, &params->list[i])], i};
    qsort (order, (size_t) n, sizeof *order, by_cost);
    memset (loads, 0, 2 * (size_t) D * sizeof *loads);
    for (int i = 0; i < n; ++i) {
        int kind = kind_of (params, &params->list[order[i].at]), q = share[kind], best = 0;
        double least = INFINITY, high = 0, late = 0;

        for (int g = 0; g + q <= D; g += q) {
            high = 0;
            for (int d = g; d < g + q; ++d) high = flops[d] > high ? flops[d] : high;
            if (high < least) least = high, best = g;
        }
        for (int d = best; d < best + q; ++d) late = busy[d] > late ? busy[d] : late;
        for (int d = best; d < best + q; ++d) {
            flops[d] = least + order[i].cost;
            busy[d] = late + (seconds != NULL ? seconds[kind] : 0);
            most = busy[d] > most ? busy[d] : most;
        }
        if (first != NULL) first[order[i].at] = best;
    }
    return most;
}

static int by_offset (const void *a, const void *b) {
    const wb_param_t *x = *(const wb_param_t *const *) a, *y = *(const wb_param_t *const *) b;

    return x->offset > y->offset ? -1 : x->offset < y->offset;
}

/* A bucket for each matrix, with what lies behind it up to the next one. */
static void cut_buckets (wb_deal_t *deal, const wb_params_t *params, const wb_param_t **sorted) {
    int64_t end = params->own;

    for (int i = 0; i < params->n; ++i)
        if (is_matrix (&params->list[i])) sorted[deal->n++] = &params->list[i];
    qsort (sorted, (size_t) deal->n, sizeof *sorted, by_offset);
    for (int i = 0; i < deal->n; ++i) {
        const wb_param_t *p = sorted[i];
        int q = deal->share[kind_of (params, p)], first = deal->first[p - params->list];
        int64_t *bounds = deal->bounds + i * (deal->dp + 1);

        deal->begin[i] = p->offset;
        for (int d = 0; d <= deal->dp; ++d)
            bounds[d] = d <= first       ? 0
                        : d >= first + q ? end - p->offset
                                         : wb_split_first (p->own_rows, q, d - first) * p->own_cols;
        end = p->offset;
    }
}

wb_status wb_deal_new (wb_deal_t **out, const wb_optim_options_t *o, const wb_params_t *params, int D,
                       const int share[4]) {
    wb_deal_t *deal = wb_calloc (1, sizeof *deal);
    size_t n = (size_t) params->n + 1;
    double *loads = wb_calloc (2 * (size_t) D, sizeof *loads);
    load_t *order = wb_calloc (n, sizeof *order);
    const wb_param_t **sorted = wb_calloc (n, sizeof *sorted);
    bool good = deal != NULL && loads != NULL && order != NULL && sorted != NULL;

    *out = NULL;
    if (deal != NULL) {
        deal->dp = D;
        memcpy (deal->share, share, sizeof deal->share);
        deal->first = wb_calloc (n, sizeof *deal->first);
        deal->begin = wb_calloc (n, sizeof *deal->begin);
        deal->bounds = wb_calloc (n * (size_t) (D + 1), sizeof *deal->bounds);
        good = good && deal->first != NULL && deal->begin != NULL && deal->bounds != NULL;
    }
    if (good) {
        deal_out (deal->first, o, params, D, share, NULL, loads, order);
        cut_buckets (deal, params, sorted);
        *out = deal;
    } else
        wb_deal_destroy (deal);
    wb_free (loads);
    wb_free (order);
    wb_free (sorted);
    return good ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory to deal matrices to ranks");
}

void wb_deal_destroy (wb_deal_t *deal) {
    if (deal == NULL) return;
    wb_free (deal->first);
    wb_free (deal->begin);
    wb_free (deal->bounds);
    wb_free (deal);
}

/* ---- which form -------------------------------------------------------------------------------------------------- */

/* Numbers of data ranks that may share: powers of two up to 16, and all of a few. */
static int candidates (int q[MOST_LEVELS], const wb_optim_options_t *o, bool zero, int D) {
    int n = 0;

    q[n++] = 1;
    if (!zero || D == 1 || o->muon_layout == WB_MUON_WHOLE || !wb_grid_possible ()) return n;
    for (int i = 2; i <= D && i <= 16; i *= 2) q[n++] = i;
    if (D <= 16 && q[n - 1] < D) q[n++] = D;
    return n;
}

wb_status wb_muon_check (const wb_optim_options_t *o, bool zero, int D, int T) {
    if (wb_grid_possible ()) return WB_OK;
    if (T > 1)
        return WB_FAIL (
            WB_EUSAGE,
            "train.optimizer = \"muon\" with parallel.tensor = %d needs ScaLAPACK, which this wabun was built "
            "without: install libscalapack-openmpi-dev and configure again, or set parallel.tensor = 1",
            T);
    if (o->muon_layout == WB_MUON_GRID && zero && D > 1)
        return WB_FAIL (WB_EUSAGE,
                        "train.muon_layout = \"grid\" needs ScaLAPACK, which this wabun was built without: set "
                        "it to \"whole\"");
    return WB_OK;
}

void wb_muon_default_share (int share[4], const wb_optim_options_t *o, bool zero, int D) {
    int q[MOST_LEVELS], n = candidates (q, o, zero, D);

    for (int i = 0; i < KINDS; ++i) share[i] = o->muon_layout == WB_MUON_GRID ? q[n - 1] : 1;
}

static wb_status new_levels (wb_muon_t *m, const wb_topo_t *topo, bool zero) {
    int q[MOST_LEVELS], n = candidates (q, &m->o, zero, topo->dp), T = topo->tp;

    for (int i = 0; i < n; ++i) {
        level_t *l = &m->levels[i];
        int k = topo->dp_rank / q[i], in = topo->dp_rank % q[i], groups = topo->dp / q[i];

        l->q = q[i];
        m->nlevels = i + 1;
        if (T * q[i] == 1) continue;
        WB_TRY (wb_comm_split (&l->group, topo->world, k < groups ? topo->pp_rank * groups + k : -1,
                               topo->tp_rank * q[i] + in));
        if (l->group == NULL) continue;
        WB_TRY (wb_grid_new (&l->cols, l->group, T, q[i]));
        WB_TRY (wb_grid_new (&l->flat, l->group, 1, T * q[i]));
    }
    return WB_OK;
}

static const wb_grid_t *grid_of (const level_t *l, const wb_param_t *p) { return p->axis == 0 ? l->flat : l->cols; }

/* Seconds of one matrix in one form: an iteration that warms up, and one that counts. */
static double measure (wb_muon_t *m, const level_t *l, const wb_param_t *p, float *work) {
    wb_blocks_t b = blocks_of (&m->o, p, m->T, l->q);
    int64_t n = b.row_block * b.col_block, ld;
    double start = 0;

    for (int turn = 0; turn < 2; ++turn) {
        for (int64_t i = 0; i < n; ++i) work[i] = (float) ((uint32_t) i * 2654435761u >> 16) / 65536 - 0.5f;
        start = wb_now ();
        if (m->T * l->q == 1)
            wb_polar (m->k, &ld, work, work + n, p->own_rows, b.row_block, b.row_block, 1, NULL, NULL);
        else
            wb_polar_grid (m->k, grid_of (l, p), work, work + n, &b, 1, NULL, NULL);
    }
    return (wb_now () - start) * m->o.muon_steps * parts_of (&m->o, p);
}

/* Measure every form of every kind, all groups at once, and take the one whose busiest rank is done first. */
static wb_status choose (int share[KINDS], wb_muon_t *m, const wb_topo_t *topo, const wb_params_t *params) {
    const wb_param_t *kinds[KINDS];
    int at[KINDS] = {0}, n = m->nlevels, combinations = 1;
    int64_t most = 0;
    float *work;
    double *loads = wb_calloc (2 * (size_t) m->D, sizeof *loads), best = INFINITY, whole = 0;
    load_t *order = wb_calloc ((size_t) params->n + 1, sizeof *order);

    find_kinds (kinds, params);
    for (int i = 0; i < KINDS; ++i)
        for (int l = 0; l < n && kinds[i] != NULL; ++l) {
            wb_blocks_t b = blocks_of (&m->o, kinds[i], m->T, m->levels[l].q);
            int64_t floats = b.row_block * b.col_block + work_of (&m->o, kinds[i], m->T, m->levels[l].q);
            if (floats > most) most = floats;
        }
    work = wb_malloc ((size_t) most * sizeof *work + 1);
    WB_TRY (wb_agree (topo->world, loads != NULL && order != NULL && work != NULL
                                       ? WB_OK
                                       : WB_FAIL (WB_ENOMEM, "out of memory to measure Muon")));
    for (int i = 0; i < KINDS; ++i)
        for (int l = 0; l < n; ++l) {
            wb_comm_barrier (topo->world);
            if (kinds[i] != NULL && (m->T * m->levels[l].q == 1 || m->levels[l].group != NULL))
                m->seconds[i][l] = measure (m, &m->levels[l], kinds[i], work);
        }
    wb_comm_max_f64 (topo->world, &m->seconds[0][0], KINDS * MOST_LEVELS);
    for (int i = 0; i < KINDS; ++i) combinations *= n;
    for (int c = 0; c < combinations; ++c) {
        double seconds[KINDS], busiest;
        int q[KINDS], rest = c;

        for (int i = 0; i < KINDS; ++i, rest /= n) {
            q[i] = m->levels[rest % n].q;
            seconds[i] = m->seconds[i][rest % n];
        }
        busiest = deal_out (NULL, &m->o, params, m->D, q, seconds, loads, order);
        if (c == 0) whole = busiest;
        if (busiest < best) {
            best = busiest;
            for (int i = 0, r = c; i < KINDS; ++i, r /= n) at[i] = r % n;
        }
    }
    if (best > 0.9 * whole) memset (at, 0, sizeof at); /* not for noise */
    for (int i = 0; i < KINDS; ++i) share[i] = m->levels[at[i]].q;
    wb_free (work);
    wb_free (loads);
    wb_free (order);
    return WB_OK;
}

/* What was chosen, for the report. */
static void describe (wb_muon_t *m, const wb_params_t *params, const int share[KINDS]) {
    const wb_param_t *kinds[KINDS];
    size_t at = 0;

    find_kinds (kinds, params);
    for (int i = 0; i < KINDS && at < sizeof m->text; ++i) {
        const wb_param_t *p = kinds[i];
        int l = 0, ranks = m->T * share[i];
        const char *name;

        if (p == NULL) continue;
        while (m->levels[l].q != share[i]) ++l;
        name = strchr (strchr (p->name, '.') + 1, '.') + 1;
        at += (size_t) snprintf (m->text + at, sizeof m->text - at, "%s%.*s ", at > 0 ? ", " : "",
                                 (int) (strlen (name) - strlen (".weight")), name);
        if (at >= sizeof m->text) break;
        if (ranks == 1)
            at += (size_t) snprintf (m->text + at, sizeof m->text - at, "whole");
        else
            at += (size_t) snprintf (m->text + at, sizeof m->text - at, "on %d x %d ranks", p->axis == 0 ? 1 : m->T,
                                     p->axis == 0 ? ranks : share[i]);
        if (m->seconds[i][l] > 0 && at < sizeof m->text)
            at += (size_t) snprintf (m->text + at, sizeof m->text - at, " (%.3g ms", 1e3 * m->seconds[i][l]);
        for (int j = 0; j < m->nlevels && m->seconds[i][l] > 0 && at < sizeof m->text; ++j)
            if (j != l)
                at += (size_t) snprintf (m->text + at, sizeof m->text - at, "; %s%d: %.3g", j == 0 ? "on " : "",
                                         m->T * m->levels[j].q, 1e3 * m->seconds[i][j]);
        if (m->seconds[i][l] > 0 && at < sizeof m->text)
            at += (size_t) snprintf (m->text + at, sizeof m->text - at, ")");
    }
}

/* ---- new --------------------------------------------------------------------------------------------------------- */

size_t wb_muon_bytes (const wb_optim_options_t *o, const wb_params_t *params, const wb_layout_t *lo, bool zero) {
    int share[KINDS];

    wb_muon_default_share (share, o, zero, lo->dp);
    return (size_t) work_floats (o, params, lo->tp, share) * sizeof (float);
}

wb_status wb_muon_new (wb_muon_t **out, const wb_topo_t *topo, const wb_optim_options_t *o, const wb_kern_t *k,
                       const wb_params_t *params, bool zero) {
    wb_muon_t *m = wb_calloc (1, sizeof *m);
    int share[KINDS], n = 0;
    wb_status status;

    *out = NULL;
    WB_TRY (wb_agree (topo->world, m != NULL ? WB_OK : WB_NOMEM ("Muon")));
    m->o = *o;
    m->k = k;
    m->D = topo->dp;
    m->T = topo->tp;
    m->d = topo->dp_rank;
    m->world = topo->world;
    m->turn = -1;
    wb_muon_default_share (share, o, zero, m->D);
    status = new_levels (m, topo, zero);
    if (status == WB_OK && m->nlevels > 1 && o->muon_layout == WB_MUON_AUTO) status = choose (share, m, topo, params);
    if (status == WB_OK) {
        for (int i = 0; i < params->n; ++i) n += is_matrix (&params->list[i]) ? params->list[i].parts : 0;
        m->units = wb_calloc ((size_t) n + 1, sizeof *m->units);
        m->work = wb_malloc ((size_t) work_floats (o, params, m->T, share) * sizeof (float) + 1);
        if (m->units == NULL || m->work == NULL) status = WB_NOMEM ("Muon");
        if (status == WB_OK && zero && m->D > 1) status = wb_deal_new (&m->deal, o, params, m->D, share);
        status = wb_agree (topo->world, status);
    }
    if (status != WB_OK) {
        wb_muon_destroy (m);
        return status;
    }
    describe (m, params, share);
    *out = m;
    return WB_OK;
}

const wb_deal_t *wb_muon_deal (const wb_muon_t *m) { return m->deal; }
const char *wb_muon_text (const wb_muon_t *m) { return m->text; }

/* The slab of p whose state lies in a segment; none of its rows may be here and the rank has still a part in it. */
static void add_units (wb_muon_t *m, const wb_params_t *params, const wb_param_t *p, const wb_segment_t *s) {
    int parts = parts_of (&m->o, p), kind = kind_of (params, p), q = m->deal != NULL ? m->deal->share[kind] : 1, l = 0;
    int first = m->deal != NULL ? m->deal->first[p - params->list] : m->d, in = m->d - first;
    int64_t rows = p->own_rows, row0 = 0, cols = p->own_cols / parts;

    if (in < 0 || in >= q) return;
    while (m->levels[l].q != q) ++l;
    if (m->deal != NULL) {
        rows = wb_split_count (p->own_rows, q, in);
        row0 = wb_split_first (p->own_rows, q, in);
    }
    WB_ASSERT (rows == 0 || (s != NULL && s->first == row0 * p->own_cols && s->count == rows * p->own_cols));
    for (int j = 0; j < parts; ++j)
        m->units[m->nunits++] = (unit_t){.p = p,
                                         .rows = rows,
                                         .cols = cols,
                                         .ld = p->own_cols,
                                         .flat = p->offset + row0 * p->own_cols + j * cols,
                                         .state = s != NULL ? s->state + j * cols : 0,
                                         .grid = grid_of (&m->levels[l], p),
                                         .blocks = blocks_of (&m->o, p, m->T, q)};
}

void wb_muon_destroy (wb_muon_t *m) {
    if (m == NULL) return;
    for (int i = 0; i < m->nlevels; ++i) {
        wb_grid_destroy (m->levels[i].cols);
        wb_grid_destroy (m->levels[i].flat);
        wb_comm_destroy (m->levels[i].group);
    }
    wb_deal_destroy (m->deal);
    wb_free (m->units);
    wb_free (m->work);
    wb_free (m->eyes);
    wb_free (m);
}

/* ---- singular values --------------------------------------------------------------------------------------------- */

/* Blocks of the Gram matrix, square as psgesvd wants them. */
static wb_blocks_t eyes_of (const wb_blocks_t *b) {
    int64_t r = b->rows < b->cols ? b->rows : b->cols;

    return (wb_blocks_t){r, r, 32, 32};
}

/* Room for the largest of the units. */
static wb_status open_eyes (wb_muon_t *m) {
    int64_t n[2] = {0, 0};

    for (int i = 0; i < m->nunits; ++i) {
        const unit_t *u = &m->units[i];
        wb_blocks_t s = eyes_of (&u->blocks);
        int64_t square, svd;
        if (u->grid == NULL) continue;
        square = wb_grid_floats (u->grid, &s) + s.rows + 32;
        svd = wb_grid_svd_floats (u->grid, &s, &s, &s);
        n[0] = square > n[0] ? square : n[0];
        n[1] = svd > n[1] ? svd : n[1];
    }
    m->eyes_floats[0] = n[0];
    m->eyes_floats[1] = n[1];
    if (n[0] > 0) m->eyes = wb_malloc ((size_t) (n[0] + n[1]) * sizeof (float));
    return n[0] == 0 || m->eyes != NULL ? WB_OK : WB_NOMEM ("train.muon_check");
}

wb_status wb_muon_segments (wb_muon_t *m, const wb_params_t *params, const wb_segment_t *segments, int nsegments) {
    m->nunits = 0;
    for (int i = 0; i < params->n; ++i) {
        const wb_segment_t *s = NULL;

        if (!is_matrix (&params->list[i])) continue;
        for (int j = 0; j < nsegments; ++j)
            if (segments[j].param == &params->list[i]) s = &segments[j];
        add_units (m, params, &params->list[i], s);
    }
    return m->o.muon_check > 0 ? open_eyes (m) : WB_OK;
}

/* The singular values of a finished factor are roots of the eigenvalues of its Gram matrix.  Of a whole one, the square
 * lies where the iteration's did. */
static void look (wb_muon_t *m, const unit_t *u, const float *x, int64_t ld) {
    int64_t rows = u->p->rows, cols = u->p->cols / parts_of (&m->o, u->p), r = rows < cols ? rows : cols;
    double sum = 0;
    float *values;

    if (u->grid != NULL) {
        wb_blocks_t s = eyes_of (&u->blocks);
        values = m->eyes + m->eyes_floats[0] - s.rows;
        wb_grid_gemm (u->grid, m->eyes, &s, x, &u->blocks, x, &u->blocks, u->blocks.rows > u->blocks.cols,
                      u->blocks.rows <= u->blocks.cols, 1, 0);
        if (!wb_grid_svd (u->grid, values, NULL, &s, NULL, &s, m->eyes, &s, m->eyes + m->eyes_floats[0],
                          m->eyes_floats[1]))
            return;
    } else {
        float *G = m->work + (u->rows * u->cols + 15) / 16 * 16;
        values = G + (r * r + 15) / 16 * 16;
        if (r * r < 3 * r + 1) return; /* a toy */
        wb_gemm (G, x, x, r, r, u->rows < u->cols ? u->cols : u->rows, r, ld, ld, u->rows > u->cols, u->rows <= u->cols,
                 1, 0);
        if (!wb_symmetric_values (values, G, values + r, r)) return;
    }
    for (int64_t i = 0; i < r; ++i) { /* what was filled up comes last on a grid */
        double s = sqrt (values[i] > 0 ? (double) values[i] : 0);
        m->seen[0] = fmax (m->seen[0], -s);
        m->seen[1] = fmax (m->seen[1], s);
        sum += (s - 1) * (s - 1);
    }
    m->seen[2] = fmax (m->seen[2], sqrt (sum / (double) r));
}

void wb_muon_look (wb_muon_t *m, int64_t turn) {
    m->turn = turn;
    m->seen[0] = m->seen[1] = m->seen[2] = -INFINITY;
}

void wb_muon_seen (wb_muon_t *m, double *least, double *most, double *rms) {
    m->turn = -1;
    wb_comm_max_f64 (m->world, m->seen, 3);
    *least = isfinite (m->seen[0]) ? -m->seen[0] : 0;
    *most = isfinite (m->seen[1]) ? m->seen[1] : 0;
    *rms = isfinite (m->seen[2]) ? m->seen[2] : 0;
}

/* ---- an update --------------------------------------------------------------------------------------------------- */

double wb_muon_flops (const wb_muon_t *m) {
    double sum = 0;

    for (int i = 0; i < m->nunits; ++i) {
        const unit_t *u = &m->units[i];
        double of = 1;
        int rows, cols, row, col;
        if (u->grid != NULL) {
            wb_grid_place (u->grid, &rows, &cols, &row, &col);
            of = rows * cols;
        }
        sum += flops_of (&m->o, u->p) / parts_of (&m->o, u->p) / of;
    }
    return sum;
}

static void update (wb_muon_t *m, const unit_t *u, float *w, float *momentum, float *g, double lr, double gscale,
                    bool seen, void (*poll) (void *), void *ctx) {
    const wb_kern_t *k = m->k;
    int64_t ld = u->grid != NULL ? u->cols : u->ld, n = u->cols, stretches = u->rows;
    double rows = (double) u->p->rows, cols = (double) u->p->cols / parts_of (&m->o, u->p);
    float *x = u->grid != NULL ? m->work : g, mu = (float) m->o.muon_momentum;

    if (u->ld == u->cols) {
        n *= u->rows;
        stretches = 1;
    }
    for (int64_t i = 0; i < stretches; ++i)
        k->momentum (x + i * ld, momentum + i * u->ld, g + i * u->ld, n, mu, (float) gscale, m->o.muon_nesterov);
    if (u->grid != NULL) {
        int64_t block = u->blocks.row_block * u->blocks.col_block, filled = u->rows * u->cols;
        memset (x + filled, 0, (size_t) (block - filled) * sizeof *x);
        x = wb_polar_grid (k, u->grid, x, m->work + (block + 15) / 16 * 16, &u->blocks, m->o.muon_steps, poll, ctx);
    } else
        x = wb_polar (k, &ld, x, m->work, u->rows, u->cols, ld, m->o.muon_steps, poll, ctx);
    if (seen) look (m, u, x, ld);
    for (int64_t i = 0; i < stretches; ++i)
        k->sgd (w + i * u->ld, x + i * ld, n, (float) (lr * m->o.muon_rms * sqrt (rows > cols ? rows : cols)),
                (float) (lr * m->o.weight_decay), 1);
}

void wb_muon_update (wb_muon_t *m, float *w, float *momentum, float *g, double lr, double gscale, wb_gradsync_t *sync,
                     const wb_params_t *params) {
    int next = 0, at = 0, n = 0;

    for (int i = 0; i < params->n; ++i) n += is_matrix (&params->list[i]);
    for (int i = 0; i < params->n; ++i) { /* the same order on every rank */
        const wb_param_t *p = &params->list[i];

        if (!is_matrix (p)) continue;
        for (bool seen = m->turn >= 0 && at++ == m->turn % n; next < m->nunits && m->units[next].p == p; ++next) {
            const unit_t *u = &m->units[next];
            update (m, u, w + u->flat, momentum + u->state, g + u->flat, lr, gscale, seen, wb_gradsync_poll, sync);
            seen = false; /* the first part will do */
        }
        if (m->deal != NULL) wb_gradsync_give (sync, w, p->offset);
    }
}
