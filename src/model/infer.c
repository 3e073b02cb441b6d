/* Inference: the whole model in one process, with a cache of keys and values.
 *
 * New positions of any number of sequences are pushed together: each linear sees all of them as one batch, so that the
 * weights come from memory once; only attention runs sequence by sequence, against the cache [sequence][layer][K or V]
 * [H, T, D].  With one new position the work is a matrix-vector product a linear, bound by the memory's bandwidth.
 * Nothing is allocated after new.
 *
 * Not here: sampling (cli/sample.c), windows that slide (who pushes knows what to keep), ranks. */
#include "config.h"

#include <math.h>
#include <string.h>

#include <wabun/model.h>

enum {
    HEAD_ROWS = 32, /* logits made at once for log-probabilities */
    FEW_ROWS = 16   /* up to so many the weights are read once by the kernels for few rows */
};

typedef struct layer {
    const float *ln1_g, *ln1_b, *qkv_w, *qkv_b, *att_w, *att_b, *ln2_g, *ln2_b, *fc_w, *fc_b, *proj_w, *proj_b;
} layer_t;

struct wb_infer {
    wb_size_t s;
    const wb_kern_t *k;
    wb_arena_t *arena;
    int B;
    int64_t max_rows;
    const float *wte, *wpe, *lnf_g, *lnf_b;
    layer_t *layers;
    int64_t *length; /* [B] positions held */
    float *cache;    /* [B][L][2][H, T, D] */
    float *x;        /* [max_rows, C] residual stream */
    float *y;        /* [max_rows, C] LayerNorm's output, then what is added to x */
    float *wide;     /* [max_rows, 4 C] before GELU; in its front qkv, behind that the attention's output */
    float *act;      /* [max_rows, 4 C] behind GELU */
    float *last;     /* [B, C] rows whose logits are wanted */
    float *block;    /* [head_rows, V] logits for log-probabilities */
    float *mx, *sum, *hit;
    float *work;       /* attention */
    wb_cached_t *seqs; /* [B] */
    float *few;        /* sums of products with few rows */
};

static int64_t head_rows (int64_t max_rows) { return max_rows < HEAD_ROWS ? max_rows : HEAD_ROWS; }
static int64_t few_rows (int64_t max_rows) { return max_rows < FEW_ROWS ? max_rows : FEW_ROWS; }
static int64_t cache_floats (const wb_size_t *s) { return s->L * 2 * s->T * s->C; }
static size_t floats (int64_t n) { return wb_align ((size_t) n * sizeof (float)); }

size_t wb_infer_bytes (const wb_size_t *s, int B, int64_t max_rows) {
    const int64_t rows = head_rows (max_rows);
    return wb_align ((size_t) s->L * sizeof (layer_t)) + wb_align ((size_t) B * sizeof (int64_t)) +
           wb_align ((size_t) B * sizeof (wb_cached_t)) + floats (B * cache_floats (s)) + 2 * floats (max_rows * s->C) +
           2 * floats (max_rows * 4 * s->C) + floats (B * s->C) + floats (rows * s->V) + 3 * floats (rows) +
           floats (wb_attention_work_floats (s->T, s->C / s->H, wb_kern_threads ())) +
           floats (wb_few_work_floats (few_rows (max_rows), 4 * s->C));
}

static const float *weight (const wb_params_t *params, const float *weights, const char *name) {
    const wb_param_t *p = wb_params_find (params, name);
    WB_ASSERT (p != NULL && p->offset >= 0);
    return weights + p->offset;
}

static const float *layer_weight (const wb_params_t *params, const float *weights, int64_t l, const char *name) {
    char full[64];
    snprintf (full, sizeof full, "h.%lld.%s", (long long) l, name);
    return weight (params, weights, full);
}

