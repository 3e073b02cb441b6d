/* wabun bench serve: what a running `wabun serve` gives to many clients at once.
 *
 * Each client sends one request, a prompt of its own of random ids, and reads a stream; all begin together.  Tokens a
 * second in all count from the first request to the last end; those while all write count, by the server's own metrics,
 * from the moment when the last client has its first token to that when the first one has all of its.  The latter is
 * what `wabun bench generate` measures of as many texts after a prompt of the same length.
 *
 * One thread reads all streams; it needs little time, but what it needs the server on the same machine does not get.
 *
 * Not done here: starting the server (tests/web/load.sh), TLS. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench_priv.h"

enum { MAX_CLIENTS = 1000, MAX_IDS = 1 << 20, SILENCE_MS = 120000 };

typedef struct plan {
    const char *url, *key, *model;
    int64_t clients, prompt, tokens, vocab;
    bool json;
    char host[128], port[16];
} plan_t;

typedef struct client {
    int fd;
    wb_buf_t request, in;
    size_t sent, at; /* bytes of request; of in, before the line that is being read */
    int64_t events;
    double first, last; /* when an event came */
    bool done;
} client_t;

/* One line of the table. */
typedef struct line {
    int64_t clients, tokens;
    double rate, together;       /* tokens/s; together 0: they were never all at it */
    double first[2], between[2]; /* seconds: median, 99 % */
} line_t;

static wb_status parse (void *options, int argc, char **argv) {
    plan_t *p = options;
    *p = (plan_t){.prompt = 32, .tokens = 256};
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--url"))
            WB_TRY (wb_opts_text (&o, &p->url));
        else if (wb_opts_is (&o, "--api-key"))
            WB_TRY (wb_opts_text (&o, &p->key));
        else if (wb_opts_is (&o, "--model"))
            WB_TRY (wb_opts_text (&o, &p->model));
        else if (wb_opts_is (&o, "--clients"))
            WB_TRY (wb_opts_int (&o, &p->clients, 1, MAX_CLIENTS));
        else if (wb_opts_is (&o, "--prompt"))
            WB_TRY (wb_opts_int (&o, &p->prompt, 1, 1 << 16));
        else if (wb_opts_is (&o, "--tokens"))
            WB_TRY (wb_opts_int (&o, &p->tokens, 2, 16384));
        else if (wb_opts_is (&o, "--vocab"))
            WB_TRY (wb_opts_int (&o, &p->vocab, 1, MAX_IDS));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &p->json));
        else
            return wb_opts_unknown (&o);
    }
    if (p->url == NULL || sscanf (p->url, "http://%127[^:/]:%15[0-9]", p->host, p->port) != 2)
        return WB_FAIL (WB_EUSAGE, "bench serve wants --url http://HOST:PORT, the address that wabun serve prints");
    return WB_OK;
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static wb_status connect_to (int *fd, const plan_t *p) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    const int code = getaddrinfo (p->host, p->port, &hints, &list);
    if (code != 0) return WB_FAIL (WB_EIO, "%s: %s", p->url, gai_strerror (code));
    *fd = socket (list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool good = *fd >= 0 && connect (*fd, list->ai_addr, list->ai_addrlen) == 0;
    const int error = errno;
    freeaddrinfo (list);
    if (good) return WB_OK;
    if (*fd >= 0) close (*fd);
    *fd = -1;
    return WB_FAIL (WB_EIO, "%s: %s", p->url, strerror (error));
}

/* HTTP/1.0, so that a stream comes as it is and not in chunks. */
static wb_status put_head (wb_buf_t *out, const plan_t *p, const char *method, const char *path, size_t body) {
    char *head = wb_format ("%s %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Length: %zu\r\n%s%s%s\r\n", method, path, p->host,
                            p->port, body, p->key != NULL ? "Authorization: Bearer " : "", p->key != NULL ? p->key : "",
                            p->key != NULL ? "\r\n" : "");
    if (head == NULL) return WB_NOMEM ("a request");
    const wb_status status = wb_buf_put (out, head, strlen (head));
    wb_free (head);
    return status;
}

