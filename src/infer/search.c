/* Searches: texts that are found instead of drawn.
 *
 * Beam search keeps the likeliest unfinished texts of one length.  Of all their continuations the best 2 N are looked
 * at: one that ends the text, and is among the best N, is a text found; of the others the best N go on.  It is over
 * when N texts are found and the likeliest unfinished one, as it is, is not better than any of them, or at the greatest
 * length, where the unfinished ones count as found.
 *
 * Contrastive search has one text, and tries the likeliest tokens after it: each has become an unfinished text when it
 * comes back with its state, and one is taken.
 *
 * Tokens form a tree: those of a text are found from its last one back.
 *
 * Not here: keys and values, events (engine_search.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/search.h"

/* A continuation of text `from`, and log p of all of it; of contrastive search p of the token. */
typedef struct extension {
    double value;
    int from;
    int32_t id;
} extension_t;

/* A text found. */
typedef struct found {
    double score;
    int32_t last;
    wb_end end;
} found_t;

struct wb_search {
    wb_search_setup_t of;
    int width;
    int n;                       /* unfinished texts */
    bool put[WB_SEARCH_MAX];     /* of each */
    float *logits, *max, *sum;   /* [width][row], [width], [width] */
    double value[WB_SEARCH_MAX]; /* as extension_t has it */
    int32_t last[WB_SEARCH_MAX]; /* its last token; -1: none; those of contrastive search share it */
    int64_t length;              /* tokens of each, without those that are tried */
    bool trying;                 /* contrastive: tokens are being tried */
    wb_search_move_t moves[WB_SEARCH_MAX];
    extension_t list[2 * WB_SEARCH_MAX]; /* [nlist] the best first */
    int nlist;
    found_t found[WB_SEARCH_MAX]; /* [nfound] the best first */
    int nfound;
    bool over;
    wb_end wrong; /* WB_END_NUMBERS or WB_END_MEMORY: of all texts; else WB_END_TEXT */

