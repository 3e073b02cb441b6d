/* Saving: every rank writes its own pieces of whole tensors at their offsets in the shared files.
 *
 * Where a value lies in a file is a function of the parameter table alone, so the bytes are the same whatever layout
 * wrote them, and no rank needs to know what another holds.  Everything is written under a temporary name; a rename
 * makes it a checkpoint, so there is never half of one under the final name.
 *
 * It is done in phases, between which all ranks agree; within one no rank needs another, so that a thread can do it
 * while the training goes on (background.c).
 *
 * Not done here: what belongs in a checkpoint (the caller says it); exchanging values between ranks: of a tensor cut by
 * columns, runs whose neighbours belong to another rank are written one by one. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/save.h"

#define STAGE_BYTES ((size_t) 4 << 20)
#define PIECE_BYTES ((size_t) 1 << 20) /* written at once; the copy is made in such pieces too */

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
    wb_pace_t pace;
    char *buf;
    size_t used;
    int64_t at;
} stage_t;

static void rest (const wb_pace_t *p) {
    if (p->rest != NULL) p->rest (p->ctx);
}

static wb_status write_pieces (stage_t *s, const char *from, size_t bytes, int64_t at) {
    for (size_t done = 0; done < bytes;) {
        const size_t n = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        WB_TRY (wb_pfile_write (s->file, from + done, n, at + (int64_t) done));
        done += n;
        rest (&s->pace);
    }
    return WB_OK;
}

static wb_status flush (stage_t *s) {
    size_t bytes = s->used;
    s->used = 0;
    return write_pieces (s, s->buf, bytes, s->at);
}

/* What follows the staged bytes is appended to them; long runs are written without a copy. */
static wb_status put (stage_t *s, const float *x, int64_t n, int64_t at) {
    size_t bytes = (size_t) n * sizeof *x;
    if (s->used > 0 && (at != s->at + (int64_t) s->used || s->used + bytes > STAGE_BYTES)) WB_TRY (flush (s));
    if (s->used == 0 && bytes >= STAGE_BYTES / 4) return write_pieces (s, (const char *) x, bytes, at);
    if (s->used == 0) s->at = at;
    memcpy (s->buf + s->used, x, bytes);
    s->used += bytes;
    return WB_OK;
}

