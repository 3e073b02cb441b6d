/* What a process finds out at its start: the launcher by its variables, limits of control groups by made-up trees, and
 * how many threads that makes. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>

#include "t.h"
#include "wabun/launch.h"

/* ---- the launcher ------------------------------------------------------------------------------------------------ */

static const char *const variables[] = {"OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "MV2_COMM_WORLD_RANK",
                                        "MV2_COMM_WORLD_SIZE",
                                        "MV2_COMM_WORLD_LOCAL_RANK",
                                        "MV2_COMM_WORLD_LOCAL_SIZE",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "MPI_LOCALRANKID",
                                        "MPI_LOCALNRANKS",
                                        "PMIX_RANK",
                                        "SLURM_PROCID",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_LOCALID",
                                        "SLURM_STEP_ID",
                                        "SLURM_STEP_TASKS_PER_NODE",
                                        "SLURM_NODEID",
                                        "SLURM_JOB_ID",
                                        "SLURM_JOB_END_TIME",
                                        "WABUN_END_TIME",
                                        "PBS_JOBID",
                                        "PJM_JOBID",
                                        "LSB_JOBID",
                                        "SLURM_MEM_PER_NODE",
                                        "SLURM_MEM_PER_CPU",
                                        "SLURM_CPUS_ON_NODE",
                                        "SLURM_CPUS_PER_TASK"};

/* Sets these ("A=1 B=2") and no others. */
static void environment (const char *list) {
    char text[512], *save = NULL;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv (variables[i]);
    snprintf (text, sizeof text, "%s", list);
    for (char *one = strtok_r (text, " ", &save); one != NULL; one = strtok_r (NULL, " ", &save)) {
        char *value = strchr (one, '=');
        *value = 0;
        setenv (one, value + 1, 1);
    }
}

static void launcher (const char *list, const char *name, bool mpi, bool srun, int rank, int ranks, int local_rank,
                      int local_ranks) {
    wb_launcher_t l;
    environment (list);
    wb_launcher_find (&l);
    T_OK ((l.name == NULL ? name == NULL : name != NULL && strcmp (l.name, name) == 0) && l.mpi == mpi &&
              l.srun == srun && l.rank == rank && l.ranks == ranks && l.local_rank == local_rank &&
              l.local_ranks == local_ranks && wb_launcher_rank () == rank,
          "\"%s\" is %s, rank %d of %d, here %d of %d", list, l.name != NULL ? l.name : "none", l.rank, l.ranks,
          l.local_rank, l.local_ranks);
}

static void launchers (void) {
    launcher ("", NULL, false, false, 0, 1, 0, 1);
    launcher ("OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4 "
              "PMIX_RANK=3",
              "Open MPI", true, false, 3, 8, 1, 4);
    launcher ("MV2_COMM_WORLD_RANK=2 MV2_COMM_WORLD_SIZE=4 MV2_COMM_WORLD_LOCAL_RANK=2 MV2_COMM_WORLD_LOCAL_SIZE=4",
              "MVAPICH2", true, false, 2, 4, 2, 4);
    launcher ("PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2", "PMI", true, false, 1, 2, 1, 2);
    launcher ("PMIX_RANK=5", "PMIx", true, false, 5, 1, 0, 1);
    /* srun, with and without a plugin for MPI */
    launcher ("PMIX_RANK=5 SLURM_PROCID=5 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=7 SLURM_LOCALID=1 SLURM_NODEID=2 "
              "SLURM_STEP_TASKS_PER_NODE=2(x3),1",
              "PMIx", true, true, 5, 7, 1, 2);
    launcher ("PMI_RANK=6 PMI_SIZE=7 SLURM_PROCID=6 SLURM_STEP_ID=3 SLURM_STEP_NUM_TASKS=7 SLURM_NODEID=3 "
              "SLURM_STEP_TASKS_PER_NODE=2(x3),1",
              "PMI", true, true, 6, 7, 0, 1);
    launcher ("SLURM_PROCID=3 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=3 SLURM_STEP_TASKS_PER_NODE=4",
              "Slurm", false, true, 3, 4, 3, 4);
    /* mpirun below a step: its own numbers */
    launcher ("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=3 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4",
              "Open MPI", true, false, 1, 2, 0, 1);
    /* a batch script, outside any step */
    launcher ("SLURM_PROCID=0 SLURM_JOB_ID=77", NULL, false, false, 0, 1, 0, 1);
    launcher ("SLURM_PROCID=3 SLURM_STEP_ID=4294967291 SLURM_STEP_NUM_TASKS=4", NULL, false, false, 0, 1, 0, 1);
    /* nonsense */
    launcher ("OMPI_COMM_WORLD_RANK=x PMI_RANK=-1 SLURM_PROCID= SLURM_STEP_ID=1", NULL, false, false, 0, 1, 0, 1);
    launcher ("SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2(x", "Slurm", false,
              true, 0, 2, 0, 1);
    wb_launcher_t l;
    environment ("SLURM_JOB_ID=77 PBS_JOBID=5");
    wb_launcher_find (&l);
    T_OK (l.job != NULL && strcmp (l.job, "77") == 0, "the job's number");
    environment ("");
    wb_launcher_find (&l);
    T_OK (l.job == NULL, "no job");
    T_OK (wb_launcher_end () == -1, "nor its end");
    environment ("SLURM_JOB_END_TIME=1800000000");
    T_OK (wb_launcher_end () == 1800000000, "the end of a job by Slurm");
    environment ("SLURM_JOB_END_TIME=1800000000 WABUN_END_TIME=1700000000");
    T_OK (wb_launcher_end () == 1700000000, "by the job script");
    environment ("WABUN_END_TIME=Unknown");
    T_OK (wb_launcher_end () == -1, "not a number");
    environment ("");
}

