/* history.jsonl in the run directory: when the training was started, began its steps, how that ended, and what befell
 * it.
 *
 * Rank 0 appends a line as soon as it holds the lock, one before the first step and one at the end; job scripts append
 * theirs (doc/slurm.md).  A start without an end was killed, or its node was lost: nobody could write any more.
 * Nothing of it decides how the training goes, so what cannot be written is a warning, one in a run.  That of the start
 * waits until the first step is about to begin: a full disk ends most starts before, with one message of its own.
 *
 * Not done here: reading it (status.c). */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report/append.h"
#include "run/history.h"
#include "run/signals.h"

static wb_status append (const char *run, const json_t *event) {
    wb_append_t file = {0};
    char *dump = json_dumps (event, JSON_COMPACT | JSON_REAL_PRECISION (13)),
         *line = dump != NULL ? wb_format ("%s\n", dump) : NULL;
    wb_free_foreign (dump);
    if (line == NULL) return WB_NOMEM (WB_RUN_HISTORY);
    wb_status status = wb_append_open (&file, run, WB_RUN_HISTORY, NULL, NULL);
    if (status == WB_OK) status = wb_append_put (&file, line, strlen (line));
    const wb_status closed = wb_append_close (&file);
    wb_free (line);
    return status == WB_OK ? closed : status;
}

/* The error of the run, if there is one, stays; the first of those that befall history.jsonl is kept. */
static void put (wb_run_t *r, json_t *event) {
    wb_error_t before;
    wb_error_take (&before);
    if (append (r->config->run.dir, event) != WB_OK) {
        if (r->history_error.status == WB_OK) wb_error_take (&r->history_error);
        wb_error_clear ();
    }
    json_decref (event);
    if (before.status != WB_OK) wb_error_put (&before);
}

static void warn_once (wb_run_t *r) {
    if (r->history_error.status == WB_OK || r->history_told) return;
    wb_warn ("%s: wabun status will not know of it", r->history_error.text);
    r->history_told = true;
}

void wb_run_event_put (wb_run_t *r, json_t *event) {
    if (wb_comm_rank (r->world) != 0) {
        json_decref (event);
        return;
    }
    put (r, event);
    warn_once (r);
}

json_t *wb_run_event_new (const char *kind, int64_t step) {
    json_t *j = json_object ();
    const char *job = getenv ("SLURM_JOB_ID");
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    json_object_set_new (j, "event", json_string (kind));
    json_object_set_new (j, "time", json_real ((double) now.tv_sec + 1e-9 * (double) now.tv_nsec));
    if (job != NULL) json_object_set_new (j, "job", json_string (job));
    if (step >= 0) json_object_set_new (j, "step", json_integer (step));
    return j;
}

/* What a signal before the first step writes, which ends the process at once. */
static void leave_last_words (const wb_run_t *r) {
    char *path = wb_format ("%s/" WB_RUN_HISTORY, r->config->run.dir);
    if (path == NULL) return;
    wb_signals_last_words (open (path, O_WRONLY | O_APPEND | O_CLOEXEC),
                           "{\"event\": \"end\", \"code\": 75, \"why\": \"stopped on request before a first step\"}\n");
    wb_free (path);
}

void wb_run_history_start (wb_run_t *r) {
    int64_t newest = -1;
    int n = 0;
    r->in_history = true;
    if (wb_comm_rank (r->world) != 0) return;
    const char *restart = getenv ("SLURM_RESTART_COUNT");
    json_t *j = wb_run_event_new ("start", -1);
    if (wb_ckpt_list (&newest, &n, r->config->run.dir, 1) != WB_OK) wb_error_clear ();
    json_object_set_new (j, "checkpoint", json_integer (n > 0 ? newest : -1));
    json_object_set_new (j, "steps", json_integer (r->config->step.optim.steps));
    json_object_set_new (j, "ranks", json_integer (wb_comm_size (r->world)));
    json_object_set_new (j, "host", json_string (wb_comm_host ()));
    json_object_set_new (j, "process", json_integer (getpid ()));
    if (wb_launcher_end () > 0) json_object_set_new (j, "job_ends", json_integer (wb_launcher_end ()));
    if (restart != NULL) json_object_set_new (j, "restart", json_integer (strtol (restart, NULL, 10)));
    put (r, j);
    leave_last_words (r);
}

void wb_run_history_began (wb_run_t *r) {
    if (wb_comm_rank (r->world) == 0) wb_run_event_put (r, wb_run_event_new ("began", r->trainer->step));
}

void wb_run_history_end (wb_run_t *r, wb_status status) {
    if (!r->in_history || (wb_comm_rank (r->world) != 0 && status != WB_EHUNG)) return;
    json_t *j = wb_run_event_new ("end", r->trainer != NULL ? r->trainer->step : -1);
    json_object_set_new (j, "code", json_integer (status));
    json_object_set_new (j, "why", json_string (status == WB_OK ? "done" : wb_error_get ()->text));
    put (r, j);
    if ((int) status != r->history_error.status) warn_once (r);
}
