/* What the files of comm share among themselves: the group, the macro around every MPI call, the tags. */
#ifndef WABUN_COMM_PRIV_H
#define WABUN_COMM_PRIV_H

#include <mpi.h>

#include "wabun/comm.h"

/* No message is longer than this, so that no MPI library has to count bytes beyond its int. */
#define WB_MESSAGE_MAX ((size_t) 1 << 29)

/* MPI promises tags up to 32767 only.  On a group's own communicator: */
enum {
    WB_TAG_USER = 0,     /* .. 999: wb_comm_send */
    WB_TAG_FOLD = 1000,  /* small all-reduces */
    WB_TAG_RING = 2000,  /* .. 2000 + WB_TAG_RINGS - 1: ring operations, by number */
    WB_TAG_RINGS = 8192, /* a power of two */
    WB_TAG_LINK = 20000  /* .. 29999: stage links */
};

struct wb_comm {
    MPI_Comm mpi; /* MPI_COMM_NULL in a group of one */
    int rank, size;
    wb_ring_t *ring; /* the engine of large wb_comm_sum_f32; NULL in a group of one */
    void *scratch;   /* what a partner sends in a small all-reduce */
    size_t scratch_bytes;
    char host[256];
};

/* Every MPI call goes through here: one that fails ends all ranks, because no rank can know what the others got. */
#define WB_MPI(call)                                                                          \
    do {                                                                                      \
        int wb_mpi_rc_ = (call);                                                              \
        if (wb_mpi_rc_ != MPI_SUCCESS) wb_mpi_failed (__FILE__, __LINE__, #call, wb_mpi_rc_); \
    } while (0)
void wb_mpi_failed (const char *file, int line, const char *call, int rc) WB_NORETURN;

/* Rank in the world, 0 without one. */
int wb_world_rank (void);
/* May several threads of a rank call MPI? */
bool wb_world_threads (void);

/* A ring on a communicator that is borrowed: allocation only, so each rank has its own status (WB_ENOMEM). */
wb_status wb_ring_make (wb_ring_t **out, MPI_Comm mpi, int rank, int size, int64_t max_floats, int max_queue,
                        wb_wire wire, int64_t chunk_floats, const wb_ring_ops_t *ops) WB_NODISCARD;
/* The ring of a group, with `add` as the operation, from begin to end. */
void wb_ring_reduce_now (wb_ring_t *r, float *x, int64_t n, void (*add) (float *y, const float *x, int64_t n));

#endif
