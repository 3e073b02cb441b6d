/* Files of other programs: pytorch_model.bin as it is, and the pickle in one alone, whose checksum is right whatever it
 * is. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "convert/pickle.h"
#include "convert/proto.h"
#include "convert/tf.h"
#include "fuzz.h"
#include "models.h"
#include "torch_file.h"
#include "wabun/dataset.h"

static const wb_size_t size = {1, 2, 1, 2, 3};
static wb_params_t *params;

static void init (void) {
    wb_layout_t layout;
    FUZZ_MUST (wb_layout_init (&layout, 1, 1, 1, 1, size.L, size.H, 0, 0));
    wb_layout_place (&layout, 0);
    FUZZ_MUST (wb_params_new (&params, &size, &layout));
    char *text = wb_model_config_text (&size, 0);
    fuzz_write ("config.json", text, strlen (text));
    wb_free (text);
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

/* A file of this pickle and a storage of zeros for each parameter. */
static void put_torch (wb_buf_t *out, const void *pickle, size_t n) {
    torch_zip_t z = {0};
    static const char zeros[256];
    char name[32];
    torch_entry (&z, "archive/data.pkl", pickle, n);
    for (int i = 0; i < params->n; i++) {
        snprintf (name, sizeof name, "archive/data/%d", i);
        torch_entry (&z, name, zeros, (size_t) (params->list[i].rows * params->list[i].cols) * sizeof (float));
    }
    torch_end (&z);
    *out = z.file;
}

static void run_torch (const uint8_t *data, size_t n) {
    fuzz_write ("m.bin", data, n);
    fuzz_use_model ("m.bin");
}

static void run_pickle (const uint8_t *data, size_t n) {
    wb_pickle_t p = {0};
    wb_buf_t file = {0};
    if (fuzz_ok (wb_pickle_read (&p, "pickle", (const char *) data, n))) {
        for (int64_t i = 0; i < p.n; i++)
            FUZZ_CHECK (p.list[i].last < p.list[i].numbers && p.list[i].ndim <= 8, "tensor %lld", (long long) i);
        put_torch (&file, data, n);
        run_torch ((const uint8_t *) file.data, file.len);
    }
    wb_buf_fini (&file);
    wb_pickle_fini (&p);
}

static void seeds_pickle (void) {
    wb_buf_t b = {0};
    torch_pickle (&b, params, "transformer.");
    fuzz_seed ("state", b.data, b.len);
    wb_buf_fini (&b);
}

static void seeds_torch (void) {
    wb_buf_t b = {0}, file = {0};
    torch_pickle (&b, params, "");
    put_torch (&file, b.data, b.len);
    fuzz_seed ("model", file.data, file.len);
    wb_buf_fini (&file);
    wb_buf_fini (&b);
}

/* ---- llm.c, and tokens of other programs ------------------------------------------------------------------------ */

static wb_status check_ids (void *ctx, const int32_t *ids, int64_t n, bool end) {
    (void) ctx, (void) end;
    for (int64_t i = 0; i < n; i++) FUZZ_CHECK (ids[i] >= 0, "id %d", (int) ids[i]);
    return WB_OK;
}

/* Whatever it is: a model, or tokens, which become a token file. */
static void use_file (const char *path) {
    wb_look_t look;
    const wb_format_t *f;
    wb_tokens_t *t;
    FUZZ_MUST (wb_look (&look, path));
    if (!fuzz_ok (wb_format_of (&f, &look))) return;
    fuzz_use_model (path);
    if (f->read_ids == NULL || !fuzz_ok (f->read_ids (path, check_ids, NULL))) return;
    unlink ("tokens.idx");
    if (!fuzz_ok (wb_tokens_import (f, path, "tokens", NULL))) return;
    FUZZ_MUST (wb_tokens_open (&t, "tokens"));
    wb_tokens_close (t);
}

static void run_llmc (const uint8_t *data, size_t n) {
    fuzz_write ("m", data, n);
    use_file ("m");
}

static void seed_file (const char *name, const char *path) {
    size_t n;
    char *data = fuzz_read (&n, path);
    fuzz_seed (name, data, n);
    wb_free (data);
    unlink (path);
}

/* Four documents in another format. */
static void seed_tokens (const char *name, const char *format) {
    wb_tokens_writer_t *w;
    FUZZ_MUST (wb_tokens_writer_new (&w, "few", 300));
    for (int i = 0; i < 4; i++) FUZZ_MUST (wb_tokens_writer_put (w, (int32_t[]){i, 299, 256}, 3));
    FUZZ_MUST (wb_tokens_writer_end (w, NULL, NULL));
    const wb_export_t x = {.from = "few", .to = format, .out = "out"};
    FUZZ_MUST (wb_convert_export (&x));
    seed_file (name, "out");
}

