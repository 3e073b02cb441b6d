/* infer: what a search for texts decides, whatever computes the logits (search.c). */
#ifndef WABUN_INFER_SEARCH_H
#define WABUN_INFER_SEARCH_H

#include "infer/infer_priv.h"
#include "wabun/engine.h"

/** A search has up to wb_search_width() unfinished texts.  Whoever drives it computes the logits after each of them and
 * puts them in; then a step says which texts go on and how.  It begins with one text, the prompt alone. */
typedef struct wb_search wb_search_t;
typedef struct wb_search_setup {
    const wb_sampling_t *how; /**< borrowed, as is prompt; a search that was checked */
    const int32_t *prompt;    /**< [nprompt] what penalties look back at */
    int64_t nprompt;
    int64_t texts, min_length, max_length; /**< as wb_request_t has them; max_length > 0 */
    int64_t V, row;                        /**< ids that can be taken; logits [row] of a text */
    int64_t C, T;                          /**< states [C]; that many of the past are kept */
    int32_t eot;
    int likely; /**< -1: no log-probabilities of tokens; else with so many of the most likely ids */
} wb_search_setup_t;
/** Errors: WB_ENOMEM. */
wb_status wb_search_new (wb_search_t **out, const wb_search_setup_t *setup) WB_NODISCARD;
void wb_search_destroy (wb_search_t *s); /**< NULL is fine */
/** Does it look at states? */
bool wb_search_wants_states (const wb_search_t *s);
/** The state [C] at place `index` of the prompt; they come in their order, and may come twice. */
void wb_search_past (wb_search_t *s, int64_t index, const float *state);
/** After unfinished text i: logits [row], their maximum and the log of the sum of their odds against it (read if
 * log-probabilities are wanted), the state [C] at its last place (read if states are wanted); copied. */
void wb_search_put (wb_search_t *s, int i, const float *logits, float max, float log_sum, const float *state);
/** Has every unfinished text been put? */
bool wb_search_ready (const wb_search_t *s);

/** An unfinished text is text `from` of before, and id. */
typedef struct wb_search_move {
    int from;
    int32_t id;
} wb_search_move_t;
/** Decide, when all are ready.  Returns the number of unfinished texts that are to be put next; 0: it is over. */
int wb_search_step (wb_search_t *s, const wb_search_move_t **moves);

/** A token of a text. */
typedef struct wb_search_token {
    int32_t id;
    int32_t before; /* the token before it, -1: the prompt */
    float logprob;  /* of the logits as they are, as likely */
} wb_search_token_t;
/** Tokens of text i of those found, the best first; may be called before a contrastive search is over, which has the
 * beginning of its text.  *end: how it ended, once it is over.  Returns how many: (*list) [n] says which
 * wb_search_token() has them. */
int64_t wb_search_found (wb_search_t *s, int64_t i, const int32_t **list, wb_end *end);
const wb_search_token_t *wb_search_token (const wb_search_t *s, int32_t which);
const wb_likely_t *wb_search_likely (const wb_search_t *s, int32_t which, int *n);

#endif
