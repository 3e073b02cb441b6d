/* The program: finds the subcommand, runs it, prints its error once.
 *
 * Help and version are answered before anything is started.  Where a launcher started many processes, one of them
 * speaks: the one whose launcher rank is 0.  A command that uses the world has agreed on its status before it returns,
 * so every process has the same record and exit code; a command that does not is run by that one process only, the
 * others leave at once with 0.  Commands end the world themselves (wb_world_destroy waits for all), so that nobody's
 * exit code makes the launcher kill a process that is still writing. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/kernels.h"
#include "wabun/launch.h"

const wb_cmd_t wb_commands[] = {
    {"train", "train CFG [--set KEY=VALUE]... [--resume auto|none|DIR]", "train a model, on any number of ranks",
     wb_cmd_train, WB_CMD_COMPUTES | WB_CMD_RANKS},
    {"encode", "encode --tokenizer T [--clean] -o PREFIX INPUT... | --jsonl", "turn text into token files",
     wb_cmd_encode, WB_CMD_RANKS},
    {"decode", "decode --tokenizer T PREFIX | --jsonl", "turn ids into text", wb_cmd_decode, 0},
    {"generate", "generate --model DIR [--context TEXT] [OPTION]...", "write Japanese", wb_cmd_generate,
     WB_CMD_COMPUTES},
    {"score", "score --model DIR [--tokens] [--exclude-end] FILE|-", "give the log-probability of texts", wb_cmd_score,
     WB_CMD_COMPUTES},
    {"transform", "transform --model DIR --context TEXT | --input FILE", "give the vectors of texts", wb_cmd_transform,
     WB_CMD_COMPUTES},
    {"plan", "plan CFG [--ranks N] [--set KEY=VALUE]...", "memory and traffic of a rank, before a job is queued",
     wb_cmd_plan, 0},
    {"bench", "bench NAME [OPTION]...", "measure against the machine's own limits", wb_cmd_bench,
     WB_CMD_COMPUTES | WB_CMD_RANKS},
    {NULL, NULL, NULL, NULL, 0},
};

static const wb_cmd_t *find (const char *name) {
    for (const wb_cmd_t *c = wb_commands; c->name != NULL; c++)
        if (strcmp (c->name, name) == 0) return c;
    return NULL;
}

static wb_status no_such_command (const char *name) {
    const char *names[32];
    int n = 0;
    for (const wb_cmd_t *c = wb_commands; c->name != NULL && n < 30; c++) names[n++] = c->name;
    names[n++] = "help";
    const char *near = wb_nearest (name, names, n);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "there is no subcommand `%s`; did you mean `%s`?", name, near);
    return WB_FAIL (WB_EUSAGE, "there is no subcommand `%s`", name);
}

static wb_status help (int argc, char **argv) {
    const char *name = argc > 0 ? argv[0] : NULL;
    if (argc > 1) return WB_FAIL (WB_EUSAGE, "`%s` is one argument too many", argv[1]);
    if (name == NULL || strcmp (name, "help") == 0) {
        wb_help_all (stdout);
        return WB_OK;
    }
    if (strcmp (name, "--man") == 0) {
        wb_help_man (stdout);
        return WB_OK;
    }
    const wb_cmd_t *c = find (name);
    if (c == NULL) return no_such_command (name);
    wb_help_command (stdout, c);
    return WB_OK;
}

/* Takes an argument of the program itself out of a subcommand's arguments.  What stands behind `--` stays. */
static bool take (int *argc, char **argv, const char *name) {
    for (int i = 1; i < *argc && strcmp (argv[i], "--") != 0; i++) {
        if (strcmp (argv[i], name) != 0) continue;
        memmove (argv + i, argv + i + 1, (size_t) (*argc - i) * sizeof *argv); /* with the NULL at the end */
        --*argc;
        return true;
    }
    return false;
}

/* What stands behind an error of usage. */
static void hint (const char *command) {
    static char text[64];
    snprintf (text, sizeof text, "Try `wabun help%s%s`.", command != NULL ? " " : "", command != NULL ? command : "");
    wb_error_hint (text);
}

static wb_status run (int argc, char **argv, char **whole) {
    bool may_retune = getenv ("WABUN_NO_RETUNE") == NULL;
    if (argc > 1 && strcmp (argv[1], "--no-retune") == 0) argc--, argv++, may_retune = false;
    if (argc < 2 || strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0) return help (0, NULL);
    if (strcmp (argv[1], "--version") == 0) {
        printf ("wabun %s\n", PACKAGE_VERSION);
        return WB_OK;
    }
    if (strcmp (argv[1], "help") == 0) return help (argc - 2, argv + 2);
    const wb_cmd_t *c = find (argv[1]);
    if (c == NULL && argv[1][0] == '-') return WB_FAIL (WB_EUSAGE, "unknown option %s before the subcommand", argv[1]);
    if (c == NULL) return no_such_command (argv[1]);
    argc--, argv++;
    hint (c->name);
    if (take (&argc, argv, "--help") || take (&argc, argv, "-h")) {
        wb_help_command (stdout, c);
        return WB_OK;
    }
    if (take (&argc, argv, "--no-retune")) may_retune = false;
    if ((c->flags & WB_CMD_RANKS) == 0 && wb_launcher_rank () != 0) return WB_OK;
    if ((c->flags & WB_CMD_COMPUTES) != 0) {
        wb_blas_info_t blas;
        wb_blas_info (&blas);
        wb_retune (whole, may_retune, blas.core, blas.want);
    }
    return c->run (argc, argv);
}

static wb_log_level log_level (void) {
    static const char *const names[] = {"quiet", "warn", "info", "debug"};
    const char *asked = getenv ("WABUN_LOG");
    for (int i = 0; asked != NULL && i < 4; i++)
        if (strcmp (asked, names[i]) == 0) return (wb_log_level) i;
    return WB_LOG_INFO;
}

int main (int argc, char **argv) {
    const bool speaks = wb_launcher_rank () == 0;
    /* A reader that goes away (wabun generate | head) is an error of the write, not a death without a word. */
    signal (SIGPIPE, SIG_IGN);
    wb_log_init (log_level (), speaks);
    hint (NULL);

    /* run() shortens the vector; starting again needs it as it was. */
    char **copy = wb_malloc (((size_t) argc + 1) * sizeof *copy);
    wb_status status;
    if (copy != NULL) {
        memcpy (copy, argv, ((size_t) argc + 1) * sizeof *copy);
        status = run (argc, copy, argv);
        wb_free (copy);
    } else {
        status = WB_FAIL (WB_ENOMEM, "out of memory");
    }

    errno = 0;
    if ((fflush (stdout) != 0 || ferror (stdout)) && status == WB_OK)
        status = WB_FAIL (WB_EIO, "cannot write to the standard output%s%s", errno != 0 ? ": " : "",
                          errno != 0 ? strerror (errno) : "");
    if (status != WB_OK && speaks) {
        if (wb_error_get ()->status == WB_OK) (void) WB_FAIL (status, "failed: %s", wb_status_name (status));
        wb_error_print ();
    }
#ifdef WB_DEBUG
    if (wb_mem_balance () != 0)
        fprintf (stderr, "wabun: debug: %lld blocks were not freed\n", (long long) wb_mem_balance ());
#endif
    return (int) status;
}
