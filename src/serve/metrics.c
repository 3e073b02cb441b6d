/* GET /metrics: what the server does, in OpenMetrics (the text form that Prometheus reads). */
#include "config.h"

#include <string.h>

#include "serve/serve_priv.h"

/* Upper bounds of the buckets, in seconds. */
static const double bounds[WB_SERVE_BUCKETS] = {0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15,
                                                0.2,   0.3,  0.5,  1,    2,    5,    15,  60};

void wb_histogram_add (wb_histogram_t *h, double seconds) {
    int i = 0;
    while (i < WB_SERVE_BUCKETS && seconds > bounds[i]) i++;
    h->count[i]++;
    h->sum += seconds;
}

typedef struct out {
    wb_buf_t buf;
    wb_status status;
} out_t;

static void WB_PRINTF (2, 3) put (out_t *o, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start (ap, fmt);
    const int n = vsnprintf (text, sizeof text, fmt, ap);
    va_end (ap);
    if (o->status == WB_OK && n > 0) o->status = wb_buf_put (&o->buf, text, (size_t) n);
}

static void put_gauge (out_t *o, const char *name, const char *help, double x) {
    put (o, "# HELP wabun_%s %s\n# TYPE wabun_%s gauge\nwabun_%s %.17g\n", name, help, name, name, x);
}

static void put_counter (out_t *o, const char *name, const char *help, int64_t x) {
    put (o, "# HELP wabun_%s %s\n# TYPE wabun_%s counter\nwabun_%s_total %lld\n", name, help, name, name,
         (long long) x);
}

static void put_histogram (out_t *o, const char *name, const char *help, const wb_histogram_t *h) {
    int64_t sum = 0;
    put (o, "# HELP wabun_%s %s\n# TYPE wabun_%s histogram\n# UNIT wabun_%s seconds\n", name, help, name, name);
    for (int i = 0; i <= WB_SERVE_BUCKETS; i++) {
        sum += h->count[i];
        if (i < WB_SERVE_BUCKETS)
            put (o, "wabun_%s_bucket{le=\"%g\"} %lld\n", name, bounds[i], (long long) sum);
        else
            put (o, "wabun_%s_bucket{le=\"+Inf\"} %lld\n", name, (long long) sum);
    }
    put (o, "wabun_%s_count %lld\nwabun_%s_sum %.9g\n", name, (long long) sum, name, h->sum);
}

static void put_answers (out_t *o, const int64_t *answers) {
    put (o, "# HELP wabun_answers Answers by HTTP, by the class of their status.\n# TYPE wabun_answers counter\n");
    for (int i = 2; i <= 5; i++) put (o, "wabun_answers_total{status=\"%dxx\"} %lld\n", i, (long long) answers[i]);
}

void wb_answer_metrics (wb_exchange_t *x) {
    wb_server_t *s = x->server;
    out_t o = {0};
    pthread_mutex_lock (&s->lock);
    const wb_serve_stats_t stats = s->stats;
    const wb_engine_stats_t e = s->engines;
    const int64_t open = s->open;
    pthread_mutex_unlock (&s->lock);
    put_answers (&o, stats.answers);
    put_counter (&o, "requests", "Requests that an engine was to work on.", stats.calls);
    put_counter (&o, "cancelled", "Prompts whose client went away before the end.", stats.cancelled);
    put_counter (&o, "cut", "Connections ended because their client was too slow.", stats.cut);
    put_gauge (&o, "requests_open", "Prompts under way or waiting.", (double) open);
    put_gauge (&o, "texts_running", "Texts being written.", (double) e.texts);
    put_gauge (&o, "texts_waiting", "Texts that wait for their turn.", (double) e.waiting);
    put_counter (&o, "tokens", "Tokens drawn.", e.tokens + stats.gone.tokens);
    put_counter (&o, "prompt_tokens", "Tokens of prompts processed.", e.prompt_tokens + stats.gone.prompt_tokens);
    put_counter (&o, "prompt_tokens_shared", "Tokens of prompts found in shared blocks.",
                 e.shared_tokens + stats.gone.shared_tokens);
    put_counter (&o, "steps", "Steps of the engines.", e.steps + stats.gone.steps);
    put_counter (&o, "pauses", "How often a text gave its blocks back for a while.", e.paused + stats.gone.paused);
    put_gauge (&o, "blocks", "Blocks of keys and values.", (double) e.blocks);
    put_gauge (&o, "blocks_used", "Of these in use.", (double) e.blocks_used);
    put_histogram (&o, "first_token_seconds", "From a request to the first token of its text.", &stats.first);
    put_histogram (&o, "token_seconds", "From one token of a text to the next.", &stats.between);
    put_gauge (&o, "uptime_seconds", "Since the start.", wb_now () - s->started);
    put (&o, "# EOF\n");
    if (o.status == WB_OK)
        wb_answer_bytes (x, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", o.buf.data, o.buf.len);
    else
        wb_answer_failed (x);
    wb_buf_fini (&o.buf);
}
