/* wabun - comm: ranks.  The only folder that calls MPI.
 *
 * A group of ranks is a wb_comm_t, passed in, never global.  Calls that move data cannot fail for a reason of their
 * own: a failed MPI call means a broken network, and ends all ranks with who, where and which call (exit 70).
 * Everything else that can go wrong is a status, agreed on over the group (wb_agree), so no rank ever leaves alone.
 *
 * A group of one rank never touches MPI: programs that were not started by a launcher run without it.
 */
#ifndef WABUN_COMM_H
#define WABUN_COMM_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- groups (world.c) -------------------------------------------------------------------------------------------- */

typedef struct wb_comm wb_comm_t;

/** Was this process started by a launcher (mpirun, srun --mpi=...)?  Looks at the environment only. */
bool wb_world_launched (void);
/** The world.  Starts MPI (funneled threads) only when launched; otherwise a world of one.  Collective over all
 * processes. Also sets the abort hook of base, and the rank of the error record. Errors: WB_EUSAGE when the launcher
 * says more tasks than the world has (srun without a matching PMI plugin starts N singletons): the message names the
 * remedy. */
wb_status wb_world_new (wb_comm_t **out) WB_NODISCARD;
/** Ends MPI.  Collective over the world. */
void wb_world_destroy (wb_comm_t *world);
/** A group of this process alone, which never touches MPI, world or no world: what a program of one process gives to
 * functions that are collective.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_comm_alone (wb_comm_t **out) WB_NODISCARD;
/** Ranks with the same `color` (>= 0) form a group, ordered by `key`; color < 0: *out = NULL.  Collective over
 * `parent`. */
wb_status wb_comm_split (wb_comm_t **out, wb_comm_t *parent, int color, int key) WB_NODISCARD;
/** The ranks of `parent` that share this rank's memory (node), in the order of parent.  WABUN_NODE_RANKS=k in the
 * environment makes smaller nodes of them: ranks whose world ranks divided by k differ are taken as strangers (one node
 * for each socket, say; or many nodes on one machine, for tests).  Collective over `parent`.  Errors: WB_EUSAGE when
 * WABUN_NODE_RANKS is no whole number above 0. */
wb_status wb_comm_split_node (wb_comm_t **out, wb_comm_t *parent) WB_NODISCARD;
void wb_comm_destroy (wb_comm_t *c); /**< NULL is fine; collective over c */
int wb_comm_rank (const wb_comm_t *c);
int wb_comm_size (const wb_comm_t *c);
/** Call a library's C function that takes an MPI communicator, `int take (MPI_Comm)`, with the group's own, which stays
 * the group's; returns what it returned.  For libraries that talk among ranks themselves (BLACS).  A group of more than
 * one rank.  Collective over c where the library's function is. */
int wb_comm_lend (const wb_comm_t *c, int (*take) (void));
/** Host name of the own node; borrowed. */
const char *wb_comm_host (const wb_comm_t *c);
/** "Open MPI 4.1.4", "none"; borrowed. */
const char *wb_comm_library (void);

/** Threads a rank should use: `asked`, or for 0 OMP_NUM_THREADS, or the cores of its mask shared between the ranks of
 * its node that have the same mask (wb_threads_choose).  wb_threads_warn() reports a node with more threads than cores.
 * The caller hands the number to the kernels.  Collective over world.  Errors: WB_EUSAGE, WB_ENOMEM; agreed. */
wb_status wb_comm_threads (int *out, wb_comm_t *world, int64_t asked) WB_NODISCARD;

/* ---- small collectives (world.c): for set-up, verdicts and reports, not for gradients ---------------------------- */

