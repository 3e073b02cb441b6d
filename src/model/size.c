/* Sizes of GPT-2 models, and the number of parameters and operations that follow from them. */
#include "config.h"

#include <string.h>
#include "wabun/model.h"

const char *const wb_preset_names[] = {"tiny", "small", "medium", "large", "xl", NULL};
static const struct {
    int64_t L, C, H, T;
} presets[] = {{4, 256, 4, 256}, {12, 768, 12, 1024}, {24, 1024, 16, 1024}, {36, 1280, 20, 1024}, {48, 1600, 25, 1024}};

wb_status wb_size_preset (wb_size_t *out, const char *name) {
    const int i = wb_choice (wb_preset_names, name);
    if (i >= 0) {
        out->L = presets[i].L;
        out->C = presets[i].C;
        out->H = presets[i].H;
        out->T = presets[i].T;
        return WB_OK;
    }
    char names[64];
    return WB_FAIL (WB_EUSAGE, "no model preset is called \"%s\": there are %s", name,
                    wb_choice_list (names, sizeof names, wb_preset_names));
}

wb_status wb_size_check (const wb_size_t *s) {
    if (s->L < 1 || s->C < 1 || s->H < 1 || s->T < 1)
        return WB_FAIL (WB_EUSAGE, "model: layers %lld, width %lld, heads %lld and context %lld must all be at least 1",
                        (long long) s->L, (long long) s->C, (long long) s->H, (long long) s->T);
    if (s->C % s->H != 0)
        return WB_FAIL (WB_EUSAGE,
                        "model.width = %lld is not a multiple of model.heads = %lld: a width of %lld would do",
                        (long long) s->C, (long long) s->H, (long long) ((s->C / s->H + 1) * s->H));
    if (s->V < 2)
        return WB_FAIL (
            WB_EUSAGE, "the size of the vocabulary is not known: give `tokenizer`, `model.vocab_size` or `model.base`");
    if (s->L > 4096 || s->C > 1 << 17 || s->T > 1 << 20 || s->V > 1 << 26)
        return WB_FAIL (WB_EUSAGE,
                        "model: %lld layers of width %lld, context %lld, vocabulary %lld is beyond what wabun handles",
                        (long long) s->L, (long long) s->C, (long long) s->T, (long long) s->V);
    return WB_OK;
}

int64_t wb_size_parameters (const wb_size_t *s) {
    return s->V * s->C + s->T * s->C + s->L * (12 * s->C * s->C + 13 * s->C) + 2 * s->C;
}

int64_t wb_tuning_first (const wb_tuning_t *t, const wb_size_t *s) {
    return t->layers > 0 ? s->L - t->layers : t->rank > 0 ? 0 : -1;
}

wb_status wb_tuning_check (const wb_tuning_t *t, const wb_size_t *s) {
    unsigned targets;
    if (t->layers > s->L)
        return WB_FAIL (WB_EUSAGE,
                        "finetune.layers = %lld, but the model has %lld: set it to \"all\", or to at most %lld",
                        (long long) t->layers, (long long) s->L, (long long) s->L);
    if (t->rank > s->C)
        return WB_FAIL (WB_EUSAGE, "finetune.lora_rank = %lld is above the model's width of %lld", (long long) t->rank,
                        (long long) s->C);
    return wb_tuning_targets (&targets, t);
}

/* A forward pass is a third, and so is each of the gradients: that of the input, and that of the weights.  The gradient
 * of a linear's weights is 2 flop for each of them; an
 * adapter of all four linears has 18 C rank of them, and computes x A^T twice. */
double wb_tuning_flops (const wb_tuning_t *t, const wb_size_t *s, int64_t T) {
    const int64_t first = wb_tuning_first (t, s);
    wb_size_t none = *s, below = *s;
    if (first < 0) return wb_size_flops (s, T);
    none.L = 0, below.L = first;
    const double head = wb_size_flops (&none, T), idle = wb_size_flops (&below, T) - head;
    const double C = (double) s->C, adapters = 18 * C * (double) t->rank;
    const double learn = t->rank > 0 ? 6.5 * adapters - 24 * C * C : 0;
    return wb_size_flops (s, T) - head / 3 - idle * 2 / 3 + (double) (s->L - first) * learn;
}

double wb_size_flops (const wb_size_t *s, int64_t T) {
    double linears = 12.0 * (double) s->L * (double) s->C * (double) s->C + (double) s->V * (double) s->C;
    return 6 * linears + 6.0 * (double) s->L * (double) s->C * (double) (T + 1);
}
