/* THE parameter table.  Nothing else in the program knows the names and shapes of GPT-2's parameters: others ask for a
 * role, or walk over the list.
 *
 * The list is in file order.  A rank's block has a different order: wte, wpe, then layer by layer the matrices, the cut
 * vectors, and the vectors that every tensor rank holds (contiguous, because with sequence parallelism their gradients
 * are summed together), then ln_f.  The backward pass finishes the block from its end, so what is final is always a
 * tail, and buckets of gradients can leave while earlier layers still run.  Every parameter begins at a multiple of
 * 64 bytes.
 *
 * In fine-tuning some parameters are frozen, perhaps all, beside which adapters learn: these are the last of list and
 * block.  They lie before all that learns, so what learns is a tail of the block
 * too: gradients, buckets and optimizer state are those of that tail, and need no word about what is frozen. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/model.h"

#define ALIGN_FLOATS 16

/* Sizes of an axis: 1, so many times C, V or T. */
typedef enum extent { ONE = 0, C1 = 1, C3 = 3, C4 = 4, VOCABULARY, POSITIONS } extent;

enum {
    PER_LAYER = WB_ROLE_PROJ_B - WB_ROLE_LN1_G + 1,
    BEFORE_LAYERS = WB_ROLE_LN1_G - WB_ROLE_WTE,
    AFTER_LAYERS = WB_ROLES - WB_ROLE_LNF_G
};

/* `place`: order inside the block of a layer. */
static const struct {
    const char *name; /* of a layer's: after "h.<layer>." */
    int ndim;
    extent rows, cols;
    int axis, parts, place;
    wb_param_class cls;
    wb_init_kind init;
    double std;
    bool partial;
} table[WB_ROLES] = {
    [WB_ROLE_WTE] = {"wte.weight", 2, VOCABULARY, C1, 0, 1, 0, WB_CLASS_EMBED, WB_INIT_NORMAL, 0.02, false},
    [WB_ROLE_WPE] = {"wpe.weight", 2, POSITIONS, C1, -1, 1, 0, WB_CLASS_EMBED, WB_INIT_NORMAL, 0.01, false},
    [WB_ROLE_LN1_G] = {"ln_1.weight", 1, ONE, C1, -1, 1, 6, WB_CLASS_VECTOR, WB_INIT_ONE, 0, true},
    [WB_ROLE_LN1_B] = {"ln_1.bias", 1, ONE, C1, -1, 1, 7, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, true},
    [WB_ROLE_QKV_W] = {"attn.c_attn.weight", 2, C1, C3, 1, 3, 0, WB_CLASS_MATRIX, WB_INIT_NORMAL, 0.02, false},
    [WB_ROLE_QKV_B] = {"attn.c_attn.bias", 1, ONE, C3, 1, 3, 4, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, false},
    [WB_ROLE_ATT_W] = {"attn.c_proj.weight", 2, C1, C1, 0, 1, 1, WB_CLASS_MATRIX, WB_INIT_NORMAL, 0.02, false},
    [WB_ROLE_ATT_B] = {"attn.c_proj.bias", 1, ONE, C1, -1, 1, 8, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, true},
    [WB_ROLE_LN2_G] = {"ln_2.weight", 1, ONE, C1, -1, 1, 9, WB_CLASS_VECTOR, WB_INIT_ONE, 0, true},
    [WB_ROLE_LN2_B] = {"ln_2.bias", 1, ONE, C1, -1, 1, 10, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, true},
    [WB_ROLE_FC_W] = {"mlp.c_fc.weight", 2, C1, C4, 1, 1, 2, WB_CLASS_MATRIX, WB_INIT_NORMAL, 0.02, false},
    [WB_ROLE_FC_B] = {"mlp.c_fc.bias", 1, ONE, C4, 1, 1, 5, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, false},
    [WB_ROLE_PROJ_W] = {"mlp.c_proj.weight", 2, C4, C1, 0, 1, 3, WB_CLASS_MATRIX, WB_INIT_NORMAL, 0.02, false},
    [WB_ROLE_PROJ_B] = {"mlp.c_proj.bias", 1, ONE, C1, -1, 1, 11, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, true},
    [WB_ROLE_LNF_G] = {"ln_f.weight", 1, ONE, C1, -1, 1, 0, WB_CLASS_VECTOR, WB_INIT_ONE, 0, true},
    [WB_ROLE_LNF_B] = {"ln_f.bias", 1, ONE, C1, -1, 1, 0, WB_CLASS_VECTOR, WB_INIT_ZERO, 0, true},
};

