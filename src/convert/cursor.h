/* Reading a file that may hold anything: every read is checked against its end.  Not installed. */
#ifndef WABUN_CONVERT_CURSOR_H
#define WABUN_CONVERT_CURSOR_H

#include "convert/convert_priv.h"

typedef struct wb_cursor_file {
    char *path;
    int fd;
    int64_t bytes, at; /**< of the file; of the next byte */
    int64_t from;      /**< where buf comes from */
    size_t have;
    char buf[1 << 16];
} wb_cursor_file_t;
/** Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_cursor_open (wb_cursor_file_t **out, const char *path) WB_NODISCARD;
void wb_cursor_close (wb_cursor_file_t *c); /**< NULL is allowed */
/** The next n bytes.  Errors: WB_EDATA: the file ends before, `what` is missing; WB_EIO. */
wb_status wb_cursor_take (wb_cursor_file_t *c, void *out, size_t n, const char *what) WB_NODISCARD;
wb_status wb_cursor_skip (wb_cursor_file_t *c, uint64_t n, const char *what) WB_NODISCARD;
/** n bytes from `at`, wherever the cursor is, which stays there.  Errors: WB_EIO, also where the file ends. */
wb_status wb_cursor_read (wb_cursor_file_t *c, void *out, size_t n, int64_t at) WB_NODISCARD;

#endif
