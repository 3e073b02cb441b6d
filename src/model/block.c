/* A transformer block, forward and backward: x -> x + attention (LN (x)) -> + mlp (LN (.)).
 *
 * LayerNorm and residual work on the rows of the residual stream that this rank holds (`r`), the linears on all rows
 * (`n`); wb_tensor_gather and wb_tensor_reduce convert between the two and do nothing on a single tensor rank.  The
 * backward pass is the forward pass in reverse; dx is the gradient of the residual stream throughout.
 *
 * Which activations are kept is the stage's choice (recompute): here they are only recomputed when they were not. */
#include "config.h"

#include "model/block.h"

/* Run one call, count it, let communication progress. */
#define RUN(e, which, flop, bytes, call)                                     \
    do {                                                                     \
        double start_ = wb_now ();                                           \
        call;                                                                \
        start_ = wb_profile_add (&(e)->profile, which, start_, flop, bytes); \
        wb_block_poll (e, start_);                                           \
    } while (0)

/* A product with [n, k] and [k, m], forward or for either gradient. */
#define LINEAR(e, which, n, k, m, call) \
    RUN (e, which, 2.0 * (double) (n) * (double) ((k) * (m)), 4.0 * (double) ((n) * (k) + (k) * (m) + (n) * (m)), call)

/* A pass that reads and writes `floats` floats in all. */
#define PASS(e, which, floats, call) RUN (e, which, 0, 4.0 * (double) (floats), call)

#define TENSOR(e, call)                          \
    do {                                         \
        if ((e)->tp.ranks > 1)                   \
            RUN (e, WB_PROF_TENSOR, 0, 0, call); \
        else                                     \
            call;                                \
    } while (0)

/* Products over one triangle: 2 forward (scores, values), 5 backward. */
static double attention_flop (const wb_block_env_t *e, int products) {
    return products * (double) (e->B * e->H * e->D) * (double) e->T * (double) (e->T + 1);
}

/* bf16: the brain floats of a matrix [count] that goes into products. */
static void pack (wb_block_env_t *e, uint16_t *half, const float *f, int64_t count) {
    if (e->bf16) PASS (e, WB_PROF_PACK, 1.5 * (double) count, e->k->bf16_pack (half, f, count));
}

/* In the backward pass: what was kept of it. */
static void unpack (wb_block_env_t *e, float *f, const uint16_t *half, int64_t count) {
    if (e->bf16) PASS (e, WB_PROF_PACK, 1.5 * (double) count, e->k->bf16_unpack (f, half, count));
}

/* A gradient [count] that goes into a linear. */
static wb_operand_t gradient (wb_block_env_t *e, const float *f, int64_t count) {
    pack (e, e->dy_half, f, count);
    return (wb_operand_t){f, e->dy_half};
}

/* The output of a LayerNorm [r, C] for the products of all rows. */
static wb_operand_t gathered (wb_block_env_t *e, const float *own, const uint16_t *half) {
    const float *in;
    TENSOR (e, in = wb_tensor_gather (&e->tp, e->full, own, e->n, e->C));
    if (e->r == e->n) return (wb_operand_t){in, half};
    pack (e, e->x_half, in, e->n * e->C);
    return (wb_operand_t){in, e->x_half};
}

/* The same in the backward pass. */
static wb_operand_t gathered_again (wb_block_env_t *e, float *own, const uint16_t *half) {
    if (e->r != e->n || e->rank > 0) unpack (e, own, half, e->r * e->C);
    return gathered (e, own, half);
}

/* The weights of a linear. */
static wb_operand_t weight (const wb_block_env_t *e, const float *w, int64_t at, wb_linear which) {
    return (wb_operand_t){w + at, e->half[which]};
}

static void attend (wb_block_env_t *e, const wb_block_acts_t *a) {
    if (e->bf16 && wb_attention_forward_bf16 (a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D)) return;
    e->k->attention_forward (a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D);
}

static void attend_back (wb_block_env_t *e, const wb_block_acts_t *a) {
    float *d = e->dwide;
    if (e->bf16 && wb_attention_backward_bf16 (d, e->datt, a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D))
        return;
    e->k->attention_backward (d, e->datt, a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D);
}

