/* wabun - base: status and error record, log, memory, random numbers, files, lines, options, threads, clock, processor.
 *
 * The bottom room: knows nothing of MPI, of models or of text.  The headers are the table of contents of the program;
 * read them from the lowest floor up (`make house` prints it):
 *   base.h  kernels.h launch.h text.h report.h  comm.h  parallel.h corpus.h  model.h checkpoint.h vocab.h dataset.h
 *   train.h infer.h  config.h convert.h  run.h plan.h  bench.h
 *
 * Conventions that hold everywhere
 *   - names: wb_<object>_<verb>; new/destroy (heap), init/fini (caller's struct), begin/poll/end (split phase),
 *     _bytes (size before allocation), forward/backward.
 *   - argument order: object, outputs, in/outs, inputs, sizes, flags.
 *   - letters: B batch, T positions, C width, H heads, D head width, V vocabulary, L layers, M micro-batches; ranks are
 *     never single capitals: dp pp tp, ranks, rank; a "d" before a name is its gradient.
 *   - int64_t counts tokens and parameters, size_t counts bytes, int only what BLAS and MPI take.
 *   - "borrowed" pointers remain the caller's and must outlive the object; "owned" ones are freed by its destroy.
 *   - "Collective over X": every rank of X calls it, in the same order, and every rank returns the same status.
 */
#ifndef WABUN_BASE_H
#define WABUN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <wabun/beat.h>
#include <wabun/option.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and error record (status.c, end.c) ----------------------------------------------------------------- */

/** What a fallible function returns, and what the process exits with. */
typedef enum wb_status {
    WB_OK = 0,       /**< done */
    WB_EUSAGE = 2,   /**< usage or configuration */
    WB_EIO = 3,      /**< file or network */
    WB_ENOMEM = 4,   /**< memory */
    WB_EDATA = 5,    /**< bad data: what a file holds, not that it could not be read */
    WB_ENUMERIC = 6, /**< numbers went bad: NaN or infinity */
    WB_ESTUCK = 7,   /**< three starts of a job got no further: not started again */
    WB_ECLOSED = 13, /**< whoever read the standard output has gone: no error; the program ends quietly with 0 */
    WB_ESTOP = 75,   /**< stopped on request after a checkpoint: run again to continue */
    WB_EHUNG = 76    /**< nothing moved, or a rank was lost: run again to go on from the newest checkpoint */
} wb_status;

#define WB_ERROR_TEXT 1024 /**< bytes of an error message, including its final 0 */

/** The error record of a thread: filled by the function that decides an error, printed once by main().
 * Plain data, so that it can be sent to other ranks as it is. */
typedef struct wb_error {
    int32_t status;           /**< a wb_status; WB_OK when the record is empty */
    int32_t rank;             /**< world rank that decided it, -1 where there is no world */
    int32_t line;             /**< source line of the decision */
    char file[60];            /**< source file of the decision, base name */
    char text[WB_ERROR_TEXT]; /**< what, where (file:line or byte), and what to do about it; UTF-8, one line */
} wb_error_t;

#if defined(__GNUC__)
#define WB_PRINTF(f, a) __attribute__ ((format (printf, f, a)))
#define WB_NODISCARD __attribute__ ((warn_unused_result))
#define WB_NORETURN __attribute__ ((noreturn))
#else
#define WB_PRINTF(f, a)
#define WB_NODISCARD
#define WB_NORETURN
#endif

/** Fill the calling thread's error record and return its code: `return WB_FAIL (WB_EIO, "%s: short read", path);`
 * The first error is kept: a later one does not replace a record that is not empty, and gets its code. */
#define WB_FAIL(code, ...) wb_error_set ((code), __FILE__, __LINE__, __VA_ARGS__)

/** Out of memory for what: `return WB_NOMEM ("%d masks", n);` */
#define WB_NOMEM(...) WB_FAIL (WB_ENOMEM, "out of memory: " __VA_ARGS__)

/** Pass a callee's status on. */
#define WB_TRY(expr)                          \
    do {                                      \
        wb_status wb_try_ = (expr);           \
        if (wb_try_ != WB_OK) return wb_try_; \
    } while (0)

wb_status wb_error_set (wb_status code, const char *file, int line, const char *fmt, ...) WB_PRINTF (4, 5);
/** The calling thread's record; borrowed, never NULL. */
const wb_error_t *wb_error_get (void);
void wb_error_clear (void);
/** Move the calling thread's record to *out and clear it; wb_error_put() makes *e the calling thread's record.  Whoever
 * starts threads hands their errors over with this pair, and agreement between ranks uses it as well. */
