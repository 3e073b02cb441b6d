/* The loader: sample k -> T + 1 ids, a pure function of (seed, k) without state.
 *
 * A file of n ids has (n - 1) / T windows of T + 1 ids with stride T; neighbours share one id, because the last target
 * of one is the first input of the next.  Each epoch of each file has its own permutation, computed on the fly.
 *
 * Several files are mixed by a table of 65,536 places that repeats.  It is Tijdeman's answer to the chairman assignment
 * problem (Discrete Mathematics 32, 1980): at every prefix each file is within 1 of its share.  For this the weights
 * are rounded to multiples of 1/65536, and none to 0.
 *
 * Not done here: which rank takes which sample (train), respecting document boundaries: attention crosses them. */
#include "config.h"

#include <math.h>

#include "dataset/dataset_priv.h"

#define PLACES 65536
#define MAX_PARTS 4096

typedef struct part {
    wb_tokens_t *tokens;
    int64_t windows;
    int64_t share; /* places of 65,536 */
} part_t;

struct wb_loader {
    int nparts;
    bool shuffle;
    int64_t T;
    uint64_t seed, stream;
    part_t *parts;
    uint16_t *place; /* [PLACES] part of each place; NULL with one part */
    int32_t *rank;   /* [PLACES] places of the same part before it */
};

/* Shares that sum to PLACES, each at least 1: rounded down, then corrected where the error is largest. */
static void round_weights (part_t *parts, const wb_loader_part_t *in, int n) {
    double sum = 0.0;
    int64_t given = 0;
    for (int i = 0; i < n; i++) sum += in[i].weight;
    for (int i = 0; i < n; i++) {
        int64_t q = (int64_t) floor (in[i].weight / sum * PLACES);
        parts[i].share = q < 1 ? 1 : q;
        given += parts[i].share;
    }
    for (; given != PLACES; given += given < PLACES ? 1 : -1) {
        int best = -1;
        double largest = 0.0;
        for (int i = 0; i < n; i++) {
            double due = in[i].weight / sum * PLACES - (double) parts[i].share;
            if (given > PLACES) due = parts[i].share > 1 ? -due : -INFINITY;
            if (best < 0 || due > largest) best = i, largest = due;
        }
        parts[best].share += given < PLACES ? 1 : -1;
    }
}

static wb_status fill_places (wb_loader_t *l) {
    const int64_t n = l->nparts;
    l->place = wb_malloc (PLACES * sizeof *l->place);
    l->rank = wb_malloc (PLACES * sizeof *l->rank);
    int64_t *had = wb_calloc ((size_t) n, sizeof *had);
    if (l->place == NULL || l->rank == NULL || had == NULL) {
        wb_free (had);
        return WB_NOMEM ("loader");
    }
    /* All of Tijdeman's quantities times PLACES (2n - 2): whole numbers. */
    for (int64_t j = 1; j <= PLACES; j++) {
        int best = -1;
        int64_t best_slack = 0;
        for (int i = 0; i < n; i++) {
            int64_t lag = (l->parts[i].share * j - had[i] * PLACES) * (2 * n - 2);
            if (lag < PLACES) continue;
            int64_t slack = PLACES * (2 * n - 3) - lag;
            if (best < 0 || slack * l->parts[best].share < best_slack * l->parts[i].share) best = i, best_slack = slack;
        }
        WB_ASSERT (best >= 0);
        l->place[j - 1] = (uint16_t) best;
        l->rank[j - 1] = (int32_t) had[best]++;
    }
    wb_free (had);
    return WB_OK;
}

wb_status wb_loader_new (wb_loader_t **out, const wb_loader_part_t *parts, int nparts, int64_t T, uint64_t seed,
                         bool shuffle) {
    *out = NULL;
    if (nparts < 1) return WB_FAIL (WB_EUSAGE, "loader: no token file given");
    if (nparts > MAX_PARTS)
        return WB_FAIL (WB_EUSAGE, "loader: %d token files, at most %d can be mixed", nparts, MAX_PARTS);
    if (T < 1 || T == INT64_MAX) return WB_FAIL (WB_EUSAGE, "loader: window length %lld", (long long) T);
    double sum = 0.0;
    for (int i = 0; i < nparts; i++) {
        const char *path = wb_tokens_path (parts[i].tokens);
        int64_t count = wb_tokens_count (parts[i].tokens);
        sum += parts[i].weight;
        if (!(parts[i].weight > 0.0) || !isfinite (sum))
            return WB_FAIL (WB_EUSAGE, "%s: weight %g, must be above 0 and finite", path, parts[i].weight);
        if (count < T + 1)
            return WB_FAIL (WB_EDATA,
                            "%s: %lld tokens, but one window takes %lld (context + 1); encode more text or "
                            "choose a shorter context",
                            path, (long long) count, (long long) T + 1);
    }
    wb_loader_t *l = wb_calloc (1, sizeof *l);
    if (l == NULL) return WB_NOMEM ("loader");
    *l = (wb_loader_t){.nparts = nparts, .shuffle = shuffle, .T = T, .seed = seed};
    l->stream = wb_rng_stream ("loader");
    l->parts = wb_calloc ((size_t) nparts, sizeof *l->parts);
    wb_status status = l->parts != NULL ? WB_OK : WB_NOMEM ("loader");
    if (status == WB_OK) {
        round_weights (l->parts, parts, nparts);
        for (int i = 0; i < nparts; i++) {
            l->parts[i].tokens = parts[i].tokens;
            l->parts[i].windows = (wb_tokens_count (parts[i].tokens) - 1) / T;
            wb_tokens_advise (parts[i].tokens, shuffle);
        }
        if (nparts > 1) status = fill_places (l);
    }
    if (status != WB_OK) {
        wb_loader_destroy (l);
        return status;
    }
    *out = l;
    return WB_OK;
}

void wb_loader_destroy (wb_loader_t *l) {
    if (l == NULL) return;
    wb_free (l->parts);
    wb_free (l->place);
    wb_free (l->rank);
    wb_free (l);
}

void wb_loader_where (const wb_loader_t *l, int *part, int64_t *window, int64_t k) {
    WB_ASSERT (k >= 0);
    int p = 0;
    if (l->nparts > 1) {
        p = l->place[k % PLACES];
        k = k / PLACES * l->parts[p].share + l->rank[k % PLACES];
    }
    int64_t n = l->parts[p].windows, epoch = k / n;
    *part = p;
    *window = k % n;
    if (l->shuffle)
        *window = wb_rng_permute (k % n, n, l->seed, wb_rng_u64 (l->stream, (uint64_t) p, (uint64_t) epoch));
}

wb_status wb_loader_sample (const wb_loader_t *l, int32_t *ids, int64_t k) {
    int p;
    int64_t w;
    wb_loader_where (l, &p, &w, k);
    return wb_tokens_read_masked (l->parts[p].tokens, ids, w * l->T, l->T + 1);
}

void wb_loader_prefetch (const wb_loader_t *l, int64_t k) {
    int p;
    int64_t w;
    wb_loader_where (l, &p, &w, k);
    wb_tokens_prefetch (l->parts[p].tokens, w * l->T, l->T + 1);
}

int64_t wb_loader_windows (const wb_loader_t *l) {
    int64_t n = 0;
    for (int i = 0; i < l->nparts; i++) n += l->parts[i].windows;
    return n;
}
