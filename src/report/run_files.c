/* Reading a run directory for a page: metrics.jsonl, history.jsonl, samples.txt, config.cfg.
 *
 * The run may go on meanwhile: a last line without newline that is no JSON is one that is being written.  Other lines
 * that cannot be read are counted and passed over: a page of the rest is better than none.
 *
 * Not done here: how it goes right now (run/status.c). */
#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "report/page.h"
#include "report/record.h"
#include "wabun/json.h"

/* ---- lines of JSON ----------------------------------------------------------------------------------------------- */

/* Take a line; *is: it is an object of JSON. */
typedef wb_status (*take_fn) (wb_page_run_t *r, const char *line, size_t n, bool *is);

static wb_status each_line (wb_page_run_t *r, const char *name, take_fn take, int64_t *damaged, bool *unfinished) {
    char *path = wb_format ("%s/%s", r->dir, name);
    wb_lines_t lines = {0};
    const char *text = NULL;
    size_t n;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("%s", r->dir);
    if (status != WB_OK || !wb_file_exists (path)) {
        wb_free (path);
        return status;
    }
    status = wb_lines_open (&lines, path);
    while (status == WB_OK && (status = wb_lines_next (&lines, &text, &n, true)) == WB_OK && text != NULL) {
        /* At the end of the file, and no newline after it? */
        const bool last = lines.end && lines.at == lines.buf.len && text[n] != '\n' && text[n] != '\r';
        bool is = false;
        status = take (r, text, n, &is);
        if (!is && last)
            *unfinished = true;
        else if (!is)
            *damaged += 1;
    }
    wb_lines_close (&lines);
    wb_free (path);
    return status;
}

static int64_t integer (const json_t *j, const char *key, int64_t none) {
    const json_t *v = json_object_get (j, key);
    return json_is_number (v) ? (int64_t) json_number_value (v) : none;
}
static double number (const json_t *j, const char *key) { return json_number_value (json_object_get (j, key)); }
static const char *string (const json_t *j, const char *key) { return json_string_value (json_object_get (j, key)); }
static wb_status copy (char **out, const char *s) {
    *out = s != NULL ? wb_strdup (s) : NULL;
    return s == NULL || *out != NULL ? WB_OK : WB_NOMEM ("the history of a run");
}

/* ---- metrics.jsonl ----------------------------------------------------------------------------------------------- */

/* Of which table: by the first value that only its records have. */
static int kind_of (const wb_record_t *record) {
    static const char *const of[WB_PAGE_TABLES] = {"loss", "val_loss", "save.", "muon."};
    for (int i = 0; i < record->n; i++)
        for (int kind = 0; kind < WB_PAGE_TABLES; kind++) {
            const char *name = record->values[i].name;
            const size_t n = strlen (of[kind]);
            if (of[kind][n - 1] == '.' ? strncmp (name, of[kind], n) == 0 : strcmp (name, of[kind]) == 0) return kind;
        }
    return -1;
}

static wb_status take_record (wb_page_run_t *r, const char *line, size_t n, bool *is) {
    wb_record_t record;
    *is = wb_record_read (&record, line, n);
    if (!*is && wb_error_get ()->status != WB_OK) return (wb_status) wb_error_get ()->status; /* no memory */
    const int kind = *is ? kind_of (&record) : -1;
    if (kind < 0) return WB_OK; /* a spike: history.jsonl has it too */
    wb_thin_t *t = &r->tables[kind];
    const int64_t step = (int64_t) wb_record_get (&record, "step", -1);
    const double loss = wb_record_get (&record, "val_loss", 0);
    if (step < 0 || !wb_thin_add (t, step, wb_record_get (&record, "tokens", 0))) {
        r->damaged += step < 0;
        return WB_OK;
    }
    if (kind == WB_PAGE_VALID && (r->valid_low_step < 0 || loss < r->valid_low)) {
        r->valid_low = loss;
        r->valid_low_step = step;
    }
    for (int i = 0; i < record.n; i++) {
        const struct wb_record_value *v = &record.values[i];
        if (strcmp (v->name, "step") != 0 && strcmp (v->name, "tokens") != 0) WB_TRY (wb_thin_put (t, v->name, v->x));
    }
    return WB_OK;
}

/* ---- history.jsonl ----------------------------------------------------------------------------------------------- */

static wb_status take_start (wb_page_run_t *r, const json_t *line) {
    if (!WB_GROW (r->starts, r->starts_cap, r->nstarts + 1)) return WB_NOMEM ("the history of a run");
    wb_page_start_t *s = &r->starts[r->nstarts++];
    *s = (wb_page_start_t){
        number (line, "time"), 0, integer (line, "step", -1), -1, integer (line, "ranks", -1), -1, NULL, NULL, NULL};
    WB_TRY (copy (&s->host, string (line, "host")));
    return copy (&s->job, string (line, "job"));
}

static wb_status take_end (wb_page_start_t *s, const json_t *line) {
    s->end_time = number (line, "time");
    s->end_step = integer (line, "step", -1);
    s->code = integer (line, "code", -1);
    return copy (&s->why, string (line, "why"));
}

