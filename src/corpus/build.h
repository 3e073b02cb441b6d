/* build: what the files that make a corpus share.
 *
 *   files.c       sources to a list of files, the same on all ranks
 *   parts.c       files to parts, by a team of threads; work.c: a record cleaned, filtered, signed
 *   counts.c      what is counted on the way
 *   part_file.c   a part on disk
 *   sort.c        pairs of numbers in order, on disk where there are many
 *   duplicates.c  which documents stay, over all parts
 *   site_lines.c  lines that a web site repeats
 *   shards.c      what stays to shards
 *   build.c       one after the other; manifest.c what is told of it; page.c the report */
#ifndef WABUN_CORPUS_BUILD_H
#define WABUN_CORPUS_BUILD_H

#include <jansson.h>

#include "corpus/filters.h"

/* ---- files (files.c) --------------------------------------------------------------------------------------------- */

typedef struct wb_corpus_file {
    char *path;
    int64_t bytes, mtime;
    int source;
    uint64_t dev, ino; /* on rank 0: the same file by another path */
} wb_corpus_file_t;
typedef struct wb_corpus_files {
    wb_corpus_file_t *data;
    int64_t len, cap, bytes;
} wb_corpus_files_t;
/* Rank 0's view on all ranks.  Collective.  Errors, agreed: WB_EIO, WB_EDATA no file in a source, WB_ENOMEM. */
wb_status wb_corpus_files_find (wb_corpus_files_t *out, wb_comm_t *world, const wb_corpus_options_t *o) WB_NODISCARD;
void wb_corpus_files_fini (wb_corpus_files_t *f);
static inline const wb_corpus_source_t *wb_corpus_source (const wb_corpus_options_t *o, int i) {
    return (const wb_corpus_source_t *) o->sources.list + i;
}

/* The weight of the genre of source i: what its sources say, 1 where none does. */
double wb_corpus_weight (const wb_corpus_options_t *o, int i);

/* ---- parts on disk (part_file.c) --------------------------------------------------------------------------------- */

/* A document in a part file. */
typedef struct wb_row_of_part {
    uint64_t exact;                   /* hash of its characters */
    uint64_t frame;                   /* where the packed frame is that it lies in */
    uint32_t packed, size, at, bytes; /* bytes of the frame, unpacked too; where in it, and how many */
    uint64_t site;                    /* hash; 0: not of a web site */
    int64_t nlines;                   /* of the part's lines, those of the documents before it come first */
} wb_row_of_part_t;

/* Consecutive files of one source, or one large file: the unit of work and of what is kept after an interruption. */
typedef struct wb_part {
    int64_t first, files, bytes; /* of the list of files */
    int source;
    char *path; /* DIR/.work/HASH.part; the hash is of all that decides what is in it */
    bool done;
    /* once it is open */
    const char *map;
    size_t map_bytes;
    const wb_row_of_part_t *rows; /* [n] */
    const uint16_t *signs;        /* [n][k] */
    const uint64_t *lines;        /* [nlines] hashes of (site, line) */
    int64_t n, nlines, first_document;
} wb_part_t;
typedef struct wb_parts {
    wb_part_t *data;
    int64_t len, cap, documents;
    int k; /* values of a signature, 0: none */
} wb_parts_t;

/* Writes one. */
typedef struct wb_part_writer wb_part_writer_t;
wb_status wb_part_writer_new (wb_part_writer_t **out, const char *path) WB_NODISCARD;
/* texts: id, source, licence, text. */
wb_status wb_part_writer_put (wb_part_writer_t *w, const wb_buf_t *const texts[4], uint64_t exact, uint64_t site,
                              const uint16_t *sign, int k, const uint64_t *lines, int64_t nlines) WB_NODISCARD;
wb_status wb_part_writer_end (wb_part_writer_t *w, const json_t *counts) WB_NODISCARD; /* frees w */
void wb_part_writer_cancel (wb_part_writer_t *w);                                      /* NULL is allowed */

/* Map a part's file.  Errors: WB_EIO, WB_EDATA. */
wb_status wb_part_open (wb_part_t *p, int k) WB_NODISCARD;
void wb_part_close (wb_part_t *p);
json_t *wb_part_counts (const wb_part_t *p); /* NULL: out of memory, or it is damaged; the caller's */

