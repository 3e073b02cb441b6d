/* Spikes: losses and gradient norms far above what they were of late.
 *
 * Plain numbers, no run: a pure function of the steps so far, so that every rank decides alike, and a run that was
 * resumed as one that was not. */
#ifndef WABUN_RUN_SPIKES_H
#define WABUN_RUN_SPIKES_H

#include "wabun/base.h"

enum { WB_SPIKE_LOSS, WB_SPIKE_NORM, WB_SPIKE_VALUES };

/* Running means of the steps that were done.  Zero-initialised is none; in state.json of a checkpoint. */
typedef struct wb_spikes {
    int64_t n; /* steps in it; it judges once they fill the window */
    double mean[WB_SPIKE_VALUES], variance[WB_SPIKE_VALUES];
    double lowest; /* the lowest mean of the loss since the window was full */
    int64_t held;  /* steps with a spike that were held back, in a row */
    bool during;   /* the step before had a spike */
} wb_spikes_t;

typedef struct wb_spike_options {
    double z;       /* this many standard deviations above the mean are a spike; 0: nothing is */
    int64_t window; /* steps */
    double rise;    /* a loss this many nats above the lowest mean is bad; 0: none is */
    int64_t hold;   /* spikes that are held back in a row, at most */
} wb_spike_options_t;

/* What is to be said of a step. */
typedef struct wb_spike_verdict {
    double z[WB_SPIKE_VALUES]; /* 0 before the window is full */
    double mean[WB_SPIKE_VALUES];
    double lowest;
    bool spike, first; /* first of its event */
    bool rise;         /* the loss is bad: the step counts as one with NaN */
    bool hold;         /* it should not be done: a rise, or a spike that may be held back */
} wb_spike_verdict_t;

/* Judge a step with finite numbers and take it in; values beyond the limit as the limit, so that a level that stays is
 * no spike for long.  A step with a rise is not taken in. */
void wb_spikes_judge (wb_spikes_t *s, wb_spike_verdict_t *v, const wb_spike_options_t *o, double loss, double norm);

#endif
