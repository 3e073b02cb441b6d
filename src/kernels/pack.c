/* The layout in which inference keeps its matrices: panels of WB_PANEL columns, one after the other, each stored row by
 * row.  A matrix takes the same memory in either form, so it is converted in place and back.
 *
 * Not here: the products (panel.c). */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/kernels_priv.h"

/* Columns of the panel that begins with column j. */
static int64_t width_at (int64_t n, int64_t j) { return n - j < WB_PANEL ? n - j : WB_PANEL; }

int64_t wb_panels_work_floats (wb_panels from, int64_t k, int64_t n) {
    return from == WB_PANELS_OF_ROWS ? k * n : (int64_t) wb_kern_threads () * WB_PANEL * k;
}

/* out [columns, rows] = in [rows, columns], rows ldo and ldi floats apart. */
static void transpose (float *out, int64_t ldo, const float *in, int64_t ldi, int64_t rows, int64_t columns) {
    for (int64_t j0 = 0; j0 < columns; j0 += 16) /* all of a cache line of `in` is used before it is evicted */
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = j0; j < columns && j < j0 + 16; j++) out[j * ldo + i] = in[i * ldi + j];
}

static void of_rows (float *A, float *work, int64_t k, int64_t n, bool back) {
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t r = 0; r < k; r++) memcpy (work + r * n, A + r * n, (size_t) n * sizeof (float));
#pragma omp for schedule(static)
        for (int64_t j = 0; j < n; j += WB_PANEL) {
            const int64_t width = width_at (n, j);
            for (int64_t r = 0; r < k; r++) {
                float *row = back ? A + r * n + j : A + j * k + r * width;
                const float *from = back ? work + j * k + r * width : work + r * n + j;
                memcpy (row, from, (size_t) width * sizeof (float));
            }
        }
    }
}

/* A panel replaces its columns in place. */
static void of_columns (float *A, float *work, int64_t k, int64_t n, bool back) {
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < n; j += WB_PANEL) {
        const int64_t width = width_at (n, j);
        float *mine = work + omp_get_thread_num () * WB_PANEL * k, *at = A + j * k;
        memcpy (mine, at, (size_t) (width * k) * sizeof (float));
        if (back)
            transpose (at, k, mine, width, k, width);
        else
            transpose (at, width, mine, k, width, k);
    }
}

void wb_panels_pack (float *A, wb_panels from, float *work, int64_t k, int64_t n) {
    (from == WB_PANELS_OF_ROWS ? of_rows : of_columns) (A, work, k, n, false);
}

void wb_panels_unpack (float *A, wb_panels to, float *work, int64_t k, int64_t n) {
    (to == WB_PANELS_OF_ROWS ? of_rows : of_columns) (A, work, k, n, true);
}

void wb_panels_columns (float *out, const float *A, const int32_t *ids, int64_t count, int64_t k, int64_t n) {
#pragma omp parallel for schedule(static) if (count > 8)
    for (int64_t i = 0; i < count; i++) {
        const int64_t first = ids[i] / WB_PANEL * WB_PANEL, width = width_at (n, first);
        const float *a = A + first * k + (ids[i] - first);
        for (int64_t r = 0; r < k; r++) out[i * k + r] = a[r * width];
    }
}
