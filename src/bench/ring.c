/* wabun bench ring: sums over all ranks by our ring, against MPI_Allreduce and against what the links allow.
 *
 * The bound is 2 (ranks - 1) / ranks * bytes / bandwidth, what any ring must send over each link.  The bandwidth is
 * measured in the same run and the way a ring uses the links: all ranks send to their right and receive from their left
 * at once, one long message each; the slowest rank counts.  So is every other figure: from a barrier to the end of the
 * last rank, median of repeats.  A sum that is not a ring over all ranks (shared memory inside a node) may beat the
 * bound.
 *
 * Vectors are zeros: any number of repeats leaves them so. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench_priv.h"

enum { MAX_SIZES = 32, MAX_REPEATS = 41, WAYS = 5, LINK_FLOATS = 4 << 20 };
enum way { RING, SHORT, DEFAULT, BY_RING, BY_SEGMENTED };
static const char *const way_names[WAYS] = {"ring", "short", "mpi", "mpi_ring", "mpi_segmented"};

typedef struct ring_bench {
    int64_t min, max;
    wb_wire wire;
    bool json;
    wb_comm_t *world;
    wb_ring_t *ring;
    wb_mpi_allreduce_t *mpi[WAYS]; /* of the last three */
    float *x;                      /* [max / 4] */
    /* found out */
    int sizes;
    int64_t bytes[MAX_SIZES];
    double seconds[MAX_SIZES][WAYS]; /* -1: not measured */
    double bandwidth;                /* bytes a second */
} ring_bench_t;

static wb_status size_option (wb_opts_t *o, int64_t *out) {
    char name[64], *end;
    const char *text = NULL;
    snprintf (name, sizeof name, "%.*s", (int) strcspn (o->arg, "="), o->arg);
    WB_TRY (wb_opts_text (o, &text));
    double n = strtod (text, &end);
    const char *units = "KMG", *unit = *end != 0 ? strchr (units, *end) : NULL;
    if (unit != NULL) {
        for (const char *u = units; u <= unit; u++) n *= 1024;
        end++;
    }
    if (end == text || *end != 0 || !(n >= 4 && n <= 4.0 * (1 << 30)))
        return WB_FAIL (WB_EUSAGE, "%s wants bytes between 4 and 4G, as in 64K, got `%s`", name, text);
    *out = (int64_t) n / 4 * 4;
    return WB_OK;
}

static wb_status parse (void *options, int argc, char **argv) {
    ring_bench_t *b = options;
    int wire = WB_WIRE_FP32;
    *b = (ring_bench_t){.min = 4096, .max = 256 << 20};
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--min"))
            WB_TRY (size_option (&o, &b->min));
        else if (wb_opts_is (&o, "--max"))
            WB_TRY (size_option (&o, &b->max));
        else if (wb_opts_is (&o, "--wire"))
            WB_TRY (wb_bench_choice (&o, &wire, wb_wire_names));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &b->json));
        else
            return wb_opts_unknown (&o);
    }
    b->wire = (wb_wire) wire;
    if (b->max < b->min) return WB_FAIL (WB_EUSAGE, "--max is less than --min");
    for (int64_t n = b->min; n <= b->max && b->sizes < MAX_SIZES; n *= 4) b->bytes[b->sizes++] = n;
    wb_mpi_allreduce_prepare ();
    return WB_OK;
}

static void sum (ring_bench_t *b, enum way way, int64_t n) {
    switch (way) {
    case RING:
        wb_ring_all_reduce_begin (b->ring, b->x, n, NULL);
        wb_ring_end (b->ring);
        return;
    case SHORT: wb_comm_sum_f32 (b->world, b->x, n); return;
    case DEFAULT:
    case BY_RING:
    case BY_SEGMENTED: wb_mpi_allreduce_sum (b->mpi[way], b->x, n);
    }
}

/* Seconds until the last rank is done, the same on all ranks. */
static double timed (ring_bench_t *b, enum way way, int64_t n) {
    wb_comm_barrier (b->world);
    double t = wb_now ();
    sum (b, way, n);
    t = wb_now () - t;
    wb_comm_max_f64 (b->world, &t, 1);
    return t;
}

