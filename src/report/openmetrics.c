/* The newest numbers of a run in a file, in the text form of OpenMetrics and Prometheus: for the textfile collector of
 * node exporter, which reads *.prom in its directory.
 *
 * The file is replaced as a whole and not more often than once a second: the collector never sees half of one.  It is
 * not brought to disk, since nobody wants it after a crash.  When the run ends, it says so and stays.
 *
 * Not here: the server's metrics (serve/metrics.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report/sink.h"

/* THE metrics: columns of records. */
static const struct metric {
    const char *column, *name, *help;
    const char *label; /* of several with one name, which stand together; NULL: it has none */
} metrics[] = {
    {"step", "step", "Steps done.", NULL},
    {"tokens", "tokens", "Tokens trained on.", NULL},
    {"loss", "loss", "Loss of the last logged step, nats a token.", NULL},
    {"lr", "learning_rate", "Learning rate.", NULL},
    {"grad_norm", "gradient_norm", "Gradient norm before clipping.", NULL},
    {"tokens_per_s", "tokens_per_second", "Tokens a second of late.", NULL},
    {"mfu", "mfu_ratio", "Share of the peak of all ranks.", NULL},
    {"seconds.data", "phase_seconds", "Time of a step by phase, of the slowest rank in each.", "data"},
    {"seconds.forward", "phase_seconds", NULL, "forward"},
    {"seconds.backward", "phase_seconds", NULL, "backward"},
    {"seconds.sync", "phase_seconds", NULL, "sync"},
    {"seconds.update", "phase_seconds", NULL, "update"},
    {"seconds.total", "step_seconds", "Time of a step.", NULL},
    {"memory", "memory_bytes", "Peak memory of the rank with most.", NULL},
    {"val_loss", "validation_loss", "Loss of the last validation, nats a token.", NULL},
    {"val_bpb", "validation_bits_per_byte", "Bits per byte of the last validation.", NULL},
    {"save.seconds", "save_seconds", "Time of the last save.", NULL},
};
enum { NMETRICS = sizeof metrics / sizeof *metrics };

typedef struct gauges {
    char *path, *temp, *run;
    double values[NMETRICS];
    bool known[NMETRICS];
    double written; /* wb_now () */
    wb_buf_t text;
} gauges_t;

static bool wanted (const wb_metrics_to_t *to) { return to->openmetrics != NULL && to->openmetrics[0] != 0; }

/* A value of a label: \, " and newline are escaped. */
static char *escaped (const char *s) {
    wb_buf_t b = {0};
    wb_status status = wb_buf_reserve (&b, 1);
    for (; *s != 0 && status == WB_OK; s++) {
        const char *as = *s == '\\' ? "\\\\" : *s == '"' ? "\\\"" : *s == '\n' ? "\\n" : NULL;
        status = as != NULL ? wb_buf_put (&b, as, 2) : wb_buf_put (&b, s, 1);
    }
    char *copy = status == WB_OK ? wb_strdup (b.data) : NULL;
    wb_buf_fini (&b);
    return copy;
}

static wb_status open_gauges (void **sink, const wb_metrics_to_t *to) {
    gauges_t *s = *sink != NULL ? *sink : (*sink = wb_calloc (1, sizeof *s));
    if (s == NULL) return WB_NOMEM ("%s", to->openmetrics);
    if (s->path == NULL) s->path = wb_strdup (to->openmetrics);
    if (s->temp == NULL) s->temp = wb_format ("%s.tmp", to->openmetrics);
    if (s->run == NULL) s->run = escaped (to->run);
    return s->path != NULL && s->temp != NULL && s->run != NULL ? WB_OK : WB_NOMEM ("%s", to->openmetrics);
}

static wb_status put (wb_buf_t *b, const char *fmt, ...) WB_PRINTF (2, 3);
static wb_status put (wb_buf_t *b, const char *fmt, ...) {
    va_list args;
    char text[256];
    va_start (args, fmt);
    const int n = vsnprintf (text, sizeof text, fmt, args);
    va_end (args);
    return wb_buf_put (b, text, n < (int) sizeof text ? (size_t) n : sizeof text - 1);
}

static wb_status put_gauge (gauges_t *s, const struct metric *m, double x) {
    if (m->help != NULL)
        WB_TRY (put (&s->text, "# HELP wabun_train_%s %s\n# TYPE wabun_train_%s gauge\n", m->name, m->help, m->name));
    WB_TRY (put (&s->text, "wabun_train_%s{run=\"", m->name));
    WB_TRY (wb_buf_put (&s->text, s->run, strlen (s->run)));
    if (m->label != NULL) WB_TRY (put (&s->text, "\",phase=\"%s", m->label));
    return put (&s->text, "\"} %.15g\n", x);
}

static wb_status put_all (gauges_t *s, bool running) {
    const struct metric more[] = {{NULL, "running", "1: the run goes on; 0: it has ended.", NULL},
                                  {NULL, "updated_seconds", "When this was written, seconds since 1970.", NULL}};
    wb_buf_clear (&s->text);
    for (int i = 0; i < NMETRICS; i++)
        if (s->known[i]) WB_TRY (put_gauge (s, &metrics[i], s->values[i]));
    WB_TRY (put_gauge (s, &more[0], running));
    WB_TRY (put_gauge (s, &more[1], (double) time (NULL)));
    return put (&s->text, "# EOF\n");
}

static wb_status replace (gauges_t *s, bool running) {
    WB_TRY (put_all (s, running));
    const int fd = open (s->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int error = fd >= 0 ? wb_fd_write (fd, s->text.data, s->text.len, -1) : errno;
    if (fd >= 0 && close (fd) != 0 && error == 0) error = errno;
    if (error == 0 && rename (s->temp, s->path) != 0) error = errno;
    if (error == 0) return WB_OK;
    unlink (s->temp);
    return WB_FAIL (WB_EIO, "%s: cannot write: %s", s->path, strerror (error));
}

static wb_status write_gauges (void *sink, const wb_metrics_row_t *record) {
    gauges_t *s = sink;
    for (int i = 0; i < NMETRICS; i++) {
        const wb_value_t *v = wb_metrics_find (record, metrics[i].column);
        if (v == NULL || v->text != NULL || v->n > 0) continue;
        if (i < 2 && s->known[i] && v->x[0] < s->values[i]) continue; /* a save ends after later steps */
        s->values[i] = v->x[0];
        s->known[i] = true;
    }
    if (s->written > 0 && wb_now () - s->written < 1) return WB_OK;
    WB_TRY (replace (s, true));
    s->written = wb_now ();
    return WB_OK;
}

static wb_status close_gauges (void *sink) {
    gauges_t *s = sink;
    if (s == NULL) return WB_OK;
    const wb_status status = s->written > 0 ? replace (s, false) : WB_OK;
    wb_free (s->path);
    wb_free (s->temp);
    wb_free (s->run);
    wb_buf_fini (&s->text);
    wb_free (s);
    return status;
}

const wb_sink_t wb_sink_openmetrics = {.name = "the file of report.openmetrics",
                                       .kinds =
                                           1u << WB_METRICS_STEP | 1u << WB_METRICS_SAVE | 1u << WB_METRICS_VALIDATION,
                                       .wanted = wanted,
                                       .open = open_gauges,
                                       .write = write_gauges,
                                       .close = close_gauges};
