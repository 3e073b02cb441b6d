/* Matrices in panels: their rounding, and their products, of every type and instruction set this machine has, against
 * the plain-C twin; a row of a product has the same bits with any other rows and on any number of threads. */
#include <string.h>

#include "t.h"

#include "config.h"
#include "kernels/kernels_priv.h"

enum { CHECKED = 6, MAX_ROWS = 27, MANY = 211 };

static uint64_t stream;

static float *floats (int64_t n, double range) {
    float *p = wb_malloc ((size_t) n * sizeof (float));
    if (p == NULL) exit (4);
    stream++;
    for (int64_t i = 0; i < n; i++) p[i] = (float) (range * (2 * wb_rng_uniform (7, stream, (uint64_t) i) - 1));
    return p;
}
static bool same (const float *a, const float *b, int64_t n) { return memcmp (a, b, (size_t) n * sizeof (float)) == 0; }

/* A [depth, n] in panels of a type; the caller frees it. */
static void *panels_of (wb_weights_type type, const float *A, wb_panels form, int64_t depth, int64_t n) {
    const size_t bytes = wb_panels_bytes (type, depth, n);
    char *P = wb_malloc (bytes + 1);
    if (P == NULL) exit (4);
    P[bytes] = 77;
    if (type != WB_WEIGHTS_FP32) {
        wb_panels_round (P, type, A, form, depth, n);
    } else {
        float *work = floats (wb_panels_work_floats (form, depth, n), 1);
        memcpy (P, A, bytes);
        wb_panels_pack ((float *) (void *) P, form, work, depth, n);
        wb_free (work);
    }
    T_OK (P[bytes] == 77, "%s: written beyond the panels", wb_weights_names[type]);
    return P;
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The numbers of a matrix come back as exactly as their type allows, from either form. */
static void check_rounding (wb_weights_type type, int64_t n, int64_t depth, double range) {
    float *A = floats (depth * n, range), *B = floats (depth * n, 1), *rows = floats (n * depth, 1);
    int32_t *ids = wb_malloc ((size_t) n * sizeof *ids);
    for (int64_t j = 0; j < n; j++)
        for (int64_t q = 0; q < depth; q++) B[q * n + j] = A[j * depth + q];
    void *P = panels_of (type, A, WB_PANELS_OF_COLUMNS, depth, n),
         *Q = panels_of (type, B, WB_PANELS_OF_ROWS, depth, n);
    T_OK (memcmp (P, Q, wb_panels_bytes (type, depth, n)) == 0, "%s: panels of columns are those of rows",
          wb_weights_names[type]);
    for (int64_t j = 0; j < n; j++) ids[j] = (int32_t) (n - 1 - j);
    wb_panels_columns (rows, (wb_matrix_t){P, type}, ids, n, depth, n);
    double worst = 0;
    for (int64_t j = 0; j < n; j++)
        for (int64_t q = 0; q < depth; q++) {
            const double x = (double) A[ids[j] * depth + q], off = fabs ((double) rows[j * depth + q] - x);
            double most = 0; /* of the block */
            for (int64_t i = q / 32 * 32; i < depth && i < q / 32 * 32 + 32; i++)
                most = fmax (most, fabs ((double) A[ids[j] * depth + i]));
            const double allowed = type == WB_WEIGHTS_FP32   ? 0
                                   : type == WB_WEIGHTS_BF16 ? ldexp (fabs (x), -8)
                                                             : 0.5 * most / 127 * (1 + ldexp (1, -7));
            worst = fmax (worst, off - allowed * 1.0001);
        }
    T_OK (worst <= 0, "%s [%lld, %lld]: %g more than half a step", wb_weights_names[type], (long long) depth,
          (long long) n, worst);
    wb_free (A), wb_free (B), wb_free (rows), wb_free (ids), wb_free (P), wb_free (Q);
}

static void check_unpack (int64_t n, int64_t depth) {
    for (int form = 0; form < 2; form++) {
        float *A = floats (depth * n, 1), *work = floats (wb_panels_work_floats ((wb_panels) form, depth, n), 1);
        void *P = panels_of (WB_WEIGHTS_FP32, A, (wb_panels) form, depth, n);
        wb_panels_unpack (P, (wb_panels) form, work, depth, n);
        T_OK (same (P, A, depth * n), "fp32: panels and back");
        wb_free (A), wb_free (work), wb_free (P);
    }
}

/* Zeros, numbers too small for a scale, the largest, and what is no number. */
static void check_odd_numbers (void) {
    enum { DEPTH = 64, N = 3 };
    float A[N][DEPTH] = {{0}}, out[N * DEPTH];
    const int32_t ids[N] = {0, 1, 2};
    A[0][5] = 1e-40f, A[1][5] = 3.3e38f, A[1][6] = -3.3e38f, A[2][40] = NAN, A[2][0] = 1;
    for (int type = WB_WEIGHTS_BF16; type <= WB_WEIGHTS_INT8; type++) {
        void *P = panels_of ((wb_weights_type) type, A[0], WB_PANELS_OF_COLUMNS, DEPTH, N);
        wb_panels_columns (out, (wb_matrix_t){P, (wb_weights_type) type}, ids, N, DEPTH, N);
        T_OK (fabsf (out[5]) < 1e-38f, "%s: %g is nothing", wb_weights_names[type], (double) out[5]);
        T_OK (fabsf (out[DEPTH + 5] / 3.3e38f - 1) < 0.01f && fabsf (out[DEPTH + 6] / -3.3e38f - 1) < 0.01f,
              "%s: large numbers", wb_weights_names[type]);
        T_OK (fabsf (out[2 * DEPTH] - 1) < 0.01f, "%s: a block is not spoilt by another", wb_weights_names[type]);
        T_OK (type != WB_WEIGHTS_BF16 || isnan (out[2 * DEPTH + 40]), "bf16: NaN stays NaN");
        wb_free (P);
    }
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* Threads for m rows: mostly few, as teams larger than the machine are slow on a busy one. */
static int panel_threads (int64_t m) { return m == 5 ? 4 : m == 7 ? 6 : m == 9 ? 8 : 1 + (int) (m % 3); }

typedef __typeof__ (((wb_kern_t *) 0)->panel_linear) linear_fn;

static void check_product (linear_fn linear, const char *name, wb_weights_type type, int64_t n, int64_t depth) {
    const wb_kern_t *ref = wb_kern_ref ();
    const int threads = wb_kern_threads ();
    float *x = floats (MANY * depth, 1), *A = floats (depth * n, 1), *b = floats (n, 1), *y0 = floats (MANY * n, 1),
          *one = floats (MANY * n, 1), *y = floats (MANY * n, 1), *want = floats (MANY * n, 1);
    void *P = panels_of (type, A, WB_PANELS_OF_ROWS, depth, n),
         *packed = wb_malloc (wb_panels_packed_bytes (type, MANY, depth));
    const wb_matrix_t M = {P, type};
    for (int64_t i = 0; i < depth; i++) x[3 * depth + i] = 0, x[4 * depth + i] *= 8.0f;
    for (int how = 0; how < 4; how += 3) { /* without a bias, set; with one, added */
        const float *bias = how % 2 != 0 ? b : NULL;
        memcpy (want, y0, (size_t) (CHECKED * n) * sizeof (float));
        ref->panel_linear (want, x, M, bias, NULL, CHECKED, n, depth, how >= 2);
        memcpy (one, y0, (size_t) (MANY * n) * sizeof (float));
        for (int64_t i = 0; i < MANY; i++) linear (one + i * n, x + i * depth, M, bias, packed, 1, n, depth, how >= 2);
        T_NEAR (one, want, CHECKED * n, 1e-5, 1e-5 * sqrt ((double) depth));
        for (int64_t m = 1; m <= MAX_ROWS + 1; m++) {
            const int64_t rows = m > MAX_ROWS ? MANY : m;
            wb_kern_threads_set (panel_threads (m));
            memcpy (y, y0, (size_t) (MANY * n) * sizeof (float));
            linear (y, x, M, bias, packed, rows, n, depth, how >= 2);
            T_OK (same (y, one, rows * n), "%s, %s: a row of %d is not the row alone", name, wb_weights_names[type],
                  (int) rows);
            T_OK (same (y + rows * n, y0 + rows * n, (MANY - rows) * n), "%s, %s: %d rows", name,
                  wb_weights_names[type], (int) rows);
        }
    }
    wb_kern_threads_set (threads);
    wb_free (x), wb_free (A), wb_free (b), wb_free (y0), wb_free (one), wb_free (y), wb_free (want), wb_free (P);
    wb_free (packed);
}

/* The twin itself, in the types that round nothing more: against sums of products. */
static void check_twin (int64_t n, int64_t depth) {
    float *x = floats (2 * depth, 1), *A = floats (depth * n, 1), *y = floats (2 * n, 1), *want = floats (2 * n, 1);
    void *P = panels_of (WB_WEIGHTS_FP32, A, WB_PANELS_OF_ROWS, depth, n);
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t q = 0; q < depth; q++) s += (double) x[i * depth + q] * (double) A[q * n + j];
            want[i * n + j] = (float) s;
        }
    wb_kern_ref ()->panel_linear (y, x, (wb_matrix_t){P, WB_WEIGHTS_FP32}, NULL, NULL, 2, n, depth, false);
    T_NEAR (y, want, 2 * n, 1e-6, 1e-6);
    wb_free (x), wb_free (A), wb_free (y), wb_free (want), wb_free (P);
}

