/* What the files of tokenizer share among themselves. */
#ifndef WABUN_TOKENIZER_PRIV_H
#define WABUN_TOKENIZER_PRIV_H

#include "tokenizer/utf8.h"
#include "wabun/text.h"

#define WB_EOT_TEXT "<|endoftext|>"
#define WB_EOT_LEN ((int32_t) sizeof WB_EOT_TEXT - 1)

/* ---- tokenizers ------------------------------------------------------------------------------------------------ */

/* What an id stands for: a raw byte, or a piece of text. */
typedef struct wb_piece {
    const char *text;
    int32_t len; /* of text; -1: the raw byte `byte` */
    unsigned char byte;
} wb_piece_t;

/* A kind of tokenizer: one file that defines one of these, and a row in the table of kinds.c. */
typedef struct wb_tokenizer_kind {
    const char *name;     /* what --tokenizer reports and wabun-tokenizer.json says: "ja-bpe" */
    const char *what;     /* how users name one, for messages: "a directory with ja-bpe.txt and emoji.json" */
    const char *files[4]; /* its own files in a model directory; ends with NULL */
    /* Does the name, file or directory mean this kind?  Not whether it loads. */
    bool (*probe) (const char *spec);
    wb_status (*open) (wb_tokenizer_t **out, const char *spec);
    void (*destroy) (wb_tokenizer_t *t);
    wb_status (*encode) (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean);
    wb_piece_t (*piece) (const wb_tokenizer_t *t, int32_t id);    /* id is in range */
    wb_status (*save) (const wb_tokenizer_t *t, const char *dir); /* the kind's own files */
} wb_tokenizer_kind_t;

struct wb_tokenizer { /* first member of each kind's own */
    const wb_tokenizer_kind_t *kind;
    int32_t size, eot;
    bool by_lines; /* texts may be cut at line ends */
};

/* The kinds (kinds.c), probed in this order; ends with NULL. */
extern const wb_tokenizer_kind_t *const wb_tokenizer_kinds[];
extern const wb_tokenizer_kind_t wb_tokenizer_byte, wb_tokenizer_ja_bpe;

/* What a model directory says its kind is, where the kind's own files do not. */
#define WB_TOKENIZER_TAG "wabun-tokenizer.json"

/* Is there such a file in a directory?  (Out of memory: no.) */
bool wb_tokenizer_has_file (const char *dir, const char *name);

/* ---- text as code points (clean.c, ja_bpe.c) ------------------------------------------------------------------- */

/* A byte that is not UTF-8 stays in the text as WB_RAW + byte, which is not a character and matches nothing. */
#define WB_RAW 0x110000u
typedef struct wb_cps {
    uint32_t *data;
    size_t len, cap;
} wb_cps_t;
wb_status wb_cps_reserve (wb_cps_t *v, size_t n) WB_NODISCARD;
wb_status wb_cps_put (wb_cps_t *v, const uint32_t *data, size_t n) WB_NODISCARD;
void wb_cps_fini (wb_cps_t *v);

/* The six patterns that `clean` turns into tags; read-only once made. */
typedef struct wb_clean wb_clean_t;
wb_status wb_clean_new (wb_clean_t **out) WB_NODISCARD;
void wb_clean_destroy (wb_clean_t *c);
/* Replace in `text`, using `spare`; the two may change places.  Time and memory are linear in the text. */
wb_status wb_clean_run (const wb_clean_t *c, wb_cps_t *text, wb_cps_t *spare) WB_NODISCARD;
/* Text of pattern i in PCRE's syntax and its tag, NULL after the last (for the test that compares it with PCRE2). */
const char *wb_clean_pattern (int i, const char **tag);

#endif
