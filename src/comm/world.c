/* The world, groups of ranks, small collectives.
 *
 * A group is an MPI communicator with errors returned, or nothing at all when it has one rank.  Small all-reduces are
 * our own recursive doubling (Rabenseifner, "Optimization of collective reduction operations", ICCS 2004, section 2):
 * the partner with the lower rank always stands on the left of the operator, so all ranks compute the same tree and
 * hold the same bits, run after run, whatever algorithm the MPI library would choose.  Long fp32 vectors go round the
 * ring.
 *
 * Not done here: surviving a lost rank.  MPI 3 cannot, so a failed call ends all ranks and the job starts again from
 * its last checkpoint. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm_priv.h"

/* Beyond WB_SUM_SHORT the ring's 2 (P-1) / P n floats beat doubling's log2 (P) n; below it, fewer messages win. */
#define SCRATCH_BYTES ((size_t) WB_SUM_SHORT * sizeof (float))
/* Floats in a message of the group's own ring: smaller than a gradient ring's, its vectors are. */
#define RING_CHUNK 8192

static int world_rank;
static bool world_threads;
static char world_host[256] = "?";

int wb_world_rank (void) { return world_rank; }
bool wb_world_threads (void) { return world_threads; }

/* ---- failure ---------------------------------------------------------------------------------------------------- */

void wb_mpi_failed (const char *file, int line, const char *call, int rc) {
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int n = 0, name = (int) strcspn (call, " (");
    if (MPI_Error_string (rc, text, &n) != MPI_SUCCESS) snprintf (text, sizeof text, "error %d", rc);
    wb_abort (file, line,
              "rank %d on %s: %.*s failed: %s; mostly a rank or a node was lost: start again from the last "
              "checkpoint",
              world_rank, world_host, name, call, text);
}

static void abort_all (int code) {
    int up = 0, down = 0;
    MPI_Initialized (&up);
    MPI_Finalized (&down);
    if (up && !down) MPI_Abort (MPI_COMM_WORLD, code);
    _exit (code);
}

/* ---- what the launcher says ------------------------------------------------------------------------------------- */

/* A whole number >= 0 from the environment, -1 where there is none. */
static int64_t env_number (const char *name) {
    const char *s = getenv (name);
    char *end;
    if (s == NULL || *s < '0' || *s > '9') return -1;
    int64_t v = strtoll (s, &end, 10);
    return *end == 0 ? v : -1;
}

bool wb_world_launched (void) {
    return env_number ("OMPI_COMM_WORLD_SIZE") > 0 || env_number ("PMIX_RANK") >= 0 || env_number ("PMI_RANK") >= 0 ||
           env_number ("PMI_SIZE") > 0;
}

/* Tasks of the srun step this process is one of, or 1.  A batch script outside any srun has no step, or one of the
 * numbers Slurm keeps for itself (SLURM_BATCH_SCRIPT, SLURM_INTERACTIVE_STEP: 0xfffffff0 and above).  Below mpirun the
 * step is the one that started mpirun's daemons, so its own variable goes first. */
static int64_t srun_tasks (void) {
    int64_t step = env_number ("SLURM_STEP_ID"), n = env_number ("SLURM_STEP_NUM_TASKS");
    if (env_number ("OMPI_COMM_WORLD_SIZE") > 0 || step < 0 || step >= 0xfffffff0) return 1;
    return n > 1 ? n : 1;
}

/* Does a world of `size` ranks have all that were started? */
static wb_status check_size (int size) {
    int64_t srun = srun_tasks (), ompi = env_number ("OMPI_COMM_WORLD_SIZE"), pmi = env_number ("PMI_SIZE");
    if (size == 1 && srun > 1)
        return WB_FAIL (WB_EUSAGE,
                        "srun started %lld single processes that do not know of each other: use srun --mpi=pmix (srun "
                        "--mpi=list shows what this cluster has), or mpirun inside the job script",
                        (long long) srun);
    if (size < ompi || size < pmi)
        return WB_FAIL (WB_EUSAGE,
                        "the launcher started %lld processes but MPI sees %d: start wabun with the mpirun of the MPI "
                        "library it was built with (%s)",
                        (long long) (ompi > pmi ? ompi : pmi), size, wb_comm_library ());
    return WB_OK;
}

/* ---- groups ----------------------------------------------------------------------------------------------------- */

static void free_group (wb_comm_t *c) {
    if (c == NULL) return;
    wb_ring_destroy (c->ring);
    wb_free (c->scratch);
    wb_free (c);
}

