/* Signals: SIGINT, SIGTERM and SIGUSR1 ask a run to stop.
 *
 * They set a flag that rides on the verdict of the next step: all ranks finish that step, save, and exit with 75.  A
 * second SIGINT ends at once.
 *
 * Before the first step there is nothing to save, and the start may take long (every id of a large file is checked, a
 * checkpoint verified): the process ends at once, with 75 as well.  That is as safe as being killed there, for all
 * files appear under their names by a rename; the lock ends with the process.
 *
 * Not done here: stopping (run.c). */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "run/signals.h"
#include "wabun/launch.h"

static _Atomic int asked, starting; /* the signal that came, 0: none; no step has begun */
static bool speaks;

static void on_signal (int signo) {
    static const char told[] = "wabun: stopped on request before a first step, nothing is to be saved: run the same "
                               "command again\n";
    if (atomic_load (&asked) != 0 && signo == SIGINT) _exit (130);
    atomic_store (&asked, signo);
    if (!atomic_load (&starting)) return;
    if (speaks) {
        ssize_t ignored = write (STDERR_FILENO, told, sizeof told - 1);
        (void) ignored;
    }
    _exit (WB_ESTOP);
}

static void *take_signals (void *set) {
    (void) pthread_sigmask (SIG_UNBLOCK, set, NULL); /* fails only for a wrong first argument */
    for (;;) pause ();
    return NULL;
}

void wb_signals_catch (void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
    static sigset_t set;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    speaks = wb_launcher_rank () == 0;
    atomic_store (&starting, 1);
    sigemptyset (&action.sa_mask);
    sigemptyset (&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (sigaction (signals[i], &action, NULL) != 0)
            wb_warn ("cannot catch signal %d: %s: it ends the run without a checkpoint", signals[i], strerror (errno));
        sigaddset (&set, signals[i]);
    }
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

void wb_signals_started (void) { atomic_store (&starting, 0); }
bool wb_signals_stop (void) { return atomic_load (&asked) != 0; }
