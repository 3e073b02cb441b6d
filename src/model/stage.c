/* One pipeline stage: embedding (first), blocks, final LayerNorm and loss (last).
 *
 * A stage holds chunks of consecutive layers, and for each chunk as many sets of activations (slots) as the schedule
 * has micro-batches in flight.  One function (carve) hands out all buffers: run on counting arenas it gives the memory
 * plan, so plan and allocation cannot disagree.
 *
 * Layers below the first that learns have no backward pass: their activations share one set of buffers, and what flows
 * from one to the next alternates between two.
 *
 * The gradient of the head is computed in the forward pass (parallel/vocab.c) and kept in the slot's gradient buffer,
 * where the backward pass finds it. */
#include "config.h"

#include <string.h>

#include "model/block.h"

typedef struct slot {
    wb_block_acts_t *layers; /* [layers of the chunk] */
    float *out;              /* [r, C] */
    float *grad;             /* [r, C] */
    float *meanf, *rstdf;    /* [r] final LayerNorm, last virtual stage */
} slot_t;

typedef struct chunk {
    int64_t first, layers;
    int64_t before; /* layers of the chunks before it */
    bool embed, head;
    slot_t *slots;
} chunk_t;

struct wb_stage {
    wb_block_env_t env;
    wb_stage_options_t o;
    int64_t V, Vown, v0;
    int64_t learns; /* the lowest layer that learns; -1: the embeddings do */
    int64_t fixed;  /* float of the block at which the gradients begin */
    chunk_t chunks[WB_MAX_CHUNKS];
    wb_layer_offsets_t *layers;     /* offsets, by layer number */
    int64_t wte, wpe, lnf_g, lnf_b; /* offsets, -1 where not held */
    int64_t wte_end, wpe_end, lnf_end;
    float *lnf, *dlnf, *headwork;
    /* bf16, else NULL: copies of the weights of linears and output, made when first used after wb_stage_refresh () */
    uint16_t *halves, *wte_half, *lnf_half;
    int64_t nlayers; /* of this rank */
    int64_t version;
    int64_t *copied; /* [layers of the rank, then the output] version of each copy */
    wb_arena_t *act, *work;
    void *tables; /* slots and layers, one block */
};

/* Of layers without a backward pass: one set of activations, and two inputs that are used in turn. */
static void carve_passing (wb_block_acts_t *a, float *pass[2], wb_arena_t *from, const wb_stage_t *st,
                           const wb_layout_t *lo, const wb_block_acts_t *shared) {
    const wb_block_env_t *e = &st->env;
    int64_t layers = 0;
    *a = *shared;
    for (int c = 0; c < lo->chunks; c++) {
        const int64_t n = st->learns - st->chunks[c].first;
        if (n > layers) layers = n < st->chunks[c].layers ? n : st->chunks[c].layers;
    }
    for (int i = 0; i < 2; i++) pass[i] = layers > 1 ? wb_arena_floats (from, e->r * e->C) : NULL;
    if (layers == 0) return;
    if (e->recompute == WB_RECOMPUTE_NONE) wb_carve_inputs (a, from, e);
    if (e->recompute != WB_RECOMPUTE_BLOCK) wb_carve_middle (a, from, e);
}

/* Sizes of env and chunks. */
static void set_sizes (wb_stage_t *st, const wb_size_t *s, const wb_layout_t *lo, const wb_stage_options_t *o) {
    wb_block_env_t *e = &st->env;
    bool sequence = o->sequence && lo->tp > 1;
    st->o = *o;
    e->B = o->B;
    e->T = o->T;
    e->C = s->C;
    e->H = s->H / lo->tp;
    e->D = s->C / s->H;
    e->n = o->B * o->T;
    e->r = sequence ? e->n / lo->tp : e->n;
    e->F = s->C / lo->tp;
    e->recompute = o->recompute;
    e->bf16 = o->bf16;
    e->hooks = o->hooks;
    st->learns = wb_tuning_first (&o->tuning, s);
    e->rank = o->tuning.rank;
    e->base = o->tuning.rank == 0;
    e->scale = e->rank > 0 ? (float) (o->tuning.alpha / (double) e->rank) : 0;
    st->V = s->V;
    st->v0 = wb_split_first (s->V, lo->tp, lo->tp_rank);
    st->Vown = wb_split_count (s->V, lo->tp, lo->tp_rank);
    int64_t before = 0;
    for (int c = 0; c < lo->chunks; c++) {
        int stage = c * lo->pp + lo->pp_rank;
        st->chunks[c].first = lo->first[stage];
        st->chunks[c].layers = lo->first[stage + 1] - lo->first[stage];
        st->chunks[c].before = before;
        before += st->chunks[c].layers;
        st->nlayers = before;
        st->chunks[c].embed = stage == 0;
        st->chunks[c].head = stage == lo->pp * lo->chunks - 1;
    }
}

