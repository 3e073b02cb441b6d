/* The parts of a page that are tables and texts: how each run stands, what befell it, what its model wrote, and its
 * configuration.  All of it is there without a script.
 *
 * Not done here: the numbers of the charts (page_numbers.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report/page.h"

enum { EVENTS = 200, FIRST_SAMPLES = 5, LAST_SAMPLES = 45 };

void wb_page_section (wb_html_t *h, const char *id, const char *en, const char *ja) {
    wb_html_print (h, "<section id=\"%s\"><h2>", id);
    wb_html_said (h, en, ja);
    wb_html_raw (h, "</h2>\n");
}

/* A row's head: the run, in its colour. */
void wb_page_head_cell (wb_page_t *p, int i) {
    wb_html_print (&p->html, "<th scope=\"row\"><i class=\"chip c%d\"></i>", i % 8);
    wb_html_text (&p->html, p->runs[i].name);
    wb_html_raw (&p->html, "</th>");
}

void wb_page_open_run (wb_page_t *p, int i) {
    if (p->n < 2) return;
    wb_html_print (&p->html, "<details%s><summary><i class=\"chip c%d\"></i>", i == 0 ? " open" : "", i % 8);
    wb_html_text (&p->html, p->runs[i].name);
    wb_html_raw (&p->html, "</summary>\n");
}
void wb_page_close_run (wb_page_t *p) {
    if (p->n > 1) wb_html_raw (&p->html, "</details>\n");
}

