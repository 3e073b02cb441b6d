/* The library of tokenizers by its public header: every kind, from files and from memory, streams, wrong arguments,
 * wrong vocabularies, threads. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "t.h"
#include "wabun/tokenizer.h"
#include "wabun/vocab.h"

/* The call gives this status, and a failed one has something to say. */
#define GIVES(expr, want) gives ((expr), (want), #expr, __LINE__)
static bool gives (wabun_status got, wabun_status want, const char *what, int line) {
    const bool told = got == WABUN_OK || wabun_error_text ()[0] != 0;
    return T_OK (got == want && told, "line %d: %s: %d, expected %d: %s", line, what, (int) got, (int) want,
                 wabun_error_text ());
}

static const char sample[] = "日本語の文章、English text.\n\tタブ　と全角 12時 http://a.b/ "
                             "1千円\r\n👍🏻(^_^)鬱<BR>\0nul\xff\xe3\x81";
enum { SAMPLE = sizeof sample - 1, ROOM = 4096 };

/* Streamed, the text is the same. */
static void check_stream (const wabun_tokenizer *t, const int32_t *ids, size_t n, const char *text, size_t bytes) {
    wabun_stream *s;
    char got[ROOM];
    size_t len = 0, k;
    const char *part;
    if (!GIVES (wabun_stream_open (&s, t), WABUN_OK)) return;
    for (int round = 0; round < 2; round++) { /* finish begins another text */
        len = 0;
        for (size_t i = 0; i < n; i++) {
            GIVES (wabun_stream_put (s, &part, &k, wabun_tokenizer_size (t)), WABUN_DATA); /* and changes nothing */
            GIVES (wabun_stream_put (s, &part, &k, -1), WABUN_USAGE);
            if (!GIVES (wabun_stream_put (s, &part, &k, ids[i]), WABUN_OK)) break;
            if (len + k <= ROOM) memcpy (got + len, part, k);
            len += k;
        }
        GIVES (wabun_stream_finish (s, &part, &k), WABUN_OK);
        if (len + k <= ROOM) memcpy (got + len, part, k);
        len += k;
        T_OK (len == bytes && memcmp (got, text, len) == 0, "%s, round %d: a stream gives %zu bytes, not the %zu",
              wabun_tokenizer_kind (t), round, len, bytes);
    }
    wabun_stream_close (s);
}

static void check_text (const wabun_tokenizer *t, const char *in, size_t n, unsigned flags) {
    int32_t ids[ROOM], fewer[ROOM];
    char text[ROOM];
    size_t count = 99, bytes = 99, need;
    if (!GIVES (wabun_encode (t, ids, ROOM, &count, in, n, flags), WABUN_OK)) return;
    for (size_t i = 0; i < count; i++) T_OK (ids[i] >= 0 && ids[i] < wabun_tokenizer_size (t), "id %d", (int) ids[i]);
    T_OK (n > 0 || count == 0, "no text has %zu ids", count);
    if (!GIVES (wabun_decode (t, text, ROOM, &bytes, ids, count), WABUN_OK)) return;
    check_stream (t, ids, count, text, bytes);
    GIVES (wabun_encode (t, fewer, count, &need, in, n, flags), WABUN_OK); /* just large enough */
    T_OK (need == count && memcmp (fewer, ids, count * sizeof *ids) == 0, "the same ids in a smaller array");
    if (count > 0) {
        GIVES (wabun_encode (t, fewer, count - 1, &need, in, n, flags), WABUN_TOO_SMALL);
        T_OK (need == count, "%zu are needed, not %zu", count, need);
        GIVES (wabun_encode (t, NULL, 0, &need, in, n, flags), WABUN_TOO_SMALL);
        T_OK (need == count, "%zu are needed, not %zu", count, need);
    }
    if (bytes > 0) {
        GIVES (wabun_decode (t, text, bytes - 1, &need, ids, count), WABUN_TOO_SMALL);
        T_OK (need == bytes, "%zu bytes are needed, not %zu", bytes, need);
        GIVES (wabun_decode (t, NULL, 0, &need, ids, count), WABUN_TOO_SMALL);
    }
}

