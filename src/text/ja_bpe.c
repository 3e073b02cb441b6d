/* ja-bpe: not there yet. */
#include "config.h"

#include "text/text_priv.h"

wb_status wb_ja_bpe_new (wb_tokenizer_t **out, const char *dir) {
    *out = NULL;
    return WB_FAIL (WB_EUSAGE, "%s: ja-bpe is not built into this version", dir);
}
