/* ckpt on one rank: slices, safetensors headers good and bad, element types, run directories */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tmpi.h"
#include "checkpoint/checkpoint_priv.h"

static wb_comm_t *world;

/* The call failed so, and its message has these words. */
static void wants (wb_status got, wb_status want, const char *words, int line) {
    const wb_error_t *e = wb_error_get ();
    t_check (got == want && (want == WB_OK || strstr (e->text, words) != NULL), __FILE__, line,
             "status %d, wanted %d with '%s': %s", (int) got, (int) want, words, e->text);
    wb_error_clear ();
}
#define WANTS(expr, want, words) wants ((expr), (want), (words), __LINE__)

/* ---- slices ---------------------------------------------------------------------------------------------------- */

/* Every element of every slice comes once, where a walk over rows and columns puts it. */
static void test_runs (void) {
    static const struct {
        int64_t rows, cols;
        int axis, parts;
    } shapes[] = {{11, 6, 0, 1}, {5, 6, -1, 1}, {4, 18, 1, 3}, {1, 18, 1, 3}, {6, 24, 1, 1}, {1, 7, -1, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int T = 1; T <= 4; T++) {
            char seen[400] = {0};
            bool good = true;
            for (int t = 0; t < T; t++) {
                wb_param_t p = {
                    .rows = shapes[s].rows, .cols = shapes[s].cols, .axis = shapes[s].axis, .parts = shapes[s].parts};
                p.own_rows = p.rows, p.own_cols = p.cols;
                int64_t part = p.cols / p.parts;
                if (p.axis == 0) p.row0 = wb_split_first (p.rows, T, t), p.own_rows = wb_split_count (p.rows, T, t);
                if (p.axis == 1)
                    p.col0 = wb_split_first (part, T, t), p.own_cols = p.parts * wb_split_count (part, T, t);
                if (p.axis < 0 && t > 0) continue;
                for (int64_t i = 0; i < wb_param_own (&p); i++) {
                    int64_t global, run, row = i / p.own_cols, col = i % p.own_cols, width = p.own_cols / p.parts;
                    wb_param_run (&p, &global, &run, i);
                    int64_t want = (p.row0 + row) * p.cols + col / width * part + p.col0 + col % width;
                    good = good && global == want && run >= 1 && i + run <= wb_param_own (&p) && !seen[global]++;
                    if (run > 1) { /* what follows is where the run says */
                        int64_t next, rest;
                        wb_param_run (&p, &next, &rest, i + 1);
                        good = good && next == global + 1 && rest == run - 1;
                    }
                }
            }
            for (int64_t i = 0; i < shapes[s].rows * shapes[s].cols; i++) good = good && seen[i] == 1;
            T_OK (good, "shape %zu over %d", s, T);
        }
}

/* ---- safetensors ----------------------------------------------------------------------------------------------- */

static const char *write_st (const char *header, size_t length, size_t data) {
    const char *path = t_tmp ("x.safetensors");
    char *file = wb_calloc (1, 8 + length + data);
    uint64_t n = length;
    memcpy (file, &n, 8);
    memcpy (file + 8, header, length);
    T_STATUS (wb_file_write (path, file, 8 + length + data), WB_OK);
    wb_free (file);
    return path;
}

static void header_gives (const char *header, size_t data, wb_status want, const char *words, int line) {
    wb_st_t *st;
    wb_status got = wb_st_read (&st, world, write_st (header, strlen (header), data));
    wants (got, want, words, line);
    t_check ((st != NULL) == (got == WB_OK), __FILE__, line, "table given with status %d", (int) got);
    wb_st_destroy (st);
}
#define HEADER(header, data, want, words) header_gives ((header), (data), (want), (words), __LINE__)

static void test_bad_headers (void) {
#define ONE(dtype, shape, offsets) "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    HEADER (ONE ("F32", "[2,3]", "[0,24]"), 24, WB_OK, "");
    HEADER ("{}", 0, WB_OK, "");
    HEADER ("{\"__metadata__\":{\"x\":\"y\"}}   ", 5, WB_OK, "");
    HEADER (ONE ("F32", "[]", "[4,8]"), 8, WB_OK, "");
    HEADER (ONE ("F32", "[0,9223372036854775807]", "[0,0]"), 0, WB_OK, "");
    HEADER (ONE ("NEW", "[3]", "[0,2]"), 2, WB_OK, "");
    HEADER (ONE ("F32", "[2,3]", "[0,24]"), 23, WB_EDATA, "cut off");
    HEADER (ONE ("F32", "[2,3]", "[0,23]"), 24, WB_EDATA, "does not go with");
    HEADER (ONE ("F16", "[2,3]", "[0,24]"), 24, WB_EDATA, "does not go with");
    HEADER (ONE ("F32", "[-2,-3]", "[0,24]"), 24, WB_EDATA, "does not go with");
    HEADER (ONE ("F32", "[2.0,3]", "[0,24]"), 24, WB_EDATA, "does not go with");
    HEADER (ONE ("F32", "[4611686018427387904,4]", "[0,0]"), 24, WB_EDATA, "does not go with");
    HEADER (ONE ("F32", "[6]", "[-24,0]"), 24, WB_EDATA, "lies at bytes");
    HEADER (ONE ("F32", "[6]", "[24,0]"), 24, WB_EDATA, "lies at bytes");
    HEADER (ONE ("F32", "[6]", "[9223372036854775783,9223372036854775807]"), 24, WB_EDATA, "lies at bytes");
    HEADER (ONE ("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, WB_EDATA, "more than 8");
    HEADER (ONE ("F32", "6", "[0,24]"), 24, WB_EDATA, "needs dtype");
    HEADER (ONE ("F32", "[6]", "[0]"), 24, WB_EDATA, "needs dtype");
    HEADER ("{\"a\":[]}", 24, WB_EDATA, "needs dtype");
    HEADER ("{\"a\":null}", 24, WB_EDATA, "needs dtype");
    HEADER ("[1,2]", 24, WB_EDATA, "not a JSON object");
    HEADER ("{\"a\":", 24, WB_EDATA, "not JSON");
    HEADER ("{}{}", 24, WB_EDATA, "not JSON");
    HEADER ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
            12, WB_EDATA, "overlap");
    HEADER ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
            16, WB_EDATA, "not JSON");
#undef ONE
    char deep[3000];
    memset (deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    HEADER (deep, 0, WB_EDATA, "not JSON");

    wb_st_t *st;
    const char *path = t_tmp ("short");
    static const uint64_t lengths[] = {0, 1, 100, 1 << 20, 100000001, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char file[64] = {0};
        memcpy (file, &lengths[i], 8);
        T_STATUS (wb_file_write (path, file, sizeof file), WB_OK);
        WANTS (wb_st_read (&st, world, path), WB_EDATA, "not a safetensors file");
    }
    for (size_t n = 0; n < 8; n++) {
        T_STATUS (wb_file_write (path, "\2\0\0\0\0\0\0", n), WB_OK);
        WANTS (wb_st_read (&st, world, path), WB_EDATA, "not a safetensors file");
    }
    WANTS (wb_st_read (&st, world, t_tmp ("nowhere")), WB_EIO, "cannot open");
    WANTS (wb_st_read (&st, world, t_tmp (".")), WB_EDATA, "not a regular file");
}

/* What was changed at random is either refused or gives a table that is true. */
static void test_fuzz (void) {
    wb_st_tensor_t t[4] = {{.name = (char *) (uintptr_t) "wte.weight", .dtype = WB_F32, .ndim = 2, .shape = {7, 3}},
                           {.name = (char *) (uintptr_t) "ln_f.bias", .dtype = WB_BF16, .ndim = 1, .shape = {5}},
                           {.name = (char *) (uintptr_t) "mask", .dtype = WB_I64, .ndim = 0},
                           {.name = (char *) (uintptr_t) "half", .dtype = WB_F16, .ndim = 3, .shape = {1, 2, 2}}};
    char *header, file[1024];
    size_t length, size;
    T_STATUS (wb_st_header (&header, &length, t, 4), WB_OK);
    size = (size_t) t[3].end;
    T_OK (length % 8 == 0 && size == length + 84 + 10 + 8 + 8 && size <= sizeof file, "sizes %zu %zu", length, size);
    const char *path = t_tmp ("fuzz.safetensors");
    int refused = 0, rounds = 4000;
    bool good = true;
    for (int k = 0; k < rounds; k++) {
        uint64_t n = 0;
#define DRAW(range) (wb_rng_u64 (77, (uint64_t) k, n++) % (uint64_t) (range))
        memset (file, 0, sizeof file);
        memcpy (file, header, length);
        size_t now = size;
        if (k % 4 == 0) /* noise, with a length that fits */
            for (size_t i = k % 8 == 0 ? 1 : 8; i < length; i++) file[i] = (char) DRAW (256);
        else
            for (uint64_t changes = 1 + DRAW (4); changes > 0; changes--) {
                static const char spice[] = "0123456789[]{}\",:-+.eE \\u/\177";
                uint64_t at = k % 2 ? 8 + DRAW (length - 8) : DRAW (length);
                file[at] = spice[DRAW (sizeof spice)];
            }
        if (k % 5 == 0) now = DRAW (size + 1);
        FILE *out = fopen (path, "wb");
        good = good && out != NULL && fwrite (file, 1, now, out) == now && fclose (out) == 0;
        wb_st_t *st;
        wb_status status = wb_st_read (&st, world, path);
        if (status != WB_OK) {
            good = good && status == WB_EDATA && st == NULL && wb_error_get ()->text[0] != 0;
            refused++;
        } else
            for (int i = 0; i < st->n; i++)
                good = good && st->tensors[i].begin >= 8 && st->tensors[i].begin <= st->tensors[i].end &&
                       st->tensors[i].end <= (int64_t) now &&
                       (i == 0 || st->tensors[i - 1].end <= st->tensors[i].begin);
        wb_st_destroy (st);
        wb_error_clear ();
        if (!good) break;
    }
    T_OK (good && refused > rounds / 2, "%d of %d refused", refused, rounds);
    wb_free (header);
}

static void test_header (void) {
    static const char want[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                               "\"b\\\"ad\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                               "\"transformer.a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]}}";
    wb_st_tensor_t t[2] = {{.name = (char *) (uintptr_t) "b\"ad", .dtype = WB_F32, .ndim = 2, .shape = {2, 3}},
                           {.name = (char *) (uintptr_t) "transformer.a", .dtype = WB_F16, .ndim = 1, .shape = {3}}};
    char *header;
    size_t bytes;
    uint64_t length;
    T_STATUS (wb_st_header (&header, &bytes, t, 2), WB_OK);
    memcpy (&length, header, 8);
    T_OK (length + 8 == bytes && bytes % 8 == 0 && bytes < 8 + sizeof want + 8, "%zu bytes", bytes);
    T_OK (memcmp (header + 8, want, sizeof want - 1) == 0, "%.*s", (int) length, header + 8);
    for (size_t i = 8 + sizeof want - 1; i < bytes; i++) T_OK (header[i] == ' ', "padding");
    T_OK (t[0].begin == (int64_t) bytes && t[1].begin == t[0].begin + 24 && t[1].end == t[1].begin + 6, "places");
    wb_st_t *st;
    T_STATUS (wb_st_read (&st, world, write_st (header + 8, length, 30)), WB_OK);
    T_OK (st->n == 2 && st->bytes == (int64_t) bytes + 30, "%d tensors", st->n);
    const wb_st_tensor_t *a = &st->tensors[1];
    T_OK (strcmp (st->tensors[0].name, "b\"ad") == 0 && strcmp (a->name, "transformer.a") == 0, "names, in file order");
    T_OK (a->dtype == WB_F16 && a->ndim == 1 && a->shape[0] == 3 && a->begin == t[1].begin && a->end == t[1].end,
          "type, shape and place");
    wb_st_destroy (st);
    wb_free (header);
}

/* ---- element types --------------------------------------------------------------------------------------------- */

/* A model file with one matrix of the given type, beside tensors that must be ignored; the matrix's name has a prefix.
 */
static void write_model (const char *dir, wb_dtype dtype, const void *data, int64_t rows, int64_t cols) {
    wb_st_tensor_t t[4] = {
        {.name = (char *) (uintptr_t) "transformer.h.0.attn.bias", .dtype = WB_I64, .ndim = 4, .shape = {1, 1, 2, 2}},
        {.name = (char *) (uintptr_t) "transformer.m", .dtype = dtype, .ndim = 2, .shape = {rows, cols}},
        {.name = (char *) (uintptr_t) "transformer.v", .dtype = dtype, .ndim = 1, .shape = {cols}},
        {.name = (char *) (uintptr_t) "lm_head.weight", .dtype = WB_F32, .ndim = 2, .shape = {1, 1}}};
    char *header, *path = wb_format ("%s/model.safetensors", dir);
    size_t bytes;
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_STATUS (wb_st_header (&header, &bytes, t, 4), WB_OK);
    char *file = wb_calloc (1, (size_t) t[3].end);
    memcpy (file, header, bytes);
    memcpy (file + t[1].begin, data, (size_t) (t[1].end - t[1].begin));
    memcpy (file + t[2].begin, data, (size_t) (t[2].end - t[2].begin));
    T_STATUS (wb_file_write (path, file, (size_t) t[3].end), WB_OK);
    wb_free (header);
    wb_free (file);
    wb_free (path);
}

/* The matrix whole, its middle columns, some rows, and the vector, from one file. */
static void load_all (const char *dir, const float *want, int64_t rows, int64_t cols) {
    wb_param_t p[4];
    int64_t floats = 0;
    memset (p, 0, sizeof p);
    for (int i = 0; i < 4; i++) {
        snprintf (p[i].name, sizeof p[i].name, "%s", i < 3 ? "m" : "v");
        p[i].ndim = i < 3 ? 2 : 1;
        p[i].rows = p[i].own_rows = i < 3 ? rows : 1;
        p[i].cols = p[i].own_cols = cols;
        p[i].axis = -1;
        p[i].parts = 1;
        if (i == 1) p[i].axis = 1, p[i].col0 = cols / 4, p[i].own_cols = cols / 2;
        if (i == 2) p[i].axis = 0, p[i].row0 = rows / 2, p[i].own_rows = rows - rows / 2;
        p[i].offset = floats;
        floats += wb_param_own (&p[i]);
    }
    float *got = wb_calloc ((size_t) floats, sizeof *got);
    wb_segment_t g[8];
    for (int i = 0; i < 8; i++) { /* two segments each, the cut at an odd place */
        const wb_param_t *q = &p[i / 2];
        int64_t own = wb_param_own (q), cut = own / 3;
        g[i] = (wb_segment_t){.param = q, .first = i % 2 ? cut : 0, .count = i % 2 ? own - cut : cut};
        g[i].flat = q->offset + g[i].first;
    }
    wb_ckpt_set_t set = {.file = "model.safetensors", .prefix = "", .data = got};
    T_STATUS (wb_ckpt_load (world, dir, &set, g, 8), WB_OK);
    int64_t bad = 0;
    for (int i = 0; i < 4; i++)
        for (int64_t k = 0; k < wb_param_own (&p[i]); k++) {
            int64_t global, run;
            wb_param_run (&p[i], &global, &run, k);
            bad += memcmp (&got[p[i].offset + k], &want[global], sizeof (float)) != 0;
        }
    T_OK (bad == 0, "%" PRId64 " of %" PRId64 " values differ", bad, floats);
    wb_free (got);
}

static void test_types (void) {
    enum { N = 256 };
    static uint16_t half[N * N];
    static float want[N * N];
    static double wide[N * N];
    for (int i = 0; i < N * N; i++) half[i] = (uint16_t) i;
    for (int i = 0; i < N * N; i++) {
        int e = i >> 10 & 31, f = i & 1023;
        double x = e == 0 ? ldexp (f, -24) : ldexp (1024 + f, e - 25);
        want[i] = (float) (i & 0x8000 ? -x : x);
        if (e != 31) continue;
        uint32_t bits = 0x7f800000u | (uint32_t) (i & 0x8000) << 16 | (uint32_t) f << 13;
        memcpy (&want[i], &bits, 4);
    }
    const char *dir = t_tmp ("types");
    write_model (dir, WB_F16, half, N, N);
    load_all (dir, want, N, N);
    for (int i = 0; i < N * N; i++) {
        uint32_t bits = (uint32_t) i << 16;
        memcpy (&want[i], &bits, 4);
    }
    write_model (dir, WB_BF16, half, N, N);
    load_all (dir, want, N, N);
    for (int i = 0; i < N * N; i++) {
        wide[i] = wb_rng_normal (1, 2, (uint64_t) i);
        want[i] = (float) wide[i];
    }
    write_model (dir, WB_F64, wide, N, N);
    load_all (dir, want, N, N);
    write_model (dir, WB_F32, want, N, N);
    load_all (dir, want, N, N);
    write_model (dir, WB_I64, wide, N, N);
    wb_param_t p = {.name = "m", .ndim = 2, .rows = N, .cols = N, .own_rows = N, .own_cols = N, .axis = -1, .parts = 1};
    wb_segment_t g = {.param = &p, .count = (int64_t) N * N};
    wb_ckpt_set_t set = {.file = "model.safetensors", .prefix = "", .data = want};
    WANTS (wb_ckpt_load (world, dir, &set, &g, 1), WB_EDATA, "not of type");
}

/* Larger than the buffers: rows of 1 MiB in several reads, and a row that is longer than the buffer. */
static void test_large (void) {
    static const int64_t shapes[3][2] = {{20, 1 << 18}, {3, 3 << 20}, {3000, 1000}};
    for (int k = 0; k < 3; k++) {
        int64_t rows = shapes[k][0], cols = shapes[k][1];
        float *want = wb_calloc ((size_t) (rows * cols), sizeof *want);
        for (int64_t i = 0; i < rows * cols; i++) want[i] = (float) (i % 16777213);
        const char *dir = t_tmp ("large");
        write_model (dir, WB_F32, want, rows, cols);
        load_all (dir, want, rows, cols);
        if (k == 2) { /* the same through the widening path */
            double *wide = wb_calloc ((size_t) (rows * cols), sizeof *wide);
            for (int64_t i = 0; i < rows * cols; i++) wide[i] = want[i];
            write_model (dir, WB_F64, wide, rows, cols);
            load_all (dir, want, rows, cols);
            wb_free (wide);
        }
        wb_free (want);
        T_STATUS (wb_dir_remove (dir), WB_OK);
    }
}

/* ---- runs ------------------------------------------------------------------------------------------------------ */

static void make_step (const char *run, const char *name, bool state, bool sums) {
    static const char *const files[] = {"state.json", "checksums.json", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        char *path = wb_format ("%s/%s/%s", run, name, files[i]), *dir = wb_format ("%s/%s", run, name);
        T_STATUS (wb_dir_make (dir), WB_OK);
        if (i == 2 || (i == 0 ? state : sums)) T_STATUS (wb_file_write (path, "{}", 2), WB_OK);
        wb_free (path);
        wb_free (dir);
    }
}

static bool there (const char *run, const char *name) {
    struct stat st;
    char *path = wb_format ("%s/%s", run, name);
    bool found = lstat (path, &st) == 0;
    wb_free (path);
    return found;
}

static void test_rundir (void) {
    const char *run = t_tmp ("run");
    int64_t steps[10];
    int n = 7;
    char *path = wb_ckpt_path ("a/b", 1000), *longer = wb_ckpt_path ("r", 1234567890);
    T_OK (strcmp (path, "a/b/step-00001000") == 0 && strcmp (longer, "r/step-1234567890") == 0, "%s %s", path, longer);
    wb_free (path);
    wb_free (longer);
    T_OK (wb_ckpt_list (steps, &n, run, 10) == WB_OK && n == 0, "no directory: no checkpoints");
    T_STATUS (wb_ckpt_prune (t_tmp ("run"), 3), WB_OK);
    make_step (run, "step-00000010", true, true);
    make_step (run, "step-00000200", true, true);
    make_step (run, "step-00000030", true, true);
    make_step (run, "step-123456789", true, true);
    make_step (run, "step-00000040", false, true);
    make_step (run, "step-00000050", true, false);
    make_step (run, "step-00000060.tmp", true, true);
    make_step (run, "step-60", true, true);
    make_step (run, "step-00000070.old", true, true); /* its new version never came */
    make_step (run, "step-00000010.old", true, true);
    make_step (run, "mine.tmp", true, true);
    T_STATUS (wb_ckpt_list (steps, &n, run, 10), WB_OK);
    T_OK (n == 4 && steps[0] == 123456789 && steps[1] == 200 && steps[2] == 30 && steps[3] == 10, "%d listed", n);
    T_STATUS (wb_ckpt_list (steps, &n, run, 2), WB_OK);
    T_OK (n == 2 && steps[0] == 123456789 && steps[1] == 200, "%d newest", n);

    T_STATUS (wb_ckpt_set_latest (run, 30), WB_OK);
    T_STATUS (wb_ckpt_set_latest (run, 10), WB_OK);
    char target[64] = {0}, *link = wb_format ("%s/latest", run);
    T_OK (readlink (link, target, sizeof target - 1) > 0 && strcmp (target, "step-00000010") == 0, "-> %s", target);
    T_OK (there (run, "latest/state.json") && !there (run, "latest.tmp"), "link leads there");

    T_STATUS (wb_ckpt_prune (run, 2), WB_OK);
    T_STATUS (wb_ckpt_list (steps, &n, run, 10), WB_OK);
    T_OK (n == 3 && steps[0] == 123456789 && steps[1] == 200 && steps[2] == 10, "latest is kept: %d, %" PRId64, n,
          steps[2]);
    T_OK (!there (run, "step-00000030") && !there (run, "step-00000060.tmp") && !there (run, "step-00000010.old") &&
              !there (run, "step-00000070.old"),
          "removed");
    T_OK (there (run, "mine.tmp") && there (run, "step-60") && there (run, "step-00000040"), "not ours is kept");
    T_STATUS (wb_ckpt_prune (run, 0), WB_OK);
    T_STATUS (wb_ckpt_list (steps, &n, run, 10), WB_OK);
    T_OK (n == 3, "0 keeps all: %d", n);
    make_step (run, "step-00000080.old", true, true);
    T_STATUS (wb_ckpt_prune (run, 0), WB_OK);
    T_OK (there (run, "step-00000080") && !there (run, "step-00000080.old"), "what was aside is put back");

    wb_free (link);
}

/* ---- latest that is not a link ---------------------------------------------------------------------------------- */

static int no_links (const char *target, const char *path) {
    (void) target, (void) path;
    errno = EPERM;
    return -1;
}

static void put_state (const char *run, const char *name, int step) {
    char *path = wb_format ("%s/%s/state.json", run, name), text[32];
    snprintf (text, sizeof text, "{\"step\": %d}", step);
    T_STATUS (wb_file_write (path, text, strlen (text)), WB_OK);
    wb_free (path);
}

static void leads_to (const char *path, const char *want) {
    char *named = wb_dir_latest (path), *real = realpath (named, NULL);
    T_OK (real != NULL && strcmp (wb_file_name (real), want) == 0, "%s leads to %s", path, real);
    wb_free_foreign (real);
    wb_free (named);
}

/* A file system without links. */
static void test_no_links (void) {
    char *run = wb_strdup (t_tmp ("plain")), *link = wb_format ("%s/latest", run), *slash = wb_format ("%s/", link);
    make_step (run, "step-00000010", true, true);
    make_step (run, "step-00000020", true, true);
    make_step (run, "step-00000030", true, true);
    wb_ckpt_symlink = no_links;
    T_STATUS (wb_ckpt_set_latest (run, 20), WB_OK);
    T_STATUS (wb_ckpt_set_latest (run, 10), WB_OK);
    T_OK (!wb_file_is_dir (link), "a file");
    leads_to (link, "step-00000010");
    leads_to (slash, "step-00000010");
    T_STATUS (wb_ckpt_prune (run, 1), WB_OK);
    T_OK (there (run, "step-00000010") && !there (run, "step-00000020") && there (run, "step-00000030"),
          "what the file names is kept");
    wb_ckpt_symlink = symlink;
    T_STATUS (wb_ckpt_set_latest (run, 30), WB_OK);
    T_OK (wb_file_is_dir (link), "a link again");
    leads_to (link, "step-00000030");
    char *named = wb_dir_latest ("nowhere/latest");
    T_OK (strcmp (named, "nowhere/latest") == 0, "nothing there: %s", named);
    WANTS (wb_ckpt_set_latest (t_tmp ("nowhere"), 200), WB_EIO, "latest: cannot create the link");
    wb_free (named);
    wb_free (slash);
    wb_free (link);
    wb_free (run);
}

/* Runs that were copied with their links resolved. */
static void test_copied (void) {
    char *run = wb_strdup (t_tmp ("copied")), *link = wb_format ("%s/latest", run);
    make_step (run, "step-00000030", true, true);
    make_step (run, "latest", true, true);
    put_state (run, "latest", 40);
    T_STATUS (wb_ckpt_adopt_latest (run), WB_OK);
    T_OK (there (run, "step-00000040") && !there (run, "latest.copied"), "a checkpoint that the run lacks");
    leads_to (link, "step-00000040");
    unlink (link);
    make_step (run, "latest", true, true);
    put_state (run, "latest", 30);
    T_STATUS (wb_ckpt_set_latest (run, 40), WB_OK);
    T_OK (there (run, "latest.copied/model.safetensors"), "a copy of one that it has");
    leads_to (link, "step-00000040");
    unlink (link);
    T_STATUS (wb_dir_make (link), WB_OK);
    T_STATUS (wb_ckpt_adopt_latest (run), WB_OK);
    T_OK (!there (run, "latest.copied-2"), "an empty one");
    leads_to (link, "step-00000040");
    unlink (link);
    make_step (run, "latest", false, false);
    T_STATUS (wb_ckpt_adopt_latest (run), WB_OK);
    T_OK (there (run, "latest.copied-2/model.safetensors"), "no checkpoint at all");
    T_STATUS (wb_ckpt_adopt_latest (run), WB_OK);
    T_OK (!there (run, "latest.copied-3"), "a link stays");
    leads_to (link, "step-00000040");
    wb_free (link);
    wb_free (run);
}

/* Snapshots: by links, by copies, once each. */
static void test_archive (void) {
    char *run = wb_strdup (t_tmp ("archived"));
    struct stat a, b;
    make_step (run, "step-00000005", true, true);
    make_step (run, "step-00000010", true, true);
    make_step (run, "step-00000020", true, false);
    T_STATUS (wb_ckpt_archive (run, 10), WB_OK);
    T_OK (there (run, "archive/step-00000010/model.safetensors") && !there (run, "archive/step-00000005") &&
              !there (run, "archive/step-00000020"),
          "multiples that are whole");
    char *from = wb_format ("%s/step-00000010/model.safetensors", run),
         *to = wb_format ("%s/archive/step-00000010/model.safetensors", run);
    T_OK (stat (from, &a) == 0 && stat (to, &b) == 0 && a.st_ino == b.st_ino, "the same file");
    make_step (run, "step-00000030", true, true);
    wb_ckpt_link = no_links;
    T_STATUS (wb_ckpt_archive (run, 10), WB_OK);
    wb_ckpt_link = link;
    T_OK (there (run, "archive/step-00000030/state.json") && !there (run, "archive/step-00000030.tmp"), "copied");
    T_STATUS (wb_ckpt_prune (run, 1), WB_OK);
    T_OK (!there (run, "step-00000010") && stat (to, &b) == 0 && b.st_nlink == 1, "outlives the checkpoint");
    wb_free (from);
    wb_free (to);
    wb_free (run);
}

/* What has the name of a checkpoint and is none. */
static void test_whole (void) {
    char *run = wb_strdup (t_tmp ("whole")), *dir = wb_format ("%s/step-00000010", run), *path;
    make_step (run, "step-00000010", true, true);
    T_STATUS (wb_ckpt_check_whole (dir), WB_OK);
    put_state (run, "step-00000010", 10);
    T_STATUS (wb_ckpt_check_whole (dir), WB_OK);
    put_state (run, "step-00000010", 20);
    WANTS (wb_ckpt_check_whole (dir), WB_EDATA, "holds step 20 by its state.json");
    put_state (run, "step-00000010", 10);
    for (int i = 0; i < 4; i++) { /* gone, a link that leads nowhere, a directory; the state gone */
        path = wb_format ("%s/%s", dir, i < 3 ? "checksums.json" : "state.json");
        T_OK (remove (path) == 0, "%s", path);
        if (i == 1) T_OK (symlink ("nowhere", path) == 0, "link");
        if (i == 2) T_STATUS (wb_dir_make (path), WB_OK);
        WANTS (wb_ckpt_check_whole (dir), WB_EDATA,
               i < 2    ? "checksums.json is missing"
               : i == 2 ? "checksums.json is not a file"
                        : "state.json is missing");
        if (i == 0 || i == 2) T_OK (i == 0 || remove (path) == 0, "%s", path);
        if (i == 0 || i == 2) T_STATUS (wb_file_write (path, "{}", 2), WB_OK);
        wb_free (path);
    }
    T_STATUS (wb_dir_remove (dir), WB_OK);
    T_STATUS (wb_file_write (dir, "x", 1), WB_OK);
    WANTS (wb_ckpt_check_whole (dir), WB_EDATA, "is not a directory");
    wb_free (dir);
    wb_free (run);
}

static void test_damaged (void) {
    char *run = wb_strdup (t_tmp ("damaged"));
    int64_t steps[10];
    int n;
    for (int i = 0; i < 2; i++) {
        make_step (run, "step-00000010", true, true);
        make_step (run, "step-00000020", true, true);
        T_STATUS (wb_ckpt_set_aside (run, 20), WB_OK);
    }
    make_step (run, "step-00000030", true, true);
    T_STATUS (wb_ckpt_prune (run, 2), WB_OK);
    T_STATUS (wb_ckpt_list (steps, &n, run, 10), WB_OK);
    T_OK (n == 2 && steps[0] == 30 && steps[1] == 10, "damaged ones are not counted");
    T_OK (there (run, "step-00000020.damaged") && there (run, "step-00000020.damaged-2"), "nor removed");
    wb_free (run);
}

int main (void) {
    world = T_BEGIN ();
    test_runs ();
    test_header ();
    test_bad_headers ();
    test_fuzz ();
    test_types ();
    test_large ();
    test_rundir ();
    test_no_links ();
    test_copied ();
    test_archive ();
    test_whole ();
    test_damaged ();
    return T_END ();
}
