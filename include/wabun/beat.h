/* wabun - base: the pulse of a process: that it gets on, and with what (beat.c).  Part of base.h.
 *
 * Who works says so by a store; a thread of the run's watchdog looks at it now and then.  Nothing here waits or locks,
 * and any thread may call it.
 */
#ifndef WABUN_BEAT_H
#define WABUN_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a process is doing, as far as its rooms say. */
typedef enum wb_doing {
    WB_DOING_OTHER,     /**< none of these */
    WB_DOING_READ,      /**< reading samples */
    WB_DOING_FORWARD,   /**< forward pass */
    WB_DOING_BACKWARD,  /**< backward pass */
    WB_DOING_GRADIENTS, /**< the sum of the gradients */
    WB_DOING_VERDICT,   /**< the agreement at the end of a step */
    WB_DOING_UPDATE,    /**< optimizer */
    WB_DOING_LOG,       /**< log and metrics */
    WB_DOINGS
} wb_doing;
/** "reading samples", "forward pass", ...; for WB_DOING_OTHER an empty text. */
const char *wb_doing_name (wb_doing d);

/** The pulse at one moment. */
typedef struct wb_pulse {
    uint64_t beats;
    wb_doing doing;
    bool waiting;     /**< for another rank: in a call that ends only when others do their part */
    const char *last; /**< the last kernel that has finished; NULL: none yet */
} wb_pulse_t;

/** Something got done: a kernel, a message, a piece of a file.  5 to 20 ns. */
void wb_beat (void);
/** This thread works beside what the process does: its beats count only while it is awaited. */
void wb_beat_beside (void);
/** Does the process wait for such threads, from now on? */
void wb_beat_await (bool yes);
/** The same as wb_beat(), of a named kernel; the name must live for ever. */
void wb_beat_kernel (const char *name);
/** From now on this is done; also a beat. */
void wb_doing_set (wb_doing d);
/** Around calls that end only when other ranks do their part; they may be nested.  No beats: a wait is no progress. */
void wb_wait_begin (void);
void wb_wait_end (void);
wb_pulse_t wb_pulse (void);

#ifdef __cplusplus
}
#endif
#endif
