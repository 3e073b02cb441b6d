/* AMX, inside the kernels: eight tiles of 16 rows of 64 bytes, which products of brain floats are made of.
 *
 * The functions compiled with its instructions may be called only where wb_amx_get () is true. */
#ifndef WABUN_KERNELS_AMX_H
#define WABUN_KERNELS_AMX_H

#include <stdbool.h>
#include <stdint.h>

/* Does the processor have AMX for brain floats, does the system let this process use it, and are the kernels those of
 * AVX-512 (WABUN_ISA)?  Asked once. */
bool wb_amx_get (void);

/* wb_gemm_bf16 () by AMX; false: there was no memory for its copies, and C is unchanged.  Results do not depend on the
 * number of threads. */
bool wb_amx_gemm (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                  int64_t lda, int64_t ldb, bool ta, bool tb, float beta);
/* See wb_isa_kernels_t.bf16. */
double wb_peak_amx (int64_t rounds, float *sink);

#if defined(__AMX_TILE__)
#include <immintrin.h>

/* All tiles of this thread 16 rows of 64 bytes; _tile_release () ends it. */
static inline void wb_tiles_begin (void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int i = 0; i < 8; i++) c.bytes[i] = 64, c.rows[i] = 16;
    _tile_loadconfig (&c);
}
#endif

#endif