/* Floats of the weights of a layer's linears. */
static int64_t linear_floats (const wb_block_env_t *e) { return 12 * e->C * e->F; }

/* What only products of brain floats need. */
static void carve_bf16 (wb_stage_t *st, wb_arena_t *work, const wb_layout_t *lo) {
    wb_block_env_t *e = &st->env;
    const int64_t wide = 4 * e->F > e->C ? 4 * e->F : e->C;
    st->halves = wb_carve_halves (work, st->nlayers * linear_floats (e));
    e->x_half = e->r != e->n ? wb_carve_halves (work, e->n * e->C) : NULL;
    e->dy_half = wb_carve_halves (work, e->n * wide);
    if (!wb_layout_has_head (lo)) return;
    st->wte_half = wb_carve_halves (work, st->Vown * e->C);
    st->lnf_half = wb_carve_halves (work, e->n * e->C);
}

/* All buffers; st->chunks[].slots may be NULL when the arenas only count. */
static void carve (wb_stage_t *st, wb_arena_t *act, wb_arena_t *work, const wb_layout_t *lo) {
    wb_block_env_t *e = &st->env;
    wb_block_acts_t shared, passing, scratch;
    float *pass[2];
    bool head = wb_layout_has_head (lo), sequence = e->r != e->n;
    e->full = sequence ? wb_arena_floats (work, e->n * e->C) : NULL;
    e->y = wb_arena_floats (work, e->n * e->C);
    e->dwide = wb_arena_floats (work, e->n * 4 * e->F);
    e->datt = wb_arena_floats (work, e->n * e->F);
    e->attwork = wb_arena_floats (work, wb_attention_work_floats (e->T, e->D, wb_kern_threads ()));
    if (e->rank > 0) {
        e->low = wb_arena_floats (work, e->n * e->rank);
        e->dlow = wb_arena_floats (work, e->n * e->rank);
    }
    if (head) {
        st->lnf = wb_arena_floats (work, e->r * e->C);
        st->dlnf = wb_arena_floats (work, e->n * e->C);
        st->headwork = wb_arena_floats (work, wb_head_work_floats (e->n, st->V, lo->tp, lo->tp_rank, e->bf16));
    }
    if (e->bf16) carve_bf16 (st, work, lo);
    wb_carve_shared (&shared, work, e);
    carve_passing (&passing, pass, work, st, lo, &shared);
    for (int c = 0; c < lo->chunks; c++) {
        chunk_t *ch = &st->chunks[c];
        for (int i = 0; i < st->o.slots[c]; i++) {
            slot_t none = {0}, *slot = ch->slots != NULL ? &ch->slots[i] : &none;
            for (int64_t l = 0; l < ch->layers; l++) {
                wb_block_acts_t *a = slot->layers != NULL ? &slot->layers[l] : &scratch;
                if (ch->first + l >= st->learns) {
                    wb_carve_layer (a, act, e, &shared);
                } else { /* the first layer's input is a buffer that messages arrive in */
                    *a = passing;
                    a->x = l > 0 ? pass[l % 2] : wb_arena_floats (act, e->r * e->C);
                }
            }
            slot->out = wb_arena_floats (act, e->r * e->C);
            slot->grad = wb_arena_floats (act, e->r * e->C);
            if (ch->head) {
                slot->meanf = wb_arena_floats (act, e->r);
                slot->rstdf = wb_arena_floats (act, e->r);
            }
        }
    }
}

void wb_stage_bytes (size_t *act, size_t *work, const wb_size_t *s, const wb_layout_t *lo,
                     const wb_stage_options_t *o) {
    wb_stage_t st = {0};
    wb_arena_t count_act = wb_arena_counting (), count_work = wb_arena_counting ();
    set_sizes (&st, s, lo, o);
    carve (&st, &count_act, &count_work, lo);
    *act = wb_arena_used (&count_act);
    *work = wb_arena_used (&count_work);
    if (lo->tp > 1) *work += wb_ring_bytes (lo->tp, st.env.n * st.env.C, 2, WB_WIRE_FP32, 0);
}

