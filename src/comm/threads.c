/* Threads of a rank, agreed among the ranks that share its cores. */
#include "config.h"

#include <string.h>

#include "comm/comm_priv.h"
#include "wabun/launch.h"

struct mask {
    unsigned char bits[WB_CORE_MASK_BYTES];
};

wb_status wb_comm_threads (int *out, wb_comm_t *world, int64_t asked) {
    wb_comm_t *node;
    WB_TRY (wb_comm_split_node (&node, world));
    const int P = wb_comm_size (node), cores = wb_cpu_cores ();
    int same = 0;
    struct mask mine, *all = wb_calloc ((size_t) P, sizeof *all);
    wb_status status = all != NULL ? wb_threads_check (asked) : WB_NOMEM ("%d masks", P);
    status = wb_agree (world, status);
    if (status == WB_OK) {
        wb_core_mask (mine.bits);
        wb_comm_all_gather (node, all, &mine, sizeof mine);
        for (int r = 0; r < P; r++) same += memcmp (&all[r], &mine, sizeof mine) == 0;
        *out = wb_threads_choose (asked, same);
        double over = (double) *out * same / cores;
        wb_comm_max_f64 (world, &over, 1);
        if (over > 1) wb_threads_crowded (same, *out, cores);
    }
    wb_free (all);
    wb_comm_destroy (node);
    return status;
}
