/* Packed streams: gzip by zlib, since crawlers write one member a record and a broken one must not cost the others;
 * bzip2, xz, zstd and the like by libarchive.
 *
 * Not done here: archives of several files (archive.c). */
#include "config.h"

#include <string.h>
#include <zlib.h>

#include "corpus/archive.h"
#include "corpus/reader.h"

enum { LAYERS = 4 }; /* of packing, one on the other */

/* ---- gzip ------------------------------------------------------------------------------------------------------- */

typedef struct gunzip {
    z_stream z;
    bool inside; /* a member */
    bool lost;   /* look for the next member */
} gunzip_t;

static bool is_gzip (const char *s, size_t n) {
    return n >= 10 && memcmp (s, "\x1f\x8b\x08", 3) == 0 && ((unsigned char) s[3] & 0xe0) == 0;
}

/* To the next member; *found = false: there is none. */
static wb_status find_member (wb_reader_t *b, bool *found) {
    for (*found = false; !*found;) {
        WB_TRY (wb_reader_peek (b, 10));
        const size_t n = wb_reader_have (b);
        if (n < 10) {
            wb_reader_take (b, n);
            return WB_OK;
        }
        const char *s = wb_reader_bytes (b), *p = memchr (s, 0x1f, n - 9);
        wb_reader_take (b, p != NULL ? (size_t) (p - s) : n - 9);
        *found = p != NULL && is_gzip (p, 10);
        if (p != NULL && !*found) wb_reader_take (b, 1);
    }
    return WB_OK;
}

/* After a member: zeros fill up a tape's block; anything else was a member once. */
static wb_status begin_member (wb_reader_t *r, gunzip_t *g) {
    wb_reader_t *b = r->below;
    for (;;) {
        WB_TRY (wb_reader_peek (b, 10));
        size_t n = wb_reader_have (b), zeros = 0;
        while (zeros < n && wb_reader_bytes (b)[zeros] == 0) zeros++;
        wb_reader_take (b, zeros);
        if (zeros == 0 || n == 0) break;
    }
    g->inside = is_gzip (wb_reader_bytes (b), wb_reader_have (b));
    if (g->inside || wb_reader_have (b) == 0) return WB_OK;
    bool found;
    wb_reading_skip (r->c, "broken", r->name, "bytes that are no gzip, after %lld bytes of text", (long long) r->out);
    WB_TRY (find_member (b, &found));
    g->inside = found;
    r->broken = true;
    return WB_OK;
}

static wb_status gunzip_read (wb_reader_t *r, char *to, size_t *got, size_t room) {
    gunzip_t *g = r->state;
    wb_reader_t *b = r->below;
    if (g->lost) {
        g->lost = false;
        WB_TRY (find_member (b, &g->inside));
        if (!g->inside) return WB_OK;
    }
    while (*got == 0) {
        if (!g->inside) WB_TRY (begin_member (r, g));
        if (!g->inside) return WB_OK;
        WB_TRY (wb_reader_peek (b, 1));
        const size_t have = wb_reader_have (b);
        g->z.next_in = (unsigned char *) (uintptr_t) wb_reader_bytes (b);
        g->z.avail_in = (uInt) have;
        g->z.next_out = (unsigned char *) to;
        g->z.avail_out = (uInt) (room < 1 << 30 ? room : 1 << 30);
        const int code = have > 0 ? inflate (&g->z, Z_NO_FLUSH) : Z_BUF_ERROR;
        *got = (size_t) ((char *) g->z.next_out - to);
        if (code == Z_OK || code == Z_STREAM_END) wb_reader_take (b, have - g->z.avail_in);
        if (code == Z_STREAM_END || (code != Z_OK && *got == 0)) inflateReset (&g->z), g->inside = false;
        if (code == Z_MEM_ERROR) return WB_NOMEM ("unpacking %s", r->name);
        if (code == Z_OK || code == Z_STREAM_END || *got > 0) continue;
        r->broken = true;
        wb_reading_skip (r->c, have > 0 ? "broken" : "truncated", r->name, "gzip: %s after %lld bytes of text",
                         have == 0          ? "it breaks off"
                         : g->z.msg != NULL ? g->z.msg
                                            : "it cannot be unpacked",
                         (long long) r->out);
        if (have == 0) return WB_OK;
        wb_reader_take (b, 1);
        g->lost = r->gap = true;
        return WB_OK;
    }
    return WB_OK;
}

