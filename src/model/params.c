/* THE parameter table.  Nothing else in the program knows the names and shapes of GPT-2's parameters.
 *
 * The list is in file order.  In a rank's block the order is another: wte, wpe, then layer by layer the matrices, the
 * cut vectors, and the vectors every tensor rank holds (one contiguous stretch, because with sequence parallelism their
 * gradients are summed together), then ln_f.  The backward pass finishes the block from its end, so what is final is
 * always a tail, and buckets of gradients can leave while earlier layers still run.  Every parameter begins at a
 * multiple of 64 bytes. */
#include "config.h"

#include <string.h>
#include "wabun/model.h"

#define ALIGN_FLOATS 16

enum { PER_LAYER = 12 };

/* Rows and columns in multiples of C; columns cut in `parts`. `place`: order inside the block of a layer. */
static const struct {
    const char *name;
    int ndim, rows, cols, axis, parts, place;
    wb_param_class cls;
    wb_init_kind init;
    bool partial;
} layer_table[PER_LAYER] = {
    {"ln_1.weight", 1, 0, 1, -1, 1, 6, WB_CLASS_VECTOR, WB_INIT_ONE, true},
    {"ln_1.bias", 1, 0, 1, -1, 1, 7, WB_CLASS_VECTOR, WB_INIT_ZERO, true},
    {"attn.c_attn.weight", 2, 1, 3, 1, 3, 0, WB_CLASS_MATRIX, WB_INIT_NORMAL, false},
    {"attn.c_attn.bias", 1, 0, 3, 1, 3, 4, WB_CLASS_VECTOR, WB_INIT_ZERO, false},
    {"attn.c_proj.weight", 2, 1, 1, 0, 1, 1, WB_CLASS_MATRIX, WB_INIT_NORMAL, false},
    {"attn.c_proj.bias", 1, 0, 1, -1, 1, 8, WB_CLASS_VECTOR, WB_INIT_ZERO, true},
    {"ln_2.weight", 1, 0, 1, -1, 1, 9, WB_CLASS_VECTOR, WB_INIT_ONE, true},
    {"ln_2.bias", 1, 0, 1, -1, 1, 10, WB_CLASS_VECTOR, WB_INIT_ZERO, true},
    {"mlp.c_fc.weight", 2, 1, 4, 1, 1, 2, WB_CLASS_MATRIX, WB_INIT_NORMAL, false},
    {"mlp.c_fc.bias", 1, 0, 4, 1, 1, 5, WB_CLASS_VECTOR, WB_INIT_ZERO, false},
    {"mlp.c_proj.weight", 2, 4, 1, 0, 1, 3, WB_CLASS_MATRIX, WB_INIT_NORMAL, false},
    {"mlp.c_proj.bias", 1, 0, 1, -1, 1, 11, WB_CLASS_VECTOR, WB_INIT_ZERO, true},
};

