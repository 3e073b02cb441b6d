/* state.json of a checkpoint. */
#include "config.h"

#include "fuzz.h"
#include "run/state.h"

static void run (const uint8_t *data, size_t n) {
    wb_state_t s;
    fuzz_write ("state.json", data, n);
    if (fuzz_ok (wb_state_read (&s, "."))) {
        static wb_trainer_t trainer; /* of all parameters */
        wb_run_t r = {.trainer = &trainer};
        FUZZ_CHECK (s.step >= 0 && s.optimizer != NULL, "step %lld", (long long) s.step);
        FUZZ_MUST (wb_state_keep (&r, &s));
        wb_free (r.state);
        wb_free (r.base.path);
    }
    wb_state_fini (&s);
}

const fuzz_harness_t fuzz_state = {"state", NULL, run, NULL};
