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
#define WB_SUMS_ADVICE "go back to an older checkpoint, or fetch this one again"

typedef struct wb_sums_file {
    char *path, *name;             /* name points into path */
    int64_t bytes, nblocks, first; /* first: its first block among the blocks of all files */
} wb_sums_file_t;

/** A list of files and of the hashes of their blocks; zero-initialised is empty. */
typedef struct wb_sums {
    wb_sums_file_t *files;
    int n;
    int64_t block, nblocks, shared; /* shared: blocks that the ranks share */
    uint64_t *hashes;               /* of all blocks of all files */
    bool changed;                   /* the list was, after it was written */
} wb_sums_t;
void wb_sums_fini (wb_sums_t *s);
/** Add files, with the sizes they have on disk; s->files has room for them.  Not collective. */
wb_status wb_sums_add (wb_sums_t *s, const char *dir, const char *const *names, int n) WB_NODISCARD;
/** The text of dir/checksums.json, which is `path`.  Not collective.  Errors: WB_EDATA, WB_ENOMEM. */
wb_status wb_sums_parse (wb_sums_t *s, const char *dir, const char *path, const char *text, size_t length) WB_NODISCARD;
/** Is the file there, and as long as the list says?  Not collective.  Errors: WB_EDATA, WB_EIO. */
wb_status wb_sums_check_size (const wb_sums_file_t *f) WB_NODISCARD;
/** Is a file of dir in the list, if it is one of those that a checkpoint always lists (config.json, state.json,
 * *.safetensors)?  Errors: WB_EDATA. */
wb_status wb_sums_check_named (const wb_sums_t *s, const char *dir, const char *name) WB_NODISCARD;

/** Is the list as it was written?  What has lost an entry is found here at the latest.  Errors: WB_EDATA. */
wb_status wb_sums_check_list (const wb_sums_t *s, const char *dir) WB_NODISCARD;

/* What keeps a thread from taking the processor away from those that compute: after so much work it rests. */
typedef struct wb_pace {
    void (*rest) (void *ctx); /* called between pieces of about a megabyte; NULL: no rest */
    void *ctx;
} wb_pace_t;

/** Whose part of the blocks, and how fast. */
typedef struct wb_sums_share {
    int rank, ranks;
    wb_pace_t pace;
} wb_sums_share_t;
/** The list of the shared files and of small ones (rank 0's), with the hashes of this rank's share of the shared blocks
 * and of all small ones.  Not collective.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_sums_make (wb_sums_t *s, const wb_sums_share_t *share, const char *dir, const char *const *shared,
                        int nshared, const char *const *small, int nsmall) WB_NODISCARD;
/** Bring the shares together.  Collective over c. */
void wb_sums_share (wb_sums_t *s, wb_comm_t *c);
/** Write dir/checksums.json.  Not collective.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_sums_write (const wb_sums_t *s, const char *dir) WB_NODISCARD;

/** symlink() and link(); tests put others in their place that fail as file systems without links do. */
extern int (*wb_ckpt_symlink) (const char *target, const char *path);
extern int (*wb_ckpt_link) (const char *from, const char *to);

/** Is this parameter one of the set?  What is frozen has no state. */
static inline bool wb_ckpt_in_set (const wb_ckpt_set_t *set, const wb_param_t *p) {
    if (set->by_state && p->frozen) return false;
    return set->classes == 0 || (set->classes >> p->cls & 1u) != 0;
}

#endif
