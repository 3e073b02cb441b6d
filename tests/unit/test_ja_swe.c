/* timeout: 120 - ja-swe with a small vocabulary of its own: the smallest id, spellings, signs, blocks, files, saving
 */
#include "config.h"

#include <string.h>

#include "t.h"
#include "tokenizer/tokenizer_priv.h"

static const char *const words[] = {"した",         "日",         "い,イ,ｲ",    "本",         "日本,曰本", "山,川,岳",
                                    "山川森",       "る,ル",      ",",          "、",         "A,a,Ａ",    "<",
                                    "る,",          "猫犬馬鹿",   "<SP>",       "<BR>",       "<TAB>",     "<URL>",
                                    "<DATE>",       "<TEL>",      "<EMAIL>",    "<PRICE>",    "<BLOCK>",   "<KIGOU>",
                                    "<U2000U2BFF>", "<|emoji1|>", "<|emoji2|>", "<|emoji3|>", "し",        "た",
                                    "ル",           "森",         "年",         "時"};
enum { WORDS = sizeof words / sizeof *words, IDS = WORDS + 256 };

static const char emoji[] = "{\"emoji\": {\"☀\": \"<|emoji1|>\"}, \"emoji_inv\": {\"<|emoji1|>\": \"☀\", "
                            "\"<|emoji2|>\": \"x\", \"<|emoji3|>\": \"y\"}}";

/* The vocabulary as a file: the words, bytes 0 to 254, <|endoftext|>; `skip` is left out, `more` comes first. */
static wb_status make_file (wb_buf_t *out, const char *skip, const char *more) {
    char line[32];
    wb_buf_clear (out);
    if (more != NULL) WB_TRY (wb_buf_put (out, more, strlen (more)));
    for (int i = 0; i < WORDS; i++) {
        if (skip != NULL && strcmp (words[i], skip) == 0) continue;
        WB_TRY (wb_buf_put (out, words[i], strlen (words[i])));
        WB_TRY (wb_buf_put (out, "\n", 1));
    }
    for (int b = 0; b < 255; b++) {
        snprintf (line, sizeof line, "<|byte%d|>\n", b);
        WB_TRY (wb_buf_put (out, line, strlen (line)));
    }
    return wb_buf_put (out, WB_EOT_TEXT, strlen (WB_EOT_TEXT));
}

static wb_status load (wb_tokenizer_t **out, const wb_buf_t *file, const char *name) {
    const wb_blob_t blobs[] = {{"emoji.json", emoji, strlen (emoji)}, {name, file->data, file->len}};
    const wb_place_t place = {.spec = "memory", .blobs = blobs, .nblobs = 2, .memory = true};
    return wb_tokenizer_open (out, &place);
}

static int id_of (const char *line) {
    for (int i = 0; i < WORDS; i++)
        if (strcmp (words[i], line) == 0) return i;
    return -1;
}

/* `want`: lines of the vocabulary between blanks; what is none stands for its bytes. */
static void expect (const wb_tokenizer_t *t, const char *text, bool clean, const char *want) {
    wb_ids_t got = {0}, ids = {0};
    char word[64];
    for (const char *s = want; *s != 0;) {
        const size_t n = strcspn (s, " ");
        snprintf (word, sizeof word, "%.*s", (int) n, s);
        s += n + (s[n] == ' ');
        if (id_of (word) >= 0)
            T_STATUS (wb_ids_put (&ids, id_of (word)), WB_OK);
        else
            for (const char *p = word; *p != 0; p++) T_STATUS (wb_ids_put (&ids, WORDS + (unsigned char) *p), WB_OK);
    }
    T_STATUS (wb_tokenizer_encode (t, &got, text, strlen (text), clean), WB_OK);
    const bool same = got.len == ids.len && (got.len == 0 || memcmp (got.data, ids.data, (size_t) got.len * 4) == 0);
    T_OK (same, "%s%s", clean ? "clean: " : "", text);
    for (int64_t i = 0; !same && i < got.len; i++) fprintf (stderr, "  %d", (int) got.data[i]);
    wb_ids_fini (&got);
    wb_ids_fini (&ids);
}