/* What is true of any tokenizer. */
static void check_any (const wabun_tokenizer *t, const char *kind) {
    const int32_t size = wabun_tokenizer_size (t), eot = wabun_tokenizer_eot (t);
    const int32_t wrong[] = {0, -1, 0, size, 0, INT32_MAX, 0, INT32_MIN};
    const char *piece;
    char text[ROOM];
    size_t n;
    T_OK (strcmp (wabun_tokenizer_kind (t), kind) == 0, "kind %s, expected %s", wabun_tokenizer_kind (t), kind);
    T_OK (eot >= 0 && eot < size && wabun_tokenizer_unknown (t) < size, "eot %d of %d", (int) eot, (int) size);
    for (unsigned flags = 0; flags <= WABUN_CLEAN; flags++) {
        check_text (t, sample, SAMPLE, flags);
        check_text (t, "", 0, flags);
        check_text (t, NULL, 0, flags);
        check_text (t, "\0\0", 2, flags);
        for (int c = 0; c < 256; c++) check_text (t, (const char[]){(char) c}, 1, flags);
    }
    for (int i = 0; i < 4; i++) {
        GIVES (wabun_decode (t, text, ROOM, &n, wrong + 2 * i, 2), WABUN_DATA);
        GIVES (wabun_tokenizer_piece (t, &piece, &n, wrong[2 * i + 1]), WABUN_DATA);
    }
    for (int32_t id = 0; id < size; id++)
        if (!GIVES (wabun_tokenizer_piece (t, &piece, &n, id), WABUN_OK)) break;
    T_OK (wabun_tokenizer_find (t, "") < 0 || n == 0, "the empty name");
    T_OK (wabun_tokenizer_find (t, NULL) < 0 && wabun_tokenizer_find (t, "no such piece") < 0,
          "a name that is not there");
    T_OK (wabun_tokenizer_find (t, "\xff\xfe") < 0, "a name that is not UTF-8");
    GIVES (wabun_encode (t, NULL, 0, &n, sample, SAMPLE, 2), WABUN_USAGE);
    GIVES (wabun_encode (t, NULL, 5, &n, sample, SAMPLE, 0), WABUN_USAGE);
    GIVES (wabun_encode (t, NULL, 0, NULL, sample, SAMPLE, 0), WABUN_USAGE);
    GIVES (wabun_encode (t, NULL, 0, &n, NULL, 1, 0), WABUN_USAGE);
    GIVES (wabun_decode (t, NULL, 1, &n, wrong, 1), WABUN_USAGE);
    GIVES (wabun_decode (t, NULL, 0, &n, NULL, 1), WABUN_USAGE);
    GIVES (wabun_decode (t, NULL, 0, &n, wrong, SIZE_MAX), WABUN_USAGE);
    GIVES (wabun_tokenizer_piece (t, NULL, &n, 0), WABUN_USAGE);
}

static void check_path (const char *path, const char *kind) {
    wabun_tokenizer *t;
    if (!GIVES (wabun_tokenizer_open (&t, path), WABUN_OK)) return;
    check_any (t, kind);
    wabun_tokenizer_close (t);
}

/* Two files in memory give the same as on disk. */
static void check_memory (const char *dir, const char *words, const char *other, const char *kind) {
    wabun_file files[2] = {{words, NULL, 0}, {other, NULL, 0}};
    wabun_tokenizer *t, *disk;
    char *data[2] = {NULL, NULL}, path[1024];
    const int n = other != NULL ? 2 : 1;
    for (int i = 0; i < n; i++) {
        snprintf (path, sizeof path, "%s/%s", dir, files[i].name);
        T_STATUS (wb_file_read (&data[i], &files[i].bytes, path), WB_OK);
        files[i].data = data[i];
    }
    if (GIVES (wabun_tokenizer_open_memory (&t, files, (size_t) n), WABUN_OK) &&
        GIVES (wabun_tokenizer_open (&disk, dir), WABUN_OK)) {
        for (int i = 0; i < n; i++) memset (data[i], 'x', files[i].bytes); /* they were copied */
        int32_t a[ROOM], b[ROOM];
        size_t na, nb;
        check_any (t, kind);
        GIVES (wabun_encode (t, a, ROOM, &na, sample, SAMPLE, 0), WABUN_OK);
        GIVES (wabun_encode (disk, b, ROOM, &nb, sample, SAMPLE, 0), WABUN_OK);
        T_OK (na == nb && memcmp (a, b, na * sizeof *a) == 0, "%s in memory: the ids of the one on disk", kind);
        wabun_tokenizer_close (t);
        wabun_tokenizer_close (disk);
    }
    files[0].bytes /= 2; /* half of it is no vocabulary */
    GIVES (wabun_tokenizer_open_memory (&t, files, (size_t) n), WABUN_DATA);
    T_OK (t == NULL, "after an error there is no tokenizer");
    if (n == 2) GIVES (wabun_tokenizer_open_memory (&t, files, 1), WABUN_FILE);
    for (int i = 0; i < n; i++) wb_free (data[i]);
}

