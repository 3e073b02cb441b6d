/* ranks: 1 2 3 4
 * Checkpoints: the same bytes whatever layout wrote them, any layout loads them, damage and full disks
 *
 *     test_checkpoint --full DIR    is what tests/fault/ckpt_full_disk.sh runs on a disk that is too small */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tmpi.h"
#include "wabun/checkpoint.h"

enum { NPARAMS = 8, NLAYOUTS = 5 };
static wb_comm_t *world;
static int P, R;

static void wants (wb_status got, wb_status want, const char *words, int line) {
    const wb_error_t *e = wb_error_get ();
    t_check (got == want && (want == WB_OK || strstr (e->text, words) != NULL), __FILE__, line,
             "status %d, wanted %d with '%s': %s", (int) got, (int) want, words, e->text);
    wb_error_clear ();
}
#define WANTS(expr, want, words) wants ((expr), (want), (words), __LINE__)

/* ---- a model by hand ------------------------------------------------------------------------------------------- */

/* What a rank holds in some layout: the table, its block, the pieces it writes and the pieces it wants. */
typedef struct model {
    wb_param_t p[NPARAMS];
    int64_t own, state;
    wb_segment_t owned[NPARAMS * 2], whole[NPARAMS];
    int nowned, nwhole;
    float *block, *first, *second;
} model_t;

/* Layout 0: tensor ranks only.  1: data ranks only.  2: two tensor ranks (where P is even) in data groups.  3:
 * pipeline, a stage holds every P-th parameter.  4: the last rank has all.  The block lies in another order than the
 * file. */
static void hold (model_t *m, int layout, int64_t V, int64_t C) {
    static const struct {
        const char *name;
        int ndim, axis, parts;
    } table[NPARAMS] = {{"wte.weight", 2, 0, 1},
                        {"wpe.weight", 2, -1, 1},
                        {"h.0.attn.c_attn.weight", 2, 1, 3},
                        {"h.0.attn.c_attn.bias", 1, 1, 3},
                        {"h.0.attn.c_proj.weight", 2, 0, 1},
                        {"h.0.mlp.c_fc.weight", 2, 1, 1},
                        {"h.0.mlp.c_fc.bias", 1, 1, 1},
                        {"ln_f.weight", 1, -1, 1}};
    const int64_t shape[NPARAMS][2] = {{V, C}, {5, C}, {C, 3 * C}, {1, 3 * C}, {C, C}, {C, 4 * C}, {1, 4 * C}, {1, C}};
    int T = layout == 0 ? P : layout == 2 && P % 2 == 0 ? 2 : 1, t = R % T;
    int D = layout == 1 || layout == 2 ? P / T : 1, d = layout == 1 || layout == 2 ? R / T : 0;
    memset (m, 0, sizeof *m);
    for (int k = 0; k < NPARAMS; k++) {
        int i = (k * 3 + 1) % NPARAMS; /* the block's order */
        wb_param_t *p = &m->p[i];
        snprintf (p->name, sizeof p->name, "%s", table[i].name);
        p->ndim = table[i].ndim;
        p->axis = table[i].axis;
        p->parts = table[i].parts;
        p->rows = p->own_rows = shape[i][0];
        p->cols = p->own_cols = shape[i][1];
        p->offset = -1;
        if ((layout == 3 && i % P != R) || (layout == 4 && R != P - 1)) continue;
        if (p->axis == 0) {
            p->row0 = wb_split_first (p->rows, T, t);
            p->own_rows = wb_split_count (p->rows, T, t);
        } else if (p->axis == 1) {
            p->col0 = wb_split_first (p->cols / p->parts, T, t);
            p->own_cols = wb_split_count (p->cols / p->parts, T, t) * p->parts;
        }
        p->primary = p->axis >= 0 || t == 0;
        p->offset = m->own;
        m->own = (m->own + wb_param_own (p) + 15) / 16 * 16;
    }
    /* Data ranks share the block as the ring cuts it: at any element. */
    int64_t low = wb_split_first (m->own, D, d), high = wb_split_first (m->own, D, d + 1);
    for (int k = 0; k < NPARAMS; k++) {
        wb_param_t *p = &m->p[(k * 3 + 1) % NPARAMS];
        if (p->offset < 0) continue;
        int64_t a = p->offset, b = p->offset + wb_param_own (p);
        m->whole[m->nwhole++] = (wb_segment_t){.param = p, .count = b - a, .flat = a, .state = a};
        if (low > a) a = low;
        if (high < b) b = high;
        if (a >= b || !p->primary) continue;
        m->owned[m->nowned++] =
            (wb_segment_t){.param = p, .first = a - p->offset, .count = b - a, .flat = a, .state = m->state};
        m->state += b - a;
    }
    m->block = wb_calloc ((size_t) m->own + 1, sizeof (float));
    m->first = wb_calloc ((size_t) m->own + 1, sizeof (float));
    m->second = wb_calloc ((size_t) m->own + 1, sizeof (float));
}

