/* wabun plan: the command line of a plan (plan.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/launch.h"
#include "wabun/plan.h"

static wb_status run (int argc, char **argv) {
    enum { MAX_THREADS = 1024 };
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_config_args_t config = {0};
    wb_plan_args_t a = {0};
    bool taken;
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--ranks"))
            WB_TRY (wb_opts_int (&o, &a.ranks, 1, 1 << 24));
        else if (wb_opts_is (&o, "--ranks-per-node"))
            WB_TRY (wb_opts_int (&o, &a.ranks_per_node, 1, 1 << 24));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &a.threads, 1, MAX_THREADS));
        else if (wb_opts_is (&o, "--gflops"))
            WB_TRY (wb_opts_float (&o, &a.gflops, 1e-3, 1e9));
        else if (wb_opts_is (&o, "--bench"))
            WB_TRY (wb_opts_text (&o, &a.bench));
        else if (wb_opts_is (&o, "--link"))
            WB_TRY (wb_opts_float (&o, &a.link, 1e-3, 1e6));
        else if (wb_opts_is (&o, "--memory"))
            WB_TRY (wb_opts_float (&o, &a.memory, 1e-3, 1e6));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &a.json));
        else {
            WB_TRY (wb_config_args_option (&config, &o, &taken));
            if (!taken) return wb_opts_unknown (&o);
        }
    }
    if (config.path == NULL)
        return WB_FAIL (WB_EUSAGE, "which configuration? wabun plan CFG, for instance jobs/small.cfg");
    if (a.gflops > 0 && a.bench != NULL)
        return WB_FAIL (WB_EUSAGE, "--gflops and --bench both say how fast a rank is: give one of them");
    if (a.threads == 0 && wb_threads_env () > MAX_THREADS)
        return WB_FAIL (WB_EUSAGE, "OMP_NUM_THREADS: %lld threads a rank: %d at most", (long long) wb_threads_env (),
                        MAX_THREADS);
    a.config = config.path;
    a.sets = config.sets;
    a.nsets = config.nsets;
    return wb_plan (&a);
}

const wb_cmd_t wb_cmd_plan = {
    .name = "plan",
    .usage = "CFG [--ranks N] [--gflops X | --bench FILE] [--memory GIB] [--set KEY=VALUE]...",
    .line = "memory, traffic, time and best layout, before a job is queued",
    .run = run,
    .text =
        "  CFG                  as for wabun train\n"
        "  --ranks N            ranks of the job (default: what parallel asks for)\n"
        "  --ranks-per-node N   neighbouring ranks on a node, inside which nothing is sent (default: 1)\n"
        "  --threads N          threads of a rank (default: parallel.threads, or the cores here)\n"
        "  --gflops X           how long it takes, at X GFLOP/s that a rank sustains\n"
        "  --bench FILE         the same, from what `wabun bench step --json` prints on one rank\n"
        "  --link GBPS          GB/s that a node sends to others (default: 1.25, 10 Gbit Ethernet)\n"
        "  --memory GIB         GiB that a rank may take: layouts that need more are left out\n"
        "  --json               everything as one object\n"
        "  --set KEY=VALUE      override one key\n"
        "\n"
        "Prints, for each pipeline stage, the bytes a rank will allocate, and those it sends in a step; with a\n"
        "speed, days and node-hours; and for several ranks the best layouts, fastest first. A layout that cannot\n"
        "work is refused with the words of wabun train. A tokenizer that does not exist yet is planned with\n"
        "model.vocab_size ids, or the 20,573 of gpt2-japanese's.\n"
        "\n"
        "A step takes the flop of a rank at its speed, the pipeline's idle time, and the traffic between nodes that\n"
        "nothing hides: the last micro-batch's backward pass hides gradients, the next step's first forward pass\n"
        "weights. Memory traffic within a node, validation and checkpoints are not counted.\n",
};
