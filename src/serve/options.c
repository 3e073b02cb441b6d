/* The options of `wabun serve`. */
#include "config.h"

#include "wabun/serve.h"

wb_serve_t wb_serve_defaults (void) {
    return (wb_serve_t){.port = 8080,
                        .texts = 64,
                        .queue = 512,
                        .client = 256,
                        .body = 4 << 20,
                        .tokens = 262144,
                        .seconds = 600,
                        .silence = 60};
}

static wb_status put_text (const char **list, int *n, int max, wb_opts_t *o) {
    if (*n == max) return WB_FAIL (WB_EUSAGE, "%s: more than %d of them", o->arg, max);
    return wb_opts_text (o, &list[(*n)++]);
}

/* Is the option at hand a number? */
static bool is_number (wb_serve_t *s, wb_opts_t *o, wb_status *status) {
    const struct {
        const char *name;
        int64_t *at, min, max;
    } numbers[] = {{"--port", &s->port, 0, 65535},
                   {"--texts", &s->texts, 1, 1024},
                   {"--cache-mib", &s->cache, 1, INT32_MAX},
                   {"--queue", &s->queue, 1, 100000},
                   {"--per-client", &s->client, 1, 100000},
                   {"--max-body", &s->body, 1024, 1 << 30},
                   {"--max-tokens", &s->tokens, 1, INT32_MAX},
                   {"--max-seconds", &s->seconds, 1, 1000000},
                   {"--client-seconds", &s->silence, 1, 1000000},
                   {"--threads", &s->args.threads, 1, 4096}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (wb_opts_is (o, numbers[i].name)) {
            *status = wb_opts_int (o, numbers[i].at, numbers[i].min, numbers[i].max);
            return true;
        }
    return false;
}

bool wb_serve_next (wb_serve_t *s, wb_opts_t *o, wb_status *status) {
    *status = WB_OK;
    while (*status == WB_OK && wb_opts_next (o)) {
        if (is_number (s, o, status)) continue;
        if (wb_opts_is (o, "--model"))
            *status = put_text (s->models, &s->nmodels, WB_SERVE_MODELS, o);
        else if (wb_opts_is (o, "--host"))
            *status = wb_opts_text (o, &s->host);
        else if (wb_opts_is (o, "--api-keys"))
            *status = wb_opts_text (o, &s->keys);
        else if (wb_opts_is (o, "--allow-origin"))
            *status = put_text (s->origins, &s->norigins, WB_SERVE_ORIGINS, o);
        else if (wb_opts_is (o, "--tokenizer"))
            *status = wb_opts_text (o, &s->args.tokenizer);
        else if (wb_opts_is (o, "--weights"))
            *status = wb_weights_option (&s->args.weights, o);
        else if (wb_opts_is (o, "--cache"))
            *status = wb_cache_option (&s->args.half_cache, o);
        else if (wb_opts_is (o, "--no-verify"))
            *status = wb_opts_flag (o, &s->args.no_verify);
        else if (wb_opts_is (o, "--share"))
            *status = wb_opts_flag (o, &s->args.share);
        else
            return true;
    }
    if (*status == WB_OK && s->nmodels == 0)
        *status = WB_FAIL (WB_EUSAGE, "serve wants --model DIR: a checkpoint, or any Hugging Face GPT-2 directory");
    return false;
}
