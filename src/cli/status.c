/* wabun status: how a run goes. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/run.h"

static wb_status run (int argc, char **argv) {
    const char *path = NULL;
    bool json = false, again = false;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &json));
        else if (wb_opts_is (&o, "--again"))
            WB_TRY (wb_opts_flag (&o, &again));
        else if (wb_opts_is_file (&o) && path == NULL)
            path = o.arg;
        else
            return wb_opts_unknown (&o);
    }
    if (path == NULL)
        return WB_FAIL (WB_EUSAGE, "status wants a RUN: the directory that `run` of a configuration names");
    return wb_run_status (path, again ? WB_RUN_AGAIN : json ? WB_RUN_JSON : WB_RUN_TEXT);
}

const wb_cmd_t wb_cmd_status = {
    .name = "status",
    .usage = "RUN [--json | --again]",
    .line = "say how a run goes",
    .run = run,
    .text =
        "  RUN               the directory of a run\n"
        "  --json            one object\n"
        "  --again           for job scripts: code 75 another start is worth it, 0 all is done, else why not\n"
        "\n"
        "State (running, queued, ...) and why, step, losses, speed, end of the job, time left with saves and "
        "validations,\n"
        "skipped steps, spikes, rollbacks, every start and how it ended, and the newest checkpoint whose files are "
        "there\n"
        "with their sizes (wabun verify compares checksums).  Reads files only: beside the job, and on a login node.\n",
};
