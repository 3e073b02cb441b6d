/* POST /v1/completions: texts that go on from prompts; and /v1/chat/completions, where the prompt is a conversation.
 *
 * Every prompt is a job of its own with n texts, so a prompt's texts do not depend on those it is sent with.
 * Not here: what a conversation is (chat.c), answers by events (stream.c), lists of log-probabilities (logprobs.c). */
#include "config.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "serve/http.h"

/* What of a request is the same for all of its prompts. */
typedef struct asked {
    wb_completion_t c;
    int64_t n, max_tokens, min_tokens, likely;
    wb_sampling_t sampling;
} asked_t;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool refuse (wb_exchange_t *x, const char *name, const char *why) {
    wb_answer_error (x, 400, name, "unsupported_parameter", "%s is not supported: %s", name, why);
    return false;
}

/* What the API has for conversations and this server has not, likewise. */
static bool read_refused_of_chat (wb_exchange_t *x) {
    static const char *const names[] = {"tools", "functions", "audio", "modalities"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get (x->json, names[i]);
        const bool plain = v == NULL || json_is_null (v) || (json_is_array (v) && json_array_size (v) == 0);
        if (!plain) return refuse (x, names[i], "the model only writes text");
    }
    const json_t *v = json_object_get (x->json, "response_format");
    const char *type = json_string_value (json_object_get (v, "type"));
    if (v == NULL || json_is_null (v) || (type != NULL && strcmp (type, "text") == 0)) return true;
    return refuse (x, "response_format", "the model only writes text");
}

/* What the API has and this server has not: refused where it would change the answer. */
static bool read_refused (wb_exchange_t *x, int64_t n) {
    int64_t best_of = n;
    const char *suffix = NULL;
    if (!wb_json_int (x, "best_of", &best_of, 0, INT32_MAX) || !wb_json_text (x, "suffix", &suffix)) return false;
    if (best_of != n && best_of != 1) return refuse (x, "best_of", "ask for n texts with logprobs, and choose");
    if (suffix != NULL && *suffix != 0) return refuse (x, "suffix", "the model only goes on from a beginning");
    return true;
}

/* "logit_bias": {"ID": X}. */
static bool read_bias (wb_exchange_t *x, wb_sampling_t *s) {
    json_t *list = json_object_get (x->json, "logit_bias"), *v;
    const char *name;
    if (list == NULL || json_is_null (list)) return true;
    bool good = json_is_object (list) && json_object_size (list) <= WB_BIAS_MAX;
    if (good) json_object_foreach (list, name, v) {
            int64_t id;
            const double add = json_number_value (v);
            good = good && json_is_number (v) && add >= -1000 && add <= 1000 &&
                   wb_opt_int (&id, "logit_bias", name, 0, INT32_MAX) == WB_OK;
            if (!good) break;
            s->bias[s->nbias++] = (wb_bias_t){(int32_t) id, (float) add};
        }
    wb_error_clear ();
    if (!good)
        wb_answer_error (x, 400, "logit_bias", NULL, "logit_bias must be {\"ID\": number, ...}, of at most %d tokens",
                         WB_BIAS_MAX);
    return good;
}

