/* wabun - infer: how a text goes on: drawing an id, or searching for a text.
 *
 * Not collective.
 */
#ifndef WABUN_SAMPLING_H
#define WABUN_SAMPLING_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sampling (sample.c, adjust.c) ------------------------------------------------------------------------------- */

#define WB_BIAS_MAX 300
typedef struct wb_bias {
    int32_t id;
    float add;
} wb_bias_t;
/** Search for a text instead of drawing its ids: no random numbers are used, and of wb_sampling_t only what changes
 * logits counts: biases, penalties, no_repeat_ngram.  p is the softmax of what these leave. */
typedef struct wb_searching {
    int64_t beams; /**< > 0: beam search, this many unfinished texts at a time (Sutskever et al., arXiv:1409.3215); the
                        texts are the best it has found */
    double length_penalty; /**< they are ranked by log p / tokens^this, <|endoftext|> being one (as transformers has it;
                                0: by log p) */
    double penalty_alpha;  /**< > 0: contrastive search (Su et al., arXiv:2202.06417, eq. 5): of the `candidates` most
                                likely ids the one of the highest (1 - this) p - this * closeness, the largest cosine of
                                its state (after the final LayerNorm) and of those of prompt and text */
    int64_t candidates;    /**< 1 .. WB_SEARCH_MAX */
} wb_searching_t;
enum { WB_SEARCH_MAX = 64 }; /* beams, or candidates */
/** How an id is drawn.  What is set is applied in the order of the fields; each narrowing takes what the one before
 * left as the whole.  Zero-initialised: the most likely, and nothing else. */
typedef struct wb_sampling {
    wb_bias_t bias[WB_BIAS_MAX]; /**< added to logits */
    int nbias;
    double repetition_penalty; /**< logits of ids in context and text: / this if > 0, * this if not (Keskar et al.,
                                    arXiv:1909.05858); 0 and 1: off */
    double frequency_penalty;  /**< subtracted for each time the text has an id (OpenAI's API, as the next) */
    double presence_penalty;   /**< subtracted if the text has it at all; 0 of both: off */
    int64_t no_repeat_ngram;   /**< no n ids in a row come twice in context and text (Paulus et al., arXiv:1705.04304);
                                    0: off */
    double temperature;        /**< > 0; 0 = always the most likely, of equals the lowest id */
    int64_t top_k;             /**< the k most likely (Fan et al., arXiv:1805.04833); 0: off */
    double typical_p;          /**< the fewest, of -log p nearest to the entropy, that make up this (Meister et al.,
                                    arXiv:2202.00666); 0 and 1: off */
    double top_p; /**< the fewest most likely that make up this (Holtzman et al., arXiv:1904.09751); 0 and 1: off */
    double min_p; /**< at least this share of the most likely one's p (Nguyen et al., arXiv:2407.01082); 0: off */
    uint64_t seed;
    wb_searching_t search; /**< instead of everything from temperature to seed */
} wb_sampling_t;
/** Help of the options that wb_sampling_option() takes. */
#define WB_SAMPLING_HELP                                                                                 \
    "  --temperature X      below 1 safer, above 1 wilder, 0: always the most likely (default 1)\n"      \
    "  --top-k K            draw from the K most likely tokens; 0: from all (default 40)\n"              \
    "  --typical-p P        draw from the most typical tokens that make up P; 0: off (default 0)\n"      \
    "  --top-p P            draw from the most likely tokens that make up P; 0: off (default 0)\n"       \
    "  --min-p P            draw from tokens of at least P times the best one's probability (0: off)\n"  \
    "  --repetition-penalty X  above 1: tokens of context and text are less likely (default 1)\n"        \
    "  --frequency-penalty X  less likely by X for each time the text has it (default 0)\n"              \
    "  --presence-penalty X  less likely by X if the text has it (default 0)\n"                          \
    "  --no-repeat-ngram N  no N tokens in a row twice (default 0: off)\n"                               \
    "  --logit-bias ID=X    add X to the logit of a token; may be given more than once\n"                \
    "  --beams N            search for likely texts, N at a time, instead of drawing (0: off)\n"         \
    "  --length-penalty X   they are ranked by log-probability / tokens to the power of X (default 1)\n" \
    "  --penalty-alpha X    contrastive search: X for being unlike what is there, 1 - X for the\n"       \
    "                       probability (0: off)\n"                                                      \
    "  --candidates K       of contrastive search: it takes one of the K most likely tokens (default 4)\n"
/** Is the argument an option of sampling (WB_SAMPLING_HELP)?  Then it is stored, and *status is WB_OK or WB_EUSAGE
 * (args.c). */
bool wb_sampling_option (wb_sampling_t *s, wb_opts_t *o, wb_status *status) WB_NODISCARD;
/** The seed asked for; < 0: one from the clock, which a message names (args.c). */
void wb_sampling_seed (wb_sampling_t *s, int64_t asked);
/** Does it look at what was written before (wb_draw_t's history)? */
bool wb_sampling_looks_back (const wb_sampling_t *s);
/** Errors: WB_EUSAGE a bias for an id that is not below V. */
wb_status wb_sampling_check (const wb_sampling_t *s, int64_t V) WB_NODISCARD;
/** Texts that a search works on at a time; 0: it is none. */
int wb_search_width (const wb_searching_t *s);
/** Why a search cannot be for so many texts, as it is; NULL: it can, or there is none. */
const char *wb_search_refusal (const wb_searching_t *s, int64_t texts);

/** An id, and its log-probability in nats at temperature 1, before anything of wb_sampling_t. */
typedef struct wb_likely {
    int32_t id;
    float logprob;
} wb_likely_t;
enum { WB_LIKELY_MAX = 20 };
/** One draw: all but id and likely[] are the caller's. */
typedef struct wb_draw {
    const wb_sampling_t *how;
    const float *logits;       /**< [V] */
    const int32_t *history;    /**< [nhistory] context and text so far; read if wb_sampling_looks_back() */
    int64_t nhistory, written; /**< written: how many at its end are the text's */
    int32_t forbid;            /**< this id is never drawn; -1: none */
    uint64_t stream, index;
    int32_t id; /**< the result; -1: a logit is NaN or +infinity, or all are -infinity; -2: all are forbidden */
    wb_likely_t *likely; /**< [1 + nlikely] the id drawn, then the most likely ones, by the softmax of the logits as
                            they are, before anything of wb_sampling_t; NULL: not wanted */
    int nlikely;
} wb_draw_t;
/** Draw by (seed, stream, index): a pure function.  work: wb_sample_work_bytes (V), aligned for a double.  Cost O(V),
 * and O(nhistory) where it looks back. */
void wb_sample_id (wb_draw_t *d, int64_t V, void *work);
/** Draw for n texts, shared among threads: each as by wb_sample_id().  work: n times wb_sample_work_bytes (V). */
void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, void *work);
size_t wb_sample_work_bytes (int64_t V);

#ifdef __cplusplus
}
#endif
#endif
