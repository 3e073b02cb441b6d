/* Processor: the right BLAS kernels.
 *
 * OpenBLAS chooses its kernels when it is loaded, before main(), by a list of processor models that ends where its
 * release does: a newer processor gets the kernels of a very old one and runs five times slower.  OPENBLAS_CORETYPE
 * overrides the choice, but only from the environment the process was started with.  So the program sets it and starts
 * itself again: exec keeps the process (launchers do not notice), and nothing has been opened yet.  Once only:
 * WABUN_RETUNED holds the core type that OpenBLAS had chosen, and says that it was tried.  Never after MPI started,
 * which does not survive an exec.
 *
 * Where it cannot or must not, products are slow, and people should know.  A command that is about to make products
 * says so, once it has understood what it is to do.  An error of usage comes alone, and so does the answer of a command
 * without products.
 *
 * Not done here: which kernels a processor deserves (kernels/gemm.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "wabun/launch.h"

#define CORETYPE "OPENBLAS_CORETYPE"
#define RETUNED "WABUN_RETUNED"

const char *wb_retuned_from (void) { return getenv (RETUNED); }

const char *wb_retuned_note (void) {
    static char note[96];
    const char *from = wb_retuned_from ();
    if (from != NULL) snprintf (note, sizeof note, ", started again: OpenBLAS had chosen %.40s", from);
    return note;
}

static void start_again (char **argv) {
    fflush (NULL);
    execv ("/proc/self/exe", argv);
}

/* A process started from /proc/self/exe is called exe in ps and for killall. */
static void keep_name (const char *program) {
    const char *slash = strrchr (program, '/');
    char now[17] = "";
    if (prctl (PR_GET_NAME, now) == 0 && strcmp (now, "exe") == 0)
        (void) prctl (PR_SET_NAME, slash != NULL ? slash + 1 : program);
}

/* What wb_retune() could not mend, to be reported later; empty: nothing. */
static char slow[512];

void wb_retune (char **argv, bool allowed, bool stays, const char *core, const char *want) {
    if (argv[0] != NULL) keep_name (argv[0]);
    const bool waits = allowed && wb_wait_choose (stays);
    if (want == NULL) {
        if (waits) start_again (argv); /* where that fails, it is only slower */
        return;
    }
    const char *coretype = getenv (CORETYPE), *why = "";
    const bool set = coretype != NULL && coretype[0] != 0; /* empty chooses nothing */
    if (allowed && !set && wb_retuned_from () == NULL) {
        if (setenv (CORETYPE, want, 1) == 0 && setenv (RETUNED, core, 1) == 0) start_again (argv);
        why = strerror (errno);
        unsetenv (CORETYPE);
        unsetenv (RETUNED);
    } else if (waits)
        start_again (argv);
    const bool ignored = set && strcmp (coretype, want) == 0;
    snprintf (slow, sizeof slow,
              "the BLAS runs its %s kernels, this processor could run %s ones, which are faster: %s" CORETYPE
              "=%s%s%s%s%s",
              core, want, ignored ? "" : "set ", want,
              ignored ? " is set, but this BLAS does not follow it: it needs another build" : "",
              why[0] != 0 ? " (restarting with it failed: " : "", why, why[0] != 0 ? ")" : "");
}

void wb_slow_warn (void) {
    wb_threads_warn ();
    if (slow[0] != 0) wb_warn ("%s", slow);
    slow[0] = 0;
}

void wb_hold_streams (void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl (fd, F_GETFD) != -1 || errno != EBADF) continue;
        if (open ("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
    }
}
