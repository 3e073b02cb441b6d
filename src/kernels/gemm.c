/* The matrix product and the libraries behind it.
 *
 * The only file that calls CBLAS and oneDNN, and where our own product by AMX (gemm_amx.c) is chosen.  BLAS is always
 * there; oneDNN, if configure found it, multiplies on processors with AVX-512, where it is faster at nearly every shape
 * of a step (`wabun bench gemm` measures both). oneDNN generates its kernels for the processor at run time, so it does
 * not depend on what BLAS takes the processor for.
 *
 * Which build of which BLAS is linked decides the speed of the whole program, so this file also reports it: Debian's
 * OpenBLAS 0.3.21, for example, takes newer Xeons for a Prescott and is five times slower than it could be.  Acting on
 * that is not done here: main() starts the program again with OPENBLAS_CORETYPE.
 */
#include "config.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "kernels/amx.h"
#include "wabun/kernels.h"

/* OpenBLAS's own functions: absent from other CBLAS libraries, so they may be NULL here. */
#ifdef OPENBLAS_VERSION
#pragma weak openblas_get_config
#pragma weak openblas_get_corename
#pragma weak openblas_get_parallel
#pragma weak openblas_get_num_threads
#pragma weak openblas_set_num_threads
#else
char *openblas_get_config (void) __attribute__ ((weak));
char *openblas_get_corename (void) __attribute__ ((weak));
int openblas_get_parallel (void) __attribute__ ((weak));
int openblas_get_num_threads (void) __attribute__ ((weak));
void openblas_set_num_threads (int num_threads) __attribute__ ((weak));
#endif

/* ---- which library ----------------------------------------------------------------------------------------------- */

static const char *const library_names[] = {"blas", "onednn"};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static wb_gemm_library library;
static bool named; /* somebody asked for it, so that it multiplies brain floats, too */

static bool is_built (wb_gemm_library which) {
#ifdef HAVE_ONEDNN
    return which == WB_GEMM_BLAS || which == WB_GEMM_ONEDNN;
#else
    return which == WB_GEMM_BLAS;
#endif
}

static void choose (void) {
    const char *asked = getenv ("WABUN_GEMM");

    library = is_built (WB_GEMM_ONEDNN) && wb_cpu_isa () == WB_ISA_AVX512 ? WB_GEMM_ONEDNN : WB_GEMM_BLAS;
    if (asked == NULL || asked[0] == 0) return;
    for (int i = 0; i < 2; i++) {
        if (strcmp (asked, library_names[i]) != 0) continue;
        if (is_built ((wb_gemm_library) i))
            library = (wb_gemm_library) i, named = true;
        else
            wb_warn ("WABUN_GEMM=%s: this build has no oneDNN, using %s", asked, library_names[library]);
        return;
    }
    wb_warn ("WABUN_GEMM=%s is none of blas, onednn: using %s", asked, library_names[library]);
}

wb_gemm_library wb_gemm_library_get (void) {
    pthread_once (&once, choose);
    return library;
}

bool wb_gemm_library_set (wb_gemm_library which) {
    pthread_once (&once, choose);
    if (!is_built (which)) return false;
    library = which, named = true;
    return true;
}

const char *wb_gemm_library_name (wb_gemm_library which) { return library_names[which]; }

/* ---- a library for a shape --------------------------------------------------------------------------------------- */

static struct {
    wb_gemm_shape_t shape;
    wb_gemm_library which;
} choices[WB_GEMM_CHOICES];
static int nchoices;

bool wb_gemm_is_free (void) {
    const char *asked = getenv ("WABUN_GEMM");
    return wb_gemm_library_get () == WB_GEMM_ONEDNN && (asked == NULL || asked[0] == 0);
}

void wb_gemm_choose (const wb_gemm_shape_t *shape, wb_gemm_library which) {
    if (nchoices == WB_GEMM_CHOICES || !is_built (which)) return;
    choices[nchoices].shape = *shape;
    choices[nchoices++].which = which;
}

void wb_gemm_choose_none (void) { nchoices = 0; }

static wb_gemm_library library_for (int64_t m, int64_t n, int64_t k, bool ta, bool tb) {
    for (int i = 0; i < nchoices; i++) {
        const wb_gemm_shape_t *s = &choices[i].shape;
        if (s->m == m && s->n == n && s->k == k && s->ta == ta && s->tb == tb) return choices[i].which;
    }
    return wb_gemm_library_get ();
}

/* ---- the product ------------------------------------------------------------------------------------------------- */

