/* wabun - comm: ranks.  The only room that calls MPI.
 *
 * A group of ranks is a wb_comm_t, passed in, never global.  Calls that move data return no status: a failed MPI call
 * means a broken network, and ends all ranks with who, where and which call (exit 70).  Everything else that can go
 * wrong is a status, agreed on over the group (wb_agree), so no rank ever leaves alone.
 *
 * A group of one rank never touches MPI: programs that were not started by a launcher run without it.
 */
#ifndef WABUN_COMM_H
#define WABUN_COMM_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- groups (world.c, group.c) ----------------------------------------------------------------------------------- */

typedef struct wb_comm wb_comm_t;

/** The world.  Starts MPI only where a launcher with MPI started this process (wb_launcher_find()); otherwise a world
 * of one.  Of MPI's levels of threads it asks for FUNNELED, with WABUN_COMM_THREAD=1 for MULTIPLE; the lowest that a
 * rank gets is everybody's.  Collective over all processes.  Also sets the abort hook of base, and the rank of the
 * error record.  Errors, agreed: WB_EUSAGE when the launcher started more tasks than the world has (srun without a
 * matching PMI plugin starts N singletons; the message names the remedy), when MPI lets a process have one thread only
 * (SINGLE), and when WABUN_COMM_THREAD, WABUN_NODE_RANKS,
 * WABUN_RANK_ORDER, WABUN_ISA or WABUN_GEMM differs between ranks, or the build of the program; WB_ENOMEM.  Warns when
 * the processors of the ranks run different kernels, and when MPI has no MULTIPLE for WABUN_COMM_THREAD. */
wb_status wb_world_new (wb_comm_t **out) WB_NODISCARD;
/** Ends MPI.  Collective over the world. */
void wb_world_destroy (wb_comm_t *world);
/** A group of this process alone, which never touches MPI, whether there is a world or not: what a program of one
 * process passes to functions that are collective.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_comm_alone (wb_comm_t **out) WB_NODISCARD;
/** Ranks with the same `color` (>= 0) form a group, ordered by `key`; color < 0: *out = NULL.  Collective over
 * `parent`. */
wb_status wb_comm_split (wb_comm_t **out, wb_comm_t *parent, int color, int key) WB_NODISCARD;
/** The ranks of `parent` that share this rank's memory (node), in the order of parent.  WABUN_NODE_RANKS=k in the
 * environment divides a node into smaller ones: world ranks r and s count as one node only where r / k = s / k (one
 * node per socket, say; or many nodes on one machine, for tests).  Collective over `parent`.  Errors: WB_EUSAGE when
 * WABUN_NODE_RANKS is not a whole number above 0. */
wb_status wb_comm_split_node (wb_comm_t **out, wb_comm_t *parent) WB_NODISCARD;
void wb_comm_destroy (wb_comm_t *c); /**< NULL is fine; collective over c */
int wb_comm_rank (const wb_comm_t *c);
int wb_comm_size (const wb_comm_t *c);
/** Call a library's C function that takes an MPI communicator, `int take (MPI_Comm)`, with the group's own, which stays
 * the group's; returns what it returned.  For libraries that talk among ranks themselves (BLACS).  A group of more than
 * one rank.  Collective over c where the library's function is. */
int wb_comm_lend (const wb_comm_t *c, int (*take) (void));
/** Host name of the own node; borrowed. */
const char *wb_comm_host (void);
/** "Open MPI 4.1.4", "none"; borrowed. */
const char *wb_comm_library (void);

/** Threads a rank should use: `asked`, or for 0 OMP_NUM_THREADS, or where that is not set its share of the node's
 * processors (wb_cores_share()).  wb_threads_warn() reports a node with more threads than cores.  The caller passes the
 * number to the kernels.  Collective over world.  Errors: WB_EUSAGE, WB_ENOMEM; agreed. */
wb_status wb_comm_threads (int *out, wb_comm_t *world, int64_t asked) WB_NODISCARD;

