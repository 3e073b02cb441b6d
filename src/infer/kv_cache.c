/* Inference: the whole model in one process, with a cache of keys and values.
 *
 * New positions of any number of sequences are pushed together: each linear processes them as one batch, so that the
 * weights are read from memory once; only attention runs sequence by sequence.  With one new position a linear is a
 * matrix-vector product, limited by the bandwidth of the memory: so the matrices are kept in panels (kernels/pack.c) as
 * long as the object exists.  Nothing is allocated after new.
 *
 * Keys and values lie in blocks of one pool, which sequences share where they have the same beginning: a block with
 * other users is copied before it is written to.
 *
 * The bits of a position depend on the ids up to it, and on where the piece with it begins and whether it has this
 * position alone, but on no other sequence: attention handles a piece block by block, each with the positions that the
 * piece has in it, and the linears row by row.  So pieces that begin with a block have the same bits however a prompt
 * is cut into them.
 *
 * Not here: sampling (sample.c), which text goes first and sliding windows (engine.c), ranks. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"

enum {
    HEAD_ROWS = 32, /* rows of logits computed at once for log-probabilities */
    SINGLES = 64    /* new positions in pieces that are pushed singly, beside one of each sequence */
};

/* The parameters of a block. */
typedef struct layer {
    const float *ln1_g, *ln1_b, *qkv_b, *att_b, *ln2_g, *ln2_b, *fc_b, *proj_b;
    wb_matrix_t qkv, att, fc, proj;
} layer_t;

struct wb_infer {
    wb_size_t s;
    const wb_kern_t *k;
    wb_arena_t *arena, *slow; /* slow: of the pool, whose memory is taken as it is used */
    int B;
    int64_t max_rows;
    const wb_params_t *params;
    float *weights;       /* matrices in panels */
    wb_infer_form_t form; /* as they were given */
    wb_matrix_t wte;
    const float *wpe, *lnf_g, *lnf_b;
    layer_t *layers;  /* [L] */
    int64_t *length;  /* [B] positions held */
    int64_t nblocks;  /* of the pool */
    wb_pool_t *books; /* who uses which */
    float *pool;      /* [nblocks][L] keys and values */
    int32_t *table;   /* [B][blocks of T positions] the blocks of each sequence */
    float **where;    /* [B][blocks of T positions] where they lie */
    float *x;         /* [max_rows, C] residual stream */
    float *y;         /* [max_rows, C] LayerNorm's output */
    float *wide;      /* [max_rows, 4 C] before GELU; earlier qkv [rows, 3 C], then the attention's output [rows, C] */
    float *act;       /* [max_rows, 4 C] after GELU */
    float *last;      /* [B, C] rows whose logits are wanted */
    float *block;     /* [head_rows, V] logits for log-probabilities */
    float *mx, *sum, *hit;
    float *work;        /* attention */
    wb_cached_t *seqs;  /* [max_rows] */
    wb_piece_t *pieces; /* [B] of wb_infer_push () */
    void *packed;       /* x [max_rows, 4 C] of a product, packed for the kernel */
    float *panels;      /* work space to change the layout of matrices in fp32 */
};

