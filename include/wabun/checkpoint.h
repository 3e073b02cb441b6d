/* wabun - checkpoint: a checkpoint is a model that people can use.
 *
 * A checkpoint directory is a Hugging Face GPT-2 directory (config.json, model.safetensors, the tokenizer's files) plus
 * what resuming needs (optimizer.safetensors, state.json) and checksums.json.  Tensors are stored whole, so any layout
 * loads what any other saved, and the bytes of a checkpoint do not depend on the layout that wrote it. Sees only named,
 * cut tensors (parallel.h): neither model nor optimizer.
 */
#ifndef WABUN_CHECKPOINT_H
#define WABUN_CHECKPOINT_H

#include <wabun/parallel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- safetensors (safetensors.c) --------------------------------------------------------------------------------- */

typedef enum wb_dtype { WB_F32, WB_F16, WB_BF16, WB_F64, WB_I64, WB_OTHER } wb_dtype;
typedef struct wb_st_tensor {
    char *name; /**< owned by the wb_st_t it is in; borrowed where tensors are given to wb_st_header() */
    wb_dtype dtype;
    int ndim;
    int64_t shape[8];
    int64_t begin, end; /**< bytes from the start of the file */
} wb_st_tensor_t;
/** The header of a safetensors file, checked: offsets inside the file and not overlapping, sizes equal to shape times
 * element size. */
typedef struct wb_st {
    wb_st_tensor_t *tensors; /**< owned, in file order */
    int n;
    int64_t bytes; /**< of the file */
} wb_st_t;
/** Rank 0 of c reads and checks, all get it.  Collective over c.  Errors: WB_EIO; WB_EDATA what is wrong where. */
wb_status wb_st_read (wb_st_t **out, wb_comm_t *c, const char *path) WB_NODISCARD;
void wb_st_destroy (wb_st_t *s);
/** The first bytes of a file that holds these tensors (name, dtype but not WB_OTHER, ndim, shape) one after the other,
 * without holes, in this order; their `begin` and `end` are filled in.  The same input gives the same bytes.  The data
 * begin at a multiple of 8; the file is as long as the last tensor's `end` says (or the header, without tensors). The
 * caller frees *header with wb_free().  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_st_header (char **header, size_t *bytes, wb_st_tensor_t *tensors, int n) WB_NODISCARD;

/* ---- save and load (save.c, load.c) ------------------------------------------------------------------------------ */

/** Bytes of a number in a tensor; 0: not one that is computed with. */
int64_t wb_st_element_bytes (wb_dtype dtype);
/** n numbers as floats: fp16 and bf16 are widened, fp64 is rounded. */
void wb_st_widen (float *out, const char *from, int64_t n, wb_dtype dtype);

/** A set of tensors that share one file, as this rank holds them: segment i's values are data[base_i ..]. */
typedef struct wb_ckpt_set {
    const char *file;   /**< "model.safetensors", "optimizer.safetensors" */
    const char *prefix; /**< in front of the parameter's name: "", "exp_avg.", "exp_avg_sq." */
    float *data;        /**< values: the rank's block (by_state false) or its optimizer state (by_state true) */
    bool by_state;      /**< index data by segment.state instead of segment.flat */
    unsigned classes;   /**< only parameters of these classes, a set of 1 << wb_param_class; 0: all */
    const wb_param_t
        *params; /**< [nparams] the whole table: what else is in the file is judged by it; NULL: by nothing */
    int nparams;
} wb_ckpt_set_t;

/** Extra small files, the same on every rank (written by rank 0): name and text. */
typedef struct wb_ckpt_text {
    const char *name;
    const char *text;
} wb_ckpt_text_t;

/** Everything a save needs; all borrowed. */
typedef struct wb_ckpt_job {
    const wb_param_t *params; /**< the table, all parameters of the model (also those not held) */
    int nparams;
    const wb_segment_t *segments; /**< the pieces this rank writes, of params of this very table: disjoint over all
                                   * ranks, together everything */
    int nsegments;
    const wb_ckpt_set_t *sets; /**< sets of one file must be adjacent */
    int nsets;
    const wb_ckpt_text_t *texts;
    int ntexts;
    /** More files (rank 0): `extra` writes those of the names [nextras] into a directory. */
    const char *const *extras;
    int nextras;
    wb_status (*extra) (void *ctx, const char *dir);
    void (*after) (void *ctx); /**< rank 0: called once it is complete; NULL: nothing is */
    void *ctx;
} wb_ckpt_job_t;

