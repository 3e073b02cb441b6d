/* The charts of a page, and their data.
 *
 * The data are one object of JSON: for each run its tables' steps and tokens, and for each chart and curve the mean of
 * every row, with the extremes where rows hold more than one record.  A row stands at the step of its last record.
 *
 * Not done here: drawing (page/report.js; page_svg.c where there are no scripts). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "report/page.h"

/* THE table of charts. */
static const wb_page_chart_t charts[] = {
    {"loss",
     {"Loss", "損失"},
     {"nats per token; a band is from the lowest to the highest value",
      "1 トークンあたりの損失（nat）。帯は最小値から最大値まで"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"loss"}, {"training", "学習"}}, {WB_PAGE_VALID, {"val_loss"}, {"validation", "検証"}}}},
    {"bpb",
     {"Bits per byte", "1 バイトあたりのビット数"},
     {"of the validation text: to compare runs with different tokenizers",
      "検証テキスト。トークナイザーが異なる実行どうしでも比較できる"},
     .positive = true,
     .curves = {{WB_PAGE_VALID, {"val_bpb"}, {"validation", "検証"}}}},
    {"lr",
     {"Learning rate", "学習率"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"lr"}, {"learning rate", "学習率"}}}},
    {"grad_norm",
     {"Gradient norm", "勾配ノルム"},
     {"before clipping", "クリッピング前"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"grad_norm"}, {"gradient norm", "勾配ノルム"}}}},
    {"tokens_per_s",
     {"Tokens per second", "毎秒トークン数"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"tokens_per_s"}, {"tokens/s", "トークン/秒"}}}},
    {"mfu",
     {"MFU", "MFU（演算性能の利用率）"},
     {"share of the peak of all ranks that was measured at the start",
      "開始時に測った全ランクのピーク性能に対する割合"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"mfu"}, {"MFU", "MFU"}}}},
    {"phases",
     {"Time of a step by phase", "1 ステップの時間の内訳"},
     {"seconds, of the slowest rank in each phase", "秒。各段階で最も遅いランクの値"},
     .stacked = true,
     .curves = {{WB_PAGE_STEP, {"seconds.data"}, {"data", "データ"}},
                {WB_PAGE_STEP, {"seconds.forward"}, {"forward", "順伝播"}},
                {WB_PAGE_STEP, {"seconds.backward"}, {"backward", "逆伝播"}},
                {WB_PAGE_STEP, {"seconds.sync"}, {"gradients", "勾配の同期"}},
                {WB_PAGE_STEP, {"seconds.update"}, {"update", "更新"}}}},
    {"ranks",
     {"Ranks compared", "ランク間のばらつき"},
     {"seconds of a step: median rank, band from the fastest to the slowest",
      "1 ステップの秒数。線は中央のランク、帯は最速から最遅まで"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"ranks.compute.0", "ranks.compute.1", "ranks.compute.2"}, {"computes", "計算"}},
                {WB_PAGE_STEP, {"ranks.waiting.0", "ranks.waiting.1", "ranks.waiting.2"}, {"waits", "待ち"}}}},
    {"saves",
     {"Checkpoints", "チェックポイントの保存"},
     {"seconds: the whole save, and how long no step went on", "秒。保存全体と、その間に学習が止まった時間"},
     .positive = true,
     .curves = {{WB_PAGE_SAVE, {"save.seconds"}, {"save", "保存"}},
                {WB_PAGE_SAVE, {"save.blocked"}, {"blocked", "停止"}}}},
    {"memory",
     {"Memory", "メモリー"},
     {"bytes, peak of the rank with most", "バイト。最も多いランクの最大値"},
     .positive = true,
     .curves = {{WB_PAGE_STEP, {"memory"}, {"memory", "メモリー"}}}},
    {"muon",
     {"Singular values of Muon's updates", "Muon の更新の特異値"},
     .positive = true,
     .curves = {{WB_PAGE_MUON, {"muon.least"}, {"least", "最小"}}, {WB_PAGE_MUON, {"muon.most"}, {"most", "最大"}}}},
};
enum { NCHARTS = sizeof charts / sizeof *charts };

