/* In place of the server, where wabun was built without libmicrohttpd. */
#include "config.h"

#include "wabun/serve.h"

wb_status wb_serve_run (const wb_serve_t *s) {
    (void) s;
    return WB_FAIL (WB_EUSAGE, "this wabun was built without libmicrohttpd: install it (Debian and Ubuntu: apt-get "
                               "install libmicrohttpd-dev), then ./configure and make again");
}