#ifdef HAVE_ONEDNN
/* False: there was no memory for its copies, and C is unchanged. */
static bool onednn (float *C, const float *A, const float *B, int64_t m, int64_t n, int64_t k, int64_t ldc, int64_t lda,
                    int64_t ldb, bool ta, bool tb, float alpha, float beta) {
    return dnnl_sgemm (ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, A, lda, B, ldb, beta, C, ldc) == dnnl_success;
}
#else
#define onednn(...) false
#endif

static void multiply (wb_gemm_library which, float *C, const float *A, const float *B, int64_t m, int64_t n, int64_t k,
                      int64_t ldc, int64_t lda, int64_t ldb, bool ta, bool tb, float alpha, float beta) {
    if (which == WB_GEMM_ONEDNN && onednn (C, A, B, m, n, k, ldc, lda, ldb, ta, tb, alpha, beta)) return;
    cblas_sgemm (CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, wb_int (m), wb_int (n),
                 wb_int (k), alpha, A, wb_int (lda), B, wb_int (ldb), beta, C, wb_int (ldc));
}

double wb_gemm_seconds (wb_gemm_library which, const wb_gemm_shape_t *s, float *C, const float *A, const float *B) {
    const double start = wb_now ();
    double best = 0;
    for (int i = 0; i < 4 || wb_now () - start < 0.02; i++) {
        const double begin = wb_now ();
        multiply (which, C, A, B, s->m, s->n, s->k, s->n, s->ta ? s->m : s->k, s->tb ? s->k : s->n, s->ta, s->tb, 1, 0);
        const double t = wb_now () - begin;
        if (i > 0 && (best <= 0 || t < best)) best = t; /* the first makes its kernels */
    }
    return best;
}

void wb_gemm (float *C, const float *A, const float *B, int64_t m, int64_t n, int64_t k, int64_t ldc, int64_t lda,
              int64_t ldb, bool ta, bool tb, float alpha, float beta) {
    if (m <= 0 || n <= 0) return;
    if (m == 1 && !ta) { /* one row: sgemm would copy B first, sgemv reads it at the speed of the memory */
        if (beta == 0.0f) memset (C, 0, (size_t) n * sizeof *C);
        cblas_sgemv (CblasRowMajor, tb ? CblasNoTrans : CblasTrans, wb_int (tb ? n : k), wb_int (tb ? k : n), alpha, B,
                     wb_int (ldb), A, 1, beta == 0.0f ? 1.0f : beta, C, 1);
        return;
    }
    multiply (library_for (m, n, k, ta, tb), C, A, B, m, n, k, ldc, lda, ldb, ta, tb, alpha, beta);
}

/* ---- brain floats ------------------------------------------------------------------------------------------------ */

#ifdef HAVE_ONEDNN
/* oneDNN's product of bf16 beside dnnl_sgemm, row-major like it: exported, but in no header, so it may be absent.  With
 * plain matrices it is faster than the primitive dnnl_matmul, needs no object for each shape, and takes either side
 * transposed. */
dnnl_status_t dnnl_gemm_bf16bf16f32 (char ta, char tb, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k, float alpha,
                                     const uint16_t *A, dnnl_dim_t lda, const uint16_t *B, dnnl_dim_t ldb, float beta,
                                     float *C, dnnl_dim_t ldc) __attribute__ ((weak));

static bool onednn_bf16 (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                         int64_t lda, int64_t ldb, bool ta, bool tb, float beta) {
    return dnnl_gemm_bf16bf16f32 (ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, A, lda, B, ldb, beta, C, ldc) ==
           dnnl_success;
}

/* oneDNN knows whether the system lets it use AMX. */
static wb_bf16_unit onednn_unit (void) {
    if (wb_gemm_library_get () != WB_GEMM_ONEDNN || dnnl_gemm_bf16bf16f32 == NULL) return WB_BF16_PLAIN;
    const unsigned isa = dnnl_get_effective_cpu_isa ();
    if ((isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx) return WB_BF16_AMX;
    return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16 ? WB_BF16_AVX512 : WB_BF16_PLAIN;
}
#else
#define onednn_bf16(...) false
static wb_bf16_unit onednn_unit (void) { return WB_BF16_PLAIN; }
#endif

/* Our own product by AMX: 1.0 to 1.8 times as fast as that of oneDNN 2.6 at the shapes of a step. */
bool wb_amx_chosen (void) {
    pthread_once (&once, choose);
    return !named && wb_amx_get ();
}

wb_bf16_unit wb_bf16_unit_get (void) { return wb_amx_chosen () ? WB_BF16_AMX : onednn_unit (); }

const char *wb_bf16_unit_name (wb_bf16_unit unit) {
    static const char *const names[] = {"plain C", "AVX-512 BF16", "AMX"};
    return names[unit];
}

enum { PLAIN = 128 }; /* rows and columns of the plain twin's blocks */

static void unpack_block (float *out, const uint16_t *in, int64_t rows, int64_t columns, int64_t ld) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            const uint32_t bits = (uint32_t) in[i * ld + j] << 16;
            memcpy (&out[i * PLAIN + j], &bits, sizeof bits);
        }
}

