/* Memory that the ranks of a node share, for the sums of a ring inside the node.
 *
 * Each rank has a segment: four counters of finished rounds, then BLOCKS blocks for its floats of the others' parts and
 * as many for its results.  A rank writes to its own segment only and reads the others'.  Its block of round i may be
 * overwritten when every rank has finished round i - BLOCKS, and may be read when the writer has counted the round; the
 * counters, which only grow, are the only synchronisation (release when written, acquire when read).  Blocks are small
 * and reused, so they stay in the caches, and only the vectors themselves go through main memory.
 *
 * MPI 3.1, section 11.2.3 (MPI_Win_allocate_shared).  Segments are not contiguous, so that the pages of each are local
 * to the processor of its rank.
 *
 * Not done here: levels inside a node (sockets); which floats a round takes (ring_node.c). */
#include "config.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>

#include "comm/comm_priv.h"

#define BLOCKS 8
#define LINE 128 /* bytes that ranks do not share by accident: a cache line and its neighbour */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters between processes must not need locks");

enum counter { PARTS_PUT, PARTS_ADDED, RESULT_PUT, RESULTS_READ, COUNTERS };

typedef struct segment {
    struct {
        _Alignas(LINE) _Atomic int64_t rounds;
    } done[COUNTERS];
    _Alignas(LINE) float block[]; /* [2][BLOCKS][block]: parts, results */
} segment_t;

struct wb_shm {
    MPI_Win window;
    int rank, size;
    int64_t block;
    int64_t reached[COUNTERS]; /* rounds that all ranks had counted when this rank last read the counters */
    segment_t *of[];           /* [size] */
};

size_t wb_shm_bytes (int64_t block) {
    return wb_align (sizeof (segment_t) + 2 * BLOCKS * (size_t) block * sizeof (float));
}

/* Is there enough space for `size` segments where MPI libraries put such memory?  Open MPI checks that itself, but on
 * one rank only, and when there is not the other ranks hang; MPICH does not, and the first use would be a SIGBUS. */
static wb_status check_space (size_t bytes, int size) {
    struct statvfs fs;
    const double want = (double) bytes * size;
    if (statvfs ("/dev/shm", &fs) != 0 || (double) fs.f_bavail * (double) fs.f_frsize > want) return WB_OK;
    return WB_FAIL (WB_ENOMEM, "/dev/shm has no %.1f MB left for %d ranks", want * 1e-6, size);
}

/* The status of an MPI call that this can do without. */
static wb_status check (int rc, const char *call) {
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int n = 0;
    if (rc == MPI_SUCCESS) return WB_OK;
    if (MPI_Error_string (rc, text, &n) != MPI_SUCCESS) snprintf (text, sizeof text, "error %d", rc);
    text[strcspn (text, "\n")] = 0; /* MPICH adds where, one line each */
    return WB_FAIL (WB_ENOMEM, "%s failed: %s", call, text);
}

/* MPI guarantees no alignment, and Open MPI aligns to 8 bytes.  It maps whole pages, so every process that rounds its
 * address of a segment up to LINE finds the same byte. */
static segment_t *align_segment (void *at) {
    return (void *) ((uintptr_t) at + LINE - 1 - ((uintptr_t) at + LINE - 1) % LINE);
}

/* The window, of `bytes` for each rank; MPI_WIN_NULL where there is none. */
static wb_status allocate (MPI_Win *window, MPI_Comm node, size_t bytes) {
    MPI_Info info;
    void *base;
    WB_MPI (MPI_Info_create (&info));
    WB_MPI (MPI_Info_set (info, "alloc_shared_noncontig", "true"));
    wb_wait_begin ();
    const int rc = MPI_Win_allocate_shared ((MPI_Aint) bytes, 1, info, node, &base, window);
    wb_wait_end ();
    WB_MPI (MPI_Info_free (&info));
    if (rc != MPI_SUCCESS) *window = MPI_WIN_NULL;
    return check (rc, "MPI_Win_allocate_shared");
}

/* Loads and stores need an epoch (*locked: there is one), and the address of each segment. */
static wb_status map (wb_shm_t *s, bool *locked) {
    WB_TRY (check (MPI_Win_set_errhandler (s->window, MPI_ERRORS_RETURN), "MPI_Win_set_errhandler"));
    WB_TRY (check (MPI_Win_lock_all (MPI_MODE_NOCHECK, s->window), "MPI_Win_lock_all"));
    *locked = true;
    for (int m = 0; m < s->size; m++) {
        MPI_Aint n;
        int unit;
        void *at;
        WB_TRY (check (MPI_Win_shared_query (s->window, m, &n, &unit, &at), "MPI_Win_shared_query"));
        s->of[m] = align_segment (at);
    }
    return WB_OK;
}

/* A window that some rank of the node did not get is left as it is: to free it would be to wait for that rank. */
static void give_up (wb_shm_t *s, bool all_have, bool locked) {
    if (locked) WB_MPI (MPI_Win_unlock_all (s->window));
    if (all_have) WB_MPI (MPI_Win_free (&s->window));
    wb_free (s);
}

