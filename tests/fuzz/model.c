/* config.json of a model; what is accepted can be written and read again. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/model.h"

static void run (const uint8_t *data, size_t n) {
    wb_size_t s, again;
    fuzz_write ("config.json", data, n);
    if (!fuzz_ok (wb_model_config_read (&s, "."))) return;
    FUZZ_MUST (wb_size_check (&s));
    FUZZ_CHECK (wb_size_parameters (&s) > 0, "%lld parameters", (long long) wb_size_parameters (&s));
    char *text = wb_model_config_text (&s, 0);
    fuzz_write ("config.json", text, strlen (text));
    FUZZ_MUST (wb_model_config_read (&again, "."));
    FUZZ_CHECK (memcmp (&s, &again, sizeof s) == 0, "another size");
    wb_free (text);
}

static void seeds (void) {
    const wb_size_t s = {2, 8, 2, 8, 257};
    char *text = wb_model_config_text (&s, 256);
    fuzz_seed ("tiny", text, strlen (text));
    wb_free (text);
}

const fuzz_harness_t fuzz_model = {"model", NULL, run, seeds};
