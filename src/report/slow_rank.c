/* Which rank stays slow.
 *
 * In every step some rank is the slowest; on a busy machine it is each time another one, by a factor of anything, and
 * nothing follows from that.  What is worth a message is a rank that stays the slowest: one that is beyond the limit in
 * most of the last ten looks, which are at least six seconds apart (a minute of short steps; ten logged steps that take
 * longer).  It is reported once, until another one is, or none.
 *
 * Not done here: measuring (train), the message (run). */
#include "config.h"

#include "wabun/report.h"

#define LIMIT 1.2 /* a rank is slow that computes longer than this multiple of the others */
#define APART 6.0 /* seconds between looks */
#define MOST 8    /* looks of WB_SLOW_LOOKS that make a slow rank */
#define FEW 2     /* and that end one */

static bool is_slow (const wb_slow_look_t *l, int rank) { return l->rank == rank && l->seconds > LIMIT * l->typical; }

/* In how many looks `rank` was slow, and the means over those. */
static wb_slow_summary_t summarise (const wb_slow_rank_t *s, int rank) {
    wb_slow_summary_t sum = {.rank = rank};
    double step = 0;
    for (int i = 0; i < WB_SLOW_LOOKS; i++) {
        const wb_slow_look_t *l = &s->last[i];
        if (!is_slow (l, rank)) continue;
        sum.looks++;
        sum.seconds += l->seconds;
        sum.typical += l->typical;
        step += l->step;
    }
    if (sum.looks == 0) return sum;
    sum.share = step > 0 ? (sum.seconds - sum.typical) / step : 0;
    sum.seconds /= sum.looks;
    sum.typical /= sum.looks;
    sum.cost = sum.seconds - sum.typical;
    return sum;
}

wb_slow_news wb_slow_rank_add (wb_slow_rank_t *s, double now, const wb_slow_look_t *look) {
    if (s->taken > 0 && now - s->when < APART) return WB_SLOW_NOTHING;
    s->when = now;
    s->last[s->taken++ % WB_SLOW_LOOKS] = *look;
    if (s->taken < WB_SLOW_LOOKS) return WB_SLOW_NOTHING;
    wb_slow_summary_t sum = summarise (s, look->rank);
    if (sum.looks >= MOST && s->told != look->rank + 1) {
        s->told = look->rank + 1;
        s->news = sum;
        return WB_SLOW_RANK;
    }
    if (s->told == 0) return WB_SLOW_NOTHING;
    sum = summarise (s, s->told - 1);
    if (sum.looks > FEW) return WB_SLOW_NOTHING;
    s->told = 0;
    s->news = sum;
    return WB_SLOW_OVER;
}
