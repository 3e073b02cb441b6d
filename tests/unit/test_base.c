/* base: errors, memory, random numbers, files, formats */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t.h"

/* ---- Philox and what is drawn from it -------------------------------------------------------------------------- */

/* The known answers of Random123 1.14 (kat_vectors, philox4x32 10). */
static void test_philox (void) {
    static const uint32_t kat[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (int k = 0; k < 3; k++) {
        uint32_t out[4];
        wb_philox (out, kat[k], kat[k] + 4);
        T_OK (memcmp (out, kat[k] + 6, sizeof out) == 0, "known answer %d: %08x %08x %08x %08x", k, out[0], out[1],
              out[2], out[3]);
    }
    T_OK (wb_rng_u64 (0, 0, 0) == 0xe169c58d6627e8d5u, "u64 is the first two words");
    T_OK (wb_rng_u64 (0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u) == 0x94fdccebd16cfe09u,
          "places of seed, stream and index");
}

static void test_uniform (void) {
    enum { N = 200000 };
    double sum = 0, sq = 0, low = 1, high = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = wb_rng_uniform (7, 3, i);
        sum += u, sq += u * u;
        low = fmin (low, u), high = fmax (high, u);
    }
    T_OK (low >= 0 && low < 1e-4 && high < 1 && high > 1 - 1e-4, "range %g .. %g", low, high);
    T_OK (fabs (sum / N - 0.5) < 0.003 && fabs (sq / N - 1.0 / 3) < 0.003, "moments %g %g", sum / N, sq / N);
}

static void test_normal (void) {
    enum { N = 400000 };
    static float x[N], y[N];
    wb_rng_fill_normal (x, N, 1.0, 42, wb_rng_stream ("h.0.attn.c_attn.weight"), 0);
    double m[5] = {0}, bins[8] = {0};
    for (int i = 0; i < N; i++) {
        double v = x[i], p = 1;
        for (int k = 1; k <= 4; k++) m[k] += (p *= v) / N;
        double c = 0.5 * erfc (-v / sqrt (2.0));
        bins[(int) fmin (7, c * 8)] += 8.0 / N;
    }
    T_OK (fabs (m[1]) < 0.008, "mean %g", m[1]);
    T_OK (fabs (m[2] - 1) < 0.012, "variance %g", m[2]);
    T_OK (fabs (m[3]) < 0.03, "third moment %g", m[3]);
    T_OK (fabs (m[4] - 3) < 0.1, "fourth moment %g", m[4]);
    for (int b = 0; b < 8; b++) T_OK (fabs (bins[b] - 1) < 0.025, "eighth %d holds %g of its share", b, bins[b]);
    double lag = 0;
    for (int i = 1; i < N; i++) lag += x[i] * (double) x[i - 1] / N;
    T_OK (fabs (lag) < 0.008, "neighbours' correlation %g", lag);

    /* Pieces drawn alone are the same bits: what a rank draws of its slice. */
    wb_rng_fill_normal (y, 1000, 1.0, 42, wb_rng_stream ("h.0.attn.c_attn.weight"), 777);
    T_OK (memcmp (y, x + 777, 1000 * sizeof *y) == 0, "a slice drawn alone");
    T_OK (x[5] == (float) wb_rng_normal (42, wb_rng_stream ("h.0.attn.c_attn.weight"), 5), "one element");
    wb_rng_fill_normal (y, 8, 0.02, 42, wb_rng_stream ("h.0.attn.c_attn.weight"), 0);
    T_OK (fabs (y[3] - 0.02 * x[3]) < 1e-8, "deviation");

    /* Against the C library: our log and cos are good to the last digits. */
    double worst = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        const uint32_t counter[4] = {(uint32_t) i, 0, 9, 0}, key[2] = {5, 0};
        uint32_t w[4];
        wb_philox (w, counter, key);
        double u = (double) (((w[0] | (uint64_t) w[1] << 32) >> 11) + 1) * 0x1p-53;
        double v = (double) ((w[2] | (uint64_t) w[3] << 32) >> 11) * 0x1p-53;
        double want = sqrt (-2 * log (u)) * cos (2 * 3.141592653589793 * v);
        worst = fmax (worst, fabs (wb_rng_normal (5, 9, i) - want));
    }
    T_OK (worst < 1e-14, "%g off the C library", worst);
}

