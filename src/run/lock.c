/* One run directory, one run.
 *
 * Rank 0 holds a lock on RUN/.lock as long as the run lasts.  The kernel releases it when the process ends, however it
 * ends, so there are no stale locks; the text in the file is for the message only.  The file itself stays: removing it
 * would let two runs lock two files of the same name.
 *
 * Under the lock, what a killed run left half written belongs to nobody and is removed.
 *
 * Not here: file systems whose locks other hosts do not see, or that have none (owner.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "run/run_priv.h"

static wb_status taken (int fd, const char *run) {
    char who[128];
    ssize_t n = read (fd, who, sizeof who - 1);
    who[n > 0 ? n : 0] = 0;
    who[strcspn (who, "\n")] = 0;
    return WB_FAIL (WB_EIO, "%s: another run is writing there (%s): wait for its end or stop it, or set another `run`",
                    run, who[0] != 0 ? who : "process unknown");
}

/* Take the lock, waiting up to 2 s: a run that was killed a moment ago may still be ending although its launcher is
 * gone.  0, or -1 with errno. */
static int take (int fd) {
    int rc;
    for (int turn = 0; turn < 20; turn++) {
        rc = flock (fd, LOCK_EX | LOCK_NB);
        if (rc == 0 || errno != EWOULDBLOCK) return rc;
        nanosleep (&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    }
    return flock (fd, LOCK_EX | LOCK_NB);
}

static wb_status lock (wb_run_t *r, const char *path) {
    const char *run = r->config->run.dir;
    char who[128];
    int n, error;
    r->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0) return WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
    if (take (r->lock) != 0) {
        error = errno;
        if (error == EWOULDBLOCK) return taken (r->lock, run);
        wb_debug ("%s: this file system has no locks (%s)", run, strerror (error));
        return wb_owner_take (&r->owner, run, false);
    }
    n = snprintf (who, sizeof who, "process %ld on %s\n", (long) getpid (), wb_comm_host ());
    if (n >= (int) sizeof who) n = (int) sizeof who - 1;
    if (ftruncate (r->lock, 0) != 0 || pwrite (r->lock, who, (size_t) n, 0) != n)
        wb_debug ("%s: cannot write: %s", path, strerror (errno)); /* a full disk: the lock holds all the same */
    return wb_owner_take (&r->owner, run, true);
}

/* A file of RUN that wb_file_write() was writing when its process was killed. */
static bool is_left_over (const char *name) {
    static const char *const files[] = {"config.cfg.tmp-", "metrics.jsonl.tmp-", "samples.txt.tmp-", "latest.tmp-",
                                        ".owner.tmp-"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strncmp (name, files[i], strlen (files[i])) == 0) return true;
    return strcmp (name, "latest.tmp") == 0;
}

static wb_status sweep (const char *run) {
    char *scratch = wb_format ("%s/" WB_RUN_SCRATCH, run);
    wb_status status = scratch != NULL ? wb_dir_remove (scratch) : WB_NOMEM ("%s", run);
    wb_free (scratch);
    WB_TRY (status);
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, run));
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        if (!is_left_over (names.data[i])) continue;
        char *path = wb_format ("%s/%s", run, names.data[i]);
        if (path == NULL)
            status = WB_NOMEM ("%s", run);
        else if (unlink (path) != 0 && errno != ENOENT)
            status = WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
        wb_free (path);
    }
    wb_names_fini (&names);
    if (status == WB_OK) status = wb_ckpt_prune (run, 0);
    char *archive = wb_format ("%s/archive", run);
    if (status == WB_OK) status = archive != NULL ? wb_ckpt_prune (archive, 0) : WB_NOMEM ("%s", run);
    wb_free (archive);
    return status == WB_OK ? wb_ckpt_adopt_latest (run) : status;
}

/* `run` = RUN/latest, or RUN/step-...: its files would go with that checkpoint. */
static wb_status check_no_checkpoint (const char *run) {
    char *state = wb_format ("%s/state.json", run);
    wb_status status = state != NULL ? WB_OK : WB_NOMEM ("%s", run);
    if (status == WB_OK && wb_file_exists (state))
        status = WB_FAIL (WB_EUSAGE,
                          "%s is a checkpoint, not a run: set `run` to the directory around it to go on, or to another "
                          "one and model.base = \"%s\" to start from its weights",
                          run, run);
    wb_free (state);
    return status;
}

wb_status wb_run_lock (wb_run_t *r) {
    wb_status status = WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        char *path = wb_format ("%s/.lock", r->config->run.dir);
        if (path == NULL) status = WB_NOMEM ("%s", r->config->run.dir);
        if (status == WB_OK && wb_file_exists (r->config->run.dir) && !wb_file_is_dir (r->config->run.dir))
            status = WB_FAIL (WB_EIO, "%s is not a directory, so no run can be written there: set another `run`",
                              r->config->run.dir);
        if (status == WB_OK) status = check_no_checkpoint (r->config->run.dir);
        if (status == WB_OK) status = wb_dir_make (r->config->run.dir);
        if (status == WB_OK) status = lock (r, path);
        if (status == WB_OK) status = sweep (r->config->run.dir);
        wb_free (path);
    }
    return wb_agree (r->world, status);
}

int wb_run_is_locked (const char *run) {
    char *path = wb_format ("%s/.lock", run);
    const int fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
    int held = 0;
    wb_free (path);
    if (fd < 0) return 0;
    /* Shared, and given back at once: a run that starts at this moment waits for it. */
    if (flock (fd, LOCK_SH | LOCK_NB) != 0) held = errno == EWOULDBLOCK ? 1 : -1;
    close (fd);
    if (held != 1 && wb_owner_is_elsewhere (run)) return 1;
    return held;
}

void wb_run_unlock (wb_run_t *r) {
    wb_owner_drop (r->owner);
    r->owner = NULL;
    if (r->lock >= 0) close (r->lock);
    r->lock = -1;
}