void wb_comm_barrier (wb_comm_t *c);
void wb_comm_bcast (wb_comm_t *c, void *data, size_t bytes, int root);
void wb_comm_sum_f64 (wb_comm_t *c, double *x, int n); /**< in place, the same bits on every rank */
void wb_comm_max_f64 (wb_comm_t *c, double *x, int n);
void wb_comm_min_f64 (wb_comm_t *c, double *x, int n);
void wb_comm_sum_i64 (wb_comm_t *c, int64_t *x, int n);
void wb_comm_max_i64 (wb_comm_t *c, int64_t *x, int n);
/** all [size][bytes] on every rank = each rank's `mine`. */
void wb_comm_all_gather (wb_comm_t *c, void *all, const void *mine, size_t bytes);
/** Element-wise maximum and sum of fp32 vectors in place, latency-optimal, fixed order: the same bits on every rank.
 * For vocabulary-parallel softmax and other small vectors. */
#define WB_SUM_SHORT 8192 /**< floats up to which a vector is short */
void wb_comm_max_f32 (wb_comm_t *c, float *x, int64_t n);
void wb_comm_sum_f32 (wb_comm_t *c, float *x, int64_t n);
/** Blocking message to / from a rank of c, chunked; tag 0 .. 999. */
void wb_comm_send (wb_comm_t *c, const void *data, size_t bytes, int to, int tag);
void wb_comm_recv (wb_comm_t *c, void *data, size_t bytes, int from, int tag);

/* ---- agreement (agree.c) ----------------------------------------------------------------------------------------- */

/** The status of the lowest rank that has one, on every rank, with that rank's error record.  One 4-byte all-reduce
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
} wb_verdict_t;
/** Sum each field over c, the same bits on every rank; a NaN in loss or gradsq counts into bad.  Collective over c. */
void wb_verdict (wb_comm_t *c, wb_verdict_t *v);

/* ---- who owns which piece of n things ---------------------------------------------------------------------------- */

/** n things over P ranks: the first n % P ranks have one more.  First thing of rank r (r = P gives n). */
static inline int64_t wb_split_first (int64_t n, int P, int r) {
    int64_t q = n / P, m = n % P;
    return q * r + (r < m ? r : m);
}
static inline int64_t wb_split_count (int64_t n, int P, int r) {
    return wb_split_first (n, P, r + 1) - wb_split_first (n, P, r);
}

/* ---- the ring (ring.c) ------------------------------------------------------------------------------------------- */

/** Our own collectives for large fp32 vectors: chunked ring reduce-scatter and all-gather (Patarasuk and Yuan, JPDC 69,
 * 2009).  Split-phase: `begin` queues an operation, `poll` moves the queue on without waiting (Open MPI makes no
 * progress by itself), `end` waits for all.  Operations run in the order they were queued, which must be the same on
 * every rank of the group.  The order of additions is a function of the layout only: same layout, same bits.  Nothing
 * is allocated after new.  Vectors that share memory are safe: the later operation begins when the earlier is finished.
 * Group of one: all are no-ops.
 *
 * Where each of N nodes has the same number L > 1 of the group's ranks, a vector is first summed inside the nodes,
 * through a window of shared memory, then between them: the k-th ranks of all nodes have a ring of their own, for the
 * pieces that belong to them, so L rings use the links of a node at once, and together they send 2 (N - 1) / N of the
 * vector instead of 2 (P - 1) / P.  What came is spread in the node through the window.  On one node there is the
 * window only.  Else (nodes of unequal numbers of ranks, one rank on each, no shared memory to be had) it is one flat
 * ring over all ranks.  Which, must not change between runs that shall give the same bits. */
typedef struct wb_ring wb_ring_t;
typedef enum wb_wire { WB_WIRE_FP32 = 0, WB_WIRE_BF16 = 1 } wb_wire; /**< bf16: half the bytes, summed in fp32 */
extern const char *const wb_wire_names[];                            /**< of parallel.wire, then NULL */

/** What the ring calls to add a received chunk; n floats.  Given so that comm does not depend on kern. */
typedef struct wb_ring_ops {
    void (*add) (float *y, const float *x, int64_t n);
    void (*bf16_pack) (uint16_t *out, const float *x, int64_t n);
    void (*bf16_unpack) (float *out, const uint16_t *x, int64_t n);
    void (*bf16_add) (float *y, const uint16_t *x, int64_t n);
} wb_ring_ops_t;

