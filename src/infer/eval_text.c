/* What there is of a text, whatever tokenizer reads it: bytes, characters, words.
 *
 * Japanese is written without blanks, so a word is what can be told without a dictionary: a run of one script.
 * 漢字かな交 じり文 has five.  That is no linguist's word, but the same for every model, and near one in size.
 *
 * Not here: tokens. */
#include "config.h"

#include "infer/eval.h"
#include "tokenizer/utf8.h"

typedef enum script { BLANK, SINGLE, KANJI, HIRAGANA, KATAKANA, LETTER, LONG } script_t;

static bool within (uint32_t c, uint32_t from, uint32_t to) { return c >= from && c <= to; }

static script_t script_of (uint32_t c) {
    if (c == ' ' || within (c, 0x09, 0x0d) || c == 0xa0 || c == 0x3000 || c == 0xfeff) return BLANK;
    if (within (c, '0', '9') || within (c, 'A', 'Z') || within (c, 'a', 'z')) return LETTER;
    if (c < 0x80) return SINGLE;
    if (c == 0x30fc || c == 0xff70) return LONG; /* ー goes on with whatever kana is before it */
    if (within (c, 0x3041, 0x309f)) return HIRAGANA;
    if (within (c, 0x30a1, 0x30ff) && c != 0x30fb) return KATAKANA;
    if (within (c, 0x31f0, 0x31ff) || within (c, 0xff66, 0xff9f)) return KATAKANA;
    if (within (c, 0x3400, 0x4dbf) || within (c, 0x4e00, 0x9fff) || within (c, 0xf900, 0xfaff)) return KANJI;
    if (within (c, 0x20000, 0x3ffff) || within (c, 0x3005, 0x3007)) return KANJI;
    if (within (c, 0xff10, 0xff19) || within (c, 0xff21, 0xff3a) || within (c, 0xff41, 0xff5a)) return LETTER;
    /* Letters of other alphabets, and Hangul; signs and the rest stand for themselves. */
    if (within (c, 0xc0, 0x1fff) && c != 0xd7 && c != 0xf7) return LETTER;
    return within (c, 0xac00, 0xd7a3) ? LETTER : SINGLE;
}

void wb_text_count (wb_text_counts_t *out, const char *s, size_t n) {
    script_t before = BLANK;
    *out = (wb_text_counts_t){.bytes = (int64_t) n};
    for (size_t at = 0, length; at < n; at += length) {
        script_t now = script_of (wb_utf8_get (s + at, n - at, &length));
        if (now == LONG) now = before == HIRAGANA ? HIRAGANA : KATAKANA;
        out->chars++;
        out->words += now != BLANK && (now == SINGLE || now != before);
        before = now;
    }
}
