/* The engine's plan of a step: which texts begin, what is pushed, who gives blocks back.
 *
 * Texts are served in the order in which they began.  Each that is being written gets its one row; what prompts there
 * are share the rows of a piece, the oldest first, so that a step stays short.  Whoever finds no free block takes those
 * of the youngest text, which is paused; a paused text begins again, its prompt in pieces and what was drawn singly,
 * when there is room for all of it, and until then no other text begins.  The oldest text always finds room: the pool
 * holds at least one text.
 *
 * Texts of one request, and requests with the same beginning, do not push the same block twice: the later one waits a
 * step and shares it. */
#include "config.h"

#include <string.h>

#include "infer/engine.h"

static int64_t blocks_of (int64_t positions) { return (positions + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK; }

/* Blocks that nobody has, nor will have after this step's pieces. */
static int64_t spare (const wb_engine_t *e) { return wb_infer_blocks_free (e->inf) - e->step_blocks; }

/* ---- beginning --------------------------------------------------------------------------------------------------- */

/* Blocks that the texts begun so far still need for what is in their windows, and one for what they draw. */
static int64_t owed (const wb_engine_t *e) {
    int64_t sum = 0;
    for (int i = 0; i < e->n; i++) {
        const int64_t held = wb_engine_held (e, e->order[i]), n = e->slots[e->order[i]].n;
        sum += blocks_of (n) - blocks_of (held) + (n < e->size.T ? 1 : 0);
    }
    return sum;
}

/* The next text that may begin; NULL: none.  After the first one, those of a request wait for its prompt. */
static wb_group_t *next_group (const wb_engine_t *e) {
    wb_group_t *g = e->groups;
    while (g != NULL && (g->begun == g->r.texts || (g->begun > 0 && !g->prompt_done))) g = g->next;
    return g;
}

/* One more text of a request, in the first free slot; n: the ids it begins with. */
static int begin (wb_engine_t *e, wb_group_t *g, int64_t number, int64_t n) {
    int slot = 0;
    while (e->slots[slot].group != NULL) slot++;
    wb_slot_t *t = &e->slots[slot];
    const wb_ids_t history = {t->history.data, 0, t->history.cap};
    *t = (wb_slot_t){.group = g, .number = number, .window = t->window, .n = n, .base = n, .history = history};
    memcpy (t->window, g->r.ids, (size_t) n * sizeof *t->window);
    e->order[e->n++] = slot;
    return slot;
}

/* The next text of a request; of a search all of its slots, of which the first has the prompt. */
static void begin_text (wb_engine_t *e, wb_group_t *g) {
    if (g->search != NULL) {
        for (int i = 0; i < g->width; i++) g->lanes[i] = begin (e, g, i, i == 0 ? g->r.n : 0);
        g->begun = g->r.texts;
        return;
    }
    const int slot = begin (e, g, g->begun++, g->r.n);
    if (g->hold < 0) return;
    wb_infer_copy (e->inf, slot, wb_engine_hold_seq (e, g->hold));
    e->stats.shared_tokens += g->r.n;
    e->slots[slot].fresh = true;
}

static void begin_texts (wb_engine_t *e) {
    int64_t room = wb_infer_blocks_free (e->inf) - owed (e);
    for (wb_group_t *g; (g = next_group (e)) != NULL; begin_text (e, g)) {
        const int slots = g->search != NULL ? g->width : 1;
        if (e->n + slots > e->texts) return;
        room -= g->hold < 0 ? blocks_of (g->r.n) + slots : 2;
        if (e->n > 0 && room < 0) return;
    }
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static void pause_text (wb_engine_t *e, int slot) {
    wb_infer_rewind (e->inf, slot, 0);
    e->slots[slot].paused = true;
    e->slots[slot].fresh = false;
    e->stats.paused++;
}

/* A prompt that is only kept gives way before a text does. */
static bool give_up_a_hold (wb_engine_t *e) {
    for (int i = 0; i < WB_ENGINE_HOLDS; i++)
        if (e->held[i] != NULL) {
            wb_engine_drop_hold (e, e->held[i]);
            return true;
        }
    return false;
}

/* Room for n more positions of the at-th oldest text, at the cost of younger ones.  False: it was the youngest, and is
 * paused itself. */
static bool make_room (wb_engine_t *e, int at, int64_t n) {
    const int slot = e->order[at];
    while (wb_infer_blocks_need (e->inf, slot, n) > spare (e)) {
        if (give_up_a_hold (e)) continue;
        int youngest = e->n - 1;
        while (youngest > at && e->slots[e->order[youngest]].paused) youngest--;
        pause_text (e, e->order[youngest]);
        if (youngest == at) return false;
    }
    return true;
}

/* ---- what is pushed ---------------------------------------------------------------------------------------------- */

/* Is the block that text t would push from `held` on pushed by another one in this step? */
static bool is_pushed (const wb_engine_t *e, const wb_slot_t *t, int64_t held) {
    const int64_t end = held + WB_CACHE_BLOCK;
    for (int i = 0; end <= t->base && i < e->npieces; i++) {
        const wb_slot_t *other = &e->slots[e->pushed[i].slot];
        if (!e->pieces[i].singly && e->pushed[i].from <= held && e->pushed[i].from + e->pieces[i].n >= end &&
            memcmp (other->window, t->window, (size_t) end * sizeof *t->window) == 0)
            return true;
    }
    return false;
}

/* Does the text want to be told of all positions of its prompt, so that it must push all of it? */
static bool is_echo (const wb_slot_t *t) {
    const wb_group_t *g = t->group;
    const bool states = g->search != NULL && wb_search_wants_states (g->search);
    return (g->r.prompt || states) && t->number == 0 && t->length == 0;
}

/* How many rows of its prompt a text pushes now, of at most `left`: whole blocks, or all that is left.  The last
 * position is always pushed, as its logits are wanted. */
static int64_t prompt_rows (wb_engine_t *e, int slot, int64_t left) {
    const wb_slot_t *t = &e->slots[slot];
    const int64_t before = wb_engine_held (e, slot);
    int64_t held = before;
    if (!is_echo (t)) held = wb_infer_attach (e->inf, slot, t->window, t->base < t->n ? t->base : t->base - 1);
    e->stats.shared_tokens += held - before;
    if (held == t->base || (!is_echo (t) && is_pushed (e, t, held))) return 0;
    return t->base - held <= left ? t->base - held : left / WB_CACHE_BLOCK * WB_CACHE_BLOCK;
}

static void add_piece (wb_engine_t *e, int slot, int64_t n, bool singly) {
    const wb_slot_t *t = &e->slots[slot];
    const int64_t held = wb_engine_held (e, slot);
    e->pushed[e->npieces] = (wb_pushed_t){slot, e->step_rows, held};
    e->pieces[e->npieces++] = (wb_piece_t){.seq = slot, .n = n, .singly = singly, .logits = held + n == t->n};
    memcpy (e->tokens + e->step_rows, t->window + held, (size_t) n * sizeof *e->tokens);
    e->step_rows += n;
    e->step_blocks += wb_infer_blocks_need (e->inf, slot, n);
}

/* May a paused text begin again? */
static bool resume (wb_engine_t *e, int at) {
    wb_slot_t *t = &e->slots[e->order[at]];
    if (at > 0 && blocks_of (t->n) + 1 > spare (e)) return false;
    t->paused = false;
    return true;
}

void wb_engine_plan (wb_engine_t *e) {
    e->npieces = 0, e->step_rows = 0, e->step_blocks = 0;
    if (e->n == 0 || !e->slots[e->order[e->n - 1]].paused) begin_texts (e);
    bool writing = false;
    for (int i = 0; i < e->n; i++) {
        const wb_slot_t *t = &e->slots[e->order[i]];
        writing = writing || (!t->paused && t->n > 0 && wb_engine_held (e, e->order[i]) >= t->base);
    }
    int64_t left = writing ? WB_ENGINE_PIECE : e->rows - WB_ENGINE_BACK - e->texts, back = WB_ENGINE_BACK;
    for (int i = 0; i < e->n; i++) {
        const int slot = e->order[i];
        wb_slot_t *t = &e->slots[slot];
        if (t->paused && !resume (e, i)) break;
        if (t->fresh) continue;
        int64_t n = wb_engine_held (e, slot) < t->base ? prompt_rows (e, slot, left) : 0;
        const bool singly = wb_engine_held (e, slot) >= t->base;
        if (singly) {
            n = t->n - wb_engine_held (e, slot);
            if (n > 1 + back) n = 1 + back;
        }
        if (!make_room (e, i, n)) break;
        if (n == 0) continue;
        if (singly)
            back -= n - 1;
        else
            left -= n;
        if (!singly) e->stats.prompt_tokens += n;
        add_piece (e, slot, n, singly);
    }
}
