/* Lines, and lines of JSON: {"text": ...} and {"ids": [...]}. */
#include "config.h"

#include <string.h>

#include "corpus/jsonl.h"
#include "fuzz.h"

static void use (const char *s, size_t n, bool reals) {
    wb_jsonl_complaint_t c = {.text = ""};
    wb_ids_t ids = {0};
    const size_t trimmed = wb_jsonl_trim (s, n);
    FUZZ_CHECK (trimmed <= n, "a trimmed line is longer");
    if (trimmed == 0) return;
    json_t *line = wb_jsonl_parse (s, trimmed, reals, &c);
    FUZZ_CHECK (line != NULL || c.text[0] != 0, "no object and no reason");
    if (line == NULL) return;
    size_t bytes = 0;
    bool good;
    const char *text = wb_jsonl_text (line, "text", &bytes, &c);
    FUZZ_CHECK (text != NULL || c.text[0] != 0, "no text and no reason");
    if (text != NULL) FUZZ_UTF8 (text, bytes);
    c.text[0] = 0;
    FUZZ_MUST (wb_jsonl_ids (line, &ids, &good, 257, &c));
    FUZZ_CHECK (good || c.text[0] != 0, "no ids and no reason");
    for (int64_t i = 0; i < ids.len; i++)
        FUZZ_CHECK (ids.data[i] >= 0 && ids.data[i] < 257, "id %d", (int) ids.data[i]);
    wb_ids_fini (&ids);
    json_decref (line);
}

static void run (const uint8_t *data, size_t n) {
    wb_lines_t l;
    size_t at = 0;
    fuzz_write ("lines", data, n);
    FUZZ_MUST (wb_lines_open (&l, "lines"));
    for (int64_t number = 1;; number++) {
        const char *s;
        size_t bytes;
        FUZZ_MUST (wb_lines_next (&l, &s, &bytes, true));
        if (s == NULL) break;
        FUZZ_CHECK (l.number == number && bytes <= n - at && (bytes == 0 || memcmp (s, data + at, bytes) == 0),
                    "line %lld", (long long) number);
        at += bytes;
        if (at < n && data[at] == '\r') at++;
        FUZZ_CHECK (at == n || data[at] == '\n', "line %lld ends within a line", (long long) number);
        at += at < n;
        use (s, bytes, number % 2 == 0);
    }
    FUZZ_CHECK (at == n, "%zu of %zu bytes", at, n);
    wb_lines_close (&l);
}

const fuzz_harness_t fuzz_jsonl = {"jsonl", NULL, run, NULL};
