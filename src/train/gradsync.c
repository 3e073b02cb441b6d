/* Gradients into the ring while the backward pass still runs, weights round the ring after the update.
 *
 * The block is cut in buckets, numbered from its end, because that is the order in which the backward pass finishes
 * them.  wte has buckets of its own: it is final last, and with a pipeline it lies on the first and on the last stage,
 * whose gradients are summed once more over that pair, piece by piece.  With sequence parallelism the small vectors
 * every tensor rank holds carry partial gradients; a layer's lie side by side and are summed over the tensor group just
 * before their bucket may leave.
 *
 * Piece d of each bucket belongs to data rank d; deal() says where the pieces begin, and all else (segments, states,
 * files) follows from that.  zero = 1: only that piece is updated here, and weights are gathered;
 * zero = 0: gradients are gathered and all is updated everywhere.  Norms and files count a piece once in either case,
 * so both give the same bits.
 *
 * The gather of weights runs on into the next step, whose forward pass waits layer by layer for what it reads. */
#include "config.h"

#include <string.h>
#include "wabun/train.h"

#define BUCKET_FLOATS ((int64_t) 2 << 20)

typedef struct bucket {
    int64_t begin, end;
    int64_t gather;        /* number of the operation that gathers its weights */
    const int64_t *bounds; /* [D + 1] floats from begin: piece d belongs to data rank d */
} bucket_t;
typedef struct stretch {
    int64_t begin, end;
} stretch_t;

struct wb_gradsync {
    const wb_topo_t *topo;
    const wb_kern_t *k;
    bool zero;
    wb_ring_t *ring;         /* gradients over data; wire as configured */
    wb_ring_t *weights;      /* weights over data, fp32; the same ring when the wire is fp32 */
    wb_ring_t *tied;         /* wte over the embed pair, NULL without */
    bucket_t *buckets;       /* [nbuckets], from the end of the block */
    int64_t *bounds;         /* [nbuckets][D + 1] */
    bool *given;             /* [nbuckets] weights that are on their way */
    int nbuckets, tied_from; /* buckets tied_from .. nbuckets - 1 hold wte */
    stretch_t *partial;      /* [npartial] from the end of the block */
    int npartial;
    wb_segment_t *owned, *updated;
    int nowned, nupdated;
    /* this round */
    float *grads;
    int started, summed;
    double first; /* when its first bucket started, 0 before */
    bool gathering;
    bool wte_last; /* the forward pass reads wte in its head only */
    double need_seconds, gradient_seconds;
};

static int count_buckets (const wb_params_t *params, int64_t size, bucket_t *out, int *tied_from,
                          const wb_deal_t *deal) {
    const wb_param_t *wte = &params->list[0];
    int64_t edge = wte->offset >= 0 ? wb_param_own (wte) : 0, end = params->own;
    int n = 0;

    for (; deal != NULL && n < deal->n; ++n) {
        if (out != NULL) out[n] = (bucket_t){deal->begin[n], end, 0, deal->bounds + n * (deal->dp + 1)};
        end = deal->begin[n];
    }
    edge = (edge + 15) / 16 * 16;
    while (end > 0) {
        int64_t low = end > edge ? edge : 0, begin = end - low > size ? end - size : low;

        if (end == edge || (end <= edge && n == 0)) *tied_from = n;
        if (out != NULL) out[n] = (bucket_t){begin, end, 0, NULL};
        ++n;
        end = begin;
    }
    if (edge == 0) *tied_from = n;
    return n;
}

static int64_t bucket_size (const wb_params_t *params, int64_t bucket_floats) {
    int64_t size = bucket_floats > 0 ? bucket_floats : BUCKET_FLOATS;

    return size < params->own ? size : params->own;
}

/* Floats of the longest bucket. */
static int64_t longest (const wb_params_t *params, int64_t size, const wb_deal_t *deal) {
    int64_t end = params->own;

    for (int i = 0; deal != NULL && i < deal->n; end = deal->begin[i++])
        if (end - deal->begin[i] > size) size = end - deal->begin[i];
    return size;
}

