/* What the files of convert share among themselves. */
#ifndef WABUN_CONVERT_PRIV_H
#define WABUN_CONVERT_PRIV_H

#include <jansson.h>

#include "wabun/convert.h"

extern const wb_format_t wb_format_hf, wb_format_safetensors, wb_format_tokens, wb_format_gguf, wb_format_torch;
extern const wb_format_t wb_format_llmc, wb_format_llmc_tokens, wb_format_npz, wb_format_tf, wb_format_vocabulary;

/* ---- finding out (formats.c) ----------------------------------------------------------------------------------- */

/** Errors: WB_EIO. */
wb_status wb_look (wb_look_t *out, const char *path) WB_NODISCARD;
/** The format of a path.  Errors: WB_EUSAGE, with the formats that are known. */
wb_status wb_format_of (const wb_format_t **out, const wb_look_t *look) WB_NODISCARD;
bool wb_ends_with (const char *s, const char *end);

/** Make sure that x->out is not there.  Errors: WB_EUSAGE. */
wb_status wb_export_new (const wb_export_t *x) WB_NODISCARD;
/** Sizes and table of a model: fills w.  Errors: WB_ENOMEM. */
wb_status wb_weights_init (wb_weights_t *w, const wb_size_t *size) WB_NODISCARD;

/** w->read(), with a line of progress now and then. */
wb_status wb_weights_read (wb_weights_t *w, float *out, const wb_param_t *p) WB_NODISCARD;

/* ---- facts (inspect.c) ----------------------------------------------------------------------------------------- */

/** Add one; value is taken over, also on error.  Errors: WB_ENOMEM. */
wb_status wb_fact (json_t *facts, const char *name, json_t *value) WB_NODISCARD;
wb_status wb_fact_text (json_t *facts, const char *name, const char *fmt, ...) WB_PRINTF (3, 4) WB_NODISCARD;
wb_status wb_fact_int (json_t *facts, const char *name, int64_t value) WB_NODISCARD;
/** Layers, width, ..., and parameters. */
wb_status wb_fact_size (json_t *facts, const wb_size_t *size) WB_NODISCARD;
/** Name and bytes of a file, added to the list "files" of facts. */
wb_status wb_fact_file (json_t *facts, const char *path) WB_NODISCARD;
/** A new empty list in facts, which owns it; NULL: out of memory. */
json_t *wb_fact_list (json_t *facts, const char *name) WB_NODISCARD;
/** Name, type and shape of a tensor, added to a list.  Errors: WB_ENOMEM. */
wb_status wb_fact_tensor (json_t *list, const char *name, const char *type, const int64_t *shape,
                          int ndim) WB_NODISCARD;
const char *wb_dtype_name (wb_dtype dtype);

/* ---- tokens (tokens.c) ----------------------------------------------------------------------------------------- */

/** As wb_convert_export(), of a token file, and wb_convert_import(), of tokens in another format. */
wb_status wb_tokens_export (const wb_export_t *x, const wb_format_t *to) WB_NODISCARD;
wb_status wb_tokens_import (const wb_format_t *format, const char *from, const char *prefix,
                            const char *tokenizer) WB_NODISCARD;

/* ---- output (outdir.c, numbers.c) ------------------------------------------------------------------------------ */

/** A directory that appears complete or not at all: filled as OUT.tmp, then renamed.  Zero-initialised is none. */
typedef struct wb_outdir {
    char *path, *temp;
} wb_outdir_t;
/** Errors: WB_EUSAGE: something is there; WB_EIO, WB_ENOMEM. */
wb_status wb_outdir_begin (wb_outdir_t *d, const char *path) WB_NODISCARD;
wb_status wb_outdir_end (wb_outdir_t *d) WB_NODISCARD;
void wb_outdir_cancel (wb_outdir_t *d); /**< after _end nothing happens */
/** A small file in it. */
wb_status wb_outdir_text (const wb_outdir_t *d, const char *name, const char *text, size_t n) WB_NODISCARD;
/** The same of a JSON value, which is taken over; NULL: out of memory. */
wb_status wb_outdir_json (const wb_outdir_t *d, const char *name, json_t *value) WB_NODISCARD;

uint16_t wb_to_f16 (float x);  /**< nearest, ties to even; beyond its range infinity */
uint16_t wb_to_bf16 (float x); /**< nearest, ties to even */
int64_t wb_number_bytes (wb_number type);
/** Write n numbers into out; n of a whole number of blocks where the type has blocks. */
void wb_numbers_pack (void *out, const float *x, int64_t n, wb_number type);
void wb_numbers_unpack (float *out, const void *from, int64_t n, wb_number type);

/** Q4_K of llama.cpp (q4_k.c): n a multiple of 256, which take 144 bytes. */
void wb_q4_k_pack (void *out, const float *x, int64_t n);
void wb_q4_k_unpack (float *out, const void *from, int64_t n);

/* ---- Hugging Face (hf.c, hf_write.c, hf_tokenizer.c, card.c, training.c) --------------------------------------- */

wb_status wb_hf_write (const wb_export_t *x, wb_weights_t *w) WB_NODISCARD;
/** config.json, the tensors, in files of at most `shard` bytes (or one tensor), wabun's tokenizer files, chat.json.
 * Errors: WB_EIO, WB_EDATA, WB_ENOMEM. */
wb_status wb_hf_model (const wb_outdir_t *d, wb_weights_t *w, wb_number type, int64_t shard) WB_NODISCARD;

/** The chat.json of a directory (NULL: none), where there is one, and the same as chat_template.jinja (chat.c). Errors:
 * WB_EIO, WB_EDATA, WB_ENOMEM. */
wb_status wb_chat_files (const wb_outdir_t *d, const char *directory) WB_NODISCARD;
/** Files by which Hugging Face's programs get the same ids; clean: those of wabun encode --clean, where
 * wb_hf_cleans(t).  *note: a line for people, what they are and where they differ; constant.  Errors: WB_EIO,
 * WB_ENOMEM. */
wb_status wb_hf_tokenizer (const wb_outdir_t *d, const char **note, const wb_tokenizer_t *t, int64_t T,
                           bool clean) WB_NODISCARD;
bool wb_hf_cleans (const wb_tokenizer_t *t); /**< has it ids of its own for wabun encode --clean? */
#define WB_EOT "<|endoftext|>"
/** The letter that stands for a byte in byte-level tokenizers, in UTF-8, 0-terminated: printable ones for themselves,
 * the others U+0100 and on. */
void wb_byte_letter (char out[4], int byte);
/** What is known about the training of the model in a directory: step, tokens, data, bits per byte ...; empty where
 * nothing is.  Errors: WB_EDATA, WB_ENOMEM. */
wb_status wb_training_facts (json_t *facts, const char *dir) WB_NODISCARD;
/** The model card.  Appended to out.  Errors: WB_ENOMEM. */
wb_status wb_card (wb_buf_t *out, const wb_export_t *x, const wb_weights_t *w, const char *tokenizer_note) WB_NODISCARD;

#endif
