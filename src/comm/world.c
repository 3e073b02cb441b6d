/* Groups of ranks and small collectives.
 *
 * The world starts MPI only when a launcher started the process.  A group of one rank has no MPI communicator at all:
 * every function returns at once, so the same code runs without a launcher.  Communicators return errors, so that a
 * failed call can say who, where and which before all ranks are ended.
 *
 * The reductions of floats are fixed in order: everybody gathers everything and adds it up in rank order where vectors
 * are short, by pieces where they are long.  That gives the same bits on every rank, which MPI_Allreduce does not
 * promise. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm_priv.h"

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static int own_rank = -1;
static char own_host[64];

static void end_all (int code) {
    MPI_Abort (MPI_COMM_WORLD, code);
    _exit (code);
}

void wb_mpi_check (int code, const char *call, const char *file, int line) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;

    if (code == MPI_SUCCESS) return;
    MPI_Error_string (code, text, &n);
    wb_abort (file, line, "rank %d on %s: %.60s failed: %s", own_rank, own_host, call, text);
}

/* ---- world ------------------------------------------------------------------------------------------------------- */

bool wb_world_launched (void) {
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; ++i)
        if (getenv (marks[i]) != NULL) return true;
    return false;
}

/* Tasks of the Slurm step this process is a task of, 0 when it is none: a batch script's own step is "batch", and what
 * mpirun starts has Open MPI's variables. */
static int slurm_tasks (void) {
    const char *step = getenv ("SLURM_STEP_ID"), *tasks = getenv ("SLURM_STEP_NUM_TASKS");

    if (step == NULL || tasks == NULL || getenv ("SLURM_PROCID") == NULL || getenv ("OMPI_COMM_WORLD_SIZE") != NULL)
        return 0;
    if (strtoul (step, NULL, 10) >= 0xfffffff0ul) return 0; /* batch and extern steps */
    return atoi (tasks);
}

static wb_comm_t *new_comm (MPI_Comm mpi, int rank, int size) {
    wb_comm_t *c = wb_calloc (1, sizeof *c);

    if (c == NULL) return NULL;
    c->mpi = mpi;
    c->rank = rank;
    c->size = size;
    snprintf (c->host, sizeof c->host, "%s", own_host);
    return c;
}

wb_status wb_world_new (wb_comm_t **out) {
    int rank = 0, size = 1, had = 0, tasks = slurm_tasks ();
    MPI_Comm mpi = MPI_COMM_NULL;

    *out = NULL;
    gethostname (own_host, sizeof own_host - 1);
    if (wb_world_launched ()) {
        if (MPI_Init_thread (NULL, NULL, MPI_THREAD_FUNNELED, &had) != MPI_SUCCESS)
            return WB_FAIL (WB_EIO, "MPI does not start");
        MPI_Comm_set_errhandler (MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        wb_abort_hook (end_all);
        WB_MPI (MPI_Comm_rank (MPI_COMM_WORLD, &rank));
        WB_MPI (MPI_Comm_size (MPI_COMM_WORLD, &size));
        own_rank = rank;
        wb_error_rank (rank);
        if (size > 1) WB_MPI (MPI_Comm_dup (MPI_COMM_WORLD, &mpi));
        if (size > 1) MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN);
    }
    *out = new_comm (mpi, rank, size);
    if (*out == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for the world");
    (*out)->world = true;
    if (tasks > size)
        return WB_FAIL (WB_EUSAGE,
                        "srun started %d tasks, but this process sees a world of %d: start with `srun --mpi=pmix` "
                        "(`srun --mpi=list` tells what "
                        "there is), or with mpirun inside the job",
                        tasks, size);
    return WB_OK;
}

void wb_world_destroy (wb_comm_t *world) {
    int on = 0, off = 0;

    if (world == NULL) return;
    if (world->mpi != MPI_COMM_NULL) {
        WB_MPI (MPI_Barrier (world->mpi));
        MPI_Comm_free (&world->mpi);
    }
    MPI_Initialized (&on);
    if (on) MPI_Finalized (&off);
    if (on && !off) {
        wb_abort_hook (NULL);
        MPI_Finalize ();
    }
    wb_free (world);
}

static wb_status adopt (wb_comm_t **out, MPI_Comm mpi) {
    int rank, size;

    *out = NULL;
    if (mpi == MPI_COMM_NULL) return WB_OK;
    WB_MPI (MPI_Comm_rank (mpi, &rank));
    WB_MPI (MPI_Comm_size (mpi, &size));
    if (size == 1)
        MPI_Comm_free (&mpi);
    else
        MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN);
    *out = new_comm (size == 1 ? MPI_COMM_NULL : mpi, rank, size);
    return *out != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory for a group of ranks");
}

wb_status wb_comm_split (wb_comm_t **out, wb_comm_t *parent, int color, int key) {
    MPI_Comm mpi = MPI_COMM_NULL;

    if (parent->mpi == MPI_COMM_NULL) {
        *out = color < 0 ? NULL : new_comm (MPI_COMM_NULL, 0, 1);
        return color < 0 || *out != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory for a group of ranks");
    }
    WB_MPI (MPI_Comm_split (parent->mpi, color < 0 ? MPI_UNDEFINED : color, key, &mpi));
    return wb_agree (parent, adopt (out, mpi));
}

