/* The grid data x pipeline x tensor over the ranks of the world.
 *
 * Ranks are put in the order (node, rank), a node being numbered by its lowest world rank, and that order is read as
 * (d, p, t) with t fastest: whatever the launcher did (by node, by slot), the ranks of a tensor group, which talk most,
 * share a node as long as the tensor size divides the ranks of each.  WABUN_RANK_ORDER=world reads plain world ranks.
 *
 * Not done here: switches and racks above the nodes; choosing the sizes (the planner does). */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/comm_priv.h"
#include "comm/topo_priv.h"

int wb_topo_place (const int *node, int size, int rank) {
    int before = 0;
    for (int r = 0; r < size; r++) before += node[r] < node[rank] || (node[r] == node[rank] && r < rank);
    return before;
}

/* How far a layout is from the one that was asked for; data 0 is any. */
static double distance (int data, int pipeline, int tensor, int d, int p, int t) {
    double off = fabs (log ((double) p / pipeline)) + fabs (log ((double) t / tensor));
    return off + (data > 0 ? fabs (log ((double) d / data)) : 0.0);
}

wb_status wb_topo_check (int *data, int pipeline, int tensor, int size) {
    const int most = 1 << 20; /* so that products fit */
    if (*data < 0 || pipeline < 1 || tensor < 1 || *data > most || pipeline > most || tensor > most)
        return WB_FAIL (WB_EUSAGE,
                        "parallel: data %d, pipeline %d, tensor %d: sizes are 1 to %d (data = 0 is what is left over)",
                        *data, pipeline, tensor, most);
    int64_t line = (int64_t) pipeline * tensor;
    if (*data == 0 && size % line == 0) *data = (int) (size / line);
    if (*data > 0 && *data * line == size) return WB_OK;

    /* The three nearest layouts that work. */
    int best[3][3], n = 0;
    double far[3] = {0.0, 0.0, 0.0};
    for (int p = 1; p <= size; p++) {
        for (int t = 1; size % p == 0 && t <= size / p; t++) {
            if (size / p % t != 0) continue;
            int d = size / p / t, at = n < 3 ? n++ : 2;
            double off = distance (*data, pipeline, tensor, d, p, t);
            if (at == 2 && n == 3 && far[2] > 0.0 && off >= far[2]) continue;
            for (; at > 0 && off < far[at - 1]; at--) {
                far[at] = far[at - 1];
                memcpy (best[at], best[at - 1], sizeof best[at]);
            }
            far[at] = off;
            best[at][0] = d, best[at][1] = p, best[at][2] = t;
        }
    }
    char text[256] = "", asked[64];
    for (int i = 0; i < n; i++) {
        size_t used = strlen (text);
        snprintf (text + used, sizeof text - used, "%s%d x %d x %d",
                  i == 0       ? ""
                  : i == n - 1 ? " or "
                               : ", ",
                  best[i][0], best[i][1], best[i][2]);
    }
    if (*data > 0)
        snprintf (asked, sizeof asked, "%d x %d x %d", *data, pipeline, tensor);
    else
        snprintf (asked, sizeof asked, "(what is left over) x %d x %d", pipeline, tensor);
    int64_t more = *data > 0 ? *data * line : (size + line - 1) / line * line;
    return WB_FAIL (WB_EUSAGE,
                    "data x pipeline x tensor = %s does not fit %d rank%s: set parallel to %s, or start %lld ranks",
                    asked, size, size == 1 ? "" : "s", text, (long long) more);
}

