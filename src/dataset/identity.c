/* Is it still the same token file?  A hash of the whole index (and mask) and of samples of the ids, which is cheap for
 * a file of any size.  And of which tokenizer: what PREFIX.tokenizer says.
 *
 * Not a protection against intent: ids that are replaced between the samples, by as many others, are not noticed. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/dataset_priv.h"
#include "wabun/json.h"

#define BLOCK ((int64_t) 1 << 20)
#define SAMPLES 16
#define SAMPLE_BYTES ((int64_t) 4096)

/* Add n bytes of a file to *hash. */
static wb_status add (uint64_t *hash, char *buf, const wb_tokens_t *f, int fd, int64_t n, int64_t at,
                      const char *ending) {
    size_t got;
    int error = wb_fd_read (fd, buf, &got, (size_t) n, at);
    if (error != 0 || got < (size_t) n)
        return WB_FAIL (WB_EIO, "%s.%s: cannot read at byte %lld: %s", f->prefix, ending,
                        (long long) (at + (int64_t) got), error != 0 ? strerror (error) : "the file ends there");
    const uint64_t both[2] = {*hash, wb_hash64 (buf, (size_t) n)};
    *hash = wb_hash64 (both, sizeof both);
    return WB_OK;
}

wb_status wb_tokens_identity (const wb_tokens_t *f, int64_t *bytes, uint64_t *hash) {
    char *buf = wb_malloc ((size_t) BLOCK);
    wb_status status = buf != NULL ? WB_OK : WB_NOMEM ("%s", f->prefix);
    *bytes = f->bin_bytes;
    *hash = 0;
    for (int64_t at = 0; at < f->idx_bytes && status == WB_OK; at += BLOCK)
        status = add (hash, buf, f, f->idx, f->idx_bytes - at < BLOCK ? f->idx_bytes - at : BLOCK, at, "idx");
    const int64_t n = f->bin_bytes < SAMPLE_BYTES ? f->bin_bytes : SAMPLE_BYTES;
    for (int64_t i = 0; i < SAMPLES && n > 0 && status == WB_OK; i++)
        status = add (hash, buf, f, f->bin, n, (f->bin_bytes - n) / (SAMPLES - 1) * i, "bin");
    for (int64_t at = 0; at < f->count && f->mask >= 0 && status == WB_OK; at += BLOCK)
        status = add (hash, buf, f, f->mask, f->count - at < BLOCK ? f->count - at : BLOCK, at, WB_TOKENS_MASK);
    wb_free (buf);
    return status;
}

/* ---- of which tokenizer ------------------------------------------------------------------------------------------ */

static wb_status parse (wb_tokenizer_identity_t *out, int64_t *tokens, const char *path) {
    char *text, *end = NULL;
    size_t bytes;
    WB_TRY (wb_file_read (&text, &bytes, path));
    json_t *j = wb_json_load (text, bytes, 0, NULL);
    const char *kind = json_string_value (json_object_get (j, "tokenizer")),
               *hash = json_string_value (json_object_get (j, "hash"));
    const json_t *size = json_object_get (j, "vocab_size"), *count = json_object_get (j, "tokens");
    *out = (wb_tokenizer_identity_t){.size = (int32_t) json_integer_value (size)};
    if (kind != NULL) snprintf (out->kind, sizeof out->kind, "%s", kind);
    if (hash != NULL) out->hash = strtoull (hash, &end, 16);
    *tokens = json_integer_value (count);
    const bool good =
        kind != NULL && hash != NULL && *hash != 0 && *end == 0 && json_is_integer (size) && json_is_integer (count);
    json_decref (j);
    wb_free (text);
    if (good) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s is not what wabun encode writes: encode again, or remove it", path);
}

wb_status wb_tokens_tokenizer (wb_tokenizer_identity_t *out, bool *known, const wb_tokens_t *f) {
    int64_t tokens = 0;
    char *path = wb_format ("%s." WB_TOKENS_NOTE, f->prefix);
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("%s", f->prefix);
    *known = status == WB_OK && wb_file_exists (path);
    if (*known) status = parse (out, &tokens, path);
    *known = *known && status == WB_OK && tokens == f->count;
    wb_free (path);
    return status;
}
