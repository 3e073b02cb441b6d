/* ranks: 1 2 3 */
/* The watchdog's datagrams: to every address of a rank, of IPv4 and IPv6; and who is missing by what came back. */
#include "config.h"

#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "run/watch.h"
#include "tmpi.h"

/* The next datagram, or none within a while. */
static bool take (const wb_mail_t *m, wb_note_t *note, wb_mail_address_t *from) {
    for (int i = 0; i < 500; i++) {
        if (wb_mail_take (m, note, from)) return true;
        nanosleep (&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

/* A rank is asked by the next one's only address, and answers to where the question came from. */
static bool ask_around (wb_mail_t *m, struct in6_addr address) {
    const int next = (m->rank + 1) % m->ranks, before = (m->rank + m->ranks - 1) % m->ranks;
    wb_place_t *p = &m->places[next], kept = *p;
    wb_note_t ask = {.kind = WB_NOTE_ASK, .step = 100 + m->rank}, note = {.kind = -1};
    wb_mail_address_t from;
    snprintf (p->host, sizeof p->host, "elsewhere"); /* no short cut */
    memset (p->address, 0, sizeof p->address);
    p->address[0] = address;
    wb_mail_send (m, &ask, next);
    *p = kept;
    bool good = false;
    for (int i = 0; i < 2; i++) { /* the question to this rank, and the answer to its own, in any order */
        if (!take (m, &note, &from)) return false;
        if (note.kind == WB_NOTE_ASK && note.from == before && note.step == 100 + before) {
            wb_note_t tell = {.kind = WB_NOTE_TELL, .beats = 7};
            wb_mail_reply (m, &tell, before, &from);
        } else {
            good = note.kind == WB_NOTE_TELL && note.from == next && note.beats == 7;
        }
    }
    return good;
}

static bool has_v6 (void) {
    const struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    const int fd = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool has = fd >= 0 && bind (fd, (const struct sockaddr *) &at, sizeof at) == 0;
    if (fd >= 0) close (fd);
    return has;
}

static void addresses (wb_comm_t *world) {
    wb_mail_t m;
    const uint32_t here = htonl (INADDR_LOOPBACK);
    struct in6_addr v4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy (&v4.s6_addr[12], &here, sizeof here);
    T_STATUS (wb_mail_init (&m, world), WB_OK);
    if (m.ranks > 1 && m.fd >= 0) {
        T_OK (ask_around (&m, v4), "by IPv4");
        T_OK (!has_v6 () || m.v6, "a socket for both");
        T_OK (!has_v6 () || ask_around (&m, in6addr_loopback), "by IPv6");
        wb_note_t note;
        wb_mail_address_t from;
        wb_comm_barrier (world);
        T_OK (!wb_mail_take (&m, &note, &from), "and nothing else came");
    }
    wb_mail_fini (&m);
}

static void missing (void) {
    const wb_mail_t m = {.rank = 1, .ranks = 3};
    wb_other_t others[3] = {{.heard = false}};
    bool known[3] = {false, true, false};
    int rank = -1;
    T_OK (wb_others_missing (&rank, others, known, &m, 10, 100) <= 0, "ranks that never answered are not missing");
    T_OK (rank == -1, "none");
    known[0] = known[2] = true;
    T_OK (wb_others_missing (&rank, others, known, &m, 0, 100) <= 0, "nobody was asked");
    T_OK (wb_others_missing (&rank, others, known, &m, 99, 100) <= 0, "they may still answer");
    others[0] = (wb_other_t){.heard = true, .heard_at = 99};
    T_OK (fabs (wb_others_missing (&rank, others, known, &m, 60, 100) - 40) < 1e-9, "for as long as it was asked");
    others[2] = (wb_other_t){.heard = true, .heard_at = 70};
    T_OK (fabs (wb_others_missing (&rank, others, known, &m, 60, 100) - 30) < 1e-9, "since its last answer");
    T_OK (rank == 2, "which");
    others[2].heard_at = 98;
    T_OK (wb_others_missing (&rank, others, known, &m, 60, 100) <= 0, "all answer");
}

int main (void) {
    wb_comm_t *world = T_BEGIN ();
    addresses (world);
    missing ();
    return T_END ();
}
