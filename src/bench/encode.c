/* wabun bench encode: megabytes of text a second, through each tokenizer, with and without clean, on one thread and on
 * all of them.
 *
 * The text is cut into pieces at line ends, as wabun encode does with documents, and kept in memory, so that no disk is
 * measured.  Without files the text is made from random numbers: kana and frequent kanji in sentences, some figures,
 * prices, addresses of the web and faces; without a vocabulary one of single characters and pairs of kana is made.
 * Real text and a real vocabulary give other figures, so what was used is printed.
 *
 * Not done here: the original encoder, which is not part of wabun. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench_priv.h"

enum { PIECE = 1 << 16, MAX_REPEATS = 1000, MADE_BYTES = 8 << 20 };

typedef struct options {
    const char *spec; /* NULL: a vocabulary made here */
    int64_t threads, repeats;
    bool json;
    char **files; /* [nfiles] */
    int nfiles, nthreads;
} options_t;

typedef struct piece {
    const char *text;
    size_t n;
    wb_ids_t ids; /* kept between repeats: room, not content */
    wb_status status;
} piece_t;

typedef struct text {
    wb_buf_t bytes;
    piece_t *pieces;
    int64_t n;
} text_t;

/* A line of the table. */
typedef struct line {
    const char *kind;
    bool clean;
    int threads;
    wb_spread_t rate; /* MB/s */
    int64_t tokens;
} line_t;

/* ---- text and vocabulary made here ------------------------------------------------------------------------------- */

static wb_status put_char (wb_buf_t *b, uint32_t c) { /* above U+07FF, below U+10000 */
    const char s[3] = {(char) (0xe0 | c >> 12), (char) (0x80 | (c >> 6 & 0x3f)), (char) (0x80 | (c & 0x3f))};
    return wb_buf_put (b, s, 3);
}

static uint32_t kana (uint64_t r) { return (uint32_t) (r % 80) + ((r >> 8) % 4 == 0 ? 0x30a2 : 0x3042); }

static wb_status make_text (wb_buf_t *b) {
    static const char *const other[] = {"2024年3月15日",
                                        "12,800円",
                                        "https://example.org/a?b=1",
                                        "03-1234-5678",
                                        "info@example.org",
                                        "\xf0\x9f\x98\x80",
                                        "wabun",
                                        "１２３"};
    const uint64_t stream = wb_rng_stream ("bench encode");
    for (uint64_t i = 0; b->len < MADE_BYTES; i++) {
        const uint64_t r = wb_rng_u64 (1, stream, i), what = (r >> 40) % 1000;
        if (what < 4) {
            const char *s = other[r % 8];
            WB_TRY (wb_buf_put (b, s, strlen (s)));
        } else if (what < 40) {
            WB_TRY (wb_buf_put (b, what < 16 ? "。" : "、", 3));
            if (what < 12) WB_TRY (wb_buf_put (b, "\n", 1));
        } else {
            WB_TRY (put_char (b, what < 400 ? 0x4e00 + (uint32_t) (r % 3000) : kana (r)));
        }
    }
    return WB_OK;
}

static wb_status make_words (wb_buf_t *b) {
    static const char tags[] = "<SP>\n<BR>\n<TAB>\n<URL>\n<EMAIL>\n<TEL>\n<DATE>\n<PRICE>\n";
    char s[32];
    for (uint32_t c = 0x21; c < 0x7f; c++) {
        snprintf (s, sizeof s, "%c\n", (int) c);
        WB_TRY (wb_buf_put (b, s, 2));
    }
    for (uint32_t c = 0x3001; c < 0x4e00 + 3000; c = c == 0x30ff ? 0x4e00 : c + 1) {
        WB_TRY (put_char (b, c));
        WB_TRY (wb_buf_put (b, "\n", 1));
    }
    for (uint32_t c = 0x3042; c < 0x3092; c++)
        for (uint32_t d = 0x3042; d < 0x3092; d++) {
            WB_TRY (put_char (b, c));
            WB_TRY (put_char (b, d));
            WB_TRY (wb_buf_put (b, "\n", 1));
        }
    WB_TRY (wb_buf_put (b, tags, sizeof tags - 1));
    for (int i = 1; i <= 12; i++) {
        snprintf (s, sizeof s, "<|emoji%d|>\n", i);
        WB_TRY (wb_buf_put (b, s, strlen (s)));
    }
    for (int i = 0; i < 256; i++) {
        snprintf (s, sizeof s, "<|byte%d|>\n", i);
        WB_TRY (wb_buf_put (b, s, strlen (s)));
    }
    return wb_buf_put (b, "<|endoftext|>", 13);
}

