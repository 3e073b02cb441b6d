/* report: metrics.jsonl and samples.txt, whole lines whatever the disk does; records thinned */
#include "config.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/record.h"
#include "report/thin.h"
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
    wb_metrics_write (m, &(wb_metrics_row_t){WB_METRICS_STEP, step, row, sizeof row / sizeof *row});
}

static void write_text (wb_metrics_t *m, int64_t step, const char *text) {
    const wb_value_t row[] = {{"step", .x = {(double) step}}, {"text", .text = text}};
    wb_metrics_write (m, &(wb_metrics_row_t){WB_METRICS_SAMPLE, step, row, 2});
}

#define REST                                                                                                    \
    "\"seconds\": {\"data\": 0.0001234, \"total\": 12.35}, \"ranks\": {\"compute\": [1, 2.5, 0], \"slowest\": " \
    "\"1@\\\"node\\\"\"}, \"memory\": 123456789012}\n"
#define STEP(n) "{\"step\": " #n ", \"loss\": 0.123456789, " REST

static void check_format (void) {
    wb_metrics_t *m;
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 0}), WB_OK);
    T_OK (!wb_file_exists (in_run ("samples.txt")), "no samples, no file");
    write_step (m, 1);
    write_step (m, 3);
    const wb_value_t last[] = {{"step", .x = {3}}, {"a.x", 4, .x = {1}}, {"b.x", 4, .x = {2}}};
    wb_metrics_write (m, &(wb_metrics_row_t){WB_METRICS_VALIDATION, 3, last, 3});
    write_text (m, 3, "こんにちは。\n二行目");
    wb_metrics_close (m);
    has ("metrics.jsonl",
         STEP (1) "{\"step\": 3, \"loss\": 0, " REST "{\"step\": 3, \"a\": {\"x\": 1}, \"b\": {\"x\": 2}}\n");
    has ("samples.txt", "==== step 3\nこんにちは。\n二行目\n");
    wb_metrics_write (NULL, &(wb_metrics_row_t){WB_METRICS_VALIDATION, 3, last, 3});
    wb_metrics_close (NULL);
}

static void check_trim (void) {
    wb_metrics_t *m;
    put_file ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n{\"st");
    put_file ("samples.txt", "==== step 2\none\n==== step\n==== step 3\nthree\n==== step 4\nfo");
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 2}), WB_OK);
    has ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n");
    has ("samples.txt", "==== step 2\none\n==== step\n");
    write_text (m, 4, "four");
    wb_metrics_close (m);
    has ("samples.txt", "==== step 2\none\n==== step\n==== step 4\nfour\n");
    put_file ("metrics.jsonl", "{\"step\": 1}\nhalf a li{\"step\": 2}\n{\"step\": 2}\n");
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 2}), WB_OK);
    wb_metrics_close (m);
    has ("metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n");
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 0}), WB_OK);
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
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 0}), WB_OK);
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
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 0}), WB_OK);
    write_step (m, 1);
    rmdir (in_run ("metrics.jsonl"));
    write_step (m, 2);
    wb_metrics_close (m);
    has ("metrics.jsonl", STEP (2));
}

/* A line that somebody else left without an end. */
static void check_torn (void) {
    wb_metrics_t *m;
    T_STATUS (wb_metrics_open (&m, &(wb_metrics_to_t){.run = in_run (""), .step = 0}), WB_OK);
    put_file ("metrics.jsonl", "torn");
    write_step (m, 1);
    wb_metrics_close (m);
    has ("metrics.jsonl", "torn\n" STEP (1));
}

static void check_progress (void) {
    wb_progress_t p = {0};
    wb_progress_add (&p, 2);
    T_OK (p.seconds == 2, "the first step is the average");
    const double first[] = {9, 4, 50, 3}; /* the first one is slow, another was disturbed */
    p = (wb_progress_t){0};
    for (int i = 0; i < 4; i++) wb_progress_add (&p, first[i]);
    T_OK (p.seconds == 4, "the median of the first ones, the lower of two: %g", p.seconds);
    wb_progress_add (&p, 5);
    T_OK (p.seconds == 5, "of five: %g", p.seconds);
    wb_progress_add (&p, 7);
    T_OK (fabs (p.seconds - 5.4) < 1e-12, "later ones move it: %g", p.seconds);
    wb_progress_show (&p);
    wb_progress_line (&p);
}

/* ---- a rank that stays slow ------------------------------------------------------------------------------------- */

static wb_slow_rank_t slow;
static double now;

