/* A small pytorch_model.bin, as torch.save() writes it: for the tests of what reads it. */
#ifndef WABUN_TESTS_TORCH_FILE_H
#define WABUN_TESTS_TORCH_FILE_H

#include <string.h>
#include <zlib.h>

#include "wabun/model.h"

static inline void torch_put (wb_buf_t *b, const void *data, size_t n) {
    WB_ASSERT (n == 0 || wb_buf_put (b, data, n) == WB_OK);
}

static inline void torch_text (wb_buf_t *b, const char *text) { torch_put (b, text, strlen (text)); }

static inline void torch_number (wb_buf_t *b, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++) torch_put (b, &(char){(char) (i < 8 ? x >> 8 * i : 0)}, 1);
}

/* ---- the pickle -------------------------------------------------------------------------------------------------- */

static inline void torch_string (wb_buf_t *b, const char *text) {
    torch_text (b, "X");
    torch_number (b, strlen (text), 4);
    torch_text (b, text);
}

static inline void torch_int (wb_buf_t *b, int64_t x) {
    torch_text (b, "J");
    torch_number (b, (uint64_t) x, 4);
}

/* A tensor of storage N, which has as many numbers; columns of it lie together when it is turned. */
static inline void torch_tensor (wb_buf_t *b, const char *name, int storage, int ndim, int64_t rows, int64_t cols,
                                 bool turned) {
    char key[16];
    snprintf (key, sizeof key, "%d", storage);
    torch_string (b, name);
    torch_text (b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    torch_string (b, "storage");
    torch_text (b, "ctorch\nFloatStorage\n");
    torch_string (b, key);
    torch_string (b, "cpu");
    torch_int (b, rows * cols);
    torch_text (b, "tQK");
    torch_number (b, 0, 1);
    torch_text (b, "(");
    if (ndim == 2) torch_int (b, rows);
    torch_int (b, cols);
    torch_text (b, "t(");
    if (ndim == 2) torch_int (b, turned ? 1 : cols);
    torch_int (b, turned ? rows : 1);
    torch_text (b, "t\x89"
                   "ccollections\nOrderedDict\n)RtR");
}

/* Of all parameters of a table, every other matrix turned. */
static inline void torch_pickle (wb_buf_t *b, const wb_params_t *params, const char *before) {
    char name[128];
    torch_text (b, "\x80\x02"
                   "ccollections\nOrderedDict\n)Rq");
    torch_number (b, 0, 1);
    torch_text (b, "(");
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        snprintf (name, sizeof name, "%s%s", before, p->name);
        torch_tensor (b, name, i, p->ndim, p->rows, p->cols, p->ndim == 2 && i % 2 == 1);
    }
    torch_text (b, "u}");
    torch_string (b, "_metadata");
    torch_text (b, "h");
    torch_number (b, 0, 1);
    torch_text (b, "sb.");
}

/* ---- the zip file ------------------------------------------------------------------------------------------------ */

typedef struct torch_zip {
    wb_buf_t file, directory;
    int entries;
} torch_zip_t;

static inline void torch_entry (torch_zip_t *z, const char *name, const void *data, size_t n) {
    const size_t at = z->file.len;
    wb_buf_t same = {0};
    torch_number (&same, 0, 6); /* flags, method, time */
    torch_number (&same, 0, 4);
    torch_number (&same, n > 0 ? crc32 (0, data, (uInt) n) : 0, 4);
    torch_number (&same, n, 4);
    torch_number (&same, n, 4);
    torch_number (&same, strlen (name), 2);
    torch_number (&same, 0, 2);
    torch_put (&z->file, "PK\3\4\0\0", 6);
    torch_put (&z->file, same.data + 2, same.len - 2);
    torch_text (&z->file, name);
    torch_put (&z->file, data, n);
    torch_put (&z->directory, "PK\1\2\0\0\0\0", 8);
    torch_put (&z->directory, same.data + 2, same.len - 2);
    torch_number (&z->directory, 0, 10);
    torch_number (&z->directory, at, 4);
    torch_text (&z->directory, name);
    z->entries++;
    wb_buf_fini (&same);
}

static inline void torch_end (torch_zip_t *z) {
    const size_t at = z->file.len;
    torch_put (&z->file, z->directory.data, z->directory.len);
    torch_put (&z->file, "PK\5\6\0\0\0\0", 8);
    torch_number (&z->file, (uint64_t) z->entries, 2);
    torch_number (&z->file, (uint64_t) z->entries, 2);
    torch_number (&z->file, z->directory.len, 4);
    torch_number (&z->file, at, 4);
    torch_number (&z->file, 0, 2);
    wb_buf_fini (&z->directory);
}

#endif
