/* ranks: 1 2 3 4 6
 * Polar factors of whole matrices and on every grid of the ranks, in fp32 and in bf16, against a plain one in double
 * precision and against the singular values; which rank owns which matrix.  Muon in the trainer: test_layouts.c. */
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

/* bf (X): numbers rounded to bf16, or with half = false as they are. */
static void rounded (double *out, const double *X, int64_t n, bool half) {
    for (int64_t i = 0; i < n; i++) {
        const float x = (float) X[i];
        float y;
        wb_kern_ref ()->bf16_round (&y, &x, 1);
        out[i] = half ? (double) y : X[i];
    }
}

/* X [m, n] = a X + bf (b G + c bf (G)^2) bf (X), G = bf (X) bf (X)^T. */
static void plain (double *X, int64_t m, int64_t n, int steps, bool half) {
    double *G = wb_calloc ((size_t) (m * m), 8), *H = wb_calloc ((size_t) (m * m), 8),
           *Y = wb_calloc ((size_t) (m * n), 8), *Xr = wb_calloc ((size_t) (m * n), 8),
           *Gr = wb_calloc ((size_t) (m * m), 8), sum = 0;
    for (int64_t i = 0; i < m * n; i++) sum += X[i] * X[i];
    for (int64_t i = 0; i < m * n; i++) X[i] /= sqrt (sum);
    for (int step = 0; step < steps; step++) {
        rounded (Xr, X, m * n, half);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) {
                G[i * m + j] = 0;
                for (int64_t r = 0; r < n; r++) G[i * m + j] += Xr[i * n + r] * Xr[j * n + r];
            }
        rounded (Gr, G, m * m, half);
        multiply (H, Gr, Gr, m, m, m);
        for (int64_t i = 0; i < m * m; i++) H[i] = -4.7750 * G[i] + 2.0315 * H[i];
        rounded (Gr, H, m * m, half);
        multiply (Y, Gr, Xr, m, n, m);
        for (int64_t i = 0; i < m * n; i++) X[i] = 3.4445 * X[i] + Y[i];
    }
    wb_free (G), wb_free (H), wb_free (Y), wb_free (Xr), wb_free (Gr);
}

/* The test matrix [m, n] after so many steps; freed by the caller.  turn: it is the columns that are squared, which
 * makes a difference with half. */
static double *wanted (int seed, int64_t m, int64_t n, int steps, bool half, bool turn) {
    double *X = wb_calloc ((size_t) (m * n), sizeof *X), *Y = wb_calloc ((size_t) (m * n), sizeof *Y);
    const int64_t down = turn ? 1 : n, right = turn ? m : 1;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) X[i * down + j * right] = (double) element (seed, i, j);
    plain (X, turn ? n : m, turn ? m : n, steps, half);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) Y[i * n + j] = X[i * down + j * right];
    wb_free (X);
    return Y;
}

static const int64_t shapes[][2] = {{1, 1},   {7, 7},    {48, 48},  {61, 61}, {16, 64},
                                    {64, 16}, {37, 148}, {148, 37}, {5, 3}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* How far a factor is from what it should be: largest difference, largest value there is, and both as root of the sum
 * of squares. */
typedef struct distance {
    double worst, size, square, square_size;
} distance_t;

static void add_difference (distance_t *d, float got, double want) {
    const double off = fabs ((double) got - want);
    d->worst = fmax (d->worst, isfinite (off) ? off : INFINITY);
    d->size = fmax (d->size, fabs (want));
    d->square += off * off;
    d->square_size += want * want;
}

/* In fp32 1e-4 of the largest value.  In bf16 there are three roundings a step, of 2^-8 at most each; a step changes
 * what the ones before it left by a factor around 1, so all together are no more than their sum, in the root mean
 * square. Another order of sums lets values be rounded the other way, and so do all that come after them: no two forms
 * are nearer to each other than to the exact factor. */
static void check_factor (const distance_t *d, bool half, int64_t m, int64_t n, const char *what) {
    const double off = sqrt (d->square / d->square_size);
    if (half)
        T_OK (off <= 3 * STEPS * ldexp (1, -8) && isfinite (off), "%s %d x %d in bf16: off by a part of %.1e", what,
              (int) m, (int) n, off);
    else
        T_OK (d->worst < 1e-4 * d->size, "%s %d x %d: off by %.1e of %.2g", what, (int) m, (int) n, d->worst, d->size);
}

/* ---- whole matrices ---------------------------------------------------------------------------------------------- */

/* The product's result in [m, n] after so many steps, rows ld apart; x and work are freed by the caller. */
static const float *whole (float **x, float **work, int64_t *ldout, int s, int64_t ld, int steps, bool half) {
    const int64_t m = shapes[s][0], n = shapes[s][1];
    const wb_polar_how_t how = {.steps = steps, .bf16 = half};
    *x = wb_calloc ((size_t) (m * ld), sizeof **x);
    *work = wb_malloc ((size_t) wb_polar_work_floats (m, n, ld, half) * sizeof **work);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ld; j++) (*x)[i * ld + j] = j < n ? element (s, i, j) : 77;
    return wb_polar (k, ldout, *x, *work, m, n, ld, &how);
}

