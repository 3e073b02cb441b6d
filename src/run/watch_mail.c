/* Datagrams between the ranks' watchdogs: a question and its answer, only while something seems to hang.
 *
 * UDP, because it needs nothing of the rank that hangs, of MPI or of a file system, never waits, and a cable that is
 * cut gives what one wants to know: no answer.  Every rank has a port of its own; addresses (all of its host's, IPv4
 * and IPv6) are exchanged once by MPI, and a question goes to all of them.  A datagram carries a number that only the
 * ranks of this run know, and the rank it is for: what comes astray is dropped.
 *
 * Not done here: addresses that hold only on one link (fe80::); confirmation: who does not answer is asked again. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/watch.h"

/* A hash of the boot's number and of the name space of process numbers. */
uint64_t wb_this_machine (void) {
    struct stat st;
    uint64_t parts[2] = {0, 0};
    char *id = NULL;
    size_t n;
    if (wb_file_read (&id, &n, "/proc/sys/kernel/random/boot_id") == WB_OK)
        parts[0] = wb_hash64 (id, n);
    else
        wb_error_clear ();
    wb_free (id);
    if (stat ("/proc/self/ns/pid", &st) == 0) parts[1] = st.st_ino;
    return wb_hash64 (parts, sizeof parts);
}

static const struct in6_addr none;

/* An IPv4 address, in network order, in the form of IPv6. */
static struct in6_addr mapped (uint32_t v4) {
    struct in6_addr a = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy (&a.s6_addr[12], &v4, sizeof v4);
    return a;
}

static bool get_address (struct in6_addr *out, const struct ifaddrs *a, int family) {
    if (a->ifa_addr == NULL || a->ifa_addr->sa_family != family) return false;
    if ((a->ifa_flags & IFF_UP) == 0 || (a->ifa_flags & IFF_LOOPBACK) != 0) return false;
    const wb_mail_address_t *at = (const void *) a->ifa_addr;
    *out = family == AF_INET ? mapped (at->v4.sin_addr.s_addr) : at->v6.sin6_addr;
    return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL (out);
}

/* Those of IPv4 first, but never all places for them. */
static void find_addresses (wb_place_t *p) {
    struct ifaddrs *all = NULL;
    int n = 0;
    if (getifaddrs (&all) != 0) return;
    for (const struct ifaddrs *a = all; a != NULL && n < WB_MAIL_ADDRESSES / 2; a = a->ifa_next)
        n += get_address (&p->address[n], a, AF_INET);
    for (const struct ifaddrs *a = all; a != NULL && n < WB_MAIL_ADDRESSES; a = a->ifa_next)
        n += get_address (&p->address[n], a, AF_INET6);
    if (n < WB_MAIL_ADDRESSES) p->address[n] = none;
    freeifaddrs (all);
}

/* A socket of this family on a port of its own. */
static int bound (int family, uint16_t *port) {
    wb_mail_address_t at = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any}};
    socklen_t n = sizeof at.v6;
    const int fd = socket (family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0;
    if (fd < 0) return -1;
    if (family == AF_INET) {
        at.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_ANY)};
        n = sizeof at.v4;
    }
    if ((family == AF_INET || setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind (fd, &at.any, n) == 0 && getsockname (fd, &at.any, &n) == 0) {
        *port = family == AF_INET ? at.v4.sin_port : at.v6.sin6_port;
        return fd;
    }
    close (fd);
    return -1;
}

/* For both kinds of addresses, or for IPv4 where the system has no other. */
static void open_socket (wb_mail_t *m, uint16_t *port) {
    m->fd = bound (AF_INET6, port);
    m->v6 = m->fd >= 0;
    if (m->fd < 0) m->fd = bound (AF_INET, port);
}

