/* What commands need of tokenizers beside ids: saving one, and the warning that a text is in another encoding.
 *
 * Not in the library of tokenizers, which writes nothing. */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

static wb_status save_file (const char *dir, const char *name, const void *data, size_t n) {
    char *path = wb_format ("%s/%s", dir, name);
    if (path == NULL) return WB_NOMEM ("vocabulary");
    wb_status status = wb_file_write (path, data, n);
    wb_free (path);
    return status;
}

wb_status wb_tokenizer_save (const wb_tokenizer_t *t, const char *dir) {
    char text[64];
    for (int i = 0; wb_tokenizer_file (t, i + 1) != NULL; i++) {
        size_t n;
        const char *data = t->kind->file (t, &n, i);
        WB_TRY (save_file (dir, t->kind->files[i], data, n));
    }
    const int n = snprintf (text, sizeof text, "{\"kind\": \"%s\"}\n", t->kind->name);
    return save_file (dir, WB_TOKENIZER_TAG, text, (size_t) n);
}

const char *wb_tokenizer_file (const wb_tokenizer_t *t, int i) {
    const int own = (int) (sizeof t->kind->files / sizeof *t->kind->files);
    if (i == 0) return WB_TOKENIZER_TAG;
    return i - 1 < own ? t->kind->files[i - 1] : NULL;
}

int64_t wb_text_stray (const char *text, size_t n) {
    const unsigned char *u = (const unsigned char *) text;
    int64_t stray = 0;
    for (size_t i = 0; i < n;) {
        if (u[i] >= 0xe1 && u[i] < 0xf0 && n - i > 2 && (u[i + 1] & 0xc0) == 0x80 && (u[i + 2] & 0xc0) == 0x80) {
            i += 3; /* nearly everything */
            continue;
        }
        const size_t want = u[i] == 0     ? 0
                            : u[i] < 0x80 ? 1
                            : u[i] < 0xc2 ? 0
                            : u[i] < 0xe0 ? 2
                            : u[i] < 0xf0 ? 3
                            : u[i] < 0xf5 ? 4
                                          : 0;
        size_t k = 1;
        while (k < want && i + k < n && (u[i + k] & 0xc0) == 0x80) k++;
        if (k == want)
            i += k;
        else if (want > k && i + k == n)
            break; /* the last character is not finished */
        else
            i++, stray++;
    }
    return stray;
}

bool wb_text_garbled (int64_t stray, int64_t bytes) { return stray > 1 && stray > bytes / 100; }

void wb_text_warn (const char *name, const char *text, size_t n, bool *told) {
    if (told != NULL && *told) return;
    if (!wb_text_garbled (wb_text_stray (text, n), (int64_t) n)) return;
    wb_warn (WB_NOT_UTF8, name);
    if (told != NULL) *told = true;
}
