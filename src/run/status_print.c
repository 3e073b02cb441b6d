/* What wabun status prints: a table, or one object.
 *
 * Why a run has stopped is said once, with its state; earlier starts have their reasons with them.
 *
 * Not done here: finding it out (status.c). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "run/status.h"

static int64_t restarts (const wb_report_t *r) {
    const int64_t n = (int64_t) json_array_size (r->starts);
    return n > 0 ? n - 1 : 0;
}

static void set_or_null (json_t *j, const char *key, json_t *value) {
    json_object_set_new (j, key, value != NULL ? json_incref (value) : json_null ());
}

wb_status wb_report_print_json (const wb_report_t *r) {
    json_t *j = json_object ();
    json_object_set_new (j, "run", json_string (r->run));
    json_object_set_new (j, "state", json_string (r->state));
    json_object_set_new (j, "why", r->why != NULL ? json_string (r->why) : json_null ());
    json_object_set_new (j, "step", json_integer (r->step));
    json_object_set_new (j, "steps", r->steps > 0 ? json_integer (r->steps) : json_null ());
    static const char *const copied[] = {"loss", "tokens", "tokens_per_s", "grad_norm", "lr"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        set_or_null (j, copied[i], json_object_get (r->record, copied[i]));
    set_or_null (j, "val_loss", json_object_get (r->valid, "val_loss"));
    set_or_null (j, "val_step", json_object_get (r->valid, "step"));
    json_object_set_new (j, "seconds_left", r->left >= 0 ? json_real (r->left) : json_null ());
    json_object_set_new (j, "written", r->written > 0 ? json_real (r->written) : json_null ());
    json_object_set_new (j, "checkpoint", r->checkpoint >= 0 ? json_integer (r->checkpoint) : json_null ());
    json_object_set_new (j, "set_aside", json_integer (r->aside));
    json_object_set_new (j, "skipped_steps", json_integer ((json_int_t) json_object_size (r->skipped)));
    json_object_set_new (j, "spikes", json_integer ((json_int_t) json_object_size (r->spikes)));
    json_object_set (j, "rollbacks", r->rollbacks);
    json_object_set_new (j, "restarts", json_integer (restarts (r)));
    json_object_set (j, "starts", r->starts);
    char *text = json_dumps (j, JSON_INDENT (1) | JSON_REAL_PRECISION (13));
    json_decref (j);
    if (text == NULL) return WB_NOMEM ("%s", r->run);
    printf ("%s\n", text);
    wb_free_foreign (text);
    return WB_OK;
}

static const char *clock_text (char buf[32], double seconds) {
    const time_t t = (time_t) seconds;
    struct tm tm;
    if (localtime_r (&t, &tm) == NULL || strftime (buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0) buf[0] = 0;
    return buf;
}

/* "step 40, 4 ranks on node1, job 17, restart 2" */
static void print_start (const json_t *start) {
    if (wb_line_has (start, "step")) printf (", step %" PRId64, wb_line_integer (start, "step"));
    if (wb_line_has (start, "ranks"))
        printf (", %" PRId64 " rank%s on %s", wb_line_integer (start, "ranks"),
                wb_plural (wb_line_integer (start, "ranks")), wb_line_text (start, "host"));
    if (wb_line_has (start, "job")) printf (", job %s", wb_line_text (start, "job"));
    if (wb_line_integer (start, "restart") > 0) printf (", restart %" PRId64, wb_line_integer (start, "restart"));
}

static void print_end (const json_t *end, bool why) {
    printf ("; ended with %" PRId64, wb_line_integer (end, "code"));
    if (wb_line_has (end, "step")) printf (" at step %" PRId64, wb_line_integer (end, "step"));
    if (why) printf (": %s", wb_line_text (end, "why"));
}

