/* Saving: every rank writes its own pieces of whole tensors at their offsets in the shared files.
 *
 * Where a value lies in a file is a function of the parameter table alone, so the bytes are the same whatever layout
 * wrote them, and no rank needs to know what another holds.  Everything is written under a temporary name; a rename
 * makes it a checkpoint, so there is never half of one under the final name.
 *
 * No rank leaves between two agreements: an error on one (a full disk) is kept by the file until its collective close.
 *
 * Not done here: what belongs in a checkpoint (the caller says it); exchanging values between ranks: of a tensor cut by
 * columns, runs whose neighbours belong to another rank are written one by one. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"

#define STAGE_BYTES ((size_t) 4 << 20)

/* ---- one shared file ------------------------------------------------------------------------------------------- */

/* The sets set0 .. set0 + nsets - 1 of a job, one after the other. */
typedef struct shared_file {
    const char *name;
    int set0, nsets;
    wb_st_tensor_t *tensors; /* [ntensors]; names owned */
    int *place;              /* [nsets][nparams] number of the tensor, -1: not in the set */
    int ntensors;
    char *header;
    size_t header_bytes;
    int64_t bytes;
    wb_pfile_t *file;
} shared_file_t;

static wb_status describe (shared_file_t *f, const wb_ckpt_job_t *job) {
    int n = f->nsets * job->nparams;
    f->tensors = wb_calloc ((size_t) n + 1, sizeof *f->tensors);
    f->place = wb_calloc ((size_t) n + 1, sizeof *f->place);
    if (f->tensors == NULL || f->place == NULL) return WB_NOMEM ("checkpoint");
    for (int i = 0; i < n; i++) {
        const wb_param_t *p = &job->params[i % job->nparams];
        const wb_ckpt_set_t *set = &job->sets[f->set0 + i / job->nparams];
        f->place[i] = -1;
        if (!wb_ckpt_in_set (set, p)) continue;
        wb_st_tensor_t *t = &f->tensors[f->ntensors];
        f->place[i] = f->ntensors++;
        t->name = wb_format ("%s%s", set->prefix, p->name);
        if (t->name == NULL) return WB_NOMEM ("checkpoint");
        t->dtype = WB_F32;
        t->ndim = p->ndim;
        WB_ASSERT (p->ndim == 2 || (p->ndim == 1 && p->rows == 1));
        t->shape[0] = p->ndim == 2 ? p->rows : p->cols;
        t->shape[1] = p->cols;
    }
    WB_TRY (wb_st_header (&f->header, &f->header_bytes, f->tensors, f->ntensors));
    f->bytes = f->ntensors > 0 ? f->tensors[f->ntensors - 1].end : (int64_t) f->header_bytes;
    return WB_OK;
}

static void fini_file (shared_file_t *f) {
    for (int i = 0; i < f->ntensors; i++) wb_free (f->tensors[i].name);
    wb_free (f->tensors);
    wb_free (f->place);
    wb_free (f->header);
}

/* ---- writing runs ---------------------------------------------------------------------------------------------- */

/* A contiguous piece waiting to be written: `used` bytes for the file, from `at`. */
typedef struct stage {
    wb_pfile_t *file;
    char *buf;
    size_t used;
    int64_t at;
} stage_t;

static wb_status flush (stage_t *s) {
    size_t bytes = s->used;
    s->used = 0;
    return bytes > 0 ? wb_pfile_write (s->file, s->buf, bytes, s->at) : WB_OK;
}

/* What follows the staged bytes is appended to them; long runs are written without a copy. */
static wb_status put (stage_t *s, const float *x, int64_t n, int64_t at) {
    size_t bytes = (size_t) n * sizeof *x;
    if (s->used > 0 && (at != s->at + (int64_t) s->used || s->used + bytes > STAGE_BYTES)) WB_TRY (flush (s));
    if (s->used == 0 && bytes >= STAGE_BYTES / 4) return wb_pfile_write (s->file, x, bytes, at);
    if (s->used == 0) s->at = at;
    memcpy (s->buf + s->used, x, bytes);
    s->used += bytes;
    return WB_OK;
}

