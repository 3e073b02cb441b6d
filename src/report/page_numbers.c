/* The numbers of a page as tables, for those who cannot see its charts: what a step of each run takes by phase, and
 * records of steps, phases, ranks, validations and saves. */
#include "config.h"

#include <string.h>

#include "report/page.h"

enum { NUMBERS = 60 };

/* ---- phases ------------------------------------------------------------------------------------------------------ */

/* Over all records; -1: there is none. */
static double mean_of (const wb_thin_t *t, const char *name) {
    const wb_thin_column_t *c = wb_thin_find (t, name);
    double sum = 0, n = 0;
    for (int i = 0; c != NULL && i < t->nrows; i++) {
        sum += c->cells[i].sum;
        n += (double) c->cells[i].n;
    }
    return n > 0 ? sum / n : -1;
}

static void put_means (wb_page_t *p) {
    static const char *const caption[] = {"Mean seconds of a logged step, by phase, of the slowest rank in each",
                                          "記録したステップの平均秒数（段階ごとに最も遅いランク）"};
    static const char *const labels[][2] = {{"run", "実行"},
                                            {"#data", "データ"},
                                            {"#forward", "順伝播"},
                                            {"#backward", "逆伝播"},
                                            {"#gradients", "勾配の同期"},
                                            {"#update", "更新"},
                                            {"#whole step", "ステップ全体"},
                                            {NULL, NULL}};
    static const char *const columns[] = {
        "seconds.data", "seconds.forward", "seconds.backward", "seconds.sync", "seconds.update", "seconds.total", NULL};
    wb_html_t *h = &p->html;
    bool some = false;
    for (int i = 0; i < p->n; i++) some = some || mean_of (&p->runs[i].tables[WB_PAGE_STEP], columns[0]) >= 0;
    if (!some) return;
    wb_html_table (h, caption, labels);
    for (int i = 0; i < p->n; i++) {
        wb_html_raw (h, "<tr>");
        wb_page_head_cell (p, i);
        for (int c = 0; columns[c] != NULL; c++) {
            const double mean = mean_of (&p->runs[i].tables[WB_PAGE_STEP], columns[c]);
            wb_html_cell_print (h, mean < 0 ? "" : "%.4g", mean);
        }
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Some records of a table as they are in metrics.jsonl, evenly chosen, the first and the last among them. */
static void put_numbers (wb_html_t *h, const wb_thin_t *t, const char *const caption[2], const char *const (*labels)[2],
                         const char *const *columns) {
    const int n = t->nrows < NUMBERS ? t->nrows : NUMBERS;
    if (n == 0 || wb_thin_find (t, columns[0]) == NULL) return;
    wb_html_table (h, caption, labels);
    for (int k = 0; k < n; k++) {
        const int i = n > 1 ? (int) ((int64_t) k * (t->nrows - 1) / (n - 1)) : 0;
        wb_html_raw (h, "<tr>");
        wb_html_cell_print (h, "%lld", (long long) t->rows[i].last);
        wb_html_cell_print (h, "%.15g", t->rows[i].tokens);
        for (int c = 0; columns[c] != NULL; c++) {
            const wb_thin_column_t *x = wb_thin_find (t, columns[c]);
            char text[32] = "";
            if (x != NULL && x->cells[i].n > 0) snprintf (text, sizeof text, "%.9g", x->cells[i].last);
            wb_html_cell_print (h, "%s", text);
        }
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

void wb_page_numbers (wb_page_t *p) {
    static const char *const steps[] = {"Records of steps", "ステップの記録"};
    static const char *const step_labels[][2] = {{"#step", "ステップ"},
                                                 {"#tokens", "トークン数"},
                                                 {"#loss", "損失"},
                                                 {"#rate", "学習率"},
                                                 {"#gradient norm", "勾配ノルム"},
                                                 {"#tokens/s", "トークン/秒"},
                                                 {"#MFU", "MFU"},
                                                 {NULL, NULL}};
    static const char *const step_columns[] = {"loss", "lr", "grad_norm", "tokens_per_s", "mfu", NULL};
    static const char *const valid[] = {"Validations", "検証"};
    static const char *const valid_labels[][2] = {{"#step", "ステップ"},
                                                  {"#tokens", "トークン数"},
                                                  {"#loss", "損失"},
                                                  {"#bits per byte", "ビット/バイト"},
                                                  {NULL, NULL}};
    static const char *const valid_columns[] = {"val_loss", "val_bpb", NULL};
    static const char *const phases[] = {"Time of a step by phase, seconds", "1 ステップの時間の内訳（秒）"};
    static const char *const phase_labels[][2] = {
        {"#step", "ステップ"},  {"#tokens", "トークン数"},       {"#data", "データ"},
        {"#forward", "順伝播"}, {"#backward", "逆伝播"},         {"#gradients", "勾配の同期"},
        {"#update", "更新"},    {"#whole step", "ステップ全体"}, {NULL, NULL}};
    static const char *const phase_columns[] = {
        "seconds.data", "seconds.forward", "seconds.backward", "seconds.sync", "seconds.update", "seconds.total", NULL};
    static const char *const ranks[] = {"Ranks compared: fastest, median and slowest, seconds of a step",
                                        "ランク間のばらつき（1 ステップの秒数：最速・中央・最遅）"};
    static const char *const rank_labels[][2] = {
        {"#step", "ステップ"}, {"#tokens", "トークン数"}, {"#computes, least", "計算・最小"},
        {"#median", "中央"},   {"#most", "最大"},         {"#waits, least", "待ち・最小"},
        {"#median", "中央"},   {"#most", "最大"},         {"#memory", "メモリー"},
        {NULL, NULL}};
    static const char *const rank_columns[] = {
        "ranks.compute.0", "ranks.compute.1", "ranks.compute.2", "ranks.waiting.0",
        "ranks.waiting.1", "ranks.waiting.2", "memory",          NULL};
    static const char *const saves[] = {"Checkpoints, seconds", "チェックポイントの保存（秒）"};
    static const char *const save_labels[][2] = {
        {"#step", "ステップ"}, {"#tokens", "トークン数"}, {"#save", "保存"}, {"#blocked", "停止"}, {NULL, NULL}};
    static const char *const save_columns[] = {"save.seconds", "save.blocked", NULL};
    wb_page_section (&p->html, "numbers", "Numbers", "数値");
    put_means (p);
    for (int i = 0; i < p->n; i++) {
        wb_page_open_run (p, i);
        put_numbers (&p->html, &p->runs[i].tables[WB_PAGE_STEP], steps, step_labels, step_columns);
        put_numbers (&p->html, &p->runs[i].tables[WB_PAGE_VALID], valid, valid_labels, valid_columns);
        put_numbers (&p->html, &p->runs[i].tables[WB_PAGE_STEP], phases, phase_labels, phase_columns);
        put_numbers (&p->html, &p->runs[i].tables[WB_PAGE_STEP], ranks, rank_labels, rank_columns);
        put_numbers (&p->html, &p->runs[i].tables[WB_PAGE_SAVE], saves, save_labels, save_columns);
        wb_page_close_run (p);
    }
    wb_html_raw (&p->html, "</section>\n");
}
