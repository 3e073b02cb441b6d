/* wabun decode: ids back to text, line by line for other programs, or the documents of a token file. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/dataset.h"

static wb_status run (int argc, char **argv) {
    const char *spec = NULL, *prefix = NULL;
    bool jsonl = false;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &spec));
        else if (wb_opts_is (&o, "--jsonl"))
            WB_TRY (wb_opts_flag (&o, &jsonl));
        else if (wb_opts_is_file (&o)) {
            if (prefix != NULL) return WB_FAIL (WB_EUSAGE, "`%s`: one token file at a time", o.arg);
            prefix = o.arg;
        } else
            return wb_opts_unknown (&o);
    }
    if (spec == NULL) return WB_FAIL (WB_EUSAGE, "--tokenizer is missing: byte or a vocabulary directory");
    if (prefix == NULL && !jsonl)
        return WB_FAIL (WB_EUSAGE, "--jsonl (reads the standard input) or a PREFIX is missing");
    return prefix != NULL ? wb_dataset_decode (spec, prefix, jsonl) : wb_dataset_decode_lines (spec);
}

const wb_cmd_t wb_cmd_decode = {
    .name = "decode",
    .usage = "--tokenizer T PREFIX | --jsonl",
    .line = "turn ids into text",
    .run = run,
    .text = "  --tokenizer T     as in wabun encode\n"
            "  PREFIX            the documents of a token file; with --jsonl as lines {\"text\": ...}\n"
            "  --jsonl           without PREFIX: stdin lines {\"ids\": [...]} become stdout lines {\"text\": ...}\n",
};
