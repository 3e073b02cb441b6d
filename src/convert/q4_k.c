/* Q4_K, a 4-bit kind of llama.cpp: 256 numbers in 144 bytes.
 *
 * A block is 8 groups of 32 numbers.  In a group x is about  d s q - m t  with q of 4 bits; s and t, of 6 bits, belong
 * to the group, d and m, f16, to the block.  Each group first looks for its own line  x = scale q + low, low <= 0:  for
 * 21 spacings around (largest - smallest) / 15 it rounds its numbers to steps, lays the line through them by weighted
 * least squares, and keeps the one that errs least, whose low the next ones begin from.  A number counts with its size
 * and the root mean square of the group.  Then the scales and lows are rounded to 6 bits, and the numbers once more, to
 * what is left of the lines.
 *
 * Format and method: the reference code of ggml (ggml-quants.c, quantize_row_q4_K_ref).  The bytes are to be the same
 * as its own, so each sum is taken in its order; wabun is compiled without contraction to fused multiply-adds.
 *
 * Not done here: importance of inputs measured on text (imatrix), which needs a run of the model. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "convert/convert_priv.h"

#define GROUP 32
#define GROUPS 8
#define BLOCK (GROUP * GROUPS)
#define STEPS 15 /* of a group: 0 .. 15 */
#define LINES 63 /* of a block: scales and lows are 0 .. 63 of these steps */
#define SPACINGS 21

/* As it lies in the file. */
typedef struct block {
    uint16_t d, m;
    unsigned char lines[12]; /* s and t of 8 groups, 6 bits each */
    unsigned char q[BLOCK / 2];
} block_t;
_Static_assert(sizeof (block_t) == 144, "no padding");

typedef struct line {
    float scale, low;
    unsigned char q[GROUP];
} line_t;

/* Nearest, ties to even: after adding 1.5 * 2^23 the lowest bits hold the whole number. */
static int nearest (float x) {
    const float shifted = x + 12582912.0f;
    uint32_t bits;
    memcpy (&bits, &shifted, sizeof bits);
    return (int) (bits & 0x7fffffu) - 0x400000;
}

static unsigned char step_of (float x) {
    const int q = nearest (x);
    return (unsigned char) (q < 0 ? 0 : q > STEPS ? STEPS : q);
}

static float widen (uint16_t half) {
    float x;
    wb_st_widen (&x, (const char *) &half, 1, WB_F16);
    return x;
}

/* ---- a group ----------------------------------------------------------------------------------------------------- */

static float error_of (const line_t *l, const float *x, const float *weight) {
    float error = 0.0f;
    for (int i = 0; i < GROUP; i++) {
        const float d = l->scale * (float) l->q[i] + l->low - x[i];
        error += weight[i] * (d * d);
    }
    return error;
}

/* The line through the steps l->q; sums[2]: of the weights, and of weight times x.  False: there is none. */
static bool fit_line (line_t *l, const float *x, const float *weight, const float sums[2]) {
    float q = 0.0f, qq = 0.0f, xq = 0.0f;
    for (int i = 0; i < GROUP; i++) {
        const float wq = weight[i] * (float) l->q[i];
        q += wq;
        qq += wq * (float) l->q[i];
        xq += wq * x[i];
    }
    const float det = sums[0] * qq - q * q;
    if (!(det > 0.0f)) return false;
    l->scale = (sums[0] * xq - sums[1] * q) / det;
    l->low = (qq * sums[1] - q * xq) / det;
    if (l->low > 0.0f) {
        l->low = 0.0f;
        l->scale = xq / qq;
    }
    return true;
}

