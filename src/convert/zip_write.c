/* Writing zip files of deflated entries, one after the other; beyond 4 GB, or 65,535 entries, with the 64-bit records.
 *
 * An entry is packed in memory, so that its header has its sizes.  The directory grows in memory too: 60 bytes an entry
 * and its name. */
#include "config.h"

#include <string.h>

#include "convert/zip.h"

static wb_status put (wb_buf_t *b, uint64_t x, int bytes) {
    char raw[8];
    for (int i = 0; i < bytes; i++) raw[i] = (char) (x >> 8 * i);
    return wb_buf_put (b, raw, (size_t) bytes);
}

/* A record: numbers, each with its bytes; ends with a number of no bytes. */
typedef struct field {
    uint64_t value;
    int bytes;
} field_t;

static wb_status put_fields (wb_buf_t *b, const field_t *f) {
    for (; f->bytes > 0; f++) WB_TRY (put (b, f->value, f->bytes));
    return WB_OK;
}

static wb_status write_out (wb_zip_writer_t *w, const wb_buf_t *b) {
    w->at += (int64_t) b->len;
    return wb_writer_put (&w->out, b->data, b->len);
}

wb_status wb_zip_writer_begin (wb_zip_writer_t *w, const char *path) {
    *w = (wb_zip_writer_t){0};
    return wb_writer_begin (&w->out, path);
}

static wb_status pack (wb_buf_t *out, const void *data, size_t n) {
    z_stream z = {0};
    wb_buf_clear (out);
    if (deflateInit2 (&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return WB_NOMEM ("packing");
    const size_t most = deflateBound (&z, (uLong) n);
    wb_status status = wb_buf_reserve (out, most);
    if (status == WB_OK) {
        z.next_in = (Bytef *) (uintptr_t) data;
        z.avail_in = (uInt) n;
        z.next_out = (Bytef *) out->data;
        z.avail_out = (uInt) most;
        WB_ASSERT (deflate (&z, Z_FINISH) == Z_STREAM_END);
        out->len = z.total_out;
    }
    deflateEnd (&z);
    return status;
}

wb_status wb_zip_writer_put (wb_zip_writer_t *w, const char *name, const void *data, size_t n) {
    const uint32_t crc = (uint32_t) crc32_z (crc32 (0, NULL, 0), data, n);
    const bool far = w->at >= 0xffffffff;
    wb_buf_t head = {0};
    if (n > UINT32_MAX / 2) return WB_FAIL (WB_EDATA, "%s: more than 2 GB: too large for one array", name);
    WB_TRY (pack (&w->packed, data, n));
    const field_t local[] = {
        {0x04034b50, 4},    {20, 2}, {0, 2}, {8, 2}, {0, 2}, {0x21, 2}, {crc, 4}, {w->packed.len, 4}, {n, 4},
        {strlen (name), 2}, {0, 2},  {0, 0}};
    const field_t central[] = {{0x02014b50, 4},
                               {far ? 45 : 20, 2},
                               {far ? 45 : 20, 2},
                               {0, 2},
                               {8, 2},
                               {0, 2},
                               {0x21, 2},
                               {crc, 4},
                               {w->packed.len, 4},
                               {n, 4},
                               {strlen (name), 2},
                               {far ? 12 : 0, 2},
                               {0, 2},
                               {0, 2},
                               {0, 2},
                               {0, 4},
                               {far ? 0xffffffff : (uint64_t) w->at, 4},
                               {0, 0}};
    wb_status status = put_fields (&w->directory, central);
    if (status == WB_OK) status = wb_buf_put (&w->directory, name, strlen (name));
    if (status == WB_OK && far)
        status = put_fields (&w->directory, (const field_t[]){{1, 2}, {8, 2}, {(uint64_t) w->at, 8}, {0, 0}});
    if (status == WB_OK) status = put_fields (&head, local);
    if (status == WB_OK) status = wb_buf_put (&head, name, strlen (name));
    if (status == WB_OK) status = write_out (w, &head);
    if (status == WB_OK) status = write_out (w, &w->packed);
    wb_buf_fini (&head);
    w->entries++;
    return status;
}

wb_status wb_zip_writer_end (wb_zip_writer_t *w) {
    wb_buf_t end = {0};
    const uint64_t at = (uint64_t) w->at, bytes = w->directory.len, n = (uint64_t) w->entries;
    const bool far = at + bytes >= 0xffffffff || n >= 0xffff;
    const field_t wide[] = {{0x06064b50, 4}, {44, 8}, {45, 2},         {45, 2}, {0, 4},          {0, 4}, {n, 8}, {n, 8},
                            {bytes, 8},      {at, 8}, {0x07064b50, 4}, {0, 4},  {at + bytes, 8}, {1, 4}, {0, 0}};
    const field_t narrow[] = {{0x06054b50, 4},
                              {0, 4},
                              {far ? 0xffff : n, 2},
                              {far ? 0xffff : n, 2},
                              {far ? 0xffffffff : bytes, 4},
                              {far ? 0xffffffff : at, 4},
                              {0, 2},
                              {0, 0}};
    wb_status status = far ? put_fields (&end, wide) : WB_OK;
    if (status == WB_OK) status = put_fields (&end, narrow);
    if (status == WB_OK && bytes > 0) status = wb_writer_put (&w->out, w->directory.data, w->directory.len);
    if (status == WB_OK) status = wb_writer_put (&w->out, end.data, end.len);
    if (status == WB_OK) status = wb_writer_end (&w->out);
    wb_buf_fini (&end);
    return status;
}

void wb_zip_writer_cancel (wb_zip_writer_t *w) {
    wb_writer_cancel (&w->out);
    wb_buf_fini (&w->directory);
    wb_buf_fini (&w->packed);
}