/* This rank's place in the node-aware order, with its node's group. */
static wb_status place (wb_topo_t *t, int *index) {
    wb_comm_t *world = t->world;
    int size = wb_comm_size (world), rank = wb_comm_rank (world), first = rank;
    WB_TRY (wb_comm_split_node (&t->node, world));
    wb_comm_bcast (t->node, &first, sizeof first, 0);
    int64_t nodes = first == rank ? 1 : 0;
    wb_comm_sum_i64 (world, &nodes, 1);
    t->nodes = (int) nodes;
    *index = rank;
    const char *order = getenv ("WABUN_RANK_ORDER");
    bool plain = order != NULL && strcmp (order, "world") == 0;
    wb_status st = WB_OK;
    if (order != NULL && !plain && *order != 0 && strcmp (order, "node") != 0)
        st = WB_FAIL (WB_EUSAGE, "WABUN_RANK_ORDER=%s: it is \"node\" or \"world\"", order);
    WB_TRY (wb_agree (world, st));
    WB_TRY (wb_same (world, &plain, sizeof plain, "WABUN_RANK_ORDER"));
    int *node = wb_malloc ((size_t) size * sizeof *node);
    st = wb_agree (world, node == NULL ? WB_FAIL (WB_ENOMEM, "no memory for the list of nodes") : WB_OK);
    if (st == WB_OK) {
        wb_comm_all_gather (world, node, &first, sizeof first);
        if (!plain) *index = wb_topo_place (node, size, rank);
    }
    wb_free (node);
    return st;
}

static wb_status fill (wb_topo_t *t) {
    int index, crossing = 0, first = 0;
    WB_TRY (place (t, &index));
    t->tp_rank = index % t->tp;
    t->pp_rank = index / t->tp % t->pp;
    t->dp_rank = index / t->tp / t->pp;
    WB_TRY (wb_comm_split (&t->data, t->world, t->pp_rank * t->tp + t->tp_rank, t->dp_rank));
    WB_TRY (wb_comm_split (&t->pipe, t->world, t->dp_rank * t->tp + t->tp_rank, t->pp_rank));
    WB_TRY (wb_comm_split (&t->tensor, t->world, t->dp_rank * t->pp + t->pp_rank, t->tp_rank));
    bool ends = t->pp > 1 && (t->pp_rank == 0 || t->pp_rank == t->pp - 1);
    WB_TRY (wb_comm_split (&t->embed, t->world, ends ? t->dp_rank * t->tp + t->tp_rank : -1, t->pp_rank));
    WB_ASSERT (wb_comm_size (t->data) == t->dp && wb_comm_rank (t->data) == t->dp_rank);
    WB_ASSERT (wb_comm_size (t->pipe) == t->pp && wb_comm_rank (t->pipe) == t->pp_rank);
    WB_ASSERT (wb_comm_size (t->tensor) == t->tp && wb_comm_rank (t->tensor) == t->tp_rank);

    if (t->nodes > 1 && t->tp > 1) {
        first = wb_comm_rank (t->world);
        wb_comm_bcast (t->node, &first, sizeof first, 0);
        int64_t low = first, high = first;
        wb_comm_max_i64 (t->tensor, &high, 1);
        low = -low;
        wb_comm_max_i64 (t->tensor, &low, 1);
        crossing = -low != high;
    }
    int64_t any = crossing;
    wb_comm_max_i64 (t->world, &any, 1);
    if (any > 0)
        wb_warn ("tensor groups of %d ranks reach over nodes, which is slow: start a multiple of %d ranks on each node",
                 t->tp, t->tp);
    return WB_OK;
}

wb_status wb_topo_new (wb_topo_t **out, wb_comm_t *world, int data, int pipeline, int tensor) {
    const int asked[3] = {data, pipeline, tensor};
    *out = NULL;
    WB_TRY (wb_same (world, asked, sizeof asked, "the layout (parallel.data, pipeline, tensor)"));
    WB_TRY (wb_agree (world, wb_topo_check (&data, pipeline, tensor, wb_comm_size (world))));
    wb_topo_t *t = wb_calloc (1, sizeof *t);
    wb_status st = wb_agree (world, t == NULL ? WB_FAIL (WB_ENOMEM, "no memory for the layout of ranks") : WB_OK);
    if (st == WB_OK) {
        t->world = world;
        t->dp = data;
        t->pp = pipeline;
        t->tp = tensor;
        st = fill (t);
    }
    if (st != WB_OK) {
        wb_topo_destroy (t);
        t = NULL;
    }
    *out = t;
    return st;
}

void wb_topo_destroy (wb_topo_t *t) {
    if (t == NULL) return;
    wb_comm_destroy (t->embed);
    wb_comm_destroy (t->tensor);
    wb_comm_destroy (t->pipe);
    wb_comm_destroy (t->data);
    wb_comm_destroy (t->node);
    wb_free (t);
}
