/* records: plain text with several documents in it, long text, JSON objects over several lines */
#include "config.h"

#include <string.h>

#include "corpus/values.h"
#include "t.h"
#include "wabun/corpus.h"

/* "N=TEXT;" of each record, N what its name has after the file's, long ones cut; "KIND:TEXT;" of each complaint. */
static wb_buf_t records, complaints;
static int64_t number, longest;

static void put (wb_buf_t *b, const char *s, size_t n) { T_STATUS (wb_buf_put (b, s, n), WB_OK); }

static void complain (void *ctx, const wb_complaint_t *c) {
    char text[400];
    (void) ctx;
    const int n = snprintf (text, sizeof text, "%s:%s;", c->kind, c->text);
    put (&complaints, text, (size_t) n);
}

static void read_it (const char *name, const void *data, size_t n, const wb_records_options_t *o) {
    wb_records_t *rs;
    wb_record_t r = {0};
    wb_extractor_t *x;
    wb_document_t d = {0};
    wb_complaint_t why;
    bool more = true, got;
    wb_buf_clear (&records);
    wb_buf_clear (&complaints);
    put (&records, "", 0);
    put (&complaints, "", 0);
    number = longest = 0;
    const char *path = t_tmp (name);
    T_STATUS (wb_file_write (path, data, n), WB_OK);
    T_STATUS (wb_extractor_new (&x, NULL), WB_OK);
    if (!T_STATUS (wb_records_open (&rs, path, o, complain, NULL), WB_OK)) return;
    while (T_STATUS (wb_records_next (rs, &r, &more), WB_OK) && more) {
        number++;
        if ((int64_t) r.bytes.len > longest) longest = (int64_t) r.bytes.len;
        T_STATUS (wb_extract (x, &d, &got, &why, &r), WB_OK);
        if (!got) complain (NULL, &why);
        if (!got || number > 100) continue;
        put (&records, r.name.data + strlen (path), r.name.len - strlen (path));
        put (&records, "=", 1);
        put (&records, d.text.data, d.text.len < 60 ? d.text.len : 60);
        put (&records, ";", 1);
    }
    wb_records_close (rs);
    wb_record_fini (&r);
    wb_document_fini (&d);
    wb_extractor_destroy (x);
}

static void expect (const char *what, const char *want, const char *complaint) {
    T_OK (strcmp (records.data, want) == 0, "%s: records are [%.300s], not [%.300s]", what, records.data, want);
    T_OK (strcmp (complaints.data, complaint) == 0, "%s: complaints are %.300s, not %.300s", what, complaints.data,
          complaint);
}

#define READ(name, s, o) read_it (name, s, sizeof (s) - 1, o)

static void test_marks (void) {
    READ ("m.txt",
          "一\n二\n<|endoftext|>\n三\n<|endoftext|>\r\n\n<|endoftext|>\n四 <|endoftext|>\n<|endoftext|> \n五\n", NULL);
    expect ("marks", ":1=一\n二\n;:2=三\n;:4=四 <|endoftext|>\n<|endoftext|> \n五\n;", "");
    READ ("n.txt", "<|endoftext|>\n一<|endoftext|>\n<|endoftext|>", NULL);
    expect ("a mark first and last", ":2=一<|endoftext|>\n;", "");
    READ ("o.txt", "一\n<|endoftext|", NULL);
    expect ("no mark", "=一\n<|endoftext|;", "");
    READ ("p.txt", "<|endoftext|>\n\n<|endoftext|>\n", NULL);
    expect ("nothing but marks", "", "empty:no bytes;");
    READ ("q.html",
          "<html><pre>\n<|endoftext|>\n</pre>これは長い文で、頁の中にあり、印の後にも続くので、頁として残る。"
          "そうでなければ、ここに二つの文書があることになってしまい、頁の始まりと終わりが別々になる。</html>",
          NULL);
    T_OK (number == 1, "a page is one record: %lld", (long long) number);
    READ ("r.txt", "［＃ここから］一\n<|endoftext|>\n二\n", NULL);
    T_OK (number == 2, "Aozora Bunko's notes: %lld", (long long) number);
}

/* The same text in other encodings. */
static void test_encodings (void) {
    static const char *const names[] = {"CP932", "EUC-JP", "ISO-2022-JP", "UTF-16", "UTF-16LE", "UTF-32"};
    static const char text[] = "メロスは激怒した。必ず、かの邪智暴虐の王を除かなければならぬと決意した。\n"
                               "<|endoftext|>\r\n王は、\n<|endoftext|>\n笑った。\n";
    T_STATUS (wb_file_write (t_tmp ("u.txt"), text, sizeof text - 1), WB_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char command[512], *data;
        size_t n;
        snprintf (command, sizeof command, "iconv -f UTF-8 -t %s <%s >%s", names[i], t_tmp ("u.txt"), t_tmp ("x.txt"));
        T_OK (system (command) == 0, "%s", command);
        T_STATUS (wb_file_read (&data, &n, t_tmp ("x.txt")), WB_OK);
        read_it ("y.txt", data, n, NULL);
        expect (names[i], ":1=メロスは激怒した。必ず、かの邪智暴虐の王;:2=王は、\n;:3=笑った。\n;", "");
        wb_free (data);
    }
}

