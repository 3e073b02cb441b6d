/* Signals: SIGINT, SIGTERM and SIGUSR1 ask a run to stop.
 *
 * They set a flag that rides on the verdict of the next step: all ranks finish that step, save, and exit with 75.  A
 * second SIGINT ends at once.  Both are told.
 *
 * A launcher also sends signals to the ranks that are left when one was lost, which is no request: who is gone is
 * looked for, and where that is not known nothing is claimed.
 *
 * Before the first step there is nothing to save, and the start may take long (every id of a large file is checked, a
 * checkpoint verified): the process ends at once, with 75 as well.  That is as safe as being killed there, for all
 * files appear under their names by a rename; the lock ends with the process.
 *
 * At Ctrl-C or SIGTERM, Open MPI's mpirun sends SIGCONT to its ranks at once, SIGTERM only after its patience
 * (odls_base_sigkill_timeout), and SIGKILL after as much again.  So a SIGCONT from the parent is a request to stop as
 * well, if the process was not stopped before: a clock that ticks in the thread for signals has no gap then.
 *
 * Not done here: stopping (run.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/signals.h"
#include "run/run_priv.h"

static _Atomic int asked, starting; /* the signal that came, 0: none; no step has begun */
static _Atomic bool loss;           /* it came from a launcher that has lost a rank */
static _Atomic bool speaks;         /* cleared while the thread for signals may ask */
static bool launched;
static int rank;
static _Atomic int words_fd = -1; /* where the last words go, -1: nowhere */
static const char *words;         /* borrowed */
static pid_t parent;
static volatile sig_atomic_t by_launcher; /* mpirun passes on a Ctrl-C */
static char launcher[32], told_launcher[256];
static const char told[] = "wabun: asked to stop: this step is finished, then a checkpoint is saved; a second Ctrl-C "
                           "ends at once, without one\n";

#define TICK_MS 100
static _Atomic int64_t ticked; /* milliseconds, when the thread for signals last looked at the clock */

