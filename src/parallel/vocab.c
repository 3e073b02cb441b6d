/* The loss with the vocabulary cut over the tensor group.
 *
 * Rows are taken in blocks: logits of a block, its maximum and its sum of exponentials (two small reductions over the
 * group), loss, and at once the gradient: the logits become softmax - onehot in place, and two products give dh and
 * dwte.  So the backward pass of the head happens here, during the forward pass, and B T V floats are never stored.
 *
 * Shards may be uneven, down to one row of the vocabulary. */
#include "config.h"

#include <math.h>

#include "wabun/parallel.h"

/* Logits of a block: enough rows for efficient products, few enough that the same buffer stays in cache. */
#define BLOCK_FLOATS ((int64_t) 8 << 20)
#define BLOCK_ROWS 64 /* a multiple of this: as many threads share them evenly */

/* The largest shard decides. */
int64_t wb_head_rows (int64_t n, int64_t V, int ranks) {
    int64_t rows = BLOCK_FLOATS / wb_split_count (V, ranks, 0) / BLOCK_ROWS * BLOCK_ROWS;
    if (rows < BLOCK_ROWS) rows = BLOCK_ROWS;
    return rows < n ? rows : n;
}

int64_t wb_head_work_floats (int64_t n, int64_t V, int ranks, int rank, bool half) {
    const int64_t rows = wb_head_rows (n, V, ranks), logits = rows * wb_split_count (V, ranks, rank);
    return logits + 3 * ((rows + 15) / 16 * 16) + (half ? (logits + 1) / 2 : 0);
}

/* Rows of a matrix from `first` on. */
static wb_operand_t rows_from (wb_operand_t x, int64_t first, int64_t ld) {
    return (wb_operand_t){x.f + first * ld, x.half != NULL ? x.half + first * ld : NULL};
}

void wb_head_loss (wb_tensor_t *tp, float *dh, float *dwte, float *loss, wb_operand_t h, wb_operand_t wte,
                   const int32_t *targets, float *work, int64_t n, int64_t C, int64_t V, float scale) {
    const wb_kern_t *k = tp->k;
    const int64_t v0 = wb_split_first (V, tp->ranks, tp->rank), Vown = wb_split_count (V, tp->ranks, tp->rank);
    int64_t rows = wb_head_rows (n, V, tp->ranks), pad = (rows + 15) / 16 * 16;
    float *mx = work, *sum = work + pad, *hit = work + 2 * pad, *logits = work + 3 * pad;
    uint16_t *packed = wte.half != NULL ? (uint16_t *) (void *) (logits + rows * Vown) : NULL;
    for (int64_t i = 0; i < n; i += rows) {
        const wb_operand_t hi = rows_from (h, i, C), d = {logits, packed}; /* d: once they are gradients */
        int64_t m = n - i < rows ? n - i : rows;
        double flop = 2.0 * (double) (m * C) * (double) Vown, t = wb_now ();
        double bytes = 4.0 * (double) (m * C + C * Vown + m * Vown), logit_bytes = 4.0 * (double) (m * Vown);

        wb_gemm_of (logits, hi, wte, m, Vown, C, Vown, C, C, false, true, 0);
        t = wb_profile_add (tp->profile, WB_PROF_HEAD, t, flop, bytes);
        k->xent_max (mx, logits, m, Vown, Vown);
        t = wb_profile_add (tp->profile, WB_PROF_SOFTMAX, t, 0, logit_bytes);
        if (tp->ranks > 1) {
            wb_comm_max_f32 (tp->group, mx, m);
            t = wb_profile_add (tp->profile, WB_PROF_TENSOR, t, 0, 0);
        }
        k->xent_sum (sum, hit, logits, mx, targets + i, m, Vown, Vown, v0);
        t = wb_profile_add (tp->profile, WB_PROF_SOFTMAX, t, 0, logit_bytes);
        if (tp->ranks > 1) {
            wb_comm_sum_f32 (tp->group, sum, 2 * pad); /* sum and hit lie side by side */
            t = wb_profile_add (tp->profile, WB_PROF_TENSOR, t, 0, 0);
        }
        for (int64_t j = 0; j < m; j++) loss[i + j] = targets[i + j] < 0 ? 0 : logf (sum[j]) + mx[j] - hit[j];
        if (dh == NULL) continue;
        k->xent_backward (logits, mx, sum, targets + i, m, Vown, Vown, v0, scale);
        t = wb_profile_add (tp->profile, WB_PROF_SOFTMAX, t, 0, 2 * logit_bytes);
        if (packed != NULL) {
            k->bf16_pack (packed, logits, m * Vown);
            t = wb_profile_add (tp->profile, WB_PROF_PACK, t, 0, 1.5 * logit_bytes);
        }
        wb_gemm_of (dh + i * C, d, wte, m, C, Vown, C, Vown, C, false, false, 0);
        t = wb_profile_add (tp->profile, WB_PROF_HEAD_DX, t, flop, bytes);
        if (dwte == NULL) continue;
        wb_gemm_of (dwte, d, hi, Vown, C, m, C, Vown, C, true, false, 1);
        wb_profile_add (tp->profile, WB_PROF_HEAD_DW, t, flop, bytes + 4.0 * (double) (C * Vown));
    }
}
