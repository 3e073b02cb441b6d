/* How does a run go?  Answered by its files alone, also while it goes on and on another machine.
 *
 *   .lock           held: it runs
 *   history.jsonl   starts, and how they ended; also those of job scripts (doc/slurm.md); skipped steps, spikes,
 *                   rollbacks
 *   metrics.jsonl   its last records: step, loss, speed, validation; its time: of the last record
 *   step-*          the newest one that is complete
 *
 * Time left is what a step took since the last start, with saves and validations.
 *
 * A job script asks whether another start is worth it (--again): what ended a run says that of most codes; where
 * nothing was written the process was killed, which another start may survive.  But not for ever: three starts of one
 * job that got no checkpoint further would be followed by more of them.
 *
 * Not done here: checksums (verify.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/status.h"
#include "wabun/json.h"

#define METRICS_TAIL (256 << 10) /* bytes; validations may be rarer */
#define HISTORY_TAIL (64 << 20)
#define SILENCE 600 /* seconds; without locks, a run that wrote later than so is running */

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The last `most` bytes of a file; one that is not there has none.  *buf is owned by the caller. */
static wb_status read_tail (char **buf, size_t *bytes, const char *path, int64_t most) {
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    wb_status status = WB_OK;
    *buf = NULL;
    *bytes = 0;
    if (fd < 0) return WB_OK;
    if (fstat (fd, &st) == 0 && st.st_size > 0) {
        const int64_t at = st.st_size > most ? st.st_size - most : 0;
        *buf = wb_malloc ((size_t) (st.st_size - at));
        const int error = *buf != NULL ? wb_fd_read (fd, *buf, bytes, (size_t) (st.st_size - at), at) : 0;
        if (*buf == NULL) status = WB_NOMEM ("%s", path);
        if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
    }
    close (fd);
    return status;
}

/* Give each whole line of the last `most` bytes of RUN/name to `take`, parsed. */
static wb_status each_line (wb_report_t *r, const char *name, int64_t most,
                            void (*take) (wb_report_t *r, json_t *line)) {
    char *path = wb_format ("%s/%s", r->run, name), *buf = NULL;
    size_t got = 0;
    wb_status status = path != NULL ? read_tail (&buf, &got, path, most) : WB_NOMEM ("%s", r->run);
    const char *end, *line = buf;
    for (; got > 0 && (end = memchr (line, '\n', (size_t) (buf + got - line))) != NULL; line = end + 1) {
        json_t *j = wb_json_load (line, (size_t) (end - line), 0, NULL); /* the first may have lost its beginning */
        if (j == NULL && (status = wb_json_status (j)) != WB_OK) break;
        if (j != NULL) take (r, j);
        json_decref (j);
    }
    wb_free (path);
    wb_free (buf);
    return status;
}

static json_t *last_start (const wb_report_t *r) { return json_array_get (r->starts, json_array_size (r->starts) - 1); }
static bool same_job (const json_t *a, const json_t *b) {
    return strcmp (wb_line_text (a, "job"), wb_line_text (b, "job")) == 0;
}

/* The newest start of the job that this line is of, or else the newest one. */
static json_t *start_of (const wb_report_t *r, const json_t *line) {
    for (size_t i = json_array_size (r->starts); i-- > 0;)
        if (same_job (json_array_get (r->starts, i), line)) return json_array_get (r->starts, i);
    return last_start (r);
}

/* A job script's lines: it starts, the launcher has ended, the job goes back into the queue. */
static void take_job (wb_report_t *r, json_t *line, const char *event) {
    if (strcmp (event, "job") == 0) {
        json_object_set_new (line, "event", json_string ("start"));
        json_array_append (r->starts, line);
        return;
    }
    json_t *start = start_of (r, line);
    if (strcmp (event, "job end") == 0) json_object_set (start, "launcher_code", json_object_get (line, "code"));
    if (strcmp (event, "job requeued") == 0) json_object_set_new (start, "requeued", json_true ());
    if (strcmp (event, "job stays") == 0) json_object_del (start, "requeued"); /* Slurm refused */
}

/* A step that is done again after a restart counts once. */
static void take_step (json_t *steps, json_t *line) {
    char number[24];
    snprintf (number, sizeof number, "%" PRId64, wb_line_integer (line, "step"));
    json_object_del (line, "windows"); /* long, and not shown */
    json_object_set (steps, number, line);
}

static void take_health (wb_report_t *r, json_t *line, const char *event) {
    if (strcmp (event, "rollback") == 0) {
        json_object_del (line, "windows");
        json_array_append (r->rollbacks, line);
    }
    if (strcmp (event, "spike") == 0) take_step (r->spikes, line);
    if (json_is_true (json_object_get (line, "skipped"))) take_step (r->skipped, line);
}

