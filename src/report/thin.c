/* Thinning: rows that hold one record each, then, whenever the table is full, pairs of rows become one.
 *
 * One pass, memory that does not grow with the run; no extreme is lost, whichever record it was in.  After n records a
 * row holds 2^k of them, the smallest power with which they fit.
 *
 * Not done here: reading records (run_files.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "report/thin.h"

static void cell_join (wb_thin_cell_t *to, const wb_thin_cell_t *from) {
    if (from->n == 0) return;
    if (to->n == 0) {
        *to = *from;
        return;
    }
    to->min = fmin (to->min, from->min);
    to->max = fmax (to->max, from->max);
    to->sum += from->sum;
    to->last = from->last;
    to->n += from->n;
}

/* Pairs of a full table become one, from the end of the head on. */
static void halve (wb_thin_t *t) {
    int to = WB_THIN_HEAD;
    for (int from = WB_THIN_HEAD; from < WB_THIN_ROWS; from += 2, to++) {
        const struct wb_thin_row *a = &t->rows[from], *b = a + 1;
        t->rows[to] = (struct wb_thin_row){a->first, b->last, b->tokens, a->records + b->records};
        for (int64_t i = 0; i < t->ncolumns; i++) {
            wb_thin_cell_t *cells = t->columns[i].cells, cell = cells[from];
            cell_join (&cell, &cells[from + 1]);
            cells[to] = cell;
        }
    }
    t->nrows = to;
    t->width *= 2;
}

bool wb_thin_add (wb_thin_t *t, int64_t step, double tokens) {
    struct wb_thin_row *last = &t->rows[t->nrows > 0 ? t->nrows - 1 : 0];
    if (t->nrows > 0 && step <= last->last) return false;
    if (t->width == 0) t->width = 1;
    if (t->nrows > WB_THIN_HEAD && last->records < t->width) {
        last->last = step;
        last->tokens = tokens;
        last->records++;
    } else {
        if (t->nrows == WB_THIN_ROWS) halve (t);
        for (int64_t i = 0; i < t->ncolumns; i++) t->columns[i].cells[t->nrows] = (wb_thin_cell_t){0};
        t->rows[t->nrows++] = (struct wb_thin_row){step, step, tokens, 1};
    }
    t->records++;
    t->next = 0;
    return true;
}

static int64_t place_of (const wb_thin_t *t, const char *name) {
    for (int64_t i = 0; i < t->ncolumns; i++)
        if (strcmp (t->columns[i].name, name) == 0) return i;
    return -1;
}

static wb_status add_column (wb_thin_t *t, const char *name) {
    if (!WB_GROW (t->columns, t->cap, t->ncolumns + 1)) return WB_NOMEM ("a column");
    wb_thin_column_t *c = &t->columns[t->ncolumns];
    *c = (wb_thin_column_t){wb_strdup (name), wb_calloc (WB_THIN_ROWS, sizeof *c->cells)};
    t->ncolumns++;
    return c->name != NULL && c->cells != NULL ? WB_OK : WB_NOMEM ("a column");
}

wb_status wb_thin_put (wb_thin_t *t, const char *name, double x) {
    int64_t i = t->next < t->ncolumns && strcmp (t->columns[t->next].name, name) == 0 ? t->next : place_of (t, name);
    if (i < 0) {
        i = t->ncolumns;
        WB_TRY (add_column (t, name));
    }
    t->next = i + 1;
    cell_join (&t->columns[i].cells[t->nrows - 1], &(wb_thin_cell_t){x, x, x, x, 1});
    return WB_OK;
}

const wb_thin_column_t *wb_thin_find (const wb_thin_t *t, const char *name) {
    const int64_t i = place_of (t, name);
    return i >= 0 ? &t->columns[i] : NULL;
}

void wb_thin_fini (wb_thin_t *t) {
    for (int64_t i = 0; i < t->ncolumns; i++) {
        wb_free (t->columns[i].name);
        wb_free (t->columns[i].cells);
    }
    wb_free (t->columns);
    *t = (wb_thin_t){0};
}
