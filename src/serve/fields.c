/* The JSON of a request, strictly: an object in UTF-8, each name once, not deeper than needed; a field is what it
 * should be or the request is refused with its name.
 *
 * Names that are not known are left alone: clients of the API send many.
 * Not here: what the fields mean. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "serve/serve_priv.h"
#include "wabun/json.h"

/* Is it nested deeper than we ever need, or has it so many values that it would take much more memory than its bytes?
 * Strings do not count; what is no JSON the parser finds.  NULL: no. */
static const char *too_much (const char *s, size_t n) {
    int depth = 0, lists = 0, values = 0;
    bool string = false;
    for (size_t i = 0; i < n; i++) {
        if (string && s[i] == '\\') {
            i++;
        } else if (string) {
            string = s[i] != '"';
        } else if (s[i] == '"') {
            string = true;
        } else if (s[i] == '{' || s[i] == '[') {
            if (++depth > WB_SERVE_DEPTH) return "is nested too deep";
            if (++lists > WB_SERVE_LISTS) return "has too many lists";
        } else if (s[i] == ',') {
            if (++values > WB_SERVE_VALUES) return "has too many values";
        } else if (s[i] == '}' || s[i] == ']') {
            depth--;
        }
    }
    return NULL;
}

bool wb_json_parse (wb_exchange_t *x) {
    json_error_t e;
    if (x->body.len == 0) {
        wb_answer_error (x, 400, NULL, NULL, "the request has no body: send a JSON object");
        return false;
    }
    const char *much = too_much (x->body.data, x->body.len);
    if (much != NULL) {
        wb_answer_error (x, 400, NULL, NULL, "the JSON %s", much);
        return false;
    }
    x->json = wb_json_load (x->body.data, x->body.len, JSON_REJECT_DUPLICATES, &e);
    if (x->json == NULL) {
        wb_answer_error (x, 400, NULL, NULL, "the body is not JSON: line %d, column %d: %s", e.line, e.column, e.text);
        return false;
    }
    if (json_is_object (x->json)) return true;
    wb_answer_error (x, 400, NULL, NULL, "the body is no JSON object: {\"prompt\": ...}");
    return false;
}

/* The field; NULL: left out, or null. */
static json_t *get (const wb_exchange_t *x, const char *name) {
    json_t *v = json_object_get (x->json, name);
    return json_is_null (v) ? NULL : v;
}

bool wb_json_int (wb_exchange_t *x, const char *name, int64_t *out, int64_t min, int64_t max) {
    const json_t *v = get (x, name);
    if (v == NULL) return true;
    const double real = json_number_value (v);
    if (json_is_integer (v))
        *out = json_integer_value (v);
    else if (json_is_real (v) && real == floor (real) && fabs (real) < 9e15)
        *out = (int64_t) real;
    else
        v = NULL;
    if (v != NULL && *out >= min && *out <= max) return true;
    wb_answer_error (x, 400, name, NULL, "%s must be a whole number between %lld and %lld", name, (long long) min,
                     (long long) max);
    return false;
}

bool wb_json_number (wb_exchange_t *x, const char *name, double *out, double min, double max) {
    const json_t *v = get (x, name);
    if (v == NULL) return true;
    *out = json_number_value (v);
    if (json_is_number (v) && *out >= min && *out <= max) return true;
    wb_answer_error (x, 400, name, NULL, "%s must be a number between %g and %g", name, min, max);
    return false;
}

bool wb_json_bool (wb_exchange_t *x, const char *name, bool *out) {
    const json_t *v = get (x, name);
    if (v == NULL) return true;
    *out = json_is_true (v);
    if (json_is_boolean (v)) return true;
    wb_answer_error (x, 400, name, NULL, "%s must be true or false", name);
    return false;
}

bool wb_json_text (wb_exchange_t *x, const char *name, const char **out) {
    const json_t *v = get (x, name);
    if (v == NULL) return true;
    *out = json_string_value (v);
    if (*out != NULL) return true;
    wb_answer_error (x, 400, name, NULL, "%s must be a text", name);
    return false;
}

wb_served_t *wb_json_model (wb_exchange_t *x) {
    const char *name = NULL;
    if (!wb_json_text (x, "model", &name)) return NULL;
    wb_served_t *m = wb_served_get (x->server, name);
    if (m == NULL)
        wb_answer_error (x, 404, "model", "model_not_found", "there is no model `%.100s`: GET /v1/models lists them",
                         name);
    return m;
}

/* ---- texts or ids ------------------------------------------------------------------------------------------------ */

static bool refuse (wb_exchange_t *x, const char *name) {
    wb_answer_error (x, 400, name, NULL,
                     "%s must be a text, a list of texts, a list of token ids, or a list of such lists", name);
    return false;
}

static bool is_list_of_ids (const json_t *v) { return json_is_array (v) && json_is_integer (json_array_get (v, 0)); }

bool wb_json_prompts (wb_exchange_t *x, const char *name, int64_t *n, int64_t max) {
    const json_t *v = get (x, name);
    *n = 1;
    if (v == NULL || json_is_string (v) || is_list_of_ids (v)) return true;
    if (!json_is_array (v)) return refuse (x, name);
    *n = (int64_t) json_array_size (v);
    if (*n >= 1 && *n <= max) return true;
    wb_answer_error (x, 400, name, NULL, "%s has %lld texts: between 1 and %lld are possible", name, (long long) *n,
                     (long long) max);
    return false;
}

bool wb_json_prompt (wb_exchange_t *x, const char *name, int64_t i, const wb_served_t *m, wb_ids_t *ids,
                     const char **text) {
    const wb_tokenizer_t *t = m->model->tokenizer;
    const int64_t V = wb_tokenizer_size (t) < m->model->size.V ? wb_tokenizer_size (t) : m->model->size.V;
    const json_t *v = get (x, name);
    *text = NULL;
    if (v == NULL) return true;
    if (json_is_array (v) && !is_list_of_ids (v)) v = json_array_get (v, (size_t) i);
    if (json_is_string (v)) {
        *text = json_string_value (v);
        if (wb_tokenizer_encode (t, ids, *text, json_string_length (v), false) == WB_OK) return true;
        wb_answer_failed (x);
        return false;
    }
    if (!json_is_array (v)) return refuse (x, name);
    for (size_t k = 0; k < json_array_size (v); k++) {
        const json_t *id = json_array_get (v, k);
        if (!json_is_integer (id)) return refuse (x, name);
        const json_int_t value = json_integer_value (id);
        if (value < 0 || value >= V) {
            wb_answer_error (x, 400, name, NULL, "%s has the token id %lld: there are 0 to %lld", name,
                             (long long) value, (long long) V - 1);
            return false;
        }
        if (wb_ids_put (ids, (int32_t) value) != WB_OK) {
            wb_answer_failed (x);
            return false;
        }
    }
    return true;
}
