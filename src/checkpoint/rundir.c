/* A run's directory: which checkpoints there are, which is the latest, which may be removed.
 *
 * The directory itself is the only record: a checkpoint is a directory of the right name that has its state and
 * checksums, which it has from its rename on.  Nothing is removed under its good name: it gets a temporary one first,
 * so that a half-removed checkpoint is never taken for a whole one.  A damaged one gets a name that says so; it is no
 * longer counted, and never removed.
 *
 * Not here: whether a checkpoint is damaged (wb_ckpt_verify). */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"
#include "wabun/json.h"

#define STEP_FORMAT "step-%08" PRId64

char *wb_ckpt_path (const char *run, int64_t step) { return wb_format ("%s/" STEP_FORMAT, run, step); }

/* The step of "step-00001000" + ending; -1: another name. */
static int64_t step_of (const char *name, const char *ending) {
    char canonical[64], *end;
    if (strncmp (name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9') return -1;
    errno = 0;
    long long step = strtoll (name + 5, &end, 10);
    if (errno != 0 || step < 0) return -1;
    snprintf (canonical, sizeof canonical, STEP_FORMAT "%s", (int64_t) step, ending);
    return strcmp (name, canonical) == 0 ? (int64_t) step : -1;
}

static wb_status is_finished (bool *out, const char *run, int64_t step) {
    char *dir = wb_ckpt_path (run, step);
    if (dir == NULL) return WB_NOMEM ("checkpoint");
    *out = wb_file_is_in (dir, "state.json") && wb_file_is_in (dir, WB_SUMS_FILE);
    wb_free (dir);
    return WB_OK;
}

/* The step that dir/state.json tells, -1: none. */
static wb_status state_step (int64_t *out, const char *dir) {
    char *path = wb_format ("%s/state.json", dir);
    *out = -1;
    if (path == NULL) return WB_NOMEM ("checkpoint");
    json_t *state = wb_file_exists (path) ? wb_json_load_file (path, 0, NULL) : NULL;
    const json_t *step = json_object_get (state, "step");
    if (json_is_integer (step)) *out = json_integer_value (step);
    const wb_status status = wb_json_status (state);
    json_decref (state);
    wb_free (path);
    return status;
}

wb_status wb_ckpt_check_whole (const char *dir) {
    static const char *const files[] = {"state.json", WB_SUMS_FILE};
    const int64_t step = step_of (wb_file_name (dir), "");
    struct stat st;
    if (stat (dir, &st) != 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", dir, strerror (errno));
    if (!S_ISDIR (st.st_mode))
        return WB_FAIL (WB_EDATA, "%s: is not a directory, so it is no checkpoint; " WB_SUMS_ADVICE, dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = wb_format ("%s/%s", dir, files[i]);
        if (path == NULL) return WB_NOMEM ("checkpoint");
        const int error = stat (path, &st) == 0 ? 0 : errno;
        wb_free (path);
        if (error != 0 && error != ENOENT && error != ENOTDIR && error != ELOOP)
            return WB_FAIL (WB_EIO, "%s: %s: cannot open: %s", dir, files[i], strerror (error));
        if (error != 0 || !S_ISREG (st.st_mode))
            return WB_FAIL (WB_EDATA, "%s: %s is %s, so it is no whole checkpoint; " WB_SUMS_ADVICE, dir, files[i],
                            error != 0 ? "missing" : "not a file");
    }
    int64_t is;
    WB_TRY (state_step (&is, dir));
    if (step >= 0 && is >= 0 && is != step)
        return WB_FAIL (WB_EDATA, "%s: holds step %" PRId64 " by its state.json: it was exchanged; " WB_SUMS_ADVICE,
                        dir, is);
    return WB_OK;
}

static int newest_first (const void *a, const void *b) {
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return x > y ? -1 : x < y;
}

/* Steps of the names that end in `ending`, newest first; the caller frees *steps. */
static wb_status scan (int64_t **steps, int *n, const char *run, const char *ending) {
    *steps = NULL;
    *n = 0;
    if (!wb_file_exists (run)) return WB_OK;
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, run));
    wb_status status = WB_OK;
    *steps = wb_malloc ((size_t) (names.len + 1) * sizeof **steps);
    if (*steps == NULL) status = WB_NOMEM ("checkpoint");
    for (int64_t i = names.len - 1; i >= 0 && status == WB_OK; i--) {
        int64_t step = step_of (names.data[i], ending);
        if (step >= 0) (*steps)[(*n)++] = step;
    }
    wb_names_fini (&names);
    if (*n > 0) qsort (*steps, (size_t) *n, sizeof **steps, newest_first);
    return status;
}

/* Those of scan() that are finished. */
static wb_status finished (int64_t **steps, int *n, const char *run) {
    int all = 0;
    wb_status status = scan (steps, &all, run, "");
    *n = 0;
    for (int i = 0; i < all && status == WB_OK; i++) {
        bool good = false;
        status = is_finished (&good, run, (*steps)[i]);
        if (good) (*steps)[(*n)++] = (*steps)[i];
    }
    return status;
}

wb_status wb_ckpt_list (int64_t *steps, int *n, const char *run, int max) {
    int64_t *all = NULL;
    int count = 0;
    wb_status status = finished (&all, &count, run);
    *n = 0;
    for (int i = 0; i < count && i < max && status == WB_OK; i++) steps[(*n)++] = all[i];
    wb_free (all);
    return status;
}

wb_status wb_ckpt_list_named (int64_t **steps, int *n, const char *run) { return scan (steps, n, run, ""); }

/* ---- latest ---------------------------------------------------------------------------------------------------- */

int (*wb_ckpt_symlink) (const char *target, const char *path) = symlink;

/* RUN/NAME, or RUN/NAME-2, ...: one that is not there.  NULL: no memory. */
static char *free_name (const char *run, const char *name) {
    char *path = wb_format ("%s/%s", run, name);
    struct stat st;
    for (int k = 2; path != NULL && lstat (path, &st) == 0; k++) {
        wb_free (path);
        path = wb_format ("%s/%s-%d", run, name, k);
    }
    return path;
}

/* The step of a checkpoint by its state.json, -1: not a checkpoint. */
static wb_status step_in (int64_t *out, const char *dir) {
    *out = -1;
    return wb_file_is_in (dir, WB_SUMS_FILE) ? state_step (out, dir) : WB_OK;
}

/* Whoever copies a run with the links resolved gets a real directory RUN/latest.  It becomes the checkpoint it is a
 * copy of where that is not there, else it steps aside; an empty one goes.  *was: there was one. */
static wb_status clear_latest (bool *was, const char *run) {
    struct stat st;
    char *dir = wb_format ("%s/latest", run), *to = NULL;
    *was = dir != NULL && lstat (dir, &st) == 0 && S_ISDIR (st.st_mode);
    wb_status status = dir != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (*was && rmdir (dir) != 0) {
        int64_t step;
        status = step_in (&step, dir);
        to = step >= 0 ? wb_ckpt_path (run, step) : NULL;
        bool adopted = to != NULL && lstat (to, &st) != 0;
        if (!adopted) {
            wb_free (to);
            to = free_name (run, "latest.copied");
        }
        if (status == WB_OK && to == NULL) status = WB_NOMEM ("checkpoint");
        if (status != WB_OK)
            ;
        else if (rename (dir, to) != 0)
            status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", dir, to, strerror (errno));
        else if (adopted)
            wb_info ("%s was a directory, not a link: it is the checkpoint %s now", dir, wb_file_name (to));
        else
            wb_warn ("%s was a directory, not a link: it is called %s now, and wabun will not use it", dir, to);
    }
    wb_free (dir);
    wb_free (to);
    return status;
}

/* A symbolic link; where the file system has none, a file that holds the name (wb_dir_latest() reads it). */
static wb_status point (const char *link, const char *temp, const char *target) {
    unlink (temp);
    int error = wb_ckpt_symlink (target, temp) != 0 ? errno : 0;
    if (error == EPERM || error == ENOSYS || error == ENOTSUP || error == EOPNOTSUPP) {
        char line[80];
        int n = snprintf (line, sizeof line, "%s\n", target);
        return wb_file_write (link, line, (size_t) n);
    }
    if (error == 0 && rename (temp, link) != 0) error = errno;
    if (error == 0) return WB_OK;
    unlink (temp);
    return WB_FAIL (WB_EIO, "%s: cannot create the link to %s: %s", link, target, strerror (error));
}

static wb_status set_link (const char *run, const char *name, int64_t step) {
    char target[64], *link = wb_format ("%s/%s", run, name), *temp = wb_format ("%s/%s.tmp", run, name);
    wb_status status = link != NULL && temp != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    snprintf (target, sizeof target, STEP_FORMAT, step);
    if (status == WB_OK) status = point (link, temp, target);
    if (status == WB_OK) status = wb_dir_sync (run);
    wb_free (link);
    wb_free (temp);
    return status;
}

wb_status wb_ckpt_set_latest (const char *run, int64_t step) {
    bool was;
    WB_TRY (clear_latest (&was, run));
    return set_link (run, "latest", step);
}

wb_status wb_ckpt_set_best (const char *run, int64_t step) { return set_link (run, "best", step); }

wb_status wb_ckpt_adopt_latest (const char *run) {
    bool was;
    int64_t step;
    int n = 0;
    WB_TRY (clear_latest (&was, run));
    if (was) WB_TRY (wb_ckpt_list (&step, &n, run, 1));
    return n > 0 ? wb_ckpt_set_latest (run, step) : WB_OK;
}

/* The step that `latest` or `best` points at, -1: none. */
static wb_status step_at (int64_t *step, const char *run, const char *name) {
    char target[4096], *link = wb_format ("%s/%s", run, name), *named = link != NULL ? wb_dir_latest (link) : NULL;
    *step = -1;
    wb_status status = named != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    ssize_t n = status == WB_OK ? readlink (link, target, sizeof target - 1) : -1;
    if (n >= 0) {
        target[n] = 0;
        while (n > 1 && target[n - 1] == '/') target[--n] = 0;
        *step = step_of (wb_file_name (target), "");
    } else if (status == WB_OK) {
        *step = step_of (wb_file_name (named), "");
    }
    wb_free (link);
    wb_free (named);
    return status;
}

/* ---- removing -------------------------------------------------------------------------------------------------- */

wb_status wb_ckpt_set_aside (const char *run, int64_t step) {
    char name[64], *dir = wb_ckpt_path (run, step);
    snprintf (name, sizeof name, STEP_FORMAT ".damaged", step);
    char *to = free_name (run, name);
    wb_status status = dir != NULL && to != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && rename (dir, to) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", dir, to, strerror (errno));
    if (status == WB_OK) wb_info ("%s is set aside as %s: wabun neither uses nor removes it", dir, wb_file_name (to));
    wb_free (dir);
    wb_free (to);
    return status;
}

static wb_status remove_step (const char *run, int64_t step) {
    char *dir = wb_ckpt_path (run, step), *temp = wb_format ("%s/" STEP_FORMAT ".tmp", run, step);
    wb_status status = dir != NULL && temp != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && rename (dir, temp) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot remove: %s", dir, strerror (errno));
    if (status == WB_OK) status = wb_dir_remove (temp);
    wb_free (dir);
    wb_free (temp);
    return status;
}

/* A checkpoint moved aside for a new one of the same step: put back when the new one did not appear, else removed. */
static wb_status resolve_aside (const char *run, int64_t step) {
    char *dir = wb_ckpt_path (run, step), *aside = wb_format ("%s/" STEP_FORMAT ".old", run, step);
    wb_status status = dir != NULL && aside != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    if (status == WB_OK && wb_file_exists (dir))
        status = wb_dir_remove (aside);
    else if (status == WB_OK && rename (aside, dir) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", aside, dir, strerror (errno));
    wb_free (dir);
    wb_free (aside);
    return status;
}

wb_status wb_ckpt_prune (const char *run, int keep) {
    int64_t *steps = NULL, latest, best;
    int n = 0;
    WB_TRY (step_at (&latest, run, "latest"));
    WB_TRY (step_at (&best, run, "best"));
    wb_status status = scan (&steps, &n, run, ".old");
    for (int i = 0; i < n && status == WB_OK; i++) status = resolve_aside (run, steps[i]);
    wb_free (steps);
    if (status == WB_OK) {
        status = scan (&steps, &n, run, ".tmp");
        for (int i = 0; i < n && status == WB_OK; i++) {
            char *temp = wb_format ("%s/" STEP_FORMAT ".tmp", run, steps[i]);
            status = temp != NULL ? wb_dir_remove (temp) : WB_NOMEM ("checkpoint");
            wb_free (temp);
        }
        wb_free (steps);
    }
    if (status == WB_OK && keep > 0) {
        status = finished (&steps, &n, run);
        for (int i = keep; i < n && status == WB_OK; i++)
            if (steps[i] != latest && steps[i] != best) status = remove_step (run, steps[i]);
        wb_free (steps);
    }
    return status;
}
