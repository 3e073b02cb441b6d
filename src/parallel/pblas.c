/* Grids of ranks and matrices in blocks on them: the only file that sees BLACS, PBLAS and ScaLAPACK.
 *
 * ScaLAPACK counts in columns, we in rows: a row-major [rows, cols] is the column-major transpose, so a matrix here has
 * `rows` and `cols` as ScaLAPACK sees them, and a caller's row-major slice goes in as it lies, transposed in name only.
 *
 * PBLAS works in logical panels of pilaenv_() columns, 32 as Debian ships it; a program's own symbol is taken before
 * the library's, and with 256 two ranks reach 90 % of their local products instead of 62 %.  ScaLAPACK has no headers:
 * what is used is declared here.  Grids come from a group's own communicator, so their messages never mix with those of
 * the world. PBLAS allocates its buffers itself, on first use and when they grow.
 *
 * Also LAPACK's eigenvalues, for matrices that lie whole on a rank.
 *
 * Not here: what is done with the products (polar.c), which ranks form a grid (train/muon.c). */
#include "config.h"

#include <string.h>

#include "wabun/parallel.h"

/* LAPACK's, which OpenBLAS holds. */
void ssyevd_ (const char *jobz, const char *uplo, const int *n, float *A, const int *lda, float *w, float *work,
              const int *lwork, int *iwork, const int *liwork, int *info);

struct wb_grid {
    wb_comm_t *group;
    int rows, cols, row, col;
    int context;
};

#ifdef HAVE_SCALAPACK

int Csys2blacs_handle (void);
void Cfree_blacs_system_handle (int handle);
void Cblacs_gridmap (int *context, int *map, int ld, int rows, int cols);
void Cblacs_gridexit (int context);
void psgemm_ (const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha,
              const float *A, const int *ia, const int *ja, const int *da, const float *B, const int *ib, const int *jb,
              const int *db, const float *beta, float *C, const int *ic, const int *jc, const int *dc);
void psgesvd_ (const char *jobu, const char *jobvt, const int *m, const int *n, float *A, const int *ia, const int *ja,
               const int *da, float *s, float *U, const int *iu, const int *ju, const int *du, float *VT,
               const int *ivt, const int *jvt, const int *dvt, float *work, const int *lwork, int *info);
int pilaenv_ (const int *context, const char *precision);

int pilaenv_ (const int *context, const char *precision) {
    (void) context;
    (void) precision;
    return 256;
}

bool wb_grid_possible (void) { return true; }

wb_status wb_grid_new (wb_grid_t **out, wb_comm_t *group, int rows, int cols) {
    int n = wb_comm_size (group), system, *map;
    wb_grid_t *g = wb_calloc (1, sizeof *g);
    wb_status status = WB_OK;
    *out = NULL;
    WB_ASSERT (rows * cols == n && n > 1);
    map = wb_calloc ((size_t) n, sizeof *map);
    if (g == NULL || map == NULL) status = WB_NOMEM ("a grid of ranks");
    status = wb_agree (group, status);
    if (status == WB_OK) {
        *g = (wb_grid_t){group, rows, cols, wb_comm_rank (group) / cols, wb_comm_rank (group) % cols, 0};
        for (int i = 0; i < n; i++) map[i % cols * rows + i / cols] = i; /* column-major */
        system = wb_comm_lend (group, Csys2blacs_handle);
        g->context = system;
        Cblacs_gridmap (&g->context, map, rows, rows, cols); /* which makes a communicator of its own */
        Cfree_blacs_system_handle (system);
        *out = g;
    } else
        wb_free (g);
    wb_free (map);
    return status;
}

void wb_grid_destroy (wb_grid_t *g) {
    if (g == NULL) return;
    Cblacs_gridexit (g->context);
    wb_free (g);
}

static const int one = 1;

/* ScaLAPACK's descriptor. */
static void describe (int d[9], const wb_grid_t *g, const wb_blocks_t *b) {
    int64_t held = wb_blocks_held (b->rows, b->row_block, g->row, g->rows);
    const int full[9] = {1,
                         g->context,
                         wb_int (b->rows),
                         wb_int (b->cols),
                         wb_int (b->row_block),
                         wb_int (b->col_block),
                         0,
                         0,
                         wb_int (held > 0 ? held : 1)};
    memcpy (d, full, sizeof full);
}

void wb_grid_gemm (const wb_grid_t *g, float *C, const wb_blocks_t *c, const float *A, const wb_blocks_t *a,
                   const float *B, const wb_blocks_t *b, bool ta, bool tb, float alpha, float beta) {
    int dc[9], da[9], db[9], m = wb_int (c->rows), n = wb_int (c->cols), k = wb_int (ta ? a->rows : a->cols);
    describe (dc, g, c);
    describe (da, g, a);
    describe (db, g, b);
    psgemm_ (ta ? "T" : "N", tb ? "T" : "N", &m, &n, &k, &alpha, A, &one, &one, da, B, &one, &one, db, &beta, C, &one,
             &one, dc);
}

