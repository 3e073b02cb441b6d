/* Pairs of numbers in order: in memory while they fit, else in sorted runs on disk that are merged while they are read.
 *
 * Not done here: more runs than files may be open (64 MiB of memory and 1,000 runs are four thousand million pairs). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/build.h"

enum { AHEAD = 4096 }; /* pairs of a run that are read at once */

typedef struct run {
    int64_t at, n; /* pairs of the file not yet read: from at */
    wb_pair_t *ahead;
    int64_t next, have;
} run_t;

struct wb_sorter {
    char *path;
    int place;
    FILE *file;
    wb_pair_t *data;
    int64_t n, room, cap, at, written;
    run_t *runs;
    int64_t nruns, runs_cap;
};

wb_status wb_sorter_new (wb_sorter_t **out, const char *prefix, int64_t memory) {
    wb_sorter_t *s = *out = wb_calloc (1, sizeof *s);
    if (s == NULL) return WB_NOMEM ("sorting");
    s->place = -1;
    s->room = memory / (int64_t) sizeof *s->data > AHEAD ? memory / (int64_t) sizeof *s->data : AHEAD;
    s->path = wb_format ("%s.runs", prefix);
    return s->path != NULL ? WB_OK : WB_NOMEM ("sorting");
}

static int by_pair (const void *a, const void *b) {
    const wb_pair_t *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static wb_status failed (const wb_sorter_t *s, const char *what) {
    return WB_FAIL (WB_EIO, "%s: cannot %s: %s", s->path, what, strerror (errno));
}

static wb_status spill (wb_sorter_t *s) {
    if (s->n == 0) return WB_OK;
    qsort (s->data, (size_t) s->n, sizeof *s->data, by_pair);
    if (s->file == NULL) {
        s->place = wb_temp_add (s->path);
        s->file = fopen (s->path, "w+b");
        if (s->file == NULL) return failed (s, "write");
    }
    if (!WB_GROW (s->runs, s->runs_cap, s->nruns + 1)) return WB_NOMEM ("sorting");
    s->runs[s->nruns++] = (run_t){.at = s->written, .n = s->n};
    if (fwrite (s->data, sizeof *s->data, (size_t) s->n, s->file) != (size_t) s->n || fflush (s->file) != 0)
        return failed (s, "write");
    s->written += s->n;
    s->n = 0;
    return WB_OK;
}

wb_status wb_sorter_put (wb_sorter_t *s, uint64_t key, uint64_t value) {
    if (s->n == s->room) WB_TRY (spill (s));
    if (!WB_GROW (s->data, s->cap, s->n + 1)) return WB_NOMEM ("sorting");
    s->data[s->n++] = (wb_pair_t){key, value};
    return WB_OK;
}

wb_status wb_sorter_sort (wb_sorter_t *s) {
    s->at = 0;
    if (s->nruns == 0) {
        if (s->n > 0) qsort (s->data, (size_t) s->n, sizeof *s->data, by_pair);
        return WB_OK;
    }
    WB_TRY (spill (s));
    wb_free (s->data);
    s->data = NULL;
    s->cap = 0;
    for (int64_t i = 0; i < s->nruns; i++) {
        s->runs[i].ahead = wb_malloc (AHEAD * sizeof *s->runs[i].ahead);
        if (s->runs[i].ahead == NULL) return WB_NOMEM ("sorting");
    }
    return WB_OK;
}

/* Have the next pair of a run, if there is one. */
static wb_status fill (wb_sorter_t *s, run_t *r) {
    if (r->next < r->have || r->n == 0) return WB_OK;
    size_t got, want = (size_t) (r->n < AHEAD ? r->n : AHEAD) * sizeof *r->ahead;
    const int error = wb_fd_read (fileno (s->file), r->ahead, &got, want, r->at * (int64_t) sizeof *r->ahead);
    if (error != 0 || got != want) {
        errno = error != 0 ? error : EIO;
        return failed (s, "read");
    }
    r->have = (int64_t) (want / sizeof *r->ahead);
    r->next = 0;
    r->at += r->have;
    r->n -= r->have;
    return WB_OK;
}

wb_status wb_sorter_next (wb_sorter_t *s, wb_pair_t *out, bool *more) {
    run_t *least = NULL;
    *more = false;
    if (s->nruns == 0) {
        if (s->at == s->n) return WB_OK;
        *out = s->data[s->at++];
        *more = true;
        return WB_OK;
    }
    for (int64_t i = 0; i < s->nruns; i++) {
        run_t *r = &s->runs[i];
        WB_TRY (fill (s, r));
        if (r->next == r->have) continue;
        if (least == NULL || by_pair (&r->ahead[r->next], &least->ahead[least->next]) < 0) least = r;
    }
    if (least == NULL) return WB_OK;
    *out = least->ahead[least->next++];
    *more = true;
    return WB_OK;
}

void wb_sorter_destroy (wb_sorter_t *s) {
    if (s == NULL) return;
    if (s->file != NULL) fclose (s->file);
    if (s->file != NULL) unlink (s->path);
    if (s->place >= 0) wb_temp_drop (s->place);
    for (int64_t i = 0; i < s->nruns; i++) wb_free (s->runs[i].ahead);
    wb_free (s->runs);
    wb_free (s->data);
    wb_free (s->path);
    wb_free (s);
}
