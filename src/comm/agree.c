/* Agreement: no rank leaves alone.
 *
 * wb_agree costs one reduction of an int when all is well: each rank gives its rank number when it failed, else the
 * size of the group; the smallest is the rank whose error record everybody gets (FFTW's any_true, with a message). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "comm_priv.h"

wb_status wb_agree (wb_comm_t *c, wb_status mine) {
    int first = mine != WB_OK ? c->rank : c->size, least = first;
    wb_error_t e;

    if (c->size == 1) return mine;
    WB_MPI (MPI_Allreduce (&first, &least, 1, MPI_INT, MPI_MIN, c->mpi));
    if (least == c->size) return WB_OK;
    if (least == c->rank) {
        if (wb_error_get ()->status == WB_OK) (void) WB_FAIL (mine, "failed: %s", wb_status_name (mine));
        e = *wb_error_get ();
    }
    wb_comm_bcast (c, &e, sizeof e, least);
    wb_error_put (&e);
    return (wb_status) e.status;
}

wb_status wb_same (wb_comm_t *c, const void *data, size_t bytes, const char *what) {
    char buf[4096];
    const char *p = data;
    wb_status status = WB_OK;

    if (c->size == 1) return WB_OK;
    for (size_t at = 0; at < bytes && status == WB_OK; at += sizeof buf) {
        size_t n = bytes - at < sizeof buf ? bytes - at : sizeof buf;

        if (c->rank == 0) memcpy (buf, p + at, n);
        wb_comm_bcast (c, buf, n, 0);
        if (memcmp (buf, p + at, n) != 0)
            status = WB_FAIL (WB_EUSAGE, "%s differs between ranks 0 and %d", what, c->rank);
        status = wb_agree (c, status);
    }
    return status;
}

void wb_verdict (wb_comm_t *c, wb_verdict_t *v) {
    double x[5];

    if (!isfinite (v->loss) || !isfinite (v->gradsq)) v->bad += 1;
    x[0] = v->loss;
    x[1] = v->tokens;
    x[2] = v->gradsq;
    x[3] = v->bad;
    x[4] = v->stop;
    wb_comm_sum_f64 (c, x, 5);
    *v = (wb_verdict_t){x[0], x[1], x[2], x[3], x[4]};
    if (!isfinite (v->loss) || !isfinite (v->gradsq)) v->bad += 1;
}
