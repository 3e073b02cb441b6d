/* Gradients into the ring while the backward pass still runs, weights round the ring after the update.
 *
 * The block is cut in buckets, numbered from its end, because that is the order in which the backward pass finishes
 * them.  wte has buckets of its own: it is final last, and with a pipeline it lies on the first and on the last stage,
 * whose gradients are summed once more over that pair, piece by piece.  With sequence parallelism the small vectors
 * that every tensor rank holds carry partial gradients, and so do the whole sides of adapters always; those of a layer
 * lie side by side and are summed over the tensor group just before their bucket may leave.
 *
 * Piece d of each bucket belongs to data rank d; all else (segments, states, files) follows from where the pieces
 * begin. zero = 1: only that piece is updated here, and weights are gathered; zero = 0: gradients are gathered and all
 * is updated everywhere.  Norms and files count a piece once in either case, so both give the same bits.
 *
 * The gather of weights runs on into the next step, whose forward pass waits layer by layer for what it reads.
 *
 * What is frozen lies before all that learns and is in no bucket: there the block of gradients begins.  The pieces that
 * are written to files are cut evenly there.
 *
 * Not here: the rings (comm/ring.c), and who owns the matrices of Muon (muon_share.c). */
#include "config.h"

#include <string.h>

#include "train/gradsync.h"

#define BUCKET_FLOATS ((int64_t) 2 << 20)

typedef struct bucket {
    int64_t begin, end;
    const int64_t *bounds; /* [dp + 1] floats from begin: piece d belongs to data rank d */
    int64_t gather;        /* number of the operation that gathers its weights */
    bool gathering;        /* that has started in this step */
} bucket_t;

typedef struct stretch {
    int64_t begin, end;
} stretch_t;

struct wb_gradsync {
    const wb_topo_t *topo;
    const wb_kern_t *k;
    int64_t fixed; /* floats of the block that are frozen: gradients begin there */
    bool zero;
    wb_ring_t *ring;         /* gradients over data; wire as configured */
    wb_ring_t *weights;      /* weights over data, fp32; the same ring when the wire is fp32 */
    wb_ring_t *tied;         /* wte over the embed pair, NULL without */
    bucket_t *buckets;       /* [nbuckets], from the end of the block */
    int64_t *bounds;         /* [nbuckets][dp + 1] */
    int nbuckets, tied_from; /* buckets tied_from .. nbuckets - 1 hold wte */
    stretch_t *partial;      /* [npartial] from the end of the block */
    int npartial;
    wb_segment_t *owned, *updated;
    int nowned, nupdated;
    bool wte_last; /* the forward pass reads wte in its head only */
    /* this step */
    float *grads;
    int reduced, summed; /* buckets and partial stretches that were started */
    double first;        /* when its first bucket started, 0 before */
    bool gathering;      /* weights may be under way */
    double gather_seconds, reduce_seconds;
};

static int64_t round_up (int64_t floats) { return (floats + 15) / 16 * 16; }

void wb_bucket_plan_destroy (wb_bucket_plan_t *plan) {
    if (plan == NULL) return;
    wb_free (plan->begin);
    wb_free (plan->bounds);
    wb_free (plan);
}

/* ---- cutting the block ------------------------------------------------------------------------------------------- */

/* Buckets from the end of the block to where it is frozen: first the planned ones, then as many of at most `size`
 * floats as it takes, none of which holds wte and other parameters.  NULL out: count only. */
static int cut_buckets (bucket_t *out, int *tied_from, const wb_params_t *params, int64_t size,
                        const wb_bucket_plan_t *plan) {
    const wb_param_t *wte = wb_params_get (params, WB_ROLE_WTE, 0);
    const int64_t edge = wte->offset >= 0 ? round_up (wb_param_own (wte)) : 0; /* wte is the begin of the block */
    int64_t end = params->own;
    int n = 0;
    for (; plan != NULL && n < plan->n; n++) {
        if (out != NULL) out[n] = (bucket_t){plan->begin[n], end, plan->bounds + n * (plan->dp + 1), 0, false};
        end = plan->begin[n];
    }
    *tied_from = -1;
    while (end > params->fixed) {
        const int64_t low = end > edge && edge > params->fixed ? edge : params->fixed,
                      begin = end - low > size ? end - size : low;
        if (end <= edge && *tied_from < 0) *tied_from = n;
        if (out != NULL) out[n] = (bucket_t){begin, end, NULL, 0, false};
        n++;
        end = begin;
    }
    if (*tied_from < 0) *tied_from = n;
    return n;
}

