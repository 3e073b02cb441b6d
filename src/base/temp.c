/* Temporary files that must not outlive their process.
 *
 * A table has the names of what is being written.  A signal that ends the process removes those files first: unlink()
 * is allowed in a handler, the heap is not, so the table has places, not a list.  A name may be freed after
 * wb_temp_drop(): once a handler runs, that function does not return in any thread.
 *
 * Not done here: what SIGKILL leaves; the next start removes it (wb_temp_sweep). */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base_priv.h"
#include "wabun/base.h"

#define PLACES 64

static _Atomic (const char *) places[PLACES];
static atomic_bool ending;

static void on_signal (int signo) {
    atomic_store (&ending, true);
    for (int i = 0; i < PLACES; i++) {
        const char *path = atomic_load (&places[i]);
        if (path != NULL) unlink (path);
    }
    signal (signo, SIG_DFL);
    raise (signo); /* it is blocked here: it ends the process when this function returns */
}

void wb_temp_guard (void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old, new = {.sa_handler = on_signal};
        sigfillset (&new.sa_mask);
        if (sigaction (signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) sigaction (signals[i], &new, NULL);
    }
}

int wb_temp_add (const char *path) {
    for (int i = 0; i < PLACES; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong (&places[i], &none, path)) return i;
    }
    return -1; /* nothing is lost: it is left over if a signal comes */
}

void wb_temp_drop (int place) {
    if (place < 0) return;
    atomic_store (&places[place], NULL);
    while (atomic_load (&ending)) pause ();
}

const char *wb_temp_host (void) {
    static _Thread_local char host[33]; /* of a long name the beginning: file names have 255 bytes */
    if (gethostname (host, sizeof host) != 0 && errno != ENAMETOOLONG) host[0] = 0;
    host[sizeof host - 1] = 0;
    return host;
}

/* Is it NAME.tmp-HOST-PID-K of this host and of a process that has ended? */
static bool is_stale (const char *name) {
    const char *host = wb_temp_host (), *at = strstr (name, ".tmp-");
    char *end;
    if (at == NULL || strncmp (at + 5, host, strlen (host)) != 0 || host[0] == 0) return false;
    at += 5 + strlen (host);
    const long pid = *at == '-' ? strtol (at + 1, &end, 10) : 0;
    if (pid <= 0 || *end != '-' || end[1] == 0 || strspn (end + 1, "0123456789") != strlen (end + 1)) return false;
    return kill ((pid_t) pid, 0) != 0 && errno == ESRCH;
}

void wb_temp_sweep (const char *prefix) {
    char *dir = wb_file_dir (prefix);
    const char *name = wb_file_name (prefix);
    wb_names_t names;
    if (dir != NULL && wb_dir_list (&names, dir) == WB_OK) {
        for (int64_t i = 0; i < names.len; i++) {
            if (strncmp (names.data[i], name, strlen (name)) != 0 || !is_stale (names.data[i])) continue;
            char *path = wb_format ("%s/%s", dir, names.data[i]);
            if (path != NULL && unlink (path) == 0)
                wb_info ("%s: removed, left over by a process that has ended", path);
            wb_free (path);
        }
        wb_names_fini (&names);
    } else
        wb_error_clear (); /* whoever writes there will say so */
    wb_free (dir);
}
