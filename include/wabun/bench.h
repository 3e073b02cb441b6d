/* wabun - bench: measurements against the machine's own limits.
 */
#ifndef WABUN_BENCH_H
#define WABUN_BENCH_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Name and line of the i-th bench; false: there are no more. */
bool wb_bench_at (int i, const char **name, const char **line);
/** Run the bench argv[1] with its options.  Starts and ends the world where it needs one. */
wb_status wb_bench_run (int argc, char **argv) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
