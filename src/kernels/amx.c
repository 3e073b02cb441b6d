/* Whether AMX can be used, and attention by it where it is.
 *
 * Not here: what uses it (gemm_amx.c, attention_amx.c, panel_amx.c). */
#include "config.h"

#include <pthread.h>
#ifdef WB_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/amx.h"
#include "kernels/kernels_priv.h"

#ifdef WB_AMX
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable;

/* The tiles are 8 KiB more for each thread that the system must save, so a process asks for them (Linux 5.16). */
static void ask (void) {
    enum { TILES_AND_BF16 = 1 << 24 | 1 << 22, AVX512_BF16 = 1 << 5, ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    unsigned a, b, c, d;
    usable = wb_cpu_isa () == WB_ISA_AVX512 && __get_cpuid_count (7, 0, &a, &b, &c, &d) &&
             (d & TILES_AND_BF16) == TILES_AND_BF16 && __get_cpuid_count (7, 1, &a, &b, &c, &d) &&
             (a & AVX512_BF16) != 0 && syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

bool wb_amx_get (void) {
    pthread_once (&once, ask);
    return usable;
}
#else
bool wb_amx_get (void) { return false; }
#endif

bool wb_attention_forward_bf16 (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                                int64_t D) {
#ifdef WB_AMX
    if (wb_amx_chosen () && wb_amx_attention_fits (T, D)) {
        wb_amx_attention_forward (out, lse, qkv, work, B, T, H, D);
        return true;
    }
#endif
    return false;
}

bool wb_attention_backward_bf16 (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                 float *work, int64_t B, int64_t T, int64_t H, int64_t D) {
#ifdef WB_AMX
    if (wb_amx_chosen () && wb_amx_attention_fits (T, D)) {
        wb_amx_attention_backward (dqkv, dout, out, lse, qkv, work, B, T, H, D);
        return true;
    }
#endif
    return false;
}
