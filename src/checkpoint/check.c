/* Everything that is wrong with a model directory: files, checksums, numbers.
 *
 * Where wb_ckpt_verify() ends at the first damage, this goes on and tells each file and each tensor once.  The threads
 * share the blocks of all files; a block is read once, for its checksum and for the numbers that begin in it, so it is
 * read with a few bytes of the next one.
 *
 * Not done here: what to do about it; shapes and names of tensors (names.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint_priv.h"

#define TAIL 7 /* bytes of a number that begins in a block and ends in the next one */

/* What is wrong in one place: blocks of a file, numbers of a tensor. */
typedef struct harm {
    int64_t count, first;
} harm_t;

/* A file of the list. */
typedef struct target {
    int fd; /* -1: not looked into */
    int error;
    int64_t error_at; /* reading failed there */
    wb_st_t *st;      /* NULL: no tensors */
    harm_t blocks, *tensors;
} target_t;

typedef struct look {
    wb_ckpt_check_t *c;
    const char *dir;
    wb_sums_t sums; /* hashes NULL: no checksums */
    target_t *targets;
} look_t;

/* ---- telling --------------------------------------------------------------------------------------------------- */

static void tell (look_t *l, const char *fmt, ...) WB_PRINTF (2, 3);
static void tell (look_t *l, const char *fmt, ...) {
    char text[WB_ERROR_TEXT];
    va_list ap;
    va_start (ap, fmt);
    vsnprintf (text, sizeof text, fmt, ap);
    va_end (ap);
    l->c->faults++;
    if (l->c->fault != NULL) l->c->fault (l->c->ctx, text);
}

/* An error of another function as a fault; false: it is one of this program, or none. */
static bool tell_error (look_t *l, wb_status status) {
    if (status != WB_EDATA && status != WB_EIO) return false;
    tell (l, "%s", wb_error_get ()->text);
    wb_error_clear ();
    return true;
}

static void tell_target (look_t *l, int i) {
    const wb_sums_file_t *f = &l->sums.files[i];
    const target_t *t = &l->targets[i];
    l->c->unread += t->error > 0;
    if (t->error != 0)
        tell (l, "%s: cannot read at byte %" PRId64 ": %s", f->path, t->error_at,
              t->error > 0 ? strerror (t->error) : "the file ends there");
    if (t->blocks.count > 0) {
        const int64_t at = t->blocks.first * l->sums.block, end = at + l->sums.block;
        tell (l,
              "%s: damaged: %" PRId64 " of %" PRId64 " blocks have another checksum, the first at bytes %" PRId64
              " to %" PRId64 "; " WB_SUMS_ADVICE,
              f->path, t->blocks.count, f->nblocks, at, (end < f->bytes ? end : f->bytes) - 1);
    }
    for (int k = 0; t->st != NULL && k < t->st->n; k++)
        if (t->tensors[k].count > 0)
            tell (l, "%s: %.200s: %" PRId64 " number%s NaN or infinite, the first is number %" PRId64, f->path,
                  t->st->tensors[k].name, t->tensors[k].count, t->tensors[k].count == 1 ? " is" : "s are",
                  t->tensors[k].first);
}

/* ---- which files ------------------------------------------------------------------------------------------------- */

static bool is_tensors (const char *name) {
    const char *dot = strrchr (name, '.');
    return dot != NULL && strcmp (dot, ".safetensors") == 0;
}

static wb_status read_sums (look_t *l) {
    char *path = wb_format ("%s/" WB_SUMS_FILE, l->dir), *text = NULL;
    size_t bytes = 0;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("%s", l->dir);
    l->c->sums = status == WB_OK && wb_file_exists (path);
    if (l->c->sums) {
        status = wb_file_read (&text, &bytes, path);
        l->c->unread += status == WB_EIO;
        if (status == WB_OK) status = wb_sums_parse (&l->sums, l->dir, path, text, bytes);
        if (tell_error (l, status)) {
            status = WB_OK;
            wb_sums_fini (&l->sums);
        }
    }
    wb_free (text);
    wb_free (path);
    return status;
}

