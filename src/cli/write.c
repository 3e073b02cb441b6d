/* wabun write: the command line of writing by turns (infer.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/infer.h"

static wb_status run (int argc, char **argv) {
    wb_model_args_t model = {0};
    wb_write_loop_t w = {.generation = WB_GENERATION_DEFAULT, .seed = -1};
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    w.generation.max_length = 60;
    while (wb_model_args_next (&model, &o, &status)) {
        if (wb_generation_option (&w.generation, &o, &status))
            WB_TRY (status);
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &w.seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--file"))
            WB_TRY (wb_opts_text (&o, &w.file));
        else
            return wb_model_args_unknown (&model, &o, "the text by --file FILE");
    }
    WB_TRY (status);
    WB_TRY (wb_generation_check (&w.generation));
    if (w.generation.samples != 1 || w.generation.logprobs)
        return WB_FAIL (WB_EUSAGE, "write has one text: --num-generate and --logprobs are of `wabun generate`");
    return wb_write_loop (&w, &model);
}

const wb_cmd_t wb_cmd_write = {
    .name = "write",
    .usage = "--model DIR [--file FILE] [OPTION]...",
    .line = "write a text by turns with a model, in a terminal",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text =
        "  --model DIR          a checkpoint or any Hugging Face GPT-2 directory\n"
        "  --tokenizer T        instead of the model's own\n"
        "  --file FILE          the text: read if it is there, saved at the end\n" WB_GENERATION_HELP
        "  --seed S             the same seed and the same lines give the same text (default: another one)\n"
        "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
        "  --weights T          round the matrices to bf16 or int8: half and a quarter of the memory, and faster\n"
        "  --cache T            bf16: keys and values in half the memory, faster with many or long texts\n"
        "  --no-verify          do not compare the model with its checksums.json\n"
        "  --share              map the weights from a file beside the model, as in wabun generate\n"
        "  --from NAME          encoding of FILE; auto (default): converted where it is certain\n"
        "  --keep-garbled       take a FILE in an unknown encoding as it is, instead of exit code 5\n"
        "\n"
        "An empty line: the model goes on (60 tokens, unless --max-length says otherwise). A line of text is put at\n"
        "the end. Lines that begin with a colon are commands:\n"
        "  :r  another try    :u  take back the last stretch    :e  the whole text in $EDITOR\n"
        "  :p  show the text  :n N  tokens of a stretch         :t X  temperature\n"
        "  :s [FILE]  save    :q  end\n"
        "Ctrl-C ends a stretch. The page of `wabun serve` does the same with branches, colours and undo.\n",
};
