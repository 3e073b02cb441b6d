/* Lines of JSON: what encode and decode read and write.
 *
 * Not done here: finding lines (base/lines.c), more than one field of a line. */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "corpus/jsonl.h"
#include "wabun/json.h"

size_t wb_jsonl_trim (const char *s, size_t n) {
    while (n > 0 && isspace ((unsigned char) s[n - 1])) n--;
    return n;
}

#define COMPLAIN(c, ...) ((void) snprintf ((c)->text, sizeof (c)->text, __VA_ARGS__))

json_t *wb_jsonl_parse (const char *s, size_t n, bool reals, wb_jsonl_complaint_t *c) {
    json_error_t error;
    json_t *line = wb_json_load (s, n, JSON_ALLOW_NUL | (reals ? JSON_DECODE_INT_AS_REAL : 0), &error);
    if (line == NULL) COMPLAIN (c, "not JSON: %.160s", error.text);
    return line;
}

const char *wb_jsonl_text (const json_t *line, const char *field, size_t *n, wb_jsonl_complaint_t *c) {
    const json_t *text = json_object_get (line, field);
    if (!json_is_string (text)) {
        COMPLAIN (c, "no string \"%.100s\" in this object", field);
        return NULL;
    }
    *n = json_string_length (text);
    return json_string_value (text);
}

wb_status wb_jsonl_ids (const json_t *line, wb_ids_t *ids, bool *good, int32_t vocab, wb_jsonl_complaint_t *c) {
    const json_t *list = json_object_get (line, "ids");
    *good = json_is_array (list);
    if (!*good) COMPLAIN (c, "no list \"ids\" in this line");
    wb_ids_clear (ids);
    for (size_t i = 0; *good && i < json_array_size (list); i++) {
        const json_t *x = json_array_get (list, i);
        const long long id = json_integer_value (x);
        *good = json_is_integer (x) && id >= 0 && id < vocab;
        if (!json_is_integer (x))
            COMPLAIN (c, "ids[%zu] is not a whole number", i);
        else if (!*good)
            COMPLAIN (c, "ids[%zu] is %lld, but the vocabulary has 0 .. %d", i, id, (int) vocab - 1);
        else
            WB_TRY (wb_ids_put (ids, (int32_t) id));
    }
    return WB_OK;
}

/* Something could not be written; wb_flush() knows why, but not always: the error may have been met before. */
static wb_status out_failed (void) {
    WB_TRY (wb_flush (stdout, "standard output"));
    return WB_FAIL (WB_EIO, "standard output: cannot write");
}

wb_status wb_jsonl_print_text (const wb_buf_t *text) {
    json_t *s = json_stringn (text->data != NULL ? text->data : "", text->len);
    json_t *line = s != NULL ? json_pack ("{s: o}", "text", s) : NULL;
    if (line == NULL) return WB_NOMEM ("the text of a line");
    char *dump = json_dumps (line, 0);
    json_decref (line);
    if (dump == NULL) return WB_NOMEM ("the text of a line");
    const bool bad = puts (dump) == EOF || fflush (stdout) != 0;
    wb_free_foreign (dump);
    return bad ? out_failed () : WB_OK;
}

wb_status wb_jsonl_print_ids (const wb_ids_t *ids, wb_buf_t *out) {
    wb_buf_clear (out);
    WB_TRY (wb_buf_put (out, "{\"ids\": [", 9));
    for (int64_t i = 0; i < ids->len; i++) {
        char number[16];
        int n = snprintf (number, sizeof number, "%s%d", i > 0 ? ", " : "", (int) ids->data[i]);
        WB_TRY (wb_buf_put (out, number, (size_t) n));
    }
    WB_TRY (wb_buf_put (out, "]}\n", 3));
    if (fwrite (out->data, 1, out->len, stdout) != out->len || fflush (stdout) != 0) return out_failed ();
    return WB_OK;
}
