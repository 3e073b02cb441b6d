/* What the files of dataset share among themselves. */
#ifndef WABUN_DATASET_PRIV_H
#define WABUN_DATASET_PRIV_H

#include "wabun/dataset.h"

/* Tell the system how the ids will be read. */
void wb_tokens_advise (const wb_tokens_t *f, bool random);
/* Start reading ids first .. first + n - 1 in the background. */
void wb_tokens_prefetch (const wb_tokens_t *f, int64_t first, int64_t n);

#endif