static void drop (model_t *m) {
    wb_free (m->block);
    wb_free (m->first);
    wb_free (m->second);
}

/* Element `global` of parameter i in set k; any bits, but finite. */
static float value (int k, int64_t i, int64_t global) {
    uint64_t x = ((uint64_t) global * 8 + (uint64_t) i) * 4 + (uint64_t) k;
    return (float) (int32_t) (x * 0x9e3779b97f4a7c15u >> 40) * 0x1p-20f - 8.0f;
}

static void fill (float *to, const model_t *m, const wb_segment_t *g, int n, int k, bool by_state) {
    for (int s = 0; s < n; s++) {
        int64_t run;
        for (int64_t i = 0; i < g[s].count; i += run) {
            int64_t global, at = (by_state ? g[s].state : g[s].flat) + i;
            wb_param_run (g[s].param, &global, &run, g[s].first + i);
            if (run > g[s].count - i) run = g[s].count - i;
            for (int64_t e = 0; e < run; e++) to[at + e] = value (k, g[s].param - m->p, global + e);
        }
    }
}

static void sets_of (wb_ckpt_set_t sets[3], const model_t *m, bool by_state) {
    sets[0] = (wb_ckpt_set_t){.file = "model.safetensors", .prefix = "", .data = m->block};
    sets[1] =
        (wb_ckpt_set_t){.file = "optimizer.safetensors", .prefix = "exp_avg.", .data = m->first, .by_state = by_state};
    sets[2] = (wb_ckpt_set_t){
        .file = "optimizer.safetensors", .prefix = "exp_avg_sq.", .data = m->second, .by_state = by_state};
}

static wb_status copy_vocabulary (void *ctx, const char *dir) {
    char *to = wb_format ("%s/vocabulary.txt", dir);
    (void) ctx;
    const wb_status status = wb_file_copy (to, t_tmp ("vocabulary.txt"));
    wb_free (to);
    return status;
}

/* In the foreground, or in the background with the values spoilt as soon as it has begun. */
static bool background;

static wb_status save_text (const char *dir, int layout, int64_t V, int64_t C, const char *text) {
    static const wb_ckpt_text_t more = {"config.json", "{\"model_type\": \"gpt2\"}\n"};
    model_t m;
    wb_ckpt_set_t sets[3];
    const char *extras[] = {"vocabulary.txt"};
    wb_ckpt_text_t texts[] = {more, {"state.json", text}};
    hold (&m, layout, V, C);
    fill (m.block, &m, m.owned, m.nowned, 0, false);
    fill (m.first, &m, m.owned, m.nowned, 1, true);
    fill (m.second, &m, m.owned, m.nowned, 2, true);
    sets_of (sets, &m, true);
    wb_ckpt_job_t job = {.params = m.p,
                         .nparams = NPARAMS,
                         .segments = m.owned,
                         .nsegments = m.nowned,
                         .sets = sets,
                         .nsets = 3,
                         .texts = texts,
                         .ntexts = 2,
                         .extras = extras,
                         .nextras = 1,
                         .extra = copy_vocabulary};
    wb_saver_t *saver = NULL;
    wb_status status = background ? wb_saver_new (&saver, world, &job, 0.5) : wb_ckpt_save (world, dir, &job);
    if (saver != NULL) {
        status = wb_saver_begin (saver, dir, &job);
        memset (m.block, 0x55, (size_t) m.own * sizeof *m.block);
        T_OK (wb_saver_busy (saver) == (status == WB_OK), "begun");
        for (bool done = status != WB_OK; !done;) {
            double ready = wb_saver_ready (saver) ? 1 : 0;
            wb_comm_min_f64 (world, &ready, 1);
            if (ready > 0) status = wb_saver_poll (saver, &done);
        }
        T_OK (!wb_saver_busy (saver), "ended");
        wb_saver_destroy (saver);
    }
    drop (&m);
    return status;
}