static int64_t bucket_size (const wb_params_t *params, int64_t bucket_floats) {
    const int64_t size = bucket_floats > 0 ? bucket_floats : BUCKET_FLOATS;
    const int64_t learns = params->own - params->fixed;
    return size < learns ? size : learns;
}

/* Floats of the longest bucket. */
static int64_t longest (const wb_params_t *params, int64_t size, const wb_bucket_plan_t *plan) {
    int64_t end = params->own;
    for (int i = 0; plan != NULL && i < plan->n; end = plan->begin[i++])
        if (end - plan->begin[i] > size) size = end - plan->begin[i];
    return size;
}

size_t wb_gradsync_bytes (const wb_layout_t *lo, const wb_params_t *params, int64_t bucket_floats, wb_wire wire,
                          const wb_bucket_plan_t *plan) {
    const int64_t size = bucket_size (params, bucket_floats), max = longest (params, size, plan);
    int tied_from;
    const int buckets = cut_buckets (NULL, &tied_from, params, size, plan), n = buckets > 0 ? buckets : 1;
    size_t bytes = 0;
    if (lo->dp > 1) {
        bytes += wb_ring_bytes (lo->dp, max, n, wire, 0);
        if (wire != WB_WIRE_FP32) bytes += wb_ring_bytes (lo->dp, max, n, WB_WIRE_FP32, 0);
    }
    if (lo->pp > 1 && (wb_layout_has_embed (lo) || wb_layout_has_head (lo)))
        bytes += wb_ring_bytes (2, max, n, WB_WIRE_FP32, 0);
    return bytes;
}

/* The own piece of a bucket: first float in the block, and how many. */
static int64_t own_piece (const wb_gradsync_t *g, const bucket_t *b, int64_t *count) {
    const int d = g->topo->dp_rank;
    *count = b->bounds[d + 1] - b->bounds[d];
    return b->begin + b->bounds[d];
}

/* Cut floats begin .. end - 1 of the block by parameters, appending to the n segments there are; NULL out: count only.
 */
static int cut_range (wb_segment_t *out, int n, const wb_params_t *params, int64_t begin, int64_t end,
                      bool primary_only) {
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if (p->offset < 0 || (primary_only && !p->primary)) continue;
        const int64_t a = p->offset > begin ? p->offset : begin,
                      b = p->offset + wb_param_own (p) < end ? p->offset + wb_param_own (p) : end;
        if (a >= b) continue;
        if (out != NULL) out[n] = (wb_segment_t){p, a - p->offset, b - a, a, 0, a - params->fixed};
        n++;
    }
    return n;
}

/* Segments of the own pieces: of what is written, the share of what is frozen first. */
static int cut_pieces (wb_segment_t *out, const wb_gradsync_t *g, const wb_params_t *params, bool primary_only) {
    const int dp = g->topo->dp, d = g->topo->dp_rank;
    int n = 0;
    if (primary_only)
        n = cut_range (out, n, params, wb_split_first (g->fixed, dp, d), wb_split_first (g->fixed, dp, d + 1), true);
    for (int i = 0; i < g->nbuckets; i++) {
        int64_t count, first = own_piece (g, &g->buckets[i], &count);
        n = cut_range (out, n, params, first, first + count, primary_only);
    }
    return n;
}

/* Segments of what is updated here. */
static int cut_updated (wb_segment_t *out, const wb_gradsync_t *g, const wb_params_t *params) {
    return g->zero ? cut_pieces (out, g, params, false) : cut_range (out, 0, params, g->fixed, params->own, false);
}