static int by_place (const void *a, const void *b) {
    const wb_segment_t *x = *(const wb_segment_t *const *) a, *y = *(const wb_segment_t *const *) b;
    if (x->param != y->param) return x->param < y->param ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* ---- a save ---------------------------------------------------------------------------------------------------- */

struct wb_save {
    wb_comm_t *world;
    wb_ckpt_job_t job; /* texts are owned; the rest of it is borrowed but sets */
    wb_ckpt_set_t *sets;
    wb_ckpt_text_t *texts;
    float *copy; /* set after set, in the order of `order`; NULL: values lie where the job says */
    bool root, made;
    char *dir, *temp;
    shared_file_t *files;
    int nfiles;
    const wb_segment_t **order;
    const char **names; /* of the shared files, then of texts and extras */
    int nnames;
    stage_t stage;
    wb_sums_t sums;
};

/* Give each piece of each set that this rank writes to `take`: its values are p->data + at. */
static wb_status each_piece (wb_save_t *s, const shared_file_t *f, int64_t *copied,
                             wb_status (*take) (wb_save_t *s, const shared_file_t *f, int set, const wb_segment_t *g,
                                                const float *live, int64_t at)) {
    for (int k = f->set0; k < f->set0 + f->nsets; k++) {
        const wb_ckpt_set_t *set = &s->sets[k];
        for (int j = 0; j < s->job.nsegments; j++) {
            const wb_segment_t *g = s->order[j];
            if (!wb_ckpt_in_set (set, g->param)) continue;
            WB_TRY (take (s, f, k, g, set->data + (set->by_state ? g->state : g->flat), *copied));
            *copied += g->count;
        }
    }
    return WB_OK;
}

static wb_status copy_piece (wb_save_t *s, const shared_file_t *f, int set, const wb_segment_t *g, const float *live,
                             int64_t at) {
    (void) f, (void) set;
    const int64_t piece = (int64_t) (PIECE_BYTES / sizeof (float));
#pragma omp parallel for schedule(static) if (g->count > 2 * piece)
    for (int64_t i = 0; i < g->count; i += piece) {
        const int64_t n = g->count - i < piece ? g->count - i : piece;
        memcpy (s->copy + at + i, live + i, (size_t) n * sizeof (float));
    }
    return WB_OK;
}

void wb_save_copy (wb_save_t *s) {
    int64_t copied = 0;
    for (int i = 0; i < s->nfiles; i++) WB_ASSERT (each_piece (s, &s->files[i], &copied, copy_piece) == WB_OK);
}

static wb_status write_piece (wb_save_t *s, const shared_file_t *f, int set, const wb_segment_t *g, const float *live,
                              int64_t at) {
    const float *from = s->copy != NULL ? s->copy + at : live;
    const int tensor = f->place[(set - f->set0) * s->job.nparams + (int) (g->param - s->job.params)];
    int64_t global, run;
    for (int64_t i = 0; i < g->count; i += run) {
        wb_param_run (g->param, &global, &run, g->first + i);
        if (run > g->count - i) run = g->count - i;
        WB_TRY (put (&s->stage, from + i, run, f->tensors[tensor].begin + global * (int64_t) sizeof (float)));
    }
    return WB_OK;
}

size_t wb_ckpt_copy_bytes (const wb_ckpt_job_t *job) {
    size_t floats = 0;
    for (int k = 0; k < job->nsets; k++)
        for (int j = 0; j < job->nsegments; j++)
            if (wb_ckpt_in_set (&job->sets[k], job->segments[j].param)) floats += (size_t) job->segments[j].count;
    return floats * sizeof (float);
}

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

/* Copies of what the caller may free before the save ends. */
static wb_status take_job (wb_save_t *s, const wb_ckpt_job_t *job) {
    s->job = *job;
    s->sets = wb_calloc ((size_t) job->nsets + 1, sizeof *s->sets);
    s->texts = wb_calloc ((size_t) job->ntexts + 1, sizeof *s->texts);
    if (s->sets == NULL || s->texts == NULL) return WB_NOMEM ("checkpoint");
    if (job->nsets > 0) memcpy (s->sets, job->sets, (size_t) job->nsets * sizeof *s->sets);
    for (int i = 0; i < job->ntexts; i++) {
        s->texts[i] = (wb_ckpt_text_t){job->texts[i].name, wb_strdup (job->texts[i].text)};
        if (s->texts[i].text == NULL) return WB_NOMEM ("checkpoint");
    }
    s->job.sets = s->sets;
    s->job.texts = s->texts;
    return WB_OK;
}

static wb_status plan_files (wb_save_t *s) {
    const wb_ckpt_job_t *job = &s->job;
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
    s->nnames = s->nfiles;
    for (int i = 0; i < job->ntexts; i++) s->names[s->nnames++] = job->texts[i].name;
    for (int i = 0; i < job->nextras; i++) s->names[s->nnames++] = job->extras[i];
    for (int i = 0; i < s->nnames; i++) {
        bool twice = s->names[i][0] == 0 || strcmp (s->names[i], WB_SUMS_FILE) == 0;
        for (int k = 0; k < i; k++) twice = twice || strcmp (s->names[i], s->names[k]) == 0;
        if (twice) return WB_FAIL (WB_EUSAGE, "%s: cannot hold two files of the name '%s'", s->dir, s->names[i]);
    }
    return WB_OK;
}

static wb_status plan (wb_save_t *s, const char *dir, const wb_ckpt_job_t *job) {
    size_t length = strlen (dir);
    while (length > 1 && dir[length - 1] == '/') length--;
    s->dir = wb_strndup (dir, length);
    s->temp = wb_format ("%.*s.tmp", (int) length, dir);
    s->files = wb_calloc ((size_t) job->nsets + 1, sizeof *s->files);
    s->order = wb_calloc ((size_t) job->nsegments + 1, sizeof *s->order);
    s->names = wb_calloc ((size_t) (job->nsets + job->ntexts + job->nextras) + 1, sizeof *s->names);
    s->stage.buf = wb_malloc (STAGE_BYTES);
    if (s->dir == NULL || s->temp == NULL || s->files == NULL || s->order == NULL || s->names == NULL ||
        s->stage.buf == NULL)
        return WB_NOMEM ("checkpoint");
    WB_TRY (take_job (s, job));
    for (int i = 0; i < job->nsegments; i++) s->order[i] = &job->segments[i];
    qsort (s->order, (size_t) job->nsegments, sizeof *s->order, by_place);
    return plan_files (s);
}

/* Rank 0: all files are created before they are filled, so a disk that is too small is noticed before anything is
 * written. */
static wb_status make (wb_save_t *s) {
    WB_TRY (wb_place_begin (s->dir, s->temp));
    s->made = true;
    for (int i = 0; i < s->nfiles; i++) {
        char *path = wb_format ("%s/%s", s->temp, s->files[i].name);
        const wb_status status = path != NULL ? wb_pfile_make (path, s->files[i].bytes) : WB_NOMEM ("checkpoint");
        wb_free (path);
        WB_TRY (status);
    }
    return WB_OK;
}

/* Rank 0. */
static wb_status write_small (const wb_save_t *s) {
    const wb_ckpt_job_t *job = &s->job;
    for (int i = 0; i < job->ntexts; i++) {
        char *path = wb_format ("%s/%s", s->temp, job->texts[i].name);
        const wb_status status = path != NULL ? wb_file_write (path, job->texts[i].text, strlen (job->texts[i].text))
                                              : WB_NOMEM ("checkpoint");
        wb_free (path);
        WB_TRY (status);
    }
    return job->nextras > 0 ? job->extra (job->ctx, s->temp) : WB_OK;
}

static wb_status write_file (wb_save_t *s, const shared_file_t *f, int64_t *copied) {
    char *path = wb_format ("%s/%s", s->temp, f->name);
    wb_status status = path != NULL ? wb_pfile_open_made (&s->stage.file, path, f->bytes) : WB_NOMEM ("checkpoint");
    wb_free (path);
    WB_TRY (status);
    s->stage.used = 0;
    if (s->stage.pace.rest != NULL) wb_pfile_gently (s->stage.file);
    if (s->root) status = wb_pfile_write (s->stage.file, f->header, f->header_bytes, 0);
    if (status == WB_OK) status = each_piece (s, f, copied, write_piece);
    if (status == WB_OK) status = flush (&s->stage);
    const wb_status closed = wb_pfile_end (s->stage.file);
    return status == WB_OK ? closed : status;
}

static wb_status write_all (wb_save_t *s) {
    int64_t copied = 0;
    for (int i = 0; i < s->nfiles; i++) WB_TRY (write_file (s, &s->files[i], &copied));
    return s->root ? write_small (s) : WB_OK;
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

wb_status wb_save_work (wb_save_t *s, wb_save_phase phase) {
    switch (phase) {
    case WB_SAVE_MAKE: return s->root ? make (s) : WB_OK;
    case WB_SAVE_WRITE: return write_all (s);
    case WB_SAVE_HASH: {
        const wb_sums_share_t share = {wb_comm_rank (s->world), wb_comm_size (s->world), s->stage.pace};
        return wb_sums_make (&s->sums, &share, s->temp, s->names, s->nfiles, s->names + s->nfiles,
                             s->root ? s->nnames - s->nfiles : 0);
    }
    default: break;
    }
    if (!s->root) return WB_OK;
    WB_TRY (wb_sums_write (&s->sums, s->temp));
    WB_TRY (wb_place_end (s->dir, s->temp));
    s->made = false;
    if (s->job.after != NULL) s->job.after (s->job.ctx);
    return WB_OK;
}

wb_status wb_save_agree (wb_save_t *s, wb_save_phase phase, wb_status mine) {
    const wb_status status = wb_agree (s->world, mine);
    if (status == WB_OK && phase == WB_SAVE_HASH) wb_sums_share (&s->sums, s->world);
    if (status == WB_OK) return WB_OK;
    advise ();
    if (s->made) wb_place_remove (s->temp);
    s->made = false;
    return status;
}

wb_status wb_save_new (wb_save_t **out, wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job, float *copy,
                       wb_pace_t pace) {
    check_job (world, job);
    wb_save_t *s = *out = wb_calloc (1, sizeof *s);
    wb_status status = s != NULL ? plan (s, dir, job) : WB_NOMEM ("checkpoint");
    status = wb_agree (world, status);
    if (s != NULL) {
        s->world = world;
        s->root = wb_comm_rank (world) == 0;
        s->copy = copy;
        s->stage.pace = pace;
    }
    if (status == WB_OK) return WB_OK;
    wb_save_destroy (s);
    *out = NULL;
    return status;
}

int64_t wb_save_bytes (const wb_save_t *s) {
    int64_t bytes = 0;
    for (int i = 0; i < s->nfiles; i++) bytes += s->files[i].bytes;
    return bytes;
}

void wb_save_destroy (wb_save_t *s) {
    if (s == NULL) return;
    for (int i = 0; i < s->nfiles; i++) fini_file (&s->files[i]);
    for (int i = 0; s->texts != NULL && i < s->job.ntexts; i++) wb_free ((char *) s->texts[i].text);
    wb_sums_fini (&s->sums);
    wb_free (s->files);
    wb_free (s->sets);
    wb_free (s->texts);
    wb_free (s->order);
    wb_free (s->names);
    wb_free (s->stage.buf);
    wb_free (s->dir);
    wb_free (s->temp);
    wb_free (s);
}

wb_status wb_ckpt_save (wb_comm_t *world, const char *dir, const wb_ckpt_job_t *job) {
    wb_save_t *s;
    WB_TRY (wb_save_new (&s, world, dir, job, NULL, (wb_pace_t){NULL, NULL}));
    wb_status status = WB_OK;
    for (int phase = 0; phase < WB_SAVE_PHASES && status == WB_OK; phase++)
        status = wb_save_agree (s, (wb_save_phase) phase, wb_save_work (s, (wb_save_phase) phase));
    wb_save_destroy (s);
    return status;
}
