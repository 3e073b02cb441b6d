/* A line of JSON: its text, and what it says about it.
 *
 * Not done here: finding lines (lines.c). */
#include "config.h"

#include <string.h>

#include "corpus/extract.h"
#include "corpus/jsonl.h"
#include "wabun/json.h"

/* The first of these fields that is a string, or a number, into *out, if there is one. */
static wb_status take_field (wb_buf_t *out, const json_t *line, const char *const *names) {
    for (; *names != NULL; names++) {
        const json_t *v = json_object_get (line, *names);
        char number[32];
        const char *s = json_string_value (v);
        size_t n = json_string_length (v);
        if (json_is_number (v)) n = (size_t) snprintf (number, sizeof number, "%.15g", json_number_value (v));
        if (json_is_number (v)) s = number;
        if (s == NULL || n == 0) continue;
        wb_buf_clear (out);
        return wb_buf_put (out, s, n);
    }
    return WB_OK;
}

static wb_status take_fields (wb_document_t *d, const json_t *line, const char *id_field) {
    const char *const ids[] = {id_field != NULL ? id_field : "id", id_field != NULL ? NULL : "url", "title", NULL};
    const struct {
        wb_buf_t *to;
        const char *names[3];
    } fields[] = {{&d->genre, {"genre"}}, {&d->source, {"source"}}, {&d->licence, {"licence", "license"}}};
    WB_TRY (take_field (&d->id, line, ids));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        WB_TRY (take_field (fields[i].to, line, fields[i].names));
    return WB_OK;
}

wb_status wb_form_json (wb_extractor_t *x, wb_document_t *d, bool *got, wb_complaint_t *c, const char *s, size_t n) {
    wb_jsonl_complaint_t why;
    const char *field = x->o.text_field != NULL ? x->o.text_field : "text";
    json_t *line = wb_jsonl_parse (s, n, true, &why);
    size_t bytes = 0;
    const char *text = line != NULL ? wb_jsonl_text (line, field, &bytes, &why) : NULL;
    wb_status status = wb_json_status (line);
    *got = text != NULL;
    if (status == WB_OK && text == NULL)
        wb_refuse (c, line == NULL ? "not JSON" : "no text field", "%s", why.text);
    else if (status == WB_OK)
        status = take_fields (d, line, x->o.id_field);
    const wb_form form =
        x->o.text_form == WB_FORM_AUTO || x->o.text_form == WB_FORM_JSON ? WB_FORM_TEXT : x->o.text_form;
    if (status == WB_OK && *got) status = wb_extract_form (x, d, got, c, form, text, bytes);
    json_decref (line);
    return status;
}