/** Write dir: all ranks write their segments at their offsets of the shared files under `dir`.tmp; then checksums.json
 * (XXH64 of each 4 MiB block of every file, computed by reading back, the work shared by the ranks), fsync, rename to
 * `dir`.  The space of all shared files is reserved first.  An existing `dir` is replaced when it is empty or a
 * checkpoint of ours, else refused.  When anything fails the temporary directory is removed and what was there before
 * is untouched.  At most 16 MB of buffers a rank. Collective over world.  Errors: WB_EIO (full disk ...), WB_EUSAGE
 * (`dir` is something else), WB_ENOMEM; agreed. */
wb_status wb_ckpt_save (wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job) WB_NODISCARD;

/* ---- a save while something else goes on (background.c) ---------------------------------------------------------- */

/** What it takes: memory for a copy of what this rank writes, and a thread.  One save at a time. */
typedef struct wb_saver wb_saver_t;
/** Bytes of that copy: 4 for each value of each set.  Not collective. */
size_t wb_ckpt_copy_bytes (const wb_ckpt_job_t *job);
/** For jobs as large as this one.  \param share  of a processor that the thread takes at most, 1: as much as it wants;
 * it works at full speed while somebody waits for it.  Collective over world (borrowed).  Errors: WB_ENOMEM, agreed. */
wb_status wb_saver_new (wb_saver_t **out, wb_comm_t *world, const wb_ckpt_job_t *job, double share) WB_NODISCARD;
/** Begin wb_ckpt_save() to dir: copy the values, leave the rest to the thread.  From here on the values may change, and
 * of the job only names, table and segments are borrowed; its functions are called from the thread of rank 0.  Not
 * while another save is under way.  Collective over world.  Errors: WB_ENOMEM, WB_EUSAGE; agreed. */
wb_status wb_saver_begin (wb_saver_t *s, const char *dir, const wb_ckpt_job_t *job) WB_NODISCARD;
/** Has this rank done what it can without the others?  Once all have, they call wb_saver_poll().  Not collective;
 * cheap; false when no save is under way. */
bool wb_saver_ready (wb_saver_t *s);
/** All ranks are ready: go on to the next of four phases; *done: that was the last one.  Collective over world.
 * Errors: as wb_ckpt_save(), and then no save is under way. */
wb_status wb_saver_poll (wb_saver_t *s, bool *done) WB_NODISCARD;
/** Wait for the end of the save; nothing happens where none is under way.  Collective over world.  Errors: as
 * wb_ckpt_save(). */
wb_status wb_saver_end (wb_saver_t *s) WB_NODISCARD;
bool wb_saver_busy (const wb_saver_t *s);     /**< is a save under way?  The same on all ranks; NULL: no */
int64_t wb_saver_bytes (const wb_saver_t *s); /**< of the tensors' files in the save that was begun last */
void wb_saver_destroy (wb_saver_t *s);        /**< NULL is fine; no save is under way */

/** Check files of a checkpoint against its checksums.json; a directory without one (somebody else's model) passes, and
 * so do files that it does not name, but config.json, state.json and *.safetensors.  Collective over world; the blocks
 * are shared over the ranks.  Errors: WB_EDATA file and bytes of the first bad block, a file that is missing, not named
 * or has another size; WB_EIO. */
wb_status wb_ckpt_verify (wb_comm_t *world, const char *dir) WB_NODISCARD;

/* ---- all that is wrong with a directory (check.c): one process, no MPI ------------------------------------------- */

typedef enum wb_ckpt_depth {
    WB_CKPT_SIZES,  /**< which files are there, and how long they are */
    WB_CKPT_SUMS,   /**< their checksums too */
    WB_CKPT_NUMBERS /**< NaN and infinity in the tensors too */
} wb_ckpt_depth;
/** A check, and what it found. */
typedef struct wb_ckpt_check {
    wb_ckpt_depth depth;
    bool checkpoint;    /**< it must be one: without checksums.json it is not whole */
    const char *except; /**< a file to leave out; NULL: none */
    /** Called with each fault, one line that begins with the path; ctx is handed on. */
    void (*fault) (void *ctx, const char *text);
    void *ctx;
    bool sums;              /**< out: there is a checksums.json */
    int files, faults;      /**< out: files looked at */
    int unread;             /**< out: of the faults, files that are there and could not be read */
    int64_t bytes, tensors; /**< out: of those files */
} wb_ckpt_check_t;
/** Look at every file that dir/checksums.json names, and for others of those that wb_ckpt_verify() wants named; without
 * a checksums.json at the *.safetensors (no fault, but of a checkpoint, which has a state.json).  Each file is
 * read once, by the threads of OpenMP.  Not collective.  Errors: WB_EIO no such directory, WB_ENOMEM; what is wrong
 * with the files is no error, but a fault. */
