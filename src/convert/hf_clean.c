/* clean (wabun encode --clean) as normalizers of a tokenizer.json, for text whose blanks and emoji are tags.
 *
 * Full-width ASCII becomes narrow, one Replace a character, since a Replace has one content; then each pattern of
 * src/tokenizer/clean.c is one Replace.  Hugging Face's tokenizers match by Oniguruma, which takes the leftmost match
 * and the first alternative that leads to one, as the original does.  Two things are written another way:
 *
 *   \d        the digits that clean.c has: Oniguruma's own change with its version of Unicode
 *   numbers   as the original writes them, digits in turn with others can be divided in exponentially many ways, and
 *             beyond ten million Oniguruma gives up, which ends the whole program.  NUMBER_ONCE takes the same texts
 *             in one way only.
 *
 * Why the same match comes out: in the patterns a unit (億, 円, ...) follows every number, and neither digits nor
 * commas can be a part of one.  So a number ends at the last of its digits and commas or there is no match, and nothing
 * but whether it can be divided at all counts. */
#include "config.h"

#include <string.h>

#include "convert/ja_bpe_files.h"
#include "tokenizer/tokenizer_priv.h"

/* Digits before a comma: zeros, figures from 1 to 9 on of any length, and the last, which begin with 1 to 9 and are
 * three at most, are of the number with commas. */
#define FIRST "0*(?:[1-9]\\d*)?[1-9]\\d{0,2}"
/* Between two commas: three digits, then nothing, or the first digits of another number with commas. */
#define NUMBER_ONCE "(?>(?:(?>" FIRST ",\\d{3})(?>(?:" FIRST ")?,\\d{3})*)?0*(?:[1-9]\\d*)?)"

static wb_status put_text (wb_buf_t *b, const char *text) { return wb_buf_put (b, text, strlen (text)); }

static wb_status put_digits (wb_buf_t *out) {
    uint32_t zero;
    WB_TRY (put_text (out, "["));
    for (int i = 0; (zero = wb_clean_zero (i)) != 0; i++) {
        char range[10];
        size_t n = wb_utf8_put (range, zero);
        range[n++] = '-';
        n += wb_utf8_put (range + n, zero + 9);
        WB_TRY (wb_buf_put (out, range, n));
    }
    return put_text (out, "]");
}

wb_status wb_hf_clean_pattern (wb_buf_t *out, const char *pattern) {
    const size_t number = strlen (WB_CLEAN_NUMBER);
    for (const char *p = pattern; *p != 0;) {
        if (strncmp (p, WB_CLEAN_NUMBER, number) == 0) {
            WB_TRY (wb_hf_clean_pattern (out, NUMBER_ONCE));
            p += number;
        } else if (p[0] == '\\' && p[1] == 'd') {
            WB_TRY (put_digits (out));
            p += 2;
        } else {
            const size_t n = *p == '\\' ? 2 : 1;
            WB_TRY (wb_buf_put (out, p, n));
            p += n;
        }
    }
    return WB_OK;
}

static wb_status add_narrow (json_t *list) {
    for (uint32_t c = 0x20; c <= 0x7e; c++) {
        char wide[4];
        const char narrow = (char) c;
        const wb_span_t pattern = {wide, wb_utf8_put (wide, c == 0x20 ? 0x3000 : c - 0x20 + 0xff00)};
        if (!wb_hf_add_replace (list, "String", &pattern, &narrow, 1)) return WB_NOMEM ("tokenizer.json");
    }
    return WB_OK;
}

wb_status wb_hf_add_clean (json_t *list) {
    const char *pattern, *tag;
    wb_buf_t expression = {0};
    wb_status status = add_narrow (list);
    for (int i = 0; status == WB_OK && (pattern = wb_clean_pattern (i, false, &tag)) != NULL; i++) {
        wb_buf_clear (&expression);
        status = wb_hf_clean_pattern (&expression, pattern);
        const wb_span_t p = {expression.data, expression.len};
        if (status == WB_OK && !wb_hf_add_replace (list, "Regex", &p, tag, strlen (tag)))
            status = WB_NOMEM ("tokenizer.json");
    }
    wb_buf_fini (&expression);
    return status;
}
