/* Hugging Face's config.json.
 *
 * It may describe models other than the GPT-2 computed here.  Each switch that changes the arithmetic is checked, and a
 * model wabun cannot compute is refused with the reason: a model that loads and then writes nonsense is worse than
 * none. */
#include "config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "wabun/json.h"
#include "wabun/model.h"

static wb_status read_size (int64_t *out, const json_t *j, const char *path, const char *name, const char *other) {
    const json_t *v = json_object_get (j, name);
    if (v == NULL && other != NULL) v = json_object_get (j, other);
    if (v == NULL) return WB_FAIL (WB_EDATA, "%s: there is no \"%s\" in it: is this a GPT-2 model?", path, name);
    if (!json_is_integer (v) || json_integer_value (v) < 1 || json_integer_value (v) > INT32_MAX)
        return WB_FAIL (WB_EDATA, "%s: \"%s\" must be a whole number from 1", path, name);
    *out = json_integer_value (v);
    return WB_OK;
}

static wb_status check_flag (const json_t *j, const char *path, const char *name, bool want) {
    const json_t *v = json_object_get (j, name);
    if (v == NULL || json_is_null (v) || (json_is_boolean (v) && json_is_true (v) == want)) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: \"%s\" must be %s (or left out): wabun computes no other GPT-2", path, name,
                    want ? "true" : "false");
}

/* Switches that change what the model computes; absent or null means GPT-2's default. */
static wb_status check_kind (const json_t *j, const char *path, int64_t C) {
    const json_t *type = json_object_get (j, "model_type");
    const char *kind = json_string_value (type);
    if (type != NULL && !json_is_null (type) && kind == NULL)
        return WB_FAIL (WB_EDATA, "%s: \"model_type\" is not a string: \"gpt2\" was expected", path);
    if (kind != NULL && strcmp (kind, "gpt2") != 0)
        return WB_FAIL (WB_EDATA, "%s: \"model_type\" is \"%s\": wabun computes \"gpt2\" only", path, kind);
    const json_t *act = json_object_get (j, "activation_function");
    const char *name = json_string_value (act);
    if (act != NULL && (name == NULL || (strcmp (name, "gelu_new") != 0 && strcmp (name, "gelu_pytorch_tanh") != 0)))
        return WB_FAIL (WB_EDATA,
                        "%s: \"activation_function\" is \"%s\": wabun computes \"gelu_new\" (the same as "
                        "\"gelu_pytorch_tanh\") only",
                        path, name != NULL ? name : "not a text");
    const json_t *eps = json_object_get (j, "layer_norm_epsilon");
    if (eps != NULL && !(fabs (json_number_value (eps) - 1e-5) <= 1e-9))
        return WB_FAIL (WB_EDATA, "%s: \"layer_norm_epsilon\" is %g: wabun computes with 1e-05 only", path,
                        json_number_value (eps));
    const json_t *inner = json_object_get (j, "n_inner");
    if (inner != NULL && !json_is_null (inner) && json_integer_value (inner) != 4 * C)
        return WB_FAIL (WB_EDATA, "%s: \"n_inner\" must be null or 4 times \"n_embd\", which is %lld", path,
                        (long long) (4 * C));
    WB_TRY (check_flag (j, path, "tie_word_embeddings", true));
    WB_TRY (check_flag (j, path, "scale_attn_weights", true));
    WB_TRY (check_flag (j, path, "scale_attn_by_inverse_layer_idx", false));
    return check_flag (j, path, "add_cross_attention", false);
}