static int64_t length_of (extent e, const wb_size_t *s) {
    switch (e) {
    case ONE: return 1;
    case VOCABULARY: return s->V;
    case POSITIONS: return s->T;
    default: return (int64_t) e * s->C;
    }
}

static int64_t round_up (int64_t n) { return (n + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS; }

/* Where a parameter stands in the list. */
static int64_t index_of (int64_t layers, wb_role role, int64_t l) {
    if (role < WB_ROLE_LN1_G) return role - WB_ROLE_WTE;
    if (role < WB_ROLE_LNF_G) return BEFORE_LAYERS + l * PER_LAYER + role - WB_ROLE_LN1_G;
    return BEFORE_LAYERS + layers * PER_LAYER + role - WB_ROLE_LNF_G;
}

/* The next row of the list; `layer` as in wb_param_t; `first`: the lowest that learns. */
static void put (wb_params_t *t, const wb_size_t *s, wb_role role, int64_t layer, int64_t first) {
    wb_param_t *p = &t->list[t->n++];
    if (layer >= 0 && layer < s->L)
        snprintf (p->name, sizeof p->name, "h.%lld.%s", (long long) layer, table[role].name);
    else
        snprintf (p->name, sizeof p->name, "%s", table[role].name);
    p->role = role;
    p->ndim = table[role].ndim;
    p->rows = length_of (table[role].rows, s);
    p->cols = length_of (table[role].cols, s);
    p->axis = table[role].axis;
    p->parts = table[role].parts;
    p->layer = (int) layer;
    p->cls = table[role].cls;
    p->init = table[role].init;
    p->std = table[role].std;
    p->decay = p->ndim == 2;
    p->sequence_partial = table[role].partial;
    p->frozen = layer < first;
    p->offset = -1;
    t->total += p->rows * p->cols;
    if (!p->frozen) t->learn += p->rows * p->cols;
}

/* A and B of a linear's adapter.  Cut as the linear is, the short side whole; A of it is drawn with the variance that
 * PEFT's has, B is zero. */
static void put_adapter (wb_params_t *t, wb_role role, int64_t layer, int64_t rank) {
    const wb_param_t *of = wb_params_get (t, role, layer);
    const char *dot = strrchr (of->name, '.');
    for (int b = 0; b < 2; b++) {
        wb_param_t *p = &t->list[t->n++];
        *p = *of;
        snprintf (p->name, sizeof p->name, "%.*s.lora_%c.weight", (int) (dot - of->name), of->name, "AB"[b]);
        p->role = b ? WB_ROLE_LORA_B : WB_ROLE_LORA_A;
        p->rows = b ? of->cols : rank;
        p->cols = b ? rank : of->rows;
        p->axis = of->axis == 1 ? (b ? 0 : -1) : (b ? -1 : 1);
        p->parts = p->axis == 0 ? of->parts : 1;
        p->cls = WB_CLASS_ADAPTER;
        p->init = b ? WB_INIT_ZERO : WB_INIT_NORMAL;
        p->std = sqrt (1.0 / (3.0 * (double) of->rows));
        p->tensor_partial = p->axis < 0;
        p->frozen = false;
        p->offset = -1;
        t->total += p->rows * p->cols;
        t->learn += p->rows * p->cols;
    }
}

static wb_role role_of (wb_linear l) {
    static const wb_role roles[WB_LINEARS] = {WB_ROLE_QKV_W, WB_ROLE_ATT_W, WB_ROLE_FC_W, WB_ROLE_PROJ_W};
    return roles[l];
}

const wb_param_t *wb_params_adapter (const wb_params_t *p, int64_t l, wb_linear linear, int which) {
    const wb_param_t *of = wb_params_get (p, role_of (linear), l);
    const size_t n = (size_t) (strrchr (of->name, '.') - of->name);
    for (int i = p->nbase; i < p->n; i++) {
        const wb_param_t *a = &p->list[i];
        if (a->role == (which ? WB_ROLE_LORA_B : WB_ROLE_LORA_A) && a->layer == l && memcmp (a->name, of->name, n) == 0)
            return a;
    }
    return NULL;
}

/* This rank holds p: which slice, at the end of its block.  wte is held twice, the first stage's counts. */
static void hold (wb_params_t *t, wb_param_t *p, const wb_layout_t *lo) {
    p->own_rows = p->rows;
    p->own_cols = p->cols;
    if (p->axis == 0) {
        int64_t part = p->rows / p->parts;
        p->row0 = wb_split_first (part, lo->tp, lo->tp_rank);
        p->own_rows = wb_split_count (part, lo->tp, lo->tp_rank) * p->parts;
    } else if (p->axis == 1) {
        int64_t part = p->cols / p->parts;
        p->col0 = wb_split_first (part, lo->tp, lo->tp_rank);
        p->own_cols = wb_split_count (part, lo->tp, lo->tp_rank) * p->parts;
    }
    p->primary = (p->axis >= 0 || lo->tp_rank == 0) && (p->role != WB_ROLE_WTE || wb_layout_has_embed (lo));
    p->offset = t->own;
    t->own = round_up (t->own + p->own_rows * p->own_cols);
    if (p->frozen) t->fixed = t->own;
}

static void hold_adapters (wb_params_t *t, int64_t l, const wb_layout_t *lo) {
    for (int i = t->nbase; i < t->n; i++)
        if (t->list[i].layer == l) hold (t, &t->list[i], lo);
}

static void hold_layer (wb_params_t *t, wb_param_t *first, const wb_layout_t *lo) {
    for (int place = 0; place < PER_LAYER; place++)
        for (int i = 0; i < PER_LAYER; i++)
            if (table[WB_ROLE_LN1_G + i].place == place) hold (t, &first[i], lo);
}

wb_status wb_params_new (wb_params_t **out, const wb_size_t *s, const wb_layout_t *lo) {
    const wb_tuning_t all = {0};
    return wb_params_new_tuned (out, s, lo, &all);
}

wb_status wb_params_new_tuned (wb_params_t **out, const wb_size_t *s, const wb_layout_t *lo,
                               const wb_tuning_t *tuning) {
    const int64_t first = wb_tuning_first (tuning, s), learns = tuning->rank > 0 ? s->L + 1 : first;
    unsigned targets;
    *out = NULL;
    WB_TRY (wb_tuning_targets (&targets, tuning));
    wb_params_t *t = wb_calloc (1, sizeof *t);
    if (t != NULL)
        t->list =
            wb_calloc ((size_t) (BEFORE_LAYERS + PER_LAYER * s->L + AFTER_LAYERS) + 2 * WB_LINEARS * (size_t) s->L,
                       sizeof *t->list);
    if (t == NULL || t->list == NULL) {
        wb_free (t);
        return WB_NOMEM ("the parameter table");
    }
    for (int role = WB_ROLE_WTE; role < WB_ROLE_LN1_G; role++) put (t, s, role, -1, learns);
    for (int64_t l = 0; l < s->L; l++)
        for (int i = 0; i < PER_LAYER; i++) put (t, s, WB_ROLE_LN1_G + i, l, learns);
    for (int role = WB_ROLE_LNF_G; role < WB_ROLES; role++) put (t, s, role, s->L, learns);
    t->nbase = t->n;
    for (int64_t l = first; targets != 0 && l < s->L; l++)
        for (int i = 0; i < WB_LINEARS; i++)
            if ((targets >> i & 1) != 0) put_adapter (t, role_of (i), l, tuning->rank);

    const bool embed = wb_layout_has_embed (lo), head = wb_layout_has_head (lo);
    if (embed || head) hold (t, &t->list[index_of (s->L, WB_ROLE_WTE, 0)], lo);
    if (embed) hold (t, &t->list[index_of (s->L, WB_ROLE_WPE, 0)], lo);
    for (int c = 0; c < lo->chunks; c++) {
        const int stage = c * lo->pp + lo->pp_rank;
        for (int64_t l = lo->first[stage]; l < lo->first[stage + 1]; l++)
            hold_layer (t, &t->list[index_of (s->L, WB_ROLE_LN1_G, l)], lo);
    }
    for (int role = WB_ROLE_LNF_G; head && role < WB_ROLES; role++) hold (t, &t->list[index_of (s->L, role, 0)], lo);
    for (int c = 0; c < lo->chunks; c++) {
        const int stage = c * lo->pp + lo->pp_rank;
        for (int64_t l = lo->first[stage]; l < lo->first[stage + 1]; l++) hold_adapters (t, l, lo);
    }
    *out = t;
    return WB_OK;
}

void wb_params_destroy (wb_params_t *p) {
    if (p == NULL) return;
    wb_free (p->list);
    wb_free (p);
}

const wb_param_t *wb_params_get (const wb_params_t *p, wb_role role, int64_t l) {
    const int64_t layers = ((p->nbase > 0 ? p->nbase : p->n) - BEFORE_LAYERS - AFTER_LAYERS) / PER_LAYER;
    WB_ASSERT (role > WB_ROLE_NONE && role < WB_ROLES);
    WB_ASSERT (role < WB_ROLE_LN1_G || role >= WB_ROLE_LNF_G || (l >= 0 && l < layers));
    return &p->list[index_of (layers, role, l)];
}

const wb_param_t *wb_params_find (const wb_params_t *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp (p->list[i].name, name) == 0) return &p->list[i];
    return NULL;
}

