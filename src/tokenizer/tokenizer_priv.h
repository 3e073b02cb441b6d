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

/* ---- where a tokenizer is (place.c) ----------------------------------------------------------------------------- */

/* A file in memory. */
typedef struct wb_blob {
    const char *name;
    const void *data;
    size_t bytes;
} wb_blob_t;

/* What a user named: a word ("byte"), a directory, a file in one; or files in memory that are like a directory. */
typedef struct wb_place {
    const char *spec; /* as named, for messages too */
    const char *dir;  /* of `file`, or `spec` */
    const char *file; /* the one file that was named, NULL: none */
    const wb_blob_t *blobs;
    size_t nblobs;
    bool memory; /* only the blobs count */
    char *owned; /* what `dir` points to */
} wb_place_t;
wb_status wb_place_init (wb_place_t *p, const char *spec) WB_NODISCARD;
void wb_place_fini (wb_place_t *p);
bool wb_place_has (const wb_place_t *p, const char *name); /* out of memory: no, and the record says so */
/* How many files PREFIX*SUFFIX there are, and the first by name into *name, to be freed; a file that was named is the
 * only one.  -1: out of memory. */
int wb_place_find (char **name, const wb_place_t *p, const char *prefix, const char *suffix);
/* As wb_file_read(). */
wb_status wb_place_read (char **data, size_t *bytes, const wb_place_t *p, const char *name) WB_NODISCARD;
/* DIR/NAME, for messages; NULL: out of memory.  To be freed. */
char *wb_place_path (const wb_place_t *p, const char *name) WB_NODISCARD;

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

/* A kind of tokenizer: one file that defines one of these, and a row in the table of kinds.c. */
typedef struct wb_tokenizer_kind {
    const char *name;     /* what --tokenizer reports and wabun-tokenizer.json says: "ja-bpe" */
    const char *what;     /* how users name one, for messages: "a directory with ja-bpe.txt and emoji.json" */
    const char *files[4]; /* its own files in a model directory; ends with NULL */
    /* Does the name, file or directory mean this kind?  Not whether it loads. */
    bool (*probe) (const wb_place_t *place);
    wb_status (*open) (wb_tokenizer_t **out, const wb_place_t *place);
    void (*destroy) (wb_tokenizer_t *t);
    wb_status (*encode) (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n, bool clean);
    wb_piece_t (*piece) (const wb_tokenizer_t *t, int32_t id); /* id is in range */
    int32_t (*find) (const wb_tokenizer_t *t,
                     const char *name); /* id of a piece as the vocabulary writes it; -1: none */
    const char *(*file) (const wb_tokenizer_t *t, size_t *n, int i); /* what is in files[i]; borrowed */
} wb_tokenizer_kind_t;

/* Spaces that pieces at the beginning of a text lose: none, one, or one of each piece until there is text. */
typedef enum wb_trims { WB_TRIM_NONE, WB_TRIM_ONE, WB_TRIM_ALL } wb_trims;

struct wb_tokenizer { /* first member of each kind's own */
    const wb_tokenizer_kind_t *kind;
    int32_t size, eot;
    bool by_lines;   /* texts may be cut at line ends */
    wb_trims trims;  /* of what is decoded */
    int32_t unknown; /* keeps its spaces; -1: none */
    bool each_byte;  /* U+FFFD for each byte that is no UTF-8, instead of for each maximal subpart */
};

/* The kinds (kinds.c), probed in this order; ends with NULL. */
extern const wb_tokenizer_kind_t *const wb_tokenizer_kinds[];
extern const wb_tokenizer_kind_t wb_tokenizer_byte, wb_tokenizer_ja_bpe, wb_tokenizer_ja_swe,
    wb_tokenizer_sentencepiece;

/* What a model directory says its kind is, where the kind's own files do not. */
#define WB_TOKENIZER_TAG "wabun-tokenizer.json"

/* Open what is at a place.  Errors: as wb_tokenizer_new(). */
wb_status wb_tokenizer_open (wb_tokenizer_t **out, const wb_place_t *place) WB_NODISCARD;

/* ---- text as code points (utf8.c, clean.c) ------------------------------------------------------------------- */

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
/* other_dates: the second encoder's patterns, which know more characters of dates. */
wb_status wb_clean_new (wb_clean_t **out, bool other_dates) WB_NODISCARD;
void wb_clean_destroy (wb_clean_t *c);
/* Replace in `text`, using `spare`; the two may change places.  Time and memory are linear in the text. */
wb_status wb_clean_run (const wb_clean_t *c, wb_cps_t *text, wb_cps_t *spare) WB_NODISCARD;
/* Text of pattern i in PCRE's syntax and its tag, NULL after the last (for the test that compares it with PCRE2, and
 * for Hugging Face's tokenizers). */
const char *wb_clean_pattern (int i, bool other_dates, const char **tag);
/* How a pattern writes a number; a unit follows it always. */
#define WB_CLEAN_NUMBER "(0|[1-9]\\d*|[1-9]\\d{0,2}(,\\d{3})+)*"
/* The first of the i-th ten digits that \d stands for, in order; 0 after the last. */
uint32_t wb_clean_zero (int i);

#endif
