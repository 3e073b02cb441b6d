/* tokenize TOKENIZER TEXT - the ids of a text, and the text of the ids.
 *     cc tokenize.c $(pkg-config --cflags --libs wabun-tokenizer) -o tokenize */
#include <stdio.h>
#include <string.h>
#include <wabun/tokenizer.h>

int main (int argc, char **argv) {
    wabun_tokenizer *t = NULL;
    int32_t ids[1000];
    char text[4000];
    size_t n = 0, bytes = 0;
    if (argc != 3) return 2;
    if (wabun_tokenizer_open (&t, argv[1]) != WABUN_OK ||
        wabun_encode (t, ids, 1000, &n, argv[2], strlen (argv[2]), 0) != WABUN_OK ||
        wabun_decode (t, text, sizeof text, &bytes, ids, n) != WABUN_OK) {
        fprintf (stderr, "tokenize: %s\n", wabun_error_text ());
        wabun_tokenizer_close (t);
        return 1;
    }
    for (size_t i = 0; i < n; i++) printf ("%d%c", (int) ids[i], i + 1 < n ? ' ' : '\n');
    printf ("%.*s\n", (int) bytes, text);
    wabun_tokenizer_close (t);
    return 0;
}
