/* MPI's own all-reduce with a chosen algorithm: what our ring is measured against.
 *
 * Open MPI reads the algorithm of its "tuned" collectives when a communicator is created.  So the tool interface (MPI
 * 3.1, chapter 14) sets the control variable, a communicator is created, and the variable is reset.  Open MPI reads the
 * variable only when coll_tuned_use_dynamic_rules is on, which it reads once, when MPI starts: hence
 * wb_mpi_allreduce_prepare(), before wb_world_new().
 *
 * Not done here: other MPI libraries' variables; there only the default can be measured. */
#include "config.h"

#include <stdlib.h>

#include "comm/comm_priv.h"

struct wb_mpi_allreduce {
    MPI_Comm mpi;
    int size;
};

static const char variable[] = "coll_tuned_allreduce_algorithm";

void wb_mpi_allreduce_prepare (void) { setenv ("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", 1); }

/* Set the variable; false where it does not exist or cannot be set. */
static bool set_algorithm (int algorithm) {
    int provided, index, count = 0, now = -1;
    MPI_T_cvar_handle handle;
    if (MPI_T_init_thread (MPI_THREAD_SINGLE, &provided) != MPI_SUCCESS) return false;
    bool ok = MPI_T_cvar_get_index (variable, &index) == MPI_SUCCESS &&
              MPI_T_cvar_handle_alloc (index, NULL, &handle, &count) == MPI_SUCCESS;
    if (ok) {
        ok = count == 1 && MPI_T_cvar_write (handle, &algorithm) == MPI_SUCCESS &&
             MPI_T_cvar_read (handle, &now) == MPI_SUCCESS && now == algorithm;
        MPI_T_cvar_handle_free (&handle);
    }
    MPI_T_finalize ();
    return ok;
}

wb_status wb_mpi_allreduce_new (wb_mpi_allreduce_t **out, wb_comm_t *group, wb_mpi_allreduce_kind kind) {
    wb_mpi_allreduce_t *r = *out = wb_calloc (1, sizeof *r);
    wb_status status = r != NULL ? WB_OK : WB_NOMEM ("a communicator for MPI_Allreduce");
    if (status == WB_OK) {
        r->mpi = MPI_COMM_NULL;
        r->size = group->size;
        if (kind != WB_MPI_ALLREDUCE_DEFAULT && group->size > 1 && !set_algorithm ((int) kind))
            status = WB_FAIL (WB_EUSAGE, "%s has no variable %s to be set at run time", wb_comm_library (), variable);
    }
    status = wb_agree (group, status);
    if (status == WB_OK && group->size > 1) {
        WB_MPI (MPI_Comm_dup (group->mpi, &r->mpi));
        WB_MPI (MPI_Comm_set_errhandler (r->mpi, MPI_ERRORS_RETURN));
    }
    if (kind != WB_MPI_ALLREDUCE_DEFAULT && group->size > 1) set_algorithm (0);
    if (status == WB_OK) return WB_OK;
    wb_free (r);
    *out = NULL;
    return status;
}

void wb_mpi_allreduce_destroy (wb_mpi_allreduce_t *r) {
    if (r == NULL) return;
    if (r->mpi != MPI_COMM_NULL) WB_MPI (MPI_Comm_free (&r->mpi));
    wb_free (r);
}

void wb_mpi_allreduce_sum (wb_mpi_allreduce_t *r, float *x, int64_t n) {
    const int64_t max = (int64_t) (WB_MESSAGE_MAX / sizeof (float));
    for (int64_t at = 0; r->size > 1 && at < n; at += max)
        WB_MPI (MPI_Allreduce (MPI_IN_PLACE, x + at, (int) (n - at < max ? n - at : max), MPI_FLOAT, MPI_SUM, r->mpi));
}
