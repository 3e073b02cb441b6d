/* The arithmetic of topo.c, without ranks, for its test. */
#ifndef WABUN_COMM_TOPO_PRIV_H
#define WABUN_COMM_TOPO_PRIV_H

#include "wabun/comm.h"

/* Place of world rank `rank` when ranks are ordered by (node, rank); node [size] numbers each rank's node. */
int wb_topo_place (const int *node, int size, int rank);

/* Do the sizes multiply to `size`?  *dp 0 is filled in.  Errors: WB_EUSAGE, naming layouts that would. */
wb_status wb_topo_check (int *dp, int pp, int tp, int size) WB_NODISCARD;

#endif
