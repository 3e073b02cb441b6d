/* Ordered work of several threads: take in order, work in any order, deliver in order.
 *
 * The units are a ring: delivered <= taken <= delivered + n.  A thread takes the next unit, works on it without the
 * lock, marks it done, and then delivers whatever is next in order and done, unless another thread is delivering: then
 * that one will find the unit.  Nobody waits for delivery unless all units are in use.
 *
 * An error moves from its thread's record into the unit, so that the first in the order of the units wins.
 *
 * Not done here: starting threads.  Those of OpenMP are placed on the cores that the user asked for; threads started
 * here would all inherit the one core that OMP_PROC_BIND gives to the first thread. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "wabun/base.h"

typedef struct slot {
    bool done;
    wb_status status;
    wb_error_t error; /* when status is not WB_OK */
} slot_t;

struct wb_team {
    wb_team_ops_t ops;
    void *ctx;
    char *units;
    size_t unit_bytes;
    int64_t n;
    pthread_mutex_t lock;
    pthread_cond_t delivered_one;
    slot_t *slots;
    int64_t taken, delivered;
    bool delivering; /* a thread is in ops.deliver */
    bool last;       /* nothing more to take */
    bool stopped;    /* an error was delivered */
    slot_t result;
};

wb_status wb_team_new (wb_team_t **out, const wb_team_ops_t *ops, void *ctx, void *units, int64_t n,
                       size_t unit_bytes) {
    *out = NULL;
    wb_team_t *t = wb_calloc (1, sizeof *t);
    slot_t *slots = wb_calloc ((size_t) n, sizeof *slots);
    bool lock = false, ok = false;
    if (t != NULL && slots != NULL) {
        *t = (wb_team_t){.ops = *ops, .ctx = ctx, .units = units, .unit_bytes = unit_bytes, .n = n, .slots = slots};
        lock = pthread_mutex_init (&t->lock, NULL) == 0;
        ok = lock && pthread_cond_init (&t->delivered_one, NULL) == 0;
    }
    if (ok) {
        *out = t;
        return WB_OK;
    }
    if (lock) pthread_mutex_destroy (&t->lock);
    wb_free (slots);
    wb_free (t);
    return WB_NOMEM ("%lld units of work", (long long) n);
}

static void *unit_at (const wb_team_t *t, int64_t k) { return t->units + (size_t) (k % t->n) * t->unit_bytes; }

/* The status of what this thread just did, with its record. */
static void keep (slot_t *s, wb_status status) {
    s->status = status;
    if (status != WB_OK) wb_error_take (&s->error);
}

/* With the lock held. */
static void deliver (wb_team_t *t) {
    if (t->delivering) return;
    t->delivering = true;
    while (!t->stopped && t->delivered < t->taken && t->slots[t->delivered % t->n].done) {
        slot_t *s = &t->slots[t->delivered % t->n];
        pthread_mutex_unlock (&t->lock);
        if (s->status == WB_OK) keep (s, t->ops.deliver (t->ctx, unit_at (t, t->delivered)));
        pthread_mutex_lock (&t->lock);
        if (s->status != WB_OK) t->result = *s, t->stopped = true;
        t->delivered++;
        pthread_cond_broadcast (&t->delivered_one);
    }
    t->delivering = false;
}

void wb_team_work (wb_team_t *t, void *own) {
    pthread_mutex_lock (&t->lock);
    while (!t->stopped && !t->last) {
        if (t->taken - t->delivered == t->n) {
            pthread_cond_wait (&t->delivered_one, &t->lock);
            continue;
        }
        slot_t *s = &t->slots[t->taken % t->n];
        void *unit = unit_at (t, t->taken);
        bool more = true;
        s->done = false;
        keep (s, t->ops.take (t->ctx, unit, &more));
        t->last = !more || s->status != WB_OK;
        if (s->status == WB_OK && !more) break;
        t->taken++;
        if (s->status == WB_OK) {
            pthread_mutex_unlock (&t->lock);
            wb_status status = t->ops.work (t->ctx, unit, own);
            pthread_mutex_lock (&t->lock);
            keep (s, status);
        }
        s->done = true;
        deliver (t);
    }
    pthread_mutex_unlock (&t->lock);
}

wb_status wb_team_end (wb_team_t *t) {
    wb_status status = t->result.status;
    WB_ASSERT (t->stopped || t->delivered == t->taken);
    if (status != WB_OK) wb_error_put (&t->result.error);
    pthread_cond_destroy (&t->delivered_one);
    pthread_mutex_destroy (&t->lock);
    wb_free (t->slots);
    wb_free (t);
    return status;
}
