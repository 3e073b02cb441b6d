/* Duplicates over all parts.
 *
 * Texts with one hash are the same.  For near ones each band of a signature is sorted (by locality-sensitive hashing,
 * Indyk and Motwani, STOC 1998): documents with the same band may be alike, and are if their signatures agree in as
 * many values as the threshold says.  In a bucket a document is compared with up to 64 that are like none before it, so
 * a bucket costs no more than 64 comparisons a document.  The bands are shared out to the ranks.  What is alike is
 * joined, and of what hangs together the first document in the order of sources stays: whichever rank found what, in
 * whatever order, the same documents stay.
 *
 * Memory: the sorters' (o->memory), 17 bytes a document, and pages of the mapped parts, which the system can take back.
 *
 * Not done here: lines that a site repeats (site_lines.c). */
#include "config.h"

#include <string.h>

#include "corpus/build.h"

enum { COMPARED = 64 };
#define EXACT (UINT64_C (1) << 63) /* of an edge's second document: they are the same */

/* ---- gathering --------------------------------------------------------------------------------------------------- */

static wb_status append (uint64_t **out, int64_t *n, const char *path) {
    char *data;
    size_t bytes;
    WB_TRY (wb_file_read (&data, &bytes, path));
    const int64_t more = (int64_t) (bytes / sizeof **out);
    uint64_t *all = wb_realloc (*out, (size_t) (*n + more + 1) * sizeof *all);
    if (all != NULL) {
        memcpy (all + *n, data, (size_t) more * sizeof *all);
        *out = all, *n += more;
    }
    wb_free (data);
    return all != NULL ? WB_OK : WB_NOMEM ("%s", path);
}

static char *file_of (const char *dir, const char *name, int rank) {
    return wb_format ("%s/.work/%s.%d", dir, name, rank);
}

wb_status wb_corpus_gather (wb_comm_t *world, const char *dir, const char *name, uint64_t **out, int64_t *n,
                            const uint64_t *mine, int64_t nmine) {
    char *path = file_of (dir, name, wb_comm_rank (world));
    wb_status status = path != NULL
                           ? wb_file_write (path, nmine > 0 ? (const void *) mine : "", (size_t) nmine * sizeof *mine)
                           : WB_NOMEM ("%s", name);
    *out = NULL, *n = 0;
    status = wb_agree (world, status);
    for (int r = 0; r < wb_comm_size (world) && status == WB_OK; r++) {
        char *from = file_of (dir, name, r);
        status = from != NULL ? append (out, n, from) : WB_NOMEM ("%s", name);
        wb_free (from);
    }
    status = wb_agree (world, status);
    if (path != NULL) (void) remove (path);
    wb_free (path);
    return status;
}

/* ---- what hangs together ----------------------------------------------------------------------------------------- */

/* first [n]: the document before it that it is joined to, itself: none. */
static int64_t root_of (int64_t *first, int64_t i) {
    while (first[i] != i) {
        first[i] = first[first[i]];
        i = first[i];
    }
    return i;
}

