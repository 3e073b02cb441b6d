/* A BLAS that takes the processor for a Prescott, for tests/cli/retune.sh: loaded in front of OpenBLAS (LD_PRELOAD), it
 * answers for it when its core type is asked for.  The arithmetic stays OpenBLAS's own.
 *
 *   OPENBLAS_CORETYPE   if set and not empty, is followed, as OpenBLAS does
 *   BLAS_CORE_STUBBORN  if set, is not
 *   BLAS_CORE_LOG       a file that gets a line "started PID" for each start of the program, and "asked PID" */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *openblas_get_corename (void);
char *openblas_get_config (void);

static void note (const char *what) {
    const char *path = getenv ("BLAS_CORE_LOG");
    FILE *f = path != NULL ? fopen (path, "a") : NULL;
    if (f == NULL) return;
    fprintf (f, "%s %ld\n", what, (long) getpid ());
    fclose (f);
}

__attribute__ ((constructor)) static void started (void) {
    const char *name = program_invocation_short_name; /* not env, not the wrapper of a launcher */
    if (strcmp (name, "wabun") == 0 || strcmp (name, "lt-wabun") == 0) note ("started");
}

char *openblas_get_corename (void) {
    static char prescott[] = "Prescott";
    char *set = getenv ("OPENBLAS_CORETYPE");
    note ("asked");
    return set != NULL && set[0] != 0 && getenv ("BLAS_CORE_STUBBORN") == NULL ? set : prescott;
}

char *openblas_get_config (void) {
    static char config[] = "OpenBLAS 0.0.0 DYNAMIC_ARCH pretended";
    return config;
}