size_t wb_gradsync_bytes (const wb_layout_t *lo, const wb_params_t *params, int64_t bucket_floats, wb_wire wire,
                          const wb_deal_t *deal) {
    int tied_from = 0;
    int64_t size = bucket_size (params, bucket_floats);
    int n = count_buckets (params, size, NULL, &tied_from, deal);
    size_t bytes = 0;

    size = longest (params, size, deal);
    if (lo->dp > 1) {
        bytes += wb_ring_bytes (lo->dp, size, n, wire, 0);
        if (wire != WB_WIRE_FP32) bytes += wb_ring_bytes (lo->dp, size, n, WB_WIRE_FP32, 0);
    }
    if (lo->pp > 1 && (wb_layout_has_embed (lo) || wb_layout_has_head (lo)))
        bytes += wb_ring_bytes (2, size, n, WB_WIRE_FP32, 0);
    return bytes;
}

/* Which data rank owns which part of a bucket: bounds [D + 1], floats from its begin.  The same on every rank of the
 * data group, and on both ends of a pipeline for wte. */
static void deal (int64_t *bounds, const bucket_t *b, int D) {
    for (int d = 0; d <= D; ++d) bounds[d] = wb_split_first (b->end - b->begin, D, d);
}

/* The own piece of a bucket: first float in the block, and how many. */
static int64_t own_piece (const wb_gradsync_t *g, const bucket_t *b, int64_t *count) {
    int d = g->topo->dp_rank;

    *count = b->bounds[d + 1] - b->bounds[d];
    return b->begin + b->bounds[d];
}

/* Floats of optimizer state for a piece: the next piece's begins on a cache line. */
static int64_t state_of (int64_t count) { return (count + 15) / 16 * 16; }

/* Cut floats begin .. end - 1 of the block by parameters, appending segments; NULL out: count only. */
static int cut (wb_segment_t *out, int n, const wb_params_t *params, int64_t begin, int64_t end, bool primary_only,
                int64_t state) {
    for (int i = 0; i < params->n; ++i) {
        const wb_param_t *p = &params->list[i];
        int64_t a, b;

        if (p->offset < 0 || (primary_only && !p->primary)) continue;
        a = p->offset > begin ? p->offset : begin;
        b = p->offset + wb_param_own (p) < end ? p->offset + wb_param_own (p) : end;
        if (a >= b) continue;
        if (out != NULL) out[n] = (wb_segment_t){p, a - p->offset, b - a, a, state + (a - begin)};
        ++n;
    }
    return n;
}

/* Segments of the own pieces; with `all`, of whole parameters. */
static int cut_pieces (wb_segment_t *out, const wb_gradsync_t *g, const wb_params_t *params, bool primary_only,
                       bool all) {
    int n = 0;
    int64_t state = 0;

    if (all) return cut (out, 0, params, 0, params->own, primary_only, 0);
    for (int i = 0; i < g->nbuckets; ++i) {
        int64_t count, first = own_piece (g, &g->buckets[i], &count);

        n = cut (out, n, params, first, first + count, primary_only, g->zero ? state : first);
        state += state_of (count);
    }
    return n;
}

static int find_partial (stretch_t *out, const wb_params_t *params) {
    int n = 0;
    int64_t below = params->own + 1;

    for (;;) { /* parameters from the end of the block, joined where they touch */
        const wb_param_t *at = NULL;
        for (int i = 0; i < params->n; ++i) {
            const wb_param_t *p = &params->list[i];
            if (p->sequence_partial && p->offset >= 0 && p->offset < below && (at == NULL || p->offset > at->offset))
                at = p;
        }
        if (at == NULL) return n;
        below = at->offset;
        if (out != NULL) {
            int64_t end = (at->offset + wb_param_own (at) + 15) / 16 * 16;
            if (n > 0 && out[n - 1].begin == end) {
                out[n - 1].begin = at->offset;
                continue;
            }
            out[n] = (stretch_t){at->offset, end};
        }
        ++n;
    }
}