static void gunzip_close (wb_reader_t *r) {
    gunzip_t *g = r->state;
    inflateEnd (&g->z);
    wb_free (g);
}

static wb_status gunzip_open (wb_reader_t *r) {
    gunzip_t *g = wb_calloc (1, sizeof *g);
    if (g == NULL || inflateInit2 (&g->z, 15 + 16) != Z_OK) {
        wb_free (g);
        return WB_NOMEM ("unpacking %s", r->name);
    }
    r->state = g;
    r->read = gunzip_read;
    r->close = gunzip_close;
    return WB_OK;
}

/* ---- the others, by libarchive ---------------------------------------------------------------------------------- */

typedef struct filter {
    struct archive *a;
    wb_archive_in_t in;
} filter_t;

static wb_status filter_read (wb_reader_t *r, char *to, size_t *got, size_t room) {
    filter_t *f = r->state;
    const la_ssize_t n = archive_read_data (f->a, to, room);
    if (f->in.status != WB_OK) return f->in.status;
    if (n >= 0) {
        *got = (size_t) n;
        return WB_OK;
    }
    r->broken = true;
    wb_reading_skip (r->c, "broken", r->name, "%s, after %lld bytes of text", archive_error_string (f->a),
                     (long long) r->out);
    return WB_OK;
}

static void filter_close (wb_reader_t *r) {
    filter_t *f = r->state;
    archive_read_free (f->a);
    wb_free (f);
}

static wb_status filter_open (wb_reader_t *r) {
    filter_t *f = wb_calloc (1, sizeof *f);
    struct archive *a = f != NULL ? archive_read_new () : NULL;
    if (a == NULL) {
        wb_free (f);
        return WB_NOMEM ("unpacking %s", r->name);
    }
    f->a = a;
    r->state = f;
    r->read = filter_read;
    r->close = filter_close;
    archive_read_support_filter_bzip2 (a);
    archive_read_support_filter_xz (a);
    archive_read_support_filter_lz4 (a);
    archive_read_support_filter_zstd (a);
    archive_read_support_format_raw (a);
    struct archive_entry *entry;
    if (wb_archive_begin (a, &f->in, r->below) == ARCHIVE_OK && archive_read_next_header (a, &entry) == ARCHIVE_OK)
        return WB_OK;
    if (f->in.status != WB_OK) return f->in.status;
    r->end = r->broken = true; /* nothing comes of it */
    wb_reading_skip (r->c, "broken", r->name, "%s", archive_error_string (a));
    return WB_OK;
}

/* ---- which one -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *magic;
    size_t n;
    wb_status (*open) (wb_reader_t *r);
} packings[] = {{"\x1f\x8b\x08", 3, gunzip_open},
                {"BZh", 3, filter_open},
                {"\xfd"
                 "7zXZ",
                 5, filter_open},
                {"\x28\xb5\x2f\xfd", 4, filter_open},
                {"\x04\x22\x4d\x18", 4, filter_open}};

enum { PACKINGS = sizeof packings / sizeof packings[0] };

static int packing (const char *s, size_t n) {
    int i = 0;
    while (i < PACKINGS && (n < 10 || memcmp (s, packings[i].magic, packings[i].n) != 0)) i++;
    return i;
}

bool wb_packing_is (const char *s, size_t n) { return packing (s, n) < PACKINGS; }

wb_status wb_reader_unpack (wb_reader_t **r) {
    for (int layer = 0; layer < LAYERS; layer++) {
        WB_TRY (wb_reader_peek (*r, 10));
        const int i = packing (wb_reader_bytes (*r), wb_reader_have (*r));
        if (i == PACKINGS) return WB_OK;
        wb_reader_t *top = wb_reader_new ((*r)->c, (*r)->name);
        if (top == NULL) return WB_NOMEM ("unpacking %s", (*r)->name);
        top->below = *r;
        top->bounded = true;
        *r = top;
        WB_TRY (packings[i].open (top));
    }
    return WB_OK;
}
