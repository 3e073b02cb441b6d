/* text: buffers, UTF-8, byte tokenizer, token files good and bad, the loader */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t.h"
#include "dataset/dataset_priv.h"
#include "tokenizer/tokenizer_priv.h"

/* ---- buffers and UTF-8 ----------------------------------------------------------------------------------------- */

static void check_buffers (void) {
    wb_buf_t b = {0};
    wb_ids_t v = {0};
    T_STATUS (wb_buf_put (&b, "", 0), WB_OK);
    T_OK (b.len == 0 && b.data[0] == 0, "empty");
    bool ok = true;
    for (int i = 0; i < 1000; i++) {
        ok = ok && wb_buf_put (&b, "abc", (size_t) (i % 4)) == WB_OK && b.data[b.len] == 0;
        ok = ok && wb_ids_put (&v, i) == WB_OK;
    }
    T_OK (ok && b.len == 1500 && v.len == 1000 && v.data[999] == 999, "growing");
    T_STATUS (wb_buf_put (&b, "x", SIZE_MAX / 2), WB_ENOMEM);
    T_OK (b.len == 1500, "a failed growth changes nothing");
    wb_buf_clear (&b);
    wb_ids_clear (&v);
    T_OK (b.len == 0 && b.data[0] == 0 && v.len == 0, "cleared");
    wb_buf_fini (&b);
    wb_ids_fini (&v);
    T_OK (b.data == NULL && v.data == NULL, "gone");
}

static void check_utf8 (void) {
    /* every code point there and back; surrogates and what lies above are none */
    bool ok = true;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char s[4];
        size_t n = wb_utf8_put (s, c), length, at;
        bool surrogate = c >= 0xd800 && c < 0xe000;
        uint32_t back = wb_utf8_get (s, n, &length);
        ok = ok && (surrogate ? back == WB_UTF8_NONE && length == 1 : back == c && length == n);
        ok = ok && wb_utf8_valid (s, n, &at) == !surrogate;
        for (size_t k = 1; k < n; k++) ok = ok && wb_utf8_get (s, k, &length) == WB_UTF8_NONE && length == 1;
    }
    T_OK (ok, "every code point");
    static const char *const bad[] = {
        "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t length;
        T_OK (wb_utf8_get (bad[i], strlen (bad[i]), &length) == WB_UTF8_NONE && length == 1, "malformed %zu", i);
    }
    /* maximal subparts */
    static const struct {
        const char *in;
        int replaced;
        const char *rest;
    } sub[] = {{"\xf0\x9f\x98", 1, ""},
               {"\xed\xa0\x80", 3, ""},
               {"\xe3\x81", 1, ""},
               {"\xe3\x81z", 1, "z"},
               {"\xf0\x80\x80\x41", 3, "A"},
               {"\xf4\x90\x80\x80", 4, ""},
               {"\xe1\x80\xe2\xf0\x91\x92", 3, ""},
               {"\xc3\xc3\xa4", 1, "ä"},
               {"\xf1\x80\x80\x41", 1, "A"}};
    for (size_t i = 0; i < sizeof sub / sizeof sub[0]; i++) {
        wb_utf8_t u = {0};
        wb_buf_t b = {0}, want = {0};
        for (const char *p = sub[i].in; *p != 0; p++)
            if (wb_buf_reserve (&b, 8) == WB_OK) wb_utf8_feed (&u, &b, (unsigned char) *p);
        wb_utf8_flush (&u, &b);
        for (int k = 0; k < sub[i].replaced; k++) T_OK (wb_buf_put (&want, "\xef\xbf\xbd", 3) == WB_OK, "put");
        T_OK (wb_buf_put (&want, sub[i].rest, strlen (sub[i].rest)) == WB_OK, "put");
        T_OK (b.len == want.len && memcmp (b.data, want.data, b.len) == 0, "subpart %zu: %s", i, b.data);
        wb_buf_fini (&b);
        wb_buf_fini (&want);
    }
}

/* ---- byte tokenizer -------------------------------------------------------------------------------------------- */

