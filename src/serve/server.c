/* The server: loads the models, listens, and runs the engines until it is told to stop.
 *
 * The thread that started it is the engine thread: only it calls the engines, so that the threads of OpenMP that the
 * kernels use are its own.  The threads of connections hand calls over (jobs.c).
 *
 * SIGTERM and SIGINT: what is under way is finished, for a while; who comes later is told so.  SIGHUP: a thread loads
 * the models anew beside the old ones, which go when their last text is done.
 *
 * Not here: HTTP (http.c), what is answered. */
#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/http.h"

#define LOOK_SECONDS 0.5 /* between two looks for clients that are too slow */
#define IDLE_SECONDS 0.2 /* between two looks at the signals while there is nothing to do */

static volatile sig_atomic_t stops, reloads;

static void on_stop (int sig) {
    if (++stops < 3) return;
    signal (sig, SIG_DFL);
    raise (sig);
}
static void on_reload (int sig) {
    (void) sig;
    reloads = 1;
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static wb_status listen_on (int *fd, char address[128], const wb_serve_t *o) {
    const char *host = o->host != NULL ? o->host : "127.0.0.1";
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    char port[16], name[96], number[16];
    const int one = 1;
    snprintf (port, sizeof port, "%lld", (long long) o->port);
    const int code = getaddrinfo (host, port, &hints, &list);
    if (code != 0) return WB_FAIL (WB_EIO, "--host %s: %s", host, gai_strerror (code));
    *fd = socket (list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = *fd >= 0 && setsockopt (*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                bind (*fd, list->ai_addr, list->ai_addrlen) == 0 && listen (*fd, 512) == 0;
    const int error = errno;
    struct sockaddr_storage bound;
    socklen_t n = sizeof bound;
    good = good && getsockname (*fd, (struct sockaddr *) &bound, &n) == 0 &&
           getnameinfo ((struct sockaddr *) &bound, n, name, sizeof name, number, sizeof number,
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0;
    freeaddrinfo (list);
    if (!good) {
        if (*fd >= 0) close (*fd);
        return WB_FAIL (WB_EIO, "cannot listen on %s, port %lld: %s%s", host, (long long) o->port, strerror (error),
                        error == EADDRINUSE ? "; --port 0 takes any that is free" : "");
    }
    snprintf (address, 128, strchr (name, ':') != NULL ? "http://[%s]:%s" : "http://%s:%s", name, number);
    return WB_OK;
}

/* ---- the engine thread ------------------------------------------------------------------------------------------- */

static void wait_for_work (wb_server_t *s) {
    struct timespec t;
    clock_gettime (CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long) (IDLE_SECONDS * 1e9);
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    pthread_mutex_lock (&s->lock);
    if (s->inbox == NULL && stops == 0 && reloads == 0) (void) pthread_cond_timedwait (&s->work, &s->lock, &t);
    pthread_mutex_unlock (&s->lock);
}

static void publish (wb_server_t *s) {
    wb_engine_stats_t sum = {0};
    pthread_mutex_lock (&s->lock);
    for (const wb_served_t *m = s->served; m != NULL; m = m->next) {
        wb_engine_stats_t e;
        wb_engine_stats (&e, m->engine);
        sum.requests += e.requests, sum.texts += e.texts, sum.waiting += e.waiting;
        sum.blocks += e.blocks, sum.blocks_used += e.blocks_used;
        sum.prompt_tokens += e.prompt_tokens, sum.shared_tokens += e.shared_tokens, sum.tokens += e.tokens;
        sum.steps += e.steps, sum.paused += e.paused;
    }
    s->engines = sum;
    pthread_mutex_unlock (&s->lock);
}

static bool step (wb_server_t *s) {
    bool busy = false;
    wb_jobs_begin (s);
    for (wb_served_t *m = s->served; m != NULL; m = m->next) /* only this thread changes the list */
        if (wb_engine_step (m->engine)) busy = true;
    wb_jobs_end (s);
    publish (s);
    return busy;
}

/* Models and keys that are read anew by a thread of their own. */
typedef struct loader {
    wb_server_t *server;
    pthread_t thread;
    bool runs;
    _Atomic bool done;
    wb_served_t *list;
    wb_keys_t keys;
    wb_status status;
} loader_t;

static void *load_anew (void *ctx) {
    loader_t *l = ctx;
    l->status = wb_keys_read (&l->keys, l->server->o->keys);
    if (l->status == WB_OK) l->status = wb_served_load (&l->list, l->server);
    if (l->status != WB_OK) wb_warn ("the models were not loaded anew, the old ones stay: %s", wb_error_get ()->text);
    wb_error_clear ();
    l->done = true;
    pthread_cond_signal (&l->server->work);
    return NULL;
}

static void begin_reload (wb_server_t *s, loader_t *l) {
    sigset_t set, before;
    reloads = 0;
    *l = (loader_t){.server = s};
    sigfillset (&set);
    pthread_sigmask (SIG_BLOCK, &set, &before);
    l->runs = pthread_create (&l->thread, NULL, load_anew, l) == 0;
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (!l->runs) wb_warn ("the models were not loaded anew: no thread for it");
}

static void end_reload (wb_server_t *s, loader_t *l) {
    pthread_join (l->thread, NULL);
    l->runs = false;
    wb_keys_t old = l->keys;
    if (l->status == WB_OK) {
        pthread_mutex_lock (&s->lock);
        old = s->keys;
        s->keys = l->keys;
        pthread_mutex_unlock (&s->lock);
        wb_served_replace (s, l->list);
        wb_info ("the models were loaded anew");
    }
    wb_keys_fini (&old);
}

static void run (wb_server_t *s) {
    double until = 0, looked = 0;
    loader_t loader = {0};
    for (;;) {
        if (stops > 0 && until == 0) {
            until = wb_now () + WB_SERVE_DRAIN;
            pthread_mutex_lock (&s->lock);
            s->draining = true;
            pthread_mutex_unlock (&s->lock);
        }
        if (reloads != 0 && until == 0 && !loader.runs) begin_reload (s, &loader);
        if (loader.runs && loader.done) end_reload (s, &loader);
        if (wb_now () - looked > LOOK_SECONDS) {
            wb_peers_cut (s);
            looked = wb_now ();
        }
        if (!step (s)) {
            pthread_mutex_lock (&s->lock);
            const int64_t open = s->open + s->exchanges;
            pthread_mutex_unlock (&s->lock);
            if (until > 0 && open == 0) break;
            wait_for_work (s);
        }
        wb_served_sweep (s, false);
        if (until > 0 && (wb_now () > until || stops > 1)) break;
    }
    if (loader.runs) end_reload (s, &loader);
}

/* What is still under way is ended, so that its connections can be closed. */
static void cut_off (wb_server_t *s) {
    wb_jobs_begin (s);
    for (wb_job_t *j = s->jobs; j != NULL; j = j->next) j->call->cancelled = true;
    s->any_cancelled = true;
    wb_jobs_begin (s);
    wb_jobs_end (s);
}

/* ---- from start to end ------------------------------------------------------------------------------------------- */

/* The signals come to this thread: those of connections, which inherit the mask, have them blocked. */
static struct MHD_Daemon *start (wb_server_t *s, int fd) {
    const struct sigaction stop = {.sa_handler = on_stop}, again = {.sa_handler = on_reload};
    sigset_t set, before;
    sigemptyset (&set);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGHUP);
    pthread_sigmask (SIG_BLOCK, &set, &before);
    sigaction (SIGTERM, &stop, NULL);
    sigaction (SIGINT, &stop, NULL);
    sigaction (SIGHUP, &again, NULL);
    struct MHD_Daemon *daemon = wb_http_start (s, fd);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return daemon;
}

static wb_status serve (wb_server_t *s) {
    char address[128];
    int fd = -1;
    wb_served_t *list;
    WB_TRY (wb_keys_read (&s->keys, s->o->keys));
    WB_TRY (listen_on (&fd, address, s->o));
    wb_status status = wb_served_load (&list, s);
    if (status != WB_OK) {
        close (fd);
        return status;
    }
    wb_served_replace (s, list);
    struct MHD_Daemon *daemon = start (s, fd);
    if (daemon == NULL) {
        close (fd);
        return WB_FAIL (WB_EIO, "cannot answer at %s", address);
    }
    printf ("%s\n", address);
    status = wb_flush (stdout, "standard output");
    if (status == WB_OK || status == WB_ECLOSED) run (s);
    const MHD_socket listening = MHD_quiesce_daemon (daemon);
    cut_off (s);
    MHD_stop_daemon (daemon);
    if (listening != MHD_INVALID_SOCKET) close (listening);
    return status == WB_ECLOSED ? WB_OK : status;
}

wb_status wb_serve_run (const wb_serve_t *o) {
    wb_server_t s = {.o = o, .started = wb_now ()};
    pthread_condattr_t monotonic;
    wb_heap_few_pools ();
    s.inbox_end = &s.inbox;
    pthread_condattr_init (&monotonic);
    pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init (&s.lock, NULL);
    pthread_cond_init (&s.work, &monotonic);
    pthread_condattr_destroy (&monotonic);
    const wb_status status = serve (&s);
    wb_served_sweep (&s, true);
    wb_keys_fini (&s.keys);
    pthread_mutex_destroy (&s.lock);
    pthread_cond_destroy (&s.work);
    return status;
}