/* The parameter with partial gradients that lies last in the block before float `below`. */
static const wb_param_t *partial_before (const wb_params_t *params, bool sequence, int64_t below) {
    const wb_param_t *last = NULL;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        if ((p->tensor_partial || (sequence && p->sequence_partial)) && !p->frozen && p->offset >= 0 &&
            p->offset < below && (last == NULL || p->offset > last->offset))
            last = p;
    }
    return last;
}

/* Stretches of partial gradients from the end of the block, joined where they touch; NULL out: an upper bound. */
static int find_partial (stretch_t *out, const wb_params_t *params, bool sequence) {
    int n = 0;
    for (const wb_param_t *p = partial_before (params, sequence, params->own + 1); p != NULL;
         p = partial_before (params, sequence, p->offset)) {
        const int64_t end = round_up (p->offset + wb_param_own (p));
        if (out != NULL && n > 0 && out[n - 1].begin == end)
            out[n - 1].begin = p->offset;
        else if (out != NULL)
            out[n++] = (stretch_t){p->offset, end};
        else
            n++;
    }
    return n;
}

/* ---- new and destroy --------------------------------------------------------------------------------------------- */

static wb_status new_buckets (wb_gradsync_t *g, const wb_params_t *params, int64_t size, const wb_bucket_plan_t *plan) {
    const int dp = g->topo->dp;
    g->nbuckets = cut_buckets (NULL, &g->tied_from, params, size, plan);
    g->buckets = wb_calloc ((size_t) g->nbuckets + 1, sizeof *g->buckets);
    g->bounds = wb_calloc ((size_t) g->nbuckets + 1, (size_t) (dp + 1) * sizeof *g->bounds);
    if (g->buckets == NULL || g->bounds == NULL) return WB_NOMEM ("the buckets of gradients");
    cut_buckets (g->buckets, &g->tied_from, params, size, plan);
    for (int i = 0; i < g->nbuckets; i++) { /* the same on all data ranks, and on both ends of a pipeline for wte */
        bucket_t *b = &g->buckets[i];
        int64_t *bounds = g->bounds + i * (dp + 1);
        for (int d = 0; d <= dp; d++)
            bounds[d] = b->bounds != NULL ? b->bounds[d] : wb_split_first (b->end - b->begin, dp, d);
        b->bounds = bounds;
    }
    return WB_OK;
}

static wb_status new_segments (wb_gradsync_t *g, const wb_params_t *params) {
    g->nowned = cut_pieces (NULL, g, params, true);
    g->nupdated = cut_updated (NULL, g, params);
    g->owned = wb_calloc ((size_t) g->nowned + 1, sizeof *g->owned);
    g->updated = wb_calloc ((size_t) g->nupdated + 1, sizeof *g->updated);
    if (g->owned == NULL || g->updated == NULL) return WB_NOMEM ("the segments of a rank");
    cut_pieces (g->owned, g, params, true);
    cut_updated (g->updated, g, params);
    return WB_OK;
}

static wb_status new_partial (wb_gradsync_t *g, const wb_params_t *params, bool sequence) {
    g->partial = wb_calloc ((size_t) find_partial (NULL, params, sequence) + 1, sizeof *g->partial);
    if (g->partial == NULL) return WB_NOMEM ("the list of partial gradients");
    g->npartial = find_partial (g->partial, params, sequence);
    return WB_OK;
}

static wb_status new_tables (wb_gradsync_t *g, const wb_params_t *params, int64_t size, bool sequence,
                             const wb_bucket_plan_t *plan) {
    WB_TRY (new_buckets (g, params, size, plan));
    if (g->topo->tp > 1) WB_TRY (new_partial (g, params, sequence));
    return new_segments (g, params);
}

/* Collective over the world, every ring agreed: a rank alone in a group could not wait for the others.  A stage in
 * which nothing learns has no buckets. */
