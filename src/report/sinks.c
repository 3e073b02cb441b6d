/* Metrics: every record to every sink.
 *
 * Records are decoration.  A sink that fails (a full disk) says so once, is tried again with the next record, and says
 * when it works again; the run goes on in any case.
 *
 * Not done here: what a record holds (run), how it is written (jsonl.c, samples.c, tensorboard.c, openmetrics.c). */
#include "config.h"

#include <string.h>

#include "report/sink.h"

/* THE table of sinks. */
static const wb_sink_t *const sinks[] = {&wb_sink_jsonl, &wb_sink_samples, &wb_sink_tensorboard, &wb_sink_openmetrics};
enum { NSINKS = sizeof sinks / sizeof *sinks };

struct wb_metrics {
    wb_metrics_to_t to;
    struct {
        void *sink;
        bool wanted, open;
        int64_t lost; /* records, since it failed; 0: it works */
    } at[NSINKS];
};

const wb_value_t *wb_metrics_find (const wb_metrics_row_t *record, const char *name) {
    for (int i = 0; i < record->n; i++)
        if (strcmp (record->values[i].name, name) == 0) return &record->values[i];
    return NULL;
}

/* The error becomes a warning, the first time. */
static void failed (wb_metrics_t *m, int i) {
    if (m->at[i].lost++ == 0)
        wb_warn ("%s; the run goes on without new entries in it until it can be written", wb_error_get ()->text);
    wb_error_clear ();
}

static bool open_sink (wb_metrics_t *m, int i) {
    if (!m->at[i].open) m->at[i].open = sinks[i]->open (&m->at[i].sink, &m->to) == WB_OK;
    return m->at[i].open;
}

wb_status wb_metrics_open (wb_metrics_t **out, const wb_metrics_to_t *to) {
    wb_metrics_t *m = *out = wb_calloc (1, sizeof *m);
    if (m == NULL) return WB_NOMEM ("metrics");
    m->to = *to;
    for (int i = 0; i < NSINKS; i++) {
        m->at[i].wanted = sinks[i]->wanted == NULL || sinks[i]->wanted (to);
        if (m->at[i].wanted && !open_sink (m, i)) failed (m, i);
    }
    return WB_OK;
}

void wb_metrics_write (wb_metrics_t *m, const wb_metrics_row_t *record) {
    for (int i = 0; m != NULL && i < NSINKS; i++) {
        if (!m->at[i].wanted || (sinks[i]->kinds >> record->kind & 1u) == 0) continue;
        if (!open_sink (m, i) || sinks[i]->write (m->at[i].sink, record) != WB_OK) {
            failed (m, i);
            continue;
        }
        if (m->at[i].lost > 0) wb_info ("%s/%s can be written again", m->to.run, sinks[i]->name);
        m->at[i].lost = 0;
    }
}

void wb_metrics_close (wb_metrics_t *m) {
    for (int i = 0; m != NULL && i < NSINKS; i++)
        if (sinks[i]->close (m->at[i].sink) != WB_OK) failed (m, i);
    wb_free (m);
}
