/* Event files of TensorBoard: RUN/events.out.tfevents.TIME.HOST.PROCESS.
 *
 * A file is a row of records (length, its checksum, bytes, theirs), each an Event as a protocol buffer
 * (tensorflow/core/util/event.proto and framework/summary.proto).  "seconds.data" of metrics.jsonl is the tag
 * seconds/data, and the k-th number of a list has /k after it; numbers have 4 bytes there.
 *
 * A start has a file of its own, which begins with a step: TensorBoard forgets what older files have of that step and
 * later ones.  A run that begins at step 0 removes older files.
 *
 * Not here: histograms, graphs. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/wire.h"
#include "report/append.h"
#include "report/sink.h"

#define PREFIX "events.out.tfevents."

typedef struct events {
    wb_append_t file;
    wb_buf_t record, event, summary, value, inner; /* work space, from the outside in */
} events_t;

static bool wanted (const wb_metrics_to_t *to) { return to->tensorboard; }

static uint64_t bits64 (double x) {
    uint64_t bits;
    memcpy (&bits, &x, sizeof bits);
    return bits;
}
static uint32_t bits32 (double x) {
    const float narrow = (float) x;
    uint32_t bits;
    memcpy (&bits, &narrow, sizeof bits);
    return bits;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static wb_status put_fixed (wb_buf_t *b, uint64_t x, size_t n) {
    char raw[8];
    for (size_t i = 0; i < n; i++) raw[i] = (char) (x >> 8 * i);
    return wb_buf_put (b, raw, n);
}
static wb_status put_sum (wb_buf_t *b, const char *data, size_t n) {
    return put_fixed (b, wb_crc32c_mask (wb_crc32c (0, data, n)), 4);
}

/* An Event begins: {wall_time = 1, step = 2}. */
static wb_status event_begin (events_t *s, int64_t step) {
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    wb_buf_clear (&s->event);
    WB_TRY (wb_put_field_64 (&s->event, 1, bits64 ((double) now.tv_sec + 1e-9 * (double) now.tv_nsec)));
    return wb_put_field (&s->event, 2, step);
}
static wb_status event_end (events_t *s) {
    wb_buf_clear (&s->record);
    WB_TRY (put_fixed (&s->record, s->event.len, 8));
    WB_TRY (put_sum (&s->record, s->record.data, 8));
    WB_TRY (wb_buf_put (&s->record, s->event.data, s->event.len));
    WB_TRY (put_sum (&s->record, s->event.data, s->event.len));
    return wb_append_put (&s->file, s->record.data, s->record.len);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static wb_status remove_older (const char *run) {
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, run));
    wb_status status = WB_OK;
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        if (strncmp (names.data[i], PREFIX, strlen (PREFIX)) != 0) continue;
        char *path = wb_format ("%s/%s", run, names.data[i]);
        if (path == NULL)
            status = WB_NOMEM ("event files");
        else if (unlink (path) != 0)
            status = WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
        wb_free (path);
    }
    wb_names_fini (&names);
    return status;
}

/* A name of its own, also for the second start of a process within a second. */
static wb_status new_file (events_t *s, const char *run) {
    char host[256] = "", name[384];
    if (gethostname (host, sizeof host - 1) != 0) strcpy (host, "host");
    s->file.binary = true;
    for (int k = 0;; k++) {
        snprintf (name, sizeof name, PREFIX "%010lld.%s.%ld.%d", (long long) time (NULL), host, (long) getpid (), k);
        char *path = wb_format ("%s/%s", run, name);
        if (path == NULL) return WB_NOMEM ("event files");
        const bool there = wb_file_exists (path);
        wb_free (path);
        if (!there) return wb_append_open (&s->file, run, name, NULL, NULL);
    }
}

