/* The layout in which inference keeps its matrices: panels of WB_PANEL columns, one after the other, each stored row by
 * row.  In fp32 a matrix takes the same memory in either form, so it is converted in place and back; 16 and 8 bits a
 * number are made of it once.
 *
 * Not here: the products (panel.c). */
#include "config.h"

#include <math.h>
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

/* ---- 16 and 8 bits ----------------------------------------------------------------------------------------------- */

const char *const wb_weights_names[] = {"fp32", "bf16", "int8", NULL};

enum { PAIR = 2 * WB_PANEL * sizeof (uint16_t), BLOCK = WB_PANEL * (sizeof (uint16_t) + WB_INT8_BLOCK) };

static int64_t blocks (int64_t n, int64_t size) { return (n + size - 1) / size; }

size_t wb_panels_bytes (wb_weights_type type, int64_t k, int64_t n) {
    switch (type) {
    case WB_WEIGHTS_BF16: return (size_t) (blocks (n, WB_PANEL) * blocks (k, 2) * PAIR);
    case WB_WEIGHTS_INT8: return (size_t) (blocks (n, WB_PANEL) * blocks (k, WB_INT8_BLOCK) * BLOCK);
    case WB_WEIGHTS_FP32: break;
    }
    return (size_t) (k * n) * sizeof (float);
}

size_t wb_panels_packed_bytes (wb_weights_type type, int64_t m, int64_t k) {
    switch (type) {
    case WB_WEIGHTS_BF16: return (size_t) (m * blocks (k, 2)) * 2 * sizeof (uint16_t);
    case WB_WEIGHTS_INT8: return (size_t) (m * blocks (k, WB_INT8_BLOCK)) * WB_INT8_PACKED;
    case WB_WEIGHTS_FP32: break;
    }
    return (size_t) (m * k) * sizeof (float);
}

/* The smallest brain float that 127 steps of reach x >= 0. */
static uint16_t scale_of (float x) {
    uint32_t u = float_bits (x / 127.0f);
    if ((u & 0xffff) != 0 && u < 0x7f7f0000) u += 0x10000;
    return (uint16_t) (u >> 16);
}

/* Rows from .. from + 31, as far as there are such, of the columns of a panel: [WB_INT8_BLOCK][WB_PANEL], zeros beside.
 */
static void take (float v[WB_INT8_BLOCK][WB_PANEL], const float *A, wb_panels form, int64_t from, int64_t j, int64_t k,
                  int64_t n) {
    const int64_t rows = k - from < WB_INT8_BLOCK ? k - from : WB_INT8_BLOCK, width = width_at (n, j);
    memset (v, 0, WB_INT8_BLOCK * sizeof *v);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++)
            v[r][c] = form == WB_PANELS_OF_ROWS ? A[(from + r) * n + j + c] : A[(j + c) * k + from + r];
}

static void put_bf16 (uint16_t *out, float v[WB_INT8_BLOCK][WB_PANEL], int64_t rows) {
    for (int64_t r = 0; r < rows; r += 2)
        for (int64_t c = 0; c < WB_PANEL; c++, out += 2) out[0] = half_of (v[r][c]), out[1] = half_of (v[r + 1][c]);
}

static void put_int8 (void *out, float v[WB_INT8_BLOCK][WB_PANEL]) {
    uint16_t *scale = out;
    uint8_t *q = (uint8_t *) (scale + WB_PANEL);
    for (int64_t c = 0; c < WB_PANEL; c++) {
        float most = 0;
        for (int64_t r = 0; r < WB_INT8_BLOCK; r++) most = fmaxf (most, fabsf (v[r][c]));
        scale[c] = scale_of (most);
        const float step = bits_float ((uint32_t) scale[c] << 16);
        for (int64_t r = 0; r < WB_INT8_BLOCK; r++) {
            const float x = step > 0 ? v[r][c] / step : 0; /* 0 also of what is too small for a scale, and of NaN */
            q[r / 4 * 4 * WB_PANEL + c * 4 + r % 4] = (uint8_t) (128 + (x == x ? (int) lrintf (x) : 0));
        }
    }
}

void wb_panels_round (void *out, wb_weights_type type, const float *A, wb_panels from, int64_t k, int64_t n) {
    WB_ASSERT (type != WB_WEIGHTS_FP32);
    const int64_t each = (int64_t) wb_panels_bytes (type, k, WB_PANEL);
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < n; j += WB_PANEL) {
        char *at = (char *) out + j / WB_PANEL * each;
        for (int64_t r = 0; r < k; r += WB_INT8_BLOCK) {
            float v[WB_INT8_BLOCK][WB_PANEL];
            take (v, A, from, r, j, k, n);
            if (type == WB_WEIGHTS_BF16)
                put_bf16 ((uint16_t *) (void *) (at + r / 2 * PAIR), v, k - r < WB_INT8_BLOCK ? k - r : WB_INT8_BLOCK);
            else
                put_int8 (at + r / WB_INT8_BLOCK * BLOCK, v);
        }
    }
}

float wb_panels_number (wb_matrix_t A, int64_t r, int64_t j, int64_t k, int64_t n) {
    const int64_t p = j / WB_PANEL, c = j % WB_PANEL;
    if (A.type == WB_WEIGHTS_FP32)
        return ((const float *) A.panels)[p * WB_PANEL * k + r * width_at (n, p * WB_PANEL) + c];
    const char *panel = (const char *) A.panels + (size_t) p * wb_panels_bytes (A.type, k, WB_PANEL);
    if (A.type == WB_WEIGHTS_BF16)
        return bits_float ((uint32_t) ((const uint16_t *) (const void *) panel)[(r / 2 * WB_PANEL + c) * 2 + r % 2]
                           << 16);
    const char *block = panel + r / WB_INT8_BLOCK * BLOCK;
    const uint8_t *q = (const uint8_t *) block + WB_PANEL * sizeof (uint16_t);
    r %= WB_INT8_BLOCK;
    return bits_float ((uint32_t) ((const uint16_t *) (const void *) block)[c] << 16) *
           (float) (q[r / 4 * 4 * WB_PANEL + c * 4 + r % 4] - 128);
}

void wb_panels_columns (float *out, wb_matrix_t A, const int32_t *ids, int64_t count, int64_t k, int64_t n) {
#pragma omp parallel for schedule(static) if (count > 1)
    for (int64_t i = 0; i < count; i++)
        for (int64_t r = 0; r < k; r++) out[i * k + r] = wb_panels_number (A, r, ids[i], k, n);
}
