/* The tensors of a model directory: their files (source.c), their names (names.c).  Not installed. */
#ifndef WABUN_CHECKPOINT_SOURCE_H
#define WABUN_CHECKPOINT_SOURCE_H

#include "checkpoint/checkpoint_priv.h"

typedef struct wb_source_file {
    char *path;
    wb_st_t *st;
    wb_pfile_t *file;
} wb_source_file_t;

typedef struct wb_source {
    char *name; /**< path of the one file, or of the index */
    wb_source_file_t *files;
    int nfiles, tensors; /**< tensors: in all of them */
    char prefix[128];    /**< what stands before every name */
} wb_source_t;

/** Open dir/file, or where that is missing the files that dir/file.index.json names.  Collective over c.  Errors:
 * WB_EIO, WB_EDATA, WB_ENOMEM; agreed; then nothing is open. */
wb_status wb_source_open (wb_source_t *s, wb_comm_t *c, const char *dir, const char *file) WB_NODISCARD;
/** Collective as wb_pfile_close().  Errors: the first failure of a read. */
wb_status wb_source_close (wb_source_t *s) WB_NODISCARD;

/* ---- names.c --------------------------------------------------------------------------------------------------- */

/** Find out what stands before the names of the set's table (without one: of the segments' parameters), and check what
 * else there is.  With a prefix in the set it is that.  Not collective.  Errors: WB_EDATA. */
wb_status wb_source_names (wb_source_t *s, const wb_ckpt_set_t *set, const wb_segment_t *segments,
                           int nsegments) WB_NODISCARD;
/** The tensor of p, with the shape the table says, and its file; both borrowed.  Not collective.  Errors: WB_EDATA. */
wb_status wb_source_find (const wb_st_tensor_t **out, wb_source_file_t **file, const wb_source_t *s,
                          const wb_param_t *p) WB_NODISCARD;
/** An output layer beside the embedding must be equal to it: this rank compares its share.  Not collective.  Errors:
 * WB_EDATA, WB_EIO, WB_ENOMEM. */
wb_status wb_source_check_head (const wb_source_t *s, const wb_ckpt_set_t *set, int rank, int ranks) WB_NODISCARD;

#endif
