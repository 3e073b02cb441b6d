/* Log: lines for people, on stderr; results are the caller's and go to stdout.
 *
 * One rank speaks, set by wb_log_init(); before that every process does.  A progress line stays on the terminal until
 * something else is printed: it is erased first, so a message always starts on a fresh line.  It never reaches a file
 * or a pipe.
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

static void wipe (void) {
    if (progress_open) fputs ("\r\033[K", stderr);
    progress_open = false;
}

void wb_log_fresh_line (void) {
    pthread_mutex_lock (&lock);
    wipe ();
    fflush (stderr);
    pthread_mutex_unlock (&lock);
}

static void say (wb_log_level level, const char *front, const char *fmt, va_list ap) {
    if (!speaks_now || level > level_now) return;
    pthread_mutex_lock (&lock);
    wipe ();
    fputs (front, stderr);
    vfprintf (stderr, fmt, ap);
    fputc ('\n', stderr);
    fflush (stderr);
    pthread_mutex_unlock (&lock);
}

void wb_info (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    say (WB_LOG_INFO, "", fmt, ap);
    va_end (ap);
}

void wb_warn (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    say (WB_LOG_WARN, "wabun: warning: ", fmt, ap);
    va_end (ap);
}

void wb_debug (const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    say (WB_LOG_DEBUG, "wabun: debug: ", fmt, ap);
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
    wipe ();
    fputs (text, stderr);
    fflush (stderr);
    progress_open = text[0] != 0;
    pthread_mutex_unlock (&lock);
}
