/* SentencePiece for C: the few calls that sentencepiece.c makes.  No exception leaves it. */
#ifndef WABUN_TOKENIZER_SENTENCEPIECE_SHIM_H
#define WABUN_TOKENIZER_SENTENCEPIECE_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wb_sp wb_sp_t;

/* What went wrong, in the library's words. */
#define WB_SP_ERROR 256
typedef enum wb_sp_status { WB_SP_OK, WB_SP_NOMEM, WB_SP_BAD } wb_sp_status;

/* Read a model from memory, which need not stay. */
wb_sp_status wb_sp_open (wb_sp_t **out, char error[WB_SP_ERROR], const void *data, size_t bytes);
void wb_sp_close (wb_sp_t *s);
int32_t wb_sp_size (const wb_sp_t *s);
int32_t wb_sp_eos (const wb_sp_t *s);                     /* -1: none */
int32_t wb_sp_find (const wb_sp_t *s, const char *piece); /* id of a piece, -1: none */
typedef enum wb_sp_kind { WB_SP_TEXT, WB_SP_CONTROL, WB_SP_UNKNOWN, WB_SP_BYTE } wb_sp_kind;
/* Kind of an id, and its piece, borrowed, not ended by a 0. */
wb_sp_kind wb_sp_piece (const wb_sp_t *s, const char **piece, size_t *n, int32_t id);
/* Call `put` once with all ids of a text, or all bytes of the text of ids; what it returns but 0 is WB_SP_NOMEM. */
wb_sp_status wb_sp_encode (const wb_sp_t *s, int (*put) (void *ctx, const int32_t *ids, size_t n), void *ctx,
                           char error[WB_SP_ERROR], const char *text, size_t n);
wb_sp_status wb_sp_decode (const wb_sp_t *s, int (*put) (void *ctx, const char *text, size_t n), void *ctx,
                           char error[WB_SP_ERROR], const int32_t *ids, size_t n);

#ifdef __cplusplus
}
#endif
#endif
