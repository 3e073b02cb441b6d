/* How does a run go?  Answered by its files alone, also while it goes on and on another machine.
 *
 *   .lock           held: it runs
 *   history.jsonl   starts, and how they ended; also those of job scripts (doc/slurm.md)
 *   metrics.jsonl   its last records: step, loss, speed; its time: of the last record
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

#include "run/run_priv.h"

#define METRICS_TAIL (256 << 10)
#define SILENCE 600 /* seconds; without locks, a run that wrote later than so is running */

typedef struct report {
    const char *run;
    json_t *starts; /* owned: the lines of starts, each with its end in it */
    json_t *record; /* owned: the last with a loss; NULL: none */
    double val_loss;
    int64_t validated;  /* the step of that; -1: none */
    double written;     /* when metrics were, seconds since 1970; 0: never */
    int64_t checkpoint; /* step, -1: none */
    int aside;          /* checkpoints that were set aside as damaged */
    const char *state, *why;
    int64_t step, steps; /* steps 0: not known */
    double left;         /* seconds; -1: not known */
} report_t;

static int64_t integer (const json_t *j, const char *key) {
    return (int64_t) json_integer_value (json_object_get (j, key));
}
static double number (const json_t *j, const char *key) { return json_number_value (json_object_get (j, key)); }
static const char *text_of (const json_t *j, const char *key) {
    const char *s = json_string_value (json_object_get (j, key));
    return s != NULL ? s : "";
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Give each whole line of the last `most` bytes of RUN/name to `take`, parsed; a file that is not there has none. */
static wb_status each_line (report_t *r, const char *name, int64_t most, void (*take) (report_t *r, json_t *line)) {
    char *path = wb_format ("%s/%s", r->run, name), *buf = wb_malloc ((size_t) most);
    const int fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    size_t got = 0;
    wb_status status = path != NULL && buf != NULL ? WB_OK : WB_NOMEM ("%s", r->run);
    if (status == WB_OK && fd >= 0 && fstat (fd, &st) == 0) {
        const int64_t at = st.st_size > most ? st.st_size - most : 0;
        const int error = wb_fd_read (fd, buf, &got, (size_t) most, at);
        if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
    }
    const char *end, *line = buf;
    for (; status == WB_OK && (end = memchr (line, '\n', (size_t) (buf + got - line))) != NULL; line = end + 1) {
        json_t *j = json_loadb (line, (size_t) (end - line), 0, NULL); /* the first may have lost its beginning */
        if (j != NULL) take (r, j);
        json_decref (j);
    }
    if (fd >= 0) close (fd);
    wb_free (path);
    wb_free (buf);
    return status;
}

static json_t *last_start (const report_t *r) { return json_array_get (r->starts, json_array_size (r->starts) - 1); }
static bool same_job (const json_t *a, const json_t *b) { return strcmp (text_of (a, "job"), text_of (b, "job")) == 0; }

/* The newest start of the job that this line is of, or else the newest one. */
static json_t *start_of (const report_t *r, const json_t *line) {
    for (size_t i = json_array_size (r->starts); i-- > 0;)
        if (same_job (json_array_get (r->starts, i), line)) return json_array_get (r->starts, i);
    return last_start (r);
}

/* A job script's lines: it starts, the launcher has ended, the job goes back into the queue. */
static void take_job (report_t *r, json_t *line, const char *event) {
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

/* Files of before "began" have the step in "start". */
static void take_event (report_t *r, json_t *line) {
    const char *event = text_of (line, "event");
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

static void take_record (report_t *r, json_t *line) {
    const json_t *loss = json_object_get (line, "val_loss");
    if (json_object_get (line, "loss") != NULL) {
        json_decref (r->record);
        r->record = json_incref (line);
    }
    if (loss == NULL) return;
    r->val_loss = json_number_value (loss);
    r->validated = integer (line, "step");
}

static wb_status read_checkpoints (report_t *r) {
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

static bool there (report_t *r, const char *name) {
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

static bool has (const json_t *j, const char *key) { return json_object_get (j, key) != NULL; }

/* How a start without an end ended. */
static const char *lost (const json_t *start) {
    return has (start, "process") ? "its end was not recorded: it was killed, or its node was lost"
                                  : "the launcher did not get as far as a run";
}

static void judge_state (report_t *r) {
    const json_t *last = last_start (r), *end = json_object_get (last, "end");
    const int locked = wb_run_is_locked (r->run);
    const bool fresh = locked < 0 && end == NULL && (double) time (NULL) - r->written < SILENCE;
    r->why = NULL;
    if (locked > 0 || fresh) {
        r->state = "running";
    } else if (end != NULL) {
        const int64_t code = integer (end, "code");
        r->state = code == WB_OK ? "finished" : code == WB_ESTOP ? "stopped" : "failed";
        if (code != WB_OK) r->why = text_of (end, "why");
    } else if (last != NULL && !has (last, "process") && !has (last, "launcher_code")) {
        r->state = "starting";
    } else if (last != NULL) {
        r->state = "failed";
        r->why = lost (last);
    } else {
        r->state = "stopped";
        r->why = "no start is recorded";
    }
    if (r->why != NULL && has (last, "requeued")) r->state = "queued";
}

static void judge_step (report_t *r) {
    const json_t *last = last_start (r);
    r->step = r->record != NULL ? integer (r->record, "step") : 0;
    if (r->checkpoint > r->step) r->step = r->checkpoint;
    for (size_t i = json_array_size (r->starts); i-- > 0 && r->steps == 0;)
        r->steps = integer (json_array_get (r->starts, i), "steps");
    const int64_t done = r->step - integer (last, "step");
    const double took = r->written - number (last, has (last, "began") ? "began" : "time");
    const bool known = last != NULL && has (last, "step") && done > 0 && took > 0;
    r->left = known ? took / (double) done * (double) (r->steps - r->step) : -1;
}

/* Have the last CHANCES starts of the last job left no newer checkpoint?  From the newest start backwards; `later` is
 * the checkpoint that was there after it.  A start that never held the run has left nothing. */
static bool is_stuck (const report_t *r) {
    int64_t later = r->checkpoint > 0 ? r->checkpoint : 0;
    int n = 0;
    for (size_t i = json_array_size (r->starts); i-- > 0 && n < CHANCES;) {
        const json_t *start = json_array_get (r->starts, i);
        if (!same_job (start, last_start (r))) continue;
        if (has (start, "process")) {
            const int64_t base = integer (start, has (start, "step") ? "step" : "checkpoint");
            if (base < later && !(base < 0 && later == 0)) return false;
        }
        n++;
    }
    return n >= CHANCES;
}

/* Is another start worth it?  WB_OK: there is nothing left to do; WB_ESTOP: yes. */
static wb_status judge_again (const report_t *r) {
    const json_t *last = last_start (r), *end = json_object_get (last, "end");
    const int64_t code = integer (end, "code");
    const char *why = end != NULL ? text_of (end, "why") : last != NULL ? lost (last) : "no start is recorded";
    bool began = r->checkpoint > 0;
    size_t i;
    const json_t *start;
    json_array_foreach (r->starts, i, start) began = began || has (start, "step");
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

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static wb_status print_json (const report_t *r) {
    json_t *j = json_object ();
    json_object_set_new (j, "run", json_string (r->run));
    json_object_set_new (j, "state", json_string (r->state));
    json_object_set_new (j, "why", r->why != NULL ? json_string (r->why) : json_null ());
    json_object_set_new (j, "step", json_integer (r->step));
    json_object_set_new (j, "steps", r->steps > 0 ? json_integer (r->steps) : json_null ());
    static const char *const copied[] = {"loss", "tokens", "tokens_per_s", "grad_norm", "lr"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        json_t *x = json_object_get (r->record, copied[i]);
        json_object_set_new (j, copied[i], x != NULL ? json_incref (x) : json_null ());
    }
    json_object_set_new (j, "val_loss", r->validated >= 0 ? json_real (r->val_loss) : json_null ());
    json_object_set_new (j, "seconds_left", r->left >= 0 ? json_real (r->left) : json_null ());
    json_object_set_new (j, "written", r->written > 0 ? json_real (r->written) : json_null ());
    json_object_set_new (j, "checkpoint", r->checkpoint >= 0 ? json_integer (r->checkpoint) : json_null ());
    json_object_set_new (j, "set_aside", json_integer (r->aside));
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
    if (has (start, "step")) printf (", step %" PRId64, integer (start, "step"));
    if (has (start, "ranks"))
        printf (", %" PRId64 " rank%s on %s", integer (start, "ranks"), wb_plural (integer (start, "ranks")),
                text_of (start, "host"));
    if (has (start, "job")) printf (", job %s", text_of (start, "job"));
    if (integer (start, "restart") > 0) printf (", restart %" PRId64, integer (start, "restart"));
}

static void print_starts (const report_t *r) {
    char when[32];
    size_t i;
    const json_t *start;
    json_array_foreach (r->starts, i, start) {
        const json_t *end = json_object_get (start, "end");
        const bool last = i + 1 == json_array_size (r->starts);
        printf ("start %-5zu %s", i + 1, clock_text (when, number (start, "time")));
        print_start (start);
        if (end != NULL && has (end, "step"))
            printf ("; ended with %" PRId64 " at step %" PRId64 ": %s", integer (end, "code"), integer (end, "step"),
                    text_of (end, "why"));
        else if (end != NULL)
            printf ("; ended with %" PRId64 ": %s", integer (end, "code"), text_of (end, "why"));
        else if (last && (strcmp (r->state, "running") == 0 || strcmp (r->state, "starting") == 0))
            printf ("; goes on");
        else
            printf ("; %s", has (start, "process") ? "killed, or its node lost: no end is recorded" : lost (start));
        if (end == NULL && has (start, "launcher_code"))
            printf (" (its launcher ended with %" PRId64 ")", integer (start, "launcher_code"));
        printf ("%s\n", has (start, "requeued") ? "; back into the queue" : "");
    }
}

static void print_text (const report_t *r) {
    char buf[32];
    const double ago = (double) time (NULL) - r->written;
    printf ("run         %s\n", r->run);
    printf ("state       %s%s%s\n", r->state, r->why != NULL ? ": " : "", r->why != NULL ? r->why : "");
    printf ("step        %" PRId64, r->step);
    if (r->steps > 0) printf (" of %" PRId64 " (%.1f %%)", r->steps, 100.0 * (double) r->step / (double) r->steps);
    printf ("\n");
    if (r->record != NULL) {
        printf ("loss        %.4f", number (r->record, "loss"));
        if (r->validated >= 0) printf (", validation %.4f at step %" PRId64, r->val_loss, r->validated);
        printf ("\nspeed       %.4g tokens/s; last record %s ago\n", number (r->record, "tokens_per_s"),
                wb_format_seconds (buf, ago > 0 ? ago : 0));
    }
    if (r->left > 0)
        printf ("time left   %s%s, saves and validations counted\n", wb_format_seconds (buf, r->left),
                strcmp (r->state, "running") == 0 ? "" : " once it goes on");
    if (r->checkpoint >= 0)
        printf ("checkpoint  step %" PRId64 ", all files with their sizes\n", r->checkpoint);
    else
        printf ("checkpoint  none\n");
    if (r->aside > 0) printf ("damaged     %d checkpoint%s set aside\n", r->aside, wb_plural (r->aside));
    print_starts (r);
}

static wb_status report (report_t *r, wb_run_answer answer) {
    if (!wb_file_is_dir (r->run)) return WB_FAIL (WB_EIO, "%s: no such directory", r->run);
    if (there (r, "state.json"))
        return WB_FAIL (WB_EUSAGE, "%s is a checkpoint: name the run, the directory around it", r->run);
    const bool is_run = there (r, "metrics.jsonl") || there (r, ".lock") || there (r, WB_RUN_HISTORY);
    if (r->starts == NULL) return WB_NOMEM ("%s", r->run);
    WB_TRY (each_line (r, WB_RUN_HISTORY, 4 << 20, take_event));
    WB_TRY (each_line (r, "metrics.jsonl", METRICS_TAIL, take_record));
    WB_TRY (read_checkpoints (r));
    if (!is_run && r->checkpoint < 0)
        return WB_FAIL (WB_EUSAGE, "%s is no run: name the directory that `run` of a configuration names", r->run);
    judge_state (r);
    judge_step (r);
    if (answer == WB_RUN_AGAIN) return judge_again (r);
    if (answer == WB_RUN_JSON) return print_json (r);
    print_text (r);
    return WB_OK;
}

wb_status wb_run_status (const char *run, wb_run_answer answer) {
    report_t r = {.run = run, .starts = json_array (), .validated = -1};
    const wb_status status = report (&r, answer);
    json_decref (r.starts);
    json_decref (r.record);
    return status == WB_OK ? wb_flush (stdout, "standard output") : status;
}
