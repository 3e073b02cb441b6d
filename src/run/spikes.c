/* Spikes of the loss and of the gradient norm: by how many standard deviations they are above the mean of late.
 *
 * Mean and variance are exponential with the weight 2 / (window + 1) of a new step (plain ones until the window is
 * full), so a window of any length is five numbers.  Only what is above the mean is a spike.  A standard deviation
 * below a two-hundredth of the mean is taken for that much: without noise everything would be far out.
 *
 * Not done here: what follows from a spike (health.c). */
#include "config.h"

#include <math.h>

#include "run/spikes.h"

#define LEAST_DEVIATION 0.005 /* of the mean */

static double deviation (const wb_spikes_t *s, int i) {
    return fmax (sqrt (s->variance[i]), LEAST_DEVIATION * fabs (s->mean[i]));
}

static void take_in (wb_spikes_t *s, int i, double x, double weight) {
    const double d = x - s->mean[i];
    s->mean[i] += weight * d;
    s->variance[i] = (1 - weight) * (s->variance[i] + weight * d * d);
}

static void compare (const wb_spikes_t *s, wb_spike_verdict_t *v, const wb_spike_options_t *o, const double x[]) {
    for (int i = 0; i < WB_SPIKE_VALUES; i++) {
        const double by = deviation (s, i);
        v->mean[i] = s->mean[i];
        v->z[i] = by > 0 ? (x[i] - s->mean[i]) / by : 0;
        v->spike = v->spike || (o->z > 0 && v->z[i] > o->z);
    }
    v->lowest = s->lowest;
    v->rise = o->rise > 0 && x[WB_SPIKE_LOSS] > s->lowest + o->rise;
    v->first = v->spike && !s->during;
    v->hold = v->rise || (v->spike && s->held < o->hold);
}

void wb_spikes_judge (wb_spikes_t *s, wb_spike_verdict_t *v, const wb_spike_options_t *o, double loss, double norm) {
    const double x[] = {loss, norm};
    const bool full = s->n >= o->window;
    *v = (wb_spike_verdict_t){.lowest = s->lowest};
    if (full) compare (s, v, o, x);
    s->during = v->spike;
    s->held = v->hold && !v->rise ? s->held + 1 : 0;
    if (v->rise) return;
    if (!full) s->n++;
    for (int i = 0; i < WB_SPIKE_VALUES; i++) {
        const double limit = full && o->z > 0 ? s->mean[i] + o->z * deviation (s, i) : (double) INFINITY;
        take_in (s, i, fmin (x[i], limit), full ? 2.0 / ((double) o->window + 1) : 1.0 / (double) s->n);
    }
    if (s->n >= o->window && (!full || s->mean[WB_SPIKE_LOSS] < s->lowest)) s->lowest = s->mean[WB_SPIKE_LOSS];
}
