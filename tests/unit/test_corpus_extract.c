/* documents: encodings, plain text, lines of JSON, markup */
#include "config.h"

#include <string.h>
#include <time.h>

#include "t.h"
#include "wabun/corpus.h"

static wb_document_t doc;
static wb_complaint_t why;

/* The text of a record; "" with `why` where there is none. */
static const char *text_of (wb_form form, const char *charset, const char *s, size_t n, const wb_extract_options_t *o) {
    wb_extractor_t *x;
    wb_record_t r = {.form = form};
    bool got = false;
    if (!T_STATUS (wb_extractor_new (&x, o), WB_OK)) return "";
    snprintf (r.charset, sizeof r.charset, "%s", charset);
    T_STATUS (wb_buf_put (&r.bytes, s, n), WB_OK);
    T_STATUS (wb_buf_put (&r.name, "name", 4), WB_OK);
    T_STATUS (wb_buf_put (&r.site, "site", 4), WB_OK);
    T_STATUS (wb_extract (x, &doc, &got, &why, &r), WB_OK);
    wb_record_fini (&r);
    wb_extractor_destroy (x);
    return got ? doc.text.data : "";
}

static void is (const char *what, wb_form form, const char *s, const char *want) {
    const char *got = text_of (form, "", s, strlen (s), NULL);
    T_OK (strcmp (got, want) == 0, "%s: \"%s\", not \"%s\" (%s %s)", what, got, want, why.kind, why.text);
}

static void refuses (const char *what, wb_form form, const char *s, size_t n, const char *kind) {
    const char *got = text_of (form, "", s, n, NULL);
    T_OK (got[0] == 0 && strcmp (why.kind, kind) == 0, "%s: refused as %s, not %s: %s", what, why.kind, kind, got);
}

static void test_text (void) {
    is ("lines", WB_FORM_TEXT, "\xef\xbb\xbf一\r\n二\r三\r", "一\n二\r三\r");
    is ("CR before line ends", WB_FORM_TEXT, "\r\r\n一\r\r\r\n\r二\n\r", "\n一\n\r二\n\r");
    is ("bytes that are not UTF-8", WB_FORM_TEXT,
        "山\xe5\xb7川は流れて今も昔のまま春になると花が咲く。夏には虫が鳴く。秋には葉が散り、冬には雪が積もり、また春に"
        "なる。人はそれを見て歌を詠み、文を書いて遠くの友に送る。",
        "山\xef\xbf\xbd川は流れて今も昔のまま春になると花が咲く。夏には虫が鳴く。秋には葉が散り、冬には雪が積もり、また"
        "春になる。人はそれを見て歌を詠み、文を書いて遠くの友に送る。");
    const wb_extract_options_t keep = {.keep_crlf = true};
    T_OK (strcmp (text_of (WB_FORM_TEXT, "", "a\r\nb", 4, &keep), "a\r\nb") == 0, "CRLF is kept: %s", doc.text.data);
    refuses ("nothing", WB_FORM_AUTO, "", 0, "empty");
}

static void test_encodings (void) {
    static const char *const names[] = {"CP932", "EUC-JP", "ISO-2022-JP", "UTF-16LE", "UTF-32BE"};
    static const char text[] = "メロスは激怒した。必ず、かの邪智暴虐の王を除かなければならぬと決意した。\n";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        FILE *f = fopen (t_tmp ("u.txt"), "wb");
        fwrite (text, 1, sizeof text - 1, f);
        fclose (f);
        char command[512];
        snprintf (command, sizeof command, "iconv -f UTF-8 -t %s <%s >%s", names[i], t_tmp ("u.txt"), t_tmp ("x.txt"));
        T_OK (system (command) == 0, "%s", command);
        char *data;
        size_t n;
        T_STATUS (wb_file_read (&data, &n, t_tmp ("x.txt")), WB_OK);
        T_OK (strcmp (text_of (WB_FORM_TEXT, names[i], data, n, NULL), text) == 0, "%s, said: %s", names[i],
              doc.text.data);
        if (strncmp (names[i], "UTF-32", 6) != 0)
            T_OK (strcmp (text_of (WB_FORM_TEXT, "", data, n, NULL), text) == 0, "%s, found: %s", names[i],
                  doc.text.data);
        if (i < 3)
            T_OK (strcmp (text_of (WB_FORM_TEXT, "utf-8", data, n, NULL), text) == 0, "%s, said to be UTF-8: %s",
                  names[i], doc.text.data);
        wb_free (data);
    }
}

