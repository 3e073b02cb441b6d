/* A file as torch.save() writes it.  Not installed. */
#ifndef WABUN_CONVERT_TORCH_H
#define WABUN_CONVERT_TORCH_H

#include "convert/pickle.h"
#include "convert/zip.h"

typedef struct wb_torch_storage {
    char name[32];
    int64_t at, bytes; /**< in the file */
} wb_torch_storage_t;

typedef struct wb_torch_file {
    char *path; /**< owned; the rest is filled in by _open */
    wb_zip_t zip;
    wb_pickle_t pickle;
    wb_torch_storage_t *storages; /**< sorted by name */
    int64_t nstorages, cap;
} wb_torch_file_t;

/** Read what is in f->path: all numbers that its tensors lead to are there.  Close it also after an error.  Errors:
 * WB_EDATA, WB_EIO, WB_ENOMEM. */
wb_status wb_torch_file_open (wb_torch_file_t *f) WB_NODISCARD;
void wb_torch_file_close (wb_torch_file_t *f);
/** By name; NULL: none. */
const wb_torch_storage_t *wb_torch_storage (const wb_torch_file_t *f, const char *name);

#endif
