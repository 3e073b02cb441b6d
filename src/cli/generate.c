/* wabun generate: the command line of writing Japanese (infer.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/infer.h"

static wb_status run (int argc, char **argv) {
    wb_model_args_t model = {0};
    wb_print_texts_t p = {.generation = WB_GENERATION_DEFAULT, .seed = -1};
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    while (wb_model_args_next (&model, &o, &status)) {
        if (wb_generation_option (&p.generation, &o, &status))
            WB_TRY (status);
        else if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &p.context));
        else if (wb_opts_is (&o, "--context-file"))
            WB_TRY (wb_opts_text (&o, &p.context_file));
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &p.seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--output-file"))
            WB_TRY (wb_opts_text (&o, &p.output));
        else
            return wb_model_args_unknown (&model, &o, "the beginning of the text by --context TEXT");
    }
    WB_TRY (status);
    WB_TRY (wb_generation_check (&p.generation));
    if (p.context != NULL && p.context_file != NULL)
        return WB_FAIL (WB_EUSAGE, "--context and --context-file cannot both be given");
    return wb_print_texts (&p, &model);
}

const wb_cmd_t wb_cmd_generate = {
    .name = "generate",
    .usage = "--model DIR [--context TEXT] [OPTION]...",
    .line = "write Japanese",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text = "  --model DIR          a checkpoint or any Hugging Face GPT-2 directory\n"
            "  --tokenizer T        instead of the model's own\n"
            "  --context TEXT       what the text begins with (it is not printed again)\n"
            "  --context-file F     the same from a file; - is the standard input\n" WB_GENERATION_HELP
            "  --seed S             the same seed gives the same texts (default: another one each time)\n"
            "  --output-file F      write there instead of to the standard output\n"
            "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
            "  --weights T          round the matrices to bf16 or int8: half and a quarter of the memory, and faster\n"
            "  --cache T            bf16: keys and values in half the memory, faster with many or long texts\n"
            "  --no-verify          do not compare the model with its checksums.json (0.1 s for 400 MB in memory)\n"
            "  --share              map the weights from weights.panels in the model's directory, which is made if\n"
            "                       need be: processes that do so have them in memory once, and start at once\n"
            "  --from NAME          encoding of the context; auto (default): converted where it is certain\n"
            "  --keep-garbled       take a context in an unknown encoding as it is, instead of exit code 5\n"
            "\n"
            "Lengths are tokens of the continuation. A text longer than the model's context goes on with its second\n"
            "half as context. The ways of drawing are applied in this order: bias, penalties, repeats, temperature,\n"
            "top-k, typical, top-p, min-p; each narrows what the one before left. A search (--beams,\n"
            "--penalty-alpha) draws nothing: it takes no seed, and of these ways bias, penalties and repeats count.\n"
            "A beam search prints up to N texts of --beams N, the best first.\n",
};
