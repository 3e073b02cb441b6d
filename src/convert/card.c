/* The model card: README.md beside an exported model, from what is known about its training.
 *
 * What only people know (licence, sources of the text) is left to be filled in, and says so. */
#include "config.h"

#include <stdarg.h>
#include <string.h>

#include "convert/convert_priv.h"

static WB_PRINTF (2, 3) wb_status put (wb_buf_t *b, const char *fmt, ...) {
    char text[1024];
    va_list list;
    va_start (list, fmt);
    const int n = vsnprintf (text, sizeof text, fmt, list);
    va_end (list);
    return wb_buf_put (b, text, n < (int) sizeof text ? (size_t) n : sizeof text - 1);
}

static wb_status put_front (wb_buf_t *b) {
    return put (b, "---\nlanguage: ja\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- gpt2\n"
                   "# Fill in before you publish:\n# license:\n# datasets:\n---\n\n");
}

static wb_status put_count (wb_buf_t *b, const char *what, const json_t *facts, const char *key) {
    char count[32];
    const json_t *value = json_object_get (facts, key);
    if (!json_is_integer (value)) return WB_OK;
    return put (b, "| %s | %s |\n", what, wb_format_count (count, json_integer_value (value)));
}

static wb_status put_training (wb_buf_t *b, const json_t *facts) {
    const json_t *one, *data = json_object_get (facts, "data");
    size_t i;
    char bytes[32];
    if (json_object_get (facts, "step") == NULL)
        return put (b, "\n## Training\n\nNothing is recorded here about how it was trained.\n");
    WB_TRY (put (b, "\n## Training\n\n| | |\n| --- | --- |\n"));
    WB_TRY (put_count (b, "steps", facts, "step"));
    WB_TRY (put_count (b, "tokens seen", facts, "tokens"));
    WB_TRY (put_count (b, "sequences a step", facts, "global_batch"));
    WB_TRY (put_count (b, "tokens a sequence", facts, "sequence_length"));
    const char *optimizer = json_string_value (json_object_get (facts, "optimizer"));
    if (optimizer != NULL) WB_TRY (put (b, "| optimizer | %s |\n", optimizer));
    const json_t *loss = json_object_get (facts, "val_loss"), *bpb = json_object_get (facts, "val_bpb");
    if (loss != NULL) WB_TRY (put (b, "| validation, nats a token | %.4f |\n", json_number_value (loss)));
    if (bpb != NULL) WB_TRY (put (b, "| validation, bits a byte of text | %.4f |\n", json_number_value (bpb)));
    json_array_foreach ((json_t *) data, i, one) {
        const char *path = json_string_value (json_object_get (one, "tokens"));
        WB_TRY (put (b, "| text %zu | `%.200s`, %s of tokens |\n", i + 1, path != NULL ? wb_file_name (path) : "?",
                     wb_format_bytes (bytes, (double) json_integer_value (json_object_get (one, "bytes")))));
    }
    return WB_OK;
}

wb_status wb_card (wb_buf_t *out, const wb_export_t *x, const wb_weights_t *w, const char *tokenizer_note) {
    char count[32], vocabulary[32];
    char *plain = wb_strdup (x->out);
    json_t *facts = json_object ();
    wb_status status = plain != NULL && facts != NULL ? WB_OK : WB_NOMEM ("card");
    for (size_t n = plain != NULL ? strlen (plain) : 0; n > 1 && plain[n - 1] == '/'; n--) plain[n - 1] = 0;
    if (status == WB_OK && w->directory != NULL) status = wb_training_facts (facts, w->directory);
    if (status == WB_OK) status = put_front (out);
    if (status == WB_OK)
        status = put (out,
                      "# %s\n\nA GPT-2 of %s parameters: %lld layers, width %lld, %lld heads, context %lld, vocabulary "
                      "%s; numbers as %s.\n",
                      wb_file_name (plain), wb_format_count (count, w->params->total), (long long) w->size.L,
                      (long long) w->size.C, (long long) w->size.H, (long long) w->size.T,
                      wb_format_count (vocabulary, w->size.V), wb_number_names[x->type]);
    if (status == WB_OK) status = put (out, "\n## Tokenizer\n\n%s\n", tokenizer_note);
    if (status == WB_OK) status = put_training (out, facts);
    if (status == WB_OK)
        status = put (out,
                      "\n## Licence and sources\n\nTo be filled in: what the text is, who made it, and under "
                      "which licence this model may be used.\n\nMade with wabun %s.\n",
                      PACKAGE_VERSION);
    json_decref (facts);
    wb_free (plain);
    return status;
}