/* The own slice of a parameter, and its place at the end of the block. */
static void hold (wb_param_t *p, const wb_layout_t *lo, int64_t *end) {
    p->own_rows = p->rows;
    p->own_cols = p->cols;
    if (p->axis == 0) {
        p->row0 = wb_split_first (p->rows, lo->tp, lo->tp_rank);
        p->own_rows = wb_split_count (p->rows, lo->tp, lo->tp_rank);
    } else if (p->axis == 1) {
        int64_t part = p->cols / p->parts;
        p->col0 = wb_split_first (part, lo->tp, lo->tp_rank);
        p->own_cols = wb_split_count (part, lo->tp, lo->tp_rank) * p->parts;
    }
    p->offset = *end;
    *end = (*end + p->own_rows * p->own_cols + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

static wb_param_t *put (wb_params_t *t, const char *name, int ndim, int64_t rows, int64_t cols, int axis, int parts,
                        int layer, wb_param_class cls, wb_init_kind init, double std) {
    wb_param_t *p = &t->list[t->n++];

    memset (p, 0, sizeof *p);
    snprintf (p->name, sizeof p->name, "%s", name);
    p->ndim = ndim;
    p->rows = rows;
    p->cols = cols;
    p->axis = axis;
    p->parts = parts;
    p->layer = layer;
    p->cls = cls;
    p->init = init;
    p->std = std;
    p->decay = ndim == 2;
    p->offset = -1;
    t->total += rows * cols;
    return p;
}

wb_status wb_params_new (wb_params_t **out, const wb_size_t *s, const wb_layout_t *lo) {
    wb_params_t *t = wb_calloc (1, sizeof *t);
    int64_t end = 0;
    bool head = wb_layout_has_head (lo), embed = wb_layout_has_embed (lo);

    *out = NULL;
    if (t != NULL) t->list = wb_calloc ((size_t) (4 + PER_LAYER * s->L), sizeof *t->list);
    if (t == NULL || t->list == NULL) {
        wb_free (t);
        return WB_NOMEM ("the parameter table");
    }
    put (t, "wte.weight", 2, s->V, s->C, 0, 1, -1, WB_CLASS_EMBED, WB_INIT_NORMAL, 0.02)->primary = embed;
    put (t, "wpe.weight", 2, s->T, s->C, -1, 1, -1, WB_CLASS_EMBED, WB_INIT_NORMAL, 0.01)->primary =
        embed && lo->tp_rank == 0;
    for (int64_t l = 0; l < s->L; ++l)
        for (int i = 0; i < PER_LAYER; ++i) {
            char name[48];
            wb_param_t *p;
            int64_t rows = layer_table[i].rows > 0 ? layer_table[i].rows * s->C : 1;

            snprintf (name, sizeof name, "h.%lld.%s", (long long) l, layer_table[i].name);
            p = put (t, name, layer_table[i].ndim, rows, layer_table[i].cols * s->C, layer_table[i].axis,
                     layer_table[i].parts, (int) l, layer_table[i].cls, layer_table[i].init, 0.02);
            p->sequence_partial = layer_table[i].partial;
            p->primary = p->axis >= 0 || lo->tp_rank == 0;
        }
    put (t, "ln_f.weight", 1, 1, s->C, -1, 1, (int) s->L, WB_CLASS_VECTOR, WB_INIT_ONE, 0);
    put (t, "ln_f.bias", 1, 1, s->C, -1, 1, (int) s->L, WB_CLASS_VECTOR, WB_INIT_ZERO, 0);
    for (int i = t->n - 2; i < t->n; ++i) {
        t->list[i].sequence_partial = true;
        t->list[i].primary = lo->tp_rank == 0;
    }

    if (embed || head) hold (&t->list[0], lo, &end);
    if (embed) hold (&t->list[1], lo, &end);
    for (int c = 0; c < lo->chunks; ++c) {
        int vs = c * lo->pp + lo->pp_rank;
        for (int64_t l = lo->first[vs]; l < lo->first[vs + 1]; ++l)
            for (int place = 0; place < PER_LAYER; ++place)
                for (int i = 0; i < PER_LAYER; ++i)
                    if (layer_table[i].place == place) hold (&t->list[2 + l * PER_LAYER + i], lo, &end);
    }
    if (head) {
        hold (&t->list[t->n - 2], lo, &end);
        hold (&t->list[t->n - 1], lo, &end);
    }
    for (int i = 0; i < t->n; ++i)
        if (t->list[i].offset < 0) t->list[i].primary = false;
    t->own = end;
    *out = t;
    return WB_OK;
}

void wb_params_destroy (wb_params_t *p) {
    if (p == NULL) return;
    wb_free (p->list);
    wb_free (p);
}

const wb_param_t *wb_params_find (const wb_params_t *p, const char *name) {
    for (int i = 0; i < p->n; ++i)
        if (strcmp (p->list[i].name, name) == 0) return &p->list[i];
    return NULL;
}

void wb_params_init (const wb_params_t *p, float *block, uint64_t seed) {
    for (int i = 0; i < p->n; ++i) {
        const wb_param_t *q = &p->list[i];
        int64_t n = wb_param_own (q), global, run;
        uint64_t stream = wb_rng_stream (q->name);

        for (int64_t j = 0; j < n; j += run) {
            float *to = block + q->offset + j;

            wb_param_run (q, &global, &run, j);
            if (q->init == WB_INIT_NORMAL)
                wb_rng_fill_normal (to, run, q->std, seed, stream, global);
            else
                for (int64_t e = 0; e < run; ++e) to[e] = q->init == WB_INIT_ONE ? 1.0f : 0.0f;
        }
    }
}

int64_t wb_params_layer_begin (const wb_params_t *p, int64_t l) {
    return p->list[2 + l * PER_LAYER + 2].offset; /* c_attn.weight lies first */
}
