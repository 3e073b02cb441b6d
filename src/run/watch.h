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
    int32_t moving; /* ASK: somebody gets on, so wait */
    int32_t area, doing, waiting;
    int64_t step;
    uint64_t beats;
    double silent; /* seconds without a beat */
    char last[24]; /* kernel */
} wb_note_t;

#define WB_MAIL_ADDRESSES 4
/* Where a rank is found. */
typedef struct wb_place {
    char host[64];
    uint64_t machine; /* the same: its processes are seen from here by their numbers */
    int64_t process;
    uint32_t address[WB_MAIL_ADDRESSES]; /* in network order, 0: none */
    uint16_t port;                       /* likewise */
} wb_place_t;
typedef struct wb_mail {
    int fd; /* -1: no sockets here; nothing is sent and nothing comes */
    int rank, ranks;
    uint64_t key;
    wb_place_t *places; /* [ranks] owned */
} wb_mail_t;

/* Collective over world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_mail_init (wb_mail_t *m, wb_comm_t *world) WB_NODISCARD;
void wb_mail_fini (wb_mail_t *m);
/* All of these return at once. */
void wb_mail_send (const wb_mail_t *m, wb_note_t *note, int to);
void wb_mail_reply (const wb_mail_t *m, wb_note_t *note, int to, const struct sockaddr_in *at);
bool wb_mail_take (const wb_mail_t *m, wb_note_t *note, struct sockaddr_in *from);
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
/* Who is late, and in what: one line without an end, for others that were asked since `asked`.  others[mail->rank] is
 * this rank itself. */
void wb_others_text (char *buf, size_t bytes, const wb_mail_t *m, const wb_other_t *others, double asked, double now);
/* The lowest rank near this one whose process is gone; -1: none.  May be called by a signal handler. */
int wb_others_gone (const wb_mail_t *m);

#endif
