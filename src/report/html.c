/* Writing HTML. */
#include "config.h"

#include <stdarg.h>
#include <string.h>

#include "report/html.h"
#include "wabun/json.h"

static void put (wb_html_t *h, const char *s, size_t n) {
    if (h->status == WB_OK) h->status = wb_buf_put (&h->out, s, n);
}

static void print (wb_html_t *h, const char *fmt, va_list args) {
    char text[400];
    const int n = vsnprintf (text, sizeof text, fmt, args);
    WB_ASSERT (n >= 0 && n < (int) sizeof text);
    put (h, text, (size_t) n);
}

void wb_html_raw (wb_html_t *h, const char *s) { put (h, s, strlen (s)); }

void wb_html_print (wb_html_t *h, const char *fmt, ...) {
    va_list args;
    va_start (args, fmt);
    print (h, fmt, args);
    va_end (args);
}

void wb_html_text_n (wb_html_t *h, const char *s, size_t n) {
    if (h->status == WB_OK) h->status = wb_buf_put_html (&h->out, s, n);
}
void wb_html_text (wb_html_t *h, const char *s) {
    if (s != NULL) wb_html_text_n (h, s, strlen (s));
}

void wb_html_said (wb_html_t *h, const char *en, const char *ja) {
    wb_html_raw (h, "<span lang=\"en\">");
    wb_html_text (h, en);
    wb_html_raw (h, "</span><span lang=\"ja\">");
    wb_html_text (h, ja);
    wb_html_raw (h, "</span>");
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

void wb_html_table (wb_html_t *h, const char *const caption[2], const char *const (*labels)[2]) {
    wb_html_raw (h, "<div class=\"wide\" tabindex=\"0\"><table><caption>");
    wb_html_said (h, caption[0], caption[1]);
    wb_html_raw (h, "</caption><thead><tr>");
    for (; (*labels)[0] != NULL; labels++) {
        const int number = (*labels)[0][0] == '#';
        wb_html_raw (h, number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        wb_html_said (h, (*labels)[0] + number, (*labels)[1]);
        wb_html_raw (h, "</th>");
    }
    wb_html_raw (h, "</tr></thead><tbody>\n");
}
void wb_html_table_end (wb_html_t *h) { wb_html_raw (h, "</tbody></table></div>\n"); }

void wb_html_cell (wb_html_t *h, const char *s) {
    wb_html_raw (h, "<td>");
    wb_html_text (h, s);
    wb_html_raw (h, "</td>");
}

void wb_html_cell_print (wb_html_t *h, const char *fmt, ...) {
    va_list args;
    va_start (args, fmt);
    wb_html_raw (h, "<td class=\"n\">");
    print (h, fmt, args);
    wb_html_raw (h, "</td>");
    va_end (args);
}

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

void wb_html_json (wb_html_t *h, const char *s) {
    const int64_t before = wb_json_lacks ();
    json_t *j = json_string (s);
    char *quoted = j != NULL ? json_dumps (j, JSON_ENCODE_ANY) : NULL; /* NULL also where it is not UTF-8 */
    if (h->status == WB_OK) h->status = wb_json_since (before, "the page");
    for (const char *c = quoted != NULL ? quoted : "\"?\""; *c != 0; c++)
        if (*c == '<')
            wb_html_raw (h, "\\u003c");
        else
            put (h, c, 1);
    wb_free_foreign (quoted);
    json_decref (j);
}