static wb_status make_emoji (wb_buf_t *b) {
    static const char head[] =
        "{\"emoji\": {\"\xf0\x9f\x98\x80\": \"<|emoji1|>\", \"\xf0\x9f\x98\x82\": \"<|emoji2|>\", "
        "\"(^^)\": \"<|emoji1|>\"}, \"emoji_inv\": {";
    WB_TRY (wb_buf_put (b, head, sizeof head - 1));
    for (int i = 1; i <= 12; i++) {
        char s[48];
        snprintf (s, sizeof s, "\"<|emoji%d|>\": \"\xf0\x9f\x98\x80\"%s", i, i < 12 ? ", " : "}}\n");
        WB_TRY (wb_buf_put (b, s, strlen (s)));
    }
    return WB_OK;
}

static wb_status write_one (const char *dir, const char *name, wb_status (*make) (wb_buf_t *)) {
    wb_buf_t b = {0};
    char *path = wb_format ("%s/%s", dir, name);
    wb_status status = path != NULL ? make (&b) : WB_NOMEM ("the bench's text");
    if (status == WB_OK) status = wb_file_write (path, b.data, b.len);
    wb_free (path);
    wb_buf_fini (&b);
    return status;
}

/* The vocabulary made here goes by way of files: that is how tokenizers are made. */
static wb_status made_tokenizer (wb_tokenizer_t **out) {
    const char *tmp = getenv ("TMPDIR");
    char *dir = wb_format ("%s/wabun-bench-XXXXXX", tmp != NULL && tmp[0] != 0 ? tmp : "/tmp");
    if (dir == NULL) return WB_NOMEM ("the bench's text");
    if (mkdtemp (dir) == NULL) {
        const wb_status status = WB_FAIL (WB_EIO, "%s: cannot make: %s", dir, strerror (errno));
        wb_free (dir);
        return status;
    }
    static const char *const names[] = {"ja-bpe.txt", "emoji.json"};
    wb_status status = write_one (dir, names[0], make_words);
    if (status == WB_OK) status = write_one (dir, names[1], make_emoji);
    if (status == WB_OK) status = wb_tokenizer_new (out, dir);
    for (int i = 0; i < 2; i++) {
        char *path = wb_format ("%s/%s", dir, names[i]);
        if (path != NULL) (void) remove (path);
        wb_free (path);
    }
    (void) rmdir (dir);
    wb_free (dir);
    return status;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static wb_status read_files (wb_buf_t *b, char **paths, int n) {
    for (int i = 0; i < n; i++) {
        char *data;
        size_t bytes;
        WB_TRY (wb_file_read (&data, &bytes, paths[i]));
        const wb_status status = wb_buf_put (b, data, bytes);
        wb_free (data);
        WB_TRY (status);
    }
    return b->len > 0 ? WB_OK : WB_FAIL (WB_EDATA, "no text in %s%s", paths[0], n > 1 ? " and the other files" : "");
}

static wb_status cut (text_t *t) {
    t->pieces = wb_calloc (t->bytes.len / PIECE + 1, sizeof *t->pieces);
    if (t->pieces == NULL) return WB_NOMEM ("the bench's text");
    for (size_t at = 0, next; at < t->bytes.len; at = next) {
        next = t->bytes.len;
        if (next - at > PIECE) {
            const char *end = memchr (t->bytes.data + at + PIECE - 1, '\n', next - at - PIECE + 1);
            if (end != NULL) next = (size_t) (end - t->bytes.data) + 1;
        }
        t->pieces[t->n++] = (piece_t){.text = t->bytes.data + at, .n = next - at};
    }
    return WB_OK;
}

/* One pass; seconds, < 0 on failure of some piece. */
static double pass (text_t *t, const wb_tokenizer_t *tokenizer, bool clean, int threads) {
    bool failed = false;
    const double start = wb_now ();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) reduction(|| : failed)
    for (int64_t i = 0; i < t->n; i++) {
        piece_t *p = &t->pieces[i];
        wb_ids_clear (&p->ids);
        p->status = wb_tokenizer_encode (tokenizer, &p->ids, p->text, p->n, clean);
        failed = failed || p->status != WB_OK;
    }
    return failed ? -1 : wb_now () - start;
}

