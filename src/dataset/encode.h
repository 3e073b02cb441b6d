/* Encoding, between its files: units.c takes, reads and encodes units of work; encode.c writes them and reports. */
#ifndef WABUN_DATASET_ENCODE_H
#define WABUN_DATASET_ENCODE_H

#include "dataset/inputs.h"
#include "corpus/jsonl.h"
#include "wabun/corpus.h"
#include "wabun/dataset.h"

/* What went wrong, for people: how often, and the first cases. */
enum { WB_NOTES = 5 };
typedef struct wb_notes {
    int64_t n;
    char text[WB_NOTES][512];
} wb_notes_t;
void wb_note (wb_notes_t *notes, const char *fmt, ...) WB_PRINTF (2, 3);
void wb_notes_add (wb_notes_t *notes, const wb_notes_t *more);
/* The first notes of all ranks in the order of ranks, and their number; on every rank.  Collective over world.  Errors,
 * agreed: WB_ENOMEM. */
wb_status wb_notes_gather (wb_notes_t *notes, wb_comm_t *world) WB_NODISCARD;
/* As warnings.  what: "lines that ..." for the number of those that are not shown. */
void wb_notes_print (const wb_notes_t *notes, const char *what);

/* A bad line of a unit. */
typedef struct wb_bad_line {
    int64_t line; /* of the unit's lines, from 0 */
    wb_jsonl_complaint_t complaint;
} wb_bad_line_t;

/* A document of a unit that holds whole ones. */
typedef struct wb_encoded {
    int64_t ids, bytes;
    int side; /* 0: training, 1: validation */
} wb_encoded_t;

/* A document of a unit of text, or a piece of one. */
typedef struct wb_text_part {
    int64_t ids, bytes, stray; /* stray: bytes that are not UTF-8 */
    int side;                  /* where it begins */
    bool begins, ends;         /* the document does */
    bool marked;               /* beside a line of <|endoftext|> */
} wb_text_part_t;

/* What a thread encodes at a time: a text or a piece of one, or the lines that begin in a part of a file. */
typedef struct wb_unit {
    const wb_input_t *in;
    int64_t from, to; /* bytes of the file */
    bool lines;
    bool records;     /* whole documents, from `stream` and `parts` (unit_records.c) */
    bool first, last; /* of a text */
    bool begins;      /* a document begins with it, not only a unit */
    bool whole;       /* all of the file at once, since it is converted */
    bool cut;         /* this text is one half of a file: */
    int side;         /* which one; a text that is not cut tells for each document */
    wb_buf_t stream;  /* the bytes, of a stream or of records: they are read when the unit is taken */
    wb_buf_t parts;   /* which records they are; of text: wb_text_part_t, a result */
    wb_notes_t left;  /* what was left out of them */
    /* results */
    int64_t start, start_line; /* of the bytes that were read: in the file, -1: line start_line of it */
    wb_ids_t ids;
    wb_buf_t documents;           /* wb_encoded_t of each line with text, of both halves of a converted text */
    int64_t text, skipped, stray; /* bytes of a text; documents without any; bytes that are not UTF-8 */
    int64_t marks;                /* lines of <|endoftext|> in a converted text */
    wb_charset converted;         /* WB_CHARSET_UTF8: no */
    char seems[32];               /* encoding of garbled text, "": unknown */
    bool mistaken;                /* for certain that one, not what --from says */
    int64_t words;                /* <|endoftext|> that is no mark of a document */
    int64_t bad;                  /* lines that cannot be read, and the first of them */
    wb_bad_line_t bad_lines[WB_NOTES];
    uint64_t hash;                   /* the smallest of its documents' */
    wb_notes_t bad_records, garbled; /* of records: lines that cannot be read, what is in an unknown encoding */
    int64_t garbled_bytes;           /* of records in an unknown encoding */
    int64_t json, markup[WB_FORMS];  /* lines of JSON; documents by form */
    int64_t line_markup[WB_FORMS];   /* texts of lines of JSON by form */
} wb_unit_t;

typedef struct wb_encoder {
    const wb_dataset_encoding_t *e;
    const char *from; /* for iconv, NULL: find out */
    const wb_tokenizer_t *tokenizer;
    const wb_inputs_t *inputs;
    bool root;           /* streams are read here */
    int64_t first, last; /* this rank's part of the line of inputs */
    bool cut;            /* texts are cut for validation, since there are few */
    uint64_t limit;      /* documents whose hash is not above it are for validation, unless texts are cut */
    /* taking */
    int64_t input, at;
    int fd;                /* of the stream that is being read, -1: none */
    bool stream_lines;     /* it is lines of JSON */
    bool stream_begins;    /* a document begins where its next unit does */
    int64_t stream_line;   /* lines of it that were taken */
    wb_buf_t rest;         /* its bytes that are for the next unit */
    wb_records_t *records; /* that are being read, NULL: none */
    wb_record_t record;
    wb_unit_t *filling; /* the unit that they go to */
} wb_encoder_t;

