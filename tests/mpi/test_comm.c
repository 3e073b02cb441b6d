/* ranks: 1 2 3 4 5 7 */
/* Groups, small collectives, agreement: everything against values that each rank computes for itself. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "tmpi.h"
#include "wabun/launch.h"

/* What rank r brings to element i: sums of these depend on the order of additions. */
static double value (int r, int64_t i) { return wb_rng_uniform (7, (uint64_t) r, (uint64_t) i) * 2.0 - 1.0; }

/* Do all ranks of c hold these bytes? */
static bool same_bits (wb_comm_t *c, const void *x, size_t bytes) {
    uint64_t first, own = wb_hash64 (x, bytes);
    first = own;
    wb_comm_bcast (c, &first, sizeof first, 0);
    int64_t bad = own != first;
    wb_comm_max_i64 (c, &bad, 1);
    return bad == 0;
}

static void collectives (wb_comm_t *c) {
    int P = wb_comm_size (c), r = wb_comm_rank (c);
    enum { N = 5000 }; /* more than the scratch of a small all-reduce holds */
    double *x = wb_malloc (N * sizeof *x), *y = wb_malloc (N * sizeof *y);
    int64_t *k = wb_malloc (N * sizeof *k), *all = wb_malloc (5 * sizeof *all * (size_t) P);
    const int sizes[] = {0, 1, 5, N};
    for (int s = 0; s < 4; s++) {
        int n = sizes[s];
        for (int i = 0; i < n; i++) {
            x[i] = value (r, i);
            y[i] = 0.0;
            for (int q = 0; q < P; q++) y[i] += value (q, i);
        }
        wb_comm_sum_f64 (c, x, n);
        T_NEAR (x, y, n, 0.0, 1e-14 * P);
        T_OK (same_bits (c, x, (size_t) n * sizeof *x), "sum_f64 of %d: bits differ", n);
        bool ok = true;
        for (int i = 0; i < n; i++) x[i] = value (r, i);
        wb_comm_max_f64 (c, x, n);
        for (int i = 0; i < n; i++) {
            double m = value (0, i);
            for (int q = 1; q < P; q++) m = fmax (m, value (q, i));
            ok = ok && x[i] == m;
            x[i] = value (r, i);
        }
        T_OK (ok, "max_f64 of %d", n);
        wb_comm_min_f64 (c, x, n);
        for (int i = 0; i < n; i++) {
            double m = value (0, i);
            for (int q = 1; q < P; q++) m = fmin (m, value (q, i));
            ok = ok && x[i] == m;
            k[i] = (int64_t) 1 << 60 | (r + i);
        }
        T_OK (ok, "min_f64 of %d", n);
        wb_comm_max_i64 (c, k, n);
        for (int i = 0; i < n; i++) {
            ok = ok && k[i] == ((int64_t) 1 << 60 | (P - 1 + i));
            k[i] = r * 1000003LL + i;
        }
        wb_comm_sum_i64 (c, k, n);
        for (int i = 0; i < n; i++) ok = ok && k[i] == P * (P - 1) / 2 * 1000003LL + (int64_t) P * i;
        T_OK (ok, "max_i64, sum_i64 of %d", n);
    }

    double nan[3] = {1.0, r == P / 2 ? NAN : 2.0, -1.0};
    wb_comm_max_f64 (c, nan, 3);
    T_OK (nan[0] == 1.0 && isnan (nan[1]) && nan[2] == -1.0, "a NaN wins a maximum");

    for (int64_t i = 0; i < 5; i++) all[i] = -1; /* the own block may be anywhere */
    const int64_t mine[5] = {r, r + 1, r * r, -r, 42};
    wb_comm_all_gather (c, all, mine, sizeof mine);
    bool ok = true;
    for (int q = 0; q < P; q++) {
        const int64_t *a = all + 5 * q;
        ok = ok && a[0] == q && a[1] == q + 1 && a[2] == (int64_t) q * q && a[3] == -q && a[4] == 42;
    }
    T_OK (ok, "all_gather");
    for (int root = 0; root < P; root++) {
        char text[24] = "no";
        if (r == root) snprintf (text, sizeof text, "root %d", root);
        char want[24];
        snprintf (want, sizeof want, "root %d", root);
        wb_comm_bcast (c, text, sizeof text, root);
        T_OK (strcmp (text, want) == 0, "bcast from %d gave %s", root, text);
    }
    wb_comm_bcast (c, NULL, 0, 0);
    wb_comm_barrier (c);
    wb_free (x);
    wb_free (y);
    wb_free (k);
    wb_free (all);
}

