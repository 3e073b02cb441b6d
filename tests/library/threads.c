/* threads TOKENIZER... - eight threads use each tokenizer at once, all day long; what they get is what one gets.
 * Against wabun/tokenizer.h alone; tests/cli/library.sh builds and runs it, also with ThreadSanitizer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wabun/tokenizer.h>

enum { THREADS = 8, ROUNDS = 40, ROOM = 1 << 16 };

static char text[8192];
static size_t length;

typedef struct task {
    const wabun_tokenizer *t;
    int32_t ids[ROOM];
    char back[ROOM];
    size_t count, bytes;
    int wrong;
} task_t;

static void once (task_t *k, unsigned flags) {
    wabun_stream *s;
    const char *part;
    size_t n, at = 0;
    if (wabun_encode (k->t, k->ids, ROOM, &k->count, text, length, flags) != WABUN_OK ||
        wabun_decode (k->t, k->back, ROOM, &k->bytes, k->ids, k->count) != WABUN_OK ||
        wabun_stream_open (&s, k->t) != WABUN_OK) {
        fprintf (stderr, "%s\n", wabun_error_text ());
        k->wrong++;
        return;
    }
    for (size_t i = 0; i <= k->count; i++) {
        wabun_status status =
            i < k->count ? wabun_stream_put (s, &part, &n, k->ids[i]) : wabun_stream_finish (s, &part, &n);
        k->wrong += status != WABUN_OK || n > k->bytes - at || memcmp (k->back + at, part, n) != 0;
        at += n;
    }
    wabun_stream_close (s);
    k->wrong += at != k->bytes;
    /* an error of this thread, with its own message */
    const int32_t outside = wabun_tokenizer_size (k->t) + (int32_t) (k->count % 7);
    char want[32];
    snprintf (want, sizeof want, "id %d ", (int) outside);
    k->wrong += wabun_tokenizer_piece (k->t, &part, &n, outside) != WABUN_DATA;
    k->wrong += strstr (wabun_error_text (), want) == NULL;
    k->wrong += wabun_tokenizer_find (k->t, "<|endoftext|>") >= wabun_tokenizer_size (k->t);
}

static void *work (void *arg) {
    for (int i = 0; i < ROUNDS; i++) once (arg, 0);
    return NULL;
}

int main (int argc, char **argv) {
    while (length + 200 < sizeof text)
        length += (size_t) snprintf (text + length, sizeof text - length,
                                     "山の道を%zu回歩いた。The wind, 👍 and (^_^)\n\t鬱\xff", length);
    int wrong = 0;
    task_t *one = calloc (THREADS + 1, sizeof *one);
    for (int a = 1; a < argc; a++) {
        wabun_tokenizer *t;
        pthread_t thread[THREADS];
        if (wabun_tokenizer_open (&t, argv[a]) != WABUN_OK) {
            fprintf (stderr, "%s\n", wabun_error_text ());
            return 1;
        }
        one[THREADS].t = t;
        once (&one[THREADS], 0);
        for (int i = 0; i < THREADS; i++) {
            one[i].t = t;
            if (pthread_create (&thread[i], NULL, work, &one[i]) != 0) return 1;
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join (thread[i], NULL);
            wrong += one[i].wrong + one[THREADS].wrong + (one[i].count != one[THREADS].count) +
                     (memcmp (one[i].ids, one[THREADS].ids, one[i].count * sizeof (int32_t)) != 0) +
                     (one[i].bytes != one[THREADS].bytes);
        }
        printf ("%s: %zu ids, %d wrong\n", wabun_tokenizer_kind (t), one[THREADS].count, wrong);
        wabun_tokenizer_close (t);
    }
    free (one);
    return wrong != 0;
}
