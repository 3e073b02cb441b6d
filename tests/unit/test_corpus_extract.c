/* documents: encodings, plain text, lines of JSON, markup */
#include "config.h"

#include <string.h>

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

int main (void) {
    test_text ();
    test_encodings ();
    test_json ();
    test_aozora ();
    wb_document_fini (&doc);
    return T_DONE ();
}
