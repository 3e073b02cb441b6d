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

/* The communicator of the ranks of c (size > 1) on this rank's node, in the order of c: wb_comm_split_node() without
 * the group around it.  Collective over c; errors, agreed: WB_EUSAGE. */
wb_status wb_node_split (MPI_Comm *out, wb_comm_t *c) WB_NODISCARD;

/* ---- a window of memory that the ranks of a node share (shm.c) --------------------------------------------------- */

/* Vectors go through the window in rounds: a round takes one part of the vector for each rank of the node (parts may be
 * empty; padded to WB_PART_PAD floats they fit in a block).  Four things are done in each, by every rank: share its
 * floats of the others' parts; add what the others shared of its own part to its own; offer its own part; take the
 * others' parts as they offered them.  Sharing and adding count rounds of their own, offering and taking too, and every
 * rank must do the same rounds with the same parts.  None of them waits: false means not yet, call again. */
typedef struct wb_shm wb_shm_t;
typedef struct wb_part {
    int64_t first, count; /* floats of the vector */
    int64_t at;           /* where it lies in a block, floats */
} wb_part_t;
#define WB_PART_PAD 16
/* block: floats of a round.  Collective over `node` (borrowed); the status is this rank's own: WB_ENOMEM. */
wb_status wb_shm_new (wb_shm_t **out, MPI_Comm node, int64_t block) WB_NODISCARD;
void wb_shm_destroy (wb_shm_t *s);   /* NULL is fine; collective over the node */
size_t wb_shm_bytes (int64_t block); /* of the memory that each rank brings in */
bool wb_shm_share (wb_shm_t *s, const float *x, const wb_part_t *part);
/* Order of additions: own + next rank's + ... + previous rank's. */
bool wb_shm_add (wb_shm_t *s, float *x, const wb_part_t *part, void (*add) (float *y, const float *x, int64_t n));
bool wb_shm_offer (wb_shm_t *s, const float *x, const wb_part_t *part);
bool wb_shm_take (wb_shm_t *s, float *x, const wb_part_t *part);

/* ---- rings ------------------------------------------------------------------------------------------------------- */

/* A flat ring on a communicator that is borrowed: allocation only, so each rank has its own status (WB_ENOMEM). */
wb_status wb_ring_make (wb_ring_t **out, MPI_Comm mpi, int rank, int size, int64_t max_floats, int max_queue,
                        wb_wire wire, int64_t chunk_floats, const wb_ring_ops_t *ops) WB_NODISCARD;
/* The ring of a group, with `add` as the operation, from begin to end. */
void wb_ring_reduce_now (wb_ring_t *r, float *x, int64_t n, void (*add) (float *y, const float *x, int64_t n));

#endif
