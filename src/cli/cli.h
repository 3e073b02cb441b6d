/* cli: what main.c and the subcommands share.
 *
 * A subcommand is one file with one function `wb_status wb_cmd_NAME (int argc, char **argv)`; argv[0] is its name.  It
 * returns a status and prints no error itself: main() prints the record once.  A command that starts the world must
 * have agreed (wb_agree) on what it returns, and must have destroyed the world.  --help never comes to it: main()
 * prints the text of help.c. */
#ifndef WABUN_CLI_H
#define WABUN_CLI_H

#include "wabun/base.h"

wb_status wb_cmd_train (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_encode (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_decode (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_generate (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_score (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_transform (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_plan (int argc, char **argv) WB_NODISCARD;
wb_status wb_cmd_bench (int argc, char **argv) WB_NODISCARD;

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
void wb_help_command (FILE *to, const wb_cmd_t *c);
void wb_help_man (FILE *to); /**< doc/wabun.1 is what this prints */

#endif