static wb_status new_rings (wb_gradsync_t *g, int64_t floats, wb_wire wire) {
    const wb_topo_t *topo = g->topo;
    const wb_kern_t *k = g->k;
    const int queue = g->nbuckets > 0 ? g->nbuckets : 1;
    const wb_ring_ops_t ops = {k->add, k->bf16_pack, k->bf16_unpack, k->bf16_add};
    WB_TRY (wb_agree (topo->world, wb_ring_new (&g->ring, topo->data, floats, queue, wire, 0, &ops)));
    g->weights = g->ring;
    if (wire != WB_WIRE_FP32)
        WB_TRY (wb_agree (topo->world, wb_ring_new (&g->weights, topo->data, floats, queue, WB_WIRE_FP32, 0, &ops)));
    wb_status status = WB_OK;
    if (topo->embed != NULL) status = wb_ring_new (&g->tied, topo->embed, floats, queue, WB_WIRE_FP32, 0, &ops);
    WB_TRY (wb_agree (topo->world, status));
    status = wb_ring_thread (g->ring);
    if (status == WB_OK) status = wb_ring_thread (g->weights);
    return wb_agree (topo->world, status);
}

wb_status wb_gradsync_new (wb_gradsync_t **out, const wb_topo_t *topo, const wb_params_t *params, const wb_kern_t *k,
                           int64_t bucket_floats, bool zero, bool sequence, wb_wire wire,
                           const wb_bucket_plan_t *plan) {
    const int64_t size = bucket_size (params, bucket_floats);
    wb_gradsync_t *g = wb_calloc (1, sizeof *g);
    wb_status status = g == NULL ? WB_NOMEM ("the gradient exchange") : WB_OK;
    *out = NULL;
    if (status == WB_OK) {
        g->topo = topo;
        g->k = k;
        g->zero = zero;
        g->fixed = params->fixed;
        g->wte_last = topo->pp > 1 && topo->pp_rank == topo->pp - 1;
        status = new_tables (g, params, size, sequence, plan);
    }
    status = wb_agree (topo->world, status);
    if (status == WB_OK) status = new_rings (g, longest (params, size, plan), wire);
    if (status != WB_OK) {
        wb_gradsync_destroy (g);
        return status;
    }
    *out = g;
    return WB_OK;
}

void wb_gradsync_destroy (wb_gradsync_t *g) {
    if (g == NULL) return;
    wb_gradsync_gather_end (g);
    if (g->weights != g->ring) wb_ring_destroy (g->weights);
    wb_ring_destroy (g->ring);
    wb_ring_destroy (g->tied);
    wb_free (g->buckets);
    wb_free (g->bounds);
    wb_free (g->partial);
    wb_free (g->owned);
    wb_free (g->updated);
    wb_free (g);
}

const wb_segment_t *wb_gradsync_owned (const wb_gradsync_t *g, int *n) {
    *n = g->nowned;
    return g->owned;
}

