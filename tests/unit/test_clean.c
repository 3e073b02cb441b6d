/* clean: its patterns by its own matcher and by PCRE2 give the same texts, also as a tokenizer.json has them */
#include "config.h"

#include <string.h>

#include "t.h"

#ifdef HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "convert/ja_bpe_files.h"
#include "tokenizer/tokenizer_priv.h"

static wb_status from_cps (wb_buf_t *out, const wb_cps_t *v) {
    char s[4];
    wb_buf_clear (out);
    for (size_t i = 0; i < v->len; i++) WB_TRY (wb_buf_put (out, s, wb_utf8_put (s, v->data[i])));
    return wb_buf_put (out, "", 0);
}

/* exported: as hf_clean.c writes the patterns, which PCRE2 never gives up on. */
static void check_patterns (bool other, bool exported) {
    static const char *const bits[] = {
        "0",      "1",      "2",     "9",      "12", "31",     "30",   "2020", "年",  "月", "日", "時",
        "分",     "/",      "-",     ":",      "(",  ")",      "(月)", "円",   "千",  "万", "億", "千円",
        "ドル",   "ユーロ", ",",     "(税込)", "٣",  "令和",   "明治", "a",    "@",   ".",  "_",  "+",
        "+tax",   "http",   "https", "://",    "f",  "ftp",    "<",    "あ",   "123", "00", "１", "%",
        "千万円", "1月",    "1日",   "1年",    "Z",  "(税抜)", "!",    "１1",  "㈰",  "㈯", "㍻", "\u32ff"};
    static const char *const numbers[] = {"0", "1", "23", "00", "٣", ",", ",", "456", "万", "円", "(税込)"};
    pcre2_code *code[8];
    const char *tags[8], *pattern;
    int n = 0, error;
    PCRE2_SIZE offset;
    wb_buf_t in = {0}, got = {0};
    for (; (pattern = wb_clean_pattern (n, other, &tags[n])) != NULL; n++) {
        wb_buf_clear (&in);
        if (exported && T_STATUS (wb_hf_clean_pattern (&in, pattern), WB_OK)) pattern = in.data;
        code[n] =
            pcre2_compile ((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
        if (!T_OK (code[n] != NULL, "pattern %d", n)) return;
    }
    wb_clean_t *clean;
    if (!T_STATUS (wb_clean_new (&clean, other), WB_OK)) return;
    wb_cps_t text = {0}, spare = {0};
    static PCRE2_UCHAR a[4096], b[4096];
    uint64_t draw = 0;
    int tried = 0;
    for (int k = 0; k < 6000; k++) {
        wb_buf_clear (&in);
        const int pieces = 1 + (int) (wb_rng_u64 (3, 1, draw++) % 14);
        for (int i = 0; i < pieces; i++) {
            const uint64_t at = wb_rng_u64 (3, 1, draw++);
            const char *s = k % 2 == 0 ? bits[at % (sizeof bits / sizeof bits[0])]
                                       : numbers[at % (sizeof numbers / sizeof numbers[0])];
            if (wb_buf_put (&in, s, strlen (s)) != WB_OK) return;
        }
        text.len = 0;
        bool ok = wb_cps_reserve (&text, in.len) == WB_OK;
        for (size_t i = 0, length; ok && i < in.len; i += length)
            text.data[text.len++] = wb_utf8_get (in.data + i, in.len - i, &length);
        ok = ok && wb_clean_run (clean, &text, &spare) == WB_OK && from_cps (&got, &text) == WB_OK;
        memcpy (a, in.data, in.len + 1);
        PCRE2_SIZE len = in.len;
        int status = 0;
        for (int r = 0; r < n && status >= 0; r++) {
            PCRE2_SIZE room = sizeof b;
            status = pcre2_substitute (code[r], a, len, 0, PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_LITERAL, NULL,
                                       NULL, (PCRE2_SPTR) tags[r], PCRE2_ZERO_TERMINATED, b, &room);
            memcpy (a, b, room + 1);
            len = room;
        }
        if (status < 0) continue; /* it gave up: its limits */
        tried++;
        T_OK (ok && got.len == len && memcmp (got.data, a, len) == 0, "%s: %s, PCRE2 %s", in.data, got.data,
              (char *) a);
    }
    T_OK (tried > (exported ? 5999 : 5900), "%d texts compared", tried);
    for (int r = 0; r < n; r++) pcre2_code_free (code[r]);
    wb_clean_destroy (clean);
    wb_cps_fini (&text);
    wb_cps_fini (&spare);
    wb_buf_fini (&in);
    wb_buf_fini (&got);
}

/* Digits of two scripts in turn, and numbers between commas: the pattern of prices fails at each within the limits, and
 * finds what stands behind them. */
static void check_limits (void) {
    static const char *const parts[] = {"1٣", "123456,"};
    const char *pattern = NULL, *next, *tag;
    int error;
    PCRE2_SIZE offset;
    wb_buf_t expression = {0}, text = {0};
    for (int i = 0; (next = wb_clean_pattern (i, false, &tag)) != NULL; i++) pattern = next;
    if (!T_STATUS (wb_hf_clean_pattern (&expression, pattern), WB_OK)) return;
    pcre2_code *code = pcre2_compile ((PCRE2_SPTR) expression.data, expression.len, PCRE2_UTF, &error, &offset, NULL);
    if (!T_OK (code != NULL, "%s", expression.data)) return;
    pcre2_match_data *match = pcre2_match_data_create_from_pattern (code, NULL);
    for (int p = 0; p < 2; p++) {
        wb_buf_clear (&text);
        for (int i = 0; i < 40; i++) T_STATUS (wb_buf_put (&text, parts[p], strlen (parts[p])), WB_OK);
        T_STATUS (wb_buf_put (&text, "x円", 4), WB_OK);
        const int got = pcre2_match (code, (PCRE2_SPTR) text.data, text.len, 0, 0, match, NULL);
        T_OK (got > 0 && pcre2_get_ovector_pointer (match)[0] == text.len - 3, "%s: %d", text.data, got);
    }
    pcre2_match_data_free (match);
    pcre2_code_free (code);
    wb_buf_fini (&expression);
    wb_buf_fini (&text);
}

int main (void) {
    check_limits ();
    check_patterns (false, false);
    check_patterns (true, false);
    check_patterns (false, true);
    check_patterns (true, true);
    return T_DONE ();
}

#else

int main (void) {
    printf ("built without PCRE2 (libpcre2-dev), which the matcher is compared with\n");
    return T_SKIP;
}
#endif
