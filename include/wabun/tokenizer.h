/* wabun/tokenizer.h - the library libwabun-tokenizer: text to ids and back, by any tokenizer that wabun knows.
 *
 * For programs of any kind, in C, C++ or what calls C.  It needs no MPI, no BLAS and no OpenMP, prints nothing, ends no
 * process, starts no thread and has no settings outside the objects below.  Build with
 *     cc program.c $(pkg-config --cflags --libs wabun-tokenizer)
 *
 * Text is UTF-8, given by pointer and length: it may hold 0 bytes, and needs none at its end.  Bytes that are not UTF-8
 * are no error: they become byte ids where the vocabulary has them.
 *
 * Threads: a tokenizer does not change once it is open, and any number of threads may use one at the same time; close
 * it when all have done.  A stream belongs to one thread at a time.
 *
 * Errors: a function that can fail returns a wabun_status; wabun_error_text() then has a sentence for people.  What a
 * function writes through pointers is defined after WABUN_OK only, unless it says so.
 *
 * More about it: doc/tokenizer-library.md. */
#ifndef WABUN_TOKENIZER_H
#define WABUN_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WABUN_API __attribute__ ((visibility ("default")))
#define WABUN_CHECKED __attribute__ ((visibility ("default"), warn_unused_result))
#else
#define WABUN_API
#define WABUN_CHECKED
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wabun_status {
    WABUN_OK = 0,
    WABUN_USAGE = 2,     /**< a wrong argument, or a kind of tokenizer that is not known or not built in */
    WABUN_FILE = 3,      /**< a file is not there or cannot be read */
    WABUN_MEMORY = 4,    /**< out of memory */
    WABUN_DATA = 5,      /**< a vocabulary that is wrong, with file and line; an id outside the vocabulary */
    WABUN_TOO_SMALL = 64 /**< the caller's array is too small; how large it must be has been told */
} wabun_status;

/** The version of the library, "0.1.0"; constant. */
WABUN_API const char *wabun_version (void);
/** What went wrong in the calling thread's last call that failed, one line of UTF-8; "" before there was one.  Valid
 * until the thread's next call that returns a wabun_status. */
WABUN_API const char *wabun_error_text (void);

/* ---- tokenizers -------------------------------------------------------------------------------------------------- */

typedef struct wabun_tokenizer wabun_tokenizer;

/** Open what `path` names: "byte" (256 bytes and <|endoftext|>, no file); a directory with ja-bpe.txt and emoji.json,
 * or with ja-swe*.txt and emoji.json; a SentencePiece *.model; a model directory of wabun, which carries its tokenizer.
 * The files are not needed afterwards.
 * Errors: WABUN_FILE, WABUN_DATA, WABUN_USAGE, WABUN_MEMORY; then *out is NULL. */
WABUN_CHECKED wabun_status wabun_tokenizer_open (wabun_tokenizer **out, const char *path);

/** A file in memory. */
typedef struct wabun_file {
    const char *name; /**< without a directory: "ja-bpe.txt", "emoji.json", "x.model", "wabun-tokenizer.json" */
    const void *data;
    size_t bytes;
} wabun_file;
/** The same from files [n] in memory, which take the part of a directory; they are copied.
 * Errors: as wabun_tokenizer_open(). */
WABUN_CHECKED wabun_status wabun_tokenizer_open_memory (wabun_tokenizer **out, const wabun_file *files, size_t n);

/** NULL is allowed.  Its streams must be closed before. */
WABUN_API void wabun_tokenizer_close (wabun_tokenizer *t);

/** "byte", "ja-bpe", "ja-swe" or "sentencepiece"; constant. */
WABUN_API const char *wabun_tokenizer_kind (const wabun_tokenizer *t);
/** Number of ids, which are 0 .. size - 1. */
WABUN_API int32_t wabun_tokenizer_size (const wabun_tokenizer *t);
/** Id of the end of a text: <|endoftext|>, or </s> where a SentencePiece model has no such piece. */
WABUN_API int32_t wabun_tokenizer_eot (const wabun_tokenizer *t);
/** Id of what no piece covers; -1: there is none, since bytes cover everything. */
WABUN_API int32_t wabun_tokenizer_unknown (const wabun_tokenizer *t);
/** Id of a piece by its name as the vocabulary writes it: "<|endoftext|>", "<BR>" and "<|byte10|>" of ja-bpe, "<s>",
 * "<pad>" and "[MASK]" of a SentencePiece model, a word of any.  -1: there is none. */
WABUN_API int32_t wabun_tokenizer_find (const wabun_tokenizer *t, const char *name);
/** The bytes that an id stands for in decoded text, into *bytes [*n]; borrowed from t.  A byte id is that one byte, so
 * it need not be UTF-8.  Control pieces have none (n = 0).  Errors: WABUN_DATA: no such id. */
WABUN_CHECKED wabun_status wabun_tokenizer_piece (const wabun_tokenizer *t, const char **bytes, size_t *n, int32_t id);

/* ---- text to ids and back ---------------------------------------------------------------------------------------- */

/** Addresses, e-mail, telephone numbers, dates and prices become tags; kinds that have no such tags ignore it. */
#define WABUN_CLEAN 1u

/** Ids of text [n] into ids [capacity]; *count says how many they are.  No id is added at either end.
 * An array of n ids is enough for nearly every text.  Where it is not: WABUN_TOO_SMALL, *count is what is needed, and
 * ids holds nothing of use.
 * flags: WABUN_CLEAN or 0.  Time is linear in n.
 * Errors: WABUN_TOO_SMALL, WABUN_MEMORY; WABUN_USAGE: unknown flags; WABUN_DATA: more than 2^30 bytes for
 * SentencePiece, or a model of it, an odd one, with which it cannot encode this text (it says why). */
WABUN_CHECKED wabun_status wabun_encode (const wabun_tokenizer *t, int32_t *ids, size_t capacity, size_t *count,
                                         const char *text, size_t n, unsigned flags);
/** Text of ids [n] into text [capacity]; *bytes says how many they are.  The text is well-formed UTF-8: what byte ids
 * do not make a character of becomes U+FFFD.  No 0 byte is added. Errors: WABUN_TOO_SMALL, with what is needed in
 * *bytes; WABUN_DATA: an id outside the vocabulary; WABUN_MEMORY. */
WABUN_CHECKED wabun_status wabun_decode (const wabun_tokenizer *t, char *text, size_t capacity, size_t *bytes,
                                         const int32_t *ids, size_t n);

/* ---- text from ids that come one by one -------------------------------------------------------------------------- */

/** A decoder that holds back the bytes of an unfinished character. */
typedef struct wabun_stream wabun_stream;
/** Errors: WABUN_MEMORY. */
WABUN_CHECKED wabun_status wabun_stream_open (wabun_stream **out, const wabun_tokenizer *t);
/** The text that id completes, into *text [*n]; borrowed from s until its next call.  All texts, put together with that
 * of wabun_stream_finish(), are what wabun_decode() gives for all ids.
 * Errors: WABUN_DATA: an id outside the vocabulary, and the stream is as it was; WABUN_MEMORY. */
WABUN_CHECKED wabun_status wabun_stream_put (wabun_stream *s, const char **text, size_t *n, int32_t id);
/** What is held back, as U+FFFD; then the stream begins another text.  Errors: WABUN_MEMORY. */
WABUN_CHECKED wabun_status wabun_stream_finish (wabun_stream *s, const char **text, size_t *n);
WABUN_API void wabun_stream_close (wabun_stream *s); /**< NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
