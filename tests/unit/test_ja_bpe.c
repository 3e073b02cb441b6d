/* ja-bpe with a small vocabulary of its own: order of steps, emoji, matching, bad vocabularies
 */
#include "config.h"

#include <string.h>

#include "t.h"
#include "tokenizer/tokenizer_priv.h"

/* ---- golden cases ---------------------------------------------------------------------------------------------- */

static char *lines[1024]; /* of the vocabulary */
static int nlines;

static void read_lines (void) {
    char *data;
    size_t n;
    if (!T_STATUS (wb_file_read (&data, &n, t_src ("tests/golden/bpe/ja-bpe.txt")), WB_OK)) return;
    for (char *s = data; s != NULL && nlines < 1024;) {
        char *end = strchr (s, '\n');
        if (end != NULL) *end++ = 0;
        lines[nlines++] = wb_strdup (s);
        s = end;
    }
    wb_free (data);
}

static int id_of (const char *word) {
    for (int i = 0; i < nlines; i++)
        if (strcmp (lines[i], word) == 0) return i;
    return -1;
}

/* Words separated by blanks; what is no word of the vocabulary stands for its bytes. */
static wb_status ids_from (wb_ids_t *out, const char *words) {
    char word[256], byte[32];
    for (const char *s = words; *s != 0;) {
        size_t n = strcspn (s, " ");
        snprintf (word, sizeof word, "%.*s", (int) n, s);
        s += n + (s[n] == ' ');
        if (id_of (word) >= 0) {
            WB_TRY (wb_ids_put (out, id_of (word)));
            continue;
        }
        for (const char *p = word; *p != 0; p++) {
            snprintf (byte, sizeof byte, "<|byte%d|>", (unsigned char) *p);
            WB_TRY (wb_ids_put (out, id_of (byte)));
        }
    }
    return WB_OK;
}

static void print_ids (const char *what, const wb_ids_t *v) {
    fprintf (stderr, "  %s:", what);
    for (int64_t i = 0; i < v->len; i++) fprintf (stderr, " %s", lines[v->data[i]]);
    fputc ('\n', stderr);
}

static void expect (const wb_tokenizer_t *t, const char *text, size_t n, bool clean, const char *words) {
    wb_ids_t got = {0}, want = {0};
    T_STATUS (wb_tokenizer_encode (t, &got, text, n, clean), WB_OK);
    T_STATUS (ids_from (&want, words), WB_OK);
    bool same = got.len == want.len && (got.len == 0 || memcmp (got.data, want.data, (size_t) got.len * 4) == 0);
    if (!T_OK (same, "%s%s", clean ? "clean: " : "", text)) {
        print_ids ("got     ", &got);
        print_ids ("expected", &want);
    }
    wb_ids_fini (&got);
    wb_ids_fini (&want);
}

