/* the parameter table: counts, names and shapes, every element owned once in any grid, the same values
 * too */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/model.h"

static void test_counts (void) {
    static const struct {
        const char *name;
        int64_t V, parameters;
    } sizes[] = {{"small", 20573, 101642496},
                 {"medium", 20573, 324426752},
                 {"small", 50257, 124439808},
                 {"large", 50257, 774030080},
                 {"xl", 50257, 1557611200}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wb_size_t s = {0};
        wb_layout_t lo;
        wb_params_t *p;
        int64_t sum = 0;
        T_STATUS (wb_size_preset (&s, sizes[i].name), WB_OK);
        s.V = sizes[i].V;
        T_STATUS (wb_size_check (&s), WB_OK);
        T_OK (wb_size_parameters (&s) == sizes[i].parameters, "%s: %lld parameters", sizes[i].name,
              (long long) wb_size_parameters (&s));
        T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, s.L, s.H, 0, 0), WB_OK);
        T_STATUS (wb_params_new (&p, &s, &lo), WB_OK);
        for (int k = 0; k < p->n; k++) sum += wb_param_own (&p->list[k]);
        T_OK (p->total == sizes[i].parameters && sum == p->total && p->n == 4 + 12 * s.L,
              "%s: the table has %lld in %d", sizes[i].name, (long long) p->total, p->n);
        T_OK (p->own >= p->total && p->own < p->total + 16 * p->n, "%s: a block of %lld", sizes[i].name,
              (long long) p->own);
        wb_params_destroy (p);
    }
    wb_size_t s = {12, 768, 12, 1024, 20573};
    double tokens = wb_size_flops (&s, 1024);
    T_OK (fabs (tokens - 6 * (12 * 12 * 768.0 * 768 + 20573 * 768.0) - 6 * 12 * 768.0 * 1025) < 1, "%.0f flop", tokens);
    T_OK (wb_size_preset (&s, "huge") == WB_EUSAGE && strstr (wb_error_get ()->text, "tiny|small|medium|large|xl"),
          "%s", wb_error_get ()->text);
    wb_error_clear ();
}

/* What Hugging Face's GPT-2 has: names, shapes, what decays. */
static void test_table (void) {
    static const struct {
        const char *name;
        int ndim;
        int64_t rows, cols;
        bool decay;
    } want[] = {{"wte.weight", 2, 61, 24, true},
                {"wpe.weight", 2, 20, 24, true},
                {"h.1.ln_1.weight", 1, 1, 24, false},
                {"h.1.attn.c_attn.weight", 2, 24, 72, true},
                {"h.1.attn.c_attn.bias", 1, 1, 72, false},
                {"h.1.attn.c_proj.weight", 2, 24, 24, true},
                {"h.1.mlp.c_fc.weight", 2, 24, 96, true},
                {"h.1.mlp.c_fc.bias", 1, 1, 96, false},
                {"h.1.mlp.c_proj.weight", 2, 96, 24, true},
                {"h.2.mlp.c_proj.bias", 1, 1, 24, false},
                {"ln_f.weight", 1, 1, 24, false},
                {"ln_f.bias", 1, 1, 24, false}};
    wb_size_t s = {3, 24, 3, 20, 61};
    wb_layout_t lo;
    wb_params_t *p;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, s.L, s.H, 0, 0), WB_OK);
    T_STATUS (wb_params_new (&p, &s, &lo), WB_OK);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const wb_param_t *q = wb_params_find (p, want[i].name);
        if (!T_OK (q != NULL, "%s is there", want[i].name)) continue;
        T_OK (q->ndim == want[i].ndim && q->rows == want[i].rows && q->cols == want[i].cols &&
                  q->decay == want[i].decay,
              "%s: %d dimensions, %lld x %lld, decay %d", q->name, q->ndim, (long long) q->rows, (long long) q->cols,
              q->decay);
    }
    T_OK (wb_params_find (p, "h.3.ln_1.weight") == NULL && wb_params_find (p, "lm_head.weight") == NULL, "and no more");
    T_OK (strcmp (p->list[0].name, "wte.weight") == 0 && strcmp (p->list[1].name, "wpe.weight") == 0 &&
              strcmp (p->list[2].name, "h.0.ln_1.weight") == 0 && strcmp (p->list[p->n - 1].name, "ln_f.bias") == 0,
          "in the order of the file");
    bool found = true;
    for (int i = 0; i < p->n; i++) found = found && wb_params_get (p, p->list[i].role, p->list[i].layer) == &p->list[i];
    T_OK (found, "each is found by its role and layer");
    wb_layer_offsets_t at;
    wb_layer_offsets (&at, p, 1);
    T_OK (at.qkv_w == wb_params_find (p, "h.1.attn.c_attn.weight")->offset &&
              at.fc_b == wb_params_find (p, "h.1.mlp.c_fc.bias")->offset &&
              at.proj_w == wb_params_find (p, "h.1.mlp.c_proj.weight")->offset,
          "offsets of a layer");
    wb_params_destroy (p);
}

