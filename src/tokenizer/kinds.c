/* The kinds of tokenizers: which one a name, a file or a directory means; opening and saving.
 *
 * A model directory says its kind in wabun-tokenizer.json; without one, the kind's own files say it. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "tokenizer/tokenizer_priv.h"

const wb_tokenizer_kind_t *const wb_tokenizer_kinds[] = {&wb_tokenizer_byte, &wb_tokenizer_ja_bpe, NULL};

bool wb_tokenizer_has_file (const char *dir, const char *name) {
    char *path = wb_format ("%s/%s", dir, name);
    const bool found = path != NULL && wb_file_exists (path);
    wb_free (path);
    return found;
}

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

static wb_status from_tag (wb_tokenizer_t **out, const char *dir) {
    char *path = wb_format ("%s/" WB_TOKENIZER_TAG, dir), *data, known[WB_TOKENIZER_KNOWN];
    size_t n;
    json_error_t at;
    if (path == NULL) return WB_NOMEM ("tokenizer");
    wb_status status = wb_file_read (&data, &n, path);
    if (status == WB_OK) {
        json_t *tag = json_loadb (data, n, 0, &at);
        const char *name = json_string_value (json_object_get (tag, "kind"));
        const wb_tokenizer_kind_t *kind = name != NULL ? kind_called (name) : NULL;
        wb_free (data);
        if (tag == NULL)
            status = WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
        else if (name == NULL)
            status = WB_FAIL (WB_EDATA, "%s: no string \"kind\" in it", path);
        else if (kind == NULL)
            status = WB_FAIL (WB_EUSAGE, "%s: a tokenizer of kind \"%s\" is not known; %s", path, name,
                              wb_tokenizer_known (known));
        else
            status = kind->open (out, dir);
        json_decref (tag);
    }
    wb_free (path);
    return status;
}

static bool probe (const char *spec) {
    if (wb_tokenizer_has_file (spec, WB_TOKENIZER_TAG)) return true;
    for (int i = 0; wb_tokenizer_kinds[i] != NULL; i++)
        if (wb_tokenizer_kinds[i]->probe (spec)) return true;
    return false;
}

bool wb_tokenizer_probe (const char *spec) {
    char *dir = wb_dir_latest (spec);
    const bool found = dir != NULL && probe (dir);
    wb_free (dir);
    return found;
}

static wb_status open_spec (wb_tokenizer_t **out, const char *spec) {
    if (wb_tokenizer_has_file (spec, WB_TOKENIZER_TAG)) return from_tag (out, spec);
    for (int i = 0; wb_tokenizer_kinds[i] != NULL; i++)
        if (wb_tokenizer_kinds[i]->probe (spec)) return wb_tokenizer_kinds[i]->open (out, spec);
    char known[WB_TOKENIZER_KNOWN];
    if (!wb_file_exists (spec))
        return WB_FAIL (WB_EIO, "tokenizer %s: no such file or directory; %s", spec[0] != 0 ? spec : "\"\"",
                        wb_tokenizer_known (known));
    if (!wb_file_is_dir (spec))
        return WB_FAIL (WB_EUSAGE, "tokenizer %s: this kind of file is not known; %s", spec,
                        wb_tokenizer_known (known));
    return WB_FAIL (WB_EUSAGE, "tokenizer %s: no tokenizer in this directory; %s", spec, wb_tokenizer_known (known));
}

wb_status wb_tokenizer_new (wb_tokenizer_t **out, const char *spec) {
    *out = NULL;
    char *dir = wb_dir_latest (spec);
    wb_status status = dir != NULL ? open_spec (out, dir) : WB_NOMEM ("tokenizer");
    wb_free (dir);
    return status;
}

wb_status wb_tokenizer_save (const wb_tokenizer_t *t, const char *dir) {
    WB_TRY (t->kind->save (t, dir));
    char text[64], *path = wb_format ("%s/" WB_TOKENIZER_TAG, dir);
    if (path == NULL) return WB_NOMEM ("tokenizer");
    const int n = snprintf (text, sizeof text, "{\"kind\": \"%s\"}\n", t->kind->name);
    wb_status status = wb_file_write (path, text, (size_t) n);
    wb_free (path);
    return status;
}

const char *wb_tokenizer_file (const wb_tokenizer_t *t, int i) {
    const int own = (int) (sizeof t->kind->files / sizeof *t->kind->files);
    if (i == 0) return WB_TOKENIZER_TAG;
    return i - 1 < own ? t->kind->files[i - 1] : NULL;
}