static const struct {
    bool clean;
    const char *text, *words;
} cases[] = {
    /* the longest of two characters, from the left; then one; then bytes */
    {false, "", ""},
    {false, "日本日", "日本 日"},
    {false, "本日本", "本日 本"},
    {false, "山川山", "山川 山"},
    {false, "るるる", "るる る"},
    {false, "あいう", "あい う"},
    {false, "𠮷野𠮷", "𠮷野 𠮷"},
    {false, "犬鼠", "犬 鼠"},
    {false, "\xc2\xa0\xe2\x80\x83\x0b\x0c", "\xc2\xa0 \xe2\x80\x83 \x0b \x0c"}, /* other blanks are no <SP> */
    {false, "\xef\xbb\xbf猫", "\xef\xbb\xbf 猫"},                               /* nor is a BOM anything */
    /* blanks, line ends, dashes */
    {false, "猫 犬　山", "猫 <SP> 犬 <SP> 山"},
    {false, "猫\r\n犬\n山\r川\n\r", "猫 <BR> 犬 <BR> 山 <BR> 川 <BR> <BR>"},
    {false, "猫\t犬", "猫 <TAB> 犬"},
    {false, "—−ー", "ーー ー"},
    /* tags in the text are tags; an open one is characters */
    {false, "<SP><BR><|endoftext|><|byte227|><URL>", "<SP> <BR> <|endoftext|> <|byte227|> <URL>"},
    {false, "<|endoftext", "< | e n d o f t e x t"},
    {false, "<|emoji1|><", "<|emoji1|> <"},
    {false, "<<SP>", "< <SP>"},
    {false, "<S P>", "< S <SP> P >"},
    /* emoji: in the order of the file, whatever is longer or further left */
    {false, "☀☁", "<|emoji1|> ☁"},
    {false, "🐈🐕🐈", "<|emoji2|> <|emoji3|>"},
    {false, "🐈🐈🐕🐕", "<|emoji3|> <|emoji2|> <|emoji1|>"},
    {false, "🇯🇵🇶", "🇯 <|emoji1|>"},
    {false, "🇯🇵🇯🇵🇶🇵", "<|emoji2|> 🇯 <|emoji1|> 🇵"},
    {false, "(—o−)", "<|emoji3|>"},         /* dashes changed before */
    {false, "(o o)", "( o <SP> o )"},       /* a key with a blank never matches */
    {false, "1⃣ 1", "<|emoji1|> <SP> 1"},    /* begins with a digit */
    {true, "（！）（！", "<|emoji2|> ( !"}, /* full width narrowed after */
    {false, "（！", "（ ！"},
    /* clean: narrow, then address, e-mail, telephone, date, era, price */
    {true, "ａ１～〜", "a 1 ~ 〜"},
    {true, "＜URL＞", "<URL>"},
    {true, "見http://a.b/?c=1#x。https://、ftp://a b", "見 <URL> 。 h t t p s : / / 、 <URL> <SP> b"},
    {true, "ab.c+1@x-y.co.jp あ@a @", "<EMAIL> <SP> あ <EMAIL> <SP> @"},
    {true, "(03)1234-5678", "<TEL>"},
    {true, "1234567", "<TEL>"},
    {true, "123456", "1 2 3 4 5 6"},
    {true, "1234567890123", "<TEL> 3"},
    {true, "2020年1月1日", "<DATE>"},
    {true, "2020年", "2 0 2 0 年"},
    {true, "1月1日10時30分", "<DATE> 時 3 0 分"},
    {true, "12月10日", "<DATE> 日"},
    {true, "12月3日", "<DATE>"},
    {true, "1/2/3", "<DATE> / 3"},
    {true, "3-", "<DATE>"},
    {true, "13月", "1 <DATE>"},
    {true, "令和3年1月1日", "令 和 3 年 <DATE>"},
    {true, "1月1日(月)", "<DATE>"},
    {true, "٣月", "٣ 月"},        /* the month is ASCII only */
    {true, "1月1日٣٣", "<DATE>"}, /* what follows is any digit */
    {true, "円", "<PRICE>"},
    {true, "1,000円(税込)", "<PRICE>"},
    {true, "2億3万5千円", "<PRICE>"},
    {true, "三千円", "三 <PRICE>"},
    {true, "5千万円", "<PRICE>"},
    {true, "0円012ドル", "<PRICE> <PRICE>"},
    {true, "1万人", "1 万 人"},
};

static void check_cases (const wb_tokenizer_t *t) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect (t, cases[i].text, strlen (cases[i].text), cases[i].clean, cases[i].words);
    expect (t, "猫\0犬", 7, true, "猫 <|byte0|> 犬");
    /* malformed: one token a byte, U+FFFD where there is no token; cut short at the end of what is given */
    expect (t, "\xe7\x8c猫\x80\xff", 7, false, "<|byte231|> <|byte140|> 猫 <|byte128|> \xef\xbf\xbd");
    expect (t, "\xed\xa0\x80", 3, true, "<|byte237|> <|byte160|> <|byte128|>");
    expect (t, "猫犬", 5, false, "猫 <|byte231|> <|byte138|>");
    expect (t, "<\xf0\x9f", 3, false, "< <|byte240|> <|byte159|>");
}