static void find_offsets (wb_stage_t *st, const wb_params_t *params, int chunks) {
    const wb_param_t *wte = wb_params_get (params, WB_ROLE_WTE, 0), *wpe = wb_params_get (params, WB_ROLE_WPE, 0);
    st->wte = wte->offset;
    st->wte_end = wte->offset + wb_param_own (wte);
    st->wpe = wpe->offset;
    st->wpe_end = wpe->offset + wb_param_own (wpe);
    st->lnf_g = wb_params_get (params, WB_ROLE_LNF_G, 0)->offset;
    st->lnf_b = wb_params_get (params, WB_ROLE_LNF_B, 0)->offset;
    st->lnf_end = st->lnf_b + st->env.C;
    st->fixed = st->env.fixed = params->fixed;
    for (int c = 0; c < chunks; c++)
        for (int64_t l = st->chunks[c].first; l < st->chunks[c].first + st->chunks[c].layers; l++)
            wb_layer_offsets (&st->layers[l], params, l);
}

/* Slots and their layers' tables in one heap block. */
static wb_status new_tables (wb_stage_t *st, const wb_layout_t *lo, int64_t L) {
    size_t slots = 0, layers = 0;
    for (int c = 0; c < lo->chunks; c++) {
        slots += (size_t) st->o.slots[c];
        layers += (size_t) st->o.slots[c] * (size_t) st->chunks[c].layers;
    }
    st->tables = wb_calloc (1, wb_align (slots * sizeof (slot_t)) + layers * sizeof (wb_block_acts_t));
    st->layers = wb_calloc ((size_t) L, sizeof *st->layers);
    st->copied = wb_calloc ((size_t) L + 1, sizeof *st->copied);
    if (st->tables == NULL || st->layers == NULL || st->copied == NULL) return WB_NOMEM ("the tables of a stage");
    slot_t *s = st->tables;
    wb_block_acts_t *a = (wb_block_acts_t *) (void *) ((char *) st->tables + wb_align (slots * sizeof *s));
    for (int c = 0; c < lo->chunks; c++) {
        st->chunks[c].slots = s;
        for (int i = 0; i < st->o.slots[c]; i++, s++) {
            s->layers = a;
            a += st->chunks[c].layers;
        }
    }
    return WB_OK;
}

static wb_status new_arenas (wb_stage_t *st, const wb_layout_t *lo) {
    wb_arena_t count_act = wb_arena_counting (), count_work = wb_arena_counting ();
    carve (st, &count_act, &count_work, lo);
    WB_TRY (wb_arena_new (&st->act, "activations", wb_arena_used (&count_act)));
    WB_TRY (wb_arena_new (&st->work, "work", wb_arena_used (&count_work)));
    carve (st, st->act, st->work, lo);
    wb_arena_seal (st->act);
    wb_arena_seal (st->work);
    return WB_OK;
}

wb_status wb_stage_new (wb_stage_t **out, const wb_size_t *s, const wb_layout_t *lo, wb_comm_t *tensor_group,
                        const wb_params_t *params, const wb_kern_t *k, const wb_stage_options_t *o) {
    *out = NULL;
    wb_stage_t *st = wb_calloc (1, sizeof *st);
    wb_status status = st == NULL ? WB_NOMEM ("a stage") : WB_OK;
    if (status == WB_OK) {
        set_sizes (st, s, lo, o);
        st->env.k = k;
        status = new_tables (st, lo, s->L);
    }
    if (status == WB_OK) {
        find_offsets (st, params, lo->chunks);
        status = new_arenas (st, lo);
    }
    status = wb_agree (tensor_group, status);
    if (status == WB_OK) status = wb_tensor_init (&st->env.tp, tensor_group, k, st->env.n * st->env.C, o->sequence);
    if (status != WB_OK) {
        wb_stage_destroy (st);
        return status;
    }
    st->env.tp.profile = &st->env.profile;
    wb_stage_refresh (st);
    *out = st;
    return WB_OK;
}

void wb_stage_destroy (wb_stage_t *st) {
    if (st == NULL) return;
    wb_tensor_fini (&st->env.tp);
    wb_arena_destroy (st->act);
    wb_arena_destroy (st->work);
    wb_free (st->tables);
    wb_free (st->layers);
    wb_free (st->copied);
    wb_free (st);
}

