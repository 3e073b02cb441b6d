/* Encodings: guessing, and conversion from each; and what a file is by its beginning.  First byte: the encoding. */
#include "config.h"

#include <string.h>

#include "corpus/charset.h"
#include "corpus/content.h"
#include "dataset/inputs.h"
#include "fuzz.h"

static void run (const uint8_t *data, size_t n) {
    static const char *const others[] = {"ISO-2022-JP-3", "EUC-TW", "UTF-7", "GB18030", "UTF-16", "SHIFT_JISX0213"};
    enum { OTHERS = sizeof others / sizeof others[0] };
    if (n == 0) return;
    const char *s = (const char *) data + 1;
    const int which = data[0] % (WB_CHARSET_NAMED + OTHERS);
    const char *from =
        which < WB_CHARSET_NAMED ? wb_charset_name ((wb_charset) which) : others[which - WB_CHARSET_NAMED];
    n--;
    char seems[32];
    const wb_charset guess = wb_charset_guess (s, n, seems);
    FUZZ_CHECK (guess < WB_CHARSETS && guess != WB_CHARSET_NAMED && memchr (seems, 0, 32) != NULL, "a guess");
    wb_buf_t out = {0};
    int64_t stray = 0;
    FUZZ_MUST (wb_charset_convert (&out, &stray, from, s, n));
    FUZZ_UTF8 (out.data, out.len);
    FUZZ_CHECK (stray >= 0 && stray <= (int64_t) n, "%lld stray bytes of %zu", (long long) stray, n);
    wb_buf_fini (&out);
    (void) wb_content_binary (s, n);
    FUZZ_CHECK (wb_content_form (s, n) < WB_FORMS, "a form");
    wb_look_t look;
    FUZZ_MUST (wb_look_bytes (&look, s, n, "text", (data[0] & 0x80) != 0 ? from : NULL));
    FUZZ_CHECK (!look.lines || look.json, "lines of JSON that are no JSON");
}

const fuzz_harness_t fuzz_charset = {"charset", NULL, run, NULL};
