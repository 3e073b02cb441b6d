/* A save in phases: what save.c (the files) and background.c (a thread that writes them) share.  Not installed. */
#ifndef WABUN_CHECKPOINT_SAVE_H
#define WABUN_CHECKPOINT_SAVE_H

#include "checkpoint/checkpoint_priv.h"

/* Between two phases all ranks agree; in one, no rank needs another.  The first and the last are rank 0's. */
typedef enum wb_save_phase {
    WB_SAVE_MAKE,  /* directory and files with their space */
    WB_SAVE_WRITE, /* the rank's pieces; small files; all synced */
    WB_SAVE_HASH,  /* its share of the checksums, read back */
    WB_SAVE_PLACE, /* the list of checksums, the rename, job->after */
    WB_SAVE_PHASES
} wb_save_phase;

typedef struct wb_save wb_save_t;

/* Plan; everything in *job but the values is copied.  copy: in the layout of wb_save_copy(), or NULL: the values are
 * read where the job says.  The job's values are not touched.  Collective over world.  Errors: WB_ENOMEM, WB_EUSAGE;
 * agreed. */
wb_status wb_save_new (wb_save_t **out, wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job, float *copy,
                       wb_pace_t pace) WB_NODISCARD;
/* The rank's part of a phase.  Not collective, no MPI.  Errors: WB_EIO, WB_EUSAGE, WB_ENOMEM. */
wb_status wb_save_work (wb_save_t *s, wb_save_phase phase) WB_NODISCARD;
/* After it: every rank brings its status.  Collective over world.  Errors: those of wb_save_work(), agreed, as users
 * see them; what was written is removed. */
wb_status wb_save_agree (wb_save_t *s, wb_save_phase phase, wb_status mine) WB_NODISCARD;
int64_t wb_save_bytes (const wb_save_t *s); /* of the shared files, over all ranks */
void wb_save_destroy (wb_save_t *s);        /* NULL is fine */

/* Copy the values that this rank writes, with all threads. */
void wb_save_copy (wb_save_t *s);

/* ---- place.c: one rank ------------------------------------------------------------------------------------------ */

/* Check that dir may be replaced, and make an empty directory temp.  Errors: WB_EUSAGE dir is something else, WB_EIO.
 */
wb_status wb_place_begin (const char *dir, const char *temp) WB_NODISCARD;
/* Sync temp and make it dir.  Errors: WB_EIO; then dir is what it was, or the new one. */
wb_status wb_place_end (const char *dir, const char *temp) WB_NODISCARD;
/* What cannot be removed now is removed by the next save or prune. */
void wb_place_remove (const char *path);

#endif
