/* A plain drawing of a chart, for readers without scripts and builds without a plotting library: the means of at most
 * some hundred rows, linear axes, the ends of each named.
 *
 * Not done here: everything else a plot has; the script replaces the drawing. */
#include "config.h"

#include <math.h>

#include "report/page.h"

enum { W = 600, H = 220, LEFT = 8, TOP = 16, BOTTOM = 18, POINTS = 300 };

typedef struct bounds {
    double x[2], y[2];
    bool some;
} bounds_t;

static void widen (bounds_t *b, double x, double y) {
    if (!b->some) *b = (bounds_t){{x, x}, {y, y}, true};
    b->x[0] = fmin (b->x[0], x);
    b->x[1] = fmax (b->x[1], x);
    b->y[0] = fmin (b->y[0], y);
    b->y[1] = fmax (b->y[1], y);
}

/* From `from` to `to` pixels. */
static double scaled (double x, const double ends[2], double from, double to) {
    return ends[1] > ends[0] ? from + (x - ends[0]) / (ends[1] - ends[0]) * (to - from) : (from + to) / 2;
}

typedef void (*point_fn) (wb_page_t *p, bounds_t *b, double x, double y);
static void measure (wb_page_t *p, bounds_t *b, double x, double y) {
    (void) p;
    widen (b, x, y);
}
static void draw (wb_page_t *p, bounds_t *b, double x, double y) {
    wb_html_print (&p->html, "%.1f,%.1f ", scaled (x, b->x, LEFT, W - LEFT), scaled (y, b->y, H - BOTTOM, TOP));
}

static void each_point (wb_page_t *p, bounds_t *b, const wb_page_line_t *l, point_fn take) {
    const int n = l->table->nrows, every = n > POINTS ? (n + POINTS - 1) / POINTS : 1;
    for (int i = 0; i < n; i++)
        if ((i % every == 0 || i == n - 1) && l->mid->cells[i].n > 0)
            take (p, b, (double) l->table->rows[i].last, wb_thin_mean (&l->mid->cells[i]));
}

void wb_page_svg (wb_page_t *p, const wb_page_chart_t *c, int only) {
    wb_html_t *h = &p->html;
    bounds_t b = {0};
    wb_page_line_t line;
    const int first = only < 0 ? 0 : only, end = only < 0 ? p->n : only + 1;
    for (int i = first; i < end; i++)
        for (int k = 0; k < WB_PAGE_CURVES; k++)
            if (wb_page_line (&line, &p->runs[i], &c->curves[k])) each_point (p, &b, &line, measure);
    wb_html_print (h, "<svg viewBox=\"0 0 %d %d\" aria-hidden=\"true\">", W, H);
    for (int i = first; i < end; i++)
        for (int k = 0; k < WB_PAGE_CURVES; k++) {
            if (!wb_page_line (&line, &p->runs[i], &c->curves[k])) continue;
            wb_html_print (h, "<polyline class=\"c%d%s\" points=\"", (c->stacked || p->n == 1 ? k : i) % 8,
                           c->stacked || p->n == 1 || k == 0 ? "" : " dash");
            each_point (p, &b, &line, draw);
            wb_html_raw (h, "\"/>");
        }
    if (b.some)
        wb_html_print (h,
                       "<text x=\"%d\" y=\"11\">%.4g</text><text x=\"%d\" y=\"%d\">%.4g</text><text x=\"%d\" y=\"%d\" "
                       "text-anchor=\"end\">%.0f</text>",
                       LEFT, b.y[1], LEFT, H - 4, b.y[0], W - LEFT, H - 4, b.x[1]);
    wb_html_raw (h, "</svg>");
}
