/* timeout: 60 - report: metrics.jsonl and samples.txt, whole lines whatever the disk does */
#include "config.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t.h"
#include "wabun/report.h"

static char *in_run (const char *name) {
    static char path[2][4096];
    static int turn;
    turn = !turn;
    snprintf (path[turn], sizeof path[turn], "%s%s%s", getenv ("T_TMP"), name[0] != 0 ? "/" : "", name);
    return path[turn];
}

static void put_file (const char *name, const char *text) {
    T_STATUS (wb_file_write (in_run (name), text, strlen (text)), WB_OK);
}

static void has (const char *name, const char *want) {
    char *text = NULL;
    size_t n;
    if (T_STATUS (wb_file_read (&text, &n, in_run (name)), WB_OK))
        T_OK (strcmp (text, want) == 0, "%s holds\n%s, not\n%s", name, text, want);
    wb_free (text);
}

static void write_step (wb_metrics_t *m, int64_t step) {
    const wb_value_t row[] = {{"step", .x = {(double) step}},
                              {"loss", 9, .x = {step == 3 ? NAN : 0.123456789123}},
                              {"seconds.data", 4, .x = {0.00012344}},
                              {"seconds.total", 4, .x = {12.345678}},
                              {"ranks.compute", 3, .x = {1, 2.5, INFINITY}, .n = 3},
                              {"ranks.slowest", .text = "1@\"node\""},
                              {"memory", .x = {123456789012}}};
    wb_metrics_write (m, &(wb_record_t){WB_RECORD_STEP, step, row, sizeof row / sizeof *row});
}

static void write_text (wb_metrics_t *m, int64_t step, const char *text) {
    const wb_value_t row[] = {{"step", .x = {(double) step}}, {"text", .text = text}};
    wb_metrics_write (m, &(wb_record_t){WB_RECORD_SAMPLE, step, row, 2});
}

#define REST                                                                                                    \
    "\"seconds\": {\"data\": 0.0001234, \"total\": 12.35}, \"ranks\": {\"compute\": [1, 2.5, 0], \"slowest\": " \
    "\"1@\\\"node\\\"\"}, \"memory\": 123456789012}\n"
#define STEP(n) "{\"step\": " #n ", \"loss\": 0.123456789, " REST

static void check_format (void) {
    wb_metrics_t *m;
    T_STATUS (wb_metrics_open (&m, in_run (""), 0), WB_OK);
    T_OK (!wb_file_exists (in_run ("samples.txt")), "no samples, no file");
    write_step (m, 1);
    write_step (m, 3);
    const wb_value_t last[] = {{"step", .x = {3}}, {"a.x", 4, .x = {1}}, {"b.x", 4, .x = {2}}};
    wb_metrics_write (m, &(wb_record_t){WB_RECORD_VALIDATION, 3, last, 3});
    write_text (m, 3, "こんにちは。\n二行目");
    wb_metrics_close (m);
    has ("metrics.jsonl",
         STEP (1) "{\"step\": 3, \"loss\": 0, " REST "{\"step\": 3, \"a\": {\"x\": 1}, \"b\": {\"x\": 2}}\n");
    has ("samples.txt", "==== step 3\nこんにちは。\n二行目\n");
    wb_metrics_write (NULL, &(wb_record_t){WB_RECORD_VALIDATION, 3, last, 3});
    wb_metrics_close (NULL);
}

static void check_trim (void) {
    wb_metrics_t *m;
    put_file ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n{\"st");
    put_file ("samples.txt", "==== step 2\none\n==== step\n==== step 3\nthree\n==== step 4\nfo");
    T_STATUS (wb_metrics_open (&m, in_run (""), 2), WB_OK);
    has ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n");
    has ("samples.txt", "==== step 2\none\n==== step\n");
    write_text (m, 4, "four");
    wb_metrics_close (m);
    has ("samples.txt", "==== step 2\none\n==== step\n==== step 4\nfour\n");
    put_file ("metrics.jsonl", "{\"step\": 1}\nhalf a li{\"step\": 2}\n{\"step\": 2}\n");
    T_STATUS (wb_metrics_open (&m, in_run (""), 2), WB_OK);
    wb_metrics_close (m);
    has ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n");
    T_STATUS (wb_metrics_open (&m, in_run (""), 0), WB_OK);
    wb_metrics_close (m);
    has ("metrics.jsonl", "");
    has ("samples.txt", "");
}

/* A disk that is full for a while: a limit on the size of files. */
static void limit (rlim_t bytes) {
    struct rlimit l;
    getrlimit (RLIMIT_FSIZE, &l);
    l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
    setrlimit (RLIMIT_FSIZE, &l);
}

static void check_full (void) {
    wb_metrics_t *m;
    T_STATUS (wb_metrics_open (&m, in_run (""), 0), WB_OK);
    write_step (m, 1);
    limit (250);
    write_step (m, 2);
    write_step (m, 4);
    has ("metrics.jsonl", STEP (1));
    T_STATUS (wb_error_get ()->status, WB_OK);
    limit (RLIM_INFINITY);
    write_step (m, 5);
    write_step (m, 6);
    wb_metrics_close (m);
    has ("metrics.jsonl", STEP (1) STEP (5) STEP (6));
}

/* A directory where the file should be; then it is gone. */
static void check_late (void) {
    wb_metrics_t *m;
    unlink (in_run ("metrics.jsonl"));
    mkdir (in_run ("metrics.jsonl"), 0777);
    T_STATUS (wb_metrics_open (&m, in_run (""), 0), WB_OK);
    write_step (m, 1);
    rmdir (in_run ("metrics.jsonl"));
    write_step (m, 2);
    wb_metrics_close (m);
    has ("metrics.jsonl", STEP (2));
}

/* A line that somebody else left without an end. */
static void check_torn (void) {
    wb_metrics_t *m;
    T_STATUS (wb_metrics_open (&m, in_run (""), 0), WB_OK);
    put_file ("metrics.jsonl", "torn");
    write_step (m, 1);
    wb_metrics_close (m);
    has ("metrics.jsonl", "torn\n" STEP (1));
}

static void check_progress (void) {
    wb_progress_t p = {0};
    wb_progress_add (&p, 2);
    T_OK (p.seconds == 2, "the first step is the average");
    wb_progress_add (&p, 4);
    T_OK (fabs (p.seconds - 2.4) < 1e-12, "later ones move it");
    wb_progress_show (&p);
    wb_progress_line (&p);
}

int main (void) {
    signal (SIGXFSZ, SIG_IGN);
    check_format ();
    check_trim ();
    check_full ();
    check_late ();
    check_torn ();
    check_progress ();
    return T_DONE ();
}
