/* PEFT's adapter_config.json: which model an adapter belongs to, its rank, its alpha and its places.
 *
 * Beside it lies adapter_model.safetensors, with the table's names after WB_ADAPTER_PREFIX.  What PEFT knows and is not
 * computed here (rsLoRA, DoRA, ranks by pattern, whole modules, biases) is refused by name.
 *
 * Not here: the tensors (checkpoint), adding them to a model (infer/adapter.c). */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "wabun/json.h"
#include "wabun/model.h"

#define FILE_NAME "adapter_config.json"

bool wb_adapter_probe (const char *dir) {
    char *path = wb_format ("%s/" FILE_NAME, dir);
    const bool there = path != NULL && wb_file_exists (path);
    wb_free (path);
    return there;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Absent, null, false, 0, "none" and nothing in it are all the default. */
static bool is_default (const json_t *v) {
    if (json_is_array (v)) return json_array_size (v) == 0;
    if (json_is_object (v)) return json_object_size (v) == 0;
    if (json_is_string (v)) return strcmp (json_string_value (v), "none") == 0;
    return v == NULL || json_is_null (v) || json_is_false (v) || (json_is_integer (v) && json_integer_value (v) == 0);
}

static wb_status check_kind (const json_t *j, const char *path) {
    static const char *const others[] = {
        "use_rslora", "use_dora",  "rank_pattern",      "alpha_pattern",   "modules_to_save",
        "bias",       "lora_bias", "layer_replication", "megatron_config", "trainable_token_indices"};
    const char *type = json_string_value (json_object_get (j, "peft_type"));
    if (type == NULL || strcmp (type, "LORA") != 0)
        return WB_FAIL (WB_EDATA, "%s: \"peft_type\" is %s: wabun knows adapters of type \"LORA\"", path,
                        type != NULL ? type : "missing");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!is_default (json_object_get (j, others[i])))
            return WB_FAIL (WB_EDATA, "%s: \"%s\" is set, which wabun does not compute: merge the adapter with PEFT",
                            path, others[i]);
    return WB_OK;
}

/* ["c_attn", "c_proj"] as "c_attn,c_proj". */
static wb_status read_targets (char **out, const json_t *list, const char *path) {
    wb_buf_t b = {0};
    wb_status status = WB_OK;
    for (size_t i = 0; i < json_array_size (list) && status == WB_OK; i++) {
        const char *s = json_string_value (json_array_get (list, i));
        if (s == NULL) continue;
        if (b.len > 0) status = wb_buf_put (&b, ",", 1);
        if (status == WB_OK) status = wb_buf_put (&b, s, strlen (s));
    }
    if (status == WB_OK && b.len == 0) status = WB_FAIL (WB_EDATA, "%s: \"target_modules\" is no list of names", path);
    *out = status == WB_OK ? wb_strndup (b.data, b.len) : NULL;
    wb_buf_fini (&b);
    if (status == WB_OK && *out == NULL) status = WB_NOMEM ("%s", path);
    return status;
}

/* The layers that have adapters: the last ones, or all. */
static wb_status read_layers (int64_t *out, const json_t *list, const wb_size_t *s, const char *path) {
    const int64_t n = json_is_integer (list) ? 1 : (int64_t) json_array_size (list);
    *out = n;
    for (int64_t i = 0; i < n; i++) {
        const json_t *l = json_is_integer (list) ? list : json_array_get (list, (size_t) i);
        if (json_integer_value (l) != s->L - n + i)
            return WB_FAIL (WB_EDATA, "%s: \"layers_to_transform\" are not the last ones, which wabun does not compute",
                            path);
    }
    return WB_OK;
}

static wb_status read_config (wb_adapter_config_t *c, const json_t *j, const char *path) {
    WB_TRY (check_kind (j, path));
    const char *base = json_string_value (json_object_get (j, "base_model_name_or_path"));
    const json_t *rank = json_object_get (j, "r"), *alpha = json_object_get (j, "lora_alpha");
    if (base == NULL || !json_is_integer (rank) || json_integer_value (rank) < 1 || !json_is_number (alpha))
        return WB_FAIL (WB_EDATA, "%s: lacks one of base_model_name_or_path, r and lora_alpha", path);
    c->tuning.rank = json_integer_value (rank);
    c->tuning.alpha = json_number_value (alpha);
    c->base = wb_strdup (base);
    if (c->base == NULL) return WB_NOMEM ("%s", path);
    char *config = wb_format ("%s/config.json", base);
    const bool there = config != NULL && wb_file_exists (config);
    wb_free (config);
    if (!there)
        return WB_FAIL (WB_EIO,
                        "%s: it belongs to the model %s, which is not there: set \"base_model_name_or_path\" to where "
                        "it is now",
                        path, base);
    WB_TRY (wb_model_config_read (&c->size, base));
    WB_TRY (read_targets (&c->tuning.targets, json_object_get (j, "target_modules"), path));
    return read_layers (&c->tuning.layers, json_object_get (j, "layers_to_transform"), &c->size, path);
}

wb_status wb_adapter_config_read (wb_adapter_config_t *out, const char *dir) {
    json_error_t e;
    char *path = wb_format ("%s/" FILE_NAME, dir);
    *out = (wb_adapter_config_t){0};
    if (path == NULL) return WB_NOMEM ("adapter %s", dir);
    json_t *j = wb_json_load_file (path, 0, &e);
    wb_status status = j != NULL ? read_config (out, j, path) : WB_FAIL (WB_EDATA, "%s:%d: %s", path, e.line, e.text);
    json_decref (j);
    wb_free (path);
    if (status != WB_OK) wb_adapter_config_fini (out);
    return status;
}

void wb_adapter_config_fini (wb_adapter_config_t *c) {
    wb_free (c->base);
    wb_free (c->tuning.targets);
    *c = (wb_adapter_config_t){0};
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

char *wb_adapter_config_text (const wb_tuning_t *t, const wb_size_t *s, const char *base) {
    unsigned targets;
    if (wb_tuning_targets (&targets, t) != WB_OK) return NULL;
    json_t *names = json_array (), *layers = t->layers > 0 ? json_array () : json_null ();
    for (int i = 0; i < WB_LINEARS; i++)
        if ((targets >> i & 1) != 0) json_array_append_new (names, json_string (wb_linear_name ((wb_linear) i)));
    for (int64_t l = s->L - t->layers; t->layers > 0 && l < s->L; l++) json_array_append_new (layers, json_integer (l));
    json_t *j =
        json_pack ("{s:s, s:s, s:s, s:I, s:f, s:f, s:o, s:o, s:s, s:b, s:s, s:b, s:b}", "peft_type", "LORA",
                   "task_type", "CAUSAL_LM", "base_model_name_or_path", base, "r", (json_int_t) t->rank, "lora_alpha",
                   t->alpha, "lora_dropout", 0.0, "target_modules", names, "layers_to_transform", layers,
                   "layers_pattern", "h", "fan_in_fan_out", 1, "bias", "none", "inference_mode", 1, "use_rslora", 0);
    if (j != NULL && t->layers == 0) json_object_del (j, "layers_pattern");
    char *dump = j != NULL ? json_dumps (j, JSON_INDENT (2)) : NULL,
         *text = dump != NULL ? wb_format ("%s\n", dump) : NULL;
    wb_free_foreign (dump);
    json_decref (j);
    return text;
}
