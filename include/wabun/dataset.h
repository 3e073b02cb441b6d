/* wabun - dataset: from documents to training windows.
 *
 * tokens: a file of ids (Megatron's indexed dataset).  loader: sample k -> T + 1 ids.  Neither knows ranks: where work
 * is shared, functions take (part, parts) as plain numbers.  encode: text files to one token file, by all ranks.
 */
#ifndef WABUN_DATASET_H
#define WABUN_DATASET_H

#include <wabun/comm.h>
#include <wabun/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- token files (tokens_read.c, tokens_write.c): Megatron's indexed dataset ------------------------------------- */

/** PREFIX.bin: ids.  PREFIX.idx: "MMIDIDX\0\0", uint64 version 1, uint8 dtype code (1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8
 * u16), uint64 sequences, uint64 documents + 1, int32 lengths[], int64 byte pointers[], int64 document index[].
 * Little-endian.  PREFIX.mask, which may be missing: a byte for each id of the stream, 0: its loss does not count in
 * training, since it is part of a prompt. */
typedef struct wb_tokens wb_tokens_t;
/** Open a token file.  Checks magic, version, sizes (of the mask too), monotone pointers inside the .bin; not the ids.
 * Files stay open and are read, not mapped: what happens to them later is an error status of the function that reads.
 * Errors: WB_EIO cannot open or read; WB_EDATA truncated or malformed (which field, at which byte, of how many). */
wb_status wb_tokens_open (wb_tokens_t **out, const char *prefix) WB_NODISCARD;
void wb_tokens_close (wb_tokens_t *f);          /**< NULL is allowed */
int64_t wb_tokens_count (const wb_tokens_t *f); /**< ids in all documents, one after the other: the stream */
int64_t wb_tokens_documents (const wb_tokens_t *f);
const char *wb_tokens_path (const wb_tokens_t *f); /**< prefix; borrowed */
/** Place of a document in the stream: its first id and how many it has.  Errors: as wb_tokens_read(); WB_EDATA. */
wb_status wb_tokens_document (const wb_tokens_t *f, int64_t *first, int64_t *n, int64_t document) WB_NODISCARD;
/** The document that holds id `position` of the stream, and which of its ids that is.  Cost: some reads of the .idx.
 * Errors: as wb_tokens_document(). */
wb_status wb_tokens_find (const wb_tokens_t *f, int64_t *document, int64_t *offset, int64_t position) WB_NODISCARD;
/** Check that every id of this part (part of parts) is < vocab.  Errors: WB_EDATA with the first bad id and its
 * position; WB_EIO, WB_ENOMEM. */
wb_status wb_tokens_check (const wb_tokens_t *f, int32_t vocab, int part, int parts) WB_NODISCARD;
/** Bytes of the .bin, and a hash of the .idx, of the mask and of samples of the .bin: the same for the same data. Cost:
 * reads the .idx.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_tokens_identity (const wb_tokens_t *f, int64_t *bytes, uint64_t *hash) WB_NODISCARD;
/** Which tokenizer the ids are of, if PREFIX.tokenizer says so: wabun encode writes it, with the number of ids; of
 * other programs' files, and of a file that has another number of ids, nothing is known (*known = false).  Errors:
 * WB_EIO; WB_EDATA: it is not what wabun writes. */
wb_status wb_tokens_tokenizer (wb_tokenizer_identity_t *out, bool *known, const wb_tokens_t *f) WB_NODISCARD;
/** Copy ids first .. first + n - 1 of the stream.  Any number of threads may read at a time; allocates nothing. Errors:
 * WB_EIO, naming file and byte: the disk failed, or the file was truncated while it was open. */
wb_status wb_tokens_read (const wb_tokens_t *f, int32_t *out, int64_t first, int64_t n) WB_NODISCARD;
/** The same, with ~id in the place of an id whose loss does not count. */
wb_status wb_tokens_read_masked (const wb_tokens_t *f, int32_t *out, int64_t first, int64_t n) WB_NODISCARD;
/** How many ids count: all where there is no mask.  Cost: reads the mask.  Errors: WB_EIO. */
wb_status wb_tokens_counted (const wb_tokens_t *f, int64_t *n) WB_NODISCARD;

