/* wabun bench corpus: megabytes a second of a core's time, on one thread, of what makes a corpus, stage by stage.
 *
 * Limits measured in the same run: reading the same bytes from a file, and zstd alone on the same text.  Then plain
 * text (documents between lines of <|endoftext|>) with all filters and the same with MinHash; then, with both, the same
 * documents as JSON lines and as pages of HTML in a WARC.  The texts are made of random characters, unless files are
 * given.
 *
 * Not done here: duplicates over parts, and writing shards, which cost little beside zstd. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "bench/bench_priv.h"
#include "corpus/build.h"

enum { MADE_BYTES = 16 << 20, DOCUMENT = 6000, STAGES = 6, MAX_REPEATS = 1000 };

typedef struct options {
    int64_t repeats;
    bool json;
    char **files; /* [nfiles] */
    int nfiles;
} options_t;

typedef struct line {
    const char *stage;
    wb_spread_t rate; /* MB/s */
    int64_t documents, kept;
} line_t;

typedef struct bench {
    const options_t *o;
    wb_corpus_options_t corpus;
    wb_corpus_source_t source;
    char *text, *jsonl, *pages; /* files */
    char **files;               /* to be read now */
    int nfiles;
} bench_t;

/* ---- texts made here --------------------------------------------------------------------------------------------- */

static wb_status put_char (wb_buf_t *b, uint32_t c) {
    const char s[3] = {(char) (0xe0 | c >> 12), (char) (0x80 | (c >> 6 & 0x3f)), (char) (0x80 | (c & 0x3f))};
    return wb_buf_put (b, s, 3);
}

/* A document: sentences of 40 characters, two or three a line. */
static wb_status make_document (wb_buf_t *b, uint64_t d, const char *line_end) {
    const uint64_t stream = wb_rng_stream ("bench corpus");
    const size_t start = b->len;
    for (uint64_t i = 0; b->len - start < DOCUMENT; i++) {
        const uint64_t r = wb_rng_u64 (d, stream, i);
        const uint32_t kanji = 0x4e00 + (uint32_t) (r >> 8) % 2000, kana = 0x3042 + (uint32_t) (r >> 8) % 80;
        WB_TRY (put_char (b, i % 41 == 40 ? 0x3002 : r % 5 < 3 ? kana : kanji));
        if (i % 123 == 122) WB_TRY (wb_buf_put (b, line_end, strlen (line_end)));
    }
    return WB_OK;
}

