/* Numbers of other widths: fp32 rounded to the nearest, ties to even. */
#include "config.h"

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

int64_t wb_number_bytes (wb_number type) { return type == WB_NUMBER_F32 ? 4 : 2; }

void wb_numbers_pack (void *out, const float *x, int64_t n, wb_number type) {
    uint16_t *half = out;
    if (type == WB_NUMBER_F32) memcpy (out, x, (size_t) n * sizeof *x);
    for (int64_t i = 0; type == WB_NUMBER_F16 && i < n; i++) half[i] = wb_to_f16 (x[i]);
    for (int64_t i = 0; type == WB_NUMBER_BF16 && i < n; i++) half[i] = wb_to_bf16 (x[i]);
}
