/* What ja-bpe and ja-swe share: the vocabulary in memory (ja_load.c) and text made ready for words (ja_text.c).
 *
 * Both replace spaces, line ends and emoji by tags, and with `clean` patterns too; they differ in what a line of the
 * vocabulary says and in which word is taken. */
#ifndef WABUN_TOKENIZER_JA_H
#define WABUN_TOKENIZER_JA_H

#include <jansson.h>

#include "tokenizer/trie.h"

typedef struct wb_emoji {
    uint32_t *key, *tag; /* both in one block, which `key` owns */
    size_t keylen, taglen;
} wb_emoji_t;

typedef struct wb_ja wb_ja_t;

/* State of reading a vocabulary. */
typedef struct wb_ja_loading {
    const char *path;
    wb_cps_t cps;
    wb_trie_t seen;
} wb_ja_loading_t;

/* What the two kinds do in their own way. */
typedef struct wb_ja_form {
    /* Take the line s[0..n), n > 0, as id; wb_ja_piece() says what it stands for. */
    wb_status (*add) (wb_ja_t *t, wb_ja_loading_t *l, int32_t id, const char *s, size_t n);
    /* `clean`, on text with tags for spaces and emoji; `text` and `spare` may change places. */
    wb_status (*clean) (const wb_ja_t *t, wb_cps_t *text, wb_cps_t *spare);
    wb_status (*put_words) (const wb_ja_t *t, wb_ids_t *out, const wb_cps_t *text);
    const char *const *needed; /* tags that encoding cannot do without; ends with NULL */
    bool other_dates;          /* of wb_clean_new() */
} wb_ja_form_t;

struct wb_ja { /* first member of each kind's own */
    wb_tokenizer_t base;
    const wb_ja_form_t *form;
    char *words_file, *emoji_file; /* as they were, for saving */
    size_t words_bytes, emoji_bytes;
    json_t *json; /* holds the texts of emoji tokens */
    char *words;  /* line ends folded; holds the texts of the others */
    wb_piece_t *pieces;
    int32_t bytes[256]; /* ids of byte tokens, -1: none */
    wb_trie_t tags;     /* words that begin with '<'; of ja-swe all words */
    wb_emoji_t *emoji;
    size_t nemoji;
    wb_trie_t keys;         /* of emoji */
    uint8_t first[0x10000]; /* may a key begin with this character? Above: always */
    bool overlap;           /* some key can lie across some tag that was put in */
    wb_clean_t *clean;
};

/* Read the words from a file of `place` and emoji.json beside it into t, which is zero but for base.kind and form.
 * Errors: WB_EIO; WB_EDATA with file:line; WB_ENOMEM.  In any case wb_ja_fini() frees what was read. */
wb_status wb_ja_load (wb_ja_t *t, const wb_place_t *place, const char *words_file) WB_NODISCARD;
void wb_ja_fini (wb_ja_t *t);

/* What word `id` stands for in decoded text. */
wb_status wb_ja_piece (wb_ja_t *t, const char *path, int32_t id, const char *s, size_t n) WB_NODISCARD;
wb_status wb_ja_cps (wb_cps_t *out, const char *s, size_t n) WB_NODISCARD;
/* Can this word, where it is taken, lie across the <BR> of a line end? */
bool wb_ja_crosses (const wb_cps_t *word);
/* Id of a tag, in ja-swe of any word that is found; -1: there is none. */
int32_t wb_ja_tag (const wb_ja_t *t, const char *tag);

wb_status wb_ja_encode (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean) WB_NODISCARD;
/* The byte tokens of a character, or of a byte that is none (WB_RAW + byte). */
wb_status wb_ja_put_bytes (const wb_ja_t *t, wb_ids_t *out, uint32_t c) WB_NODISCARD;
wb_piece_t wb_ja_piece_of (const wb_tokenizer_t *t, int32_t id);
const char *wb_ja_file (const wb_tokenizer_t *t, size_t *n, int i);

#endif