static void check_wrong (void) {
    wabun_tokenizer *t;
    wabun_file file = {"ja-bpe.txt", NULL, 5};
    GIVES (wabun_tokenizer_open (&t, t_tmp ("nowhere")), WABUN_FILE);
    T_OK (t == NULL && strstr (wabun_error_text (), "nowhere") != NULL, "%s", wabun_error_text ());
    GIVES (wabun_tokenizer_open (&t, ""), WABUN_FILE);
    GIVES (wabun_tokenizer_open (&t, t_src ("tests/unit")), WABUN_USAGE);
    GIVES (wabun_tokenizer_open (&t, t_src ("README.md")), WABUN_USAGE);
    GIVES (wabun_tokenizer_open (NULL, "byte"), WABUN_USAGE);
    GIVES (wabun_tokenizer_open (&t, NULL), WABUN_USAGE);
    GIVES (wabun_tokenizer_open_memory (&t, NULL, 0), WABUN_USAGE);
    GIVES (wabun_tokenizer_open_memory (&t, NULL, 1), WABUN_USAGE);
    GIVES (wabun_tokenizer_open_memory (&t, &file, 1), WABUN_USAGE);
    file = (wabun_file){NULL, "x", 1};
    GIVES (wabun_tokenizer_open_memory (&t, &file, 1), WABUN_USAGE);
    file = (wabun_file){"wabun-tokenizer.json", "{\"kind\": \"none\"}", 16};
    GIVES (wabun_tokenizer_open_memory (&t, &file, 1), WABUN_USAGE);
    file = (wabun_file){"wabun-tokenizer.json", "{\"kind\": ", 9};
    GIVES (wabun_tokenizer_open_memory (&t, &file, 1), WABUN_DATA);
    file = (wabun_file){"wabun-tokenizer.json", "{\"kind\": \"byte\"}", 16};
    if (GIVES (wabun_tokenizer_open_memory (&t, &file, 1), WABUN_OK)) check_any (t, "byte");
    wabun_tokenizer_close (t);
    wabun_tokenizer_close (NULL);
    wabun_stream_close (NULL);
    GIVES (wabun_stream_open (NULL, NULL), WABUN_USAGE);
    T_OK (strcmp (wabun_version (), PACKAGE_VERSION) == 0, "version %s", wabun_version ());
}

/* Each thread has its own message. */
static void *fail_elsewhere (void *arg) {
    wabun_tokenizer *t;
    *(bool *) arg = wabun_error_text ()[0] == 0 && wabun_tokenizer_open (&t, "elsewhere") == WABUN_FILE &&
                    strstr (wabun_error_text (), "elsewhere") != NULL;
    return NULL;
}

static void check_messages (void) {
    wabun_tokenizer *t;
    pthread_t thread;
    bool fine = false;
    GIVES (wabun_tokenizer_open (&t, "here"), WABUN_FILE);
    if (pthread_create (&thread, NULL, fail_elsewhere, &fine) == 0) pthread_join (thread, NULL);
    T_OK (fine && strstr (wabun_error_text (), "tokenizer here:") != NULL, "messages of threads: %s",
          wabun_error_text ());
}