/** Writer: documents one by one; _end writes the .idx, syncs and renames both files.  Without _end nothing is left. */
typedef struct wb_tokens_writer wb_tokens_writer_t;
/** dtype is u16 when vocab <= 65500, else i32 (Megatron's rule). Errors: WB_EIO. */
wb_status wb_tokens_writer_new (wb_tokens_writer_t **out, const char *prefix, int32_t vocab) WB_NODISCARD;
/** Have _end write PREFIX.tokenizer as well: the ids are of this one, and this command made them (NULL: none;
 * borrowed). Without it an older PREFIX.tokenizer is removed. */
void wb_tokens_writer_tokenizer (wb_tokens_writer_t *w, const wb_tokenizer_t *t, const char *command);
/** Have _end write PREFIX.mask as well: ids are given as for wb_tokens_read_masked().  Before the first of them.
 * Without it an older PREFIX.mask is removed.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_tokens_writer_mask (wb_tokens_writer_t *w) WB_NODISCARD;
/** Append ids to the document that the next _put ends.  Errors: as _put. */
wb_status wb_tokens_writer_part (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) WB_NODISCARD;
/** Append one document, or the last part of one (the caller puts <|endoftext|> at its end).  Errors: WB_EIO (full
 * disk), WB_EDATA an id outside the vocabulary, WB_ENOMEM. */
wb_status wb_tokens_writer_put (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) WB_NODISCARD;
/** Append all documents of another token file (to join what ranks wrote).  Errors: as _put and wb_tokens_open(). */
wb_status wb_tokens_writer_join (wb_tokens_writer_t *w, const char *prefix) WB_NODISCARD;
/** Frees w, also after an error.  documents, tokens: how many were written, NULL allowed. */
wb_status wb_tokens_writer_end (wb_tokens_writer_t *w, int64_t *documents, int64_t *tokens) WB_NODISCARD;
void wb_tokens_writer_cancel (wb_tokens_writer_t *w); /**< frees w, removes what was written; NULL is allowed */

/* ---- options (options.c) ----------------------------------------------------------------------------------------- */

/** What is read: options data.* of a configuration. */
typedef struct wb_data_options {
    wb_option_parts_t train; /**< token files by prefix, and how often each is read */
    char *validation;        /**< NULL: none */
    bool shuffle;
} wb_data_options_t;
extern const wb_option_t wb_data_options[];

/* ---- loader (loader.c) ------------------------------------------------------------------------------------------- */

/** Which window of which file is the k-th sample: a pure function of (seed, k).  A file is cut in windows of T + 1 ids
 * with stride T; sample k of a file lies in epoch k / windows and is window permute (k % windows) of that epoch (or k %
 * windows without shuffling).  Several files are mixed by weight with a fixed interleaving of 65,536 places. */
typedef struct wb_loader wb_loader_t;
typedef struct wb_loader_part {
    wb_tokens_t *tokens; /**< borrowed */
    double weight;       /**< > 0; all are scaled to sum 1 */
} wb_loader_part_t;
/** \param T window length. Errors: WB_EDATA a file shorter than one window (T + 1 ids; its name and length); WB_ENOMEM.
 */
wb_status wb_loader_new (wb_loader_t **out, const wb_loader_part_t *parts, int nparts, int64_t T, uint64_t seed,
                         bool shuffle) WB_NODISCARD;
void wb_loader_destroy (wb_loader_t *l);
/** ids [T + 1] of sample k >= 0, ~id where the loss does not count.  Errors: as wb_tokens_read(). */
wb_status wb_loader_sample (const wb_loader_t *l, int32_t *ids, int64_t k) WB_NODISCARD;
/** Where sample k comes from: part number, window in it (for tests and reports). */
void wb_loader_where (const wb_loader_t *l, int *part, int64_t *window, int64_t k);
int64_t wb_loader_windows (const wb_loader_t *l); /**< windows of all parts: one epoch of an unweighted mix */
/** Let the system read sample k into its memory in the background, so that wb_loader_sample() does not wait for it. */
void wb_loader_prefetch (const wb_loader_t *l, int64_t k);

/* ---- documents (documents.c) ------------------------------------------------------------------------------------- */

/** A document; all borrowed, valid during the call. */
typedef struct wb_dataset_document {
    const char *text; /**< [n] UTF-8 */
    size_t n;
    const char *genre; /**< [genre_bytes] as a line of JSON says, else the input's name without directories, suffixes */
    size_t genre_bytes;
    const char *name; /**< for messages */
} wb_dataset_document_t;
typedef wb_status (*wb_document_fn) (void *ctx, const wb_dataset_document_t *d);
/** Give every document of files and directories to put(), in their order: whatever wb_records_open() reads, in any
 * encoding that can be told; of a directory that wabun corpus has made, its shards.  What is left out is told in one
 * warning.  Not collective.  Errors: WB_EIO, WB_ENOMEM, those of put(). */