static void test_long (void) {
    static const wb_records_options_t small = {.max_bytes = 400, .max_text = 200};
    wb_buf_t b = {0};
    for (int i = 0; i < 30; i++) {
        char line[16];
        const int n = snprintf (line, sizeof line, "line %02d..\n%s", i, i % 6 == 5 ? "\n" : "");
        put (&b, line, (size_t) n);
    }
    read_it ("l.txt", b.data, b.len, &small); /* at an empty line after 50 bytes */
    T_OK (number == 5 && longest == 61 && strncmp (records.data, ":1=line 00..\n", 13) == 0 &&
              strstr (records.data, ";:5=line 24..\n") != NULL && complaints.len == 0,
          "%lld pieces, of %lld bytes at most: %s %s", (long long) number, (long long) longest, records.data,
          complaints.data);
    for (size_t i = 0; i + 1 < b.len; i++)
        if (b.data[i] == '\n' && b.data[i + 1] == '\n') b.data[i] = '.';
    read_it ("e.txt", b.data, b.len, &small); /* at a line end after 100 */
    T_OK (number == 3 && longest < 105, "without empty lines: %lld pieces, of %lld bytes at most", (long long) number,
          (long long) longest);
    memmove (b.data + 113, "<|endoftext|>\n", 14);
    b.data[112] = '\n';
    read_it ("s.txt", b.data, b.len, &small);
    T_OK (number == 2 && longest == 178, "two documents, not too long: %lld, of %lld bytes at most", (long long) number,
          (long long) longest);
    wb_buf_clear (&b);
    put (&b, "first\n", 6);
    for (int i = 0; i < 500; i++) put (&b, "xy", 2);
    put (&b, "\nlast\n", 6);
    read_it ("w.txt", b.data, b.len, &small);
    expect ("a line that is too long", ":1=first\n;:3=last\n;", "too long:a line of more than 400 bytes;");
    read_it ("v.txt", b.data, b.len - 6, &small);
    expect ("... and last", ":1=first\n;", "too long:a line of more than 400 bytes;");
    wb_buf_fini (&b);
}

static void test_values (void) {
    READ ("a.json",
          "[\n  {\n    \"id\": 7,\n    \"text\": \"一\\\"}]{\"\n  },\n  { \"a\": [{}, 1], \"text\": \"二\" }\n]\n",
          NULL);
    expect ("a list", ":1=一\"}]{;:2=二;", "");
    READ ("b.json", "\xef\xbb\xbf{\n  \"text\": \"一\"\n}\n", NULL);
    expect ("an object", ":1=一;", "");
    READ ("c.json", "{\n  \"name\": \"一\", \"list\": [{\"text\": \"二\"}]\n}\n", NULL);
    expect ("no text in it", "", "no text field:no string \"text\" in this object;");
    READ ("d.json", "[1, 2, \"{\", {\"text\": \"三\"}, null]", NULL);
    expect ("a list of all sorts", ":1=三;", "no text field:JSON that is no object, before object 1;");
    READ ("e.json", "[[{\"text\": \"一\"}],\n{\"text\": 2},{\"text\": \"三\",},{\"text\": \"四\"", NULL);
    T_OK (strcmp (records.data, ":1=一;") == 0 && strstr (complaints.data, "no text field:") != NULL &&
              strstr (complaints.data, "not JSON:") != NULL &&
              strstr (complaints.data, "truncated:it breaks off in object 4;") != NULL,
          "damage: %s %s", records.data, complaints.data);
    READ ("f.txt", "{ これは文。\n\"引用\" }\n", NULL);
    expect ("a text with a brace", "={ これは文。\n\"引用\" }\n;", "");
    READ ("g", "[{\"text\": \"一\"}, {\"text\": \"二\"}]", NULL);
    expect ("by its content", ":1=一;:2=二;", "");
    static const wb_records_options_t small = {.max_bytes = 100}, json = {.form = WB_FORM_JSON};
    wb_buf_t b = {0};
    put (&b, "[{\"text\": \"", 11);
    for (int i = 0; i < 300000; i++) put (&b, "}", 1);
    put (&b, "\"}, {\"text\": \"二\"}]", 19);
    read_it ("h.json", b.data, b.len, &small);
    expect ("an object that is too long", ":2=二;", "too long:object 1: more than 100 bytes;");
    wb_buf_fini (&b);
    READ ("i.txt", "[\n {\"text\":\n\"一\"}]", &json);
    expect ("as the user says", ":1=一;", "");
    READ ("j.txt", "{\"text\": 1\n{\"text\": \"二\"}\n", &json);
    T_OK (strcmp (records.data, ":2=二;") == 0, "lines, a bad one first: %s %s", records.data, complaints.data);
    T_OK (wb_values_have_key ("{ \"a\" : {\"b\": [\"c\"]} , \"c\": \"", 30, "c"), "a key");
    T_OK (!wb_values_have_key ("{ \"a\" : {\"c\": [\"c\"]} , \"d\": \"c\"}", 34, "c"), "no key, but values");
}

int main (void) {
    test_marks ();
    test_encodings ();
    test_long ();
    test_values ();
    wb_buf_fini (&records);
    wb_buf_fini (&complaints);
    return T_DONE ();
}