/* The deviation of values that are drawn, and of those that are not. */
static void test_values (void) {
    wb_size_t s = {2, 96, 4, 40, 301};
    wb_layout_t lo;
    wb_params_t *p;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, s.L, s.H, 0, 0), WB_OK);
    T_STATUS (wb_params_new (&p, &s, &lo), WB_OK);
    float *w = wb_calloc ((size_t) p->own, sizeof *w), *other = wb_calloc ((size_t) p->own, sizeof *other);
    wb_params_init (p, w, 7);
    wb_params_init (p, other, 8);
    for (int i = 0; i < p->n; i++) {
        const wb_param_t *q = &p->list[i];
        int64_t n = wb_param_own (q), same = 0;
        double mean = 0, square = 0;
        bool gain = strstr (q->name, "ln_") != NULL && strstr (q->name, "weight") != NULL;
        for (int64_t j = 0; j < n; j++) {
            double x = (double) w[q->offset + j];
            mean += x / (double) n;
            square += x * x / (double) n;
            same += w[q->offset + j] == other[q->offset + j];
        }
        if (q->ndim == 1) {
            T_OK (fabs (mean - (gain ? 1 : 0)) < 1e-12, "%s: mean %g", q->name, mean);
            T_OK (fabs (square - (gain ? 1 : 0)) < 1e-12 && same == n, "%s: square %g", q->name, square);
        } else {
            double std = strcmp (q->name, "wpe.weight") == 0 ? 0.01 : 0.02, root = sqrt ((double) n);
            T_OK (fabs (mean) < 5 * std / root, "%s: mean %g", q->name, mean);
            T_OK (fabs (sqrt (square) - std) < 5 * std / root, "%s: deviation %g", q->name, sqrt (square));
            T_OK (same < n / 100 + 5, "%s: another seed, %lld of %lld the same", q->name, (long long) same,
                  (long long) n);
        }
    }
    const float *one = w + wb_params_find (p, "h.0.mlp.c_fc.weight")->offset;
    const float *two = w + wb_params_find (p, "h.1.mlp.c_fc.weight")->offset;
    T_OK (memcmp (one, two, 64 * sizeof *one) != 0, "layers differ");
    wb_free (w);
    wb_free (other);
    wb_params_destroy (p);
}

