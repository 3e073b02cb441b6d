/* the engine: whatever comes and goes beside it, a request has the bits it has alone; no block is lost; a search finds
 * what it finds when all of its texts are computed from their beginnings */
#include "config.h"

#include <string.h>

#include "infer/search.h"
#include "t.h"
#include "wabun/kv_cache.h"

enum {
    L = 2,
    C = 32,
    H = 2,
    T = 200,
    V = 257,
    PLAIN = 24,
    REQUESTS = 34,
    TEXTS = 4,
    WIDEST = 5,
    ROOM = WIDEST * (T / WB_CACHE_BLOCK + 2),
    LONGEST = 260,
    NLIKELY = 3
};

static const wb_size_t size = {L, C, H, T, V};
static wb_model_t model;

static void make_model (void) {
    wb_layout_t lo;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, L, H, 0, 0), WB_OK);
    wb_layout_place (&lo, 0);
    T_STATUS (wb_params_new (&model.params, &size, &lo), WB_OK);
    T_STATUS (wb_tokenizer_new (&model.tokenizer, "byte"), WB_OK);
    model.size = size;
    model.kern = wb_kern_get (wb_cpu_isa ());
    model.weights = wb_calloc ((size_t) model.params->own, sizeof (float));
    for (int i = 0; i < model.params->n; i++) {
        const wb_param_t *p = &model.params->list[i];
        wb_rng_fill_normal (model.weights + p->offset, p->rows * p->cols, p->ndim == 2 ? 0.25 : 0.1, 5,
                            wb_rng_stream (p->name), 0);
        if (p->init == WB_INIT_ONE)
            for (int64_t j = 0; j < p->cols; j++) model.weights[p->offset + j] += 1.0f;
    }
}

/* ---- requests and what becomes of them --------------------------------------------------------------------------- */

typedef struct told {
    int32_t ids[TEXTS][LONGEST];
    float logprob[TEXTS][LONGEST];
    wb_likely_t likely[TEXTS][LONGEST][NLIKELY];
    float prompt[T], vector[C];
    int64_t n[TEXTS];
    int ends[TEXTS], end[TEXTS], prompts, vectors;
} told_t;

static wb_request_t requests[REQUESTS];
static int64_t stops[REQUESTS]; /* tokens after which the callback wants no more */
static int32_t prompts[REQUESTS][T];
static told_t alone[REQUESTS], together[REQUESTS];

typedef struct listener {
    told_t *to;
    int64_t stop;
} listener_t;
static listener_t listeners[REQUESTS];

static bool listen (void *ctx, const wb_event_t *e) {
    listener_t *l = ctx;
    told_t *t = l->to;
    if (!T_OK (e->text >= 0 && e->text < TEXTS && e->index <= LONGEST, "text %d, token %d", (int) e->text,
               (int) e->index))
        return false;
    T_OK (t->ends[e->text] == 0, "told after the end");
    if (e->kind == WB_EVENT_PROMPT) {
        t->prompts++;
        T_OK (e->index == t->prompts, "token %d of the prompt, not %d", (int) e->index, t->prompts);
        t->prompt[e->index] = e->logprob;
    } else if (e->kind == WB_EVENT_VECTOR) {
        t->vectors++;
        memcpy (t->vector, e->vector, sizeof t->vector);
    } else if (e->kind == WB_EVENT_END) {
        T_OK (e->index == t->n[e->text], "ended after %d tokens, not %d", (int) e->index, (int) t->n[e->text]);
        t->ends[e->text]++;
        t->end[e->text] = (int) e->end;
    } else {
        T_OK (e->index == t->n[e->text], "token %d, not %d", (int) e->index, (int) t->n[e->text]);
        t->ids[e->text][e->index] = e->id;
        t->logprob[e->text][e->index] = e->logprob;
        if (e->nlikely > 0) memcpy (t->likely[e->text][e->index], e->likely, (size_t) e->nlikely * sizeof *e->likely);
        t->n[e->text]++;
    }
    return e->kind != WB_EVENT_TOKEN || t->n[e->text] < l->stop;
}

