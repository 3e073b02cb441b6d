/* wabun - corpus: from what a crawl leaves on disk to documents, and from documents to a clean corpus.
 *
 *   inputs ──container──▶ records ──form──▶ documents ──clean, filter──▶ ──duplicates──▶ shards + manifest
 *
 * A container (a directory, an archive, a WARC, a dump, lines of JSON) is read in order by one thread and yields
 * records; a form (plain text, Aozora Bunko, HTML, wikitext) makes a document of a record, by any number of threads at
 * once.  Nothing here ends a reading but a file that cannot be read at all: what is broken, too long or of no use is
 * skipped and told as a complaint, with its name and reason.
 */
#ifndef WABUN_CORPUS_H
#define WABUN_CORPUS_H

#include <wabun/comm.h>
#include <wabun/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- records: what a container holds (records.c and a file a container) ------------------------------------------ */

/** How the bytes of a record become text. */
typedef enum wb_form {
    WB_FORM_AUTO, /**< by name, media type and content */
    WB_FORM_TEXT,
    WB_FORM_AOZORA,
    WB_FORM_HTML,
    WB_FORM_WIKI, /**< wikitext of one page */
    WB_FORM_JSON, /**< one JSON object: a line of a .jsonl file */
    WB_FORMS
} wb_form;
extern const char *const wb_form_names[]; /**< then NULL */

/** One thing in a container.  Zero-initialised is empty; the buffers are kept between records. */
typedef struct wb_record {
    wb_buf_t bytes;
    wb_buf_t name;    /**< "novels.zip:a/b.txt", a URL, "jawiki.xml.bz2:日本": for ids and messages */
    wb_buf_t site;    /**< host of the URL, else the name of the input: where repeated lines are looked for */
    wb_form form;     /**< as the container knows it, or WB_FORM_AUTO */
    char charset[32]; /**< as a header said, "" where none did */
    int64_t number;   /**< of the record in its input, from 0; skipped ones count */
} wb_record_t;
void wb_record_fini (wb_record_t *r);

typedef struct wb_records_options {
    int64_t max_bytes;    /**< of a record, unpacked; longer ones are skipped with a complaint (default 64 MiB) */
    int64_t max_text;     /**< of a plain text; longer ones are cut at line ends into pieces of a megabyte or two
                             (default, and at most: max_bytes) */
    double max_expansion; /**< bytes out of an archive for each byte in: beyond it and max_bytes the rest is left */
    wb_form form;         /**< WB_FORM_AUTO, or what the user said */
} wb_records_options_t;

/** What was skipped, with its reason.  One for each case; the caller decides how many it keeps. */
typedef struct wb_complaint {
    char kind[24];  /**< a short word to count by: "not UTF-8", "truncated", "too long", "not JSON" ... */
    char name[256]; /**< of the record or input, cut if longer */
    char text[256]; /**< what, where (line or byte), in one line */
} wb_complaint_t;
typedef void wb_complain_fn (void *ctx, const wb_complaint_t *c);

/** The records of one file (`path`, or "-"): an archive (tar, zip, 7z; also one file packed by gz, bz2, xz, zst), a
 * WARC or WET, a MediaWiki dump, lines of JSON, JSON objects over several lines or a list of such, or a text: one
 * record, or several, where lines in it are exactly <|endoftext|> or it is longer than max_text.  Archives in archives
 * are opened to a depth of 3.  Several may be open at once; each is used by one thread at a time. */
typedef struct wb_records wb_records_t;
/** complain is called for what is skipped, from the thread that calls wb_records_next().  Errors: WB_EIO cannot be
 * opened; WB_ENOMEM. */
wb_status wb_records_open (wb_records_t **out, const char *path, const wb_records_options_t *o,
                           wb_complain_fn *complain, void *ctx) WB_NODISCARD;
/** The same of a stream that is open (and stays the caller's), of which `begun` has been read; its bytes are taken
 * over.
 */
wb_status wb_records_stream (wb_records_t **out, const char *name, int fd, wb_buf_t *begun,
                             const wb_records_options_t *o, wb_complain_fn *complain, void *ctx) WB_NODISCARD;
/** The next record into *r, in place of what it held; *more = false at the end.  Errors: WB_ENOMEM, WB_EIO the disk
 * failed.  A container that breaks off is a complaint and the end. */
wb_status wb_records_next (wb_records_t *rs, wb_record_t *r, bool *more) WB_NODISCARD;
/** Bytes of the file read so far: for progress. */
int64_t wb_records_read (const wb_records_t *rs);
void wb_records_close (wb_records_t *rs); /**< NULL is allowed */

/* ---- documents: what a form makes of a record (extract.c and a file a form) -------------------------------------- */

/** Text for a model: UTF-8, well-formed, lines end with LF.  Zero-initialised is empty. */
typedef struct wb_document {
    wb_buf_t text;
    wb_buf_t id;                     /**< the record's name, or what a line of JSON says */
    wb_buf_t site;                   /**< as wb_record_t */
    wb_buf_t genre, source, licence; /**< as a line of JSON says, else empty: the corpus fills them in */
    wb_form form;                    /**< what the bytes, or the text in a line of JSON, were taken as */
} wb_document_t;
void wb_document_clear (wb_document_t *d);
void wb_document_fini (wb_document_t *d);