static bool join (int64_t *first, int64_t a, int64_t b) {
    a = root_of (first, a), b = root_of (first, b);
    if (a == b) return false;
    if (a < b)
        first[b] = a;
    else
        first[a] = b;
    return true;
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

typedef struct search {
    const wb_parts_t *parts;
    const wb_duplicates_options_t *o;
    int64_t *first;  /* what this rank has joined */
    uint64_t *edges; /* [2 nedges] */
    int64_t nedges, cap;
} search_t;

static wb_status put_edge (search_t *s, int64_t a, int64_t b, uint64_t kind) {
    if (!join (s->first, a, b) && kind == 0) return WB_OK;
    if (!WB_GROW (s->edges, s->cap, 2 * s->nedges + 2)) return WB_NOMEM ("duplicates");
    s->edges[2 * s->nedges] = (uint64_t) a;
    s->edges[2 * s->nedges++ + 1] = (uint64_t) b | kind;
    return WB_OK;
}

static const uint16_t *sign_of (const wb_parts_t *p, int64_t document) {
    const wb_part_t *part = wb_parts_of (p, document);
    return part->signs + (document - part->first_document) * p->k;
}

static bool alike (const search_t *s, int64_t a, int64_t b) {
    const int k = s->parts->k;
    return wb_minhash_same (sign_of (s->parts, a), sign_of (s->parts, b), k) >= s->o->threshold - 0.5 / k;
}

/* Documents with the same key arrive one after the other. */
static wb_status search_exact (search_t *s, wb_sorter_t *sorter) {
    wb_pair_t x, head = {0};
    bool more, any = false;
    WB_TRY (wb_sorter_sort (sorter));
    for (;;) {
        WB_TRY (wb_sorter_next (sorter, &x, &more));
        if (!more) return WB_OK;
        if (any && x.key == head.key)
            WB_TRY (put_edge (s, (int64_t) head.value, (int64_t) x.value, EXACT));
        else
            head = x, any = true;
    }
}

static wb_status search_near (search_t *s, wb_sorter_t *sorter) {
    int64_t others[COMPARED];
    int n = 0;
    wb_pair_t x;
    uint64_t key = 0;
    bool more;
    WB_TRY (wb_sorter_sort (sorter));
    for (;;) {
        WB_TRY (wb_sorter_next (sorter, &x, &more));
        if (!more) return WB_OK;
        if (x.key != key) n = 0;
        key = x.key;
        int i = 0;
        while (i < n && !alike (s, others[i], (int64_t) x.value)) i++;
        if (i < n)
            WB_TRY (put_edge (s, others[i], (int64_t) x.value, 0));
        else if (n < COMPARED)
            others[n++] = (int64_t) x.value;
    }
}

/* Task 0 is the exact ones, task b + 1 band b. */
static uint64_t key_of (const wb_part_t *p, int64_t i, int k, int task, int rows) {
    if (task == 0) return p->rows[i].exact;
    return wb_hash64 (p->signs + i * k + (int64_t) (task - 1) * rows, (size_t) rows * sizeof (uint16_t));
}

static wb_status fill (wb_sorter_t *sorter, const wb_parts_t *p, int task, int rows) {
    for (int64_t i = 0; i < p->len; i++)
        for (int64_t j = 0; j < p->data[i].n; j++)
            WB_TRY (wb_sorter_put (sorter, key_of (&p->data[i], j, p->k, task, rows),
                                   (uint64_t) (p->data[i].first_document + j)));
    return WB_OK;
}

static wb_status search_all (search_t *s, const wb_corpus_options_t *o, int ranks, int rank) {
    const int tasks = s->o->near ? s->o->bands + 1 : 1;
    for (int t = 0; t < tasks; t++) {
        if (t % ranks != rank || (t == 0 && !s->o->exact)) continue;
        wb_sorter_t *sorter;
        char *prefix = wb_format ("%s/.work/band-%d", o->dir, t);
        wb_status status = prefix != NULL ? wb_sorter_new (&sorter, prefix, o->memory) : WB_NOMEM ("sorting");
        if (status == WB_OK) status = fill (sorter, s->parts, t, s->o->rows);
        if (status == WB_OK) status = t == 0 ? search_exact (s, sorter) : search_near (s, sorter);
        if (prefix != NULL) wb_sorter_destroy (sorter);
        wb_free (prefix);
        WB_TRY (status);
    }
    return WB_OK;
}

/* ---- all ranks --------------------------------------------------------------------------------------------------- */

static void decide (unsigned char *state, int64_t *first, int64_t n, const uint64_t *edges, int64_t nedges) {
    for (int64_t i = 0; i < n; i++) first[i] = i, state[i] = WB_KEPT;
    for (int64_t e = 0; e < nedges; e++) {
        const int64_t b = (int64_t) (edges[2 * e + 1] & ~EXACT);
        join (first, (int64_t) edges[2 * e], b);
        if ((edges[2 * e + 1] & EXACT) != 0) state[b] = WB_REASON_EXACT;
    }
    for (int64_t i = 0; i < n; i++) {
        first[i] = root_of (first, i);
        if (first[i] == i)
            state[i] = WB_KEPT;
        else if (state[i] == WB_KEPT)
            state[i] = WB_REASON_NEAR;
    }
}

wb_status wb_duplicates_find (unsigned char *state, int64_t *first, wb_comm_t *world, const wb_parts_t *p,
                              const wb_corpus_options_t *o) {
    search_t s = {.parts = p, .o = &o->duplicates, .first = first};
    uint64_t *edges;
    int64_t n;
    for (int64_t i = 0; i < p->documents; i++) first[i] = i;
    wb_status status = wb_agree (world, search_all (&s, o, wb_comm_size (world), wb_comm_rank (world)));
    if (status == WB_OK) {
        status = wb_corpus_gather (world, o->dir, "edges", &edges, &n, s.edges, 2 * s.nedges);
        if (status == WB_OK) decide (state, first, p->documents, edges, n / 2);
        wb_free (edges);
    }
    wb_free (s.edges);
    return status;
}
