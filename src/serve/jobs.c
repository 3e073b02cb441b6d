/* Calls: what a connection asks of the engine, and what the engine tells of it.
 *
 * The thread of a connection makes a call with its jobs, puts them into the inbox and waits.  The engine thread takes
 * them out, hands them to the engines, and writes what it is told into the call, under the call's lock.  A job is the
 * engine thread's from the moment it is put into the inbox until `waiting` has been counted down for it; the connection
 * frees the call only after that.  Whoever waits looks now and then whether its peer is still there.
 *
 * Stop sequences are looked for here, token by token, so that a text ends with the token that completes one.
 *
 * Not here: what the answers look like. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "serve/serve_priv.h"

#define LOOK_SECONDS 0.1 /* between two looks at the peer */

/* ---- calls ------------------------------------------------------------------------------------------------------- */

wb_call_t *wb_call_new (wb_server_t *s, wb_served_t *served, int64_t jobs, int64_t texts) {
    wb_call_t *c = wb_calloc (1, sizeof *c);
    if (c != NULL) {
        c->jobs = wb_calloc ((size_t) jobs, sizeof *c->jobs);
        c->choices = wb_calloc ((size_t) (jobs * texts), sizeof *c->choices);
    }
    if (c == NULL || c->jobs == NULL || c->choices == NULL) {
        if (c != NULL) {
            wb_free (c->jobs);
            wb_free (c->choices);
        }
        wb_free (c);
        wb_served_put (s, served);
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init (&monotonic);
    pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init (&c->lock, NULL);
    pthread_cond_init (&c->told, &monotonic);
    pthread_condattr_destroy (&monotonic);
    c->server = s, c->served = served, c->njobs = jobs, c->texts = texts;
    for (int64_t i = 0; i < jobs; i++) {
        c->jobs[i].call = c;
        c->jobs[i].choices = c->choices + i * texts;
        c->jobs[i].r = (wb_request_t){.texts = texts, .likely = -1, .sampling = {.temperature = 1.0}};
    }
    return c;
}

static void free_choice (wb_choice_t *c) {
    wb_stream_destroy (c->stream);
    wb_buf_fini (&c->text);
    wb_free (c->records.data);
}

void wb_call_destroy (wb_call_t *c) {
    if (c == NULL) return;
    pthread_mutex_lock (&c->lock);
    if (c->waiting > 0) {
        c->cancelled = true;
        c->server->any_cancelled = true;
        c->telling = false;
        pthread_mutex_lock (&c->server->lock);
        c->server->stats.cancelled += c->waiting;
        pthread_mutex_unlock (&c->server->lock);
    }
    while (c->waiting > 0) pthread_cond_wait (&c->told, &c->lock);
    pthread_mutex_unlock (&c->lock);
    for (int64_t i = 0; i < c->njobs; i++) {
        wb_ids_fini (&c->jobs[i].ids);
        wb_free (c->jobs[i].records.data);
        wb_free (c->jobs[i].vector);
    }
    for (int64_t i = 0; i < c->njobs * c->texts; i++) free_choice (&c->choices[i]);
    wb_served_put (c->server, c->served);
    pthread_mutex_destroy (&c->lock);
    pthread_cond_destroy (&c->told);
    wb_free (c->jobs);
    wb_free (c->choices);
    wb_free (c);
}

/* ---- who may put jobs into the inbox ----------------------------------------------------------------------------- */

/* The client of an id; NULL: out of memory.  The server is locked. */
static wb_client_t *find_client (wb_server_t *s, uint64_t id) {
    wb_client_t *k = s->clients;
    while (k != NULL && k->id != id) k = k->next;
    if (k != NULL || (k = wb_calloc (1, sizeof *k)) == NULL) return k;
    k->id = id, k->next = s->clients;
    s->clients = k;
    return k;
}

/* One without requests is forgotten. */
static void forget_client (wb_server_t *s, wb_client_t *k) {
    wb_client_t **at = &s->clients;
    if (k == NULL || k->open > 0) return;
    while (*at != k) at = &(*at)->next;
    *at = k->next;
    wb_free (k);
}

/* A request of more jobs than there may be is admitted when there is no other. */
static wb_admitted judge (const wb_server_t *s, const wb_client_t *k, int64_t jobs) {
    if (s->draining) return WB_DRAINING;
    if (k == NULL) return WB_NO_ROOM;
    if (s->open > 0 && s->open + jobs > s->o->queue) return WB_QUEUE_FULL;
    return k->open > 0 && k->open + jobs > s->o->client ? WB_CLIENT_FULL : WB_ADMITTED;
}

wb_admitted wb_call_submit (wb_call_t *c, uint64_t client) {
    wb_server_t *s = c->server;
    const double now = wb_now ();
    pthread_mutex_lock (&s->lock);
    wb_client_t *k = find_client (s, client);
    const wb_admitted verdict = judge (s, k, c->njobs);
    if (verdict == WB_ADMITTED) {
        c->client = k;
        c->until = now + (double) s->o->seconds;
        k->open += c->njobs;
        s->open += c->njobs;
        s->stats.calls++;
        c->waiting = c->njobs;
        for (int64_t i = 0; i < c->njobs; i++) {
            c->jobs[i].last = now;
            *s->inbox_end = &c->jobs[i];
            s->inbox_end = &c->jobs[i].next;
        }
        pthread_cond_signal (&s->work);
    }
    forget_client (s, k);
    pthread_mutex_unlock (&s->lock);
    return verdict;
}

static bool peer_gone (int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return fd >= 0 && poll (&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

bool wb_call_wait (wb_call_t *c, int fd) {
    const bool telling = c->telling;
    for (;;) {
        struct timespec t;
        clock_gettime (CLOCK_MONOTONIC, &t);
        t.tv_nsec += (long) (LOOK_SECONDS * 1e9);
        if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
        const int code = pthread_cond_timedwait (&c->told, &c->lock, &t);
        if (code == ETIMEDOUT && peer_gone (fd)) return false;
        if (c->waiting == 0) return true;
        if (wb_now () > c->until) c->late = true;
        if (c->late) return false;
        if (code == 0 && telling) return true;
    }
}

/* ---- what the engine tells --------------------------------------------------------------------------------------- */

static wb_status keep_record (wb_rated_list_t *to, const wb_event_t *e) {
    if (!WB_GROW (to->data, to->cap, to->len + 1)) return WB_NOMEM ("log-probabilities");
    wb_rated_t *r = &to->data[to->len++];
    *r = (wb_rated_t){.id = e->id, .logprob = e->logprob, .nlikely = e->nlikely};
    for (int i = 0; i < e->nlikely; i++) r->likely[i] = e->likely[i];
    return WB_OK;
}

/* Look for stop sequences in what has come to a text since it had `before` bytes; what may be the beginning of one is
 * held back.  True: there is one, and the text ends before it. */
static bool stop_found (const wb_call_t *c, wb_choice_t *to, size_t before) {
    wb_buf_t *b = &to->text;
    size_t first = SIZE_MAX, held = 0;
    for (int i = 0; i < c->nstops; i++) {
        const size_t n = strlen (c->stops[i]), from = before >= n ? before - n + 1 : 0;
        const char *at = b->len >= from + n ? memmem (b->data + from, b->len - from, c->stops[i], n) : NULL;
        if (at != NULL && (size_t) (at - b->data) < first) first = (size_t) (at - b->data);
        for (size_t k = n - 1; k > held; k--)
            if (k <= b->len && memcmp (b->data + b->len - k, c->stops[i], k) == 0) held = k;
    }
    if (first == SIZE_MAX) {
        to->ready = b->len - held;
        return false;
    }
    b->len = to->ready = first;
    b->data[first] = 0;
    return true;
}

static wb_status put_token (wb_job_t *j, wb_choice_t *to, const wb_event_t *e, bool *stop) {
    const size_t before = to->text.len;
    const wb_tokenizer_t *t = j->call->served->model->tokenizer;
    if (to->stream == NULL) WB_TRY (wb_stream_new (&to->stream, t));
    WB_TRY (wb_stream_put (to->stream, &to->text, e->id, false));
    to->tokens++;
    *stop = stop_found (j->call, to, before);
    return j->r.likely >= 0 ? keep_record (&to->records, e) : WB_OK;
}

static wb_status put_end (wb_job_t *j, wb_choice_t *to, const wb_event_t *e) {
    const size_t before = to->text.len;
    if (e->end == WB_END_NUMBERS)
        return WB_FAIL (WB_ENUMERIC, "a logit is NaN or infinite: the weights of the model are damaged");
    if (to->finish == NULL && to->stream != NULL) { /* what is left of a character */
        WB_TRY (wb_stream_put (to->stream, &to->text, -1, true));
        (void) stop_found (j->call, to, before);
    }
    to->ready = to->text.len;
    if (to->finish == NULL) to->finish = e->end == WB_END_LENGTH ? "length" : "stop";
    return WB_OK;
}

static wb_status put_vector (wb_job_t *j, const float *vector) {
    const size_t bytes = (size_t) j->call->served->model->size.C * sizeof (float);
    if (j->vector == NULL) j->vector = wb_malloc (bytes);
    if (j->vector == NULL) return WB_NOMEM ("a vector");
    memcpy (j->vector, vector, bytes);
    return WB_OK;
}

/* How long a text's reader had to wait. */
static void measure (wb_job_t *j, const wb_event_t *e) {
    wb_server_t *s = j->call->server;
    const double now = wb_now ();
    if (e->text != 0) return;
    pthread_mutex_lock (&s->lock);
    wb_histogram_add (e->index == 0 ? &s->stats.first : &s->stats.between, now - j->last);
    pthread_mutex_unlock (&s->lock);
    j->last = now;
}

static bool on_event (void *ctx, const wb_event_t *e) {
    wb_job_t *j = ctx;
    wb_call_t *c = j->call;
    wb_choice_t *to = &j->choices[e->text];
    bool stop = false;
    wb_status status = WB_OK;
    if (e->kind == WB_EVENT_TOKEN) measure (j, e);
    pthread_mutex_lock (&c->lock);
    switch (e->kind) {
    case WB_EVENT_PROMPT: status = keep_record (&j->records, e); break;
    case WB_EVENT_VECTOR: status = put_vector (j, e->vector); break;
    case WB_EVENT_TOKEN: status = put_token (j, to, e, &stop); break;
    case WB_EVENT_END: status = put_end (j, to, e); j->over = ++j->ended == j->r.texts;
    }
    if (stop) to->finish = "stop";
    if (status != WB_OK && c->failed == WB_OK) c->failed = status;
    wb_error_clear ();
    if (c->telling && !j->over) pthread_cond_signal (&c->told);
    stop = stop || c->failed != WB_OK || c->cancelled;
    pthread_mutex_unlock (&c->lock);
    return !stop;
}

/* ---- the engine thread ------------------------------------------------------------------------------------------- */

static void begin (wb_server_t *s, wb_job_t *j) {
    j->r.ids = j->ids.data, j->r.n = j->ids.len;
    j->r.event = on_event, j->r.ctx = j;
    j->next = s->jobs;
    s->jobs = j;
    const wb_status status = wb_engine_submit (j->call->served->engine, &j->id, &j->r);
    if (status == WB_OK) return;
    pthread_mutex_lock (&j->call->lock);
    j->call->failed = status;
    j->over = true;
    pthread_mutex_unlock (&j->call->lock);
    wb_error_clear ();
}

void wb_jobs_begin (wb_server_t *s) {
    pthread_mutex_lock (&s->lock);
    wb_job_t *j = s->inbox, *next;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    pthread_mutex_unlock (&s->lock);
    for (; j != NULL; j = next) {
        next = j->next;
        begin (s, j);
    }
    if (!atomic_exchange (&s->any_cancelled, false)) return;
    for (j = s->jobs; j != NULL; j = j->next) {
        if (!j->call->cancelled || j->over) continue;
        wb_engine_cancel (j->call->served->engine, j->id);
        j->over = true;
    }
}

void wb_jobs_end (wb_server_t *s) {
    for (wb_job_t **at = &s->jobs; *at != NULL;) {
        wb_job_t *j = *at;
        wb_call_t *c = j->call;
        if (!j->over) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        pthread_mutex_lock (&s->lock);
        s->open--;
        c->client->open--;
        forget_client (s, c->client);
        pthread_mutex_unlock (&s->lock);
        pthread_mutex_lock (&c->lock); /* once it is counted down and unlocked, the call may be freed */
        c->waiting--;
        pthread_cond_signal (&c->told);
        pthread_mutex_unlock (&c->lock);
    }
}
