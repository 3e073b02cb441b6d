/* Processor: the right BLAS kernels, and threads.
 *
 * OpenBLAS chooses its kernels when it is loaded, before main(), by a list of processor models that ends where its
 * release does: a newer processor gets the kernels of a very old one and runs five times slower.  OPENBLAS_CORETYPE
 * overrides the choice, but only from the environment the process was started with.  So the program sets it and starts
 * itself again: exec keeps the process (launchers do not notice), and nothing has been opened yet.  Once only:
 * WABUN_RETUNED holds the core type that OpenBLAS had chosen, and says that it was tried.  Never after MPI started,
 * which does not survive an exec.
 *
 * Where it cannot or must not, products are slow, and people should know.  A command that is about to make products
 * says so, once it has understood what it is to do.  An error of usage comes alone, and so does the answer of a command
 * without products.
 *
 * Not done here: which kernels a processor deserves (kernels/gemm.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wabun/launch.h"

#define CORETYPE "OPENBLAS_CORETYPE"
#define RETUNED "WABUN_RETUNED"

const char *wb_retuned_from (void) { return getenv (RETUNED); }

const char *wb_retuned_note (void) {
    static char note[96];
    const char *from = wb_retuned_from ();
    if (from != NULL) snprintf (note, sizeof note, ", started again: OpenBLAS had chosen %.40s", from);
    return note;
}

/* What wb_retune() could not mend, and more threads than cores, to be reported later; empty: nothing. */
static char slow[512], crowd[96];

void wb_retune (char **argv, bool allowed, const char *core, const char *want) {
    if (want == NULL) return;
    const char *coretype = getenv (CORETYPE), *why = "";
    const bool set = coretype != NULL && coretype[0] != 0; /* empty chooses nothing */
    if (allowed && !set && wb_retuned_from () == NULL) {
        fflush (NULL);
        if (setenv (CORETYPE, want, 1) == 0 && setenv (RETUNED, core, 1) == 0) execv ("/proc/self/exe", argv);
        why = strerror (errno);
        unsetenv (CORETYPE);
        unsetenv (RETUNED);
    }
    const bool ignored = set && strcmp (coretype, want) == 0;
    snprintf (slow, sizeof slow,
              "the BLAS runs its %s kernels, this processor could run %s ones, which are faster: %s" CORETYPE
              "=%s%s%s%s%s",
              core, want, ignored ? "" : "set ", want,
              ignored ? " is set, but this BLAS does not follow it: it needs another build" : "",
              why[0] != 0 ? " (restarting with it failed: " : "", why, why[0] != 0 ? ")" : "");
}

void wb_threads_crowded (int ranks, int threads, int cores) {
    if (ranks == 1)
        snprintf (crowd, sizeof crowd, "%d threads on %d cores", threads, cores);
    else
        snprintf (crowd, sizeof crowd, "%d ranks x %d threads on %d cores", ranks, threads, cores);
}

void wb_threads_warn (void) {
    if (crowd[0] != 0) wb_warn ("%s: expect it to be slow", crowd);
    crowd[0] = 0;
}

void wb_slow_warn (void) {
    wb_threads_warn ();
    if (slow[0] != 0) wb_warn ("%s", slow);
    slow[0] = 0;
}

void wb_hold_streams (void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl (fd, F_GETFD) != -1 || errno != EBADF) continue;
        if (open ("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
    }
}

int wb_launcher_rank (void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv (names[i]);
        if (text != NULL && text[0] >= '0' && text[0] <= '9') return atoi (text);
    }
    return 0;
}

void wb_core_mask (unsigned char mask[WB_CORE_MASK_BYTES]) {
    memset (mask, 0, WB_CORE_MASK_BYTES);
#ifdef HAVE_SCHED_GETAFFINITY
    cpu_set_t *set = CPU_ALLOC (8 * WB_CORE_MASK_BYTES);
    if (set == NULL) return;
    size_t bytes = CPU_ALLOC_SIZE (8 * WB_CORE_MASK_BYTES);
    if (sched_getaffinity (0, bytes, set) == 0)
        memcpy (mask, set, bytes < WB_CORE_MASK_BYTES ? bytes : WB_CORE_MASK_BYTES);
    CPU_FREE (set);
#endif
}

/* The first number is that of the outermost level.  What is not a list of numbers counts as not set, as for OpenMP. */
int64_t wb_threads_env (void) {
    const char *omp = getenv ("OMP_NUM_THREADS");
    int64_t first = 0;
    for (bool more = omp != NULL; more; omp++) {
        char *end;
        const int64_t n = strtoll (omp, &end, 10);
        if (end == omp || n <= 0) return 0;
        end += strspn (end, " \t");
        if (*end != 0 && *end != ',') return 0;
        if (first == 0) first = n;
        more = *end == ',';
        omp = end;
    }
    return first;
}

/* More threads than cores are slow, which a warning tells; hundreds of times more are a slip of the keyboard, or a rank
 * bound to one core that believes it has a node. */
wb_status wb_threads_check (int64_t asked) {
    enum { MOST = 16 };
    const int64_t threads = asked > 0 ? asked : wb_threads_env ();
    const int cores = wb_cpu_cores ();
    if (threads <= (int64_t) MOST * cores) return WB_OK;
    return WB_FAIL (WB_EUSAGE,
                    "%s%lld threads in a process that may use %d %s: %d at most; are there more cores, look at binding "
                    "(mpirun --bind-to none, srun --cpus-per-task)",
                    asked > 0 ? "" : "OMP_NUM_THREADS: ", (long long) threads, cores, cores == 1 ? "core" : "cores",
                    MOST * cores);
}

int wb_threads_choose (int64_t asked, int sharers) {
    const int64_t threads = asked > 0 ? asked : wb_threads_env ();
    const int cores = wb_cpu_cores ();
    if (threads > 0) return (int) threads;
    return cores / sharers > 0 ? cores / sharers : 1;
}
