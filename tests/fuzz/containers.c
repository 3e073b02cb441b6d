/* Seeds of the containers, written by libarchive and zlib. */
#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <zlib.h>

#include "documents.h"
#include "fuzz.h"

static const char text[] = "本文です。\r\n二行目。\n";
static const char lines[] = "{\"text\": \"一行目です。\", \"id\": \"a\"}\n{\"text\": \"二\\n三\"}\nx\n";

static const char texts[] = "一つ目の文書。\n\n二段落目。\n<|endoftext|>\n二つ目の文書。\r\n<|endoftext|>\r\n";
static const char values[] =
    "[\n  {\n    \"text\": \"一\\\"}\",\n    \"x\": [1, {}]\n  },\n  {\"text\": \"二\"}, 3\n]\n";

static void seed (const char *name, char first, const void *data, size_t n) {
    wb_buf_t b = {0};
    FUZZ_MUST (wb_buf_put (&b, &first, 1));
    FUZZ_MUST (wb_buf_put (&b, data, n));
    fuzz_seed (name, b.data, b.len);
    wb_buf_fini (&b);
}

static void put_entry (struct archive *a, const char *name, const void *data, size_t n) {
    struct archive_entry *e = archive_entry_new ();
    archive_entry_set_pathname (e, name);
    archive_entry_set_perm (e, 0644);
    archive_entry_set_filetype (e, AE_IFREG);
    archive_entry_set_size (e, (la_int64_t) n);
    FUZZ_CHECK (archive_write_header (a, e) == ARCHIVE_OK, "%s", archive_error_string (a));
    FUZZ_CHECK (archive_write_data (a, data, n) == (la_ssize_t) n, "%s", archive_error_string (a));
    archive_entry_free (e);
}

/* An archive of a text, lines of JSON, and what is given; NULL: not that. */
static void archive (wb_buf_t *out, int (*format) (struct archive *), int (*filter) (struct archive *),
                     const char *more, size_t n) {
    const size_t room = 1 << 16;
    size_t used = 0;
    struct archive *a = archive_write_new ();
    FUZZ_MUST (wb_buf_reserve (out, room));
    FUZZ_CHECK (format (a) == ARCHIVE_OK, "%s", archive_error_string (a));
    if (filter != NULL) filter (a);
    archive_write_set_bytes_per_block (a, 0);
    FUZZ_CHECK (archive_write_open_memory (a, out->data, room, &used) == ARCHIVE_OK, "%s", archive_error_string (a));
    put_entry (a, "a/b.txt", text, strlen (text));
    put_entry (a, "../b.jsonl", lines, strlen (lines));
    if (more != NULL) put_entry (a, "inner", more, n);
    FUZZ_CHECK (archive_write_close (a) == ARCHIVE_OK, "%s", archive_error_string (a));
    archive_write_free (a);
    out->len = used;
}

/* Two members, the second one cut. */
static void gzip (void) {
    wb_buf_t b = {0};
    FUZZ_MUST (wb_buf_reserve (&b, 4096));
    for (int i = 0; i < 2; i++) {
        z_stream z = {0};
        FUZZ_CHECK (deflateInit2 (&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
        z.next_in = (unsigned char *) (uintptr_t) lines;
        z.avail_in = (uInt) strlen (lines);
        z.next_out = (unsigned char *) b.data + b.len;
        z.avail_out = (uInt) (4096 - b.len);
        FUZZ_CHECK (deflate (&z, Z_FINISH) == Z_STREAM_END, "deflate");
        b.len = 4096 - z.avail_out;
        deflateEnd (&z);
    }
    seed ("gzip", 0, b.data, b.len);
    seed ("gzip-cut", 1, b.data, b.len - 20);
    wb_buf_fini (&b);
}

void fuzz_record_seeds (void) {
    static const struct {
        const char *name;
        int (*format) (struct archive *);
        int (*filter) (struct archive *);
    } kinds[] = {{"tar", archive_write_set_format_ustar, NULL},
                 {"pax", archive_write_set_format_pax, NULL},
                 {"zip", archive_write_set_format_zip, NULL},
                 {"7z", archive_write_set_format_7zip, NULL},
                 {"bzip2", archive_write_set_format_ustar, archive_write_add_filter_bzip2},
                 {"xz", archive_write_set_format_ustar, archive_write_add_filter_xz},
                 {"zstd", archive_write_set_format_ustar, archive_write_add_filter_zstd},
                 {"lz4", archive_write_set_format_ustar, archive_write_add_filter_lz4},
                 {"tar-gzip", archive_write_set_format_ustar, archive_write_add_filter_gzip}};
    wb_buf_t zip = {0};
    archive (&zip, archive_write_set_format_zip, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        wb_buf_t b = {0};
        archive (&b, kinds[i].format, kinds[i].filter, zip.data, zip.len);
        seed (kinds[i].name, 0, b.data, b.len);
        wb_buf_fini (&b);
    }
    wb_buf_fini (&zip);
    gzip ();
    seed ("lines", 1, lines, strlen (lines));
    seed ("texts", 0, texts, strlen (texts));
    seed ("values", 2, values, strlen (values));
}
