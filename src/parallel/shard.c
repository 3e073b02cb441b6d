/* Slices of cut tensors: where the elements of a rank's slice lie in the whole tensor.
 *
 * A slice is a few stretches of the whole: one (a part) when all or whole rows are held, one a row (and part) when
 * columns are cut. wb_param_run() is the only place that knows; initialisation and checkpoints walk slices with it.
 *
 * Not here: which rank holds what (the parameter table), and pieces of slices for the optimizer (gradsync). */
#include "config.h"

#include "wabun/parallel.h"

void wb_param_run (const wb_param_t *p, int64_t *global, int64_t *run, int64_t i) {
    int64_t own = p->own_rows * p->own_cols;
    WB_ASSERT (i >= 0 && i < own);
    if (p->own_cols == p->cols) {
        const int64_t parts = p->axis == 0 ? p->parts : 1, part = own / parts, at = i % part;
        *global = i / part * (p->rows / parts * p->cols) + (p->axis == 0 ? p->row0 * p->cols : 0) + at;
        *run = parts == 1 ? own - i : part - at;
        return;
    }
    int64_t width = p->own_cols / p->parts, row = i / p->own_cols, col = i % p->own_cols;
    int64_t part = col / width, at = col % width;
    *global = row * p->cols + part * (p->cols / p->parts) + p->col0 + at;
    *run = width - at;
}
