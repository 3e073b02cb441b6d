/* wabun import: a model of another program. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/convert.h"

static wb_status run (int argc, char **argv) {
    const char *from = NULL, *out = NULL, *tokenizer = NULL;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &out));
        else if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &tokenizer));
        else if (wb_opts_is_file (&o) && from == NULL)
            from = o.arg;
        else
            return wb_opts_unknown (&o);
    }
    if (from == NULL) return WB_FAIL (WB_EUSAGE, "import wants FROM: a model that another program made");
    if (out == NULL) return WB_FAIL (WB_EUSAGE, "-o is missing: the model directory to be made");
    wb_temp_guard ();
    return wb_convert_import (from, out, tokenizer);
}

const wb_cmd_t wb_cmd_import = {
    .name = "import",
    .usage = "FROM -o MODEL|PREFIX [--tokenizer T]",
    .line = "make a model or a token file of what another program wrote",
    .run = run,
    .list = wb_formats_list_in,
    .text = "  -o MODEL|PREFIX   a model directory, or of tokens the prefix of a token file; not there yet\n"
            "  --tokenizer T     goes into it (default: the model's own, if wabun knows its kind)\n"
            "\n"
            "The format is found by looking into FROM. Weights become fp32; of tokens a token file is made.\n",
};
