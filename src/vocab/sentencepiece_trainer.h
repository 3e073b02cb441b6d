/* The trainer of SentencePiece for C.  No exception leaves it. */
#ifndef WABUN_VOCAB_SENTENCEPIECE_TRAINER_H
#define WABUN_VOCAB_SENTENCEPIECE_TRAINER_H

#include <stdbool.h>

#include "tokenizer/sentencepiece_shim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is trained on, and where the model goes. */
typedef struct wb_sp_trainer {
    const char *const *settings; /* name, value, name, value ..., NULL: as of spm_train */
    /* The next sentence, borrowed until the next call; false: there is none. */
    bool (*next) (void *ctx, const char **text, size_t *n);
    int (*put) (void *ctx, const char *model, size_t n); /* not 0: WB_SP_NOMEM */
    void *ctx;
} wb_sp_trainer_t;
wb_sp_status wb_sp_train (const wb_sp_trainer_t *t, char error[WB_SP_ERROR]);

#ifdef __cplusplus
}
#endif
#endif