/* Texts of documents of parts, in any order, fast in order. */
typedef struct wb_part_reader {
    const char *frame; /* which one is unpacked */
    wb_buf_t text;
    void *unpacker;
} wb_part_reader_t;
typedef struct wb_texts {
    const char *s[4]; /* id, source, licence, text */
    size_t n[4];
} wb_texts_t;
wb_status wb_part_read (wb_part_reader_t *r, wb_texts_t *out, const wb_part_t *p, int64_t i) WB_NODISCARD;
void wb_part_reader_fini (wb_part_reader_t *r);
/* The part that has this document. */
const wb_part_t *wb_parts_of (const wb_parts_t *p, int64_t document);

/* ---- making parts (parts.c) -------------------------------------------------------------------------------------- */

/* Counts: files left out because the system could not read them. */
#define WB_UNREAD "unread"
/* Cut the list of files into parts, and see which of them are there: all that was read.  Collective.  Errors, agreed.
 */
wb_status wb_parts_plan (wb_parts_t *out, wb_comm_t *world, const wb_corpus_options_t *o,
                         const wb_corpus_files_t *f) WB_NODISCARD;
/* Make those that are not there.  Collective. */
wb_status wb_parts_make (wb_parts_t *p, wb_comm_t *world, const wb_corpus_options_t *o, const wb_corpus_files_t *f,
                         int threads) WB_NODISCARD;
void wb_parts_fini (wb_parts_t *p);

/* What a thread works with: extract, clean, measure, filter, sign.  For the bench as well. */
typedef struct wb_worker {
    wb_extractor_t *extractor;
    wb_measurer_t measurer;
    wb_document_t document;
} wb_worker_t;
/* A record on its way. */
typedef struct wb_work {
    wb_record_t record;
    wb_buf_t text; /* cleaned */
    wb_buf_t id, licence, source;
    wb_complaint_t complaint;
    wb_measures_t measures;
    uint64_t *lines;
    int64_t nlines, lines_cap;
    uint64_t exact, site;
    int reason;     /* WB_KEPT, why not; -1: no document, see the complaint */
    wb_form markup; /* that is taken as text: wb_content_markup() */
    uint16_t sign[WB_MINHASH_MAX];
} wb_work_t;
/* What all workers need. */
typedef struct wb_works {
    const wb_corpus_options_t *o;
    const wb_corpus_source_t *source;
    const char *input; /* the name of a site that is none */
    wb_words_t *words;
    wb_minhash_t minhash;
    int k;
    bool wants_lines;
} wb_works_t;
wb_status wb_works_init (wb_works_t *w, const wb_corpus_options_t *o) WB_NODISCARD;
wb_status wb_work_record (const wb_works_t *all, wb_worker_t *own, wb_work_t *u) WB_NODISCARD;
void wb_works_fini (wb_works_t *w);
void wb_worker_fini (wb_worker_t *w);
void wb_work_fini (wb_work_t *u);

/* ---- counts (counts.c) ------------------------------------------------------------------------------------------- */

enum { WB_SAMPLES = 3, WB_LENGTHS = 24 }; /* WB_LENGTHS: bins by powers of two */
/* Counts are JSON: numbers add up, lists of numbers too, lists of samples keep the first ones, objects by key. */
json_t *wb_counts_new (void); /* NULL when out of memory, as everywhere here: then *counts becomes NULL */
void wb_counts_add (json_t *counts, const char *group, const char *key, int64_t n);
void wb_counts_sample (json_t *counts, const char *group, const char *key, json_t *sample); /* takes it */
void wb_counts_length (json_t *counts, const char *key, double chars);
void wb_counts_merge (json_t *into, const json_t *from);
/* {"id": ..., "text": ...}, the text cut to its first characters. */
json_t *wb_counts_text (const char *id, size_t nid, const char *text, size_t n);

/* ---- pairs in order (sort.c) ------------------------------------------------------------------------------------- */

