/* wabun bench: the command line picks one bench (bench.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/bench.h"

static void list (FILE *to, wb_help_put_fn put) {
    const char *name, *line;
    char row[128];
    for (int i = 0; wb_bench_at (i, &name, &line); i++)
        put (to, row, (size_t) snprintf (row, sizeof row, "  %-16s  %s\n", name, line));
    put (to, "\n", 1);
}

static wb_status run (int argc, char **argv) { return wb_bench_run (argc, argv); }

const wb_cmd_t wb_cmd_bench = {
    .name = "bench",
    .usage = "NAME [OPTION]...",
    .line = "measure against the machine's own limits",
    .run = run,
    .flags = WB_CMD_COMPUTES | WB_CMD_RANKS,
    .list = list,
    .text =
        "Options of step, gemm and muon:\n"
        "  --preset P        tiny (default), small, medium, large, xl\n"
        "  --layers N        other sizes than the preset's; also --width, --heads, --context\n"
        "  --vocab N         size of the vocabulary (default 20573)\n"
        "  --batch N         sequences of a step over all ranks (default: one a rank)\n"
        "  --micro-batch N   sequences at once (default 0: by threads and memory)\n"
        "  --steps N         measured steps, after one that is not (default 3)\n"
        "  --threads N       threads of a rank (default: cores / ranks)\n"
        "  --pipeline N      also --tensor, --interleave, --zero, --wire, --recompute: as in wabun train\n"
        "  --precision P     step, muon: fp32 (default), bf16 or bf16-anywhere, as train.precision; MFU of step is\n"
        "                    then of the bf16 peak, and muon has each form in fp32 and in bf16\n"
        "  --profile         step: a line for each kernel, with its rate and the share of its limit\n"
        "Options of ring:\n"
        "  --min BYTES       shortest and longest vector (4K, 256M); K, M, G are powers of 1024; also --max\n"
        "  --wire W          fp32 (default), or bf16, which MPI does not have\n"
        "Options of generate (also the sizes above, from --preset small on, and --threads):\n"
        "  --batch N         texts written at once (default: 1, 2, 4, ... 32 one after the other)\n"
        "  --prompt N        tokens in front of them (default: half of the positions)\n"
        "  --tokens N        measured tokens of each text (default 64)\n"
        "  --weights T       fp32 (default), bf16 or int8, as in wabun generate; also --cache\n"
        "Options of encode, followed by files of text (default: text made from random numbers):\n"
        "  --tokenizer T     a vocabulary directory (default: a small vocabulary made for the bench)\n"
        "  --threads N       the other number of threads beside 1 (default: cores); also --repeats (5)\n"
        "Options of corpus, followed by files of any kind (default: text and pages made from random numbers):\n"
        "  --repeats N       repeats of each stage (5)\n"
        "Options of serve, which sends requests to a running wabun serve:\n"
        "  --url URL         its address (needed); also --api-key, --model\n"
        "  --clients N       streams at once (default: 1, 8, 32, 128 one after the other)\n"
        "  --prompt N        tokens of each prompt (default 32), with ids below --vocab (default: the model's)\n"
        "  --tokens N        that each stream has (default 256)\n"
        "Options of threads (also the sizes above, from --preset small on), which measures nothing:\n"
        "  --threads N       threads that there need not be (default: 8, 16, 32 and 64 side by side)\n"
        "  --batch N         sequences of a training step (default 8); also --micro-batch\n"
        "  --behind N        tokens of each text in inference, beside the new one (default 512)\n"
        "  --balance N       flop that count as much as a byte of memory (default 16)\n"
        "  --detail          a line for each kernel\n"
        "Option of all:\n"
        "  --json            one object instead of a table; doc/performance.md has its fields\n"
        "\n"
        "Without NAME it lists the benches. Every figure is the median of repeats and stands beside its limit,\n"
        "which is measured in the same run.\n"
        "\n"
        "MFU is the share of the processor's peak in multiply-adds, measured in the same run, that the\n"
        "arithmetic of the model (without what is computed twice) reaches.\n",
};