/* ---- small collectives (collectives.c): for set-up, verdicts and reports, not for gradients ---------------------- */

void wb_comm_barrier (wb_comm_t *c);
void wb_comm_bcast (wb_comm_t *c, void *data, size_t bytes, int root);
void wb_comm_sum_f64 (wb_comm_t *c, double *x, int n); /**< in place, the same bits on every rank */
void wb_comm_max_f64 (wb_comm_t *c, double *x, int n);
void wb_comm_min_f64 (wb_comm_t *c, double *x, int n);
void wb_comm_sum_i64 (wb_comm_t *c, int64_t *x, int n);
void wb_comm_max_i64 (wb_comm_t *c, int64_t *x, int n);
/** all [size][bytes] on every rank = each rank's `mine`. */
void wb_comm_all_gather (wb_comm_t *c, void *all, const void *mine, size_t bytes);
/** Element-wise maximum and sum of fp32 vectors in place, in a fixed order: the same bits on every rank.  Up to
 * WB_SUM_SHORT floats in log2 (ranks) messages, for vocabulary-parallel softmax and other small vectors; longer ones in
 * a ring of blocking messages.  They wait, so vectors that are worth overlapping with arithmetic take a wb_ring_t. */
#define WB_SUM_SHORT 8192 /**< floats up to which a vector is short */
void wb_comm_max_f32 (wb_comm_t *c, float *x, int64_t n);
void wb_comm_sum_f32 (wb_comm_t *c, float *x, int64_t n);

/* ---- agreement (agree.c) ----------------------------------------------------------------------------------------- */

/** The status of the lowest rank that failed, on every rank, with that rank's error record.  One 4-byte all-reduce
 * when all is well.  Collective over c. */
wb_status wb_agree (wb_comm_t *c, wb_status mine) WB_NODISCARD;
/** Are these bytes the same on every rank?  Errors: WB_EUSAGE "`what` differs between ranks A and B".  Collective. */
wb_status wb_same (wb_comm_t *c, const void *data, size_t bytes, const char *what) WB_NODISCARD;

/** The one thing all ranks agree on in a step: sums over the world. */
typedef struct wb_verdict {
    double loss;   /**< sum of losses in nats (ranks that do not hold the loss give 0) */
    double tokens; /**< tokens those losses belong to */
    double gradsq; /**< sum of squares of the gradients each rank owns (every element counted once) */
    double bad;    /**< > 0: some rank met NaN or infinity */
    double unread; /**< > 0: some rank could not read its batch */
    double stop;   /**< > 0: some rank was asked to stop */
    double save;   /**< > 0: some rank was asked to save */
    double ready;  /**< ranks whose part of a save is done */
} wb_verdict_t;
/** Sum each field over c, the same bits on every rank; a NaN in loss or gradsq counts into bad.  Collective over c. */
void wb_verdict (wb_comm_t *c, wb_verdict_t *v);

/* ---- who owns which piece of n things ---------------------------------------------------------------------------- */

/** n things over `ranks`: the first n % ranks ranks have one more.  First thing of a rank (rank = ranks gives n). */
static inline int64_t wb_split_first (int64_t n, int ranks, int rank) {
    const int64_t each = n / ranks, rest = n % ranks;
    return each * rank + (rank < rest ? rank : rest);
}
static inline int64_t wb_split_count (int64_t n, int ranks, int rank) {
    return wb_split_first (n, ranks, rank + 1) - wb_split_first (n, ranks, rank);
}

/* ---- the ring (ring.c) ------------------------------------------------------------------------------------------- */