void wb_error_take (wb_error_t *out);
void wb_error_put (const wb_error_t *e);
/** World rank that later records carry, in all threads; comm sets it (-1 before). */
void wb_error_rank (int rank);
/** Print the calling thread's record to stderr in the one form users see, `wabun: [rank R: ]TEXT`, unless it has been
 * printed already.  main() does it; wb_world_destroy() does it earlier on rank 0, before a rank's exit code can make
 * the launcher kill it.  Not collective. */
void wb_error_print (void);
/** A line to print after usage errors, in all threads; borrowed, NULL: none. */
void wb_error_hint (const char *hint);
/** Short English name of a status: "usage or configuration", ... */
const char *wb_status_name (wb_status code);

/** Broken invariant: print where and end the process (all ranks, when comm set a hook).  Never for users' errors. */
#define WB_ASSERT(cond) ((cond) ? (void) 0 : wb_abort (__FILE__, __LINE__, "broken invariant: " #cond))
void wb_abort (const char *file, int line, const char *fmt, ...) WB_PRINTF (3, 4) WB_NORETURN;
/** comm sets this so that wb_abort() ends all ranks; called with the exit code 70, must not return. */
void wb_abort_hook (void (*hook) (int code));

/** Checked narrowing to what BLAS and MPI take; aborts when it does not fit. */
int wb_int (int64_t x);

/* ---- log (log.c) ------------------------------------------------------------------------------------------------ */

/** Messages for people go to stderr and results to stdout.  Only the rank chosen by wb_log_init() prints. */
typedef enum wb_log_level { WB_LOG_QUIET = 0, WB_LOG_WARN = 1, WB_LOG_INFO = 2, WB_LOG_DEBUG = 3 } wb_log_level;
/** Not collective; `speaks` is true on one rank only. */
void wb_log_init (wb_log_level level, bool speaks);
void wb_info (const char *fmt, ...) WB_PRINTF (1, 2); /**< one line, newline added */
void wb_warn (const char *fmt, ...) WB_PRINTF (1, 2); /**< "wabun: warning: " in front */
void wb_debug (const char *fmt, ...) WB_PRINTF (1, 2);
/** A line that replaces itself on a terminal (the progress line); nothing is printed on anything else.
 * The next message, or an empty text, removes it from the screen. */
void wb_log_progress (const char *fmt, ...) WB_PRINTF (1, 2);
/** Is stderr a terminal, and does this rank speak? */
bool wb_log_is_tty (void);

/* ---- memory (heap.c, arena.c) ------------------------------------------------------------------------------------ */

/** For a program of many threads that come and go: the system's malloc() keeps memory in two pools, and not in some for
 * each core, which all grow to what the busiest moment needed. */
void wb_heap_few_pools (void);
/** Counted heap: the only malloc of the program.  NULL when out of memory; wb_calloc zeroes. */
void *wb_malloc (size_t bytes) WB_NODISCARD;
void *wb_calloc (size_t n, size_t bytes) WB_NODISCARD;
void *wb_realloc (void *p, size_t bytes) WB_NODISCARD;
char *wb_strdup (const char *s) WB_NODISCARD;
char *wb_strndup (const char *s, size_t n) WB_NODISCARD;
void wb_free (void *p); /**< NULL is allowed; aborts on a pointer that is not from here */
/** Free what a library allocated with malloc and handed to us: json_dumps(), ...  Not counted. */
void wb_free_foreign (void *p);
/** Blocks not yet freed: anything but 0 at exit is a leak (tests check it; debug builds print it). */
int64_t wb_mem_balance (void);
/** Bytes now held from the heap and by arenas. */
size_t wb_mem_now (void);
/** Peak resident memory of the process as the kernel reports it, in bytes. */
size_t wb_mem_rss_peak (void);
/** Bytes this process could still get: of what the node has left, what its control groups allow, and what Slurm
 * granted, the smallest; SIZE_MAX where nothing is known (cgroup.c). */
size_t wb_mem_free (void);

