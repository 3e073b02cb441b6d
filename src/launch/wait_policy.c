/* How threads wait for one another: spinning, which is fastest where the cores are ours alone, or asleep.
 *
 * OpenMP's threads spin for some milliseconds at the end of each loop.  Where other programs want the cores too, one
 * thread then burns the time slice that the thread it waits for is in need of: on a machine with a load of five a core,
 * scores took fifteen times as long.  OMP_WAIT_POLICY=passive cures it, but is read when the library of OpenMP is
 * loaded, before main(); so it is set, and the program starts itself again (restart.c).
 *
 * A server outlives the load it was started at, and its own connections want a core now and then: its threads spin for
 * some ten microseconds, longer than the loops of a step are apart, and then sleep (GOMP_SPINCOUNT, of GNU's OpenMP).
 *
 * Not done here: ranks that wait for one another (mpi_yield_when_idle); any other program on a machine that becomes
 * busy later. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wabun/launch.h"

#define POLICY "OMP_WAIT_POLICY"
#define SPINS "GOMP_SPINCOUNT"
#define WAITS "WABUN_WAITS"

static bool is_set (const char *name) {
    const char *s = getenv (name);
    return s != NULL && s[0] != 0;
}

bool wb_wait_is_busy (const char *loadavg, int cores, int ours) {
    double load;
    int running;
    if (sscanf (loadavg, "%lf %*f %*f %d/", &load, &running) != 2) return false;
    /* Now, and for a minute: a node on which a job has just ended has only the load, one that starts ours only ranks.
     */
    return 2 * (running - ours) >= cores && 2 * load >= cores;
}

bool wb_wait_choose (bool stays) {
    char line[128];
    wb_launcher_t launcher;
    const char *threads = getenv ("OMP_NUM_THREADS");
    if (is_set (POLICY) || is_set (SPINS) || is_set (WAITS)) return false;
    if (threads != NULL && strcmp (threads, "1") == 0) return false;
    FILE *f = fopen ("/proc/loadavg", "r");
    if (f == NULL) return false;
    const bool got = fgets (line, sizeof line, f) != NULL;
    fclose (f);
    wb_launcher_find (&launcher);
    if (!got || !wb_wait_is_busy (line, wb_cpu_cores (), launcher.local_ranks))
        return stays && setenv (SPINS, "20000", 1) == 0;
    line[strcspn (line, " \n")] = 0;
    return setenv (WAITS, line, 1) == 0 && setenv (POLICY, "passive", 1) == 0;
}

const char *wb_wait_note (void) {
    static char note[160];
    if (is_set (WAITS))
        snprintf (note, sizeof note,
                  "other programs keep this machine busy (load %.20s on %d cores): threads wait asleep, "
                  "as with OMP_WAIT_POLICY=passive",
                  getenv (WAITS), wb_cpu_cores ());
    return note;
}
