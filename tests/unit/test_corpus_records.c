/* records: archives, packed files, lines of JSON, in whatever state they are */
#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <zlib.h>

#include "t.h"
#include "wabun/corpus.h"

/* What was read: "NAME=BYTES;" of each record, long ones cut; and "KIND:NAME;" of each complaint. */
typedef struct read_all {
    wb_buf_t records, complaints;
    char charsets[200], sites[200]; /* of the first records */
    int64_t n, numbers, bytes;
} read_all_t;

static void complain (void *ctx, const wb_complaint_t *c) {
    read_all_t *all = ctx;
    char text[400];
    const int n = snprintf (text, sizeof text, "%s:%s;", c->kind, wb_file_name (c->name));
    T_STATUS (wb_buf_put (&all->complaints, text, (size_t) n), WB_OK);
    T_OK (c->text[0] != 0, "a complaint without a reason: %s", text);
}

static read_all_t all;

static void read_it (const char *path, const wb_records_options_t *o) {
    wb_records_t *rs;
    wb_record_t r = {0};
    bool more = true;
    wb_buf_fini (&all.records);
    wb_buf_fini (&all.complaints);
    all = (read_all_t){0};
    T_STATUS (wb_buf_put (&all.records, "", 0), WB_OK);
    T_STATUS (wb_buf_put (&all.complaints, "", 0), WB_OK);
    if (!T_STATUS (wb_records_open (&rs, path, o, complain, &all), WB_OK)) return;
    while (T_STATUS (wb_records_next (rs, &r, &more), WB_OK) && more) {
        const char *name = wb_file_name (r.name.data);
        T_OK (r.number >= all.numbers, "numbers go up: %lld", (long long) r.number);
        all.numbers = r.number + 1;
        all.n++;
        all.bytes += (int64_t) r.bytes.len;
        if (all.n > 100) continue;
        if (all.n < 10) {
            snprintf (all.charsets + strlen (all.charsets), 40, "%.30s;", r.charset);
            snprintf (all.sites + strlen (all.sites), 20, "%.10s;", r.site.data);
        }
        T_STATUS (wb_buf_put (&all.records, name, strlen (name)), WB_OK);
        T_STATUS (wb_buf_put (&all.records, "=", 1), WB_OK);
        T_STATUS (wb_buf_put (&all.records, r.bytes.data, r.bytes.len < 40 ? r.bytes.len : 40), WB_OK);
        T_STATUS (wb_buf_put (&all.records, ";", 1), WB_OK);
    }
    T_OK (wb_records_read (rs) > 0, "bytes were read");
    wb_records_close (rs);
    wb_record_fini (&r);
}

static void expect (const char *what, const char *records, const char *complaints) {
    T_OK (strcmp (all.records.data, records) == 0, "%s: records are %.300s, not %.300s", what, all.records.data,
          records);
    T_OK (strcmp (all.complaints.data, complaints) == 0, "%s: complaints are %.300s, not %.300s", what,
          all.complaints.data, complaints);
}

static const char *write_file (const char *name, const void *data, size_t n) {
    const char *path = t_tmp (name);
    T_STATUS (wb_file_write (path, data, n), WB_OK);
    return path;
}

/* ---- writing archives ------------------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name, *data;
    size_t n;         /* 0: strlen */
    const char *link; /* a symbolic link to that */
} entry_t;

static void put_entry (struct archive *a, const entry_t *e) {
    struct archive_entry *entry = archive_entry_new ();
    const size_t n = e->data == NULL ? 0 : e->n > 0 ? e->n : strlen (e->data);
    archive_entry_set_pathname (entry, e->name);
    archive_entry_set_perm (entry, 0644);
    archive_entry_set_filetype (entry, e->link != NULL ? AE_IFLNK : e->data == NULL ? AE_IFDIR : AE_IFREG);
    if (e->link != NULL) archive_entry_set_symlink (entry, e->link);
    archive_entry_set_size (entry, (la_int64_t) n);
    T_OK (archive_write_header (a, entry) == ARCHIVE_OK, "%s: %s", e->name, archive_error_string (a));
    if (n > 0) T_OK (archive_write_data (a, e->data, n) == (la_ssize_t) n, "%s is written", e->name);
    archive_entry_free (entry);
}

