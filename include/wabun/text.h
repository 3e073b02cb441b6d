/* wabun - tokenizer: text to ids and back, by any kind of tokenizer; UTF-8.  Knows neither ranks nor files of ids.
 */
#ifndef WABUN_TEXT_H
#define WABUN_TEXT_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tokenizer (kinds.c, tokenizer.c, files.c; byte.c, ja_bpe.c) ------------------------------------------------- */

/** A tokenizer: read-only after loading, safe to use from many threads at once (encode keeps its state on the stack or
 * in thread-local space it owns). */
typedef struct wb_tokenizer wb_tokenizer_t;

/** \param spec  "byte"; a directory with ja-bpe.txt + emoji.json; a model directory (its tokenizer is in it).
 * Errors: WB_EIO no such file; WB_EDATA what is wrong with the vocabulary, with file:line; WB_EUSAGE a kind not known,
 * with the kinds that are. */
wb_status wb_tokenizer_new (wb_tokenizer_t **out, const char *spec) WB_NODISCARD;
void wb_tokenizer_destroy (wb_tokenizer_t *t); /**< NULL is fine */
/** *found: does the name, file or directory say what its tokenizer is?  Not "does it load": a damaged tokenizer is an
 * error, not none.  Errors: WB_ENOMEM. */
wb_status wb_tokenizer_probe (bool *found, const char *spec) WB_NODISCARD;
/** The kinds there are and how they are named, for messages, into buf. */
#define WB_TOKENIZER_KNOWN 512
const char *wb_tokenizer_known (char buf[WB_TOKENIZER_KNOWN]);
/** Append the ids of text[0..n) to `out`.  Any bytes are allowed: malformed UTF-8 becomes byte tokens, one for each
 * byte (where the vocabulary lacks the byte token, the bytes of U+FFFD).  clean: URL, e-mail, telephone, date, price
 * become tags (ja-bpe; ignored by byte).  ja-bpe takes tags written in the text, <|endoftext|> too, for the tags
 * themselves, as the original does; byte takes them for text.  Linear in n.  Errors: WB_ENOMEM. */
wb_status wb_tokenizer_encode (const wb_tokenizer_t *t, wb_ids_t *out, const char *text, size_t n,
                               bool clean) WB_NODISCARD;
/** Append the text of ids[0..n).  Malformed byte sequences become U+FFFD, one for each maximal subpart, as Python's
 * errors='replace'. Errors: WB_EDATA an id outside the vocabulary (position and id named); WB_ENOMEM. */
wb_status wb_tokenizer_decode (const wb_tokenizer_t *t, wb_buf_t *out, const int32_t *ids, int64_t n) WB_NODISCARD;
int32_t wb_tokenizer_size (const wb_tokenizer_t *t);     /**< number of ids: n_vocab */
int32_t wb_tokenizer_eot (const wb_tokenizer_t *t);      /**< id of <|endoftext|> */
const char *wb_tokenizer_kind (const wb_tokenizer_t *t); /**< "byte", "ja-bpe" */
/** Which tokenizer it is: the same numbers where the same ids stand for the same text, wherever it lies. */
typedef struct wb_tokenizer_identity {
    char kind[32];
    int32_t size;  /**< number of ids */
    uint64_t hash; /**< XXH64 of what all ids stand for, in their order, and of the end token */
} wb_tokenizer_identity_t;
void wb_tokenizer_identify (wb_tokenizer_identity_t *out, const wb_tokenizer_t *t);
bool wb_tokenizer_same (const wb_tokenizer_identity_t *a, const wb_tokenizer_identity_t *b);
/** "ja-bpe of 50,257 ids (0123456789abcdef)" into buf. */
#define WB_TOKENIZER_IDENTITY 96
const char *wb_tokenizer_identity_text (char buf[WB_TOKENIZER_IDENTITY], const wb_tokenizer_identity_t *i);
/** May a text be cut after line ends (LF) and its pieces be encoded one by one, with the same ids?  ja-bpe: not if the
 * vocabulary has words, emoji or tags that can lie across a line end. */
bool wb_tokenizer_by_lines (const wb_tokenizer_t *t);
/** Number of bytes outside well-formed UTF-8 characters; a last character that is not finished does not count. */
int64_t wb_text_stray (const char *text, size_t n);
/** Is text in another encoding than UTF-8?  One hundredth that is not UTF-8 says so; a few stray bytes do not. */
bool wb_text_garbled (int64_t stray, int64_t bytes);
/** Shown where text or a file, named in front of it, is not UTF-8. */
#define WB_NOT_UTF8                                                                                                 \
    "%s is not UTF-8: what it holds becomes bytes, not words; convert it first: iconv -f ENCODING -t UTF-8 (CP932 " \
    "for "                                                                                                          \
    "Shift_JIS, EUC-JP, ISO-2022-JP, UTF-16)"
/** Warn when text is in another encoding; *told (may be NULL): only once. */
void wb_text_warn (const char *name, const char *text, size_t n, bool *told);
/** UTF-8 bytes that `id` stands for in decoded text (<|endoftext|>: 0): the denominator of bits per byte. */
int32_t wb_tokenizer_id_bytes (const wb_tokenizer_t *t, int32_t id);
/** Those bytes, of <|endoftext|> too, borrowed from t; a byte id is one byte of any value.  Errors: WB_EDATA: no such
 * id.
 */
wb_status wb_tokenizer_piece (const wb_tokenizer_t *t, const char **bytes, size_t *n, int32_t id) WB_NODISCARD;
/** Write the tokenizer's files into a directory, so that wb_tokenizer_new (directory) gives it back. The kind `byte`
 * writes a small wabun-tokenizer.json.  Errors: WB_EIO. */
wb_status wb_tokenizer_save (const wb_tokenizer_t *t, const char *dir) WB_NODISCARD;
/** Name of the i-th file that wb_tokenizer_save() writes, NULL after the last; constant. */
const char *wb_tokenizer_file (const wb_tokenizer_t *t, int i);
enum { WB_TOKENIZER_MAX_FILES = 4 };

/** Streaming decoder for terminals: bytes of an unfinished character are held back until they are whole. */
typedef struct wb_stream wb_stream_t;
wb_status wb_stream_new (wb_stream_t **out, const wb_tokenizer_t *t) WB_NODISCARD;
void wb_stream_destroy (wb_stream_t *s);
/** Append to `out` the text that id completes.  flush: also append what is held back (as U+FFFD); id < 0: flush only.
 */
wb_status wb_stream_put (wb_stream_t *s, wb_buf_t *out, int32_t id, bool flush) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