/* The names in the directory: each against the list, or, where there is none, they make it. */
static wb_status read_names (look_t *l) {
    wb_names_t names;
    WB_TRY (wb_dir_list (&names, l->dir));
    wb_status status = WB_OK;
    bool state = l->c->checkpoint, list = l->c->sums;
    if (!list) {
        l->sums.block = WB_SUMS_BLOCK;
        l->sums.files = wb_calloc ((size_t) names.len + 1, sizeof *l->sums.files);
        if (l->sums.files == NULL) status = WB_NOMEM ("%s", l->dir);
    }
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        const char *name = names.data[i];
        state |= strcmp (name, "state.json") == 0;
        if (list && l->sums.files != NULL)
            status = wb_sums_check_named (&l->sums, l->dir, name);
        else if (!list && is_tensors (name))
            status = wb_sums_add (&l->sums, l->dir, &(const char *){name}, 1);
        if (tell_error (l, status)) status = WB_OK;
    }
    if (state && status == WB_OK) {
        status = wb_ckpt_check_whole (l->dir);
        l->c->unread += status == WB_EIO;
        if (tell_error (l, status)) status = WB_OK;
    }
    wb_names_fini (&names);
    if (status == WB_OK) status = wb_sums_check_list (&l->sums, l->dir);
    return tell_error (l, status) ? WB_OK : status;
}

/* Open a file of the list, and read its header where it has tensors. */
static wb_status open_target (look_t *l, wb_comm_t *alone, int i) {
    const wb_sums_file_t *f = &l->sums.files[i];
    target_t *t = &l->targets[i];
    if (l->c->except != NULL && strcmp (f->name, l->c->except) == 0) return WB_OK;
    l->c->files++;
    l->c->bytes += f->bytes;
    if (tell_error (l, wb_sums_check_size (f)) || l->c->depth == WB_CKPT_SIZES) return WB_OK;
    t->fd = open (f->path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0) {
        l->c->unread++;
        tell (l, "%s: cannot open: %s", f->path, strerror (errno));
        return WB_OK;
    }
    if (l->c->depth != WB_CKPT_NUMBERS || !is_tensors (f->name)) return WB_OK;
    const wb_status status = wb_st_read (&t->st, alone, f->path);
    l->c->unread += status == WB_EIO;
    if (tell_error (l, status)) {
        t->st = NULL;
        return WB_OK;
    }
    WB_TRY (status);
    l->c->tensors += t->st->n;
    t->tensors = wb_calloc ((size_t) t->st->n + 1, sizeof *t->tensors);
    return t->tensors != NULL ? WB_OK : WB_NOMEM ("%s", f->path);
}

static wb_status open_targets (look_t *l) {
    wb_comm_t *alone;
    l->targets = wb_calloc ((size_t) l->sums.n + 1, sizeof *l->targets);
    if (l->targets == NULL) return WB_NOMEM ("%s", l->dir);
    for (int i = 0; i < l->sums.n; i++) l->targets[i].fd = -1;
    WB_TRY (wb_comm_alone (&alone));
    wb_status status = WB_OK;
    for (int i = 0; i < l->sums.n && status == WB_OK; i++) status = open_target (l, alone, i);
    wb_comm_destroy (alone);
    return status;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static void hurt (harm_t *h, int64_t count, int64_t first) {
    if (count > 0 && (h->count == 0 || first < h->first)) h->first = first;
    h->count += count;
}

/* Numbers of n whose exponent is all ones: a NaN or an infinity; *first is one of these. */
static int64_t count_bad (int64_t *first, const char *p, int64_t n, wb_dtype dtype) {
    const int64_t bytes = wb_st_element_bytes (dtype);
    const uint64_t mask = dtype == WB_F64    ? 0x7ff0000000000000u
                          : dtype == WB_F32  ? 0x7f800000u
                          : dtype == WB_BF16 ? 0x7f80u
                                             : 0x7c00u;
    int64_t bad = 0;
    if (dtype == WB_F32) { /* nearly always this one, and nearly always nothing: a loop for vectors */
        for (int64_t i = 0; i < n; i++) {
            uint32_t x;
            memcpy (&x, p + 4 * i, 4);
            bad += (x & 0x7f800000u) == 0x7f800000u;
        }
        if (bad == 0) return 0;
    }
    bad = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        uint64_t x = 0;
        memcpy (&x, p + bytes * i, (size_t) bytes);
        if ((x & mask) != mask) continue;
        bad++;
        *first = i;
    }
    return bad;
}

