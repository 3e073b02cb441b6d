/* Files of other programs: pytorch_model.bin as it is, and the pickle in one alone, whose checksum is right whatever it
 * is. */
#include "config.h"

#include <string.h>

#include "convert/pickle.h"
#include "fuzz.h"
#include "models.h"
#include "torch_file.h"

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

const fuzz_harness_t fuzz_torch = {"torch", init, run_torch, seeds_torch};
const fuzz_harness_t fuzz_pickle = {"pickle", init, run_pickle, seeds_pickle};
