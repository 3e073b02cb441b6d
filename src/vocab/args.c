/* The options that training and comparing vocabularies share: which text, how much of it, and with what memory. */
#include "config.h"

#include <string.h>

#include "wabun/vocab.h"

/* "512M", "2G": bytes. */
static wb_status parse_memory (int64_t *out, const char *text) {
    const size_t n = strlen (text);
    const char *const units = "KMG", *unit = n > 0 ? strchr (units, text[n - 1]) : NULL;
    char digits[32];
    snprintf (digits, sizeof digits, "%.*s", (int) (unit != NULL && *unit != 0 ? n - 1 : n), text);
    int64_t x;
    WB_TRY (wb_opt_int (&x, "--memory", digits, 1, (int64_t) 1 << 40));
    *out = unit != NULL && *unit != 0 ? x << (10 * (unit - units + 1)) : x;
    if (*out < (int64_t) 128 << 20) return WB_FAIL (WB_EUSAGE, "--memory %s: at least 128M", text);
    return WB_OK;
}

wb_status wb_vocab_inputs_option (wb_vocab_inputs_t *in, const char **weights, wb_opts_t *o, bool *taken) {
    const char *text;
    int64_t seed;
    *taken = true;
    if (wb_opts_is (o, "--seed")) {
        WB_TRY (wb_opts_int (o, &seed, 0, INT64_MAX));
        in->seed = (uint64_t) seed;
    } else if (wb_opts_is (o, "--memory")) {
        WB_TRY (wb_opts_text (o, &text));
        WB_TRY (parse_memory (&in->memory, text));
    } else if (wb_opts_is (o, "--weight")) {
        if (in->nweights == WB_VOCAB_WEIGHTS) return WB_FAIL (WB_EUSAGE, "--weight: %d at most", WB_VOCAB_WEIGHTS);
        WB_TRY (wb_opts_text (o, &weights[in->nweights++]));
    } else if (wb_opts_is_file (o))
        o->argv[1 + in->npaths++] = o->argv[o->at];
    else
        *taken = false;
    return WB_OK;
}