float *wb_stage_in (wb_stage_t *st, int chunk, int slot) { return st->chunks[chunk].slots[slot].layers[0].x; }
float *wb_stage_out (wb_stage_t *st, int chunk, int slot) { return st->chunks[chunk].slots[slot].out; }
float *wb_stage_grad (wb_stage_t *st, int chunk, int slot) { return st->chunks[chunk].slots[slot].grad; }
int64_t wb_stage_rows (const wb_stage_t *st) { return st->env.r; }
wb_profile_t *wb_stage_profile (wb_stage_t *st) { return &st->env.profile; }
void wb_stage_refresh (wb_stage_t *st) { st->version++; }

/* The gradient of what lies at a place of the block; NULL: there are none, or it is frozen. */
static float *gradient (const wb_stage_t *st, float *dw, int64_t at) {
    return dw != NULL && at >= st->fixed ? dw + (at - st->fixed) : NULL;
}

static void need (const wb_stage_t *st, int64_t begin, int64_t end) {
    if (st->env.hooks.need != NULL) st->env.hooks.need (st->env.hooks.ctx, begin, end);
}

/* ---- copies of the weights in bf16 ------------------------------------------------------------------------------- */

static void pack (wb_stage_t *st, uint16_t *half, const float *w, int64_t count) {
    const double start = wb_now ();
    st->env.k->bf16_pack (half, w, count);
    wb_profile_add (&st->env.profile, WB_PROF_PACK, start, 0, 6.0 * (double) count);
}

/* Is a copy of older weights?  Then it is to be made now. */
static bool is_stale (wb_stage_t *st, int64_t *copied) {
    const bool stale = *copied != st->version;
    *copied = st->version;
    return stale;
}

/* The linears of layer l of a chunk, for the passes of its block. */
static void use_layer (wb_stage_t *st, const chunk_t *ch, int64_t l, const float *w) {
    wb_block_env_t *e = &st->env;
    if (!e->bf16) return;
    const wb_layer_offsets_t *p = &st->layers[ch->first + l];
    const int64_t n = e->C * e->F, at[WB_LINEARS + 1] = {0, 3 * n, 4 * n, 8 * n, 12 * n};
    const int64_t from[WB_LINEARS] = {p->qkv_w, p->att_w, p->fc_w, p->proj_w};
    uint16_t *half = st->halves + (ch->before + l) * linear_floats (e);
    const bool stale = is_stale (st, &st->copied[ch->before + l]);
    for (int i = 0; i < WB_LINEARS; i++) {
        if (stale) pack (st, half + at[i], w + from[i], at[i + 1] - at[i]);
        e->half[i] = half + at[i];
    }
}

/* ---- forward and backward ---------------------------------------------------------------------------------------- */

/* x of the first layer = wte [tokens] + wpe, the vocabulary's shards summed over the tensor group. */
static void embed_forward (wb_stage_t *st, float *x, const float *w, const int32_t *tokens) {
    wb_block_env_t *e = &st->env;
    bool own = e->tp.ranks == 1;
    float *sum = own ? x : e->y;
    need (st, st->wte, st->wte_end);
    need (st, st->wpe, st->wpe_end);
    double t = wb_now ();
    e->k->embed_forward (sum, tokens, w + st->wte, e->tp.rank == 0 ? w + st->wpe : NULL, e->n, e->T, e->C, st->v0,
                         st->v0 + st->Vown, 0);
    t = wb_profile_add (&e->profile, WB_PROF_EMBED, t, 0, 12.0 * (double) (e->n * e->C));
    if (own) return;
    sum = wb_tensor_reduce (&e->tp, sum, e->n, e->C);
    memcpy (x, sum, (size_t) (e->r * e->C) * sizeof *x);
    wb_profile_add (&e->profile, WB_PROF_TENSOR, t, 0, 0);
}

