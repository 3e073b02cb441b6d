/* Lines that a web site repeats: menus, notices, footers that the reader of pages did not know for such.
 *
 * A part has a hash of (site, line) for each line of each document; those that are there often enough go.  Documents
 * that are duplicates do not count: a page that a crawl has met under twenty addresses would lose all its lines.
 * Documents that are of no web site (a book, a line of JSON without an address) are left alone: what they repeat is
 * mostly speech.  The hashes are shared out to the ranks by their value. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/build.h"

uint64_t wb_site_line (uint64_t site, uint64_t line) { return (site * UINT64_C (0x9e3779b97f4a7c15)) ^ line; }

typedef struct found {
    uint64_t *data;
    int64_t n, cap;
} found_t;

static wb_status search (found_t *f, wb_sorter_t *s, int64_t often) {
    wb_pair_t x = {0};
    uint64_t key = 0;
    int64_t n = 0;
    for (bool more = true; more;) {
        WB_TRY (wb_sorter_next (s, &x, &more));
        if (!more || x.key != key) n = 0;
        key = x.key;
        if (!more || ++n != often) continue;
        if (!WB_GROW (f->data, f->cap, f->n + 1)) return WB_NOMEM ("repeated lines");
        f->data[f->n++] = key;
    }
    return WB_OK;
}

static wb_status fill_part (wb_sorter_t *s, const wb_part_t *p, const unsigned char *state, uint64_t ranks,
                            uint64_t rank) {
    int64_t at = 0;
    for (int64_t d = 0; d < p->n; d++) {
        const int64_t end = at + p->rows[d].nlines;
        if (end < at || end > p->nlines) return WB_FAIL (WB_EDATA, "%s: is damaged; remove it", p->path);
        if (state[p->first_document + d] == WB_KEPT)
            for (int64_t j = at; j < end; j++)
                if ((p->lines[j] >> 8) % ranks == rank) WB_TRY (wb_sorter_put (s, p->lines[j], 0));
        at = end;
    }
    return WB_OK;
}

static wb_status fill (wb_sorter_t *s, const wb_parts_t *p, const unsigned char *state, wb_comm_t *world) {
    const uint64_t ranks = (uint64_t) wb_comm_size (world), rank = (uint64_t) wb_comm_rank (world);
    for (int64_t i = 0; i < p->len; i++) WB_TRY (fill_part (s, &p->data[i], state, ranks, rank));
    return WB_OK;
}

static int by_value (const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

wb_status wb_site_lines_find (uint64_t **out, int64_t *n, wb_comm_t *world, const wb_parts_t *p,
                              const wb_corpus_options_t *o, const unsigned char *state) {
    found_t f = {0};
    wb_sorter_t *s = NULL;
    *out = NULL, *n = 0;
    if (o->duplicates.lines == 0) return WB_OK;
    char *prefix = wb_format ("%s/.work/lines-%d", o->dir, wb_comm_rank (world));
    wb_status status = prefix != NULL ? wb_sorter_new (&s, prefix, o->memory) : WB_NOMEM ("sorting");
    if (status == WB_OK) status = fill (s, p, state, world);
    if (status == WB_OK) status = wb_sorter_sort (s);
    if (status == WB_OK) status = search (&f, s, o->duplicates.lines);
    wb_sorter_destroy (s);
    wb_free (prefix);
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_corpus_gather (world, o->dir, "lines", out, n, f.data, f.n);
    if (status == WB_OK && *n > 0) qsort (*out, (size_t) *n, sizeof **out, by_value);
    wb_free (f.data);
    return status;
}

wb_status wb_site_lines_drop (wb_buf_t *out, int64_t *gone, const char *s, size_t n, uint64_t site,
                              const uint64_t *lines, int64_t nlines) {
    wb_buf_clear (out);
    *gone = 0;
    for (size_t at = 0, next; at < n; at = next) {
        const char *end = memchr (s + at, '\n', n - at);
        const size_t bytes = end != NULL ? (size_t) (end - s) - at : n - at;
        next = at + bytes + (end != NULL);
        if (bytes > 0) {
            const uint64_t key = wb_site_line (site, wb_line_hash (s + at, bytes));
            if (bsearch (&key, lines, (size_t) nlines, sizeof key, by_value) != NULL) {
                ++*gone;
                continue;
            }
        }
        WB_TRY (wb_buf_put (out, s + at, next - at));
    }
    return WB_OK;
}
