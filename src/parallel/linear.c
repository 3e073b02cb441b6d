/* Linears cut over the tensor group, and the two moves of the residual stream between "whole" and "own rows".
 *
 * A column-cut linear takes the whole input and gives its own columns; a row-cut one takes its own columns and gives a
 * partial sum.  Between them no communication is needed: one sum after each pair (Shoeybi et al., arXiv:1909.08053,
 * section 3).  The arithmetic is the same for both cuts, so there is one forward and one backward.  With sequence
 * parallelism the sum becomes a reduce-scatter over rows, and an all-gather brings the rows back (Korthikanti et al.,
 * arXiv:2205.05198).
 *
 * Not here: biases (they are fused with what follows), and the 2-D cut. */
#include "config.h"

#include <string.h>

#include "wabun/parallel.h"

/* Up to this many floats latency decides, not bandwidth: MPI's own sum is faster than the ring. */
#define SMALL_FLOATS 16384

wb_status wb_tensor_init (wb_tensor_t *out, wb_comm_t *group, const wb_kern_t *k, int64_t max_floats, bool sequence) {
    const wb_ring_ops_t ops = {k->add, k->bf16_pack, k->bf16_unpack, k->bf16_add};
    memset (out, 0, sizeof *out);
    out->group = group;
    out->k = k;
    out->ranks = wb_comm_size (group);
    out->rank = wb_comm_rank (group);
    out->sequence = sequence && out->ranks > 1;
    if (out->ranks == 1) return WB_OK;
    return wb_ring_new (&out->ring, group, max_floats, 2, WB_WIRE_FP32, 0, &ops);
}

void wb_tensor_fini (wb_tensor_t *tp) {
    wb_ring_destroy (tp->ring);
    tp->ring = NULL;
}

const float *wb_tensor_gather (wb_tensor_t *tp, float *full, const float *own, int64_t n, int64_t C) {
    int64_t rows;
    if (!tp->sequence) return own;
    rows = n / tp->ranks;
    memcpy (full + rows * C * tp->rank, own, (size_t) (rows * C) * sizeof *own);
    wb_ring_all_gather_begin (tp->ring, full, n * C, NULL);
    wb_ring_end (tp->ring);
    return full;
}

float *wb_tensor_reduce (wb_tensor_t *tp, float *partial, int64_t n, int64_t C) {
    if (tp->ranks == 1) return partial;
    if (tp->sequence) {
        wb_ring_reduce_scatter_begin (tp->ring, partial, n * C, NULL);
        wb_ring_end (tp->ring);
        return partial + n / tp->ranks * C * tp->rank;
    }
    if (n * C <= SMALL_FLOATS) {
        wb_comm_sum_f32 (tp->group, partial, n * C);
    } else {
        wb_ring_all_reduce_begin (tp->ring, partial, n * C, NULL);
        wb_ring_end (tp->ring);
    }
    return partial;
}

void wb_linear_forward (float *Y, wb_operand_t X, wb_operand_t A, int64_t n, int64_t k, int64_t m) {
    wb_gemm_of (Y, X, A, n, m, k, m, k, m, false, false, 0);
}

void wb_linear_dx (float *dX, wb_operand_t dY, wb_operand_t A, int64_t n, int64_t k, int64_t m) {
    wb_gemm_of (dX, dY, A, n, k, m, k, m, m, false, true, 0);
}

void wb_linear_dw (float *dA, wb_operand_t dY, wb_operand_t X, int64_t n, int64_t k, int64_t m) {
    wb_gemm_of (dA, X, dY, k, m, n, m, k, m, true, false, 1);
}