static wb_status fill (wb_gradsync_t *g, const wb_params_t *params, int64_t bucket_floats, bool sequence,
                       const wb_deal_t *deal_out) {
    int64_t size = bucket_size (params, bucket_floats);
    int D = g->topo->dp;

    g->nbuckets = count_buckets (params, size, NULL, &g->tied_from, deal_out);
    g->buckets = wb_calloc ((size_t) g->nbuckets + 1, sizeof *g->buckets);
    if (g->buckets == NULL) goto memory;
    count_buckets (params, size, g->buckets, &g->tied_from, deal_out);
    g->bounds = wb_calloc ((size_t) g->nbuckets + 1, (size_t) (D + 1) * sizeof *g->bounds);
    g->given = wb_calloc ((size_t) g->nbuckets + 1, sizeof *g->given);
    if (g->bounds == NULL || g->given == NULL) goto memory;
    for (int i = 0; i < g->nbuckets; ++i) {
        if (g->buckets[i].bounds != NULL)
            memcpy (g->bounds + i * (D + 1), g->buckets[i].bounds, (size_t) (D + 1) * sizeof *g->bounds);
        else
            deal (g->bounds + i * (D + 1), &g->buckets[i], D);
        g->buckets[i].bounds = g->bounds + i * (D + 1);
    }
    if (sequence && g->topo->tp > 1) {
        g->npartial = find_partial (NULL, params);
        g->partial = wb_calloc ((size_t) g->npartial + 1, sizeof *g->partial);
        if (g->partial == NULL) goto memory;
        g->npartial = find_partial (g->partial, params);
    }
    g->nowned = cut_pieces (NULL, g, params, true, false);
    g->nupdated = cut_pieces (NULL, g, params, false, !g->zero);
    g->owned = wb_calloc ((size_t) g->nowned + 1, sizeof *g->owned);
    g->updated = wb_calloc ((size_t) g->nupdated + 1, sizeof *g->updated);
    if (g->owned == NULL || g->updated == NULL) goto memory;
    cut_pieces (g->owned, g, params, true, false);
    cut_pieces (g->updated, g, params, false, !g->zero);
    return WB_OK;
memory:
    return WB_NOMEM ("the tables of the gradient exchange");
}

wb_status wb_gradsync_new (wb_gradsync_t **out, const wb_topo_t *topo, const wb_params_t *params, const wb_kern_t *k,
                           int64_t bucket_floats, bool zero, bool sequence, wb_wire wire, const wb_deal_t *deal_out) {
    const wb_ring_ops_t ops = {k->add, k->bf16_pack, k->bf16_unpack, k->bf16_add};
    wb_gradsync_t *g = wb_calloc (1, sizeof *g);
    wb_status status = g == NULL ? WB_NOMEM ("the gradient exchange") : WB_OK;
    int64_t size = longest (params, bucket_size (params, bucket_floats), deal_out);

    *out = NULL;
    if (status == WB_OK) {
        g->topo = topo;
        g->k = k;
        g->zero = zero;
        status = fill (g, params, bucket_floats, sequence, deal_out);
    }
    status = wb_agree (topo->world, status);
    if (status == WB_OK) status = wb_ring_new (&g->ring, topo->data, size, g->nbuckets, wire, 0, &ops);
    status = wb_agree (topo->world, status);
    if (status == WB_OK) {
        g->weights = g->ring;
        if (wire != WB_WIRE_FP32)
            status = wb_ring_new (&g->weights, topo->data, size, g->nbuckets, WB_WIRE_FP32, 0, &ops);
    }
    status = wb_agree (topo->world, status);
    if (status == WB_OK && topo->embed != NULL)
        status = wb_ring_new (&g->tied, topo->embed, size, g->nbuckets, WB_WIRE_FP32, 0, &ops);
    status = wb_agree (topo->world, status);
    if (status == WB_OK) {
        g->wte_last = topo->pp > 1 && topo->pp_rank == topo->pp - 1;
        status = wb_ring_thread (g->ring);
        if (status == WB_OK) status = wb_ring_thread (g->weights);
    }
    status = wb_agree (topo->world, status);
    if (status != WB_OK) {
        wb_gradsync_destroy (g);
        return status;
    }
    *out = g;
    return WB_OK;
}

