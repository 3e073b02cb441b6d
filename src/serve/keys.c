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

static wb_status add (wb_server_t *s, const char *text, size_t n, int64_t line) {
    while (n > 0 && isspace ((unsigned char) text[n - 1])) n--;
    while (n > 0 && isspace ((unsigned char) *text)) text++, n--;
    if (n == 0 || *text == '#') return WB_OK;
    if (n < SHORTEST)
        return WB_FAIL (WB_EDATA, "%s:%lld: a key has at least %d characters", s->o->keys, (long long) line, SHORTEST);
    if (!WB_GROW (s->keys, s->keys_cap, s->nkeys + 1)) return WB_NOMEM ("keys");
    s->keys[s->nkeys] = (wb_buf_t){0};
    return wb_buf_put (&s->keys[s->nkeys++], text, n);
}

wb_status wb_keys_read (wb_server_t *s) {
    wb_lines_t in;
    const char *text;
    size_t n;
    if (s->o->keys == NULL) return WB_OK;
    WB_TRY (wb_lines_open (&in, s->o->keys));
    wb_status status = wb_lines_next (&in, &text, &n, true);
    while (status == WB_OK && text != NULL) {
        status = add (s, text, n, in.number);
        if (status == WB_OK) status = wb_lines_next (&in, &text, &n, true);
    }
    wb_lines_close (&in);
    if (status == WB_OK && s->nkeys == 0) status = WB_FAIL (WB_EDATA, "%s: no key in it: write one a line", s->o->keys);
    return status;
}

void wb_keys_fini (wb_server_t *s) {
    for (int64_t i = 0; i < s->nkeys; i++) wb_buf_fini (&s->keys[i]);
    wb_free (s->keys);
}

bool wb_keys_fit (const wb_server_t *s, const char *authorization) {
    if (s->nkeys == 0) return true;
    if (authorization == NULL || strncasecmp (authorization, "Bearer ", 7) != 0) return false;
    const char *key = authorization + 7;
    while (*key == ' ') key++;
    const size_t n = strlen (key);
    unsigned fits = 0;
    for (int64_t i = 0; i < s->nkeys; i++) {
        const wb_buf_t *k = &s->keys[i];
        volatile unsigned differ = n != k->len;
        for (size_t j = 0; j < n; j++) differ |= (unsigned char) key[j] ^ (unsigned char) k->data[j % k->len];
        fits |= differ == 0;
    }
    return fits != 0;
}