/* How far the product of a type is from that of fp32, as a share of the root mean square: the roundings are
 * independent, so it is about that of one number. */
static void check_error (wb_weights_type type, double most) {
    enum { N = 64, DEPTH = 768 };
    float *x = floats (DEPTH, 1), *A = floats (DEPTH * N, 1), *y = floats (N, 1), *exact = floats (N, 1);
    void *P = panels_of (type, A, WB_PANELS_OF_ROWS, DEPTH, N),
         *F = panels_of (WB_WEIGHTS_FP32, A, WB_PANELS_OF_ROWS, DEPTH, N);
    wb_kern_ref ()->panel_linear (y, x, (wb_matrix_t){P, type}, NULL, NULL, 1, N, DEPTH, false);
    wb_kern_ref ()->panel_linear (exact, x, (wb_matrix_t){F, WB_WEIGHTS_FP32}, NULL, NULL, 1, N, DEPTH, false);
    double off = 0, size = 0;
    for (int j = 0; j < N; j++) {
        off += pow ((double) y[j] - (double) exact[j], 2);
        size += pow ((double) exact[j], 2);
    }
    T_OK (sqrt (off / size) < most && off > 0, "%s: %g off", wb_weights_names[type], sqrt (off / size));
    wb_free (x), wb_free (A), wb_free (y), wb_free (exact), wb_free (P), wb_free (F);
}

