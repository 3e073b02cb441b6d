/* The arithmetic of topo.c, without ranks: what its test calls. */
#ifndef WABUN_TOPO_PRIV_H
#define WABUN_TOPO_PRIV_H

#include "wabun/comm.h"

/* Place of world rank `rank` when ranks are ordered by (node, rank); node [size] numbers each rank's node. */
int wb_topo_place (const int *node, int size, int rank);

/* Do the sizes multiply to `size`?  *data 0 is filled in.  Errors: WB_EUSAGE, with layouts that would. */
wb_status wb_topo_check (int *data, int pipeline, int tensor, int size) WB_NODISCARD;

#endif