    wb_search_token_t *tokens; /* [ntokens] */
    wb_likely_t *likely;       /* [ntokens][of.likely] */
    int64_t ntokens, tokens_cap, likely_cap;
    wb_ids_t path, history;
    float *states, *past; /* [width][C], [T][C]: of length 1; place i of the past is in row i % T */
    int64_t npast;
    float *z; /* [V] */
    int32_t *count;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

int wb_search_width (const wb_searching_t *s) {
    return (int) (s->beams > 0 ? s->beams : s->penalty_alpha > 0.0 ? s->candidates : 0);
}

const char *wb_search_refusal (const wb_searching_t *s, int64_t texts) {
    if (s->beams > 0 && s->penalty_alpha > 0.0) return "beam search and contrastive search exclude each other";
    if (s->beams > 0 && texts > s->beams) return "a beam search finds as many texts as it has beams, at most";
    if (s->penalty_alpha > 0.0 && texts > 1) return "a contrastive search finds one text";
    return NULL;
}

bool wb_search_wants_states (const wb_search_t *s) { return s->of.how->search.beams == 0; }

wb_status wb_search_new (wb_search_t **out, const wb_search_setup_t *setup) {
    wb_search_t *s = *out = wb_calloc (1, sizeof *s);
    if (s == NULL) return WB_NOMEM ("a search");
    *s = (wb_search_t){.of = *setup, .width = wb_search_width (&setup->how->search), .n = 1, .wrong = WB_END_TEXT};
    const size_t width = (size_t) s->width, C = (size_t) setup->C, V = (size_t) setup->V;
    s->last[0] = -1;
    s->logits = wb_malloc (width * (size_t) setup->row * sizeof *s->logits);
    s->max = wb_malloc (2 * width * sizeof *s->max);
    s->z = wb_malloc (V * sizeof *s->z);
    s->count = wb_malloc (V * sizeof *s->count);
    bool good = s->logits != NULL && s->max != NULL && s->z != NULL && s->count != NULL;
    s->sum = good ? s->max + width : NULL;
    if (wb_search_wants_states (s)) {
        s->states = wb_malloc (width * C * sizeof *s->states);
        s->past = wb_malloc ((size_t) setup->T * C * sizeof *s->past);
        good = good && s->states != NULL && s->past != NULL;
    }
    if (good) return WB_OK;
    wb_search_destroy (s);
    *out = NULL;
    return WB_NOMEM ("a search with %d texts at a time", (int) width);
}

void wb_search_destroy (wb_search_t *s) {
    if (s == NULL) return;
    wb_free (s->logits);
    wb_free (s->max);
    wb_free (s->z);
    wb_free (s->count);
    wb_free (s->states);
    wb_free (s->past);
    wb_free (s->tokens);
    wb_free (s->likely);
    wb_ids_fini (&s->path);
    wb_ids_fini (&s->history);
    wb_free (s);
}

/* ---- what is put in ---------------------------------------------------------------------------------------------- */

/* x [C] becomes `state` at length 1. */
static void normalize (float *x, const float *state, int64_t C) {
    double sum = 0.0;
    for (int64_t i = 0; i < C; i++) sum += (double) state[i] * (double) state[i];
    const float by = sum > 0.0 ? (float) (1.0 / sqrt (sum)) : 0.0f;
    for (int64_t i = 0; i < C; i++) x[i] = state[i] * by;
}

void wb_search_past (wb_search_t *s, int64_t index, const float *state) {
    normalize (s->past + index % s->of.T * s->of.C, state, s->of.C);
    if (index >= s->npast) s->npast = index + 1;
}

void wb_search_put (wb_search_t *s, int i, const float *logits, float max, float log_sum, const float *state) {
    WB_ASSERT (i >= 0 && i < s->n);
    memcpy (s->logits + i * s->of.row, logits, (size_t) s->of.row * sizeof *logits);
    s->max[i] = max, s->sum[i] = log_sum;
    if (wb_search_wants_states (s)) normalize (s->states + i * s->of.C, state, s->of.C);
    s->put[i] = true;
}

bool wb_search_ready (const wb_search_t *s) {
    for (int i = 0; i < s->n; i++)
        if (!s->put[i]) return false;
    return true;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Of the tokens that end with `last`, which they are, the first one first, into path; length: how many. */
static bool walk (wb_search_t *s, wb_ids_t *path, int32_t last, int64_t length) {
    path->len = 0;
    if (wb_ids_reserve (path, length) != WB_OK) return false;
    path->len = length;
    for (int64_t i = length; i-- > 0; last = s->tokens[last].before) path->data[i] = last;
    return true;
}

/* One more token, which comes after `before`, from the logits of text i.  False: out of memory. */
static bool add_token (wb_search_t *s, int32_t before, int i, int32_t id) {
    const int64_t some = s->of.likely > 0 ? s->of.likely : 0, at = s->ntokens;
    const float *logits = s->logits + i * s->of.row;
    if (at == INT32_MAX || !WB_GROW (s->tokens, s->tokens_cap, at + 1)) return false;
    if (!WB_GROW (s->likely, s->likely_cap, (at + 1) * some)) return false;
    s->tokens[s->ntokens++] =
        (wb_search_token_t){id, before, s->of.likely >= 0 ? logits[id] - s->max[i] - s->sum[i] : 0.0f};
    wb_likely_t *likely = s->likely + at * some;
    const int n = wb_most_likely (likely, logits, s->of.row, (int) some);
    for (int k = 0; k < n; k++) likely[k].logprob = likely[k].logprob - s->max[i] - s->sum[i];
    return true;
}

const wb_search_token_t *wb_search_token (const wb_search_t *s, int32_t which) { return &s->tokens[which]; }

const wb_likely_t *wb_search_likely (const wb_search_t *s, int32_t which, int *n) {
    *n = s->of.likely < 1 ? 0 : (int) (s->of.likely < s->of.row ? s->of.likely : s->of.row);
    return s->likely + (int64_t) which * (s->of.likely > 0 ? s->of.likely : 0);
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

/* Logits after text i as they count, into z; *all: log of the sum of their odds.  False: all are forbidden, or
 * something is wrong. */
static bool weigh (wb_search_t *s, int i, double *all) {
    const float *logits = s->logits + i * s->of.row;
    const int64_t V = s->of.V;
    bool some = false;
    for (int64_t v = 0; v < V; v++) {
        if (isnan (logits[v]) || logits[v] == INFINITY) s->wrong = WB_END_NUMBERS;
        some = some || logits[v] != -INFINITY;
    }
    if (!some) s->wrong = WB_END_NUMBERS;
    memcpy (s->z, logits, (size_t) V * sizeof *s->z);
    if (wb_sampling_adjusts (s->of.how)) {
        wb_draw_t d = {.how = s->of.how, .nhistory = s->of.nprompt + s->length, .written = s->length};
        if (!walk (s, &s->path, s->last[i], s->length) ||
            wb_ids_reserve (&s->history, d.nhistory - s->history.len) != WB_OK) {
            s->wrong = WB_END_MEMORY;
            return false;
        }
        s->history.len = d.nhistory;
        for (int64_t k = 0; k < s->of.nprompt; k++) s->history.data[k] = s->of.prompt[k];
        for (int64_t k = 0; k < s->length; k++) s->history.data[s->of.nprompt + k] = s->tokens[s->path.data[k]].id;
        d.history = s->history.data;
        wb_sample_adjust (s->z, &d, V, s->count);
    }
    if (s->length < s->of.min_length && s->of.eot < V) s->z[s->of.eot] = -INFINITY;
    double max = -INFINITY, sum = 0.0;
    for (int64_t v = 0; v < V; v++) max = fmax (max, (double) s->z[v]);
    if (s->wrong != WB_END_TEXT || max == -INFINITY) return false;
    for (int64_t v = 0; v < V; v++) sum += exp ((double) s->z[v] - max);
    *all = max + log (sum);
    return true;
}

/* Put a continuation into the list of the best `most`; of equals the earlier one stays before. */
static void consider (wb_search_t *s, extension_t x, int most) {
    if (s->nlist == most && !(x.value > s->list[most - 1].value)) return;
    int at = s->nlist < most ? s->nlist++ : most - 1;
    for (; at > 0 && x.value > s->list[at - 1].value; at--) s->list[at] = s->list[at - 1];
    s->list[at] = x;
}

/* ---- beam search ------------------------------------------------------------------------------------------------- */

static void find (wb_search_t *s, int32_t last, double value, int64_t tokens, wb_end end) {
    const int most = s->width;
    const found_t x = {value / pow ((double) (tokens > 0 ? tokens : 1), s->of.how->search.length_penalty), last, end};
    if (s->nfound == most && !(x.score > s->found[most - 1].score)) return;
    int at = s->nfound < most ? s->nfound++ : most - 1;
    for (; at > 0 && x.score > s->found[at - 1].score; at--) s->found[at] = s->found[at - 1];
    s->found[at] = x;
}

/* The texts that go on; those that end are found. */
static bool go_on (wb_search_t *s) {
    int n = 0;
    int32_t last[WB_SEARCH_MAX];
    for (int i = 0; i < s->nlist && n < s->width; i++) {
        const extension_t *x = &s->list[i];
        if (x->id == s->of.eot) {
            if (i < s->width) find (s, s->last[x->from], x->value, s->length + 1, WB_END_TEXT);
            continue;
        }
        if (!add_token (s, s->last[x->from], x->from, x->id)) return false;
        last[n] = (int32_t) s->ntokens - 1;
        s->value[n] = x->value;
        s->moves[n++] = (wb_search_move_t){x->from, x->id};
    }
    memcpy (s->last, last, (size_t) n * sizeof *last);
    s->n = n;
    return true;
}

static void step_beams (wb_search_t *s) {
    const double power = s->of.how->search.length_penalty;
    double all;
    s->nlist = 0;
    for (int i = 0; i < s->n; i++) {
        if (!weigh (s, i, &all)) {
            if (s->wrong != WB_END_TEXT) return;
            find (s, s->last[i], s->value[i], s->length, WB_END_TEXT);
            continue;
        }
        for (int64_t v = 0; v < s->of.V; v++)
            if (s->z[v] != -INFINITY)
                consider (s, (extension_t){s->value[i] + ((double) s->z[v] - all), i, (int32_t) v}, 2 * s->width);
    }
    if (!go_on (s)) {
        s->wrong = WB_END_MEMORY;
        return;
    }
    s->length++;
    for (int i = 0; i < s->n && s->length == s->of.max_length; i++)
        find (s, s->last[i], s->value[i], s->length, WB_END_LENGTH);
    s->over = s->n == 0 || s->length == s->of.max_length ||
              (s->nfound == s->width && s->found[s->width - 1].score >= s->value[0] / pow ((double) s->length, power));
}

/* ---- contrastive search ------------------------------------------------------------------------------------------ */

static double dot (const float *x, const float *y, int64_t n) {
    float part[8] = {0};
    double sum = 0.0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) part[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sum += (double) x[i] * (double) y[i];
    for (int k = 0; k < 8; k++) sum += (double) part[k];
    return sum;
}

/* Of those tried, the one to take. */
static int choose (const wb_search_t *s) {
    const int64_t C = s->of.C, n = s->npast < s->of.T ? s->npast : s->of.T;
    const double alpha = s->of.how->search.penalty_alpha;
    double best = -INFINITY;
    int which = 0;
    for (int i = 0; i < s->n; i++) {
        double closest = n > 0 ? -INFINITY : 0.0;
        for (int64_t j = 0; j < n; j++) closest = fmax (closest, dot (s->states + i * C, s->past + j * C, C));
        const double score = (1.0 - alpha) * s->value[i] - alpha * closest;
        if (score > best) best = score, which = i;
    }
    return which;
}

/* The text is found, as it is. */
static void stop (wb_search_t *s, wb_end end) {
    s->over = true;
    s->found[0] = (found_t){0.0, s->last[0], end};
    s->nfound = 1;
}

/* Take one of those tried; returns which. */
static int take (wb_search_t *s) {
    const int which = choose (s);
    const int32_t id = s->moves[which].id;
    for (int64_t i = 0; i < s->of.C; i++) s->past[s->npast % s->of.T * s->of.C + i] = s->states[which * s->of.C + i];
    s->npast++;
    if (id == s->of.eot) {
        s->ntokens = s->length;
        stop (s, WB_END_TEXT);
        return which;
    }
    /* The tokens tried were added in their order; the one taken stays. */
    const int64_t some = s->of.likely > 0 ? s->of.likely : 0;
    s->tokens[s->length] = s->tokens[s->length + which];
    if (some > 0)
        memmove (s->likely + s->length * some, s->likely + (s->length + which) * some,
                 (size_t) some * sizeof *s->likely);
    s->last[0] = (int32_t) s->length;
    s->ntokens = ++s->length;
    if (s->length == s->of.max_length) stop (s, WB_END_LENGTH);
    return which;
}

static void step_contrast (wb_search_t *s) {
    int from = 0;
    double all;
    if (s->trying) from = take (s);
    if (s->over) return;
    const int32_t last = s->last[0];
    s->last[from] = last;
    if (!weigh (s, from, &all)) {
        if (s->wrong == WB_END_TEXT) stop (s, WB_END_TEXT);
        return;
    }
    s->nlist = 0;
    for (int64_t v = 0; v < s->of.V; v++)
        if (s->z[v] != -INFINITY)
            consider (s, (extension_t){exp ((double) s->z[v] - all), from, (int32_t) v}, s->width);
    s->n = s->nlist;
    for (int i = 0; i < s->n; i++) {
        if (!add_token (s, last, from, s->list[i].id)) s->wrong = WB_END_MEMORY;
        s->value[i] = s->list[i].value;
        s->moves[i] = (wb_search_move_t){from, s->list[i].id};
    }
    s->last[0] = last;
    s->trying = true;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

int wb_search_step (wb_search_t *s, const wb_search_move_t **moves) {
    WB_ASSERT (wb_search_ready (s) && !s->over);
    if (wb_search_wants_states (s))
        step_contrast (s);
    else
        step_beams (s);
    memset (s->put, 0, sizeof s->put);
    *moves = s->moves;
    wb_error_clear ();
    if (s->wrong != WB_END_TEXT) s->over = true;
    return s->over ? 0 : s->n;
}

int64_t wb_search_found (wb_search_t *s, int64_t i, const int32_t **list, wb_end *end) {
    const bool some = i < s->nfound && s->wrong == WB_END_TEXT;
    const int32_t last = wb_search_wants_states (s) ? s->last[0] : some ? s->found[i].last : -1;
    int64_t n = 0;
    *end = s->wrong != WB_END_TEXT ? s->wrong : some ? s->found[i].end : WB_END_TEXT;
    for (int32_t k = last; k >= 0; k = s->tokens[k].before) n++;
    if (!walk (s, &s->path, last, n)) {
        wb_error_clear ();
        *end = WB_END_MEMORY;
        n = 0;
    }
    *list = s->path.data;
    return n;
}