void wb_gradsync_destroy (wb_gradsync_t *g) {
    if (g == NULL) return;
    wb_gradsync_settle (g);
    if (g->weights != g->ring) wb_ring_destroy (g->weights);
    wb_ring_destroy (g->ring);
    wb_ring_destroy (g->tied);
    wb_free (g->buckets);
    wb_free (g->bounds);
    wb_free (g->given);
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

void wb_gradsync_begin (wb_gradsync_t *g, float *grads) {
    g->grads = grads;
    g->started = g->summed = 0;
    g->first = 0;
    memset (g->given, 0, (size_t) g->nbuckets * sizeof *g->given);
}

static bool is_tied (const wb_gradsync_t *g, int bucket) { return g->tied != NULL && bucket >= g->tied_from; }

void wb_gradsync_final (wb_gradsync_t *g, int64_t begin) {
    for (; g->summed < g->npartial && g->partial[g->summed].begin >= begin; ++g->summed) {
        const stretch_t *s = &g->partial[g->summed];
        wb_comm_sum_f32 (g->topo->tensor, g->grads + s->begin, s->end - s->begin);
    }
    for (; g->started < g->nbuckets && g->buckets[g->started].begin >= begin; ++g->started) {
        const bucket_t *b = &g->buckets[g->started];
        if (g->started == 0) g->first = wb_now ();
        if (g->zero || is_tied (g, g->started))
            wb_ring_reduce_scatter_begin (g->ring, g->grads + b->begin, b->end - b->begin, b->bounds);
        else
            wb_ring_all_reduce_begin (g->ring, g->grads + b->begin, b->end - b->begin, b->bounds);
    }
    wb_ring_poll (g->ring);
}

void wb_gradsync_poll (void *ctx) {
    wb_gradsync_t *g = ctx;

    wb_ring_poll (g->ring);
    if (g->gathering && g->weights != g->ring) wb_ring_poll (g->weights);
}

/* A bucket of weights or gradients round the data group, each piece from its owner. */
static void gather (wb_gradsync_t *g, float *block, const bucket_t *b) {
    wb_ring_all_gather_begin (g->weights, block + b->begin, b->end - b->begin, b->bounds);
}

/* The tied embedding: own pieces summed over first and last stage, then (zero = 0) gathered. */
static void sum_tied (wb_gradsync_t *g) {
    for (int i = g->tied_from; i < g->nbuckets; ++i) {
        int64_t count, first = own_piece (g, &g->buckets[i], &count);

        wb_ring_all_reduce_begin (g->tied, g->grads + first, count, NULL);
    }
    wb_ring_end (g->tied);
    if (g->zero) return;
    for (int i = g->tied_from; i < g->nbuckets; ++i) gather (g, g->grads, &g->buckets[i]);
    wb_ring_end (g->weights);
}

void wb_gradsync_end (wb_gradsync_t *g) {
    wb_gradsync_final (g, 0); /* stages without embedding have no last call of their own */
    wb_ring_end (g->ring);
    if (g->tied != NULL) sum_tied (g);
    if (g->topo->dp > 1 || g->tied != NULL) g->gradient_seconds += wb_now () - g->first;
}

double wb_gradsync_sumsq (const wb_gradsync_t *g, const float *grads) {
    double sum = 0;

    for (int i = 0; i < g->nowned; ++i) sum += g->k->sumsq (grads + g->owned[i].flat, g->owned[i].count);
    return sum;
}

void wb_gradsync_give (wb_gradsync_t *g, float *weights, int64_t end) {
    int edge = g->wte_last ? g->tied_from : g->nbuckets;

    for (int k = 0; k < g->nbuckets; ++k) { /* from the block's begin */
        int i = k < edge ? edge - 1 - k : g->nbuckets - 1 - (k - edge);
        bucket_t *b = &g->buckets[i];
        if (g->given[i] || b->begin > end) continue;
        b->gather = wb_ring_begun (g->weights);
        gather (g, weights, b);
        g->given[i] = true;
    }
    g->gathering = true;
}

void wb_gradsync_weights (wb_gradsync_t *g, float *weights) {
    if (!g->zero || g->topo->dp == 1) return;
    wb_gradsync_give (g, weights, INT64_MAX);
}

void wb_gradsync_need (wb_gradsync_t *g, int64_t begin, int64_t end) {
    int64_t last = -1;
    double start;

    if (!g->gathering) return;
    for (int i = 0; i < g->nbuckets; ++i) {
        const bucket_t *b = &g->buckets[i];
        if (b->begin < end && b->end > begin && b->gather > last) last = b->gather;
    }
    if (wb_ring_poll (g->weights)) {
        g->gathering = false;
        return;
    }
    start = wb_now ();
    wb_ring_wait (g->weights, last);
    g->need_seconds += wb_now () - start;
}

void wb_gradsync_settle (wb_gradsync_t *g) {
    double start = wb_now ();

    if (!g->gathering) return;
    wb_ring_end (g->weights);
    g->gathering = false;
    g->need_seconds += wb_now () - start;
}

double wb_gradsync_seconds_need (const wb_gradsync_t *g) { return g->need_seconds; }
double wb_gradsync_seconds_gradients (const wb_gradsync_t *g) { return g->gradient_seconds; }
