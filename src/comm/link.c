/* Stage links: messages between two ranks, posted in advance.
 *
 * Two queues of MPI requests, one each way; waits are for the oldest.  MPI keeps messages of one sender, communicator
 * and tag in order, so the messages need no numbers.  Sends and receives use the caller's buffers directly.
 *
 * Not done here: a link of a rank to itself; copies. */
#include "config.h"

#include "comm/comm_priv.h"

#define PARTS 8 /* messages in one transfer, each at most WB_MESSAGE_MAX bytes: 2^30 floats together */

typedef struct lane {
    MPI_Request *part; /* [depth][PARTS] */
    int64_t *floats;   /* [depth] */
    int64_t posted, done;
} lane_t;

struct wb_link {
    MPI_Comm mpi;
    int peer, tag, depth;
    lane_t send, recv;
    double waited;
};

wb_status wb_link_new (wb_link_t **out, wb_comm_t *group, int peer, int tag, int depth) {
    WB_ASSERT (peer >= 0 && peer < group->size && peer != group->rank && depth >= 1 && tag >= 0 && tag < 10000);
    wb_link_t *l = *out = wb_calloc (1, sizeof *l);
    if (l == NULL) return WB_NOMEM ("a link between stages");
    l->mpi = group->mpi;
    l->peer = peer;
    l->tag = WB_TAG_LINK + tag;
    l->depth = depth;
    lane_t *lanes[2] = {&l->send, &l->recv};
    for (int i = 0; i < 2; i++) {
        lanes[i]->part = wb_calloc ((size_t) depth * PARTS, sizeof *lanes[i]->part);
        lanes[i]->floats = wb_calloc ((size_t) depth, sizeof *lanes[i]->floats);
        if (lanes[i]->part == NULL || lanes[i]->floats == NULL) {
            wb_link_destroy (l);
            *out = NULL;
            return WB_NOMEM ("a link between stages");
        }
        for (int k = 0; k < depth * PARTS; k++) lanes[i]->part[k] = MPI_REQUEST_NULL;
    }
    return WB_OK;
}

void wb_link_destroy (wb_link_t *l) {
    if (l == NULL) return;
    WB_ASSERT (l->send.posted == l->send.done && l->recv.posted == l->recv.done);
    wb_free (l->send.part);
    wb_free (l->send.floats);
    wb_free (l->recv.part);
    wb_free (l->recv.floats);
    wb_free (l);
}

/* Requests of the next transfer. */
static MPI_Request *post (wb_link_t *l, lane_t *lane, int64_t n) {
    WB_ASSERT (lane->posted - lane->done < l->depth);
    WB_ASSERT (n >= 0 && n <= PARTS * (int64_t) (WB_MESSAGE_MAX / sizeof (float)));
    int64_t at = lane->posted++ % l->depth;
    lane->floats[at] = n;
    return lane->part + at * PARTS;
}

/* Part k of n floats: its first float and its count, -1 after the last.  A transfer of 0 floats is one empty message.
 */
static int part_of (int64_t n, int k, int64_t *first) {
    const int64_t max = (int64_t) (WB_MESSAGE_MAX / sizeof (float));
    *first = k * max;
    int64_t left = n - *first;
    return left <= 0 ? (k == 0 ? 0 : -1) : (int) (left < max ? left : max);
}

void wb_link_send_begin (wb_link_t *l, const float *x, int64_t n) {
    MPI_Request *part = post (l, &l->send, n);
    int64_t first;
    for (int k = 0, count; k < PARTS && (count = part_of (n, k, &first)) >= 0; k++)
        WB_MPI (MPI_Isend (x + first, count, MPI_FLOAT, l->peer, l->tag, l->mpi, &part[k]));
}

void wb_link_recv_begin (wb_link_t *l, float *x, int64_t n) {
    MPI_Request *part = post (l, &l->recv, n);
    int64_t first;
    for (int k = 0, count; k < PARTS && (count = part_of (n, k, &first)) >= 0; k++)
        WB_MPI (MPI_Irecv (x + first, count, MPI_FLOAT, l->peer, l->tag, l->mpi, &part[k]));
}

static void finish (wb_link_t *l, lane_t *lane, bool receiving) {
    WB_ASSERT (lane->posted > lane->done);
    int64_t at = lane->done % l->depth, n = lane->floats[at], first;
    MPI_Request *part = lane->part + at * PARTS;
    double start = wb_now ();
    for (int k = 0, count, got; k < PARTS && (count = part_of (n, k, &first)) >= 0; k++) {
        MPI_Status status;
        wb_mpi_wait (&part[k], &status);
        if (!receiving) continue;
        WB_MPI (MPI_Get_count (&status, MPI_FLOAT, &got));
        WB_ASSERT (got == count); /* or the two ends disagree on the schedule */
    }
    l->waited += wb_now () - start;
    lane->done++;
}

void wb_link_send_end (wb_link_t *l) { finish (l, &l->send, false); }
void wb_link_recv_end (wb_link_t *l) { finish (l, &l->recv, true); }

void wb_link_poll (wb_link_t *l) {
    const lane_t *lanes[2] = {&l->send, &l->recv};
    for (int i = 0; i < 2; i++) {
        int done;
        if (lanes[i]->posted == lanes[i]->done) continue;
        WB_MPI (MPI_Request_get_status (lanes[i]->part[lanes[i]->done % l->depth * PARTS], &done, MPI_STATUS_IGNORE));
    }
}

double wb_link_seconds_waited (const wb_link_t *l) { return l->waited; }