wb_status wb_comm_split_node (wb_comm_t **out, wb_comm_t *parent) {
    MPI_Comm mpi = MPI_COMM_NULL;

    if (parent->mpi == MPI_COMM_NULL) return wb_comm_split (out, parent, 0, 0);
    WB_MPI (MPI_Comm_split_type (parent->mpi, MPI_COMM_TYPE_SHARED, parent->rank, MPI_INFO_NULL, &mpi));
    return wb_agree (parent, adopt (out, mpi));
}

void wb_comm_destroy (wb_comm_t *c) {
    if (c == NULL) return;
    WB_ASSERT (!c->world);
    if (c->mpi != MPI_COMM_NULL) MPI_Comm_free (&c->mpi);
    wb_free (c);
}

int wb_comm_rank (const wb_comm_t *c) { return c->rank; }
int wb_comm_size (const wb_comm_t *c) { return c->size; }
const char *wb_comm_host (const wb_comm_t *c) { return c->host; }

const char *wb_comm_library (void) {
    static char name[64];
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0;

    if (!wb_world_launched ()) return "without MPI";
    MPI_Get_library_version (text, &n);
    text[strcspn (text, ",\n")] = 0; /* "Open MPI v4.1.4, package: ..." */
    snprintf (name, sizeof name, "%.60s", text);
    return name;
}

/* ---- small collectives ------------------------------------------------------------------------------------------- */

void wb_comm_barrier (wb_comm_t *c) {
    if (c->size > 1) WB_MPI (MPI_Barrier (c->mpi));
}

void wb_comm_bcast (wb_comm_t *c, void *data, size_t bytes, int root) {
    char *p = data;

    if (c->size == 1) return;
    for (; bytes > 0;) {
        size_t n = bytes < WB_MPI_BYTES ? bytes : WB_MPI_BYTES;
        WB_MPI (MPI_Bcast (p, (int) n, MPI_BYTE, root, c->mpi));
        p += n;
        bytes -= n;
    }
}

void wb_comm_all_gather (wb_comm_t *c, void *all, const void *mine, size_t bytes) {
    if (c->size == 1)
        memcpy (all, mine, bytes);
    else
        WB_MPI (
            MPI_Allgather (mine, wb_int ((int64_t) bytes), MPI_BYTE, all, wb_int ((int64_t) bytes), MPI_BYTE, c->mpi));
}

/* Reductions: rank 0 combines in MPI's order and sends the result round, so that all have the same bits. */
static void reduce (wb_comm_t *c, void *x, int64_t n, size_t width, MPI_Datatype type, MPI_Op op) {
    char *p = x;

    if (c->size == 1) return;
    for (; n > 0;) {
        int m = n < (1 << 24) ? (int) n : 1 << 24;
        if (c->rank == 0)
            WB_MPI (MPI_Reduce (MPI_IN_PLACE, p, m, type, op, 0, c->mpi));
        else
            WB_MPI (MPI_Reduce (p, NULL, m, type, op, 0, c->mpi));
        WB_MPI (MPI_Bcast (p, m, type, 0, c->mpi));
        p += (size_t) m * width;
        n -= m;
    }
}

void wb_comm_sum_f64 (wb_comm_t *c, double *x, int n) { reduce (c, x, n, sizeof *x, MPI_DOUBLE, MPI_SUM); }
void wb_comm_max_f64 (wb_comm_t *c, double *x, int n) { reduce (c, x, n, sizeof *x, MPI_DOUBLE, MPI_MAX); }
void wb_comm_min_f64 (wb_comm_t *c, double *x, int n) { reduce (c, x, n, sizeof *x, MPI_DOUBLE, MPI_MIN); }
void wb_comm_sum_i64 (wb_comm_t *c, int64_t *x, int n) { reduce (c, x, n, sizeof *x, MPI_INT64_T, MPI_SUM); }
void wb_comm_max_i64 (wb_comm_t *c, int64_t *x, int n) { reduce (c, x, n, sizeof *x, MPI_INT64_T, MPI_MAX); }
void wb_comm_max_f32 (wb_comm_t *c, float *x, int64_t n) { reduce (c, x, n, sizeof *x, MPI_FLOAT, MPI_MAX); }
void wb_comm_sum_f32 (wb_comm_t *c, float *x, int64_t n) { reduce (c, x, n, sizeof *x, MPI_FLOAT, MPI_SUM); }

void wb_comm_send (wb_comm_t *c, const void *data, size_t bytes, int to, int tag) {
    const char *p = data;

    do {
        size_t n = bytes < WB_MPI_BYTES ? bytes : WB_MPI_BYTES;
        WB_MPI (MPI_Send (p, (int) n, MPI_BYTE, to, tag, c->mpi));
        p += n;
        bytes -= n;
    } while (bytes > 0);
}

void wb_comm_recv (wb_comm_t *c, void *data, size_t bytes, int from, int tag) {
    char *p = data;

    do {
        size_t n = bytes < WB_MPI_BYTES ? bytes : WB_MPI_BYTES;
        WB_MPI (MPI_Recv (p, (int) n, MPI_BYTE, from, tag, c->mpi, MPI_STATUS_IGNORE));
        p += n;
        bytes -= n;
    } while (bytes > 0);
}
