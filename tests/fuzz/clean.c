/* Cleaning, measures and signatures of a text.  First byte: the options of cleaning; the rest is the text, which is
 * made UTF-8, as documents are. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "corpus/charset.h"
#include "corpus/filters.h"
#include "fuzz.h"

static wb_words_t *words;
static wb_minhash_t hash;

static void init (void) {
    static const char list[] = "広告\nクリック\n";
    fuzz_write ("words", list, strlen (list));
    FUZZ_MUST (wb_words_new (&words, "words"));
    wb_minhash_init (&hash, 64, 5);
}

static void check_measures (const wb_measures_t *m) {
    const double shares[] = {m->hiragana,  m->katakana,        m->japanese,    m->brackets,       m->digits,
                             m->ends,      m->ellipses,        m->short_lines, m->repeated_lines, m->repeated_in_chars,
                             m->top_2gram, m->repeated_10grams};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        FUZZ_CHECK (shares[i] >= 0 && shares[i] <= 1, "share %zu is %g", i, shares[i]);
    FUZZ_CHECK (isfinite (m->chars) && m->chars >= 0 && isfinite (m->sentence) && m->sentence >= 0 && m->words >= 0,
                "%g characters, %g a sentence, %g words", m->chars, m->sentence, m->words);
}

static void run (const uint8_t *data, size_t n) {
    if (n == 0) return;
    const wb_clean_options_t o = {
        .nfkc = (data[0] & 1) != 0, .fold_kana = (data[0] & 2) != 0, .fold_ascii = (data[0] & 4) != 0};
    wb_buf_t text = {0}, clean = {0}, twice = {0};
    wb_measurer_t x = {0};
    wb_measures_t m = {0};
    uint16_t sig[64], again[64];
    FUZZ_MUST (wb_charset_repair (&text, (const char *) data + 1, n - 1));
    FUZZ_MUST (wb_clean_text (&clean, text.data, text.len, &o));
    FUZZ_UTF8 (clean.data, clean.len);
    for (size_t i = 0; i < clean.len; i++) {
        const unsigned char c = (unsigned char) clean.data[i];
        FUZZ_CHECK (c >= 0x20 || c == '\n' || c == '\t', "a control character %d", c);
        FUZZ_CHECK (i < 2 || memcmp (clean.data + i - 2, "\n\n\n", 3) != 0, "two empty lines");
    }
    FUZZ_MUST (wb_clean_text (&twice, clean.data, clean.len, &o));
    FUZZ_CHECK (clean.len == twice.len && (clean.len == 0 || memcmp (clean.data, twice.data, clean.len) == 0),
                "clean text changes when it is cleaned:\n%s\n----\n%s", clean.data, twice.data);
    for (int turn = 0; turn < 2; turn++) { /* what one text leaves must not matter */
        FUZZ_MUST (wb_measure (&x, &m, clean.len > 0 ? clean.data : "", clean.len, words));
        check_measures (&m);
        wb_minhash_sign (&hash, turn == 0 ? sig : again, x.chars, x.n);
    }
    FUZZ_CHECK (wb_minhash_same (sig, again, 64) == 1, "a text is no duplicate of itself");
    wb_measurer_fini (&x);
    wb_buf_fini (&text);
    wb_buf_fini (&clean);
    wb_buf_fini (&twice);
}

const fuzz_harness_t fuzz_clean = {"clean", init, run, NULL};
