/* One page of one or several runs: a file that opens by itself, without a network, and that asks for nothing.
 *
 * The style, the script and the plotting library (dygraphs, where configure found it) are in the program
 * (serve/page/embed.awk).  Without the library the plain drawings stay.  The page holds both languages; --lang says
 * which one is seen first.
 *
 * Not done here: reading runs (run_files.c), charts (page_charts.c), tables and texts (page_parts.c). */
#include "config.h"

#include <string.h>
#include <time.h>

#include "src/report/page_files.h"

#include "report/page.h"

#define MARK "<!-- made by wabun report -->"

#ifdef HAVE_DYGRAPHS
static const char *const library[] = {page_dygraph_min_css, page_dygraph_min_js};
/* What its licence wants beside every copy. */
static const char licence[] =
    "<!-- The plots are drawn by dygraphs, which this page contains.\n"
    "Copyright (c) 2006-2023 Dan Vanderkam and contributors\n"
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated\n"
    "documentation files (the \"Software\"), to deal in the Software without restriction, including without "
    "limitation\n"
    "the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and\n"
    "to permit persons to whom the Software is furnished to do so, subject to the following conditions:\n"
    "The above copyright notice and this permission notice shall be included in all copies or substantial portions of\n"
    "the Software.\n"
    "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED "
    "TO\n"
    "THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\n"
    "AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF\n"
    "CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER "
    "DEALINGS\n"
    "IN THE SOFTWARE. -->\n";
