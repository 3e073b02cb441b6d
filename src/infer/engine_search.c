/* The engine's searches: unfinished texts that share their beginnings, in slots that are copied where texts part.
 *
 * A search is given all of its slots when it begins.  Each step pushes one token of every unfinished text, as of any
 * other text; those that come in later steps, after a pause, are waited for.  When all are there the search decides
 * (search.c): a text that goes on keeps its slot, a second continuation of it takes the slot of one that does not, with
 * the blocks of keys and values, which the two share up to the block that is written to.
 *
 * Bits: what is pushed is pushed as for a text that is drawn, so a search finds the same whatever goes on beside it. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/engine.h"

static int64_t blocks_of (int64_t positions) { return (positions + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK; }

wb_status wb_engine_check (const wb_engine_t *e, const wb_request_t *r) {
    const int width = r->max_length > 0 ? wb_search_width (&r->sampling.search) : 0;
    if (width == 0) return WB_OK;
    const int64_t T = e->size.T, longest = r->max_length < T - r->n ? r->n + r->max_length : T;
    /* Where a text parts from others it needs a block more. */
    const int64_t need = blocks_of (longest) * width + (width > 1 ? width : 0), all = wb_infer_blocks (e->inf);
    if (width > e->texts)
        return WB_FAIL (WB_EUSAGE, "a search with %d texts at a time: there is room for %d", width, e->texts);
    if (need > all)
        return WB_FAIL (WB_EUSAGE,
                        "a search with %d texts of %lld tokens at a time: there is room for %lld tokens of theirs",
                        width, (long long) longest, (long long) ((all - (width > 1 ? width : 0)) * WB_CACHE_BLOCK));
    return WB_OK;
}

wb_status wb_engine_search_new (wb_engine_t *e, wb_group_t *g) {
    const wb_request_t *r = &g->r;
    g->width = r->max_length > 0 ? wb_search_width (&r->sampling.search) : 0;
    if (g->width == 0) return WB_OK;
    const wb_search_setup_t setup = {.how = &r->sampling,
                                     .prompt = r->ids,
                                     .nprompt = r->n == 1 && r->ids[0] == e->eot ? 0 : r->n,
                                     .texts = r->texts,
                                     .min_length = r->min_length,
                                     .max_length = r->max_length,
                                     .V = e->V,
                                     .row = e->size.V,
                                     .C = e->size.C,
                                     .T = e->size.T,
                                     .eot = e->eot,
                                     .likely = r->likely};
    return wb_search_new (&g->search, &setup);
}

void wb_engine_search_put (wb_engine_t *e, int slot, const float *logits, const float *state) {
    const wb_group_t *g = e->slots[slot].group;
    const int32_t any = 0;
    const bool told = g->r.likely >= 0;
    int i = 0;
    while (g->lanes[i] != slot) i++;
    if (told) wb_engine_sums (e, logits, &any, 1);
    wb_search_put (g->search, i, logits, told ? e->mx[0] : 0.0f, told ? logf (e->sum[0]) : 0.0f, state);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Tell of the tokens of a text from the told-th on.  False: the text is to end. */
static bool tell (wb_engine_t *e, wb_group_t *g, int64_t text, const int32_t *list, int64_t n) {
    for (; g->told < n; g->told++) {
        const wb_search_token_t *t = wb_search_token (g->search, list[g->told]);
        wb_event_t event = {.kind = WB_EVENT_TOKEN, .text = text, .index = g->told, .id = t->id, .logprob = t->logprob};
        event.likely = wb_search_likely (g->search, list[g->told], &event.nlikely);
        e->stats.tokens++;
        if (g->r.event (g->r.ctx, &event)) continue;
        g->told++;
        return false;
    }
    return true;
}

static void tell_end (wb_group_t *g, int64_t text, wb_end end) {
    const wb_event_t event = {.kind = WB_EVENT_END, .text = text, .index = g->told, .end = end};
    (void) g->r.event (g->r.ctx, &event);
}

/* All texts, and the end of the request. */
static void finish (wb_engine_t *e, wb_group_t *g) {
    for (int64_t i = 0; i < g->r.texts; i++, g->told = 0) {
        const int32_t *list;
        wb_end end;
        const int64_t n = wb_search_found (g->search, i, &list, &end);
        tell_end (g, i, tell (e, g, i, list, n) ? end : WB_END_STOPPED);
    }
    wb_engine_forget (e, g);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

/* Slot `to` gets the text of slot `from`.  One of the two may be paused: then keys and values are pushed again. */
static void copy (wb_engine_t *e, int to, int from) {
    const wb_slot_t *s = &e->slots[from];
    wb_slot_t *t = &e->slots[to];
    t->n = s->n, t->base = s->base, t->length = s->length;
    memcpy (t->window, s->window, (size_t) s->n * sizeof *t->window);
    if (!t->paused) wb_infer_copy (e->inf, to, from);
}

/* The n unfinished texts get their slots and their new tokens. */
static void move (wb_engine_t *e, wb_group_t *g, const wb_search_move_t *moves, int n) {
    int lanes[WB_SEARCH_MAX], left = 0;
    bool taken[WB_SEARCH_MAX] = {false}, kept[WB_SEARCH_MAX];
    for (int i = 0; i < n; i++) {
        kept[i] = !taken[moves[i].from];
        if (kept[i]) lanes[i] = g->lanes[moves[i].from];
        taken[moves[i].from] = true;
    }
    for (int i = 0; i < n; i++) {
        if (kept[i]) continue;
        while (taken[left]) left++;
        taken[left] = true;
        lanes[i] = g->lanes[left];
        copy (e, lanes[i], g->lanes[moves[i].from]);
    }
    for (int k = 0, i = n; k < g->width; k++) { /* slots without a text */
        if (taken[k]) continue;
        wb_infer_rewind (e->inf, g->lanes[k], 0);
        e->slots[g->lanes[k]].n = e->slots[g->lanes[k]].base = 0;
        lanes[i++] = g->lanes[k];
    }
    memcpy (g->lanes, lanes, (size_t) g->width * sizeof *lanes);
    for (int i = 0; i < n; i++) {
        wb_engine_append (e, lanes[i], moves[i].id);
        e->slots[lanes[i]].length++;
    }
}

static void step (wb_engine_t *e, wb_group_t *g) {
    const wb_search_move_t *moves;
    const int n = wb_search_step (g->search, &moves);
    if (n > 0 && wb_search_wants_states (g->search)) {
        const int32_t *list;
        wb_end end;
        const int64_t so_far = wb_search_found (g->search, 0, &list, &end);
        if (!tell (e, g, 0, list, so_far)) {
            tell_end (g, 0, WB_END_STOPPED);
            wb_engine_forget (e, g);
            return;
        }
    }
    if (n == 0)
        finish (e, g);
    else
        move (e, g, moves, n);
}

void wb_engine_search (wb_engine_t *e) {
    for (wb_group_t *g = e->groups, *next; g != NULL; g = next) {
        next = g->next;
        if (g->search != NULL && wb_search_ready (g->search)) step (e, g);
    }
}
