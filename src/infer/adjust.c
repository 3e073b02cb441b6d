/* What changes logits before an id is drawn: biases, penalties for ids that were used before, no n ids twice.
 *
 * The history is walked for each draw: that costs less than a look at the vocabulary as long as texts are not far
 * longer than it, and there is no state that batches or windows could spoil.
 *
 * Not here: what narrows the choice by probability (sample.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"

static bool penalizes (const wb_sampling_t *s) { return s->frequency_penalty != 0.0 || s->presence_penalty != 0.0; }
static bool repels (const wb_sampling_t *s) { return s->repetition_penalty > 0.0 && s->repetition_penalty != 1.0; }

bool wb_sampling_looks_back (const wb_sampling_t *s) { return repels (s) || penalizes (s) || s->no_repeat_ngram > 0; }

bool wb_sampling_adjusts (const wb_sampling_t *s) { return s->nbias > 0 || wb_sampling_looks_back (s); }

wb_status wb_sampling_check (const wb_sampling_t *s, int64_t V) {
    for (int i = 0; i < s->nbias; i++)
        if (s->bias[i].id >= V)
            return WB_FAIL (WB_EUSAGE, "--logit-bias: there is no token %d: the tokenizer has 0 to %lld",
                            (int) s->bias[i].id, (long long) V - 1);
    return WB_OK;
}

/* Once for each id that ids [n] have. */
static void repel (float *z, int64_t V, int32_t *count, const int32_t *ids, int64_t n, float by) {
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < V) count[ids[i]] = 0;
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = ids[i];
        if (id < V && count[id]++ == 0) z[id] = z[id] > 0.0f ? z[id] / by : z[id] * by;
    }
}

static void penalize (float *z, int64_t V, int32_t *count, const int32_t *ids, int64_t n, const wb_sampling_t *s) {
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < V) count[ids[i]] = 0;
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < V) count[ids[i]]++;
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = ids[i];
        if (id >= V || count[id] == 0) continue;
        z[id] -= (float) (s->frequency_penalty * count[id] + s->presence_penalty);
        count[id] = 0;
    }
}

/* What followed the last N - 1 ids earlier must not follow them again. */
static void forbid_ngrams (float *z, int64_t V, const int32_t *ids, int64_t n, int64_t N) {
    const size_t bytes = (size_t) (N - 1) * sizeof *ids;
    for (int64_t i = 0; i + N <= n; i++)
        if (memcmp (ids + i, ids + n - (N - 1), bytes) == 0 && ids[i + N - 1] < V) z[ids[i + N - 1]] = -INFINITY;
}

void wb_sample_adjust (float *z, const wb_draw_t *d, int64_t V, int32_t *count) {
    const wb_sampling_t *s = d->how;
    for (int i = 0; i < s->nbias; i++)
        if (s->bias[i].id < V) z[s->bias[i].id] += s->bias[i].add;
    if (repels (s)) repel (z, V, count, d->history, d->nhistory, (float) s->repetition_penalty);
    if (penalizes (s)) penalize (z, V, count, d->history + d->nhistory - d->written, d->written, s);
    if (s->no_repeat_ngram > 0) forbid_ngrams (z, V, d->history, d->nhistory, s->no_repeat_ngram);
}
