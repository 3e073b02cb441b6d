/* A file that grows by whole pieces and survives a disk that is full for a while. */
#ifndef WABUN_REPORT_APPEND_H
#define WABUN_REPORT_APPEND_H

#include "wabun/report.h"

typedef struct wb_append {
    char *path;   /* owned */
    int fd;       /* -1: not open */
    int64_t good; /* bytes of whole pieces; -1: not known yet */
    bool binary;  /* pieces are no lines: what is half written cannot be passed over and must be cut off */
} wb_append_t;

/* *kept: is this line of an old file kept?  With its newline, n bytes; called for each line in turn.  NULL keeps all.
 */
typedef wb_status (*wb_append_keep_fn) (bool *kept, void *ctx, const char *line, size_t n);

/* Append to RUN/name, which the first piece makes where it is not there.  The lines that `keep` refuses and a last line
 * without newline are removed.  *a starts zeroed; after an error it can be closed or opened again.  Errors: WB_EIO,
 * WB_ENOMEM. */
wb_status wb_append_open (wb_append_t *a, const char *run, const char *name, wb_append_keep_fn keep,
                          void *ctx) WB_NODISCARD;
/* Append bytes, which end in a newline where the file is not binary: all of them, or none.  Opens the file again where
 * the last call failed. Errors: WB_EIO. */
wb_status wb_append_put (wb_append_t *a, const char *data, size_t bytes) WB_NODISCARD;
/* Errors: WB_EIO, what the system has noticed only now. */
wb_status wb_append_close (wb_append_t *a) WB_NODISCARD;

#endif
