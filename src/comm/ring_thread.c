/* A thread that polls a ring while operations are under way, so that it moves during long kernels.
 *
 * It sleeps between polls, and waits without polling while the queue is empty.  The lock is held by whoever moves the
 * ring.
 *
 * Not done here: binding the thread to a core. */
#include "config.h"

#include <string.h>
#include <time.h>

#include "comm/ring_priv.h"

#define NAP_NS 50000 /* between polls */

static void *poll_until_left (void *arg) {
    wb_ring_t *r = arg;
    const struct timespec nap = {.tv_nsec = NAP_NS};
    pthread_mutex_lock (&r->lock);
    while (!r->leave) {
        if (r->finished == r->queued) {
            pthread_cond_wait (&r->wake, &r->lock);
            continue;
        }
        wb_ring_progress (r);
        pthread_mutex_unlock (&r->lock);
        nanosleep (&nap, NULL);
        pthread_mutex_lock (&r->lock);
    }
    pthread_mutex_unlock (&r->lock);
    return NULL;
}

wb_status wb_ring_thread (wb_ring_t *r) {
    if (r->ranks == 1 || r->threaded || !wb_world_threads ()) return WB_OK;
    int rc = pthread_mutex_init (&r->lock, NULL);
    if (rc != 0) goto no_lock;
    rc = pthread_cond_init (&r->wake, NULL);
    if (rc != 0) goto no_wake;
    rc = pthread_create (&r->thread, NULL, poll_until_left, r);
    if (rc != 0) goto no_thread;
    r->threaded = true;
    return WB_OK;
no_thread:
    pthread_cond_destroy (&r->wake);
no_wake:
    pthread_mutex_destroy (&r->lock);
no_lock:
    return WB_FAIL (WB_ENOMEM, "cannot start a thread for the ring: %s", strerror (rc));
}

void wb_ring_thread_stop (wb_ring_t *r) {
    if (!r->threaded) return;
    wb_ring_lock (r);
    r->leave = true;
    pthread_cond_signal (&r->wake);
    wb_ring_unlock (r);
    pthread_join (r->thread, NULL);
    pthread_cond_destroy (&r->wake);
    pthread_mutex_destroy (&r->lock);
    r->threaded = false;
}
