/* Faults of MPI on order, in wabun-faults (faults.c): the kind "mpi" is MPI_Init_thread and what makes windows.
 *
 *   WABUN_FAULT_LEVEL=N[@RANK]   the level of threads that MPI_Init_thread gives at most, 0 (SINGLE) to 3 (MULTIPLE);
 * in the process of that rank (all)
 *
 * MPI_Init_thread that fails is not called.  What is collective is called, and the failing rank hides what it got:
 * so the others come back from it, as from a call of which MPI says on one rank only that it failed. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

static int least (int provided) {
    const char *s = getenv ("WABUN_FAULT_LEVEL"), *at = s != NULL ? strchr (s, '@') : NULL;
    int rank;
    MPI_Comm_rank (MPI_COMM_WORLD, &rank);
    if (s == NULL || (at != NULL && atoi (at + 1) != rank)) return provided;
    const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE};
    const int level = levels[atoi (s) & 3];
    return level < provided ? level : provided;
}

int __real_MPI_Init_thread (int *argc, char ***argv, int required, int *provided);
int __wrap_MPI_Init_thread (int *argc, char ***argv, int required, int *provided);
int __wrap_MPI_Init_thread (int *argc, char ***argv, int required, int *provided) {
    if (fails (MPI, "MPI_Init_thread")) return MPI_ERR_OTHER;
    const int rc = __real_MPI_Init_thread (argc, argv, required, provided);
    if (rc == MPI_SUCCESS) *provided = least (*provided);
    return rc;
}

int __real_MPI_Win_allocate_shared (MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win);
int __wrap_MPI_Win_allocate_shared (MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win);
int __wrap_MPI_Win_allocate_shared (MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win) {
    const int rc = __real_MPI_Win_allocate_shared (size, unit, info, comm, base, win);
    if (!fails (MPI, "MPI_Win_allocate_shared")) return rc;
    *win = MPI_WIN_NULL;
    return MPI_ERR_NO_MEM;
}

#define WRAP(name, args, list) \
    int __real_##name args;    \
    int __wrap_##name args;    \
    int __wrap_##name args { return fails (MPI, #name) ? MPI_ERR_OTHER : __real_##name list; }

WRAP (MPI_Win_set_errhandler, (MPI_Win win, MPI_Errhandler e), (win, e))
WRAP (MPI_Win_lock_all, (int assertion, MPI_Win win), (assertion, win))
WRAP (MPI_Win_shared_query, (MPI_Win win, int rank, MPI_Aint *size, int *unit, void *base),
      (win, rank, size, unit, base))
