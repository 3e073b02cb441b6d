/* The launcher that started this process, by the variables it sets: one table for everybody.
 *
 * Rows are tried in order, the more special first: mpirun below srun sets both its own variables and the step's.
 *
 * Not done here: starting MPI (comm/world.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "wabun/launch.h"

typedef struct row {
    const char *name, *rank, *ranks, *local_rank, *local_ranks;
    bool mpi; /* MPI finds the other processes by it */
} row_t;

static const row_t rows[] = {
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE", true},
    {"MVAPICH2", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE",
     true},
    {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", true}, /* MPICH, Intel MPI, srun --mpi=pmi2 */
    {"PMIx", "PMIX_RANK", "", "", "", true},                                     /* srun --mpi=pmix, prterun */
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "", false},
};
static const char *const jobs[] = {"SLURM_JOB_ID", "PBS_JOBID", "PJM_JOBID", "LSB_JOBID"};

int wb_launcher_grace (void) {
    const int64_t set = wb_env_number ("OMPI_MCA_odls_base_sigkill_timeout");
    if (wb_env_number ("OMPI_COMM_WORLD_SIZE") < 0) return -1;
    return set < 0 ? 1 : set > INT32_MAX ? INT32_MAX : (int) set;
}

int64_t wb_launcher_end (void) {
    const int64_t own = wb_env_number ("WABUN_END_TIME");
    return own > 0 ? own : wb_env_number ("SLURM_JOB_END_TIME");
}

static int number_or (const char *name, int otherwise) {
    int64_t n = wb_env_number (name);
    return n >= 0 && n <= INT32_MAX ? (int) n : otherwise;
}

/* Is this process in a step of srun?  A batch script outside any srun has no step, or one of the numbers that Slurm
 * reserves (SLURM_BATCH_SCRIPT, SLURM_INTERACTIVE_STEP: 0xfffffff0 and above). */
static bool in_step (void) {
    int64_t step = wb_env_number ("SLURM_STEP_ID");
    return step >= 0 && step < 0xfffffff0;
}

/* Tasks of the step on this node, by "2(x3),1": three nodes of 2, one of 1; 0: not told. */
static int step_tasks_here (void) {
    const char *s = getenv ("SLURM_STEP_TASKS_PER_NODE");
    long node = number_or ("SLURM_NODEID", 0), times;
    while (s != NULL && *s >= '0' && *s <= '9') {
        char *end;
        long tasks = strtol (s, &end, 10);
        times = 1;
        if (end[0] == '(' && end[1] == 'x') times = strtol (end + 2, &end, 10);
        if (times < 1 || tasks > INT32_MAX) return 0;
        if (node < times) return (int) tasks;
        node -= times;
        s = strchr (end, ',');
        if (s != NULL) s++;
    }
    return 0;
}

static bool matches (const row_t *row) {
    if (!row->mpi) return in_step () && wb_env_number (row->rank) >= 0;
    return wb_env_number (row->rank) >= 0 || wb_env_number (row->ranks) > 0;
}

void wb_launcher_find (wb_launcher_t *out) {
    const size_t n = sizeof rows / sizeof *rows;
    *out = (wb_launcher_t){.ranks = 1, .local_ranks = 1};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs && out->job == NULL; i++) out->job = getenv (jobs[i]);
    const row_t *row = rows, *slurm = &rows[n - 1];
    while (row < rows + n && !matches (row)) row++;
    if (row == rows + n) return;
    out->name = row->name;
    out->mpi = row->mpi;
    out->rank = number_or (row->rank, 0);
    out->ranks = number_or (row->ranks, 0);
    out->local_rank = number_or (row->local_rank, 0);
    out->local_ranks = number_or (row->local_ranks, 0);
    out->srun = in_step () && row != rows && row != rows + 1;
    if (out->srun) {
        if (out->ranks < 1) out->ranks = number_or (slurm->ranks, 0);
        if (out->local_rank < 1) out->local_rank = number_or (slurm->local_rank, 0);
        if (out->local_ranks < 1) out->local_ranks = step_tasks_here ();
    }
    if (out->ranks < 1) out->ranks = 1;
    if (out->local_ranks < 1) out->local_ranks = 1;
}

int wb_launcher_rank (void) {
    wb_launcher_t l;
    wb_launcher_find (&l);
    return l.rank;
}
