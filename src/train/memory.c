/* Memory that no arena counts. */
#include "config.h"

#include "wabun/train.h"

/* Megabytes as measured on x86-64 with Open MPI 4.1, OpenBLAS 0.3.21 and oneDNN 2.6, whose copies of panels grow with
 * the matrices; what MPI holds for each peer is guessed high. */
size_t wb_trainer_overhead (int ranks, int threads, int64_t width) {
    const size_t MiB = (size_t) 1 << 20;
    const size_t products = wb_gemm_library_get () == WB_GEMM_ONEDNN ? 3 * MiB + (size_t) width * (MiB / 36) : 0;

    return 8 * MiB + products + (ranks > 1 ? 11 * MiB + (size_t) ranks * (MiB / 16) : 0) + 8 * MiB * (size_t) threads;
}
