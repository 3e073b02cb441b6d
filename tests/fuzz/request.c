/* Requests to wabun serve: first byte: which address; the rest: the body.  They come as far as the engine, which is
 * about to stop, and what it would have been given must be what it can work on. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "serve/http.h"

enum { T = 64, V = 257, ROUTES = 6 };

static wb_serve_t options;
static wb_model_t model;
static wb_served_t served;
static wb_server_t server;
static const wb_route_t *routes[ROUTES];

static void init (void) {
    static const char chat[] =
        "{\"system\": \"s{content}\", \"user\": \"u{content}\", \"assistant\": \"a{content}<|endoftext|>\", "
        "\"reply\": \"r\", \"stop\": [\"\\n\"]}";
    int n = 0;
    options = wb_serve_defaults ();
    options.nmodels = 1;
    model.size = (wb_size_t){1, 8, 1, T, V};
    FUZZ_MUST (wb_tokenizer_new (&model.tokenizer, "byte"));
    fuzz_write ("chat.json", chat, sizeof chat - 1);
    FUZZ_MUST (wb_chat_read (&served.chat, "."));
    static char name[] = "model";
    served.name = name, served.model = &model;
    server.o = &options, server.served = &served, server.draining = true;
    server.inbox_end = &server.inbox;
    pthread_mutex_init (&server.lock, NULL);
    pthread_cond_init (&server.work, NULL);
    for (const wb_route_t *r = wb_routes; r->method != NULL; r++)
        if (strcmp (r->method, "POST") == 0 && n < ROUTES) routes[n++] = r;
    FUZZ_CHECK (n == ROUTES, "%d addresses", n);
}

static void check_job (const wb_call_t *c, const wb_job_t *j) {
    const wb_request_t *r = &j->r;
    FUZZ_CHECK (j->ids.len >= 1 && j->ids.len <= T, "a prompt of %lld ids", (long long) j->ids.len);
    for (int64_t i = 0; i < j->ids.len; i++)
        FUZZ_CHECK (j->ids.data[i] >= 0 && j->ids.data[i] < V, "id %d", (int) j->ids.data[i]);
    FUZZ_CHECK (r->texts >= 1 && r->texts == c->texts && r->min_length >= 0 && r->max_length >= 0 &&
                    r->min_length <= (r->max_length > 0 ? r->max_length : r->min_length) && r->likely <= WB_LIKELY_MAX,
                "%lld texts of %lld to %lld tokens", (long long) r->texts, (long long) r->min_length,
                (long long) r->max_length);
    FUZZ_MUST (wb_sampling_check (&r->sampling, V));
}

static void run (const uint8_t *data, size_t n) {
    if (n == 0) return;
    wb_exchange_t x = {.server = &server, .route = routes[data[0] % ROUTES]};
    FUZZ_MUST (wb_buf_put (&x.body, data + 1, n - 1));
    if (wb_json_parse (&x)) x.route->answer (&x);
    wb_error_clear ();
    FUZZ_CHECK (x.answered && x.response != NULL, "no answer");
    FUZZ_CHECK (x.status == 200 || x.status == 400 || x.status == 503, "status %d", x.status);
    for (int64_t i = 0; x.status == 503 && i < x.call->njobs; i++) check_job (x.call, &x.call->jobs[i]);
    wb_call_destroy (x.call);
    FUZZ_CHECK (served.users == 0 && server.open == 0 && server.clients == NULL, "somebody is left");
    MHD_destroy_response (x.response);
    json_decref (x.json);
    wb_buf_fini (&x.body);
}

static void seeds (void) {
    static const char *const bodies[] = {
        "{\"prompt\":[\"abc\",\"い\"],\"n\":2,\"max_tokens\":5,\"logprobs\":3,\"echo\":true,\"stop\":[\"x\",\"yz\"],"
        "\"seed\":7,"
        "\"temperature\":0.5,\"top_p\":0.9,\"top_k\":3,\"min_p\":0.1,\"logit_bias\":{\"97\":-1.5},\"min_tokens\":1}",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":"
        "\"b\"}]}],\"logprobs\":true,\"top_logprobs\":2,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
        "{\"input\":[[1,2,3],[256]],\"encoding_format\":\"base64\"}",
        "{\"text\":\"a\\u3042\\ud83d\\ude00\"}",
        "{\"tokens\":[97,227,129,130]}",
        "{\"text\":[\"abc\",\"\"],\"tokens\":true,\"exclude_end\":true}"};
    for (int i = 0; i < ROUTES; i++) {
        char name[16], seed[512];
        const int n = snprintf (seed, sizeof seed, "%c%s", i, bodies[i]);
        snprintf (name, sizeof name, "%d", i);
        fuzz_seed (name, seed, (size_t) n);
    }
}

const fuzz_harness_t fuzz_request = {"request", init, run, seeds};