static void check_byte (void) {
    wb_tokenizer_t *t, *again;
    if (!T_STATUS (wb_tokenizer_new (&t, "byte"), WB_OK)) return;
    T_OK (wb_tokenizer_size (t) == 257 && wb_tokenizer_eot (t) == 256 && strcmp (wb_tokenizer_kind (t), "byte") == 0,
          "byte");
    wb_ids_t ids = {0};
    char s[3000];
    for (size_t i = 0; i < sizeof s; i++) s[i] = (char) wb_rng_u64 (1, 1, i);
    T_STATUS (wb_tokenizer_encode (t, &ids, s, sizeof s, true), WB_OK);
    bool ok = ids.len == sizeof s;
    for (size_t i = 0; ok && i < sizeof s; i++) ok = ids.data[i] == (unsigned char) s[i];
    T_OK (ok, "ids are the bytes");
    wb_ids_clear (&ids);
    T_STATUS (wb_tokenizer_encode (t, &ids, "<|endoftext|>", 13, false), WB_OK);
    T_OK (ids.len == 13, "the name of the end is text");
    T_OK (wb_tokenizer_id_bytes (t, 65) == 1 && wb_tokenizer_id_bytes (t, 256) == 0, "id_bytes");

    /* valid text comes back; any ids decode to valid text, in a stream as at once */
    wb_buf_t text = {0}, stream = {0};
    static const char ja[] = "こけ猿の壺\n😀 a";
    wb_ids_clear (&ids);
    T_STATUS (wb_tokenizer_encode (t, &ids, ja, sizeof ja - 1, false), WB_OK);
    T_STATUS (wb_tokenizer_decode (t, &text, ids.data, ids.len), WB_OK);
    T_OK (text.len == sizeof ja - 1 && memcmp (text.data, ja, text.len) == 0, "round trip");
    wb_stream_t *st;
    for (uint64_t k = 0; k < 300 && T_OK (wb_stream_new (&st, t) == WB_OK, "stream"); k++) {
        int32_t some[200];
        size_t at;
        for (uint64_t i = 0; i < 200; i++)
            some[i] = (int32_t) (wb_rng_u64 (2, k, i) % (k % 2 == 0 ? 257 : 130) + (k % 2 * 120));
        wb_buf_clear (&text);
        wb_buf_clear (&stream);
        T_OK (wb_tokenizer_decode (t, &text, some, 200) == WB_OK, "decode");
        for (int i = 0; i < 200; i++) T_OK (wb_stream_put (st, &stream, some[i], i == 199) == WB_OK, "stream");
        T_OK (stream.len == text.len && memcmp (stream.data, text.data, text.len) == 0, "stream and whole");
        T_OK (wb_utf8_valid (text.data, text.len, &at), "valid");
        wb_stream_destroy (st);
    }
    int32_t bad = 257;
    T_STATUS (wb_tokenizer_decode (t, &text, &bad, 1), WB_EDATA);
    bad = -1;
    T_STATUS (wb_tokenizer_decode (t, &text, &bad, 1), WB_EDATA);
    T_STATUS (wb_dir_make (t_tmp ("byte")), WB_OK);
    T_STATUS (wb_tokenizer_save (t, t_tmp ("byte")), WB_OK);
    if (T_STATUS (wb_tokenizer_new (&again, t_tmp ("byte")), WB_OK)) {
        T_OK (strcmp (wb_tokenizer_kind (again), "byte") == 0, "saved and read again");
        wb_tokenizer_destroy (again);
    }
    T_STATUS (wb_file_write (t_tmp ("byte/wabun-tokenizer.json"), "{\"kind\": \"abacus\"}", 18), WB_OK);
    T_STATUS (wb_tokenizer_new (&again, t_tmp ("byte")), WB_EUSAGE);
    T_STATUS (wb_file_write (t_tmp ("byte/wabun-tokenizer.json"), "{", 1), WB_OK);
    T_STATUS (wb_tokenizer_new (&again, t_tmp ("byte")), WB_EDATA);
    T_STATUS (wb_tokenizer_new (&again, t_tmp ("nowhere")), WB_EIO);
    T_STATUS (wb_tokenizer_new (&again, t_src ("tests/t.h")), WB_EUSAGE);
    T_STATUS (wb_tokenizer_new (&again, t_tmp ("")), WB_EUSAGE);
    wb_ids_fini (&ids);
    wb_buf_fini (&text);
    wb_buf_fini (&stream);
    wb_tokenizer_destroy (t);
}

/* ---- token files ----------------------------------------------------------------------------------------------- */

/* Documents of 1 .. 40 ids below vocab. */
static int64_t doc_length (int d) { return 1 + (int64_t) (wb_rng_u64 (5, 5, (uint64_t) d) % 40); }
static int32_t doc_id (int64_t place, int32_t vocab) {
    return (int32_t) (wb_rng_u64 (6, 6, (uint64_t) place) % (uint64_t) vocab);
}

