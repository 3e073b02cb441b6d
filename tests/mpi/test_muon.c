/* ranks: 1 2 3 4 6
 * Polar factors of whole matrices and on every grid of the ranks against a plain one in double precision
 * and against the singular values; which rank owns which matrix.  Muon in the trainer: test_layouts.c. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "tmpi.h"
#include "train/muon.h"

enum { STEPS = 5, MOST = 160 };

static wb_comm_t *world;
static const wb_kern_t *k;
static int ranks;

/* Element (i, j) of test matrix `seed`; singular values of all sizes. */
static float element (int seed, int64_t i, int64_t j) {
    return (float) (wb_rng_normal (7, (uint64_t) seed, (uint64_t) (i * MOST + j)) * (1 + 0.1 * (double) (i % 5)));
}

/* ---- the plain implementation: the formula in double precision --------------------------------------------------- */

static void multiply (double *C, const double *A, const double *B, int64_t m, int64_t n, int64_t p) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t r = 0; r < p; r++) s += A[i * p + r] * B[r * n + j];
            C[i * n + j] = s;
        }
}

/* X [m, n] = a X + (b G + c G^2) X, G = X X^T. */
static void plain (double *X, int64_t m, int64_t n) {
    double *G = wb_calloc ((size_t) (m * m), 8), *H = wb_calloc ((size_t) (m * m), 8),
           *Y = wb_calloc ((size_t) (m * n), 8), sum = 0;
    for (int64_t i = 0; i < m * n; i++) sum += X[i] * X[i];
    for (int64_t i = 0; i < m * n; i++) X[i] /= sqrt (sum);
    for (int step = 0; step < STEPS; step++) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) {
                G[i * m + j] = 0;
                for (int64_t r = 0; r < n; r++) G[i * m + j] += X[i * n + r] * X[j * n + r];
            }
        multiply (H, G, G, m, m, m);
        for (int64_t i = 0; i < m * m; i++) H[i] = -4.7750 * G[i] + 2.0315 * H[i];
        multiply (Y, H, X, m, n, m);
        for (int64_t i = 0; i < m * n; i++) X[i] = 3.4445 * X[i] + Y[i];
    }
    wb_free (G), wb_free (H), wb_free (Y);
}

/* The factor of the test matrix [m, n]; freed by the caller. */
static double *wanted (int seed, int64_t m, int64_t n) {
    double *X = wb_calloc ((size_t) (m * n), sizeof *X);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) X[i * n + j] = (double) element (seed, i, j);
    plain (X, m, n);
    return X;
}

static const int64_t shapes[][2] = {{1, 1},   {7, 7},    {48, 48},  {61, 61}, {16, 64},
                                    {64, 16}, {37, 148}, {148, 37}, {5, 3}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- whole matrices ---------------------------------------------------------------------------------------------- */

static void test_whole (void) {
    for (int s = 0; s < SHAPES; s++)
        for (int64_t gap = 0; gap < 30; gap += 29) {
            int64_t m = shapes[s][0], n = shapes[s][1], ld = n + gap, ldout;
            double *want = wanted (s, m, n), worst = 0, size = 0;
            float *x = wb_calloc ((size_t) (m * ld), sizeof *x);
            float *work = wb_malloc ((size_t) wb_polar_work_floats (m, n) * sizeof *work);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < ld; j++) x[i * ld + j] = j < n ? element (s, i, j) : 77;
            const float *got = wb_polar (k, &ldout, x, work, m, n, ld, STEPS, NULL, NULL);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    worst = fmax (worst, fabs ((double) got[i * ldout + j] - want[i * n + j]));
                    size = fmax (size, fabs (want[i * n + j]));
                }
            T_OK (worst < 1e-4 * size, "whole %d x %d, gap %d: off by %.1e of %.2g", (int) m, (int) n, (int) gap, worst,
                  size);
            bool kept = true;
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = n; j < ld; j++) kept = kept && x[i * ld + j] == 77;
            T_OK (kept, "what lies between the rows is left alone");
            wb_free (want), wb_free (x), wb_free (work);
        }
    float zero[12] = {0}, work[64];
    int64_t ld;
    const float *got = wb_polar (k, &ld, zero, work, 3, 4, 4, 1, NULL, NULL);
    bool all = true;
    for (int i = 0; i < 12; i++) all = all && got[i] == 0;
    T_OK (all, "zeros give zeros");
}

/* ---- grids ------------------------------------------------------------------------------------------------------- */

