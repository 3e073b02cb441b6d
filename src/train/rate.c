/* Learning rates: linear warm-up, then a decay from o->lr to o->min_lr.
 *
 * Another decay is a function, its row, and its name in wb_decay_kind. */
#include "config.h"

#include <math.h>

#include "wabun/train.h"

/* x: how far the decay has come, 0 to 1 */
static double cosine (const wb_optim_options_t *o, double x) {
    return x < 1 ? o->min_lr + (o->lr - o->min_lr) * 0.5 * (1 + cos (acos (-1.0) * x)) : o->min_lr;
}

static double linear (const wb_optim_options_t *o, double x) {
    return x < 1 ? o->lr + (o->min_lr - o->lr) * x : o->min_lr;
}

static double constant (const wb_optim_options_t *o, double x) {
    (void) x;
    return o->lr;
}

#define DECAYS(ROW)      \
    ROW (COSINE, cosine) \
    ROW (LINEAR, linear) \
    ROW (CONSTANT, constant)

#define FUNCTION(kind, name) [WB_DECAY_##kind] = name,
#define NAME(kind, name) [WB_DECAY_##kind] = #name,
static double (*const table[WB_DECAYS]) (const wb_optim_options_t *o, double x) = {DECAYS (FUNCTION)};
const char *const wb_decay_names[WB_DECAYS + 1] = {DECAYS (NAME)};

double wb_optim_lr (const wb_optim_options_t *o, int64_t step) {
    if (step <= o->warmup) return o->lr * (double) step / (double) o->warmup;
    const double x = step < o->steps ? (double) (step - o->warmup) / (double) (o->steps - o->warmup) : 1;
    return table[o->decay](o, x);
}
