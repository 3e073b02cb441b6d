/* wabun - panels: a layout for matrices that are read often and never change, in 32, 16 or 8 bits a number.
 *
 * Inference multiplies by them (wb_kern_t.panel_linear).  A matrix A [k, n] in panels: columns 0 .. 31 as [k, 32], then
 * columns 32 .. 63, and so on, so that a thread reads a panel from its first byte to its last.
 *
 * - fp32: as they are, in the same memory; the last panel may be narrower.
 * - bf16: brain floats; a panel is [k / 2][32][2], k rounded up to even.  The product rounds x to brain floats; sums
 * are fp32.
 * - int8: blocks of 32 rows: a scale for each column (a brain float), then [8][32][4] bytes q + 128; a number is q
 * times the scale, -127 <= q <= 127.  8.5 bits a number.  The product rounds x likewise, 32 numbers to a scale; sums of
 * a block are integers, sums of blocks fp32.
 *
 * In bf16 and int8 the last panel is filled with zeros.
 */
#ifndef WABUN_PANELS_H
#define WABUN_PANELS_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Columns of a panel. */
#define WB_PANEL 32
/** Rows of A that have a scale of their own in int8. */
#define WB_INT8_BLOCK 32

/** How the numbers of a matrix in panels are stored. */
typedef enum wb_weights_type { WB_WEIGHTS_FP32, WB_WEIGHTS_BF16, WB_WEIGHTS_INT8 } wb_weights_type;
extern const char *const wb_weights_names[]; /**< "fp32", "bf16", "int8", NULL */

/** A matrix in panels, borrowed. */
typedef struct wb_matrix {
    const void *panels;
    wb_weights_type type;
} wb_matrix_t;

/** How a matrix A [k, n] is stored outside of inference: row by row (a linear), or column by column, which is [n, k]
 * row by row (the output, tied to the embedding). */
typedef enum wb_panels { WB_PANELS_OF_ROWS, WB_PANELS_OF_COLUMNS } wb_panels;

/** fp32 into panels, and back to the same bits, in place; k, n as above, for either form.  Use OpenMP threads.
 * work: wb_panels_work_floats (from, k, n) floats, asked for with the same number of threads. */
void wb_panels_pack (float *A, wb_panels from, float *work, int64_t k, int64_t n);
void wb_panels_unpack (float *A, wb_panels to, float *work, int64_t k, int64_t n);
int64_t wb_panels_work_floats (wb_panels from, int64_t k, int64_t n);

/** Bytes of a matrix [k, n]; a multiple of 64 in bf16 and int8. */
size_t wb_panels_bytes (wb_weights_type type, int64_t k, int64_t n);
/** out [wb_panels_bytes (type, k, n)] = A, rounded to type, which is not fp32.  OpenMP threads. */
void wb_panels_round (void *out, wb_weights_type type, const float *A, wb_panels from, int64_t k, int64_t n);
/** out [count, k] = columns `ids` of A: rows of the embedding. */
void wb_panels_columns (float *out, wb_matrix_t A, const int32_t *ids, int64_t count, int64_t k, int64_t n);
/** Work space of panel_linear for x [m, k]. */
size_t wb_panels_packed_bytes (wb_weights_type type, int64_t m, int64_t k);

#ifdef __cplusplus
}
#endif
#endif
