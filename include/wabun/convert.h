/* wabun - convert: models and token files of other programs, in and out.
 *
 * One table of formats (formats.c): a new format is one file with one row.  A model of any format is a wb_weights_t,
 * which gives its tensors one by one, as fp32 in the shapes of the parameter table; an export takes them from it and
 * writes them its own way.  So each format that can be read goes to each that can be written, and no more than one
 * tensor is in memory at a time.
 *
 * Nothing here is collective: these are commands of one process.  Files come from anywhere: nothing in a header is used
 * before it was checked against the size of the file, nothing in a file is ever executed.
 */
#ifndef WABUN_CONVERT_H
#define WABUN_CONVERT_H

#include <wabun/checkpoint.h>
#include <wabun/model.h>
#include <wabun/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a model that is read tensor by tensor ----------------------------------------------------------------------- */

/** First member of what a format's open() makes. */
typedef struct wb_weights {
    wb_size_t size;
    wb_params_t *params;       /**< of a layout 1 x 1 x 1; owned */
    wb_tokenizer_t *tokenizer; /**< owned; NULL: the format has none that is known here */
    const char *lost;          /**< why it has none, and what to do; constant, NULL: there is none */
    char *directory;           /**< where config.json, state.json, ... lie; owned, NULL: nowhere */
    const char *out;           /**< what is being written, for progress; NULL: no progress is told */
    int64_t numbers;           /**< that have been read */
    double told;               /**< when there was progress */
    /** out [rows, cols] of p, as fp32.  Errors: WB_EIO, WB_EDATA, WB_ENOMEM. */
    wb_status (*read) (struct wb_weights *w, float *out, const wb_param_t *p);
    void (*close) (struct wb_weights *w); /**< frees what the format added, not the members above */
} wb_weights_t;
void wb_weights_close (wb_weights_t *w); /**< NULL is allowed */

/* ---- formats (formats.c) ----------------------------------------------------------------------------------------- */

/** How numbers can be written: --type. */
typedef enum wb_number {
    WB_NUMBER_F32,
    WB_NUMBER_F16,
    WB_NUMBER_BF16,
    WB_NUMBER_Q8_0,
    WB_NUMBER_Q4_K,
    WB_NUMBERS
} wb_number;
extern const char *const wb_number_names[]; /**< then NULL */

/** What a path is at first sight: what formats recognise themselves by. */
typedef struct wb_look {
    const char *path, *name; /**< name: last component */
    bool directory;
    int64_t bytes;
    unsigned char head[64];
    size_t nhead; /**< bytes of head that there are */
} wb_look_t;

/** An export; all borrowed. */
typedef struct wb_export {
    const char *from, *to, *out; /**< to: the name of a format */
    wb_number type;
    int64_t shard; /**< bytes of a file of tensors after which the next one begins */
    bool clean;    /**< the tokenizer that goes along cleans, as wabun encode --clean does */
} wb_export_t;

struct json_t; /**< of jansson.h */
struct wb_tokens;

/** Ids of a file in its order; end: an array of the file ends with them. */
typedef wb_status (*wb_take_ids_fn) (void *ctx, const int32_t *ids, int64_t n, bool end);

/** A format: one file, one row.  What it cannot do is NULL. */
typedef struct wb_format {
    const char *name;      /**< what --to takes: "hf" */
    const char *what;      /**< "a directory of Hugging Face" */
    const char *opened_by; /**< whom what is written is for */
    const char *keeps;     /**< what of a model is in it, and what is lost on the way in or out */
    unsigned types;        /**< of numbers it can be written in: a set of 1u << wb_number */
    bool (*probe) (const wb_look_t *look);
    /** Facts about the file, in the order in which they are printed; only headers are read, but for checksums. */
    wb_status (*inspect) (struct json_t *facts, const char *path);
    wb_status (*open) (wb_weights_t **out, const char *path);
    wb_status (*write) (const wb_export_t *x, wb_weights_t *w);
    bool cleans; /**< can it hold a tokenizer that cleans (wb_export_t)? */
    /* Formats of tokens have these instead. */
    bool end_first; /**< documents begin with the end token, instead of ending with it */
    wb_status (*read_ids) (const char *path, wb_take_ids_fn take, void *ctx);
    /** eot: the id that every document ends with, -1: they do not end alike. */
    wb_status (*write_ids) (const wb_export_t *x, const struct wb_tokens *f, int32_t eot);
} wb_format_t;
extern const wb_format_t *const wb_formats[]; /**< probed in this order; then NULL */

/** The type of this name (list.c).  Errors: WB_EUSAGE, with those there are. */
wb_status wb_number_of (wb_number *out, const char *name) WB_NODISCARD;
/** The formats as rows of help: all of them; those that can be read; those that can be written, with what they keep
 * (list.c).  put: prints n bytes of text. */
typedef void (*wb_put_fn) (FILE *to, const char *text, size_t n);
void wb_formats_list_all (FILE *to, wb_put_fn put);
void wb_formats_list_in (FILE *to, wb_put_fn put);
void wb_formats_list_out (FILE *to, wb_put_fn put);

/* ---- the three commands (convert.c, inspect.c) ------------------------------------------------------------------- */

/** Say on the standard output what a file or directory is.  Errors: WB_EIO; WB_EDATA damaged; WB_EUSAGE: of no format
 * that is known. */
wb_status wb_convert_inspect (const char *path, bool json) WB_NODISCARD;
/** Write the model x->from, of any format that can be read, or the token file of the prefix x->from, as x->to.  x->out
 * must not be there, unless it is an empty directory; after an error nothing is left.  Errors: WB_EUSAGE, WB_EIO,
 * WB_EDATA, WB_ENOMEM. */
wb_status wb_convert_export (const wb_export_t *x) WB_NODISCARD;
/** Make a model directory `out` of a model of any format that can be read; weights as fp32.  tokenizer: goes into it,
 * NULL: the model's own, if it has one that is known.  Of a file of tokens make a token file of the prefix `out`;
 * tokenizer: says where documents end and how many ids there are, NULL: the file does.  Errors: as
 * wb_convert_export(). */
wb_status wb_convert_import (const char *from, const char *out, const char *tokenizer) WB_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
