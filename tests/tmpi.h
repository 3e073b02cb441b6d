/* wabun - tests of many ranks.  The same checks as t.h, with a verdict that all ranks of the world agree on: every rank
 * must come to every check, and when one fails on any rank all of them know, so a test may leave early without leaving
 * the others in a collective.  The rank that failed prints where.
 *
 *     (first line)  ranks: 1 2 3 4        in a comment
 *     int main (void) {
 *         wb_comm_t *world = T_BEGIN ();
 *         ... T_OK (...), T_NEAR (...), T_STATUS (...) on every rank ...
 *         return T_END ();                leak check, end of MPI, exit code
 *     }
 *
 * A check that is true of one rank only: T_OK (wb_comm_rank (world) != 0 || x == 1, ...).
 * T_SUB (comm) makes checks agree over a group for a while, T_SUB (NULL) over the world again. */
#ifndef WABUN_TMPI_H
#define WABUN_TMPI_H

#include "wabun/comm.h"

static wb_comm_t *t_world, *t_group;

static inline bool t_agree (bool ok) {
    if (t_group == NULL) return ok;
    int64_t bad = ok ? 0 : 1;
    wb_comm_max_i64 (t_group, &bad, 1);
    return bad == 0;
}

#define T_AGREE(ok) t_agree (ok)
#define T_RANK (t_world != NULL ? wb_comm_rank (t_world) : 0)
#include "t.h"

static inline wb_comm_t *t_begin (void) {
    if (wb_world_new (&t_world) != WB_OK) {
        wb_error_print ();
        exit (99);
    }
    t_group = t_world;
    wb_log_init (WB_LOG_WARN, wb_comm_rank (t_world) == 0);
    return t_world;
}

static inline int t_end (void) {
    t_group = t_world;
    int64_t failures = t_failures;
    wb_comm_max_i64 (t_world, &failures, 1);
    bool root = wb_comm_rank (t_world) == 0;
    wb_world_destroy (t_world);
    t_world = t_group = NULL;
    if (wb_mem_balance () != 0) {
        fprintf (stderr, "leak: %lld blocks, %zu bytes were not freed\n", (long long) wb_mem_balance (), wb_mem_now ());
        failures++;
    }
    if (root) printf ("%lld checks, %lld failed\n", (long long) t_checks, (long long) failures);
    return failures == 0 ? 0 : 1;
}

#define T_BEGIN() t_begin ()
#define T_END() t_end ()
#define T_SUB(comm) (t_group = (comm) != NULL ? (comm) : t_world)

#endif
