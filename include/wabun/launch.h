/* wabun - launch: what a process finds out at its start, before MPI: its launcher, its cores, whether its BLAS is the
 * right one.
 */
#ifndef WABUN_LAUNCH_H
#define WABUN_LAUNCH_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- processor (launch.c) ---------------------------------------------------------------------------------------- */

/** Open /dev/null for standard streams that are closed: else the next file opened would get their number, and messages
 * would be written into it.  It is opened for the wrong direction, so that reading and writing fail, as they do on a
 * closed stream.  The first thing main() does. */
void wb_hold_streams (void);
/** Start the program again, with OPENBLAS_CORETYPE set, when the BLAS took the processor for a lesser one: it runs the
 * kernels `core` and could run `want` (NULL: they are right).  Before MPI starts.  Returns when there is nothing to do,
 * or when it could not be done: wb_slow_warn() then says so. */
void wb_retune (char **argv, bool allowed, const char *core, const char *want);
/** Warn of what makes products slow, once: what wb_retune() could not mend, and more threads than cores.  Called by
 * those that make products, once command line, configuration and model are understood, and before results are printed.
 */
void wb_slow_warn (void);
/** The core type that OpenBLAS had chosen before the program started again; NULL: it did not. */
const char *wb_retuned_from (void);
/** The same behind the name of the core type in a report: empty, or ", started again: ..."; valid until called again.
 */
const char *wb_retuned_note (void);
/** Rank by the launcher's environment, before MPI starts; 0 without a launcher. */
int wb_launcher_rank (void);
/** Threads by OMP_NUM_THREADS; 0: it does not say. */
int64_t wb_threads_env (void);
/** Remember that there are more threads than cores, for wb_threads_warn(). */
void wb_threads_crowded (int ranks, int threads, int cores);
/** Warn, once, where there are more threads than cores; wb_slow_warn() does so as well. */
void wb_threads_warn (void);
/** WB_EUSAGE where `asked` threads, or for 0 those of OMP_NUM_THREADS, are absurdly many for the cores of this process.
 * Not collective. */
wb_status wb_threads_check (int64_t asked) WB_NODISCARD;
/** Threads a rank should use: `asked`, or for 0 OMP_NUM_THREADS, or the cores of this process shared between the
 * `sharers` ranks that have the same ones. */
int wb_threads_choose (int64_t asked, int sharers);

#define WB_CORE_MASK_BYTES 512
/** The cores of this process's affinity mask, as bits; zeros where the system does not tell. */
void wb_core_mask (unsigned char mask[WB_CORE_MASK_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
