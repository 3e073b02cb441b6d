/* Threads of a rank, agreed among the ranks that share its cores. */
#include "config.h"

#include <string.h>

#include "comm/comm_priv.h"
#include "wabun/launch.h"

wb_status wb_comm_threads (int *out, wb_comm_t *world, int64_t asked) {
    wb_comm_t *node;
    WB_TRY (wb_comm_split_node (&node, world));
    const int ranks = wb_comm_size (node);
    wb_cores_t mine, *all = wb_calloc ((size_t) ranks, sizeof *all);
    wb_status status = all != NULL ? wb_threads_check (asked) : WB_NOMEM ("the cores of %d ranks", ranks);
    status = wb_agree (world, status);
    if (status == WB_OK) {
        int same_mask = 0, same_quota = 0;
        wb_cores_find (&mine);
        wb_comm_all_gather (node, all, &mine, sizeof mine);
        for (int r = 0; r < ranks; r++) {
            same_mask += memcmp (all[r].mask, mine.mask, sizeof mine.mask) == 0;
            same_quota += all[r].quota_group == mine.quota_group;
        }
        *out = wb_threads_choose (asked, wb_cores_share (&mine, same_mask, same_quota, ranks));
        double over = (double) *out * same_mask / mine.cores;
        wb_comm_max_f64 (world, &over, 1);
        if (over > 1) wb_threads_crowded (same_mask, *out, mine.cores);
    }
    wb_free (all);
    wb_comm_destroy (node);
    return status;
}
