/* Inference: the whole model in one process, with a cache of keys and values.
 *
 * New positions of any number of sequences are pushed together: each linear processes them as one batch, so that the
 * weights are read from memory once; only attention runs sequence by sequence, against a cache for each sequence and
 * layer.  With one new position a linear is a matrix-vector product, limited by the bandwidth of the memory: so the
 * matrices are kept in panels (kernels/pack.c) as long as the object exists.  The result of a position has the same
 * bits whatever other sequences are pushed with it.  Nothing is allocated after new.
 *
 * Not here: sampling (sample.c), sliding windows (the caller knows what to keep), ranks. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/infer.h"

enum {
    HEAD_ROWS = 32 /* rows of logits computed at once for log-probabilities */
};

struct wb_infer {
    wb_size_t s;
    const wb_kern_t *k;
    wb_arena_t *arena;
    int B;
    int64_t max_rows;
    const wb_params_t *params;
    float *weights; /* matrices in panels */
    const float *wte, *wpe, *lnf_g, *lnf_b;
    wb_layer_offsets_t *layers; /* [L] */
    int64_t *length;            /* [B] positions held */
    float *cache;               /* [B][L] keys and values */
    float *x;                   /* [max_rows, C] residual stream */
    float *y;                   /* [max_rows, C] LayerNorm's output */
    float *wide;  /* [max_rows, 4 C] before GELU; earlier qkv [rows, 3 C], then the attention's output [rows, C] */
    float *act;   /* [max_rows, 4 C] after GELU */
    float *last;  /* [B, C] rows whose logits are wanted */
    float *block; /* [head_rows, V] logits for log-probabilities */
    float *mx, *sum, *hit;
    float *work;       /* attention */
    wb_cached_t *seqs; /* [B] */
    float *packed;     /* [max_rows, 4 C] x of a product, packed for the kernel */
    float *panels;     /* work space to change the layout of matrices */
};

static int64_t head_rows (int64_t max_rows) { return max_rows < HEAD_ROWS ? max_rows : HEAD_ROWS; }
static int64_t cache_floats (const wb_size_t *s) { return wb_cache_floats (s->T, s->H, s->C / s->H); }
static int64_t panels_floats (const wb_size_t *s) {
    const int64_t a = wb_panels_work_floats (WB_PANELS_OF_ROWS, s->C, 4 * s->C),
                  b = wb_panels_work_floats (WB_PANELS_OF_COLUMNS, s->C, s->V);
    return a > b ? a : b;
}
/* All memory of the object; on a counting arena its size.  s, B and max_rows are set. */
static void carve (wb_infer_t *inf, wb_arena_t *a) {
    const wb_size_t *s = &inf->s;
    const int64_t B = inf->B, rows = inf->max_rows, C = s->C, head = head_rows (rows);
    inf->layers = wb_arena_alloc (a, (size_t) s->L * sizeof *inf->layers);
    inf->length = wb_arena_alloc (a, (size_t) B * sizeof *inf->length);
    inf->seqs = wb_arena_alloc (a, (size_t) B * sizeof *inf->seqs);
    inf->cache = wb_arena_floats (a, B * s->L * cache_floats (s));
    inf->x = wb_arena_floats (a, rows * C);
    inf->y = wb_arena_floats (a, rows * C);
    inf->wide = wb_arena_floats (a, rows * 4 * C);
    inf->act = wb_arena_floats (a, rows * 4 * C);
    inf->last = wb_arena_floats (a, B * C);
    inf->block = wb_arena_floats (a, head * s->V);
    inf->mx = wb_arena_floats (a, head);
    inf->sum = wb_arena_floats (a, head);
    inf->hit = wb_arena_floats (a, head);
    inf->work = wb_arena_floats (a, wb_cached_work_floats (s->T, s->H, C / s->H, inf->B, wb_kern_threads ()));
    inf->packed = wb_arena_floats (a, rows * 4 * C);
    inf->panels = wb_arena_floats (a, panels_floats (s));
}

