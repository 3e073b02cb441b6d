/* Products by panels of brain floats by AMX.  Compiled with AMX, AVX-512 and AVX-512 BF16.
 *
 * A panel is as B's tiles want it: pairs of rows of 32 columns are two tiles beside each other.  x is packed into A's
 * tiles: of each group of rows, steps of 16 units, in them row after row.
 *
 * Not here: how the work is cut, and which k suit this (panel.c: multiples of 32), the layout of panels (pack.c). */
#include "config.h"

#include "kernels/amx.h"
#include "kernels/panel.h"
#include "kernels/ranges.h"

enum { STEP = 16, ROWS = 32 }; /* units of a tile; rows of two */

/* Tiles for a group of n rows: 0 and 1 sums of rows 0 .. 15, 2 and 3 of the others; 4 and 5 their x; 6 and 7 A. */
#define LOW(n) ((n) < STEP ? (n) : STEP)
#define HIGH(n) ((n) > STEP ? (n) -STEP : STEP)
#define TILES(n)                                                                       \
    {                                                                                  \
        .palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64},                       \
        .rows = {LOW (n), LOW (n), HIGH (n), HIGH (n), LOW (n), HIGH (n), STEP, STEP}, \
    }
#define FOUR(n) TILES (n), TILES ((n) + 1), TILES ((n) + 2), TILES ((n) + 3)
static const wb_tiles_t tiles[ROWS] = {FOUR (1),  FOUR (5),  FOUR (9),  FOUR (13),
                                       FOUR (17), FOUR (21), FOUR (25), FOUR (29)};

static void pack (const job_t *t, int64_t from, int64_t to) {
    for (int64_t g = 0; g < t->groups; g++) {
        const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0;
        uint16_t *group = (uint16_t *) (void *) t->packed + 2 * i0 * t->units;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t u = from, some; u < to; u += some) {
                some = min64 (to - u, STEP - u % STEP);
                bf16_pack_row (group + 2 * (u / STEP * STEP * rows + i * STEP + u % STEP),
                               t->x + (i0 + i) * t->k + 2 * u, 2 * some);
            }
    }
}

static void wide (const piece_t *p, int64_t rows) {
    float sums[ROWS * WB_PANEL] __attribute__ ((aligned (64)));
    const uint32_t *a = (const uint32_t *) (const void *) p->a, *x = (const uint32_t *) (const void *) p->x;
    const char *ask = p->ask;
    _tile_loadconfig (&tiles[rows - 1]);
    _tile_zero (0);
    _tile_zero (1);
    _tile_zero (2);
    _tile_zero (3);
    wb_tiles_sync ();
    for (int64_t q = 0; q < p->units; q += STEP, a += STEP * WB_PANEL, x += STEP * rows) {
        for (int64_t u = 0; ask != NULL && u < STEP; u++) prefetch (&ask, q + u, p->between, WB_PANEL * sizeof *a);
        _tile_loadd (6, a, WB_PANEL * sizeof *a);
        _tile_loadd (4, x, STEP * sizeof *x);
        _tile_dpbf16ps (0, 4, 6);
        _tile_loadd (7, a + STEP, WB_PANEL * sizeof *a);
        _tile_dpbf16ps (1, 4, 7);
        if (rows <= STEP) continue;
        _tile_loadd (5, x + STEP * STEP, STEP * sizeof *x);
        _tile_dpbf16ps (2, 5, 6);
        _tile_dpbf16ps (3, 5, 7);
    }
    _tile_stored (0, sums, WB_PANEL * sizeof *sums);
    _tile_stored (1, sums + W, WB_PANEL * sizeof *sums);
    if (rows > STEP) {
        _tile_stored (2, sums + STEP * WB_PANEL, WB_PANEL * sizeof *sums);
        _tile_stored (3, sums + STEP * WB_PANEL + W, WB_PANEL * sizeof *sums);
    }
    _tile_release ();
    for (int64_t i = 0; i < rows; i++) {
        piece_t row = *p;
        row.y = p->y + i * p->ld;
        settle (&row, (const vf *) (const void *) (sums + i * WB_PANEL), 0, 1, ALL);
    }
}

const form_t wb_panel_bf16_amx = {.rows = ROWS,
                                  .chunk = 256,
                                  .a_bytes = WB_PANEL * 2 * sizeof (uint16_t),
                                  .x_bytes = 2 * sizeof (uint16_t),
                                  .padded = true,
                                  .pack = pack,
                                  .wide = wide};