/* fp32 vectors, short (doubling) and long (ring). */
static void vectors (wb_comm_t *c) {
    int P = wb_comm_size (c), r = wb_comm_rank (c);
    const int64_t sizes[] = {0, 1, 2, 3, 100, 8191, 8192, 8193, 100003};
    enum { N = 100003 };
    float *x = wb_malloc (N * sizeof *x), *y = wb_malloc (N * sizeof *y), *z = wb_malloc (N * sizeof *z);
    for (int s = 0; s < 9; s++) {
        int64_t n = sizes[s];
        for (int64_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (int q = 0; q < P; q++) sum += (float) value (q, i);
            x[i] = z[i] = (float) value (r, i);
            y[i] = (float) sum;
        }
        wb_comm_sum_f32 (c, x, n);
        T_NEAR (x, y, n, 0.0, 1e-6 * P);
        T_OK (same_bits (c, x, (size_t) n * sizeof *x), "sum_f32 of %lld: bits differ over ranks", (long long) n);
        wb_comm_sum_f32 (c, z, n);
        T_OK (n == 0 || memcmp (x, z, (size_t) n * sizeof *x) == 0, "sum_f32 of %lld: bits differ between runs",
              (long long) n);
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float) value (r, i);
            y[i] = (float) value (0, i);
            for (int q = 1; q < P; q++) y[i] = fmaxf (y[i], (float) value (q, i));
        }
        wb_comm_max_f32 (c, x, n);
        T_NEAR (x, y, n, 0.0, 0.0);
    }
    /* Both zeros and NaN: still the same bits everywhere. */
    for (int64_t i = 0; i < N; i++)
        x[i] = (i + r) % 3 == 0 ? 0.0F : (i + r) % 3 == 1 ? -0.0F : i % 7 == 0 ? NAN : -1.0F;
    memcpy (y, x, N * sizeof *x);
    wb_comm_max_f32 (c, x, 100);
    T_OK (same_bits (c, x, 400), "maximum of zeros and NaN: bits differ");
    wb_comm_max_f32 (c, y, N);
    T_OK (same_bits (c, y, N * sizeof *y), "long maximum of zeros and NaN: bits differ");
    wb_free (x);
    wb_free (y);
    wb_free (z);
}

static void splits (wb_comm_t *world) {
    int P = wb_comm_size (world), r = wb_comm_rank (world);
    wb_comm_t *c, *node;
    /* Even and odd ranks, in the reverse order. */
    if (!T_STATUS (wb_comm_split (&c, world, r % 2, -r), WB_OK)) return;
    int mates = (P + 1 - r % 2) / 2;
    T_OK (wb_comm_size (c) == mates && wb_comm_rank (c) == mates - 1 - r / 2, "split: rank %d of %d", wb_comm_rank (c),
          wb_comm_size (c));
    int64_t sum = r, want = 0;
    for (int q = r % 2; q < P; q += 2) want += q;
    wb_comm_sum_i64 (c, &sum, 1);
    T_OK (sum == want, "sum over a half is %lld", (long long) sum);
    float x[3] = {(float) r, 1.0F, -1.0F};
    wb_comm_sum_f32 (c, x, 3);
    T_OK (x[0] == (float) want && x[1] == (float) mates, "sum_f32 over a half");
    wb_comm_destroy (c);
    /* The last rank stays out. */
    if (!T_STATUS (wb_comm_split (&c, world, r == P - 1 ? -1 : 3, r), WB_OK)) return;
    T_OK (r == P - 1 ? c == NULL : wb_comm_size (c) == P - 1, "a rank with a negative color is in no group");
    wb_comm_destroy (c);
    if (!T_STATUS (wb_comm_split_node (&node, world), WB_OK)) return;
    T_OK (wb_comm_size (node) >= 1 && wb_comm_size (node) <= P, "node of %d", wb_comm_size (node));
    T_OK (wb_comm_host ()[0] != 0, "host");
    wb_comm_destroy (node);
}

