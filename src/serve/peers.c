/* Connections: how long each has been about what it is about, so that whoever sends or reads too slowly is cut.
 *
 * libmicrohttpd closes a connection on which nothing moves.  One byte now and then is enough to keep it, and with it
 * its thread; so there is a limit to the whole of a request and of an answer as well.  A connection that has reached it
 * is shut down; its own thread, which sees its end, closes it.
 *
 * Not here: the time of the work itself (jobs.c). */
#include "config.h"

#include <sys/socket.h>

#include "serve/http.h"

void wb_peer_notify (void *server, struct MHD_Connection *connection, void **mine,
                     enum MHD_ConnectionNotificationCode what) {
    wb_server_t *s = server;
    wb_peer_t *p = *mine;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *mine = p = info != NULL ? wb_calloc (1, sizeof *p) : NULL;
        if (p == NULL) return;
        p->fd = (int) info->connect_fd;
        p->since = wb_now ();
        pthread_mutex_lock (&s->lock);
        p->after = s->peers;
        if (p->after != NULL) p->after->before = p;
        s->peers = p;
        pthread_mutex_unlock (&s->lock);
    } else if (p != NULL) { /* its socket is still open */
        pthread_mutex_lock (&s->lock);
        *(p->before != NULL ? &p->before->after : &s->peers) = p->after;
        if (p->after != NULL) p->after->before = p->before;
        pthread_mutex_unlock (&s->lock);
        wb_free (p);
        *mine = NULL;
    }
}

void wb_peer_now (wb_server_t *s, wb_peer_t *p, wb_peer_state state) {
    if (p == NULL) return;
    pthread_mutex_lock (&s->lock);
    p->state = state;
    p->since = wb_now ();
    pthread_mutex_unlock (&s->lock);
}

void wb_peers_cut (wb_server_t *s) {
    const double now = wb_now ();
    pthread_mutex_lock (&s->lock);
    for (wb_peer_t *p = s->peers; p != NULL; p = p->after) {
        const int64_t limit = s->o->silence + (p->state == WB_PEER_STREAMING ? s->o->seconds : 0);
        if (p->state == WB_PEER_WORKING || p->fd < 0 || now - p->since <= (double) limit) continue;
        (void) shutdown (p->fd, SHUT_RDWR);
        p->fd = -1;
        s->stats.cut++;
    }
    pthread_mutex_unlock (&s->lock);
}
