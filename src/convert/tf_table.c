/* Tables of the form of LevelDB, in which TensorFlow keeps the index of a checkpoint.
 *
 * Format: https://github.com/google/leveldb/blob/main/doc/table_format.md.  A block has keys in order, each as what
 * differs from the one before, and at its end the places of keys that are whole.  After it come a byte (0 plain, 1
 * snappy) and a checksum.  The last block is a table of blocks, and the last 48 bytes say where it is.
 *
 * Not done here: looking keys up without reading all; filters. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/proto.h"
#include "convert/tf.h"

#define FOOTER 48
#define TRAILER 5 /* bytes after a block */
#define BLOCK_MAX ((int64_t) 16 << 20)
#define RESTART 16 /* entries after which a key is whole again */

static const unsigned char magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};

static uint32_t u32 (const unsigned char *p) {
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* ---- snappy ------------------------------------------------------------------------------------------------------ */

/* https://github.com/google/snappy/blob/main/format_description.txt.  One element of it, into out [*at .. n); false: it
 * is damaged. */
static bool unpack_element (unsigned char *out, size_t *at, size_t n, const unsigned char **from,
                            const unsigned char *end) {
    const unsigned tag = *(*from)++;
    size_t length, back = 0;
    unsigned more = 0; /* bytes of a number that follows */
    if ((tag & 3) == 0) {
        length = tag >> 2;
        if (length >= 60) more = (unsigned) length - 59, length = 0;
    } else {
        length = (tag & 3) == 1 ? (tag >> 2 & 7) + 3 : tag >> 2;
        back = (tag & 3) == 1 ? (size_t) (tag >> 5) << 8 : 0;
        more = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;
    }
    if ((size_t) (end - *from) < more) return false;
    for (unsigned i = 0; i < more; i++) *((tag & 3) == 0 ? &length : &back) |= (size_t) * (*from)++ << 8 * i;
    length++;
    if (length > n - *at) return false;
    if ((tag & 3) == 0) {
        if (length > (size_t) (end - *from)) return false;
        memcpy (out + *at, *from, length);
        *from += length;
    } else {
        if (back == 0 || back > *at) return false;
        for (size_t i = 0; i < length; i++) out[*at + i] = out[*at + i - back]; /* may overlap: then it repeats */
    }
    *at += length;
    return true;
}

/* An element of 3 bytes gives 64 at most. */
static wb_status unsnap (unsigned char **block, size_t *n, const char *path) {
    const unsigned char *from = *block, *end = from + *n;
    uint64_t bytes;
    size_t at = 0;
    if (!wb_varint (&bytes, &from, end) || bytes / 22 > *n)
        return WB_FAIL (WB_EDATA, "%s: a block packed by snappy is damaged", path);
    unsigned char *out = wb_malloc ((size_t) bytes + 1);
    if (out == NULL) return WB_NOMEM ("%s", path);
    bool good = true;
    while (good && from < end) good = unpack_element (out, &at, (size_t) bytes, &from, end);
    wb_free (*block);
    *block = out;
    *n = at;
    return good && at == bytes ? WB_OK : WB_FAIL (WB_EDATA, "%s: a block packed by snappy is damaged", path);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct reader {
    wb_cursor_file_t *file;
    int64_t read_to; /* blocks follow one another: none is read twice */
    wb_sstable_fn fn;
    void *ctx;
} reader_t;

static wb_status damaged (const reader_t *r, const char *what) {
    return WB_FAIL (WB_EDATA, "%s: a damaged index of a checkpoint: %s", r->file->path, what);
}

static bool take_handle (uint64_t *at, uint64_t *n, const unsigned char **p, const unsigned char *end) {
    return wb_varint (at, p, end) && wb_varint (n, p, end);
}

static wb_status read_block (reader_t *r, unsigned char **block, size_t *n, uint64_t at, uint64_t bytes) {
    const uint64_t all = (uint64_t) r->file->bytes;
    *block = NULL;
    if (bytes > (uint64_t) BLOCK_MAX || at > all || bytes + TRAILER > all - at)
        return damaged (r, "a block lies outside");
    unsigned char *data = wb_malloc ((size_t) bytes + TRAILER);
    if (data == NULL) return WB_NOMEM ("%s", r->file->path);
    *block = data;
    *n = (size_t) bytes;
    WB_TRY (wb_cursor_read (r->file, data, (size_t) bytes + TRAILER, (int64_t) at));
    if (wb_crc32c_mask (wb_crc32c (0, data, (size_t) bytes + 1)) != u32 (data + bytes + 1))
        return damaged (r, "a block does not have its checksum");
    if (data[bytes] > 1) return damaged (r, "a block is packed in an unknown way");
    return data[bytes] == 1 ? unsnap (block, n, r->file->path) : WB_OK;
}

/* The entries of a block, without the places of whole keys after them. */
static wb_status walk_block (const reader_t *r, const unsigned char *p, size_t n, wb_sstable_fn fn, void *ctx) {
    char key[WB_SSTABLE_KEY + 1];
    size_t have = 0;
    if (n < 4 || u32 (p + n - 4) > (n - 4) / 4) return damaged (r, "an odd block");
    const unsigned char *end = p + n - 4 - 4 * u32 (p + n - 4);
    while (p < end) {
        uint64_t shared, own, bytes;
        if (!wb_varint (&shared, &p, end) || !wb_varint (&own, &p, end) || !wb_varint (&bytes, &p, end) ||
            shared > have || own > WB_SSTABLE_KEY - shared || own > (uint64_t) (end - p) ||
            bytes > (uint64_t) (end - p) - own)
            return damaged (r, "an odd key");
        memcpy (key + shared, p, (size_t) own);
        have = (size_t) (shared + own);
        key[have] = 0;
        WB_TRY (fn (ctx, key, have, p + own, (size_t) bytes));
        p += own + bytes;
    }
    return WB_OK;
}

/* An entry of the last block: another block. */
static wb_status walk_inner (void *ctx, const char *key, size_t nkey, const unsigned char *value, size_t n) {
    reader_t *r = ctx;
    const unsigned char *p = value;
    unsigned char *block = NULL;
    uint64_t at, bytes;
    size_t used;
    (void) key, (void) nkey;
    if (!take_handle (&at, &bytes, &p, value + n)) return damaged (r, "the place of a block");
    if (at < (uint64_t) r->read_to) return damaged (r, "a block begins in another one");
    wb_status status = read_block (r, &block, &used, at, bytes);
    r->read_to = status == WB_OK ? (int64_t) (at + bytes) + TRAILER : r->read_to;
    if (status == WB_OK) status = walk_block (r, block, used, r->fn, r->ctx);
    wb_free (block);
    return status;
}

static wb_status read_all (reader_t *r) {
    unsigned char footer[FOOTER], *block = NULL;
    const unsigned char *p = footer;
    uint64_t at, bytes;
    size_t n;
    if (r->file->bytes < FOOTER) return damaged (r, "it is too short");
    WB_TRY (wb_cursor_read (r->file, footer, FOOTER, r->file->bytes - FOOTER));
    if (memcmp (footer + FOOTER - 8, magic, 8) != 0) return damaged (r, "it was cut off, or is none");
    if (!take_handle (&at, &bytes, &p, footer + FOOTER - 8) || !take_handle (&at, &bytes, &p, footer + FOOTER - 8))
        return damaged (r, "the place of a block");
    wb_status status = read_block (r, &block, &n, at, bytes);
    if (status == WB_OK) status = walk_block (r, block, n, walk_inner, r);
    wb_free (block);
    return status;
}

wb_status wb_sstable_read (const char *path, wb_sstable_fn fn, void *ctx) {
    reader_t r = {.fn = fn, .ctx = ctx};
    WB_TRY (wb_cursor_open (&r.file, path));
    const wb_status status = read_all (&r);
    wb_cursor_close (r.file);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

wb_status wb_sstable_put (wb_sstable_t *t, const char *key, const void *value, size_t n) {
    const size_t length = strlen (key);
    size_t shared = 0;
    WB_ASSERT (length <= WB_SSTABLE_KEY);
    if (t->entries++ % RESTART == 0)
        WB_TRY (wb_ids_put (&t->restarts, (int32_t) t->block.len));
    else
        while (key[shared] != 0 && key[shared] == t->last[shared]) shared++;
    WB_TRY (wb_put_varint (&t->block, shared));
    WB_TRY (wb_put_varint (&t->block, length - shared));
    WB_TRY (wb_put_varint (&t->block, n));
    WB_TRY (wb_buf_put (&t->block, key + shared, length - shared));
    memcpy (t->last, key, length + 1);
    return wb_buf_put (&t->block, value, n);
}

static wb_status put_u32 (wb_buf_t *b, uint32_t x) {
    const char raw[4] = {(char) x, (char) (x >> 8), (char) (x >> 16), (char) (x >> 24)};
    return wb_buf_put (b, raw, 4);
}

/* A block that is complete but for its trailer; *handle: its place. */
static wb_status put_block (wb_buf_t *out, wb_buf_t *handle, const wb_buf_t *block) {
    WB_TRY (wb_put_varint (handle, out->len));
    WB_TRY (wb_put_varint (handle, block->len));
    const char plain = 0;
    const uint32_t crc = wb_crc32c (wb_crc32c (0, block->data, block->len), &plain, 1);
    WB_TRY (wb_buf_put (out, block->data, block->len));
    WB_TRY (wb_buf_put (out, &plain, 1));
    return put_u32 (out, wb_crc32c_mask (crc));
}

static wb_status end_block (wb_sstable_t *t) {
    for (int64_t i = 0; i < t->restarts.len; i++) WB_TRY (put_u32 (&t->block, (uint32_t) t->restarts.data[i]));
    if (t->restarts.len == 0) WB_TRY (put_u32 (&t->block, 0)); /* an empty block has one too */
    return put_u32 (&t->block, t->restarts.len > 0 ? (uint32_t) t->restarts.len : 1);
}

/* Any key after the last one: its first byte, one more. */
static wb_status end_file (wb_sstable_t *t, wb_sstable_t *index, wb_sstable_t *none, wb_buf_t *handles, wb_buf_t *out) {
    const char after[2] = {(char) (t->last[0] + 1), 0};
    wb_buf_t first = {0};
    WB_TRY (end_block (t));
    wb_status status = put_block (out, &first, &t->block);
    if (status == WB_OK) status = wb_sstable_put (index, after, first.data, first.len);
    wb_buf_fini (&first);
    if (status == WB_OK) status = end_block (none);
    if (status == WB_OK) status = put_block (out, handles, &none->block);
    if (status == WB_OK) status = end_block (index);
    if (status == WB_OK) status = put_block (out, handles, &index->block);
    while (status == WB_OK && handles->len < FOOTER - 8) status = wb_buf_put (handles, "", 1);
    if (status == WB_OK) status = wb_buf_put (out, handles->data, handles->len);
    return status == WB_OK ? wb_buf_put (out, magic, sizeof magic) : status;
}

wb_status wb_sstable_end (wb_sstable_t *t, wb_buf_t *out) {
    wb_sstable_t index = {0}, none = {0};
    wb_buf_t handles = {0};
    const wb_status status = end_file (t, &index, &none, &handles, out);
    wb_buf_fini (&handles);
    wb_sstable_fini (&index);
    wb_sstable_fini (&none);
    return status;
}

void wb_sstable_fini (wb_sstable_t *t) {
    wb_buf_fini (&t->block);
    wb_ids_fini (&t->restarts);
}