/* A group around `mpi`, which it owns from now on (the world's excepted): memory only, so each rank has its status. */
static wb_status make_group (wb_comm_t **out, MPI_Comm mpi) {
    wb_comm_t *c = wb_calloc (1, sizeof *c);
    *out = NULL;
    if (c == NULL) return WB_FAIL (WB_ENOMEM, "no memory for a group of ranks");
    c->mpi = MPI_COMM_NULL;
    c->size = 1;
    snprintf (c->host, sizeof c->host, "%s", world_host);
    if (mpi != MPI_COMM_NULL) {
        WB_MPI (MPI_Comm_size (mpi, &c->size));
        WB_MPI (MPI_Comm_rank (mpi, &c->rank));
    }
    if (c->size > 1) {
        wb_status st = WB_OK;
        c->mpi = mpi;
        c->scratch_bytes = SCRATCH_BYTES;
        c->scratch = wb_malloc (c->scratch_bytes);
        if (c->scratch == NULL) st = WB_FAIL (WB_ENOMEM, "no memory for a group of %d ranks", c->size);
        if (st == WB_OK)
            st = wb_ring_make (&c->ring, mpi, c->rank, c->size, INT64_MAX, 1, WB_WIRE_FP32, RING_CHUNK, NULL);
        if (st != WB_OK) {
            free_group (c);
            return st;
        }
    }
    *out = c;
    return WB_OK;
}

wb_status wb_comm_alone (wb_comm_t **out) { return make_group (out, MPI_COMM_NULL); }