/** \param max_floats  longest vector of one operation, of this rank's plans (ranks may differ);  \param max_queue
 * operations queued at once, `begin` waits when there are more; \param chunk_floats  floats in a message, 0 = default.
 * Collective over group (borrowed). Errors: WB_ENOMEM. */
wb_status wb_ring_new (wb_ring_t **out, wb_comm_t *group, int64_t max_floats, int max_queue, wb_wire wire,
                       int64_t chunk_floats, const wb_ring_ops_t *ops) WB_NODISCARD;
void wb_ring_destroy (wb_ring_t *r); /**< NULL is fine; when all operations are finished, collective over the group */
/** Bytes a ring will allocate, most: the own share of a window is counted, which a flat ring does not have. */
size_t wb_ring_bytes (int P, int64_t max_floats, int max_queue, wb_wire wire, int64_t chunk_floats);
/** Of these, the own share of a window, which is MPI's memory; 0 for P = 1. */
size_t wb_ring_window_bytes (int P);
/** x [n]: afterwards piece r holds the sum over the group on rank r; the other pieces hold partial sums.  With the bf16
 * wire each hop of a ring rounds once; sums inside a node do not round.
 * \param bounds  [P + 1] piece r is floats bounds[r] .. bounds[r + 1] - 1; bounds[0] = 0, bounds[P] = n; pieces may be
 * empty, one may be all.  The same on every rank; borrowed until the operation is finished.  NULL: the even cut,
 * wb_split_first/count (n, P, r).  Time about (n - smallest piece) / bandwidth, so the even cut is the fastest. */
void wb_ring_reduce_scatter_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
/** Piece r of x on rank r goes to every rank.  With the bf16 wire between nodes the owner's piece is rounded too, so
 * that all have the same bits. */
void wb_ring_all_gather_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
/** Reduce-scatter, then all-gather. */
void wb_ring_all_reduce_begin (wb_ring_t *r, float *x, int64_t n, const int64_t *bounds);
bool wb_ring_poll (wb_ring_t *r); /**< true when nothing is left to do; cheap, call it between kernels */
void wb_ring_end (wb_ring_t *r);  /**< waits until nothing is left to do */
/** Operations begun and finished since new: the next one has number `begun`; operation k (0, 1, ...) is done when
 * `finished` is > k. */
int64_t wb_ring_begun (const wb_ring_t *r);
int64_t wb_ring_finished (const wb_ring_t *r);
void wb_ring_wait (wb_ring_t *r, int64_t k); /**< waits until operation k is done, and those before it */
/** A thread of the ring's own polls it while operations are under way, sleeping in between, so that it moves during
 * long kernels; wb_ring_poll is then only a look.  Without effect where MPI was not started for threads
 * (WABUN_COMM_THREAD) or in a group of one.  Before the first operation.  Errors, of this rank alone: WB_ENOMEM. */
wb_status wb_ring_thread (wb_ring_t *r) WB_NODISCARD;
/** Bytes this rank has sent round rings since new (not through the window), and seconds spent waiting in `end`, `wait`
 * and `begin`. */
int64_t wb_ring_bytes_sent (const wb_ring_t *r);
double wb_ring_seconds_waited (const wb_ring_t *r);

/** How this ring goes, for reports: "one rank", "flat ring", "shared memory", "shared memory in nodes of 4, rings
 * between 16 of them"; borrowed. */
const char *wb_ring_form (const wb_ring_t *r);

/* ---- MPI's own all-reduce, to compare with (rival.c) ------------------------------------------------------------- */