static void test_json (void) {
    is ("text", WB_FORM_JSON, "{\"text\": \"本\\r\\n文\", \"id\": 12, \"genre\": \"novel\", \"license\": \"CC0\"}",
        "本\n文");
    T_OK (strcmp (doc.id.data, "12") == 0, "id %s", doc.id.data);
    T_OK (strcmp (doc.genre.data, "novel") == 0 && strcmp (doc.licence.data, "CC0") == 0, "genre and licence");
    T_OK (strcmp (doc.site.data, "site") == 0 && doc.source.len == 0, "site and source");
    is ("without an id", WB_FORM_JSON, "{\"title\": \"猫\", \"text\": \"吾輩\"}", "吾輩");
    T_OK (strcmp (doc.id.data, "猫") == 0, "the title: %s", doc.id.data);
    refuses ("no text", WB_FORM_JSON, "{\"body\": \"x\"}", 13, "no text field");
    refuses ("not JSON", WB_FORM_JSON, "{\"body\": x}", 11, "not JSON");
    refuses ("an empty text", WB_FORM_JSON, "{\"text\": \"\"}", 12, "empty");
    const wb_extract_options_t body = {.text_field = "body", .id_field = "n"};
    T_OK (strcmp (text_of (WB_FORM_JSON, "", "{\"body\": \"x\", \"n\": \"7\", \"id\": 1}", 32, &body), "x") == 0,
          "a field by name");
    T_OK (strcmp (doc.id.data, "7") == 0, "an id by name: %s", doc.id.data);
}

/* ---- Aozora Bunko ----------------------------------------------------------------------------------------------- */

static void test_aozora (void) {
    static const char block[] = "題名\r\n著者\r\n\r\n-------------------------------------------------------\r\n"
                                "【テキスト中に現れる記号について】\r\n\r\n《》：ルビ\r\n"
                                "-------------------------------------------------------\r\n\r\n";
    char text[2048];
    snprintf (
        text, sizeof text,
        "%s［＃５字下げ］一［＃「一」は中見出し］\r\n\r\n　或《あ》る一｜枚《まい》の紙。\r\n［＃ここから２字下げ］\r\n"
        "詩の行\r\n［＃ここで字下げ終わり］\r\n\r\n\r\n底本を読む。\r\n\r\n\r\n\r\n底本：「全集」\r\n入力：人\r\n",
        block);
    is ("ruby, notes, block and colophon", WB_FORM_AUTO, text, "一\n\n　或る一枚の紙。\n\n詩の行\n\n底本を読む。\n");
    is ("gaiji", WB_FORM_AOZORA,
        "※［＃「木＋靈」、第3水準1-86-29］と※［＃「口＋世」、U+546D、3-4］と※［＃ト音記号、48-12］", "欞と呭と〓\n");
    is ("gaiji of two code points", WB_FORM_AOZORA, "※［＃半濁点付き平仮名か、1-4-87］。", "か\xe3\x82\x9a。\n");
    is ("gaiji that do not exist", WB_FORM_AOZORA, "※［＃「？」、1-99-99］※［＃「？」、2-1-0］※［＃「？」、U+D800］",
        "〓〓〓\n");
    is ("notes in notes", WB_FORM_AOZORA, "名［＃「名※［＃二の字点、1-2-22］」に傍点］は", "名は\n");
    is ("a note that is not closed", WB_FORM_AOZORA, "あ［＃い\nう［＃え］お", "あ［＃い\nうお\n");
    is ("accents", WB_FORM_AOZORA, "〔e'tiquette〕と〔qu'on l'aime, ae&〕と〔注〕",
        "étiquetteとqu'on l'aime, æと〔注〕\n");
    is ("other 《》", WB_FORM_AOZORA, "《題》は｜と書《か》く。\n《引用》", "《題》はと書く。\n《引用》\n");
    is ("the end of the text", WB_FORM_AOZORA, "本文\n［＃本文終わり］\nあとがき", "本文\n");
    const wb_extract_options_t keep = {.keep_ruby = true};
    static const char ruby[] = "一｜枚《まい》［＃「枚」に傍点］";
    T_OK (strcmp (text_of (WB_FORM_AOZORA, "", ruby, strlen (ruby), &keep), "一｜枚《まい》\n") == 0,
          "ruby is kept: %s", doc.text.data);
}

/* ---- HTML ------------------------------------------------------------------------------------------------------- */

#define LONG_TEXT                                                                       \
    "長い文章がここに書いてあります。読む人はこれを読んで、" \
    "次の文を待っています。それでもまだ文は続いていて、"       \
    "終わりはなかなか来ません。ようやく終わりが来ました。"
#define PAGE(inside) "<!DOCTYPE html><html><head><title>題</title></head><body>" inside "</body></html>"

