/* cli: what main.c and the subcommands share.
 *
 * A subcommand is one file with one row, wb_cmd_NAME, which main.c's list names.  Its function gets argv[0] = its name,
 * returns a status and prints no error itself: main() prints the record once.  A command that starts the world must
 * have agreed (wb_agree) on what it returns, and must have destroyed the world.  --help never reaches it: main() prints
 * the row's text. */
#ifndef WABUN_CLI_H
#define WABUN_CLI_H

#include "wabun/base.h"

/** Prints a piece of help as it is, or for troff. */
typedef void (*wb_help_put_fn) (FILE *to, const char *text, size_t bytes);

/** One subcommand and all of its help. */
typedef struct wb_cmd {
    const char *name;
    const char *usage; /**< what follows `wabun NAME` */
    const char *line;  /**< what it does, in a few words */
    const char *text;  /**< options, then notes.  An option: two blanks, the option, two or more blanks, what it is */
    wb_status (*run) (int argc, char **argv);
    unsigned flags;
    const char *alone; /**< of a command that runs on ranks: the option that makes it one of one process; may be NULL */
    void (*list) (FILE *to, wb_help_put_fn put); /**< what is listed before text; may be NULL */
} wb_cmd_t;
#define WB_CMD_COMPUTES 1u /**< uses the BLAS: may start itself again with the right core type */
#define WB_CMD_RANKS 2u    /**< the processes of a launcher work together; else every task runs the command by itself */
#define WB_CMD_CORPUS 8u   /**< ... with those of a corpus' configuration */
#define WB_CMD_STAYS 16u   /**< runs on while others come and go on the machine: its threads spin briefly only */
#define WB_CMD_CONFIG 4u   /**< its help ends with the keys of the configuration */

extern const wb_cmd_t wb_cmd_corpus, wb_cmd_train, wb_cmd_encode, wb_cmd_decode, wb_cmd_generate, wb_cmd_score,
    wb_cmd_transform, wb_cmd_eval;
extern const wb_cmd_t wb_cmd_export, wb_cmd_import, wb_cmd_inspect, wb_cmd_plan, wb_cmd_bench, wb_cmd_vocab;
extern const wb_cmd_t wb_cmd_verify, wb_cmd_status, wb_cmd_report, wb_cmd_serve, wb_cmd_write;
extern const wb_cmd_t *const wb_commands[]; /**< in the order of the help; ends with NULL (main.c) */

/** The language of a page: of --lang, NULL: of the environment.  Errors: WB_EUSAGE it is neither en nor ja. */
wb_status wb_cmd_japanese (bool *japanese, const char *lang) WB_NODISCARD;

/* ---- help (help.c, man.c, completion.c) ------------------------------------------------------------------------ */

extern const char wb_help_codes[]; /**< the exit codes, one a line */

/** The subcommand of this name; NULL: there is none, and wb_cmd_unknown () is the error that says so. */
const wb_cmd_t *wb_cmd_find (const char *name);
wb_status wb_cmd_unknown (const char *name) WB_NODISCARD;
/** wabun help, and what comes after it. */
wb_status wb_help (int argc, char **argv) WB_NODISCARD;
void wb_help_all (FILE *to);
void wb_help_command (FILE *to, const wb_cmd_t *c);
void wb_help_man (FILE *to); /**< doc/wabun.1 is what this prints */
void wb_help_man_command (FILE *to, const wb_cmd_t *c);
/** A completion for a shell: bash, zsh (shells.c).  Errors: WB_EUSAGE another one, WB_ENOMEM. */
wb_status wb_help_completion (FILE *to, const char *shell) WB_NODISCARD;
/** Print what has all of these words in the help of any subcommand or key.  Errors: WB_EUSAGE nothing has, WB_ENOMEM.
 */
wb_status wb_help_find (const char *const *words, int n) WB_NODISCARD;

/** A script of completion: `start`, lists of all subcommands and keys, `walk`, a case for each subcommand, `end`. */
typedef struct wb_shell {
    const char *name, *start, *walk, *end;
} wb_shell_t;
extern const wb_shell_t wb_shells[]; /**< ends with a name NULL */

#endif