static void make_swe (const char *dir) {
    wb_buf_t b = {0};
    char line[32];
    static const char words[] = "文章\n日本,ニホン\n語\nの\n<\n>\n<SP>\n<BR>\n<TAB>\n"
                                "<BLOCK>\n<KIGOU>\n<U2000U2BFF>\n";
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_STATUS (wb_buf_put (&b, words, strlen (words)), WB_OK);
    for (int i = 0; i < 255; i++)
        T_STATUS (wb_buf_put (&b, line, (size_t) snprintf (line, sizeof line, "<|byte%d|>\n", i)), WB_OK);
    T_STATUS (wb_buf_put (&b, "<|endoftext|>", 13), WB_OK);
    snprintf (line, sizeof line, "{\"emoji\": {}, \"emoji_inv\": {}}");
    T_STATUS (wb_file_write (t_tmp ("swe/ja-swe.txt"), b.data, b.len), WB_OK);
    T_STATUS (wb_file_write (t_tmp ("swe/emoji.json"), line, strlen (line)), WB_OK);
    wb_buf_fini (&b);
}

#ifdef HAVE_SENTENCEPIECE_TRAIN
static void make_model (const char *kind, const char *dir) {
    wb_buf_t b = {0};
    char line[256];
    for (int i = 0; i < 300; i++) {
        const int n = snprintf (line, sizeof line, "山の道を%d回歩いた。雨が降る日も、the wind of %d too.\n", i, 7 * i);
        T_STATUS (wb_buf_put (&b, line, (size_t) n), WB_OK);
    }
    T_STATUS (wb_file_write (t_tmp ("text.txt"), b.data, b.len), WB_OK);
    wb_buf_fini (&b);
    char *paths[] = {(char *) t_tmp ("text.txt")};
    const wb_vocab_training_t train = {.kind = kind, .dir = dir, .size = 400, .in = {.paths = paths, .npaths = 1}};
    T_STATUS (wb_vocab_train (&train), WB_OK);
}
#endif

int main (void) {
    T_OK (wabun_error_text ()[0] == 0, "no error yet");
    check_path ("byte", "byte");
    check_path (t_src ("tests/golden/bpe"), "ja-bpe");
    check_path (t_src ("tests/golden/bpe/ja-bpe.txt"), "ja-bpe");
    check_memory (t_src ("tests/golden/bpe"), "ja-bpe.txt", "emoji.json", "ja-bpe");
    make_swe (t_tmp ("swe"));
    check_path (t_tmp ("swe"), "ja-swe");
    check_memory (t_tmp ("swe"), "ja-swe.txt", "emoji.json", "ja-swe");
#ifdef HAVE_SENTENCEPIECE_TRAIN
    make_model ("unigram", t_tmp ("uni"));
    check_path (t_tmp ("uni"), "sentencepiece");
    check_path (t_tmp ("uni/spiece.model"), "sentencepiece");
    check_memory (t_tmp ("uni"), "spiece.model", NULL, "sentencepiece");
    make_model ("bpe", t_tmp ("bpe"));
    check_path (t_tmp ("bpe"), "sentencepiece");
#endif
    wabun_tokenizer *t;
    if (GIVES (wabun_tokenizer_open (&t, t_src ("tests/golden/bpe")), WABUN_OK)) {
        const int32_t br = wabun_tokenizer_find (t, "<BR>"), byte = wabun_tokenizer_find (t, "<|byte227|>");
        const char *s;
        size_t n;
        T_OK (wabun_tokenizer_find (t, "<|endoftext|>") == wabun_tokenizer_eot (t), "the end token is found");
        T_OK (wabun_tokenizer_piece (t, &s, &n, br) == WABUN_OK && n == 1 && s[0] == '\n', "<BR> is a line end");
        T_OK (wabun_tokenizer_piece (t, &s, &n, byte) == WABUN_OK && n == 1 && s[0] == '\xe3', "a byte of any value");
        T_OK (wabun_tokenizer_find (t, "<B") < 0, "the beginning of a tag is none");
    }
    wabun_tokenizer_close (t);
    check_wrong ();
    check_messages ();
    wb_error_clear ();
    return T_DONE ();
}
