/* What the files of checkpoint share among themselves. */
#ifndef WABUN_CKPT_PRIV_H
#define WABUN_CKPT_PRIV_H

#include "wabun/checkpoint.h"

/* Numbers are written and read in the byte order of memory. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints are little-endian, and so must the machine be"
#endif
_Static_assert(sizeof (float) == 4 && sizeof (double) == 8, "IEEE fp32 and fp64");

#define WB_SUMS_FILE "checksums.json"
#define WB_SUMS_BLOCK ((int64_t) 4 << 20)

/** Write dir/checksums.json: of the shared files, read by all ranks, then of small ones, read by rank 0.
 * Collective over c.  Errors: WB_EIO, WB_ENOMEM; agreed. */
wb_status wb_sums_write (wb_comm_t *c, const char *dir, const char *const *shared, int nshared,
                         const char *const *small, int nsmall) WB_NODISCARD;

/** symlink(); tests put one in its place that fails as file systems without links do. */
extern int (*wb_ckpt_symlink) (const char *target, const char *path);

/** Is this parameter one of the set? */
static inline bool wb_ckpt_in_set (const wb_ckpt_set_t *set, const wb_param_t *p) {
    return set->classes == 0 || (set->classes >> p->cls & 1u) != 0;
}

/** Bytes of a number in a tensor; 0: not one that is computed with (load.c). */
int64_t wb_st_element_bytes (wb_dtype dtype);
/** n numbers as floats. */
void wb_st_widen (float *out, const char *from, int64_t n, wb_dtype dtype);

#endif
