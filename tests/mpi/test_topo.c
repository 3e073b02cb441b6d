/* ranks: 1 2 3 4 6 8 */
/* Every layout of the world; the order over nodes; layouts that do not fit. */
#include "config.h"

#include <string.h>

#include "comm/topo_priv.h"
#include "tmpi.h"

/* Every rank of a group has these places, and the group has all of them. */
static bool holds (wb_comm_t *c, const wb_topo_t *t, int size, int along) {
    int mine[3] = {t->dp_rank, t->pp_rank, t->tp_rank}, all[8 * 3], fixed = 0;
    if (wb_comm_size (c) != size || size > 8) return false;
    wb_comm_all_gather (c, all, mine, sizeof mine);
    for (int r = 0; r < size; r++) {
        for (int k = 0; k < 3; k++) fixed += k == along ? all[3 * r + k] == r : all[3 * r + k] == mine[k];
    }
    return fixed == 3 * size;
}

static void layouts (wb_comm_t *world) {
    int n = wb_comm_size (world), r = wb_comm_rank (world);
    for (int p = 1; p <= n; p++) {
        for (int t = 1; t <= n; t++) {
            if (n % (p * t) != 0) continue;
            wb_topo_t *g;
            if (!T_STATUS (wb_topo_new (&g, world, p == 1 ? 0 : n / p / t, p, t), WB_OK)) continue;
            T_OK (g->dp == n / p / t && g->pp == p && g->tp == t && g->world == world, "sizes of %d x %d", p, t);
            /* One node: world ranks as they are. */
            T_OK (g->nodes > 1 || (g->dp_rank * p + g->pp_rank) * t + g->tp_rank == r, "place of rank %d", r);
            T_OK (g->nodes >= 1 && wb_comm_size (g->node) <= n, "%d nodes", g->nodes);
            T_OK (holds (g->data, g, g->dp, 0), "data group of %d x %d", p, t);
            T_OK (holds (g->pipe, g, g->pp, 1), "pipeline group of %d x %d", p, t);
            T_OK (holds (g->tensor, g, g->tp, 2), "tensor group of %d x %d", p, t);
            bool ends = p > 1 && (g->pp_rank == 0 || g->pp_rank == p - 1);
            T_OK (ends ? g->embed != NULL && wb_comm_size (g->embed) == 2 && wb_comm_rank (g->embed) == (g->pp_rank > 0)
                       : g->embed == NULL,
                  "embedding group of %d x %d", p, t);
            wb_topo_destroy (g);
        }
    }
}

static void refusals (wb_comm_t *world) {
    int n = wb_comm_size (world);
    wb_topo_t *g;
    T_STATUS (wb_topo_new (&g, world, 0, n + 1, 1), WB_EUSAGE);
    T_OK (g == NULL, "no topology");
    T_STATUS (wb_topo_new (&g, world, n + 1, 1, 1), WB_EUSAGE);
    T_STATUS (wb_topo_new (&g, world, -1, 1, 1), WB_EUSAGE);
    T_STATUS (wb_topo_new (&g, world, 1, 0, 1), WB_EUSAGE);
    if (n > 1) {
        wb_status st = wb_topo_new (&g, world, 0, wb_comm_rank (world) == n - 1 ? n : 1, 1);
        T_OK (st == WB_EUSAGE && strstr (wb_error_get ()->text, "differs between ranks") != NULL,
              "ranks that disagree: %s", wb_error_get ()->text);
        wb_error_clear ();
    }
}

/* The text of a refusal, by the arithmetic alone. */
static void advice (void) {
    int data = 0;
    wb_status st = wb_topo_check (&data, 3, 2, 16);
    const char *text = wb_error_get ()->text;
    T_OK (st == WB_EUSAGE && strstr (text, "4 x 2 x 2") != NULL && strstr (text, "start 18 ranks") != NULL, "%s", text);
    wb_error_clear ();
    data = 5;
    st = wb_topo_check (&data, 1, 1, 7);
    T_OK (st == WB_EUSAGE && strstr (text, "7 x 1 x 1") != NULL && strstr (text, "start 5 ranks") != NULL, "%s", text);
    wb_error_clear ();
    data = 0;
    st = wb_topo_check (&data, 2, 1, 1);
    T_OK (st == WB_EUSAGE && strstr (text, "1 rank:") != NULL && strstr (text, "1 x 1 x 1") != NULL, "%s", text);
    wb_error_clear ();
    data = 0x40000000;
    T_STATUS (wb_topo_check (&data, 0x40000000, 0x40000000, 4), WB_EUSAGE);
    data = 1 << 20;
    T_STATUS (wb_topo_check (&data, 1 << 20, 1 << 20, 4), WB_EUSAGE);
    data = 0;
    T_OK (wb_topo_check (&data, 4, 6, 240) == WB_OK && data == 10, "data is what is left over");
}

static void order (void) {
    /* Dealt out by node: 0 1 0 1 0 1; a node with fewer slots; one node. */
    const int dealt[6] = {0, 1, 0, 1, 0, 1}, want[6] = {0, 3, 1, 4, 2, 5};
    const int uneven[5] = {0, 1, 1, 0, 4}, want2[5] = {0, 2, 3, 1, 4};
    for (int r = 0; r < 6; r++) T_OK (wb_topo_place (dealt, 6, r) == want[r], "place of %d", r);
    for (int r = 0; r < 5; r++) T_OK (wb_topo_place (uneven, 5, r) == want2[r], "place of %d", r);
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    order ();
    advice ();
    layouts (world);
    refusals (world);
    setenv ("WABUN_RANK_ORDER", "world", 1);
    layouts (world);
    wb_topo_t *g;
    setenv ("WABUN_RANK_ORDER", "sideways", 1);
    T_STATUS (wb_topo_new (&g, world, 0, 1, 1), WB_EUSAGE);
    return T_END ();
}
