/* wabun transform: the command line of vectors (infer.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/infer.h"

static wb_status run (int argc, char **argv) {
    wb_model_args_t model = {0};
    const char *context = NULL, *input = NULL;
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    while (wb_model_args_next (&model, &o, &status)) {
        if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &context));
        else if (wb_opts_is (&o, "--input"))
            WB_TRY (wb_opts_text (&o, &input));
        else
            return wb_model_args_unknown (&model, &o, "a text by --context TEXT, a file of them by --input FILE");
    }
    WB_TRY (status);
    if ((context == NULL) == (input == NULL))
        return WB_FAIL (WB_EUSAGE, "transform wants --context TEXT, or --input FILE with a text on each line (- is the "
                                   "standard input)");
    if (context != NULL && context[0] == 0)
        return WB_FAIL (WB_EUSAGE, "--context is empty: a text without tokens has no vector");
    return wb_print_vectors (context, input, &model);
}

const wb_cmd_t wb_cmd_transform = {
    .name = "transform",
    .usage = "--model DIR --context TEXT | --input FILE",
    .line = "give the vectors of texts",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text =
        "  --model DIR       as in wabun generate; also --tokenizer, --threads, --weights, --cache, --no-verify, "
        "--share,\n"
        "                    --from, --keep-garbled\n"
        "  --context TEXT    the text\n"
        "  --input FILE      one text a line; - is the standard input\n"
        "\n"
        "Prints, for each text, the state after the final LayerNorm at its last position as a JSON list; for an empty\n"
        "line null.\n",
};
