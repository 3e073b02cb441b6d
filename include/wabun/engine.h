/* wabun - infer: the engine, which works on many requests at once.
 *
 * Not collective.  One process holds the whole model.
 */
#ifndef WABUN_ENGINE_H
#define WABUN_ENGINE_H

#include <wabun/infer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the engine (engine.c, engine_plan.c, engine_draw.c) --------------------------------------------------------- */

/** Works on the texts of any number of requests at the same time.  A step pushes one token of each text that is being
 * written, and beside them a piece of a prompt, so that no text waits for another's prompt; texts come and go between
 * steps.  Keys and values lie in blocks of one pool: texts with the same beginning share them, one that there is no
 * room for waits, and where the pool runs out the youngest text gives its blocks back and gets them again later.
 *
 * The ids of a text, and every log-probability, have the same bits whatever else is worked on, whatever is shared and
 * however often the text had to wait. */
typedef struct wb_engine wb_engine_t;
typedef struct wb_engine_limits {
    int texts;         /**< worked on at a time; 0: 32 */
    int64_t positions; /**< prompt and text together, if all are shorter than the model's; 0: the model's */
    int64_t blocks; /**< of keys and values, WB_CACHE_BLOCK positions each; 0: as many as that many texts can need; at
                         least what one text can need */
} wb_engine_limits_t;
/** \param m  borrowed, with a tokenizer; its weights are in another layout until destroy (as in wb_infer_new), and
 * nobody else may use it.  limits: NULL: the defaults.  All calls must come from one thread at a time.  Errors:
 * WB_ENOMEM. */
wb_status wb_engine_new (wb_engine_t **out, const wb_model_t *m, const wb_engine_limits_t *limits) WB_NODISCARD;
void wb_engine_destroy (wb_engine_t *e); /**< drops every request without a word; NULL is fine */
/** The same, where the weights are of no further use: their layout is left as it is. */
void wb_engine_discard (wb_engine_t *e);
/** Bytes it takes, and bytes of one block of keys and values. */
size_t wb_engine_bytes (const wb_size_t *s, const wb_engine_limits_t *limits);
size_t wb_engine_block_bytes (const wb_size_t *s, bool half_cache);

typedef enum wb_end {
    WB_END_TEXT,    /**< the model ended the text */
    WB_END_LENGTH,  /**< max_length tokens */
    WB_END_STOPPED, /**< the callback did not want more */
    WB_END_NUMBERS, /**< a logit was NaN or infinite: the weights are damaged */
    WB_END_MEMORY   /**< there was no memory for what sampling looks back at, or what a search has found */
} wb_end;
typedef enum wb_event_kind {
    WB_EVENT_PROMPT, /**< token `index` of the prompt, from 1 on: id, logprob, likely; once a request */
    WB_EVENT_VECTOR, /**< the state after the final LayerNorm at the prompt's last position: vector [C];
                           once a request */
    WB_EVENT_TOKEN,  /**< token `index` of text `text`: id; if asked for, logprob and likely */
    WB_EVENT_END     /**< text `text` has ended after `index` tokens: end.  <|endoftext|> is no token of it */
} wb_event_kind;
/** What has happened to a request; all borrowed, valid during the call. */
typedef struct wb_event {
    wb_event_kind kind;
    int64_t text, index;
    int32_t id;
    float logprob;
    const wb_likely_t *likely; /**< [nlikely] the most likely ids, of equals the lower one first */
    int nlikely;
    const float *vector;
    wb_end end;
} wb_event_t;

typedef struct wb_request {
    const int32_t *ids; /**< [n] what the texts begin with, 1 .. T ids; copied */
    int64_t n;
    int64_t texts;          /**< >= 1; text i draws from stream i */
    wb_sampling_t sampling; /**< checked; it looks back at ids, unless these are <|endoftext|> alone, and the text.  Of
                                 a search that wb_search_refusal() has nothing against the texts are what it finds, the
                                 best first: a beam search tells of them when it is over, one after the other */
    int64_t min_length;     /**< tokens before <|endoftext|> may be drawn */
    int64_t max_length;     /**< 0: nothing is drawn */
    int likely;  /**< -1: no log-probabilities; else with this many of the most likely ids, <= WB_LIKELY_MAX */
    bool prompt; /**< those of the prompt too */
    bool vector; /**< WB_EVENT_VECTOR is wanted */
    /** Called within wb_engine_step(); false: this text is to end.  Must not call the engine. */
    bool (*event) (void *ctx, const wb_event_t *e);
    void *ctx;
} wb_request_t;
/** Errors: WB_EUSAGE: a search that there are too few texts at a time, or too few blocks for.  From any thread. */
wb_status wb_engine_check (const wb_engine_t *e, const wb_request_t *r) WB_NODISCARD;
/** Queue a request; *id is what wb_engine_cancel() wants.  Errors: WB_ENOMEM, those of wb_engine_check(). */
wb_status wb_engine_submit (wb_engine_t *e, uint64_t *id, const wb_request_t *r) WB_NODISCARD;
/** Drop a request, without further events; its blocks are free at once.  One that has ended is no error. */
void wb_engine_cancel (wb_engine_t *e, uint64_t id);
/** One step, if there is anything to do: texts are begun, pushed, drawn.  False: there was nothing to do. */
bool wb_engine_step (wb_engine_t *e);

typedef struct wb_engine_stats {
    int64_t requests, texts, waiting;             /**< now: requests, texts begun, texts not yet begun */
    int64_t blocks, blocks_used;                  /**< now */
    int64_t prompt_tokens, shared_tokens, tokens; /**< so far: pushed for prompts, found in shared blocks, drawn */
    int64_t steps, paused; /**< so far: steps, and how often a text had to give its blocks back */
} wb_engine_stats_t;
void wb_engine_stats (wb_engine_stats_t *out, const wb_engine_t *e);

#ifdef __cplusplus
}
#endif
#endif