/* ---- control groups ---------------------------------------------------------------------------------------------- */

static char root[512];

static void put (const char *path, const char *text) {
    char full[1024], dir[1024];
    snprintf (full, sizeof full, "%s/%s", root, path);
    snprintf (dir, sizeof dir, "%s", full);
    *strrchr (dir, '/') = 0;
    T_STATUS (wb_dir_make (dir), WB_OK);
    FILE *f = fopen (full, "w");
    if (!T_OK (f != NULL, "%s", full)) return;
    fputs (text, f);
    fclose (f);
}

static void fresh (const char *name) {
    snprintf (root, sizeof root, "%s/%s", getenv ("T_TMP") != NULL ? getenv ("T_TMP") : "/tmp", name);
    T_STATUS (wb_dir_remove (root), WB_OK);
}

static void limits (const char *what, double cpus, size_t memory) {
    wb_limits_t l;
    wb_limits_read (&l, root);
    T_OK (l.cpus == cpus && l.memory == memory && (l.cpus_group != 0) == (cpus > 0), "%s: %g processors, %zu bytes",
          what, l.cpus, l.memory);
}

static void version_2 (void) {
    fresh ("none");
    limits ("nothing there", 0, SIZE_MAX);

    fresh ("v2");
    put ("proc/self/cgroup", "0::/job/step/task\n");
    put ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    put ("sys/fs/cgroup/job/step/task/cpu.max", "max 100000\n");
    put ("sys/fs/cgroup/job/step/task/memory.max", "max\n");
    limits ("no limit", 0, SIZE_MAX);
    put ("sys/fs/cgroup/job/cpu.max", "350000 100000\n");
    put ("sys/fs/cgroup/job/memory.max", "1000000\n");
    put ("sys/fs/cgroup/job/memory.current", "700000\n");
    put ("sys/fs/cgroup/job/memory.stat", "anon 600000\nfile 100000\ninactive_file 40000\nactive_file 60000\n");
    limits ("a limit above", 3.5, 400000);
    put ("sys/fs/cgroup/job/step/cpu.max", "50000 100000\n");
    put ("sys/fs/cgroup/job/step/memory.max", "300000");
    limits ("the smallest of nested ones", 0.5, 300000);
    put ("sys/fs/cgroup/job/step/memory.current", "900000\n");
    limits ("more used than allowed", 0.5, 0);

    fresh ("container"); /* the tree begins at the container, the path is the host's */
    put ("proc/self/cgroup", "0::/system.slice/docker-123\n");
    put ("sys/fs/cgroup/cpu.max", "200000 100000\n");
    put ("sys/fs/cgroup/memory.max", "5000\n");
    limits ("a container with the host's path", 2, 5000);
    put ("proc/self/cgroup", "0::/\n");
    limits ("a container with a name space", 2, 5000);
    put ("proc/self/cgroup", "0::/../..\n");
    limits ("a path outside of the container", 0, SIZE_MAX);
}

static void version_1 (void) {
    fresh ("v1");
    put ("proc/self/cgroup", "12:cpuset:/a/b\n7:cpu,cpuacct:/a/b\n4:memory:/a\n1:name=systemd:/x\n");
    put ("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put ("sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    put ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    limits ("no limit in version 1", 0, 9223372036854771712U);
    put ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "400000\n");
    put ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "200000\n");
    put ("sys/fs/cgroup/memory/memory.limit_in_bytes", "65536\n");
    put ("sys/fs/cgroup/memory/memory.usage_in_bytes", "40000\n");
    put ("sys/fs/cgroup/memory/memory.stat", "cache 9\ntotal_inactive_file 10000\ntotal_active_file 0\n");
    limits ("version 1, nested", 2, 35536);

    fresh ("hybrid"); /* memory by version 1, the rest by version 2 */
    put ("proc/self/cgroup", "5:memory:/j\n0::/j\n");
    put ("sys/fs/cgroup/memory/j/memory.limit_in_bytes", "4096\n");
    put ("sys/fs/cgroup/unified/j/cpu.max", "100000 100000\n");
    limits ("both versions", 1, 4096);
}

