/* wabun - serve: models over HTTP: the API that programs expect, and a page where a model writes.
 *
 * Not collective; one process.
 */
#ifndef WABUN_SERVE_H
#define WABUN_SERVE_H

#include <wabun/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WB_SERVE_MODELS = 16, WB_SERVE_ORIGINS = 16 };

/** What `wabun serve` is asked for; zero-initialised is empty; borrowed from argv. */
typedef struct wb_serve {
    wb_model_args_t args;                /**< but for the model */
    const char *models[WB_SERVE_MODELS]; /**< [NAME=]DIR; without a name: the directory's */
    int nmodels;
    const char *host;                      /**< NULL: 127.0.0.1 */
    int64_t port;                          /**< 0: any that is free */
    const char *keys;                      /**< file of bearer tokens, one a line; NULL: everybody may ask */
    const char *origins[WB_SERVE_ORIGINS]; /**< pages of other addresses that may use it (CORS) */
    int norigins;
    int64_t texts; /**< written at a time, of each model */
    int64_t cache; /**< MiB of keys and values of each model; 0: as many as the texts can need, but no more than a
                        quarter of the memory that is free */
    /* limits */
    int64_t queue;   /**< requests that may be under way or wait; a prompt, or a text to be scored, is one */
    int64_t client;  /**< those of one client: a key's, or without keys an address' */
    int64_t body;    /**< bytes of a request */
    int64_t tokens;  /**< that a request may ask for, all its texts together */
    int64_t seconds; /**< that a request may take, from its last byte to the last token */
    int64_t silence; /**< seconds that a client may take to send a request, to read an answer, or be silent */
} wb_serve_t;
/** The defaults. */
wb_serve_t wb_serve_defaults (void);
/** The next argument that belongs to none of these options, which are stored.  False: there are no more, or *status is
 * an error (WB_EUSAGE). */
bool wb_serve_next (wb_serve_t *s, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** Load the models, listen, print the address to the standard output, answer until SIGTERM or SIGINT; then finish what
 * is under way, for at most half a minute.  SIGHUP loads the models anew; what is under way ends with the old ones.
 * Errors: WB_EUSAGE (also: built without libmicrohttpd), WB_EIO (the address is taken, a file of keys), WB_EDATA (a
 * model), WB_ENOMEM. */
wb_status wb_serve_run (const wb_serve_t *s) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