static const char *write_archive (const char *name, int format, int filter, const entry_t *entries, int n,
                                  const char *options) {
    const char *path = t_tmp (name);
    struct archive *a = archive_write_new ();
    archive_write_set_format (a, format);
    archive_write_add_filter (a, filter);
    if (options != NULL) T_OK (archive_write_set_options (a, options) == ARCHIVE_OK, "%s", archive_error_string (a));
    if (options != NULL) archive_write_set_passphrase (a, "secret");
    T_OK (archive_write_open_filename (a, path) == ARCHIVE_OK, "%s", archive_error_string (a));
    for (int i = 0; i < n; i++) put_entry (a, &entries[i]);
    T_OK (archive_write_close (a) == ARCHIVE_OK, "%s", archive_error_string (a));
    archive_write_free (a);
    return path;
}

static void test_archives (void) {
    static const entry_t entries[] = {{.name = "d"},
                                      {.name = "d/a.txt", .data = "一番目の文"},
                                      {.name = "../../etc/x", .data = "二番目"},
                                      {.name = "l.txt", .data = "", .link = "d/a.txt"},
                                      {.name = "p.jpg", .data = "\xff\xd8\xff\xe0 picture"},
                                      {.name = "z.jsonl", .data = "{\"text\": \"三\"}\n\n{\"text\": \"四\"}\n"}};
    static const char records[] =
        "a.txt=一番目の文;x=二番目;%s:z.jsonl:1={\"text\": \"三\"};%s:z.jsonl:3={\"text\": \"四\"};";
    static const struct {
        const char *name;
        int format, filter;
        bool links;
    } kinds[] = {{"a.tar", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_NONE, true},
                 {"a.tar.gz", ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_GZIP, true},
                 {"a.tar.bz2", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_BZIP2, true},
                 {"a.tar.xz", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_XZ, true},
                 {"a.tar.zst", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD, true},
                 {"a.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, true},
                 {"a.7z", ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, true}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char want[512];
        const char *path = write_archive (kinds[i].name, kinds[i].format, kinds[i].filter, entries,
                                          sizeof entries / sizeof *entries, NULL);
        snprintf (want, sizeof want, records, kinds[i].name, kinds[i].name);
        read_it (path, NULL);
        char bad[200];
        snprintf (bad, sizeof bad, "not a file:%s:l.txt;not text:%s:p.jpg;", kinds[i].name, kinds[i].name);
        expect (kinds[i].name, want, bad);
    }
}

/* s [n] as one gzip member, appended to b. */
static void gzip (wb_buf_t *b, const char *s, size_t n) {
    z_stream z = {0};
    T_OK (deflateInit2 (&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
    T_STATUS (wb_buf_reserve (b, n + 1024), WB_OK);
    z.next_in = (unsigned char *) (uintptr_t) s;
    z.avail_in = (uInt) n;
    z.next_out = (unsigned char *) b->data + b->len;
    z.avail_out = (uInt) (b->cap - (int64_t) b->len - 1);
    T_OK (deflate (&z, Z_FINISH) == Z_STREAM_END, "deflate");
    b->len = (size_t) ((char *) z.next_out - b->data);
    deflateEnd (&z);
}

/* Lines in members, one of which is damaged. */
static void test_members (void) {
    wb_buf_t b = {0};
    size_t at[5] = {0};
    for (int i = 0; i < 4; i++) {
        char line[64];
        const int n = snprintf (line, sizeof line, "{\"text\": \"%d\"}\n", i);
        gzip (&b, line, (size_t) n);
        at[i + 1] = b.len;
    }
    read_it (write_file ("m.jsonl.gz", b.data, b.len), NULL);
    expect ("members",
            "m.jsonl.gz:1={\"text\": \"0\"};m.jsonl.gz:2={\"text\": \"1\"};m.jsonl.gz:3={\"text\": \"2\"};"
            "m.jsonl.gz:4={\"text\": \"3\"};",
            "");
    wb_buf_t cut = {0}; /* the second lacks its end */
    T_STATUS (wb_buf_put (&cut, b.data, at[2] - 14), WB_OK);
    T_STATUS (wb_buf_put (&cut, b.data + at[2], b.len - at[2]), WB_OK);
    read_it (write_file ("c.jsonl.gz", cut.data, cut.len), NULL);
    T_OK (strstr (all.records.data, "\"0\"") != NULL && strstr (all.records.data, "\"3\"") != NULL, "around a gap: %s",
          all.records.data);
    T_OK (strncmp (all.complaints.data, "broken:c.jsonl.gz;", 18) == 0, "a gap: %s", all.complaints.data);
    read_it (write_file ("t.jsonl.gz", b.data, at[4] - 20), NULL);
    T_OK (all.n == 3 && strcmp (all.complaints.data, "truncated:t.jsonl.gz;") == 0, "cut off: %lld, %s",
          (long long) all.n, all.complaints.data);
    wb_buf_clear (&cut);
    gzip (&cut, "text without an end", 19);
    read_it (write_file ("t.txt.gz", cut.data, cut.len - 12), NULL);
    expect ("a text that is cut off", "", "truncated:t.txt.gz;");
    wb_buf_fini (&cut);
    wb_buf_fini (&b);
}

static void test_nesting (void) {
    wb_buf_t b = {0};
    gzip (&b, "innermost", 9);
    entry_t e = {.name = "i.txt.gz", .data = b.data, .n = b.len};
    char *data = NULL;
    for (int depth = 0; depth < 4; depth++) {
        static const int formats[] = {ARCHIVE_FORMAT_ZIP, ARCHIVE_FORMAT_7ZIP, ARCHIVE_FORMAT_TAR_USTAR,
                                      ARCHIVE_FORMAT_ZIP};
        static const char *const names[] = {"0.zip", "1.7z", "2.tar", "3.zip"};
        const char *path = write_archive (names[depth], formats[depth], ARCHIVE_FILTER_NONE, &e, 1, NULL);
        read_it (path, NULL);
        if (depth == 2) expect ("three archives", "2.tar:1.7z:0.zip:i.txt.gz=innermost;", "");
        if (depth == 3) expect ("four archives", "", "too deep:3.zip:2.tar:1.7z:0.zip;");
        wb_free (data);
        size_t n;
        T_STATUS (wb_file_read (&data, &n, path), WB_OK);
        e = (entry_t){.name = names[depth], .data = data, .n = n};
    }
    wb_free (data);
    wb_buf_fini (&b);
}

static void test_damage (void) {
    static const entry_t two[] = {{.name = "a.txt", .data = "first"}, {.name = "b.txt", .data = "second, longer"}};
    char *data;
    size_t n;
    read_it (write_archive ("e.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, two, 2, "encryption=zipcrypt"), NULL);
    expect ("with a password", "", "encrypted:e.zip:a.txt;encrypted:e.zip:b.txt;");
    const char *path = write_archive ("x.tar", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, two, 2, NULL);
    T_STATUS (wb_file_read (&data, &n, path), WB_OK);
    read_it (write_file ("cut.tar", data, 1024 + 300), NULL);
    expect ("a tar that breaks off", "cut.tar:a.txt=first;", "broken:cut.tar;");
    wb_free (data);
    path = write_archive ("x.7z", ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, two, 2, NULL);
    T_STATUS (wb_file_read (&data, &n, path), WB_OK);
    read_it (write_file ("cut.7z", data, n - 20), NULL);
    expect ("a 7z that breaks off", "", "broken:cut.7z;");
    wb_free (data);
    char nuls[3000] = {0};
    read_it (write_file ("nul.txt", nuls, sizeof nuls), NULL);
    expect ("zeros", "", "not text:nul.txt;");
    read_it (write_file ("empty.zst", "\x28\xb5\x2f\xfd bad zstd", 13), NULL);
    expect ("bad zstd", "", "broken:empty.zst;");
    static const wb_records_options_t small = {.max_bytes = 100, .max_expansion = 10};
    char line[1200];
    memset (line, 'x', sizeof line);
    memcpy (line, "{\"text\": \"1\"}\n{\"text\": \"", 24);
    memcpy (line + 1180, "\"}\n{\"text\": \"3\"}\n", 17);
    read_it (write_file ("long.jsonl", line, 1197), &small);
    expect ("a long line", "long.jsonl:1={\"text\": \"1\"};long.jsonl:3={\"text\": \"3\"};", "too long:long.jsonl;");
    read_it (write_file ("long.txt", line + 100, 1000), &small);
    expect ("a long text", "", "too long:long.txt;");
}

/* Far more comes out than went in: what was read is bounded. */
static void test_bomb (void) {
    static const wb_records_options_t small = {.max_bytes = 1 << 20, .max_expansion = 100};
    const size_t n = (size_t) 64 << 20;
    char *zeros = wb_malloc (n);
    memset (zeros, 'a', n);
    for (size_t i = 63; i < n; i += 64) zeros[i] = '\n';
    wb_buf_t b = {0};
    gzip (&b, zeros, n);
    read_it (write_file ("bomb.gz", b.data, b.len), &small);
    T_OK (all.n > 4 && all.n < 30 && strcmp (all.complaints.data, "bomb:bomb.gz;") == 0, "%lld pieces: %s",
          (long long) all.n, all.complaints.data);
    read_it (write_file ("bomb.jsonl.gz", b.data, b.len), &small);
    T_OK (all.n > 100000 && all.n < 300000 && strcmp (all.complaints.data, "bomb:bomb.jsonl.gz;") == 0,
          "%lld lines: %s", (long long) all.n, all.complaints.data);
    const entry_t e[] = {{.name = "1", .data = zeros, .n = n}, {.name = "2", .data = zeros, .n = n}};
    read_it (write_archive ("bomb.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, e, 2, NULL), &small);
    T_OK (all.n > 4 && all.n < 60 && strstr (all.complaints.data, "bomb.zip:1") != NULL, "zip: %lld, %s",
          (long long) all.n, all.complaints.data);
    T_OK (wb_mem_rss_peak () < (size_t) 400 << 20, "memory: %zu", wb_mem_rss_peak ());
    wb_buf_fini (&b);
    wb_free (zeros);
}

static void test_lines (void) {
    read_it (write_file ("by-content", "\xef\xbb\xbf{\"text\": \"a\"}\r\n \n{\"text\": \"b\"}", 33), NULL);
    expect ("by the first line", "by-content:1={\"text\": \"a\"};by-content:3={\"text\": \"b\"};", "");
    static const wb_records_options_t text = {.form = WB_FORM_TEXT};
    read_it (t_tmp ("by-content"), &text);
    T_OK (all.n == 1, "as text: %lld records", (long long) all.n);
}

/* ---- crawls and dumps -------------------------------------------------------------------------------------------- */

static void put (wb_buf_t *b, const char *s, size_t n) { T_STATUS (wb_buf_put (b, s, n), WB_OK); }

/* A record of a WARC, in a gzip member of its own where `packed`. */
static void put_warc (wb_buf_t *b, const char *type, const char *uri, const char *content, const char *block, size_t n,
                      bool packed) {
    wb_buf_t r = {0};
    char head[512];
    const int k = snprintf (head, sizeof head,
                            "WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: %s\r\nContent-Type: %s\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            type, uri, content, n);
    put (&r, head, (size_t) k);
    put (&r, block, n);
    put (&r, "\r\n\r\n", 4);
    if (packed)
        gzip (b, r.data, r.len);
    else
        put (b, r.data, r.len);
    wb_buf_fini (&r);
}

static void put_page (wb_buf_t *b, const char *uri, const char *block, bool packed) {
    put_warc (b, "response", uri, "application/http;msgtype=response", block, strlen (block), packed);
}

static void put_pages (wb_buf_t *b, bool packed) {
    put_warc (b, "warcinfo", "http://a.jp/", "application/warc-fields", "x: y", 4, packed);
    put_warc (b, "request", "http://a.jp/", "application/http;msgtype=request", "GET /", 5, packed);
    put_page (b, "<http://a.jp:80/1>", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\"Shift_JIS\"\r\n\r\n<p>1",
              packed);
    put_page (b, "http://a.jp/2", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>2", packed);
    put_page (b, "http://a.jp/3", "HTTP/1.1 200 OK\nContent-Type: image/png\n\n3", packed);
    put_page (
        b, "http://b.jp/4",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/plain\r\n\r\n2\r\nab\r\n3;x\r\ncde\r\n"
        "0\r\n\r\n",
        packed);
    put_page (b, "http://b.jp/5", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunks", packed);
    put_page (b, "http://b.jp/6", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nunpacked", packed);
    put_page (b, "http://b.jp/7", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxx", packed);
    put_page (b, "http://b.jp/robots.txt", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nDisallow: /", packed);
    put_warc (b, "conversion", "http://c.jp/8", "text/plain", "八", 3, packed);
    put_warc (b, "resource", "http://c.jp/9", "text/html", "<p>9", 4, packed);
    put_warc (b, "resource", "metadata://gnu.org/wget.log", "text/plain", "log", 3, packed);
    wb_buf_t z = {0};
    put (&z, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n", 72);
    z.len = strlen (z.data);
    gzip (&z, "<p>10", 5);
    put_warc (b, "response", "http://d.jp/10", "application/http", z.data, z.len, packed);
    wb_buf_fini (&z);
}

static void test_warc (void) {
    static const char records[] = "1=<p>1;4=abcde;5=no chunks;6=unpacked;8=八;9=<p>9;10=<p>10;";
    for (int packed = 0; packed < 2; packed++) {
        wb_buf_t b = {0};
        put_pages (&b, packed);
        const char *path = write_file (packed ? "w.warc.gz" : "w.warc", b.data, b.len);
        read_it (path, NULL);
        expect (packed ? "gzip" : "plain", records, "not 200:2;not text:3;not text:7;");
        T_OK (strcmp (all.charsets, "shift_jis;;;;utf-8;;;") == 0, "encodings: %s", all.charsets);
        T_OK (strcmp (all.sites, "a.jp;b.jp;b.jp;b.jp;c.jp;c.jp;d.jp;") == 0, "hosts: %s", all.sites);
        /* A record that is cut off, and one after it; garbage between records. */
        wb_buf_t cut = {0};
        put_page (&cut, "http://x.jp/1", "HTTP/1.1 200 OK\r\n\r\nThis one is whole.", packed);
        const size_t whole = cut.len;
        put_page (&cut, "http://x.jp/2", "HTTP/1.1 200 OK\r\n\r\nThis one lacks its end, which is here.", packed);
        cut.len = packed ? cut.len - 30 : cut.len;
        if (!packed) put (&cut, "no record at all\n", 17);
        put_page (&cut, "http://x.jp/3", "HTTP/1.1 200 OK\r\n\r\nThis one comes after.", packed);
        read_it (write_file (packed ? "c.warc.gz" : "c.warc", cut.data, cut.len), NULL);
        T_OK (strstr (all.records.data, "1=This one is whole.;") != NULL &&
                  strstr (all.records.data, "3=This one comes after.;") != NULL &&
                  (strstr (all.records.data, "2=") == NULL) == packed &&
                  strstr (all.complaints.data, "broken:") != NULL,
              "%d: %s %s", packed, all.records.data, all.complaints.data);
        read_it (write_file (packed ? "t.warc.gz" : "t.warc", cut.data, whole + 40), NULL);
        T_OK (all.n == 1 && all.complaints.len > 0, "cut off: %s %s", all.records.data, all.complaints.data);
        wb_buf_fini (&cut);
        wb_buf_fini (&b);
    }
}

static void test_dump (void) {
    static const char dump[] =
        "<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.10/\" version=\"0.10\" xml:lang=\"ja\">\n"
        "<siteinfo><sitename>x</sitename></siteinfo>\n"
        "<page><title>猫</title><ns>0</ns><id>1</id><revision><id>2</id><model>wikitext</model>"
        "<text xml:space=\"preserve\">'''猫'''は&lt;b&gt;&amp;amp; [[犬]]</text></revision></page>\n"
        "<page><title>ノート:猫</title><ns>1</ns><revision><text>talk</text></revision></page>\n"
        "<page><title>ねこ</title><ns>0</ns><redirect title=\"猫\" "
        "/><revision><text>#REDIRECT</text></revision></page>\n"
        "<page><title>空</title><ns>0</ns><revision><text /></revision></page>\n"
        "<page><title>犬</title><ns>0</ns><revision><text>一</text></revision><revision><text>二</text></revision></"
        "page>\n"
        "</mediawiki>\n";
    const char *path = write_file ("d.xml", dump, sizeof dump - 1);
    read_it (path, NULL);
    expect ("a dump", "d.xml:猫='''猫'''は<b>&amp; [[犬]];d.xml:犬=二;", "");
    const entry_t e = {.name = "d.xml", .data = dump};
    read_it (write_archive ("d.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, &e, 1, NULL), NULL);
    T_OK (all.n == 2, "in an archive: %s", all.records.data);
    read_it (write_file ("cut.xml", dump, 500), NULL);
    expect ("cut off", "cut.xml:猫='''猫'''は<b>&amp; [[犬]];", "truncated:cut.xml;");
    static const char laughs[] =
        "<!DOCTYPE mediawiki [<!ENTITY a \"aaaaaaaaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>"
        "<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.10/\"><page><title>x</title><ns>0</ns>"
        "<revision><text>&d;y</text></revision></page></mediawiki>";
    read_it (write_file ("laughs.xml", laughs, sizeof laughs - 1), NULL);
    T_OK (all.bytes < 1000, "entities are not expanded: %lld bytes", (long long) all.bytes);
}

static void test_errors (void) {
    wb_records_t *rs;
    T_STATUS (wb_records_open (&rs, t_tmp ("nothing"), NULL, NULL, NULL), WB_EIO);
    T_STATUS (wb_records_open (&rs, t_tmp (""), NULL, NULL, NULL), WB_EIO);
}

int main (void) {
    test_archives ();
    test_members ();
    test_nesting ();
    test_damage ();
    test_bomb ();
    test_lines ();
    test_warc ();
    test_dump ();
    test_errors ();
    wb_buf_fini (&all.records);
    wb_buf_fini (&all.complaints);
    return T_DONE ();
}
