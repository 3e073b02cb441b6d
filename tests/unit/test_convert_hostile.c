/* timeout: 300 - formats: a model goes out and comes back; thousands of damaged headers: an error of data, or a model.
 */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"
#include "t.h"

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
    const char *bad = t_tmp ("damaged");
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

int main (void) {
    wb_log_init (WB_LOG_QUIET, false);
    there_and_back (&wb_format_gguf, t_tmp ("f32.gguf"), WB_NUMBER_F32, 0.0);
    there_and_back (&wb_format_gguf, t_tmp ("f16.gguf"), WB_NUMBER_F16, 0x1p-11);
    there_and_back (&wb_format_gguf, t_tmp ("bf16.gguf"), WB_NUMBER_BF16, 0x1p-8);
    there_and_back (&wb_format_gguf, t_tmp ("q8.gguf"), WB_NUMBER_Q8_0, 0.505 / 127);
    there_and_back (&wb_format_hf, t_tmp ("hf"), WB_NUMBER_F32, 0.0);
    damage (&wb_format_gguf, t_tmp ("q8.gguf"), 6000, 1500);
    damage (&wb_format_safetensors, t_tmp ("hf/model.safetensors"), 1500, 500);
    return T_DONE ();
}
