/* ranks: 1 2 3 4 5 */
/* The loss of a vocabulary that the ranks do not divide, with more rows than a block: the same on any number of ranks,
 * and what the formula says. */
#include "config.h"

#include <math.h>

#include "tmpi.h"
#include "wabun/parallel.h"

enum { ROWS = 2048, C = 4, V = 20573 };

static float value (int64_t i) { return (float) ((i * 7919) % 1009) / 1009.0F - 0.5F; }

/* -log softmax (h wte^T)[target] of row i, in double. */
static double expected (int64_t i, int64_t target) {
    double sum = 0, at = 0;
    for (int64_t v = 0; v < V; v++) {
        double logit = 0;
        for (int64_t c = 0; c < C; c++) logit += (double) value (i * C + c) * (double) value (3 + v * C + c);
        sum += exp (logit);
        if (v == target) at = logit;
    }
    return log (sum) - at;
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    const int ranks = wb_comm_size (world), rank = wb_comm_rank (world);
    const int64_t v0 = wb_split_first (V, ranks, rank), own = wb_split_count (V, ranks, rank);
    wb_tensor_t tp;
    T_STATUS (wb_agree (world, wb_tensor_init (&tp, world, wb_kern_get (wb_cpu_isa ()), ROWS * C, false)), WB_OK);

    float *h = wb_malloc (ROWS * C * sizeof *h), *dh = wb_malloc (ROWS * C * sizeof *dh);
    float *wte = wb_malloc ((size_t) (own * C) * sizeof *wte), *dwte = wb_calloc ((size_t) (own * C), sizeof *dwte);
    float *loss = wb_malloc (ROWS * sizeof *loss);
    float *work = wb_malloc ((size_t) wb_head_work_floats (ROWS, V, ranks, rank, false) * sizeof *work);
    int32_t *targets = wb_malloc (ROWS * sizeof *targets);
    for (int64_t i = 0; i < ROWS * C; i++) h[i] = value (i);
    for (int64_t i = 0; i < own * C; i++) wte[i] = value (3 + v0 * C + i);
    for (int64_t i = 0; i < ROWS; i++) targets[i] = (int32_t) (i * 104729 % V);
    wb_head_loss (&tp, dh, dwte, loss, (wb_operand_t){h, NULL}, (wb_operand_t){wte, NULL}, targets, work, ROWS, C, V,
                  1.0F / ROWS);

    bool ok = true;
    for (int64_t i = 0; i < ROWS; i += 97)
        ok = ok && fabs ((double) loss[i] - expected (i, targets[i])) < 1e-5 * expected (i, targets[i]);
    T_OK (ok, "the loss of rows of all blocks");

    /* The gradients of the logits of a row add up to 0, so those of a column of wte do. */
    double sums[C] = {0}, size = 0;
    for (int64_t i = 0; i < own * C; i++) sums[i % C] += (double) dwte[i], size += fabs ((double) dwte[i]);
    wb_comm_sum_f64 (world, sums, C);
    wb_comm_sum_f64 (world, &size, 1);
    for (int c = 0; c < C; c++) ok = ok && fabs (sums[c]) < 1e-5 * size;
    T_OK (ok && size > 0, "its gradient");

    wb_free (h), wb_free (dh), wb_free (wte), wb_free (dwte), wb_free (loss), wb_free (work), wb_free (targets);
    wb_tensor_fini (&tp);
    return T_END ();
}