/* The numbers that begin in bytes at .. at + len - 1 of the file; buf holds these and the tail. */
static void look_at_numbers (target_t *t, const char *buf, int64_t at, int64_t len) {
    for (int k = 0; k < t->st->n; k++) {
        const wb_st_tensor_t *x = &t->st->tensors[k];
        const int64_t bytes = wb_st_element_bytes (x->dtype);
        if (bytes == 0 || x->end <= at || x->begin >= at + len) continue;
        const int64_t from = at > x->begin ? (at - x->begin + bytes - 1) / bytes : 0;
        const int64_t end = x->end < at + len ? x->end : at + len, to = (end - x->begin + bytes - 1) / bytes;
        int64_t first = 0;
        const int64_t bad = count_bad (&first, buf + (x->begin + from * bytes - at), to - from, x->dtype);
        if (bad == 0) continue;
#pragma omp critical(wb_ckpt_check)
        hurt (&t->tensors[k], bad, from + first);
    }
}

static void look_at_block (look_t *l, int64_t b, char *buf) {
    int i = 0;
    while (b >= l->sums.files[i].first + l->sums.files[i].nblocks) i++;
    const wb_sums_file_t *f = &l->sums.files[i];
    target_t *t = &l->targets[i];
    if (t->fd < 0) return;
    const int64_t at = (b - f->first) * l->sums.block, left = f->bytes - at;
    const int64_t len = left < l->sums.block ? left : l->sums.block, want = left < len + TAIL ? left : len + TAIL;
    size_t got;
    const int error = wb_fd_read (t->fd, buf, &got, (size_t) want, at);
    if (error != 0 || (int64_t) got < want) {
#pragma omp critical(wb_ckpt_check)
        if (t->error == 0) t->error = error != 0 ? error : -1, t->error_at = at + (int64_t) got;
        return;
    }
    if (l->sums.hashes != NULL && wb_hash64 (buf, (size_t) len) != l->sums.hashes[b]) {
#pragma omp critical(wb_ckpt_check)
        hurt (&t->blocks, 1, b - f->first);
    }
    if (t->st != NULL) look_at_numbers (t, buf, at, len);
}

static wb_status look_at_blocks (look_t *l) {
    bool nomem = false;
#pragma omp parallel if (l->sums.nblocks > 1)
    {
        char *buf = wb_malloc ((size_t) l->sums.block + TAIL);
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < l->sums.nblocks; b++)
            if (buf != NULL) look_at_block (l, b, buf);
        if (buf == NULL) {
#pragma omp atomic write
            nomem = true;
        }
        wb_free (buf);
    }
    return nomem ? WB_NOMEM ("%s: blocks of %" PRId64 " bytes", l->dir, l->sums.block) : WB_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static wb_status check (look_t *l) {
    if (!wb_file_is_dir (l->dir)) return WB_FAIL (WB_EIO, "%s: no such directory", l->dir);
    WB_TRY (read_sums (l));
    WB_TRY (read_names (l));
    WB_TRY (open_targets (l));
    if (l->c->depth != WB_CKPT_SIZES) WB_TRY (look_at_blocks (l));
    for (int i = 0; i < l->sums.n; i++) tell_target (l, i);
    return WB_OK;
}

wb_status wb_ckpt_check (wb_ckpt_check_t *c, const char *dir) {
    look_t l = {.c = c, .dir = dir};
    c->sums = false;
    c->files = c->faults = c->unread = 0;
    c->bytes = c->tensors = 0;
    const wb_status status = check (&l);
    for (int i = 0; l.targets != NULL && i < l.sums.n; i++) {
        if (l.targets[i].fd >= 0) close (l.targets[i].fd);
        wb_st_destroy (l.targets[i].st);
        wb_free (l.targets[i].tensors);
    }
    wb_free (l.targets);
    wb_sums_fini (&l.sums);
    return status;
}