wb_status wb_shm_new (wb_shm_t **out, MPI_Comm node, int64_t block) {
    int rank, size;
    bool all_have = false, locked = false;
    *out = NULL;
    WB_MPI (MPI_Comm_rank (node, &rank));
    WB_MPI (MPI_Comm_size (node, &size));
    WB_ASSERT (block / WB_PART_PAD * WB_PART_PAD == block);
    wb_shm_t *s = wb_calloc (1, sizeof *s + (size_t) size * sizeof s->of[0]);
    const size_t page = 4096, bytes = (wb_shm_bytes (block) + LINE + page - 1) / page * page;
    wb_status st = s != NULL ? check_space (bytes + page, size) : WB_NOMEM ("memory of %d ranks of a node", size);
    bool any = wb_mpi_max (st != WB_OK, node) > 0;
    if (!any) {
        *s = (wb_shm_t){.rank = rank, .size = size, .block = block};
        st = allocate (&s->window, node, bytes);
        any = wb_mpi_max (st != WB_OK, node) > 0;
        all_have = !any;
    }
    if (all_have) {
        st = map (s, &locked);
        any = wb_mpi_max (st != WB_OK, node) > 0;
    }
    if (any) {
        give_up (s, all_have, locked);
        return st;
    }
    memset (s->of[rank], 0, bytes - LINE); /* also touches its pages */
    wb_mpi_barrier (node);
    *out = s;
    return WB_OK;
}

void wb_shm_destroy (wb_shm_t *s) {
    if (s == NULL) return;
    WB_MPI (MPI_Win_unlock_all (s->window));
    WB_MPI (MPI_Win_free (&s->window));
    wb_free (s);
}

/* Rounds this rank has counted. */
static int64_t rounds (const wb_shm_t *s, enum counter k) {
    return atomic_load_explicit (&s->of[s->rank]->done[k].rounds, memory_order_relaxed);
}

static void count (wb_shm_t *s, enum counter k) {
    atomic_store_explicit (&s->of[s->rank]->done[k].rounds, rounds (s, k) + 1, memory_order_release);
}

/* Have all ranks counted `want` rounds? */
static bool all_have (wb_shm_t *s, enum counter k, int64_t want) {
    if (s->reached[k] >= want) return true;
    int64_t min = INT64_MAX;
    for (int m = 0; m < s->size && (m == 0 || min >= want); m++) {
        int64_t n = atomic_load_explicit (&s->of[m]->done[k].rounds, memory_order_acquire);
        if (n < min) min = n;
    }
    if (min < want) return false;
    s->reached[k] = min;
    return true;
}

static float *block_of (const wb_shm_t *s, int rank, enum counter k, int64_t round) {
    return s->of[rank]->block + ((k == RESULT_PUT ? BLOCKS : 0) + round % BLOCKS) * s->block;
}

bool wb_shm_put_parts (wb_shm_t *s, const float *x, const wb_part_t *part) {
    int64_t round = rounds (s, PARTS_PUT);
    if (!all_have (s, PARTS_ADDED, round - BLOCKS + 1)) return false;
    float *to = block_of (s, s->rank, PARTS_PUT, round);
    for (int i = 1; i < s->size; i++) {
        const wb_part_t *p = &part[(s->rank + i) % s->size];
        memcpy (to + p->at, x + p->first, (size_t) p->count * sizeof *x);
    }
    count (s, PARTS_PUT);
    return true;
}

bool wb_shm_add_parts (wb_shm_t *s, float *x, const wb_part_t *part,
                       void (*add) (float *y, const float *x, int64_t n)) {
    int64_t round = rounds (s, PARTS_ADDED);
    const wb_part_t *p = &part[s->rank];
    if (!all_have (s, PARTS_PUT, round + 1)) return false;
    for (int i = 1; i < s->size && p->count > 0; i++)
        add (x + p->first, block_of (s, (s->rank + i) % s->size, PARTS_PUT, round) + p->at, p->count);
    count (s, PARTS_ADDED);
    return true;
}

bool wb_shm_put_result (wb_shm_t *s, const float *x, const wb_part_t *part) {
    int64_t round = rounds (s, RESULT_PUT);
    const wb_part_t *p = &part[s->rank];
    if (!all_have (s, RESULTS_READ, round - BLOCKS + 1)) return false;
    memcpy (block_of (s, s->rank, RESULT_PUT, round) + p->at, x + p->first, (size_t) p->count * sizeof *x);
    count (s, RESULT_PUT);
    return true;
}

bool wb_shm_get_results (wb_shm_t *s, float *x, const wb_part_t *part) {
    int64_t round = rounds (s, RESULTS_READ);
    if (!all_have (s, RESULT_PUT, round + 1)) return false;
    for (int i = 1; i < s->size; i++) {
        int m = (s->rank + i) % s->size;
        memcpy (x + part[m].first, block_of (s, m, RESULT_PUT, round) + part[m].at, (size_t) part[m].count * sizeof *x);
    }
    count (s, RESULTS_READ);
    return true;
}