static wb_status save (const char *dir, int layout, int64_t V, int64_t C) {
    return save_text (dir, layout, V, C, "{\"step\": 10}\n");
}

/* ---- what must be in the files --------------------------------------------------------------------------------- */

/* The bytes of a file, made from the format's description alone; sets first .. last. */
static char *expected (size_t *bytes, int first, int last, int64_t V, int64_t C) {
    static const char *const names[NPARAMS] = {"wte.weight",
                                               "wpe.weight",
                                               "h.0.attn.c_attn.weight",
                                               "h.0.attn.c_attn.bias",
                                               "h.0.attn.c_proj.weight",
                                               "h.0.mlp.c_fc.weight",
                                               "h.0.mlp.c_fc.bias",
                                               "ln_f.weight"};
    static const char *const prefixes[3] = {"", "exp_avg.", "exp_avg_sq."};
    const int64_t rows[NPARAMS] = {V, 5, C, 0, C, C, 0, 0}, cols[NPARAMS] = {C, C, 3 * C, 3 * C, C, 4 * C, 4 * C, C};
    int64_t floats = 0;
    char *out = wb_calloc (1, 8192);
    size_t n = 8 + (size_t) sprintf (out + 8, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int k = first; k <= last; k++)
        for (int i = 0; i < NPARAMS; i++) {
            int64_t count = cols[i] * (rows[i] ? rows[i] : 1);
            n += (size_t) sprintf (out + n, ",\"%s%s\":{\"dtype\":\"F32\",\"shape\":[", prefixes[k], names[i]);
            if (rows[i]) n += (size_t) sprintf (out + n, "%" PRId64 ",", rows[i]);
            n += (size_t) sprintf (out + n, "%" PRId64 "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", cols[i],
                                   4 * floats, 4 * (floats + count));
            floats += count;
        }
    out[n++] = '}';
    while (n % 8 != 0) out[n++] = ' ';
    uint64_t length = n - 8;
    memcpy (out, &length, 8);
    *bytes = n + 4 * (size_t) floats;
    out = wb_realloc (out, *bytes);
    char *at = out + n;
    for (int k = first; k <= last; k++)
        for (int i = 0; i < NPARAMS; i++)
            for (int64_t e = 0; e < cols[i] * (rows[i] ? rows[i] : 1); e++, at += 4) {
                float x = value (k, i, e);
                memcpy (at, &x, 4);
            }
    return out;
}

static void has_bytes (const char *dir, const char *name, const char *want, size_t wanted) {
    char *path = wb_format ("%s/%s", dir, name), *data = NULL;
    size_t bytes = 0, bad = 0;
    T_STATUS (wb_file_read (&data, &bytes, path), WB_OK);
    while (data != NULL && bad < bytes && bad < wanted && data[bad] == want[bad]) bad++;
    T_OK (bytes == wanted && bad == wanted, "%s: %zu bytes, %zu wanted, %zu the same", path, bytes, wanted, bad);
    wb_free (data);
    wb_free (path);
}

