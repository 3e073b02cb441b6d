/* timeout: 300 - formats: a model goes out and comes back; thousands of damaged headers: an error of data, or a model.
 */
#include "config.h"

#include <string.h>

#include "convert/pickle.h"
#include "convert/tf.h"
#include "t.h"
#include "torch_file.h"
#include "wabun/dataset.h"

/* ---- a model in memory ------------------------------------------------------------------------------------------- */

static float value (const wb_param_t *p, int64_t i) {
    float x;
    wb_rng_fill_normal (&x, 1, 0.3, 5, wb_rng_stream (p->name), i);
    return x;
}

static wb_status read_value (wb_weights_t *w, float *out, const wb_param_t *p) {
    (void) w;
    for (int64_t i = 0; i < p->rows * p->cols; i++) out[i] = value (p, i);
    return WB_OK;
}

static void close_nothing (wb_weights_t *w) { (void) w; }

static wb_weights_t *make_model (void) {
    const wb_size_t size = {1, 32, 2, 8, 257};
    wb_weights_t *w = wb_calloc (1, sizeof *w);
    w->read = read_value;
    w->close = close_nothing;
    T_STATUS (wb_weights_init (w, &size), WB_OK);
    T_STATUS (wb_tokenizer_new (&w->tokenizer, "byte"), WB_OK);
    return w;
}

/* How far the values of a file are from the model's, in units of the tensor's largest. */
static double distance (wb_weights_t *w) {
    double worst = 0;
    for (int i = 0; i < w->params->n; i++) {
        const wb_param_t *p = &w->params->list[i];
        const int64_t n = p->rows * p->cols;
        float *x = wb_malloc ((size_t) n * sizeof *x), most = 0;
        T_STATUS (w->read (w, x, p), WB_OK);
        for (int64_t k = 0; k < n; k++) most = fmaxf (most, fabsf (value (p, k)));
        for (int64_t k = 0; k < n; k++)
            worst = fmax (worst, fabs ((double) x[k] - (double) value (p, k)) / (double) most);
        wb_free (x);
    }
    return worst;
}

