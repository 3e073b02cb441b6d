/* Prints help: the list of subcommands, or one of them.
 *
 * The texts are in the subcommands' rows; the keys of the configuration come from the rooms' tables of options. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"

const char wb_help_codes[] = "   0  done, or nobody reads the output any more (wabun generate | head)\n"
                             "   2  usage or configuration\n"
                             "   3  file or network\n"
                             "   4  memory\n"
                             "   5  bad data\n"
                             "   6  numbers went bad\n"
                             "   7  a job's starts get no further\n"
                             "  75  stopped on request after a checkpoint: run again to continue\n"
                             "  76  nothing moved any more, or a rank was lost: run again to go on\n";

void wb_help_all (FILE *to) {
    fprintf (to, "wabun %s - Japanese GPT-2 on clusters of processors\n\nusage: wabun SUBCOMMAND [OPTION]...\n\n",
             PACKAGE_VERSION);
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++) fprintf (to, "  %-10s  %s\n", (*c)->name, (*c)->line);
    fprintf (to,
             "  %-10s  what a subcommand does and takes: wabun help train; what has a word: wabun help -k checkpoint\n"
             "\nwabun --version (or -V) prints the version.\n"
             "Under mpirun or srun, subcommands that do not use ranks run in every task, each by itself.\n"
             "\nExit codes\n%s",
             "help", wb_help_codes);
}

static void plain (FILE *to, const char *s, size_t n) { fwrite (s, 1, n, to); }

void wb_help_command (FILE *to, const wb_cmd_t *c) {
    fprintf (to, "usage: wabun %s %s\n\n%s\n\n", c->name, c->usage, c->line);
    if (c->list != NULL) c->list (to, plain);
    fputs (c->text, to);
    if ((c->flags & WB_CMD_RANKS) == 0)
        fprintf (to, "\nUses one process: under mpirun or srun every task runs it by itself.\n");
    if ((c->flags & (WB_CMD_CONFIG | WB_CMD_CORPUS)) == 0) return;
    fprintf (to, "\nKeys of the configuration\n\n");
    ((c->flags & WB_CMD_CORPUS) != 0 ? wb_corpus_config_help : wb_config_help) (to, false);
}

/* ---- finding a subcommand -------------------------------------------------------------------------------------- */

const wb_cmd_t *wb_cmd_find (const char *name) {
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++)
        if (strcmp ((*c)->name, name) == 0) return *c;
    return NULL;
}

wb_status wb_cmd_unknown (const char *name) {
    const char *names[32];
    int n = 0;
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL && n < 30; c++) names[n++] = (*c)->name;
    names[n++] = "help", names[n++] = "version";
    const char *near = wb_nearest (name, names, n);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "there is no subcommand `%s`; did you mean `%s`?", name, near);
    return WB_FAIL (WB_EUSAGE, "there is no subcommand `%s`", name);
}

wb_status wb_help (int argc, char **argv) {
    const char *name = argc > 0 ? argv[0] : NULL;
    const bool man = name != NULL && strcmp (name, "--man") == 0;
    if (man) name = argc > 1 ? argv[1] : NULL;
    if (name != NULL && strcmp (name, "--completion") == 0 && argc == 2) return wb_help_completion (stdout, argv[1]);
    if (name != NULL && strcmp (name, "-k") == 0) return wb_help_find ((const char *const *) argv + 1, argc - 1);
    if (argc > 1 + man) return WB_FAIL (WB_EUSAGE, "`%s` is one argument too many", argv[1 + man]);
    if (name == NULL || strcmp (name, "help") == 0) {
        (man ? wb_help_man : wb_help_all) (stdout);
        return WB_OK;
    }
    if (strcmp (name, "--names") == 0) { /* for the build and for tests */
        for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++) printf ("%s\n", (*c)->name);
        return WB_OK;
    }
    const wb_cmd_t *c = wb_cmd_find (name);
    if (c == NULL) return wb_cmd_unknown (name);
    (man ? wb_help_man_command : wb_help_command) (stdout, c);
    return WB_OK;
}