static bool read_sampling (wb_exchange_t *x, wb_sampling_t *s) {
    int64_t seed = -1;
    *s = (wb_sampling_t){.temperature = 1.0, .search = {.length_penalty = 1.0, .candidates = 4}};
    if (!wb_json_number (x, "temperature", &s->temperature, 0, 100) || !wb_json_number (x, "top_p", &s->top_p, 0, 1) ||
        !wb_json_number (x, "min_p", &s->min_p, 0, 1) || !wb_json_number (x, "typical_p", &s->typical_p, 0, 1) ||
        !wb_json_number (x, "repetition_penalty", &s->repetition_penalty, 0.01, 100) ||
        !wb_json_number (x, "frequency_penalty", &s->frequency_penalty, -100, 100) ||
        !wb_json_number (x, "presence_penalty", &s->presence_penalty, -100, 100) || !read_bias (x, s) ||
        !wb_json_int (x, "no_repeat_ngram", &s->no_repeat_ngram, 0, INT32_MAX) ||
        !wb_json_int (x, "beams", &s->search.beams, 0, WB_SEARCH_MAX) ||
        !wb_json_number (x, "length_penalty", &s->search.length_penalty, -10, 10) ||
        !wb_json_number (x, "penalty_alpha", &s->search.penalty_alpha, 0, 1) ||
        !wb_json_int (x, "candidates", &s->search.candidates, 1, WB_SEARCH_MAX) ||
        !wb_json_int (x, "top_k", &s->top_k, -1, INT32_MAX) || !wb_json_int (x, "seed", &seed, INT64_MIN, INT64_MAX))
        return false;
    if (s->top_k < 0) s->top_k = 0;
    s->seed = (uint64_t) seed;
    if (json_is_integer (json_object_get (x->json, "seed"))) return true;
    if (getrandom (&s->seed, sizeof s->seed, 0) != sizeof s->seed) s->seed = (uint64_t) (wb_now () * 1e9);
    return true;
}

/* "stop": a text or a list of texts, which stay the JSON's. */
static bool read_stops (wb_exchange_t *x, wb_call_t *c) {
    const json_t *v = json_object_get (x->json, "stop");
    const size_t n = json_is_array (v) ? json_array_size (v) : v != NULL && !json_is_null (v) ? 1 : 0;
    if (n > WB_SERVE_STOPS) {
        wb_answer_error (x, 400, "stop", NULL, "stop has %zu texts: at most %d are possible", n, WB_SERVE_STOPS);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value (json_is_array (v) ? json_array_get (v, i) : v);
        if (text == NULL || *text == 0) {
            wb_answer_error (x, 400, "stop", NULL, "stop must be a text that is not empty, or a list of such texts");
            return false;
        }
        c->stops[c->nstops++] = text;
    }
    return true;
}

static bool read_usage (wb_exchange_t *x, wb_completion_t *c) {
    const json_t *options = json_object_get (x->json, "stream_options");
    if (options == NULL || json_is_null (options)) return true;
    const json_t *usage = json_object_get (options, "include_usage");
    if (json_is_object (options) && (usage == NULL || json_is_null (usage) || json_is_boolean (usage))) {
        c->usage = json_is_true (usage);
        return true;
    }
    wb_answer_error (x, 400, "stream_options", NULL, "stream_options must be {\"include_usage\": true or false}");
    return false;
}

/* What texts and conversations have different words for. */
static bool read_forms (wb_exchange_t *x, asked_t *a) {
    if (!a->c.chat)
        return wb_json_int (x, "logprobs", &a->likely, 0, WB_LIKELY_MAX) && wb_json_bool (x, "echo", &a->c.echo) &&
               read_refused (x, a->n);
    bool logprobs = false;
    int64_t likely = 0;
    if (!wb_json_int (x, "max_completion_tokens", &a->max_tokens, 0, WB_SERVE_MOST) ||
        !wb_json_bool (x, "logprobs", &logprobs) || !wb_json_int (x, "top_logprobs", &likely, 0, WB_LIKELY_MAX) ||
        !read_refused_of_chat (x))
        return false;
    if (logprobs) a->likely = likely;
    return true;
}

