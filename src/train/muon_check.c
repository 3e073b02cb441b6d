/* Muon: the singular values of an update, now and then, as a check (train.muon_check).
 *
 * The iteration should bring them all near 1.  The singular values of a finished factor are the square roots of the
 * eigenvalues of its Gram matrix.  For a whole matrix that lies in the iteration's work space; a matrix on a
 * grid has work space of its own, because psgesvd wants square blocks. */
#include "config.h"

#include <math.h>

#include "train/muon.h"

/* The Gram matrix on a grid. */
static wb_blocks_t gram_of (const wb_blocks_t *b) {
    const int64_t r = b->rows < b->cols ? b->rows : b->cols;
    return (wb_blocks_t){r, r, 32, 32};
}

wb_status wb_muon_check_new (wb_muon_t *m) {
    m->square_floats = m->svd_floats = 0;
    for (int i = 0; i < m->nslabs; i++) {
        const wb_muon_slab_t *s = &m->slabs[i];
        if (s->grid == NULL) continue;
        const wb_blocks_t gram = gram_of (&s->blocks);
        const int64_t square = wb_grid_floats (s->grid, &gram) + gram.rows + 32,
                      svd = wb_grid_svd_floats (s->grid, &gram, &gram, &gram);
        if (square > m->square_floats) m->square_floats = square;
        if (svd > m->svd_floats) m->svd_floats = svd;
    }
    if (m->square_floats == 0) return WB_OK;
    m->check_work = wb_malloc ((size_t) (m->square_floats + m->svd_floats) * sizeof (float));
    return m->check_work != NULL ? WB_OK : WB_NOMEM ("train.muon_check");
}

void wb_muon_check_begin (wb_muon_t *m) { m->extremes[0] = m->extremes[1] = m->extremes[2] = -INFINITY; }

static void add_values (wb_muon_t *m, const float *eigenvalues, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double s = sqrt (eigenvalues[i] > 0 ? (double) eigenvalues[i] : 0);
        m->extremes[0] = fmax (m->extremes[0], -s);
        m->extremes[1] = fmax (m->extremes[1], s);
        sum += (s - 1) * (s - 1);
    }
    m->extremes[2] = fmax (m->extremes[2], sqrt (sum / (double) n));
}

/* Eigenvalues come falling, so those of the padding are left out. */
static void check_on_grid (wb_muon_t *m, const wb_muon_slab_t *s, const float *x, int64_t r) {
    const wb_blocks_t gram = gram_of (&s->blocks);
    const bool tall = s->blocks.rows > s->blocks.cols;
    float *G = m->check_work, *values = G + m->square_floats - gram.rows;
    wb_grid_gemm (s->grid, G, &gram, x, &s->blocks, x, &s->blocks, tall, !tall, 1, 0);
    if (wb_grid_svd (s->grid, values, NULL, &gram, NULL, &gram, G, &gram, G + m->square_floats, m->svd_floats))
        add_values (m, values, r);
}

static void check_whole (wb_muon_t *m, const wb_muon_slab_t *s, const float *x, int64_t ld, int64_t r) {
    const bool tall = s->rows > s->cols;
    float *G = m->work + (x == m->work ? (s->rows * s->cols + 15) / 16 * 16 : 0), *values = G + (r * r + 15) / 16 * 16;
    if (r * r < 3 * r + 1) return; /* too small for the work space */
    wb_gemm (G, x, x, r, r, tall ? s->rows : s->cols, r, ld, ld, tall, !tall, 1, 0);
    if (wb_symmetric_values (values, G, values + r, r)) add_values (m, values, r);
}

void wb_muon_check_slab (wb_muon_t *m, const wb_muon_slab_t *s, const float *x, int64_t ld) {
    const int64_t rows = s->p->rows, cols = s->p->cols / wb_muon_parts (&m->o, s->p), r = rows < cols ? rows : cols;
    if (s->grid != NULL)
        check_on_grid (m, s, x, r);
    else
        check_whole (m, s, x, ld, r);
}

void wb_muon_check_end (wb_muon_t *m, double out[3]) {
    wb_comm_max_f64 (m->world, m->extremes, 3);
    out[0] = isfinite (m->extremes[0]) ? -m->extremes[0] : 0;
    out[1] = isfinite (m->extremes[1]) ? m->extremes[1] : 0;
    out[2] = isfinite (m->extremes[2]) ? m->extremes[2] : 0;
}