/* The bits themselves: they must never change, or a seed no longer names a model. */
#define FROZEN_STREAM 0xf9940bf8a4d225a6u
#define FROZEN_NORMALS 0x5115b5c6e04ccfbdu
#define FROZEN_PERMUTATION 0xd900ff3e9ae94404u

static void test_frozen (void) {
    static float x[4096];
    wb_rng_fill_normal (x, 4096, 0.02, 1, wb_rng_stream ("wte.weight"), 0);
    T_OK (wb_rng_stream ("wte.weight") == FROZEN_STREAM, "stream %016" PRIx64, wb_rng_stream ("wte.weight"));
    T_OK (wb_hash64 (x, sizeof x) == FROZEN_NORMALS, "normals %016" PRIx64, wb_hash64 (x, sizeof x));
    int64_t p[8];
    for (int i = 0; i < 8; i++) p[i] = wb_rng_permute (i, 1000003, 1, 2);
    T_OK (wb_hash64 (p, sizeof p) == FROZEN_PERMUTATION, "permutation %016" PRIx64, wb_hash64 (p, sizeof p));
}

static bool bijection (int64_t n, uint64_t seed, uint64_t stream, unsigned char *seen) {
    memset (seen, 0, (size_t) n);
    for (int64_t i = 0; i < n; i++) {
        int64_t j = wb_rng_permute (i, n, seed, stream);
        if (j < 0 || j >= n || seen[j]++) return false;
    }
    return true;
}

static void test_permutation (void) {
    enum { MOST = 131071 };
    unsigned char *seen = wb_malloc (MOST);
    int64_t bad = 0;
    for (int64_t n = 1; n <= 1000; n++) {
        if (!bijection (n, (uint64_t) n, 1, seen)) bad = n;
    }
    T_OK (bad == 0, "n = %lld is no bijection", (long long) bad);
    static const int64_t odd[] = {4095, 4096, 4097, 65535, 65536, 65537, 99991, MOST};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
        T_OK (bijection (odd[k], 3, k, seen), "n = %lld is a bijection", (long long) odd[k]);

    /* Seeds and streams give others; every place is as likely. */
    int64_t same = 0, first[5] = {0};
    for (int64_t i = 0; i < 10000; i++) {
        same += wb_rng_permute (i, 10000, 1, 1) == wb_rng_permute (i, 10000, 1, 2);
        same += wb_rng_permute (i, 10000, 1, 1) == wb_rng_permute (i, 10000, 2, 1);
        first[wb_rng_permute (2, 5, (uint64_t) i, 0)]++;
    }
    T_OK (same < 20, "%lld of 20000 places agree between seeds", (long long) same);
    for (int k = 0; k < 5; k++) T_OK (llabs (first[k] - 2000) < 250, "place %d: %lld times", k, (long long) first[k]);

    static const int64_t large[] = {((int64_t) 1 << 40) + 17, ((int64_t) 1 << 62) - 57, INT64_MAX};
    for (int k = 0; k < 3; k++) {
        int64_t n = large[k], a = wb_rng_permute (0, n, 1, 1), b = wb_rng_permute (n - 1, n, 1, 1);
        T_OK (a >= 0 && a < n && b >= 0 && b < n && a != b, "n = %lld", (long long) n);
    }
    wb_free (seen);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Does this end in wb_abort()?  In a child, because it ends the process. */
static bool aborts (void (*f) (void)) {
    fflush (NULL);
    pid_t pid = fork ();
    if (pid == 0) {
        if (freopen ("/dev/null", "w", stderr) == NULL) _exit (1);
        f ();
        _exit (0);
    }
    int status = 0;
    return pid > 0 && waitpid (pid, &status, 0) == pid && WIFEXITED (status) && WEXITSTATUS (status) == 70;
}

static void over_the_end (void) {
    wb_arena_t *a;
    if (wb_arena_new (&a, "x", 128) == WB_OK) (void) wb_arena_alloc (a, 129);
}
static void after_sealing (void) {
    wb_arena_t *a;
    if (wb_arena_new (&a, "x", 128) != WB_OK) return;
    wb_arena_seal (a);
    (void) wb_arena_alloc (a, 1);
}
static void foreign (void) {
    static uint64_t block[8];
    wb_free (block + 4);
}
static void too_large_int (void) { (void) wb_int ((int64_t) INT_MAX + 1); }

static void test_heap (void) {
    int64_t blocks = wb_mem_balance ();
    size_t now = wb_mem_now ();
    char *p = wb_malloc (1000), *s = wb_strdup ("和文"), *t = wb_strndup ("abcdef", 3);
    int *z = wb_calloc (100, sizeof *z);
    T_OK (strcmp (s, "和文") == 0 && strcmp (t, "abc") == 0 && z[99] == 0, "contents");
    T_OK (wb_mem_balance () == blocks + 4, "balance");
    T_OK (wb_mem_now () == now + 1000 + strlen (s) + 1 + 4 + 400, "bytes");
    p = wb_realloc (p, 5000);
    T_OK (wb_mem_now () == now + 5000 + strlen (s) + 1 + 4 + 400, "after realloc");
    wb_free (p), wb_free (s), wb_free (t), wb_free (z), wb_free (NULL);
    T_OK (wb_mem_balance () == blocks && wb_mem_now () == now, "after free");
    volatile size_t huge = SIZE_MAX / 2;
    T_OK (wb_calloc (huge, 4) == NULL && wb_malloc (huge) == NULL, "overflow");
    T_OK (wb_mem_rss_peak () > 100000, "resident memory %zu", wb_mem_rss_peak ());
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 1000; i++) wb_free (wb_realloc (wb_malloc (10), 20));
    T_OK (wb_mem_balance () == blocks && wb_mem_now () == now, "threads");
    T_OK (aborts (foreign), "freeing a pointer from elsewhere");
    T_OK (aborts (too_large_int), "narrowing checked");
    T_OK (wb_int (INT_MIN) == INT_MIN, "narrowing");
}

