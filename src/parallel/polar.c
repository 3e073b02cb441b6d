/* The polar factor of a matrix, nearly: U V^T of X = U S V^T, by the quintic Newton-Schulz iteration of Muon
 * (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).
 *
 *   X <- X / |X|_F, then `steps` times  G = X X^T,  X <- (a I + b G + c G^2) X
 *
 * Each singular value s goes to a s + b s^3 + c s^5.  The coefficients are Jordan's: they do not converge to 1 but
 * bring everything above 0.003 into about 0.7 .. 1.2 within five steps, which is all an update needs.  The smaller side
 * is squared: G = X^T X from the right where X has more rows than columns.  Only products, so it runs at the speed of
 * the BLAS: 4 r^2 n + 2 r^3 flop a step with r = min and n = max of rows and columns.
 *
 * In bf16 the operands of each product are rounded to brain floats, sums are fp32, and so is what is added to them:
 *
 *   G = bf (X) bf (X)^T,  Q = b G + c bf (G) bf (G),  X <- a X + bf (Q) bf (X)
 *
 * Jordan keeps X, G and Q themselves in bf16; here the largest term, a X, is not rounded at all, and X stays where it
 * is, so the work space is smaller than that of fp32.
 *
 * Not here: the exact factor (psgesvd in pblas.c, for tests and checks). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/parallel.h"

static int64_t pad (int64_t n) { return (n + 15) / 16 * 16; }

/* In bf16: X and a square of brain floats, a square of floats, and X itself where it does not lie without gaps. */
int64_t wb_polar_work_floats (int64_t rows, int64_t cols, int64_t ld, bool bf16) {
    const int64_t r = rows < cols ? rows : cols, n = rows * cols;
    if (!bf16) return pad (n) + 2 * pad (r * r);
    return (ld == cols ? 0 : pad (n)) + pad (r * r) + pad ((n + 1) / 2) + pad ((r * r + 1) / 2);
}

double wb_polar_flops (int64_t rows, int64_t cols, int steps) {
    double r = (double) (rows < cols ? rows : cols), n = (double) (rows < cols ? cols : rows);
    return steps * (4 * r * r * n + 2 * r * r * r);
}

double wb_polar_sumsq (const wb_kern_t *k, const float *x, int64_t rows, int64_t cols, int64_t ld) {
    double sum = 0;
    if (ld == cols) return k->sumsq (x, rows * cols);
    for (int64_t i = 0; i < rows; i++) sum += k->sumsq (x + i * ld, cols);
    return sum;
}

void wb_polar_scale (const wb_kern_t *k, float *x, double sumsq, int64_t rows, int64_t cols, int64_t ld) {
    float a = sumsq > 0 ? (float) (1 / sqrt (sumsq)) : 0;
    if (ld == cols)
        k->scale (x, a, rows * cols);
    else
        for (int64_t i = 0; i < rows; i++) k->scale (x + i * ld, a, cols);
}

static void poll (const wb_polar_how_t *how) {
    if (how->poll != NULL) how->poll (how->ctx);
}

static float *polar_fp32 (int64_t *ldout, float *x, float *work, int64_t rows, int64_t cols, int64_t ld,
                          const wb_polar_how_t *how) {
    bool wide = rows <= cols;
    int64_t r = wide ? rows : cols, n = wide ? cols : rows, ldy = cols;
    float *y = work, *G = work + pad (rows * cols), *H = G + pad (r * r);
    for (int i = 0; i < how->steps; i++) {
        float *swap = x;
        int64_t ldswap = ld;

        poll (how);
        wb_gemm (G, x, x, r, r, n, r, ld, ld, !wide, wide, 1, 0);
        memcpy (H, G, (size_t) (r * r) * sizeof *H);
        wb_gemm (H, G, G, r, r, r, r, r, r, false, false, WB_POLAR_C, WB_POLAR_B);
        for (int64_t j = 0; j < r; j++) H[j * r + j] += WB_POLAR_A;
        poll (how);
        if (wide)
            wb_gemm (y, H, x, rows, cols, r, ldy, r, ld, false, false, 1, 0);
        else
            wb_gemm (y, x, H, rows, cols, r, ldy, ld, r, false, false, 1, 0);
        x = y;
        ld = ldy;
        y = swap;
        ldy = ldswap;
    }
    *ldout = ld;
    return x;
}

/* x [rows, cols] without gaps, in place.  Of a square matrix the columns are multiplied, as on a grid, which sees the
 * transpose: which side it is decides what is rounded. */
static void polar_bf16 (const wb_kern_t *k, float *x, float *work, int64_t rows, int64_t cols,
                        const wb_polar_how_t *how) {
    const bool wide = rows < cols;
    const int64_t r = wide ? rows : cols, n = wide ? cols : rows;
    float *G = work;
    uint16_t *xh = (uint16_t *) (void *) (G + pad (r * r)), *gh = xh + 2 * pad ((rows * cols + 1) / 2);
    for (int i = 0; i < how->steps; i++) {
        poll (how);
        k->bf16_pack (xh, x, rows * cols);
        wb_gemm_bf16 (G, xh, xh, r, r, n, r, cols, cols, !wide, wide, 0);
        k->bf16_pack (gh, G, r * r);
        wb_gemm_bf16 (G, gh, gh, r, r, r, r, r, r, false, false, WB_POLAR_B / WB_POLAR_C);
        k->scale (G, WB_POLAR_C, r * r);
        k->bf16_pack (gh, G, r * r);
        poll (how);
        if (wide)
            wb_gemm_bf16 (x, gh, xh, rows, cols, r, cols, r, cols, false, false, WB_POLAR_A);
        else
            wb_gemm_bf16 (x, xh, gh, rows, cols, r, cols, cols, r, false, false, WB_POLAR_A);
    }
}