/** Our own collectives for large fp32 vectors: chunked ring reduce-scatter and all-gather (Patarasuk and Yuan, JPDC 69,
 * 2009).  Split-phase: `begin` queues an operation, `poll` moves the queue on without waiting (Open MPI makes no
 * progress by itself), `end` waits for all.  Operations run in the order they were queued, which must be the same on
 * every rank of the group.  The order of additions is a function of the layout only: same layout, same bits.  Nothing
 * is allocated after new.  Vectors may overlap in memory: the later operation starts when the earlier is finished.
 * Group of one: all are no-ops.
 *
 * Where each of N nodes has the same number L > 1 of the group's ranks, a vector is first summed inside the nodes,
 * through shared memory, then between them: the k-th ranks of all nodes have a ring of their own, for the pieces that
 * belong to them, so L rings use the links of a node at once, and together they send 2 (N - 1) / N of the vector
 * instead of 2 (ranks - 1) / ranks.  The results are copied out in the node through shared memory.  On one node there
 * is the shared memory only.  Otherwise (nodes with unequal numbers of ranks, one rank on each, no shared memory
 * available) it is one flat ring over all ranks.  The form must be the same in runs that are meant to be
 * bit-identical. */
typedef struct wb_ring wb_ring_t;
typedef enum wb_wire { WB_WIRE_FP32 = 0, WB_WIRE_BF16 = 1 } wb_wire; /**< bf16: half the bytes, summed in fp32 */
extern const char *const wb_wire_names[];                            /**< of parallel.wire, then NULL */

/** What the ring calls to add a received chunk; n floats.  Passed in so that comm does not depend on kernels. */
typedef struct wb_ring_ops {
    void (*add) (float *y, const float *x, int64_t n);
    void (*bf16_pack) (uint16_t *out, const float *x, int64_t n);
    void (*bf16_unpack) (float *out, const uint16_t *x, int64_t n);
    void (*bf16_add) (float *y, const uint16_t *x, int64_t n);
} wb_ring_ops_t;

/** \param max_floats  longest vector of one operation on this rank (ranks may differ);  \param max_queue  operations
 * queued at once, `begin` waits when there are more; \param chunk_floats  floats in a message, 0 = default.  Collective
 * over group (borrowed).  Errors: WB_ENOMEM, agreed. */
wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) WB_NODISCARD;
/** Warns, once for all rings that were made since the last call, where a group had to do without shared memory, and
 * why. Collective over world. */
void wb_ring_warn (wb_comm_t *world);
void wb_ring_destroy (wb_ring_t *r); /**< NULL is fine; when all operations are finished; collective over the group */
/** Upper bound of the bytes a ring allocates: it counts this rank's segment of shared memory, which a flat ring does
 * not have. */
size_t wb_ring_bytes (int ranks, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats);
/** That segment alone; 0 for one rank.  It is MPI's memory: the test of the memory plan subtracts it from the plan
 * before comparing it with our own heap. */
size_t wb_ring_window_bytes (int ranks);
/** x [n]: afterwards piece r holds the sum over the group on rank r; the other pieces hold partial sums.  With the bf16
 * wire each hop of a ring rounds once; sums inside a node do not round.
 * \param bounds  [ranks + 1] piece r is floats bounds[r] .. bounds[r + 1] - 1; bounds[0] = 0, bounds[ranks] = n; pieces
 * may be empty, and one may be the whole vector.  The same on every rank; borrowed until the operation is finished.
 * NULL: the even cut, wb_split_first/count (n, ranks, r).  Time about (n - smallest piece) / bandwidth, so the even cut
 * is the fastest. */
void wb_ring_reduce_scatter_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
/** Piece r of x on rank r goes to every rank.  With the bf16 wire between nodes the owner's piece is rounded too, so
 * that all have the same bits. */
void wb_ring_all_gather_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
/** Reduce-scatter, then all-gather. */
void wb_ring_all_reduce_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
/** True when nothing is left to do; cheap, call it between kernels.  NULL is fine here, in `end` and in `wait`. */
bool wb_ring_poll (wb_ring_t *r);
void wb_ring_end (wb_ring_t *r);             /**< waits until nothing is left to do */
int64_t wb_ring_begun (const wb_ring_t *r);  /**< operations begun since new: the number of the next one, from 0 */
void wb_ring_wait (wb_ring_t *r, int64_t k); /**< waits until operation k is done, and those before it */
/** A thread of the ring's own polls it while operations are under way, sleeping in between, so that it moves during
 * long kernels; wb_ring_poll then only tests for completion.  Operations are still begun and waited for by one thread
 * of the caller's.  Without effect where MPI was not started for threads (WABUN_COMM_THREAD) or in a group of one.
 * Before the first operation.  Errors, of this rank alone: WB_ENOMEM. */
