/* comm, inside.  Not installed. */
#ifndef WB_COMM_PRIV_H
#define WB_COMM_PRIV_H

#include <mpi.h>
#include <wabun/comm.h>

/* Bytes and floats of one MPI call: counts are int. */
#define WB_MPI_BYTES ((size_t) 1 << 30)

struct wb_comm {
    MPI_Comm mpi; /* MPI_COMM_NULL in a group of one: MPI is then never called */
    int rank, size;
    bool world;
    char host[64];
};

/* Ends all ranks when an MPI call failed: who, where, which call. */
#define WB_MPI(call) wb_mpi_check ((call), #call, __FILE__, __LINE__)
void wb_mpi_check (int code, const char *call, const char *file, int line);

#endif
