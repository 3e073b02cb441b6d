/* What the files of base share among themselves. */
#ifndef WABUN_BASE_PRIV_H
#define WABUN_BASE_PRIV_H

#define WB_ABORT_CODE 70 /* EX_SOFTWARE of sysexits.h: ours is the fault */

/* Take a progress line off the terminal before something else is printed (log.c). */
void wb_log_fresh_line (void);

#endif