static void check_whole (int s, int64_t gap, bool half) {
    const int64_t m = shapes[s][0], n = shapes[s][1], ld = n + gap;
    int64_t ldout;
    double *want = wanted (s, m, n, STEPS, false, false);
    distance_t off = {0};
    float *x, *work;
    const float *got = whole (&x, &work, &ldout, s, ld, STEPS, half);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) add_difference (&off, got[i * ldout + j], want[i * n + j]);
    check_factor (&off, half, m, n, "whole");
    bool kept = true;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = n; j < ld; j++) kept = kept && x[i * ld + j] == 77;
    T_OK (kept, "what lies between the rows is left alone");
    wb_free (want), wb_free (x), wb_free (work);
}

/* C = |A| |B|^T or |A| |B|, [m, p]. */
static void absolute_product (double *C, const double *A, const double *B, int64_t m, int64_t p, int64_t n, bool tb) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < p; j++) {
            double s = 0;
            for (int64_t r = 0; r < n; r++) s += fabs (A[i * n + r] * (tb ? B[j * n + r] : B[r * p + j]));
            C[i * p + j] = s;
        }
}

/* How far a step of X [r, n] in bf16 may be from the exact one, element by element, with u = 2^-8 for each rounding:
 *   dG  = (2 u + u^2) |X| |X|^T                            from bf (X)
 *   dG' = dG + u (|G| + dG)                                bf (G)
 *   dQ  = |b| dG + c (2 |G| dG' + dG' dG')                 |G| and dG' are symmetric, each product its own transpose's
 *   dQ' = dQ + u (|Q| + dQ)                                bf (Q)
 *   dX  = (1 + u) dQ' |X| + u |Q| |X|
 * with |Q| at most |b| |G| + c |G| |G|.  The rounding of fp32 sums is a thousandth of that. */
static void bound_of_step (double *dX, const double *X, int64_t r, int64_t n) {
    const double u = ldexp (1, -8), b = 4.7750, c = 2.0315;
    const size_t square = (size_t) (r * r);
    double *G = wb_calloc (square, 8), *GG = wb_calloc (square, 8), *dG = wb_calloc (square, 8),
           *d2 = wb_calloc (square, 8), *GD = wb_calloc (square, 8), *DG = wb_calloc (square, 8),
           *DD = wb_calloc (square, 8), *Q = wb_calloc (square, 8);
    absolute_product (G, X, X, r, r, n, true); /* an upper bound of |G| */
    for (size_t i = 0; i < square; i++) dG[i] = (2 * u + u * u) * G[i], d2[i] = dG[i] + u * (G[i] + dG[i]);
    absolute_product (GG, G, G, r, r, r, false);
    absolute_product (GD, G, d2, r, r, r, false);
    absolute_product (DG, d2, G, r, r, r, false);
    absolute_product (DD, d2, d2, r, r, r, false);
    for (size_t i = 0; i < square; i++) {
        const double dQ = b * dG[i] + c * (GD[i] + DG[i] + DD[i]);
        Q[i] = b * G[i] + c * GG[i];
        d2[i] = (1 + u) * (dQ + u * (Q[i] + dQ)) + u * Q[i];
    }
    absolute_product (dX, d2, X, r, n, r, false);
    wb_free (G), wb_free (GG), wb_free (dG), wb_free (d2), wb_free (GD), wb_free (DG), wb_free (DD), wb_free (Q);
}

/* One step in bf16: within its bound of the exact one, and nearly what the same roundings give in double precision. */
static void check_step (int s) {
    const int64_t m = shapes[s][0], n = shapes[s][1];
    const bool turn = m >= n;
    const int64_t r = turn ? n : m, longer = turn ? m : n, down = turn ? 1 : n, right = turn ? m : 1;
    int64_t ld;
    float *x, *work;
    const float *got = whole (&x, &work, &ld, s, n, 1, true);
    double *exact = wanted (s, m, n, 1, false, turn), *twin = wanted (s, m, n, 1, true, turn),
           *X = wanted (s, m, n, 0, false, turn), *Y = wb_calloc ((size_t) (m * n), 8),
           *bound = wb_calloc ((size_t) (m * n), 8), most = 0;
    distance_t off = {0}, rounding = {0};
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) Y[i * down + j * right] = X[i * n + j];
    bound_of_step (bound, Y, r, longer);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const double y = (double) got[i * ld + j], slack = 1e-6 * (fabs (y) + fabs (X[i * n + j]));
            most = fmax (most, fabs (y - exact[i * n + j]) / (bound[i * down + j * right] + slack));
            add_difference (&off, got[i * ld + j], twin[i * n + j]);
            add_difference (&rounding, got[i * ld + j], exact[i * n + j]);
        }
    T_OK (most > 0 && most <= 1, "a step of %d x %d in bf16: off by %.2g of its bound", (int) m, (int) n, most);
    T_OK (off.square <= 1e-8 * off.square_size && off.square < 1e-2 * rounding.square,
          "which is its rounding: %.1e off the same in double precision, %.1e off the exact step", sqrt (off.square),
          sqrt (rounding.square));
    wb_free (exact), wb_free (twin), wb_free (X), wb_free (Y), wb_free (bound), wb_free (x), wb_free (work);
}

