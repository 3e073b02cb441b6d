/* Groups of ranks: an MPI communicator with errors returned, or nothing at all when the group has one rank. */
#include "config.h"

#include <stdlib.h>

#include "comm/comm_priv.h"
#include "wabun/launch.h"

wb_status wb_group_new (wb_comm_t **out, MPI_Comm mpi) {
    wb_comm_t *c = *out = wb_calloc (1, sizeof *c);
    if (c == NULL) return WB_NOMEM ("a group of ranks");
    c->mpi = MPI_COMM_NULL;
    c->size = 1;
    if (mpi != MPI_COMM_NULL) {
        WB_MPI (MPI_Comm_size (mpi, &c->size));
        WB_MPI (MPI_Comm_rank (mpi, &c->rank));
    }
    if (c->size == 1) return WB_OK;
    c->mpi = mpi;
    c->scratch = wb_malloc (WB_SCRATCH_BYTES);
    if (c->scratch != NULL) return WB_OK;
    wb_status st = WB_NOMEM ("a group of %d ranks", c->size);
    wb_group_free (c);
    *out = NULL;
    return st;
}

void wb_group_free (wb_comm_t *c) {
    if (c == NULL) return;
    wb_free (c->scratch);
    wb_free (c);
}

wb_status wb_comm_alone (wb_comm_t **out) { return wb_group_new (out, MPI_COMM_NULL); }

void wb_comm_destroy (wb_comm_t *c) {
    if (c == NULL) return;
    MPI_Comm mpi = c->mpi;
    wb_group_free (c);
    if (mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
}

int wb_comm_lend (const wb_comm_t *c, int (*take) (void)) {
    WB_ASSERT (c->mpi != MPI_COMM_NULL);
    return ((int (*) (MPI_Comm)) (void *) take) (c->mpi);
}

int wb_comm_rank (const wb_comm_t *c) { return c->rank; }
int wb_comm_size (const wb_comm_t *c) { return c->size; }

/* ---- splits ------------------------------------------------------------------------------------------------------ */

/* A group around the communicator that a split returned to this rank.  Collective over parent; agreed. */
static wb_status wrap (wb_comm_t **out, wb_comm_t *parent, MPI_Comm mpi) {
    wb_status st = WB_OK;
    int size = 0;
    *out = NULL;
    if (mpi != MPI_COMM_NULL) {
        WB_MPI (MPI_Comm_size (mpi, &size));
        WB_MPI (MPI_Comm_set_errhandler (mpi, MPI_ERRORS_RETURN));
        if (size == 1) WB_MPI (MPI_Comm_free (&mpi)); /* leaves MPI_COMM_NULL */
        st = wb_group_new (out, mpi);
    }
    st = wb_agree (parent, st);
    if (st != WB_OK) {
        wb_group_free (*out);
        *out = NULL;
        if (mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&mpi));
    }
    return st;
}

wb_status wb_comm_split (wb_comm_t **out, wb_comm_t *parent, int color, int key) {
    MPI_Comm mpi = MPI_COMM_NULL;
    *out = NULL;
    if (parent->size == 1) return color < 0 ? WB_OK : wb_group_new (out, MPI_COMM_NULL);
    WB_MPI (MPI_Comm_split (parent->mpi, color < 0 ? MPI_UNDEFINED : color, key, &mpi));
    return wrap (out, parent, mpi);
}

wb_status wb_node_split (MPI_Comm *out, wb_comm_t *c) {
    const char *text = getenv ("WABUN_NODE_RANKS");
    const int64_t ranks = wb_env_number ("WABUN_NODE_RANKS");
    wb_status st = WB_OK;
    if (text != NULL && (ranks < 1 || ranks > INT32_MAX))
        st = WB_FAIL (WB_EUSAGE, "WABUN_NODE_RANKS=%s: it is the number of ranks that count as one node", text);
    *out = MPI_COMM_NULL;
    WB_TRY (wb_agree (c, st));
    WB_MPI (MPI_Comm_split_type (c->mpi, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, out));
    if (ranks > 0) {
        MPI_Comm whole = *out;
        WB_MPI (MPI_Comm_split (whole, (int) (wb_world_rank () / ranks), c->rank, out));
        WB_MPI (MPI_Comm_free (&whole));
    }
    WB_MPI (MPI_Comm_set_errhandler (*out, MPI_ERRORS_RETURN));
    return WB_OK;
}

wb_status wb_comm_split_node (wb_comm_t **out, wb_comm_t *parent) {
    MPI_Comm mpi = MPI_COMM_NULL;
    *out = NULL;
    if (parent->size == 1) return wb_group_new (out, MPI_COMM_NULL);
    WB_TRY (wb_node_split (&mpi, parent));
    return wrap (out, parent, mpi);
}