/* wb_team_ops_t: the next unit of this rank's part. */
wb_status wb_encoder_take (void *encoder, void *unit, bool *more) WB_NODISCARD;
/* wb_team_ops_t: read and encode.  own: a wb_encoder_own_t of the thread, kept between units. */
typedef struct wb_encoder_own {
    wb_buf_t raw, text;
    wb_extractor_t *extractor; /* NULL until it is needed */
    wb_document_t document;
} wb_encoder_own_t;
wb_status wb_encoder_work (void *encoder, void *unit, void *own) WB_NODISCARD;
void wb_encoder_own_fini (wb_encoder_own_t *own);
void wb_unit_fini (wb_unit_t *u);
void wb_encoder_fini (wb_encoder_t *j); /* what a failure left open */

/* Encode a document that is here whole, s [n], into the unit. */
wb_status wb_encoder_document (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) WB_NODISCARD;

/* Append up to n bytes; fewer: the file ends.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_encoder_read (wb_buf_t *b, int fd, size_t n, const char *path) WB_NODISCARD;
/* On which side a document is that begins like that. */
int wb_encoder_side (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n);

/* How often <|endoftext|> is in s [n]. */
int64_t wb_encoder_words (const char *s, size_t n);

/* ---- plain text (unit_text.c) ------------------------------------------------------------------------------------ */

#define WB_HASHED ((size_t) 1 << 16) /* bytes of a document that say on which side it is: one unit has them */

/* The bytes of a unit of text, b->data[*start .. b->len). */
wb_status wb_encoder_read_text (wb_buf_t *b, size_t *start, wb_unit_t *u, int fd) WB_NODISCARD;
/* Where the unit of a stream ends of which s [n] has been read, whole lines; *mark: with the mark of a document. */
size_t wb_encoder_text_end (const char *s, size_t n, bool *mark);
/* Encode its text into u->ids and u->parts. */
wb_status wb_encoder_text (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) WB_NODISCARD;
/* Encode a text that is here whole: the documents in it. */
wb_status wb_encoder_texts (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) WB_NODISCARD;

/* ---- records (unit_records.c) ------------------------------------------------------------------------------------ */

/* The next unit of the input that is being read; u->last: there is no more of it. */
wb_status wb_encoder_take_records (wb_encoder_t *j, wb_unit_t *u) WB_NODISCARD;
/* The stream j->fd holds records; its first bytes are in the unit. */
wb_status wb_encoder_begin_records (wb_encoder_t *j, wb_unit_t *u) WB_NODISCARD;
wb_status wb_encoder_work_records (const wb_encoder_t *j, wb_unit_t *u, wb_encoder_own_t *own) WB_NODISCARD;

/* ---- files (encode_files.c) -------------------------------------------------------------------------------------- */

/* PREFIX or PREFIX-valid (side 1); rank >= 0: that rank's part of it.  NULL when out of memory.  Freed with wb_free().
 */
char *wb_encoded_name (const char *prefix, int side, int rank) WB_NODISCARD;
/* The files of a rank's parts, [side][.bin, .idx, .mask]: a signal removes them, and fini does.  rank < 0: none. */
enum { WB_ENCODED_PARTS = 6 };
typedef struct wb_encoded_parts {
    char *path[WB_ENCODED_PARTS];
    int place[WB_ENCODED_PARTS];
} wb_encoded_parts_t;
wb_status wb_encoded_parts_init (wb_encoded_parts_t *p, const char *prefix, int rank) WB_NODISCARD;
void wb_encoded_parts_fini (wb_encoded_parts_t *p);
/* Join the ranks' parts of `prefix`, with their masks; t and command are noted beside it. */
wb_status wb_encoded_join (const char *prefix, const wb_tokenizer_t *t, const char *command, bool mask,
                           int ranks) WB_NODISCARD;
/* What decides the token files, as text. */
wb_status wb_encoded_command (wb_buf_t *out, const wb_dataset_encoding_t *e) WB_NODISCARD;
/* May this command write under its prefix?  Errors: WB_EUSAGE. */
wb_status wb_encoded_check (const wb_dataset_encoding_t *e, const char *command) WB_NODISCARD;

#endif