int64_t wb_grid_svd_floats (const wb_grid_t *g, const wb_blocks_t *a, const wb_blocks_t *u, const wb_blocks_t *vt) {
    int da[9], du[9], dv[9], m = wb_int (a->rows), n = wb_int (a->cols), query = -1, info = 0;
    float need[2] = {0}, none[1] = {0};
    describe (da, g, a);
    describe (du, g, u);
    describe (dv, g, vt);
    psgesvd_ ("V", "V", &m, &n, none, &one, &one, da, none, none, &one, &one, du, none, &one, &one, dv, need, &query,
              &info);
    return (int64_t) need[0] + 1024;
}

bool wb_grid_svd (const wb_grid_t *g, float *s, float *U, const wb_blocks_t *u, float *VT, const wb_blocks_t *vt,
                  float *A, const wb_blocks_t *a, float *work, int64_t floats) {
    int da[9], du[9], dv[9], m = wb_int (a->rows), n = wb_int (a->cols), lwork = wb_int (floats), info = 0;
    describe (da, g, a);
    describe (du, g, u);
    describe (dv, g, vt);
    psgesvd_ (U != NULL ? "V" : "N", U != NULL ? "V" : "N", &m, &n, A, &one, &one, da, s, U, &one, &one, du, VT, &one,
              &one, dv, work, &lwork, &info);
    return info == 0;
}

#else /* a build without ScaLAPACK: no grid is ever made, so nothing else can be called */

bool wb_grid_possible (void) { return false; }

wb_status wb_grid_new (wb_grid_t **out, wb_comm_t *group, int rows, int cols) {
    (void) group;
    *out = NULL;
    return WB_FAIL (
        WB_EUSAGE,
        "matrices on a grid of %d x %d ranks need ScaLAPACK, which this wabun was built without: install it "
        "and configure again",
        rows, cols);
}

void wb_grid_destroy (wb_grid_t *g) { WB_ASSERT (g == NULL); }

void wb_grid_gemm (const wb_grid_t *g, float *C, const wb_blocks_t *c, const float *A, const wb_blocks_t *a,
                   const float *B, const wb_blocks_t *b, bool ta, bool tb, float alpha, float beta) {
    (void) C, (void) c, (void) A, (void) a, (void) B, (void) b, (void) ta, (void) tb, (void) alpha, (void) beta;
    WB_ASSERT (g == NULL && !"a grid");
}

int64_t wb_grid_svd_floats (const wb_grid_t *g, const wb_blocks_t *a, const wb_blocks_t *u, const wb_blocks_t *vt) {
    (void) a, (void) u, (void) vt;
    WB_ASSERT (g == NULL && !"a grid");
    return 0;
}

bool wb_grid_svd (const wb_grid_t *g, float *s, float *U, const wb_blocks_t *u, float *VT, const wb_blocks_t *vt,
                  float *A, const wb_blocks_t *a, float *work, int64_t floats) {
    (void) s, (void) U, (void) u, (void) VT, (void) vt, (void) A, (void) a, (void) work, (void) floats;
    WB_ASSERT (g == NULL && !"a grid");
    return false;
}

#endif

bool wb_symmetric_values (float *values, float *G, float *work, int64_t n) {
    int size = wb_int (n), lwork = wb_int (2 * n + 1), iwork[1], liwork = 1, info = 0;
    ssyevd_ ("N", "L", &size, G, &size, values, work, &lwork, iwork, &liwork, &info);
    return info == 0;
}

wb_comm_t *wb_grid_group (const wb_grid_t *g) { return g->group; }

void wb_grid_place (const wb_grid_t *g, int *rows, int *cols, int *row, int *col) {
    *rows = g->rows;
    *cols = g->cols;
    *row = g->row;
    *col = g->col;
}

int64_t wb_blocks_held (int64_t n, int64_t block, int at, int of) {
    int64_t whole = n / block, held = whole / of * block, extra = whole % of;
    if (at < extra) return held + block;
    return at == extra ? held + n % block : held;
}

int64_t wb_grid_floats (const wb_grid_t *g, const wb_blocks_t *b) {
    return wb_blocks_held (b->rows, b->row_block, g->row, g->rows) *
           wb_blocks_held (b->cols, b->col_block, g->col, g->cols);
}

void wb_grid_add_diagonal (const wb_grid_t *g, float *C, const wb_blocks_t *c, float x) {
    int64_t rows = wb_blocks_held (c->rows, c->row_block, g->row, g->rows),
            cols = wb_blocks_held (c->cols, c->col_block, g->col, g->cols);
    for (int64_t j = 0; j < cols; j++) {
        int64_t at = (j / c->col_block * g->cols + g->col) * c->col_block + j % c->col_block; /* row = column */
        int64_t block = at / c->row_block;
        if (block % g->rows == g->row) C[j * rows + block / g->rows * c->row_block + at % c->row_block] += x;
    }
}
