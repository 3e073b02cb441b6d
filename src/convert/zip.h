/* Zip files, as PyTorch and NumPy write them: entries stored or deflated, also beyond 4 GB.  Not installed. */
#ifndef WABUN_CONVERT_ZIP_H
#define WABUN_CONVERT_ZIP_H

#include <zlib.h>

#include "convert/cursor.h"

#define WB_ZIP_NAME 512 /* bytes of a name, at most */
#define WB_ZIP_STORED 0
#define WB_ZIP_DEFLATED 8

typedef struct wb_zip_entry {
    char name[WB_ZIP_NAME + 1];
    int method;
    uint32_t crc;
    int64_t packed, bytes; /**< in the file; unpacked */
    int64_t local;         /**< its own header */
} wb_zip_entry_t;

/** An open file, and a place in its directory. */
typedef struct wb_zip {
    wb_cursor_file_t *file;
    int64_t entries, directory, end; /**< of the directory: first byte, byte after the last */
    int64_t next;                    /**< number of the next entry */
} wb_zip_t;
/** Errors of all: WB_EDATA, WB_EIO, WB_ENOMEM. */
wb_status wb_zip_open (wb_zip_t *z, const char *path) WB_NODISCARD;
void wb_zip_close (wb_zip_t *z); /**< one that is zero: nothing happens */
/** Go back to the first entry. */
void wb_zip_rewind (wb_zip_t *z);
/** The next entry of the directory; *more = false: there is none. */
wb_status wb_zip_next (wb_zip_t *z, wb_zip_entry_t *e, bool *more) WB_NODISCARD;
/** The first byte of an entry's data, all of which lies in the file. */
wb_status wb_zip_data (wb_zip_t *z, int64_t *at, const wb_zip_entry_t *e) WB_NODISCARD;

/** An entry that is read from its beginning to its end. */
typedef struct wb_unzip {
    wb_zip_t *zip;
    const wb_zip_entry_t *entry; /**< borrowed */
    z_stream z;
    bool open;
    int64_t at, packed, left; /**< in the file; bytes there; bytes still to come out */
    uint32_t crc;
    unsigned char in[1 << 15];
} wb_unzip_t;
wb_status wb_unzip_begin (wb_unzip_t *u, wb_zip_t *z, const wb_zip_entry_t *e) WB_NODISCARD;
/** The next n bytes.  Errors: WB_EDATA: fewer are left, or damaged. */
wb_status wb_unzip_take (wb_unzip_t *u, void *out, size_t n) WB_NODISCARD;
/** After all bytes: checks the checksum.  Frees what _begin made, also after errors. */
wb_status wb_unzip_end (wb_unzip_t *u, wb_status status) WB_NODISCARD;

/* ---- writing (zip_write.c) --------------------------------------------------------------------------------------- */

typedef struct wb_zip_writer {
    wb_writer_t out;
    wb_buf_t directory, packed;
    int64_t entries, at;
} wb_zip_writer_t;
wb_status wb_zip_writer_begin (wb_zip_writer_t *w, const char *path) WB_NODISCARD;
/** One entry, deflated; less than 4 GB. */
wb_status wb_zip_writer_put (wb_zip_writer_t *w, const char *name, const void *data, size_t n) WB_NODISCARD;
wb_status wb_zip_writer_end (wb_zip_writer_t *w) WB_NODISCARD;
void wb_zip_writer_cancel (wb_zip_writer_t *w); /**< frees; after _end nothing else happens */

#endif
