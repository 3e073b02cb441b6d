/* The memory of a layer's activations: what is kept for the backward pass, and what is work space, by what is computed
 * again and by the precision of products.
 *
 * Not here: which layers have which (stage.c). */
#include "config.h"

#include <string.h>

#include "model/block.h"

uint16_t *wb_carve_halves (wb_arena_t *from, int64_t n) {
    return wb_arena_alloc (from, (size_t) n * sizeof (uint16_t));
}

/* bf16: what linears and attention take and give in fp32 is work space, shared by all layers.  z is where its gradient
 * will be. */
static void carve_floats (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e) {
    a->ln1 = wb_arena_floats (from, e->r * e->C);
    a->qkv = wb_arena_floats (from, e->n * 3 * e->F);
    a->att = wb_arena_floats (from, e->n * e->F);
    a->ln2 = wb_arena_floats (from, e->r * e->C);
    a->z = e->dwide;
    a->g = e->rank > 0 ? wb_arena_floats (from, e->n * 4 * e->F) : NULL;
}

/* What WB_RECOMPUTE_ATTENTION computes again: inputs of the linears, the attention, the output of GELU. */
void wb_carve_inputs (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e) {
    a->mean1 = wb_arena_floats (from, e->r);
    a->rstd1 = wb_arena_floats (from, e->r);
    a->lse = wb_arena_floats (from, e->n * e->H);
    a->mean2 = wb_arena_floats (from, e->r);
    a->rstd2 = wb_arena_floats (from, e->r);
    if (e->bf16) {
        a->ln1_half = wb_carve_halves (from, e->r * e->C);
        a->qkv_half = wb_carve_halves (from, e->n * 3 * e->F);
        a->att_half = wb_carve_halves (from, e->n * e->F);
        a->ln2_half = wb_carve_halves (from, e->r * e->C);
        a->g_half = wb_carve_halves (from, e->n * 4 * e->F);
    } else {
        a->ln1 = wb_arena_floats (from, e->r * e->C);
        a->qkv = wb_arena_floats (from, e->n * 3 * e->F);
        a->att = wb_arena_floats (from, e->n * e->F);
        a->ln2 = wb_arena_floats (from, e->r * e->C);
        a->g = wb_arena_floats (from, e->n * 4 * e->F);
    }
}

/* What only WB_RECOMPUTE_BLOCK computes again. */
void wb_carve_middle (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e) {
    a->mid = wb_arena_floats (from, e->r * e->C);
    if (e->bf16)
        a->z_half = wb_carve_halves (from, e->n * 4 * e->F);
    else
        a->z = wb_arena_floats (from, e->n * 4 * e->F);
}

/* Activations that are computed again share their memory over all layers. */
void wb_carve_shared (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e) {
    memset (a, 0, sizeof *a);
    if (e->bf16) carve_floats (a, from, e);
    if (e->recompute != WB_RECOMPUTE_NONE) wb_carve_inputs (a, from, e);
    if (e->recompute == WB_RECOMPUTE_BLOCK) wb_carve_middle (a, from, e);
}

void wb_carve_layer (wb_block_acts_t *a, wb_arena_t *from, const wb_block_env_t *e, const wb_block_acts_t *shared) {
    *a = *shared;
    a->x = wb_arena_floats (from, e->r * e->C);
    if (e->recompute != WB_RECOMPUTE_BLOCK) wb_carve_middle (a, from, e);
    if (e->recompute == WB_RECOMPUTE_NONE) wb_carve_inputs (a, from, e);
}
