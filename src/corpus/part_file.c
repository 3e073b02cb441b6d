/* A part on disk: packed frames of documents, then their rows, signatures, lines of sites, counts, and a tail that says
 * where those begin.  It appears whole or not at all (wb_writer_t), and is read by mapping it, so that the pages of
 * many parts need no memory of ours.
 *
 * The file is of this machine's byte order and only for this program: it is removed when the corpus is done. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "corpus/build.h"
#include "wabun/json.h"

enum { FRAME = 1 << 20, TEXTS = 4 };
static const char magic[8] = "WBPART2";

typedef struct tail {
    int64_t rows, n, signs, k, lines, nlines, counts, counts_bytes; /* places and numbers */
    char magic[8];
} tail_t;

struct wb_part_writer {
    wb_writer_t file;
    int64_t at; /* bytes written */
    wb_buf_t frame, packed, rows, signs, lines;
    int64_t n, open, nlines; /* documents, of those in the frame that is not packed yet */
    int k;
    ZSTD_CCtx *packer;
};

wb_status wb_part_writer_new (wb_part_writer_t **out, const char *path) {
    wb_part_writer_t *w = *out = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("%s", path);
    w->file.fd = -1;
    w->packer = ZSTD_createCCtx ();
    if (w->packer == NULL) return WB_NOMEM ("%s", path);
    return wb_writer_begin (&w->file, path);
}

static wb_status put (wb_part_writer_t *w, const void *data, size_t n) {
    w->at += (int64_t) n;
    return n > 0 ? wb_writer_put (&w->file, data, n) : WB_OK;
}

static wb_status end_frame (wb_part_writer_t *w) {
    if (w->open == 0) return WB_OK;
    const size_t most = ZSTD_compressBound (w->frame.len);
    wb_buf_clear (&w->packed);
    WB_TRY (wb_buf_reserve (&w->packed, most));
    const size_t n = ZSTD_compressCCtx (w->packer, w->packed.data, most, w->frame.data, w->frame.len, 1);
    if (ZSTD_isError (n)) return WB_NOMEM ("packing a part");
    wb_row_of_part_t *rows = (wb_row_of_part_t *) (void *) w->rows.data + (w->n - w->open);
    for (int64_t i = 0; i < w->open; i++) {
        rows[i].frame = (uint64_t) w->at;
        rows[i].packed = (uint32_t) n;
        rows[i].size = (uint32_t) w->frame.len;
    }
    w->open = 0;
    wb_buf_clear (&w->frame);
    return put (w, w->packed.data, n);
}

wb_status wb_part_writer_put (wb_part_writer_t *w, const wb_buf_t *const texts[4], uint64_t exact, uint64_t site,
                              const uint16_t *sign, int k, const uint64_t *lines, int64_t nlines) {
    uint32_t sizes[TEXTS];
    wb_row_of_part_t row = {.exact = exact, .site = site, .nlines = nlines, .at = (uint32_t) w->frame.len};
    for (int i = 0; i < TEXTS; i++) sizes[i] = (uint32_t) texts[i]->len;
    WB_TRY (wb_buf_put (&w->frame, sizes, sizeof sizes));
    for (int i = 0; i < TEXTS; i++)
        if (sizes[i] > 0) WB_TRY (wb_buf_put (&w->frame, texts[i]->data, sizes[i]));
    row.bytes = (uint32_t) w->frame.len - row.at;
    WB_TRY (wb_buf_put (&w->rows, &row, sizeof row));
    WB_TRY (wb_buf_put (&w->signs, sign, (size_t) k * sizeof *sign));
    if (nlines > 0) WB_TRY (wb_buf_put (&w->lines, lines, (size_t) nlines * sizeof *lines));
    w->k = k;
    w->nlines += nlines;
    w->n++;
    w->open++;
    return w->frame.len >= FRAME ? end_frame (w) : WB_OK;
}

static wb_status put_aligned (wb_part_writer_t *w, int64_t *place, const wb_buf_t *b) {
    static const char zeros[8];
    WB_TRY (put (w, zeros, (size_t) (-w->at & 7)));
    *place = w->at;
    return put (w, b->data, b->len);
}

static wb_status end (wb_part_writer_t *w, const json_t *counts) {
    tail_t t = {.n = w->n, .k = w->k, .nlines = w->nlines};
    memcpy (t.magic, magic, sizeof magic);
    WB_TRY (end_frame (w));
    WB_TRY (put_aligned (w, &t.rows, &w->rows));
    WB_TRY (put_aligned (w, &t.signs, &w->signs));
    WB_TRY (put_aligned (w, &t.lines, &w->lines));
    char *text = counts != NULL ? json_dumps (counts, JSON_COMPACT) : NULL;
    if (text == NULL) return WB_NOMEM ("the counts of a part");
    t.counts = w->at, t.counts_bytes = (int64_t) strlen (text);
    wb_status status = put (w, text, (size_t) t.counts_bytes);
    wb_free_foreign (text);
    static const char zeros[8];
    if (status == WB_OK) status = put (w, zeros, (size_t) (-w->at & 7));
    if (status == WB_OK) status = put (w, &t, sizeof t);
    return status == WB_OK ? wb_writer_end (&w->file) : status;
}