static wb_status make_page (wb_buf_t *b, uint64_t d) {
    static const char top[] = "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>page</title></head><body><ul "
                              "class=\"menu\"><li><a href=\"/\">"
                              "ホーム</a></li><li><a href=\"/a\">一覧</a></li></ul><article><p>",
                      end[] = "</p></article><footer><a href=\"/about\">会社</a></footer></body></html>";
    wb_buf_t page = {0};
    char head[512];
    wb_status status = wb_buf_put (&page, top, sizeof top - 1);
    if (status == WB_OK) status = make_document (&page, d, "</p>\n<p>");
    if (status == WB_OK) status = wb_buf_put (&page, end, sizeof end - 1);
    static const char http[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
    const int n = snprintf (head, sizeof head,
                            "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/%lld\r\n"
                            "Content-Type: application/http; msgtype=response\r\nContent-Length: %zu\r\n\r\n%s",
                            (long long) d, page.len + sizeof http - 1, http);
    if (status == WB_OK) status = wb_buf_put (b, head, (size_t) n);
    if (status == WB_OK) status = wb_buf_put (b, page.data, page.len);
    if (status == WB_OK) status = wb_buf_put (b, "\r\n\r\n", 4);
    wb_buf_fini (&page);
    return status;
}

/* The same documents in the three forms. */
static wb_status make_forms (wb_buf_t *text, wb_buf_t *lines, wb_buf_t *pages) {
    for (uint64_t d = 0; text->len < MADE_BYTES; d++) {
        WB_TRY (make_document (text, d, "\n"));
        WB_TRY (wb_buf_put (text, "\n<|endoftext|>\n", 15));
        WB_TRY (wb_buf_put (lines, "{\"text\":\"", 9));
        WB_TRY (make_document (lines, d, "\\n")); /* as JSON has it */
        WB_TRY (wb_buf_put (lines, "\"}\n", 3));
        WB_TRY (make_page (pages, d));
    }
    return WB_OK;
}

static wb_status make_files (bench_t *b, const char *dir) {
    wb_buf_t text = {0}, lines = {0}, pages = {0};
    wb_status status = make_forms (&text, &lines, &pages);
    b->text = wb_format ("%s/text.txt", dir);
    b->jsonl = wb_format ("%s/text.jsonl", dir);
    b->pages = wb_format ("%s/pages.warc", dir);
    if (status == WB_OK && (b->text == NULL || b->jsonl == NULL || b->pages == NULL))
        status = WB_NOMEM ("the bench's texts");
    if (status == WB_OK) status = wb_file_write (b->text, text.data, text.len);
    if (status == WB_OK) status = wb_file_write (b->jsonl, lines.data, lines.len);
    if (status == WB_OK) status = wb_file_write (b->pages, pages.data, pages.len);
    wb_buf_fini (&text);
    wb_buf_fini (&lines);
    wb_buf_fini (&pages);
    return status;
}

/* ---- stages: each reads all files once; *bytes: how many --------------------------------------------------------- */

static wb_status stage_read (bench_t *b, line_t *l, int64_t *bytes) {
    char *block = wb_malloc (1 << 20);
    wb_status status = block != NULL ? WB_OK : WB_NOMEM ("a block");
    (void) l;
    for (int i = 0; i < b->nfiles && status == WB_OK; i++) {
        const int fd = open (b->files[i], O_RDONLY | O_CLOEXEC);
        size_t got = 1;
        int error = fd < 0 ? errno : 0;
        while (error == 0 && got > 0) {
            error = wb_fd_read (fd, block, &got, 1 << 20, -1);
            *bytes += (int64_t) got;
        }
        if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", b->files[i], strerror (error));
        if (fd >= 0) close (fd);
    }
    wb_free (block);
    return status;
}

static wb_status stage_zstd (bench_t *b, line_t *l, int64_t *bytes) {
    (void) l;
    for (int i = 0; i < b->nfiles; i++) {
        char *data;
        size_t n;
        WB_TRY (wb_file_read (&data, &n, b->files[i]));
        const size_t most = ZSTD_compressBound (n);
        void *out = wb_malloc (most);
        const bool good = out != NULL && !ZSTD_isError (ZSTD_compress (out, most, data, n, b->corpus.level));
        wb_free (out);
        wb_free (data);
        if (!good) return WB_NOMEM ("packing");
        *bytes += (int64_t) n;
    }
    return WB_OK;
}

static void ignore (void *ctx, const wb_complaint_t *c) { (void) ctx, (void) c; }

static wb_status work_file (bench_t *b, line_t *l, const wb_works_t *works, wb_worker_t *own, wb_work_t *u,
                            const char *path, int64_t *bytes) {
    wb_records_t *records;
    WB_TRY (wb_records_open (&records, path, NULL, ignore, NULL));
    bool more = true;
    wb_status status = WB_OK;
    while (status == WB_OK && more) {
        status = wb_records_next (records, &u->record, &more);
        if (status != WB_OK || !more) break;
        status = wb_work_record (works, own, u);
        l->documents += u->reason >= 0;
        l->kept += u->reason == WB_KEPT;
    }
    *bytes += wb_records_read (records);
    wb_records_close (records);
    (void) b;
    return status;
}

static wb_status stage_work (bench_t *b, line_t *l, int64_t *bytes) {
    wb_works_t works;
    wb_worker_t own = {0};
    wb_work_t u = {0};
    l->documents = l->kept = 0;
    wb_status status = wb_works_init (&works, &b->corpus);
    works.source = &b->source;
    for (int i = 0; i < b->nfiles && status == WB_OK; i++)
        status = work_file (b, l, &works, &own, &u, b->files[i], bytes);
    wb_work_fini (&u);
    wb_worker_fini (&own);
    wb_works_fini (&works);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static wb_status measure (bench_t *b, line_t *l, wb_status (*stage) (bench_t *, line_t *, int64_t *), double *rates) {
    for (int64_t i = -1; i < b->o->repeats; i++) {
        int64_t bytes = 0;
        const clock_t start = clock (); /* of this process: others on the machine do not count */
        WB_TRY (stage (b, l, &bytes));
        if (i >= 0) rates[i] = (double) bytes / ((double) (clock () - start + 1) / CLOCKS_PER_SEC) * 1e-6;
    }
    l->rate = wb_bench_spread (rates, b->o->repeats);
    return WB_OK;
}

static wb_status measure_all (bench_t *b, line_t *lines, int *n, double *rates) {
    const bool made = b->o->nfiles == 0;
    b->files = made ? &b->text : b->o->files;
    b->nfiles = made ? 1 : b->o->nfiles;
    b->corpus.duplicates.near = false;
    lines[0] = (line_t){.stage = "read"}, lines[1] = (line_t){.stage = "zstd"};
    lines[2] = (line_t){.stage = "filters"}, lines[3] = (line_t){.stage = "filters, MinHash"};
    lines[4] = (line_t){.stage = "JSON lines, filters, MinHash"};
    lines[5] = (line_t){.stage = "WARC, HTML, filters, MinHash"};
    WB_TRY (measure (b, &lines[0], stage_read, rates));
    WB_TRY (measure (b, &lines[1], stage_zstd, rates));
    WB_TRY (measure (b, &lines[2], stage_work, rates));
    b->corpus.duplicates.near = true;
    WB_TRY (measure (b, &lines[3], stage_work, rates));
    *n = 4;
    if (!made) return WB_OK;
    b->files = &b->jsonl;
    WB_TRY (measure (b, &lines[4], stage_work, rates));
    b->files = &b->pages;
    WB_TRY (measure (b, &lines[5], stage_work, rates));
    *n = STAGES;
    return WB_OK;
}

static wb_status report (const options_t *o, const line_t *lines, int n) {
    json_t *list = json_array (), *all = json_object ();
    if (!o->json)
        printf ("texts %s; one thread; %s\n\n%-30s%10s%10s%10s%12s%12s\n", o->nfiles > 0 ? "of files" : "made here",
                wb_cpu_name (), "stage", "MB/s", "min", "max", "documents", "kept");
    for (int i = 0; i < n; i++) {
        const line_t *l = &lines[i];
        json_t *row = json_object ();
        if (!o->json)
            printf ("%-30s%10.1f%10.1f%10.1f%12lld%12lld\n", l->stage, l->rate.median, l->rate.min, l->rate.max,
                    (long long) l->documents, (long long) l->kept);
        wb_bench_put_text (&row, "stage", l->stage);
        wb_bench_put_spread (&row, "mb_per_s", l->rate);
        wb_bench_put_count (&row, "documents", l->documents);
        wb_bench_put_count (&row, "kept", l->kept);
        wb_bench_append (&list, row);
    }
    wb_bench_put_text (&all, "bench", "corpus");
    wb_bench_put_text (&all, "cpu", wb_cpu_name ());
    wb_bench_put_count (&all, "repeats", o->repeats);
    wb_bench_put (&all, "stages", list);
    if (o->json) return wb_bench_print_json (all);
    json_decref (all);
    return WB_OK;
}

static wb_status run_in (bench_t *b, const options_t *o, const char *dir) {
    line_t lines[STAGES];
    int n = 0;
    double *rates = wb_malloc ((size_t) o->repeats * sizeof *rates);
    wb_status status = rates != NULL ? WB_OK : WB_NOMEM ("%lld repeats", (long long) o->repeats);
    if (status == WB_OK) status = wb_corpus_config_defaults (&b->corpus);
    if (status == WB_OK && o->nfiles == 0) status = make_files (b, dir);
    if (status == WB_OK) status = measure_all (b, lines, &n, rates);
    if (status == WB_OK) status = report (o, lines, n);
    wb_free (rates);
    return status;
}

static wb_status run (void *options, wb_comm_t *world) {
    const options_t *o = options;
    char path[] = "text.txt", genre[] = "general", licence[] = "", *tmp = getenv ("TMPDIR");
    bench_t b = {.o = o, .source = {.path = path, .genre = genre, .licence = licence}};
    char *dir = wb_format ("%s/wabun-bench-XXXXXX", tmp != NULL && tmp[0] != 0 ? tmp : "/tmp");
    (void) world;
    if (dir == NULL) return WB_NOMEM ("the bench's texts");
    wb_status status =
        mkdtemp (dir) != NULL ? run_in (&b, o, dir) : WB_FAIL (WB_EIO, "%s: cannot make: %s", dir, strerror (errno));
    if (b.text != NULL) (void) remove (b.text);
    if (b.jsonl != NULL) (void) remove (b.jsonl);
    if (b.pages != NULL) (void) remove (b.pages);
    (void) rmdir (dir);
    wb_free (b.text);
    wb_free (b.jsonl);
    wb_free (b.pages);
    wb_free (dir);
    return status;
}

static wb_status parse (void *options, int argc, char **argv) {
    options_t *p = options;
    wb_opts_t o = wb_opts_begin (argc, argv);
    p->repeats = 5;
    p->files = argv + 1; /* options that were read make room */
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--repeats"))
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

const wb_bench_row_t wb_bench_corpus = {
    .name = "corpus",
    .line = "texts to a corpus: MB a second by stage, beside reading and zstd",
    .alone = true,
    .bytes = sizeof (options_t),
    .parse = parse,
    .run = run,
};
