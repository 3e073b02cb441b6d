/* What the files of the watchdog share: the post between ranks, the table of the others, who is late.
 *
 *   watchdog.c     the two threads, limits, the end
 *   watch_ranks.c  what the other ranks answer, and the words for it
 *   watch_mail.c   datagrams between ranks
 */
#ifndef WABUN_RUN_WATCH_H
#define WABUN_RUN_WATCH_H

#include <netinet/in.h>
#include <sys/types.h>

#include "run/run_priv.h"

/* "step 20", "loading", ... */
void wb_say_area (char buf[48], int area, int64_t step);

/* ---- watch_mail.c ------------------------------------------------------------------------------------------------ */

enum { WB_NOTE_ASK, WB_NOTE_TELL };
/* A datagram. */
typedef struct wb_note {
    uint64_t key; /* of this run */
    int32_t kind, from, to;
    int32_t moving, missing; /* ASK: somebody gets on, so wait; a rank is missing, so do not wait long */
    int32_t area, doing, waiting;
    int64_t step;
    uint64_t beats;
    double silent; /* seconds without a beat */
    char last[24]; /* kernel */
} wb_note_t;

#define WB_MAIL_ADDRESSES 8
/* Where a rank is found. */
typedef struct wb_place {
    char host[64];
    uint64_t machine; /* the same: its processes are seen from here by their numbers */
    int64_t process;
    struct in6_addr address[WB_MAIL_ADDRESSES]; /* IPv4 as ::ffff:a.b.c.d; zeros: no more */
    uint16_t port;                              /* in network order, 0: it cannot be asked */
} wb_place_t;
/* Where a datagram came from. */
typedef union wb_mail_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} wb_mail_address_t;
typedef struct wb_mail {
    int fd;  /* -1: no sockets here; nothing is sent and nothing comes */
    bool v6; /* it takes and sends both kinds */
    int rank, ranks;
    uint64_t key;
    wb_place_t *places; /* [ranks] owned */
} wb_mail_t;

/* Collective over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_mail_init (wb_mail_t *m, wb_comm_t *world) WB_NODISCARD;
void wb_mail_fini (wb_mail_t *m);
/* All of these return at once. */
void wb_mail_send (const wb_mail_t *m, wb_note_t *note, int to);
void wb_mail_reply (const wb_mail_t *m, wb_note_t *note, int to, const wb_mail_address_t *at);
bool wb_mail_take (const wb_mail_t *m, wb_note_t *note, wb_mail_address_t *from);
/* Is this rank's process seen from here? */
bool wb_mail_is_near (const wb_mail_t *m, int rank);
/* A number that processes which see each other's numbers have in common. */
uint64_t wb_this_machine (void);
/* State of a process by /proc: 'R', 'S', 'D', 'T' stopped, ...; 0: there is none, or it has ended.  May be called by a
 * signal handler. */
char wb_process_state (int64_t process);

/* ---- watch_ranks.c ----------------------------------------------------------------------------------------------- */

/* What is known of another rank in this silence. */
typedef struct wb_other {
    bool heard;
    wb_note_t note;
    double heard_at, moved_at; /* wb_now () */
} wb_other_t;

/* Take an answer. */
void wb_others_hear (wb_other_t *others, const wb_note_t *note, double now);
/* Does a rank get on, by its last answers?  `since`: only what it did after that counts. */
bool wb_others_move (const wb_other_t *others, int ranks, double since);
/* Seconds for which a rank that has answered before (known) has not, longer than an answer takes; of several the
 * longest; 0: none is missing.  *rank: which, left alone where none is.  `asked`: when they were asked first. */
double wb_others_missing (int *rank, const wb_other_t *others, const bool *known, const wb_mail_t *m, double asked,
                          double now);
/* Who is late, and in what: one line without an end, for others that were asked since `asked`.  others[mail->rank] is
 * this rank itself. */
void wb_others_text (char *buf, size_t bytes, const wb_mail_t *m, const wb_other_t *others, double asked, double now);
/* The lowest rank near this one whose process is gone; -1: none.  May be called by a signal handler. */
int wb_others_gone (const wb_mail_t *m);

#endif
