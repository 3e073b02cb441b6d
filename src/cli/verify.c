/* wabun verify: says whether a model or the checkpoints of a run are whole. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/run.h"

static wb_status run (int argc, char **argv) {
    const char *path = NULL;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (!wb_opts_is_file (&o) || path != NULL) return wb_opts_unknown (&o);
        path = o.arg;
    }
    if (path == NULL) return WB_FAIL (WB_EUSAGE, "verify wants a DIR: a model, a checkpoint, or a run");
    return wb_run_verify (path);
}

const wb_cmd_t wb_cmd_verify = {
    .name = "verify",
    .usage = "DIR",
    .line = "say whether checkpoints are whole",
    .run = run,
    .text =
        "  DIR               a model, a checkpoint, or a run: all checkpoints in it\n"
        "\n"
        "Every file that checksums.json names is compared with it, files are found that it ought to name, and NaN and\n"
        "infinity in tensors. A line for each thing that is wrong, and exit code 5; a line for each directory that\n"
        "is good. Each byte is read once, by OMP_NUM_THREADS threads; a run may go on meanwhile.\n",
};