wb_status wb_mail_init (wb_mail_t *m, wb_comm_t *world) {
    wb_place_t mine = {.process = getpid (), .machine = wb_this_machine ()};
    struct timespec t;
    clock_gettime (CLOCK_REALTIME, &t);
    *m = (wb_mail_t){.fd = -1, .rank = wb_comm_rank (world), .ranks = wb_comm_size (world)};
    m->places = wb_calloc ((size_t) m->ranks, sizeof *m->places);
    const wb_status status = wb_agree (world, m->places != NULL ? WB_OK : WB_NOMEM ("the watchdog"));
    if (status != WB_OK) {
        wb_free (m->places);
        m->places = NULL;
        return status;
    }
    snprintf (mine.host, sizeof mine.host, "%.63s", wb_comm_host ());
    if (m->ranks > 1) {
        open_socket (m, &mine.port);
        if (m->fd < 0) wb_debug ("no UDP socket: %s: the watchdog cannot ask other ranks", strerror (errno));
        find_addresses (&mine);
    }
    m->key = wb_hash64 (&(uint64_t[]){(uint64_t) t.tv_sec, (uint64_t) t.tv_nsec, (uint64_t) getpid (), mine.machine},
                        4 * sizeof (uint64_t));
    wb_comm_bcast (world, &m->key, sizeof m->key, 0);
    wb_comm_all_gather (world, m->places, &mine, sizeof mine);
    return WB_OK;
}

void wb_mail_fini (wb_mail_t *m) {
    if (m->fd >= 0) close (m->fd);
    wb_free (m->places);
    *m = (wb_mail_t){.fd = -1};
}

void wb_mail_reply (const wb_mail_t *m, wb_note_t *note, int to, const wb_mail_address_t *at) {
    note->key = m->key;
    note->from = m->rank;
    note->to = to;
    const socklen_t n = at->any.sa_family == AF_INET ? sizeof at->v4 : sizeof at->v6;
    if (m->fd >= 0) (void) !sendto (m->fd, note, sizeof *note, 0, &at->any, n);
}

static void send_to (const wb_mail_t *m, wb_note_t *note, int to, struct in6_addr address) {
    wb_mail_address_t at = {.v6 = {.sin6_family = AF_INET6, .sin6_port = m->places[to].port, .sin6_addr = address}};
    if (!m->v6) {
        if (!IN6_IS_ADDR_V4MAPPED (&address)) return;
        at.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = m->places[to].port};
        memcpy (&at.v4.sin_addr, &address.s6_addr[12], sizeof at.v4.sin_addr);
    }
    wb_mail_reply (m, note, to, &at);
}

void wb_mail_send (const wb_mail_t *m, wb_note_t *note, int to) {
    const wb_place_t *p = &m->places[to];
    if (p->port == 0) return;
    if (strcmp (p->host, m->places[m->rank].host) == 0) send_to (m, note, to, mapped (htonl (INADDR_LOOPBACK)));
    for (int i = 0; i < WB_MAIL_ADDRESSES && memcmp (&p->address[i], &none, sizeof none) != 0; i++)
        send_to (m, note, to, p->address[i]);
}

bool wb_mail_take (const wb_mail_t *m, wb_note_t *note, wb_mail_address_t *from) {
    for (;;) {
        socklen_t n = sizeof *from;
        const ssize_t got = m->fd >= 0 ? recvfrom (m->fd, note, sizeof *note, 0, &from->any, &n) : -1;
        if (got < 0 && m->fd >= 0 && (errno == EINTR || errno == ECONNREFUSED)) continue;
        if (got < 0) return false;
        if (got == (ssize_t) sizeof *note && note->key == m->key && note->to == m->rank && note->from >= 0 &&
            note->from < m->ranks)
            return true;
    }
}

bool wb_mail_is_near (const wb_mail_t *m, int rank) {
    const wb_place_t *a = &m->places[rank], *b = &m->places[m->rank];
    return a->machine == b->machine && strcmp (a->host, b->host) == 0;
}

/* "PID (NAME) S ...": the name may hold anything, so the state follows the last parenthesis. */
char wb_process_state (int64_t process) {
    char path[40] = "/proc/", digits[20], text[512];
    int n = 0, at = 6;
    for (int64_t p = process; p > 0 && n < 20; p /= 10) digits[n++] = (char) ('0' + p % 10);
    while (n > 0) path[at++] = digits[--n];
    memcpy (path + at, "/stat", 6);
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : '?';
    const ssize_t got = read (fd, text, sizeof text);
    close (fd);
    for (ssize_t i = got - 3; i > 0; i--)
        if (text[i] == ')') return text[i + 2] == 'Z' || text[i + 2] == 'X' ? 0 : text[i + 2];
    return got <= 0 ? 0 : '?';
}