static bool read_asked (wb_exchange_t *x, asked_t *a, bool chat) {
    struct timespec now;
    uint64_t id[2] = {0};
    *a = (asked_t){.c = {.chat = chat}, .n = 1, .max_tokens = chat ? -1 : 16, .likely = -1};
    if (!wb_json_int (x, "n", &a->n, 1, WB_SERVE_CHOICES) ||
        !wb_json_int (x, "max_tokens", &a->max_tokens, 0, WB_SERVE_MOST) ||
        !wb_json_int (x, "min_tokens", &a->min_tokens, 0, WB_SERVE_MOST) || !wb_json_bool (x, "stream", &a->c.stream) ||
        !read_usage (x, &a->c) || !read_sampling (x, &a->sampling) || !read_forms (x, a))
        return false;
    if (a->max_tokens >= 0 && a->min_tokens > a->max_tokens) {
        wb_answer_error (x, 400, "min_tokens", NULL, "min_tokens %lld is more than max_tokens %lld",
                         (long long) a->min_tokens, (long long) a->max_tokens);
        return false;
    }
    const char *why = wb_search_refusal (&a->sampling.search, a->n);
    if (why != NULL) {
        wb_answer_error (x, 400, a->n > 1 ? "n" : "beams", NULL, "%s", why);
        return false;
    }
    a->c.logprobs = a->likely >= 0;
    clock_gettime (CLOCK_REALTIME, &now);
    a->c.created = now.tv_sec;
    (void) !getrandom (id, sizeof id, 0);
    snprintf (a->c.id, sizeof a->c.id, "%scmpl-%016llx%08llx", chat ? "chat" : "", (unsigned long long) id[0],
              (unsigned long long) id[1] & 0xffffffff);
    return true;
}

/* Prompt i, for the engine.  An empty one is <|endoftext|>, after which a text begins. */
static bool read_prompt (wb_exchange_t *x, wb_call_t *c, int64_t i, const asked_t *a) {
    wb_job_t *j = &c->jobs[i];
    const wb_model_t *m = c->served->model;
    if (a->c.chat ? !wb_chat_prompt (x, c->served, &j->ids)
                  : !wb_json_prompt (x, "prompt", i, c->served, &j->ids, &j->prompt))
        return false;
    if (j->ids.len == 0 && wb_ids_put (&j->ids, wb_tokenizer_eot (m->tokenizer)) != WB_OK) {
        wb_answer_failed (x);
        return false;
    }
    if (j->ids.len > m->size.T) {
        wb_answer_error (x, 400, a->c.chat ? "messages" : "prompt", "context_length_exceeded",
                         "the prompt has %lld tokens: the model has %lld positions", (long long) j->ids.len,
                         (long long) m->size.T);
        return false;
    }
    const int32_t size = wb_tokenizer_size (m->tokenizer);
    if (wb_sampling_check (&a->sampling, size < m->size.V ? size : m->size.V) != WB_OK) {
        wb_answer_failed (x);
        return false;
    }
    j->r.sampling = a->sampling;
    /* A conversation that says nothing may fill the model's positions. */
    const int64_t rest = m->size.T - j->ids.len > a->min_tokens ? m->size.T - j->ids.len : a->min_tokens;
    j->r.min_length = a->min_tokens, j->r.max_length = a->max_tokens >= 0 ? a->max_tokens : rest > 0 ? rest : 1;
    j->r.likely = (int) a->likely;
    j->r.prompt = a->c.echo && a->c.logprobs;
    j->r.n = j->ids.len;
    if (wb_engine_check (c->served->engine, &j->r) == WB_OK) return true;
    wb_answer_failed (x);
    return false;
}

/* The call; NULL: answered. */
static wb_call_t *read_call (wb_exchange_t *x, const asked_t *a) {
    int64_t jobs = 1;
    if (!a->c.chat && !wb_json_prompts (x, "prompt", &jobs, WB_SERVE_CHOICES)) return NULL;
    if (jobs * a->n > WB_SERVE_CHOICES) {
        wb_answer_error (x, 400, "n", NULL, "%lld prompts with %lld texts each: at most %d texts are possible",
                         (long long) jobs, (long long) a->n, WB_SERVE_CHOICES);
        return NULL;
    }
    wb_served_t *m = wb_json_model (x);
    if (m == NULL) return NULL;
    x->call = wb_call_new (x->server, m, jobs, a->n);
    if (x->call == NULL) {
        wb_answer_error (x, 500, NULL, NULL, "out of memory");
        return NULL;
    }
    const int64_t width = wb_search_width (&a->sampling.search), texts = width > a->n ? width : a->n;
    int64_t sum = 0;
    for (int64_t i = 0; i < jobs; i++) {
        if (!read_prompt (x, x->call, i, a)) return NULL;
        sum += texts * x->call->jobs[i].r.max_length;
    }
    if (sum > x->server->o->tokens) {
        wb_answer_error (x, 400, "max_tokens", NULL, "%lld tokens are asked for: a request may have %lld",
                         (long long) sum, (long long) x->server->o->tokens);
        return NULL;
    }
    for (int i = 0; a->c.chat && i < m->chat->nstops; i++) x->call->stops[x->call->nstops++] = m->chat->stops[i];
    return read_stops (x, x->call) ? x->call : NULL;
}

