/* HTTP by libmicrohttpd: from a connection to a route, and back.
 *
 * A connection has a thread of its own, which may wait for the engine.  The body is gathered up to a limit; then the
 * route of method and path is called, which answers.  No part of a request ever names a file.
 *
 * Who may ask: everybody who reaches the address, or with --api-keys whoever sends one.  A browser's request that comes
 * from another page than ours is refused unless its origin was named, so that no page of the web can set a model on a
 * person's own machine to work.
 *
 * Not here: what is answered (the table at the end names it). */
#include "config.h"

#include <stdarg.h>
#include <string.h>
#include <netinet/in.h>
#include <strings.h>

#include "serve/http.h"

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* What browsers are told with every answer. */
static void add_headers (const wb_exchange_t *x, struct MHD_Response *r) {
    static const char *const headers[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        (void) MHD_add_response_header (r, headers[i][0], headers[i][1]);
    const char *origin = MHD_lookup_connection_value (x->connection, MHD_HEADER_KIND, "Origin");
    (void) MHD_add_response_header (r, "Vary", "Origin");
    for (int i = 0; origin != NULL && i < x->server->o->norigins; i++)
        if (strcmp (origin, x->server->o->origins[i]) == 0)
            (void) MHD_add_response_header (r, "Access-Control-Allow-Origin", origin);
}

void wb_answer_response (wb_exchange_t *x, int status, const char *type, struct MHD_Response *r) {
    if (x->answered || r == NULL) {
        if (r != NULL) MHD_destroy_response (r);
        x->answered = true; /* without memory for an answer, by the end of the connection: what is refused stays so */
        return;
    }
    if (type != NULL) (void) MHD_add_response_header (r, "Content-Type", type);
    add_headers (x, r);
    x->answered = true;
    x->status = status;
    x->response = r;
}

void wb_answer_bytes (wb_exchange_t *x, int status, const char *type, const void *data, size_t n) {
    wb_answer_response (x, status, type, MHD_create_response_from_buffer (n, (void *) data, MHD_RESPMEM_MUST_COPY));
}

void wb_answer_json (wb_exchange_t *x, int status, json_t *json) {
    char *text = json != NULL ? json_dumps (json, JSON_COMPACT) : NULL;
    json_decref (json);
    struct MHD_Response *r =
        text != NULL ? MHD_create_response_from_buffer (strlen (text), text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (r == NULL) wb_free_foreign (text);
    if (r != NULL)
        wb_answer_response (x, status, "application/json", r);
    else
        wb_answer_bytes (x, 500, "application/json", "{\"error\":{\"message\":\"out of memory\"}}", 37);
}

json_t *wb_error_json (const char *message, const char *type, const char *param, const char *code) {
    return json_pack ("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", message, "type", type, "param", param, "code",
                      code);
}

void wb_answer_error (wb_exchange_t *x, int status, const char *param, const char *code, const char *fmt, ...) {
    char text[WB_ERROR_TEXT];
    va_list ap;
    va_start (ap, fmt);
    vsnprintf (text, sizeof text, fmt, ap);
    va_end (ap);
    const char *type = status == 401   ? "authentication_error"
                       : status == 403 ? "permission_error"
                       : status == 429 ? "rate_limit_error"
                       : status < 500  ? "invalid_request_error"
                                       : "server_error";
    const int64_t stray = wb_text_stray (text, strlen (text)); /* cut within a character */
    wb_answer_json (x, status, wb_error_json (stray == 0 ? text : "the request is not valid", type, param, code));
    if (x->response != NULL && x->status == status && status == 401)
        (void) MHD_add_response_header (x->response, "WWW-Authenticate", "Bearer");
    if (x->response != NULL && x->status == status && (status == 429 || status == 503))
        (void) MHD_add_response_header (x->response, "Retry-After", "1");
}

void wb_answer_failed (wb_exchange_t *x) {
    const wb_error_t *e = wb_error_get ();
    wb_answer_error (x, e->status == WB_EUSAGE || e->status == WB_EDATA ? 400 : 500, NULL, NULL, "%s", e->text);
    wb_error_clear ();
}

int wb_exchange_fd (const wb_exchange_t *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info (x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? (int) info->connect_fd : -1;
}

/* The time that an answer took is not the client's silence: setting a limit where there was none begins it anew. */
void wb_exchange_touch (wb_exchange_t *x) {
    (void) MHD_set_connection_option (x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    (void) MHD_set_connection_option (x->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned) x->server->o->silence);
}

bool wb_answer_admitted (wb_exchange_t *x) {
    switch (wb_call_submit (x->call, x->client)) {
    case WB_CLIENT_FULL:
        wb_answer_error (x, 429, NULL, "client_full", "%lld requests of yours are under way or wait: finish some first",
                         (long long) x->server->o->client);
        return false;
    case WB_NO_ROOM: wb_answer_error (x, 500, NULL, NULL, "out of memory"); return false;
    case WB_QUEUE_FULL:
        wb_answer_error (x, 429, NULL, "queue_full", "%lld requests are under way or wait already: try again later",
                         (long long) x->server->o->queue);
        return false;
    case WB_DRAINING: wb_answer_error (x, 503, NULL, "shutting_down", "the server is about to stop"); return false;
    case WB_ADMITTED: break;
    }
    return true;
}

bool wb_answer_call (wb_exchange_t *x) {
    wb_call_t *c = x->call;
    bool there = true;
    if (!wb_answer_admitted (x)) return false;
    pthread_mutex_lock (&c->lock);
    while (there && c->waiting > 0) there = wb_call_wait (c, wb_exchange_fd (x));
    const wb_status failed = c->failed;
    pthread_mutex_unlock (&c->lock);
    wb_exchange_touch (x);
    if (c->late)
        wb_answer_error (x, 503, NULL, "time_limit", "not done within the %lld seconds of a request",
                         (long long) x->server->o->seconds);
    if (there && failed != WB_OK)
        wb_answer_error (x, 500, NULL, NULL, "%s",
                         failed == WB_ENUMERIC ? "a logit is NaN or infinite: the weights of the model are damaged"
                                               : "out of memory");
    return there && failed == WB_OK;
}

/* ---- who may ask, and what --------------------------------------------------------------------------------------- */

/* Does a browser ask for a page of another address?  Named origins may. */
static bool is_foreign (const wb_exchange_t *x) {
    const char *origin = MHD_lookup_connection_value (x->connection, MHD_HEADER_KIND, "Origin"),
               *host = MHD_lookup_connection_value (x->connection, MHD_HEADER_KIND, "Host");
    if (origin == NULL) return false;
    for (int i = 0; i < x->server->o->norigins; i++)
        if (strcmp (origin, x->server->o->origins[i]) == 0) return false;
    const char *at = strstr (origin, "://");
    return at == NULL || host == NULL || strcasecmp (at + 3, host) != 0;
}

/* The route; NULL: answered. */
static const wb_route_t *find_route (wb_exchange_t *x, const char *method, const char *path) {
    const char *other = NULL;
    if (strcmp (method, "HEAD") == 0) method = "GET";
    for (const wb_route_t *r = wb_routes; r->method != NULL; r++) {
        if (strcmp (r->path, path) != 0) continue;
        if (strcmp (r->method, method) == 0) return r;
        other = r->method;
    }
    if (other == NULL) {
        wb_answer_error (x, 404, NULL, "not_found", "there is nothing at this address: see /v1/models and README");
    } else {
        wb_answer_error (x, 405, NULL, NULL, "this address wants %s", other);
        if (x->response != NULL) (void) MHD_add_response_header (x->response, "Allow", other);
    }
    return NULL;
}

/* A browser asks whether a page of another address may send a request. */
static void preflight (wb_exchange_t *x) {
    wb_answer_bytes (x, 204, NULL, "", 0);
    if (x->response == NULL) return;
    (void) MHD_add_response_header (x->response, "Access-Control-Allow-Methods", "GET, POST");
    (void) MHD_add_response_header (x->response, "Access-Control-Allow-Headers", "authorization, content-type");
    (void) MHD_add_response_header (x->response, "Access-Control-Max-Age", "600");
}

/* A client without a key is an address. */
static uint64_t address_of (const wb_exchange_t *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info (x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr->sa_family == AF_INET)
        return wb_hash64 (&((struct sockaddr_in *) info->client_addr)->sin_addr, sizeof (struct in_addr));
    if (info != NULL && info->client_addr->sa_family == AF_INET6) /* a household has 64 bits of them */
        return wb_hash64 (&((struct sockaddr_in6 *) info->client_addr)->sin6_addr, 8);
    return 0;
}

/* Is a body of so many bytes announced that it will not fit?  What is no number libmicrohttpd refuses. */
static bool is_announced_too_large (const wb_exchange_t *x) {
    const char *length = MHD_lookup_connection_value (x->connection, MHD_HEADER_KIND, "Content-Length");
    return length != NULL && strtoull (length, NULL, 10) > (unsigned long long) x->server->o->body;
}

static void too_large (wb_exchange_t *x) {
    wb_answer_error (x, 413, NULL, NULL, "the body has more than %lld bytes", (long long) x->server->o->body);
}

/* All that can be said of a request before its body is there. */
static void look (wb_exchange_t *x, const char *method, const char *path) {
    x->client = address_of (x);
    if (is_foreign (x)) {
        wb_answer_error (x, 403, NULL, "origin", "pages of other addresses may not use this server (--allow-origin)");
    } else if (strcmp (method, "OPTIONS") == 0) {
        preflight (x);
    } else if ((x->route = find_route (x, method, path)) != NULL) {
        if (!x->route->open &&
            !wb_keys_fit (x->server, MHD_lookup_connection_value (x->connection, MHD_HEADER_KIND, "Authorization"),
                          &x->client))
            wb_answer_error (x, 401, NULL, "invalid_api_key", "send a key of this server: Authorization: Bearer KEY");
        else if (is_announced_too_large (x))
            too_large (x);
    }
}

/* ---- libmicrohttpd's callbacks ----------------------------------------------------------------------------------- */

static enum MHD_Result send_answer (wb_exchange_t *x) {
    wb_server_t *s = x->server;
    if (x->response == NULL) return MHD_NO; /* nobody is there, or no memory */
    pthread_mutex_lock (&s->lock);
    s->stats.answers[x->status / 100 % 6]++;
    pthread_mutex_unlock (&s->lock);
    const enum MHD_Result sent = MHD_queue_response (x->connection, (unsigned) x->status, x->response);
    MHD_destroy_response (x->response);
    x->response = NULL;
    wb_peer_now (s, x->peer, x->streams ? WB_PEER_STREAMING : WB_PEER_READING);
    return sent;
}

static void count (const wb_exchange_t *x, int by) {
    pthread_mutex_lock (&x->server->lock);
    x->server->exchanges += by;
    pthread_mutex_unlock (&x->server->lock);
}

static void drop_body (wb_exchange_t *x) {
    x->server->bodies -= (int64_t) x->body.len;
    wb_buf_fini (&x->body);
}

/* A piece of the body.  What is too large is thrown away, so that it can be answered when it ends; what does not seem
 * to end is not. */
static bool put_body (wb_exchange_t *x, const char *data, size_t n) {
    const int64_t most = x->server->o->body;
    x->seen += (int64_t) n;
    x->too_large = x->too_large || x->seen > most;
    if (!x->too_large && !x->too_many) {
        x->too_many =
            x->server->bodies + (int64_t) n > WB_SERVE_BODIES * most || wb_buf_put (&x->body, data, n) != WB_OK;
        if (!x->too_many) x->server->bodies += (int64_t) n;
    }
    if (x->too_large || x->too_many) drop_body (x);
    return x->seen / 4 <= most;
}

static enum MHD_Result on_request (void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *data, size_t *n, void **mine) {
    wb_exchange_t *x = *mine;
    (void) version;
    if (x == NULL) {
        *mine = x = wb_calloc (1, sizeof *x);
        if (x == NULL) return MHD_NO;
        x->server = ctx;
        x->connection = connection;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        x->peer = info != NULL ? info->socket_context : NULL;
        wb_peer_now (x->server, x->peer, WB_PEER_SENDING);
        count (x, 1);
        look (x, method, url);
        return x->answered ? send_answer (x) : MHD_YES;
    }
    if (*n > 0) {
        const bool go_on = put_body (x, data, *n);
        *n = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    wb_error_clear ();
    wb_peer_now (x->server, x->peer, WB_PEER_WORKING);
    if (x->too_large)
        too_large (x);
    else if (x->too_many)
        wb_answer_error (x, 503, NULL, "busy", "too many large requests at a time: try again later");
    else if (strcmp (x->route->method, "GET") == 0 || wb_json_parse (x)) {
        drop_body (x);
        x->route->answer (x);
    }
    wb_error_clear ();
    return send_answer (x);
}

static void on_end (void *ctx, struct MHD_Connection *connection, void **mine, enum MHD_RequestTerminationCode how) {
    wb_exchange_t *x = *mine;
    (void) ctx, (void) connection, (void) how;
    if (x == NULL) return;
    count (x, -1);
    wb_call_destroy (x->call);
    if (x->response != NULL) MHD_destroy_response (x->response);
    json_decref (x->json);
    drop_body (x);
    wb_peer_now (x->server, x->peer, WB_PEER_SILENT);
    wb_free (x);
    *mine = NULL;
}

static void on_log (void *ctx, const char *fmt, va_list ap) {
    char text[512];
    (void) ctx;
    vsnprintf (text, sizeof text, fmt, ap);
    text[strcspn (text, "\n")] = 0;
    wb_debug ("HTTP: %s", text);
}

/* Paths are compared as they come: no address of ours has a %. */
static size_t no_unescape (void *ctx, struct MHD_Connection *connection, char *text) {
    (void) ctx, (void) connection;
    return strlen (text);
}

struct MHD_Daemon *wb_http_start (wb_server_t *s, int fd) {
    return MHD_start_daemon (
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, wb_peer_notify, s, MHD_OPTION_CONNECTION_LIMIT, (unsigned) WB_SERVE_CONNECTIONS,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) WB_SERVE_CONNECTIONS / 2, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned) s->o->silence, MHD_OPTION_THREAD_STACK_SIZE, (size_t) 512 << 10, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_END);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

const wb_route_t wb_routes[] = {
    {"POST", "/v1/completions", wb_answer_completions, false},
    {"POST", "/v1/chat/completions", wb_answer_chat, false},
    {"POST", "/v1/embeddings", wb_answer_embeddings, false},
    {"GET", "/v1/models", wb_answer_models, false},
    {"POST", "/tokenize", wb_answer_tokenize, false},
    {"POST", "/detokenize", wb_answer_detokenize, false},
    {"POST", "/score", wb_answer_score, false},
    {"GET", "/metrics", wb_answer_metrics, false},
    {"GET", "/health", wb_answer_health, true},
    {"GET", "/", wb_answer_page, true},
    {"GET", "/style.css", wb_answer_style, true},
    {"GET", "/page.js", wb_answer_script, true},
    {"GET", "/words.js", wb_answer_words, true},
    {"GET", "/icon.svg", wb_answer_icon, true},
    {NULL, NULL, NULL, false},
};
