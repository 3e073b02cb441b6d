/* The grid data x pipeline x tensor over the ranks of the world.
 *
 * Ranks are put in order by node first, so that the tensor groups, which talk most, are neighbours inside a node.  The
 * environment variable WABUN_RANK_ORDER=world keeps the launcher's order. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "comm_priv.h"

static wb_status check (int size, int data, int pipeline, int tensor) {
    int64_t model = (int64_t) pipeline * tensor;

    if (pipeline < 1 || tensor < 1 || data < 0)
        return WB_FAIL (WB_EUSAGE, "parallel: data %d, pipeline %d, tensor %d: pipeline and tensor must be at least 1",
                        data, pipeline, tensor);
    if (data == 0 && size % model == 0) return WB_OK;
    if (data > 0 && data * model == size) return WB_OK;
    if (data > 0)
        return WB_FAIL (
            WB_EUSAGE, "parallel: data %d x pipeline %d x tensor %d wants %lld ranks, there are %d: start %lld ranks%s",
            data, pipeline, tensor, (long long) (data * model), size, (long long) (data * model),
            size % model == 0 ? ", or set parallel.data = 0 (what is left over)" : "");
    if (model > size)
        return WB_FAIL (WB_EUSAGE,
                        "parallel: pipeline %d x tensor %d wants at least %lld ranks, there %s %d: start more, or make "
                        "them smaller",
                        pipeline, tensor, (long long) model, size == 1 ? "is" : "are", size);
    return WB_FAIL (WB_EUSAGE,
                    "parallel: %d ranks are no multiple of pipeline %d x tensor %d: start %lld or %lld ranks", size,
                    pipeline, tensor, (long long) (size / model * model), (long long) ((size / model + 1) * model));
}

/* Place of this rank in node order, and the number of nodes. */
static wb_status order (int *place, int *nodes, wb_comm_t *world, wb_comm_t *node) {
    const char *kept = getenv ("WABUN_RANK_ORDER");
    int32_t mine = world->rank, *all = wb_malloc ((size_t) world->size * sizeof *all);

    if (all == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for the topology");
    wb_comm_bcast (node, &mine, sizeof mine, 0); /* a node is named by its lowest world rank */
    wb_comm_all_gather (world, all, &mine, sizeof mine);
    *place = *nodes = 0;
    for (int r = 0; r < world->size; ++r) {
        if (all[r] == r) ++*nodes;
        if (all[r] < mine || (all[r] == mine && r < world->rank)) ++*place;
    }
    if (kept != NULL && strcmp (kept, "world") == 0) *place = world->rank;
    wb_free (all);
    return WB_OK;
}

static wb_status fill (wb_topo_t *t, wb_comm_t *world, int data, int pipeline, int tensor) {
    int place = 0;
    bool ends;

    WB_TRY (wb_agree (world, check (world->size, data, pipeline, tensor)));
    t->world = world;
    WB_TRY (wb_comm_split_node (&t->node, world));
    WB_TRY (wb_agree (world, order (&place, &t->nodes, world, t->node)));
    t->P = pipeline;
    t->T = tensor;
    t->D = world->size / (pipeline * tensor);
    t->t = place % t->T;
    t->p = place / t->T % t->P;
    t->d = place / t->T / t->P;
    ends = t->P > 1 && (t->p == 0 || t->p == t->P - 1);
    WB_TRY (wb_comm_split (&t->data, world, t->p * t->T + t->t, t->d));
    WB_TRY (wb_comm_split (&t->pipe, world, t->d * t->T + t->t, t->p));
    WB_TRY (wb_comm_split (&t->tensor, world, t->d * t->P + t->p, t->t));
    return wb_comm_split (&t->embed, world, ends ? t->d * t->T + t->t : -1, t->p);
}

wb_status wb_topo_new (wb_topo_t **out, wb_comm_t *world, int data, int pipeline, int tensor) {
    wb_topo_t *t = wb_calloc (1, sizeof *t);
    wb_status status = wb_agree (world, t != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory for the topology"));

    *out = NULL;
    if (status == WB_OK) status = fill (t, world, data, pipeline, tensor);
    if (status != WB_OK) {
        wb_topo_destroy (t);
        return status;
    }
    *out = t;
    return WB_OK;
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