/* Two events: {file_version = 3} and {session_log = 7 {status = 1: START = 1}}. */
static wb_status open_events (void **sink, const wb_metrics_to_t *to) {
    static const char version[] = "brain.Event:2", start[] = {1 << 3, 1};
    events_t *s = *sink != NULL ? *sink : (*sink = wb_calloc (1, sizeof *s));
    if (s == NULL) return WB_NOMEM ("event files");
    if (s->file.path == NULL) {
        if (to->step == 0) WB_TRY (remove_older (to->run));
        WB_TRY (new_file (s, to->run));
    }
    WB_TRY (event_begin (s, 0));
    WB_TRY (wb_put_field_bytes (&s->event, 3, version, sizeof version - 1));
    WB_TRY (event_end (s));
    WB_TRY (event_begin (s, to->step + 1));
    WB_TRY (wb_put_field_bytes (&s->event, 7, start, sizeof start));
    return event_end (s);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Summary.Value {tag = 1, ...} of s->value into the summary: Summary {value = 1}. */
static wb_status value_end (events_t *s) { return wb_put_field_bytes (&s->summary, 1, s->value.data, s->value.len); }

/* Summary.Value {tag = 1, simple_value = 2}; k: which of a list, -1: none. */
static wb_status put_number (events_t *s, const char *name, int k, double x) {
    char tag[128];
    int n = snprintf (tag, sizeof tag - 16, "%s", name);
    if (n > (int) sizeof tag - 17) n = (int) sizeof tag - 17;
    for (int i = 0; i < n; i++)
        if (tag[i] == '.') tag[i] = '/';
    if (k >= 0) n += snprintf (tag + n, 16, "/%d", k);
    wb_buf_clear (&s->value);
    WB_TRY (wb_put_field_bytes (&s->value, 1, tag, (size_t) n));
    WB_TRY (wb_put_field_32 (&s->value, 2, bits32 (x)));
    return value_end (s);
}

/* Summary.Value {tag = 1, tensor = 8 TensorProto {dtype = 1: DT_STRING = 7, tensor_shape = 2 {dim = 2 {size = 1: 1}},
 * string_val = 8}, metadata = 9 {plugin_data = 1 {plugin_name = 1}, data_class = 4: TENSOR = 2}}. */
static wb_status put_text (events_t *s, const char *tag, const char *text) {
    static const char type_and_shape[] = {1 << 3, 7, 2 << 3 | 2, 4, 2 << 3 | 2, 2, 1 << 3, 1};
    static const char metadata[] = {1 << 3 | 2, 6, 1 << 3 | 2, 4, 't', 'e', 'x', 't', 4 << 3, 2};
    wb_buf_clear (&s->inner);
    WB_TRY (wb_buf_put (&s->inner, type_and_shape, sizeof type_and_shape));
    WB_TRY (wb_put_field_bytes (&s->inner, 8, text, strlen (text)));
    wb_buf_clear (&s->value);
    WB_TRY (wb_put_field_bytes (&s->value, 1, tag, strlen (tag)));
    WB_TRY (wb_put_field_bytes (&s->value, 8, s->inner.data, s->inner.len));
    WB_TRY (wb_put_field_bytes (&s->value, 9, metadata, sizeof metadata));
    return value_end (s);
}

static wb_status put_value (events_t *s, const wb_value_t *v) {
    if (strcmp (v->name, "step") == 0) return WB_OK;
    if (v->text != NULL) return strcmp (v->name, "text") == 0 ? put_text (s, "sample", v->text) : WB_OK;
    if (v->n == 0) return put_number (s, v->name, -1, v->x[0]);
    for (int k = 0; k < v->n; k++) WB_TRY (put_number (s, v->name, k, v->x[k]));
    return WB_OK;
}

static wb_status write_events (void *sink, const wb_metrics_row_t *record) {
    events_t *s = sink;
    const wb_value_t *of = wb_metrics_find (record, "step"); /* a save that has ended is of an earlier one */
    wb_buf_clear (&s->summary);
    for (int i = 0; i < record->n; i++) WB_TRY (put_value (s, &record->values[i]));
    WB_TRY (event_begin (s, of != NULL ? (int64_t) of->x[0] : record->step));
    WB_TRY (wb_put_field_bytes (&s->event, 5, s->summary.data, s->summary.len));
    return event_end (s);
}

static wb_status close_events (void *sink) {
    events_t *s = sink;
    if (s == NULL) return WB_OK;
    wb_status status = wb_append_close (&s->file);
    wb_buf_t *const all[] = {&s->record, &s->event, &s->summary, &s->value, &s->inner};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) wb_buf_fini (all[i]);
    wb_free (s);
    return status;
}

const wb_sink_t wb_sink_tensorboard = {.name = PREFIX "*",
                                       .kinds = 1u << WB_METRICS_STEP | 1u << WB_METRICS_MUON | 1u << WB_METRICS_SAVE |
                                                1u << WB_METRICS_VALIDATION | 1u << WB_METRICS_SAMPLE,
                                       .wanted = wanted,
                                       .open = open_events,
                                       .write = write_events,
                                       .close = close_events};