static wb_status measure (line_t *l, text_t *t, const wb_tokenizer_t *tokenizer, const options_t *o, double *rates) {
    l->kind = wb_tokenizer_kind (tokenizer);
    for (int64_t i = -1; i < o->repeats; i++) {
        const double seconds = pass (t, tokenizer, l->clean, l->threads);
        if (seconds < 0) return WB_NOMEM ("the ids");
        if (i >= 0) rates[i] = (double) t->bytes.len / seconds * 1e-6;
    }
    l->rate = wb_bench_spread (rates, o->repeats);
    l->tokens = 0;
    for (int64_t i = 0; i < t->n; i++) l->tokens += t->pieces[i].ids.len;
    return WB_OK;
}

static const char *vocabulary (const options_t *o) { return o->spec != NULL ? o->spec : "made here"; }
static const char *source (const options_t *o) { return o->nfiles > 0 ? "files" : "made here"; }

static wb_status report_json (const options_t *o, const text_t *t, const line_t *lines, int n) {
    json_t *list = json_array (), *all = json_object ();
    for (int i = 0; i < n; i++) {
        json_t *row = json_object ();
        wb_bench_put_text (&row, "tokenizer", lines[i].kind);
        wb_bench_put (&row, "clean", json_boolean (lines[i].clean));
        wb_bench_put_count (&row, "threads", lines[i].threads);
        wb_bench_put_spread (&row, "mb_per_s", lines[i].rate);
        wb_bench_put_count (&row, "tokens", lines[i].tokens);
        wb_bench_append (&list, row);
    }
    wb_bench_put_text (&all, "bench", "encode");
    wb_bench_put_text (&all, "cpu", wb_cpu_name ());
    wb_bench_put_count (&all, "threads", o->nthreads);
    wb_bench_put_count (&all, "bytes", (int64_t) t->bytes.len);
    wb_bench_put_text (&all, "text", source (o));
    wb_bench_put_text (&all, "vocabulary", vocabulary (o));
    wb_bench_put_count (&all, "repeats", o->repeats);
    wb_bench_put (&all, "rates", list);
    return wb_bench_print_json (all);
}

static void print_table (const options_t *o, const text_t *t, const line_t *lines, int n) {
    char bytes[32];
    printf ("%s of text (%s), vocabulary %s; %s\n\n", wb_format_bytes (bytes, (double) t->bytes.len), source (o),
            vocabulary (o), wb_cpu_name ());
    printf ("%-10s%6s%9s%10s%10s%10s%14s\n", "tokenizer", "clean", "threads", "MB/s", "min", "max", "bytes/token");
    for (int i = 0; i < n; i++) {
        const line_t *l = &lines[i];
        printf ("%-10s%6s%9d%10.1f%10.1f%10.1f%14.3f\n", l->kind, l->clean ? "yes" : "no", l->threads, l->rate.median,
                l->rate.min, l->rate.max, (double) t->bytes.len / (double) l->tokens);
    }
}