static const struct {
    bool clean;
    const char *text, *words;
} cases[] = {
    {false, "", ""},
    /* the smallest id, whether it is longer or shorter */
    {false, "した", "した"},
    {false, "日本", "日 本"},
    {false, "山川森", "山,川,岳 山,川,岳 森"},
    {false, "曰本", "日本,曰本"},
    /* spellings; the last line of one counts; a comma is a word */
    {false, "いイｲ", "い,イ,ｲ い,イ,ｲ い,イ,ｲ"},
    {false, "るル,、", "る, ル , 、"},
    {false, "猫", "猫"}, /* no word of more than three characters is found */
    {false, "猫犬馬鹿", "猫 犬 馬 鹿"},
    /* tags before '<' of a smaller id, and as in ja-bpe */
    {false, "<SP> <<|emoji3|>", "<SP> <SP> < <|emoji3|>"},
    {false, "日　\r\n\t☀", "日 <SP> <BR> <TAB> <|emoji1|>"},
    {false, "<SP", "< S P"},
    /* signs */
    {false, "¡¿ǀǃʹ\u0362", "<KIGOU> <KIGOU> <KIGOU> <KIGOU> <KIGOU> <KIGOU>"},
    {false, "\u00a0\u00c0ǄʸӀ", "\u00a0 \u00c0 Ǆ ʸ Ӏ"},
    {false, "\u2000─⯿Ⰰ", "<U2000U2BFF> <U2000U2BFF> <U2000U2BFF> Ⰰ"},
    /* clean: no narrowing, blocks, more dates */
    {true, "Ａ─━▟日", "A,a,Ａ <BLOCK> 日"},
    {true, "─<BLOCK>█日█ █", "<BLOCK> 日 <BLOCK> <SP> <BLOCK>"},
    {true, "1月1日㈰", "<DATE>"},
    {true, "1月１日", "<DATE> 日"},
    {true, "㍻3年1月2日㈪", "㍻ 3 年 <DATE>"},
};

/* What the original does, word by word and slowly: ids of `text`, which has neither tags nor signs nor clean. */
static wb_status slowly (wb_ids_t *out, const uint32_t *text, size_t n) {
    for (size_t i = 0; i < n;) {
        int best = -1;
        size_t length = 1;
        for (size_t k = n - i < 3 ? n - i : 3; k > 0; k--) {
            char spelling[16];
            size_t bytes = 0;
            for (size_t j = 0; j < k; j++) bytes += wb_utf8_put (spelling + bytes, text[i + j]);
            int id = -1;
            for (int w = 0; w < WORDS; w++)
                for (const char *s = words[w]; s != NULL; s = strchr (s, ',') ? strchr (s, ',') + 1 : NULL) {
                    const size_t m = strcmp (words[w], ",") == 0 ? 1 : strcspn (s, ",");
                    if (m == bytes && memcmp (s, spelling, m) == 0) id = w;
                    if (strcmp (words[w], ",") == 0) break;
                }
            if (id >= 0 && (best < 0 || id < best)) best = id, length = k;
        }
        if (best >= 0)
            WB_TRY (wb_ids_put (out, best));
        else {
            char s[4];
            const size_t bytes = wb_utf8_put (s, text[i]);
            for (size_t j = 0; j < bytes; j++) WB_TRY (wb_ids_put (out, WORDS + (unsigned char) s[j]));
        }
        i += length;
    }
    return WB_OK;
}

static void check_against_slow (const wb_tokenizer_t *t) {
    static const uint32_t letters[] = {U'し', U'た', U'日', U'本', U'山', U'川',
                                       U'森', U'る', U'ル', U',',  U'曰', U'無'};
    wb_ids_t got = {0}, want = {0};
    for (uint64_t k = 0; k < 3000; k++) {
        uint32_t cps[12];
        char text[64];
        size_t bytes = 0;
        const size_t n = wb_rng_u64 (9, 1, k) % 13;
        for (size_t i = 0; i < n; i++) {
            cps[i] = letters[wb_rng_u64 (9, 2 + k, i) % (sizeof letters / sizeof *letters)];
            bytes += wb_utf8_put (text + bytes, cps[i]);
        }
        wb_ids_clear (&got);
        wb_ids_clear (&want);
        T_OK (wb_tokenizer_encode (t, &got, text, bytes, false) == WB_OK && slowly (&want, cps, n) == WB_OK &&
                  got.len == want.len && (got.len == 0 || memcmp (got.data, want.data, (size_t) got.len * 4) == 0),
              "as the slow way: %.*s", (int) bytes, text);
    }
    wb_ids_fini (&got);
    wb_ids_fini (&want);
}

static void check_decode (const wb_tokenizer_t *t) {
    const int32_t ids[] = {id_of ("い,イ,ｲ"), id_of (","),    id_of ("る,"),          id_of ("<BLOCK>"),
                           id_of ("<KIGOU>"), id_of ("<BR>"), id_of ("<U2000U2BFF>"), id_of ("<|emoji2|>"),
                           WORDS + 0xe7,      WORDS + 0x8c,   WORDS + 0xab,           WORDS + 0xe7,
                           id_of ("<URL>"),   IDS - 1};
    wb_buf_t text = {0};
    T_STATUS (wb_tokenizer_decode (t, &text, ids, sizeof ids / sizeof *ids), WB_OK);
    T_OK (strcmp (text.data, "い,る▀ǀ\n‖x猫\xef\xbf\xbd<URL><|endoftext|>") == 0, "%s", text.data);
    T_OK (wb_tokenizer_id_bytes (t, id_of ("<BLOCK>")) == 3 && wb_tokenizer_id_bytes (t, IDS - 1) == 0, "bytes of ids");
    wb_buf_fini (&text);
}