/** MPI_Allreduce over a group with one of Open MPI's algorithms.  For `wabun bench ring`. */
typedef struct wb_rival wb_rival_t;
typedef enum wb_rival_kind {
    WB_RIVAL_DEFAULT = 0,  /**< what MPI chooses itself */
    WB_RIVAL_RING = 4,     /**< the numbers are Open MPI's: coll_tuned_allreduce_algorithm */
    WB_RIVAL_SEGMENTED = 5 /**< ring in segments */
} wb_rival_kind;
/** Before wb_world_new: asks Open MPI (through the environment) to let algorithms be chosen. */
void wb_rival_prepare (void);
/** Collective over group (borrowed).  Errors, agreed: WB_EUSAGE when this MPI library cannot be told; WB_ENOMEM. */
wb_status wb_rival_new (wb_rival_t **out, wb_comm_t *group, wb_rival_kind kind) WB_NODISCARD;
void wb_rival_destroy (wb_rival_t *r);
void wb_rival_sum (wb_rival_t *r, float *x, int64_t n); /**< in place; collective over the group */

/* ---- stage to stage (link.c) ------------------------------------------------------------------------------------- */

/** Point-to-point messages between two ranks of a group, posted ahead.  `depth` messages may be in flight each way.
 * Buffers are the caller's and stay untouched until the matching wait.  The k-th receive takes the k-th send that the
 * other end gave this tag, and must have its length; a link may be used in one direction only. */
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

/** The grid data x pipeline x tensor.  World rank = (d P + p) T + t in node-aware order: tensor groups are neighbours
 * inside a node, pipeline stages next, data last.  Makes, owns and frees its groups.  Fields are read-only. */
typedef struct wb_topo {
    wb_comm_t *world;  /**< borrowed */
    wb_comm_t *data;   /**< ranks with the same stage and tensor place: gradients */
    wb_comm_t *pipe;   /**< ranks with the same data and tensor place: activations */
    wb_comm_t *tensor; /**< ranks with the same data and stage place: slices of a layer */
    wb_comm_t *embed;  /**< first and last stage of a pipeline (tied embedding); NULL elsewhere and when P = 1 */
    wb_comm_t *node;   /**< ranks on this node */
    int dp, pp, tp;    /**< ranks along data, pipeline, tensor */
    int dp_rank, pp_rank, tp_rank; /**< own place */
    int nodes;                     /**< number of nodes */
} wb_topo_t;
/** \param data, pipeline, tensor: sizes, data 0 = what is left over.  Collective over world.
 * Errors: WB_EUSAGE when they do not multiply to the size of the world: the message names layouts that would. */
wb_status wb_topo_new (wb_topo_t **out, wb_comm_t *world, int data, int pipeline, int tensor) WB_NODISCARD;
void wb_topo_destroy (wb_topo_t *t);

/* ---- one file, many ranks (pfile.c) ------------------------------------------------------------------------------ */

/** A file that all ranks of a group write or read at their own offsets.  POSIX calls on a shared file system. */
typedef struct wb_pfile wb_pfile_t;
/** Rank 0 creates `path` with its final size (space is reserved where the file system can, so that a full disk is
 * noticed here), then all open it.  Collective over c.  Errors: WB_EIO, agreed. */
wb_status wb_pfile_create (wb_pfile_t **out, wb_comm_t *c, const char *path, int64_t bytes) WB_NODISCARD;
/** Open for reading.  Collective over c.  Errors: WB_EIO, agreed. */
wb_status wb_pfile_open (wb_pfile_t **out, wb_comm_t *c, const char *path) WB_NODISCARD;
/** Not collective: the first failure is remembered and comes out of wb_pfile_close(); short transfers and EINTR are
 * handled.  Errors: WB_EIO; WB_EDATA when the file ends before what is read. */
wb_status wb_pfile_write (wb_pfile_t *f, const void *data, size_t bytes, int64_t offset) WB_NODISCARD;
wb_status wb_pfile_read (wb_pfile_t *f, void *data, size_t bytes, int64_t offset) WB_NODISCARD;
int64_t wb_pfile_size (const wb_pfile_t *f);
/** fsync (when written), close, agree on the worst status of all ranks, free.  Collective over c. */
wb_status wb_pfile_close (wb_pfile_t *f) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