/* n logged steps `apart` seconds apart, in which `rank` computes `times` as long as the median rank's 2 s; news so
 * often, the last of them kept. */
static int looks (int n, double apart, int rank, double times, wb_slow_news *last) {
    int news = 0;
    for (int i = 0; i < n; i++, now += apart) {
        const wb_slow_look_t look = {rank >= 0 ? rank : i % 5, 2 * times, 2, 2 * times + 1};
        wb_slow_news what = wb_slow_rank_add (&slow, now, &look);
        if (what == WB_SLOW_NOTHING) continue;
        news++;
        *last = what;
    }
    return news;
}

static void check_slow_rank (void) {
    wb_slow_news what = WB_SLOW_NOTHING;
    T_OK (looks (1000, 7, -1, 83.2, &what) == 0, "another rank each time: nothing, however slow");
    T_OK (looks (1000, 7, 3, 1.1, &what) == 0, "the same rank, but hardly slower");
    slow = (wb_slow_rank_t){0};
    T_OK (looks (600, 0.08, 3, 1.5, &what) == 0, "48 s of short steps");
    T_OK (looks (600, 0.08, 3, 1.5, &what) == 1 && what == WB_SLOW_RANK, "a minute and more");
    T_OK (slow.news.rank == 3 && slow.news.looks == 10, "rank %d in %d looks", slow.news.rank, slow.news.looks);
    T_OK (slow.news.seconds == 3 && slow.news.typical == 2 && slow.news.cost == 1 &&
              fabs (slow.news.share - 0.25) < 1e-9,
          "%g s, %g s, %g s, %g", slow.news.seconds, slow.news.typical, slow.news.cost, slow.news.share);
    T_OK (looks (600, 1, 3, 1.5, &what) == 0, "once");
    T_OK (looks (3, 60, 1, 4, &what) == 0, "a pause of three looks is none");
    T_OK (looks (10, 60, 3, 1.5, &what) == 0, "nor is it news when it goes on");
    T_OK (looks (10, 60, 1, 4, &what) == 1 && what == WB_SLOW_RANK && slow.news.rank == 1, "another rank is");
    T_OK (looks (20, 60, -1, 4, &what) == 1 && what == WB_SLOW_OVER && slow.news.rank == 1, "and the end");
    T_OK (looks (10, 60, 1, 4, &what) == 1 && what == WB_SLOW_RANK && slow.news.rank == 1, "and when it comes back");
    T_OK (looks (8, 60, 1, 1, &what) == 1 && what == WB_SLOW_OVER, "the same rank, as fast as the others");
    slow = (wb_slow_rank_t){0};
    for (int i = 0, news = 0; i < 100; i++) {
        news += looks (2, 10, 4, 1.5, &what);
        news += looks (1, 10, 0, 1.5, &what);
        T_OK (news == 0, "two of three are not enough");
    }
}

/* ---- records of a page ------------------------------------------------------------------------------------------- */

/* n records of steps 2, 4, ...; two of them stand out, and `rare` is in every third. */
static void check_thin (int64_t n) {
    wb_thin_t *t = wb_calloc (1, sizeof *t);
    double sum = 0, low = INFINITY, high = -INFINITY, thinned = 0;
    int64_t records = 0, rare = 0;
    for (int64_t i = 1; t != NULL && i <= n; i++) {
        const double x = i == n / 3 ? -7 : i == n / 2 ? 1e6 : sin ((double) i);
        T_OK (wb_thin_add (t, 2 * i, (double) i), "record %lld", (long long) i);
        T_STATUS (wb_thin_put (t, "x", x), WB_OK);
        if (i % 3 == 0) T_STATUS (wb_thin_put (t, "rare", 1), WB_OK);
        sum += x;
    }
    T_OK (!wb_thin_add (t, 2 * n, 0) && !wb_thin_add (t, 1, 0), "a step that was there");
    const wb_thin_column_t *x = wb_thin_find (t, "x"), *r = wb_thin_find (t, "rare");
    for (int i = 0; i < t->nrows; i++) {
        T_OK (i == 0 || t->rows[i].first > t->rows[i - 1].last, "row %d begins at %lld", i,
              (long long) t->rows[i].first);
        T_OK (i >= WB_THIN_HEAD || t->rows[i].records == 1, "row %d has %lld records", i,
              (long long) t->rows[i].records);
        low = fmin (low, x->cells[i].min);
        high = fmax (high, x->cells[i].max);
        thinned += x->cells[i].sum;
        records += t->rows[i].records;
        rare += r->cells[i].n;
    }
    T_OK (low == (n >= 3 ? -7 : low) && high == 1e6, "from %g to %g", low, high);
    T_OK (fabs (thinned - sum) <= 1e-6 * fabs (sum), "the sum %g, %g", thinned, sum);
    T_OK (records == n && t->records == n && rare == n / 3, "%lld records, %lld", (long long) records,
          (long long) rare);
    T_OK (t->rows[t->nrows - 1].last == 2 * n, "the last one");
    T_OK (n < 4096 || t->nrows > WB_THIN_ROWS / 2, "%d rows", t->nrows);
    T_OK (wb_thin_find (t, "y") == NULL, "no such column");
    wb_thin_fini (t);
    wb_free (t);
}

