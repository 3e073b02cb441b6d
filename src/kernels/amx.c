/* Whether AMX can be used.
 *
 * Not here: what uses it (gemm_amx.c). */
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
    enum { TILES_AND_BF16 = 1 << 24 | 1 << 22, ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    unsigned a, b, c, d;
    usable = wb_cpu_isa () == WB_ISA_AVX512 && __get_cpuid_count (7, 0, &a, &b, &c, &d) &&
             (d & TILES_AND_BF16) == TILES_AND_BF16 && syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

bool wb_amx_get (void) {
    pthread_once (&once, ask);
    return usable;
}
#else
bool wb_amx_get (void) { return false; }
#endif