wb_status wb_world_new (wb_comm_t **out) {
    *out = NULL;
    world_rank = 0;
    if (gethostname (world_host, sizeof world_host - 1) != 0) snprintf (world_host, sizeof world_host, "?");
    if (!wb_world_launched ()) {
        WB_TRY (check_size (1));
        return make_group (out, MPI_COMM_NULL);
    }
    int size, provided;
    MPI_Comm mpi = MPI_COMM_WORLD;
    const char *thread = getenv ("WABUN_COMM_THREAD");
    int wanted = thread != NULL && strcmp (thread, "1") == 0 ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED;
    WB_MPI (MPI_Init_thread (NULL, NULL, wanted, &provided));
    world_threads = wanted == MPI_THREAD_MULTIPLE && provided == MPI_THREAD_MULTIPLE;
    WB_MPI (MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN));
    WB_MPI (MPI_Comm_set_errhandler (MPI_COMM_SELF, MPI_ERRORS_RETURN));
    WB_MPI (MPI_Comm_size (mpi, &size));
    WB_MPI (MPI_Comm_rank (mpi, &world_rank));
    wb_abort_hook (abort_all);
    wb_error_rank (size > 1 ? world_rank : -1);
    /* Our own communicator, so that no library that also uses the world can take our messages. */
    wb_status st = check_size (size);
    int bad = 0, mine;
    if (size > 1 && st == WB_OK) WB_MPI (MPI_Comm_dup (MPI_COMM_WORLD, &mpi));
    if (size > 1 && st == WB_OK) WB_MPI (MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN));
    if (st == WB_OK) st = make_group (out, size > 1 ? mpi : MPI_COMM_NULL);
    mine = st;
    WB_MPI (MPI_Allreduce (&mine, &bad, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD));
    if (bad == 0) return WB_OK;
    if (st == WB_OK) st = WB_FAIL ((wb_status) bad, "another rank could not start");
    free_group (*out);
    *out = NULL;
    if (mpi != MPI_COMM_WORLD && mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
    if (size > 1 && world_rank == 0) wb_error_print (); /* of single processes, main() knows which one speaks */
    WB_MPI (MPI_Barrier (MPI_COMM_WORLD));
    wb_abort_hook (NULL);
    WB_MPI (MPI_Finalize ());
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

int wb_comm_lend (const wb_comm_t *c, int (*take) (void)) {
    WB_ASSERT (c->mpi != MPI_COMM_NULL);
    return ((int (*) (MPI_Comm)) (void *) take) (c->mpi);
}

void wb_comm_destroy (wb_comm_t *c) {
    if (c == NULL) return;
    MPI_Comm mpi = c->mpi;
    free_group (c);
    if (mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
}

/* Put a group around what a split gave this rank. */
static wb_status adopt (wb_comm_t **out, wb_comm_t *parent, MPI_Comm mpi) {
    wb_status st = WB_OK;
    int size = 0;
    *out = NULL;
    if (mpi != MPI_COMM_NULL) {
        WB_MPI (MPI_Comm_size (mpi, &size));
        WB_MPI (MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN));
        if (size == 1) WB_MPI (MPI_Comm_free (&mpi)); /* leaves MPI_COMM_NULL */
        st = make_group (out, mpi);
    }
    st = wb_agree (parent, st);
    if (st != WB_OK) {
        free_group (*out);
        *out = NULL;
        if (mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
    }
    return st;
}

wb_status wb_comm_split (wb_comm_t **out, wb_comm_t *parent, int color, int key) {
    MPI_Comm mpi = MPI_COMM_NULL;
    *out = NULL;
    if (parent->size == 1) return color < 0 ? WB_OK : make_group (out, MPI_COMM_NULL);
    WB_MPI (MPI_Comm_split (parent->mpi, color < 0 ? MPI_UNDEFINED : color, key, &mpi));
    return adopt (out, parent, mpi);
}

wb_status wb_node_split (MPI_Comm *out, wb_comm_t *c) {
    const char *text = getenv ("WABUN_NODE_RANKS");
    int64_t most = env_number ("WABUN_NODE_RANKS");
    wb_status st = WB_OK;
    if (text != NULL && (most < 1 || most > INT32_MAX))
        st = WB_FAIL (WB_EUSAGE, "WABUN_NODE_RANKS=%s: it is the number of ranks that count as one node", text);
    *out = MPI_COMM_NULL;
    WB_TRY (wb_agree (c, st));
    WB_MPI (MPI_Comm_split_type (c->mpi, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, out));
    if (most > 0) {
        MPI_Comm whole = *out;
        WB_MPI (MPI_Comm_split (whole, (int) (world_rank / most), c->rank, out));
        WB_MPI (MPI_Comm_free (&whole));
    }
    WB_MPI (MPI_Comm_set_errhandler (*out, MPI_ERRORS_RETURN));
    return WB_OK;
}

wb_status wb_comm_split_node (wb_comm_t **out, wb_comm_t *parent) {
    MPI_Comm mpi = MPI_COMM_NULL;
    *out = NULL;
    if (parent->size == 1) return make_group (out, MPI_COMM_NULL);
    WB_TRY (wb_node_split (&mpi, parent));
    return adopt (out, parent, mpi);
}

int wb_comm_rank (const wb_comm_t *c) { return c->rank; }
int wb_comm_size (const wb_comm_t *c) { return c->size; }
const char *wb_comm_host (const wb_comm_t *c) { return c->host; }

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

/* ---- small collectives ------------------------------------------------------------------------------------------ */

void wb_comm_barrier (wb_comm_t *c) {
    if (c->size > 1) WB_MPI (MPI_Barrier (c->mpi));
}

/* One message of at most WB_MESSAGE_MAX bytes after the other. */
#define IN_CHUNKS(p, bytes, len)                                                                    \
    for (size_t at_ = 0, len;                                                                       \
         at_ < (bytes) && (len = (bytes) -at_ < WB_MESSAGE_MAX ? (bytes) -at_ : WB_MESSAGE_MAX, 1); \
         at_ += len, (p) += len)

void wb_comm_bcast (wb_comm_t *c, void *data, size_t bytes, int root) {
    char *p = data;
    if (c->size == 1) return;
    IN_CHUNKS (p, bytes, len) WB_MPI (MPI_Bcast (p, (int) len, MPI_BYTE, root, c->mpi));
}

void wb_comm_send (wb_comm_t *c, const void *data, size_t bytes, int to, int tag) {
    const char *p = data;
    WB_ASSERT (tag >= 0 && tag < WB_TAG_FOLD && to >= 0 && to < c->size && to != c->rank);
    IN_CHUNKS (p, bytes, len) WB_MPI (MPI_Send (p, (int) len, MPI_BYTE, to, WB_TAG_USER + tag, c->mpi));
}

void wb_comm_recv (wb_comm_t *c, void *data, size_t bytes, int from, int tag) {
    char *p = data;
    WB_ASSERT (tag >= 0 && tag < WB_TAG_FOLD && from >= 0 && from < c->size && from != c->rank);
    IN_CHUNKS (p, bytes, len) {
        MPI_Status got;
        int count;
        WB_MPI (MPI_Recv (p, (int) len, MPI_BYTE, from, WB_TAG_USER + tag, c->mpi, &got));
        WB_MPI (MPI_Get_count (&got, MPI_BYTE, &count));
        WB_ASSERT ((size_t) count == len);
    }
}

void wb_comm_all_gather (wb_comm_t *c, void *all, const void *mine, size_t bytes) {
    char *to = (char *) all;
    char *own = to + bytes * (size_t) c->rank;
    if (bytes == 0) return;
    if (own != (const char *) mine) memmove (own, mine, bytes);
    if (c->size == 1) return;
    if (bytes <= WB_MESSAGE_MAX / (size_t) c->size) {
        WB_MPI (MPI_Allgather (MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, (int) bytes, MPI_BYTE, c->mpi));
        return;
    }
    for (int r = 0; r < c->size; r++) wb_comm_bcast (c, to + bytes * (size_t) r, bytes, r);
}

/* y = a op b, n elements; y may be a or b. */
typedef void op_fn (void *y, const void *a, const void *b, int64_t n);

#define OP(name, type, expr)                                                 \
    static void name (void *y_, const void *a_, const void *b_, int64_t n) { \
        type *y = y_;                                                        \
        const type *aa = a_, *bb = b_;                                       \
        for (int64_t i = 0; i < n; i++) {                                    \
            type a = aa[i], b = bb[i];                                       \
            y[i] = (expr);                                                   \
        }                                                                    \
    }
/* A NaN wins in maxima and minima: it must not get lost on the way to whoever looks for it. */
OP (sum_f64, double, a + b)
OP (max_f64, double, a > b || isnan (a) ? a : b)
OP (min_f64, double, a < b || isnan (a) ? a : b)
OP (sum_i64, int64_t, a + b)
OP (max_i64, int64_t, a > b ? a : b)
OP (sum_f32, float, a + b)
OP (max_f32, float, a > b || isnan (a) ? a : b)

/* x = op over the ranks in the order of a fixed tree; at most scratch_bytes.  When P is not a power of two, the first
 * 2 (P - 2^k) ranks join in pairs and the even ones go on. */
static void fold_block (wb_comm_t *c, void *x, int64_t n, size_t size, op_fn *op) {
    int bytes = (int) ((size_t) n * size), P = c->size, r = c->rank, p2 = 1;
    while (p2 <= P / 2) p2 *= 2;
    int rest = P - p2, place = r < 2 * rest ? r / 2 : r - rest;
    if (r < 2 * rest && r % 2 == 1) {
        WB_MPI (MPI_Send (x, bytes, MPI_BYTE, r - 1, WB_TAG_FOLD, c->mpi));
        WB_MPI (MPI_Recv (x, bytes, MPI_BYTE, r - 1, WB_TAG_FOLD, c->mpi, MPI_STATUS_IGNORE));
        return;
    }
    if (r < 2 * rest) {
        WB_MPI (MPI_Recv (c->scratch, bytes, MPI_BYTE, r + 1, WB_TAG_FOLD, c->mpi, MPI_STATUS_IGNORE));
        op (x, x, c->scratch, n);
    }
    for (int bit = 1; bit < p2; bit *= 2) {
        int other = place ^ bit, peer = other < rest ? 2 * other : other + rest;
        WB_MPI (MPI_Sendrecv (x, bytes, MPI_BYTE, peer, WB_TAG_FOLD, c->scratch, bytes, MPI_BYTE, peer, WB_TAG_FOLD,
                              c->mpi, MPI_STATUS_IGNORE));
        if (other > place)
            op (x, x, c->scratch, n);
        else
            op (x, c->scratch, x, n);
    }
    if (r < 2 * rest) WB_MPI (MPI_Send (x, bytes, MPI_BYTE, r + 1, WB_TAG_FOLD, c->mpi));
}

static void fold (wb_comm_t *c, void *x, int64_t n, size_t size, op_fn *op) {
    if (c->size == 1) return;
    int64_t most = (int64_t) (c->scratch_bytes / size);
    for (int64_t at = 0; at < n; at += most)
        fold_block (c, (char *) x + (size_t) at * size, n - at < most ? n - at : most, size, op);
}

void wb_comm_sum_f64 (wb_comm_t *c, double *x, int n) { fold (c, x, n, sizeof *x, sum_f64); }
void wb_comm_max_f64 (wb_comm_t *c, double *x, int n) { fold (c, x, n, sizeof *x, max_f64); }
void wb_comm_min_f64 (wb_comm_t *c, double *x, int n) { fold (c, x, n, sizeof *x, min_f64); }
void wb_comm_sum_i64 (wb_comm_t *c, int64_t *x, int n) { fold (c, x, n, sizeof *x, sum_i64); }
void wb_comm_max_i64 (wb_comm_t *c, int64_t *x, int n) { fold (c, x, n, sizeof *x, max_i64); }

static void ring_add (float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
static void ring_max (float *y, const float *x, int64_t n) { max_f32 (y, y, x, n); }

void wb_comm_sum_f32 (wb_comm_t *c, float *x, int64_t n) {
    if (c->size > 1 && n > WB_SUM_SHORT)
        wb_ring_reduce_now (c->ring, x, n, ring_add);
    else
        fold (c, x, n, sizeof *x, sum_f32);
}

void wb_comm_max_f32 (wb_comm_t *c, float *x, int64_t n) {
    if (c->size > 1 && n > WB_SUM_SHORT)
        wb_ring_reduce_now (c->ring, x, n, ring_max);
    else
        fold (c, x, n, sizeof *x, max_f32);
}
