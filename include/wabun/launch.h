/* wabun - launch: what a process finds out at its start, before MPI: its launcher, its cores, whether its BLAS is the
 * right one.
 */
#ifndef WABUN_LAUNCH_H
#define WABUN_LAUNCH_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the BLAS's kernels (restart.c) ------------------------------------------------------------------------------ */

/** Open /dev/null for standard streams that are closed: else the next file opened would get their number, and messages
 * would be written into it.  It is opened for the wrong direction, so that reading and writing fail, as they do on a
 * closed stream.  The first thing main() does. */
void wb_hold_streams (void);
/** Start the program again, with OMP_WAIT_POLICY set where the machine is busy, or GOMP_SPINCOUNT where the program
 * `stays`, and with OPENBLAS_CORETYPE set when the BLAS took the processor for a lesser one: it runs the kernels `core`
 * and could run `want` (NULL: they are right).  Before MPI starts.  Returns when there is nothing to do, or when it
 * could not be done: wb_slow_warn() then says so. */
void wb_retune (char **argv, bool allowed, bool stays, const char *core, const char *want);
/** Warn of what makes products slow, once: what wb_retune() could not mend, and more threads than cores.  Called by
 * those that make products, once command line, configuration and model are understood, and before results are printed.
 */
void wb_slow_warn (void);
/** The core type that OpenBLAS had chosen before the program started again; NULL: it did not. */
const char *wb_retuned_from (void);
/** The same, to follow the name of the core type in a report: empty, or ", started again: ..."; valid until called
 * again.
 */
const char *wb_retuned_note (void);

/* ---- how threads wait (wait_policy.c) ---------------------------------------------------------------------------- */

/** Is the machine in use by others?  loadavg: a line of /proc/loadavg; ours: how many of its running processes are. */
bool wb_wait_is_busy (const char *loadavg, int cores, int ours);
/** Where the environment says nothing of it, set OMP_WAIT_POLICY=passive on a machine that is, and on another, for a
 * program that stays, GOMP_SPINCOUNT; true: one was set, and the program has to start again.  wb_retune() asks. */
bool wb_wait_choose (bool stays);
/** What is to be said of it; empty: nothing. */
const char *wb_wait_note (void);

/* ---- the launcher (launcher.c) ----------------------------------------------------------------------------------- */

/** The launcher that started this process, by its variables: Open MPI's mpirun, MVAPICH2, PMI (MPICH), PMIx, Slurm. */
typedef struct wb_launcher {
    const char *name;            /**< NULL: none; then rank 0 of 1 */
    bool mpi;                    /**< MPI finds the other processes by it */
    bool srun;                   /**< this process is a task of a step of srun */
    int rank, ranks;             /**< of the processes that were started together; ranks 1 where it does not tell */
    int local_rank, local_ranks; /**< the same on this node */
    const char *job;             /**< the batch system's job number, borrowed; NULL: none */
} wb_launcher_t;
void wb_launcher_find (wb_launcher_t *out);
/** T: at Ctrl-C or SIGTERM, Open MPI's mpirun (4.1) sends its ranks SIGCONT at once, SIGTERM T seconds later, and
 * SIGKILL after T more; -1: another launcher, or none.  Only mpirun's own environment and command line set it, which
 * the ranks see. */
int wb_launcher_grace (void);
/** Seconds since 1970 at which the job ends, by WABUN_END_TIME (jobs/train.sbatch asks Slurm for it) or the
 * SLURM_JOB_END_TIME of newer Slurms; -1: not known. */
int64_t wb_launcher_end (void);
/** Its rank alone. */
int wb_launcher_rank (void);

/* ---- processors and threads (thread_count.c) --------------------------------------------------------------------- */

#define WB_CORE_MASK_BYTES 512
/** The processors this process may use; plain data, so that ranks can compare theirs. */
typedef struct wb_cores {
    unsigned char mask[WB_CORE_MASK_BYTES]; /**< affinity mask, as bits; zeros where the system does not tell */
    int cores;                              /**< processors in it */
    int slurm_task, slurm_node;             /**< processors that Slurm granted a task, and on this node; 0: not told */
    double quota;                           /**< processors' worth of time by a control group; 0: no limit */
    uint64_t quota_group;                   /**< which group */
} wb_cores_t;
void wb_cores_find (wb_cores_t *out);
/** The processors for one rank, at least 1, where `mask_sharers` ranks have the same mask, `quota_sharers` the same
 * quota group, and the node has `node_ranks`. */
int wb_cores_share (const wb_cores_t *c, int mask_sharers, int quota_sharers, int node_ranks);

/** Threads by OMP_NUM_THREADS; 0: it does not say. */
int64_t wb_threads_env (void);
/** Remember that there are more threads than cores, for wb_threads_warn(). */
void wb_threads_crowded (int ranks, int threads, int cores);
/** Warn, once, where there are more threads than cores; wb_slow_warn() does so as well. */
void wb_threads_warn (void);
/** WB_EUSAGE where `asked` threads, or for 0 those of OMP_NUM_THREADS, are absurdly many for the cores of this process.
 * Not collective. */
wb_status wb_threads_check (int64_t asked) WB_NODISCARD;
/** `asked` threads, or for 0 OMP_NUM_THREADS, or where that is not set `share`. */
int wb_threads_choose (int64_t asked, int share);
/** wb_cores_share() of a process that talks to no other: its launcher's tasks on this node share what is the node's. */
int wb_threads_alone (void);

#ifdef __cplusplus
}
#endif
#endif
