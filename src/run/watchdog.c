/* The watchdog: notices that a run does not get on, says who is late, and ends it rather than burn node-hours.
 *
 * Every process has two threads that need no call of MPI and no file.  The clock looks at the process's pulse (beat.h)
 * four times a second; if nothing gets done for the limit and a little more, it ends the process: whatever else hangs,
 * that works.  The voice answers other ranks, and while its own rank is silent for half of the time after which there
 * is a warning, on two ranks (0, and one on another host if there is one) it asks all others, once a second; it says
 * who is late, and at the limit ends the process with a message and a line in history.jsonl.  A run is in step, so one
 * rank that hangs silences all, and each ends by itself, also on a host that is cut off.  As long as a rank that
 * answers gets on, the others wait for it: somebody is slow.
 *
 * Limits hold for the time without a beat, and a beat is a kernel, a message, a piece of a file.  Within steps they are
 * watchdog.warn and .limit, or one and three mean steps, if that is more; outside, and until a step has been done after
 * that (rank 0 has work that the others wait for), watchdog.other.  But a rank that is missing is no rank at work: one
 * that has answered before and does not any more is judged by the limits of a step, whatever the run is at.  Whether
 * ranks can be asked at all shows at the start, when the speakers ask all of them once.
 *
 * A rank near by that is gone (killed) is noticed as well: the launcher then ends the others, by a signal that looks
 * like a request.
 *
 * Not done here: what happens before the configuration is known, such as a launcher that hangs in MPI_Init. */
#include "config.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run/signals.h"
#include "run/watch.h"

#define TICK_MS 250
#define RESUMED 3.0  /* seconds between ticks: the process was stopped, or the machine asleep */
#define MERCY 10.0   /* seconds after the limit until the clock ends what the voice could not */
#define GONE_FOR 5.0 /* seconds in which a launcher that lost a rank may do its own */

struct wb_watch {
    wb_run_t *run;
    double warn, limit, other;
    wb_mail_t mail;
    wb_other_t *others; /* [ranks] owned */
    bool *known;        /* [ranks] owned: has ever answered; of the voice */
    int speaker;        /* 0: speaks; 1: speaks if that rank does not answer; 2: only for itself */
    bool first_here;    /* the lowest rank of its host */
    pthread_t clock, voice;
    int threads;
    _Atomic int area, leave;
    _Atomic int64_t step;
    _Atomic double step_seconds; /* mean; 0: none yet */
    _Atomic bool settled;        /* a step was done since another area was left */
    _Atomic double changed;      /* of the clock: the last beat, wb_now () */
    _Atomic double excused;      /* of the voice: somebody else got on then */
    _Atomic double missing;      /* of the voice: a rank was found missing for long then */
    /* of the voice alone */
    double began, quiet_since, asked, last_ask, heard_speaker, next_warning, gone_since;
    bool warned;
};

static const char *const areas[WB_AREAS] = {"start",        "loading",        "step", "validation at step",
                                            "save of step", "sample at step", "end"};
void wb_say_area (char buf[48], int area, int64_t step) {
    const bool numbered = area >= WB_AREA_STEP && area != WB_AREA_END && area < WB_AREAS;
    if (numbered)
        snprintf (buf, 48, "%s %lld", areas[area], (long long) step);
    else
        snprintf (buf, 48, "%s", area >= 0 && area < WB_AREAS ? areas[area] : "?");
}

/* The table for signal handlers; NULL: no watchdog runs. */
static _Atomic (const wb_mail_t *) peers;
static _Atomic int missing_rank = -1; /* on another host, that does not answer any more; of the voice */

