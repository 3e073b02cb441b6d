/* Layouts: plain numbers, so that the planner can ask about a rank that does not exist.
 *
 * Layers are dealt to virtual stages so that the slowest stage is as fast as can be: every stage gets at most
 * floor (cap - extra) layers, `extra` being the work of the embedding on the first and of the loss on the last stage,
 * and cap the smallest number for which all layers find a place.  What is left over is taken from the earliest stages,
 * which hold the most activations in flight.
 *
 * Not here: groups of ranks (comm/topo.c) and the cut of single tensors (shard.c). */
#include "config.h"

#include <math.h>
#include <string.h>
#include "wabun/parallel.h"

/* Text list of the divisors of n that are nearest to `want`, below and above. */
static void nearest_divisors (char *buf, size_t size, int64_t n, int64_t want) {
    int64_t below = 0, above = 0;

    for (int64_t i = 1; i <= n; ++i) {
        if (n % i != 0) continue;
        if (i < want) below = i;
        if (i > want && above == 0) above = i;
    }
    if (below > 0 && above > 0)
        snprintf (buf, size, "%lld or %lld", (long long) below, (long long) above);
    else
        snprintf (buf, size, "%lld", (long long) (below > 0 ? below : above));
}

static int64_t room (double cap, double extra) {
    double r = floor (cap - extra + 1e-9);

    return r < 1 ? 1 : (int64_t) r;
}

static double extra_of (int s, int S, double embed_cost, double head_cost) {
    return (s == 0 ? embed_cost : 0) + (s == S - 1 ? head_cost : 0);
}

static int64_t rooms (double cap, int S, double embed_cost, double head_cost) {
    int64_t sum = 0;

    for (int s = 0; s < S; ++s) sum += room (cap, extra_of (s, S, embed_cost, head_cost));
    return sum;
}

static void deal_layers (wb_layout_t *lo, int S, int64_t L, double embed_cost, double head_cost) {
    double cap = INFINITY;
    int64_t count[WB_MAX_STAGES], sum;

    for (int64_t k = 1; k <= L; ++k) {
        const double tries[3] = {(double) k, (double) k + embed_cost, (double) k + head_cost};
        for (int i = 0; i < 3; ++i)
            if (tries[i] < cap && rooms (tries[i], S, embed_cost, head_cost) >= L) cap = tries[i];
    }
    if (S == 1) cap = (double) L + embed_cost + head_cost;
    sum = 0;
    for (int s = 0; s < S; ++s) sum += count[s] = room (cap, extra_of (s, S, embed_cost, head_cost));
    while (sum > L) { /* take one from the stage that costs most, the earliest of equals */
        int at = -1;
        double most = -1;
        for (int s = 0; s < S; ++s) {
            double cost = (double) count[s] + extra_of (s, S, embed_cost, head_cost);
            if (count[s] > 1 && cost > most + 1e-9) {
                most = cost;
                at = s;
            }
        }
        WB_ASSERT (at >= 0);
        --count[at];
        --sum;
    }
    lo->first[0] = 0;
    for (int s = 0; s < S; ++s) lo->first[s + 1] = lo->first[s] + (int32_t) count[s];
}

wb_status wb_layout_init (wb_layout_t *out, int D, int P, int T, int v, int64_t L, int64_t H, double embed_cost,
                          double head_cost) {
    char near[64];

    memset (out, 0, sizeof *out);
    if (D < 1 || P < 1 || T < 1 || v < 1)
        return WB_FAIL (WB_EUSAGE, "parallel: data %d, pipeline %d, tensor %d and interleave %d must be at least 1", D,
                        P, T, v);
    if (v > WB_MAX_CHUNKS) return WB_FAIL (WB_EUSAGE, "parallel.interleave = %d is more than %d", v, WB_MAX_CHUNKS);
    if (H % T != 0) {
        nearest_divisors (near, sizeof near, H, T);
        return WB_FAIL (WB_EUSAGE,
                        "parallel.tensor = %d does not divide the model's %lld heads: each rank needs whole heads; set "
                        "parallel.tensor to %s",
                        T, (long long) H, near);
    }
    if (v > 1 && P == 1)
        return WB_FAIL (
            WB_EUSAGE,
            "parallel.interleave = %d needs a pipeline: set parallel.interleave = 1, or parallel.pipeline to 2 or "
            "more",
            v);
    if ((int64_t) P * v > L || (int64_t) P * v > WB_MAX_STAGES) {
        int64_t most = (L < WB_MAX_STAGES ? L : WB_MAX_STAGES) / v;
        if (v > 1 && most < 2)
            return WB_FAIL (WB_EUSAGE,
                            "parallel.pipeline = %d with interleave = %d makes %lld stages of %lld layers: set "
                            "parallel.interleave = 1 and parallel.pipeline to at most %lld",
                            P, v, (long long) P * v, (long long) L, (long long) L);
        return WB_FAIL (
            WB_EUSAGE,
            "parallel.pipeline = %d%s makes %lld stages of %lld layers: set parallel.pipeline to at most %lld", P,
            v > 1 ? " with interleave" : "", (long long) P * v, (long long) L, (long long) most);
    }
    out->dp = D;
    out->pp = P;
    out->tp = T;
    out->chunks = v;
    deal_layers (out, P * v, L, embed_cost, head_cost);
    return WB_OK;
}

void wb_layout_place (wb_layout_t *lo, int r) {
    lo->tp_rank = r % lo->tp;
    lo->pp_rank = r / lo->tp % lo->pp;
    lo->dp_rank = r / lo->tp / lo->pp;
}
