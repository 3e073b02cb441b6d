/* Whose run directory it is: RUN/.owner, for file systems on which a lock of one host is not seen by another.
 *
 * A network file system may keep locks to each host, have none, or free those of a host that it has lost sight of while
 * that host still writes.  So beside the lock (lock.c) there is a record: process, host, and a beat that a thread of
 * rank 0 counts up every few seconds.  It appears by a rename, so it is whole.  Whoever finds one that is not its own
 *   - on this machine: looks whether that process is there, with the time it was started at, for numbers come again;
 *   - on another: watches whether the beat goes on, by its value, for clocks differ, and takes over when it does not.
 * An owner that finds another's record in its place ends at once: two runs must not write.  So even of two that start
 * at the same moment, only the one that wrote last goes on.
 *
 * Not done here: more than that a server of files that hangs lets nobody beat. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/watch.h"

#define BEAT 3.0 /* seconds */
#define WAIT 10.0

typedef struct record {
    long long process, since, beat;
    unsigned long long machine;
    char host[64];
} record_t;

struct wb_owner {
    char *path, *run;
    record_t mine;
    pthread_t thread;
    bool beats;
    _Atomic int leave;
};

/* Clock ticks from the boot to the start of a process: field 22 of /proc/PID/stat; 0: not known. */
static long long started (long long process) {
    char path[64], *text = NULL;
    size_t n;
    long long since = 0;
    snprintf (path, sizeof path, "/proc/%lld/stat", process);
    if (wb_file_read (&text, &n, path) != WB_OK) {
        wb_error_clear ();
        return 0;
    }
    const char *s = strrchr (text, ')');
    for (int field = 2; s != NULL && field < 22; field++) s = strchr (s + 1, ' ');
    if (s != NULL) since = strtoll (s, NULL, 10);
    wb_free (text);
    return since;
}

/* Is there a record? */
static bool read_record (record_t *out, const char *path) {
    char text[256];
    size_t n = 0;
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const int error = wb_fd_read (fd, text, &n, sizeof text - 1, 0);
    close (fd);
    text[n] = 0;
    return error == 0 && sscanf (text, "process %lld on %63[^,], machine %llx, since %lld, beat %lld", &out->process,
                                 out->host, &out->machine, &out->since, &out->beat) == 5;
}

static bool same_owner (const record_t *a, const record_t *b) {
    return a->process == b->process && a->machine == b->machine && a->since == b->since;
}

static void write_text (char text[256], const record_t *r) {
    snprintf (text, 256, "process %lld on %s, machine %016llx, since %lld, beat %012lld\n", r->process, r->host,
              r->machine, r->since, r->beat);
}

static void nap (void) { nanosleep (&(struct timespec){.tv_nsec = 250 * 1000 * 1000}, NULL); }

/* Does the owner of `other` still write? */
static bool is_alive (const record_t *other, const char *path, const char *run) {
    record_t now;
    if (other->machine == wb_this_machine ())
        return wb_process_state (other->process) != 0 && started (other->process) == other->since;
    wb_info ("%s was last written by process %lld on %s: waiting up to %.0f s whether that is still there", run,
             other->process, other->host, WAIT);
    const double start = wb_now ();
    while (wb_now () - start < WAIT) {
        nap ();
        wb_beat ();
        if (!read_record (&now, path)) return false; /* it has ended, as it should */
        if (!same_owner (&now, other) || now.beat != other->beat) return true;
    }
    return false;
}

/* ---- the beat ---------------------------------------------------------------------------------------------------- */

static void lost (const wb_owner_t *o, const record_t *other) {
    char text[512];
    const int n = snprintf (text, sizeof text,
                            "wabun: %s: another run has begun to write there (process %lld on %s), so this one ends: "
                            "start only one, or set another `run`\n",
                            o->run, other->process, other->host);
    if (n > 0) (void) !write (STDERR_FILENO, text, (size_t) n < sizeof text ? (size_t) n : sizeof text - 1);
    _exit (WB_EIO);
}

/* In place: the name stays that of the record that was renamed to it.  Nothing is done where it cannot be opened: a
 * server that is away for a while, a user who cleans up. */
static void beat (wb_owner_t *o) {
    record_t now;
    char text[256];
    if (read_record (&now, o->path) && !same_owner (&now, &o->mine)) lost (o, &now);
    const int fd = open (o->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    o->mine.beat++;
    write_text (text, &o->mine);
    if (wb_fd_write (fd, text, strlen (text), 0) != 0 || fsync (fd) != 0) wb_debug ("%s: no beat", o->path);
    close (fd);
}

static void *run_beats (void *owner) {
    wb_owner_t *o = owner;
    for (double last = wb_now (); atomic_load (&o->leave) == 0; nap ()) {
        if (wb_now () - last < BEAT) continue;
        beat (o);
        last = wb_now ();
    }
    return NULL;
}

/* ---- taking and giving back -------------------------------------------------------------------------------------- */

static wb_status take (wb_owner_t *o, bool locked) {
    record_t other;
    char text[256];
    if (read_record (&other, o->path)) {
        if (is_alive (&other, o->path, o->run))
            return WB_FAIL (
                WB_EIO,
                "%s: another run is writing there (process %lld on %s): wait for its end or stop it, or set "
                "another `run`",
                o->run, other.process, other.host);
        wb_debug ("%s: process %lld on %s is gone", o->run, other.process, other.host);
    }
    write_text (text, &o->mine);
    if (wb_file_write (o->path, text, strlen (text)) != WB_OK) { /* a full disk: the lock holds all the same */
        wb_debug ("%s", wb_error_get ()->text);
        wb_error_clear ();
        return WB_OK;
    }
    for (int i = 0; i < 6 && !locked; i++) nap (); /* whoever starts at the same moment has written by then */
    if (read_record (&other, o->path) && !same_owner (&other, &o->mine))
        return WB_FAIL (WB_EIO,
                        "%s: another run is writing there (process %lld on %s): wait for its end or stop it, or set "
                        "another `run`",
                        o->run, other.process, other.host);
    o->beats = pthread_create (&o->thread, NULL, run_beats, o) == 0;
    return WB_OK;
}

wb_status wb_owner_take (wb_owner_t **out, const char *run, bool locked) {
    wb_owner_t *o = *out = wb_calloc (1, sizeof *o);
    if (o != NULL) o->path = wb_format ("%s/.owner", run), o->run = wb_strdup (run);
    if (o == NULL || o->path == NULL || o->run == NULL) return WB_NOMEM ("%s", run);
    o->mine = (record_t){.process = getpid (), .machine = wb_this_machine (), .since = started (getpid ())};
    snprintf (o->mine.host, sizeof o->mine.host, "%.63s", wb_comm_host ());
    return take (o, locked);
}

void wb_owner_drop (wb_owner_t *o) {
    record_t now;
    if (o == NULL) return;
    atomic_store (&o->leave, 1);
    if (o->beats) pthread_join (o->thread, NULL);
    if (o->beats && read_record (&now, o->path) && same_owner (&now, &o->mine)) (void) unlink (o->path);
    wb_free (o->path);
    wb_free (o->run);
    wb_free (o);
}

/* By the beat's time of writing; the clocks of the two hosts may differ by some seconds. */
bool wb_owner_is_elsewhere (const char *run) {
    record_t r;
    struct stat st;
    char *path = wb_format ("%s/.owner", run);
    const bool is = path != NULL && read_record (&r, path) && r.machine != wb_this_machine () &&
                    stat (path, &st) == 0 && (double) time (NULL) - (double) st.st_mtime < 30;
    wb_free (path);
    return is;
}
