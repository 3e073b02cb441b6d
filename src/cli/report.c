/* wabun report: runs as one page. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/report.h"
#include "wabun/run.h"

enum { MAX_RUNS = 64 };

wb_status wb_cmd_japanese (bool *japanese, const char *lang) {
    const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    *japanese = false;
    if (lang != NULL && strcmp (lang, "en") != 0 && strcmp (lang, "ja") != 0)
        return WB_FAIL (WB_EUSAGE, "--lang %s: it is en or ja", lang);
    for (size_t i = 0; lang == NULL && i < sizeof names / sizeof *names; i++) {
        const char *s = getenv (names[i]);
        if (s != NULL && s[0] != 0) lang = s;
    }
    *japanese = lang != NULL && strncmp (lang, "ja", 2) == 0;
    return WB_OK;
}

static wb_status run (int argc, char **argv) {
    const char *runs[MAX_RUNS], *evals[MAX_RUNS], *out = NULL, *lang = NULL;
    bool running[MAX_RUNS] = {false};
    wb_page_what_t what = {.runs = runs, .running = running, .evaluations = evals};
    int n = 0, nevals = 0;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &out));
        else if (wb_opts_is (&o, "--lang"))
            WB_TRY (wb_opts_text (&o, &lang));
        else if (wb_opts_is (&o, "--eval") && nevals < MAX_RUNS)
            WB_TRY (wb_opts_text (&o, &evals[nevals++]));
        else if (!wb_opts_is_file (&o))
            return wb_opts_unknown (&o);
        else if (n < MAX_RUNS)
            runs[n++] = o.arg;
        else
            return WB_FAIL (WB_EUSAGE, "%s is the 65th run: a page compares at most %d", o.arg, MAX_RUNS);
    }
    if (n == 0) return WB_FAIL (WB_EUSAGE, "report wants a RUN: the directory that `run` of a configuration names");
    if (out == NULL) return WB_FAIL (WB_EUSAGE, "which file? -o FILE.html");
    WB_TRY (wb_cmd_japanese (&what.japanese, lang));
    for (int i = 0; i < n; i++) WB_TRY (wb_run_is_running (&running[i], runs[i]));
    what.nruns = n, what.nevaluations = nevals;
    wb_temp_guard ();
    return wb_page_write (out, &what);
}

const wb_cmd_t wb_cmd_report = {
    .name = "report",
    .usage = "RUN... -o FILE.html [--eval FILE.json]... [--lang en|ja]",
    .line = "make a page of one or several runs",
    .run = run,
    .text =
        "  RUN               the directory of a run; several are compared\n"
        "  -o FILE           the page: one file that opens in a browser by itself, without a network\n"
        "  --eval FILE       what wabun eval --json has printed into a file; may be given more than once\n"
        "  --lang en|ja      the language that is seen first (default: that of LANG); the page has both\n"
        "\n"
        "Loss, bits per byte, rate, gradient norm, speed, time by phase, ranks compared, and checkpoints, over steps\n"
        "or tokens, with restarts, skipped steps and rollbacks marked; evaluations; samples; records as tables; the\n"
        "configurations and what differs.  Works while a run goes on; lines of metrics.jsonl that cannot be read are\n"
        "counted and left out.  Of long runs neighbouring records become one, with their lowest and highest value.\n",
};
