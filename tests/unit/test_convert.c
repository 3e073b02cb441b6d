/* Rounding to 16 bits: every f16 and bf16 comes back, halves go to even; blocks of 8 and 4 bits; an output directory
 * appears whole or not. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"
#include "t.h"

static float from_bits (uint32_t b) {
    float x;
    memcpy (&x, &b, sizeof x);
    return x;
}

/* A half, finite or infinite, by its definition. */
static float half (unsigned h) {
    const unsigned e = h >> 10 & 31u, f = h & 1023u;
    const double x = e == 31 ? (double) INFINITY : e == 0 ? ldexp (f, -24) : ldexp (1024 + f, (int) e - 25);
    return (float) (h & 0x8000u ? -x : x);
}

static void halves (void) {
    int64_t bad = 0;
    for (unsigned h = 0; h < 0x10000; h++) {
        if ((h & 0x7fffu) > 0x7c00u) continue;
        if (wb_to_f16 (half (h)) != h) bad++;
        if ((h & 0x7fffu) >= 0x7bffu) continue; /* has no finite neighbour above */
        /* Between this one and the next: below the middle down, above it up, the middle itself to even. */
        const double middle = ((double) half (h) + (double) half (h + 1)) / 2;
        const float m = (float) middle, out = h & 0x8000u ? -INFINITY : INFINITY;
        if ((double) m != middle) bad++;
        if (wb_to_f16 (m) != h + (h & 1u)) bad++;
        if (wb_to_f16 (nextafterf (m, -out)) != h) bad++;
        if (wb_to_f16 (nextafterf (m, out)) != h + 1) bad++;
    }
    T_OK (bad == 0, "f16: %lld wrong", (long long) bad);
    T_OK (wb_to_f16 (65519.996f) == 0x7bff && wb_to_f16 (65520.0f) == 0x7c00, "f16: where infinity begins");
    T_OK ((wb_to_f16 (NAN) & 0x7fffu) > 0x7c00u, "f16: NaN");
}

static void brains (void) {
    int64_t bad = 0;
    for (uint32_t h = 0; h < 0x10000; h++) {
        if ((h & 0x7fffu) > 0x7f80u) continue;
        const uint32_t even = h + (h & 1u);
        if (wb_to_bf16 (from_bits (h << 16)) != h) bad++;
        if ((h & 0x7fffu) == 0x7f80u) continue;
        if (wb_to_bf16 (from_bits (h << 16 | 0x7fffu)) != h) bad++;
        if (wb_to_bf16 (from_bits (h << 16 | 0x8000u)) != even) bad++;
        if (wb_to_bf16 (from_bits (h << 16 | 0x8001u)) != h + 1) bad++;
    }
    T_OK (bad == 0, "bf16: %lld wrong", (long long) bad);
    T_OK ((wb_to_bf16 (from_bits (0x7f800001u)) & 0x7fffu) > 0x7f80u, "bf16: NaN stays one");
}

/* 32 numbers: an f16 of the largest / 127, then each over it, rounded half away from zero. */
static void blocks (void) {
    float x[32] = {0}, back[32];
    unsigned char packed[34];
    x[0] = -127.0f, x[1] = 126.5f, x[2] = -0.5f, x[3] = 0.49f, x[31] = 64.25f;
    wb_numbers_pack (packed, x, 32, WB_NUMBER_Q8_0);
    T_OK (packed[0] == 0x00 && packed[1] == 0x3c, "q8_0: the scale is 1");
    T_OK ((signed char) packed[2] == -127 && packed[3] == 127 && (signed char) packed[4] == -1,
          "q8_0: half away from zero");
    T_OK (packed[5] == 0 && packed[33] == 64, "q8_0: nearest");
    wb_numbers_unpack (back, packed, 32, WB_NUMBER_Q8_0);
    T_OK (back[0] == -127.0f && back[1] == 127.0f && back[2] == -1.0f && back[31] == 64.0f, "q8_0: and back");
    memset (x, 0, sizeof x);
    wb_numbers_pack (packed, x, 32, WB_NUMBER_Q8_0);
    wb_numbers_unpack (back, packed, 32, WB_NUMBER_Q8_0);
    T_OK (memcmp (x, back, sizeof x) == 0, "q8_0: zeros");
}