static void head_forward (wb_stage_t *st, float *loss, float *dw, slot_t *slot, const float *w, const int32_t *targets,
                          float scale) {
    wb_block_env_t *e = &st->env;
    need (st, st->lnf_g, st->lnf_end);
    need (st, st->wte, st->wte_end);
    double t = wb_now ();
    e->k->layernorm_forward (st->lnf, slot->meanf, slot->rstdf, slot->out, w + st->lnf_g, w + st->lnf_b, e->r, e->C);
    t = wb_profile_add (&e->profile, WB_PROF_LAYERNORM, t, 0, 8.0 * (double) (e->r * e->C));
    const float *h = wb_tensor_gather (&e->tp, e->full, st->lnf, e->n, e->C);
    wb_profile_add (&e->profile, WB_PROF_TENSOR, t, 0, 0);
    if (e->bf16) {
        if (is_stale (st, &st->copied[st->nlayers])) pack (st, st->wte_half, w + st->wte, st->Vown * e->C);
        pack (st, st->lnf_half, h, e->n * e->C);
    }
    const wb_operand_t rows = {h, st->lnf_half}, wte = {w + st->wte, st->wte_half};
    wb_head_loss (&e->tp, dw != NULL ? st->dlnf : NULL, gradient (st, dw, st->wte), loss, rows, wte, targets,
                  st->headwork, e->n, e->C, st->V, scale);
    if (dw == NULL) return;
    t = wb_now ();
    float *dh = wb_tensor_reduce (&e->tp, st->dlnf, e->n, e->C);
    wb_profile_add (&e->profile, WB_PROF_TENSOR, t, 0, 0);
    memcpy (slot->grad, dh, (size_t) (e->r * e->C) * sizeof *dh);
}

void wb_stage_forward (wb_stage_t *st, float *loss, float *dw, const float *w, const int32_t *tokens,
                       const int32_t *targets, int chunk, int slot, float scale) {
    chunk_t *ch = &st->chunks[chunk];
    slot_t *s = &ch->slots[slot];
    if (ch->embed) embed_forward (st, s->layers[0].x, w, tokens);
    for (int64_t l = 0; l < ch->layers; l++) {
        bool more = l + 1 < ch->layers;
        const wb_layer_offsets_t *p = &st->layers[ch->first + l];
        wb_block_next_t next = {more ? &s->layers[l + 1] : NULL, more ? p + 1 : NULL};
        need (st, p->learn_begin, p->learn_end);
        use_layer (st, ch, l, w);
        wb_block_forward (&st->env, more ? s->layers[l + 1].x : s->out, &s->layers[l], w, p, next, l > 0);
    }
    if (!ch->head) return;
    head_forward (st, loss, dw, s, w, targets, scale);
    wb_block_poll (&st->env, wb_now ());
}

/* In the last backward pass: the gradient block is final from `begin` on.  `now` as wb_now () gives it. */
static void tell_final (wb_stage_t *st, bool last, int64_t begin, double now) {
    if (!last || st->env.hooks.final == NULL) return;
    st->env.hooks.final (st->env.hooks.ctx, begin);
    wb_profile_add (&st->env.profile, WB_PROF_POLL, now, 0, 0);
}

void wb_stage_backward (wb_stage_t *st, float *dw, const float *w, const int32_t *tokens, int chunk, int slot,
                        bool last) {
    chunk_t *ch = &st->chunks[chunk];
    slot_t *s = &ch->slots[slot];
    wb_block_env_t *e = &st->env;
    size_t bytes = (size_t) (e->r * e->C) * sizeof (float);
    double t = wb_now ();
    if (ch->head) { /* the forward pass left the gradient of the final LayerNorm's output in s->grad */
        wb_floats_copy (st->lnf, s->grad, e->r * e->C);
        wb_floats_clear (s->grad, e->r * e->C);
        e->k->layernorm_backward (s->grad, gradient (st, dw, st->lnf_g), gradient (st, dw, st->lnf_b), st->lnf, s->out,
                                  s->meanf, s->rstdf, w + st->lnf_g, e->r, e->C);
        t = wb_profile_add (&e->profile, WB_PROF_LAYERNORM_BACK, t, 0, 4.0 * (double) bytes);
        if (st->lnf_g >= st->fixed) tell_final (st, last, st->lnf_g, t);
    }
    for (int64_t l = ch->layers - 1; l >= 0 && ch->first + l >= st->learns; l--) {
        use_layer (st, ch, l, w);
        wb_block_backward (e, s->grad, dw, &s->layers[l], w, &st->layers[ch->first + l]);
        tell_final (st, last, st->layers[ch->first + l].learn_begin, wb_now ());
    }
    if (ch->embed && st->learns < 0) {
        t = wb_now ();
        const float *dx = wb_tensor_gather (&e->tp, e->full, s->grad, e->n, e->C);
        t = wb_profile_add (&e->profile, WB_PROF_TENSOR, t, 0, 0);
        e->k->embed_backward (gradient (st, dw, st->wte), gradient (st, dw, st->wpe), dx, tokens, e->n, e->T, e->C,
                              st->v0, st->v0 + st->Vown);
        t = wb_profile_add (&e->profile, WB_PROF_EMBED_BACK, t, 0, 20.0 * (double) (e->n * e->C));
        tell_final (st, last, 0, t);
    }
}
