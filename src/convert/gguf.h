/* GGUF files: what the files that read and write them share.  Not installed. */
#ifndef WABUN_CONVERT_GGUF_H
#define WABUN_CONVERT_GGUF_H

#include "convert/convert_priv.h"

#define WB_GGUF_MAGIC "GGUF"
#define WB_GGUF_ALIGN 32 /**< of tensors, where general.alignment says nothing else */

/** Types of values in the metadata, as they are numbered in the file. */
typedef enum wb_gguf_value {
    WB_GGUF_U8,
    WB_GGUF_I8,
    WB_GGUF_U16,
    WB_GGUF_I16,
    WB_GGUF_U32,
    WB_GGUF_I32,
    WB_GGUF_F32,
    WB_GGUF_BOOL,
    WB_GGUF_STRING,
    WB_GGUF_ARRAY,
    WB_GGUF_U64,
    WB_GGUF_I64,
    WB_GGUF_F64
} wb_gguf_value;

/** A type of tensors: numbers come in blocks along a row. */
typedef struct wb_gguf_type {
    uint32_t number; /**< in the file */
    const char *name;
    int64_t block, bytes; /**< numbers of a block, and its bytes */
    wb_number as;         /**< WB_NUMBERS: known by its size only */
} wb_gguf_type_t;
const wb_gguf_type_t *wb_gguf_type_of (uint32_t number); /**< NULL: not known */
const wb_gguf_type_t *wb_gguf_type_as (wb_number as);

/** Name of a parameter, and whether it lies there transposed ([out, in]). */
const char *wb_gguf_name (char buf[64], bool *transposed, const wb_param_t *p);

/** tokenizer.ggml.*, appended to the metadata; *keys grows by their number.  *note: as of wb_hf_tokenizer().  Errors:
 * WB_EIO, WB_EDATA, WB_ENOMEM. */
wb_status wb_gguf_tokenizer (wb_buf_t *meta, uint64_t *keys, const char **note, const wb_export_t *x,
                             const wb_tokenizer_t *t, int64_t V) WB_NODISCARD;
/** The part of it for a spiece.model of n bytes, but for the end token `eot`; V ids.  Errors: WB_ENOMEM. */
wb_status wb_gguf_sentencepiece (wb_buf_t *meta, uint64_t *keys, const char **note, const char *data, size_t n,
                                 int32_t eot, int64_t V) WB_NODISCARD;
wb_status wb_gguf_put_text (wb_buf_t *meta, uint64_t *keys, const char *key, const char *value) WB_NODISCARD;
wb_status wb_gguf_put_u32 (wb_buf_t *meta, uint64_t *keys, const char *key, uint32_t value) WB_NODISCARD;
/** The beginning of an array; its values follow. */
wb_status wb_gguf_put_array (wb_buf_t *meta, uint64_t *keys, const char *key, wb_gguf_value type,
                             uint64_t n) WB_NODISCARD;
wb_status wb_gguf_put_bool (wb_buf_t *meta, uint64_t *keys, const char *key, bool value) WB_NODISCARD;
/** A string as it stands in arrays: its length, its bytes. */
wb_status wb_gguf_put_string (wb_buf_t *meta, const char *s, size_t n) WB_NODISCARD;

wb_status wb_gguf_write (const wb_export_t *x, wb_weights_t *w) WB_NODISCARD;

#endif
