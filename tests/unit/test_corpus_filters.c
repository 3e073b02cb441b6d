/* timeout: 120 - what is measured of a text, cleaning, and MinHash */
#include "config.h"

#include <string.h>

#include "corpus/build.h"
#include "t.h"

static void cleans (const char *what, const char *s, size_t n, wb_clean_options_t o, const char *want) {
    wb_buf_t b = {0};
    T_STATUS (wb_clean_text (&b, s, n, &o), WB_OK);
    T_OK (b.len == strlen (want) && memcmp (b.data, want, b.len) == 0, "%s: \"%s\", not \"%s\"", what, b.data, want);
    wb_buf_fini (&b);
}

static void test_clean (void) {
    const wb_clean_options_t none = {0}, kana = {.fold_kana = true}, ascii = {.fold_ascii = true},
                             nfkc = {.nfkc = true};
#define CLEANS(what, s, o, want) cleans (what, s, sizeof s - 1, o, want)
    CLEANS ("line ends", "一\r\n二\r三\xe2\x80\xa8四\n", none, "一\n二\n三\n四\n");
    CLEANS ("empty lines", "\n\n一\n\n\n\n二\n\n", none, "一\n\n二\n");
    CLEANS ("blanks at the end", "一 \xe3\x80\x80\n  二\t", none, "一\n  二");
    CLEANS ("controls", "一\x01\0二\x7f\xc2\x80三", none, "一二三");
    CLEANS ("zero width, bidi", "一\xe2\x80\x8b二\xe2\x80\xae三\xef\xbb\xbf四\xc2\xad五", none, "一二三四五");
    CLEANS ("emoji that are joined", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb一\xe2\x80\x8d二", none,
            "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb一二");
    CLEANS ("what stays", "「一」…‥ａｂｃ｡ｱ é", none, "「一」…‥ａｂｃ｡ｱ é");
    CLEANS ("kana", "ｶﾞｷﾞﾊﾟｳﾞｱﾞﾝ｡ＡＢ", kana, "ガギパヴア゛ン。ＡＢ");
    CLEANS ("ASCII", "ＡＢ！　１ｶ", ascii, "AB! 1ｶ");
    CLEANS ("NFKC", "㌔ｶﾞ①", nfkc, "キロガ1");
    CLEANS ("nothing", "\n \n", none, "");
}

static wb_measures_t measure (const char *s, const wb_words_t *w) {
    wb_measurer_t x = {0};
    wb_measures_t m = {0};
    T_STATUS (wb_measure (&x, &m, s, strlen (s), w), WB_OK);
    wb_measurer_fini (&x);
    return m;
}

static void test_measures (void) {
    wb_measures_t m = measure ("これはペンです。\n山と川。\n", NULL);
    T_OK (m.chars == 12 && m.japanese == 1 && fabs (m.hiragana - 6.0 / 12) < 1e-9 &&
              fabs (m.katakana - 2.0 / 12) < 1e-9,
          "shares of letters: %g %g %g %g", m.chars, m.japanese, m.hiragana, m.katakana);
    T_OK (m.sentence == 6 && m.ends == 1 && m.short_lines == 0, "sentences: %g %g %g", m.sentence, m.ends,
          m.short_lines);
    m = measure ("ホーム\nリンク\nホーム\nホーム\n", NULL);
    T_OK (m.short_lines == 1 && m.ends == 0 && m.repeated_lines == 0.5 && m.repeated_in_chars == 0.5,
          "a menu: %g %g %g %g", m.short_lines, m.ends, m.repeated_lines, m.repeated_in_chars);
    m = measure ("(1)[2]{3}続く…", NULL);
    T_OK (fabs (m.brackets - 6.0 / 12) < 1e-9 && fabs (m.digits - 3.0 / 12) < 1e-9 && m.ellipses == 1,
          "brackets, digits: %g %g %g", m.brackets, m.digits, m.ellipses);
    m = measure ("ああああああああああああああああああああああああああああああ", NULL);
    T_OK (m.top_2gram == 1 && m.repeated_10grams == 1, "one character: %g %g", m.top_2gram, m.repeated_10grams);
    m = measure ("いろはにほへとちりぬるをわかよたれそつねならむ", NULL);
    T_OK (m.repeated_10grams == 0 && m.top_2gram < 0.1, "none twice: %g %g", m.top_2gram, m.repeated_10grams);
    m = measure ("", NULL);
    T_OK (m.chars == 0 && m.sentence == 0, "nothing");
}

