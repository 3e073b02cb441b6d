/* The engine after a push: log-probabilities of prompts, tokens drawn, texts that end.
 *
 * Not here: which texts were pushed (engine_plan.c), how an id is drawn (sample.c), searches (engine_search.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/engine.h"

/* ---- log-probabilities ------------------------------------------------------------------------------------------- */

int wb_most_likely (wb_likely_t *out, const float *logits, int64_t V, int n) {
    int found = 0;
    if (n < 1) return 0;
    for (int64_t v = 0; v < V; v++) {
        if (found == n && !(logits[v] > out[n - 1].logprob)) continue;
        int at = found < n ? found++ : n - 1;
        for (; at > 0 && logits[v] > out[at - 1].logprob; at--) out[at] = out[at - 1];
        out[at] = (wb_likely_t){(int32_t) v, logits[v]};
    }
    return found;
}

void wb_engine_sums (wb_engine_t *e, const float *logits, const int32_t *targets, int64_t rows) {
    const int64_t V = e->size.V;
    e->m->kern->xent_max (e->mx, logits, rows, V, V);
    e->m->kern->xent_sum (e->sum, e->hit, logits, e->mx, targets, rows, V, V, 0);
}

/* Fill in what an event says of row i of the last wb_engine_sums(). */
static void rate (wb_engine_t *e, wb_event_t *event, wb_likely_t *likely, const float *logits, int64_t i, int n) {
    const float log_sum = logf (e->sum[i]);
    event->logprob = e->hit[i] - e->mx[i] - log_sum;
    event->nlikely = wb_most_likely (likely, logits, e->size.V, n);
    event->likely = likely;
    for (int j = 0; j < event->nlikely; j++) likely[j].logprob = likely[j].logprob - e->mx[i] - log_sum;
}

/* Tell of tokens of a prompt: positions from .. from + n - 1 have been pushed, their states are hidden [n, C]. */
static void tell_prompt (wb_engine_t *e, int slot, const float *hidden, int64_t from, int64_t n) {
    wb_slot_t *t = &e->slots[slot];
    const wb_request_t *r = &t->group->r;
    wb_likely_t likely[WB_LIKELY_MAX];
    if (from + n > t->base - 1) n = t->base - 1 - from; /* after the last one there is no token of the prompt */
    for (int64_t i = t->told > from ? t->told - from : 0, rows; i < n; i += rows) {
        rows = n - i < WB_ENGINE_ECHO ? n - i : WB_ENGINE_ECHO;
        wb_infer_logits (e->inf, e->echo, hidden + i * e->size.C, rows);
        wb_engine_sums (e, e->echo, t->window + from + i + 1, rows);
        for (int64_t j = 0; j < rows; j++) {
            wb_event_t event = {.kind = WB_EVENT_PROMPT, .index = from + i + j + 1, .id = t->window[from + i + j + 1]};
            rate (e, &event, likely, e->echo + j * e->size.V, j, r->likely);
            (void) r->event (r->ctx, &event);
        }
        t->told = from + i + rows;
    }
}

/* ---- what was pushed --------------------------------------------------------------------------------------------- */

/* The prompt of a request is done: what its other texts need of it is kept. */
static void keep_prompt (wb_engine_t *e, int slot, const float *logits) {
    wb_group_t *g = e->slots[slot].group;
    g->prompt_done = true;
    for (int i = 0; g->begun < g->r.texts && g->hold < 0 && i < WB_ENGINE_HOLDS; i++) {
        if (e->held[i] != NULL) continue;
        e->held[i] = g;
        g->hold = i;
        wb_infer_copy (e->inf, wb_engine_hold_seq (e, i), slot);
        memcpy (e->hold_logits + i * e->size.V, logits, (size_t) e->size.V * sizeof (float));
    }
}

static const wb_sampling_t nothing = {0}; /* of a draw that does not count */

/* What sampling looks back at: the prompt, unless there is none but <|endoftext|>, and what was drawn. */
static bool look_back (wb_engine_t *e, wb_slot_t *t) {
    const wb_request_t *r = &t->group->r;
    const int64_t prompt = r->n == 1 && r->ids[0] == e->eot ? 0 : r->n, need = prompt + t->length;
    wb_ids_t *h = &t->history;
    if (!wb_sampling_looks_back (&r->sampling)) return true;
    if (t->length == 0) h->len = 0;
    if (h->len < need && wb_ids_reserve (h, need - h->len) != WB_OK) {
        wb_error_clear ();
        return false;
    }
    if (t->length == 0 && prompt > 0) memcpy (h->data, r->ids, (size_t) prompt * sizeof *h->data);
    if (t->length > 0 && h->len < need) h->data[need - 1] = t->window[t->n - 1];
    h->len = need;
    return true;
}

static void will_draw (wb_engine_t *e, int slot, const float *logits) {
    wb_slot_t *t = &e->slots[slot];
    const bool memory = look_back (e, t);
    e->drawn[e->ndraws] = slot;
    e->draws[e->ndraws++] = (wb_draw_t){.how = memory ? &t->group->r.sampling : &nothing,
                                        .logits = logits,
                                        .history = t->history.data,
                                        .nhistory = t->history.len,
                                        .written = t->history.len > 0 ? t->length : 0,
                                        .forbid = t->length < t->group->r.min_length ? e->eot : -1,
                                        .stream = (uint64_t) t->number,
                                        .index = (uint64_t) t->length};
}

