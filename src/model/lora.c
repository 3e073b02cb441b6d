/* LoRA: low-rank adapters beside frozen linears (Hu et al., arXiv:2106.09685): y += s (x A^T) B^T, s = alpha / rank.
 *
 * A [rank, in] and B [out, rank] lie as PEFT stores them.  Where a linear is cut over the tensor group, so is the side
 * of its adapter that is long there, and the other is whole on every rank: of a column-cut linear B is cut and A is
 * whole; of a row-cut one A is cut, B is whole, and x A^T is a partial sum, as y is, so the sum that follows the linear
 * makes both whole.  The gradient of what is whole is a partial sum, which gradsync adds up.
 *
 * x A^T is computed again in the backward pass: it is cheap, and nothing need be kept.
 *
 * Not here: which adapters there are (parameter_table.c), files (checkpoint, convert). */
#include "config.h"

#include <string.h>

#include "model/block.h"

static const char *const names[WB_LINEARS] = {"c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"};

const char *wb_linear_name (wb_linear l) { return names[l]; }

/* ---- which linears ----------------------------------------------------------------------------------------------- */

/* The linears that a word names; PEFT's c_proj is both. */
static unsigned named (const char *word, size_t n) {
    unsigned set = 0;
    for (int i = 0; i < WB_LINEARS; i++) {
        const char *dot = strchr (names[i], '.'), *last = dot != NULL ? dot + 1 : names[i];
        if ((strlen (names[i]) == n && memcmp (names[i], word, n) == 0) ||
            (strlen (last) == n && memcmp (last, word, n) == 0))
            set |= 1u << i;
    }
    return set;
}

wb_status wb_tuning_targets (unsigned *out, const wb_tuning_t *t) {
    *out = 0;
    if (t->rank == 0) return WB_OK;
    if (t->targets == NULL) *out = (1u << WB_LINEARS) - 1;
    for (const char *s = t->targets; s != NULL && *s != 0;) {
        const size_t skip = strspn (s, ", "), n = strcspn (s + skip, ", ");
        const unsigned set = named (s + skip, n);
        if (n > 0 && set == 0)
            return WB_FAIL (WB_EUSAGE,
                            "finetune.targets: `%.*s` is no linear layer; they are c_attn, attn.c_proj, c_fc, "
                            "mlp.c_proj (c_proj: both)",
                            (int) n, s + skip);
        *out |= set;
        s += skip + n;
    }
    if (*out == 0) return WB_FAIL (WB_EUSAGE, "finetune.targets names no linear layer: leave it out for all");
    return WB_OK;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* One call, counted. */
#define COUNT(e, which, n, k, m, call)                                                                  \
    do {                                                                                                \
        const double start_ = wb_now ();                                                                \
        call;                                                                                           \
        wb_profile_add (&(e)->profile, which, start_, 2.0 * (double) (n) * (double) (k) * (double) (m), \
                        4.0 * (double) ((n) * (k) + (k) * (m) + (n) * (m)));                            \
    } while (0)

/* out [n, rank] = s x [n, in] A^T */
static void down (wb_block_env_t *e, float *out, const float *x, const float *A, int64_t in, wb_prof which) {
    const int64_t n = e->n, r = e->rank;
    COUNT (e, which, n, in, r, wb_gemm (out, x, A, n, r, in, r, in, in, false, true, e->scale, 0));
}

void wb_lora_forward (wb_block_env_t *e, float *y, const float *x, const float *w, const wb_lora_t *at, int64_t in,
                      int64_t out) {
    const int64_t n = e->n, r = e->rank;
    if (at->a < 0) return;
    down (e, e->low, x, w + at->a, in, WB_PROF_LORA);
    COUNT (e, WB_PROF_LORA, n, r, out, wb_gemm (y, e->low, w + at->b, n, out, r, out, r, r, false, true, 1, 1));
}

void wb_lora_backward (wb_block_env_t *e, float *dx, float *dw, const float *x, const float *dy, const float *w,
                       const wb_lora_t *at, int64_t in, int64_t out) {
    const int64_t n = e->n, r = e->rank;
    if (at->a < 0) return;
    float *dA = dw + (at->a - e->fixed), *dB = dw + (at->b - e->fixed);
    COUNT (e, WB_PROF_LORA_BACK, n, out, r,
           wb_gemm (e->dlow, dy, w + at->b, n, r, out, r, out, r, false, false, e->scale, 0));
    COUNT (e, WB_PROF_LORA_BACK, r, n, in, wb_gemm (dA, e->dlow, x, r, in, n, in, r, in, true, false, 1, 1));
    down (e, e->low, x, w + at->a, in, WB_PROF_LORA_BACK);
    COUNT (e, WB_PROF_LORA_BACK, out, n, r, wb_gemm (dB, dy, e->low, out, r, n, r, out, r, true, false, 1, 1));
    COUNT (e, WB_PROF_LORA_BACK, n, r, in, wb_gemm (dx, e->dlow, w + at->a, n, in, r, in, r, in, false, false, 1, 1));
}

void wb_lora_merge (float *W, const float *A, const float *B, int64_t in, int64_t out, int64_t rank, double alpha) {
    wb_gemm (W, A, B, in, out, rank, out, in, rank, true, true, (float) (alpha / (double) rank), 1);
}
