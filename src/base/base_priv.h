/* What the files of base share among themselves. */
#ifndef WABUN_BASE_PRIV_H
#define WABUN_BASE_PRIV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wabun/base.h"

#define WB_ABORT_CODE 70 /* EX_SOFTWARE of sysexits.h: the fault is ours */

/* People have read this thread's error record (status.c). */
extern _Thread_local bool wb_error_printed;
/* Print, at any level and on any rank, as one write() that also removes a progress line from the terminal (log.c). */
void wb_log_say (const char *fmt, ...) WB_PRINTF (1, 2);
/* A block of an arena in the numbers of the heap (heap.c). */
void wb_heap_count (size_t bytes);
void wb_heap_uncount (size_t bytes);
/* One read() or pread() (at >= 0), repeated when a signal interrupted it (file.c). */
ssize_t wb_fd_read_some (int fd, void *buf, size_t n, int64_t at);
/* Name of this host in the names of temporary files (temp.c). */
const char *wb_temp_host (void);

#endif