static void fit_group (line_t *best, const float *x) {
    float squares = 0.0f, weight[GROUP], sums[2] = {0.0f, 0.0f}, low = x[0], high = x[0];
    for (int i = 0; i < GROUP; i++) squares += x[i] * x[i];
    const float rms = sqrtf (squares / GROUP);
    for (int i = 0; i < GROUP; i++) {
        weight[i] = rms + fabsf (x[i]);
        sums[0] += weight[i];
        sums[1] += weight[i] * x[i];
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    if (low > 0.0f) low = 0.0f;
    *best = (line_t){.low = low};
    if (high == low) return;
    const float first = STEPS / (high - low);
    best->scale = 1.0f / first;
    for (int i = 0; i < GROUP; i++) best->q[i] = step_of (first * (x[i] - low));
    float least = error_of (best, x, weight);
    for (int k = 0; k < SPACINGS; k++) {
        line_t l;
        const float spacing = (-1.0f + 0.1f * (float) k + STEPS) / (high - best->low);
        for (int i = 0; i < GROUP; i++) l.q[i] = step_of (spacing * (x[i] - best->low));
        if (!fit_line (&l, x, weight, sums)) continue;
        const float error = error_of (&l, x, weight);
        if (error < least) {
            least = error;
            *best = l;
        }
    }
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

/* s and t of group g: of the last four groups the upper two bits lie over those of the first four. */
static void put_pair (unsigned char lines[12], int g, int s, int t) {
    if (g < 4) {
        lines[g] = (unsigned char) s;
        lines[g + 4] = (unsigned char) t;
        return;
    }
    lines[g + 4] = (unsigned char) ((s & 15) | (t & 15) << 4);
    lines[g - 4] = (unsigned char) (lines[g - 4] | s >> 4 << 6);
    lines[g] = (unsigned char) (lines[g] | t >> 4 << 6);
}

static void take_pair (int *s, int *t, const unsigned char lines[12], int g) {
    if (g < 4) {
        *s = lines[g] & 63;
        *t = lines[g + 4] & 63;
        return;
    }
    *s = (lines[g + 4] & 15) | lines[g - 4] >> 6 << 4;
    *t = lines[g + 4] >> 4 | lines[g] >> 6 << 4;
}

static int six_bits (float x) {
    const int n = (unsigned char) nearest (x);
    return n > LINES ? LINES : n;
}

static void pack_block (block_t *out, const float *x) {
    line_t lines[GROUPS];
    float scale = 0.0f, depth = 0.0f; /* the largest of all groups */
    for (int g = 0; g < GROUPS; g++) {
        fit_group (&lines[g], x + g * GROUP);
        if (lines[g].scale > scale) scale = lines[g].scale;
        if (-lines[g].low > depth) depth = -lines[g].low;
    }
    const float by_scale = scale > 0.0f ? LINES / scale : 0.0f, by_depth = depth > 0.0f ? LINES / depth : 0.0f;
    *out = (block_t){.d = wb_to_f16 (scale / LINES), .m = wb_to_f16 (depth / LINES)};
    for (int g = 0; g < GROUPS; g++)
        put_pair (out->lines, g, six_bits (by_scale * lines[g].scale), six_bits (by_depth * -lines[g].low));
    for (int g = 0; g < GROUPS; g++) {
        int s, t;
        take_pair (&s, &t, out->lines, g);
        const float d = widen (out->d) * (float) s, m = widen (out->m) * (float) t;
        for (int i = 0; d != 0.0f && i < GROUP; i++) lines[g].q[i] = step_of ((x[g * GROUP + i] + m) / d);
    }
    for (int g = 0; g < GROUPS; g++) /* two groups share their bytes */
        for (int i = 0; i < GROUP; i++) out->q[g / 2 * GROUP + i] |= (unsigned char) (lines[g].q[i] << (g % 2 * 4));
}

void wb_q4_k_pack (void *out, const float *x, int64_t n) {
    char *to = out;
    for (int64_t i = 0; i < n; i += BLOCK, to += sizeof (block_t)) {
        block_t b;
        pack_block (&b, x + i);
        memcpy (to, &b, sizeof b);
    }
}

void wb_q4_k_unpack (float *out, const void *from, int64_t n) {
    const char *at = from;
    for (int64_t i = 0; i < n; i += BLOCK, at += sizeof (block_t)) {
        block_t b;
        memcpy (&b, at, sizeof b);
        const float d = widen (b.d), m = widen (b.m);
        for (int g = 0; g < GROUPS; g++) {
            int s, t;
            take_pair (&s, &t, b.lines, g);
            const float scale = d * (float) s, low = m * (float) t;
            for (int k = 0; k < GROUP; k++)
                out[i + g * GROUP + k] = scale * (float) (b.q[g / 2 * GROUP + k] >> g % 2 * 4 & 15) - low;
        }
    }
}
