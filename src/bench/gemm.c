/* wabun bench gemm: the matrix products of a step, one by one, against the peak of multiply-adds; with oneDNN also
 * against BLAS, the two by turns. */
#include "config.h"

#include "bench/bench_priv.h"

enum { PRODUCTS = 15 };

typedef struct shape {
    const char *name;
    int64_t m, n, k;
    bool ta, tb;
} shape_t;

typedef struct product {
    shape_t shape;
    wb_spread_t speed; /* GFLOP/s */
    int repeats;
    double blas; /* GFLOP/s, when another library is used; else 0 */
} product_t;

typedef struct products {
    product_t of[PRODUCTS];
    wb_gemm_library library;
    double peak; /* GFLOP/s */
} products_t;

/* Those of a layer of M rows, then of the output. */
static void list_products (product_t *out, const wb_size_t *s, int64_t M) {
    const int64_t C = s->C, V = s->V;
    const shape_t all[PRODUCTS] = {
        {"qkv forward", M, 3 * C, C, false, false}, {"qkv dx", M, C, 3 * C, false, true},
        {"qkv dw", C, 3 * C, M, true, false},       {"proj forward", M, C, C, false, false},
        {"proj dx", M, C, C, false, true},          {"proj dw", C, C, M, true, false},
        {"fc forward", M, 4 * C, C, false, false},  {"fc dx", M, C, 4 * C, false, true},
        {"fc dw", C, 4 * C, M, true, false},        {"fc2 forward", M, C, 4 * C, false, false},
        {"fc2 dx", M, 4 * C, C, false, true},       {"fc2 dw", 4 * C, C, M, true, false},
        {"head forward", M, V, C, false, true},     {"head dx", M, C, V, false, false},
        {"head dw", V, C, M, true, false},
    };
    for (int i = 0; i < PRODUCTS; i++) out[i].shape = all[i];
}

static int64_t max (int64_t a, int64_t b) { return a > b ? a : b; }

/* A product, repeated for about 0.3 s. */
static wb_spread_t time_product (int *repeats, const shape_t *p, float *const x[3]) {
    enum { MAX = 101 };
    double seconds[MAX], start = wb_now ();
    int n = 0;
    while (n < MAX && (n < 4 || wb_now () - start < 0.3)) {
        const double begin = wb_now ();
        wb_gemm (x[0], x[1], x[2], p->m, p->n, p->k, p->n, p->ta ? p->m : p->k, p->tb ? p->k : p->n, p->ta, p->tb, 1,
                 0);
        seconds[n++] = wb_now () - begin;
    }
    *repeats = n - 1; /* the first one touches the pages */
    const double gflop = 2e-9 * (double) p->m * (double) p->n * (double) p->k;
    return wb_bench_rate (gflop, wb_bench_spread (seconds + 1, n - 1));
}

static wb_status measure (products_t *r, wb_comm_t *world, int threads) {
    float *x[3];
    int64_t floats = 0;
    wb_arena_t *arena;
    for (int i = 0; i < PRODUCTS; i++) {
        const shape_t *p = &r->of[i].shape;
        floats = max (floats, max (p->m * p->n, max (p->m * p->k, p->n * p->k)));
    }
    WB_TRY (wb_arena_new (&arena, "gemm", 3 * wb_align ((size_t) floats * sizeof (float))));
    for (int i = 0; i < 3; i++) {
        x[i] = wb_arena_floats (arena, floats);
        for (int64_t j = 0; j < floats; j++) x[i][j] = (float) (j % 7 - 3) * 0.125f;
    }
    r->library = wb_gemm_library_get ();
    wb_bench_peak (&r->peak, world, wb_kern_fma_peak, threads, 0.3);
    for (int i = 0; i < PRODUCTS; i++) {
        product_t *p = &r->of[i];
        int ignored;
        p->speed = time_product (&p->repeats, &p->shape, x);
        if (r->library == WB_GEMM_BLAS) continue;
        wb_gemm_library_set (WB_GEMM_BLAS);
        p->blas = time_product (&ignored, &p->shape, x).median;
        wb_gemm_library_set (r->library);
    }
    wb_bench_peak (&r->peak, world, wb_kern_fma_peak, threads, 0.3);
    wb_arena_destroy (arena);
    return WB_OK;
}

