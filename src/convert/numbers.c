/* Numbers of other widths: fp32 rounded to the nearest, ties to even; and blocks of Q8_0.
 *
 * Q8_0 as llama.cpp's reference code has it (ggml-quants.c, quantize_row_q8_0_ref): 32 numbers share a scale, an f16,
 * and take a byte each, rounded half away from zero. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "convert/convert_priv.h"

static uint32_t bits_of (float x) {
    uint32_t b;
    memcpy (&b, &x, sizeof b);
    return b;
}

/* The top bits of x, rounded by those that go: adding just under half, and one more where the last bit kept is odd. */
static uint32_t round_off (uint32_t x, int drop) { return (x + ((1u << (drop - 1)) - 1) + (x >> drop & 1u)) >> drop; }

uint16_t wb_to_bf16 (float x) {
    const uint32_t b = bits_of (x);
    if ((b & 0x7fffffffu) > 0x7f800000u) return (uint16_t) (b >> 16 | 0x40u); /* NaN, kept one */
    return (uint16_t) round_off (b, 16);
}

uint16_t wb_to_f16 (float x) {
    const uint32_t b = bits_of (x), sign = b >> 16 & 0x8000u, a = b & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t) (sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x47800000u) return (uint16_t) (sign | 0x7c00u);                          /* from 65536: infinity */
    if (a >= 0x38800000u) return (uint16_t) (sign | round_off (a - (112u << 23), 13)); /* from 2^-14 */
    if (a < 0x33000000u) return (uint16_t) sign;                                       /* below 2^-25: zero */
    const int drop = 126 - (int) (a >> 23);                                            /* subnormal: 14 .. 24 */
    return (uint16_t) (sign | round_off ((a & 0x7fffffu) | 0x800000u, drop));
}

#define BLOCK 32 /* of Q8_0 */
#define BLOCK_BYTES (2 + BLOCK)

static void pack_q8_0 (char *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += BLOCK, out += BLOCK_BYTES) {
        float most = 0.0f;
        for (int k = 0; k < BLOCK; k++) most = fmaxf (most, fabsf (x[i + k]));
        const float scale = most / 127.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        const uint16_t half = wb_to_f16 (scale);
        memcpy (out, &half, sizeof half);
        for (int k = 0; k < BLOCK; k++) out[2 + k] = (char) (int8_t) roundf (x[i + k] * inverse);
    }
}

static void unpack_q8_0 (float *out, const char *from, int64_t n) {
    for (int64_t i = 0; i < n; i += BLOCK, from += BLOCK_BYTES) {
        float scale;
        wb_st_widen (&scale, from, 1, WB_F16);
        for (int k = 0; k < BLOCK; k++) out[i + k] = scale * (float) (int8_t) from[2 + k];
    }
}

int64_t wb_number_bytes (wb_number type) { return type == WB_NUMBER_F32 ? 4 : 2; }

void wb_numbers_pack (void *out, const float *x, int64_t n, wb_number type) {
    uint16_t *half = out;
    if (type == WB_NUMBER_F32) memcpy (out, x, (size_t) n * sizeof *x);
    for (int64_t i = 0; type == WB_NUMBER_F16 && i < n; i++) half[i] = wb_to_f16 (x[i]);
    for (int64_t i = 0; type == WB_NUMBER_BF16 && i < n; i++) half[i] = wb_to_bf16 (x[i]);
    if (type == WB_NUMBER_Q8_0) pack_q8_0 (out, x, n);
    if (type == WB_NUMBER_Q4_K) wb_q4_k_pack (out, x, n);
}

void wb_numbers_unpack (float *out, const void *from, int64_t n, wb_number type) {
    if (type == WB_NUMBER_Q8_0)
        unpack_q8_0 (out, from, n);
    else if (type == WB_NUMBER_Q4_K)
        wb_q4_k_unpack (out, from, n);
    else
        wb_st_widen (out, from, n, type == WB_NUMBER_F16 ? WB_F16 : type == WB_NUMBER_BF16 ? WB_BF16 : WB_F32);
}
