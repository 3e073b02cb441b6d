/* Prints the manual pages: wabun(1), and one for each subcommand, from the same texts as `wabun help`.
 *
 * doc/wabun.1 is what `wabun help --man` prints, and a test compares the two.  The pages of the subcommands are not
 * kept: `make` prints them (doc/Makefile.inc). */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"

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

/* What a subcommand's help says, line by line as it is there. */
static void body (FILE *to, const wb_cmd_t *c) {
    fprintf (to, ".nf\n");
    if (c->list != NULL) c->list (to, troff);
    troff (to, c->text, strlen (c->text));
    fprintf (to, ".fi\n");
}

static void configuration (FILE *to, void (*keys) (FILE *, bool), const char *of) {
    fprintf (to,
             ".SH \"CONFIGURATION%s\"\n"
             "A file in the form of libconfig: group.key below is key in the group { }.\n"
             ".B \\-\\-set\nKEY=VALUE overrides it.\n",
             of);
    keys (to, true);
}

static void exit_status (FILE *to) {
    fprintf (to, ".SH \"EXIT STATUS\"\n.nf\n");
    troff (to, wb_help_codes, strlen (wb_help_codes));
    fprintf (to, ".fi\n");
}

void wb_help_man_command (FILE *to, const wb_cmd_t *c) {
    fprintf (to, ".\\\" Made by `wabun help --man %s`.\n.TH WABUN\\-", c->name);
    for (const char *s = c->name; *s != 0; s++) fputc (toupper ((unsigned char) *s), to);
    fprintf (to,
             " 1 \"\" \"wabun %s\" \"User Commands\"\n.SH NAME\nwabun\\-%s \\- %s\n.SH SYNOPSIS\n"
             ".B wabun %s\n",
             PACKAGE_VERSION, c->name, c->line, c->name);
    troff (to, c->usage, strlen (c->usage));
    fprintf (to, "\n.SH DESCRIPTION\n");
    body (to, c);
    if ((c->flags & WB_CMD_RANKS) == 0)
        fprintf (to, ".PP\nUses one process: under mpirun or srun every task runs it by itself.\n");
    if ((c->flags & WB_CMD_CONFIG) != 0) configuration (to, wb_config_help, "");
    if ((c->flags & WB_CMD_CORPUS) != 0) configuration (to, wb_corpus_config_help, "");
    exit_status (to);
    fprintf (to, ".SH \"SEE ALSO\"\n.BR wabun (1)\n");
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
        fprintf (to, ".\n.PP\n");
        body (to, c);
    }
    configuration (to, wb_config_help, " OF A RUN");
    configuration (to, wb_corpus_config_help, " OF A CORPUS");
    exit_status (to);
    fprintf (
        to,
        ".SH ENVIRONMENT\n"
        ".TP\n.B WABUN_LOG\nquiet, warn, info (the default) or debug.\n"
        ".TP\n.B WABUN_COMM_THREAD\nIf 1: a thread of each rank moves the gradients, also during long kernels.\n"
        ".TP\n.B WABUN_NODE_RANKS\nTreat every so many ranks of a machine as a node of their own, for instance "
        "one node for each socket.\n"
        ".TP\n.B WABUN_ISA\nportable, avx2 or avx512: use kernels of a lower instruction set than the processor has.\n"
        ".TP\n.B WABUN_GEMM\nblas or onednn: the library that multiplies matrices (the default is oneDNN if "
        "wabun was built with it and the processor has AVX-512). Where it is not set, AMX multiplies bf16.\n"
        ".TP\n.B WABUN_NO_RETUNE\nIf set, as \\-\\-no\\-retune: do not restart when OpenBLAS mistook the processor "
        "for an older one.\n"
        ".TP\n.B OPENBLAS_CORETYPE\nThe kernels OpenBLAS uses; if it is set, wabun leaves it alone.\n"
        ".TP\n.B OMP_NUM_THREADS\nThreads of a rank where the configuration names none.\n"
        ".SH FILES\n"
        ".TP\n.I RUN/step\\-00001000/\nA checkpoint.\n"
        ".TP\n.I RUN/latest\nThe newest good one.\n"
        ".TP\n.I RUN/metrics.jsonl\nOne line for each logged step.\n");
    fprintf (to, ".SH \"SEE ALSO\"\n");
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++)
        fprintf (to, ".BR wabun\\-%s (1)%s\n", (*c)->name, c[1] != NULL ? "," : "");
}
