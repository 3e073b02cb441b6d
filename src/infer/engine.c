/* The engine: many requests at once, between whose steps texts come and go.
 *
 * A step plans (engine_plan.c), pushes, and draws (engine_draw.c).  A text has a slot, which is a sequence of the
 * inference object, from its beginning to its end; a request whose texts have no slot yet waits in its turn.  A search
 * has as many slots as it works on unfinished texts, whatever texts are wanted of it (engine_search.c).
 *
 * Why the bits of a text are its own: a prompt is pushed in pieces that begin with a block, everything drawn is pushed
 * singly, also when it is pushed again after a pause, and only blocks of prompts are shared (kv_cache.c has the rest).
 *
 * Not here: threads and queues between them (serve), text (texts.c). */
#include "config.h"

#include <string.h>

#include "infer/engine.h"

enum { TEXTS = 32 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* What is asked for, with the defaults in their places. */
static wb_engine_limits_t settle (wb_size_t *s, const wb_engine_limits_t *asked) {
    wb_engine_limits_t l = asked != NULL ? *asked : (wb_engine_limits_t){0};
    if (l.texts < 1) l.texts = TEXTS;
    if (l.positions > 0 && l.positions < s->T) s->T = l.positions;
    const int64_t one = (s->T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK;
    if (l.blocks < 1) l.blocks = one * l.texts;
    if (l.blocks < one) l.blocks = one;
    return l;
}

static int64_t rows_of (const wb_size_t *s, int texts) {
    const int64_t prompt = (s->T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK * WB_CACHE_BLOCK;
    const int64_t rows = prompt < WB_ENGINE_ROWS ? prompt : WB_ENGINE_ROWS;
    return rows + WB_ENGINE_BACK + texts;
}

/* All memory beside the inference object; on a counting arena its size.  size, texts and rows are set. */
static void carve (wb_engine_t *e, wb_arena_t *a) {
    const int64_t V = e->size.V, texts = e->texts;
    e->slots = wb_arena_alloc (a, (size_t) texts * sizeof *e->slots);
    e->order = wb_arena_alloc (a, (size_t) texts * sizeof *e->order);
    e->pieces = wb_arena_alloc (a, (size_t) texts * sizeof *e->pieces);
    e->pushed = wb_arena_alloc (a, (size_t) texts * sizeof *e->pushed);
    e->draws = wb_arena_alloc (a, (size_t) texts * sizeof *e->draws);
    e->drawn = wb_arena_alloc (a, (size_t) texts * sizeof *e->drawn);
    e->tokens = wb_arena_alloc (a, (size_t) e->rows * sizeof *e->tokens);
    e->hidden = wb_arena_floats (a, e->rows * e->size.C);
    e->logits = wb_arena_floats (a, texts * V);
    e->hold_logits = wb_arena_floats (a, WB_ENGINE_HOLDS * V);
    e->echo = wb_arena_floats (a, WB_ENGINE_ECHO * V);
    e->mx = wb_arena_floats (a, WB_ENGINE_ECHO);
    e->sum = wb_arena_floats (a, WB_ENGINE_ECHO);
    e->hit = wb_arena_floats (a, WB_ENGINE_ECHO);
    e->work = wb_arena_alloc (a, (size_t) texts * wb_sample_work_bytes (V));
    int32_t *windows = wb_arena_alloc (a, (size_t) (texts * e->size.T) * sizeof *windows);
    for (int i = 0; windows != NULL && i < texts; i++) e->slots[i].window = windows + i * e->size.T;
}

size_t wb_engine_block_bytes (const wb_size_t *s, bool half_cache) {
    const int64_t numbers = s->L * wb_cache_floats (WB_CACHE_BLOCK, s->H, s->C / s->H);
    return (size_t) numbers * (half_cache ? sizeof (uint16_t) : sizeof (float));
}

size_t wb_engine_bytes (const wb_size_t *s, const wb_engine_limits_t *limits) {
    wb_engine_t e = {.size = *s};
    const wb_engine_limits_t l = settle (&e.size, limits);
    e.texts = l.texts;
    e.rows = rows_of (&e.size, l.texts);
    wb_arena_t count = wb_arena_counting ();
    carve (&e, &count);
    return wb_arena_used (&count) + wb_infer_bytes (&e.size, e.texts + WB_ENGINE_HOLDS, l.blocks, e.rows);
}

wb_status wb_engine_new (wb_engine_t **out, const wb_model_t *m, const wb_engine_limits_t *limits) {
    *out = NULL;
    wb_engine_t *e = wb_calloc (1, sizeof *e);
    if (e == NULL) return WB_NOMEM ("texts");
    *e = (wb_engine_t){.m = m, .size = m->size, .eot = wb_tokenizer_eot (m->tokenizer)};
    const wb_engine_limits_t l = settle (&e->size, limits);
    e->texts = l.texts;
    e->rows = rows_of (&e->size, l.texts);
    e->V = wb_tokenizer_size (m->tokenizer) < m->size.V ? wb_tokenizer_size (m->tokenizer) : m->size.V;
    wb_arena_t count = wb_arena_counting ();
    carve (e, &count);
    wb_status status = wb_arena_new (&e->arena, "texts", wb_arena_used (&count));
    if (status == WB_OK) {
        carve (e, e->arena);
        wb_arena_seal (e->arena);
        status = wb_infer_new (&e->inf, &e->size, m->params, m->weights, m->form, m->kern, e->texts + WB_ENGINE_HOLDS,
                               l.blocks, e->rows);
    }
    if (status == WB_OK)
        *out = e;
    else
        wb_engine_destroy (e);
    return status;
}

static void destroy (wb_engine_t *e, void (*end) (wb_infer_t *inf)) {
    if (e == NULL) return;
    while (e->groups != NULL) {
        wb_group_t *g = e->groups;
        e->groups = g->next;
        wb_search_destroy (g->search);
        wb_free (g);
    }
    for (int i = 0; e->slots != NULL && i < e->texts; i++) wb_ids_fini (&e->slots[i].history);
    end (e->inf);
    wb_arena_destroy (e->arena);
    wb_free (e);
}

void wb_engine_destroy (wb_engine_t *e) { destroy (e, wb_infer_destroy); }
void wb_engine_discard (wb_engine_t *e) { destroy (e, wb_infer_discard); }

/* ---- requests ---------------------------------------------------------------------------------------------------- */

wb_status wb_engine_submit (wb_engine_t *e, uint64_t *id, const wb_request_t *r) {
    WB_ASSERT (r->n >= 1 && r->n <= e->size.T && r->texts >= 1 && r->likely <= WB_LIKELY_MAX);
    WB_TRY (wb_engine_check (e, r));
    wb_group_t *g = wb_malloc (sizeof *g + (size_t) r->n * sizeof *r->ids);
    if (g == NULL) return WB_NOMEM ("a request of %lld tokens", (long long) r->n);
    int32_t *ids = (int32_t *) (g + 1);
    memcpy (ids, r->ids, (size_t) r->n * sizeof *ids);
    *g = (wb_group_t){.r = *r, .id = ++e->last_id, .hold = -1};
    g->r.ids = ids;
    const wb_status status = wb_engine_search_new (e, g);
    if (status != WB_OK) {
        wb_free (g);
        return status;
    }
    wb_group_t **at = &e->groups;
    while (*at != NULL) at = &(*at)->next;
    *at = g;
    *id = g->id;
    return WB_OK;
}

void wb_engine_drop_hold (wb_engine_t *e, wb_group_t *g) {
    if (g->hold < 0) return;
    for (int i = 0; i < e->n; i++) { /* begun, but its first token is not drawn yet: its prompt must be pushed */
        wb_slot_t *t = &e->slots[e->order[i]];
        if (t->group != g || !t->fresh) continue;
        wb_infer_rewind (e->inf, e->order[i], 0);
        t->fresh = false;
    }
    wb_infer_rewind (e->inf, wb_engine_hold_seq (e, g->hold), 0);
    e->held[g->hold] = NULL;
    g->hold = -1;
}

/* Take a text out of its slot. */
static void release (wb_engine_t *e, int slot) {
    int left = 0;
    for (int i = 0; i < e->n; i++)
        if (e->order[i] != slot) e->order[left++] = e->order[i];
    e->n = left;
    wb_infer_rewind (e->inf, slot, 0);
    e->slots[slot].group = NULL;
}

static void remove_group (wb_engine_t *e, wb_group_t *g) {
    wb_group_t **at = &e->groups;
    wb_engine_drop_hold (e, g);
    while (*at != g) at = &(*at)->next;
    *at = g->next;
    wb_search_destroy (g->search);
    wb_free (g);
}

void wb_engine_end (wb_engine_t *e, int slot, wb_end end) {
    wb_slot_t *t = &e->slots[slot];
    wb_group_t *g = t->group;
    const wb_event_t event = {.kind = WB_EVENT_END, .text = t->number, .index = t->length, .end = end};
    (void) g->r.event (g->r.ctx, &event);
    release (e, slot);
    if (++g->ended == g->r.texts) remove_group (e, g);
}

void wb_engine_forget (wb_engine_t *e, wb_group_t *g) {
    for (int i = 0; i < e->texts; i++)
        if (e->slots[i].group == g) release (e, i);
    remove_group (e, g);
}

void wb_engine_cancel (wb_engine_t *e, uint64_t id) {
    wb_group_t *g = e->groups;
    while (g != NULL && g->id != id) g = g->next;
    if (g != NULL) wb_engine_forget (e, g);
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

bool wb_engine_step (wb_engine_t *e) {
    if (e->groups == NULL) return false;
    wb_engine_plan (e);
    bool hidden = false;
    for (int i = 0; i < e->npieces; i++) {
        const wb_request_t *r = &e->slots[e->pushed[i].slot].group->r;
        const wb_search_t *search = e->slots[e->pushed[i].slot].group->search;
        hidden = hidden || r->prompt || r->vector || (search != NULL && wb_search_wants_states (search));
    }
    wb_infer_run (e->inf, hidden ? e->hidden : NULL, e->logits, e->tokens, e->pieces, e->npieces);
    wb_engine_draw (e);
    e->stats.steps++;
    return true;
}

void wb_engine_stats (wb_engine_stats_t *out, const wb_engine_t *e) {
    *out = e->stats;
    for (const wb_group_t *g = e->groups; g != NULL; g = g->next) {
        out->requests++;
        out->waiting += g->r.texts - g->begun;
    }
    out->texts = e->n;
    out->blocks = wb_infer_blocks (e->inf);
    out->blocks_used = out->blocks - wb_infer_blocks_free (e->inf);
}
