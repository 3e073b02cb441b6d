/* Files in the run directory that ask for something: RUN/SAVE for a checkpoint, RUN/STOP for one and the end.
 *
 * For whoever may write there but cannot send a signal.  Rank 0 looks now and then; the others learn of it as of a
 * signal, in the verdict of a step.  A file is removed once it was obeyed.
 *
 * Not done here: what is asked for. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "run/run_priv.h"
#include "run/signals.h"

#define LOOK_SECONDS 2.0

static const struct {
    const char *name;
    unsigned tell;
} files[] = {{WB_RUN_SAVE_FILE, WB_TELL_SAVE}, {WB_RUN_STOP_FILE, WB_TELL_STOP}};
enum { FILES = sizeof files / sizeof *files };

static unsigned look (wb_run_t *r) {
    unsigned found = 0;
    if (wb_comm_rank (r->world) != 0 || wb_now () - r->looked < LOOK_SECONDS) return 0;
    r->looked = wb_now ();
    for (int i = 0; i < FILES; i++) {
        char *path = (r->asked & files[i].tell) == 0 ? wb_format ("%s/%s", r->config->run.dir, files[i].name) : NULL;
        if (path != NULL && wb_file_exists (path)) {
            wb_info ("step %lld/%lld  %s asks for it", (long long) r->trainer->step,
                     (long long) r->config->step.optim.steps, path);
            found |= files[i].tell;
        }
        wb_free (path);
    }
    r->asked |= found;
    return found;
}

unsigned wb_run_tell (wb_run_t *r) {
    unsigned tell = look (r);
    if (wb_signals_stop ()) tell |= WB_TELL_STOP;
    if (wb_saver_ready (r->saving.saver)) tell |= WB_TELL_READY;
    return tell;
}

void wb_run_obeyed (wb_run_t *r, const char *name) {
    for (int i = 0; i < FILES; i++) {
        if (strcmp (files[i].name, name) != 0 || (r->asked & files[i].tell) == 0) continue;
        char *path = wb_format ("%s/%s", r->config->run.dir, name);
        r->asked &= ~files[i].tell;
        if (path != NULL && unlink (path) != 0 && errno != ENOENT)
            wb_warn ("%s: cannot remove, so it asks again: %s", path, strerror (errno));
        wb_free (path);
    }
}
