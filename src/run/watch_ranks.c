/* Who is late?  Judged from what the ranks answer, and put into words.
 *
 * In a step every rank waits for every other one sooner or later, so one that hangs stops them all.  It is found by
 * elimination: a rank that does not answer is stopped, or its host or its network is gone; of those that answer, the
 * one that is not waiting for others is the one they wait for.  Where all wait, it is the messages that do not arrive.
 *
 * Not done here: asking (watchdog.c). */
#include "config.h"

#include <string.h>

#include "run/watch.h"

#define FRESH 3.5 /* seconds an answer is good for: questions are asked once a second */

void wb_others_hear (wb_other_t *others, const wb_note_t *note, double now) {
    wb_other_t *o = &others[note->from];
    if (o->heard && o->note.beats != note->beats) o->moved_at = now;
    o->heard = true;
    o->note = *note;
    o->heard_at = now;
}

bool wb_others_move (const wb_other_t *others, int ranks, double since) {
    for (int i = 0; i < ranks; i++)
        if (others[i].heard && others[i].moved_at > since) return true;
    return false;
}

double wb_others_missing (int *rank, const wb_other_t *others, const bool *known, const wb_mail_t *m, double asked,
                          double now) {
    double longest = 0;
    for (int i = 0; i < m->ranks; i++) {
        if (i == m->rank || !known[i] || asked <= 0) continue;
        const double since = now - (others[i].heard ? others[i].heard_at : asked);
        if (since <= FRESH || since <= longest) continue;
        longest = since;
        *rank = i;
    }
    return longest;
}

int wb_others_gone (const wb_mail_t *m) {
    for (int i = 0; i < m->ranks; i++)
        if (i != m->rank && wb_mail_is_near (m, i) && wb_process_state (m->places[i].process) == 0) return i;
    return -1;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* What a rank is up to: ranks of a host that share it share a clause. */
typedef enum fate { GONE, STOPPED, MUTE, BUSY, SLOW, WAITING } fate_t;

static fate_t fate_of (const wb_mail_t *m, const wb_other_t *o, int rank, double asked, double now) {
    if (rank == m->rank || (o->heard && now - o->heard_at < FRESH)) {
        if (o->note.waiting) return WAITING;
        return o->moved_at > asked ? SLOW : BUSY;
    }
    const char state = wb_mail_is_near (m, rank) ? wb_process_state (m->places[rank].process) : '?';
    return state == 0 ? GONE : state == 'T' || state == 't' ? STOPPED : MUTE;
}

static size_t add (char *buf, size_t bytes, size_t at, const char *text) {
    const size_t n = strlen (text);
    if (at + n < bytes) memcpy (buf + at, text, n + 1);
    return at + n < bytes ? at + n : at;
}

/* "save of step 20, forward pass, after the kernel logits, for 61 s" */
static void say_doing (char buf[160], const wb_note_t *n) {
    const char *what = wb_doing_name ((wb_doing) n->doing);
    char area[48];
    wb_say_area (area, n->area, n->step);
    size_t at = (size_t) snprintf (buf, 160, "%s", area);
    if (what[0] != 0) at += (size_t) snprintf (buf + at, 160 - at, ", %s", what);
    const bool computes = n->doing == WB_DOING_FORWARD || n->doing == WB_DOING_BACKWARD || n->doing == WB_DOING_UPDATE;
    if (computes && n->last[0] != 0) at += (size_t) snprintf (buf + at, 160 - at, " (last kernel: %.23s)", n->last);
    snprintf (buf + at, 160 - at, ", for %.0f s", n->silent);
}

/* The clause of the ranks of `first`'s host that share its fate. */
static size_t say_group (char *buf, size_t bytes, size_t at, const wb_mail_t *m, const wb_other_t *others, int first,
                         const unsigned char *fate) {
    char text[320], ranks[96], doing[160];
    int n = 0, last = first;
    size_t used = (size_t) snprintf (ranks, sizeof ranks, "%d", first);
    for (int i = first; i < m->ranks; i++) {
        if (fate[i] != fate[first] || strcmp (m->places[i].host, m->places[first].host) != 0) continue;
        n++;
        if (i > first && used < sizeof ranks - 24) used += (size_t) snprintf (ranks + used, 24, ", %d", i);
        last = i;
    }
    if (last - first + 1 == n && n > 2) snprintf (ranks, sizeof ranks, "%d to %d", first, last);
    const bool many = n > 1;
    static const char *const fates[][2] = {
        [GONE] = {"is gone", "are gone"},
        [STOPPED] = {"is stopped (by SIGSTOP or a debugger)", "are stopped (by SIGSTOP or a debugger)"},
        [MUTE] = {"does not answer: it is stopped, or its host or its network is gone",
                  "do not answer: they are stopped, or their host or its network is gone"},
        [BUSY] = {"does not finish: ", "do not finish: "},
        [SLOW] = {"is slower than the others, which wait for it: ",
                  "are slower than the others, which wait for them: "},
        [WAITING] = {"waits: ", "wait: "}};
    doing[0] = 0;
    if (fate[first] >= BUSY) say_doing (doing, &others[first].note);
    snprintf (text, sizeof text, "%srank%s %s on %s %s%s", at > 0 ? "; " : "", many ? "s" : "", ranks,
              m->places[first].host, fates[fate[first]][many], doing);
    return add (buf, bytes, at, text);
}

void wb_others_text (char *buf, size_t bytes, const wb_mail_t *m, const wb_other_t *others, double asked, double now) {
    unsigned char small[256], *fate = m->ranks <= (int) sizeof small ? small : wb_malloc ((size_t) m->ranks);
    enum { CLAUSES = 3 };
    int worst = WAITING, clauses = 0;
    size_t at = 0;
    buf[0] = 0;
    if (fate == NULL) return;
    for (int i = 0; i < m->ranks; i++) {
        fate[i] = (unsigned char) fate_of (m, &others[i], i, asked, now);
        if (fate[i] < worst) worst = fate[i];
    }
    /* Who is gone or stopped explains those that are busy or slow, and they explain those that wait. */
    const int until = worst <= MUTE ? MUTE : worst;
    if (worst == WAITING && m->ranks > 1)
        at = add (buf, bytes, at, "all ranks wait for messages that do not come; is the network between them broken?");
    for (int i = 0; i < m->ranks; i++) {
        bool said = fate[i] > until;
        for (int j = 0; j < i && !said; j++)
            said = fate[j] == fate[i] && strcmp (m->places[j].host, m->places[i].host) == 0;
        if (said) continue;
        if (++clauses > CLAUSES) {
            (void) add (buf, bytes, at, "; and more");
            break;
        }
        at = say_group (buf, bytes, at, m, others, i, fate);
    }
    if (fate != small) wb_free (fate);
}
