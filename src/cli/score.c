/* wabun score: the command line of log-probabilities (infer.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/infer.h"

static wb_status run (int argc, char **argv) {
    wb_model_args_t model = {0};
    const char *file = NULL;
    bool tokens = false, exclude_end = false;
    int64_t digits = 5;
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    while (wb_model_args_next (&model, &o, &status)) {
        if (wb_opts_is (&o, "--tokens"))
            WB_TRY (wb_opts_flag (&o, &tokens));
        else if (wb_opts_is (&o, "--exclude-end"))
            WB_TRY (wb_opts_flag (&o, &exclude_end));
        else if (wb_opts_is (&o, "--digits"))
            WB_TRY (wb_opts_int (&o, &digits, 1, 9));
        else if (wb_opts_is_file (&o) && file == NULL)
            file = o.arg;
        else
            return wb_model_args_unknown (&model, &o, NULL);
    }
    WB_TRY (status);
    if (file == NULL) return WB_FAIL (WB_EUSAGE, "score wants a FILE of lines, or - for the standard input");
    return wb_print_scores (file, &model, tokens, !exclude_end, (int) digits);
}

const wb_cmd_t wb_cmd_score = {
    .name = "score",
    .usage = "--model DIR [--tokens] [--exclude-end] [--digits N] FILE|-",
    .line = "give the log-probability of texts",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text = "  --model DIR       as in wabun generate; also --tokenizer, --threads, --weights, --cache, --no-verify, "
            "--share,\n"
            "                    --from, --keep-garbled\n"
            "  --tokens          the tokens one by one\n"
            "  --exclude-end     do not count <|endoftext|> after the text\n"
            "  --digits N        significant digits of a log-probability, 1 to 9 (5, as gpt2-japanese prints)\n"
            "  FILE              one text a line; - is the standard input\n"
            "\n"
            "Prints text, tab, log-probability (nats). A line longer than the model's context is scored by\n"
            "windows that overlap by half.\n",
};
