/* ranks: 1 2 3 5 */
/* A pipeline of links: activations forth, gradients back, several in flight, with lengths that change. */
#include "config.h"

#include <string.h>

#include "tmpi.h"

enum { DEPTH = 4, MESSAGES = 30, MOST = 70000 };

static int64_t length (int m) { return m % 7 == 0 ? 0 : m % 5 == 0 ? MOST : 13 * m; }
static float value (int from, int m, int64_t i) { return (float) (from * 1000 + m) + (float) (i % 97) / 128.0F; }

static bool right (const float *x, int from, int m) {
    for (int64_t i = 0; i < length (m); i++) {
        if (x[i] != value (from, m, i)) return false;
    }
    return true;
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    int P = wb_comm_size (world), r = wb_comm_rank (world);
    wb_link_t *up = NULL, *down = NULL, *other = NULL;
    wb_status st = WB_OK;
    if (r + 1 < P) st = wb_link_new (&up, world, r + 1, 7, DEPTH);
    if (r > 0 && st == WB_OK) st = wb_link_new (&down, world, r - 1, 7, DEPTH);
    T_STATUS (wb_agree (world, st), WB_OK);

    /* Everything that may be in flight is in flight, both ways, on all links. */
    float *out = wb_malloc (2 * DEPTH * MOST * sizeof *out), *in = wb_malloc (2 * DEPTH * MOST * sizeof *in);
    wb_link_t *links[2] = {up, down};
    bool ok = true;
    for (int m = 0; m < MESSAGES + DEPTH - 1; m++) {
        for (int k = 0; k < 2; k++) {
            wb_link_t *l = links[k];
            if (l == NULL) continue;
            int peer = k == 0 ? r + 1 : r - 1, old = m - (DEPTH - 1);
            if (m < MESSAGES) {
                float *to = in + (k * DEPTH + m % DEPTH) * MOST, *from = out + (k * DEPTH + m % DEPTH) * MOST;
                for (int64_t i = 0; i < length (m); i++) from[i] = value (r, m, i), to[i] = -1.0F;
                wb_link_recv_begin (l, to, length (m));
                wb_link_send_begin (l, from, length (m));
                wb_link_poll (l);
            }
            if (old >= 0) {
                wb_link_recv_end (l);
                ok = ok && right (in + (k * DEPTH + old % DEPTH) * MOST, peer, old);
                wb_link_send_end (l);
            }
        }
    }
    T_OK (ok, "messages arrive in order and whole");

    /* A second link between the same ranks, with another tag, used in the other order. */
    if (r < 2 && P > 1) st = wb_link_new (&other, world, 1 - r, 8, 1);
    T_STATUS (wb_agree (world, st), WB_OK);
    float a = 0.0F, b = 0.0F;
    const float one = 1.0F, two = 2.0F;
    if (r == 0 && P > 1) {
        wb_link_send_begin (up, &one, 1);
        wb_link_send_begin (other, &two, 1);
        wb_link_send_end (other);
        wb_link_send_end (up);
    }
    if (r == 1) {
        wb_link_recv_begin (other, &b, 1);
        wb_link_recv_begin (down, &a, 1);
        wb_link_recv_end (other);
        wb_link_recv_end (down);
    }
    T_OK (r != 1 || (a == 1.0F && b == 2.0F), "links with other tags do not mix");
    T_OK (up == NULL || wb_link_seconds_waited (up) >= 0.0, "time");
    wb_link_destroy (up);
    wb_link_destroy (down);
    wb_link_destroy (other);
    wb_free (out);
    wb_free (in);
    return T_END ();
}