static uint64_t dice (uint64_t stream, uint64_t i, uint64_t n) { return wb_rng_u64 (17, stream, i) % n; }

/* From PLAIN on they are searches: beams and contrasts by turns. */
static void make_search (wb_request_t *r, uint64_t i) {
    wb_searching_t *s = &r->sampling.search;
    if (r->max_length < 17) r->max_length = 17;
    if (i % 2 == 0) {
        *s = (wb_searching_t){.beams = 1 + (int64_t) (i / 2 % WIDEST), .length_penalty = 1.0};
        if (r->texts > s->beams) r->texts = s->beams;
    } else {
        *s = (wb_searching_t){.penalty_alpha = 0.6, .candidates = 1 + (int64_t) (i / 2 % WIDEST)};
        r->texts = 1;
    }
    if (i % 3 == 0) r->sampling.no_repeat_ngram = 2;
    if (i % 4 == 0) r->sampling.frequency_penalty = 1.0;
}

static void make_requests (void) {
    static const int64_t lengths[] = {1, 2, 63, 64, 65, 128, 129, 130, T - 1, T, 70, 100};
    static const int64_t most[] = {40, 90, 0, 1, 250, 17};
    for (uint64_t i = 0; i < REQUESTS; i++) {
        wb_request_t *r = &requests[i];
        /* Three beginnings; where a prompt leaves them it goes its own way. */
        const uint64_t family = dice (1, i, 3), leaves = dice (2, i, 3) * 66 + 60;
        const int64_t n = lengths[dice (3, i, 12)];
        for (uint64_t j = 0; j < T; j++)
            prompts[i][j] = (int32_t) wb_rng_u64 (23, j < leaves ? family : 100 + i, j) & 255;
        *r = (wb_request_t){.ids = prompts[i],
                            .n = n,
                            .texts = 1 + (int64_t) dice (4, i, TEXTS),
                            .sampling = {.temperature = dice (5, i, 4) == 0 ? 0.0 : 1.0, .seed = i},
                            .max_length = most[dice (6, i, 6)],
                            .likely = (int) dice (7, i, 3) - 1,
                            .prompt = dice (8, i, 4) == 0,
                            .vector = dice (9, i, 4) == 0,
                            .event = listen};
        if (r->likely == 1) r->likely = NLIKELY;
        if (r->prompt && r->likely < 0) r->likely = 0;
        r->min_length = dice (10, i, 2) == 0 ? r->max_length : 0;
        stops[i] = dice (11, i, 4) == 0 ? 10 : LONGEST;
        if (i >= PLAIN) make_search (r, i);
    }
}

