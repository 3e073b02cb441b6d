/* Reading zip files.  Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
 *
 * The directory at the end is read entry by entry and not kept: a file of a million entries takes no memory.
 *
 * Not done here: encryption, files in several parts, methods other than stored and deflated. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/zip.h"

#define END_BYTES 22
#define LOCATOR_BYTES 20
#define END64_BYTES 56
#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46

static uint32_t u16 (const unsigned char *p) { return (uint32_t) p[0] | (uint32_t) p[1] << 8; }
static uint32_t u32 (const unsigned char *p) { return u16 (p) | u16 (p + 2) << 16; }
static uint64_t u64 (const unsigned char *p) { return u32 (p) | (uint64_t) u32 (p + 4) << 32; }

static wb_status damaged (const wb_zip_t *z, const char *what) {
    return WB_FAIL (WB_EDATA, "%s: a damaged zip file: %s", z->file->path, what);
}

/* ---- the end of the file ----------------------------------------------------------------------------------------- */

static wb_status set_directory (wb_zip_t *z, uint64_t entries, uint64_t bytes, uint64_t at, int64_t before) {
    if (at > (uint64_t) before || bytes > (uint64_t) before - at) return damaged (z, "its directory lies outside");
    if (entries > bytes / CENTRAL_BYTES) return damaged (z, "its directory is too short for its entries");
    z->directory = (int64_t) at;
    z->end = (int64_t) (at + bytes);
    z->entries = (int64_t) entries;
    wb_zip_rewind (z);
    return WB_OK;
}

/* The record of files beyond 4 GB, which lies before the one at `end`; *there = false: there is none. */
static wb_status take_end64 (wb_zip_t *z, bool *there, int64_t end) {
    unsigned char b[END64_BYTES];
    *there = false;
    if (end < LOCATOR_BYTES + END64_BYTES) return WB_OK;
    WB_TRY (wb_cursor_read (z->file, b, LOCATOR_BYTES, end - LOCATOR_BYTES));
    if (u32 (b) != 0x07064b50) return WB_OK;
    const uint64_t at = u64 (b + 8);
    if (at > (uint64_t) (end - LOCATOR_BYTES - END64_BYTES)) return damaged (z, "its 64-bit record lies outside");
    WB_TRY (wb_cursor_read (z->file, b, END64_BYTES, (int64_t) at));
    if (u32 (b) != 0x06064b50) return damaged (z, "its 64-bit record is missing");
    *there = true;
    return set_directory (z, u64 (b + 32), u64 (b + 40), u64 (b + 48), (int64_t) at);
}

static wb_status find_end (wb_zip_t *z) {
    const int64_t bytes = z->file->bytes, most = END_BYTES + 0xffff, n = bytes < most ? bytes : most;
    bool there;
    unsigned char *b = wb_malloc ((size_t) n + 1);
    if (b == NULL) return WB_NOMEM ("%s", z->file->path);
    wb_status status = wb_cursor_read (z->file, b, (size_t) n, bytes - n);
    int64_t at = n - END_BYTES;
    while (status == WB_OK && at >= 0 && (u32 (b + at) != 0x06054b50 || u16 (b + at + 20) > n - at - END_BYTES)) at--;
    if (status == WB_OK && at < 0)
        status = WB_FAIL (WB_EDATA, "%s: cut off or damaged: the directory of a zip file, at its end, is missing",
                          z->file->path);
    if (status == WB_OK) status = take_end64 (z, &there, bytes - n + at);
    if (status == WB_OK && !there)
        status = set_directory (z, u16 (b + at + 10), u32 (b + at + 12), u32 (b + at + 16), bytes - n + at);
    wb_free (b);
    return status;
}

wb_status wb_zip_open (wb_zip_t *z, const char *path) {
    *z = (wb_zip_t){0};
    WB_TRY (wb_cursor_open (&z->file, path));
    const wb_status status = find_end (z);
    if (status != WB_OK) wb_zip_close (z);
    return status;
}

void wb_zip_close (wb_zip_t *z) {
    wb_cursor_close (z->file);
    *z = (wb_zip_t){0};
}

void wb_zip_rewind (wb_zip_t *z) {
    z->next = 0;
    z->file->at = z->directory;
}

/* ---- the directory ----------------------------------------------------------------------------------------------- */

/* The next value of the extra field of 64-bit sizes takes the place of one that is all ones. */
static bool widen (int64_t *value, const unsigned char **p, size_t *n) {
    if (*value != 0xffffffff) return true;
    if (*n < 8 || u64 (*p) > INT64_MAX) return false;
    *value = (int64_t) u64 (*p);
    *p += 8, *n -= 8;
    return true;
}

static wb_status take_extra (wb_zip_t *z, wb_zip_entry_t *e, const unsigned char *p, size_t n) {
    while (n >= 4) {
        size_t m = u16 (p + 2);
        const unsigned char *field = p + 4;
        if (m > n - 4) break; /* some writers leave rubbish there */
        if (u16 (p) == 1 &&
            !(widen (&e->bytes, &field, &m) && widen (&e->packed, &field, &m) && widen (&e->local, &field, &m)))
            return damaged (z, "sizes of an entry");
        n -= 4 + u16 (p + 2), p += 4 + u16 (p + 2);
    }
    return WB_OK;
}