static void agreement (wb_comm_t *c) {
    int P = wb_comm_size (c), r = wb_comm_rank (c), middle = P / 2;
    T_STATUS (wb_agree (c, WB_OK), WB_OK);
    /* One rank in the middle fails. */
    wb_status st = r == middle ? WB_FAIL (WB_EDATA, "file:%d: broken by rank %d", 12, r) : WB_OK;
    st = wb_agree (c, st);
    char want[64];
    snprintf (want, sizeof want, "file:12: broken by rank %d", middle);
    const wb_error_t *e = wb_error_get ();
    T_OK (st == WB_EDATA && e->status == WB_EDATA && strcmp (e->text, want) == 0 && (P == 1 || e->rank == middle),
          "agreed on status %d, rank %d, \"%s\"", (int) st, (int) e->rank, e->text);
    T_OK (same_bits (c, e, sizeof *e), "the record is the same everywhere");
    wb_error_clear ();
    /* All but the first fail, each in its way: the lowest counts. */
    st = r > 0 || P == 1 ? WB_FAIL (r % 2 == 1 || P == 1 ? WB_EIO : WB_ENOMEM, "rank %d", r) : WB_OK;
    st = wb_agree (c, st);
    T_OK (st == WB_EIO && strcmp (wb_error_get ()->text, P == 1 ? "rank 0" : "rank 1") == 0, "the lowest rank counts");
    wb_error_clear ();
    /* A status without a record still has a message. */
    st = wb_agree (c, r == P - 1 ? WB_ESTOP : WB_OK);
    T_OK (st == WB_ESTOP && wb_error_get ()->text[0] != 0, "a status without a message");
    wb_error_clear ();

    int64_t data[4] = {1, 2, 3, 4};
    T_STATUS (wb_same (c, data, sizeof data, "the seed"), WB_OK);
    if (r == P - 1) data[3] = 5;
    T_STATUS (wb_same (c, data, 24, "the seed"), WB_OK);
    st = wb_same (c, data, sizeof data, "the seed");
    snprintf (want, sizeof want, "the seed differs between ranks 0 and %d ", P - 1);
    T_OK (P == 1 ? st == WB_OK : st == WB_EUSAGE && strncmp (wb_error_get ()->text, want, strlen (want)) == 0,
          "wb_same gave %d: %s", (int) st, wb_error_get ()->text);
    wb_error_clear ();
    st = wb_same (c, data, r == P - 1 ? 8 : 16, "the seed");
    T_OK (st == (P == 1 ? WB_OK : WB_EUSAGE), "other lengths differ");
    wb_error_clear ();

    wb_verdict_t v = {.loss = r, .tokens = 10, .gradsq = 0.5, .bad = 0, .stop = r == 0};
    wb_verdict (c, &v);
    T_OK (v.loss == P * (P - 1) / 2 && v.tokens == 10 * P && v.gradsq == 0.5 * P && v.bad == 0 && v.stop == 1,
          "verdict");
    v = (wb_verdict_t){.loss = r == middle ? NAN : 1.0, .gradsq = r == 0 ? INFINITY : 1.0};
    wb_verdict (c, &v);
    T_OK (v.bad == (middle == 0 ? 1 : 2) && v.stop == 0, "verdict on NaN: bad = %g", v.bad);
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    int P = wb_comm_size (world);
    wb_launcher_t l;
    wb_launcher_find (&l);
    T_OK ((l.mpi && l.ranks == P) || P == 1, "the launcher %s started %d", l.name != NULL ? l.name : "none", l.ranks);
    T_OK (strlen (wb_comm_library ()) > 3 && strpbrk (wb_comm_library (), "\n\t,") == NULL, "library: %s",
          wb_comm_library ());
    int64_t first = 0;
    for (int r = 0; r < P; r++) {
        T_OK (wb_split_first (P + 3, P, r) == first, "first of %d", r);
        first += wb_split_count (P + 3, P, r);
    }
    T_OK (first == P + 3 && wb_split_first (P + 3, P, P) == first, "pieces add up");
    collectives (world);
    vectors (world);
    splits (world);
    agreement (world);
    return T_END ();
}