static double measure (ring_bench_t *b, enum way way, int64_t n) {
    double t[MAX_REPEATS], first = timed (b, way, n); /* not counted: connections and pages */
    int repeats = first > 0 ? (int) (0.5 / first) : MAX_REPEATS;
    repeats = repeats < 3 ? 3 : repeats > MAX_REPEATS ? MAX_REPEATS : repeats;
    for (int i = 0; i < repeats; i++) t[i] = timed (b, way, n);
    return wb_bench_median (t, repeats);
}

/* Bytes a second that every rank sends to its right while it receives from its left. */
static wb_status measure_links (ring_bench_t *b) {
    enum { REPEATS = 7 };
    const int64_t n = LINK_FLOATS;
    const int ranks = wb_comm_size (b->world), rank = wb_comm_rank (b->world);
    wb_link_t *right = NULL, *left = NULL;
    double t[REPEATS];
    wb_status status = wb_link_new (&right, b->world, (rank + 1) % ranks, 0, 1);
    if (status == WB_OK) status = wb_link_new (&left, b->world, (rank + ranks - 1) % ranks, 0, 1);
    status = wb_agree (b->world, status);
    for (int i = -1; status == WB_OK && i < REPEATS; i++) {
        wb_comm_barrier (b->world);
        double start = wb_now (), seconds;
        wb_link_recv_begin (left, b->x + n, n);
        wb_link_send_begin (right, b->x, n);
        wb_link_recv_end (left);
        wb_link_send_end (right);
        seconds = wb_now () - start;
        wb_comm_max_f64 (b->world, &seconds, 1);
        if (i >= 0) t[i] = seconds;
    }
    if (status == WB_OK) b->bandwidth = (double) n * 4 / wb_bench_median (t, REPEATS);
    wb_link_destroy (right);
    wb_link_destroy (left);
    return status;
}

static double bound (const ring_bench_t *b, int i) {
    const int ranks = wb_comm_size (b->world);
    return 2.0 * (ranks - 1) / ranks * (double) b->bytes[i] / (b->wire == WB_WIRE_BF16 ? 2 : 1) / b->bandwidth;
}

static double ours (const ring_bench_t *b, int i) {
    const double *s = b->seconds[i];
    return b->bytes[i] <= 4 * WB_SUM_SHORT ? s[SHORT] : s[RING];
}

static wb_status report_json (const ring_bench_t *b, int nodes) {
    json_t *list = json_array (), *o = json_object ();
    for (int i = 0; i < b->sizes; i++) {
        json_t *row = json_object ();
        wb_bench_put_count (&row, "bytes", b->bytes[i]);
        wb_bench_put_number (&row, "ours_s", ours (b, i));
        wb_bench_put_number (&row, "bound_s", bound (b, i));
        wb_bench_put_number (&row, "share", bound (b, i) / ours (b, i));
        for (int w = 0; w < WAYS; w++) {
            char name[32];
            snprintf (name, sizeof name, "%s_s", way_names[w]);
            if (b->seconds[i][w] >= 0) wb_bench_put_number (&row, name, b->seconds[i][w]);
        }
        wb_bench_append (&list, row);
    }
    wb_bench_put_text (&o, "bench", "ring");
    wb_bench_put_count (&o, "ranks", wb_comm_size (b->world));
    wb_bench_put_count (&o, "nodes", nodes);
    wb_bench_put_text (&o, "wire", b->wire == WB_WIRE_BF16 ? "bf16" : "fp32");
    wb_bench_put_text (&o, "form", wb_ring_form (b->ring));
    wb_bench_put_number (&o, "bandwidth", b->bandwidth);
    wb_bench_put_text (&o, "mpi", wb_comm_library ());
    wb_bench_put (&o, "sizes", list);
    return wb_bench_print_json (o);
}