static int64_t milliseconds (void) {
    struct timespec t;
    clock_gettime (CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The standard error of mpirun: while it waits for ranks to end it hands nothing on, and after a second Ctrl-C it is
 * gone.  Only a terminal or a pipe is written to from here: in a file, mpirun would write over it.  -1: take our own.
 */
static int launcher_stderr (void) {
    struct stat st;
    const int fd = by_launcher && launcher[0] != 0 ? open (launcher, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0 || isatty (fd) || (fstat (fd, &st) == 0 && S_ISFIFO (st.st_mode))) return fd;
    close (fd);
    return -1;
}

/* A line from within a handler; on a terminal it takes the place of a progress line. */
static void tell (const char *line) {
    static const char wipe[] = "\r\033[K";
    if (!speaks) return;
    const int there = launcher_stderr (), fd = there >= 0 ? there : STDERR_FILENO;
    char text[512];
    size_t n = isatty (fd) ? sizeof wipe - 1 : 0, bytes = strlen (line);
    memcpy (text, wipe, n);
    if (bytes > sizeof text - n) bytes = sizeof text - n;
    memcpy (text + n, line, bytes);
    ssize_t ignored = write (fd, text, n + bytes);
    (void) ignored;
    if (there >= 0) close (there);
}

/* A rank is gone, so the launcher ends the others.  In steps the watchdog says so. */
static void on_loss (int gone) {
    if (!atomic_load (&starting)) return;
    speaks = rank == (gone == 0 ? 1 : 0);
    tell (
        "wabun: another rank is gone (it ended by itself, was killed, took more memory than there is, or its host was "
        "lost), so the launcher ends this one before a first step: run the same command again\n");
    _exit (WB_EHUNG);
}

/* The first request is answered at once: a step may take minutes. */
static void on_signal (int signo, siginfo_t *info, void *context) {
    (void) context;
    const int before = atomic_exchange (&asked, signo);
    if (before != 0 && signo != SIGINT) return;
    if (before != 0) {
        tell ("wabun: ended at once: what was trained since the last checkpoint is lost\n");
        _exit (130);
    }
    const bool perhaps_loss = launched && info->si_pid == parent && (signo == SIGTERM || signo == SIGCONT);
    const int gone = perhaps_loss ? wb_watch_gone () : -1;
    if (gone >= 0) {
        atomic_store (&loss, true);
        on_loss (gone);
        return;
    }
    if (!atomic_load (&starting)) {
        tell (by_launcher ? told_launcher : told);
        return;
    }
    tell (perhaps_loss ? "wabun: stopped by the launcher before a first step, on request or because a rank was lost; "
                         "nothing is to be saved: run the same command again\n"
                       : "wabun: stopped on request before a first step, nothing is to be saved: run the same command "
                         "again\n");
    if (atomic_load (&words_fd) >= 0) {
        ssize_t ignored = write (atomic_load (&words_fd), words, strlen (words));
        (void) ignored;
    }
    _exit (WB_ESTOP);
}

static void on_continue (int signo, siginfo_t *info, void *context) {
    const bool was_stopped = milliseconds () - atomic_load (&ticked) > 5 * TICK_MS;
    if (info->si_pid != parent || was_stopped || atomic_load (&asked) != 0) return;
    by_launcher = 1;
    on_signal (signo, info, context);
}

static void *take_signals (void *set) {
    atomic_store (&ticked, milliseconds ());
    (void) pthread_sigmask (SIG_UNBLOCK, set, NULL); /* fails only for a wrong first argument */
    for (;;) {
        nanosleep (&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
        atomic_store (&ticked, milliseconds ());
    }
    return NULL;
}

/* Only Open MPI's mpirun says by SIGCONT that a stop is under way. */
static void catch_continue (sigset_t *set) {
    const struct sigaction action = {.sa_sigaction = on_continue, .sa_flags = SA_RESTART | SA_SIGINFO};
    parent = getppid ();
    snprintf (launcher, sizeof launcher, "/proc/%d/fd/2", (int) parent);
    snprintf (told_launcher, sizeof told_launcher, "%.*s; mpirun returns after %d s\n", (int) (strlen (told) - 1), told,
              2 * wb_launcher_grace ());
    if (wb_launcher_grace () >= 0 && sigaction (SIGCONT, &action, NULL) == 0) sigaddset (set, SIGCONT);
}

void wb_signals_catch (void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
    static sigset_t set;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
    wb_launcher_t found;
    wb_launcher_find (&found);
    launched = found.name != NULL; /* else the parent is a shell */
    rank = found.rank;
    speaks = rank == 0;
    atomic_store (&starting, 1);
    sigemptyset (&action.sa_mask);
    sigemptyset (&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (sigaction (signals[i], &action, NULL) != 0)
            wb_warn ("cannot catch signal %d: %s: it ends the run without a checkpoint", signals[i], strerror (errno));
        sigaddset (&set, signals[i]);
    }
    catch_continue (&set);
    /* A dedicated thread takes the signals; all later threads inherit the blocked mask.  oneDNN's generated code keeps
     * data far below the stack pointer, which a signal frame would overwrite. */
    pthread_t thread;
    int error = pthread_sigmask (SIG_BLOCK, &set, NULL);
    if (error == 0) error = pthread_create (&thread, NULL, take_signals, &set);
    if (error == 0) error = pthread_detach (thread);
    if (error == 0) return;
    wb_debug ("no thread for signals: %s: any thread takes them", strerror (error));
    (void) pthread_sigmask (SIG_UNBLOCK, &set, NULL);
}

void wb_signals_last_words (int fd, const char *line) {
    words = line;
    atomic_store (&words_fd, fd);
}

void wb_signals_started (void) {
    atomic_store (&starting, 0);
    const int fd = atomic_exchange (&words_fd, -1);
    if (fd >= 0) close (fd);
}

void wb_signals_over (void) {
    speaks = false;
    wb_signals_started ();
}

bool wb_signals_stop (void) { return atomic_load (&asked) != 0; }
bool wb_signals_loss (void) { return atomic_load (&loss); }
