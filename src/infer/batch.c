/* Sequences that go through the model together, so that the linears see many rows.
 *
 * The inference object grows with the longest sequence so far: short ones leave memory for more of them at a time.
 * Not here: what is made of the states (score.c, vector.c). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

enum { ROWS = 512, MIN_T = 64 };
#define MAX_BYTES ((size_t) 512 << 20) /* of keys, values and activations */

void wb_batch_init (wb_batch_t *b, const wb_model_t *m, int max_B) {
    WB_ASSERT (max_B >= 1 && max_B <= WB_BATCH_MAX);
    *b = (wb_batch_t){.m = m, .max_B = max_B};
}

void wb_batch_fini (wb_batch_t *b) {
    wb_infer_destroy (b->inf);
    wb_free (b->hidden);
    wb_free (b->ids);
    wb_free (b->values);
    wb_batch_init (b, b->m, b->max_B);
}

wb_status wb_batch_room (wb_batch_t *b, int64_t need) {
    wb_size_t size = b->m->size;
    WB_ASSERT (b->n == 0 && need <= size.T);
    if (b->inf != NULL && need <= b->T) return WB_OK;
    wb_batch_fini (b);
    b->T = MIN_T;
    while (b->T < need) b->T *= 2;
    if (b->T > size.T) b->T = size.T;
    b->max_rows = b->T < ROWS ? ROWS : b->T;
    size.T = b->T;
    for (b->B = b->max_B; b->B > 1 && wb_infer_bytes (&size, b->B, 0, b->max_rows) > MAX_BYTES;) b->B--;
    b->hidden = wb_malloc ((size_t) (b->max_rows * size.C) * sizeof *b->hidden);
    b->ids = wb_malloc ((size_t) b->max_rows * sizeof *b->ids);
    b->values = wb_malloc (2 * (size_t) b->max_rows * sizeof *b->values);
    if (b->hidden == NULL || b->ids == NULL || b->values == NULL)
        return WB_NOMEM ("%lld tokens at a time", (long long) b->max_rows);
    return wb_infer_new (&b->inf, &size, b->m->params, b->m->weights, b->m->form, b->m->kern, b->B, 0, b->max_rows);
}

bool wb_batch_fits (const wb_batch_t *b, int64_t count) {
    return b->inf != NULL && b->n < b->B && count <= b->T && b->rows + count <= b->max_rows;
}

void wb_batch_add (wb_batch_t *b, const int32_t *ids, int64_t count) {
    WB_ASSERT (wb_batch_fits (b, count));
    memcpy (b->ids + b->rows, ids, (size_t) count * sizeof *ids);
    b->counts[b->n++] = count;
    b->rows += count;
}

void wb_batch_push (wb_batch_t *b) {
    int seqs[WB_BATCH_MAX];
    for (int i = 0; i < b->n; i++) {
        seqs[i] = i;
        wb_infer_rewind (b->inf, i, 0);
    }
    wb_infer_push (b->inf, b->hidden, NULL, b->ids, seqs, b->counts, b->n);
}

void wb_batch_clear (wb_batch_t *b) { b->n = 0, b->rows = 0; }

const char *wb_text_place (char buf[256], const wb_text_t *text) {
    if (text->line > 0)
        snprintf (buf, 256, "%.230s:%lld", text->source, (long long) text->line);
    else
        snprintf (buf, 256, "%.230s", text->source);
    return buf;
}
