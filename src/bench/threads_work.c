/* What a step does, kernel by kernel, cut as the kernels cut it (kernels/cut.h).
 *
 * Training follows model/stage.c and model/block.c in fp32 on one rank without recomputation, inference
 * infer/kv_cache.c with weights in fp32.  A product of training is the library's: taken for evenly divided but for
 * its register blocks, by the best grid of threads.
 *
 * Not here: sampling, reading of batches, messages between ranks. */
#include "config.h"

#include "bench/simulate.h"
#include "kernels/cut.h"

enum {
    BQ = WB_CACHE_BLOCK, /* positions in a block of attention */
    TILE_ROWS = 8,
    TILE_COLUMNS = 48 /* register block of oneDNN's sgemm with AVX-512 */
};
/* Work an element that is in cache, in flop: one vector operation takes the time of two multiply-adds' halves. */
static const double norm_work = 16, gelu_work = 50;

static bool pays (int64_t elements) { return elements >= WB_PARALLEL_MIN; }

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* A product of the library, result [m, n]. */
static void product (wb_sim_t *s, wb_prof which, int64_t m, int64_t n, int64_t k) {
    const int64_t rows = wb_cut_up (m, TILE_ROWS), columns = wb_cut_up (n, TILE_COLUMNS);
    const double flop = 2.0 * (double) m * (double) n * (double) k;
    int64_t best = rows * columns;
    for (int64_t i = 1; i <= s->threads; i++)
        best = wb_cut_min (best, wb_cut_up (rows, i) * wb_cut_up (columns, s->threads / i));
    wb_sim_call (s, wb_prof_name (which), flop);
    /* the busiest thread's tiles, as a share of all; the others divide the rest */
    const double most = flop * (double) best / (double) (rows * columns);
    for (int i = 0; i < s->threads; i++)
        wb_sim_give (s, i, i == 0 ? most : s->threads > 1 ? (flop - most) / (s->threads - 1) : 0);
    wb_sim_barrier (s);
}

/* A pass over rows [n, m] that moves `floats` floats an element. */
static void rows_pass (wb_sim_t *s, wb_prof which, int64_t n, int64_t m, double floats) {
    wb_sim_call (s, wb_prof_name (which), 0);
    wb_sim_static (s, pays (n * m), n, wb_sim_cost (s, 0, 4 * floats * (double) m));
}

/* Who takes task i of schedule (static). */
static int64_t taker (int64_t i, int64_t tasks, int64_t threads) {
    const int64_t each = tasks / threads, more = tasks % threads;
    return i < more * (each + 1) ? i / (each + 1) : more + (i - more * (each + 1)) / each;
}

/* Sums over the rows of [n, m] (sum_rows() in kernels/ranges.h); `floats` are moved an element. */
static void sums (wb_sim_t *s, int64_t n, int64_t m, int64_t kinds, double floats) {
    const int threads = pays (n * m) ? s->threads : 1;
    for (int64_t c0 = 0; c0 < m; c0 += WB_SUM_COLUMNS) {
        const int64_t here = wb_cut_min (WB_SUM_COLUMNS, m - c0), groups = wb_cut_up (n, WB_SUM_ROWS);
        const wb_cut_sums_t cut = wb_cut_sums (n, here, kinds, threads);
        const int64_t slices = wb_cut_up (here, cut.width);
        for (int64_t g0 = 0; g0 < groups; g0 += cut.groups) {
            const int64_t at_once = wb_cut_min (cut.groups, groups - g0), tasks = at_once * slices;
            for (int64_t i = 0; i < tasks; i++) {
                const int64_t rows = wb_cut_min (WB_SUM_ROWS, n - (g0 + i / slices) * WB_SUM_ROWS);
                const int64_t k = wb_cut_min (cut.width, here - i % slices * cut.width);
                wb_sim_give (s, taker (i, tasks, threads), wb_sim_cost (s, 0, 4 * floats * (double) (rows * k)));
            }
            wb_sim_barrier (s);
            for (int64_t c = 0, i = 0; c < here; c += 64, i++) /* in cache */
                wb_sim_give (s, taker (i, wb_cut_up (here, 64), threads),
                             2.0 * (double) (kinds * at_once * wb_cut_min (64, here - c)));
            wb_sim_barrier (s);
        }
    }
}