static void cell_time (wb_html_t *h, double seconds) {
    char text[40] = "";
    const time_t t = (time_t) seconds;
    struct tm utc;
    if (seconds > 0 && gmtime_r (&t, &utc) != NULL) strftime (text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
    wb_html_raw (h, "<td class=\"time\">");
    wb_html_text (h, text);
    wb_html_raw (h, "</td>");
}

static void cell_integer (wb_html_t *h, int64_t n) {
    char text[32];
    wb_html_cell_print (h, "%s", n >= 0 ? wb_format_count (text, n) : "");
}

/* ---- how each run stands ----------------------------------------------------------------------------------------- */

/* The last record's value; a cell without a number where there is none. */
static void cell_last (wb_html_t *h, const wb_thin_t *t, const char *name, const char *format) {
    const wb_thin_column_t *c = wb_thin_find (t, name);
    char text[64] = "";
    if (c != NULL && c->cells[t->nrows - 1].n > 0) snprintf (text, sizeof text, format, c->cells[t->nrows - 1].last);
    wb_html_cell_print (h, "%s", text);
}

/* s: its last start, of a run that goes on, or another. */
static void cell_end (wb_html_t *h, const wb_page_start_t *s, bool running) {
    wb_html_raw (h, "<td>");
    if (running)
        wb_html_said (h, "running", "実行中");
    else if (s->code == WB_OK)
        wb_html_said (h, "finished", "終了");
    else if (s->code == WB_ESTOP)
        wb_html_said (h, "stopped on request", "停止要求により終了");
    else if (s->code >= 0)
        wb_html_said (h, "failed", "失敗");
    else
        wb_html_said (h, "no end is recorded", "終了の記録なし");
    if (!running && s->code > 0 && s->why != NULL) {
        wb_html_raw (h, "<br><small>");
        wb_html_text (h, s->why);
        wb_html_raw (h, "</small>");
    }
    wb_html_raw (h, "</td>");
}

static void notes (wb_page_t *p) {
    wb_html_t *h = &p->html;
    for (int i = 0; i < p->n; i++) {
        const wb_page_run_t *r = &p->runs[i];
        char en[160], ja[160];
        if (r->damaged == 0) continue;
        snprintf (en, sizeof en, ": %lld line%s of metrics.jsonl could not be read and %s left out",
                  (long long) r->damaged, wb_plural (r->damaged), r->damaged == 1 ? "is" : "are");
        snprintf (ja, sizeof ja, "：metrics.jsonl の %lld 行は読み取れなかったため省きました", (long long) r->damaged);
        wb_html_raw (h, "<p class=\"warn\">");
        wb_html_text (h, r->name);
        wb_html_said (h, en, ja);
        wb_html_raw (h, "</p>\n");
    }
}

void wb_page_summary (wb_page_t *p) {
    static const char *const caption[] = {"How the runs stand", "実行の状況"};
    static const char *const labels[][2] = {{"run", "実行"},
                                            {"state", "状態"},
                                            {"#step", "ステップ"},
                                            {"#of", "予定"},
                                            {"#tokens", "トークン数"},
                                            {"#loss", "損失"},
                                            {"#lowest validation loss", "検証損失の最小値"},
                                            {"#at step", "そのステップ"},
                                            {"#bits per byte", "ビット/バイト"},
                                            {"#tokens/s", "トークン/秒"},
                                            {"#MFU", "MFU"},
                                            {"#starts", "開始回数"},
                                            {NULL, NULL}};
    wb_html_t *h = &p->html;
    wb_html_table (h, caption, labels);
    for (int i = 0; i < p->n; i++) {
        const wb_page_run_t *r = &p->runs[i];
        const wb_thin_t *t = &r->tables[WB_PAGE_STEP], *v = &r->tables[WB_PAGE_VALID];
        const char *steps = wb_page_run_value (r, "train.steps");
        wb_html_raw (h, "<tr>");
        wb_page_head_cell (p, i);
        if (r->nstarts > 0)
            cell_end (h, &r->starts[r->nstarts - 1], r->running);
        else
            wb_html_cell (h, "");
        cell_integer (h, t->nrows > 0 ? t->rows[t->nrows - 1].last : 0);
        cell_integer (h, steps != NULL ? strtoll (steps, NULL, 10) : -1);
        cell_integer (h, t->nrows > 0 ? (int64_t) t->rows[t->nrows - 1].tokens : 0);
        cell_last (h, t, "loss", "%.4f");
        if (r->valid_low_step >= 0)
            wb_html_cell_print (h, "%.4f", r->valid_low);
        else
            wb_html_cell_print (h, "%s", "");
        cell_integer (h, r->valid_low_step);
        cell_last (h, v, "val_bpb", "%.4f");
        const wb_thin_column_t *speed = wb_thin_find (t, "tokens_per_s");
        cell_integer (h, speed != NULL && t->nrows > 0 ? (int64_t) speed->cells[t->nrows - 1].last : -1);
        cell_last (h, t, "mfu", "%.3f");
        cell_integer (h, r->nstarts);
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
    notes (p);
}

/* ---- what befell it ---------------------------------------------------------------------------------------------- */

static void put_starts (wb_page_t *p, const wb_page_run_t *r) {
    static const char *const caption[] = {"Starts", "開始"};
    static const char *const labels[][2] = {
        {"#start", "回"},   {"began", "開始時刻"}, {"#from step", "開始ステップ"}, {"#ranks", "ランク数"},
        {"host", "ホスト"}, {"job", "ジョブ"},     {"#to step", "終了ステップ"},   {"end", "終了"},
        {NULL, NULL}};
    wb_html_t *h = &p->html;
    wb_html_table (h, caption, labels);
    for (int64_t i = 0; i < r->nstarts; i++) {
        const wb_page_start_t *s = &r->starts[i];
        wb_html_raw (h, "<tr>");
        cell_integer (h, i + 1);
        cell_time (h, s->time);
        cell_integer (h, s->step);
        cell_integer (h, s->ranks);
        wb_html_cell (h, s->host);
        wb_html_cell (h, s->job);
        cell_integer (h, s->end_step);
        cell_end (h, s, r->running && i == r->nstarts - 1);
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

static void put_events (wb_page_t *p, const wb_page_run_t *r) {
    static const char *const caption[] = {"Skipped steps, spikes, rollbacks", "省いたステップ、急上昇、巻き戻し"};
    static const char *const labels[][2] = {{"#step", "ステップ"}, {"what", "種類"}, {"details", "詳細"}, {NULL, NULL}};
    static const char *const kinds[][2] = {{"skipped", "省略"}, {"spike", "急上昇"}, {"rollback", "巻き戻し"}};
    wb_html_t *h = &p->html;
    if (r->nevents == 0) return;
    wb_html_table (h, caption, labels);
    for (int64_t i = 0; i < r->nevents && i < EVENTS; i++) {
        const wb_page_event_t *e = &r->events[i];
        wb_html_raw (h, "<tr>");
        cell_integer (h, e->step);
        wb_html_raw (h, "<td>");
        for (int k = 0; k < 3; k++)
            if (strcmp (e->kind, kinds[k][0]) == 0) wb_html_said (h, kinds[k][0], kinds[k][1]);
        if (e->to >= 0) wb_html_print (h, " → %lld", (long long) e->to);
        wb_html_raw (h, "</td>");
        wb_html_cell (h, e->why);
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
    if (r->nevents > EVENTS) wb_html_print (h, "<p>+ %lld</p>\n", (long long) (r->nevents - EVENTS));
}

void wb_page_history (wb_page_t *p) {
    wb_page_section (&p->html, "history", "History", "経過");
    for (int i = 0; i < p->n; i++) {
        wb_page_open_run (p, i);
        put_starts (p, &p->runs[i]);
        put_events (p, &p->runs[i]);
        wb_page_close_run (p);
    }
    wb_html_raw (&p->html, "</section>\n");
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static void put_sample (wb_html_t *h, const wb_page_sample_t *s, bool open) {
    size_t n = s->n;
    while (n > 0 && s->text[n - 1] == '\n') n--;
    wb_html_print (h, "<details%s><summary>", open ? " open" : "");
    wb_html_said (h, "step", "ステップ");
    wb_html_print (h, " %lld</summary><blockquote lang=\"und\">", (long long) s->step);
    wb_html_text_n (h, s->text, n);
    wb_html_raw (h, "</blockquote></details>\n");
}

void wb_page_samples (wb_page_t *p) {
    wb_html_t *h = &p->html;
    int64_t all = 0;
    for (int i = 0; i < p->n; i++) all += p->runs[i].nsamples;
    if (all == 0) return;
    wb_page_section (h, "samples", "What the model writes", "モデルによる生成例");
    for (int i = 0; i < p->n; i++) {
        const wb_page_run_t *r = &p->runs[i];
        if (r->nsamples == 0) continue;
        wb_page_open_run (p, i);
        for (int64_t k = r->nsamples - 1; k >= 0; k--) { /* the newest first */
            if (k == r->nsamples - LAST_SAMPLES - 1 && k > FIRST_SAMPLES - 1) {
                wb_html_print (h, "<p>… %lld …</p>\n", (long long) (k + 1 - FIRST_SAMPLES));
                k = FIRST_SAMPLES - 1;
            }
            put_sample (h, &r->samples[k], k == r->nsamples - 1);
        }
        wb_page_close_run (p);
    }
    wb_html_raw (h, "</section>\n");
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* Is the key of the same value in all runs?  A run without it has another. */
static bool is_same (const wb_page_t *p, const char *key) {
    const char *first = wb_page_run_value (&p->runs[0], key);
    for (int i = 0; i < p->n; i++) {
        const char *x = wb_page_run_value (&p->runs[i], key);
        if (x == NULL || first == NULL || strcmp (x, first) != 0) return false;
    }
    return true;
}

/* A row where the runs differ, once: the run that has the key first prints it. */
static void put_difference (wb_page_t *p, int of, const char *key) {
    wb_html_t *h = &p->html;
    if (is_same (p, key)) return;
    for (int i = 0; i < of; i++)
        if (wb_page_run_value (&p->runs[i], key) != NULL) return;
    wb_html_raw (h, "<tr><th scope=\"row\">");
    wb_html_text (h, key);
    wb_html_raw (h, "</th>");
    for (int i = 0; i < p->n; i++) wb_html_cell (h, wb_page_run_value (&p->runs[i], key));
    wb_html_raw (h, "</tr>\n");
}

static void put_differences (wb_page_t *p) {
    wb_html_t *h = &p->html;
    wb_html_raw (h, "<div class=\"wide\" tabindex=\"0\"><table><caption>");
    wb_html_said (h, "What differs", "実行どうしで異なる項目");
    wb_html_raw (h, "</caption><thead><tr><th scope=\"col\">");
    wb_html_said (h, "key", "項目");
    wb_html_raw (h, "</th>");
    for (int i = 0; i < p->n; i++) {
        wb_html_print (h, "<th scope=\"col\"><i class=\"chip c%d\"></i>", i % 8);
        wb_html_text (h, p->runs[i].name);
        wb_html_raw (h, "</th>");
    }
    wb_html_raw (h, "</tr></thead><tbody>\n");
    for (int i = 0; i < p->n; i++)
        for (int64_t k = 0; k < p->runs[i].nkeys; k++) put_difference (p, i, p->runs[i].keys[k].key);
    wb_html_table_end (h);
}

void wb_page_configuration (wb_page_t *p) {
    wb_html_t *h = &p->html;
    wb_page_section (h, "configuration", "Configuration", "設定");
    if (p->n > 1) put_differences (p);
    for (int i = 0; i < p->n; i++) {
        const wb_page_run_t *r = &p->runs[i];
        if (r->config == NULL) continue;
        wb_html_raw (h, "<details><summary>");
        wb_html_print (h, "<i class=\"chip c%d\"></i>", i % 8);
        wb_html_text (h, r->name);
        wb_html_raw (h, ": config.cfg</summary><pre tabindex=\"0\">");
        wb_html_text (h, r->config);
        wb_html_raw (h, "</pre></details>\n");
    }
    wb_html_raw (h, "</section>\n");
}