/* The byte tokenizer, then the other one, unless that is the same. */
static wb_status new_tokenizers (wb_tokenizer_t *out[2], const options_t *o) {
    WB_TRY (o->spec != NULL ? wb_tokenizer_new (&out[1], o->spec) : made_tokenizer (&out[1]));
    WB_TRY (wb_tokenizer_new (&out[0], "byte"));
    if (strcmp (wb_tokenizer_kind (out[1]), "byte") != 0) return WB_OK;
    wb_tokenizer_destroy (out[1]);
    out[1] = NULL;
    return WB_OK;
}

/* Every tokenizer without and with clean (the byte one only without), on one thread and on all. */
static wb_status measure_all (line_t *lines, int *n, text_t *t, wb_tokenizer_t *const tokenizers[2], const options_t *o,
                              double *rates) {
    for (int k = 0; k < 2 && tokenizers[k] != NULL; k++)
        for (int clean = 0; clean <= k; clean++)
            for (int many = 0; many <= (o->nthreads > 1); many++) {
                lines[*n] = (line_t){.clean = clean != 0, .threads = many ? o->nthreads : 1};
                WB_TRY (measure (&lines[(*n)++], t, tokenizers[k], o, rates));
            }
    return WB_OK;
}

static wb_status run (void *options, wb_comm_t *world) {
    enum { MAX = 6 };
    options_t *o = options;
    line_t lines[MAX];
    int n = 0;
    text_t t = {0};
    wb_tokenizer_t *tokenizers[2] = {NULL, NULL};
    WB_TRY (wb_bench_threads (&o->nthreads, world, o->threads));
    double *rates = wb_malloc ((size_t) o->repeats * sizeof *rates);
    wb_status status = rates != NULL ? WB_OK : WB_NOMEM ("%lld repeats", (long long) o->repeats);
    if (status == WB_OK) status = o->nfiles > 0 ? read_files (&t.bytes, o->files, o->nfiles) : make_text (&t.bytes);
    if (status == WB_OK) status = cut (&t);
    if (status == WB_OK) status = new_tokenizers (tokenizers, o);
    if (status == WB_OK) wb_threads_warn ();
    if (status == WB_OK) status = measure_all (lines, &n, &t, tokenizers, o, rates);
    if (status == WB_OK && o->json)
        status = report_json (o, &t, lines, n);
    else if (status == WB_OK)
        print_table (o, &t, lines, n);
    for (int64_t i = 0; i < t.n; i++) wb_ids_fini (&t.pieces[i].ids);
    wb_free (t.pieces);
    wb_buf_fini (&t.bytes);
    wb_free (rates);
    wb_tokenizer_destroy (tokenizers[0]);
    wb_tokenizer_destroy (tokenizers[1]);
    return status;
}

static wb_status parse (void *options, int argc, char **argv) {
    options_t *p = options;
    wb_opts_t o = wb_opts_begin (argc, argv);
    p->repeats = 5;
    p->files = argv + 1; /* options that were read make room */
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &p->spec));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &p->threads, 0, 4096));
        else if (wb_opts_is (&o, "--repeats"))
            WB_TRY (wb_opts_int (&o, &p->repeats, 1, MAX_REPEATS));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &p->json));
        else if (wb_opts_is_file (&o))
            p->files[p->nfiles++] = argv[o.at];
        else
            return wb_opts_unknown (&o);
    }
    return WB_OK;
}

const wb_bench_row_t wb_bench_encode = {
    .name = "encode",
    .line = "text to tokens: MB a second, with and without clean, on one thread and on all",
    .alone = true,
    .bytes = sizeof (options_t),
    .parse = parse,
    .run = run,
};
