/* wabun train: the command line of a training run (run.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/run.h"

static wb_status run (int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_config_args_t config = {0};
    const char *resume = "auto";
    bool accept = false, dry = false, taken;
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--resume"))
            WB_TRY (wb_opts_text (&o, &resume));
        else if (wb_opts_is (&o, "--accept"))
            WB_TRY (wb_opts_flag (&o, &accept));
        else if (wb_opts_is (&o, "--dry-run"))
            WB_TRY (wb_opts_flag (&o, &dry));
        else {
            WB_TRY (wb_config_args_option (&config, &o, &taken));
            if (!taken) return wb_opts_unknown (&o);
        }
    }
    if (resume[0] == 0) return WB_FAIL (WB_EUSAGE, "--resume wants auto, none or a directory, got ``");
    if (config.path == NULL)
        return WB_FAIL (WB_EUSAGE, "which configuration? wabun train CFG, for instance jobs/tiny.cfg");
    const wb_run_args_t args = {config.path, resume, config.sets, config.nsets, accept};
    return dry ? wb_run_check (&args) : wb_run_train (&args);
}

const wb_cmd_t wb_cmd_train = {
    .name = "train",
    .usage = "CFG [--set KEY=VALUE]... [--resume auto|none|DIR] [--accept] [--dry-run]",
    .line = "train a model, on any number of ranks",
    .run = run,
    .flags = WB_CMD_COMPUTES | WB_CMD_RANKS | WB_CMD_CONFIG,
    .alone = "--dry-run",
    .text =
        "  CFG               configuration (libconfig); its keys are listed below\n"
        "  --set KEY=VALUE   override one key, for instance --set train.steps=100; may be repeated;\n"
        "                    lists as in the file: --set 'data.train=({tokens=\"a\"; weight=2.0;}, \"b\")'\n"
        "  --resume WHAT     auto: the newest good checkpoint of the run, or a new start (the default);\n"
        "                    none: a new start; DIR: this checkpoint\n"
        "  --accept          go on in a run with other token files, or another model.base, than its own\n"
        "  --dry-run         look at the command line and the configuration only, and print the run directory\n"
        "\n"
        "Runs on any number of ranks: mpirun -n 8 wabun train jobs/small.cfg\n"
        "It reports on the standard error (2>train.log) and writes all numbers to RUN/metrics.jsonl. Ctrl-C, SIGTERM\n"
        "and SIGUSR1 end it after the step and a checkpoint, with exit code 75; a second Ctrl-C at once, without "
        "one.\n",
};
