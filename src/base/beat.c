/* The pulse of a process: a counter of what gets done, what it is doing, and whether it waits for others.
 *
 * One process does one thing, so this is the process's own; the stores are relaxed, because whoever looks at them looks
 * again.  A thread that does something beside that must not hide that the rest hangs: its beats count only while it is
 * waited for.
 *
 * Not done here: judging it (run/watchdog.c). */
#include "config.h"

#include <stdatomic.h>
#include <stddef.h>

#include "wabun/base.h"

static _Atomic uint64_t beats;
static _Atomic int doing, waits;
static _Atomic (const char *) last;
static _Thread_local bool beside;
static _Atomic bool awaited;

const char *wb_doing_name (wb_doing d) {
    static const char *const names[WB_DOINGS] = {
        "",        "reading samples", "forward pass",   "backward pass", "sum of the gradients",
        "verdict", "update",          "log and metrics"};
    return d > WB_DOING_OTHER && d < WB_DOINGS ? names[d] : "";
}

void wb_beat (void) {
    if (beside && !atomic_load_explicit (&awaited, memory_order_relaxed)) return;
    atomic_fetch_add_explicit (&beats, 1, memory_order_relaxed);
}

void wb_beat_beside (void) { beside = true; }
void wb_beat_await (bool yes) { atomic_store_explicit (&awaited, yes, memory_order_relaxed); }

void wb_beat_kernel (const char *name) {
    atomic_store_explicit (&last, name, memory_order_relaxed);
    wb_beat ();
}

void wb_doing_set (wb_doing d) {
    atomic_store_explicit (&doing, (int) d, memory_order_relaxed);
    wb_beat ();
}

void wb_wait_begin (void) { atomic_fetch_add_explicit (&waits, 1, memory_order_relaxed); }
void wb_wait_end (void) { atomic_fetch_sub_explicit (&waits, 1, memory_order_relaxed); }

wb_pulse_t wb_pulse (void) {
    return (wb_pulse_t){.beats = atomic_load_explicit (&beats, memory_order_relaxed),
                        .doing = (wb_doing) atomic_load_explicit (&doing, memory_order_relaxed),
                        .waiting = atomic_load_explicit (&waits, memory_order_relaxed) > 0,
                        .last = atomic_load_explicit (&last, memory_order_relaxed)};
}