static wb_status read_config (wb_size_t *s, const json_t *j, const char *path) {
    if (!json_is_object (j)) return WB_FAIL (WB_EDATA, "%s: not a JSON object", path);
    WB_TRY (read_size (&s->L, j, path, "n_layer", NULL));
    WB_TRY (read_size (&s->C, j, path, "n_embd", NULL));
    WB_TRY (read_size (&s->H, j, path, "n_head", NULL));
    WB_TRY (read_size (&s->T, j, path, "n_positions", "n_ctx"));
    WB_TRY (read_size (&s->V, j, path, "vocab_size", NULL));
    if (s->C % s->H != 0)
        return WB_FAIL (WB_EDATA, "%s: \"n_embd\" %lld is not a multiple of \"n_head\" %lld", path, (long long) s->C,
                        (long long) s->H);
    if (s->V < 2) return WB_FAIL (WB_EDATA, "%s: \"vocab_size\" must be at least 2", path);
    if (s->L > 4096 || s->C > 1 << 17 || s->T > 1 << 20 || s->V > 1 << 26)
        return WB_FAIL (WB_EDATA,
                        "%s: %lld layers of width %lld, context %lld, vocabulary %lld is beyond what wabun handles",
                        path, (long long) s->L, (long long) s->C, (long long) s->T, (long long) s->V);
    return check_kind (j, path, s->C);
}

static wb_status read_dir (wb_size_t *out, const char *dir) {
    if (!wb_file_exists (dir)) return WB_FAIL (WB_EIO, "model %s: no such directory", dir[0] != 0 ? dir : "\"\"");
    if (!wb_file_is_dir (dir))
        return WB_FAIL (
            WB_EIO, "model %s: not a directory; a model is a directory with config.json and model.safetensors", dir);
    char *path = wb_format ("%s/config.json", dir), *latest = wb_format ("%s/latest", dir), *text = NULL;
    size_t bytes;
    wb_status status = path != NULL && latest != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory");
    if (status == WB_OK && !wb_file_exists (path) && wb_file_exists (latest))
        status = WB_FAIL (WB_EIO, "model %s: is a run; its newest model is %s", dir, latest);
    else if (status == WB_OK && !wb_file_exists (path))
        status = WB_FAIL (WB_EIO,
                          "model %s: no config.json in it; a model is a directory with config.json and "
                          "model.safetensors, such as the `latest` of a run",
                          dir);
    if (status == WB_OK) status = wb_file_read (&text, &bytes, path);
    if (status == WB_OK) {
        json_error_t at;
        const size_t skip = wb_bom (text, bytes);
        json_t *j = wb_json_load (text + skip, bytes - skip, 0, &at);
        status =
            j != NULL ? read_config (out, j, path) : WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
        json_decref (j);
    }
    wb_free (text);
    wb_free (path);
    wb_free (latest);
    return status;
}

wb_status wb_model_config_read (wb_size_t *out, const char *dir) {
    *out = (wb_size_t){0};
    char *named = wb_dir_latest (dir);
    wb_status status = named != NULL ? read_dir (out, named) : WB_NOMEM ("model %s", dir);
    wb_free (named);
    return status;
}

char *wb_model_config_text (const wb_size_t *s, int32_t eot) {
    char end[16] = "null";
    if (eot >= 0) snprintf (end, sizeof end, "%d", (int) eot);
    return wb_format ("{\n"
                      "  \"activation_function\": \"gelu_new\",\n"
                      "  \"architectures\": [\n    \"GPT2LMHeadModel\"\n  ],\n"
                      "  \"attn_pdrop\": 0.0,\n"
                      "  \"bos_token_id\": %s,\n"
                      "  \"embd_pdrop\": 0.0,\n"
                      "  \"eos_token_id\": %s,\n"
                      "  \"initializer_range\": 0.02,\n"
                      "  \"layer_norm_epsilon\": 1e-05,\n"
                      "  \"model_type\": \"gpt2\",\n"
                      "  \"n_ctx\": %lld,\n"
                      "  \"n_embd\": %lld,\n"
                      "  \"n_head\": %lld,\n"
                      "  \"n_inner\": null,\n"
                      "  \"n_layer\": %lld,\n"
                      "  \"n_positions\": %lld,\n"
                      "  \"resid_pdrop\": 0.0,\n"
                      "  \"scale_attn_weights\": true,\n"
                      "  \"tie_word_embeddings\": true,\n"
                      "  \"torch_dtype\": \"float32\",\n"
                      "  \"use_cache\": true,\n"
                      "  \"vocab_size\": %lld\n"
                      "}\n",
                      end, end, (long long) s->T, (long long) s->C, (long long) s->H, (long long) s->L,
                      (long long) s->T, (long long) s->V);
}