int wb_watch_gone (void) {
    const wb_mail_t *m = atomic_load (&peers);
    const int gone = m != NULL ? wb_others_gone (m) : -1;
    return gone >= 0 ? gone : atomic_load (&missing_rank);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static bool in_steps (const wb_watch_t *w) {
    return atomic_load (&w->settled) && atomic_load (&w->area) == WB_AREA_STEP;
}

static double step_limit (const wb_watch_t *w) {
    return w->limit > 0 ? fmax (w->limit, 3 * atomic_load (&w->step_seconds)) : INFINITY;
}
static double step_warning (const wb_watch_t *w) { return fmax (w->warn, atomic_load (&w->step_seconds)); }

/* Was a rank found missing since the last beat? */
static bool one_is_missing (const wb_watch_t *w) { return atomic_load (&w->missing) > atomic_load (&w->changed); }

/* Seconds of silence until the end; INFINITY: never. */
static double limit_of (const wb_watch_t *w) {
    if (in_steps (w)) return step_limit (w);
    const double other = w->other > 0 ? w->other : INFINITY;
    return one_is_missing (w) ? fmin (step_limit (w), other) : other;
}

static double warning_of (const wb_watch_t *w) {
    if (in_steps (w)) return step_warning (w);
    return w->limit > 0 && w->other > w->limit ? w->warn * w->other / w->limit : w->warn;
}

static double silent (const wb_watch_t *w, double now) { return now - atomic_load (&w->changed); }
static double unexcused (const wb_watch_t *w, double now) {
    return now - fmax (atomic_load (&w->changed), atomic_load (&w->excused));
}

static void nap (void) { nanosleep (&(struct timespec){.tv_nsec = TICK_MS * 1000000L}, NULL); }

static void *run_clock (void *arg) {
    wb_watch_t *w = arg;
    uint64_t beats = 0;
    for (double last = wb_now (); atomic_load (&w->leave) == 0; nap ()) {
        const double now = wb_now ();
        const wb_pulse_t pulse = wb_pulse ();
        if (pulse.beats != beats || now - last > RESUMED) atomic_store (&w->changed, now);
        beats = pulse.beats;
        last = now;
        if (unexcused (w, now) > limit_of (w) + MERCY) _exit (WB_EHUNG);
    }
    return NULL;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Not by the log: another thread may hold its locks, and hang. */
static void say (const char *kind, const char *text) {
    char line[WB_ERROR_TEXT + 64];
    int n = snprintf (line, sizeof line, "wabun: %s%s\n", kind, text);
    if (n >= (int) sizeof line) n = (int) sizeof line - 1;
    (void) !write (STDERR_FILENO, line, (size_t) n);
}

/* Only a process that speaks for the others, or that nobody speaks for, says something. */
static bool may_speak (const wb_watch_t *w, double now) {
    if (w->speaker == 0) return true;
    if (now - w->heard_speaker < 5) return false;
    return w->speaker == 1 || w->first_here;
}

static void look_at_myself (wb_watch_t *w, double now) {
    const wb_pulse_t pulse = wb_pulse ();
    wb_note_t *n = &w->others[w->mail.rank].note;
    *n = (wb_note_t){.area = atomic_load (&w->area),
                     .doing = (int32_t) pulse.doing,
                     .waiting = pulse.waiting,
                     .step = atomic_load (&w->step),
                     .beats = pulse.beats,
                     .silent = silent (w, now)};
    snprintf (n->last, sizeof n->last, "%s", pulse.last != NULL ? pulse.last : "");
}

static void say_late (wb_watch_t *w, char *buf, size_t bytes, double now) {
    char late[512], time[32], area[48];
    look_at_myself (w, now);
    if (w->speaker < 2)
        wb_others_text (late, sizeof late, &w->mail, w->others, w->asked, now);
    else
        snprintf (late, sizeof late, "rank %d on %s waits, and the rank that would know does not ask", w->mail.rank,
                  wb_comm_host ());
    const wb_note_t *mine = &w->others[w->mail.rank].note;
    wb_say_area (area, mine->area, mine->step);
    snprintf (buf, bytes, "%s: no progress for %s: %s", area, wb_format_seconds (time, silent (w, now)), late);
}

static void end (wb_watch_t *w, const char *text) WB_NORETURN;
static void end (wb_watch_t *w, const char *text) {
    wb_error_clear ();
    (void) WB_FAIL (WB_EHUNG, "%s; run the same command again to go on from the newest checkpoint", text);
    say ("", wb_error_get ()->text);
    if (atomic_load (&w->area) != WB_AREA_END) wb_run_history_end (w->run, WB_EHUNG);
    _exit (WB_EHUNG);
}

/* ---- the voice --------------------------------------------------------------------------------------------------- */

static void take_mail (wb_watch_t *w) {
    wb_note_t note;
    wb_mail_address_t from;
    while (wb_mail_take (&w->mail, &note, &from)) {
        const double now = wb_now ();
        if (note.kind == WB_NOTE_TELL) {
            w->known[note.from] = true;
            wb_others_hear (w->others, &note, now);
        } else if (note.kind == WB_NOTE_ASK) {
            const int to = note.from;
            w->heard_speaker = now;
            if (note.moving != 0) atomic_store (&w->excused, now);
            if (note.missing != 0) atomic_store (&w->missing, now);
            look_at_myself (w, now);
            note = w->others[w->mail.rank].note;
            note.kind = WB_NOTE_TELL;
            wb_mail_reply (&w->mail, &note, to, &from);
        }
    }
}

/* Ask all others, or those that never answered, in portions that leave room for the answers. */
static void send_to_all (wb_watch_t *w, wb_note_t *note, bool unknown_only) {
    enum { PORTION = 64 };
    int sent = 0;
    w->last_ask = wb_now ();
    for (int i = 0; i < w->mail.ranks; i++) {
        if (i == w->mail.rank || (unknown_only && w->known[i])) continue;
        wb_mail_send (&w->mail, note, i);
        if (++sent % PORTION != 0) continue;
        nanosleep (&(struct timespec){.tv_nsec = 10000000}, NULL);
        take_mail (w);
    }
}

/* Which ranks can be asked? */
static void greet (wb_watch_t *w, double now) {
    enum { TRIES = 10 }; /* a second each */
    wb_note_t note = {.kind = WB_NOTE_ASK};
    if (w->speaker == 2 || now - w->began > TRIES || now - w->last_ask < 1) return;
    send_to_all (w, &note, true);
}

static void ask (wb_watch_t *w, double now) {
    wb_note_t note = {.kind = WB_NOTE_ASK};
    if (w->speaker == 2 || now - w->last_ask < 1) return;
    if (w->asked <= 0) {
        w->asked = now;
        w->quiet_since = atomic_load (&w->changed);
        memset (w->others, 0, (size_t) w->mail.ranks * sizeof *w->others);
    }
    const bool moving = wb_others_move (w->others, w->mail.ranks, fmax (w->asked, now - 3.5));
    note.moving = moving ? 1 : 0;
    if (moving) atomic_store (&w->excused, now);
    note.missing = wb_others_missing (&(int){0}, w->others, w->known, &w->mail, w->asked, now) > w->limit / 2 ? 1 : 0;
    if (note.missing != 0) atomic_store (&w->missing, now);
    send_to_all (w, &note, false);
}

static void go_on (wb_watch_t *w, double now) {
    char text[96], time[32];
    if (w->warned && may_speak (w, now)) {
        snprintf (text, sizeof text, "progress again after %s", wb_format_seconds (time, now - w->quiet_since));
        say ("", text);
    }
    w->asked = w->next_warning = w->gone_since = 0;
    w->warned = false;
}

/* A process near by that has ended makes the launcher end the others, which looks like a request to stop. */
static void look_for_gone (wb_watch_t *w, double now) {
    char text[256];
    const bool asked = wb_signals_stop ();
    if (atomic_load (&w->area) == WB_AREA_END || (!asked && silent (w, now) < 2)) return;
    const int rank = wb_others_gone (&w->mail);
    if (rank < 0) w->gone_since = 0;
    if (rank < 0) return;
    if (w->gone_since <= 0) w->gone_since = now;
    if (now - w->gone_since > 2 * GONE_FOR) _exit (WB_EHUNG);
    if (now - w->heard_speaker < 5) return; /* what was wrong has been said, and that rank may have ended for it */
    if (now - w->gone_since < (asked ? 0.5 : GONE_FOR)) return;
    snprintf (text, sizeof text,
              "rank %d on %s (process %lld) is gone: it ended by itself, was killed, or took more memory than there is",
              rank, w->mail.places[rank].host, (long long) w->mail.places[rank].process);
    if (w->first_here || rank < w->mail.rank) end (w, text);
}

static void look (wb_watch_t *w, double now) {
    char text[WB_ERROR_TEXT];
    const double quiet = silent (w, now);
    double warning = warning_of (w);
    int missing = -1; /* on another host */
    if (quiet < fmin (warning, step_warning (w)) / 2) {
        atomic_store (&missing_rank, -1);
        if (w->asked > 0) go_on (w, now);
        greet (w, now);
        return;
    }
    ask (w, now);
    if (wb_others_missing (&missing, w->others, w->known, &w->mail, w->asked, now) > 0) warning = step_warning (w);
    if (missing >= 0 && wb_mail_is_near (&w->mail, missing)) missing = -1; /* it is stopped, and may go on */
    atomic_store (&missing_rank, missing);
    if (quiet > (w->next_warning > 0 ? w->next_warning : warning) && w->speaker < 2 && may_speak (w, now)) {
        say_late (w, text, sizeof text, now);
        say ("warning: ", text);
        w->next_warning = 2 * quiet;
        w->warned = true;
    }
    /* A launcher that ends the ranks meanwhile has lost that one, and will not wait for the limit. */
    if (unexcused (w, now) > limit_of (w) + w->speaker || (missing >= 0 && wb_signals_loss ())) {
        if (!may_speak (w, now)) return; /* the clock ends it, unless the launcher does so before */
        say_late (w, text, sizeof text, now);
        end (w, text);
    }
}

static void *run_voice (void *arg) {
    wb_watch_t *w = arg;
    struct pollfd mail = {.fd = w->mail.fd, .events = POLLIN};
    for (double last = wb_now (); atomic_load (&w->leave) == 0;) {
        (void) poll (&mail, 1, TICK_MS);
        take_mail (w);
        const double now = wb_now ();
        if (now - last > RESUMED) { /* perhaps before the clock has noticed */
            atomic_store (&w->changed, now);
            w->asked = 0;
        }
        last = now;
        look_for_gone (w, now);
        look (w, now);
    }
    return NULL;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

/* Two ranks speak: 0, and the first on another host, or 1. */
static void choose_speakers (wb_watch_t *w) {
    const wb_mail_t *m = &w->mail;
    int second = m->ranks > 1 ? 1 : 0;
    for (int i = m->ranks - 1; i > 0; i--)
        if (strcmp (m->places[i].host, m->places[0].host) != 0) second = i;
    w->speaker = m->rank == 0 ? 0 : m->rank == second ? 1 : 2;
    w->first_here = true;
    for (int i = 0; i < m->rank; i++)
        if (strcmp (m->places[i].host, m->places[m->rank].host) == 0) w->first_here = false;
}

static void free_watch (wb_watch_t *w) {
    if (w == NULL) return;
    wb_free (w->others);
    wb_free (w->known);
    wb_free (w);
}

wb_status wb_watch_new (wb_watch_t **out, wb_run_t *r) {
    const wb_run_options_t *o = &r->config->run;
    *out = NULL;
    if (!o->watchdog) return WB_OK;
    wb_watch_t *w = wb_calloc (1, sizeof *w);
    if (w != NULL) w->others = wb_calloc ((size_t) wb_comm_size (r->world), sizeof *w->others);
    if (w != NULL) w->known = wb_calloc ((size_t) wb_comm_size (r->world), sizeof *w->known);
    const bool enough = w != NULL && w->others != NULL && w->known != NULL;
    wb_status status = wb_agree (r->world, enough ? WB_OK : WB_NOMEM ("the watchdog"));
    if (status == WB_OK) status = wb_mail_init (&w->mail, r->world);
    if (status != WB_OK) {
        free_watch (w);
        return status;
    }
    w->run = r;
    w->warn = o->watchdog_warn, w->limit = o->watchdog_limit, w->other = o->watchdog_other;
    w->began = wb_now ();
    atomic_store (&w->changed, w->began);
    choose_speakers (w);
    *out = w;
    atomic_store (&peers, &w->mail);
    if (pthread_create (&w->clock, NULL, run_clock, w) == 0) w->threads++;
    if (w->threads == 1 && pthread_create (&w->voice, NULL, run_voice, w) == 0) w->threads++;
    if (w->threads < 2) wb_warn ("no threads for the watchdog: a rank that hangs will not be noticed");
    return WB_OK;
}

void wb_watch_destroy (wb_watch_t *w) {
    if (w == NULL) return;
    atomic_store (&peers, NULL);
    atomic_store (&missing_rank, -1);
    atomic_store (&w->leave, 1);
    if (w->threads > 0) pthread_join (w->clock, NULL);
    if (w->threads > 1) pthread_join (w->voice, NULL);
    wb_mail_fini (&w->mail);
    free_watch (w);
}

void wb_watch_enter (wb_watch_t *w, wb_area area, int64_t step) {
    if (w == NULL) return;
    if (area != WB_AREA_STEP) {
        atomic_store (&w->settled, false);
        wb_doing_set (WB_DOING_OTHER);
    }
    atomic_store (&w->step, step);
    atomic_store (&w->area, area);
    wb_beat ();
}

void wb_watch_stepped (wb_watch_t *w, double seconds) {
    if (w == NULL) return;
    const double before = atomic_load (&w->step_seconds);
    atomic_store (&w->step_seconds, before > 0 ? 0.9 * before + 0.1 * seconds : seconds);
    atomic_store (&w->settled, true);
}
