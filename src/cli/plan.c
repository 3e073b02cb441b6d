/* wabun plan: the command line of a plan (plan.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/plan.h"

wb_status wb_cmd_plan (int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    const char *file = NULL, *sets[256];
    int nsets = 0;
    int64_t ranks = 0, asked = 0;

    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--ranks"))
            WB_TRY (wb_opts_int (&o, &ranks, 1, 1 << 24));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &asked, 1, 1024));
        else if (wb_opts_is (&o, "--set")) {
            if (nsets == 256) return WB_FAIL (WB_EUSAGE, "more than 256 times --set");
            WB_TRY (wb_opts_text (&o, &sets[nsets]));
            ++nsets;
        } else if (wb_opts_is_file (&o)) {
            if (file != NULL) return WB_FAIL (WB_EUSAGE, "two configurations, %s and %s: one is enough", file, o.arg);
            file = o.arg;
        } else
            return wb_opts_unknown (&o);
    }
    if (file == NULL) return WB_FAIL (WB_EUSAGE, "which configuration? wabun plan CFG, for instance jobs/small.cfg");
    return wb_plan (&(wb_plan_args_t){file, sets, nsets, ranks, asked});
}
