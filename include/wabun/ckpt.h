/* wabun - ckpt: a checkpoint is a model that people can use.
 *
 * A checkpoint directory is a Hugging Face GPT-2 directory (config.json, model.safetensors, the tokenizer's files) plus what
 * resuming needs (optimizer.safetensors, state.json) and checksums.json.  Tensors are stored whole, so any layout loads
 * what any other saved, and the bytes of a checkpoint do not depend on the layout that wrote it.
 * Sees only named, cut tensors (par.h): neither model nor optimizer.
 */
#ifndef WABUN_CKPT_H
#define WABUN_CKPT_H

#include <wabun/par.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- safetensors (safetensors.c) ---------------------------------------------------------------------------------- */

typedef enum wb_dtype { WB_F32, WB_F16, WB_BF16, WB_F64, WB_I64, WB_OTHER } wb_dtype;
typedef struct wb_st_tensor {
    char *name;
    wb_dtype dtype;
    int ndim;
    int64_t shape[8];
    int64_t begin, end; /**< bytes from the start of the file */
} wb_st_tensor_t;
/** The header of a safetensors file, checked: offsets inside the file, sizes equal to shape times element size. */
typedef struct wb_st {
    wb_st_tensor_t *tensors; /**< owned, in file order */
    int n;
    int64_t bytes; /**< of the file */
} wb_st_t;
/** Rank 0 of c reads and checks, all get it.  Collective over c.  Errors: WB_EIO; WB_EDATA what is wrong where. */
wb_status wb_st_read (wb_st_t **out, wb_comm_t *c, const char *path) WB_NODISCARD;
void wb_st_destroy (wb_st_t *s);
/** By name, or by "transformer." + name, as Hugging Face's language-model class writes it. */
const wb_st_tensor_t *wb_st_find (const wb_st_t *s, const char *name);

/* ---- save and load (save.c, load.c) ------------------------------------------------------------------------------- */

/** A set of tensors that share one file, as this rank holds them: segment i's values are data[base_i ..]. */
typedef struct wb_ckpt_set {
    const char *file;              /**< "model.safetensors", "optimizer.safetensors" */
    const char *prefix;            /**< in front of the parameter's name: "", "exp_avg.", "exp_avg_sq." */
    float *data;                   /**< values: the rank's block (by_state false) or its optimizer state (by_state true) */
    bool by_state;                 /**< index data by segment.state instead of segment.flat */
} wb_ckpt_set_t;

/** Extra small files, the same on every rank (written by rank 0): name and text.  */
typedef struct wb_ckpt_text { const char *name; const char *text; } wb_ckpt_text_t;

/** Everything a save needs; all borrowed. */
typedef struct wb_ckpt_job {
    const wb_param_t *params; int nparams;      /**< the table, all parameters of the model (also those not held) */
    const wb_segment_t *segments; int nsegments; /**< the pieces this rank writes: disjoint over all ranks, together everything */
    const wb_ckpt_set_t *sets; int nsets;       /**< sets of one file must stand together */
    const wb_ckpt_text_t *texts; int ntexts;
    const char *const *copies; int ncopies;     /**< files to copy into the directory (rank 0), by path */
} wb_ckpt_job_t;

/** Write dir: all ranks write their segments at their offsets of the shared files under `dir`.tmp; then checksums (XXH64 of each
 * 4 MiB block, made by reading back, shared over ranks), fsync, rename to `dir`.  An existing `dir` is replaced.  When anything
 * fails the temporary directory is removed and what was there before is untouched.
 * Collective over world.  Errors: WB_EIO (full disk ...), agreed. */
wb_status wb_ckpt_save (wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job) WB_NODISCARD;

/** Check files of a checkpoint against its checksums.json; a directory without one (somebody else's model) passes.
 * Collective over world; the blocks are shared over the ranks.  Errors: WB_EDATA file and byte of the first bad block; WB_EIO. */
wb_status wb_ckpt_verify (wb_comm_t *world, const char *dir) WB_NODISCARD;

/** Fill data of the given segments from dir/file.  fp16 and bf16 are widened.
 * Collective over world.  Errors: WB_EIO; WB_EDATA a tensor is missing or has another shape (named, both shapes). */
wb_status wb_ckpt_load (wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set, const wb_segment_t *segments,
                        int nsegments) WB_NODISCARD;

/* ---- runs (rundir.c) ---------------------------------------------------------------------------------------------- */

/** RUN/step-00001000 */
char *wb_ckpt_path (const char *run, int64_t step) WB_NODISCARD;
/** Steps of the finished checkpoints in RUN, newest first, at most `max`; *n may be 0.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_list (int64_t *steps, int *n, const char *run, int max) WB_NODISCARD;
/** RUN/latest -> step-..., atomically.  Errors: WB_EIO. */
wb_status wb_ckpt_set_latest (const char *run, int64_t step) WB_NODISCARD;
/** Remove all but the newest `keep` checkpoints (0: keep all), and left-over temporary directories.  Errors: WB_EIO. */
wb_status wb_ckpt_prune (const char *run, int keep) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
