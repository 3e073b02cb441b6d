/* report.html: one page of a manifest.  It needs no network and no script; everything that comes from documents is
 * escaped.  Light or dark as the reader's system is.
 *
 * The labels are in two languages, side by side in one table.  Not done here: anything that the manifest does not have.
 */
#include "config.h"

#include <string.h>

#include "corpus/build.h"
#include "wabun/json.h"

typedef struct page {
    wb_buf_t out;
    bool ja;
    wb_status status;
} page_t;

/* Labels: English, Japanese. */
static const char *const labels[][2] = {
    {"Corpus", "コーパス"},
    {"documents", "文書数"},
    {"characters", "文字数"},
    {"kept", "採用"},
    {"dropped", "除外"},
    {"Sources", "入力元"},
    {"Why documents went", "除外の理由"},
    {"Lengths", "文書の長さ"},
    {"Samples", "例"},
    {"Most frequent duplicates", "重複の多い文書"},
    {"Shards", "出力ファイル"},
    {"bytes", "バイト数"},
    {"What could not be read", "読めなかったもの"},
    {"Configuration", "設定"},
    {"read", "読み込んだ文書"},
    {"source", "入力元"},
    {"genre", "ジャンル"},
    {"licence", "ライセンス"},
    {"file", "ファイル"},
    {"reason", "理由"},
    {"count", "件数"},
    {"times", "回"},
    {"Characters of a document (powers of two)", "文書の文字数（2 の累乗ごと）"},
    {"lines of sites taken out", "取り除いた定型行"},
    {"duplicate of", "次の文書と重複："},
    {"for validation", "検証用"},
    {"too short", "短すぎる"},
    {"too long", "長すぎる"},
    {"not Japanese", "日本語でない"},
    {"few hiragana", "ひらがなが少ない"},
    {"much katakana", "カタカナが多い"},
    {"few sentence ends", "文末で終わる行が少ない"},
    {"list or menu", "一覧やメニュー"},
    {"short sentences", "文が短い"},
    {"long sentences", "文が長い"},
    {"cut off", "「…」で終わる文が多い"},
    {"repeated lines", "同じ行の繰り返し"},
    {"text in repeated lines", "繰り返しの行が占める割合が大きい"},
    {"one frequent pair", "同じ 2 文字の並びが多い"},
    {"repeated passages", "同じ文章の繰り返し"},
    {"many brackets", "括弧が多い"},
    {"many digits", "数字が多い"},
    {"word list", "禁止語を含む"},
    {"exact duplicate", "完全な重複"},
    {"near duplicate", "ほぼ同じ文書"},
    {"only repeated lines", "サイトの定型行だけ"},
    {"cannot be read", "読めない"},
    {"broken", "壊れている"},
    {"encrypted", "暗号化されている"},
    {"truncated", "途中で切れている"},
    {"empty", "空"},
    {"not text", "テキストでない"},
    {"not UTF-8", "文字コードを判定できない"},
    {"not JSON", "JSON でない"},
    {"no text field", "本文の項目がない"},
    {"no main text", "本文が見つからない"},
};

static const char *label (const page_t *p, const char *english) {
    for (size_t i = 0; p->ja && i < sizeof labels / sizeof *labels; i++)
        if (strcmp (labels[i][0], english) == 0) return labels[i][1];
    return english;
}

static void raw (page_t *p, const char *s) {
    if (p->status == WB_OK) p->status = wb_buf_put (&p->out, s, strlen (s));
}

static void text (page_t *p, const char *s) {
    if (p->status == WB_OK && s != NULL) p->status = wb_buf_put_html (&p->out, s, strlen (s));
}

static void said (page_t *p, const char *english) { text (p, label (p, english)); }
static void number (page_t *p, int64_t n) {
    char buf[32];
    raw (p, wb_format_count (buf, n));
}
static int64_t integer (const json_t *o, const char *key) { return json_integer_value (json_object_get (o, key)); }
static const char *string (const json_t *o, const char *key) { return json_string_value (json_object_get (o, key)); }

static void open_section (page_t *p, const char *title) {
    raw (p, "<section><h2>");
    said (p, title);
    raw (p, "</h2>\n");
}

static void cell (page_t *p, const char *s) {
    raw (p, "<td>");
    text (p, s);
    raw (p, "</td>");
}

static void cell_number (page_t *p, int64_t n) {
    raw (p, "<td class=\"n\">");
    number (p, n);
    raw (p, "</td>");
}

