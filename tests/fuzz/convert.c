/* Models of other programs: a GGUF file; a directory of Hugging Face, config.json, model.safetensors and state.json in
 * one input.  What inspect tells is gathered, and all weights are read. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "convert/convert_priv.h"
#include "fuzz.h"
#include "models.h"

static void read_all (const wb_format_t *f, const char *path) {
    enum { MOST = 1 << 20 };
    wb_weights_t *w;
    if (f->open == NULL || !fuzz_ok (f->open (&w, path))) return;
    FUZZ_MUST (wb_size_check (&w->size));
    for (int i = 0; i < w->params->n && i < 100; i++) {
        const wb_param_t *p = &w->params->list[i];
        if (p->rows * p->cols > MOST) continue;
        float *out = wb_malloc ((size_t) (p->rows * p->cols) * sizeof *out);
        (void) fuzz_ok (w->read (w, out, p));
        wb_free (out);
    }
    wb_weights_close (w);
}

void fuzz_use_model (const char *path) {
    wb_look_t look;
    const wb_format_t *f;
    FUZZ_MUST (wb_look (&look, path));
    if (!fuzz_ok (wb_format_of (&f, &look))) return;
    json_t *facts = json_object ();
    (void) fuzz_ok (f->inspect (facts, path));
    json_decref (facts);
    read_all (f, path);
}

static void run_gguf (const uint8_t *data, size_t n) {
    fuzz_write ("m.gguf", data, n);
    fuzz_use_model ("m.gguf");
}

static const char *const files[] = {"hf/config.json", "hf/model.safetensors", "hf/state.json"};

static void run_hf (const uint8_t *data, size_t n) {
    fuzz_part_t part[3];
    const int parts = fuzz_split (part, 3, data, n);
    for (int i = 0; i < 3; i++) unlink (files[i]);
    for (int i = 0; i < parts; i++) fuzz_write (files[i], part[i].data, part[i].n);
    fuzz_use_model ("hf");
}

static void init (void) { FUZZ_MUST (wb_dir_make ("hf")); }

/* A model that is zero, as it lies in a directory. */
void fuzz_put_model (wb_buf_t *out, int64_t C) {
    const wb_size_t size = {1, C, 1, 2, 3};
    wb_layout_t layout;
    wb_params_t *params;
    FUZZ_MUST (wb_layout_init (&layout, 1, 1, 1, 1, size.L, size.H, 0, 0));
    wb_layout_place (&layout, 0);
    FUZZ_MUST (wb_params_new (&params, &size, &layout));
    char *text = wb_model_config_text (&size, 0);
    fuzz_join (out, text, strlen (text));
    fuzz_put_safetensors (out, params, 0, params->n, WB_F32);
    wb_free (text);
    wb_params_destroy (params);
}

static void seeds_hf (void) {
    static const char state[] =
        "{\"step\": 10, \"tokens\": 1e9, \"optimizer\": \"adamw\", \"settings\": {\"train.lr\": 0.1}}";
    wb_buf_t b = {0};
    fuzz_put_model (&b, 2);
    fuzz_seed ("tiny", b.data, b.len);
    fuzz_join (&b, state, strlen (state));
    fuzz_seed ("trained", b.data, b.len);
    wb_buf_fini (&b);
}

static void seeds_gguf (void) {
    static const wb_number types[] = {WB_NUMBER_F32, WB_NUMBER_BF16, WB_NUMBER_Q8_0};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        wb_buf_t b = {0};
        size_t n;
        fuzz_put_model (&b, types[i] == WB_NUMBER_Q8_0 ? 32 : 2);
        run_hf ((const uint8_t *) b.data, b.len);
        const wb_export_t x = {
            .from = "hf", .to = "gguf", .out = "out.gguf", .type = types[i], .shard = (int64_t) 1 << 30};
        unlink ("out.gguf");
        FUZZ_MUST (wb_convert_export (&x));
        char *file = fuzz_read (&n, "out.gguf");
        fuzz_seed (wb_number_names[types[i]], file, n);
        wb_free (file);
        wb_buf_fini (&b);
    }
}

const fuzz_harness_t fuzz_hf = {"hf", init, run_hf, seeds_hf};
const fuzz_harness_t fuzz_gguf = {"gguf", init, run_gguf, seeds_gguf};