bool wb_page_line (wb_page_line_t *out, const wb_page_run_t *r, const wb_page_curve_t *c) {
    if (c->columns[0] == NULL) return false;
    const bool one = c->columns[1] == NULL;
    const wb_thin_t *t = &r->tables[c->table];
    *out = (wb_page_line_t){t, wb_thin_find (t, c->columns[0]), wb_thin_find (t, c->columns[one ? 0 : 1]),
                            wb_thin_find (t, c->columns[one ? 0 : 2])};
    return out->low != NULL && out->mid != NULL && out->high != NULL;
}
double wb_page_line_low (const wb_page_line_t *l, int row) { return l->low->cells[row].min; }
double wb_page_line_high (const wb_page_line_t *l, int row) { return l->high->cells[row].max; }

static bool is_there (const wb_page_run_t *r, const wb_page_chart_t *c) {
    wb_page_line_t line;
    for (int k = 0; k < WB_PAGE_CURVES; k++)
        if (wb_page_line (&line, r, &c->curves[k])) return true;
    return false;
}

/* A figure of all runs, or of one, whose name its title has then. */
static void put_figure (wb_page_t *p, const wb_page_chart_t *c, int only) {
    wb_html_t *h = &p->html;
    char id[32];
    snprintf (id, sizeof id, only < 0 ? "%s" : "%s-%d", c->id, only);
    wb_html_print (h, "<figure class=\"chart\" id=\"%s\" data-chart=\"%s\"", id, c->id);
    if (only >= 0) wb_html_print (h, " data-run=\"%d\"", only);
    wb_html_print (h, "><figcaption><h3 id=\"%s-title\">", id);
    wb_html_said (h, c->title[0], c->title[1]);
    if (only >= 0) {
        wb_html_print (h, " <span class=\"of\"><i class=\"chip c%d\"></i>", only % 8);
        wb_html_text (h, p->runs[only].name);
        wb_html_raw (h, "</span>");
    }
    wb_html_raw (h, "</h3>");
    if (c->note[0] != NULL) {
        wb_html_raw (h, "<p>");
        wb_html_said (h, c->note[0], c->note[1]);
        wb_html_raw (h, "</p>");
    }
    wb_html_raw (h, "</figcaption><div class=\"legend\" aria-hidden=\"true\"></div>");
    wb_html_print (h, "<div class=\"plot\" role=\"img\" aria-labelledby=\"%s-title\">", id);
    wb_page_svg (p, c, only);
    wb_html_raw (h, "</div></figure>\n");
}

