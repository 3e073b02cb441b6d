/* Names of what is compiled once an instruction set (WB_KERN_ISA = portable, avx2, avx512), and their declarations.
 *
 * KERNEL (scale) is the kernel that becomes the entry `scale` of this instruction set's table; its type is the
 * entry's. */
#ifndef WABUN_KERNELS_ISA_H
#define WABUN_KERNELS_ISA_H

#include "kernels/kernels_priv.h"

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_ (a, b)
#define ISA_NAME(stem) CAT (stem, WB_KERN_ISA)
#define KERNEL(entry) ISA_NAME (wb_kern_##entry##_)

#define DECLARE_KERNEL(entry) extern __typeof__ (*((wb_kern_t *) 0)->entry) KERNEL (entry);
WB_KERNELS (DECLARE_KERNEL)

/* peak.c: see wb_isa_kernels_t */
double ISA_NAME (wb_peak_fma_) (int64_t rounds, float *sink);
#if defined(__AVX512F__) && (__GNUC__ >= 10 || (defined(__clang_major__) && __clang_major__ >= 9))
#define WB_PEAK_BF16 /* this compiler knows the instruction */
double ISA_NAME (wb_peak_bf16_) (int64_t rounds, float *sink);
#endif
float ISA_NAME (wb_peak_read_) (const float *p, int64_t n);

#endif
