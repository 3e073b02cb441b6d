/* The lowest layer, a file, and what all layers have in common.
 *
 * Memory is what somebody has peeked for.  A layer that gives far more than was read from the file (a zip bomb) ends
 * there.
 *
 * Not done here: unpacking (unpack.c, archive.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corpus/reader.h"

#define CHUNK ((size_t) 1 << 17)

void wb_reading_skip (wb_reading_t *c, const char *kind, const char *name, const char *fmt, ...) {
    wb_complaint_t x;
    va_list ap;
    snprintf (x.kind, sizeof x.kind, "%s", kind);
    snprintf (x.name, sizeof x.name, "%s", name);
    va_start (ap, fmt);
    vsnprintf (x.text, sizeof x.text, fmt, ap);
    va_end (ap);
    c->number++;
    if (c->complain != NULL) c->complain (c->ctx, &x);
}

wb_reader_t *wb_reader_new (wb_reading_t *c, const char *name) {
    wb_reader_t *r = wb_calloc (1, sizeof *r);
    if (r == NULL) return NULL;
    r->c = c;
    r->fd = -1;
    r->name = wb_strdup (name);
    if (r->name != NULL && wb_buf_reserve (&r->buf, 1) == WB_OK) return r;
    wb_free (r->name);
    wb_free (r);
    return NULL;
}

void wb_reader_close (wb_reader_t *r) {
    while (r != NULL) {
        wb_reader_t *below = r->below;
        if (r->close != NULL) r->close (r);
        wb_buf_fini (&r->buf);
        wb_free (r->name);
        wb_free (r);
        r = below;
    }
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static wb_status file_read (wb_reader_t *r, char *to, size_t *got, size_t room) {
    ssize_t n;
    do n = read (r->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) return WB_FAIL (WB_EIO, "%s: cannot read: %s", r->name, strerror (errno));
    *got = (size_t) n;
    r->c->read += n;
    return WB_OK;
}

static void file_close (wb_reader_t *r) {
    if (r->fd > 0) close (r->fd);
}

wb_status wb_reader_file (wb_reader_t **out, wb_reading_t *c, const char *path) {
    const bool standard = strcmp (path, "-") == 0;
    struct stat st;
    wb_reader_t *r = wb_reader_new (c, standard ? "standard input" : path);
    if (r == NULL) return WB_NOMEM ("a reader of %s", path);
    r->fd = standard ? 0 : open (path, O_RDONLY | O_CLOEXEC);
    int error = r->fd < 0 || fstat (r->fd, &st) != 0 ? errno : S_ISDIR (st.st_mode) ? EISDIR : 0;
    r->read = file_read;
    r->close = file_close;
    r->seeks = error == 0 && S_ISREG (st.st_mode) && !standard;
    c->size = r->seeks ? (int64_t) st.st_size : -1;
    *out = r;
    if (error == 0) return WB_OK;
    wb_reader_close (r);
    return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (error));
}

wb_status wb_reader_stream (wb_reader_t **out, wb_reading_t *c, const char *name, int fd, wb_buf_t *b) {
    wb_reader_t *r = wb_reader_new (c, name);
    if (r == NULL) return WB_NOMEM ("a reader of %s", name);
    r->read = file_read;
    r->fd = fd;
    c->size = -1;
    c->read = r->out = (int64_t) b->len;
    wb_buf_fini (&r->buf);
    r->buf = *b;
    *b = (wb_buf_t){0};
    *out = r;
    return WB_OK;
}

int64_t wb_reader_place (const wb_reader_t *r) {
    return (int64_t) lseek (r->fd, 0, SEEK_CUR) - (int64_t) wb_reader_have (r);
}

bool wb_reader_seek (wb_reader_t *r, int64_t to) {
    if (!r->seeks || lseek (r->fd, (off_t) to, SEEK_SET) < 0) return false;
    r->buf.len = r->at = 0;
    r->end = false;
    return true;
}

/* ---- any layer -------------------------------------------------------------------------------------------------- */

static bool is_bomb (wb_reader_t *r) {
    const wb_reading_t *c = r->c;
    int64_t in = c->read;
    if (c->size >= 0 && in > c->size) in = c->size; /* parts of an archive can be read again and again */
    if (!r->bounded || r->out <= c->o.max_bytes || (double) r->out <= c->o.max_expansion * (double) in) return false;
    r->end = r->broken = true;
    wb_reading_skip (r->c, "bomb", r->name, "%lld bytes so far of %lld read: the rest of it is left",
                     (long long) r->out, (long long) in);
    return true;
}

wb_status wb_reader_peek (wb_reader_t *r, size_t want) {
    while (wb_reader_have (r) < want && !r->end && !r->gap) {
        if (r->at > 0) {
            memmove (r->buf.data, r->buf.data + r->at, r->buf.len - r->at);
            r->buf.len -= r->at;
            r->at = 0;
        }
        const size_t room = want - r->buf.len > CHUNK ? want - r->buf.len : CHUNK;
        size_t got = 0;
        WB_TRY (wb_buf_reserve (&r->buf, room < (size_t) 8 * CHUNK ? room : 8 * CHUNK));
        WB_TRY (r->read (r, r->buf.data + r->buf.len, &got, (size_t) r->buf.cap - r->buf.len - 1));
        r->buf.len += got;
        r->buf.data[r->buf.len] = 0;
        r->out += (int64_t) got;
        if (got == 0 && !r->gap) r->end = true;
        if (is_bomb (r)) break;
    }
    return WB_OK;
}

void wb_reader_take (wb_reader_t *r, size_t n) {
    r->at += n;
    if (r->at == r->buf.len) r->at = r->buf.len = 0;
}

void wb_reader_resume (wb_reader_t *r) { r->gap = false; }

wb_status wb_reader_skip (wb_reader_t *r, int64_t *skipped, int64_t n) {
    for (*skipped = 0; *skipped < n;) {
        WB_TRY (wb_reader_peek (r, 1));
        const size_t have = wb_reader_have (r);
        if (have == 0) break;
        const size_t k = (int64_t) have < n - *skipped ? have : (size_t) (n - *skipped);
        wb_reader_take (r, k);
        *skipped += (int64_t) k;
    }
    return WB_OK;
}

static bool ends (const char *s, size_t n, const char *with) {
    const size_t k = strlen (with);
    return n >= k && strncasecmp (s + n - k, with, k) == 0;
}

bool wb_reader_named (const wb_reader_t *r, const char *suffix) {
    static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst"};
    size_t n = strlen (r->name);
    if (ends (r->name, n, suffix)) return true;
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (ends (r->name, n, packed[i])) return ends (r->name, n - strlen (packed[i]), suffix);
    return false;
}
