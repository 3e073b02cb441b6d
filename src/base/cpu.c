/* Processor: which of our kernels it can run, and how many cores we were given.
 *
 * Not done here: choosing kernels, and which core type the BLAS chose (kernels). */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "wabun/base.h"

static const char *const isa_names[] = {"portable", "avx2", "avx512"};

const char *wb_isa_name (wb_isa isa) { return isa_names[isa]; }

static pthread_once_t once = PTHREAD_ONCE_INIT;
static wb_isa isa_now;
static char name[128];

static wb_isa isa_of_processor (void) {
#ifdef WB_X86
    /* Checks the processor, and that the system saves its registers; the list is that of the compiler flags of kernels.
     */
    __builtin_cpu_init ();
    if (!__builtin_cpu_supports ("avx2") || !__builtin_cpu_supports ("fma")) return WB_ISA_PORTABLE;
    if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw") &&
        __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512vl"))
        return WB_ISA_AVX512;
    return WB_ISA_AVX2;
#else
    return WB_ISA_PORTABLE;
#endif
}

static void find_name (void) {
    FILE *f = fopen ("/proc/cpuinfo", "re");
    char line[256];
    while (f != NULL && name[0] == 0 && fgets (line, sizeof line, f) != NULL) {
        char *value = strchr (line, ':');
        if (value == NULL || (strncmp (line, "model name", 10) != 0 && strncmp (line, "Model Name", 10) != 0)) continue;
        value += 1 + strspn (value + 1, " \t");
        value[strcspn (value, "\n")] = 0;
        snprintf (name, sizeof name, "%.*s", (int) sizeof name - 1, value);
    }
    if (f != NULL) fclose (f);
    struct utsname u;
    if (name[0] == 0) snprintf (name, sizeof name, "%.60s", uname (&u) == 0 ? u.machine : "unknown");
}

static void find (void) {
    find_name ();
    isa_now = isa_of_processor ();
    const char *asked = getenv ("WABUN_ISA");
    if (asked == NULL || asked[0] == 0) return;
    for (int i = WB_ISA_PORTABLE; i <= WB_ISA_AVX512; i++) {
        if (strcmp (asked, isa_names[i]) != 0) continue;
        if ((wb_isa) i > isa_now)
            wb_warn ("WABUN_ISA=%s: this processor has only %s", asked, isa_names[isa_now]);
        else
            isa_now = (wb_isa) i;
        return;
    }
    wb_warn ("WABUN_ISA=%s is none of portable, avx2, avx512: using %s", asked, isa_names[isa_now]);
}

wb_isa wb_cpu_isa (void) {
    pthread_once (&once, find);
    return isa_now;
}

const char *wb_cpu_name (void) {
    pthread_once (&once, find);
    return name;
}

int wb_cpu_cores (void) {
#ifdef HAVE_SCHED_GETAFFINITY
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC ((size_t) cpus);
        if (set == NULL) break;
        size_t bytes = CPU_ALLOC_SIZE ((size_t) cpus);
        int bad = sched_getaffinity (0, bytes, set) != 0 ? errno : 0;
        int n = bad == 0 ? CPU_COUNT_S (bytes, set) : 0;
        CPU_FREE (set);
        if (n > 0) return n;
        if (bad != EINVAL) break; /* EINVAL: the machine has more processors than the set */
    }
#endif
    long n = sysconf (_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int) n : 1;
}
