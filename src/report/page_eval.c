/* The part of a page that is evaluations: what `wabun eval --json` printed, as tables. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "report/page.h"
#include "wabun/json.h"

/* A number of an object; an empty cell where there is none. */
static void cell_number (wb_html_t *h, const json_t *o, const char *key, const char *format) {
    const json_t *x = json_object_get (o, key);
    char text[64] = "";
    if (json_is_number (x)) snprintf (text, sizeof text, format, json_number_value (x));
    wb_html_cell_print (h, "%s", text);
}

/* The ends of an interval. */
static void cell_ends (wb_html_t *h, const json_t *ends) {
    const json_t *low = json_array_get (ends, 0), *high = json_array_get (ends, 1);
    char text[80] = "";
    if (json_is_number (low) && json_is_number (high))
        snprintf (text, sizeof text, "%.4f – %.4f", json_number_value (low), json_number_value (high));
    wb_html_cell_print (h, "%s", text);
}

static void head_cell (wb_html_t *h, const json_t *o, const char *key) {
    wb_html_raw (h, "<tr><th scope=\"row\">");
    wb_html_text (h, json_string_value (json_object_get (o, key)));
    wb_html_raw (h, "</th>");
}

/* One genre, all models. */
static void put_genre (wb_html_t *h, const json_t *genre) {
    static const char *const labels[][2] = {{"model", "モデル"},
                                            {"#tokens", "トークン数"},
                                            {"#bits per byte", "ビット/バイト"},
                                            {"#95 %", "95 %"},
                                            {"#from the first", "最初のモデルとの差"},
                                            {"#95 %", "95 %"},
                                            {"#bits per character", "ビット/文字"},
                                            {"#perplexity per token", "パープレキシティ/トークン"},
                                            {"#perplexity per word", "パープレキシティ/単語"},
                                            {"#ECE", "ECE"},
                                            {NULL, NULL}};
    const char *name = json_string_value (json_object_get (genre, "genre"));
    const bool all = name != NULL && strcmp (name, "all") == 0;
    const char *const caption[2] = {all            ? "all genres"
                                    : name != NULL ? name
                                                   : "",
                                    all            ? "全ジャンル"
                                    : name != NULL ? name
                                                   : ""};
    size_t i;
    json_t *m;
    wb_html_table (h, caption, labels);
    json_array_foreach (json_object_get (genre, "models"), i, m) {
        const json_t *from = json_object_get (m, "difference_from");
        head_cell (h, m, "model");
        cell_number (h, m, "tokens", "%.0f");
        cell_number (h, m, "bits_per_byte", "%.4f");
        cell_ends (h, json_object_get (m, "interval"));
        cell_number (h, from, "bits_per_byte", "%+.4f");
        cell_ends (h, json_object_get (from, "interval"));
        cell_number (h, m, "bits_per_character", "%.4f");
        cell_number (h, m, "perplexity_per_token", "%.5g");
        cell_number (h, m, "perplexity_per_word", "%.5g");
        cell_number (h, json_object_get (m, "calibration"), "error", "%.4f");
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

static void put_choices (wb_html_t *h, const json_t *choices) {
    static const char *const labels[][2] = {{"model", "モデル"},
                                            {"#right", "正答率"},
                                            {"#95 %", "95 %"},
                                            {"#ECE", "ECE"},
                                            {"#right, by log-probability per byte", "正答率（バイトあたり）"},
                                            {"#95 %", "95 %"},
                                            {"#ECE", "ECE"},
                                            {NULL, NULL}};
    char en[80], ja[80];
    const long long questions = json_integer_value (json_object_get (choices, "questions"));
    snprintf (en, sizeof en, "multiple choice, %lld questions", questions);
    snprintf (ja, sizeof ja, "選択問題 %lld 問", questions);
    const char *const caption[2] = {en, ja};
    size_t i;
    json_t *m;
    wb_html_table (h, caption, labels);
    json_array_foreach (json_object_get (choices, "models"), i, m) {
        head_cell (h, m, "model");
        cell_number (h, m, "accuracy", "%.4f");
        cell_ends (h, json_object_get (m, "interval"));
        cell_number (h, json_object_get (m, "calibration"), "error", "%.4f");
        cell_number (h, m, "accuracy_per_byte", "%.4f");
        cell_ends (h, json_object_get (m, "interval_per_byte"));
        cell_number (h, json_object_get (m, "calibration_per_byte"), "error", "%.4f");
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

static void put_grid (wb_html_t *h, const json_t *grid) {
    static const char *const labels[][2] = {{"text", "文章"},
                                            {"#context", "文脈の長さ"},
                                            {"#top-k", "top-k"},
                                            {"#top-p", "top-p"},
                                            {"#temperature", "温度"},
                                            {"#repeated", "繰り返し"},
                                            {"#distinct", "多様さ"},
                                            {"#bits per byte", "ビット/バイト"},
                                            {"#closeness", "文脈との近さ"},
                                            {"#divergence", "人の文章との隔たり"},
                                            {NULL, NULL}};
    static const char *const measures[] = {"repeated", "distinct", "bits_per_byte", "closeness", "divergence"};
    static const char *const kinds[][3] = {
        {"own", "the text goes on", "文章の続き"}, {"other", "another text", "別の文章"}, {"drawn", "drawn", "生成"}};
    const char *const caption[2] = {"Sampling grid", "サンプリングの比較"};
    size_t i;
    json_t *r;
    wb_html_table (h, caption, labels);
    json_array_foreach (json_object_get (grid, "rows"), i, r) {
        const char *what = json_string_value (json_object_get (r, "what"));
        wb_html_raw (h, "<tr><th scope=\"row\">");
        for (int k = 0; k < 3 && what != NULL; k++)
            if (strcmp (what, kinds[k][0]) == 0) wb_html_said (h, kinds[k][1], kinds[k][2]);
        wb_html_raw (h, "</th>");
        cell_number (h, r, "context_length", "%g");
        cell_number (h, r, "top_k", "%g");
        cell_number (h, r, "top_p", "%g");
        cell_number (h, r, "temperature", "%g");
        for (int k = 0; k < 5; k++) cell_number (h, json_object_get (r, measures[k]), "mean", "%.4f");
        wb_html_raw (h, "</tr>\n");
    }
    wb_html_table_end (h);
}

static wb_status put_file (wb_html_t *h, const char *path) {
    json_error_t e;
    char *data = NULL;
    size_t n = 0, i;
    json_t *genre;
    WB_TRY (wb_file_read (&data, &n, path));
    json_t *j = wb_json_load (data, n, 0, &e);
    wb_free (data);
    const json_t *texts = json_object_get (j, "text"), *choices = json_object_get (j, "choices");
    const bool good = json_is_array (texts) || json_is_array (json_object_get (j, "rows"));
    if (good) {
        wb_html_raw (h, "<h3>");
        wb_html_text (h, path);
        wb_html_raw (h, "</h3>\n");
        json_array_foreach (texts, i, genre) put_genre (h, genre);
        if (choices != NULL) put_choices (h, choices);
        if (texts == NULL) put_grid (h, j);
    }
    json_decref (j);
    return good ? WB_OK : WB_FAIL (WB_EDATA, "%s is not what wabun eval --json prints", path);
}

wb_status wb_page_evaluations (wb_page_t *p, const char *const *files, int n) {
    wb_html_t *h = &p->html;
    wb_status status = WB_OK;
    if (n == 0) return WB_OK;
    wb_html_raw (h, "<section id=\"evaluation\"><h2>");
    wb_html_said (h, "Evaluation", "評価");
    wb_html_raw (h, "</h2>\n");
    for (int i = 0; i < n && status == WB_OK; i++) status = put_file (h, files[i]);
    wb_html_raw (h, "</section>\n");
    return status;
}
