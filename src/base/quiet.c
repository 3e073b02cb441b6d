/* What base has of messages and ends for a library inside other people's programs: nothing is said, nothing is ended in
 * good order.  In the place of log.c and end.c. */
#include "config.h"

#include "base/base_priv.h"
#include "wabun/base.h"

void wb_warn (const char *fmt, ...) { (void) fmt; }

/* A broken invariant: what is wrong in memory must not go on, and there is nobody to tell. */
void wb_abort (const char *file, int line, const char *fmt, ...) {
    (void) file, (void) line, (void) fmt;
    __builtin_trap ();
}