float *wb_polar (const wb_kern_t *k, int64_t *ldout, float *x, float *work, int64_t rows, int64_t cols, int64_t ld,
                 const wb_polar_how_t *how) {
    wb_polar_scale (k, x, wb_polar_sumsq (k, x, rows, cols, ld), rows, cols, ld);
    if (!how->bf16) return polar_fp32 (ldout, x, work, rows, cols, ld, how);
    if (ld != cols) {
        float *dense = work;
        for (int64_t i = 0; i < rows; i++) memcpy (dense + i * cols, x + i * ld, (size_t) cols * sizeof *x);
        x = dense;
        work += pad (rows * cols);
    }
    polar_bf16 (k, x, work, rows, cols, how);
    *ldout = cols;
    return x;
}

/* The smaller side is squared; its blocks fit the columns and rows of the grid alike. */
static wb_blocks_t square_of (const wb_grid_t *g, const wb_blocks_t *b) {
    int rows, cols, row, col;
    int64_t r = b->rows <= b->cols ? b->rows : b->cols;
    wb_grid_place (g, &rows, &cols, &row, &col);
    return (wb_blocks_t){r, r, (r + rows - 1) / rows, (r + cols - 1) / cols};
}

int64_t wb_polar_grid_floats (const wb_grid_t *g, const wb_blocks_t *b) {
    wb_blocks_t s = square_of (g, b);
    return pad (wb_grid_floats (g, b)) + 2 * pad (wb_grid_floats (g, &s));
}

/* y: room for a block, G and H: for a square. */
static float *grid_fp32 (const wb_grid_t *g, float *x, float *y, float *G, float *H, const wb_blocks_t *b,
                         const wb_polar_how_t *how) {
    const wb_blocks_t s = square_of (g, b);
    const bool wide = b->rows <= b->cols;
    const int64_t square = wb_grid_floats (g, &s);
    for (int i = 0; i < how->steps; i++) {
        float *swap = x;

        poll (how);
        wb_grid_gemm (g, G, &s, x, b, x, b, !wide, wide, 1, 0);
        memcpy (H, G, (size_t) square * sizeof *H);
        wb_grid_gemm (g, H, &s, G, &s, G, &s, false, false, WB_POLAR_C, WB_POLAR_B);
        wb_grid_add_diagonal (g, H, &s, WB_POLAR_A);
        poll (how);
        if (wide)
            wb_grid_gemm (g, y, b, H, &s, x, b, false, false, 1, 0);
        else
            wb_grid_gemm (g, y, b, x, b, H, &s, false, false, 1, 0);
        x = y;
        y = swap;
    }
    return x;
}

/* xr: room for a block, the rounded x; G and Gr: for a square.  x is updated in place. */
static void grid_bf16 (const wb_kern_t *k, const wb_grid_t *g, float *x, float *xr, float *G, float *Gr,
                       const wb_blocks_t *b, const wb_polar_how_t *how) {
    const wb_blocks_t s = square_of (g, b);
    const bool wide = b->rows <= b->cols;
    const int64_t n = wb_grid_floats (g, b), square = wb_grid_floats (g, &s);
    for (int i = 0; i < how->steps; i++) {
        poll (how);
        k->bf16_round (xr, x, n);
        wb_grid_gemm (g, G, &s, xr, b, xr, b, !wide, wide, 1, 0);
        k->bf16_round (Gr, G, square);
        wb_grid_gemm (g, G, &s, Gr, &s, Gr, &s, false, false, WB_POLAR_C, WB_POLAR_B);
        k->bf16_round (Gr, G, square);
        poll (how);
        if (wide)
            wb_grid_gemm (g, x, b, Gr, &s, xr, b, false, false, 1, WB_POLAR_A);
        else
            wb_grid_gemm (g, x, b, xr, b, Gr, &s, false, false, 1, WB_POLAR_A);
    }
}

float *wb_polar_grid (const wb_kern_t *k, const wb_grid_t *g, float *x, float *work, const wb_blocks_t *b,
                      const wb_polar_how_t *how) {
    const wb_blocks_t s = square_of (g, b);
    const int64_t n = wb_grid_floats (g, b);
    float *y = work, *G = work + pad (n), *H = G + pad (wb_grid_floats (g, &s));
    double sumsq = k->sumsq (x, n);
    wb_comm_sum_f64 (wb_grid_group (g), &sumsq, 1);
    wb_polar_scale (k, x, sumsq, 1, n, n);
    if (!how->bf16) return grid_fp32 (g, x, y, G, H, b, how);
    grid_bf16 (k, g, x, y, G, H, b, how);
    return x;
}