static void sums_pass (wb_sim_t *s, wb_prof which, int64_t n, int64_t m, double floats) {
    wb_sim_call (s, wb_prof_name (which), 0);
    sums (s, n, m, 1, floats);
}

static void layernorm_back (wb_sim_t *s, int64_t n, int64_t C) {
    rows_pass (s, WB_PROF_LAYERNORM_BACK, n, C, 4);
    sums (s, n, C, 2, 2);
}

/* Sums into the rows of a table, in the order of the tokens: cut by columns only. */
static void embed_back (wb_sim_t *s, int64_t n, int64_t C) {
    const int64_t w = wb_cut_slice (C, s->threads), slices = wb_cut_up (C, w);
    wb_sim_call (s, wb_prof_name (WB_PROF_EMBED_BACK), 0);
    for (int64_t i = 0; i < slices; i++)
        wb_sim_give (s, pays (n * C) ? taker (i, slices, s->threads) : 0,
                     wb_sim_cost (s, 0, 20.0 * (double) (n * wb_cut_min (w, C - i * w))));
    wb_sim_barrier (s);
}

/* Products of one block of queries with one block of keys. */
static double block_flop (int64_t D, int products) { return products * 2.0 * BQ * BQ * (double) D; }

static void attention (wb_sim_t *s, const wb_size_t *z, int64_t B) {
    const int64_t D = z->C / z->H, heads = B * z->H, blocks = wb_cut_up (z->T, BQ);
    const int64_t groups = wb_cut_queries (heads, blocks, s->threads);
    wb_sim_call (s, wb_prof_name (WB_PROF_ATTENTION), 2.0 * (double) (heads * D * z->T * (z->T + 1)));
    for (int64_t task = 0; task < heads * groups; task++) {
        double work = 0;
        for (int64_t q = blocks - 1 - task / heads; q >= 0; q -= groups) work += (double) (q + 1) * block_flop (D, 2);
        wb_sim_take (s, work);
    }
    wb_sim_barrier (s);
}

static void attention_back (wb_sim_t *s, const wb_size_t *z, int64_t B) {
    const int64_t D = z->C / z->H, heads = B * z->H, blocks = wb_cut_up (z->T, BQ);
    const int64_t whole = wb_cut_whole_heads (heads, blocks, s->threads);
    wb_sim_call (s, wb_prof_name (WB_PROF_ATTENTION_BACK), 5.0 * (double) (heads * D * z->T * (z->T + 1)));
    for (int64_t i = 0; i < whole; i++) wb_sim_take (s, (double) (blocks * (blocks + 1) / 2) * block_flop (D, 5));
    for (int64_t block = 0; block < blocks; block++) {
        for (int64_t i = whole; i < heads; i++) wb_sim_take (s, (double) (blocks - block) * block_flop (D, 4));
        for (int64_t i = whole; i < heads; i++) wb_sim_take (s, (double) (blocks - block) * block_flop (D, 3));
    }
    wb_sim_barrier (s);
}

static void train_layers (wb_sim_t *s, const wb_size_t *z, int64_t n, int64_t B) {
    const int64_t C = z->C;
    const double once = s->times;
    rows_pass (s, WB_PROF_LAYERNORM, n, C, 2);
    s->times = once * (double) (z->L - 1); /* LayerNorm of the next layer */
    rows_pass (s, WB_PROF_RESIDUAL, n, C, 4);
    s->times = once;
    rows_pass (s, WB_PROF_RESIDUAL, n, C, 3);
    s->times = once * (double) z->L;
    product (s, WB_PROF_QKV, n, 3 * C, C);
    rows_pass (s, WB_PROF_BIAS, n, 3 * C, 2);
    attention (s, z, B);
    product (s, WB_PROF_PROJ, n, C, C);
    rows_pass (s, WB_PROF_RESIDUAL, n, C, 4);
    product (s, WB_PROF_FC, n, 4 * C, C);
    rows_pass (s, WB_PROF_GELU, n, 4 * C, 3);
    product (s, WB_PROF_FC2, n, C, 4 * C);
    sums_pass (s, WB_PROF_BIAS_BACK, n, C, 1);
    product (s, WB_PROF_FC2_DX, n, 4 * C, C);
    product (s, WB_PROF_FC2_DW, 4 * C, C, n);
    sums_pass (s, WB_PROF_GELU_BACK, n, 4 * C, 3);
    product (s, WB_PROF_FC_DX, n, C, 4 * C);
    product (s, WB_PROF_FC_DW, C, 4 * C, n);
    layernorm_back (s, n, C);
    sums_pass (s, WB_PROF_BIAS_BACK, n, C, 1);
    product (s, WB_PROF_PROJ_DX, n, C, C);
    product (s, WB_PROF_PROJ_DW, C, C, n);
    attention_back (s, z, B);
    sums_pass (s, WB_PROF_BIAS_BACK, n, 3 * C, 1);
    product (s, WB_PROF_QKV_DX, n, C, 3 * C);
    product (s, WB_PROF_QKV_DW, C, 3 * C, n);
    layernorm_back (s, n, C);
    s->times = once;
}