void wb_page_charts (wb_page_t *p) {
    for (int i = 0; i < NCHARTS; i++) {
        bool some = false;
        for (int k = 0; k < p->n; k++) {
            if (!is_there (&p->runs[k], &charts[i])) continue;
            if (charts[i].stacked && p->n > 1) put_figure (p, &charts[i], k);
            some = true;
        }
        if (some && (!charts[i].stacked || p->n == 1)) put_figure (p, &charts[i], -1);
    }
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

typedef double value_fn (const wb_page_line_t *l, int row);
static double mid (const wb_page_line_t *l, int row) { return wb_thin_mean (&l->mid->cells[row]); }

static void put_values (wb_html_t *h, const wb_page_line_t *l, value_fn *value) {
    wb_html_raw (h, "[");
    for (int i = 0; i < l->table->nrows; i++) {
        const bool one = l->table->rows[i].records == 1; /* the number of the file, to its last digit */
        if (l->mid->cells[i].n == 0 || l->low->cells[i].n == 0 || l->high->cells[i].n == 0)
            wb_html_print (h, "%snull", i > 0 ? "," : "");
        else
            wb_html_print (h, one ? "%s%.9g" : "%s%.7g", i > 0 ? "," : "", value (l, i));
    }
    wb_html_raw (h, "]");
}

static void put_curve (wb_html_t *h, const wb_page_run_t *r, const wb_page_curve_t *c) {
    wb_page_line_t l;
    if (!wb_page_line (&l, r, c)) {
        wb_html_raw (h, "null");
        return;
    }
    wb_html_raw (h, "{\"mid\":");
    put_values (h, &l, mid);
    if (l.low != l.high || l.table->records > l.table->nrows) {
        wb_html_raw (h, ",\"low\":");
        put_values (h, &l, wb_page_line_low);
        wb_html_raw (h, ",\"high\":");
        put_values (h, &l, wb_page_line_high);
    }
    wb_html_raw (h, "}");
}

static void put_table (wb_html_t *h, const wb_thin_t *t) {
    wb_html_raw (h, "{\"first\":[");
    for (int i = 0; i < t->nrows && t->records > t->nrows; i++)
        wb_html_print (h, "%s%lld", i > 0 ? "," : "", (long long) t->rows[i].first);
    wb_html_raw (h, "],\"step\":[");
    for (int i = 0; i < t->nrows; i++) wb_html_print (h, "%s%lld", i > 0 ? "," : "", (long long) t->rows[i].last);
    wb_html_raw (h, "],\"tokens\":[");
    for (int i = 0; i < t->nrows; i++) wb_html_print (h, "%s%.15g", i > 0 ? "," : "", t->rows[i].tokens);
    wb_html_raw (h, "]}");
}

/* Steps at which the charts have a mark; the rows of saves are a table. */
static void put_marks (wb_html_t *h, const wb_page_run_t *r) {
    bool some = false;
    wb_html_raw (h, "[");
    for (int64_t i = 1; i < r->nstarts; i++) {
        if (r->starts[i].step < 0) continue;
        wb_html_print (h, "%s{\"kind\":\"restart\",\"step\":%lld}", some ? "," : "", (long long) r->starts[i].step);
        some = true;
    }
    for (int64_t i = 0; i < r->nevents; i++) {
        const wb_page_event_t *e = &r->events[i];
        wb_html_print (h, "%s{\"kind\":\"%s\",\"step\":%lld}", some ? "," : "", e->kind, (long long) e->step);
        some = true;
    }
    wb_html_raw (h, "]");
}

static void put_run (wb_html_t *h, const wb_page_run_t *r) {
    wb_html_raw (h, "{\"name\":");
    wb_html_json (h, r->name);
    wb_html_raw (h, ",\"tables\":[");
    for (int i = 0; i < WB_PAGE_TABLES; i++) {
        if (i > 0) wb_html_raw (h, ",");
        put_table (h, &r->tables[i]);
    }
    wb_html_raw (h, "],\n\"curves\":{");
    for (int i = 0; i < NCHARTS; i++) {
        wb_html_print (h, "%s\"%s\":[", i > 0 ? ",\n" : "", charts[i].id);
        for (int k = 0; k < WB_PAGE_CURVES && charts[i].curves[k].columns[0] != NULL; k++) {
            if (k > 0) wb_html_raw (h, ",");
            put_curve (h, r, &charts[i].curves[k]);
        }
        wb_html_raw (h, "]");
    }
    wb_html_raw (h, "},\n\"marks\":");
    put_marks (h, r);
    wb_html_raw (h, "}");
}

void wb_page_data (wb_page_t *p) {
    wb_html_t *h = &p->html;
    wb_html_raw (h, "{\"charts\":{");
    for (int i = 0; i < NCHARTS; i++) {
        const wb_page_chart_t *c = &charts[i];
        wb_html_print (h, "%s\"%s\":{\"stacked\":%s,\"positive\":%s,\"curves\":[", i > 0 ? "," : "", c->id,
                       c->stacked ? "true" : "false", c->positive ? "true" : "false");
        for (int k = 0; k < WB_PAGE_CURVES && c->curves[k].columns[0] != NULL; k++)
            wb_html_print (h, "%s{\"table\":%d,\"en\":\"%s\",\"ja\":\"%s\"}", k > 0 ? "," : "",
                           (int) c->curves[k].table, c->curves[k].label[0], c->curves[k].label[1]);
        wb_html_raw (h, "]}");
    }
    wb_html_raw (h, "},\n\"runs\":[");
    for (int i = 0; i < p->n; i++) {
        if (i > 0) wb_html_raw (h, ",\n");
        put_run (h, &p->runs[i]);
    }
    wb_html_raw (h, "]}\n");
}
