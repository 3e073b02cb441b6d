/* The command line of an evaluation. */
#include "config.h"

#include "wabun/infer.h"

/* The option's value becomes the next text. */
static wb_status take_text (wb_eval_t *e, wb_opts_t *o, char **argv) {
    const char *text;
    WB_TRY (wb_opts_text (o, &text));
    e->texts = argv + 1 + e->nmodels;
    e->texts[e->ntexts++] = argv[o->at] + (text - argv[o->at]);
    return WB_OK;
}

wb_status wb_eval_options (wb_eval_t *e, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    int64_t seed = 1;
    const char *bad_lines = NULL;
    *e = (wb_eval_t){.models = argv + 1}; /* what is no option moves to the front: models, then texts */
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--text"))
            WB_TRY (take_text (e, &o, argv));
        else if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &e->tokenizer));
        else if (wb_opts_is (&o, "--choices"))
            WB_TRY (wb_opts_text (&o, &e->choices));
        else if (wb_opts_is (&o, "--sampling-grid"))
            WB_TRY (wb_opts_text (&o, &e->grid));
        else if (wb_opts_is (&o, "--bad-lines"))
            WB_TRY (wb_opts_text (&o, &bad_lines));
        else if (wb_opts_is (&o, "--stride"))
            WB_TRY (wb_opts_int (&o, &e->stride, 1, INT32_MAX));
        else if (wb_opts_is (&o, "--exclude-end"))
            WB_TRY (wb_opts_flag (&o, &e->exclude_end));
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &e->threads, 1, 4096));
        else if (wb_opts_is (&o, "--weights"))
            WB_TRY (wb_weights_option (&e->weights, &o));
        else if (wb_opts_is (&o, "--cache"))
            WB_TRY (wb_cache_option (&e->half_cache, &o));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &e->json));
        else if (wb_opts_is (&o, "--no-verify"))
            WB_TRY (wb_opts_flag (&o, &e->no_verify));
        else if (wb_opts_is_file (&o) && e->ntexts == 0)
            argv[1 + e->nmodels++] = argv[o.at];
        else if (wb_opts_is_file (&o))
            e->texts[e->ntexts++] = argv[o.at];
        else
            return wb_opts_unknown (&o);
    }
    e->seed = (uint64_t) seed;
    return wb_bad_lines_parse (&e->bad_lines, bad_lines);
}
