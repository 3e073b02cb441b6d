/* wabun export: a model for other programs. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/convert.h"

static wb_status run (int argc, char **argv) {
    wb_export_t x = {.type = WB_NUMBER_F32};
    int64_t shard = 5000;
    const char *type = NULL;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--to"))
            WB_TRY (wb_opts_text (&o, &x.to));
        else if (wb_opts_is (&o, "--type"))
            WB_TRY (wb_opts_text (&o, &type));
        else if (wb_opts_is (&o, "--clean"))
            WB_TRY (wb_opts_flag (&o, &x.clean));
        else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &x.out));
        else if (wb_opts_is (&o, "--shard-size"))
            WB_TRY (wb_opts_int (&o, &shard, 1, 1 << 20));
        else if (wb_opts_is_file (&o) && x.from == NULL)
            x.from = o.arg;
        else
            return wb_opts_unknown (&o);
    }
    if (x.from == NULL) return WB_FAIL (WB_EUSAGE, "export wants a MODEL, for instance runs/small/latest, or PREFIX");
    if (x.to == NULL) return WB_FAIL (WB_EUSAGE, "--to is missing: the format, for instance hf");
    if (x.out == NULL) return WB_FAIL (WB_EUSAGE, "-o is missing: where to");
    if (type != NULL) WB_TRY (wb_number_of (&x.type, type));
    x.shard = shard * 1000000;
    wb_temp_guard ();
    return wb_convert_export (&x);
}

const wb_cmd_t wb_cmd_export = {
    .name = "export",
    .usage = "MODEL|PREFIX --to FORMAT [--type TYPE] [--clean] -o OUT",
    .line = "write a model or tokens for other programs",
    .run = run,
    .list = wb_formats_list_out,
    .text =
        "  --type TYPE       how numbers are written (default: f32)\n"
        "  --shard-size MB   of hf: begin another file of tensors after so many megabytes (default: 5000)\n"
        "  --clean           of hf, for ja-bpe and ja-swe: its tokenizer cleans as wabun encode --clean does, for a\n"
        "                    model of texts that were encoded so\n"
        "  -o OUT            file or directory that is not there yet\n"
        "\n"
        "MODEL is a model of any format that wabun reads (wabun help import), PREFIX a token file.\n",
};