static void plain_bf16 (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                        int64_t lda, int64_t ldb, bool ta, bool tb, float beta) {
    float a[PLAIN * PLAIN], b[PLAIN * PLAIN];
    for (int64_t j = 0; j < n; j += PLAIN) {
        const int64_t columns = n - j < PLAIN ? n - j : PLAIN;
        for (int64_t p = 0; p < k; p += PLAIN) {
            const int64_t deep = k - p < PLAIN ? k - p : PLAIN;
            unpack_block (b, tb ? B + j * ldb + p : B + p * ldb + j, tb ? columns : deep, tb ? deep : columns, ldb);
            for (int64_t i = 0; i < m; i += PLAIN) {
                const int64_t rows = m - i < PLAIN ? m - i : PLAIN;
                unpack_block (a, ta ? A + p * lda + i : A + i * lda + p, ta ? deep : rows, ta ? rows : deep, lda);
                wb_gemm (C + i * ldc + j, a, b, rows, columns, deep, ldc, PLAIN, PLAIN, ta, tb, 1, p > 0 ? 1 : beta);
            }
        }
    }
}

void wb_gemm_bf16 (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                   int64_t lda, int64_t ldb, bool ta, bool tb, float beta) {
    if (m <= 0 || n <= 0) return;
#ifdef WB_AMX
    if (wb_amx_chosen () && wb_amx_gemm (C, A, B, m, n, k, ldc, lda, ldb, ta, tb, beta)) return;
#endif
    if (onednn_unit () != WB_BF16_PLAIN && onednn_bf16 (C, A, B, m, n, k, ldc, lda, ldb, ta, tb, beta)) return;
    plain_bf16 (C, A, B, m, n, k, ldc, lda, ldb, ta, tb, beta);
}

void wb_gemm_of (float *C, wb_operand_t A, wb_operand_t B, int64_t m, int64_t n, int64_t k, int64_t ldc, int64_t lda,
                 int64_t ldb, bool ta, bool tb, float beta) {
    if (A.half != NULL)
        wb_gemm_bf16 (C, A.half, B.half, m, n, k, ldc, lda, ldb, ta, tb, beta);
    else
        wb_gemm (C, A.f, B.f, m, n, k, ldc, lda, ldb, ta, tb, 1, beta);
}

/* ---- what the BLAS took the processor for ------------------------------------------------------------------------ */

static bool one_of (const char *s, const char *const *list) {
    for (; *list != NULL; list++)
        if (strcmp (s, *list) == 0) return true;
    return false;
}

/* The core type this processor should have, NULL when `core` is good.  Only a DYNAMIC_ARCH build can change it. */
static const char *want_core (const char *config, const char *core) {
    if (strstr (config, "DYNAMIC_ARCH") == NULL) return NULL;
#if defined(__x86_64__) && defined(__GNUC__)
    static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids", "Zen", NULL};
    static const char *const avx2[] = {"Haswell", "Zen", NULL};
    if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw") &&
        __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512vl"))
        return one_of (core, avx512) ? NULL : "SkylakeX";
    if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
        return one_of (core, avx2) ? NULL : "Haswell";
#else
    (void) core;
    (void) one_of;
#endif
    return NULL;
}

void wb_blas_info (wb_blas_info_t *out) {
    static const char *const threading[] = {"serial", "pthreads", "OpenMP"};
    *out = (wb_blas_info_t){"another CBLAS", "unknown", NULL, "unknown", 1};
    if (openblas_get_config != NULL) out->config = openblas_get_config ();
    if (openblas_get_corename != NULL) out->core = openblas_get_corename ();
    if (openblas_get_config != NULL && openblas_get_corename != NULL) out->want = want_core (out->config, out->core);
    if (openblas_get_parallel != NULL) {
        const int p = openblas_get_parallel ();
        if (p >= 0 && p < 3) out->threading = threading[p];
    }
    if (openblas_get_num_threads != NULL) out->threads = openblas_get_num_threads ();
}

void wb_blas_threads_set (int threads) {
    if (openblas_set_num_threads != NULL) openblas_set_num_threads (threads);
}
