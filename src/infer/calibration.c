/* Calibration: is a model right as often as its probabilities say?
 *
 * Of each prediction there is a confidence, the probability of what the model finds the likeliest, and whether that was
 * right.  Predictions are put into bins by their confidence; the expected calibration error is the mean distance of a
 * bin's share of right ones from its mean confidence, by the predictions that are in it (Guo et al., arXiv:1706.04599,
 * equation 3, with 15 bins as there).  It is never below 0, and of few predictions too high, as chance moves every bin.
 *
 * Confidences are summed in units of 2^-24, all of which a double holds, so that the order of the sum, and with it the
 * number of ranks, changes nothing.
 *
 * Not here: the predictions (eval_documents.c, choices.c). */
#include "config.h"

#include <math.h>

#include "infer/eval.h"

#define UNIT 16777216.0 /* 2^24 */

void wb_calibration_add (wb_calibration_t *c, double confidence, bool right) {
    const int bin =
        (int) ceil (confidence * WB_EVAL_BINS) - 1; /* bin i has those above i / 15 and up to (i + 1) / 15 */
    wb_calibration_bin_t *b = &c->bins[bin < 0 ? 0 : bin < WB_EVAL_BINS ? bin : WB_EVAL_BINS - 1];
    b->n += 1.0;
    b->confidence += rint (confidence * UNIT);
    b->right += right ? 1.0 : 0.0;
}

wb_calibration_result_t wb_calibration_tell (const wb_calibration_t *c) {
    wb_calibration_result_t r = {0};
    double all = 0.0;
    for (int i = 0; i < WB_EVAL_BINS; i++) {
        const wb_calibration_bin_t *b = &c->bins[i];
        all += b->n;
        r.confidence += b->confidence / UNIT;
        r.accuracy += b->right;
        r.error += fabs (b->right - b->confidence / UNIT);
        r.bin[i] = (wb_calibration_bin_t){b->n, b->confidence / UNIT / b->n, b->right / b->n};
    }
    r.confidence /= all, r.accuracy /= all, r.error /= all;
    return r;
}
