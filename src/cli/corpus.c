/* wabun corpus: from files of any kind to a clean corpus (corpus.h). */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"
#include "wabun/corpus.h"

static wb_status build (wb_opts_t *o) {
    wb_config_args_t args = {0};
    wb_corpus_config_t c;
    wb_comm_t *world;
    bool taken, force = false;
    while (wb_opts_next (o)) {
        if (wb_opts_is (o, "--force")) {
            WB_TRY (wb_opts_flag (o, &force));
            continue;
        }
        WB_TRY (wb_config_args_option (&args, o, &taken));
        if (!taken) return wb_opts_unknown (o);
    }
    if (args.path == NULL)
        return WB_FAIL (WB_EUSAGE, "which configuration? wabun corpus build CFG, for instance jobs/corpus.cfg");
    wb_temp_guard ();
    WB_TRY (wb_world_new (&world));
    wb_status status = wb_corpus_config_share (&c, world, args.path, args.sets, args.nsets);
    if (status == WB_OK) status = wb_corpus_build (world, c.options, c.text.data, force);
    wb_corpus_config_fini (&c);
    wb_world_destroy (world);
    return status;
}

static wb_status report (wb_opts_t *o) {
    const char *dir = NULL, *lang = NULL;
    bool japanese;
    while (wb_opts_next (o)) {
        if (wb_opts_is (o, "--lang"))
            WB_TRY (wb_opts_text (o, &lang));
        else if (wb_opts_is_file (o) && dir == NULL)
            dir = o->arg;
        else if (wb_opts_is_file (o))
            return WB_FAIL (WB_EUSAGE, "two corpora, %s and %s: one is enough", dir, o->arg);
        else
            return wb_opts_unknown (o);
    }
    if (dir == NULL) return WB_FAIL (WB_EUSAGE, "which corpus? wabun corpus report DIR");
    WB_TRY (wb_cmd_japanese (&japanese, lang));
    return wb_corpus_report (dir, japanese);
}

static wb_status run (int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    const char *const names[] = {"build", "report"};
    if (!wb_opts_next (&o)) return WB_FAIL (WB_EUSAGE, "corpus wants build CFG or report DIR");
    if (strcmp (o.arg, "build") == 0) return build (&o);
    if (strcmp (o.arg, "report") == 0) return report (&o);
    const char *near = wb_nearest (o.arg, names, 2);
    return WB_FAIL (WB_EUSAGE, "there is no `corpus %s`%s%s", o.arg,
                    near != NULL ? "; did you mean " : ": there are build and ", near != NULL ? near : "report");
}

const wb_cmd_t wb_cmd_corpus = {
    .name = "corpus",
    .usage = "build CFG [--set KEY=VALUE]... [--force] | report DIR [--lang en|ja]",
    .line = "make a clean corpus of files of any kind",
    .run = run,
    .flags = WB_CMD_RANKS | WB_CMD_CORPUS,
    .alone = "report",
    .text = "  build CFG         make the corpus of this configuration (libconfig); its keys are listed below\n"
            "  --set KEY=VALUE   override one key, for instance --set filters.min_chars=100; may be repeated\n"
            "  --force           replace a corpus that another configuration made; with the same one it is made again\n"
            "                    where files have changed\n"
            "  report DIR        write DIR/report.html of what was kept and what went, and why\n"
            "  --lang en|ja      language of its labels (default: that of LANG)\n"
            "\n"
            "A corpus is DIR/GENRE-00000.jsonl.zst ..., lines of JSON with text, source, genre, id and licence;\n"
            "DIR/GENRE-valid-00000.jsonl.zst ... for validation; and DIR/manifest.json. It is the same on any number\n"
            "of ranks and threads: mpirun -n 8 wabun corpus build jobs/corpus.cfg\n"
            "\n"
            "Files that cannot be read are left out and listed in the manifest. Interrupted, it goes on from the\n"
            "parts that are done. A source of which nothing stays is an error (exit code 5).\n",
};