static void test_filters (void) {
    double bounds[WB_FILTERS_MAX];
    for (int i = 0; i < WB_FILTERS_N; i++) bounds[i] = wb_filters[i].least ? -1 : 1e9;
    wb_measures_t m = measure ("山。", NULL);
    T_OK (wb_filters_pass (&m, bounds) == WB_KEPT, "all pass");
    bounds[WB_FILTER_min_chars] = 3;
    T_OK (wb_filters_pass (&m, bounds) == WB_FILTER_min_chars, "too short");
    FILE *f = fopen (t_tmp ("words"), "wb");
    fputs ("悪い言葉\r\n猫\nx\n", f);
    fclose (f);
    wb_words_t *w;
    if (T_STATUS (wb_words_new (&w, t_tmp ("words")), WB_OK))
        T_OK (measure ("悪い言葉と猫とx、悪い猫。悪い言葉", w).words == 5, "words: %g",
              measure ("悪い言葉と猫とx、悪い猫。悪い言葉", w).words);
    wb_words_destroy (w);
}

/* Two sets of n-grams whose similarity is known; estimates are near it, and each way of computing gives the same. */
static void test_minhash (void) {
    enum { K = 120, N = 3000 };
    static uint32_t a[N], b[N];
    uint16_t s[K], t[K];
    wb_minhash_t h;
    wb_minhash_init (&h, K, 1);
    for (int j = 0; j <= 10; j++) { /* a and b share the numbers 0 ... same - 1 */
        double sum = 0;
        for (uint32_t trial = 0; trial < 20; trial++) {
            const uint32_t same = (uint32_t) (2.0 * N * j / (10 + j) + 0.5), at = trial * 100000;
            for (uint32_t i = 0; i < N; i++) a[i] = at + i, b[i] = at + (i < same ? i : i + N);
            wb_minhash_sign (&h, s, a, N);
            wb_minhash_sign (&h, t, b, N);
            sum += wb_minhash_same (s, t, K) / 20;
        }
        T_OK (fabs (sum - j / 10.0) < 0.04, "similarity %g: estimated %g", j / 10.0, sum);
    }
    wb_minhash_init (&h, K, 5);
    wb_minhash_sign (&h, s, a, 3);
    wb_minhash_sign (&h, t, a, 3);
    T_OK (wb_minhash_same (s, t, K) == 1, "a text shorter than an n-gram");
}

/* Pairs in order, from memory and from runs on disk. */
static void test_sort (void) {
    enum { N = 50000 };
    for (int64_t memory = 1 << 16; memory <= 1 << 24; memory <<= 8) {
        wb_sorter_t *s;
        wb_pair_t x, before = {0};
        bool more, order = true;
        uint64_t n = 0, sum = 0, want = 0;
        if (!T_STATUS (wb_sorter_new (&s, t_tmp ("sort"), memory), WB_OK)) return;
        for (uint64_t i = 0; i < N; i++) {
            const uint64_t key = wb_rng_u64 (1, 2, i) % 1000;
            want += key * 1000003 + i;
            T_STATUS (wb_sorter_put (s, key, i), WB_OK);
        }
        T_STATUS (wb_sorter_sort (s), WB_OK);
        for (;; n++) {
            T_STATUS (wb_sorter_next (s, &x, &more), WB_OK);
            if (!more) break;
            order = order && (n == 0 || x.key > before.key || (x.key == before.key && x.value > before.value));
            sum += x.key * 1000003 + x.value;
            before = x;
        }
        T_OK (order && n == N && sum == want, "memory %lld: %lld pairs in order", (long long) memory, (long long) n);
        wb_sorter_destroy (s);
        T_OK (!wb_file_exists (t_tmp ("sort.runs")), "no runs are left");
    }
}

int main (void) {
    test_clean ();
    test_measures ();
    test_filters ();
    test_minhash ();
    test_sort ();
    return T_DONE ();
}