void wb_part_writer_cancel (wb_part_writer_t *w) {
    if (w == NULL) return;
    if (w->file.path != NULL) wb_writer_cancel (&w->file);
    wb_buf_fini (&w->frame);
    wb_buf_fini (&w->packed);
    wb_buf_fini (&w->rows);
    wb_buf_fini (&w->signs);
    wb_buf_fini (&w->lines);
    ZSTD_freeCCtx (w->packer);
    wb_free (w);
}

wb_status wb_part_writer_end (wb_part_writer_t *w, const json_t *counts) {
    const wb_status status = end (w, counts);
    wb_part_writer_cancel (w);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static wb_status damaged (const wb_part_t *p) {
    return WB_FAIL (WB_EDATA, "%s: is damaged; remove it, it will be made again", p->path);
}

static bool inside (int64_t at, int64_t n, int64_t each, size_t end) {
    return at >= 0 && n >= 0 && (uint64_t) at <= end &&
           (uint64_t) n <= (end - (uint64_t) at) / (uint64_t) (each > 0 ? each : 1);
}

wb_status wb_part_open (wb_part_t *p, int k) {
    struct stat st;
    const int fd = open (p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat (fd, &st) != 0) {
        const wb_status status = WB_FAIL (WB_EIO, "%s: cannot open: %s", p->path, strerror (errno));
        if (fd >= 0) close (fd);
        return status;
    }
    const size_t bytes = (size_t) st.st_size;
    void *map = bytes >= sizeof (tail_t) ? mmap (NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    const int error = errno;
    close (fd);
    errno = error;
    if (map == MAP_FAILED && bytes >= sizeof (tail_t))
        return WB_FAIL (errno == ENOMEM ? WB_ENOMEM : WB_EIO, "%s: cannot map: %s", p->path, strerror (errno));
    if (map == MAP_FAILED) return damaged (p);
    p->map = map;
    p->map_bytes = bytes;
    const tail_t *t = (const tail_t *) (const void *) (p->map + bytes - sizeof *t);
    if (bytes % 8 != 0 || memcmp (t->magic, magic, sizeof magic) != 0 ||
        !inside (t->rows, t->n, sizeof *p->rows, bytes) || !inside (t->signs, t->n, 2 * (int64_t) k, bytes) ||
        !inside (t->lines, t->nlines, 8, bytes) || !inside (t->counts, t->counts_bytes, 1, bytes) ||
        (t->n > 0 && t->k != k))
        return damaged (p);
    p->rows = (const wb_row_of_part_t *) (const void *) (p->map + t->rows);
    p->signs = (const uint16_t *) (const void *) (p->map + t->signs);
    p->lines = (const uint64_t *) (const void *) (p->map + t->lines);
    p->n = t->n;
    p->nlines = t->nlines;
    return WB_OK;
}

void wb_part_close (wb_part_t *p) {
    if (p->map != NULL) munmap ((void *) (uintptr_t) p->map, p->map_bytes);
    p->map = NULL;
}

json_t *wb_part_counts (const wb_part_t *p) {
    const tail_t *t = (const tail_t *) (const void *) (p->map + p->map_bytes - sizeof *t);
    return wb_json_load (p->map + t->counts, (size_t) t->counts_bytes, 0, NULL);
}

wb_status wb_part_read (wb_part_reader_t *r, wb_texts_t *out, const wb_part_t *p, int64_t i) {
    const wb_row_of_part_t *row = &p->rows[i];
    const char *frame = p->map + row->frame;
    uint32_t sizes[TEXTS];
    if (!inside ((int64_t) row->frame, row->packed, 1, p->map_bytes)) return damaged (p);
    if (r->unpacker == NULL && (r->unpacker = ZSTD_createDCtx ()) == NULL) return WB_NOMEM ("unpacking a part");
    if (r->frame != frame) {
        wb_buf_clear (&r->text);
        WB_TRY (wb_buf_reserve (&r->text, row->size));
        const size_t n = ZSTD_decompressDCtx (r->unpacker, r->text.data, row->size, frame, row->packed);
        if (ZSTD_isError (n) || n != row->size) return damaged (p);
        r->text.len = n;
        r->frame = frame;
    }
    if (!inside (row->at, row->bytes, 1, r->text.len) || row->bytes < sizeof sizes) return damaged (p);
    memcpy (sizes, r->text.data + row->at, sizeof sizes);
    size_t at = row->at + sizeof sizes;
    for (int t = 0; t < TEXTS; t++) {
        out->s[t] = r->text.data + at;
        out->n[t] = sizes[t];
        at += sizes[t];
    }
    return at == (size_t) row->at + row->bytes ? WB_OK : damaged (p);
}

void wb_part_reader_fini (wb_part_reader_t *r) {
    wb_buf_fini (&r->text);
    ZSTD_freeDCtx (r->unpacker);
    *r = (wb_part_reader_t){0};
}

const wb_part_t *wb_parts_of (const wb_parts_t *p, int64_t document) {
    int64_t low = 0, high = p->len - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (p->data[middle].first_document <= document)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->data[low];
}