/* Text longer than the pieces it is worked off in: the parts together must be the whole. */
static void check_pieces (const wb_tokenizer_t *t) {
    wb_buf_t text = {0};
    wb_ids_t whole = {0}, sum = {0};
    uint64_t k = 0;
    while (text.len < 300000) {
        wb_ids_clear (&sum);
        const char *s = cases[wb_rng_u64 (1, 2, k++) % (sizeof cases / sizeof cases[0])].text;
        T_OK (wb_buf_put (&text, s, strlen (s)) == WB_OK && wb_buf_put (&text, "。\n", 4) == WB_OK, "put");
    }
    wb_ids_clear (&sum);
    T_STATUS (wb_tokenizer_encode (t, &whole, text.data, text.len, true), WB_OK);
    for (char *s = text.data, *end; s < text.data + text.len; s = end) {
        end = (char *) memchr (s, '\n', (size_t) (text.data + text.len - s)) + 1;
        if (wb_tokenizer_encode (t, &sum, s, (size_t) (end - s), true) != WB_OK) break;
    }
    T_OK (whole.len == sum.len && memcmp (whole.data, sum.data, (size_t) sum.len * 4) == 0, "pieces");
    wb_buf_fini (&text);
    wb_ids_fini (&whole);
    wb_ids_fini (&sum);
}

static void check_decode (const wb_tokenizer_t *t) {
    static const char *const words =
        "猫 <SP> <BR> <TAB> <URL> <|emoji3|> <|endoftext|> <|byte240|> <|byte159|> <|byte152|> 犬 "
        "<|byte237|> <|byte160|> <|byte128|> <|byte227|> <|byte129|> <|byte130|> <|byte227|>";
    static const char want[] =
        "猫 \n\t<URL>(ーoー)<|endoftext|>\xef\xbf\xbd犬\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdあ\xef\xbf\xbd";
    wb_ids_t ids = {0};
    wb_buf_t text = {0}, stream = {0};
    T_STATUS (ids_from (&ids, words), WB_OK);
    T_STATUS (wb_tokenizer_decode (t, &text, ids.data, ids.len), WB_OK);
    T_OK (text.len == sizeof want - 1 && memcmp (text.data, want, text.len) == 0, "decoded: %s", text.data);
    int32_t bytes = 0;
    for (int64_t i = 0; i < ids.len; i++) bytes += wb_tokenizer_id_bytes (t, ids.data[i]);
    T_OK (bytes == 3 + 1 + 1 + 1 + 5 + 9 + 0 + 3 + 3 + 3 + 4, "id_bytes: %d", (int) bytes);
    /* the stream says the same, with ids at random */
    for (uint64_t k = 0; k < 20000; k++)
        T_OK (wb_ids_put (&ids, (int32_t) (wb_rng_u64 (7, 7, k) % (uint64_t) wb_tokenizer_size (t))) == WB_OK, "put");
    wb_buf_clear (&text);
    T_STATUS (wb_tokenizer_decode (t, &text, ids.data, ids.len), WB_OK);
    wb_stream_t *s;
    if (T_STATUS (wb_stream_new (&s, t), WB_OK)) {
        bool ok = true;
        for (int64_t i = 0; i < ids.len; i++) ok = ok && wb_stream_put (s, &stream, ids.data[i], false) == WB_OK;
        ok = ok && wb_stream_put (s, &stream, -1, true) == WB_OK;
        size_t at;
        T_OK (ok && stream.len == text.len && memcmp (stream.data, text.data, text.len) == 0, "stream");
        T_OK (wb_utf8_valid (stream.data, stream.len, &at), "decoded text is UTF-8");
        wb_stream_destroy (s);
    }
    int32_t bad = wb_tokenizer_size (t);
    T_STATUS (wb_tokenizer_decode (t, &text, &bad, 1), WB_EDATA);
    wb_ids_fini (&ids);
    wb_buf_fini (&text);
    wb_buf_fini (&stream);
}

/* Text on which a plain backtracker needs exponential or quadratic time. */
static void check_hard (const wb_tokenizer_t *t) {
    static const char *const bits[] = {"1٣",  "1",       "a",   "12,345", ".", "(",     "1月",
                                       "1億", "http://", "１٣", "1,000",  "0", "9月1日"};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        wb_buf_t text = {0};
        wb_ids_t ids = {0};
        for (int k = 0; k < 40000; k++)
            if (wb_buf_put (&text, bits[i], strlen (bits[i])) != WB_OK) return;
        double before = wb_now ();
        T_STATUS (wb_tokenizer_encode (t, &ids, text.data, text.len, true), WB_OK);
        T_OK (wb_now () - before < 5.0, "%s: %.1f s", bits[i], wb_now () - before);
        wb_buf_fini (&text);
        wb_ids_fini (&ids);
    }
}