/* n elements in ranges. */
static void ranges (wb_sim_t *s, int64_t n, int64_t range, double bytes) {
    wb_sim_static (s, pays (n), wb_cut_up (n, range), wb_sim_cost (s, 0, bytes * (double) wb_cut_min (range, n)));
}

static void train_head (wb_sim_t *s, const wb_size_t *z, int64_t n) {
    const int64_t C = z->C, V = z->V, most = wb_head_rows (n, V, 1);
    rows_pass (s, WB_PROF_LAYERNORM, n, C, 2);
    for (int64_t i = 0; i < n; i += most) {
        const int64_t m = wb_cut_min (most, n - i);
        product (s, WB_PROF_HEAD, m, V, C);
        rows_pass (s, WB_PROF_SOFTMAX, m, V, 1);
        rows_pass (s, WB_PROF_SOFTMAX, m, V, 1);
        rows_pass (s, WB_PROF_SOFTMAX, m, V, 2);
        product (s, WB_PROF_HEAD_DX, m, C, V);
        product (s, WB_PROF_HEAD_DW, V, C, m);
    }
    layernorm_back (s, n, C);
    ranges (s, n * C, wb_cut_range (n * C), 8); /* its input copied, its output cleared */
    ranges (s, n * C, wb_cut_range (n * C), 4);
}

static void update (wb_sim_t *s, const wb_params_t *params) {
    wb_sim_call (s, wb_prof_name (WB_PROF_CLEAR), 0);
    ranges (s, params->own, wb_cut_range (params->own), 4);
    wb_sim_call (s, wb_prof_name (WB_PROF_NORM), 0);
    for (int i = 0; i < params->n; i++) ranges (s, wb_param_own (&params->list[i]), WB_SUM_BLOCK, 4);
    wb_sim_call (s, wb_prof_name (WB_PROF_OPTIMIZER), 0);
    for (int i = 0; i < params->n; i++) {
        const int64_t n = wb_param_own (&params->list[i]);
        ranges (s, n, wb_cut_range (n), 28);
    }
}