static wb_status report (const ring_bench_t *b, int nodes) {
    if (b->json) return report_json (b, nodes);
    printf ("%d ranks on %d node%s, %s; wire %s, %s\n", wb_comm_size (b->world), nodes, wb_plural (nodes),
            wb_comm_library (), b->wire == WB_WIRE_BF16 ? "bf16" : "fp32", wb_ring_form (b->ring));
    printf ("links: %.1f MB/s, each rank to its right while it receives from its left, the slowest rank\n\n",
            b->bandwidth * 1e-6);
    printf ("milliseconds%32s MPI_Allreduce\n", "");
    printf ("%12s%12s%12s%12s%12s%12s%12s%8s\n", "bytes", "ours", "default", "ring", "segmented", "bound", "of bound",
            "");
    for (int i = 0; i < b->sizes; i++) {
        const double *s = b->seconds[i];
        char text[3][32];
        for (int w = 0; w < 3; w++) {
            double t = s[DEFAULT + w];
            snprintf (text[w], sizeof text[w], t < 0 ? "-" : "%.3f", 1e3 * t);
        }
        printf ("%12lld%12.3f%12s%12s%12s%12.3f%11.1f%%%8s\n", (long long) b->bytes[i], 1e3 * ours (b, i), text[0],
                text[1], text[2], 1e3 * bound (b, i), 100 * bound (b, i) / ours (b, i),
                b->bytes[i] <= 4 * WB_SUM_SHORT ? "short" : "");
    }
    return WB_OK;
}

/* Our ring, and what other libraries have: NULL where there is no such way. */
static wb_status new_ways (ring_bench_t *b, const wb_topo_t *topo) {
    static const wb_mpi_allreduce_kind kinds[WAYS] = {0, 0, WB_MPI_ALLREDUCE_DEFAULT, WB_MPI_ALLREDUCE_RING,
                                                      WB_MPI_ALLREDUCE_SEGMENTED};
    const wb_kern_t *k = wb_kern_get (wb_cpu_isa ());
    const wb_ring_ops_t ops = {k->add, k->bf16_pack, k->bf16_unpack, k->bf16_add};
    WB_TRY (wb_ring_new (&b->ring, topo->data, b->max / 4, 1, b->wire, 0, &ops));
    wb_ring_warn (b->world);
    for (int w = DEFAULT; w < WAYS; w++) {
        const wb_status status = wb_mpi_allreduce_new (&b->mpi[w], b->world, kinds[w]);
        if (status == WB_EUSAGE) /* another MPI library: its default only */
            wb_error_clear ();
        else
            WB_TRY (status);
    }
    return WB_OK;
}

static void measure_all (ring_bench_t *b) {
    for (int i = 0; i < b->sizes; i++)
        for (int w = 0; w < WAYS; w++) {
            const bool has = w >= DEFAULT ? b->mpi[w] != NULL : w == RING || b->bytes[i] <= 1 << 20;
            b->seconds[i][w] = has ? measure (b, (enum way) w, b->bytes[i] / 4) : -1;
            wb_log_progress ("%lld bytes: %s", (long long) b->bytes[i], way_names[w]);
        }
    wb_log_progress ("%s", "");
}

static wb_status measure_and_report (ring_bench_t *b) {
    wb_topo_t *topo;
    WB_TRY (wb_topo_new (&topo, b->world, 0, 1, 1));
    wb_status status = new_ways (b, topo);
    if (status == WB_OK) status = measure_links (b);
    if (status == WB_OK) measure_all (b);
    if (status == WB_OK && wb_comm_rank (b->world) == 0) status = report (b, topo->nodes);
    for (int w = 0; w < WAYS; w++) wb_mpi_allreduce_destroy (b->mpi[w]);
    wb_ring_destroy (b->ring);
    wb_topo_destroy (topo);
    return wb_agree (b->world, status);
}

static wb_status run (void *options, wb_comm_t *world) {
    ring_bench_t *b = options;
    const int64_t floats = b->max / 4 > 2 * LINK_FLOATS ? b->max / 4 : 2 * LINK_FLOATS;
    b->world = world;
    if (wb_comm_size (world) == 1)
        return WB_FAIL (WB_EUSAGE, "bench ring measures between ranks: start it with mpirun -np 2 or more");
    b->x = wb_calloc ((size_t) floats, sizeof *b->x);
    wb_status status = wb_agree (world, b->x != NULL ? WB_OK : WB_NOMEM ("%lld floats", (long long) floats));
    if (status == WB_OK) {
        for (int64_t i = 0; i < floats; i += 1024) b->x[i] = 0; /* pages are there before anything is timed */
        status = measure_and_report (b);
    }
    wb_free (b->x);
    return status;
}

const wb_bench_row_t wb_bench_ring = {
    .name = "ring",
    .line = "sums over ranks: our ring, MPI_Allreduce, and what the links allow",
    .bytes = sizeof (ring_bench_t),
    .parse = parse,
    .run = run,
};