/* Files of before "began" have the step in "start". */
static void take_event (wb_report_t *r, json_t *line) {
    const char *event = wb_line_text (line, "event");
    take_health (r, line, event);
    json_t *last = last_start (r), *start = start_of (r, line);
    if (strncmp (event, "job", 3) == 0) {
        take_job (r, line, event);
    } else if (strcmp (event, "start") == 0) {
        const bool of_script = last != NULL && json_object_get (last, "process") == NULL && same_job (last, line);
        if (of_script)
            json_object_update (last, line);
        else
            json_array_append (r->starts, line);
    } else if (strcmp (event, "began") == 0) {
        json_object_set (start, "step", json_object_get (line, "step"));
        json_object_set (start, "began", json_object_get (line, "time"));
    } else if (strcmp (event, "end") == 0 && start != NULL && json_object_get (start, "end") == NULL) {
        json_object_set (start, "end", line);
    }
}

static void take_record (wb_report_t *r, json_t *line) {
    json_t **kept = json_object_get (line, "val_loss") != NULL ? &r->valid : &r->record;
    if (kept == &r->record && json_object_get (line, "loss") == NULL) return;
    json_decref (*kept);
    *kept = json_incref (line);
}

static wb_status read_checkpoints (wb_report_t *r) {
    int64_t *steps;
    int n;
    wb_names_t names;
    r->checkpoint = -1;
    WB_TRY (wb_ckpt_list_named (&steps, &n, r->run));
    wb_status status = WB_OK;
    for (int i = 0; i < n && status == WB_OK && r->checkpoint < 0; i++) {
        char *dir = wb_ckpt_path (r->run, steps[i]);
        wb_ckpt_check_t c = {.depth = WB_CKPT_SIZES, .checkpoint = true};
        status = dir != NULL ? wb_ckpt_check (&c, dir) : WB_NOMEM ("%s", r->run);
        if (status == WB_OK && c.faults == 0) r->checkpoint = steps[i];
        if (status == WB_EIO) { /* removed at this moment */
            wb_error_clear ();
            status = WB_OK;
        }
        wb_free (dir);
    }
    wb_free (steps);
    WB_TRY (status);
    WB_TRY (wb_dir_list (&names, r->run));
    for (int64_t i = 0; i < names.len; i++)
        r->aside += strncmp (names.data[i], "step-", 5) == 0 && strstr (names.data[i], ".damaged") != NULL;
    wb_names_fini (&names);
    return WB_OK;
}

