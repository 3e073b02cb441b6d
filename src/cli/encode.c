/* wabun encode: text to token files, or line by line for other programs. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/comm.h"
#include "wabun/dataset.h"
#include "wabun/launch.h"

static wb_status run (int argc, char **argv) {
    wb_dataset_encoding_t e = {.inputs = argv + 1}; /* the inputs are moved to argv[1 ...] */
    bool jsonl = false;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &e.tokenizer));
        else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &e.prefix));
        else if (wb_opts_is (&o, "--clean"))
            WB_TRY (wb_opts_flag (&o, &e.clean));
        else if (wb_opts_is (&o, "--jsonl"))
            WB_TRY (wb_opts_flag (&o, &jsonl));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &e.threads, 1, 4096));
        else if (wb_opts_is_file (&o))
            argv[1 + e.ninputs++] = argv[o.at];
        else
            return wb_opts_unknown (&o);
    }
    if (e.tokenizer == NULL) return WB_FAIL (WB_EUSAGE, "--tokenizer is missing: byte or a vocabulary directory");
    const char *p = e.prefix;
    if (jsonl) {
        if (p != NULL || e.ninputs > 0)
            return WB_FAIL (WB_EUSAGE,
                            "--jsonl reads the standard input and writes the standard output; with it neither "
                            "-o nor INPUT");
        return wb_dataset_encode_lines (e.tokenizer, e.clean);
    }
    if (p == NULL || p[0] == 0) return WB_FAIL (WB_EUSAGE, "-o PREFIX is missing (or --jsonl)");
    const char *slash = wb_file_name (p)[0] == 0 ? "" : "/";
    if (slash[0] == 0 || wb_file_is_dir (p))
        return WB_FAIL (WB_EUSAGE, "-o %s: that is a directory; the files need a name in it, such as -o %s%stext", p, p,
                        slash);
    if (e.ninputs == 0) return WB_FAIL (WB_EUSAGE, "no INPUT: a file, a directory, or - for the standard input");
    wb_comm_t *world;
    WB_TRY (wb_world_new (&world));
    wb_status status = wb_dataset_encode (world, &e);
    wb_world_destroy (world);
    return status;
}

const wb_cmd_t wb_cmd_encode = {
    .name = "encode",
    .usage = "--tokenizer T [--clean] -o PREFIX INPUT... | --jsonl",
    .line = "turn text into token files",
    .run = run,
    .flags = WB_CMD_RANKS,
    .alone = "--jsonl",
    .text =
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
        "Under mpirun the ranks share the input; the file is the same on any number of them. With --jsonl each task\n"
        "works by itself.\n",
};
