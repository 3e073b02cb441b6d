/* spikes: what stands out of a noisy curve, and what does not. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/rollback.h"
#include "run/spikes.h"
#include "t.h"

static const wb_spike_options_t usual = {.z = 6, .window = 50};

/* A curve that falls, with noise of about 0.02 (loss) and 0.1 (norm). */
static double noise (int64_t step, uint64_t which) {
    double sum = 0;
    for (uint64_t i = 0; i < 4; i++)
        sum += (double) (wb_rng_u64 (1, 4 * which + i, (uint64_t) step) % 1000) / 1000 - 0.5;
    return sum; /* of deviation 0.58 */
}
static double loss_of (int64_t step) { return 3 + 7 * exp (-(double) step / 60) + 0.035 * noise (step, 0); }
static double norm_of (int64_t step) { return 1 + 0.17 * noise (step, 1); }

static void quiet (void) {
    wb_spikes_t s = {0};
    wb_spike_verdict_t v;
    int spikes = 0;
    for (int64_t step = 1; step <= 5000; step++) {
        wb_spikes_judge (&s, &v, &usual, loss_of (step), norm_of (step));
        spikes += v.spike;
        T_OK (!v.hold, "nothing is held back");
    }
    T_OK (spikes == 0, "%d spikes in a curve that has none", spikes);
    T_OK (s.n == 50 && fabs (s.mean[0] - 3) < 0.02 && fabs (s.mean[1] - 1) < 0.1, "means %g, %g", s.mean[0], s.mean[1]);
    T_OK (fabs (sqrt (s.variance[1]) - 0.098) < 0.03, "deviation %g", sqrt (s.variance[1]));
}

/* One step, and a level that stays. */
static void loud (void) {
    wb_spikes_t s = {0};
    wb_spike_verdict_t v;
    int told = 0, spikes = 0;
    for (int64_t step = 1; step <= 1200; step++) {
        const double up = step == 900 ? 1 : step > 1100 ? 2 : 0;
        wb_spikes_judge (&s, &v, &usual, loss_of (step) + up, norm_of (step));
        told += v.first;
        spikes += v.spike;
        if (step == 900)
            T_OK (v.spike && v.first && v.z[0] > 10 && v.z[1] < 6, "a spike of the loss: %g, %g", v.z[0], v.z[1]);
        if (step == 901) T_OK (!v.spike && spikes == 1, "which one step does not make wide");
        if (step == 1140) T_OK (!v.spike, "a level that stays is none for long");
    }
    T_OK (told == 2 && spikes < 40, "%d events, %d steps", told, spikes);
    wb_spikes_judge (&s, &v, &usual, loss_of (1200) + 2, 9);
    T_OK (v.spike && v.z[1] > 6, "a spike of the norm: %g", v.z[1]);
}

static void held (void) {
    const wb_spike_options_t hold = {.z = 6, .window = 50, .hold = 2}, rise = {.window = 50, .rise = 0.5};
    wb_spikes_t s = {0}, before;
    wb_spike_verdict_t v;
    for (int64_t step = 1; step <= 900; step++) wb_spikes_judge (&s, &v, &hold, loss_of (step), 1);
    before = s;
    for (int i = 0; i < 3; i++) {
        wb_spikes_judge (&s, &v, &hold, 9, 1);
        T_OK (v.spike && v.hold == (i < 2) && v.first == (i == 0), "spike %d in a row", i);
    }
    s = before;
    for (int i = 0; i < 10; i++) {
        wb_spikes_judge (&s, &v, &rise, 9, 1);
        T_OK (v.rise && v.hold && !v.spike, "a loss that has risen");
    }
    T_OK (memcmp (&s.mean, &before.mean, sizeof s.mean) == 0, "is not taken in");
    wb_spikes_judge (&s, &v, &rise, s.lowest + 0.4, 1);
    T_OK (!v.rise && !v.hold, "a little is no rise");
    wb_spikes_judge (&s, &v, &(wb_spike_options_t){.window = 50}, 1e9, 1e9);
    T_OK (!v.spike && !v.hold, "nothing is wanted");
}

static void left_out (void) {
    wb_rollbacks_t b = {0};
    wb_rollbacks_leave_out (&b, (wb_steps_t){20, 22});
    wb_rollbacks_leave_out (&b, (wb_steps_t){40, 41});
    wb_rollbacks_leave_out (&b, (wb_steps_t){5, 5});
    T_OK (b.n == 3 && b.left_out[0].first == 5 && b.left_out[1].first == 20 && b.left_out[2].last == 41, "in order");
    T_OK (wb_rollbacks_find (&b, 19) == NULL && wb_rollbacks_find (&b, 20) == &b.left_out[1],
          "found by its first step");
    T_OK (wb_rollbacks_find (&b, 22) != NULL && wb_rollbacks_find (&b, 23) == NULL, "and by its last one");
    wb_rollbacks_leave_out (&b, (wb_steps_t){23, 30});
    T_OK (b.n == 3 && b.left_out[1].first == 20 && b.left_out[1].last == 30, "joined where they touch");
    wb_rollbacks_leave_out (&b, (wb_steps_t){10, 100});
    T_OK (b.n == 2 && b.left_out[1].first == 10 && b.left_out[1].last == 100, "swallowed");
    /* sequences 16 .. 19 of batches of 4 are in batch 3 of batches of 8; 36 .. 399 in batches 5 .. 50 */
    wb_rollbacks_rebatch (&b, 4, 8);
    T_OK (b.n == 2 && b.left_out[0].first == 3 && b.left_out[0].last == 3 && b.left_out[1].first == 5 &&
              b.left_out[1].last == 50,
          "another batch: %lld to %lld", (long long) b.left_out[1].first, (long long) b.left_out[1].last);
}

int main (void) {
    left_out ();
    quiet ();
    loud ();
    held ();
    return T_DONE ();
}
