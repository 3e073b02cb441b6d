/* The world: starting and ending MPI.
 *
 * MPI is started only where a launcher that speaks to it started this process; otherwise the world is one rank, and MPI
 * is never touched.  Environment variables that change bits or the protocol must be the same on every rank: mpirun
 * passes none of them to other hosts unless it is told to (-x), and ranks that differ would hang or drift apart.
 *
 * Not done here: reading the launcher's variables (launch/launcher.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "comm/comm_priv.h"
#include "wabun/launch.h"

/* Variables that all ranks must agree on. */
static const char *const shared_variables[] = {"WABUN_COMM_THREAD", "WABUN_NODE_RANKS", "WABUN_RANK_ORDER", "WABUN_ISA",
                                               "WABUN_GEMM"};

/* Does a world of `size` ranks have all the processes that were started? */
static wb_status check_size (int size) {
    wb_launcher_t l;
    wb_launcher_find (&l);
    if (size >= l.ranks) return WB_OK;
    if (size == 1 && l.srun)
        return WB_FAIL (WB_EUSAGE,
                        "srun started %d single processes that do not know of each other: use srun --mpi=pmix (srun "
                        "--mpi=list shows what this cluster has), or mpirun inside the job script",
                        l.ranks);
    return WB_FAIL (WB_EUSAGE,
                    "the launcher started %d processes but MPI sees %d: start wabun with the mpirun of the MPI "
                    "library it was built with (%s)",
                    l.ranks, size, wb_comm_library ());
}

/* Is a thread of its own asked for, to move messages? */
static bool wants_thread (void) {
    const char *s = getenv ("WABUN_COMM_THREAD");
    return s != NULL && strcmp (s, "1") == 0;
}

/* Start MPI; the size of the world, and the lowest level of threads that a rank got. */
static int start_mpi (int *level) {
    int size, rank, provided;
    WB_MPI (MPI_Init_thread (NULL, NULL, wants_thread () ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED, &provided));
    WB_MPI (MPI_Comm_set_errhandler (MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    WB_MPI (MPI_Comm_set_errhandler (MPI_COMM_SELF, MPI_ERRORS_RETURN));
    WB_MPI (MPI_Comm_size (MPI_COMM_WORLD, &size));
    WB_MPI (MPI_Comm_rank (MPI_COMM_WORLD, &rank));
    wb_world_set (rank, false);
    wb_abort_hook (wb_mpi_abort);
    wb_error_rank (size > 1 ? rank : -1);
    *level = -wb_mpi_max (-provided, MPI_COMM_WORLD);
    wb_world_set (rank, *level == MPI_THREAD_MULTIPLE && wants_thread ());
    return size;
}

/* All ranks leave MPI after a failed start; rank 0 prints first, because the first exit code other than 0 makes the
 * launcher kill the others.  Single processes leave it to main(), which knows the one that prints. */
static void stop_mpi (int size) {
    if (size > 1 && wb_world_rank () == 0) wb_error_print ();
    wb_mpi_barrier (MPI_COMM_WORLD);
    wb_abort_hook (NULL);
    WB_MPI (MPI_Finalize ());
}

/* wabun has threads, though only one of them calls MPI.  The same on all ranks. */
static wb_status check_level (int level) {
    if (level >= MPI_THREAD_FUNNELED) return WB_OK;
    return WB_FAIL (
        WB_EUSAGE,
        "%s lets a process have one thread only (MPI_THREAD_SINGLE), and wabun has several: it needs an MPI "
        "library that was built with threads",
        wb_comm_library ());
}

/* The group of all ranks, on our own communicator: no library that also uses the world can take our messages. */
static wb_status new_group (wb_comm_t **out, int size, int level) {
    MPI_Comm mpi = MPI_COMM_NULL;
    *out = NULL;
    WB_TRY (wb_mpi_agree (check_size (size), wb_world_rank (), size, MPI_COMM_WORLD));
    WB_TRY (check_level (level));
    if (size > 1) {
        WB_MPI (MPI_Comm_dup (MPI_COMM_WORLD, &mpi));
        WB_MPI (MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN));
    }
    wb_status st = wb_mpi_agree (wb_group_new (out, mpi), wb_world_rank (), size, MPI_COMM_WORLD);
    if (st == WB_OK) return WB_OK;
    wb_group_free (*out);
    *out = NULL;
    if (mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
    return st;
}

static wb_status check_environment (wb_comm_t *world) {
    for (size_t i = 0; i < sizeof shared_variables / sizeof *shared_variables; i++) {
        const char *name = shared_variables[i], *value = getenv (name);
        char what[128];
        snprintf (what, sizeof what, "%s (mpirun -x %s passes it to other hosts)", name, name);
        if (value == NULL) value = "";
        WB_TRY (wb_same (world, value, strlen (value), what));
    }
    if (wants_thread () && !wb_world_threads ())
        wb_warn ("WABUN_COMM_THREAD=1: %s does not let several threads call it (no MPI_THREAD_MULTIPLE): messages move "
                 "between kernels only",
                 wb_comm_library ());
    /* Copies of a parameter on several ranks stay equal only where the same kernels compute them. */
    const int64_t isa = wb_cpu_isa ();
    int64_t range[2] = {-isa, isa};
    wb_comm_max_i64 (world, range, 2);
    if (-range[0] != range[1])
        wb_warn ("the processors of the ranks differ (kernels %s to %s): WABUN_ISA=%s makes their results agree",
                 wb_isa_name ((wb_isa) -range[0]), wb_isa_name ((wb_isa) range[1]), wb_isa_name ((wb_isa) -range[0]));
    return WB_OK;
}

wb_status wb_world_new (wb_comm_t **out) {
    wb_launcher_t l;
    wb_launcher_find (&l);
    wb_world_set (l.rank, false); /* as the launcher counts, until MPI is asked */
    *out = NULL;
    if (!l.mpi) {
        wb_world_set (0, false);
        WB_TRY (check_size (1));
        return wb_comm_alone (out);
    }
    int level;
    const int size = start_mpi (&level);
    wb_status st = new_group (out, size, level);
    if (st == WB_OK) st = wb_program_check (*out);
    if (st == WB_OK) st = check_environment (*out);
    if (st == WB_OK) return WB_OK;
    wb_comm_destroy (*out);
    *out = NULL;
    stop_mpi (size);
    return st;
}

void wb_world_destroy (wb_comm_t *world) {
    if (world == NULL) return;
    if (world->rank == 0) wb_error_print ();
    wb_comm_barrier (world); /* no exit code makes the launcher kill a rank that is still at work */
    wb_comm_destroy (world);
    int up = 0, down = 0;
    WB_MPI (MPI_Initialized (&up));
    WB_MPI (MPI_Finalized (&down));
    if (up && !down) {
        wb_abort_hook (NULL);
        WB_MPI (MPI_Finalize ());
    }
}