static void absurd (void) {
    static const char *const cpu[] = {"",
                                      "\n",
                                      "0 100000\n",
                                      "100000 0\n",
                                      "-5 100000\n",
                                      "100000\n",
                                      "abc def\n",
                                      "99999999999999999999999 100000\n",
                                      "1e5 100000\n"};
    static const char *const memory[] = {"", "\n", "0\n", "-1\n", "lots\n", "99999999999999999999999\n", "12kB\n"};
    fresh ("absurd");
    put ("proc/self/cgroup", "0::/j\n");
    for (size_t i = 0; i < sizeof cpu / sizeof *cpu; i++) {
        put ("sys/fs/cgroup/j/cpu.max", cpu[i]);
        limits (cpu[i], 0, SIZE_MAX);
    }
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        put ("sys/fs/cgroup/j/memory.max", memory[i]);
        limits (memory[i], 0, SIZE_MAX);
    }
    put ("proc/self/cgroup", "\n::\n0\n0:\nnonsense\n0::relative\n");
    limits ("a list of groups that makes no sense", 0, SIZE_MAX);
}

/* ---- what follows from it ---------------------------------------------------------------------------------------- */

static void shares (void) {
    wb_cores_t c = {.cores = 8};
    T_OK (wb_cores_share (&c, 1, 1, 1) == 8 && wb_cores_share (&c, 2, 1, 4) == 4, "the mask alone");
    T_OK (wb_cores_share (&c, 3, 1, 3) == 2 && wb_cores_share (&c, 100, 1, 100) == 1, "at least one");
    c.quota = 0.5;
    T_OK (wb_cores_share (&c, 1, 1, 1) == 1, "half a processor is one thread");
    c.quota = 3.5;
    T_OK (wb_cores_share (&c, 1, 1, 1) == 3 && wb_cores_share (&c, 2, 2, 2) == 1, "a quota, alone and shared");
    c.quota = 100;
    T_OK (wb_cores_share (&c, 1, 1, 1) == 8, "a quota beyond the mask");
    c.slurm_task = 2;
    T_OK (wb_cores_share (&c, 1, 1, 1) == 2 && wb_cores_share (&c, 1, 1, 4) == 2, "what Slurm granted a task");
    c.slurm_task = 0;
    c.slurm_node = 6;
    T_OK (wb_cores_share (&c, 1, 1, 1) == 6 && wb_cores_share (&c, 1, 1, 2) == 3, "and on the node");
    unsetenv ("OMP_NUM_THREADS");
    T_OK (wb_threads_choose (0, 3) == 3 && wb_threads_choose (5, 3) == 5, "asked, or the share");
    setenv ("OMP_NUM_THREADS", "4,2", 1);
    T_OK (wb_threads_choose (0, 3) == 4 && wb_threads_choose (5, 3) == 5, "OMP_NUM_THREADS is before the share");
    environment ("SLURM_CPUS_PER_TASK=1");
    T_OK (wb_threads_alone () == 1, "a task with one processor");

    environment ("");
    size_t bytes = wb_mem_free ();
    environment ("SLURM_MEM_PER_NODE=1");
    T_OK (bytes > 0 && wb_mem_free () == 0, "Slurm granted less than this process holds");
    environment ("SLURM_MEM_PER_CPU=2048 SLURM_CPUS_ON_NODE=2");
    T_OK (wb_mem_free () < (size_t) 4 << 30, "memory by processor");
}

static void busy (void) {
    T_OK (wb_wait_is_busy ("8.22 10.08 10.80 10/134 19772\n", 2, 1), "four others a core, for a minute");
    T_OK (!wb_wait_is_busy ("0.10 0.05 0.01 1/134 19772\n", 2, 1), "alone");
    T_OK (!wb_wait_is_busy ("8.22 10.08 10.80 1/134 19772\n", 2, 1), "the others have ended");
    T_OK (!wb_wait_is_busy ("0.40 0.05 0.01 5/134 19772\n", 2, 1), "they have only begun");
    T_OK (!wb_wait_is_busy ("0.10 0.05 0.01 64/934 19772\n", 64, 64), "a job of ours begins on the whole node");
    T_OK (!wb_wait_is_busy ("?", 2, 1), "no such file");
}

int main (void) {
    busy ();
    launchers ();
    version_2 ();
    version_1 ();
    absurd ();
    shares ();
    return T_DONE ();
}
