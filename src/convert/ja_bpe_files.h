/* The vocabulary of ja-bpe, read from its two files, for exports that must spell it out. */
#ifndef WABUN_CONVERT_JA_BPE_FILES_H
#define WABUN_CONVERT_JA_BPE_FILES_H

#include "convert/convert_priv.h"

typedef struct wb_span {
    const char *s;
    size_t n;
} wb_span_t; /**< borrowed */
static inline bool wb_span_equal (const wb_span_t *a, const wb_span_t *b) {
    return a->n == b->n && (a->n == 0 || __builtin_memcmp (a->s, b->s, a->n) == 0);
}

typedef struct wb_emoji_key {
    wb_span_t key, tag;
    int level; /**< hf_ja_bpe.c */
    bool done;
} wb_emoji_key_t;

typedef struct wb_ja_bpe_files {
    char *text;   /**< ja-bpe.txt, line ends folded */
    json_t *json; /**< emoji.json */
    wb_span_t *words;
    int nwords;
    bool one[256];        /**< is there a word of this byte alone? */
    bool bytes[256];      /**< is there a token of this byte? */
    wb_emoji_key_t *keys; /**< those that can match at all, in the order of the file */
    int nkeys;
    bool overlap; /**< a key can lie across a tag that was put in */
} wb_ja_bpe_files_t;

/** Read ja-bpe.txt and emoji.json of a directory, where wb_tokenizer_save() has written them.  Errors: WB_EIO,
 * WB_EDATA, WB_ENOMEM; _fini frees in any case. */
wb_status wb_ja_bpe_files_read (wb_ja_bpe_files_t *f, const char *dir) WB_NODISCARD;
void wb_ja_bpe_files_fini (wb_ja_bpe_files_t *f);
int wb_ja_bpe_byte (const wb_ja_bpe_files_t *f, int id); /**< of a token <|byteN|>; -1: it is none */
/** What a tag stands for in decoded text: blanks, line ends, emoji; .s NULL: the word itself. */
wb_span_t wb_ja_bpe_face (const wb_ja_bpe_files_t *f, int id);
/** Is the word ever found in text: a tag, or one or two characters? */
bool wb_ja_bpe_found (const wb_ja_bpe_files_t *f, int id);

/** tokenizer.json of it (hf_ja_bpe.c).  clean: it puts tags as wabun encode --clean does.  The caller owns *out.
 * Errors: WB_ENOMEM. */
wb_status wb_hf_ja_bpe (json_t **out, wb_ja_bpe_files_t *f, bool clean) WB_NODISCARD;
/** Append {"type": "Replace", ...}, its pattern a "String" or a "Regex"; false: out of memory. */
bool wb_hf_add_replace (json_t *list, const char *kind, const wb_span_t *pattern, const char *content,
                        size_t n) WB_NODISCARD;
/** Append the normalizers of `clean` (hf_clean.c).  Errors: WB_ENOMEM. */
wb_status wb_hf_add_clean (json_t *list) WB_NODISCARD;
/** Append a pattern of wb_clean_pattern() as it stands there.  Errors: WB_ENOMEM. */
wb_status wb_hf_clean_pattern (wb_buf_t *out, const char *pattern) WB_NODISCARD;

#endif