/* A prompt was pushed, or a piece of it. */
static void after_prompt (wb_engine_t *e, int i, const float *logits) {
    const wb_pushed_t *p = &e->pushed[i];
    wb_slot_t *t = &e->slots[p->slot];
    const wb_request_t *r = &t->group->r;
    const int64_t n = e->pieces[i].n, C = e->size.C;
    wb_infer_name (e->inf, p->slot, t->window, p->from, p->from + n);
    if (t->length > 0) return;
    wb_search_t *search = t->group->search;
    for (int64_t j = 0; search != NULL && wb_search_wants_states (search) && j < n; j++)
        wb_search_past (search, p->from + j, e->hidden + (p->row + j) * C);
    if (r->prompt && t->number == 0) tell_prompt (e, p->slot, e->hidden + p->row * C, p->from, n);
    if (logits == NULL) return;
    if (r->vector && t->number == 0) {
        const wb_event_t event = {
            .kind = WB_EVENT_VECTOR, .text = t->number, .vector = e->hidden + (p->row + n - 1) * C};
        (void) r->event (r->ctx, &event);
    }
    if (!t->group->prompt_done) keep_prompt (e, p->slot, logits);
}

static void collect (wb_engine_t *e) {
    const float *logits = e->logits;
    e->ndraws = 0;
    for (int i = 0; i < e->npieces; i++) {
        const float *mine = e->pieces[i].logits ? logits : NULL;
        if (!e->pieces[i].singly) after_prompt (e, i, mine);
        if (mine == NULL) continue;
        logits += e->size.V;
        const wb_pushed_t *p = &e->pushed[i];
        if (e->slots[p->slot].group->search != NULL)
            wb_engine_search_put (e, p->slot, mine, e->hidden + (p->row + e->pieces[i].n - 1) * e->size.C);
        else
            will_draw (e, p->slot, mine);
    }
    for (int i = 0; i < e->n; i++) {
        wb_slot_t *t = &e->slots[e->order[i]];
        if (!t->fresh) continue;
        t->fresh = false;
        will_draw (e, e->order[i], e->hold_logits + t->group->hold * e->size.V);
    }
}

/* ---- what was drawn ---------------------------------------------------------------------------------------------- */

void wb_engine_append (wb_engine_t *e, int slot, int32_t id) {
    wb_slot_t *t = &e->slots[slot];
    const int64_t T = e->size.T, keep = T / 2;
    if (t->n == T) {
        memmove (t->window, t->window + T - keep, (size_t) keep * sizeof *t->window);
        wb_infer_rewind (e->inf, slot, 0);
        t->n = t->base = keep;
    }
    t->window[t->n++] = id;
}

static void take (wb_engine_t *e, const wb_draw_t *d, int slot) {
    wb_slot_t *t = &e->slots[slot];
    const wb_request_t *r = &t->group->r;
    if (t->length >= r->max_length) {
        wb_engine_end (e, slot, WB_END_LENGTH);
    } else if (d->how == &nothing) {
        wb_engine_end (e, slot, WB_END_MEMORY);
    } else if (d->id < 0 || d->id == e->eot) { /* -2: every id is forbidden, so the text can go no further */
        wb_engine_end (e, slot, d->id == -1 ? WB_END_NUMBERS : WB_END_TEXT);
    } else {
        wb_likely_t likely[WB_LIKELY_MAX];
        wb_event_t event = {.kind = WB_EVENT_TOKEN, .text = t->number, .index = t->length, .id = d->id};
        if (r->likely >= 0) {
            wb_engine_sums (e, d->logits, &d->id, 1);
            rate (e, &event, likely, d->logits, 0, r->likely);
        }
        e->stats.tokens++;
        t->length++;
        if (!r->event (r->ctx, &event))
            wb_engine_end (e, slot, WB_END_STOPPED);
        else if (t->length == r->max_length)
            wb_engine_end (e, slot, WB_END_LENGTH);
        else
            wb_engine_append (e, slot, d->id);
    }
}

/* A prompt is no longer kept when the last of its texts has begun. */
static void drop_holds (wb_engine_t *e) {
    for (int i = 0; i < WB_ENGINE_HOLDS; i++)
        if (e->held[i] != NULL && e->held[i]->begun == e->held[i]->r.texts) wb_engine_drop_hold (e, e->held[i]);
}

void wb_engine_draw (wb_engine_t *e) {
    collect (e);
    int n = 0;
    for (int i = 0; i < e->ndraws; i++) { /* those that only wanted their prompt read have no need of an id */
        const wb_slot_t *t = &e->slots[e->drawn[i]];
        n += t->length < t->group->r.max_length;
    }
    if (n > 0) wb_sample_ids (e->draws, e->ndraws, e->V, e->work);
    drop_holds (e);
    for (int i = 0; i < e->ndraws; i++) take (e, &e->draws[i], e->drawn[i]);
    wb_engine_search (e);
}
