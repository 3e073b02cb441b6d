/* Log: lines for people, on stderr; results are the caller's and go to stdout.
 *
 * One rank speaks, set by wb_log_init(); before that every process does.  A progress line stays on the terminal until
 * something else is printed: it is erased first, so a message always starts on a fresh line.  It never reaches a file
 * or a pipe.
 *
 * A message is one write(): what other processes write to the same terminal, pipe or file cannot come in between (a
 * pipe keeps pieces of up to PIPE_BUF = 4,096 bytes together).
 *
 * Not done here: the run's numbers (report) and errors (status.c). */
#include "config.h"

#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base_priv.h"
#include "wabun/base.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static wb_log_level level_now = WB_LOG_INFO;
static bool speaks_now = true;
static bool progress_open;

void wb_log_init (wb_log_level level, bool speaks) {
    level_now = level;
    speaks_now = speaks;
}

bool wb_log_is_tty (void) { return speaks_now && isatty (STDERR_FILENO); }

#define WIPE "\r\033[K"
#define SHORT 4096 /* bytes of a message that need no memory */

/* What ends a progress line; "" where there is none.  The lock is held. */
static const char *wipe (void) {
    const char *how = progress_open ? WIPE : "";
    progress_open = false;
    return how;
}

static void put (const char *text, size_t n) {
    fflush (stderr);
    const int error = wb_fd_write (STDERR_FILENO, text, n, -1);
    (void) error; /* there is nobody left to tell */
}

/* Where a message is too long for `text`, `all` is allocated; out of memory it is cut. */
static void say (const char *front, const char *fmt, va_list ap, const char *back) {
    char text[SHORT], *all = text;
    va_list again;
    va_copy (again, ap);
    pthread_mutex_lock (&lock);
    const size_t n = (size_t) snprintf (text, sizeof text, "%s%s", wipe (), front), m = strlen (back);
    size_t bytes = (size_t) vsnprintf (text + n, sizeof text - n, fmt, ap), room = sizeof text - n;
    if (bytes + m >= room && (all = wb_malloc (n + bytes + m + 1)) != NULL) {
        memcpy (all, text, n);
        room = bytes + m + 1;
        vsnprintf (all + n, room, fmt, again);
    }
    if (all == NULL) all = text;
    if (bytes + m >= room) bytes = room - m - 1;
    memcpy (all + n + bytes, back, m);
    put (all, n + bytes + m);
    if (all != text) wb_free (all);
    pthread_mutex_unlock (&lock);
    va_end (again);
}

void wb_log_say (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    say ("", fmt, ap, "");
    va_end (ap);
}

static void tell (wb_log_level level, const char *front, const char *fmt, va_list ap) {
    if (speaks_now && level <= level_now) say (front, fmt, ap, "\n");
}

void wb_info (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    tell (WB_LOG_INFO, "", fmt, ap);
    va_end (ap);
}

void wb_warn (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    tell (WB_LOG_WARN, "wabun: warning: ", fmt, ap);
    va_end (ap);
}

void wb_debug (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    tell (WB_LOG_DEBUG, "wabun: debug: ", fmt, ap);
    va_end (ap);
}

void wb_log_progress (const char *fmt, ...) {
    if (level_now < WB_LOG_INFO || !wb_log_is_tty ()) return;
    char text[1024];
    va_list ap;
    va_start (ap, fmt);
    vsnprintf (text, sizeof text, fmt, ap);
    va_end (ap);
    /* A line that wraps cannot be erased.  No UTF-8 character is wider than its number of bytes, so bytes are a safe
     * measure. */
    struct winsize w;
    size_t room = ioctl (STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? (size_t) w.ws_col - 1 : 79;
    if (strlen (text) > room) {
        while (room > 0 && ((unsigned char) text[room] & 0xC0) == 0x80) room--;
        text[room < sizeof text ? room : sizeof text - 1] = 0;
    }
    pthread_mutex_lock (&lock);
    char line[sizeof text + sizeof WIPE];
    const int n = snprintf (line, sizeof line, "%s%s", wipe (), text);
    put (line, (size_t) n);
    progress_open = text[0] != 0;
    pthread_mutex_unlock (&lock);
}
