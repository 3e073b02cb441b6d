/* A transformer block, forward and backward: x -> x + attention (LN (x)) -> + mlp (LN (.)).
 *
 * Read it with the residual stream in mind: LayerNorm and residual work on the rows this rank holds (`r`), the linears
 * on all rows
 * (`n`); wb_tensor_gather and wb_tensor_reduce move between the two and do nothing on a single tensor rank.  The
 * backward pass is the forward pass read from its end; dx holds the gradient of the residual stream all the way
 * through.
 *
 * Which activations are kept is the stage's choice (recompute): here they are only made again when they were not. */
#include "config.h"

#include "block.h"

/* Run one call, add its seconds to a phase, let communication move. */
#define PHASE(e, phase, call)                         \
    do {                                              \
        double phase_start_ = wb_now ();              \
        call;                                         \
        (e)->times.phase += wb_now () - phase_start_; \
        wb_block_poll (e);                            \
    } while (0)

static void forward_qkv (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_block_params_t *p) {
    const float *in;

    PHASE (e, elementwise,
           e->k->layernorm_forward (a->ln1, a->mean1, a->rstd1, a->x, w + p->ln1_g, w + p->ln1_b, e->r, e->C));
    PHASE (e, tensor_comm, in = wb_tensor_gather (&e->tp, e->full, a->ln1, e->n, e->C));
    PHASE (e, linear, wb_linear_forward (a->qkv, in, w + p->qkv_w, e->n, e->C, 3 * e->F));
    PHASE (e, elementwise, e->k->bias_add (a->qkv, w + p->qkv_b, e->n, 3 * e->F));
    PHASE (e, attention, e->k->attention_forward (a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D));
}

static void forward_mid (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_block_params_t *p) {
    float *y;

    PHASE (e, linear, wb_linear_forward (e->y, a->att, w + p->att_w, e->n, e->F, e->C));
    PHASE (e, tensor_comm, y = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PHASE (e, elementwise, e->k->bias_residual (a->mid, a->x, y, w + p->att_b, e->r, e->C));
}

static const float *forward_ln2 (wb_block_env_t *e, const wb_block_acts_t *a, const float *w,
                                 const wb_block_params_t *p) {
    const float *in;

    PHASE (e, elementwise,
           e->k->layernorm_forward (a->ln2, a->mean2, a->rstd2, a->mid, w + p->ln2_g, w + p->ln2_b, e->r, e->C));
    PHASE (e, tensor_comm, in = wb_tensor_gather (&e->tp, e->full, a->ln2, e->n, e->C));
    return in;
}

static void forward_fc (wb_block_env_t *e, const wb_block_acts_t *a, const float *w, const wb_block_params_t *p) {
    const float *in = forward_ln2 (e, a, w, p);

    PHASE (e, linear, wb_linear_forward (a->z, in, w + p->fc_w, e->n, e->C, 4 * e->F));
    PHASE (e, elementwise, e->k->bias_gelu_forward (a->g, a->z, w + p->fc_b, e->n, 4 * e->F));
}

void wb_block_forward (wb_block_env_t *e, float *out, const wb_block_acts_t *a, const float *w,
                       const wb_block_params_t *p) {
    float *y;

    forward_qkv (e, a, w, p);
    forward_mid (e, a, w, p);
    forward_fc (e, a, w, p);
    PHASE (e, linear, wb_linear_forward (e->y, a->g, w + p->proj_w, e->n, 4 * e->F, e->C));
    PHASE (e, tensor_comm, y = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PHASE (e, elementwise, e->k->bias_residual (out, a->mid, y, w + p->proj_b, e->r, e->C));
}

void wb_block_backward (wb_block_env_t *e, float *dx, float *dw, const wb_block_acts_t *a, const float *w,
                        const wb_block_params_t *p) {
    const wb_kern_t *k = e->k;
    const float *in, *dy;
    float *dln;

    if (e->recompute == WB_RECOMPUTE_BLOCK) {
        forward_qkv (e, a, w, p);
        forward_mid (e, a, w, p);
        forward_fc (e, a, w, p);
    } else if (e->recompute == WB_RECOMPUTE_ATTENTION) {
        forward_qkv (e, a, w, p);
        PHASE (e, elementwise, k->gelu_forward (a->g, a->z, e->n * 4 * e->F));
    }

    /* out = mid + gelu (LN (mid) fc) proj */
    PHASE (e, elementwise, k->bias_backward (dw + p->proj_b, dx, e->r, e->C));
    PHASE (e, tensor_comm, dy = wb_tensor_gather (&e->tp, e->full, dx, e->n, e->C));
    PHASE (e, linear, wb_linear_backward (e->dwide, dw + p->proj_w, dy, a->g, w + p->proj_w, e->n, 4 * e->F, e->C));
    PHASE (e, elementwise, k->gelu_backward (e->dwide, e->dwide, a->z, e->n * 4 * e->F));
    PHASE (e, elementwise, k->bias_backward (dw + p->fc_b, e->dwide, e->n, 4 * e->F));
    if (e->recompute == WB_RECOMPUTE_ATTENTION)
        in = forward_ln2 (e, a, w, p);
    else
        PHASE (e, tensor_comm, in = wb_tensor_gather (&e->tp, e->full, a->ln2, e->n, e->C));
    PHASE (e, linear, wb_linear_backward (e->y, dw + p->fc_w, e->dwide, in, w + p->fc_w, e->n, e->C, 4 * e->F));
    PHASE (e, tensor_comm, dln = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PHASE (e, elementwise,
           k->layernorm_backward (dx, dw + p->ln2_g, dw + p->ln2_b, dln, a->mid, a->mean2, a->rstd2, w + p->ln2_g, e->r,
                                  e->C));

    /* mid = x + attention (LN (x) qkv) att */
    PHASE (e, elementwise, k->bias_backward (dw + p->att_b, dx, e->r, e->C));
    PHASE (e, tensor_comm, dy = wb_tensor_gather (&e->tp, e->full, dx, e->n, e->C));
    PHASE (e, linear, wb_linear_backward (e->datt, dw + p->att_w, dy, a->att, w + p->att_w, e->n, e->F, e->C));
    PHASE (e, attention,
           k->attention_backward (e->dwide, e->datt, a->att, a->lse, a->qkv, e->attwork, e->B, e->T, e->H, e->D));
    PHASE (e, elementwise, k->bias_backward (dw + p->qkv_b, e->dwide, e->n, 3 * e->F));
    PHASE (e, tensor_comm, in = wb_tensor_gather (&e->tp, e->full, a->ln1, e->n, e->C));
    PHASE (e, linear, wb_linear_backward (e->y, dw + p->qkv_w, e->dwide, in, w + p->qkv_w, e->n, e->C, 3 * e->F));
    PHASE (e, tensor_comm, dln = wb_tensor_reduce (&e->tp, e->y, e->n, e->C));
    PHASE (e, elementwise,
           k->layernorm_backward (dx, dw + p->ln1_g, dw + p->ln1_b, dln, a->x, a->mean1, a->rstd1, w + p->ln1_g, e->r,
                                  e->C));
}