/* Every thread has its turn; any run of pages is spread evenly over the halves and quarters of a team. */
static void test_spread (void) {
    for (int threads = 1; threads <= 200; threads++) {
        int taken[200] = {0};
        for (int i = 0; i < threads; i++) taken[wb_spread (7 * threads + i, threads)]++;
        for (int i = 0; i < threads; i++) T_OK (taken[i] == 1, "thread %d of %d: %d times", i, threads, taken[i]);
    }
    for (int parts = 2; parts <= 4; parts += 2)
        for (int threads = 2 * parts; threads <= 192; threads += parts)
            for (int64_t from = 0; from < threads; from++) {
                int of[4] = {0}, most = 0;
                for (int64_t i = 0; i < 12; i++) of[wb_spread (from + i, threads) * parts / threads]++;
                for (int i = 0; i < parts; i++) most = of[i] > most ? of[i] : most;
                T_OK (most <= 12 / parts + 2, "%d threads: %d of 12 pages from %d on in one of %d parts", threads, most,
                      (int) from, parts);
            }
}

static void test_arena (void) {
    wb_arena_t *a = NULL;
    size_t before = wb_mem_now ();
    if (!T_STATUS (wb_arena_new (&a, "test", 10 << 20), WB_OK)) return;
    T_OK (wb_arena_used (a) == 0, "empty");
    T_OK (wb_mem_now () >= before + (10 << 20), "counted");
    char *p = wb_arena_alloc (a, 1);
    float *f = wb_arena_floats (a, 17);
    T_OK (((uintptr_t) p | (uintptr_t) f) % WB_ALIGN == 0 && (char *) f == p + WB_ALIGN, "aligned, one after another");
    T_OK (wb_arena_used (a) == 3 * WB_ALIGN && wb_align (65) == 128 && wb_align (0) == 0, "used");
    char *rest = wb_arena_alloc (a, (10 << 20) - wb_arena_used (a));
    bool zero = true;
    for (size_t i = 0; i < (10 << 20) - 3 * WB_ALIGN; i++) zero = zero && rest[i] == 0;
    T_OK (zero, "zeroed");
    wb_arena_destroy (a);

    wb_arena_t count = wb_arena_counting ();
    T_OK (wb_arena_alloc (&count, 1) == NULL && wb_arena_floats (&count, 17) == NULL, "counting gives no memory");
    T_OK (wb_arena_used (&count) == 3 * WB_ALIGN, "and counts the same bytes");
    (void) wb_arena_alloc (&count, (size_t) 1 << 60);
    T_OK (wb_arena_used (&count) == ((size_t) 1 << 60) + 3 * WB_ALIGN, "also more than there are");
    wb_arena_destroy (NULL);
    T_OK (aborts (over_the_end), "taking too much aborts");
    T_OK (aborts (after_sealing), "taking after sealing aborts");

    wb_status st = wb_arena_new (&a, "all", (size_t) 1 << 60);
    T_OK (st == WB_ENOMEM && a == NULL && strstr (wb_error_get ()->text, "1.0 EiB") != NULL, "too large: %s",
          wb_error_get ()->text);
    wb_error_clear ();
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static wb_status decides (const char *s) { return WB_FAIL (WB_EDATA, "byte %d: %s", 7, s); }
static wb_status passes_on (const char *s) {
    WB_TRY (decides (s));
    return WB_OK;
}

static void test_error (void) {
    wb_error_clear ();
    T_OK (wb_error_get ()->status == WB_OK && wb_error_get ()->rank == -1, "empty");
    wb_status st = passes_on ("bad\nnews\n");
    wb_error_t e = *wb_error_get ();
    T_OK (st == WB_EDATA && e.status == WB_EDATA && strcmp (e.text, "byte 7: bad news") == 0, "record: %s", e.text);
    T_OK (strcmp (e.file, "test_base.c") == 0 && e.line > 0 && e.rank == -1, "where: %s:%d", e.file, (int) e.line);
    T_OK (WB_FAIL (WB_EIO, "later") == WB_EDATA && wb_error_get ()->status == WB_EDATA, "the first stays");
    wb_error_clear ();
    wb_error_rank (5);
    (void) WB_FAIL (WB_EIO, "x");
    T_OK (wb_error_get ()->rank == 5, "rank");
    wb_error_rank (-1);
    wb_error_put (&e);
    T_OK (memcmp (wb_error_get (), &e, sizeof e) == 0, "put");
    wb_error_clear ();

    /* A long message is cut between characters. */
    for (int shift = 0; shift < 3; shift++) {
        char text[3000];
        memset (text, 'x', (size_t) shift);
        for (int i = 0; i < 900; i++) memcpy (text + shift + 3 * i, "和", 4);
        (void) WB_FAIL (WB_EIO, "%s", text);
        size_t n = strlen (wb_error_get ()->text);
        T_OK (n > WB_ERROR_TEXT - 5 && (n - (size_t) shift) % 3 == 0, "cut at %zu with shift %d", n, shift);
        wb_error_clear ();
    }
    T_OK (strcmp (wb_status_name (WB_ESTOP), "stopped on request") == 0, "name");
}

static void *fails_alone (void *out) {
    if (wb_error_get ()->status == WB_OK) (void) WB_FAIL (WB_EDATA, "of the thread");
    wb_error_take (out);
    return (void *) (uintptr_t) (wb_error_get ()->status == WB_OK);
}

static void test_error_threads (void) {
    pthread_t thread;
    wb_error_t e = {0};
    void *empty = NULL;
    (void) WB_FAIL (WB_EIO, "of the process");
    T_OK (pthread_create (&thread, NULL, fails_alone, &e) == 0 && pthread_join (thread, &empty) == 0, "thread");
    T_OK (e.status == WB_EDATA && strcmp (e.text, "of the thread") == 0 && empty != NULL, "taken: %s", e.text);
    T_OK (strcmp (wb_error_get ()->text, "of the process") == 0, "records are a thread's own");
    wb_error_put (&e);
    T_OK (strcmp (wb_error_get ()->text, "of the thread") == 0, "handed over");
    wb_error_clear ();
}

/* ---- a team ---------------------------------------------------------------------------------------------------- */

enum { TEAM_UNITS = 9, TEAM_THREADS = 4 };
typedef struct numbers {
    int64_t n, next, sum, delivered, fail_take, fail_work, fail_deliver;
    bool ordered;
    wb_team_t *team;
} numbers_t;
static wb_status take_number (void *ctx, void *unit, bool *more) {
    numbers_t *x = ctx;
    *more = x->next < x->n;
    if (x->next == x->fail_take) return WB_FAIL (WB_EIO, "take %lld", (long long) x->next);
    *(int64_t *) unit = x->next++;
    return WB_OK;
}
static wb_status square_number (void *ctx, void *unit, void *own) {
    const numbers_t *x = ctx;
    int64_t *k = unit;
    *(int64_t *) own += 1;
    if (*k % 7 == 3) sched_yield ();
    if (*k >= x->fail_work) return WB_FAIL (WB_EDATA, "work %lld", (long long) *k);
    *k *= *k;
    return WB_OK;
}
static wb_status add_number (void *ctx, void *unit) {
    numbers_t *x = ctx;
    const int64_t k = x->delivered++;
    x->ordered = x->ordered && *(int64_t *) unit == k * k;
    x->sum += *(int64_t *) unit;
    return k == x->fail_deliver ? WB_FAIL (WB_ENUMERIC, "deliver %lld", (long long) k) : WB_OK;
}
static void *work_number (void *arg) {
    int64_t mine = 0;
    wb_team_work (((numbers_t *) arg)->team, &mine);
    return (void *) (uintptr_t) (wb_error_get ()->status == WB_OK);
}

static wb_status run_team (numbers_t *x, int threads) {
    static const wb_team_ops_t ops = {take_number, square_number, add_number};
    int64_t units[TEAM_UNITS];
    pthread_t thread[TEAM_THREADS];
    x->next = x->sum = x->delivered = 0, x->ordered = true;
    WB_TRY (wb_team_new (&x->team, &ops, x, units, TEAM_UNITS, sizeof *units));
    for (int i = 0; i < threads; i++) T_OK (pthread_create (&thread[i], NULL, work_number, x) == 0, "thread");
    for (int i = 0; i < threads; i++) {
        void *clean = NULL;
        T_OK (pthread_join (thread[i], &clean) == 0 && clean != NULL, "no record is left in a thread");
    }
    return wb_team_end (x->team);
}

static void test_team (void) {
    for (int threads = 1; threads <= TEAM_THREADS; threads++) {
        numbers_t x = {.n = 5000, .fail_take = -1, .fail_work = INT64_MAX, .fail_deliver = -1};
        T_STATUS (run_team (&x, threads), WB_OK);
        T_OK (x.ordered && x.delivered == x.n && x.sum == (x.n - 1) * x.n * (2 * x.n - 1) / 6, "in order");
        x.n = 0;
        T_STATUS (run_team (&x, threads), WB_OK);
        T_OK (x.delivered == 0, "nothing to do");
        for (int round = 0; round < 50; round++) { /* many units fail: the first is named */
            x.n = 5000, x.fail_work = 100;
            wb_status status = run_team (&x, threads);
            T_OK (status == WB_EDATA && strcmp (wb_error_get ()->text, "work 100") == 0 && x.delivered == 100,
                  "the first in order: %s", wb_error_get ()->text);
            wb_error_clear ();
        }
        x.fail_work = INT64_MAX, x.fail_take = 50;
        T_OK (run_team (&x, threads) == WB_EIO && strcmp (wb_error_get ()->text, "take 50") == 0 && x.delivered == 50,
              "take: %s", wb_error_get ()->text);
        wb_error_clear ();
        x.fail_take = -1, x.fail_deliver = 20;
        T_OK (run_team (&x, threads) == WB_ENUMERIC && strcmp (wb_error_get ()->text, "deliver 20") == 0 &&
                  x.delivered == 21,
              "deliver: %s", wb_error_get ()->text);
        wb_error_clear ();
    }
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void test_files (void) {
    const char *dir = t_tmp ("files/a/b//c"), *path = t_tmp ("files/a/b/c/f"), *copy = t_tmp ("files/a/b/c/g");
    char *data;
    size_t n;
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_OK (wb_file_is_dir (dir) && wb_file_exists (dir) && !wb_file_exists (path), "directory");
    for (size_t size = 0; size <= 3000000; size = size * 7 + 1) {
        char *block = wb_malloc (size + 1);
        for (size_t i = 0; i < size; i++) block[i] = (char) (i * 31 % 251);
        T_STATUS (wb_file_write (path, block, size), WB_OK);
        T_STATUS (wb_file_copy (copy, path), WB_OK);
        if (T_STATUS (wb_file_read (&data, &n, copy), WB_OK)) {
            T_OK (n == size && memcmp (data, block, n) == 0 && data[n] == 0, "%zu bytes", size);
            wb_free (data);
        }
        wb_free (block);
    }
    struct stat st;
    mode_t mask = umask (0);
    umask (mask);
    T_OK (stat (path, &st) == 0 && (st.st_mode & 0777) == (0666 & ~mask), "mode %o", (unsigned) st.st_mode);
    T_STATUS (wb_dir_sync (dir), WB_OK);
    T_STATUS (wb_file_read (&data, &n, "/proc/self/stat"), WB_OK); /* a file without a size */
    T_OK (n > 10, "/proc: %zu bytes", n);
    wb_free (data);

    wb_status s = wb_file_read (&data, &n, t_tmp ("files/none"));
    T_OK (s == WB_EIO && strstr (wb_error_get ()->text, "/none: cannot open: No such file") != NULL, "message: %s",
          wb_error_get ()->text);
    wb_error_clear ();
    T_STATUS (wb_file_read (&data, &n, dir), WB_EIO);
    T_STATUS (wb_file_write (t_tmp ("files/none/f"), "x", 1), WB_EIO);
    T_STATUS (wb_file_copy (copy, t_tmp ("files/none")), WB_EIO);
    T_STATUS (wb_dir_make (t_tmp ("files/a/b/c/f/d")), WB_EIO);
    T_STATUS (wb_file_write (dir, "x", 1), WB_EIO); /* rename onto a directory: nothing may be left behind */

    T_STATUS (wb_dir_remove (t_tmp ("files/a")), WB_OK);
    T_OK (!wb_file_exists (t_tmp ("files/a")), "removed");
    T_STATUS (wb_dir_remove (t_tmp ("files/a")), WB_OK);
    T_OK (rmdir (t_tmp ("files")) == 0, "no temporary file was left");
}

static void test_file_kit (void) {
    static const struct {
        const char *path, *dir, *name;
    } paths[] = {{"a/b", "a", "b"}, {"b", ".", "b"}, {"/b", "/", "b"}, {"/a/b/c", "/a/b", "c"}, {"a/", "a", ""}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *dir = wb_file_dir (paths[i].path);
        T_OK (strcmp (dir, paths[i].dir) == 0 && strcmp (wb_file_name (paths[i].path), paths[i].name) == 0, "%s: %s",
              paths[i].path, dir);
        wb_free (dir);
    }
    T_OK (wb_bom ("\xef\xbb\xbf"
                  "a",
                  4) == 3 &&
              wb_bom ("\xef\xbb", 2) == 0 && wb_bom ("abc", 3) == 0,
          "byte order mark");
    int64_t *p = NULL, cap = 0;
    bool ok = true;
    for (int64_t i = 0; i < 1000; i++) {
        ok = ok && WB_GROW (p, cap, i + 1) && cap > i;
        p[i] = i;
    }
    T_OK (ok && p[999] == 999 && p[0] == 0 && cap < 4000, "growing");
    T_OK (!WB_GROW (p, cap, INT64_MAX / 2) && p[999] == 999, "a failed growth changes nothing");
    wb_free (p);

    /* a pipe gives little at a time */
    int fd[2];
    char buf[10];
    size_t got;
    T_OK (pipe (fd) == 0 && wb_fd_write (fd[1], "abc", 3, -1) == 0 && wb_fd_write (fd[1], "defg", 4, -1) == 0, "pipe");
    close (fd[1]);
    T_OK (wb_fd_read (fd[0], buf, &got, 5, -1) == 0 && got == 5 && memcmp (buf, "abcde", 5) == 0, "whole");
    T_OK (wb_fd_read (fd[0], buf, &got, 5, -1) == 0 && got == 2 && memcmp (buf, "fg", 2) == 0, "the end");
    close (fd[0]);
    T_OK (wb_fd_read (fd[0], buf, &got, 5, 0) == EBADF && wb_fd_write (fd[1], buf, 1, 0) == EBADF, "errors");

    T_STATUS (wb_dir_make (t_tmp ("kit")), WB_OK);
    wb_writer_t w, v;
    wb_names_t names;
    T_STATUS (wb_file_write (t_tmp ("kit/b"), "old", 3), WB_OK);
    T_STATUS (wb_writer_begin (&w, t_tmp ("kit/b")), WB_OK);
    T_STATUS (wb_writer_begin (&v, t_tmp ("kit/b")), WB_OK); /* two at once have names of their own */
    T_STATUS (wb_writer_put (&w, "new", 3), WB_OK);
    wb_writer_cancel (&v), wb_writer_cancel (&v);
    T_STATUS (wb_writer_sync (&w), WB_OK);
    if (T_STATUS (wb_dir_list (&names, t_tmp ("kit")), WB_OK)) {
        T_OK (names.len == 2 && strcmp (names.data[0], "b") == 0 && strncmp (names.data[1], "b.tmp-", 6) == 0, "names");
        wb_names_fini (&names);
    }
    char *data;
    if (T_STATUS (wb_file_read (&data, &got, t_tmp ("kit/b")), WB_OK))
        T_OK (strcmp (data, "old") == 0, "still the old");
    wb_free (data);
    T_STATUS (wb_writer_end (&w), WB_OK);
    wb_writer_cancel (&w);
    T_STATUS (wb_file_write (t_tmp ("kit/a"), "", 0), WB_OK);
    if (T_STATUS (wb_dir_list (&names, t_tmp ("kit")), WB_OK)) {
        T_OK (names.len == 2 && strcmp (names.data[0], "a") == 0 && strcmp (names.data[1], "b") == 0, "sorted");
        wb_names_fini (&names);
    }
    if (T_STATUS (wb_file_read (&data, &got, t_tmp ("kit/b")), WB_OK)) T_OK (strcmp (data, "new") == 0, "now the new");
    wb_free (data);
    T_STATUS (wb_dir_list (&names, t_tmp ("kit/none")), WB_EIO);
    T_STATUS (wb_writer_begin (&w, t_tmp ("kit/none/x")), WB_EIO);
    wb_writer_cancel (&w);
    T_STATUS (wb_dir_remove (t_tmp ("kit")), WB_OK);
}

/* A full disk: a small file system, mounted in a name space of this process alone, which takes it along at its end.
 * Where we may not do that, a limit on the size of files. */
static void test_full_disk (void) {
    bool mounted = unshare (CLONE_NEWNS) == 0 && mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   wb_dir_make (t_tmp ("full")) == WB_OK &&
                   mount ("tmpfs", t_tmp ("full"), "tmpfs", 0, "size=64k") == 0;
    struct rlimit before, small = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
    getrlimit (RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    const char *path = t_tmp ("full/f"), *want = mounted ? "No space left on device" : "File too large";
    char *block = wb_calloc (1, 1 << 20), *data;
    size_t n;
    wb_error_clear ();
    T_STATUS (wb_dir_make (t_tmp ("full")), WB_OK);
    T_STATUS (wb_file_write (path, "old", 3), WB_OK);
    if (!mounted) {
        signal (SIGXFSZ, SIG_IGN);
        setrlimit (RLIMIT_FSIZE, &small);
    }
    wb_status s = wb_file_write (path, block, 1 << 20);
    setrlimit (RLIMIT_FSIZE, &before);
    T_OK (s == WB_EIO && strstr (wb_error_get ()->text, "full/f: cannot write: ") != NULL &&
              strstr (wb_error_get ()->text, want) != NULL,
          "%s", wb_error_get ()->text);
    wb_error_clear ();
    if (T_STATUS (wb_file_read (&data, &n, path), WB_OK)) {
        T_OK (n == 3 && memcmp (data, "old", 3) == 0, "the old file is whole");
        wb_free (data);
    }
    T_OK (unlink (path) == 0, "unlink");
    DIR *d = opendir (t_tmp ("full"));
    int entries = 0;
    while (d != NULL && readdir (d) != NULL) entries++;
    if (d != NULL) closedir (d);
    T_OK (entries == 2, "%d entries: no temporary file is left", entries - 2);
    if (mounted) T_OK (umount (t_tmp ("full")) == 0, "umount");
    wb_free (block);
}

/* ---- formats, clock, processor ---------------------------------------------------------------------------------- */

static void test_formats (void) {
    char b[32];
#define SAYS(call, want) T_OK (strcmp ((call), (want)) == 0, "%s gives \"%s\", not \"%s\"", #call, b, want)
    SAYS (wb_format_seconds (b, 0.00123), "1.23 ms");
    SAYS (wb_format_seconds (b, 12.34), "12.3 s");
    SAYS (wb_format_seconds (b, 59.96), "1 min 00 s");
    SAYS (wb_format_seconds (b, 185), "3 min 05 s");
    SAYS (wb_format_seconds (b, 3599.6), "1 h 00 min");
    SAYS (wb_format_seconds (b, 3720), "1 h 02 min");
    SAYS (wb_format_seconds (b, 90000), "1 d 01 h");
    SAYS (wb_format_seconds (b, NAN), "?");
    SAYS (wb_format_bytes (b, 0), "0 B");
    SAYS (wb_format_bytes (b, 20480), "20 KiB");
    SAYS (wb_format_bytes (b, 1.5 * (1 << 30)), "1.5 GiB");
    SAYS (wb_format_bytes (b, 1048575), "1.0 MiB");
    SAYS (wb_format_count (b, 101642496), "101,642,496");
    SAYS (wb_format_count (b, 999), "999");
    SAYS (wb_format_count (b, -1000), "-1,000");
    SAYS (wb_format_count (b, INT64_MIN), "-9,223,372,036,854,775,808");
#undef SAYS
    char *s = wb_format ("%s-%05d", "step", 42);
    T_OK (strcmp (s, "step-00042") == 0, "%s", s);
    wb_free (s);
    T_OK (wb_hash64 ("", 0) == 0xef46db3751d8e999u, "XXH64 of nothing");
    double t = wb_now ();
    T_OK (wb_now () >= t, "the clock runs forward");
}

/* A pipe in packet mode gives back what one write() put in. */
static size_t said (int fd, char *buf, size_t bytes) {
    const ssize_t n = read (fd, buf, bytes - 1);
    buf[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t) n : 0;
}

/* Other ranks write to the same place: a message that came in pieces would be torn. */
static void test_log (void) {
    static char got[3 * 4096], text[2 * 4096];
    int fd[2];
    T_OK (pipe2 (fd, O_DIRECT | O_NONBLOCK) == 0, "a pipe of packets: %s", strerror (errno));
    fflush (stderr);
    const int before = dup (STDERR_FILENO);
    dup2 (fd[1], STDERR_FILENO);
    wb_log_init (WB_LOG_INFO, true);
    wb_warn ("%s of %d", "one", 3);
    T_OK (said (fd[0], got, sizeof got) > 0 && strcmp (got, "wabun: warning: one of 3\n") == 0, "%s", got);
    (void) WB_FAIL (WB_EUSAGE, "%s", "no such thing");
    wb_error_hint ("Try that.");
    wb_error_print ();
    T_OK (said (fd[0], got, sizeof got) > 0 && strcmp (got, "wabun: no such thing\nTry that.\n") == 0, "%s", got);
    wb_error_clear ();
    wb_error_hint (NULL);
    memset (text, 'a', sizeof text - 1); /* longer than a packet: nothing is lost */
    wb_info ("%s", text);
    size_t n = 0;
    for (size_t k = 1; k > 0 && n + 1 < sizeof got; n += k) k = said (fd[0], got + n, sizeof got - n);
    T_OK (n == sizeof text && strncmp (got, text, n - 1) == 0 && got[n - 1] == '\n', "%zu bytes of a long message", n);
    wb_log_init (WB_LOG_WARN, true);
    wb_info ("%s", "quiet");
    T_OK (said (fd[0], got, sizeof got) == 0, "%s", got);
    dup2 (before, STDERR_FILENO);
    close (before);
    close (fd[0]);
    close (fd[1]);
    wb_log_init (WB_LOG_INFO, true);
}

static void test_cpu (void) {
    T_OK (wb_cpu_cores () >= 1 && wb_cpu_name ()[0] != 0, "%d cores of %s", wb_cpu_cores (), wb_cpu_name ());
    printf ("%s, %d cores, %s\n", wb_cpu_name (), wb_cpu_cores (), wb_isa_name (wb_cpu_isa ()));
}

/* ---- the pulse --------------------------------------------------------------------------------------------------- */

static void *beat_beside (void *arg) {
    wb_beat_beside ();
    wb_beat ();
    return arg;
}

static bool beats_beside (void) {
    const uint64_t before = wb_pulse ().beats;
    pthread_t thread;
    T_OK (pthread_create (&thread, NULL, beat_beside, NULL) == 0 && pthread_join (thread, NULL) == 0, "thread");
    return wb_pulse ().beats != before;
}

static void test_pulse (void) {
    const uint64_t before = wb_pulse ().beats;
    wb_beat ();
    T_OK (wb_pulse ().beats == before + 1, "a beat");
    T_OK (!beats_beside (), "a thread beside hides nothing");
    wb_beat_await (true);
    T_OK (beats_beside (), "but counts while it is awaited");
    wb_beat_await (false);
    T_OK (!beats_beside (), "and no longer");
}

int main (void) {
    test_philox ();
    test_uniform ();
    test_normal ();
    test_frozen ();
    test_permutation ();
    test_heap ();
    test_arena ();
    test_spread ();
    test_error ();
    test_error_threads ();
    test_team ();
    test_files ();
    test_file_kit ();
    test_full_disk ();
    test_formats ();
    test_log ();
    test_cpu ();
    test_pulse ();
    return T_DONE ();
}