/* The model of pytorch_model.bin in another format. */
static void seed_model (const char *name, const char *format, wb_number type) {
    wb_buf_t b = {0}, file = {0};
    torch_pickle (&b, params, "");
    put_torch (&file, b.data, b.len);
    fuzz_write ("m.bin", file.data, file.len);
    const wb_export_t x = {.from = "m.bin", .to = format, .out = "out", .type = type, .shard = INT64_MAX};
    FUZZ_MUST (wb_convert_export (&x));
    seed_file (name, "out");
    wb_buf_fini (&file);
    wb_buf_fini (&b);
}

static void seeds_llmc (void) {
    seed_model ("f32", "llmc", WB_NUMBER_F32);
    seed_model ("bf16", "llmc", WB_NUMBER_BF16);
    seed_tokens ("tokens", "llmc");
}

static void run_npz (const uint8_t *data, size_t n) {
    fuzz_write ("m.npz", data, n);
    use_file ("m.npz");
}

static void seeds_npz (void) { seed_tokens ("tokens", "npz"); }

/* ---- TensorFlow -------------------------------------------------------------------------------------------------- */

static void put_block (wb_buf_t *b, const void *data, size_t n, char kind) {
    torch_put (b, data, n);
    torch_put (b, &kind, 1);
    torch_number (b, wb_crc32c_mask (wb_crc32c (0, b->data + b->len - n - 1, n + 1)), 4);
}

/* The input is one block: its kind, then its bytes; with checksums, and what leads to it. */
static void run_table (const uint8_t *data, size_t n) {
    static const char magic[8] = {0x57, (char) 0xfb, (char) 0x80, (char) 0x8b, 0x24, 0x75, 0x47, (char) 0xdb};
    wb_buf_t b = {0}, index = {0}, end = {0};
    if (n < 1) return;
    put_block (&b, data + 1, n - 1, (char) (data[0] & 1));
    const size_t second = b.len;
    torch_put (&end, "\0", 1);
    FUZZ_MUST (wb_put_varint (&end, n - 1));
    torch_put (&index, "\0\1", 2);
    FUZZ_MUST (wb_put_varint (&index, end.len));
    torch_text (&index, "z");
    torch_put (&index, end.data, end.len);
    torch_put (&index, "\0\0\0\0\1\0\0\0", 8);
    put_block (&b, index.data, index.len, 0);
    wb_buf_clear (&end);
    torch_number (&end, 0, 2);
    FUZZ_MUST (wb_put_varint (&end, second));
    FUZZ_MUST (wb_put_varint (&end, index.len));
    torch_number (&end, 0, 40 - (int) end.len);
    torch_put (&b, end.data, 40);
    torch_put (&b, magic, 8);
    fuzz_write ("t.index", b.data, b.len);
    fuzz_use_model ("t.index");
    wb_buf_fini (&end);
    wb_buf_fini (&index);
    wb_buf_fini (&b);
}

static void run_tf (const uint8_t *data, size_t n) {
    fuzz_write ("t.index", data, n);
    fuzz_use_model ("t.index");
}

static void init_tf (void) {
    static const char zeros[512];
    static const char sizes[] = "{\"n_vocab\": 3, \"n_ctx\": 2, \"n_embd\": 2, \"n_head\": 1, \"n_layer\": 1}";
    init ();
    fuzz_write ("hparams.json", sizes, strlen (sizes));
    fuzz_write ("t.data-00000-of-00001", zeros, sizeof zeros);
}

static void seeds_of_tf (bool block) {
    size_t n;
    wb_buf_t b = {0}, file = {0};
    torch_pickle (&b, params, "");
    put_torch (&file, b.data, b.len);
    fuzz_write ("m.bin", file.data, file.len);
    const wb_export_t x = {.from = "m.bin", .to = "tf", .out = "tf", .shard = INT64_MAX};
    FUZZ_MUST (wb_dir_remove ("tf"));
    FUZZ_MUST (wb_convert_export (&x));
    char *data = fuzz_read (&n, "tf/model-0.index");
    wb_buf_clear (&b);
    torch_number (&b, 0, 1);
    torch_put (&b, data, n - 48 - 13 - 5 - 19); /* up to the trailer of the first block, more or less */
    fuzz_seed ("model", block ? b.data : data, block ? b.len : n);
    wb_free (data);
    wb_buf_fini (&file);
    wb_buf_fini (&b);
}

static void seeds_tf (void) { seeds_of_tf (false); }
static void seeds_table (void) {
    static const char snappy[] = "\1\x22\x14\0\3\x14"
                                 "abc\x15\1\x2a\1\0\x1c\0\0\0\0\1\0\0\0";
    seeds_of_tf (true);
    fuzz_seed ("snappy", snappy, sizeof snappy - 1);
}

const fuzz_harness_t fuzz_npz = {"npz", init, run_npz, seeds_npz};
const fuzz_harness_t fuzz_tf = {"tf", init_tf, run_tf, seeds_tf};
const fuzz_harness_t fuzz_table = {"table", init_tf, run_table, seeds_table};
const fuzz_harness_t fuzz_llmc = {"llmc", init, run_llmc, seeds_llmc};
const fuzz_harness_t fuzz_torch = {"torch", init, run_torch, seeds_torch};
const fuzz_harness_t fuzz_pickle = {"pickle", init, run_pickle, seeds_pickle};