/* ---- answering --------------------------------------------------------------------------------------------------- */

json_t *wb_completion_begin (const wb_completion_t *c, const wb_call_t *call) {
    return json_pack ("{s:s,s:s,s:I,s:s}", "id", c->id, "object",
                      !c->chat    ? "text_completion"
                      : c->stream ? "chat.completion.chunk"
                                  : "chat.completion",
                      "created", (json_int_t) c->created, "model", call->served->name);
}

json_t *wb_completion_usage (const wb_call_t *call) {
    json_int_t prompt = 0, drawn = 0;
    for (int64_t i = 0; i < call->njobs; i++) prompt += call->jobs[i].ids.len;
    for (int64_t i = 0; i < call->njobs * call->texts; i++) drawn += call->choices[i].tokens;
    return json_pack ("{s:I,s:I,s:I}", "prompt_tokens", prompt, "completion_tokens", drawn, "total_tokens",
                      prompt + drawn);
}

wb_status wb_completion_prompt (wb_buf_t *out, const wb_job_t *j) {
    if (j->prompt != NULL) return wb_buf_put (out, j->prompt, strlen (j->prompt));
    return wb_tokenizer_decode (j->call->served->model->tokenizer, out, j->ids.data, j->ids.len);
}

static json_t *choice_of (const wb_completion_t *c, const wb_job_t *j, int64_t i) {
    const wb_choice_t *choice = &j->choices[i];
    const int64_t index = (j - j->call->jobs) * j->call->texts + i;
    wb_buf_t text = {0};
    int64_t offset = 0;
    if (c->chat) return wb_chat_choice (c, j->call->served, choice, index);
    wb_status status = c->echo ? wb_completion_prompt (&text, j) : WB_OK;
    if (status == WB_OK) status = wb_buf_put (&text, choice->text.data, choice->text.len);
    wb_error_clear ();
    json_t *logprobs =
               c->logprobs ? wb_logprobs (j->call->served, c->echo ? j : NULL, choice, 0, &offset) : json_null (),
           *o = status == WB_OK ? json_pack ("{s:I,s:s#,s:o,s:s}", "index", (json_int_t) index, "text",
                                             text.data != NULL ? text.data : "", (int) text.len, "logprobs", logprobs,
                                             "finish_reason", choice->finish)
                                : NULL;
    wb_buf_fini (&text);
    return o;
}

static void answer (wb_exchange_t *x, bool chat) {
    asked_t a;
    if (!read_asked (x, &a, chat)) return;
    wb_call_t *c = read_call (x, &a);
    if (c == NULL) return;
    if (a.c.stream) {
        wb_answer_stream (x, &a.c);
        return;
    }
    if (!wb_answer_call (x)) return;
    json_t *o = wb_completion_begin (&a.c, c), *choices = json_array ();
    for (int64_t i = 0; i < c->njobs; i++)
        for (int64_t k = 0; k < c->texts; k++) json_array_append_new (choices, choice_of (&a.c, &c->jobs[i], k));
    json_object_set_new (o, "choices", choices);
    json_object_set_new (o, "usage", wb_completion_usage (c));
    wb_answer_json (x, 200, o);
}

void wb_answer_completions (wb_exchange_t *x) { answer (x, false); }
void wb_answer_chat (wb_exchange_t *x) { answer (x, true); }