/* checksums.json, too, from its description. */
static char *expected_sums (const char *const *names, char *const *files, const size_t *sizes, int n) {
    char *out = wb_calloc (1, 16384);
    uint64_t list = 0; /* the sum of the hashes of name, 0, size and hashes of each file */
    for (int i = 0; i < n; i++) {
        char entry[4096];
        size_t used = strlen (names[i]) + 1;
        int64_t bytes = (int64_t) sizes[i];
        memcpy (entry, names[i], used);
        memcpy (entry + used, &bytes, 8);
        used += 8;
        for (size_t at = 0; at < sizes[i]; at += 4 << 20, used += 8) {
            uint64_t hash = wb_hash64 (files[i] + at, sizes[i] - at < 4 << 20 ? sizes[i] - at : 4 << 20);
            memcpy (entry + used, &hash, 8);
        }
        list += wb_hash64 (entry, used);
    }
    size_t used = (size_t) sprintf (
        out, "{\n \"algorithm\": \"xxh64\",\n \"block\": 4194304,\n \"list\": \"%016" PRIx64 "\",\n \"files\": {",
        list);
    for (int i = 0; i < n; i++) {
        used += (size_t) sprintf (out + used, "%s\n  \"%s\": {\n   \"bytes\": %zu,\n   \"blocks\": [", i ? "," : "",
                                  names[i], sizes[i]);
        for (size_t at = 0; at < sizes[i]; at += 4 << 20) {
            size_t bytes = sizes[i] - at < 4 << 20 ? sizes[i] - at : 4 << 20;
            used += (size_t) sprintf (out + used, "%s\n    \"%016" PRIx64 "\"", at ? "," : "",
                                      wb_hash64 (files[i] + at, bytes));
        }
        used += (size_t) sprintf (out + used, "\n   ]\n  }");
    }
    sprintf (out + used, "\n }\n}");
    return out;
}

static bool gone (const char *format, const char *name) {
    struct stat st;
    char *path = wb_format (format, name);
    bool missing = lstat (path, &st) != 0 && errno == ENOENT;
    wb_free (path);
    return missing;
}

/* ---- every layout writes the same, every layout reads it ------------------------------------------------------- */

static void load_and_compare (const char *dir, int layout, int64_t V, int64_t C) {
    model_t m, w;
    wb_ckpt_set_t sets[3];
    hold (&m, layout, V, C);
    hold (&w, layout, V, C);
    sets_of (sets, &m, false);
    const float *got[3] = {m.block, m.first, m.second};
    for (int k = 0; k < 3; k++) {
        T_STATUS (wb_ckpt_load (world, dir, &sets[k], m.whole, m.nwhole), WB_OK);
        fill (w.block, &w, w.whole, w.nwhole, k, false);
        T_OK (memcmp (got[k], w.block, (size_t) m.own * sizeof (float)) == 0, "set %d in layout %d", k, layout);
    }
    /* The pieces of an optimizer's shard, indexed by state. */
    sets_of (sets, &m, true);
    T_STATUS (wb_ckpt_load (world, dir, &sets[2], m.owned, m.nowned), WB_OK);
    fill (w.second, &w, w.owned, w.nowned, 2, true);
    T_OK (memcmp (m.second, w.second, (size_t) m.state * sizeof (float)) == 0, "state in layout %d", layout);
    drop (&m);
    drop (&w);
}

static void test_layouts (int64_t V, int64_t C) {
    static const char *const names[] = {"model.safetensors", "optimizer.safetensors", "config.json", "state.json",
                                        "vocabulary.txt"};
    size_t sizes[5];
    char *files[5];
    files[0] = expected (&sizes[0], 0, 0, V, C);
    files[1] = expected (&sizes[1], 1, 2, V, C);
    files[2] = wb_strdup ("{\"model_type\": \"gpt2\"}\n");
    files[3] = wb_strdup ("{\"step\": 10}\n");
    files[4] = wb_strdup ("和\n文\n");
    for (int i = 2; i < 5; i++) sizes[i] = strlen (files[i]);
    char *sums = expected_sums (names, files, sizes, 5);
    for (int layout = 0; layout < NLAYOUTS; layout++) {
        char *dir = wb_format ("%s-%d", t_tmp ("step"), layout);
        background = layout % 2 == 1;
        T_STATUS (save (dir, layout, V, C), WB_OK);
        background = false;
        for (int i = 0; i < 5; i++) has_bytes (dir, names[i], files[i], sizes[i]);
        has_bytes (dir, "checksums.json", sums, strlen (sums));
        T_OK (gone ("%s.tmp", dir), "temporary directory is gone");
        T_STATUS (wb_ckpt_verify (world, dir), WB_OK);
        for (int other = 0; other < NLAYOUTS; other++) load_and_compare (dir, other, V, C);
        wb_comm_barrier (world);
        T_STATUS (R == 0 ? wb_dir_remove (dir) : WB_OK, WB_OK);
        wb_free (dir);
    }
    for (int i = 0; i < 5; i++) wb_free (files[i]);
    wb_free (sums);
}

