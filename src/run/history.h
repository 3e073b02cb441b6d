/* Lines of history.jsonl beside starts and ends. */
#ifndef WABUN_RUN_HISTORY_H
#define WABUN_RUN_HISTORY_H

#include <jansson.h>

#include "run/run_priv.h"

/* {"event": kind, "time": ..., "step": step}, for more to be added; put takes it, writes the line on rank 0 and nothing
 * elsewhere.  What cannot be written is a warning, once in a run. */
json_t *wb_run_event_new (const char *kind, int64_t step);
void wb_run_event_put (wb_run_t *r, json_t *event);

#endif