static wb_status receive (wb_buf_t *in, int fd, bool *end) {
    char buf[16384];
    const ssize_t n = recv (fd, buf, sizeof buf, 0);
    *end = n == 0;
    if (n < 0) return errno == EAGAIN || errno == EINTR ? WB_OK : WB_FAIL (WB_EIO, "the server: %s", strerror (errno));
    return wb_buf_put (in, buf, (size_t) n);
}

/* The whole answer to GET path. */
static wb_status get (wb_buf_t *in, const plan_t *p, const char *path) {
    wb_buf_t out = {0};
    int fd = -1;
    bool end = false;
    wb_status status = put_head (&out, p, "GET", path, 0);
    if (status == WB_OK) status = connect_to (&fd, p);
    if (status == WB_OK && send (fd, out.data, out.len, MSG_NOSIGNAL) != (ssize_t) out.len)
        status = WB_FAIL (WB_EIO, "%s: cannot send", p->url);
    while (status == WB_OK && !end) status = receive (in, fd, &end);
    if (fd >= 0) close (fd);
    wb_buf_fini (&out);
    if (status == WB_OK) status = wb_buf_put (in, "", 1);
    if (status == WB_OK && strncmp (in->data + 8, " 200 ", 5) != 0)
        status = WB_FAIL (WB_EIO, "%s%s: %.*s", p->url, path, (int) strcspn (in->data, "\r\n"), in->data);
    return status;
}

/* The number after `name` in an answer. */
static wb_status ask (double *out, const plan_t *p, const char *path, const char *name) {
    wb_buf_t in = {0};
    wb_status status = get (&in, p, path);
    const char *at = status == WB_OK ? strstr (in.data, name) : NULL;
    if (at != NULL) *out = strtod (at + strlen (name), NULL);
    if (status == WB_OK && at == NULL) status = WB_FAIL (WB_EDATA, "%s%s says nothing of %s", p->url, path, name);
    wb_buf_fini (&in);
    return status;
}