const wb_segment_t *wb_gradsync_updated (const wb_gradsync_t *g, int *n) {
    *n = g->nupdated;
    return g->updated;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

void wb_gradsync_begin (wb_gradsync_t *g, float *grads) {
    g->grads = grads;
    g->reduced = g->summed = 0;
    g->first = 0;
    for (int i = 0; i < g->nbuckets; i++) g->buckets[i].gathering = false;
}

/* Gradients of the block from float `at` on. */
static float *grads_at (const wb_gradsync_t *g, int64_t at) { return g->grads + (at - g->fixed); }

static bool is_tied (const wb_gradsync_t *g, int bucket) { return g->tied != NULL && bucket >= g->tied_from; }

void wb_gradsync_final (wb_gradsync_t *g, int64_t begin) {
    for (; g->summed < g->npartial && g->partial[g->summed].begin >= begin; g->summed++) {
        const stretch_t *s = &g->partial[g->summed];
        wb_comm_sum_f32 (g->topo->tensor, grads_at (g, s->begin), s->end - s->begin);
    }
    for (; g->reduced < g->nbuckets && g->buckets[g->reduced].begin >= begin; g->reduced++) {
        const bucket_t *b = &g->buckets[g->reduced];
        if (g->reduced == 0) g->first = wb_now ();
        if (g->zero || is_tied (g, g->reduced))
            wb_ring_reduce_scatter_begin (g->ring, grads_at (g, b->begin), b->end - b->begin, b->bounds);
        else
            wb_ring_all_reduce_begin (g->ring, grads_at (g, b->begin), b->end - b->begin, b->bounds);
    }
    wb_ring_poll (g->ring);
}

/* Weights or gradients of a bucket, at `x`, round the data group, each piece from its owner. */
static void gather (wb_gradsync_t *g, float *x, const bucket_t *b) {
    wb_ring_all_gather_begin (g->weights, x, b->end - b->begin, b->bounds);
}

/* The tied embedding: own pieces summed over first and last stage, then (zero = 0) gathered. */
static void sum_tied (wb_gradsync_t *g) {
    for (int i = g->tied_from; i < g->nbuckets; i++) {
        int64_t count, first = own_piece (g, &g->buckets[i], &count);
        wb_ring_all_reduce_begin (g->tied, grads_at (g, first), count, NULL);
    }
    wb_ring_end (g->tied);
    if (g->zero) return;
    for (int i = g->tied_from; i < g->nbuckets; i++) gather (g, grads_at (g, g->buckets[i].begin), &g->buckets[i]);
    wb_ring_end (g->weights);
}

void wb_gradsync_end (wb_gradsync_t *g) {
    wb_gradsync_final (g, 0); /* stages without embedding have no last call of their own */
    wb_ring_end (g->ring);
    if (g->tied != NULL) sum_tied (g);
    if ((g->topo->dp > 1 || g->tied != NULL) && g->nbuckets > 0) g->reduce_seconds += wb_now () - g->first;
}

double wb_gradsync_sumsq (const wb_gradsync_t *g, const float *grads) {
    double sum = 0;
    for (int i = 0; i < g->nowned; i++)
        if (!g->owned[i].param->frozen) sum += g->k->sumsq (grads + g->owned[i].grad, g->owned[i].count);
    return sum;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

void wb_gradsync_gather_begin (wb_gradsync_t *g, float *weights, int64_t end) {
    if (!g->zero || g->topo->dp == 1) return;
    const int head = g->wte_last ? g->tied_from : g->nbuckets; /* buckets from `head` on are read last */
    for (int k = 0; k < g->nbuckets; k++) {                    /* the others from the begin of the block */
        bucket_t *b = &g->buckets[k < head ? head - 1 - k : g->nbuckets - 1 - (k - head)];
        if (b->gathering || b->begin > end) continue;
        b->gather = wb_ring_begun (g->weights);
        gather (g, weights + b->begin, b);
        b->gathering = true;
    }
    g->gathering = true;
}

void wb_gradsync_gather_wait (wb_gradsync_t *g, int64_t begin, int64_t end) {
    int64_t last = -1;
    if (!g->gathering) return;
    for (int i = 0; i < g->nbuckets; i++) {
        const bucket_t *b = &g->buckets[i];
        if (b->begin < end && b->end > begin && b->gather > last) last = b->gather;
    }
    if (wb_ring_poll (g->weights)) {
        g->gathering = false;
        return;
    }
    const double start = wb_now ();
    wb_ring_wait (g->weights, last);
    g->gather_seconds += wb_now () - start;
}

void wb_gradsync_gather_end (wb_gradsync_t *g) {
    if (!g->gathering) return;
    const double start = wb_now ();
    wb_ring_end (g->weights);
    g->gathering = false;
    g->gather_seconds += wb_now () - start;
}

void wb_gradsync_poll (void *ctx) {
    wb_gradsync_t *g = ctx;
    wb_ring_poll (g->ring);
    if (g->gathering && g->weights != g->ring) wb_ring_poll (g->weights);
}

double wb_gradsync_seconds_gather (const wb_gradsync_t *g) { return g->gather_seconds; }
double wb_gradsync_seconds_reduce (const wb_gradsync_t *g) { return g->reduce_seconds; }
