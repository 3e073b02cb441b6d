/* Going back to a checkpoint when numbers have gone bad: which steps are left out from then on. */
#ifndef WABUN_RUN_ROLLBACK_H
#define WABUN_RUN_ROLLBACK_H

#include "wabun/base.h"

enum { WB_ROLLBACKS_MAX = 128 }; /* twice what a run may do: what it reads, and what it adds */

typedef struct wb_steps {
    int64_t first, last;
} wb_steps_t;

/* Zero-initialised is none; in state.json of a checkpoint. */
typedef struct wb_rollbacks {
    int64_t count, to; /* how many there were; the checkpoint of the last one */
    int n;
    wb_steps_t left_out[WB_ROLLBACKS_MAX]; /* [n] rising, apart */
} wb_rollbacks_t;

/* Leave these steps out too.  At most one range more, of WB_ROLLBACKS_MAX. */
void wb_rollbacks_leave_out (wb_rollbacks_t *b, wb_steps_t steps);
/* The range that holds a step; NULL: it is to be done. */
const wb_steps_t *wb_rollbacks_find (const wb_rollbacks_t *b, int64_t step);
/* Steps of so many sequences became steps of so many: leave out all that have one of those sequences. */
void wb_rollbacks_rebatch (wb_rollbacks_t *b, int64_t before, int64_t now);

#endif
