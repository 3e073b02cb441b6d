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

/* An operand of wb_tiles_block (), in brain floats: from one row of a tile to the next, from the first tile to the one
 * below it (A) or beside it (B), from a step of 32 numbers of k to the next. */
typedef struct wb_tiles_operand {
    const uint16_t *at;
    int64_t row, second, step;
} wb_tiles_operand_t;

/* C [32, 32], rows ldc floats apart, = or += A B over `steps` steps: four tiles of C in registers; each step loads two
 * of A, which has rows of 32 numbers of k, and two of B, which has pairs of k of 16 columns. */
static inline __attribute__ ((always_inline)) void wb_tiles_block (float *C, int64_t ldc, wb_tiles_operand_t A,
                                                                   wb_tiles_operand_t B, int64_t steps, bool add) {
    const size_t c = (size_t) ldc * sizeof *C, a = (size_t) A.row * 2, b = (size_t) B.row * 2;
    wb_tiles_sync ();
    if (add) {
        _tile_loadd (0, C, c);
        _tile_loadd (1, C + 16, c);
        _tile_loadd (2, C + 16 * ldc, c);
        _tile_loadd (3, C + 16 * ldc + 16, c);
    } else {
        _tile_zero (0);
        _tile_zero (1);
        _tile_zero (2);
        _tile_zero (3);
    }
    for (int64_t s = 0; s < steps; s++, A.at += A.step, B.at += B.step) {
        _tile_loadd (6, B.at, b);
        _tile_loadd (4, A.at, a);
        _tile_dpbf16ps (0, 4, 6);
        _tile_loadd (7, B.at + B.second, b);
        _tile_dpbf16ps (1, 4, 7);
        _tile_loadd (5, A.at + A.second, a);
        _tile_dpbf16ps (2, 5, 6);
        _tile_dpbf16ps (3, 5, 7);
    }
    _tile_stored (0, C, c);
    _tile_stored (1, C + 16, c);
    _tile_stored (2, C + 16 * ldc, c);
    _tile_stored (3, C + 16 * ldc + 16, c);
}
#endif

#endif
