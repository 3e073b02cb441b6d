/* The grid data x pipeline x tensor over the ranks of the world.
 *
 * Ranks are ordered by (node, rank), where a node has the number of its lowest world rank, and that order is read as
 * (data, pipeline, tensor) with tensor fastest: however the launcher placed them (by node, by slot), the ranks of a
 * tensor group, which communicate most, share a node as long as the tensor size divides the ranks of each.
 * WABUN_RANK_ORDER=world takes plain world ranks.
 *
 * Not done here: switches and racks above the nodes; choosing the sizes (the planner does). */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/comm_priv.h"
#include "comm/topo_priv.h"

enum { NEAREST = 3 }; /* layouts that an error proposes */

typedef struct grid {
    int dp, pp, tp;
} grid_t;

int wb_topo_place (const int *node, int size, int rank) {
    int before = 0;
    for (int r = 0; r < size; r++) before += node[r] < node[rank] || (node[r] == node[rank] && r < rank);
    return before;
}

/* How far a layout is from the one that was asked for; asked->dp 0 is any. */
static double distance (const grid_t *asked, const grid_t *g) {
    double off = fabs (log ((double) g->pp / asked->pp)) + fabs (log ((double) g->tp / asked->tp));
    return off + (asked->dp > 0 ? fabs (log ((double) g->dp / asked->dp)) : 0.0);
}

/* The layouts of `size` ranks that are nearest to the one that was asked for, nearest first; how many. */
static int nearest_grids (grid_t out[NEAREST], const grid_t *asked, int size) {
    double far[NEAREST];
    int n = 0;
    for (int pp = 1; pp <= size; pp++) {
        for (int tp = 1; size % pp == 0 && tp <= size / pp; tp++) {
            if (size / pp % tp != 0) continue;
            const grid_t g = {size / pp / tp, pp, tp};
            const double off = distance (asked, &g);
            int at = n; /* insert it in order; the last one drops out when all places are taken */
            while (at > 0 && off < far[at - 1]) at--;
            if (at == NEAREST) continue;
            if (n < NEAREST) n++;
            for (int i = n - 1; i > at; i--) far[i] = far[i - 1], out[i] = out[i - 1];
            far[at] = off;
            out[at] = g;
        }
    }
    return n;
}

/* The error: what was asked for, and what would fit. */
static wb_status does_not_fit (const grid_t *asked, int size) {
    grid_t near[NEAREST];
    const int n = nearest_grids (near, asked, size);
    const int64_t line = (int64_t) asked->pp * asked->tp;
    const int64_t ranks = asked->dp > 0 ? asked->dp * line : (size + line - 1) / line * line;
    char list[256] = "", dp[32] = "(what is left over)";
    for (int i = 0; i < n; i++) {
        const size_t used = strlen (list);
        const char *comma = i == 0 ? "" : i == n - 1 ? " or " : ", ";
        snprintf (list + used, sizeof list - used, "%s%d x %d x %d", comma, near[i].dp, near[i].pp, near[i].tp);
    }
    if (asked->dp > 0) snprintf (dp, sizeof dp, "%d", asked->dp);
    return WB_FAIL (WB_EUSAGE,
                    "data x pipeline x tensor = %s x %d x %d does not fit %d rank%s: set parallel to %s, or start %lld "
                    "ranks",
                    dp, asked->pp, asked->tp, size, size == 1 ? "" : "s", list, (long long) ranks);
}

wb_status wb_topo_check (int *dp, int pp, int tp, int size) {
    const int max = 1 << 20; /* so that products fit */
    if (*dp < 0 || pp < 1 || tp < 1 || *dp > max || pp > max || tp > max)
        return WB_FAIL (WB_EUSAGE,
                        "parallel: data %d, pipeline %d, tensor %d: sizes are 1 to %d (data = 0 is what is left over)",
                        *dp, pp, tp, max);
    const int64_t line = (int64_t) pp * tp;
    if (*dp == 0 && size % line == 0) *dp = (int) (size / line);
    if (*dp > 0 && *dp * line == size) return WB_OK;
    return does_not_fit (&(grid_t){*dp, pp, tp}, size);
}

/* This rank's place in the node-aware order, with its node's group. */
static wb_status find_place (wb_topo_t *t, int *index) {
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
    int *node = wb_malloc ((size_t) size * sizeof *node);
    st = wb_agree (world, node == NULL ? WB_NOMEM ("the list of nodes") : WB_OK);
    if (st == WB_OK) {
        wb_comm_all_gather (world, node, &first, sizeof first);
        if (!plain) *index = wb_topo_place (node, size, rank);
    }
    wb_free (node);
    return st;
}

/* Does this rank's tensor group span nodes? */
static bool crosses_nodes (const wb_topo_t *t) {
    int first = wb_comm_rank (t->world);
    if (t->nodes == 1 || t->tp == 1) return false;
    wb_comm_bcast (t->node, &first, sizeof first, 0);
    int64_t range[2] = {-first, first};
    wb_comm_max_i64 (t->tensor, range, 2);
    return -range[0] != range[1];
}

static wb_status make_groups (wb_topo_t *t) {
    int index;
    WB_TRY (find_place (t, &index));
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
    int64_t any = crosses_nodes (t);
    wb_comm_max_i64 (t->world, &any, 1);
    if (any > 0)
        wb_warn ("tensor groups of %d ranks span nodes, which is slow: start a multiple of %d ranks on each node",
                 t->tp, t->tp);
    return WB_OK;
}

wb_status wb_topo_new (wb_topo_t **out, wb_comm_t *world, int dp, int pp, int tp) {
    const int asked[3] = {dp, pp, tp};
    *out = NULL;
    WB_TRY (wb_same (world, asked, sizeof asked, "the layout (parallel.data, pipeline, tensor)"));
    WB_TRY (wb_agree (world, wb_topo_check (&dp, pp, tp, wb_comm_size (world))));
    wb_topo_t *t = wb_calloc (1, sizeof *t);
    wb_status st = wb_agree (world, t == NULL ? WB_NOMEM ("the layout of ranks") : WB_OK);
    if (st == WB_OK) {
        t->world = world;
        t->dp = dp;
        t->pp = pp;
        t->tp = tp;
        st = make_groups (t);
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
