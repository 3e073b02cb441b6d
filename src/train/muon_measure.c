/* Muon: how many data ranks share a matrix, chosen for each kind of matrix from times measured at the start.
 *
 * Every form of every kind is measured on all groups at once, maxima over all ranks are taken, so that all decide
 * alike; then the combination is taken whose busiest rank ends first, unless it gains less than the noise.
 *
 * Not here: which matrix goes to whom then (muon_share.c). */
#include "config.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "train/muon.h"

/* Floats that measuring takes: the largest matrix and its work space. */
static int64_t measuring_floats (const wb_muon_t *m, const wb_param_t *const kinds[WB_MUON_KINDS]) {
    int64_t max = 0;
    for (int i = 0; i < WB_MUON_KINDS; i++)
        for (int l = 0; l < m->nlevels && kinds[i] != NULL; l++) {
            const int share = m->levels[l].share;
            const wb_blocks_t b = wb_muon_blocks (&m->o, kinds[i], m->tp, share);
            const int64_t n = b.row_block * b.col_block + wb_muon_work_floats (&m->o, kinds[i], m->tp, share, m->bf16);
            if (n > max) max = n;
        }
    return max;
}

/* Seconds of one matrix in one form: an iteration that warms up, and one that counts. */
static double measure (const wb_muon_t *m, const wb_muon_level_t *l, const wb_param_t *p, float *work) {
    const wb_blocks_t b = wb_muon_blocks (&m->o, p, m->tp, l->share);
    const int64_t n = b.row_block * b.col_block;
    const wb_polar_how_t how = {.steps = 1, .bf16 = m->bf16};
    double start = 0;
    for (int i = 0; i < 2; i++) {
        int64_t ld;
        for (int64_t j = 0; j < n; j++) work[j] = (float) ((uint32_t) j * 2654435761u >> 16) / 65536 - 0.5f;
        start = wb_now ();
        if (m->tp * l->share == 1)
            wb_polar (m->k, &ld, work, work + n, p->own_rows, b.row_block, b.row_block, &how);
        else
            wb_polar_grid (m->k, wb_muon_grid (l, p), work, work + n, &b, &how);
    }
    return (wb_now () - start) * m->o.muon_steps * wb_muon_parts (&m->o, p);
}

static void measure_all (wb_muon_t *m, const wb_param_t *const kinds[WB_MUON_KINDS], float *work) {
    for (int i = 0; i < WB_MUON_KINDS; i++)
        for (int l = 0; l < m->nlevels; l++) {
            const wb_muon_level_t *level = &m->levels[l];
            wb_comm_barrier (m->world);
            if (kinds[i] != NULL && (m->tp * level->share == 1 || level->group != NULL))
                m->seconds[i][l] = measure (m, level, kinds[i], work);
        }
    wb_comm_max_f64 (m->world, &m->seconds[0][0], WB_MUON_KINDS * WB_MUON_LEVELS);
}

/* Try all combinations: digit i of the combination, in base nlevels, is the level of kind i. */
static void best_combination (int share[WB_MUON_KINDS], const wb_muon_t *m, wb_muon_scratch_t *scratch) {
    const int n = m->nlevels;
    int combinations = 1;
    double best = INFINITY, whole = 0;
    for (int i = 0; i < WB_MUON_KINDS; i++) combinations *= n;
    for (int c = 0; c < combinations; c++) {
        double seconds[WB_MUON_KINDS];
        int tried[WB_MUON_KINDS], rest = c;
        for (int i = 0; i < WB_MUON_KINDS; i++, rest /= n) {
            tried[i] = m->levels[rest % n].share;
            seconds[i] = m->seconds[i][rest % n];
        }
        const double busiest = wb_muon_assign (NULL, scratch, &m->o, m->params, m->dp, tried, seconds);
        if (c == 0) whole = busiest;
        if (busiest >= best) continue;
        best = busiest;
        memcpy (share, tried, sizeof tried);
    }
    if (best <= 0.9 * whole) return;
    for (int i = 0; i < WB_MUON_KINDS; i++) share[i] = m->levels[0].share; /* not for noise */
}

wb_status wb_muon_choose (int share[WB_MUON_KINDS], wb_muon_t *m) {
    const wb_param_t *kinds[WB_MUON_KINDS];
    wb_muon_find_kinds (kinds, m->params);
    wb_muon_scratch_t scratch;
    wb_status status = wb_muon_scratch_init (&scratch, m->params, m->dp);
    float *work = wb_malloc ((size_t) measuring_floats (m, kinds) * sizeof *work + 1);
    if (status == WB_OK && work == NULL) status = WB_NOMEM ("measuring Muon");
    status = wb_agree (m->world, status);
    if (status == WB_OK) {
        measure_all (m, kinds, work);
        best_combination (share, m, &scratch);
    }
    wb_free (work);
    wb_muon_scratch_fini (&scratch);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void append (wb_muon_t *m, const char *fmt, ...) WB_PRINTF (2, 3);
static void append (wb_muon_t *m, const char *fmt, ...) {
    const size_t n = strlen (m->text);
    va_list args;
    va_start (args, fmt);
    vsnprintf (m->text + n, sizeof m->text - n, fmt, args);
    va_end (args);
}

static void describe_kind (wb_muon_t *m, const wb_param_t *p, int share) {
    static const wb_prof names[WB_MUON_KINDS] = {WB_PROF_QKV, WB_PROF_PROJ, WB_PROF_FC, WB_PROF_FC2};
    const int kind = wb_muon_kind (p), ranks = m->tp * share;
    const double *seconds = m->seconds[kind];
    int l = 0;
    while (m->levels[l].share != share) l++;
    append (m, "%s%s ", m->text[0] != 0 ? ", " : "", wb_prof_name (names[kind]));
    if (ranks == 1)
        append (m, "whole");
    else if (p->axis == 0)
        append (m, "on 1 x %d ranks", ranks);
    else
        append (m, "on %d x %d ranks", m->tp, share);
    if (seconds[l] <= 0) return;
    append (m, " (%.3g ms", 1e3 * seconds[l]);
    for (int i = 0; i < m->nlevels; i++)
        if (i != l) append (m, "; %s%d: %.3g", i == 0 ? "on " : "", m->tp * m->levels[i].share, 1e3 * seconds[i]);
    append (m, ")");
}

/* In what the products are made where they are not all fp32. */
static const char *precision_of (const wb_muon_t *m, const wb_param_t *const kinds[WB_MUON_KINDS],
                                 const int share[WB_MUON_KINDS]) {
    int whole = 0, shared = 0;
    for (int i = 0; i < WB_MUON_KINDS; i++)
        if (kinds[i] != NULL) ++*(m->tp * share[i] == 1 ? &whole : &shared);
    if (shared == 0) return "products in bf16";
    return whole == 0 ? "operands rounded to bf16, products in fp32 (ScaLAPACK)"
                      : "products in bf16, of what ranks share in fp32 (ScaLAPACK) of operands rounded to bf16";
}

void wb_muon_describe (wb_muon_t *m, const int share[WB_MUON_KINDS]) {
    const wb_param_t *kinds[WB_MUON_KINDS];
    wb_muon_find_kinds (kinds, m->params);
    for (int i = 0; i < WB_MUON_KINDS; i++)
        if (kinds[i] != NULL) describe_kind (m, kinds[i], share[i]);
    if (m->bf16) append (m, "; %s", precision_of (m, kinds, share));
}