static void test_whole (bool half) {
    for (int s = 0; s < SHAPES; s++)
        for (int64_t gap = 0; gap < 30; gap += 29) check_whole (s, gap, half);
    for (int s = 0; s < SHAPES && half; s++) check_step (s);
    float zero[12] = {0}, work[128];
    int64_t ld;
    const float *got = wb_polar (k, &ld, zero, work, 3, 4, 4, &(wb_polar_how_t){.steps = 1, .bf16 = half});
    bool all = true;
    for (int i = 0; i < 12; i++) all = all && got[i] == 0;
    T_OK (all, "zeros give zeros");
}

/* ---- grids ------------------------------------------------------------------------------------------------------- */

/* The test matrix after so many steps on the grid, against what it should be.  One block a rank, filled up with zeros
 * where the sizes do not divide, as Muon lays them. */
static void add_grid (distance_t *off, wb_grid_t *g, const wb_blocks_t *b, int s, int steps, bool half,
                      const double *want) {
    int rows, cols, row, col;
    wb_grid_place (g, &rows, &cols, &row, &col);
    const int64_t m = shapes[s][0], n = shapes[s][1], mb = b->row_block, nb = b->col_block;
    float *x = wb_calloc ((size_t) (mb * nb), sizeof *x);
    float *work = wb_malloc ((size_t) wb_polar_grid_floats (g, b) * sizeof *work);
    for (int64_t j = 0; j < nb; j++)
        for (int64_t i = 0; i < mb; i++) {
            int64_t gi = row * mb + i, gj = col * nb + j;
            x[j * mb + i] = gi < m && gj < n ? element (s, gi, gj) : 0;
        }
    const float *got = wb_polar_grid (k, g, x, work, b, &(wb_polar_how_t){.steps = steps, .bf16 = half});
    for (int64_t j = 0; j < nb; j++)
        for (int64_t i = 0; i < mb; i++) {
            int64_t gi = row * mb + i, gj = col * nb + j;
            add_difference (off, got[j * mb + i], gi < m && gj < n ? want[gi * n + gj] : 0);
        }
    double most[2] = {off->worst, off->size}, sums[2] = {off->square, off->square_size};
    wb_comm_max_f64 (world, most, 2), wb_comm_sum_f64 (world, sums, 2);
    *off = (distance_t){most[0], most[1], sums[0], sums[1]};
    wb_free (x), wb_free (work);
}

static void check_grid (wb_grid_t *g, int s, bool half) {
    int rows, cols, row, col;
    wb_grid_place (g, &rows, &cols, &row, &col);
    const int64_t m = shapes[s][0], n = shapes[s][1], mb = (m + rows - 1) / rows, nb = (n + cols - 1) / cols;
    const wb_blocks_t b = {mb * rows, nb * cols, mb, nb};
    const bool turn = b.rows > b.cols;
    double *want = wanted (s, m, n, STEPS, false, false), *twin = wanted (s, m, n, 1, true, turn);
    distance_t off = {0}, step = {0};
    char what[32];
    snprintf (what, sizeof what, "on %d x %d ranks", rows, cols);
    add_grid (&off, g, &b, s, STEPS, half, want);
    check_factor (&off, half, m, n, what);
    if (half) {
        add_grid (&step, g, &b, s, 1, half, twin);
        T_OK (step.square <= 1e-8 * step.square_size, "%s: a step of %d x %d is %.1e of %.1e off the same roundings",
              what, (int) m, (int) n, sqrt (step.square), sqrt (step.square_size));
    }
    wb_free (want), wb_free (twin);
}

static void test_grid (int rows, int cols) {
    wb_grid_t *g;
    int r, c, rank_row, rank_col;
    if (!T_STATUS (wb_grid_new (&g, world, rows, cols), WB_OK)) return;
    wb_grid_place (g, &r, &c, &rank_row, &rank_col);
    T_OK (r == rows && c == cols && rank_row == wb_comm_rank (world) / cols && rank_col == wb_comm_rank (world) % cols,
          "a place in %d x %d", rows, cols);
    for (int s = 0; s < SHAPES; s++) check_grid (g, s, false), check_grid (g, s, true);
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
    double *want = wanted (3, m, n, STEPS, false, false);
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
    test_whole (false), test_whole (true);
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