/* One block a rank, filled up with zeros where the sizes do not divide, as Muon lays them. */
static void test_grid (int rows, int cols) {
    wb_grid_t *g;
    int r, c, rank_row, rank_col;
    if (!T_STATUS (wb_grid_new (&g, world, rows, cols), WB_OK)) return;
    wb_grid_place (g, &r, &c, &rank_row, &rank_col);
    T_OK (r == rows && c == cols && rank_row == wb_comm_rank (world) / cols && rank_col == wb_comm_rank (world) % cols,
          "a place in %d x %d", rows, cols);
    for (int s = 0; s < SHAPES; s++) {
        int64_t m = shapes[s][0], n = shapes[s][1], mb = (m + rows - 1) / rows, nb = (n + cols - 1) / cols;
        wb_blocks_t b = {mb * rows, nb * cols, mb, nb};
        double *want = wanted (s, m, n), worst = 0, size = 0;
        float *x = wb_calloc ((size_t) (mb * nb), sizeof *x);
        float *work = wb_malloc ((size_t) wb_polar_grid_floats (g, &b) * sizeof *work);
        for (int64_t j = 0; j < nb; j++)
            for (int64_t i = 0; i < mb; i++) {
                int64_t gi = rank_row * mb + i, gj = rank_col * nb + j;
                x[j * mb + i] = gi < m && gj < n ? element (s, gi, gj) : 0;
            }
        const float *got = wb_polar_grid (k, g, x, work, &b, STEPS, NULL, NULL);
        for (int64_t j = 0; j < nb; j++)
            for (int64_t i = 0; i < mb; i++) {
                int64_t gi = rank_row * mb + i, gj = rank_col * nb + j;
                double w = gi < m && gj < n ? want[gi * n + gj] : 0;
                worst = fmax (worst, fabs ((double) got[j * mb + i] - w));
                size = fmax (size, fabs (w));
            }
        wb_comm_max_f64 (world, &size, 1);
        T_OK (worst < 1e-4 * size, "%d x %d on %d x %d ranks: off by %.1e of %.2g", (int) m, (int) n, rows, cols, worst,
              size);
        wb_free (want), wb_free (x), wb_free (work);
    }
    wb_grid_destroy (g);
}

/* What a value in (0, 1] becomes. */
static double quintic (double s) {
    for (int i = 0; i < STEPS; i++) s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * s * s * s * s * s;
    return s;
}

static void fill (float *x, const wb_grid_t *g, const wb_blocks_t *b, int seed, double scale) {
    int rows, cols, row, col;
    wb_grid_place (g, &rows, &cols, &row, &col);
    int64_t m = wb_blocks_held (b->rows, b->row_block, row, rows),
            n = wb_blocks_held (b->cols, b->col_block, col, cols);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++)
            x[j * m + i] =
                (float) scale * element (seed, (i / b->row_block * rows + row) * b->row_block + i % b->row_block,
                                         (j / b->col_block * cols + col) * b->col_block + j % b->col_block);
}

/* The oracle: X = U S V^T by psgesvd, so the factor is U f(S) V^T, and the exact one U V^T; both made by psgemm. */
static void test_oracle (int rows, int cols, int64_t m, int64_t n) {
    enum { B = 8 };
    wb_grid_t *g;
    if (!T_STATUS (wb_grid_new (&g, world, rows, cols), WB_OK)) return;
    int64_t r = m < n ? m : n;
    wb_blocks_t a = {m, n, B, B}, u = {m, r, B, B}, v = {r, n, B, B};
    size_t fa = (size_t) wb_grid_floats (g, &a) + 1, fu = (size_t) wb_grid_floats (g, &u) + 1,
           fv = (size_t) wb_grid_floats (g, &v) + 1;
    float *A = wb_calloc (fa, 4), *U = wb_calloc (fu, 4), *V = wb_calloc (fv, 4), *F = wb_calloc (fa, 4),
          *US = wb_calloc (fu, 4), *S = wb_calloc ((size_t) r + 1, 4);
    int64_t floats = wb_grid_svd_floats (g, &a, &u, &v);
    float *work = wb_malloc ((size_t) floats * 4);
    fill (A, g, &a, 3, 1);
    T_OK (wb_grid_svd (g, S, U, &u, V, &v, A, &a, work, floats), "psgesvd converges");
    double sum = 0, low = INFINITY, high = 0, worst = 0;
    for (int64_t i = 0; i < r; i++) sum += (double) S[i] * (double) S[i];
    int prow, pcol, lrow, lcol;
    wb_grid_place (g, &prow, &pcol, &lrow, &lcol);
    int64_t um = wb_blocks_held (m, B, lrow, prow), un = wb_blocks_held (r, B, lcol, pcol);
    for (int64_t j = 0; j < un; j++) {
        double f = quintic ((double) S[(j / B * pcol + lcol) * B + j % B] / sqrt (sum));
        for (int64_t i = 0; i < um; i++) US[j * um + i] = (float) f * U[j * um + i];
    }
    for (int64_t i = 0; i < r; i++) {
        double s = (double) S[i] / sqrt (sum), f = quintic (s);
        if (s < 0.003) continue;
        low = fmin (low, f), high = fmax (high, f);
    }
    T_OK (low > 0.6 && high < 1.3, "%d x %d: singular values of the factor lie in %.3f .. %.3f", (int) m, (int) n, low,
          high);
    wb_grid_gemm (g, F, &a, US, &u, V, &v, false, false, 1, 0);
    double *want = wanted (3, m, n);
    int64_t am = wb_blocks_held (m, B, lrow, prow), an = wb_blocks_held (n, B, lcol, pcol);
    for (int64_t j = 0; j < an; j++)
        for (int64_t i = 0; i < am; i++) {
            int64_t gi = (i / B * prow + lrow) * B + i % B, gj = (j / B * pcol + lcol) * B + j % B;
            worst = fmax (worst, fabs ((double) F[j * am + i] - want[gi * n + gj]));
        }
    T_OK (worst < 1e-4, "%d x %d on %d x %d: the iteration is U f(S) V^T, off by %.1e", (int) m, (int) n, rows, cols,
          worst);
    /* U^T (U V^T) V = I: the exact factor differs from the iteration's by no more than f does from 1 */
    wb_grid_gemm (g, F, &a, U, &u, V, &v, false, false, 1, 0);
    double square[2] = {0, 0};
    for (int64_t j = 0; j < an; j++)
        for (int64_t i = 0; i < am; i++) {
            int64_t gi = (i / B * prow + lrow) * B + i % B, gj = (j / B * pcol + lcol) * B + j % B;
            double d = (double) F[j * am + i] - want[gi * n + gj];
            square[0] += d * d;
        }
    for (int64_t i = 0; i < r; i++) square[1] += pow (quintic ((double) S[i] / sqrt (sum)) - 1, 2);
    wb_comm_sum_f64 (world, square, 1);
    T_OK (fabs (sqrt (square[0]) - sqrt (square[1])) < 1e-3 * sqrt (square[1]) + 1e-4,
          "%d x %d: %.5f from the exact factor, %.5f expected", (int) m, (int) n, sqrt (square[0]), sqrt (square[1]));
    wb_free (A), wb_free (U), wb_free (V), wb_free (F), wb_free (US), wb_free (S);
    wb_free (work), wb_free (want);
    wb_grid_destroy (g);
}

