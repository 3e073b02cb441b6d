/* Prints help: the list of subcommands, one of them, or the manual page, which is made from the same texts.
 *
 * The texts are in the subcommands' rows; the keys of the configuration come from the table in config.c.
 * `wabun help --man` prints the page; doc/wabun.1 is its output, and a test compares the two. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"

static const char codes[] = "   0  done, or nobody reads the output any more (wabun generate | head)\n"
                            "   2  usage or configuration\n"
                            "   3  file or network\n"
                            "   4  memory\n"
                            "   5  bad data\n"
                            "   6  numbers went bad\n"
                            "  75  stopped on request after a checkpoint: run again to continue\n";

void wb_help_all (FILE *to) {
    fprintf (to, "wabun %s - Japanese GPT-2 on clusters of processors\n\nusage: wabun SUBCOMMAND [OPTION]...\n\n",
             PACKAGE_VERSION);
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++) fprintf (to, "  %-10s  %s\n", (*c)->name, (*c)->line);
    fprintf (to,
             "  %-10s  what a subcommand does and takes: wabun help train\n"
             "\nwabun --version (or -V) prints the version.\n"
             "Under mpirun or srun, subcommands that do not use ranks run in every task, each by itself.\n"
             "\nExit codes\n%s",
             "help", codes);
}

static void plain (FILE *to, const char *s, size_t n) { fwrite (s, 1, n, to); }

void wb_help_command (FILE *to, const wb_cmd_t *c) {
    fprintf (to, "usage: wabun %s %s\n\n%s\n\n", c->name, c->usage, c->line);
    if (c->list != NULL) c->list (to, plain);
    fputs (c->text, to);
    if ((c->flags & WB_CMD_RANKS) == 0)
        fprintf (to, "\nUses one process: under mpirun or srun every task runs it by itself.\n");
    if ((c->flags & WB_CMD_CONFIG) == 0) return;
    fprintf (to, "\nKeys of the configuration\n\n");
    wb_config_help (to, false);
}

/* ---- the manual page ------------------------------------------------------------------------------------------- */

/* Text for troff: a line that begins with a point or a quote must not be a request; a hyphen stays a hyphen. */
static void troff (FILE *to, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if ((s[i] == '.' || s[i] == '\'') && (i == 0 || s[i - 1] == '\n')) fputs ("\\&", to);
        if (s[i] == '-')
            fputs ("\\-", to);
        else if (s[i] == '\\')
            fputs ("\\e", to);
        else
            fputc (s[i], to);
    }
}

void wb_help_man (FILE *to) {
    fprintf (to,
             ".\\\" Made by `wabun help --man`.\n"
             ".TH WABUN 1 \"\" \"wabun %s\" \"User Commands\"\n"
             ".SH NAME\nwabun \\- Japanese GPT\\-2 on clusters of processors\n"
             ".SH SYNOPSIS\n.B wabun\n.I SUBCOMMAND\n[\\fIOPTION\\fR]...\n"
             ".SH DESCRIPTION\n"
             "wabun trains Japanese GPT\\-2 language models on clusters of ordinary processors, under\n.BR mpirun (1)\n"
             "or\n.BR srun (1),\nand uses them: text, log\\-probabilities, vectors.\n"
             "A checkpoint is a Hugging Face GPT\\-2 directory.\n"
             "Results go to the standard output, messages to the standard error.\n"
             ".SH SUBCOMMANDS\n",
             PACKAGE_VERSION);
    for (const wb_cmd_t *const *i = wb_commands; *i != NULL; i++) {
        const wb_cmd_t *c = *i;
        fprintf (to, ".SS \"wabun %s ", c->name);
        troff (to, c->usage, strlen (c->usage));
        fprintf (to, "\"\n");
        troff (to, c->line, strlen (c->line));
        fprintf (to, ".\n.PP\n.nf\n");
        if (c->list != NULL) c->list (to, troff);
        troff (to, c->text, strlen (c->text));
        fprintf (to, ".fi\n");
    }
    fprintf (to, ".SH CONFIGURATION\n"
                 "A file in the form of libconfig: group.key below is key in the group { }.\n"
                 ".B \\-\\-set\nKEY=VALUE overrides it.\n");
    wb_config_help (to, true);
    fprintf (to, ".SH \"EXIT STATUS\"\n.nf\n");
    troff (to, codes, strlen (codes));
    fprintf (
        to,
        ".fi\n.SH ENVIRONMENT\n"
        ".TP\n.B WABUN_LOG\nquiet, warn, info (the default) or debug.\n"
        ".TP\n.B WABUN_COMM_THREAD\nIf 1: a thread of each rank moves the gradients, also during long kernels.\n"
        ".TP\n.B WABUN_NODE_RANKS\nThe number of ranks that count as one node, where those of a machine shall not: "
        "one node for each socket, say.\n"
        ".TP\n.B WABUN_ISA\nportable, avx2 or avx512: use lesser kernels than the processor could.\n"
        ".TP\n.B WABUN_GEMM\nblas or onednn: the library that multiplies matrices (oneDNN where it was found when "
        "wabun "
        "was built and the processor has AVX-512).\n"
        ".TP\n.B WABUN_NO_RETUNE\nIf set, as \\-\\-no\\-retune: do not start again when OpenBLAS took the processor "
        "for a lesser one.\n"
        ".TP\n.B OPENBLAS_CORETYPE\nThe kernels OpenBLAS uses; if it is set, wabun leaves it alone.\n"
        ".TP\n.B OMP_NUM_THREADS\nThreads of a rank where the configuration names none.\n"
        ".SH FILES\n"
        ".TP\n.I RUN/step\\-00001000/\nA checkpoint.\n"
        ".TP\n.I RUN/latest\nThe newest good one.\n"
        ".TP\n.I RUN/metrics.jsonl\nOne line for each logged step.\n");
}
