/* Agreement: no rank leaves alone.
 *
 * Each rank brings its own status; all return that of the lowest rank that failed, and have its record, so the message
 * that main() prints once is the same wherever it is printed.
 *
 * Not done here: agreeing when a rank is lost.  Then the MPI call fails and ends all ranks (mpi.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "comm/comm_priv.h"

wb_status wb_mpi_agree (wb_status mine, int rank, int size, MPI_Comm mpi) {
    if (mine != WB_OK && wb_error_get ()->status == WB_OK) (void) WB_FAIL (mine, "%s", wb_status_name (mine));
    if (size == 1) return mine;
    const int worst = wb_mpi_max (mine != WB_OK ? size - rank : 0, mpi);
    if (worst == 0) return WB_OK;
    int root = size - worst;
    wb_error_t e;
    memset (&e, 0, sizeof e);
    if (rank == root) {
        e = *wb_error_get ();
        e.status = mine;
        if (e.rank < 0) e.rank = wb_world_rank ();
    }
    wb_mpi_bcast (&e, sizeof e, root, mpi);
    wb_error_put (&e);
    return (wb_status) e.status;
}

wb_status wb_agree (wb_comm_t *c, wb_status mine) { return wb_mpi_agree (mine, c->rank, c->size, c->mpi); }

wb_status wb_same (wb_comm_t *c, const void *data, size_t bytes, const char *what) {
    if (c->size == 1) return WB_OK;
    uint64_t mine[3] = {wb_hash64 (data, bytes), bytes, (uint64_t) wb_world_rank ()}, first[3];
    memcpy (first, mine, sizeof first);
    wb_comm_bcast (c, first, sizeof first, 0);
    wb_status st = WB_OK;
    if (mine[0] != first[0] || mine[1] != first[1])
        st = WB_FAIL (WB_EUSAGE, "%s differs between ranks %d and %d (%s): give every rank the same", what,
                      (int) first[2], wb_world_rank (), wb_comm_host ());
    return wb_agree (c, st);
}

void wb_verdict (wb_comm_t *c, wb_verdict_t *v) {
    double x[8] = {v->loss, v->tokens, v->gradsq, v->bad, v->unread, v->stop, v->save, v->ready};
    if (!isfinite (v->loss) || !isfinite (v->gradsq)) x[3] += 1.0;
    wb_comm_sum_f64 (c, x, 8);
    /* Finite on each rank, and too large together. */
    if ((!isfinite (x[0]) || !isfinite (x[2])) && x[3] == 0.0) x[3] = 1.0;
    *v = (wb_verdict_t){.loss = x[0],
                        .tokens = x[1],
                        .gradsq = x[2],
                        .bad = x[3],
                        .unread = x[4],
                        .stop = x[5],
                        .save = x[6],
                        .ready = x[7]};
}