/* ---- who owns which matrix --------------------------------------------------------------------------------------- */

/* Every float of every matrix belongs to one rank, and as many ranks work as can. */
static void test_shares (void) {
    const wb_size_t size = {6, 48, 4, 32, 101};
    const wb_optim_options_t o = {.kind = WB_OPTIM_MUON, .muon_steps = 5, .muon_split_qkv = true};
    for (int dp = 1; dp <= 40; dp += dp < 9 ? 1 : 7)
        for (int shared = 1; shared <= dp && shared <= 16; shared *= 2) {
            wb_layout_t lo;
            wb_params_t *params;
            wb_muon_shares_t *shares;
            const int share[WB_MUON_KINDS] = {shared, 1, shared, shared};
            T_STATUS (wb_layout_init (&lo, dp, 1, 1, 1, size.L, size.H, 0, 0), WB_OK);
            T_STATUS (wb_params_new (&params, &size, &lo), WB_OK);
            if (!T_STATUS (wb_muon_shares_new (&shares, &o, params, dp, share), WB_OK)) return;
            const wb_bucket_plan_t *plan = shares->buckets;
            int64_t end = params->own;
            bool good = plan->n == 24;
            int busy = 0;
            for (int i = 0; i < plan->n; i++) {
                const int64_t *b = plan->bounds + i * (dp + 1);
                good = good && b[0] == 0 && b[dp] == end - plan->begin[i];
                for (int d = 0; d < dp; d++) good = good && b[d] <= b[d + 1];
                end = plan->begin[i];
            }
            for (int d = 0; d < dp; d++) {
                bool works = false;
                for (int i = 0; i < plan->n; i++)
                    works = works || plan->bounds[i * (dp + 1) + d] < plan->bounds[i * (dp + 1) + d + 1];
                busy += works;
            }
            T_OK (good, "%d data ranks, share %d: buckets and pieces cover the matrices", dp, shared);
            int most = shared == 1 ? (dp < 24 ? dp : 24) : dp / shared * shared;
            T_OK (busy >= (most < 18 * shared ? most : 18 * shared), "%d data ranks, share %d: %d ranks work", dp,
                  shared, busy);
            wb_muon_shares_destroy (shares);
            wb_params_destroy (params);
        }
}

int main (void) {
    world = T_BEGIN ();
    ranks = wb_comm_size (world);
    k = wb_kern_get (wb_cpu_isa ());
    test_whole ();
    test_shares ();
    for (int rows = 1; rows <= ranks && ranks > 1 && wb_grid_possible (); rows++) {
        if (ranks % rows != 0) continue;
        test_grid (rows, ranks / rows);
        test_oracle (rows, ranks / rows, 40, 40);
        test_oracle (rows, ranks / rows, 29, 116);
        test_oracle (rows, ranks / rows, 90, 31);
    }
    return T_END ();
}