size_t wb_infer_bytes (const wb_size_t *s, int B, int64_t max_rows) {
    wb_infer_t inf = {.s = *s, .B = B, .max_rows = max_rows};
    wb_arena_t count = wb_arena_counting ();
    carve (&inf, &count);
    return wb_arena_used (&count);
}

/* All matrices into panels, or back. */
static void arrange (const wb_infer_t *inf, void (*how) (float *A, wb_panels form, float *work, int64_t k, int64_t n)) {
    for (const wb_param_t *p = inf->params->list; p < inf->params->list + inf->params->n; p++)
        if (p->cls == WB_CLASS_MATRIX)
            how (inf->weights + p->offset, WB_PANELS_OF_ROWS, inf->panels, p->rows, p->cols);
        else if (p->role == WB_ROLE_WTE)
            how (inf->weights + p->offset, WB_PANELS_OF_COLUMNS, inf->panels, p->cols, p->rows);
}

static const float *weight (const wb_infer_t *inf, wb_role role) {
    return inf->weights + wb_params_get (inf->params, role, 0)->offset;
}

wb_status wb_infer_new (wb_infer_t **out, const wb_size_t *s, const wb_params_t *params, float *weights,
                        const wb_kern_t *k, int B, int64_t max_rows) {
    *out = NULL;
    wb_arena_t *a;
    WB_TRY (wb_arena_new (&a, "inference", wb_infer_bytes (s, B, max_rows)));
    wb_infer_t *inf = wb_calloc (1, sizeof *inf);
    if (inf == NULL) {
        wb_arena_destroy (a);
        return WB_NOMEM ("inference");
    }
    *inf =
        (wb_infer_t){.s = *s, .k = k, .arena = a, .B = B, .max_rows = max_rows, .params = params, .weights = weights};
    carve (inf, a);
    wb_arena_seal (a);

    inf->wte = weight (inf, WB_ROLE_WTE);
    inf->wpe = weight (inf, WB_ROLE_WPE);
    inf->lnf_g = weight (inf, WB_ROLE_LNF_G);
    inf->lnf_b = weight (inf, WB_ROLE_LNF_B);
    for (int64_t l = 0; l < s->L; l++) wb_layer_offsets (&inf->layers[l], params, l);
    arrange (inf, wb_panels_pack);
    *out = inf;
    return WB_OK;
}

void wb_infer_destroy (wb_infer_t *inf) {
    if (inf == NULL) return;
    arrange (inf, wb_panels_unpack);
    wb_arena_destroy (inf->arena);
    wb_free (inf);
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static float *cache_of (const wb_infer_t *inf, int b, int64_t l) {
    return inf->cache + (b * inf->s.L + l) * cache_floats (&inf->s);
}

int64_t wb_infer_length (const wb_infer_t *inf, int b) {
    WB_ASSERT (b >= 0 && b < inf->B);
    return inf->length[b];
}

void wb_infer_rewind (wb_infer_t *inf, int b, int64_t length) {
    WB_ASSERT (b >= 0 && b < inf->B && length >= 0 && length <= inf->length[b]);
    inf->length[b] = length;
}

void wb_infer_copy (wb_infer_t *inf, int to, int from) {
    WB_ASSERT (to >= 0 && to < inf->B && from >= 0 && from < inf->B);
    if (to == from) return;
    const int64_t used = wb_cache_floats (inf->length[from], inf->s.H, inf->s.C / inf->s.H);
    for (int64_t l = 0; l < inf->s.L; l++)
        memcpy (cache_of (inf, to, l), cache_of (inf, from, l), (size_t) used * sizeof (float));
    inf->length[to] = inf->length[from];
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* y [rows, m] = (add: y) + b + x [rows, k] w. */
static void linear (const wb_infer_t *inf, float *y, const float *x, const float *w, const float *b, int64_t rows,
                    int64_t k, int64_t m, bool add) {
    inf->k->panel_linear (y, x, w, b, inf->packed, rows, m, k, add);
}

static void forward_layer (wb_infer_t *inf, int64_t l, const int *seqs, const int64_t *counts, int nseq, int64_t rows) {
    const wb_kern_t *k = inf->k;
    const wb_layer_offsets_t *at = &inf->layers[l];
    const float *w = inf->weights;
    const int64_t C = inf->s.C, H = inf->s.H;
    float *qkv = inf->wide, *att = inf->wide + rows * 3 * C;

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w + at->ln1_g, w + at->ln1_b, rows, C);
    linear (inf, qkv, inf->y, w + at->qkv_w, w + at->qkv_b, rows, C, 3 * C, false);
    for (int64_t i = 0, row = 0; i < nseq; row += counts[i], i++)
        inf->seqs[i] = (wb_cached_t){.out = att + row * C,
                                     .qkv = qkv + row * 3 * C,
                                     .cache = cache_of (inf, seqs[i], l),
                                     .n = counts[i],
                                     .len = inf->length[seqs[i]] + counts[i]};
    k->attention_cached (inf->seqs, inf->work, nseq, H, C / H);
    linear (inf, inf->x, att, w + at->att_w, w + at->att_b, rows, C, C, true);

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w + at->ln2_g, w + at->ln2_b, rows, C);
    linear (inf, inf->wide, inf->y, w + at->fc_w, w + at->fc_b, rows, C, 4 * C, false);
    k->gelu_forward (inf->act, inf->wide, rows * 4 * C);
    linear (inf, inf->x, inf->act, w + at->proj_w, w + at->proj_b, rows, 4 * C, C, true);
}

