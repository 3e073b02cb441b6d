/* Which steps a run leaves out: ranges, in order, joined where they touch. */
#include "config.h"

#include "run/rollback.h"

void wb_rollbacks_leave_out (wb_rollbacks_t *b, wb_steps_t steps) {
    int kept = 0, at = 0;
    for (int i = 0; i < b->n; i++) {
        const wb_steps_t s = b->left_out[i];
        if (s.last + 1 >= steps.first && s.first <= steps.last + 1) {
            if (s.first < steps.first) steps.first = s.first;
            if (s.last > steps.last) steps.last = s.last;
        } else {
            b->left_out[kept++] = s;
            at += s.last < steps.first;
        }
    }
    WB_ASSERT (kept < WB_ROLLBACKS_MAX);
    for (int i = kept; i > at; i--) b->left_out[i] = b->left_out[i - 1];
    b->left_out[at] = steps;
    b->n = kept + 1;
}

const wb_steps_t *wb_rollbacks_find (const wb_rollbacks_t *b, int64_t step) {
    for (int i = 0; i < b->n; i++)
        if (b->left_out[i].first <= step && step <= b->left_out[i].last) return &b->left_out[i];
    return NULL;
}

void wb_rollbacks_rebatch (wb_rollbacks_t *b, int64_t before, int64_t now) {
    const wb_rollbacks_t old = *b;
    b->n = 0;
    for (int i = 0; i < old.n; i++)
        wb_rollbacks_leave_out (b, (wb_steps_t){(old.left_out[i].first - 1) * before / now + 1,
                                                (old.left_out[i].last * before + now - 1) / now});
}