wb_status wb_zip_next (wb_zip_t *z, wb_zip_entry_t *e, bool *more) {
    unsigned char b[CENTRAL_BYTES], extra[256];
    *more = z->next < z->entries;
    if (!*more) return WB_OK;
    WB_TRY (wb_cursor_take (z->file, b, sizeof b, "the directory of a zip file"));
    const size_t name = u16 (b + 28), nextra = u16 (b + 30), comment = u16 (b + 32);
    if (u32 (b) != 0x02014b50) return damaged (z, "an entry of its directory");
    if (name > WB_ZIP_NAME) return damaged (z, "a name of more than 512 bytes");
    *e = (wb_zip_entry_t){.method = (int) u16 (b + 10),
                          .crc = u32 (b + 16),
                          .packed = u32 (b + 20),
                          .bytes = u32 (b + 24),
                          .local = u32 (b + 42)};
    const size_t kept = nextra < sizeof extra ? nextra : sizeof extra;
    WB_TRY (wb_cursor_take (z->file, e->name, name, "a name"));
    WB_TRY (wb_cursor_take (z->file, extra, kept, "an entry"));
    WB_TRY (wb_cursor_skip (z->file, nextra - kept + comment, "an entry"));
    WB_TRY (take_extra (z, e, extra, kept));
    e->name[name] = 0;
    if ((u16 (b + 8) & 1) != 0) return WB_FAIL (WB_EDATA, "%s: '%.100s' is encrypted", z->file->path, e->name);
    if (e->method != WB_ZIP_STORED && e->method != WB_ZIP_DEFLATED)
        return WB_FAIL (WB_EDATA, "%s: '%.100s' is packed by method %d; stored and deflated are known", z->file->path,
                        e->name, e->method);
    if (e->method == WB_ZIP_STORED && e->packed != e->bytes) return damaged (z, "sizes of an entry");
    z->next++;
    return WB_OK;
}

wb_status wb_zip_data (wb_zip_t *z, int64_t *at, const wb_zip_entry_t *e) {
    unsigned char b[LOCAL_BYTES];
    const int64_t bytes = z->file->bytes;
    if (e->local > bytes - LOCAL_BYTES) return damaged (z, "an entry lies outside");
    WB_TRY (wb_cursor_read (z->file, b, sizeof b, e->local));
    if (u32 (b) != 0x04034b50) return damaged (z, "the header of an entry");
    *at = e->local + LOCAL_BYTES + u16 (b + 26) + u16 (b + 28);
    if (*at > bytes || e->packed > bytes - *at)
        return WB_FAIL (WB_EDATA,
                        "%s: '%.100s' has %" PRId64 " bytes from byte %" PRId64 " of %" PRId64 ": cut off or damaged",
                        z->file->path, e->name, e->packed, *at, bytes);
    return WB_OK;
}

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

wb_status wb_unzip_begin (wb_unzip_t *u, wb_zip_t *z, const wb_zip_entry_t *e) {
    u->zip = z;
    u->entry = e;
    u->open = false;
    u->packed = e->packed;
    u->left = e->bytes;
    u->crc = (uint32_t) crc32 (0, NULL, 0);
    WB_TRY (wb_zip_data (z, &u->at, e));
    if (e->method == WB_ZIP_STORED) return WB_OK;
    memset (&u->z, 0, sizeof u->z);
    if (inflateInit2 (&u->z, -15) != Z_OK) return WB_NOMEM ("unpacking %s", z->file->path);
    u->open = true;
    return WB_OK;
}

static wb_status broken (const wb_unzip_t *u) {
    return WB_FAIL (WB_EDATA, "%s: '%.100s' is damaged", u->zip->file->path, u->entry->name);
}

static wb_status take_deflated (wb_unzip_t *u, unsigned char *out, size_t n) {
    u->z.next_out = out;
    u->z.avail_out = (uInt) n;
    while (u->z.avail_out > 0) {
        if (u->z.avail_in == 0 && u->packed > 0) {
            const size_t m = u->packed < (int64_t) sizeof u->in ? (size_t) u->packed : sizeof u->in;
            WB_TRY (wb_cursor_read (u->zip->file, u->in, m, u->at));
            u->z.next_in = u->in;
            u->z.avail_in = (uInt) m;
            u->at += (int64_t) m;
            u->packed -= (int64_t) m;
        }
        const int code = inflate (&u->z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) return WB_NOMEM ("unpacking %s", u->zip->file->path);
        if (code == Z_STREAM_END && u->z.avail_out > 0) return broken (u);
        if (code != Z_OK && code != Z_STREAM_END) return broken (u);
    }
    return WB_OK;
}

wb_status wb_unzip_take (wb_unzip_t *u, void *out, size_t n) {
    unsigned char *to = out;
    if ((int64_t) n > u->left || n > INT64_MAX)
        return WB_FAIL (WB_EDATA, "%s: '%.100s' ends %" PRId64 " bytes too early", u->zip->file->path, u->entry->name,
                        (int64_t) n - u->left);
    while (n > 0) {
        const size_t m = n < 1 << 20 ? n : 1 << 20;
        if (u->entry->method == WB_ZIP_STORED) {
            WB_TRY (wb_cursor_read (u->zip->file, to, m, u->at));
            u->at += (int64_t) m;
        } else
            WB_TRY (take_deflated (u, to, m));
        u->crc = (uint32_t) crc32 (u->crc, to, (uInt) m);
        to += m, n -= m;
        u->left -= (int64_t) m;
    }
    return WB_OK;
}

wb_status wb_unzip_end (wb_unzip_t *u, wb_status status) {
    if (u->open) inflateEnd (&u->z);
    u->open = false;
    if (status == WB_OK && u->left > 0)
        return WB_FAIL (WB_EDATA, "%s: '%.100s' has %" PRId64 " bytes too many", u->zip->file->path, u->entry->name,
                        u->left);
    if (status == WB_OK && u->crc != u->entry->crc)
        return WB_FAIL (WB_EDATA, "%s: '%.100s' does not have its checksum: damaged", u->zip->file->path,
                        u->entry->name);
    return status;
}
