/* Messages between pipeline stages: two queues (sends, receives) of MPI requests, waited for in order.
 *
 * The poll calls MPI so that messages move while the arithmetic runs; it completes nothing by itself. */
#include "config.h"

#include "comm_priv.h"

/* A message longer than this is cut: MPI counts are int. */
#define PIECE ((int64_t) 1 << 28)

struct wb_link {
    wb_comm_t *group;
    int peer, tag, depth;
    MPI_Request *sends, *recvs; /* [depth], rings */
    int64_t send_head, send_tail, recv_head, recv_tail;
    double waited;
};

wb_status wb_link_new (wb_link_t **out, wb_comm_t *group, int peer, int tag, int depth) {
    wb_link_t *l = wb_calloc (1, sizeof *l);

    *out = NULL;
    if (l != NULL) {
        l->sends = wb_calloc ((size_t) depth, sizeof *l->sends);
        l->recvs = wb_calloc ((size_t) depth, sizeof *l->recvs);
    }
    if (l == NULL || l->sends == NULL || l->recvs == NULL) {
        wb_link_destroy (l);
        return WB_FAIL (WB_ENOMEM, "out of memory for a link between stages");
    }
    l->group = group;
    l->peer = peer;
    l->tag = tag;
    l->depth = depth;
    *out = l;
    return WB_OK;
}

void wb_link_destroy (wb_link_t *l) {
    if (l == NULL) return;
    wb_free (l->sends);
    wb_free (l->recvs);
    wb_free (l);
}

void wb_link_send_begin (wb_link_t *l, const float *x, int64_t n) {
    WB_ASSERT (l->send_tail - l->send_head < l->depth && n <= PIECE);
    WB_MPI (MPI_Isend (x, (int) n, MPI_FLOAT, l->peer, l->tag, l->group->mpi, &l->sends[l->send_tail % l->depth]));
    ++l->send_tail;
}

void wb_link_recv_begin (wb_link_t *l, float *x, int64_t n) {
    WB_ASSERT (l->recv_tail - l->recv_head < l->depth && n <= PIECE);
    WB_MPI (MPI_Irecv (x, (int) n, MPI_FLOAT, l->peer, l->tag, l->group->mpi, &l->recvs[l->recv_tail % l->depth]));
    ++l->recv_tail;
}

static void end (wb_link_t *l, MPI_Request *requests, int64_t *head, int64_t tail) {
    double start = wb_now ();

    WB_ASSERT (*head < tail);
    WB_MPI (MPI_Wait (&requests[*head % l->depth], MPI_STATUS_IGNORE));
    ++*head;
    l->waited += wb_now () - start;
}

void wb_link_send_end (wb_link_t *l) { end (l, l->sends, &l->send_head, l->send_tail); }
void wb_link_recv_end (wb_link_t *l) { end (l, l->recvs, &l->recv_head, l->recv_tail); }

void wb_link_poll (wb_link_t *l) {
    int flag;

    if (l->send_head < l->send_tail)
        WB_MPI (MPI_Request_get_status (l->sends[l->send_head % l->depth], &flag, MPI_STATUS_IGNORE));
    if (l->recv_head < l->recv_tail)
        WB_MPI (MPI_Request_get_status (l->recvs[l->recv_head % l->depth], &flag, MPI_STATUS_IGNORE));
}

double wb_link_seconds_waited (const wb_link_t *l) { return l->waited; }
