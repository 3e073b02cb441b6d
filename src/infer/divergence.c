/* How far the texts of a way of drawing are from those that people wrote, as two sets of vectors.
 *
 * MAUVE (Pillutla et al., arXiv:2102.01454) puts states of a large model into some hundred bins; with a hundred texts
 * of a small one there is nothing to bin.  The energy distance needs no bins, and is 0 only where both are drawn from
 * one distribution (Székely and Rizzo, Journal of Statistical Planning and Inference 143, 2013): 2 E |X - Y| - E |X -
 * X'| - E |Y - Y'|.  Vectors are taken at length 1, so it is between 0 and 2.
 *
 * Text i of one set and of the other go on from the same context, so places are drawn together for an interval. */
#include "config.h"

#include <math.h>

#include "infer/grid.h"

static double distance (const double *x, const double *y, int64_t C) {
    double xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t i = 0; i < C; i++) xx += x[i] * x[i], yy += y[i] * y[i], xy += x[i] * y[i];
    if (xx == 0.0 || yy == 0.0) return xx == yy ? 0.0 : 1.0;
    return sqrt (fmax (0.0, 2.0 - 2.0 * xy / sqrt (xx * yy)));
}

/* The estimate is the mean over pairs of places i, j of h = |x_i - y_j| + |y_i - x_j| - |x_i - x_j| - |y_i - y_j|.  Of
 * the mean over j alone a place has half of what it takes out of the estimate when it goes: so it counts twice. */
void wb_grid_divergence (double *value, const double *x, const double *y, int64_t n, int64_t C) {
    double all = 0.0;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        value[i] = 0.0;
        for (int64_t j = 0; j < n; j++) {
            if (i == j) continue;
            value[i] += distance (x + i * C, y + j * C, C) + distance (y + i * C, x + j * C, C) -
                        distance (x + i * C, x + j * C, C) - distance (y + i * C, y + j * C, C);
        }
        value[i] /= (double) (n - 1);
    }
    for (int64_t i = 0; i < n; i++) all += value[i] / (double) n;
    for (int64_t i = 0; i < n; i++) value[i] = 2.0 * value[i] - all;
}
