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
/* Is wb_amx_gemm () what multiplies brain floats (gemm.c)? */
bool wb_amx_chosen (void);

/* attention_forward and attention_backward of wb_kern_t for qkv that are brain floats, where wb_amx_attention_fits ():
 * the same work space suffices. */
bool wb_amx_attention_fits (int64_t T, int64_t D);
void wb_amx_attention_forward (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                               int64_t D);
void wb_amx_attention_backward (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                float *work, int64_t B, int64_t T, int64_t H, int64_t D);

/* See wb_isa_kernels_t.bf16. */
double wb_peak_amx (int64_t rounds, float *sink);

#if defined(WB_KERN_AMX) /* in what is compiled with its instructions */
#include <immintrin.h>

/* Sizes of the tiles, as the instruction reads them.  GCC does not know that it does: they must be constants. */
typedef struct wb_tiles {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} wb_tiles_t;

/* All tiles of this thread 16 rows of 64 bytes; _tile_release () ends it. */
static inline void wb_tiles_begin (void) {
    static const wb_tiles_t all = {
        .palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig (&all);
}

/* Before tiles are loaded: for GCC a load of a tile reads no memory, and what was stored could still be to come. */
static inline void wb_tiles_sync (void) { __asm__ volatile("" ::: "memory"); }
#endif

#endif