typedef struct wb_extract_options {
    const char *from;       /**< encoding, NULL: what the record says, else found out */
    const char *text_field; /**< of lines of JSON; NULL: "text" */
    const char *id_field;   /**< NULL: "id", else "url", else "title" */
    wb_form text_form;      /**< of that text; WB_FORM_AUTO: plain */
    bool keep_ruby;         /**< Aozora, HTML: ｜漢字《かんじ》 stays */
    bool keep_crlf;
} wb_extract_options_t;
/** What one thread keeps between documents: scratch, parsers. */
typedef struct wb_extractor wb_extractor_t;
wb_status wb_extractor_new (wb_extractor_t **out, const wb_extract_options_t *o) WB_NODISCARD;
/** The document of a record; *got = false: none, with the reason in *c (kind "" where it is no fault: a redirect).
 * Linear in the bytes.  Errors: WB_ENOMEM. */
wb_status wb_extract (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c,
                      const wb_record_t *r) WB_NODISCARD;
void wb_extractor_destroy (wb_extractor_t *x);

/* ---- texts that are used as they come (user_text.c) -------------------------------------------------------------- */

/** How a context or lines to be scored are read.  Zero-initialised: what another encoding is for certain is converted,
 * anything else but UTF-8 is an error.  Borrowed. */
typedef struct wb_text_options {
    const char *from;  /**< their encoding; NULL, "auto": find out */
    bool keep_garbled; /**< take what is in another encoding as it is, with a warning */
} wb_text_options_t;
/** Append the text s [n] to *out as UTF-8, without a byte order mark; what it was converted from is said.  name: for
 * messages.  Errors: WB_EDATA: it is not UTF-8 and its encoding is not certain, or not `from`, or it is no text;
 * WB_EUSAGE: `from` is no encoding; WB_ENOMEM. */
wb_status wb_text_read (wb_buf_t *out, const char *name, const char *s, size_t n,
                        const wb_text_options_t *o) WB_NODISCARD;
/** Lines of a file, or of the standard input ("-"), likewise, as they arrive.  Read `name` and `number` only. */
typedef struct wb_text_lines {
    wb_lines_t in;
    const char *name;
    int64_t number; /**< of the line returned last, from 1 */
    wb_text_options_t o;
    const char *from; /* what lines are converted from, NULL: nothing so far */
    bool named, told; /* the user said so; a warning was given */
    bool whole;       /* all of it is in buf */
    wb_buf_t buf;
    size_t at;
} wb_text_lines_t;
/** To be closed also after an error. */
wb_status wb_text_lines_open (wb_text_lines_t *l, const char *path, const wb_text_options_t *o) WB_NODISCARD;
/** As wb_lines_next().  Errors: also those of wb_text_read(), with the line's number. */
wb_status wb_text_lines_next (wb_text_lines_t *l, const char **text, size_t *n, bool wait) WB_NODISCARD;
void wb_text_lines_close (wb_text_lines_t *l);

/* ---- a clean corpus (build.c and what it calls) ------------------------------------------------------------------ */

/** One source of a corpus: files of one kind, genre and licence. */
typedef struct wb_corpus_source {
    char *path; /**< a file, a directory, or a pattern as of the shell */
    char *genre, *licence;
    double weight; /**< of its genre, in the printed example of data.train; NaN: not given */
    wb_form format;
    char *from, *text_field, *id_field; /**< as wb_extract_options_t; NULL: not given */
    bool keep_ruby;
} wb_corpus_source_t;

/** How a text is cleaned (clean.c). */
typedef struct wb_clean_options {
    bool nfkc, fold_kana, fold_ascii;
} wb_clean_options_t;

/** How duplicates are found (duplicates.c). */
typedef struct wb_duplicates_options {
    bool exact, near;
    int ngram, bands, rows; /**< MinHash: bands x rows permutations over n-grams of characters */
    double threshold;       /**< of the estimated Jaccard similarity */
    int lines;              /**< documents of a site from which a repeated line is taken out; 0: never */
} wb_duplicates_options_t;

#define WB_FILTERS_MAX 24 /**< room for the bounds of all filters */
typedef struct wb_corpus_options {
    char *dir;
    wb_option_groups_t sources; /**< of wb_corpus_source_t */
    wb_clean_options_t clean;
    double filters[WB_FILTERS_MAX]; /**< bounds, in the order of the table of filters (filters.h) */
    char *words, *licences;
    wb_duplicates_options_t duplicates;
    double validation;
    int64_t shard_bytes, max_record, memory, threads;
    int level;
    bool keep_work;
} wb_corpus_options_t;
extern const wb_option_t wb_corpus_options[];

/** Make the corpus `o->dir` of its sources: DIR/GENRE-00000.jsonl.zst ..., DIR/GENRE-valid-00000.jsonl.zst ...,
 * DIR/manifest.json; the same bytes on any number of ranks and threads.  What was worked out before an interruption is
 * kept in DIR/.work and is taken from there.  text: the configuration in full, for the manifest and to see what has
 * changed; force: replace a corpus that was made by another one.  Collective over world.  Errors, agreed: WB_EDATA a
 * source without any document, WB_EIO, WB_EUSAGE, WB_ENOMEM. */
wb_status wb_corpus_build (wb_comm_t *world, const wb_corpus_options_t *o, const char *text, bool force) WB_NODISCARD;
/** Is it called like a shard for validation, GENRE-valid-00000.jsonl.zst? */
bool wb_corpus_is_validation (const char *path);
/** Write DIR/report.html from DIR/manifest.json: one page that needs no network.  japanese: labels in Japanese.  Not
 * collective.  Errors: WB_EIO, WB_EDATA, WB_ENOMEM. */
wb_status wb_corpus_report (const char *dir, bool japanese) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
