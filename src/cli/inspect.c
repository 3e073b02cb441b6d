/* wabun inspect: says what a file is. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/convert.h"

static wb_status run (int argc, char **argv) {
    const char *path = NULL;
    bool json = false;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &json));
        else if (wb_opts_is_file (&o) && path == NULL)
            path = o.arg;
        else
            return wb_opts_unknown (&o);
    }
    if (path == NULL) return WB_FAIL (WB_EUSAGE, "inspect wants a PATH: of a model, a checkpoint, a token file ...");
    return wb_convert_inspect (path, json);
}

const wb_cmd_t wb_cmd_inspect = {
    .name = "inspect",
    .usage = "PATH [--json]",
    .line = "say what a model or a file is",
    .run = run,
    .list = wb_formats_list_all,
    .text = "  PATH              a model directory, a checkpoint, a file of tensors or of tokens, a vocabulary\n"
            "  --json            everything as one object\n"
            "\n"
            "The format is found by looking into the file. Of a checkpoint all checksums are compared.\n",
};
