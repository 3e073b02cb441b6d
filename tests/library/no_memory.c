/* no_memory TOKENIZER... - every allocation in turn fails, in opening, encoding and decoding: each time the answer is
 * WABUN_MEMORY, or what it is with memory.  For glibc, whose malloc this program's stands in front of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wabun/tokenizer.h>

extern void *__libc_malloc (size_t n);
extern void *__libc_calloc (size_t n, size_t size);
extern void *__libc_realloc (void *p, size_t n);

static long left = -1; /* allocations until the one that fails; below 0: none does */
static int failed;

static int fails (void) {
    if (left < 0 || left-- > 0) return 0;
    failed = 1;
    errno = ENOMEM;
    return 1;
}
void *malloc (size_t n) { return fails () ? NULL : __libc_malloc (n); }
void *calloc (size_t n, size_t size) { return fails () ? NULL : __libc_calloc (n, size); }
void *realloc (void *p, size_t n) { return fails () ? NULL : __libc_realloc (p, n); }

static const char text[] =
    "日本語の文章、English text.\n\tタブ 12時 http://a.b/ 1千円\n👍🏻(^_^)鬱\xff";

static wabun_status use (const char *path) {
    wabun_tokenizer *t = NULL;
    wabun_stream *s = NULL;
    int32_t ids[1000];
    char back[4000];
    size_t n = 0, bytes;
    const char *part;
    wabun_status status = wabun_tokenizer_open (&t, path);
    if (status == WABUN_OK) status = wabun_encode (t, ids, 1000, &n, text, sizeof text - 1, WABUN_CLEAN);
    if (status == WABUN_OK) status = wabun_decode (t, back, sizeof back, &bytes, ids, n);
    if (status == WABUN_OK) status = wabun_stream_open (&s, t);
    if (status == WABUN_OK) status = wabun_stream_put (s, &part, &bytes, ids[0]);
    left = -1;
    wabun_stream_close (s);
    wabun_tokenizer_close (t);
    return status;
}

int main (int argc, char **argv) {
    int wrong = 0;
    for (int a = 1; a < argc; a++) {
        long k = 0, step = 1, refused = 0;
        if (use (argv[a]) != WABUN_OK) {
            fprintf (stderr, "%s: %s\n", argv[a], wabun_error_text ());
            return 1;
        }
        for (failed = 1; failed; k += step) {
            failed = 0;
            left = k;
            const wabun_status status = use (argv[a]);
            refused += status == WABUN_MEMORY;
            /* jansson does not always know why it cannot go on */
            if (status != WABUN_MEMORY && status != WABUN_OK && strstr (wabun_error_text (), "not JSON") == NULL) {
                fprintf (stderr, "%s: allocation %ld fails: %d: %s\n", argv[a], k, (int) status, wabun_error_text ());
                wrong++;
            }
            if (k > 300) step = 1 + k / 50; /* the first one by one, then some */
        }
        printf ("%s: %ld allocations, %ld times WABUN_MEMORY\n", argv[a], k, refused);
        if (refused == 0) wrong++;
    }
    return wrong != 0;
}