static wb_status tokens_so_far (double *out, const plan_t *p) {
    return ask (out, p, "/metrics", "\nwabun_tokens_total ");
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static wb_status put_request (wb_buf_t *out, const plan_t *p, int64_t number) {
    wb_buf_t body = {0};
    char text[160];
    const uint64_t stream = wb_rng_stream ("bench serve");
    wb_status status = wb_buf_put (&body, "{\"prompt\":[", 11);
    for (int64_t i = 0; status == WB_OK && i < p->prompt; i++) {
        const uint64_t id = wb_rng_u64 ((uint64_t) number, stream, (uint64_t) i) % (uint64_t) p->vocab;
        snprintf (text, sizeof text, "%s%d", i > 0 ? "," : "", (int) id);
        status = wb_buf_put (&body, text, strlen (text));
    }
    snprintf (text, sizeof text, "],\"top_k\":40,\"seed\":%lld,\"max_tokens\":%lld,\"min_tokens\":%lld,\"stream\":true",
              (long long) number, (long long) p->tokens, (long long) p->tokens);
    if (status == WB_OK) status = wb_buf_put (&body, text, strlen (text));
    char *model = p->model != NULL ? wb_format (",\"model\":\"%s\"}", p->model) : wb_strdup ("}");
    if (model == NULL) status = WB_NOMEM ("a request");
    if (status == WB_OK) status = wb_buf_put (&body, model, strlen (model));
    if (status == WB_OK) status = put_head (out, p, "POST", "/v1/completions", body.len);
    if (status == WB_OK) status = wb_buf_put (out, body.data, body.len);
    wb_free (model);
    wb_buf_fini (&body);
    return status;
}

static wb_status begin (client_t *c, const plan_t *p, int64_t number) {
    *c = (client_t){.fd = -1};
    WB_TRY (put_request (&c->request, p, number));
    WB_TRY (connect_to (&c->fd, p));
    (void) fcntl (c->fd, F_SETFL, O_NONBLOCK);
    return WB_OK;
}

static void fini (client_t *c) {
    if (c->fd >= 0) close (c->fd);
    wb_buf_fini (&c->request);
    wb_buf_fini (&c->in);
}

/* The times between events, of all clients. */
typedef struct gaps {
    double *data;
    int64_t len, cap;
} gaps_t;

/* One line of an answer. */
static wb_status take_line (client_t *c, gaps_t *g, const char *text, size_t n, double now) {
    if (n > 8 && strncmp (text, "HTTP/1.", 7) == 0 && strncmp (text + 8, " 200", 4) != 0)
        return WB_FAIL (WB_EIO, "the server answers %.*s", (int) n, text);
    if (n > 6 && strncmp (text, "data: [DONE]", n < 12 ? n : 12) == 0) c->done = true;
    if (n > 16 && strncmp (text, "data: {\"error\"", 14) == 0)
        return WB_FAIL (WB_EIO, "the server answers %.*s", (int) n, text);
    if (n < 7 || strncmp (text, "data: {", 7) != 0) return WB_OK;
    if (c->events++ == 0) {
        c->first = now;
    } else {
        if (!WB_GROW (g->data, g->cap, g->len + 1)) return WB_NOMEM ("times");
        g->data[g->len++] = now - c->last;
    }
    c->last = now;
    return WB_OK;
}

static wb_status take (client_t *c, gaps_t *g) {
    bool end;
    WB_TRY (receive (&c->in, c->fd, &end));
    const double now = wb_now ();
    for (const char *newline; c->in.len > c->at; c->at = (size_t) (newline + 1 - c->in.data)) {
        newline = memchr (c->in.data + c->at, '\n', c->in.len - c->at);
        if (newline == NULL) break;
        WB_TRY (take_line (c, g, c->in.data + c->at, (size_t) (newline - c->in.data) - c->at, now));
    }
    if (end && !c->done) return WB_FAIL (WB_EIO, "the server closed a connection before the end of its text");
    return WB_OK;
}

static wb_status give (client_t *c) {
    const ssize_t n = send (c->fd, c->request.data + c->sent, c->request.len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return WB_FAIL (WB_EIO, "the server: %s", strerror (errno));
    if (n > 0) c->sent += (size_t) n;
    return WB_OK;
}

/* When all had begun and none had ended, and what the server had drawn then. */
typedef struct window {
    double begin, end, tokens_begin, tokens_end;
} window_t;

static wb_status look (window_t *w, const plan_t *p, const client_t *list, int64_t n) {
    int64_t begun = 0, done = 0;
    for (int64_t i = 0; i < n; i++) begun += list[i].events > 0, done += list[i].done;
    if (w->begin == 0 && begun == n && done == 0) {
        WB_TRY (tokens_so_far (&w->tokens_begin, p));
        w->begin = wb_now ();
    }
    if (w->begin > 0 && w->end == 0 && done > 0) {
        WB_TRY (tokens_so_far (&w->tokens_end, p));
        w->end = wb_now ();
    }
    return WB_OK;
}

static wb_status read_all (client_t *list, int64_t n, const plan_t *p, gaps_t *g, window_t *w) {
    struct pollfd polls[MAX_CLIENTS];
    for (int64_t left = n; left > 0;) {
        for (int64_t i = 0; i < n; i++)
            polls[i] = (struct pollfd){.fd = list[i].done ? -1 : list[i].fd,
                                       .events = list[i].sent < list[i].request.len ? POLLOUT | POLLIN : POLLIN};
        if (poll (polls, (nfds_t) n, SILENCE_MS) == 0)
            return WB_FAIL (WB_EIO, "the server has been silent for %d s", SILENCE_MS / 1000);
        for (int64_t i = 0; i < n; i++) {
            if ((polls[i].revents & POLLOUT) != 0) WB_TRY (give (&list[i]));
            if ((polls[i].revents & ~POLLOUT) != 0) WB_TRY (take (&list[i], g));
        }
        WB_TRY (look (w, p, list, n));
        left = 0;
        for (int64_t i = 0; i < n; i++) left += !list[i].done;
    }
    return WB_OK;
}

static void two_of (double out[2], double *x, int64_t n) {
    out[0] = out[1] = 0;
    if (n == 0) return;
    out[0] = wb_bench_spread (x, n).median;
    out[1] = x[n * 99 / 100 < n - 1 ? n * 99 / 100 : n - 1];
}

static wb_status measure (line_t *l, const plan_t *p, int64_t clients, int64_t first) {
    static client_t list[MAX_CLIENTS];
    double waits[MAX_CLIENTS];
    gaps_t g = {0};
    window_t w = {0};
    wb_status status = WB_OK;
    for (int64_t i = 0; i < clients; i++) list[i] = (client_t){.fd = -1};
    for (int64_t i = 0; status == WB_OK && i < clients; i++) status = begin (&list[i], p, first + i);
    const double start = wb_now ();
    if (status == WB_OK) status = read_all (list, clients, p, &g, &w);
    const double seconds = wb_now () - start;
    *l = (line_t){.clients = clients, .tokens = clients * p->tokens, .rate = (double) (clients * p->tokens) / seconds};
    if (w.end > w.begin) l->together = (w.tokens_end - w.tokens_begin) / (w.end - w.begin);
    for (int64_t i = 0; i < clients; i++) waits[i] = list[i].first - start;
    two_of (l->first, waits, clients);
    two_of (l->between, g.data, g.len);
    for (int64_t i = 0; i < clients; i++) fini (&list[i]);
    wb_free (g.data);
    return status;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static wb_status report_json (const plan_t *p, const line_t *lines, int n) {
    json_t *list = json_array (), *o = json_object ();
    for (int i = 0; i < n; i++) {
        const line_t *l = &lines[i];
        json_t *row = json_object ();
        wb_bench_put_count (&row, "clients", l->clients);
        wb_bench_put_number (&row, "tokens_per_s", l->rate);
        wb_bench_put_number (&row, "tokens_per_s_together", l->together > 0 ? l->together : NAN);
        wb_bench_put_number (&row, "first_ms", 1e3 * l->first[0]);
        wb_bench_put_number (&row, "first_ms_99", 1e3 * l->first[1]);
        wb_bench_put_number (&row, "between_ms", 1e3 * l->between[0]);
        wb_bench_put_number (&row, "between_ms_99", 1e3 * l->between[1]);
        wb_bench_append (&list, row);
    }
    wb_bench_put_text (&o, "bench", "serve");
    wb_bench_put_count (&o, "prompt", p->prompt);
    wb_bench_put_count (&o, "tokens", p->tokens);
    wb_bench_put (&o, "clients", list);
    return wb_bench_print_json (o);
}

static void print_table (const plan_t *p, const line_t *lines, int n) {
    printf ("%s: each client one stream of %lld tokens after a prompt of %lld; milliseconds\n", p->url,
            (long long) p->tokens, (long long) p->prompt);
    printf ("%8s%10s%10s%12s%9s%14s%9s\n", "clients", "tokens/s", "together", "first token", "99 %", "between two",
            "99 %");
    for (int i = 0; i < n; i++) {
        const line_t *l = &lines[i];
        printf ("%8lld%10.1f", (long long) l->clients, l->rate);
        if (l->together > 0)
            printf ("%10.1f", l->together);
        else
            printf ("%10s", "-");
        printf ("%12.1f%9.1f%14.1f%9.1f\n", 1e3 * l->first[0], 1e3 * l->first[1], 1e3 * l->between[0],
                1e3 * l->between[1]);
    }
}

static wb_status run (void *options, wb_comm_t *world) {
    static const int64_t usual[] = {1, 8, 32, 128};
    plan_t *p = options;
    line_t lines[4];
    double V = 0;
    const int n = p->clients > 0 ? 1 : 4;
    (void) world;
    WB_TRY (ask (&V, p, "/v1/models", "\"vocab_size\":"));
    if (p->vocab == 0) p->vocab = (int64_t) V > 1 ? (int64_t) V - 1 : 1;
    for (int i = 0, first = 0; i < n; i++) {
        const int64_t clients = p->clients > 0 ? p->clients : usual[i];
        wb_log_progress ("%lld clients", (long long) clients);
        WB_TRY (measure (&lines[i], p, clients, first));
        first += (int) clients;
    }
    wb_log_progress ("%s", "");
    if (p->json) return report_json (p, lines, n);
    print_table (p, lines, n);
    return WB_OK;
}

const wb_bench_row_t wb_bench_serve = {
    .name = "serve",
    .line = "a running `wabun serve` under load: tokens a second, time to the first token and between two",
    .alone = true,
    .bytes = sizeof (plan_t),
    .parse = parse,
    .run = run,
};