/* logits [n, V] = h [n, C] wte^T. */
static void head (const wb_infer_t *inf, float *logits, const float *h, int64_t n) {
    linear (inf, logits, h, inf->wte, NULL, n, inf->s.C, inf->s.V, false);
}

void wb_infer_push (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const int *seqs,
                    const int64_t *counts, int nseq) {
    const wb_kern_t *k = inf->k;
    const int64_t C = inf->s.C;
    int64_t rows = 0;
    if (nseq == 0) return;
    WB_ASSERT (nseq > 0 && nseq <= inf->B);
    for (int i = 0; i < nseq; i++) {
        const int b = seqs[i];
        const int64_t n = counts[i];
        WB_ASSERT (b >= 0 && b < inf->B && n > 0 && inf->length[b] + n <= inf->s.T && rows + n <= inf->max_rows);
        wb_panels_columns (inf->x + rows * C, inf->wte, tokens + rows, n, C, inf->s.V);
        k->add (inf->x + rows * C, inf->wpe + inf->length[b] * C, n * C);
        rows += n;
    }
    for (int64_t l = 0; l < inf->s.L; l++) forward_layer (inf, l, seqs, counts, nseq, rows);
    for (int i = 0; i < nseq; i++) inf->length[seqs[i]] += counts[i];

    if (hidden != NULL) k->layernorm_forward (hidden, NULL, NULL, inf->x, inf->lnf_g, inf->lnf_b, rows, C);
    if (logits == NULL) return;
    for (int64_t i = 0, end = 0; i < nseq; i++) {
        end += counts[i];
        memcpy (inf->y + i * C, inf->x + (end - 1) * C, (size_t) C * sizeof (float));
    }
    k->layernorm_forward (inf->last, NULL, NULL, inf->y, inf->lnf_g, inf->lnf_b, nseq, C);
    head (inf, logits, inf->last, nseq);
}

void wb_infer_logprobs (wb_infer_t *inf, float *logprob, const float *hidden, const int32_t *targets, int64_t n) {
    const int64_t C = inf->s.C, V = inf->s.V, max = head_rows (inf->max_rows);
    for (int64_t i = 0; i < n; i += max) {
        const int64_t m = n - i < max ? n - i : max;
        head (inf, inf->block, hidden + i * C, m);
        inf->k->xent_max (inf->mx, inf->block, m, V, V);
        inf->k->xent_sum (inf->sum, inf->hit, inf->block, inf->mx, targets + i, m, V, V, 0);
        for (int64_t j = 0; j < m; j++)
            logprob[i + j] = targets[i + j] < 0 ? 0.0f : inf->hit[j] - inf->mx[j] - logf (inf->sum[j]);
    }
}
