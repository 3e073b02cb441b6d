/* wabun - base: status and error record, log, memory, random numbers, clock.
 *
 * The bottom room: knows nothing of MPI, of models or of text.  The headers are the table of contents of the program;
 * read them from the lowest floor up (`make house` prints it):
 *   base.h  kernels.h launch.h tokenizer.h  comm.h  parallel.h  model.h checkpoint.h dataset.h  train.h infer.h
 *   config.h  run.h plan.h  bench.h
 *
 * Conventions that hold everywhere
 *   - names: wb_<object>_<verb>; new/destroy (heap), init/fini (caller's struct), begin/poll/end (split phase),
 *     _bytes (size before allocation), forward/backward.
 *   - argument order: object, outputs, in/outs, inputs, sizes, flags.
 *   - letters: B batch, T positions, C width, H heads, D head width, V vocabulary, L layers, M micro-batches, P ranks;
 *     a "d" before a name is its gradient.
 *   - int64_t counts tokens and parameters, size_t counts bytes, int only what BLAS and MPI take.
 *   - "borrowed" pointers stay the caller's and must outlive the object; "owned" ones are freed by its destroy.
 *   - "Collective over X": every rank of X calls it, in the same order, and every rank returns the same status.
 */
#ifndef WABUN_BASE_H
#define WABUN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and error record (status.c) ------------------------------------------------------------------------ */

/** What a fallible function returns, and what the process exits with. */
typedef enum wb_status {
    WB_OK = 0,       /**< done */
    WB_EUSAGE = 2,   /**< usage or configuration */
    WB_EIO = 3,      /**< file or network */
    WB_ENOMEM = 4,   /**< memory */
    WB_EDATA = 5,    /**< bad data: what a file holds, not that it could not be read */
    WB_ENUMERIC = 6, /**< numbers went bad: NaN or infinity */
    WB_ECLOSED = 13, /**< whoever read the standard output has gone: no error; the program ends quietly with 0 */
    WB_ESTOP = 75    /**< stopped on request after a checkpoint: run again to continue */
} wb_status;

#define WB_ERROR_TEXT 1024 /**< bytes of an error message, with its final 0 */

/** The error record of the process: filled by the function that decides an error, printed once by main().
 * Plain data, so that it can be sent to the other ranks as it is. */
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

/** Fill the error record and return the code: `return WB_FAIL (WB_EIO, "%s: short read", path);`
 * The first error stays: a later one does not replace a record that is not empty.  Any thread may call it. */
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
/** The record of this process; borrowed, never NULL. */
const wb_error_t *wb_error_get (void);
/** Replace the record by another rank's (agreement does this). */
void wb_error_put (const wb_error_t *e);
void wb_error_clear (void);
/** World rank that later records carry; comm sets it (-1 before). */
void wb_error_rank (int rank);
/** Print the record to stderr in the one form users see: `wabun: [rank R: ]TEXT`, unless that was done already.  main()
 * does it; wb_world_destroy() does it earlier on rank 0, before a rank's exit code can make the launcher kill it.  Not
 * collective. */
void wb_error_print (void);
/** A line to print behind errors of usage; borrowed, NULL: none. */
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

/** Messages for people go to stderr and results to stdout.  Only the rank that was set to speak prints. */
typedef enum wb_log_level { WB_LOG_QUIET = 0, WB_LOG_WARN = 1, WB_LOG_INFO = 2, WB_LOG_DEBUG = 3 } wb_log_level;
/** Not collective; `speaks` is true on one rank only. */
void wb_log_init (wb_log_level level, bool speaks);
void wb_info (const char *fmt, ...) WB_PRINTF (1, 2); /**< one line, newline added */
void wb_warn (const char *fmt, ...) WB_PRINTF (1, 2); /**< "wabun: warning: " in front */
void wb_debug (const char *fmt, ...) WB_PRINTF (1, 2);
/** A line that replaces itself on a terminal (the progress line); on anything else nothing is printed.
 * The next message takes it off the screen; so does an empty text. */
void wb_log_progress (const char *fmt, ...) WB_PRINTF (1, 2);
/** Is stderr a terminal, and does this rank speak? */
bool wb_log_is_tty (void);

/* ---- memory (mem.c) --------------------------------------------------------------------------------------------- */