int main (void) {
    static const int64_t sizes[] = {1, 7, 16, 33, 100};
    check_odd_numbers ();
    check_twin (33, 100), check_twin (1, 1);
    check_error (WB_WEIGHTS_BF16, 0.005), check_error (WB_WEIGHTS_INT8, 0.01);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            check_unpack (sizes[i], sizes[j]);
            for (int type = 0; type < 3; type++)
                check_rounding ((wb_weights_type) type, sizes[i], sizes[j], j == 3 ? 1e-3 : 1);
        }
    for (int isa = 0; isa <= (int) wb_cpu_isa (); isa++) {
        const wb_isa_kernels_t *k = wb_isa_kernels ((wb_isa) isa);
        for (int type = 0; type < 3; type++)
            for (int plain = 0; plain < 2; plain++) {
                const linear_fn linear = plain ? k->panel_linear_plain : k->table.panel_linear;
                if (plain && (type == WB_WEIGHTS_FP32 || isa != WB_ISA_AVX512)) continue; /* the same */
                for (int i = 0; i < 5; i++)
                    for (int j = 0; j < 5; j++)
                        check_product (linear, k->table.name, (wb_weights_type) type, sizes[i], sizes[j]);
                check_product (linear, k->table.name, (wb_weights_type) type, 777, 300);
                check_product (linear, k->table.name, (wb_weights_type) type, 2049, 96);
                check_product (linear, k->table.name, (wb_weights_type) type, 96, 1100);
                check_product (linear, k->table.name, (wb_weights_type) type, 100, 1100);
                check_product (linear, k->table.name, (wb_weights_type) type, 70, 1056);
            }
    }
    return t_done ();
}