static void check_random_bytes (const wb_tokenizer_t *t) {
    char s[512];
    wb_ids_t ids = {0};
    wb_buf_t text = {0};
    for (uint64_t k = 0; k < 2000; k++) {
        size_t n = wb_rng_u64 (9, 0, k) % sizeof s, at;
        for (size_t i = 0; i < n; i++) s[i] = (char) wb_rng_u64 (9, k + 1, i);
        char *exact = wb_malloc (n + 1); /* so that a read past the end is noticed */
        memcpy (exact, s, n);
        wb_ids_clear (&ids);
        wb_buf_clear (&text);
        T_OK (wb_tokenizer_encode (t, &ids, exact, n, k % 2 == 0) == WB_OK, "encode");
        T_OK (wb_tokenizer_decode (t, &text, ids.data, ids.len) == WB_OK, "decode");
        T_OK (wb_utf8_valid (text.data, text.len, &at), "valid");
        wb_free (exact);
    }
    wb_ids_fini (&ids);
    wb_buf_fini (&text);
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

/* A vocabulary with one line changed (to NULL: left out), or one more line; emoji.json as given or the golden one. */
static wb_status load_with (wb_tokenizer_t **out, const char *line, const char *instead, const char *more,
                            const char *emoji, const char *between) {
    wb_buf_t words = {0};
    for (int i = 0; i < nlines; i++) {
        const char *s = line != NULL && strcmp (lines[i], line) == 0 ? instead : lines[i];
        if (s == NULL) continue;
        if (words.len > 0) WB_TRY (wb_buf_put (&words, between, strlen (between)));
        WB_TRY (wb_buf_put (&words, s, strlen (s)));
    }
    if (more != NULL) WB_TRY (wb_buf_put (&words, more, strlen (more)));
    const char *dir = t_tmp ("vocab");
    WB_TRY (wb_dir_make (dir));
    WB_TRY (wb_file_write (t_tmp ("vocab/ja-bpe.txt"), words.data, words.len));
    wb_buf_fini (&words);
    if (emoji != NULL)
        WB_TRY (wb_file_write (t_tmp ("vocab/emoji.json"), emoji, strlen (emoji)));
    else
        WB_TRY (wb_file_copy (t_tmp ("vocab/emoji.json"), t_src ("tests/golden/bpe/emoji.json")));
    return wb_tokenizer_new (out, dir);
}

static void refuse (const char *what, const char *line, const char *instead, const char *more, const char *emoji,
                    const char *message) {
    wb_tokenizer_t *t = NULL;
    wb_status status = load_with (&t, line, instead, more, emoji, "\n");
    T_OK (status == WB_EDATA && t == NULL, "%s: status %d", what, (int) status);
    T_OK (strstr (wb_error_get ()->text, message) != NULL, "%s: %s", what, wb_error_get ()->text);
    wb_error_clear ();
    wb_tokenizer_destroy (t);
}

#define INV "\"emoji_inv\": {\"<|emoji1|>\": \"x\", \"<|emoji2|>\": \"y\", \"<|emoji3|>\": \"z\"}"

static void check_loading (void) {
    wb_tokenizer_t *t = NULL;
    refuse ("duplicate", "猫", "犬", NULL, NULL, "duplicate entry: 犬");
    refuse ("no end of text", "<|endoftext|>", NULL, NULL, NULL, "<|endoftext|>");
    refuse ("no <SP>", "<SP>", NULL, NULL, NULL, "no entry <SP>");
    refuse ("no <TAB>", "<TAB>", NULL, NULL, NULL, "no entry <TAB>");
    refuse ("no byte token", "<|byte128|>", NULL, NULL, NULL, "no entry <|byte128|>");
    refuse ("a byte token of no byte", "<|byte254|>", "<|byte999|>", NULL, NULL, "<|byte999|>");
    refuse ("an empty line", "猫", "", NULL, NULL, "empty entry");
    refuse ("not UTF-8", "猫", "\xe7\x8c", NULL, NULL, "not UTF-8");
    refuse ("an emoji without a face", "猫", "<|emoji9|>", NULL, NULL, "emoji_inv");
    refuse ("not JSON", NULL, NULL, NULL, "{\n\n\"emoji\": {,}}", "emoji.json:3");
    refuse ("no emoji", NULL, NULL, NULL, "{" INV "}", "\"emoji\"");
    refuse ("no emoji_inv", NULL, NULL, NULL, "{\"emoji\": {}}", "\"emoji_inv\"");
    refuse ("a tag that is no string", NULL, NULL, NULL, "{\"emoji\": {\n\"x\": 1}, " INV "}", "emoji.json:2");
    refuse ("an empty key", NULL, NULL, NULL, "{\"emoji\": {\"\": \"x\"}, " INV "}", "empty key");
    refuse ("a list", NULL, NULL, NULL, "[]", "emoji");

    /* Python's text mode: CRLF folds, and a line end at the end makes one more id. */
    if (T_STATUS (load_with (&t, NULL, NULL, "\r\n", NULL, "\r\n"), WB_OK)) {
        T_OK (wb_tokenizer_size (t) == nlines + 1, "size with a line end at the end");
        T_OK (wb_tokenizer_eot (t) == nlines - 1, "end of text is not the last then");
        expect (t, "猫 犬", 7, false, "猫 <SP> 犬");
        wb_tokenizer_destroy (t);
    }
    /* A key that lies across a tag put in before it, and one across <BR>: the original's passes. */
    if (T_STATUS (
            load_with (&t, NULL, NULL, NULL,
                       "{\"emoji\": {\"☆\": \"<|emoji1|>\", \"1|>★\": \"<|emoji2|>\", \"猫<\": \"<|emoji3|>\"}, " INV
                       "}",
                       "\n"),
            WB_OK)) {
        expect (t, "☆★", 6, false, "< | e m o j i <|emoji2|>");
        expect (t, "猫\n犬", 7, false, "<|emoji3|> B R > 犬");
        wb_buf_t text = {0};
        wb_ids_t ids = {0};
        for (int i = 0; i < 20000; i++)
            if (wb_buf_put (&text, "猫\n", 4) != WB_OK) return;
        T_STATUS (wb_tokenizer_encode (t, &ids, text.data, text.len, false), WB_OK);
        T_OK (ids.len == 80000, "%lld ids", (long long) ids.len);
        wb_buf_fini (&text);
        wb_ids_fini (&ids);
        wb_tokenizer_destroy (t);
    }
    /* no emoji at all */
    if (T_STATUS (load_with (&t, NULL, NULL, NULL, "{\"emoji\": {}, " INV "}", "\n"), WB_OK)) {
        expect (t, "☀猫", 6, false, "☀ 猫");
        wb_tokenizer_destroy (t);
    }
}

static void check_saving (const wb_tokenizer_t *t) {
    wb_tokenizer_t *again;
    const char *dir = t_tmp ("saved");
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_STATUS (wb_tokenizer_save (t, dir), WB_OK);
    if (!T_STATUS (wb_tokenizer_new (&again, dir), WB_OK)) return;
    T_OK (strcmp (wb_tokenizer_kind (again), "ja-bpe") == 0 && wb_tokenizer_size (again) == nlines,
          "saved and read again");
    expect (again, "日本 ☀", 10, false, "日本 <SP> <|emoji1|>");
    wb_tokenizer_destroy (again);
}

int main (void) {
    wb_tokenizer_t *t;
    read_lines ();
    if (T_STATUS (wb_tokenizer_new (&t, t_src ("tests/golden/bpe")), WB_OK)) {
        T_OK (wb_tokenizer_size (t) == nlines && wb_tokenizer_eot (t) == nlines - 1, "size");
        check_cases (t);
        check_pieces (t);
        check_decode (t);
        check_hard (t);
        check_random_bytes (t);
        check_saving (t);
        wb_tokenizer_destroy (t);
    }
    check_loading ();
    for (int i = 0; i < nlines; i++) wb_free (lines[i]);
    return T_DONE ();
}