/** Counted heap: the only malloc of the program.  NULL when out of memory; wb_calloc zeroes. */
void *wb_malloc (size_t bytes) WB_NODISCARD;
void *wb_calloc (size_t n, size_t bytes) WB_NODISCARD;
void *wb_realloc (void *p, size_t bytes) WB_NODISCARD;
char *wb_strdup (const char *s) WB_NODISCARD;
char *wb_strndup (const char *s, size_t n) WB_NODISCARD;
void wb_free (void *p); /**< NULL is fine; aborts on a pointer that is not from here */
/** Free what a library allocated with malloc and left to us: json_dumps(), getline(), ...  Not counted. */
void wb_free_foreign (void *p);
/** Blocks not yet freed: 0 at exit, or it is a leak (tests check it; debug builds print it). */
int64_t wb_mem_balance (void);
/** Bytes now held from the heap and by arenas, and the most there ever were. */
size_t wb_mem_now (void);
size_t wb_mem_peak (void);
/** Peak resident memory of the process as the kernel sees it, in bytes. */
size_t wb_mem_rss_peak (void);
/** Bytes the system could still give to processes of this node, SIZE_MAX where it does not tell. */
size_t wb_mem_free (void);

/** An arena: one block, carved from the front, 64-byte aligned, freed as a whole.  Lifetimes in a run: `run`
 * (configuration, vocabulary, topology), `param` (weights, gradients, optimizer), `act` (activations in flight),
 * `work` (mark and release inside a call). */
typedef struct wb_arena wb_arena_t;
#define WB_ALIGN ((size_t) 64)
/** Bytes that `n` bytes take in an arena. */
static inline size_t wb_align (size_t n) { return (n + WB_ALIGN - 1) & ~(WB_ALIGN - 1); }
/** \param name for messages; copied.  Errors: WB_ENOMEM, also where the system has less than that free.
 * Pages are touched first by the OpenMP team. */
wb_status wb_arena_new (wb_arena_t **out, const char *name, size_t bytes) WB_NODISCARD;
void wb_arena_destroy (wb_arena_t *a); /**< NULL is fine */
/** Carve `bytes`, zeroed at creation of the arena, not on reuse.  Running over is a broken plan: aborts. */
void *wb_arena_alloc (wb_arena_t *a, size_t bytes);
float *wb_arena_floats (wb_arena_t *a, int64_t n);
/** After sealing, wb_arena_alloc() aborts, unless between mark and release. */
void wb_arena_seal (wb_arena_t *a);
/** Remember the place; everything carved after it goes at the release.  They nest; each mark has one release. */
size_t wb_arena_mark (wb_arena_t *a);
void wb_arena_release (wb_arena_t *a, size_t mark);
size_t wb_arena_used (const wb_arena_t *a);
size_t wb_arena_size (const wb_arena_t *a);

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

/* ---- hash, clock, files (clock.c, file.c) ------------------------------------------------------------------------ */

/** XXH64 of a block, seed 0: the checksum of checkpoints. */
uint64_t wb_hash64 (const void *p, size_t bytes);
/** Seconds from an arbitrary start, monotonic. */
double wb_now (void);
/** "1 h 02 min", "3 min 05 s", "12.3 s" into buf. */
const char *wb_format_seconds (char buf[32], double s);
/** "1.5 GiB", "20 KiB" into buf. */
const char *wb_format_bytes (char buf[32], double bytes);
/** Thousands separated by commas into buf: 101,642,496. */
const char *wb_format_count (char buf[32], int64_t n);

/** Read a whole file, a 0 byte added behind it.  The caller frees *data with wb_free().  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_file_read (char **data, size_t *bytes, const char *path) WB_NODISCARD;
/** Write a whole file under a temporary name, fsync it, rename it.  Errors: WB_EIO. */
wb_status wb_file_write (const char *path, const void *data, size_t bytes) WB_NODISCARD;
/** Copy one file, as wb_file_write(). */
wb_status wb_file_copy (const char *to, const char *from) WB_NODISCARD;
bool wb_file_exists (const char *path);
bool wb_file_is_dir (const char *path);
/** mkdir -p.  Errors: WB_EIO. */
wb_status wb_dir_make (const char *path) WB_NODISCARD;
/** rm -r of a directory that wabun made itself; nothing happens where there is none.  Errors: WB_EIO. */
wb_status wb_dir_remove (const char *path) WB_NODISCARD;
/** fsync a directory, so that a rename in it lasts.  Errors: WB_EIO. */
wb_status wb_dir_sync (const char *path) WB_NODISCARD;
/** printf into a new string; NULL when out of memory.  The caller frees it with wb_free(). */
char *wb_format (const char *fmt, ...) WB_PRINTF (1, 2) WB_NODISCARD;

/* ---- growing buffers (buffer.c) ---------------------------------------------------------------------------------- */

