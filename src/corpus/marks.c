/* Lines of text, and the mark between documents.
 *
 * Not done here: cutting what lies between two marks (plain.c, dataset/unit_text.c). */
#include "config.h"

#include <string.h>

#include "corpus/marks.h"

static const char mark[] = "<|endoftext|>";
enum { MARK = sizeof mark - 1 };

/* Is the unit at s that ASCII character? */
static bool is (const char *s, char c, wb_wide_t unit) {
    const int low = unit.big ? unit.bytes - 1 : 0;
    for (int i = 0; i < unit.bytes; i++)
        if (s[i] != (i == low ? c : 0)) return false;
    return true;
}

size_t wb_line_end (const char *s, size_t from, size_t n, wb_wide_t unit) {
    const size_t w = (size_t) unit.bytes, low = unit.big ? w - 1 : 0;
    for (const char *p = s + from, *end = s + n; p < end && (p = memchr (p, '\n', (size_t) (end - p))) != NULL; p++) {
        const size_t at = (size_t) (p - s);
        if (at % w == low && at - low + w <= n && is (p - low, '\n', unit)) return at - low + w;
    }
    return 0;
}

bool wb_line_is_mark (const char *s, size_t n, wb_wide_t unit) {
    const size_t w = (size_t) unit.bytes;
    if (n >= w && is (s + n - w, '\n', unit)) n -= w;
    while (n >= w && is (s + n - w, '\r', unit)) n -= w;
    if (n != MARK * w) return false;
    for (size_t i = 0; i < MARK; i++)
        if (!is (s + i * w, mark[i], unit)) return false;
    return true;
}

size_t wb_find_mark (const char *s, size_t *line, size_t from, size_t n) {
    for (const char *p = s + from; (p = memmem (p, (size_t) (s + n - p), mark, MARK)) != NULL; p += MARK) {
        const size_t at = (size_t) (p - s);
        size_t end = at + MARK;
        while (end < n && s[end] == '\r') end++;
        if ((at > 0 && s[at - 1] != '\n') || (end < n && s[end] != '\n')) continue;
        *line = at;
        return end < n ? end + 1 : n;
    }
    return *line = n;
}