wb_status wb_infer_new (wb_infer_t **out, const wb_size_t *s, const wb_params_t *params, const float *weights,
                        const wb_kern_t *k, int B, int64_t max_rows) {
    *out = NULL;
    wb_arena_t *a;
    WB_TRY (wb_arena_new (&a, "inference", wb_infer_bytes (s, B, max_rows)));
    wb_infer_t *inf = wb_calloc (1, sizeof *inf);
    if (inf == NULL) {
        wb_arena_destroy (a);
        return WB_FAIL (WB_ENOMEM, "memory for inference: out of memory");
    }
    *inf = (wb_infer_t){.s = *s, .k = k, .arena = a, .B = B, .max_rows = max_rows};
    inf->layers = wb_arena_alloc (a, (size_t) s->L * sizeof (layer_t));
    inf->length = wb_arena_alloc (a, (size_t) B * sizeof (int64_t));
    inf->seqs = wb_arena_alloc (a, (size_t) B * sizeof (wb_cached_t));
    inf->cache = wb_arena_floats (a, B * cache_floats (s));
    inf->x = wb_arena_floats (a, max_rows * s->C);
    inf->y = wb_arena_floats (a, max_rows * s->C);
    inf->wide = wb_arena_floats (a, max_rows * 4 * s->C);
    inf->act = wb_arena_floats (a, max_rows * 4 * s->C);
    inf->last = wb_arena_floats (a, B * s->C);
    inf->block = wb_arena_floats (a, head_rows (max_rows) * s->V);
    inf->mx = wb_arena_floats (a, head_rows (max_rows));
    inf->sum = wb_arena_floats (a, head_rows (max_rows));
    inf->hit = wb_arena_floats (a, head_rows (max_rows));
    inf->work = wb_arena_floats (a, wb_attention_work_floats (s->T, s->C / s->H, wb_kern_threads ()));
    inf->few = wb_arena_floats (a, wb_few_work_floats (few_rows (max_rows), 4 * s->C));
    wb_arena_seal (a);

    inf->wte = weight (params, weights, "wte.weight");
    inf->wpe = weight (params, weights, "wpe.weight");
    inf->lnf_g = weight (params, weights, "ln_f.weight");
    inf->lnf_b = weight (params, weights, "ln_f.bias");
    for (int64_t l = 0; l < s->L; l++)
        inf->layers[l] = (layer_t){
            .ln1_g = layer_weight (params, weights, l, "ln_1.weight"),
            .ln1_b = layer_weight (params, weights, l, "ln_1.bias"),
            .qkv_w = layer_weight (params, weights, l, "attn.c_attn.weight"),
            .qkv_b = layer_weight (params, weights, l, "attn.c_attn.bias"),
            .att_w = layer_weight (params, weights, l, "attn.c_proj.weight"),
            .att_b = layer_weight (params, weights, l, "attn.c_proj.bias"),
            .ln2_g = layer_weight (params, weights, l, "ln_2.weight"),
            .ln2_b = layer_weight (params, weights, l, "ln_2.bias"),
            .fc_w = layer_weight (params, weights, l, "mlp.c_fc.weight"),
            .fc_b = layer_weight (params, weights, l, "mlp.c_fc.bias"),
            .proj_w = layer_weight (params, weights, l, "mlp.c_proj.weight"),
            .proj_b = layer_weight (params, weights, l, "mlp.c_proj.bias"),
        };
    *out = inf;
    return WB_OK;
}

