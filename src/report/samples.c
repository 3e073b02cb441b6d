/* samples.txt: what the model writes while it is trained, each text after a line that names its step. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "report/append.h"
#include "report/sink.h"

#define HEAD "==== step "

typedef struct samples {
    wb_append_t file;
    int64_t step; /* texts of steps up to this one are kept, 0: none */
    bool kept;    /* the text whose lines are being read */
    wb_buf_t text;
} samples_t;

static wb_status keep (bool *kept, void *ctx, const char *line, size_t n) {
    samples_t *s = ctx;
    if (n > strlen (HEAD) && strncmp (line, HEAD, strlen (HEAD)) == 0)
        s->kept = strtoll (line + strlen (HEAD), NULL, 10) <= s->step;
    *kept = s->kept && s->step > 0;
    return WB_OK;
}

static wb_status open_samples (void **sink, const wb_metrics_to_t *to) {
    samples_t *s = *sink != NULL ? *sink : (*sink = wb_calloc (1, sizeof *s));
    if (s == NULL) return WB_NOMEM ("samples.txt");
    s->step = to->step;
    s->kept = true;
    return wb_append_open (&s->file, to->run, "samples.txt", keep, s);
}

static wb_status write_samples (void *sink, const wb_metrics_row_t *record) {
    samples_t *s = sink;
    const wb_value_t *v = wb_metrics_find (record, "text");
    char head[64];
    if (v == NULL) return WB_OK;
    int n = snprintf (head, sizeof head, HEAD "%lld\n", (long long) record->step);
    wb_buf_clear (&s->text);
    WB_TRY (wb_buf_put (&s->text, head, (size_t) n));
    WB_TRY (wb_buf_put (&s->text, v->text, strlen (v->text)));
    WB_TRY (wb_buf_put (&s->text, "\n", 1));
    return wb_append_put (&s->file, s->text.data, s->text.len);
}

static wb_status close_samples (void *sink) {
    samples_t *s = sink;
    if (s == NULL) return WB_OK;
    wb_status status = wb_append_close (&s->file);
    wb_buf_fini (&s->text);
    wb_free (s);
    return status;
}

const wb_sink_t wb_sink_samples = {.name = "samples.txt",
                                   .kinds = 1u << WB_METRICS_SAMPLE,
                                   .open = open_samples,
                                   .write = write_samples,
                                   .close = close_samples};
