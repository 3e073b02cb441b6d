/* Filters: what is measured of a text, and the bounds that decide whether it stays.  One table, FILTERS below. */
#ifndef WABUN_CORPUS_FILTERS_H
#define WABUN_CORPUS_FILTERS_H

#include "wabun/corpus.h"

/* Everything that is known of a text.  "Characters" are those that are no white space. */
typedef struct wb_measures {
    double chars;
    double hiragana, katakana;         /* shares of the Japanese letters */
    double japanese, brackets, digits; /* shares of the characters */
    double sentence;                   /* mean characters of a sentence */
    double ends, ellipses;             /* shares of lines that end like sentences, of sentences that end in ... */
    double short_lines;                /* share of lines under 10 characters that do not end like a sentence */
    double repeated_lines, repeated_in_chars; /* lines that were there before: share of lines, of characters */
    double top_2gram, repeated_10grams;       /* shares in blocks of 16,384 characters, mean over blocks */
    double words;                             /* how often a word of the user's list is in it */
} wb_measures_t;

/* X (option, reason, measure, least, fallback, max, unit, help, source): a text goes if measure < bound (least) or
 * measure > bound (not least).  Bounds are options filters.OPTION. */
#define WB_FILTERS(X)                                                                                                  \
    X (min_chars, "too short", chars, true, "400", 1e9, "characters", "texts with fewer characters go", "Swallow v1")  \
    X (max_chars, "too long", chars, false, "10000000", 1e9, "characters", "texts with more characters go", "")        \
    X (min_japanese, "not Japanese", japanese, true, "0.5", 1, "share",                                                \
       "kana, kanji and Japanese stops of all characters", "Swallow v1")                                               \
    X (min_hiragana, "few hiragana", hiragana, true, "0.2", 1, "share", "hiragana of the Japanese letters",            \
       "Swallow v1")                                                                                                   \
    X (max_katakana, "much katakana", katakana, false, "0.5", 1, "share", "katakana of the Japanese letters",          \
       "Swallow v1")                                                                                                   \
    X (min_ends, "few sentence ends", ends, true, "0.12", 1, "share", "lines that end like a sentence", "FineWeb")     \
    X (max_short_lines, "list or menu", short_lines, false, "0.67", 1, "share",                                        \
       "lines under 10 characters that do not end like a sentence", "FineWeb")                                         \
    X (min_sentence, "short sentences", sentence, true, "10", 1e6, "characters",                                       \
       "texts with a shorter mean sentence go", "Swallow v1 has 20")                                                   \
    X (max_sentence, "long sentences", sentence, false, "100", 1e6, "characters",                                      \
       "texts with a longer mean sentence go", "HojiChar; Swallow v1 has 90")                                          \
    X (max_ellipses, "cut off", ellipses, false, "0.2", 1, "share", "sentences that end in an ellipsis", "Swallow v1") \
    X (max_repeated_lines, "repeated lines", repeated_lines, false, "0.3", 1, "share", "lines that were there before", \
       "Gopher, Swallow v1")                                                                                           \
    X (max_repeated_chars, "text in repeated lines", repeated_in_chars, false, "0.2", 1, "share",                      \
       "characters in lines that were there before", "Gopher, Swallow v1")                                             \
    X (max_top_ngram, "one frequent pair", top_2gram, false, "0.2", 1, "share",                                        \
       "the most frequent pair of characters", "Gopher, Swallow v1")                                                   \
    X (max_repeated_ngrams, "repeated passages", repeated_10grams, false, "0.1", 1, "share",                           \
       "10-grams of characters that are there twice", "Gopher, Swallow v1")                                            \
    X (max_brackets, "many brackets", brackets, false, "0.1", 1, "share",                                              \
       "brackets, but not 「」『』, of all characters", "")                                                            \
    X (max_digits, "many digits", digits, false, "0.2", 1, "share", "digits of all characters", "")                    \
    X (max_words, "word list", words, false, "0", 1e9, "times",                                                        \
       "words of filters.words that a text may have, each time counted", "HojiChar")