static bool there (wb_report_t *r, const char *name) {
    char *path = wb_format ("%s/%s", r->run, name);
    struct stat st;
    const bool is = path != NULL && stat (path, &st) == 0;
    if (is && strcmp (name, "metrics.jsonl") == 0)
        r->written = (double) st.st_mtim.tv_sec + 1e-9 * (double) st.st_mtim.tv_nsec;
    wb_free (path);
    return is;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

#define CHANCES 3

/* How a start without an end ended. */
static const char *lost (const json_t *start) {
    return wb_line_has (start, "process") ? "its end was not recorded: it was killed, or its node was lost"
                                          : "the launcher did not get as far as a run";
}

static void judge_state (wb_report_t *r) {
    const json_t *last = last_start (r), *end = json_object_get (last, "end");
    const int locked = wb_run_is_locked (r->run);
    const bool fresh = locked < 0 && end == NULL && (double) time (NULL) - r->written < SILENCE;
    /* A record of ownership on another host outlives its process by some seconds; the job script knows better. */
    const bool launcher_ended = last != NULL && wb_line_has (last, "launcher_code");
    r->why = NULL;
    if ((locked > 0 || fresh) && !launcher_ended) {
        r->state = "running";
    } else if (end != NULL) {
        const int64_t code = wb_line_integer (end, "code");
        r->state = code == WB_OK ? "finished" : code == WB_ESTOP ? "stopped" : "failed";
        if (code != WB_OK) r->why = wb_line_text (end, "why");
    } else if (last != NULL && !wb_line_has (last, "process") && !wb_line_has (last, "launcher_code")) {
        r->state = "starting";
    } else if (last != NULL) {
        r->state = "failed";
        r->why = lost (last);
    } else {
        r->state = "stopped";
        r->why = "no start is recorded";
    }
    if (r->why != NULL && wb_line_has (last, "requeued")) r->state = "queued";
}

static void judge_step (wb_report_t *r) {
    const json_t *last = last_start (r);
    r->step = r->record != NULL ? wb_line_integer (r->record, "step") : 0;
    if (r->checkpoint > r->step) r->step = r->checkpoint;
    for (size_t i = json_array_size (r->starts); i-- > 0 && r->steps == 0;)
        r->steps = wb_line_integer (json_array_get (r->starts, i), "steps");
    const int64_t done = r->step - wb_line_integer (last, "step");
    const double took = r->written - wb_line_number (last, wb_line_has (last, "began") ? "began" : "time");
    const bool known = last != NULL && wb_line_has (last, "step") && done > 0 && took > 0;
    r->left = known ? took / (double) done * (double) (r->steps - r->step) : -1;
}

/* Have the last CHANCES starts of the last job left no newer checkpoint?  From the newest start backwards; `later` is
 * the checkpoint that was there after it.  A start that never held the run has left nothing. */
static bool is_stuck (const wb_report_t *r) {
    int64_t later = r->checkpoint > 0 ? r->checkpoint : 0;
    int n = 0;
    for (size_t i = json_array_size (r->starts); i-- > 0 && n < CHANCES;) {
        const json_t *start = json_array_get (r->starts, i);
        if (!same_job (start, last_start (r))) continue;
        if (wb_line_has (start, "process")) {
            const int64_t base = wb_line_integer (start, wb_line_has (start, "step") ? "step" : "checkpoint");
            if (base < later && !(base < 0 && later == 0)) return false;
        }
        n++;
    }
    return n >= CHANCES;
}

/* Is another start worth it?  WB_OK: there is nothing left to do; WB_ESTOP: yes. */
static wb_status judge_again (const wb_report_t *r) {
    const json_t *last = last_start (r), *end = json_object_get (last, "end");
    const int64_t code = wb_line_integer (end, "code");
    const char *why = end != NULL ? wb_line_text (end, "why") : last != NULL ? lost (last) : "no start is recorded";
    bool began = r->checkpoint > 0;
    size_t i;
    const json_t *start;
    json_array_foreach (r->starts, i, start) began = began || wb_line_has (start, "step");
    if (end != NULL && code == WB_OK) return WB_OK;
    /* A file that is missing at the very first start is the wrong file; later it is a server that is away. */
    const bool hopeless = code == WB_EUSAGE || code == WB_ENOMEM || code == WB_EDATA || code == WB_ENUMERIC;
    if (end != NULL && (hopeless || (code == WB_EIO && !began))) return WB_FAIL ((wb_status) code, "%s", why);
    char newest[48] = "there is none";
    if (r->checkpoint >= 0) snprintf (newest, sizeof newest, "the newest is of step %lld", (long long) r->checkpoint);
    if (is_stuck (r))
        return WB_FAIL (
            WB_ESTUCK,
            "%s: the last %d starts left no newer checkpoint (%s), so it is not started again; the last one: "
            "%s",
            r->run, CHANCES, newest, why);
    return WB_FAIL (WB_ESTOP, "%s: to be started again from step %lld: %s", r->run,
                    (long long) (r->checkpoint > 0 ? r->checkpoint : 0), why);
}

static wb_status report (wb_report_t *r, wb_run_answer answer) {
    if (!wb_file_is_dir (r->run)) return WB_FAIL (WB_EIO, "%s: no such directory", r->run);
    if (there (r, "state.json"))
        return WB_FAIL (WB_EUSAGE, "%s is a checkpoint: name the run, the directory around it", r->run);
    const bool is_run = there (r, "metrics.jsonl") || there (r, ".lock") || there (r, WB_RUN_HISTORY);
    if (r->starts == NULL || r->skipped == NULL || r->spikes == NULL || r->rollbacks == NULL)
        return WB_NOMEM ("%s", r->run);
    WB_TRY (each_line (r, WB_RUN_HISTORY, HISTORY_TAIL, take_event));
    WB_TRY (each_line (r, "metrics.jsonl", METRICS_TAIL, take_record));
    if (r->valid == NULL) WB_TRY (each_line (r, "metrics.jsonl", 16 * METRICS_TAIL, take_record));
    WB_TRY (read_checkpoints (r));
    if (!is_run && r->checkpoint < 0)
        return WB_FAIL (WB_EUSAGE, "%s is no run: name the directory that `run` of a configuration names", r->run);
    judge_state (r);
    judge_step (r);
    if (answer == WB_RUN_AGAIN) return judge_again (r);
    if (answer == WB_RUN_JSON) return wb_report_print_json (r);
    wb_report_print (r);
    return WB_OK;
}

static void begin (wb_report_t *r, const char *run) {
    *r = (wb_report_t){.run = run,
                       .starts = json_array (),
                       .skipped = json_object (),
                       .spikes = json_object (),
                       .rollbacks = json_array ()};
}

static void end (wb_report_t *r) {
    json_decref (r->starts);
    json_decref (r->record);
    json_decref (r->valid);
    json_decref (r->skipped);
    json_decref (r->spikes);
    json_decref (r->rollbacks);
}

wb_status wb_run_status (const char *run, wb_run_answer answer) {
    wb_report_t r;
    begin (&r, run);
    const wb_status status = report (&r, answer);
    end (&r);
    return status == WB_OK ? wb_flush (stdout, "standard output") : status;
}

wb_status wb_run_is_running (bool *is, const char *run) {
    wb_report_t r;
    begin (&r, run);
    wb_status status = r.starts != NULL && r.skipped != NULL && r.spikes != NULL && r.rollbacks != NULL
                           ? each_line (&r, WB_RUN_HISTORY, HISTORY_TAIL, take_event)
                           : WB_NOMEM ("%s", run);
    if (status == WB_OK) {
        there (&r, "metrics.jsonl");
        judge_state (&r);
        *is = strcmp (r.state, "running") == 0;
    }
    end (&r);
    return status;
}
