/* The kinds of tokenizers: which one a name, a file or a directory means; opening.
 *
 * A model directory says its kind in wabun-tokenizer.json; without one, the kind's own files say it. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "tokenizer/tokenizer_priv.h"
#include "wabun/json.h"

const wb_tokenizer_kind_t *const wb_tokenizer_kinds[] = {&wb_tokenizer_byte, &wb_tokenizer_ja_bpe, &wb_tokenizer_ja_swe,
                                                         &wb_tokenizer_sentencepiece, NULL};

const char *wb_tokenizer_known (char buf[WB_TOKENIZER_KNOWN]) {
    size_t n = (size_t) snprintf (buf, WB_TOKENIZER_KNOWN, "kinds known: ");
    for (int i = 0; wb_tokenizer_kinds[i] != NULL && n < WB_TOKENIZER_KNOWN; i++)
        n += (size_t) snprintf (buf + n, WB_TOKENIZER_KNOWN - n, "%s; ", wb_tokenizer_kinds[i]->what);
    if (n < WB_TOKENIZER_KNOWN)
        snprintf (buf + n, WB_TOKENIZER_KNOWN - n, "a model directory of wabun, which carries its tokenizer");
    return buf;
}

static const wb_tokenizer_kind_t *kind_called (const char *name) {
    for (int i = 0; wb_tokenizer_kinds[i] != NULL; i++)
        if (strcmp (wb_tokenizer_kinds[i]->name, name) == 0) return wb_tokenizer_kinds[i];
    return NULL;
}

static wb_status from_tag (wb_tokenizer_t **out, const wb_place_t *place) {
    char *path = wb_place_path (place, WB_TOKENIZER_TAG), *data, known[WB_TOKENIZER_KNOWN];
    size_t n;
    json_error_t at;
    if (path == NULL) return WB_NOMEM ("tokenizer");
    wb_status status = wb_place_read (&data, &n, place, WB_TOKENIZER_TAG);
    if (status == WB_OK) {
        json_t *tag = wb_json_load (data, n, 0, &at);
        const char *name = json_string_value (json_object_get (tag, "kind"));
        const wb_tokenizer_kind_t *kind = name != NULL ? kind_called (name) : NULL;
        wb_free (data);
        if (tag == NULL && at.text[0] == 0)
            status = WB_NOMEM ("%s", path);
        else if (tag == NULL)
            status = WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
        else if (name == NULL)
            status = WB_FAIL (WB_EDATA, "%s: no string \"kind\" in it", path);
        else if (kind == NULL)
            status = WB_FAIL (WB_EUSAGE, "%s: a tokenizer of kind \"%s\" is not known; %s", path, name,
                              wb_tokenizer_known (known));
        else
            status = kind->open (out, place);
        json_decref (tag);
    }
    wb_free (path);
    return status;
}

/* The first kind that says that it is there. */
static const wb_tokenizer_kind_t *kind_at (const wb_place_t *place) {
    for (int i = 0; wb_tokenizer_kinds[i] != NULL; i++)
        if (wb_tokenizer_kinds[i]->probe (place)) return wb_tokenizer_kinds[i];
    return NULL;
}

/* A file that was named says more than the tag beside it. */
static bool tagged (const wb_place_t *place) { return place->file == NULL && wb_place_has (place, WB_TOKENIZER_TAG); }

wb_status wb_tokenizer_open (wb_tokenizer_t **out, const wb_place_t *place) {
    *out = NULL;
    if (tagged (place)) return from_tag (out, place);
    const wb_tokenizer_kind_t *kind = kind_at (place);
    if (kind != NULL) return kind->open (out, place);
    char known[WB_TOKENIZER_KNOWN];
    const char *spec = place->spec;
    if (place->memory) return WB_FAIL (WB_EUSAGE, "%s: no tokenizer; %s", spec, wb_tokenizer_known (known));
    if (!wb_file_exists (spec))
        return WB_FAIL (WB_EIO, "tokenizer %s: no such file or directory; %s", spec[0] != 0 ? spec : "\"\"",
                        wb_tokenizer_known (known));
    if (!wb_file_is_dir (spec))
        return WB_FAIL (WB_EUSAGE, "tokenizer %s: this kind of file is not known; %s", spec,
                        wb_tokenizer_known (known));
    return WB_FAIL (WB_EUSAGE, "tokenizer %s: no tokenizer in this directory; %s", spec, wb_tokenizer_known (known));
}

wb_status wb_tokenizer_probe (bool *found, const char *spec) {
    wb_place_t place;
    const wb_status status = wb_place_init (&place, spec);
    *found = status == WB_OK && (tagged (&place) || kind_at (&place) != NULL);
    wb_place_fini (&place);
    return status;
}

wb_status wb_tokenizer_new (wb_tokenizer_t **out, const char *spec) {
    wb_place_t place;
    *out = NULL;
    wb_status status = wb_place_init (&place, spec);
    if (status == WB_OK) status = wb_tokenizer_open (out, &place);
    wb_place_fini (&place);
    return status;
}
