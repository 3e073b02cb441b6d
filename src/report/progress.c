/* Progress: how a run goes, in one line.
 *
 * On a terminal the line replaces itself, elsewhere each logged step gets one.  Not done here: which steps are logged.
 */
#include "config.h"

#include "wabun/report.h"

void wb_progress_add (wb_progress_t *p, double seconds) {
    enum { FIRST = sizeof p->first / sizeof *p->first };
    if (p->n >= FIRST) {
        p->seconds = 0.8 * p->seconds + 0.2 * seconds;
        return;
    }
    int i = p->n++; /* in order */
    for (; i > 0 && p->first[i - 1] > seconds; i--) p->first[i] = p->first[i - 1];
    p->first[i] = seconds;
    p->seconds = p->first[(p->n - 1) / 2];
}

static double left (const wb_progress_t *p) { return (double) (p->steps - p->step) * p->seconds + p->beside; }

/* "  5 min 02 s left" into buf; nothing at the end. */
static const char *time_left (char *buf, size_t bytes, const wb_progress_t *p) {
    char time[32];
    buf[0] = 0;
    if (p->step < p->steps) snprintf (buf, bytes, "  %s left", wb_format_seconds (time, left (p)));
    return buf;
}

void wb_progress_show (wb_progress_t *p) {
    char time[64], count[32];
    if (wb_now () - p->shown < 0.1) return; /* a slow terminal must not slow the run down */
    p->shown = wb_now ();
    wb_log_progress ("step %lld/%lld  loss %.4f  %s tokens/s  MFU %.0f %%%s", (long long) p->step, (long long) p->steps,
                     p->loss, wb_format_count (count, (int64_t) p->tokens_per_s), 100 * p->mfu,
                     time_left (time, sizeof time, p));
}

void wb_progress_line (const wb_progress_t *p) {
    char time[64], count[32];
    if (wb_log_is_tty ()) return;
    wb_info ("step %lld/%lld  loss %.4f  lr %.3g  |g| %.3g  %s tokens/s  MFU %.0f %%%s", (long long) p->step,
             (long long) p->steps, p->loss, p->lr, p->grad_norm, wb_format_count (count, (int64_t) p->tokens_per_s),
             100 * p->mfu, time_left (time, sizeof time, p));
}