#else
static const char *const library[] = {"", ""};
static const char licence[] = "";
#endif

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The last component of a directory; of two runs with the same one, all of it. */
static wb_status name_runs (wb_page_t *p) {
    for (int i = 0; i < p->n; i++) {
        size_t n = strlen (p->runs[i].dir);
        while (n > 1 && p->runs[i].dir[n - 1] == '/') n--;
        if ((p->runs[i].name = wb_strndup (p->runs[i].dir, n)) == NULL) return WB_NOMEM ("the names of the runs");
    }
    for (int i = 0; i < p->n; i++) {
        const char *last = wb_file_name (p->runs[i].name);
        bool alone = last[0] != 0 && last[0] != '.';
        for (int k = 0; k < p->n; k++) alone = alone && (k == i || strcmp (wb_file_name (p->runs[k].name), last) != 0);
        if (alone) memmove (p->runs[i].name, last, strlen (last) + 1);
    }
    return WB_OK;
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void put_head (wb_page_t *p, bool ja) {
    wb_html_t *h = &p->html;
    wb_html_print (h, "<!doctype html>\n" MARK "\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n",
                   ja ? "ja" : "en");
    wb_html_raw (h,
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                 "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n"
                 "<title>");
    for (int i = 0; i < p->n && i < 8; i++) {
        if (i > 0) wb_html_raw (h, ", ");
        wb_html_text (h, p->runs[i].name);
    }
    wb_html_raw (h, " – wabun</title>\n<style>");
    wb_html_raw (h, library[0]);
    wb_html_raw (h, page_report_css);
    wb_html_raw (h, "</style>\n");
    wb_html_raw (h, licence);
    wb_html_raw (h, "</head>\n");
}

static void put_title (wb_page_t *p) {
    wb_html_t *h = &p->html;
    char made[40] = "";
    const time_t now = time (NULL);
    struct tm utc;
    if (gmtime_r (&now, &utc) != NULL) strftime (made, sizeof made, "%Y-%m-%d %H:%M UTC", &utc);
    wb_html_raw (h, "<body>\n<header><h1><span class=\"seal\" aria-hidden=\"true\">和</span>");
    for (int i = 0; i < p->n && i < 3; i++) {
        if (i > 0) wb_html_raw (h, ", ");
        wb_html_text (h, p->runs[i].name);
    }
    if (p->n > 3) wb_html_print (h, " + %d", p->n - 3);
    wb_html_raw (h, "</h1><p>");
    wb_html_print (h, "wabun " PACKAGE_VERSION " · %s", made);
    wb_html_raw (h, "</p><span class=\"grow\"></span>"
                    "<button type=\"button\" id=\"theme\" hidden><span lang=\"en\">Light or dark</span>"
                    "<span lang=\"ja\">明暗</span></button>"
                    "<button type=\"button\" id=\"lang\" hidden><span lang=\"en\">日本語</span>"
                    "<span lang=\"ja\">English</span></button></header>\n<main>\n");
}

/* Hidden until the script, which they are for, has begun. */
static void put_controls (wb_page_t *p) {
    wb_html_raw (
        &p->html,
        "<form id=\"controls\" hidden>\n"
        "<fieldset><legend><span lang=\"en\">Horizontal axis</span><span lang=\"ja\">横軸</span></legend>"
        "<label><input type=\"radio\" name=\"x\" value=\"step\" checked><span lang=\"en\">steps</span>"
        "<span lang=\"ja\">ステップ</span></label>"
        "<label><input type=\"radio\" name=\"x\" value=\"tokens\"><span lang=\"en\">tokens</span>"
        "<span lang=\"ja\">トークン</span></label>"
        "<label><input type=\"checkbox\" id=\"logx\"><span lang=\"en\">logarithmic</span>"
        "<span lang=\"ja\">対数</span></label></fieldset>\n"
        "<fieldset><legend><span lang=\"en\">Vertical axis</span><span lang=\"ja\">縦軸</span></legend>"
        "<label><input type=\"checkbox\" id=\"logy\"><span lang=\"en\">logarithmic</span>"
        "<span lang=\"ja\">対数</span></label></fieldset>\n"
        "<fieldset><legend><span lang=\"en\">Curves</span><span lang=\"ja\">曲線</span></legend>"
        "<label><span lang=\"en\">smoothing</span><span lang=\"ja\">平滑化</span>"
        "<input type=\"range\" id=\"smooth\" min=\"0\" max=\"0.99\" step=\"0.01\" value=\"0\"></label>"
        "<label><input type=\"checkbox\" id=\"marks\" checked><span lang=\"en\">marks</span>"
        "<span lang=\"ja\">印</span></label>"
        "<button type=\"button\" id=\"reset\"><span lang=\"en\">Whole range</span>"
        "<span lang=\"ja\">全体を表示</span></button></fieldset>\n"
        "<div id=\"runs\" role=\"group\"></div>\n"
        "<p class=\"hint\"><span lang=\"en\">Drag across a chart to enlarge a part of all of them; double click shows "
        "the whole range.</span><span lang=\"ja\">グラフ上をドラッグすると全グラフのその範囲を拡大し、"
        "ダブルクリックで元に戻ります。</span></p>\n"
        "<ul class=\"key\" id=\"key\"></ul>\n</form>\n");
}

static wb_status put_page (wb_page_t *p, const wb_page_what_t *what) {
    wb_html_t *h = &p->html;
    put_head (p, what->japanese);
    put_title (p);
    wb_page_summary (p);
    put_controls (p);
    wb_html_raw (h, "<section id=\"charts\" aria-labelledby=\"charts-title\"><h2 id=\"charts-title\">");
    wb_html_said (h, "Charts", "グラフ");
    wb_html_raw (h, "</h2>\n<p>");
    wb_html_said (h, "The same numbers are below as tables.", "同じ数値を下の「数値」に表として載せています。");
    wb_html_raw (h, "</p>\n<div class=\"charts\">\n");
    wb_page_charts (p);
    wb_html_raw (h, "</div></section>\n");
    wb_page_history (p);
    const wb_status status = wb_page_evaluations (p, what->evaluations, what->nevaluations);
    wb_page_samples (p);
    wb_page_numbers (p);
    wb_page_configuration (p);
    wb_html_raw (h, "</main>\n<script type=\"application/json\" id=\"data\">");
    wb_page_data (p);
    wb_html_raw (h, "</script>\n");
    if (library[1][0] != 0) {
        wb_html_raw (h, "<script>");
        wb_html_raw (h, library[1]);
        wb_html_raw (h, "</script>\n");
    }
    wb_html_raw (h, "<script>");
    wb_html_raw (h, page_report_js);
    wb_html_raw (h, "</script>\n</body>\n</html>\n");
    return status;
}

/* A file of this name that is no page of ours stays. */
static wb_status check_old (const char *path) {
    char *data = NULL;
    size_t bytes = 0;
    if (!wb_file_exists (path)) return WB_OK;
    if (wb_file_is_dir (path)) return WB_FAIL (WB_EUSAGE, "%s is a directory: name a file, %s/report.html", path, path);
    WB_TRY (wb_file_read (&data, &bytes, path));
    const bool ours = strstr (data, MARK) != NULL;
    wb_free (data);
    if (!ours && bytes > 0)
        return WB_FAIL (WB_EUSAGE, "%s is there, and no page of wabun report: remove it, or name another file", path);
    return WB_OK;
}

wb_status wb_page_write (const char *path, const wb_page_what_t *what) {
    const int n = what->nruns;
    wb_page_t p = {.n = n, .runs = wb_calloc ((size_t) n, sizeof *p.runs)};
    wb_status status = p.runs != NULL ? check_old (path) : WB_NOMEM ("%d runs", n);
    for (int i = 0; i < n && status == WB_OK; i++) {
        status = wb_page_run_read (&p.runs[i], what->runs[i]);
        p.runs[i].running = what->running != NULL && what->running[i];
    }
    if (status == WB_OK) status = name_runs (&p);
    if (status == WB_OK) status = put_page (&p, what);
    if (status == WB_OK) status = p.html.status;
    if (status == WB_OK) status = wb_file_write (path, p.html.out.data, p.html.out.len);
    if (status == WB_OK) wb_info ("%s", path);
    for (int i = 0; i < n && p.runs != NULL; i++) wb_page_run_fini (&p.runs[i]);
    wb_free (p.runs);
    wb_buf_fini (&p.html.out);
    return status;
}