/** Growing arrays; zero-initialised is empty; freed by _fini. */
typedef struct wb_buf {
    char *data;
    size_t len, cap;
} wb_buf_t; /**< bytes; a 0 byte always stands behind data[len-1] */
typedef struct wb_ids {
    int32_t *data;
    int64_t len, cap;
} wb_ids_t; /**< token ids */
wb_status wb_buf_put (wb_buf_t *b, const void *data, size_t n) WB_NODISCARD;
void wb_buf_clear (wb_buf_t *b);
void wb_buf_fini (wb_buf_t *b);
/** Room for n more elements after the present ones; the length stays.  Errors of all: WB_ENOMEM. */
wb_status wb_buf_reserve (wb_buf_t *b, size_t n) WB_NODISCARD;
wb_status wb_ids_reserve (wb_ids_t *v, int64_t n) WB_NODISCARD;
wb_status wb_ids_put (wb_ids_t *v, int32_t id) WB_NODISCARD;
void wb_ids_clear (wb_ids_t *v);
void wb_ids_fini (wb_ids_t *v);

/* ---- lines (lines.c) -------------------------------------------------------------------------------------------- */

/* Lines of a file or of the standard input ("-"), as they come: LF or CRLF ends a line, the last may lack it. */
typedef struct wb_lines {
    const char *name;
    int fd;
    wb_buf_t buf;
    size_t at;
    bool end;
    int64_t number; /* of the line given last, from 1 */
} wb_lines_t;
wb_status wb_lines_open (wb_lines_t *l, const char *path) WB_NODISCARD;
void wb_lines_close (wb_lines_t *l);
/* The next line into *text [*n], valid until the next call; NULL: none.  wait: for input, or the end; else none also
 * means that there is none yet. */
wb_status wb_lines_next (wb_lines_t *l, const char **text, size_t *n, bool wait) WB_NODISCARD;

/** Flush f; fails if anything written to it so far was lost.  Errors: WB_EIO, naming `name`; WB_ECLOSED when f is
 * stdout and nobody reads it any more (wabun generate | head). */
wb_status wb_flush (FILE *f, const char *name) WB_NODISCARD;

/* ---- command line (options.c) ------------------------------------------------------------------------------------ */

/** A walk over a command line.
 *      wb_opts_t o = wb_opts_begin (argc, argv);
 *      while (wb_opts_next (&o)) {
 *          if (wb_opts_is (&o, "--model")) WB_TRY (wb_opts_text (&o, &dir));
 *          else if (wb_opts_is (&o, "--top-k")) WB_TRY (wb_opts_int (&o, &k, 0, 1 << 20));
 *          else if (wb_opts_is (&o, "--tokens")) WB_TRY (wb_opts_flag (&o, &tokens));
 *          else if (wb_opts_is_file (&o)) file = o.arg;
 *          else return wb_opts_unknown (&o);
 *      }
 * Both `--top-k 40` and `--top-k=40`; behind `--` everything is a file; `-` alone is a file. */
typedef struct wb_opts {
    const char *arg; /**< the argument looked at */
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
/** WB_EUSAGE: no such option, with the nearest that there is. */
wb_status wb_opts_unknown (wb_opts_t *o) WB_NODISCARD;

/** A whole number, decimal, underscores and suffixes not taken; `name` is for the message. */
wb_status wb_opt_int (const char *name, const char *text, int64_t min, int64_t max, int64_t *out) WB_NODISCARD;
/** A finite number. */
wb_status wb_opt_float (const char *name, const char *text, double min, double max, double *out) WB_NODISCARD;
/** How a shell takes s as one word: s itself where it needs no quotes, else '...' in buf (s when it does not fit). */
const char *wb_shell_quote (char *buf, size_t bytes, const char *s);
/** The nearest of `n` names by edit distance, NULL when none is near enough to propose. */
const char *wb_nearest (const char *name, const char *const *names, int n);
/** Letters to insert, delete, replace or swap; capitals are the same as small letters. */
int wb_edit_distance (const char *a, const char *b);

/* ---- processor (cpu.c) ------------------------------------------------------------------------------------------ */

/** Instruction sets the kernels are built for; chosen at run time. */
typedef enum wb_isa { WB_ISA_PORTABLE = 0, WB_ISA_AVX2 = 1, WB_ISA_AVX512 = 2 } wb_isa;
/** The best the processor and the system can do; the environment variable WABUN_ISA=portable|avx2|avx512 lowers it. */
wb_isa wb_cpu_isa (void);
const char *wb_isa_name (wb_isa isa);
/** Cores in the affinity mask of the process. */
int wb_cpu_cores (void);
/** Model name from the system, for reports; borrowed. */
const char *wb_cpu_name (void);

#ifdef __cplusplus
}
#endif
#endif
