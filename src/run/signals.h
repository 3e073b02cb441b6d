/* Signals that ask a run to stop. */
#ifndef WABUN_RUN_SIGNALS_H
#define WABUN_RUN_SIGNALS_H

#include <stdbool.h>

/* Catch SIGINT, SIGTERM, SIGUSR1, and what mpirun sends before them.  Until wb_signals_started() they end the process
 * at once with 75, later they only set a flag; a second SIGINT always ends it.  Call it before any other thread is
 * started. */
void wb_signals_catch (void);
void wb_signals_started (void);
/* Nothing is said of signals any more: the run has ended, and said how. */
void wb_signals_over (void);
/* What a process that is ended so writes into fd (taken; -1: nothing) until wb_signals_started().  Borrowed. */
void wb_signals_last_words (int fd, const char *line);
bool wb_signals_stop (void); /* was this process asked to stop? */
bool wb_signals_loss (void); /* by a launcher that had lost a rank, as far as the watchdog knew then? */

#endif
