/* Help: texts of the subcommands, and the manual page that is made from the same texts.
 *
 * `wabun help --man` prints the page; doc/wabun.1 is its output, and a test compares the two.  The options of a
 * configuration come from the table in config.c. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/bench.h"
#include "wabun/config.h"

/* What stands behind usage and one line.  A line of options: two blanks, the option, two or more blanks, what it is. */
static const struct {
    const char *name, *text;
} texts[] = {
    {"train", "  CFG               configuration (libconfig); its keys are listed below\n"
              "  --set KEY=VALUE   override one key, for instance --set train.steps=100; may be repeated;\n"
              "                    lists as in the file: --set 'data.train=({tokens=\"a\"; weight=2.0;}, \"b\")'\n"
              "  --resume WHAT     auto: the newest good checkpoint of the run, or a new start (the default);\n"
              "                    none: a new start; DIR: this checkpoint\n"
              "\n"
              "Runs on any number of ranks: mpirun -n 8 wabun train jobs/small.cfg\n"
              "SIGUSR1 and SIGTERM end it after the step and a checkpoint, with exit code 75.\n"},
    {"encode",
     "  --tokenizer T     byte, a vocabulary directory or a model directory\n"
     "  --clean           replace URLs, e-mail addresses, telephone numbers, dates and prices by tags\n"
     "  -o PREFIX         write PREFIX.bin and PREFIX.idx\n"
     "  INPUT             files and directories: a .txt is one document, a .jsonl one in each line\n"
     "                    {\"text\": ...}; - is the standard input\n"
     "  --jsonl           stdin lines {\"text\": ...} become stdout lines {\"ids\": [...]}\n"
     "  --threads N       threads of a rank (default: OMP_NUM_THREADS, or cores / ranks)\n"
     "\n"
     "Directories are walked in the order of names. A byte order mark at the start of a file is left out. Each\n"
     "document ends in <|endoftext|>. The files are Megatron's indexed data set.\n"
     "Under mpirun the ranks share the input; the file is the same on any number of them.\n"},
    {"decode",
     "  --tokenizer T     as in wabun encode\n"
     "  PREFIX            the documents of a token file; with --jsonl as lines {\"text\": ...}\n"
     "  --jsonl           without PREFIX: stdin lines {\"ids\": [...]} become stdout lines {\"text\": ...}\n"},
    {"generate",
     "  --model DIR          a checkpoint or any Hugging Face GPT-2 directory\n"
     "  --tokenizer T        instead of the model's own\n"
     "  --context TEXT       what the text begins with (it is not printed again)\n"
     "  --context-file F     the same from a file; - is the standard input\n"
     "  --num-generate N     texts to write (default 1)\n"
     "  --top-k K            draw from the K most likely tokens; 0: from all (default 40)\n"
     "  --top-p P            draw from the most likely tokens that make up P; 0: off (default 0)\n"
     "  --temperature X      below 1 safer, above 1 wilder, 0: always the most likely (default 1)\n"
     "  --min-length N       tokens before the text may end (default 0)\n"
     "  --max-length N       tokens at most (default 500)\n"
     "  --seed S             the same seed gives the same texts (default: another one each time)\n"
     "  --output-file F      write there instead of to the standard output\n"
     "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
     "\n"
     "Lengths are tokens of the continuation.  A text longer than the model's context goes on with its second\n"
     "half as context.\n"},
    {"score", "  --model DIR       as in wabun generate; also --tokenizer, --threads\n"
              "  --tokens          the tokens one by one\n"
              "  --exclude-end     do not count <|endoftext|> behind the text\n"
              "  FILE              one text a line; - is the standard input\n"
              "\n"
              "Prints text, tab, log-probability (nats) as %.5g.  A line longer than the model's context is scored by\n"
              "windows that overlap by half.\n"},
    {"transform", "  --model DIR       as in wabun generate; also --tokenizer, --threads\n"
                  "  --context TEXT    the text\n"
                  "  --input FILE      one text a line; - is the standard input\n"
                  "\n"
                  "Prints, for each text, the state behind the last layer at the last position as a JSON list.\n"},
    {"plan", "  CFG               as for wabun train\n"
             "  --ranks N         ranks of the job (default: what parallel asks for)\n"
             "  --threads N       threads of a rank (default: parallel.threads, or the cores here)\n"
             "  --set KEY=VALUE   override one key\n"
             "\n"
             "Prints, for each pipeline stage, the bytes a rank will allocate, and what it sends in a step.  A layout\n"
             "that cannot work is refused with the words of wabun train.\n"},
    {"bench", "Options of step, gemm and muon:\n"
              "  --preset P        tiny (default), small, medium, large, xl\n"
              "  --layers N        other sizes than the preset's; also --width, --heads, --context\n"
              "  --vocab N         size of the vocabulary (default 20573)\n"
              "  --batch N         sequences of a step over all ranks (default: one a rank)\n"
              "  --micro-batch N   sequences at once (default 0: by threads and memory)\n"
              "  --steps N         measured steps, after one that is not (default 3)\n"
              "  --threads N       threads of a rank (default: cores / ranks)\n"
              "  --pipeline N      also --tensor, --interleave, --zero, --wire, --recompute: as in wabun train\n"
              "  --profile         step: a line for each kernel, with its rate and the share of its limit\n"
              "Options of ring:\n"
              "  --min BYTES       shortest and longest vector (4K, 256M); K, M, G are powers of 1024; also --max\n"
              "  --wire W          fp32 (default), or bf16, which MPI does not have\n"
              "Options of generate (also the sizes above, from --preset small on, and --threads):\n"
              "  --batch N         texts written at once (default: 1, 2, 4, ... 32 one after the other)\n"
              "  --prompt N        tokens in front of them (default: half of the positions)\n"
              "  --tokens N        measured tokens of each text (default 64)\n"
              "Options of encode, behind them files of text (default: text made from random numbers):\n"
              "  --tokenizer T     a vocabulary directory (default: a small vocabulary made for the bench)\n"
              "  --threads N       the other number of threads beside 1 (default: cores); also --repeats (5)\n"
              "Option of all:\n"
              "  --json            one object instead of a table; doc/performance.md has its fields\n"
              "\n"
              "Without NAME it lists the benches.  Every figure is the median of repeats and stands beside its limit,\n"
              "which is measured in the same run.\n"
              "\n"
              "MFU is the share of the processor's peak in multiply-adds, measured in the same run, that the\n"
              "arithmetic of the model (without what is computed twice) reaches.\n"},
};