void wb_params_init (const wb_params_t *p, float *block, uint64_t seed) {
    for (int i = 0; i < p->n; i++) {
        const wb_param_t *q = &p->list[i];
        int64_t n = wb_param_own (q), global, run;
        uint64_t stream = wb_rng_stream (q->name);

        for (int64_t j = 0; j < n; j += run) {
            float *to = block + q->offset + j;

            wb_param_run (q, &global, &run, j);
            if (q->init == WB_INIT_NORMAL)
                wb_rng_fill_normal (to, run, q->std, seed, stream, global);
            else
                for (int64_t e = 0; e < run; e++) to[e] = q->init == WB_INIT_ONE ? 1.0f : 0.0f;
        }
    }
}

void wb_layer_offsets (wb_layer_offsets_t *out, const wb_params_t *p, int64_t l) {
    const wb_param_t *first = wb_params_get (p, WB_ROLE_LN1_G, l);
#define AT(role) first[WB_ROLE_##role - WB_ROLE_LN1_G].offset
    *out = (wb_layer_offsets_t){.ln1_g = AT (LN1_G),
                                .ln1_b = AT (LN1_B),
                                .qkv_w = AT (QKV_W),
                                .qkv_b = AT (QKV_B),
                                .att_w = AT (ATT_W),
                                .att_b = AT (ATT_B),
                                .ln2_g = AT (LN2_G),
                                .ln2_b = AT (LN2_B),
                                .fc_w = AT (FC_W),
                                .fc_b = AT (FC_B),
                                .proj_w = AT (PROJ_W),
                                .proj_b = AT (PROJ_B)};
#undef AT
    WB_ASSERT (first->offset >= 0);
    out->begin = first->offset;
    out->fixed = p->fixed;
    for (int i = 0; i < PER_LAYER; i++) {
        const int64_t end = round_up (first[i].offset + wb_param_own (&first[i]));
        if (first[i].offset < out->begin) out->begin = first[i].offset;
        if (end > out->end) out->end = end;
    }
    if (!first->frozen) out->learn_begin = out->begin, out->learn_end = out->end;
    for (int i = 0; i < WB_LINEARS; i++) {
        const wb_param_t *a = wb_params_adapter (p, l, i, 0), *b = wb_params_adapter (p, l, i, 1);
        out->lora[i] = (wb_lora_t){a != NULL ? a->offset : -1, b != NULL ? b->offset : -1};
        if (a == NULL) continue;
        if (out->learn_end == 0) out->learn_begin = a->offset;
        out->learn_end = round_up (b->offset + wb_param_own (b));
    }
}
