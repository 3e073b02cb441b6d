/* cli: what main.c and the subcommands share.
 *
 * A subcommand is one file with one function `wb_status wb_cmd_NAME (int argc, char **argv)`; argv[0] is its name.  It
 * returns a status and prints no error itself: main() prints the record once.  A command that starts the world must
 * have agreed (wb_agree) on what it returns, and must have destroyed the world.  --help never comes to it: main()
 * prints the text of help.c. */
#ifndef WABUN_CLI_H
#define WABUN_CLI_H

#include "wabun/comm.h"

wb_status wb_cmd_train (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_encode (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_decode (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_generate (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_score (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_transform (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_plan (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_bench (int argc, char **argv) WB_NODISCARD;

/* ---- command line (opts.c) ------------------------------------------------------------------------------------- */

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
/** The nearest of `n` names by edit distance, NULL when none is near enough to propose. */
const char *wb_nearest (const char *name, const char *const *names, int n);
/** Letters to insert, delete, replace or swap; capitals are the same as small letters. */
int wb_edit_distance (const char *a, const char *b);

/* ---- help (help.c) --------------------------------------------------------------------------------------------- */

/** One subcommand.  What `wabun help NAME` prints behind usage and line stands in help.c. */
typedef struct wb_cmd {
    const char *name, *usage, *line;
    wb_status (*run) (int argc, char **argv);
    unsigned flags;
} wb_cmd_t;
#define WB_CMD_COMPUTES 1u           /**< uses the BLAS: may start itself again with the right core type */
#define WB_CMD_RANKS 2u              /**< runs on all ranks; the others run on the first one only */
extern const wb_cmd_t wb_commands[]; /**< ends with name NULL (main.c) */
void wb_help_all (FILE *to);
/** Name and line of the i-th bench; false: there are no more. */
bool wb_bench_at (int i, const char **name, const char **line);
void wb_help_command (FILE *to, const wb_cmd_t *c);
void wb_help_man (FILE *to); /**< doc/wabun.1 is what this prints */

/* ---- processor (tune.c) ---------------------------------------------------------------------------------------- */

/** Start the program again, when the BLAS took the processor for a lesser one, with OPENBLAS_CORETYPE set.  Before MPI
 * starts. Returns when there is nothing to do, or with a warning when it could not be done. */
void wb_retune (char **argv, bool allowed);
/** The core type that OpenBLAS had chosen before the program started again; NULL: it did not. */
const char *wb_retuned_from (void);
/** The same behind the name of the core type in a report: empty, or ", started again: ..."; valid until called again.
 */
const char *wb_retuned_note (void);
/** Rank by the launcher's environment, before MPI starts; 0 without a launcher. */
int wb_launcher_rank (void);
/** WB_EUSAGE where `asked` threads, or for 0 those of OMP_NUM_THREADS, are absurdly many for the cores of this process.
 * Not collective. */
wb_status wb_threads_check (int64_t asked) WB_NODISCARD;
/** Set the threads of kernels and BLAS: `asked`, or for 0 OMP_NUM_THREADS, or the cores of this process's mask shared
 * between the ranks that have the same mask.  Warns when a node has more threads than cores.  Collective over world.
 * Errors: WB_EUSAGE, WB_ENOMEM; agreed. */
wb_status wb_threads_set (int *out, wb_comm_t *world, int64_t asked) WB_NODISCARD;

/* A warning about a file or text, its name first. */
#define WB_NOT_UTF8                                                                                                  \
    "%s is not UTF-8: what it holds becomes bytes, not words; convert it, for example: iconv -f SHIFT_JIS -t UTF-8 " \
    "(or EUC-JP, UTF-16)"

#endif