static const char *text_of (const char *name) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp (texts[i].name, name) == 0) return texts[i].text;
    return "";
}

/* The benches come from their own table; to is a terminal, or troff. */
static void benches (FILE *to, void (*put) (FILE *, const char *, size_t)) {
    const char *name, *line;
    char row[128];
    for (int i = 0; wb_bench_at (i, &name, &line); i++) {
        snprintf (row, sizeof row, "  %-16s  %s\n", name, line);
        put (to, row, strlen (row));
    }
    put (to, "\n", 1);
}

static const char codes[] = "   0  done\n"
                            "   2  usage or configuration\n"
                            "   3  file or network\n"
                            "   4  memory\n"
                            "   5  bad data\n"
                            "   6  numbers went bad\n"
                            "  75  stopped on request after a checkpoint: run again to continue\n";

void wb_help_all (FILE *to) {
    fprintf (to, "wabun %s - Japanese GPT-2 on clusters of processors\n\nusage: wabun SUBCOMMAND [OPTION]...\n\n",
             PACKAGE_VERSION);
    for (const wb_cmd_t *c = wb_commands; c->name != NULL; c++) fprintf (to, "  %-10s  %s\n", c->name, c->line);
    fprintf (to,
             "  %-10s  what a subcommand does and takes: wabun help train\n"
             "\nwabun --version prints the version.\n"
             "Under mpirun or srun, subcommands that do not use ranks run on the first one; the others leave at once.\n"
             "\nExit codes\n%s",
             "help", codes);
}

static void plain (FILE *to, const char *s, size_t n) { fwrite (s, 1, n, to); }

void wb_help_command (FILE *to, const wb_cmd_t *c) {
    fprintf (to, "usage: wabun %s\n\n%s\n\n", c->usage, c->line);
    if (strcmp (c->name, "bench") == 0) benches (to, plain);
    fputs (text_of (c->name), to);
    if ((c->flags & WB_CMD_RANKS) == 0) fprintf (to, "\nUses one process: under mpirun or srun only the first runs.\n");
    if (strcmp (c->name, "train") != 0) return;
    fprintf (to, "\nKeys of the configuration\n\n");
    wb_config_help (to, false);
}

/* ---- the manual page ------------------------------------------------------------------------------------------- */

/* Text for troff: a line that begins with a point or quote is no request, a hyphen stays one. */
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
    for (const wb_cmd_t *c = wb_commands; c->name != NULL; c++) {
        const char *text = text_of (c->name);
        fprintf (to, ".SS \"wabun ");
        troff (to, c->usage, strlen (c->usage));
        fprintf (to, "\"\n");
        troff (to, c->line, strlen (c->line));
        fprintf (to, ".\n.PP\n.nf\n");
        if (strcmp (c->name, "bench") == 0) benches (to, troff);
        troff (to, text, strlen (text));
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