static void test_html (void) {
    is ("menus, scripts, the foot", WB_FORM_AUTO,
        PAGE ("<nav><ul><li>" LONG_TEXT
              "</li></ul></nav><ul><li><a href='/'>首頁</a></li><li><a href=/a>次の頁</a></li></ul>"
              "<script>if (a < b) document.write (\"<p>" LONG_TEXT "\");</script><style>p { color: red }</style>"
              "<h1>見出し</h1><p>" LONG_TEXT "</p><p>短い行。</p><p>" LONG_TEXT "</p>"
              "<p hidden>" LONG_TEXT "</p><div style='color: red; display: none'>" LONG_TEXT "</div>"
              "<!-- " LONG_TEXT " --><footer>" LONG_TEXT "</footer><p>Copyright 2020 会社</p>"),
        "見出し\n" LONG_TEXT "\n短い行。\n" LONG_TEXT "\n");
    is ("entities, blanks, line ends", WB_FORM_HTML,
        PAGE ("<p>山と川&amp;海&#12354;&#x3044;&hearts;&nbsp;&unknown; &lt;p&gt;と\n 言う  English\n "
              "words<br>次の行で、" LONG_TEXT),
        "山と川&海あい♥ &unknown; <p>と言う English words\n次の行で、" LONG_TEXT "\n");
    is ("ruby", WB_FORM_HTML, PAGE ("<p><ruby>漢字<rp>（</rp><rt>かんじ</rt><rp>）</rp></ruby>で書く。" LONG_TEXT),
        "漢字で書く。" LONG_TEXT "\n");
    const wb_extract_options_t keep = {.keep_ruby = true};
    static const char ruby[] = PAGE ("<p><ruby>漢<rt>かん</rt>字<rt>じ</ruby>。" LONG_TEXT);
    T_OK (strcmp (text_of (WB_FORM_HTML, "", ruby, strlen (ruby), &keep), "｜漢《かん》字《じ》。" LONG_TEXT "\n") == 0,
          "ruby is kept: %s", doc.text.data);
    is ("what is never closed", WB_FORM_HTML,
        PAGE ("<nav><a href=x>頁</a><p title='a>" LONG_TEXT "<p>" LONG_TEXT "<!-- x"), LONG_TEXT "\n" LONG_TEXT "\n");
    refuses ("only links", WB_FORM_HTML, PAGE ("<a href=1>一</a><a href=2>二</a>"),
             strlen (PAGE ("<a href=1>一</a><a href=2>二</a>")), "no main text");
    is ("short lines only", WB_FORM_HTML,
        PAGE ("<p>一行目の詩は短い</p><p>二行目の詩も短い</p><p>三行目もそう</p><p>四行目の詩は短い</"
              "p><p>五行目の詩も短い</p>"
              "<p>六行目もそう</p><p>七行目の詩は短い</p><p>八行目の詩も短い</p>"),
        "一行目の詩は短い\n二行目の詩も短い\n三行目もそう\n四行目の詩は短い\n五行目の詩も短い\n六行目もそう\n七行目の詩"
        "は短い\n"
        "八行目の詩も短い\n");
}

static void test_html_encodings (void) {
    static const char page[] =
        "<html><meta charset=\"utf-8\"><p>\x8a\xbf\x8e\x9a\x82\xcc\x95\xb6\x8f\xcd\x82\xaa\x82\xa0"
        "\x82\xe9\x81\x42\x82\xbb\x82\xea\x82\xf0\x93\xc7\x82\xde\x90\x6c\x82\xe0\x82\xa2\x82\xe9"
        "\x81\x42\x8a\xbf\x8e\x9a\x82\xcc\x95\xb6\x8f\xcd\x82\xaa\x82\xa0\x82\xe9\x81\x42";
    static const char want[] = "漢字の文章がある。それを読む人もいる。漢字の文章がある。\n";
    const size_t n = sizeof page - 1;
    T_OK (strcmp (text_of (WB_FORM_HTML, "shift_jis", page, n, NULL), want) == 0, "by the header: %s", doc.text.data);
    T_OK (strcmp (text_of (WB_FORM_HTML, "", page, n, NULL), want) == 0, "the meta tag is wrong: %s", doc.text.data);
    T_OK (strcmp (text_of (WB_FORM_HTML, "klingon", page, n, NULL), want) == 0, "no such name: %s", doc.text.data);
    /* Half-width katakana in CP932 are kanji in EUC-JP. */
#define KANA "\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8 "
    static const char kana[] =
        "<html><head><meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'></head><p>" KANA KANA KANA
            KANA KANA KANA KANA KANA "\xc5\xc6.";
    T_OK (strcmp (text_of (WB_FORM_HTML, "", kana, sizeof kana - 1, NULL),
                  "ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ｱｲｳｴｵｶｷｸ ﾅﾆ.\n") == 0,
          "by the meta tag: %s (%s %s)", doc.text.data, why.kind, why.text);
}

/* ---- wikitext --------------------------------------------------------------------------------------------------- */

