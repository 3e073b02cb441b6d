/* Which library multiplies each product of a step: measured at the start, on all ranks at once.
 *
 * oneDNN is faster at nearly every shape on nearly every processor it knows, so BLAS must win by more than what
 * measurements differ by.  Ranks take the sums of their times, so that all choose alike, whatever their neighbours do.
 *
 * Not here: the products (kernels/gemm.c), remembering the choice (run/products.c). */
#include "config.h"

#include "train/train_priv.h"

/* Floating-point operations: below, a product is over before a choice pays; above, fewer rows are measured. */
#define FEWEST 1e9
#define MOST 2e9
#define ROWS_MIN ((int64_t) 256) /* fewer say nothing about many */
#define CLEARLY 1.1              /* how much faster BLAS must be */

/* Three products of a matrix [k, n] and `rows` rows. */
static void put (wb_product_t *out, const char *const names[3], int64_t rows, int64_t k, int64_t n, bool tied) {
    const wb_gemm_shape_t forward = {rows, n, k, false, tied}, dx = {rows, k, n, false, !tied},
                          dw = tied ? (wb_gemm_shape_t){n, k, rows, true, false}
                                    : (wb_gemm_shape_t){k, n, rows, true, false};
    const wb_gemm_shape_t shapes[3] = {forward, dx, dw};
    const bool small = 2.0 * (double) rows * (double) k * (double) n < FEWEST;
    for (int i = 0; i < 3; i++) {
        out[i] = (wb_product_t){.name = names[i], .shape = shapes[i], .which = wb_gemm_library_get ()};
        if (small) out[i].shape.m = 0;
    }
}

void wb_trainer_products (wb_product_t out[WB_PRODUCTS], const wb_trainer_t *t) {
    static const wb_role roles[] = {WB_ROLE_QKV_W, WB_ROLE_ATT_W, WB_ROLE_FC_W, WB_ROLE_PROJ_W, WB_ROLE_WTE};
    static const char *const names[][3] = {{"qkv", "qkv dx", "qkv dw"},
                                           {"proj", "proj dx", "proj dw"},
                                           {"fc", "fc dx", "fc dw"},
                                           {"fc2", "fc2 dx", "fc2 dw"},
                                           {"head", "head dx", "head dw"}};
    const int64_t rows = t->o.B * t->o.T;
    for (int i = 0; i < 5; i++) {
        const wb_param_t *p = wb_params_get (t->params, roles[i], 0);
        for (int64_t l = 1; p->offset < 0 && i < 4 && l < t->o.size.L; l++) p = wb_params_get (t->params, roles[i], l);
        if (i < 4)
            put (out + 3 * i, names[i], rows, p->own_rows, p->own_cols, false);
        else
            put (out + 3 * i, names[i], wb_head_rows (rows, t->o.size.V, t->topo->tp), p->own_cols, p->own_rows, true);
        if (p->offset < 0)
            for (int j = 0; j < 3; j++) out[3 * i + j].shape.m = 0; /* another stage has it */
    }
}

/* Of fewer rows where it takes long; rows are m, or k of a gradient of weights. */
static wb_gemm_shape_t short_of (const wb_gemm_shape_t *s) {
    wb_gemm_shape_t out = *s;
    int64_t *rows = s->ta ? &out.k : &out.m;
    const double each = 2.0 * (double) s->m * (double) s->n * (double) s->k / (double) *rows;
    const int64_t most = (int64_t) (MOST / each) > ROWS_MIN ? (int64_t) (MOST / each) : ROWS_MIN;
    if (*rows > most) *rows = most;
    return out;
}

/* Weights serve as its operands and gradients as its result, where there are enough of them. */
static void measure (const wb_trainer_t *t, wb_product_t *p) {
    const wb_gemm_shape_t s = short_of (&p->shape);
    const int64_t have = t->params->own, room = t->params->own - t->params->fixed;
    if (s.m == 0 || s.m * s.k > have || s.k * s.n > have || s.m * s.n > room) return;
    for (int i = 0; i < 4; i++) { /* by turns: a neighbour may disturb one of them */
        double *best = &p->seconds[i % 2];
        const double seconds = wb_gemm_seconds ((wb_gemm_library) (i % 2), &s, t->grads, t->weights, t->weights);
        if (i < 2 || seconds < *best) *best = seconds;
    }
}

bool wb_trainer_choose_products (wb_trainer_t *t, wb_product_t products[WB_PRODUCTS]) {
    int64_t free = wb_gemm_is_free () && t->o.precision == WB_PRECISION_FP32 && t->o.measure_products;
    double seconds[2 * WB_PRODUCTS], any = 0;
    wb_gemm_choose_none ();
    wb_trainer_products (products, t);
    wb_comm_sum_i64 (t->topo->world, &free, 1);
    if (free < wb_comm_size (t->topo->world)) return false;
    wb_trainer_weights (t);
    for (int i = 0; i < WB_PRODUCTS; i++) {
        wb_comm_barrier (t->topo->world);
        measure (t, &products[i]);
        for (int j = 0; j < 2; j++) seconds[2 * i + j] = products[i].seconds[j];
    }
    wb_comm_sum_f64 (t->topo->world, seconds, 2 * WB_PRODUCTS);
    for (int i = 0; i < WB_PRODUCTS; i++) {
        wb_product_t *p = &products[i];
        for (int j = 0; j < 2; j++) p->seconds[j] = seconds[2 * i + j] / (double) wb_comm_size (t->topo->world);
        any += p->seconds[0];
        if (p->seconds[WB_GEMM_BLAS] <= 0 || p->seconds[WB_GEMM_BLAS] * CLEARLY >= p->seconds[WB_GEMM_ONEDNN]) continue;
        p->which = WB_GEMM_BLAS;
        if (p->shape.m > 0) wb_gemm_choose (&p->shape, p->which);
    }
    return any > 0;
}