typedef struct wb_pair {
    uint64_t key, value;
} wb_pair_t;
typedef struct wb_sorter wb_sorter_t;
/* prefix: of the files for what does not fit into `memory` bytes. */
wb_status wb_sorter_new (wb_sorter_t **out, const char *prefix, int64_t memory) WB_NODISCARD;
wb_status wb_sorter_put (wb_sorter_t *s, uint64_t key, uint64_t value) WB_NODISCARD;
wb_status wb_sorter_sort (wb_sorter_t *s) WB_NODISCARD; /* after the last put, before the first next */
wb_status wb_sorter_next (wb_sorter_t *s, wb_pair_t *out, bool *more) WB_NODISCARD;
void wb_sorter_destroy (wb_sorter_t *s); /* NULL is allowed */

/* ---- over all parts ---------------------------------------------------------------------------------------------- */

/* Numbers that each rank found, together on all ranks, by way of files in DIR/.work.  *out [*n]: the caller's, in the
 * order of ranks.  Collective.  Errors, agreed. */
wb_status wb_corpus_gather (wb_comm_t *world, const char *dir, const char *name, uint64_t **out, int64_t *n,
                            const uint64_t *mine, int64_t nmine) WB_NODISCARD;
/* state [documents]: WB_KEPT, WB_REASON_EXACT or WB_REASON_NEAR; first [documents]: the document it is a duplicate of,
 * itself if of none.  Both are the caller's.  Collective.  Errors, agreed. */
wb_status wb_duplicates_find (unsigned char *state, int64_t *first, wb_comm_t *world, const wb_parts_t *p,
                              const wb_corpus_options_t *o) WB_NODISCARD;
/* Hashes of (site, line) of the lines that go, in order.  A page that was fetched many times counts once: state
 * [documents] says which documents stay.  Collective.  Errors: WB_ENOMEM, WB_EIO, WB_EDATA: a damaged part. */
wb_status wb_site_lines_find (uint64_t **out, int64_t *n, wb_comm_t *world, const wb_parts_t *p,
                              const wb_corpus_options_t *o, const unsigned char *state) WB_NODISCARD;
/* s [n] without those lines, into out, in place of what it held; *gone: how many.  Errors: WB_ENOMEM. */
wb_status wb_site_lines_drop (wb_buf_t *out, int64_t *gone, const char *s, size_t n, uint64_t site,
                              const uint64_t *lines, int64_t nlines) WB_NODISCARD;
uint64_t wb_site_line (uint64_t site, uint64_t line);

/* A shard, as planned and as written. */
typedef struct wb_shard {
    int genre;                                    /* the first source of that genre */
    int valid;                                    /* 1: for validation */
    int64_t number, first, last;                  /* within its kind; its documents are among first ... last */
    int64_t documents, characters, bytes, packed; /* bytes: of JSON lines */
    int64_t hash;                                 /* XXH64 of the file */
    int64_t emptied, lines_gone;                  /* documents of which nothing was left, lines that were taken out */
} wb_shard_t;
typedef struct wb_shards {
    wb_shard_t *data;
    int64_t len, cap;
} wb_shards_t;
/* Their names, one a line, from before the first is written: a file in DIR. */
#define WB_SHARDS_PLANNED ".work/shards"
/* Write them all.  Collective.  Errors, agreed. */
wb_status wb_shards_write (wb_shards_t *out, wb_comm_t *world, const wb_parts_t *p, const wb_corpus_options_t *o,
                           const unsigned char *state, const uint64_t *lines, int64_t nlines, int threads) WB_NODISCARD;
char *wb_shard_name (const wb_shard_t *s, const wb_corpus_options_t *o); /* freed with wb_free() */

/* ---- what is told of it (manifest.c) ----------------------------------------------------------------------------- */

/* What a corpus was made of, in one number. */
uint64_t wb_corpus_identity (const char *text, const wb_corpus_files_t *f);
/* Is DIR finished, of these very files?  Rank 0.  Errors: WB_EUSAGE it is of another configuration, unless `force`;
 * WB_ENOMEM. */
wb_status wb_manifest_look (const char *dir, bool *same, uint64_t identity, const char *text, bool force) WB_NODISCARD;
wb_status wb_manifest_write (const wb_corpus_options_t *o, const char *text, const wb_corpus_files_t *f, wb_parts_t *p,
                             const wb_shards_t *s, const unsigned char *state, const int64_t *first) WB_NODISCARD;

#endif
