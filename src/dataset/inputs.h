/* The inputs of an encoding: files found, in order, the same list on all ranks. */
#ifndef WABUN_DATASET_INPUTS_H
#define WABUN_DATASET_INPUTS_H

#include "corpus/charset.h"
#include "wabun/corpus.h"

#define WB_UNIT ((int64_t) 1 << 20) /* bytes that a thread encodes at a time; a shorter file is not cut */

/* Records: a packed file, an archive, a WARC (wb_records_open()).  A stream has no size: the standard input, a pipe. */
typedef enum { WB_INPUT_TEXT, WB_INPUT_LINES, WB_INPUT_RECORDS, WB_INPUT_STREAM } wb_input_kind;

typedef struct wb_input {
    char *path;
    wb_input_kind kind;
    wb_charset charset;   /* as its beginning says */
    bool named;           /* the user gave this very path */
    int64_t bytes, start; /* of the file, and of all inputs before it */
    uint64_t dev, ino;    /* rank 0 only */
} wb_input_t;

/* Of files that were left out, this many are named. */
enum { WB_NAMED_OUT = 3 };

/* Files of one suffix that were left out. */
typedef struct wb_left_out {
    char suffix[24];
    int64_t files;
} wb_left_out_t;

/* Zero-initialised is empty. */
typedef struct wb_inputs {
    wb_input_t *data;
    int64_t len, cap;
    int64_t bytes; /* of all */
    /* Rank 0 only: files in directories that were left out, by suffix; the rest of the suffixes are in one row. */
    wb_left_out_t out[32];
    int suffixes;
    int64_t others; /* files left out, and the first of them */
    char *names[WB_NAMED_OUT];
    int64_t valid;  /* shards for validation in directories, which are left out as well */
    int64_t closed; /* files, directories and links in directories that cannot be opened; they have been named */
} wb_inputs_t;

/* Rank 0's view of the file system on all ranks: "-", files, and directories, walked in the order of names (.txt,
 * .text, .md, .jsonl, .ndjson, .json files in them, and those packed and archived; links to directories are not
 * followed, they may lead in a circle; what is not there or may not be read is a warning).  A .jsonl or .ndjson file
 * holds one document a line; so does any other file whose first line is a JSON object with the text field.  Any other
 * is one document.  The beginning of each file is read, each rank its share of the files.  Prints what was left out,
 * what is there twice and what is markup.  from: the encoding the user gave, NULL: find out. Collective over world.
 * Errors, agreed: WB_EIO what cannot be opened; WB_EDATA no text at all, or a file that was named is not text;
 * WB_EUSAGE a pipe that several ranks would have to share; WB_ENOMEM.
 */
wb_status wb_inputs_find (wb_inputs_t *out, wb_comm_t *world, char *const *paths, int n, const char *field,
                          const char *from) WB_NODISCARD;
void wb_inputs_fini (wb_inputs_t *l);
/* Count a file that is left out. */
void wb_inputs_leave_out (wb_inputs_t *l, const char *path);

/* ---- what files hold (look.c) ------------------------------------------------------------------------------------ */

typedef struct wb_look {
    bool lines;  /* the first line is a JSON object with the text field */
    bool json;   /* it begins like JSON */
    bool packed; /* it is opened as records */
    wb_charset charset;
    wb_form form;
    int binary; /* of wb_content_name(); 0: text */
} wb_look_t;
/* What a text is, by its first n bytes.  field: of lines of JSON; from: the encoding the user gave, NULL: find out.
 * Errors: WB_ENOMEM. */
wb_status wb_look_bytes (wb_look_t *out, const char *s, size_t n, const char *field, const char *from) WB_NODISCARD;
/* Look at all files of the list, each rank at its share, set kind and charset, and take away what is not text.
 * Collective over world.  Errors, agreed: as wb_inputs_find(). */
wb_status wb_inputs_look (wb_inputs_t *l, wb_comm_t *world, const char *field, const char *from) WB_NODISCARD;
/* A warning of markup that is taken as text, by form; what: "file", "document". */
void wb_markup_warn (const int64_t count[WB_FORMS], const char *what);

#endif