static void submit (wb_engine_t *e, uint64_t *id, int i, told_t *to) {
    memset (to, 0, sizeof *to);
    listeners[i] = (listener_t){to, stops[i]};
    requests[i].ctx = &listeners[i];
    T_STATUS (wb_engine_submit (e, id, &requests[i]), WB_OK);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static void test_alone (void) {
    bool full = false, ended = false;
    for (int i = 0; i < REQUESTS; i++) {
        wb_engine_t *e;
        uint64_t id;
        const wb_request_t *r = &requests[i];
        T_STATUS (
            wb_engine_new (&e, &model,
                           &(wb_engine_limits_t){.texts = i < PLAIN ? 1 : WIDEST, .blocks = i < PLAIN ? 0 : ROOM}),
            WB_OK);
        T_OK (!wb_engine_step (e), "nothing to do");
        submit (e, &id, i, &alone[i]);
        while (wb_engine_step (e)) {}
        for (int64_t t = 0; t < r->texts; t++) {
            T_OK (alone[i].ends[t] == 1, "request %d, text %d ended %d times", i, (int) t, alone[i].ends[t]);
            full = full || alone[i].n[t] == 250;
            ended = ended || alone[i].end[t] == WB_END_TEXT;
        }
        T_OK (alone[i].prompts == (r->prompt ? r->n - 1 : 0), "request %d: %d tokens of its prompt", i,
              alone[i].prompts);
        T_OK (alone[i].vectors == (r->vector ? 1 : 0), "request %d: %d vectors", i, alone[i].vectors);
        wb_engine_destroy (e);
    }
    T_OK (full && ended, "there are texts beyond the positions, and some that end by themselves");
}

/* What the engine says is what the inference object computes. */
static void test_values (void) {
    wb_infer_t *inf;
    static float hidden[T * C], logprob[T], logits[V];
    T_STATUS (wb_infer_new (&inf, &size, model.params, model.weights, (wb_infer_form_t){0}, model.kern, 1, 0, T),
              WB_OK);
    for (int i = 0; i < REQUESTS; i++) {
        const wb_request_t *r = &requests[i];
        const int seq = 0;
        wb_infer_rewind (inf, 0, 0);
        wb_infer_push (inf, hidden, logits, r->ids, &seq, &r->n, 1);
        wb_infer_logprobs (inf, logprob, NULL, hidden, r->ids + 1, r->n - 1);
        if (r->prompt)
            T_OK (memcmp (logprob, alone[i].prompt + 1, (size_t) (r->n - 1) * sizeof *logprob) == 0,
                  "request %d: log-probabilities of the prompt", i);
        if (r->vector)
            T_OK (memcmp (hidden + (r->n - 1) * C, alone[i].vector, sizeof alone[i].vector) == 0,
                  "request %d: the vector", i);
        if (alone[i].n[0] == 0 || r->likely < 0) continue;
        wb_infer_logprobs (inf, logprob, NULL, hidden + (r->n - 1) * C, alone[i].ids[0], 1);
        T_OK (logprob[0] == alone[i].logprob[0][0], "request %d: the first token", i);
        if (r->likely == 0) continue;
        const wb_likely_t *likely = alone[i].likely[0][0];
        for (int v = 0, more[NLIKELY] = {0}; v < V; v++)
            for (int j = 0; j < NLIKELY; j++) {
                more[j] += logits[v] > logits[likely[j].id] || (logits[v] == logits[likely[j].id] && v < likely[j].id);
                if (v == V - 1) T_OK (more[j] == j, "request %d: %d ids are likelier than number %d", i, more[j], j);
            }
        wb_infer_logprobs (inf, logprob, NULL, hidden + (r->n - 1) * C, &likely[1].id, 1);
        T_OK (logprob[0] == likely[1].logprob, "request %d: the second most likely", i);
    }
    wb_infer_destroy (inf);
}

static void compare (int i, const char *what) {
    const told_t *a = &alone[i], *b = &together[i];
    const int64_t texts = requests[i].texts;
    for (int64_t t = 0; t < texts; t++) {
        if (!T_OK (b->ends[t] == 1 && b->n[t] == a->n[t] && b->end[t] == a->end[t],
                   "%s: request %d, text %d: %d tokens, not %d", what, i, (int) t, (int) b->n[t], (int) a->n[t]))
            continue;
        T_OK (memcmp (a->ids[t], b->ids[t], sizeof a->ids[t]) == 0, "%s: request %d, text %d: ids", what, i, (int) t);
        T_OK (memcmp (a->logprob[t], b->logprob[t], sizeof a->logprob[t]) == 0 &&
                  memcmp (a->likely[t], b->likely[t], sizeof a->likely[t]) == 0,
              "%s: request %d, text %d: log-probabilities", what, i, (int) t);
    }
    T_OK (a->prompts == b->prompts && memcmp (a->prompt, b->prompt, sizeof a->prompt) == 0,
          "%s: request %d: the prompt", what, i);
    T_OK (a->vectors == b->vectors && memcmp (a->vector, b->vector, sizeof a->vector) == 0,
          "%s: request %d: the vector", what, i);
}

/* ---- searches, with every text computed from its beginning ------------------------------------------------------- */

typedef struct lane {
    int32_t window[T];
    int64_t n, base, length;
} lane_t;

static void append (lane_t *t, int32_t id) {
    if (t->n == T) {
        memmove (t->window, t->window + T - T / 2, T / 2 * sizeof *t->window);
        t->n = t->base = T / 2;
    }
    t->window[t->n++] = id;
    t->length++;
}

/* hidden [rows, C] of what was pushed last. */
static void compute (wb_infer_t *inf, float *hidden, float *logits, const lane_t *t) {
    wb_infer_rewind (inf, 0, 0);
    wb_infer_run (inf, hidden, logits, t->window, &(wb_piece_t){.seq = 0, .n = t->base, .logits = true}, 1);
    for (int64_t i = t->base; i < t->n; i++)
        wb_infer_run (inf, hidden, logits, t->window + i,
                      &(wb_piece_t){.seq = 0, .n = 1, .singly = true, .logits = true}, 1);
}

static void test_search (wb_infer_t *inf, int which) {
    static lane_t lanes[WIDEST], next[WIDEST];
    static float hidden[T * C], logits[V];
    const wb_request_t *r = &requests[which];
    const int32_t eot = wb_tokenizer_eot (model.tokenizer);
    const wb_search_setup_t setup = {&r->sampling,
                                     r->ids,
                                     r->n == 1 && r->ids[0] == eot ? 0 : r->n,
                                     r->texts,
                                     r->min_length,
                                     r->max_length,
                                     V,
                                     V,
                                     C,
                                     T,
                                     eot,
                                     -1};
    const wb_search_move_t *moves;
    wb_search_t *s;
    int n = 1;
    T_STATUS (wb_search_new (&s, &setup), WB_OK);
    lanes[0] = (lane_t){.n = r->n, .base = r->n};
    memcpy (lanes[0].window, r->ids, (size_t) r->n * sizeof *r->ids);
    while (n > 0) {
        for (int i = 0; i < n; i++) {
            compute (inf, hidden, logits, &lanes[i]);
            const int64_t last = lanes[i].n > lanes[i].base ? 0 : lanes[i].base - 1;
            for (int64_t k = 0; wb_search_wants_states (s) && lanes[i].length == 0 && k < r->n; k++)
                wb_search_past (s, k, hidden + k * C);
            wb_search_put (s, i, logits, 0.0f, 0.0f, hidden + last * C);
        }
        n = wb_search_step (s, &moves);
        for (int i = 0; i < n; i++) {
            next[i] = lanes[moves[i].from];
            append (&next[i], moves[i].id);
        }
        memcpy (lanes, next, sizeof lanes);
    }
    for (int64_t t = 0; t < r->texts; t++) {
        const int32_t *list;
        wb_end end;
        const int64_t found = wb_search_found (s, t, &list, &end), want = found < stops[which] ? found : stops[which];
        T_OK (alone[which].n[t] == want, "search %d, text %d: %d tokens, not %d", which, (int) t,
              (int) alone[which].n[t], (int) want);
        for (int64_t k = 0; k < want; k++)
            T_OK (wb_search_token (s, list[k])->id == alone[which].ids[t][k], "search %d, text %d, token %d", which,
                  (int) t, (int) k);
    }
    wb_search_destroy (s);
}

static void test_searches (void) {
    wb_infer_t *inf;
    int full = 0, ended = 0;
    T_STATUS (wb_infer_new (&inf, &size, model.params, model.weights, (wb_infer_form_t){0}, model.kern, 1, 0, T),
              WB_OK);
    for (int i = PLAIN; i < REQUESTS; i++) {
        test_search (inf, i);
        full += requests[i].n + alone[i].n[0] > T;
        ended += alone[i].end[0] == WB_END_TEXT;
    }
    T_OK (full > 1 && ended > 0, "%d searches beyond the positions, %d that end by themselves", full, ended);
    wb_infer_destroy (inf);

    wb_engine_t *e;
    uint64_t id;
    T_STATUS (wb_engine_new (&e, &model, &(wb_engine_limits_t){.texts = 3, .blocks = 9}), WB_OK);
    wb_request_t r = {.ids = prompts[0], .n = 100, .texts = 1, .max_length = 20, .likely = -1, .event = listen};
    r.sampling.search.beams = 4;
    T_STATUS (wb_engine_submit (e, &id, &r), WB_EUSAGE);
    r.sampling.search.beams = 3;
    T_STATUS (wb_engine_check (e, &r), WB_OK);
    r.max_length = 29;
    T_STATUS (wb_engine_check (e, &r), WB_EUSAGE);
    wb_engine_destroy (e);
}

/* All requests, in an order and with pauses between them that `seed` chooses; some are cancelled on their way and asked
 * for again.  Searches that there is no room for are left out. */
static wb_engine_stats_t test_together (const char *what, int texts, int64_t blocks, uint64_t seed, int *searches) {
    wb_engine_t *e;
    uint64_t ids[REQUESTS] = {0}, steps = 0;
    wb_engine_stats_t s;
    int next = 0, cancelled = 0;
    T_STATUS (wb_engine_new (&e, &model, &(wb_engine_limits_t){.texts = texts, .blocks = blocks}), WB_OK);
    for (bool busy = true; busy || next < REQUESTS; steps++) {
        while (next < REQUESTS && dice (seed, 2 * steps, 4) == 0) {
            const int i = (int) wb_rng_permute (next++, REQUESTS, seed, 0);
            if (wb_engine_check (e, &requests[i]) == WB_OK)
                submit (e, &ids[i], i, &together[i]);
            else
                wb_error_clear ();
            if (dice (seed + 1, (uint64_t) next, 3) > 0) break;
        }
        if (dice (seed, 2 * steps + 1, 5) == 0) {
            const int i = (int) dice (seed + 2, steps, REQUESTS);
            bool going = ids[i] != 0 && cancelled < REQUESTS;
            for (int64_t t = 0, n = 0; going && t < requests[i].texts; t++)
                if ((n += together[i].ends[t]) == requests[i].texts) going = false;
            if (going) {
                wb_engine_cancel (e, ids[i]);
                submit (e, &ids[i], i, &together[i]);
                cancelled++;
            }
        }
        busy = wb_engine_step (e);
        wb_engine_stats (&s, e);
        T_OK (s.texts <= texts && s.blocks_used <= s.blocks, "%d texts, %d blocks", (int) s.texts, (int) s.blocks_used);
        if (!T_OK (steps < 100000, "it does not come to an end")) break;
    }
    for (int i = 0; i < REQUESTS; i++)
        if (ids[i] != 0) compare (i, what);
    *searches = 0;
    for (int i = PLAIN; i < REQUESTS; i++) *searches += ids[i] != 0;
    T_OK (s.requests == 0 && s.texts == 0 && s.waiting == 0 && s.blocks_used == 0, "%s: %d blocks are lost", what,
          (int) s.blocks_used);
    T_OK (cancelled > 0, "%s: %d requests were cancelled", what, cancelled);

    /* Cancelled texts give their blocks back at once. */
    for (int i = 0; i < 6; i++) submit (e, &ids[i], i, &together[i]);
    for (int i = 0; i < 4; i++) (void) wb_engine_step (e);
    for (int i = 0; i < 6; i++) wb_engine_cancel (e, ids[i]);
    wb_engine_stats_t after;
    wb_engine_stats (&after, e);
    T_OK (after.requests == 0 && after.texts == 0 && after.blocks_used == 0, "%s: %d blocks after all were cancelled",
          what, (int) after.blocks_used);
    T_OK (!wb_engine_step (e), "nothing to do");
    submit (e, &ids[0], 0, &together[0]); /* and it can be destroyed with requests in it */
    (void) wb_engine_step (e);
    wb_engine_destroy (e);
    return s;
}

/* Older texts grow until a search has to give its blocks back, and it goes on when they have ended. */
static void test_paused (void) {
    static told_t quiet, crowded, others[3];
    for (int beams = 0; beams < 2; beams++) {
        wb_request_t r = {.ids = prompts[0], .n = 20, .texts = 1, .max_length = 170, .likely = 0, .event = listen};
        r.sampling.search =
            beams ? (wb_searching_t){.beams = 2} : (wb_searching_t){.penalty_alpha = 0.5, .candidates = 2};
        r.min_length = r.max_length;
        for (int crowd = 0; crowd < 2; crowd++) {
            wb_engine_t *e;
            wb_engine_stats_t s;
            uint64_t id;
            listener_t listeners_of[4];
            T_STATUS (wb_engine_new (&e, &model, &(wb_engine_limits_t){.texts = 5, .blocks = 13}), WB_OK);
            for (int i = 0; i < 3 && crowd; i++) {
                memset (&others[i], 0, sizeof others[i]);
                listeners_of[i] = (listener_t){&others[i], LONGEST};
                const wb_request_t other = {.ids = prompts[i + 1] + 100,
                                            .n = 40,
                                            .texts = 1,
                                            .max_length = 159,
                                            .min_length = 159,
                                            .likely = -1,
                                            .event = listen,
                                            .ctx = &listeners_of[i],
                                            .sampling = {.temperature = 1.0}};
                T_STATUS (wb_engine_submit (e, &id, &other), WB_OK);
            }
            told_t *to = crowd ? &crowded : &quiet;
            memset (to, 0, sizeof *to);
            listeners_of[3] = (listener_t){to, LONGEST};
            r.ctx = &listeners_of[3];
            T_STATUS (wb_engine_submit (e, &id, &r), WB_OK);
            while (wb_engine_step (e)) {}
            wb_engine_stats (&s, e);
            T_OK ((s.paused > 1) == (crowd == 1) && s.blocks_used == 0, "%d pauses", (int) s.paused);
            wb_engine_destroy (e);
        }
        T_OK (quiet.n[0] == 170 && memcmp (&quiet, &crowded, sizeof quiet) == 0, "a paused search finds the same");
    }
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, true);
    make_model ();
    make_requests ();
    wb_kern_threads_set (1);
    test_alone ();
    test_values ();
    test_searches ();
    test_paused ();
    int searches;
    const wb_engine_stats_t room = test_together ("room for all", 32, 0, 1, &searches);
    T_OK (room.paused == 0 && room.shared_tokens > 0, "%d pauses, %d tokens shared", (int) room.paused,
          (int) room.shared_tokens);
    T_OK (searches == REQUESTS - PLAIN, "there is room for all searches");
    T_OK (test_together ("three texts", 3, 0, 2, &searches).shared_tokens > 0, "tokens are shared");
    T_OK (searches > 0 && searches < REQUESTS - PLAIN, "there is room for %d searches", searches);
    T_OK (test_together ("few blocks", 16, 7, 22, &searches).paused > 0, "texts have to wait");
    T_OK (test_together ("as few blocks as possible", 16, 1, 22, &searches).paused > 0, "texts have to wait");
    T_OK (test_together ("blocks for one narrow search", 32, 11, 32, &searches).paused > 0, "texts have to wait");
    T_OK (searches > 2, "there is room for %d searches", searches);
    wb_kern_threads_set (3);
    (void) test_together ("three threads", 9, 20, 5, &searches);
    (void) test_together ("three threads, searches", 9, ROOM, 7, &searches);
    wb_free (model.weights);
    wb_params_destroy (model.params);
    wb_tokenizer_destroy (model.tokenizer);
    return T_DONE ();
}
