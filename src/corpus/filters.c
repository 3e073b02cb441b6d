/* Filters: the rows of the table, and the user's word list.
 *
 * Words are looked for at every character: a bit for each hash of three bytes says whether some word begins so, then
 * the words of that hash are compared.  Not done here: measuring (measure.c); word boundaries, which Japanese has not.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/filters.h"

#define ROW(option_, reason_, measure_, least_, fallback, max, unit, help, source_) \
    {.option = #option_,                                                            \
     .reason = reason_,                                                             \
     .source = source_,                                                             \
     .measure = offsetof (wb_measures_t, measure_),                                 \
     .least = least_},
const wb_filter_t wb_filters[WB_FILTERS_N] = {WB_FILTERS (ROW)};
_Static_assert(WB_FILTERS_N <= WB_FILTERS_MAX, "room for the bounds");

const char *wb_reason_name (int reason) {
    static const char *const others[] = {"licence", "exact duplicate", "near duplicate", "only repeated lines"};
    return reason < WB_FILTERS_N ? wb_filters[reason].reason : others[reason - WB_FILTERS_N];
}

int wb_filters_pass (const wb_measures_t *m, const double bounds[WB_FILTERS_MAX]) {
    for (int i = 0; i < WB_FILTERS_N; i++) {
        double x;
        memcpy (&x, (const char *) m + wb_filters[i].measure, sizeof x);
        if (wb_filters[i].least ? x < bounds[i] : x > bounds[i]) return i;
    }
    return WB_KEPT;
}

/* ---- word list --------------------------------------------------------------------------------------------------- */

enum { BUCKETS = 1 << 16 };

struct wb_words {
    char *text;        /* the file */
    const char **word; /* [n] sorted by bucket */
    size_t *bytes;     /* [n] */
    int64_t n;
    int32_t first[BUCKETS + 1]; /* words of bucket b are first[b] .. first[b + 1] - 1; short ones are in `few` */
    const char *few[256];       /* words of one or two bytes, by their first byte; NULL: none */
};

static unsigned bucket (const char *s) {
    uint32_t x;
    x = (unsigned char) s[0] | (uint32_t) (unsigned char) s[1] << 8 | (uint32_t) (unsigned char) s[2] << 16;
    return x * 2654435761u >> 16;
}

static int by_bucket (const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    const unsigned p = bucket (*x), q = bucket (*y);
    return p != q ? (p > q) - (p < q) : strcmp (*x, *y);
}

/* The file as UTF-8, with a 0 byte at its end. */
static wb_status read_words (wb_words_t *w, size_t *bytes, const char *path) {
    const wb_text_options_t o = {0};
    wb_buf_t text = {0};
    char *data;
    size_t n;
    WB_TRY (wb_file_read (&data, &n, path));
    wb_status status = wb_text_read (&text, path, data, n, &o);
    if (status == WB_OK) status = wb_buf_put (&text, "", 0);
    wb_free (data);
    w->text = text.data;
    *bytes = text.len;
    return status;
}

wb_status wb_words_new (wb_words_t **out, const char *path) {
    size_t bytes;
    wb_words_t *w = wb_calloc (1, sizeof *w);
    *out = w;
    if (w == NULL) return WB_NOMEM ("the word list");
    WB_TRY (read_words (w, &bytes, path));
    int64_t lines = 1;
    for (size_t i = 0; i < bytes; i++) lines += w->text[i] == '\n';
    w->word = wb_calloc ((size_t) lines, sizeof *w->word);
    w->bytes = wb_calloc ((size_t) lines, sizeof *w->bytes);
    if (w->word == NULL || w->bytes == NULL) return WB_NOMEM ("the word list");
    for (char *s = w->text + wb_bom (w->text, bytes), *next; s != NULL && *s != 0; s = next) {
        next = strchr (s, '\n');
        if (next != NULL) *next++ = 0;
        s[strcspn (s, "\r")] = 0;
        if (strlen (s) >= 3)
            w->word[w->n++] = s;
        else if (s[0] != 0)
            w->few[(unsigned char) s[0]] = s;
    }
    qsort (w->word, (size_t) w->n, sizeof *w->word, by_bucket);
    for (int64_t i = 0; i < w->n; i++) {
        w->bytes[i] = strlen (w->word[i]);
        w->first[bucket (w->word[i]) + 1] = (int32_t) i + 1;
    }
    for (int b = 1; b <= BUCKETS; b++)
        if (w->first[b] < w->first[b - 1]) w->first[b] = w->first[b - 1];
    bool any = w->n > 0;
    for (int i = 0; i < 256; i++) any = any || w->few[i] != NULL;
    return any ? WB_OK : WB_FAIL (WB_EDATA, "%s: no word in it: it has a word on each line", path);
}

int64_t wb_words_count (const wb_words_t *w, const char *s, size_t n) {
    int64_t found = 0;
    if (w == NULL) return 0;
    for (size_t i = 0; i < n; i++) {
        const char *few = w->few[(unsigned char) s[i]];
        found += few != NULL && (few[1] == 0 || (i + 1 < n && few[1] == s[i + 1]));
        if (i + 3 > n) continue;
        const unsigned b = bucket (s + i);
        for (int32_t k = w->first[b]; k < w->first[b + 1]; k++)
            if (w->bytes[k] <= n - i && memcmp (w->word[k], s + i, w->bytes[k]) == 0) {
                found++;
                break;
            }
    }
    return found;
}

void wb_words_destroy (wb_words_t *w) {
    if (w == NULL) return;
    wb_free (w->text);
    wb_free (w->word);
    wb_free (w->bytes);
    wb_free (w);
}