static void print_starts (const wb_report_t *r) {
    char when[32];
    size_t i;
    const json_t *start;
    json_array_foreach (r->starts, i, start) {
        const json_t *end = json_object_get (start, "end");
        const bool last = i + 1 == json_array_size (r->starts);
        printf ("start %-5zu %s", i + 1, clock_text (when, wb_line_number (start, "time")));
        print_start (start);
        if (end != NULL)
            print_end (end, !last || r->why == NULL);
        else if (last && (strcmp (r->state, "running") == 0 || strcmp (r->state, "starting") == 0))
            printf ("; goes on");
        else if (last && r->why != NULL)
            printf ("; no end is recorded");
        else
            printf ("; %s", wb_line_has (start, "process") ? "killed, or its node lost: no end is recorded"
                                                           : "the launcher did not get as far as a run");
        if (end == NULL && wb_line_has (start, "launcher_code"))
            printf (" (its launcher ended with %" PRId64 ")", wb_line_integer (start, "launcher_code"));
        printf ("%s\n", wb_line_has (start, "requeued") ? "; back into the queue" : "");
    }
}

/* "2 (last: step 14)" */
static void print_steps (const char *what, json_t *steps) {
    int64_t last = 0;
    const char *number;
    json_t *line;
    json_object_foreach (steps, number, line) {
        const int64_t step = wb_line_integer (line, "step");
        if (step > last) last = step;
    }
    printf ("%-11s %zu", what, json_object_size (steps));
    if (last > 0) printf (" (last: step %" PRId64 ")", last);
    printf ("\n");
}

static void print_health (const wb_report_t *r) {
    const size_t n = json_array_size (r->rollbacks);
    const json_t *last = json_array_get (r->rollbacks, n - 1);
    print_steps ("skipped", r->skipped);
    print_steps ("spikes", r->spikes);
    printf ("rollbacks   %zu", n);
    if (n > 0)
        printf (" (last: from step %" PRId64 " to %" PRId64 ": %s)", wb_line_integer (last, "step"),
                wb_line_integer (last, "to"), wb_line_text (last, "why"));
    printf ("\nrestarts    %" PRId64 "\n", restarts (r));
}

void wb_report_print (const wb_report_t *r) {
    char buf[32];
    const double ago = (double) time (NULL) - r->written;
    const double ends = wb_line_number (json_array_get (r->starts, json_array_size (r->starts) - 1), "job_ends");
    printf ("run         %s\n", r->run);
    printf ("state       %s%s%s\n", r->state, r->why != NULL ? ": " : "", r->why != NULL ? r->why : "");
    printf ("step        %" PRId64, r->step);
    if (r->steps > 0) printf (" of %" PRId64 " (%.1f %%)", r->steps, 100.0 * (double) r->step / (double) r->steps);
    printf ("\n");
    if (r->record != NULL) {
        printf ("loss        %.4f", wb_line_number (r->record, "loss"));
        if (r->valid != NULL)
            printf (", validation %.4f at step %" PRId64, wb_line_number (r->valid, "val_loss"),
                    wb_line_integer (r->valid, "step"));
        printf ("\nspeed       %.4g tokens/s; last record %s ago\n", wb_line_number (r->record, "tokens_per_s"),
                wb_format_seconds (buf, ago > 0 ? ago : 0));
    }
    if (strcmp (r->state, "running") == 0 && ends > 0) printf ("job ends    %s\n", clock_text (buf, ends));
    if (r->left > 0)
        printf ("time left   %s%s, saves and validations counted\n", wb_format_seconds (buf, r->left),
                strcmp (r->state, "running") == 0 ? "" : " once it goes on");
    if (r->checkpoint >= 0)
        printf ("checkpoint  step %" PRId64 ", all files with their sizes\n", r->checkpoint);
    else
        printf ("checkpoint  none\n");
    print_health (r);
    if (r->aside > 0) printf ("damaged     %d checkpoint%s set aside\n", r->aside, wb_plural (r->aside));
    print_starts (r);
}