wb_status wb_ring_thread (wb_ring_t *r) WB_NODISCARD;
/** Bytes this rank has sent round rings since new (not through shared memory): how the test of the ring checks the
 * traffic that is promised above. */
int64_t wb_ring_bytes_sent (wb_ring_t *r);

/** The form of this ring, for reports: "one rank", "flat ring", "shared memory", "shared memory in nodes of 4, rings
 * between 16 of them"; borrowed. */
const char *wb_ring_form (const wb_ring_t *r);

/** Bytes one rank sends round its ring (not through windows) to reduce-scatter, or to all-gather, n floats in even
 * pieces, where `locals` ranks of the group are on each of `nodes` nodes; a flat ring: locals = 1, nodes = its ranks.
 */
static inline double wb_ring_traffic (int nodes, int locals, double n, wb_wire wire) {
    return (wire == WB_WIRE_BF16 ? 2 : 4) * n / locals * (nodes - 1) / nodes;
}

/* ---- MPI's own all-reduce, to compare with (mpi_allreduce.c) ----------------------------------------------------- */

/** MPI_Allreduce over a group with one of Open MPI's algorithms.  For `wabun bench ring`. */
typedef struct wb_mpi_allreduce wb_mpi_allreduce_t;
typedef enum wb_mpi_allreduce_kind {
    WB_MPI_ALLREDUCE_DEFAULT = 0,  /**< what MPI chooses itself */
    WB_MPI_ALLREDUCE_RING = 4,     /**< the numbers are Open MPI's: coll_tuned_allreduce_algorithm */
    WB_MPI_ALLREDUCE_SEGMENTED = 5 /**< ring in segments */
} wb_mpi_allreduce_kind;
/** Before wb_world_new: asks Open MPI (through the environment) to let algorithms be chosen. */
void wb_mpi_allreduce_prepare (void);
/** Collective over group (borrowed).  Errors, agreed: WB_EUSAGE when the algorithm cannot be chosen in this MPI
 * library; WB_ENOMEM. */
wb_status wb_mpi_allreduce_new (wb_mpi_allreduce_t **out, wb_comm_t *group, wb_mpi_allreduce_kind kind) WB_NODISCARD;
void wb_mpi_allreduce_destroy (wb_mpi_allreduce_t *r);
void wb_mpi_allreduce_sum (wb_mpi_allreduce_t *r, float *x, int64_t n); /**< in place; collective over the group */

/* ---- stage to stage (link.c) ------------------------------------------------------------------------------------- */

/** Point-to-point messages between two ranks of a group, posted in advance.  `depth` messages may be in flight each
 * way. Buffers are the caller's and must not be touched until the matching wait.  The k-th receive gets the k-th send
 * of the other end with this tag, and must have its length; a link may be used in one direction only. */
typedef struct wb_link wb_link_t;
/** Not collective: both ends call it, naming each other as `peer` (never the rank itself) and the same tag, 0 .. 9999.
 * Group borrowed.  Errors: WB_ENOMEM, of this rank alone: agree on it. */
wb_status wb_link_new (wb_link_t **out, wb_comm_t *group, int peer, int tag, int depth) WB_NODISCARD;
void wb_link_destroy (wb_link_t *l);
void wb_link_send_begin (wb_link_t *l, const float *x, int64_t n); /**< queue a send */
void wb_link_recv_begin (wb_link_t *l, float *x, int64_t n);       /**< queue a receive */
void wb_link_send_end (wb_link_t *l);                              /**< wait for the oldest send not yet waited for */
void wb_link_recv_end (wb_link_t *l); /**< wait for the oldest receive not yet waited for */
void wb_link_poll (wb_link_t *l);     /**< let MPI progress */
double wb_link_seconds_waited (const wb_link_t *l);