/* order: the segments in the order of the file, so that neighbours are staged together. */
static wb_status write_sets (shared_file_t *f, stage_t *s, const wb_ckpt_job_t *job, const wb_segment_t *const *order) {
    s->file = f->file;
    s->used = 0;
    for (int k = 0; k < f->nsets; k++) {
        const wb_ckpt_set_t *set = &job->sets[f->set0 + k];
        const int *place = f->place + k * job->nparams;
        for (int j = 0; j < job->nsegments; j++) {
            const wb_segment_t *g = order[j];
            int at = place[g->param - job->params];
            if (at < 0) continue;
            const float *from = set->data + (set->by_state ? g->state : g->flat);
            int64_t begin = f->tensors[at].begin, global, run;
            for (int64_t i = 0; i < g->count; i += run) {
                wb_param_run (g->param, &global, &run, g->first + i);
                if (run > g->count - i) run = g->count - i;
                WB_TRY (put (s, from + i, run, begin + global * (int64_t) sizeof (float)));
            }
        }
    }
    return flush (s);
}

static int by_place (const void *a, const void *b) {
    const wb_segment_t *x = *(const wb_segment_t *const *) a, *y = *(const wb_segment_t *const *) b;
    if (x->param != y->param) return x->param < y->param ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* ---- a save ---------------------------------------------------------------------------------------------------- */

typedef struct save {
    wb_comm_t *world;
    const wb_ckpt_job_t *job;
    char *dir, *temp;
    shared_file_t *files;
    int nfiles;
    const wb_segment_t **order;
    const char **names; /* of the shared files, then of texts and copies */
    stage_t stage;
} save_t;

/* What the caller guarantees: the sets of a file are adjacent, the segments are of this table and cover it, names are
 * plain. */
static void check_job (wb_comm_t *world, const wb_ckpt_job_t *job) {
    int64_t held = 0, all = 0;
    for (int i = 0; i < job->nsegments; i++) {
        const wb_segment_t *g = &job->segments[i];
        WB_ASSERT (g->param >= job->params && g->param < job->params + job->nparams);
        WB_ASSERT (g->count >= 0 && g->first >= 0 && g->first + g->count <= wb_param_own (g->param));
        held += g->count;
    }
    for (int i = 0; i < job->nparams; i++) all += job->params[i].rows * job->params[i].cols;
    wb_comm_sum_i64 (world, &held, 1);
    WB_ASSERT (held == all);
    for (int i = 0; i < job->ntexts; i++) WB_ASSERT (strchr (job->texts[i].name, '/') == NULL);
}

static wb_status plan (save_t *s, const char *dir) {
    const wb_ckpt_job_t *job = s->job;
    size_t length = strlen (dir);
    while (length > 1 && dir[length - 1] == '/') length--;
    s->dir = wb_strndup (dir, length);
    s->temp = wb_format ("%.*s.tmp", (int) length, dir);
    s->files = wb_calloc ((size_t) job->nsets + 1, sizeof *s->files);
    s->order = wb_calloc ((size_t) job->nsegments + 1, sizeof *s->order);
    s->names = wb_calloc ((size_t) (job->nsets + job->ntexts + job->ncopies) + 1, sizeof *s->names);
    s->stage.buf = wb_malloc (STAGE_BYTES);
    if (s->dir == NULL || s->temp == NULL || s->files == NULL || s->order == NULL || s->names == NULL ||
        s->stage.buf == NULL)
        return WB_NOMEM ("checkpoint");
    for (int i = 0; i < job->nsegments; i++) s->order[i] = &job->segments[i];
    qsort (s->order, (size_t) job->nsegments, sizeof *s->order, by_place);
    for (int i = 0; i < job->nsets; i++) {
        if (i == 0 || strcmp (job->sets[i].file, job->sets[i - 1].file) != 0) {
            for (int k = 0; k < s->nfiles; k++) WB_ASSERT (strcmp (s->files[k].name, job->sets[i].file) != 0);
            s->names[s->nfiles] = job->sets[i].file;
            s->files[s->nfiles].name = job->sets[i].file;
            s->files[s->nfiles++].set0 = i;
        }
        s->files[s->nfiles - 1].nsets++;
    }
    for (int i = 0; i < s->nfiles; i++) WB_TRY (describe (&s->files[i], job));
    int n = s->nfiles;
    for (int i = 0; i < job->ntexts; i++) s->names[n++] = job->texts[i].name;
    for (int i = 0; i < job->ncopies; i++) s->names[n++] = wb_file_name (job->copies[i]);
    for (int i = 0; i < n; i++) {
        bool twice = s->names[i][0] == 0 || strcmp (s->names[i], WB_SUMS_FILE) == 0;
        for (int k = 0; k < i; k++) twice = twice || strcmp (s->names[i], s->names[k]) == 0;
        if (twice) return WB_FAIL (WB_EUSAGE, "%s: cannot hold two files of the name '%s'", s->dir, s->names[i]);
    }
    return WB_OK;
}

static bool is_empty_dir (const char *path) {
    DIR *d = opendir (path);
    if (d == NULL) return false;
    bool empty = true;
    for (const struct dirent *e; empty && (e = readdir (d)) != NULL;)
        empty = strcmp (e->d_name, ".") == 0 || strcmp (e->d_name, "..") == 0;
    closedir (d);
    return empty;
}

/* Rank 0: check that dir may be replaced, and make an empty temporary directory. */
static wb_status prepare (const save_t *s) {
    struct stat st;
    char *aside = wb_format ("%s.old", s->dir), *sums = wb_format ("%s/" WB_SUMS_FILE, s->dir);
    wb_status status = aside != NULL && sums != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    /* An earlier save was killed between its two renames: put the old checkpoint back. */
    if (status == WB_OK && lstat (s->dir, &st) != 0 && wb_file_is_dir (aside) && rename (aside, s->dir) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", aside, s->dir, strerror (errno));
    if (status == WB_OK && lstat (s->dir, &st) == 0 &&
        !(S_ISDIR (st.st_mode) && (wb_file_exists (sums) || is_empty_dir (s->dir))))
        status = WB_FAIL (WB_EUSAGE,
                          "%s: exists and is not a checkpoint of wabun; remove it, or name another directory", s->dir);
    if (status == WB_OK) status = wb_dir_remove (s->temp);
    if (status == WB_OK) status = wb_dir_make (s->temp);
    wb_free (aside);
    wb_free (sums);
    return status;
}

/* Rank 0. */
static wb_status write_small (const save_t *s) {
    wb_status status = WB_OK;
    const wb_ckpt_job_t *job = s->job;
    for (int i = 0; i < job->ntexts + job->ncopies && status == WB_OK; i++) {
        char *path = wb_format ("%s/%s", s->temp, s->names[s->nfiles + i]);
        if (path == NULL)
            status = WB_NOMEM ("checkpoint");
        else if (i < job->ntexts)
            status = wb_file_write (path, job->texts[i].text, strlen (job->texts[i].text));
        else
            status = wb_file_copy (path, job->copies[i - job->ntexts]);
        wb_free (path);
    }
    return status;
}

/* All files are created, then filled: a disk that is too small is noticed before anything is written. */
static wb_status write_shared (save_t *s) {
    wb_status status = WB_OK;
    int made = 0;
    for (int i = 0; i < s->nfiles && status == WB_OK; i++) {
        char *path = wb_format ("%s/%s", s->temp, s->files[i].name);
        status = wb_agree (s->world, path != NULL ? WB_OK : WB_NOMEM ("checkpoint"));
        if (status == WB_OK) status = wb_pfile_create (&s->files[i].file, s->world, path, s->files[i].bytes);
        wb_free (path);
        if (status == WB_OK) made++;
    }
    wb_status mine = status;
    for (int i = 0; i < made && mine == WB_OK; i++) {
        if (wb_comm_rank (s->world) == 0)
            mine = wb_pfile_write (s->files[i].file, s->files[i].header, s->files[i].header_bytes, 0);
        if (mine == WB_OK) mine = write_sets (&s->files[i], &s->stage, s->job, s->order);
    }
    for (int i = 0; i < made; i++) {
        wb_status closed = wb_pfile_close (s->files[i].file);
        if (status == WB_OK) status = closed;
    }
    return wb_agree (s->world, status != WB_OK ? status : mine);
}

static wb_status rename_to (const char *to, const char *from) {
    if (rename (from, to) == 0) return WB_OK;
    return WB_FAIL (WB_EIO, "%s: cannot rename to %s: %s", from, to, strerror (errno));
}

static wb_status sync_parent (const char *path) {
    char *parent = wb_file_dir (path);
    wb_status status = parent != NULL ? wb_dir_sync (parent) : WB_NOMEM ("checkpoint");
    wb_free (parent);
    return status;
}

/* What cannot be removed now is removed by the next save or prune. */
static void remove_quietly (const char *path) {
    wb_error_t before;
    wb_error_take (&before);
    if (wb_dir_remove (path) != WB_OK) wb_warn ("%s: left over", path);
    wb_error_put (&before);
}

/* Rank 0: rename temp to dir.  The old dir is removed after that; when this fails the new one is no worse. */
static wb_status put_in_place (const save_t *s) {
    struct stat st;
    WB_TRY (wb_dir_sync (s->temp));
    if (lstat (s->dir, &st) != 0) {
        WB_TRY (rename_to (s->dir, s->temp));
        return sync_parent (s->dir);
    }
#ifdef RENAME_EXCHANGE
    if (renameat2 (AT_FDCWD, s->temp, AT_FDCWD, s->dir, RENAME_EXCHANGE) == 0) {
        WB_TRY (sync_parent (s->dir));
        remove_quietly (s->temp);
        return WB_OK;
    }
#endif
    char *aside = wb_format ("%s.old", s->dir);
    wb_status status = aside != NULL ? wb_dir_remove (aside) : WB_NOMEM ("checkpoint");
    if (status == WB_OK) status = rename_to (aside, s->dir);
    if (status == WB_OK) {
        status = rename_to (s->dir, s->temp);
        if (status != WB_OK && rename (aside, s->dir) != 0)
            wb_warn ("%s: is now called %s: %s", s->dir, aside, strerror (errno));
    }
    if (status == WB_OK) status = sync_parent (s->dir);
    if (status == WB_OK) remove_quietly (aside);
    wb_free (aside);
    return status;
}

/* Complete the message, in the same words on every rank.  This replaces the advice that comes from the file, which does
 * not know that it is part of a checkpoint.  What else there is to go on from, the caller knows. */
static void advise (void) {
    static const char free_space[] = "; free some space";
    wb_error_t e = *wb_error_get ();
    if (e.status != WB_EIO) return;
    char *known = strstr (e.text, free_space);
    bool full =
        known != NULL || strstr (e.text, strerror (ENOSPC)) != NULL || strstr (e.text, strerror (EDQUOT)) != NULL;
    if (known != NULL) *known = 0;
    size_t used = strlen (e.text);
    if (full) snprintf (e.text + used, sizeof e.text - used, "%s", free_space);
    wb_error_put (&e);
}

wb_status wb_ckpt_save (wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job) {
    save_t s = {.world = world, .job = job};
    bool root = wb_comm_rank (world) == 0;
    check_job (world, job);
    wb_status status = wb_agree (world, plan (&s, dir));
    if (status == WB_OK) status = wb_agree (world, root ? prepare (&s) : WB_OK);
    bool begun = status == WB_OK;
    if (status == WB_OK) status = write_shared (&s);
    if (status == WB_OK) status = wb_agree (world, root ? write_small (&s) : WB_OK);
    if (status == WB_OK)
        status = wb_sums_write (world, s.temp, s.names, s.nfiles, s.names + s.nfiles, job->ntexts + job->ncopies);
    if (status == WB_OK) status = wb_agree (world, root ? put_in_place (&s) : WB_OK);
    if (status != WB_OK) advise ();
    if (status != WB_OK && begun && root) remove_quietly (s.temp);
    for (int i = 0; i < s.nfiles; i++) fini_file (&s.files[i]);
    wb_free (s.files);
    wb_free (s.order);
    wb_free (s.names);
    wb_free (s.stage.buf);
    wb_free (s.dir);
    wb_free (s.temp);
    return status;
}