/* A step that is done again after a restart counts once: the later line stays. */
static wb_status add_event (wb_page_run_t *r, const char *kind, const json_t *line) {
    const int64_t step = integer (line, "step", -1);
    for (int64_t i = 0; i < r->nevents; i++)
        if (r->events[i].step == step && strcmp (r->events[i].kind, kind) == 0 && strcmp (kind, "rollback") != 0)
            return WB_OK;
    if (!WB_GROW (r->events, r->events_cap, r->nevents + 1)) return WB_NOMEM ("the history of a run");
    wb_page_event_t *e = &r->events[r->nevents++];
    *e = (wb_page_event_t){step, integer (line, "to", -1), NULL, NULL};
    WB_TRY (copy (&e->kind, kind));
    return copy (&e->why, string (line, strcmp (kind, "rollback") == 0 ? "why" : "named"));
}

/* Lines of job scripts ("job", ...) are of the job, not of the run. */
static wb_status judge_event (wb_page_run_t *r, const json_t *line) {
    const char *event = string (line, "event");
    wb_page_start_t *last = r->nstarts > 0 ? &r->starts[r->nstarts - 1] : NULL;
    if (event == NULL) return WB_OK;
    if (strcmp (event, "start") == 0) return take_start (r, line);
    if (strcmp (event, "began") == 0 && last != NULL) last->step = integer (line, "step", -1);
    if (strcmp (event, "end") == 0 && last != NULL && last->code < 0) return take_end (last, line);
    if (strcmp (event, "rollback") == 0) return add_event (r, event, line);
    if (json_is_true (json_object_get (line, "skipped"))) return add_event (r, "skipped", line);
    if (strcmp (event, "spike") == 0) return add_event (r, event, line);
    return WB_OK;
}

static wb_status take_event (wb_page_run_t *r, const char *line, size_t n, bool *is) {
    json_t *j = wb_json_load (line, n, 0, NULL);
    *is = json_is_object (j);
    const wb_status status = *is ? judge_event (r, j) : wb_json_status (j);
    json_decref (j);
    return status;
}

/* ---- samples.txt ------------------------------------------------------------------------------------------------- */

static wb_status read_samples (wb_page_run_t *r) {
    static const char head[] = "==== step ";
    char *path = wb_format ("%s/samples.txt", r->dir);
    size_t bytes = 0;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("%s", r->dir);
    if (status == WB_OK && wb_file_exists (path)) status = wb_file_read (&r->samples_file, &bytes, path);
    wb_free (path);
    if (status != WB_OK || r->samples_file == NULL) return status;
    const char *end = r->samples_file + bytes;
    for (const char *line = r->samples_file, *next; line < end; line = next) {
        const char *newline = memchr (line, '\n', (size_t) (end - line));
        next = newline != NULL ? newline + 1 : end;
        wb_page_sample_t *last = r->nsamples > 0 ? &r->samples[r->nsamples - 1] : NULL;
        if ((size_t) (next - line) <= sizeof head || memcmp (line, head, sizeof head - 1) != 0) {
            if (last != NULL) last->n = (size_t) (next - last->text);
            continue;
        }
        if (!WB_GROW (r->samples, r->samples_cap, r->nsamples + 1)) return WB_NOMEM ("samples.txt");
        r->samples[r->nsamples++] = (wb_page_sample_t){strtoll (line + sizeof head - 1, NULL, 10), next, 0};
    }
    return WB_OK;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static wb_status read_config (wb_page_run_t *r) {
    char *path = wb_format ("%s/config.cfg", r->dir);
    size_t bytes;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("%s", r->dir);
    if (status == WB_OK && wb_file_exists (path)) status = wb_file_read (&r->config, &bytes, path);
    wb_free (path);
    return status == WB_OK && r->config != NULL ? wb_page_run_keys (r) : status;
}

wb_status wb_page_run_read (wb_page_run_t *r, const char *dir) {
    int64_t ignored = 0;
    bool half = false;
    r->dir = dir;
    r->valid_low_step = -1;
    if (!wb_file_is_dir (dir)) return WB_FAIL (WB_EIO, "%s: no such directory", dir);
    WB_TRY (each_line (r, "metrics.jsonl", take_record, &r->damaged, &r->unfinished));
    WB_TRY (each_line (r, "history.jsonl", take_event, &ignored, &half));
    if (r->tables[WB_PAGE_STEP].records == 0 && r->nstarts == 0 && r->damaged == 0)
        return WB_FAIL (WB_EUSAGE, "%s is no run: name the directory that `run` of a configuration names", dir);
    WB_TRY (read_samples (r));
    return read_config (r);
}

void wb_page_run_fini (wb_page_run_t *r) {
    for (int i = 0; i < WB_PAGE_TABLES; i++) wb_thin_fini (&r->tables[i]);
    for (int64_t i = 0; i < r->nstarts; i++) {
        wb_free (r->starts[i].host);
        wb_free (r->starts[i].job);
        wb_free (r->starts[i].why);
    }
    for (int64_t i = 0; i < r->nevents; i++) {
        wb_free (r->events[i].kind);
        wb_free (r->events[i].why);
    }
    for (int64_t i = 0; i < r->nkeys; i++) {
        wb_free (r->keys[i].key);
        wb_free (r->keys[i].value);
    }
    wb_free (r->starts);
    wb_free (r->events);
    wb_free (r->keys);
    wb_free (r->samples);
    wb_free (r->samples_file);
    wb_free (r->config);
    wb_free (r->name);
}
