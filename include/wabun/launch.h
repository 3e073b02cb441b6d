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

/** Start the program again, with OPENBLAS_CORETYPE set, when the BLAS took the processor for a lesser one: it runs the
 * kernels `core` and could run `want` (NULL: they are right).  Before MPI starts.  Returns when there is nothing to do,
 * or with a warning when it could not be done. */
void wb_retune (char **argv, bool allowed, const char *core, const char *want);
/** The core type that OpenBLAS had chosen before the program started again; NULL: it did not. */
const char *wb_retuned_from (void);
/** The same behind the name of the core type in a report: empty, or ", started again: ..."; valid until called again.
 */
const char *wb_retuned_note (void);
/** Rank by the launcher's environment, before MPI starts; 0 without a launcher. */
int wb_launcher_rank (void);
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