static void test_wiki (void) {
    is ("marks", WB_FORM_WIKI,
        "{{基礎情報 国\n|a = "
        "{{lang|en|x}}\n|b={{{1|}}}\n}}\n'''本文'''（{{読み|ほん}}、）は[[記事|文章]]と[[川]]である。<ref>注 [[x]]"
        "</ref><ref name=a />\n[[ファイル:a.jpg|thumb|説明の[[文]]。]]\n== 節 ==\n* 一 [http://a.jp/ 頁]\n# 二 &amp; "
        "''三''\n"
        "=== 空の節 ===\n{| class=x\n|-\n| 表 || [[表]]\n|}\n== 終わりの節 ==\n----\n__NOTOC__<!-- 注\n記 -->\n"
        ":字下げ<br />次の行 <nowiki>[[x]] {{y}}</nowiki>\n== 何もない節 "
        "==\n{{DEFAULTSORT:x}}\n[[Category:本]]\n[[en:Book]]\n",
        "本文は文章と川である。\n節\n一 頁\n二 & 三\n終わりの節\n字下げ\n次の行 [[x]] {{y}}\n");
    is ("templates that speak", WB_FORM_WIKI,
        "{{lang|fr|le [[mot|mots]]}}と{{仮リンク|語|en|word}}と{{Nowrap|{{lang|en|go}}}}。", "le motsと語とgo。\n");
    is ("what is not closed", WB_FORM_WIKI, "一 {{二 [[三 }} 四 ]] 五 [[六|七]] <ref>八 [九] 十 {| 表\n一}}二]]三\n",
        "一  四  五 七 八 [九] 十 {| 表\n一二三\n");
    refuses ("a redirect", WB_FORM_WIKI, "#REDIRECT [[x]]", 15, "");
    refuses ("nothing", WB_FORM_WIKI, "{{a}}\n== b ==\n", 14, "empty");
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Seconds of the processor: what else the machine does must not count. */
static double worked (void) {
    struct timespec t;
    clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Text made of `piece`s takes time linear in its length, whatever form it is read in: 16 times the text far less than
 * 256 times the time. */
static void linear (wb_form form, const char *piece) {
    enum { SMALL = 1 << 16, TIMES = 16 };
    wb_buf_t b = {0};
    double seconds[2];
    for (int k = 0; k < 2; k++) {
        wb_status status = WB_OK;
        while (b.len < (size_t) SMALL * (k == 0 ? 1 : TIMES)) status = wb_buf_put (&b, piece, strlen (piece));
        T_STATUS (status, WB_OK);
        seconds[k] = 1e9;
        for (int again = 0; again < 2; again++) {
            const double start = worked ();
            text_of (form, "", b.data, b.len, NULL);
            if (worked () - start < seconds[k]) seconds[k] = worked () - start;
        }
    }
    T_OK (seconds[1] < 0.2 + 5 * TIMES * seconds[0], "%s of \"%s\": %.4f s, %d times the text %.4f s",
          wb_form_names[form], piece, seconds[0], TIMES, seconds[1]);
    wb_buf_fini (&b);
}

static void test_linear (void) {
    static const char *const wiki[] = {"{{",        "}}",         "[[",      "]]",      "{|\n",       "{{a|",
                                       "[[a|",      "<ref>",      "<!--",    "''",      "{{{",        "（）",
                                       "== a ==\n", "[http://a ", "[[a|b]]", "{{lang|", "{{lang|en|", "<nowiki>",
                                       "&",         "（",         "、）"};
    static const char *const html[] = {
        "<div>",    "</span>", "<nav>",      "<a href=x>", "<!--", "<p title=\"", "<p title='a' b=\"",
        "<script>", "<br>",    "<ruby><rt>", "&amp",       "<",    "<title>",     "<p>長い文。",
        "<!x"};
    static const char *const aozora[] = {"［＃",
                                         "］",
                                         "《",
                                         "｜",
                                         "〔",
                                         "〔e'",
                                         "※［＃",
                                         "底本：",
                                         "［＃x］",
                                         "｜x《y》",
                                         "-----------------------------\n",
                                         "\n底本：",
                                         "1-1-"};
    for (size_t i = 0; i < sizeof wiki / sizeof *wiki; i++) linear (WB_FORM_WIKI, wiki[i]);
    for (size_t i = 0; i < sizeof html / sizeof *html; i++) linear (WB_FORM_HTML, html[i]);
    for (size_t i = 0; i < sizeof aozora / sizeof *aozora; i++) linear (WB_FORM_AOZORA, aozora[i]);
}

int main (void) {
    test_text ();
    test_encodings ();
    test_json ();
    test_aozora ();
    test_html ();
    test_html_encodings ();
    test_wiki ();
    test_linear ();
    wb_document_fini (&doc);
    return T_DONE ();
}
