/* The vocabulary of ja-bpe, read from its two files; the tokenizer has checked them already.
 *
 * Of the keys of emoji.json only those that can ever match are kept: not one that holds an earlier key, which is
 * replaced before it, or a character that has become a tag or another one by then. */
#include "config.h"

#include <string.h>

#include "convert/ja_bpe_files.h"
#include "wabun/json.h"

static wb_status split_words (wb_ja_bpe_files_t *f, size_t bytes) {
    size_t n = 0;
    int lines = 1;
    for (size_t i = 0; i < bytes; i++) { /* as the tokenizer folds them */
        char c = f->text[i];
        if (c == '\r' && i + 1 < bytes && f->text[i + 1] == '\n') continue;
        if (c == '\r') c = '\n';
        lines += c == '\n';
        f->text[n++] = c;
    }
    f->words = wb_calloc ((size_t) lines, sizeof *f->words);
    if (f->words == NULL) return WB_NOMEM ("vocabulary");
    for (size_t at = 0; f->nwords < lines; f->nwords++) {
        const char *end = memchr (f->text + at, '\n', n - at);
        const size_t length = end != NULL ? (size_t) (end - f->text) - at : n - at;
        f->words[f->nwords] = (wb_span_t){f->text + at, length};
        if (length == 1) f->one[(unsigned char) f->text[at]] = true;
        at += length + 1;
    }
    for (int id = 0; id < f->nwords; id++) {
        const int byte = wb_ja_bpe_byte (f, id);
        if (byte >= 0) f->bytes[byte] = true;
    }
    return WB_OK;
}

int wb_ja_bpe_byte (const wb_ja_bpe_files_t *f, int id) {
    const wb_span_t *w = &f->words[id];
    int byte;
    char text[16];
    if (w->n < 9 || w->n > 11 || memcmp (w->s, "<|byte", 6) != 0) return -1;
    snprintf (text, sizeof text, "%.*s", (int) w->n, w->s);
    if (sscanf (text, "<|byte%3d", &byte) != 1 || byte < 0 || byte > 255) return -1;
    char plain[16];
    snprintf (plain, sizeof plain, "<|byte%d|>", byte);
    return strcmp (plain, text) == 0 ? byte : -1;
}

wb_span_t wb_ja_bpe_face (const wb_ja_bpe_files_t *f, int id) {
    static const struct { const char *tag, *face; } blanks[] = {{"<SP>", " "}, {"<BR>", "\n"}, {"<TAB>", "\t"}};
    const wb_span_t *w = &f->words[id];
    char name[32];
    for (int i = 0; i < 3; i++)
        if (w->n == strlen (blanks[i].tag) && memcmp (w->s, blanks[i].tag, w->n) == 0)
            return (wb_span_t){blanks[i].face, 1};
    if (w->n < 9 || w->n >= sizeof name || memcmp (w->s, "<|emoji", 7) != 0) return (wb_span_t){0};
    snprintf (name, sizeof name, "%.*s", (int) w->n, w->s);
    const json_t *face = json_object_get (json_object_get (f->json, "emoji_inv"), name);
    return json_is_string (face) ? (wb_span_t){json_string_value (face), json_string_length (face)} : (wb_span_t){0};
}

bool wb_ja_bpe_found (const wb_ja_bpe_files_t *f, int id) {
    const wb_span_t *w = &f->words[id];
    int characters = 0;
    for (size_t i = 0; i < w->n; i++) characters += ((unsigned char) w->s[i] & 0xc0) != 0x80;
    return w->n > 0 && (w->s[0] == '<' || characters <= 2);
}

/* ---- emoji ----------------------------------------------------------------------------------------------------- */

static bool holds (const wb_span_t *a, const char *s, size_t n) {
    return a->n >= n && memmem (a->s, a->n, s, n) != NULL;
}

static bool can_match (const wb_ja_bpe_files_t *f, const wb_span_t *key) {
    static const char *const gone[] = {" ", "\t", "\r", "\n", "\xe3\x80\x80", "\xe2\x80\x94", "\xe2\x88\x92"};
    if (key->n == 0) return false;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (holds (key, gone[i], strlen (gone[i]))) return false;
    for (int i = 0; i < f->nkeys; i++)
        if (holds (key, f->keys[i].key.s, f->keys[i].key.n)) return false;
    return true;
}

/* Can an occurrence of a share a part, or all, of one of b? */
static bool can_overlap (const wb_span_t *a, const wb_span_t *b) {
    if (holds (a, b->s, b->n) || holds (b, a->s, a->n)) return true;
    for (size_t n = 1; n < a->n && n < b->n; n++)
        if (memcmp (a->s + a->n - n, b->s, n) == 0 || memcmp (b->s + b->n - n, a->s, n) == 0) return true;
    return false;
}

static void check_overlap (wb_ja_bpe_files_t *f) {
    const wb_span_t blanks[] = {{"<SP>", 4}, {"<BR>", 4}, {"<TAB>", 5}};
    const wb_span_t *last = NULL;
    for (int i = 0; i < f->nkeys && !f->overlap; i++) {
        for (int k = 0; k < 3; k++) f->overlap = f->overlap || can_overlap (&f->keys[i].key, &blanks[k]);
        if (last != NULL && wb_span_equal (last, &f->keys[i].tag)) continue;
        last = &f->keys[i].tag;
        for (int k = 0; k < f->nkeys && !f->overlap; k++) f->overlap = can_overlap (&f->keys[k].key, last);
    }
}

static wb_status take_keys (wb_ja_bpe_files_t *f) {
    const char *key;
    json_t *tag, *all = json_object_get (f->json, "emoji");
    f->keys = wb_calloc (json_object_size (all) + 1, sizeof *f->keys);
    if (f->keys == NULL) return WB_NOMEM ("vocabulary");
    json_object_foreach (all, key, tag) {
        wb_emoji_key_t *k = &f->keys[f->nkeys];
        *k = (wb_emoji_key_t){.key = {key, strlen (key)}, .tag = {json_string_value (tag), json_string_length (tag)}};
        if (k->tag.s != NULL && can_match (f, &k->key)) f->nkeys++;
    }
    check_overlap (f);
    return WB_OK;
}

static wb_status read_emoji (wb_ja_bpe_files_t *f, const char *path) {
    char *text;
    size_t n;
    json_error_t why;
    WB_TRY (wb_file_read (&text, &n, path));
    f->json = wb_json_load (text, n, 0, &why);
    wb_free (text);
    return f->json != NULL ? take_keys (f) : WB_FAIL (WB_EDATA, "%s:%d: not JSON: %.100s", path, why.line, why.text);
}

wb_status wb_ja_bpe_files_read (wb_ja_bpe_files_t *f, const char *dir) {
    size_t n = 0;
    *f = (wb_ja_bpe_files_t){0};
    char *words = wb_format ("%s/ja-bpe.txt", dir), *emoji = wb_format ("%s/emoji.json", dir);
    wb_status status = words != NULL && emoji != NULL ? WB_OK : WB_NOMEM ("vocabulary");
    if (status == WB_OK) status = wb_file_read (&f->text, &n, words);
    if (status == WB_OK) status = split_words (f, n);
    if (status == WB_OK) status = read_emoji (f, emoji);
    wb_free (words);
    wb_free (emoji);
    return status;
}

void wb_ja_bpe_files_fini (wb_ja_bpe_files_t *f) {
    wb_free (f->text);
    wb_free (f->words);
    wb_free (f->keys);
    json_decref (f->json);
    *f = (wb_ja_bpe_files_t){0};
}