wb_status wb_ckpt_check (wb_ckpt_check_t *c, const char *dir) WB_NODISCARD;

/** Fill data of the given segments from dir/file (which may overlap those of other ranks, and need not be all), or from
 * the files that dir/file.index.json names.  fp16 and bf16 are widened, fp64 is rounded.  Without a prefix in the set,
 * names may have anything before them, if it is the same before all.  lm_head.weight must equal the embedding, or
 * stands for it where that is missing.  With a table, a layer too many is an error, and other tensors that GPT-2 does
 * not have are ignored with a warning.  Checksums are not checked: wb_ckpt_verify() does that.  Collective over world.
 * Errors: WB_EIO; WB_EDATA a tensor is missing (with the nearest names) or has another shape (named, both shapes);
 * agreed. */
wb_status wb_ckpt_load (wb_comm_t *world, const char *dir, const wb_ckpt_set_t *set, const wb_segment_t *segments,
                        int nsegments) WB_NODISCARD;

/** The tensors of a model directory, to be read one by one. */
typedef struct wb_ckpt_reader wb_ckpt_reader_t;
/** Find all parameters of the set's table (its data are not used), as wb_ckpt_load() does.  Collective over world.
 * Errors as there. */
wb_status wb_ckpt_reader_new (wb_ckpt_reader_t **out, wb_comm_t *world, const char *dir,
                              const wb_ckpt_set_t *set) WB_NODISCARD;
/** The number type a parameter of the table is stored in.  Not collective. */
wb_dtype wb_ckpt_reader_dtype (const wb_ckpt_reader_t *r, const wb_param_t *p);
/** to [g->count] = values of a segment of the table.  Not collective.  Errors: WB_EIO. */
wb_status wb_ckpt_reader_read (wb_ckpt_reader_t *r, float *to, const wb_segment_t *g) WB_NODISCARD;
/** Collective over world; NULL is fine.  Errors: the first failure of a read. */
wb_status wb_ckpt_reader_destroy (wb_ckpt_reader_t *r);

/* ---- runs (rundir.c): not collective, one rank calls them -------------------------------------------------------- */

/** RUN/step-00001000; NULL when out of memory.  The caller frees it with wb_free(). */
char *wb_ckpt_path (const char *run, int64_t step) WB_NODISCARD;
/** Steps of the finished checkpoints in RUN (those with state.json and checksums.json), newest first, at most `max`; *n
 * may be 0, also when there is no RUN.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_list (int64_t *steps, int *n, const char *run, int max) WB_NODISCARD;
/** Steps of all names in RUN that are those of a checkpoint, whole or not, newest first; the caller frees *steps with
 * wb_free().  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_list_named (int64_t **steps, int *n, const char *run) WB_NODISCARD;
/** Has a directory what makes it a checkpoint: state.json, of the step in its name, and checksums.json?  Reads no other
 * file.  Errors: WB_EDATA what is missing or wrong, WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_check_whole (const char *dir) WB_NODISCARD;
/** RUN/latest -> step-..., atomically: a symbolic link, or, where the file system has none, a file with that name in it
 * (wb_dir_latest()).  A directory that is there steps aside, as in wb_ckpt_adopt_latest().  Errors: WB_EIO. */
wb_status wb_ckpt_set_latest (const char *run, int64_t step) WB_NODISCARD;
/** RUN/best -> step-..., likewise; a real directory of that name is refused.  Errors: WB_EIO. */
wb_status wb_ckpt_set_best (const char *run, int64_t step) WB_NODISCARD;
/** Where RUN/latest is a real directory (a run that was copied with its links resolved): make it the checkpoint it is a
 * copy of, or, where that is there, rename it to latest.copied; then point `latest` at the newest checkpoint.  Errors:
 * WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_adopt_latest (const char *run) WB_NODISCARD;
/** Rename a damaged checkpoint to RUN/step-00001000.damaged (or .damaged-2, ...) and say so: from then on it is neither
 * listed nor counted nor removed.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_set_aside (const char *run, int64_t step) WB_NODISCARD;
/** Give every checkpoint in RUN whose step is a multiple of `every` a snapshot RUN/archive/step-..., which nothing here
 * removes: a directory with hard links to its files, or copies where there are no links; those that have one keep it.
 * Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_archive (const char *run, int64_t every) WB_NODISCARD;
/** Remove all but the newest `keep` checkpoints (0: keep all) and those `latest` and `best` point at, and what saves
 * that were cut off have left over; not while a save into RUN is in progress.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_ckpt_prune (const char *run, int keep) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