/* ---- damage ---------------------------------------------------------------------------------------------------- */

static void poke (const char *dir, const char *name, int64_t at) {
    wb_comm_barrier (world);
    if (R == 0) {
        char *path = wb_format ("%s/%s", dir, name);
        FILE *f = fopen (path, "r+b");
        if (f != NULL) {
            int c = fseek (f, at, SEEK_SET) == 0 ? fgetc (f) : EOF;
            if (c != EOF && fseek (f, at, SEEK_SET) == 0) fputc (c ^ 1, f);
            fclose (f);
        }
        wb_free (path);
    }
    wb_comm_barrier (world);
}

static void cut (const char *dir, const char *name, int64_t bytes) {
    char *path = wb_format ("%s/%s", dir, name);
    wb_comm_barrier (world);
    T_OK (R != 0 || truncate (path, bytes) == 0, "%s", path);
    wb_free (path);
}

static void test_damage (void) {
    enum { V = 20011, C = 96 };
    char *dir = wb_strdup (t_tmp ("damage"));
    T_STATUS (save (dir, 0, V, C), WB_OK);
    /* Both places in their blocks, and the rank that reads them is not always the first. */
    static const struct {
        const char *file;
        int64_t at;
        const char *words;
    } places[] = {
        {"model.safetensors", 4, "model.safetensors: damaged in block 0 (bytes 0 to 4194303)"},
        {"model.safetensors", 4194303, "model.safetensors: damaged in block 0 (bytes 0 to 4194303)"},
        {"model.safetensors", 4194304, "model.safetensors: damaged in block 1 (bytes 4194304 to "},
        {"optimizer.safetensors", 9 << 20, "optimizer.safetensors: damaged in block 2 (bytes 8388608 to "},
        {"state.json", 3, "state.json: damaged in block 0 (bytes 0 to 12)"},
        {"vocabulary.txt", 7, "vocabulary.txt: damaged in block 0 (bytes 0 to 7)"},
        {"checksums.json", 0, "checksums.json:1: damaged"},
        {"checksums.json", 220, "checksums.json"},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        poke (dir, places[i].file, places[i].at);
        wb_status status = wb_ckpt_verify (world, dir);
        if (strcmp (places[i].words, "checksums.json") == 0)
            T_OK (status == WB_EDATA, "damage in a list is found one way or the other");
        wb_error_t e = *wb_error_get ();
        wants (status, WB_EDATA, i < 7 ? places[i].words : "", __LINE__);
        /* The same words on every rank. */
        uint64_t mine = wb_hash64 (e.text, strlen (e.text)), all[64];
        wb_comm_all_gather (world, all, &mine, sizeof mine);
        for (int r = 0; r < P; r++) T_OK (all[r] == mine, "rank %d has another message", r);
        poke (dir, places[i].file, places[i].at);
        T_STATUS (wb_ckpt_verify (world, dir), WB_OK);
    }
    /* The earliest of two. */
    poke (dir, "optimizer.safetensors", 6000000);
    poke (dir, "model.safetensors", 5000000);
    WANTS (wb_ckpt_verify (world, dir), WB_EDATA, "model.safetensors: damaged in block 1");

    model_t m;
    wb_ckpt_set_t sets[3];
    hold (&m, 0, V, C);
    sets_of (sets, &m, false);
    cut (dir, "model.safetensors", 5000000);
    WANTS (wb_ckpt_verify (world, dir), WB_EDATA, "model.safetensors: damaged: 5000000 bytes long, should be ");
    WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EDATA, "cut off");
    cut (dir, "model.safetensors", 5);
    WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EDATA, "not a safetensors file");
    char *path = wb_format ("%s/model.safetensors", dir);
    wb_comm_barrier (world);
    T_OK (R != 0 || unlink (path) == 0, "removed");
    wb_free (path);
    WANTS (wb_ckpt_verify (world, dir), WB_EDATA, "model.safetensors: missing");
    WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EIO, "no such file");
    path = wb_format ("%s/pytorch_model.bin", dir);
    T_STATUS (R == 0 ? wb_file_write (path, "x", 1) : WB_OK, WB_OK);
    wb_free (path);
    WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EIO, "only pytorch_model.bin");
    T_STATUS (wb_ckpt_load (world, dir, &sets[1], m.whole, m.nwhole), WB_OK); /* the optimizer's file is still there */
    drop (&m);
    path = wb_format ("%s/checksums.json", dir);
    wb_comm_barrier (world);
    T_OK (R != 0 || unlink (path) == 0, "removed");
    T_STATUS (wb_ckpt_verify (world, dir), WB_OK); /* somebody else's model */
    wb_free (path);
    WANTS (wb_ckpt_verify (world, t_tmp ("nowhere")), WB_EIO, "no such directory");
    wb_comm_barrier (world);
    T_STATUS (R == 0 ? wb_dir_remove (dir) : WB_OK, WB_OK);
    wb_free (dir);
}

