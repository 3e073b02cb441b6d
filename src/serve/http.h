/* serve: what http.c has for server.c and for answers that come bit by bit. */
#ifndef WABUN_SERVE_HTTP_H
#define WABUN_SERVE_HTTP_H

#include "serve/serve_priv.h"

/* Answer on a listening socket, which the daemon closes when it is stopped.  NULL: it cannot. */
struct MHD_Daemon *wb_http_start (wb_server_t *s, int fd);
/* Takes r over. */
void wb_answer_response (wb_exchange_t *x, int status, const char *type, struct MHD_Response *r);
/* Submit the exchange's call.  False: answered, there is no room for it. */
bool wb_answer_admitted (wb_exchange_t *x);
/* The client's time to read begins now. */
void wb_exchange_touch (wb_exchange_t *x);
/* libmicrohttpd tells of connections that come and go (peers.c). */
void wb_peer_notify (void *server, struct MHD_Connection *connection, void **mine,
                     enum MHD_ConnectionNotificationCode what);

#endif
