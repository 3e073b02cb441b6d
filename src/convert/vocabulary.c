/* Vocabularies of wabun, as inspect tells them: a directory or a file that is a tokenizer and no model. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"

static bool probe (const wb_look_t *look) {
    bool found;
    return wb_tokenizer_probe (&found, look->path) == WB_OK && found;
}

static wb_status tokenizer_facts (json_t *facts, const char *path, const wb_tokenizer_t *t) {
    wb_tokenizer_identity_t identity;
    char text[WB_TOKENIZER_IDENTITY];
    wb_tokenizer_identify (&identity, t);
    WB_TRY (wb_fact_text (facts, "tokenizer", "%s", wb_tokenizer_identity_text (text, &identity)));
    WB_TRY (wb_fact_int (facts, "ids", wb_tokenizer_size (t)));
    WB_TRY (wb_fact_int (facts, "end token", wb_tokenizer_eot (t)));
    WB_TRY (wb_fact (facts, "cut at line ends", json_boolean (wb_tokenizer_by_lines (t))));
    if (!wb_file_is_dir (path)) return wb_fact_file (facts, path);
    for (int i = 0; wb_tokenizer_file (t, i) != NULL; i++) {
        char *file = wb_format ("%s/%s", path, wb_tokenizer_file (t, i));
        const wb_status status = file == NULL            ? WB_NOMEM ("%s", path)
                                 : wb_file_exists (file) ? wb_fact_file (facts, file)
                                                         : WB_OK;
        wb_free (file);
        WB_TRY (status);
    }
    return WB_OK;
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_tokenizer_t *t;
    WB_TRY (wb_tokenizer_new (&t, path));
    const wb_status status = tokenizer_facts (facts, path, t);
    wb_tokenizer_destroy (t);
    return status;
}

const wb_format_t wb_format_vocabulary = {
    .name = "vocabulary",
    .what = "a vocabulary: a directory of a tokenizer, or a SentencePiece *.model",
    .probe = probe,
    .inspect = inspect,
};