static void there_and_back (const wb_format_t *f, const char *path, wb_number type, double most) {
    wb_weights_t *w = make_model (), *back = NULL;
    const wb_export_t x = {.from = "memory", .to = f->name, .out = path, .type = type, .shard = INT64_MAX};
    T_STATUS (f->write (&x, w), WB_OK);
    T_STATUS (f->open (&back, path), WB_OK);
    if (T_OK (back != NULL && back->size.V == 257 && back->size.L == 1, "%s: sizes", f->name)) {
        const double far = distance (back);
        T_OK (far <= most, "%s %s: %g away, at most %g", f->name, wb_number_names[type], far, most);
        T_OK (most == 0.0 || far > 0.0, "%s %s: rounded", f->name, wb_number_names[type]);
    }
    wb_weights_close (back);
    wb_weights_close (w);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

/* Look at and open what a file holds now: done, or an error of data with a message. */
static bool survives (const wb_format_t *f, const char *path) {
    json_t *facts = json_object ();
    wb_weights_t *w = NULL;
    const wb_status looked = f->inspect (facts, path);
    bool good = looked == WB_OK || (looked == WB_EDATA && wb_error_get ()->text[0] != 0);
    wb_error_clear ();
    const wb_status opened = f->open != NULL ? f->open (&w, path) : WB_OK;
    good = good && (opened == WB_OK || (opened == WB_EDATA && w == NULL && wb_error_get ()->text[0] != 0));
    wb_error_clear ();
    wb_weights_close (w);
    json_decref (facts);
    return good;
}

static void damage (const wb_format_t *f, const char *path, size_t header, int rounds) {
    static const uint64_t odd[] = {0, 1, 0x7f, 0xff, 0xffff, 0xffffffff, 1ull << 60, INT64_MAX, UINT64_MAX, 1ull << 32};
    const char *bad = f == &wb_format_tf ? t_tmp ("damaged.index") : t_tmp ("damaged");
    char *data, *copy;
    size_t n;
    T_STATUS (wb_file_read (&data, &n, path), WB_OK);
    copy = wb_malloc (n);
    const size_t before = wb_mem_now ();
    int died = 0;
    for (int round = 0; round < rounds; round++) {
        const uint64_t r = wb_rng_u64 (3, 7, (uint64_t) round);
        size_t at = (size_t) (r >> 8) % header, bytes = n;
        memcpy (copy, data, n);
        if (r % 4 == 0)
            bytes = at; /* cut off */
        else if (r % 4 == 1 && at + 8 <= n)
            memcpy (copy + at, &odd[(r >> 40) % (sizeof odd / sizeof *odd)], 8);
        else
            copy[at] = (char) (r >> 48);
        FILE *out = fopen (bad, "wb");
        T_OK (out != NULL && fwrite (copy, 1, bytes, out) == bytes, "written");
        if (out != NULL) fclose (out);
        died += !survives (f, bad);
    }
    T_OK (died == 0, "%s: %d of %d damaged files", f->name, died, rounds);
    T_OK (wb_mem_now () == before, "%s: memory is given back", f->name);
    wb_free (copy);
    wb_free (data);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static wb_status sum_ids (void *ctx, const int32_t *ids, int64_t n, bool end) {
    int64_t *sum = ctx;
    (void) end;
    for (int64_t i = 0; i < n; i++) sum[0] += ids[i], sum[1] += ids[i] < 0;
    return WB_OK;
}

/* Ten documents go out; the file is damaged. */
static void damage_tokens (const wb_format_t *f, const char *path) {
    wb_tokens_writer_t *w;
    wb_tokens_t *t;
    char *data;
    size_t n;
    T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tokens"), 300), WB_OK);
    for (int i = 0; i < 10; i++) T_STATUS (wb_tokens_writer_put (w, (int32_t[]){i, 299, 7 * i, 256}, 4), WB_OK);
    T_STATUS (wb_tokens_writer_end (w, NULL, NULL), WB_OK);
    T_STATUS (wb_tokens_open (&t, t_tmp ("tokens")), WB_OK);
    const wb_export_t x = {.from = "tokens", .to = f->name, .out = path};
    T_STATUS (f->write_ids (&x, t, 256), WB_OK);
    wb_tokens_close (t);
    T_STATUS (wb_file_read (&data, &n, path), WB_OK);
    const char *bad = t_tmp ("damaged");
    int died = 0;
    for (int round = 0; round < 1000; round++) {
        const uint64_t r = wb_rng_u64 (9, 2, (uint64_t) round);
        const size_t at = (size_t) (r >> 8) % n;
        const char was = data[at];
        int64_t sum[2] = {0, 0};
        json_t *facts = json_object ();
        data[at] = (char) r;
        T_STATUS (wb_file_write (bad, data, r % 4 == 0 ? at : n), WB_OK);
        data[at] = was;
        wb_status status = f->read_ids (bad, sum_ids, sum);
        died += sum[1] > 0 || (status != WB_OK && (status != WB_EDATA || wb_error_get ()->text[0] == 0));
        wb_error_clear ();
        status = f->inspect (facts, bad);
        died += status != WB_OK && (status != WB_EDATA || wb_error_get ()->text[0] == 0);
        wb_error_clear ();
        json_decref (facts);
    }
    T_OK (died == 0, "%s tokens: %d of 1000 damaged files", f->name, died);
    wb_free (data);
}

/* ---- tables of TensorFlow ---------------------------------------------------------------------------------------- */

static wb_status collect (void *ctx, const char *key, size_t nkey, const unsigned char *value, size_t n) {
    (void) nkey;
    T_STATUS (wb_buf_put (ctx, key, strlen (key)), WB_OK);
    return wb_buf_put (ctx, value, n);
}

static void put_u32 (wb_buf_t *b, uint32_t x) {
    T_STATUS (wb_buf_put (b, (char[]){(char) x, (char) (x >> 8), (char) (x >> 16), (char) (x >> 24)}, 4), WB_OK);
}

static void put_block (wb_buf_t *b, const char *data, size_t n, char kind) {
    T_STATUS (wb_buf_put (b, data, n), WB_OK);
    T_STATUS (wb_buf_put (b, &kind, 1), WB_OK);
    put_u32 (b, wb_crc32c_mask (wb_crc32c (0, b->data + b->len - n - 1, n + 1)));
}

/* A table of one block in a file, given as it lies there; what is in it, or how it ended. */
static wb_status read_table (wb_buf_t *out, const char *data, size_t n, char kind) {
    static const char magic[8] = {0x57, (char) 0xfb, (char) 0x80, (char) 0x8b, 0x24, 0x75, 0x47, (char) 0xdb};
    wb_buf_t b = {0};
    T_OK (n < 100, "one byte a number");
    const char index[] = {0, 1, 2, 'z', 0, (char) n, 0, 0, 0, 0, 1, 0, 0, 0};
    char handles[40] = {0, 0, (char) (n + 5), sizeof index};
    put_block (&b, data, n, kind);
    put_block (&b, index, sizeof index, 0);
    T_STATUS (wb_buf_put (&b, handles, sizeof handles), WB_OK);
    T_STATUS (wb_buf_put (&b, magic, sizeof magic), WB_OK);
    T_STATUS (wb_file_write (t_tmp ("table"), b.data, b.len), WB_OK);
    wb_buf_fini (&b);
    wb_buf_clear (out);
    return wb_sstable_read (t_tmp ("table"), collect, out);
}

static void tables (void) {
    wb_buf_t out = {0};
    static const char plain[] = "\0\3\2abcAB\2\1\1xC\0\0\0\0\1\0\0";
    T_OK (wb_crc32c (0, "123456789", 9) == 0xe3069283u, "CRC32C of the usual digits");
    T_OK (wb_crc32c (wb_crc32c (0, "1234", 4), "56789", 5) == 0xe3069283u, "in two parts");
    T_STATUS (read_table (&out, plain, sizeof plain, 0), WB_OK);
    T_OK (out.len == 9 && memcmp (out.data, "abcABabxC", 9) == 0, "a table: %.*s", (int) out.len, out.data);
    /* 34 bytes by snappy: a literal, two kinds of copies that repeat one byte of it, a literal. */
    static const char packed[] = "\x22\x14\0\3\x14"
                                 "abc\x15\1\x2a\1\0\x1c\0\0\0\0\1\0\0\0";
    T_STATUS (read_table (&out, packed, sizeof packed - 1, 1), WB_OK);
    T_OK (out.len == 23 && memcmp (out.data, "abccccccccccccccccccccc", 23) == 0, "snappy: %zu, %.*s", out.len,
          (int) out.len, out.data);
    static const char *const bad[] = {"\x1e\x14"
                                      "abc",
                                      "\4\1\4",
                                      "\4\x0c"
                                      "abc",
                                      "\1\x0c"
                                      "abcd",
                                      "\xff\xff\xff\xff\x0f"
                                      "a",
                                      "\4\xf0",
                                      "\4\xfc\xff\xff\xff\xff",
                                      "\4\3\1\0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        T_STATUS (read_table (&out, bad[i], strlen (bad[i]), 1), WB_EDATA);
        wb_error_clear ();
    }
    wb_buf_fini (&out);
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

static void put_torch (const char *path, wb_weights_t *w, const char *before) {
    torch_zip_t z = {0};
    wb_buf_t pickle = {0};
    torch_pickle (&pickle, w->params, before);
    torch_entry (&z, "archive/data.pkl", pickle.data, pickle.len);
    for (int i = 0; i < w->params->n; i++) {
        const wb_param_t *p = &w->params->list[i];
        const int64_t n = p->rows * p->cols;
        const bool turned = p->ndim == 2 && i % 2 == 1;
        float *x = wb_malloc ((size_t) n * sizeof *x);
        char name[32];
        for (int64_t k = 0; k < n; k++) x[turned ? k % p->cols * p->rows + k / p->cols : k] = value (p, k);
        snprintf (name, sizeof name, "archive/data/%d", i);
        torch_entry (&z, name, x, (size_t) n * sizeof *x);
        wb_free (x);
    }
    torch_end (&z);
    T_STATUS (wb_file_write (path, z.file.data, z.file.len), WB_OK);
    wb_buf_fini (&z.file);
    wb_buf_fini (&pickle);
}

static void from_torch (const char *before) {
    wb_weights_t *w = make_model (), *back = NULL;
    const char *path = t_tmp ("torch.bin");
    put_torch (path, w, before);
    T_STATUS (wb_format_torch.open (&back, path), WB_OK);
    if (back != NULL) T_OK (distance (back) == 0.0, "torch %s", before);
    wb_weights_close (back);
    wb_weights_close (w);
}

/* Pickles that no state dict has: each an error of data with its message, and nothing happens. */
static void bad_pickles (void) {
    static const struct {
        const char *text, *message;
        size_t n;
    } bad[] = {
        {"\x80\x02"
         "cos\nsystem\nX\4\0\0\0"
         "true\x85R.",
         "asks for 'os.system'", 26},
        {"\x80\x02"
         "cbuiltins\neval\n)R.",
         "asks for 'builtins.eval'", 20},
        {"\x80\x02"
         "ctorch\nload\n)R.",
         "asks for 'torch.load'", 16},
        {"\x80\x02"
         "i",
         "instruction 0x69", 3},
        {"\x80\x02"
         "(c",
         "a name without an end", 4},
        {"\x80\x02"
         "o.",
         "instruction 0x6f", 4},
        {"\x80\x04"
         "}.",
         "not of protocol 2", 4},
        {"\x80\x02"
         "X\xff\xff\xff\x7f",
         "cut off", 7},
        {"\x80\x02"
         "j\xff\xff\xff\xff",
         "memo", 7},
        {"\x80\x02"
         "Nr\xff\xff\xff\xff",
         "memo", 8},
        {"\x80\x02"
         "tttt",
         "a mark is missing", 6},
        {"\x80\x02"
         "\x87",
         "an empty stack", 3},
        {"\x80\x02"
         "}NNN(uu",
         "what is no dict", 9},
        {"\x80\x02"
         "N(NNu",
         "what is no dict", 7},
        {"\x80\x02"
         "(NNNNNtQ",
         "a storage of an unknown form", 10},
        {"\x80\x02"
         "NNR",
         "what is no function", 5},
        {"\x80\x02"
         "ctorch\nFloatStorage\n)R",
         "a call with other arguments", 24},
        {"\x80\x02"
         "K\1.",
         "holds no state dict", 5},
        {"\x80\x02"
         "}}.",
         "ends too early", 5},
        {"\x80\x02"
         "\x8a\x09",
         "more than 64 bits", 4},
        {"", "cut off", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wb_pickle_t p = {0};
        const wb_status status = wb_pickle_read (&p, "x.bin", bad[i].text, bad[i].n);
        T_OK (status == WB_EDATA && strstr (wb_error_get ()->text, bad[i].message) != NULL, "pickle %zu: %d, %s", i,
              (int) status, wb_error_get ()->text);
        wb_error_clear ();
        wb_pickle_fini (&p);
    }
}

/* A byte of a good one is another, or it is cut off. */
static void many_pickles (void) {
    wb_weights_t *w = make_model ();
    wb_buf_t good = {0};
    int wrong = 0;
    torch_pickle (&good, w->params, "");
    for (int round = 0; round < 20000; round++) {
        const uint64_t r = wb_rng_u64 (5, 1, (uint64_t) round);
        wb_pickle_t p = {0};
        const size_t at = (size_t) (r >> 8) % 700, n = r % 8 == 0 ? at : good.len;
        const char was = good.data[at];
        good.data[at] = (char) r;
        const wb_status status = wb_pickle_read (&p, "x.bin", good.data, n);
        wrong += status != WB_OK && (status != WB_EDATA || wb_error_get ()->text[0] == 0);
        wb_error_clear ();
        wb_pickle_fini (&p);
        good.data[at] = was;
    }
    T_OK (wrong == 0, "%d pickles without a word", wrong);
    wb_buf_fini (&good);
    wb_weights_close (w);
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, false);
    there_and_back (&wb_format_gguf, t_tmp ("f32.gguf"), WB_NUMBER_F32, 0.0);
    there_and_back (&wb_format_gguf, t_tmp ("f16.gguf"), WB_NUMBER_F16, 0x1p-11);
    there_and_back (&wb_format_gguf, t_tmp ("bf16.gguf"), WB_NUMBER_BF16, 0x1p-8);
    there_and_back (&wb_format_gguf, t_tmp ("q8.gguf"), WB_NUMBER_Q8_0, 0.505 / 127);
    there_and_back (&wb_format_llmc, t_tmp ("llmc.bin"), WB_NUMBER_F32, 0.0);
    there_and_back (&wb_format_llmc, t_tmp ("llmc16.bin"), WB_NUMBER_BF16, 0x1p-8);
    there_and_back (&wb_format_tf, t_tmp ("tf"), WB_NUMBER_F32, 0.0);
    there_and_back (&wb_format_hf, t_tmp ("hf"), WB_NUMBER_F32, 0.0);
    damage (&wb_format_gguf, t_tmp ("q8.gguf"), 6000, 1500);
    char *config = wb_model_config_text (&(wb_size_t){1, 32, 2, 8, 257}, 256);
    T_STATUS (wb_file_write (t_tmp ("config.json"), config, strlen (config)), WB_OK);
    wb_free (config);
    static const char sizes[] = "{\"n_vocab\": 257, \"n_ctx\": 8, \"n_embd\": 32, \"n_head\": 2, \"n_layer\": 1}";
    T_STATUS (wb_file_write (t_tmp ("hparams.json"), sizes, sizeof sizes - 1), WB_OK);
    from_torch ("");
    from_torch ("module.transformer.");
    bad_pickles ();
    many_pickles ();
    damage (&wb_format_torch, t_tmp ("torch.bin"), 3000, 500);
    damage (&wb_format_llmc, t_tmp ("llmc16.bin"), 40, 300);
    tables ();
    damage_tokens (&wb_format_npz, t_tmp ("npz"));
    damage_tokens (&wb_format_llmc_tokens, t_tmp ("llmc.tokens"));
    damage (&wb_format_tf, t_tmp ("tf/model-0.index"), 400, 500);
    damage (&wb_format_safetensors, t_tmp ("hf/model.safetensors"), 1500, 500);
    return T_DONE ();
}