/* Linear: a text of one place after the other where a tag nearly begins. */
static void check_long (const wb_tokenizer_t *t) {
    wb_buf_t text = {0};
    wb_ids_t ids = {0}, part = {0};
    for (int i = 0; i < 100000; i++)
        if (wb_buf_put (&text, i % 50 == 49 ? "\n─" : "<|byte─", i % 50 == 49 ? 4 : 9) != WB_OK) return;
    T_STATUS (wb_tokenizer_encode (t, &ids, text.data, text.len, true), WB_OK);
    T_OK (wb_tokenizer_by_lines (t), "by lines");
    int64_t n = 0;
    for (const char *s = text.data, *end = s + text.len; s < end;) {
        const char *stop = memchr (s, '\n', (size_t) (end - s));
        const size_t k = stop != NULL ? (size_t) (stop - s) + 1 : (size_t) (end - s);
        wb_ids_clear (&part);
        T_STATUS (wb_tokenizer_encode (t, &part, s, k, true), WB_OK);
        if (n + part.len <= ids.len && memcmp (ids.data + n, part.data, (size_t) part.len * 4) != 0) break;
        n += part.len;
        s += k;
    }
    T_OK (n == ids.len, "line by line the same: %lld of %lld ids", (long long) n, (long long) ids.len);
    wb_ids_fini (&ids);
    wb_ids_fini (&part);
    wb_buf_fini (&text);
}

static void refuse (const wb_buf_t *file, const char *name, wb_status want, const char *message) {
    wb_tokenizer_t *t;
    T_OK (load (&t, file, name) == want && t == NULL && strstr (wb_error_get ()->text, message) != NULL, "%s: %s",
          message, wb_error_get ()->text);
    wb_error_clear ();
    wb_tokenizer_destroy (t);
}

static void check_files (wb_tokenizer_t *t) {
    wb_tokenizer_t *again = NULL;
    wb_buf_t file = {0};
    const char *dir = t_tmp ("saved");
    T_STATUS (wb_dir_make (dir), WB_OK);
    T_STATUS (wb_tokenizer_save (t, dir), WB_OK);
    T_STATUS (wb_tokenizer_new (&again, dir), WB_OK);
    T_OK (again != NULL && strcmp (wb_tokenizer_kind (again), "ja-swe") == 0 && wb_tokenizer_size (again) == IDS,
          "kind");
    wb_tokenizer_destroy (again);
    /* without its tag; a second vocabulary beside it must be named */
    T_STATUS (make_file (&file, NULL, "馬\n"), WB_OK);
    T_STATUS (wb_file_write (t_tmp ("saved/ja-swe9.txt"), file.data, file.len), WB_OK);
    T_STATUS (wb_tokenizer_new (&again, dir), WB_EUSAGE);
    bool found;
    T_OK (wb_tokenizer_probe (&found, t_tmp ("saved/ja-swe9.txt")) == WB_OK && found, "probe");
    if (T_STATUS (wb_tokenizer_new (&again, t_tmp ("saved/ja-swe9.txt")), WB_OK))
        T_OK (wb_tokenizer_size (again) == IDS + 1, "the one that was named");
    wb_tokenizer_destroy (again);
    T_STATUS (make_file (&file, "<KIGOU>", NULL), WB_OK);
    refuse (&file, "ja-swe1.txt", WB_EDATA, "memory/ja-swe1.txt:289: no entry <KIGOU>");
    refuse (&file, "swe.txt", WB_EUSAGE, "no tokenizer");
    T_STATUS (make_file (&file, NULL, "\n"), WB_OK);
    refuse (&file, "ja-swe1.txt", WB_EDATA, "ja-swe1.txt:1: empty entry");
    wb_buf_fini (&file);
}

int main (void) {
    wb_tokenizer_t *t;
    wb_buf_t file = {0};
    T_STATUS (make_file (&file, NULL, NULL), WB_OK);
    if (T_STATUS (load (&t, &file, "ja-swe.txt"), WB_OK)) {
        T_OK (wb_tokenizer_size (t) == IDS && wb_tokenizer_eot (t) == IDS - 1, "size");
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            expect (t, cases[i].text, cases[i].clean, cases[i].words);
        check_against_slow (t);
        check_decode (t);
        check_long (t);
        check_files (t);
        wb_tokenizer_destroy (t);
    }
    wb_buf_fini (&file);
    return T_DONE ();
}
