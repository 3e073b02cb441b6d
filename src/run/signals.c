/* Signals: SIGINT, SIGTERM and SIGUSR1 ask a run to stop.
 *
 * They set a flag that rides on the verdict of the next step: all ranks finish that step, save, and exit with 75.  A
 * second SIGINT ends at once.
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
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run/signals.h"
#include "wabun/launch.h"

static _Atomic int asked, starting; /* the signal that came, 0: none; no step has begun */
static bool speaks;
static pid_t parent;

#define TICK_MS 100
static _Atomic int64_t ticked; /* milliseconds, when the thread for signals last looked at the clock */

static int64_t milliseconds (void) {
    struct timespec t;
    clock_gettime (CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

static void on_continue (int signo, siginfo_t *info, void *context) {
    (void) context;
    const bool was_stopped = milliseconds () - atomic_load (&ticked) > 5 * TICK_MS;
    if (info->si_pid == parent && !was_stopped && atomic_load (&asked) == 0) on_signal (signo);
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
    if (wb_launcher_grace () >= 0 && sigaction (SIGCONT, &action, NULL) == 0) sigaddset (set, SIGCONT);
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

void wb_signals_started (void) { atomic_store (&starting, 0); }
bool wb_signals_stop (void) { return atomic_load (&asked) != 0; }