void wb_infer_destroy (wb_infer_t *inf) {
    if (inf == NULL) return;
    wb_arena_destroy (inf->arena);
    wb_free (inf);
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

/* Keys (which = 0) or values (1) of a layer: [H, T, D]. */
static float *cached (const wb_infer_t *inf, int b, int64_t l, int which) {
    return inf->cache + ((b * inf->s.L + l) * 2 + which) * inf->s.T * inf->s.C;
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
    const int64_t D = inf->s.C / inf->s.H, T = inf->s.T;
    WB_ASSERT (to >= 0 && to < inf->B && from >= 0 && from < inf->B);
    if (to == from) return;
    const size_t bytes = (size_t) (inf->length[from] * D) * sizeof (float);
    for (int64_t l = 0; l < inf->s.L; l++)
        for (int which = 0; which < 2; which++)
            for (int64_t h = 0; h < inf->s.H; h++)
                memcpy (cached (inf, to, l, which) + h * T * D, cached (inf, from, l, which) + h * T * D, bytes);
    inf->length[to] = inf->length[from];
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* Keys and values of n new rows of qkv [n, 3, H, D] into the cache, from position `at`. */
static void remember (wb_infer_t *inf, const float *qkv, int b, int64_t l, int64_t at, int64_t n) {
    const int64_t C = inf->s.C, H = inf->s.H, T = inf->s.T, D = C / H;
    for (int which = 0; which < 2; which++) {
        float *to = cached (inf, b, l, which);
        for (int64_t i = 0; i < n; i++)
            for (int64_t h = 0; h < H; h++)
                memcpy (to + (h * T + at + i) * D, qkv + i * 3 * C + (1 + which) * C + h * D,
                        (size_t) D * sizeof (float));
    }
}

/* The linears and what stands behind them; with few rows the biases and the residual are the sums' first values. */
static void linear (const wb_infer_t *inf, float *y, const float *x, const float *w, const float *b, int64_t rows,
                    int64_t k, int64_t m) {
    if (rows <= FEW_ROWS) {
        inf->k->few_linear (y, x, w, b, inf->few, rows, m, k, false);
    } else {
        wb_linear_forward (y, x, w, rows, k, m);
        inf->k->bias_add (y, b, rows, m);
    }
}
static void linear_residual (wb_infer_t *inf, const float *x, const float *w, const float *b, int64_t rows, int64_t k,
                             int64_t m) {
    if (rows <= FEW_ROWS) {
        inf->k->few_linear (inf->x, x, w, b, inf->few, rows, m, k, true);
    } else {
        wb_linear_forward (inf->y, x, w, rows, k, m);
        inf->k->bias_residual (inf->x, inf->x, inf->y, b, rows, m);
    }
}

static void forward_layer (wb_infer_t *inf, int64_t l, const int *seqs, const int64_t *counts, int nseq, int64_t rows) {
    const wb_kern_t *k = inf->k;
    const layer_t *w = &inf->layers[l];
    const int64_t C = inf->s.C, H = inf->s.H;
    float *qkv = inf->wide, *att = inf->wide + rows * 3 * C;

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w->ln1_g, w->ln1_b, rows, C);
    linear (inf, qkv, inf->y, w->qkv_w, w->qkv_b, rows, C, 3 * C);
    for (int64_t i = 0, row = 0; i < nseq; row += counts[i], i++) {
        const int b = seqs[i];
        remember (inf, qkv + row * 3 * C, b, l, inf->length[b], counts[i]);
        inf->seqs[i] = (wb_cached_t){att + row * C,         qkv + row * 3 * C, cached (inf, b, l, 0),
                                     cached (inf, b, l, 1), counts[i],         inf->length[b] + counts[i]};
    }
    k->attention_cached (inf->seqs, inf->work, nseq, inf->s.T, H, C / H, 3 * C, C);
    linear_residual (inf, att, w->att_w, w->att_b, rows, C, C);

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w->ln2_g, w->ln2_b, rows, C);
    if (rows <= FEW_ROWS) {
        k->few_linear (inf->wide, inf->y, w->fc_w, w->fc_b, inf->few, rows, 4 * C, C, false);
        k->gelu_forward (inf->act, inf->wide, rows * 4 * C);
    } else {
        wb_linear_forward (inf->wide, inf->y, w->fc_w, rows, C, 4 * C);
        k->bias_gelu_forward (inf->act, inf->wide, w->fc_b, rows, 4 * C);
    }
    linear_residual (inf, inf->act, w->proj_w, w->proj_b, rows, 4 * C, C);
}

/* logits [n, V] = h [n, C] wte^T. */
static void head (const wb_infer_t *inf, float *logits, const float *h, int64_t n) {
    const int64_t C = inf->s.C, V = inf->s.V;
    if (n <= FEW_ROWS)
        inf->k->few_dots (logits, h, inf->wte, n, V, C);
    else
        wb_gemm (logits, h, inf->wte, n, V, C, V, C, C, false, true, 1.0f, 0.0f);
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
        k->embed_forward (inf->x + rows * C, tokens + rows, inf->wte, inf->wpe, n, n, C, 0, inf->s.V, inf->length[b]);
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
    const int64_t C = inf->s.C, V = inf->s.V, most = head_rows (inf->max_rows);
    for (int64_t i = 0; i < n; i += most) {
        const int64_t m = n - i < most ? n - i : most;
        head (inf, inf->block, hidden + i * C, m);
        inf->k->xent_max (inf->mx, inf->block, m, V, V);
        inf->k->xent_sum (inf->sum, inf->hit, inf->block, inf->mx, targets + i, m, V, V, 0);
        for (int64_t j = 0; j < m; j++)
            logprob[i + j] = targets[i + j] < 0 ? 0.0f : inf->hit[j] - inf->mx[j] - logf (inf->sum[j]);
    }
}
