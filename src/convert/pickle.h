/* What a pickle of PyTorch says about its tensors.  Nothing in it is executed.  Not installed. */
#ifndef WABUN_CONVERT_PICKLE_H
#define WABUN_CONVERT_PICKLE_H

#include "convert/convert_priv.h"

#define WB_PICKLE_BYTES ((size_t) 2 << 20) /* a state dict of 10,000 tensors takes less */

typedef struct wb_pickle_tensor {
    char *name, *storage; /**< owned; storage: name of the numbers' entry */
    wb_dtype dtype;       /**< WB_OTHER: not one that is computed with */
    int64_t element;      /**< bytes of a number */
    int ndim;
    int64_t shape[8], stride[8]; /**< in numbers, >= 0 */
    int64_t first, last;         /**< numbers of the storage: the first one used, and the last; -1: it is empty */
    int64_t numbers;             /**< of the storage */
} wb_pickle_tensor_t;

typedef struct wb_pickle {
    wb_pickle_tensor_t *list;
    int64_t n, cap;
} wb_pickle_t; /**< zero-initialised is empty */

/** The tensors of a state dict, in its order; other things in it are left out.  path: for messages.  Errors: WB_EDATA:
 * anything that a state dict does not need; WB_ENOMEM. */
wb_status wb_pickle_read (wb_pickle_t *out, const char *path, const char *data, size_t n) WB_NODISCARD;
void wb_pickle_fini (wb_pickle_t *p);

#endif
