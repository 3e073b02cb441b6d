/* A comparison as one page of HTML: a plot in SVG and the table.  No scripts, nothing from elsewhere. */
#include "config.h"

#include <stdarg.h>
#include <string.h>

#include "vocab/compare.h"

enum { LABEL = 210, BAR = 420, ROW = 18, GAP = 10 };

static wb_status put (wb_buf_t *b, const char *format, ...) WB_PRINTF (2, 3);
static wb_status put (wb_buf_t *b, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start (args, format);
    const int n = vsnprintf (text, sizeof text, format, args);
    va_end (args);
    return wb_buf_put (b, text, n < (int) sizeof text ? (size_t) n : sizeof text - 1);
}

static wb_status put_escaped (wb_buf_t *b, const char *s) { return wb_buf_put_html (b, s, strlen (s)); }

/* A bar for each tokenizer and genre. */
static wb_status put_plot (wb_buf_t *b, const wb_comparison_t *c, const wb_column_t *k) {
    static const char *const colours[] = {"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"};
    double most = 0;
    for (int i = 0; i < c->ntokenizers; i++)
        for (int g = 0; g < c->sample->genres; g++) {
            const double v = k->value (&c->tokenizers[i], &c->tokenizers[i].genre[g]);
            if (v > most) most = v;
        }
    const int rows = c->ntokenizers * c->sample->genres;
    WB_TRY (put (b, "<section><h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", k->unit,
                 LABEL + BAR + 70, rows * ROW + c->ntokenizers * GAP, k->unit));
    int y = 0;
    for (int i = 0; i < c->ntokenizers; i++, y += GAP) {
        const char *name = c->tokenizers[i].spec;
        const size_t n = strlen (name);
        WB_TRY (put (b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LABEL - 8, y + 14));
        WB_TRY (put_escaped (b, n > 28 ? name + n - 28 : name));
        WB_TRY (put (b, "</text>\n"));
        for (int g = 0; g < c->sample->genres; g++, y += ROW) {
            const double v = k->value (&c->tokenizers[i], &c->tokenizers[i].genre[g]);
            char number[32];
            snprintf (number, sizeof number, k->format, v);
            WB_TRY (put (b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>", LABEL, y + 2,
                         most > 0 ? BAR * v / most : 0, ROW - 4, colours[g % 6]));
            WB_TRY (put_escaped (b, c->sample->genre[g]));
            WB_TRY (put (b, "</title></rect><text x=\"%.1f\" y=\"%d\">%s</text>\n",
                         LABEL + 6 + (most > 0 ? BAR * v / most : 0), y + 14, number));
        }
    }
    WB_TRY (put (b, "</svg>\n<p>"));
    for (int g = 0; g < c->sample->genres; g++) {
        WB_TRY (put (b, "<span style=\"color:%s\">&#9632;</span> ", colours[g % 6]));
        WB_TRY (put_escaped (b, c->sample->genre[g]));
        WB_TRY (put (b, "&ensp;"));
    }
    return put (b, "</p></section>\n");
}

static wb_status put_row (wb_buf_t *b, const char *genre, const wb_measured_t *t, const wb_measures_t *m) {
    WB_TRY (put (b, "<tr><td>"));
    WB_TRY (put_escaped (b, genre));
    WB_TRY (put (b, "</td><td>"));
    WB_TRY (put_escaped (b, t->spec));
    WB_TRY (put (b, "</td><td>%s</td><td>%d</td>", t->kind, (int) t->size));
    for (const wb_column_t *k = wb_vocab_columns; k->name != NULL; k++) {
        char number[32];
        snprintf (number, sizeof number, k->format, k->value (t, m));
        WB_TRY (put (b, "<td>%s</td>", number));
    }
    return put (b, "</tr>\n");
}

static wb_status put_table (wb_buf_t *b, const wb_comparison_t *c) {
    WB_TRY (put (b, "<div class=\"wide\"><table>\n<tr><th>genre</th><th>tokenizer</th><th>kind</th><th>ids</th>"));
    for (const wb_column_t *k = wb_vocab_columns; k->name != NULL; k++) WB_TRY (put (b, "<th>%s</th>", k->unit));
    WB_TRY (put (b, "</tr>\n"));
    for (int i = 0; i < c->ntokenizers; i++) WB_TRY (put_row (b, "all", &c->tokenizers[i], &c->tokenizers[i].all));
    for (int g = 0; g < c->sample->genres; g++)
        for (int i = 0; i < c->ntokenizers; i++)
            WB_TRY (put_row (b, c->sample->genre[g], &c->tokenizers[i], &c->tokenizers[i].genre[g]));
    return put (b, "</table></div>\n");
}

static wb_status put_page (wb_buf_t *b, const wb_comparison_t *c) {
    WB_TRY (put (b,
                 "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Vocabularies</title>\n"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<style>"
                 ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;"
                 "max-width:76em;padding:0 1.2em}h2{font-size:1rem;margin:0 0 .6em}h2::first-letter{text-transform:"
                 "uppercase}main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%%,28em),1fr));"
                 "gap:1.5em 2.5em}svg{width:100%%;max-width:46em;height:auto}svg text{font:13px system-ui,sans-serif;"
                 "fill:currentColor}section p{margin:.3em 0;font-size:.9rem}.wide{overflow-x:auto;margin-top:2em}"
                 "table{border-collapse:collapse;font-variant-numeric:tabular-nums}th{text-align:left}"
                 "td,th{padding:.25em .7em;border-bottom:1px solid #8885}"
                 "td:nth-child(n+4){text-align:right}</style></head><body>\n<h1>Vocabularies compared</h1>\n"));
    WB_TRY (put (b, "<p>%.1f MB of text.  A word is a run of two or more kanji, katakana or Latin letters.</p>\n",
                 (double) c->sample->bytes / 1e6));
    WB_TRY (put (b, "<main>\n"));
    for (const wb_column_t *k = wb_vocab_columns; k->name != NULL; k++)
        if (strcmp (k->name, "bytes_per_token") != 0) WB_TRY (put_plot (b, c, k));
    WB_TRY (put (b, "</main>\n"));
    WB_TRY (put_table (b, c));
    return put (b, "</body></html>\n");
}

wb_status wb_comparison_page (const wb_comparison_t *c, const char *path) {
    wb_buf_t b = {0};
    wb_status status = put_page (&b, c);
    if (status == WB_OK) status = wb_file_write (path, b.data, b.len);
    wb_buf_fini (&b);
    return status;
}