/* Another model than the configuration says: a rank that holds nothing of the tensor reports it all the same. */
static void test_wrong_model (void) {
    char *dir = wb_strdup (t_tmp ("wrong"));
    model_t m;
    wb_ckpt_set_t sets[3];
    T_STATUS (save (dir, 1, 11, 6), WB_OK);
    for (int layout = 0; layout < NLAYOUTS; layout++) {
        hold (&m, layout, 12, 6);
        sets_of (sets, &m, false);
        WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EDATA,
               "tensor 'wte.weight' is [11, 6] there, but [12, 6] is wanted");
        T_OK (m.own == 0 || m.block[0] == 0.0f, "nothing is overwritten");
        drop (&m);
        hold (&m, layout, 11, 6);
        sets_of (sets, &m, false);
        strcpy (m.p[7].name, "h.1.ln_1.weight");
        WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EDATA,
               "no tensor 'h.1.ln_1.weight' [6] among its 8");
        strcpy (m.p[7].name, "ln_f.weight");
        sets[0].prefix = "sum.";
        WANTS (wb_ckpt_load (world, dir, &sets[0], m.whole, m.nwhole), WB_EDATA, "no tensor 'sum.");
        drop (&m);
    }
    wb_comm_barrier (world);
    T_STATUS (R == 0 ? wb_dir_remove (dir) : WB_OK, WB_OK);
    wb_free (dir);
}

/* ---- replacing, and not -------------------------------------------------------------------------------------- */

static void make (const char *format, const char *dir, const char *file) {
    char *at = wb_format (format, dir), *path = wb_format ("%s/%s", at, file);
    wb_comm_barrier (world);
    T_STATUS (R == 0 ? wb_dir_make (at) : WB_OK, WB_OK);
    T_STATUS (R == 0 ? wb_file_write (path, "x", 1) : WB_OK, WB_OK);
    wb_free (path);
    wb_free (at);
}

