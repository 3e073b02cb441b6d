/* The program: finds the subcommand, runs it, prints its error once.
 *
 * Help and version are answered before anything is started.  A command that uses ranks has agreed on its status before
 * it returns, so every process has the same record and exit code, and only launcher rank 0 prints.  It ends the world
 * itself (wb_world_destroy waits for all), so that no exit code makes the launcher kill a process that still writes.
 * Other commands run and print in every task, as if started alone: a task per file, or a program inside a job. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "wabun/json.h"
#include "wabun/kernels.h"
#include "wabun/launch.h"

const wb_cmd_t *const wb_commands[] = {
    &wb_cmd_train,  &wb_cmd_corpus, &wb_cmd_encode,    &wb_cmd_decode, &wb_cmd_generate,
    &wb_cmd_write,  &wb_cmd_score,  &wb_cmd_transform, &wb_cmd_serve,  &wb_cmd_eval,
    &wb_cmd_export, &wb_cmd_import, &wb_cmd_inspect,   &wb_cmd_plan,   &wb_cmd_status,
    &wb_cmd_report, &wb_cmd_verify, &wb_cmd_vocab,     &wb_cmd_bench,  NULL,
};

static bool is_one_of (const char *s, const char *const *names) {
    for (; *names != NULL; names++)
        if (strcmp (s, *names) == 0) return true;
    return false;
}

/* Takes an argument of the program itself out of a subcommand's arguments.  What follows `--` stays. */
static bool take (int *argc, char **argv, const char *name) {
    for (int i = 1; i < *argc && strcmp (argv[i], "--") != 0; i++) {
        if (strcmp (argv[i], name) != 0) continue;
        memmove (argv + i, argv + i + 1, (size_t) (*argc - i) * sizeof *argv); /* with the NULL at the end */
        --*argc;
        return true;
    }
    return false;
}

/* The line printed after an error of usage. */
static void hint (const char *command) {
    static char text[64];
    snprintf (text, sizeof text, "Try `wabun help%s%s`.", command != NULL ? " " : "", command != NULL ? command : "");
    wb_error_hint (text);
}

/* Whether this process prints: of a command that uses ranks, or before a command is known, the launcher's first. */
static bool prints;

static bool uses_ranks (const wb_cmd_t *c, int argc, char **argv) {
    for (int i = 1; c->alone != NULL && i < argc && strcmp (argv[i], "--") != 0; i++)
        if (strcmp (argv[i], c->alone) == 0) return false;
    return (c->flags & WB_CMD_RANKS) != 0;
}

static wb_log_level log_level (void) {
    static const char *const names[] = {"quiet", "warn", "info", "debug"};
    const char *asked = getenv ("WABUN_LOG");
    for (int i = 0; asked != NULL && i < 4; i++)
        if (strcmp (asked, names[i]) == 0) return (wb_log_level) i;
    return WB_LOG_INFO;
}

static wb_status run (int argc, char **argv) {
    char **const whole = argv; /* to start again; where take() shortened it, there is no second start */
    bool may_retune = getenv ("WABUN_NO_RETUNE") == NULL;
    if (argc > 1 && strcmp (argv[1], "--no-retune") == 0) argc--, argv++, may_retune = false;
    if (argc < 2 || is_one_of (argv[1], (const char *[]){"--help", "-h", NULL})) return wb_help (0, NULL);
    if (is_one_of (argv[1], (const char *[]){"--version", "-V", "version", NULL})) {
        printf ("wabun %s\n", PACKAGE_VERSION);
        return WB_OK;
    }
    if (strcmp (argv[1], "help") == 0) return wb_help (argc - 2, argv + 2);
    const wb_cmd_t *c = wb_cmd_find (argv[1]);
    if (c == NULL && argv[1][0] == '-') return WB_FAIL (WB_EUSAGE, "unknown option %s before the subcommand", argv[1]);
    if (c == NULL) return wb_cmd_unknown (argv[1]);
    argc--, argv++;
    hint (c->name);
    if (take (&argc, argv, "--help") || take (&argc, argv, "-h")) {
        wb_help_command (stdout, c);
        return WB_OK;
    }
    if (take (&argc, argv, "--no-retune")) may_retune = false;
    if (!uses_ranks (c, argc, argv)) wb_log_init (log_level (), prints = true);
    if ((c->flags & WB_CMD_COMPUTES) != 0) {
        wb_blas_info_t blas;
        wb_blas_info (&blas);
        wb_retune (whole, may_retune, (c->flags & WB_CMD_STAYS) != 0, blas.core, blas.want);
    }
    return c->run (argc, argv);
}

int main (int argc, char **argv) {
    wb_hold_streams ();
    wb_json_init ();
    prints = wb_launcher_rank () == 0;
    /* A reader that goes away makes the write fail (WB_ECLOSED); the signal would end us without cleaning up. */
    signal (SIGPIPE, SIG_IGN);
    wb_log_init (log_level (), prints);
    hint (NULL);

    wb_status status = run (argc, argv);

    if (status == WB_OK && prints) status = wb_flush (stdout, "standard output");
    if (status == WB_ECLOSED) status = WB_OK; /* wabun generate | head has what it wanted */
    if (status != WB_OK && prints) {
        if (wb_error_get ()->status == WB_OK) (void) WB_FAIL (status, "failed: %s", wb_status_name (status));
        wb_error_print ();
    }
    if (status != WB_OK && !prints) { /* the first rank that leaves with an error ends the others: let rank 0 print */
        const struct timespec wait = {.tv_nsec = 300000000};
        nanosleep (&wait, NULL);
    }
    return (int) status;
}
