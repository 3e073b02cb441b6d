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
 * Not here: the exact factor (psgesvd in pblas.c, for tests and checks). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/parallel.h"

static int64_t pad (int64_t n) { return (n + 15) / 16 * 16; }

int64_t wb_polar_work_floats (int64_t rows, int64_t cols) {
    int64_t r = rows < cols ? rows : cols;
    return pad (rows * cols) + 2 * pad (r * r);
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

float *wb_polar (const wb_kern_t *k, int64_t *ldout, float *x, float *work, int64_t rows, int64_t cols, int64_t ld,
                 int steps, void (*poll) (void *), void *ctx) {
    bool wide = rows <= cols;
    int64_t r = wide ? rows : cols, n = wide ? cols : rows, ldy = cols;
    float *y = work, *G = work + pad (rows * cols), *H = G + pad (r * r);
    wb_polar_scale (k, x, wb_polar_sumsq (k, x, rows, cols, ld), rows, cols, ld);
    for (int i = 0; i < steps; i++) {
        float *swap = x;
        int64_t ldswap = ld;

        if (poll != NULL) poll (ctx);
        wb_gemm (G, x, x, r, r, n, r, ld, ld, !wide, wide, 1, 0);
        memcpy (H, G, (size_t) (r * r) * sizeof *H);
        wb_gemm (H, G, G, r, r, r, r, r, r, false, false, WB_POLAR_C, WB_POLAR_B);
        for (int64_t j = 0; j < r; j++) H[j * r + j] += WB_POLAR_A;
        if (poll != NULL) poll (ctx);
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

float *wb_polar_grid (const wb_kern_t *k, const wb_grid_t *g, float *x, float *work, const wb_blocks_t *b, int steps,
                      void (*poll) (void *), void *ctx) {
    wb_blocks_t s = square_of (g, b);
    bool wide = b->rows <= b->cols;
    int64_t n = wb_grid_floats (g, b), square = wb_grid_floats (g, &s);
    float *y = work, *G = work + pad (n), *H = G + pad (square);
    double sumsq = k->sumsq (x, n);
    wb_comm_sum_f64 (wb_grid_group (g), &sumsq, 1);
    wb_polar_scale (k, x, sumsq, 1, n, n);
    for (int i = 0; i < steps; i++) {
        float *swap = x;

        if (poll != NULL) poll (ctx);
        wb_grid_gemm (g, G, &s, x, b, x, b, !wide, wide, 1, 0);
        memcpy (H, G, (size_t) square * sizeof *H);
        wb_grid_gemm (g, H, &s, G, &s, G, &s, false, false, WB_POLAR_C, WB_POLAR_B);
        wb_grid_add_diagonal (g, H, &s, WB_POLAR_A);
        if (poll != NULL) poll (ctx);
        if (wide)
            wb_grid_gemm (g, y, b, H, &s, x, b, false, false, 1, 0);
        else
            wb_grid_gemm (g, y, b, x, b, H, &s, false, false, 1, 0);
        x = y;
        y = swap;
    }
    return x;
}
