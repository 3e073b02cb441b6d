/* metrics.jsonl: one JSON object a line for each record of numbers.
 *
 * "seconds.data" becomes {"seconds": {"data": ...}}.  Written by hand, for numbers have the digits that the record asks
 * for; texts go through jansson.
 *
 * Not here: texts the model writes (samples.c). */
#include "config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "report/append.h"
#include "report/sink.h"
#include "wabun/json.h"

typedef struct jsonl {
    wb_append_t file;
    int64_t step; /* lines of steps up to this one are kept, 0: none */
    wb_buf_t line;
} jsonl_t;

/* Lines of steps up to the one that was resumed from; and what is not JSON goes. */
static wb_status keep (bool *kept, void *ctx, const char *line, size_t n) {
    const jsonl_t *s = ctx;
    json_t *j = wb_json_load (line, n, 0, NULL);
    *kept = j != NULL && s->step > 0 && json_integer_value (json_object_get (j, "step")) <= s->step;
    const wb_status status = wb_json_status (j);
    json_decref (j);
    return status;
}

static wb_status open_jsonl (void **sink, const wb_metrics_to_t *to) {
    jsonl_t *s = *sink != NULL ? *sink : (*sink = wb_calloc (1, sizeof *s));
    if (s == NULL) return WB_NOMEM ("metrics.jsonl");
    s->step = to->step;
    return wb_append_open (&s->file, to->run, "metrics.jsonl", keep, s);
}

static wb_status put (wb_buf_t *b, const char *text) { return wb_buf_put (b, text, strlen (text)); }

static wb_status put_number (wb_buf_t *b, double x, int digits) {
    char text[400];
    if (!isfinite (x)) x = 0;
    snprintf (text, sizeof text, digits > 0 ? "%.*g" : "%.*f", digits, x);
    return put (b, text);
}

static wb_status put_text (wb_buf_t *b, const char *text) {
    json_t *j = json_string (text);
    char *quoted = j != NULL ? json_dumps (j, JSON_ENCODE_ANY) : NULL; /* NULL also where it is not UTF-8 */
    wb_status status = put (b, quoted != NULL ? quoted : "null");
    wb_free_foreign (quoted);
    json_decref (j);
    return status;
}

static wb_status put_value (wb_buf_t *b, const wb_value_t *v) {
    if (v->text != NULL) return put_text (b, v->text);
    if (v->n == 0) return put_number (b, v->x[0], v->digits);
    for (int i = 0; i < v->n; i++) {
        WB_TRY (put (b, i == 0 ? "[" : ", "));
        WB_TRY (put_number (b, v->x[i], v->digits));
    }
    return put (b, "]");
}

/* Bytes of the group in front of a name, with its dot. */
static size_t group_of (const char *name) {
    const char *dot = strchr (name, '.');
    return dot != NULL ? (size_t) (dot - name) + 1 : 0;
}

static wb_status put_record (wb_buf_t *b, const wb_metrics_row_t *r) {
    size_t open = 0; /* group that is open: the first bytes of the name before this one */
    WB_TRY (put (b, "{"));
    for (int i = 0; i < r->n; i++) {
        const char *name = r->values[i].name, *before = i > 0 ? r->values[i - 1].name : "";
        size_t group = group_of (name);
        bool same = group == open && strncmp (name, before, group) == 0;
        if (!same && open > 0) WB_TRY (put (b, "}"));
        if (i > 0) WB_TRY (put (b, ", "));
        WB_TRY (put (b, "\""));
        if (!same && group > 0) {
            WB_TRY (wb_buf_put (b, name, group - 1));
            WB_TRY (put (b, "\": {\""));
        }
        WB_TRY (put (b, name + group));
        WB_TRY (put (b, "\": "));
        WB_TRY (put_value (b, &r->values[i]));
        open = group;
    }
    return put (b, open > 0 ? "}}\n" : "}\n");
}

static wb_status write_jsonl (void *sink, const wb_metrics_row_t *record) {
    jsonl_t *s = sink;
    wb_buf_clear (&s->line);
    WB_TRY (put_record (&s->line, record));
    return wb_append_put (&s->file, s->line.data, s->line.len);
}

static wb_status close_jsonl (void *sink) {
    jsonl_t *s = sink;
    if (s == NULL) return WB_OK;
    wb_status status = wb_append_close (&s->file);
    wb_buf_fini (&s->line);
    wb_free (s);
    return status;
}

const wb_sink_t wb_sink_jsonl = {.name = "metrics.jsonl",
                                 .kinds = 1u << WB_METRICS_STEP | 1u << WB_METRICS_HEALTH | 1u << WB_METRICS_MUON |
                                          1u << WB_METRICS_SAVE | 1u << WB_METRICS_VALIDATION,
                                 .open = open_jsonl,
                                 .write = write_jsonl,
                                 .close = close_jsonl};
