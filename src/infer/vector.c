/* Vectors of texts: the state after the final LayerNorm at a text's last position.
 *
 * Texts run together, each as a sequence of its own; only their last rows are used.
 * Not here: reading and printing (print_vectors.c), means over positions. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"

enum { SEQS = 16, TEXTS = 4 * SEQS };

struct wb_vectors {
    const wb_model_t *m;
    wb_vector_fn emit;
    void *ctx;
    wb_batch_t batch;
    int64_t counts[TEXTS]; /* tokens of the texts that wait; 0: an empty one, which has no sequence */
    int n;
    wb_ids_t ids;
};

wb_status wb_vectors_new (wb_vectors_t **out, const wb_model_t *m, wb_vector_fn emit, void *ctx) {
    wb_vectors_t *v = *out = wb_calloc (1, sizeof *v);
    if (v == NULL) return WB_NOMEM ("vectors");
    v->m = m;
    v->emit = emit;
    v->ctx = ctx;
    wb_batch_init (&v->batch, m, SEQS);
    return WB_OK;
}

void wb_vectors_destroy (wb_vectors_t *v) {
    if (v == NULL) return;
    wb_batch_fini (&v->batch);
    wb_ids_fini (&v->ids);
    wb_free (v);
}

static wb_status emit (wb_vectors_t *v, const float *x) {
    for (int64_t i = 0; i < v->m->size.C; i++)
        if (!isfinite (x[i]))
            return WB_FAIL (WB_ENUMERIC, "the vector has NaN or infinity in it: the weights are damaged");
    return v->emit (v->ctx, x);
}

wb_status wb_vectors_run (wb_vectors_t *v) {
    wb_status status = WB_OK;
    if (v->batch.n > 0) wb_batch_push (&v->batch);
    for (int64_t i = 0, end = 0; i < v->n && status == WB_OK; i++) {
        end += v->counts[i];
        status = v->counts[i] > 0 ? emit (v, v->batch.hidden + (end - 1) * v->m->size.C) : v->emit (v->ctx, NULL);
    }
    v->n = 0;
    wb_batch_clear (&v->batch);
    return status;
}

wb_status wb_vectors_put (wb_vectors_t *v, const wb_text_t *text) {
    const int64_t T = v->m->size.T;
    wb_ids_clear (&v->ids);
    WB_TRY (wb_tokenizer_encode (v->m->tokenizer, &v->ids, text->bytes, text->n, false));
    const int64_t all = v->ids.len, n = all < T ? all : T;
    if (all > T) {
        char place[256];
        wb_warn ("%s: the text has %lld tokens, the model %lld positions: the last %lld are used",
                 wb_text_place (place, text), (long long) all, (long long) T, (long long) T);
    }
    if (v->n == TEXTS || (n > 0 && !wb_batch_fits (&v->batch, n))) WB_TRY (wb_vectors_run (v));
    if (n > 0 && !wb_batch_fits (&v->batch, n)) WB_TRY (wb_batch_room (&v->batch, n));
    if (n > 0) wb_batch_add (&v->batch, v->ids.data + all - n, n);
    v->counts[v->n++] = n;
    return WB_OK;
}
