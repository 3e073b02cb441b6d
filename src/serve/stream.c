/* A completion as it is written: server-sent events, one for each piece of a text.
 *
 * libmicrohttpd asks for more bytes in the thread of the connection, which may wait.  It is given what has come since;
 * whoever reads slowly finds several tokens in one event, and the engine does not wait for it.  A peer that has gone
 * shows when something is sent, or while we wait, and ends the texts. */
#include "config.h"

#include <string.h>

#include "serve/http.h"

typedef struct events {
    wb_exchange_t *x;
    wb_completion_t c;
    wb_buf_t buf; /* to be sent, from `at` on */
    size_t at;
    bool echoed, ended;
} events_t;

static wb_status put_event (events_t *e, json_t *json) {
    char *text = json != NULL ? json_dumps (json, JSON_COMPACT) : NULL;
    json_decref (json);
    if (text == NULL) return WB_NOMEM ("an event");
    wb_status status = wb_buf_put (&e->buf, "data: ", 6);
    if (status == WB_OK) status = wb_buf_put (&e->buf, text, strlen (text));
    if (status == WB_OK) status = wb_buf_put (&e->buf, "\n\n", 2);
    wb_free_foreign (text);
    return status;
}

/* An event with one choice. */
static wb_status put_choice (events_t *e, int64_t index, const char *text, size_t n, json_t *logprobs,
                             const char *finish) {
    json_t *o = wb_completion_begin (&e->c, e->x->call);
    wb_choice_t *to = &e->x->call->choices[index];
    json_object_set_new (o, "choices",
                         e->c.chat
                             ? wb_chat_delta (index, !to->sent_any, text, n, logprobs, finish)
                             : json_pack ("[{s:I,s:s#,s:o,s:s?}]", "index", (json_int_t) index, "text",
                                          n > 0 ? text : "", (int) n, "logprobs", logprobs, "finish_reason", finish));
    to->sent_any = true;
    if (e->c.usage) json_object_set_new (o, "usage", json_null ());
    return put_event (e, o);
}

/* With echo the prompt comes first, when its log-probabilities are there. */
static wb_status put_prompts (events_t *e) {
    wb_call_t *c = e->x->call;
    wb_status status = WB_OK;
    for (int64_t i = 0; status == WB_OK && i < c->njobs * c->texts; i++) {
        const wb_job_t *j = &c->jobs[i / c->texts];
        const wb_choice_t none = {0};
        wb_buf_t text = {0};
        status = wb_completion_prompt (&text, j);
        if (status == WB_OK)
            status = put_choice (
                e, i, text.data, text.len,
                e->c.logprobs ? wb_logprobs (c->served, j, &none, 0, &c->choices[i].offset) : json_null (), NULL);
        wb_buf_fini (&text);
    }
    return status;
}

/* Is there something of the prompts that has not come yet? */
static bool prompts_missing (const wb_call_t *c) {
    for (int64_t i = 0; i < c->njobs; i++)
        if (c->jobs[i].r.prompt && c->jobs[i].records.len < c->jobs[i].ids.len - 1) return true;
    return false;
}

/* What is new of choice i. */
static wb_status put_new (events_t *e, int64_t i) {
    wb_choice_t *to = &e->x->call->choices[i];
    const size_t n = to->ready - to->sent;
    if (to->sent_end || (n == 0 && to->finish == NULL)) return WB_OK;
    json_t *logprobs = json_null ();
    if (e->c.logprobs)
        logprobs = e->c.chat ? wb_chat_logprobs (e->x->call->served, to, to->sent_records)
                             : wb_logprobs (e->x->call->served, NULL, to, to->sent_records, &to->offset);
    const char *text = to->text.data + to->sent;
    to->sent += n;
    to->sent_records = to->records.len;
    to->sent_end = to->finish != NULL;
    return put_choice (e, i, text, n, logprobs, to->finish);
}

/* All that is new.  The call is locked. */
static wb_status gather (events_t *e) {
    wb_call_t *c = e->x->call;
    if (c->failed != WB_OK) {
        e->ended = true;
        return put_event (e, wb_error_json ("the text could not be finished", "server_error", NULL, NULL));
    }
    if (e->c.echo && !e->echoed) {
        if (prompts_missing (c) && c->waiting > 0) return WB_OK;
        WB_TRY (put_prompts (e));
        e->echoed = true;
    }
    for (int64_t i = 0; i < c->njobs * c->texts; i++) WB_TRY (put_new (e, i));
    if (c->waiting > 0) return WB_OK;
    e->ended = true;
    if (e->c.usage) {
        json_t *o = wb_completion_begin (&e->c, c);
        json_object_set_new (o, "choices", json_array ());
        json_object_set_new (o, "usage", wb_completion_usage (c));
        WB_TRY (put_event (e, o));
    }
    return wb_buf_put (&e->buf, "data: [DONE]\n\n", 14);
}

static ssize_t more (void *ctx, uint64_t position, char *out, size_t max) {
    events_t *e = ctx;
    wb_call_t *c = e->x->call;
    wb_status status = WB_OK;
    bool there = true;
    (void) position;
    if (e->at == e->buf.len) {
        if (e->ended) return MHD_CONTENT_READER_END_OF_STREAM;
        wb_buf_clear (&e->buf);
        e->at = 0;
        pthread_mutex_lock (&c->lock);
        for (;;) {
            status = gather (e);
            if (status != WB_OK || e->buf.len > 0 || e->ended) break;
            there = wb_call_wait (c, wb_exchange_fd (e->x));
            if (!there) break;
        }
        pthread_mutex_unlock (&c->lock);
        wb_exchange_touch (e->x);
    }
    if (status == WB_OK && !there && c->late) {
        e->ended = true;
        status = put_event (e, wb_error_json ("the text could not be finished within the time of a request",
                                              "server_error", NULL, "time_limit"));
        there = status == WB_OK;
    }
    if (status != WB_OK || !there) {
        wb_error_clear ();
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    const size_t n = e->buf.len - e->at < max ? e->buf.len - e->at : max;
    memcpy (out, e->buf.data + e->at, n);
    e->at += n;
    return (ssize_t) n;
}

static void fini (void *ctx) {
    events_t *e = ctx;
    wb_buf_fini (&e->buf);
    wb_free (e);
}

void wb_answer_stream (wb_exchange_t *x, const wb_completion_t *c) {
    events_t *e = wb_calloc (1, sizeof *e);
    if (e == NULL) {
        wb_answer_error (x, 500, NULL, NULL, "out of memory");
        return;
    }
    *e = (events_t){.x = x, .c = *c};
    x->call->telling = true;
    struct MHD_Response *r =
        wb_answer_admitted (x) ? MHD_create_response_from_callback (MHD_SIZE_UNKNOWN, 16384, more, e, fini) : NULL;
    if (r == NULL) {
        fini (e);
        wb_answer_error (x, 500, NULL, NULL, "out of memory");
        return;
    }
    (void) MHD_add_response_header (r, "X-Accel-Buffering", "no"); /* nginx hands events on as they come */
    wb_answer_response (x, 200, "text/event-stream", r);
    x->streams = true;
}
