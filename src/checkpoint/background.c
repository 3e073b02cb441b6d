/* Saving while the training goes on.
 *
 * What a rank writes is copied; then a thread of its own writes it, phase by phase (save.c), with plain POSIX calls and
 * no MPI.  The thread sleeps until it is given a phase.  The training looks now and then whether it has finished; once
 * all ranks have, they agree, and the next phase begins.  The rename is the last one, so that a kill at any moment
 * leaves the checkpoint before it.
 *
 * The thread must not take the processor away from those that compute: threads of OpenMP wait for the slowest of them
 * at every barrier.  So it rests after each piece of work, long enough to take no more than its share of a processor,
 * unless somebody waits for it.  A low priority would do as well where every processor computes, but it cannot be given
 * back without privileges, and ranks that wait in MPI are busy: they would keep it from finishing.
 *
 * Not done here: deciding whether there is memory for the copy. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "checkpoint/save.h"

#define NAP_MIN 0.002 /* seconds; shorter rests are saved up */

struct wb_saver {
    wb_comm_t *world; /* borrowed */
    wb_arena_t *memory;
    size_t copy_bytes;
    float *copy;
    double share, used; /* used: processor time of the thread up to its last rest */
    wb_save_t *save;    /* NULL: none under way */
    int64_t bytes;
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake, news;
    wb_save_phase phase;
    bool work, hurry, leave; /* work: the thread has a phase to do, or does it */
    wb_status status;        /* of the last phase */
    wb_error_t error;
};

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static double thread_seconds (void) {
    struct timespec t;
    clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void rest (void *ctx) {
    wb_saver_t *s = ctx;
    const double worked = thread_seconds () - s->used, nap = worked * (1 / s->share - 1);
    struct timespec until;
    if (nap < NAP_MIN) return;
    clock_gettime (CLOCK_REALTIME, &until);
    const double end = (double) until.tv_nsec + 1e9 * nap;
    until.tv_sec += (time_t) (end / 1e9);
    until.tv_nsec = (long) (end - 1e9 * (double) (int64_t) (end / 1e9));
    pthread_mutex_lock (&s->lock);
    while (!s->hurry && pthread_cond_timedwait (&s->wake, &s->lock, &until) == 0) continue;
    pthread_mutex_unlock (&s->lock);
    s->used = thread_seconds ();
}

static void *work_until_left (void *arg) {
    wb_saver_t *s = arg;
    wb_beat_beside ();
    pthread_mutex_lock (&s->lock);
    while (!s->leave) {
        if (!s->work) {
            pthread_cond_wait (&s->wake, &s->lock);
            continue;
        }
        const wb_save_phase phase = s->phase;
        pthread_mutex_unlock (&s->lock);
        s->used = thread_seconds ();
        const wb_status status = wb_save_work (s->save, phase);
        pthread_mutex_lock (&s->lock);
        s->status = status;
        if (status != WB_OK) wb_error_take (&s->error);
        s->work = false;
        pthread_cond_signal (&s->news);
    }
    pthread_mutex_unlock (&s->lock);
    return NULL;
}

/* ---- the training ------------------------------------------------------------------------------------------------ */

static void give (wb_saver_t *s, wb_save_phase phase) {
    pthread_mutex_lock (&s->lock);
    s->phase = phase;
    s->work = true;
    pthread_cond_signal (&s->wake);
    pthread_mutex_unlock (&s->lock);
}

static wb_status start_thread (wb_saver_t *s) {
    int error = pthread_mutex_init (&s->lock, NULL);
    if (error == 0) error = pthread_cond_init (&s->wake, NULL);
    if (error == 0) error = pthread_cond_init (&s->news, NULL);
    if (error == 0) error = pthread_create (&s->thread, NULL, work_until_left, s);
    s->threaded = error == 0;
    return error == 0 ? WB_OK : WB_FAIL (WB_ENOMEM, "cannot start a thread for saving: %s", strerror (error));
}

wb_status wb_saver_new (wb_saver_t **out, wb_comm_t *world, const wb_ckpt_job_t *job, double share) {
    wb_saver_t *s = *out = wb_calloc (1, sizeof *s);
    WB_ASSERT (share > 0 && share <= 1);
    wb_status status = s != NULL ? WB_OK : WB_NOMEM ("saving in the background");
    if (s != NULL) {
        s->world = world;
        s->share = share;
        s->copy_bytes = wb_ckpt_copy_bytes (job);
        status = wb_arena_new (&s->memory, "the copy that is saved", s->copy_bytes);
    }
    if (status == WB_OK) {
        s->copy = wb_arena_floats (s->memory, (int64_t) (s->copy_bytes / sizeof (float)));
        status = start_thread (s);
    }
    status = wb_agree (world, status);
    if (status == WB_OK) return WB_OK;
    wb_saver_destroy (s);
    *out = NULL;
    return status;
}

wb_status wb_saver_begin (wb_saver_t *s, const char *dir, const wb_ckpt_job_t *job) {
    WB_ASSERT (s->save == NULL && wb_ckpt_copy_bytes (job) <= s->copy_bytes);
    WB_TRY (wb_save_new (&s->save, s->world, dir, job, s->copy, (wb_pace_t){s->share < 1 ? rest : NULL, s}));
    s->bytes = wb_save_bytes (s->save);
    s->hurry = false;
    wb_save_copy (s->save);
    give (s, WB_SAVE_MAKE);
    return WB_OK;
}

bool wb_saver_ready (wb_saver_t *s) {
    if (!wb_saver_busy (s)) return false;
    pthread_mutex_lock (&s->lock);
    const bool ready = !s->work;
    pthread_mutex_unlock (&s->lock);
    return ready;
}

static wb_status wait_for_thread (wb_saver_t *s) {
    pthread_mutex_lock (&s->lock);
    while (s->work) pthread_cond_wait (&s->news, &s->lock);
    const wb_status status = s->status;
    pthread_mutex_unlock (&s->lock);
    if (status != WB_OK) wb_error_put (&s->error);
    return status;
}

wb_status wb_saver_poll (wb_saver_t *s, bool *done) {
    const wb_save_phase phase = s->phase;
    const wb_status status = wb_save_agree (s->save, phase, wait_for_thread (s));
    *done = status != WB_OK || phase + 1 == WB_SAVE_PHASES;
    if (!*done) {
        give (s, phase + 1);
        return WB_OK;
    }
    wb_save_destroy (s->save);
    s->save = NULL;
    return status;
}

wb_status wb_saver_end (wb_saver_t *s) {
    wb_status status = WB_OK;
    if (!wb_saver_busy (s)) return WB_OK;
    pthread_mutex_lock (&s->lock);
    s->hurry = true;
    pthread_cond_signal (&s->wake);
    pthread_mutex_unlock (&s->lock);
    wb_beat_await (true);
    for (bool done = false; !done;) status = wb_saver_poll (s, &done);
    wb_beat_await (false);
    return status;
}

bool wb_saver_busy (const wb_saver_t *s) { return s != NULL && s->save != NULL; }

int64_t wb_saver_bytes (const wb_saver_t *s) { return s->bytes; }

void wb_saver_destroy (wb_saver_t *s) {
    if (s == NULL) return;
    WB_ASSERT (s->save == NULL);
    if (s->threaded) {
        pthread_mutex_lock (&s->lock);
        s->leave = true;
        pthread_cond_signal (&s->wake);
        pthread_mutex_unlock (&s->lock);
        pthread_join (s->thread, NULL);
        pthread_cond_destroy (&s->news);
        pthread_cond_destroy (&s->wake);
        pthread_mutex_destroy (&s->lock);
    }
    wb_arena_destroy (s->memory);
    wb_free (s);
}
