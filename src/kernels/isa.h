/* Names of what is compiled once an instruction set (WB_KERN_ISA = portable, avx2, avx512; avx512_units for
 * what has AVX-512 BF16 and VNNI besides), and their declarations.
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

extern __typeof__ (*((wb_kern_t *) 0)->panel_linear) ISA_NAME (wb_panel_linear_plain_); /* see wb_isa_kernels_t */

/* peak.c: see wb_isa_kernels_t */
double ISA_NAME (wb_peak_fma_) (int64_t rounds, float *sink);
float ISA_NAME (wb_peak_read_) (const float *p, int64_t n);

/* Compiled with AVX-512 BF16 and VNNI. */
double wb_peak_bf16_avx512_units (int64_t rounds, float *sink);
double wb_peak_int8_avx512_units (int64_t rounds, float *sink);

#endif
