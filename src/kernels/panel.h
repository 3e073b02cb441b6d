/* Products by panels, inside: what panel.c and the files of the types share.  Compiled once an instruction set.
 *
 * A type has units: a unit is the rows of A, and so the columns of x, that are multiplied together (1 in fp32, 2 in
 * bf16, 32 in int8). */
#ifndef WABUN_KERNELS_PANEL_H
#define WABUN_KERNELS_PANEL_H

#include "kernels/vec.h"

#define ALL (WB_PANEL / W) /* vectors in a row of a panel */

typedef struct form form_t;

typedef struct job {
    float *y;
    const float *x;
    const char *A;
    const float *b;
    char *packed; /* groups of rows of x, each [units][bytes of a unit of all rows of the group] */
    int64_t m, n, k, units, groups;
    bool add;
    const form_t *form;
} job_t;

/* A chunk of a panel, and the rows and columns of y that it adds to. */
typedef struct piece {
    float *y;
    const char *x, *a; /* x [units][rows] */
    const float *b;    /* of these columns, NULL: none */
    int64_t ld, units;
    bool first, add; /* the first chunk sets y, or adds to what was there before the product */
    const char *ask; /* unit of A to prefetch next, then those after it; NULL: none */
    int64_t between; /* steps between two of these, less one: 2^i - 1 */
} piece_t;

struct form {
    int64_t rows;    /* of x in a group, at most */
    int64_t chunk;   /* units in a chunk, a power of two: it stays in first-level cache */
    int64_t a_bytes; /* of a unit of a panel */
    int64_t x_bytes; /* of a unit of a row of x */
    bool padded;     /* the last panel is as wide as the others */
    void (*pack) (const job_t *t, int64_t from, int64_t to); /* units from .. to - 1 of x */
    void (*wide) (const piece_t *p, int64_t rows);           /* a panel of WB_PANEL columns */
};

INLINE int64_t units_of (int64_t k, int64_t unit) { return (k + unit - 1) / unit; }
/* First row of group g. */
INLINE int64_t row_of (const job_t *t, int64_t g) { return t->m * g / t->groups; }

/* A unit of A into the second-level cache, now and then. */
INLINE void prefetch (const char **ask, int64_t q, int64_t between, int64_t bytes) {
    if (*ask == NULL || (q & between) != 0) return;
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch (*ask + i, 0, 2);
    *ask += bytes;
}

/* Columns q .. q + W - 1 of a group, given row by row in m, to packed [..to][rows] at `out`: 32 bits each. */
INLINE void put_columns (float *out, vf m[W], int64_t q, int64_t to, int64_t rows) {
    transpose (m);
#pragma GCC unroll 16
    for (int j = 0; j < W; j++) { /* what a store writes too much, the next one writes again */
        float *at = out + (q + j) * rows;
        if ((q + j) * rows + W <= to * rows)
            vstore (at, m[j]);
        else
            vstore_some (at, m[j], rows);
    }
}

/* The sums of a chunk, s [rows][vecs] for columns j .. j + vecs W - 1, go to y. */
INLINE void settle (const piece_t *p, const vf *s, const int j, const int rows, const int vecs) {
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            float *y = p->y + i * p->ld + j + v * W;
            vf sum = s[i * vecs + v];
            if (p->first && p->b != NULL) sum += vload (p->b + j + v * W);
            if (!p->first || p->add) sum += vload (y);
            vstore (y, sum);
        }
}

/* In wide(): a case for each number of rows, so that their sums are registers. */
#define ROWS_ARE(n) \
    case n: tiles (p, n); break

extern const form_t ISA_NAME (wb_panel_bf16_), ISA_NAME (wb_panel_int8_);
#if defined(__AVX512F__) && defined(WB_AVX512_UNITS)
extern const form_t wb_panel_bf16_avx512_units, wb_panel_int8_avx512_units; /* of AVX-512 BF16 and VNNI */
#endif
#if defined(__AVX512F__) && defined(WB_AMX)
extern const form_t wb_panel_bf16_amx; /* of AMX, where k is a multiple of 32 */
#endif

#endif
