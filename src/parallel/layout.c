/* Layouts: plain numbers, so that the planner can ask about a rank that does not exist.
 *
 * Layers are assigned to virtual stages so that the slowest stage is as fast as possible: every stage gets at most
 * floor (cap - extra) layers, where `extra` is the work of the embedding on the first and of the loss on the last
 * stage, and `cap` the smallest number for which all layers have a place.  Places that remain empty are taken from the
 * stages that cost most, the earliest first, which hold the most activations in flight.
 *
 * Not here: groups of ranks (comm/topo.c) and the cut of single tensors (shard.c). */
#include "config.h"

#include <math.h>
#include <string.h>
#include "wabun/parallel.h"

/* Text list of the divisors of n that are nearest to `want`, below and above. */
static void nearest_divisors (char *buf, size_t size, int64_t n, int64_t want) {
    int64_t below = 0, above = 0;
    for (int64_t i = 1; i <= n; i++) {
        if (n % i != 0) continue;
        if (i < want) below = i;
        if (i > want && above == 0) above = i;
    }
    if (below > 0 && above > 0)
        snprintf (buf, size, "%lld or %lld", (long long) below, (long long) above);
    else
        snprintf (buf, size, "%lld", (long long) (below > 0 ? below : above));
}

/* What a stage costs beside its layers, in layers. */
typedef struct extra {
    int stages;
    double embed, head;
} extra_t;

static double extra_of (const extra_t *x, int stage) {
    return (stage == 0 ? x->embed : 0) + (stage == x->stages - 1 ? x->head : 0);
}

/* Layers of a stage that may cost `cap`: at least one. */
static int64_t layers_within (const extra_t *x, int stage, double cap) {
    const double layers = floor (cap - extra_of (x, stage) + 1e-9);
    return layers < 1 ? 1 : (int64_t) layers;
}

static int64_t all_within (const extra_t *x, double cap) {
    int64_t sum = 0;
    for (int s = 0; s < x->stages; s++) sum += layers_within (x, s, cap);
    return sum;
}

/* The smallest cost of a stage with which all L layers have a place: a whole number of layers, and perhaps an extra. */
static double smallest_cap (const extra_t *x, int64_t L) {
    double cap = INFINITY;
    if (x->stages == 1) return (double) L + x->embed + x->head;
    for (int64_t k = 1; k <= L; k++) {
        const double tries[3] = {(double) k, (double) k + x->embed, (double) k + x->head};
        for (int i = 0; i < 3; i++)
            if (tries[i] < cap && all_within (x, tries[i]) >= L) cap = tries[i];
    }
    return cap;
}

/* The stage that costs most of those with more than one layer, the earliest of equals. */
static int costliest (const extra_t *x, const int64_t *count) {
    int at = -1;
    double max = -1;
    for (int s = 0; s < x->stages; s++) {
        const double cost = (double) count[s] + extra_of (x, s);
        if (count[s] > 1 && cost > max + 1e-9) {
            max = cost;
            at = s;
        }
    }
    WB_ASSERT (at >= 0);
    return at;
}

static void assign_layers (wb_layout_t *lo, const extra_t *x, int64_t L) {
    const double cap = smallest_cap (x, L);
    int64_t count[WB_MAX_STAGES], sum = 0;
    for (int s = 0; s < x->stages; s++) sum += count[s] = layers_within (x, s, cap);
    for (; sum > L; sum--) count[costliest (x, count)]--;
    lo->first[0] = 0;
    for (int s = 0; s < x->stages; s++) lo->first[s + 1] = lo->first[s] + (int32_t) count[s];
}

static wb_status check_stages (int pp, int chunks, int64_t L) {
    const int64_t stages = (int64_t) pp * chunks, most = (L < WB_MAX_STAGES ? L : WB_MAX_STAGES) / chunks;
    if (stages <= L && stages <= WB_MAX_STAGES) return WB_OK;
    if (chunks > 1 && most < 2)
        return WB_FAIL (WB_EUSAGE,
                        "parallel.pipeline = %d with interleave = %d makes %lld stages of %lld layers: set "
                        "parallel.interleave = 1 and parallel.pipeline to at most %lld",
                        pp, chunks, (long long) stages, (long long) L, (long long) L);
    return WB_FAIL (WB_EUSAGE,
                    "parallel.pipeline = %d%s makes %lld stages of %lld layers: set parallel.pipeline to at most %lld",
                    pp, chunks > 1 ? " with interleave" : "", (long long) stages, (long long) L, (long long) most);
}

wb_status wb_layout_init (wb_layout_t *out, int dp, int pp, int tp, int chunks, int64_t L, int64_t H, double embed_cost,
                          double head_cost) {
    memset (out, 0, sizeof *out);
    if (dp < 1 || pp < 1 || tp < 1 || chunks < 1)
        return WB_FAIL (WB_EUSAGE, "parallel: data %d, pipeline %d, tensor %d and interleave %d must be at least 1", dp,
                        pp, tp, chunks);
    if (chunks > WB_MAX_CHUNKS)
        return WB_FAIL (WB_EUSAGE, "parallel.interleave = %d is more than %d", chunks, WB_MAX_CHUNKS);
    if (H % tp != 0) {
        char near[64];
        nearest_divisors (near, sizeof near, H, tp);
        return WB_FAIL (WB_EUSAGE,
                        "parallel.tensor = %d does not divide the model's %lld heads: each rank needs whole heads; set "
                        "parallel.tensor to %s",
                        tp, (long long) H, near);
    }
    if (chunks > 1 && pp == 1)
        return WB_FAIL (
            WB_EUSAGE,
            "parallel.interleave = %d needs a pipeline: set parallel.interleave = 1, or parallel.pipeline to 2 or "
            "more",
            chunks);
    WB_TRY (check_stages (pp, chunks, L));
    out->dp = dp;
    out->pp = pp;
    out->tp = tp;
    out->chunks = chunks;
    const extra_t extra = {pp * chunks, embed_cost, head_cost};
    assign_layers (out, &extra, L);
    return WB_OK;
}

void wb_layout_place (wb_layout_t *lo, int r) {
    lo->tp_rank = r % lo->tp;
    lo->pp_rank = r / lo->tp % lo->pp;
    lo->dp_rank = r / lo->tp / lo->pp;
}

int wb_layout_stage_of (const wb_layout_t *lo, int64_t l) {
    int stage = 0;
    while (stage < lo->pp * lo->chunks - 1 && l >= lo->first[stage + 1]) stage++;
    return stage;
}