static wb_status report_json (const products_t *r, const wb_bench_t *b) {
    json_t *list = json_array (), *o = json_object ();
    for (int i = 0; i < PRODUCTS; i++) {
        const product_t *p = &r->of[i];
        json_t *row = json_object ();
        wb_bench_put_text (&row, "name", p->shape.name);
        wb_bench_put_count (&row, "m", p->shape.m);
        wb_bench_put_count (&row, "n", p->shape.n);
        wb_bench_put_count (&row, "k", p->shape.k);
        wb_bench_put_spread (&row, "gflops", p->speed);
        wb_bench_put_number (&row, "of_peak", p->speed.median / r->peak);
        wb_bench_put_count (&row, "repeats", p->repeats);
        if (r->library != WB_GEMM_BLAS) wb_bench_put_number (&row, "blas_gflops", p->blas);
        wb_bench_append (&list, row);
    }
    wb_bench_put_text (&o, "bench", "gemm");
    wb_bench_put_text (&o, "preset", b->preset);
    wb_bench_put_count (&o, "threads", b->nthreads);
    wb_bench_put_number (&o, "fma_peak_gflops", r->peak);
    wb_bench_put_text (&o, "gemm", wb_gemm_library_name (r->library));
    wb_bench_put_text (&o, "blas_core", b->blas.core);
    wb_bench_put_text (&o, "retuned_from", wb_retuned_from ());
    wb_bench_put_text (&o, "cpu", wb_cpu_name ());
    wb_bench_put (&o, "products", list);
    return wb_bench_print_json (o);
}

static void print_table (const products_t *r, const wb_bench_t *b) {
    const bool both = r->library != WB_GEMM_BLAS;
    printf ("%s, %d thread%s; products by %s; BLAS %s (%s)%s; peak %.1f GFLOP/s\n\n", wb_cpu_name (), b->nthreads,
            wb_plural (b->nthreads), wb_gemm_library_name (r->library), b->blas.core, b->blas.threading,
            wb_retuned_note (), r->peak);
    printf ("%-14s%8s%8s%8s%10s%9s%18s%9s%s\n", "product", "m", "n", "k", "GFLOP/s", "of peak", "min to max", "repeats",
            both ? "  of BLAS" : "");
    for (int i = 0; i < PRODUCTS; i++) {
        const product_t *p = &r->of[i];
        printf ("%-14s%8lld%8lld%8lld%10.1f%8.1f%%%9.1f to %5.1f%9d", p->shape.name, (long long) p->shape.m,
                (long long) p->shape.n, (long long) p->shape.k, p->speed.median, 100 * p->speed.median / r->peak,
                p->speed.min, p->speed.max, p->repeats);
        if (both) printf ("%9.2f", p->speed.median / p->blas);
        putchar ('\n');
    }
}

static wb_status parse (void *options, int argc, char **argv) { return wb_bench_parse (options, argc, argv); }

static wb_status run (void *options, wb_comm_t *world) {
    wb_bench_t *b = options;
    products_t r = {.peak = 0};
    wb_topo_t *topo;
    WB_TRY (wb_bench_threads (&b->nthreads, world, b->threads));
    WB_TRY (wb_topo_new (&topo, world, 1, 1, 1));
    const wb_status status = wb_bench_complete (b, topo);
    wb_topo_destroy (topo);
    WB_TRY (status);
    list_products (r.of, &b->o.size, b->o.B * b->o.T);
    WB_TRY (measure (&r, world, b->nthreads));
    if (b->json) return report_json (&r, b);
    print_table (&r, b);
    return WB_OK;
}

const wb_bench_row_t wb_bench_gemm = {
    .name = "gemm",
    .line = "the matrix products of a step, one by one",
    .alone = true,
    .bytes = sizeof (wb_bench_t),
    .parse = parse,
    .run = run,
};
