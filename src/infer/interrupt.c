/* Ctrl-C for a command that prints what it has before it ends: the first one only sets a flag. */
#include "config.h"

#include <signal.h>

#include "wabun/infer.h"

static volatile sig_atomic_t interrupted;
static struct sigaction before;

static void on_interrupt (int sig) {
    /* timeout(1) sends its signal twice; the third one ends the program at once. */
    if (++interrupted < 3) return;
    signal (sig, SIG_DFL);
    raise (sig);
}

void wb_interrupt_begin (void) {
    struct sigaction catch = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset (&catch.sa_mask);
    sigaction (SIGINT, NULL, &before);
    if (before.sa_handler != SIG_IGN) sigaction (SIGINT, &catch, NULL); /* background jobs of a script ignore it */
}

bool wb_interrupted (void) { return interrupted != 0; }

void wb_interrupt_forget (void) { interrupted = 0; }

void wb_interrupt_end (wb_status status) {
    sigaction (SIGINT, &before, NULL);
    if (interrupted == 0 || status != WB_OK) return;
    signal (SIGINT, SIG_DFL);
    raise (SIGINT);
}
