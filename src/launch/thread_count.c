/* Processors this process may use, and how many threads that makes.
 *
 * The smallest counts of: the affinity mask, shared among the ranks that have the same one; the quota of a control
 * group, shared among the ranks in it; what Slurm granted a task; what Slurm granted on the node, shared among its
 * ranks.  A thread beyond that shares a processor with another one, and OpenMP's barriers then wait for both.
 *
 * Not done here: finding the ranks that share (comm/threads.c). */
#include "config.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wabun/launch.h"

static int slurm_number (const char *name) {
    int64_t n = wb_env_number (name);
    return n > 0 && n <= 1 << 20 ? (int) n : 0;
}

void wb_cores_find (wb_cores_t *out) {
    wb_limits_t limits;
    wb_limits_read (&limits, "");
    memset (out, 0, sizeof *out); /* it is compared and sent as bytes */
    out->cores = wb_cpu_cores ();
    out->quota = limits.cpus;
    out->quota_group = limits.cpus_group;
    out->slurm_task = slurm_number ("SLURM_CPUS_PER_TASK");
    out->slurm_node = slurm_number ("SLURM_CPUS_ON_NODE");
#ifdef HAVE_SCHED_GETAFFINITY
    cpu_set_t *set = CPU_ALLOC (8 * WB_CORE_MASK_BYTES);
    if (set == NULL) return;
    size_t bytes = CPU_ALLOC_SIZE (8 * WB_CORE_MASK_BYTES);
    if (sched_getaffinity (0, bytes, set) == 0)
        memcpy (out->mask, set, bytes < WB_CORE_MASK_BYTES ? bytes : WB_CORE_MASK_BYTES);
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

/* More threads than cores are slow, and a warning says so; hundreds of times more are a typing mistake, or a rank bound
 * to one core that was meant to have a node. */
wb_status wb_threads_check (int64_t asked) {
    enum { TIMES = 16 };
    const int64_t threads = asked > 0 ? asked : wb_threads_env ();
    const int cores = wb_cpu_cores ();
    if (threads <= (int64_t) TIMES * cores) return WB_OK;
    return WB_FAIL (WB_EUSAGE,
                    "%s%lld threads in a process that may use %d %s: %d at most; if there are more cores, check the "
                    "binding (mpirun --bind-to none, srun --cpus-per-task)",
                    asked > 0 ? "" : "OMP_NUM_THREADS: ", (long long) threads, cores, cores == 1 ? "core" : "cores",
                    TIMES * cores);
}

static double min_of (double a, double b) { return a < b ? a : b; }

int wb_cores_share (const wb_cores_t *c, int mask_sharers, int quota_sharers, int node_ranks) {
    double share = (double) c->cores / mask_sharers;
    if (c->quota > 0) share = min_of (share, c->quota / quota_sharers);
    if (c->slurm_task > 0) share = min_of (share, c->slurm_task);
    if (c->slurm_node > 0) share = min_of (share, (double) c->slurm_node / node_ranks);
    return share >= 1 ? (int) share : 1;
}

int wb_threads_choose (int64_t asked, int share) {
    const int64_t threads = asked > 0 ? asked : wb_threads_env ();
    return threads > 0 ? (int) threads : share;
}

int wb_threads_alone (void) {
    wb_cores_t c;
    wb_launcher_t l;
    wb_cores_find (&c);
    wb_launcher_find (&l);
    /* Tasks that are not bound all have the whole node in their mask. */
    const bool bound = c.cores < sysconf (_SC_NPROCESSORS_ONLN);
    return wb_cores_share (&c, bound ? 1 : l.local_ranks, l.local_ranks, l.local_ranks);
}

/* More threads than cores, to be reported later; empty: no. */
static char crowd[96];

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
