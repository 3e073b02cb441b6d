/* Token files, as inspect tells them. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/dataset.h"

static bool probe (const wb_look_t *look) {
    return !look->directory && look->nhead >= 9 && memcmp (look->head, "MMIDIDX\0", 9) == 0;
}

/* Without .idx. */
static char *prefix_of (const char *path) {
    const size_t n = strlen (path);
    return wb_strndup (path, wb_ends_with (path, ".idx") ? n - 4 : n);
}

static wb_status token_facts (json_t *facts, const wb_tokens_t *f) {
    int64_t bytes;
    uint64_t hash;
    const int64_t n = wb_tokens_count (f);
    WB_TRY (wb_fact_int (facts, "documents", wb_tokens_documents (f)));
    WB_TRY (wb_fact_int (facts, "tokens", n));
    WB_TRY (wb_tokens_identity (f, &bytes, &hash));
    WB_TRY (wb_fact_int (facts, "bytes", bytes));
    if (n > 0) WB_TRY (wb_fact_int (facts, "bytes a token", bytes / n));
    return wb_fact_text (facts, "identity", "%016" PRIx64, hash);
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_tokens_t *f;
    char *prefix = prefix_of (path);
    wb_status status = prefix != NULL ? wb_tokens_open (&f, prefix) : WB_NOMEM ("%s", path);
    if (status == WB_OK) {
        status = token_facts (facts, f);
        wb_tokens_close (f);
    }
    wb_free (prefix);
    return status;
}

const wb_format_t wb_format_tokens = {
    .name = "tokens",
    .what = "a token file (Megatron's indexed dataset)",
    .probe = probe,
    .inspect = inspect,
};
