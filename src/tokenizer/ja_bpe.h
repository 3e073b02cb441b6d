/* ja-bpe, inside: the vocabulary in memory, made by ja_bpe_load.c, used by ja_bpe.c. */
#ifndef WABUN_TOKENIZER_JA_BPE_H
#define WABUN_TOKENIZER_JA_BPE_H

#include <jansson.h>

#include "tokenizer/trie.h"

typedef struct wb_emoji {
    uint32_t *key, *tag; /* both in one block, which `key` owns */
    size_t keylen, taglen;
} wb_emoji_t;

typedef struct wb_ja_bpe {
    wb_tokenizer_t base;
    char *words_file, *emoji_file; /* as they were, for saving */
    size_t words_bytes, emoji_bytes;
    json_t *json; /* holds the texts of emoji tokens */
    char *words;  /* line ends folded; holds the texts of the others */
    wb_piece_t *pieces;
    int32_t bytes[256]; /* ids of byte tokens, -1: none */
    int32_t *one;       /* [65536] ids of words of one character, -1: none */
    wb_map_t pairs;     /* words of two, and (c, WB_MAP_NO_CHAR) words of one above U+FFFF */
    wb_trie_t tags;     /* words that begin with '<' */
    wb_emoji_t *emoji;
    size_t nemoji;
    wb_trie_t keys;         /* of emoji */
    uint8_t first[0x10000]; /* may a key begin with this character? Above: always */
    bool overlap;           /* some key can lie across some tag that was put in */
    wb_clean_t *clean;
} wb_ja_bpe_t;

/* Read dir/ja-bpe.txt and dir/emoji.json into t, which is zero.  Errors: WB_EIO; WB_EDATA with file:line; WB_ENOMEM. In
 * any case wb_ja_bpe_fini() frees what was read. */
wb_status wb_ja_bpe_load (wb_ja_bpe_t *t, const char *dir) WB_NODISCARD;
void wb_ja_bpe_fini (wb_ja_bpe_t *t);

#endif