static int64_t head_rows (int64_t max_rows) { return max_rows < HEAD_ROWS ? max_rows : HEAD_ROWS; }
/* Of a block of the cache, in a layer. */
static int64_t layer_floats (const wb_infer_t *inf) {
    const wb_size_t *s = &inf->s;
    return wb_cache_floats (WB_CACHE_BLOCK, s->H, s->C / s->H) / (inf->form.half_cache ? 2 : 1);
}
static int64_t blocks_of (int64_t positions) { return (positions + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK; }
static size_t packed_bytes (int64_t rows, int64_t k) {
    size_t most = 0;
    for (int type = WB_WEIGHTS_FP32; type <= WB_WEIGHTS_INT8; type++) {
        const size_t bytes = wb_panels_packed_bytes ((wb_weights_type) type, rows, k);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* All memory of the object; on a counting arena its size.  s, B and max_rows are set. */
static void carve (wb_infer_t *inf, wb_arena_t *a) {
    const wb_size_t *s = &inf->s;
    const int64_t B = inf->B, rows = inf->max_rows, C = s->C, head = head_rows (rows);
    inf->layers = wb_arena_alloc (a, (size_t) s->L * sizeof *inf->layers);
    inf->length = wb_arena_alloc (a, (size_t) B * sizeof *inf->length);
    inf->seqs = wb_arena_alloc (a, (size_t) rows * sizeof *inf->seqs);
    inf->pieces = wb_arena_alloc (a, (size_t) B * sizeof *inf->pieces);
    inf->books = wb_pool_carve (a, inf->nblocks);
    inf->table = wb_arena_alloc (a, (size_t) (B * blocks_of (s->T)) * sizeof *inf->table);
    inf->where = wb_arena_alloc (a, (size_t) (B * blocks_of (s->T)) * sizeof *inf->where);
    inf->x = wb_arena_floats (a, rows * C);
    inf->y = wb_arena_floats (a, rows * C);
    inf->wide = wb_arena_floats (a, rows * 4 * C);
    inf->act = wb_arena_floats (a, rows * 4 * C);
    inf->last = wb_arena_floats (a, B * C);
    inf->block = wb_arena_floats (a, head * s->V);
    inf->mx = wb_arena_floats (a, head);
    inf->sum = wb_arena_floats (a, head);
    inf->hit = wb_arena_floats (a, head);
    inf->work = wb_arena_floats (a, wb_cached_work_floats (s->T, s->H, C / s->H, inf->B + SINGLES, wb_kern_threads ()));
    inf->packed = wb_arena_alloc (a, packed_bytes (rows, 4 * C));
    inf->panels = wb_arena_floats (a, inf->form.panels ? 0 : wb_weights_work_floats (s));
}

static int64_t pool_blocks (const wb_size_t *s, int B, int64_t blocks) {
    return blocks > 0 ? blocks : B * blocks_of (s->T);
}

static size_t pool_bytes (const wb_infer_t *inf) {
    return wb_align ((size_t) (inf->nblocks * inf->s.L * layer_floats (inf)) * sizeof (float));
}

static size_t bytes_of (wb_infer_t inf) {
    wb_arena_t count = wb_arena_counting ();
    carve (&inf, &count);
    return wb_arena_used (&count);
}

size_t wb_infer_bytes (const wb_size_t *s, int B, int64_t blocks, int64_t max_rows) {
    const wb_infer_t inf = {.s = *s, .B = B, .max_rows = max_rows, .nblocks = pool_blocks (s, B, blocks)};
    return bytes_of (inf) + pool_bytes (&inf);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static const float *vector (const wb_infer_t *inf, const size_t *at, wb_role role, int64_t l) {
    const int64_t i = wb_params_get (inf->params, role, l) - inf->params->list;
    return (const float *) (const void *) ((const char *) inf->weights + at[i]);
}

static wb_matrix_t matrix (const wb_infer_t *inf, const size_t *at, wb_role role, int64_t l) {
    return (wb_matrix_t){vector (inf, at, role, l), inf->form.type};
}

static void find_weights (wb_infer_t *inf, const size_t *at) {
    inf->wte = matrix (inf, at, WB_ROLE_WTE, 0);
    inf->wpe = vector (inf, at, WB_ROLE_WPE, 0);
    inf->lnf_g = vector (inf, at, WB_ROLE_LNF_G, 0);
    inf->lnf_b = vector (inf, at, WB_ROLE_LNF_B, 0);
    for (int64_t l = 0; l < inf->s.L; l++)
        inf->layers[l] = (layer_t){.ln1_g = vector (inf, at, WB_ROLE_LN1_G, l),
                                   .ln1_b = vector (inf, at, WB_ROLE_LN1_B, l),
                                   .qkv = matrix (inf, at, WB_ROLE_QKV_W, l),
                                   .qkv_b = vector (inf, at, WB_ROLE_QKV_B, l),
                                   .att = matrix (inf, at, WB_ROLE_ATT_W, l),
                                   .att_b = vector (inf, at, WB_ROLE_ATT_B, l),
                                   .ln2_g = vector (inf, at, WB_ROLE_LN2_G, l),
                                   .ln2_b = vector (inf, at, WB_ROLE_LN2_B, l),
                                   .fc = matrix (inf, at, WB_ROLE_FC_W, l),
                                   .fc_b = vector (inf, at, WB_ROLE_FC_B, l),
                                   .proj = matrix (inf, at, WB_ROLE_PROJ_W, l),
                                   .proj_b = vector (inf, at, WB_ROLE_PROJ_B, l)};
}

wb_status wb_infer_new (wb_infer_t **out, const wb_size_t *s, const wb_params_t *params, float *weights,
                        wb_infer_form_t form, const wb_kern_t *k, int B, int64_t blocks, int64_t max_rows) {
    *out = NULL;
    WB_ASSERT (form.panels || form.type == WB_WEIGHTS_FP32);
    wb_infer_t *inf = wb_calloc (1, sizeof *inf);
    size_t *at = wb_calloc ((size_t) params->n, sizeof *at);
    wb_status status = inf != NULL && at != NULL ? WB_OK : WB_NOMEM ("inference");
    if (status == WB_OK) {
        *inf = (wb_infer_t){.s = *s,
                            .k = k,
                            .B = B,
                            .max_rows = max_rows,
                            .nblocks = pool_blocks (s, B, blocks),
                            .params = params,
                            .weights = weights,
                            .form = form};
        status = wb_arena_new (&inf->arena, "inference", bytes_of (*inf));
    }
    if (status == WB_OK) status = wb_arena_new_slowly (&inf->slow, "keys and values", pool_bytes (inf));
    if (status == WB_OK) {
        carve (inf, inf->arena);
        wb_arena_seal (inf->arena);
        inf->pool = wb_arena_floats (inf->slow, inf->nblocks * s->L * layer_floats (inf));
        wb_pool_init (inf->books, inf->nblocks);
        wb_weights_place (at, params, form.type);
        find_weights (inf, at);
        if (!form.panels) wb_weights_arrange (weights, params, inf->panels, wb_panels_pack);
        *out = inf;
    } else {
        wb_infer_discard (inf);
    }
    wb_free (at);
    return status;
}

void wb_infer_discard (wb_infer_t *inf) {
    if (inf == NULL) return;
    wb_arena_destroy (inf->arena);
    wb_arena_destroy (inf->slow);
    wb_free (inf);
}

void wb_infer_destroy (wb_infer_t *inf) {
    if (inf == NULL) return;
    if (!inf->form.panels) wb_weights_arrange (inf->weights, inf->params, inf->panels, wb_panels_unpack);
    wb_infer_discard (inf);
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static int32_t *table_of (const wb_infer_t *inf, int b) {
    WB_ASSERT (b >= 0 && b < inf->B);
    return inf->table + b * blocks_of (inf->s.T);
}

static float *block_at (const wb_infer_t *inf, int32_t i) { return inf->pool + i * inf->s.L * layer_floats (inf); }

/* Block i becomes the j-th of sequence b. */
static void place (wb_infer_t *inf, int b, int64_t j, int32_t i) {
    inf->table[b * blocks_of (inf->s.T) + j] = i;
    inf->where[b * blocks_of (inf->s.T) + j] = block_at (inf, i);
}

int64_t wb_infer_length (const wb_infer_t *inf, int b) {
    WB_ASSERT (b >= 0 && b < inf->B);
    return inf->length[b];
}

void wb_infer_rewind (wb_infer_t *inf, int b, int64_t length) {
    const int32_t *table = table_of (inf, b);
    WB_ASSERT (length >= 0 && length <= inf->length[b]);
    /* The last first: of a beginning that nobody uses, its end is given away before what leads there. */
    for (int64_t j = blocks_of (inf->length[b]); j-- > blocks_of (length);) wb_pool_drop (inf->books, table[j]);
    inf->length[b] = length;
}

void wb_infer_copy (wb_infer_t *inf, int to, int from) {
    const int32_t *table = table_of (inf, from);
    if (to == from) return;
    wb_infer_rewind (inf, to, 0);
    inf->length[to] = inf->length[from];
    for (int64_t j = 0; j < blocks_of (inf->length[from]); j++) {
        wb_pool_share (inf->books, table[j]);
        place (inf, to, j, table[j]);
    }
}

int64_t wb_infer_blocks_free (const wb_infer_t *inf) { return wb_pool_free (inf->books); }
int64_t wb_infer_blocks (const wb_infer_t *inf) { return inf->nblocks; }

/* Is the last block of sequence b, which is to be written to, used by others as well? */
static bool is_shared (const wb_infer_t *inf, int b) {
    const int64_t n = inf->length[b];
    return n % WB_CACHE_BLOCK != 0 && wb_pool_users (inf->books, table_of (inf, b)[n / WB_CACHE_BLOCK]) > 1;
}

int64_t wb_infer_blocks_need (const wb_infer_t *inf, int b, int64_t n) {
    return blocks_of (inf->length[b] + n) - blocks_of (inf->length[b]) + (n > 0 && is_shared (inf, b) ? 1 : 0);
}

/* Sequence b's j-th block, used by others as well, becomes one of its own with the same contents. */
static void own (wb_infer_t *inf, int b, int64_t j) {
    const int32_t from = table_of (inf, b)[j], to = wb_pool_take (inf->books);
    memcpy (block_at (inf, to), block_at (inf, from), (size_t) (inf->s.L * layer_floats (inf)) * sizeof (float));
    wb_pool_drop (inf->books, from);
    place (inf, b, j, to);
}

void wb_infer_own (wb_infer_t *inf, int b) {
    for (int64_t j = 0; j < blocks_of (inf->length[b]); j++)
        if (wb_pool_users (inf->books, table_of (inf, b)[j]) > 1) own (inf, b, j);
}

/* Blocks for n more positions of sequence b. */
static void extend (wb_infer_t *inf, int b, int64_t n) {
    const int64_t len = inf->length[b];
    if (is_shared (inf, b)) own (inf, b, len / WB_CACHE_BLOCK);
    if (len % WB_CACHE_BLOCK != 0) wb_pool_unname (inf->books, table_of (inf, b)[len / WB_CACHE_BLOCK]);
    for (int64_t j = blocks_of (len); j < blocks_of (len + n); j++) place (inf, b, j, wb_pool_take (inf->books));
}

/* ---- known beginnings -------------------------------------------------------------------------------------------- */

/* Serial number of the block before the j-th of sequence b.  False: it has no name, so none can follow. */
static bool parent_of (const wb_infer_t *inf, uint64_t *parent, int b, int64_t j) {
    *parent = j > 0 ? wb_pool_serial (inf->books, table_of (inf, b)[j - 1]) : 0;
    return j == 0 || *parent != 0;
}

int64_t wb_infer_attach (wb_infer_t *inf, int b, const int32_t *ids, int64_t n) {
    uint64_t parent;
    for (int64_t at = inf->length[b]; at % WB_CACHE_BLOCK == 0 && at + WB_CACHE_BLOCK <= n;) {
        if (!parent_of (inf, &parent, b, at / WB_CACHE_BLOCK)) break;
        const int32_t i = wb_pool_find (inf->books, parent, ids + at);
        if (i < 0) break;
        wb_pool_share (inf->books, i);
        place (inf, b, at / WB_CACHE_BLOCK, i);
        inf->length[b] = at += WB_CACHE_BLOCK;
    }
    return inf->length[b];
}

void wb_infer_name (wb_infer_t *inf, int b, const int32_t *ids, int64_t from, int64_t n) {
    uint64_t parent;
    WB_ASSERT (n <= inf->length[b]);
    for (int64_t j = from / WB_CACHE_BLOCK; (j + 1) * WB_CACHE_BLOCK <= n; j++) {
        const int32_t i = table_of (inf, b)[j];
        if (wb_pool_serial (inf->books, i) != 0) continue;
        if (!parent_of (inf, &parent, b, j)) return;
        const int32_t other = wb_pool_find (inf->books, parent, ids + j * WB_CACHE_BLOCK);
        if (other < 0) {
            wb_pool_name (inf->books, i, parent, ids + j * WB_CACHE_BLOCK);
        } else { /* somebody else computed the same: one is enough */
            wb_pool_share (inf->books, other);
            wb_pool_drop (inf->books, i);
            place (inf, b, j, other);
        }
    }
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* y [rows, m] = (add: y) + b + x [rows, k] w. */
static void linear (const wb_infer_t *inf, float *y, const float *x, wb_matrix_t w, const float *b, int64_t rows,
                    int64_t k, int64_t m, bool add) {
    inf->k->panel_linear (y, x, w, b, inf->packed, rows, m, k, add);
}

/* What of the pieces attention handles at once: positions in one block, or single ones.  qkv and out are of a layer
 * whose keys begin `at` floats after the beginning of a block. */
static int entries (wb_infer_t *inf, const wb_piece_t *pieces, int n, const float *qkv, float *out, int64_t at) {
    const int64_t C = inf->s.C;
    int m = 0;
    int64_t row = 0;
    for (const wb_piece_t *p = pieces; p < pieces + n; p++) {
        const int64_t end = inf->length[p->seq] + p->n;
        for (int64_t len = inf->length[p->seq], some; len < end; len += some, row += some) {
            const int64_t left = WB_CACHE_BLOCK - len % WB_CACHE_BLOCK;
            some = p->singly ? 1 : end - len < left ? end - len : left;
            inf->seqs[m++] = (wb_cached_t){.out = out + row * C,
                                           .qkv = qkv + row * 3 * C,
                                           .blocks = inf->where + p->seq * blocks_of (inf->s.T),
                                           .at = at,
                                           .n = some,
                                           .len = len + some,
                                           .half = inf->form.half_cache};
        }
    }
    return m;
}

static void forward_layer (wb_infer_t *inf, int64_t l, const wb_piece_t *pieces, int n, int64_t rows) {
    const wb_kern_t *k = inf->k;
    const layer_t *w = &inf->layers[l];
    const int64_t C = inf->s.C, H = inf->s.H;
    float *qkv = inf->wide, *att = inf->wide + rows * 3 * C;

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w->ln1_g, w->ln1_b, rows, C);
    linear (inf, qkv, inf->y, w->qkv, w->qkv_b, rows, C, 3 * C, false);
    const int m = entries (inf, pieces, n, qkv, att, l * layer_floats (inf));
    k->attention_cached (inf->seqs, inf->work, m, H, C / H);
    linear (inf, inf->x, att, w->att, w->att_b, rows, C, C, true);

    k->layernorm_forward (inf->y, NULL, NULL, inf->x, w->ln2_g, w->ln2_b, rows, C);
    linear (inf, inf->wide, inf->y, w->fc, w->fc_b, rows, C, 4 * C, false);
    k->gelu_forward (inf->act, inf->wide, rows * 4 * C);
    linear (inf, inf->x, inf->act, w->proj, w->proj_b, rows, 4 * C, C, true);
}

/* logits [n, V] = h [n, C] wte^T. */
static void head (const wb_infer_t *inf, float *logits, const float *h, int64_t n) {
    linear (inf, logits, h, inf->wte, NULL, n, inf->s.C, inf->s.V, false);
}

/* Rows that attention takes singly: as many as there is work space for. */
static void check_singles (const wb_infer_t *inf, const wb_piece_t *pieces, int n) {
    int64_t singles = 0;
    for (int i = 0; i < n; i++) singles += pieces[i].singly ? pieces[i].n : 1;
    WB_ASSERT (singles <= inf->B + SINGLES);
}

void wb_infer_run (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const wb_piece_t *pieces,
                   int n) {
    const wb_kern_t *k = inf->k;
    const int64_t C = inf->s.C;
    int64_t rows = 0, wanted = 0;
    if (n == 0) return;
    WB_ASSERT (n > 0 && n <= inf->B);
    check_singles (inf, pieces, n);
    for (const wb_piece_t *p = pieces; p < pieces + n; p++) {
        WB_ASSERT (p->seq >= 0 && p->seq < inf->B && p->n > 0 && rows + p->n <= inf->max_rows);
        WB_ASSERT (inf->length[p->seq] + p->n <= inf->s.T);
        extend (inf, p->seq, p->n);
        wb_panels_columns (inf->x + rows * C, inf->wte, tokens + rows, p->n, C, inf->s.V);
        k->add (inf->x + rows * C, inf->wpe + inf->length[p->seq] * C, p->n * C);
        rows += p->n;
    }
    for (int64_t l = 0; l < inf->s.L; l++) forward_layer (inf, l, pieces, n, rows);
    for (int i = 0; i < n; i++) inf->length[pieces[i].seq] += pieces[i].n;

    if (hidden != NULL) k->layernorm_forward (hidden, NULL, NULL, inf->x, inf->lnf_g, inf->lnf_b, rows, C);
    if (logits == NULL) return;
    for (int64_t i = 0, end = 0; i < n; i++) {
        end += pieces[i].n;
        if (pieces[i].logits) memcpy (inf->y + wanted++ * C, inf->x + (end - 1) * C, (size_t) C * sizeof (float));
    }
    if (wanted == 0) return;
    k->layernorm_forward (inf->last, NULL, NULL, inf->y, inf->lnf_g, inf->lnf_b, wanted, C);
    head (inf, logits, inf->last, wanted);
}

void wb_infer_push (wb_infer_t *inf, float *hidden, float *logits, const int32_t *tokens, const int *seqs,
                    const int64_t *counts, int nseq) {
    WB_ASSERT (nseq <= inf->B);
    for (int i = 0; i < nseq; i++) inf->pieces[i] = (wb_piece_t){.seq = seqs[i], .n = counts[i], .logits = true};
    wb_infer_run (inf, hidden, logits, tokens, inf->pieces, nseq);
}

void wb_infer_logits (wb_infer_t *inf, float *logits, const float *hidden, int64_t n) {
    WB_ASSERT (n <= inf->max_rows);
    if (n > 0) head (inf, logits, hidden, n);
}

void wb_infer_logprobs (wb_infer_t *inf, float *logprob, float *most, const float *hidden, const int32_t *targets,
                        int64_t n) {
    const int64_t C = inf->s.C, V = inf->s.V, max = head_rows (inf->max_rows);
    for (int64_t i = 0; i < n; i += max) {
        const int64_t m = n - i < max ? n - i : max;
        head (inf, inf->block, hidden + i * C, m);
        inf->k->xent_max (inf->mx, inf->block, m, V, V);
        inf->k->xent_sum (inf->sum, inf->hit, inf->block, inf->mx, targets + i, m, V, V, 0);
        for (int64_t j = 0; j < m; j++) {
            const float all = logf (inf->sum[j]);
            logprob[i + j] = targets[i + j] < 0 ? 0.0f : inf->hit[j] - inf->mx[j] - all;
            if (most != NULL) most[i + j] = -all;
        }
    }
}