static void write_docs (const char *prefix, int first, int n, int32_t vocab) {
    wb_tokens_writer_t *w;
    int32_t ids[40];
    int64_t place = 0, documents, tokens;
    if (!T_STATUS (wb_tokens_writer_new (&w, prefix, vocab), WB_OK)) return;
    for (int d = 0; d < first + n; d++) {
        int64_t k = doc_length (d);
        for (int64_t i = 0; i < k; i++) ids[i] = doc_id (place + i, vocab);
        if (d >= first) T_OK (wb_tokens_writer_put (w, ids, k) == WB_OK, "put");
        place += k;
    }
    T_STATUS (wb_tokens_writer_end (w, &documents, &tokens), WB_OK);
    T_OK (documents == n, "%lld documents", (long long) documents);
}

static void check_docs (const char *prefix, int n, int32_t vocab) {
    wb_tokens_t *f;
    if (!T_STATUS (wb_tokens_open (&f, prefix), WB_OK)) return;
    int64_t count = 0;
    T_OK (wb_tokens_documents (f) == n && strcmp (wb_tokens_path (f), prefix) == 0, "documents");
    for (int d = 0; d < n; d++) {
        int64_t first, k;
        T_OK (wb_tokens_document (f, &first, &k, d) == WB_OK && first == count && k == doc_length (d), "document %d",
              d);
        count += k;
    }
    T_OK (wb_tokens_count (f) == count, "%lld ids", (long long) wb_tokens_count (f));
    int32_t *ids = wb_malloc ((size_t) count * sizeof *ids + 1);
    bool ok = wb_tokens_read (f, ids, 0, count) == WB_OK;
    for (int64_t i = 0; i < count; i++) ok = ok && ids[i] == doc_id (i, vocab);
    for (int64_t i = 0; i + 7 <= count; i += 5) {
        ok = ok && wb_tokens_read (f, ids, i, 7) == WB_OK && ids[0] == doc_id (i, vocab) &&
             ids[6] == doc_id (i + 6, vocab);
    }
    T_OK (ok, "ids");
    int32_t most = -1;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++)
        if (doc_id (i, vocab) > most) most = doc_id (i, vocab), at = i;
    for (int p = 0; p < 3; p++) {
        T_STATUS (wb_tokens_check (f, most + 1, p, 3), WB_OK);
        wb_status status = wb_tokens_check (f, most, p, 3);
        char place[64];
        snprintf (place, sizeof place, "position %lld,", (long long) at);
        if (status != WB_OK) T_OK (strstr (wb_error_get ()->text, place) != NULL, "%s", wb_error_get ()->text);
        T_OK (status == WB_OK || status == WB_EDATA, "check");
        wb_error_clear ();
    }
    T_OK (count == 0 || wb_tokens_check (f, most, 0, 1) == WB_EDATA, "an id outside the vocabulary");
    wb_error_clear ();
    wb_free (ids);
    wb_tokens_close (f);
}

static int files_in (const char *path) {
    DIR *d = opendir (path);
    int n = -2;
    if (d == NULL) return -1;
    while (readdir (d) != NULL) n++;
    closedir (d);
    return n;
}