static void forward_qkv (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_layer_offsets_t *p,
                         bool begun) {
    if (!begun)
        PASS (e, WB_PROF_LAYERNORM, 2 * e->r * e->C,
              e->k->layernorm_forward (a->ln1, a->mean1, a->rstd1, a->x, w + p->ln1_g, w + p->ln1_b, e->r, e->C));
    pack (e, a->ln1_half, a->ln1, e->r * e->C);
    const wb_operand_t x = gathered (e, a->ln1, a->ln1_half), A = weight (e, w, p->qkv_w, WB_LINEAR_QKV);
    LINEAR (e, WB_PROF_QKV, e->n, e->C, 3 * e->F, wb_linear_forward (a->qkv, x, A, e->n, e->C, 3 * e->F));
    wb_lora_forward (e, a->qkv, x.f, w, &p->lora[WB_LINEAR_QKV], e->C, 3 * e->F);
    if (e->bf16)
        PASS (e, WB_PROF_BIAS, 7.5 * (double) (e->n * e->F),
              e->k->bias_add_half (a->qkv, a->qkv_half, w + p->qkv_b, e->n, 3 * e->F));
    else
        PASS (e, WB_PROF_BIAS, 6 * e->n * e->F, e->k->bias_add (a->qkv, w + p->qkv_b, e->n, 3 * e->F));
    RUN (e, WB_PROF_ATTENTION, attention_flop (e, 2), 4.0 * (double) (4 * e->n * e->F), attend (e, a));
    pack (e, a->att_half, a->att, e->n * e->F);
}