/* names: '#' in front of those of columns of numbers. */
static void head (page_t *p, const char *const *names) {
    raw (p, "<div class=\"wide\"><table><thead><tr>");
    for (; *names != NULL; names++) {
        raw (p, **names == '#' ? "<th class=\"n\">" : "<th>");
        said (p, *names + (**names == '#'));
        raw (p, "</th>");
    }
    raw (p, "</tr></thead><tbody>\n");
}
static void foot (page_t *p) { raw (p, "</tbody></table></div></section>\n"); }

static int64_t sum (const json_t *o) {
    const char *key;
    json_t *v;
    int64_t n = 0;
    json_object_foreach ((json_t *) (uintptr_t) o, key, v) n += json_integer_value (v);
    return n;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static void fact (page_t *p, int64_t n, const char *what) {
    raw (p, "<div class=\"fact\"><b>");
    number (p, n);
    raw (p, "</b> ");
    said (p, what);
    raw (p, "</div>");
}

static void facts (page_t *p, const json_t *m) {
    const json_t *total = json_object_get (m, "total"), *shards = json_object_get (m, "shards");
    int64_t kept = 0, chars = 0;
    for (size_t i = 0; i < json_array_size (shards); i++) {
        kept += integer (json_array_get (shards, i), "documents");
        chars += integer (json_array_get (shards, i), "characters");
    }
    raw (p, "<div class=\"facts\">");
    fact (p, integer (total, "documents"), "read");
    fact (p, kept, "kept");
    fact (p, chars, "characters");
    fact (p, sum (json_object_get (total, "dropped")), "dropped");
    if (integer (m, "lines_gone") > 0) fact (p, integer (m, "lines_gone"), "lines of sites taken out");
    raw (p, "</div>\n");
}

static void sources (page_t *p, const json_t *m) {
    static const char *const names[] = {"source", "genre", "licence", "#read", "#kept", "#dropped", NULL};
    const json_t *list = json_object_get (m, "sources");
    open_section (p, "Sources");
    head (p, names);
    for (size_t i = 0; i < json_array_size (list); i++) {
        const json_t *s = json_array_get (list, i), *counts = json_object_get (s, "counts");
        const int64_t all = integer (counts, "documents"), gone = sum (json_object_get (counts, "dropped"));
        raw (p, "<tr>");
        cell (p, string (s, "path"));
        cell (p, string (s, "genre"));
        cell (p, string (s, "licence"));
        cell_number (p, all);
        cell_number (p, all - gone);
        cell_number (p, gone);
        raw (p, "</tr>\n");
    }
    foot (p);
}

static void bar (page_t *p, int64_t n, int64_t most, const char *class) {
    char buf[96];
    if (n == 0) return;
    snprintf (buf, sizeof buf, "<i class=\"bar %s\" style=\"width:%.1f%%\"></i>", class,
              most > 0 ? 100.0 * (double) n / (double) most : 0.0);
    raw (p, buf);
}

static void reasons (page_t *p, const json_t *m) {
    static const char *const names[] = {"reason", "#documents", "", NULL};
    const json_t *dropped = json_object_get (json_object_get (m, "total"), "dropped");
    int64_t most = 0;
    for (int r = 0; r < WB_REASONS; r++)
        if (integer (dropped, wb_reason_name (r)) > most) most = integer (dropped, wb_reason_name (r));
    if (most == 0) return;
    open_section (p, "Why documents went");
    head (p, names);
    for (int r = 0; r < WB_REASONS; r++) {
        const int64_t n = integer (dropped, wb_reason_name (r));
        if (n == 0) continue;
        raw (p, "<tr><td>");
        said (p, wb_reason_name (r));
        raw (p, "</td>");
        cell_number (p, n);
        raw (p, "<td class=\"bars\">");
        bar (p, n, most, "gone");
        raw (p, "</td></tr>\n");
    }
    foot (p);
}

static void lengths (page_t *p, const json_t *m) {
    static const char *const names[] = {"#characters", "#kept", "#dropped", "", NULL};
    const json_t *l = json_object_get (json_object_get (m, "total"), "lengths");
    const json_t *kept = json_object_get (l, "kept"), *gone = json_object_get (l, "dropped");
    int64_t most = 0, k[WB_LENGTHS], g[WB_LENGTHS];
    for (size_t i = 0; i < WB_LENGTHS; i++) {
        k[i] = json_integer_value (json_array_get (kept, i)), g[i] = json_integer_value (json_array_get (gone, i));
        most = k[i] > most ? k[i] : most;
        most = g[i] > most ? g[i] : most;
    }
    open_section (p, "Lengths");
    raw (p, "<p>");
    said (p, "Characters of a document (powers of two)");
    raw (p, "</p>");
    head (p, names);
    for (int i = 0; i < WB_LENGTHS; i++) {
        char from[32];
        if (k[i] + g[i] == 0) continue;
        raw (p, "<tr><td class=\"n\">");
        raw (p, wb_format_count (from, i == 0 ? 0 : INT64_C (1) << i));
        raw (p, "–</td>");
        cell_number (p, k[i]);
        cell_number (p, g[i]);
        raw (p, "<td class=\"bars\">");
        bar (p, k[i], most, "kept");
        bar (p, g[i], most, "gone");
        raw (p, "</td></tr>\n");
    }
    foot (p);
}

static void document (page_t *p, const json_t *d) {
    raw (p, "<figure><figcaption>");
    text (p, string (d, "id"));
    if (string (d, "of") != NULL) {
        raw (p, " — ");
        said (p, "duplicate of");
        raw (p, " ");
        text (p, string (d, "of"));
    }
    if (integer (d, "times") > 0) {
        raw (p, " — ");
        number (p, integer (d, "times"));
        raw (p, " ");
        said (p, "times");
    }
    raw (p, "</figcaption><blockquote>");
    text (p, string (d, "text"));
    raw (p, "</blockquote></figure>\n");
}

static void documents (page_t *p, const json_t *list) {
    for (size_t i = 0; i < json_array_size (list); i++) document (p, json_array_get (list, i));
}

static void samples (page_t *p, const json_t *m) {
    const json_t *all = json_object_get (json_object_get (m, "total"), "samples");
    open_section (p, "Samples");
    for (int r = -1; r < WB_REASONS; r++) {
        const char *name = r < 0 ? "kept" : wb_reason_name (r);
        if (json_array_size (json_object_get (all, name)) == 0) continue;
        raw (p, r < 0 ? "<details open><summary>" : "<details><summary>");
        said (p, name);
        raw (p, "</summary>\n");
        documents (p, json_object_get (all, name));
        raw (p, "</details>\n");
    }
    raw (p, "</section>\n");
}

static void complaints (page_t *p, const json_t *m) {
    static const char *const names[] = {"reason", "#count", "file", NULL};
    const json_t *total = json_object_get (m, "total"), *kinds = json_object_get (total, "complaints");
    const char *key;
    json_t *n;
    if (json_object_size (kinds) == 0) return;
    open_section (p, "What could not be read");
    head (p, names);
    json_object_foreach ((json_t *) (uintptr_t) kinds, key, n) {
        const json_t *list = json_object_get (json_object_get (total, "complaint_samples"), key);
        raw (p, "<tr><td>");
        said (p, key);
        raw (p, "</td>");
        cell_number (p, json_integer_value (n));
        raw (p, "<td>");
        for (size_t i = 0; i < json_array_size (list); i++) {
            raw (p, i > 0 ? "<br>" : "");
            text (p, string (json_array_get (list, i), "id"));
            raw (p, ": ");
            text (p, string (json_array_get (list, i), "text"));
        }
        raw (p, "</td></tr>\n");
    }
    foot (p);
}

static void shards (page_t *p, const json_t *m) {
    static const char *const names[] = {"file", "#documents", "#characters", "#bytes", NULL};
    const json_t *list = json_object_get (m, "shards");
    open_section (p, "Shards");
    head (p, names);
    for (size_t i = 0; i < json_array_size (list); i++) {
        const json_t *s = json_array_get (list, i);
        raw (p, "<tr>");
        cell (p, string (s, "file"));
        cell_number (p, integer (s, "documents"));
        cell_number (p, integer (s, "characters"));
        cell_number (p, integer (s, "bytes"));
        raw (p, "</tr>\n");
    }
    foot (p);
}

static const char style[] =
    ":root{color-scheme:light dark;--f:#1c1c1e;--b:#fbfaf8;--l:#d9d5cd;--m:#6b675f;--k:#2f7d5b;--g:#b5563c;--c:#fff}"
    "@media(prefers-color-scheme:dark){:root{--f:#e8e6e1;--b:#18181a;--l:#3a3935;--m:#a09b90;--k:#5fbf92;--g:#e08a6d;--"
    "c:#212123}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:1rem;font:16px/1.6 system-ui,'Noto Sans CJK "
    "JP','Noto Sans JP',sans-serif;"
    "color:var(--f);background:var(--b)}h1{font-size:1.6rem;margin:.5rem "
    "0;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem}.fact{background:var(--c);"
    "border:1px solid var(--l);"
    "border-radius:.5rem;padding:.6rem .8rem;color:var(--m)}.fact "
    "b{display:block;font-size:1.35rem;color:var(--f);font-variant-numeric:tabular-nums}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th{text-align:left;color:var(--m);font-weight:500;"
    "white-space:nowrap}"
    "td:first-child:not(.n){min-width:9rem}th.n{text-align:right}td,th{padding:.3rem .9rem .3rem 0;border-bottom:1px "
    "solid "
    "var(--l);vertical-align:top}td{overflow-wrap:anywhere;min-width:4.5rem}.n{text-align:right;"
    "white-space:nowrap;font-variant-numeric:tabular-nums}td.bars{width:45%;min-width:7rem}.bar{display:block;height:."
    "6rem;min-width:1px;margin:.25rem 0;"
    "border-radius:2px}.bar.kept{background:var(--k)}.bar.gone{background:var(--g)}figure{margin:.6rem 0;padding:.6rem "
    ".8rem;background:var(--c);"
    "border:1px solid "
    "var(--l);border-radius:.5rem}figcaption{color:var(--m);font-size:.85rem;overflow-wrap:anywhere}blockquote{margin:."
    "3rem 0 0;"
    "white-space:pre-wrap;overflow-wrap:anywhere}summary{cursor:pointer;padding:.3rem "
    "0}pre{overflow-x:auto;background:var(--c);border:1px solid var(--l);"
    "border-radius:.5rem;padding:.8rem;font-size:.85rem}p{color:var(--m);margin:.2rem 0}";

static void write_page (page_t *p, const json_t *m, const char *dir) {
    raw (p, "<!doctype html>\n<html lang=\"");
    raw (p, p->ja ? "ja" : "en");
    raw (p, "\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
            "'unsafe-inline'\">\n<title>");
    said (p, "Corpus");
    raw (p, " ");
    text (p, dir);
    raw (p, "</title>\n<style>");
    raw (p, style);
    raw (p, "</style>\n<h1>");
    said (p, "Corpus");
    raw (p, " ");
    text (p, dir);
    raw (p, "</h1>\n");
    facts (p, m);
    sources (p, m);
    reasons (p, m);
    lengths (p, m);
    if (json_array_size (json_object_get (m, "most_frequent")) > 0) {
        open_section (p, "Most frequent duplicates");
        documents (p, json_object_get (m, "most_frequent"));
        raw (p, "</section>\n");
    }
    samples (p, m);
    complaints (p, m);
    shards (p, m);
    open_section (p, "Configuration");
    raw (p, "<pre>");
    text (p, string (m, "options"));
    raw (p, "</pre></section>\n</html>\n");
}

wb_status wb_corpus_report (const char *dir, bool japanese) {
    page_t p = {.ja = japanese};
    char *path = wb_format ("%s/manifest.json", dir), *to = wb_format ("%s/report.html", dir), *data = NULL;
    size_t bytes;
    json_error_t why;
    json_t *m = NULL;
    wb_status status = path != NULL && to != NULL ? WB_OK : WB_NOMEM ("the report");
    if (status == WB_OK && wb_file_is_dir (dir) && !wb_file_exists (path))
        status = WB_FAIL (WB_EIO,
                          "%s holds no finished corpus: `wabun corpus build` writes its manifest.json at the end", dir);
    if (status == WB_OK) status = wb_file_read (&data, &bytes, path);
    if (status == WB_OK && (m = wb_json_load (data, bytes, 0, &why)) == NULL)
        status =
            WB_FAIL (WB_EDATA, "%s:%d: %s: this is no manifest; wabun corpus build makes it", path, why.line, why.text);
    if (status == WB_OK) {
        write_page (&p, m, dir);
        status = p.status == WB_OK ? wb_file_write (to, p.out.data, p.out.len) : p.status;
    }
    if (status == WB_OK) wb_info ("%s", to);
    json_decref (m);
    wb_buf_fini (&p.out);
    wb_free (data);
    wb_free (path);
    wb_free (to);
    return status;
}
