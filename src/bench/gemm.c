/* wabun bench gemm: the matrix products of a step, one by one, against the peak of multiply-adds; with oneDNN, against
 * BLAS too, the two in turn. */
#include "config.h"

#include <math.h>

#include "bench/bench_priv.h"

struct shape {
    const char *name;
    int64_t m, n, k;
    bool ta, tb;
};

struct spread {
    double median, least, most; /* GFLOP/s */
    int repeats;
};

/* A product, repeated for about 0.3 s. */
static struct spread time_gemm (const struct shape *s, float *C, const float *A, const float *B) {
    enum { MOST = 101 };
    double x[MOST], start = wb_now ();
    int n = 0;
    while (n < MOST && (n < 4 || wb_now () - start < 0.3)) {
        double begin = wb_now ();
        wb_gemm (C, A, B, s->m, s->n, s->k, s->n, s->ta ? s->m : s->k, s->tb ? s->k : s->n, s->ta, s->tb, 1, 0);
        x[n++] = wb_now () - begin;
    }
    /* the first one touches the pages */
    const double gflop = 2e-9 * (double) s->m * (double) s->n * (double) s->k, median = wb_bench_median (x + 1, n - 1);
    return (struct spread){gflop / median, gflop / x[n - 1], gflop / x[1], n - 1};
}

static wb_status bench_gemm (wb_bench_t *b, wb_comm_t *world) {
    const wb_size_t *z = &b->o.size;
    wb_topo_t *topo;
    WB_TRY (wb_comm_threads (&b->nthreads, world, b->threads));
    wb_kern_threads_set (b->nthreads);
    WB_TRY (wb_topo_new (&topo, world, 1, 1, 1));
    const wb_status settled = wb_bench_settle (b, topo);
    wb_topo_destroy (topo);
    if (settled != WB_OK) return settled;
    const int64_t M = b->o.B * b->o.T, C = z->C, V = z->V;
    const struct shape shapes[] = {
        {"qkv forward", M, 3 * C, C, false, false}, {"qkv dx", M, C, 3 * C, false, true},
        {"qkv dw", C, 3 * C, M, true, false},       {"proj forward", M, C, C, false, false},
        {"proj dx", M, C, C, false, true},          {"proj dw", C, C, M, true, false},
        {"fc forward", M, 4 * C, C, false, false},  {"fc dx", M, C, 4 * C, false, true},
        {"fc dw", C, 4 * C, M, true, false},        {"fc2 forward", M, C, 4 * C, false, false},
        {"fc2 dx", M, 4 * C, C, false, true},       {"fc2 dw", 4 * C, C, M, true, false},
        {"head forward", M, V, C, false, true},     {"head dx", M, C, V, false, false},
        {"head dw", V, C, M, true, false},
    };
    enum { N = sizeof shapes / sizeof *shapes };
    int64_t most = 0;
    for (int i = 0; i < N; i++) {
        const struct shape *s = &shapes[i];
        most = s->m * s->n > most ? s->m * s->n : most;
        most = s->m * s->k > most ? s->m * s->k : most;
        most = s->n * s->k > most ? s->n * s->k : most;
    }
    wb_arena_t *arena;
    WB_TRY (wb_arena_new (&arena, "gemm", 3 * wb_align ((size_t) most * sizeof (float))));
    float *x[3];
    for (int i = 0; i < 3; i++) {
        x[i] = wb_arena_floats (arena, most);
        for (int64_t j = 0; j < most; j++) x[i][j] = (float) (j % 7 - 3) * 0.125f;
    }
    const wb_gemm_library used = wb_gemm_library_get ();
    const bool both = used != WB_GEMM_BLAS;
    struct spread speed[N];
    double blas[N] = {0}, peak = wb_kern_fma_peak (b->nthreads, 0.3);
    for (int i = 0; i < N; i++) {
        speed[i] = time_gemm (&shapes[i], x[0], x[1], x[2]);
        if (!both) continue;
        wb_gemm_library_set (WB_GEMM_BLAS);
        blas[i] = time_gemm (&shapes[i], x[0], x[1], x[2]).median;
        wb_gemm_library_set (used);
    }
    peak = fmax (peak, wb_kern_fma_peak (b->nthreads, 0.3));
    wb_arena_destroy (arena);

    json_t *list = b->json ? json_array () : NULL;
    if (!b->json) {
        printf ("%s, %d threads; products by %s; BLAS %s (%s)%s; peak %.1f GFLOP/s\n\n", wb_cpu_name (), b->nthreads,
                wb_gemm_library_name (used), b->blas.core, b->blas.threading, wb_retuned_note (), peak);
        printf ("%-14s%8s%8s%8s%10s%9s%18s%9s%s\n", "product", "m", "n", "k", "GFLOP/s", "of peak", "least to most",
                "repeats", both ? "  of BLAS" : "");
    }
    for (int i = 0; i < N; i++) {
        const struct shape *s = &shapes[i];
        const struct spread *v = &speed[i];
        if (b->json) {
            json_t *row =
                json_pack ("{s:s s:I s:I s:I s:f s:f s:f s:f s:i}", "name", s->name, "m", (json_int_t) s->m, "n",
                           (json_int_t) s->n, "k", (json_int_t) s->k, "gflops", v->median, "gflops_min", v->least,
                           "gflops_max", v->most, "of_peak", v->median / peak, "repeats", v->repeats);
            if (both) json_object_set_new (row, "blas_gflops", json_real (blas[i]));
            json_array_append_new (list, row);
        } else {
            printf ("%-14s%8lld%8lld%8lld%10.1f%8.1f%%%9.1f to %5.1f%9d", s->name, (long long) s->m, (long long) s->n,
                    (long long) s->k, v->median, 100 * v->median / peak, v->least, v->most, v->repeats);
            if (both) printf ("%9.2f", v->median / blas[i]);
            putchar ('\n');
        }
    }
    if (!b->json) return WB_OK;
    return wb_bench_print_json (json_pack ("{s:s s:s s:i s:f s:s s:s s:s? s:s s:o}", "bench", "gemm", "preset",
                                           b->preset, "threads", b->nthreads, "fma_peak_gflops", peak, "gemm",
                                           wb_gemm_library_name (used), "blas_core", b->blas.core, "retuned_from",
                                           wb_retuned_from (), "cpu", wb_cpu_name (), "products", list));
}

wb_status wb_bench_gemm (int argc, char **argv) {
    wb_bench_t b;
    wb_comm_t *world;
    wb_status status;
    WB_TRY (wb_bench_parse (&b, argc, argv));
    WB_TRY (wb_world_new (&world));
    if (wb_comm_size (world) > 1)
        status = WB_FAIL (WB_EUSAGE, "bench gemm measures one process: run it without mpirun");
    else
        status = bench_gemm (&b, world);
    wb_world_destroy (world);
    return status;
}
