/* The options of `wabun serve`. */
#include "config.h"

#include "wabun/serve.h"

static wb_status put_text (const char **list, int *n, int max, wb_opts_t *o) {
    if (*n == max) return WB_FAIL (WB_EUSAGE, "%s: more than %d of them", o->arg, max);
    return wb_opts_text (o, &list[(*n)++]);
}

bool wb_serve_next (wb_serve_t *s, wb_opts_t *o, wb_status *status) {
    *status = WB_OK;
    while (*status == WB_OK && wb_opts_next (o)) {
        if (wb_opts_is (o, "--model"))
            *status = put_text (s->models, &s->nmodels, WB_SERVE_MODELS, o);
        else if (wb_opts_is (o, "--host"))
            *status = wb_opts_text (o, &s->host);
        else if (wb_opts_is (o, "--port"))
            *status = wb_opts_int (o, &s->port, 0, 65535);
        else if (wb_opts_is (o, "--api-keys"))
            *status = wb_opts_text (o, &s->keys);
        else if (wb_opts_is (o, "--allow-origin"))
            *status = put_text (s->origins, &s->norigins, WB_SERVE_ORIGINS, o);
        else if (wb_opts_is (o, "--texts"))
            *status = wb_opts_int (o, &s->texts, 1, 1024);
        else if (wb_opts_is (o, "--queue"))
            *status = wb_opts_int (o, &s->queue, 1, 100000);
        else if (wb_opts_is (o, "--tokenizer"))
            *status = wb_opts_text (o, &s->args.tokenizer);
        else if (wb_opts_is (o, "--threads"))
            *status = wb_opts_int (o, &s->args.threads, 1, 4096);
        else if (wb_opts_is (o, "--no-verify"))
            *status = wb_opts_flag (o, &s->args.no_verify);
        else
            return true;
    }
    if (*status == WB_OK && s->nmodels == 0)
        *status = WB_FAIL (WB_EUSAGE, "serve wants --model DIR: a checkpoint, or any Hugging Face GPT-2 directory");
    return false;
}