/* ---- lines read in one pass, as a library reads them ------------------------------------------------------------- */

/* The same numbers, to the last bit; the same lines refused. */
static bool reads_alike (const char *line) {
    wb_record_t *a = wb_calloc (2, sizeof *a), *b = a + 1;
    const bool one = wb_record_read (a, line, strlen (line)), any = wb_record_read_any (b, line, strlen (line));
    bool same = one == any && a->n == b->n;
    for (int i = 0; same && i < a->n; i++)
        same = strcmp (a->values[i].name, b->values[i].name) == 0 && a->values[i].x == b->values[i].x;
    wb_free (a);
    if (!same) T_OK (false, "not read alike: %s", line);
    return same;
}

static uint64_t draw (uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 11;
}

static void check_record (void) {
    static const char *const lines[] = {
        "{}", "{\"a\": 1}", " { \"a\" : [ ] , \"b\":{}}\t", "{\"a\": {\"b\": [1, [2, -3.5e-7], {\"c\": 0}]}}",
        "{\"a\": \"\\u3042\", \"b\": 2}", "{\"a\": \"日本\", \"b\": 2}", "{\"a\": true, \"b\": null, \"c\": 5}",
        "{\"a\": 9007199254740993, \"b\": 123456789012345678, \"c\": 1e300, \"d\": 0.1234567890123456789}",
        "{\"a\": 5e-324, \"b\": 1.7976931348623157e308, \"c\": -0.0, \"d\": 1E+2}",
        /* broken ones */
        "", "[]", "1", "{", "{\"a\"}", "{\"a\": }", "{\"a\": 1,}", "{\"a\": 1} x", "{\"a\": 01}", "{\"a\": 1.}",
        "{\"a\": .5}", "{\"a\": +1}", "{\"a\": 1e}", "{\"a\": -}", "{\"a\": [1 2]}", "{\"a\": [1,]}", "{a: 1}",
        "{\"a\": \"\t\"}", "{\"a\": \"\xff\"}", "{\"a\": NaN}", "{\"a\": {\"b\": 1}", "{\"a\": 1e999}"};
    static const char *const forms[] = {"%.9g", "%.6g", "%.4e", "%.17g", "%.3f", "%.0f", "%.25f", "%G"};
    uint64_t state = 7;
    int alike = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) alike += reads_alike (lines[i]);
    T_OK (alike == (int) (sizeof lines / sizeof *lines), "lines of every form and broken ones");
    alike = 0;
    for (int i = 0; i < 20000; i++) {
        char number[400], line[900];
        const double x = ldexp ((double) (int64_t) draw (&state) - 0x1p52, (int) (draw (&state) % 160) - 130);
        snprintf (number, sizeof number, forms[draw (&state) % 8], x);
        snprintf (line, sizeof line, "{\"step\": %d, \"x\": %s, \"y\": [%s]}", i, number, number);
        alike += reads_alike (line);
    }
    T_OK (alike == 20000, "20,000 numbers of all sizes, to the last bit");
    wb_record_t *r = wb_calloc (1, sizeof *r);
    T_OK (wb_record_read (r, "{\"a\": {\"b\": [4, 5]}}", 20) && wb_record_get (r, "a.b.1", 0) == 5 && r->n == 2,
          "names");
    T_OK (wb_record_get (r, "a.b", -1) == -1, "of what is not there");
    wb_free (r);
}

int main (void) {
    check_record ();
    signal (SIGXFSZ, SIG_IGN);
    check_format ();
    check_trim ();
    check_full ();
    check_late ();
    check_torn ();
    check_progress ();
    check_slow_rank ();
    const int64_t records[] = {6, 255, 256, 257, 2048, 2049, 3840, 3841, 10000, 100000};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) check_thin (records[i]);
    return T_DONE ();
}
