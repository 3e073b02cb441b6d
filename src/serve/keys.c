/* Bearer tokens.
 *
 * A comparison looks at every byte of every token, whatever differs, so that its time says nothing of them but how many
 * there are and how long the one was that came.
 *
 * Not here: which answers need one (http.c). */
#include "config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "serve/serve_priv.h"

enum { SHORTEST = 8 };

static wb_status add (wb_keys_t *k, const char *path, const char *text, size_t n, int64_t line) {
    while (n > 0 && isspace ((unsigned char) text[n - 1])) n--;
    while (n > 0 && isspace ((unsigned char) *text)) text++, n--;
    if (n == 0 || *text == '#') return WB_OK;
    if (n < SHORTEST)
        return WB_FAIL (WB_EDATA, "%s:%lld: a key has at least %d characters", path, (long long) line, SHORTEST);
    if (!WB_GROW (k->list, k->cap, k->n + 1)) return WB_NOMEM ("keys");
    k->list[k->n] = (wb_buf_t){0};
    return wb_buf_put (&k->list[k->n++], text, n);
}

wb_status wb_keys_read (wb_keys_t *k, const char *path) {
    wb_lines_t in;
    const char *text;
    size_t n;
    *k = (wb_keys_t){0};
    if (path == NULL) return WB_OK;
    WB_TRY (wb_lines_open (&in, path));
    wb_status status = wb_lines_next (&in, &text, &n, true);
    while (status == WB_OK && text != NULL) {
        status = add (k, path, text, n, in.number);
        if (status == WB_OK) status = wb_lines_next (&in, &text, &n, true);
    }
    wb_lines_close (&in);
    if (status == WB_OK && k->n == 0) status = WB_FAIL (WB_EDATA, "%s: no key in it: write one a line", path);
    if (status != WB_OK) wb_keys_fini (k);
    return status;
}

void wb_keys_fini (wb_keys_t *k) {
    for (int64_t i = 0; i < k->n; i++) wb_buf_fini (&k->list[i]);
    wb_free (k->list);
    *k = (wb_keys_t){0};
}

bool wb_keys_fit (wb_server_t *s, const char *authorization, uint64_t *client) {
    if (s->o->keys == NULL) return true;
    if (authorization == NULL || strncasecmp (authorization, "Bearer ", 7) != 0) return false;
    const char *key = authorization + 7;
    while (*key == ' ') key++;
    const size_t n = strlen (key);
    unsigned fits = 0;
    *client = wb_hash64 (key, n);
    pthread_mutex_lock (&s->lock); /* they may be read anew */
    for (int64_t i = 0; i < s->keys.n; i++) {
        const wb_buf_t *k = &s->keys.list[i];
        volatile unsigned differ = n != k->len;
        for (size_t j = 0; j < n; j++) differ |= (unsigned char) key[j] ^ (unsigned char) k->data[j % k->len];
        fits |= differ == 0;
    }
    pthread_mutex_unlock (&s->lock);
    return fits != 0;
}