static void test_replace (void) {
    char *dir = wb_format ("%s/deeper/step-00000010", t_tmp ("replace"));
    make ("%s.tmp", dir, "rubbish"); /* a save that was killed */
    T_STATUS (save_text (dir, 0, 11, 6, "one"), WB_OK);
    has_bytes (dir, "state.json", "one", 3);
    T_OK (gone ("%s/rubbish", dir) && gone ("%s.tmp", dir), "clean");
    make ("%s", dir, "extra");
    char *slash = wb_format ("%s/", dir);
    T_STATUS (save_text (slash, 1, 11, 6, "two"), WB_OK);
    wb_free (slash);
    has_bytes (dir, "state.json", "two", 3);
    T_OK (gone ("%s/extra", dir) && gone ("%s.tmp", dir) && gone ("%s.old", dir), "replaced as a whole");

    /* A failure on rank 0 only (a file to copy is not there), on any rank count: nothing changes. */
    char *vocabulary = wb_strdup (t_tmp ("vocabulary.txt")), *away = wb_strdup (t_tmp ("away"));
    wb_comm_barrier (world);
    T_OK (R != 0 || rename (vocabulary, away) == 0, "renamed");
    WANTS (save_text (dir, 2, 11, 6, "three"), WB_EIO, "vocabulary.txt: ");
    T_OK (strstr (wb_error_get ()->text, "untouched") == NULL, "no promise of a checkpoint: there may be none");
    has_bytes (dir, "state.json", "two", 3);
    T_OK (gone ("%s.tmp", dir), "temporary directory is gone");
    T_STATUS (wb_ckpt_verify (world, dir), WB_OK);
    wb_comm_barrier (world);
    T_OK (R != 0 || rename (away, vocabulary) == 0, "renamed");
    wb_free (vocabulary);
    wb_free (away);

    char *mine = wb_strdup (t_tmp ("mine"));
    make ("%s", mine, "thesis.txt");
    WANTS (save (mine, 0, 11, 6), WB_EUSAGE, "is not a checkpoint of wabun");
    has_bytes (mine, "thesis.txt", "x", 1);
    char *file = wb_format ("%s/thesis.txt", mine);
    WANTS (save (file, 0, 11, 6), WB_EUSAGE, "is not a checkpoint of wabun");
    char *under = wb_format ("%s/thesis.txt/step", mine);
    WANTS (save (under, 0, 11, 6), WB_EIO, "Not a directory");
    wb_free (under);
    wb_free (file);
    wb_free (mine);

    /* Cut off between the two renames of a replacement: the old one comes back, then goes for the new one. */
    char *old = wb_format ("%s.old", dir);
    wb_comm_barrier (world);
    T_OK (R != 0 || rename (dir, old) == 0, "renamed");
    T_STATUS (save_text (dir, 3, 11, 6, "four"), WB_OK);
    has_bytes (dir, "state.json", "four", 4);
    T_OK (gone ("%s.old", dir) && gone ("%s.tmp", dir), "clean");
    wb_free (old);
    wb_free (dir);
}

/* ---- a disk that is too small -------------------------------------------------------------------------------- */

/* DIR has room for the small model, not for the large one. */
static void test_full (const char *where) {
    char *dir = wb_format ("%s/step-00000010", where), *other = wb_format ("%s/step-00000020", where);
    T_STATUS (save_text (dir, 0, 11, 6, "small"), WB_OK);
    for (int layout = 0; layout < NLAYOUTS; layout++) {
        background = layout % 2 == 0;
        WANTS (save_text (dir, layout, 20011, 96, "large"), WB_EIO, "No space left on device; free some space");
        WANTS (save_text (other, layout, 20011, 96, "large"), WB_EIO, "step-00000020.tmp/model.safetensors: ");
        T_OK (gone ("%s.tmp", dir) && gone ("%s.tmp", other) && gone ("%s", other), "no rubbish");
        has_bytes (dir, "state.json", "small", 5);
        T_STATUS (wb_ckpt_verify (world, dir), WB_OK);
    }
    /* The tensors fit, a small file does not. */
    char *text = wb_calloc (1, 2 << 20);
    memset (text, 'x', (2 << 20) - 1);
    WANTS (save_text (dir, 1, 11, 6, text), WB_EIO,
           "state.json: cannot write: No space left on device; free some space");
    wb_free (text);
    has_bytes (dir, "state.json", "small", 5);
    T_OK (gone ("%s.tmp", dir), "no rubbish");
    T_STATUS (save_text (dir, 1, 11, 6, "again"), WB_OK);
    has_bytes (dir, "state.json", "again", 5);
    wb_free (dir);
    wb_free (other);
}

int main (int argc, char **argv) {
    world = T_BEGIN ();
    P = wb_comm_size (world);
    R = wb_comm_rank (world);
    T_STATUS (R == 0 ? wb_file_write (t_tmp ("vocabulary.txt"), "和\n文\n", 8) : WB_OK, WB_OK);
    if (argc == 3 && strcmp (argv[1], "--full") == 0)
        test_full (argv[2]);
    else {
        test_layouts (11, 6);
        test_layouts (20011, 96);
        test_damage ();
        test_wrong_model ();
        test_replace ();
    }
    return T_END ();
}