/** An arena: one block, allocated from the front, 64-byte aligned, freed as a whole.  Lifetimes in a run: `run`
 * (configuration, vocabulary, topology), `param` (weights, gradients, optimizer), `act` (activations in flight), `work`
 * (scratch of a call).
 *
 * A counting arena has no memory: wb_arena_alloc() returns NULL and only adds the bytes up.  So the function that hands
 * out the memory of an object also computes its size, for a _bytes function:
 *      static void carve (thing_t *x, wb_arena_t *a, int64_t n) {      // must not touch the memory
 *          x->in = wb_arena_floats (a, n), x->out = wb_arena_floats (a, n);
 *      }
 *      size_t wb_thing_bytes (int64_t n) {
 *          thing_t x;
 *          wb_arena_t count = wb_arena_counting ();
 *          carve (&x, &count, n);
 *          return wb_arena_used (&count);
 *      } */
typedef struct wb_arena {
    char name[32];
    char *base; /* NULL: counting */
    size_t size, used;
    bool sealed;
} wb_arena_t; /**< read by the functions below only */
#define WB_ALIGN ((size_t) 64)
/** Bytes that `n` bytes take in an arena. */
static inline size_t wb_align (size_t n) { return (n + WB_ALIGN - 1) & ~(WB_ALIGN - 1); }
/** Threads in turn, each far from the one before: so any run of i is spread evenly over NUMA domains. */
int wb_spread (int64_t i, int threads);
/** \param name for messages; copied.  Errors: WB_ENOMEM, also where the system has less than that free.
 * Pages are touched first by the OpenMP team, page i by thread wb_spread (i). */
wb_status wb_arena_new (wb_arena_t **out, const char *name, size_t bytes) WB_NODISCARD;
/** The same, but a large one takes its memory page by page when it is used. */
wb_status wb_arena_new_slowly (wb_arena_t **out, const char *name, size_t bytes) WB_NODISCARD;
void wb_arena_destroy (wb_arena_t *a); /**< NULL is allowed */
/** Needs no destroy. */
wb_arena_t wb_arena_counting (void);
/** `bytes` from the arena, zero.  Aborts when the arena is too small, because then the plan was wrong. */
void *wb_arena_alloc (wb_arena_t *a, size_t bytes);
float *wb_arena_floats (wb_arena_t *a, int64_t n);
/** After sealing, wb_arena_alloc() aborts. */
void wb_arena_seal (wb_arena_t *a);
size_t wb_arena_used (const wb_arena_t *a);

/* ---- random numbers (rng.c) ------------------------------------------------------------------------------------- */