wb_status wb_dataset_documents (char *const *paths, int n, wb_document_fn put, void *ctx) WB_NODISCARD;

/* ---- questions (questions.c) ------------------------------------------------------------------------------------- */

/** Lines of JSON that cannot be read: leave them out, unless more than 100 and more than one in a hundred are bad;
 * leave out any number; stop at the first. */
typedef enum { WB_BAD_LINES_FEW, WB_BAD_LINES_SKIP, WB_BAD_LINES_STOP } wb_bad_lines;
/** "skip", "stop" or NULL, the value of --bad-lines.  Errors: WB_EUSAGE. */
wb_status wb_bad_lines_parse (wb_bad_lines *out, const char *s) WB_NODISCARD;

/** A context and what may follow it. */
typedef struct wb_question {
    wb_buf_t context, after; /**< after: what comes after the blank; empty where the choices end the text */
    wb_buf_t *choices;       /**< [nchoices >= 2] none is empty */
    int nchoices, answer;
} wb_question_t;
typedef struct wb_questions {
    wb_question_t *list;
    int64_t n, cap;
} wb_questions_t;
/** Lines {"context": TEXT, "choices": [TEXT, ...], "answer": the right one, from 0} of a file, of a cloze with
 * "after": TEXT as well; empty lines do not count. Bad ones are told as warnings.  Not collective.  Errors: WB_EIO;
 * WB_EDATA bad lines, or no question; WB_ENOMEM. */
wb_status wb_dataset_questions (wb_questions_t *out, const char *path, wb_bad_lines bad_lines) WB_NODISCARD;
void wb_questions_fini (wb_questions_t *q);

/* ---- encoding (encode.c, units.c, lines.c) ----------------------------------------------------------------------- */

typedef struct wb_dataset_encoding {
    const char *tokenizer; /**< as wb_tokenizer_new() takes it */
    const char *prefix;    /**< of the token file; directories above it are made */
    bool clean;            /**< tags for URLs, addresses, ... */
    char *const *inputs;   /**< files, directories (text and JSON lines in them), "-" for the standard input */
    int ninputs;           /**< at least 1 */
    int64_t threads;       /**< of a rank; 0: as OMP_NUM_THREADS or the cores say */
    const char *field;     /**< of a line of JSON: "text" */
    bool answers;          /**< lines of JSON are {"prompt": ..., "response": ...}: only the response is learned */
    const char *from;      /**< encoding of the inputs, as iconv knows it; NULL or "auto": find out */
    wb_bad_lines bad_lines;
    bool keep_crlf;    /**< do not make LF of CRLF */
    bool keep_garbled; /**< go on where more than one in ten documents are in an unknown encoding */
    double validation; /**< this share of the documents goes to PREFIX-valid; 0: none */
    bool force;        /**< replace what another command has written under this prefix */
} wb_dataset_encoding_t;
/** Encode text into PREFIX.bin and PREFIX.idx, with PREFIX.tokenizer (and PREFIX.mask), and print a summary.  The bytes
 * are the same on any number of ranks and threads.  A document is for validation if XXH64 of its first 64 KiB is low
 * enough; of fewer than 10 documents each is cut at a line end instead.  After an error nothing is left.  Collective
 * over world. Errors, agreed: WB_EIO; WB_EDATA bad lines (file:line), too many documents in an unknown encoding, inputs
 * that are not text, or no text at all; WB_EUSAGE inputs that cannot be read, a token file of that name that another
 * command made, an unknown encoding; WB_ENOMEM. */
wb_status wb_dataset_encode (wb_comm_t *world, const wb_dataset_encoding_t *e) WB_NODISCARD;
/** Lines {"text": ...} of the standard input become lines {"ids": [...]} of the standard output, one by one; and back.
 * Not collective.  Errors: WB_EDATA naming the line; WB_EIO, WB_ECLOSED, WB_ENOMEM. */
wb_status wb_dataset_encode_lines (const char *tokenizer, bool clean) WB_NODISCARD;
wb_status wb_dataset_decode_lines (const char *tokenizer) WB_NODISCARD;
/** Print the documents of a token file: as they are, or as lines {"text": ...} that wabun encode gives back.  Not
 * collective.  Errors: as wb_tokens_open() and wb_tokens_check(); WB_ECLOSED, WB_ENOMEM. */
wb_status wb_dataset_decode (const char *tokenizer, const char *prefix, bool jsonl) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