/* Numbers that lie on the lines of their groups: each byte by the description of the format. */
static void lines_of_four (void) {
    static const int s[8] = {63, 1, 2, 3, 16, 32, 48, 63}, t[8] = {0, 63, 1, 32, 0, 5, 63, 17};
    static const unsigned char head[16] = {0x00, 0x14, 0x00, 0x18, 0x7f, 0x81, 0xc2, 0xc3,
                                           0x00, 0x3f, 0xc1, 0x60, 0x00, 0x50, 0xf0, 0x1f};
    float x[256], back[256];
    unsigned char packed[144];
    int wrong = 0;
    for (int i = 0; i < 256; i++) x[i] = ldexpf ((float) (s[i / 32] * (i % 16)), -10) - ldexpf ((float) t[i / 32], -9);
    wb_numbers_pack (packed, x, 256, WB_NUMBER_Q4_K);
    T_OK (memcmp (packed, head, sizeof head) == 0, "q4_k: the lines of its groups");
    for (int i = 0; i < 128; i++) wrong += packed[16 + i] != i % 16 * 0x11;
    T_OK (wrong == 0, "q4_k: %d bytes of steps", wrong);
    wb_numbers_unpack (back, packed, 256, WB_NUMBER_Q4_K);
    T_OK (memcmp (x, back, sizeof x) == 0, "q4_k: and back, exactly");
}

static void more_of_four (void) {
    static float x[4096], back[4096];
    static unsigned char packed[4096 / 256 * 144];
    double squares = 0.0, errors = 0.0;
    wb_rng_fill_normal (x, 4096, 0.02, 3, 1, 0);
    wb_numbers_pack (packed, x, 4096, WB_NUMBER_Q4_K);
    wb_numbers_unpack (back, packed, 4096, WB_NUMBER_Q4_K);
    for (int i = 0; i < 4096; i++) squares += pow (x[i], 2), errors += pow (x[i] - back[i], 2);
    T_OK (errors < 0.0064 * squares, "q4_k: normal numbers lose %.2f %%", 100 * sqrt (errors / squares));
    for (int i = 0; i < 256; i++) x[i] = i < 32 ? 0.0f : i < 64 ? 0.5f : -0.5f;
    wb_numbers_pack (packed, x, 256, WB_NUMBER_Q4_K);
    wb_numbers_unpack (back, packed, 256, WB_NUMBER_Q4_K);
    double most = 0.0;
    for (int i = 0; i < 256; i++) most = fmax (most, fabs ((double) x[i] - (double) back[i]));
    T_OK (most < 0.0005 && back[0] == 0.0f, "q4_k: groups of one number, %g off", most);
    memset (x, 0, sizeof x);
    wb_numbers_pack (packed, x, 256, WB_NUMBER_Q4_K);
    wb_numbers_unpack (back, packed, 256, WB_NUMBER_Q4_K);
    T_OK (memcmp (x, back, 256 * sizeof *x) == 0, "q4_k: zeros");
}

static void directories (void) {
    wb_outdir_t d = {0};
    T_STATUS (wb_outdir_begin (&d, t_tmp ("a/b/out/")), WB_OK);
    T_STATUS (wb_outdir_text (&d, "file", "x", 1), WB_OK);
    T_OK (!wb_file_exists (t_tmp ("a/b/out")), "not there before its end");
    wb_outdir_cancel (&d);
    wb_names_t names = {0};
    T_STATUS (wb_dir_list (&names, t_tmp ("a/b")), WB_OK);
    T_OK (names.len == 0, "nothing is left of one that was cancelled");
    wb_names_fini (&names);
    T_STATUS (wb_dir_make (t_tmp ("a/b/out")), WB_OK);
    T_STATUS (wb_outdir_begin (&d, t_tmp ("a/b/out")), WB_OK); /* empty: allowed */
    T_STATUS (wb_outdir_text (&d, "file", "x", 1), WB_OK);
    T_STATUS (wb_outdir_end (&d), WB_OK);
    T_OK (wb_file_exists (t_tmp ("a/b/out/file")), "there");
    T_STATUS (wb_outdir_begin (&d, t_tmp ("a/b/out")), WB_EUSAGE);
    wb_outdir_cancel (&d);
    T_OK (wb_file_exists (t_tmp ("a/b/out/file")), "still there");
}

int main (void) {
    halves ();
    brains ();
    blocks ();
    lines_of_four ();
    more_of_four ();
    directories ();
    return T_DONE ();
}