/** Philox4x32-10 (Salmon et al., SC'11): out = f(key, counter), no state. */
void wb_philox (uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
/** 64 bits that depend on (seed, stream, index) only. */
uint64_t wb_rng_u64 (uint64_t seed, uint64_t stream, uint64_t index);
/** Uniform in [0, 1), 53 bits. */
double wb_rng_uniform (uint64_t seed, uint64_t stream, uint64_t index);
/** Standard normal (Box-Muller), a pure function of its arguments: the same model on any layout of ranks. */
double wb_rng_normal (uint64_t seed, uint64_t stream, uint64_t index);
/** out[i] = mean 0, deviation `std`, for global indices first .. first + n - 1. */
void wb_rng_fill_normal (float *out, int64_t n, double std, uint64_t seed, uint64_t stream, int64_t first);
/** A stream's number from its name (the parameter's, for instance). */
uint64_t wb_rng_stream (const char *name);
/** Position of item `i` in a pseudo-random permutation of 0 .. n-1 chosen by (seed, stream): a Feistel network with
 * cycle walking (Black and Rogaway, CT-RSA 2002).  O(1) memory, expected O(1) time. */
int64_t wb_rng_permute (int64_t i, int64_t n, uint64_t seed, uint64_t stream);

/* ---- hash, clock, formats (clock.c) ------------------------------------------------------------------------------ */

/** XXH64 of a block, seed 0: the checksum of checkpoints. */
uint64_t wb_hash64 (const void *p, size_t bytes);
/** Seconds from an arbitrary start, monotonic. */
double wb_now (void);
/** "1 h 02 min", "3 min 05 s", "12.3 s" into buf. */
const char *wb_format_seconds (char buf[32], double s);
/** "1.5 GiB", "20 KiB" into buf. */
const char *wb_format_bytes (char buf[32], double bytes);
/** "" for 1, else "s": ("%d file%s", n, wb_plural (n)). */
static inline const char *wb_plural (int64_t n) { return n == 1 ? "" : "s"; }
/** Thousands separated by commas into buf: 101,642,496. */
const char *wb_format_count (char buf[32], int64_t n);

/* ---- files (file.c, writer.c, temp.c, dir.c) --------------------------------------------------------------------- */

/** Read n bytes from offset `at`, or from where fd is (at < 0, for pipes), whatever number of calls that takes.  *got <
 * n without an error: the file ends.  Returns 0 or an errno: the caller knows what to say. */
int wb_fd_read (int fd, void *buf, size_t *got, size_t n, int64_t at) WB_NODISCARD;
/** Write n bytes, likewise; a device that takes no more gives ENOSPC. */
int wb_fd_write (int fd, const void *data, size_t n, int64_t at) WB_NODISCARD;

/** Read a whole file and add a 0 byte at its end.  The caller frees *data with wb_free().  Errors: WB_EIO, WB_ENOMEM.
 */
wb_status wb_file_read (char **data, size_t *bytes, const char *path) WB_NODISCARD;
/** Write a whole file with a wb_writer_t.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_file_write (const char *path, const void *data, size_t bytes) WB_NODISCARD;
/** Copy one file, as wb_file_write(). */
wb_status wb_file_copy (const char *to, const char *from) WB_NODISCARD;
bool wb_file_exists (const char *path);
bool wb_file_is_dir (const char *path);
/** Is there a file of that name in a directory?  Needs no memory, so "no" means no. */
bool wb_file_is_in (const char *dir, const char *name);
/** Directory of a path: "a" for "a/b", "." for "b", "/" for "/b"; NULL when out of memory.  Freed with wb_free(). */
char *wb_file_dir (const char *path) WB_NODISCARD;
/** Last component of a path; borrowed. */
const char *wb_file_name (const char *path);
/** printf into a new string; NULL when out of memory.  The caller frees it with wb_free(). */
char *wb_format (const char *fmt, ...) WB_PRINTF (1, 2) WB_NODISCARD;
/** Bytes of a UTF-8 byte order mark at the start of a text: 3 or 0. */
size_t wb_bom (const char *s, size_t n);

/** A file that appears under its name complete or not at all: written under a temporary name in the same directory,
 * fsynced, renamed; the directory is fsynced too.  Until the rename an old file of that name is left as it was.
 * Zero-initialised is closed.  Errors of all: WB_EIO "PATH: cannot write: ...", WB_ENOMEM. */
typedef struct wb_writer {
    char *path, *temp;
    int fd, place; /* place: of wb_temp_add() */
} wb_writer_t;
wb_status wb_writer_begin (wb_writer_t *w, const char *path) WB_NODISCARD;
wb_status wb_writer_put (wb_writer_t *w, const void *data, size_t n) WB_NODISCARD;
/** Bring what was put to disk, still under the temporary name; nothing may be put after it.  For files that must appear
 * together: sync all, then end all. */
wb_status wb_writer_sync (wb_writer_t *w) WB_NODISCARD;
/** Sync unless that was done, rename, close; after an error nothing is left of it. */
wb_status wb_writer_end (wb_writer_t *w) WB_NODISCARD;
/** Close and remove what was written.  Nothing happens after wb_writer_end(), or before wb_writer_begin(). */
void wb_writer_cancel (wb_writer_t *w);

/** From now on SIGINT, SIGTERM and SIGHUP, unless they are ignored, remove the temporary file of every wb_writer_t, and
 * what wb_temp_add() names, before they end the process.  Not for commands that handle these signals themselves. */
void wb_temp_guard (void);
/** Another file that must not be left over; the path is borrowed until wb_temp_drop() of what this returns.  Any
 * thread.
 */
int wb_temp_add (const char *path);
void wb_temp_drop (int place);
/** Remove the temporary files of names that begin with this prefix, of processes of this host that have ended. */
void wb_temp_sweep (const char *prefix);

/** Names in a directory, without "." and "..", sorted by bytes. */
typedef struct wb_names {
    char **data;
    int64_t len, cap;
} wb_names_t;
/** Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_dir_list (wb_names_t *out, const char *path) WB_NODISCARD;
void wb_names_fini (wb_names_t *n);
/** mkdir -p.  Errors: WB_EIO. */
wb_status wb_dir_make (const char *path) WB_NODISCARD;
/** rm -r of a directory that wabun made itself; nothing happens where there is none.  Errors: WB_EIO. */
wb_status wb_dir_remove (const char *path) WB_NODISCARD;
/** fsync a directory, so that a rename in it lasts.  Errors: WB_EIO. */
wb_status wb_dir_sync (const char *path) WB_NODISCARD;
/** The directory that `path` stands for: `path` itself; but where it is RUN/latest or RUN/best, and that is a plain
 * file, since its file system has no symbolic links, the directory beside it that the file names.  Freed with
 * wb_free(); NULL when out of memory. */
char *wb_dir_latest (const char *path) WB_NODISCARD;

/* ---- growing arrays (buffer.c) ----------------------------------------------------------------------------------- */

/** Make room for `need` elements in the array p of capacity cap (int64_t), at least doubling it; p == NULL and cap == 0
 * is an empty one.  False: out of memory, and nothing has changed.  Freed with wb_free(). */
#define WB_GROW(p, cap, need) wb_grow (&(p), &(cap), (need), sizeof *(p))
bool wb_grow (void *p_address, int64_t *cap, int64_t need, size_t element_bytes) WB_NODISCARD;

/** Growing arrays; zero-initialised is empty; freed by _fini. */
typedef struct wb_buf {
    char *data;
    size_t len;
    int64_t cap;
} wb_buf_t; /**< bytes; data[len] is always a 0 byte */
typedef struct wb_ids {
    int32_t *data;
    int64_t len, cap;
} wb_ids_t; /**< token ids */
wb_status wb_buf_put (wb_buf_t *b, const void *data, size_t n) WB_NODISCARD;
/** A text into a page of HTML: & < > " ' become references. */
wb_status wb_buf_put_html (wb_buf_t *b, const char *s, size_t n) WB_NODISCARD;
void wb_buf_clear (wb_buf_t *b);
void wb_buf_fini (wb_buf_t *b);
/** Room for n more elements; the length does not change.  Errors of all: WB_ENOMEM. */
wb_status wb_buf_reserve (wb_buf_t *b, size_t n) WB_NODISCARD;
wb_status wb_ids_reserve (wb_ids_t *v, int64_t n) WB_NODISCARD;
wb_status wb_ids_put (wb_ids_t *v, int32_t id) WB_NODISCARD;
void wb_ids_clear (wb_ids_t *v);
void wb_ids_fini (wb_ids_t *v);

/* ---- ordered work of several threads (team.c) -------------------------------------------------------------------- */

/** Units of work are taken in order, worked on by any thread, and delivered in the order in which they were taken.  The
 * units are the caller's array, used round and round, so their buffers can be kept.  take and deliver are each called
 * by one thread at a time.
 *
 * The threads are the caller's as well (a parallel region of OpenMP, which places them on the cores): each calls
 * wb_team_work().  The first error in the order of the units ends the work, whichever thread met it and whatever others
 * met later; wb_team_end() returns it with its record. */
typedef struct wb_team_ops {
    /** Fill `unit` with the next piece of work; *more = false: there is none. */
    wb_status (*take) (void *ctx, void *unit, bool *more);
    /** Work on it, at the same time as other threads on theirs.  own: what the thread gave to wb_team_work(). */
    wb_status (*work) (void *ctx, void *unit, void *own);
    wb_status (*deliver) (void *ctx, void *unit);
} wb_team_ops_t;
typedef struct wb_team wb_team_t;
/** units [n] of unit_bytes each; all borrowed.  n: about twice the threads.  Errors: WB_ENOMEM. */
wb_status wb_team_new (wb_team_t **out, const wb_team_ops_t *ops, void *ctx, void *units, int64_t n,
                       size_t unit_bytes) WB_NODISCARD;
/** Returns when no work is left to take; never fails by itself. */
void wb_team_work (wb_team_t *t, void *own);
/** After all threads have returned: the first error, or WB_OK; frees t. */
wb_status wb_team_end (wb_team_t *t) WB_NODISCARD;

/* ---- lines (lines.c) -------------------------------------------------------------------------------------------- */

/** Lines of a file or of the standard input ("-"), as they arrive: LF or CRLF ends a line, the last may lack it. */
typedef struct wb_lines {
    const char *name;
    int fd;
    wb_buf_t buf;
    size_t at;
    bool end;
    int64_t number; /**< of the line returned last, from 1 */
} wb_lines_t;
wb_status wb_lines_open (wb_lines_t *l, const char *path) WB_NODISCARD;
void wb_lines_close (wb_lines_t *l);
/** The next line into *text [*n], valid until the next call; NULL at the end.  Without `wait` NULL can also mean that
 * no whole line has arrived yet. */
wb_status wb_lines_next (wb_lines_t *l, const char **text, size_t *n, bool wait) WB_NODISCARD;

/** Flush f; fails if anything written to it so far was lost.  Errors: WB_EIO, naming `name`; WB_ECLOSED when f is
 * stdout and nobody reads it any more (wabun generate | head). */
wb_status wb_flush (FILE *f, const char *name) WB_NODISCARD;
/** Write n bytes, buffered.  Errors: as wb_flush(). */
wb_status wb_write (FILE *f, const char *name, const void *data, size_t n) WB_NODISCARD;

/* ---- command line (options.c, nearest.c) ------------------------------------------------------------------------- */

/** A walk over a command line.
 *      wb_opts_t o = wb_opts_begin (argc, argv);
 *      while (wb_opts_next (&o)) {
 *          if (wb_opts_is (&o, "--model")) WB_TRY (wb_opts_text (&o, &dir));
 *          else if (wb_opts_is (&o, "--top-k")) WB_TRY (wb_opts_int (&o, &k, 0, 1 << 20));
 *          else if (wb_opts_is (&o, "--tokens")) WB_TRY (wb_opts_flag (&o, &tokens));
 *          else if (wb_opts_is_file (&o)) file = o.arg;
 *          else return wb_opts_unknown (&o);
 *      }
 * Both `--top-k 40` and `--top-k=40` work; after `--` everything is a file; `-` alone is a file. */
typedef struct wb_opts {
    const char *arg; /**< the present argument */
    char **argv;
    int argc, at;
    bool files_only;
    const char *asked[64]; /**< names this command has asked for: what wb_opts_unknown () proposes */
    int nasked;
} wb_opts_t;
wb_opts_t wb_opts_begin (int argc, char **argv);
bool wb_opts_next (wb_opts_t *o);
/** Is the argument this option ("--model", or a short one: "-o")? */
bool wb_opts_is (wb_opts_t *o, const char *name);
bool wb_opts_is_file (const wb_opts_t *o);
/** The option's value; borrowed from argv.  Errors of all: WB_EUSAGE naming the option, the range and what was given.
 */
wb_status wb_opts_text (wb_opts_t *o, const char **out) WB_NODISCARD;
wb_status wb_opts_int (wb_opts_t *o, int64_t *out, int64_t min, int64_t max) WB_NODISCARD;
wb_status wb_opts_float (wb_opts_t *o, double *out, double min, double max) WB_NODISCARD;
/** An option without a value: refuses `--tokens=yes`. */
wb_status wb_opts_flag (wb_opts_t *o, bool *out) WB_NODISCARD;
/** WB_EUSAGE: no such option, and the nearest one that exists. */
wb_status wb_opts_unknown (wb_opts_t *o) WB_NODISCARD;

/** A whole number in decimal, without underscores or suffixes; `name` is for the message. */
wb_status wb_opt_int (int64_t *out, const char *name, const char *text, int64_t min, int64_t max) WB_NODISCARD;
/** A finite number. */
wb_status wb_opt_float (double *out, const char *name, const char *text, double min, double max) WB_NODISCARD;
/** A whole number >= 0 in the environment; -1: not set, or something else. */
int64_t wb_env_number (const char *name);
/** How a shell takes s as one word: s itself where it needs no quotes, else '...' in buf (s when it does not fit). */
const char *wb_shell_quote (char *buf, size_t bytes, const char *s);
/** The nearest of `n` names by edit distance, NULL when none is near enough to propose. */
const char *wb_nearest (const char *name, const char *const *names, int n);
/** Damerau-Levenshtein distance, ignoring case and taking - for _. */
int wb_edit_distance (const char *a, const char *b);

/* ---- processor (cpu.c) ------------------------------------------------------------------------------------------ */

/** Instruction sets the kernels are built for; chosen at run time. */
typedef enum wb_isa { WB_ISA_PORTABLE = 0, WB_ISA_AVX2 = 1, WB_ISA_AVX512 = 2 } wb_isa;
/** The best that the processor and the system support; the environment variable WABUN_ISA=portable|avx2|avx512 lowers
 * it. */
wb_isa wb_cpu_isa (void);
const char *wb_isa_name (wb_isa isa);
/** Cores in the affinity mask of the process. */
int wb_cpu_cores (void);
/** What control groups allow this process (cgroup.c).  `root` goes before /proc and /sys: "" but in tests. */
typedef struct wb_limits {
    double cpus;         /**< processors' worth of time; 0: no limit */
    uint64_t cpus_group; /**< the group with that limit: the same number in every process that shares it */
    size_t memory;       /**< bytes it may still use; SIZE_MAX: no limit */
} wb_limits_t;
void wb_limits_read (wb_limits_t *out, const char *root);
/** Model name from the system, for reports; borrowed. */
const char *wb_cpu_name (void);

#ifdef __cplusplus
}
#endif
#endif