/* ---- topology (topo.c) ------------------------------------------------------------------------------------------- */

/** The grid data x pipeline x tensor.  World rank = (dp_rank pp + pp_rank) tp + tp_rank in node-aware order: tensor
 * groups are neighbours inside a node, pipeline stages next, data last.  Creates, owns and frees its groups.  Fields
 * are read-only. */
typedef struct wb_topo {
    wb_comm_t *world;  /**< borrowed */
    wb_comm_t *data;   /**< ranks with the same stage and tensor place: gradients */
    wb_comm_t *pipe;   /**< ranks with the same data and tensor place: activations */
    wb_comm_t *tensor; /**< ranks with the same data and stage place: slices of a layer */
    wb_comm_t *embed;  /**< first and last stage of a pipeline (tied embedding); NULL elsewhere and when pp = 1 */
    wb_comm_t *node;   /**< ranks on this node */
    int dp, pp, tp;    /**< ranks along data, pipeline, tensor */
    int dp_rank, pp_rank, tp_rank; /**< own place */
    int nodes;                     /**< number of nodes */
} wb_topo_t;
/** \param dp, pp, tp: ranks along data, pipeline, tensor; dp 0 = what is left over.  Collective over world.
 * Errors: WB_EUSAGE when they do not multiply to the size of the world: the message names layouts that would. */
wb_status wb_topo_new (wb_topo_t **out, wb_comm_t *world, int dp, int pp, int tp) WB_NODISCARD;
void wb_topo_destroy (wb_topo_t *t);

/* ---- one file, many ranks (parallel_file.c) ---------------------------------------------------------------------- */

/** A file that all ranks of a group write or read at their own offsets.  POSIX calls on a shared file system. */
typedef struct wb_pfile wb_pfile_t;
/** Rank 0 creates `path` with its final size (space is reserved where the file system supports it, so that a full disk
 * is noticed here), then all open it.  Collective over c.  Errors: WB_EIO, agreed. */
wb_status wb_pfile_create (wb_pfile_t **out, wb_comm_t *c, const char *path, int64_t bytes) WB_NODISCARD;
/** Open for reading.  Collective over c.  Errors: WB_EIO, agreed. */
wb_status wb_pfile_open (wb_pfile_t **out, wb_comm_t *c, const char *path) WB_NODISCARD;
/** Not collective: the first failure is remembered and returned by wb_pfile_close(); short transfers and EINTR are
 * handled.  Errors: WB_EIO; WB_EDATA when the file ends before what is read. */
wb_status wb_pfile_write (wb_pfile_t *f, const void *data, size_t bytes, int64_t offset) WB_NODISCARD;
wb_status wb_pfile_read (wb_pfile_t *f, void *data, size_t bytes, int64_t offset) WB_NODISCARD;
int64_t wb_pfile_size (const wb_pfile_t *f);
/** What one process does without the others, for a save in phases: create `path` with its final size and space; open it
 * for writing, waiting a while until it can be seen; write; fsync and close.  Not collective.  Errors: WB_EIO,
 * WB_ENOMEM.
 */
wb_status wb_pfile_make (const char *path, int64_t bytes) WB_NODISCARD;
wb_status wb_pfile_open_made (wb_pfile_t **out, const char *path, int64_t bytes) WB_NODISCARD;
wb_status wb_pfile_end (wb_pfile_t *f) WB_NODISCARD;
/** Let what is written go to disk at once and bit by bit, so that memory does not fill with it (16 MB at most). */
void wb_pfile_gently (wb_pfile_t *f);
/** fsync (when written), close, agree on the worst status of all ranks, free.  Collective over c. */
wb_status wb_pfile_close (wb_pfile_t *f) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
