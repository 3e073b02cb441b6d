/* model, inside: a transformer block.  Not installed. */
#ifndef WABUN_MODEL_BLOCK_H
#define WABUN_MODEL_BLOCK_H

#include "wabun/model.h"

/* Activations of a layer for one micro-batch.  n = B T rows, r rows of the residual stream on this rank (n, or n / tp
 * with sequence parallelism), F = C / tp.  Those that the backward pass recomputes are shared between layers. */
typedef struct wb_block_acts {
    float *x;                   /* [r, C] input; the next layer's x is this one's output */
    float *ln1, *mean1, *rstd1; /* [r, C] [r] [r] */
    float *qkv, *att, *lse;     /* [n, 3 F] [n, F] [B, H / tp, T] */
    float *mid;                 /* [r, C] residual after attention */
    float *ln2, *mean2, *rstd2;
    float *z, *g; /* [n, 4 F] before and after GELU */
    /* bf16: these are kept instead of ln1, qkv, att, ln2, z and g, which are work space then (g of adapters only); NULL
     * in fp32 */
    uint16_t *ln1_half, *qkv_half, *att_half, *ln2_half, *z_half, *g_half;
} wb_block_acts_t;

/* Shared by all blocks of a stage. */
typedef struct wb_block_env {
    wb_tensor_t tp;
    const wb_kern_t *k;
    int64_t B, T, C, H, D; /* H: own heads */
    int64_t n, r, F;
    wb_recompute recompute;
    bool bf16; /* products of brain floats */
    wb_stage_hooks_t hooks;
    wb_profile_t profile;
    /* scratch, shared by all */
    float *full;    /* [n, C] gathered rows (sequence parallelism), else NULL */
    float *y;       /* [n, C] output of row-cut linears; gradient of column-cut ones */
    float *dwide;   /* [n, 4 F] gradient of z, then of qkv */
    float *datt;    /* [n, F] */
    float *attwork; /* attention */
    /* bf16, else NULL */
    uint16_t *x_half;                 /* [n, C] gathered rows (sequence parallelism) */
    uint16_t *dy_half;                /* [n, 4 F or C] the gradient that goes into a linear */
    const uint16_t *half[WB_LINEARS]; /* weights of the linears of the layer at hand */
    /* adapters */
    int64_t rank, fixed; /* rank 0: there are none; float of the block at which the gradients begin */
    float scale;
    bool base;         /* the parameters of the layers learn, not only adapters */
    float *low, *dlow; /* [n, rank] */
} wb_block_env_t;

/* The next layer of the chunk, so that its first LayerNorm is computed while the rows are in cache. */
typedef struct wb_block_next {
    const wb_block_acts_t *a;
    const wb_layer_offsets_t *p;
} wb_block_next_t;

/* out [r, C] = block (a->x); keeps in `a` what the backward pass needs.  next: computes its ln1 as well, out being its
 * x; next.a is NULL for the last layer of a chunk.  begun: a->ln1 was computed so by the layer before.
 * Collective over the tensor group. */
void wb_block_forward (wb_block_env_t *e, float *out, const wb_block_acts_t *a, const float *w,
                       const wb_layer_offsets_t *p, wb_block_next_t next, bool begun);
/* dx [r, C]: gradient of the output, becomes that of the input; dw += .  Recomputes what was not kept.
 * Collective over the tensor group. */
void wb_block_backward (wb_block_env_t *e, float *dx, float *dw, const wb_block_acts_t *a, const float *w,
                        const wb_layer_offsets_t *p);

/* y [n, out] += what the adapter adds to the linear of x [n, in]; nothing where there is none. */
void wb_lora_forward (wb_block_env_t *e, float *y, const float *x, const float *w, const wb_lora_t *at, int64_t in,
                      int64_t out);
/* dx [n, in] +=, and the gradients of A and B in dw, of dy [n, out]. */
void wb_lora_backward (wb_block_env_t *e, float *dx, float *dw, const float *x, const float *dy, const float *w,
                       const wb_lora_t *at, int64_t in, int64_t out);

/* Memory of activations, from an arena or a counting one (activations.c).  All of a layer that has a backward pass;
 * what all layers share; and by themselves what WB_RECOMPUTE_ATTENTION computes again, and what only
 * WB_RECOMPUTE_BLOCK. */
void wb_carve_layer (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e, const wb_block_acts_t *shared);
void wb_carve_shared (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e);
void wb_carve_inputs (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e);
void wb_carve_middle (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e);
uint16_t *wb_carve_halves (wb_arena_t *from, int64_t n);

/* Let communication progress; `now` as wb_now () gives it. */
static inline void wb_block_poll (wb_block_env_t *e, double now) {
    if (e->hooks.poll == NULL) return;
    e->hooks.poll (e->hooks.ctx);
    wb_profile_add (&e->profile, WB_PROF_POLL, now, 0, 0);
}

#endif