void wb_sim_train (wb_sim_t *s, const wb_size_t *z, const wb_params_t *params, int64_t batch, int64_t at_once) {
    for (int64_t first = 0; first < batch; first += at_once) { /* the last micro-batch is filled up */
        const int64_t n = at_once * z->T;
        rows_pass (s, WB_PROF_EMBED, n, z->C, 3);
        train_layers (s, z, n, at_once);
        train_head (s, z, n);
        embed_back (s, n, z->C);
    }
    update (s, params);
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

enum { GROUP = 12, CHUNK = 256 /* rows of x in a group, rows of the matrix in a chunk, with AVX-512 */ };

/* A thread multiplies `rows` rows of x by a piece [k, width] of the matrix. */
static void piece (wb_sim_t *s, int64_t thread, int64_t rows, int64_t width, int64_t k) {
    wb_sim_give (s, thread, wb_sim_cost (s, 2.0 * (double) (rows * width * k), 4.0 * (double) (width * k)));
}

static void panels_by_chunks (wb_sim_t *s, int64_t m, int64_t n, int64_t k) {
    const int64_t count = wb_cut_up (n, WB_PANEL), chunks = wb_cut_up (k, CHUNK), items = count * chunks;
    const int64_t threads = s->threads;
    for (int64_t me = 0; me < threads; me++)
        for (int64_t i = items * me / threads; i < items * (me + 1) / threads; i++)
            piece (s, me, m, wb_cut_min (WB_PANEL, n - i / chunks * WB_PANEL),
                   wb_cut_min (CHUNK, k - i % chunks * CHUNK));
    wb_sim_barrier (s);
    for (int64_t me = 0; me < threads; me++)
        wb_sim_give (s, me,
                     2.0 * (double) ((count * (me + 1) / threads - count * me / threads) * WB_PANEL * m * chunks));
    wb_sim_barrier (s);
}

static void panels (wb_sim_t *s, const char *name, int64_t m, int64_t n, int64_t k) {
    const int64_t count = wb_cut_up (n, WB_PANEL), groups = wb_cut_up (m, GROUP);
    const int threads = m * n * k >= WB_PANEL_PARALLEL_MIN ? s->threads : 1;
    const int64_t parts = wb_cut_panel_rows (m, count, threads);
    wb_sim_call (s, name, 2.0 * (double) m * (double) n * (double) k);
    if (m > 1) wb_sim_static (s, threads > 1, k, 2.0 * (double) m); /* x packed, in cache */
    if (wb_cut_panel_chunks (m, count, wb_cut_up (k, CHUNK), threads)) {
        panels_by_chunks (s, m, n, k);
        return;
    }
    for (int me = 0; me < threads; me++)
        for (int64_t i = parts * count * me / threads; i < parts * count * (me + 1) / threads; i++) {
            const int64_t part = i / count, width = wb_cut_min (WB_PANEL, n - i % count * WB_PANEL);
            const int64_t rows = m * (groups * (part + 1) / parts) / groups - m * (groups * part / parts) / groups;
            piece (s, me, rows, width, k);
        }
    wb_sim_barrier (s);
}

/* One new position of each text, `length` with it. */
static void cached (wb_sim_t *s, const wb_size_t *z, int64_t texts, int64_t length) {
    const int64_t H = z->H, D = z->C / H, each = wb_cut_up (length, BQ), blocks = texts * each;
    const int64_t threads = pays (texts * length * z->C) ? s->threads : 1;
    const int64_t cuts = wb_cut_cache_heads (H, blocks, threads);
    wb_sim_call (s, "attention", 4.0 * (double) (texts * length * z->C));
    for (int64_t i = 0; i < texts; i++) wb_sim_give (s, i % threads, wb_sim_cost (s, 0, 8.0 * (double) z->C));
    wb_sim_barrier (s);
    for (int64_t me = 0; me < threads; me++)
        for (int64_t i = blocks * cuts * me / threads; i < blocks * cuts * (me + 1) / threads; i++) {
            const int64_t n = wb_cut_min (BQ, length - i / cuts % each * BQ), cut = i % cuts;
            const int64_t floats = (H * (cut + 1) / cuts - H * cut / cuts) * n * D;
            wb_sim_give (s, me, wb_sim_cost (s, 4.0 * (double) floats, 8.0 * (double) floats));
        }
    wb_sim_barrier (s);
    for (int64_t i = 0; i < texts * H; i++) wb_sim_give (s, i % threads, 4.0 * (double) (each * D));
    wb_sim_barrier (s);
}

static void norm (wb_sim_t *s, int64_t rows, int64_t C) {
    wb_sim_call (s, "layernorm", 0);
    wb_sim_static (s, rows * C >= WB_PARALLEL_MIN_DEAR, rows, norm_work * (double) C);
}

void wb_sim_infer (wb_sim_t *s, const wb_size_t *z, int64_t texts, int64_t behind) {
    const int64_t C = z->C;
    wb_sim_call (s, "embedding", 0); /* of each number of a column of the matrix in panels a cache line */
    wb_sim_static (s, texts > 1, texts, wb_sim_cost (s, 0, 64.0 * (double) C));
    s->times = (double) z->L;
    norm (s, texts, C);
    panels (s, "qkv", texts, 3 * C, C);
    cached (s, z, texts, behind + 1);
    panels (s, "proj", texts, C, C);
    norm (s, texts, C);
    panels (s, "fc", texts, 4 * C, C);
    wb_sim_call (s, "gelu", 0);
    wb_sim_static (s, texts * 4 * C >= WB_PARALLEL_MIN_DEAR, wb_cut_up (texts * 4 * C, WB_RANGE),
                   gelu_work * (double) wb_cut_min (WB_RANGE, texts * 4 * C));
    panels (s, "fc2", texts, C, 4 * C);
    s->times = 1;
    norm (s, texts, C);
    panels (s, "logits", texts, z->V, C);
}
