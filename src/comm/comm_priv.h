/* What the files of comm share among themselves: the group, the macro around every MPI call, the tags. */
#ifndef WABUN_COMM_PRIV_H
#define WABUN_COMM_PRIV_H

#include <mpi.h>

#include "wabun/comm.h"

/* The longest message in bytes: MPI counts in int. */
#define WB_MESSAGE_MAX ((size_t) 1 << 29)

/* MPI guarantees tags up to 32767 only.  On a group's own communicator: */
enum {
    WB_TAG_SUM = 1000,   /* small all-reduces */
    WB_TAG_RING = 2000,  /* .. 2000 + WB_TAG_RINGS - 1: ring operations, by number */
    WB_TAG_RINGS = 8192, /* a power of two */
    WB_TAG_LINK = 20000  /* .. 29999: stage links */
};

struct wb_comm {
    MPI_Comm mpi; /* MPI_COMM_NULL in a group of one */
    int rank, size;
    void *scratch; /* WB_SCRATCH_BYTES of what a partner sends in a sum; NULL in a group of one */
};

/* Beyond WB_SUM_SHORT a ring's 2 (ranks - 1) / ranks n floats are less than doubling's log2 (ranks) n; below it, fewer
 * messages are faster. */
#define WB_SCRATCH_BYTES ((size_t) WB_SUM_SHORT * sizeof (float))

/* ---- mpi.c ------------------------------------------------------------------------------------------------------- */

/* Every MPI call goes through here: a failed one ends all ranks, because no rank can know what the others received.
 * What does not return waits for another rank. */
#define WB_MPI(call)                                                                          \
    do {                                                                                      \
        wb_wait_begin ();                                                                     \
        int wb_mpi_rc_ = (call);                                                              \
        wb_wait_end ();                                                                       \
        if (wb_mpi_rc_ != MPI_SUCCESS) wb_mpi_failed (__FILE__, __LINE__, #call, wb_mpi_rc_); \
    } while (0)
void wb_mpi_failed (const char *file, int line, const char *call, int rc) WB_NORETURN;

/* What MPI's blocking calls do, but a rank that waits offers its core to the others: MPICH spins until the kernel takes
 * the core away, so that nothing moves where there are more ranks than cores.  (What makes a communicator or a window
 * has no other form, and still does so.) */
#define WB_SPINS 64 /* fruitless polls before the core is offered to others */
void wb_mpi_wait (MPI_Request *request, MPI_Status *status);
void wb_mpi_barrier (MPI_Comm mpi);
void wb_mpi_bcast (void *data, int bytes, int root, MPI_Comm mpi);
int wb_mpi_max (int mine, MPI_Comm mpi); /* the largest of all ranks */
void wb_mpi_send (const void *data, int bytes, int to, int tag, MPI_Comm mpi);
void wb_mpi_recv (void *data, int bytes, int from, int tag, MPI_Comm mpi);
wb_status wb_mpi_agree (wb_status mine, int rank, int size, MPI_Comm mpi); /* wb_agree() without a group: no memory */

/* Rank in the world, and whether several threads of a rank may call MPI. */
void wb_world_set (int rank, bool threads);
int wb_world_rank (void); /* 0 without a world */
bool wb_world_threads (void);
void wb_mpi_abort (int code); /* a hook for wb_abort_hook() */

/* ---- program.c --------------------------------------------------------------------------------------------------- */

/* Do all ranks run the same build of the program?  Collective over world.  Errors, agreed: WB_EUSAGE. */
wb_status wb_program_check (wb_comm_t *world) WB_NODISCARD;

/* ---- group.c ----------------------------------------------------------------------------------------------------- */

/* A group around `mpi`, which it owns from now on; MPI_COMM_NULL: of one rank.  Memory only, so the status is this
 * rank's own: WB_ENOMEM, and then the communicator is still the caller's. */
wb_status wb_group_new (wb_comm_t **out, MPI_Comm mpi) WB_NODISCARD;
void wb_group_free (wb_comm_t *c); /* without its communicator; NULL is fine */

/* The communicator of the ranks of c (size > 1) on this rank's node, in the order of c: wb_comm_split_node() without
 * the group around it.  Collective over c; errors, agreed: WB_EUSAGE. */
wb_status wb_node_split (MPI_Comm *out, wb_comm_t *c) WB_NODISCARD;

/* ---- memory that the ranks of a node share (shm.c) --------------------------------------------------------------- */

/* Vectors pass through shared memory in rounds: a round takes one part of the vector for each rank of the node (parts
 * may be empty; padded to WB_PART_PAD floats they fit in a block).  Every rank does four things in each round: put its
 * floats of the others' parts; add what the others put of its own part to its own floats; put its finished part; get
 * the others' finished parts.  The first two count their rounds together, so do the last two, and every rank must do
 * the same rounds with the same parts.  None of them waits: false means not yet, call again. */
typedef struct wb_shm wb_shm_t;
typedef struct wb_part {
    int64_t first, count; /* floats of the vector */
    int64_t at;           /* offset in a block, floats */
} wb_part_t;
#define WB_PART_PAD 16
/* block: floats of a round.  *out is NULL on all ranks of the node where there is no such memory; the status is this
 * rank's own, WB_ENOMEM with the reason where it failed.  Collective over `node` (borrowed). */
wb_status wb_shm_new (wb_shm_t **out, MPI_Comm node, int64_t block) WB_NODISCARD;
void wb_shm_destroy (wb_shm_t *s);   /* NULL is fine; collective over the node */
size_t wb_shm_bytes (int64_t block); /* of the segment that each rank allocates */
bool wb_shm_put_parts (wb_shm_t *s, const float *x, const wb_part_t *part);
/* Order of additions: own + next rank's + ... + previous rank's. */
bool wb_shm_add_parts (wb_shm_t *s, float *x, const wb_part_t *part, void (*add) (float *y, const float *x, int64_t n));
bool wb_shm_put_result (wb_shm_t *s, const float *x, const wb_part_t *part);
bool wb_shm_get_results (wb_shm_t *s, float *x, const wb_part_t *part);

#endif