static void forward_mid (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_layer_offsets_t *p) {
    const wb_operand_t x = {a->att, a->att_half}, A = weight (e, w, p->att_w, WB_LINEAR_ATT);
    float *y;
    LINEAR (e, WB_PROF_PROJ, e->n, e->F, e->C, wb_linear_forward (e->y, x, A, e->n, e->F, e->C));
    wb_lora_forward (e, e->y, a->att, w, &p->lora[WB_LINEAR_ATT], e->F, e->C);
    TENSOR (e, y = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PASS (e, WB_PROF_RESIDUAL, 4 * e->r * e->C,
          e->k->residual_layernorm (a->ln2, a->mean2, a->rstd2, a->mid, a->x, y, w + p->att_b, w + p->ln2_g,
                                    w + p->ln2_b, e->r, e->C));
    pack (e, a->ln2_half, a->ln2, e->r * e->C);
}

static void forward_ln2 (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_layer_offsets_t *p) {
    PASS (e, WB_PROF_LAYERNORM, 2 * e->r * e->C,
          e->k->layernorm_forward (a->ln2, a->mean2, a->rstd2, a->mid, w + p->ln2_g, w + p->ln2_b, e->r, e->C));
    pack (e, a->ln2_half, a->ln2, e->r * e->C);
}

static void forward_fc (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_layer_offsets_t *p) {
    const wb_operand_t x = gathered (e, a->ln2, a->ln2_half), A = weight (e, w, p->fc_w, WB_LINEAR_FC);
    LINEAR (e, WB_PROF_FC, e->n, e->C, 4 * e->F, wb_linear_forward (a->z, x, A, e->n, e->C, 4 * e->F));
    wb_lora_forward (e, a->z, x.f, w, &p->lora[WB_LINEAR_FC], e->C, 4 * e->F);
    if (!e->bf16) {
        PASS (e, WB_PROF_GELU, 12 * e->n * e->F, e->k->bias_gelu_forward (a->g, a->z, w + p->fc_b, e->n, 4 * e->F));
        return;
    }
    PASS (e, WB_PROF_GELU, 8 * e->n * e->F,
          e->k->bias_gelu_half (a->g_half, a->z_half, a->z, w + p->fc_b, e->n, 4 * e->F));
    if (e->rank > 0) unpack (e, a->g, a->g_half, e->n * 4 * e->F); /* adapters have products of fp32 */
}

void wb_block_forward (wb_block_env_t *e, float *out, const wb_block_acts_t *a, const float *w,
                       const wb_layer_offsets_t *p, wb_block_next_t next, bool begun) {
    float *y;
    forward_qkv (e, a, w, p, begun);
    forward_mid (e, a, w, p);
    forward_fc (e, a, w, p);
    const wb_operand_t x = {a->g, a->g_half}, A = weight (e, w, p->proj_w, WB_LINEAR_PROJ);
    LINEAR (e, WB_PROF_FC2, e->n, 4 * e->F, e->C, wb_linear_forward (e->y, x, A, e->n, 4 * e->F, e->C));
    wb_lora_forward (e, e->y, a->g, w, &p->lora[WB_LINEAR_PROJ], 4 * e->F, e->C);
    TENSOR (e, y = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    if (next.a != NULL && e->hooks.need != NULL) {
        e->hooks.need (e->hooks.ctx, next.p->ln1_g, next.p->ln1_g + e->C);
        e->hooks.need (e->hooks.ctx, next.p->ln1_b, next.p->ln1_b + e->C);
    }
    if (next.a != NULL)
        PASS (e, WB_PROF_RESIDUAL, 4 * e->r * e->C,
              e->k->residual_layernorm (next.a->ln1, next.a->mean1, next.a->rstd1, out, a->mid, y, w + p->proj_b,
                                        w + next.p->ln1_g, w + next.p->ln1_b, e->r, e->C));
    else
        PASS (e, WB_PROF_RESIDUAL, 3 * e->r * e->C, e->k->bias_residual (out, a->mid, y, w + p->proj_b, e->r, e->C));
}

/* The gradient of a parameter of the layer; NULL: it is frozen, and only adapters learn. */
#define D(which) (e->base ? dw + (p->which - p->fixed) : NULL)

/* A gradient of weights. */
#define LEARN(e, macro, ...) \
    if ((e)->base) macro (e, __VA_ARGS__)

/* The gradient of z, for products. */
static wb_operand_t backward_gelu (wb_block_env_t *e, float *db, const wb_block_acts_t *a) {
    const int64_t m = 4 * e->F;
    if (e->bf16)
        PASS (e, WB_PROF_GELU_BACK, 8 * e->n * e->F,
              e->k->gelu_backward_half (e->rank > 0 ? e->dwide : NULL, e->dy_half, db, e->dwide, a->z_half, e->n, m));
    else
        PASS (e, WB_PROF_GELU_BACK, 12 * e->n * e->F, e->k->gelu_backward (e->dwide, db, e->dwide, a->z, e->n, m));
    return (wb_operand_t){e->dwide, e->dy_half};
}

static void backward_mlp (wb_block_env_t *e, float *dx, float *dw, const wb_block_acts_t *a, const float *w,
                          const wb_layer_offsets_t *p) {
    const wb_kern_t *k = e->k;
    const float *whole;
    float *dln;
    /* out = mid + gelu (LN (mid) fc) proj */
    LEARN (e, PASS, WB_PROF_BIAS_BACK, e->r * e->C, k->bias_backward (D (proj_b), dx, e->r, e->C));
    TENSOR (e, whole = wb_tensor_gather (&e->tp, e->full, dx, e->n, e->C));
    const wb_operand_t dy = gradient (e, whole, e->n * e->C), g = {a->g, a->g_half};
    const wb_operand_t A = weight (e, w, p->proj_w, WB_LINEAR_PROJ), F = weight (e, w, p->fc_w, WB_LINEAR_FC);
    LINEAR (e, WB_PROF_FC2_DX, e->n, 4 * e->F, e->C, wb_linear_dx (e->dwide, dy, A, e->n, 4 * e->F, e->C));
    LEARN (e, LINEAR, WB_PROF_FC2_DW, e->n, 4 * e->F, e->C, wb_linear_dw (D (proj_w), dy, g, e->n, 4 * e->F, e->C));
    if (e->rank > 0) unpack (e, a->g, a->g_half, e->n * 4 * e->F);
    wb_lora_backward (e, e->dwide, dw, a->g, dy.f, w, &p->lora[WB_LINEAR_PROJ], 4 * e->F, e->C);
    const wb_operand_t dz = backward_gelu (e, D (fc_b), a);
    if (e->recompute == WB_RECOMPUTE_ATTENTION) forward_ln2 (e, a, w, p);
    const wb_operand_t x = gathered_again (e, a->ln2, a->ln2_half);
    LINEAR (e, WB_PROF_FC_DX, e->n, e->C, 4 * e->F, wb_linear_dx (e->y, dz, F, e->n, e->C, 4 * e->F));
    LEARN (e, LINEAR, WB_PROF_FC_DW, e->n, e->C, 4 * e->F, wb_linear_dw (D (fc_w), dz, x, e->n, e->C, 4 * e->F));
    wb_lora_backward (e, e->y, dw, x.f, e->dwide, w, &p->lora[WB_LINEAR_FC], e->C, 4 * e->F);
    TENSOR (e, dln = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PASS (e, WB_PROF_LAYERNORM_BACK, 4 * e->r * e->C,
          k->layernorm_backward (dx, D (ln2_g), D (ln2_b), dln, a->mid, a->mean2, a->rstd2, w + p->ln2_g, e->r, e->C));
}

static void backward_attention (wb_block_env_t *e, float *dx, float *dw, const wb_block_acts_t *a, const float *w,
                                const wb_layer_offsets_t *p) {
    const wb_kern_t *k = e->k;
    const float *whole;
    float *dln;
    /* mid = x + attention (LN (x) qkv) att */
    LEARN (e, PASS, WB_PROF_BIAS_BACK, e->r * e->C, k->bias_backward (D (att_b), dx, e->r, e->C));
    TENSOR (e, whole = wb_tensor_gather (&e->tp, e->full, dx, e->n, e->C));
    const wb_operand_t dy = gradient (e, whole, e->n * e->C), att = {a->att, a->att_half};
    const wb_operand_t A = weight (e, w, p->att_w, WB_LINEAR_ATT), Q = weight (e, w, p->qkv_w, WB_LINEAR_QKV);
    unpack (e, a->att, a->att_half, e->n * e->F);
    if (e->recompute == WB_RECOMPUTE_NONE) unpack (e, a->qkv, a->qkv_half, e->n * 3 * e->F);
    LINEAR (e, WB_PROF_PROJ_DX, e->n, e->F, e->C, wb_linear_dx (e->datt, dy, A, e->n, e->F, e->C));
    LEARN (e, LINEAR, WB_PROF_PROJ_DW, e->n, e->F, e->C, wb_linear_dw (D (att_w), dy, att, e->n, e->F, e->C));
    wb_lora_backward (e, e->datt, dw, a->att, dy.f, w, &p->lora[WB_LINEAR_ATT], e->F, e->C);
    RUN (e, WB_PROF_ATTENTION_BACK, attention_flop (e, 5), 4.0 * (double) (8 * e->n * e->F), attend_back (e, a));
    LEARN (e, PASS, WB_PROF_BIAS_BACK, 3 * e->n * e->F, k->bias_backward (D (qkv_b), e->dwide, e->n, 3 * e->F));
    const wb_operand_t dqkv = gradient (e, e->dwide, e->n * 3 * e->F);
    const wb_operand_t x = gathered_again (e, a->ln1, a->ln1_half);
    LINEAR (e, WB_PROF_QKV_DX, e->n, e->C, 3 * e->F, wb_linear_dx (e->y, dqkv, Q, e->n, e->C, 3 * e->F));
    LEARN (e, LINEAR, WB_PROF_QKV_DW, e->n, e->C, 3 * e->F, wb_linear_dw (D (qkv_w), dqkv, x, e->n, e->C, 3 * e->F));
    wb_lora_backward (e, e->y, dw, x.f, e->dwide, w, &p->lora[WB_LINEAR_QKV], e->C, 3 * e->F);
    TENSOR (e, dln = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PASS (e, WB_PROF_LAYERNORM_BACK, 4 * e->r * e->C,
          k->layernorm_backward (dx, D (ln1_g), D (ln1_b), dln, a->x, a->mean1, a->rstd1, w + p->ln1_g, e->r, e->C));
}

void wb_block_backward (wb_block_env_t *e, float *dx, float *dw, const wb_block_acts_t *a, const float *w,
                        const wb_layer_offsets_t *p) {
    const wb_kern_t *k = e->k;
    if (e->recompute == WB_RECOMPUTE_BLOCK) {
        forward_qkv (e, a, w, p, false);
        forward_mid (e, a, w, p);
        forward_fc (e, a, w, p);
    } else if (e->recompute == WB_RECOMPUTE_ATTENTION) {
        forward_qkv (e, a, w, p, false);
        if (e->bf16)
            PASS (e, WB_PROF_GELU, 4 * e->n * e->F, k->gelu_half (a->g_half, a->z_half, e->n * 4 * e->F));
        else
            PASS (e, WB_PROF_GELU, 8 * e->n * e->F, k->gelu_forward (a->g, a->z, e->n * 4 * e->F));
    }
    backward_mlp (e, dx, dw, a, w, p);
    backward_attention (e, dx, dw, a, w, p);
}
