/* This process in the world, waiting, and the end of all ranks when an MPI call fails.
 *
 * Not done here: surviving a lost rank.  MPI 3 cannot, so a failed call ends all ranks and the job starts again from
 * its last checkpoint. */
#include "config.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm_priv.h"

static int world_rank;
static bool world_threads;
static char world_host[256] = "?";

void wb_world_set (int rank, bool threads) {
    world_rank = rank;
    world_threads = threads;
    if (gethostname (world_host, sizeof world_host - 1) != 0) snprintf (world_host, sizeof world_host, "?");
}

int wb_world_rank (void) { return world_rank; }
bool wb_world_threads (void) { return world_threads; }
const char *wb_comm_host (void) { return world_host; }

void wb_mpi_failed (const char *file, int line, const char *call, int rc) {
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int up = 0, n = 0, name = (int) strcspn (call, " (");
    MPI_Initialized (&up);
    if (!up) /* it has no words yet either */
        wb_abort (file, line, "rank %d on %s: MPI does not start: %.*s failed, error %d", world_rank, world_host, name,
                  call, rc);
    if (MPI_Error_string (rc, text, &n) != MPI_SUCCESS) snprintf (text, sizeof text, "error %d", rc);
    wb_abort (file, line,
              "rank %d on %s: %.*s failed: %s; usually a rank or a node was lost: start again from the last "
              "checkpoint",
              world_rank, world_host, name, call, text);
}

void wb_mpi_wait (MPI_Request *request, MPI_Status *status) {
    int done = 0;
    wb_wait_begin ();
    for (int idle = 0; !done; idle++) {
        if (idle > WB_SPINS) sched_yield ();
        WB_MPI (MPI_Test (request, &done, status));
    }
    wb_wait_end ();
}

void wb_mpi_barrier (MPI_Comm mpi) {
    MPI_Request request;
    WB_MPI (MPI_Ibarrier (mpi, &request));
    wb_mpi_wait (&request, MPI_STATUS_IGNORE);
}

void wb_mpi_bcast (void *data, int bytes, int root, MPI_Comm mpi) {
    MPI_Request request;
    WB_MPI (MPI_Ibcast (data, bytes, MPI_BYTE, root, mpi, &request));
    wb_mpi_wait (&request, MPI_STATUS_IGNORE);
}

int wb_mpi_max (int mine, MPI_Comm mpi) {
    MPI_Request request;
    int max = mine;
    WB_MPI (MPI_Iallreduce (&mine, &max, 1, MPI_INT, MPI_MAX, mpi, &request));
    wb_mpi_wait (&request, MPI_STATUS_IGNORE);
    return max;
}

void wb_mpi_send (const void *data, int bytes, int to, int tag, MPI_Comm mpi) {
    MPI_Request request;
    WB_MPI (MPI_Isend (data, bytes, MPI_BYTE, to, tag, mpi, &request));
    wb_mpi_wait (&request, MPI_STATUS_IGNORE);
}

void wb_mpi_recv (void *data, int bytes, int from, int tag, MPI_Comm mpi) {
    MPI_Request request;
    WB_MPI (MPI_Irecv (data, bytes, MPI_BYTE, from, tag, mpi, &request));
    wb_mpi_wait (&request, MPI_STATUS_IGNORE);
}

void wb_mpi_abort (int code) {
    int up = 0, down = 0;
    MPI_Initialized (&up);
    MPI_Finalized (&down);
    if (up && !down) MPI_Abort (MPI_COMM_WORLD, code);
    _exit (code);
}

const char *wb_comm_library (void) {
    static char name[MPI_MAX_LIBRARY_VERSION_STRING + 1];
    int up = 0, n = 0;
    MPI_Initialized (&up);
    if (!up) return "none";
    if (name[0] == 0) {
        /* "Open MPI v4.1.4, package: ..." and "MPICH Version:\t4.0.2\nMPICH Release date: ..." */
        char full[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
        if (MPI_Get_library_version (full, &n) != MPI_SUCCESS) return "unknown";
        full[strcspn (full, ",\n")] = 0;
        char *v = strstr (full, " Version:"), *digit = strstr (full, " v");
        if (v != NULL) {
            char *rest = v + 9;
            rest += strspn (rest, " \t");
            memmove (v + 1, rest, strlen (rest) + 1);
        } else if (digit != NULL && digit[2] >= '0' && digit[2] <= '9') {
            memmove (digit + 1, digit + 2, strlen (digit + 2) + 1);
        }
        memcpy (name, full, sizeof name);
    }
    return name;
}
