/* Counts of runs and characters, as the tokenizer sees them: blanks are tags, dashes the long-vowel mark.
 *
 * Not done here: emoji and `clean`; what they would take away is too rare to change a vocabulary. */
#include "config.h"

#include <string.h>

#include "tokenizer/utf8.h"
#include "vocab/counts.h"

enum { RUN = 32 }; /* longer runs are cut */

wb_script wb_script_of (uint32_t c) {
    if (c >= 0x3041 && c <= 0x309f) return WB_SCRIPT_HIRAGANA;
    if (c >= 0x30a1 && c <= 0x30ff && c != 0x30fb) return WB_SCRIPT_KATAKANA;
    if ((c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0xf900 && c <= 0xfaff) ||
        (c >= 0x20000 && c <= 0x3ffff) || (c >= 0x3005 && c <= 0x3007))
        return WB_SCRIPT_KANJI;
    return WB_SCRIPT_NONE;
}

static wb_run_t *find (const wb_counts_t *c, const uint32_t *run, int32_t len, uint32_t hash) {
    for (int64_t i = hash & (c->slots - 1);; i = (i + 1) & (c->slots - 1)) {
        wb_run_t *r = &c->runs[i];
        if (r->len == 0) return r;
        if (r->hash == hash && r->len == len && memcmp (c->chars + r->at, run, (size_t) len * sizeof *run) == 0)
            return r;
    }
}

/* A new table of this size with the runs that are more frequent than `above`. */
static wb_status rebuild (wb_counts_t *c, int64_t slots, int64_t above) {
    wb_counts_t new = *c;
    new.chars = NULL;
    new.slots = slots;
    new.used = new.nchars = new.chars_cap = 0;
    new.runs = wb_calloc ((size_t) slots, sizeof *new.runs);
    if (new.runs == NULL || !WB_GROW (new.chars, new.chars_cap, c->nchars + 1)) {
        wb_free (new.runs);
        return WB_NOMEM ("a table of %lld runs", (long long) slots);
    }
    for (int64_t i = 0; i < c->slots; i++) {
        wb_run_t r = c->runs[i];
        if (r.len == 0 || r.count <= above) continue;
        memcpy (new.chars + new.nchars, c->chars + r.at, (size_t) r.len * sizeof *new.chars);
        wb_run_t *to = find (&new, new.chars + new.nchars, r.len, r.hash);
        r.at = new.nchars;
        *to = r;
        new.nchars += r.len;
        new.used++;
    }
    wb_free (c->runs);
    wb_free (c->chars);
    *c = new;
    return WB_OK;
}

/* The table is half full: a larger one, or the same without the rarest runs.  Old and new are there at once. */
static wb_status make_room (wb_counts_t *c) {
    const int64_t now = c->slots * (int64_t) sizeof *c->runs + c->chars_cap * (int64_t) sizeof *c->chars;
    if (3 * now <= c->bytes) return rebuild (c, 2 * c->slots, 0);
    for (int64_t above = c->dropped > 0 ? c->dropped : 16; 4 * c->used >= c->slots; above *= 2) {
        WB_TRY (rebuild (c, c->slots, above));
        c->dropped = above;
    }
    return WB_OK;
}

static wb_status put_run (wb_counts_t *c, const uint32_t *run, int32_t len, int64_t times) {
    if (len < 2) return WB_OK;
    const uint32_t hash = (uint32_t) wb_hash64 (run, (size_t) len * sizeof *run);
    wb_run_t *r = find (c, run, len, hash);
    if (r->len == 0) {
        if (2 * c->used >= c->slots) {
            WB_TRY (make_room (c));
            r = find (c, run, len, hash);
        }
        if (!WB_GROW (c->chars, c->chars_cap, c->nchars + len)) return WB_NOMEM ("runs of characters");
        memcpy (c->chars + c->nchars, run, (size_t) len * sizeof *run);
        *r = (wb_run_t){c->nchars, 0, hash, len};
        c->nchars += len;
        c->used++;
    }
    r->count += times;
    return WB_OK;
}

static wb_status count_text (wb_counts_t *c, const char *s, size_t n, int64_t times) {
    uint32_t run[RUN];
    int32_t len = 0;
    wb_script last = WB_SCRIPT_NONE;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t x = wb_utf8_get (s + i, n - i, &length);
        if (x == 0x2014 || x == 0x2212) x = 0x30fc;
        const wb_script script = x == WB_UTF8_NONE ? WB_SCRIPT_NONE : wb_script_of (x);
        if (x != WB_UTF8_NONE) c->one[x] += times;
        if (len > 0 && (script != last || len == RUN)) {
            WB_TRY (put_run (c, run, len, times));
            len = 0;
        }
        if (script != WB_SCRIPT_NONE) run[len++] = x;
        last = script;
    }
    return put_run (c, run, len, times);
}

wb_status wb_counts_make (wb_counts_t *c, const wb_sample_t *s, int64_t bytes) {
    c->bytes = bytes;
    c->slots = 1 << 12;
    c->runs = wb_calloc ((size_t) c->slots, sizeof *c->runs);
    c->one = wb_calloc (0x110000, sizeof *c->one);
    if (c->runs == NULL || c->one == NULL) return WB_NOMEM ("counts of characters");
    for (int64_t i = 0; i < s->len; i++) {
        const wb_sample_text_t *t = &s->texts[i];
        WB_TRY (count_text (c, t->text, t->bytes, s->times[t->genre]));
    }
    return WB_OK;
}

void wb_counts_fini (wb_counts_t *c) {
    wb_free (c->runs);
    wb_free (c->chars);
    wb_free (c->one);
    *c = (wb_counts_t){0};
}