/* Every rank of a grid: primary slices are all of the model once; every slice has the values one rank draws. */
static void check_grid (const wb_size_t *s, int dp, int pp, int tp, int chunks, const wb_params_t *whole,
                        const float *values) {
    wb_layout_t lo;
    int64_t n = whole->own, missing = 0, twice = 0, wrong = 0, holders = 0;
    char *count = wb_calloc ((size_t) n, 1), *copies = wb_calloc ((size_t) n, 1);
    T_STATUS (wb_layout_init (&lo, dp, pp, tp, chunks, s->L, s->H, 0.05, 0.7), WB_OK);
    for (int r = 0; r < pp * tp; r++) { /* data rank 0: the others hold the same */
        wb_params_t *p;
        int64_t last = -1;
        bool tail = true;
        wb_layout_place (&lo, r);
        T_STATUS (wb_params_new (&p, s, &lo), WB_OK);
        float *w = wb_calloc ((size_t) p->own, sizeof *w);
        wb_params_init (p, w, 7);
        for (int i = 0; i < p->n; i++) {
            const wb_param_t *q = &p->list[i], *full = &whole->list[i];
            int64_t run, global;
            if (q->offset < 0) continue;
            tail = tail && q->offset % 16 == 0;
            for (int64_t j = 0; j < wb_param_own (q); j += run) {
                wb_param_run (q, &global, &run, j);
                for (int64_t e = 0; e < run; e++) {
                    count[full->offset + global + e] = (char) (count[full->offset + global + e] + q->primary);
                    copies[full->offset + global + e]++;
                    wrong += w[q->offset + j + e] != values[full->offset + global + e];
                }
            }
        }
        /* layers follow each other, chunk by chunk, after the embeddings and before the final norm */
        for (int c = 0; c < chunks; c++)
            for (int l = lo.first[c * pp + lo.pp_rank]; l < lo.first[c * pp + lo.pp_rank + 1]; l++) {
                wb_layer_offsets_t at;
                wb_layer_offsets (&at, p, l);
                for (int i = 0; i < p->n; i++)
                    if (p->list[i].layer == l)
                        tail = tail && p->list[i].offset >= at.begin &&
                               p->list[i].offset + wb_param_own (&p->list[i]) <= at.end;
                    else if (p->list[i].layer == -1)
                        tail = tail && p->list[i].offset < at.begin;
                tail = tail && at.begin > last && at.begin < at.end;
                last = at.begin;
            }
        if (wb_layout_has_head (&lo)) tail = tail && wb_params_get (p, WB_ROLE_LNF_G, 0)->offset > last;
        T_OK (tail, "%d x %d x %d, rank %d: order in the block", dp, pp, tp, r);
        wb_free (w);
        wb_params_destroy (p);
    }
    for (int i = 0; i < whole->n; i++)
        for (int64_t j = 0; j < wb_param_own (&whole->list[i]); j++) {
            missing += count[whole->list[i].offset + j] == 0;
            twice += count[whole->list[i].offset + j] > 1;
            holders += copies[whole->list[i].offset + j] == (i == 0 && pp > 1 ? 2 : 1);
        }
    T_OK (missing == 0 && twice == 0, "%d x %d x %d, chunks %d: %lld elements not owned, %lld more than once", dp, pp,
          tp, chunks, (long long) missing, (long long) twice);
    T_OK (wrong == 0, "%d x %d x %d, chunks %d: %lld elements have other values", dp, pp, tp, chunks,
          (long long) wrong);
    T_OK (tp > 1 || holders == whole->total, "%d x %d, chunks %d: nothing but the tied embedding is held twice", dp, pp,
          chunks);
    wb_free (count);
    wb_free (copies);
}

static void test_grids (void) {
    wb_size_t s = {7, 48, 12, 20, 101};
    wb_layout_t lo;
    wb_params_t *whole;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, s.L, s.H, 0, 0), WB_OK);
    T_STATUS (wb_params_new (&whole, &s, &lo), WB_OK);
    float *values = wb_calloc ((size_t) whole->own, sizeof *values);
    wb_params_init (whole, values, 7);
    for (int pp = 1; pp <= 7; pp++)
        for (int chunks = 1; chunks <= (pp > 1 ? 3 : 1) && pp * chunks <= 7; chunks++)
            for (int tp = 1; tp <= 12; tp++)
                if (12 % tp == 0) check_grid (&s, 2, pp, tp, chunks, whole, values);
    wb_free (values);
    wb_params_destroy (whole);
}

int main (void) {
    test_counts ();
    test_table ();
    test_values ();
    test_grids ();
    return T_DONE ();
}