#define WB_FILTER_ENUM(option, ...) WB_FILTER_##option,
enum { WB_FILTERS (WB_FILTER_ENUM) WB_FILTERS_N };

/* Why a document is not in the corpus: a filter, or one of these. */
enum { WB_REASON_LICENCE = WB_FILTERS_N, WB_REASON_EXACT, WB_REASON_NEAR, WB_REASON_LINES, WB_REASONS, WB_KEPT = 255 };

typedef struct wb_filter {
    const char *option, *reason, *source;
    size_t measure; /* offset in wb_measures_t */
    bool least;
} wb_filter_t;
extern const wb_filter_t wb_filters[WB_FILTERS_N];
/* "too short", ..., "near duplicate". */
const char *wb_reason_name (int reason);
/* The first filter that m does not pass; WB_KEPT: it passes all. */
int wb_filters_pass (const wb_measures_t *m, const double bounds[WB_FILTERS_MAX]);

/* The user's word list: a word a line. */
typedef struct wb_words wb_words_t;
/* Errors: WB_EIO, WB_EDATA no word in it, WB_ENOMEM. */
wb_status wb_words_new (wb_words_t **out, const char *path) WB_NODISCARD;
int64_t wb_words_count (const wb_words_t *w, const char *s, size_t n); /* how often, w NULL: 0 */
void wb_words_destroy (wb_words_t *w);

/* ---- measuring (measure.c) --------------------------------------------------------------------------------------- */

/* A line, and how many characters were read when it was seen last. */
typedef struct wb_seen_line {
    uint64_t line;
    int64_t place;
} wb_seen_line_t;

/* What a thread keeps between texts, and what measuring leaves for what comes after. */
typedef struct wb_measurer {
    uint32_t *chars; /* [n] the text without white space, full-width ASCII narrowed, letters small */
    int64_t n, cap;
    uint64_t *lines; /* [nlines] hashes of the lines that are not empty, each once, in order */
    int64_t nlines, lines_cap;
    wb_seen_line_t *seen;
    int64_t seen_cap;
    void *tables; /* of n-grams */
} wb_measurer_t;
/* s [n]: clean UTF-8.  Linear.  words may be NULL.  Errors: WB_ENOMEM. */
wb_status wb_measure (wb_measurer_t *x, wb_measures_t *m, const char *s, size_t n,
                      const wb_words_t *words) WB_NODISCARD;
void wb_measurer_fini (wb_measurer_t *x);
uint64_t wb_line_hash (const char *s, size_t n);
/* Shares of n-grams; called by wb_measure(). */
wb_status wb_measure_ngrams (wb_measurer_t *x, wb_measures_t *m) WB_NODISCARD;

/* ---- cleaning (clean.c) ------------------------------------------------------------------------------------------ */

/* Append s [n], UTF-8, to out: no control, zero-width or bidi characters and no NUL; lines end with LF and have no
 * blanks at their end; no more than one empty line after another.  Linear.  Errors: WB_ENOMEM. */
wb_status wb_clean_text (wb_buf_t *out, const char *s, size_t n, const wb_clean_options_t *o) WB_NODISCARD;

/* ---- near duplicates (minhash.c) --------------------------------------------------------------------------------- */

/* Signature: k = bands x rows values of 16 bits.  Two texts' signatures agree in a share of their values that is the
 * Jaccard similarity of their sets of n-grams, but for sampling (deviation sqrt (s (1 - s) / k)) and 2^-16. */
enum { WB_MINHASH_MAX = 512 };
typedef struct wb_minhash {
    int k, ngram;
    uint32_t mul[WB_MINHASH_MAX], mix[WB_MINHASH_MAX];
} wb_minhash_t;
void wb_minhash_init (wb_minhash_t *h, int k, int ngram);
/* The signature of chars [n] into sig [k]; of a text shorter than ngram its whole is the one n-gram. */
void wb_minhash_sign (const wb_minhash_t *h, uint16_t *sig, const uint32_t *chars, int64_t n);
/* The share of values in which they agree. */
double wb_minhash_same (const uint16_t *a, const uint16_t *b, int k);

#endif