static void check_files (void) {
    T_STATUS (wb_dir_make (t_tmp ("tok")), WB_OK);
    write_docs (t_tmp ("tok/small"), 0, 100, 20573);
    check_docs (t_tmp ("tok/small"), 100, 20573);
    write_docs (t_tmp ("tok/large"), 0, 100, 100000);
    check_docs (t_tmp ("tok/large"), 100, 100000);
    write_docs (t_tmp ("tok/empty"), 0, 0, 300);
    check_docs (t_tmp ("tok/empty"), 0, 300);
    /* written again over itself, and joined from parts */
    write_docs (t_tmp ("tok/small"), 0, 100, 20573);
    check_docs (t_tmp ("tok/small"), 100, 20573);
    write_docs (t_tmp ("tok/a"), 0, 30, 20573);
    write_docs (t_tmp ("tok/b"), 30, 0, 20573);
    write_docs (t_tmp ("tok/c"), 30, 70, 20573);
    wb_tokens_writer_t *w;
    if (T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tok/joined"), 20573), WB_OK)) {
        T_STATUS (wb_tokens_writer_join (w, t_tmp ("tok/a")), WB_OK);
        T_STATUS (wb_tokens_writer_join (w, t_tmp ("tok/b")), WB_OK);
        T_STATUS (wb_tokens_writer_join (w, t_tmp ("tok/c")), WB_OK);
        T_STATUS (wb_tokens_writer_end (w, NULL, NULL), WB_OK);
    }
    check_docs (t_tmp ("tok/joined"), 100, 20573);
    static const char *const both[] = {"idx", "bin"};
    for (int i = 0; i < 2; i++) {
        char *a, *b, x[32], y[32];
        size_t n, m;
        snprintf (x, sizeof x, "tok/small.%s", both[i]);
        snprintf (y, sizeof y, "tok/joined.%s", both[i]);
        if (!T_STATUS (wb_file_read (&a, &n, t_tmp (x)), WB_OK) || !T_STATUS (wb_file_read (&b, &m, t_tmp (y)), WB_OK))
            return;
        T_OK (n == m && memcmp (a, b, n) == 0, "joined %s is the same", both[i]);
        wb_free (a);
        wb_free (b);
    }
    int before = files_in (t_tmp ("tok"));
    const int32_t ids[2] = {1, 300};
    if (T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tok/gone"), 300), WB_OK)) {
        T_STATUS (wb_tokens_writer_put (w, ids, 1), WB_OK);
        T_STATUS (wb_tokens_writer_put (w, ids, 2), WB_EDATA);
        wb_tokens_writer_cancel (w);
    }
    /* the disk is full: here, no file may be longer than this */
    struct rlimit old, low;
    signal (SIGXFSZ, SIG_IGN);
    getrlimit (RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = 100000;
    setrlimit (RLIMIT_FSIZE, &low);
    wb_status status = WB_OK;
    if (T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tok/gone"), 300), WB_OK)) {
        for (int i = 0; i < 90000 && status == WB_OK; i++) status = wb_tokens_writer_put (w, ids, 1);
        wb_status end = wb_tokens_writer_end (w, NULL, NULL);
        T_OK (end == WB_EIO, "full disk: %d", (int) end);
        wb_error_clear ();
    }
    setrlimit (RLIMIT_FSIZE, &old);
    T_OK (files_in (t_tmp ("tok")) == before, "nothing is left of what failed");
    T_STATUS (wb_tokens_writer_new (&w, t_tmp ("nowhere/x"), 300), WB_EIO);
}

/* An index made by hand. */
typedef struct made {
    unsigned char idx[1024];
    size_t n;
} made_t;
static void add (made_t *m, const void *p, size_t n) {
    memcpy (m->idx + m->n, p, n);
    m->n += n;
}
static void add64 (made_t *m, int64_t x) { add (m, &x, 8); }
static void add32 (made_t *m, int32_t x) { add (m, &x, 4); }
static made_t head (int dtype, int64_t version, int64_t sequences, int64_t documents) {
    made_t m = {.n = 0};
    unsigned char type = (unsigned char) dtype;
    add (&m, "MMIDIDX\0", 9);
    add64 (&m, version);
    add (&m, &type, 1);
    add64 (&m, sequences);
    add64 (&m, documents);
    return m;
}
static wb_status open_made (wb_tokens_t **f, const made_t *m, const void *bin, size_t bytes) {
    WB_TRY (wb_file_write (t_tmp ("made.idx"), m->idx, m->n));
    WB_TRY (wb_file_write (t_tmp ("made.bin"), bin, bytes));
    return wb_tokens_open (f, t_tmp ("made"));
}
static void refuse (const char *what, const made_t *m, size_t bin, const char *message) {
    static const unsigned char zeros[256];
    wb_tokens_t *f = NULL;
    wb_status status = open_made (&f, m, zeros, bin);
    T_OK (status == WB_EDATA && f == NULL && strstr (wb_error_get ()->text, message) != NULL, "%s: %d %s", what,
          (int) status, wb_error_get ()->text);
    wb_error_clear ();
    wb_tokens_close (f);
}

/* Two sequences of u16 in two documents, with one value changed. */
static made_t two (int64_t l0, int64_t l1, int64_t p0, int64_t p1, int64_t d0, int64_t d1, int64_t d2) {
    made_t m = head (8, 1, 2, 3);
    add32 (&m, (int32_t) l0), add32 (&m, (int32_t) l1);
    add64 (&m, p0), add64 (&m, p1);
    add64 (&m, d0), add64 (&m, d1), add64 (&m, d2);
    return m;
}

static void check_malformed (void) {
    made_t m;
    wb_tokens_t *f = NULL;
    T_STATUS (wb_tokens_open (&f, t_tmp ("not-there")), WB_EIO);
    m = two (3, 2, 0, 6, 0, 1, 2);
    T_STATUS (open_made (&f, &m, "aabbccddee", 10), WB_OK);
    T_OK (wb_tokens_count (f) == 5 && wb_tokens_documents (f) == 2, "made by hand");
    wb_tokens_close (f);
    refuse ("short .bin", &m, 9, "truncated");
    refuse ("long .bin", &m, 11, "belong together");
    for (size_t n = 0; n < m.n; n++) { /* cut anywhere */
        made_t cut = m;
        cut.n = n;
        refuse ("cut", &cut, 10, n < 9 ? "MMIDIDX" : "truncated");
    }
    made_t more = m;
    add (&more, "x", 1);
    refuse ("longer", &more, 10, "more than its header");
    add (&more, "x", 1); /* one byte for each sequence: Megatron's modes */
    T_STATUS (open_made (&f, &more, "aabbccddee", 10), WB_OK);
    wb_tokens_close (f);
    more = m;
    more.idx[2] = 'X';
    refuse ("magic", &more, 10, "MMIDIDX");
    m = head (8, 2, 0, 1);
    refuse ("version", &m, 0, "version 2");
    static const int types[] = {0, 6, 7, 9, 255};
    for (int i = 0; i < 5; i++) {
        m = head (types[i], 1, 0, 1);
        refuse ("type", &m, 0, "byte 17");
    }
    m = head (8, 1, 0, 0);
    refuse ("no document index", &m, 0, "byte 26");
    static const int64_t huge[] = {-1,  INT64_MAX, INT64_MIN, (int64_t) 1 << 62, (int64_t) 1 << 60, 1537228672809129301,
                                   1000};
    for (int i = 0; i < 7; i++) {
        m = head (8, 1, huge[i], 1), add64 (&m, 0);
        refuse ("sequences", &m, 0, "truncated");
        m = head (8, 1, 0, huge[i]), add64 (&m, 0);
        refuse ("documents", &m, 0, "truncated");
        m = two (3, 2, 0, huge[i], 0, 1, 2);
        refuse ("pointer", &m, 10, huge[i] < 0 ? "before the end" : "truncated");
        m = two (3, 2, 0, 6, 0, huge[i], 2);
        refuse ("document index", &m, 10, "document index");
        m = two (3, 2, 0, 6, 0, 1, huge[i]);
        refuse ("document index, last", &m, 10, "document index");
    }
    m = two (3, 2, 0, 6, 1, 1, 2);
    refuse ("document index, first", &m, 10, "document index");
    m = two (3, -2, 0, 6, 0, 1, 2);
    refuse ("negative length", &m, 10, "length -2");
    m = two (3, INT32_MAX, 0, 6, 0, 1, 2);
    refuse ("huge length", &m, 10, "truncated");
    m = two (3, 2, 0, 4, 0, 1, 2);
    refuse ("overlap", &m, 10, "before the end");

    /* other types, gaps between sequences (here an odd one), documents of several sequences */
    const int64_t wide[2] = {7, ((int64_t) 1 << 32) + 7};
    int32_t ids[4];
    m = head (5, 1, 1, 2), add32 (&m, 2), add64 (&m, 0), add64 (&m, 0), add64 (&m, 1);
    if (T_STATUS (open_made (&f, &m, wide, 16), WB_OK)) {
        T_OK (wb_tokens_read (f, ids, 0, 2) == WB_OK && ids[0] == 7 && ids[1] == -1,
              "an id of 33 bits is not cut to a good one");
        T_STATUS (wb_tokens_check (f, 100, 0, 1), WB_EDATA);
        wb_tokens_close (f);
    }
    m = head (1, 1, 1, 2), add32 (&m, 2), add64 (&m, 0), add64 (&m, 0), add64 (&m, 1);
    if (T_STATUS (open_made (&f, &m, "\x05\xff", 2), WB_OK)) {
        T_OK (wb_tokens_read (f, ids, 0, 2) == WB_OK && ids[0] == 5 && ids[1] == 255, "u8");
        wb_tokens_close (f);
    }
    m = head (8, 1, 3, 3), add32 (&m, 1), add32 (&m, 0), add32 (&m, 3);
    add64 (&m, 1), add64 (&m, 5), add64 (&m, 5), add64 (&m, 0), add64 (&m, 2), add64 (&m, 3);
    if (T_STATUS (open_made (&f, &m, "?\1\0??\2\0\3\0\4\0???", 14), WB_OK)) {
        int64_t first, n;
        T_OK (wb_tokens_count (f) == 4 && wb_tokens_documents (f) == 2, "gaps");
        T_STATUS (wb_tokens_read (f, ids, 0, 4), WB_OK);
        T_OK (ids[0] == 1 && ids[1] == 2 && ids[2] == 3 && ids[3] == 4, "read over gaps");
        wb_tokens_prefetch (f, 0, 4);
        T_STATUS (wb_tokens_document (f, &first, &n, 1), WB_OK);
        T_OK (first == 1 && n == 3, "document after a gap");
        wb_tokens_close (f);
    }
}

/* Bytes changed at random: refused or readable, never more. */
static void check_fuzz (void) {
    char *idx, *bin;
    size_t n, m;
    int opened = 0;
    int64_t sum = 0;
    if (!T_STATUS (wb_file_read (&idx, &n, t_tmp ("tok/a.idx")), WB_OK)) return;
    if (!T_STATUS (wb_file_read (&bin, &m, t_tmp ("tok/a.bin")), WB_OK)) return;
    char *copy = wb_malloc (n);
    for (uint64_t k = 0; k < 1500; k++) {
        memcpy (copy, idx, n);
        uint64_t places = 1 + wb_rng_u64 (8, k, 0) % 4;
        for (uint64_t i = 1; i <= places; i++) {
            uint64_t x = wb_rng_u64 (8, k, i);
            size_t at = 9 + (size_t) (x >> 16) % (k % 2 == 0 ? n - 9 : 25);
            copy[at] = (char) (k % 3 == 0 ? (unsigned char) copy[at] ^ (1u << (x & 7)) : (unsigned char) x);
        }
        size_t cut = k % 5 == 0 ? n - (size_t) (wb_rng_u64 (8, k, 9) % n) : n;
        size_t cut_bin = k % 7 == 0 ? (size_t) (wb_rng_u64 (8, k, 10) % (m + 1)) : m;
        T_OK (wb_file_write (t_tmp ("fuzz.idx"), copy, cut) == WB_OK, "write");
        T_OK (wb_file_write (t_tmp ("fuzz.bin"), bin, cut_bin) == WB_OK, "write");
        wb_tokens_t *f;
        wb_status status = wb_tokens_open (&f, t_tmp ("fuzz"));
        T_OK (status == WB_OK || status == WB_EDATA, "status %d", (int) status);
        wb_error_clear ();
        if (status != WB_OK) continue;
        opened++;
        int32_t id;
        bool good = true;
        for (int64_t i = 0; i < wb_tokens_count (f); i++) {
            good = good && wb_tokens_read (f, &id, i, 1) == WB_OK;
            sum += id;
        }
        T_OK (good, "what opens can be read");
        for (int64_t d = 0; d < wb_tokens_documents (f); d++) {
            int64_t first, k2;
            T_STATUS (wb_tokens_document (f, &first, &k2, d), WB_OK);
            T_OK (first >= 0 && k2 >= 0 && first + k2 <= wb_tokens_count (f), "document inside");
        }
        wb_tokens_close (f);
    }
    T_OK (opened < 1500 && sum != 1, "%d opened", opened);
    wb_free (copy);
    wb_free (idx);
    wb_free (bin);
}

/* The descriptor under which this process has a file open. */
static int open_as (const char *path) {
    struct stat want, st;
    if (stat (path, &want) != 0) return -1;
    for (int fd = 3; fd < 1024; fd++)
        if (fstat (fd, &st) == 0 && st.st_dev == want.st_dev && st.st_ino == want.st_ino) return fd;
    return -1;
}

static bool says (const char *message) {
    const bool ok = strstr (wb_error_get ()->text, message) != NULL;
    if (!ok) fprintf (stderr, "not \"%s\": %s\n", message, wb_error_get ()->text);
    wb_error_clear ();
    return ok;
}

/* What may happen to files that are open: a status that names the place, never a signal. */
static void check_unreadable (void) {
    enum { T = 1024, N = 40000 };
    wb_tokens_writer_t *w;
    wb_tokens_t *f;
    wb_loader_t *l;
    static int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = i % 300;
    if (!T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tok/gone"), 300), WB_OK)) return;
    for (int d = 0; d < 4; d++) T_STATUS (wb_tokens_writer_put (w, ids, N / 4), WB_OK);
    T_STATUS (wb_tokens_writer_end (w, NULL, NULL), WB_OK);
    if (!T_STATUS (wb_tokens_open (&f, t_tmp ("tok/gone")), WB_OK)) return;
    const wb_loader_part_t part = {f, 1.0};
    T_STATUS (wb_loader_new (&l, &part, 1, T, 7, false), WB_OK);
    T_STATUS (wb_loader_sample (l, ids, 38), WB_OK);

    /* replaced: what is open stays what it was */
    T_STATUS (wb_file_write (t_tmp ("tok/other"), "x", 1), WB_OK);
    T_OK (rename (t_tmp ("tok/gone.bin"), t_tmp ("tok/kept.bin")) == 0, "rename");
    T_OK (rename (t_tmp ("tok/other"), t_tmp ("tok/gone.bin")) == 0, "rename");
    T_STATUS (wb_loader_sample (l, ids, 20), WB_OK);
    T_OK (ids[0] == 20 * T % (N / 4) % 300, "the file that was opened");

    /* truncated */
    int64_t first, n;
    T_OK (truncate (t_tmp ("tok/kept.bin"), 2 * (38 * T + 3)) == 0, "truncate");
    wb_loader_prefetch (l, 38);
    T_OK (wb_loader_sample (l, ids, 38) == WB_EIO && says ("tok/gone.bin: no data at byte 77830: it was truncated"),
          "cut");
    T_STATUS (wb_loader_sample (l, ids, 37), WB_OK);
    T_OK (wb_tokens_check (f, 300, 0, 1) == WB_EIO && says ("no data at byte 77830"), "checking what was cut");
    T_OK (truncate (t_tmp ("tok/gone.idx"), 60) == 0, "truncate");
    T_OK (wb_tokens_document (f, &first, &n, 2) == WB_EIO && says ("tok/gone.idx: no data at byte 98"), "the index");
    T_STATUS (wb_tokens_writer_new (&w, t_tmp ("tok/x"), 300), WB_OK);
    T_OK (wb_tokens_writer_join (w, t_tmp ("tok/gone")) == WB_EDATA && says ("truncated"), "join");
    wb_tokens_writer_cancel (w);

    /* a disk that fails: reading the descriptor of a directory does as well */
    int fd = open_as (t_tmp ("tok/kept.bin")), dir = open (t_tmp ("tok"), O_RDONLY);
    T_OK (fd >= 0 && dir >= 0 && dup2 (dir, fd) == fd, "descriptors");
    T_OK (wb_loader_sample (l, ids, 3) == WB_EIO && says ("tok/gone.bin: cannot read at byte 6144: Is a directory"),
          "a failing disk");
    close (dir);
    wb_loader_destroy (l);
    wb_tokens_close (f);
}

/* ---- loader ---------------------------------------------------------------------------------------------------- */

static void check_loader (void) {
    enum { T = 10 };
    static const char *const names[] = {"tok/small", "tok/a", "tok/c"};
    static const double weights[] = {0.45, 0.0001, 0.55};
    wb_loader_part_t parts[3];
    wb_loader_t *l, *twin;
    int64_t all = 0;
    for (int i = 0; i < 3; i++) {
        if (!T_STATUS (wb_tokens_open (&parts[i].tokens, t_tmp (names[i])), WB_OK)) return;
        parts[i].weight = weights[i];
        all += (wb_tokens_count (parts[i].tokens) - 1) / T;
    }
    const int64_t n = (wb_tokens_count (parts[0].tokens) - 1) / T;
    int32_t ids[T + 1], want[T + 1];
    int p;
    int64_t w;

    if (T_STATUS (wb_loader_new (&l, parts, 1, T, 7, false), WB_OK)) {
        T_OK (wb_loader_windows (l) == n, "windows");
        bool ok = true;
        for (int64_t k = 0; k < 2 * n; k++) {
            wb_loader_where (l, &p, &w, k);
            ok = ok && wb_loader_sample (l, ids, k) == WB_OK;
            ok = ok && wb_tokens_read (parts[0].tokens, want, k % n * T, T + 1) == WB_OK && p == 0 && w == k % n &&
                 memcmp (ids, want, sizeof ids) == 0;
        }
        T_OK (ok, "without shuffling, window k is sample k");
        wb_loader_destroy (l);
    }
    if (T_STATUS (wb_loader_new (&l, parts, 1, T, 7, true), WB_OK) &&
        T_STATUS (wb_loader_new (&twin, parts, 1, T, 8, true), WB_OK)) {
        int64_t moved = 0, other_epoch = 0, other_seed = 0;
        for (int epoch = 0; epoch < 4; epoch++) {
            char *seen = wb_calloc ((size_t) n, 1);
            int64_t once = 0, v;
            for (int64_t k = 0; k < n; k++) {
                wb_loader_where (l, &p, &w, epoch * n + k);
                once += w >= 0 && w < n && seen[w]++ == 0;
                moved += w != k;
                wb_loader_where (l, &p, &v, k);
                other_epoch += v != w;
                wb_loader_where (twin, &p, &v, epoch * n + k);
                other_seed += v != w;
            }
            T_OK (once == n, "epoch %d: %lld of %lld windows", epoch, (long long) once, (long long) n);
            wb_free (seen);
        }
        T_OK (moved > n && other_epoch > n && other_seed > n, "shuffled, each epoch and each seed differently");
        /* no state: any order of asking gives the same */
        bool ok = wb_loader_sample (l, want, 12345) == WB_OK;
        for (int64_t k = 0; k < 50; k++) {
            ok = ok && wb_loader_sample (l, ids, k * 977) == WB_OK;
            wb_loader_prefetch (l, k);
        }
        ok = ok && wb_loader_sample (l, ids, 12345) == WB_OK;
        T_OK (ok && memcmp (ids, want, sizeof ids) == 0, "a pure function");
        T_STATUS (wb_loader_sample (l, ids, (int64_t) 1 << 50), WB_OK);
        wb_loader_destroy (l);
        wb_loader_destroy (twin);
    }
    if (T_STATUS (wb_loader_new (&l, parts, 3, T, 7, true), WB_OK)) {
        T_OK (wb_loader_windows (l) == all, "windows of all");
        double share[3], sum = 0.0, worst = 0.0;
        int64_t had[3] = {0}, next[3] = {0};
        for (int i = 0; i < 3; i++) sum += weights[i];
        for (int i = 0; i < 3; i++) share[i] = weights[i] / sum;
        wb_loader_t *plain;
        bool ordered = true;
        T_STATUS (wb_loader_new (&plain, parts, 3, T, 7, false), WB_OK);
        for (int64_t k = 0; k < 65536; k++) {
            wb_loader_where (l, &p, &w, k);
            had[p]++;
            /* shares are rounded to 1/65536, so within one round of the table they add less than 1 */
            for (int i = 0; i < 3; i++) worst = fmax (worst, fabs ((double) had[i] - share[i] * (double) (k + 1)));
            wb_loader_where (plain, &p, &w, k);
            ordered = ordered && w == next[p]++ % ((wb_tokens_count (parts[p].tokens) - 1) / T);
        }
        T_OK (worst < 1.6, "mixed within %.3f", worst);
        T_OK (ordered, "each file goes on where it was");
        for (int64_t k = 65536; k < 65536 + 50000; k++) { /* the table repeats, the files go on */
            wb_loader_where (plain, &p, &w, k);
            ordered = ordered && w == next[p]++ % ((wb_tokens_count (parts[p].tokens) - 1) / T);
        }
        T_OK (ordered, "also in the second round");
        wb_loader_destroy (plain);
        wb_loader_destroy (l);
    }
    /* the mix itself, with shares that 65,536 divides: never 1 off */
    for (int i = 0; i < 3; i++) parts[i].weight = (double[]){1.0, 5.0, 10.0}[i];
    if (T_STATUS (wb_loader_new (&l, parts, 3, T, 7, true), WB_OK)) {
        int64_t had[3] = {0};
        double worst = 0.0;
        for (int64_t k = 0; k < 200000; k++) {
            wb_loader_where (l, &p, &w, k);
            had[p]++;
            for (int i = 0; i < 3; i++)
                worst = fmax (worst, fabs ((double) had[i] - parts[i].weight / 16.0 * (double) (k + 1)));
        }
        T_OK (worst < 1.0, "mixed within %.3f", worst);
        wb_loader_destroy (l);
    }
    T_STATUS (wb_loader_new (&l, parts, 0, T, 7, true), WB_EUSAGE);
    T_STATUS (wb_loader_new (&l, parts, 1, wb_tokens_count (parts[0].tokens), 7, true), WB_EDATA);
    T_STATUS (wb_loader_new (&l, parts, 1, 0, 7, true), WB_EUSAGE);
    parts[1].weight = 0.0;
    T_STATUS (wb_loader_new (&l, parts, 2, T, 7, true), WB_EUSAGE);
    parts[1].weight = (double) NAN;
    T_STATUS (wb_loader_new (&l, parts, 2, T, 7, true), WB_EUSAGE);
    for (int i = 0; i < 3; i++) wb_tokens_close (parts[i].tokens);
}

int main (void) {
    check_buffers ();
    check_utf8 ();
    check_byte ();
    check_files ();
    check_malformed ();
    check_fuzz ();
    check_loader ();
    check_unreadable ();
    return T_DONE ();
}
