/* wabun plan: the command line of a plan (plan.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/launch.h"
#include "wabun/plan.h"

static wb_status run (int argc, char **argv) {
    enum { MAX_THREADS = 1024 };
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_config_args_t config = {0};
    int64_t ranks = 0, threads = 0, ranks_per_node = 0;
    bool taken;
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--ranks"))
            WB_TRY (wb_opts_int (&o, &ranks, 1, 1 << 24));
        else if (wb_opts_is (&o, "--ranks-per-node"))
            WB_TRY (wb_opts_int (&o, &ranks_per_node, 1, 1 << 24));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &threads, 1, MAX_THREADS));
        else {
            WB_TRY (wb_config_args_option (&config, &o, &taken));
            if (!taken) return wb_opts_unknown (&o);
        }
    }
    if (config.path == NULL)
        return WB_FAIL (WB_EUSAGE, "which configuration? wabun plan CFG, for instance jobs/small.cfg");
    if (threads == 0 && wb_threads_env () > MAX_THREADS)
        return WB_FAIL (WB_EUSAGE, "OMP_NUM_THREADS: %lld threads a rank: %d at most", (long long) wb_threads_env (),
                        MAX_THREADS);
    return wb_plan (&(wb_plan_args_t){config.path, config.sets, config.nsets, ranks, threads, ranks_per_node});
}

const wb_cmd_t wb_cmd_plan = {
    .name = "plan",
    .usage = "CFG [--ranks N] [--ranks-per-node N] [--set KEY=VALUE]...",
    .line = "memory and traffic of a rank, before a job is queued",
    .run = run,
    .text = "  CFG                  as for wabun train\n"
            "  --ranks N            ranks of the job (default: what parallel asks for)\n"
            "  --ranks-per-node N   neighbouring ranks on a node, inside which nothing is sent (default: 1)\n"
            "  --threads N          threads of a rank (default: parallel.threads, or the cores here)\n"
            "  --set KEY=VALUE      override one key\n"
            "\n"
            "Prints, for each pipeline stage, the bytes a rank will allocate, and those it sends in a step.  A layout\n"
            "that cannot work is refused with the words of wabun train.\n",
};
