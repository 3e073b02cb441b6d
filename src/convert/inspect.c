/* wabun inspect: facts about a file, gathered as a JSON object, printed as it is or line by line. */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/convert_priv.h"
#include "wabun/json.h"

/* ---- gathering ------------------------------------------------------------------------------------------------- */

wb_status wb_fact (json_t *facts, const char *name, json_t *value) {
    return json_object_set_new (facts, name, value) == 0 ? WB_OK : WB_NOMEM ("facts");
}

wb_status wb_fact_text (json_t *facts, const char *name, const char *fmt, ...) {
    char text[WB_ERROR_TEXT];
    va_list list;
    va_start (list, fmt);
    vsnprintf (text, sizeof text, fmt, list);
    va_end (list);
    return wb_fact (facts, name, wb_json_utf8 (text));
}

wb_status wb_fact_int (json_t *facts, const char *name, int64_t value) {
    return wb_fact (facts, name, json_integer (value));
}

wb_status wb_fact_size (json_t *facts, const wb_size_t *size) {
    WB_TRY (wb_fact_int (facts, "parameters", wb_size_parameters (size)));
    WB_TRY (wb_fact_int (facts, "layers", size->L));
    WB_TRY (wb_fact_int (facts, "width", size->C));
    WB_TRY (wb_fact_int (facts, "heads", size->H));
    WB_TRY (wb_fact_int (facts, "context", size->T));
    return wb_fact_int (facts, "vocabulary", size->V);
}

json_t *wb_fact_list (json_t *facts, const char *name) {
    json_t *list = json_array ();
    return json_object_set_new (facts, name, list) == 0 ? list : NULL;
}

wb_status wb_fact_file (json_t *facts, const char *path) {
    struct stat st;
    json_t *files = json_object_get (facts, "files"), *file = json_object ();
    if (files == NULL) files = wb_fact_list (facts, "files");
    if (json_array_append_new (files, file) != 0) return WB_NOMEM ("facts");
    WB_TRY (wb_fact_text (file, "file", "%s", wb_file_name (path)));
    return wb_fact_int (file, "bytes", stat (path, &st) == 0 ? st.st_size : -1);
}

wb_status wb_fact_tensor (json_t *list, const char *name, const char *type, const int64_t *shape, int ndim) {
    json_t *one = json_object ();
    char size[160] = "";
    for (int k = 0; k < ndim; k++) {
        const size_t used = strlen (size);
        snprintf (size + used, sizeof size - used, "%s%lld", k > 0 ? " x " : "", (long long) shape[k]);
    }
    if (json_array_append_new (list, one) != 0) return WB_NOMEM ("facts");
    WB_TRY (wb_fact_text (one, "name", "%s", name));
    WB_TRY (wb_fact_text (one, "type", "%s", type));
    return wb_fact_text (one, "shape", "%s", size);
}

const char *wb_dtype_name (wb_dtype dtype) {
    static const char *const names[] = {"f32", "f16", "bf16", "f64", "i64", "other"};
    return names[dtype];
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

static void print_value (const json_t *value, const char *name) {
    char count[32];
    if (json_is_string (value))
        printf ("%s", json_string_value (value));
    else if (json_is_integer (value) && strcmp (name, "seed") == 0)
        printf ("%lld", (long long) json_integer_value (value));
    else if (json_is_integer (value))
        printf ("%s", wb_format_count (count, json_integer_value (value)));
    else if (json_is_real (value))
        printf ("%.6g", json_real_value (value));
    else
        printf ("%s", json_is_true (value) ? "yes" : json_is_false (value) ? "no" : "none");
}

/* An object in one line: name value, name value ... */
static void print_object (const json_t *object) {
    const char *name;
    json_t *value;
    bool first = true;
    json_object_foreach ((json_t *) object, name, value) {
        if (json_is_object (value) || json_is_array (value)) continue;
        printf ("%s%s ", first ? "" : ", ", name);
        print_value (value, name);
        first = false;
    }
    printf ("\n");
}

/* One a line. */
static void print_members (const json_t *object, const char *name) {
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *) object, key, value) {
        printf ("  %-16s %s ", name, key);
        if (json_is_object (value))
            print_object (value);
        else {
            print_value (value, key);
            printf ("\n");
        }
        name = "";
    }
}

static void print_facts (const char *path, const json_t *facts) {
    const char *name;
    json_t *value, *one;
    size_t i;
    printf ("%s: %s\n", path, json_string_value (json_object_get (facts, "format")));
    json_object_foreach ((json_t *) facts, name, value) {
        if (strcmp (name, "path") == 0 || strcmp (name, "format") == 0) continue;
        if (!json_is_array (value) && !json_is_object (value)) printf ("  %-16s ", name);
        if (json_is_object (value))
            print_members (value, name);
        else if (!json_is_array (value)) {
            print_value (value, name);
            printf ("\n");
        } else
            json_array_foreach (value, i, one) {
                printf ("  %-16s ", i == 0 ? name : "");
                if (json_is_object (one))
                    print_object (one);
                else {
                    print_value (one, name);
                    printf ("\n");
                }
            }
    }
}

/* The .idx of a token file of which the .bin, or the prefix alone, was named; the caller frees it.  NULL: it is none.
 */
static char *index_of (const char *path) {
    const size_t n = strlen (path);
    const bool bin = wb_ends_with (path, ".bin");
    char *prefix = wb_strndup (path, bin ? n - 4 : n), *idx = prefix != NULL ? wb_format ("%s.idx", prefix) : NULL;
    wb_free (prefix);
    if (idx != NULL && (bin || !wb_file_exists (path)) && wb_file_exists (idx)) return idx;
    wb_free (idx);
    return NULL;
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_look_t look;
    const wb_format_t *format = NULL;
    WB_TRY (wb_look (&look, path));
    WB_TRY (wb_format_of (&format, &look));
    WB_TRY (wb_fact_text (facts, "path", "%s", path));
    WB_TRY (wb_fact_text (facts, "format", "%s", format->what));
    return format->inspect (facts, path);
}

wb_status wb_convert_inspect (const char *path, bool json) {
    json_t *facts = json_object ();
    if (facts == NULL) return WB_NOMEM ("facts");
    char *named = index_of (path);
    if (named == NULL) named = wb_dir_latest (path);
    wb_status status = named != NULL ? inspect (facts, named) : WB_NOMEM ("%s", path);
    if (status == WB_OK && json) {
        char *text = json_dumps (facts, JSON_INDENT (2));
        if (text == NULL) status = WB_NOMEM ("facts");
        if (text != NULL) printf ("%s\n", text);
        wb_free_foreign (text);
    } else if (status == WB_OK)
        print_facts (path, facts);
    wb_free (named);
    json_decref (facts);
    return status == WB_OK ? wb_flush (stdout, "standard output") : status;
}
